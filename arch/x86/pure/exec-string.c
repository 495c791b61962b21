// SPDX-License-Identifier: GPL-2.0-only
/*
 * Emulator: string instructions and string port I/O.
 *
 * Owns the REP loop: each iteration (for INS and OUTS each run of elements within one page) is
 * committed by itself and answered with EMU_AGAIN, so events can be taken in between and a page
 * fault in a later iteration keeps the earlier ones. Does not own the permission of ports
 * (emu.string_io is the caller's word on it) nor the data of batches, which passes through emu.bulk
 * unseen.
 *
 * Contexts: any. Manual sections: MOVS, CMPS, STOS, LODS, SCAS, INS, OUTS and REP pages.
 */
#include "emu-priv.h"

enum string_phase {
	PH_START,
	PH_SOURCE,		/* the element at rSI has been read */
	PH_DEST,		/* CMPS, SCAS: the element at rDI has been read */
	PH_PROBED,		/* INS: the destination is writable */
	PH_PORT,		/* INS, OUTS: the port transfer has been done */
	PH_STORED,
};

#define REP_ANY (EMU_PFX_REP | EMU_PFX_REPNE)

static u8 element(const struct emu *e)
{
	u8 size = e->insn.op_size;

	return size == 8 && (e->insn.op == OP_INS || e->insn.op == OP_OUTS) ? 4 : size;
}

static u64 address_reg(const struct emu *e, enum emu_gpr reg)
{
	return emu_addr_wrap(e->regs[reg], e->insn.addr_size);
}

static u8 source_seg(const struct emu *e)
{
	return e->insn.seg == EMU_SEG_NONE ? EMU_DS : e->insn.seg;
}

static bool source_linear(struct emu *e, u32 size, gva_t *addr)
{
	return emu_linear(e, source_seg(e), address_reg(e, EMU_RSI), size, 0, addr);
}

static bool dest_linear(struct emu *e, u32 size, unsigned int how, gva_t *addr)
{
	return emu_linear(e, EMU_ES, address_reg(e, EMU_RDI), size, how, addr);
}

/* ---- end of an iteration ---- */

static void advance(struct emu *e, enum emu_gpr reg, u32 elements)
{
	u64 by = (u64)elements * element(e);

	if (e->rflags & FL_DF)
		by = -by;
	emu_gpr_write(e, reg, e->insn.addr_size,
		      emu_addr_wrap(e->regs[reg] + by, e->insn.addr_size));
}

/* REPE goes on while ZF = 1, REPNE while ZF = 0; the other string instructions do not ask. */
static bool condition_ends(const struct emu *e)
{
	bool zf = e->run.rflags & FL_ZF;

	if (e->insn.op != OP_CMPS && e->insn.op != OP_SCAS)
		return false;
	return e->insn.prefixes & EMU_PFX_REP ? !zf : zf;
}

static enum emu_status end_iteration(struct emu *e, u32 elements)
{
	u64 left;

	switch (e->insn.op) {
	case OP_MOVS:
	case OP_CMPS:
		advance(e, EMU_RSI, elements);
		advance(e, EMU_RDI, elements);
		break;
	case OP_LODS:
	case OP_OUTS:
		advance(e, EMU_RSI, elements);
		break;
	default:
		advance(e, EMU_RDI, elements);
	}
	if (!(e->insn.prefixes & REP_ANY))
		return emu_finish(e);
	left = address_reg(e, EMU_RCX) - elements;
	emu_gpr_write(e, EMU_RCX, e->insn.addr_size, left);
	if (!left || condition_ends(e))
		return emu_finish(e);
	e->rflags = e->run.rflags;
	return EMU_AGAIN;
}

static enum emu_status compare(struct emu *e, u64 left)
{
	u8 size = element(e);

	emu_alu(ALU_CMP, size, left, emu_get(e->acc.bytes, size), &e->run.rflags);
	return end_iteration(e, 1);
}

static enum emu_status store(struct emu *e, u64 val)
{
	gva_t addr;

	if (!dest_linear(e, element(e), EMU_LIN_WRITE, &addr))
		return EMU_FAULT;
	emu_put(e->acc.bytes, element(e), val);
	return emu_write(e, addr, element(e), 0, PH_STORED);
}

static enum emu_status read_dest(struct emu *e)
{
	gva_t addr;

	if (!dest_linear(e, element(e), 0, &addr))
		return EMU_FAULT;
	return emu_read(e, addr, element(e), 0, PH_DEST);
}

/* ---- string port I/O ---- */

/*
 * How many elements to move at once from the first one's linear address: as many as the count, the
 * bulk buffer, the page and the offset before it wraps allow; downwards always one.
 */
static u32 batch(const struct emu *e, enum emu_gpr reg, gva_t addr)
{
	u64 room = KEEL_PAGE_SIZE - gva_offset(addr), count = address_reg(e, EMU_RCX);
	u64 to_wrap = emu_addr_wrap(-address_reg(e, reg), e->insn.addr_size);

	if (!(e->insn.prefixes & REP_ANY) || e->rflags & FL_DF || !e->bulk)
		return 1;
	if (room > e->bulk_size)
		room = e->bulk_size;
	if (to_wrap && room > to_wrap)
		room = to_wrap;
	if (count > room / element(e))
		count = room / element(e);
	return count ? count : 1;
}

static void set_port(struct emu *e)
{
	e->io.port = e->regs[EMU_RDX];
	e->io.size = element(e);
	e->io.count = e->run.count;
}

/* Settles address and batch of INS or OUTS and checks them against the segment. */
static bool port_linear(struct emu *e)
{
	bool in = e->insn.op == OP_INS;
	gva_t *addr = &e->run.addr;

	e->run.count = 1;
	if (in ? !dest_linear(e, element(e), EMU_LIN_WRITE, addr) :
		 !source_linear(e, element(e), addr))
		return false;
	e->run.count = batch(e, in ? EMU_RDI : EMU_RSI, *addr);
	/* Past the segment's limit: go up to it one by one. */
	if (in ? !dest_linear(e, e->run.count * element(e), EMU_LIN_WRITE, addr) :
		 !source_linear(e, e->run.count * element(e), addr))
		e->run.count = 1;
	return true;
}

static enum emu_status start_port(struct emu *e)
{
	u32 bytes;
	u8 flags;

	if (!port_linear(e))
		return EMU_FAULT;
	bytes = e->run.count * element(e);
	flags = e->run.count > 1 ? EMU_ACC_BULK : 0;
	if (e->insn.op == OP_OUTS)
		return emu_read(e, e->run.addr, bytes, flags, PH_SOURCE);
	/* What came from a port cannot go back: see that it can be stored first. */
	emu_read(e, e->run.addr, bytes, flags, PH_PROBED);
	return EMU_PROBE;
}

/* ---- one step ---- */

static enum emu_status start(struct emu *e)
{
	gva_t addr;

	/* Even with a count of zero the processor asks for the permission. */
	if ((e->insn.op == OP_INS || e->insn.op == OP_OUTS) && !e->string_io)
		return EMU_UNHANDLED;
	if (e->insn.prefixes & REP_ANY && !address_reg(e, EMU_RCX))
		return emu_finish(e);
	switch (e->insn.op) {
	case OP_STOS:
		return store(e, e->regs[EMU_RAX]);
	case OP_SCAS:
		return read_dest(e);
	case OP_INS:
	case OP_OUTS:
		return start_port(e);
	default:
		if (!source_linear(e, element(e), &addr))
			return EMU_FAULT;
		return emu_read(e, addr, element(e), 0, PH_SOURCE);
	}
}

static enum emu_status after_source(struct emu *e)
{
	u8 size = element(e);
	u64 val;

	if (e->insn.op == OP_OUTS) {
		set_port(e);
		e->run.phase = PH_PORT;
		return EMU_OUT;
	}
	val = emu_get(e->acc.bytes, size);
	switch (e->insn.op) {
	case OP_MOVS:
		return store(e, val);
	case OP_CMPS:
		e->run.val[0] = val;
		return read_dest(e);
	default:		/* LODS */
		emu_gpr_write(e, EMU_RAX, size, val);
		return end_iteration(e, 1);
	}
}

/* The caller may have lowered rCX while it had the transfer: what is too much of it is dropped. */
static enum emu_status after_port(struct emu *e)
{
	u64 left = address_reg(e, EMU_RCX);

	if (e->insn.prefixes & REP_ANY) {
		if (!left)
			return emu_finish(e);
		if (e->run.count > left)
			e->run.count = left;
	}
	if (e->insn.op == OP_OUTS)
		return end_iteration(e, e->run.count);
	return emu_write(e, e->run.addr, e->run.count * element(e), e->acc.flags, PH_STORED);
}

enum emu_status emu_step_string(struct emu *e)
{
	switch (e->run.phase) {
	case PH_START:
		return start(e);
	case PH_SOURCE:
		return after_source(e);
	case PH_DEST:
		return compare(e, e->insn.op == OP_CMPS ? e->run.val[0] : e->regs[EMU_RAX]);
	case PH_PROBED:
		set_port(e);
		e->run.phase = PH_PORT;
		return EMU_IN;
	case PH_PORT:
		return after_port(e);
	default:
		return end_iteration(e, e->insn.op == OP_INS ? e->run.count : 1);
	}
}

void emu_insn_string_io(struct emu_insn *insn, bool in, u8 prefixes, u8 size, u8 addr_size, u8 seg,
			u8 len)
{
	memset(insn, 0, sizeof(*insn));
	insn->len = len;
	insn->map = EMU_MAP_1;
	insn->opcode = (in ? 0x6c : 0x6e) | (size > 1);
	insn->prefixes = prefixes & REP_ANY;
	insn->op_size = size;
	insn->addr_size = addr_size;
	insn->base = EMU_REG_NONE;
	insn->index = EMU_REG_NONE;
	insn->seg = seg;
	insn->op = in ? OP_INS : OP_OUTS;
}
