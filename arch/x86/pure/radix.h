/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Nested page-table radix tree: the tables NPT and EPT hardware walks from guest-physical to host
 * physical. radix.c holds the theory. Levels are those of the leaf they hold: 1 = 4 KiB, 2 = 2 MiB,
 * 3 = 1 GiB; the root table holds entries of level 4 or 5.
 *
 * Locking: every function but radix_lookup() and the entry decoders needs the caller's one writer
 * lock (mmu_lock). radix_lookup() may run beside them when freed table pages stay readable until
 * the reader has left. Nothing here sleeps, allocates or flushes a TLB.
 */
#ifndef KEEL_PURE_RADIX_H
#define KEEL_PURE_RADIX_H

#include "types.h"

#define RADIX_LEVEL_4K 1
#define RADIX_LEVEL_2M 2
#define RADIX_LEVEL_1G 3
#define RADIX_MAX_LEVELS 5
#define RADIX_ENTRIES 512

/* The most table pages one call can take from a cache: one per level below the root. */
#define RADIX_CACHE_PAGES (RADIX_MAX_LEVELS - 1)

/* What a leaf allows. RADIX_R must be part of every mapping. */
#define RADIX_R 1
#define RADIX_W 2
#define RADIX_X 4
#define RADIX_RWX (RADIX_R | RADIX_W | RADIX_X)

/* Memory type of a leaf; indexes radix_fmt.memtype. */
enum radix_memtype {
	RADIX_WB,
	RADIX_UC,
	RADIX_WC,
	RADIX_NR_MEMTYPES,
};

/* Further properties of a mapping request; the first four also describe a reported leaf. */
#define RADIX_ACCESSED BIT64(0) /* accessed bit set */
#define RADIX_DIRTY BIT64(1) /* dirty bit set */
#define RADIX_HOST_WRITE BIT64(2) /* the host mapping is writable: W may come back without asking */
#define RADIX_SPECIAL BIT64(3) /* not ordinary memory (PFN map): no page to mark dirty */
#define RADIX_IGNORE_PAT BIT64(4) /* the guest's PAT has no say (EPT only; no effect on NPT) */
#define RADIX_PLAIN BIT64(5) /* leave the memory-encryption bit out (device memory) */

/*
 * An entry format as masks. A mask of 0 means that the format lacks the thing. `rights` is indexed
 * by RADIX_R|W|X; `leaf` and `table` are set in every present leaf and table entry. `attr_mask`
 * holds the bits in which two mappings of one page must agree for them to be the same mapping.
 */
struct radix_fmt {
	u64 present; /* any bit set: the entry is present */
	u64 write;
	u64 exec; /* set = executable */
	u64 noexec; /* set = not executable */
	u64 accessed;
	u64 dirty;
	u64 large; /* leaf above level 1 */
	u64 ignore_pat;
	u64 sw_host_write; /* RADIX_HOST_WRITE, in a bit hardware ignores */
	u64 sw_special; /* RADIX_SPECIAL, likewise */
	u64 leaf;
	u64 table;
	u64 addr; /* host-physical address field of any entry */
	u64 attr_mask;
	u64 rights[8];
	u64 memtype[RADIX_NR_MEMTYPES];
};

extern const struct radix_fmt radix_fmt_npt; /* AMD-V nested paging */
extern const struct radix_fmt radix_fmt_ept; /* VT-x EPT with accessed and dirty bits enabled */
extern const struct radix_fmt radix_fmt_ept_noad; /* VT-x EPT without them */

struct radix_tree {
	const struct radix_fmt *fmt;
	u64 *root; /* NULL once destroyed */
	u64 va_offset; /* virtual address of a table page minus its physical address */
	u64 enc; /* memory-encryption bit the host sets in its addresses (SME), or 0 */
	u64 empty; /* value of a not-present entry (L1TF: high address bits); no fmt->present bit */
	unsigned int levels; /* 4 or 5 */
	u64 nr_tables; /* table pages in the tree, the root included */
	u64 nr_leaves[RADIX_LEVEL_1G + 1]; /* present leaves by level; [0] unused */
};

/* Table pages a call may take, last first. Each is 4 KiB aligned and zero-filled by the caller. */
struct radix_cache {
	unsigned int nr;
	void *page[RADIX_CACHE_PAGES];
};

/* A freed table page; the link lies in its first word. Other words are unspecified. */
struct radix_page {
	struct radix_page *next;
};

/* One removed leaf. */
struct radix_leaf {
	gfn_t gfn; /* first frame */
	u64 pa; /* host-physical address, without the encryption bit */
	u32 level;
	u32 flags; /* RADIX_ACCESSED, DIRTY, HOST_WRITE, SPECIAL, as radix_entry_flags() */
};

/*
 * What changes leave for the caller to do. One gather may serve several calls under one lock hold:
 * results accumulate. Order for the caller: flush TLBs when `flush`, then free `freed`.
 * leaf/leaf_max may be NULL/0: then leaves are only counted and aggregated.
 */
struct radix_gather {
	struct radix_page *freed; /* table pages out of the tree */
	unsigned int nr_freed;
	bool flush; /* hardware may hold a translation that is no longer true */
	u32 seen; /* RADIX_ACCESSED / RADIX_DIRTY of any removed leaf that is not special */
	u64 nr_removed; /* leaves removed */
	gfn_t start, end; /* hull of the frames of removed leaves; start >= end: none */
	struct radix_leaf *leaf;
	unsigned int leaf_max, leaf_nr;
};

/* Frames [next, end); range calls advance next. An end past the tree's reach is cut off. */
struct radix_range {
	gfn_t next, end;
};

enum radix_result {
	RADIX_SAME, /* nothing had to change (spurious fault) */
	RADIX_NEW, /* a leaf where none was: no flush */
	RADIX_RELAXED, /* rights of a leaf grew: no flush needed for correctness */
	RADIX_CHANGED, /* a leaf was replaced or split: flush (gather says it too) */
	RADIX_TABLE, /* a table was replaced by a leaf: flush, then free */
	RADIX_NOMEM, /* the cache lacks a page; no leaf changed. Fill it to RADIX_CACHE_PAGES and retry */
	RADIX_DEEP, /* a table of tables is in the way: radix_unmap() the large page's range first */
	RADIX_INVAL, /* misaligned, out of reach, or no such rights; nothing changed */
};

/* What a leaf or empty entry at `gfn` says. */
struct radix_hit {
	u64 entry;
	gfn_t gfn; /* first frame the entry covers */
	unsigned int level;
	bool present;
};

/* Marks a frame of a run that shall stay as it is; and one mapped without RADIX_W. */
#define RADIX_RUN_SKIP (~0ULL)
#define RADIX_RUN_RO BIT64(0)

/*
 * Makes *tree an empty tree of `levels` (4 or 5) over the zeroed, 4 KiB aligned page `root`, whose
 * physical address is (u64)root - va_offset. `enc` and `empty` as in struct radix_tree.
 */
void radix_init(struct radix_tree *tree, const struct radix_fmt *fmt, void *root,
		unsigned int levels, u64 va_offset, u64 enc, u64 empty);

/* Host-physical address of the root, encryption bit included: the address part of nCR3 or EPTP. */
u64 radix_root_pa(const struct radix_tree *tree);

/* Makes *g empty, with `leaf_max` records at `leaf` (or NULL, 0). */
void radix_gather_init(struct radix_gather *g, struct radix_leaf *leaf, unsigned int leaf_max);

/*
 * Maps `gfn` (aligned to `level`) to host-physical `pa` (aligned likewise, no encryption bit) with
 * `access` (RADIX_R|W|X), memory type `mt` and flags RADIX_*. A present mapping of the same page
 * keeps its accessed and dirty bits and never loses rights. A larger leaf in the way is split when
 * it does not already say the same. A table in the way of a large leaf is replaced (RADIX_DEEP when
 * it holds tables). Takes pages from `cache`, adds to `g`. The leaf records of g may overflow here:
 * then leaf_nr stays at leaf_max and the aggregate still counts them (a table holds RADIX_ENTRIES).
 */
enum radix_result radix_map(struct radix_tree *tree, gfn_t gfn, unsigned int level, u64 pa,
			    unsigned int access, enum radix_memtype mt, u64 flags,
			    struct radix_cache *cache, struct radix_gather *g);

/*
 * Map-around: for each i < n maps frame gfn + i at 4 KiB to pa[i] where nothing is mapped yet.
 * pa[i] is RADIX_RUN_SKIP, or an address with RADIX_RUN_RO or not. Stops at the end of the 2 MiB
 * that holds gfn. Answers RADIX_NEW, RADIX_SAME (nothing to fill; a large leaf is left alone),
 * RADIX_NOMEM or RADIX_INVAL; *nr_new = leaves made. An ill-formed pa[i] is skipped.
 */
enum radix_result radix_map_run(struct radix_tree *tree, gfn_t gfn, const u64 *pa, unsigned int n,
				unsigned int access, enum radix_memtype mt, u64 flags,
				struct radix_cache *cache, unsigned int *nr_new);

/*
 * The range calls below visit at most `budget` entries (at least 1), advance range->next past what
 * they finished, and return true while something remains: drop the lock if need be, call again.
 * Large leaves that are partly inside are treated whole.
 */

/*
 * Removes all leaves in the range, and every table page found empty when its end is passed.
 * Also stops early (true) when g->leaf is full: drain the records, set leaf_nr to 0, call again.
 */
bool radix_unmap(struct radix_tree *tree, struct radix_range *range, unsigned int budget,
		 struct radix_gather *g);

/* Takes RADIX_W from the leaves in the range; adds to *nr the leaves changed (then: flush). */
bool radix_write_protect(struct radix_tree *tree, struct radix_range *range, unsigned int budget,
			 u64 *nr);

/*
 * For a CPU that logs what it sets dirty: takes the dirty bit from the 4 KiB leaves in the range, and RADIX_W from the
 * larger ones, of which it would log one frame only; adds to *nr the leaves changed (then: flush). Not in a format
 * without dirty bits.
 */
bool radix_log_again(struct radix_tree *tree, struct radix_range *range, unsigned int budget, u64 *nr);

/*
 * Takes RADIX_W from the frames gfn + i whose bit i is set in `mask`; `gfn` is a multiple of 64.
 * A large leaf over them is protected whole. Returns the number of leaves changed (then: flush).
 */
unsigned int radix_write_protect_mask(struct radix_tree *tree, gfn_t gfn, u64 mask);

/*
 * Clears the dirty bits in the range and sets bit (frame - base) of `bitmap` for each frame inside
 * the range that a dirty leaf covers; base <= range->next. Adds to *nr the leaves changed (then:
 * flush). A large leaf that is partly outside is reported and keeps its bit. Does nothing in a
 * format without dirty bits.
 */
bool radix_clear_dirty(struct radix_tree *tree, struct radix_range *range, unsigned int budget,
		       gfn_t base, u64 *bitmap, u64 *nr);

/*
 * Clears the accessed bits in the range; adds to *nr the leaves that had one. In a format without
 * accessed bits nothing is found: the caller unmaps instead.
 */
bool radix_clear_accessed(struct radix_tree *tree, struct radix_range *range, unsigned int budget,
			  u64 *nr);

/* As radix_clear_accessed(), without clearing, and ends at the first leaf found. */
bool radix_test_accessed(struct radix_tree *tree, struct radix_range *range, unsigned int budget,
			 u64 *nr);

/*
 * Gives RADIX_W (and accessed and dirty) back to the 4 KiB leaf at `gfn`, when it is present,
 * marked RADIX_HOST_WRITE and lacks it. Answers RADIX_RELAXED; RADIX_SAME when it is writable
 * already; RADIX_INVAL when the host must be asked (or a large leaf covers the frame).
 */
enum radix_result radix_make_writable(struct radix_tree *tree, gfn_t gfn);

/*
 * Splits the large leaf that covers `gfn` into a table of leaves one level smaller with the same
 * rights and accessed/dirty bits. RADIX_CHANGED, RADIX_NOMEM, or RADIX_SAME when there is none.
 */
enum radix_result radix_split(struct radix_tree *tree, gfn_t gfn, struct radix_cache *cache);

/*
 * Replaces the table below the entry of `level` (2 or 3) at `gfn` by one large leaf, when all its
 * leaves are present and map one aligned, contiguous piece with equal rights and attributes. With
 * `rewrite`, a missing RADIX_W counts as equal where RADIX_HOST_WRITE is set, and the large leaf
 * gets RADIX_W. Leaves do not count as removed. RADIX_TABLE, RADIX_SAME when it cannot be done.
 */
enum radix_result radix_collapse(struct radix_tree *tree, gfn_t gfn, unsigned int level,
				 bool rewrite, struct radix_gather *g);

/* What hardware would find at `gfn` now. A gfn out of reach: not present, level = tree->levels. */
struct radix_hit radix_lookup(const struct radix_tree *tree, gfn_t gfn);

/*
 * Takes all table pages out, the root last, looking at no 4 KiB leaf. No hardware and no reader
 * uses the tree any more. *next starts at 0 and belongs to the call. Visits at most `budget`
 * entries (at least 1) and returns true while pages remain; then drain g->freed as you like.
 */
bool radix_destroy(struct radix_tree *tree, gfn_t *next, unsigned int budget,
		   struct radix_gather *g);

/*
 * Decoders of a present leaf entry. The address is that of the leaf's first frame, without the
 * encryption bit. In a format without accessed and dirty bits a leaf counts as accessed, and as
 * dirty when it is writable.
 */
u64 radix_entry_pa(const struct radix_tree *tree, u64 entry);
unsigned int radix_entry_access(const struct radix_tree *tree, u64 entry);
u32 radix_entry_flags(const struct radix_tree *tree, u64 entry);

/* 4 KiB frames one entry of `level` covers. */
static inline u64 radix_span(unsigned int level)
{
	return 1ULL << (9 * (level - 1));
}

#endif /* KEEL_PURE_RADIX_H */
