// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bus of in-kernel listeners to guest writes, one for ports and one for memory.
 *
 * Owns the sorted arrays and the listeners' lifetime. Does not own what user space may ask for
 * (ioeventfd.c). Changes run in task context under iobus.lock; look-ups in vCPU threads under RCU,
 * with two binary searches at most.
 *
 * Order within an array: address, then listeners to any value before those to one, then
 * value, then size. As no write may have two listeners, those of one address and value differ in
 * size: a look-up goes through a handful, and searches the rest of an address by value.
 *
 * A change publishes a new array and waits for no grace period. A writer that still found a
 * removed listener is stopped by `gone`: delivery happens under the listener's lock, and removal
 * takes that lock once. So after removal no event comes, and the late write goes where it
 * would have gone without the listener. Between a guest exit and the next entry, with IRQs off,
 * delivery takes no lock. Those writers are vCPUs in mode KEEL_IN_GUEST: removal calls them all to
 * attention after it has published, by the kick protocol (vcpu.c), which returns when each has
 * left that mode or will read the new array.
 */
#include <keel/iobus.h>
#include <keel/vcpu.h>
#include <keel/vm.h>
#include <linux/eventfd.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#define MAX_LISTENERS 65536
#define SCAN 8			/* listeners of one address to go through; more than sizes of a write */

static int key_cmp(const struct keel_iobus_key *a, const struct keel_iobus_key *b)
{
	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	if (a->match != b->match)
		return a->match ? 1 : -1;
	if (a->value != b->value)
		return a->value < b->value ? -1 : 1;
	return (int)a->bytes - (int)b->bytes;
}

/* Index of the first entry that is not before @key. */
static unsigned int position(const struct keel_iobus_set *set, const struct keel_iobus_key *key)
{
	unsigned int low = 0, high = set ? set->nr : 0, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (key_cmp(&set->entry[mid]->key, key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Those of one address and value differ in size, and one to any size has no other beside it. */
static struct keel_listener *find_value(const struct keel_iobus_set *set, const struct keel_iobus_key *from,
					unsigned int bytes)
{
	unsigned int i;

	for (i = position(set, from); i < set->nr; i++) {
		const struct keel_iobus_key *key = &set->entry[i]->key;

		if (key->addr != from->addr || key->match != from->match || key->value != from->value)
			break;
		if (!key->bytes || key->bytes == bytes)
			return set->entry[i];
	}
	return NULL;
}

struct keel_listener *keel_iobus_find_next(const struct keel_iobus_set *set, unsigned int at, u64 addr,
					   unsigned int bytes, u64 value)
{
	unsigned int end = min(set->nr, at + SCAN);

	for (; at < end; at++) {
		if (set->entry[at]->key.addr != addr)
			return NULL;
		if (keel_iobus_fits(&set->entry[at]->key, bytes, value))
			return set->entry[at];
	}
	/* Those to any value have been passed. */
	if (at == set->nr)
		return NULL;
	return find_value(set, &(struct keel_iobus_key){ .addr = addr, .value = value, .match = true }, bytes);
}

static bool deliver(struct keel_listener *listener)
{
	bool taken;

	spin_lock(&listener->lock);
	taken = !listener->gone;
	if (taken)
		eventfd_signal(listener->event, 1);
	spin_unlock(&listener->lock);
	return taken;
}

bool keel_iobus_write(struct keel_vm *vm, enum keel_bus bus, u64 addr, unsigned int bytes, u64 value)
{
	struct keel_listener *listener = NULL;
	const struct keel_iobus_set *set;
	bool taken;

	rcu_read_lock();
	set = rcu_dereference(vm->iobus.set[bus]);
	if (set)
		listener = keel_iobus_find(set, addr, bytes, value);
	taken = listener && deliver(listener);
	rcu_read_unlock();
	return taken;
}

/* Would some write have to go to both? */
static bool collide(const struct keel_iobus_key *a, const struct keel_iobus_key *b)
{
	return a->addr == b->addr && (!a->bytes || !b->bytes || a->bytes == b->bytes) &&
	       (!a->match || !b->match || a->value == b->value);
}

static bool collides(const struct keel_iobus_set *set, const struct keel_iobus_key *key)
{
	const struct keel_iobus_key from = { .addr = key->addr };
	unsigned int i;

	for (i = position(set, &from); set && i < set->nr; i++) {
		if (set->entry[i]->key.addr != key->addr)
			return false;
		if (collide(&set->entry[i]->key, key))
			return true;
	}
	return false;
}

static struct keel_iobus_set *set_alloc(unsigned int nr)
{
	struct keel_iobus_set *set;

	set = kvmalloc(struct_size(set, entry, nr), GFP_KERNEL_ACCOUNT);
	if (set)
		set->nr = nr;
	return set;
}

static void set_publish(struct keel_iobus *iobus, enum keel_bus bus, struct keel_iobus_set *was,
			struct keel_iobus_set *set)
{
	rcu_assign_pointer(iobus->set[bus], set);
	if (was)
		kvfree_rcu(was, rcu);
}

static int add_locked(struct keel_iobus *iobus, enum keel_bus bus, struct keel_listener *listener)
{
	struct keel_iobus_set *was, *set;
	unsigned int nr, at;

	was = rcu_dereference_protected(iobus->set[bus], lockdep_is_held(&iobus->lock));
	nr = was ? was->nr : 0;
	if (nr >= MAX_LISTENERS)
		return -ENOSPC;
	if (collides(was, &listener->key))
		return -EEXIST;
	set = set_alloc(nr + 1);
	if (!set)
		return -ENOMEM;
	at = position(was, &listener->key);
	if (was) {
		memcpy(set->entry, was->entry, flex_array_size(set, entry, at));
		memcpy(set->entry + at + 1, was->entry + at, flex_array_size(set, entry, nr - at));
	}
	set->entry[at] = listener;
	set_publish(iobus, bus, was, set);
	return 0;
}

int keel_iobus_add(struct keel_vm *vm, enum keel_bus bus, struct keel_listener *listener)
{
	int ret;

	spin_lock_init(&listener->lock);
	listener->gone = false;
	mutex_lock(&vm->iobus.lock);
	ret = add_locked(&vm->iobus, bus, listener);
	mutex_unlock(&vm->iobus.lock);
	return ret;
}

/* No delivery is under way or will start; then the event is not ours any more. */
static void listener_end(struct keel_listener *listener)
{
	spin_lock(&listener->lock);
	listener->gone = true;
	spin_unlock(&listener->lock);
	eventfd_ctx_put(listener->event);
}

static int del_locked(struct keel_vm *vm, enum keel_bus bus, const struct keel_iobus_key *key,
		      const struct eventfd_ctx *event)
{
	struct keel_iobus *iobus = &vm->iobus;
	struct keel_iobus_set *was, *set = NULL;
	struct keel_listener *listener;
	unsigned int at;

	was = rcu_dereference_protected(iobus->set[bus], lockdep_is_held(&iobus->lock));
	at = position(was, key);
	if (!was || at == was->nr)
		return -ENOENT;
	listener = was->entry[at];
	if (key_cmp(&listener->key, key) || listener->event != event)
		return -ENOENT;
	if (was->nr > 1) {
		set = set_alloc(was->nr - 1);
		if (!set)
			return -ENOMEM;
		memcpy(set->entry, was->entry, flex_array_size(set, entry, at));
		memcpy(set->entry + at, was->entry + at + 1,
		       flex_array_size(set, entry, set->nr - at));
	}
	set_publish(iobus, bus, was, set);
	keel_vm_request_all(vm, KEEL_REQ_KICK);
	listener_end(listener);
	kfree_rcu(listener, rcu);
	return 0;
}

int keel_iobus_del(struct keel_vm *vm, enum keel_bus bus, const struct keel_iobus_key *key,
		   const struct eventfd_ctx *event)
{
	int ret;

	mutex_lock(&vm->iobus.lock);
	ret = del_locked(vm, bus, key, event);
	mutex_unlock(&vm->iobus.lock);
	return ret;
}

void keel_iobus_init(struct keel_vm *vm)
{
	unsigned int bus;

	mutex_init(&vm->iobus.lock);
	for (bus = 0; bus < KEEL_BUS_NR; bus++)
		RCU_INIT_POINTER(vm->iobus.set[bus], NULL);
}

void keel_iobus_free(struct keel_vm *vm)
{
	struct keel_iobus_set *set;
	unsigned int bus, i;

	for (bus = 0; bus < KEEL_BUS_NR; bus++) {
		set = rcu_dereference_raw(vm->iobus.set[bus]);
		RCU_INIT_POINTER(vm->iobus.set[bus], NULL);
		for (i = 0; set && i < set->nr; i++) {
			listener_end(set->entry[i]);
			kfree(set->entry[i]);
		}
		kvfree(set);
	}
}
