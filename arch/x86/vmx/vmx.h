/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the VT-x layer share. The assembly sees the first part only. */
#ifndef VMX_VMX_H
#define VMX_VMX_H

/* Offsets in struct vmx_run, for switch.S; asserted below. */
#define VMX_RUN_HOST_RSP	0
#define VMX_RUN_LAUNCHED	8
#define VMX_RUN_SPEC_CTRL	12
#define VMX_RUN_SPEC_OPEN	16

/* What vmx_world_switch() answers. */
#define VMX_RAN			0	/* the guest ran, or the CPU refused its state: there is an exit reason */
#define VMX_REFUSED		1	/* VMLAUNCH or VMRESUME failed: there is an instruction error */
#define VMX_FAULTED		2	/* VT-x is off: the host crashes or restarts */

#ifndef __ASSEMBLY__

#include <asm/keel_vendor.h>
#include <keel/vcpu.h>
#include <linux/list.h>
#include <linux/percpu.h>
#include <linux/user-return-notifier.h>
#include <vmx/vmcs.h>

/* What the world switch reads. */
struct vmx_run {
	u64 host_rsp;			/* in the VMCS now */
	u32 launched;			/* VMRESUME, not VMLAUNCH */
	u32 spec_ctrl;			/* the guest's */
	u32 spec_open;			/* the guest writes SPEC_CTRL without an exit */
};

static_assert(offsetof(struct vmx_run, host_rsp) == VMX_RUN_HOST_RSP);
static_assert(offsetof(struct vmx_run, launched) == VMX_RUN_LAUNCHED);
static_assert(offsetof(struct vmx_run, spec_ctrl) == VMX_RUN_SPEC_CTRL);
static_assert(offsetof(struct vmx_run, spec_open) == VMX_RUN_SPEC_OPEN);

/* Bits of vmx_vcpu.pending: work for the next entry. */
#define VMX_PEND_HOST	BIT(0)	/* take note of the host's registers, put the guest's MSRs in */
#define VMX_PEND_NESTED	BIT(1)	/* drop what this CPU knows through the VM's nested table */
#define VMX_PEND_GUEST	BIT(2)	/* drop what it knows of this vCPU */
#define VMX_PEND_MSRS	BIT(3)	/* put changed MSRs in */

/* Control fields as they are in the VMCS. Written through vmx_control() only. */
struct vmx_controls {
	u32 pin, proc, proc2, exit, entry;
	u32 exceptions;
	u32 tpr_threshold;
	u64 cr4_mask;
};

/* MSRs of the guest that stay in the CPU until it returns to user space. */
enum vmx_late_msr { VMX_LATE_STAR, VMX_LATE_LSTAR, VMX_LATE_FMASK, VMX_LATE_TSC_AUX, VMX_LATE_NR };

/* The host's registers that a guest's run replaces and nobody misses until the vCPU is put. */
struct vmx_host_state {
	u64 kernel_gs_base;		/* the thread's own GS base */
	u64 fs_base;
	u64 debugctl;
	u16 fs, gs, ds, es;
	bool held;			/* the fields are filled, the guest's are in the CPU */
};

/*
 * The VT-x part of a vCPU. Legend: I immutable after creation; V vcpu->mutex; P loaded, preemption
 * off. Owner of the fields: vcpu.c, unless another file is named.
 */
struct vmx_vcpu {
	struct vmx_run run;		/* P */
	u32 pending;			/* P: VMX_PEND_* */
	union {
		struct {
			u8 status;	/* P: answer of the last world switch (enter.c) */
			u8 logs;	/* V: page-modification logging is on (pml.c) */
		};
		u16 odd;		/* any of the two: after an exit there is more to do */
	};
	u8 kind;			/* V: enum keel_exit_kind of the last exit (exits.c) */
	u32 reason;			/* V: of the last exit (exits.c) */
	u32 blocking;			/* V: interruptibility state in the VMCS (events.c) */
	u32 entry_event;		/* P: what inject() arranged for this entry, or 0 (events.c) */
	u64 rip, rsp, rflags;		/* V: in the VMCS (enter.c, exits.c) */
	u64 cr2, dr6;			/* V: the guest's; the CPU does not switch them (enter.c, regs.c) */
	u64 host_cr3, host_cr4;		/* V: in the VMCS (enter.c) */
	u64 cr0_shadow, cr4_shadow;	/* V: in the VMCS (regs.c) */
	u64 efer;			/* V: in the VMCS */
	struct vmx_controls controls;	/* V */
	struct vmx_host_state host;	/* P */
	u32 windows;			/* V: KEEL_WINDOW_* asked for (events.c) */
	bool l1d_dirty;			/* P: the host's data may be in the L1 cache (enter.c) */
	bool halts;			/* V: HLT does not exit */
	bool spec_used;			/* V: the guest has set SPEC_CTRL (msr.c) */
	bool ready;			/* V: the VMCS holds what never changes */
	u16 vpid;			/* I: 0: none (vpid.c) */
	u64 late[VMX_LATE_NR];		/* V: (msr.c) */
	u64 cstar;			/* V: of no effect on these CPUs (msr.c) */
	u64 kernel_gs_base;		/* V: while not in the CPU (msr.c) */
	u64 pat;			/* V: without PAT controls (msr.c) */
	u64 eptp;			/* V */
	int loaded_cpu;			/* P: whose CPU's cache the VMCS may be in, or -1 */
	struct list_head loaded;	/* that CPU, IRQs off: in vmx_cpu.loaded */
	void *vmcs;			/* I */
	u64 vmcs_pa;			/* I */
	u64 *pml;			/* I, the page P: page-modification log, or NULL (pml.c) */
	u8 *msr_bitmap;			/* I, the page V (msr.c) */
	u8 *vapic;			/* I, the page V: virtual-APIC page, or NULL: CR8 exits (apicv.c) */
	u8 *tpr;			/* I: the guest's TPR, the byte V: in vapic, or tpr_byte (apicv.c, regs.c) */
	u8 tpr_byte;			/* V */
	u64 eoi_exits[4];		/* V: in the VMCS (apicv.c) */
	u64 id;				/* I: never used twice */
};

/* One CPU. All fields: that CPU only, preemption off. */
struct vmx_cpu {
	void *vmxon;			/* constant after hw_setup() */
	u64 current_vmcs;		/* VMPTRLD was last given this */
	struct list_head loaded;	/* vmx_vcpu.loaded: to be cleared before VT-x goes off; IRQs off */
	u64 last_vcpu;			/* id of the vCPU that ran here last: IBPB when it changes */
	u64 late[VMX_LATE_NR];		/* in the MSRs now (msr.c) */
	u64 host_late[VMX_LATE_NR];
	bool urn_registered;
	struct user_return_notifier urn;
};

DECLARE_PER_CPU(struct vmx_cpu, vmx_cpu);

/* Constant after hw_setup(). */
struct vmx_hw {
	u64 basic;			/* VMX_BASIC_* */
	u64 ept_vpid;			/* VMX_CAP_* */
	u32 pin, proc, proc2, exit, entry;	/* controls that are adopted, if only at times */
	u32 error_vectors;		/* VMXQUAL_ERRORS* */
	u32 stay;			/* steps of the timer after which a guest exits, with VMX_PIN_TIMER */
	u64 cr0_fixed, cr4_fixed;	/* bits that must be set while a guest runs */
	bool has_tsc_aux;
	bool has_spec_ctrl;
	bool has_ibpb;
};

extern struct vmx_hw vmx_hw;

static inline struct vmx_vcpu *to_vmx(const struct keel_vcpu *vcpu)
{
	return vcpu->arch.hw;
}

/* --- instructions ------------------------------------------------------------------------------ */

/*
 * The host may switch VT-x off at any time when it crashes or restarts; its instructions fault then
 * and are skipped, reads give 0. That they fail otherwise is an error of ours.
 */
void vmx_read_failed(unsigned long field);
void vmx_write_failed(unsigned long field, u64 value);

static __always_inline u64 vmx_read(unsigned long field)
{
	u64 value = 0;
	bool failed;

	asm volatile("1: vmread %[field], %[value]\n2:\n" _ASM_EXTABLE(1b, 2b)
		     : [value] "+r" (value), "=@ccbe" (failed) : [field] "r" (field));
	if (unlikely(failed))
		vmx_read_failed(field);
	return value;
}

/* Of a field that every CPU has, on the hot path: nothing to check. */
static __always_inline u64 vmx_read_hot(unsigned long field)
{
	u64 value;

	asm volatile("1: vmread %[field], %[value]\n2:\n"
		     _ASM_EXTABLE_TYPE_REG(1b, 2b, EX_TYPE_ZERO_REG, %[value])
		     : [value] "=r" (value) : [field] "r" (field) : "cc");
	return value;
}

static __always_inline void vmx_write(unsigned long field, u64 value)
{
	asm goto("1: vmwrite %[value], %[field]\n\tjbe %l[failed]\n2:\n" _ASM_EXTABLE(1b, 2b)
			  : : [field] "r" (field), [value] "r" (value) : "cc" : failed);
	return;
failed:
	vmx_write_failed(field, value);
}

/* VMCLEAR, VMPTRLD: with a pointer in memory. */
static inline void vmx_clear(u64 pa)
{
	asm volatile("1: vmclear %0\n2:\n" _ASM_EXTABLE(1b, 2b) : : "m" (pa) : "cc", "memory");
}

static inline void vmx_point(u64 pa)
{
	asm volatile("1: vmptrld %0\n2:\n" _ASM_EXTABLE(1b, 2b) : : "m" (pa) : "cc", "memory");
}

/* A field that is also in memory: write it when it differs. */
static __always_inline void vmx_control(u32 *now, unsigned long field, u32 value)
{
	if (*now != value) {
		*now = value;
		vmx_write(field, value);
	}
}

static __always_inline void vmx_control64(u64 *now, unsigned long field, u64 value)
{
	if (unlikely(*now != value)) {
		*now = value;
		vmx_write(field, value);
	}
}

/* --- vcpu.c --- */
int vmx_vcpu_new(struct keel_vcpu *vcpu);
void vmx_vcpu_free(struct keel_vcpu *vcpu);
void vmx_vcpu_reset(struct keel_vcpu *vcpu);
void vmx_vcpu_load(struct keel_vcpu *vcpu, int cpu);
void vmx_vcpu_put(struct keel_vcpu *vcpu);
void vmx_controls_sync(struct keel_vcpu *vcpu);
void vmx_set_root(struct keel_vcpu *vcpu, u64 root_pa);
void vmx_tsc_set(struct keel_vcpu *vcpu, u64 offset, u64 ratio);
void vmx_dump(struct keel_vcpu *vcpu);

/* This CPU stops: write every VMCS it may hold back to memory. [I] */
void vmx_vmcs_clear_all(struct vmx_cpu *cpu);

/* --- switch.S, enter.c --- */

/*
 * The world switch: runs the guest until it exits. GPRs but RSP go through @gpr; without a run they
 * are unchanged. Return: VMX_RAN, VMX_REFUSED, VMX_FAULTED. Context: IRQs off.
 */
asmlinkage u8 vmx_world_switch(struct vmx_run *run, u64 *gpr);
/* Where the CPU comes out of the guest: not to be called. */
asmlinkage void vmx_exit_here(void);
/* An NMI ended the guest's run: have the host take it. [I] */
asmlinkage void vmx_host_nmi(void);
void vmx_enter(struct keel_vcpu *vcpu);

/* Choose the L1 cache's flush. Return: 0, -ENOMEM. Free accepts what was not set up. [G] */
int vmx_l1d_setup(void);
void vmx_l1d_free(void);

/* --- host.c: the host's registers around a stay --- */

/* What of the host's part of the VMCS is the same on all CPUs, at all times. Current VMCS. [P] */
void vmx_host_constant(void);
/* What differs between CPUs. [P] */
void vmx_host_cpu(int cpu);
/* Before the first entry since the vCPU was loaded. [I] */
void vmx_host_hold(struct vmx_vcpu *vmx);
/* The vCPU is put: give the thread its registers back. [P] */
void vmx_host_release(struct vmx_vcpu *vmx);

/* --- exits.c --- */
enum keel_exit_kind vmx_after_exit(struct keel_vcpu *vcpu);
void vmx_decode(struct keel_vcpu *vcpu, struct keel_exit *exit);
void vmx_exit_info(struct keel_vcpu *vcpu, struct keel_exit_info *info);
const char *vmx_reason_name(u32 reason);

/* --- regs.c --- */
void vmx_regs_load(struct keel_vcpu *vcpu, u32 groups);
void vmx_regs_commit(struct keel_vcpu *vcpu);
/* The CR4 bits that @vcpu's guest may change without an exit. */
u64 vmx_cr4_open(struct keel_vcpu *vcpu);

/* --- events.c --- */
void vmx_inject(struct keel_vcpu *vcpu, const struct event_decision *ev);
void vmx_cancel(struct keel_vcpu *vcpu);
void vmx_window(struct keel_vcpu *vcpu, u32 windows);

/* The window controls that are asked for. */
u32 vmx_window_controls(const struct vmx_vcpu *vmx);

/* Before an entry: the VMCS's interruptibility is not what @blocking says, or a trap is due with it. [I] */
void vmx_blocking_write(struct vmx_vcpu *vmx, u32 blocking, bool trap);

/* After an exit that may have cut an event's delivery: hand it back. [I] */
void vmx_events_harvest(struct keel_vcpu *vcpu);

/* The entry failed: what was to be injected is still due. [I] */
void vmx_events_failed(struct keel_vcpu *vcpu);

/* --- msr.c --- */
int vmx_msr_get(struct keel_vcpu *vcpu, u32 index, u64 *value);
int vmx_msr_set(struct keel_vcpu *vcpu, u32 index, u64 value);

enum { VMX_MSR_READ = 1, VMX_MSR_WRITE = 2 };

/* Recompute the MSR bitmap. [P] */
void vmx_msr_bitmap_sync(struct keel_vcpu *vcpu);

/* Put the guest's MSRs that wait for the return to user space into this CPU. [I] */
void vmx_late_load(struct keel_vcpu *vcpu);

/* This CPU starts or stops virtualization. [I] */
void vmx_late_on(struct vmx_cpu *cpu);
void vmx_late_off(struct vmx_cpu *cpu);

/* --- apicv.c --- */

/* The vCPU's page, and its part of a new VMCS. Return: 0, -ENOMEM. [S] */
int vmx_apicv_new(struct keel_vcpu *vcpu);
void vmx_apicv_free(struct vmx_vcpu *vmx);
void vmx_apicv_init(struct vmx_vcpu *vmx);

/* Of the controls: the secondary ones that the APIC wants now, and TPR threshold. */
u32 vmx_apicv_controls(const struct keel_vcpu *vcpu);
u32 vmx_apicv_threshold(const struct keel_vcpu *vcpu);

/* Which accesses to an x2APIC MSR do not exit, with the secondary controls in use: VMX_MSR_*. */
u8 vmx_apicv_msr(const struct keel_vcpu *vcpu, u32 index);

void vmx_apic_give(struct keel_vcpu *vcpu, bool all);
void vmx_apic_take(struct keel_vcpu *vcpu);
void vmx_apicv_decode(struct keel_vcpu *vcpu, struct keel_exit *exit);

/* --- pml.c --- */

/* The vCPU's log, and its part of a new VMCS. Return: 0, -ENOMEM. [S] */
int vmx_pml_new(struct keel_vcpu *vcpu);
void vmx_pml_free(struct vmx_vcpu *vmx);
void vmx_pml_init(struct vmx_vcpu *vmx);

/* Of the secondary controls: VMX_PROC2_PML while it is of use, else 0. */
u32 vmx_pml_controls(const struct keel_vcpu *vcpu);

/* After an exit with .logs: hand out what was logged. [I] */
void vmx_pml_drain(struct keel_vcpu *vcpu);

/* --- vpid.c --- */

/* A tag no other vCPU has, or 0 when there is none; give it back. The only source of tags. [S] */
u16 vmx_vpid_get(void);
void vmx_vpid_put(u16 vpid);

void vmx_flush(struct keel_vcpu *vcpu, enum keel_flush scope);

/* Execute the flushes that are pending. [I] */
void vmx_flush_pending(struct vmx_vcpu *vmx);

/* This CPU starts: what its TLB holds is unknown. [I] */
void vmx_flush_cpu_on(void);

#endif /* __ASSEMBLY__ */
#endif /* VMX_VMX_H */
