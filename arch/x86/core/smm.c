// SPDX-License-Identifier: GPL-2.0-only
/*
 * System-management mode: taking an SMI, RSM, and the address space that only a vCPU in it sees.
 *
 * Owns: arch.smm, arch.space. Does not own: the state-save area's layout (pure/smm.c). Contexts: vCPU loaded, IRQs on;
 * may sleep. KVM API, KVM_SMI, KVM_CAP_X86_SMM; AMD APM vol. 2 "System-Management Mode".
 *
 * An SMI waits while an event is on its way into the guest; NMIs are masked in the handler, INIT is kept until RSM.
 * RSM is found by its exit where the CPU has one, else by the #UD it raises.
 */
#include "core.h"
#include "tdp.h"
#include <pure/smm.h>

#define SMBASE_MSR 0x9e

static u32 smbase(struct keel_vcpu *vcpu)
{
	return msr_load(msr_find(SMBASE_MSR), &vcpu->arch.msrs, SMBASE_MSR);
}

/* The other address space, and what depends on it. */
static void smm_switch(struct keel_vcpu *vcpu, bool active)
{
	vcpu->arch.smm.active = active;
	vcpu->arch.space = active ? KEEL_SPACE_GPA : 0;
	keel_vendor->set_root(vcpu, keel_tdp_root(vcpu->vm, active));
	keel_vendor->flush(vcpu, KEEL_FLUSH_NESTED);
	keel_vendor->flush(vcpu, KEEL_FLUSH_GUEST);
	vcpu->arch.controls_stale = true;
}

static void state_in(struct keel_vcpu *vcpu, struct smm_cpu *cpu)
{
	const struct keel_regs *regs = &vcpu->arch.regs;

	keel_regs_need(vcpu, KEEL_RG_ALL);
	keel_special_get(vcpu, &cpu->special);
	memcpy(cpu->gpr, regs->gpr, sizeof(cpu->gpr));
	cpu->rip = regs->rip;
	cpu->rflags = regs->rflags & ~(vcpu->arch.debug.tf ? X86_RFLAGS_TF : 0);
	cpu->dr6 = regs->dr6;
	cpu->dr7 = regs->dr7;
	cpu->smbase = smbase(vcpu);
	cpu->halted = false;
}

/* Return: whether the CPU can have such a state; else nothing has changed. */
static bool state_out(struct keel_vcpu *vcpu, const struct smm_cpu *cpu)
{
	struct keel_regs *regs = &vcpu->arch.regs;

	if (keel_special_set(vcpu, &cpu->special))
		return false;
	memcpy(regs->gpr, cpu->gpr, sizeof(regs->gpr));
	regs->rip = cpu->rip;
	regs->rflags = cpu->rflags;
	regs->dr6 = cpu->dr6;
	regs->dr7 = cpu->dr7;
	keel_regs_dirty(vcpu, KEEL_RG_GPR | KEEL_RG_DR);
	vcpu->arch.debug.tf = false;
	vcpu->arch.events.shadow = 0;
	return true;
}

int keel_smm_take(struct keel_vcpu *vcpu)
{
	struct keel_smm *smm = &vcpu->arch.smm;
	struct event_state *events = &vcpu->arch.events;
	u8 area[SMM_AREA_SIZE];
	struct smm_cpu cpu;
	int err;

	if (smm->active || keel_debug_blocks(vcpu))
		return KEEL_RESUME;
	if (events->exception_pending || events->exception_injected || events->interrupt_injected ||
	    events->nmi_injected || events->triple_fault) {
		vcpu->arch.windows = true;
		return KEEL_RESUME;
	}
	err = keel_tdp_space_open(vcpu->vm);
	if (err)
		return err;
	state_in(vcpu, &cpu);
	cpu.halted = smm->halted;
	smm_save(&cpu, area);
	smm_switch(vcpu, true);
	/* Where there is no memory the state is lost, as on a board without it. */
	err = keel_gpa_write(vcpu->vm, keel_vcpu_gpa(vcpu, to_gpa(cpu.smbase + SMM_AREA_OFFSET)), area, sizeof(area));
	if (err && err != -ENXIO) {
		smm_switch(vcpu, false);
		return err;
	}
	smm->pending = smm->halted = false;
	smm->inside_nmi = events->nmi_masked;
	events->nmi_masked = true;
	smm_enter(&cpu);
	if (!state_out(vcpu, &cpu))
		keel_triple_fault(vcpu);
	return KEEL_RESUME;
}

int keel_smm_leave(struct keel_vcpu *vcpu)
{
	struct keel_smm *smm = &vcpu->arch.smm;
	u8 area[SMM_AREA_SIZE] = { };
	struct smm_cpu cpu;
	int err;

	state_in(vcpu, &cpu);
	err = keel_gpa_read(vcpu->vm, keel_vcpu_gpa(vcpu, to_gpa(cpu.smbase + SMM_AREA_OFFSET)), area, sizeof(area));
	if (err && err != -ENXIO)
		return err;
	smm_load(area, &cpu);
	smm_switch(vcpu, false);
	vcpu->arch.events.nmi_masked = smm->inside_nmi;
	if (!state_out(vcpu, &cpu)) {
		keel_triple_fault(vcpu);
		return KEEL_RESUME;
	}
	msr_save(msr_find(SMBASE_MSR), &vcpu->arch.msrs, SMBASE_MSR, cpu.smbase);
	if (cpu.halted && vcpu->arch.apic)
		vcpu->arch.mp_state = KVM_MP_STATE_HALTED;
	if (smm->init)
		keel_apic_init(vcpu);
	smm->init = false;
	vcpu->arch.windows = true;	/* another SMI may wait */
	return KEEL_RESUME;
}

void keel_smm_signal(struct keel_vcpu *vcpu)
{
	vcpu->arch.smm.pending = true;
	vcpu->arch.windows = true;	/* have keel_events_arrange() called */
}

bool keel_smm_wakes(struct keel_vcpu *vcpu)
{
	if (!vcpu->arch.smm.pending || vcpu->arch.smm.active || keel_debug_blocks(vcpu))
		return false;
	vcpu->arch.smm.halted = true;
	return true;
}

long keel_smi(struct keel_call *call)
{
	keel_smm_signal(call->vcpu);
	return 0;
}

void keel_smm_get(struct keel_vcpu *vcpu, struct kvm_vcpu_events *out)
{
	const struct keel_smm *smm = &vcpu->arch.smm;

	out->smi.smm = smm->active;
	out->smi.pending = smm->pending;
	out->smi.smm_inside_nmi = smm->inside_nmi;
	out->smi.latched_init = smm->init;
	out->flags |= KVM_VCPUEVENT_VALID_SMM;
}

int keel_smm_set(struct keel_vcpu *vcpu, const struct kvm_vcpu_events *in)
{
	struct keel_smm *smm = &vcpu->arch.smm;
	int err;

	if (!(in->flags & KVM_VCPUEVENT_VALID_SMM))
		return 0;
	if (in->smi.smm && !smm->active) {
		err = keel_tdp_space_open(vcpu->vm);
		if (err)
			return err;
	}
	if (!!in->smi.smm != smm->active)
		smm_switch(vcpu, in->smi.smm);
	smm->inside_nmi = in->smi.smm && in->smi.smm_inside_nmi;
	smm->init = in->smi.smm && in->smi.latched_init;
	smm->pending = false;
	if (in->smi.pending)
		keel_smm_signal(vcpu);
	if (!in->smi.smm && in->smi.latched_init && vcpu->arch.apic)
		keel_apic_init(vcpu);
	return 0;
}

/* INIT: true when it has to wait for RSM. */
bool keel_smm_keeps_init(struct keel_vcpu *vcpu)
{
	if (!vcpu->arch.smm.active)
		return false;
	vcpu->arch.smm.init = true;
	return true;
}
