// SPDX-License-Identifier: GPL-2.0-only
/*
 * After an exit: harvest, classification, and the translation of exit codes into struct keel_exit.
 *
 * Owns the one table of exit codes. A code that needs no action of the host stands there too, with the
 * kind KEEL_EXIT_UNKNOWN, so that a report can name it. Does not act on an exit.
 *
 * Context: svm_after_exit() with IRQs off, on the hot path; svm_decode() loaded, IRQs on.
 * APM volume 2: "SVM Intercept Exit Codes", "Instruction Intercepts", "Next Sequential Instruction Pointer".
 */
#include <asm/processor-flags.h>
#include <keel/exit.h>
#include <keel/host.h>
#include <pure/svmqual.h>
#include <svm/svm.h>

typedef void svm_decode_fn(struct keel_vcpu *vcpu, const struct vmcb_control *control, struct keel_exit *exit);

/* svm_exit_row.flags */
enum {
	SVM_ROW_INSN	= 1 << 0,	/* NRIP, where saved, is behind the instruction that exited */
	SVM_ROW_IO	= 1 << 1,	/* EXITINFO2 is */
	SVM_ROW_MSR	= 1 << 2,	/* EXITINFO1 tells a write from a read */
	SVM_ROW_ODD	= 1 << 3,	/* after_exit_odd() has something to do */
};

struct svm_exit_row {
	svm_decode_fn *fn;	/* NULL: the kind says it all */
	u8 kind;		/* enum keel_exit_kind */
	u8 flags;		/* SVM_ROW_* */
	u8 needs;		/* KEEL_RG_* that fn reads */
	const char *name;
};

/* --- what the rows' functions fill ----------------------------------------------------------- */

static unsigned int code_of(const struct vmcb_control *control)
{
	return (u32)control->exit_code;
}

static void decode_cr(struct keel_vcpu *vcpu, const struct vmcb_control *control, struct keel_exit *exit)
{
	bool mov = svmqual_cr(control->exit_info1, &exit->reg.gpr);

	exit->reg.nr = code_of(control) & 0xf;
	exit->reg.read = exit->reg.lmsw = exit->reg.has_msw = false;
	/* Without the general register's number, or for CLTS and LMSW, the instruction must be decoded. */
	if (!(svm_hw.features & SVM_FEAT_DECODE) || !mov)
		exit->insn_len = 0;
}

/* MOV or LMSW: the instruction tells. */
static void decode_cr0_sel(struct keel_vcpu *vcpu, const struct vmcb_control *control, struct keel_exit *exit)
{
	exit->reg.nr = 0;
	exit->reg.read = exit->reg.has_msw = false;
	exit->insn_len = 0;
}

static void decode_exception(struct keel_vcpu *vcpu, const struct vmcb_control *control, struct keel_exit *exit)
{
	u8 vector = code_of(control) - SVM_EXIT_EXCEPTION;

	exit->exception.vector = vector;
	exit->exception.trap = false;
	exit->exception.has_error = event_has_error_code(vector);
	exit->exception.error_code = exit->exception.has_error ? control->exit_info1 : 0;
	exit->exception.payload = 0;
	if (vector == EVENT_PF)
		exit->exception.payload = control->exit_info2;
	else if (vector == EVENT_DB)
		/* The CPU has updated DR6 before the intercept; setting its bits again changes nothing. */
		exit->exception.payload = to_svm(vcpu)->vmcb->save.dr6 & REGS_DR6_VOLATILE;
}

static_assert(SVMQUAL_READ == KEEL_ACCESS_READ && SVMQUAL_WRITE == KEEL_ACCESS_WRITE &&
	      SVMQUAL_EXEC == KEEL_ACCESS_EXEC && SVMQUAL_TABLE == KEEL_ACCESS_TABLE);

static void decode_npf(struct keel_vcpu *vcpu, const struct vmcb_control *control, struct keel_exit *exit)
{
	struct svmqual_npf npf;

	svmqual_npf(control->exit_info1, &npf);
	exit->fault.gpa = to_gpa(control->exit_info2);
	exit->fault.access = npf.access;
	if (svm_hw.features & SVM_FEAT_DECODE) {
		exit->nr_bytes = control->nr_bytes & 0xf;
		memcpy(exit->bytes, control->bytes, sizeof(exit->bytes));
	}
}

static void decode_task(struct keel_vcpu *vcpu, const struct vmcb_control *control, struct keel_exit *exit)
{
	svmqual_task(control->exit_info1, control->exit_info2, control->exit_int_info, &exit->task);
}

/* --- the table ----------------------------------------------------------------------------------- */

#define CR_ROW(base, n, text) \
	[base + n] = { decode_cr, KEEL_EXIT_CR, SVM_ROW_INSN, 0, text " CR" #n }
#define CR_ROWS(base, text) \
	CR_ROW(base, 0, text), CR_ROW(base, 1, text), CR_ROW(base, 2, text), CR_ROW(base, 3, text), \
	CR_ROW(base, 4, text), CR_ROW(base, 5, text), CR_ROW(base, 6, text), CR_ROW(base, 7, text), \
	CR_ROW(base, 8, text), CR_ROW(base, 9, text), CR_ROW(base, 10, text), CR_ROW(base, 11, text), \
	CR_ROW(base, 12, text), CR_ROW(base, 13, text), CR_ROW(base, 14, text), CR_ROW(base, 15, text)

#define DR_ROW(base, n, text) \
	[base + n] = { NULL, KEEL_EXIT_DR, 0, 0, text " DR" #n }
#define DR_ROWS(base, text) \
	DR_ROW(base, 0, text), DR_ROW(base, 1, text), DR_ROW(base, 2, text), DR_ROW(base, 3, text), \
	DR_ROW(base, 4, text), DR_ROW(base, 5, text), DR_ROW(base, 6, text), DR_ROW(base, 7, text), \
	DR_ROW(base, 8, text), DR_ROW(base, 9, text), DR_ROW(base, 10, text), DR_ROW(base, 11, text), \
	DR_ROW(base, 12, text), DR_ROW(base, 13, text), DR_ROW(base, 14, text), DR_ROW(base, 15, text)

#define EXC_ROW(n, text) \
	[SVM_EXIT_EXCEPTION + n] = { decode_exception, KEEL_EXIT_EXCEPTION, 0, 0, text }

#define ROW(code, kind, flags, text)	[code] = { NULL, kind, flags, 0, text }
#define FN_ROW(code, kind, flags, fn, text) [code] = { fn, kind, flags, 0, text }
/* Not intercepted, or a feature that is never switched on. */
#define UNUSED_ROW(code, text)		[code] = { NULL, KEEL_EXIT_UNKNOWN, 0, 0, text }

#define TRAP_ROW(n) UNUSED_ROW(SVM_EXIT_CR_WRITE_TRAP + n, "CR" #n " write trap")

static const struct svm_exit_row svm_exits[SVM_EXIT_LOW_NR] = {
	CR_ROWS(SVM_EXIT_CR_READ, "read of"),
	CR_ROWS(SVM_EXIT_CR_WRITE, "write of"),
	DR_ROWS(SVM_EXIT_DR_READ, "read of"),
	DR_ROWS(SVM_EXIT_DR_WRITE, "write of"),

	EXC_ROW(0, "#DE"),
	[SVM_EXIT_EXCEPTION + 1] = { decode_exception, KEEL_EXIT_EXCEPTION, 0, KEEL_RG_DR, "#DB" },
	EXC_ROW(2, "vector 2"), EXC_ROW(3, "#BP"), EXC_ROW(4, "#OF"), EXC_ROW(5, "#BR"), EXC_ROW(6, "#UD"),
	EXC_ROW(7, "#NM"), EXC_ROW(8, "#DF"), EXC_ROW(9, "vector 9"), EXC_ROW(10, "#TS"), EXC_ROW(11, "#NP"),
	EXC_ROW(12, "#SS"), EXC_ROW(13, "#GP"), EXC_ROW(14, "#PF"), EXC_ROW(15, "vector 15"), EXC_ROW(16, "#MF"),
	EXC_ROW(17, "#AC"),
	ROW(SVM_EXIT_EXCEPTION + EVENT_MC, KEEL_EXIT_MCE, SVM_ROW_ODD, "#MC"),
	EXC_ROW(19, "#XF"), EXC_ROW(20, "vector 20"), EXC_ROW(21, "#CP"), EXC_ROW(22, "vector 22"),
	EXC_ROW(23, "vector 23"), EXC_ROW(24, "vector 24"), EXC_ROW(25, "vector 25"), EXC_ROW(26, "vector 26"),
	EXC_ROW(27, "vector 27"), EXC_ROW(28, "#HV"), EXC_ROW(29, "#VC"), EXC_ROW(30, "#SX"), EXC_ROW(31, "vector 31"),

	ROW(SVM_EXIT_INTR, KEEL_EXIT_HOST_IRQ, 0, "INTR"),
	ROW(SVM_EXIT_NMI, KEEL_EXIT_HOST_IRQ, 0, "NMI"),
	ROW(SVM_EXIT_SMI, KEEL_EXIT_HOST_IRQ, 0, "SMI"),
	ROW(SVM_EXIT_INIT, KEEL_EXIT_HOST_IRQ, 0, "INIT"),
	ROW(SVM_EXIT_VINTR, KEEL_EXIT_IRQ_WINDOW, SVM_ROW_ODD, "VINTR"),
	FN_ROW(SVM_EXIT_CR0_SEL_WRITE, KEEL_EXIT_CR, 0, decode_cr0_sel, "CR0 selective write"),
	UNUSED_ROW(SVM_EXIT_IDTR_READ, "SIDT"),
	UNUSED_ROW(SVM_EXIT_GDTR_READ, "SGDT"),
	UNUSED_ROW(SVM_EXIT_LDTR_READ, "SLDT"),
	UNUSED_ROW(SVM_EXIT_TR_READ, "STR"),
	UNUSED_ROW(SVM_EXIT_IDTR_WRITE, "LIDT"),
	UNUSED_ROW(SVM_EXIT_GDTR_WRITE, "LGDT"),
	UNUSED_ROW(SVM_EXIT_LDTR_WRITE, "LLDT"),
	UNUSED_ROW(SVM_EXIT_TR_WRITE, "LTR"),
	UNUSED_ROW(SVM_EXIT_RDTSC, "RDTSC"),
	ROW(SVM_EXIT_RDPMC, KEEL_EXIT_RDPMC, SVM_ROW_INSN, "RDPMC"),
	UNUSED_ROW(SVM_EXIT_PUSHF, "PUSHF"),
	UNUSED_ROW(SVM_EXIT_POPF, "POPF"),
	ROW(SVM_EXIT_CPUID, KEEL_EXIT_CPUID, SVM_ROW_INSN, "CPUID"),
	ROW(SVM_EXIT_RSM, KEEL_EXIT_RSM, 0, "RSM"),
	ROW(SVM_EXIT_IRET, KEEL_EXIT_NONE, SVM_ROW_ODD, "IRET"),
	ROW(SVM_EXIT_SWINT, KEEL_EXIT_SOFT_INT, 0, "INT n"),
	ROW(SVM_EXIT_INVD, KEEL_EXIT_WBINVD, SVM_ROW_INSN, "INVD"),
	ROW(SVM_EXIT_PAUSE, KEEL_EXIT_PAUSE, SVM_ROW_INSN, "PAUSE"),
	ROW(SVM_EXIT_HLT, KEEL_EXIT_HLT, SVM_ROW_INSN, "HLT"),
	ROW(SVM_EXIT_INVLPG, KEEL_EXIT_INVLPG, SVM_ROW_INSN, "INVLPG"),
	ROW(SVM_EXIT_INVLPGA, KEEL_EXIT_UD, 0, "INVLPGA"),
	ROW(SVM_EXIT_IOIO, KEEL_EXIT_IO, SVM_ROW_IO, "IOIO"),
	ROW(SVM_EXIT_MSR, KEEL_EXIT_RDMSR, SVM_ROW_INSN | SVM_ROW_MSR, "MSR"),
	FN_ROW(SVM_EXIT_TASK_SWITCH, KEEL_EXIT_TASK_SWITCH, 0, decode_task, "task switch"),
	UNUSED_ROW(SVM_EXIT_FERR_FREEZE, "FERR freeze"),
	ROW(SVM_EXIT_SHUTDOWN, KEEL_EXIT_SHUTDOWN, SVM_ROW_ODD, "shutdown"),
	ROW(SVM_EXIT_VMRUN, KEEL_EXIT_UD, 0, "VMRUN"),
	ROW(SVM_EXIT_VMMCALL, KEEL_EXIT_HYPERCALL, SVM_ROW_INSN, "VMMCALL"),
	ROW(SVM_EXIT_VMLOAD, KEEL_EXIT_UD, 0, "VMLOAD"),
	ROW(SVM_EXIT_VMSAVE, KEEL_EXIT_UD, 0, "VMSAVE"),
	ROW(SVM_EXIT_STGI, KEEL_EXIT_UD, 0, "STGI"),
	ROW(SVM_EXIT_CLGI, KEEL_EXIT_UD, 0, "CLGI"),
	ROW(SVM_EXIT_SKINIT, KEEL_EXIT_UD, 0, "SKINIT"),
	UNUSED_ROW(SVM_EXIT_RDTSCP, "RDTSCP"),
	UNUSED_ROW(SVM_EXIT_ICEBP, "ICEBP"),
	ROW(SVM_EXIT_WBINVD, KEEL_EXIT_WBINVD, SVM_ROW_INSN, "WBINVD"),
	ROW(SVM_EXIT_MONITOR, KEEL_EXIT_MWAIT, SVM_ROW_INSN, "MONITOR"),
	ROW(SVM_EXIT_MWAIT, KEEL_EXIT_MWAIT, SVM_ROW_INSN, "MWAIT"),
	ROW(SVM_EXIT_MWAIT_ARMED, KEEL_EXIT_MWAIT, SVM_ROW_INSN, "MWAIT, armed"),
	ROW(SVM_EXIT_XSETBV, KEEL_EXIT_XSETBV, SVM_ROW_INSN, "XSETBV"),
	ROW(SVM_EXIT_RDPRU, KEEL_EXIT_UD, 0, "RDPRU"),
	UNUSED_ROW(SVM_EXIT_EFER_WRITE_TRAP, "EFER write trap"),
	TRAP_ROW(0), TRAP_ROW(1), TRAP_ROW(2), TRAP_ROW(3), TRAP_ROW(4), TRAP_ROW(5), TRAP_ROW(6), TRAP_ROW(7),
	TRAP_ROW(8), TRAP_ROW(9), TRAP_ROW(10), TRAP_ROW(11), TRAP_ROW(12), TRAP_ROW(13), TRAP_ROW(14), TRAP_ROW(15),
	ROW(SVM_EXIT_INVLPGB, KEEL_EXIT_UD, 0, "INVLPGB"),
	ROW(SVM_EXIT_INVLPGB_ILLEGAL, KEEL_EXIT_UD, 0, "INVLPGB, illegal"),
	UNUSED_ROW(SVM_EXIT_INVPCID, "INVPCID"),
	ROW(SVM_EXIT_MCOMMIT, KEEL_EXIT_UD, 0, "MCOMMIT"),
	ROW(SVM_EXIT_TLBSYNC, KEEL_EXIT_UD, 0, "TLBSYNC"),
	UNUSED_ROW(SVM_EXIT_BUSLOCK, "bus lock"),
	UNUSED_ROW(SVM_EXIT_IDLE_HLT, "idle HLT"),
};

static const struct svm_exit_row svm_exits_high[] = {
	FN_ROW(SVM_EXIT_NPF - SVM_EXIT_NPF, KEEL_EXIT_FAULT, 0, decode_npf, "nested page fault"),
	UNUSED_ROW(SVM_EXIT_AVIC_IPI - SVM_EXIT_NPF, "AVIC incomplete IPI"),
	UNUSED_ROW(SVM_EXIT_AVIC_NOACCEL - SVM_EXIT_NPF, "AVIC unaccelerated access"),
	UNUSED_ROW(SVM_EXIT_VMGEXIT - SVM_EXIT_NPF, "VMGEXIT"),
};

/* The code's upper half is zero, or all ones for the negative codes; some CPUs store 32 bits only. */
static const struct svm_exit_row svm_exit_invalid = {
	NULL, KEEL_EXIT_BAD_ENTRY, SVM_ROW_ODD, 0, "invalid guest state"
};

static const struct svm_exit_row svm_exit_other = { NULL, KEEL_EXIT_UNKNOWN, 0, 0, "unknown code" };

static __always_inline const struct svm_exit_row *row_of(u32 code)
{
	if (likely(code < SVM_EXIT_LOW_NR))
		return &svm_exits[code];
	if (likely(code - SVM_EXIT_NPF < ARRAY_SIZE(svm_exits_high)))
		return &svm_exits_high[code - SVM_EXIT_NPF];
	return code == (u32)SVM_EXIT_INVALID ? &svm_exit_invalid : &svm_exit_other;
}

const char *svm_exit_name(u64 code)
{
	const char *name = row_of(code)->name;

	return name ? name : svm_exit_other.name;
}

/* --- the hot path ---------------------------------------------------------------------------------- */

/* Exits that change the vendor's own state. */
static noinline void after_exit_odd(struct keel_vcpu *vcpu, u32 code)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	switch (code) {
	case SVM_EXIT_VINTR:
		svm->windows &= ~KEEL_WINDOW_IRQ;
		svm_event_intercepts(vcpu);
		break;
	case SVM_EXIT_IRET:
		svm_iret_begin(vcpu);
		break;
	case SVM_EXIT_EXCEPTION + EVENT_MC:
		/* Before this thread can move: another check in this CPU would shut it down. */
		keel_host_machine_check();
		break;
	case SVM_EXIT_SHUTDOWN:
		svm_save_reset(svm);
		vcpu->arch.regs.rip = svm->vmcb->save.rip;
		vcpu->arch.regs.rflags = svm->vmcb->save.rflags;
		vcpu->arch.events.shadow = 0;
		break;
	default:
		/* Refused: nothing was loaded, so the CPU may hold none of it. */
		svm->vmcb->control.clean = 0;
	}
}

/* What few exits need. */
static noinline enum keel_exit_kind after_exit_slow(struct keel_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	const struct vmcb_control *control = &svm->vmcb->control;
	u32 code = control->exit_code;
	const struct svm_exit_row *row = row_of(code);
	bool failed = row->kind == KEEL_EXIT_BAD_ENTRY;

	if (row->flags & SVM_ROW_ODD)
		after_exit_odd(vcpu, code);
	if (control->tlb_control && !failed)
		svm_asid_flushed(svm);
	if ((svm->event_inj | control->exit_int_info) & SVM_EVENT_VALID)
		svm_events_harvest(vcpu, failed);
	if ((svm->step.iret || svm->step.trap) && svm_step_harvest(vcpu, code))
		svm->kind = KEEL_EXIT_NMI_WINDOW;
	return svm->kind;
}

/* Port I/O is decoded at once: the fast path has a use for it. */
static __always_inline bool after_exit_io(struct keel_exit *exit, u64 info1)
{
	struct svmqual_io io;
	bool valid = svmqual_io(info1, &io);

	exit->io.port = io.port;
	exit->io.size = io.size;
	exit->io.in = io.in;
	exit->io.string = io.string;
	return valid;
}

notrace enum keel_exit_kind svm_after_exit(struct keel_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct keel_regs *regs = &vcpu->arch.regs;
	struct vmcb *vmcb = svm->vmcb;
	struct vmcb_control *control = &vmcb->control;
	u32 code = control->exit_code;
	const struct svm_exit_row *row = row_of(code);
	u64 rip = vmcb->save.rip, len = 0;
	u8 kind, flags;

	/* Or the compiler makes three paths of row_of()'s three tables. */
	OPTIMIZER_HIDE_VAR(row);
	kind = row->kind;
	flags = row->flags;
	regs->gpr[KEEL_RAX] = vmcb->save.rax;
	regs->gpr[KEEL_RSP] = vmcb->save.rsp;
	regs->rip = rip;
	regs->rflags = vmcb->save.rflags;
	regs->cr8 = control->int_ctl & SVM_INT_TPR;
	regs->valid = KEEL_RG_GPR;
	/* One bit for both kinds here; the stricter one also holds NMIs off. */
	static_assert(SVM_INT_STATE_SHADOW == 1);
	vcpu->arch.events.shadow = (control->int_state & SVM_INT_STATE_SHADOW) *
				   (EVENT_SHADOW_MOV_SS | EVENT_SHADOW_STI);
	control->clean = SVM_CLEAN_ALL;

	if (flags & SVM_ROW_IO) {
		len = control->exit_info2 - rip;
		if (unlikely(!after_exit_io(&vcpu->arch.exit, control->exit_info1)))
			kind = KEEL_EXIT_UNKNOWN;
	} else if (flags & SVM_ROW_INSN) {
		if (svm_hw.nrips)
			len = control->next_rip - rip;
		if (flags & SVM_ROW_MSR && control->exit_info1 & 1)
			kind = KEEL_EXIT_WRMSR;
	}
	vcpu->arch.insn_len = len <= 15 ? len : 0;
	svm->kind = kind;

	if (unlikely((flags & SVM_ROW_ODD) | control->tlb_control | svm->step.iret | svm->step.trap ||
		     (svm->event_inj | control->exit_int_info) & SVM_EVENT_VALID))
		return after_exit_slow(vcpu);
	return kind;
}

static noinline void decode_by_row(struct keel_vcpu *vcpu, const struct vmcb_control *control, struct keel_exit *exit)
{
	const struct svm_exit_row *row = row_of(control->exit_code);

	if (row->needs & ~vcpu->arch.regs.valid)
		svm_regs_load(vcpu, row->needs);
	if (row->fn)
		row->fn(vcpu, control, exit);
}

void svm_exit_info(struct keel_vcpu *vcpu, struct keel_exit_info *info)
{
	const struct vmcb_control *control = &to_svm(vcpu)->vmcb->control;

	*info = (struct keel_exit_info){
		.isa = KEEL_ISA_SVM,
		.reason = control->exit_code,
		.info1 = control->exit_info1,
		.info2 = control->exit_info2,
		.event = control->exit_int_info,
		.error_code = control->exit_int_info >> 32,
	};
}

void svm_decode(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	const struct vmcb_control *control = &svm->vmcb->control;

	exit->hw_reason = control->exit_code;
	exit->kind = svm->kind;
	exit->insn_len = vcpu->arch.insn_len;
	exit->nr_bytes = 0;
	/* The most frequent one that is decoded at all goes without the table. */
	if (likely(control->exit_code == SVM_EXIT_NPF))
		decode_npf(vcpu, control, exit);
	else
		decode_by_row(vcpu, control, exit);
}
