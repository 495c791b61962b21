/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Geometry of memory slots: which user memory regions are acceptable, how a request relates to the
 * slots that exist, and the arithmetic between gfn, host virtual address and dirty bitmap.
 * Lifetime, locking and RCU publication are the caller's (virt/slots.c).
 */
#ifndef KEEL_PURE_SLOTGEO_H
#define KEEL_PURE_SLOTGEO_H

#include "types.h"

/* Values of KVM_MEM_LOG_DIRTY_PAGES and KVM_MEM_READONLY in the ABI. */
#define SLOTGEO_LOG_DIRTY BIT64(0)
#define SLOTGEO_READONLY BIT64(1)

/* The largest slot: a dirty bitmap index fits a positive int. */
#define SLOTGEO_MAX_PAGES ((1ULL << 31) - 1)

/* One slot. npages > 0 in every slot that exists. */
struct slot_geo {
	gfn_t base; /* first frame */
	u64 npages;
	u64 hva; /* host user address of the first byte */
	u32 flags;
	u16 id; /* within its address space */
};

/* The slots of one address space, by ascending base, without overlap. */
struct slot_set {
	const struct slot_geo *const *slot;
	unsigned int nr;
};

/* A user's request: the fields of struct kvm_userspace_memory_region. */
struct slot_request {
	u32 slot; /* address space in bits 31:16, id in bits 15:0 */
	u32 flags;
	u64 guest_phys_addr;
	u64 memory_size; /* bytes; 0 deletes */
	u64 userspace_addr;
};

/* What this VM and this host take. */
struct slot_limits {
	u64 hva_end; /* first host address that no user mapping reaches (TASK_SIZE_MAX) */
	u32 flags; /* flags offered */
	u32 nr_slots; /* ids per address space, <= 65536 */
	u32 nr_spaces; /* address spaces, >= 1 */
	u8 gpa_bits; /* guest-physical address width, <= 52 */
};

/* Why a request is refused. */
enum slot_refusal {
	SLOT_OK,
	SLOT_BAD_FLAGS, /* a flag that is not offered */
	SLOT_BAD_SPACE, /* no such address space */
	SLOT_BAD_ID, /* no such slot number */
	SLOT_BAD_SIZE, /* size not a multiple of 4 KiB, or more than SLOTGEO_MAX_PAGES */
	SLOT_BAD_GPA, /* not 4 KiB aligned, wraps, or ends past gpa_bits */
	SLOT_BAD_HVA, /* not 4 KiB aligned, wraps, or ends past hva_end */
	SLOT_NO_SUCH_SLOT, /* delete of a slot that does not exist */
	SLOT_RESIZED, /* a slot that exists keeps its size */
	SLOT_REHOSTED, /* a slot that exists keeps its userspace address */
	SLOT_READONLY_TOGGLED, /* a slot that exists stays read-only or writable */
	SLOT_OVERLAP, /* shares a frame with another slot */
	SLOT_NR_REFUSALS,
};

/* What an accepted request does. */
enum slot_change {
	SLOT_NOTHING, /* asks for what is there */
	SLOT_CREATE,
	SLOT_DELETE,
	SLOT_MOVE, /* new base, perhaps new flags too */
	SLOT_FLAGS, /* only flags differ */
};

/* The ABI's negative errno for a refusal: -EEXIST for SLOT_OVERLAP, else -EINVAL; 0 for SLOT_OK. */
int slotgeo_errno(enum slot_refusal why);

/*
 * Checks what can be said of *req without knowing the slots, and turns it into *geo (npages = 0
 * for a delete) and *space. Outputs are written only when SLOT_OK is returned.
 */
enum slot_refusal slotgeo_validate(const struct slot_request *req, const struct slot_limits *limits,
				   struct slot_geo *geo, unsigned int *space);

/*
 * Relates a validated *geo to the slots: `old` is the slot with its id in `set` (an element of
 * it), or NULL. *change is written only when SLOT_OK is returned.
 */
enum slot_refusal slotgeo_classify(const struct slot_set *set, const struct slot_geo *geo,
				   const struct slot_geo *old, enum slot_change *change);

/* Does [base, base + npages) share a frame with a slot other than `except` (may be NULL)? */
bool slotgeo_overlaps(const struct slot_set *set, gfn_t base, u64 npages,
		      const struct slot_geo *except);

/* Index of the first slot whose base is above `gfn` (set->nr when none): where to insert. */
unsigned int slotgeo_position(const struct slot_set *set, gfn_t gfn);

/*
 * Where the last frames looked for were: the index of the slot of the last hit, and of the slot behind the gap of
 * the last miss (set->nr at the end). Any values at first; each is read once and written only
 * when the answer was elsewhere, so racing users may share it.
 */
struct slot_hint {
	unsigned int hit, gap;
};

/* slotgeo_find() without looking at *hint, which may be NULL; writes it. */
const struct slot_geo *slotgeo_search(const struct slot_set *set, gfn_t gfn, struct slot_hint *hint);

/* The slot of number `id`, or NULL. Linear. */
const struct slot_geo *slotgeo_find_id(const struct slot_set *set, u16 id);

/*
 * First index whose slot ends above `gfn`: with it a loop over the slots that meet a gfn range
 * starts; it goes on while slot base < end.
 */
unsigned int slotgeo_first_ending_after(const struct slot_set *set, gfn_t gfn);

/*
 * The largest leaf level (1 = 4 KiB, 2 = 2 MiB, 3 = 1 GiB) whose page around `gfn` lies inside the
 * slot and whose guest and host addresses agree modulo its size. `gfn` lies in the slot.
 */
unsigned int slotgeo_max_level(const struct slot_geo *slot, gfn_t gfn);

/*
 * The frames of the slot that host addresses [hva, hva_end) touch: true and [*first, *last) when
 * there are any. For MMU notifier ranges.
 */
bool slotgeo_hva_range(const struct slot_geo *slot, u64 hva, u64 hva_end, gfn_t *first,
		       gfn_t *last);

/* Bytes of the slot's dirty bitmap in the ABI: one bit per frame, in whole 64-bit words. */
static inline u64 slotgeo_bitmap_bytes(const struct slot_geo *slot)
{
	return (slot->npages + 63) / 64 * 8;
}

static inline bool slotgeo_holds(const struct slot_geo *slot, gfn_t gfn)
{
	return gfn_raw(gfn) - gfn_raw(slot->base) < slot->npages;
}

/* First frame after the slot. */
static inline gfn_t slotgeo_end(const struct slot_geo *slot)
{
	return gfn_add(slot->base, slot->npages);
}

/* Does `gfn` lie before slot `gap` and behind the one before it? */
static inline bool slotgeo_in_gap(const struct slot_set *set, unsigned int gap, gfn_t gfn)
{
	return gap <= set->nr && (!gap || gfn_raw(gfn) >= gfn_raw(slotgeo_end(set->slot[gap - 1]))) &&
	       (gap == set->nr || gfn_raw(gfn) < gfn_raw(set->slot[gap]->base));
}

/* The slot that holds `gfn`, or NULL. */
static inline const struct slot_geo *slotgeo_find(const struct slot_set *set, gfn_t gfn,
						  struct slot_hint *hint)
{
	unsigned int i = READ_ONCE(hint->hit);

	if (likely(i < set->nr && slotgeo_holds(set->slot[i], gfn)))
		return set->slot[i];
	if (slotgeo_in_gap(set, READ_ONCE(hint->gap), gfn))
		return NULL;
	return slotgeo_search(set, gfn, hint);
}

/* Frame number within the slot: the index of its dirty bit. `gfn` lies in the slot. */
static inline u64 slotgeo_index(const struct slot_geo *slot, gfn_t gfn)
{
	return gfn_raw(gfn) - gfn_raw(slot->base);
}

/* Host user address of the frame `gfn`, which lies in the slot. */
static inline u64 slotgeo_hva(const struct slot_geo *slot, gfn_t gfn)
{
	return slot->hva + (slotgeo_index(slot, gfn) << KEEL_PAGE_SHIFT);
}

/* The frame at host user address `hva`, which lies in the slot's mapping. */
static inline gfn_t slotgeo_gfn(const struct slot_geo *slot, u64 hva)
{
	return gfn_add(slot->base, (hva - slot->hva) >> KEEL_PAGE_SHIFT);
}

#endif /* KEEL_PURE_SLOTGEO_H */
