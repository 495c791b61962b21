/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Instruction decoder and closed instruction emulator.
 *
 * The decoder knows every instruction's length. The emulator executes a short, closed list: the
 * integer moves, ALU, bit, stack and string forms that touch memory, string port I/O, and the plain
 * SSE moves. Control flow, privileged instructions, x87 and AVX are not in it and stay so.
 *
 * Both are pure. The emulator is a state machine that never calls out: emu_step() says what it
 * needs (an effect), the caller performs it, perhaps by a trip to user space, puts the data in, and
 * steps again. All state lives in struct emu and may rest there for any time in between.
 */
#ifndef KEEL_EMU_H
#define KEEL_EMU_H

#include "types.h"

/* ---- decoding ---- */

#define EMU_INSN_MAX 15		/* longest instruction, bytes */

enum emu_cpu_mode {
	EMU_CPU_REAL,		/* CR0.PE = 0 */
	EMU_CPU_VM86,		/* EFLAGS.VM = 1 */
	EMU_CPU_PROT,		/* protected mode, compatibility mode */
	EMU_CPU_LONG,		/* 64-bit code: EFER.LMA and CS.L */
};

struct emu_mode {
	u8 cpu;			/* enum emu_cpu_mode */
	u8 bits;		/* default size of the code segment: 16, 32; 64 in EMU_CPU_LONG */
	u8 cpl;
	bool intel;		/* near branches in 64-bit code ignore 66; LOCK MOV CR0 is #UD */
};

/* Register numbers are the manuals': rAX rCX rDX rBX rSP rBP rSI rDI r8 ... r15. */
enum emu_gpr {
	EMU_RAX, EMU_RCX, EMU_RDX, EMU_RBX, EMU_RSP, EMU_RBP, EMU_RSI, EMU_RDI,
	EMU_GPR_COUNT = 16,
	EMU_REG_RIP = 16,	/* as a base only */
	EMU_REG_NONE = 0xff,
};

enum emu_segment {
	EMU_ES, EMU_CS, EMU_SS, EMU_DS, EMU_FS, EMU_GS,
	EMU_SEG_COUNT,
	EMU_SEG_NONE = 0xff,
};

enum emu_map {
	EMU_MAP_1,		/* one-byte opcodes */
	EMU_MAP_0F,
	EMU_MAP_0F38,
	EMU_MAP_0F3A,
	EMU_MAP_VEX,		/* any VEX, EVEX or XOP encoding: length and ModRM fields only */
};

/* emu_insn.prefixes */
#define EMU_PFX_LOCK	0x01
#define EMU_PFX_REPNE	0x02	/* F2; the last of F2 and F3 counts */
#define EMU_PFX_REP	0x04	/* F3 */
#define EMU_PFX_66	0x08
#define EMU_PFX_67	0x10
#define EMU_PFX_SEG	0x20	/* a segment override that counts in this mode */

/*
 * One decoded instruction. Register fields carry the REX bits. `reg` is the register operand, the
 * CR or DR number, or the /digit of a group (then look at `modrm`, which is raw).
 */
struct emu_insn {
	u8 len;			/* bytes, 1..15 */
	u8 map;			/* enum emu_map */
	u8 opcode;		/* last opcode byte */
	u8 prefixes;		/* EMU_PFX_* */
	u8 rex;			/* 0x40..0x4f, or 0 */
	u8 op_size;		/* effective operand size, bytes: 2, 4, 8; 1 for byte forms */
	u8 addr_size;		/* effective address size, bytes: 2, 4, 8 */
	bool has_modrm;
	u8 modrm;		/* raw byte, but mod is 3 in MOV CR/DR; 3: `rm` is a register */
	u8 reg;
	u8 rm;			/* register of mod 3, else undefined */
	u8 base;		/* of the memory operand; enum emu_gpr, EMU_REG_RIP, EMU_REG_NONE */
	u8 index;
	u8 scale;		/* shift count 0..3 */
	u8 seg;			/* segment of the memory operand, override applied */
	u8 op;			/* emulator's operation, 0: not in the closed list (private) */
	u8 form;		/* operand form of the operation (private) */
	u8 imm_len;		/* bytes of immediate(s) in the encoding */
	u16 imm2;		/* selector of a far pointer; second immediate of ENTER, EXTRQ */
	s64 disp;		/* displacement, sign-extended; the offset of MOV moffs */
	s64 imm;		/* immediate, sign-extended from its own width */
};

enum emu_decode_status {
	EMU_DECODED,
	EMU_DECODE_MORE,	/* undecided after `avail` bytes: fetch more, at most 15 in all */
	EMU_DECODE_GP,		/* longer than 15 bytes: #GP(0) */
	EMU_DECODE_UD,		/* not an instruction in this mode: #UD */
};

/*
 * Decodes the instruction at `bytes`; reads none beyond `avail`. *insn means something only when it
 * answers EMU_DECODED. With avail >= 15 the answer is never EMU_DECODE_MORE. Bytes past the
 * instruction's end are not looked at, so a fetch may be cut at a page and continued on
 * EMU_DECODE_MORE. Code segment limit and canonical RIP are the fetching caller's. Any context.
 * Source: "Instruction Format" and "Opcode Map" chapters of both vendors' manuals.
 */
enum emu_decode_status emu_decode(struct emu_insn *insn, const u8 *bytes, unsigned int avail,
				  const struct emu_mode *mode);

/* Map and opcode as one number: `emu_insn_key(&insn) == EMU_KEY_CPUID`. */
#define EMU_KEY(map, opcode) ((map) << 8 | (opcode))

#define EMU_KEY_INT3	EMU_KEY(EMU_MAP_1, 0xcc)
#define EMU_KEY_INT	EMU_KEY(EMU_MAP_1, 0xcd)
#define EMU_KEY_HLT	EMU_KEY(EMU_MAP_1, 0xf4)
#define EMU_KEY_PAUSE	EMU_KEY(EMU_MAP_1, 0x90)	/* with EMU_PFX_REP */
#define EMU_KEY_GRP7	EMU_KEY(EMU_MAP_0F, 0x01)	/* by modrm: D9 VMMCALL, /7 INVLPG, ... */
#define EMU_KEY_CLTS	EMU_KEY(EMU_MAP_0F, 0x06)
#define EMU_KEY_INVD	EMU_KEY(EMU_MAP_0F, 0x08)
#define EMU_KEY_WBINVD	EMU_KEY(EMU_MAP_0F, 0x09)
#define EMU_KEY_MOV_R_CR EMU_KEY(EMU_MAP_0F, 0x20)
#define EMU_KEY_MOV_R_DR EMU_KEY(EMU_MAP_0F, 0x21)
#define EMU_KEY_MOV_CR_R EMU_KEY(EMU_MAP_0F, 0x22)
#define EMU_KEY_MOV_DR_R EMU_KEY(EMU_MAP_0F, 0x23)
#define EMU_KEY_WRMSR	EMU_KEY(EMU_MAP_0F, 0x30)
#define EMU_KEY_RDTSC	EMU_KEY(EMU_MAP_0F, 0x31)
#define EMU_KEY_RDMSR	EMU_KEY(EMU_MAP_0F, 0x32)
#define EMU_KEY_RDPMC	EMU_KEY(EMU_MAP_0F, 0x33)
#define EMU_KEY_RSM	EMU_KEY(EMU_MAP_0F, 0xaa)
#define EMU_KEY_CPUID	EMU_KEY(EMU_MAP_0F, 0xa2)

static inline unsigned int emu_insn_key(const struct emu_insn *insn)
{
	return EMU_KEY(insn->map, insn->opcode);
}

/* Does the ModRM byte name memory? Implicit operands of string forms and MOV moffs do not count. */
static inline bool emu_insn_modrm_mem(const struct emu_insn *insn)
{
	return insn->has_modrm && (insn->modrm & 0xc0) != 0xc0;
}

/* ---- execution ---- */

/* emu_seg.attr: the descriptor's access byte in bits 0-7, its AVL, L, D/B and G in bits 8-11. */
#define EMU_SEG_TYPE	0x000f
#define EMU_SEG_S	0x0010
#define EMU_SEG_DPL	0x0060
#define EMU_SEG_P	0x0080	/* clear: unusable */
#define EMU_SEG_L	0x0200
#define EMU_SEG_DB	0x0400
#define EMU_SEG_G	0x0800

struct emu_seg {
	u16 selector;
	u16 attr;		/* EMU_SEG_* */
	u32 limit;		/* bytes, granularity applied */
	u64 base;
};

enum emu_status {
	EMU_DONE,		/* finished: regs, rip, rflags, xmm hold the result */
	EMU_AGAIN,		/* progress committed, RIP unchanged: take events or step again */
	EMU_READ,		/* fill emu_data() with acc.size bytes from acc.addr */
	EMU_WRITE,		/* store acc.size bytes of emu_data() at acc.addr */
	EMU_CMPXCHG,		/* atomically replace acc.expected by acc.bytes, or set acc.lost */
	EMU_PROBE,		/* check that acc.size bytes at acc.addr can be written; no data */
	EMU_IN,			/* fill emu_data() with io.count elements of io.size from io.port */
	EMU_OUT,		/* send io.count elements of io.size of emu_data() to io.port */
	EMU_FAULT,		/* inject `fault`; regs unchanged since the last commit */
	EMU_UNHANDLED,		/* not in the closed list */
};

/* emu_access.flags */
#define EMU_ACC_WRITE_INTENT	0x01	/* EMU_READ before a write: needs write permission too */
#define EMU_ACC_LOCKED		0x02	/* part of a locked sequence; EMU_CMPXCHG ends it */
#define EMU_ACC_SYSTEM		0x04	/* implicit supervisor access, whatever CPL says */
#define EMU_ACC_BULK		0x08	/* the data is in `bulk`, not in `bytes` */

#define EMU_ACC_BYTES 32
#define EMU_CMPXCHG_BYTES 16

/*
 * A memory effect. `addr` is linear: segmentation is done. It may cross a page (never with
 * EMU_ACC_BULK) and, outside 64-bit code, wraps at 4 GiB; the caller splits. On a page fault the
 * caller drops the instruction and injects #PF: nothing of it is visible yet. EMU_CMPXCHG on memory
 * without atomics (MMIO) is a plain write of `bytes`. EMU_PROBE carries no data and may be longer
 * than `bytes`.
 */
struct emu_access {
	gva_t addr;
	u32 size;
	u8 flags;
	bool lost;
	u8 bytes[EMU_ACC_BYTES];
	u8 expected[EMU_CMPXCHG_BYTES];
};

struct emu_port {
	u16 port;
	u8 size;		/* 1, 2, 4 */
	u32 count;		/* elements; ascending addresses, one page at most */
};

struct emu_fault {
	u8 vector;
	bool has_error;
	u16 error;
};

enum emu_vector {
	EMU_DB = 1, EMU_UD = 6, EMU_NM = 7, EMU_TS = 10, EMU_NP = 11, EMU_SSF = 12, EMU_GP = 13,
};

/* Between two steps of one instruction; only exec-*.c look inside. */
struct emu_run {
	u8 phase;
	u8 reg[2];		/* registers to write at commit, EMU_REG_NONE when unused */
	u8 reg_size[2];
	u64 reg_val[2];
	u64 val[2];		/* operand as read from memory */
	u64 rflags;
	u32 count;		/* elements of this batch of string I/O */
	gva_t addr;
};

struct emu {
	/* Set by the caller before emu_start(); committed results appear here. */
	struct emu_mode mode;
	struct emu_insn insn;
	u64 regs[EMU_GPR_COUNT];
	u64 rip;		/* of the instruction */
	u64 rflags;
	u64 cr0, cr4;
	struct emu_seg seg[EMU_SEG_COUNT];	/* needed only when emu_needs_segments(); never written */
	u8 xmm[16][16];		/* needed only when emu_needs_xmm() */
	u16 xmm_dirty;		/* a bit for each xmm written */
	bool string_io;		/* INS and OUTS allowed: this exit is one, its port was checked */
	u8 *bulk;		/* lives as long as this struct; never looked into here */
	u32 bulk_size;		/* bytes; 0: string I/O goes one element at a time */

	/* The effect asked for. */
	struct emu_access acc;	/* EMU_READ, EMU_WRITE, EMU_CMPXCHG, EMU_PROBE */
	struct emu_port io;	/* EMU_IN, EMU_OUT */
	struct emu_fault fault;	/* EMU_FAULT */

	struct emu_run run;
};

/*
 * Prepares to execute e->insn from its beginning; also the way to drop an instruction in flight.
 */
void emu_start(struct emu *e);

/*
 * Runs until the next effect or the end. After EMU_READ, _WRITE, _CMPXCHG, _PROBE, _IN, _OUT:
 * perform, then step again. After EMU_AGAIN: step again without decoding, or leave and start afresh
 * later; a REP loop answers it after each iteration, a lost EMU_CMPXCHG too. After EMU_DONE,
 * EMU_FAULT and EMU_UNHANDLED the instruction is over. Registers change only with EMU_DONE and
 * EMU_AGAIN; if the caller changes them while an EMU_IN or EMU_OUT is in flight, the instruction goes
 * on with those. EMU_DONE advances RIP and clears RFLAGS.RF; a single-step trap (RFLAGS.TF as it was
 * before) and the end of an interrupt shadow are the caller's. Does not check #AC, nor the I/O
 * permission of INS/OUTS (see string_io). One thread at a time per struct; any context.
 */
enum emu_status emu_step(struct emu *e);

/*
 * A move between a general register, or an immediate, and memory, in 64-bit code and a segment without
 * a base: what drivers use on devices. It is one access and one register: no struct emu for it.
 */
struct emu_move {
	gva_t addr;
	u64 value;		/* zero-extended: to be written; after a read, what was read */
	u8 size;		/* bytes of memory: 1, 2, 4, 8 */
	bool write;
};

/*
 * Is it such a move? Then fills *move, for a write all of it, for a read all but the value. "No" tells
 * nothing. emu_start() and emu_step() do the same, and more. `rip` is the instruction's.
 */
bool emu_move_plan(const struct emu_insn *insn, const struct emu_mode *mode, const u64 *regs, u64 rip,
		   struct emu_move *move);

/* The low `size` bytes (1, 2, 4, 8) of v. */
static inline u64 emu_zext(u64 v, u8 size)
{
	return v & ~0ULL >> (64 - 8 * size);
}

/* Puts `value` into the instruction's register, of which it may be a part. */
void emu_move_part(const struct emu_insn *insn, u64 value, u64 *regs);

/* After the read: puts move->value, of which bits past move->size are ignored, into the register. RIP is the caller's. */
static inline void emu_move_take(const struct emu_insn *insn, const struct emu_move *move, u64 *regs)
{
	u64 value = emu_zext(move->value, move->size);

	if (likely(insn->op_size >= 4))
		regs[insn->reg & 15] = value;
	else
		emu_move_part(insn, value, regs);
}

/* Does the decoded instruction read or write e->xmm? */
bool emu_needs_xmm(const struct emu_insn *insn);

/* Does it look at e->seg? In 64-bit mode only FS and GS have a base, and nothing has a limit. */
bool emu_needs_segments(const struct emu_mode *mode, const struct emu_insn *insn);

/*
 * Builds the decoded form of INS or OUTS from what an I/O exit reports, without a fetch: `prefixes`
 * EMU_PFX_REP or 0, `size` of an element and `addr_size` in bytes, `seg` enum emu_segment (used by
 * OUTS only), `len` of the instruction in bytes.
 */
void emu_insn_string_io(struct emu_insn *insn, bool in, u8 prefixes, u8 size, u8 addr_size, u8 seg,
			u8 len);

/* Where the bytes of the effect in flight are. */
static inline u8 *emu_data(struct emu *e)
{
	return e->acc.flags & EMU_ACC_BULK ? e->bulk : e->acc.bytes;
}

#endif /* KEEL_EMU_H */
