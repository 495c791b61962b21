// SPDX-License-Identifier: GPL-2.0-only
/*
 * What each kind of exit leads to: the common table, and the cheap kinds that need no more than the
 * guest's registers and are finished with IRQs off.
 *
 * Owns: keel_exits[]. Does not own: why the CPU exited (vendor decode), kvm_run (uexit.c).
 * Contexts: vCPU loaded; handlers with IRQs on, keel_exit_fast() with IRQs off.
 */
#include "core.h"
#include "tdp.h"
#include "trace.h"
#include <linux/ratelimit.h>
#include <linux/uaccess.h>

#define LMSW_SETS (REGS_CR0_PE | REGS_CR0_MP | REGS_CR0_EM | REGS_CR0_TS)
#define LMSW_CLEARS (LMSW_SETS & ~REGS_CR0_PE)

typedef int (*exit_fn)(struct keel_vcpu *vcpu, struct keel_exit *exit);

struct exit_row {
	exit_fn fn;
	/*
	 * Instruction exits: the opcodes that can cause them, so that an instruction another vCPU has
	 * just rewritten is not stepped over by the wrong length. 0: not an instruction exit.
	 */
	u16 key[2];
	bool operands;		/* the decoded instruction names the general register too */
	const char *name;
};

/* --- instructions, also from the fast path ---------------------------------------------------------- */

static noinline void trace_cpuid(struct keel_vcpu *vcpu, const u32 out[4])
{
	u32 leaf = keel_gpr32(vcpu, KEEL_RAX), index = keel_gpr32(vcpu, KEEL_RCX);

	trace_kvm_cpuid(leaf, index, out, cpuid_lookup(&vcpu->arch.cpuid.table, leaf, index));
}

static void do_cpuid(struct keel_vcpu *vcpu)
{
	struct keel_regs *regs = &vcpu->arch.regs;
	u32 out[4];

	cpuid_execute(&vcpu->arch.cpuid.table, keel_gpr32(vcpu, KEEL_RAX), keel_gpr32(vcpu, KEEL_RCX),
		      out);
	if (trace_kvm_cpuid_enabled())
		trace_cpuid(vcpu, out);
	regs->gpr[KEEL_RAX] = out[CPUID_REG_EAX];
	regs->gpr[KEEL_RBX] = out[CPUID_REG_EBX];
	regs->gpr[KEEL_RCX] = out[CPUID_REG_ECX];
	regs->gpr[KEEL_RDX] = out[CPUID_REG_EDX];
	keel_regs_dirty(vcpu, KEEL_RG_GPR);
}

static bool do_rdmsr(struct keel_vcpu *vcpu)
{
	u32 index = keel_gpr32(vcpu, KEEL_RCX);
	u64 value = 0;
	bool done = keel_msr_read_insn(vcpu, index, &value);

	trace_kvm_msr(false, index, value, !done);
	if (done)
		keel_edx_eax_set(vcpu, value);
	return done;
}

/* Publishing an APIC's new address may sleep, and an IPI to many takes its time. */
static bool wrmsr_sleeps(const struct keel_vcpu *vcpu)
{
	u32 index = keel_gpr32(vcpu, KEEL_RCX);

	if (index == LAPIC_MSR_ICR)
		return vcpu->arch.apic && keel_apic_ipi_long(vcpu, keel_edx_eax(vcpu));
	return vcpu->arch.apic && (index == X86_MSR_APIC_BASE || (keel_apic_msr(index) && !keel_apic_msr_hot(index)));
}

static bool do_wrmsr(struct keel_vcpu *vcpu)
{
	u32 index = keel_gpr32(vcpu, KEEL_RCX);
	u64 value = keel_edx_eax(vcpu);
	bool done = keel_msr_write_insn(vcpu, index, value);

	trace_kvm_msr(true, index, value, !done);
	return done;
}

/* Bits of a page fault's error code. Source: Intel SDM volume 3, "Page-Fault Exception (#PF)". */
#define PF_WRITE BIT(1)
#define PF_FETCH BIT(4)

static __always_inline void trace_fault(struct keel_vcpu *vcpu, const struct keel_exit *exit)
{
	u8 access = exit->fault.access;

	trace_kvm_page_fault(vcpu->id, vcpu->arch.regs.rip, gpa_raw(exit->fault.gpa),
			     (access & KEEL_ACCESS_WRITE ? PF_WRITE : 0) | (access & KEEL_ACCESS_EXEC ? PF_FETCH : 0));
}

/* A write that only the dirty log has to see. */
static bool fast_fault(struct keel_vcpu *vcpu)
{
	struct keel_exit *exit = &vcpu->arch.exit;

	static_call(keel_decode)(vcpu, exit);
	if (!(exit->fault.access & KEEL_ACCESS_WRITE) || !keel_tdp_fault_fast(vcpu, exit->fault.gpa))
		return false;
	trace_fault(vcpu, exit);
	return true;
}

/* It spins. If another vCPU has no CPU, it may be the one that is waited for. */
static void do_pause(struct keel_vcpu *vcpu)
{
	if (unlikely(atomic_read(&vcpu->vm->halt.waiting)))
		keel_vcpu_request_own(vcpu, KEEL_REQ_YIELD);
}

/* MONITOR and MWAIT do nothing, but that they exist can be made to depend on the guest's CPUID. */
static bool mwait_exists(struct keel_vcpu *vcpu)
{
	const struct cpuid_leaf *leaf;

	if (!(READ_ONCE(vcpu->vm->arch.disabled_quirks) & KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS))
		return true;
	leaf = cpuid_lookup(&vcpu->arch.cpuid.table, 1, 0);
	return leaf && leaf->ecx & BIT(3);
}

bool keel_exit_fast(struct keel_vcpu *vcpu, enum keel_exit_kind kind)
{
	unsigned int len = vcpu->arch.insn_len;

	if (kind == KEEL_EXIT_FAULT)
		return fast_fault(vcpu);
	if (!len || vcpu->arch.regs.rflags & X86_RFLAGS_TF)
		return false;
	switch (kind) {
	case KEEL_EXIT_CPUID:
		do_cpuid(vcpu);
		break;
	case KEEL_EXIT_RDMSR:
		if (!do_rdmsr(vcpu))
			return false;
		break;
	case KEEL_EXIT_WRMSR:
		if (wrmsr_sleeps(vcpu) || !do_wrmsr(vcpu))
			return false;
		break;
	case KEEL_EXIT_HYPERCALL:
		keel_hypercall(vcpu);
		break;
	case KEEL_EXIT_MWAIT:
		if (!mwait_exists(vcpu))
			return false;
		break;
	case KEEL_EXIT_WBINVD:
		if (keel_noncoherent(vcpu->vm))
			return false;
		break;
	case KEEL_EXIT_PAUSE:
		do_pause(vcpu);
		break;
	default:
		return false;
	}
	keel_skip(vcpu, len);
	return true;
}

/* --- handlers ------------------------------------------------------------------------------------------ */

static int exit_resume(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	return KEEL_RESUME;
}

static int exit_tpr(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	vcpu->arch.irq_check = true;
	return KEEL_RESUME;
}

static int exit_eoi(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	keel_apic_ended(vcpu, exit->apic.vector);
	return KEEL_RESUME;
}

static int exit_apic_write(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	keel_apic_written(vcpu, exit->apic.offset, exit->apic.value);
	return KEEL_RESUME;
}

/* The host's timer tick is among these. */
static int exit_host_irq(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	keel_pv_tick(vcpu);
	return KEEL_RESUME;
}

/* An event's delivery, or a walk of the guest's tables, went to a device: nobody can finish that. */
static noinline int exit_fault_delivery(struct keel_vcpu *vcpu, const struct keel_exit *exit)
{
	u64 data[] = { 0, exit->hw_reason, exit->fault.access, gpa_raw(exit->fault.gpa) };

	return keel_uexit_internal(vcpu, KVM_INTERNAL_ERROR_DELIVERY_EV, data, ARRAY_SIZE(data));
}

static int exit_fault(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	long ret;

	trace_fault(vcpu, exit);
	ret = keel_tdp_fault(vcpu, exit->fault.gpa, exit->fault.access);
	if (likely(ret == KEEL_TDP_MAPPED))
		return KEEL_RESUME;
	if (ret < 0)
		return ret;
	if (vcpu->arch.events.exception_injected || vcpu->arch.events.interrupt_injected ||
	    vcpu->arch.events.nmi_injected)
		return exit_fault_delivery(vcpu, exit);
	if (exit->fault.access & (KEEL_ACCESS_EXEC | KEEL_ACCESS_TABLE))
		return keel_uexit_emulation(vcpu, NULL, 0);
	return keel_emul_start(vcpu, &exit->fault.gpa, false);
}

/* #UD exits in system-management mode where the CPU has no exit for RSM. */
static int exit_smm_ud(struct keel_vcpu *vcpu)
{
	struct emu_insn insn;
	int next = keel_emul_decode(vcpu, &insn);

	if (next != KEEL_SKIP)
		return next;
	if (emu_insn_key(&insn) == EMU_KEY_RSM)
		return keel_smm_leave(vcpu);
	keel_exception(vcpu, EVENT_UD);
	return KEEL_RESUME;
}

static int exit_exception(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	if (exit->exception.vector == EVENT_UD && vcpu->arch.smm.active)
		return exit_smm_ud(vcpu);
	if (exit->exception.vector == EVENT_BP)
		return keel_debug_breakpoint(vcpu);
	if (exit->exception.trap)
		keel_skip(vcpu, exit->insn_len);
	keel_exception_payload(vcpu, exit->exception.vector, exit->exception.has_error,
			       exit->exception.error_code, exit->exception.payload);
	return KEEL_RESUME;
}

static noinline bool out_in_kernel(struct keel_vm *vm, const struct keel_exit *exit, u32 value)
{
	return keel_iobus_write(vm, KEEL_BUS_PIO, exit->io.port, exit->io.size, value) ||
	       keel_coalesced_write(vm, KEEL_BUS_PIO, exit->io.port, exit->io.size, value);
}

static __always_inline int exit_io(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	u32 value;
	u8 byte;

	if (exit->io.string)
		return keel_emul_start(vcpu, NULL, true);
	if (exit->io.in) {
		if (unlikely(vcpu->vm->arch.chips) &&
		    keel_chips_port(vcpu, exit->io.port, true, exit->io.size, &byte)) {
			trace_kvm_pio(false, exit->io.port, 1, 1, &byte);
			vcpu->arch.regs.gpr[KEEL_RAX] = (vcpu->arch.regs.gpr[KEEL_RAX] & ~0xffULL) | byte;
			keel_regs_dirty(vcpu, KEEL_RG_GPR);
			return KEEL_SKIP;
		}
		return keel_uexit_in(vcpu, exit->io.port, exit->io.size, exit->insn_len);
	}
	value = keel_out_value(vcpu, exit->io.size);
	trace_kvm_pio(true, exit->io.port, exit->io.size, 1, &value);
	byte = value;
	if (unlikely(vcpu->vm->arch.chips) && keel_chips_port(vcpu, exit->io.port, false, exit->io.size, &byte))
		return KEEL_SKIP;
	if (keel_listened(vcpu->vm, KEEL_BUS_PIO) && out_in_kernel(vcpu->vm, exit, value))
		return KEEL_SKIP;
	keel_uexit_out(vcpu, exit->io.port, exit->io.size, value);
	return KEEL_SKIP_USER;
}

static int exit_cpuid(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	do_cpuid(vcpu);
	return KEEL_SKIP;
}

static int gp_or_skip(struct keel_vcpu *vcpu, bool ok)
{
	if (ok)
		return KEEL_SKIP;
	keel_exception_error(vcpu, EVENT_GP, 0);
	return KEEL_RESUME;
}

/* What the kernel refuses may be user space's to serve. */
static int msr_or_gp(struct keel_vcpu *vcpu, struct keel_exit *exit, bool write)
{
	u32 reason = keel_msr_exit_reason(vcpu);

	return reason ? keel_uexit_msr(vcpu, write, reason, exit->insn_len) : gp_or_skip(vcpu, false);
}

static int exit_rdmsr(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	return do_rdmsr(vcpu) ? KEEL_SKIP : msr_or_gp(vcpu, exit, false);
}

static int exit_wrmsr(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	return do_wrmsr(vcpu) ? KEEL_SKIP : msr_or_gp(vcpu, exit, true);
}

/* The vCPU sleeps where its local APIC is. */
static int exit_hlt(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	if (vcpu->arch.apic) {
		/* The single-step trap ends the halt at once. */
		if (likely(!(vcpu->arch.regs.rflags & X86_RFLAGS_TF)))
			vcpu->arch.mp_state = KVM_MP_STATE_HALTED;
		return KEEL_SKIP;
	}
	keel_uexit_reason(vcpu, KVM_EXIT_HLT);
	return KEEL_SKIP_USER;
}

static int exit_hypercall(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	keel_hypercall(vcpu);
	return KEEL_SKIP;
}

static int exit_pause(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	do_pause(vcpu);
	return KEEL_SKIP;
}

static int exit_cr_read(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	vcpu->arch.regs.gpr[exit->reg.gpr & 15] = keel_cr_read(vcpu, exit->reg.nr);
	keel_regs_dirty(vcpu, KEEL_RG_GPR);
	return KEEL_SKIP;
}

static int exit_cr(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	u64 value = exit->reg.has_msw ? exit->reg.msw : vcpu->arch.regs.gpr[exit->reg.gpr & 15];
	u64 old_cr8 = vcpu->arch.regs.cr8;

	if (exit->reg.read)
		return exit_cr_read(vcpu, exit);
	/* LMSW can set PE, not clear it. */
	if (exit->reg.lmsw)
		value = (keel_cr_read(vcpu, 0) & ~(u64)LMSW_CLEARS) | (value & LMSW_SETS);
	else if (!keel_in_64bit(vcpu))
		value = (u32)value;
	if (keel_cr_write(vcpu, exit->reg.nr, value))
		return KEEL_RESUME;
	/* The APIC's owner must know when lower-priority interrupts become deliverable. */
	if (vcpu->arch.apic) {
		vcpu->arch.irq_check |= exit->reg.nr == 8;
	} else if (exit->reg.nr == 8 && vcpu->arch.regs.cr8 < old_cr8) {
		keel_uexit_reason(vcpu, KVM_EXIT_SET_TPR);
		return KEEL_SKIP_USER;
	}
	return KEEL_SKIP;
}

static int exit_dr(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	if (vcpu->arch.debug.own)
		return keel_debug_mov(vcpu, exit);
	keel_debug_take(vcpu);
	return KEEL_RESUME;
}

static int exit_soft_int(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	return keel_debug_soft_int(vcpu);
}

static int exit_xsetbv(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	if (!(keel_cr_read(vcpu, 4) & REGS_CR4_OSXSAVE)) {
		keel_exception(vcpu, EVENT_UD);
		return KEEL_RESUME;
	}
	return gp_or_skip(vcpu, !keel_cpl(vcpu) &&
			  !keel_xcr_set(vcpu, keel_gpr32(vcpu, KEEL_RCX), keel_edx_eax(vcpu)));
}

/* No counters are offered: a plain index reads as #GP, as on a CPU without them. */
static int exit_rdpmc(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	return gp_or_skip(vcpu, false);
}

static int exit_invlpg(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	keel_vendor->flush(vcpu, KEEL_FLUSH_GUEST);
	return KEEL_SKIP;
}

/* What led here is over: the vCPU is as after INIT, and no event of its past is delivered to it. */
static int exit_shutdown(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	keel_events_drop(vcpu);
	return keel_uexit_reason(vcpu, KVM_EXIT_SHUTDOWN);
}

static int exit_flush(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	return keel_cache_flush(vcpu);
}

static int exit_ud(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	keel_exception(vcpu, EVENT_UD);
	return KEEL_RESUME;
}

static int exit_rsm(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	return vcpu->arch.smm.active ? keel_smm_leave(vcpu) : exit_ud(vcpu, exit);
}

static int exit_mwait(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	return mwait_exists(vcpu) ? KEEL_SKIP : exit_ud(vcpu, exit);
}

static int exit_bad_entry(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	static DEFINE_RATELIMIT_STATE(limit, DEFAULT_RATELIMIT_INTERVAL, 2);

	if (__ratelimit(&limit))
		keel_vendor->dump(vcpu);
	return keel_uexit_fail_entry(vcpu, exit->hw_reason);
}

static int exit_unknown(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	u64 data[] = { exit->hw_reason, READ_ONCE(vcpu->cpu) };

	return keel_uexit_internal(vcpu, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON, data,
				   ARRAY_SIZE(data));
}

#define ROW(kind_, fn_, ...) [kind_] = { .fn = (fn_), .name = #kind_, ##__VA_ARGS__ }
#define INSN(k1, k2) .key = { (k1), (k2) }

static const struct exit_row keel_exits[KEEL_EXIT_NR] = {
	ROW(KEEL_EXIT_NONE, exit_resume),
	ROW(KEEL_EXIT_HOST_IRQ, exit_host_irq),
	ROW(KEEL_EXIT_MCE, exit_resume),
	ROW(KEEL_EXIT_FAULT, exit_fault),
	ROW(KEEL_EXIT_EXCEPTION, exit_exception),
	ROW(KEEL_EXIT_SOFT_INT, exit_soft_int),
	ROW(KEEL_EXIT_IRQ_WINDOW, exit_resume),
	ROW(KEEL_EXIT_NMI_WINDOW, exit_resume),
	ROW(KEEL_EXIT_EOI, exit_eoi),
	ROW(KEEL_EXIT_APIC_WRITE, exit_apic_write),
	ROW(KEEL_EXIT_TPR, exit_tpr),
	ROW(KEEL_EXIT_IO, exit_io),
	ROW(KEEL_EXIT_CPUID, exit_cpuid, INSN(EMU_KEY_CPUID, 0)),
	ROW(KEEL_EXIT_RDMSR, exit_rdmsr, INSN(EMU_KEY_RDMSR, 0)),
	ROW(KEEL_EXIT_WRMSR, exit_wrmsr, INSN(EMU_KEY_WRMSR, 0)),
	ROW(KEEL_EXIT_HLT, exit_hlt, INSN(EMU_KEY_HLT, 0)),
	ROW(KEEL_EXIT_PAUSE, exit_pause, INSN(EMU_KEY_PAUSE, 0)),
	ROW(KEEL_EXIT_HYPERCALL, exit_hypercall, INSN(EMU_KEY_GRP7, 0)),
	ROW(KEEL_EXIT_CR, exit_cr, INSN(EMU_KEY_MOV_CR_R, EMU_KEY_GRP7), .operands = true),
	ROW(KEEL_EXIT_DR, exit_dr),
	ROW(KEEL_EXIT_XSETBV, exit_xsetbv, INSN(EMU_KEY_GRP7, 0)),
	ROW(KEEL_EXIT_WBINVD, exit_flush, INSN(EMU_KEY_WBINVD, EMU_KEY_INVD)),
	ROW(KEEL_EXIT_MWAIT, exit_mwait, INSN(EMU_KEY_GRP7, 0)),
	ROW(KEEL_EXIT_RDPMC, exit_rdpmc, INSN(EMU_KEY_RDPMC, 0)),
	ROW(KEEL_EXIT_INVLPG, exit_invlpg, INSN(EMU_KEY_GRP7, 0)),
	ROW(KEEL_EXIT_TASK_SWITCH, keel_task_switch),
	ROW(KEEL_EXIT_SHUTDOWN, exit_shutdown),
	ROW(KEEL_EXIT_UD, exit_ud),
	ROW(KEEL_EXIT_RSM, exit_rsm),
	ROW(KEEL_EXIT_BAD_ENTRY, exit_bad_entry),
	ROW(KEEL_EXIT_UNKNOWN, exit_unknown),
};

/* Which registers a write of a control register names. LMSW from memory is not emulated. */
static int cr_operands(struct keel_vcpu *vcpu, const struct emu_insn *insn, struct keel_exit *exit)
{
	/* LOCK MOV CR0 is MOV CR8 on AMD CPUs. */
	unsigned int nr = insn->prefixes & EMU_PFX_LOCK ? 8 : insn->reg;

	exit->reg.lmsw = emu_insn_key(insn) == EMU_KEY_GRP7;
	if (exit->reg.lmsw)
		nr = insn->reg == 6 ? 0 : ~0u;
	if (nr != exit->reg.nr)
		return KEEL_RESUME;
	if (emu_insn_modrm_mem(insn))
		return keel_uexit_emulation(vcpu, NULL, 0);
	exit->reg.gpr = insn->rm;
	return KEEL_SKIP;
}

/*
 * The CPU did not say how long the instruction is, or which registers it names: decode it. KEEL_SKIP
 * when known; KEEL_RESUME when what is there now is another instruction: the guest runs that.
 */
static noinline int exit_decode_insn(struct keel_vcpu *vcpu, const struct exit_row *row, struct keel_exit *exit)
{
	struct emu_insn insn;
	int next = keel_emul_decode(vcpu, &insn);
	unsigned int key;

	if (next != KEEL_SKIP)
		return next;
	key = emu_insn_key(&insn);
	if (key != row->key[0] && key != row->key[1])
		return KEEL_RESUME;
	exit->insn_len = insn.len;
	return row->operands ? cr_operands(vcpu, &insn, exit) : KEEL_SKIP;
}

/* Nothing to decode: after_exit() has filled .io, the others have no more than the instruction's length. */
#define WHOLE_KINDS										\
	(BIT(KEEL_EXIT_IO) | BIT(KEEL_EXIT_CPUID) | BIT(KEEL_EXIT_RDMSR) | BIT(KEEL_EXIT_WRMSR) |	\
	 BIT(KEEL_EXIT_HLT) | BIT(KEEL_EXIT_HYPERCALL) | BIT(KEEL_EXIT_PAUSE) | BIT(KEEL_EXIT_HOST_IRQ))

static noinline int exit_by_row(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	const struct exit_row *row = &keel_exits[exit->kind];
	int next;

	if (!(WHOLE_KINDS & BIT(exit->kind)))
		static_call(keel_decode)(vcpu, exit);
	if (row->key[0] && !exit->insn_len) {
		next = exit_decode_insn(vcpu, row, exit);
		if (next != KEEL_SKIP)
			return next;
	}
	return row->fn(vcpu, exit);
}

int keel_exit_handle(struct keel_vcpu *vcpu, enum keel_exit_kind kind)
{
	struct keel_exit *exit = &vcpu->arch.exit;
	int next;

	/* The hottest exits to user space go without the table: no indirect call. */
	if (kind == KEEL_EXIT_IO) {
		exit->insn_len = vcpu->arch.insn_len;
		next = exit_io(vcpu, exit);
	} else if (kind == KEEL_EXIT_FAULT) {
		static_call(keel_decode)(vcpu, exit);
		next = exit_fault(vcpu, exit);
	} else {
		exit->kind = kind;
		exit->insn_len = vcpu->arch.insn_len;
		next = exit_by_row(vcpu, exit);
	}
	if (next == KEEL_SKIP || next == KEEL_SKIP_USER) {
		keel_skip(vcpu, exit->insn_len);
		next = next == KEEL_SKIP ? KEEL_RESUME : KEEL_USER;
	}
	return next;
}
