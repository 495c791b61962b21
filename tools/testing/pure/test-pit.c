// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 8254, rule by rule of the data sheet (the section is named above each), the arithmetic of its
 * ticks, and random series against the naive timer of ref-pit.h.
 */
#include "harness.h"
#include "types.h"

static u64 seed;

static u32 draw(void)
{
	return test_rand(&seed) >> 33 & 255;
}

#define MODEL_CHECK(cond)                                                                          \
	do {                                                                                       \
		if (cond)                                                                          \
			test_state.passed++;                                                       \
		else                                                                               \
			CHECK(cond);                                                               \
	} while (0)

#include "ref-pit.h"

#define MS 1000000ULL
#define SECOND 1000000000ULL
#define START (5 * SECOND)

static bool rearm;

static void out(u16 port, u8 value, u64 now)
{
	struct pit_effect effect = { .rearm = !rearm };

	pit_port_write(&pit, port, value, now, &effect);
	rearm = effect.rearm;
}

/* Both bytes of a count. */
static void count(u16 port, u16 value, u64 now)
{
	out(port, value & 0xff, now);
	out(port, value >> 8, now);
}

static u16 in16(u16 port, u64 now)
{
	u16 low = pit_port_read(&pit, port, now);

	return low | pit_port_read(&pit, port, now) << 8;
}

static u16 latched(u16 port, u64 now)
{
	out(0x43, (port - 0x40) << 6, now);
	return in16(port, now);
}

/* The time of clock pulse n after @from. */
static u64 at(u64 from, u64 n)
{
	return from + (u64)ref_ns(n);
}

static u8 status(unsigned int channel, u64 now)
{
	out(0x43, 0xe0 | 2 << channel, now);
	return pit_port_read(&pit, 0x40 + channel, now);
}

/* Mode Definitions: OUT and the counting element, the values in the sheet's diagrams. */
static void test_modes(void)
{
	static const struct {
		u8 mode, bcd;
		u16 count, clock, value;
		bool out;
	} rows[] = {
		{ 0, 0, 4, 0, 4, 0 }, { 0, 0, 4, 3, 1, 0 }, { 0, 0, 4, 4, 0, 1 },
		{ 0, 0, 4, 5, 0xffff, 1 }, { 0, 0, 4, 6, 0xfffe, 1 },
		{ 2, 0, 3, 0, 3, 1 }, { 2, 0, 3, 1, 2, 1 }, { 2, 0, 3, 2, 1, 0 }, { 2, 0, 3, 3, 3, 1 },
		{ 2, 0, 3, 5, 1, 0 }, { 2, 0, 3, 6, 3, 1 },
		{ 3, 0, 4, 0, 4, 1 }, { 3, 0, 4, 1, 2, 1 }, { 3, 0, 4, 2, 4, 0 }, { 3, 0, 4, 3, 2, 0 },
		{ 3, 0, 4, 4, 4, 1 },
		{ 3, 0, 5, 0, 4, 1 }, { 3, 0, 5, 1, 2, 1 }, { 3, 0, 5, 2, 0, 1 }, { 3, 0, 5, 3, 4, 0 },
		{ 3, 0, 5, 4, 2, 0 }, { 3, 0, 5, 5, 4, 1 },
		{ 4, 0, 3, 0, 3, 1 }, { 4, 0, 3, 2, 1, 1 }, { 4, 0, 3, 3, 0, 0 }, { 4, 0, 3, 4, 0xffff, 1 },
		{ 4, 0, 3, 5, 0xfffe, 1 },
		/* Two codes for modes 2 and 3. */
		{ 6, 0, 3, 2, 1, 0 }, { 7, 0, 4, 3, 2, 0 },
		/* Minimum and Maximum Initial Counts: 0 stands for 2^16, in BCD for 10^4. */
		{ 0, 0, 0, 0, 0, 0 }, { 0, 0, 0, 1, 0xffff, 0 }, { 0, 0, 0, 0xffff, 1, 0 },
		{ 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0xffff, 1, 0 },
		{ 3, 0, 0, 0x7fff, 2, 1 }, { 3, 0, 0, 0x8000, 0, 0 },
		{ 0, 1, 0x0010, 0, 0x0010, 0 }, { 0, 1, 0x0010, 1, 0x0009, 0 },
		{ 0, 1, 0x0010, 10, 0, 1 }, { 0, 1, 0x0010, 11, 0x9999, 1 },
		{ 0, 1, 0, 0, 0, 0 }, { 0, 1, 0, 1, 0x9999, 0 }, { 0, 1, 0, 10000, 0, 1 },
		{ 2, 1, 0x1234, 1233, 1, 0 }, { 2, 1, 0x1234, 34, 0x1200, 1 },
		{ 3, 1, 0x0100, 50, 0x0100, 0 },
		/* No decimal digit: taken by its weight. */
		{ 0, 1, 0x000f, 15, 0, 1 }, { 0, 1, 0x000f, 14, 1, 0 },
		/* Too small for modes 2 and 3. */
		{ 2, 0, 1, 7, 1, 0 }, { 3, 0, 1, 7, 0, 1 },
	};

	for_each_row(row, rows) {
		u64 now = at(START, row->clock);
		u8 want = row->out << 7 | 0x30 | row->mode << 1 | row->bcd;

		test_context("mode %u count %#x clock %u", row->mode, row->count, row->clock);
		pit_init(&pit, 0);
		out(0x43, 0x30 | row->mode << 1 | row->bcd, START - 20);
		CHECK(rearm);
		CHECK_EQ(pit_out(&pit, 0, START - 10), row->mode != 0);
		count(0x40, row->count, START);
		CHECK(rearm);
		CHECK_EQ(pit_out(&pit, 0, now), row->out);
		CHECK_EQ(latched(0x40, now), row->value);
		CHECK_EQ(status(0, now), want);
		CHECK_EQ(in16(0x40, now), row->value);
		if (row->clock) {
			/* Not one nanosecond earlier. */
			CHECK(latched(0x40, now - 1) != row->value || row->count == 1);
		}
	}
	test_context("%s", "");
}

/* Control Word Format, Write Operations, Read Operations. */
static void test_access(void)
{
	u64 now = START;

	/* Nothing was programmed. */
	pit_init(&pit, 0);
	for (unsigned int i = 0; i < 3; i++) {
		CHECK(!pit_out(&pit, i, now));
		CHECK_EQ(in16(0x40 + i, now), 0);
		CHECK_EQ(status(i, now) & 0xf0, 0x70);
	}
	count(0x40, 100, now);
	CHECK_EQ(pit_next_tick(&pit, now), PIT_NO_TICK);
	CHECK_EQ(pit_port_read(&pit, 0x43, now), 0xff);
	CHECK_EQ(pit_port_read(&pit, 0x3f, now), 0xff);
	CHECK_EQ(pit_port_read(&pit, 0x44, now), 0xff);
	out(0x44, 0x34, now);
	CHECK(!rearm);
	CHECK(!pit_out(&pit, 3, now));

	/* Low byte only, high byte only: the other one is 0. */
	out(0x43, 0x50 | 2 << 1, now);
	CHECK(!rearm);
	out(0x41, 0x34, now);
	CHECK(!rearm);
	CHECK_EQ(pit_port_read(&pit, 0x41, now), 0x34);
	CHECK_EQ(pit_port_read(&pit, 0x41, at(now, 4)), 0x30);
	CHECK_EQ(latched(0x41, at(now, 0x34)) & 0xff, 0x34);
	out(0x43, 0x60 | 2 << 1, now);
	out(0x41, 0x12, now);
	CHECK_EQ(pit_port_read(&pit, 0x41, now), 0x12);
	CHECK_EQ(pit_port_read(&pit, 0x41, at(now, 1)), 0x11);
	out(0x43, 0x40, at(now, 0x1200));
	CHECK_EQ(pit_port_read(&pit, 0x41, at(now, 0x1280)), 0x12);
	CHECK_EQ(pit_port_read(&pit, 0x41, at(now, 0x1280)), 0x11);

	/* Both, and the null count bit until the second. In mode 0 the first byte stops the count. */
	out(0x43, 0x30, now);
	CHECK_EQ(status(0, now), 0x70);
	count(0x40, 0x0002, now);
	CHECK_EQ(status(0, now), 0x30);
	CHECK_EQ(status(0, at(now, 2)), 0xb0);
	out(0x40, 0x10, at(now, 2));
	CHECK(rearm);
	CHECK_EQ(status(0, at(now, 3)), 0x70);
	CHECK_EQ(pit_next_tick(&pit, now), PIT_NO_TICK);
	out(0x40, 0x00, at(now, 10));
	CHECK(rearm);
	CHECK_EQ(pit_next_tick(&pit, now), at(at(now, 10), 16));
	/* In others it does not. */
	out(0x43, 0x34, now);
	count(0x40, 100, now);
	out(0x40, 0x10, now);
	CHECK(!rearm);
	CHECK_EQ(status(0, at(now, 99)), 0x34);
	CHECK_EQ(pit_next_tick(&pit, now), at(now, 100));
	/* A new control word forgets the first byte. */
	out(0x43, 0x34, now);
	count(0x40, 0x0102, now);
	CHECK_EQ(latched(0x40, now), 0x0102);

	/* Channels are independent of each other's bytes. */
	out(0x43, 0x74, now);
	out(0x43, 0xb4, now);
	out(0x41, 0x11, now);
	out(0x42, 0x22, now);
	out(0x41, 0x33, now);
	out(0x42, 0x44, now);
	CHECK_EQ(pit_port_read(&pit, 0x41, now), 0x11);
	CHECK_EQ(pit_port_read(&pit, 0x40, now), 0x02);
	CHECK_EQ(pit_port_read(&pit, 0x41, now), 0x33);
	CHECK_EQ(pit_port_read(&pit, 0x40, now), 0x01);
}

/* Counter Latch Command, Read-Back Command. */
static void test_latch(void)
{
	u64 now = START;

	pit_init(&pit, 0);
	out(0x43, 0x34, now);
	count(0x40, 0x1000, now);
	out(0x43, 0x74, now);
	count(0x41, 0x2000, now);
	/* Kept until read; a second latch meanwhile is ignored. */
	out(0x43, 0x00, at(now, 1));
	CHECK(!rearm);
	out(0x43, 0x00, at(now, 2));
	CHECK_EQ(in16(0x40, at(now, 3)), 0x0fff);
	CHECK_EQ(in16(0x40, at(now, 3)), 0x0ffd);
	/* Read-back: several channels; status comes before the count. */
	out(0x43, 0xc6, at(now, 4));
	CHECK_EQ(pit_port_read(&pit, 0x40, at(now, 9)), 0xb4);
	CHECK_EQ(in16(0x40, at(now, 9)), 0x0ffc);
	CHECK_EQ(in16(0x40, at(now, 9)), 0x0ff7);
	CHECK_EQ(pit_port_read(&pit, 0x41, at(now, 9)), 0xb4);
	CHECK_EQ(in16(0x41, at(now, 9)), 0x1ffc);
	/* Count only, status only, neither, the unselected channel. */
	out(0x43, 0xd2, at(now, 10));
	CHECK_EQ(in16(0x40, at(now, 12)), 0x0ff6);
	out(0x43, 0xe2, at(now, 0xfff));
	CHECK_EQ(pit_port_read(&pit, 0x40, now), 0x34);
	out(0x43, 0xf2, at(now, 10));
	CHECK_EQ(in16(0x40, at(now, 12)), 0x0ff4);
	out(0x43, 0xc4, at(now, 10));
	CHECK_EQ(in16(0x40, at(now, 13)), 0x0ff3);
	/* A latched status is kept too. */
	out(0x43, 0xe2, at(now, 0xfff));
	out(0x43, 0xe2, now);
	CHECK_EQ(pit_port_read(&pit, 0x40, now), 0x34);
	/* Programming forgets both. */
	out(0x43, 0xc2, now);
	out(0x43, 0x34, now);
	count(0x40, 0x0777, now);
	CHECK_EQ(in16(0x40, now), 0x0777);
}

/* Gate (channel 2, by port 0x61), and the speaker port's own bits. */
static void test_gate(void)
{
	static const struct {
		u8 mode;
		u16 at_stop, held, after;	/* value 10 clocks in, 5 later, 3 after the gate rose */
		bool out_held;
	} rows[] = {
		{ 0, 90, 90, 87, 0 }, { 4, 90, 90, 87, 1 },	/* goes on */
		{ 2, 90, 90, 97, 1 }, { 3, 80, 80, 94, 1 },	/* begins again */
		{ 1, 90, 85, 97, 0 }, { 5, 90, 85, 97, 1 },	/* the level does not matter */
	};
	u64 now = START;

	for_each_row(row, rows) {
		u64 stop = at(START, 10), rise = stop + 4200;

		test_context("mode %u", row->mode);
		pit_init(&pit, 0);
		out(0x43, 0xb0 | row->mode << 1, START);
		count(0x42, 100, START);
		if (row->mode == 1 || row->mode == 5) {
			/* No trigger yet. */
			CHECK_EQ(status(2, START + 10), 0xf0 | row->mode << 1);
			CHECK_EQ(in16(0x42, START + 10), 0);
		} else {
			CHECK_EQ(latched(0x42, START + MS), 100);
		}
		pit_speaker_write(&pit, 1, START);
		CHECK_EQ(latched(0x42, stop), row->at_stop);
		pit_speaker_write(&pit, 0, stop);
		CHECK_EQ(latched(0x42, at(stop, 5)), row->held);
		CHECK_EQ(pit_out(&pit, 2, at(stop, 5)), row->out_held);
		pit_speaker_write(&pit, 1, rise);
		CHECK_EQ(latched(0x42, at(rise, 3) + 1), row->after);
		/* The same level again is no edge. */
		pit_speaker_write(&pit, 3, at(rise, 3));
		CHECK_EQ(latched(0x42, at(rise, 3) + 1), row->after);
	}
	test_context("%s", "");

	/* One-shot and strobe: OUT around the end of the count. */
	pit_init(&pit, 0);
	out(0x43, 0xb2, now);
	count(0x42, 3, now);
	CHECK(pit_out(&pit, 2, now));
	pit_speaker_write(&pit, 1, now);
	CHECK(!pit_out(&pit, 2, now));
	CHECK(!pit_out(&pit, 2, at(now, 3) - 1));
	CHECK(pit_out(&pit, 2, at(now, 3)));
	out(0x43, 0xba, now);
	count(0x42, 3, now);
	pit_speaker_write(&pit, 0, now);
	pit_speaker_write(&pit, 1, now);
	CHECK(pit_out(&pit, 2, at(now, 3) - 1));
	CHECK(!pit_out(&pit, 2, at(now, 3)));
	CHECK(pit_out(&pit, 2, at(now, 4)));

	/* NMI Status and Control Register. */
	for (unsigned int v = 0; v < 256; v++) {
		pit_speaker_write(&pit, v, now);
		CHECK_EQ(pit_speaker_read(&pit, now) & ~0x30, v & 3);
		CHECK_EQ(pit.flags, v & 2 ? PIT_SPEAKER_DATA_ON : 0);
	}
	out(0x43, 0xb0, now);
	count(0x42, 3, now);
	CHECK_EQ(pit_speaker_read(&pit, now) & 0x20, 0);
	CHECK_EQ(pit_speaker_read(&pit, at(now, 3)) & 0x20, 0x20);
	CHECK_EQ((pit_speaker_read(&pit, now) ^ pit_speaker_read(&pit, now + 15085)) & 0x10, 0x10);
}

/* Ticks: of each mode, without drift for as long as times go, with the least period. */
static void test_ticks(void)
{
	static const u32 counts[] = { 2, 3, 11932, 59659, 0xffff, 0x10000 };
	u64 now, next, i;

	for_each_row(row, counts) {
		test_context("count %u", *row);
		pit_init(&pit, 0);
		out(0x43, 0x34, START);
		count(0x40, *row, START);
		now = START;
		for (i = 1; i <= 2000; i++) {
			next = pit_next_tick(&pit, now);
			if (next != at(START, i * *row))
				break;
			CHECK_EQ(pit_expire(&pit, next - 1), 0);
			CHECK_EQ(pit_expire(&pit, next), 1);
			now = next;
		}
		CHECK_EQ(i, 2001);
		/* Hundred years later. */
		now = START + SECOND * 86400 * 365 * 100;
		next = pit_next_tick(&pit, now);
		i = (u64)((__int128)(next - START) * PIT_HZ / SECOND);
		CHECK(next > now && next <= now + 55 * MS);
		CHECK_EQ(i % *row, 0);
		CHECK_EQ(pit_expire(&pit, next), i / *row - 2000);
		CHECK_EQ(pit_expire(&pit, next), 0);
	}
	test_context("%s", "");

	/* One-shots: once. Mode 4's OUT rises a clock after it fell. */
	for (unsigned int mode = 0; mode <= 5; mode++) {
		bool one = mode == 0 || mode == 4;

		if (mode == 2 || mode == 3)
			continue;
		test_context("mode %u", mode);
		pit_init(&pit, 0);
		out(0x43, 0x30 | mode << 1, START);
		count(0x40, 1000, START);
		next = one ? at(START, mode == 4 ? 1001 : 1000) : PIT_NO_TICK;
		CHECK_EQ(pit_next_tick(&pit, START), next);
		CHECK_EQ(pit_next_tick(&pit, START + SECOND), next);
		CHECK_EQ(pit_expire(&pit, START), 0);
		CHECK_EQ(pit_expire(&pit, START + SECOND), one);
		CHECK_EQ(pit_next_tick(&pit, START), PIT_NO_TICK);
		CHECK_EQ(pit_expire(&pit, START + 2 * SECOND), 0);
		count(0x40, 1000, START + SECOND);
		CHECK_EQ(pit_expire(&pit, START + 2 * SECOND), one);
	}
	test_context("%s", "");

	/* The least period: whole multiples of the guest's own. */
	for (unsigned int n = 1; n <= 500; n += 7) {
		u64 group = (239 + n - 1) / n;	/* 200 us are 238.6 clocks */

		pit_init(&pit, 200000);
		out(0x43, 0x34, START);
		count(0x40, n, START);
		CHECK_EQ(pit_next_tick(&pit, START), at(START, group * n));
		CHECK_EQ(pit_expire(&pit, at(START, 10 * group * n)), 10);
	}
	pit_init(&pit, ~0ULL);
	CHECK_EQ(pit.min_clocks, ~0u);
	/* Exactly one clock is not shorter than itself. */
	pit_init(&pit, 838);
	CHECK_EQ(pit.min_clocks, 1);
	pit_init(&pit, 839);
	CHECK_EQ(pit.min_clocks, 1);
	pit_init(&pit, 840);
	CHECK_EQ(pit.min_clocks, 2);
}

static void test_reinject(void)
{
	pit_init(&pit, 0);
	CHECK(pit_tick(&pit, 1));
	pit_init(&pit, 0);
	CHECK(!pit_tick(&pit, 0));
	CHECK(!pit_acked(&pit));
	/* One is raised, others wait for its acknowledgement, each. */
	CHECK(pit_tick(&pit, 1));
	CHECK(!pit_tick(&pit, 1));
	CHECK(!pit_tick(&pit, 2));
	CHECK_EQ(pit.pending, 3);
	CHECK(pit_acked(&pit));
	CHECK(pit_acked(&pit));
	CHECK(!pit_tick(&pit, 0));
	CHECK(pit_acked(&pit));
	CHECK(!pit_acked(&pit));
	CHECK(!pit_acked(&pit));
	CHECK(pit_tick(&pit, 5));
	/* No chip took it: nobody will acknowledge, and nothing is owed. */
	pit_refused(&pit);
	CHECK(!pit_acked(&pit));
	CHECK(pit_tick(&pit, 1));
	CHECK(!pit_tick(&pit, ~0ULL));
	CHECK(!pit_tick(&pit, 7));
	CHECK_EQ(pit.pending, ~0u);
	/* Without: merged, and acknowledgements do not matter. */
	pit_set_reinject(&pit, false);
	CHECK_EQ(pit.pending, 0);
	CHECK(pit_tick(&pit, 3));
	CHECK(pit_tick(&pit, 1));
	CHECK(!pit_tick(&pit, 0));
	CHECK(!pit_acked(&pit));
	pit_set_reinject(&pit, true);
	CHECK(pit_tick(&pit, 2));
	/* A new program owes nothing. */
	out(0x43, 0x34, START);
	CHECK_EQ(pit.pending, 0);
	CHECK(pit_tick(&pit, 2));
	count(0x40, 100, START);
	CHECK(!pit_acked(&pit));
	CHECK(pit_tick(&pit, 1));
	/* Other channels do not matter. */
	CHECK(!pit_tick(&pit, 1));
	out(0x43, 0xb4, START);
	count(0x42, 100, START);
	CHECK(!rearm);
	CHECK_EQ(pit.pending, 1);
}

static void test_user(void)
{
	struct pit_user in, u;
	u64 now = START;

	/* As other makers of the structure describe a timer after reset. */
	pit_init(&pit, 0);
	memset(&in, 0, sizeof(in));
	for (unsigned int i = 0; i < 3; i++) {
		in.channel[i].count = 0x10000;
		in.channel[i].mode = 3;
		in.channel[i].gate = i != 2;
		in.channel[i].count_load_time = START - 10;
	}
	pit_import(&pit, now, &in);
	CHECK_EQ(pit_next_tick(&pit, now), at(START - 10, 0x10000));
	memset(&u, 0x5a, sizeof(u));
	pit_export(&pit, now, &u);
	CHECK_EQ(u.channel[0].count, 0x10000);
	CHECK_EQ(u.channel[0].rw_mode, 3);
	CHECK_EQ(u.channel[0].read_state, 3);
	CHECK_EQ(u.channel[0].write_state, 3);
	CHECK_EQ(u.channel[0].status, 0);
	CHECK_EQ(u.channel[0].count_load_time, START - 10);
	CHECK_EQ(u.channel[2].gate, 0);
	CHECK_EQ(u.flags, 0);
	for (unsigned int i = 0; i < 9; i++)
		CHECK_EQ(u.reserved[i], 0);

	/* In the middle of everything: a byte written, one read, count and status latched. */
	out(0x43, 0x34, now);
	count(0x40, 0x1234, now);
	out(0x40, 0x77, now);
	pit_port_read(&pit, 0x40, now);
	out(0x43, 0xc2, at(now, 0x34));
	out(0x43, 0xb0, now);
	count(0x42, 0x0100, now);
	pit_speaker_write(&pit, 3, now);
	pit_speaker_write(&pit, 2, at(now, 0x80));
	out(0x43, 0x72, now);
	pit_expire(&pit, at(now, 0x1234));
	pit_export(&pit, at(now, 0x2000), &in);
	CHECK_EQ(in.flags, PIT_SPEAKER_DATA_ON);
	CHECK_EQ(in.channel[0].count_latched, 3);
	CHECK_EQ(in.channel[0].write_state, 4);
	CHECK_EQ(in.channel[0].write_latch, 0x77);
	CHECK_EQ(in.channel[1].status, 0x40);
	memset(&pit.channel, 0, sizeof(pit.channel));
	pit_import(&pit, at(now, 0x2000), &in);
	pit_export(&pit, at(now, 0x2000), &u);
	CHECK_MEM_EQ(&in, &u, sizeof(u));
	CHECK_EQ(pit_port_read(&pit, 0x40, now), 0xb4);
	CHECK_EQ(in16(0x40, now), 0x1200);
	CHECK_EQ(pit_port_read(&pit, 0x40, at(now, 0x1034)), 0x02);
	CHECK_EQ(pit_next_tick(&pit, at(now, 0x2000)), at(now, 2 * 0x1234));
	CHECK_EQ(pit_expire(&pit, at(now, 2 * 0x1234)), 1);
	out(0x40, 0x66, now);
	CHECK_EQ(latched(0x40, now) & 0xff, 0x77);
	CHECK_EQ(latched(0x42, at(now, 0x9000)), 0x80);
	pit_speaker_write(&pit, 1, at(now, 0x9000));
	CHECK(!pit_out(&pit, 2, at(now, 0x907f)));
	CHECK(pit_out(&pit, 2, at(now, 0x9080)));

	/* A one-shot that ran out is reported after import, perhaps again. */
	out(0x43, 0x30, now);
	count(0x40, 100, now);
	pit_export(&pit, now, &in);
	pit_import(&pit, now + SECOND, &in);
	CHECK_EQ(pit_next_tick(&pit, now + SECOND), at(now, 100));
	CHECK_EQ(pit_expire(&pit, now + SECOND), 1);

	/* The HPET takes IRQ 0, and gives it back. */
	out(0x43, 0x34, now);
	count(0x40, 100, now);
	pit_export(&pit, now, &in);
	in.flags = ~0u;
	pit_import(&pit, now, &in);
	CHECK_EQ(pit.flags, PIT_HPET_LEGACY | PIT_SPEAKER_DATA_ON);
	CHECK_EQ(pit_next_tick(&pit, now), PIT_NO_TICK);
	CHECK_EQ(pit_expire(&pit, now + SECOND), 0);
	in.flags = 0;
	pit_import(&pit, now + SECOND, &in);
	CHECK_EQ(pit_expire(&pit, now + SECOND), 0);
	CHECK(pit_next_tick(&pit, now + SECOND) != PIT_NO_TICK);

	/* Values that no timer has. */
	memset(&in, 0xff, sizeof(in));
	pit_import(&pit, now, &in);
	pit_export(&pit, now, &u);
	CHECK_EQ(u.channel[0].count, 0x10000);
	CHECK_EQ(u.channel[0].mode, PIT_MODE_NONE);
	CHECK_EQ(u.channel[0].rw_mode, 3);
	CHECK_EQ(u.channel[0].count_latched, 0);
	CHECK_EQ(u.channel[0].status_latched, 1);
	CHECK_EQ(pit_next_tick(&pit, now), PIT_NO_TICK);
	memset(&in, 0, sizeof(in));
	in.channel[0].mode = 2;
	in.channel[0].count_load_time = INT64_MIN;
	pit_import(&pit, ~0ULL, &in);
	CHECK(pit.channel[0].gate);
	CHECK_EQ(pit_next_tick(&pit, ~0ULL), PIT_NO_TICK);
	in.channel[0].count_load_time = ~0ULL >> 1;
	pit_import(&pit, now, &in);
	CHECK_EQ(pit_next_tick(&pit, now), PIT_NO_TICK);
	in.channel[0].mode = 0;
	in.channel[0].count_load_time = -SECOND;
	pit_import(&pit, 5, &in);
	CHECK_EQ(pit_next_tick(&pit, 5), 0);
	/* A gate that fell longer ago than the clock runs. */
	in.channel[2].count_load_time = INT64_MIN;
	pit_import(&pit, ~0ULL, &in);
	pit_export(&pit, 0, &u);
	CHECK_EQ(u.channel[2].count_load_time, INT64_MIN);
	pit_speaker_write(&pit, 1, ~0ULL);
	CHECK(pit_out(&pit, 2, ~0ULL));
}

static void test_random(void)
{
	for (unsigned int round = 1; round < 300; round++) {
		seed = round;
		test_context("round %u", round);
		ref_begin(round & 3 ? 0 : draw());
		for (int i = 0; i < 200 && !test_state.failed; i++)
			play_pit();
		for (int i = 0; i < 50 && !test_state.failed; i++)
			play_pit_import();
	}
	test_context("%s", "");
}

int main(void)
{
	test_modes();
	test_access();
	test_latch();
	test_gate();
	test_ticks();
	test_reinject();
	test_user();
	test_random();
	return test_done("pit");
}
