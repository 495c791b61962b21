// SPDX-License-Identifier: GPL-2.0-only
/*
 * Debug registers, the guest's and a debugger's, and KVM_SET_GUEST_DEBUG.
 *
 * The guest's are out of the CPU, and accesses exit, until the guest touches one. Then it gets them for
 * itself: DR0 to DR3 are switched around each stay in the guest, and accesses no longer exit, until KVM_RUN
 * returns with no breakpoint armed.
 *
 * A debugger in user space that single-steps or sets hardware breakpoints owns the CPU's debug registers. What
 * the guest has in its own stays in keel_regs, its accesses exit and are emulated, and every #DB goes to user
 * space, which gives back what is not its own as an event. RFLAGS.TF is set within KVM_RUN only; a TF that the
 * guest's own POPF or IRET sets while it is stepped is lost. Software breakpoints need no more than the #BP.
 *
 * Owns: regs.dr[], arch.debug_active, arch.debug. Does not own: DR6 and DR7, which the hardware switches
 * (vendor group KEEL_RG_DR). Contexts: vCPU loaded; enter and leave with IRQs off.
 * AMD APM vol. 2 "Debug Registers"; Intel SDM vol. 3 "Debug Registers"; KVM API, KVM_SET_GUEST_DEBUG.
 */
#include "core.h"
#include <asm/debugreg.h>
#include <linux/hw_breakpoint.h>

#define DR7_ARMED 0xffu		/* L0, G0 ... L3, G3 */
#define CR4_DE BIT64(3)

void keel_debug_take(struct keel_vcpu *vcpu)
{
	vcpu->arch.debug_active = true;
	vcpu->arch.controls_stale = true;
}

static bool armed(struct keel_vcpu *vcpu)
{
	keel_regs_need(vcpu, KEEL_RG_DR);
	return vcpu->arch.regs.dr7 & DR7_ARMED;
}

void keel_debug_release(struct keel_vcpu *vcpu)
{
	struct keel_debug *debug = &vcpu->arch.debug;

	if (debug->tf) {
		vcpu->arch.regs.rflags &= ~X86_RFLAGS_TF;
		debug->tf = false;
		keel_regs_dirty(vcpu, KEEL_RG_GPR);
		if (vcpu->arch.uexit.pending == KEEL_PENDING_IN)
			vcpu->arch.uexit.pending = KEEL_PENDING_IN_STEP;
	}
	if (debug->soft) {
		vcpu->arch.regs.rip = debug->soft_rip;
		debug->soft = false;
		keel_regs_dirty(vcpu, KEEL_RG_GPR);
	}
	if (debug->control || armed(vcpu))
		return;
	vcpu->arch.debug_active = false;
	vcpu->arch.controls_stale = true;
}

void keel_debug_update(struct keel_vcpu *vcpu)
{
	if (armed(vcpu))
		keel_debug_take(vcpu);
}

/* The addresses that go with keel_debug_dr7(). */
static const u64 *addresses(const struct keel_vcpu *vcpu)
{
	const struct keel_debug *debug = &vcpu->arch.debug;

	return debug->control & KVM_GUESTDBG_USE_HW_BP ? debug->dr : vcpu->arch.regs.dr;
}

/* Have the CPU trap after the next instruction. In a shadow it would trap at once, having executed none. */
static void step(struct keel_vcpu *vcpu)
{
	u64 *rflags = &vcpu->arch.regs.rflags;

	if (!(*rflags & X86_RFLAGS_TF))
		vcpu->arch.debug.tf = true;
	*rflags |= X86_RFLAGS_TF;
	vcpu->arch.events.shadow = 0;
}

void keel_debug_enter(struct keel_vcpu *vcpu)
{
	const u64 *dr = addresses(vcpu);

	if (keel_debug_stepping(&vcpu->arch))
		step(vcpu);
	set_debugreg(0, 7);
	set_debugreg(dr[0], 0);
	set_debugreg(dr[1], 1);
	set_debugreg(dr[2], 2);
	set_debugreg(dr[3], 3);
}

static u64 read_dr(int nr)
{
	unsigned long value;

	get_debugreg(value, nr);
	return value;
}

void keel_debug_leave(struct keel_vcpu *vcpu)
{
	u64 *dr = vcpu->arch.regs.dr;

	if (!vcpu->arch.debug.own) {
		dr[0] = read_dr(0);
		dr[1] = read_dr(1);
		dr[2] = read_dr(2);
		dr[3] = read_dr(3);
	}
	set_debugreg(0, 7);
	if (hw_breakpoint_active())
		hw_breakpoint_restore();
}

/* --- traps ----------------------------------------------------------------------------------------- */

static u64 linear_rip(struct keel_vcpu *vcpu)
{
	const struct keel_regs *regs = &vcpu->arch.regs;

	return keel_in_64bit(vcpu) ? regs->rip : (u32)(regs->rip + regs->seg[REGS_SEG_CS].base);
}

bool keel_debug_trap(struct keel_vcpu *vcpu, u64 payload)
{
	struct keel_debug *debug = &vcpu->arch.debug;

	if (!debug->own)
		return false;
	/* What the CPU left in its DR6 was not for the guest. */
	keel_regs_need(vcpu, KEEL_RG_DR);
	keel_regs_dirty(vcpu, KEEL_RG_DR);
	debug->due_dr6 = payload | (debug->due ? debug->due_dr6 : 0);
	debug->due_rip = vcpu->arch.regs.rip;
	debug->due = true;
	vcpu->arch.windows = true;	/* have keel_events_arrange() called */
	return true;
}

/* DR7 as a whole, the debugger's GD too. */
static u64 shown_dr7(struct keel_vcpu *vcpu)
{
	keel_regs_need(vcpu, KEEL_RG_DR);
	return vcpu->arch.debug.control & KVM_GUESTDBG_USE_HW_BP ? vcpu->arch.debug.dr7 : vcpu->arch.regs.dr7;
}

int keel_debug_tell(struct keel_vcpu *vcpu)
{
	struct keel_debug *debug = &vcpu->arch.debug;
	u64 dr6 = 0, dr7 = 0, cr2;

	debug->due = false;
	if (debug->due_rip != vcpu->arch.regs.rip)
		return KEEL_RESUME;
	event_apply_payload(EVENT_DB, debug->due_dr6, &cr2, &dr6, &dr7);
	return keel_uexit_debug(vcpu, EVENT_DB, linear_rip(vcpu), dr6 | REGS_DR6_INIT, shown_dr7(vcpu));
}

int keel_debug_breakpoint(struct keel_vcpu *vcpu)
{
	return keel_uexit_debug(vcpu, EVENT_BP, linear_rip(vcpu), REGS_DR6_INIT, shown_dr7(vcpu));
}

int keel_debug_soft_int(struct keel_vcpu *vcpu)
{
	struct keel_debug *debug = &vcpu->arch.debug;
	struct emu_insn insn;
	int next = keel_emul_decode(vcpu, &insn);

	if (next != KEEL_SKIP)
		return next;
	if (emu_insn_key(&insn) == EMU_KEY_INT3)
		return keel_debug_breakpoint(vcpu);
	if (emu_insn_key(&insn) == EMU_KEY_INT) {
		debug->soft_vector = insn.imm;
		debug->soft_len = insn.len;
		debug->soft_rip = vcpu->arch.regs.rip;
		debug->soft = true;
		vcpu->arch.windows = true;
	}
	return KEEL_RESUME;
}

u64 keel_debug_watch(struct keel_vcpu *vcpu, u64 linear, u32 size, bool write)
{
	keel_regs_need(vcpu, KEEL_RG_DR);
	return regs_watchpoints(addresses(vcpu), keel_debug_dr7(&vcpu->arch), linear, size, write);
}

/* --- the guest's accesses to debug registers, while they are the debugger's ------------------------------ */

static u64 *dr_place(struct keel_vcpu *vcpu, unsigned int nr)
{
	struct keel_regs *regs = &vcpu->arch.regs;

	if (nr < 4)
		return &regs->dr[nr];
	return nr & 1 ? &regs->dr7 : &regs->dr6;
}

static bool dr_write(struct keel_vcpu *vcpu, unsigned int nr, u64 value)
{
	u64 *place = dr_place(vcpu, nr);

	if (!keel_in_64bit(vcpu))
		value = (u32)value;
	keel_regs_dirty(vcpu, KEEL_RG_DR);
	if (nr >= 4 && nr & 1)
		return regs_write_dr7(value, place) == REGS_OK;
	if (nr >= 4)
		return regs_write_dr6(value, &vcpu->arch.cpuid.derived, place) == REGS_OK;
	*place = value;
	return true;
}

/* DR7.GD is set: the access is a fault, the debugger's or the guest's, and clears it. */
static int general_detect(struct keel_vcpu *vcpu)
{
	u64 payload = REGS_DR6_BD;

	if (vcpu->arch.debug.control & KVM_GUESTDBG_USE_HW_BP)
		keel_debug_trap(vcpu, payload);
	else
		keel_exception_guest(vcpu, EVENT_DB, &payload);
	return KEEL_RESUME;
}

int keel_debug_mov(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	struct emu_insn insn;
	unsigned int key;
	int next = keel_emul_decode(vcpu, &insn);

	if (next != KEEL_SKIP)
		return next;
	key = emu_insn_key(&insn);
	if (key != EMU_KEY_MOV_R_DR && key != EMU_KEY_MOV_DR_R)
		return KEEL_RESUME;
	keel_regs_need(vcpu, KEEL_RG_DR);
	if (insn.reg > 7 || ((insn.reg & 6) == 4 && keel_cr_read(vcpu, 4) & CR4_DE)) {
		keel_exception(vcpu, EVENT_UD);
		return KEEL_RESUME;
	}
	if (keel_cpl(vcpu)) {
		keel_exception_error(vcpu, EVENT_GP, 0);
		return KEEL_RESUME;
	}
	if (shown_dr7(vcpu) & REGS_DR7_GD)
		return general_detect(vcpu);
	if (key == EMU_KEY_MOV_R_DR) {
		u64 value = *dr_place(vcpu, insn.reg);

		vcpu->arch.regs.gpr[insn.rm] = keel_in_64bit(vcpu) ? value : (u32)value;
		keel_regs_dirty(vcpu, KEEL_RG_GPR);
	} else if (!dr_write(vcpu, insn.reg, vcpu->arch.regs.gpr[insn.rm])) {
		keel_exception_error(vcpu, EVENT_GP, 0);
		return KEEL_RESUME;
	}
	exit->insn_len = insn.len;
	return KEEL_SKIP;
}

/* --- KVM_SET_GUEST_DEBUG ------------------------------------------------------------------------------------ */

static int inject(struct keel_vcpu *vcpu, u32 control)
{
	const struct event_state *events = &vcpu->arch.events;

	if (!(control & (KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP)))
		return 0;
	if (events->exception_pending || events->exception_injected)
		return -EBUSY;
	keel_exception_guest(vcpu, control & KVM_GUESTDBG_INJECT_DB ? EVENT_DB : EVENT_BP, NULL);
	return 0;
}

long keel_guest_debug_set(struct keel_call *call)
{
	const struct kvm_guest_debug *in = call->arg;
	struct keel_vcpu *vcpu = call->vcpu;
	struct keel_debug *debug = &vcpu->arch.debug;
	u32 control = in->control & KVM_GUESTDBG_ENABLE ? in->control : 0;
	int err;

	if (in->control & ~KEEL_GUESTDBG_ALL)
		return -EINVAL;
	err = inject(vcpu, in->control);
	if (err)
		return err;
	/* While the guest's own values are still in the CPU: fetch them. */
	keel_regs_need(vcpu, KEEL_RG_DR);
	debug->control = control;
	debug->own = control & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP);
	debug->due = false;
	if (control & KVM_GUESTDBG_USE_HW_BP) {
		memcpy(debug->dr, in->arch.debugreg, sizeof(debug->dr));
		debug->dr7 = (in->arch.debugreg[7] & REGS_DR7_VOLATILE) | REGS_DR7_FIXED_1;
	}
	keel_regs_dirty(vcpu, KEEL_RG_DR);
	vcpu->arch.debug_active = control || armed(vcpu);
	vcpu->arch.controls_stale = true;
	return 0;
}
