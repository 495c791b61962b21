// SPDX-License-Identifier: GPL-2.0-only
/*
 * A series of events, exits and imports on one vCPU: whatever is injected is something the
 * processor accepts, nothing is lost between two entries, and the user-space form round-trips.
 */
#include "event.h"
#include "harness.h"

static void check_state(const struct event_state *s)
{
	FUZZ_ASSERT(!(s->exception_pending && s->exception_injected));
	FUZZ_ASSERT(!(s->interrupt_pending && s->interrupt_injected));
	FUZZ_ASSERT(s->nmi_pending <= 2);
	FUZZ_ASSERT(!(s->shadow & ~3));
}

static void check_decision(const struct event_state *s, const struct event_cpu *cpu,
			   const struct event_decision *d, bool reinjected)
{
	switch (d->kind) {
	case EVENT_KIND_EXCEPTION:
		FUZZ_ASSERT(d->vector < 32 && d->vector != 2);
		FUZZ_ASSERT(d->has_error_code == (cpu->protected_mode &&
						  event_has_error_code(d->vector)));
		FUZZ_ASSERT(d->has_error_code || !d->error_code);
		FUZZ_ASSERT(s->exception_injected);
		break;
	case EVENT_KIND_NMI:
		FUZZ_ASSERT(d->vector == 2 && s->nmi_injected);
		break;
	case EVENT_KIND_INTERRUPT:
		FUZZ_ASSERT(s->interrupt_injected);
		FUZZ_ASSERT(reinjected || (cpu->rflags_if && !s->shadow));
		break;
	case EVENT_KIND_SHUTDOWN:
		FUZZ_ASSERT(s->triple_fault);
		return;
	case EVENT_KIND_IMPOSSIBLE:
	case EVENT_KIND_NONE:
		break;
	default:
		FUZZ_ASSERT(!"a kind that is never decided");
	}
	/* What cannot go in now has its window. */
	FUZZ_ASSERT(!s->interrupt_pending || d->interrupt_window);
	FUZZ_ASSERT(!s->nmi_pending || d->nmi_window);
}

static void enter(struct event_state *s, u8 mode)
{
	struct event_cpu cpu = {
		.rflags_if = mode & 1, .protected_mode = mode & 6, .mode_64bit = (mode & 6) == 6,
		.interrupt_requested = mode & 8,
	};
	struct event_decision d, again;
	bool reinjected = s->interrupt_injected;

	event_next(s, &cpu, &d);
	check_state(s);
	check_decision(s, &cpu, &d, reinjected);
	event_next(s, &cpu, &again);
	FUZZ_ASSERT(again.kind == d.kind && again.vector == d.vector);
	FUZZ_ASSERT(again.error_code == d.error_code && again.set_rf == d.set_rf);
	FUZZ_ASSERT(!again.has_payload || d.kind == EVENT_KIND_IMPOSSIBLE);
}

static void exchange(struct event_state *s, struct fuzz_input *in)
{
	struct event_user_caps caps = { .payload = fuzz_u8(in) & 1, .triple_fault = fuzz_u8(in) & 1 };
	struct event_state before = *s, copy = { 0 };
	struct event_user user, again;

	event_export(s, &caps, &user);
	if (event_import(&copy, &caps, &user)) {
		copy.nmi_pending = s->nmi_pending;
		event_export(&copy, &caps, &again);
		again.sipi_vector = user.sipi_vector;
		FUZZ_ASSERT(!memcmp(&user, &again, sizeof(user)));
	}
	fuzz_bytes(in, &user, sizeof(user));
	if (!event_import(s, &caps, &user))
		FUZZ_ASSERT(!memcmp(s, &before, sizeof(before)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct event_exception exc = { 0 };
	struct event_vectoring v;
	struct event_state s;
	u64 cr2 = 0, dr6 = 0xffff0ff0, dr7 = 0x400;

	memset(&s, 0, sizeof(s));
	while (in.left) {
		switch (fuzz_u8(&in) % 9) {
		case 0:
			exc.vector = fuzz_u8(&in) & 31;
			exc.has_error_code = fuzz_u8(&in) & 1;
			exc.has_payload = fuzz_u8(&in) & 1;
			exc.error_code = fuzz_u16(&in);
			exc.payload = fuzz_u64(&in);
			event_queue_exception(&s, &exc);
			FUZZ_ASSERT(s.exception_pending || s.triple_fault);
			break;
		case 1:
			event_queue_nmi(&s);
			FUZZ_ASSERT(s.nmi_pending);
			break;
		case 2:
			event_queue_interrupt(&s, fuzz_u8(&in));
			FUZZ_ASSERT(s.interrupt_pending || s.interrupt_injected);
			break;
		case 3:
			enter(&s, fuzz_u8(&in));
			break;
		case 4:
			v.kind = fuzz_u8(&in) % 7;
			v.vector = fuzz_u8(&in);
			v.has_error_code = fuzz_u8(&in) & 1;
			v.error_code = fuzz_u16(&in);
			event_after_exit(&s, &v);
			FUZZ_ASSERT(s.exception_injected + s.nmi_injected + s.interrupt_injected <= 1);
			break;
		case 5:
			event_nmi_unmask(&s);
			break;
		case 6:
			s.shadow = fuzz_u8(&in) & 3;
			break;
		case 7:
			exchange(&s, &in);
			break;
		default:
			event_flush_payload(&s, &cr2, &dr6, &dr7);
			FUZZ_ASSERT((dr6 & 0xffffffff00001000ULL) == 0 && (dr6 & 0x7f0) == 0x7f0);
			break;
		}
		check_state(&s);
	}
	return 0;
}
