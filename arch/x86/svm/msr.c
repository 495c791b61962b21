// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSRs that AMD-V switches or that stay in the CPU while a guest runs, and the MSR permission map.
 *
 * Owns the map, svm_vcpu.tsc_aux, .run.spec_ctrl and .spec_used, and the tsc_aux fields of struct svm_cpu. Checks
 * of values are core/msr.c's, done before.
 *
 * TSC_AUX of the guest stays in the CPU until this CPU returns to user space; the kernel does not read it.
 *
 * Context: loaded, preemption off; the user-return notifier: task leaving the kernel, IRQs on or off.
 * APM volume 2: "MSR Intercepts", "VMSAVE and VMLOAD Instructions", "Speculation Control MSRs".
 */
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <svm/svm.h>

/* MSRs whose place is the save area; VMLOAD and VMSAVE move them, so no clean bit but PAT's is concerned. */
static const struct {
	u32 index;
	u16 offset;
} save_msrs[] = {
	{ X86_MSR_STAR, offsetof(struct vmcb_save, star) },
	{ X86_MSR_LSTAR, offsetof(struct vmcb_save, lstar) },
	{ X86_MSR_CSTAR, offsetof(struct vmcb_save, cstar) },
	{ X86_MSR_FMASK, offsetof(struct vmcb_save, sfmask) },
	{ X86_MSR_KERNEL_GS_BASE, offsetof(struct vmcb_save, kernel_gs_base) },
	{ X86_MSR_SYSENTER_CS, offsetof(struct vmcb_save, sysenter_cs) },
	{ X86_MSR_SYSENTER_ESP, offsetof(struct vmcb_save, sysenter_esp) },
	{ X86_MSR_SYSENTER_EIP, offsetof(struct vmcb_save, sysenter_eip) },
	{ X86_MSR_PAT, offsetof(struct vmcb_save, pat) },
};

static u64 *save_msr(struct svm_vcpu *svm, u32 index)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(save_msrs); i++)
		if (save_msrs[i].index == index)
			return (void *)&svm->vmcb->save + save_msrs[i].offset;
	return NULL;
}

/* FS_BASE and GS_BASE are fields of a register group: they have one place, its cache, while that is valid. */
static u64 *segment_base(struct keel_vcpu *vcpu, u32 index)
{
	bool fs = index == X86_MSR_FS_BASE;

	svm_regs_load(vcpu, KEEL_RG_SEG);
	return &vcpu->arch.regs.seg[fs ? REGS_SEG_FS : REGS_SEG_GS].base;
}

static u64 spec_ctrl_get(const struct svm_vcpu *svm)
{
	return svm_hw.features & SVM_FEAT_SPEC_CTRL ? svm->vmcb->save.spec_ctrl : svm->run.spec_ctrl;
}

static void spec_ctrl_set(struct keel_vcpu *vcpu, u64 value)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (svm_hw.features & SVM_FEAT_SPEC_CTRL)
		svm->vmcb->save.spec_ctrl = value;
	else
		svm->run.spec_ctrl = value;
	if (value && !svm->spec_used) {
		svm->spec_used = true;
		vcpu->arch.controls_stale = true;
	}
}

int svm_msr_get(struct keel_vcpu *vcpu, u32 index, u64 *value)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	const u64 *place = save_msr(svm, index);

	switch (index) {
	case X86_MSR_FS_BASE:
	case X86_MSR_GS_BASE:
		place = segment_base(vcpu, index);
		break;
	case X86_MSR_TSC_AUX:
		*value = svm->tsc_aux;
		return 0;
	case X86_MSR_SPEC_CTRL:
		*value = spec_ctrl_get(svm);
		return 0;
	}
	if (!place)
		return -ENOENT;
	*value = *place;
	return 0;
}

int svm_msr_set(struct keel_vcpu *vcpu, u32 index, u64 value)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u64 *place = save_msr(svm, index);

	switch (index) {
	case X86_MSR_FS_BASE:
	case X86_MSR_GS_BASE:
		place = segment_base(vcpu, index);
		vcpu->arch.regs.dirty |= KEEL_RG_SEG;
		break;
	case X86_MSR_TSC_AUX:
		if (svm_hw.has_tsc_aux)
			svm->tsc_aux = value;
		return 0;
	case X86_MSR_SPEC_CTRL:
		if (svm_hw.has_spec_ctrl)
			spec_ctrl_set(vcpu, value);
		return 0;
	case X86_MSR_PRED_CMD:
		if (value && svm_hw.has_ibpb)
			wrmsrl(SVM_MSR_PRED_CMD, value);
		return 0;
	case X86_MSR_PAT:
		svm_touch(svm, SVM_CLEAN_NP);
		break;
	}
	if (!place)
		return -ENOENT;
	*place = value;
	return 0;
}

/* --- the permission map: two bits per MSR, read then write, set = exit ------------------------- */

enum { MSRPM_READ = 1, MSRPM_WRITE = 2 };

static_assert(MSRPM_READ == MSRF_READ && MSRPM_WRITE == MSRF_WRITE);

/* But for what user space has filtered. */
static void msrpm_open(struct keel_vcpu *vcpu, u32 index, u8 rights)
{
	u8 *map = to_svm(vcpu)->msrpm;
	u32 base = index >= 0xc0010000 ? 0x1000 : index >= 0xc0000000 ? 0x800 : 0;
	u32 nr = index & 0x1fff;

	rights &= keel_msr_rights(vcpu, index);
	map[base + nr / 4] &= ~(rights << (nr % 4 * 2));
}

/* Passed through whatever the guest: VMLOAD and VMSAVE switch them. */
static const u32 open_msrs[] = {
	X86_MSR_FS_BASE, X86_MSR_GS_BASE, X86_MSR_KERNEL_GS_BASE,
	X86_MSR_STAR, X86_MSR_LSTAR, X86_MSR_CSTAR, X86_MSR_FMASK,
	X86_MSR_SYSENTER_CS, X86_MSR_SYSENTER_ESP, X86_MSR_SYSENTER_EIP,
};

void svm_msrpm_sync(struct keel_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	const struct cpuid_derived *cpuid = &vcpu->arch.cpuid.derived;
	bool spec_ctrl = svm_hw.has_spec_ctrl && cpuid_has(cpuid, CPUID_F_SPEC_CTRL_MSR) &&
			 keel_msr_rights(vcpu, X86_MSR_SPEC_CTRL) == (MSRF_READ | MSRF_WRITE);
	bool pred_cmd = svm_hw.has_ibpb && cpuid_has(cpuid, CPUID_F_PRED_CMD_MSR);
	bool hw_switch = svm_hw.features & SVM_FEAT_SPEC_CTRL;
	unsigned int i;

	memset(svm->msrpm, 0xff, SVM_MSRPM_SIZE);
	for (i = 0; i < ARRAY_SIZE(open_msrs); i++)
		msrpm_open(vcpu, open_msrs[i], MSRPM_READ | MSRPM_WRITE);

	/* Reading the value back costs each exit an RDMSR, so not before the guest has made use of it. */
	spec_ctrl = spec_ctrl && (hw_switch || svm->spec_used);
	svm->run.spec_open = spec_ctrl && !hw_switch;
	if (spec_ctrl)
		msrpm_open(vcpu, X86_MSR_SPEC_CTRL, MSRPM_READ | MSRPM_WRITE);
	if (pred_cmd)
		msrpm_open(vcpu, X86_MSR_PRED_CMD, MSRPM_WRITE);
	svm_touch(svm, SVM_CLEAN_MAPS);
}

/* --- TSC_AUX ------------------------------------------------------------------------------------ */

static void tsc_aux_write(struct svm_cpu *cpu, u32 value)
{
	if (cpu->tsc_aux == value)
		return;
	wrmsr(SVM_MSR_TSC_AUX, value, 0);
	cpu->tsc_aux = value;
}

static void tsc_aux_restore(struct svm_cpu *cpu)
{
	if (!cpu->urn_registered)
		return;
	user_return_notifier_unregister(&cpu->urn);
	cpu->urn_registered = false;
	tsc_aux_write(cpu, cpu->host_tsc_aux);
}

/* IRQs off: switching virtualization off comes as an interrupt and does the same. */
static void tsc_aux_user_return(struct user_return_notifier *urn)
{
	unsigned long flags;

	local_irq_save(flags);
	tsc_aux_restore(container_of(urn, struct svm_cpu, urn));
	local_irq_restore(flags);
}

void svm_tsc_aux_load(u32 value)
{
	struct svm_cpu *cpu = this_cpu_ptr(&svm_cpu);

	if (!cpu->urn_registered) {
		cpu->urn.on_user_return = tsc_aux_user_return;
		cpu->urn_registered = true;
		user_return_notifier_register(&cpu->urn);
	}
	tsc_aux_write(cpu, value);
}

void svm_tsc_aux_on(struct svm_cpu *cpu)
{
	u64 value = 0;

	if (svm_hw.has_tsc_aux)
		rdmsrl(SVM_MSR_TSC_AUX, value);
	cpu->host_tsc_aux = value;
	cpu->tsc_aux = value;
}

void svm_tsc_aux_off(struct svm_cpu *cpu)
{
	tsc_aux_restore(cpu);
}
