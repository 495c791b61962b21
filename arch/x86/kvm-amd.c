// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm-amd: the stock name, CPU alias and parameters of the AMD-V half. All code is in kvm.ko.
 * The parameters cannot be changed; they say what this release does.
 */
#include <asm/cpu_device_id.h>
#include <asm/keel_options.h>
#include <linux/module.h>
#include <linux/string.h>

static int nested;
module_param(nested, int, 0444);
MODULE_PARM_DESC(nested, "nested virtualization: 0, not offered");

static int sev;
module_param(sev, int, 0444);
MODULE_PARM_DESC(sev, "encrypted guests: 0, not offered");

static int sev_es;
module_param(sev_es, int, 0444);
MODULE_PARM_DESC(sev_es, "encrypted guests with encrypted state: 0, not offered");

static bool avic;
module_param(avic, bool, 0444);
MODULE_PARM_DESC(avic, "virtual interrupt controller in hardware: N, not offered");

static bool npt = true;
module_param(npt, bool, 0444);
MODULE_PARM_DESC(npt, "nested paging: Y, required");

static const struct x86_cpu_id cpus[] = {
	X86_MATCH_FEATURE(X86_FEATURE_SVM, NULL),
	{}
};
MODULE_DEVICE_TABLE(x86cpu, cpus);

static int __init kvm_amd_init(void)
{
	const char *name = keel_vendor_name();

	return name && !strcmp(name, "AMD-V") ? 0 : -EOPNOTSUPP;
}

static void __exit kvm_amd_exit(void)
{
}

module_init(kvm_amd_init);
module_exit(kvm_amd_exit);
MODULE_DESCRIPTION("AMD-V half of Keel, by its stock name");
MODULE_VERSION("0.1.0");
MODULE_LICENSE("GPL");
