// SPDX-License-Identifier: GPL-2.0-only
/*
 * Emulator: integer instructions with a ModRM or moffs operand, and PUSH and POP of such an
 * operand.
 *
 * Owns which operand is read and written, in what order, and the result of each operation; flags
 * come from exec-alu.c. One pipeline serves all: read the memory operand if the operation wants it,
 * compute, write it back if the operation does, commit. A locked read-modify-write ends in
 * EMU_CMPXCHG; when that is lost, nothing has happened and the instruction starts over.
 *
 * Contexts: any. Manual sections: the instruction pages of both vendors.
 */
#include "emu-priv.h"

enum int_phase {
	PH_START,
	PH_READ,		/* the memory operand is in acc.bytes */
	PH_WRITTEN,
	PH_POPPED,		/* the stack word is in acc.bytes */
};

static u8 digit(const struct emu_insn *insn)
{
	return insn->modrm >> 3 & 7;
}

static bool has_memory(const struct emu_insn *insn)
{
	return insn->form == FORM_AO || insn->form == FORM_OA || emu_insn_modrm_mem(insn);
}

/* Is the memory (or E) operand the source? */
static bool is_source(const struct emu_insn *insn)
{
	return insn->form == FORM_GE || insn->form == FORM_AO;
}

static enum emu_alu_fn alu_fn(const struct emu_insn *insn)
{
	return insn->form == FORM_EI ? digit(insn) : insn->opcode >> 3 & 7;
}

static enum emu_bt_fn bt_fn(const struct emu_insn *insn)
{
	return (insn->form == FORM_EI ? digit(insn) : insn->opcode >> 3) & 3;
}

/* Bytes of the E operand. */
static u8 operand_size(const struct emu_insn *insn)
{
	switch (insn->op) {
	case OP_MOVZX:
	case OP_MOVSX:
		return insn->opcode & 1 ? 2 : 1;
	case OP_MOVSXD:
		return insn->op_size == 2 ? 2 : 4;
	case OP_MOV_SREG:
		return emu_insn_modrm_mem(insn) ? 2 : insn->op_size;
	case OP_CMPXCHG8B:
		return insn->op_size == 8 ? 16 : 8;
	default:
		return insn->op_size;
	}
}

static bool reads_memory(const struct emu_insn *insn)
{
	if (is_source(insn))
		return true;
	return insn->op != OP_MOV && insn->op != OP_MOVBE && insn->op != OP_SETCC &&
	       insn->op != OP_MOV_SREG;
}

static bool writes_memory(const struct emu_insn *insn)
{
	if (is_source(insn) || insn->op == OP_TEST)
		return false;
	if (insn->op == OP_ALU)
		return alu_fn(insn) != ALU_CMP;
	if (insn->op == OP_BT)
		return bt_fn(insn) != BT_TEST;
	return true;
}

static bool is_locked(const struct emu_insn *insn)
{
	return insn->prefixes & EMU_PFX_LOCK || insn->op == OP_XCHG;
}

static u64 byte_swap(u64 v, u8 size)
{
	u64 r = 0;
	u8 i;

	for (i = 0; i < size; i++)
		r = r << 8 | (v >> (8 * i) & 0xff);
	return r;
}

/* A bit number in a register reaches beyond a memory operand: to the word that holds the bit. */
static u64 bit_offset(const struct emu *e, u64 off)
{
	const struct emu_insn *insn = &e->insn;
	s64 bit = emu_sext(emu_gpr_read(e, insn->reg, insn->op_size), insn->op_size);

	return emu_addr_wrap(off + ((bit >> 3) & ~(s64)(insn->op_size - 1)), insn->addr_size);
}

/* ---- results ---- */

/* CMPXCHG8B and CMPXCHG16B: the only operand wider than a register. */
static enum emu_status compute_wide(struct emu *e)
{
	u8 half = e->insn.op_size == 8 ? 8 : 4;
	u64 lo = e->run.val[0], hi = e->run.val[1];

	if (lo == emu_gpr_read(e, EMU_RAX, half) && hi == emu_gpr_read(e, EMU_RDX, half)) {
		e->run.rflags |= FL_ZF;
		lo = e->regs[EMU_RBX];
		hi = e->regs[EMU_RCX];
	} else {
		e->run.rflags &= ~FL_ZF;
		emu_gpr_later(e, EMU_RAX, half, lo);
		emu_gpr_later(e, EMU_RDX, half, hi);
	}
	memcpy(e->acc.expected, e->acc.bytes, EMU_CMPXCHG_BYTES);
	emu_put(e->acc.bytes, half, lo);
	emu_put(e->acc.bytes + half, half, hi);
	return emu_write(e, e->run.addr, 2 * half, e->acc.flags & EMU_ACC_LOCKED, PH_WRITTEN);
}

static u64 source(const struct emu *e, u64 operand)
{
	const struct emu_insn *insn = &e->insn;

	switch (insn->form) {
	case FORM_EG:
		return emu_gpr_read(e, insn->reg, insn->op_size);
	case FORM_EI:
		return insn->imm;
	case FORM_E1:
		return 1;
	case FORM_ECL:
		return e->regs[EMU_RCX];
	case FORM_OA:
		return emu_gpr_read(e, EMU_RAX, insn->op_size);
	default:
		return operand;
	}
}

/* Result for the destination; a second register result is noted on the way. */
static u64 compute(struct emu *e, u64 operand)
{
	const struct emu_insn *insn = &e->insn;
	u64 src = source(e, operand), dst = operand, *rflags = &e->run.rflags;
	u8 size = insn->op_size;

	if (insn->form == FORM_GE)
		dst = emu_gpr_read(e, insn->reg, size);
	switch (insn->op) {
	case OP_MOVSX:
	case OP_MOVSXD:
		return emu_sext(src, operand_size(insn));
	case OP_MOVBE:
		return byte_swap(src, size);
	case OP_MOV_SREG:
		return e->seg[digit(insn) % EMU_SEG_COUNT].selector;
	case OP_ALU:
		return emu_alu(alu_fn(insn), size, dst, src, rflags);
	case OP_TEST:
		return emu_alu(ALU_AND, size, dst, src, rflags);
	case OP_NOT:
		return emu_zext(~dst, size);
	case OP_NEG:
		return emu_alu(ALU_SUB, size, 0, dst, rflags);
	case OP_INC:
	case OP_DEC:
		return emu_incdec(insn->op == OP_DEC, size, dst, rflags);
	case OP_SHIFT:
		return emu_shift(digit(insn), size, dst, src, rflags);
	case OP_BT:
		return emu_bit(bt_fn(insn), size, dst, src, rflags);
	case OP_SETCC:
		return emu_condition(insn->opcode & 0xf, *rflags);
	case OP_XCHG:
		emu_gpr_later(e, insn->reg, size, dst);
		return src;
	case OP_XADD:
		emu_gpr_later(e, insn->reg, size, dst);
		return emu_alu(ALU_ADD, size, dst, src, rflags);
	case OP_CMPXCHG:
		emu_alu(ALU_CMP, size, emu_gpr_read(e, EMU_RAX, size), dst, rflags);
		if (*rflags & FL_ZF)
			return src;
		emu_gpr_later(e, EMU_RAX, size, dst);
		return dst;
	default:		/* MOV, MOVZX */
		return src;
	}
}

static enum emu_status execute(struct emu *e, u64 operand)
{
	const struct emu_insn *insn = &e->insn;
	u64 result = compute(e, operand);
	u8 size = operand_size(insn);

	if (is_source(insn)) {
		if (insn->op != OP_ALU || alu_fn(insn) != ALU_CMP)
			emu_gpr_later(e, insn->form == FORM_AO ? EMU_RAX : insn->reg,
				      insn->op_size, result);
		return emu_finish(e);
	}
	if (!writes_memory(insn))
		return emu_finish(e);
	if (!has_memory(insn)) {
		/* A failed CMPXCHG writes memory back, but leaves a register's upper half alone. */
		if (insn->op == OP_CMPXCHG && !(e->run.rflags & FL_ZF))
			return emu_finish(e);
		emu_gpr_later(e, insn->rm, size, result);
		return emu_finish(e);
	}
	if (reads_memory(insn))
		memcpy(e->acc.expected, e->acc.bytes, EMU_CMPXCHG_BYTES);
	emu_put(e->acc.bytes, size, result);
	return emu_write(e, e->run.addr, size, is_locked(insn) ? EMU_ACC_LOCKED : 0, PH_WRITTEN);
}

/* ---- pipeline ---- */

static enum emu_status start(struct emu *e)
{
	const struct emu_insn *insn = &e->insn;
	u8 size = operand_size(insn), flags = 0;
	unsigned int how = 0;
	u64 off;

	if (!has_memory(insn))
		return execute(e, emu_gpr_read(e, insn->rm, size));
	off = emu_offset(e);
	if (insn->op == OP_BT && insn->form == FORM_EG)
		off = bit_offset(e, off);
	if (writes_memory(insn)) {
		how = EMU_LIN_WRITE;
		flags = EMU_ACC_WRITE_INTENT | (is_locked(insn) ? EMU_ACC_LOCKED : 0);
	}
	if (!emu_linear(e, insn->seg, off, size, how, &e->run.addr))
		return EMU_FAULT;
	if (size == 16 && gva_raw(e->run.addr) & 15)
		return emu_fail(e, EMU_GP);
	if (reads_memory(insn))
		return emu_read(e, e->run.addr, size, flags, PH_READ);
	return execute(e, 0);
}

enum emu_status emu_step_int(struct emu *e)
{
	u8 size = operand_size(&e->insn);

	switch (e->run.phase) {
	case PH_START:
		return start(e);
	case PH_READ:
		if (e->insn.op != OP_CMPXCHG8B)
			return execute(e, emu_get(e->acc.bytes, size));
		e->run.val[0] = emu_get(e->acc.bytes, size / 2);
		e->run.val[1] = emu_get(e->acc.bytes + size / 2, size / 2);
		return compute_wide(e);
	default:
		if (e->acc.flags & EMU_ACC_LOCKED && e->acc.lost)
			return EMU_AGAIN;
		return emu_finish(e);
	}
}

/* ---- PUSH and POP ---- */

static u8 stack_size(const struct emu *e)
{
	if (e->mode.cpu == EMU_CPU_LONG)
		return 8;
	return e->mode.cpu != EMU_CPU_VM86 && e->seg[EMU_SS].attr & EMU_SEG_DB ? 4 : 2;
}

/* Moves the stack pointer by `by` within its size; answers the whole new rSP. */
static u64 stack_moved(const struct emu *e, s64 by)
{
	u64 mask = emu_zext(~0ULL, stack_size(e)), sp = e->regs[EMU_RSP];

	return (sp & ~mask) | ((sp + by) & mask);
}

static enum emu_status push_value(struct emu *e, u64 val)
{
	u8 size = e->insn.op_size;
	u64 sp = stack_moved(e, -(s64)size);
	gva_t addr;

	if (!emu_linear(e, EMU_SS, emu_addr_wrap(sp, stack_size(e)), size, EMU_LIN_WRITE, &addr))
		return EMU_FAULT;
	emu_gpr_later(e, EMU_RSP, 8, sp);
	emu_put(e->acc.bytes, size, val);
	return emu_write(e, addr, size, 0, PH_WRITTEN);
}

static enum emu_status pop_value(struct emu *e, u64 val)
{
	const struct emu_insn *insn = &e->insn;
	u64 sp = stack_moved(e, insn->op_size), off;
	gva_t addr;

	emu_gpr_later(e, EMU_RSP, 8, sp);
	if (!emu_insn_modrm_mem(insn)) {
		emu_gpr_later(e, insn->rm, insn->op_size, val);
		return emu_finish(e);
	}
	/* An address that names rSP sees it already moved. */
	off = emu_offset(e);
	if (insn->base == EMU_RSP)
		off = emu_addr_wrap(off + sp - e->regs[EMU_RSP], insn->addr_size);
	if (!emu_linear(e, insn->seg, off, insn->op_size, EMU_LIN_WRITE, &addr))
		return EMU_FAULT;
	emu_put(e->acc.bytes, insn->op_size, val);
	return emu_write(e, addr, insn->op_size, 0, PH_WRITTEN);
}

enum emu_status emu_step_stack(struct emu *e)
{
	const struct emu_insn *insn = &e->insn;
	bool pop = insn->op == OP_POP;
	gva_t addr;
	u64 off;
	u8 seg;

	switch (e->run.phase) {
	case PH_START:
		if (!pop && !emu_insn_modrm_mem(insn))
			return push_value(e, emu_gpr_read(e, insn->rm, insn->op_size));
		off = pop ? emu_addr_wrap(e->regs[EMU_RSP], stack_size(e)) : emu_offset(e);
		seg = pop ? EMU_SS : insn->seg;
		if (!emu_linear(e, seg, off, insn->op_size, 0, &addr))
			return EMU_FAULT;
		return emu_read(e, addr, insn->op_size, 0, pop ? PH_POPPED : PH_READ);
	case PH_READ:
		return push_value(e, emu_get(e->acc.bytes, insn->op_size));
	case PH_POPPED:
		return pop_value(e, emu_get(e->acc.bytes, insn->op_size));
	default:
		return emu_finish(e);
	}
}
