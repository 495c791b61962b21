// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's debug registers. DR accesses always exit: they are rare, and so the guest's breakpoint
 * addresses need to be in the CPU only while DR7 arms one of them.
 *
 * Owns: regs.dr[], arch.debug_active. Does not own: DR6 and DR7, which the hardware switches (vendor
 * group KEEL_RG_DR). Contexts: vCPU loaded; enter and leave with IRQs off.
 * AMD APM vol. 2 "Debug Registers"; Intel SDM vol. 3 "Debug Registers".
 */
#include "core.h"
#include <asm/debugreg.h>
#include <linux/hw_breakpoint.h>
#include <linux/nospec.h>

#define DR7_ARMED 0xffu		/* L0, G0 ... L3, G3 */

void keel_debug_update(struct keel_vcpu *vcpu)
{
	keel_regs_need(vcpu, KEEL_RG_DR);
	vcpu->arch.debug_active = vcpu->arch.regs.dr7 & DR7_ARMED;
}

u64 keel_dr_read(struct keel_vcpu *vcpu, unsigned int nr)
{
	keel_regs_need(vcpu, KEEL_RG_DR);
	if (nr < 4)
		return vcpu->arch.regs.dr[array_index_nospec(nr, 4)];
	return nr == 6 ? vcpu->arch.regs.dr6 : vcpu->arch.regs.dr7;
}

int keel_dr_write(struct keel_vcpu *vcpu, unsigned int nr, u64 value)
{
	struct keel_regs *regs = &vcpu->arch.regs;

	keel_regs_need(vcpu, KEEL_RG_DR);
	if (nr < 4) {
		regs->dr[array_index_nospec(nr, 4)] = value;
		return 0;
	}
	if (nr == 6) {
		if (regs_write_dr6(value, &vcpu->arch.cpuid.derived, &regs->dr6) != REGS_OK)
			return -EINVAL;
	} else if (regs_write_dr7(value, &regs->dr7) != REGS_OK) {
		return -EINVAL;
	}
	keel_regs_dirty(vcpu, KEEL_RG_DR);
	keel_debug_update(vcpu);
	return 0;
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

void keel_debug_leave(struct keel_vcpu *vcpu)
{
	set_debugreg(0, 7);
	if (hw_breakpoint_active())
		hw_breakpoint_restore();
}
