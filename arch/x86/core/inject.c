// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events of a vCPU: queueing faults, choosing what goes in at the next entry, settling what an exit
 * interrupted, and the API's view of it.
 *
 * Owns: arch.events and arch.inflight. Does not own: priority and merging (pure/event.c), how the
 * hardware is told (vendor). Contexts: vCPU loaded; settle with IRQs off.
 */
#include "core.h"
#include "trace.h"

/* The raise itself: exceptions of an instruction the kernel emulated or refused. */
void keel_exception_payload(struct keel_vcpu *vcpu, u8 vector, bool has_error, u32 error, u64 payload)
{
	struct event_exception exc = {
		.vector = vector,
		.has_error_code = has_error,
		.error_code = error,
		.has_payload = vector == EVENT_PF || vector == EVENT_DB,
		.payload = payload,
	};

	if (vector == EVENT_DB && keel_debug_trap(vcpu, payload))
		return;
	/* Real mode pushes no error codes; event_next() leaves it out there. */
	event_queue_exception(&vcpu->arch.events, &exc);
}

void keel_events_drop(struct keel_vcpu *vcpu)
{
	vcpu->arch.events = (struct event_state){ };
}

void keel_exception_guest(struct keel_vcpu *vcpu, u8 vector, const u64 *payload)
{
	struct event_exception exc = {
		.vector = vector,
		.has_payload = payload,
		.payload = payload ? *payload : 0,
	};

	vcpu->arch.debug.bp = vector == EVENT_BP;
	event_queue_exception(&vcpu->arch.events, &exc);
}

void keel_triple_fault(struct keel_vcpu *vcpu)
{
	vcpu->arch.events.triple_fault = true;
}

void keel_exception(struct keel_vcpu *vcpu, u8 vector)
{
	keel_exception_payload(vcpu, vector, false, 0, 0);
}

void keel_exception_error(struct keel_vcpu *vcpu, u8 vector, u32 error)
{
	keel_exception_payload(vcpu, vector, true, error, 0);
}

/* The CPU takes an interrupt that was cut off again as a new one. */
static void trace_injection(const struct event_decision *ev)
{
	if (ev->kind == EVENT_KIND_INTERRUPT)
		trace_kvm_inj_virq(ev->vector, false, false);
	else if (ev->kind == EVENT_KIND_EXCEPTION)
		trace_kvm_inj_exception(ev->vector, ev->has_error_code, ev->error_code, false);
}

/*
 * What only a debugger needs: user space queues #BP with RIP on the instruction, as the CPU reports it; and an INT n
 * that exited goes in unless something else does, after which it is executed anew.
 */
static void arrange_debug(struct keel_vcpu *vcpu, struct event_decision *decision)
{
	struct keel_debug *debug = &vcpu->arch.debug;
	struct keel_regs *regs = &vcpu->arch.regs;

	if (debug->bp && decision->kind == EVENT_KIND_EXCEPTION) {
		regs->rip += decision->vector == EVENT_BP;
		debug->bp = false;
	}
	if (debug->soft && decision->kind == EVENT_KIND_NONE) {
		decision->kind = EVENT_KIND_SOFT_INTERRUPT;
		decision->vector = debug->soft_vector;
		regs->rip = debug->soft_rip + debug->soft_len;
	} else if (debug->soft) {
		regs->rip = debug->soft_rip;
		debug->soft = false;
	}
	keel_regs_dirty(vcpu, KEEL_RG_GPR);
}

int keel_events_arrange(struct keel_vcpu *vcpu, bool requested)
{
	struct event_state *events = &vcpu->arch.events;
	struct keel_regs *regs = &vcpu->arch.regs;
	struct event_decision decision;
	struct event_cpu cpu;

	if (unlikely(vcpu->arch.debug.due) && keel_debug_tell(vcpu) == KEEL_USER)
		return KEEL_USER;
	if (unlikely(vcpu->arch.smm.pending)) {
		int next = keel_smm_take(vcpu);

		if (next != KEEL_RESUME)
			return next;
	}
	if (unlikely(vcpu->arch.irq_check)) {
		if (vcpu->arch.eoi_exit)
			return keel_uexit_eoi(vcpu);
		if (likely(!keel_debug_blocks(vcpu)))
			requested |= keel_apic_take(vcpu);
	}
	if (event_idle(events) && !requested && !vcpu->arch.debug.soft) {
		vcpu->arch.windows = false;
		keel_vendor->window(vcpu, 0);
		return KEEL_RESUME;
	}
	keel_regs_need(vcpu, KEEL_RG_CR | KEEL_RG_CODE);
	cpu = (struct event_cpu){
		.rflags_if = regs->rflags & X86_RFLAGS_IF,
		.protected_mode = regs->cr0 & REGS_CR0_PE,
		.mode_64bit = keel_in_64bit(vcpu),
		.blocked = keel_debug_blocks(vcpu),
		.interrupt_requested = requested,
	};
	event_next(events, &cpu, &decision);
	if (decision.kind == EVENT_KIND_SHUTDOWN) {
		events->triple_fault = false;
		return keel_uexit_reason(vcpu, KVM_EXIT_SHUTDOWN);
	}
	if (decision.kind == EVENT_KIND_IMPOSSIBLE) {
		/* User space injected a vector that this mode does not have. */
		events->exception_pending = events->exception_injected = false;
		return keel_uexit_fail_entry(vcpu, 0);
	}
	if (decision.has_payload) {
		keel_regs_need(vcpu, KEEL_RG_DR);
		event_apply_payload(decision.vector, decision.payload, &regs->cr2, &regs->dr6,
				    &regs->dr7);
		keel_regs_dirty(vcpu, KEEL_RG_CR | KEEL_RG_DR);
	}
	if (decision.set_rf) {
		regs->rflags |= X86_RFLAGS_RF;
		keel_regs_dirty(vcpu, KEEL_RG_GPR);
	}
	if (unlikely(vcpu->arch.debug.bp | vcpu->arch.debug.soft))
		arrange_debug(vcpu, &decision);
	if (decision.kind != EVENT_KIND_NONE) {
		if (decision.kind == EVENT_KIND_INTERRUPT)
			keel_stat(vcpu, KEEL_STAT_IRQ_INJECTION);
		else if (decision.kind == EVENT_KIND_NMI)
			keel_stat(vcpu, KEEL_STAT_NMI_INJECTION);
		trace_injection(&decision);
		keel_vendor->inject(vcpu, &decision);
		vcpu->arch.inflight = true;
	}
	vcpu->arch.windows = decision.interrupt_window || decision.nmi_window || vcpu->arch.debug.soft ||
			     (vcpu->arch.smm.pending && !vcpu->arch.smm.active);
	keel_vendor->window(vcpu, (decision.interrupt_window ? KEEL_WINDOW_IRQ : 0) |
				  (decision.nmi_window ? KEEL_WINDOW_NMI : 0));
	return KEEL_RESUME;
}

void keel_event_requeue(struct keel_vcpu *vcpu, const struct event_vectoring *ev)
{
	vcpu->arch.vectoring = *ev;
}

void keel_events_settle(struct keel_vcpu *vcpu)
{
	if (unlikely(vcpu->arch.debug.soft)) {
		/* Cut short, it is executed anew. */
		if (vcpu->arch.vectoring.kind == EVENT_KIND_SOFT_INTERRUPT)
			vcpu->arch.regs.rip = vcpu->arch.debug.soft_rip;
		vcpu->arch.debug.soft = false;
	}
	event_after_exit(&vcpu->arch.events, &vcpu->arch.vectoring);
	vcpu->arch.vectoring.kind = EVENT_KIND_NONE;
	vcpu->arch.inflight = false;
	if (unlikely(vcpu->arch.pv.eoi_granted))
		keel_pv_eoi_settle(vcpu);
}

/* KVM_INTERRUPT: the PIC is in user space, so the vector comes from there. */
long keel_interrupt(struct keel_call *call)
{
	const struct kvm_interrupt *in = call->arg;

	if (in->irq >= KVM_NR_INTERRUPTS)
		return -EINVAL;
	if (call->vm->arch.irq_mode == KEEL_IRQ_KERNEL)
		return -ENXIO;
	return event_queue_interrupt(&call->vcpu->arch.events, in->irq) ? 0 : -EEXIST;
}

long keel_nmi(struct keel_call *call)
{
	event_queue_nmi(&call->vcpu->arch.events);
	return 0;
}

static_assert(sizeof(struct event_user) == sizeof(struct kvm_vcpu_events));

static struct event_user_caps user_caps(const struct keel_vm *vm)
{
	return (struct event_user_caps){
		.payload = vm->arch.exception_payload,
		.triple_fault = vm->arch.triple_fault_event,
	};
}

long keel_events_get(struct keel_call *call)
{
	struct keel_vcpu *vcpu = call->vcpu;
	struct keel_regs *regs = &vcpu->arch.regs;
	struct event_user_caps caps = user_caps(call->vm);

	if (!caps.payload && vcpu->arch.events.exception_pending) {
		keel_regs_need(vcpu, KEEL_RG_CR | KEEL_RG_DR);
		event_flush_payload(&vcpu->arch.events, &regs->cr2, &regs->dr6, &regs->dr7);
		keel_regs_dirty(vcpu, KEEL_RG_CR | KEEL_RG_DR);
	}
	event_export(&vcpu->arch.events, &caps, call->arg);
	keel_smm_get(vcpu, call->arg);
	return 0;
}

long keel_events_set(struct keel_call *call)
{
	struct event_user_caps caps = user_caps(call->vm);

	if (!event_import(&call->vcpu->arch.events, &caps, call->arg))
		return -EINVAL;
	call->vcpu->arch.debug.bp = call->vcpu->arch.events.exception.vector == EVENT_BP;
	keel_regs_dirty(call->vcpu, KEEL_RG_GPR); /* the interrupt shadow is committed with it */
	call->vcpu->arch.controls_stale = true; /* NMI masking decides intercepts */
	return keel_smm_set(call->vcpu, call->arg);
}
