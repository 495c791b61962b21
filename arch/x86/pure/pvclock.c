// SPDX-License-Identifier: GPL-2.0-only
/*
 * The paravirtual clock's arithmetic: choosing multiplier and shift, and evaluating them.
 *
 * It owns the fixed-point form and its rounding. It does not own any clock, nor the protocol by which the
 * structure is written. Any context.
 *
 * KVM documentation: "KVM-specific MSRs", MSR_KVM_SYSTEM_TIME_NEW, MSR_KVM_WALL_CLOCK_NEW.
 */
#include "pvclock.h"

#define NS_PER_MS 1000000u
#define NS_PER_S 1000000000u

void pvclock_rate(u32 khz, struct pvclock_rate *rate)
{
	u64 ns = NS_PER_MS, cycles = khz;
	int shift = 0;

	*rate = (struct pvclock_rate){ 0 };
	if (!khz)
		return;
	/* Bring ns/cycles into [1/2, 1). */
	for (; ns >= cycles; cycles <<= 1)
		shift++;
	for (; 2 * ns < cycles; ns <<= 1)
		shift--;
	rate->mul = (ns << 32) / cycles;
	rate->shift = shift;
}

u64 pvclock_scale(u64 cycles, const struct pvclock_rate *rate)
{
	if (rate->shift >= 0)
		cycles <<= rate->shift & 63;
	else
		cycles >>= -rate->shift & 63;
	return (unsigned __int128)cycles * rate->mul >> 32;
}

u64 pvclock_read(const struct pvclock_page *page, u64 tsc)
{
	const struct pvclock_rate rate = { page->tsc_to_system_mul, page->tsc_shift };

	return page->system_time + pvclock_scale(tsc - page->tsc_timestamp, &rate);
}

void pvclock_wall(u64 real, u64 clock, struct pvclock_wall *wall)
{
	u64 boot = real - clock;

	wall->sec = boot / NS_PER_S;
	wall->nsec = boot % NS_PER_S;
}
