// SPDX-License-Identifier: GPL-2.0-only
/*
 * Task switch on arbitrary machine states and memory contents: it ends, its effects are bounded,
 * the old task is whole until the commit, and the new task obeys the rules of privilege.
 */
#include "harness.h"
#include "taskswitch.h"

#define MAX_EFFECTS 40

static void random_seg(struct emu_seg *seg, struct fuzz_input *in)
{
	seg->selector = fuzz_u16(in);
	seg->attr = fuzz_u16(in) & 0xfff;
	seg->limit = fuzz_u8(in) & 1 ? fuzz_u32(in) : 0xffff;
	seg->base = fuzz_u32(in);
}

static void check_done(const struct taskswitch *ts)
{
	const struct emu_seg *cs = &ts->state.seg[EMU_CS], *ss = &ts->state.seg[EMU_SS];

	FUZZ_ASSERT(ts->state.tr.attr & 2);
	FUZZ_ASSERT(ts->state.eip <= cs->limit);
	FUZZ_ASSERT(cs->attr & EMU_SEG_P && ss->attr & EMU_SEG_P);
	if (ts->state.eflags & 0x20000) {
		FUZZ_ASSERT(ts->cpl == 3);
		return;
	}
	FUZZ_ASSERT(ts->cpl == (cs->selector & 3));
	FUZZ_ASSERT(ts->cpl == (ss->selector & 3));
	FUZZ_ASSERT(cs->attr & 8 && !(ss->attr & 8));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct taskswitch ts = { 0 };
	struct ts_state before;
	enum emu_status status;
	unsigned int i, effects = 0, again = 0;
	uint8_t how = fuzz_u8(&in);

	ts.reason = how & 3;
	ts.check_dpl = how & 4;
	ts.external = how & 8;
	ts.has_error = how & 16;
	ts.cpl = how >> 6;
	ts.selector = fuzz_u16(&in);
	ts.gdt_limit = fuzz_u16(&in) | 0xff;
	ts.gdt_base = to_gva(fuzz_u32(&in));
	random_seg(&ts.state.tr, &in);
	random_seg(&ts.state.ldtr, &in);
	for (i = 0; i < EMU_SEG_COUNT; i++)
		random_seg(&ts.state.seg[i], &in);
	before = ts.state;
	ts_start(&ts);
	for (;;) {
		status = ts_step(&ts);
		if (status == EMU_AGAIN) {
			FUZZ_ASSERT(!again++);
			continue;
		}
		FUZZ_ASSERT(again || !memcmp(&before, &ts.state, sizeof(before)));
		if (status == EMU_DONE || status == EMU_FAULT)
			break;
		FUZZ_ASSERT(status == EMU_READ || status == EMU_WRITE || status == EMU_PROBE);
		FUZZ_ASSERT(++effects < MAX_EFFECTS);
		FUZZ_ASSERT(ts.acc.size && (status == EMU_PROBE || ts.acc.size <= EMU_ACC_BYTES));
		FUZZ_ASSERT(gva_raw(ts.acc.addr) <= 0xffffffff);
		if (status == EMU_READ)
			fuzz_bytes(&in, ts.acc.bytes, ts.acc.size);
	}
	if (status == EMU_DONE)
		check_done(&ts);
	else
		FUZZ_ASSERT(ts.fault.vector >= EMU_TS && ts.fault.vector <= EMU_GP);
	return 0;
}
