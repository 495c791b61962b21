// SPDX-License-Identifier: GPL-2.0-only
/*
 * TSC arithmetic against 128-bit arithmetic done the plain way: the code under test multiplies in
 * one step and divides in two, the oracle here does the opposite.
 */
#include "tsc.h"
#include "harness.h"

typedef unsigned __int128 u128;

static const struct tsc_scaling amd = { TSC_AMD_RATIO_MAX, TSC_AMD_FRACTION_BITS };
static const struct tsc_scaling vmx = { ~0ULL, TSC_VMX_FRACTION_BITS };
static const struct tsc_scaling none = { 0, 0 };

/* floor(a x b / 2^shift) by shift and add, modulo 2^64. */
static u64 oracle_scale(u64 a, u64 b, unsigned int shift)
{
	u64 hi = 0, lo = 0;
	int i;

	for (i = 63; i >= 0; i--) {
		hi = hi << 1 | lo >> 63;
		lo <<= 1;
		if (b >> i & 1) {
			lo += a;
			hi += lo < a;
		}
	}
	return shift ? hi << (64 - shift) | lo >> shift : lo;
}

static u64 oracle_ratio(const struct tsc_scaling *s, u32 guest, u32 host)
{
	u128 ratio = ((u128)guest << s->fraction_bits) / host;

	return ratio <= s->max_ratio ? (u64)ratio : 0;
}

static void test_known(void)
{
	CHECK_EQ(tsc_ratio(&amd, 2000000, 2000000), 1ULL << 32);
	CHECK_EQ(tsc_ratio(&vmx, 2000000, 2000000), 1ULL << 48);
	CHECK_EQ(tsc_ratio(&amd, 3000000, 2000000), 3ULL << 31);
	CHECK_EQ(tsc_ratio(&amd, 1000000, 3000000), 0x55555555);
	CHECK_EQ(tsc_ratio(&amd, 1, 0), 0);
	CHECK_EQ(tsc_ratio(&none, 1, 1), 0);
	/* 8.32: 255 is representable, 256 is not; 16.48: neither 65536. */
	CHECK_EQ(tsc_ratio(&amd, 255000, 1000), 255ULL << 32);
	CHECK_EQ(tsc_ratio(&amd, 256000, 1000), 0);
	CHECK_EQ(tsc_ratio(&vmx, 65535000, 1000), 65535ULL << 48);
	CHECK_EQ(tsc_ratio(&vmx, 65536000, 1000), 0);
	/* The largest ratio itself is fine. */
	CHECK_EQ(tsc_ratio(&(struct tsc_scaling){ 3ULL << 32, 32 }, 3, 1), 3ULL << 32);
	CHECK_EQ(tsc_scale(&none, 12345, 1ULL << 40), 12345);
	CHECK_EQ(tsc_scale(&amd, 12345, 0), 12345);
	CHECK_EQ(tsc_scale(&amd, ~0ULL, 1ULL << 32), ~0ULL);
	CHECK_EQ(tsc_scale(&amd, 10, 3ULL << 31), 15);
	CHECK_EQ(tsc_offset(&amd, 100, 1000, 0), (u64)-900);
	CHECK(tsc_khz_close(1000250, 1000000, 250));
	CHECK(!tsc_khz_close(1000251, 1000000, 250));
	CHECK(tsc_khz_close(999750, 1000000, 250));
	CHECK(!tsc_khz_close(999749, 1000000, 250));
	CHECK(!tsc_khz_close(0, 0xffffffff, 999999));
	CHECK(tsc_khz_close(0, 0xffffffff, 1000000));
	CHECK_EQ(tsc_cycles_to_ns(3000000, 3000000), 1000000);
	CHECK_EQ(tsc_cycles_to_ns(1, 0), 0);
	CHECK_EQ(tsc_cycles_to_ns(~0ULL, 1), ~0ULL);
	CHECK_EQ(tsc_ns_to_cycles(1000000, 2600000), 2600000);
	CHECK_EQ(tsc_ns_to_cycles(~0ULL, 0xffffffff), ~0ULL);
}

static void test_random(void)
{
	u64 seed = 1;
	int i;

	for (i = 0; i < 20000; i++) {
		const struct tsc_scaling *s = i & 1 ? &amd : &vmx;
		u64 tsc = test_rand(&seed) >> test_rand_below(&seed, 64);
		u64 want = test_rand(&seed);
		u32 host = (u32)(test_rand(&seed) >> test_rand_below(&seed, 32)) | 1;
		u32 guest = test_rand(&seed) >> test_rand_below(&seed, 32);
		u64 ratio = tsc_ratio(s, guest, host);
		u128 ns = (u128)tsc * 1000000 / host, cycles = (u128)tsc * host / 1000000;

		test_context("round %d guest %u host %u tsc %#llx", i, guest, host,
			     (unsigned long long)tsc);
		CHECK_EQ(ratio, oracle_ratio(s, guest, host));
		CHECK_EQ(tsc_scale(s, tsc, ratio),
			 ratio ? oracle_scale(tsc, ratio, s->fraction_bits) : tsc);
		CHECK_EQ(tsc_guest(s, tsc, ratio, tsc_offset(s, want, tsc, ratio)), want);
		CHECK_EQ(tsc_cycles_to_ns(tsc, host), ns > ~0ULL ? ~0ULL : (u64)ns);
		CHECK_EQ(tsc_ns_to_cycles(tsc, host), cycles > ~0ULL ? ~0ULL : (u64)cycles);
	}
	test_context("%s", "");
}

int main(void)
{
	test_known();
	test_random();
	return test_done("tsc");
}
