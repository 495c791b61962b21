// SPDX-License-Identifier: GPL-2.0-only
/*
 * AMD-V: is it there, what does it offer, and switching it on and off per CPU.
 *
 * Owns svm_hw, the I/O permission map (all ports exit) and the per-CPU pages. When the host
 * crashes or restarts it clears EFER.SVME itself; instructions of AMD-V then fault and are skipped.
 *
 * Contexts: as on the ops in keel_vendor.h. APM volume 2: "Determining Support for SVM", "Enabling SVM",
 * "VM_HSAVE_PA MSR", "TSC Ratio MSR".
 */
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <linux/mem_encrypt.h>
#include <linux/mm.h>
#include <svm/svm.h>

DEFINE_PER_CPU(struct svm_cpu, svm_cpu);
struct svm_hw svm_hw __ro_after_init;

static struct page *iopm __ro_after_init;

static int svm_probe(void)
{
	u64 vm_cr;

	if (boot_cpu_data.x86_vendor != X86_VENDOR_AMD && boot_cpu_data.x86_vendor != X86_VENDOR_HYGON)
		return -ENODEV;
	if (!boot_cpu_has(X86_FEATURE_SVM)) {
		pr_err("kvm: this CPU does not offer AMD-V (SVM)\n");
		return -EOPNOTSUPP;
	}
	if (cpuid_eax(0x80000000) < SVM_FEAT_LEAF || !(cpuid_edx(SVM_FEAT_LEAF) & SVM_FEAT_NPT)) {
		pr_err("kvm: this CPU's AMD-V has no nested paging, which is required\n");
		return -EOPNOTSUPP;
	}
	if (rdmsrl_safe(SVM_MSR_VM_CR, &vm_cr) || vm_cr & SVM_VM_CR_SVMDIS) {
		pr_err("kvm: AMD-V (SVM) is disabled by the firmware\n");
		return -EOPNOTSUPP;
	}
	return 0;
}

static void read_features(void)
{
	u32 eax, ebx, ecx, edx;

	cpuid(SVM_FEAT_LEAF, &eax, &ebx, &ecx, &edx);
	svm_hw.features = edx;
	/* EBX counts ASIDs from 0, which is the host's. */
	svm_hw.max_asid = ebx - 1;
	svm_hw.nrips = edx & SVM_FEAT_NRIPS && boot_cpu_has(X86_FEATURE_NRIPS);
	svm_hw.has_tsc_aux = boot_cpu_has(X86_FEATURE_RDTSCP) || boot_cpu_has(X86_FEATURE_RDPID);
	svm_hw.has_spec_ctrl = boot_cpu_has(X86_FEATURE_MSR_SPEC_CTRL);
	svm_hw.has_ibpb = boot_cpu_has(X86_FEATURE_IBPB);
	/* The world switch is patched by the host's view of the feature; both must say the same. */
	if (!boot_cpu_has(X86_FEATURE_V_SPEC_CTRL))
		svm_hw.features &= ~SVM_FEAT_SPEC_CTRL;

	keel_host_caps.pte_fmt = &radix_fmt_npt;
	keel_host_caps.next_rip = svm_hw.nrips;
	keel_host_caps.max_level = boot_cpu_has(X86_FEATURE_GBPAGES) ? RADIX_LEVEL_1G : RADIX_LEVEL_2M;
	keel_host_caps.max_exec_level = keel_host_caps.max_level;
	keel_host_caps.tsc_scaling = edx & SVM_FEAT_TSC_RATE;
	keel_host_caps.tsc_frac_bits = SVM_TSC_FRAC_BITS;
	keel_host_caps.tsc_max_ratio = SVM_TSC_RATIO_MAX;
	keel_host_caps.cpuid_caps = CPUID_CAP_RDTSCP | CPUID_CAP_INVPCID;
	if (svm_hw.has_spec_ctrl && svm_hw.has_ibpb)
		keel_host_caps.cpuid_caps |= CPUID_CAP_SPEC_CTRL;
}

static void svm_hw_teardown(void)
{
	int nr;

	for_each_possible_cpu(nr) {
		struct svm_cpu *cpu = per_cpu_ptr(&svm_cpu, nr);

		if (cpu->host_page)
			__free_page(cpu->host_page);
		if (cpu->hsave_page)
			__free_page(cpu->hsave_page);
		cpu->host_page = cpu->hsave_page = NULL;
	}
	if (iopm)
		__free_pages(iopm, SVM_IOPM_ORDER);
}

static int svm_hw_setup(void)
{
	int nr;

	read_features();
	if (!svm_hw.max_asid || svm_hw.max_asid == U32_MAX) {
		pr_err("kvm: this CPU offers no address space identifiers\n");
		return -EOPNOTSUPP;
	}
	iopm = alloc_pages(GFP_KERNEL, SVM_IOPM_ORDER);
	if (!iopm)
		return -ENOMEM;
	memset(page_address(iopm), 0xff, PAGE_SIZE << SVM_IOPM_ORDER);
	svm_hw.iopm_pa = __sme_pa(page_address(iopm));

	for_each_possible_cpu(nr) {
		struct svm_cpu *cpu = per_cpu_ptr(&svm_cpu, nr);
		int node = cpu_to_node(nr);

		cpu->host_page = alloc_pages_node(node, GFP_KERNEL | __GFP_ZERO, 0);
		cpu->hsave_page = alloc_pages_node(node, GFP_KERNEL | __GFP_ZERO, 0);
		if (!cpu->host_page || !cpu->hsave_page) {
			svm_hw_teardown();
			return -ENOMEM;
		}
		cpu->host_pa = __sme_pa(page_address(cpu->host_page));
	}
	return 0;
}

static int svm_cpu_on(void)
{
	struct svm_cpu *cpu = this_cpu_ptr(&svm_cpu);
	u64 efer;

	rdmsrl(SVM_MSR_EFER, efer);
	if (efer & SVM_EFER_SVME)
		return -EBUSY;
	wrmsrl(SVM_MSR_EFER, efer | SVM_EFER_SVME);
	wrmsrl(SVM_MSR_VM_HSAVE_PA, __sme_pa(page_address(cpu->hsave_page)));
	/* Without the MSR the ratio never differs from this. */
	cpu->tsc_ratio = svm_hw.features & SVM_FEAT_TSC_RATE ? 0 : SVM_TSC_RATIO_ONE;
	svm_tsc_ratio_load(cpu, SVM_TSC_RATIO_ONE);
	cpu->last_vcpu = 0;
	svm_asid_cpu_on(cpu);
	svm_tsc_aux_on(cpu);
	return 0;
}

static void svm_cpu_off(void)
{
	struct svm_cpu *cpu = this_cpu_ptr(&svm_cpu);
	u64 efer;

	svm_tsc_aux_off(cpu);
	svm_tsc_ratio_load(cpu, SVM_TSC_RATIO_ONE);
	rdmsrl(SVM_MSR_EFER, efer);
	if (!(efer & SVM_EFER_SVME))
		return;
	wrmsrl(SVM_MSR_VM_HSAVE_PA, 0);
	wrmsrl(SVM_MSR_EFER, efer & ~SVM_EFER_SVME);
}

const struct keel_vendor_ops svm_ops = {
	.name = "AMD-V",
	.probe = svm_probe,
	.hw_setup = svm_hw_setup,
	.hw_teardown = svm_hw_teardown,
	.cpu_on = svm_cpu_on,
	.cpu_off = svm_cpu_off,
	.vcpu_new = svm_vcpu_new,
	.vcpu_free = svm_vcpu_free,
	.vcpu_reset = svm_vcpu_reset,
	.vcpu_load = svm_vcpu_load,
	.enter = svm_enter,
	.after_exit = svm_after_exit,
	.decode = svm_decode,
	.regs_load = svm_regs_load,
	.regs_commit = svm_regs_commit,
	.controls_sync = svm_controls_sync,
	.inject = svm_inject,
	.cancel = svm_cancel,
	.window = svm_window,
	.msr_get = svm_msr_get,
	.msr_set = svm_msr_set,
	.set_root = svm_set_root,
	.flush = svm_flush,
	.tsc_set = svm_tsc_set,
	.exit_info = svm_exit_info,
	.dump = svm_dump,
};
