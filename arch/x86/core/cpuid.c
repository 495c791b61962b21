// SPDX-License-Identifier: GPL-2.0-only
/*
 * CPUID: the host's leaves read once at load, what is offered of them, and each vCPU's own table.
 *
 * Owns: struct keel_cpuid. Does not own: the policy (pure/cpuid*.c). Contexts: module init; task with
 * the vCPU loaded. CPUID is never executed on any other path.
 * Source: KVM API, KVM_GET_SUPPORTED_CPUID, KVM_SET_CPUID2.
 */
#include "core.h"
#include <asm/fpu/xcr.h>
#include <asm/processor.h>
#include <keel/host.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#define HOST_LEAVES 160
#define CPUID_1_ECX_TSC_DEADLINE BIT(24)

static struct cpuid_leaf host_leaf[HOST_LEAVES] __ro_after_init;
static struct cpuid_leaf supported_leaf[CPUID_MAX_SUPPORTED] __ro_after_init;
static struct cpuid_leaf reported_leaf[CPUID_MAX_SUPPORTED] __ro_after_init;	/* KVM_GET_SUPPORTED_CPUID */
static struct cpuid_leaf emulated_leaf[CPUID_MAX_SUPPORTED] __ro_after_init;
static unsigned int emulated_nr __ro_after_init;
static u64 xcr0_supported __ro_after_init;

struct cpuid_table keel_cpuid_supported __ro_after_init;
struct cpuid_derived keel_cpuid_host __ro_after_init;

static_assert(sizeof(struct cpuid_leaf) == sizeof(struct kvm_cpuid_entry2));

static void host_cpuid(u32 leaf, u32 subleaf, u32 regs[4])
{
	cpuid_count(leaf, subleaf, &regs[0], &regs[1], &regs[2], &regs[3]);
}

u64 keel_xcr0_supported(void)
{
	return xcr0_supported;
}

int __init keel_cpuid_module_init(void)
{
	struct cpuid_table host;
	struct cpuid_caps caps = {
		.have = keel_host_caps.cpuid_caps | CPUID_CAP_LAPIC |
			(KEEL_HOST_RUN_DELAY ? CPUID_CAP_STEAL_TIME : 0),
		.maxphyaddr = boot_cpu_data.x86_phys_bits,
	};
	int n, i;

	if (boot_cpu_has(X86_FEATURE_XSAVE))
		xcr0_supported = xgetbv(XCR_XFEATURE_ENABLED_MASK) &
				 (REGS_XCR0_X87 | REGS_XCR0_SSE | REGS_XCR0_AVX | REGS_XCR0_AVX512 |
				  REGS_XCR0_PKRU);
	caps.xcr0 = xcr0_supported;
	n = cpuid_snapshot(host_cpuid, host_leaf, HOST_LEAVES);
	if (n < 0)
		return n;
	cpuid_table_init(&host, host_leaf, n);
	n = cpuid_supported(&host, &caps, supported_leaf, CPUID_MAX_SUPPORTED);
	if (n < 0)
		return n;
	cpuid_table_init(&keel_cpuid_supported, supported_leaf, n);
	cpuid_derive(&keel_cpuid_supported, &keel_cpuid_supported, &keel_cpuid_host);
	memcpy(reported_leaf, supported_leaf, sizeof(reported_leaf));
	for (i = 0; i < n; i++)
		if (reported_leaf[i].function == 1)
			reported_leaf[i].ecx &= ~CPUID_1_ECX_TSC_DEADLINE;
	n = cpuid_emulated(&caps, emulated_leaf, CPUID_MAX_SUPPORTED);
	if (n < 0)
		return n;
	emulated_nr = n;
	return 0;
}

static void refresh(struct keel_vcpu *vcpu, struct cpuid_table *table)
{
	struct cpuid_dynamic dynamic = {
		.xcr0 = vcpu->arch.fpu.xcr0,
		.apic_base = vcpu->arch.apic_base,
		.no_lapic = !vcpu->arch.apic,
		.no_hlt_exit = vcpu->vm->arch.disabled_exits & KVM_X86_DISABLE_EXITS_HLT,
		.mwait_follows_misc_enable = vcpu->vm->arch.disabled_quirks &
					     KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT,
	};

	if (dynamic.mwait_follows_misc_enable)
		dynamic.misc_enable = msr_load(msr_find(X86_MSR_MISC_ENABLE), &vcpu->arch.msrs,
					       X86_MSR_MISC_ENABLE);
	keel_regs_need(vcpu, KEEL_RG_CR);
	dynamic.cr4 = vcpu->arch.regs.cr4;
	cpuid_update_dynamic(table, &keel_cpuid_supported, &dynamic);
}

void keel_cpuid_refresh(struct keel_vcpu *vcpu)
{
	refresh(vcpu, &vcpu->arch.cpuid.table);
}

void keel_cpuid_reset(struct keel_vcpu *vcpu)
{
	struct keel_cpuid *cpuid = &vcpu->arch.cpuid;

	cpuid_table_init(&cpuid->table, NULL, 0);
	cpuid_derive(&cpuid->table, &keel_cpuid_supported, &cpuid->derived);
	/* KVM_SET_SREGS may come before KVM_SET_CPUID2. */
	cpuid->derived.cr4_allowed = keel_cpuid_host.cr4_allowed;
}

void keel_cpuid_free(struct keel_vcpu *vcpu)
{
	kvfree(vcpu->arch.cpuid.table.leaf);
}

/* A guest that has run has seen its CPUID: setting it again is allowed only if it stays the same. */
static bool same_as_installed(struct keel_vcpu *vcpu, struct cpuid_leaf *leaf, unsigned int n)
{
	const struct cpuid_table *now = &vcpu->arch.cpuid.table;
	struct cpuid_table *table = kmalloc(sizeof(*table), GFP_KERNEL_ACCOUNT);
	bool same;

	if (!table)
		return false;
	cpuid_table_init(table, leaf, n);
	refresh(vcpu, table);
	same = n == now->n && !memcmp(leaf, now->leaf, n * sizeof(*leaf));
	kfree(table);
	return same;
}

/* Take over @leaf (kvmalloc memory, or NULL when n is 0). */
static int cpuid_install(struct keel_vcpu *vcpu, struct cpuid_leaf *leaf, unsigned int n)
{
	struct keel_cpuid *cpuid = &vcpu->arch.cpuid;
	int err = cpuid_validate(leaf, n);

	if (!err && vcpu->arch.has_run)
		err = same_as_installed(vcpu, leaf, n) ? 0 : -EINVAL;
	if (err || vcpu->arch.has_run) {
		kvfree(leaf);
		return err;
	}
	kvfree(cpuid->table.leaf);
	cpuid_table_init(&cpuid->table, leaf, n);
	cpuid_derive(&cpuid->table, &keel_cpuid_supported, &cpuid->derived);
	keel_cpuid_refresh(vcpu);
	vcpu->arch.controls_stale = true;
	return 0;
}

long keel_cpuid_set(struct keel_call *call)
{
	struct kvm_cpuid2 __user *user = call->user;
	struct cpuid_leaf *leaf = NULL;
	u32 n;

	if (get_user(n, &user->nent))
		return -EFAULT;
	if (n > CPUID_MAX_ENTRIES)
		return -E2BIG;
	if (n) {
		leaf = vmemdup_user(user->entries, array_size(n, sizeof(*leaf)));
		if (IS_ERR(leaf))
			return PTR_ERR(leaf);
	}
	return cpuid_install(call->vcpu, leaf, n);
}

static long leaves_out(struct kvm_cpuid2 __user *user, const struct cpuid_leaf *leaf, unsigned int n,
		       bool report_need)
{
	u32 room;

	if (get_user(room, &user->nent))
		return -EFAULT;
	if (room < n)
		return report_need && put_user(n, &user->nent) ? -EFAULT : -E2BIG;
	if (copy_to_user(user->entries, leaf, n * sizeof(*leaf)) || put_user(n, &user->nent))
		return -EFAULT;
	return 0;
}

long keel_cpuid_get(struct keel_call *call)
{
	const struct cpuid_table *table = &call->vcpu->arch.cpuid.table;

	return leaves_out(call->user, table->leaf, table->n, true);
}

/*
 * The TSC deadline is not among them although it works: whether it does depends on where the local APIC
 * is, so it has a capability of its own (KVM API, KVM_GET_SUPPORTED_CPUID).
 */
long keel_cpuid_get_supported(struct keel_call *call)
{
	return leaves_out(call->user, reported_leaf, keel_cpuid_supported.n, false);
}

long keel_cpuid_get_emulated(struct keel_call *call)
{
	return leaves_out(call->user, emulated_leaf, emulated_nr, false);
}
