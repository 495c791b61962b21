/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Event injection policy of one vCPU: merging of exceptions, priority, windows, re-delivery after
 * an interrupted one, and the KVM_GET/SET_VCPU_EVENTS view of it all.
 */
#ifndef KEEL_PURE_EVENT_H
#define KEEL_PURE_EVENT_H

#include "types.h"

/* Vectors by the manuals' mnemonics. */
enum event_vector {
	EVENT_DE = 0,
	EVENT_DB = 1,
	EVENT_NMI = 2,
	EVENT_BP = 3,
	EVENT_OF = 4,
	EVENT_BR = 5,
	EVENT_UD = 6,
	EVENT_NM = 7,
	EVENT_DF = 8,
	EVENT_TS = 10,
	EVENT_NP = 11,
	EVENT_SS = 12,
	EVENT_GP = 13,
	EVENT_PF = 14,
	EVENT_MF = 16,
	EVENT_AC = 17,
	EVENT_MC = 18,
	EVENT_XF = 19,
	EVENT_VE = 20,
	EVENT_CP = 21,
	EVENT_HV = 28,
	EVENT_VC = 29,
	EVENT_SX = 30,
};

/* An exception to be raised. The payload is CR2 for #PF, new DR6 bits for #DB. */
struct event_exception {
	u8 vector;
	bool has_error_code;
	bool has_payload;
	u32 error_code;
	u64 payload;
};

/*
 * All of a vCPU's event state. "Pending" is recognised but not yet put before the processor;
 * "injected" was, and stays so until an exit shows that delivery was completed.
 * Zero is the state after reset.
 */
struct event_state {
	struct event_exception exception;
	union {
		struct {
			bool exception_pending;
			bool exception_injected;
			bool interrupt_pending;
			bool interrupt_injected;
			u8 nmi_pending;		/* 0..2: one in service does not hide one latched */
			bool nmi_injected;
			bool triple_fault;
			u8 none;		/* always 0 */
		};
		u64 any;			/* of the above */
	};
	u8 interrupt_vector;
	bool nmi_masked;		/* an NMI was delivered and no IRET has ended yet */
	u8 shadow;			/* EVENT_SHADOW_* */
	u32 sipi_vector;
};

#define EVENT_SHADOW_MOV_SS 1u		/* values of kvm_vcpu_events.interrupt.shadow */
#define EVENT_SHADOW_STI 2u

enum event_queued {
	EVENT_QUEUED,
	EVENT_QUEUED_DOUBLE_FAULT,
	EVENT_QUEUED_TRIPLE_FAULT,
};

/* Raises @exc, merging it with an exception that is pending or being delivered. */
enum event_queued event_queue_exception(struct event_state *state,
					const struct event_exception *exc);

/* KVM_NMI: latches one; further ones are lost as on hardware. */
void event_queue_nmi(struct event_state *state);

/* KVM_INTERRUPT. False when an interrupt is queued already (-EEXIST). */
bool event_queue_interrupt(struct event_state *state, u8 vector);

/* True when KVM_INTERRUPT would be taken at once: kvm_run.ready_for_interrupt_injection. */
static inline bool event_interrupt_ready(const struct event_state *state, bool rflags_if)
{
	return rflags_if && !(state->shadow | state->interrupt_pending | state->interrupt_injected |
			      state->exception_pending | state->exception_injected |
			      state->nmi_injected);
}

/* Is there nothing that event_next() could choose? */
static inline bool event_idle(const struct event_state *state)
{
	return !state->any;
}

/* vCPU state event_next() needs. */
struct event_cpu {
	bool rflags_if;
	bool protected_mode;		/* CR0.PE; real mode delivers no error codes */
	bool mode_64bit;		/* CS.L in long mode */
	bool blocked;			/* a debugger wants neither interrupts nor NMIs to go in */
	bool interrupt_requested;	/* somebody waits for the interrupt window (user space) */
};

enum event_kind {
	EVENT_KIND_NONE,
	EVENT_KIND_EXCEPTION,
	EVENT_KIND_NMI,
	EVENT_KIND_INTERRUPT,
	EVENT_KIND_SOFT_INTERRUPT,	/* INT n; only as a vectoring input */
	EVENT_KIND_SHUTDOWN,		/* triple fault: nothing to inject, the VMM is to be told */
	EVENT_KIND_IMPOSSIBLE,		/* the processor would refuse this vector in this mode */
};

/* What to do for the next entry. */
struct event_decision {
	u8 kind;			/* enum event_kind */
	u8 vector;
	bool has_error_code;
	bool set_rf;			/* fault class: the pushed RFLAGS has RF set */
	bool has_payload;		/* apply with event_apply_payload() before the entry */
	bool nmi_window;		/* exit when NMIs are unmasked */
	bool interrupt_window;		/* exit when interrupts can be taken */
	u32 error_code;
	u64 payload;
};

/*
 * Chooses the event for the next entry and marks it injected; calling it again without an entry
 * in between gives the same event again. Interrupts off or preemption off, no sleep.
 */
void event_next(struct event_state *state, const struct event_cpu *cpu,
		struct event_decision *out);

/* Applies a payload: CR2 for #PF; DR6 and DR7.GD for #DB; nothing for other vectors. */
void event_apply_payload(u8 vector, u64 payload, u64 *cr2, u64 *dr6, u64 *dr7);

/* An event the processor was delivering when it exited (EXITINTINFO, IDT-vectoring information). */
struct event_vectoring {
	u8 kind;			/* enum event_kind; EVENT_KIND_NONE: no delivery was cut */
	u8 vector;
	bool has_error_code;
	u32 error_code;
};

/*
 * After each exit: what had been injected is delivered, except what @vectoring hands back, which
 * is injected again. INT n, INT3 and INTO are not kept, unless the exception had been injected: RIP
 * still points at them and the instruction runs again.
 */
void event_after_exit(struct event_state *state, const struct event_vectoring *vectoring);

/* IRET was executed. */
void event_nmi_unmask(struct event_state *state);

/* Does delivery of @vector as an exception push an error code in protected mode? */
bool event_has_error_code(u8 vector);

/* Does @vector push RFLAGS.RF = 1 (faults, but not #DB, whose class depends on its cause)? */
bool event_is_fault(u8 vector);

/* The layout is that of struct kvm_vcpu_events. */
struct event_user {
	struct {
		u8 injected;
		u8 nr;
		u8 has_error_code;
		u8 pending;
		u32 error_code;
	} exception;
	struct {
		u8 injected;
		u8 nr;
		u8 soft;
		u8 shadow;
	} interrupt;
	struct {
		u8 injected;
		u8 pending;
		u8 masked;
		u8 pad;
	} nmi;
	u32 sipi_vector;
	u32 flags;
	struct {
		u8 smm;
		u8 pending;
		u8 smm_inside_nmi;
		u8 latched_init;
	} smi;
	struct {
		u8 pending;
	} triple_fault;
	u8 reserved[26];
	u8 exception_has_payload;
	u64 exception_payload;
};

static_assert(sizeof(struct event_user) == 64, "layout of kvm_vcpu_events");

#define EVENT_USER_NMI_PENDING 0x01u	/* KVM_VCPUEVENT_VALID_* */
#define EVENT_USER_SIPI_VECTOR 0x02u
#define EVENT_USER_SHADOW 0x04u
#define EVENT_USER_SMM 0x08u
#define EVENT_USER_PAYLOAD 0x10u
#define EVENT_USER_TRIPLE_FAULT 0x20u

/* Capabilities user space has enabled for this VM. */
struct event_user_caps {
	bool payload;			/* KVM_CAP_EXCEPTION_PAYLOAD */
	bool triple_fault;		/* KVM_CAP_X86_TRIPLE_FAULT_EVENT */
};

/*
 * KVM_GET_VCPU_EVENTS; fills every byte of @out. Without the payload capability a pending
 * exception is shown as injected, and the caller has to apply its payload first
 * (event_flush_payload()).
 */
void event_export(const struct event_state *state, const struct event_user_caps *caps,
		  struct event_user *out);

/* Takes a pending exception's payload out of @state into the registers it is meant for. */
void event_flush_payload(struct event_state *state, u64 *cr2, u64 *dr6, u64 *dr7);

/*
 * KVM_SET_VCPU_EVENTS. False (-EINVAL) for unknown flags, flags without their capability, and an
 * exception vector that is 2 or above 31; @state is then unchanged. What it says of SMM is the
 * caller's, in both directions.
 */
bool event_import(struct event_state *state, const struct event_user_caps *caps,
		  const struct event_user *in);

#endif /* KEEL_PURE_EVENT_H */
