// SPDX-License-Identifier: GPL-2.0-only
/*
 * Event injection policy: what one vCPU is given at its next entry, and what becomes of an event
 * whose delivery an exit has cut short.
 *
 * It owns struct event_state: exception merging (#DF, triple fault), priority, windows, NMI
 * blocking, and the KVM_GET/SET_VCPU_EVENTS form of the state. It does not own the registers an
 * event touches (CR2, DR6, RFLAGS: the caller applies them) nor how hardware is told. Called by
 * the vCPU's own thread only.
 *
 * Intel SDM: "Interrupt 8 - Double Fault Exception (#DF)", "Priority Among Concurrent Events".
 * AMD APM volume 2: "#DF - Double-Fault Exception", "Event Injection", "EXITINTINFO Pseudo-Code".
 */
#include "event.h"

#define BIT_OF(vector) (1u << (vector))

/* Sets of exception vectors, one bit each. */
#define CONTRIBUTORY                                                                               \
	(BIT_OF(EVENT_DE) | BIT_OF(EVENT_TS) | BIT_OF(EVENT_NP) | BIT_OF(EVENT_SS) |               \
	 BIT_OF(EVENT_GP) | BIT_OF(EVENT_CP))
#define PAGE_FAULTS (BIT_OF(EVENT_PF) | BIT_OF(EVENT_VE))
#define WITH_ERROR_CODE                                                                            \
	(BIT_OF(EVENT_DF) | BIT_OF(EVENT_TS) | BIT_OF(EVENT_NP) | BIT_OF(EVENT_SS) |               \
	 BIT_OF(EVENT_GP) | BIT_OF(EVENT_PF) | BIT_OF(EVENT_AC) | BIT_OF(EVENT_CP) |               \
	 BIT_OF(EVENT_VC) | BIT_OF(EVENT_SX))
#define NOT_FAULTS                                                                                 \
	(BIT_OF(EVENT_DB) | BIT_OF(EVENT_NMI) | BIT_OF(EVENT_BP) | BIT_OF(EVENT_OF) |              \
	 BIT_OF(EVENT_DF) | BIT_OF(EVENT_MC))
/* INTO and BOUND do not exist in 64-bit mode, hence neither do their exceptions. */
#define NOT_IN_64BIT (BIT_OF(EVENT_OF) | BIT_OF(EVENT_BR))

#define DB_DR6_BREAKPOINTS BITS64(3, 0)
#define DB_DR6_ACTIVE_LOW (BIT64(11) | BIT64(16))	/* BLD and RTM: 0 means it happened */
#define DB_DR6_KNOWN (DB_DR6_BREAKPOINTS | BITS64(15, 13) | DB_DR6_ACTIVE_LOW)
#define DB_DR7_GD BIT64(13)

static bool in_set(u8 vector, u32 set)
{
	return vector < 32 && set & BIT_OF(vector);
}

bool event_has_error_code(u8 vector)
{
	return in_set(vector, WITH_ERROR_CODE);
}

bool event_is_fault(u8 vector)
{
	return in_set(vector, ~NOT_FAULTS);
}

static enum event_queued merge(u8 first, u8 second)
{
	bool severe = in_set(second, CONTRIBUTORY | PAGE_FAULTS);

	if (first == EVENT_DF && severe)
		return EVENT_QUEUED_TRIPLE_FAULT;
	if (in_set(first, CONTRIBUTORY) && in_set(second, CONTRIBUTORY))
		return EVENT_QUEUED_DOUBLE_FAULT;
	if (in_set(first, PAGE_FAULTS) && severe)
		return EVENT_QUEUED_DOUBLE_FAULT;
	/* Delivered one after the other: the first comes again when its instruction restarts. */
	return EVENT_QUEUED;
}

enum event_queued event_queue_exception(struct event_state *state,
					const struct event_exception *exc)
{
	static const struct event_exception double_fault = {
		.vector = EVENT_DF,
		.has_error_code = true,
	};
	enum event_queued merged = EVENT_QUEUED;

	if (state->exception_pending || state->exception_injected)
		merged = merge(state->exception.vector, exc->vector);
	if (merged == EVENT_QUEUED_TRIPLE_FAULT) {
		state->exception_pending = false;
		state->exception_injected = false;
		state->triple_fault = true;
		return merged;
	}
	state->exception = merged == EVENT_QUEUED_DOUBLE_FAULT ? double_fault : *exc;
	state->exception_pending = true;
	state->exception_injected = false;
	return merged;
}

void event_queue_nmi(struct event_state *state)
{
	unsigned int limit = state->nmi_masked || state->nmi_injected ? 1 : 2;

	if (state->nmi_pending < limit)
		state->nmi_pending++;
}

bool event_queue_interrupt(struct event_state *state, u8 vector)
{
	if (state->interrupt_pending || state->interrupt_injected)
		return false;
	state->interrupt_pending = true;
	state->interrupt_vector = vector;
	return true;
}

static void decide_exception(struct event_state *state, const struct event_cpu *cpu,
			     struct event_decision *out)
{
	const struct event_exception *exc = &state->exception;

	out->vector = exc->vector;
	if (exc->vector >= 32 || exc->vector == EVENT_NMI ||
	    (cpu->mode_64bit && in_set(exc->vector, NOT_IN_64BIT))) {
		out->kind = EVENT_KIND_IMPOSSIBLE;
		return;
	}
	out->kind = EVENT_KIND_EXCEPTION;
	/* Hardware insists on the code where the vector has one, and on none elsewhere. */
	out->has_error_code = cpu->protected_mode && event_has_error_code(exc->vector);
	if (out->has_error_code && exc->has_error_code)
		out->error_code = exc->error_code;
	out->set_rf = event_is_fault(exc->vector);
	if (state->exception_pending) {
		out->has_payload = exc->has_payload;
		out->payload = exc->has_payload ? exc->payload : 0;
	}
	state->exception.has_payload = false;
	state->exception_pending = false;
	state->exception_injected = true;
}

/* An exception overtakes an interrupt whose delivery it interrupted: that one waits again. */
static void interrupt_waits(struct event_state *state)
{
	state->interrupt_pending |= state->interrupt_injected;
	state->interrupt_injected = false;
}

static void decide(struct event_state *state, const struct event_cpu *cpu,
		   struct event_decision *out)
{
	if (state->exception_injected || state->exception_pending) {
		interrupt_waits(state);
		decide_exception(state, cpu, out);
		return;
	}
	if (!state->nmi_injected && !state->interrupt_injected && !cpu->blocked) {
		if (state->nmi_pending && !state->nmi_masked && !state->shadow) {
			state->nmi_pending--;
			state->nmi_injected = true;
			state->nmi_masked = true;
		} else if (state->interrupt_pending && cpu->rflags_if && !state->shadow) {
			state->interrupt_pending = false;
			state->interrupt_injected = true;
		}
	}
	if (state->nmi_injected) {
		out->kind = EVENT_KIND_NMI;
		out->vector = EVENT_NMI;
	} else if (state->interrupt_injected) {
		out->kind = EVENT_KIND_INTERRUPT;
		out->vector = state->interrupt_vector;
	}
}

void event_next(struct event_state *state, const struct event_cpu *cpu,
		struct event_decision *out)
{
	memset(out, 0, sizeof(*out));
	if (state->triple_fault) {
		out->kind = EVENT_KIND_SHUTDOWN;
		return;
	}
	decide(state, cpu, out);
	if (cpu->blocked)
		return;
	out->nmi_window = state->nmi_pending;
	out->interrupt_window = state->interrupt_pending || cpu->interrupt_requested;
}

void event_apply_payload(u8 vector, u64 payload, u64 *cr2, u64 *dr6, u64 *dr7)
{
	if (vector == EVENT_PF)
		*cr2 = payload;
	if (vector == EVENT_DB) {
		/* Breakpoint bits are replaced, the others collect until software clears them. */
		*dr6 &= ~DB_DR6_BREAKPOINTS;
		*dr6 |= DB_DR6_ACTIVE_LOW;
		*dr6 |= payload & DB_DR6_KNOWN;
		*dr6 ^= payload & DB_DR6_ACTIVE_LOW;
		*dr7 &= ~DB_DR7_GD;
	}
}

void event_flush_payload(struct event_state *state, u64 *cr2, u64 *dr6, u64 *dr7)
{
	struct event_exception *exc = &state->exception;

	if (!state->exception_pending || !exc->has_payload)
		return;
	event_apply_payload(exc->vector, exc->payload, cr2, dr6, dr7);
	exc->has_payload = false;
}

void event_after_exit(struct event_state *state, const struct event_vectoring *vectoring)
{
	bool again = state->exception_injected && state->exception.vector == vectoring->vector;

	state->exception_injected = false;
	state->nmi_injected = false;
	state->interrupt_injected = false;

	switch ((enum event_kind)vectoring->kind) {
	case EVENT_KIND_EXCEPTION:
		if (!again && (vectoring->vector == EVENT_BP || vectoring->vector == EVENT_OF))
			break;
		state->exception = (struct event_exception){
			.vector = vectoring->vector,
			.has_error_code = vectoring->has_error_code,
			.error_code = vectoring->error_code,
		};
		state->exception_pending = false;
		state->exception_injected = true;
		break;
	case EVENT_KIND_NMI:
		state->nmi_injected = true;
		state->nmi_masked = true;
		break;
	case EVENT_KIND_INTERRUPT:
		state->interrupt_vector = vectoring->vector;
		state->interrupt_pending = false;
		state->interrupt_injected = true;
		break;
	case EVENT_KIND_NONE:
	case EVENT_KIND_SOFT_INTERRUPT:
	case EVENT_KIND_SHUTDOWN:
	case EVENT_KIND_IMPOSSIBLE:
		break;
	}
}

void event_nmi_unmask(struct event_state *state)
{
	state->nmi_masked = false;
}

void event_export(const struct event_state *state, const struct event_user_caps *caps,
		  struct event_user *out)
{
	const struct event_exception *exc = &state->exception;

	memset(out, 0, sizeof(*out));
	out->exception.injected = state->exception_injected;
	out->exception.nr = exc->vector;
	out->exception.has_error_code = exc->has_error_code;
	out->exception.error_code = exc->error_code;
	if (caps->payload) {
		out->exception.pending = state->exception_pending;
		out->exception_has_payload = state->exception_pending && exc->has_payload;
		out->exception_payload = out->exception_has_payload ? exc->payload : 0;
		out->flags |= EVENT_USER_PAYLOAD;
	} else {
		out->exception.injected |= state->exception_pending;
	}
	/* The interface knows no waiting interrupt: one that was queued has left its controller. */
	out->interrupt.injected = state->interrupt_injected || state->interrupt_pending;
	out->interrupt.nr = state->interrupt_vector;
	out->interrupt.shadow = state->shadow;
	out->nmi.injected = state->nmi_injected;
	out->nmi.pending = state->nmi_pending;
	out->nmi.masked = state->nmi_masked;
	out->sipi_vector = state->sipi_vector;
	out->flags |= EVENT_USER_NMI_PENDING | EVENT_USER_SHADOW;
	if (caps->triple_fault) {
		out->triple_fault.pending = state->triple_fault;
		out->flags |= EVENT_USER_TRIPLE_FAULT;
	}
}

static bool importable(const struct event_user_caps *caps, const struct event_user *in)
{
	u32 flags = EVENT_USER_NMI_PENDING | EVENT_USER_SIPI_VECTOR | EVENT_USER_SHADOW |
		    EVENT_USER_SMM;
	bool exception = in->exception.injected;

	if (caps->payload)
		flags |= EVENT_USER_PAYLOAD;
	if (caps->triple_fault)
		flags |= EVENT_USER_TRIPLE_FAULT;
	if (in->flags & ~flags)
		return false;
	if (in->flags & EVENT_USER_PAYLOAD)
		exception |= in->exception.pending;
	return !exception || (in->exception.nr <= 31 && in->exception.nr != EVENT_NMI);
}

bool event_import(struct event_state *state, const struct event_user_caps *caps,
		  const struct event_user *in)
{
	bool payload = in->flags & EVENT_USER_PAYLOAD;

	if (!importable(caps, in))
		return false;
	/* Pending wins: an exception cannot be both, and only a pending one has its payload left. */
	state->exception_pending = payload && in->exception.pending;
	state->exception_injected = in->exception.injected && !state->exception_pending;
	state->exception = (struct event_exception){
		.vector = in->exception.nr,
		.has_error_code = in->exception.has_error_code,
		.error_code = in->exception.error_code,
		.has_payload = state->exception_pending && in->exception_has_payload,
		.payload = state->exception_pending ? in->exception_payload : 0,
	};
	/*
	 * Waiting, not injected: whether it was under delivery or only queued is lost in this form,
	 * and under delivery RFLAGS.IF is set, so that it goes in at once all the same.
	 */
	state->interrupt_pending = in->interrupt.injected;
	state->interrupt_injected = false;
	state->interrupt_vector = in->interrupt.nr;
	state->nmi_injected = in->nmi.injected;
	state->nmi_masked = in->nmi.masked;
	if (in->flags & EVENT_USER_NMI_PENDING)
		state->nmi_pending = in->nmi.pending > 2 ? 2 : in->nmi.pending;
	if (in->flags & EVENT_USER_SIPI_VECTOR)
		state->sipi_vector = in->sipi_vector;
	if (in->flags & EVENT_USER_SHADOW)
		state->shadow = in->interrupt.shadow & (EVENT_SHADOW_MOV_SS | EVENT_SHADOW_STI);
	if (in->flags & EVENT_USER_TRIPLE_FAULT)
		state->triple_fault = in->triple_fault.pending;
	return true;
}
