// SPDX-License-Identifier: GPL-2.0-only
/*
 * Emulator: SSE moves between memory and an XMM register.
 *
 * Owns the short list below. Register-to-register forms and everything else of SSE are not in it:
 * they cannot be what a guest used on a device. Does not own the guest's FPU state: the caller puts
 * the registers into emu.xmm when emu_needs_xmm() and takes back those in emu.xmm_dirty.
 *
 * Contexts: any. Manual sections: MOVUPS, MOVAPS, MOVDQA, MOVDQU, MOVD, MOVQ, MOVNTPS, MOVNTDQ
 * pages.
 */
#include "emu-priv.h"

enum sse_phase {
	PH_START,
	PH_READ,
	PH_WRITTEN,
};

#define XMM_BYTES 16
#define SIZE_GPR 0		/* operand size: 4, or 8 with REX.W */

static const struct sse_move {
	u8 opcode;
	u8 prefix;		/* mandatory prefix, EMU_PFX_*; 0 none */
	u8 size;		/* bytes of memory; the rest of a loaded register is cleared */
	bool store;
	bool aligned;
} sse_moves[] = {
	{ 0x10, 0,		16, false, false },	/* MOVUPS */
	{ 0x11, 0,		16, true,  false },
	{ 0x10, EMU_PFX_66,	16, false, false },	/* MOVUPD */
	{ 0x11, EMU_PFX_66,	16, true,  false },
	{ 0x10, EMU_PFX_REP,	4,  false, false },	/* MOVSS */
	{ 0x11, EMU_PFX_REP,	4,  true,  false },
	{ 0x10, EMU_PFX_REPNE,	8,  false, false },	/* MOVSD */
	{ 0x11, EMU_PFX_REPNE,	8,  true,  false },
	{ 0x28, 0,		16, false, true },	/* MOVAPS */
	{ 0x29, 0,		16, true,  true },
	{ 0x28, EMU_PFX_66,	16, false, true },	/* MOVAPD */
	{ 0x29, EMU_PFX_66,	16, true,  true },
	{ 0x2b, 0,		16, true,  true },	/* MOVNTPS */
	{ 0x2b, EMU_PFX_66,	16, true,  true },	/* MOVNTPD */
	{ 0x6e, EMU_PFX_66,	SIZE_GPR, false, false }, /* MOVD, MOVQ */
	{ 0x7e, EMU_PFX_66,	SIZE_GPR, true,  false },
	{ 0x6f, EMU_PFX_66,	16, false, true },	/* MOVDQA */
	{ 0x7f, EMU_PFX_66,	16, true,  true },
	{ 0x6f, EMU_PFX_REP,	16, false, false },	/* MOVDQU */
	{ 0x7f, EMU_PFX_REP,	16, true,  false },
	{ 0x7e, EMU_PFX_REP,	8,  false, false },	/* MOVQ */
	{ 0xd6, EMU_PFX_66,	8,  true,  false },
	{ 0xe7, EMU_PFX_66,	16, true,  true },	/* MOVNTDQ */
};

static const struct sse_move *find_move(const struct emu_insn *insn)
{
	u8 prefix = insn->prefixes & (EMU_PFX_REP | EMU_PFX_REPNE);
	unsigned int i;

	if (!prefix)	/* F2 and F3 outrank 66 */
		prefix = insn->prefixes & EMU_PFX_66;
	for (i = 0; i < ARRAY_SIZE(sse_moves); i++)
		if (sse_moves[i].opcode == insn->opcode && sse_moves[i].prefix == prefix)
			return &sse_moves[i];
	return NULL;
}

static enum emu_status start(struct emu *e, const struct sse_move *move, u8 size)
{
	unsigned int how = move->store ? EMU_LIN_WRITE : 0;
	gva_t addr;
	bool ok;

	if (e->cr0 & CR0_EM || !(e->cr4 & CR4_OSFXSR))
		return emu_fail(e, EMU_UD);
	if (e->cr0 & CR0_TS)
		return emu_fail(e, EMU_NM);
	/* Misalignment outranks a fault of the segment. */
	ok = emu_linear(e, e->insn.seg, emu_offset(e), size, how, &addr);
	if (move->aligned && gva_raw(addr) & (XMM_BYTES - 1))
		return emu_fail(e, EMU_GP);
	if (!ok)
		return EMU_FAULT;
	if (!move->store)
		return emu_read(e, addr, size, 0, PH_READ);
	memcpy(e->acc.bytes, e->xmm[e->insn.reg & 15], size);
	return emu_write(e, addr, size, 0, PH_WRITTEN);
}

enum emu_status emu_step_sse(struct emu *e)
{
	const struct sse_move *move = find_move(&e->insn);
	u8 size, reg = e->insn.reg & 15;

	if (!move || !emu_insn_modrm_mem(&e->insn))
		return EMU_UNHANDLED;
	size = move->size;
	if (size == SIZE_GPR)
		size = e->insn.rex & 8 ? 8 : 4;
	switch (e->run.phase) {
	case PH_START:
		return start(e, move, size);
	case PH_READ:
		memset(e->xmm[reg], 0, XMM_BYTES);
		memcpy(e->xmm[reg], e->acc.bytes, size);
		e->xmm_dirty |= 1u << reg;
		return emu_finish(e);
	default:
		return emu_finish(e);
	}
}
