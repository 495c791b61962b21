// SPDX-License-Identifier: GPL-2.0-only
/* Exit-information and event words of VT-x: the words are written out from the manual's bit tables. */
#include "harness.h"
#include "vmxqual.h"

static const struct {
	const char *what;
	u64 qual;
	bool ok;
	struct vmxqual_io want;
} io_rows[] = {
	{ "out 0x80, al", 0x00800040, true, { .port = 0x80, .size = 1 } },
	{ "in al, dx (0x3f8)", 0x03f80008, true, { .port = 0x3f8, .size = 1, .in = true } },
	{ "in ax, dx", 0x1f000009, true, { .port = 0x1f00, .size = 2, .in = true } },
	{ "out dx, eax", 0xffff0003, true, { .port = 0xffff, .size = 4 } },
	{ "rep insw", 0x01f00039, true,
	  { .port = 0x1f0, .size = 2, .in = true, .string = true, .rep = true } },
	{ "outsb", 0x00e90010, true, { .port = 0xe9, .size = 1, .string = true } },
	{ "size 3", 0x00800002, false, { .port = 0x80, .size = 3 } },
	{ "size 8", 0x00800007, false, { .port = 0x80, .size = 8 } },
};

static void test_io(void)
{
	for_each_row(row, io_rows) {
		struct vmxqual_io got;

		test_context("%s", row->what);
		CHECK_EQ(vmxqual_io(row->qual, &got), row->ok);
		CHECK_EQ(got.port, row->want.port);
		CHECK_EQ(got.size, row->want.size);
		CHECK_EQ(got.in, row->want.in);
		CHECK_EQ(got.string, row->want.string);
		CHECK_EQ(got.rep, row->want.rep);
	}
}

static const struct {
	const char *what;
	u64 qual;
	u8 access;
} ept_rows[] = {
	{ "read, not present", 0x181, VMXQUAL_READ },
	{ "write, not present", 0x182, VMXQUAL_WRITE },
	{ "write to read-only, executable", 0x1aa, VMXQUAL_WRITE },
	{ "read and write", 0x183, VMXQUAL_READ | VMXQUAL_WRITE },
	{ "fetch", 0x184, VMXQUAL_EXEC },
	{ "walk of the guest's tables", 0x081, VMXQUAL_READ | VMXQUAL_TABLE },
	{ "walk, with accessed and dirty flags", 0x083, VMXQUAL_READ | VMXQUAL_WRITE | VMXQUAL_TABLE },
	{ "PDPTEs by MOV to CR3", 0x001, VMXQUAL_READ | VMXQUAL_TABLE },
};

static void test_ept(void)
{
	for_each_row(row, ept_rows) {
		test_context("%s", row->what);
		CHECK_EQ(vmxqual_ept(row->qual), row->access);
	}
	test_context("IRET unmasked NMIs");
	CHECK(vmxqual_iret(0x1181, 0));
	CHECK(!vmxqual_iret(0x0181, 0));
	CHECK(!vmxqual_iret(0x1181, 0x80000202));
}

static const struct {
	const char *what;
	u64 qual;
	struct vmxqual_cr want;
} cr_rows[] = {
	{ "mov cr0, rax", 0x000, { .nr = 0, .kind = VMXQUAL_CR_WRITE } },
	{ "mov cr4, r15", 0xf04, { .nr = 4, .kind = VMXQUAL_CR_WRITE, .gpr = 15 } },
	{ "mov rbx, cr8", 0x318, { .nr = 8, .kind = VMXQUAL_CR_READ, .gpr = 3 } },
	{ "clts", 0x020, { .nr = 0, .kind = VMXQUAL_CR_CLTS } },
	{ "lmsw ax = 0x1f", 0x001f0030, { .nr = 0, .kind = VMXQUAL_CR_LMSW, .msw = 0x1f } },
	{ "lmsw memory = 0xfff1", 0xfff10070, { .nr = 0, .kind = VMXQUAL_CR_LMSW, .msw = 0xfff1 } },
};

static void test_cr(void)
{
	for_each_row(row, cr_rows) {
		struct vmxqual_cr got;

		test_context("%s", row->what);
		vmxqual_cr(row->qual, &got);
		CHECK_EQ(got.nr, row->want.nr);
		CHECK_EQ(got.kind, row->want.kind);
		CHECK_EQ(got.gpr, row->want.gpr);
		CHECK_EQ(got.msw, row->want.msw);
	}
}

static const struct {
	const char *what;
	u64 qual;
	u32 vectoring, error;
	struct ts_request want;
} task_rows[] = {
	{ "call", 0x00000028, 0, 0, { .selector = 0x28, .reason = TS_CALL } },
	{ "iret", 0x40000030, 0, 0, { .selector = 0x30, .reason = TS_IRET } },
	{ "jmp", 0x80000038, 0, 0, { .selector = 0x38, .reason = TS_JMP } },
	{ "gate, #DF", 0xc0000040, 0x80000b08, 0,
	  { .selector = 0x40, .reason = TS_GATE, .has_error = true } },
	{ "gate, #NP(0x1234)", 0xc0000048, 0x80000b0b, 0x1234,
	  { .selector = 0x48, .reason = TS_GATE, .has_error = true, .error = 0x1234 } },
	{ "gate, external interrupt", 0xc0000050, 0x80000020, 7, { .selector = 0x50, .reason = TS_GATE } },
	{ "gate, INT n", 0xc0000058, 0x80000430, 7, { .selector = 0x58, .reason = TS_GATE } },
	{ "call, stale error", 0x00000060, 0x00000b0b, 7, { .selector = 0x60, .reason = TS_CALL } },
};

static void test_task(void)
{
	for_each_row(row, task_rows) {
		struct ts_request got;

		test_context("%s", row->what);
		vmxqual_task(row->qual, row->vectoring, row->error, &got);
		CHECK_EQ(got.selector, row->want.selector);
		CHECK_EQ(got.reason, row->want.reason);
		CHECK_EQ(got.has_error, row->want.has_error);
		CHECK_EQ(got.error, row->want.error);
	}
}

static const struct {
	const char *what;
	u32 word, error;
	struct event_vectoring want;
} vectoring_rows[] = {
	{ "none", 0x00000b0e, 4, { .kind = EVENT_KIND_NONE } },
	{ "#PF", 0x80000b0e, 4,
	  { .kind = EVENT_KIND_EXCEPTION, .vector = 14, .has_error_code = true, .error_code = 4 } },
	{ "#DB", 0x80000301, 4, { .kind = EVENT_KIND_EXCEPTION, .vector = 1 } },
	{ "NMI", 0x80000202, 0, { .kind = EVENT_KIND_NMI, .vector = 2 } },
	{ "interrupt", 0x800000ef, 0, { .kind = EVENT_KIND_INTERRUPT, .vector = 0xef } },
	{ "INT n", 0x80000480, 0, { .kind = EVENT_KIND_SOFT_INTERRUPT, .vector = 0x80 } },
	{ "INT1", 0x80000501, 0, { .kind = EVENT_KIND_SOFT_INTERRUPT, .vector = 1 } },
	{ "INT3", 0x80000603, 0, { .kind = EVENT_KIND_SOFT_INTERRUPT, .vector = 3 } },
	{ "type that does not exist", 0x80000103, 0, { .kind = EVENT_KIND_NONE, .vector = 3 } },
};

static void test_vectoring(void)
{
	for_each_row(row, vectoring_rows) {
		struct event_vectoring got;

		test_context("%s", row->what);
		CHECK_EQ(vmxqual_vectoring(row->word, row->error, &got), row->want.kind != EVENT_KIND_NONE);
		CHECK_EQ(got.kind, row->want.kind);
		CHECK_EQ(got.vector, row->want.vector);
		CHECK_EQ(got.has_error_code, row->want.has_error_code);
		CHECK_EQ(got.error_code, row->want.error_code);
	}
}

static const struct {
	const char *what;
	struct event_decision ev;
	u32 errors, word, error;
} inject_rows[] = {
	{ "#GP(0x18)", { .kind = EVENT_KIND_EXCEPTION, .vector = 13, .has_error_code = true, .error_code = 0x18 },
	  VMXQUAL_ERRORS, 0x80000b0d, 0x18 },
	{ "#GP in real mode", { .kind = EVENT_KIND_EXCEPTION, .vector = 13 }, VMXQUAL_ERRORS, 0x8000030d, 0 },
	{ "#UD", { .kind = EVENT_KIND_EXCEPTION, .vector = 6 }, VMXQUAL_ERRORS, 0x80000306, 0 },
	{ "#PF, reserved bits of its code",
	  { .kind = EVENT_KIND_EXCEPTION, .vector = 14, .has_error_code = true, .error_code = 0xffff8007 },
	  VMXQUAL_ERRORS, 0x80000b0e, 0x0007 },
	{ "#CP where it has no code",
	  { .kind = EVENT_KIND_EXCEPTION, .vector = 21, .has_error_code = true, .error_code = 1 },
	  VMXQUAL_ERRORS, 0x80000315, 0 },
	{ "#CP where it has",
	  { .kind = EVENT_KIND_EXCEPTION, .vector = 21, .has_error_code = true, .error_code = 1 },
	  VMXQUAL_ERRORS | VMXQUAL_ERRORS_CET, 0x80000b15, 1 },
	{ "#VC of another vendor",
	  { .kind = EVENT_KIND_EXCEPTION, .vector = 29, .has_error_code = true, .error_code = 1 },
	  VMXQUAL_ERRORS, 0x8000031d, 0 },
	{ "NMI", { .kind = EVENT_KIND_NMI, .vector = 2 }, VMXQUAL_ERRORS, 0x80000202, 0 },
	{ "interrupt", { .kind = EVENT_KIND_INTERRUPT, .vector = 0xff }, VMXQUAL_ERRORS, 0x800000ff, 0 },
	{ "nothing", { .kind = EVENT_KIND_NONE, .vector = 3 }, VMXQUAL_ERRORS, 0, 0 },
};

static void test_inject(void)
{
	for_each_row(row, inject_rows) {
		u32 error = ~0u;

		test_context("%s", row->what);
		CHECK_EQ(vmxqual_inject(&row->ev, row->errors, &error), row->word);
		CHECK_EQ(error, row->error);
	}
}

static void test_blocking(void)
{
	test_context("blocking");
	CHECK_EQ(vmxqual_blocking(0, true, false), 0);
	CHECK_EQ(vmxqual_blocking(0, false, true), VMXQUAL_BLOCK_NMI);
	CHECK_EQ(vmxqual_blocking(EVENT_SHADOW_STI, true, false), VMXQUAL_BLOCK_STI);
	CHECK_EQ(vmxqual_blocking(EVENT_SHADOW_STI, false, false), 0);
	CHECK_EQ(vmxqual_blocking(EVENT_SHADOW_MOV_SS, false, false), VMXQUAL_BLOCK_MOV_SS);
	CHECK_EQ(vmxqual_blocking(EVENT_SHADOW_STI | EVENT_SHADOW_MOV_SS, true, true),
		 VMXQUAL_BLOCK_MOV_SS | VMXQUAL_BLOCK_NMI);
	CHECK_EQ(vmxqual_shadow(VMXQUAL_BLOCK_STI), EVENT_SHADOW_STI);
	CHECK_EQ(vmxqual_shadow(VMXQUAL_BLOCK_MOV_SS | VMXQUAL_BLOCK_NMI), EVENT_SHADOW_MOV_SS);
	CHECK_EQ(vmxqual_shadow(VMXQUAL_BLOCK_NMI), 0);
}

static const struct {
	const char *what;
	u64 cap;
	u32 required, optional, refused;
	bool ok;
	u32 out;
} control_rows[] = {
	{ "all offered", 0xff00000000ULL, 0x0f, 0xf0, 0, true, 0xff },
	{ "an optional one missing", 0x7f00000000ULL, 0x0f, 0xf0, 0, true, 0x7f },
	{ "a required one missing", 0xf700000000ULL, 0x0f, 0xf0, 0, false, 0xf7 },
	{ "one forced", 0xff00000080ULL, 0x0f, 0, 0x40, true, 0x8f },
	{ "one forced that is refused", 0xff00000040ULL, 0x0f, 0, 0x40, false, 0x4f },
};

static void test_controls(void)
{
	for_each_row(row, control_rows) {
		u32 out;

		test_context("%s", row->what);
		CHECK_EQ(vmxqual_controls(row->cap, row->required, row->optional, row->refused, &out), row->ok);
		CHECK_EQ(out, row->out);
	}
}

int main(void)
{
	test_io();
	test_ept();
	test_cr();
	test_task();
	test_vectoring();
	test_inject();
	test_blocking();
	test_controls();
	return test_done("vmxqual");
}
