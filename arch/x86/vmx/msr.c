// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSRs that VT-x switches or that stay in the CPU while a guest runs, and the MSR bitmap.
 *
 * Owns the bitmap, vmx_vcpu.late, .cstar, .pat, .kernel_gs_base, .run.spec_ctrl and .spec_used, and
 * the late fields of struct vmx_cpu. Checks of values are core/msr.c's, done before.
 *
 * SYSCALL's MSRs and TSC_AUX of the guest stay in the CPU until it returns to user space; the
 * kernel does not use them. The guest's writes of them exit, so their values are known.
 * KERNEL_GS_BASE is the guest's own while it runs, and is exchanged when the vCPU is put (host.c).
 *
 * Context: loaded, preemption off where a CPU is meant; the user-return notifier: task leaving the
 * kernel, IRQs on or off. SDM volume 3: "MSR-Bitmap Address"; volume 4.
 */
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <linux/preempt.h>
#include <vmx/vmx.h>

/* --- values ------------------------------------------------------------------------------------ */

/* MSRs whose place is a field of the VMCS. */
static unsigned long field_of(u32 index)
{
	switch (index) {
	case X86_MSR_SYSENTER_CS:
		return VMCS_GUEST_SYSENTER_CS;
	case X86_MSR_SYSENTER_ESP:
		return VMCS_GUEST_SYSENTER_ESP;
	case X86_MSR_SYSENTER_EIP:
		return VMCS_GUEST_SYSENTER_EIP;
	case X86_MSR_PAT:
		return vmx_hw.entry & VMX_ENTRY_LOAD_PAT ? VMCS_GUEST_PAT : 0;
	default:
		return 0;
	}
}

/* Those whose place is in memory. */
static u64 *place_of(struct keel_vcpu *vcpu, u32 index)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	switch (index) {
	case X86_MSR_STAR:
		return &vmx->late[VMX_LATE_STAR];
	case X86_MSR_LSTAR:
		return &vmx->late[VMX_LATE_LSTAR];
	case X86_MSR_FMASK:
		return &vmx->late[VMX_LATE_FMASK];
	case X86_MSR_TSC_AUX:
		return &vmx->late[VMX_LATE_TSC_AUX];
	case X86_MSR_CSTAR:
		return &vmx->cstar;
	case X86_MSR_PAT:
		return &vmx->pat;
	/* Fields of a register group: they have one place, its cache, while that is valid. */
	case X86_MSR_FS_BASE:
		vmx_regs_load(vcpu, KEEL_RG_DATA);
		return &vcpu->arch.regs.seg[REGS_SEG_FS].base;
	case X86_MSR_GS_BASE:
		vmx_regs_load(vcpu, KEEL_RG_DATA);
		return &vcpu->arch.regs.seg[REGS_SEG_GS].base;
	default:
		return NULL;
	}
}

static u64 kernel_gs_base_get(struct vmx_vcpu *vmx)
{
	u64 value;

	preempt_disable();
	value = vmx->host.held ? __rdmsr(VMX_MSR_KERNEL_GS_BASE) : vmx->kernel_gs_base;
	preempt_enable();
	return value;
}

static void kernel_gs_base_set(struct vmx_vcpu *vmx, u64 value)
{
	preempt_disable();
	vmx->kernel_gs_base = value;
	if (vmx->host.held)
		native_wrmsrl(VMX_MSR_KERNEL_GS_BASE, value);
	preempt_enable();
}

static void spec_ctrl_set(struct keel_vcpu *vcpu, u64 value)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx->run.spec_ctrl = value;
	if (value && !vmx->spec_used) {
		vmx->spec_used = true;
		vcpu->arch.controls_stale = true;
	}
}

int vmx_msr_get(struct keel_vcpu *vcpu, u32 index, u64 *value)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	unsigned long field = field_of(index);
	const u64 *place;

	if (index == X86_MSR_KERNEL_GS_BASE) {
		*value = kernel_gs_base_get(vmx);
		return 0;
	}
	if (index == X86_MSR_SPEC_CTRL) {
		*value = vmx->run.spec_ctrl;
		return 0;
	}
	if (field) {
		*value = vmx_read(field);
		return 0;
	}
	place = place_of(vcpu, index);
	if (!place)
		return -ENOENT;
	*value = *place;
	return 0;
}

/* MSRs whose write does something. Return: whether @index is one. */
static bool action(u32 index, u64 value)
{
	switch (index) {
	case X86_MSR_PRED_CMD:
		if (value && vmx_hw.has_ibpb)
			native_wrmsrl(VMX_MSR_PRED_CMD, value);
		return true;
	case X86_MSR_FLUSH_CMD:
		if (value && boot_cpu_has(X86_FEATURE_FLUSH_L1D))
			native_wrmsrl(VMX_MSR_FLUSH_CMD, value);
		return true;
	default:
		return false;
	}
}

int vmx_msr_set(struct keel_vcpu *vcpu, u32 index, u64 value)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	unsigned long field = field_of(index);
	u64 *place;

	if (index == X86_MSR_KERNEL_GS_BASE) {
		kernel_gs_base_set(vmx, value);
		return 0;
	}
	if (index == X86_MSR_SPEC_CTRL) {
		if (vmx_hw.has_spec_ctrl)
			spec_ctrl_set(vcpu, value);
		return 0;
	}
	if (field) {
		vmx_write(field, value);
		return 0;
	}
	if (action(index, value))
		return 0;
	place = place_of(vcpu, index);
	if (!place)
		return -ENOENT;
	*place = value;
	if (index == X86_MSR_FS_BASE || index == X86_MSR_GS_BASE)
		vcpu->arch.regs.dirty |= KEEL_RG_DATA;
	else
		vmx->pending |= VMX_PEND_MSRS;
	return 0;
}

/* --- the bitmap: reads of low and high MSRs, then writes of them; set = exit ------------------- */

static_assert(VMX_MSR_READ == MSRF_READ && VMX_MSR_WRITE == MSRF_WRITE);

/* But for what user space has filtered. */
static void bitmap_open(struct keel_vcpu *vcpu, u32 index, u8 rights)
{
	u8 *byte = to_vmx(vcpu)->msr_bitmap + (index >= 0xc0000000 ? 0x400 : 0) + (index & 0x1fff) / 8;
	u8 bit = BIT(index & 7);

	rights &= keel_msr_rights(vcpu, index);
	if (rights & VMX_MSR_READ)
		byte[0] &= ~bit;
	if (rights & VMX_MSR_WRITE)
		byte[0x800] &= ~bit;
}

/* Passed through whatever the guest: entries and exits switch them, KERNEL_GS_BASE with the vCPU. */
static const u32 open_msrs[] = {
	X86_MSR_FS_BASE, X86_MSR_GS_BASE, X86_MSR_KERNEL_GS_BASE,
	X86_MSR_SYSENTER_CS, X86_MSR_SYSENTER_ESP, X86_MSR_SYSENTER_EIP,
};

void vmx_msr_bitmap_sync(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	const struct cpuid_derived *cpuid = &vcpu->arch.cpuid.derived;
	unsigned int i;

	memset(vmx->msr_bitmap, 0xff, PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(open_msrs); i++)
		bitmap_open(vcpu, open_msrs[i], VMX_MSR_READ | VMX_MSR_WRITE);
	for (i = LAPIC_MSR_FIRST; i <= LAPIC_MSR_LAST; i++)
		bitmap_open(vcpu, i, vmx_apicv_msr(vcpu, i));

	/* Reading the value back costs each exit an RDMSR, so not before the guest has made use of it. */
	vmx->run.spec_open = vmx_hw.has_spec_ctrl && vmx->spec_used &&
			     cpuid_has(cpuid, CPUID_F_SPEC_CTRL_MSR) &&
			     keel_msr_rights(vcpu, X86_MSR_SPEC_CTRL) == (MSRF_READ | MSRF_WRITE);
	if (vmx->run.spec_open)
		bitmap_open(vcpu, X86_MSR_SPEC_CTRL, VMX_MSR_READ | VMX_MSR_WRITE);
	if (vmx_hw.has_ibpb && cpuid_has(cpuid, CPUID_F_PRED_CMD_MSR))
		bitmap_open(vcpu, X86_MSR_PRED_CMD, VMX_MSR_WRITE);
	if (cpuid_has(cpuid, CPUID_F_FLUSH_L1D))
		bitmap_open(vcpu, X86_MSR_FLUSH_CMD, VMX_MSR_WRITE);
}

/* --- MSRs that wait for the return to user space ----------------------------------------------- */

static const u32 late_index[VMX_LATE_NR] = {
	[VMX_LATE_STAR] = VMX_MSR_STAR,
	[VMX_LATE_LSTAR] = VMX_MSR_LSTAR,
	[VMX_LATE_FMASK] = VMX_MSR_FMASK,
	[VMX_LATE_TSC_AUX] = VMX_MSR_TSC_AUX,
};

static void late_write(struct vmx_cpu *cpu, enum vmx_late_msr nr, u64 value)
{
	if (cpu->late[nr] == value)
		return;
	native_wrmsrl(late_index[nr], value);
	cpu->late[nr] = value;
}

static void late_restore(struct vmx_cpu *cpu)
{
	unsigned int nr;

	if (!cpu->urn_registered)
		return;
	user_return_notifier_unregister(&cpu->urn);
	cpu->urn_registered = false;
	for (nr = 0; nr < VMX_LATE_NR; nr++)
		late_write(cpu, nr, cpu->host_late[nr]);
}

/* IRQs off: switching virtualization off comes as an interrupt and does the same. */
static void late_user_return(struct user_return_notifier *urn)
{
	unsigned long flags;

	local_irq_save(flags);
	late_restore(container_of(urn, struct vmx_cpu, urn));
	local_irq_restore(flags);
}

static bool late_needed(struct keel_vcpu *vcpu, enum vmx_late_msr nr)
{
	if (nr == VMX_LATE_TSC_AUX)
		return vmx_hw.has_tsc_aux && to_vmx(vcpu)->controls.proc2 & VMX_PROC2_RDTSCP;
	return to_vmx(vcpu)->efer & REGS_EFER_SCE;
}

void vmx_late_load(struct keel_vcpu *vcpu)
{
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpu);
	const struct vmx_vcpu *vmx = to_vmx(vcpu);
	unsigned int nr;

	for (nr = 0; nr < VMX_LATE_NR; nr++) {
		if (!late_needed(vcpu, nr) || cpu->late[nr] == vmx->late[nr])
			continue;
		if (!cpu->urn_registered) {
			cpu->urn.on_user_return = late_user_return;
			cpu->urn_registered = true;
			user_return_notifier_register(&cpu->urn);
		}
		late_write(cpu, nr, vmx->late[nr]);
	}
}

void vmx_late_on(struct vmx_cpu *cpu)
{
	unsigned int nr;

	for (nr = 0; nr < VMX_LATE_NR; nr++) {
		cpu->host_late[nr] = 0;
		if (nr != VMX_LATE_TSC_AUX || vmx_hw.has_tsc_aux)
			rdmsrl(late_index[nr], cpu->host_late[nr]);
		cpu->late[nr] = cpu->host_late[nr];
	}
}

void vmx_late_off(struct vmx_cpu *cpu)
{
	late_restore(cpu);
}
