// SPDX-License-Identifier: GPL-2.0-only
/* Exit-information decoders of AMD-V: the words are written out from the manual's bit tables. */
#include "harness.h"
#include "svmqual.h"

static const struct {
	const char *what;
	u64 info1;
	bool ok;
	struct svmqual_io want;
} io_rows[] = {
	{ "out 0x80, al", 0x00800110, true, { .port = 0x80, .size = 1 } },
	{ "in al, dx (0x3f8)", 0x03f80111, true, { .port = 0x3f8, .size = 1, .in = true } },
	{ "in ax, dx, 16-bit", 0x1f0000a1, true, { .port = 0x1f00, .size = 2, .in = true } },
	{ "out dx, eax, 64-bit", 0xffff0240, true, { .port = 0xffff, .size = 4 } },
	{ "rep insw es:", 0x01f0022d, true,
	  { .port = 0x1f0, .size = 2, .in = true, .string = true, .rep = true } },
	{ "outsb fs:", 0x00e91114, true,
	  { .port = 0xe9, .size = 1, .string = true } },
	{ "no size", 0x00800100, false, { .port = 0x80 } },
	{ "two sizes", 0x00800130, false, { .port = 0x80, .size = 3 } },
};

static void test_io(void)
{
	for_each_row(row, io_rows) {
		struct svmqual_io got;

		test_context("%s", row->what);
		CHECK_EQ(svmqual_io(row->info1, &got), row->ok);
		CHECK_EQ(got.port, row->want.port);
		CHECK_EQ(got.size, row->want.size);
		CHECK_EQ(got.in, row->want.in);
		CHECK_EQ(got.string, row->want.string);
		CHECK_EQ(got.rep, row->want.rep);
	}
}

static const struct {
	const char *what;
	u64 info1;
	struct svmqual_npf want;
} npf_rows[] = {
	{ "read, not present", 0x100000004, { .access = SVMQUAL_READ } },
	{ "write, not present", 0x100000006, { .access = SVMQUAL_WRITE } },
	{ "write to read-only", 0x100000007, { .access = SVMQUAL_WRITE, .present = true } },
	{ "fetch", 0x100000014, { .access = SVMQUAL_EXEC } },
	{ "fetch of no-execute", 0x100000015, { .access = SVMQUAL_EXEC, .present = true } },
	{ "table walk, write", 0x200000006, { .access = SVMQUAL_WRITE | SVMQUAL_TABLE } },
	{ "table walk, read", 0x200000004, { .access = SVMQUAL_READ | SVMQUAL_TABLE } },
	{ "reserved bit", 0x10000000d, { .access = SVMQUAL_READ, .present = true, .reserved = true } },
};

static void test_npf(void)
{
	for_each_row(row, npf_rows) {
		struct svmqual_npf got;

		test_context("%s", row->what);
		svmqual_npf(row->info1, &got);
		CHECK_EQ(got.access, row->want.access);
		CHECK_EQ(got.present, row->want.present);
		CHECK_EQ(got.reserved, row->want.reserved);
	}
}

static void test_registers(void)
{
	u8 gpr;

	test_context("mov cr4, r15");
	CHECK(svmqual_cr(0x800000000000000f, &gpr));
	CHECK_EQ(gpr, 15);
	test_context("mov cr8, rax");
	CHECK(svmqual_cr(0x8000000000000000, &gpr));
	CHECK_EQ(gpr, 0);
	test_context("lmsw");
	CHECK(!svmqual_cr(0x3, &gpr));
	test_context("mov dr7, r9");
}

static const struct {
	const char *what;
	u64 info1, info2, int_info;
	struct ts_request want;
} task_rows[] = {
	{ "call", 0x28, 0, 0, { .selector = 0x28, .reason = TS_CALL } },
	{ "iret", 0x30, 1ULL << 36, 0, { .selector = 0x30, .reason = TS_IRET } },
	{ "jmp", 0x38, 1ULL << 38, 0, { .selector = 0x38, .reason = TS_JMP } },
	{ "gate, #DF", 0x40, 1ULL << 44, 0x80000b08,
	  { .selector = 0x40, .reason = TS_GATE, .has_error = true } },
	{ "gate, #NP(0x1234)", 0x48, 1ULL << 44 | 0x1234, 0x80000b0b,
	  { .selector = 0x48, .reason = TS_GATE, .has_error = true, .error = 0x1234 } },
	{ "gate, external interrupt", 0x50, 0, 0x80000020, { .selector = 0x50, .reason = TS_GATE } },
	{ "upper bits of the selector word", 0xabcd0058, 0, 0x20, { .selector = 0x58, .reason = TS_CALL } },
};

static void test_task(void)
{
	for_each_row(row, task_rows) {
		struct ts_request got;

		test_context("%s", row->what);
		svmqual_task(row->info1, row->info2, row->int_info, &got);
		CHECK_EQ(got.selector, row->want.selector);
		CHECK_EQ(got.reason, row->want.reason);
		CHECK_EQ(got.has_error, row->want.has_error);
		CHECK_EQ(got.error, row->want.error);
	}
}

int main(void)
{
	test_io();
	test_npf();
	test_registers();
	test_task();
	return test_done("svmqual");
}
