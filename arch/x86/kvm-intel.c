// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm-intel: the stock name, CPU alias and parameters of the VT-x half. All code is in kvm.ko.
 * Its parameters are asked for here and say afterwards what is in use.
 */
#include <asm/cpu_device_id.h>
#include <asm/keel_options.h>
#include <linux/module.h>
#include <linux/string.h>

static int nested;
module_param(nested, int, 0444);
MODULE_PARM_DESC(nested, "nested virtualization: 0, not offered");

static bool enable_apicv = true;
module_param(enable_apicv, bool, 0444);
MODULE_PARM_DESC(enable_apicv, "virtual interrupt controller in hardware, where the CPU has one");

static bool pml = true;
module_param(pml, bool, 0444);
MODULE_PARM_DESC(pml, "page-modification logging for the dirty log, where the CPU has it");

static bool ept = true;
module_param(ept, bool, 0444);
MODULE_PARM_DESC(ept, "extended page tables: Y, required");

static bool unrestricted_guest = true;
module_param(unrestricted_guest, bool, 0444);
MODULE_PARM_DESC(unrestricted_guest, "real mode in hardware: Y, required");

static const struct x86_cpu_id cpus[] = {
	X86_MATCH_FEATURE(X86_FEATURE_VMX, NULL),
	{}
};
MODULE_DEVICE_TABLE(x86cpu, cpus);

static int __init kvm_intel_init(void)
{
	const char *name = keel_vendor_name();

	unsigned int options;

	if (!name || strcmp(name, "VT-x"))
		return -EOPNOTSUPP;
	options = keel_vendor_limit((enable_apicv ? KEEL_OPT_APIC : 0) | (pml ? KEEL_OPT_DIRTY_LOG : 0));
	enable_apicv = options & KEEL_OPT_APIC;
	pml = options & KEEL_OPT_DIRTY_LOG;
	return 0;
}

static void __exit kvm_intel_exit(void)
{
}

module_init(kvm_intel_init);
module_exit(kvm_intel_exit);
MODULE_DESCRIPTION("VT-x half of Keel, by its stock name");
MODULE_VERSION("0.1.0");
MODULE_LICENSE("GPL");
