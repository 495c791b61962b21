// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asynchronous page faults: telling a guest that a page of its memory has to be waited for, and that it is there.
 *
 * Owns: arch.apf. Does not own: bringing the page in (virt/apf.c), the MSRs' legal values (pure/msr.c).
 *
 * Not present: a #PF whose CR2 is a token, after a word in memory that the two share was set. The guest may run
 * something else meanwhile, so it is told only where a scheduler can run: interrupts enabled, nothing being
 * delivered, and user mode unless the guest asked for more. Else the vCPU waits for the page, as without all this.
 * Ready: the token in another shared word, and an interrupt; the next one comes when the guest has acknowledged it.
 *
 * All state that moves with a guest is in the MSRs. What is under way is dropped when they are written; a guest that
 * is put back together elsewhere gets the token that wakes all waiters.
 *
 * Contexts: as core.h says. KVM documentation: "KVM-specific MSRs" (MSR_KVM_ASYNC_PF_EN, _INT, _ACK).
 */
#include "core.h"
#include <keel/gpa.h>

#define ENABLED (KVM_ASYNC_PF_ENABLED | KVM_ASYNC_PF_DELIVERY_AS_INT)
#define TOKEN_ALL 0xffffffffu
#define TOKEN_ID_BITS 12	/* of the vCPU's id */

static bool enabled(const struct keel_apf_msrs *apf)
{
	return (apf->en & ENABLED) == ENABLED;
}

static gpa_t shared(const struct keel_apf_msrs *apf, u32 offset)
{
	return to_gpa((apf->en & BITS64(63, 6)) + offset);
}

u64 keel_apf_msr_get(struct keel_vcpu *vcpu, u32 index)
{
	const struct keel_apf_msrs *apf = &vcpu->arch.apf;

	return index == MSR_KVM_ASYNC_PF_EN ? apf->en : index == MSR_KVM_ASYNC_PF_INT ? apf->vector : 0;
}

void keel_apf_msr_set(struct keel_vcpu *vcpu, u32 index, u64 value)
{
	struct keel_apf_msrs *apf = &vcpu->arch.apf;

	switch (index) {
	case MSR_KVM_ASYNC_PF_EN:
		apf->en = value;
		apf->unacked = false;
		apf->wake_all = enabled(apf);
		keel_apf_flush(vcpu);
		break;
	case MSR_KVM_ASYNC_PF_INT:
		apf->vector = value;
		break;
	case MSR_KVM_ASYNC_PF_ACK:
		if (value & 1)
			apf->unacked = false;
		break;
	}
	if (enabled(apf))
		keel_arch_apf_done(vcpu);
}

/* May the guest be told at all? Cheap: asked at every fault. */
bool keel_apf_wanted(struct keel_vcpu *vcpu)
{
	const struct keel_apf_msrs *apf = &vcpu->arch.apf;
	const struct keel_regs *regs = &vcpu->arch.regs;

	if (likely(!enabled(apf)) || !vcpu->arch.apic || vcpu->arch.smm.active || !event_idle(&vcpu->arch.events) ||
	    vcpu->arch.events.shadow || !(regs->rflags & X86_RFLAGS_IF) || !(keel_cr_read(vcpu, 0) & REGS_CR0_PG))
		return false;
	return apf->en & KVM_ASYNC_PF_SEND_ALWAYS || keel_cpl(vcpu) == 3;
}

static u32 next_token(struct keel_vcpu *vcpu)
{
	u32 n = ++vcpu->arch.apf.tokens << TOKEN_ID_BITS >> TOKEN_ID_BITS;

	/* Neither 0, which means none, nor the one that means all. */
	if (!n || n == TOKEN_ALL >> TOKEN_ID_BITS)
		n = vcpu->arch.apf.tokens = 1;
	return n << TOKEN_ID_BITS | vcpu->id;
}

bool keel_apf_fault(struct keel_vcpu *vcpu, u64 hva, bool write)
{
	gpa_t at = shared(&vcpu->arch.apf, offsetof(struct kvm_vcpu_pv_apf_data, flags));
	u32 reason, token = next_token(vcpu);

	/* The guest has not looked at the last one yet. */
	if (keel_gpa_read(vcpu->vm, at, &reason, sizeof(reason)) || reason)
		return false;
	reason = KVM_PV_REASON_PAGE_NOT_PRESENT;
	if (keel_gpa_write(vcpu->vm, at, &reason, sizeof(reason)))
		return false;
	if (!keel_apf_start(vcpu, hva, write, token)) {
		reason = 0;
		keel_gpa_write(vcpu->vm, at, &reason, sizeof(reason));
		return false;
	}
	keel_exception_payload(vcpu, EVENT_PF, true, 0, token);
	return true;
}

void keel_apf_serve(struct keel_vcpu *vcpu, struct keel_gpa_series *series)
{
	struct keel_apf_msrs *apf = &vcpu->arch.apf;
	gpa_t at = shared(apf, offsetof(struct kvm_vcpu_pv_apf_data, token));
	u32 token;

	if (!enabled(apf) || apf->unacked || !vcpu->arch.apic)
		return;
	/* Still there from before a migration: the acknowledgement will follow. */
	if (keel_gpa_series_read(series, at, &token, sizeof(token)) || token)
		return;
	if (apf->wake_all)
		token = TOKEN_ALL;
	else if (!keel_apf_next(vcpu, &token))
		return;
	apf->wake_all = false;
	if (keel_gpa_series_write(series, at, &token, sizeof(token)))
		return;
	apf->unacked = true;
	keel_apic_post_self(vcpu, apf->vector);
}
