// SPDX-License-Identifier: GPL-2.0-only
/*
 * The timer of a local APIC: one-shot, periodic and TSC-deadline mode.
 *
 * It owns armed, due_ns and deadline of struct lapic. armed: an expiry is to come, at deadline in
 * TSC-deadline mode, else at due_ns. The current count is never stored: it is what is left until
 * due_ns. It does not own a clock nor the host's timer: lapic_timer_next() says what to wait for.
 * Called by the vCPU's own thread only.
 *
 * Intel SDM volume 3: "APIC Timer", "TSC-Deadline Mode". AMD APM volume 2: "APIC Timer Operation".
 */
#include "lapic-priv.h"

#define MODE_SHIFT 17
#define DIVIDE_HIGH 0x8u		/* bits 1:0 and this one make one number */

enum timer_mode { ONE_SHOT, PERIODIC, DEADLINE, RESERVED };

static enum timer_mode timer_mode(const struct lapic *l)
{
	return REG(l, LAPIC_LVT_AT) >> MODE_SHIFT & 3;
}

/* Nanoseconds per count, below 2^31. */
static u64 tick_ns(const struct lapic *l)
{
	u32 divide = REG(l, LAPIC_TIMER_DIVIDE);
	u32 number = (divide & DIVIDE_HIGH) >> 1 | (divide & 3);

	/* The divisors are 2, 4, 8 ... 128, 1. */
	return (u64)l->config.bus_ns << ((number + 1) & 7);
}

/* Nanoseconds from the start of @count to its end. */
static u64 span_ns(const struct lapic *l, u32 count)
{
	u64 span = count * tick_ns(l);

	if (timer_mode(l) == PERIODIC && span < l->config.min_period_ns)
		return l->config.min_period_ns;
	return span;
}

u32 lapic_timer_count(const struct lapic *l, u64 now_ns)
{
	u32 initial = REG(l, LAPIC_TIMER_INITIAL);
	u64 left = 0, tick, count;

	if (!l->armed || timer_mode(l) == DEADLINE)
		return 0;
	if (now_ns < l->due_ns) {
		left = l->due_ns - now_ns;
	} else if (timer_mode(l) == PERIODIC) {
		u64 period = span_ns(l, initial);

		left = period - (now_ns - l->due_ns) % period;
	}
	tick = tick_ns(l);
	count = left / tick + !!(left % tick);
	/* A period that was stretched to the minimum starts with a rest at the initial count. */
	return count < initial ? count : initial;
}

void lapic_timer_stop(struct lapic *l)
{
	l->armed = false;
	l->deadline = 0;
}

static void start_count(struct lapic *l, u32 count, u64 now_ns)
{
	l->armed = count && timer_mode(l) <= PERIODIC && l->hw_enabled;
	l->due_ns = now_ns + span_ns(l, count);
}

enum lapic_timer_kind lapic_timer_next(const struct lapic *l, u64 *when)
{
	if (!l->armed)
		return LAPIC_TIMER_NONE;
	if (timer_mode(l) == DEADLINE) {
		*when = l->deadline;
		return LAPIC_TIMER_TSC;
	}
	*when = l->due_ns;
	return LAPIC_TIMER_NS;
}

/* The timer's LVT entry has no delivery mode: it can only go to IRR. */
static bool deliver(struct lapic *l)
{
	struct lapic_effect none = {};

	return lapic_lvt_deliver(l, LAPIC_LVT_TIMER, &none);
}

static bool expire_count(struct lapic *l, u64 now_ns)
{
	if (now_ns < l->due_ns)
		return false;
	if (timer_mode(l) == PERIODIC) {
		u64 period = span_ns(l, REG(l, LAPIC_TIMER_INITIAL));

		l->due_ns += ((now_ns - l->due_ns) / period + 1) * period;
	} else {
		l->armed = false;
	}
	return deliver(l);
}

bool lapic_timer_expire(struct lapic *l, u64 now_ns, u64 now_tsc)
{
	if (!l->armed)
		return false;
	if (timer_mode(l) != DEADLINE)
		return expire_count(l, now_ns);
	if (now_tsc < l->deadline)
		return false;
	lapic_timer_stop(l);
	return deliver(l);
}

void lapic_set_deadline(struct lapic *l, u64 deadline, struct lapic_effect *fx)
{
	if (timer_mode(l) != DEADLINE)
		return;
	l->deadline = deadline;
	l->armed = deadline;
	fx->flags |= LAPIC_FX_TIMER;
}

u64 lapic_get_deadline(const struct lapic *l)
{
	return l->deadline;
}

/* What has expired by now does so under the old settings. */
static void settle(struct lapic *l, u64 now_ns)
{
	if (l->armed && timer_mode(l) != DEADLINE)
		expire_count(l, now_ns);
}

void lapic_timer_set_lvt(struct lapic *l, u32 value, u64 now_ns)
{
	enum timer_mode old = timer_mode(l), new;

	settle(l, now_ns);
	REG(l, LAPIC_LVT_AT) = value;
	new = timer_mode(l);
	/*
	 * The manual disarms at every change of mode; kvm-unit-tests expects that one-shot and
	 * periodic are exchanged under a running count. Into and out of TSC-deadline mode nothing
	 * is carried.
	 */
	if (old != new && (old >= DEADLINE || new >= DEADLINE)) {
		lapic_timer_stop(l);
		REG(l, LAPIC_TIMER_INITIAL) = 0;
	}
}

void lapic_timer_set_initial(struct lapic *l, u32 value, u64 now_ns)
{
	if (timer_mode(l) == DEADLINE)
		return;
	settle(l, now_ns);
	REG(l, LAPIC_TIMER_INITIAL) = value;
	start_count(l, value, now_ns);
}

void lapic_timer_set_divide(struct lapic *l, u32 value, u64 now_ns)
{
	u32 left;

	settle(l, now_ns);
	left = lapic_timer_count(l, now_ns);
	REG(l, LAPIC_TIMER_DIVIDE) = value;
	/* The count stays and goes on at the new pace. */
	if (left)
		l->due_ns = now_ns + left * tick_ns(l);
}

u32 lapic_timer_spent(const struct lapic *l)
{
	return timer_mode(l) == ONE_SHOT && l->hw_enabled && !l->armed ? REG(l, LAPIC_TIMER_INITIAL) : 0;
}

/*
 * Some VMMs leave the current count out. So to an APIC that is not this one 0 does not say that the timer has run
 * down: an interrupt too many does less harm than one too few.
 */
void lapic_timer_restore(struct lapic *l, u32 current, u32 spent, u64 now_ns)
{
	u32 initial = REG(l, LAPIC_TIMER_INITIAL);

	if (timer_mode(l) == DEADLINE)
		return;
	if (!current && spent == initial && timer_mode(l) == ONE_SHOT) {
		lapic_timer_stop(l);
		return;
	}
	start_count(l, current && current < initial ? current : initial, now_ns);
}
