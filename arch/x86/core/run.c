// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_RUN: the loop around the guest, one page of it.
 *
 * Owns: the order of steps around an entry. Does not own: any of the steps. Contexts: task, vCPU
 * loaded; IRQs off between arm and disarm.
 *
 * Finish what user space was asked for; then, until somebody wants user space: serve requests, put events
 * in, commit registers and controls, IRQs off, last check, enter, and, with IRQs still off, finish the
 * cheap exits and enter again at once.
 */
#include "core.h"
#include "fpu.h"
#include "tdp.h"
#include "trace.h"
#include <keel/host.h>
#include <linux/sched/signal.h>

DEFINE_STATIC_CALL_NULL(keel_enter, *(void (*)(struct keel_vcpu *))NULL);
DEFINE_STATIC_CALL_NULL(keel_after_exit, *(enum keel_exit_kind (*)(struct keel_vcpu *))NULL);
DEFINE_STATIC_CALL_NULL(keel_regs_commit, *(void (*)(struct keel_vcpu *))NULL);
DEFINE_STATIC_CALL_NULL(keel_regs_load, *(void (*)(struct keel_vcpu *, u32))NULL);
DEFINE_STATIC_CALL_NULL(keel_decode, *(void (*)(struct keel_vcpu *, struct keel_exit *))NULL);

void keel_skip_odd(struct keel_vcpu *vcpu)
{
	struct keel_regs *regs = &vcpu->arch.regs;

	if (regs->rip >> 32 && !keel_in_64bit(vcpu))
		regs->rip = (u32)regs->rip;
	if (regs->rflags & X86_RFLAGS_TF)
		keel_exception_payload(vcpu, EVENT_DB, false, 0, REGS_DR6_BS);
}

int keel_requests_take(struct keel_vcpu *vcpu)
{
	unsigned long requests = xchg(&vcpu->requests, 0);

	if (requests & KEEL_REQ_TLB_FLUSH)
		keel_vendor->flush(vcpu, KEEL_FLUSH_NESTED);
	if (requests & KEEL_REQ_EVENT)
		keel_apic_serve(vcpu);
	if (requests & KEEL_REQ_LOGGING)
		vcpu->arch.controls_stale = true;
	if (requests & KEEL_REQ_MSR_FILTER)
		keel_msr_filter_changed(vcpu);
	if (requests & KEEL_REQ_PARAVIRT)
		keel_pv_serve(vcpu);
	if (requests & KEEL_REQ_YIELD)
		keel_pv_yield(vcpu);
	if (requests & KEEL_REQ_DIRTY_RING && keel_dirty_ring_full(vcpu)) {
		/* To be looked at again, whatever user space does meanwhile. */
		keel_vcpu_request_own(vcpu, KEEL_REQ_DIRTY_RING);
		return vcpu->ring.lost ? -EIO : keel_uexit_reason(vcpu, KVM_EXIT_DIRTY_RING_FULL);
	}
	return KEEL_RESUME;
}

/* OUT to a listener in the kernel. */
static __always_inline bool fast_out(struct keel_vcpu *vcpu)
{
	const struct keel_iobus_set *set = keel_iobus_fast(&vcpu->vm->iobus, KEEL_BUS_PIO);
	const struct keel_exit *exit = &vcpu->arch.exit;
	unsigned int len = vcpu->arch.insn_len, size = exit->io.size;

	if (likely(!set) || exit->io.in || exit->io.string || !len || vcpu->arch.regs.rflags & X86_RFLAGS_TF ||
	    !keel_iobus_write_fast(set, exit->io.port, size, keel_out_value(vcpu, size)))
		return false;
	if (trace_kvm_pio_enabled()) {
		u32 value = keel_out_value(vcpu, size);

		trace_kvm_pio(true, exit->io.port, size, 1, &value);
	}
	keel_skip(vcpu, len);
	return true;
}

/* Finish the exit with IRQs off, if it is of the cheap kind: true when the guest may go on. */
static __always_inline bool exit_fast(struct keel_vcpu *vcpu, enum keel_exit_kind kind)
{
	if (kind == KEEL_EXIT_IO)
		return fast_out(vcpu);
	/* Faults are cheap where the log alone wants to see the write. */
	if (kind == KEEL_EXIT_FAULT && !READ_ONCE(vcpu->vm->slots.logging))
		return false;
	return KEEL_FAST_KINDS & BIT(kind) && keel_exit_fast(vcpu, kind);
}

/* Enter, and stay in the guest as long as exits are cheap. The answer is the exit left to handle. */
static enum keel_exit_kind guest_run(struct keel_vcpu *vcpu)
{
	struct keel_vcpu_arch *arch = &vcpu->arch;
	enum keel_exit_kind kind;

	if (unlikely(arch->debug_active))
		keel_debug_enter(vcpu);
	do {
		trace_kvm_entry(vcpu->id, arch->regs.rip, false);
		keel_host_guest_enter();
		static_call(keel_enter)(vcpu);
		keel_host_guest_exit();
		kind = static_call(keel_after_exit)(vcpu);
		keel_stat(vcpu, KEEL_STAT_EXIT + kind);
		if (trace_kvm_exit_enabled())
			keel_trace_exit(vcpu);
		if (unlikely(arch->inflight | arch->vectoring.kind)) {
			keel_events_settle(vcpu);
			break;
		}
		if (!exit_fast(vcpu, kind))
			break;
		kind = KEEL_EXIT_NONE;
	} while (!(READ_ONCE(vcpu->requests) | arch->stale) && !(arch->regs.dirty & ~KEEL_RG_GPR) &&
		 !xfer_to_guest_mode_work_pending());
	if (unlikely(arch->debug_active))
		keel_debug_leave(vcpu);
	return kind;
}

/*
 * One stay in the guest, after the exit @kind. The answer is the next exit's kind, or KEEL_EXIT_NONE
 * with *@next telling how to go on.
 */
static enum keel_exit_kind guest_visit(struct keel_vcpu *vcpu, enum keel_exit_kind kind, int *next)
{
	preempt_disable();
	if (unlikely(vcpu->arch.controls_stale)) {
		vcpu->arch.controls_stale = false;
		keel_vendor->controls_sync(vcpu);
	}
	/* The entry itself takes KEEL_RG_GPR. */
	if (unlikely(vcpu->arch.regs.dirty & ~KEEL_RG_GPR))
		static_call(keel_regs_commit)(vcpu);
	local_irq_disable();
	if (unlikely(keel_vcpu_arm(vcpu) || xfer_to_guest_mode_work_pending())) {
		keel_vcpu_disarm(vcpu);
		local_irq_enable();
		if (vcpu->arch.inflight) {
			keel_vendor->cancel(vcpu);
			vcpu->arch.inflight = false;
			if (vcpu->arch.pv.eoi_granted)
				keel_pv_eoi_settle(vcpu);
		}
		preempt_enable();
		*next = keel_host_entry_work() ? -EINTR : KEEL_RESUME;
		return KEEL_EXIT_NONE;
	}
	keel_fpu_enter(vcpu);
	if (kind == KEEL_EXIT_HOST_IRQ)
		keel_host_quiescent();
	kind = guest_run(vcpu);
	keel_fpu_leave(vcpu);
	keel_vcpu_disarm(vcpu);
	/* Of any other exit the CPU has told addresses that it translated: what follows is part of the instruction. */
	keel_pv_boundary(vcpu, kind == KEEL_EXIT_HOST_IRQ);
	local_irq_enable();
	preempt_enable();
	*next = KEEL_RESUME;
	return kind;
}

static int run_loop(struct keel_vcpu *vcpu)
{
	enum keel_exit_kind kind = KEEL_EXIT_NONE;
	bool window;
	int next;

	for (;;) {
		keel_pv_boundary(vcpu, true);
		next = keel_requests_serve(vcpu);
		if (next != KEEL_RESUME)
			return next;
		if (unlikely(vcpu->arch.mp_state != KVM_MP_STATE_RUNNABLE)) {
			next = keel_apic_wait(vcpu);
			if (next != KEEL_RESUME)
				return next;
		}
		/* Does user space wait for the moment to inject an interrupt? */
		window = READ_ONCE(vcpu->run->request_interrupt_window);
		if (unlikely(window) && keel_interrupt_ready(vcpu)) {
			keel_stat(vcpu, KEEL_STAT_REQUEST_IRQ);
			return keel_uexit_reason(vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
		}
		next = keel_events_prepare(vcpu, window);
		if (next != KEEL_RESUME)
			return next;
		kind = guest_visit(vcpu, kind, &next);
		if (kind != KEEL_EXIT_NONE)
			next = keel_exit_handle(vcpu, kind);
		if (next != KEEL_RESUME)
			return next;
	}
}

/* What kvm_run tells at every return. */
static void run_out(struct keel_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	run->if_flag = !!(vcpu->arch.regs.rflags & X86_RFLAGS_IF);
	run->ready_for_interrupt_injection = vcpu->vm->arch.chips || keel_interrupt_ready(vcpu);
	run->cr8 = vcpu->arch.regs.cr8;
	run->apic_base = vcpu->arch.apic_base;
	static_assert(KVM_RUN_X86_SMM == 1);
	run->flags = vcpu->arch.smm.active;
	if (unlikely(vcpu->arch.leaving)) {
		if (vcpu->arch.eoi_due)
			keel_pv_serve(vcpu);
		if (vcpu->arch.debug_active)
			keel_debug_release(vcpu);
	}
	if (unlikely(READ_ONCE(run->kvm_valid_regs)))
		keel_sync_out(vcpu);
}

static int run_in(struct keel_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u64 cr8 = READ_ONCE(run->cr8);
	int err;

	if (unlikely(READ_ONCE(run->kvm_valid_regs) | READ_ONCE(run->kvm_dirty_regs))) {
		err = keel_sync_in(vcpu);
		if (err)
			return err;
	}
	if (unlikely(cr8 != vcpu->arch.regs.cr8) && !vcpu->arch.apic) {
		keel_regs_need(vcpu, KEEL_RG_CR);
		if (regs_check_cr8(cr8) != REGS_OK)
			return -EINVAL;
		vcpu->arch.regs.cr8 = cr8;
		keel_regs_dirty(vcpu, KEEL_RG_CR);
	}
	return 0;
}

static int run_guest(struct keel_vcpu *vcpu)
{
	bool leave = READ_ONCE(vcpu->run->immediate_exit);
	bool pending = vcpu->arch.uexit.pending;
	int next = KEEL_RESUME;

	if (leave && !pending)
		return -EINTR;
	keel_fpu_load(vcpu);
	if (pending)
		next = keel_uexit_complete(vcpu);
	if (next == KEEL_RESUME)
		next = leave ? -EINTR : run_loop(vcpu);
	keel_pv_boundary(vcpu, false);
	/* immediate_exit leaves the last exit's reason for user space to see. */
	if (next == -EINTR && !leave) {
		keel_stat(vcpu, KEEL_STAT_SIGNAL);
		keel_uexit_reason(vcpu, KVM_EXIT_INTR);
	}
	keel_fpu_put(vcpu);
	return next;
}

long keel_arch_run(struct keel_vcpu *vcpu)
{
	int next;

	vcpu->arch.has_run = true;
	if (vcpu->sigset_active)
		sigprocmask(SIG_SETMASK, &vcpu->sigset, &vcpu->sigset_old);
	next = run_in(vcpu);
	if (!next)
		next = run_guest(vcpu);
	run_out(vcpu);
	trace_kvm_userspace_exit(vcpu->run->exit_reason, next);
	if (vcpu->sigset_active)
		sigprocmask(SIG_SETMASK, &vcpu->sigset_old, NULL);
	return next;
}
