// SPDX-License-Identifier: GPL-2.0-only
/*
 * System-management mode: the layout of the state-save area of AMD64 processors, which firmware expects of every
 * virtual CPU, and the state at a handler's first instruction.
 *
 * Owns nothing. Does not decide when an SMI is taken, nor whether what RSM found may be loaded. Any context.
 * AMD APM vol. 2 "System-Management Mode": "SMM State-Save Area", "Exiting SMM".
 */
#include "smm.h"

/* Offsets in the area. */
enum {
	AT_SEGMENTS = 0x000,	/* ES, CS, SS, DS, FS, GS, 16 bytes each */
	AT_GDTR = 0x060,
	AT_LDTR = 0x070,
	AT_IDTR = 0x080,
	AT_TR = 0x090,
	AT_HALT = 0x0c9,	/* auto-halt restart */
	AT_EFER = 0x0d0,
	AT_REVISION = 0x0fc,
	AT_SMBASE = 0x100,
	AT_CR4 = 0x148,
	AT_CR3 = 0x150,
	AT_CR0 = 0x158,
	AT_DR7 = 0x160,
	AT_DR6 = 0x168,
	AT_RFLAGS = 0x170,
	AT_RIP = 0x178,
	AT_R15 = 0x180,		/* down to RAX at 0x1f8 */
};

/* Within a segment's or table's 16 bytes. */
enum { SEG_SELECTOR = 0, SEG_ATTR = 2, SEG_LIMIT = 4, SEG_BASE = 8 };

#define REVISION	0x00020064u	/* the 64-bit layout; SMBASE can be moved */

#define RFLAGS_FIXED	BIT64(1)
#define RFLAGS_KNOWN	(BITS64(21, 16) | BITS64(14, 6) | BIT64(4) | BIT64(2) | BIT64(0))

#define SMM_RIP		0x8000u
#define SMM_CR0_CLEAR	((u64)(REGS_CR0_PE | REGS_CR0_EM | REGS_CR0_TS | REGS_CR0_PG))

static void put(u8 *at, u64 value, unsigned int bytes)
{
	for (; bytes--; value >>= 8)
		*at++ = value;
}

static u64 get(const u8 *at, unsigned int bytes)
{
	u64 value = 0;

	while (bytes--)
		value = value << 8 | at[bytes];
	return value;
}

static void put_segment(u8 *at, const struct regs_segment *seg)
{
	put(at + SEG_SELECTOR, seg->selector, 2);
	put(at + SEG_ATTR, regs_segment_pack(seg), 2);
	put(at + SEG_LIMIT, seg->limit, 4);
	put(at + SEG_BASE, seg->base, 8);
}

static void get_segment(const u8 *at, struct regs_segment *seg, enum regs_segment_id id)
{
	*seg = (struct regs_segment){ };
	regs_segment_unpack(seg, get(at + SEG_ATTR, 2) & 0xfff, id);
	seg->selector = get(at + SEG_SELECTOR, 2);
	seg->limit = get(at + SEG_LIMIT, 4);
	seg->base = get(at + SEG_BASE, 8);
}

static void put_table(u8 *at, const struct regs_dtable *table)
{
	put(at + SEG_LIMIT, table->limit, 2);
	put(at + SEG_BASE, table->base, 8);
}

static void get_table(const u8 *at, struct regs_dtable *table)
{
	*table = (struct regs_dtable){ .limit = get(at + SEG_LIMIT, 2), .base = get(at + SEG_BASE, 8) };
}

void smm_save(const struct smm_cpu *cpu, u8 area[SMM_AREA_SIZE])
{
	const struct regs_special *s = &cpu->special;
	const struct regs_segment *const segments[] = { &s->es, &s->cs, &s->ss, &s->ds, &s->fs, &s->gs };
	unsigned int i;

	memset(area, 0, SMM_AREA_SIZE);
	for (i = 0; i < ARRAY_SIZE(segments); i++)
		put_segment(area + AT_SEGMENTS + 16 * i, segments[i]);
	put_table(area + AT_GDTR, &s->gdt);
	put_segment(area + AT_LDTR, &s->ldt);
	put_table(area + AT_IDTR, &s->idt);
	put_segment(area + AT_TR, &s->tr);
	area[AT_HALT] = cpu->halted;
	put(area + AT_EFER, s->efer, 8);
	put(area + AT_REVISION, REVISION, 4);
	put(area + AT_SMBASE, cpu->smbase, 4);
	put(area + AT_CR4, s->cr4, 8);
	put(area + AT_CR3, s->cr3, 8);
	put(area + AT_CR0, s->cr0, 8);
	put(area + AT_DR7, cpu->dr7, 8);
	put(area + AT_DR6, cpu->dr6, 8);
	put(area + AT_RFLAGS, cpu->rflags, 8);
	put(area + AT_RIP, cpu->rip, 8);
	for (i = 0; i < 16; i++)
		put(area + AT_R15 + 8 * i, cpu->gpr[15 - i], 8);
}

void smm_load(const u8 area[SMM_AREA_SIZE], struct smm_cpu *cpu)
{
	struct regs_special *s = &cpu->special;
	unsigned int i;

	get_segment(area + AT_SEGMENTS, &s->es, REGS_SEG_ES);
	get_segment(area + AT_SEGMENTS + 16, &s->cs, REGS_SEG_CS);
	get_segment(area + AT_SEGMENTS + 32, &s->ss, REGS_SEG_SS);
	get_segment(area + AT_SEGMENTS + 48, &s->ds, REGS_SEG_DS);
	get_segment(area + AT_SEGMENTS + 64, &s->fs, REGS_SEG_FS);
	get_segment(area + AT_SEGMENTS + 80, &s->gs, REGS_SEG_GS);
	get_table(area + AT_GDTR, &s->gdt);
	get_segment(area + AT_LDTR, &s->ldt, REGS_SEG_LDT);
	get_table(area + AT_IDTR, &s->idt);
	get_segment(area + AT_TR, &s->tr, REGS_SEG_TR);
	cpu->halted = area[AT_HALT] & 1;
	s->efer = get(area + AT_EFER, 8);
	cpu->smbase = get(area + AT_SMBASE, 4);
	s->cr4 = get(area + AT_CR4, 8);
	s->cr3 = get(area + AT_CR3, 8);
	s->cr0 = get(area + AT_CR0, 8);
	cpu->dr7 = (get(area + AT_DR7, 4) & REGS_DR7_VOLATILE) | REGS_DR7_FIXED_1;
	cpu->dr6 = (get(area + AT_DR6, 4) & REGS_DR6_VOLATILE) | REGS_DR6_INIT;
	cpu->rflags = (get(area + AT_RFLAGS, 8) & RFLAGS_KNOWN) | RFLAGS_FIXED;
	cpu->rip = get(area + AT_RIP, 8);
	for (i = 0; i < 16; i++)
		cpu->gpr[15 - i] = get(area + AT_R15 + 8 * i, 8);
}

void smm_enter(struct smm_cpu *cpu)
{
	struct regs_special *s = &cpu->special;
	const struct regs_segment flat = { .limit = 0xffffffff, .type = 3, .s = 1, .present = 1, .g = 1 };

	s->cs = s->ds = s->es = s->fs = s->gs = s->ss = flat;
	s->cs.selector = cpu->smbase >> 4;
	s->cs.base = cpu->smbase;
	s->idt = (struct regs_dtable){ };
	s->cr0 &= ~SMM_CR0_CLEAR;
	s->cr4 = 0;
	s->efer = 0;
	cpu->rip = SMM_RIP;
	cpu->rflags = RFLAGS_FIXED;
	cpu->dr7 = REGS_DR7_FIXED_1;
}
