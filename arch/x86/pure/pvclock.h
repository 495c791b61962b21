/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The arithmetic of the paravirtual clock: nanoseconds as a linear function of the time-stamp counter,
 * in the fixed-point form that guests evaluate.
 */
#ifndef KEEL_PURE_PVCLOCK_H
#define KEEL_PURE_PVCLOCK_H

#include "types.h"

/* ns = ((cycles shifted left by @shift, right if negative) x @mul) / 2^32. */
struct pvclock_rate {
	u32 mul;		/* bit 31 is set, so that 32 bits of precision remain */
	s8 shift;
};

/* The structure in guest memory. Source: MSR_KVM_SYSTEM_TIME_NEW of the KVM MSR documentation. */
struct pvclock_page {
	u32 version;		/* odd while it is being written */
	u32 pad0;
	u64 tsc_timestamp;
	u64 system_time;
	u32 tsc_to_system_mul;
	s8 tsc_shift;
	u8 flags;		/* PVCLOCK_PAGE_* */
	u8 pad[2];
};

static_assert(sizeof(struct pvclock_page) == 32, "layout of the guest's structure");

#define PVCLOCK_PAGE_STABLE 1u	/* all vCPUs' pages describe one clock */
#define PVCLOCK_PAGE_STOPPED 2u	/* the host paused the vCPU; the guest clears it */

struct pvclock_wall {
	u32 version;
	u32 sec;
	u32 nsec;
};

/* The rate of a counter at @khz, rounded down by less than one part in 2^31; all 0 for 0. */
void pvclock_rate(u32 khz, struct pvclock_rate *rate);

/* Nanoseconds in @cycles as a guest computes them: exact but for the fraction, modulo 2^64. */
u64 pvclock_scale(u64 cycles, const struct pvclock_rate *rate);

/* What a guest that reads @tsc takes for the time. */
u64 pvclock_read(const struct pvclock_page *page, u64 tsc);

/* The wall clock when the paravirtual clock was 0: @real and @clock are one instant, in ns. */
void pvclock_wall(u64 real, u64 clock, struct pvclock_wall *wall);

#endif /* KEEL_PURE_PVCLOCK_H */
