// SPDX-License-Identifier: GPL-2.0-only
/* The state-save area against the offsets of AMD's manual, and the state of a handler's first instruction. */
#include "smm.h"
#include "harness.h"

static struct smm_cpu cpu_like(u64 seed)
{
	struct smm_cpu cpu = { 0 };
	struct regs_special *s = &cpu.special;
	struct regs_segment *seg[] = { &s->es, &s->cs, &s->ss, &s->ds, &s->fs, &s->gs, &s->ldt, &s->tr };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(seg); i++)
		*seg[i] = (struct regs_segment){
			.selector = 0x100 + 8 * i, .base = seed << 8 | i, .limit = 0xfffff + i, .type = i == 7 ? 11 : i == 6 ? 2 : 3,
			.s = i < 6, .present = 1, .g = 1, .db = i != 2,
		};
	s->gdt = (struct regs_dtable){ .base = seed + 1, .limit = 0x7f };
	s->idt = (struct regs_dtable){ .base = seed + 2, .limit = 0xfff };
	s->cr0 = 0x80050033;
	s->cr2 = 0x1234;
	s->cr3 = 0x1000;
	s->cr4 = 0x6f0;
	s->cr8 = 3;
	s->efer = 0xd01;
	s->apic_base = 0xfee00900;
	for (i = 0; i < 16; i++)
		cpu.gpr[i] = seed * (i + 3);
	cpu.rip = seed + 0x1000;
	cpu.rflags = 0x246;
	cpu.dr6 = 0xffff0ff1;
	cpu.dr7 = 0x402;
	cpu.smbase = 0x30000;
	return cpu;
}

static void test_layout(void)
{
	struct smm_cpu cpu = cpu_like(0xfeedfacecafe);
	u8 area[SMM_AREA_SIZE];
	static const struct {
		u16 offset;
		u8 bytes;
		u64 value;
	} rows[] = {
		{ 0x000, 2, 0x100 }, { 0x010, 2, 0x108 }, { 0x020, 2, 0x110 }, { 0x030, 2, 0x118 },
		{ 0x040, 2, 0x120 }, { 0x050, 2, 0x128 }, { 0x070, 2, 0x130 }, { 0x090, 2, 0x138 },
		{ 0x012, 2, 0xc93 }, { 0x014, 4, 0x100000 }, { 0x018, 8, 0xfeedfacecafe01 }, { 0x092, 2, 0xc8b },
		{ 0x064, 2, 0x7f }, { 0x068, 8, 0xfeedfacecaff }, { 0x084, 2, 0xfff }, { 0x088, 8, 0xfeedfacecb00 },
		{ 0x0c9, 1, 0 }, { 0x0d0, 8, 0xd01 }, { 0x0fc, 4, 0x20064 }, { 0x100, 4, 0x30000 },
		{ 0x148, 8, 0x6f0 }, { 0x150, 8, 0x1000 }, { 0x158, 8, 0x80050033 }, { 0x160, 8, 0x402 },
		{ 0x168, 8, 0xffff0ff1 }, { 0x170, 8, 0x246 }, { 0x178, 8, 0xfeedfacedafe },
		{ 0x180, 8, 0xfeedfacecafeULL * 18 },	/* R15 */
		{ 0x1b8, 8, 0xfeedfacecafeULL * 11 },	/* R8 */
		{ 0x1c0, 8, 0xfeedfacecafeULL * 10 },	/* RDI */
		{ 0x1c8, 8, 0xfeedfacecafeULL * 9 }, { 0x1d0, 8, 0xfeedfacecafeULL * 8 },
		{ 0x1d8, 8, 0xfeedfacecafeULL * 7 }, { 0x1e0, 8, 0xfeedfacecafeULL * 6 },
		{ 0x1e8, 8, 0xfeedfacecafeULL * 5 }, { 0x1f0, 8, 0xfeedfacecafeULL * 4 },
		{ 0x1f8, 8, 0xfeedfacecafeULL * 3 },	/* RAX */
	};

	smm_save(&cpu, area);
	for_each_row(row, rows) {
		u64 value = 0;

		test_context("offset %#x", row->offset);
		memcpy(&value, area + row->offset, row->bytes);
		CHECK_EQ(value, row->value);
	}
	test_context("%s", "");
	cpu.halted = true;
	smm_save(&cpu, area);
	CHECK_EQ(area[0xc9], 1);
}

static void test_back(void)
{
	struct smm_cpu cpu = cpu_like(0x12345), back = cpu_like(0x777), again;
	u8 area[SMM_AREA_SIZE], second[SMM_AREA_SIZE];

	cpu.halted = true;
	cpu.smbase = 0xa0000;
	back.special.cr2 = 5;
	back.special.cr8 = 6;
	back.special.apic_base = 7;
	smm_save(&cpu, area);
	smm_load(area, &back);
	CHECK_MEM_EQ(back.gpr, cpu.gpr, sizeof(cpu.gpr));
	CHECK_EQ(back.rip, cpu.rip);
	CHECK_EQ(back.rflags, cpu.rflags);
	CHECK_EQ(back.dr6, cpu.dr6);
	CHECK_EQ(back.dr7, cpu.dr7);
	CHECK_EQ(back.smbase, 0xa0000);
	CHECK(back.halted);
	CHECK_EQ(back.special.efer, cpu.special.efer);
	CHECK_EQ(back.special.cr0, cpu.special.cr0);
	CHECK_EQ(back.special.cs.base, cpu.special.cs.base);
	CHECK_EQ(back.special.tr.type, 11);
	/* Not the area's. */
	CHECK_EQ(back.special.cr2, 5);
	CHECK_EQ(back.special.cr8, 6);
	CHECK_EQ(back.special.apic_base, 7);
	smm_save(&back, second);
	CHECK_MEM_EQ(second, area, sizeof(area));

	/* Whatever is in the area, some registers come out as a CPU can hold them. */
	memset(area, 0xff, sizeof(area));
	smm_load(area, &again);
	CHECK_EQ(again.rflags, 0x3f7fd7);
	CHECK_EQ(again.dr6, 0xffffeff0 | 0xf);
	CHECK_EQ(again.dr7, 0xffff27ff);
	CHECK_EQ(again.smbase, 0xffffffff);
	memset(area, 0, sizeof(area));
	smm_load(area, &again);
	CHECK_EQ(again.rflags, 2);
	CHECK_EQ(again.dr6, 0xffff0ff0);
	CHECK_EQ(again.dr7, 0x400);
	CHECK(again.special.ds.unusable || !again.special.ds.present);
}

static void test_enter(void)
{
	struct smm_cpu cpu = cpu_like(0x5555), was = cpu;

	cpu.smbase = 0x12345678;
	smm_enter(&cpu);
	CHECK_EQ(cpu.rip, 0x8000);
	CHECK_EQ(cpu.rflags, 2);
	CHECK_EQ(cpu.dr7, 0x400);
	CHECK_EQ(cpu.special.cs.base, 0x12345678);
	CHECK_EQ(cpu.special.cs.selector, 0x4567);
	CHECK_EQ(cpu.special.ss.base, 0);
	CHECK_EQ(cpu.special.gs.limit, 0xffffffff);
	CHECK_EQ(cpu.special.cr0, 0x50032);
	CHECK_EQ(cpu.special.cr4, 0);
	CHECK_EQ(cpu.special.efer, 0);
	CHECK_EQ(cpu.special.idt.limit, 0);
	CHECK_MEM_EQ(&cpu.special.gdt, &was.special.gdt, sizeof(was.special.gdt));
	CHECK_MEM_EQ(&cpu.special.tr, &was.special.tr, sizeof(was.special.tr));
	CHECK_MEM_EQ(cpu.gpr, was.gpr, sizeof(was.gpr));
}

int main(void)
{
	test_layout();
	test_back();
	test_enter();
	return test_done("smm");
}
