// SPDX-License-Identifier: GPL-2.0-only
/*
 * CPUID policy, on snapshots of this machine, of an AMD EPYC "Rome" and of an Intel "Skylake"
 * server part. Expected bits stand here as numbers from the manuals, not by the names of the code
 * under test; look-ups are compared with a sequential search.
 */
#include <cpuid.h>
#include <errno.h>
#include "../../../arch/x86/pure/cpuid.h"
#include "harness.h"

#define SNAPSHOT_MAX 192
#define XCR0_ALL 0x602e7ULL

struct word {
	u32 leaf, subleaf, eax, ebx, ecx, edx;
};

static const struct word rome[] = {
	{ 0x0, 0, 0x10, 0x68747541, 0x444d4163, 0x69746e65 },
	{ 0x1, 0, 0x00830f10, 0x05800800, 0x7ed8320b, 0x178bfbff },
	{ 0x6, 0, 0x4, 0, 0x1, 0 },
	{ 0x7, 0, 0, 0x219c91a9, 0x00400004, 0 },
	{ 0xb, 0, 1, 2, 0x100, 5 },
	{ 0xb, 1, 7, 0x80, 0x201, 5 },
	{ 0xd, 0, 0x7, 0x340, 0x340, 0 },
	{ 0xd, 1, 0xf, 0x340, 0, 0 },
	{ 0xd, 2, 0x100, 0x240, 0, 0 },
	{ 0x80000000, 0, 0x80000020, 0x68747541, 0x444d4163, 0x69746e65 },
	{ 0x80000001, 0, 0x00830f10, 0x40000000, 0x75c237ff, 0x2fd3fbff },
	{ 0x80000002, 0, 0x20444d41, 0x43595045, 0x34373720, 0x34362032 },
	{ 0x80000005, 0, 0xff40ff40, 0xff40ff40, 0x20080140, 0x20080140 },
	{ 0x80000006, 0, 0x48006400, 0x68006400, 0x02006140, 0x08009140 },
	{ 0x80000007, 0, 0, 0x1b, 0, 0x6799 },
	{ 0x80000008, 0, 0x00003030, 0x010eb757, 0x0000707f, 0x00010007 },
	{ 0x8000000a, 0, 1, 0x8000, 0, 0x0013bcff },
	{ 0x80000019, 0, 0xf040f040, 0xf0400000, 0, 0 },
	{ 0x8000001a, 0, 0x6, 0, 0, 0 },
	{ 0x8000001b, 0, 0x3ff, 0, 0, 0 },
	{ 0x8000001d, 0, 0x00004121, 0x01c0003f, 0x0000003f, 0 },
	{ 0x8000001d, 1, 0x00004122, 0x01c0003f, 0x0000003f, 0 },
	{ 0x8000001d, 2, 0x00004143, 0x01c0003f, 0x000003ff, 0x2 },
	{ 0x8000001d, 3, 0x0001c163, 0x03c0003f, 0x00003fff, 0x1 },
	{ 0x8000001e, 0, 5, 0x102, 0x300, 0 },
	{ 0x8000001f, 0, 0x1000f, 0x16f, 0x1fd, 1 },
};

static const struct word skylake[] = {
	{ 0x0, 0, 0x16, 0x756e6547, 0x6c65746e, 0x49656e69 },
	{ 0x1, 0, 0x00050654, 0x02400800, 0x7ffefbff, 0xbfebfbff },
	{ 0x2, 0, 0x76036301, 0x00f0b5ff, 0, 0x00c30000 },
	{ 0x4, 0, 0x7c004121, 0x01c0003f, 0x0000003f, 0 },
	{ 0x4, 1, 0x7c004122, 0x01c0003f, 0x0000003f, 0 },
	{ 0x4, 2, 0x7c004143, 0x03c0003f, 0x000003ff, 0 },
	{ 0x4, 3, 0x7c07c163, 0x0280003f, 0x00006fff, 0x4 },
	{ 0x6, 0, 0x77, 2, 9, 0 },
	{ 0x7, 0, 0, 0xd39ffffb, 0x00000008, 0xbc000400 },
	{ 0xa, 0, 0x07300404, 0, 0, 0x603 },
	{ 0xb, 0, 1, 2, 0x100, 7 },
	{ 0xb, 1, 6, 0x20, 0x201, 7 },
	{ 0xd, 0, 0x2ff, 0xa88, 0xa88, 0 },
	{ 0xd, 1, 0xf, 0xa08, 0x100, 0 },
	{ 0xd, 2, 0x100, 0x240, 0, 0 },
	{ 0xd, 3, 0x40, 0x3c0, 0, 0 },
	{ 0xd, 4, 0x40, 0x400, 0, 0 },
	{ 0xd, 5, 0x40, 0x440, 0, 0 },
	{ 0xd, 6, 0x200, 0x480, 0, 0 },
	{ 0xd, 7, 0x400, 0x680, 0, 0 },
	{ 0xd, 9, 0x8, 0xa80, 0, 0 },
	{ 0x14, 0, 1, 0xf, 7, 0 },
	{ 0x15, 0, 2, 0xa8, 0, 0 },
	{ 0x16, 0, 0x834, 0xe74, 0x64, 0 },
	{ 0x80000000, 0, 0x80000008, 0, 0, 0 },
	{ 0x80000001, 0, 0, 0, 0x121, 0x2c100800 },
	{ 0x80000006, 0, 0, 0, 0x01006040, 0 },
	{ 0x80000007, 0, 0, 0, 0, 0x100 },
	{ 0x80000008, 0, 0x0000302e, 0, 0, 0 },
};

/* A part with everything that has rows here and is in neither of the above. */
static const struct word future[] = {
	{ 0x0, 0, 0x20, 0x756e6547, 0x6c65746e, 0x49656e69 },
	{ 0x1, 0, 0x000806f8, 0, ~0u, ~0u },
	{ 0x7, 0, 2, ~0u, ~0u, ~0u },
	{ 0x7, 1, ~0u, ~0u, ~0u, ~0u },
	{ 0x7, 2, ~0u, ~0u, ~0u, ~0u },
	{ 0xd, 0, 0x602e7, 0x2b00, 0x2b00, 0 },
	{ 0xd, 1, ~0u, 0x2b00, 0x1900, 0 },
	{ 0xd, 2, 0x100, 0x240, 0, 0 },
	{ 0xd, 5, 0x40, 0x440, 0, 0 },
	{ 0xd, 6, 0x200, 0x480, 0, 0 },
	{ 0xd, 7, 0x400, 0x680, 0, 0 },
	{ 0xd, 9, 0x8, 0xa80, 0, 0 },
	{ 0xd, 17, 0x40, 0xac0, 2, 0 },
	{ 0xd, 18, 0x2000, 0xb00, 6, 0 },
	{ 0x1d, 0, 1, 0, 0, 0 },
	{ 0x1d, 1, 0x04002000, 0x00080040, 0x10, 0 },
	{ 0x1e, 0, 0, 0x4010, 0, 0 },
	{ 0x1f, 0, 1, 2, 0x100, 7 },
	{ 0x80000000, 0, 0x80000022, 0, 0, 0 },
	{ 0x80000001, 0, ~0u, ~0u, ~0u, ~0u },
	{ 0x80000008, 0, 0x00003934, ~0u, ~0u, ~0u },
	{ 0x8000000a, 0, ~0u, ~0u, ~0u, ~0u },
	{ 0x80000021, 0, ~0u, ~0u, ~0u, ~0u },
	{ 0x80000022, 0, ~0u, ~0u, ~0u, ~0u },
};

static const struct word *fake;
static size_t fake_words;

static void fake_exec(u32 leaf, u32 subleaf, u32 regs[4])
{
	size_t i;

	memset(regs, 0, 4 * sizeof(*regs));
	for (i = 0; i < fake_words; i++) {
		if (fake[i].leaf == leaf && fake[i].subleaf == subleaf)
			memcpy(regs, &fake[i].eax, 4 * sizeof(*regs));
	}
}

static void real_exec(u32 leaf, u32 subleaf, u32 regs[4])
{
	__cpuid_count(leaf, subleaf, regs[0], regs[1], regs[2], regs[3]);
}

struct machine {
	const char *name;
	struct cpuid_table host;
	struct cpuid_leaf host_leaves[SNAPSHOT_MAX];
	struct cpuid_table supported;
	struct cpuid_leaf leaves[CPUID_MAX_SUPPORTED];
	int n;
};

static void take(struct machine *m, const char *name, const struct word *words, size_t n)
{
	int got;

	m->name = name;
	fake = words;
	fake_words = n;
	got = cpuid_snapshot(words ? fake_exec : real_exec, m->host_leaves, SNAPSHOT_MAX);
	CHECK(got > 5);
	CHECK_EQ(cpuid_snapshot(words ? fake_exec : real_exec, m->host_leaves, got - 1), -E2BIG);
	got = cpuid_snapshot(words ? fake_exec : real_exec, m->host_leaves, SNAPSHOT_MAX);
	cpuid_table_init(&m->host, m->host_leaves, got);
}

static void offer(struct machine *m, u32 have, u64 xcr0, u8 maxphyaddr)
{
	struct cpuid_caps caps = { .have = have, .maxphyaddr = maxphyaddr, .xcr0 = xcr0 };

	test_context("%s have %#x xcr0 %#llx", m->name, have, (unsigned long long)xcr0);
	m->n = cpuid_supported(&m->host, &caps, m->leaves, CPUID_MAX_SUPPORTED);
	CHECK(m->n > 5 && m->n <= 80);
	CHECK_EQ(cpuid_supported(&m->host, &caps, m->leaves, m->n - 1), -E2BIG);
	CHECK_EQ(cpuid_supported(&m->host, &caps, m->leaves, m->n), m->n);
	cpuid_table_init(&m->supported, m->leaves, m->n);
}

static u32 reg_of(const struct cpuid_table *t, u32 leaf, u32 subleaf, char reg)
{
	const struct cpuid_leaf *l = cpuid_lookup(t, leaf, subleaf);

	if (!l)
		return 0;
	return reg == 'a' ? l->eax : reg == 'b' ? l->ebx : reg == 'c' ? l->ecx : l->edx;
}

/* Bits software may add, by the manuals' positions. */
static const struct {
	u32 leaf, subleaf;
	char reg;
	u32 mask;
	u32 needs;
} soft[] = {
	{ 0x1, 0, 'c', 1u << 31, 0 },
	{ 0x1, 0, 'c', 1u << 21 | 1u << 24, CPUID_CAP_LAPIC },
	{ 0x1, 0, 'd', 1u << 7 | 1u << 9 | 1u << 12 | 1u << 14, 0 },
	{ 0x6, 0, 'a', 1u << 2, 0 },
	{ 0x7, 0, 'b', 1u << 1, 0 },
	{ 0x7, 0, 'd', 1u << 29, CPUID_CAP_ARCH_CAPS },
	{ 0x40000001, 0, 'a', 1u << 0 | 1u << 1 | 1u << 3 | 1u << 12 | 1u << 24, 0 },
	{ 0x40000001, 0, 'a', 1u << 5 | 1u << 9, CPUID_CAP_STEAL_TIME },
	{ 0x40000001, 0, 'a', 1u << 4 | 1u << 6 | 1u << 7 | 1u << 10 | 1u << 11 | 1u << 13 | 1u << 14, CPUID_CAP_LAPIC },
	{ 0x80000008, 0, 'b', 1u << 25, CPUID_CAP_VIRT_SSBD },
};

/* Bits of the host's that are held back without a capability. */
static const struct {
	u32 leaf;
	char reg;
	u32 mask;
	u32 needs;
} held_back[] = {
	{ 0x7, 'b', 1u << 10, CPUID_CAP_INVPCID },
	{ 0x7, 'c', 1u << 22, CPUID_CAP_RDTSCP },
	{ 0x7, 'd', 1u << 28, CPUID_CAP_FLUSH_L1D },
	{ 0x7, 'd', 1u << 26 | 1u << 27 | 1u << 31, CPUID_CAP_SPEC_CTRL },
	{ 0x80000001, 'd', 1u << 27, CPUID_CAP_RDTSCP },
};

/* Bits that must not be seen, whatever the host and the capabilities. */
static const struct {
	u32 leaf;
	char reg;
	u32 mask;
} never[] = {
	{ 0x1, 'c', 1u << 2 | 1u << 3 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 15 | 1u << 27 },
	{ 0x1, 'd', 1u << 21 | 1u << 22 | 1u << 28 | 1u << 29 | 1u << 31 },
	{ 0x1, 'b', 0xffff00ff },
	{ 0x7, 'b', 1u << 2 | 1u << 12 | 1u << 14 | 1u << 15 | 1u << 25 },
	{ 0x7, 'c', 1u << 4 | 1u << 5 | 1u << 7 | 1u << 24 | 1u << 29 | 1u << 30 | 1u << 31 },
	{ 0x7, 'd', 1u << 5 | 1u << 15 | 1u << 18 | 1u << 19 | 1u << 20 | 1u << 30 },
	{ 0xa, 'a', ~0u },
	{ 0x14, 'a', ~0u },
	{ 0x14, 'b', ~0u },
	{ 0x80000001, 'c', 1u << 2 | 1u << 3 | 1u << 9 | 1u << 10 | 1u << 12 | 1u << 17 | 1u << 23 |
			   1u << 24 | 1u << 28 | 1u << 29 },
	{ 0x80000008, 'b', 1u << 4 },
	{ 0x80000008, 'c', ~0u },
	{ 0x8000000a, 'd', ~0u },
	{ 0x8000001b, 'a', ~0u },
	{ 0x8000001f, 'a', ~0u },
	{ 0x80000021, 'a', 1u << 7 | 1u << 17 },
	{ 0x80000022, 'a', ~0u },
	{ 0x40000001, 'a', 1u << 2 | 1u << 8 | 1u << 15 | 1u << 16 | 1u << 17 | 0xfe000000 },
	{ 0x40000001, 'b', ~0u },
	{ 0x40000001, 'c', ~0u },
	{ 0x40000001, 'd', ~0u },
};

static void check_supported(const struct machine *m, u32 have)
{
	u32 max_basic = 0, max_ext = 0x80000000;
	int i;

	for (i = 0; i < m->n; i++) {
		const struct cpuid_leaf *l = &m->leaves[i];
		bool empty = !(l->eax | l->ebx | l->ecx | l->edx);
		char reg;

		if (i)
			CHECK(l[-1].function < l->function ||
			      (l[-1].function == l->function && l[-1].index < l->index));
		if (empty)
			CHECK(l->function == 0xb || l->function == 0x1f || l->function == 0x40000001 ||
			      l->function == 0x8000001e || l->function == 0x1e);
		CHECK(!l->padding[0] && !l->padding[1] && !l->padding[2]);
		if (l->function < 0x40000000 && l->function > max_basic)
			max_basic = l->function;
		if (l->function > max_ext)
			max_ext = l->function;
		if (l->function >> 28 == 4 || !(l->function & 0xffff) || l->function == 0xd ||
		    (l->function == 0x7 && !l->index))
			continue;
		for (reg = 'a'; reg <= 'd'; reg++) {
			u32 extra = reg_of(&m->supported, l->function, l->index, reg) &
				    ~reg_of(&m->host, l->function, l->index, reg);

			for_each_row(s, soft) {
				if (s->leaf == l->function && s->subleaf == l->index &&
				    s->reg == reg && (have & s->needs) == s->needs)
					extra &= ~s->mask;
			}
			CHECK_EQ(extra, 0);
		}
	}
	CHECK_EQ(reg_of(&m->supported, 0, 0, 'a'), max_basic);
	CHECK_EQ(reg_of(&m->supported, 0x80000000, 0, 'a'), max_ext);
	for_each_row(bit, never) {
		CHECK_EQ(reg_of(&m->supported, bit->leaf, 0, bit->reg) & bit->mask, 0);
	}
	for_each_row(s, soft) {
		u32 got = reg_of(&m->supported, s->leaf, s->subleaf, s->reg) & s->mask;

		if (s->leaf != 0x80000008 || cpuid_lookup(&m->host, s->leaf, 0))
			CHECK_EQ(got, (have & s->needs) == s->needs ? s->mask : 0);
	}
	for_each_row(bit, held_back) {
		u32 got = reg_of(&m->supported, bit->leaf, 0, bit->reg) & bit->mask;
		u32 host = reg_of(&m->host, bit->leaf, 0, bit->reg) & bit->mask;

		CHECK_EQ(got, (have & bit->needs) == bit->needs ? host : 0);
	}
	CHECK_EQ(reg_of(&m->supported, 0x40000000, 0, 'a'), 0x40000001);
	CHECK(cpuid_lookup(&m->supported, 0x40000000, 0) &&
	      !memcmp(&cpuid_lookup(&m->supported, 0x40000000, 0)->ebx, "KVMKVMKVM\0\0\0", 12));
	CHECK(cpuid_lookup(&m->supported, 0x40000001, 0));
}

static struct machine real, amd, intel, newest;

static void test_supported(void)
{
	static const u64 masks[] = { 0, 0x3, 0x7, 0xe7, 0x2e7, XCR0_ALL, 0x60000 };
	struct machine *all[] = { &real, &amd, &intel, &newest };

	for_each_row(m, all) {
		for_each_row(mask, masks) {
			u32 have;

			for (have = 0; have < 1 << 9; have += 37) {
				offer(*m, have, *mask, 0);
				check_supported(*m, have);
			}
		}
	}
	test_context("%s", "");
}

static void test_rome(void)
{
	const struct cpuid_table *t = &amd.supported;

	offer(&amd, CPUID_CAP_RDTSCP, 0x7, 0);
	/* Everything of the host but MONITOR and OSXSAVE, and HYPERVISOR added. */
	CHECK_EQ(reg_of(t, 1, 0, 'c'), (0x7ed8320bu & ~(1u << 3 | 1u << 27)) | 1u << 31);
	CHECK_EQ(reg_of(t, 1, 0, 'a'), 0x00830f10);
	CHECK_EQ(reg_of(t, 1, 0, 'b'), 0x0800);
	/* RDT_M and RDT_A gone, TSC_ADJUST added. */
	CHECK_EQ(reg_of(t, 7, 0, 'b'), (0x219c91a9u & ~(1u << 12 | 1u << 15)) | 2);
	CHECK_EQ(reg_of(t, 7, 0, 'a'), 0);
	CHECK_EQ(reg_of(t, 7, 0, 'c'), 0x00400004);
	CHECK(!cpuid_lookup(t, 2, 0) && !cpuid_lookup(t, 4, 0) && !cpuid_lookup(t, 0xa, 0));
	CHECK_EQ(reg_of(t, 0, 0, 'a'), 0xd);
	CHECK_EQ(reg_of(t, 0x80000000, 0, 'a'), 0x8000001e);
	CHECK_EQ(reg_of(t, 0xd, 0, 'a'), 7);
	CHECK_EQ(reg_of(t, 0xd, 0, 'c'), 832);
	CHECK_EQ(reg_of(t, 0xd, 1, 'a'), 7);
	CHECK_EQ(reg_of(t, 0xd, 2, 'b'), 576);
	CHECK_EQ(reg_of(t, 0x80000001, 0, 'd'), 0x2fd3fbff);
	CHECK_EQ(reg_of(t, 0x80000008, 0, 'a'), 0x3030);
	/* CLZERO, XSAVEERPTR, WBNOINVD; the speculation controls only when they are switched. */
	CHECK_EQ(reg_of(t, 0x80000008, 0, 'b'), 1u << 0 | 1u << 2 | 1u << 9);
	CHECK_EQ(reg_of(t, 0x8000001d, 3, 'a'), 0x163);
	CHECK_EQ(reg_of(t, 0x8000001d, 3, 'c'), 0x3fff);
	CHECK_EQ(reg_of(t, 0x80000007, 0, 'd'), 0x100);
	CHECK_EQ(reg_of(t, 0x80000005, 0, 'c'), 0x20080140);
	CHECK_EQ(reg_of(t, 0x80000002, 0, 'b'), 0x43595045);
	offer(&amd, CPUID_CAP_SPEC_CTRL, 0x7, 43);
	CHECK_EQ(reg_of(t, 0x80000008, 0, 'a'), 0x302b);
	CHECK_EQ(reg_of(t, 0x80000008, 0, 'b'), 0x010eb757u & (1u << 0 | 1u << 2 | 1u << 9 | 1u << 12 |
		 1u << 14 | 1u << 15 | 1u << 17 | 1u << 24));
	offer(&amd, 0, 0x7, 52);
	CHECK_EQ(reg_of(t, 0x80000008, 0, 'a'), 0x3030);
}

static void test_xsave(void)
{
	const struct cpuid_table *t = &intel.supported;

	offer(&intel, 0, 0x7, 0);
	CHECK_EQ(reg_of(t, 0xd, 0, 'a'), 7);
	CHECK_EQ(reg_of(t, 0xd, 0, 'c'), 832);
	CHECK(!cpuid_lookup(t, 0xd, 5) && !cpuid_lookup(t, 0xd, 9));
	/* AVX2 stays; AVX512F DQ CD BW VL and PKU go. */
	CHECK_EQ(reg_of(t, 7, 0, 'b') & (1u << 5 | 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31),
		 1u << 5);
	CHECK_EQ(reg_of(t, 7, 0, 'c') & 8, 0);
	offer(&intel, 0, 0x2ff, 0);
	CHECK_EQ(reg_of(t, 0xd, 0, 'a'), 0x2e7);
	CHECK_EQ(reg_of(t, 0xd, 0, 'c'), 2696);
	CHECK_EQ(reg_of(t, 0xd, 1, 'b'), 576 + 256 + 64 + 512 + 1024 + 8);
	CHECK_EQ(reg_of(t, 7, 0, 'c') & 8, 8);
	CHECK_EQ(reg_of(t, 7, 0, 'b') & (1u << 16 | 1u << 14), 1u << 16);
	CHECK_EQ(reg_of(t, 4, 3, 'a'), 0x163);
	CHECK_EQ(reg_of(t, 2, 0, 'a'), 0x76036301);
	CHECK_EQ(reg_of(t, 0, 0, 'a'), 0xd);
	offer(&intel, 0, 0x3, 0);
	CHECK_EQ(reg_of(t, 0xd, 0, 'c'), 576);
	/* FMA, AVX, F16C go with the upper halves; XSAVE stays. */
	CHECK_EQ(reg_of(t, 1, 0, 'c') & (1u << 12 | 1u << 28 | 1u << 29 | 1u << 26), 1u << 26);
	CHECK_EQ(reg_of(t, 7, 0, 'b') & 1u << 5, 0);
	offer(&intel, 0, 0, 0);
	CHECK(!cpuid_lookup(t, 0xd, 0) && !(reg_of(t, 1, 0, 'c') & 1u << 26));
	/* A component that XSS manages is not offered in XCR0. */
	cpuid_lookup(&intel.host, 0xd, 9)->ecx |= 1;
	offer(&intel, 0, 0x2e7, 0);
	CHECK_EQ(reg_of(t, 0xd, 0, 'a'), 0xe7);
	cpuid_lookup(&intel.host, 0xd, 9)->ecx &= ~1u;
	/* Half of a group is nothing. */
	offer(&intel, 0, 0x67, 0);
	CHECK_EQ(reg_of(t, 0xd, 0, 'a'), 7);
	t = &newest.supported;
	offer(&newest, 0, XCR0_ALL, 0);
	CHECK_EQ(reg_of(t, 0xd, 0, 'a'), XCR0_ALL);
	CHECK_EQ(reg_of(t, 0xd, 0, 'c'), 0x2b00);
	/* Components 17 and 18 start on 64-byte boundaries when compacted. */
	CHECK_EQ(reg_of(t, 0xd, 1, 'b'), 2496 + 64 + 0x2000);
	CHECK_EQ(reg_of(t, 0x1d, 1, 'a'), 0x04002000);
	CHECK_EQ(reg_of(t, 0x1e, 0, 'b'), 0x4010);
	CHECK_EQ(reg_of(t, 7, 0, 'a'), 2);
	CHECK_EQ(reg_of(t, 7, 0, 'd') & (1u << 22 | 1u << 24 | 1u << 25), 1u << 22 | 1u << 24 | 1u << 25);
	CHECK_EQ(reg_of(t, 0x80000008, 0, 'a'), 0x3034);
	offer(&newest, CPUID_CAP_LA57, 0x2e7, 0);
	CHECK_EQ(reg_of(t, 0x80000008, 0, 'a'), 0x3934);
	CHECK(!cpuid_lookup(t, 0x1d, 0));
	CHECK_EQ(reg_of(t, 7, 0, 'd') & (1u << 22 | 1u << 24 | 1u << 25), 0);
}

/* Look-ups against a sequential search over the array as it was given. */
static void test_lookup(void)
{
	static const u32 bases[] = { 0, 0, 0x40000000, 0x80000000, 0x80000000, 0xc0000000, 0x40000100,
				     0xfffffff0 };
	static struct cpuid_leaf given[CPUID_MAX_ENTRIES], sorted[CPUID_MAX_ENTRIES];
	u64 seed = 3;
	int round;

	for (round = 0; round < 300; round++) {
		unsigned int n = round == 1 ? 256 : test_rand_below(&seed, 100), i, k;
		struct cpuid_table t;

		memset(given, 0, sizeof(given));
		for (i = 0; i < n; i++) {
			given[i].function = bases[test_rand_below(&seed, 8)] +
					    test_rand_below(&seed, 12);
			given[i].index = test_rand_below(&seed, 4);
			given[i].flags = test_rand_below(&seed, 2);
			given[i].eax = i + 1;
		}
		memcpy(sorted, given, sizeof(given));
		cpuid_table_init(&t, sorted, n);
		for (i = 0; i < 200; i++) {
			u32 leaf = bases[test_rand_below(&seed, 8)] + test_rand_below(&seed, 14);
			u32 sub = test_rand_below(&seed, 5);
			struct cpuid_leaf *got = cpuid_lookup(&t, leaf, sub);
			const struct cpuid_leaf *want = NULL;

			test_context("round %d leaf %#x/%u", round, leaf, sub);
			/* By index, then by order of the array. */
			for (k = 0; k < n; k++) {
				const struct cpuid_leaf *e = &given[k];

				if (e->function != leaf || (e->flags & 1 && e->index != sub))
					continue;
				if (!want || e->index < want->index)
					want = e;
			}
			CHECK_EQ(got ? got->eax : 0, want ? want->eax : 0);
		}
	}
	test_context("%s", "");
}

static void check_regs(const struct cpuid_table *t, u32 leaf, u32 subleaf, u32 a, u32 b, u32 c,
		       u32 d)
{
	u32 regs[4] = { 1, 2, 3, 4 };

	test_context("leaf %#x/%u", leaf, subleaf);
	cpuid_execute(t, leaf, subleaf, regs);
	CHECK_EQ(regs[0], a);
	CHECK_EQ(regs[1], b);
	CHECK_EQ(regs[2], c);
	CHECK_EQ(regs[3], d);
	test_context("%s", "");
}

static void test_execute(void)
{
	struct cpuid_leaf e[] = {
		{ .function = 0, .eax = 0xd, .ebx = 0x756e6547, .ecx = 0x6c65746e, .edx = 0x49656e69 },
		{ .function = 1, .eax = 11, .ebx = 12, .ecx = 13, .edx = 14 },
		{ .function = 0xb, .flags = 1, .eax = 1, .ebx = 2, .ecx = 0x100, .edx = 77 },
		{ .function = 0xd, .flags = 1, .eax = 21, .ebx = 22, .ecx = 23, .edx = 24 },
		{ .function = 0x16, .eax = 99 },
		{ .function = 0x40000000, .eax = 0x40000001, .ebx = 31 },
		{ .function = 0x40000001, .eax = 41 },
		{ .function = 0x40000100, .eax = 0x40000101 },
		{ .function = 0x40000101, .eax = 42 },
		{ .function = 0x80000000, .eax = 0x80000001 },
		{ .function = 0x80000001, .edx = 51 },
	};
	struct cpuid_table t;

	cpuid_table_init(&t, e, ARRAY_SIZE(e));
	check_regs(&t, 1, 0, 11, 12, 13, 14);
	check_regs(&t, 1, 5, 11, 12, 13, 14);
	check_regs(&t, 0x40000001, 0, 41, 0, 0, 0);
	check_regs(&t, 0x40000101, 0, 42, 0, 0, 0);
	check_regs(&t, 0x80000001, 0, 0, 0, 0, 51);
	/* In range but absent: zeroes; level 3 of the topology keeps number and x2APIC id. */
	check_regs(&t, 5, 0, 0, 0, 0, 0);
	check_regs(&t, 0xb, 0, 1, 2, 0x100, 77);
	check_regs(&t, 0xb, 0x103, 0, 0, 3, 77);
	check_regs(&t, 0xd, 3, 0, 0, 0, 0);
	/* Out of range, Intel: the highest basic leaf at the same subleaf; what was set answers all the same. */
	check_regs(&t, 0x16, 0, 99, 0, 0, 0);
	check_regs(&t, 0x17, 0, 21, 22, 23, 24);
	check_regs(&t, 0x17, 1, 0, 0, 0, 0);
	check_regs(&t, 0x80000002, 0, 21, 22, 23, 24);
	check_regs(&t, 0x40000002, 0, 21, 22, 23, 24);
	check_regs(&t, 0x40000200, 0, 21, 22, 23, 24);
	check_regs(&t, 0xc0000000, 0, 21, 22, 23, 24);
	check_regs(&t, 0xffffffff, 0, 21, 22, 23, 24);
	/* Out of range, AMD and Hygon: zeroes. */
	e[0].ebx = 0x68747541;
	e[0].ecx = 0x444d4163;
	e[0].edx = 0x69746e65;
	cpuid_table_init(&t, e, ARRAY_SIZE(e));
	check_regs(&t, 0x17, 0, 0, 0, 0, 0);
	check_regs(&t, 0x80000002, 0, 0, 0, 0, 0);
	check_regs(&t, 1, 0, 11, 12, 13, 14);
	e[0].ebx = 0x6f677948;
	e[0].ecx = 0x656e6975;
	e[0].edx = 0x6e65476e;
	cpuid_table_init(&t, e, ARRAY_SIZE(e));
	check_regs(&t, 0x17, 0, 0, 0, 0, 0);
	/* Other vendors follow Intel. */
	e[0].ebx = 0x746e6543;
	cpuid_table_init(&t, e, ARRAY_SIZE(e));
	check_regs(&t, 0x17, 0, 21, 22, 23, 24);
	/* No CPUID at all. */
	cpuid_table_init(&t, NULL, 0);
	check_regs(&t, 0, 0, 0, 0, 0, 0);
	check_regs(&t, 0x80000000, 0, 0, 0, 0, 0);
}

static void test_validate_and_emulated(void)
{
	static struct cpuid_leaf many[CPUID_MAX_ENTRIES + 1];
	static const struct {
		u32 eax;
		int want;
	} widths[] = {
		{ 0x3030, 0 }, { 0x3934, 0 }, { 0x0028, 0 }, { 0x2f30, -EINVAL },
		{ 0x4030, -EINVAL }, { 0x0130, -EINVAL }, { 0x10030, 0 },
	};
	struct cpuid_caps caps = { 0 };
	struct cpuid_leaf out[4];

	CHECK_EQ(cpuid_validate(many, 0), 0);
	CHECK_EQ(cpuid_validate(many, 256), 0);
	CHECK_EQ(cpuid_validate(many, 257), -E2BIG);
	for_each_row(row, widths) {
		many[7] = (struct cpuid_leaf){ .function = 0x80000008, .eax = row->eax };
		test_context("widths %#x", row->eax);
		CHECK_EQ(cpuid_validate(many, 20), row->want);
	}
	test_context("%s", "");

	CHECK_EQ(cpuid_emulated(&caps, out, 4), 0);
	caps.have = CPUID_CAP_UD_EMULATION;
	CHECK_EQ(cpuid_emulated(&caps, out, 1), -E2BIG);
	CHECK_EQ(cpuid_emulated(&caps, out, 4), 2);
	CHECK_EQ(out[0].function, 1);
	CHECK_EQ(out[0].ecx, 1u << 22);
	CHECK_EQ(out[0].eax | out[0].ebx | out[0].edx, 0);
	CHECK_EQ(out[1].function, 7);
	CHECK_EQ(out[1].ecx, 1u << 22);
	CHECK_EQ(out[1].flags, 1);
}

static void test_derive(void)
{
	static struct cpuid_leaf guest[CPUID_MAX_SUPPORTED];
	struct cpuid_table g;
	struct cpuid_derived d;

	/* Nothing set: the basic processor, and what the host can for the VMM. */
	offer(&intel, CPUID_CAP_SPEC_CTRL | CPUID_CAP_LAPIC | CPUID_CAP_RDTSCP, 0x2e7, 0);
	cpuid_table_init(&g, NULL, 0);
	cpuid_derive(&g, &intel.supported, &d);
	CHECK_EQ(d.features, 0);
	CHECK_EQ(d.cr4_allowed, 0x7ff);
	CHECK_EQ(d.efer_guest, 0);
	CHECK_EQ(d.efer_host, 0xd01);
	CHECK_EQ(d.xcr0_allowed, 1);
	CHECK_EQ(d.spec_ctrl_guest, 0);
	CHECK_EQ(d.spec_ctrl_host, 7);
	CHECK_EQ(d.maxphyaddr, 36);
	CHECK_EQ(d.gpa_reserved, ~0ULL << 36);
	CHECK_EQ(d.dr6_fixed_1, 0xffff0ff0);
	CHECK_EQ(d.vendor, CPUID_VENDOR_OTHER);

	/* All that is supported. Skylake: no UMIP, LA57. */
	cpuid_derive(&intel.supported, &intel.supported, &d);
	CHECK_EQ(d.cr4_allowed, 0x7ff | 1 << 16 | 1 << 17 | 1 << 18 | 1 << 20 | 1 << 21 | 1 << 22);
	CHECK_EQ(d.efer_guest, 0xd01);
	CHECK_EQ(d.xcr0_allowed, 0x2e7);
	CHECK_EQ(d.spec_ctrl_guest, 7);
	CHECK_EQ(d.maxphyaddr, 46);
	CHECK_EQ(d.dr6_fixed_1, 0xfffe0ff0);
	CHECK_EQ(d.vendor, CPUID_VENDOR_INTEL);
	CHECK_EQ(d.vaddr_bits, 48);
	CHECK(cpuid_has(&d, CPUID_F_TSC_DEADLINE) && cpuid_has(&d, CPUID_F_X2APIC));
	CHECK(cpuid_has(&d, CPUID_F_SPEC_CTRL_MSR) && cpuid_has(&d, CPUID_F_PRED_CMD_MSR));
	CHECK(cpuid_has(&d, CPUID_F_TSC_AUX_MSR) && !cpuid_has(&d, CPUID_F_VIRT_SSBD));

	/* A guest is shown less: no SMEP, NX, AVX, a narrower bus. */
	memcpy(guest, intel.leaves, sizeof(guest));
	cpuid_table_init(&g, guest, intel.n);
	cpuid_lookup(&g, 7, 0)->ebx &= ~(1u << 7);
	cpuid_lookup(&g, 0x80000001, 0)->edx &= ~(1u << 20);
	cpuid_lookup(&g, 0x80000008, 0)->eax = 0x3028;
	cpuid_lookup(&g, 0xd, 0)->eax &= ~4u;
	cpuid_derive(&g, &intel.supported, &d);
	CHECK(!(d.cr4_allowed & 1 << 20) && !cpuid_has(&d, CPUID_F_SMEP));
	CHECK_EQ(d.efer_guest, 0x501);
	CHECK_EQ(d.efer_host, 0xd01);
	CHECK_EQ(d.maxphyaddr, 40);
	CHECK_EQ(d.xcr0_allowed, 0x203);

	/* And more than there is: UMIP, a wider bus, LA57. It is not derived. */
	cpuid_lookup(&g, 7, 0)->ecx = ~0u;
	cpuid_lookup(&g, 0x80000008, 0)->eax = 0x3934;
	cpuid_lookup(&g, 0xd, 0)->eax = ~0u;
	cpuid_lookup(&g, 0xd, 0)->edx = ~0u;
	cpuid_derive(&g, &intel.supported, &d);
	CHECK(!(d.cr4_allowed & (1 << 11 | 1 << 12)));
	CHECK_EQ(d.maxphyaddr, 46);
	CHECK_EQ(d.vaddr_bits, 48);
	CHECK_EQ(d.xcr0_allowed, 0x2e7);
	cpuid_lookup(&g, 0x80000008, 0)->eax = 0x30ff;
	cpuid_derive(&g, &newest.supported, &d);
	CHECK_EQ(d.maxphyaddr, 52);
	CHECK_EQ(d.gpa_reserved, 0xfff0000000000000ULL);

	offer(&newest, CPUID_CAP_LA57 | CPUID_CAP_SPEC_CTRL | CPUID_CAP_VIRT_SSBD, 0x2e7, 0);
	cpuid_derive(&newest.supported, &newest.supported, &d);
	CHECK_EQ(d.vaddr_bits, 57);
	CHECK_EQ(d.cr4_allowed, 0x771fff);
	CHECK_EQ(d.efer_guest, 0x204d01);
	CHECK_EQ(d.spec_ctrl_guest, 0x87);
	CHECK(cpuid_has(&d, CPUID_F_VIRT_SSBD) && cpuid_has(&d, CPUID_F_SBPB));

	offer(&amd, CPUID_CAP_SPEC_CTRL, 0x7, 0);
	cpuid_derive(&amd.supported, &amd.supported, &d);
	CHECK_EQ(d.vendor, CPUID_VENDOR_AMD);
	CHECK_EQ(d.efer_guest, 0x4d01);
	/* EBX of 0x80000008 has STIBP and SSBD but not IBRS (bit 14 of 0x010eb757 is clear). */
	CHECK_EQ(d.spec_ctrl_guest, (0x010eb757 >> 14 & 1) | 2 | 4);
	CHECK(cpuid_has(&d, CPUID_F_AMD_IBPB) && cpuid_has(&d, CPUID_F_PRED_CMD_MSR));
}

static void test_dynamic(void)
{
	static struct cpuid_leaf guest[CPUID_MAX_SUPPORTED];
	struct cpuid_dynamic s = { .xcr0 = 1 };
	struct cpuid_table g;

	offer(&intel, 0, 0x2e7, 0);
	memcpy(guest, intel.leaves, sizeof(guest));
	cpuid_table_init(&g, guest, intel.n);
	cpuid_update_dynamic(&g, &intel.supported, &s);
	CHECK_EQ(reg_of(&g, 1, 0, 'd') & 1 << 9, 0);
	CHECK_EQ(reg_of(&g, 1, 0, 'c') & (1 << 27 | 1 << 3), 0);
	CHECK_EQ(reg_of(&g, 0xd, 0, 'b'), 576);
	CHECK_EQ(reg_of(&g, 0xd, 1, 'b'), 576);
	s = (struct cpuid_dynamic){
		.cr4 = 1 << 18 | 1 << 22, .xcr0 = 0x207, .apic_base = 0xfee00800,
		.misc_enable = 1 << 18, .mwait_follows_misc_enable = true,
	};
	cpuid_update_dynamic(&g, &intel.supported, &s);
	CHECK_EQ(reg_of(&g, 1, 0, 'd') & 1 << 9, 1 << 9);
	CHECK_EQ(reg_of(&g, 1, 0, 'c') & (1 << 27 | 1 << 3), 1 << 27 | 1 << 3);
	CHECK_EQ(reg_of(&g, 7, 0, 'c') & 1 << 4, 1 << 4);
	CHECK_EQ(reg_of(&g, 0xd, 0, 'b'), 0xa88);
	CHECK_EQ(reg_of(&g, 0xd, 1, 'b'), 576 + 256 + 8);
	/* An Intel guest has no second APIC bit. */
	CHECK_EQ(reg_of(&g, 0x80000001, 0, 'd') & 1 << 9, 0);
	s.mwait_follows_misc_enable = false;
	s.misc_enable = 0;
	s.cr4 = 0;
	cpuid_update_dynamic(&g, &intel.supported, &s);
	CHECK_EQ(reg_of(&g, 1, 0, 'c') & (1 << 27 | 1 << 3), 1 << 3);
	CHECK_EQ(reg_of(&g, 7, 0, 'c') & 1 << 4, 0);
	/* Without XSAVE and PKU there is nothing to show. */
	cpuid_lookup(&g, 1, 0)->ecx &= ~(1u << 26);
	cpuid_lookup(&g, 7, 0)->ecx &= ~8u;
	s.cr4 = ~0ULL;
	cpuid_update_dynamic(&g, &intel.supported, &s);
	CHECK_EQ(reg_of(&g, 1, 0, 'c') & 1 << 27, 0);
	CHECK_EQ(reg_of(&g, 7, 0, 'c') & 1 << 4, 0);

	offer(&amd, 0, 0x7, 0);
	memcpy(guest, amd.leaves, sizeof(guest));
	cpuid_table_init(&g, guest, amd.n);
	s.apic_base = 0;
	cpuid_update_dynamic(&g, &amd.supported, &s);
	CHECK_EQ(reg_of(&g, 0x80000001, 0, 'd') & 1 << 9, 0);
	s.apic_base = 0x800;
	cpuid_update_dynamic(&g, &amd.supported, &s);
	CHECK_EQ(reg_of(&g, 0x80000001, 0, 'd') & 1 << 9, 1 << 9);

	/* KVM's own leaf: no kick without HLT exits, neither kick nor many IPIs without an APIC. */
	cpuid_lookup(&g, 0x40000001, 0)->eax = ~0u;
	cpuid_update_dynamic(&g, &amd.supported, &s);
	CHECK_EQ(reg_of(&g, 0x40000001, 0, 'a'), ~0u);
	s.no_hlt_exit = true;
	cpuid_update_dynamic(&g, &amd.supported, &s);
	CHECK_EQ(reg_of(&g, 0x40000001, 0, 'a'), ~(1u << 7));
	s.no_lapic = true;
	cpuid_update_dynamic(&g, &amd.supported, &s);
	CHECK_EQ(reg_of(&g, 0x40000001, 0, 'a'), ~(1u << 7 | 1u << 11));
	/* Another hypervisor's leaf is not ours to judge. */
	cpuid_lookup(&g, 0x40000001, 0)->eax = ~0u;
	cpuid_lookup(&g, 0x40000000, 0)->ecx++;
	cpuid_update_dynamic(&g, &amd.supported, &s);
	CHECK_EQ(reg_of(&g, 0x40000001, 0, 'a'), ~0u);
	cpuid_table_init(&g, NULL, 0);
	cpuid_update_dynamic(&g, &amd.supported, &s);
}

/* The table itself: ascending, one decision per bit, conditions that can be met. */
static void test_spec(void)
{
	unsigned int i, k;

	for (i = 0; i < cpuid_spec_rows; i++) {
		const struct cpuid_row *a = &cpuid_spec[i];

		test_context("row %u %s", i, a->name);
		CHECK(a->mask && a->name && a->reg < 4);
		CHECK(a->policy == CPUID_HOST || a->policy == CPUID_SOFT || a->policy == CPUID_OFF ||
		      a->policy == CPUID_DYNAMIC || a->policy == (CPUID_HOST | CPUID_EMULATED));
		CHECK((a->xcr0 & ~XCR0_ALL) == 0);
		if (i)
			CHECK(a[-1].leaf < a->leaf ||
			      (a[-1].leaf == a->leaf && a[-1].subleaf <= a->subleaf));
		for (k = 0; k < i; k++) {
			const struct cpuid_row *b = &cpuid_spec[k];

			if (a->leaf == b->leaf && a->subleaf == b->subleaf && a->reg == b->reg)
				CHECK_EQ(a->mask & b->mask, 0);
		}
	}
	test_context("%s", "");
}

int main(void)
{
	take(&real, "this machine", NULL, 0);
	take(&amd, "Rome", rome, ARRAY_SIZE(rome));
	take(&intel, "Skylake", skylake, ARRAY_SIZE(skylake));
	take(&newest, "future", future, ARRAY_SIZE(future));
	test_spec();
	test_supported();
	test_rome();
	test_xsave();
	test_lookup();
	test_execute();
	test_validate_and_emulated();
	test_derive();
	test_dynamic();
	return test_done("cpuid");
}
