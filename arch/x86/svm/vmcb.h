/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The virtual machine control block, its exit codes, the permission maps and the model-specific
 * registers of AMD-V. Source: AMD64 APM volume 2, "Secure Virtual Machine", appendices "Layout of VMCB"
 * and "SVM Intercept Exit Codes"; "Extended Features" and "Speculation Control" for the other MSRs.
 */
#ifndef SVM_VMCB_H
#define SVM_VMCB_H

#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <linux/types.h>
#include <pure/types.h>

/* --- control area ---------------------------------------------------------------------------- */

/* intercept3, at 00Ch. */
#define SVM_ICPT_INTR		BIT(0)
#define SVM_ICPT_NMI		BIT(1)
#define SVM_ICPT_SMI		BIT(2)
#define SVM_ICPT_INIT		BIT(3)
#define SVM_ICPT_VINTR		BIT(4)
#define SVM_ICPT_CR0_SEL	BIT(5)	/* CR0 writes that change more than TS and MP */
#define SVM_ICPT_RDTSC		BIT(14)
#define SVM_ICPT_RDPMC		BIT(15)
#define SVM_ICPT_CPUID		BIT(18)
#define SVM_ICPT_RSM		BIT(19)
#define SVM_ICPT_IRET		BIT(20)
#define SVM_ICPT_SWINT		BIT(21)
#define SVM_ICPT_INVD		BIT(22)
#define SVM_ICPT_PAUSE		BIT(23)
#define SVM_ICPT_HLT		BIT(24)
#define SVM_ICPT_INVLPGA	BIT(26)
#define SVM_ICPT_IOIO		BIT(27)
#define SVM_ICPT_MSR		BIT(28)
#define SVM_ICPT_TASK_SWITCH	BIT(29)
#define SVM_ICPT_SHUTDOWN	BIT(31)

/* intercept4, at 010h. */
#define SVM_ICPT_VMRUN		BIT(0)	/* must be set */
#define SVM_ICPT_VMMCALL	BIT(1)
#define SVM_ICPT_VMLOAD		BIT(2)
#define SVM_ICPT_VMSAVE		BIT(3)
#define SVM_ICPT_STGI		BIT(4)
#define SVM_ICPT_CLGI		BIT(5)
#define SVM_ICPT_SKINIT		BIT(6)
#define SVM_ICPT_RDTSCP		BIT(7)
#define SVM_ICPT_ICEBP		BIT(8)
#define SVM_ICPT_WBINVD		BIT(9)
#define SVM_ICPT_MONITOR	BIT(10)
#define SVM_ICPT_MWAIT		BIT(11)
#define SVM_ICPT_XSETBV		BIT(13)
#define SVM_ICPT_RDPRU		BIT(14)

/* intercept5, at 014h. */
#define SVM_ICPT_INVLPGB_ILLEGAL BIT(1)
#define SVM_ICPT_INVPCID	BIT(2)
#define SVM_ICPT_MCOMMIT	BIT(3)
#define SVM_ICPT_TLBSYNC	BIT(4)

/* tlb_control */
#define SVM_TLB_KEEP		0
#define SVM_TLB_FLUSH_ALL	1	/* every ASID of this CPU */
#define SVM_TLB_FLUSH_ASID	3	/* with the FlushByAsid feature */

/* int_ctl */
#define SVM_INT_TPR		0xfULL		/* the API's CR8 */
#define SVM_INT_V_IRQ		BIT64(8)
#define SVM_INT_PRIO_MAX	(0xfULL << 16)
#define SVM_INT_IGN_TPR		BIT64(20)
#define SVM_INT_MASKING		BIT64(24)	/* host IF masks host interrupts, guest IF the guest's */

/* int_state */
#define SVM_INT_STATE_SHADOW	BIT64(0)

/* np_control */
#define SVM_NP_ENABLE		BIT64(0)

/* eventinj and exitintinfo */
#define SVM_EVENT_VECTOR	0xffULL
#define SVM_EVENT_TYPE_SHIFT	8
#define SVM_EVENT_TYPE		(7ULL << SVM_EVENT_TYPE_SHIFT)
#define SVM_EVENT_HAS_ERROR	BIT64(11)
#define SVM_EVENT_VALID		BIT64(31)
#define SVM_EVENT_ERROR_SHIFT	32

enum svm_event_type {
	SVM_EVENT_INTR = 0,
	SVM_EVENT_NMI = 2,
	SVM_EVENT_EXCEPTION = 3,
	SVM_EVENT_SOFT_INT = 4,
};

/* clean: this group was not changed since the last exit. */
#define SVM_CLEAN_INTERCEPTS	BIT(0)	/* intercepts, TSC offset, pause filter */
#define SVM_CLEAN_MAPS		BIT(1)	/* bases of IOPM and MSRPM */
#define SVM_CLEAN_ASID		BIT(2)
#define SVM_CLEAN_TPR		BIT(3)	/* int_ctl */
#define SVM_CLEAN_NP		BIT(4)	/* nested root, PAT */
#define SVM_CLEAN_CR		BIT(5)	/* CR0, CR3, CR4, EFER */
#define SVM_CLEAN_DR		BIT(6)
#define SVM_CLEAN_DT		BIT(7)	/* GDTR, IDTR */
#define SVM_CLEAN_SEG		BIT(8)	/* CS, DS, SS, ES, CPL */
#define SVM_CLEAN_CR2		BIT(9)
#define SVM_CLEAN_LBR		BIT(10)	/* DEBUGCTL and the branch records */
#define SVM_CLEAN_ALL		BITS64(10, 0)

struct vmcb_control {
	u16 cr_read;			/* 000: bit n: CRn */
	u16 cr_write;
	u16 dr_read;			/* 004 */
	u16 dr_write;
	u32 exceptions;			/* 008: bit n: vector n */
	u32 intercept3;			/* 00C */
	u32 intercept4;			/* 010 */
	u32 intercept5;			/* 014 */
	u8 reserved_018[0x3c - 0x18];
	u16 pause_threshold;		/* 03C: cycles within which PAUSEs count as one loop */
	u16 pause_count;		/* 03E */
	u64 iopm_pa;			/* 040 */
	u64 msrpm_pa;			/* 048 */
	u64 tsc_offset;			/* 050 */
	u32 asid;			/* 058 */
	u8 tlb_control;			/* 05C */
	u8 reserved_05d[3];
	u64 int_ctl;			/* 060 */
	u64 int_state;			/* 068 */
	u64 exit_code;			/* 070 */
	u64 exit_info1;			/* 078 */
	u64 exit_info2;			/* 080 */
	u64 exit_int_info;		/* 088 */
	u64 np_control;			/* 090 */
	u64 avic_bar;			/* 098 */
	u64 ghcb_pa;			/* 0A0 */
	u64 event_inj;			/* 0A8 */
	u64 nested_cr3;			/* 0B0 */
	u64 virt_ext;			/* 0B8 */
	u32 clean;			/* 0C0 */
	u32 reserved_0c4;
	u64 next_rip;			/* 0C8 */
	u8 nr_bytes;			/* 0D0: low four bits */
	u8 bytes[15];			/* 0D1 */
	u8 reserved_0e0[0x400 - 0xe0];
} __packed __aligned(8);

static_assert(offsetof(struct vmcb_control, pause_threshold) == 0x3c);
static_assert(offsetof(struct vmcb_control, asid) == 0x58);
static_assert(offsetof(struct vmcb_control, exit_code) == 0x70);
static_assert(offsetof(struct vmcb_control, event_inj) == 0xa8);
static_assert(offsetof(struct vmcb_control, next_rip) == 0xc8);
static_assert(offsetof(struct vmcb_control, bytes) == 0xd1);
static_assert(sizeof(struct vmcb_control) == 0x400);

/* --- state save area ------------------------------------------------------------------------- */

/* attr: bytes 5 and 6 of the descriptor without the limit's part, 12 bits. */
struct vmcb_seg {
	u16 selector;
	u16 attr;
	u32 limit;
	u64 base;
} __packed __aligned(8);

struct vmcb_save {
	struct vmcb_seg es, cs, ss, ds;	/* 000 */
	struct vmcb_seg fs, gs;		/* 040: by VMLOAD and VMSAVE, with LDTR, TR, STAR ... SYSENTER_EIP */
	struct vmcb_seg gdtr;		/* 060 */
	struct vmcb_seg ldtr;		/* 070 */
	struct vmcb_seg idtr;		/* 080 */
	struct vmcb_seg tr;		/* 090 */
	u8 reserved_0a0[0xcb - 0xa0];
	u8 cpl;				/* 0CB */
	u32 reserved_0cc;
	u64 efer;			/* 0D0 */
	u8 reserved_0d8[0x148 - 0xd8];
	u64 cr4;			/* 148 */
	u64 cr3;
	u64 cr0;			/* 158 */
	u64 dr7;
	u64 dr6;			/* 168 */
	u64 rflags;
	u64 rip;			/* 178 */
	u8 reserved_180[0x1d8 - 0x180];
	u64 rsp;			/* 1D8 */
	u64 s_cet;
	u64 ssp;			/* 1E8 */
	u64 isst_addr;
	u64 rax;			/* 1F8 */
	u64 star;
	u64 lstar;			/* 208 */
	u64 cstar;
	u64 sfmask;			/* 218 */
	u64 kernel_gs_base;
	u64 sysenter_cs;		/* 228 */
	u64 sysenter_esp;
	u64 sysenter_eip;		/* 238 */
	u64 cr2;
	u8 reserved_248[0x268 - 0x248];
	u64 pat;			/* 268 */
	u64 debugctl;
	u64 br_from;			/* 278 */
	u64 br_to;
	u64 ex_from;			/* 288 */
	u64 ex_to;
	u8 reserved_298[0x2e0 - 0x298];
	u64 spec_ctrl;			/* 2E0: with the V_SPEC_CTRL feature */
	u8 reserved_2e8[0xc00 - 0x2e8];
} __packed __aligned(8);

static_assert(sizeof(struct vmcb_seg) == 16);
static_assert(offsetof(struct vmcb_save, cpl) == 0xcb);
static_assert(offsetof(struct vmcb_save, cr4) == 0x148);
static_assert(offsetof(struct vmcb_save, rip) == 0x178);
static_assert(offsetof(struct vmcb_save, rsp) == 0x1d8);
static_assert(offsetof(struct vmcb_save, rax) == 0x1f8);
static_assert(offsetof(struct vmcb_save, cr2) == 0x240);
static_assert(offsetof(struct vmcb_save, pat) == 0x268);
static_assert(offsetof(struct vmcb_save, spec_ctrl) == 0x2e0);
static_assert(sizeof(struct vmcb_save) == 0xc00);

struct vmcb {
	struct vmcb_control control;
	struct vmcb_save save;
};

static_assert(sizeof(struct vmcb) == 4096);

/* --- exit codes ------------------------------------------------------------------------------- */

enum svm_exit_code {
	SVM_EXIT_CR_READ	= 0x000,	/* + register, 16 */
	SVM_EXIT_CR_WRITE	= 0x010,
	SVM_EXIT_DR_READ	= 0x020,
	SVM_EXIT_DR_WRITE	= 0x030,
	SVM_EXIT_EXCEPTION	= 0x040,	/* + vector, 32 */
	SVM_EXIT_INTR		= 0x060,
	SVM_EXIT_NMI		= 0x061,
	SVM_EXIT_SMI		= 0x062,
	SVM_EXIT_INIT		= 0x063,
	SVM_EXIT_VINTR		= 0x064,
	SVM_EXIT_CR0_SEL_WRITE	= 0x065,
	SVM_EXIT_IDTR_READ	= 0x066,
	SVM_EXIT_GDTR_READ	= 0x067,
	SVM_EXIT_LDTR_READ	= 0x068,
	SVM_EXIT_TR_READ	= 0x069,
	SVM_EXIT_IDTR_WRITE	= 0x06a,
	SVM_EXIT_GDTR_WRITE	= 0x06b,
	SVM_EXIT_LDTR_WRITE	= 0x06c,
	SVM_EXIT_TR_WRITE	= 0x06d,
	SVM_EXIT_RDTSC		= 0x06e,
	SVM_EXIT_RDPMC		= 0x06f,
	SVM_EXIT_PUSHF		= 0x070,
	SVM_EXIT_POPF		= 0x071,
	SVM_EXIT_CPUID		= 0x072,
	SVM_EXIT_RSM		= 0x073,
	SVM_EXIT_IRET		= 0x074,
	SVM_EXIT_SWINT		= 0x075,
	SVM_EXIT_INVD		= 0x076,
	SVM_EXIT_PAUSE		= 0x077,
	SVM_EXIT_HLT		= 0x078,
	SVM_EXIT_INVLPG		= 0x079,
	SVM_EXIT_INVLPGA	= 0x07a,
	SVM_EXIT_IOIO		= 0x07b,
	SVM_EXIT_MSR		= 0x07c,
	SVM_EXIT_TASK_SWITCH	= 0x07d,
	SVM_EXIT_FERR_FREEZE	= 0x07e,
	SVM_EXIT_SHUTDOWN	= 0x07f,
	SVM_EXIT_VMRUN		= 0x080,
	SVM_EXIT_VMMCALL	= 0x081,
	SVM_EXIT_VMLOAD		= 0x082,
	SVM_EXIT_VMSAVE		= 0x083,
	SVM_EXIT_STGI		= 0x084,
	SVM_EXIT_CLGI		= 0x085,
	SVM_EXIT_SKINIT		= 0x086,
	SVM_EXIT_RDTSCP		= 0x087,
	SVM_EXIT_ICEBP		= 0x088,
	SVM_EXIT_WBINVD		= 0x089,
	SVM_EXIT_MONITOR	= 0x08a,
	SVM_EXIT_MWAIT		= 0x08b,
	SVM_EXIT_MWAIT_ARMED	= 0x08c,
	SVM_EXIT_XSETBV		= 0x08d,
	SVM_EXIT_RDPRU		= 0x08e,
	SVM_EXIT_EFER_WRITE_TRAP = 0x08f,
	SVM_EXIT_CR_WRITE_TRAP	= 0x090,	/* + register, 16 */
	SVM_EXIT_INVLPGB	= 0x0a0,
	SVM_EXIT_INVLPGB_ILLEGAL = 0x0a1,
	SVM_EXIT_INVPCID	= 0x0a2,
	SVM_EXIT_MCOMMIT	= 0x0a3,
	SVM_EXIT_TLBSYNC	= 0x0a4,
	SVM_EXIT_BUSLOCK	= 0x0a5,
	SVM_EXIT_IDLE_HLT	= 0x0a6,
	SVM_EXIT_LOW_NR		= 0x0a7,	/* codes below form the dense part */
	SVM_EXIT_NPF		= 0x400,
	SVM_EXIT_AVIC_IPI	= 0x401,
	SVM_EXIT_AVIC_NOACCEL	= 0x402,
	SVM_EXIT_VMGEXIT	= 0x403,
};

#define SVM_EXIT_INVALID	(~0ULL)		/* VMRUN refused the guest state */
#define SVM_EXIT_BUSY		(~1ULL)

/* --- permission maps, CPUID, MSRs ------------------------------------------------------------ */

#define SVM_IOPM_ORDER		2		/* 12 KiB and the byte after, in a power of two */
#define SVM_IOPM_SIZE		(3 * 4096)
#define SVM_MSRPM_ORDER		1		/* 8 KiB */
#define SVM_MSRPM_SIZE		(2 * 4096)

/* CPUID function 8000_000Ah, EDX. */
#define SVM_FEAT_LEAF		0x8000000a
#define SVM_FEAT_NPT		BIT(0)
#define SVM_FEAT_LBR_VIRT	BIT(1)
#define SVM_FEAT_LOCK		BIT(2)
#define SVM_FEAT_NRIPS		BIT(3)
#define SVM_FEAT_TSC_RATE	BIT(4)
#define SVM_FEAT_CLEAN		BIT(5)
#define SVM_FEAT_FLUSHBYASID	BIT(6)
#define SVM_FEAT_DECODE		BIT(7)
#define SVM_FEAT_PAUSE_FILTER	BIT(10)
#define SVM_FEAT_PAUSE_THRESHOLD BIT(12)
#define SVM_FEAT_SPEC_CTRL	BIT(20)

#define SVM_MSR_SYSENTER_CS	0x00000174
#define SVM_MSR_SYSENTER_ESP	0x00000175
#define SVM_MSR_SYSENTER_EIP	0x00000176
#define SVM_MSR_SPEC_CTRL	0x00000048
#define SVM_MSR_PRED_CMD	0x00000049
#define SVM_MSR_PAT		0x00000277
#define SVM_MSR_DEBUGCTL	0x000001d9
#define SVM_MSR_BR_FROM		0x000001db
#define SVM_MSR_BR_TO		0x000001dc
#define SVM_MSR_EX_FROM		0x000001dd
#define SVM_MSR_EX_TO		0x000001de
#define SVM_MSR_EFER		0xc0000080
#define SVM_MSR_STAR		0xc0000081
#define SVM_MSR_LSTAR		0xc0000082
#define SVM_MSR_CSTAR		0xc0000083
#define SVM_MSR_SFMASK		0xc0000084
#define SVM_MSR_FS_BASE		0xc0000100
#define SVM_MSR_GS_BASE		0xc0000101
#define SVM_MSR_KERNEL_GS_BASE	0xc0000102
#define SVM_MSR_TSC_AUX		0xc0000103
#define SVM_MSR_TSC_RATIO	0xc0000104
#define SVM_MSR_VM_CR		0xc0010114
#define SVM_MSR_VM_HSAVE_PA	0xc0010117

#define SVM_VM_CR_SVMDIS	BIT64(4)
#define SVM_EFER_SVME		BIT64(12)

/* TSC_RATIO: 8.32 fixed point. */
#define SVM_TSC_FRAC_BITS	32
#define SVM_TSC_RATIO_ONE	BIT64(32)
#define SVM_TSC_RATIO_MAX	BITS64(39, 0)

#endif /* SVM_VMCB_H */
