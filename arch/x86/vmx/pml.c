// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page-modification logging: the CPU notes which frames it sets the dirty flag of, and the dirty log learns of them.
 *
 * Owns the log's page, vmx_vcpu.logs, and of the VMCS: PML address and index. Does not own which frames'
 * flags are cleared and when (core/tdp.c), nor the dirty log (virt/dirty.c).
 *
 * It is on while a slot of the VM logs. The index names the next entry to be written, from the last down, and stands
 * behind the first when the log is full, which is an exit of its own. Each exit empties the log, so
 * whoever has made a vCPU exit knows of all that it has written.
 *
 * Contexts: as on the prototypes. SDM volume 3: "Page-Modification Logging".
 */
#include <keel/vm.h>
#include <linux/gfp.h>
#include <vmx/vmx.h>

#define PML_ENTRIES	512
#define PML_EMPTY	(PML_ENTRIES - 1)

int vmx_pml_new(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (!vcpu->vm->arch.tdp.hw_log)
		return 0;
	vmx->pml = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	return vmx->pml ? 0 : -ENOMEM;
}

void vmx_pml_free(struct vmx_vcpu *vmx)
{
	free_page((unsigned long)vmx->pml);
}

void vmx_pml_init(struct vmx_vcpu *vmx)
{
	if (!vmx->pml)
		return;
	vmx_write(VMCS_PML_ADDRESS, __pa(vmx->pml));
	vmx_write(VMCS_PML_INDEX, PML_EMPTY);
}

u32 vmx_pml_controls(const struct keel_vcpu *vcpu)
{
	return to_vmx(vcpu)->pml && READ_ONCE(vcpu->vm->slots.logging) ? VMX_PROC2_PML : 0;
}

void vmx_pml_drain(struct keel_vcpu *vcpu)
{
	const u64 *pml = to_vmx(vcpu)->pml;
	u16 index = vmx_read_hot(VMCS_PML_INDEX);
	unsigned int i;

	if (likely(index == PML_EMPTY))
		return;
	/* Full, it is below the first. */
	for (i = index < PML_ENTRIES ? index + 1 : 0; i < PML_ENTRIES; i++)
		keel_tdp_written(vcpu, to_gfn(pml[i] >> PAGE_SHIFT));
	vmx_write(VMCS_PML_INDEX, PML_EMPTY);
}
