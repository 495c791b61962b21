// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nested page-table radix tree for NPT and EPT.
 *
 * Owns: the contents of the table pages between the root and the leaves, and their counts. Does not
 * own: the pages themselves (they come from a cache and leave on a list), the writer lock, TLB
 * flushes, the host pages that leaves point to, and any policy about what may be mapped.
 *
 * Who touches an entry:
 *  - Writers, serialised by the caller's lock, do everything in this file but radix_lookup().
 *  - Hardware sets accessed and dirty bits in present entries at any time, until the TLB flush
 *    after the entry's removal. So a present entry is only changed by an atomic exchange or
 *    compare-and-swap; a not-present one belongs to the writer alone and takes a plain store.
 *  - Lock-free readers take one snapshot per entry. A table is complete before the entry that leads
 *    to it is stored with release order; the reader's address dependency pairs with that.
 *
 * A table leaves the tree in this order: the entry that leads to it goes, then its leaves are
 * emptied (which collects the bits hardware set until then), then it is chained. Hardware that
 * still holds the old entry in a paging-structure cache finds not-present entries only; the chain
 * word is a page address, whose low bits read as not present too.
 *
 * No recursion: a walk keeps one table pointer per level. No loop is longer than the call's budget,
 * one table, or (replacing a 1 GiB table) two passes over one table. A compare-and-swap that fails
 * lost to hardware, which only sets two bits, so it fails at most twice.
 *
 * Context: any in which the caller may hold its lock. Manuals: AMD64 vol. 2, "Nested Paging"; Intel
 * SDM vol. 3, "The Extended Page Table Mechanism".
 */
#include "radix.h"

/* A position in the tree: the entry at index gfn of table[level]. */
struct walk {
	u64 gfn;
	u64 end;
	unsigned int level;
	unsigned int budget;
	u64 *table[RADIX_MAX_LEVELS + 1];
};

/* What walk_advance() does with a table whose end it passes. */
enum prune { PRUNE_NONE, PRUNE_EMPTY, PRUNE_ALL };

static inline unsigned int index_of(u64 gfn, unsigned int level)
{
	return gfn >> (9 * (level - 1)) & (RADIX_ENTRIES - 1);
}

/* First frame the tree does not reach. */
static inline u64 reach(const struct radix_tree *tree)
{
	return 1ULL << (9 * tree->levels);
}

static inline u64 *table_of(const struct radix_tree *tree, u64 entry)
{
	return (u64 *)(uintptr_t)((entry & tree->fmt->addr & ~tree->enc) + tree->va_offset);
}

static inline bool is_present(const struct radix_tree *tree, u64 entry)
{
	return entry & tree->fmt->present;
}

/* For a present entry: does it lead to a table? */
static inline bool is_table(const struct radix_tree *tree, u64 entry, unsigned int level)
{
	return level > RADIX_LEVEL_4K && !(entry & tree->fmt->large);
}

static inline u64 exchange(u64 *slot, u64 entry)
{
	return __atomic_exchange_n(slot, entry, __ATOMIC_ACQ_REL);
}

/* On failure *old is what was found. */
static inline bool compare_swap(u64 *slot, u64 *old, u64 entry)
{
	return __atomic_compare_exchange_n(slot, old, entry, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

static inline u64 choose(u64 flags, u64 flag, u64 mask)
{
	return flags & flag ? mask : 0;
}

static inline u64 leaf_make(const struct radix_tree *tree, unsigned int level, u64 pa,
			    unsigned int access, enum radix_memtype mt, u64 flags)
{
	const struct radix_fmt *fmt = tree->fmt;
	u64 entry = pa | fmt->leaf | fmt->rights[access] | fmt->memtype[mt];

	if (level > RADIX_LEVEL_4K)
		entry |= fmt->large;
	if (!(flags & RADIX_PLAIN))
		entry |= tree->enc;
	return entry | choose(flags, RADIX_ACCESSED, fmt->accessed) |
	       choose(flags, RADIX_DIRTY, fmt->dirty) |
	       choose(flags, RADIX_HOST_WRITE, fmt->sw_host_write) |
	       choose(flags, RADIX_SPECIAL, fmt->sw_special) |
	       choose(flags, RADIX_IGNORE_PAT, fmt->ignore_pat);
}

/* `entry` with the rights and the state of `want` added. */
static inline u64 leaf_merge(const struct radix_fmt *fmt, u64 entry, u64 want)
{
	u64 add = fmt->write | fmt->exec | fmt->sw_host_write | fmt->accessed | fmt->dirty;

	return (entry | (want & add)) & ~(fmt->noexec & ~want);
}

static u64 *cache_take(struct radix_tree *tree, struct radix_cache *cache)
{
	u64 *table = cache->page[--cache->nr];
	unsigned int i;

	if (tree->empty)
		for (i = 0; i < RADIX_ENTRIES; i++)
			table[i] = tree->empty;
	tree->nr_tables++;
	return table;
}

static inline u64 table_entry(const struct radix_tree *tree, const u64 *table)
{
	return ((u64)(uintptr_t)table - tree->va_offset) | tree->enc | tree->fmt->table;
}

static void table_free(struct radix_tree *tree, u64 *table, struct radix_gather *g)
{
	struct radix_page *page = (struct radix_page *)table;

	tree->nr_tables--;
	WRITE_ONCE(page->next, g->freed);
	g->freed = page;
	g->nr_freed++;
	g->flush = true;
}

static bool table_is_empty(const struct radix_tree *tree, const u64 *table)
{
	unsigned int i;

	for (i = 0; i < RADIX_ENTRIES; i++)
		if (is_present(tree, READ_ONCE(table[i])))
			return false;
	return true;
}

/* Accounts for the leaf `entry` that was taken out at `gfn`. */
static void leaf_removed(struct radix_tree *tree, u64 gfn, unsigned int level, u64 entry,
			 struct radix_gather *g)
{
	u64 span = radix_span(level);
	u64 first = gfn & ~(span - 1);
	u32 flags = radix_entry_flags(tree, entry);

	tree->nr_leaves[level]--;
	g->nr_removed++;
	g->flush = true;
	if (!(flags & RADIX_SPECIAL))
		g->seen |= flags & (RADIX_ACCESSED | RADIX_DIRTY);
	if (first < gfn_raw(g->start))
		g->start = to_gfn(first);
	if (first + span > gfn_raw(g->end))
		g->end = to_gfn(first + span);
	if (g->leaf_nr < g->leaf_max) {
		struct radix_leaf *leaf = &g->leaf[g->leaf_nr++];

		leaf->gfn = to_gfn(first);
		leaf->pa = radix_entry_pa(tree, entry);
		leaf->level = level;
		leaf->flags = flags;
	}
}

static void walk_start(const struct radix_tree *tree, struct walk *w,
		       const struct radix_range *range, unsigned int budget)
{
	w->gfn = gfn_raw(range->next);
	w->end = gfn_raw(range->end);
	if (w->end > reach(tree))
		w->end = reach(tree);
	w->level = tree->levels;
	w->budget = budget;
	w->table[w->level] = tree->root;
}

static bool walk_stop(const struct walk *w, struct radix_range *range)
{
	if (w->gfn > gfn_raw(range->next))
		range->next = to_gfn(w->gfn);
	return w->gfn < w->end;
}

/*
 * Steps over the current entry; climbs while that was the last one of its table. `g` is used, and
 * the tree changed, only when there is something to prune.
 */
static inline void walk_advance(struct radix_tree *tree, struct walk *w, enum prune prune,
				struct radix_gather *g)
{
	w->gfn = (w->gfn | (radix_span(w->level) - 1)) + 1;
	w->budget--;
	while (w->level < tree->levels && index_of(w->gfn, w->level) == 0) {
		u64 *left = w->table[w->level++];

		if (prune == PRUNE_NONE)
			continue;
		if (prune == PRUNE_EMPTY && !table_is_empty(tree, left))
			continue;
		exchange(&w->table[w->level][index_of(w->gfn - 1, w->level)], tree->empty);
		table_free(tree, left, g);
	}
}

/* Goes to the next present leaf at or after the current entry; NULL at the end or out of budget. */
static inline u64 *walk_leaf(struct radix_tree *tree, struct walk *w, enum prune prune,
			     struct radix_gather *g)
{
	while (w->gfn < w->end && w->budget) {
		u64 *slot = &w->table[w->level][index_of(w->gfn, w->level)];
		u64 entry = READ_ONCE(*slot);

		if (!is_present(tree, entry)) {
			walk_advance(tree, w, prune, g);
		} else if (is_table(tree, entry, w->level)) {
			w->level--;
			w->table[w->level] = table_of(tree, entry);
		} else {
			return slot;
		}
	}
	return NULL;
}

/*
 * The slot for `gfn` (in reach) at *level, or higher up where the tables end. *level = its level,
 * *entry = the one snapshot of it.
 */
static inline u64 *slot_find(const struct radix_tree *tree, u64 gfn, unsigned int *level,
			     u64 *entry)
{
	const u64 present = tree->fmt->present;
	const u64 large = tree->fmt->large;
	const u64 address = tree->fmt->addr & ~tree->enc;
	const u64 va_offset = tree->va_offset;
	unsigned int at = tree->levels;
	unsigned int shift = 9 * (at - 1);
	u64 *table = tree->root;
	u64 *slot;

	/* The hot loop of every fault: is_table() and table_of() with their masks in registers. */
	for (;; shift -= 9) {
		slot = &table[gfn >> shift & (RADIX_ENTRIES - 1)];
		*entry = READ_ONCE(*slot);
		if (at == *level || !(*entry & present) || *entry & large)
			break;
		table = (u64 *)(uintptr_t)((*entry & address) + va_offset);
		at--;
	}
	*level = at;
	return slot;
}

/* Turns the large leaf in *slot into a table. The cache holds a page. */
static void slot_split(struct radix_tree *tree, u64 *slot, unsigned int level,
		       struct radix_cache *cache)
{
	u64 *table = cache_take(tree, cache);
	u64 step = radix_span(level - 1) << KEEL_PAGE_SHIFT;
	u64 entry = READ_ONCE(*slot);
	unsigned int i;

	do {
		u64 leaf = level - 1 == RADIX_LEVEL_4K ? entry & ~tree->fmt->large : entry;

		for (i = 0; i < RADIX_ENTRIES; i++)
			table[i] = leaf + i * step;
	} while (!compare_swap(slot, &entry, table_entry(tree, table)));
	tree->nr_leaves[level]--;
	tree->nr_leaves[level - 1] += RADIX_ENTRIES;
}

/* Fills the not-present *slot with an empty table. The cache holds a page. */
static u64 *slot_link(struct radix_tree *tree, u64 *slot, struct radix_cache *cache)
{
	u64 *table = cache_take(tree, cache);

	/* Pairs with the address dependency in slot_find(), run by radix_lookup(). */
	__atomic_store_n(slot, table_entry(tree, table), __ATOMIC_RELEASE);
	return table;
}

/* Empties `table` of leaves of `level`, the first one at `gfn`. */
static void table_drain(struct radix_tree *tree, u64 *table, u64 gfn, unsigned int level,
			struct radix_gather *g)
{
	unsigned int i;

	for (i = 0; i < RADIX_ENTRIES; i++) {
		u64 entry = READ_ONCE(table[i]);

		if (!is_present(tree, entry))
			continue;
		entry = exchange(&table[i], tree->empty);
		leaf_removed(tree, gfn + i * radix_span(level), level, entry, g);
	}
}

/* Puts the large leaf `want` where *slot leads to a table. */
static enum radix_result slot_replace_table(struct radix_tree *tree, u64 *slot, u64 gfn,
					    unsigned int level, u64 want, struct radix_gather *g)
{
	u64 *table = table_of(tree, READ_ONCE(*slot));
	unsigned int i;

	for (i = 0; i < RADIX_ENTRIES; i++) {
		u64 entry = READ_ONCE(table[i]);

		if (is_present(tree, entry) && is_table(tree, entry, level - 1))
			return RADIX_DEEP;
	}
	exchange(slot, want);
	tree->nr_leaves[level]++;
	table_drain(tree, table, gfn, level - 1, g);
	table_free(tree, table, g);
	return RADIX_TABLE;
}

/* Does the large leaf `entry` of `level` say for `gfn` all that the smaller leaf `want` says? */
static inline bool leaf_covers(const struct radix_tree *tree, u64 entry, unsigned int level,
			       u64 want, u64 gfn)
{
	const struct radix_fmt *fmt = tree->fmt;
	u64 inside = entry + ((gfn & (radix_span(level) - 1)) << KEEL_PAGE_SHIFT);

	if ((inside ^ want) & (fmt->addr | fmt->attr_mask))
		return false;
	return leaf_merge(fmt, entry, want) == entry;
}

/* Makes *slot, which holds a leaf of `level`, the leaf `want`. */
static enum radix_result slot_update(struct radix_tree *tree, u64 *slot, u64 gfn,
				     unsigned int level, u64 want, struct radix_gather *g)
{
	const struct radix_fmt *fmt = tree->fmt;
	u64 entry = READ_ONCE(*slot);
	u64 merged;

	if ((entry ^ want) & (fmt->addr | fmt->attr_mask)) {
		entry = exchange(slot, want);
		leaf_removed(tree, gfn, level, entry, g);
		tree->nr_leaves[level]++;
		return RADIX_CHANGED;
	}
	do {
		merged = leaf_merge(fmt, entry, want);
		if (merged == entry)
			return RADIX_SAME;
	} while (!compare_swap(slot, &entry, merged));
	return (entry ^ merged) & ~(fmt->accessed | fmt->dirty) ? RADIX_RELAXED : RADIX_SAME;
}

static inline bool access_valid(unsigned int access)
{
	return access & RADIX_R && !(access & ~RADIX_RWX);
}

/* An address a leaf of `level` can hold. */
static inline bool pa_valid(const struct radix_tree *tree, u64 pa, unsigned int level)
{
	u64 offset = (radix_span(level) << KEEL_PAGE_SHIFT) - 1;

	return !(pa & (offset | tree->enc | ~tree->fmt->addr));
}

void radix_init(struct radix_tree *tree, const struct radix_fmt *fmt, void *root,
		unsigned int levels, u64 va_offset, u64 enc, u64 empty)
{
	struct radix_cache cache = { .nr = 1, .page = { root } };

	memset(tree, 0, sizeof(*tree));
	tree->fmt = fmt;
	tree->levels = levels;
	tree->va_offset = va_offset;
	tree->enc = enc;
	tree->empty = empty;
	tree->root = cache_take(tree, &cache);
}

u64 radix_root_pa(const struct radix_tree *tree)
{
	return ((u64)(uintptr_t)tree->root - tree->va_offset) | tree->enc;
}

void radix_gather_init(struct radix_gather *g, struct radix_leaf *leaf, unsigned int leaf_max)
{
	memset(g, 0, sizeof(*g));
	g->start = to_gfn(~0ULL);
	g->leaf = leaf;
	g->leaf_max = leaf_max;
}

enum radix_result radix_map(struct radix_tree *tree, gfn_t gfn, unsigned int level, u64 pa,
			    unsigned int access, enum radix_memtype mt, u64 flags,
			    struct radix_cache *cache, struct radix_gather *g)
{
	u64 raw = gfn_raw(gfn);
	unsigned int at = level;
	bool split = false;
	enum radix_result result;
	u64 want, entry;
	u64 *slot;

	if (level - 1 >= RADIX_LEVEL_1G || raw >> (9 * tree->levels) ||
	    raw & (radix_span(level) - 1) || !pa_valid(tree, pa, level) || !access_valid(access) ||
	    mt >= RADIX_NR_MEMTYPES)
		return RADIX_INVAL;
	want = leaf_make(tree, level, pa, access, mt, flags);
	slot = slot_find(tree, raw, &at, &entry);

	while (unlikely(at > level)) {
		u64 *table;

		if (!is_present(tree, entry)) {
			/* From here down everything is missing, so this is the only shortage. */
			if (cache->nr < at - level)
				return RADIX_NOMEM;
			table = slot_link(tree, slot, cache);
		} else {
			if (leaf_covers(tree, entry, at, want, raw))
				return RADIX_SAME;
			if (cache->nr < at - level)
				return RADIX_NOMEM;
			slot_split(tree, slot, at, cache);
			g->flush = true;
			split = true;
			table = table_of(tree, READ_ONCE(*slot));
		}
		at--;
		slot = &table[index_of(raw, at)];
		entry = READ_ONCE(*slot);
	}

	if (!is_present(tree, entry)) {
		WRITE_ONCE(*slot, want);
		tree->nr_leaves[level]++;
		return RADIX_NEW;
	}
	if (is_table(tree, entry, level))
		return slot_replace_table(tree, slot, raw, level, want, g);
	result = slot_update(tree, slot, raw, level, want, g);
	return split ? RADIX_CHANGED : result;
}

enum radix_result radix_map_run(struct radix_tree *tree, gfn_t gfn, const u64 *pa, unsigned int n,
				unsigned int access, enum radix_memtype mt, u64 flags,
				struct radix_cache *cache, unsigned int *nr_new)
{
	u64 raw = gfn_raw(gfn);
	unsigned int at = RADIX_LEVEL_4K;
	unsigned int first = index_of(raw, RADIX_LEVEL_4K);
	unsigned int made = 0;
	unsigned int i;
	u64 entry, leaf, leaf_ro;
	u64 *slot;

	*nr_new = 0;
	if (raw >= reach(tree) || !access_valid(access) || mt >= RADIX_NR_MEMTYPES)
		return RADIX_INVAL;
	if (n > RADIX_ENTRIES - first)
		n = RADIX_ENTRIES - first;
	slot = slot_find(tree, raw, &at, &entry);
	if (at > RADIX_LEVEL_4K) {
		if (is_present(tree, entry))
			return RADIX_SAME;
		for (i = 0; i < n && pa[i] == RADIX_RUN_SKIP; i++)
			;
		if (i == n)
			return RADIX_SAME;
		if (cache->nr < at - RADIX_LEVEL_4K)
			return RADIX_NOMEM;
		for (; at > RADIX_LEVEL_4K; at--)
			slot = &slot_link(tree, slot, cache)[index_of(raw, at - 1)];
	}
	leaf = leaf_make(tree, RADIX_LEVEL_4K, 0, access, mt, flags);
	leaf_ro = leaf_make(tree, RADIX_LEVEL_4K, 0, access & ~RADIX_W, mt, flags);
	for (i = 0; i < n; i++) {
		u64 addr = pa[i] & ~RADIX_RUN_RO;

		if (is_present(tree, READ_ONCE(slot[i])) || pa[i] == RADIX_RUN_SKIP ||
		    !pa_valid(tree, addr, RADIX_LEVEL_4K))
			continue;
		WRITE_ONCE(slot[i], addr | (pa[i] & RADIX_RUN_RO ? leaf_ro : leaf));
		made++;
	}
	tree->nr_leaves[RADIX_LEVEL_4K] += made;
	*nr_new = made;
	return made ? RADIX_NEW : RADIX_SAME;
}

bool radix_unmap(struct radix_tree *tree, struct radix_range *range, unsigned int budget,
		 struct radix_gather *g)
{
	struct walk w;
	u64 *slot;

	walk_start(tree, &w, range, budget);
	while ((slot = walk_leaf(tree, &w, PRUNE_EMPTY, g))) {
		if (g->leaf_max && g->leaf_nr == g->leaf_max)
			break;
		leaf_removed(tree, w.gfn, w.level, exchange(slot, tree->empty), g);
		walk_advance(tree, &w, PRUNE_EMPTY, g);
	}
	return walk_stop(&w, range);
}

/* Takes the bits of `mask` from the leaf in *slot; returns whether it had one. */
static inline bool slot_clear(u64 *slot, u64 mask)
{
	if (!(READ_ONCE(*slot) & mask))
		return false;
	__atomic_fetch_and(slot, ~mask, __ATOMIC_ACQ_REL);
	return true;
}

/* Takes the bits of `mask` from all leaves in the range. */
static bool range_clear(struct radix_tree *tree, struct radix_range *range, unsigned int budget,
			u64 mask, u64 *nr)
{
	struct walk w;
	u64 *slot;

	walk_start(tree, &w, range, budget);
	while ((slot = walk_leaf(tree, &w, PRUNE_NONE, NULL))) {
		*nr += slot_clear(slot, mask);
		walk_advance(tree, &w, PRUNE_NONE, NULL);
	}
	return walk_stop(&w, range);
}

bool radix_write_protect(struct radix_tree *tree, struct radix_range *range, unsigned int budget,
			 u64 *nr)
{
	return range_clear(tree, range, budget, tree->fmt->write, nr);
}

bool radix_log_again(struct radix_tree *tree, struct radix_range *range, unsigned int budget, u64 *nr)
{
	struct walk w;
	u64 *slot;

	walk_start(tree, &w, range, budget);
	while ((slot = walk_leaf(tree, &w, PRUNE_NONE, NULL))) {
		*nr += slot_clear(slot, w.level == RADIX_LEVEL_4K ? tree->fmt->dirty : tree->fmt->write);
		walk_advance(tree, &w, PRUNE_NONE, NULL);
	}
	return walk_stop(&w, range);
}

unsigned int radix_write_protect_mask(struct radix_tree *tree, gfn_t gfn, u64 mask)
{
	u64 write = tree->fmt->write;
	unsigned int level = RADIX_LEVEL_4K;
	unsigned int nr = 0;
	u64 *slot, entry;

	if (!mask || gfn_raw(gfn) >= reach(tree))
		return 0;
	slot = slot_find(tree, gfn_raw(gfn), &level, &entry);
	if (level > RADIX_LEVEL_4K)
		return is_present(tree, entry) && slot_clear(slot, write);
	for (; mask; mask &= mask - 1) {
		u64 *leaf = &slot[__builtin_ctzll(mask)];

		nr += is_present(tree, READ_ONCE(*leaf)) && slot_clear(leaf, write);
	}
	return nr;
}

/* Sets bits [first, first + n) of `bitmap`. */
static void bitmap_fill(u64 *bitmap, u64 first, u64 n)
{
	while (n) {
		unsigned int shift = first % 64;
		u64 bits = 64 - shift < n ? 64 - shift : n;

		bitmap[first / 64] |= (~0ULL >> (64 - bits)) << shift;
		first += bits;
		n -= bits;
	}
}

bool radix_clear_dirty(struct radix_tree *tree, struct radix_range *range, unsigned int budget,
		       gfn_t base, u64 *bitmap, u64 *nr)
{
	u64 dirty = tree->fmt->dirty;
	struct walk w;
	u64 *slot;

	walk_start(tree, &w, range, budget);
	while ((slot = walk_leaf(tree, &w, PRUNE_NONE, NULL))) {
		u64 span = radix_span(w.level);
		u64 end = (w.gfn | (span - 1)) + 1;
		bool whole = !(w.gfn & (span - 1)) && end <= w.end;

		if (whole ? slot_clear(slot, dirty) : READ_ONCE(*slot) & dirty) {
			*nr += whole;
			bitmap_fill(bitmap, w.gfn - gfn_raw(base),
				    (end < w.end ? end : w.end) - w.gfn);
		}
		walk_advance(tree, &w, PRUNE_NONE, NULL);
	}
	return walk_stop(&w, range);
}

bool radix_clear_accessed(struct radix_tree *tree, struct radix_range *range, unsigned int budget,
			  u64 *nr)
{
	return range_clear(tree, range, budget, tree->fmt->accessed, nr);
}

bool radix_test_accessed(struct radix_tree *tree, struct radix_range *range, unsigned int budget,
			 u64 *nr)
{
	struct walk w;
	u64 *slot;

	walk_start(tree, &w, range, budget);
	while ((slot = walk_leaf(tree, &w, PRUNE_NONE, NULL))) {
		if (READ_ONCE(*slot) & tree->fmt->accessed) {
			(*nr)++;
			range->next = range->end;
			return false;
		}
		walk_advance(tree, &w, PRUNE_NONE, NULL);
	}
	return walk_stop(&w, range);
}

enum radix_result radix_make_writable(struct radix_tree *tree, gfn_t gfn)
{
	const struct radix_fmt *fmt = tree->fmt;
	unsigned int level = RADIX_LEVEL_4K;
	u64 *slot, entry;

	if (gfn_raw(gfn) >= reach(tree))
		return RADIX_INVAL;
	slot = slot_find(tree, gfn_raw(gfn), &level, &entry);
	if (level > RADIX_LEVEL_4K || !is_present(tree, entry))
		return RADIX_INVAL;
	do {
		if (entry & fmt->write)
			return RADIX_SAME;
		if (!(entry & fmt->sw_host_write))
			return RADIX_INVAL;
	} while (!compare_swap(slot, &entry, entry | fmt->write | fmt->accessed | fmt->dirty));
	return RADIX_RELAXED;
}

enum radix_result radix_split(struct radix_tree *tree, gfn_t gfn, struct radix_cache *cache)
{
	unsigned int level = RADIX_LEVEL_4K;
	u64 *slot, entry;

	if (gfn_raw(gfn) >= reach(tree))
		return RADIX_SAME;
	slot = slot_find(tree, gfn_raw(gfn), &level, &entry);
	if (level == RADIX_LEVEL_4K || !is_present(tree, entry))
		return RADIX_SAME;
	if (!cache->nr)
		return RADIX_NOMEM;
	slot_split(tree, slot, level, cache);
	return RADIX_CHANGED;
}

/*
 * The large leaf of `level` that says what the leaves of `table` say, with all their accessed and
 * dirty bits; tree->empty when no large leaf can.
 */
static u64 table_as_leaf(const struct radix_tree *tree, const u64 *table, unsigned int level,
			 bool rewrite)
{
	const struct radix_fmt *fmt = tree->fmt;
	u64 step = radix_span(level - 1) << KEEL_PAGE_SHIFT;
	u64 loose = fmt->accessed | fmt->dirty;
	u64 leaf = READ_ONCE(table[0]);
	u64 seen = 0;
	unsigned int i;

	if (!is_present(tree, leaf) || is_table(tree, leaf, level - 1) ||
	    !pa_valid(tree, radix_entry_pa(tree, leaf), level))
		return tree->empty;
	if (rewrite && leaf & fmt->sw_host_write) {
		loose |= fmt->write;
		seen = fmt->write;
	}
	for (i = 0; i < RADIX_ENTRIES; i++) {
		u64 entry = READ_ONCE(table[i]);

		if ((entry ^ (leaf + i * step)) & ~loose)
			return tree->empty;
		seen |= entry & loose;
	}
	return (leaf & ~loose) | seen | fmt->large;
}

enum radix_result radix_collapse(struct radix_tree *tree, gfn_t gfn, unsigned int level,
				 bool rewrite, struct radix_gather *g)
{
	u64 late = tree->fmt->accessed | tree->fmt->dirty;
	unsigned int at = level;
	u64 seen = 0;
	u64 *slot, *table, leaf;
	unsigned int i;

	if ((level != RADIX_LEVEL_2M && level != RADIX_LEVEL_1G) || gfn_raw(gfn) >= reach(tree))
		return RADIX_SAME;
	slot = slot_find(tree, gfn_raw(gfn), &at, &leaf);
	if (at != level || !is_present(tree, leaf) || !is_table(tree, leaf, level))
		return RADIX_SAME;
	table = table_of(tree, leaf);
	leaf = table_as_leaf(tree, table, level, rewrite);
	if (!is_present(tree, leaf))
		return RADIX_SAME;

	exchange(slot, leaf);
	/* Hardware may have gone on through the table until each of its leaves is empty. */
	for (i = 0; i < RADIX_ENTRIES; i++)
		seen |= exchange(&table[i], tree->empty);
	if (seen & late & ~leaf)
		__atomic_fetch_or(slot, seen & late, __ATOMIC_ACQ_REL);
	tree->nr_leaves[level - 1] -= RADIX_ENTRIES;
	tree->nr_leaves[level]++;
	table_free(tree, table, g);
	return RADIX_TABLE;
}

struct radix_hit radix_lookup(const struct radix_tree *tree, gfn_t gfn)
{
	struct radix_hit hit = { .entry = tree->empty, .level = RADIX_LEVEL_4K };

	if (gfn_raw(gfn) >= reach(tree)) {
		hit.level = tree->levels;
		return hit;
	}
	slot_find(tree, gfn_raw(gfn), &hit.level, &hit.entry);
	hit.present = is_present(tree, hit.entry);
	hit.gfn = to_gfn(gfn_raw(gfn) & ~(radix_span(hit.level) - 1));
	return hit;
}

bool radix_destroy(struct radix_tree *tree, gfn_t *next, unsigned int budget,
		   struct radix_gather *g)
{
	struct radix_range range = { .next = *next, .end = to_gfn(~0ULL) };
	struct walk w;

	if (!tree->root)
		return false;
	walk_start(tree, &w, &range, budget);
	while (w.gfn < w.end && w.budget) {
		u64 *slot = &w.table[w.level][index_of(w.gfn, w.level)];
		u64 entry = *slot;

		if (is_present(tree, entry) && is_table(tree, entry, w.level)) {
			u64 *table = table_of(tree, entry);

			if (w.level > RADIX_LEVEL_2M) {
				w.table[--w.level] = table;
				continue;
			}
			*slot = tree->empty;
			table_free(tree, table, g);
		}
		walk_advance(tree, &w, PRUNE_ALL, g);
	}
	*next = to_gfn(w.gfn);
	if (w.gfn < w.end)
		return true;
	table_free(tree, tree->root, g);
	tree->root = NULL;
	memset(tree->nr_leaves, 0, sizeof(tree->nr_leaves));
	return false;
}

u64 radix_entry_pa(const struct radix_tree *tree, u64 entry)
{
	return entry & tree->fmt->addr & ~tree->enc;
}

unsigned int radix_entry_access(const struct radix_tree *tree, u64 entry)
{
	const struct radix_fmt *fmt = tree->fmt;

	return RADIX_R | (entry & fmt->write ? RADIX_W : 0) |
	       ((entry ^ fmt->noexec) & (fmt->exec | fmt->noexec) ? RADIX_X : 0);
}

u32 radix_entry_flags(const struct radix_tree *tree, u64 entry)
{
	const struct radix_fmt *fmt = tree->fmt;
	bool accessed = !fmt->accessed || entry & fmt->accessed;
	bool dirty = entry & (fmt->dirty ? fmt->dirty : fmt->write);

	return (accessed ? RADIX_ACCESSED : 0) | (dirty ? RADIX_DIRTY : 0) |
	       (entry & fmt->sw_host_write ? RADIX_HOST_WRITE : 0) |
	       (entry & fmt->sw_special ? RADIX_SPECIAL : 0);
}
