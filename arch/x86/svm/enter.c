// SPDX-License-Identifier: GPL-2.0-only
/*
 * Entering the guest: what is left to do in C around the world switch.
 *
 * Owns the moment of entry; the registers that VMRUN takes from the save area pass through here in
 * both directions (harvested in exits.c). Everything that is rare hides behind svm_vcpu.pending.
 *
 * Context: IRQs off. APM volume 2: "VMRUN Instruction", "VMSAVE and VMLOAD Instructions".
 */
#include <linux/mm_types.h>
#include <linux/sched.h>
#include <asm/debugreg.h>
#include <asm/nospec-branch.h>
#include <svm/svm.h>

/*
 * A thread of this process may replace the LDT at any time; a saved LDTR is then stale, and loading it after
 * the exit would bring back a freed table. A process has an LDT from its first modify_ldt() to its end.
 */
#ifdef CONFIG_MODIFY_LDT_SYSCALL
static __always_inline bool host_has_ldt(void)
{
	return READ_ONCE(current->mm->context.ldt);
}
#else
static __always_inline bool host_has_ldt(void)
{
	return false;
}
#endif

/* Once after each load, and when a tag is due. */
static __always_inline void enter_prepare(struct svm_vcpu *svm)
{
	svm_vmsave(svm->run.host_pa);
	if (unlikely(svm->pending & SVM_PEND_ASID))
		svm_asid_new(svm);
	svm->pending = 0;
}

notrace void svm_enter(struct keel_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct keel_regs *regs = &vcpu->arch.regs;
	struct vmcb *vmcb = svm->vmcb;

	vmcb->save.rax = regs->gpr[KEEL_RAX];
	vmcb->save.rsp = regs->gpr[KEEL_RSP];
	vmcb->save.rip = regs->rip;
	vmcb->save.rflags = regs->rflags | svm->step_tf;
	vmcb->control.int_state = vcpu->arch.events.shadow ? SVM_INT_STATE_SHADOW : 0;

	if (svm->pending || unlikely(host_has_ldt()))
		enter_prepare(svm);
	if (unlikely(this_cpu_read(svm_cpu.tsc_aux) != svm->tsc_aux))
		svm_tsc_aux_load(svm->tsc_aux);

	svm_world_switch(&svm->run, regs->gpr);

	/* #VMEXIT leaves DR7 disarmed. While the guest's breakpoints are in the CPU, core/debug.c sees to it. */
	if (unlikely(hw_breakpoint_active()) && !vcpu->arch.debug_active)
		hw_breakpoint_restore();
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
}
