// SPDX-License-Identifier: GPL-2.0-only
/*
 * The paravirtual clock against exact rational arithmetic: a guest's result is never ahead of the true time
 * and behind it by no more than the rounding allows; later counters give later times.
 */
#include "pvclock.h"
#include "harness.h"

typedef unsigned __int128 u128;

static void test_known(void)
{
	static const struct {
		u32 khz, mul;
		int shift;
	} rows[] = {
		{ 1000000, 0x80000000, 1 },	/* 1 GHz: half, doubled */
		{ 2000000, 0x80000000, 0 },
		{ 1999999, 0x80000431, 0 },
		{ 4000000, 0x80000000, -1 },
		{ 2500000, 0xcccccccc, -1 },
		{ 3000000, 0xaaaaaaaa, -1 },
		{ 500000, 0x80000000, 2 },
		{ 1, 0xf4240000, 20 },
		{ 0xffffffff, 0xf4240000, -12 },
		{ 0, 0, 0 },
	};
	struct pvclock_page page = {
		.tsc_timestamp = 1000, .system_time = 77, .tsc_to_system_mul = 0x80000000, .tsc_shift = -1,
	};
	struct pvclock_wall wall;

	for_each_row(row, rows) {
		struct pvclock_rate rate;

		test_context("%u kHz", row->khz);
		pvclock_rate(row->khz, &rate);
		CHECK_EQ(rate.mul, row->mul);
		CHECK_EQ(rate.shift, row->shift);
	}
	test_context("%s", "");
	CHECK_EQ(pvclock_read(&page, 1000), 77);
	CHECK_EQ(pvclock_read(&page, 1003), 77);
	CHECK_EQ(pvclock_read(&page, 1004), 78);
	CHECK_EQ(pvclock_read(&page, 4000001000ULL), 1000000077);
	page.tsc_shift = 1;
	CHECK_EQ(pvclock_read(&page, 1005), 82);
	pvclock_wall(1700000000123456789ULL, 23456789, &wall);
	CHECK_EQ(wall.sec, 1700000000);
	CHECK_EQ(wall.nsec, 100000000);
	pvclock_wall(5000000000ULL, 5000000000ULL, &wall);
	CHECK_EQ(wall.sec, 0);
	CHECK_EQ(wall.nsec, 0);
}

static void test_random(void)
{
	u64 seed = 7;
	int i;

	for (i = 0; i < 20000; i++) {
		u32 khz = (u32)(test_rand(&seed) >> test_rand_below(&seed, 32)) | 1;
		/* Up to 2^62 nanoseconds: nothing overflows. */
		u64 ns = test_rand(&seed) >> (2 + test_rand_below(&seed, 62));
		u128 wide = (u128)ns * khz / 1000000;
		u64 cycles = wide >> 62 ? 1 : wide, got, next, slack;
		u128 exact = (u128)cycles * 1000000 / khz;
		struct pvclock_rate rate;

		test_context("round %d, %u kHz, %llu cycles", i, khz, (unsigned long long)cycles);
		pvclock_rate(khz, &rate);
		CHECK(rate.mul >> 31);
		if (rate.shift > 0 && cycles >> (63 - rate.shift))
			continue;
		got = pvclock_scale(cycles, &rate);
		/* The multiplier's rounding, and the cycles that a right shift drops. */
		slack = (u64)(exact >> 31) + 2 + (rate.shift < 0 ? (1000000ULL << -rate.shift) / khz : 0);
		CHECK(got <= exact);
		CHECK(exact - got <= slack);
		next = pvclock_scale(cycles + 1 + test_rand_below(&seed, 1000), &rate);
		CHECK(next >= got);
	}
	test_context("%s", "");
}

int main(void)
{
	test_known();
	test_random();
	return test_done("pvclock");
}
