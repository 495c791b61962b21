// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a VM: creation, references, its fd, destruction.
 *
 * Owns: struct keel_vm itself. Does not own: what its sub-structs' files own.
 * Contexts: task; keel_vm_put() may sleep, and destroys in whoever drops the last reference.
 *
 * Destruction runs in the reverse order of creation and accepts a half-built VM: each step undoes
 * only what was done. No step waits for a grace period.
 */
#include <keel/arch.h>
#include <keel/host.h>
#include <keel/ioctl.h>
#include <keel/power.h>
#include <keel/vcpu.h>
#include <keel/vm.h>
#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

static void vm_destroy(struct keel_vm *vm)
{
	keel_debugfs_remove(vm);
	keel_notify_detach(vm);
	keel_irqfds_free(vm);
	keel_arch_vm_stop(vm);
	keel_vcpus_free(vm);
	keel_arch_vm_free(vm);
	keel_irq_free(vm);
	keel_coalesced_free(vm);
	keel_iobus_free(vm);
	keel_slots_free(vm);
	keel_power_put();
	mmdrop(vm->mm);
	kfree(vm);
}

struct keel_vm *keel_vm_create(unsigned long type)
{
	struct keel_vm *vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	int err;

	if (!vm)
		return ERR_PTR(-ENOMEM);
	err = keel_power_get();
	if (err) {
		kfree(vm);
		return ERR_PTR(err);
	}
	refcount_set(&vm->users, 1);
	mutex_init(&vm->lock);
	spin_lock_init(&vm->mmu_lock);
	xa_init(&vm->vcpus);
	vm->mm = current->mm;
	mmgrab(vm->mm);
	vm->pid = task_pid_nr(current);
	keel_iobus_init(vm);
	keel_coalesced_init(vm);
	keel_irq_init(vm);

	err = keel_slots_init(vm);
	if (!err)
		err = keel_arch_vm_init(vm, type);
	if (!err)
		err = keel_notify_attach(vm);
	if (err) {
		vm_destroy(vm);
		return ERR_PTR(err);
	}
	return vm;
}

void keel_vm_get(struct keel_vm *vm)
{
	refcount_inc(&vm->users);
}

void keel_vm_put(struct keel_vm *vm)
{
	if (refcount_dec_and_test(&vm->users))
		vm_destroy(vm);
}

static int vm_release(struct inode *inode, struct file *file)
{
	keel_vm_put(file->private_data);
	return 0;
}

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.release = vm_release,
	.unlocked_ioctl = keel_vm_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

long keel_vm_create_fd(unsigned long type)
{
	struct keel_vm *vm = keel_vm_create(type);
	struct file *file;
	int fd;

	if (IS_ERR(vm))
		return PTR_ERR(vm);
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		goto put_vm;
	file = anon_inode_getfile("kvm-vm", &vm_fops, vm, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		fd = PTR_ERR(file);
		goto put_vm;
	}
	keel_debugfs_add(vm, fd);
	fd_install(fd, file);
	return fd;
put_vm:
	keel_vm_put(vm);
	return fd;
}

/* VFIO passes VMs around as an opaque struct kvm and counts them through these. */
struct kvm;
void kvm_get_kvm(struct kvm *kvm);
bool kvm_get_kvm_safe(struct kvm *kvm);
void kvm_put_kvm(struct kvm *kvm);

void kvm_get_kvm(struct kvm *kvm)
{
	keel_vm_get((struct keel_vm *)kvm);
}
EXPORT_SYMBOL_GPL(kvm_get_kvm);

bool kvm_get_kvm_safe(struct kvm *kvm)
{
	return refcount_inc_not_zero(&((struct keel_vm *)kvm)->users);
}
EXPORT_SYMBOL_GPL(kvm_get_kvm_safe);

void kvm_put_kvm(struct kvm *kvm)
{
	keel_vm_put((struct keel_vm *)kvm);
}
EXPORT_SYMBOL_GPL(kvm_put_kvm);
