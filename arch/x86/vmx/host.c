// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's registers around a guest's stay: those the CPU loads at an exit, and those it does not
 * keep.
 *
 * Owns the host-state area of the VMCS but for CR3, CR4 and RSP, which follow each entry (enter.c,
 * switch.S), and vmx_vcpu.host. Constants are written once, what belongs to a CPU when the vCPU
 * comes to it, FS base when the thread's has changed.
 *
 * An exit leaves the limits of GDTR, IDTR and TR at their maxima, LDTR empty and selectors null.
 * The kernel itself does not mind; before the thread goes on as anything else than a vCPU they are
 * repaired. No vector is above the IDT's limit.
 *
 * Contexts: as on the prototypes. SDM volume 3: "Host-State Area", "Loading Host Segment and
 * Descriptor-Table Registers".
 */
#include <asm/cpu_entry_area.h>
#include <asm/desc.h>
#include <asm/fsgsbase.h>
#include <asm/msr.h>
#include <asm/special_insns.h>
#include <linux/mm_types.h>
#include <linux/sched.h>
#include <vmx/vmx.h>

void vmx_host_constant(void)
{
	struct desc_ptr idt;
	u64 value;

	store_idt(&idt);
	vmx_write(VMCS_HOST_IDT_BASE, idt.address);
	vmx_write(VMCS_HOST_CR0, read_cr0());
	vmx_write(VMCS_HOST_CS, __KERNEL_CS);
	vmx_write(VMCS_HOST_SS, __KERNEL_DS);
	vmx_write(VMCS_HOST_DS, 0);
	vmx_write(VMCS_HOST_ES, 0);
	vmx_write(VMCS_HOST_FS, 0);
	vmx_write(VMCS_HOST_GS, 0);
	vmx_write(VMCS_HOST_TR, GDT_ENTRY_TSS * 8);
	vmx_write(VMCS_HOST_FS_BASE, 0);
	rdmsrl(VMX_MSR_EFER, value);
	vmx_write(VMCS_HOST_EFER, value);
	if (vmx_hw.exit & VMX_EXIT_LOAD_PAT) {
		rdmsrl(VMX_MSR_PAT, value);
		vmx_write(VMCS_HOST_PAT, value);
	}
	rdmsrl(VMX_MSR_SYSENTER_CS, value);
	vmx_write(VMCS_HOST_SYSENTER_CS, value);
	rdmsrl(VMX_MSR_SYSENTER_EIP, value);
	vmx_write(VMCS_HOST_SYSENTER_EIP, value);
	vmx_write(VMCS_HOST_RIP, (unsigned long)vmx_exit_here);
}

void vmx_host_cpu(int cpu)
{
	u64 value;

	vmx_write(VMCS_HOST_TR_BASE, (unsigned long)&get_cpu_entry_area(cpu)->tss.x86_tss);
	vmx_write(VMCS_HOST_GDT_BASE, (unsigned long)get_cpu_gdt_ro(cpu));
	rdmsrl(VMX_MSR_GS_BASE, value);
	vmx_write(VMCS_HOST_GS_BASE, value);
	rdmsrl(VMX_MSR_SYSENTER_ESP, value);
	vmx_write(VMCS_HOST_SYSENTER_ESP, value);
}

static u64 fs_base_read(void)
{
	return static_cpu_has(X86_FEATURE_FSGSBASE) ? rdfsbase() : __rdmsr(VMX_MSR_FS_BASE);
}

static void fs_base_write(u64 base)
{
	if (static_cpu_has(X86_FEATURE_FSGSBASE))
		wrfsbase(base);
	else
		native_wrmsrl(VMX_MSR_FS_BASE, base);
}

void vmx_host_hold(struct vmx_vcpu *vmx)
{
	struct vmx_host_state *host = &vmx->host;

	savesegment(fs, host->fs);
	savesegment(gs, host->gs);
	savesegment(ds, host->ds);
	savesegment(es, host->es);
	vmx_control64(&host->fs_base, VMCS_HOST_FS_BASE, fs_base_read());
	host->debugctl = __rdmsr(MSR_IA32_DEBUGCTLMSR);
	host->kernel_gs_base = __rdmsr(VMX_MSR_KERNEL_GS_BASE);
	if (host->kernel_gs_base != vmx->kernel_gs_base)
		native_wrmsrl(VMX_MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	host->held = true;
}

/*
 * Another thread may have replaced the LDT meanwhile; its descriptor in the GDT is the newest this
 * CPU was told of, and if that one is not complete yet the interrupt that completes it loads it
 * too.
 */
static void ldt_restore(void)
{
#ifdef CONFIG_MODIFY_LDT_SYSCALL
	if (unlikely(current->mm && READ_ONCE(current->mm->context.ldt)))
		asm volatile("1: lldt %w0\n2:\n" _ASM_EXTABLE(1b, 2b) : : "r" (GDT_ENTRY_LDT * 8));
#endif
}

void vmx_host_release(struct vmx_vcpu *vmx)
{
	struct vmx_host_state *host = &vmx->host;
	unsigned long flags;

	if (!host->held)
		return;
	local_irq_save(flags);
	host->held = false;
	vmx->kernel_gs_base = __rdmsr(VMX_MSR_KERNEL_GS_BASE);
	ldt_restore();
	if (unlikely(host->fs)) {
		loadsegment(fs, host->fs);
		fs_base_write(host->fs_base);
	}
	if (unlikely(host->gs))
		load_gs_index(host->gs);
	if (unlikely(host->ds | host->es)) {
		loadsegment(ds, host->ds);
		loadsegment(es, host->es);
	}
	if (host->gs || host->kernel_gs_base != vmx->kernel_gs_base)
		native_wrmsrl(VMX_MSR_KERNEL_GS_BASE, host->kernel_gs_base);
	invalidate_tss_limit();
	load_fixmap_gdt(raw_smp_processor_id());
	local_irq_restore(flags);
}
