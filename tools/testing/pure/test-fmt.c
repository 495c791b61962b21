// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nested entry formats: whole entries, as the manuals lay them out, against what the tree writes;
 * and the properties every descriptor needs.
 */
#include "harness.h"
#include "radix.h"

static const struct entry {
	const char *name;
	const struct radix_fmt *fmt;
	unsigned int level, access;
	enum radix_memtype mt;
	u64 flags;
	u64 pa, want;
} entries[] = {
	{ "NPT 4 KiB rwx", &radix_fmt_npt, 1, RADIX_RWX, RADIX_WB, 0,
	  0x123456789000, 0x0000123456789007 },
	{ "NPT 4 KiB rw", &radix_fmt_npt, 1, RADIX_R | RADIX_W, RADIX_WB, 0,
	  0x123456789000, 0x8000123456789007 },
	{ "NPT 4 KiB rx", &radix_fmt_npt, 1, RADIX_R | RADIX_X, RADIX_WB, 0,
	  0x123456789000, 0x0000123456789005 },
	{ "NPT 4 KiB r", &radix_fmt_npt, 1, RADIX_R, RADIX_WB, 0,
	  0x123456789000, 0x8000123456789005 },
	{ "NPT 2 MiB rwx, used", &radix_fmt_npt, 2, RADIX_RWX, RADIX_WB,
	  RADIX_ACCESSED | RADIX_DIRTY, 0x123456600000, 0x00001234566000e7 },
	{ "NPT 1 GiB rwx", &radix_fmt_npt, 3, RADIX_RWX, RADIX_WB, 0,
	  0x123440000000, 0x0000123440000087 },
	{ "NPT device", &radix_fmt_npt, 1, RADIX_R | RADIX_W, RADIX_UC,
	  RADIX_SPECIAL | RADIX_HOST_WRITE | RADIX_IGNORE_PAT, 0xfee00000, 0x80000000fee0061f },
	{ "NPT write-combining", &radix_fmt_npt, 1, RADIX_RWX, RADIX_WC, 0, 0xfd000000, 0xfd00000f },
	{ "EPT 4 KiB rwx", &radix_fmt_ept, 1, RADIX_RWX, RADIX_WB, 0,
	  0x123456789000, 0x0000123456789037 },
	{ "EPT 4 KiB rw", &radix_fmt_ept, 1, RADIX_R | RADIX_W, RADIX_WB, 0,
	  0x123456789000, 0x0000123456789033 },
	{ "EPT 4 KiB rx", &radix_fmt_ept, 1, RADIX_R | RADIX_X, RADIX_WB, 0,
	  0x123456789000, 0x0000123456789035 },
	{ "EPT 4 KiB r", &radix_fmt_ept, 1, RADIX_R, RADIX_WB, 0,
	  0x123456789000, 0x0000123456789031 },
	{ "EPT 2 MiB rwx, used, PAT ignored", &radix_fmt_ept, 2, RADIX_RWX, RADIX_WB,
	  RADIX_ACCESSED | RADIX_DIRTY | RADIX_IGNORE_PAT, 0x123456600000, 0x00001234566003f7 },
	{ "EPT 1 GiB rwx", &radix_fmt_ept, 3, RADIX_RWX, RADIX_WB, 0,
	  0x123440000000, 0x00001234400000b7 },
	{ "EPT device", &radix_fmt_ept, 1, RADIX_R | RADIX_W, RADIX_UC,
	  RADIX_SPECIAL | RADIX_HOST_WRITE, 0xfee00000, 0x00300000fee00003 },
	{ "EPT write-combining", &radix_fmt_ept, 1, RADIX_RWX, RADIX_WC, 0, 0xfd000000, 0xfd00000f },
	{ "EPT without A/D, used", &radix_fmt_ept_noad, 1, RADIX_RWX, RADIX_WB,
	  RADIX_ACCESSED | RADIX_DIRTY, 0x1000, 0x1037 },
};

static char pages[6][4096] __attribute__((aligned(4096)));

/* The word the tree stores for a mapping of frame 0, and the table entries above it. */
static void test_entries(void)
{
	for_each_row(row, entries) {
		u64 off = (u64)pages - 0x5000000, table;
		struct radix_cache cache = { 3, { pages[1], pages[2], pages[3] } };
		struct radix_tree tree;
		struct radix_gather g;
		unsigned int level;
		u64 *entry = (u64 *)pages[0];

		test_context("%s", row->name);
		memset(pages, 0, sizeof(pages));
		radix_init(&tree, row->fmt, pages[0], 4, off, 0, 0);
		radix_gather_init(&g, NULL, 0);
		CHECK_EQ(radix_map(&tree, to_gfn(0), row->level, row->pa, row->access, row->mt,
				   row->flags, &cache, &g), RADIX_NEW);
		table = row->fmt == &radix_fmt_npt ? 0x27 : row->fmt == &radix_fmt_ept ? 0x107 : 7;
		for (level = 4; level > row->level; level--) {
			CHECK_EQ(*entry & ~0x000ffffffffff000ULL, table);
			entry = (u64 *)((*entry & 0x000ffffffffff000ULL) + off);
		}
		CHECK_EQ(*entry, row->want);
		CHECK_EQ(radix_lookup(&tree, to_gfn(0)).entry, row->want);
		CHECK_EQ(radix_root_pa(&tree), 0x5000000);
	}
	test_context("%s", "");
}

/* No bit has two meanings, and none lies in the address. */
static void test_masks(void)
{
	static const struct radix_fmt *const fmts[] = {
		&radix_fmt_npt, &radix_fmt_ept, &radix_fmt_ept_noad,
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(fmts); i++) {
		const struct radix_fmt *f = fmts[i];
		const u64 single[] = {
			f->write, f->exec, f->noexec, f->accessed, f->dirty, f->large, f->ignore_pat,
			f->sw_host_write, f->sw_special, f->memtype[0] | f->memtype[1] | f->memtype[2],
			f->leaf & ~f->write, f->addr,
		};
		u64 all = 0;

		for (unsigned int j = 0; j < ARRAY_SIZE(single); j++) {
			CHECK(!(all & single[j]));
			all |= single[j];
		}
		CHECK_EQ(f->addr, 0x000ffffffffff000);
		CHECK(f->table & f->present && f->leaf & f->present);
		CHECK(!(f->table & f->large));
		for (unsigned int access = 0; access < 8; access++)
			CHECK(!(f->rights[access] & ~(f->present | f->write | f->exec | f->noexec)));
	}
}

int main(void)
{
	test_entries();
	test_masks();
	return test_done("fmt");
}
