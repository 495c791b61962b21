/* SPDX-License-Identifier: GPL-2.0-only */
/* For the assembly of both world switches. */
#ifndef ASM_KEEL_SWITCH_H
#define ASM_KEEL_SWITCH_H

/* Offsets in the register array, which is in ModRM order. */
#define GPR_RAX	(0 * 8)
#define GPR_RCX	(1 * 8)
#define GPR_RDX	(2 * 8)
#define GPR_RBX	(3 * 8)
#define GPR_RBP	(5 * 8)
#define GPR_RSI	(6 * 8)
#define GPR_RDI	(7 * 8)
#define GPR_R8	(8 * 8)
#define GPR_R9	(9 * 8)
#define GPR_R10	(10 * 8)
#define GPR_R11	(11 * 8)
#define GPR_R12	(12 * 8)
#define GPR_R13	(13 * 8)
#define GPR_R14	(14 * 8)
#define GPR_R15	(15 * 8)

#ifdef __ASSEMBLY__

#include <asm/alternative.h>
#include <asm/cpufeatures.h>
#include <asm/nospec-branch.h>

/* The guest's registers, but RAX and RSP, into the array at \base. */
.macro GPR_STORE base:req
	movq	%rcx, GPR_RCX(\base)
	movq	%rdx, GPR_RDX(\base)
	movq	%rbx, GPR_RBX(\base)
	movq	%rbp, GPR_RBP(\base)
	movq	%rsi, GPR_RSI(\base)
	movq	%rdi, GPR_RDI(\base)
	movq	%r8, GPR_R8(\base)
	movq	%r9, GPR_R9(\base)
	movq	%r10, GPR_R10(\base)
	movq	%r11, GPR_R11(\base)
	movq	%r12, GPR_R12(\base)
	movq	%r13, GPR_R13(\base)
	movq	%r14, GPR_R14(\base)
	movq	%r15, GPR_R15(\base)
.endm

/* No value of the guest's may be left for a speculative reader: all but RAX, RBX, RCX, RDX, RDI and RSP. */
.macro GPR_CLEAR
	xorl	%ebp, %ebp
	xorl	%esi, %esi
	xorl	%r8d, %r8d
	xorl	%r9d, %r9d
	xorl	%r10d, %r10d
	xorl	%r11d, %r11d
	xorl	%r12d, %r12d
	xorl	%r13d, %r13d
	xorl	%r14d, %r14d
	xorl	%r15d, %r15d
.endm

/* FILL_RETURN_BUFFER without the loop: half the instructions. LFENCE as there, for a skipped jump. */
.macro RSB_FILL_VMEXIT
	ALTERNATIVE_2 "jmp .Lrsb_done", "jmp .Lrsb_all", X86_FEATURE_RSB_VMEXIT, "jmp .Lrsb_one", X86_FEATURE_RSB_VMEXIT_LITE
.Lrsb_all:
	.rept RSB_CLEAR_LOOPS - 1
	__FILL_RETURN_SLOT
	.endr
	add	$(8 * (RSB_CLEAR_LOOPS - 1)), %rsp
.Lrsb_one:
	__FILL_RETURN_SLOT
	add	$8, %rsp
	lfence
.Lrsb_done:
.endm

#endif /* __ASSEMBLY__ */
#endif /* ASM_KEEL_SWITCH_H */
