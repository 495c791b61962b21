// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory slot geometry.
 *
 * Owns: the rules for acceptable user memory regions, the kinds of change, the searches in a sorted
 * set of slots, and the largest page a slot can be mapped with. Does not own: the slots' memory,
 * the order of their publication, or what the host has mapped at their addresses.
 *
 * A set is an array of pointers sorted by base, without overlap, so ends ascend as bases do and
 * both can be searched by halving. All arithmetic on a user's numbers happens in
 * slotgeo_validate(), which leaves slots whose ends fit the guest's and the host's address space:
 * nothing after it can overflow.
 *
 * Context: any. Source of the rules: the API document, KVM_SET_USER_MEMORY_REGION.
 */
#include "slotgeo.h"

#define ERRNO_EEXIST 17
#define ERRNO_EINVAL 22

static const int refusal_errno[SLOT_NR_REFUSALS] = {
	[SLOT_OK] = 0,
	[SLOT_BAD_FLAGS] = -ERRNO_EINVAL,
	[SLOT_BAD_SPACE] = -ERRNO_EINVAL,
	[SLOT_BAD_ID] = -ERRNO_EINVAL,
	[SLOT_BAD_SIZE] = -ERRNO_EINVAL,
	[SLOT_BAD_GPA] = -ERRNO_EINVAL,
	[SLOT_BAD_HVA] = -ERRNO_EINVAL,
	[SLOT_NO_SUCH_SLOT] = -ERRNO_EINVAL,
	[SLOT_RESIZED] = -ERRNO_EINVAL,
	[SLOT_REHOSTED] = -ERRNO_EINVAL,
	[SLOT_READONLY_TOGGLED] = -ERRNO_EINVAL,
	[SLOT_OVERLAP] = -ERRNO_EEXIST,
};

int slotgeo_errno(enum slot_refusal why)
{
	return refusal_errno[why];
}

static inline bool page_aligned(u64 value)
{
	return !(value & (KEEL_PAGE_SIZE - 1));
}

/* Is [start, start + size) within [0, end), the sum taken without wrapping? */
static inline bool fits(u64 start, u64 size, u64 end)
{
	return start <= end && size <= end - start;
}

enum slot_refusal slotgeo_validate(const struct slot_request *req, const struct slot_limits *limits,
				   struct slot_geo *geo, unsigned int *space)
{
	unsigned int as = req->slot >> 16;
	u16 id = (u16)req->slot;

	if (req->flags & ~limits->flags)
		return SLOT_BAD_FLAGS;
	if (as >= limits->nr_spaces)
		return SLOT_BAD_SPACE;
	if (id >= limits->nr_slots)
		return SLOT_BAD_ID;
	if (!page_aligned(req->memory_size) ||
	    req->memory_size >> KEEL_PAGE_SHIFT > SLOTGEO_MAX_PAGES)
		return SLOT_BAD_SIZE;
	if (!page_aligned(req->guest_phys_addr) ||
	    !fits(req->guest_phys_addr, req->memory_size, BIT64(limits->gpa_bits)))
		return SLOT_BAD_GPA;
	if (!page_aligned(req->userspace_addr) ||
	    !fits(req->userspace_addr, req->memory_size, limits->hva_end))
		return SLOT_BAD_HVA;

	geo->base = gpa_gfn(to_gpa(req->guest_phys_addr));
	geo->npages = req->memory_size >> KEEL_PAGE_SHIFT;
	geo->hva = req->userspace_addr;
	geo->flags = req->flags;
	geo->id = id;
	*space = as;
	return SLOT_OK;
}

enum slot_refusal slotgeo_classify(const struct slot_set *set, const struct slot_geo *geo,
				   const struct slot_geo *old, enum slot_change *change)
{
	enum slot_change kind;

	if (!geo->npages) {
		if (!old)
			return SLOT_NO_SUCH_SLOT;
		*change = SLOT_DELETE;
		return SLOT_OK;
	}
	if (!old) {
		kind = SLOT_CREATE;
	} else {
		if (geo->npages != old->npages)
			return SLOT_RESIZED;
		if (geo->hva != old->hva)
			return SLOT_REHOSTED;
		if ((geo->flags ^ old->flags) & SLOTGEO_READONLY)
			return SLOT_READONLY_TOGGLED;
		if (gfn_raw(geo->base) != gfn_raw(old->base))
			kind = SLOT_MOVE;
		else
			kind = geo->flags != old->flags ? SLOT_FLAGS : SLOT_NOTHING;
	}
	if ((kind == SLOT_CREATE || kind == SLOT_MOVE) &&
	    slotgeo_overlaps(set, geo->base, geo->npages, old))
		return SLOT_OVERLAP;
	*change = kind;
	return SLOT_OK;
}

bool slotgeo_overlaps(const struct slot_set *set, gfn_t base, u64 npages,
		      const struct slot_geo *except)
{
	u64 end = gfn_raw(base) + npages;
	unsigned int i;

	/* At most one of the slots met is `except`: two rounds decide. */
	for (i = slotgeo_first_ending_after(set, base); i < set->nr; i++) {
		if (gfn_raw(set->slot[i]->base) >= end)
			return false;
		if (set->slot[i] != except)
			return true;
	}
	return false;
}

unsigned int slotgeo_position(const struct slot_set *set, gfn_t gfn)
{
	unsigned int low = 0;
	unsigned int high = set->nr;

	while (low < high) {
		unsigned int middle = low + (high - low) / 2;

		if (gfn_raw(set->slot[middle]->base) > gfn_raw(gfn))
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

unsigned int slotgeo_first_ending_after(const struct slot_set *set, gfn_t gfn)
{
	unsigned int after = slotgeo_position(set, gfn);

	/* Of the slots that start at or below gfn, only the last can end above it. */
	if (after && slotgeo_holds(set->slot[after - 1], gfn))
		return after - 1;
	return after;
}

const struct slot_geo *slotgeo_search(const struct slot_set *set, gfn_t gfn, struct slot_hint *hint)
{
	unsigned int after = slotgeo_position(set, gfn);

	/* Of the slots that start at or below gfn, only the last can hold it. */
	if (!after || !slotgeo_holds(set->slot[after - 1], gfn)) {
		if (hint)
			WRITE_ONCE(hint->gap, after);
		return NULL;
	}
	if (hint)
		WRITE_ONCE(hint->hit, after - 1);
	return set->slot[after - 1];
}

const struct slot_geo *slotgeo_find_id(const struct slot_set *set, u16 id)
{
	unsigned int i;

	for (i = 0; i < set->nr; i++)
		if (set->slot[i]->id == id)
			return set->slot[i];
	return NULL;
}

unsigned int slotgeo_max_level(const struct slot_geo *slot, gfn_t gfn)
{
	u64 hva_frame = slot->hva >> KEEL_PAGE_SHIFT;
	unsigned int level;

	for (level = 3; level > 1; level--) {
		u64 frames = 1ULL << (9 * (level - 1));
		u64 first = gfn_raw(gfn) & ~(frames - 1);

		if (first >= gfn_raw(slot->base) && first + frames <= gfn_raw(slotgeo_end(slot)) &&
		    !((gfn_raw(slot->base) ^ hva_frame) & (frames - 1)))
			break;
	}
	return level;
}

bool slotgeo_hva_range(const struct slot_geo *slot, u64 hva, u64 hva_end, gfn_t *first,
		       gfn_t *last)
{
	u64 end = slot->hva + (slot->npages << KEEL_PAGE_SHIFT);
	u64 from = hva > slot->hva ? hva : slot->hva;
	u64 to = hva_end < end ? hva_end : end;

	if (from >= to)
		return false;
	*first = slotgeo_gfn(slot, from);
	*last = gfn_add(slotgeo_gfn(slot, to - 1), 1);
	return true;
}
