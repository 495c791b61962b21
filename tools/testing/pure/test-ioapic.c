// SPDX-License-Identifier: GPL-2.0-only
/*
 * The I/O APIC, rule by rule of the data sheet (the register is named above each), and random
 * series against the naive chip of ref-ioapic.h.
 */
#include "harness.h"
#include "types.h"

static u64 seed;

static u32 draw(void)
{
	return test_rand(&seed) >> 33;
}

#define MODEL_CHECK(cond)                                                                          \
	do {                                                                                       \
		if (cond)                                                                          \
			test_state.passed++;                                                       \
		else                                                                               \
			CHECK(cond);                                                               \
	} while (0)

#include "ref-ioapic.h"

#define LEVEL 0x8000u
#define MASKED 0x10000u
#define REMOTE_IRR 0x4000u

static struct ioapic_effect effect;

static u32 reg_read(u8 reg)
{
	ioapic_mmio_write(&io, 0x00, reg, &effect);
	return ioapic_mmio_read(&io, 0x10);
}

/* Leaves the effect of the write. */
static void reg_write(u8 reg, u32 value)
{
	ioapic_mmio_write(&io, 0x00, reg, &effect);
	CHECK(!effect.send && !effect.routes_changed);
	ioapic_mmio_write(&io, 0x10, value, &effect);
}

static void program(unsigned int pin, u32 low, u32 high)
{
	reg_write(0x11 + 2 * pin, high);
	reg_write(0x10 + 2 * pin, low);
}

static int line(unsigned int pin, bool level)
{
	return ioapic_set_irq(&io, pin, level, &effect);
}

static void begin(void)
{
	ioapic_init(&io, IOAPIC_VERSION, false);
}

/* I/O Register Select Register, I/O Window Register; ID, Version, Arbitration. */
static void test_registers(void)
{
	struct ioapic before;
	unsigned int reg;

	begin();
	CHECK_EQ(io.base, 0xfec00000);
	CHECK_EQ(reg_read(0), 0);
	CHECK_EQ(reg_read(1), 0x00170011);
	reg_write(0, 0xffffffff);
	CHECK_EQ(reg_read(0), 0x0f000000);
	CHECK_EQ(reg_read(2), 0x0f000000);
	reg_write(1, 0xffffffff);
	reg_write(2, 0);
	CHECK_EQ(reg_read(1), 0x00170011);
	CHECK_EQ(reg_read(2), 0x0f000000);
	ioapic_mmio_write(&io, 0, 0xffffff12, &effect);
	CHECK_EQ(ioapic_mmio_read(&io, 0), 0x12);

	/* Reset values of the table: masked. */
	for (reg = 0x10; reg < 0x40; reg++)
		CHECK_EQ(reg_read(reg), reg & 1 ? 0 : MASKED);
	/* Registers and offsets that do not exist. */
	for (reg = 3; reg < 0x100; reg++) {
		if (reg == 0x10)
			reg = 0x40;
		before = io;
		reg_write(reg, 0xffffffff);
		CHECK(!effect.routes_changed);
		CHECK_EQ(reg_read(reg), 0);
		before.select = reg;
		CHECK_MEM_EQ(&before, &io, sizeof(io));
	}
	before = io;
	for (reg = 1; reg < 0x100; reg++) {
		if (reg == 0x10)
			continue;
		ioapic_mmio_write(&io, reg, 0x30, &effect);
		CHECK_EQ(ioapic_mmio_read(&io, reg), 0);
	}
	CHECK_MEM_EQ(&before, &io, sizeof(io));

	/* Reset leaves alone what the guest has not made. */
	line(3, true);
	program(3, 0x8030, 0);
	ioapic_reset(&io);
	CHECK_EQ(reg_read(0x16), MASKED);
	CHECK_EQ(io.lines, 1 << 3);
	CHECK_EQ(io.id, 0);
}

/* I/O Redirection Table Registers: which bits can be written. */
static void test_entry_bits(void)
{
	begin();
	program(23, 0xffffffff, 0xffffffff);
	CHECK_EQ(reg_read(0x3e), 0x0001afff);
	CHECK_EQ(reg_read(0x3f), 0xff000000);
	CHECK_EQ(reg_read(0x10), MASKED);
	program(23, 0, 0);
	CHECK(effect.routes_changed);
	reg_write(0x3e, REMOTE_IRR | 0x1000);
	CHECK(!effect.routes_changed);
	CHECK_EQ(reg_read(0x3e), 0);
	ioapic_init(&io, IOAPIC_VERSION, true);
	program(0, 0xffffffff, 0xffffffff);
	CHECK_EQ(reg_read(0x10), 0x0001afff);
	CHECK_EQ(reg_read(0x11), 0xfffe0000);
}

/* Delivery mode, destination mode, destination, trigger mode. */
static void test_message(void)
{
	static const struct {
		u32 low, high;
		bool extended;
		int status;
		struct ioapic_message want;
	} rows[] = {
		{ 0x0031, 0x05000000, 0, 1, { 5, 0x31, IOAPIC_FIXED, false, false } },
		{ 0x8031, 0x05000000, 0, 1, { 5, 0x31, IOAPIC_FIXED, false, true } },
		{ 0x2931, 0xff000000, 0, 1, { 0xff, 0x31, IOAPIC_LOWEST, true, false } },
		{ 0xa931, 0xff000000, 0, 1, { 0xff, 0x31, IOAPIC_LOWEST, true, true } },
		{ 0x0200, 0x01000000, 0, 1, { 1, 0, IOAPIC_SMI, false, false } },
		{ 0x8400, 0x01000000, 0, 1, { 1, 0, IOAPIC_NMI, false, false } },
		{ 0x8500, 0x01000000, 0, 1, { 1, 0, IOAPIC_INIT, false, false } },
		{ 0x8700, 0x01000000, 0, 1, { 1, 0, IOAPIC_EXTINT, false, false } },
		{ 0x0331, 0x01000000, 0, -1, { 0 } },
		{ 0x8631, 0x01000000, 0, -1, { 0 } },
		{ 0x0031, 0x05fe0000, 0, 1, { 5, 0x31, IOAPIC_FIXED, false, false } },
		{ 0x0031, 0x05fe0000, 1, 1, { 0x7f05, 0x31, IOAPIC_FIXED, false, false } },
		{ 0x0031, 0x05020000, 1, 1, { 0x0105, 0x31, IOAPIC_FIXED, false, false } },
		{ 0x0031, 0x05010000, 1, 1, { 5, 0x31, IOAPIC_FIXED, false, false } },
	};

	for_each_row(row, rows) {
		struct ioapic_message got;
		bool valid = row->status > 0;

		test_context("entry %#x:%#x", row->high, row->low);
		ioapic_init(&io, IOAPIC_VERSION, row->extended);
		program(7, row->low, row->high);
		CHECK(!effect.send);
		CHECK_EQ(ioapic_route(&io, 7, &got), valid);
		CHECK_MEM_EQ(&got, &row->want, sizeof(got));
		CHECK_EQ(line(7, true), row->status);
		CHECK_EQ(effect.send, valid);
		if (valid) {
			CHECK_EQ(effect.pin, 7);
			CHECK_MEM_EQ(&effect.message, &row->want, sizeof(got));
		}
		CHECK_EQ(reg_read(0x1e) & REMOTE_IRR, row->want.level ? REMOTE_IRR : 0);
	}
	test_context("%s", "");
}

/* Interrupt mask, trigger mode: edge pins. */
static void test_edge(void)
{
	begin();
	program(1, 0x31, 0);
	CHECK_EQ(line(1, true), IOAPIC_DELIVERED);
	CHECK(effect.send);
	CHECK_EQ(line(1, true), IOAPIC_COALESCED);
	CHECK(!effect.send);
	CHECK_EQ(line(1, false), IOAPIC_DELIVERED);
	CHECK(!effect.send);
	CHECK_EQ(line(1, true), IOAPIC_DELIVERED);
	CHECK(effect.send);
	line(1, false);
	/* Ignored while masked, and not held pending. */
	program(1, MASKED | 0x31, 0);
	CHECK(ioapic_masked(&io, 1));
	CHECK_EQ(line(1, true), IOAPIC_IGNORED);
	CHECK(!effect.send);
	program(1, 0x31, 0);
	CHECK(!ioapic_masked(&io, 1));
	CHECK(!effect.send);
	CHECK_EQ(line(1, true), IOAPIC_COALESCED);
	/* No such pin. */
	CHECK_EQ(line(24, true), IOAPIC_IGNORED);
	CHECK_EQ(line(~0u, true), IOAPIC_IGNORED);
	CHECK(!effect.send);
	CHECK(ioapic_masked(&io, 24));
	CHECK(!ioapic_route(&io, 24, &effect.message));
	ioapic_refused(&io, 24);
	ioapic_redeliver(&io, 24, &effect);
	CHECK(!effect.send);
	/* An EOI concerns an edge pin's notifiers only. */
	ioapic_eoi(&io, 0x31, &effect);
	CHECK_EQ(effect.matched, 1 << 1);
	CHECK_EQ(effect.ended | effect.redeliver | effect.delayed, 0);
	ioapic_redeliver(&io, 1, &effect);
	CHECK(!effect.send);
}

/* Remote IRR, interrupt mask: level pins. */
static void test_level(void)
{
	begin();
	program(9, LEVEL | 0x40, 0);
	CHECK_EQ(line(9, true), IOAPIC_DELIVERED);
	CHECK(effect.send && effect.message.level);
	CHECK_EQ(line(9, true), IOAPIC_COALESCED);
	line(9, false);
	CHECK_EQ(line(9, true), IOAPIC_COALESCED);
	CHECK(!effect.send);
	ioapic_redeliver(&io, 9, &effect);
	CHECK(!effect.send);
	ioapic_eoi(&io, 0x41, &effect);
	CHECK_EQ(effect.matched, 0);
	ioapic_eoi(&io, 0x40, &effect);
	CHECK_EQ(effect.matched, 1 << 9);
	CHECK_EQ(effect.ended, 1 << 9);
	CHECK_EQ(effect.redeliver, 1 << 9);
	CHECK_EQ(effect.delayed, 0);
	CHECK(!effect.send);
	/* A notifier lowers the line: nothing to deliver. It comes back later. */
	line(9, false);
	ioapic_redeliver(&io, 9, &effect);
	CHECK(!effect.send);
	CHECK_EQ(line(9, true), IOAPIC_DELIVERED);
	CHECK(effect.send);

	/* Masked while in service: the EOI still counts, delivery waits for the mask. */
	program(9, MASKED | LEVEL | 0x40, 0);
	CHECK_EQ(reg_read(0x22), MASKED | LEVEL | REMOTE_IRR | 0x40);
	ioapic_eoi(&io, 0x40, &effect);
	CHECK_EQ(effect.ended, 1 << 9);
	CHECK_EQ(effect.redeliver, 0);
	CHECK_EQ(line(9, true), IOAPIC_IGNORED);
	reg_write(0x22, LEVEL | 0x40);
	CHECK(effect.send && effect.routes_changed);
	CHECK_EQ(effect.pin, 9);

	/* A stuck remote IRR falls by a turn through edge; the asserted pin then delivers. */
	reg_write(0x22, 0x40);
	CHECK(!effect.send);
	CHECK_EQ(reg_read(0x22), 0x40);
	reg_write(0x22, LEVEL | 0x40);
	CHECK(effect.send);
	/* It cannot be written. */
	reg_write(0x22, LEVEL | 0x40);
	CHECK_EQ(reg_read(0x22), LEVEL | REMOTE_IRR | 0x40);
	CHECK(!effect.send);

	/* Nobody took it: an assertion tries again. */
	ioapic_refused(&io, 9);
	CHECK_EQ(line(9, true), IOAPIC_DELIVERED);
	CHECK(effect.send);
	ioapic_refused(&io, 9);
	reg_write(0x23, 0x01000000);
	CHECK(effect.send);
	CHECK_EQ(effect.message.dest, 1);
}

/* One vector on several pins; delivery modes without a vector do not match. */
static void test_eoi_sharing(void)
{
	begin();
	program(3, LEVEL | 0x50, 0);
	program(4, LEVEL | 0x50, 0);
	program(5, 0x50, 0);
	program(6, LEVEL | 0x150, 0);
	program(7, 0x750, 0);
	program(8, LEVEL | 0x51, 0);
	for (unsigned int pin = 3; pin <= 8; pin++)
		line(pin, true);
	line(4, false);
	ioapic_eoi(&io, 0x50, &effect);
	CHECK_EQ(effect.matched, 0x78);
	CHECK_EQ(effect.ended, 0x58);
	CHECK_EQ(effect.redeliver, 0x48);
	CHECK_EQ(reg_read(0x20) & REMOTE_IRR, REMOTE_IRR);
}

/* EOI Register: there is one from version 0x20 on. */
static void test_eoi_register(void)
{
	for (unsigned int version = 0x11; version <= 0x20; version += 0xf) {
		ioapic_init(&io, version, false);
		CHECK_EQ(reg_read(1), 0x00170000 | version);
		program(3, LEVEL | 0x50, 0);
		line(3, true);
		ioapic_mmio_write(&io, 0x40, 0x50, &effect);
		CHECK_EQ(effect.redeliver, version == 0x20 ? 1 << 3 : 0);
	}
}

static void test_storm(void)
{
	unsigned int i, n, round;

	begin();
	program(10, LEVEL | 0x60, 0);
	line(10, true);
	for (round = 0; round < 2; round++) {
		for (i = 1, n = 0; i <= IOAPIC_STORM_EOIS; i++) {
			ioapic_eoi(&io, 0x60, &effect);
			n += effect.redeliver == 1 << 10 && !effect.delayed;
			if (i < IOAPIC_STORM_EOIS)
				ioapic_redeliver(&io, 10, &effect);
		}
		CHECK_EQ(n, IOAPIC_STORM_EOIS - 1);
		CHECK_EQ(effect.delayed, 1 << 10);
		CHECK_EQ(effect.redeliver, 0);
		/* After the delay it goes on, with a new count. */
		ioapic_redeliver(&io, 10, &effect);
		CHECK(effect.send);
	}
	/* A line that falls in between is no storm. */
	for (i = 0, n = 0; i < 3 * IOAPIC_STORM_EOIS; i++) {
		ioapic_eoi(&io, 0x60, &effect);
		n += !!effect.delayed;
		ioapic_redeliver(&io, 10, &effect);
		if (i % 1000 == 0) {
			line(10, false);
			line(10, true);
		}
	}
	CHECK_EQ(n, 0);
}

static void test_vectors(void)
{
	u64 bitmap[4] = { 0 };

	begin();
	program(1, 0x31, 0);
	program(2, LEVEL | 0x3f, 0);
	program(3, MASKED | LEVEL | 0x140, 0);
	program(4, LEVEL | 0x4ff, 0);
	program(5, LEVEL | 0xfe, 0);
	program(6, 0x780, 0);
	program(7, LEVEL | 0x90, 0);
	ioapic_eoi_vectors(&io, 0x7f, 0, bitmap);
	CHECK_EQ(bitmap[0], 1ULL << 0x3f);
	CHECK_EQ(bitmap[1], 1);
	CHECK_EQ(bitmap[2], 0);
	CHECK_EQ(bitmap[3], 1ULL << 0x3e);
	ioapic_eoi_vectors(&io, 0x7f, ~0u, bitmap);
	CHECK_EQ(bitmap[0], 1ULL << 0x3f | 1ULL << 0x31 | 1);
	CHECK_EQ(bitmap[2], 0);
	ioapic_eoi_vectors(&io, ~0u, 0, bitmap);
	CHECK_EQ(bitmap[2], 1ULL << 0x10);
}

static void test_user(void)
{
	struct ioapic_user in, u;

	begin();
	memset(&in, 0xff, sizeof(in));
	in.redirtbl[3] = LEVEL | REMOTE_IRR | 0x30;
	in.redirtbl[4] = LEVEL | 0x31;
	in.redirtbl[5] = REMOTE_IRR | 0x32;
	in.redirtbl[6] = LEVEL | REMOTE_IRR | 0x433;
	in.redirtbl[7] = LEVEL | MASKED | 0x34;
	in.redirtbl[8] = LEVEL | 0x35;
	in.irr = ~(1u << 8);
	CHECK_EQ(ioapic_import(&io, &in), 1 << 4);
	memset(&u, 0x5a, sizeof(u));
	ioapic_export(&io, &u);
	CHECK_EQ(u.base_address, ~0ULL);
	CHECK_EQ(u.ioregsel, 0xff);
	CHECK_EQ(u.id, 0x0f);
	CHECK_EQ(u.irr, 0xfffeff);
	CHECK_EQ(u.pad, 0);
	CHECK_EQ(u.redirtbl[0], 0xff0000000001afff);
	CHECK_EQ(u.redirtbl[3], LEVEL | REMOTE_IRR | 0x30);
	CHECK_EQ(u.redirtbl[5], 0x32);
	CHECK_EQ(u.redirtbl[6], LEVEL | 0x433);
	CHECK_EQ(ioapic_mmio_read(&io, 0x10), 0);
	ioapic_redeliver(&io, 4, &effect);
	CHECK(effect.send);
	CHECK_EQ(effect.message.vector, 0x31);
	ioapic_export(&io, &in);
	CHECK_EQ(ioapic_import(&io, &in), 0);
	ioapic_export(&io, &u);
	CHECK_MEM_EQ(&in, &u, sizeof(u));
}

static void test_random(void)
{
	for (unsigned int round = 1; round < 400; round++) {
		seed = round;
		test_context("round %u", round);
		ref_begin(round & 1 ? 0x11 : 0x20, round & 2);
		for (int i = 0; i < 200 && !test_state.failed; i++)
			play_ioapic();
	}
	test_context("%s", "");
}

int main(void)
{
	test_registers();
	test_entry_bits();
	test_message();
	test_edge();
	test_level();
	test_eoi_sharing();
	test_eoi_register();
	test_storm();
	test_vectors();
	test_user();
	test_random();
	return test_done("ioapic");
}
