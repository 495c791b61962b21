/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The local APIC the naive way: a bool for each vector, priorities found by trying all vectors,
 * registers by a table, time in 128 bits. play_lapic() does one random operation to it and to the
 * code under test and compares everything that can be seen.
 *
 * The includer defines draw(), a random u32, and MODEL_CHECK(condition).
 */
#ifndef KEEL_PURE_REF_LAPIC_H
#define KEEL_PURE_REF_LAPIC_H

#include "lapic.h"

typedef unsigned __int128 u128;

struct ref {
	struct lapic_config config;
	u32 id;
	bool on, x2;
	bool irr[256], isr[256], tmr[256];
	u32 xapic_id, ldr, dfr, tpr, svr, esr, errors, icr, icr2, lvt[7], initial, divide;
	bool armed;
	u128 due;
	u64 deadline;
};

static struct ref ref;
static struct lapic dut;
static u64 ref_now, ref_tsc;

/* "Local APIC Register Address Map" and "... Supported by x2APIC". */
static const struct ref_row {
	u32 first, last;
	bool x_exists, x2_read, x2_write;
	u32 valid;			/* bits a write in x2APIC mode may set */
} ref_rows[] = {
	{ 0x20, 0x20, 1, 1, 0 }, { 0x30, 0x30, 1, 1, 0 }, { 0x80, 0x80, 1, 1, 1, 0xff },
	{ 0x90, 0x90, 1, 0, 0 }, { 0xa0, 0xa0, 1, 1, 0 }, { 0xb0, 0xb0, 1, 0, 1, 0 },
	{ 0xc0, 0xc0, 1, 0, 0 }, { 0xd0, 0xd0, 1, 1, 0 }, { 0xe0, 0xe0, 1, 0, 0 },
	{ 0xf0, 0xf0, 1, 1, 1, 0x13ff }, { 0x100, 0x270, 1, 1, 0 }, { 0x280, 0x280, 1, 1, 1, 0 },
	{ 0x2f0, 0x2f0, 1, 1, 1, 0x117ff }, { 0x300, 0x300, 1, 1, 1, 0xcdfff },
	{ 0x310, 0x310, 1, 0, 0 }, { 0x320, 0x320, 1, 1, 1, 0x710ff },
	{ 0x330, 0x340, 1, 1, 1, 0x117ff }, { 0x350, 0x360, 1, 1, 1, 0x1f7ff },
	{ 0x370, 0x370, 1, 1, 1, 0x110ff }, { 0x380, 0x380, 1, 1, 1, 0xffffffff },
	{ 0x390, 0x390, 1, 1, 0 }, { 0x3e0, 0x3e0, 1, 1, 1, 0xb }, { 0x3f0, 0x3f0, 0, 0, 1, 0xff },
};

static const struct ref_row *ref_row(u32 offset)
{
	if (offset & 0xf || (offset == 0x2f0 && !ref.config.cmci))
		return NULL;
	for_each_row(row, ref_rows)
		if (offset >= row->first && offset <= row->last)
			return row;
	return NULL;
}

static u32 ref_valid(const struct ref_row *row)
{
	u32 valid = row->valid;

	if (row->first == 0xf0 && !ref.config.directed_eoi)
		valid &= ~0x1000u;
	if (row->first == 0x320 && !ref.config.tsc_deadline)
		valid &= ~0x40000u;
	return valid;
}

static int ref_top(const bool *set)
{
	int top = -1;

	for (int v = 0; v < 256; v++)
		if (set[v])
			top = v;
	return top;
}

static int ref_class(int vector)
{
	return vector < 0 ? 0 : vector / 16;
}

static u32 ref_ppr(void)
{
	int service = ref_class(ref_top(ref.isr));

	return ref.tpr / 16 >= (u32)service ? ref.tpr : (u32)service * 16;
}

static bool ref_usable(void)
{
	return ref.on && ref.svr & 0x100;
}

/* The highest requested vector that a processor with priority class @above would take. */
static int ref_choice(int above)
{
	for (int v = 255; v >= 0; v--)
		if (ref.irr[v] && ref_class(v) > above)
			return ref_usable() ? v : -1;
	return -1;
}

static int ref_pending(void)
{
	return ref_choice(ref_ppr() / 16);
}

static int ref_blocked(void)
{
	int without_tpr = ref_choice(ref_class(ref_top(ref.isr)));

	return without_tpr != ref_pending() ? without_tpr : -1;
}

static void ref_request(int vector, bool level)
{
	ref.irr[vector] = true;
	ref.tmr[vector] = level;
}

static void ref_error(u32 bit)
{
	bool first = !ref.errors;

	ref.errors |= bit;
	if (!first || ref.lvt[LAPIC_LVT_ERROR] & 0x10000)
		return;
	if ((ref.lvt[LAPIC_LVT_ERROR] & 0xff) < 16)
		ref.errors |= 0x40;
	else
		ref_request(ref.lvt[LAPIC_LVT_ERROR] & 0xff, false);
}

static void ref_post(int vector, bool level)
{
	if (!ref.on)
		return;
	if (vector < 16)
		ref_error(0x40);
	else
		ref_request(vector, level);
}

static bool ref_deliver(int which, struct lapic_effect *fx)
{
	static const u16 effect[8] = {
		[2] = LAPIC_FX_SMI, [4] = LAPIC_FX_NMI, [5] = LAPIC_FX_INIT, [7] = LAPIC_FX_EXTINT,
	};
	u32 lvt = ref.lvt[which];

	if (which == LAPIC_LVT_CMCI && !ref.config.cmci)
		return false;
	if (!ref.on) {
		fx->flags |= which == LAPIC_LVT_LINT0 ? LAPIC_FX_EXTINT :
			     which == LAPIC_LVT_LINT1 ? LAPIC_FX_NMI : 0;
		return fx->flags;
	}
	if (lvt & 0x10000)
		return false;
	if (which == LAPIC_LVT_PERF && ref.config.masks_perf)
		ref.lvt[which] |= 0x10000;
	if (!(lvt & 0x700)) {
		ref_post(lvt & 0xff, false);
		fx->flags |= LAPIC_FX_EVAL;
		return true;
	}
	fx->flags |= effect[lvt >> 8 & 7];
	return effect[lvt >> 8 & 7];
}

static int ref_mode(void)
{
	return ref.lvt[LAPIC_LVT_TIMER] >> 17 & 3;
}

static u64 ref_tick(void)
{
	static const u8 divisor[16] = { 2, 4, 8, 16, [8] = 32, 64, 128, 1 };

	return (u64)ref.config.bus_ns * divisor[ref.divide];
}

static u128 ref_span(u32 count)
{
	u128 span = (u128)count * ref_tick();

	return ref_mode() == 1 && span < ref.config.min_period_ns ? ref.config.min_period_ns : span;
}

static u32 ref_count(void)
{
	u128 due = ref.due, count = 0, period;

	if (!ref.armed || ref_mode() > 1)
		return 0;
	if (ref_mode() == 1 && due <= ref_now) {
		period = ref_span(ref.initial);
		due += (ref_now - due) / period * period;
		while (due <= ref_now)
			due += period;
	}
	if (due > ref_now)
		count = (due - ref_now + ref_tick() - 1) / ref_tick();
	return count > ref.initial ? ref.initial : count;
}

static void ref_start(u32 count)
{
	ref.armed = count && ref_mode() < 2 && ref.on;
	ref.due = ref_now + ref_span(count);
}

static bool ref_expire(void)
{
	struct lapic_effect none = {};
	u128 period;

	if (!ref.armed || (ref_mode() == 2 ? ref_tsc < ref.deadline : ref_now < ref.due))
		return false;
	if (ref_mode() == 1) {
		period = ref_span(ref.initial);
		ref.due += (ref_now - ref.due) / period * period;
		while (ref.due <= ref_now)
			ref.due += period;
	} else {
		ref.armed = false;
		ref.deadline = 0;
	}
	return ref_deliver(LAPIC_LVT_TIMER, &none);
}

static void ref_settle(void)
{
	if (ref_mode() != 2)
		ref_expire();
}

static void ref_set_lvt_timer(u32 value)
{
	int old = ref_mode();

	ref_settle();
	ref.lvt[LAPIC_LVT_TIMER] = value;
	if (old != ref_mode() && (old > 1 || ref_mode() > 1)) {
		ref.armed = false;
		ref.deadline = 0;
		ref.initial = 0;
	}
}

static u32 ref_ldr(void)
{
	return ref.x2 ? ref.id / 16 << 16 | 1u << ref.id % 16 : ref.ldr;
}

static u32 ref_word(const bool *set)
{
	u32 word = 0;

	for (int i = 0; i < 32; i++)
		word |= (u32)set[i] << i;
	return word;
}

static u32 ref_read(u32 offset)
{
	switch (offset) {
	case 0x20:
		return ref.x2 ? ref.id : ref.xapic_id;
	case 0x30:
		return 0x14 | (ref.config.cmci ? 6 : 5) << 16 |
		       (u32)ref.config.directed_eoi << 24;
	case 0x80:
		return ref.tpr;
	case 0xa0:
		return ref_ppr();
	case 0xd0:
		return ref_ldr();
	case 0xe0:
		return ref.dfr;
	case 0xf0:
		return ref.svr;
	case 0x100 ... 0x170:
		return ref_word(ref.isr + (offset - 0x100) * 2);
	case 0x180 ... 0x1f0:
		return ref_word(ref.tmr + (offset - 0x180) * 2);
	case 0x200 ... 0x270:
		return ref_word(ref.irr + (offset - 0x200) * 2);
	case 0x280:
		return ref.esr;
	case 0x2f0:
		return ref.lvt[6];
	case 0x300:
		return ref.icr;
	case 0x310:
		return ref.icr2;
	case 0x320 ... 0x370:
		return ref.lvt[(offset - 0x320) / 16];
	case 0x380:
		return ref.initial;
	case 0x390:
		return ref_count();
	case 0x3e0:
		return ref.divide;
	}
	return 0;
}

static void ref_eoi(struct lapic_effect *fx)
{
	int vector = ref_top(ref.isr);

	if (vector < 0)
		return;
	ref.isr[vector] = false;
	fx->eoi_vector = vector;
	fx->flags |= LAPIC_FX_EOI | LAPIC_FX_EVAL;
	if (ref.tmr[vector] && !(ref.svr & 0x1000))
		fx->flags |= LAPIC_FX_EOI_LEVEL;
}

static void ref_self_ipi(int vector, struct lapic_effect *fx)
{
	fx->flags |= LAPIC_FX_EVAL;
	if (vector < 16)
		ref_error(0x20);
	else if (ref_usable())
		ref_request(vector, false);
}

static void ref_icr(u32 low, u32 high, struct lapic_effect *fx)
{
	int mode = low >> 8 & 7, to = low >> 18 & 3;

	ref.icr = low & ~0x1000u;
	ref.icr2 = high;
	if (mode < 2 && ((low & 0xff) < 16 || to == 1)) {
		ref_self_ipi(low & 0xff, fx);
		return;
	}
	if (mode == 3 || mode == 7 || (mode == 5 && !(low & 0x4000) && low & 0x8000))
		return;
	fx->flags |= LAPIC_FX_IPI;
	fx->ipi.mode = mode;
	fx->ipi.vector = low;
	fx->ipi.shorthand = to;
	fx->ipi.logical = low >> 11 & 1;
	fx->ipi.level_assert = low >> 14 & 1;
	fx->ipi.wide = ref.x2;
	fx->ipi.dest = ref.x2 ? high : high >> 24;
}

static void ref_set_lvt(int which, u32 value, struct lapic_effect *fx)
{
	u32 offset = which == 6 ? 0x2f0 : 0x320 + 16 * which;

	/* Delivery status and remote IRR are read-only. */
	value &= ref_valid(ref_row(offset)) & ~0x5000u;
	if (!(ref.svr & 0x100))
		value |= 0x10000;
	fx->flags |= LAPIC_FX_EVAL;
	if (which) {
		ref.lvt[which] = value;
		return;
	}
	ref_set_lvt_timer(value);
	fx->flags |= LAPIC_FX_TIMER;
}

/* A write that the mode lets through. */
static void ref_write(u32 offset, u32 value, struct lapic_effect *fx)
{
	u32 count, old = ref.svr;

	switch (offset) {
	case 0x20:
	case 0xd0:
		*(offset == 0x20 ? &ref.xapic_id : &ref.ldr) = value & 0xff000000;
		fx->flags |= LAPIC_FX_ADDR;
		break;
	case 0x80:
		ref.tpr = value & 0xff;
		fx->flags |= LAPIC_FX_EVAL;
		break;
	case 0xb0:
		ref_eoi(fx);
		break;
	case 0xe0:
		ref.dfr = value | 0x0fffffff;
		fx->flags |= LAPIC_FX_ADDR;
		break;
	case 0xf0:
		ref.svr = value & ref_valid(ref_row(0xf0));
		if ((old ^ ref.svr) & 0x100)
			fx->flags |= LAPIC_FX_ADDR | LAPIC_FX_EVAL;
		if (old & ~ref.svr & 0x100)
			for (int i = 0; i < 7; i++)
				ref.lvt[i] |= 0x10000;
		break;
	case 0x280:
		ref.esr = ref.errors;
		ref.errors = 0;
		break;
	case 0x2f0:
		ref_set_lvt(6, value, fx);
		break;
	case 0x300:
		ref_icr(value, ref.icr2, fx);
		break;
	case 0x310:
		ref.icr2 = value & 0xff000000;
		break;
	case 0x320 ... 0x370:
		ref_set_lvt((offset - 0x320) / 16, value, fx);
		break;
	case 0x380:
		fx->flags |= LAPIC_FX_TIMER;
		if (ref_mode() == 2)
			break;
		ref_settle();
		ref.initial = value;
		ref_start(value);
		break;
	case 0x3e0:
		fx->flags |= LAPIC_FX_TIMER;
		ref_settle();
		count = ref_count();
		ref.divide = value & 0xb;
		if (count)
			ref.due = ref_now + (u128)count * ref_tick();
		break;
	case 0x3f0:
		ref_self_ipi(value, fx);
		break;
	}
}

static void ref_reset(bool keep_id)
{
	struct ref old = ref;

	memset(&ref, 0, sizeof(ref));
	ref.config = old.config;
	ref.id = old.id;
	ref.on = old.on;
	ref.x2 = old.x2;
	ref.xapic_id = keep_id ? old.xapic_id : old.id << 24;
	ref.dfr = ~0u;
	ref.svr = 0xff;
	for (int i = 0; i < 7; i++)
		ref.lvt[i] = 0x10000;
	if (ref.config.lint0_extint)
		ref.lvt[LAPIC_LVT_LINT0] = 0x700;
}

static void ref_set_base(u64 base, struct lapic_effect *fx)
{
	bool on = base >> 11 & 1, x2 = on && base >> 10 & 1;

	if (on == ref.on && x2 == ref.x2)
		return;
	fx->flags |= LAPIC_FX_TIMER | LAPIC_FX_EVAL | LAPIC_FX_ADDR;
	if (ref.on && x2) {
		ref.icr &= 0xccfff;
		ref.icr2 = 0;
		ref.dfr = ~0u;
		ref.x2 = true;
		return;
	}
	ref.on = on;
	ref.x2 = x2;
	ref_reset(false);
}

static u32 ref_page(const u8 *page, u32 offset)
{
	u32 value;

	memcpy(&value, page + offset, 4);
	return value;
}

static bool ref_import(const u8 *page, unsigned int api)
{
	u32 current = ref_page(page, 0x390), id = ref_page(page, 0x20);
	bool ran_down = ref.on && ref_mode() == 0 && !ref.armed;
	u32 before = ref.initial;

	if (ref.x2 && api & LAPIC_API_IDS32 && id != ref.id)
		return false;
	ref_set_lvt_timer(ref_page(page, 0x320) & ref_valid(ref_row(0x320)) & ~0x1000u);
	for (int i = 1; i < 6; i++)
		ref.lvt[i] = ref_page(page, 0x320 + 16 * i) &
			     ref_valid(ref_row(0x320 + 16 * i)) & ~0x5000u;
	ref.lvt[6] = ref_page(page, 0x2f0) & 0x107ff;
	ref.xapic_id = id & 0xff000000;
	ref.ldr = ref_page(page, 0xd0) & 0xff000000;
	ref.dfr = ref.x2 ? ~0u : ref_page(page, 0xe0) | 0x0fffffff;
	ref.tpr = ref_page(page, 0x80) & 0xff;
	ref.svr = ref_page(page, 0xf0) & ref_valid(ref_row(0xf0));
	ref.esr = ref_page(page, 0x280) & 0xff;
	ref.errors = 0;
	ref.icr = ref_page(page, 0x300) & (ref.x2 ? 0xccfff : ~0x1000u);
	ref.icr2 = ref_page(page, 0x310) & (ref.x2 ? ~0u : 0xff000000);
	ref.divide = ref_page(page, 0x3e0) & 0xb;
	ref.initial = ref_page(page, 0x380);
	for (int v = 0; v < 256; v++) {
		u32 at = v / 32 * 16, bit = v % 32;

		ref.isr[v] = ref_page(page, 0x100 + at) >> bit & 1;
		ref.tmr[v] = ref_page(page, 0x180 + at) >> bit & 1;
		ref.irr[v] = ref_page(page, 0x200 + at) >> bit & 1;
	}
	if (ref_mode() == 0 && ran_down && !current && before == ref.initial)
		ref.armed = false;
	else if (ref_mode() != 2)
		ref_start(current && current < ref.initial ? current : ref.initial);
	return true;
}

/* Everything visible is the same on both sides. */
static void ref_compare(void)
{
	u8 page[LAPIC_PAGE_SIZE], want[LAPIC_PAGE_SIZE] = {};
	struct lapic_addr addr;
	u64 when = 0;
	enum lapic_timer_kind kind = lapic_timer_next(&dut, &when);

	for (u32 offset = 0; offset < LAPIC_PAGE_SIZE; offset += 16) {
		u32 value = ref_read(offset);

		memcpy(want + offset, &value, 4);
	}
	memset(page, 0x5a, sizeof(page));
	lapic_export(&dut, ref_now, LAPIC_API_IDS32, page);
	MODEL_CHECK(!memcmp(page, want, sizeof(page)));
	MODEL_CHECK(lapic_pending(&dut) == ref_pending());
	MODEL_CHECK(lapic_blocked_by_tpr(&dut) == ref_blocked());
	MODEL_CHECK(lapic_get_cr8(&dut) == ref.tpr >> 4);
	MODEL_CHECK(lapic_get_deadline(&dut) == ref.deadline);
	MODEL_CHECK(dut.esr_pending == ref.errors);
	MODEL_CHECK(lapic_accept_pic(&dut) ==
		    (!ref.on || (ref.lvt[LAPIC_LVT_LINT0] & 0x10700) == 0x700));
	MODEL_CHECK((kind != LAPIC_TIMER_NONE) == ref.armed);
	if (ref.armed) {
		MODEL_CHECK(kind == (ref_mode() == 2 ? LAPIC_TIMER_TSC : LAPIC_TIMER_NS));
		MODEL_CHECK(when == (ref_mode() == 2 ? ref.deadline : ref.due));
	}
	lapic_addr(&dut, &addr);
	MODEL_CHECK(addr.id == ref.id && addr.x2apic == ref.x2 && addr.hw_enabled == ref.on);
	MODEL_CHECK(addr.sw_enabled == ref_usable() && addr.cluster == !(ref.dfr >> 28));
	MODEL_CHECK(addr.xapic_id == (ref.x2 ? (u8)ref.id : ref.xapic_id >> 24));
	MODEL_CHECK(addr.ldr == (ref.x2 ? ref_ldr() : ref.ldr >> 24));
}

static void ref_compare_fx(const struct lapic_effect *got, const struct lapic_effect *want)
{
	/* A timer that is in another mode may be asked in vain. */
	MODEL_CHECK(got->flags == want->flags);
	if (want->flags & LAPIC_FX_EOI)
		MODEL_CHECK(got->eoi_vector == want->eoi_vector);
	if (want->flags & LAPIC_FX_IPI)
		MODEL_CHECK(!memcmp(&got->ipi, &want->ipi, sizeof(got->ipi)));
}

/* Register values: anything, or few bits, or an LVT entry, or a plausible ICR. */
static u32 draw_value(void)
{
	u32 value = draw();

	switch (draw() & 7) {
	case 0:
		return value;
	case 1:
		return value & 0x1ff;
	case 2:
		return value & 0x707ff & draw();
	case 3:
		return value & 0x600ff;
	case 4:
		return value & 0xff00010b;
	case 5:
		return value & 0xcdfff;
	case 6:
		return value & 0xff;
	}
	return value & 0x13ff;
}

static u32 draw_offset(void)
{
	u32 at = draw();

	return at & 0xf000 ? at >> 4 & 0x3f0 : at & 0x7ff;
}

static void play_access(void)
{
	struct lapic_effect got = {}, want = {};
	u32 offset = draw_offset(), value = draw_value();
	const struct ref_row *row = ref_row(offset);
	u64 wide = draw() & 3 ? value : (u64)draw() << 32 | value, read = 0;
	bool ok;

	if (draw() & 1) {		/* loads */
		if (!ref.x2) {
			u32 loaded = lapic_read(&dut, offset, ref_now);

			if (!(offset & 0xf) && (!row || !row->x_exists))
				ref_error(0x80);
			MODEL_CHECK(loaded == (row && row->x_exists ? ref_read(offset) : 0));
		}
		ok = lapic_msr_read(&dut, 0x800 + (offset >> 4), ref_now, &read);
		row = ref_row(offset & ~0xfu);
		MODEL_CHECK(ok == (ref.x2 && row && row->x2_read));
		if (ok)
			MODEL_CHECK(read == (ref_read(offset & ~0xfu) |
					     (offset >> 4 == 0x30 ? (u64)ref.icr2 << 32 : 0)));
	} else if (!ref.x2) {
		lapic_write(&dut, offset, value, ref_now, &got);
		if (row && row->x_exists)
			ref_write(offset, value, &want);
		else if (!(offset & 0xf))
			ref_error(0x80);
	} else {
		offset &= ~0xfu;
		row = ref_row(offset);
		ok = row && row->x2_write && !((u32)wide & ~ref_valid(row)) &&
		     (offset == 0x300 || !(wide >> 32));
		MODEL_CHECK(lapic_msr_write(&dut, 0x800 + (offset >> 4), wide, ref_now, &got) == ok);
		if (ok && offset == 0x300)
			ref_icr(wide, wide >> 32, &want);
		else if (ok)
			ref_write(offset, wide, &want);
	}
	ref_compare_fx(&got, &want);
}

static void play_interrupt(void)
{
	struct lapic_effect got = {}, want = {};
	u64 pir[4] = {}, level[4] = {};
	u32 how = draw();
	int vector = draw() & 0xff;

	switch (how & 7) {
	case 0:
		for (u32 n = how >> 8 & 3; n < 4; n++) {
			int v = draw() & 0xff;

			pir[v / 64] |= 1ULL << v % 64;
			level[n] = (u64)draw() << 32 | draw();
		}
		/* An error interrupt comes before the others, so its TMR bit can be overwritten. */
		if (pir[0] & 0xffff && ref.on)
			ref_error(0x40);
		for (int v = 16; v < 256; v++)
			if (pir[v / 64] >> v % 64 & 1)
				ref_post(v, level[v / 64] >> v % 64 & 1);
		lapic_merge(&dut, pir, level);
		break;
	case 1:
		lapic_post(&dut, vector, how & 8);
		ref_post(vector, how & 8);
		break;
	case 2:
	case 3:
		vector = lapic_pending(&dut);
		if (vector < 0)
			break;
		lapic_accept(&dut, vector);
		ref.irr[vector] = false;
		ref.isr[vector] = true;
		break;
	case 4:
		lapic_eoi(&dut, &got);
		ref_eoi(&want);
		break;
	case 5:
		lapic_set_cr8(&dut, vector);
		ref.tpr = vector % 16 * 16;
		break;
	default:
		vector %= LAPIC_LVTS;
		MODEL_CHECK(lapic_lvt_deliver(&dut, vector, &got) == ref_deliver(vector, &want));
		break;
	}
	ref_compare_fx(&got, &want);
}

static void play_time(void)
{
	struct lapic_effect got = {}, want = {};
	u32 how = draw();
	u64 delta = (u64)draw() << (how >> 8) % 28, when;

	if (how % 5 == 0) {
		lapic_set_deadline(&dut, ref_tsc + delta, &got);
		if (ref_mode() == 2) {
			ref.deadline = ref_tsc + delta;
			ref.armed = ref.deadline;
			want.flags = LAPIC_FX_TIMER;
		}
		ref_compare_fx(&got, &want);
		return;
	}
	if (how % 5 == 1 && lapic_timer_next(&dut, &when) == LAPIC_TIMER_NS && when > ref_now)
		delta = when - ref_now - (how >> 16 & 1);
	if (ref_now + delta < 1ULL << 62)
		ref_now += delta;
	ref_tsc += delta;
	if (how % 5 == 2)		/* the host's timer is late */
		return;
	MODEL_CHECK(lapic_timer_expire(&dut, ref_now, ref_tsc) == ref_expire());
	if (lapic_timer_next(&dut, &when) != LAPIC_TIMER_NONE)
		MODEL_CHECK(when > (ref_mode() == 2 ? ref_tsc : ref_now));
}

static void play_state(void)
{
	static const u64 bases[] = { 0, 0x800, 0xc00, 0x400, 0xfee00900, 0xfee00d00 };
	struct lapic_effect got = {}, want = {};
	u32 how = draw(), api = how >> 8 & 3;
	u8 page[LAPIC_PAGE_SIZE];
	struct lapic before;
	bool ok;

	switch (how & 7) {
	case 0:
		lapic_signal_init(&dut, &got);
		ref_reset(true);
		break;
	case 1:
	case 2:
		lapic_set_base(&dut, bases[(how >> 16) % 6], &got);
		ref_set_base(bases[(how >> 16) % 6], &want);
		ref_compare_fx(&got, &want);
		break;
	default:
		lapic_export(&dut, ref_now, api, page);
		for (u32 n = how >> 16 & 7; n; n--) {
			u32 at = draw_offset() & (LAPIC_PAGE_SIZE - 4), value = draw_value();

			memcpy(page + at, &value, 4);
		}
		before = dut;
		ok = lapic_import(&dut, page, ref_now, api, &got);
		MODEL_CHECK(ok == ref_import(page, api));
		MODEL_CHECK(ok || (!memcmp(&before, &dut, sizeof(dut)) && !got.flags));
		break;
	}
}

/* Destinations by trying what each bit or field could mean; no state. */
static void play_message(void)
{
	struct lapic_addr addr = {
		.id = draw() & (draw() & 1 ? 0xff : 0x3ff), .xapic_id = draw(),
		.hw_enabled = draw() & 7, .sw_enabled = draw() & 7,
		.x2apic = draw() & 1, .cluster = draw() & 1,
	};
	struct lapic_ipi ipi = {
		.mode = draw() & 7, .vector = draw(), .shorthand = draw() & 3, .logical = draw() & 1,
		.wide = draw() & 1, .dest = draw(),
	};
	bool self = draw() & 1, named, physical, want;

	addr.ldr = addr.x2apic ? addr.id >> 4 << 16 | 1u << (addr.id & 15) : draw() & 0xff;
	switch (draw() & 7) {
	case 0:
		ipi.dest = addr.id;
		break;
	case 1:
		ipi.dest = addr.xapic_id;
		break;
	case 2:
		ipi.dest = addr.ldr;
		break;
	case 3:
		ipi.dest = ~0u >> (draw() & 24);
		break;
	case 4:
		ipi.dest &= 0xff;
		break;
	}
	physical = ipi.dest == (addr.x2apic || addr.id > 255 ? addr.id : addr.xapic_id);
	named = false;
	for (int bit = 0; bit < 16; bit++) {
		bool mine = addr.ldr >> bit & 1, his = ipi.dest >> bit & 1;

		if (addr.x2apic)
			named |= mine && his && addr.ldr / 65536 == ipi.dest / 65536;
		else if (addr.cluster)
			named |= bit < 4 && mine && his && addr.ldr / 16 == ipi.dest / 16;
		else
			named |= bit < 8 && mine && his && ipi.dest < 256;
	}
	if (!ipi.logical)
		named = physical;
	named |= ipi.dest == ~0u || (ipi.dest == 255 && !ipi.wide);
	MODEL_CHECK(lapic_match(&addr, ipi.dest, ipi.logical, ipi.wide) == named);
	want = ipi.shorthand == 0 ? named : ipi.shorthand == 1 ? self : ipi.shorthand == 2 || !self;
	want &= addr.hw_enabled && ipi.mode != 3 && (ipi.mode > 1 || addr.sw_enabled);
	MODEL_CHECK(lapic_takes(&addr, &ipi, self) == want);
}

static void ref_begin(void)
{
	static const u32 bus[] = { 1, 10, 25, LAPIC_BUS_NS_MAX }, period[] = { 1, 1000, 200000, ~0u };
	u32 how = draw();

	memset(&ref, 0, sizeof(ref));
	ref.config = (struct lapic_config){
		.bus_ns = bus[how & 3], .min_period_ns = period[how >> 2 & 3],
		.cmci = how >> 4 & 1, .directed_eoi = how >> 5 & 1, .tsc_deadline = how >> 6 & 1,
		.masks_perf = how >> 7 & 1, .lint0_extint = how >> 8 & 1,
	};
	ref.id = how >> 16 & (how & 0x200 ? 0xf : 0xfff);
	ref.on = true;
	ref_reset(false);
	ref_now = how;
	ref_tsc = 0;
	lapic_power_up(&dut, &ref.config, ref.id, 0xfee00800);
	ref_compare();
}

static void play_lapic(void)
{
	switch (draw() & 15) {
	case 0 ... 6:
		play_access();
		break;
	case 7 ... 11:
		play_interrupt();
		break;
	case 12 ... 13:
		play_time();
		break;
	case 14:
		play_state();
		break;
	default:
		play_message();
		break;
	}
	ref_compare();
}

#endif /* KEEL_PURE_REF_LAPIC_H */
