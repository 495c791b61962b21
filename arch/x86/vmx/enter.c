// SPDX-License-Identifier: GPL-2.0-only
/*
 * Entering the guest: what is left to do in C around the world switch.
 *
 * Owns the moment of entry, the flush of the L1 cache, and CR2 and DR6, which the CPU does not
 * switch. RIP, RSP and RFLAGS go in here and come out in exits.c. Everything that is rare hides
 * behind vmx_vcpu.pending.
 *
 * Context: IRQs off. SDM volume 3: "VM Entries", "Loading Host State"; "L1 Terminal Fault".
 */
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/hardirq.h>
#include <asm/nospec-branch.h>
#include <asm/special_insns.h>
#include <linux/gfp.h>
#include <linux/hw_breakpoint.h>
#include <linux/static_call.h>
#include <pure/vmxqual.h>
#include <vmx/vmx.h>

/* --- L1 terminal fault ------------------------------------------------------------------------- */

#define L1D_ORDER	4	/* 64 KiB: no L1 data cache affected is larger than half of it */
#define L1D_BYTES	(PAGE_SIZE << L1D_ORDER)
#define L1D_LINE	64

static DEFINE_STATIC_KEY_FALSE(l1d_flush);	/* this CPU is affected and the host wants it */
static DEFINE_STATIC_KEY_FALSE(l1d_always);	/* at every entry, not only after other work */
static void *l1d_pages;				/* for CPUs without the command */

int __init vmx_l1d_setup(void)
{
	u64 caps = 0;

	if (!boot_cpu_has_bug(X86_BUG_L1TF) || l1tf_mitigation == L1TF_MITIGATION_OFF)
		return 0;
	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		rdmsrl(MSR_IA32_ARCH_CAPABILITIES, caps);
	if (caps & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH)
		return 0;
	if (!boot_cpu_has(X86_FEATURE_FLUSH_L1D)) {
		unsigned int i;

		l1d_pages = (void *)__get_free_pages(GFP_KERNEL, L1D_ORDER);
		if (!l1d_pages)
			return -ENOMEM;
		/* Different content in each, or the pages may be merged into one by a host below. */
		for (i = 0; i < 1 << L1D_ORDER; i++)
			memset(l1d_pages + i * PAGE_SIZE, i + 1, PAGE_SIZE);
	}
	static_branch_enable(&l1d_flush);
	if (l1tf_mitigation >= L1TF_MITIGATION_FULL)
		static_branch_enable(&l1d_always);
	return 0;
}

void vmx_l1d_free(void)
{
	if (l1d_pages)
		free_pages((unsigned long)l1d_pages, L1D_ORDER);
	l1d_pages = NULL;
}

static __always_inline void l1d_read(unsigned int offset)
{
	READ_ONCE(*(u8 *)(l1d_pages + offset));
}

static noinline void l1d_flush_now(void)
{
	unsigned int i;

	if (static_cpu_has(X86_FEATURE_FLUSH_L1D)) {
		native_wrmsrl(VMX_MSR_FLUSH_CMD, 1);
		return;
	}
	/* The translations first, so that the second pass does nothing but fill the cache. */
	for (i = 0; i < L1D_BYTES; i += PAGE_SIZE)
		l1d_read(i);
	asm volatile("lfence" : : : "memory");
	for (i = 0; i < L1D_BYTES; i += 8 * L1D_LINE) {
		l1d_read(i);
		l1d_read(i + L1D_LINE);
		l1d_read(i + 2 * L1D_LINE);
		l1d_read(i + 3 * L1D_LINE);
		l1d_read(i + 4 * L1D_LINE);
		l1d_read(i + 5 * L1D_LINE);
		l1d_read(i + 6 * L1D_LINE);
		l1d_read(i + 7 * L1D_LINE);
	}
	asm volatile("lfence" : : : "memory");
}

/* Interrupt handlers leave a note of their own. */
static __always_inline void l1d_before_entry(struct vmx_vcpu *vmx)
{
	if (likely(!vmx->l1d_dirty && !kvm_get_cpu_l1tf_flush_l1d()) &&
	    !static_branch_unlikely(&l1d_always))
		return;
	vmx->l1d_dirty = false;
	kvm_clear_cpu_l1tf_flush_l1d();
	l1d_flush_now();
}

/* --- the entry --------------------------------------------------------------------------------- */

static noinline void enter_prepare(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_flush_pending(vmx);
	if (vmx->pending & VMX_PEND_HOST) {
		vmx_host_hold(vmx);
		/*
		 * User space may have put other state in: a single-step trap is due in a shadow only. No CPU
		 * leaves one elsewhere, but Bochs does, after HLT.
		 */
		if (vmx->rflags & X86_EFLAGS_TF)
			vmx_blocking_write(vmx, vmx->blocking, vcpu->arch.regs.rflags & X86_EFLAGS_TF);
	}
	if (vmx->pending & (VMX_PEND_HOST | VMX_PEND_MSRS))
		vmx_late_load(vcpu);
	vmx->pending = 0;
}

/* An NMI that is injected must not be blocked; its delivery blocks others. */
static noinline void blocking_in(struct keel_vcpu *vcpu)
{
	const struct event_state *events = &vcpu->arch.events;
	u64 rflags = vcpu->arch.regs.rflags;
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	bool nmi = vmx->entry_event && vmxqual_event_type(vmx->entry_event) == VMXQUAL_NMI;
	u32 blocking = vmxqual_blocking(events->shadow, rflags & X86_EFLAGS_IF,
					events->nmi_masked && !nmi);

	if (blocking != vmx->blocking || (events->shadow && rflags & X86_EFLAGS_TF))
		vmx_blocking_write(vmx, blocking, rflags & X86_EFLAGS_TF);
}

static __always_inline void registers_in(struct keel_vcpu *vcpu, struct vmx_vcpu *vmx)
{
	const struct keel_regs *regs = &vcpu->arch.regs;
	const struct event_state *events = &vcpu->arch.events;

	vmx_control64(&vmx->rip, VMCS_GUEST_RIP, regs->rip);
	vmx_control64(&vmx->rsp, VMCS_GUEST_RSP, regs->gpr[KEEL_RSP]);
	vmx_control64(&vmx->rflags, VMCS_GUEST_RFLAGS, regs->rflags);
	if (unlikely(vmx->blocking | events->shadow | events->nmi_masked))
		blocking_in(vcpu);
	if (unlikely(vmx->cr2 != native_read_cr2()))
		native_write_cr2(vmx->cr2);
}

static __always_inline void debug_in(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (likely(!vcpu->arch.debug_active))
		return;
	set_debugreg(vmx->dr6, 6);
	/* Bochs leaves a trap behind when the instruction to be stepped over exits before it is executed. */
	if (keel_debug_stepping(&vcpu->arch))
		vmx_blocking_write(vmx, vmx->blocking, true);
}

/* An exit leaves DR7 disarmed. While the guest's breakpoints are in the CPU, core/debug.c sees to it. */
static __always_inline void debug_out(struct keel_vcpu *vcpu)
{
	if (unlikely(vcpu->arch.debug_active)) {
		unsigned long dr6;

		get_debugreg(dr6, 6);
		to_vmx(vcpu)->dr6 = dr6;
		set_debugreg(DR6_RESERVED, 6);
	} else if (unlikely(hw_breakpoint_active())) {
		hw_breakpoint_restore();
	}
}

void vmx_enter(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (unlikely(vmx->pending))
		enter_prepare(vcpu);
	registers_in(vcpu, vmx);
	vmx_control64(&vmx->host_cr3, VMCS_HOST_CR3, __native_read_cr3());
	vmx_control64(&vmx->host_cr4, VMCS_HOST_CR4, native_read_cr4());
	debug_in(vcpu);
	if (static_branch_unlikely(&l1d_flush))
		l1d_before_entry(vmx);
	else if (static_branch_unlikely(&mmio_stale_data_clear))
		x86_clear_cpu_buffers();

	vmx->status = vmx_world_switch(&vmx->run, vcpu->arch.regs.gpr);

	vmx->cr2 = native_read_cr2();
	debug_out(vcpu);
	if (unlikely(vmx->host.debugctl))
		native_wrmsrl(MSR_IA32_DEBUGCTLMSR, vmx->host.debugctl);
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
}
