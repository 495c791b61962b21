// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's debug registers. They are out of the CPU, and accesses exit, until the guest touches
 * one. Then it gets them for itself: DR0 to DR3 are switched around each stay in the guest, and
 * accesses no longer exit, until KVM_RUN returns with no breakpoint armed.
 *
 * Owns: regs.dr[], arch.debug_active. Does not own: DR6 and DR7, which the hardware switches (vendor
 * group KEEL_RG_DR). Contexts: vCPU loaded; enter and leave with IRQs off.
 * AMD APM vol. 2 "Debug Registers"; Intel SDM vol. 3 "Debug Registers".
 */
#include "core.h"
#include <asm/debugreg.h>
#include <linux/hw_breakpoint.h>

#define DR7_ARMED 0xffu		/* L0, G0 ... L3, G3 */

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
	if (armed(vcpu))
		return;
	vcpu->arch.debug_active = false;
	vcpu->arch.controls_stale = true;
}

void keel_debug_update(struct keel_vcpu *vcpu)
{
	if (armed(vcpu))
		keel_debug_take(vcpu);
}

void keel_debug_enter(struct keel_vcpu *vcpu)
{
	const u64 *dr = vcpu->arch.regs.dr;

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

	dr[0] = read_dr(0);
	dr[1] = read_dr(1);
	dr[2] = read_dr(2);
	dr[3] = read_dr(3);
	set_debugreg(0, 7);
	if (hw_breakpoint_active())
		hw_breakpoint_restore();
}
