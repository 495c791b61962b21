// SPDX-License-Identifier: GPL-2.0-only
/*
 * MMU notifier: what the host does to a process's page tables, carried to the nested tables of the
 * VMs that process made.
 *
 * Owns one object per mm, obtained from mmu_notifier_get() and given back with mmu_notifier_put(), so
 * that freeing it waits for nobody; the object lists the VMs. Does not own the nested tables
 * (arch core) nor the way from host to guest addresses (slots.c, pure/slotgeo.c). Handlers run in any
 * task, under mmap_lock, reverse-map locks or page-table locks; they sleep only when the range says
 * so, and never fail. Linux's Documentation/mm/mmu_notifier.rst describes the protocol.
 *
 * Fault against invalidation. A fault (F) does: read seq; walk the host's tables; take
 * mmu_lock; ask keel_notify_retry(), which takes notify->lock; install; drop mmu_lock. An
 * invalidation (I) does: under notify->lock, in_progress++ and widen the range; for each VM, under its
 * mmu_lock, zap and flush; [the host changes its tables]; under notify->lock, seq++, in_progress--.
 *  - F asks before I's in_progress++: I's zap waits for the mmu_lock F holds, and removes
 *    what F installs, before the host changes anything.
 *  - F asks in between: in_progress is up and the range overlaps; F starts over.
 *  - F asks after I's end: if F read seq before the end, it differs; F starts over. If F
 *    read the new seq (acquire, paired with the release in end), its walk sees the changed tables.
 * The state is kept per mm, not per VM, so a VM that is attached between start and end is
 * refused the range like all others. A registration happens with no invalidation under way.
 *
 * A zap must not leave translations unflushed when mmu_lock is dropped: another handler would find
 * nothing to zap, return, and let the host free the page. keel_arch_zap() flushes before it drops
 * the lock between batches, and the callers here flush before they do.
 *
 * Invalidation against slot change: a slot is in the set, or in slots.leaving, until all its nested
 * mappings are gone and flushed; both are looked at under mmu_lock, the set first, the way a
 * slot goes. Slots that appear meanwhile cannot be mapped: in_progress refuses them.
 *
 * Dirty and accessed: a page is marked dirty when it is mapped where the guest may write it
 * (keel_pfn_dirty()), so that zapping carries nothing back. Ageing does not flush: a cached
 * translation may hide one more access, as it does for the host's own accessed bits on x86.
 */
#include <keel/arch.h>
#include <keel/mem.h>
#include <keel/vm.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/wait.h>

/* Legend: I immutable; N lock. */
struct keel_notify {
	struct mmu_notifier mn;		/* the host's */
	spinlock_t lock;		/* I: innermost of the memory locks */
	struct list_head links;		/* N: struct keel_notify_link */
	unsigned int in_progress;	/* N: invalidations between start and end */
	u64 start, end;			/* N: hull of these, while there are any */
	u64 seq;			/* N: invalidations ended; read without the lock by faults */
	wait_queue_head_t idle;		/* I: detach waits for handlers on its VM */
};

static struct keel_notify *notify_of(struct mmu_notifier *mn)
{
	return container_of(mn, struct keel_notify, mn);
}

static struct keel_vm *vm_of(struct keel_notify_link *link)
{
	return container_of(link, struct keel_vm, notify);
}

/*
 * The VM after @vm (the first for NULL), held by its link's `active`; @vm is let go. A held link
 * stays on the list, so the walk goes on from it though the lock was dropped. In between a new VM
 * may be added at the end, and one that is leaving, which no vCPU runs any more, is passed by.
 */
static struct keel_vm *next_vm(struct keel_notify *notify, struct keel_vm *vm)
{
	struct keel_notify_link *link, *from = vm ? &vm->notify : NULL;
	struct list_head *at = from ? &from->node : &notify->links;
	struct keel_vm *next = NULL;

	spin_lock(&notify->lock);
	for (at = at->next; at != &notify->links; at = at->next) {
		link = list_entry(at, struct keel_notify_link, node);
		if (link->leaving)
			continue;
		link->active++;
		next = vm_of(link);
		break;
	}
	if (from && !--from->active && from->leaving)
		wake_up_all(&notify->idle);
	spin_unlock(&notify->lock);
	return next;
}

#define for_each_vm(notify, vm) \
	for ((vm) = next_vm(notify, NULL); (vm); (vm) = next_vm(notify, vm))

static void zap_hva(struct keel_vm *vm, u64 start, u64 end, bool resched)
{
	struct keel_slots *slots = &vm->slots;
	gfn_t cursor = to_gfn(0), first, last;
	bool flush = false;

	spin_lock(&vm->mmu_lock);
	while (keel_slots_hva_next(vm, start, end, &cursor, &first, &last))
		keel_arch_zap(vm, first, last, resched, &flush);
	if (slots->leaving.npages && slotgeo_hva_range(&slots->leaving, start, end, &first, &last))
		keel_arch_zap(vm, first, last, resched, &flush);
	if (flush)
		keel_arch_flush(vm);
	spin_unlock(&vm->mmu_lock);
}

static int invalidate_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct keel_notify *notify = notify_of(mn);
	struct keel_vm *vm;

	spin_lock(&notify->lock);
	if (!notify->in_progress++) {
		notify->start = range->start;
		notify->end = range->end;
	} else {
		notify->start = min_t(u64, notify->start, range->start);
		notify->end = max_t(u64, notify->end, range->end);
	}
	spin_unlock(&notify->lock);

	for_each_vm(notify, vm)
		zap_hva(vm, range->start, range->end, mmu_notifier_range_blockable(range));
	return 0;
}

static void invalidate_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct keel_notify *notify = notify_of(mn);

	spin_lock(&notify->lock);
	/* Pairs with the acquire in keel_notify_begin(). */
	smp_store_release(&notify->seq, notify->seq + 1);
	notify->in_progress--;
	spin_unlock(&notify->lock);
}

static bool age_hva(struct keel_vm *vm, u64 start, u64 end, bool clear)
{
	gfn_t cursor = to_gfn(0), first, last;
	bool young = false;

	spin_lock(&vm->mmu_lock);
	while ((clear || !young) && keel_slots_hva_next(vm, start, end, &cursor, &first, &last))
		young |= keel_arch_age(vm, first, last, clear);
	spin_unlock(&vm->mmu_lock);
	return young;
}

static int age(struct mmu_notifier *mn, u64 start, u64 end, bool clear)
{
	struct keel_notify *notify = notify_of(mn);
	struct keel_vm *vm;
	bool young = false;

	for_each_vm(notify, vm)
		young |= age_hva(vm, start, end, clear);
	return young;
}

static int clear_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
		       unsigned long end)
{
	return age(mn, start, end, true);
}

static int test_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long address)
{
	return age(mn, address, address + PAGE_SIZE, false);
}

/* The address space goes: its last thread is past running a vCPU, and only current->mm faults. */
static void release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct keel_notify *notify = notify_of(mn);
	struct keel_vm *vm;

	for_each_vm(notify, vm)
		keel_arch_zap_all(vm);
}

static struct mmu_notifier *notify_alloc(struct mm_struct *mm)
{
	struct keel_notify *notify = kzalloc(sizeof(*notify), GFP_KERNEL_ACCOUNT);

	if (!notify)
		return ERR_PTR(-ENOMEM);
	spin_lock_init(&notify->lock);
	INIT_LIST_HEAD(&notify->links);
	init_waitqueue_head(&notify->idle);
	return &notify->mn;
}

static void notify_free(struct mmu_notifier *mn)
{
	kfree(notify_of(mn));
}

static const struct mmu_notifier_ops notify_ops = {
	.release = release,
	.clear_flush_young = clear_young,
	.clear_young = clear_young,
	.test_young = test_young,
	.invalidate_range_start = invalidate_start,
	.invalidate_range_end = invalidate_end,
	.alloc_notifier = notify_alloc,
	.free_notifier = notify_free,
};

int keel_notify_attach(struct keel_vm *vm)
{
	struct keel_notify_link *link = &vm->notify;
	struct mmu_notifier *mn = mmu_notifier_get(&notify_ops, current->mm);

	if (IS_ERR(mn))
		return PTR_ERR(mn);
	link->notify = notify_of(mn);
	link->active = 0;
	link->leaving = false;
	spin_lock(&link->notify->lock);
	list_add_tail(&link->node, &link->notify->links);
	spin_unlock(&link->notify->lock);
	return 0;
}

void keel_notify_detach(struct keel_vm *vm)
{
	struct keel_notify_link *link = &vm->notify;
	struct keel_notify *notify = link->notify;

	if (!notify)
		return;
	spin_lock(&notify->lock);
	link->leaving = true;
	spin_unlock(&notify->lock);
	wait_event(notify->idle, !READ_ONCE(link->active));
	spin_lock(&notify->lock);
	list_del(&link->node);
	spin_unlock(&notify->lock);
	link->notify = NULL;
	mmu_notifier_put(&notify->mn);
}

u64 keel_notify_begin(struct keel_vm *vm)
{
	/* Pairs with the release in invalidate_end(). */
	return smp_load_acquire(&vm->notify.notify->seq);
}

bool keel_notify_retry(struct keel_vm *vm, u64 seq, u64 hva, u64 hva_end)
{
	struct keel_notify *notify = vm->notify.notify;
	bool retry;

	lockdep_assert_held(&vm->mmu_lock);
	spin_lock(&notify->lock);
	retry = notify->seq != seq ||
		(notify->in_progress && hva < notify->end && notify->start < hva_end);
	spin_unlock(&notify->lock);
	return retry;
}

void keel_notify_drain(void)
{
	mmu_notifier_synchronize();
}
