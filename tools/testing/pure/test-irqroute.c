// SPDX-License-Identifier: GPL-2.0-only
/* Interrupt routing: rows for the rules of entries, all pins of all chips, and the PC's table. */
#include "harness.h"
#include "irqroute.h"

#define REFUSED 255

static const struct irqroute_caps caps = { .nr_gsis = 4096, .chips = true };

static void test_entries(void)
{
	static const struct {
		u32 gsi, type, flags, words[3];
		bool no_chips, ids32;
		u8 kind;
	} rows[] = {
		{ 0, 1, 0, { 0, 0 }, 0, 0, IRQROUTE_PIC },
		{ 4095, 1, 0, { 2, 23 }, 0, 0, IRQROUTE_IOAPIC },
		{ 4096, 1, 0, { 2, 23 }, 0, 0, REFUSED },
		{ ~0u, 2, 0, { 0 }, 0, 0, REFUSED },
		{ 5, 1, 1, { 0, 5 }, 0, 0, REFUSED },
		{ 5, 2, 1, { 0xfee00000, 0, 0x41 }, 0, 0, REFUSED },
		{ 5, 1, 0, { 0, 5 }, 1, 0, REFUSED },
		{ 5, 1, 0, { 2, 5 }, 1, 0, REFUSED },
		{ 5, 2, 0, { 0xfee01000, 0, 0x41 }, 1, 0, IRQROUTE_MSI },
		{ 5, 2, 0, { 0xfee01000, 0xabcdef12, 0xffffffff }, 0, 0, IRQROUTE_MSI },
		{ 5, 2, 0, { 0xfee01000, 0xabcdef00, 0x41 }, 0, 1, IRQROUTE_MSI },
		{ 5, 2, 0, { 0xfee01000, 0xabcdef01, 0x41 }, 0, 1, REFUSED },
		{ 5, 2, 0, { 0xfee01000, 0x80, 0x41 }, 0, 1, REFUSED },
		{ 5, 0, 0, { 0, 5 }, 0, 0, REFUSED },
		{ 5, 3, 0, { 0, 5 }, 0, 0, REFUSED },
		{ 5, 4, 0, { 0, 5 }, 0, 0, REFUSED },
		{ 5, 5, 0, { 0, 5 }, 0, 0, REFUSED },
		{ 5, 0x101, 0, { 0, 5 }, 0, 0, REFUSED },
	};

	for_each_row(row, rows) {
		struct irqroute_caps has = { 4096, !row->no_chips, row->ids32 };
		struct irqroute_user in;
		struct irqroute_target out, before;

		test_context("row %zu", (size_t)(row - rows));
		memset(&in, 0xa5, sizeof(in));
		memset(&out, 0x5a, sizeof(out));
		before = out;
		in.gsi = row->gsi;
		in.type = row->type;
		in.flags = row->flags;
		memcpy(in.u.words, row->words, sizeof(row->words));
		CHECK_EQ(irqroute_import(&in, &has, &out), row->kind != REFUSED);
		if (row->kind == REFUSED) {
			CHECK_MEM_EQ(&out, &before, sizeof(out));
			continue;
		}
		CHECK_EQ(out.kind, row->kind);
		CHECK_EQ(out.gsi, row->gsi);
		if (row->kind == IRQROUTE_MSI) {
			CHECK_EQ(out.address, (u64)row->words[1] << 32 | row->words[0]);
			CHECK_EQ(out.data, row->words[2]);
			CHECK_EQ(out.pin, 0);
		}
	}
	test_context("%s", "");
}

/* Every pin, and as many that do not exist. */
static void test_pins(void)
{
	static const u8 pins[] = { 8, 8, 24, 0, 0 };

	for (u32 chip = 0; chip < ARRAY_SIZE(pins); chip++) {
		for (u32 pin = 0; pin < 600; pin++) {
			u32 which = pin < 300 ? pin : ~0u - pin + 300;
			struct irqroute_user in = { .gsi = 9, .type = 1, .u.irqchip = { chip, which } };
			struct irqroute_target out;
			bool valid = pin < pins[chip];

			test_context("chip %u pin %#x", chip, which);
			CHECK_EQ(irqroute_import(&in, &caps, &out), valid);
			if (!valid)
				continue;
			CHECK_EQ(out.kind, chip == 2 ? IRQROUTE_IOAPIC : IRQROUTE_PIC);
			CHECK_EQ(out.pin, chip == 1 ? 8 + pin : pin);
			CHECK_EQ(out.address | out.data, 0);
		}
	}
	test_context("%s", "");
}

static void test_compatible(void)
{
	static const struct irqroute_target targets[] = {
		{ .gsi = 1, .kind = IRQROUTE_PIC, .pin = 1 },
		{ .gsi = 1, .kind = IRQROUTE_PIC, .pin = 7 },
		{ .gsi = 1, .kind = IRQROUTE_PIC, .pin = 8 },
		{ .gsi = 1, .kind = IRQROUTE_IOAPIC, .pin = 1 },
		{ .gsi = 1, .kind = IRQROUTE_IOAPIC, .pin = 9 },
		{ .gsi = 1, .kind = IRQROUTE_MSI },
	};
	static const char *const want[] = { "001110", "001110", "110110", "111000", "111000", "000000" };

	for (unsigned int i = 0; i < ARRAY_SIZE(targets); i++) {
		for (unsigned int j = 0; j < ARRAY_SIZE(targets); j++) {
			struct irqroute_target other = targets[j];

			test_context("%u, %u", i, j);
			CHECK_EQ(irqroute_compatible(&targets[i], &other), want[i][j] == '1');
			other.gsi = 2;
			CHECK(irqroute_compatible(&targets[i], &other));
		}
	}
	test_context("%s", "");
}

static void test_default(void)
{
	unsigned int nr, pic = 0, ioapic = 0, i, j;
	const struct irqroute_target *table = irqroute_default(&nr);

	CHECK_EQ(nr, 40);
	for (i = 0; i < nr; i++) {
		test_context("row %u", i);
		CHECK_EQ(table[i].pin, table[i].gsi);
		CHECK(!i || table[i - 1].gsi <= table[i].gsi);
		if (table[i].kind == IRQROUTE_PIC)
			pic |= 1u << table[i].gsi;
		else if (CHECK_EQ(table[i].kind, IRQROUTE_IOAPIC))
			ioapic |= 1u << table[i].gsi;
		for (j = 0; j < i; j++)
			CHECK(irqroute_compatible(&table[i], &table[j]));
	}
	CHECK_EQ(pic, 0xffff);
	CHECK_EQ(ioapic, 0xffffff);
}

int main(void)
{
	test_entries();
	test_pins();
	test_compatible();
	test_default();
	return test_done("irqroute");
}
