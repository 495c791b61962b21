// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-x: is it there, what does it offer, and switching it on and off per CPU.
 *
 * Owns vmx_hw and the per-CPU pages. Which controls are used is settled here, once, from the
 * capability MSRs: what the design cannot do without is required, anything else is adopted where it
 * is offered.
 *
 * Contexts: as on the ops in keel_vendor.h. SDM volume 3: "Enabling and Entering VMX Operation",
 * "Restrictions on VMX Operation", "VMX Capability Reporting Facility".
 */
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/perf_event.h>
#include <asm/processor.h>
#include <asm/tlbflush.h>
#include <asm/tsc.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <pure/vmxqual.h>
#include <vmx/vmx.h>

DEFINE_PER_CPU(struct vmx_cpu, vmx_cpu);
struct vmx_hw vmx_hw __ro_after_init;

static unsigned int vmx_max_stay;
module_param(vmx_max_stay, uint, 0444);
MODULE_PARM_DESC(vmx_max_stay, "Milliseconds after which a guest exits in any case; 0: when there is a reason to. For emulators that hold interrupts back from guests");

static char *vmx_nx_huge_pages = "auto";
module_param_named(nx_huge_pages, vmx_nx_huge_pages, charp, 0444);
MODULE_PARM_DESC(nx_huge_pages, "VT-x: huge pages are split where the guest runs code: auto (on CPUs with the iTLB-multihit erratum), force, off");

/* The host tells of it in /sys/devices/system/cpu/vulnerabilities/itlb_multihit. */
extern bool itlb_multihit_kvm_mitigation;

#define CPUID_1_ECX_VMX BIT(5)

static int vmx_probe(void)
{
	u64 feature;

	if (boot_cpu_data.x86_vendor == X86_VENDOR_AMD || boot_cpu_data.x86_vendor == X86_VENDOR_HYGON)
		return -ENODEV;
	if (!(cpuid_ecx(1) & CPUID_1_ECX_VMX)) {
		pr_err("this CPU does not offer VT-x (VMX)\n");
		return -EOPNOTSUPP;
	}
	/* The host's kernel has locked the MSR at boot if the firmware had not. */
	if (!boot_cpu_has(X86_FEATURE_VMX) || rdmsrl_safe(VMX_MSR_FEATURE_CONTROL, &feature) ||
	    !(feature & VMX_FEATURE_LOCKED) || !(feature & VMX_FEATURE_VMXON)) {
		pr_err("VT-x (VMX) is disabled by the firmware\n");
		return -EOPNOTSUPP;
	}
	return 0;
}

/* --- controls ---------------------------------------------------------------------------------- */

#define PIN_REQUIRED	(VMX_PIN_INTR | VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMIS)
#define PROC_REQUIRED	(VMX_PROC_INTR_WINDOW | VMX_PROC_NMI_WINDOW | VMX_PROC_TSC_OFFSET | VMX_PROC_HLT |	\
			 VMX_PROC_MWAIT | VMX_PROC_MONITOR | VMX_PROC_RDPMC | VMX_PROC_CR8_LOAD |		\
			 VMX_PROC_CR8_STORE | VMX_PROC_MOV_DR | VMX_PROC_IO | VMX_PROC_MSR_BITMAP |		\
			 VMX_PROC_SECONDARY)
#define PROC_OPTIONAL	VMX_PROC_TPR_SHADOW
#define PROC_REFUSED	(VMX_PROC_CR3_LOAD | VMX_PROC_CR3_STORE | VMX_PROC_INVLPG | VMX_PROC_RDTSC |		\
			 VMX_PROC_PAUSE)
/* What a CPU needs to run a local APIC by itself, beside the TPR shadow. */
#define APICV		(VMX_PROC2_VID | VMX_PROC2_APIC_REGS)
#define PROC2_REQUIRED	(VMX_PROC2_EPT | VMX_PROC2_UNRESTRICTED)
#define PROC2_OPTIONAL	(VMX_PROC2_RDTSCP | VMX_PROC2_VPID | VMX_PROC2_WBINVD | VMX_PROC2_PAUSE_LOOP |		\
			 VMX_PROC2_INVPCID | VMX_PROC2_TSC_SCALING | VMX_PROC2_RDRAND |		\
			 VMX_PROC2_RDSEED | VMX_PROC2_ENCLS | VMX_PROC2_ENCLV | APICV | VMX_PROC2_X2APIC |	\
			 VMX_PROC2_PML)
#define EXIT_REQUIRED	(VMX_EXIT_SAVE_DEBUG | VMX_EXIT_HOST_64BIT | VMX_EXIT_LOAD_EFER)
#define EXIT_PAT	(VMX_EXIT_SAVE_PAT | VMX_EXIT_LOAD_PAT)
#define ENTRY_OPTIONAL	(VMX_ENTRY_LOAD_PAT | VMX_ENTRY_CONCEAL_PT)
#define EXIT_OPTIONAL	(EXIT_PAT | VMX_EXIT_CONCEAL_PT | VMX_EXIT_SAVE_TIMER)
#define ENTRY_REQUIRED	(VMX_ENTRY_LOAD_DEBUG | VMX_ENTRY_64BIT | VMX_ENTRY_LOAD_EFER)

static bool __init controls_read(u32 msr, u32 required, u32 optional, u32 refused, u32 *out)
{
	u64 cap;

	if (vmx_hw.basic & VMX_BASIC_TRUE && msr <= VMX_MSR_ENTRY)
		msr += VMX_MSR_TRUE_OFFSET;
	return !rdmsrl_safe(msr, &cap) && vmxqual_controls(cap, required, optional, refused, out);
}

/* Either all three of PAT's controls, or none. */
static void __init pat_agree(void)
{
	if (vmx_hw.entry & VMX_ENTRY_LOAD_PAT && (vmx_hw.exit & EXIT_PAT) == EXIT_PAT)
		return;
	vmx_hw.entry &= ~VMX_ENTRY_LOAD_PAT;
	vmx_hw.exit &= ~EXIT_PAT;
}

static bool __init ept_usable(void)
{
	u64 need = VMX_CAP_EPT_WB | VMX_CAP_EPT_2M | VMX_CAP_INVEPT |
		   (pgtable_l5_enabled() ? VMX_CAP_EPT_LEVELS5 : VMX_CAP_EPT_LEVELS4);

	if (rdmsrl_safe(VMX_MSR_EPT_VPID, &vmx_hw.ept_vpid))
		return false;
	return (vmx_hw.ept_vpid & need) == need &&
	       vmx_hw.ept_vpid & (VMX_CAP_INVEPT_ROOT | VMX_CAP_INVEPT_ALL);
}

/* Exits save what is left of the timer, so that short stays add up. */
static void __init stay_setup(void)
{
	u64 misc, steps;

	rdmsrl(VMX_MSR_MISC, misc);
	steps = (u64)tsc_khz * vmx_max_stay >> (misc & VMX_MISC_TIMER_SHIFT);
	vmx_hw.stay = min_t(u64, steps, U32_MAX);
	if (!vmx_hw.stay || !(vmx_hw.exit & VMX_EXIT_SAVE_TIMER) || !(vmx_hw.pin & VMX_PIN_TIMER)) {
		vmx_hw.pin &= ~VMX_PIN_TIMER;
		vmx_hw.exit &= ~VMX_EXIT_SAVE_TIMER;
	}
}

/* A tag is of use only if it can be dropped by itself, or all can. */
static void __init vpid_agree(void)
{
	if (!(vmx_hw.ept_vpid & VMX_CAP_INVVPID) ||
	    !(vmx_hw.ept_vpid & (VMX_CAP_INVVPID_TAG | VMX_CAP_INVVPID_ALL)))
		vmx_hw.proc2 &= ~VMX_PROC2_VPID;
}

static void __init apicv_agree(void)
{
	if (!(vmx_hw.proc & VMX_PROC_TPR_SHADOW) || (vmx_hw.proc2 & APICV) != APICV)
		vmx_hw.proc2 &= ~(APICV | VMX_PROC2_X2APIC);
}

static void __init pml_agree(void)
{
	if (!(vmx_hw.ept_vpid & VMX_CAP_EPT_AD))
		vmx_hw.proc2 &= ~VMX_PROC2_PML;
}

static int __init controls_setup(void)
{
	rdmsrl(VMX_MSR_BASIC, vmx_hw.basic);
	if (!controls_read(VMX_MSR_PROC2, PROC2_REQUIRED, PROC2_OPTIONAL, 0, &vmx_hw.proc2) ||
	    !ept_usable()) {
		pr_err("VT-x without extended page tables or unrestricted guests is not supported\n");
		return -EOPNOTSUPP;
	}
	if (!controls_read(VMX_MSR_PIN, PIN_REQUIRED, VMX_PIN_TIMER, 0, &vmx_hw.pin) ||
	    !controls_read(VMX_MSR_PROC, PROC_REQUIRED, PROC_OPTIONAL, PROC_REFUSED, &vmx_hw.proc) ||
	    !controls_read(VMX_MSR_EXIT, EXIT_REQUIRED, EXIT_OPTIONAL, 0, &vmx_hw.exit) ||
	    !controls_read(VMX_MSR_ENTRY, ENTRY_REQUIRED, ENTRY_OPTIONAL, 0, &vmx_hw.entry) ||
	    vmx_hw.basic & VMX_BASIC_32BIT ||
	    (vmx_hw.basic & VMX_BASIC_MEMTYPE) != VMX_BASIC_MEMTYPE_WB) {
		pr_err("this CPU's VT-x lacks a control that is required\n");
		return -EOPNOTSUPP;
	}
	pat_agree();
	vpid_agree();
	apicv_agree();
	pml_agree();
	stay_setup();
	return 0;
}

/*
 * On CPUs that have the erratum, a guest that changes the size of a page whose translations are in both
 * instruction TLBs stops the machine with a machine check: nothing larger than 4 KiB is executable there.
 */
static bool __init huge_pages_nx(void)
{
	if (!strcmp(vmx_nx_huge_pages, "force"))
		return true;
	return strcmp(vmx_nx_huge_pages, "off") && boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT);
}

static void __init levels_setup(void)
{
	keel_host_caps.max_level = vmx_hw.ept_vpid & VMX_CAP_EPT_1G ? RADIX_LEVEL_1G : RADIX_LEVEL_2M;
	keel_host_caps.max_exec_level = keel_host_caps.max_level;
	if (huge_pages_nx()) {
		keel_host_caps.max_exec_level = RADIX_LEVEL_4K;
		itlb_multihit_kvm_mitigation = true;
	}
}

static void __init read_features(void)
{
	rdmsrl(VMX_MSR_CR0_FIXED_1, vmx_hw.cr0_fixed);
	vmx_hw.cr0_fixed &= ~(REGS_CR0_PE | REGS_CR0_PG);
	rdmsrl(VMX_MSR_CR4_FIXED_1, vmx_hw.cr4_fixed);
	vmx_hw.error_vectors = VMXQUAL_ERRORS;
	if (vmx_hw.basic & VMX_BASIC_ANY_ERROR)
		vmx_hw.error_vectors |= VMXQUAL_ERRORS_CET;
	vmx_hw.has_tsc_aux = boot_cpu_has(X86_FEATURE_RDTSCP) || boot_cpu_has(X86_FEATURE_RDPID);
	vmx_hw.has_spec_ctrl = boot_cpu_has(X86_FEATURE_MSR_SPEC_CTRL);
	vmx_hw.has_ibpb = boot_cpu_has(X86_FEATURE_IBPB);

	keel_host_caps.pte_fmt = vmx_hw.ept_vpid & VMX_CAP_EPT_AD ? &radix_fmt_ept : &radix_fmt_ept_noad;
	keel_host_caps.pdptes = true;
	keel_host_caps.next_rip = true;
	levels_setup();
	if (vmx_hw.proc2 & VMX_PROC2_VID)
		keel_host_caps.options |= KEEL_OPT_APIC;
	if (vmx_hw.proc2 & VMX_PROC2_PML)
		keel_host_caps.options |= KEEL_OPT_DIRTY_LOG;
	keel_host_caps.tsc_scaling = vmx_hw.proc2 & VMX_PROC2_TSC_SCALING;
	keel_host_caps.tsc_frac_bits = VMX_TSC_FRAC_BITS;
	keel_host_caps.tsc_max_ratio = ~0ULL;
	if (vmx_hw.has_spec_ctrl && vmx_hw.has_ibpb)
		keel_host_caps.cpuid_caps |= CPUID_CAP_SPEC_CTRL;
	if (vmx_hw.proc2 & VMX_PROC2_RDTSCP)
		keel_host_caps.cpuid_caps |= CPUID_CAP_RDTSCP;
	if (vmx_hw.proc2 & VMX_PROC2_INVPCID)
		keel_host_caps.cpuid_caps |= CPUID_CAP_INVPCID;
	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		keel_host_caps.cpuid_caps |= CPUID_CAP_ARCH_CAPS;
	if (boot_cpu_has(X86_FEATURE_FLUSH_L1D))
		keel_host_caps.cpuid_caps |= CPUID_CAP_FLUSH_L1D;
}

/* --- life cycle -------------------------------------------------------------------------------- */

static void vmx_hw_teardown(void)
{
	int nr;

	itlb_multihit_kvm_mitigation = false;
	for_each_possible_cpu(nr) {
		struct vmx_cpu *cpu = per_cpu_ptr(&vmx_cpu, nr);

		free_page((unsigned long)cpu->vmxon);
		cpu->vmxon = NULL;
	}
	vmx_l1d_free();
}

static int __init vmxon_pages(void)
{
	int nr;

	for_each_possible_cpu(nr) {
		struct vmx_cpu *cpu = per_cpu_ptr(&vmx_cpu, nr);
		struct page *page = alloc_pages_node(cpu_to_node(nr), GFP_KERNEL | __GFP_ZERO, 0);

		if (!page)
			return -ENOMEM;
		cpu->vmxon = page_address(page);
		*(u32 *)cpu->vmxon = vmx_hw.basic & VMX_BASIC_REVISION;
		INIT_LIST_HEAD(&cpu->loaded);
	}
	return 0;
}

static int __init vmx_hw_setup(void)
{
	int err = controls_setup();

	if (err)
		return err;
	read_features();
	err = vmxon_pages();
	if (!err)
		err = vmx_l1d_setup();
	if (err)
		vmx_hw_teardown();
	return err;
}

/* The world switch and the VMCSs are made for the CPU that loaded the module. */
static bool same_cpu_kind(void)
{
	u64 basic, feature;

	return !rdmsrl_safe(VMX_MSR_FEATURE_CONTROL, &feature) && feature & VMX_FEATURE_VMXON &&
	       !rdmsrl_safe(VMX_MSR_BASIC, &basic) && basic == vmx_hw.basic;
}

static int vmxon(u64 pa)
{
	asm goto("1: vmxon %[pa]\n\tjbe %l[failed]\n" _ASM_EXTABLE(1b, %l[failed])
			  : : [pa] "m" (pa) : "cc", "memory" : failed);
	return 0;
failed:
	return -EBUSY;
}

static int vmx_cpu_on(void)
{
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpu);
	int err;

	/* Whoever uses VT-x has this bit set. */
	if (native_read_cr4() & X86_CR4_VMXE)
		return -EBUSY;
	if (!same_cpu_kind())
		return -EOPNOTSUPP;
	intel_pt_handle_vmx(1);
	cr4_set_bits(X86_CR4_VMXE);
	err = vmxon(__pa(cpu->vmxon));
	if (err) {
		cr4_clear_bits(X86_CR4_VMXE);
		intel_pt_handle_vmx(0);
		return err;
	}
	cpu->current_vmcs = 0;
	cpu->last_vcpu = 0;
	vmx_flush_cpu_on();
	vmx_late_on(cpu);
	return 0;
}

static void vmx_cpu_off(void)
{
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpu);

	vmx_vmcs_clear_all(cpu);
	vmx_late_off(cpu);
	asm volatile("1: vmxoff\n2:\n" _ASM_EXTABLE(1b, 2b) : : : "cc", "memory");
	cr4_clear_bits(X86_CR4_VMXE);
	intel_pt_handle_vmx(0);
}

const struct keel_vendor_ops vmx_ops = {
	.name = "VT-x",
	.probe = vmx_probe,
	.hw_setup = vmx_hw_setup,
	.hw_teardown = vmx_hw_teardown,
	.cpu_on = vmx_cpu_on,
	.cpu_off = vmx_cpu_off,
	.vcpu_new = vmx_vcpu_new,
	.vcpu_free = vmx_vcpu_free,
	.vcpu_reset = vmx_vcpu_reset,
	.vcpu_load = vmx_vcpu_load,
	.vcpu_put = vmx_vcpu_put,
	.enter = vmx_enter,
	.after_exit = vmx_after_exit,
	.decode = vmx_decode,
	.regs_load = vmx_regs_load,
	.regs_commit = vmx_regs_commit,
	.controls_sync = vmx_controls_sync,
	.inject = vmx_inject,
	.cancel = vmx_cancel,
	.window = vmx_window,
	.msr_get = vmx_msr_get,
	.msr_set = vmx_msr_set,
	.apic_give = vmx_apic_give,
	.apic_take = vmx_apic_take,
	.set_root = vmx_set_root,
	.flush = vmx_flush,
	.tsc_set = vmx_tsc_set,
	.exit_info = vmx_exit_info,
	.dump = vmx_dump,
};
