// SPDX-License-Identifier: GPL-2.0-only
/*
 * The paravirtual clock at any frequency: the result equals long multiplication in pieces of 32 bits, is the
 * true time but for the rounding allowed, and two pages of one clock never disagree by more than that.
 */
#include "pvclock.h"
#include "harness.h"

typedef unsigned __int128 u128;

/* cycles x 2^shift x mul / 2^32 modulo 2^64, without a 128-bit product. */
static u64 scale_by_halves(u64 cycles, u32 mul, int shift)
{
	u64 low, high;

	cycles = shift < 0 ? cycles >> -shift : cycles << shift;
	low = (cycles & 0xffffffff) * mul;
	high = (cycles >> 32) * mul;
	return high + (low >> 32);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	u32 khz = fuzz_u32(&in);
	u64 at = fuzz_u64(&in), later = fuzz_u64(&in) >> 4, offset = fuzz_u64(&in), start = fuzz_u64(&in) >> 2;
	struct pvclock_page one, two;
	struct pvclock_rate rate;
	struct pvclock_wall wall;
	u128 exact;
	u64 ns;

	pvclock_rate(khz, &rate);
	FUZZ_ASSERT(khz ? rate.mul >> 31 : !rate.mul && !rate.shift);
	FUZZ_ASSERT(rate.shift >= -12 && rate.shift <= 20);
	ns = pvclock_scale(later, &rate);
	FUZZ_ASSERT(ns == scale_by_halves(later, rate.mul, rate.shift));
	if (!khz)
		return 0;
	exact = (u128)later * 1000000 / khz;
	if (exact >> 62 || (rate.shift > 0 && later >> (63 - rate.shift)))
		return 0;
	FUZZ_ASSERT(ns <= exact);
	FUZZ_ASSERT(exact - ns <= (exact >> 31) + 2 + (rate.shift < 0 ? (1000000ULL << -rate.shift) / khz : 0));

	/* One vCPU's TSC is the other's plus an offset: the same instant is the same time. */
	one = (struct pvclock_page){ .tsc_timestamp = at, .system_time = start, .tsc_to_system_mul = rate.mul,
				     .tsc_shift = rate.shift };
	two = one;
	two.tsc_timestamp += offset;
	FUZZ_ASSERT(pvclock_read(&one, at + later) == start + ns);
	FUZZ_ASSERT(pvclock_read(&two, at + later + offset) == start + ns);

	pvclock_wall(start + later, start, &wall);
	FUZZ_ASSERT(wall.nsec < 1000000000 && wall.sec == (u32)(later / 1000000000));
	return 0;
}
