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
