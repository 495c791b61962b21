// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_CREATE_DEVICE and its one kind on this architecture, KVM_DEV_TYPE_VFIO: which VFIO groups or devices
 * belong to a VM. VFIO is told the VM, and the VM whether their DMA may bypass the caches.
 *
 * Owns: struct keel_vfio and its references to VFIO's files. Does not own: DMA, its isolation and interrupts, which
 * are VFIO's and irqfd.c's, or what non-coherent DMA means (arch).
 *
 * Contexts: task, vm->lock held. VFIO is another module that need not be there; without it no file is of its making.
 * Source: KVM API, "KVM_CREATE_DEVICE" and "VFIO virtual device".
 */
#include <keel/arch.h>
#include <keel/host.h>
#include <keel/ioctl.h>
#include <keel/uapi.h>
#include <keel/vm.h>
#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

struct vfio_member {
	struct list_head link;		/* L */
	struct file *file;		/* I: holds a reference */
	bool noncoherent;		/* I */
};

/* A VM's VFIO device. Legend as in struct keel_vm. */
struct keel_vfio {
	struct list_head members;	/* L */
	unsigned int noncoherent;	/* L: how many of them */
};

/* Each call of VFIO's is looked up for itself: it cannot be unloaded in one, nor while one of its files is open. */

static bool is_vfio_file(struct file *file)
{
	bool (*fn)(struct file *) = symbol_get(keel_vfio_file_check);
	bool yes;

	if (!fn)
		return false;
	yes = fn(file);
	symbol_put(keel_vfio_file_check);
	return yes;
}

static void set_vm(struct file *file, struct keel_vm *vm)
{
	void (*fn)(struct file *, struct kvm *) = symbol_get(vfio_file_set_kvm);

	if (!fn)
		return;
	fn(file, (struct kvm *)vm);
	symbol_put(vfio_file_set_kvm);
}

static bool is_coherent(struct file *file)
{
	bool (*fn)(struct file *) = symbol_get(vfio_file_enforced_coherent);
	bool yes;

	if (!fn)
		return false;
	yes = fn(file);
	symbol_put(vfio_file_enforced_coherent);
	return yes;
}

static struct vfio_member *member_find(const struct keel_vfio *vfio, const struct file *file)
{
	struct vfio_member *member;

	list_for_each_entry(member, &vfio->members, link)
		if (member->file == file)
			return member;
	return NULL;
}

static int member_add(struct keel_vm *vm, struct file *file)
{
	struct keel_vfio *vfio = vm->vfio;
	struct vfio_member *member;
	int err;

	if (!is_vfio_file(file))
		return -EINVAL;
	if (member_find(vfio, file))
		return -EEXIST;
	member = kzalloc(sizeof(*member), GFP_KERNEL_ACCOUNT);
	if (!member)
		return -ENOMEM;
	member->noncoherent = !is_coherent(file);
	if (member->noncoherent && !vfio->noncoherent) {
		err = keel_arch_noncoherent(vm, true);
		if (err) {
			kfree(member);
			return err;
		}
	}
	vfio->noncoherent += member->noncoherent;
	member->file = get_file(file);
	list_add_tail(&member->link, &vfio->members);
	set_vm(file, vm);
	return 0;
}

static void member_remove(struct keel_vm *vm, struct vfio_member *member)
{
	struct keel_vfio *vfio = vm->vfio;

	set_vm(member->file, NULL);
	list_del(&member->link);
	vfio->noncoherent -= member->noncoherent;
	if (member->noncoherent && !vfio->noncoherent)
		keel_arch_noncoherent(vm, false);
	fput(member->file);
	kfree(member);
}

static int member_drop(struct keel_vm *vm, struct file *file)
{
	struct vfio_member *member = member_find(vm->vfio, file);

	if (!member)
		return -ENOENT;
	member_remove(vm, member);
	return 0;
}

/* --- the device's fd ----------------------------------------------------------------------------------- */

static bool attr_known(const struct kvm_device_attr *attr)
{
	return attr->group == KVM_DEV_VFIO_FILE &&
	       (attr->attr == KVM_DEV_VFIO_FILE_ADD || attr->attr == KVM_DEV_VFIO_FILE_DEL);
}

static long attr_has(struct keel_call *call)
{
	return attr_known(call->arg) ? 0 : -ENXIO;
}

static long attr_set(struct keel_call *call)
{
	const struct kvm_device_attr *attr = call->arg;
	struct file *file;
	s32 fd;
	int ret;

	if (!attr_known(attr))
		return -ENXIO;
	if (get_user(fd, (s32 __user *)u64_to_user_ptr(attr->addr)))
		return -EFAULT;
	file = fget(fd);
	if (!file)
		return -EBADF;
	ret = attr->attr == KVM_DEV_VFIO_FILE_ADD ? member_add(call->vm, file) : member_drop(call->vm, file);
	fput(file);
	return ret;
}

/* All can be written, none can be read. */
static long attr_get(struct keel_call *call)
{
	return -EPERM;
}

static int vfio_release(struct inode *inode, struct file *file)
{
	struct keel_vm *vm = file->private_data;
	struct vfio_member *member, *next;

	mutex_lock(&vm->lock);
	list_for_each_entry_safe(member, next, &vm->vfio->members, link)
		member_remove(vm, member);
	kfree(vm->vfio);
	vm->vfio = NULL;
	mutex_unlock(&vm->lock);
	keel_vm_put(vm);
	return 0;
}

static const struct file_operations vfio_fops = {
	.owner = THIS_MODULE,
	.release = vfio_release,
	.unlocked_ioctl = keel_device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

long keel_device_create(struct keel_call *call)
{
	struct kvm_create_device *device = call->arg;
	struct keel_vm *vm = call->vm;
	int fd;

	if (device->type != KVM_DEV_TYPE_VFIO)
		return -ENODEV;
	if (device->flags & KVM_CREATE_DEVICE_TEST)
		return 0;
	if (vm->vfio)
		return -EBUSY;
	vm->vfio = kzalloc(sizeof(*vm->vfio), GFP_KERNEL_ACCOUNT);
	if (!vm->vfio)
		return -ENOMEM;
	INIT_LIST_HEAD(&vm->vfio->members);
	keel_vm_get(vm);
	fd = anon_inode_getfd("kvm-vfio", &vfio_fops, vm, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		kfree(vm->vfio);
		vm->vfio = NULL;
		keel_vm_put(vm);
		return fd;
	}
	device->fd = fd;
	return 0;
}

static const struct keel_ioctl device_rows[] = {
	KEEL_IOCTL(KVM_SET_DEVICE_ATTR, KEEL_LOCK_VM, KEEL_ARG_IN, attr_set, "vfio"),
	KEEL_IOCTL(KVM_GET_DEVICE_ATTR, KEEL_LOCK_NONE, KEEL_ARG_IN, attr_get, "vfio"),
	KEEL_IOCTL(KVM_HAS_DEVICE_ATTR, KEEL_LOCK_NONE, KEEL_ARG_IN, attr_has, "vfio"),
};

const struct keel_ioctl_table keel_device_ioctls = { device_rows, ARRAY_SIZE(device_rows) };
