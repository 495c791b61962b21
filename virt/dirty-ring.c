// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty rings: each vCPU lists the frames it writes; user space collects the entries and hands them back with
 * KVM_RESET_DIRTY_RINGS, which takes write permission from the frames again.
 *
 * Owns: struct keel_dirty_ring, the shared entries. Does not own: slots and their bitmaps (slots.c, dirty.c),
 * the arithmetic (pure/dring.c). Contexts: marking in any that has a vCPU loaded, IRQs off too; else task.
 * Source: KVM API, KVM_CAP_DIRTY_LOG_RING.
 *
 * A logged slot has its bitmap all the same: a set bit says that the frame stands in some ring and was not handed
 * back yet. So a frame is listed once however often it is written, and what holds for the bitmap holds here: a
 * frame whose bit is clear is not writable to the guest. Handing back clears the bit, then takes write permission,
 * then flushes, all before the ioctl returns; user space reads the frame after that. A store before the bit was
 * cleared is in what it reads; one after that lists the frame anew.
 *
 * Only the vCPU's own thread fills its ring (head), only a holder of slots.lock empties it (tail). The entries are
 * user space's to scribble on: it alone suffers. Each is read once, and what it names is checked.
 */
#include <keel/arch.h>
#include <keel/mem.h>
#include <keel/uapi.h>
#include <keel/vcpu.h>
#include <keel/vm.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/sched.h>
#include <linux/vmalloc.h>

static_assert(sizeof(struct kvm_dirty_gfn) == DRING_ENTRY_BYTES);

/* What one reset looks at before it lets others run. */
#define RESET_BATCH 512

int keel_dirty_ring_enable(struct keel_vm *vm, const u64 *args)
{
	struct keel_slot *slot;
	unsigned long id;

	lockdep_assert_held(&vm->lock);
	switch (dring_check(args[0])) {
	case DRING_BAD_SIZE:
		return -EINVAL;
	case DRING_TOO_LARGE:
		return -E2BIG;
	case DRING_OK:
		break;
	}
	if (vm->nr_vcpus || vm->slots.ring)
		return -EINVAL;
	if (mutex_lock_killable(&vm->slots.lock))
		return -EINTR;
	WRITE_ONCE(vm->slots.ring, args[0] / DRING_ENTRY_BYTES);
	/* Without a vCPU nobody has looked at it yet. */
	xa_for_each(&vm->slots.ids, id, slot)
		slot->ring = true;
	mutex_unlock(&vm->slots.lock);
	return 0;
}

int keel_dirty_ring_new(struct keel_vcpu *vcpu)
{
	u32 size = vcpu->vm->slots.ring;

	if (!size)
		return 0;
	vcpu->ring.entry = __vmalloc((size_t)size * DRING_ENTRY_BYTES, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	return vcpu->ring.entry ? 0 : -ENOMEM;
}

void keel_dirty_ring_free(struct keel_vcpu *vcpu)
{
	vfree(vcpu->ring.entry);
}

struct page *keel_dirty_ring_page(struct keel_vcpu *vcpu, unsigned long nr)
{
	u64 pages = (u64)vcpu->vm->slots.ring * DRING_ENTRY_BYTES / PAGE_SIZE;

	return nr < pages ? vmalloc_to_page((void *)vcpu->ring.entry + nr * PAGE_SIZE) : NULL;
}

bool keel_dirty_ring_full(const struct keel_vcpu *vcpu)
{
	const struct keel_dirty_ring *ring = &vcpu->ring;

	return ring->lost || (ring->entry && dring_full(vcpu->vm->slots.ring, dring_used(ring->head, smp_load_acquire(&ring->tail))));
}

static void ring_push(struct keel_vcpu *vcpu, u32 slot, u64 offset)
{
	struct keel_dirty_ring *ring = &vcpu->ring;
	u32 size = vcpu->vm->slots.ring, head = ring->head;
	/* Pairs with the release in ring_reset(): the entry is taken back, and its flags are 0. */
	u32 used = dring_used(head, smp_load_acquire(&ring->tail));
	struct kvm_dirty_gfn *entry = &ring->entry[dring_entry(size, head)];

	if (dring_full(size, used + 1))
		keel_vcpu_request_own(vcpu, KEEL_REQ_DIRTY_RING);
	/* More than DRING_RESERVE frames since the request was last looked at. KVM_RUN will say so. */
	if (unlikely(used >= size)) {
		ring->lost = true;
		return;
	}
	WRITE_ONCE(entry->slot, slot);
	WRITE_ONCE(entry->offset, offset);
	/* Pairs with user space's acquire: the flag is seen, so is the frame. */
	smp_store_release(&entry->flags, KVM_DIRTY_GFN_F_DIRTY);
	smp_store_release(&ring->head, head + 1); /* with ring_reset(): the entry is whole */
}

void keel_dirty_ring_mark(struct keel_slot *slot, gfn_t gfn)
{
	struct keel_vcpu *vcpu = keel_vcpu_current();
	u64 index = slotgeo_index(&slot->geo, gfn);
	u32 space = gfn_raw(gfn) >> KEEL_SPACE_SHIFT;

	/* A full barrier: the data was stored before the bit is looked at. */
	if (!test_and_set_bit(index, slot->dirty) && !WARN_ON_ONCE(!vcpu))
		ring_push(vcpu, space << 16 | slot->geo.id, index);
}

/* Take back the frames of @word, if there still are such. */
static void word_reset(struct keel_vm *vm, const struct dring_word *word, bool *flush)
{
	struct keel_slot *slot = word->bits && keel_slot_number(word->slot) ? keel_slot_by_id(vm, word->slot) : NULL;
	unsigned long bits = word->bits;
	u64 words;

	if (!slot || !slot->dirty)
		return;
	words = slotgeo_bitmap_bytes(&slot->geo) / sizeof(unsigned long);
	/* Bits behind the slot's end are never set in its bitmap, so they do not come through. */
	if (word->index < words)
		keel_dirty_take(vm, slot, array_index_nospec(word->index, words), &bits, 1, flush);
}

/* Empty the ring up to the first entry that user space has not handed back. Return: how many. */
static u32 ring_reset(struct keel_vm *vm, struct keel_dirty_ring *ring, bool *flush)
{
	u32 size = vm->slots.ring, at = ring->tail, end = smp_load_acquire(&ring->head);
	struct dring_word word = { };
	u32 nr = 0;

	for (; at != end; at++, nr++) {
		struct kvm_dirty_gfn *entry = &ring->entry[dring_entry(size, at)];
		u32 slot;
		u64 offset;

		if (!(smp_load_acquire(&entry->flags) & KVM_DIRTY_GFN_F_RESET))
			break;
		slot = READ_ONCE(entry->slot);
		offset = READ_ONCE(entry->offset);
		WRITE_ONCE(entry->flags, 0);
		smp_store_release(&ring->tail, at + 1); /* with ring_push() */
		if (!dring_gather(&word, slot, offset)) {
			word_reset(vm, &word, flush);
			word.bits = 0;
			dring_gather(&word, slot, offset);
		}
		if (nr % RESET_BATCH == RESET_BATCH - 1)
			cond_resched();
	}
	word_reset(vm, &word, flush);
	return nr;
}

long keel_dirty_rings_reset(struct keel_vm *vm)
{
	struct keel_vcpu *vcpu;
	bool flush = false;
	unsigned long id;
	long nr = 0;

	if (!READ_ONCE(vm->slots.ring))
		return -EINVAL;
	if (mutex_lock_killable(&vm->slots.lock))
		return -EINTR;
	xa_for_each(&vm->vcpus, id, vcpu)
		nr += ring_reset(vm, &vcpu->ring, &flush);
	if (flush)
		keel_arch_flush(vm);
	mutex_unlock(&vm->slots.lock);
	return nr;
}
