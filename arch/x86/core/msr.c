// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSRs: finds the row, lets the policy judge, and goes to wherever the value lives.
 *
 * Owns: arch.msrs, the host's feature-MSR values. Does not own: which MSRs exist and
 * what may be written (pure/msr.c), what user space keeps from a guest (core/msr-filter.c). Contexts: vCPU loaded; the instruction helpers also with IRQs off.
 * Source: KVM API, KVM_GET_MSRS, KVM_GET_MSR_INDEX_LIST.
 */
#include "core.h"
#include <asm/msr.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#define MAX_MSR_ENTRIES 256	/* one KVM_GET/SET_MSRS takes fewer */

static bool ignore_msrs;
module_param(ignore_msrs, bool, 0644);
MODULE_PARM_DESC(ignore_msrs, "A guest's access to an unknown MSR reads 0 and writes nothing, instead of #GP");

static bool report_ignored_msrs = true;
module_param(report_ignored_msrs, bool, 0644);
MODULE_PARM_DESC(report_ignored_msrs, "Log accesses to unknown MSRs");

static struct msr_features host_features __ro_after_init;

/* The host's kernel may know of a weakness that the processor's own report denies. */
static const struct {
	u16 bug;
	u64 immune;		/* bits of ARCH_CAPABILITIES that deny it */
} weaknesses[] __initconst = {
	{ X86_BUG_CPU_MELTDOWN, ARCH_CAP_RDCL_NO },
	{ X86_BUG_SPEC_STORE_BYPASS, ARCH_CAP_SSB_NO },
	{ X86_BUG_L1TF, ARCH_CAP_RDCL_NO },
	{ X86_BUG_MDS, ARCH_CAP_MDS_NO },
	{ X86_BUG_ITLB_MULTIHIT, ARCH_CAP_PSCHANGE_MC_NO },
	{ X86_BUG_TAA, ARCH_CAP_TAA_NO },
	{ X86_BUG_MMIO_STALE_DATA, ARCH_CAP_SBDR_SSDP_NO | ARCH_CAP_FBSDP_NO | ARCH_CAP_PSDP_NO },
	{ X86_BUG_BHI, ARCH_CAP_BHI_NO },
	{ X86_BUG_EIBRS_PBRSB, ARCH_CAP_PBRSB_NO },
	{ X86_BUG_GDS, ARCH_CAP_GDS_NO },
	{ X86_BUG_RFDS, ARCH_CAP_RFDS_NO },
	{ X86_BUG_ITS, ARCH_CAP_ITS_NO },
};

static u64 __init arch_capabilities_read(void)
{
	u64 host = 0, affected = 0;
	unsigned int i;

	if (!boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		return 0;
	rdmsrl_safe(X86_MSR_ARCH_CAPABILITIES, &host);
	for (i = 0; i < ARRAY_SIZE(weaknesses); i++)
		if (boot_cpu_has_bug(weaknesses[i].bug))
			affected |= weaknesses[i].immune;
	return msr_arch_capabilities(host, affected);
}

int __init keel_msr_module_init(void)
{
	rdmsrl_safe(X86_MSR_UCODE_REV, &host_features.ucode_rev);
	host_features.arch_capabilities = arch_capabilities_read();
	if (boot_cpu_has(X86_FEATURE_LFENCE_RDTSC))
		host_features.de_cfg = MSR_DE_CFG_LFENCE_SERIALIZE;
	return 0;
}

void keel_msr_reset(struct keel_vcpu *vcpu)
{
	msr_store_init(&vcpu->arch.msrs, &host_features);
}

/* Only the rows that live in the register groups are judged by register values. */
static void msr_ctx_fill(struct keel_vcpu *vcpu, const struct msr_spec *spec, struct msr_ctx *ctx)
{
	if (spec->home == MSR_HOME_REGS)
		keel_regs_need(vcpu, KEEL_RG_CR | KEEL_RG_CODE);
	*ctx = (struct msr_ctx){
		.cpuid = &vcpu->arch.cpuid.derived,
		.store = &vcpu->arch.msrs,
		.cr0 = vcpu->arch.regs.cr0,
		.efer = vcpu->arch.regs.efer,
		.apic_base = vcpu->arch.apic_base,
		.mcg_cap = vcpu->arch.mcg_cap,
		.no_platform_info = READ_ONCE(vcpu->vm->arch.no_platform_info),
		.cs_l = vcpu->arch.regs.seg[REGS_SEG_CS].l,
	};
}

/* What user space keeps from the guest, rarely anything. */
static noinline enum msr_verdict policy(struct keel_vcpu *vcpu, u32 index, unsigned int right, enum msr_by by)
{
	if (vcpu->arch.msr_filtered && by == MSR_BY_GUEST && !(keel_msr_rights(vcpu, index) & right))
		return MSR_FILTERED;
	return vcpu->arch.pv.enforce && !keel_pv_msr_allowed(vcpu, index) ? MSR_GP : MSR_OK;
}

enum msr_verdict keel_msr_get(struct keel_vcpu *vcpu, u32 index, u64 *value, enum msr_by by)
{
	const struct msr_spec *spec = msr_find(index);
	enum msr_verdict verdict;
	struct msr_ctx ctx;

	if (unlikely(vcpu->arch.msr_policy)) {
		verdict = policy(vcpu, index, MSRF_READ, by);
		if (verdict != MSR_OK)
			return verdict;
	}
	if (!spec) {
		if (vcpu->arch.apic && keel_apic_msr(index))
			return keel_apic_msr_get(vcpu, index, value) ? MSR_OK : MSR_GP;
		return MSR_UNKNOWN;
	}
	msr_ctx_fill(vcpu, spec, &ctx);
	verdict = msr_check_read(spec, &ctx, index, by);
	if (verdict != MSR_OK)
		return verdict;
	*value = 0;
	switch (spec->home) {
	case MSR_HOME_VENDOR:
	case MSR_HOME_SPEC:
		return keel_vendor->msr_get(vcpu, index, value) ? MSR_UNKNOWN : MSR_OK;
	case MSR_HOME_REGS:
		*value = index == X86_MSR_EFER ? ctx.efer : ctx.apic_base;
		return MSR_OK;
	case MSR_HOME_CLOCK:
		if (index == X86_MSR_TSC)
			*value = keel_tsc_read(vcpu);
		else if (index == X86_MSR_TSC_ADJUST)
			*value = vcpu->arch.tsc_adjust;
		else
			*value = keel_apic_deadline(vcpu);
		return MSR_OK;
	case MSR_HOME_PARAVIRT:
		*value = keel_pv_msr_get(vcpu, index);
		return MSR_OK;
	case MSR_HOME_MCE:
		*value = vcpu->arch.mcg_cap;
		return MSR_OK;
	case MSR_HOME_ACTION:
		return MSR_OK;
	default:
		*value = msr_load(spec, &vcpu->arch.msrs, index);
		return MSR_OK;
	}
}

static enum msr_verdict regs_msr_set(struct keel_vcpu *vcpu, u32 index, u64 value, enum msr_by by)
{
	const struct cpuid_derived *cpuid = &vcpu->arch.cpuid.derived;

	if (index == X86_MSR_APIC_BASE) {
		vcpu->arch.apic_base = value;
		keel_apic_base_set(vcpu, value);
		keel_cpuid_refresh(vcpu);
		return MSR_OK;
	}
	if (by == MSR_BY_HOST) {
		/* User space may set LMA ahead of CR0 and CR4: KVM_SET_SREGS checks the whole. */
		vcpu->arch.regs.efer = value;
		keel_regs_dirty(vcpu, KEEL_RG_CR);
		return MSR_OK;
	}
	return keel_efer_set(vcpu, value, cpuid->efer_guest) ? MSR_GP : MSR_OK;
}

enum msr_verdict keel_msr_set(struct keel_vcpu *vcpu, u32 index, u64 value, enum msr_by by)
{
	const struct msr_spec *spec = msr_find(index);
	enum msr_verdict verdict;
	struct msr_ctx ctx;

	if (unlikely(vcpu->arch.msr_policy)) {
		verdict = policy(vcpu, index, MSRF_WRITE, by);
		if (verdict != MSR_OK)
			return verdict;
	}
	if (!spec) {
		if (vcpu->arch.apic && keel_apic_msr(index))
			return keel_apic_msr_set(vcpu, index, value) ? MSR_OK : MSR_GP;
		return MSR_UNKNOWN;
	}
	msr_ctx_fill(vcpu, spec, &ctx);
	verdict = msr_check_write(spec, &ctx, index, &value, by);
	if (verdict == MSR_DROP)
		return MSR_OK;
	if (verdict != MSR_OK)
		return verdict;
	switch (spec->home) {
	case MSR_HOME_VENDOR:
	case MSR_HOME_SPEC:
		return keel_vendor->msr_set(vcpu, index, value) ? MSR_UNKNOWN : MSR_OK;
	case MSR_HOME_REGS:
		return regs_msr_set(vcpu, index, value, by);
	case MSR_HOME_CLOCK:
		if (index == X86_MSR_TSC)
			keel_tsc_write(vcpu, value, by);
		else if (index == X86_MSR_TSC_ADJUST)
			keel_tsc_adjust_write(vcpu, value, by);
		else if (vcpu->arch.apic)
			keel_apic_deadline_set(vcpu, value);
		return MSR_OK;
	case MSR_HOME_PARAVIRT:
		keel_pv_msr_set(vcpu, index, value);
		return MSR_OK;
	case MSR_HOME_ACTION:
		if (by == MSR_BY_GUEST)
			return keel_vendor->msr_set(vcpu, index, value) ? MSR_UNKNOWN : MSR_OK;
		return MSR_OK;
	case MSR_HOME_STORE:
		msr_save(spec, &vcpu->arch.msrs, index, value);
		if (index == X86_MSR_MISC_ENABLE)
			keel_cpuid_refresh(vcpu);
		return MSR_OK;
	default:
		return MSR_OK;
	}
}

static bool unknown_ok(struct keel_vcpu *vcpu, u32 index, const char *what)
{
	/* User space will hear of it. */
	if (READ_ONCE(vcpu->vm->arch.user_space_msr) & KVM_MSR_EXIT_REASON_UNKNOWN && !ignore_msrs)
		return false;
	if (report_ignored_msrs)
		pr_info_ratelimited("%s: unknown MSR 0x%x %s\n", current->comm, index, what);
	return ignore_msrs;
}

bool keel_msr_read_insn(struct keel_vcpu *vcpu, u32 index, u64 *value)
{
	enum msr_verdict verdict = keel_msr_get(vcpu, index, value, MSR_BY_GUEST);

	if (likely(verdict == MSR_OK))
		return true;
	vcpu->arch.msr_verdict = verdict;
	*value = 0;
	return verdict == MSR_UNKNOWN && unknown_ok(vcpu, index, "read");
}

bool keel_msr_write_insn(struct keel_vcpu *vcpu, u32 index, u64 value)
{
	enum msr_verdict verdict = keel_msr_set(vcpu, index, value, MSR_BY_GUEST);

	if (likely(verdict == MSR_OK))
		return true;
	vcpu->arch.msr_verdict = verdict;
	return verdict == MSR_UNKNOWN && unknown_ok(vcpu, index, "written");
}

u32 keel_msr_exit_reason(const struct keel_vcpu *vcpu)
{
	u32 reason = vcpu->arch.msr_verdict == MSR_FILTERED ? KVM_MSR_EXIT_REASON_FILTER :
		     vcpu->arch.msr_verdict == MSR_UNKNOWN ? KVM_MSR_EXIT_REASON_UNKNOWN :
							     KVM_MSR_EXIT_REASON_INVAL;

	return reason & READ_ONCE(vcpu->vm->arch.user_space_msr);
}

/* A copy of the user's entries, kvmalloc memory, or ERR_PTR. */
static struct kvm_msr_entry *entries_in(struct kvm_msrs __user *user, u32 *n)
{
	if (get_user(*n, &user->nmsrs))
		return ERR_PTR(-EFAULT);
	if (*n >= MAX_MSR_ENTRIES)
		return ERR_PTR(-E2BIG);
	return vmemdup_user(user->entries, array_size(*n, sizeof(struct kvm_msr_entry)));
}

static long entries_out(struct kvm_msrs __user *user, struct kvm_msr_entry *entry, u32 n, u32 done,
			bool copy)
{
	long ret = done;

	if (copy && copy_to_user(user->entries, entry, n * sizeof(*entry)))
		ret = -EFAULT;
	kvfree(entry);
	return ret;
}

long keel_msrs_get(struct keel_call *call)
{
	struct kvm_msr_entry *entry;
	u32 n, i;

	entry = entries_in(call->user, &n);
	if (IS_ERR(entry))
		return PTR_ERR(entry);
	for (i = 0; i < n; i++) {
		u64 value;

		if (keel_msr_get(call->vcpu, entry[i].index, &value, MSR_BY_HOST) != MSR_OK)
			break;
		entry[i].data = value;
	}
	return entries_out(call->user, entry, n, i, true);
}

long keel_msrs_set(struct keel_call *call)
{
	struct kvm_msr_entry *entry;
	u32 n, i;

	entry = entries_in(call->user, &n);
	if (IS_ERR(entry))
		return PTR_ERR(entry);
	for (i = 0; i < n; i++)
		if (keel_msr_set(call->vcpu, entry[i].index, entry[i].data, MSR_BY_HOST) != MSR_OK)
			break;
	return entries_out(call->user, entry, n, i, false);
}

long keel_msrs_feature_get(struct keel_call *call)
{
	struct kvm_msr_entry *entry;
	u32 n, i;

	entry = entries_in(call->user, &n);
	if (IS_ERR(entry))
		return PTR_ERR(entry);
	for (i = 0; i < n; i++) {
		u64 value;

		if (!msr_feature_read(&host_features, entry[i].index, &value))
			break;
		entry[i].data = value;
	}
	return entries_out(call->user, entry, n, i, true);
}

static long list_out(struct kvm_msr_list __user *user,
		     unsigned int (*fill)(const struct cpuid_derived *, u32 *, unsigned int))
{
	unsigned int n = fill(&keel_cpuid_host, NULL, 0);
	u32 *index, room;
	long ret = 0;

	if (get_user(room, &user->nmsrs) || put_user(n, &user->nmsrs))
		return -EFAULT;
	if (room < n)
		return -E2BIG;
	index = kvmalloc_array(n, sizeof(*index), GFP_KERNEL_ACCOUNT);
	if (!index)
		return -ENOMEM;
	fill(&keel_cpuid_host, index, n);
	if (copy_to_user(user->indices, index, n * sizeof(*index)))
		ret = -EFAULT;
	kvfree(index);
	return ret;
}

long keel_msr_list(struct keel_call *call)
{
	return list_out(call->user, msr_list);
}

long keel_msr_feature_list(struct keel_call *call)
{
	return list_out(call->user, msr_feature_list);
}
