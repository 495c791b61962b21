// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ticks of the 8254: when OUT0 rises, which ticks are owed to the guest, and the API's view of the
 * timer.
 *
 * It owns the schedule of channel 0 and the ticks owed. It does not own a clock, the host timer that
 * calls at a tick's time, IRQ 0, or any lock. Any context.
 *
 * A tick's time is computed from the load time and the number of clocks since, never from the tick
 * before it: it is exact to the nanosecond however long the channel runs.
 *
 * Intel data sheet 8254 Programmable Interval Timer: "Mode Definitions".
 */
#include "pit-priv.h"

/* When @clocks have passed since @load; 0 for a time before the clock's start. */
static u64 time_of(s64 load, u64 clocks)
{
	u64 ns = ns_of(clocks), sum = (u64)load + ns;

	if (ns == ~0ULL)
		return PIT_NO_TICK;
	if (load < 0 && ns <= 0 - (u64)load)
		return 0;
	return sum > (u64)S64_MOST || (load >= 0 && sum < ns) ? PIT_NO_TICK : sum;
}

static bool has_ticks(const struct pit *pit)
{
	const struct pit_channel *c = &pit->channel[0];

	return !(pit->flags & PIT_HPET_LEGACY) && !c->null_count && !is_triggered(c);
}

/* Clocks from the load to the one edge of a one-shot, or from tick to tick. */
static u64 tick_clocks(const struct pit *pit)
{
	const struct pit_channel *c = &pit->channel[0];

	if (is_periodic(c))
		return c->count * (pit->min_clocks > c->count ?
				   ((u64)pit->min_clocks + c->count - 1) / c->count : 1);
	return mode_of(c) == 4 ? c->count + 1ULL : c->count;
}

static u64 ticks_until(const struct pit *pit, u64 now)
{
	u64 n = counted(&pit->channel[0], now) / tick_clocks(pit);

	if (!has_ticks(pit))
		return 0;
	return n && !is_periodic(&pit->channel[0]) ? 1 : n;
}

u64 pit_next_tick(const struct pit *pit, u64 now)
{
	const struct pit_channel *c = &pit->channel[0];

	if (!has_ticks(pit))
		return PIT_NO_TICK;
	if (is_periodic(c))
		return time_of(c->load_time, (ticks_until(pit, now) + 1) * tick_clocks(pit));
	return pit->seen ? PIT_NO_TICK : time_of(c->load_time, tick_clocks(pit));
}

u64 pit_expire(struct pit *pit, u64 now)
{
	u64 until = ticks_until(pit, now), n;

	if (until <= pit->seen)
		return 0;
	n = until - pit->seen;
	pit->seen = until;
	return n;
}

/* Time to raise a tick that is owed? */
static bool raise_owed(struct pit *pit)
{
	if (!pit->irq_ack || !pit->pending)
		return false;
	pit->pending--;
	pit->irq_ack = false;
	return true;
}

bool pit_tick(struct pit *pit, u64 n)
{
	if (!pit->reinject)
		return n;
	pit->pending = n > ~0u - pit->pending ? ~0u : pit->pending + n;
	return raise_owed(pit);
}

bool pit_acked(struct pit *pit)
{
	pit->irq_ack = true;
	return raise_owed(pit);
}

void pit_refused(struct pit *pit)
{
	pit_forget_ticks(pit);
}

void pit_set_reinject(struct pit *pit, bool on)
{
	pit->reinject = on;
	pit_forget_ticks(pit);
}

void pit_forget_ticks(struct pit *pit)
{
	pit->pending = 0;
	pit->irq_ack = true;
}

void pit_export(const struct pit *pit, u64 now, struct pit_user *out)
{
	unsigned int i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < PIT_CHANNELS; i++) {
		const struct pit_channel *c = &pit->channel[i];

		out->channel[i] = (struct pit_user_channel){
			.count = c->count,
			.latched_count = c->latched_count,
			.count_latched = c->count_latched,
			.status_latched = c->status_latched,
			.status = c->status_latched ? c->status : c->null_count ? STATUS_NULL : 0,
			.read_state = c->read_state,
			.write_state = c->write_state,
			.write_latch = c->write_latch,
			.rw_mode = c->rw_mode,
			.mode = c->mode,
			.bcd = c->bcd,
			.gate = c->gate,
			.count_load_time = is_stopped(c) ? back_from(now, ns_of(c->held)) : c->load_time,
		};
	}
	out->flags = pit->flags;
}

static u8 cut_to(u8 value, u8 most, u8 otherwise)
{
	return value && value <= most ? value : otherwise;
}

static void import_channel(struct pit_channel *c, const struct pit_user_channel *in, bool gate, u64 now)
{
	u8 access = cut_to(in->rw_mode, LOW_THEN_HIGH, LOW_THEN_HIGH);

	*c = (struct pit_channel){
		.count = in->count && in->count < 0x10000 ? in->count : 0x10000,
		.latched_count = in->latched_count,
		.count_latched = cut_to(in->count_latched, LOW_THEN_HIGH, 0),
		.status_latched = !!in->status_latched,
		.status = in->status,
		.read_state = cut_to(in->read_state, HIGH_NEXT, access),
		.write_state = cut_to(in->write_state, HIGH_NEXT, access),
		.write_latch = in->write_latch,
		.rw_mode = access,
		.mode = in->mode > 7 ? PIT_MODE_NONE : in->mode,
		.bcd = in->bcd,
		.gate = gate,
		.null_count = in->mode > 7 || (!in->status_latched && in->status & STATUS_NULL),
		.load_time = in->count_load_time,
	};
	if (!gate)
		c->held = clocks_in(elapsed(c->load_time, now));
}

void pit_import(struct pit *pit, u64 now, const struct pit_user *in)
{
	unsigned int i;

	for (i = 0; i < PIT_CHANNELS; i++)
		import_channel(&pit->channel[i], &in->channel[i], i != 2 || in->channel[i].gate, now);
	pit->flags = in->flags & (PIT_HPET_LEGACY | PIT_SPEAKER_DATA_ON);
	/* A one-shot that ran out may not have been seen yet: twice does less harm than never. */
	pit->seen = is_periodic(&pit->channel[0]) ? ticks_until(pit, now) : 0;
	pit_forget_ticks(pit);
}
