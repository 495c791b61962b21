/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Time-stamp counter arithmetic: guest TSC = (host TSC x ratio) + offset, modulo 2^64, where the
 * ratio is a fixed-point number with as many fraction bits as the hardware has (32 for AMD's
 * TSC_RATIO, 48 for VMX's TSC multiplier).
 */
#ifndef KEEL_PURE_TSC_H
#define KEEL_PURE_TSC_H

#include "types.h"

#define TSC_AMD_FRACTION_BITS 32
#define TSC_AMD_RATIO_MAX BITS64(39, 0)		/* 8.32 */
#define TSC_VMX_FRACTION_BITS 48
#define TSC_TOLERANCE_PPM 250			/* a rate this near the host's needs no scaling */

/* How the processor scales; fraction_bits is 0 when it cannot, and every ratio then counts as 1. */
struct tsc_scaling {
	u64 max_ratio;
	u8 fraction_bits;
};

/*
 * The ratio guest/host, rounded down: the guest's rate is too low by less than
 * host_khz / 2^fraction_bits kHz. Returns 0 when host_khz is 0, when the hardware cannot scale or
 * when the ratio is 0 or above max_ratio.
 */
u64 tsc_ratio(const struct tsc_scaling *scaling, u32 guest_khz, u32 host_khz);

/* floor(host_tsc x ratio / 2^fraction_bits) modulo 2^64; ratio 0 means unscaled. */
u64 tsc_scale(const struct tsc_scaling *scaling, u64 host_tsc, u64 ratio);

/* The offset with which the guest reads @guest_tsc at the instant the host reads @host_tsc. */
u64 tsc_offset(const struct tsc_scaling *scaling, u64 guest_tsc, u64 host_tsc, u64 ratio);

/* What the guest reads at the instant the host reads @host_tsc. */
u64 tsc_guest(const struct tsc_scaling *scaling, u64 host_tsc, u64 ratio, u64 offset);

/* Do the rates differ by at most @ppm parts per million of @host_khz? */
bool tsc_khz_close(u32 guest_khz, u32 host_khz, u32 ppm);

/* Nanoseconds in @cycles at @khz, rounded down, saturating at 2^64 - 1; khz 0 gives 0. */
u64 tsc_cycles_to_ns(u64 cycles, u32 khz);

/* Cycles in @ns at @khz, rounded down, saturating at 2^64 - 1. */
u64 tsc_ns_to_cycles(u64 ns, u32 khz);

#endif /* KEEL_PURE_TSC_H */
