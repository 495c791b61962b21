/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The world switch. APM volume 2: "VMRUN Instruction", "#VMEXIT", "Global Interrupt Flag".
 *
 * GIF is clear from before the guest's state is in the CPU until the host's is back, so no
 * interrupt or NMI handler ever sees a guest's GS base. RFLAGS.IF is set meanwhile: with V_INTR_MASKING
 * it is the host's IF at VMRUN that lets host interrupts end the guest's run.
 *
 * Order on the way in: SPEC_CTRL last of the host's work in C terms, VERW last of all. On the way out:
 * registers a guest could have loaded for a speculative reader are cleared, then the return stack is
 * filled, SPEC_CTRL restored and the return predictor untrained before the first RET.
 */
#include <linux/linkage.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/keel_switch.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>
#include <svm/svm.h>

#define MSR_SPEC_CTRL	0x48

/* The host crashes or restarts and has switched AMD-V off: go on as if the instruction had run. */
.macro SVM_INSN insn:vararg
.Linsn_\@:
	\insn
.Lnext_\@:
	_ASM_EXTABLE(.Linsn_\@, .Lnext_\@)
.endm

	.section .noinstr.text, "ax"

/* void svm_world_switch(struct svm_run *run: rdi, u64 *gpr: rsi) */
SYM_FUNC_START(svm_world_switch)
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rdi			/* 8(%rsp) while the guest runs */
	push	%rsi			/* (%rsp) */

	SVM_INSN clgi
	sti

	/* Without V_SPEC_CTRL the guest's SPEC_CTRL is loaded by hand, when it differs. */
	ALTERNATIVE_2 "jmp .Lspec_in", "", X86_FEATURE_MSR_SPEC_CTRL, "jmp .Lspec_in", X86_FEATURE_V_SPEC_CTRL
	movl	SVM_RUN_SPEC_CTRL(%rdi), %eax
	cmpl	PER_CPU_VAR(x86_spec_ctrl_current), %eax
	je	.Lspec_in
	movl	$MSR_SPEC_CTRL, %ecx
	xorl	%edx, %edx
	wrmsr
.Lspec_in:

	movq	SVM_RUN_VMCB_PA(%rdi), %rax
	SVM_INSN vmload %rax

	movq	GPR_RCX(%rsi), %rcx
	movq	GPR_RDX(%rsi), %rdx
	movq	GPR_RBX(%rsi), %rbx
	movq	GPR_RBP(%rsi), %rbp
	movq	GPR_RDI(%rsi), %rdi
	movq	GPR_R8(%rsi), %r8
	movq	GPR_R9(%rsi), %r9
	movq	GPR_R10(%rsi), %r10
	movq	GPR_R11(%rsi), %r11
	movq	GPR_R12(%rsi), %r12
	movq	GPR_R13(%rsi), %r13
	movq	GPR_R14(%rsi), %r14
	movq	GPR_R15(%rsi), %r15
	movq	GPR_RSI(%rsi), %rsi

	VM_CLEAR_CPU_BUFFERS
	SVM_INSN vmrun %rax

	/* RAX and RSP are the host's again, everything else is the guest's. */
	SVM_INSN vmsave %rax
	movq	(%rsp), %rax
	GPR_STORE %rax

	/* RBX, RBP, R12 to R15 are popped below; a speculative reader must not find the guest's until then. */
	xorl	%ecx, %ecx
	xorl	%edx, %edx
	xorl	%ebx, %ebx
	GPR_CLEAR
	movq	8(%rsp), %rdi

	RSB_FILL_VMEXIT

	movq	SVM_RUN_HOST_PA(%rdi), %rax
	SVM_INSN vmload %rax

	/*
	 * The host's SPEC_CTRL, when what the guest had or left there differs. LFENCE on both ways: a
	 * mispredicted skip must not reach a RET.
	 */
	ALTERNATIVE_2 "jmp .Lspec_out", "", X86_FEATURE_MSR_SPEC_CTRL, "jmp .Lspec_out", X86_FEATURE_V_SPEC_CTRL
	movl	$MSR_SPEC_CTRL, %ecx
	movl	SVM_RUN_SPEC_CTRL(%rdi), %eax
	cmpl	$0, SVM_RUN_SPEC_OPEN(%rdi)
	je	.Lspec_known
	rdmsr
	movl	%eax, SVM_RUN_SPEC_CTRL(%rdi)
.Lspec_known:
	movl	PER_CPU_VAR(x86_spec_ctrl_current), %edx
	cmpl	%edx, %eax
	je	.Lspec_same
	movl	%edx, %eax
	xorl	%edx, %edx
	wrmsr
.Lspec_same:
	lfence
.Lspec_out:

	UNTRAIN_RET
#if defined(CONFIG_CPU_IBPB_ENTRY) || defined(CONFIG_CPU_SRSO)
	ALTERNATIVE "", "call entry_ibpb", X86_FEATURE_IBPB_ON_VMEXIT
#endif
	CLEAR_BRANCH_HISTORY_VMEXIT

	cli
	SVM_INSN stgi

	add	$16, %rsp
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET
SYM_FUNC_END(svm_world_switch)
