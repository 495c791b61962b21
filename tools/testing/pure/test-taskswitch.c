// SPDX-License-Identifier: GPL-2.0-only
/*
 * Task switch against a small machine: a GDT, an LDT and two tasks in an array of memory. A good
 * switch of each kind is checked field by field; then each row of faults spoils one thing.
 */
#include "harness.h"
#include "taskswitch.h"

/* Linear layout. */
#define GDT 0x1000
#define LDT 0x2000
#define OLD_TSS 0x3000
#define NEW_TSS 0x4000
#define STACK 0x6000

/* Selectors. */
#define S_CODE0 0x08
#define S_DATA0 0x10
#define S_OLD 0x18
#define S_NEW 0x20
#define S_CODE3 0x28
#define S_DATA3 0x30
#define S_LDT 0x38
#define S_CONF 0x40		/* conforming code, DPL 0 */
#define S_XONLY 0x48		/* execute-only code, DPL 0 */
#define S_RO 0x50		/* read-only data, DPL 0 */
#define S_LDATA 0x0c		/* data in the LDT */
#define S_COUNT 11

static uint8_t mem[0x10000];
static struct taskswitch ts;
static unsigned int again;
static uint64_t writes[64];
static unsigned int write_count;
static unsigned int pf_at, accesses;	/* fail the pf_at-th access */

static void put(unsigned int at, unsigned int size, uint32_t v)
{
	memcpy(mem + at, &v, size);
}

static uint32_t get(unsigned int at, unsigned int size)
{
	uint32_t v = 0;

	memcpy(&v, mem + at, size);
	return v;
}

static void put_desc(unsigned int at, uint32_t base, uint32_t limit, uint8_t access, uint8_t flags)
{
	put(at, 2, limit);
	put(at + 2, 2, base);
	mem[at + 4] = base >> 16;
	mem[at + 5] = access;
	mem[at + 6] = (limit >> 16 & 0xf) | flags << 4;
	mem[at + 7] = base >> 24;
}

static void set_tss(unsigned int at, bool big, uint32_t seed)
{
	static const uint16_t sel[6] = { S_DATA0, S_CODE0, S_DATA0, S_LDATA, 0, S_CONF };
	unsigned int i;

	for (i = 0; i < 0x68; i++)
		mem[at + i] = 0xee;
	if (big) {
		put(at + 0x1c, 4, 0x7000);
		put(at + 0x20, 4, 0x123456);
		put(at + 0x24, 4, 0x246);
		for (i = 0; i < 8; i++)
			put(at + 0x28 + 4 * i, 4, seed + i * 0x01010101);
		put(at + 0x38, 4, STACK);
		for (i = 0; i < 6; i++)
			put(at + 0x48 + 4 * i, 4, sel[i]);
		put(at + 0x60, 4, S_LDT);
		put(at + 0x64, 2, 0);
	} else {
		put(at + 0x0e, 2, 0x1234);
		put(at + 0x10, 2, 0x246);
		for (i = 0; i < 8; i++)
			put(at + 0x12 + 2 * i, 2, seed + i);
		put(at + 0x1a, 2, STACK);
		for (i = 0; i < 4; i++)
			put(at + 0x22 + 2 * i, 2, sel[i]);
		put(at + 0x2a, 2, S_LDT);
	}
}

static void set_up(enum ts_reason reason, bool old_big, bool new_big)
{
	static const uint16_t sel[6] = { S_DATA0, S_CODE0, S_DATA0, S_DATA3, 0x33, 0 };
	unsigned int i;

	memset(mem, 0, sizeof(mem));
	put_desc(GDT + S_CODE0, 0, 0xfffff, 0x9b, 0xc);
	put_desc(GDT + S_DATA0, 0, 0xfffff, 0x93, 0xc);
	put_desc(GDT + S_OLD, OLD_TSS, old_big ? 0x67 : 0x2b, old_big ? 0x8b : 0x83, 0);
	put_desc(GDT + S_NEW, NEW_TSS, new_big ? 0x67 : 0x2b,
		 (new_big ? 0x89 : 0x81) | (reason == TS_IRET ? 2 : 0), 0);
	put_desc(GDT + S_CODE3, 0, 0xfffff, 0xfb, 0xc);
	put_desc(GDT + S_DATA3, 0, 0xfffff, 0xf3, 0xc);
	put_desc(GDT + S_LDT, LDT, 0x1f, 0x82, 0);
	put_desc(GDT + S_CONF, 0, 0xfffff, 0x9f, 0xc);
	put_desc(GDT + S_XONLY, 0, 0xfffff, 0x99, 0xc);
	put_desc(GDT + S_RO, 0, 0xfffff, 0x91, 0xc);
	put_desc(LDT + (S_LDATA & ~7), 0x12345678, 0x4321, 0x92, 0x4);	/* not accessed yet */
	set_tss(OLD_TSS, old_big, 0x80);
	set_tss(NEW_TSS, new_big, 0x11);

	memset(&ts, 0, sizeof(ts));
	again = 0;
	write_count = 0;
	accesses = 0;
	pf_at = ~0u;
	ts.reason = reason;
	ts.selector = S_NEW;
	ts.gdt_base = to_gva(GDT);
	ts.gdt_limit = S_COUNT * 8 - 1;
	ts.state.eip = 0xabcdef01;
	ts.state.eflags = 0x4202;
	ts.state.cr0 = 0x80000001;
	ts.state.cr3 = 0x5000;
	ts.state.dr7 = 0x7ff;
	for (i = 0; i < 8; i++)
		ts.state.regs[i] = 0x10203040 + i;
	for (i = 0; i < 6; i++)
		ts.state.seg[i].selector = sel[i];
	ts.state.tr = (struct emu_seg){
		S_OLD, old_big ? 0x8b : 0x83, old_big ? 0x67 : 0x2b, OLD_TSS,
	};
}

/* Runs to the end; a page fault is told as EMU_UNHANDLED, which ts_step() never answers. */
static enum emu_status run(void)
{
	unsigned int steps;

	ts_start(&ts);
	for (steps = 0; steps < 100; steps++) {
		enum emu_status status = ts_step(&ts);
		uint64_t at = gva_raw(ts.acc.addr);

		switch (status) {
		case EMU_AGAIN:
			again++;
			continue;
		case EMU_READ:
		case EMU_WRITE:
		case EMU_PROBE:
			if (accesses++ == pf_at)
				return EMU_UNHANDLED;
			if (!CHECK(ts.acc.size && at + ts.acc.size <= sizeof(mem)) ||
			    !CHECK(status == EMU_PROBE || ts.acc.size <= EMU_ACC_BYTES))
				return EMU_UNHANDLED;
			break;
		default:
			return status;
		}
		if (status == EMU_READ)
			memcpy(ts.acc.bytes, mem + at, ts.acc.size);
		if (status == EMU_WRITE) {
			memcpy(mem + at, ts.acc.bytes, ts.acc.size);
			writes[write_count++ % 64] = at;
		}
	}
	return EMU_UNHANDLED;
}

static void check_new_task(bool big, bool nested)
{
	unsigned int i;

	CHECK_EQ(again, 1);
	CHECK_EQ(ts.state.eip, big ? 0x123456 : 0x1234);
	CHECK_EQ(ts.state.eflags, 0x246 | (nested ? 0x4000 : 0));
	for (i = 0; i < 8; i++)
		if (i != 4)
			CHECK_EQ(ts.state.regs[i], big ? 0x11 + i * 0x01010101 : 0x11 + i);
	CHECK_EQ(ts.state.regs[4], STACK);
	CHECK_EQ(ts.state.cr0, 0x80000009);
	CHECK_EQ(ts.state.cr3, big ? 0x7000 : 0x5000);
	CHECK_EQ(ts.state.dr7, 0x7ff & ~0x155);
	CHECK_EQ(ts.cpl, 0);
	CHECK_EQ(ts.state.tr.selector, S_NEW);
	CHECK_EQ(ts.state.tr.base, NEW_TSS);
	CHECK_EQ(ts.state.tr.limit, big ? 0x67 : 0x2b);
	CHECK_EQ(ts.state.tr.attr, big ? 0x8b : 0x83);
	CHECK_EQ(ts.state.ldtr.base, LDT);
	CHECK_EQ(ts.state.ldtr.limit, 0x1f);
	CHECK_EQ(ts.state.ldtr.attr, 0x82);
	CHECK_EQ(ts.state.seg[EMU_CS].selector, S_CODE0);
	CHECK_EQ(ts.state.seg[EMU_CS].attr, 0xc9b);
	CHECK_EQ(ts.state.seg[EMU_CS].limit, 0xffffffff);
	CHECK_EQ(ts.state.seg[EMU_DS].base, 0x12345678);
	CHECK_EQ(ts.state.seg[EMU_DS].limit, 0x4321);
	CHECK_EQ(ts.state.seg[EMU_DS].attr, 0x493);
	CHECK_EQ(mem[LDT + 8 + 5], 0x93);		/* accessed bit written back */
	CHECK_EQ(ts.state.seg[EMU_FS].attr, 0);
	CHECK_EQ(ts.state.seg[EMU_GS].selector, big ? S_CONF : 0);
	CHECK_EQ(mem[GDT + S_NEW + 5], big ? 0x8b : 0x83);
	CHECK(!ts.debug_trap);
}

static void check_old_task(bool big, bool stays_busy, bool iret)
{
	uint32_t flags = iret ? 0x202 : 0x4202;
	unsigned int i, size = big ? 4 : 2, at = OLD_TSS + (big ? 0x20 : 0x0e);

	CHECK_EQ(get(at, size), big ? 0xabcdef01 : 0xef01);
	CHECK_EQ(get(at + size, size), flags);
	for (i = 0; i < 8; i++)
		CHECK_EQ(get(at + (2 + i) * size, size), big ? 0x10203040 + i : 0x3040 + i);
	CHECK_EQ(get(at + 10 * size, size), S_DATA0);
	CHECK_EQ(get(at + 11 * size, size), S_CODE0);
	CHECK_EQ(get(at + 13 * size, size), S_DATA3);
	if (big)
		CHECK_EQ(get(at + 14 * size, size), 0x33);
	else
		CHECK_EQ(get(OLD_TSS + 0x2a, 2), S_LDT);	/* static fields are not written */
	if (big)
		CHECK_EQ(get(OLD_TSS + 0x1c, 4), 0x7000);
	CHECK_EQ(mem[GDT + S_OLD + 5], (big ? 0x89 : 0x81) | (stays_busy ? 2 : 0));
}

static void test_good(void)
{
	unsigned int reason, form;

	for (reason = TS_CALL; reason <= TS_GATE; reason++) {
		for (form = 0; form < 4; form++) {
			bool old_big = form & 1, new_big = form & 2;
			bool nested = reason == TS_CALL || reason == TS_GATE;

			test_context("reason %u, forms %u", reason, form);
			set_up(reason, old_big, new_big);
			if (!CHECK_EQ(run(), EMU_DONE))
				continue;
			check_new_task(new_big, nested);
			check_old_task(old_big, nested, reason == TS_IRET);
			CHECK_EQ(get(NEW_TSS, 2), nested ? S_OLD : 0xeeee);
		}
	}
	test_context("%s", "");
}

static void test_special(void)
{
	/* Paging off: CR3 stays; the T bit; an error code on a 32-bit stack. */
	set_up(TS_GATE, true, true);
	ts.state.cr0 = 1;
	ts.has_error = true;
	ts.error = 0xdead;
	put(NEW_TSS + 0x64, 2, 1);
	CHECK_EQ(run(), EMU_DONE);
	CHECK_EQ(ts.state.cr3, 0x5000);
	CHECK(ts.debug_trap);
	CHECK_EQ(ts.state.regs[4], STACK - 4);
	CHECK_EQ(get(STACK - 4, 4), 0xdead);
	CHECK_EQ(ts.acc.flags, 0);

	/* A 16-bit stack segment wraps at 64 KiB and keeps the upper half; 286 pushes a word. */
	set_up(TS_GATE, true, true);
	put_desc(GDT + S_DATA0, 0, 0xffff, 0x93, 0);
	put(NEW_TSS + 0x38, 4, 0xbbbb0000);
	ts.has_error = true;
	CHECK_EQ(run(), EMU_DONE);
	CHECK_EQ(ts.state.regs[4], 0xbbbbfffc);
	set_up(TS_GATE, false, false);
	ts.has_error = true;
	ts.error = 0x1234;
	CHECK_EQ(run(), EMU_DONE);
	CHECK_EQ(ts.state.regs[4], STACK - 2);
	CHECK_EQ(get(STACK - 2, 2), 0x1234);

	/* An expand-down stack: valid above its limit. */
	set_up(TS_GATE, true, true);
	put_desc(GDT + S_DATA0, 0, 0x5fff, 0x97, 0x4);
	put(NEW_TSS + 0x38, 4, 0x7000);
	ts.has_error = true;
	CHECK_EQ(run(), EMU_DONE);
	set_up(TS_GATE, true, true);
	put_desc(GDT + S_DATA0, 0, 0x5fff, 0x97, 0x4);
	ts.has_error = true;
	CHECK_EQ(run(), EMU_FAULT);
	CHECK_EQ(ts.fault.vector, EMU_SSF);
	CHECK_EQ(ts.state.regs[4], STACK);

	/* Into virtual-8086 mode; out of ring 3; without an LDT. */
	set_up(TS_IRET, true, true);
	put(NEW_TSS + 0x24, 4, 0x20202);
	put(NEW_TSS + 0x20, 4, 0x1000);
	put(NEW_TSS + 0x4c, 4, 0xf123);
	put(NEW_TSS + 0x60, 4, 0);
	CHECK_EQ(run(), EMU_DONE);
	CHECK_EQ(ts.cpl, 3);
	CHECK_EQ(ts.state.seg[EMU_CS].base, 0xf1230);
	CHECK_EQ(ts.state.seg[EMU_CS].limit, 0xffff);
	CHECK_EQ(ts.state.seg[EMU_GS].attr, 0xf3);
	CHECK_EQ(ts.state.ldtr.attr, 0);
	set_up(TS_JMP, true, true);
	put(NEW_TSS + 0x48, 4, S_DATA3 | 3);
	put(NEW_TSS + 0x4c, 4, S_CODE3 | 3);
	put(NEW_TSS + 0x50, 4, S_DATA3 | 3);
	put(NEW_TSS + 0x54, 4, S_CONF | 3);
	CHECK_EQ(run(), EMU_DONE);
	CHECK_EQ(ts.cpl, 3);

	/* TSS accesses are the supervisor's. */
	set_up(TS_JMP, true, true);
	ts_start(&ts);
	CHECK_EQ(ts_step(&ts), EMU_READ);
	CHECK_EQ(ts.acc.flags, EMU_ACC_SYSTEM);
	CHECK_EQ(gva_raw(ts.acc.addr), GDT + S_NEW);
}

/* Each row spoils one byte range, and says what comes of it. */
struct bad {
	enum ts_reason reason;
	unsigned int at, size;
	uint32_t val;
	uint8_t vector;
	uint16_t error;
	bool committed;
};

static const struct bad bads[] = {
	/* the TSS descriptor */
	{ TS_JMP, GDT + S_NEW + 5, 1, 0x8b, EMU_GP, S_NEW },
	{ TS_CALL, GDT + S_NEW + 5, 1, 0x83, EMU_GP, S_NEW },
	{ TS_IRET, GDT + S_NEW + 5, 1, 0x89, EMU_TS, S_NEW },
	{ TS_GATE, GDT + S_NEW + 5, 1, 0x9b, EMU_GP, S_NEW },
	{ TS_JMP, GDT + S_NEW + 5, 1, 0x82, EMU_GP, S_NEW },
	{ TS_JMP, GDT + S_NEW + 5, 1, 0x09, EMU_NP, S_NEW },
	{ TS_JMP, GDT + S_NEW, 2, 0x66, EMU_TS, S_NEW },
	{ TS_JMP, GDT + S_NEW + 5, 1, 0x89, 0, 0 },
	/* LDT */
	{ TS_JMP, NEW_TSS + 0x60, 2, S_LDT | 4, EMU_TS, S_LDT | 4, true },
	{ TS_JMP, NEW_TSS + 0x60, 2, 0x100, EMU_TS, 0x100, true },
	{ TS_JMP, NEW_TSS + 0x60, 2, S_DATA0, EMU_TS, S_DATA0, true },
	{ TS_JMP, GDT + S_LDT + 5, 1, 0x02, EMU_TS, S_LDT, true },
	/* CS */
	{ TS_JMP, NEW_TSS + 0x4c, 2, 0, EMU_TS, 0, true },
	{ TS_JMP, NEW_TSS + 0x4c, 2, 0x200, EMU_TS, 0x200, true },
	{ TS_JMP, NEW_TSS + 0x4c, 2, S_DATA0, EMU_TS, S_DATA0, true },
	{ TS_JMP, NEW_TSS + 0x4c, 2, S_CODE3, EMU_TS, S_CODE3, true },
	{ TS_JMP, NEW_TSS + 0x4c, 2, S_OLD, EMU_TS, S_OLD, true },
	{ TS_JMP, NEW_TSS + 0x4c, 2, S_CONF, 0, 0 },
	{ TS_JMP, GDT + S_CODE0 + 5, 1, 0xff, EMU_TS, S_CODE0, true },	/* conforming, DPL > RPL */
	{ TS_JMP, GDT + S_CODE0 + 5, 1, 0x1b, EMU_NP, S_CODE0, true },
	{ TS_JMP, GDT + S_CODE0 + 6, 1, 0x40, EMU_GP, 0, true },	/* EIP past the limit */
	/* SS */
	{ TS_JMP, NEW_TSS + 0x50, 2, 0, EMU_TS, 0, true },
	{ TS_JMP, NEW_TSS + 0x50, 2, S_DATA3 | 3, EMU_TS, S_DATA3, true },
	{ TS_JMP, NEW_TSS + 0x50, 2, S_DATA0 | 3, EMU_TS, S_DATA0, true },
	{ TS_JMP, NEW_TSS + 0x50, 2, S_RO, EMU_TS, S_RO, true },
	{ TS_JMP, NEW_TSS + 0x50, 2, S_CODE0, EMU_TS, S_CODE0, true },
	{ TS_JMP, GDT + S_DATA0 + 5, 1, 0x13, EMU_SSF, S_DATA0, true },
	/* data segments */
	{ TS_JMP, NEW_TSS + 0x54, 2, S_XONLY, EMU_TS, S_XONLY, true },
	{ TS_JMP, NEW_TSS + 0x54, 2, S_DATA0 | 3, EMU_TS, S_DATA0, true },
	{ TS_JMP, NEW_TSS + 0x54, 2, S_LDT, EMU_TS, S_LDT, true },
	{ TS_JMP, NEW_TSS + 0x54, 2, 0x24, EMU_TS, 0x24, true },
	{ TS_JMP, LDT + 8 + 5, 1, 0x12, EMU_NP, S_LDATA, true },
	{ TS_JMP, NEW_TSS + 0x54, 2, S_RO, 0, 0 },
};

static void test_faults(void)
{
	struct ts_state before;

	for_each_row(row, bads) {
		test_context("row %d", (int)(row - bads));
		set_up(row->reason, true, true);
		put(row->at, row->size, row->val);
		before = ts.state;
		if (!row->vector) {
			CHECK_EQ(run(), EMU_DONE);
			continue;
		}
		CHECK_EQ(run(), EMU_FAULT);
		CHECK_EQ(ts.fault.vector, row->vector);
		CHECK_EQ(ts.fault.error, row->error);
		CHECK(ts.fault.has_error);
		CHECK_EQ(again, row->committed);
		if (!row->committed) {
			CHECK(!memcmp(&before, &ts.state, sizeof(before)));
			CHECK_EQ(write_count, 0);
		}
	}
	test_context("%s", "");

	set_up(TS_JMP, true, true);
	ts.selector = 0x22;		/* RPL is no part of the error code */
	put(GDT + S_NEW + 5, 1, 0x09);
	ts.external = true;
	CHECK_EQ(run(), EMU_FAULT);
	CHECK_EQ(ts.fault.error, S_NEW | 1);
	set_up(TS_JMP, true, true);
	ts.selector = S_NEW | 4;
	CHECK_EQ(run(), EMU_FAULT);
	CHECK_EQ(ts.fault.vector, EMU_GP);
	set_up(TS_IRET, true, true);
	ts.selector = S_COUNT * 8;
	CHECK_EQ(run(), EMU_FAULT);
	CHECK_EQ(ts.fault.vector, EMU_TS);
	set_up(TS_CALL, true, true);
	ts.selector = 3;
	CHECK_EQ(run(), EMU_FAULT);
	CHECK_EQ(ts.fault.error, 0);

	/* Privilege, when the caller wants it held. */
	set_up(TS_JMP, true, true);
	ts.cpl = 3;
	CHECK_EQ(run(), EMU_DONE);
	set_up(TS_JMP, true, true);
	ts.cpl = 3;
	ts.check_dpl = true;
	CHECK_EQ(run(), EMU_FAULT);
	CHECK_EQ(ts.fault.vector, EMU_GP);
	set_up(TS_JMP, true, true);
	ts.selector |= 1;
	ts.check_dpl = true;
	CHECK_EQ(run(), EMU_FAULT);

	/* An old TSS that cannot hold the state. */
	set_up(TS_JMP, true, true);
	ts.state.tr.limit = 0x66;
	CHECK_EQ(run(), EMU_FAULT);
	CHECK_EQ(ts.fault.vector, EMU_TS);
	CHECK_EQ(ts.fault.error, S_OLD);

	/* The stack has no room for the error code. */
	set_up(TS_GATE, true, true);
	put(NEW_TSS + 0x38, 4, 2);
	ts.has_error = true;
	put_desc(GDT + S_DATA0, 0, 0xfff0, 0x93, 0x4);
	CHECK_EQ(run(), EMU_FAULT);
	CHECK_EQ(ts.fault.vector, EMU_SSF);
	CHECK_EQ(ts.fault.error, 0);
}

/* A page fault at any access before the commit leaves the old state; none loops. */
static void test_page_faults(void)
{
	struct ts_state before;
	unsigned int n;

	for (n = 0; n < 60; n++) {
		test_context("access %u", n);
		set_up(TS_CALL, true, true);
		ts.has_error = true;
		before = ts.state;
		pf_at = n;
		if (run() == EMU_DONE)
			break;
		CHECK_EQ(accesses, n + 1);
		CHECK(again || !memcmp(&before, &ts.state, sizeof(before)));
		if (accesses < 5)	/* descriptor, probe, three blocks: nothing is written */
			CHECK_EQ(write_count, 0);
	}
	CHECK(n > 10 && n < 60);
	test_context("%s", "");
}

int main(void)
{
	test_good();
	test_special();
	test_faults();
	test_page_faults();
	return test_done("taskswitch");
}
