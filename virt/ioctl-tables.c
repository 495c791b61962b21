// SPDX-License-Identifier: GPL-2.0-only
/*
 * The requests that mean the same on every architecture: their rows and, where they are a line or
 * two, their functions. The architecture adds its own tables (keel/arch.h).
 *
 * Contexts: task, with the lock the row names.
 */
#include <keel/arch.h>
#include <keel/ioctl.h>
#include <keel/irq.h>
#include <keel/stats.h>
#include <keel/uapi.h>
#include <keel/vcpu.h>
#include <keel/vm.h>
#include <linux/compat.h>
#include <linux/signal.h>
#include <linux/uaccess.h>

static long get_api_version(struct keel_call *call)
{
	return KVM_API_VERSION;
}

static long create_vm(struct keel_call *call)
{
	return keel_vm_create_fd(call->value);
}

static long check_extension(struct keel_call *call)
{
	return keel_cap_check(call->vm, call->value);
}

static long get_vcpu_mmap_size(struct keel_call *call)
{
	return 3 * PAGE_SIZE;
}

static long create_vcpu(struct keel_call *call)
{
	return keel_vcpu_create_fd(call->vm, call->value);
}

static long set_memory_region(struct keel_call *call)
{
	const struct kvm_userspace_memory_region *old = call->arg;
	struct kvm_userspace_memory_region2 region = {
		.slot = old->slot,
		.flags = old->flags,
		.guest_phys_addr = old->guest_phys_addr,
		.memory_size = old->memory_size,
		.userspace_addr = old->userspace_addr,
	};

	return keel_slots_set(call->vm, &region);
}

static long get_dirty_log(struct keel_call *call)
{
	struct kvm_dirty_log *log = call->arg;

	/* A 32-bit process fills half of the union that holds the pointer. */
	if (in_compat_syscall())
		log->dirty_bitmap = compat_ptr((uintptr_t)log->dirty_bitmap);
	return keel_dirty_get(call->vm, log);
}

static long clear_dirty_log(struct keel_call *call)
{
	struct kvm_clear_dirty_log *log = call->arg;

	if (in_compat_syscall())
		log->dirty_bitmap = compat_ptr((uintptr_t)log->dirty_bitmap);
	return keel_dirty_clear(call->vm, log);
}

static long reset_dirty_rings(struct keel_call *call)
{
	return keel_dirty_rings_reset(call->vm);
}

static long ioeventfd(struct keel_call *call)
{
	return keel_ioeventfd(call->vm, call->arg);
}

static long register_coalesced(struct keel_call *call)
{
	return keel_coalesced_add(call->vm, call->arg);
}

static long unregister_coalesced(struct keel_call *call)
{
	return keel_coalesced_del(call->vm, call->arg);
}

static long irqfd(struct keel_call *call)
{
	return keel_irqfd(call->vm, call->arg);
}

static long enable_cap(struct keel_call *call)
{
	return keel_cap_enable(call->vm, call->arg);
}

static long vm_stats(struct keel_call *call)
{
	return keel_vm_stats_fd(call->vm);
}

static long vcpu_stats(struct keel_call *call)
{
	return keel_vcpu_stats_fd(call->vcpu);
}

/* The mask of blocked signals while in KVM_RUN; a NULL argument means the thread's own again. */
static long set_signal_mask(struct keel_call *call)
{
	struct kvm_signal_mask __user *user = call->user;
	sigset_t mask;
	u32 len;

	if (!user) {
		call->vcpu->sigset_active = false;
		return 0;
	}
	if (get_user(len, &user->len))
		return -EFAULT;
	if (len != sizeof(mask))
		return -EINVAL;
	if (copy_from_user(&mask, user->sigset, sizeof(mask)))
		return -EFAULT;
	sigdelsetmask(&mask, sigmask(SIGKILL) | sigmask(SIGSTOP));
	call->vcpu->sigset = mask;
	call->vcpu->sigset_active = true;
	return 0;
}

static const struct keel_ioctl system_rows[] = {
	KEEL_IOCTL(KVM_GET_API_VERSION, KEEL_LOCK_NONE, KEEL_ARG_NONE, get_api_version, "abi_fd"),
	KEEL_IOCTL(KVM_CREATE_VM, KEEL_LOCK_NONE, KEEL_ARG_VALUE, create_vm, "abi_fd"),
	KEEL_IOCTL(KVM_CHECK_EXTENSION, KEEL_LOCK_NONE, KEEL_ARG_VALUE, check_extension, "abi_fd"),
	KEEL_IOCTL(KVM_GET_VCPU_MMAP_SIZE, KEEL_LOCK_NONE, KEEL_ARG_NONE, get_vcpu_mmap_size, "abi_fd"),
};

static const struct keel_ioctl vm_rows[] = {
	KEEL_IOCTL(KVM_CHECK_EXTENSION, KEEL_LOCK_NONE, KEEL_ARG_VALUE, check_extension, "abi_fd"),
	KEEL_IOCTL(KVM_CREATE_VCPU, KEEL_LOCK_VM, KEEL_ARG_VALUE, create_vcpu, "abi_fd"),
	KEEL_IOCTL(KVM_SET_USER_MEMORY_REGION, KEEL_LOCK_NONE, KEEL_ARG_IN, set_memory_region, "mem_slots"),
	KEEL_IOCTL(KVM_GET_DIRTY_LOG, KEEL_LOCK_NONE, KEEL_ARG_IN, get_dirty_log, "mem_slots"),
	KEEL_IOCTL(KVM_CLEAR_DIRTY_LOG, KEEL_LOCK_NONE, KEEL_ARG_IN, clear_dirty_log, "mem_slots"),
	KEEL_IOCTL(KVM_RESET_DIRTY_RINGS, KEEL_LOCK_NONE, KEEL_ARG_ANY, reset_dirty_rings, "dirty_ring"),
	KEEL_IOCTL(KVM_IOEVENTFD, KEEL_LOCK_NONE, KEEL_ARG_IN, ioeventfd, "ioeventfd"),
	KEEL_IOCTL(KVM_REGISTER_COALESCED_MMIO, KEEL_LOCK_NONE, KEEL_ARG_IN, register_coalesced, "coalesced_io"),
	KEEL_IOCTL(KVM_UNREGISTER_COALESCED_MMIO, KEEL_LOCK_NONE, KEEL_ARG_IN, unregister_coalesced, "coalesced_io"),
	KEEL_IOCTL(KVM_IRQFD, KEEL_LOCK_NONE, KEEL_ARG_IN, irqfd, "irqfd"),
	KEEL_IOCTL(KVM_SET_GSI_ROUTING, KEEL_LOCK_VM, KEEL_ARG_USER, keel_gsi_routing_set, "irqchip"),
	KEEL_IOCTL(KVM_IRQ_LINE, KEEL_LOCK_NONE, KEEL_ARG_IN, keel_irq_line, "irqchip"),
	KEEL_IOCTL(KVM_IRQ_LINE_STATUS, KEEL_LOCK_NONE, KEEL_ARG_INOUT, keel_irq_line_status, "irqchip"),
	KEEL_IOCTL(KVM_SIGNAL_MSI, KEEL_LOCK_NONE, KEEL_ARG_IN, keel_signal_msi, "irqchip"),
	KEEL_IOCTL(KVM_CREATE_DEVICE, KEEL_LOCK_VM, KEEL_ARG_INOUT, keel_device_create, "vfio"),
	KEEL_IOCTL(KVM_ENABLE_CAP, KEEL_LOCK_VM, KEEL_ARG_IN, enable_cap, "abi_fd"),
	KEEL_IOCTL(KVM_GET_STATS_FD, KEEL_LOCK_NONE, KEEL_ARG_ANY, vm_stats, "stats"),
};

/* KVM_RUN has no row: ioctl.c dispatches it by itself (selftest run_exits). */
static const struct keel_ioctl vcpu_rows[] = {
	KEEL_IOCTL(KVM_SET_SIGNAL_MASK, KEEL_LOCK_VCPU, KEEL_ARG_USER, set_signal_mask, "run_exits"),
	KEEL_IOCTL(KVM_GET_STATS_FD, KEEL_LOCK_NONE, KEEL_ARG_ANY, vcpu_stats, "stats"),
};

const struct keel_ioctl_table keel_system_ioctls = { system_rows, ARRAY_SIZE(system_rows) };
const struct keel_ioctl_table keel_vm_ioctls = { vm_rows, ARRAY_SIZE(vm_rows) };
const struct keel_ioctl_table keel_vcpu_ioctls = { vcpu_rows, ARRAY_SIZE(vcpu_rows) };
