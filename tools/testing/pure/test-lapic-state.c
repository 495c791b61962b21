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

int main(void)
{
	test_quiet_end();
	return test_done("lapic-state");
}
