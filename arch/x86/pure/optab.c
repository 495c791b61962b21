// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opcode tables: what the decoder must know of each opcode (ModRM, immediate, sizes, validity) and
 * which operation and operand form of the closed list it is. Data only; decode.c gives it meaning.
 *
 * VEX, EVEX and XOP have no table: their shape is regular and decode.c knows it.
 *
 * Manual sections: "Opcode Map" (Intel volume 2, appendix A), "Opcode and Operand Encodings" (AMD
 * volume 3, appendix A).
 */
#include "emu-priv.h"

#define M	OT_MODRM
#define B	OT_BYTE
#define I64	OT_I64
#define D64	OT_D64
#define NB	OT_NB64
#define UD	OT_UD
#define PFX	OT_PFX
#define LK	OT_LOCK
#define MEM	OT_MEM
#define PROT	OT_PROT
#define IB	OT_IMM(IMM_B)
#define IW	OT_IMM(IMM_W)
#define IZ	OT_IMM(IMM_Z)
#define IV	OT_IMM(IMM_V)
#define MOFFS	OT_IMM(IMM_MOFFS)
#define FAR	OT_IMM(IMM_FAR)
#define G(n)	OT_GRP(GRP_##n)
#define OP(op)	OT_OP(OP_##op)
#define OPF(op, form) (OT_OP(OP_##op) | OT_FORM(FORM_##form))

/* The first six opcodes of an ALU block; `lk` is 0 for CMP, which never writes. */
#define ALU_BLOCK(first, lk)                                                                       \
	[(first) + 0] = M | B | (lk) | OPF(ALU, EG),                                               \
	[(first) + 1] = M | (lk) | OPF(ALU, EG),                                                   \
	[(first) + 2] = M | B | OPF(ALU, GE),                                                      \
	[(first) + 3] = M | OPF(ALU, GE),                                                          \
	[(first) + 4] = B | IB,                                                                    \
	[(first) + 5] = IZ

const u64 emu_optab_1[256] = {
	ALU_BLOCK(0x00, LK), [0x06 ... 0x07] = I64,
	ALU_BLOCK(0x08, LK), [0x0e] = I64, [0x0f] = 0,
	ALU_BLOCK(0x10, LK), [0x16 ... 0x17] = I64,
	ALU_BLOCK(0x18, LK), [0x1e ... 0x1f] = I64,
	ALU_BLOCK(0x20, LK), [0x26] = PFX, [0x27] = I64,
	ALU_BLOCK(0x28, LK), [0x2e] = PFX, [0x2f] = I64,
	ALU_BLOCK(0x30, LK), [0x36] = PFX, [0x37] = I64,
	ALU_BLOCK(0x38, 0), [0x3e] = PFX, [0x3f] = I64,
	[0x50 ... 0x5f] = D64,
	[0x60 ... 0x61] = I64,
	[0x62] = M | MEM | I64 | OT_VEC,
	[0x63] = M | PROT | OT_FIX | OPF(MOVSXD, GE),
	[0x64 ... 0x67] = PFX,
	[0x68] = IZ | D64,
	[0x69] = M | IZ,
	[0x6a] = IB | D64,
	[0x6b] = M | IB,
	[0x6c] = B | OP(INS), [0x6d] = OP(INS),
	[0x6e] = B | OP(OUTS), [0x6f] = OP(OUTS),
	[0x70 ... 0x7f] = IB | NB,
	[0x80] = M | B | IB | G(1) | OPF(ALU, EI),
	[0x81] = M | IZ | G(1) | OPF(ALU, EI),
	[0x82] = M | B | IB | I64 | G(1) | OPF(ALU, EI),
	[0x83] = M | IB | G(1) | OPF(ALU, EI),
	[0x84] = M | B | OPF(TEST, EG), [0x85] = M | OPF(TEST, EG),
	[0x86] = M | B | LK | OPF(XCHG, EG), [0x87] = M | LK | OPF(XCHG, EG),
	[0x88] = M | B | OPF(MOV, EG), [0x89] = M | OPF(MOV, EG),
	[0x8a] = M | B | OPF(MOV, GE), [0x8b] = M | OPF(MOV, GE),
	[0x8c] = M | G(8C) | OPF(MOV_SREG, E),
	[0x8d] = M | MEM,
	[0x8e] = M | G(8E),
	[0x8f] = M | D64 | OT_VEC | G(1A) | OPF(POP, E),
	[0x9a] = FAR | I64,
	[0x9c ... 0x9d] = D64,
	[0xa0] = B | MOFFS | OPF(MOV, AO), [0xa1] = MOFFS | OPF(MOV, AO),
	[0xa2] = B | MOFFS | OPF(MOV, OA), [0xa3] = MOFFS | OPF(MOV, OA),
	[0xa4] = B | OP(MOVS), [0xa5] = OP(MOVS),
	[0xa6] = B | OP(CMPS), [0xa7] = OP(CMPS),
	[0xa8] = B | IB, [0xa9] = IZ,
	[0xaa] = B | OP(STOS), [0xab] = OP(STOS),
	[0xac] = B | OP(LODS), [0xad] = OP(LODS),
	[0xae] = B | OP(SCAS), [0xaf] = OP(SCAS),
	[0xb0 ... 0xb7] = B | IB,
	[0xb8 ... 0xbf] = IV,
	[0xc0] = M | B | IB | OPF(SHIFT, EI), [0xc1] = M | IB | OPF(SHIFT, EI),
	[0xc2] = IW | NB, [0xc3] = NB,
	[0xc4 ... 0xc5] = M | MEM | I64 | OT_VEC,
	[0xc6] = M | B | IB | G(11) | OPF(MOV, EI), [0xc7] = M | IZ | G(11) | OPF(MOV, EI),
	[0xc8] = OT_IMM(IMM_WB) | D64, [0xc9] = D64,
	[0xca] = IW,
	[0xcd] = IB,
	[0xce] = I64,
	[0xd0] = M | B | OPF(SHIFT, E1), [0xd1] = M | OPF(SHIFT, E1),
	[0xd2] = M | B | OPF(SHIFT, ECL), [0xd3] = M | OPF(SHIFT, ECL),
	[0xd4 ... 0xd5] = IB | I64,
	[0xd6] = I64,
	[0xd8 ... 0xdf] = M,
	[0xe0 ... 0xe3] = IB | NB,
	[0xe4] = B | IB, [0xe5] = IB, [0xe6] = B | IB, [0xe7] = IB,
	[0xe8 ... 0xe9] = IZ | NB,
	[0xea] = FAR | I64,
	[0xeb] = IB | NB,
	[0xec] = B, [0xee] = B,
	[0xf0] = PFX, [0xf2 ... 0xf3] = PFX,
	[0xf6] = M | B | G(3B), [0xf7] = M | G(3V),
	[0xfe] = M | B | G(4),
	[0xff] = M | G(5),
};

const u64 emu_optab_0f[256] = {
	[0x00] = M | PROT | G(6),
	[0x01] = M,
	[0x02 ... 0x03] = M | PROT,
	[0x04] = UD,
	[0x0a ... 0x0c] = UD,
	[0x0d] = M,
	[0x0f] = M | IB,
	[0x10 ... 0x11] = M | OP(SSE),
	[0x12 ... 0x1f] = M,
	[0x20 ... 0x23] = M | OT_CRDR,
	[0x24 ... 0x27] = UD,
	[0x28 ... 0x29] = M | OP(SSE),
	[0x2a] = M,
	[0x2b] = M | MEM | OP(SSE),
	[0x2c ... 0x2f] = M,
	[0x36] = UD,
	[0x38 ... 0x3f] = UD,	/* 38 and 3a never get here: they are the way to other maps */
	[0x40 ... 0x6d] = M,
	[0x6e ... 0x6f] = M | OP(SSE),
	[0x70] = M | IB,
	[0x71 ... 0x72] = M | IB | G(12), [0x73] = M | IB | G(14),
	[0x74 ... 0x76] = M,
	[0x78] = M | OT_FIX, [0x79] = M,
	[0x7a ... 0x7b] = UD,
	[0x7c ... 0x7d] = M,
	[0x7e ... 0x7f] = M | OP(SSE),
	[0x80 ... 0x8f] = IZ | NB,
	[0x90 ... 0x9f] = M | B | OPF(SETCC, E),
	[0xa0 ... 0xa1] = D64,
	[0xa3] = M | OPF(BT, EG),
	[0xa4] = M | IB, [0xa5] = M,
	[0xa6 ... 0xa7] = UD,
	[0xa8 ... 0xa9] = D64,
	[0xab] = M | LK | OPF(BT, EG),
	[0xac] = M | IB, [0xad ... 0xaf] = M,
	[0xb0] = M | B | LK | OPF(CMPXCHG, EG), [0xb1] = M | LK | OPF(CMPXCHG, EG),
	[0xb2] = M | MEM,
	[0xb3] = M | LK | OPF(BT, EG),
	[0xb4 ... 0xb5] = M | MEM,
	[0xb6 ... 0xb7] = M | OPF(MOVZX, GE),
	[0xb8] = M | OT_FIX,
	[0xb9] = UD,
	[0xba] = M | IB | G(8),
	[0xbb] = M | LK | OPF(BT, EG),
	[0xbc ... 0xbd] = M,
	[0xbe ... 0xbf] = M | OPF(MOVSX, GE),
	[0xc0] = M | B | LK | OPF(XADD, EG), [0xc1] = M | LK | OPF(XADD, EG),
	[0xc2] = M | IB,
	[0xc3] = M | MEM | OT_N16 | OT_FIX | OPF(MOV, EG),
	[0xc4 ... 0xc6] = M | IB,
	[0xc7] = M | G(9),
	[0xd0 ... 0xd5] = M,
	[0xd6] = M | OP(SSE),
	[0xd7 ... 0xe6] = M,
	[0xe7] = M | MEM | OP(SSE),
	[0xe8 ... 0xfe] = M,
	[0xff] = UD,
};

const u64 emu_optab_grp[GRP_COUNT][8] = {
	[GRP_1] = { LK, LK, LK, LK, LK, LK, LK, 0 },
	[GRP_1A] = { 0, UD, UD, UD, UD, UD, UD, UD },
	[GRP_3B] = {
		IB | OPF(TEST, EI), IB | OPF(TEST, EI), LK | OPF(NOT, E), LK | OPF(NEG, E),
	},
	[GRP_3V] = {
		IZ | OPF(TEST, EI), IZ | OPF(TEST, EI), LK | OPF(NOT, E), LK | OPF(NEG, E),
	},
	[GRP_4] = { LK | OPF(INC, E), LK | OPF(DEC, E), UD, UD, UD, UD, UD, UD },
	[GRP_5] = {
		LK | OPF(INC, E), LK | OPF(DEC, E), NB, MEM, NB, MEM, D64 | OPF(PUSH, E), UD,
	},
	[GRP_6] = { 0, 0, 0, 0, 0, 0, UD, UD },
	[GRP_8] = {
		UD, UD, UD, UD,
		OPF(BT, EI), LK | OPF(BT, EI), LK | OPF(BT, EI), LK | OPF(BT, EI),
	},
	[GRP_9] = { UD, MEM | LK | OPF(CMPXCHG8B, E), UD, MEM, MEM, MEM, 0, 0 },
	[GRP_11] = { 0, UD, UD, UD, UD, UD, UD, UD },
	[GRP_12] = { UD, UD, 0, UD, 0, UD, 0, UD },
	[GRP_14] = { UD, UD, 0, 0, UD, UD, 0, 0 },
	[GRP_8C] = { 0, 0, 0, 0, 0, 0, UD, UD },
	[GRP_8E] = { 0, UD, 0, 0, 0, 0, UD, UD },
};

/* Which opcodes of the three-byte maps exist: bit n of word w is opcode 32 * w + n. */
static const u32 valid_0f38[8] = {
	0x70b10fff,	/* 00-0b 10 14 15 17 1c-1e */
	0xffbf0f3f,	/* 20-25 28-2b 30-35 37-3f */
	0x00000003,	/* 40 41 */
	0,
	0x00000007,	/* 80-82 */
	0,
	0xf900bf00,	/* c8-cd cf d8 db-df */
	0x1f630000,	/* f0 f1 f5 f6 f8-fc */
};

static const u32 valid_0f3a[8] = {
	0x00f0ff00,	/* 08-0f 14-17 */
	0x00000007,	/* 20-22 */
	0x00000017,	/* 40-42 44 */
	0x0000000f,	/* 60-63 */
	0,
	0,
	0x8000d000,	/* cc ce cf df */
	0x00010000,	/* f0 */
};

static bool has_bit(const u32 *words, u8 n)
{
	return words[n / 32] >> (n % 32) & 1;
}

u64 emu_optab_0f38(u8 opcode)
{
	if (!has_bit(valid_0f38, opcode))
		return UD;
	if (opcode == 0xf0)
		return M | OT_FIX | OPF(MOVBE, GE);
	if (opcode == 0xf1)
		return M | OT_FIX | OPF(MOVBE, EG);
	return M;
}

u64 emu_optab_0f3a(u8 opcode)
{
	return has_bit(valid_0f3a, opcode) ? M | IB : UD;
}
