/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory slots by brute force: a short list without order, ranges compared frame by frame or in
 * 128-bit arithmetic, and the engine that plays requests against slotgeo.c; shared by test-slotgeo.c
 * and fuzz-slotgeo.c.
 *
 * The includer defines MODEL_CHECK(cond) and a `u64 draw(void)` source before including this.
 */
#ifndef KEEL_REF_SLOTGEO_H
#define KEEL_REF_SLOTGEO_H

#include "harness.h"
#include "slotgeo.h"

#define EEXIST_ 17
#define EINVAL_ 22
#define MAX_SLOTS 12
#define REACH 96 /* small numbers: frames 0..95 */

typedef unsigned __int128 u128;

static struct {
	struct slot_geo geo[MAX_SLOTS]; /* by id; npages 0: none */
	const struct slot_geo *sorted[MAX_SLOTS];
	struct slot_set set;
	struct slot_limits limits;
	struct slot_hint hint;
} s;

static u64 below(u64 n)
{
	return draw() % n;
}

static void slots_begin(void)
{
	memset(&s, 0, sizeof(s));
	s.set.slot = s.sorted;
	s.limits = (struct slot_limits){
		.hva_end = 0x00007ffffffff000ULL,
		.flags = SLOTGEO_LOG_DIRTY | SLOTGEO_READONLY,
		.nr_slots = MAX_SLOTS,
		.nr_spaces = 2,
		.gpa_bits = 36,
	};
}

static void slots_sort(void)
{
	unsigned int i, j;

	s.set.nr = 0;
	for (i = 0; i < MAX_SLOTS; i++) {
		if (!s.geo[i].npages)
			continue;
		for (j = s.set.nr++; j && gfn_raw(s.sorted[j - 1]->base) > gfn_raw(s.geo[i].base); j--)
			s.sorted[j] = s.sorted[j - 1];
		s.sorted[j] = &s.geo[i];
	}
}

/* The errno the API has for the request, and what it would do. */
static int brute_request(const struct slot_request *r, enum slot_change *change)
{
	unsigned int id = r->slot & 0xffff;
	u64 pages = r->memory_size / 4096;
	const struct slot_geo *old;

	if (r->flags & ~3U || r->slot >> 16 >= s.limits.nr_spaces || id >= s.limits.nr_slots)
		return -EINVAL_;
	if (r->memory_size % 4096 || r->guest_phys_addr % 4096 || r->userspace_addr % 4096)
		return -EINVAL_;
	if ((u128)r->guest_phys_addr + r->memory_size > (u128)1 << s.limits.gpa_bits)
		return -EINVAL_;
	if ((u128)r->userspace_addr + r->memory_size > s.limits.hva_end || pages > 0x7fffffff)
		return -EINVAL_;
	old = &s.geo[id];
	if (!pages) {
		*change = SLOT_DELETE;
		return old->npages ? 0 : -EINVAL_;
	}
	*change = SLOT_CREATE;
	if (old->npages) {
		if (old->npages != pages || old->hva != r->userspace_addr)
			return -EINVAL_;
		if ((old->flags & 2) != (r->flags & 2))
			return -EINVAL_;
		*change = gfn_raw(old->base) * 4096 != r->guest_phys_addr ? SLOT_MOVE :
			  old->flags != r->flags ? SLOT_FLAGS : SLOT_NOTHING;
	}
	for (unsigned int i = 0; i < MAX_SLOTS; i++) {
		u64 base = gfn_raw(s.geo[i].base) * 4096, end = base + s.geo[i].npages * 4096;

		if (i != id && base < end && r->guest_phys_addr < end &&
		    r->guest_phys_addr + r->memory_size > base)
			return -EEXIST_;
	}
	return 0;
}

static struct slot_request pick_request(void)
{
	struct slot_request r = { 0 };
	const struct slot_geo *old;

	r.slot = below(MAX_SLOTS);
	old = &s.geo[r.slot];
	r.flags = below(4);
	r.guest_phys_addr = below(REACH) << 12;
	r.memory_size = below(10) << 12;
	r.userspace_addr = 0x7f0000000000ULL + (below(64) << 12);
	if (old->npages && below(2)) {
		r.memory_size = below(6) ? old->npages << 12 : 0;
		r.userspace_addr = old->hva;
		r.flags = below(4) ? old->flags ^ below(2) : r.flags;
		if (below(2))
			r.guest_phys_addr = gfn_raw(old->base) << 12;
	}
	switch (below(24)) {
	case 0:
		r.flags |= 1U << below(32);
		break;
	case 1:
		r.slot ^= 1U << below(32);
		break;
	case 2:
		r.guest_phys_addr ^= 1ULL << below(64);
		break;
	case 3:
		r.userspace_addr ^= 1ULL << below(64);
		break;
	case 4:
		r.memory_size ^= 1ULL << below(64);
		break;
	case 5:
		r.guest_phys_addr = (1ULL << s.limits.gpa_bits) - (below(12) << 12);
		break;
	case 6:
		r.userspace_addr = s.limits.hva_end - (below(12) << 12);
		break;
	case 7:
		r.guest_phys_addr = -(below(12) << 12);
		break;
	case 8:
		r.userspace_addr = -(below(12) << 12);
		break;
	case 9:
		r.memory_size = (0x7fffffffULL + below(2)) << 12;
		s.limits.gpa_bits = 36 + below(17);
		break;
	}
	return r;
}

/* One request, taken as an ioctl would take it. */
static void play_request(void)
{
	struct slot_request r = pick_request();
	enum slot_change want_change = SLOT_NOTHING, change = (enum slot_change)-1;
	int want = brute_request(&r, &want_change);
	struct slot_geo geo = { .npages = 77 };
	const struct slot_geo *old = NULL;
	unsigned int space = 99, id = r.slot & 0xffff;
	enum slot_refusal why;

	why = slotgeo_validate(&r, &s.limits, &geo, &space);
	if (why == SLOT_OK) {
		MODEL_CHECK(gfn_raw(geo.base) == r.guest_phys_addr / 4096);
		MODEL_CHECK(geo.npages == r.memory_size / 4096);
		MODEL_CHECK(geo.hva == r.userspace_addr);
		MODEL_CHECK(geo.flags == r.flags);
		MODEL_CHECK(geo.id == id);
		MODEL_CHECK(space == r.slot >> 16);
		old = slotgeo_find_id(&s.set, geo.id);
		MODEL_CHECK(old == (s.geo[id].npages ? &s.geo[id] : NULL));
		why = slotgeo_classify(&s.set, &geo, old, &change);
	} else {
		MODEL_CHECK(space == 99 && geo.npages == 77);
	}
	MODEL_CHECK(slotgeo_errno(why) == want);
	MODEL_CHECK((why == SLOT_OK) == !want);
	if (want) {
		MODEL_CHECK(change == (enum slot_change)-1);
		return;
	}
	MODEL_CHECK(change == want_change);
	/* Address space 1 stays empty in this model. */
	if (space)
		return;
	s.geo[id] = geo;
	slots_sort();
}

/* The searches, for one frame and one range. */
static void play_search(void)
{
	u64 frame = below(REACH + 8), n = 1 + below(6), i;
	u64 hva = 0x7f0000000000ULL + below(80 << 12), hva_end = hva + below(12 << 12);
	const struct slot_geo *want = NULL, *found;
	struct slot_hint hint = { below(MAX_SLOTS + 4), below(MAX_SLOTS + 4) };
	unsigned int after = 0, ending = 0;
	bool overlap = false;

	for (i = 0; i < MAX_SLOTS; i++) {
		const struct slot_geo *g = &s.geo[i];
		u64 base = gfn_raw(g->base), f, lo = ~0ULL, hi = 0;
		gfn_t first = to_gfn(7), last = to_gfn(7);

		if (!g->npages)
			continue;
		after += base <= frame;
		ending += base + g->npages <= frame;
		for (f = base; f < base + g->npages && g->npages < 1000; f++) {
			u64 at = g->hva + (f - base) * 4096;

			if (f == frame)
				want = g;
			overlap |= f >= frame && f < frame + n;
			MODEL_CHECK(slotgeo_hva(g, to_gfn(f)) == at);
			MODEL_CHECK(gfn_raw(slotgeo_gfn(g, at + 4095)) == f);
			MODEL_CHECK(slotgeo_index(g, to_gfn(f)) == f - base);
			if (at < hva_end && at + 4096 > hva && hva < hva_end) {
				lo = f < lo ? f : lo;
				hi = f + 1;
			}
		}
		if (g->npages >= 1000)
			return;
		MODEL_CHECK(gfn_raw(slotgeo_end(g)) == f);
		MODEL_CHECK(slotgeo_bitmap_bytes(g) == (g->npages / 64 + !!(g->npages % 64)) * 8);
		MODEL_CHECK(slotgeo_hva_range(g, hva, hva_end, &first, &last) == (hi > 0));
		MODEL_CHECK(gfn_raw(first) == (hi ? lo : 7) && gfn_raw(last) == (hi ? hi : 7));
	}
	MODEL_CHECK(slotgeo_position(&s.set, to_gfn(frame)) == after);
	MODEL_CHECK(slotgeo_first_ending_after(&s.set, to_gfn(frame)) == ending);
	MODEL_CHECK(slotgeo_overlaps(&s.set, to_gfn(frame), n, NULL) == overlap);
	MODEL_CHECK(slotgeo_search(&s.set, to_gfn(frame), NULL) == want);
	found = slotgeo_find(&s.set, to_gfn(frame), &hint);
	MODEL_CHECK(found == want);
	MODEL_CHECK(slotgeo_find(&s.set, to_gfn(frame), &s.hint) == want);
	if (want)
		MODEL_CHECK(hint.hit < s.set.nr && s.sorted[hint.hit] == want && s.sorted[s.hint.hit] == want);
	else
		MODEL_CHECK(hint.gap == after && s.hint.gap == after);
}

/* The largest page, told from its definition in bytes. */
static void play_level(void)
{
	u64 base = below(2) ? below(0x200000) : (below(64) << 9) + below(3);
	u64 npages = 1 + (below(2) ? below(0x100000) : below(1200));
	u64 shift = below(3) ? (below(8) << 18) + (below(4) << 9) * below(2) : below(0x80000);
	struct slot_geo g = { .base = to_gfn(base), .npages = npages };
	u64 frame = base + (below(3) ? below(npages) : below(2) ? 0 : npages - 1);
	unsigned int level = 1;

	g.hva = 0x100000000000ULL + ((base + shift) << 12);
	for (unsigned int l = 2; l <= 3; l++) {
		u64 bytes = l == 2 ? 2ULL << 20 : 1ULL << 30;
		u64 page = frame * 4096 / bytes * bytes;
		bool inside = page >= base * 4096 && page + bytes <= (base + npages) * 4096;

		if (inside && (g.hva + (page - base * 4096)) % bytes == 0)
			level = l;
	}
	MODEL_CHECK(slotgeo_max_level(&g, to_gfn(frame)) == level);
	MODEL_CHECK(slotgeo_holds(&g, to_gfn(frame)));
	MODEL_CHECK(!slotgeo_holds(&g, to_gfn(base - 1)));
	MODEL_CHECK(!slotgeo_holds(&g, to_gfn(base + npages)));
}

#endif /* KEEL_REF_SLOTGEO_H */
