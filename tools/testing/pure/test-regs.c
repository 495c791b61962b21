// SPDX-License-Identifier: GPL-2.0-only
/*
 * Register rules: cases by name, and one property over random writes: whatever is accepted leaves
 * a state that AMD's list of VMRUN consistency checks, written out below, accepts too.
 */
#include "regs.h"
#include "cpuid.h"
#include "harness.h"

#define CR0_REAL 0x60000010ULL
#define CR0_LONG 0x80050033ULL

static const struct cpuid_derived full = {
	.features = BIT64(CPUID_F_X2APIC),
	.gpa_reserved = BITS64(63, 40),
	.cr4_allowed = 0x771fffULL,
	.efer_guest = 0x204d01ULL,
	.efer_host = 0x204d01ULL,
	.xcr0_allowed = 0x602e7ULL,
	.dr6_fixed_1 = 0xfffe0ff0ULL,
	.maxphyaddr = 40,
	.vaddr_bits = 48,
};

/* Processor without PCID, LA57, protection keys, x2APIC. */
static const struct cpuid_derived small = {
	.gpa_reserved = BITS64(63, 36),
	.cr4_allowed = 0x7ffULL,
	.efer_guest = 0,
	.efer_host = 0xd01ULL,
	.xcr0_allowed = 1,
	.dr6_fixed_1 = 0xffff0ff0ULL,
	.maxphyaddr = 36,
	.vaddr_bits = 48,
};

/* AMD APM volume 2, "Canonicalization and Consistency Checks": true when VMRUN would go on. */
static bool vmrun_accepts(const struct regs_control *c, bool cs_db, unsigned int maxphyaddr)
{
	bool lme = c->efer >> 8 & 1, pg = c->cr0 >> 31 & 1, pe = c->cr0 & 1, pae = c->cr4 >> 5 & 1;

	if (!(c->cr0 >> 30 & 1) && c->cr0 >> 29 & 1)
		return false;
	if (c->cr0 >> 32 || c->cr4 >> 32 || c->cr4 & ~0x771fffULL)
		return false;
	if (c->cr3 >> maxphyaddr)
		return false;
	if (c->efer & ~0x204d01ULL)
		return false;
	if (lme && pg && (!pae || !pe))
		return false;
	if (lme && pg && pae && c->cs_l && cs_db)
		return false;
	/* Not in the list, but no processor has it: */
	return !(pg && !pe) && !!(c->efer >> 10 & 1) == (lme && pg);
}

static struct regs_control long_mode(void)
{
	return (struct regs_control){
		.cr0 = CR0_LONG, .cr3 = 0x1000, .cr4 = 0x20, .efer = 0xd01, .cs_l = true,
	};
}

static void test_cr0(void)
{
	static const struct {
		u64 cr0, cr4, efer;
		bool cs_l;
		u64 value;
		enum regs_reason want;
		u64 cr0_after, efer_after;
	} rows[] = {
		{ CR0_REAL, 0, 0, 0, 0x60000011, REGS_OK, 0x60000011, 0 },
		{ CR0_REAL, 0, 0, 0, 0x1, REGS_OK, 0x11, 0 },
		{ CR0_REAL, 0, 0, 0, 0x1ffaffc0 | 0x1, REGS_OK, 0x11, 0 },
		{ CR0_REAL, 0, 0, 0, 1ULL << 32, REGS_CR0_RESERVED, 0, 0 },
		{ CR0_REAL, 0, 0, 0, 0x20000000, REGS_CR0_NW_WITHOUT_CD, 0, 0 },
		{ CR0_REAL, 0, 0, 0, 0x80000000, REGS_CR0_PG_WITHOUT_PE, 0, 0 },
		{ 0x11, 0, 0, 0, 0x80000001, REGS_OK, 0x80000011, 0 },
		{ 0x11, 0, 0x100, 0, 0x80000001, REGS_LONG_WITHOUT_PAE, 0, 0 },
		{ 0x11, 0x20, 0x100, 0, 0x80000001, REGS_OK, 0x80000011, 0x500 },
		{ 0x11, 0x20, 0x100, 1, 0x80000001, REGS_CS_L_MISMATCH, 0, 0 },
		{ 0x80000011, 0x20, 0x500, 1, 0x11, REGS_PAGING_OFF_IN_64BIT, 0, 0 },
		{ 0x80000011, 0x20020, 0x500, 0, 0x11, REGS_PAGING_OFF_WITH_PCIDE, 0, 0 },
		{ 0x80000011, 0x20, 0x500, 0, 0x11, REGS_OK, 0x11, 0x100 },
		{ 0x80000011, 0x20, 0x500, 1, 0x8000001b, REGS_OK, 0x8000001b, 0x500 },
	};

	for_each_row(row, rows) {
		struct regs_control now = {
			.cr0 = row->cr0, .cr4 = row->cr4, .efer = row->efer, .cs_l = row->cs_l,
		};
		struct regs_write w;

		test_context("row %d", (int)(row - rows));
		CHECK_EQ(regs_write_cr0(&now, row->value, &w), row->want);
		if (row->want == REGS_OK) {
			CHECK_EQ(w.next.cr0, row->cr0_after);
			CHECK_EQ(w.next.efer, row->efer_after);
		}
	}
	test_context("%s", "");
}

static void test_cr3_cr4_efer(void)
{
	struct regs_control now = long_mode(), legacy = { .cr0 = 0x80000011, .cr4 = 0x20 };
	struct regs_write w;

	CHECK_EQ(regs_write_cr3(&now, 0xffffffffffULL, &full, &w), REGS_OK);
	CHECK_EQ(w.effects, REGS_FLUSH_TLB);
	CHECK_EQ(regs_write_cr3(&now, 1ULL << 40, &full, &w), REGS_CR3_RESERVED);
	CHECK_EQ(regs_write_cr3(&now, 1ULL << 63, &full, &w), REGS_CR3_RESERVED);
	now.cr4 |= 1 << 17;
	CHECK_EQ(regs_write_cr3(&now, 1ULL << 63 | 0x2001, &full, &w), REGS_OK);
	CHECK_EQ(w.next.cr3, 0x2001);
	CHECK_EQ(w.effects, 0);
	CHECK_EQ(regs_write_cr3(&now, 1ULL << 63 | 1ULL << 62, &full, &w), REGS_CR3_RESERVED);
	CHECK_EQ(regs_write_cr3(&legacy, 0xfff00000fff0ULL, &full, &w), REGS_OK);
	CHECK_EQ(w.next.cr3, 0xfff0);
	CHECK_EQ(w.effects, REGS_FLUSH_TLB | REGS_LOAD_PDPTRS);

	now = long_mode();
	CHECK_EQ(regs_write_cr4(&now, 0x20 | 1 << 15, &full, &w), REGS_CR4_RESERVED);
	CHECK_EQ(regs_write_cr4(&now, 0x20 | 1 << 17, &small, &w), REGS_CR4_RESERVED);
	CHECK_EQ(regs_write_cr4(&now, 0, &full, &w), REGS_LONG_WITHOUT_PAE);
	CHECK_EQ(regs_write_cr4(&now, 0x20 | 1 << 12, &full, &w), REGS_LA57_IN_LONG);
	CHECK_EQ(regs_write_cr4(&now, 0x20 | 1 << 17, &full, &w), REGS_OK);
	CHECK_EQ(w.effects, REGS_FLUSH_TLB);
	now.cr3 |= 1;
	CHECK_EQ(regs_write_cr4(&now, 0x20 | 1 << 17, &full, &w), REGS_PCIDE_WITH_PCID);
	now.cr4 |= 1 << 17;
	CHECK_EQ(regs_write_cr4(&now, now.cr4, &full, &w), REGS_OK);
	CHECK_EQ(regs_write_cr4(&legacy, 0x20 | 1 << 17, &full, &w), REGS_PCIDE_OUTSIDE_LONG);
	CHECK_EQ(regs_write_cr4(&legacy, 0x20 | 1 << 12 | 1 << 18, &full, &w), REGS_OK);
	CHECK_EQ(w.effects, REGS_FLUSH_TLB | REGS_LOAD_PDPTRS | REGS_CPUID_CHANGED);
	CHECK_EQ(regs_write_cr4(&legacy, 0x22, &full, &w), REGS_OK);
	CHECK_EQ(w.effects, 0);

	now = long_mode();
	CHECK_EQ(regs_write_efer(&now, 0x1d01, full.efer_guest, &w), REGS_EFER_RESERVED);
	CHECK_EQ(regs_write_efer(&now, 0xc01, full.efer_guest, &w), REGS_EFER_LME_WHILE_PAGING);
	CHECK_EQ(regs_write_efer(&now, 0x101, full.efer_guest, &w), REGS_OK);
	CHECK_EQ(w.next.efer, 0x501);
	CHECK_EQ(w.effects, REGS_FLUSH_TLB);
	legacy.cr0 = 0x11;
	CHECK_EQ(regs_write_efer(&legacy, 0x500, full.efer_guest, &w), REGS_OK);
	CHECK_EQ(w.next.efer, 0x100);
	CHECK_EQ(regs_write_efer(&legacy, 1, small.efer_guest, &w), REGS_EFER_RESERVED);
}

static void test_small_ones(void)
{
	static const struct {
		u32 index;
		u64 value;
		enum regs_reason want;
	} xcr[] = {
		{ 0, 0x1, REGS_OK }, { 0, 0x3, REGS_OK }, { 0, 0x7, REGS_OK },
		{ 0, 0xe7, REGS_OK }, { 0, 0x2e7, REGS_OK }, { 0, 0x602e7, REGS_OK },
		{ 1, 0x1, REGS_XCR_INDEX }, { 0, 0x0, REGS_XCR0_RESERVED },
		{ 0, 0x2, REGS_XCR0_RESERVED }, { 0, 0x9, REGS_XCR0_RESERVED },
		{ 0, 0x5, REGS_XCR0_COMBINATION }, { 0, 0xe3, REGS_XCR0_COMBINATION },
		{ 0, 0x27, REGS_XCR0_COMBINATION }, { 0, 0x20007, REGS_XCR0_COMBINATION },
		{ 0, 1ULL << 63 | 1, REGS_XCR0_RESERVED },
	};
	u64 out;

	for_each_row(row, xcr) {
		test_context("xcr row %d", (int)(row - xcr));
		CHECK_EQ(regs_check_xcr(row->index, row->value, &full), row->want);
	}
	test_context("%s", "");
	CHECK_EQ(regs_check_xcr(0, 3, &small), REGS_XCR0_RESERVED);
	CHECK_EQ(regs_check_cr8(15), REGS_OK);
	CHECK_EQ(regs_check_cr8(16), REGS_CR8_RESERVED);

	CHECK_EQ(regs_write_dr6(0, &full, &out), REGS_OK);
	CHECK_EQ(out, 0xfffe0ff0);
	CHECK_EQ(regs_write_dr6(0xffffffff, &full, &out), REGS_OK);
	CHECK_EQ(out, 0xffffefff);
	CHECK_EQ(regs_write_dr6(0, &small, &out), REGS_OK);
	CHECK_EQ(out, 0xffff0ff0);
	CHECK_EQ(regs_write_dr6(1ULL << 32, &full, &out), REGS_DR_RESERVED);
	CHECK_EQ(regs_write_dr7(0, &out), REGS_OK);
	CHECK_EQ(out, 0x400);
	CHECK_EQ(regs_write_dr7(0xffffffff, &out), REGS_OK);
	CHECK_EQ(out, 0xffff27ff);
	CHECK_EQ(regs_write_dr7(1ULL << 63, &out), REGS_DR_RESERVED);

	CHECK_EQ(regs_check_apic_base(0, 0xfee00900, &small), REGS_OK);
	CHECK_EQ(regs_check_apic_base(0, 0xfee00901, &small), REGS_APIC_BASE_RESERVED);
	CHECK_EQ(regs_check_apic_base(0, 1ULL << 36, &small), REGS_APIC_BASE_RESERVED);
	CHECK_EQ(regs_check_apic_base(0, 1ULL << 36, &full), REGS_OK);
	CHECK_EQ(regs_check_apic_base(0x800, 0xfee00c00, &small), REGS_APIC_BASE_RESERVED);
	CHECK_EQ(regs_check_apic_base(0x800, 0xfee00c00, &full), REGS_OK);
	CHECK_EQ(regs_check_apic_base(0, 0xfee00400, &full), REGS_APIC_BASE_MODE);
	CHECK_EQ(regs_check_apic_base(0, 0xfee00c00, &full), REGS_APIC_BASE_MODE);
	CHECK_EQ(regs_check_apic_base(0xc00, 0xfee00800, &full), REGS_APIC_BASE_MODE);
	CHECK_EQ(regs_check_apic_base(0xc00, 0xfee00000, &full), REGS_OK);

	CHECK(regs_canonical(0x7fffffffffffULL, 48));
	CHECK(!regs_canonical(0x800000000000ULL, 48));
	CHECK(regs_canonical(0x800000000000ULL, 57));
	CHECK(regs_canonical(0xffff800000000000ULL, 48));
	CHECK(!regs_canonical(0xff7fffffffffffffULL, 48));
	CHECK(!regs_canonical(0x0100000000000000ULL, 57));
}

static struct regs_special long_sregs(void)
{
	return (struct regs_special){
		.cs = { .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1 },
		.cr0 = CR0_LONG, .cr3 = 0x1000, .cr4 = 0x20, .efer = 0x500, .apic_base = 0xfee00900,
	};
}

static void test_watchpoints(void)
{
	static const struct {
		u64 dr7, addr;
		u32 size;
		bool write;
		u64 hits;
	} rows[] = {
		{ 0x000d0001, 0x1000, 4, true, 1 },		/* DR0: writes of four bytes */
		{ 0x000d0001, 0x1000, 4, false, 0 },
		{ 0x000d0001, 0x0fff, 1, true, 0 },
		{ 0x000d0001, 0x0fff, 2, true, 1 },
		{ 0x000d0001, 0x1003, 8, true, 1 },
		{ 0x000d0001, 0x1004, 8, true, 0 },
		{ 0x000d0002, 0x1000, 1, true, 1 },		/* enabled by G0 */
		{ 0x000d0000, 0x1000, 1, true, 0 },
		{ 0x000f0001, 0x1002, 1, false, 1 },		/* reads, too */
		{ 0x000c0001, 0x1000, 4, true, 0 },		/* execution */
		{ 0x000e0001, 0x1000, 4, true, 0 },		/* ports */
		{ 0x00b00004, 0x2007, 1, false, 2 },		/* DR1: eight bytes, from an address in their middle */
		{ 0x00b00004, 0x2008, 1, false, 0 },
		{ 0x0d0d0011, 0x1000, 0x2000, true, 5 },	/* DR0 and DR2 */
		{ 0x10000040, 0xffffffffffffffff, 1, true, 8 },	/* DR3: the last byte */
		{ 0x10000040, 0, 1, true, 0 },
		{ 0x10000040, 0xfffffffffffffffe, 4, true, 8 },
	};
	static const u64 dr[4] = { 0x1000, 0x2003, 0x2ffc, 0xffffffffffffffff };

	for_each_row(row, rows) {
		test_context("DR7 %llx, %u bytes at %llx", (unsigned long long)row->dr7, row->size,
			     (unsigned long long)row->addr);
		CHECK_EQ(regs_watchpoints(dr, row->dr7, row->addr, row->size, row->write), row->hits);
	}
	test_context("%s", "");
}

static void test_special(void)
{
	struct regs_special s = long_sregs();
	u64 *const bases[] = {
		&s.cs.base, &s.ds.base, &s.es.base, &s.fs.base, &s.gs.base, &s.ss.base,
		&s.tr.base, &s.ldt.base, &s.gdt.base, &s.idt.base,
	};

	CHECK_EQ(regs_check_special(&s, &full), REGS_OK);
#define REFUSED(change, why)                                                                       \
	do {                                                                                       \
		s = long_sregs();                                                                  \
		change;                                                                            \
		CHECK_EQ(regs_check_special(&s, &full), why);                                      \
	} while (0)
	REFUSED(s.cr0 |= 1ULL << 40, REGS_CR0_RESERVED);
	REFUSED(s.cr0 |= 1 << 29, REGS_CR0_NW_WITHOUT_CD);
	REFUSED(s.cr0 &= ~1ULL, REGS_CR0_PG_WITHOUT_PE);
	REFUSED(s.cr3 |= 1ULL << 40, REGS_CR3_RESERVED);
	REFUSED(s.cr4 |= 1 << 13, REGS_CR4_RESERVED);
	REFUSED(s.cr4 &= ~0x20ULL, REGS_LONG_WITHOUT_PAE);
	REFUSED(s.cr8 = 16, REGS_CR8_RESERVED);
	REFUSED(s.efer |= 1 << 12, REGS_EFER_RESERVED);
	REFUSED(s.efer &= ~0x400ULL, REGS_LMA_MISMATCH);
	REFUSED(s.efer &= ~0x100ULL, REGS_LMA_MISMATCH);
	REFUSED(s.cs.db = 1, REGS_CS_L_MISMATCH);
	REFUSED((s.efer = 0, s.cr0 = CR0_REAL), REGS_CS_L_MISMATCH);
	/* No guest gets there, but user space may ask for every bit that CPUID allows. */
	REFUSED((s.efer = 0, s.cs.l = 0, s.cr4 |= 1 << 17), REGS_OK);
	REFUSED(s.apic_base |= 1, REGS_APIC_BASE_RESERVED);
	REFUSED(s.apic_base = 0x400, REGS_APIC_BASE_MODE);
	REFUSED(s.cr4 |= 1 << 17, REGS_OK);
	REFUSED(s.cr2 = ~0ULL, REGS_OK);
	REFUSED((s.efer = 0, s.cs.l = 0, s.cr0 = CR0_REAL, s.cr4 = 0), REGS_OK);
	for_each_row(base, bases)
		REFUSED(**base = 1ULL << 47, REGS_BASE_NOT_CANONICAL);
}

/* Biased towards the bits that matter, so that a fair part is accepted. */
static u64 interesting(u64 *seed, u64 bits)
{
	u64 value = test_rand(seed) & test_rand(seed) & bits;

	if (!test_rand_below(seed, 16))
		value |= 1ULL << test_rand_below(seed, 64);
	return value;
}

static void test_closure(void)
{
	struct regs_control now = { .cr0 = CR0_REAL };
	u64 seed = 7, accepted = 0;
	int i;

	for (i = 0; i < 200000; i++) {
		struct regs_write w;
		enum regs_reason reason;

		switch (test_rand_below(&seed, 5)) {
		case 0:
			reason = regs_write_cr0(&now, interesting(&seed, 0xe005003f) |
						(test_rand(&seed) & 0x80000001), &w);
			break;
		case 1:
			reason = regs_write_cr3(&now, interesting(&seed, 0x80000fffffffffffULL),
						&full, &w);
			break;
		case 2:
			reason = regs_write_cr4(&now, interesting(&seed, 0x771fff) |
						(test_rand(&seed) & 0x20), &full, &w);
			break;
		case 3:
			reason = regs_write_efer(&now, interesting(&seed, 0x205d01), full.efer_guest,
						 &w);
			break;
		default:
			/* A far jump: CS.L as long mode allows. */
			now.cs_l = now.efer >> 10 & test_rand(&seed) & 1;
			continue;
		}
		if (reason != REGS_OK)
			continue;
		accepted++;
		test_context("round %d cr0 %#llx cr4 %#llx efer %#llx", i,
			     (unsigned long long)w.next.cr0, (unsigned long long)w.next.cr4,
			     (unsigned long long)w.next.efer);
		CHECK(vmrun_accepts(&w.next, false, 40));
		if (w.next.cr4 >> 17 & 1)
			CHECK(w.next.efer >> 10 & 1);
		if ((w.next.cr4 ^ now.cr4) & 0x20 || (w.next.cr0 ^ now.cr0) & 0x80000000)
			CHECK(w.effects & REGS_FLUSH_TLB);
		now = w.next;
	}
	test_context("%s", "");
	CHECK(accepted > 20000);
}

static void test_special_closure(void)
{
	u64 seed = 11, accepted = 0;
	int i;

	for (i = 0; i < 200000; i++) {
		struct regs_special s = long_sregs();
		struct regs_control c;

		s.cr0 = interesting(&seed, 0xe005003f) | (test_rand(&seed) & 0x80000001);
		s.cr3 = interesting(&seed, 0xffffffffff);
		s.cr4 = interesting(&seed, 0x771fff) | (test_rand(&seed) & 0x20);
		s.efer = interesting(&seed, 0x204901) | (test_rand(&seed) & 1 ? 0x500 : 0);
		s.cs.l = test_rand(&seed) & 1;
		s.cs.db = test_rand(&seed) & 1;
		if (regs_check_special(&s, &full) != REGS_OK)
			continue;
		accepted++;
		c = (struct regs_control){ s.cr0, s.cr3, s.cr4, s.efer, s.cs.l };
		CHECK(vmrun_accepts(&c, s.cs.db, 40));
	}
	CHECK(accepted > 1000);
}

static void test_segments(void)
{
	/* A flat 64-bit code segment, a data segment, a busy TSS: attribute words as in the APM. */
	static const struct {
		struct regs_segment seg;
		u16 vmcb;
		u32 vmx;
	} rows[] = {
		{ { .type = 11, .present = 1, .s = 1, .l = 1, .g = 1 }, 0xa9b, 0xa09b },
		{ { .type = 3, .present = 1, .dpl = 3, .s = 1, .db = 1, .g = 1 }, 0xcf3, 0xc0f3 },
		{ { .type = 11, .present = 1 }, 0x08b, 0x008b },
		{ { .type = 3, .present = 1, .s = 1, .avl = 1 }, 0x193, 0x1093 },
		{ { .unusable = 1 }, 0, 0x10000 },
		{ { .type = 2, .s = 1, .unusable = 1 }, 0x12, 0x10012 },
	};
	struct regs_segment seg;
	unsigned int attrib;

	for_each_row(row, rows) {
		test_context("row %d", (int)(row - rows));
		CHECK_EQ(regs_segment_pack(&row->seg), row->vmcb);
		CHECK_EQ(regs_segment_to_vmx(&row->seg), row->vmx);
		memset(&seg, 0, sizeof(seg));
		regs_segment_unpack(&seg, row->vmcb, REGS_SEG_CS);
		CHECK_MEM_EQ(&seg, &row->seg, sizeof(seg));
		memset(&seg, 0, sizeof(seg));
		regs_segment_from_vmx(&seg, row->vmx);
		CHECK_MEM_EQ(&seg, &row->seg, sizeof(seg));
	}
	for (attrib = 0; attrib < 0x1000; attrib++) {
		test_context("attrib %#x", attrib);
		memset(&seg, 0xff, sizeof(seg));
		regs_segment_unpack(&seg, attrib, REGS_SEG_DS);
		CHECK_EQ(regs_segment_pack(&seg), attrib);
		CHECK_EQ(seg.unusable, !(attrib & 0x80));
		regs_segment_unpack(&seg, attrib, REGS_SEG_TR);
		CHECK_EQ(seg.type & 2, 2);
		regs_segment_unpack(&seg, attrib, REGS_SEG_SS);
		CHECK_EQ(seg.db, attrib >> 10 & attrib >> 7 & 1);
	}
	test_context("%s", "");
	/* User space may call a segment present and unusable at once: unusable wins. */
	seg = (struct regs_segment){ .type = 3, .s = 1, .present = 1, .unusable = 1 };
	CHECK_EQ(regs_segment_pack(&seg), 0x13);
	CHECK_EQ(regs_segment_to_vmx(&seg), 0x10093);
	regs_segment_from_vmx(&seg, 0x10093);
	CHECK(!seg.present && seg.unusable);
	/* VMX has no "not present" for data a processor runs with: it is unusable. */
	seg = (struct regs_segment){ .type = 3, .s = 1 };
	CHECK_EQ(regs_segment_to_vmx(&seg), 0x10013);
}

int main(void)
{
	test_cr0();
	test_cr3_cr4_efer();
	test_small_ones();
	test_watchpoints();
	test_special();
	test_closure();
	test_special_closure();
	test_segments();
	return test_done("regs");
}
