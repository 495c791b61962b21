// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events between the common code and the VMCS: injection, its revocation, hand-back of a delivery
 * that an exit cut short, interruptibility, and the windows at which an interrupt or NMI could be
 * taken.
 *
 * Owns vmx_vcpu.entry_event, .blocking and .windows, and of the VMCS: the entry's event fields,
 * interruptibility and pending debug exceptions. Does not own priority and merging (pure/event.c)
 * nor the words' layouts (pure/vmxqual.c).
 *
 * With virtual NMIs the CPU itself knows whether they are blocked and when an IRET ends it;
 * events.nmi_masked follows at each exit. In the shadow of STI some CPUs open the NMI window and
 * some do not: at an exit for it the shadow is taken as over, or that exit would come again and
 * again.
 *
 * Context: loaded, preemption off or IRQs off. SDM volume 3: "Event Injection", "Information for VM
 * Exits That Occur During Event Delivery", "Guest Non-Register State", "Virtual NMIs".
 */
#include <pure/vmxqual.h>
#include <vmx/vmx.h>

#define PENDING_DB_BS BIT64(14)

void vmx_inject(struct keel_vcpu *vcpu, const struct event_decision *ev)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 error;
	u32 event = vmxqual_inject(ev, vmx_hw.error_vectors, &error);

	vmx->entry_event = event;
	if (event & VMXQUAL_EVENT_HAS_ERROR)
		vmx_write(VMCS_ENTRY_ERROR, error);
	vmx_write(VMCS_ENTRY_EVENT, event);
}

void vmx_cancel(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (vmx->entry_event)
		vmx_write(VMCS_ENTRY_EVENT, 0);
	vmx->entry_event = 0;
}

void vmx_events_harvest(struct keel_vcpu *vcpu)
{
	u32 word = vmx_read(VMCS_VECTORING), error = 0;
	struct event_vectoring ev;

	if (likely(!(word & VMXQUAL_EVENT_VALID)))
		return;
	if (word & VMXQUAL_EVENT_HAS_ERROR)
		error = vmx_read(VMCS_VECTORING_ERROR);
	if (vmxqual_vectoring(word, error, &ev))
		keel_event_requeue(vcpu, &ev);
}

void vmx_events_failed(struct keel_vcpu *vcpu)
{
	u32 word = to_vmx(vcpu)->entry_event, error = 0;
	struct event_vectoring ev;

	if (word & VMXQUAL_EVENT_HAS_ERROR)
		error = vmx_read(VMCS_ENTRY_ERROR);
	vmx_cancel(vcpu);
	if (vmxqual_vectoring(word, error, &ev))
		keel_event_requeue(vcpu, &ev);
}

u32 vmx_window_controls(const struct vmx_vcpu *vmx)
{
	return (vmx->windows & KEEL_WINDOW_IRQ ? VMX_PROC_INTR_WINDOW : 0) |
	       (vmx->windows & KEEL_WINDOW_NMI ? VMX_PROC_NMI_WINDOW : 0);
}

void vmx_window(struct keel_vcpu *vcpu, u32 windows)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 proc = vmx->controls.proc & ~(VMX_PROC_INTR_WINDOW | VMX_PROC_NMI_WINDOW);

	vmx->windows = windows;
	vmx_control(&vmx->controls.proc, VMCS_PROC, proc | vmx_window_controls(vmx));
}

/*
 * With a shadow and RFLAGS.TF the CPU wants to be told that the trap of the instruction before is
 * still due; without them it must not be told.
 */
void vmx_blocking_write(struct vmx_vcpu *vmx, u32 blocking, bool trap)
{
	bool shadow = blocking & (VMXQUAL_BLOCK_STI | VMXQUAL_BLOCK_MOV_SS);
	u64 pending = vmx_read(VMCS_GUEST_PENDING_DB);
	u64 wanted = (pending & ~PENDING_DB_BS) | (shadow && trap ? PENDING_DB_BS : 0);

	if (pending != wanted)
		vmx_write(VMCS_GUEST_PENDING_DB, wanted);
	vmx_control(&vmx->blocking, VMCS_GUEST_BLOCKING, blocking);
}
