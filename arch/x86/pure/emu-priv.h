/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What decode.c, optab.c and exec-*.c share among themselves. Users of the emulator need emu.h
 * only.
 */
#ifndef KEEL_EMU_PRIV_H
#define KEEL_EMU_PRIV_H

#include "emu.h"

/* ---- opcode table ---- */

/* One word per opcode. A group's row is or-ed with the row of its /digit. */
#define OT_MODRM	BIT64(0)
#define OT_IMM(kind)	((u64)(kind) << 1)	/* enum emu_imm */
#define OT_I64		BIT64(5)		/* #UD in 64-bit code */
#define OT_D64		BIT64(6)		/* operands default to 64 bits in 64-bit code */
#define OT_NB64		BIT64(7)		/* the same; Intel ignores 66: near branches */
#define OT_UD		BIT64(8)
#define OT_PFX		BIT64(9)
#define OT_BYTE		BIT64(10)		/* operands are bytes */
#define OT_LOCK		BIT64(11)		/* LOCK allowed with a memory destination */
#define OT_MEM		BIT64(12)		/* #UD with mod 3 */
#define OT_CRDR		BIT64(13)		/* mod ignored, native register size */
#define OT_PROT		BIT64(14)		/* #UD in real and virtual-8086 mode */
#define OT_N16		BIT64(15)		/* never 16-bit operands */
#define OT_FIX		BIT64(40)		/* more than map, opcode and /digit decides: fix_row() */
#define OT_VEC		BIT64(41)		/* may begin a vector prefix */
#define OT_OP(op)	((u64)(op) << 16)	/* enum emu_op */
#define OT_FORM(form)	((u64)(form) << 24)	/* enum emu_form */
#define OT_GRP(grp)	((u64)(grp) << 32)	/* enum emu_group */

#define OT_GET_IMM(ot)	((unsigned int)((ot) >> 1) & 0xf)
#define OT_GET_OP(ot)	((u8)((ot) >> 16))
#define OT_GET_FORM(ot)	((u8)((ot) >> 24))
#define OT_GET_GRP(ot)	((u8)((ot) >> 32))

enum emu_imm {
	IMM_NONE,
	IMM_B,			/* byte */
	IMM_W,			/* word */
	IMM_Z,			/* operand size, at most 4 bytes */
	IMM_V,			/* operand size */
	IMM_MOFFS,		/* address size: an offset, not an immediate */
	IMM_FAR,		/* IMM_Z, then a selector */
	IMM_WB,			/* word, byte */
	IMM_BB,			/* two bytes */
};

enum emu_op {
	OP_NONE,		/* not in the closed list */
	OP_MOV, OP_MOVZX, OP_MOVSX, OP_MOVSXD, OP_MOVBE, OP_MOV_SREG,
	OP_ALU, OP_TEST, OP_NOT, OP_NEG, OP_INC, OP_DEC, OP_SHIFT, OP_BT, OP_SETCC,
	OP_XCHG, OP_XADD, OP_CMPXCHG, OP_CMPXCHG8B,
	OP_PUSH, OP_POP,
	OP_MOVS, OP_CMPS, OP_STOS, OP_LODS, OP_SCAS, OP_INS, OP_OUTS,
	OP_SSE,
	OP_COUNT,
};

/* Destination, then source: E the ModRM operand, G its register, I immediate, A rAX, O moffs. */
enum emu_form {
	FORM_E, FORM_EG, FORM_GE, FORM_EI, FORM_E1, FORM_ECL, FORM_AO, FORM_OA,
};

enum emu_group {
	GRP_NONE,
	GRP_1, GRP_1A, GRP_3B, GRP_3V, GRP_4, GRP_5, GRP_6, GRP_8, GRP_9, GRP_11, GRP_12, GRP_14,
	GRP_8C, GRP_8E,
	GRP_COUNT,
};

extern const u64 emu_optab_1[256];
extern const u64 emu_optab_0f[256];
extern const u64 emu_optab_grp[GRP_COUNT][8];

/* The rows of the two three-byte maps, where most of the opcodes do not exist. */
u64 emu_optab_0f38(u8 opcode);
u64 emu_optab_0f3a(u8 opcode);

/* ---- flags ---- */

#define FL_CF	0x001ULL
#define FL_PF	0x004ULL
#define FL_AF	0x010ULL
#define FL_ZF	0x040ULL
#define FL_SF	0x080ULL
#define FL_DF	0x400ULL
#define FL_OF	0x800ULL
#define FL_ARITH (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)
#define FL_RF	0x10000ULL

#define CR0_EM	0x4ULL
#define CR0_TS	0x8ULL
#define CR4_OSFXSR 0x200ULL
#define CR4_LA57 0x1000ULL

/* ---- arithmetic (exec-alu.c): operands of `size` bytes, results truncated to it ---- */

enum emu_alu_fn {
	ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP,
};

enum emu_shift_fn {
	SHIFT_ROL, SHIFT_ROR, SHIFT_RCL, SHIFT_RCR, SHIFT_SHL, SHIFT_SHR, SHIFT_SAL, SHIFT_SAR,
};

enum emu_bt_fn {
	BT_TEST, BT_SET, BT_RESET, BT_COMPLEMENT,
};

/* The low `size` bytes (1, 2, 4, 8) of v, sign-extended; emu_zext() is in emu.h. */
u64 emu_sext(u64 v, u8 size);

/* Each answers the result and replaces the flags it defines in *rflags. */
u64 emu_alu(enum emu_alu_fn fn, u8 size, u64 dst, u64 src, u64 *rflags);
u64 emu_incdec(bool dec, u8 size, u64 dst, u64 *rflags);
u64 emu_shift(enum emu_shift_fn fn, u8 size, u64 dst, u8 count, u64 *rflags);
u64 emu_bit(enum emu_bt_fn fn, u8 size, u64 dst, u64 bit, u64 *rflags);

/* Condition code 0..15 of Jcc, SETcc. */
bool emu_condition(u8 cc, u64 rflags);

/* ---- machinery (exec-core.c) ---- */

/* A register operand; byte registers 4..7 without REX are AH CH DH BH. */
u64 emu_gpr_read(const struct emu *e, u8 reg, u8 size);
void emu_gpr_write(struct emu *e, u8 reg, u8 size, u64 val);

/* Notes a register to write when the instruction commits; at most two. */
void emu_gpr_later(struct emu *e, u8 reg, u8 size, u64 val);

/* Offset of the ModRM or moffs operand in its segment, truncated to the address size. */
u64 emu_offset(const struct emu *e);

/* v truncated to an address of `size` bytes. */
u64 emu_addr_wrap(u64 v, u8 size);

#define EMU_LIN_WRITE	0x1

/*
 * Linear address of `size` bytes at seg:off after the segmentation checks of the mode. False with
 * e->fault filled (#GP or #SS) when they fail; *addr is set in both cases. `how`: 0 or
 * EMU_LIN_WRITE.
 */
bool emu_linear(struct emu *e, u8 seg, u64 off, u32 size, unsigned int how, gva_t *addr);

/* Answer the status named; the phase is where the next step goes on. */
enum emu_status emu_fail(struct emu *e, u8 vector);
enum emu_status emu_read(struct emu *e, gva_t addr, u32 size, u8 flags, u8 phase);
enum emu_status emu_write(struct emu *e, gva_t addr, u32 size, u8 flags, u8 phase);

/* Commits the noted registers, run.rflags and RIP. */
enum emu_status emu_finish(struct emu *e);

/* Little-endian bytes to and from a number; size 1..8. */
u64 emu_get(const u8 *bytes, u8 size);
void emu_put(u8 *bytes, u8 size, u64 val);

/* Classes of operations: one step of each. */
enum emu_status emu_step_int(struct emu *e);		/* exec-int.c */
enum emu_status emu_step_stack(struct emu *e);		/* exec-int.c */
enum emu_status emu_step_string(struct emu *e);		/* exec-string.c */
enum emu_status emu_step_sse(struct emu *e);		/* exec-sse.c */

#endif /* KEEL_EMU_PRIV_H */
