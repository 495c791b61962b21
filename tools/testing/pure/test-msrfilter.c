// SPDX-License-Identifier: GPL-2.0-only
/* The MSR filter: ranges in their order, each for its kind of access, and the default behind them. */
#include "msrfilter.h"
#include "harness.h"

static void test_sizes(void)
{
	CHECK_EQ(msrf_bitmap_bytes(0), 0);
	CHECK_EQ(msrf_bitmap_bytes(1), 8);
	CHECK_EQ(msrf_bitmap_bytes(64), 8);
	CHECK_EQ(msrf_bitmap_bytes(65), 16);
	CHECK_EQ(msrf_bitmap_bytes(MSRF_BYTES * 8), MSRF_BYTES);
	CHECK_EQ(msrf_bitmap_bytes(0xffffffff), 0x20000000);
}

static void test_rights(void)
{
	static const u8 a[] = { 0x05 }, b[] = { 0xff, 0x01 }, top[] = { 0x80 };
	struct msrf f = {
		.nr = 4,
		.range = {
			{ 0x100, 3, MSRF_READ, a },
			{ 0x100, 9, MSRF_READ | MSRF_WRITE, b },
			{ 0xfffffff8, 8, MSRF_WRITE, top },
			{ 0x7ff, 0x200, MSRF_READ | MSRF_WRITE, (u8[64]){ 0 } },
		},
	};
	static const struct {
		u32 index;
		unsigned int allow, deny;	/* with either default */
	} rows[] = {
		{ 0x0ff, 3, 0 }, { 0x100, 3, 3 }, { 0x101, 2, 2 }, { 0x102, 3, 3 }, { 0x103, 3, 3 },
		{ 0x108, 3, 3 }, { 0x109, 3, 0 }, { 0xfffffff7, 3, 0 }, { 0xfffffff8, 1, 0 },
		{ 0xffffffff, 3, 2 }, { 0, 3, 0 }, { 0x7ff, 0, 0 }, { 0x800, 3, 3 }, { 0x8ff, 3, 3 }, { 0x900, 0, 0 },
	};

	for_each_row(row, rows) {
		test_context("MSR %#x", row->index);
		f.deny = false;
		CHECK_EQ(msrf_rights(&f, row->index), row->allow);
		f.deny = true;
		CHECK_EQ(msrf_rights(&f, row->index), row->deny);
	}
	test_context("%s", "");
}

int main(void)
{
	test_sizes();
	test_rights();
	return test_done("msrfilter");
}
