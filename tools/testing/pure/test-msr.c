// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSR policy: the look-up against a sequential search, every listed MSR read and written back, what
 * VMMs write unconditionally, and the rule of each kind of check.
 */
#include "msr.h"
#include "harness.h"

#define MAX_ROWS 512

static struct cpuid_derived everything, nothing;
static struct msr_store store;
static struct msr_ctx ctx;

static void setup(const struct cpuid_derived *cpuid)
{
	static const struct msr_features features = {
		.ucode_rev = 0x830107d, .arch_capabilities = 0x2b, .de_cfg = 0xffff,
	};

	memset(&store, 0x5a, sizeof(store));
	msr_store_init(&store, &features);
	ctx = (struct msr_ctx){
		.cpuid = cpuid, .store = &store, .cr0 = 0x80000011, .efer = 0xd01,
		.apic_base = 0xfee00900, .mcg_cap = 10 | 1 << 8 | 1 << 24,
	};
}

static enum msr_verdict write_as(enum msr_by by, u32 index, u64 value, u64 *kept)
{
	const struct msr_spec *spec = msr_find(index);
	enum msr_verdict verdict;

	if (!spec)
		return MSR_UNKNOWN;
	verdict = msr_check_write(spec, &ctx, index, &value, by);
	if (verdict == MSR_OK)
		msr_save(spec, &store, index, value);
	if (kept)
		*kept = value;
	return verdict;
}

static enum msr_verdict read_as(enum msr_by by, u32 index)
{
	const struct msr_spec *spec = msr_find(index);

	return spec ? msr_check_read(spec, &ctx, index, by) : MSR_UNKNOWN;
}

static u64 value_of(u32 index)
{
	return msr_load(msr_find(index), &store, index);
}

static const struct msr_spec *search(u32 index)
{
	unsigned int i;

	for (i = 1; i < msr_specs_rows; i++) {
		if (index >= msr_specs[i].index && index - msr_specs[i].index < msr_specs[i].count)
			return &msr_specs[i];
	}
	return NULL;
}

static void test_find(void)
{
	static const u32 stretches[][2] = {
		{ 0x0, 0x2200 }, { 0x3fffff00, 0x40000200 }, { 0x4b564d00, 0x4b564d10 },
		{ 0xbffffff0, 0xc0000500 }, { 0xc000fff0, 0xc0013000 }, { 0xfffffff0, 0xffffffff },
	};
	u64 seed = 5;
	int i;

	for_each_row(s, stretches) {
		u32 index;

		for (index = (*s)[0]; index < (*s)[1]; index++) {
			test_context("index %#x", index);
			CHECK(msr_find(index) == search(index));
		}
	}
	for (i = 0; i < 100000; i++) {
		u32 index = test_rand(&seed);

		test_context("index %#x", index);
		CHECK(msr_find(index) == search(index));
	}
	test_context("%s", "");
}

static void test_rows(void)
{
	static u8 used[MSR_STORE_SLOTS];
	unsigned int i, k;

	CHECK_EQ(msr_specs[0].count, 0);
	for (i = 1; i < msr_specs_rows; i++) {
		const struct msr_spec *s = &msr_specs[i];

		test_context("%s", s->name);
		CHECK(s->count && s->needs < CPUID_F_COUNT);
		for (k = 0; k < s->count; k++)
			CHECK(search(s->index + k) == s);
		for (k = 0; s->home == MSR_HOME_STORE && k < s->count; k++) {
			CHECK(s->slot + k < MSR_STORE_SLOTS);
			CHECK_EQ(used[s->slot + k]++, 0);
		}
		/* A listed MSR must be writable by the VMM with what it reads. */
		if (s->flags & MSR_LISTED)
			CHECK(!(s->flags & (MSR_WRITE_ONLY | (s->index == 0x9e ? 0 : MSR_HOST_ONLY))));
		if (s->flags & MSR_FEATURE)
			CHECK(s->home == MSR_HOME_STORE);
	}
	test_context("%s", "");
}

static void test_lists(void)
{
	const struct cpuid_derived *sets[] = { &everything, &nothing };
	/* What QEMU takes from the list, and the ones of the processor's base. */
	static const u32 base[] = {
		0x10, 0x9e, 0x174, 0x175, 0x176, 0x277, 0x1a0, 0x17a, 0x17b, 0x8b, 0xc0000081, 0xc0000082,
		0xc0000083, 0xc0000084, 0xc0000102, 0xc0010015, 0xc0011029, 0x11, 0x12, 0x4b564d00,
		0x4b564d01, 0x4b564d02, 0x4b564d03, 0x4b564d04, 0x4b564d05, 0x4b564d06, 0x4b564d07,
	};
	/* Only with the feature; never while there is no count of SMIs, no XSAVES. */
	static const u32 gated[] = { 0x3b, 0x48, 0x10a, 0x6e0, 0xc0000103, 0xc001011f };
	static const u32 absent[] = { 0x34, 0xda0, 0x4b564d08, 0x4b564d0f, 0x345, 0xc0010117 };
	u32 list[MAX_ROWS], small[2];
	unsigned int i, n;

	for_each_row(set, sets) {
		setup(*set);
		n = msr_list(*set, list, MAX_ROWS);
		CHECK(n > 16 && n < MAX_ROWS);
		CHECK_EQ(msr_list(*set, small, 2), n);
		CHECK_EQ(small[1], list[1]);
		for (i = 0; i < n; i++) {
			u64 value;

			test_context("listed %#x", list[i]);
			CHECK_EQ(read_as(MSR_BY_HOST, list[i]), MSR_OK);
			value = value_of(list[i]);
			if (list[i] == X86_MSR_PAT)
				value = MSR_PAT_RESET;
			CHECK_EQ(write_as(MSR_BY_HOST, list[i], value, NULL), MSR_OK);
			if (msr_find(list[i])->home == MSR_HOME_STORE)
				CHECK_EQ(value_of(list[i]), value);
		}
		for_each_row(want, base) {
			for (i = 0; i < n && list[i] != *want; i++)
				;
			test_context("wanted %#x", *want);
			CHECK(i < n);
		}
		for_each_row(want, gated) {
			for (i = 0; i < n && list[i] != *want; i++)
				;
			test_context("gated %#x", *want);
			CHECK_EQ(i < n, *set == &everything);
		}
		for_each_row(want, absent) {
			for (i = 0; i < n && list[i] != *want; i++)
				;
			test_context("absent %#x", *want);
			CHECK_EQ(i, n);
		}
	}
	test_context("%s", "");
}

static void test_features(void)
{
	struct msr_features f = { 0x1234, 0x5678, 0xffffffff };
	u32 list[8];
	unsigned int i, n = msr_feature_list(&everything, list, 8);
	u64 value;

	CHECK_EQ(n, 3);
	for (i = 0; i < n; i++) {
		CHECK(msr_feature_read(&f, list[i], &value));
		msr_store_init(&store, &f);
		CHECK_EQ(value_of(list[i]), value);
	}
	CHECK(msr_feature_read(&f, 0x8b, &value));
	CHECK_EQ(value, 0x1234);
	CHECK(msr_feature_read(&f, 0x10a, &value));
	CHECK_EQ(value, 0x5678);
	CHECK(msr_feature_read(&f, 0xc0011029, &value));
	CHECK_EQ(value, 2);
	CHECK(!msr_feature_read(&f, 0x10, &value));
	/* Without ARCH_CAPABILITIES in CPUID it is no feature MSR either; the list is not empty. */
	CHECK_EQ(msr_feature_list(&nothing, list, 8), 2);
}

/* The writes that a VMM makes at reset without asking; one refusal aborts it. */
static void test_arch_capabilities(void)
{
	/* Immunities and properties of instructions, by the manual's positions. */
	static const u8 passed[] = { 0, 1, 2, 3, 4, 5, 6, 8, 13, 14, 15, 17, 19, 20, 24, 26, 27, 28, 62 };
	/* TSX_CTRL, MISC_PACKAGE_CTLS, ENERGY_FILTERING_CTL, DOITM, FB_CLEAR_CTRL, XAPIC_DISABLE, OVERCLOCKING, GDS_CTRL */
	static const u8 withheld[] = { 7, 10, 11, 12, 18, 21, 23, 25 };
	u64 all = 0;

	for_each_row(bit, passed) {
		all |= BIT64(*bit);
		CHECK_EQ(msr_arch_capabilities(BIT64(*bit), 0), BIT64(*bit));
		CHECK_EQ(msr_arch_capabilities(~0ULL, BIT64(*bit)) & BIT64(*bit), 0);
	}
	for_each_row(bit, withheld) {
		CHECK_EQ(msr_arch_capabilities(BIT64(*bit), 0), 0);
	}
	CHECK_EQ(msr_arch_capabilities(~0ULL, 0), all);
	CHECK_EQ(msr_arch_capabilities(0, 0), 0);
	CHECK_EQ(msr_arch_capabilities(BIT64(0) | BIT64(5), BIT64(5) | BIT64(8)), BIT64(0));
}

static void test_vmm_reset(void)
{
	static const struct {
		u32 first, last;
		u64 value;
	} rows[] = {
		{ 0x174, 0x176, 0 }, { 0x277, 0x277, 0x0007040600070406 }, { 0xc0000082, 0xc0000084, 0 },
		{ 0xc0000102, 0xc0000102, 0 }, { 0x10, 0x10, 0 }, { 0x1b, 0x1b, 0xfee00900 },
		{ 0x2ff, 0x2ff, 0 }, { 0x250, 0x250, 0 }, { 0x258, 0x259, 0 }, { 0x268, 0x26f, 0 },
		{ 0x200, 0x20f, 0 }, { 0x17a, 0x17a, 0 }, { 0x17b, 0x17b, ~0ULL },
		{ 0x400, 0x400, ~0ULL }, { 0x404, 0x404, ~0ULL }, { 0x401, 0x403, 0 },
		{ 0x424, 0x424, ~0ULL }, { 0x425, 0x427, 0 }, { 0xc0000081, 0xc0000081, 0 },
		{ 0x1a0, 0x1a0, 1 }, { 0x2ff, 0x2ff, 0xc06 }, { 0xc0010015, 0xc0010015, 0 },
		{ 0x201, 0x201, 0xffffc0000800 }, { 0x200, 0x200, 0xc0000000 },
	};

	setup(&nothing);
	for_each_row(row, rows) {
		u32 index;

		for (index = row->first; index <= row->last; index++) {
			test_context("index %#x", index);
			CHECK_EQ(write_as(MSR_BY_HOST, index, row->value, NULL), MSR_OK);
			CHECK_EQ(read_as(MSR_BY_HOST, index), MSR_OK);
		}
	}
	test_context("%s", "");
}

#define G MSR_BY_GUEST
#define V MSR_BY_HOST

static void test_writes(void)
{
	static const struct {
		u32 index;
		u64 value;
		enum msr_by by;
		bool all;		/* CPUID shows every feature, or none */
		enum msr_verdict want;
		u64 kept;
	} rows[] = {
		/* EFER: paging is on, so LME stays; LMA is the processor's. */
		{ 0xc0000080, 0x901, G, true, MSR_OK, 0xd01 },
		{ 0xc0000080, 0x801, G, true, MSR_GP, 0 },
		{ 0xc0000080, 0x1d01, G, true, MSR_GP, 0 },
		{ 0xc0000080, 0xd01, G, false, MSR_GP, 0 },
		{ 0xc0000080, 0xd01, V, false, MSR_OK, 0xd01 },
		{ 0x1b, 0xfee00d00, G, true, MSR_OK, 0xfee00d00 },
		{ 0x1b, 0xfee00d00, G, false, MSR_GP, 0 },
		{ 0x1b, 0xfee00901, G, true, MSR_GP, 0 },
		{ 0x1b, 0xfee00500, V, true, MSR_GP, 0 },
		{ 0x10, 77, G, false, MSR_OK, 77 },
		{ 0x3b, 5, G, true, MSR_OK, 5 },
		{ 0x3b, 5, G, false, MSR_GP, 0 },
		{ 0x3b, 5, V, false, MSR_OK, 5 },
		{ 0x48, 0x87, G, true, MSR_OK, 0x87 },
		{ 0x48, 0x8, G, true, MSR_GP, 0 },
		{ 0x48, 0, G, false, MSR_GP, 0 },
		{ 0x48, 0, V, false, MSR_OK, 0 },
		{ 0x48, 1, V, false, MSR_GP, 0 },
		{ 0x49, 0x81, G, true, MSR_OK, 0x81 },
		{ 0x49, 2, G, true, MSR_GP, 0 },
		{ 0x49, 1, G, false, MSR_GP, 0 },
		{ 0x49, 0, V, false, MSR_OK, 0 },
		{ 0x49, 1, V, false, MSR_GP, 0 },
		{ 0x79, 0xdead0000, G, false, MSR_DROP, 0 },
		{ 0x8b, 0, G, false, MSR_DROP, 0 },
		{ 0x8b, 0xa20, V, false, MSR_OK, 0xa20 },
		{ 0x9e, 0x30000, G, true, MSR_GP, 0 },
		{ 0x9e, 0xa0000, V, false, MSR_OK, 0xa0000 },
		{ 0x34, 1, G, true, MSR_GP, 0 },
		{ 0xce, 0, G, true, MSR_GP, 0 },
		{ 0xce, 0x1500, V, true, MSR_OK, 0x1500 },
		{ 0xce, 1ULL << 31, V, true, MSR_GP, 0 },
		{ 0xfe, 0x508, G, true, MSR_GP, 0 },
		{ 0xfe, 0x508, V, true, MSR_OK, 0x508 },
		{ 0xfe, 0x50a, V, true, MSR_GP, 0 },
		{ 0x10a, 0, G, true, MSR_GP, 0 },
		{ 0x10a, 0x2b, V, true, MSR_OK, 0x2b },
		{ 0x10b, 1, G, true, MSR_OK, 1 },
		{ 0x10b, 2, G, true, MSR_GP, 0 },
		{ 0x140, 1, G, true, MSR_GP, 0 },
		{ 0x174, 0x123456789, G, false, MSR_OK, 0x23456789 },
		{ 0x175, 1ULL << 47, G, false, MSR_GP, 0 },
		{ 0xc0000082, 0xffff800000000000, G, false, MSR_OK, 0xffff800000000000 },
		{ 0xc0000082, 0xff7fffffffffffff, G, false, MSR_GP, 0 },
		{ 0xc0000102, 1ULL << 50, V, false, MSR_GP, 0 },
		{ 0xc0000102, 1ULL << 50, V, true, MSR_OK, 1ULL << 50 },
		{ 0xc0000084, 0x147f00, G, false, MSR_OK, 0x147f00 },
		{ 0xc0000103, 1ULL << 32 | 3, G, true, MSR_OK, 3 },
		{ 0xc0000103, 3, G, false, MSR_GP, 0 },
		{ 0x179, 0x100010a, G, true, MSR_GP, 0 },
		{ 0x179, 0x100010a, V, true, MSR_OK, 0x100010a },
		{ 0x179, 0x100010b, V, true, MSR_GP, 0 },
		{ 0x17a, 4, G, false, MSR_OK, 4 },
		{ 0x17a, 16, G, false, MSR_GP, 0 },
		{ 0x17b, ~0ULL, G, false, MSR_OK, ~0ULL },
		{ 0x17b, 1, G, false, MSR_GP, 0 },
		{ 0x1a0, 0x1801, G, false, MSR_OK, 0x1801 },
		{ 0x1d9, 2, G, false, MSR_OK, 2 },
		{ 0x1d9, 0x40, G, false, MSR_GP, 0 },
		{ 0x1db, 1, G, false, MSR_GP, 0 },
		/* PAT: types 0, 1, 4..7 in each byte. MTRRs: without 7, UC-. */
		{ 0x277, 0x0007010600070406, G, false, MSR_OK, 0x0007010600070406 },
		{ 0x277, 0x0007020600070406, G, false, MSR_GP, 0 },
		{ 0x277, 0x0800000000000000, G, false, MSR_GP, 0 },
		{ 0x250, 0x0606060606060606, G, false, MSR_OK, 0x0606060606060606 },
		{ 0x250, 0x0706060606060606, G, false, MSR_GP, 0 },
		{ 0x26f, 0x0306060606060606, V, false, MSR_GP, 0 },
		{ 0x2ff, 0xc06, G, false, MSR_OK, 0xc06 },
		{ 0x2ff, 0xc07, G, false, MSR_GP, 0 },
		{ 0x2ff, 0x1c06, G, false, MSR_GP, 0 },
		{ 0x200, 0xc0000006, G, false, MSR_OK, 0xc0000006 },
		{ 0x200, 0xc0000106, G, false, MSR_GP, 0 },
		{ 0x20e, 0xc0000002, G, false, MSR_GP, 0 },
		{ 0x200, 1ULL << 36 | 6, G, false, MSR_GP, 0 },
		{ 0x200, 1ULL << 36 | 6, V, false, MSR_OK, 1ULL << 36 | 6 },
		{ 0x200, 1ULL << 52 | 6, V, false, MSR_GP, 0 },
		{ 0x201, 0xfc0000800, G, false, MSR_OK, 0xfc0000800 },
		{ 0x201, 0xfc0000c00, G, false, MSR_GP, 0 },
		{ 0x20f, 1ULL << 36, G, false, MSR_GP, 0 },
		/* Bank 0 and 9 exist, 10 does not. */
		{ 0x400, ~0ULL, G, false, MSR_OK, ~0ULL },
		{ 0x400, ~0ULL ^ 0x401, G, false, MSR_OK, ~0ULL ^ 0x401 },
		{ 0x400, 3, G, false, MSR_GP, 0 },
		{ 0x425, 0, G, false, MSR_OK, 0 },
		{ 0x425, 1, G, false, MSR_GP, 0 },
		{ 0x425, 1, V, false, MSR_OK, 1 },
		{ 0x426, 0x1234, G, false, MSR_OK, 0x1234 },
		{ 0x427, 0x1234, G, false, MSR_OK, 0x1234 },
		{ 0x428, 0, G, false, MSR_GP, 0 },
		{ 0x428, 0, V, false, MSR_GP, 0 },
		{ 0x47f, 0, V, false, MSR_GP, 0 },
		{ 0x480, 0, V, false, MSR_UNKNOWN, 0 },
		{ 0x6e0, 9, G, true, MSR_OK, 9 },
		{ 0x6e0, 9, G, false, MSR_GP, 0 },
		{ 0xda0, 0, G, true, MSR_GP, 0 },
		{ 0xda0, 0, V, true, MSR_OK, 0 },
		{ 0xda0, 0x100, V, true, MSR_GP, 0 },
		{ 0xc0010000, 0x530076, G, false, MSR_DROP, 0 },
		{ 0xc0010004, 0x530076, V, false, MSR_GP, 0 },
		{ 0xc0010015, 0x148, G, false, MSR_OK, 0 },
		{ 0xc0010015, 0x1040000, G, false, MSR_OK, 0x1040000 },
		{ 0xc0010015, 0x40000000, G, false, MSR_GP, 0 },
		{ 0xc001001f, 1ULL << 46, G, false, MSR_DROP, 0 },
		{ 0xc001011f, 4, G, true, MSR_OK, 4 },
		{ 0xc001011f, 4, G, false, MSR_GP, 0 },
		{ 0xc001011f, 5, G, true, MSR_GP, 0 },
		{ 0xc0011029, 2, G, false, MSR_OK, 2 },
		{ 0xc0011029, 0, G, false, MSR_OK, 2 },
		{ 0xc0011029, 0x200, G, false, MSR_GP, 0 },
		{ 0xc0011029, 0, V, false, MSR_OK, 0 },
		{ 0xc0010117, 0, V, true, MSR_UNKNOWN, 0 },
		{ 0x11, 0x1004, G, false, MSR_OK, 0x1004 },
		{ 0x11, 0x1001, G, false, MSR_GP, 0 },
		{ 0x12, 0x1001, G, false, MSR_OK, 0x1001 },
		{ 0x4b564d00, 0x1002, V, false, MSR_GP, 0 },
		{ 0x4b564d01, 0x1005, V, false, MSR_OK, 0x1005 },
		{ 0x4b564d01, 0x1003, G, false, MSR_GP, 0 },
		{ 0x4b564d02, 0x104f, G, false, MSR_OK, 0x104f },
		{ 0x4b564d02, 0x1059, G, false, MSR_GP, 0 },
		{ 0x4b564d02, 0x1029, V, false, MSR_GP, 0 },
		{ 0x4b564d06, 0xff, G, false, MSR_OK, 0xff },
		{ 0x4b564d06, 0x100, V, false, MSR_GP, 0 },
		{ 0x4b564d07, 1, G, false, MSR_OK, 1 },
		{ 0x4b564d07, 2, G, false, MSR_GP, 0 },
		{ 0x4b564d03, 0x1041, G, false, MSR_OK, 0x1041 },
		{ 0x4b564d03, 0x1021, G, false, MSR_GP, 0 },
		{ 0x4b564d03, 0x1042, V, false, MSR_GP, 0 },
		{ 0x4b564d04, 0x1005, G, false, MSR_OK, 0x1005 },
		{ 0x4b564d04, 0x1003, G, false, MSR_GP, 0 },
		{ 0x4b564d04, 0x1002, V, false, MSR_GP, 0 },
		{ 0x4b564d05, 0, G, false, MSR_OK, 0 },
		{ 0x4b564d05, 2, G, false, MSR_GP, 0 },
		{ 0x4b564d0f, 0, V, true, MSR_UNKNOWN, 0 },
	};

	for_each_row(row, rows) {
		u64 kept = 0;

		setup(row->all ? &everything : &nothing);
		test_context("%#x = %#llx by %d", row->index, (unsigned long long)row->value, row->by);
		CHECK_EQ(write_as(row->by, row->index, row->value, &kept), row->want);
		if (row->want == MSR_OK) {
			CHECK_EQ(kept, row->kept);
			if (msr_find(row->index)->home == MSR_HOME_STORE)
				CHECK_EQ(value_of(row->index), row->kept);
		}
	}
	test_context("%s", "");

	/* State-dependent rules. */
	setup(&nothing);
	CHECK_EQ(write_as(V, 0xc0010015, 1 << 18, NULL), MSR_OK);
	CHECK_EQ(write_as(G, 0x401, 0x1234, NULL), MSR_OK);
	ctx.mcg_cap = 10;
	CHECK_EQ(write_as(G, 0x17b, 0, NULL), MSR_GP);
	CHECK_EQ(write_as(V, 0x17b, 0, NULL), MSR_OK);
	CHECK_EQ(write_as(V, 0x17b, ~0ULL, NULL), MSR_GP);
	CHECK_EQ(write_as(V, 0xc0011029, 0, NULL), MSR_OK);
	CHECK_EQ(write_as(G, 0xc0011029, 2, NULL), MSR_GP);
	setup(&everything);
	ctx.cr0 = 0x11;
	ctx.efer = 0;
	CHECK_EQ(write_as(G, 0xc0000080, 0x500, NULL), MSR_OK);
	ctx.apic_base = 0xfee00000;
	CHECK_EQ(write_as(G, 0x1b, 0xfee00c00, NULL), MSR_GP);
	CHECK_EQ(write_as(V, 0x1b, 0xfee00c00, NULL), MSR_OK);
}

static void test_platform_info(void)
{
	CHECK_EQ(read_as(G, 0xce), MSR_OK);
	ctx.no_platform_info = true;
	CHECK_EQ(read_as(G, 0xce), MSR_GP);
	CHECK_EQ(read_as(V, 0xce), MSR_OK);
	CHECK_EQ(read_as(G, 0xfe), MSR_OK);
	ctx.no_platform_info = false;
}

static void test_reads(void)
{
	static const struct {
		u32 index;
		enum msr_by by;
		bool all;
		enum msr_verdict want;
		u64 value;
	} rows[] = {
		{ 0x0, G, false, MSR_OK, 0 }, { 0x17, G, false, MSR_OK, 0 },
		{ 0x8b, G, false, MSR_OK, 0x830107d }, { 0xfe, G, false, MSR_OK, 0x508 },
		{ 0x10a, G, true, MSR_OK, 0x2b }, { 0x10a, G, false, MSR_GP, 0 },
		{ 0x49, G, true, MSR_GP, 0 }, { 0x49, V, true, MSR_OK, 0 },
		{ 0x9e, G, true, MSR_GP, 0 }, { 0x9e, V, true, MSR_OK, 0x30000 },
		{ 0x34, G, true, MSR_OK, 0 }, { 0xda0, G, true, MSR_GP, 0 },
		{ 0x17b, G, false, MSR_OK, 0 }, { 0x1a0, G, false, MSR_OK, 1 },
		{ 0x427, G, false, MSR_OK, 0 }, { 0x428, G, false, MSR_GP, 0 },
		{ 0x428, V, false, MSR_GP, 0 }, { 0x480, G, false, MSR_UNKNOWN, 0 },
		{ 0x3b, G, false, MSR_GP, 0 }, { 0x3b, V, false, MSR_OK, 0 },
		{ 0xc0010004, G, false, MSR_OK, 0 }, { 0xc0010010, G, false, MSR_OK, 0 },
		{ 0xc0011029, G, false, MSR_OK, 2 }, { 0xc0010200, G, false, MSR_OK, 0 },
		{ 0xc001020b, G, false, MSR_OK, 0 }, { 0xc001020c, G, false, MSR_UNKNOWN, 0 },
		{ 0xc0010007, G, false, MSR_OK, 0 }, { 0xc0010008, G, false, MSR_UNKNOWN, 0 },
		{ 0xc0010055, G, false, MSR_OK, 0 }, { 0xc0010058, G, false, MSR_OK, 0 },
		{ 0xc001001f, G, false, MSR_OK, 0 }, { 0x2a, G, false, MSR_OK, 0 },
	};

	for_each_row(row, rows) {
		setup(row->all ? &everything : &nothing);
		test_context("%#x by %d", row->index, row->by);
		CHECK_EQ(read_as(row->by, row->index), row->want);
		if (row->want == MSR_OK)
			CHECK_EQ(value_of(row->index), row->value);
	}
	test_context("%s", "");
	setup(&nothing);
	ctx.mcg_cap = 10;
	CHECK_EQ(read_as(G, 0x17b), MSR_GP);
	CHECK_EQ(read_as(V, 0x17b), MSR_OK);
}

int main(void)
{
	everything = (struct cpuid_derived){
		.features = ~0ULL, .gpa_reserved = BITS64(63, 46), .efer_guest = 0xd01,
		.efer_host = 0xd01, .spec_ctrl_guest = 0x87, .spec_ctrl_host = 0x87,
		.maxphyaddr = 46, .vaddr_bits = 57,
	};
	nothing = (struct cpuid_derived){
		.gpa_reserved = BITS64(63, 36), .efer_host = 0xd01, .maxphyaddr = 36,
		.vaddr_bits = 48,
	};
	test_find();
	test_rows();
	test_lists();
	test_features();
	test_arch_capabilities();
	test_vmm_reset();
	test_writes();
	test_reads();
	test_platform_info();
	return test_done("msr");
}
