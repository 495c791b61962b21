/* SPDX-License-Identifier: GPL-2.0-only */
/* Prototypes within arch/x86/core, under the name of the file that defines them. */
#ifndef KEEL_CORE_H
#define KEEL_CORE_H

#include <asm/keel_vendor.h>
#include <keel/arch.h>
#include <keel/exit.h>
#include <keel/ioctl.h>
#include <keel/vcpu.h>
#include <keel/vm.h>

#define X86_RFLAGS_TF BIT64(8)
#define X86_RFLAGS_IF BIT64(9)
#define X86_RFLAGS_RF BIT64(16)
#define X86_RFLAGS_VM BIT64(17)
#define X86_RFLAGS_FIXED BIT64(1)

/* --- arch.c -------------------------------------------------------------------------------------- */

/* INIT, to all but the local APIC. [vCPU loaded] Source: APM volume 2, "Processor Initialization State". */
void keel_vcpu_init(struct keel_vcpu *vcpu);

/* --- regs.c: the register cache. [vCPU loaded] ----------------------------------------------- */

static inline void keel_regs_need(struct keel_vcpu *vcpu, u32 groups)
{
	if (groups & ~vcpu->arch.regs.valid)
		static_call(keel_regs_load)(vcpu, groups & ~vcpu->arch.regs.valid);
}

/* The groups are cached and were changed. */
static inline void keel_regs_dirty(struct keel_vcpu *vcpu, u32 groups)
{
	vcpu->arch.regs.valid |= groups;
	vcpu->arch.regs.dirty |= groups;
	if (groups & KEEL_RG_CODE)
		vcpu->arch.regs.valid &= ~KEEL_RG_MODE;
}

static inline u32 keel_gpr32(const struct keel_vcpu *vcpu, unsigned int nr)
{
	return vcpu->arch.regs.gpr[nr];
}

/* EDX:EAX as one number, and back with both upper halves cleared. */
u64 keel_edx_eax(const struct keel_vcpu *vcpu);
void keel_edx_eax_set(struct keel_vcpu *vcpu, u64 value);

static inline bool keel_pae_paging(const struct keel_regs *regs)
{
	return regs->cr0 & REGS_CR0_PG && regs->cr4 & REGS_CR4_PAE && !(regs->efer & REGS_EFER_LMA);
}

void keel_regs_reset(struct keel_vcpu *vcpu);
/* In 64-bit code? CPL? Loads what it needs. */
bool keel_in_64bit(struct keel_vcpu *vcpu);
unsigned int keel_cpl(struct keel_vcpu *vcpu);
void keel_emu_mode(struct keel_vcpu *vcpu, struct emu_mode *mode);
void keel_special_get(struct keel_vcpu *vcpu, struct regs_special *out);
/* Return: 0 or -EINVAL, then nothing changed. */
int keel_special_set(struct keel_vcpu *vcpu, const struct regs_special *in);
/* A guest's write of a control register: 0, or #GP was queued and -EINVAL. */
int keel_cr_write(struct keel_vcpu *vcpu, unsigned int nr, u64 value);
u64 keel_cr_read(struct keel_vcpu *vcpu, unsigned int nr);
/* Read the four entries that PAE paging caches: false when they cannot be read or are not valid. Sleeps. */
bool keel_pdptes_load(struct keel_vcpu *vcpu, u64 cr3);
int keel_efer_set(struct keel_vcpu *vcpu, u64 value, u64 allowed);
/* XSETBV or KVM_SET_XCRS: 0 or -EINVAL. */
int keel_xcr_set(struct keel_vcpu *vcpu, u32 index, u64 value);

/* --- state.c: KVM_GET/SET_* of register state; rows in ioctls.c ---------------------------------- */

long keel_regs_get(struct keel_call *call);
long keel_regs_set(struct keel_call *call);
long keel_sregs_get(struct keel_call *call);
long keel_sregs_set(struct keel_call *call);
long keel_sregs2_get(struct keel_call *call);
long keel_sregs2_set(struct keel_call *call);
long keel_xcrs_get(struct keel_call *call);
long keel_xcrs_set(struct keel_call *call);
long keel_debugregs_get(struct keel_call *call);
long keel_debugregs_set(struct keel_call *call);
long keel_mp_state_get(struct keel_call *call);
long keel_mp_state_set(struct keel_call *call);
long keel_translate(struct keel_call *call);
/* kvm_run.s.regs, as kvm_valid_regs and kvm_dirty_regs ask: 0 or -EINVAL. */
int keel_sync_in(struct keel_vcpu *vcpu);
void keel_sync_out(struct keel_vcpu *vcpu);

/* --- run.c ----------------------------------------------------------------------------------- */

int keel_requests_take(struct keel_vcpu *vcpu);

/* Act on vcpu->requests: KEEL_RESUME, or how KVM_RUN ends. [loaded, IRQs on] */
static inline int keel_requests_serve(struct keel_vcpu *vcpu)
{
	return likely(!READ_ONCE(vcpu->requests)) ? KEEL_RESUME : keel_requests_take(vcpu);
}

/* RIP has left the low 4 GiB, or the guest single-steps. */
void keel_skip_odd(struct keel_vcpu *vcpu);

/* Step over @len bytes: the one place but the emulator's commit where RIP moves after an exit. */
static inline void keel_skip(struct keel_vcpu *vcpu, unsigned int len)
{
	struct keel_regs *regs = &vcpu->arch.regs;
	u64 rip = regs->rip, next = rip + len, rflags = regs->rflags;

	regs->rip = next;
	regs->rflags = rflags & ~X86_RFLAGS_RF;
	vcpu->arch.events.shadow = 0;
	keel_regs_dirty(vcpu, KEEL_RG_GPR);
	if (unlikely((next ^ rip) >> 32 | (rflags & X86_RFLAGS_TF)))
		keel_skip_odd(vcpu);
}

/* The exits keel_exit_fast() may finish; for OUT see fast_out() in run.c. */
#define KEEL_FAST_KINDS										\
	(BIT(KEEL_EXIT_FAULT) | BIT(KEEL_EXIT_CPUID) | BIT(KEEL_EXIT_RDMSR) | BIT(KEEL_EXIT_WRMSR) |	\
	 BIT(KEEL_EXIT_HYPERCALL) | BIT(KEEL_EXIT_PAUSE) | BIT(KEEL_EXIT_WBINVD) |	\
	 BIT(KEEL_EXIT_MWAIT))

/* Does somebody in the kernel take writes on @bus: a listener, or a coalesced zone? One test for both. [A] */
static inline bool keel_listened(const struct keel_vm *vm, enum keel_bus bus)
{
	return (unsigned long)rcu_access_pointer(vm->iobus.set[bus]) |
	       (unsigned long)rcu_access_pointer(vm->coalesced.set[bus]);
}

/* --- exits.c ---------------------------------------------------------------------------------- */

/* Act on the exit; the answer is enum keel_next or a negative errno. [loaded, IRQs on] */
int keel_exit_handle(struct keel_vcpu *vcpu, enum keel_exit_kind kind);

/* Finish the exit, one of KEEL_FAST_KINDS, with IRQs off: true when the guest may go on. [I] */
bool keel_exit_fast(struct keel_vcpu *vcpu, enum keel_exit_kind kind);

/* What OUT of @size bytes writes. */
static inline u32 keel_out_value(const struct keel_vcpu *vcpu, unsigned int size)
{
	static const u32 mask[8] = { 0, 0xff, 0xffff, 0, 0xffffffff };

	return vcpu->arch.regs.gpr[KEEL_RAX] & mask[size & 7];
}

/* --- trace.c ----------------------------------------------------------------------------------- */

void keel_trace_exit(struct keel_vcpu *vcpu);	/* kvm_exit is on [I] */

/* --- uexit.c: the only writer of kvm_run's exit part ---------------------------------------------- */

enum keel_uexit_pending {
	KEEL_PENDING_NONE,
	KEEL_PENDING_IN,	/* port data for RAX */
	KEEL_PENDING_IN_STEP,	/* the same of an instruction that is stepped over */
	KEEL_PENDING_RDMSR,	/* the MSR's value for EDX:EAX, or #GP */
	KEEL_PENDING_WRMSR,	/* whether it was #GP */
	KEEL_PENDING_EMUL,	/* the emulator's effect in flight */
};

/* Take in what user space did; enum keel_next or errno: KEEL_RESUME when the guest may run. */
int keel_uexit_complete(struct keel_vcpu *vcpu);
void keel_uexit_drop(struct keel_vcpu *vcpu);			/* what user space did has no taker any more */
int keel_uexit_reason(struct keel_vcpu *vcpu, u32 reason);	/* an exit without data: KEEL_USER */
int keel_uexit_eoi(struct keel_vcpu *vcpu);			/* of arch.eoi_exit, to the IOAPIC in user space */
int keel_uexit_out(struct keel_vcpu *vcpu, u16 port, u8 size, u32 value);
int keel_uexit_in(struct keel_vcpu *vcpu, u16 port, u8 size, u8 insn_len);
/* An MSR that user space serves, for KVM_MSR_EXIT_REASON_@reason. */
int keel_uexit_msr(struct keel_vcpu *vcpu, bool write, u32 reason, u8 insn_len);
/* For the emulator: port data of @count elements, one MMIO piece of at most 8 bytes. */
int keel_uexit_string_io(struct keel_vcpu *vcpu, bool in, u16 port, u8 size, u32 count, const u8 *data);
int keel_uexit_mmio(struct keel_vcpu *vcpu, gpa_t gpa, bool write, u8 *data, u8 bytes);
void keel_uexit_take(struct keel_vcpu *vcpu, bool mmio, u8 *data, u32 bytes);
/* The answer to an MMIO read: of the 8 bytes as many count as were asked for. */
static inline u64 keel_uexit_mmio_value(const struct keel_vcpu *vcpu)
{
	return READ_ONCE(*(const u64 *)vcpu->run->mmio.data);
}
int keel_uexit_internal(struct keel_vcpu *vcpu, u32 suberror, const u64 *data, unsigned int nr);
int keel_uexit_emulation(struct keel_vcpu *vcpu, const u8 *bytes, unsigned int nr);
int keel_uexit_fail_entry(struct keel_vcpu *vcpu, u64 reason);
int keel_uexit_debug(struct keel_vcpu *vcpu, u8 vector, u64 pc, u64 dr6, u64 dr7);

/* --- emul.c ------------------------------------------------------------------------------------- */

int keel_emul_new(struct keel_vcpu *vcpu);
void keel_emul_free(struct keel_vcpu *vcpu);
/* Emulate the instruction at RIP; @gpa: where it touched emulated I/O, or NULL. enum keel_next. */
int keel_emul_start(struct keel_vcpu *vcpu, const gpa_t *gpa, bool string_io);
/* Go on after user space has served the effect. */
int keel_emul_continue(struct keel_vcpu *vcpu);
/* User space changed general registers while it had the effect: the instruction goes on with those. */
void keel_emul_regs_set(struct keel_vcpu *vcpu);
/*
 * Decode the instruction at RIP. Return: KEEL_SKIP with *insn filled; KEEL_RESUME: the guest was
 * given a fault, or has to run again; KEEL_USER: kvm_run is filled.
 */
int keel_emul_decode(struct keel_vcpu *vcpu, struct emu_insn *insn);
/* The same for KVM_TRANSLATE: what it is mapped to and GWALK_P_*, whatever the rights. */
int keel_walk_rights(struct keel_vcpu *vcpu, gva_t gva, gpa_t *gpa, u32 *rights);
/* Walk the guest's tables. 0 and *gpa; or -EFAULT with *error for #PF, -EINVAL without; -EAGAIN: run again. */
int keel_walk(struct keel_vcpu *vcpu, gva_t gva, u32 access, gpa_t *gpa, u32 *error);
/* The same for a linear address, or give the guest the fault. KEEL_SKIP: *gpa is filled; else KEEL_RESUME. */
int keel_translate_or_fault(struct keel_vcpu *vcpu, u64 linear, u32 access, gpa_t *gpa);

/* --- task.c -------------------------------------------------------------------------------------- */

int keel_task_switch(struct keel_vcpu *vcpu, struct keel_exit *exit);

/* --- inject.c ------------------------------------------------------------------------------------- */

void keel_events_drop(struct keel_vcpu *vcpu);				/* whatever is pending, injected or blocked */
void keel_exception(struct keel_vcpu *vcpu, u8 vector);			/* without error code */
void keel_exception_error(struct keel_vcpu *vcpu, u8 vector, u32 error);
void keel_exception_payload(struct keel_vcpu *vcpu, u8 vector, bool has_error, u32 error, u64 payload);
/* The same of an exception that no debugger is to see before the guest; @payload may be NULL. */
void keel_exception_guest(struct keel_vcpu *vcpu, u8 vector, const u64 *payload);
void keel_triple_fault(struct keel_vcpu *vcpu);
/*
 * Before entry: choose, arrange, open and close windows; @requested: user space waits for one.
 * KEEL_RESUME, or KEEL_USER for a triple fault. [loaded]
 */
int keel_events_arrange(struct keel_vcpu *vcpu, bool requested);

static inline int keel_events_prepare(struct keel_vcpu *vcpu, bool requested)
{
	if (likely(event_idle(&vcpu->arch.events) && !(requested | vcpu->arch.windows | vcpu->arch.irq_check)))
		return KEEL_RESUME;
	return keel_events_arrange(vcpu, requested);
}

/* After an exit at which something was in flight. [I] */
void keel_events_settle(struct keel_vcpu *vcpu);

static inline bool keel_interrupt_ready(struct keel_vcpu *vcpu)
{
	return event_interrupt_ready(&vcpu->arch.events, vcpu->arch.regs.rflags & X86_RFLAGS_IF);
}

/* --- lapic.c: local APICs in the kernel. [loaded unless noted] ---------------------------------------- */

/* Without local APICs in the kernel: 0 and none. [S] */
int keel_apic_new(struct keel_vcpu *vcpu);
void keel_apic_free(struct keel_vcpu *vcpu);
void keel_apic_map_update(struct keel_vm *vm);	/* a vCPU was added [S] */
void keel_apic_map_free(struct keel_vm *vm);
/* Send @ipi to whom it is for; @sender: the vCPU it comes from, or NULL. Return: the best of KEEL_IRQ_*. [A] */
int keel_apic_send(struct keel_vm *vm, const struct lapic_ipi *ipi, const struct keel_vcpu *sender);
/* The vCPU with that APIC id, or NULL; it lives as long as the VM. [A] */
struct keel_vcpu *keel_apic_find(struct keel_vm *vm, u64 id);
/* Wake the vCPU with that APIC id as from HLT, now or when it comes to one. [A] */
void keel_apic_kick(struct keel_vm *vm, u64 id);
#define KEEL_ICR_LOGICAL BIT64(11)
#define KEEL_ICR_SHORTHAND BITS64(19, 18)
#define KEEL_IPI_STEP 64u	/* APICs to look at with IRQs off, or without a chance to be preempted */

/* Is an IPI of the vCPU's too much work for IRQs off? [A] */
static inline bool keel_apic_ipi_long(const struct keel_vcpu *vcpu, u64 icr)
{
	return unlikely(READ_ONCE(vcpu->vm->nr_vcpus) > KEEL_IPI_STEP) &&
	       (icr & (KEEL_ICR_LOGICAL | KEEL_ICR_SHORTHAND) || icr >> 32 == 0xffffffff);
}

/*
 * Send a fixed interrupt or an NMI, as @icr says, to the ids @first + n of the bits n set in @ids.
 * Return: how many took it, or -KVM_EINVAL (another kind of message). [A]
 */
int keel_apic_send_many(struct keel_vm *vm, const unsigned long ids[2], u64 first, u64 icr);
void keel_apic_post_self(struct keel_vcpu *vcpu, u8 vector);	/* an edge */
void keel_apic_pic_raised(struct keel_vm *vm);	/* the PIC's output rose [A] */
void keel_apic_serve(struct keel_vcpu *vcpu);	/* KEEL_REQ_EVENT */
/* Queue the interrupt that is due; true: one waits for the interrupt window. */
bool keel_apic_take(struct keel_vcpu *vcpu);
/* Sleep until the vCPU is runnable: KEEL_RESUME or -EINTR. [loaded, IRQs on] */
int keel_apic_wait(struct keel_vcpu *vcpu);
void keel_apic_eoi(struct keel_vcpu *vcpu);	/* the guest has ended its interrupt in memory [also I] */
bool keel_apic_kicked(struct keel_vcpu *vcpu);	/* by keel_apic_kick(), since it last woke */
/* A guest's access: false when it is not the APIC's. */
bool keel_apic_mmio(struct keel_vcpu *vcpu, gpa_t gpa, bool write, u8 *data, unsigned int bytes);
/* x2APIC registers: false for #GP. Those of keel_apic_msr_hot() also with IRQs off. */
bool keel_apic_msr_get(struct keel_vcpu *vcpu, u32 index, u64 *value);
bool keel_apic_msr_set(struct keel_vcpu *vcpu, u32 index, u64 value);

static inline bool keel_apic_msr(u32 index)
{
	return index >= LAPIC_MSR_FIRST && index <= LAPIC_MSR_LAST;
}

/* EOI, ICR, TPR and self-IPI change nothing that others look up. */
static inline bool keel_apic_msr_hot(u32 index)
{
	return index == LAPIC_MSR_EOI || index == LAPIC_MSR_ICR ||
	       index == LAPIC_MSR_FIRST + (LAPIC_TPR >> 4) || index == LAPIC_MSR_FIRST + (LAPIC_SELF_IPI >> 4);
}

/* A CPU that runs the APIC has ended a service, or let the guest write a register. */
void keel_apic_ended(struct keel_vcpu *vcpu, u8 vector);
void keel_apic_written(struct keel_vcpu *vcpu, u32 offset, u32 value);
/* What the ends of which vectors mean has changed. [A] */
void keel_apic_eoi_changed(struct keel_vm *vm);
void keel_apic_init(struct keel_vcpu *vcpu);	/* have an INIT taken */
void keel_apic_base_set(struct keel_vcpu *vcpu, u64 base);
u64 keel_apic_deadline(const struct keel_vcpu *vcpu);	/* 0 without an APIC */
void keel_apic_deadline_set(struct keel_vcpu *vcpu, u64 deadline);
void keel_apic_tsc_moved(struct keel_vcpu *vcpu);	/* a deadline means another time now */
long keel_lapic_get(struct keel_call *call);
long keel_lapic_set(struct keel_call *call);
long keel_vapic_addr_set(struct keel_call *call);

/* --- chips.c: IOAPIC, PIC and PIT in the kernel ----------------------------------------------------------- */

void keel_chips_stop(struct keel_vm *vm);	/* nothing fires any more [S] */
void keel_chips_free(struct keel_vm *vm);
/* Service of @vector has ended on @vcpu; @level: it was level-triggered. [loaded] */
void keel_chips_eoi(struct keel_vcpu *vcpu, u8 vector, bool level);
bool keel_chips_eoi_wanted(struct keel_vcpu *vcpu, u8 vector);	/* does the end of an edge go any further? [A] */
u8 keel_chips_pic_intack(struct keel_vm *vm);	/* [A] */

static inline bool keel_chips_pic_output(const struct keel_vm *vm)
{
	return vm->arch.chips && READ_ONCE(vm->arch.chips->pic_out);
}

/* A guest's access: false when it is not the chips'. [S or I] */
bool keel_chips_port(struct keel_vcpu *vcpu, u16 port, bool in, unsigned int size, u8 *value);
bool keel_chips_mmio(struct keel_vcpu *vcpu, gpa_t gpa, bool write, u8 *data, unsigned int bytes);
int keel_irqchip_split(struct keel_vm *vm, const u64 *args);	/* KVM_CAP_SPLIT_IRQCHIP */
long keel_irqchip_create(struct keel_call *call);
long keel_irqchip_get(struct keel_call *call);
long keel_irqchip_set(struct keel_call *call);
long keel_pit_create(struct keel_call *call);
long keel_pit_create2(struct keel_call *call);
long keel_pit_get(struct keel_call *call);
long keel_pit_set(struct keel_call *call);
long keel_pit2_get(struct keel_call *call);
long keel_pit2_set(struct keel_call *call);
long keel_reinject_control(struct keel_call *call);

/* --- inject.c, the ioctls ------------------------------------------------------------------------------- */

long keel_interrupt(struct keel_call *call);
long keel_nmi(struct keel_call *call);
long keel_events_get(struct keel_call *call);
long keel_events_set(struct keel_call *call);

/* --- msr.c ------------------------------------------------------------------------------------------ */

int keel_msr_module_init(void);
void keel_msr_reset(struct keel_vcpu *vcpu);
/* MSR_OK and the value, MSR_GP or MSR_UNKNOWN. [loaded] */
enum msr_verdict keel_msr_get(struct keel_vcpu *vcpu, u32 index, u64 *value, enum msr_by by);
enum msr_verdict keel_msr_set(struct keel_vcpu *vcpu, u32 index, u64 value, enum msr_by by);
/* The same for an instruction: true when done, false when #GP is due. */
bool keel_msr_read_insn(struct keel_vcpu *vcpu, u32 index, u64 *value);
bool keel_msr_write_insn(struct keel_vcpu *vcpu, u32 index, u64 value);
long keel_msrs_get(struct keel_call *call);
long keel_msrs_set(struct keel_call *call);
long keel_msrs_feature_get(struct keel_call *call);
long keel_msr_list(struct keel_call *call);
long keel_msr_feature_list(struct keel_call *call);
/* After one of the two above has failed: why, if user space is to be told, else 0. */
u32 keel_msr_exit_reason(const struct keel_vcpu *vcpu);

/* --- smm.c ----------------------------------------------------------------------------------------------- */

int keel_smm_take(struct keel_vcpu *vcpu);	/* the SMI that waits, if it can be taken now: KEEL_RESUME or errno */
int keel_smm_leave(struct keel_vcpu *vcpu);	/* RSM: KEEL_RESUME or errno */
void keel_smm_signal(struct keel_vcpu *vcpu);	/* an SMI comes */
bool keel_smm_wakes(struct keel_vcpu *vcpu);	/* does an SMI end the halt? */
bool keel_smm_keeps_init(struct keel_vcpu *vcpu);
void keel_smm_get(struct keel_vcpu *vcpu, struct kvm_vcpu_events *out);
int keel_smm_set(struct keel_vcpu *vcpu, const struct kvm_vcpu_events *in);	/* 0 or -ENOMEM */
long keel_smi(struct keel_call *call);

/* --- msr-filter.c ------------------------------------------------------------------------------------ */

void keel_msr_filter_changed(struct keel_vcpu *vcpu);	/* KEEL_REQ_MSR_FILTER, and of a new vCPU */
void keel_msr_filter_free(struct keel_vm *vm);
long keel_msr_filter_set(struct keel_call *call);
int keel_user_space_msr(struct keel_vm *vm, const u64 *args);	/* KVM_CAP_X86_USER_SPACE_MSR */

/* --- mce.c ----------------------------------------------------------------------------------------------- */

long keel_mce_cap_supported(struct keel_call *call);
long keel_mce_setup(struct keel_call *call);
long keel_mce_set(struct keel_call *call);

/* --- cpuid.c ------------------------------------------------------------------------------------------ */

extern struct cpuid_table keel_cpuid_supported;
extern struct cpuid_derived keel_cpuid_host;	/* of all that is supported */

int keel_cpuid_module_init(void);
void keel_cpuid_reset(struct keel_vcpu *vcpu);
void keel_cpuid_free(struct keel_vcpu *vcpu);
void keel_cpuid_refresh(struct keel_vcpu *vcpu);	/* CR4, XCR0 or APIC_BASE changed */
long keel_cpuid_get_supported(struct keel_call *call);
long keel_cpuid_get_emulated(struct keel_call *call);
long keel_cpuid_set(struct keel_call *call);
long keel_cpuid_get(struct keel_call *call);
u64 keel_xcr0_supported(void);

/* --- hypercall.c ----------------------------------------------------------------------------------------- */

/* Do what the guest asks for, and put the answer into RAX. [also I] */
void keel_hypercall(struct keel_vcpu *vcpu);

/* --- pv.c: structures shared with a paravirtual guest. [loaded unless noted] ------------------------------ */

enum keel_pv_due { KEEL_PV_CLOCK, KEEL_PV_WALL, KEEL_PV_STEAL, KEEL_PV_EOI, KEEL_PV_APF };

/* May the vCPU use the feature (KVM_FEATURE_*)? Only user space's wish that its CPUID decides makes it ask. [A] */
bool keel_pv_feature(struct keel_vcpu *vcpu, unsigned int feature);
/* The same for an MSR; true for those that are not paravirtual. */
bool keel_pv_msr_allowed(struct keel_vcpu *vcpu, u32 index);
/* Does the guest leave polling before a halt to the host? */
bool keel_pv_poll_wanted(struct keel_vcpu *vcpu);
/* KEEL_REQ_YIELD is to be for the vCPU with this APIC id. [also I] */
void keel_pv_yield_to(struct keel_vcpu *vcpu, u64 id);
void keel_pv_yield(struct keel_vcpu *vcpu);	/* KEEL_REQ_YIELD [loaded, IRQs on] */
u64 keel_pv_msr_get(struct keel_vcpu *vcpu, u32 index);
void keel_pv_msr_set(struct keel_vcpu *vcpu, u32 index, u64 value);	/* [also I] */
/* The vCPU came to @cpu: find out what is due. [P, also from the scheduler] */
void keel_pv_load(struct keel_vcpu *vcpu, int cpu);
/*
 * Is the vCPU between two instructions, or could something translated before still be used? Only then others may
 * take it for a CPU that has flushed its TLB.
 */
static inline void keel_pv_boundary(struct keel_vcpu *vcpu, bool at)
{
	WRITE_ONCE(vcpu->arch.pv.boundary, at);
}

/*
 * The interrupt that goes in next may be ended without an exit. It is so until the next exit: there
 * keel_pv_eoi_settle() finds out what the guest did, at once or before the next entry and the return to user space.
 */
void keel_pv_eoi_grant(struct keel_vcpu *vcpu);
void keel_pv_eoi_settle(struct keel_vcpu *vcpu);	/* one was granted [P or I] */
/* The thread goes. [the scheduler, I] */
void keel_pv_sched_out(struct keel_vcpu *vcpu);
/* Write what is due. [loaded, IRQs on, may sleep] */
void keel_pv_serve(struct keel_vcpu *vcpu);
/* The clock's page of this vCPU, or of each, no longer tells the time. [A] */
void keel_pv_clock_due(struct keel_vcpu *vcpu);
void keel_pv_clocks_due(struct keel_vm *vm);
void keel_pv_reset(struct keel_vcpu *vcpu);	/* INIT */
long keel_pv_clock_ctrl(struct keel_call *call);

/* --- apf.c: asynchronous page faults. [loaded unless noted] ------------------------------------------------ */

u64 keel_apf_msr_get(struct keel_vcpu *vcpu, u32 index);
void keel_apf_msr_set(struct keel_vcpu *vcpu, u32 index, u64 value);	/* [also I] */
bool keel_apf_wanted(struct keel_vcpu *vcpu);
/* Tell the guest now that it has to wait for the page behind @hva: false when it cannot be told. [S] */
bool keel_apf_fault(struct keel_vcpu *vcpu, u64 hva, bool write);
struct keel_gpa_series;
/* Tell it of a page that has come. [S] */
void keel_apf_serve(struct keel_vcpu *vcpu, struct keel_gpa_series *series);

/* Can the guest do something else than wait for a page? */
static inline bool keel_apf_possible(struct keel_vcpu *vcpu)
{
	return unlikely(vcpu->arch.apf.en & KVM_ASYNC_PF_ENABLED) && keel_apf_wanted(vcpu);
}

/* --- tsc.c, clock.c --------------------------------------------------------------------------------------- */

void keel_tsc_vm_init(struct keel_vm *vm);
u64 keel_tsc_read(struct keel_vcpu *vcpu);
void keel_tsc_write(struct keel_vcpu *vcpu, u64 value, enum msr_by by);
void keel_tsc_adjust_write(struct keel_vcpu *vcpu, u64 value, enum msr_by by);
long keel_vcpu_attr_has(struct keel_call *call);	/* KVM_*_DEVICE_ATTR: the TSC's offset */
long keel_vcpu_attr_get(struct keel_call *call);
long keel_vcpu_attr_set(struct keel_call *call);
long keel_tsc_khz_get(struct keel_call *call);
long keel_tsc_khz_set(struct keel_call *call);
/* Compare all vCPUs' offsets. [A] */
void keel_tsc_match(struct keel_vm *vm);
void keel_clock_module_init(void);
void keel_clock_module_exit(void);
void keel_clock_vm_init(struct keel_vm *vm);
/* Fill all of @page but the version: the time, for a vCPU on this CPU. [IRQs on] */
void keel_clock_page(struct keel_vcpu *vcpu, struct pvclock_page *page);
/* The wall clock when the VM's clock was 0; all but the version. [IRQs on] */
void keel_clock_wall(struct keel_vm *vm, struct pvclock_wall *wall);
long keel_clock_get(struct keel_call *call);
long keel_clock_set(struct keel_call *call);

/* Changes with the host's way to keep time: raised after what it depends on was changed. */
extern unsigned int keel_clock_generation;
/* Must the page be written again on each CPU, and now and then? [A] */
bool keel_clock_drifts(void);

/* The host's tick: has the host's time keeping changed, or is the page old? */
static inline void keel_pv_tick(struct keel_vcpu *vcpu)
{
	const struct keel_pv *pv = &vcpu->arch.pv;

	if (unlikely(pv->active) && (pv->generation != READ_ONCE(keel_clock_generation) || keel_clock_drifts()))
		keel_pv_clock_due(vcpu);
}

/* --- cache.c ----------------------------------------------------------------------------------------------- */

void keel_cache_free(struct keel_vm *vm);
int keel_cache_flush(struct keel_vcpu *vcpu);		/* WBINVD and INVD: KEEL_SKIP. [T] IRQs on */

static inline bool keel_noncoherent(const struct keel_vm *vm)
{
	return READ_ONCE(vm->arch.noncoherent);
}

/* The vCPU is loaded on @cpu. [S or P] */
static inline void keel_cache_load(struct keel_vm *vm, int cpu)
{
	if (unlikely(smp_load_acquire(&vm->arch.noncoherent)) && !cpumask_test_cpu(cpu, vm->arch.flush_cpus))
		cpumask_set_cpu(cpu, vm->arch.flush_cpus);
}

/* --- debug.c ----------------------------------------------------------------------------------------------- */

void keel_debug_take(struct keel_vcpu *vcpu);		/* the guest touched a debug register */
void keel_debug_release(struct keel_vcpu *vcpu);	/* KVM_RUN returns: take them back if none is armed */
void keel_debug_update(struct keel_vcpu *vcpu);		/* user space set DR7 */
void keel_debug_enter(struct keel_vcpu *vcpu);	/* load the breakpoints of the guest or the debugger [I] */
void keel_debug_leave(struct keel_vcpu *vcpu);	/* and the host's again [I] */
long keel_guest_debug_set(struct keel_call *call);
/* A #DB with these bits of DR6 is due: true when it is the debugger's, who will be told before the next entry. */
bool keel_debug_trap(struct keel_vcpu *vcpu, u64 payload);
/* The trap that keel_debug_trap() noted: KEEL_USER, or KEEL_RESUME when the vCPU was moved elsewhere since. */
int keel_debug_tell(struct keel_vcpu *vcpu);
int keel_debug_breakpoint(struct keel_vcpu *vcpu);	/* a breakpoint instruction, the debugger's: KEEL_USER */
/* Emulate MOV to or from a debug register, at RIP: KEEL_SKIP with exit->insn_len set, or KEEL_RESUME, KEEL_USER. */
int keel_debug_mov(struct keel_vcpu *vcpu, struct keel_exit *exit);
/* INT n or INT3 at RIP, not executed. */
int keel_debug_soft_int(struct keel_vcpu *vcpu);
/* The data breakpoints that an emulated access to a linear address hits, as bits of DR6. */
u64 keel_debug_watch(struct keel_vcpu *vcpu, u64 linear, u32 size, bool write);

/* Neither interrupts nor NMIs are to be delivered. */
static inline bool keel_debug_blocks(const struct keel_vcpu *vcpu)
{
	return vcpu->arch.debug.control & KVM_GUESTDBG_BLOCKIRQ;
}

#define KEEL_GUESTDBG_ALL (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP |		\
			   KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP |		\
			   KVM_GUESTDBG_BLOCKIRQ)

#endif /* KEEL_CORE_H */
