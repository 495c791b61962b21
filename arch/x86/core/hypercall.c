// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hypercalls of a paravirtual guest: which there are, and what each does.
 *
 * Owns: hypercalls[]. Does not own: local APICs (lapic.c), the instruction's length (exits.c).
 * Contexts: vCPU loaded, IRQs on or off: none sleeps. KVM documentation: "Linux KVM Hypercall".
 */
#include "core.h"
#include "trace.h"
#include <linux/nospec.h>

#define NO_FEATURE 0xff

/* In: four arguments. Return: what the guest finds in RAX. */
typedef long (*hypercall_fn)(struct keel_vcpu *vcpu, const u64 arg[4]);

/* The guest only wanted to leave: what waits for it is looked at on the way back. */
static long hc_poll(struct keel_vcpu *vcpu, const u64 arg[4])
{
	return 0;
}

/* Wake the vCPU with APIC id arg[1], which sleeps or is about to. */
static long hc_kick(struct keel_vcpu *vcpu, const u64 arg[4])
{
	keel_apic_kick(vcpu->vm, arg[1]);
	return 0;
}

/* arg[0], arg[1]: a bitmap of APIC ids from arg[2] on; as many bits as two registers have. arg[3]: ICR. */
static long hc_send_ipi(struct keel_vcpu *vcpu, const u64 arg[4])
{
	unsigned long ids[2] = { arg[0], arg[1] };

	if (!vcpu->arch.apic)
		return -KVM_EOPNOTSUPP;
	if (!keel_in_64bit(vcpu))
		ids[0] |= ids[1] << 32, ids[1] = 0;
	return keel_apic_send_many(vcpu->vm, ids, arg[2], arg[3]);
}

/* The vCPU with APIC id arg[0] has something to do that the caller waits for. */
static long hc_yield(struct keel_vcpu *vcpu, const u64 arg[4])
{
	keel_pv_yield_to(vcpu, arg[0]);
	return 0;
}

static const struct hypercall {
	hypercall_fn fn;	/* NULL: there is none of this number */
	u8 feature;		/* KVM_FEATURE_* that tells guests of it */
} hypercalls[] = {
	[KVM_HC_VAPIC_POLL_IRQ] = { hc_poll, NO_FEATURE },
	[KVM_HC_KICK_CPU] = { hc_kick, KVM_FEATURE_PV_UNHALT },
	[KVM_HC_SEND_IPI] = { hc_send_ipi, KVM_FEATURE_PV_SEND_IPI },
	[KVM_HC_SCHED_YIELD] = { hc_yield, KVM_FEATURE_PV_SCHED_YIELD },
};

void keel_hypercall(struct keel_vcpu *vcpu)
{
	u64 *gpr = vcpu->arch.regs.gpr;
	bool wide = keel_in_64bit(vcpu);
	u64 mask = wide ? ~0ULL : 0xffffffffULL, nr = gpr[KEEL_RAX] & mask;
	long result = -KVM_ENOSYS;

	trace_kvm_hypercall(gpr);
	if (keel_cpl(vcpu)) {
		result = -KVM_EPERM;
	} else if (nr < ARRAY_SIZE(hypercalls)) {
		const struct hypercall *row = &hypercalls[array_index_nospec(nr, ARRAY_SIZE(hypercalls))];
		const u64 arg[4] = { gpr[KEEL_RBX] & mask, gpr[KEEL_RCX] & mask, gpr[KEEL_RDX] & mask,
				     gpr[KEEL_RSI] & mask };

		if (row->fn && (row->feature == NO_FEATURE || keel_pv_feature(vcpu, row->feature)))
			result = row->fn(vcpu, arg);
	}
	gpr[KEEL_RAX] = (u64)result & mask;
	keel_regs_dirty(vcpu, KEEL_RG_GPR);
}
