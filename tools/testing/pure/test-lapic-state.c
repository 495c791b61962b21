// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC beside its registers: what a paravirtual guest may end without telling, and a timer's state through
 * KVM_GET_LAPIC and KVM_SET_LAPIC. Expected values are the manuals'; the registers' own tests are in test-lapic.c.
 */
#include "harness.h"
#include "lapic.h"

#define BASE_XAPIC 0xfee00800ULL

static struct lapic l;

static void ready(void)
{
	static const struct lapic_config config = { .bus_ns = 1, .min_period_ns = 1, .tsc_deadline = true };
	struct lapic_effect fx = {};

	lapic_power_up(&l, &config, 0, BASE_XAPIC);
	lapic_write(&l, LAPIC_SVR, 0x1ff, 0, &fx);
}

/* What a paravirtual guest may end without telling: an edge, alone. */
static void test_quiet_end(void)
{
	static const struct {
		int first, second, waits;
		bool level;
		bool quiet;
	} rows[] = {
		{ -1, -1, -1, false, false }, { -1, -1, 0x31, false, false }, { 0x31, -1, -1, false, true },
		{ 0x31, -1, -1, true, false }, { 0x31, -1, 0x21, false, false }, { 0x31, -1, 0x41, false, false },
		{ 0x31, 0x41, -1, false, false }, { 0x31, 0xf1, -1, false, false }, { 0xe1, 0xf1, -1, false, false },
		{ 0xff, -1, -1, false, true }, { 0xff, -1, -1, true, false }, { 0x80, -1, 0x7f, false, false },
	};

	for_each_row(row, rows) {
		test_context("isr %d %d, irr %d", row->first, row->second, row->waits);
		ready();
		if (row->first >= 0) {
			lapic_post(&l, row->first, row->level);
			lapic_accept(&l, row->first);
		}
		if (row->second >= 0) {
			lapic_post(&l, row->second, false);
			lapic_accept(&l, row->second);
		}
		if (row->waits >= 0)
			lapic_post(&l, row->waits, false);
		CHECK_EQ(lapic_end_is_quiet(&l), row->quiet);
	}
	test_context("%s", "");
}

#define ONE_SHOT 0x31
#define PERIODIC 0x20031

static void set(u32 offset, u32 value, u64 now)
{
	struct lapic_effect fx = {};

	lapic_write(&l, offset, value, now, &fx);
}

/* A timer of 1000 counts begins at 0; its state is taken and put back at @when. */
static void round_trip(u32 mode, u64 when, bool elsewhere)
{
	struct lapic_effect fx = {};
	u8 page[LAPIC_PAGE_SIZE];

	ready();
	set(0x320, mode, 0);
	set(LAPIC_TIMER_DIVIDE, 0xb, 0);
	set(LAPIC_TIMER_INITIAL, 1000, 0);
	lapic_timer_expire(&l, when, 0);
	lapic_export(&l, when, 0, page);
	if (elsewhere)
		ready();
	CHECK(lapic_import(&l, page, when, 0, &fx));
}

/* "APIC Timer": a one-shot timer that has run down stays at 0 until it is started. */
static void test_timer_state(void)
{
	u64 when = 0;

	/* It fired: the interrupt is part of the state, and comes once. */
	round_trip(ONE_SHOT, 1000, false);
	CHECK_EQ(lapic_timer_next(&l, &when), LAPIC_TIMER_NONE);
	CHECK_EQ(lapic_pending(&l), 0x31);
	CHECK_EQ(lapic_read(&l, LAPIC_TIMER_CURRENT, 1500), 0);
	lapic_accept(&l, 0x31);
	CHECK(!lapic_timer_expire(&l, 1 << 20, 0));
	CHECK_EQ(lapic_pending(&l), -1);
	/* It can be started again. */
	set(LAPIC_TIMER_INITIAL, 1000, 5000);
	CHECK_EQ(lapic_timer_next(&l, &when), LAPIC_TIMER_NS);
	CHECK_EQ(when, 6000);
	/* It runs: it goes on. */
	round_trip(ONE_SHOT, 999, false);
	CHECK_EQ(lapic_timer_next(&l, &when), LAPIC_TIMER_NS);
	CHECK_EQ(when, 1000);
	CHECK_EQ(lapic_pending(&l), -1);
	round_trip(PERIODIC, 2300, false);
	CHECK_EQ(lapic_timer_next(&l, &when), LAPIC_TIMER_NS);
	CHECK_EQ(when, 3000);
	/* Elsewhere nobody knows whether the count was left out. */
	round_trip(ONE_SHOT, 1000, true);
	CHECK_EQ(lapic_timer_next(&l, &when), LAPIC_TIMER_NS);
	CHECK_EQ(when, 2000);
	CHECK_EQ(lapic_pending(&l), 0x31);
	round_trip(ONE_SHOT, 400, true);
	CHECK_EQ(lapic_timer_next(&l, &when), LAPIC_TIMER_NS);
	CHECK_EQ(when, 1000);
}

int main(void)
{
	test_quiet_end();
	test_timer_state();
	return test_done("lapic-state");
}
