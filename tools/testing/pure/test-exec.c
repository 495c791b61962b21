// SPDX-License-Identifier: GPL-2.0-only
/*
 * Emulator against this CPU: every form of the closed list, with random operands, addressing
 * modes, prefixes and segments, in 64-, 32- and 16-bit code; registers, defined flags, memory and
 * faults must agree. test-effects.c has what user mode cannot run.
 */
#define _GNU_SOURCE	/* register names of signal contexts */
#include "harness.h"
#include "drive.h"

#define CF 0x001
#define PF 0x004
#define AF 0x010
#define ZF 0x040
#define SF 0x080
#define OF 0x800
#define ARITH (CF | PF | AF | ZF | SF | OF)

enum form_flags {
	FORM_BYTE = 1,		/* operands are bytes */
	FORM_LOCK = 2,		/* LOCK is allowed with memory */
	FORM_MEM = 4,		/* memory forms only */
	FORM_LONG = 8,		/* 64-bit code only */
	FORM_NOMODRM = 16,		/* string or moffs */
	FORM_STRING = 32,
	FORM_SHIFT = 64,		/* flags depend on the count */
	FORM_BITREG = 128,		/* bit number in a register */
	FORM_STACK = 256,
	FORM_ACC = 512,		/* make the accumulator match memory half of the time */
	FORM_SSE = 1024,
	FORM_MOFFS = 2048,
	FORM_LEGACY = 4096,	/* not in 64-bit code */
	FORM_NO66 = 8192,
};

struct form {
	uint8_t map;		/* 1: one byte, 2: 0F, 3: 0F 38 */
	uint8_t op;
	int8_t digit;		/* -1: register operand */
	uint8_t imm;		/* 0, 1: byte, 4: operand size, at most 4 */
	uint8_t prefix;		/* mandatory, or 0 */
	uint16_t flags;
	uint16_t undefined;	/* flags the manuals leave open */
};

static struct form forms[400];
static unsigned int form_count;

static void add(uint8_t map, uint8_t op, int digit, uint8_t imm, unsigned int flags,
		uint16_t undefined)
{
	forms[form_count++] = (struct form){ map, op, digit, imm, 0, flags, undefined };
}

static void add_sse(uint8_t prefix, uint8_t op)
{
	add(2, op, -1, 0, FORM_SSE | FORM_MEM, 0);
	forms[form_count - 1].prefix = prefix;
}

static void build_forms(void)
{
	static const uint8_t sse[][2] = {
		{ 0, 0x10 }, { 0, 0x11 }, { 0x66, 0x10 }, { 0x66, 0x11 }, { 0xf3, 0x10 },
		{ 0xf3, 0x11 }, { 0xf2, 0x10 }, { 0xf2, 0x11 }, { 0, 0x28 }, { 0, 0x29 },
		{ 0x66, 0x28 }, { 0x66, 0x29 }, { 0, 0x2b }, { 0x66, 0x2b }, { 0x66, 0x6e },
		{ 0x66, 0x7e }, { 0x66, 0x6f }, { 0x66, 0x7f }, { 0xf3, 0x6f }, { 0xf3, 0x7f },
		{ 0xf3, 0x7e }, { 0x66, 0xd6 }, { 0x66, 0xe7 },
	};
	int i;

	for (i = 0; i < 8; i++) {
		unsigned int lk = i == 7 ? 0 : FORM_LOCK;
		uint16_t und = i == 1 || i == 4 || i == 6 ? AF : 0;

		add(1, 8 * i, -1, 0, FORM_BYTE | lk, und);
		add(1, 8 * i + 1, -1, 0, lk, und);
		add(1, 8 * i + 2, -1, 0, FORM_BYTE, und);
		add(1, 8 * i + 3, -1, 0, 0, und);
		add(1, 0x80, i, 1, FORM_BYTE | lk, und);
		add(1, 0x81, i, 4, lk, und);
		add(1, 0x82, i, 1, FORM_BYTE | FORM_LEGACY | lk, und);
		add(1, 0x83, i, 1, lk, und);
		add(1, 0xc0, i, 1, FORM_BYTE | FORM_SHIFT, 0);
		add(1, 0xc1, i, 1, FORM_SHIFT, 0);
		add(1, 0xd0, i, 0, FORM_BYTE | FORM_SHIFT, 0);
		add(1, 0xd1, i, 0, FORM_SHIFT, 0);
		add(1, 0xd2, i, 0, FORM_BYTE | FORM_SHIFT, 0);
		add(1, 0xd3, i, 0, FORM_SHIFT, 0);
	}
	add(1, 0x63, -1, 0, FORM_LONG, 0);
	add(1, 0x84, -1, 0, FORM_BYTE, AF);
	add(1, 0x85, -1, 0, 0, AF);
	add(1, 0x86, -1, 0, FORM_BYTE | FORM_LOCK, 0);
	add(1, 0x87, -1, 0, FORM_LOCK, 0);
	add(1, 0x88, -1, 0, FORM_BYTE, 0);
	add(1, 0x89, -1, 0, 0, 0);
	add(1, 0x8a, -1, 0, FORM_BYTE, 0);
	add(1, 0x8b, -1, 0, 0, 0);
	for (i = 0; i < 6; i++)
		add(1, 0x8c, i, 0, 0, 0);
	add(1, 0x8f, 0, 0, FORM_STACK, 0);
	add(1, 0xff, 6, 0, FORM_STACK, 0);
	for (i = 0; i < 4; i++)
		add(1, 0xa0 + i, -1, 0, FORM_NOMODRM | FORM_MOFFS | (i & 1 ? 0 : FORM_BYTE), 0);
	for (i = 0xa4; i < 0xb0; i++)
		if (i != 0xa8 && i != 0xa9)
			add(1, i, -1, 0, FORM_NOMODRM | FORM_STRING | (i & 1 ? 0 : FORM_BYTE), 0);
	add(1, 0xc6, 0, 1, FORM_BYTE, 0);
	add(1, 0xc7, 0, 4, 0, 0);
	for (i = 0; i < 2; i++) {
		add(1, 0xf6, i, 1, FORM_BYTE, AF);
		add(1, 0xf7, i, 4, 0, AF);
		add(1, 0xf6, 2 + i, 0, FORM_BYTE | FORM_LOCK, 0);
		add(1, 0xf7, 2 + i, 0, FORM_LOCK, 0);
		add(1, 0xfe, i, 0, FORM_BYTE | FORM_LOCK, 0);
		add(1, 0xff, i, 0, FORM_LOCK, 0);
	}
	for (i = 0; i < 16; i++)
		add(2, 0x90 + i, 0, 0, FORM_BYTE, 0);
	for (i = 0; i < 4; i++) {
		add(2, 0xa3 + 8 * i, -1, 0, FORM_BITREG | (i ? FORM_LOCK : 0), ARITH & ~(CF | ZF));
		add(2, 0xba, 4 + i, 1, i ? FORM_LOCK : 0, ARITH & ~(CF | ZF));
	}
	add(2, 0xb0, -1, 0, FORM_BYTE | FORM_LOCK | FORM_ACC, 0);
	add(2, 0xb1, -1, 0, FORM_LOCK | FORM_ACC, 0);
	add(2, 0xb6, -1, 0, 0, 0);
	add(2, 0xb7, -1, 0, 0, 0);
	add(2, 0xbe, -1, 0, 0, 0);
	add(2, 0xbf, -1, 0, 0, 0);
	add(2, 0xc0, -1, 0, FORM_BYTE | FORM_LOCK, 0);
	add(2, 0xc1, -1, 0, FORM_LOCK, 0);
	add(2, 0xc3, -1, 0, FORM_MEM | FORM_NO66, 0);
	add(2, 0xc7, 1, 0, FORM_MEM | FORM_LOCK | FORM_ACC, 0);
	add(3, 0xf0, -1, 0, FORM_MEM, 0);
	add(3, 0xf1, -1, 0, FORM_MEM, 0);
	for (i = 0; i < (int)(sizeof(sse) / sizeof(sse[0])); i++)
		add_sse(sse[i][0], sse[i][1]);
}

/* ---- segments and modes ---- */

/* LDT slots. Bases put the buffer at a small offset. */
enum { L_CODE16, L_UP, L_DOWN16, L_DOWN32, L_RO, L_COUNT };

struct seg_kind {
	uint16_t sel;
	uint64_t base;
	uint32_t limit;
	uint16_t attr;
};

#define ATTR_DATA (EMU_SEG_P | EMU_SEG_DPL | EMU_SEG_S | 3)

static const struct seg_kind seg_kinds[] = {
	{ NATIVE_DS, 0, 0xffffffff, ATTR_DATA | EMU_SEG_DB | EMU_SEG_G },
	{ NATIVE_LDT(L_UP), NATIVE_BUF - 0x100, 0xbff, ATTR_DATA | EMU_SEG_DB },
	{ NATIVE_LDT(L_DOWN16), NATIVE_BUF - 0x2000, 0x25ff, ATTR_DATA | 4 },
	{ NATIVE_LDT(L_DOWN32), NATIVE_BUF - 0x2000, 0x25ff, ATTR_DATA | 4 | EMU_SEG_DB },
	{ NATIVE_LDT(L_RO), NATIVE_BUF - 0x100, 0x10ff, (ATTR_DATA & ~2) | EMU_SEG_DB },
	{ 0, 0, 0, 0 },		/* null selector: unusable */
};

#define KIND_NULL 5

static bool ldt_init(void)
{
	return native_ldt(L_CODE16, NATIVE_CODE, 0xffff, 2, false, false) &&
	       native_ldt(L_UP, NATIVE_BUF - 0x100, 0xbff, 0, true, false) &&
	       native_ldt(L_DOWN16, NATIVE_BUF - 0x2000, 0x25ff, 1, false, false) &&
	       native_ldt(L_DOWN32, NATIVE_BUF - 0x2000, 0x25ff, 1, true, false) &&
	       native_ldt(L_RO, NATIVE_BUF - 0x100, 0x10ff, 0, true, true);
}

static void set_seg(struct emu_seg *seg, const struct seg_kind *kind)
{
	seg->selector = kind->sel;
	seg->base = kind->base;
	seg->limit = kind->limit;
	seg->attr = kind->attr;
}

/* ---- one random instruction ---- */

struct round {
	uint64_t seed;
	const struct form *form;
	unsigned int bits;
	uint8_t bytes[32];
	unsigned int len;
	struct emu e;
	struct drive d;
	bool is_mem;
	unsigned int op_size, addr_size;
};

static uint64_t rnd(struct round *r, uint64_t n)
{
	return test_rand_below(&r->seed, n);
}

static uint64_t rnd_value(struct round *r)
{
	static const uint64_t edge[] = {
		0, 1, ~0ull, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000,
		0xffffffff, 0x7fffffffffffffffull, 0x8000000000000000ull,
	};

	if (rnd(r, 3) == 0)
		return edge[rnd(r, sizeof(edge) / sizeof(edge[0]))];
	return test_rand(&r->seed);
}

static void put_bytes(struct round *r, uint64_t v, unsigned int n)
{
	memcpy(r->bytes + r->len, &v, n);
	r->len += n;
}

/* An offset in the segment: mostly of the buffer, sometimes near or past an edge, rarely wild. */
static uint64_t choose_offset(struct round *r, const struct emu_seg *seg)
{
	uint64_t at;

	switch (rnd(r, 16)) {
	case 0:
		at = NATIVE_BUF + NATIVE_BUF_SIZE - rnd(r, 20);
		break;
	case 1:
		at = NATIVE_BUF - rnd(r, 20);
		break;
	case 2:		/* limits of the small segments */
		at = NATIVE_BUF + 0xb00 - rnd(r, 10);
		break;
	case 3:
		at = NATIVE_BUF + 0x600 - 10 + rnd(r, 20);
		break;
	case 4:
		if (r->bits == 64) {
			at = 0x800000000000ull - rnd(r, 12) + (rnd(r, 2) ? 0 : test_rand(&r->seed));
			if (rnd(r, 2))
				at = ~0ull - rnd(r, 12);
			break;
		}
		return seg->limit - rnd(r, 12);
	case 5:
		at = NATIVE_BUF + (rnd(r, NATIVE_BUF_SIZE) & ~0xful);
		break;
	default:
		at = NATIVE_BUF + 0x680 + rnd(r, 0x400);
	}
	return at - (r->bits == 64 ? 0 : seg->base);
}

/* ModRM for memory, with registers set so that the operand is where choose_offset() wants it. */
static void put_mem(struct round *r, unsigned int reg, unsigned int imm_bytes, unsigned int rex)
{
	unsigned int mod = rnd(r, 3), rm = rnd(r, 8), base, index = 99, scale = 0, disp_len;
	static const uint8_t base16[8] = { 3, 3, 5, 5, 6, 7, 5, 3 };
	static const uint8_t index16[8] = { 6, 7, 6, 7, 99, 99, 99, 99 };
	uint64_t *regs = r->e.regs, off, rest;
	bool rip = false;
	int64_t disp = 0;
	unsigned int seg;

	r->is_mem = true;
	put_bytes(r, mod << 6 | (reg & 7) << 3 | rm, 1);
	if (r->addr_size == 2) {
		base = base16[rm];
		index = index16[rm];
		if (mod == 0 && rm == 6)
			base = 99;
		disp_len = base == 99 ? 2 : mod;
	} else {
		base = rm;
		if (rm == 4) {
			unsigned int sib = rnd(r, 256);

			base = sib & 7;
			index = (sib >> 3 & 7) | (rex & 2) << 2;
			scale = sib >> 6;
			if (index == 4)
				index = 99;
			put_bytes(r, sib, 1);
		}
		if (mod == 0 && base == 5) {
			rip = rm == 5 && r->bits == 64;
			base = 99;
		} else {
			base |= (rex & 1) << 3;
		}
		disp_len = base == 99 ? 4 : mod == 1 ? 1 : mod == 2 ? 4 : 0;
	}
	seg = base == 4 || base == 5 ? EMU_SS : EMU_DS;
	off = choose_offset(r, &r->e.seg[seg]);
	if (disp_len && base != 99) {
		disp = test_rand(&r->seed);
		disp = disp_len == 1 ? (int8_t)disp : disp_len == 2 ? (int16_t)disp : (int32_t)disp;
	}
	if (base == 99) {
		if (index != 99)
			regs[index] = rnd(r, 256);
		rest = index == 99 ? 0 : regs[index] << scale;
		if (rip)
			rest = NATIVE_CODE + r->len + disp_len + imm_bytes;
		disp = off - rest;
	} else {
		if (index == base && scale) {	/* base + base * n: solve by luck only */
			regs[base] = (off - disp) / ((1 << scale) + 1);
		} else if (index == base) {
			regs[base] = (off - disp) / 2;
		} else {
			rest = index == 99 ? 0 : regs[index] << scale;
			rest = off - disp - rest;
			if (r->addr_size == 4)
				rest = (rest & 0xffffffff) | (test_rand(&r->seed) << 32);
			if (r->addr_size == 2)
				rest = (rest & 0xffff) | (test_rand(&r->seed) << 16);
			regs[base] = rest;
		}
	}
	put_bytes(r, disp, disp_len);
}

static void put_operands(struct round *r)
{
	const struct form *f = r->form;
	bool is_long = r->bits == 64;
	unsigned int rex = 0, imm, reg, lock = 0;
	bool pfx66 = false, mem;

	mem = f->flags & FORM_MEM || rnd(r, 4);
	r->op_size = r->bits == 16 ? 2 : 4;
	if (f->prefix)
		put_bytes(r, f->prefix, 1);
	else if (!(f->flags & (FORM_SSE | FORM_NO66)) && rnd(r, 3) == 0)
		pfx66 = true;
	if (pfx66)
		put_bytes(r, 0x66, 1);
	r->addr_size = r->bits == 64 ? 8 : r->bits / 8;
	if (rnd(r, 5) == 0) {
		put_bytes(r, 0x67, 1);
		r->addr_size = r->bits == 32 ? 2 : 4;
	}
	if (f->flags & FORM_LOCK && mem && rnd(r, 3) == 0)
		lock = 1;
	if (lock)
		put_bytes(r, 0xf0, 1);
	if (f->flags & FORM_STRING) {
		unsigned int rep = rnd(r, 3);

		if (rep)
			put_bytes(r, rep == 1 ? 0xf2 : 0xf3, 1);
		r->e.regs[EMU_RCX] = rnd(r, 7);
		if (rnd(r, 4) == 0 && r->addr_size < 8)
			r->e.regs[EMU_RCX] |= test_rand(&r->seed) << (8 * r->addr_size);
		r->e.regs[EMU_RSI] = choose_offset(r, &r->e.seg[EMU_DS]);
		r->e.regs[EMU_RDI] = choose_offset(r, &r->e.seg[EMU_ES]);
	}
	if (is_long && rnd(r, 2))
		rex = 0x40 | rnd(r, 16);
	if (rex)
		put_bytes(r, rex, 1);
	if (pfx66)
		r->op_size = r->bits == 16 ? 4 : 2;
	if (rex & 8)
		r->op_size = 8;
	if (f->flags & FORM_STACK) {
		if (is_long && r->op_size == 4)
			r->op_size = 8;
		r->e.regs[EMU_RSP] = choose_offset(r, &r->e.seg[EMU_SS]);
	}
	if (f->flags & FORM_BYTE)
		r->op_size = 1;
	if (f->map >= 2)
		put_bytes(r, 0x0f, 1);
	if (f->map == 3)
		put_bytes(r, 0x38, 1);
	put_bytes(r, f->op, 1);
	imm = f->imm == 4 && r->op_size == 2 ? 2 : f->imm;
	if (f->flags & FORM_MOFFS) {
		put_bytes(r, choose_offset(r, &r->e.seg[EMU_DS]), r->addr_size);
		r->is_mem = true;
	} else if (!(f->flags & FORM_NOMODRM)) {
		reg = f->digit >= 0 ? (unsigned int)f->digit : rnd(r, 8);
		if (f->flags & FORM_BITREG && rnd(r, 8))	/* keep most bit numbers near */
			r->e.regs[reg | (rex & 4) << 1] = (int64_t)rnd(r, 2000) - 1000;
		if (mem)
			put_mem(r, reg, imm, rex);
		else
			put_bytes(r, 0xc0 | reg << 3 | rnd(r, 8), 1);
	}
	put_bytes(r, rnd_value(r), imm);
}

static uint16_t undefined_flags(const struct round *r)
{
	const struct form *f = r->form;
	unsigned int count, mask = r->op_size == 8 ? 63 : 31, width = 8 * r->op_size, und = 0;

	if (!(f->flags & FORM_SHIFT))
		return f->undefined;
	count = f->imm ? r->bytes[r->len - 1] : f->op < 0xd2 ? 1 : r->e.regs[EMU_RCX];
	count &= mask;
	if (!count)
		return 0;
	if (count != 1)
		und |= OF;
	if (f->digit >= 4) {
		und |= AF;
		if (count > width)
			und |= CF;
	}
	return und;
}

/* Puts the accumulator(s) where CMPXCHG will look, so that both outcomes happen. */
static void match_accumulator(struct round *r)
{
	struct emu e = r->e;
	struct drive d;
	unsigned int half;
	uint8_t *at;

	if (!r->is_mem)
		return;
	d = r->d;
	if (drive_run(&e, &d) != DRIVE_DONE)
		return;
	at = r->d.mem + (gva_raw(e.acc.addr) - NATIVE_BUF);
	if (r->form->op == 0xc7) {
		half = r->op_size == 8 ? 8 : 4;
		memcpy(at, &r->e.regs[EMU_RAX], half);
		memcpy(at + half, &r->e.regs[EMU_RDX], half);
	} else {
		memcpy(at, &r->e.regs[EMU_RAX], r->op_size);
	}
}

static void choose_segments(struct round *r)
{
	struct emu_seg *seg = r->e.seg;
	unsigned int i;

	for (i = 0; i < EMU_SEG_COUNT; i++)
		set_seg(&seg[i], &seg_kinds[0]);
	if (r->bits != 64) {
		set_seg(&seg[EMU_DS], &seg_kinds[rnd(r, 6)]);
		set_seg(&seg[EMU_ES], &seg_kinds[rnd(r, 6)]);
		set_seg(&seg[EMU_SS], &seg_kinds[rnd(r, 4)]);
	}
	seg[EMU_CS].selector = r->bits == 64 ? NATIVE_CS64 : r->bits == 32 ? NATIVE_CS32 :
			       NATIVE_LDT(L_CODE16);
	seg[EMU_FS].selector = 0;
	seg[EMU_GS].selector = 0;
	native_cur.ds = seg[EMU_DS].selector;
	native_cur.es = seg[EMU_ES].selector;
	native_cur.ss = seg[EMU_SS].selector;
}

static const char *hex(const uint8_t *bytes, unsigned int len)
{
	static char text[64];
	unsigned int i;

	for (i = 0; i < len && i < 20; i++)
		sprintf(text + 3 * i, "%02x ", bytes[i]);
	return text;
}

static void check_regs(const struct round *r, const struct emu *e)
{
	uint64_t mask = r->bits == 64 ? ~0ull : 0xffffffff;
	unsigned int i, count = r->bits == 64 ? 16 : 8, bad = 0;

	for (i = 0; i < count; i++)
		if ((e->regs[i] ^ native_cur.regs[i]) & mask) {
			test_report(false, __FILE__, __LINE__, "register %u is %#llx, native %#llx",
				    i, (unsigned long long)e->regs[i],
				    (unsigned long long)native_cur.regs[i]);
			bad++;
		}
	CHECK_EQ(bad, 0);
}

/*
 * An access that wraps at the end of a 4 GiB segment may violate the limit or not (SDM volume 3,
 * "Limit Checking"); there is nothing mapped there.
 */
static bool wraps(const struct round *r)
{
	return r->bits != 64 && native_cur.vector == 14 && native_cur.cr2 > 0xffffffff - EMU_ACC_BYTES &&
	       (r->e.fault.vector == EMU_GP || r->e.fault.vector == EMU_SSF);
}

/* CMPS has two sources; which of them faults first is each processor's choice. */
static bool is_cmps(const struct round *r)
{
	return r->form->map == 1 && (r->form->op & 0xfe) == 0xa6;
}

static void compare_native(struct round *r)
{
	struct emu *e = &r->e;
	uint16_t und = undefined_flags(r);
	uint64_t flags_in = e->rflags;
	enum drive_end end;
	uint64_t start = e->rip;

	memcpy((void *)NATIVE_BUF, r->d.mem, NATIVE_BUF_SIZE);
	memcpy(native_cur.regs, e->regs, sizeof(e->regs));
	memcpy(native_cur.xmm, e->xmm, sizeof(e->xmm));
	native_cur.flags_in = flags_in;
	end = drive_run(e, &r->d);
	if (end == DRIVE_WILD)
		return;		/* nobody knows what lives there */
	if (!CHECK(end != DRIVE_STUCK && end != DRIVE_UNHANDLED))
		return;
	native_run(r->bytes, r->len, r->bits, e->seg[EMU_CS].selector);
	native_settle(e);
	switch (end) {
	case DRIVE_DONE:
		CHECK_EQ(native_cur.vector, -1);
		CHECK_EQ(e->rip, start + r->len);
		break;
	case DRIVE_PAGE_FAULT:
		if (is_cmps(r)) {
			CHECK(native_cur.vector >= 0);
			break;
		}
		CHECK_EQ(native_cur.vector, 14);
		CHECK_EQ(r->d.pf_addr, native_cur.cr2);
		break;
	default:
		if (is_cmps(r) || wraps(r)) {
			CHECK(native_cur.vector >= 0);
			break;
		}
		CHECK_EQ(e->fault.vector, native_cur.vector);
		CHECK(!e->fault.has_error || e->fault.error == native_cur.error);
	}
	if (end != DRIVE_DONE)
		CHECK_EQ(e->rip, start);
	check_regs(r, e);
	CHECK_EQ(e->rflags & ARITH & ~und, native_cur.rflags & ARITH & ~und);
	CHECK_MEM_EQ(r->d.mem, (void *)NATIVE_BUF, NATIVE_BUF_SIZE);
	CHECK_MEM_EQ(e->xmm, native_cur.xmm, r->bits == 64 ? 256 : 128);
}

static void run_round(const struct form *f, unsigned int bits, uint64_t seed)
{
	static struct round r;
	struct emu *e = &r.e;
	unsigned int i;

	memset(&r, 0, sizeof(r));
	r.seed = seed;
	r.form = f;
	r.bits = bits;
	e->mode.cpu = bits == 64 ? EMU_CPU_LONG : EMU_CPU_PROT;
	e->mode.bits = bits;
	e->mode.cpl = 3;
	e->cr0 = 0x80000011;
	e->cr4 = 0x200;
	e->rip = bits == 16 ? 0 : NATIVE_CODE;
	for (i = 0; i < 16; i++)
		e->regs[i] = rnd_value(&r);
	for (i = 0; i < sizeof(e->xmm); i++)
		((uint8_t *)e->xmm)[i] = test_rand(&r.seed);
	for (i = 0; i < NATIVE_BUF_SIZE; i += 8) {
		uint64_t v = rnd(&r, 4) ? test_rand(&r.seed) : 0;

		memcpy(r.d.mem + i, &v, 8);
	}
	e->rflags = (test_rand(&r.seed) & NATIVE_FLAGS) | 0x202;
	choose_segments(&r);
	put_operands(&r);
	test_context("%u-bit %s(seed %#llx)", bits, hex(r.bytes, r.len), (unsigned long long)seed);
	if (!CHECK_EQ(emu_decode(&e->insn, r.bytes, sizeof(r.bytes), &e->mode), EMU_DECODED))
		return;
	if (!CHECK_EQ(e->insn.len, r.len))
		return;
	CHECK_EQ(emu_needs_xmm(&e->insn), !!(f->flags & FORM_SSE));
	if (f->flags & FORM_ACC && rnd(&r, 2))
		match_accumulator(&r);
	compare_native(&r);
}

#ifndef KEEL_COVERAGE
#define ROUNDS 400
#else
#define ROUNDS 60
#endif

static void test_native(void)
{
	static const unsigned int modes[] = { 64, 32, 16 };
	unsigned int i, m, n;
	uint64_t seed = 1;

	if (!native_init()) {
		SKIP("fixed low addresses are not free");
		return;
	}
	build_forms();
	for (m = 0; m < 3; m++) {
		if (modes[m] == 32 && !ldt_init()) {
			SKIP("no local descriptor table");
			break;
		}
		for (i = 0; i < form_count; i++) {
			if (forms[i].flags & (modes[m] == 64 ? FORM_LEGACY : FORM_LONG))
				continue;
			for (n = 0; n < ROUNDS; n++)
				run_round(&forms[i], modes[m], seed++);
		}
	}
	test_context("%s", "");
}

int main(void)
{
	test_native();
	return test_done("exec");
}
