/* SPDX-License-Identifier: GPL-2.0-only */
/* The x86 part of a VM and of a vCPU: sub-structs, each owned by one file of arch/x86/core. */
#ifndef ASM_KEEL_ARCH_H
#define ASM_KEEL_ARCH_H

#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include <keel/exit.h>
#include <keel/stats.h>
#include <keel/uapi.h>
#include <linux/hrtimer.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <pure/cpuid.h>
#include <pure/emu.h>
#include <pure/event.h>
#include <pure/gwalk.h>
#include <pure/ioapic.h>
#include <pure/lapic.h>
#include <pure/msr.h>
#include <pure/msrfilter.h>
#include <pure/pic.h>
#include <pure/pit.h>
#include <pure/pvclock.h>
#include <pure/radix.h>
#include <pure/regs.h>

/* The words of vcpu->stat; core/stats.c names them. Counted by the vCPU's thread. */
enum keel_stat_word {
	KEEL_STAT_EXIT,				/* exits, by enum keel_exit_kind */
	KEEL_STAT_PF_FIXED = KEEL_STAT_EXIT + KEEL_EXIT_NR,	/* nested faults that mapped a host page */
	KEEL_STAT_PF_EMULATE,			/* that had no memory behind them */
	KEEL_STAT_MMIO,				/* pieces of memory-mapped I/O told to user space */
	KEEL_STAT_SIGNAL,			/* KVM_RUN ended by a signal */
	KEEL_STAT_REQUEST_IRQ,			/* by the interrupt window that user space asked for */
	KEEL_STAT_EMULATION,
	KEEL_STAT_EMULATION_FAIL,
	KEEL_STAT_IRQ_INJECTION,
	KEEL_STAT_NMI_INJECTION,
	KEEL_STAT_HALT_WAKEUP,
	KEEL_STAT_HALT_WAIT,			/* ns asleep */
	KEEL_STAT_BLOCKING,			/* 1: asleep now */
	KEEL_STAT_HALT_HIST,			/* sleeps by their length, KEEL_STAT_BUCKETS words */
	KEEL_STAT_WORDS = KEEL_STAT_HALT_HIST + KEEL_STAT_BUCKETS,
};

/* Of vm->stat. */
enum keel_vm_stat_word {
	KEEL_VM_STAT_FLUSH,			/* flushes of all vCPUs that had to interrupt one */
	KEEL_VM_STAT_FLUSH_REQUEST,
	KEEL_VM_STAT_WORDS,
};

/* Register groups of struct keel_regs: valid says cached, dirty says to be written before entry. */
#define KEEL_RG_GPR	BIT(0)	/* gpr[], rip, rflags, cr8, events.shadow: always valid */
#define KEEL_RG_CODE	BIT(1)	/* seg[] of CS and SS */
#define KEEL_RG_DATA	BIT(4)	/* the other seg[], gdt, idt */
#define KEEL_RG_SEG	(KEEL_RG_CODE | KEEL_RG_DATA)
#define KEEL_RG_CR	BIT(2)	/* cr0, cr2, cr3, cr4, efer; and cr8 when written */
#define KEEL_RG_DR	BIT(3)	/* dr6, dr7 */
#define KEEL_RG_MODE	BIT(5)	/* code: what of CS and SS says in which mode the code runs; never dirty */
#define KEEL_RG_ALL	(KEEL_RG_GPR | KEEL_RG_SEG | KEEL_RG_CR | KEEL_RG_DR)

enum { KEEL_RAX, KEEL_RCX, KEEL_RDX, KEEL_RBX, KEEL_RSP, KEEL_RBP, KEEL_RSI, KEEL_RDI };

/* Of CS: L and D/B; the DPL that is the CPL, that of SS. */
struct keel_code {
	bool l, db;
	u8 dpl;
};

/*
 * The guest's registers. Owner: core/regs.c (vendor code fills and drains it by groups).
 * Legend: V vcpu->mutex; all fields V.
 */
struct keel_regs {
	u64 gpr[16];			/* V: in ModRM order; the entry code addresses it, keep it first */
	u64 rip;			/* V */
	u64 rflags;			/* V */
	u32 valid;			/* V: KEEL_RG_* */
	u32 dirty;			/* V: KEEL_RG_* */
	struct keel_code code;		/* V */
	struct regs_segment seg[8];	/* V: by enum regs_segment_id */
	struct regs_dtable gdt, idt;	/* V */
	u64 cr0, cr2, cr3, cr4, cr8, efer;	/* V: efer as the guest sees it */
	u64 dr[4], dr6, dr7;		/* V: dr[] are switched by core/debug */
	u64 pdptr[4];			/* V: as last set through the API; the CPU reads its own */
};

/* Owner: core/tdp.c. Legend: M mmu_lock; I immutable. */
struct keel_tdp {
	struct radix_tree tree[2];	/* M: of each address space; the second's root is made when it is needed */
	bool hw_log;			/* I from the first vCPU on: the CPU logs what it sets dirty (KEEL_OPT_DIRTY_LOG) */
};

/* Owner: core/tsc.c. Legend: T lock. */
struct keel_vm_tsc {
	raw_spinlock_t lock;		/* the vCPUs' TSC writes are matched under it */
	u64 offset;			/* T: given to the latest write */
	u64 value;			/* T: written then */
	u64 host_tsc;			/* T: at that time */
	bool any;			/* T */
};

/*
 * The VM's nanosecond clock. While the host keeps time by the TSC it is a function of it, fixed at one instant;
 * else the host's raw clock plus an offset. Owner: core/clock.c. Legend: C lock; I immutable; T vm->arch.tsc.lock.
 */
struct keel_vm_clock {
	raw_spinlock_t lock;
	bool linear;			/* C: tsc, ns and rate describe it */
	bool matched;			/* T; read by anybody: all vCPUs have the same TSC offset */
	unsigned int generation;	/* C: of the host's time keeping, when the instant was taken */
	u64 tsc, ns;			/* C: the instant: the host's TSC, and the clock */
	s64 offset;			/* C: the clock minus the host's raw clock then */
	struct pvclock_rate rate;	/* C */
};

/* Where a VM's interrupt controllers are. */
enum keel_irq_mode {
	KEEL_IRQ_USER,		/* all in user space */
	KEEL_IRQ_SPLIT,		/* local APICs in the kernel, the chips in user space */
	KEEL_IRQ_KERNEL,	/* all in the kernel */
};

struct keel_msr_filter;			/* RCU-published (core/msr-filter.c) */
struct keel_apic_map;			/* RCU-published (core/lapic.c) */

/* The PC's chips outside the CPUs. Owner: core/chips.c. Legend: C lock; I immutable; T pit_lock. */
struct keel_chips {
	struct keel_vm *vm;			/* I */
	raw_spinlock_t lock;			/* ioapic, pic and their lines */
	struct ioapic ioapic;			/* C */
	struct pic_pair pic;			/* C */
	u8 ioapic_held[IOAPIC_PINS];		/* C: per pin, BIT(enum keel_irq_source) of who holds it up */
	u8 pic_held[PIC_IRQS];			/* C: the same */
	u64 eoi_vectors[4];			/* C; read by anybody: vectors whose end the IOAPIC must hear of */
	bool pic_out;				/* C; read by anybody: the PIC has an interrupt */
	struct hrtimer again;			/* fires when a storm's delay is over */
	u32 delayed;				/* C: pins that wait for it */

	raw_spinlock_t pit_lock;		/* taken before lock */
	bool has_pit;				/* I: once set, and pit_flags */
	u32 pit_flags;
	struct pit pit;				/* T */
	struct hrtimer pit_timer;
};

/* Legend: L vm->lock; M map_lock; R RCU, written under the lock named; A any, a single word; O the sub-struct's owner. */
struct keel_vm_arch {
	u8 irq_mode;			/* L: enum keel_irq_mode; fixed once a vCPU exists */
	u8 x2apic_api;			/* L: KVM_X2APIC_API_* */
	u8 split_pins;			/* L: pins of the IOAPIC in user space, KEEL_IRQ_SPLIT */
	u64 split_eoi[4];		/* vm->irq.lock, read by anybody: vectors whose end user space must hear of */
	u32 boot_id;			/* L: KVM_SET_BOOT_CPU_ID */
	struct keel_chips *chips;	/* L: with KEEL_IRQ_KERNEL */
	struct mutex map_lock;		/* serialises rebuilding apic_map */
	struct keel_apic_map __rcu *apic_map;	/* R, M */
	struct keel_tdp tdp;		/* O: core/tdp.c */
	u64 tss_addr;			/* L: KVM_SET_TSS_ADDR; no use with nested paging and unrestricted guests */
	u64 identity_addr;		/* L: KVM_SET_IDENTITY_MAP_ADDR; the same */
	u64 disabled_quirks;		/* L */
	u64 disabled_exits;		/* L: KVM_X86_DISABLE_EXITS_*; fixed once a vCPU exists */
	u64 nr_mmu_pages;		/* L: KVM_SET_NR_MMU_PAGES; a budget of shadow pages, of which there are none */
	bool noncoherent;		/* L, mmu_lock to write: DMA may bypass the caches; read by anybody */
	struct cpumask *flush_cpus;	/* L; bits A: where vCPUs may have left lines, once noncoherent; see cache.c */
	bool exception_payload;		/* L: KVM_CAP_EXCEPTION_PAYLOAD */
	bool no_platform_info;		/* L, read by vCPUs: the guest may not read that MSR */
	bool triple_fault_event;	/* L: KVM_CAP_X86_TRIPLE_FAULT_EVENT */
	u64 user_space_msr;		/* L, read by vCPUs: KVM_MSR_EXIT_REASON_* that become exits */
	struct keel_msr_filter __rcu *msr_filter;	/* R, L: core/msr-filter.c */
	struct keel_vm_clock clock;	/* O: core/clock.c */
	u64 wall_clock;			/* A: MSR_KVM_WALL_CLOCK, core/pv.c */
	struct keel_vm_tsc tsc;		/* O: core/tsc.c */
};

/* What is under way between a KVM_RUN that left to user space and the next. Owner: core/uexit.c. */
struct keel_uexit {
	u8 pending;			/* V: enum keel_uexit_pending */
	u8 size;			/* V: bytes of one element */
	u8 insn_len;			/* V: of the IN that waits for its data */
	u64 rip;			/* V: where it waits; moved by user space, it is dropped */
};

/* Table pages set aside before mmu_lock is taken. Owner: core/tdp-fault.c. Field V. */
struct keel_tdp_cache {
	struct radix_cache pages;	/* V */
};

/* Owner: core/fpu.c. All V. */
struct keel_fpu {
	struct fpu_guest guest;		/* V: the host core's container for guest state */
	u64 xcr0;			/* V */
	u32 pkru;			/* V */
	u32 host_pkru;			/* V: what keel_fpu_leave() puts back */
	bool xcr0_in;			/* V: XCR0 is the guest's now */
};

/* Owner: core/cpuid.c. All V. */
struct keel_cpuid {
	struct cpuid_table table;	/* V: as set; dynamic bits patched, memory in table.leaf */
	struct cpuid_derived derived;	/* V */
};

/* Bits of keel_apic.signals: what others sent that is not a vector. */
enum keel_apic_signal {
	KEEL_APIC_NMI, KEEL_APIC_INIT, KEEL_APIC_SIPI, KEEL_APIC_TIMER, KEEL_APIC_KICK, KEEL_APIC_SMI,
};

/* The local APIC. Owner: core/lapic.c. Legend: V vcpu->mutex; A atomic; M vm->arch.map_lock. */
struct keel_apic {
	struct lapic l;				/* V */
	unsigned long posted[4];		/* A: vectors sent by anybody, to be merged by the owner */
	unsigned long level[4];			/* A: which of them are level-triggered */
	unsigned long signals;			/* A: bits enum keel_apic_signal */
	u8 sipi_vector;				/* A: of the latest SIPI */
	bool takes_pic;				/* V; read by anybody: lapic_accept_pic() */
	bool hw;				/* I: the CPU runs it: all below */
	bool in_hw;				/* V: TPR, IRR and ISR are the CPU's now, not l's */
	bool all_stale;				/* V: the CPU does not know all registers */
	u64 eoi_exits[4];			/* V: vectors whose end is of interest here */
	u8 blocked;				/* V: the class of the interrupt that waits for a lower CR8, or 0 */
	bool kicked;				/* V: the next HLT ends at once (KVM_HC_KICK_CPU) */
	struct lapic_addr addr;			/* M: as last put into the map */
	struct hrtimer timer;
	struct keel_vcpu *vcpu;			/* immutable */
};

/*
 * What the vCPU shares with a paravirtual guest. Owner: core/pv.c. Legend: V vcpu->mutex; A atomic; P the thread
 * that has it loaded, also from the scheduler's hooks.
 */
struct keel_pv {
	unsigned long due;		/* A: bits enum keel_pv_due: what KEEL_REQ_PARAVIRT is to write */
	bool active;			/* V: there is something to do when the vCPU is loaded */
	bool stopped;			/* V: KVM_KVMCLOCK_CTRL, not yet told */
	bool enforce;			/* V: KVM_CAP_ENFORCE_PV_FEATURE_CPUID */
	int cpu;			/* P: where the clock's page was last due */
	unsigned int generation;	/* P: of the host's time keeping then */
	u64 time;			/* V: MSR_KVM_SYSTEM_TIME */
	u64 steal;			/* V: MSR_KVM_STEAL_TIME */
	bool preempted;			/* P: the guest was told that the vCPU does not run */
	bool boundary;			/* P: keel_pv_boundary() */
	struct task_struct *task;	/* P: whose run_delay it is; for comparison only */
	u64 run_delay;			/* P: how long the thread had waited for a CPU, as accounted for */
	u64 stolen;			/* P: ns the guest was not told of yet */
	u64 eoi;			/* V: MSR_KVM_PV_EOI_EN */
	u64 yield_id;			/* V: APIC id + 1 of whom KEEL_REQ_YIELD is for, or 0: anybody */
	bool eoi_granted;		/* V: the guest may end its interrupt by clearing the bit there */
};

/*
 * KVM_SET_GUEST_DEBUG. While `own` is set the CPU's debug registers are the debugger's to set and to read: those in
 * keel_regs are then what the guest believes to have, and each of its accesses exits. Owner: core/debug.c. All V.
 */
struct keel_debug {
	u32 control;			/* V: KVM_GUESTDBG_* */
	bool own;			/* V: single step or hardware breakpoints */
	bool tf;			/* V: RFLAGS.TF is set behind the guest's back, within KVM_RUN only */
	bool due;			/* V: a #DB that is the debugger's waits for the way out: */
	u64 due_rip, due_dr6;		/* V: where, and its bits of DR6 */
	bool bp;			/* V: a #BP that user space queued has not gone in yet */
	bool soft;			/* V: an INT n waits to be injected, or is being delivered: */
	u8 soft_vector, soft_len;	/* V */
	u64 soft_rip;			/* V: of the INT n */
	u64 dr[4], dr7;			/* V: the debugger's breakpoints */
};

/* System-management mode. Owner: core/smm.c. All V. */
struct keel_smm {
	bool active;			/* V */
	bool pending;			/* V: an SMI waits */
	bool halted;			/* V: it has ended HLT */
	bool inside_nmi;		/* V: NMIs were masked when it was taken */
	bool init;			/* V: an INIT waits for RSM */
};

/* Asynchronous page faults. Owner: core/apf.c. All V. */
struct keel_apf_msrs {
	u64 en;				/* V: MSR_KVM_ASYNC_PF_EN */
	u8 vector;			/* V: MSR_KVM_ASYNC_PF_INT */
	bool unacked;			/* V: the guest was told of a page and has not acknowledged that */
	bool wake_all;			/* V: it is to be told that no page is waited for any more */
	u32 tokens;			/* V: how many were made */
};

/* Legend: V vcpu->mutex; O the sub-struct's owner. */
struct keel_vcpu_arch {
	struct keel_apic *apic;		/* I: NULL when the local APIC is in user space */
	u16 eoi_exit;			/* V: vector + 1 whose end is to be told to user space, or 0 */
	struct keel_regs regs;		/* O: core/regs.c */
	void *hw;			/* I: the vendor's struct svm_vcpu or vmx_vcpu */
	u8 insn_len;			/* V: of the exiting instruction, 0 unknown; by after_exit() */
	union {
		struct {
			bool controls_stale;	/* V: controls_sync() is due before entry */
			bool irq_check;		/* V: look for an interrupt of apic before the next entry */
		};
		u16 stale;		/* any of the two */
	};
	u8 mp_state;			/* V */
	u64 apic_base;			/* V: IA32_APIC_BASE */
	struct event_state events;	/* O: core/inject.c */
	struct keel_exit exit;		/* V: the record being handled */
	struct keel_uexit uexit;	/* O: core/uexit.c */
	struct event_vectoring vectoring; /* V: delivery the last exit interrupted */
	bool inflight;			/* V: an event was put before the CPU at the last entry */
	bool windows;			/* V: window() was asked for something, core/inject.c */
	union {
		struct {
			bool debug_active; /* V: DR0 to DR3 are switched around a stay in the guest, core/debug.c */
			bool eoi_due;	/* V: what became of the granted EOI is not known yet, core/pv.c */
		};
		u16 leaving;		/* any of the two: work when KVM_RUN returns */
	};
	bool has_run;			/* V: KVM_RUN was called */
	struct keel_emul *emul;		/* O: core/emul.c: the instruction under emulation */
	struct keel_cpuid cpuid;	/* O: core/cpuid.c */
	struct msr_store msrs;		/* O: core/msr.c */
	union {
		struct {
			bool msr_filtered;	/* V: there is a filter, core/msr-filter.c */
			bool msr_enforced;	/* V: pv.enforce */
		};
		u16 msr_policy;		/* any of the two */
	};
	u8 msr_verdict;			/* V: enum msr_verdict of the guest's last access that failed */
	u64 mcg_cap;			/* V: core/mce.c, KVM_X86_SETUP_MCE */
	u64 tsc_offset;			/* V: core/tsc.c */
	u64 tsc_adjust;			/* V: core/tsc.c */
	struct keel_pv pv;		/* O: core/pv.c */
	struct keel_debug debug;	/* O: core/debug.c */
	struct keel_smm smm;		/* O: core/smm.c */
	u64 space;			/* V: what its address space adds to an address, core/smm.c */
	struct keel_apf_msrs apf;	/* O: core/apf.c */
	struct keel_fpu fpu;		/* O: core/fpu.c */
	struct keel_tdp_cache cache;	/* O: core/tdp-fault.c */
};

/* --- what vendor code asks of core/debug.c's state ------------------------------------------------ */

/* Do the guest's accesses to debug registers exit? */
static inline bool keel_debug_exits(const struct keel_vcpu_arch *arch)
{
	return !arch->debug_active || arch->debug.own;
}

/* What DR7 is to be while the guest runs. GD is of no use to a guest whose accesses exit. */
static inline u64 keel_debug_dr7(const struct keel_vcpu_arch *arch)
{
	if (likely(!arch->debug.own))
		return arch->regs.dr7;
	return (arch->debug.control & KVM_GUESTDBG_USE_HW_BP ? arch->debug.dr7 : arch->regs.dr7) &
	       ~(u64)REGS_DR7_GD;
}

static inline bool keel_debug_stepping(const struct keel_vcpu_arch *arch)
{
	return arch->debug.control & KVM_GUESTDBG_SINGLESTEP;
}

/* Does a breakpoint instruction belong to the debugger? */
static inline bool keel_debug_takes_bp(const struct keel_vcpu_arch *arch)
{
	return arch->debug.control & KVM_GUESTDBG_USE_SW_BP;
}

#endif /* ASM_KEEL_ARCH_H */
