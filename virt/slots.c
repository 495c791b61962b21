// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory slots: which guest frames are backed by which host addresses.
 *
 * Owns struct keel_slots: the published set, the numbers, the order of steps when a slot changes.
 * Does not own geometry (pure/slotgeo.c decides what is acceptable and computes all positions), the
 * nested mappings (arch core) or the host pages (pfn.c). Runs in task context; readers anywhere.
 *
 * A change makes a new set and, where a slot that exists changes, a new slot object. Readers see
 * either the old set or the new one, whole. What was unpublished is freed by call_rcu(): no ioctl
 * waits for a grace period. What makes that safe, in order, when a slot is unpublished:
 *  1. slots.access is taken for writing: kernel copies that found the old slot are over. It is let
 *     go after step 2; later copies find the new set.
 *  2. Under mmu_lock: the new set is published, then generation is raised. A fault read generation
 *     before it looked up its slot, so one that knows the old slot finds generation changed when it
 *     comes to install, and starts over.
 *  3. Still in that lock section the slot's geometry goes to `leaving`: an invalidation that comes
 *     while mmu_lock is dropped between batches would not find it in the set.
 *  4. The nested mappings are zapped and flushed; `leaving` ends.
 * Then user space may unmap or reuse the memory, and the dirty bits of the old object are final.
 */
#include <keel/arch.h>
#include <keel/mem.h>
#include <keel/uapi.h>
#include <keel/vm.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>

/* Frames write-protected in one go: bounds a hold of mmu_lock. */
#define WRPROT_BATCH 32768ULL

struct keel_slotset {
	struct slot_set geo;		/* I: .slot is entry[] */
	u64 hva, hva_end;		/* I: hull of all host addresses */
	struct slot_hint hint;		/* racy */
	struct rcu_head rcu;
	const struct slot_geo *entry[];	/* I: each in a struct keel_slot */
};

static struct keel_slotset no_slots = { .geo.slot = no_slots.entry };

static struct keel_slot *slot_of(const struct slot_geo *geo)
{
	return geo ? container_of(geo, struct keel_slot, geo) : NULL;
}

static void slot_free(struct keel_slot *slot)
{
	kvfree(slot->dirty);
	kfree(slot);
}

static void slot_free_rcu(struct rcu_head *rcu)
{
	slot_free(container_of(rcu, struct keel_slot, rcu));
}

static void set_free(struct keel_slotset *set)
{
	if (set != &no_slots)
		kvfree(set);
}

static void set_free_rcu(struct rcu_head *rcu)
{
	kvfree(container_of(rcu, struct keel_slotset, rcu));
}

/* @all: a log begins with all bits set. */
static struct keel_slot *slot_new(const struct slot_geo *geo, bool all)
{
	struct keel_slot *slot = kzalloc(sizeof(*slot), GFP_KERNEL_ACCOUNT);

	if (!slot)
		return NULL;
	slot->geo = *geo;
	if (geo->flags & SLOTGEO_LOG_DIRTY) {
		slot->dirty = keel_dirty_alloc(geo->npages, all);
		if (!slot->dirty) {
			kfree(slot);
			return NULL;
		}
		slot->all = all;
	}
	return slot;
}

/* The set @from without @remove and with @add, either of which may be NULL. */
static struct keel_slotset *set_new(const struct keel_slotset *from, const struct keel_slot *remove,
				    const struct keel_slot *add)
{
	unsigned int nr = from->geo.nr - !!remove + !!add, at, i, n = 0;
	struct keel_slotset *set;
	u64 end;

	if (!nr)
		return &no_slots;
	set = kvmalloc(struct_size(set, entry, nr), GFP_KERNEL_ACCOUNT);
	if (!set)
		return NULL;
	at = add ? slotgeo_position(&from->geo, add->geo.base) : from->geo.nr;
	set->hva = U64_MAX;
	set->hva_end = 0;
	for (i = 0; i <= from->geo.nr; i++) {
		if (add && i == at)
			set->entry[n++] = &add->geo;
		if (i < from->geo.nr && (!remove || from->entry[i] != &remove->geo))
			set->entry[n++] = from->entry[i];
	}
	for (i = 0; i < n; i++) {
		end = set->entry[i]->hva + (set->entry[i]->npages << PAGE_SHIFT);
		set->hva = min(set->hva, set->entry[i]->hva);
		set->hva_end = max(set->hva_end, end);
	}
	set->geo.slot = set->entry;
	set->geo.nr = n;
	set->hint = (struct slot_hint){ };
	return set;
}

int keel_slots_init(struct keel_vm *vm)
{
	struct keel_slots *slots = &vm->slots;

	mutex_init(&slots->lock);
	init_rwsem(&slots->access);
	xa_init_flags(&slots->ids, XA_FLAGS_ACCOUNT);
	RCU_INIT_POINTER(slots->set, &no_slots);
	slots->generation = 0;
	slots->leaving.npages = 0;
	return 0;
}

void keel_slots_free(struct keel_vm *vm)
{
	struct keel_slots *slots = &vm->slots;
	struct keel_slotset *set = rcu_dereference_raw(slots->set);
	struct keel_slot *slot;
	unsigned long id;

	if (!set)
		return;
	xa_for_each(&slots->ids, id, slot)
		slot_free(slot);
	xa_destroy(&slots->ids);
	set_free(set);
	RCU_INIT_POINTER(slots->set, NULL);
}

static struct keel_slotset *set_get(struct keel_vm *vm)
{
	return rcu_dereference_check(vm->slots.set, lockdep_is_held(&vm->slots.lock) ||
				     lockdep_is_held(&vm->mmu_lock));
}

struct keel_slot *keel_slot_find(struct keel_vm *vm, gfn_t gfn)
{
	const struct slot_geo *geo;
	struct keel_slotset *set;

	/* The set itself may go while the caller holds only slots.access; its slots may not. */
	rcu_read_lock_sched();
	set = rcu_dereference_sched(vm->slots.set);
	geo = slotgeo_find(&set->geo, gfn, &set->hint);
	rcu_read_unlock_sched();
	return slot_of(geo);
}

struct keel_slot *keel_slot_by_id(struct keel_vm *vm, u32 slot)
{
	lockdep_assert_held(&vm->slots.lock);
	return xa_load(&vm->slots.ids, slot);
}

bool keel_slots_hva_next(struct keel_vm *vm, u64 hva, u64 hva_end, gfn_t *cursor, gfn_t *first,
			 gfn_t *last)
{
	struct keel_slotset *set;
	unsigned int i;

	lockdep_assert_held(&vm->mmu_lock);
	set = set_get(vm);
	if (hva >= set->hva_end || hva_end <= set->hva)
		return false;
	for (i = slotgeo_first_ending_after(&set->geo, *cursor); i < set->geo.nr; i++) {
		*cursor = slotgeo_end(set->entry[i]);
		if (slotgeo_hva_range(set->entry[i], hva, hva_end, first, last))
			return true;
	}
	return false;
}

/* Have the next write of each frame of @geo seen. */
static void slot_wrprot(struct keel_vm *vm, const struct slot_geo *geo)
{
	u64 at = gfn_raw(geo->base), end = at + geo->npages, next;
	bool flush = false;

	lockdep_assert_held(&vm->mmu_lock);
	for (; at < end; at = next) {
		next = min(end, at + WRPROT_BATCH);
		keel_arch_wrprot(vm, to_gfn(at), to_gfn(next), &flush);
		cond_resched_lock(&vm->mmu_lock);
	}
	/* Nobody else takes write-protected for flushed: only changes of slots and logs do both. */
	if (flush)
		keel_arch_flush(vm);
}

/* What was logged in the old object up to its last user belongs to the new one as well. */
static void dirty_carry(struct keel_slot *to, const struct keel_slot *from)
{
	u64 i, words = slotgeo_bitmap_bytes(&from->geo) / sizeof(u64);

	if (!to || !to->dirty || !from->dirty)
		return;
	for (i = 0; i < words; i++) {
		if (from->dirty[i])
			atomic_long_or(from->dirty[i], (atomic_long_t *)&to->dirty[i]);
		if (!(i & 0xffff))
			cond_resched();
	}
}

/*
 * Make @set with the change from @old to @new (one may be NULL) the VM's, and undo what was built
 * on the old state; see the top of the file. With @old, slots.access is held for writing and let go.
 * Cannot fail.
 */
static void slots_commit(struct keel_vm *vm, struct keel_slotset *set, struct keel_slot *old,
			 struct keel_slot *new, bool zap)
{
	struct keel_slots *slots = &vm->slots;
	struct keel_slotset *was = set_get(vm);
	unsigned int logging = slots->logging + (new && new->dirty) - (old && old->dirty);
	bool flush = false;

	spin_lock(&vm->mmu_lock);
	rcu_assign_pointer(slots->set, set);
	swap(slots->logging, logging);
	if (!slots->logging != !logging)
		keel_arch_logging(vm);
	if (old) {
		/* Pairs with the acquire of the fault path's find_slot(): new generation seen, new set seen. */
		smp_store_release(&slots->generation, slots->generation + 1);
		keel_gpa_poke_wait(vm);
		up_write(&slots->access);
	}
	if (zap) {
		slots->leaving = old->geo;
		keel_arch_zap(vm, old->geo.base, slotgeo_end(&old->geo), true, &flush);
		if (flush)
			keel_arch_flush(vm);
		slots->leaving.npages = 0;
	} else if (old && new->dirty && !new->all) {
		slot_wrprot(vm, &new->geo);
	}
	spin_unlock(&vm->mmu_lock);

	if (old) {
		dirty_carry(new, old);
		call_rcu(&old->rcu, slot_free_rcu);
	}
	if (was != &no_slots)
		call_rcu(&was->rcu, set_free_rcu);
}

/* @number: with the address space. */
static int slots_change(struct keel_vm *vm, const struct slot_geo *geo, u32 number)
{
	struct keel_slotset *set = set_get(vm), *next;
	struct keel_slot *old = xa_load(&vm->slots.ids, number), *new = NULL;
	enum slot_refusal refusal;
	enum slot_change change;
	int err = -ENOMEM;

	refusal = slotgeo_classify(&set->geo, geo, old ? &old->geo : NULL, &change);
	if (refusal != SLOT_OK)
		return slotgeo_errno(refusal);
	if (change == SLOT_NOTHING)
		return 0;
	if (change != SLOT_DELETE) {
		bool all = READ_ONCE(vm->slots.manual) & KVM_DIRTY_LOG_INITIALLY_SET && !vm->slots.ring;

		new = slot_new(geo, all && !(old && old->dirty));
		if (!new)
			return -ENOMEM;
		new->ring = vm->slots.ring;
	}
	next = set_new(set, old, new);
	if (!next)
		goto free_new;
	/* A copy may wait for its page as long as user space likes: nobody waits for it unkillably. */
	if (old && down_write_killable(&vm->slots.access)) {
		err = -EINTR;
		goto free_next;
	}
	/* Replacing or erasing a number that is there allocates nothing. */
	if (xa_err(xa_store(&vm->slots.ids, number, new, GFP_KERNEL_ACCOUNT)))
		goto free_next;
	slots_commit(vm, next, old, new, change == SLOT_DELETE || change == SLOT_MOVE);
	return 0;
free_next:
	set_free(next);
free_new:
	if (new)
		slot_free(new);
	return err;
}

int keel_slots_set(struct keel_vm *vm, const struct kvm_userspace_memory_region2 *region)
{
	const struct slot_request req = {
		.slot = region->slot,
		.flags = region->flags,
		.guest_phys_addr = region->guest_phys_addr,
		.memory_size = region->memory_size,
		.userspace_addr = region->userspace_addr,
	};
	const struct slot_limits limits = {
		.hva_end = TASK_SIZE_MAX,
		.flags = KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY,
		.nr_slots = KEEL_MAX_SLOTS,
		.nr_spaces = KEEL_NR_SPACES,
		.gpa_bits = keel_arch_gpa_bits(),
	};
	enum slot_refusal refusal;
	struct slot_geo geo;
	unsigned int space;
	int ret;

	static_assert(KVM_MEM_LOG_DIRTY_PAGES == SLOTGEO_LOG_DIRTY);
	static_assert(KVM_MEM_READONLY == SLOTGEO_READONLY);

	refusal = slotgeo_validate(&req, &limits, &geo, &space);
	if (refusal != SLOT_OK)
		return slotgeo_errno(refusal);
	geo.base = gfn_add(geo.base, (u64)space << KEEL_SPACE_SHIFT);
	if (mutex_lock_killable(&vm->slots.lock))
		return -EINTR;
	ret = slots_change(vm, &geo, req.slot);
	mutex_unlock(&vm->slots.lock);
	return ret;
}
