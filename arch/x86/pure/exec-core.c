// SPDX-License-Identifier: GPL-2.0-only
/*
 * Emulator machinery: entry points, registers, effective addresses, segmentation, commit.
 *
 * Owns when registers change: the noted writes, RFLAGS and RIP reach struct emu in emu_finish()
 * and, for string iterations, in exec-string.c; nowhere else. Does not own paging, alignment checks
 * or the permission of port accesses: effects carry what the caller needs for them.
 *
 * Contexts: any. Manual sections: "Segment Protection" and "Limit Checking" (Intel volume 3),
 * "Segment-Limit Checks", "Canonical Address Form" (AMD volume 2).
 */
#include "emu-priv.h"

/* ---- numbers and registers ---- */

u64 emu_get(const u8 *bytes, u8 size)
{
	u64 v = 0;
	u8 i;

	for (i = 0; i < size; i++)
		v |= (u64)bytes[i] << (8 * i);
	return v;
}

void emu_put(u8 *bytes, u8 size, u64 val)
{
	u8 i;

	for (i = 0; i < size; i++)
		bytes[i] = val >> (8 * i);
}

static bool is_high_byte(const struct emu_insn *insn, u8 reg, u8 size)
{
	return size == 1 && !insn->rex && reg >= 4;
}

static inline u64 gpr_read(const struct emu_insn *insn, const u64 *regs, u8 reg, u8 size)
{
	if (is_high_byte(insn, reg, size))
		return regs[reg & 3] >> 8 & 0xff;
	return emu_zext(regs[reg & 15], size);
}

static inline void gpr_write(const struct emu_insn *insn, u64 *regs, u8 reg, u8 size, u64 val)
{
	u64 *to = &regs[reg & 15], mask;

	if (is_high_byte(insn, reg, size)) {
		to = &regs[reg & 3];
		*to = (*to & ~0xff00ULL) | (val & 0xff) << 8;
		return;
	}
	/* A 32-bit result clears the upper half, shorter ones leave it alone. */
	mask = size == 4 ? ~0ULL : ~0ULL >> (64 - 8 * size);
	*to = (*to & ~mask) | emu_zext(val, size);
}

u64 emu_gpr_read(const struct emu *e, u8 reg, u8 size)
{
	return gpr_read(&e->insn, e->regs, reg, size);
}

void emu_gpr_write(struct emu *e, u8 reg, u8 size, u64 val)
{
	gpr_write(&e->insn, e->regs, reg, size, val);
}

void emu_gpr_later(struct emu *e, u8 reg, u8 size, u64 val)
{
	u8 slot = e->run.reg[0] != EMU_REG_NONE;

	e->run.reg[slot] = reg;
	e->run.reg_size[slot] = size;
	e->run.reg_val[slot] = val;
}

/* ---- addresses ---- */

u64 emu_addr_wrap(u64 v, u8 size)
{
	return emu_zext(v, size);
}

static inline u64 offset_of(const struct emu_insn *insn, const u64 *regs, u64 rip)
{
	u64 off = insn->disp;

	if (insn->base == EMU_REG_RIP)
		off += rip + insn->len;
	else if (insn->base != EMU_REG_NONE)
		off += regs[insn->base & 15];
	if (insn->index != EMU_REG_NONE)
		off += regs[insn->index & 15] << insn->scale;
	return insn->addr_size == 8 ? off : emu_zext(off, insn->addr_size);
}

u64 emu_offset(const struct emu *e)
{
	return offset_of(&e->insn, e->regs, e->rip);
}

static bool is_canonical(const struct emu *e, u64 addr)
{
	unsigned int spare = e->cr4 & CR4_LA57 ? 7 : 16;

	return (u64)((s64)(addr << spare) >> spare) == addr;
}

static bool long_linear(const struct emu *e, u8 seg, u64 off, u32 size, u64 *addr)
{
	*addr = off;
	if (seg == EMU_FS || seg == EMU_GS)
		*addr += e->seg[seg].base;
	return is_canonical(e, *addr) && is_canonical(e, *addr + size - 1);
}

/*
 * Type of a code or data segment: bit 3 code, bit 2 expand-down (data), bit 1 writable or readable.
 */
static bool type_allows(const struct emu_seg *seg, unsigned int how)
{
	bool code = seg->attr & 0x8, wr = seg->attr & 0x2;

	if (!(seg->attr & EMU_SEG_P) || !(seg->attr & EMU_SEG_S))
		return false;
	return how & EMU_LIN_WRITE ? wr && !code : wr || !code;
}

static bool in_limit(const struct emu_seg *seg, u64 off, u32 size, bool expand_down)
{
	u64 last = off + size - 1;

	if (!expand_down)
		return last <= seg->limit;
	return off > seg->limit && last <= (seg->attr & EMU_SEG_DB ? 0xffffffff : 0xffff);
}

static bool legacy_linear(const struct emu *e, u8 seg, u64 off, u32 size, unsigned int how,
			  u64 *addr)
{
	const struct emu_seg *s = &e->seg[seg];
	bool prot = e->mode.cpu == EMU_CPU_PROT;

	*addr = (u32)(s->base + off);
	if (prot && !type_allows(s, how))
		return false;
	return in_limit(s, off, size, prot && (s->attr & 0xc) == 0x4);
}

bool emu_linear(struct emu *e, u8 seg, u64 off, u32 size, unsigned int how, gva_t *addr)
{
	u64 raw;
	bool ok;

	if (seg >= EMU_SEG_COUNT)
		seg = EMU_DS;
	if (e->mode.cpu == EMU_CPU_LONG)
		ok = long_linear(e, seg, off, size, &raw);
	else
		ok = legacy_linear(e, seg, off, size, how, &raw);
	*addr = to_gva(raw);
	if (!ok)
		emu_fail(e, seg == EMU_SS ? EMU_SSF : EMU_GP);
	return ok;
}

/* ---- effects ---- */

/* Every fault of the closed list that has an error code has the code zero. */
enum emu_status emu_fail(struct emu *e, u8 vector)
{
	e->fault.vector = vector;
	e->fault.error = 0;
	e->fault.has_error = (vector == EMU_GP || vector == EMU_SSF) && e->mode.cpu != EMU_CPU_REAL;
	return EMU_FAULT;
}

enum emu_status emu_read(struct emu *e, gva_t addr, u32 size, u8 flags, u8 phase)
{
	e->acc.addr = addr;
	e->acc.size = size;
	e->acc.flags = flags;
	e->run.phase = phase;
	return EMU_READ;
}

enum emu_status emu_write(struct emu *e, gva_t addr, u32 size, u8 flags, u8 phase)
{
	emu_read(e, addr, size, flags, phase);
	e->acc.lost = false;
	return flags & EMU_ACC_LOCKED ? EMU_CMPXCHG : EMU_WRITE;
}

enum emu_status emu_finish(struct emu *e)
{
	u64 next = e->rip + e->insn.len;
	u8 i;

	for (i = 0; i < 2; i++)
		if (e->run.reg[i] != EMU_REG_NONE)
			emu_gpr_write(e, e->run.reg[i], e->run.reg_size[i], e->run.reg_val[i]);
	e->rflags = e->run.rflags & ~FL_RF;
	e->rip = e->mode.cpu == EMU_CPU_LONG ? next : (u32)next;
	return EMU_DONE;
}

/* ---- plain moves ---- */

bool emu_move_plan(const struct emu_insn *insn, const struct emu_mode *mode, const u64 *regs, u64 rip,
		   struct emu_move *move)
{
	u8 size = insn->op_size;
	u64 addr;

	if (!emu_insn_modrm_mem(insn) || mode->cpu != EMU_CPU_LONG || insn->seg == EMU_FS || insn->seg == EMU_GS)
		return false;
	if (unlikely(insn->op != OP_MOV)) {
		if (insn->op != OP_MOVZX)
			return false;
		size = insn->opcode & 1 ? 2 : 1;
	}
	move->write = insn->form != FORM_GE;
	if (insn->form == FORM_EG)
		move->value = gpr_read(insn, regs, insn->reg, size);
	else if (insn->form == FORM_EI)
		move->value = emu_zext(insn->imm, size);
	else if (insn->form != FORM_GE)
		return false;
	addr = offset_of(insn, regs, rip);
	/* The narrower of the two widths of a linear address is canonical in both. */
	if ((u64)((s64)(addr << 16) >> 16) != addr)
		return false;
	move->addr = to_gva(addr);
	move->size = size;
	return true;
}

void emu_move_part(const struct emu_insn *insn, u64 value, u64 *regs)
{
	gpr_write(insn, regs, insn->reg, insn->op_size, value);
}

/* ---- entry points ---- */

void emu_start(struct emu *e)
{
	memset(&e->run, 0, sizeof(e->run));
	e->run.reg[0] = EMU_REG_NONE;
	e->run.reg[1] = EMU_REG_NONE;
	e->run.rflags = e->rflags;
	e->acc.flags = 0;
}

enum emu_status emu_step(struct emu *e)
{
	enum emu_status status;

	switch (e->insn.op) {
	case OP_NONE:
		status = EMU_UNHANDLED;
		break;
	case OP_PUSH:
	case OP_POP:
		status = emu_step_stack(e);
		break;
	case OP_MOVS:
	case OP_CMPS:
	case OP_STOS:
	case OP_LODS:
	case OP_SCAS:
	case OP_INS:
	case OP_OUTS:
		status = emu_step_string(e);
		break;
	case OP_SSE:
		status = emu_step_sse(e);
		break;
	default:
		status = emu_step_int(e);
	}
	switch (status) {
	case EMU_DONE:
	case EMU_AGAIN:
	case EMU_FAULT:
	case EMU_UNHANDLED:
		emu_start(e);
		break;
	default:
		break;
	}
	return status;
}

bool emu_needs_xmm(const struct emu_insn *insn)
{
	return insn->op == OP_SSE;
}

bool emu_needs_segments(const struct emu_mode *mode, const struct emu_insn *insn)
{
	return mode->cpu != EMU_CPU_LONG || insn->seg == EMU_FS || insn->seg == EMU_GS ||
	       insn->op == OP_MOV_SREG;
}
