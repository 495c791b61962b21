/* SPDX-License-Identifier: GPL-2.0-only */
/* What the companion modules' parameters switch: kvm-intel.ko and kvm-amd.ko include nothing else of Keel. */
#ifndef ASM_KEEL_OPTIONS_H
#define ASM_KEEL_OPTIONS_H

#define KEEL_OPT_APIC		0x1u	/* the CPU runs the local APICs that are in the kernel */
#define KEEL_OPT_DIRTY_LOG	0x2u	/* the CPU logs which pages it sets dirty; of new VMs */

/* In kvm.ko: "AMD-V", "VT-x", or NULL. */
const char *keel_vendor_name(void);

/* Use of the options the CPU offers those in @wanted, for vCPUs made from now on. Return: what that leaves. */
unsigned int keel_vendor_limit(unsigned int wanted);

#endif /* ASM_KEEL_OPTIONS_H */
