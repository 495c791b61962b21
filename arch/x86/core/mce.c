// SPDX-License-Identifier: GPL-2.0-only
/*
 * Machine checks that user space reports to a guest.
 *
 * Owns: arch.mcg_cap. The banks' registers are MSRs of the store (core/msr.c). Contexts: task, vCPU loaded.
 * KVM API, KVM_X86_SETUP_MCE, KVM_X86_SET_MCE; Intel SDM vol. 3 "Machine-Check Architecture".
 */
#include "core.h"

#define STATUS_VAL	BIT64(63)
#define STATUS_OVER	BIT64(62)
#define STATUS_UC	BIT64(61)
#define MCG_STATUS_MCIP	BIT64(2)

enum { BANK_CTL, BANK_STATUS, BANK_ADDR, BANK_MISC };

long keel_mce_cap_supported(struct keel_call *call)
{
	*(u64 *)call->arg = MSR_MCG_CAP_SUPPORTED;
	return 0;
}

static u64 mce_load(struct keel_vcpu *vcpu, u32 index)
{
	return msr_load(msr_find(index), &vcpu->arch.msrs, index);
}

static void mce_save(struct keel_vcpu *vcpu, u32 index, u64 value)
{
	msr_save(msr_find(index), &vcpu->arch.msrs, index, value);
}

static u32 bank_msr(unsigned int bank, unsigned int reg)
{
	return X86_MSR_MC0_CTL + 4 * bank + reg;
}

long keel_mce_setup(struct keel_call *call)
{
	struct keel_vcpu *vcpu = call->vcpu;
	u64 cap = *(u64 *)call->arg;
	unsigned int banks = cap & MSR_MCG_CAP_BANKS, i;

	if (!banks || banks > MSR_MCE_BANKS || cap & ~(MSR_MCG_CAP_SUPPORTED | MSR_MCG_CAP_BANKS))
		return -EINVAL;
	vcpu->arch.mcg_cap = cap;
	if (cap & MSR_MCG_CTL_P)
		mce_save(vcpu, X86_MSR_MCG_CTL, ~0ULL);
	for (i = 0; i < banks; i++)
		mce_save(vcpu, bank_msr(i, BANK_CTL), ~0ULL);
	return 0;
}

/* Has the guest switched reports of errors, or of this bank's, off? */
static bool masked(struct keel_vcpu *vcpu, unsigned int bank)
{
	if (vcpu->arch.mcg_cap & MSR_MCG_CTL_P && mce_load(vcpu, X86_MSR_MCG_CTL) != ~0ULL)
		return true;
	return mce_load(vcpu, bank_msr(bank, BANK_CTL)) != ~0ULL;
}

static void record(struct keel_vcpu *vcpu, const struct kvm_x86_mce *in, u64 before)
{
	mce_save(vcpu, bank_msr(in->bank, BANK_STATUS), in->status | (before & STATUS_VAL ? STATUS_OVER : 0));
	mce_save(vcpu, bank_msr(in->bank, BANK_ADDR), in->addr);
	mce_save(vcpu, bank_msr(in->bank, BANK_MISC), in->misc);
}

long keel_mce_set(struct keel_call *call)
{
	const struct kvm_x86_mce *in = call->arg;
	struct keel_vcpu *vcpu = call->vcpu;
	u64 before;

	if (in->bank >= (vcpu->arch.mcg_cap & MSR_MCG_CAP_BANKS) || !(in->status & STATUS_VAL))
		return -EINVAL;
	before = mce_load(vcpu, bank_msr(in->bank, BANK_STATUS));
	if (!(in->status & STATUS_UC)) {
		/* An error that was not corrected is not overwritten by one that was. */
		if (before & STATUS_VAL && before & STATUS_UC)
			mce_save(vcpu, bank_msr(in->bank, BANK_STATUS), before | STATUS_OVER);
		else
			record(vcpu, in, before);
		return 0;
	}
	if (masked(vcpu, in->bank))
		return 0;
	if (mce_load(vcpu, X86_MSR_MCG_STATUS) & MCG_STATUS_MCIP || !(keel_cr_read(vcpu, 4) & REGS_CR4_MCE)) {
		keel_triple_fault(vcpu);
		return 0;
	}
	record(vcpu, in, before);
	mce_save(vcpu, X86_MSR_MCG_STATUS, in->mcg_status);
	keel_exception(vcpu, EVENT_MC);
	return 0;
}
