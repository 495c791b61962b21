// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hardware task switch.
 *
 * Owns the order of checks, memory accesses and faults, and the new task's state. Does not own how
 * the switch was found (exit information, task gates) nor paging. Up to the commit nothing of the
 * old task has changed but its TSS and busy bits, which software never sees half done because all
 * of the new TSS has been read and the old one probed by then.
 *
 * Contexts: any. Manual sections: "Task Switching" and "Exception Conditions Checked During a Task
 * Switch" (Intel volume 3), "Task-Management Resources", "Switching Tasks" (AMD volume 2).
 */
#include "taskswitch.h"

enum ts_phase {
	PH_START,
	PH_TSS_DESC,		/* the new TSS descriptor has been read */
	PH_PROBED,		/* the old TSS is writable */
	PH_TSS_READ,		/* a block of the new TSS has been read */
	PH_TSS_SAVED,		/* a block of the old TSS has been written */
	PH_OLD_BUSY,
	PH_BACK_LINK,
	PH_NEW_BUSY,
	PH_LDT,
	PH_LDT_DESC,
	PH_SEGMENT,
	PH_SEG_DESC,
	PH_SEG_ACCESSED,
	PH_ERROR_CODE,
	PH_END,
};

#define FL_FIXED	0x00002u
#define FL_NT		0x04000u
#define FL_VM		0x20000u
#define CR0_TS_BIT	0x8ULL
#define CR0_PG_BIT	0x80000000ULL
#define DR7_LOCAL	0x155ULL	/* L0-L3 and LE end with the task */

#define TYPE_LDT	0x02
#define TYPE_TSS	0x01		/* 286; 386 has TYPE_386 too */
#define TYPE_BUSY	0x02
#define TYPE_386	0x08

/* Offsets in both forms of the TSS. */
#define TSS32_CR3	0x1c
#define TSS32_EIP	0x20
#define TSS32_ES	0x48
#define TSS32_LDT	0x60
#define TSS32_TRAP	0x64
#define TSS16_IP	0x0e
#define TSS16_ES	0x22
#define TSS16_LDT	0x2a

/* What is read of a new TSS and written to an old one, in blocks an effect can carry. */
struct block {
	u8 off, size;
};

static const struct block read_32[] = { { 0x1c, 32 }, { 0x3c, 32 }, { 0x5c, 12 } };
static const struct block read_16[] = { { 0x0e, 30 } };
static const struct block save_32[] = { { 0x20, 32 }, { 0x40, 32 } };
static const struct block save_16[] = { { 0x0e, 28 } };

static u16 get16(const u8 *at)
{
	return at[0] | at[1] << 8;
}

static u32 get32(const u8 *at)
{
	return get16(at) | (u32)get16(at + 2) << 16;
}

static void put(u8 *at, u8 size, u32 val)
{
	u8 i;

	for (i = 0; i < size; i++)
		at[i] = val >> (8 * i);
}

/* ---- effects ---- */

static enum emu_status effect(struct taskswitch *ts, enum emu_status what, u64 addr, u32 size,
			      enum ts_phase next)
{
	ts->acc.addr = to_gva((u32)addr);
	ts->acc.size = size;
	ts->acc.flags = EMU_ACC_SYSTEM;
	ts->run.phase = next;
	return what;
}

static enum emu_status write_byte(struct taskswitch *ts, u64 addr, u8 val, enum ts_phase next)
{
	ts->acc.bytes[0] = val;
	return effect(ts, EMU_WRITE, addr, 1, next);
}

static enum emu_status fail_code(struct taskswitch *ts, u8 vector, u16 code)
{
	ts->fault.vector = vector;
	ts->fault.has_error = true;
	ts->fault.error = code | ts->external;
	return EMU_FAULT;
}

static enum emu_status fail(struct taskswitch *ts, u8 vector, u16 selector)
{
	return fail_code(ts, vector, selector & 0xfffc);
}

/* Address of the descriptor a selector names, or false when its table does not hold it. */
static bool descriptor(const struct taskswitch *ts, u16 selector, u64 *addr)
{
	const struct emu_seg *ldt = &ts->state.ldtr;
	u32 off = selector & 0xfff8;

	if (selector & 4) {
		*addr = ldt->base + off;
		return ldt->attr & EMU_SEG_P && off + 7 <= ldt->limit;
	}
	*addr = gva_raw(ts->gdt_base) + off;
	return off + 7 <= ts->gdt_limit;
}

static bool is_null(u16 selector)
{
	return !(selector & 0xfffc);
}

static void set_seg(struct emu_seg *seg, u16 selector, const u8 *desc)
{
	seg->selector = selector;
	seg->attr = desc[5] | (desc[6] & 0xf0) << 4;
	seg->base = get16(desc + 2) | (u32)desc[4] << 16 | (u32)desc[7] << 24;
	seg->limit = get16(desc) | (u32)(desc[6] & 0xf) << 16;
	if (seg->attr & EMU_SEG_G)
		seg->limit = seg->limit << 12 | 0xfff;
}

static void set_absent(struct emu_seg *seg, u16 selector)
{
	memset(seg, 0, sizeof(*seg));
	seg->selector = selector;
}

static u8 dpl_of(const struct emu_seg *seg)
{
	return seg->attr >> 5 & 3;
}

/* ---- up to the commit: in the old task ---- */

static enum emu_status start(struct taskswitch *ts)
{
	u8 vector = ts->reason == TS_IRET ? EMU_TS : EMU_GP;
	u64 addr;

	if (is_null(ts->selector) || ts->selector & 4 || !descriptor(ts, ts->selector, &addr))
		return fail(ts, vector, ts->selector);
	return effect(ts, EMU_READ, addr, 8, PH_TSS_DESC);
}

static bool is_tss(const struct emu_seg *seg, bool busy)
{
	u16 want = TYPE_TSS | (busy ? TYPE_BUSY : 0);

	return (seg->attr & (EMU_SEG_S | EMU_SEG_TYPE) & ~TYPE_386) == want;
}

static u32 least_limit(const struct emu_seg *tss)
{
	return tss->attr & TYPE_386 ? 0x67 : 0x2b;
}

static enum emu_status check_tss(struct taskswitch *ts)
{
	struct emu_seg *tr = &ts->run.tr;
	const struct emu_seg *old = &ts->state.tr;
	bool iret = ts->reason == TS_IRET;

	set_seg(tr, ts->selector, ts->acc.bytes);
	if (!is_tss(tr, iret))
		return fail(ts, iret ? EMU_TS : EMU_GP, ts->selector);
	if (ts->check_dpl && (ts->cpl > dpl_of(tr) || (ts->selector & 3) > dpl_of(tr)))
		return fail(ts, EMU_GP, ts->selector);
	if (!(tr->attr & EMU_SEG_P))
		return fail(ts, EMU_NP, ts->selector);
	if (tr->limit < least_limit(tr))
		return fail(ts, EMU_TS, ts->selector);
	if (old->limit < least_limit(old))
		return fail(ts, EMU_TS, old->selector);
	ts->run.big = tr->attr & TYPE_386;
	return effect(ts, EMU_PROBE, old->base, least_limit(old) + 1, PH_PROBED);
}

static enum emu_status read_block(struct taskswitch *ts)
{
	const struct block *b = ts->run.big ? &read_32[ts->run.index] : &read_16[ts->run.index];

	return effect(ts, EMU_READ, ts->run.tr.base + b->off, b->size, PH_TSS_READ);
}

/* A block of the old task's state, in the form of its TSS. */
static void fill_save(struct taskswitch *ts, const struct block *b, bool big)
{
	const struct ts_state *s = &ts->state;
	u8 image[0x68] = { 0 }, size = big ? 4 : 2, *at = image + (big ? TSS32_EIP : TSS16_IP), i;
	u32 eflags = s->eflags;

	if (ts->reason == TS_IRET)
		eflags &= ~FL_NT;
	put(at, size, s->eip);
	put(at + size, size, eflags);
	for (i = 0; i < 8; i++)
		put(at + (2 + i) * size, size, s->regs[i]);
	for (i = 0; i < (big ? 6 : 4); i++)
		put(at + (10 + i) * size, size, s->seg[i].selector);
	memcpy(ts->acc.bytes, image + b->off, b->size);
}

static enum emu_status save_block(struct taskswitch *ts)
{
	bool big = ts->state.tr.attr & TYPE_386;
	const struct block *b = big ? &save_32[ts->run.index] : &save_16[ts->run.index];

	fill_save(ts, b, big);
	return effect(ts, EMU_WRITE, ts->state.tr.base + b->off, b->size, PH_TSS_SAVED);
}

static enum emu_status after_read(struct taskswitch *ts)
{
	const struct block *b = ts->run.big ? &read_32[ts->run.index] : &read_16[ts->run.index];

	memcpy(ts->run.image + b->off, ts->acc.bytes, b->size);
	ts->run.index++;
	if (ts->run.index < (ts->run.big ? ARRAY_SIZE(read_32) : ARRAY_SIZE(read_16)))
		return read_block(ts);
	ts->run.index = 0;
	return save_block(ts);
}

static bool nests(const struct taskswitch *ts)
{
	return ts->reason == TS_CALL || ts->reason == TS_GATE;
}

static u64 tss_access_byte(const struct taskswitch *ts, u16 selector)
{
	return gva_raw(ts->gdt_base) + (selector & 0xfff8) + 5;
}

/* JMP and IRET leave the old task for good; CALL and gates keep it busy and linked. */
static enum emu_status after_save(struct taskswitch *ts)
{
	const struct emu_seg *old = &ts->state.tr;

	ts->run.index++;
	if (ts->run.index < (old->attr & TYPE_386 ? ARRAY_SIZE(save_32) : ARRAY_SIZE(save_16)))
		return save_block(ts);
	if (!nests(ts))
		return write_byte(ts, tss_access_byte(ts, old->selector),
				  (u8)old->attr & ~TYPE_BUSY, PH_OLD_BUSY);
	put(ts->acc.bytes, 2, old->selector);
	return effect(ts, EMU_WRITE, ts->run.tr.base, 2, PH_BACK_LINK);
}

/* ---- commit ---- */

static void load_registers(struct taskswitch *ts)
{
	struct ts_state *s = &ts->state;
	const u8 *image = ts->run.image, *at = image + (ts->run.big ? TSS32_EIP : TSS16_IP);
	u8 size = ts->run.big ? 4 : 2, i;

	s->eip = size == 4 ? get32(at) : get16(at);
	s->eflags = size == 4 ? get32(at + 4) : get16(at + 2);
	for (i = 0; i < 8; i++)
		s->regs[i] = size == 4 ? get32(at + 8 + 4 * i) : get16(at + 4 + 2 * i);
	at = image + (ts->run.big ? TSS32_ES : TSS16_ES);
	for (i = 0; i < EMU_SEG_COUNT; i++)
		set_absent(&s->seg[i], size == 4 || i < EMU_FS ? get16(at + size * i) : 0);
	ts->run.ldt = get16(image + (ts->run.big ? TSS32_LDT : TSS16_LDT));
	ts->debug_trap = size == 4 && image[TSS32_TRAP] & 1;
}

static enum emu_status commit(struct taskswitch *ts)
{
	struct ts_state *s = &ts->state;

	load_registers(ts);
	s->eflags |= FL_FIXED | (nests(ts) ? FL_NT : 0);
	s->tr = ts->run.tr;
	s->cr0 |= CR0_TS_BIT;
	s->dr7 &= ~DR7_LOCAL;
	if (ts->run.big && s->cr0 & CR0_PG_BIT)
		s->cr3 = get32(ts->run.image + TSS32_CR3);
	set_absent(&s->ldtr, ts->run.ldt);
	ts->cpl = s->eflags & FL_VM ? 3 : s->seg[EMU_CS].selector & 3;
	ts->run.phase = PH_LDT;
	return EMU_AGAIN;
}

static enum emu_status mark_busy(struct taskswitch *ts)
{
	ts->run.tr.attr |= TYPE_BUSY;
	if (ts->reason == TS_IRET)	/* it is already */
		return commit(ts);
	return write_byte(ts, tss_access_byte(ts, ts->selector), ts->run.tr.attr, PH_NEW_BUSY);
}

/* ---- from the commit on: in the new task ---- */

/* CS first: the others are held against its privilege. */
static const u8 load_order[EMU_SEG_COUNT] = { EMU_CS, EMU_SS, EMU_ES, EMU_DS, EMU_FS, EMU_GS };

static enum emu_status load_ldt(struct taskswitch *ts)
{
	u64 addr;

	ts->run.index = 0;
	if (is_null(ts->run.ldt)) {
		ts->run.phase = PH_SEGMENT;
		return EMU_DONE;
	}
	if (ts->run.ldt & 4 || !descriptor(ts, ts->run.ldt, &addr))
		return fail(ts, EMU_TS, ts->run.ldt);
	return effect(ts, EMU_READ, addr, 8, PH_LDT_DESC);
}

static enum emu_status check_ldt(struct taskswitch *ts)
{
	struct emu_seg ldt;

	set_seg(&ldt, ts->run.ldt, ts->acc.bytes);
	if ((ldt.attr & (EMU_SEG_S | EMU_SEG_TYPE)) != TYPE_LDT || !(ldt.attr & EMU_SEG_P))
		return fail(ts, EMU_TS, ts->run.ldt);
	ts->state.ldtr = ldt;
	ts->run.phase = PH_SEGMENT;
	return EMU_DONE;
}

static void set_vm86(struct emu_seg *seg)
{
	seg->base = (u32)seg->selector << 4;
	seg->limit = 0xffff;
	seg->attr = EMU_SEG_P | EMU_SEG_DPL | EMU_SEG_S | 3;
}

static enum emu_status load_segment(struct taskswitch *ts)
{
	struct ts_state *s = &ts->state;
	u8 which, i;
	u64 addr;

	if (s->eflags & FL_VM) {
		for (i = 0; i < EMU_SEG_COUNT; i++)
			set_vm86(&s->seg[i]);
		ts->run.index = EMU_SEG_COUNT;
	}
	if (ts->run.index == EMU_SEG_COUNT) {
		ts->run.phase = PH_ERROR_CODE;
		return EMU_DONE;
	}
	which = load_order[ts->run.index];
	if (is_null(s->seg[which].selector) && which != EMU_CS && which != EMU_SS) {
		ts->run.index++;
		return EMU_DONE;
	}
	if (is_null(s->seg[which].selector) || !descriptor(ts, s->seg[which].selector, &addr))
		return fail(ts, EMU_TS, s->seg[which].selector);
	return effect(ts, EMU_READ, addr, 8, PH_SEG_DESC);
}

#define TYPE_CODE	0x8
#define TYPE_CONFORMING	0x4	/* of code */
#define TYPE_READ_WRITE	0x2	/* code: readable, data: writable */
#define TYPE_ACCESSED	0x1

/* Is the segment of the kind, and of the privilege, that this register takes? */
static bool segment_fits(const struct taskswitch *ts, const struct emu_seg *seg, u8 which)
{
	u8 rpl = seg->selector & 3, dpl = dpl_of(seg);
	bool code = seg->attr & TYPE_CODE, rw = seg->attr & TYPE_READ_WRITE;
	bool conforming = code && seg->attr & TYPE_CONFORMING;

	if (!(seg->attr & EMU_SEG_S))
		return false;
	switch (which) {
	case EMU_CS:
		return code && (conforming ? dpl <= rpl : dpl == rpl);
	case EMU_SS:
		return !code && rw && dpl == ts->cpl && rpl == ts->cpl;
	default:
		return (!code || rw) && (conforming || (dpl >= ts->cpl && dpl >= rpl));
	}
}

static enum emu_status check_segment(struct taskswitch *ts)
{
	u8 which = load_order[ts->run.index];
	u16 selector = ts->state.seg[which].selector;
	struct emu_seg seg;
	u64 addr = 0;

	if (ts->run.phase == PH_SEG_DESC) {
		memcpy(ts->run.desc, ts->acc.bytes, sizeof(ts->run.desc));
		set_seg(&seg, selector, ts->run.desc);
		if (!segment_fits(ts, &seg, which))
			return fail(ts, EMU_TS, selector);
		if (!(seg.attr & EMU_SEG_P))
			return fail(ts, which == EMU_SS ? EMU_SSF : EMU_NP, selector);
		if (!(seg.attr & TYPE_ACCESSED)) {
			ts->run.desc[5] |= TYPE_ACCESSED;
			descriptor(ts, selector, &addr);
			return write_byte(ts, addr + 5, ts->run.desc[5], PH_SEG_ACCESSED);
		}
	}
	set_seg(&ts->state.seg[which], selector, ts->run.desc);
	ts->run.index++;
	ts->run.phase = PH_SEGMENT;
	return EMU_DONE;
}

static enum emu_status push_error(struct taskswitch *ts)
{
	struct ts_state *s = &ts->state;
	const struct emu_seg *ss = &s->seg[EMU_SS];
	u32 size = ts->run.big ? 4 : 2, mask = ss->attr & EMU_SEG_DB ? 0xffffffff : 0xffff, off;
	u64 last;
	bool down = (ss->attr & (TYPE_CODE | TYPE_CONFORMING)) == TYPE_CONFORMING;

	ts->run.phase = PH_END;
	if (!ts->has_error)
		return EMU_DONE;
	off = (s->regs[EMU_RSP] - size) & mask;
	last = (u64)off + size - 1;
	if (down ? off <= ss->limit || last > mask : last > ss->limit)
		return fail_code(ts, EMU_SSF, 0);
	ts->run.esp = (s->regs[EMU_RSP] & ~mask) | off;
	put(ts->acc.bytes, size, ts->error);
	effect(ts, EMU_WRITE, ss->base + off, size, PH_END);
	ts->acc.flags = 0;
	return EMU_WRITE;
}

static enum emu_status end(struct taskswitch *ts)
{
	if (ts->has_error)
		ts->state.regs[EMU_RSP] = ts->run.esp;
	if (ts->state.eip > ts->state.seg[EMU_CS].limit)
		return fail_code(ts, EMU_GP, 0);
	return EMU_DONE;
}

/* Phases of the new task that need no effect answer EMU_DONE to go on with the next. */
static enum emu_status new_task(struct taskswitch *ts)
{
	enum emu_status status = EMU_DONE;

	while (status == EMU_DONE) {
		switch (ts->run.phase) {
		case PH_LDT:
			status = load_ldt(ts);
			break;
		case PH_LDT_DESC:
			status = check_ldt(ts);
			break;
		case PH_SEGMENT:
			status = load_segment(ts);
			break;
		case PH_SEG_DESC:
		case PH_SEG_ACCESSED:
			status = check_segment(ts);
			break;
		case PH_ERROR_CODE:
			status = push_error(ts);
			break;
		default:
			return end(ts);
		}
	}
	return status;
}

void ts_start(struct taskswitch *ts)
{
	memset(&ts->run, 0, sizeof(ts->run));
	ts->debug_trap = false;
}

enum emu_status ts_step(struct taskswitch *ts)
{
	switch (ts->run.phase) {
	case PH_START:
		return start(ts);
	case PH_TSS_DESC:
		return check_tss(ts);
	case PH_PROBED:
		return read_block(ts);
	case PH_TSS_READ:
		return after_read(ts);
	case PH_TSS_SAVED:
		return after_save(ts);
	case PH_OLD_BUSY:
	case PH_BACK_LINK:
		return mark_busy(ts);
	case PH_NEW_BUSY:
		return commit(ts);
	default:
		return new_task(ts);
	}
}
