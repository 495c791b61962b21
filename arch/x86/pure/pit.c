// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 8254 programmable interval timer of a PC, and port 0x61.
 *
 * It owns the registers: what ports write and read. Ticks of channel 0 are pit-tick.c's. It does not
 * own a clock, IRQ 0, or any lock. Any context.
 *
 * A count is not decremented: it follows from the time of its load. Liberties: the clock that
 * transfers a count into the counting element takes no time, and a new count takes effect at once
 * also in modes 2 and 3 (the sheet: at the end of the period) and ends a running one-shot in modes
 * 1 and 5 (the sheet: with the next trigger).
 *
 * Intel data sheet 8254 Programmable Interval Timer: "Control Word Format", "Write Operations",
 * "Read Operations", "Counter Latch Command", "Read-Back Command", "Mode Definitions", "Gate",
 * "Minimum and Maximum Initial Counts". Intel 82371AB data sheet: "NMI Status and Control
 * Register".
 */
#include "pit-priv.h"

#define REFRESH_NS 15085u		/* between two toggles of the refresh bit */

#define CONTROL_PORT 3u
#define CONTROL_READ_BACK 3u
#define READ_BACK_NO_COUNT 0x20u
#define READ_BACK_NO_STATUS 0x10u

#define SPEAKER_GATE 0x01u
#define SPEAKER_DATA 0x02u

static bool out_level(const struct pit_channel *c, u64 now)
{
	u64 n = counted(c, now);

	if (c->mode == PIT_MODE_NONE)
		return false;
	if (c->null_count)
		return mode_of(c) != 0;
	switch (mode_of(c)) {
	case 0:
	case 1:
		return n >= c->count;
	case 2:
		return is_stopped(c) || n % c->count != c->count - 1;
	case 3:
		return is_stopped(c) || n % c->count < (c->count + 1) / 2;
	default:
		return n != c->count;
	}
}

static u16 to_bcd(unsigned int n)
{
	return n / 1000 % 10 << 12 | n / 100 % 10 << 8 | n / 10 % 10 << 4 | n % 10;
}

/* What the counting element shows. */
static u16 current_count(const struct pit_channel *c, u64 now)
{
	u32 wrap = c->bcd ? 10000 : 0x10000, half = (c->count + 1) / 2, place, value;
	u64 n = counted(c, now);

	if (c->null_count)
		return 0;
	switch (mode_of(c)) {
	case 2:
		value = c->count - n % c->count;
		break;
	case 3:	/* by twos, twice a period, from an even number; an odd count's first half is longer */
		place = n % c->count;
		value = (c->count & ~1u) - 2 * (place < half ? place : place - half);
		break;
	default:
		value = (c->count % wrap + wrap - n % wrap) % wrap;
		break;
	}
	return c->bcd ? to_bcd(value) : value;
}

static u32 count_of(u16 written, bool bcd)
{
	u32 count = written;

	if (bcd)
		count = (written >> 12) * 1000 + (written >> 8 & 15) * 100 + (written >> 4 & 15) * 10 +
			(written & 15);
	if (count)
		return count;
	return bcd ? 10000 : 0x10000;
}

static void latch_count(struct pit_channel *c, u64 now)
{
	if (c->count_latched)
		return;
	c->latched_count = current_count(c, now);
	c->count_latched = c->rw_mode;
}

static void latch_status(struct pit_channel *c, u64 now)
{
	if (c->status_latched)
		return;
	c->status_latched = 1;
	c->status = out_level(c, now) << 7 | (c->null_count ? STATUS_NULL : 0) | c->rw_mode << 4 |
		    (c->mode & 7) << 1 | c->bcd;
}

/* Channel 0 begins anew. */
static void restart_ticks(struct pit *pit, struct pit_effect *effect)
{
	pit->seen = 0;
	pit_forget_ticks(pit);
	effect->rearm = true;
}

static void write_control(struct pit *pit, u8 value, u64 now, struct pit_effect *effect)
{
	unsigned int select = value >> 6, access = value >> 4 & 3, i;
	struct pit_channel *c;

	if (select == CONTROL_READ_BACK) {
		for (i = 0; i < PIT_CHANNELS; i++) {
			if (!(value & 2u << i))
				continue;
			if (!(value & READ_BACK_NO_COUNT))
				latch_count(&pit->channel[i], now);
			if (!(value & READ_BACK_NO_STATUS))
				latch_status(&pit->channel[i], now);
		}
		return;
	}
	c = &pit->channel[select];
	if (!access) {
		latch_count(c, now);
		return;
	}
	*c = (struct pit_channel){
		.count = count_of(0, value & 1),
		.read_state = access,
		.write_state = access,
		.rw_mode = access,
		.mode = value >> 1 & 7,
		.bcd = value & 1,
		.gate = c->gate,
		.null_count = true,
		.load_time = to_time(now),
	};
	if (!select)
		restart_ticks(pit, effect);
}

static void load(struct pit_channel *c, u16 written, u64 now)
{
	c->count = count_of(written, c->bcd);
	c->load_time = to_time(now);
	c->held = 0;
	c->null_count = is_triggered(c) || c->mode == PIT_MODE_NONE;
}

static void set_gate(struct pit_channel *c, bool on, u64 now)
{
	if (on == c->gate)
		return;
	if (!on) {
		c->held = counted(c, now);
	} else if (is_periodic(c) || is_triggered(c)) {
		c->load_time = to_time(now);
		if (is_triggered(c))
			c->null_count = false;
	} else {
		c->load_time = back_from(now, ns_of(c->held));
	}
	c->gate = on;
}

void pit_init(struct pit *pit, u64 min_period_ns)
{
	u64 clocks = clocks_in(min_period_ns);
	unsigned int i;

	memset(pit, 0, sizeof(*pit));
	if (ns_of(clocks) < min_period_ns)
		clocks++;
	pit->min_clocks = clocks > ~0u ? ~0u : clocks;
	pit->irq_ack = true;
	pit->reinject = true;
	for (i = 0; i < PIT_CHANNELS; i++) {
		pit->channel[i] = (struct pit_channel){
			.count = 0x10000,
			.read_state = LOW_THEN_HIGH,
			.write_state = LOW_THEN_HIGH,
			.rw_mode = LOW_THEN_HIGH,
			.mode = PIT_MODE_NONE,
			.gate = i != 2,
			.null_count = true,
		};
	}
}

void pit_port_write(struct pit *pit, u16 port, u8 value, u64 now, struct pit_effect *effect)
{
	unsigned int which = port - PIT_PORT;
	struct pit_channel *c;

	effect->rearm = false;
	if (which > CONTROL_PORT)
		return;
	if (which == CONTROL_PORT) {
		write_control(pit, value, now, effect);
		return;
	}
	c = &pit->channel[which];
	switch (c->write_state) {
	case LOW_BYTE:
		load(c, value, now);
		break;
	case HIGH_BYTE:
		load(c, value << 8, now);
		break;
	case HIGH_NEXT:
		c->write_state = LOW_THEN_HIGH;
		load(c, value << 8 | c->write_latch, now);
		break;
	default:
		c->write_latch = value;
		c->write_state = HIGH_NEXT;
		/* In mode 0 the first byte stops the count and takes OUT low. */
		if (c->mode != 0)
			return;
		c->null_count = true;
		break;
	}
	if (!which)
		restart_ticks(pit, effect);
}

u8 pit_port_read(struct pit *pit, u16 port, u64 now)
{
	unsigned int which = port - PIT_PORT;
	struct pit_channel *c;

	if (which >= CONTROL_PORT)
		return 0xff;
	c = &pit->channel[which];
	if (c->status_latched) {
		c->status_latched = 0;
		return c->status;
	}
	switch (c->count_latched) {
	case LOW_BYTE:
		c->count_latched = 0;
		return c->latched_count;
	case HIGH_BYTE:
		c->count_latched = 0;
		return c->latched_count >> 8;
	case LOW_THEN_HIGH:
		c->count_latched = HIGH_BYTE;
		return c->latched_count;
	}
	switch (c->read_state) {
	case LOW_BYTE:
		return current_count(c, now);
	case LOW_THEN_HIGH:
		c->read_state = HIGH_NEXT;
		return current_count(c, now);
	case HIGH_NEXT:
		c->read_state = LOW_THEN_HIGH;
		fallthrough;
	default:
		return current_count(c, now) >> 8;
	}
}

void pit_speaker_write(struct pit *pit, u8 value, u64 now)
{
	set_gate(&pit->channel[2], value & SPEAKER_GATE, now);
	pit->flags &= ~PIT_SPEAKER_DATA_ON;
	if (value & SPEAKER_DATA)
		pit->flags |= PIT_SPEAKER_DATA_ON;
}

u8 pit_speaker_read(const struct pit *pit, u64 now)
{
	return (pit->channel[2].gate ? SPEAKER_GATE : 0) |
	       (pit->flags & PIT_SPEAKER_DATA_ON ? SPEAKER_DATA : 0) |
	       (now / REFRESH_NS & 1) << 4 | out_level(&pit->channel[2], now) << 5;
}

bool pit_out(const struct pit *pit, unsigned int channel, u64 now)
{
	return channel < PIT_CHANNELS && out_level(&pit->channel[channel], now);
}
