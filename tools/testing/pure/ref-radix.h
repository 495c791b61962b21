/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reference model of the nested page-table tree, and the engine that plays one series of operations
 * on a tree and on the model, shared by test-radix.c (random series) and fuzz-radix.c.
 *
 * The model is a flat array of cells over two 1 GiB pieces on either side of a 512 GiB boundary. A
 * cell is one frame in six sampled 2 MiB chunks and a whole chunk elsewhere; 4 KiB operations go to
 * sampled chunks only. A large leaf is written into every cell it covers. Entries of the real tree
 * are read by a walker and decoders of this file, from the manuals' bit numbers.
 *
 * The includer defines MODEL_CHECK(cond) and a `u64 draw(void)` source before including this.
 */
#ifndef KEEL_REF_RADIX_H
#define KEEL_REF_RADIX_H

#include <sys/mman.h>

#include "harness.h"
#include "radix.h"

#define BASE_GFN ((1ULL << 27) - (1ULL << 18)) /* 512 GiB - 1 GiB */
#define END_GFN (BASE_GFN + (2ULL << 18))
#define NR_CHUNKS 1024
#define NR_SAMPLED 6
#define NR_CELLS (NR_CHUNKS - NR_SAMPLED + NR_SAMPLED * 512)
#define POOL_PAGES 96
#define POOL_PA 0x123400000ULL
#define ENC BIT64(47)
#define AD (RADIX_ACCESSED | RADIX_DIRTY)

struct cell {
	u64 gfn, frames;
	u64 pa; /* of the cell's first frame */
	unsigned int level; /* 0: nothing mapped */
	unsigned int access, mt;
	u64 flags;
};

enum kind { KIND_NONE, KIND_TABLE, KIND_LEAF };

struct probe {
	enum kind kind;
	unsigned int level;
	u64 *slot;
	u64 entry;
};

static const unsigned int sampled[NR_SAMPLED] = { 0, 1, 511, 512, 513, 1023 };

static struct {
	struct radix_tree tree;
	const struct radix_fmt *fmt;
	u64 fmt_flags; /* RADIX_* flags this format can hold */
	struct cell cell[NR_CELLS];
	char *arena;
	void *pool[POOL_PAGES];
	bool out[POOL_PAGES];
	unsigned int pool_nr;
	struct radix_leaf want[NR_CELLS], got[NR_CELLS];
	unsigned int nr_want, nr_got;
} m;

static u64 below(u64 n)
{
	return draw() % n;
}

/* -- the page pool ------------------------------------------------------------------------- */

static void *pool_take(void)
{
	void *page = m.pool[--m.pool_nr];
	unsigned int index = ((char *)page - m.arena) / 4096;

	MODEL_CHECK(!m.out[index]);
	m.out[index] = true;
	memset(page, 0, 4096);
	return page;
}

static void pool_give(void *page)
{
	unsigned int index = ((char *)page - m.arena) / 4096;

	MODEL_CHECK(m.out[index]);
	m.out[index] = false;
	m.pool[m.pool_nr++] = page;
}

static void cache_fill(struct radix_cache *cache, unsigned int nr)
{
	for (cache->nr = 0; cache->nr < nr; cache->nr++)
		cache->page[cache->nr] = pool_take();
}

static void cache_drain(struct radix_cache *cache)
{
	while (cache->nr)
		pool_give(cache->page[--cache->nr]);
}

static void gather_drain(struct radix_gather *g)
{
	struct radix_page *page, *next;
	unsigned int nr = 0;

	for (page = g->freed; page; page = next, nr++) {
		next = page->next;
		pool_give(page);
	}
	MODEL_CHECK(nr == g->nr_freed);
	MODEL_CHECK(!nr || g->flush);
	g->freed = NULL;
	g->nr_freed = 0;
}

/* -- independent reading of the tables ------------------------------------------------------- */

static bool fmt_is_npt(void)
{
	return m.fmt == &radix_fmt_npt;
}

static bool raw_present(u64 e)
{
	return fmt_is_npt() ? e & 1 : e & 7;
}

static u64 *raw_table(u64 e)
{
	return (u64 *)(m.arena + ((e & 0x000ffffffffff000ULL & ~m.tree.enc) - POOL_PA));
}

/* The entry for gfn at `stop`, or above where the tables end; reads each slot once. */
static struct probe raw_probe(u64 gfn, unsigned int stop)
{
	struct probe p = { .level = m.tree.levels };
	u64 *table = m.tree.root;

	for (;; p.level--) {
		p.slot = &table[gfn >> (9 * (p.level - 1)) & 511];
		p.entry = __atomic_load_n(p.slot, __ATOMIC_ACQUIRE);
		if (!raw_present(p.entry))
			p.kind = KIND_NONE;
		else
			p.kind = p.level == 1 || p.entry & 0x80 ? KIND_LEAF : KIND_TABLE;
		if (p.kind != KIND_TABLE || p.level == stop)
			return p;
		table = raw_table(p.entry);
	}
}

/* What the entry of a leaf says for its first frame. */
static struct cell raw_decode(u64 e, unsigned int level)
{
	static const u8 npt_mt[4] = { RADIX_WB, RADIX_WC, RADIX_NR_MEMTYPES, RADIX_UC };
	static const u8 ept_mt[8] = { RADIX_UC, RADIX_WC, 9, 9, 9, 9, RADIX_WB, 9 };
	struct cell c = { .level = level };

	c.pa = e & 0x000ffffffffff000ULL & ~m.tree.enc;
	if (m.tree.enc && !(e & m.tree.enc))
		c.flags |= RADIX_PLAIN;
	c.access = RADIX_R | (e & 2 ? RADIX_W : 0);
	if (fmt_is_npt()) {
		MODEL_CHECK(e & 4);
		MODEL_CHECK(!(e & 0x7ff0000000000900ULL));
		c.access |= e >> 63 ? 0 : RADIX_X;
		c.mt = npt_mt[e >> 3 & 3];
		c.flags |= (e >> 5 & 1 ? RADIX_ACCESSED : 0) | (e >> 6 & 1 ? RADIX_DIRTY : 0) |
			   (e >> 9 & 1 ? RADIX_HOST_WRITE : 0) | (e >> 10 & 1 ? RADIX_SPECIAL : 0);
		MODEL_CHECK(level == 1 ? !(e & 0x80) : !!(e & 0x80));
	} else {
		MODEL_CHECK(e & 1);
		MODEL_CHECK(!(e & 0xffc0000000000c00ULL));
		c.access |= e & 4 ? RADIX_X : 0;
		c.mt = ept_mt[e >> 3 & 7];
		c.flags |= (e >> 6 & 1 ? RADIX_IGNORE_PAT : 0) | (e >> 8 & 1 ? RADIX_ACCESSED : 0) |
			   (e >> 9 & 1 ? RADIX_DIRTY : 0) | (e >> 52 & 1 ? RADIX_HOST_WRITE : 0) |
			   (e >> 53 & 1 ? RADIX_SPECIAL : 0);
		MODEL_CHECK(level == 1 ? !(e & 0x80) : !!(e & 0x80));
	}
	return c;
}

static u64 raw_count_tables(const u64 *table, unsigned int level)
{
	u64 nr = 1;

	for (unsigned int i = 0; i < 512 && level > 1; i++)
		if (raw_present(table[i]) && !(table[i] & 0x80))
			nr += raw_count_tables(raw_table(table[i]), level - 1);
	return nr;
}

/* -- the model -------------------------------------------------------------------------------- */

#define for_each_cell(c) for (struct cell *c = m.cell; c < m.cell + NR_CELLS; c++)

static u64 level_frames(unsigned int level)
{
	return level == 3 ? 262144 : level == 2 ? 512 : 1;
}

static u64 leaf_first(const struct cell *c)
{
	return c->gfn / level_frames(c->level) * level_frames(c->level);
}

static bool is_leaf_head(const struct cell *c)
{
	return c->level && leaf_first(c) == c->gfn;
}

static struct cell *cell_at(u64 gfn)
{
	for_each_cell(c)
		if (gfn - c->gfn < c->frames)
			return c;
	return NULL;
}

/* Does the leaf that covers the cell meet [start, end)? */
static bool leaf_meets(const struct cell *c, u64 start, u64 end)
{
	return c->level && start < end && leaf_first(c) < end &&
	       leaf_first(c) + level_frames(c->level) > start;
}

static void cells_write(u64 gfn, unsigned int level, u64 pa, unsigned int access, unsigned int mt,
			u64 flags)
{
	for_each_cell(c) {
		if (c->gfn < gfn || c->gfn >= gfn + level_frames(level))
			continue;
		c->level = level;
		c->pa = pa + ((c->gfn - gfn) << 12);
		c->access = access;
		c->mt = mt;
		c->flags = flags & m.fmt_flags;
	}
}

/* The leaf over `gfn` becomes leaves of the next smaller level. */
static void cells_split(u64 gfn)
{
	struct cell *at = cell_at(gfn);
	u64 first = leaf_first(at), frames = level_frames(at->level);

	for_each_cell(c)
		if (c->gfn - first < frames)
			c->level--;
}

static u32 reported_flags(const struct cell *c)
{
	u32 flags = c->flags & (AD | RADIX_HOST_WRITE | RADIX_SPECIAL);

	if (m.fmt == &radix_fmt_ept_noad)
		flags |= RADIX_ACCESSED | (c->access & RADIX_W ? RADIX_DIRTY : 0);
	return flags;
}

/* Removes the leaves that meet [start, end), adding them to the wanted report. */
static void cells_remove(u64 start, u64 end)
{
	for_each_cell(c) {
		if (!leaf_meets(c, start, end))
			continue;
		if (is_leaf_head(c)) {
			struct radix_leaf *leaf = &m.want[m.nr_want++];

			leaf->gfn = to_gfn(c->gfn);
			leaf->pa = c->pa;
			leaf->level = c->level;
			leaf->flags = reported_flags(c);
		}
	}
	for (struct cell *c = m.cell + NR_CELLS; c-- > m.cell;)
		if (leaf_meets(c, start, end))
			c->level = 0;
}

static void check_cell(const struct cell *c)
{
	struct probe p = raw_probe(c->gfn, 1);
	struct radix_hit hit = radix_lookup(&m.tree, to_gfn(c->gfn));
	struct cell got;

	MODEL_CHECK(hit.entry == *p.slot);
	MODEL_CHECK(hit.level == p.level);
	MODEL_CHECK(hit.present == (p.kind == KIND_LEAF));
	MODEL_CHECK(gfn_raw(hit.gfn) == c->gfn >> (9 * (p.level - 1)) << (9 * (p.level - 1)));
	MODEL_CHECK((p.kind == KIND_LEAF) == !!c->level);
	if (p.kind != KIND_LEAF) {
		MODEL_CHECK(*p.slot == m.tree.empty);
		return;
	}
	got = raw_decode(*p.slot, p.level);
	MODEL_CHECK(got.level == c->level);
	MODEL_CHECK(got.pa + ((c->gfn - leaf_first(c)) << 12) == c->pa);
	MODEL_CHECK(got.access == c->access);
	MODEL_CHECK(got.mt == c->mt);
	MODEL_CHECK(got.flags == c->flags);
	MODEL_CHECK(radix_entry_pa(&m.tree, hit.entry) == got.pa);
	MODEL_CHECK(radix_entry_access(&m.tree, hit.entry) == c->access);
	MODEL_CHECK(radix_entry_flags(&m.tree, hit.entry) == reported_flags(c));
}

static void check_all(void)
{
	u64 nr[4] = { 0 };
	unsigned int i, used = 0;

	for_each_cell(c) {
		check_cell(c);
		nr[c->level] += is_leaf_head(c);
	}
	for (i = 1; i < 4; i++)
		MODEL_CHECK(m.tree.nr_leaves[i] == nr[i]);
	MODEL_CHECK(m.tree.nr_tables == raw_count_tables(m.tree.root, m.tree.levels));
	for (i = 0; i < POOL_PAGES; i++)
		used += m.out[i];
	MODEL_CHECK(m.tree.nr_tables == used);
}

/* The reports collected in m.got, and the aggregate, are those wanted. */
static void check_reports(const struct radix_gather *g)
{
	u64 start = ~0ULL, end = 0;
	u32 seen = 0;
	unsigned int i;

	MODEL_CHECK(m.nr_got == m.nr_want);
	MODEL_CHECK(g->nr_removed == m.nr_want);
	for (i = 0; i < m.nr_want && i < m.nr_got; i++) {
		const struct radix_leaf *w = &m.want[i], *r = &m.got[i];

		MODEL_CHECK(gfn_raw(w->gfn) == gfn_raw(r->gfn));
		MODEL_CHECK(w->pa == r->pa);
		MODEL_CHECK(w->level == r->level);
		MODEL_CHECK(w->flags == r->flags);
		if (!(w->flags & RADIX_SPECIAL))
			seen |= w->flags & AD;
		if (gfn_raw(w->gfn) < start)
			start = gfn_raw(w->gfn);
		if (gfn_raw(w->gfn) + level_frames(w->level) > end)
			end = gfn_raw(w->gfn) + level_frames(w->level);
	}
	MODEL_CHECK(g->seen == seen);
	MODEL_CHECK(gfn_raw(g->start) == start);
	MODEL_CHECK(gfn_raw(g->end) == end);
	MODEL_CHECK(!m.nr_want || g->flush);
}

/* -- operations: each predicts, acts, compares ---------------------------------------------------- */

static u64 pick_gfn(unsigned int level)
{
	unsigned int chunk = sampled[below(NR_SAMPLED)];

	if (level == 3)
		return BASE_GFN + (below(2) << 18);
	if (level == 2)
		return BASE_GFN + (below(4) ? chunk : below(NR_CHUNKS)) * 512;
	switch (below(4)) {
	case 0:
		return BASE_GFN + chunk * 512 + below(512);
	case 1:
		return BASE_GFN + chunk * 512 + 511 - below(3);
	default:
		return BASE_GFN + chunk * 512 + below(4);
	}
}

static unsigned int pick_level(void)
{
	u64 n = below(16);

	return n == 0 ? 3 : n < 5 ? 2 : 1;
}

/* Frames have a home address, contiguous and aligned as their numbers are; some are elsewhere. */
static u64 pick_pa(u64 gfn, unsigned int level)
{
	u64 pa = 0x2000000000ULL + (gfn << 12);

	if (!below(8))
		pa += level_frames(level) << (12 + below(3));
	return pa;
}

static unsigned int pick_access(void)
{
	return RADIX_R | (below(3) ? RADIX_W : 0) | (below(3) ? RADIX_X : 0);
}

static u64 pick_flags(void)
{
	return below(4) ? RADIX_HOST_WRITE : below(64);
}

static struct radix_range pick_range(void)
{
	u64 start = pick_gfn(1 + below(3));
	u64 end = below(3) ? start + 1 + below(1200) : pick_gfn(1 + below(3)) + below(3);
	struct radix_range r;

	if (!below(16))
		end = ~0ULL;
	r.next = to_gfn(start);
	r.end = to_gfn(end);
	return r;
}

static unsigned int pick_budget(void)
{
	return below(3) ? 1000000 : 1 + below(200);
}

static bool same_page(const struct cell *c, u64 pa, unsigned int mt, u64 flags)
{
	u64 fixed = (RADIX_SPECIAL | RADIX_IGNORE_PAT | RADIX_PLAIN) & m.fmt_flags;

	return c->pa == pa && c->mt == mt && !((c->flags ^ flags) & fixed);
}

static void reports_begin(struct radix_gather *g, unsigned int leaf_max)
{
	m.nr_want = 0;
	m.nr_got = 0;
	radix_gather_init(g, m.got, leaf_max);
}

static void play_map(void)
{
	unsigned int level = pick_level(), access = pick_access();
	unsigned int mt = below(6) ? RADIX_WB : below(3);
	u64 gfn = pick_gfn(level), pa = pick_pa(gfn, level);
	u64 flags = pick_flags();
	struct probe p = raw_probe(gfn, level);
	struct cell *c = cell_at(gfn), was = *c;
	unsigned int nr = below(4) ? RADIX_CACHE_PAGES : below(RADIX_CACHE_PAGES + 1);
	unsigned int taken = 0;
	struct radix_cache cache;
	struct radix_gather g;
	enum radix_result want, got;
	bool merge, deep = false;

	reports_begin(&g, NR_CELLS);
	cache_fill(&cache, nr);
	flags &= m.fmt_flags | AD;
	merge = was.level && same_page(&was, pa, mt, flags);
	if (p.kind == KIND_NONE) {
		want = nr < p.level - level ? RADIX_NOMEM : RADIX_NEW;
		taken = p.level - level;
	} else if (p.kind == KIND_TABLE) {
		for (unsigned int i = 0; level == 3 && i < 512; i++)
			deep |= raw_probe(gfn + i * 512, 2).kind == KIND_TABLE;
		want = deep ? RADIX_DEEP : RADIX_TABLE;
		if (!deep)
			cells_remove(gfn, gfn + level_frames(level));
	} else {
		u64 now = flags & m.fmt_flags & (AD | RADIX_HOST_WRITE);
		bool grows = access & ~was.access || now & ~was.flags & RADIX_HOST_WRITE;

		taken = p.level - level;
		if (merge && !(access & ~was.access) && !(now & ~was.flags)) {
			want = RADIX_SAME;
			taken = 0;
		} else if (nr < taken) {
			want = RADIX_NOMEM;
		} else {
			want = taken || !merge ? RADIX_CHANGED : grows ? RADIX_RELAXED : RADIX_SAME;
			while (c->level > level)
				cells_split(gfn);
			if (!merge)
				cells_remove(gfn, gfn + level_frames(level));
			else
				cells_write(gfn, level, pa, access | was.access, mt,
					    now | was.flags);
		}
	}
	if (want == RADIX_NEW || want == RADIX_TABLE || (want == RADIX_CHANGED && !merge))
		cells_write(gfn, level, pa, access, mt, flags);
	if (want == RADIX_NOMEM || want == RADIX_TABLE || want == RADIX_DEEP)
		taken = 0;

	got = radix_map(&m.tree, to_gfn(gfn), level, pa, access, mt, flags, &cache, &g);
	m.nr_got = g.leaf_nr;
	MODEL_CHECK(got == want);
	MODEL_CHECK(cache.nr == nr - taken);
	MODEL_CHECK(g.flush == (want == RADIX_CHANGED || want == RADIX_TABLE));
	MODEL_CHECK(g.nr_freed == (want == RADIX_TABLE));
	check_reports(&g);
	check_cell(c);
	cache_drain(&cache);
	gather_drain(&g);
}

static void play_map_invalid(void)
{
	unsigned int level = 1 + below(3);
	u64 gfn = pick_gfn(level), pa = pick_pa(gfn, level);
	unsigned int access = RADIX_RWX, mt = RADIX_WB;
	struct radix_cache cache;
	struct radix_gather g;
	unsigned int nr_new = 77;

	switch (below(7)) {
	case 0:
		level = below(2) ? 0 : 4 + below(3);
		break;
	case 1:
		gfn = (1ULL << (9 * m.tree.levels)) + below(2) * gfn;
		break;
	case 2:
		if (level == 1)
			level = 2;
		gfn = (gfn & ~511ULL) + 1;
		break;
	case 3:
		pa += 1ULL << below(12 + 9 * (level - 1));
		break;
	case 4:
		pa |= 1ULL << (52 + below(12));
		break;
	case 5:
		access = below(2) ? RADIX_W : 8 + RADIX_R;
		break;
	default:
		mt = RADIX_NR_MEMTYPES;
		break;
	}
	cache_fill(&cache, RADIX_CACHE_PAGES);
	reports_begin(&g, 0);
	MODEL_CHECK(radix_map(&m.tree, to_gfn(gfn), level, pa, access, mt, 0, &cache, &g) ==
		    RADIX_INVAL);
	MODEL_CHECK(cache.nr == RADIX_CACHE_PAGES);
	gfn = pick_gfn(1);
	MODEL_CHECK(radix_map_run(&m.tree, to_gfn(gfn), &pa, 1, RADIX_W, 0, 0, &cache, &nr_new) ==
		    RADIX_INVAL);
	MODEL_CHECK(nr_new == 0);
	cache_drain(&cache);
}

static void play_map_run(void)
{
	u64 gfn = pick_gfn(1), flags = pick_flags() & (m.fmt_flags | AD);
	unsigned int n = 1 + below(20), access = pick_access(), i;
	unsigned int nr = below(3) ? RADIX_CACHE_PAGES : below(4);
	unsigned int left = 512 - gfn % 512, want_new = 0, got_new = 99, wanted = 0;
	struct probe p = raw_probe(gfn, 1);
	enum radix_result want, got;
	struct radix_cache cache;
	u64 pa[20];

	for (i = 0; i < n; i++) {
		pa[i] = pick_pa(gfn + i, 1) | (below(4) ? 0 : RADIX_RUN_RO);
		if (!below(4))
			pa[i] = RADIX_RUN_SKIP;
		else if (!below(16))
			pa[i] |= 0x10;
		wanted += i < left && pa[i] != RADIX_RUN_SKIP;
	}
	cache_fill(&cache, nr);
	if (p.level > 1 && (p.kind == KIND_LEAF || !wanted)) {
		want = RADIX_SAME;
	} else if (nr < p.level - 1) {
		want = RADIX_NOMEM;
	} else {
		for (i = 0; i < n && i < left; i++) {
			unsigned int rights = pa[i] & RADIX_RUN_RO ? access & ~RADIX_W : access;

			if (cell_at(gfn + i)->level || pa[i] == RADIX_RUN_SKIP || pa[i] & 0x10)
				continue;
			cells_write(gfn + i, 1, pa[i] & ~RADIX_RUN_RO, rights, RADIX_WB, flags);
			want_new++;
		}
		want = want_new ? RADIX_NEW : RADIX_SAME;
	}
	got = radix_map_run(&m.tree, to_gfn(gfn), pa, n, access, RADIX_WB, flags, &cache, &got_new);
	MODEL_CHECK(got == want);
	MODEL_CHECK(got_new == want_new);
	cache_drain(&cache);
	for (i = 0; i < n && i < left; i++)
		check_cell(cell_at(gfn + i));
}

static void play_unmap(void)
{
	struct radix_range r = pick_range();
	u64 start = gfn_raw(r.next), end = gfn_raw(r.end);
	unsigned int leaf_max = below(2) ? 1 + below(40) : NR_CELLS, rounds = 0;
	struct radix_leaf part[NR_CELLS];
	struct radix_gather g;
	bool more;

	reports_begin(&g, 0);
	g.leaf = part;
	g.leaf_max = leaf_max;
	cells_remove(start, end);
	do {
		gfn_t before = r.next;

		more = radix_unmap(&m.tree, &r, pick_budget(), &g);
		memcpy(m.got + m.nr_got, part, g.leaf_nr * sizeof(part[0]));
		m.nr_got += g.leaf_nr;
		g.leaf_nr = 0;
		MODEL_CHECK(!more || gfn_raw(r.next) > gfn_raw(before));
	} while (more && ++rounds < 200000);
	MODEL_CHECK(!more);
	check_reports(&g);
	for (u64 gfn = BASE_GFN; gfn < END_GFN; gfn += 512)
		if (gfn >= start && gfn + 512 <= end)
			MODEL_CHECK(raw_probe(gfn, 2).kind == KIND_NONE);
	for (u64 gfn = BASE_GFN; gfn < END_GFN; gfn += 1 << 18)
		if (gfn >= start && gfn + (1 << 18) <= end)
			MODEL_CHECK(raw_probe(gfn, 3).kind == KIND_NONE);
	gather_drain(&g);
}

static void play_write_protect(void)
{
	struct radix_range r = pick_range();
	u64 start = gfn_raw(r.next), end = gfn_raw(r.end), want = 0, got = 0;

	for_each_cell(c)
		want += is_leaf_head(c) && c->access & RADIX_W && leaf_meets(c, start, end);
	for_each_cell(c)
		if (leaf_meets(c, start, end))
			c->access &= ~RADIX_W;
	while (radix_write_protect(&m.tree, &r, pick_budget(), &got))
		;
	MODEL_CHECK(got == want);
}

static bool log_again_takes(const struct cell *c)
{
	return c->level == 1 ? c->flags & RADIX_DIRTY : c->access & RADIX_W;
}

static void play_log_again(void)
{
	struct radix_range r = pick_range();
	u64 start = gfn_raw(r.next), end = gfn_raw(r.end), want = 0, got = 0;

	/* A format without dirty bits has no hardware that logs. */
	if (!m.tree.fmt->dirty)
		return;
	for_each_cell(c)
		want += is_leaf_head(c) && leaf_meets(c, start, end) && log_again_takes(c);
	for_each_cell(c) {
		if (!c->level || !leaf_meets(c, start, end))
			continue;
		if (c->level == 1)
			c->flags &= ~RADIX_DIRTY;
		else
			c->access &= ~RADIX_W;
	}
	while (radix_log_again(&m.tree, &r, pick_budget(), &got))
		;
	MODEL_CHECK(got == want);
}

static void play_write_protect_mask(void)
{
	u64 gfn = pick_gfn(1) & ~63ULL, mask = draw() & draw();
	unsigned int want = 0;
	struct cell *first = cell_at(gfn);

	for (unsigned int i = 0; i < 64; i++) {
		struct cell *c = cell_at(gfn + i);

		if (!(mask >> i & 1) || !c->level || !(c->access & RADIX_W))
			continue;
		want++;
		if (first->level > 1) {
			u64 head = leaf_first(c), end = head + level_frames(c->level);

			for_each_cell(d)
				if (d->gfn >= head && d->gfn < end)
					d->access &= ~RADIX_W;
		} else {
			c->access &= ~RADIX_W;
		}
	}
	MODEL_CHECK(radix_write_protect_mask(&m.tree, to_gfn(gfn), mask) == want);
	MODEL_CHECK(radix_write_protect_mask(&m.tree, to_gfn(1ULL << 60), mask) == 0);
}

static void play_clear_dirty(void)
{
	static u64 bitmap[(2 << 18) / 64 + 64], wanted[(2 << 18) / 64 + 64];
	struct radix_range r = pick_range();
	u64 base = below(2) ? BASE_GFN : gfn_raw(r.next);
	u64 start = gfn_raw(r.next), end = gfn_raw(r.end), want = 0, got = 0;

	memset(bitmap, 0, sizeof(bitmap));
	memset(wanted, 0, sizeof(wanted));
	if (end > END_GFN)
		end = END_GFN;
	for_each_cell(c) {
		u64 from = c->gfn > start ? c->gfn : start;
		u64 to = c->gfn + c->frames < end ? c->gfn + c->frames : end;
		u64 head = c->level ? leaf_first(c) : 0;

		if (!leaf_meets(c, start, end) || !(c->flags & RADIX_DIRTY))
			continue;
		for (u64 gfn = from; gfn < to; gfn++)
			wanted[(gfn - base) / 64] |= 1ULL << ((gfn - base) % 64);
		if (head < start || head + level_frames(c->level) > gfn_raw(r.end))
			continue;
		want += is_leaf_head(c);
		c->flags &= ~(u64)RADIX_DIRTY;
	}
	while (radix_clear_dirty(&m.tree, &r, pick_budget(), to_gfn(base), bitmap, &got))
		;
	MODEL_CHECK(got == want);
	MODEL_CHECK(!memcmp(bitmap, wanted, sizeof(bitmap)));
}

static void play_age(void)
{
	struct radix_range r = pick_range(), again = r;
	u64 start = gfn_raw(r.next), end = gfn_raw(r.end), want = 0, got = 0, any = 0;

	for_each_cell(c) {
		if (leaf_meets(c, start, end) && c->flags & RADIX_ACCESSED)
			want += is_leaf_head(c);
	}
	while (radix_test_accessed(&m.tree, &again, pick_budget(), &any))
		;
	MODEL_CHECK(any == !!want);
	if (below(2))
		return;
	for_each_cell(c)
		if (leaf_meets(c, start, end))
			c->flags &= ~(u64)RADIX_ACCESSED;
	while (radix_clear_accessed(&m.tree, &r, pick_budget(), &got))
		;
	MODEL_CHECK(got == want);
}

static void play_make_writable(void)
{
	u64 gfn = pick_gfn(1);
	struct cell *c = cell_at(gfn);
	enum radix_result want = RADIX_INVAL;

	if (c->level == 1 && c->access & RADIX_W) {
		want = RADIX_SAME;
	} else if (c->level == 1 && c->flags & RADIX_HOST_WRITE) {
		want = RADIX_RELAXED;
		c->access |= RADIX_W;
		c->flags |= AD & m.fmt_flags;
	}
	MODEL_CHECK(radix_make_writable(&m.tree, to_gfn(gfn)) == want);
	check_cell(c);
	MODEL_CHECK(radix_make_writable(&m.tree, to_gfn(1ULL << 60)) == RADIX_INVAL);
}

static void play_split(void)
{
	u64 gfn = pick_gfn(1);
	struct cell *c = cell_at(gfn);
	unsigned int nr = below(4) ? 1 : 0;
	enum radix_result want = RADIX_SAME;
	struct radix_cache cache;

	cache_fill(&cache, nr);
	if (c->level > 1) {
		want = nr ? RADIX_CHANGED : RADIX_NOMEM;
		if (nr)
			cells_split(gfn);
	}
	MODEL_CHECK(radix_split(&m.tree, to_gfn(gfn), &cache) == want);
	MODEL_CHECK(radix_split(&m.tree, to_gfn(1ULL << 60), &cache) == RADIX_SAME);
	check_cell(c);
	cache_drain(&cache);
}

static void play_collapse(void)
{
	unsigned int level = 2 + !below(3);
	u64 gfn = pick_gfn(level), seen = 0;
	const struct cell *first = cell_at(gfn);
	struct cell head = *first;
	bool rewrite = below(2), loose, can;
	enum radix_result want;
	struct radix_gather g;

	loose = rewrite && head.flags & RADIX_HOST_WRITE;
	can = head.level == level - 1 && !(head.pa & ((level_frames(level) << 12) - 1));
	for_each_cell(c) {
		if (!can || c->gfn < gfn || c->gfn >= gfn + level_frames(level))
			continue;
		can = c->level == level - 1 && c->pa == head.pa + ((c->gfn - gfn) << 12) &&
		      c->mt == head.mt && !((c->flags ^ head.flags) & ~AD) &&
		      !((c->access ^ head.access) & (loose ? ~RADIX_W : ~0U));
		seen |= c->flags & AD;
	}
	want = can ? RADIX_TABLE : RADIX_SAME;
	if (can)
		cells_write(gfn, level, head.pa, head.access | (loose ? RADIX_W : 0), head.mt,
			    head.flags | seen);
	reports_begin(&g, NR_CELLS);
	MODEL_CHECK(radix_collapse(&m.tree, to_gfn(gfn), level, rewrite, &g) == want);
	MODEL_CHECK(g.leaf_nr == 0 && g.nr_removed == 0 && g.nr_freed == can);
	MODEL_CHECK(radix_collapse(&m.tree, to_gfn(gfn), 1, rewrite, &g) == RADIX_SAME);
	check_cell(first);
	gather_drain(&g);
}

/* Fills a chunk with 4 KiB leaves that a collapse may or may not put together. */
static void play_fill_chunk(void)
{
	u64 gfn = pick_gfn(2) & ~511ULL, odd = below(3) ? 512 : below(512);
	unsigned int access = pick_access(), nr_new;
	struct radix_cache cache;
	u64 pa[512];

	if (raw_probe(gfn, 1).kind == KIND_LEAF || cell_at(gfn)->frames != 1)
		return;
	for (unsigned int i = 0; i < 512; i++) {
		pa[i] = 0x2000000000ULL + ((gfn + i) << 12) + (i == odd ? 4096 : 0);
		if (!cell_at(gfn + i)->level)
			cells_write(gfn + i, 1, pa[i], access, RADIX_WB, RADIX_HOST_WRITE);
	}
	cache_fill(&cache, RADIX_CACHE_PAGES);
	radix_map_run(&m.tree, to_gfn(gfn), pa, 512, access, RADIX_WB, RADIX_HOST_WRITE, &cache,
		      &nr_new);
	cache_drain(&cache);
}

/* Hardware uses a translation. */
static void play_hardware(void)
{
	for (unsigned int n = 1 + below(8); n; n--) {
		struct cell *at = cell_at(pick_gfn(1));
		u64 head, add = RADIX_ACCESSED;
		u64 *slot;

		if (!at->level || !(m.fmt_flags & RADIX_ACCESSED))
			continue;
		if (at->access & RADIX_W && below(2))
			add |= RADIX_DIRTY;
		slot = raw_probe(at->gfn, 1).slot;
		*slot |= fmt_is_npt() ? 0x20 : 0x100;
		if (add & RADIX_DIRTY)
			*slot |= fmt_is_npt() ? 0x40 : 0x200;
		head = leaf_first(at);
		for_each_cell(c)
			if (c->gfn >= head && c->gfn < head + level_frames(at->level))
				c->flags |= add;
	}
}

static void (*const plays[])(void) = {
	play_map, play_map, play_map, play_map, play_map_run, play_map_run, play_unmap,
	play_write_protect, play_write_protect_mask, play_clear_dirty, play_age,
	play_make_writable, play_split, play_collapse, play_fill_chunk, play_hardware,
	play_hardware, play_map_invalid, play_log_again,
};

/* An empty tree of format number `which` (0..2) and `variant` bits: 5 levels, enc, empty. */
static void model_begin(unsigned int which, unsigned int variant)
{
	static const struct radix_fmt *const fmts[] = {
		&radix_fmt_npt, &radix_fmt_ept, &radix_fmt_ept_noad,
	};
	struct cell *c = m.cell;
	unsigned int chunk, i, s = 0;

	if (!m.arena)
		m.arena = mmap(NULL, POOL_PAGES * 4096, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	m.pool_nr = 0;
	for (i = 0; i < POOL_PAGES; i++) {
		m.pool[m.pool_nr++] = m.arena + i * 4096;
		m.out[i] = false;
	}
	memset(m.cell, 0, sizeof(m.cell));
	for (chunk = 0; chunk < NR_CHUNKS; chunk++) {
		bool fine = s < NR_SAMPLED && sampled[s] == chunk;

		s += fine;
		for (i = 0; i < (fine ? 512 : 1); i++, c++) {
			c->gfn = BASE_GFN + chunk * 512 + i;
			c->frames = fine ? 1 : 512;
		}
	}
	m.fmt = fmts[which % 3];
	radix_init(&m.tree, m.fmt, pool_take(), variant & 1 ? 5 : 4, (u64)m.arena - POOL_PA,
		   variant & 2 ? ENC : 0, variant & 4 ? 0x000ff00000000000ULL & ~ENC : 0);
	m.fmt_flags = RADIX_HOST_WRITE | RADIX_SPECIAL;
	if (m.fmt != &radix_fmt_ept_noad)
		m.fmt_flags |= AD;
	if (!fmt_is_npt())
		m.fmt_flags |= RADIX_IGNORE_PAT;
	if (m.tree.enc)
		m.fmt_flags |= RADIX_PLAIN;
	MODEL_CHECK(radix_root_pa(&m.tree) ==
		    (POOL_PA + (u64)((char *)m.tree.root - m.arena)) + m.tree.enc);
}

/* Takes the tree apart; every page comes back once. */
static void model_end(void)
{
	gfn_t next = to_gfn(0);
	unsigned int rounds = 0;
	struct radix_gather g;
	bool more;

	do {
		radix_gather_init(&g, NULL, 0);
		more = radix_destroy(&m.tree, &next, 1 + below(300), &g);
		gather_drain(&g);
	} while (more && ++rounds < 100000);
	MODEL_CHECK(!more);
	MODEL_CHECK(!m.tree.root);
	MODEL_CHECK(m.tree.nr_tables == 0);
	MODEL_CHECK(m.pool_nr == POOL_PAGES);
	MODEL_CHECK(!radix_destroy(&m.tree, &next, 1, &g));
}

#endif /* KEEL_REF_RADIX_H */
