/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What pit.c and pit-tick.c share: values of the fields of a channel, the arithmetic between clocks
 * and nanoseconds, and how far a channel has counted.
 */
#ifndef KEEL_PURE_PIT_PRIV_H
#define KEEL_PURE_PIT_PRIV_H

#include "pit.h"

#define NS_PER_S 1000000000ULL
#define S64_MOST ((s64)(~0ULL >> 1))
#define S64_LEAST (-S64_MOST - 1)

/* rw_mode, count_latched, read_state and write_state. */
#define LOW_BYTE 1u
#define HIGH_BYTE 2u
#define LOW_THEN_HIGH 3u
#define HIGH_NEXT 4u

#define STATUS_NULL 0x40u

static inline u64 elapsed(s64 from, u64 now)
{
	u64 ns = now - (u64)from;

	if (from >= 0)
		return now > (u64)from ? ns : 0;
	return ns < now ? ~0ULL : ns;
}

static inline u64 clocks_in(u64 ns)
{
	return ns / NS_PER_S * PIT_HZ + ns % NS_PER_S * PIT_HZ / NS_PER_S;
}

/* Least number of ns that hold @clocks, saturating: clocks_in() of it is @clocks again. */
static inline u64 ns_of(u64 clocks)
{
	u64 seconds = clocks / PIT_HZ;

	if (seconds >= ~0ULL / NS_PER_S)
		return ~0ULL;
	return seconds * NS_PER_S + (clocks % PIT_HZ * NS_PER_S + PIT_HZ - 1) / PIT_HZ;
}

static inline s64 to_time(u64 ns)
{
	return ns > (u64)S64_MOST ? S64_MOST : (s64)ns;
}

/* @ns before @now. */
static inline s64 back_from(u64 now, u64 ns)
{
	if (ns <= now)
		return to_time(now - ns);
	return ns - now > (u64)S64_MOST ? S64_LEAST : -(s64)(ns - now);
}

/* Modes 2 and 3 have two codes each. */
static inline unsigned int mode_of(const struct pit_channel *c)
{
	return c->mode == 6 || c->mode == 7 ? c->mode - 4u : c->mode;
}

static inline bool is_periodic(const struct pit_channel *c)
{
	return mode_of(c) == 2 || mode_of(c) == 3;
}

/* Modes that need a rising gate to start. */
static inline bool is_triggered(const struct pit_channel *c)
{
	return mode_of(c) == 1 || mode_of(c) == 5;
}

static inline bool is_stopped(const struct pit_channel *c)
{
	return !c->gate && !is_triggered(c);
}

/* Clocks counted since the count was loaded. */
static inline u64 counted(const struct pit_channel *c, u64 now)
{
	return is_stopped(c) ? c->held : clocks_in(elapsed(c->load_time, now));
}

#endif /* KEEL_PURE_PIT_PRIV_H */
