// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instruction decoder: from bytes to struct emu_insn.
 *
 * Owns prefixes, ModRM, SIB, displacement, immediates, sizes, lengths and the validity that follows
 * from the encoding and the mode. Does not own feature bits and privilege (an instruction the CPU
 * lacks decodes all the same) nor the opcode tables (optab.c).
 *
 * Bytes are taken through a cursor that answers zeroes past its end and remembers it was cut; the
 * one check at the end of emu_decode() then overrules whatever was concluded from those zeroes.
 * Zero is no prefix, so every loop ends.
 *
 * Contexts: any. Manual sections: "Instruction Format" (Intel volume 2, chapter 2), "Instruction
 * Encoding" (AMD volume 3, chapter 1).
 */
#include "emu-priv.h"

struct cursor {
	const u8 *bytes;
	unsigned int pos, end;
	bool cut;
};

static inline u8 take_byte(struct cursor *c)
{
	if (unlikely(c->pos >= c->end)) {
		c->cut = true;
		return 0;
	}
	return c->bytes[c->pos++];
}

static __always_inline u64 take(struct cursor *c, u8 size)
{
	u64 v = 0;
	u8 i;

	for (i = 0; i < size; i++)
		v |= (u64)take_byte(c) << (8 * i);
	return v;
}

static __always_inline s64 take_signed(struct cursor *c, u8 size)
{
	unsigned int spare = 64 - 8 * size;

	return size ? (s64)(take(c, size) << spare) >> spare : 0;
}

/* ---- prefixes ---- */

static const u8 rep_prefix[2] = { EMU_PFX_REPNE, EMU_PFX_REP };

/* Legacy prefixes and REX; answers the first byte that is neither. */
static __always_inline u8 take_prefixes(struct emu_insn *insn, struct cursor *c, bool is_long)
{
	u8 byte;

	for (;;) {
		byte = take_byte(c);
		if (is_long && (byte & 0xf0) == 0x40) {
			insn->rex = byte;
			continue;
		}
		if (!(emu_optab_1[byte] & OT_PFX))
			return byte;
		insn->rex = 0;	/* REX counts only right before the opcode */
		switch (byte) {
		case 0xf0:
			insn->prefixes |= EMU_PFX_LOCK;
			break;
		case 0xf2:
		case 0xf3:
			insn->prefixes &= ~(EMU_PFX_REPNE | EMU_PFX_REP);
			insn->prefixes |= rep_prefix[byte & 1];
			break;
		case 0x66:
			insn->prefixes |= EMU_PFX_66;
			break;
		case 0x67:
			insn->prefixes |= EMU_PFX_67;
			break;
		case 0x64:
		case 0x65:
			insn->prefixes |= EMU_PFX_SEG;
			insn->seg = byte - 0x64 + EMU_FS;
			break;
		default:	/* 26 2e 36 3e */
			if (is_long)
				break;
			insn->prefixes |= EMU_PFX_SEG;
			insn->seg = byte >> 3 & 3;
		}
	}
}

/* ---- ModRM ---- */

static const u8 base_16[8] = {
	EMU_RBX, EMU_RBX, EMU_RBP, EMU_RBP, EMU_RSI, EMU_RDI, EMU_RBP, EMU_RBX,
};

static const u8 index_16[8] = {
	EMU_RSI, EMU_RDI, EMU_RSI, EMU_RDI,
	EMU_REG_NONE, EMU_REG_NONE, EMU_REG_NONE, EMU_REG_NONE,
};

static __always_inline void take_mem_16(struct emu_insn *insn, struct cursor *c, u8 mod, u8 rm)
{
	insn->base = base_16[rm];
	insn->index = index_16[rm];
	if (mod == 0 && rm == 6) {
		insn->base = EMU_REG_NONE;
		mod = 2;
	}
	if (mod)
		insn->disp = take_signed(c, mod);
}

static __always_inline void take_mem(struct emu_insn *insn, struct cursor *c, u8 mod, u8 rm, bool is_long)
{
	u8 sib, base = rm;

	if (rm == 4) {
		sib = take_byte(c);
		insn->scale = sib >> 6;
		insn->index = (sib >> 3 & 7) | (insn->rex & 2) << 2;
		if (insn->index == 4)
			insn->index = EMU_REG_NONE;
		base = sib & 7;
	}
	insn->base = base | (insn->rex & 1) << 3;
	if (mod == 0 && base == 5) {
		insn->base = rm == 5 && is_long ? EMU_REG_RIP : EMU_REG_NONE;
		mod = 2;
	}
	if (mod)
		insn->disp = take_signed(c, mod == 1 ? 1 : 4);
}

static __always_inline void take_modrm(struct emu_insn *insn, struct cursor *c, bool is_long, u8 mod_or)
{
	u8 modrm = take_byte(c) | mod_or, mod = modrm >> 6, rm = modrm & 7;

	insn->has_modrm = true;
	insn->modrm = modrm;
	insn->reg = (modrm >> 3 & 7) | (insn->rex & 4) << 1;
	insn->rm = rm | (insn->rex & 1) << 3;
	if (mod == 3)
		return;
	if (insn->addr_size == 2)
		take_mem_16(insn, c, mod, rm);
	else
		take_mem(insn, c, mod, rm, is_long);
	if (insn->seg == EMU_SEG_NONE)
		insn->seg = insn->base == EMU_RBP || insn->base == EMU_RSP ? EMU_SS : EMU_DS;
}

/* ---- immediates ---- */

static __always_inline void take_imm(struct emu_insn *insn, struct cursor *c, enum emu_imm kind)
{
	unsigned int start = c->pos;
	u8 z = insn->op_size == 2 ? 2 : 4;

	switch (kind) {
	case IMM_NONE:
		return;
	case IMM_B:
		insn->imm = take_signed(c, 1);
		break;
	case IMM_W:
		insn->imm = take_signed(c, 2);
		break;
	case IMM_Z:
		insn->imm = take_signed(c, z);
		break;
	case IMM_V:
		insn->imm = take_signed(c, insn->op_size);
		break;
	case IMM_MOFFS:
		insn->disp = take(c, insn->addr_size);
		if (insn->seg == EMU_SEG_NONE)
			insn->seg = EMU_DS;
		return;
	case IMM_FAR:
		insn->imm = take_signed(c, z);
		insn->imm2 = take(c, 2);
		break;
	case IMM_WB:
		insn->imm = take_signed(c, 2);
		insn->imm2 = take_byte(c);
		break;
	case IMM_BB:
		insn->imm = take_signed(c, 1);
		insn->imm2 = take_byte(c);
		break;
	}
	insn->imm_len = c->pos - start;
}

/* ---- VEX, EVEX, XOP ---- */

/*
 * Is the byte after C4, C5, 62 or 8F that of a vector prefix, not of the old instruction's ModRM?
 */
static bool is_vector(const struct emu_mode *mode, u8 opcode, u8 next)
{
	if (opcode == 0x8f)
		return (next & 0x1f) >= 8;
	return mode->cpu == EMU_CPU_LONG || next >= 0xc0;
}

static bool vex_map1_has_imm(u8 opcode)
{
	return (opcode & 0xfc) == 0x70 || opcode == 0xc2 || (opcode >= 0xc4 && opcode <= 0xc6);
}

/* Opcode maps by number, as a bit mask, for which each vector prefix exists. */
#define VEX_MAPS	(1u << 1 | 1u << 2 | 1u << 3)
#define EVEX_MAPS	(VEX_MAPS | 1u << 5 | 1u << 6)
#define XOP_MAPS	(1u << 8 | 1u << 9 | 1u << 10)

static __always_inline enum emu_decode_status take_vector(struct emu_insn *insn, struct cursor *c,
					  const struct emu_mode *mode, u8 escape)
{
	bool is_long = mode->cpu == EMU_CPU_LONG;
	u8 p0 = take_byte(c), p1, map = 1, rex = 0x40 | (~p0 >> 5 & 4);
	u32 maps = VEX_MAPS;
	enum emu_imm imm = IMM_NONE;

	if (mode->cpu == EMU_CPU_REAL || mode->cpu == EMU_CPU_VM86 || insn->rex ||
	    insn->prefixes & (EMU_PFX_LOCK | EMU_PFX_66 | EMU_PFX_REP | EMU_PFX_REPNE))
		return EMU_DECODE_UD;
	if (escape != 0xc5) {
		p1 = take_byte(c);
		map = p0 & 0x1f;
		rex = 0x40 | (~p0 >> 5 & 7) | (p1 >> 4 & 8);
	}
	if (escape == 0x8f)
		maps = XOP_MAPS;
	if (escape == 0x62) {
		maps = EVEX_MAPS;
		map = p0 & 0x0f;	/* bit 4 is the fifth bit of the register */
		if (!(p1 & 0x04))
			return EMU_DECODE_UD;
		take_byte(c);
	}
	if (!(maps >> map & 1))
		return EMU_DECODE_UD;
	insn->map = EMU_MAP_VEX;
	insn->opcode = take_byte(c);
	insn->rex = is_long ? rex : 0;
	if (map == 1 && insn->opcode == 0x77)	/* VZEROUPPER, VZEROALL */
		return escape == 0x62 ? EMU_DECODE_UD : EMU_DECODED;
	take_modrm(insn, c, is_long, 0);
	if (map == 3 || map == 8 || (map == 1 && vex_map1_has_imm(insn->opcode)))
		imm = IMM_B;
	if (map == 10) {
		imm = IMM_Z;
		insn->op_size = 4;
	}
	take_imm(insn, c, imm);
	return EMU_DECODED;
}

/* ---- the whole ---- */

static inline u8 operand_size(const struct emu_insn *insn, const struct emu_mode *mode, u64 ot)
{
	bool pfx = insn->prefixes & EMU_PFX_66;

	if (mode->cpu != EMU_CPU_LONG) {
		if (ot & OT_CRDR)
			return 4;
		return (mode->bits == 32) != pfx ? 4 : 2;
	}
	if (insn->rex & 8)
		return 8;
	if (ot & (OT_CRDR | OT_NB64) && (ot & OT_CRDR || mode->intel))
		return 8;
	if (pfx)
		return 2;
	return ot & (OT_D64 | OT_NB64) ? 8 : 4;
}

static inline u8 address_size(const struct emu_insn *insn, const struct emu_mode *mode)
{
	bool pfx = insn->prefixes & EMU_PFX_67;

	if (mode->cpu == EMU_CPU_LONG)
		return pfx ? 4 : 8;
	return (mode->bits == 32) != pfx ? 4 : 2;
}

/* LOCK in front of what the table does not allow it for. */
static enum emu_decode_status check_lock(struct emu_insn *insn, const struct emu_mode *mode, u64 ot)
{
	if (ot & OT_LOCK && emu_insn_modrm_mem(insn))
		return EMU_DECODED;
	if (ot & OT_CRDR && !(insn->opcode & 1) && !mode->intel && insn->reg == 0) {
		insn->reg = 8;	/* AMD: LOCK MOV CR0 names CR8 where there is no REX */
		return EMU_DECODED;
	}
	return EMU_DECODE_UD;
}

/* What the row, the mode and a LOCK prefix forbid. */
#define OT_CONDITIONS (OT_UD | OT_I64 | OT_PROT | OT_MEM)

static noinline enum emu_decode_status check_conditions(struct emu_insn *insn, const struct emu_mode *mode,
							u64 ot)
{
	if (ot & OT_UD || (ot & OT_I64 && mode->cpu == EMU_CPU_LONG))
		return EMU_DECODE_UD;
	if (ot & OT_PROT && (mode->cpu == EMU_CPU_REAL || mode->cpu == EMU_CPU_VM86))
		return EMU_DECODE_UD;
	if (ot & OT_MEM && !emu_insn_modrm_mem(insn))
		return EMU_DECODE_UD;
	return insn->prefixes & EMU_PFX_LOCK ? check_lock(insn, mode, ot) : EMU_DECODED;
}

/* OT_FIX: rows that depend on more than map, opcode and /digit. */
static noinline u64 fix_row(struct emu_insn *insn, const struct emu_mode *mode, u64 ot)
{
	unsigned int key = emu_insn_key(insn);

	if (key == EMU_KEY(EMU_MAP_1, 0x63) && mode->cpu == EMU_CPU_LONG)
		return ot & ~OT_PROT;
	if (key == EMU_KEY(EMU_MAP_1, 0x63))	/* ARPL */
		return ot & ~OT_OP(0xff);
	if (key == EMU_KEY(EMU_MAP_0F, 0x78) && insn->prefixes & (EMU_PFX_66 | EMU_PFX_REPNE))
		return ot | OT_IMM(IMM_BB);	/* EXTRQ, INSERTQ */
	if (key == EMU_KEY(EMU_MAP_0F, 0xb8) && !(insn->prefixes & EMU_PFX_REP))
		return ot | OT_UD;		/* only POPCNT */
	if (ot & OT_N16 && insn->prefixes & (EMU_PFX_66 | EMU_PFX_REP | EMU_PFX_REPNE))
		return ot | OT_UD;		/* MOVNTI takes no such prefix */
	if (insn->map == EMU_MAP_0F38) {
		if (insn->prefixes & EMU_PFX_REPNE)	/* CRC32 */
			return (ot & ~OT_OP(0xff)) | (insn->opcode & 1 ? 0 : OT_BYTE);
		return ot | OT_MEM;		/* MOVBE */
	}
	return ot;
}

/* After 0F: the opcode and its row. */
static __always_inline u64 take_escaped(struct emu_insn *insn, struct cursor *c)
{
	insn->opcode = take_byte(c);
	if (insn->opcode == 0x38) {
		insn->map = EMU_MAP_0F38;
		insn->opcode = take_byte(c);
		return emu_optab_0f38(insn->opcode);
	}
	if (insn->opcode == 0x3a) {
		insn->map = EMU_MAP_0F3A;
		insn->opcode = take_byte(c);
		return emu_optab_0f3a(insn->opcode);
	}
	insn->map = EMU_MAP_0F;
	return emu_optab_0f[insn->opcode];
}

static __always_inline enum emu_decode_status decode(struct emu_insn *insn, struct cursor *c, const struct emu_mode *mode)
{
	bool is_long = mode->cpu == EMU_CPU_LONG;
	u8 first = take_prefixes(insn, c, is_long);
	u64 ot = emu_optab_1[first];

	insn->addr_size = address_size(insn, mode);
	if (unlikely(ot & OT_VEC)) {
		u8 next = take_byte(c);

		if (c->cut)
			return EMU_DECODE_MORE;
		c->pos--;
		if (is_vector(mode, first, next))
			return take_vector(insn, c, mode, first);
	}
	insn->opcode = first;
	if (first == 0x0f)
		ot = take_escaped(insn, c);
	if (ot & OT_MODRM) {
		/* MOV CR and DR ignore mod: no memory operand hides behind it. */
		take_modrm(insn, c, is_long, ot & OT_CRDR ? 0xc0 : 0);
		if (OT_GET_GRP(ot))
			ot |= emu_optab_grp[OT_GET_GRP(ot)][insn->modrm >> 3 & 7];
	}
	if (unlikely(ot & OT_FIX))
		ot = fix_row(insn, mode, ot);
	insn->op_size = operand_size(insn, mode, ot);
	if (unlikely(ot & OT_N16 && insn->op_size == 2))
		insn->op_size = 4;
	if (OT_GET_IMM(ot) != IMM_NONE)
		take_imm(insn, c, OT_GET_IMM(ot));
	if (ot & OT_BYTE)
		insn->op_size = 1;
	insn->op = OT_GET_OP(ot);
	insn->form = OT_GET_FORM(ot);
	if (unlikely(ot & OT_CONDITIONS || insn->prefixes & EMU_PFX_LOCK))
		return check_conditions(insn, mode, ot);
	return EMU_DECODED;
}

enum emu_decode_status emu_decode(struct emu_insn *insn, const u8 *bytes, unsigned int avail,
				  const struct emu_mode *mode)
{
	struct cursor c = {
		.bytes = bytes,
		.end = avail < EMU_INSN_MAX ? avail : EMU_INSN_MAX,
	};
	enum emu_decode_status status;

	*insn = (struct emu_insn){
		.base = EMU_REG_NONE,
		.index = EMU_REG_NONE,
		.seg = EMU_SEG_NONE,
	};
	/* CPUID, RDMSR, WRMSR, RDTSC and their like: two bytes and nothing to look for. */
	if (avail >= 2 && bytes[0] == 0x0f && !emu_optab_0f[bytes[1]]) {
		insn->len = 2;
		insn->map = EMU_MAP_0F;
		insn->opcode = bytes[1];
		insn->op_size = operand_size(insn, mode, 0);
		insn->addr_size = address_size(insn, mode);
		return EMU_DECODED;
	}
	status = decode(insn, &c, mode);
	if (unlikely(c.cut))
		return avail >= EMU_INSN_MAX ? EMU_DECODE_GP : EMU_DECODE_MORE;
	insn->len = c.pos;
	return status;
}
