// SPDX-License-Identifier: GPL-2.0-only
/*
 * Capabilities: what KVM_CHECK_EXTENSION answers and KVM_ENABLE_CAP switches. A row is here only when
 * all behind it works; the architecture adds its own rows.
 *
 * Contexts: task; enabling holds vm->lock. Source: KVM API, "Capabilities".
 */
#include <keel/arch.h>
#include <keel/ioctl.h>
#include <keel/uapi.h>
#include <keel/vm.h>
#include <linux/cpumask.h>

static int recommended_vcpus(const struct keel_vm *vm)
{
	return min_t(unsigned int, num_online_cpus(), KEEL_MAX_VCPUS);
}

/* Once, and before the first vCPU. */
static int set_max_vcpu_id(struct keel_vm *vm, const u64 *args)
{
	if (args[0] > KEEL_MAX_VCPU_ID || vm->nr_vcpus)
		return -EINVAL;
	if (vm->max_vcpu_id && vm->max_vcpu_id != args[0])
		return -EINVAL;
	vm->max_vcpu_id = args[0];
	return 0;
}

#define DIRTY_LOG_MANUAL (KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET)

static const struct keel_cap caps[] = {
	{ .nr = KVM_CAP_USER_MEMORY, .value = 1 },
	{ .nr = KVM_CAP_NR_VCPUS, .check = recommended_vcpus },
	{ .nr = KVM_CAP_NR_MEMSLOTS, .value = KEEL_MAX_SLOTS },
	{ .nr = KVM_CAP_COALESCED_MMIO, .value = KEEL_COALESCED_RING_PAGE },
	{ .nr = KVM_CAP_SYNC_MMU, .value = 1 },
	{ .nr = KVM_CAP_DESTROY_MEMORY_REGION_WORKS, .value = 1 },
	{ .nr = KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, .value = 1 },
	{ .nr = KVM_CAP_IOEVENTFD, .value = 1 },
	{ .nr = KVM_CAP_IOEVENTFD_NO_LENGTH, .value = 1 },
	{ .nr = KVM_CAP_IOEVENTFD_ANY_LENGTH, .value = 1 },
	{ .nr = KVM_CAP_INTERNAL_ERROR_DATA, .value = 1 },
	{ .nr = KVM_CAP_DEVICE_CTRL, .value = 1 },
	{ .nr = KVM_CAP_ENABLE_CAP_VM, .value = 1 },
	{ .nr = KVM_CAP_MAX_VCPUS, .value = KEEL_MAX_VCPUS },
	{ .nr = KVM_CAP_MAX_VCPU_ID, .value = KEEL_MAX_VCPU_ID, .enable = set_max_vcpu_id, .args0_mask = ~0ULL },
	{ .nr = KVM_CAP_READONLY_MEM, .value = 1 },
	{ .nr = KVM_CAP_DIRTY_LOG_RING, .value = DRING_MAX_BYTES, .enable = keel_dirty_ring_enable, .args0_mask = ~0ULL },
	{ .nr = KVM_CAP_BINARY_STATS_FD, .value = 1 },
	{ .nr = KVM_CAP_DIRTY_LOG_RING_ACQ_REL, .value = DRING_MAX_BYTES, .enable = keel_dirty_ring_enable,
	  .args0_mask = ~0ULL },
	{ .nr = KVM_CAP_CHECK_EXTENSION_VM, .value = 1 },
	{ .nr = KVM_CAP_IMMEDIATE_EXIT, .value = 1 },
	{ .nr = KVM_CAP_COALESCED_PIO, .value = 1 },
	{ .nr = KVM_CAP_HALT_POLL, .value = 1, .enable = keel_halt_poll_set, .args0_mask = U32_MAX },
	{ .nr = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .value = DIRTY_LOG_MANUAL, .enable = keel_dirty_manual,
	  .args0_mask = DIRTY_LOG_MANUAL },
};

static const struct keel_cap *cap_find(unsigned long nr)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(caps); i++)
		if (caps[i].nr == nr)
			return &caps[i];
	for (i = 0; i < keel_arch_nr_caps; i++)
		if (keel_arch_caps[i].nr == nr)
			return &keel_arch_caps[i];
	return NULL;
}

int keel_cap_check(const struct keel_vm *vm, unsigned long nr)
{
	const struct keel_cap *cap = cap_find(nr);

	if (!cap)
		return 0;
	return cap->check ? cap->check(vm) : cap->value;
}

int keel_cap_enable(struct keel_vm *vm, const struct kvm_enable_cap *args)
{
	const struct keel_cap *cap = cap_find(args->cap);

	if (args->flags || !cap || !cap->enable || args->args[0] & ~cap->args0_mask)
		return -EINVAL;
	return cap->enable(vm, args->args);
}
