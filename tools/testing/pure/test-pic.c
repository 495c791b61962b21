// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 8259A pair, rule by rule of the data sheet (the section is named above each), and random
 * series against the naive pair of ref-pic.h.
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

#include "ref-pic.h"

#define MASTER 0x20
#define SLAVE 0xa0

static u16 out(u16 port, u8 value)
{
	return pic_port_write(&pic, port, value);
}

static u8 in(u16 port)
{
	u8 value;

	CHECK_EQ(pic_port_read(&pic, port, &value), 0);
	return value;
}

static u8 status(u16 port, bool isr)
{
	out(port, isr ? 0x0b : 0x0a);
	return in(port);
}

static u8 intack(void)
{
	u16 ended;
	u8 vector;

	CHECK(pic_output(&pic));
	vector = pic_intack(&pic, &ended);
	CHECK_EQ(ended, 0);
	return vector;
}

static void pulse(unsigned int irq)
{
	pic_set_irq(&pic, irq, true);
	pic_set_irq(&pic, irq, false);
}

static void init_chip(u16 port, u8 base, u8 icw4)
{
	out(port, 0x11);
	out(port | 1, base);
	out(port | 1, port == MASTER ? 4 : 2);
	out(port | 1, icw4);
}

/* Master at 0x20, slave at 0x28, nothing masked. */
static void begin(u8 master_icw4, u8 slave_icw4)
{
	pic_reset(&pic);
	init_chip(MASTER, 0x20, master_icw4);
	init_chip(SLAVE, 0x28, slave_icw4);
}

/* Interrupt Sequence; Fully Nested Mode: IR0 is the highest, the slave stands at IR2. */
static void test_priority(void)
{
	static const u8 order[] = { 0, 1, 8, 9, 10, 11, 12, 13, 14, 15, 3, 4, 5, 6, 7 };
	unsigned int i, j;

	begin(1, 1);
	CHECK(!pic_output(&pic));
	for (i = 0; i < 16; i++)
		CHECK_EQ(pic_set_irq(&pic, i, true), i == 2 ? PIC_IGNORED : PIC_DELIVERED);
	for_each_row(row, order) {
		test_context("IRQ %u", *row);
		CHECK_EQ(intack(), 0x20 + *row);
		CHECK(!pic_output(&pic));
		if (*row >= 8)
			CHECK_EQ(out(SLAVE, 0x20), 1 << *row);
		CHECK_EQ(out(MASTER, 0x20), *row >= 8 ? 0 : 1 << *row);
	}
	CHECK(!pic_output(&pic));

	/* Whether one in service lets another through: only what stands before it in the order. */
	for (i = 0; i < ARRAY_SIZE(order); i++) {
		for (j = 0; j < ARRAY_SIZE(order); j++) {
			bool both_slave = order[i] >= 8 && order[j] >= 8;

			test_context("IRQ %u in service, IRQ %u comes", order[i], order[j]);
			begin(1, 1);
			pulse(order[i]);
			intack();
			pulse(order[j]);
			CHECK_EQ(pic_output(&pic), j < i && !both_slave);
		}
	}
	test_context("%s", "");
}

/* Interrupt Sequence: no request at the acknowledgement gives IR7, without an ISR bit. */
static void test_spurious(void)
{
	u16 ended = 1;

	begin(1, 1);
	CHECK_EQ(pic_intack(&pic, &ended), 0x27);
	CHECK_EQ(ended, 0);
	CHECK_EQ(status(MASTER, true), 0);
	/* The slave's request goes before anybody acknowledged: IR2 goes with it. */
	out(0x4d1, 0x02);
	pic_set_irq(&pic, 9, true);
	CHECK(pic_output(&pic));
	pic_set_irq(&pic, 9, false);
	CHECK(!pic_output(&pic));
	CHECK_EQ(status(MASTER, false), 0);
}

/* Initialization Command Words 1 and 2 to 4. */
static void test_init(void)
{
	static const struct {
		u8 icw1, words[3], count, aeoi, sfnm;
	} rows[] = {
		{ 0x11, { 0x47, 0xff, 0x01 }, 3, 0, 0 },
		{ 0x11, { 0x47, 0xff, 0x03 }, 3, 1, 0 },
		{ 0x11, { 0x47, 0xff, 0x11 }, 3, 0, 1 },
		{ 0x11, { 0x47, 0xff, 0xff }, 3, 1, 1 },
		{ 0x10, { 0x47, 0xff }, 2, 0, 0 },	/* no ICW4: its functions are off */
		{ 0x12, { 0x47 }, 1, 0, 0 },		/* single: no ICW3 */
		{ 0x13, { 0x47, 0x13 }, 2, 1, 1 },
		{ 0x19, { 0x47, 0xff, 0x0d }, 3, 0, 0 }, /* LTIM and buffered mode change nothing */
	};
	struct pic_user u;

	for_each_row(row, rows) {
		test_context("row %zu", (size_t)(row - rows));
		begin(0x13, 0x01);
		out(MASTER | 1, 0x5a);
		pic_set_irq(&pic, 1, true);
		out(MASTER, 0x80);
		out(MASTER, 0xc2);
		out(MASTER, 0x6b);
		out(MASTER, 0x0c);
		out(MASTER, row->icw1);
		pic_export(&pic, PIC_MASTER, &u);
		CHECK_EQ(u.imr, 0);
		CHECK_EQ(u.priority_add, 0);
		CHECK_EQ(u.irr, 0);
		CHECK_EQ(u.last_irr, 2);
		CHECK_EQ(u.special_mask | u.read_reg_select | u.poll, 0);
		CHECK_EQ(u.auto_eoi | u.special_fully_nested_mode | u.rotate_on_auto_eoi, 0);
		for (int i = 0; i < row->count; i++) {
			/* Not ready, and an edge that comes now is not lost. */
			pic_set_irq(&pic, 1, false);
			pic_set_irq(&pic, 1, true);
			CHECK(!pic_output(&pic));
			out(MASTER | 1, row->words[i]);
		}
		CHECK(pic_output(&pic));
		CHECK_EQ(in(MASTER | 1), 0);
		out(MASTER | 1, 0xfd);
		CHECK_EQ(in(MASTER | 1), 0xfd);
		pic_export(&pic, PIC_MASTER, &u);
		CHECK_EQ(u.auto_eoi, row->aeoi);
		CHECK_EQ(u.special_fully_nested_mode, row->sfnm);
		CHECK_EQ(u.irq_base, 0x40);
	}
	test_context("%s", "");

	/* The edge sense circuit is reset: a line that stays up is no new request; a level one is. */
	begin(1, 1);
	out(0x4d0, 0x20);
	pic_set_irq(&pic, 3, true);
	pic_set_irq(&pic, 5, true);
	CHECK_EQ(intack(), 0x23);
	CHECK_EQ(out(MASTER, 0x11), 1 << 3);
	CHECK_EQ(status(MASTER, false), 0x20);
	CHECK_EQ(status(MASTER, true), 0);
	out(MASTER | 1, 0x20);
	out(MASTER | 1, 4);
	out(MASTER | 1, 1);
	CHECK_EQ(intack(), 0x25);
	out(MASTER, 0x20);
	pic_set_irq(&pic, 5, false);
	pic_set_irq(&pic, 3, true);
	CHECK(!pic_output(&pic));
	pic_set_irq(&pic, 3, false);
	CHECK_EQ(pic_set_irq(&pic, 3, true), PIC_DELIVERED);
	CHECK_EQ(intack(), 0x23);
}

/* Edge and Level Triggered Modes; 82371AB: ELCR1, ELCR2. */
static void test_trigger(void)
{
	begin(1, 1);
	out(0x4d0, 0xff);
	out(0x4d1, 0xff);
	CHECK_EQ(in(0x4d0), 0xf8);
	CHECK_EQ(in(0x4d1), 0xde);
	out(0x4d0, 0x20);
	out(0x4d1, 0);

	/* Edge: one request per edge, kept though the line falls; a second one meanwhile is merged. */
	CHECK_EQ(pic_set_irq(&pic, 4, true), PIC_DELIVERED);
	CHECK_EQ(pic_set_irq(&pic, 4, true), PIC_COALESCED);
	CHECK_EQ(pic_set_irq(&pic, 4, false), PIC_DELIVERED);
	CHECK_EQ(pic_set_irq(&pic, 4, true), PIC_COALESCED);
	CHECK_EQ(intack(), 0x24);
	CHECK_EQ(status(MASTER, false), 0);
	CHECK_EQ(pic_set_irq(&pic, 4, true), PIC_COALESCED);
	out(MASTER, 0x20);
	CHECK(!pic_output(&pic));

	/* Level: requests as long as the line is up, service or not. */
	CHECK_EQ(pic_set_irq(&pic, 5, true), PIC_DELIVERED);
	CHECK_EQ(pic_set_irq(&pic, 5, true), PIC_COALESCED);
	CHECK_EQ(intack(), 0x25);
	CHECK_EQ(status(MASTER, false), 0x20);
	CHECK(!pic_output(&pic));
	CHECK_EQ(out(MASTER, 0x20), 1 << 5);
	CHECK_EQ(intack(), 0x25);
	pic_set_irq(&pic, 5, false);
	CHECK_EQ(status(MASTER, false), 0);
	out(MASTER, 0x20);
	CHECK(!pic_output(&pic));

	/* A change of the trigger: a level input has no latch, an edge input keeps the request. */
	pulse(6);
	out(0x4d0, 0x60);
	CHECK_EQ(status(MASTER, false), 0);
	pic_set_irq(&pic, 6, true);
	out(0x4d0, 0x00);
	pic_set_irq(&pic, 6, false);
	CHECK_EQ(intack(), 0x26);
}

/* Operation Command Word 1; what KVM_IRQ_LINE_STATUS says of masked lines. */
static void test_mask(void)
{
	begin(1, 1);
	out(MASTER | 1, 0x0a);
	out(SLAVE | 1, 0x01);
	CHECK_EQ(in(MASTER | 1), 0x0a);
	CHECK_EQ(in(SLAVE | 1), 0x01);
	CHECK_EQ(pic_set_irq(&pic, 1, true), PIC_IGNORED);
	CHECK_EQ(pic_set_irq(&pic, 8, true), PIC_IGNORED);
	CHECK_EQ(pic_set_irq(&pic, 16, true), PIC_IGNORED);
	CHECK_EQ(pic_set_irq(&pic, ~0u, true), PIC_IGNORED);
	CHECK(!pic_output(&pic));
	CHECK_EQ(status(MASTER, false), 0x02);
	out(MASTER | 1, 0x08);
	CHECK_EQ(intack(), 0x21);
	out(MASTER, 0x20);
	/* The slave as a whole. */
	out(MASTER | 1, 0x04);
	out(SLAVE | 1, 0);
	CHECK(!pic_output(&pic));
	CHECK_EQ(pic_set_irq(&pic, 12, true), PIC_IGNORED);
	CHECK_EQ(status(MASTER, false), 0x04);
	out(MASTER | 1, 0);
	CHECK_EQ(intack(), 0x28);
}

/* Operation Command Word 2: End of Interrupt, Automatic Rotation, Specific Rotation. */
static void test_eoi(void)
{
	/* IRQs 3 and 1 are in service, 1 came later. */
	static const struct {
		u8 ocw2, isr, highest;
		u16 ended;
	} rows[] = {
		{ 0x20, 0x08, 0, 0x02 },	/* non-specific: the highest */
		{ 0x27, 0x08, 0, 0x02 },	/* ... whatever the level bits say */
		{ 0x61, 0x08, 0, 0x02 },	/* specific */
		{ 0x63, 0x02, 0, 0x08 },
		{ 0x64, 0x0a, 0, 0x00 },	/* specific, not in service */
		{ 0xa0, 0x08, 2, 0x02 },	/* rotate on non-specific */
		{ 0xe3, 0x02, 4, 0x08 },	/* rotate on specific */
		{ 0xe7, 0x0a, 0, 0x00 },
		{ 0xc5, 0x0a, 6, 0x00 },	/* set priority */
		{ 0x40, 0x0a, 0, 0x00 },	/* no operation */
		{ 0x80, 0x0a, 0, 0x00 },	/* rotate in AEOI mode: set, clear */
		{ 0x00, 0x0a, 0, 0x00 },
	};
	struct pic_user u;

	for_each_row(row, rows) {
		test_context("OCW2 %#x", row->ocw2);
		begin(1, 1);
		pulse(3);
		CHECK_EQ(intack(), 0x23);
		pulse(1);
		CHECK_EQ(intack(), 0x21);
		CHECK_EQ(out(MASTER, row->ocw2), row->ended);
		CHECK_EQ(status(MASTER, true), row->isr);
		pic_export(&pic, PIC_MASTER, &u);
		CHECK_EQ(u.priority_add, row->highest);
		CHECK_EQ(u.rotate_on_auto_eoi, row->ocw2 == 0x80);
	}
	test_context("%s", "");

	/* Nothing in service: nothing ends, nothing rotates. */
	begin(1, 1);
	CHECK_EQ(out(SLAVE, 0x20), 0);
	CHECK_EQ(out(SLAVE, 0xa0), 0);
	pic_export(&pic, PIC_SLAVE, &u);
	CHECK_EQ(u.priority_add, 0);

	/* Level 4 lowest: 5, 6, 7, 0 .. 4. */
	out(MASTER, 0xc4);
	pulse(0);
	pulse(4);
	pulse(5);
	CHECK_EQ(intack(), 0x25);
	CHECK(!pic_output(&pic));
	CHECK_EQ(out(MASTER, 0xa0), 0x20);
	CHECK_EQ(intack(), 0x20);
	CHECK_EQ(out(MASTER, 0xa0), 0x01);
	CHECK_EQ(intack(), 0x24);
	CHECK_EQ(out(MASTER, 0x20), 0x10);
}

/* Automatic End of Interrupt Mode, with and without rotation, on either chip. */
static void test_auto_eoi(void)
{
	struct pic_user u;
	u16 ended;

	begin(3, 3);
	pulse(6);
	CHECK_EQ(pic_intack(&pic, &ended), 0x26);
	CHECK_EQ(ended, 1 << 6);
	CHECK_EQ(status(MASTER, true), 0);
	pulse(12);
	CHECK_EQ(pic_intack(&pic, &ended), 0x2c);
	CHECK_EQ(ended, 1 << 12);
	pic_export(&pic, PIC_MASTER, &u);
	CHECK_EQ(u.priority_add, 0);
	out(MASTER, 0x80);
	pulse(6);
	pic_intack(&pic, &ended);
	pic_export(&pic, PIC_MASTER, &u);
	CHECK_EQ(u.priority_add, 7);
	/* A level input asks again at once. */
	out(0x4d0, 0x20);
	pic_set_irq(&pic, 5, true);
	CHECK_EQ(pic_intack(&pic, &ended), 0x25);
	CHECK(pic_output(&pic));
}

/* Special Mask Mode. */
static void test_special_mask(void)
{
	begin(1, 1);
	pulse(4);
	intack();
	pulse(6);
	CHECK(!pic_output(&pic));
	/* Only with its bit in OCW3 and with the level masked. */
	out(MASTER, 0x28);
	CHECK(!pic_output(&pic));
	out(MASTER, 0x68);
	CHECK(!pic_output(&pic));
	out(MASTER | 1, 0x10);
	CHECK_EQ(intack(), 0x26);
	pulse(4);
	CHECK(!pic_output(&pic));
	/* A non-specific EOI does not see the masked one; a specific one does. */
	CHECK_EQ(out(MASTER, 0x20), 0x40);
	CHECK_EQ(out(MASTER, 0x20), 0);
	CHECK_EQ(status(MASTER, true), 0x10);
	pulse(7);
	CHECK(pic_output(&pic));
	out(MASTER, 0x48);
	CHECK(!pic_output(&pic));
	CHECK_EQ(out(MASTER, 0x64), 0x10);
	CHECK_EQ(intack(), 0x27);
}

/* Poll Command. */
static void test_poll(void)
{
	u16 ended;
	u8 value;

	begin(1, 1);
	out(MASTER, 0x0c);
	CHECK_EQ(in(MASTER), 0);
	pulse(5);
	pulse(11);
	/* The read acknowledges, with A0 = 1 too; the one after it does not. */
	out(MASTER, 0x0c);
	CHECK_EQ(in(MASTER | 1), 0x82);
	CHECK_EQ(in(MASTER | 1), 0);
	CHECK_EQ(status(MASTER, true), 0x04);
	out(SLAVE, 0x0c);
	CHECK_EQ(in(SLAVE), 0x83);
	CHECK_EQ(status(SLAVE, true), 0x08);
	CHECK_EQ(out(SLAVE, 0x20), 1 << 11);
	CHECK_EQ(out(MASTER, 0x20), 0);
	/* It goes before a status read asked for with it, which is next then. */
	out(MASTER, 0x0f);
	CHECK_EQ(in(MASTER), 0x85);
	CHECK_EQ(in(MASTER), 0x20);
	/* A later OCW3 takes it back. */
	out(MASTER, 0x0c);
	out(MASTER, 0x0a);
	CHECK_EQ(in(MASTER), 0);
	/* With automatic EOI. */
	begin(3, 1);
	pulse(1);
	out(MASTER, 0x0c);
	CHECK_EQ(pic_port_read(&pic, MASTER, &value), 1 << 1);
	CHECK_EQ(value, 0x81);
	CHECK_EQ(pic_intack(&pic, &ended), 0x27);
}

/* The Special Fully Nested Mode. */
static void test_special_fully_nested(void)
{
	begin(0x11, 1);
	pulse(12);
	CHECK_EQ(intack(), 0x2c);
	/* A higher one of the same slave comes through; a lower one of it and of the master do not. */
	pulse(13);
	pulse(3);
	CHECK(!pic_output(&pic));
	pulse(10);
	CHECK_EQ(intack(), 0x2a);
	/* The software looks whether the slave has others in service before it ends the master's. */
	CHECK_EQ(out(SLAVE, 0x20), 1 << 10);
	CHECK_EQ(status(SLAVE, true), 0x10);
	CHECK(!pic_output(&pic));
	CHECK_EQ(out(SLAVE, 0x20), 1 << 12);
	CHECK_EQ(intack(), 0x2d);
	out(SLAVE, 0x20);
	out(MASTER, 0x20);
	CHECK_EQ(intack(), 0x23);
	/* Without the mode the slave is locked out. */
	begin(1, 1);
	pulse(12);
	intack();
	pulse(10);
	CHECK(!pic_output(&pic));
	out(MASTER, 0x20);
	CHECK_EQ(intack(), 0x2a);
}

static void test_ports(void)
{
	static const u16 mine[] = { 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1 };
	struct pic_pair before;
	unsigned int port;
	u8 value;

	begin(1, 1);
	before = pic;
	for (port = 0; port < 0x10000; port++) {
		bool is_mine = false;

		for_each_row(row, mine)
			is_mine |= *row == port;
		if (pic_has_port(port) != is_mine)
			CHECK_EQ(port, ~0u);
		if (is_mine)
			continue;
		if (pic_port_write(&pic, port, 0x11) || pic_port_read(&pic, port, &value) || value != 0xff)
			CHECK_EQ(port, ~0u);
	}
	CHECK_MEM_EQ(&before, &pic, sizeof(pic));
}

static void test_user(void)
{
	struct pic_user in = { 0 }, u;

	/* The cascade follows from the slave, whatever the order and whatever user space says. */
	begin(1, 1);
	memset(&in, 0, sizeof(in));
	in.irr = 0x04;
	in.last_irr = 0x04;
	in.elcr = 0xff;
	in.elcr_mask = 0xff;
	in.irq_base = 0x27;
	pic_import(&pic, PIC_MASTER, &in);
	CHECK(!pic_output(&pic));
	pic_export(&pic, PIC_MASTER, &u);
	CHECK_EQ(u.irr | u.last_irr, 0);
	CHECK_EQ(u.elcr, 0xf8);
	CHECK_EQ(u.elcr_mask, 0xf8);
	CHECK_EQ(u.irq_base, 0x20);
	in.irr = 0x40;
	in.last_irr = 0;
	in.irq_base = 0x28;
	pic_import(&pic, PIC_SLAVE, &in);
	pic_export(&pic, PIC_SLAVE, &u);
	CHECK_EQ(u.elcr, 0xde);
	CHECK_EQ(u.last_irr, 0x40);
	CHECK_EQ(intack(), 0x2e);
	/* Values that no chip has. */
	memset(&in, 0xff, sizeof(in));
	pic_import(&pic, PIC_SLAVE, &in);
	pic_export(&pic, PIC_SLAVE, &u);
	CHECK_EQ(u.priority_add, 7);
	CHECK_EQ(u.init_state, 0);
	CHECK_EQ(u.poll, 1);
	in.init_state = 3;
	pic_import(&pic, PIC_SLAVE, &in);
	out(SLAVE | 1, 0x01);
	pic_export(&pic, PIC_SLAVE, &u);
	CHECK_EQ(u.init_state, 0);
	CHECK_EQ(u.auto_eoi, 0);
}

static void test_random(void)
{
	for (unsigned int round = 1; round < 400; round++) {
		seed = round;
		test_context("round %u", round);
		ref_begin();
		for (int i = 0; i < 200 && !test_state.failed; i++)
			play_pic();
	}
	test_context("%s", "");
}

int main(void)
{
	test_priority();
	test_spurious();
	test_init();
	test_trigger();
	test_mask();
	test_eoi();
	test_auto_eoi();
	test_special_mask();
	test_poll();
	test_special_fully_nested();
	test_ports();
	test_user();
	test_random();
	return test_done("pic");
}
