// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC in the CPU: its page, virtual-interrupt delivery, and which accesses need an exit.
 *
 * Owns vmx_vcpu.vapic, .tpr, .eoi_exits, and of the VMCS: guest interrupt status and the EOI-exit bitmap. Does not
 * own when the APIC changes hands (core/lapic.c), the registers' layout (pure/lapic-page.c), nor the controls
 * (vcpu.c).
 *
 * Two steps. With a TPR shadow alone CR8 is a byte of the page, and an exit comes when it falls below the
 * threshold. With virtual-interrupt delivery the CPU delivers by itself what is in IRR above PPR: guest interrupt
 * status has the highest vectors requested (RVI) and in service (SVI). Ends of service exit for vectors in the bitmap
 * only. In x2APIC mode reads of registers that are memory, and writes of TPR, EOI and SELF_IPI do not exit; the page
 * of xAPIC mode is emulated, so its accesses do.
 *
 * Context: as on the ops in keel_vendor.h. SDM volume 3: "APIC Virtualization and Virtual Interrupts".
 */
#include <linux/gfp.h>
#include <pure/lapic.h>
#include <vmx/vmx.h>

/* Only a local APIC in the kernel leaves CR8 to the guest: user space wants to be told of its writes. */
int vmx_apicv_new(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx->tpr = &vmx->tpr_byte;
	if (!vcpu->arch.apic || !(vmx_hw.proc & VMX_PROC_TPR_SHADOW))
		return 0;
	vmx->vapic = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vmx->vapic)
		return -ENOMEM;
	vmx->tpr = vmx->vapic + LAPIC_TPR;
	return 0;
}

void vmx_apicv_free(struct vmx_vcpu *vmx)
{
	free_page((unsigned long)vmx->vapic);
}

void vmx_apicv_init(struct vmx_vcpu *vmx)
{
	unsigned int i;

	if (vmx->vapic) {
		vmx_write(VMCS_VAPIC, __pa(vmx->vapic));
		vmx_write(VMCS_TPR_THRESHOLD, 0);
	}
	if (!(vmx_hw.proc2 & VMX_PROC2_VID))
		return;
	vmx_write(VMCS_GUEST_INTR_STATUS, 0);
	for (i = 0; i < ARRAY_SIZE(vmx->eoi_exits); i++)
		vmx_write(VMCS_EOI_EXIT0 + 2 * i, vmx->eoi_exits[i]);
}

/*
 * The class of the interrupt that waits for a lower TPR; 0: none does. An entry wants it no higher than the TPR,
 * which it is: the core looks for interrupts again whenever it writes CR8.
 */
u32 vmx_apicv_threshold(const struct keel_vcpu *vcpu)
{
	return min_t(u32, vcpu->arch.apic->blocked, vcpu->arch.regs.cr8);
}

u32 vmx_apicv_controls(const struct keel_vcpu *vcpu)
{
	const struct keel_apic *apic = vcpu->arch.apic;
	u32 controls = vmx_hw.proc2 & (VMX_PROC2_VID | VMX_PROC2_APIC_REGS);

	if (!apic || !apic->hw)
		return 0;
	return apic->l.x2apic ? controls | (vmx_hw.proc2 & VMX_PROC2_X2APIC) : controls;
}

u8 vmx_apicv_msr(const struct keel_vcpu *vcpu, u32 index)
{
	u8 rights = 0;

	if (!(to_vmx(vcpu)->controls.proc2 & VMX_PROC2_X2APIC))
		return 0;
	if (lapic_msr_in_page(&vcpu->arch.apic->l, index))
		rights |= VMX_MSR_READ;
	if (index == LAPIC_MSR_FIRST + (LAPIC_TPR >> 4) || index == LAPIC_MSR_EOI ||
	    index == LAPIC_MSR_FIRST + (LAPIC_SELF_IPI >> 4))
		rights |= VMX_MSR_WRITE;
	return rights;
}

void vmx_apic_give(struct keel_vcpu *vcpu, bool all)
{
	const struct keel_apic *apic = vcpu->arch.apic;
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	const struct lapic *l = &apic->l;
	unsigned int i, rvi = 0;

	lapic_page_put(l, all, (u32 *)vmx->vapic);
	/* What is requested of an APIC that software has switched off waits. */
	if (l->sw_enabled && l->irr_top > 0)
		rvi = l->irr_top;
	vmx_write(VMCS_GUEST_INTR_STATUS, max_t(int, l->isr_top, 0) << 8 | rvi);
	for (i = 0; i < ARRAY_SIZE(vmx->eoi_exits); i++)
		vmx_control64(&vmx->eoi_exits[i], VMCS_EOI_EXIT0 + 2 * i, apic->eoi_exits[i]);
}

void vmx_apic_take(struct keel_vcpu *vcpu)
{
	lapic_page_get(&vcpu->arch.apic->l, (u32 *)to_vmx(vcpu)->vapic);
}

void vmx_apicv_decode(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	u64 qual = vmx_read(VMCS_QUALIFICATION);
	u16 offset = qual & 0xff0;

	exit->apic.vector = qual;
	exit->apic.offset = offset;
	exit->apic.value = *(u32 *)(to_vmx(vcpu)->vapic + offset);
}
