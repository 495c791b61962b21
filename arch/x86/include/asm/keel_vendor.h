/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one table through which the common code drives VT-x or AMD-V, chosen once at load. Ops on the
 * entry path are called by static_call. Contexts: G module init, S may sleep, P preemption off and
 * vCPU loaded, I interrupts off, A any.
 */
#ifndef ASM_KEEL_VENDOR_H
#define ASM_KEEL_VENDOR_H

#include <asm/keel_arch.h>
#include <asm/keel_options.h>
#include <keel/exit.h>
#include <linux/static_call.h>

struct keel_vm;
struct keel_vcpu;
struct radix_fmt;

/* What to forget: flush()'s scope. */
enum keel_flush {
	KEEL_FLUSH_GUEST,	/* this vCPU's guest-virtual translations */
	KEEL_FLUSH_NESTED,	/* all translations made through the VM's nested table */
};

/* What the CPU told about an exit, in its own numbers; for traces. */
struct keel_exit_info {
	u32 isa;		/* KEEL_ISA_* */
	u32 reason;
	u64 info1, info2;	/* VT-x: qualification, event whose delivery was cut; AMD-V: EXITINFO1 and 2 */
	u32 event;		/* VT-x: exit interruption information; AMD-V: EXITINTINFO */
	u32 error_code;		/* of it */
};

enum { KEEL_ISA_VMX = 1, KEEL_ISA_SVM = 2 };

struct keel_vendor_ops {
	const char *name;			/* "AMD-V", "VT-x" */

	/* Is the hardware there and usable? 0; -ENODEV: another vendor's CPU; -EOPNOTSUPP: unusable, one log line said why. [G] */
	int (*probe)(void);
	/* Allocate what all VMs share, fill keel_host_caps. [G] */
	int (*hw_setup)(void);
	void (*hw_teardown)(void);

	/* Switch this CPU's virtualization on: 0, -EBUSY when somebody else has it. [I] */
	int (*cpu_on)(void);
	void (*cpu_off)(void);

	/* Allocate the vCPU's hardware state: 0, -ENOMEM. Free accepts a half-made one. [S] */
	int (*vcpu_new)(struct keel_vcpu *vcpu);
	void (*vcpu_free)(struct keel_vcpu *vcpu);
	/* Put the hardware-only state (not the register groups) as after power-on. [S] */
	void (*vcpu_reset)(struct keel_vcpu *vcpu);

	void (*vcpu_load)(struct keel_vcpu *vcpu, int cpu);	/* [P] */
	void (*vcpu_put)(struct keel_vcpu *vcpu);		/* [P], may be NULL */

	/* Run the guest until it exits; host state is whole again on return. [I] */
	void (*enter)(struct keel_vcpu *vcpu);
	/*
	 * Harvest the eager register group, the exit reason and arch.insn_len; classify. An event whose
	 * delivery the exit interrupted is put back into arch.events here. [I]
	 */
	enum keel_exit_kind (*after_exit)(struct keel_vcpu *vcpu);
	/* Fill the whole exit record for the kind after_exit() gave. [P, IRQs on] */
	void (*decode)(struct keel_vcpu *vcpu, struct keel_exit *exit);

	/* Fetch register groups KEEL_RG_* into arch.regs. [P] */
	void (*regs_load)(struct keel_vcpu *vcpu, u32 groups);
	/* Write arch.regs.dirty groups to the hardware state and clear the mask. [P] */
	void (*regs_commit)(struct keel_vcpu *vcpu);

	/* Recompute all intercepts and permission maps from VM and vCPU state: the only writer of them. [P] */
	void (*controls_sync)(struct keel_vcpu *vcpu);

	/* Arrange delivery of @ev at the next entry. [P or I] */
	void (*inject)(struct keel_vcpu *vcpu, const struct event_decision *ev);
	/* Take back what inject() arranged: the entry did not happen. [P or I] */
	void (*cancel)(struct keel_vcpu *vcpu);
	/* Ask for an exit when the guest can take an interrupt and/or an NMI: KEEL_WINDOW_*; 0 asks for none. [P or I] */
	void (*window)(struct keel_vcpu *vcpu, u32 windows);

	/* MSRs of class MSR_IN_VENDOR: 0, or -ENOENT when the vendor has no such. [P] */
	int (*msr_get)(struct keel_vcpu *vcpu, u32 index, u64 *value);
	int (*msr_set)(struct keel_vcpu *vcpu, u32 index, u64 value);

	/*
	 * The local APIC in the CPU, where arch.apic->hw (KEEL_OPT_APIC); else never called. Give it the APIC
	 * before an entry: @all its registers, or TPR and the interrupts only; arch.apic->eoi_exits says whose end
	 * is to exit. Take back into arch.apic->l what it may have changed. [P]
	 */
	void (*apic_give)(struct keel_vcpu *vcpu, bool all);
	void (*apic_take)(struct keel_vcpu *vcpu);

	void (*set_root)(struct keel_vcpu *vcpu, u64 root_pa);		/* [P] */
	void (*flush)(struct keel_vcpu *vcpu, enum keel_flush scope);	/* [P] */
	void (*tsc_set)(struct keel_vcpu *vcpu, u64 offset, u64 ratio);	/* [P] */

	/* The last exit, which after_exit() has taken in. A trace wants raw words, which decode() does not keep. [I] */
	void (*exit_info)(struct keel_vcpu *vcpu, struct keel_exit_info *info);

	/* Log the control block of a vCPU whose entry failed, the caller limits the rate. [P] */
	void (*dump)(struct keel_vcpu *vcpu);
};

extern const struct keel_vendor_ops svm_ops, vmx_ops;

/* The chosen table; constant after module init. Cold ops are called through it. */
extern const struct keel_vendor_ops *keel_vendor;

/* window()'s wishes. */
#define KEEL_WINDOW_IRQ	BIT(0)
#define KEEL_WINDOW_NMI	BIT(1)

/* What the hardware offers, filled by hw_setup(), constant afterwards. */
struct keel_host_caps {
	const struct radix_fmt *pte_fmt;	/* the nested table's format */
	u32 cpuid_caps;		/* enum cpuid_cap bits the vendor code backs */
	bool pdptes;		/* PAE paging's four top entries are registers: group KEEL_RG_CR has them */
	bool next_rip;		/* exits report the instruction's length */
	u8 max_level;		/* enum radix_level: the largest leaf to map */
	u8 max_exec_level;	/* the largest that may be executable */
	u32 options;		/* KEEL_OPT_* */
	bool tsc_scaling;
	u8 tsc_frac_bits;
	u64 tsc_max_ratio;
};

extern struct keel_host_caps keel_host_caps;

/* Those of keel_host_caps.options that are wanted: ask when a VM or a vCPU is made, not later. */
extern unsigned int keel_options;

DECLARE_STATIC_CALL(keel_enter, *(void (*)(struct keel_vcpu *))NULL);
DECLARE_STATIC_CALL(keel_after_exit, *(enum keel_exit_kind (*)(struct keel_vcpu *))NULL);
DECLARE_STATIC_CALL(keel_regs_commit, *(void (*)(struct keel_vcpu *))NULL);
DECLARE_STATIC_CALL(keel_regs_load, *(void (*)(struct keel_vcpu *, u32))NULL);
DECLARE_STATIC_CALL(keel_decode, *(void (*)(struct keel_vcpu *, struct keel_exit *))NULL);

/* --- upcalls: all that vendor code may call in arch/x86/core ------------------------------------ */

/* The exit interrupted the delivery of an event, which the CPU reports as @ev: put it back, first in line. [I] */
void keel_event_requeue(struct keel_vcpu *vcpu, const struct event_vectoring *ev);

/* The CPU has logged a write to the frame: every entry of its log, at each exit, before requests are looked at. [I] */
void keel_tdp_written(struct keel_vcpu *vcpu, gfn_t gfn);

/* Which accesses (MSRF_*) to the MSR has user space's filter left to the guest? [A] */
unsigned int keel_msr_rights(struct keel_vcpu *vcpu, u32 index);

#endif /* ASM_KEEL_VENDOR_H */
