/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VMCS fields, controls, exit reasons and capability MSRs of VT-x. Source: Intel SDM volume 3,
 * "Virtual Machine Control Structures", appendices "VMX Capability Reporting Facility", "Field
 * Encoding in VMCS" and "VMX Basic Exit Reasons"; volume 4 for the other MSRs.
 */
#ifndef VMX_VMCS_H
#define VMX_VMCS_H

/* --- fields: width in bits 14:13, so that one name serves all accessors ------------------------ */

/* 16-bit: control, guest state, host state. */
#define VMCS_VPID			0x0000
#define VMCS_GUEST_ES			0x0800	/* ES, CS, SS, DS, FS, GS, LDTR, TR: by twos */
#define VMCS_GUEST_INTR_STATUS		0x0810
#define VMCS_PML_INDEX			0x0812
#define VMCS_HOST_ES			0x0c00
#define VMCS_HOST_CS			0x0c02
#define VMCS_HOST_SS			0x0c04
#define VMCS_HOST_DS			0x0c06
#define VMCS_HOST_FS			0x0c08
#define VMCS_HOST_GS			0x0c0a
#define VMCS_HOST_TR			0x0c0c

/* 64-bit: control, read-only, guest state, host state. */
#define VMCS_MSR_BITMAP			0x2004
#define VMCS_PML_ADDRESS		0x200e
#define VMCS_TSC_OFFSET			0x2010
#define VMCS_VAPIC			0x2012
#define VMCS_EPTP			0x201a
#define VMCS_EOI_EXIT0			0x201c	/* four, by twos */
#define VMCS_ENCLS_BITMAP		0x202e
#define VMCS_TSC_MULTIPLIER		0x2032
#define VMCS_ENCLV_BITMAP		0x2036
#define VMCS_GUEST_PHYSICAL		0x2400
#define VMCS_LINK			0x2800
#define VMCS_GUEST_DEBUGCTL		0x2802
#define VMCS_GUEST_PAT			0x2804
#define VMCS_GUEST_EFER			0x2806
#define VMCS_GUEST_PDPTE0		0x280a	/* four, by twos */
#define VMCS_HOST_PAT			0x2c00
#define VMCS_HOST_EFER			0x2c02

/* 32-bit: control, read-only, guest state, host state. */
#define VMCS_PIN			0x4000
#define VMCS_PROC			0x4002
#define VMCS_EXCEPTIONS			0x4004
#define VMCS_PF_ERROR_MASK		0x4006
#define VMCS_PF_ERROR_MATCH		0x4008
#define VMCS_CR3_TARGETS		0x400a
#define VMCS_EXIT			0x400c
#define VMCS_EXIT_MSR_STORES		0x400e
#define VMCS_EXIT_MSR_LOADS		0x4010
#define VMCS_ENTRY			0x4012
#define VMCS_ENTRY_MSR_LOADS		0x4014
#define VMCS_ENTRY_EVENT		0x4016
#define VMCS_ENTRY_ERROR		0x4018
#define VMCS_ENTRY_INSN_LEN		0x401a
#define VMCS_TPR_THRESHOLD		0x401c
#define VMCS_PROC2			0x401e
#define VMCS_PLE_GAP			0x4020
#define VMCS_PLE_WINDOW			0x4022
#define VMCS_INSN_ERROR			0x4400
#define VMCS_EXIT_REASON		0x4402
#define VMCS_EXIT_EVENT			0x4404
#define VMCS_EXIT_ERROR			0x4406
#define VMCS_VECTORING			0x4408
#define VMCS_VECTORING_ERROR		0x440a
#define VMCS_INSN_LEN			0x440c
#define VMCS_GUEST_ES_LIMIT		0x4800	/* in the order of the selectors */
#define VMCS_GUEST_GDT_LIMIT		0x4810
#define VMCS_GUEST_IDT_LIMIT		0x4812
#define VMCS_GUEST_ES_RIGHTS		0x4814
#define VMCS_GUEST_BLOCKING		0x4824	/* "interruptibility state" */
#define VMCS_GUEST_ACTIVITY		0x4826
#define VMCS_GUEST_SYSENTER_CS		0x482a
#define VMCS_GUEST_TIMER		0x482e
#define VMCS_HOST_SYSENTER_CS		0x4c00

/* Natural width: control, read-only, guest state, host state. */
#define VMCS_CR0_MASK			0x6000
#define VMCS_CR4_MASK			0x6002
#define VMCS_CR0_SHADOW			0x6004
#define VMCS_CR4_SHADOW			0x6006
#define VMCS_QUALIFICATION		0x6400
#define VMCS_GUEST_CR0			0x6800
#define VMCS_GUEST_CR3			0x6802
#define VMCS_GUEST_CR4			0x6804
#define VMCS_GUEST_ES_BASE		0x6806
#define VMCS_GUEST_FS_BASE		0x680e
#define VMCS_GUEST_GS_BASE		0x6810
#define VMCS_GUEST_GDT_BASE		0x6816
#define VMCS_GUEST_IDT_BASE		0x6818
#define VMCS_GUEST_DR7			0x681a
#define VMCS_GUEST_RSP			0x681c
#define VMCS_GUEST_RIP			0x681e
#define VMCS_GUEST_RFLAGS		0x6820
#define VMCS_GUEST_PENDING_DB		0x6822
#define VMCS_GUEST_SYSENTER_ESP		0x6824
#define VMCS_GUEST_SYSENTER_EIP		0x6826
#define VMCS_HOST_CR0			0x6c00
#define VMCS_HOST_CR3			0x6c02
#define VMCS_HOST_CR4			0x6c04
#define VMCS_HOST_FS_BASE		0x6c06
#define VMCS_HOST_GS_BASE		0x6c08
#define VMCS_HOST_TR_BASE		0x6c0a
#define VMCS_HOST_GDT_BASE		0x6c0c
#define VMCS_HOST_IDT_BASE		0x6c0e
#define VMCS_HOST_SYSENTER_ESP		0x6c10
#define VMCS_HOST_SYSENTER_EIP		0x6c12
#define VMCS_HOST_RSP			0x6c14
#define VMCS_HOST_RIP			0x6c16

/* --- controls ---------------------------------------------------------------------------------- */

#ifndef __ASSEMBLY__

#include <linux/bits.h>
#include <linux/types.h>
#include <pure/types.h>

/* Pin-based. */
#define VMX_PIN_INTR		BIT(0)
#define VMX_PIN_NMI		BIT(3)
#define VMX_PIN_VIRTUAL_NMIS	BIT(5)
#define VMX_PIN_TIMER		BIT(6)

/* Primary processor-based. */
#define VMX_PROC_INTR_WINDOW	BIT(2)
#define VMX_PROC_TSC_OFFSET	BIT(3)
#define VMX_PROC_HLT		BIT(7)
#define VMX_PROC_INVLPG		BIT(9)
#define VMX_PROC_MWAIT		BIT(10)
#define VMX_PROC_RDPMC		BIT(11)
#define VMX_PROC_RDTSC		BIT(12)
#define VMX_PROC_CR3_LOAD	BIT(15)
#define VMX_PROC_CR3_STORE	BIT(16)
#define VMX_PROC_CR8_LOAD	BIT(19)
#define VMX_PROC_CR8_STORE	BIT(20)
#define VMX_PROC_TPR_SHADOW	BIT(21)
#define VMX_PROC_NMI_WINDOW	BIT(22)
#define VMX_PROC_MOV_DR		BIT(23)
#define VMX_PROC_IO		BIT(24)
#define VMX_PROC_MSR_BITMAP	BIT(28)
#define VMX_PROC_MONITOR	BIT(29)
#define VMX_PROC_PAUSE		BIT(30)
#define VMX_PROC_SECONDARY	BIT(31)

/* Secondary processor-based. */
#define VMX_PROC2_EPT		BIT(1)
#define VMX_PROC2_RDTSCP	BIT(3)
#define VMX_PROC2_X2APIC	BIT(4)
#define VMX_PROC2_VPID		BIT(5)
#define VMX_PROC2_WBINVD	BIT(6)
#define VMX_PROC2_UNRESTRICTED	BIT(7)
#define VMX_PROC2_APIC_REGS	BIT(8)
#define VMX_PROC2_VID		BIT(9)	/* virtual-interrupt delivery */
#define VMX_PROC2_PAUSE_LOOP	BIT(10)
#define VMX_PROC2_RDRAND	BIT(11)	/* makes it exit; so do RDSEED, ENCLS and ENCLV */
#define VMX_PROC2_INVPCID	BIT(12)
#define VMX_PROC2_ENCLS		BIT(15)
#define VMX_PROC2_RDSEED	BIT(16)
#define VMX_PROC2_PML		BIT(17)
#define VMX_PROC2_TSC_SCALING	BIT(25)
#define VMX_PROC2_ENCLV		BIT(28)

/* Exit. */
#define VMX_EXIT_SAVE_DEBUG	BIT(2)
#define VMX_EXIT_HOST_64BIT	BIT(9)
#define VMX_EXIT_SAVE_PAT	BIT(18)
#define VMX_EXIT_LOAD_PAT	BIT(19)
#define VMX_EXIT_LOAD_EFER	BIT(21)
#define VMX_EXIT_SAVE_TIMER	BIT(22)
#define VMX_EXIT_CONCEAL_PT	BIT(24)

/* Entry. */
#define VMX_ENTRY_LOAD_DEBUG	BIT(2)
#define VMX_ENTRY_64BIT		BIT(9)	/* the guest is in long mode */
#define VMX_ENTRY_LOAD_PAT	BIT(14)
#define VMX_ENTRY_LOAD_EFER	BIT(15)
#define VMX_ENTRY_CONCEAL_PT	BIT(17)

#define VMX_ACTIVITY_ACTIVE	0

/* EPTP */
#define VMX_EPTP_WB		6ULL
#define VMX_EPTP_LEVELS(n)	((u64)((n) - 1) << 3)
#define VMX_EPTP_AD		BIT64(6)

/* Operand types of INVEPT and INVVPID. */
#define VMX_INVEPT_ROOT		1
#define VMX_INVEPT_ALL		2
#define VMX_INVVPID_TAG		1
#define VMX_INVVPID_ALL		2

/* --- exit reasons ------------------------------------------------------------------------------ */

#define VMX_REASON_FAILED	BIT(31)		/* the entry failed, the guest has not run */

enum vmx_reason {
	VMX_REASON_EVENT		= 0,	/* exception or NMI */
	VMX_REASON_INTR			= 1,
	VMX_REASON_TRIPLE_FAULT		= 2,
	VMX_REASON_INIT			= 3,
	VMX_REASON_SIPI			= 4,
	VMX_REASON_IO_SMI		= 5,
	VMX_REASON_SMI			= 6,
	VMX_REASON_INTR_WINDOW		= 7,
	VMX_REASON_NMI_WINDOW		= 8,
	VMX_REASON_TASK_SWITCH		= 9,
	VMX_REASON_CPUID		= 10,
	VMX_REASON_GETSEC		= 11,
	VMX_REASON_HLT			= 12,
	VMX_REASON_INVD			= 13,
	VMX_REASON_INVLPG		= 14,
	VMX_REASON_RDPMC		= 15,
	VMX_REASON_RDTSC		= 16,
	VMX_REASON_RSM			= 17,
	VMX_REASON_VMCALL		= 18,
	VMX_REASON_VMCLEAR		= 19,
	VMX_REASON_VMLAUNCH		= 20,
	VMX_REASON_VMPTRLD		= 21,
	VMX_REASON_VMPTRST		= 22,
	VMX_REASON_VMREAD		= 23,
	VMX_REASON_VMRESUME		= 24,
	VMX_REASON_VMWRITE		= 25,
	VMX_REASON_VMXOFF		= 26,
	VMX_REASON_VMXON		= 27,
	VMX_REASON_CR			= 28,
	VMX_REASON_DR			= 29,
	VMX_REASON_IO			= 30,
	VMX_REASON_RDMSR		= 31,
	VMX_REASON_WRMSR		= 32,
	VMX_REASON_BAD_GUEST		= 33,
	VMX_REASON_BAD_MSR		= 34,
	VMX_REASON_MWAIT		= 36,
	VMX_REASON_MTF			= 37,
	VMX_REASON_MONITOR		= 39,
	VMX_REASON_PAUSE		= 40,
	VMX_REASON_ENTRY_MC		= 41,
	VMX_REASON_TPR			= 43,
	VMX_REASON_APIC_ACCESS		= 44,
	VMX_REASON_EOI			= 45,
	VMX_REASON_GDT_IDT		= 46,
	VMX_REASON_LDT_TR		= 47,
	VMX_REASON_EPT_VIOLATION	= 48,
	VMX_REASON_EPT_MISCONFIG	= 49,
	VMX_REASON_INVEPT		= 50,
	VMX_REASON_RDTSCP		= 51,
	VMX_REASON_TIMER		= 52,
	VMX_REASON_INVVPID		= 53,
	VMX_REASON_WBINVD		= 54,
	VMX_REASON_XSETBV		= 55,
	VMX_REASON_APIC_WRITE		= 56,
	VMX_REASON_RDRAND		= 57,
	VMX_REASON_INVPCID		= 58,
	VMX_REASON_VMFUNC		= 59,
	VMX_REASON_ENCLS		= 60,
	VMX_REASON_RDSEED		= 61,
	VMX_REASON_PML_FULL		= 62,
	VMX_REASON_XSAVES		= 63,
	VMX_REASON_XRSTORS		= 64,
	VMX_REASON_PCONFIG		= 65,
	VMX_REASON_SPP			= 66,
	VMX_REASON_UMWAIT		= 67,
	VMX_REASON_TPAUSE		= 68,
	VMX_REASON_LOADIWKEY		= 69,
	VMX_REASON_ENCLV		= 70,
	VMX_REASON_ENQCMD_PASID		= 72,
	VMX_REASON_ENQCMDS_PASID	= 73,
	VMX_REASON_BUS_LOCK		= 74,
	VMX_REASON_NOTIFY		= 75,
	VMX_REASON_SEAMCALL		= 76,
	VMX_REASON_TDCALL		= 77,
	VMX_REASON_NR			= 78,
};

/* --- capability and other MSRs ----------------------------------------------------------------- */

#define VMX_MSR_FEATURE_CONTROL	0x03a
#define VMX_MSR_SPEC_CTRL	0x048
#define VMX_MSR_PRED_CMD	0x049
#define VMX_MSR_FLUSH_CMD	0x10b
#define VMX_MSR_SYSENTER_CS	0x174
#define VMX_MSR_SYSENTER_ESP	0x175
#define VMX_MSR_SYSENTER_EIP	0x176
#define VMX_MSR_PAT		0x277
#define VMX_MSR_BASIC		0x480
#define VMX_MSR_PIN		0x481
#define VMX_MSR_PROC		0x482
#define VMX_MSR_EXIT		0x483
#define VMX_MSR_ENTRY		0x484
#define VMX_MSR_MISC		0x485
#define VMX_MSR_CR0_FIXED_1	0x486
#define VMX_MSR_CR4_FIXED_1	0x488
#define VMX_MSR_PROC2		0x48b
#define VMX_MSR_EPT_VPID	0x48c
#define VMX_MSR_TRUE_OFFSET	0x00c	/* from the MSRs of PIN to ENTRY to those of the "true" settings */
#define VMX_MSR_EFER		0xc0000080
#define VMX_MSR_STAR		0xc0000081
#define VMX_MSR_LSTAR		0xc0000082
#define VMX_MSR_FMASK		0xc0000084
#define VMX_MSR_FS_BASE		0xc0000100
#define VMX_MSR_GS_BASE		0xc0000101
#define VMX_MSR_KERNEL_GS_BASE	0xc0000102
#define VMX_MSR_TSC_AUX		0xc0000103

#define VMX_FEATURE_LOCKED	BIT64(0)
#define VMX_FEATURE_VMXON	BIT64(2)	/* outside SMX operation */

/* IA32_VMX_BASIC */
#define VMX_BASIC_REVISION	BITS64(30, 0)
#define VMX_BASIC_32BIT		BIT64(48)	/* the structures must lie below 4 GiB */
#define VMX_BASIC_MEMTYPE	BITS64(53, 50)
#define VMX_BASIC_MEMTYPE_WB	(6ULL << 50)
#define VMX_BASIC_TRUE		BIT64(55)
#define VMX_BASIC_ANY_ERROR	BIT64(56)	/* exceptions may be injected with and without an error code */

/* IA32_VMX_MISC */
#define VMX_MISC_TIMER_SHIFT	BITS64(4, 0)	/* TSC cycles in one step of the timer, as a power of two */

/* IA32_VMX_EPT_VPID_CAP */
#define VMX_CAP_EPT_LEVELS4	BIT64(6)
#define VMX_CAP_EPT_LEVELS5	BIT64(7)
#define VMX_CAP_EPT_WB		BIT64(14)
#define VMX_CAP_EPT_2M		BIT64(16)
#define VMX_CAP_EPT_1G		BIT64(17)
#define VMX_CAP_INVEPT		BIT64(20)
#define VMX_CAP_EPT_AD		BIT64(21)
#define VMX_CAP_INVEPT_ROOT	BIT64(25)
#define VMX_CAP_INVEPT_ALL	BIT64(26)
#define VMX_CAP_INVVPID		BIT64(32)
#define VMX_CAP_INVVPID_TAG	BIT64(41)
#define VMX_CAP_INVVPID_ALL	BIT64(42)

#define VMX_TSC_FRAC_BITS	48
#define VMX_TSC_RATIO_ONE	BIT64(48)

#endif /* __ASSEMBLY__ */
#endif /* VMX_VMCS_H */
