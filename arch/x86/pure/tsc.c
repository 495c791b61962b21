// SPDX-License-Identifier: GPL-2.0-only
/*
 * Time-stamp counter arithmetic: ratios, offsets, tolerance, and conversion to nanoseconds.
 *
 * It owns the fixed-point arithmetic and its rounding. It does not own any clock: times are
 * parameters. Any context.
 *
 * AMD APM volume 2: "TSC Ratio MSR". Intel SDM: "Time-Stamp Counter Adjustment", "VMX TSC
 * Multiplier".
 */
#include "tsc.h"

#define NS_PER_MS 1000000u
#define PPM 1000000u

u64 tsc_ratio(const struct tsc_scaling *scaling, u32 guest_khz, u32 host_khz)
{
	u64 quotient, rest;
	unsigned int left = scaling->fraction_bits;

	if (!host_khz || !left || left > 63)
		return 0;
	quotient = guest_khz / host_khz;
	rest = guest_khz % host_khz;
	/* Long division, up to 32 fraction bits at a time: the rest stays below 2^32. */
	while (left) {
		unsigned int step = left < 32 ? left : 32;

		if (quotient >> (64 - step))
			return 0;
		rest <<= step;
		quotient = quotient << step | rest / host_khz;
		rest %= host_khz;
		left -= step;
	}
	return quotient <= scaling->max_ratio ? quotient : 0;
}

u64 tsc_scale(const struct tsc_scaling *scaling, u64 host_tsc, u64 ratio)
{
	if (!ratio || !scaling->fraction_bits || scaling->fraction_bits > 63)
		return host_tsc;
	return (unsigned __int128)host_tsc * ratio >> scaling->fraction_bits;
}

u64 tsc_offset(const struct tsc_scaling *scaling, u64 guest_tsc, u64 host_tsc, u64 ratio)
{
	return guest_tsc - tsc_scale(scaling, host_tsc, ratio);
}

u64 tsc_guest(const struct tsc_scaling *scaling, u64 host_tsc, u64 ratio, u64 offset)
{
	return tsc_scale(scaling, host_tsc, ratio) + offset;
}

bool tsc_khz_close(u32 guest_khz, u32 host_khz, u32 ppm)
{
	u64 difference = guest_khz > host_khz ? guest_khz - host_khz : host_khz - guest_khz;

	/* Both products stay below 2^64: 32-bit factors. */
	return difference * PPM <= (u64)host_khz * ppm;
}

/* floor(value x factor / divisor), saturating; a 128-bit division is not at hand in the kernel. */
static u64 scale_saturating(u64 value, u32 factor, u32 divisor)
{
	u64 high = (value >> 32) * factor, low = (value & 0xffffffffULL) * factor;
	u64 quotient, rest;

	high += low >> 32;
	low &= 0xffffffffULL;
	quotient = high / divisor;
	rest = high % divisor;
	if (quotient >> 32)
		return ~0ULL;
	/* rest < divisor < 2^32, so the low half's quotient is below 2^32 too. */
	return quotient << 32 | (rest << 32 | low) / divisor;
}

u64 tsc_cycles_to_ns(u64 cycles, u32 khz)
{
	return khz ? scale_saturating(cycles, NS_PER_MS, khz) : 0;
}

u64 tsc_ns_to_cycles(u64 ns, u32 khz)
{
	return scale_saturating(ns, khz, NS_PER_MS);
}
