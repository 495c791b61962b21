// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_IRQFD: an eventfd that raises a line, and, for level-triggered lines, a second one that is told when
 * the guest has acknowledged it.
 *
 * Owns: vm->irq.irqfds and vm->irq.resamplers. Does not own: what the line leads to (irqroute.c).
 * Contexts: requests in task context under irq.lock; the wake-up callback under the eventfd's wait-queue
 * lock with IRQs off, which is where the interrupt is sent from; acknowledgements in any context under RCU.
 *
 * An irqfd ends by request, by the last close of its eventfd, or with the VM. All three queue the same
 * work, which alone frees it.
 * Source: KVM API, KVM_IRQFD.
 */
#include <keel/arch.h>
#include <keel/irq.h>
#include <keel/uapi.h>
#include <keel/vm.h>
#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

/* Legend: A atomic; I immutable; L irq.lock; R RCU, written under irq.lock; W the eventfd's wait-queue lock. */
struct keel_irqfd {
	struct keel_vm *vm;			/* I */
	u32 gsi;				/* I */
	struct eventfd_ctx *event;		/* I: a reference */
	struct eventfd_ctx *resample;		/* I: a reference, or NULL for an edge-triggered line */
	wait_queue_entry_t wait;		/* W */
	poll_table poll;
	struct hlist_node link;			/* L: in irqfds until it is ending */
	struct hlist_node ack;			/* R: in resamplers */
	unsigned long ending;			/* A: bit 0, end is queued; only once, as it frees the irqfd */
	struct work_struct end;
	struct rcu_head rcu;
};

static struct workqueue_struct *irqfd_end_wq;

static void irqfd_raise(struct keel_irqfd *irqfd)
{
	if (irqfd->resample) {
		keel_irq_set(irqfd->vm, irqfd->gsi, KEEL_SOURCE_RESAMPLE, true);
	} else {
		keel_irq_set(irqfd->vm, irqfd->gsi, KEEL_SOURCE_USER, true);
		keel_irq_set(irqfd->vm, irqfd->gsi, KEEL_SOURCE_USER, false);
	}
}

/* A last close may come while a request's end is under way already. Context: any. */
static void irqfd_end_start(struct keel_irqfd *irqfd)
{
	if (!test_and_set_bit(0, &irqfd->ending))
		queue_work(irqfd_end_wq, &irqfd->end);
}

/* The eventfd was written, or its last reference is going. IRQs off, its wait-queue lock held. */
static int irqfd_wake(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct keel_irqfd *irqfd = container_of(wait, struct keel_irqfd, wait);
	__poll_t flags = key_to_poll(key);
	u64 count;

	if (flags & EPOLLIN) {
		eventfd_ctx_do_read(irqfd->event, &count);
		irqfd_raise(irqfd);
	}
	if (flags & EPOLLHUP)
		irqfd_end_start(irqfd);
	return 0;
}

static void irqfd_poll_queue(struct file *file, wait_queue_head_t *head, poll_table *poll)
{
	struct keel_irqfd *irqfd = container_of(poll, struct keel_irqfd, poll);

	add_wait_queue(head, &irqfd->wait);
}

static void irqfd_free_rcu(struct rcu_head *rcu)
{
	struct keel_irqfd *irqfd = container_of(rcu, struct keel_irqfd, rcu);

	if (irqfd->resample)
		eventfd_ctx_put(irqfd->resample);
	kfree(irqfd);
}

/* Is a resampling irqfd left that would lower this GSI? */
static bool resampled(struct keel_vm *vm, u32 gsi)
{
	struct keel_irqfd *irqfd;

	hlist_for_each_entry(irqfd, &vm->irq.resamplers, ack)
		if (irqfd->gsi == gsi)
			return true;
	return false;
}

static void irqfd_unlink(struct keel_irqfd *irqfd)
{
	struct keel_vm *vm = irqfd->vm;

	lockdep_assert_held(&vm->irq.lock);
	if (hlist_unhashed(&irqfd->link))
		return;
	hlist_del_init(&irqfd->link);
	if (!irqfd->resample)
		return;
	hlist_del_rcu(&irqfd->ack);
	if (!resampled(vm, irqfd->gsi))
		keel_irq_set(vm, irqfd->gsi, KEEL_SOURCE_RESAMPLE, false);
}

static void irqfd_end(struct work_struct *work)
{
	struct keel_irqfd *irqfd = container_of(work, struct keel_irqfd, end);
	struct keel_vm *vm = irqfd->vm;
	u64 count;

	eventfd_ctx_remove_wait_queue(irqfd->event, &irqfd->wait, &count);
	mutex_lock(&vm->irq.lock);
	irqfd_unlink(irqfd);
	mutex_unlock(&vm->irq.lock);
	eventfd_ctx_put(irqfd->event);
	call_rcu(&irqfd->rcu, irqfd_free_rcu);
}

static int irqfd_link(struct keel_irqfd *irqfd)
{
	struct keel_vm *vm = irqfd->vm;
	struct keel_irqfd *other;

	lockdep_assert_held(&vm->irq.lock);
	hlist_for_each_entry(other, &vm->irq.irqfds, link)
		if (other->event == irqfd->event)
			return -EBUSY;
	hlist_add_head(&irqfd->link, &vm->irq.irqfds);
	vm->irq.had_irqfds = true;
	if (irqfd->resample)
		hlist_add_head_rcu(&irqfd->ack, &vm->irq.resamplers);
	return 0;
}

static int assign(struct keel_vm *vm, const struct kvm_irqfd *args)
{
	struct keel_irqfd *irqfd = kzalloc(sizeof(*irqfd), GFP_KERNEL_ACCOUNT);
	struct fd fd;
	int err;

	if (!irqfd)
		return -ENOMEM;
	irqfd->vm = vm;
	irqfd->gsi = args->gsi;
	INIT_WORK(&irqfd->end, irqfd_end);
	init_waitqueue_func_entry(&irqfd->wait, irqfd_wake);
	init_poll_funcptr(&irqfd->poll, irqfd_poll_queue);
	fd = fdget(args->fd);
	if (!fd.file) {
		err = -EBADF;
		goto free;
	}
	irqfd->event = eventfd_ctx_fileget(fd.file);
	if (IS_ERR(irqfd->event)) {
		err = PTR_ERR(irqfd->event);
		goto put_file;
	}
	if (args->flags & KVM_IRQFD_FLAG_RESAMPLE) {
		irqfd->resample = eventfd_ctx_fdget(args->resamplefd);
		if (IS_ERR(irqfd->resample)) {
			err = PTR_ERR(irqfd->resample);
			goto put_event;
		}
	}
	mutex_lock(&vm->irq.lock);
	err = irqfd_link(irqfd);
	/* What was written before counts; our reference to the file keeps the eventfd from hanging up here. */
	if (!err && vfs_poll(fd.file, &irqfd->poll) & EPOLLIN)
		irqfd_raise(irqfd);
	mutex_unlock(&vm->irq.lock);
	if (!err) {
		fdput(fd);
		return 0;
	}
	if (irqfd->resample)
		eventfd_ctx_put(irqfd->resample);
put_event:
	eventfd_ctx_put(irqfd->event);
put_file:
	fdput(fd);
free:
	kfree(irqfd);
	return err;
}

static int deassign(struct keel_vm *vm, const struct kvm_irqfd *args)
{
	struct eventfd_ctx *event = eventfd_ctx_fdget(args->fd);
	struct keel_irqfd *irqfd;
	struct hlist_node *next;

	if (IS_ERR(event))
		return PTR_ERR(event);
	mutex_lock(&vm->irq.lock);
	hlist_for_each_entry_safe(irqfd, next, &vm->irq.irqfds, link) {
		if (irqfd->event == event && irqfd->gsi == args->gsi) {
			irqfd_unlink(irqfd);
			irqfd_end_start(irqfd);
		}
	}
	mutex_unlock(&vm->irq.lock);
	eventfd_ctx_put(event);
	/* When this returns the eventfd raises nothing any more. */
	flush_workqueue(irqfd_end_wq);
	return 0;
}

int keel_irqfd(struct keel_vm *vm, const struct kvm_irqfd *args)
{
	if (args->flags & ~(KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE))
		return -EINVAL;
	if (args->flags & KVM_IRQFD_FLAG_DEASSIGN)
		return deassign(vm, args);
	if (!keel_arch_has_chips(vm) || args->gsi >= KEEL_NR_GSIS)
		return -EINVAL;
	return assign(vm, args);
}

void keel_irqfds_free(struct keel_vm *vm)
{
	struct keel_irqfd *irqfd;
	struct hlist_node *next;
	bool any;

	mutex_lock(&vm->irq.lock);
	hlist_for_each_entry_safe(irqfd, next, &vm->irq.irqfds, link) {
		irqfd_unlink(irqfd);
		irqfd_end_start(irqfd);
	}
	any = vm->irq.had_irqfds;
	mutex_unlock(&vm->irq.lock);
	/* Also for those whose eventfd was closed a moment ago. */
	if (any)
		flush_workqueue(irqfd_end_wq);
}

/* --- acknowledgements ------------------------------------------------------------------------- */

void keel_irq_acked(struct keel_vm *vm, u8 chip, u16 pin)
{
	struct keel_irqfd *irqfd;

	rcu_read_lock();
	hlist_for_each_entry_rcu(irqfd, &vm->irq.resamplers, ack) {
		if (!keel_irqroute_leads(vm, irqfd->gsi, chip, pin))
			continue;
		keel_irq_set(vm, irqfd->gsi, KEEL_SOURCE_RESAMPLE, false);
		eventfd_signal(irqfd->resample, 1);
	}
	rcu_read_unlock();
}

int __init keel_irqfd_module_init(void)
{
	irqfd_end_wq = alloc_workqueue("keel-irqfd", 0, 0);
	return irqfd_end_wq ? 0 : -ENOMEM;
}

void keel_irqfd_module_exit(void)
{
	destroy_workqueue(irqfd_end_wq);
}
