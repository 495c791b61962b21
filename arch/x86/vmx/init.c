// SPDX-License-Identifier: GPL-2.0-only
/* VT-x: the place it will take. Until then its CPUs are told so, once, at load. */
#include <asm/cpufeature.h>
#include <asm/keel_vendor.h>
#include <linux/printk.h>

static int vmx_probe(void)
{
	if (!boot_cpu_has(X86_FEATURE_VMX))
		return -ENODEV;
	pr_err("kvm: VT-x is not supported yet\n");
	return -EOPNOTSUPP;
}

const struct keel_vendor_ops vmx_ops = {
	.name = "VT-x",
	.probe = vmx_probe,
};
