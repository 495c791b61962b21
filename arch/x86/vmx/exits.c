// SPDX-License-Identifier: GPL-2.0-only
/*
 * After an exit: harvest, classification, and the translation of exit reasons into struct
 * keel_exit.
 *
 * Owns the one table of exit reasons. A reason that needs no action of the host, or never comes
 * with the controls in use, stands there too, with the kind KEEL_EXIT_UNKNOWN, so that a report can
 * name it. Does not act on an exit, but for what the host has to take before anything else: NMIs
 * and machine checks.
 *
 * Context: vmx_after_exit() with IRQs off, on the hot path; vmx_decode() loaded, IRQs on. SDM
 * volume 3: "VM Exits", appendix "VMX Basic Exit Reasons".
 */
#include <keel/exit.h>
#include <pure/vmxqual.h>
#include <vmx/vmx.h>

typedef void vmx_decode_fn(struct keel_vcpu *vcpu, struct keel_exit *exit);

/* vmx_exit_row.flags */
enum {
	VMX_ROW_INSN	= 1 << 0,	/* the instruction's length is reported; never with another flag */
	VMX_ROW_IO	= 1 << 1,	/* the same of port I/O, which is decoded at once */
	VMX_ROW_ODD	= 1 << 2,	/* after_exit_odd() has something to do */
	VMX_ROW_EVENT	= 1 << 3,	/* may have cut an event's delivery, or an IRET's unmasking of NMIs */
};

struct vmx_exit_row {
	vmx_decode_fn *fn;	/* NULL: the kind says it all */
	u8 kind;		/* enum keel_exit_kind */
	u8 flags;		/* VMX_ROW_* */
	const char *name;
};

/* --- what the rows' functions fill ----------------------------------------------------------- */

static_assert(VMXQUAL_READ == KEEL_ACCESS_READ && VMXQUAL_WRITE == KEEL_ACCESS_WRITE &&
	      VMXQUAL_EXEC == KEEL_ACCESS_EXEC && VMXQUAL_TABLE == KEEL_ACCESS_TABLE);

static void decode_ept(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	exit->fault.gpa = to_gpa(vmx_read(VMCS_GUEST_PHYSICAL));
	exit->fault.access = vmxqual_ept(vmx_read(VMCS_QUALIFICATION));
}

static void decode_event(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	u32 word = vmx_read(VMCS_EXIT_EVENT);
	u8 vector = vmxqual_event_vector(word);

	exit->exception.vector = vector;
	exit->exception.has_error = word & VMXQUAL_EVENT_HAS_ERROR;
	exit->exception.error_code = exit->exception.has_error ? vmx_read(VMCS_EXIT_ERROR) : 0;
	exit->exception.payload = 0;
	if (vector == EVENT_PF || vector == EVENT_DB)
		exit->exception.payload = vmx_read(VMCS_QUALIFICATION);
	/* INT1 is reported with RIP still on it. */
	exit->exception.trap = vmxqual_event_type(word) == VMXQUAL_INT1;
	if (exit->exception.trap)
		exit->insn_len = vmx_read(VMCS_INSN_LEN);
}

static void decode_cr(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	struct vmxqual_cr cr;

	vmxqual_cr(vmx_read(VMCS_QUALIFICATION), &cr);
	exit->reg.nr = cr.nr;
	exit->reg.gpr = cr.gpr;
	exit->reg.read = cr.kind == VMXQUAL_CR_READ;
	exit->reg.lmsw = exit->reg.has_msw = cr.kind == VMXQUAL_CR_LMSW;
	exit->reg.msw = cr.msw;
	/* CR0.TS is the guest's. */
	if (cr.kind == VMXQUAL_CR_CLTS)
		exit->kind = KEEL_EXIT_UNKNOWN;
}

static void decode_task(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	u32 vectoring = vmx_read(VMCS_VECTORING), error = 0;

	if (vectoring & VMXQUAL_EVENT_HAS_ERROR)
		error = vmx_read(VMCS_VECTORING_ERROR);
	vmxqual_task(vmx_read(VMCS_QUALIFICATION), vectoring, error, &exit->task);
}

/* --- the table --------------------------------------------------------------------------------- */

#define ROW(reason, kind, flags, text)		[reason] = { NULL, kind, flags, text }
#define FN_ROW(reason, kind, flags, fn, text)	[reason] = { fn, kind, flags, text }
/* Not asked for, or a feature that is never switched on. */
#define UNUSED_ROW(reason, text)		[reason] = { NULL, KEEL_EXIT_UNKNOWN, 0, text }
/* Instructions of VT-x and others that a guest does not have. */
#define UD_ROW(reason, text)			[reason] = { NULL, KEEL_EXIT_UD, 0, text }

static const struct vmx_exit_row vmx_exits[VMX_REASON_NR] = {
	FN_ROW(VMX_REASON_EVENT, KEEL_EXIT_EXCEPTION, VMX_ROW_ODD | VMX_ROW_EVENT, decode_event,
	       "exception or NMI"),
	ROW(VMX_REASON_INTR, KEEL_EXIT_HOST_IRQ, VMX_ROW_ODD, "external interrupt"),
	ROW(VMX_REASON_TRIPLE_FAULT, KEEL_EXIT_SHUTDOWN, 0, "triple fault"),
	ROW(VMX_REASON_INIT, KEEL_EXIT_HOST_IRQ, 0, "INIT"),
	UNUSED_ROW(VMX_REASON_SIPI, "SIPI"),
	ROW(VMX_REASON_IO_SMI, KEEL_EXIT_HOST_IRQ, 0, "I/O SMI"),
	ROW(VMX_REASON_SMI, KEEL_EXIT_HOST_IRQ, 0, "SMI"),
	ROW(VMX_REASON_INTR_WINDOW, KEEL_EXIT_IRQ_WINDOW, VMX_ROW_ODD, "interrupt window"),
	ROW(VMX_REASON_NMI_WINDOW, KEEL_EXIT_NMI_WINDOW, VMX_ROW_ODD, "NMI window"),
	FN_ROW(VMX_REASON_TASK_SWITCH, KEEL_EXIT_TASK_SWITCH, VMX_ROW_EVENT, decode_task,
	       "task switch"),
	ROW(VMX_REASON_CPUID, KEEL_EXIT_CPUID, VMX_ROW_INSN, "CPUID"),
	UD_ROW(VMX_REASON_GETSEC, "GETSEC"),
	ROW(VMX_REASON_HLT, KEEL_EXIT_HLT, VMX_ROW_INSN, "HLT"),
	ROW(VMX_REASON_INVD, KEEL_EXIT_WBINVD, VMX_ROW_INSN, "INVD"),
	ROW(VMX_REASON_INVLPG, KEEL_EXIT_INVLPG, VMX_ROW_INSN, "INVLPG"),
	ROW(VMX_REASON_RDPMC, KEEL_EXIT_RDPMC, VMX_ROW_INSN, "RDPMC"),
	UNUSED_ROW(VMX_REASON_RDTSC, "RDTSC"),
	UD_ROW(VMX_REASON_RSM, "RSM"),
	ROW(VMX_REASON_VMCALL, KEEL_EXIT_HYPERCALL, VMX_ROW_INSN, "VMCALL"),
	UD_ROW(VMX_REASON_VMCLEAR, "VMCLEAR"),
	UD_ROW(VMX_REASON_VMLAUNCH, "VMLAUNCH"),
	UD_ROW(VMX_REASON_VMPTRLD, "VMPTRLD"),
	UD_ROW(VMX_REASON_VMPTRST, "VMPTRST"),
	UD_ROW(VMX_REASON_VMREAD, "VMREAD"),
	UD_ROW(VMX_REASON_VMRESUME, "VMRESUME"),
	UD_ROW(VMX_REASON_VMWRITE, "VMWRITE"),
	UD_ROW(VMX_REASON_VMXOFF, "VMXOFF"),
	UD_ROW(VMX_REASON_VMXON, "VMXON"),
	FN_ROW(VMX_REASON_CR, KEEL_EXIT_CR, VMX_ROW_INSN, decode_cr, "control register"),
	ROW(VMX_REASON_DR, KEEL_EXIT_DR, 0, "debug register"),
	ROW(VMX_REASON_IO, KEEL_EXIT_IO, VMX_ROW_IO, "port I/O"),
	ROW(VMX_REASON_RDMSR, KEEL_EXIT_RDMSR, VMX_ROW_INSN, "RDMSR"),
	ROW(VMX_REASON_WRMSR, KEEL_EXIT_WRMSR, VMX_ROW_INSN, "WRMSR"),
	ROW(VMX_REASON_BAD_GUEST, KEEL_EXIT_BAD_ENTRY, 0, "invalid guest state"),
	ROW(VMX_REASON_BAD_MSR, KEEL_EXIT_BAD_ENTRY, 0, "MSR loading"),
	UNUSED_ROW(35, "reason 35"),
	ROW(VMX_REASON_MWAIT, KEEL_EXIT_MWAIT, VMX_ROW_INSN, "MWAIT"),
	UNUSED_ROW(VMX_REASON_MTF, "monitor trap flag"),
	UNUSED_ROW(38, "reason 38"),
	ROW(VMX_REASON_MONITOR, KEEL_EXIT_MWAIT, VMX_ROW_INSN, "MONITOR"),
	ROW(VMX_REASON_PAUSE, KEEL_EXIT_PAUSE, VMX_ROW_INSN, "PAUSE"),
	ROW(VMX_REASON_ENTRY_MC, KEEL_EXIT_BAD_ENTRY, 0, "machine check at entry"),
	UNUSED_ROW(42, "reason 42"),
	ROW(VMX_REASON_TPR, KEEL_EXIT_TPR, 0, "TPR below threshold"),
	UNUSED_ROW(VMX_REASON_APIC_ACCESS, "APIC access"),
	FN_ROW(VMX_REASON_EOI, KEEL_EXIT_EOI, 0, vmx_apicv_decode, "virtualized EOI"),
	UNUSED_ROW(VMX_REASON_GDT_IDT, "GDTR or IDTR"),
	UNUSED_ROW(VMX_REASON_LDT_TR, "LDTR or TR"),
	FN_ROW(VMX_REASON_EPT_VIOLATION, KEEL_EXIT_FAULT, VMX_ROW_EVENT, decode_ept,
	       "EPT violation"),
	ROW(VMX_REASON_EPT_MISCONFIG, KEEL_EXIT_UNKNOWN, VMX_ROW_EVENT, "EPT misconfiguration"),
	UD_ROW(VMX_REASON_INVEPT, "INVEPT"),
	UNUSED_ROW(VMX_REASON_RDTSCP, "RDTSCP"),
	ROW(VMX_REASON_TIMER, KEEL_EXIT_HOST_IRQ, VMX_ROW_ODD, "preemption timer"),
	UD_ROW(VMX_REASON_INVVPID, "INVVPID"),
	ROW(VMX_REASON_WBINVD, KEEL_EXIT_WBINVD, VMX_ROW_INSN, "WBINVD"),
	ROW(VMX_REASON_XSETBV, KEEL_EXIT_XSETBV, VMX_ROW_INSN, "XSETBV"),
	FN_ROW(VMX_REASON_APIC_WRITE, KEEL_EXIT_APIC_WRITE, 0, vmx_apicv_decode, "APIC write"),
	UD_ROW(VMX_REASON_RDRAND, "RDRAND"),
	UNUSED_ROW(VMX_REASON_INVPCID, "INVPCID"),
	UD_ROW(VMX_REASON_VMFUNC, "VMFUNC"),
	UD_ROW(VMX_REASON_ENCLS, "ENCLS"),
	UD_ROW(VMX_REASON_RDSEED, "RDSEED"),
	ROW(VMX_REASON_PML_FULL, KEEL_EXIT_HOST_IRQ, VMX_ROW_EVENT, "page-modification log full"),
	UD_ROW(VMX_REASON_XSAVES, "XSAVES"),
	UD_ROW(VMX_REASON_XRSTORS, "XRSTORS"),
	UD_ROW(VMX_REASON_PCONFIG, "PCONFIG"),
	UNUSED_ROW(VMX_REASON_SPP, "sub-page permissions"),
	UD_ROW(VMX_REASON_UMWAIT, "UMWAIT"),
	UD_ROW(VMX_REASON_TPAUSE, "TPAUSE"),
	UD_ROW(VMX_REASON_LOADIWKEY, "LOADIWKEY"),
	UD_ROW(VMX_REASON_ENCLV, "ENCLV"),
	UNUSED_ROW(71, "reason 71"),
	UNUSED_ROW(VMX_REASON_ENQCMD_PASID, "ENQCMD PASID"),
	UNUSED_ROW(VMX_REASON_ENQCMDS_PASID, "ENQCMDS PASID"),
	UNUSED_ROW(VMX_REASON_BUS_LOCK, "bus lock"),
	UNUSED_ROW(VMX_REASON_NOTIFY, "notify window"),
	UD_ROW(VMX_REASON_SEAMCALL, "SEAMCALL"),
	UD_ROW(VMX_REASON_TDCALL, "TDCALL"),
};

static const struct vmx_exit_row vmx_exit_other = { NULL, KEEL_EXIT_UNKNOWN, 0, "unknown reason" };

static __always_inline const struct vmx_exit_row *row_of(u32 reason)
{
	u16 basic = reason;

	if (likely(basic < VMX_REASON_NR))
		return &vmx_exits[basic];
	return &vmx_exit_other;
}

const char *vmx_reason_name(u32 reason)
{
	return row_of(reason)->name;
}

/* --- the hot path ------------------------------------------------------------------------------ */

/* An exception or NMI ended the run. The host's own are taken here, on this CPU, before anything else. */
static u8 after_exit_event(u32 word)
{
	if (vmxqual_event_type(word) == VMXQUAL_NMI) {
		vmx_host_nmi();
		return KEEL_EXIT_HOST_IRQ;
	}
	if (vmxqual_event_type(word) == VMXQUAL_EXCEPTION && vmxqual_event_vector(word) == EVENT_MC) {
		asm volatile("int $18");
		return KEEL_EXIT_HOST_IRQ;
	}
	return KEEL_EXIT_EXCEPTION;
}

static noinline enum keel_exit_kind after_exit_slow(struct keel_vcpu *vcpu, u32 reason, u8 flags)
{
	struct event_state *events = &vcpu->arch.events;
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u64 word = 0;

	if (reason == VMX_REASON_EVENT) {
		word = vmx_read(VMCS_EXIT_EVENT);
		vmx->kind = after_exit_event(word);
		/* Of a double fault the bit says nothing. */
		if (vmxqual_event_vector(word) == EVENT_DF)
			word = 0;
	} else if (reason == VMX_REASON_EPT_VIOLATION || reason == VMX_REASON_PML_FULL) {
		word = vmx_read(VMCS_QUALIFICATION);
	} else if (reason == VMX_REASON_NMI_WINDOW) {
		events->shadow &= ~EVENT_SHADOW_STI;
	} else if (reason == VMX_REASON_TIMER) {
		vmx_write(VMCS_GUEST_TIMER, vmx_hw.stay);
	}
	if (flags & VMX_ROW_EVENT) {
		if (vmxqual_iret(word, vmx_read(VMCS_VECTORING)))
			events->nmi_masked = true;
		vmx_events_harvest(vcpu);
	}
	/* Of the exits that a CPU can take in HLT, none goes another way. */
	if (vmx->halts && vmx_read(VMCS_GUEST_ACTIVITY) != VMX_ACTIVITY_ACTIVE)
		vmx_write(VMCS_GUEST_ACTIVITY, VMX_ACTIVITY_ACTIVE);
	return vmx->kind;
}

/* The guest has not run: nothing of it has changed, and what was to be injected is still due. */
static noinline enum keel_exit_kind after_no_run(struct keel_vcpu *vcpu, u32 reason)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx->reason = reason;
	vmx->kind = KEEL_EXIT_BAD_ENTRY;
	if (vmx->status == VMX_REFUSED)
		vmx->reason = vmx_read(VMCS_INSN_ERROR);
	vmx_events_failed(vcpu);
	if (vmx->status == VMX_FAULTED) {
		vmx->kind = KEEL_EXIT_HOST_IRQ;
	} else if (reason == (VMX_REASON_FAILED | VMX_REASON_ENTRY_MC)) {
		asm volatile("int $18");
		vmx->kind = KEEL_EXIT_HOST_IRQ;
	}
	vcpu->arch.insn_len = 0;
	return vmx->kind;
}

/* Port I/O is decoded at once: the fast path has a use for it. */
static __always_inline bool after_exit_io(struct keel_exit *exit)
{
	struct vmxqual_io io;
	bool valid = vmxqual_io(vmx_read_hot(VMCS_QUALIFICATION), &io);

	exit->io.port = io.port;
	exit->io.size = io.size;
	exit->io.in = io.in;
	exit->io.string = io.string;
	return valid;
}

static __always_inline void harvest(struct keel_vcpu *vcpu, struct vmx_vcpu *vmx)
{
	struct keel_regs *regs = &vcpu->arch.regs;
	struct event_state *events = &vcpu->arch.events;
	u32 blocking = vmx_read_hot(VMCS_GUEST_BLOCKING);

	vmx->rip = regs->rip = vmx_read_hot(VMCS_GUEST_RIP);
	vmx->rsp = regs->gpr[KEEL_RSP] = vmx_read_hot(VMCS_GUEST_RSP);
	vmx->rflags = regs->rflags = vmx_read_hot(VMCS_GUEST_RFLAGS);
	vmx->blocking = blocking;
	regs->cr8 = *vmx->tpr >> 4;
	regs->valid = KEEL_RG_GPR;
	events->shadow = 0;
	events->nmi_masked = false;
	if (unlikely(blocking)) {
		events->shadow = vmxqual_shadow(blocking);
		events->nmi_masked = blocking & VMXQUAL_BLOCK_NMI;
	}
}

enum keel_exit_kind vmx_after_exit(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	const struct vmx_exit_row *row;
	u32 reason = 0;
	u8 kind, flags;

	if (likely(vmx->status == VMX_RAN))
		reason = vmx_read_hot(VMCS_EXIT_REASON);
	if (unlikely(vmx->odd | (reason & VMX_REASON_FAILED))) {
		if (vmx->status != VMX_RAN || reason & VMX_REASON_FAILED)
			return after_no_run(vcpu, reason);
		vmx_pml_drain(vcpu);
	}
	row = row_of(reason);
	kind = row->kind;
	flags = row->flags;
	vmx->reason = reason;
	vmx->run.launched = 1;
	vmx->entry_event = 0;
	harvest(vcpu, vmx);

	vmx->kind = kind;
	if (likely(flags == VMX_ROW_INSN)) {
		vcpu->arch.insn_len = vmx_read_hot(VMCS_INSN_LEN);
		return kind;
	}
	if (flags == VMX_ROW_IO) {
		vcpu->arch.insn_len = vmx_read_hot(VMCS_INSN_LEN);
		if (unlikely(!after_exit_io(&vcpu->arch.exit)))
			vmx->kind = kind = KEEL_EXIT_UNKNOWN;
		return kind;
	}
	vcpu->arch.insn_len = 0;
	return flags ? after_exit_slow(vcpu, reason, flags) : kind;
}

void vmx_exit_info(struct keel_vcpu *vcpu, struct keel_exit_info *info)
{
	*info = (struct keel_exit_info){
		.isa = KEEL_ISA_VMX,
		.reason = to_vmx(vcpu)->reason,
		.info1 = vmx_read(VMCS_QUALIFICATION),
		.info2 = vmx_read(VMCS_VECTORING),
		.event = vmx_read(VMCS_EXIT_EVENT),
		.error_code = vmx_read(VMCS_EXIT_ERROR),
	};
}

void vmx_decode(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	const struct vmx_exit_row *row = row_of(vmx->reason);

	exit->hw_reason = vmx->reason;
	exit->kind = vmx->kind;
	exit->insn_len = vcpu->arch.insn_len;
	exit->nr_bytes = 0;
	/* With IRQs off it is the fast path that asks, which touches nothing worth a guest's while. */
	vmx->l1d_dirty |= !irqs_disabled();
	if (row->fn && row->kind == vmx->kind)
		row->fn(vcpu, exit);
}
