/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The world switch. SDM volume 3: "VM Entries", "Loading Host State".
 *
 * IRQs are off throughout; interrupts and NMIs of the host end the guest's run. An NMI between the
 * loading of the guest's general registers and the entry finds nothing of the guest's that it
 * relies on.
 *
 * Order on the way in: SPEC_CTRL last of the host's work in C terms, VERW last of all memory
 * accesses. VERW changes ZF, so CF tells VMLAUNCH from VMRESUME. On the way out: registers a guest
 * could have loaded for a speculative reader are cleared, then the return stack is filled and
 * SPEC_CTRL restored before the first RET.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/keel_switch.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>
#include <asm/segment.h>
#include <vmx/vmcs.h>
#include <vmx/vmx.h>

#define MSR_SPEC_CTRL	0x48

	.section .noinstr.text, "ax"

/* u8 vmx_world_switch(struct vmx_run *run: rdi, u64 *gpr: rsi) */
SYM_FUNC_START(vmx_world_switch)
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rdi			/* 8(%rsp) while the guest runs */
	push	%rsi			/* (%rsp) */

	/* The stack rarely stands elsewhere than at the last entry. */
	cmpq	%rsp, VMX_RUN_HOST_RSP(%rdi)
	je	.Lrsp_known
	movq	%rsp, VMX_RUN_HOST_RSP(%rdi)
	movl	$VMCS_HOST_RSP, %eax
.Lwrite_rsp:
	vmwrite	%rsp, %rax
.Lrsp_known:

	/* The guest's SPEC_CTRL, when it differs. */
	ALTERNATIVE "jmp .Lspec_in", "", X86_FEATURE_MSR_SPEC_CTRL
	movl	VMX_RUN_SPEC_CTRL(%rdi), %eax
	cmpl	PER_CPU_VAR(x86_spec_ctrl_current), %eax
	je	.Lspec_in
	movl	$MSR_SPEC_CTRL, %ecx
	xorl	%edx, %edx
	wrmsr
.Lspec_in:

	btl	$0, VMX_RUN_LAUNCHED(%rdi)

	movq	GPR_RAX(%rsi), %rax
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
	jnc	.Llaunch
.Lresume:
	vmresume
	jmp	.Lrefused
.Llaunch:
	vmlaunch
	/* To have come here it failed. */
	jbe	.Lrefused

/* Here the CPU comes out of the guest, with the stack as it was and the guest's general registers. */
SYM_INNER_LABEL(vmx_exit_here, SYM_L_GLOBAL)
	ANNOTATE_NOENDBR
	push	%rax
	movq	8(%rsp), %rax
	popq	GPR_RAX(%rax)
	GPR_STORE %rax
	xorl	%ebx, %ebx

	/* RBX holds the answer; the others are cleared, also those that are popped below. */
.Lcommon:
	xorl	%ecx, %ecx
	xorl	%edx, %edx
	GPR_CLEAR
	movq	8(%rsp), %rdi

	RSB_FILL_VMEXIT

	/*
	 * The host's SPEC_CTRL, when what the guest had or left there differs; with IBRS of the
	 * older kind the write itself is the barrier. LFENCE on both ways: a mispredicted skip must
	 * not reach a RET.
	 */
	ALTERNATIVE "jmp .Lspec_out", "", X86_FEATURE_MSR_SPEC_CTRL
	movl	$MSR_SPEC_CTRL, %ecx
	movl	VMX_RUN_SPEC_CTRL(%rdi), %eax
	cmpl	$0, VMX_RUN_SPEC_OPEN(%rdi)
	je	.Lspec_known
	rdmsr
	movl	%eax, VMX_RUN_SPEC_CTRL(%rdi)
.Lspec_known:
	movl	PER_CPU_VAR(x86_spec_ctrl_current), %edx
	ALTERNATIVE "", "jmp .Lspec_write", X86_FEATURE_KERNEL_IBRS
	cmpl	%edx, %eax
	je	.Lspec_same
.Lspec_write:
	movl	%edx, %eax
	xorl	%edx, %edx
	wrmsr
.Lspec_same:
	lfence
.Lspec_out:

	CLEAR_BRANCH_HISTORY_VMEXIT

	movl	%ebx, %eax
	pop	%rsi
	pop	%rdi
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET

.Lrefused:
	movl	$VMX_REFUSED, %ebx
	xorl	%eax, %eax
	jmp	.Lcommon
.Lfaulted:
	movl	$VMX_FAULTED, %ebx
	xorl	%eax, %eax
	jmp	.Lcommon

	_ASM_EXTABLE(.Lwrite_rsp, .Lrsp_known)
	_ASM_EXTABLE(.Lresume, .Lfaulted)
	_ASM_EXTABLE(.Llaunch, .Lfaulted)
SYM_FUNC_END(vmx_world_switch)

/*
 * void vmx_host_nmi(void): NMIs are blocked since the exit; the handler's IRET unblocks them. It
 * returns to where a CPU would have put it: behind the call, with the stack of before.
 */
SYM_FUNC_START(vmx_host_nmi)
	push	%rbp
	movq	%rsp, %rbp
	andq	$-16, %rsp
	push	$__KERNEL_DS
	push	%rbp
	pushf
	push	$__KERNEL_CS
	call	asm_exc_nmi_noist
	movq	%rbp, %rsp
	pop	%rbp
	RET
SYM_FUNC_END(vmx_host_nmi)
