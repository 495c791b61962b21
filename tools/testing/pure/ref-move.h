/* SPDX-License-Identifier: GPL-2.0-only */
/* Plain moves against the machine: what emu_move_plan() and emu_move_take() do, emu_step() does as well. */
#ifndef KEEL_REF_MOVE_H
#define KEEL_REF_MOVE_H

#include "emu.h"
#include "harness.h"

#define MOVE_RF 0x10000ULL

static bool move_canonical(uint64_t addr)
{
	return addr + (1ULL << 47) < 1ULL << 48;
}

/*
 * Is *from about to make a plain move (*planned), and if so, does the machine make the same? `data` is what
 * memory holds; of it a narrower access gives the low bytes.
 */
static bool move_agrees(const struct emu *from, uint64_t data, bool *planned)
{
	static struct emu e;
	uint64_t regs[EMU_GPR_COUNT];
	struct emu_move move;
	enum emu_status status;

	e = *from;
	memcpy(regs, from->regs, sizeof(regs));
	*planned = emu_move_plan(&e.insn, &e.mode, regs, e.rip, &move);
	if (!*planned)
		return true;
	emu_start(&e);
	status = emu_step(&e);
	/* The caller leaves what crosses a page to the machine, so the plan looks at the first byte only. */
	if (status == EMU_FAULT)
		return move_canonical(gva_raw(move.addr)) &&
		       !move_canonical(gva_raw(move.addr) + move.size - 1);
	if (status != (move.write ? EMU_WRITE : EMU_READ) || e.acc.flags ||
	    gva_raw(e.acc.addr) != gva_raw(move.addr) || e.acc.size != move.size)
		return false;
	if (move.write) {
		uint64_t value = 0;

		memcpy(&value, e.acc.bytes, e.acc.size);
		if (value != move.value)
			return false;
	} else {
		memcpy(e.acc.bytes, &data, e.acc.size);
		move.value = data;
		emu_move_take(&e.insn, &move, regs);
	}
	return emu_step(&e) == EMU_DONE && !memcmp(regs, e.regs, sizeof(regs)) &&
	       e.rip == from->rip + from->insn.len && e.rflags == (from->rflags & ~MOVE_RF);
}

#endif /* KEEL_REF_MOVE_H */
