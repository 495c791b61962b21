// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nested page-table tree: random series against the reference model in every format, and a thread
 * that sets dirty bits as hardware does while leaves are split, put together, cleaned and removed.
 */
#include <pthread.h>
#include <sched.h>

#include "harness.h"
#include "types.h"

static uint64_t seed;

static u64 draw(void)
{
	return test_rand(&seed);
}

/* Millions of comparisons: only failures go through the reporting function one by one. */
#define MODEL_CHECK(cond)                                                                          \
	do {                                                                                       \
		if (cond)                                                                          \
			test_state.passed++;                                                       \
		else                                                                               \
			CHECK(cond);                                                               \
	} while (0)

#include "ref-radix.h"

static void test_series(void)
{
	for (unsigned int round = 0; round < 24; round++) {
		seed = round + 1;
		model_begin(round, round / 3);
		for (unsigned int op = 0; op < 1500 && !test_state.failed; op++) {
			unsigned int play = below(ARRAY_SIZE(plays));

			test_context("round %u, operation %u, kind %u", round, op, play);
			plays[play]();
			if (op % 16 == 0)
				check_all();
		}
		check_all();
		model_end();
	}
	test_context("%s", "");
}

static struct radix_cache full_cache(void)
{
	struct radix_cache cache;

	cache_fill(&cache, RADIX_CACHE_PAGES);
	return cache;
}

/* A call that stops for a full record array loses nothing and goes on where it stopped. */
static void test_unmap_small_array(void)
{
	struct radix_cache cache;
	struct radix_leaf leaf[3];
	struct radix_gather g;
	struct radix_range r = { .next = to_gfn(BASE_GFN), .end = to_gfn(BASE_GFN + 8) };
	unsigned int made;
	u64 pa[8];

	seed = 5;
	model_begin(0, 0);
	cache = full_cache();
	for (unsigned int i = 0; i < 8; i++)
		pa[i] = (u64)(i + 1) << 12;
	CHECK_EQ(radix_map_run(&m.tree, r.next, pa, 8, RADIX_RWX, RADIX_WB, 0, &cache, &made),
		 RADIX_NEW);
	CHECK_EQ(made, 8);
	radix_gather_init(&g, leaf, 3);
	CHECK(radix_unmap(&m.tree, &r, 1000, &g));
	CHECK_EQ(g.leaf_nr, 3);
	CHECK_EQ(gfn_raw(r.next), BASE_GFN + 3);
	CHECK_EQ(leaf[2].pa, 3 << 12);
	g.leaf_nr = 0;
	CHECK(radix_unmap(&m.tree, &r, 1000, &g));
	g.leaf_nr = 0;
	CHECK(!radix_unmap(&m.tree, &r, 1000, &g));
	CHECK_EQ(g.leaf_nr, 2);
	CHECK_EQ(g.nr_removed, 8);
	CHECK_EQ(gfn_raw(g.start), BASE_GFN);
	CHECK_EQ(gfn_raw(g.end), BASE_GFN + 8);
	cache_drain(&cache);
	gather_drain(&g);
	model_end();
}

/* The end of the last table of a tree is also the end of its reach. */
static void test_last_frame(void)
{
	for (unsigned int variant = 0; variant < 2; variant++) {
		u64 last = (1ULL << (variant ? 45 : 36)) - 1;
		struct radix_range r = { .next = to_gfn(last), .end = to_gfn(~0ULL) };
		struct radix_cache cache;
		struct radix_gather g;

		model_begin(1, variant);
		cache = full_cache();
		radix_gather_init(&g, NULL, 0);
		CHECK_EQ(radix_map(&m.tree, to_gfn(last), 1, 0x1000, RADIX_R, RADIX_WB, 0, &cache,
				   &g), RADIX_NEW);
		CHECK_EQ(m.tree.nr_tables, variant ? 5 : 4);
		CHECK(!radix_unmap(&m.tree, &r, 1, &g));
		CHECK_EQ(g.nr_removed, 1);
		CHECK_EQ(m.tree.nr_tables, 1);
		CHECK(!radix_lookup(&m.tree, to_gfn(last + 1)).present);
		CHECK_EQ(radix_lookup(&m.tree, to_gfn(last + 1)).level, variant ? 5 : 4);
		cache_drain(&cache);
		gather_drain(&g);
		model_end();
	}
}

/* -- hardware beside the writer ------------------------------------------------ */

#define HW_FRAMES 1024

static struct {
	bool stop;
	bool gate, idle; /* closed by the writer; answered by hardware */
	unsigned int pause; /* longest wait between two accesses */
	unsigned int frames; /* it uses the first ones */
	u64 made[HW_FRAMES]; /* dirty bits set while the frame's leaf was a 4 KiB one */
	bool written[HW_FRAMES];
} hw;

static void spin(u64 turns)
{
	for (volatile u64 n = 0; n < turns; n++)
		;
}

/* Walks and sets accessed and dirty bits like a processor: by compare-and-swap on what it read. */
static void *hardware(void *unused)
{
	uint64_t s = 99;

	while (!__atomic_load_n(&hw.stop, __ATOMIC_ACQUIRE)) {
		u64 i = test_rand_below(&s, hw.frames);
		struct probe p = raw_probe(BASE_GFN + i, 1);

		if (__atomic_load_n(&hw.gate, __ATOMIC_ACQUIRE)) {
			__atomic_store_n(&hw.idle, true, __ATOMIC_RELEASE);
			while (__atomic_load_n(&hw.gate, __ATOMIC_ACQUIRE))
				sched_yield();
			__atomic_store_n(&hw.idle, false, __ATOMIC_RELEASE);
			continue;
		}
		if (hw.pause)
			spin(test_rand_below(&s, hw.pause));
		if (p.kind != KIND_LEAF || !(p.entry & 2))
			continue;
		if (!__atomic_compare_exchange_n(p.slot, &p.entry, p.entry | 0x60, false,
						 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			continue;
		hw.made[i] += !(p.entry & 0x40);
		hw.written[i] = true;
	}
	return unused;
}

static void hardware_gate(bool closed)
{
	__atomic_store_n(&hw.gate, closed, __ATOMIC_RELEASE);
	while (__atomic_load_n(&hw.idle, __ATOMIC_ACQUIRE) != closed)
		sched_yield();
}

static u64 collect(u64 *seen)
{
	struct radix_range r = { .next = to_gfn(BASE_GFN), .end = to_gfn(BASE_GFN + HW_FRAMES) };
	u64 bitmap[HW_FRAMES / 64] = { 0 }, nr = 0, bits = 0;

	radix_clear_dirty(&m.tree, &r, 100000, to_gfn(BASE_GFN), bitmap, &nr);
	for (unsigned int i = 0; i < HW_FRAMES; i++) {
		seen[i] += bitmap[i / 64] >> (i % 64) & 1;
		bits += bitmap[i / 64] >> (i % 64) & 1;
	}
	return bits;
}

/* Each dirty bit that hardware sets in a 4 KiB leaf is collected exactly once, whatever goes on. */
static void test_dirty_exact(void)
{
	static u64 seen[HW_FRAMES];
	struct radix_cache cache;
	struct radix_leaf leaf[HW_FRAMES];
	pthread_t thread;
	u64 total = 0;

	memset(&hw, 0, sizeof(hw));
	memset(seen, 0, sizeof(seen));
	hw.frames = 4;
	seed = 11;
	model_begin(0, 0);
	cache = full_cache();
	pthread_create(&thread, NULL, hardware, NULL);
	for (unsigned int i = 0; i < 200000 || (total < 1000 && i < 10000000); i++) {
		u64 frame = below(hw.frames), gfn = BASE_GFN + frame;
		struct radix_range r = { .next = to_gfn(gfn), .end = to_gfn(gfn + 1 + below(3)) };
		struct radix_gather g;
		u64 nr = 0;

		radix_gather_init(&g, leaf, HW_FRAMES);
		if (gfn_raw(r.end) > BASE_GFN + HW_FRAMES)
			r.end = to_gfn(BASE_GFN + HW_FRAMES);
		switch (below(8)) {
		case 0:
			total += collect(seen);
			break;
		case 1: {
			/* The table is never left empty at its end, so that no page is reused. */
			r.end = to_gfn(gfn + 1);
			radix_unmap(&m.tree, &r, 100, &g);
			for (unsigned int n = 0; n < g.leaf_nr; n++)
				seen[gfn_raw(leaf[n].gfn) - BASE_GFN] += leaf[n].flags >> 1 & 1;
			break;
		}
		case 2:
			radix_write_protect(&m.tree, &r, 100, &nr);
			break;
		case 3:
			radix_clear_accessed(&m.tree, &r, 100, &nr);
			break;
		default:
			radix_map(&m.tree, to_gfn(gfn), 1, (gfn << 12), RADIX_R | RADIX_W | (i & 4),
				  RADIX_WB, 0, &cache, &g);
			if (g.leaf_nr)
				CHECK(!"a leaf of the same page was replaced");
			break;
		}
		if (!cache.nr)
			cache_fill(&cache, 2);
	}
	__atomic_store_n(&hw.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	total += collect(seen);
	CHECK(total >= 1000);
	for (unsigned int i = 0; i < HW_FRAMES; i++)
		CHECK_EQ(seen[i], hw.made[i]);
	cache_drain(&cache);
	model_end();
}

/*
 * A frame written while a leaf is split, a table is put together or a table is replaced is reported
 * dirty afterwards, be it by the removed leaves or by the bits that are left.
 */
static void test_dirty_split(void)
{
	static struct radix_leaf leaf[RADIX_ENTRIES];
	unsigned int written = 0;

	seed = 12;
	for (unsigned int round = 0; round < 4; round++) {
		struct radix_cache cache;
		struct radix_gather g;
		pthread_t thread;

		memset(&hw, 0, sizeof(hw));
		hw.frames = HW_FRAMES;
		hw.pause = round * 300;
		hw.gate = true;
		model_begin(0, 0);
		cache = full_cache();
		radix_gather_init(&g, NULL, 0);
		for (unsigned int i = 0; i < 2; i++)
			radix_map(&m.tree, to_gfn(BASE_GFN + i * 512), 2, (BASE_GFN + i * 512) << 12,
				  RADIX_RWX, RADIX_WB, RADIX_HOST_WRITE, &cache, &g);
		pthread_create(&thread, NULL, hardware, NULL);
		for (unsigned int i = 0; i < 300; i++) {
			u64 first = below(2) * 512, gfn = BASE_GFN + first, seen[HW_FRAMES] = { 0 };
			u64 pa = (gfn + below(2) * 512) << 12;

			cache_drain(&cache);
			cache_fill(&cache, 2);
			radix_gather_init(&g, leaf, RADIX_ENTRIES);
			hardware_gate(false);
			spin(below(400));
			if (radix_split(&m.tree, to_gfn(gfn), &cache) == RADIX_SAME && below(2))
				radix_collapse(&m.tree, to_gfn(gfn), 2, true, &g);
			else if (below(2))
				radix_map(&m.tree, to_gfn(gfn), 2, pa, RADIX_RWX, RADIX_WB,
					  RADIX_HOST_WRITE, &cache, &g);
			hardware_gate(true);
			for (unsigned int n = 0; n < g.leaf_nr; n++)
				if (leaf[n].flags & RADIX_DIRTY)
					seen[gfn_raw(leaf[n].gfn) - BASE_GFN] = 1;
			collect(seen);
			for (unsigned int n = 0; n < HW_FRAMES; n++) {
				CHECK(!hw.written[n] || seen[n]);
				written += hw.written[n];
				hw.written[n] = false;
			}
			gather_drain(&g);
		}
		__atomic_store_n(&hw.stop, true, __ATOMIC_RELEASE);
		hardware_gate(false);
		pthread_join(thread, NULL);
		cache_drain(&cache);
		model_end();
	}
	CHECK(written >= 100);
}

int main(void)
{
	test_series();
	test_unmap_small_array();
	test_last_frame();
	test_dirty_exact();
	test_dirty_split();
	return test_done("radix");
}
