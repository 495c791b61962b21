// SPDX-License-Identifier: GPL-2.0-only
/*
 * Event policy. The oracle for exception merging is the manuals' table, written out; the rest is
 * stated case by case.
 */
#include "event.h"
#include "harness.h"

static const struct event_vectoring no_vectoring = { .kind = EVENT_KIND_NONE };
static const struct event_cpu running = { .rflags_if = true, .protected_mode = true };
static const struct event_cpu blocked = { .rflags_if = false, .protected_mode = true };

static enum event_queued raise(struct event_state *s, u8 vector)
{
	struct event_exception exc = { .vector = vector };

	return event_queue_exception(s, &exc);
}

/* Class of each vector as the manuals list it: b benign, c contributory, p page fault. */
static const char classes[33] = "cbbbbbbbDbccccpbbbbbpcbbbbbbbbbb";

/* First event in rows, second in columns: s serially, d double fault, t shutdown. */
static char expected_merge(char first, char second)
{
	static const struct {
		char first, second, result;
	} table[] = {
		{ 'b', 'b', 's' }, { 'b', 'c', 's' }, { 'b', 'p', 's' },
		{ 'c', 'b', 's' }, { 'c', 'c', 'd' }, { 'c', 'p', 's' },
		{ 'p', 'b', 's' }, { 'p', 'c', 'd' }, { 'p', 'p', 'd' },
		{ 'D', 'b', 's' }, { 'D', 'c', 't' }, { 'D', 'p', 't' },
	};

	for_each_row(row, table) {
		if (row->first == first && row->second == second)
			return row->result;
	}
	return 's';
}

static void test_merge(void)
{
	unsigned int a, b, injected;

	for (a = 0; a < 32; a++) {
		for (b = 0; b < 64; b++) {
			struct event_state s = { 0 };
			struct event_decision d;
			enum event_queued got;
			char want;

			if (a == 2 || (b & 31) == 2)
				continue;
			injected = b >> 5;
			raise(&s, a);
			if (injected)
				event_next(&s, &running, &d);
			got = raise(&s, b & 31);
			want = expected_merge(classes[a], classes[b & 31]);
			test_context("first %u second %u injected %u", a, b & 31, injected);
			if (want == 's') {
				CHECK_EQ(got, EVENT_QUEUED);
				CHECK_EQ(s.exception.vector, b & 31);
				CHECK(s.exception_pending && !s.exception_injected);
			} else if (want == 'd') {
				CHECK_EQ(got, EVENT_QUEUED_DOUBLE_FAULT);
				CHECK_EQ(s.exception.vector, 8);
				CHECK(s.exception.has_error_code);
				CHECK_EQ(s.exception.error_code, 0);
				CHECK(!s.exception.has_payload);
			} else {
				CHECK_EQ(got, EVENT_QUEUED_TRIPLE_FAULT);
				CHECK(s.triple_fault && !s.exception_pending);
				event_next(&s, &running, &d);
				CHECK_EQ(d.kind, EVENT_KIND_SHUTDOWN);
			}
		}
	}
	test_context("%s", "");
}

static void test_vectors(void)
{
	/* Error code: DF TS NP SS GP PF AC CP VC SX. No fault: DB NMI BP OF DF MC. */
	static const u32 codes = 1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 |
				 1u << 17 | 1u << 21 | 1u << 29 | 1u << 30;
	static const u32 no_fault = 1u << 1 | 1u << 2 | 1u << 3 | 1u << 4 | 1u << 8 | 1u << 18;
	unsigned int v;

	for (v = 0; v < 256; v++) {
		struct event_state s = { 0 };
		struct event_exception exc = {
			.vector = v, .has_error_code = true, .error_code = 0xabcd,
		};
		struct event_cpu real = { .rflags_if = true };
		struct event_cpu wide = { .protected_mode = true, .mode_64bit = true };
		struct event_decision d;
		bool code = v < 32 && codes >> v & 1, fault = v < 32 && !(no_fault >> v & 1);
		bool possible = v < 32 && v != 2;

		test_context("vector %u", v);
		CHECK_EQ(event_has_error_code(v), code);
		CHECK_EQ(event_is_fault(v), fault);
		event_queue_exception(&s, &exc);
		event_next(&s, &running, &d);
		CHECK_EQ(d.kind, possible ? EVENT_KIND_EXCEPTION : EVENT_KIND_IMPOSSIBLE);
		if (!possible)
			continue;
		CHECK_EQ(d.has_error_code, code);
		CHECK_EQ(d.error_code, code ? 0xabcd : 0);
		CHECK_EQ(d.set_rf, fault);
		event_next(&s, &real, &d);
		CHECK(!d.has_error_code && !d.error_code);
		event_next(&s, &wide, &d);
		CHECK_EQ(d.kind, v == 4 || v == 5 ? EVENT_KIND_IMPOSSIBLE : EVENT_KIND_EXCEPTION);
	}
	test_context("%s", "");
}

static void test_interrupt(void)
{
	struct event_state s = { 0 };
	struct event_cpu asking = blocked;
	struct event_decision d;

	asking.interrupt_requested = true;
	event_next(&s, &running, &d);
	CHECK_EQ(d.kind, EVENT_KIND_NONE);
	CHECK(!d.interrupt_window && !d.nmi_window);
	event_next(&s, &asking, &d);
	CHECK(d.interrupt_window);

	CHECK(event_interrupt_ready(&s, true));
	CHECK(!event_interrupt_ready(&s, false));
	CHECK(event_queue_interrupt(&s, 0x31));
	CHECK(!event_queue_interrupt(&s, 0x32));
	CHECK(!event_interrupt_ready(&s, true));
	event_next(&s, &blocked, &d);
	CHECK_EQ(d.kind, EVENT_KIND_NONE);
	CHECK(d.interrupt_window);
	s.shadow = EVENT_SHADOW_STI;
	event_next(&s, &running, &d);
	CHECK_EQ(d.kind, EVENT_KIND_NONE);
	CHECK(d.interrupt_window);
	s.shadow = 0;
	event_next(&s, &running, &d);
	CHECK_EQ(d.kind, EVENT_KIND_INTERRUPT);
	CHECK_EQ(d.vector, 0x31);
	CHECK(!d.interrupt_window);
	CHECK(!event_queue_interrupt(&s, 0x32));
	/* No entry took place: the same again, even with IF clear. */
	event_next(&s, &blocked, &d);
	CHECK_EQ(d.kind, EVENT_KIND_INTERRUPT);
	CHECK_EQ(d.vector, 0x31);
	/* Cut short: again. Then delivered. */
	event_after_exit(&s, &(struct event_vectoring){ EVENT_KIND_INTERRUPT, 0x31, false, 0 });
	event_next(&s, &running, &d);
	CHECK_EQ(d.vector, 0x31);
	event_after_exit(&s, &no_vectoring);
	event_next(&s, &running, &d);
	CHECK_EQ(d.kind, EVENT_KIND_NONE);

	/* A fault met while delivering goes first, the interrupt waits for its window. */
	CHECK(event_queue_interrupt(&s, 0x40));
	event_next(&s, &running, &d);
	raise(&s, EVENT_PF);
	event_next(&s, &running, &d);
	CHECK_EQ(d.kind, EVENT_KIND_EXCEPTION);
	CHECK(d.interrupt_window);
	event_after_exit(&s, &no_vectoring);
	event_next(&s, &blocked, &d);
	CHECK_EQ(d.kind, EVENT_KIND_NONE);
	event_next(&s, &running, &d);
	CHECK_EQ(d.vector, 0x40);
}

static void test_nmi(void)
{
	struct event_state s = { 0 };
	struct event_decision d;

	event_queue_nmi(&s);
	event_queue_nmi(&s);
	event_queue_nmi(&s);
	CHECK_EQ(s.nmi_pending, 2);
	CHECK(event_queue_interrupt(&s, 0x55));
	s.shadow = EVENT_SHADOW_MOV_SS;
	event_next(&s, &running, &d);
	CHECK_EQ(d.kind, EVENT_KIND_NONE);
	CHECK(d.nmi_window && d.interrupt_window);
	s.shadow = 0;
	event_next(&s, &blocked, &d);
	CHECK_EQ(d.kind, EVENT_KIND_NMI);
	CHECK_EQ(d.vector, 2);
	CHECK(d.nmi_window && d.interrupt_window);
	CHECK(!event_interrupt_ready(&s, true));
	event_queue_nmi(&s);
	CHECK_EQ(s.nmi_pending, 1);
	event_after_exit(&s, &(struct event_vectoring){ .kind = EVENT_KIND_NMI, .vector = 2 });
	event_next(&s, &running, &d);
	CHECK_EQ(d.kind, EVENT_KIND_NMI);
	event_after_exit(&s, &no_vectoring);
	/* Masked until IRET: the interrupt's turn, the second NMI waits. */
	event_next(&s, &running, &d);
	CHECK_EQ(d.kind, EVENT_KIND_INTERRUPT);
	CHECK(d.nmi_window);
	event_after_exit(&s, &no_vectoring);
	event_nmi_unmask(&s);
	event_next(&s, &running, &d);
	CHECK_EQ(d.kind, EVENT_KIND_NMI);
	CHECK(!d.nmi_window);
	CHECK(s.nmi_masked);
	/* An exception comes before an NMI that only waits. */
	s = (struct event_state){ 0 };
	event_queue_nmi(&s);
	raise(&s, EVENT_GP);
	event_next(&s, &running, &d);
	CHECK_EQ(d.vector, EVENT_GP);
	CHECK(d.nmi_window);
}

static void test_vectoring(void)
{
	static const struct {
		u8 kind, vector;
		bool again;
	} rows[] = {
		{ EVENT_KIND_EXCEPTION, EVENT_PF, true },
		{ EVENT_KIND_EXCEPTION, EVENT_DF, true },
		{ EVENT_KIND_EXCEPTION, EVENT_BP, false },
		{ EVENT_KIND_EXCEPTION, EVENT_OF, false },
		{ EVENT_KIND_SOFT_INTERRUPT, 0x80, false },
		{ EVENT_KIND_NONE, 0, false },
	};

	for_each_row(row, rows) {
		struct event_state s = { 0 };
		struct event_decision d;

		test_context("kind %u vector %u", row->kind, row->vector);
		event_after_exit(&s, &(struct event_vectoring){ row->kind, row->vector, true, 6 });
		event_next(&s, &running, &d);
		CHECK_EQ(d.kind, row->again ? EVENT_KIND_EXCEPTION : EVENT_KIND_NONE);
		CHECK_EQ(d.vector, row->again ? row->vector : 0);
		CHECK_EQ(d.error_code, row->again ? 6 : 0);
		CHECK(!d.has_payload);
	}
	test_context("%s", "");
	{
		struct event_state s = { 0 };
		struct event_decision d;

		/* A breakpoint that was injected has its RIP behind it already. */
		raise(&s, EVENT_BP);
		event_next(&s, &running, &d);
		event_after_exit(&s, &(struct event_vectoring){ EVENT_KIND_EXCEPTION, EVENT_BP, false, 0 });
		event_next(&s, &running, &d);
		CHECK_EQ(d.kind, EVENT_KIND_EXCEPTION);
		CHECK_EQ(d.vector, EVENT_BP);
	}
}

/* A debugger lets nothing in but exceptions, and asks for no window. */
static void test_blocked_by_debugger(void)
{
	struct event_cpu cpu = { .rflags_if = true, .protected_mode = true, .blocked = true };
	struct event_state s = { 0 };
	struct event_decision d;

	CHECK(event_queue_interrupt(&s, 0x31));
	event_queue_nmi(&s);
	event_next(&s, &cpu, &d);
	CHECK_EQ(d.kind, EVENT_KIND_NONE);
	CHECK(!d.interrupt_window && !d.nmi_window);
	raise(&s, EVENT_GP);
	event_next(&s, &cpu, &d);
	CHECK_EQ(d.vector, EVENT_GP);
	event_after_exit(&s, &no_vectoring);
	cpu.blocked = false;
	event_next(&s, &cpu, &d);
	CHECK_EQ(d.kind, EVENT_KIND_NMI);
	CHECK(d.interrupt_window);
}

static void test_payload(void)
{
	struct event_exception pf = {
		.vector = EVENT_PF, .has_error_code = true, .has_payload = true,
		.error_code = 2, .payload = 0x1234000,
	};
	struct event_exception db = { .vector = EVENT_DB, .has_payload = true };
	struct event_state s = { 0 };
	struct event_decision d;
	u64 cr2 = 1, dr6 = 0xffff0ff1, dr7 = 0x2400;

	event_queue_exception(&s, &pf);
	event_next(&s, &running, &d);
	CHECK(d.has_payload);
	CHECK_EQ(d.payload, 0x1234000);
	event_apply_payload(d.vector, d.payload, &cr2, &dr6, &dr7);
	CHECK_EQ(cr2, 0x1234000);
	CHECK_EQ(dr6, 0xffff0ff1);
	/* Again without an entry: CR2 was given once and is not given twice. */
	event_next(&s, &running, &d);
	CHECK(!d.has_payload);
	CHECK_EQ(d.error_code, 2);

	/* Single step: B0 is replaced, BS set, GD cleared; RTM and BLD stay one. */
	event_apply_payload(EVENT_DB, 1ULL << 14, &cr2, &dr6, &dr7);
	CHECK_EQ(dr6, 0xffff4ff0);
	CHECK_EQ(dr7, 0x400);
	/* In a transaction: RTM reads 0. */
	event_apply_payload(EVENT_DB, 1ULL << 16 | 2, &cr2, &dr6, &dr7);
	CHECK_EQ(dr6, 0xfffe4ff2);
	event_apply_payload(EVENT_GP, 77, &cr2, &dr6, &dr7);
	CHECK_EQ(cr2, 0x1234000);

	s = (struct event_state){ 0 };
	db.payload = 1ULL << 13;
	event_flush_payload(&s, &cr2, &dr6, &dr7);
	CHECK_EQ(dr6, 0xfffe4ff2);
	event_queue_exception(&s, &db);
	event_flush_payload(&s, &cr2, &dr6, &dr7);
	CHECK_EQ(dr6, 0xffff6ff0);
	CHECK(s.exception_pending && !s.exception.has_payload);
}

static void test_user(void)
{
	const struct event_user_caps all = { true, true }, no_caps = { false, false };
	struct event_exception pf = {
		.vector = EVENT_PF, .has_error_code = true, .has_payload = true,
		.error_code = 4, .payload = 0x5000,
	};
	struct event_state s = { .nmi_pending = 1, .nmi_masked = true, .shadow = 2 }, t;
	struct event_user u, again;
	struct event_decision d;

	event_queue_exception(&s, &pf);
	event_queue_interrupt(&s, 0x77);
	memset(&u, 0xff, sizeof(u));
	event_export(&s, &all, &u);
	CHECK_EQ(u.flags, 0x01 | 0x04 | 0x10 | 0x20);
	CHECK(u.exception.pending && !u.exception.injected);
	CHECK_EQ(u.exception.nr, 14);
	CHECK_EQ(u.exception.error_code, 4);
	CHECK_EQ(u.exception_has_payload, 1);
	CHECK_EQ(u.exception_payload, 0x5000);
	CHECK_EQ(u.interrupt.injected, 1);
	CHECK_EQ(u.interrupt.nr, 0x77);
	CHECK_EQ(u.interrupt.shadow, 2);
	CHECK_EQ(u.nmi.pending, 1);
	CHECK_EQ(u.nmi.masked, 1);
	CHECK(!u.reserved[0] && !u.reserved[25] && !u.smi.smm && !u.nmi.pad);
	t = (struct event_state){ 0 };
	CHECK(event_import(&t, &all, &u));
	event_export(&t, &all, &again);
	CHECK_MEM_EQ(&again, &u, sizeof(u));

	event_export(&s, &no_caps, &u);
	CHECK_EQ(u.flags, 0x05);
	CHECK(u.exception.injected && !u.exception.pending && !u.exception_has_payload);
	CHECK(event_import(&t, &no_caps, &u));
	CHECK(t.exception_injected && !t.exception_pending);
	/* What was injected goes in whatever IF says; what was queued waits for it. */
	event_next(&t, &blocked, &d);
	CHECK_EQ(d.vector, EVENT_PF);
	CHECK(d.interrupt_window);

	/* Refusals leave the state as it is. */
	static const struct {
		u32 flags;
		u8 injected, pending, nr, smm;
		bool caps, ok;
	} rows[] = {
		{ 0x00, 0, 0, 0, 0, false, true },
		{ 0x0f, 0, 0, 0, 0, false, true },
		{ 0x40, 0, 0, 0, 0, true, false },
		{ 0x80000000, 0, 0, 0, 0, true, false },
		{ 0x10, 0, 0, 0, 0, false, false },
		{ 0x20, 0, 0, 0, 0, false, false },
		{ 0x30, 0, 0, 0, 0, true, true },
		{ 0x00, 1, 0, 2, 0, false, false },
		{ 0x00, 1, 0, 32, 0, false, false },
		{ 0x00, 1, 0, 31, 0, false, true },
		{ 0x00, 0, 1, 32, 0, true, true },
		{ 0x10, 0, 1, 32, 0, true, false },
		{ 0x00, 0, 0, 32, 0, false, true },
		{ 0x08, 0, 0, 0, 1, false, true },
		{ 0x00, 0, 0, 0, 1, false, true },
	};
	for_each_row(row, rows) {
		struct event_state before = { .nmi_pending = 1, .sipi_vector = 9 };
		struct event_state after = before;
		struct event_user in = { .flags = row->flags };

		in.exception.injected = row->injected;
		in.exception.pending = row->pending;
		in.exception.nr = row->nr;
		in.smi.smm = row->smm;
		test_context("row %d", (int)(row - rows));
		CHECK_EQ(event_import(&after, row->caps ? &all : &no_caps, &in), row->ok);
		if (!row->ok)
			CHECK_MEM_EQ(&after, &before, sizeof(after));
	}
	test_context("%s", "");

	/* Both injected and pending: pending it is. Optional fields only with their flags. */
	memset(&u, 0, sizeof(u));
	u.flags = EVENT_USER_PAYLOAD | EVENT_USER_SIPI_VECTOR | EVENT_USER_NMI_PENDING |
		  EVENT_USER_TRIPLE_FAULT;
	u.exception.injected = 1;
	u.exception.pending = 1;
	u.exception.nr = 13;
	u.nmi.pending = 200;
	u.interrupt.shadow = 3;
	u.sipi_vector = 0x9f;
	u.triple_fault.pending = 1;
	t = (struct event_state){ 0 };
	CHECK(event_import(&t, &all, &u));
	CHECK(t.exception_pending && !t.exception_injected && t.triple_fault);
	CHECK_EQ(t.nmi_pending, 2);
	CHECK_EQ(t.shadow, 0);
	CHECK_EQ(t.sipi_vector, 0x9f);
	u.flags = EVENT_USER_SHADOW;
	u.interrupt.shadow = 0xff;
	t.nmi_pending = 0;
	CHECK(event_import(&t, &no_caps, &u));
	CHECK(t.exception_injected && !t.exception_pending);
	CHECK_EQ(t.shadow, 3);
	CHECK_EQ(t.nmi_pending, 0);
}

int main(void)
{
	test_merge();
	test_vectors();
	test_interrupt();
	test_nmi();
	test_vectoring();
	test_blocked_by_debugger();
	test_payload();
	test_user();
	return test_done("event");
}
