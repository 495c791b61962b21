// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_IOEVENTFD: tie a guest write to an eventfd, so that it needs no exit to user space.
 * Owns the checks of the request; the listeners are the bus's (iobus.c). Task context.
 */
#include <keel/iobus.h>
#include <keel/uapi.h>
#include <keel/vm.h>
#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#define FLAGS (KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DEASSIGN)

/* The request in the bus's terms. Return: 0 or -EINVAL. */
static int parse(const struct kvm_ioeventfd *args, struct keel_iobus_key *key)
{
	bool match = args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH;
	u64 end;

	if (args->flags & ~FLAGS)
		return -EINVAL;
	if (args->len > 8 || !(BIT(args->len) & (BIT(0) | BIT(1) | BIT(2) | BIT(4) | BIT(8))))
		return -EINVAL;
	if (check_add_overflow((u64)args->addr, (u64)args->len, &end))
		return -EINVAL;
	/* A write of any size has no value to compare. */
	if (match && !args->len)
		return -EINVAL;
	*key = (struct keel_iobus_key){
		.addr = args->addr,
		.value = match ? args->datamatch : 0,
		.bytes = args->len,
		.match = match,
	};
	return 0;
}

/* On success the bus has taken over @event. */
static int assign(struct keel_vm *vm, enum keel_bus bus, const struct keel_iobus_key *key,
		  struct eventfd_ctx *event)
{
	struct keel_listener *listener = kzalloc(sizeof(*listener), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!listener)
		return -ENOMEM;
	listener->key = *key;
	listener->event = event;
	ret = keel_iobus_add(vm, bus, listener);
	if (ret)
		kfree(listener);
	return ret;
}

int keel_ioeventfd(struct keel_vm *vm, const struct kvm_ioeventfd *args)
{
	enum keel_bus bus = args->flags & KVM_IOEVENTFD_FLAG_PIO ? KEEL_BUS_PIO : KEEL_BUS_MMIO;
	bool deassign = args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN;
	struct keel_iobus_key key;
	struct eventfd_ctx *event;
	int ret;

	ret = parse(args, &key);
	if (ret)
		return ret;
	event = eventfd_ctx_fdget(args->fd);
	if (IS_ERR(event))
		return PTR_ERR(event);
	ret = deassign ? keel_iobus_del(vm, bus, &key, event) : assign(vm, bus, &key, event);
	if (deassign || ret)
		eventfd_ctx_put(event);
	return ret;
}
