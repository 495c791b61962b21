/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the AMD-V layer share. The assembly sees the first part only. */
#ifndef SVM_SVM_H
#define SVM_SVM_H

/* Offsets in struct svm_run, for switch.S; asserted below. */
#define SVM_RUN_VMCB_PA		0
#define SVM_RUN_HOST_PA		8
#define SVM_RUN_SPEC_CTRL	16
#define SVM_RUN_SPEC_OPEN	20

#ifndef __ASSEMBLY__

#include <asm/keel_vendor.h>
#include <keel/vcpu.h>
#include <linux/percpu.h>
#include <linux/user-return-notifier.h>
#include <svm/vmcb.h>

/* What the world switch reads. */
struct svm_run {
	u64 vmcb_pa;
	u64 host_pa;			/* this CPU's page for the host's VMSAVE state */
	u32 spec_ctrl;			/* the guest's, while the CPU lacks V_SPEC_CTRL */
	u32 spec_open;			/* the guest writes SPEC_CTRL without an exit */
};

static_assert(offsetof(struct svm_run, vmcb_pa) == SVM_RUN_VMCB_PA);
static_assert(offsetof(struct svm_run, host_pa) == SVM_RUN_HOST_PA);
static_assert(offsetof(struct svm_run, spec_ctrl) == SVM_RUN_SPEC_CTRL);
static_assert(offsetof(struct svm_run, spec_open) == SVM_RUN_SPEC_OPEN);

/* Bits of svm_vcpu.pending: work for the next entry. */
#define SVM_PEND_HOST	BIT(0)	/* save the host's VMLOAD state */
#define SVM_PEND_ASID	BIT(1)	/* take a new ASID */

/* Stepping over an instruction that ends an NMI's masking, or an interrupt shadow (events.c). */
struct svm_step {
	u64 rip;			/* V: of that instruction */
	bool iret;			/* V: it is the IRET that unmasks NMIs */
	bool trap;			/* V: RFLAGS.TF is set behind the guest's back */
	bool guest_tf;			/* V: the guest, or a debugger, had set it as well */
};

/*
 * The AMD-V part of a vCPU. Legend: I immutable after creation; V vcpu->mutex; P loaded, preemption off.
 * Owner of the fields: vcpu.c, unless another file is named.
 */
struct svm_vcpu {
	struct svm_run run;		/* P */
	struct vmcb *vmcb;		/* I, the page V */
	u32 pending;			/* P: SVM_PEND_* */
	u32 windows;			/* V: KEEL_WINDOW_* asked for (events.c) */
	bool nmi_masked;		/* V: as the intercepts have it (events.c) */
	u64 event_inj;			/* P: what inject() arranged for this entry, or 0 (events.c) */
	struct svm_step step;		/* V: (events.c) */
	u64 step_tf;			/* V: X86_EFLAGS_TF while step.trap, else 0 (events.c) */
	u32 tsc_aux;			/* V: (msr.c) */
	u8 kind;			/* V: enum keel_exit_kind of the last exit (exits.c) */
	bool spec_used;			/* V: the guest has set SPEC_CTRL (msr.c) */
	int last_cpu;			/* P: where it ran last, or -1 */
	u64 asid_generation;		/* P: (asid.c) */
	u64 tsc_ratio;			/* V */
	u64 id;				/* I: never used twice */
	u8 *msrpm;			/* I, the pages V (msr.c) */
};

/* One CPU. All fields: that CPU only, preemption off. */
struct svm_cpu {
	u64 host_pa;			/* constant after hw_setup() */
	struct page *host_page;
	struct page *hsave_page;

	u64 asid_generation;		/* asid.c */
	u32 asid_next;
	bool asid_flush;		/* the wrap's flush has not been executed yet */

	u64 last_vcpu;			/* id of the vCPU that ran here last: IBPB when it changes */
	u64 tsc_ratio;			/* in the MSR now */

	u32 tsc_aux;			/* in the MSR now (msr.c) */
	u32 host_tsc_aux;
	bool urn_registered;
	struct user_return_notifier urn;
};

DECLARE_PER_CPU(struct svm_cpu, svm_cpu);

/* Constant after hw_setup(). */
struct svm_hw {
	u32 features;			/* SVM_FEAT_* */
	u32 max_asid;
	bool nrips;			/* SVM_FEAT_NRIPS */
	bool has_tsc_aux;
	bool has_spec_ctrl;
	bool has_ibpb;
	u64 iopm_pa;
};

extern struct svm_hw svm_hw;

static inline struct svm_vcpu *to_svm(struct keel_vcpu *vcpu)
{
	return vcpu->arch.hw;
}

#define SVM_CR8_BIT	BIT(8)	/* of the intercepts of writes of control registers */

/* Groups SVM_CLEAN_* of the VMCB changed since the last exit. */
static inline void svm_touch(struct svm_vcpu *svm, u32 groups)
{
	svm->vmcb->control.clean &= ~groups;
}

static inline void svm_vmsave(u64 pa)
{
	asm volatile("1: vmsave %%rax\n2:\n" _ASM_EXTABLE(1b, 2b) : : "a" (pa) : "memory");
}

/* --- vcpu.c --- */
int svm_vcpu_new(struct keel_vcpu *vcpu);
void svm_vcpu_free(struct keel_vcpu *vcpu);
void svm_vcpu_reset(struct keel_vcpu *vcpu);
void svm_vcpu_load(struct keel_vcpu *vcpu, int cpu);
void svm_controls_sync(struct keel_vcpu *vcpu);
/* Must the guest's writes of CR8 be seen? */
bool svm_cr8_watched(const struct keel_vcpu *vcpu);
void svm_set_root(struct keel_vcpu *vcpu, u64 root_pa);
void svm_tsc_set(struct keel_vcpu *vcpu, u64 offset, u64 ratio);
void svm_exit_info(struct keel_vcpu *vcpu, struct keel_exit_info *info);
void svm_dump(struct keel_vcpu *vcpu);

/* Bring this CPU's TSC ratio to @ratio; the CPU has the MSR. [P or I] */
void svm_tsc_ratio_load(struct svm_cpu *cpu, u64 ratio);

/* The registers of the save area as after power-on: the only legal ones once a shutdown spoilt them. */
void svm_save_reset(struct svm_vcpu *svm);

/* --- switch.S, enter.c --- */

/*
 * The world switch: runs the guest until it exits. GPRs but RAX and RSP go through @gpr.
 * Context: IRQs off; on return too, with GIF set and the host's state whole.
 */
asmlinkage void svm_world_switch(struct svm_run *run, u64 *gpr);
void svm_enter(struct keel_vcpu *vcpu);

/* --- exits.c --- */
enum keel_exit_kind svm_after_exit(struct keel_vcpu *vcpu);
void svm_decode(struct keel_vcpu *vcpu, struct keel_exit *exit);
const char *svm_exit_name(u64 code);

/* --- regs.c --- */
void svm_regs_load(struct keel_vcpu *vcpu, u32 groups);
void svm_regs_commit(struct keel_vcpu *vcpu);

/* --- events.c --- */
void svm_inject(struct keel_vcpu *vcpu, const struct event_decision *ev);
void svm_cancel(struct keel_vcpu *vcpu);
void svm_window(struct keel_vcpu *vcpu, u32 windows);

/* Write the intercepts that follow the event state: IRET and VINTR are decided here. [P] */
void svm_event_intercepts(struct keel_vcpu *vcpu);

/* After an exit: hand back an event whose delivery was cut. @failed: VMRUN refused, nothing was delivered. [I] */
void svm_events_harvest(struct keel_vcpu *vcpu, bool failed);

/* After an exit while stepping. True when the exit was the step's own trap and nothing else. [I] */
bool svm_step_harvest(struct keel_vcpu *vcpu, u32 code);

/* An IRET is about to run while NMIs are masked. [I] */
void svm_iret_begin(struct keel_vcpu *vcpu);

/* --- msr.c --- */
int svm_msr_get(struct keel_vcpu *vcpu, u32 index, u64 *value);
int svm_msr_set(struct keel_vcpu *vcpu, u32 index, u64 value);

/* Recompute the MSR permission map. [P] */
void svm_msrpm_sync(struct keel_vcpu *vcpu);

/* Put @value into this CPU's TSC_AUX until it returns to user space. [P or I] */
void svm_tsc_aux_load(u32 value);

/* This CPU starts or stops virtualization. [I] */
void svm_tsc_aux_on(struct svm_cpu *cpu);
void svm_tsc_aux_off(struct svm_cpu *cpu);

/* --- asid.c --- */

/* Give the loaded vCPU a tag no translation of this CPU carries. The only source of tags. [P] */
void svm_asid_new(struct svm_vcpu *svm);

/* Is the tag the vCPU got on this CPU still its own? [P] */
static inline bool svm_asid_valid(const struct svm_vcpu *svm)
{
	return svm->asid_generation == this_cpu_read(svm_cpu.asid_generation);
}

void svm_flush(struct keel_vcpu *vcpu, enum keel_flush scope);

/* An entry succeeded: what it was told to flush is flushed. [I] */
void svm_asid_flushed(struct svm_vcpu *svm);

/* This CPU starts: what its TLB holds is unknown. [I] */
void svm_asid_cpu_on(struct svm_cpu *cpu);

#endif /* __ASSEMBLY__ */
#endif /* SVM_SVM_H */
