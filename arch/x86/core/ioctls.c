// SPDX-License-Identifier: GPL-2.0-only
/*
 * The architecture's ioctl and capability rows, and the functions that are a line or two.
 *
 * Contexts: task, with the lock the row names. Source: KVM API.
 */
#include "core.h"
#include "fpu.h"
#include "tdp.h"
#include <asm/processor.h>
#include <asm/tsc.h>
#include <keel/arch.h>
#include <keel/host.h>
#include <linux/cpu.h>

/* --- VM: addresses that only CPUs without unrestricted guests need -------------------------------- */

static long set_tss_addr(struct keel_call *call)
{
	if (call->value > 0xffffffffUL - 3 * PAGE_SIZE)
		return -EINVAL;
	call->vm->arch.tss_addr = call->value;
	return 0;
}

static long set_identity_map_addr(struct keel_call *call)
{
	if (call->vm->nr_vcpus)
		return -EINVAL;
	call->vm->arch.identity_addr = *(u64 *)call->arg;
	return 0;
}

#define MIN_MMU_PAGES 64

static long set_nr_mmu_pages(struct keel_call *call)
{
	if (call->value < MIN_MMU_PAGES || call->value > INT_MAX)
		return -EINVAL;
	call->vm->arch.nr_mmu_pages = call->value;
	return 0;
}

static long get_nr_mmu_pages(struct keel_call *call)
{
	return call->vm->arch.nr_mmu_pages;
}

static long set_boot_cpu_id(struct keel_call *call)
{
	if (call->vm->nr_vcpus)
		return -EBUSY;
	call->vm->arch.boot_id = call->value;
	return 0;
}

static long vcpu_enable_cap(struct keel_call *call)
{
	const struct kvm_enable_cap *in = call->arg;

	if (in->flags || in->cap != KVM_CAP_ENFORCE_PV_FEATURE_CPUID)
		return -EINVAL;
	call->vcpu->arch.pv.enforce = in->args[0];
	call->vcpu->arch.msr_enforced = in->args[0];
	return 0;
}

static const struct keel_ioctl system_rows[] = {
	KEEL_IOCTL(KVM_GET_SUPPORTED_CPUID, KEEL_LOCK_NONE, KEEL_ARG_USER, keel_cpuid_get_supported, "cpuid"),
	KEEL_IOCTL(KVM_GET_EMULATED_CPUID, KEEL_LOCK_NONE, KEEL_ARG_USER, keel_cpuid_get_emulated, "cpuid"),
	KEEL_IOCTL(KVM_GET_MSR_INDEX_LIST, KEEL_LOCK_NONE, KEEL_ARG_USER, keel_msr_list, "msr_list"),
	KEEL_IOCTL(KVM_GET_MSR_FEATURE_INDEX_LIST, KEEL_LOCK_NONE, KEEL_ARG_USER, keel_msr_feature_list, "msr_list"),
	KEEL_IOCTL(KVM_GET_MSRS, KEEL_LOCK_NONE, KEEL_ARG_USER, keel_msrs_feature_get, "msr_list"),
	KEEL_IOCTL(KVM_X86_GET_MCE_CAP_SUPPORTED, KEEL_LOCK_NONE, KEEL_ARG_OUT, keel_mce_cap_supported, "abi_fd"),
};

static const struct keel_ioctl vm_rows[] = {
	KEEL_IOCTL(KVM_SET_TSS_ADDR, KEEL_LOCK_VM, KEEL_ARG_VALUE, set_tss_addr, "abi_fd"),
	KEEL_IOCTL(KVM_SET_IDENTITY_MAP_ADDR, KEEL_LOCK_VM, KEEL_ARG_IN, set_identity_map_addr, "abi_fd"),
	KEEL_IOCTL(KVM_SET_NR_MMU_PAGES, KEEL_LOCK_VM, KEEL_ARG_VALUE, set_nr_mmu_pages, "abi_fd"),
	KEEL_IOCTL(KVM_GET_NR_MMU_PAGES, KEEL_LOCK_VM, KEEL_ARG_ANY, get_nr_mmu_pages, "abi_fd"),
	KEEL_IOCTL(KVM_SET_BOOT_CPU_ID, KEEL_LOCK_VM, KEEL_ARG_VALUE, set_boot_cpu_id, "irqchip"),
	KEEL_IOCTL(KVM_CREATE_IRQCHIP, KEEL_LOCK_VM, KEEL_ARG_ANY, keel_irqchip_create, "irqchip"),
	KEEL_IOCTL(KVM_GET_IRQCHIP, KEEL_LOCK_VM, KEEL_ARG_INOUT, keel_irqchip_get, "irqchip"),
	KEEL_IOCTL(KVM_SET_IRQCHIP, KEEL_LOCK_VM, KEEL_ARG_IN, keel_irqchip_set, "irqchip"),
	KEEL_IOCTL(KVM_CREATE_PIT, KEEL_LOCK_VM, KEEL_ARG_ANY, keel_pit_create, "irqchip"),
	KEEL_IOCTL(KVM_CREATE_PIT2, KEEL_LOCK_VM, KEEL_ARG_IN, keel_pit_create2, "irqchip"),
	KEEL_IOCTL(KVM_GET_PIT, KEEL_LOCK_VM, KEEL_ARG_INOUT, keel_pit_get, "irqchip"),
	KEEL_IOCTL(KVM_SET_PIT, KEEL_LOCK_VM, KEEL_ARG_IN, keel_pit_set, "irqchip"),
	KEEL_IOCTL(KVM_GET_PIT2, KEEL_LOCK_VM, KEEL_ARG_OUT, keel_pit2_get, "irqchip"),
	KEEL_IOCTL(KVM_SET_PIT2, KEEL_LOCK_VM, KEEL_ARG_IN, keel_pit2_set, "irqchip"),
	KEEL_IOCTL(KVM_REINJECT_CONTROL, KEEL_LOCK_VM, KEEL_ARG_USER, keel_reinject_control, "irqchip"),
	KEEL_IOCTL(KVM_X86_SET_MSR_FILTER, KEEL_LOCK_VM, KEEL_ARG_IN, keel_msr_filter_set, "msr_filter"),
	KEEL_IOCTL(KVM_GET_CLOCK, KEEL_LOCK_VM, KEEL_ARG_OUT, keel_clock_get, "pvclock"),
	KEEL_IOCTL(KVM_SET_CLOCK, KEEL_LOCK_VM, KEEL_ARG_IN, keel_clock_set, "pvclock"),
};

static const struct keel_ioctl vcpu_rows[] = {
	KEEL_IOCTL(KVM_GET_REGS, KEEL_LOCK_LOADED, KEEL_ARG_OUT, keel_regs_get, "vcpu_regs"),
	KEEL_IOCTL(KVM_SET_REGS, KEEL_LOCK_LOADED, KEEL_ARG_IN, keel_regs_set, "vcpu_regs"),
	KEEL_IOCTL(KVM_GET_SREGS, KEEL_LOCK_LOADED, KEEL_ARG_OUT, keel_sregs_get, "vcpu_regs"),
	KEEL_IOCTL(KVM_SET_SREGS, KEEL_LOCK_LOADED, KEEL_ARG_IN, keel_sregs_set, "vcpu_regs"),
	KEEL_IOCTL(KVM_GET_SREGS2, KEEL_LOCK_LOADED, KEEL_ARG_OUT, keel_sregs2_get, "vcpu_regs"),
	KEEL_IOCTL(KVM_SET_SREGS2, KEEL_LOCK_LOADED, KEEL_ARG_IN, keel_sregs2_set, "vcpu_regs"),
	KEEL_IOCTL(KVM_GET_MSRS, KEEL_LOCK_LOADED, KEEL_ARG_USER, keel_msrs_get, "msr_list"),
	KEEL_IOCTL(KVM_SET_MSRS, KEEL_LOCK_LOADED, KEEL_ARG_USER, keel_msrs_set, "msr_list"),
	KEEL_IOCTL(KVM_SET_CPUID2, KEEL_LOCK_LOADED, KEEL_ARG_USER, keel_cpuid_set, "cpuid"),
	KEEL_IOCTL(KVM_GET_CPUID2, KEEL_LOCK_LOADED, KEEL_ARG_USER, keel_cpuid_get, "cpuid"),
	KEEL_IOCTL(KVM_GET_FPU, KEEL_LOCK_LOADED, KEEL_ARG_OUT, keel_fpu_get, "vcpu_regs"),
	KEEL_IOCTL(KVM_SET_FPU, KEEL_LOCK_LOADED, KEEL_ARG_IN, keel_fpu_set, "vcpu_regs"),
	KEEL_IOCTL(KVM_GET_XSAVE, KEEL_LOCK_LOADED, KEEL_ARG_OUT, keel_xsave_get, "vcpu_regs"),
	KEEL_IOCTL(KVM_SET_XSAVE, KEEL_LOCK_LOADED, KEEL_ARG_USER, keel_xsave_set, "vcpu_regs"),
	KEEL_IOCTL(KVM_GET_XSAVE2, KEEL_LOCK_LOADED, KEEL_ARG_USER, keel_xsave2_get, "vcpu_regs"),
	KEEL_IOCTL(KVM_GET_XCRS, KEEL_LOCK_LOADED, KEEL_ARG_OUT, keel_xcrs_get, "vcpu_regs"),
	KEEL_IOCTL(KVM_SET_XCRS, KEEL_LOCK_LOADED, KEEL_ARG_IN, keel_xcrs_set, "vcpu_regs"),
	KEEL_IOCTL(KVM_GET_DEBUGREGS, KEEL_LOCK_LOADED, KEEL_ARG_OUT, keel_debugregs_get, "vcpu_regs"),
	KEEL_IOCTL(KVM_SET_DEBUGREGS, KEEL_LOCK_LOADED, KEEL_ARG_IN, keel_debugregs_set, "vcpu_regs"),
	KEEL_IOCTL(KVM_SET_GUEST_DEBUG, KEEL_LOCK_LOADED, KEEL_ARG_IN, keel_guest_debug_set, "guest_debug"),
	KEEL_IOCTL(KVM_GET_MP_STATE, KEEL_LOCK_LOADED, KEEL_ARG_OUT, keel_mp_state_get, "vcpu_regs"),
	KEEL_IOCTL(KVM_SET_MP_STATE, KEEL_LOCK_LOADED, KEEL_ARG_IN, keel_mp_state_set, "vcpu_regs"),
	KEEL_IOCTL(KVM_GET_VCPU_EVENTS, KEEL_LOCK_LOADED, KEEL_ARG_OUT, keel_events_get, "vcpu_regs"),
	KEEL_IOCTL(KVM_SET_VCPU_EVENTS, KEEL_LOCK_LOADED, KEEL_ARG_IN, keel_events_set, "vcpu_regs"),
	KEEL_IOCTL(KVM_GET_LAPIC, KEEL_LOCK_LOADED, KEEL_ARG_OUT, keel_lapic_get, "irqchip"),
	KEEL_IOCTL(KVM_SET_LAPIC, KEEL_LOCK_LOADED, KEEL_ARG_IN, keel_lapic_set, "irqchip"),
	KEEL_IOCTL(KVM_SET_VAPIC_ADDR, KEEL_LOCK_LOADED, KEEL_ARG_IN, keel_vapic_addr_set, "irqchip"),
	KEEL_IOCTL(KVM_INTERRUPT, KEEL_LOCK_LOADED, KEEL_ARG_IN, keel_interrupt, "run_exits"),
	KEEL_IOCTL(KVM_NMI, KEEL_LOCK_LOADED, KEEL_ARG_ANY, keel_nmi, "run_exits"),
	KEEL_IOCTL(KVM_SMI, KEEL_LOCK_LOADED, KEEL_ARG_ANY, keel_smi, "smm"),
	KEEL_IOCTL(KVM_TRANSLATE, KEEL_LOCK_LOADED, KEEL_ARG_INOUT, keel_translate, "vcpu_regs"),
	KEEL_IOCTL(KVM_X86_SETUP_MCE, KEEL_LOCK_LOADED, KEEL_ARG_IN, keel_mce_setup, "abi_fd"),
	KEEL_IOCTL(KVM_X86_SET_MCE, KEEL_LOCK_LOADED, KEEL_ARG_IN, keel_mce_set, "mce"),
	KEEL_IOCTL(KVM_GET_TSC_KHZ, KEEL_LOCK_LOADED, KEEL_ARG_ANY, keel_tsc_khz_get, "abi_fd"),
	KEEL_IOCTL(KVM_SET_TSC_KHZ, KEEL_LOCK_LOADED, KEEL_ARG_VALUE, keel_tsc_khz_set, "abi_fd"),
	KEEL_IOCTL(KVM_HAS_DEVICE_ATTR, KEEL_LOCK_LOADED, KEEL_ARG_IN, keel_vcpu_attr_has, "msr_list"),
	KEEL_IOCTL(KVM_GET_DEVICE_ATTR, KEEL_LOCK_LOADED, KEEL_ARG_IN, keel_vcpu_attr_get, "msr_list"),
	KEEL_IOCTL(KVM_SET_DEVICE_ATTR, KEEL_LOCK_LOADED, KEEL_ARG_IN, keel_vcpu_attr_set, "msr_list"),
	KEEL_IOCTL(KVM_ENABLE_CAP, KEEL_LOCK_LOADED, KEEL_ARG_IN, vcpu_enable_cap, "pv"),
	KEEL_IOCTL(KVM_KVMCLOCK_CTRL, KEEL_LOCK_LOADED, KEEL_ARG_ANY, keel_pv_clock_ctrl, "pvclock"),
	KEEL_IOCTL(KVM_PRE_FAULT_MEMORY, KEEL_LOCK_LOADED, KEEL_ARG_INOUT, keel_prefault, "pre_fault"),
};

const struct keel_ioctl_table keel_arch_system_ioctls = { system_rows, ARRAY_SIZE(system_rows) };
const struct keel_ioctl_table keel_arch_vm_ioctls = { vm_rows, ARRAY_SIZE(vm_rows) };
const struct keel_ioctl_table keel_arch_vcpu_ioctls = { vcpu_rows, ARRAY_SIZE(vcpu_rows) };

/* --- capabilities ------------------------------------------------------------------------------------ */

static int has_xsave(const struct keel_vm *vm)
{
	return boot_cpu_has(X86_FEATURE_XSAVE);
}

static int xsave2_size(const struct keel_vm *vm)
{
	return keel_fpu_xsave2_size();
}

static int enable_exception_payload(struct keel_vm *vm, const u64 *args)
{
	vm->arch.exception_payload = args[0];
	return 0;
}

static int enable_triple_fault_event(struct keel_vm *vm, const u64 *args)
{
	vm->arch.triple_fault_event = args[0];
	return 0;
}

#define CLOCK_FLAGS (KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)
#define X2APIC_API (KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)
#define QUIRKS (KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT | KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS)

/*
 * A thread that idles in the guest leaves its sibling alone on the core; on CPUs whose return
 * predictions follow the number of active threads that would hand it the host's.
 * Source: hw-vuln/cross-thread-rsb of the kernel's administration guide.
 */
static int exits_to_disable(const struct keel_vm *vm)
{
	if (boot_cpu_has_bug(X86_BUG_SMT_RSB) && cpu_smt_possible())
		return KVM_X86_DISABLE_EXITS_PAUSE;
	return KVM_X86_DISABLE_EXITS_PAUSE | KVM_X86_DISABLE_EXITS_HLT;
}

static int disable_exits(struct keel_vm *vm, const u64 *args)
{
	if (vm->nr_vcpus || args[0] & ~(u64)exits_to_disable(vm))
		return -EINVAL;
	vm->arch.disabled_exits = args[0];
	return 0;
}

static int x2apic_api(struct keel_vm *vm, const u64 *args)
{
	vm->arch.x2apic_api |= args[0];
	return 0;
}

static int platform_info(struct keel_vm *vm, const u64 *args)
{
	WRITE_ONCE(vm->arch.no_platform_info, !args[0]);
	return 0;
}

static int disable_quirks(struct keel_vm *vm, const u64 *args)
{
	vm->arch.disabled_quirks = args[0];
	return 0;
}

const struct keel_cap keel_arch_caps[] = {
	{ .nr = KVM_CAP_HLT, .value = 1 },
	{ .nr = KVM_CAP_MMU_SHADOW_CACHE_CONTROL, .value = 1 },
	{ .nr = KVM_CAP_SET_TSS_ADDR, .value = 1 },
	{ .nr = KVM_CAP_EXT_CPUID, .value = 1 },
	{ .nr = KVM_CAP_NOP_IO_DELAY, .value = 1 },
	{ .nr = KVM_CAP_MP_STATE, .value = 1 },
	{ .nr = KVM_CAP_USER_NMI, .value = 1 },
	{ .nr = KVM_CAP_IRQCHIP, .value = 1 },
	{ .nr = KVM_CAP_PIT, .value = 1 },
	{ .nr = KVM_CAP_PIT2, .value = 1 },
	{ .nr = KVM_CAP_PIT_STATE2, .value = 1 },
	{ .nr = KVM_CAP_REINJECT_CONTROL, .value = 1 },
	{ .nr = KVM_CAP_IRQ_INJECT_STATUS, .value = 1 },
	{ .nr = KVM_CAP_SET_BOOT_CPU_ID, .value = 1 },
	{ .nr = KVM_CAP_TSC_DEADLINE_TIMER, .value = 1 },
	{ .nr = KVM_CAP_IRQFD, .value = 1 },
	{ .nr = KVM_CAP_IRQFD_RESAMPLE, .value = 1 },
	{ .nr = KVM_CAP_IOAPIC_POLARITY_IGNORED, .value = 1 },
	{ .nr = KVM_CAP_SPLIT_IRQCHIP, .value = 1, .enable = keel_irqchip_split, .args0_mask = ~0ULL },
	{ .nr = KVM_CAP_X2APIC_API, .value = X2APIC_API, .enable = x2apic_api, .args0_mask = X2APIC_API },
	{ .nr = KVM_CAP_IRQ_ROUTING, .value = KEEL_NR_GSIS },
	{ .nr = KVM_CAP_SIGNAL_MSI, .value = 1 },
	{ .nr = KVM_CAP_SET_GUEST_DEBUG, .value = 1 },
	{ .nr = KVM_CAP_SET_GUEST_DEBUG2, .value = KEEL_GUESTDBG_ALL },
	{ .nr = KVM_CAP_X86_ROBUST_SINGLESTEP, .value = 1 },
	{ .nr = KVM_CAP_MCE, .value = MSR_MCE_BANKS },
	{ .nr = KVM_CAP_SET_IDENTITY_MAP_ADDR, .value = 1 },
	{ .nr = KVM_CAP_CLOCKSOURCE, .value = 1 },
	{ .nr = KVM_CAP_ADJUST_CLOCK, .value = CLOCK_FLAGS },
	{ .nr = KVM_CAP_KVMCLOCK_CTRL, .value = 1 },
	{ .nr = KVM_CAP_X86_SMM, .value = 1 },
	{ .nr = KVM_CAP_MULTI_ADDRESS_SPACE, .value = KEEL_NR_SPACES },
	{ .nr = KVM_CAP_ENFORCE_PV_FEATURE_CPUID, .value = 1 },
	{ .nr = KVM_CAP_STEAL_TIME, .value = KEEL_HOST_RUN_DELAY },
	{ .nr = KVM_CAP_ASYNC_PF, .value = 1 },
	{ .nr = KVM_CAP_ASYNC_PF_INT, .value = 1 },
	{ .nr = KVM_CAP_VCPU_EVENTS, .value = 1 },
	{ .nr = KVM_CAP_DEBUGREGS, .value = 1 },
	{ .nr = KVM_CAP_XSAVE, .check = has_xsave },
	{ .nr = KVM_CAP_XCRS, .check = has_xsave },
	{ .nr = KVM_CAP_XSAVE2, .check = xsave2_size },
	{ .nr = KVM_CAP_GET_TSC_KHZ, .value = 1 },
	{ .nr = KVM_CAP_SYNC_REGS, .value = KVM_SYNC_X86_VALID_FIELDS },
	{ .nr = KVM_CAP_EXT_EMUL_CPUID, .value = 1 },
	{ .nr = KVM_CAP_GET_MSR_FEATURES, .value = 1 },
	{ .nr = KVM_CAP_VCPU_ATTRIBUTES, .value = 1 },
	{ .nr = KVM_CAP_MSR_PLATFORM_INFO, .value = 1, .enable = platform_info, .args0_mask = ~0ULL },
	{ .nr = KVM_CAP_X86_USER_SPACE_MSR, .value = 1, .enable = keel_user_space_msr,
	  .args0_mask = KVM_MSR_EXIT_REASON_VALID_MASK },
	{ .nr = KVM_CAP_X86_MSR_FILTER, .value = 1 },
	{ .nr = KVM_CAP_SREGS2, .value = 1 },
	{ .nr = KVM_CAP_PRE_FAULT_MEMORY, .value = 1 },
	{ .nr = KVM_CAP_EXCEPTION_PAYLOAD, .value = 1, .enable = enable_exception_payload, .args0_mask = 1 },
	{ .nr = KVM_CAP_X86_TRIPLE_FAULT_EVENT, .value = 1, .enable = enable_triple_fault_event, .args0_mask = 1 },
	{ .nr = KVM_CAP_X86_DISABLE_EXITS, .check = exits_to_disable, .enable = disable_exits, .args0_mask = ~0ULL },
	{ .nr = KVM_CAP_DISABLE_QUIRKS, .enable = disable_quirks, .args0_mask = QUIRKS, .value = 1 },
	{ .nr = KVM_CAP_DISABLE_QUIRKS2, .enable = disable_quirks, .args0_mask = QUIRKS, .value = QUIRKS },
};

const unsigned int keel_arch_nr_caps = ARRAY_SIZE(keel_arch_caps);
