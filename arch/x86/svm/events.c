// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events between the common code and the VMCB: injection, its revocation, hand-back of a delivery that an
 * exit cut short, and the windows at which an interrupt or NMI could be taken.
 *
 * Owns svm_vcpu.event_inj, .windows, .nmi_masked, .step and .step_tf, and of the VMCB: EVENTINJ, V_IRQ, the intercepts of
 * IRET and virtual interrupts. Does not own priority and merging (pure/event.c).
 *
 * AMD-V has no NMI mask of its own here, so the IRET that ends an NMI handler is intercepted while
 * NMIs are masked. The exit comes before the IRET has run; NMIs are unmasked at the first exit that
 * finds RIP elsewhere, and when one is waiting, a single-step trap makes that exit come at once.
 *
 * Context: loaded, preemption off or IRQs off. APM volume 2: "Event Injection", "Injecting Virtual (INTR)
 * Interrupts", "NMI Support", "EXITINTINFO".
 */
#include <asm/processor-flags.h>
#include <svm/svm.h>

void svm_inject(struct keel_vcpu *vcpu, const struct event_decision *ev)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u64 inj = SVM_EVENT_VALID | ev->vector;

	switch (ev->kind) {
	case EVENT_KIND_EXCEPTION:
		inj |= SVM_EVENT_EXCEPTION << SVM_EVENT_TYPE_SHIFT;
		if (ev->has_error_code)
			inj |= SVM_EVENT_HAS_ERROR | (u64)ev->error_code << SVM_EVENT_ERROR_SHIFT;
		break;
	case EVENT_KIND_NMI:
		inj = SVM_EVENT_VALID | SVM_EVENT_NMI << SVM_EVENT_TYPE_SHIFT | EVENT_NMI;
		break;
	case EVENT_KIND_INTERRUPT:
		inj |= SVM_EVENT_INTR << SVM_EVENT_TYPE_SHIFT;
		break;
	case EVENT_KIND_SOFT_INTERRUPT:
		inj |= SVM_EVENT_SOFT_INT << SVM_EVENT_TYPE_SHIFT;
		break;
	default:
		return;
	}
	svm->event_inj = inj;
	svm->vmcb->control.event_inj = inj;
}

void svm_cancel(struct keel_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->event_inj = 0;
	svm->vmcb->control.event_inj = 0;
}

void svm_events_harvest(struct keel_vcpu *vcpu, bool failed)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u64 info = failed ? svm->event_inj : svm->vmcb->control.exit_int_info;
	struct event_vectoring ev = {
		.vector = info & SVM_EVENT_VECTOR,
		.has_error_code = info & SVM_EVENT_HAS_ERROR,
		.error_code = info >> SVM_EVENT_ERROR_SHIFT,
	};

	svm_cancel(vcpu);
	if (!(info & SVM_EVENT_VALID))
		return;
	switch ((info & SVM_EVENT_TYPE) >> SVM_EVENT_TYPE_SHIFT) {
	case SVM_EVENT_INTR:
		ev.kind = EVENT_KIND_INTERRUPT;
		break;
	case SVM_EVENT_NMI:
		ev.kind = EVENT_KIND_NMI;
		break;
	case SVM_EVENT_EXCEPTION:
		ev.kind = EVENT_KIND_EXCEPTION;
		break;
	case SVM_EVENT_SOFT_INT:
		ev.kind = EVENT_KIND_SOFT_INTERRUPT;
		break;
	default:
		return;
	}
	keel_event_requeue(vcpu, &ev);
}

void svm_event_intercepts(struct keel_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control *control = &svm->vmcb->control;
	bool irq = svm->windows & KEEL_WINDOW_IRQ;
	u32 word = control->intercept3 & ~(SVM_ICPT_IRET | SVM_ICPT_VINTR);
	u64 int_ctl = control->int_ctl & ~(SVM_INT_V_IRQ | SVM_INT_PRIO_MAX | SVM_INT_IGN_TPR);

	svm->nmi_masked = vcpu->arch.events.nmi_masked;
	if (svm->nmi_masked && !svm->step.iret)
		word |= SVM_ICPT_IRET;
	if (irq) {
		/* A virtual interrupt that beats every TPR; the intercept comes before it is taken. */
		word |= SVM_ICPT_VINTR;
		int_ctl |= SVM_INT_V_IRQ | SVM_INT_PRIO_MAX | SVM_INT_IGN_TPR;
	}
	/* QEMU's emulation aborts at a write of CR8 while a virtual interrupt waits. */
	if (unlikely(!svm_hw.nrips)) {
		u32 cr_write = control->cr_write & ~SVM_CR8_BIT;

		control->cr_write = cr_write | (irq || svm_cr8_watched(vcpu) ? SVM_CR8_BIT : 0);
		svm_touch(svm, SVM_CLEAN_INTERCEPTS);
	}
	if (word != control->intercept3) {
		control->intercept3 = word;
		svm_touch(svm, SVM_CLEAN_INTERCEPTS);
	}
	if (int_ctl != control->int_ctl) {
		control->int_ctl = int_ctl;
		svm_touch(svm, SVM_CLEAN_TPR);
	}
}

/* Have the CPU trap after the instruction at RIP. */
static void step_trap(struct keel_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->step.rip = vcpu->arch.regs.rip;
	svm->step.guest_tf = vcpu->arch.regs.rflags & X86_EFLAGS_TF || keel_debug_stepping(&vcpu->arch);
	svm->step.trap = true;
	svm->step_tf = X86_EFLAGS_TF;
}

void svm_window(struct keel_vcpu *vcpu, u32 windows)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (unlikely(windows != svm->windows || vcpu->arch.events.nmi_masked != svm->nmi_masked)) {
		svm->windows = windows;
		svm_event_intercepts(vcpu);
	}
	/* Masked and its IRET not reached: that exit comes first. Else one more instruction is in the way. */
	if (unlikely(windows & KEEL_WINDOW_NMI) && !svm->step.trap &&
	    (svm->step.iret || !vcpu->arch.events.nmi_masked))
		step_trap(vcpu);
}

void svm_iret_begin(struct keel_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->step.iret = true;
	svm->step.rip = vcpu->arch.regs.rip;
	svm_event_intercepts(vcpu);
}

bool svm_step_harvest(struct keel_vcpu *vcpu, u32 code)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_save *save = &svm->vmcb->save;
	struct keel_regs *regs = &vcpu->arch.regs;
	bool trapped = svm->step.trap && code == SVM_EXIT_EXCEPTION + EVENT_DB &&
		       save->dr6 & REGS_DR6_BS;
	bool ours = trapped && !svm->step.guest_tf;

	if (svm->step.trap && !svm->step.guest_tf && regs->rip == svm->step.rip && !trapped)
		regs->rflags &= ~X86_EFLAGS_TF;
	if (regs->rip == svm->step.rip && !trapped)
		return false;

	if (ours) {
		/* An IRET has loaded its own TF; after any other instruction the flag is still the step's. */
		if (!svm->step.iret)
			regs->rflags &= ~X86_EFLAGS_TF;
		save->dr6 &= ~REGS_DR6_BS;
		svm_touch(svm, SVM_CLEAN_DR);
		ours = !(save->dr6 & REGS_DR6_BREAKPOINTS);
	}
	if (svm->step.iret)
		event_nmi_unmask(&vcpu->arch.events);
	svm->step = (struct svm_step){};
	svm->step_tf = 0;
	svm->windows &= ~KEEL_WINDOW_NMI;
	svm_event_intercepts(vcpu);
	return ours;
}
