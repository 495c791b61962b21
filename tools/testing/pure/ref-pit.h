/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A second 8254 for tests, naive: each channel counts, clock pulse by clock pulse, as the data
 * sheet's mode definitions say. play_pit() does one random operation on both and compares all that
 * can be seen. play_pit_import() judges imported states by 128-bit arithmetic.
 *
 * The includer defines MODEL_CHECK(cond) and `u32 draw(void)`, of which 8 bits count.
 */
#ifndef KEEL_REF_PIT_H
#define KEEL_REF_PIT_H

#include "harness.h"
#include "pit.h"

typedef __int128 s128;

#define REF_NS 1000000000

struct ref_channel {
	int mode, rw, bcd;		/* mode 0..5, -1 before the first control word */
	int raw_mode;
	bool gate, running, first_read, first_written;
	int reload, element;		/* initial count, counting element */
	bool out, struck;
	u8 low;
	int latched;			/* -1 none */
	int latch_bytes;		/* 1 low, 2 high, 3 both */
	int status;			/* -1 none */
	s128 origin;			/* time of clock pulse 0 */
	u64 pulses, edges;		/* since the load */
};

static struct pit pit;
static struct {
	struct ref_channel ch[3];
	u64 now, reported, owed;
	unsigned int min_clocks;
	bool data, waiting, reinject;
} ref;

static s128 ref_ns(s128 pulses)
{
	return (pulses * REF_NS + PIT_HZ - 1) / PIT_HZ;
}

static void ref_load(struct ref_channel *c)
{
	c->element = c->mode == 3 ? c->reload - c->reload % 2 : c->reload;
	c->out = c->mode == 2 ? c->reload != 1 : c->mode > 1;
	c->struck = false;
	c->pulses = c->edges = 0;
	c->origin = ref.now;
}

static void ref_down(struct ref_channel *c)
{
	if (c->element-- == 0)
		c->element = c->bcd ? 9999 : 0xffff;
}

/* One clock pulse. */
static void ref_pulse(struct ref_channel *c)
{
	c->pulses++;
	switch (c->mode) {
	case 0:
	case 1:
		ref_down(c);
		if (c->element == 0 && !c->out) {
			c->out = true;
			c->edges++;
		}
		break;
	case 2:
		if (--c->element == 0) {
			c->element = c->reload;
			c->edges++;
		}
		c->out = c->element != 1;
		break;
	case 3:
		if (c->reload == 1) {
			c->edges++;
			break;
		}
		if (c->reload % 2 && c->out) {
			/* The long half ends one pulse after the count. */
			if (c->element == 0) {
				c->out = false;
				c->element = c->reload - 1;
			} else {
				c->element -= 2;
			}
			break;
		}
		c->element -= 2;
		if (c->element == 0) {
			c->out = !c->out;
			c->element = c->reload - c->reload % 2;
			c->edges += c->out;
		}
		break;
	default:
		ref_down(c);
		if (!c->out) {
			c->out = true;
			c->edges++;
		} else if (c->element == 0 && !c->struck) {
			c->out = false;
			c->struck = true;
		}
		break;
	}
}

static bool ref_stopped(const struct ref_channel *c)
{
	return !c->running || (!c->gate && c->mode != 1 && c->mode != 5);
}

static void ref_advance(u64 to)
{
	ref.now = to;
	for (int i = 0; i < 3; i++) {
		struct ref_channel *c = &ref.ch[i];

		if (ref_stopped(c))
			continue;
		while (ref_ns(c->pulses + 1) + c->origin <= (s128)to)
			ref_pulse(c);
	}
}

static bool ref_out(const struct ref_channel *c)
{
	if (c->mode < 0)
		return false;
	if (!c->running)
		return c->mode != 0;
	if (!c->gate && (c->mode == 2 || c->mode == 3))
		return true;
	return c->out;
}

static int ref_shown(const struct ref_channel *c)
{
	int n = c->element;

	if (!c->running)
		return 0;
	if (!c->bcd)
		return n & 0xffff;
	return (n / 1000 % 10) * 4096 + (n / 100 % 10) * 256 + (n / 10 % 10) * 16 + n % 10;
}

static int ref_number(const struct ref_channel *c, int written)
{
	int n = 0;

	if (!c->bcd)
		return written ? written : 65536;
	for (int shift = 12; shift >= 0; shift -= 4)
		n = 10 * n + (written >> shift) % 16;
	return n ? n : 10000;
}

static void ref_latch(struct ref_channel *c)
{
	if (c->latched >= 0)
		return;
	c->latched = ref_shown(c);
	c->latch_bytes = c->rw;
}

static void ref_forget(void)
{
	ref.owed = 0;
	ref.waiting = false;
}

static void ref_new_ticks(int i)
{
	if (i)
		return;
	ref.reported = 0;
	ref_forget();
}

static bool ref_control(u8 v)
{
	int i = v / 64, mode;
	struct ref_channel *c;

	if (i == 3) {
		for (i = 0; i < 3; i++) {
			c = &ref.ch[i];
			if (!(v >> (i + 1) & 1))
				continue;
			if (!(v & 0x20))
				ref_latch(c);
			if (!(v & 0x10) && c->status < 0)
				c->status = ref_out(c) * 128 + !c->running * 64 + c->rw * 16 +
					    c->raw_mode * 2 + c->bcd;
		}
		return false;
	}
	c = &ref.ch[i];
	if (!(v & 0x30)) {
		ref_latch(c);
		return false;
	}
	mode = v / 2 % 8;
	*c = (struct ref_channel){ .gate = c->gate, .rw = v / 16 % 4, .bcd = v % 2, .raw_mode = mode,
				   .mode = mode >= 6 ? mode - 4 : mode, .latched = -1, .status = -1 };
	c->reload = ref_number(c, 0);
	ref_new_ticks(i);
	return i == 0;
}

static bool ref_write(u16 port, u8 v)
{
	struct ref_channel *c;
	int count, i = port - 0x40;

	if (port == 0x43)
		return ref_control(v);
	if (port < 0x40 || port > 0x43)
		return false;
	c = &ref.ch[i];
	if (c->rw == 3 && !c->first_written) {
		c->first_written = true;
		c->low = v;
		if (c->mode != 0)
			return false;
		c->running = false;
		ref_new_ticks(i);
		return i == 0;
	}
	count = c->rw == 1 ? v : c->rw == 2 ? v * 256 : c->low + v * 256;
	c->first_written = false;
	c->reload = ref_number(c, count);
	c->running = c->mode == 0 || c->mode == 2 || c->mode == 3 || c->mode == 4;
	ref_load(c);
	ref_new_ticks(i);
	return i == 0;
}

static u8 ref_read(u16 port)
{
	struct ref_channel *c;
	int v;

	if (port < 0x40 || port > 0x42)
		return 0xff;
	c = &ref.ch[port - 0x40];
	v = c->status;
	if (v >= 0) {
		c->status = -1;
		return v;
	}
	v = c->latched;
	if (v >= 0) {
		if (c->latch_bytes & 1) {
			c->latch_bytes -= 1;
			if (!c->latch_bytes)
				c->latched = -1;
			return v;
		}
		c->latched = -1;
		return v >> 8;
	}
	v = ref_shown(c);
	if (c->rw == 1)
		return v;
	if (c->rw == 2)
		return v >> 8;
	c->first_read = !c->first_read;
	return c->first_read ? v : v >> 8;
}

static void ref_speaker(u8 v)
{
	struct ref_channel *c = &ref.ch[2];
	bool gate = v & 1;

	ref.data = v & 2;
	if (gate == c->gate)
		return;
	c->gate = gate;
	if (!gate)
		return;
	if (c->mode == 1 || c->mode == 5) {
		c->running = true;
		ref_load(c);
	} else if (c->mode == 2 || c->mode == 3) {
		ref_load(c);
	} else {
		c->origin = (s128)ref.now - ref_ns(c->pulses);
	}
}

/* How many of channel 0's edges make a tick. */
static u64 ref_group(void)
{
	const struct ref_channel *c = &ref.ch[0];
	u64 group = 1;

	while ((c->mode == 2 || c->mode == 3) && group * c->reload < ref.min_clocks)
		group++;
	return group;
}

static u64 ref_ticks(void)
{
	const struct ref_channel *c = &ref.ch[0];

	if (!c->running || c->mode < 0 || c->mode == 1 || c->mode == 5)
		return 0;
	return c->edges / ref_group();
}

static void ref_compare(void)
{
	const struct ref_channel *c = &ref.ch[0];
	u64 next = pit_next_tick(&pit, ref.now), want;

	for (int i = 0; i < 3; i++)
		MODEL_CHECK(pit_out(&pit, i, ref.now) == ref_out(&ref.ch[i]));
	MODEL_CHECK(pit_speaker_read(&pit, ref.now) ==
		    (ref.ch[2].gate | ref.data << 1 | (ref.now / 15085 & 1) << 4 |
		     ref_out(&ref.ch[2]) << 5));
	if (!c->running || (c->mode != 2 && c->mode != 3 && ref.reported)) {
		MODEL_CHECK(next == PIT_NO_TICK);
	} else if (c->mode == 2 || c->mode == 3) {
		want = c->origin + ref_ns((s128)(ref_ticks() + 1) * ref_group() * c->reload);
		MODEL_CHECK(next == want && next > ref.now);
	} else {
		want = c->origin + ref_ns(c->reload + (c->mode == 4));
		MODEL_CHECK(next == want);
	}
}

static void ref_begin(unsigned int min_clocks)
{
	pit_init(&pit, min_clocks ? (u64)ref_ns(min_clocks) : 0);
	memset(&ref, 0, sizeof(ref));
	for (int i = 0; i < 3; i++)
		ref.ch[i] = (struct ref_channel){ .mode = -1, .raw_mode = 7, .rw = 3, .gate = i != 2,
						  .latched = -1, .status = -1, .reload = 65536 };
	ref.min_clocks = min_clocks;
	ref.reinject = true;
	ref.now = 1000000;
}

/* Ticks: what was raised and not yet acknowledged, and what waits for that. */
static bool ref_raise(void)
{
	if (ref.waiting || !ref.owed)
		return false;
	ref.owed--;
	ref.waiting = true;
	return true;
}

static void play_ticks(u32 what)
{
	u64 n = ref_ticks() - ref.reported;
	bool raise;

	switch (what) {
	case 0:
	case 1:
	case 2:
		MODEL_CHECK(pit_expire(&pit, ref.now) == n);
		MODEL_CHECK(pit_expire(&pit, ref.now) == 0);
		ref.reported += n;
		raise = pit_tick(&pit, n);
		if (ref.reinject) {
			ref.owed += n;
			MODEL_CHECK(raise == ref_raise());
		} else {
			MODEL_CHECK(raise == (n > 0));
		}
		break;
	case 3:
	case 4:
		ref.waiting = false;
		MODEL_CHECK(pit_acked(&pit) == (ref.reinject && ref_raise()));
		break;
	case 5:
		pit_refused(&pit);
		ref_forget();
		break;
	case 6:
		ref.reinject = draw() & 3;
		pit_set_reinject(&pit, ref.reinject);
		ref_forget();
		break;
	}
	MODEL_CHECK(pit.pending == ref.owed);
}

static u8 draw_control(void)
{
	u8 v = draw();

	/* Fewer BCD words, more of channels 0 and 2. */
	if (v & 1 && v & 0x40)
		v &= ~0x41;
	return v;
}

static void play_pit(void)
{
	struct pit_effect effect;
	struct pit_user user;
	u32 op = draw();
	u16 port = 0x40 + (op >> 4 & 3);
	u8 v;

	effect.rearm = op & 1;
	switch (op & 15) {
	case 0:
	case 1:
		v = draw_control();
		pit_port_write(&pit, 0x43, v, ref.now, &effect);
		MODEL_CHECK(effect.rearm == ref_write(0x43, v));
		break;
	case 2:
	case 3:
	case 4:
		v = draw();
		/* Small counts expire soon. */
		if (op & 0x80 && port != 0x43)
			v &= ref.ch[port - 0x40].first_written ? 1 : 15;
		pit_port_write(&pit, port, v, ref.now, &effect);
		MODEL_CHECK(effect.rearm == ref_write(port, v));
		break;
	case 5:
	case 6:
		MODEL_CHECK(pit_port_read(&pit, port, ref.now) == ref_read(port));
		break;
	case 7:
		v = draw();
		pit_speaker_write(&pit, v, ref.now);
		ref_speaker(v);
		break;
	case 8:
	case 9:
		ref_advance(ref.now + draw());
		break;
	case 10:
		ref_advance(ref.now + draw() * 1000);
		break;
	case 11:
		v = draw();
		ref_advance(ref.now + (v < 16 ? v * 4000000ULL : v * 16384ULL));
		break;
	case 12:	/* to the next tick, or just before it */
		if (pit_next_tick(&pit, ref.now) > ref.now &&
		    pit_next_tick(&pit, ref.now) < ref.now + 60000000)
			ref_advance(pit_next_tick(&pit, ref.now) - (op >> 7));
		break;
	case 13:	/* out and in again */
		if (ref_ticks() != ref.reported)
			break;
		pit_export(&pit, ref.now, &user);
		/* A one-shot's tick would be reported again; a latched status hides that nothing counts. */
		if ((ref.reported && ref.ch[0].mode != 2 && ref.ch[0].mode != 3) ||
		    ref.ch[0].status >= 0 || ref.ch[1].status >= 0 || ref.ch[2].status >= 0)
			break;
		pit_import(&pit, ref.now, &user);
		ref_forget();
		break;
	default:
		play_ticks(op >> 4 & 7);
		break;
	}
	ref_compare();
}

static u64 draw64(void)
{
	u64 v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | (draw() & 255);
	return v;
}

/* Any state, at any time: what can be read is what exact arithmetic says, and nothing overflows. */
static void play_pit_import(void)
{
	struct pit_user in, once, twice;
	struct pit p;
	u64 now = draw64() >> (draw() & 63), next, n;
	const struct pit_channel *c;
	unsigned int mode;
	s128 clocks, period;

	for (unsigned int i = 0; i < sizeof(in); i++)
		((u8 *)&in)[i] = draw();
	/* Mostly something that ticks. */
	if (draw() & 3) {
		in.flags &= ~PIT_HPET_LEGACY;
		in.channel[0].mode &= 7;
		in.channel[0].status = 0;
		if (draw() & 1)
			in.channel[0].count_load_time >>= draw() & 63;
		if (draw() & 1)
			in.channel[0].count >>= 16 + (draw() & 15);
	}
	pit_init(&p, draw64() >> (draw() & 63));
	pit_import(&p, now, &in);
	pit_export(&p, now, &once);
	pit_import(&p, now, &once);
	pit_export(&p, now, &twice);
	if (now < 1ULL << 62 && in.channel[2].count_load_time > -(1LL << 62))
		MODEL_CHECK(!memcmp(&once, &twice, sizeof(once)));
	for (int i = 0; i < 3; i++) {
		c = &p.channel[i];
		MODEL_CHECK(c->count >= 1 && c->count <= 0x10000);
		MODEL_CHECK(c->gate || i == 2);
	}

	c = &p.channel[0];
	mode = c->mode == 6 || c->mode == 7 ? c->mode - 4 : c->mode;
	clocks = (s128)now - c->load_time;
	clocks = clocks < 0 ? 0 : clocks > ~0ULL ? ~0ULL : clocks;
	clocks = clocks * PIT_HZ / REF_NS;
	next = pit_next_tick(&p, now);
	if (mode > 4 || mode == 1 || c->null_count || p.flags & PIT_HPET_LEGACY) {
		MODEL_CHECK(next == PIT_NO_TICK && !pit_expire(&p, now) && !pit_expire(&p, ~0ULL));
		return;
	}
	period = c->count + (mode == 4);
	if (mode == 2 || mode == 3) {
		period *= (p.min_clocks + (s128)c->count - 1) / c->count;
		if (!period)
			period = c->count;
		MODEL_CHECK(period >= p.min_clocks && (next > now || next == PIT_NO_TICK));
		MODEL_CHECK(!pit_expire(&p, now));
		clocks = (clocks / period + 1) * period;
	} else {
		n = clocks >= period;
		MODEL_CHECK(pit_expire(&p, now) == n);
		p.seen = 0;
		clocks = period;
	}
	/* The time of that clock, rounded up, unless there is none. */
	clocks = ref_ns(clocks) + c->load_time;
	if (next == PIT_NO_TICK)
		MODEL_CHECK(clocks > (s128)(~0ULL >> 1) - REF_NS);
	else
		MODEL_CHECK(clocks < 0 ? next == 0 : (s128)next == clocks);
	if (next == PIT_NO_TICK || next <= now)
		return;
	MODEL_CHECK(pit_expire(&p, next - 1) == 0);
	MODEL_CHECK(pit_expire(&p, next) == 1);
	MODEL_CHECK(pit_tick(&p, ~0ULL) && !pit_tick(&p, 1) && p.pending == ~0u);
	for (u16 port = 0x3f; port < 0x45; port++)
		pit_port_read(&p, port, now);
	pit_speaker_write(&p, draw(), now);
	pit_speaker_read(&p, draw64());
}

#endif /* KEEL_REF_PIT_H */
