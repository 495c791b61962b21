// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctl dispatcher: find the row by the full 32-bit code, copy in, lock, call, copy out.
 *
 * Owns: argument copies, locking and the default errors. Does not own: any request's meaning (the
 * tables' functions). Contexts: task.
 *
 * Unknown requests: -EINVAL on the system and vCPU fds, -ENOTTY on VM and device fds. All but the system's answer
 * -EIO to a process whose memory is not the VM's.
 * Source: KVM API, "General description" and "Restrictions".
 */
#include <keel/arch.h>
#include <keel/ioctl.h>
#include <keel/uapi.h>
#include <keel/vcpu.h>
#include <keel/vm.h>
#include <linux/cache.h>
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#define ARG_STACK_BYTES 416	/* everything but whole register images */

enum { FD_SYSTEM, FD_VM, FD_VCPU, FD_DEVICE, FD_NR };

/*
 * Rows by request number, two deep (common, architecture), chained by position: numbers are shared by
 * up to a few codes. first[] holds row index + 1, 0 for none.
 */
struct ioctl_index {
	const struct keel_ioctl_table *table[2];
	u8 first[2][256];
	u8 next[2][128];
};

static const struct keel_ioctl_table no_ioctls;
static struct ioctl_index ioctl_index[FD_NR] __ro_after_init = {
	[FD_SYSTEM] = { .table = { &keel_system_ioctls, &keel_arch_system_ioctls } },
	[FD_VM] = { .table = { &keel_vm_ioctls, &keel_arch_vm_ioctls } },
	[FD_VCPU] = { .table = { &keel_vcpu_ioctls, &keel_arch_vcpu_ioctls } },
	[FD_DEVICE] = { .table = { &keel_device_ioctls, &no_ioctls } },
};

static const struct keel_ioctl *ioctl_find(const struct ioctl_index *index, unsigned int cmd)
{
	unsigned int t, i;

	for (t = 0; t < 2; t++) {
		for (i = index->first[t][_IOC_NR(cmd)]; i; i = index->next[t][i - 1]) {
			const struct keel_ioctl *row = &index->table[t]->rows[i - 1];

			if (row->cmd == cmd)
				return row;
		}
	}
	return NULL;
}

int __init keel_ioctl_init(void)
{
	unsigned int fd, t, i;

	for (fd = 0; fd < FD_NR; fd++) {
		struct ioctl_index *index = &ioctl_index[fd];

		for (t = 0; t < 2; t++) {
			const struct keel_ioctl_table *table = index->table[t];

			if (table->nr > ARRAY_SIZE(index->next[t]))
				return -EINVAL;
			for (i = 0; i < table->nr; i++) {
				u8 *first = &index->first[t][_IOC_NR(table->rows[i].cmd)];

				if (ioctl_find(index, table->rows[i].cmd))
					return -EINVAL;
				index->next[t][i] = *first;
				*first = i + 1;
			}
		}
	}
	return 0;
}

static __always_inline long ioctl_locked(const struct keel_ioctl *row, struct keel_call *call)
{
	long ret;

	switch (row->lock) {
	case KEEL_LOCK_VM:
		mutex_lock(&call->vm->lock);
		ret = row->fn(call);
		mutex_unlock(&call->vm->lock);
		return ret;
	case KEEL_LOCK_VCPU:
	case KEEL_LOCK_LOADED:
		if (mutex_lock_killable(&call->vcpu->mutex))
			return -EINTR;
		if (row->lock == KEEL_LOCK_LOADED)
			keel_vcpu_load(call->vcpu);
		ret = row->fn(call);
		if (row->lock == KEEL_LOCK_LOADED)
			keel_vcpu_put(call->vcpu);
		mutex_unlock(&call->vcpu->mutex);
		return ret;
	default:
		return row->fn(call);
	}
}

/* @buf is zero when nothing is copied in. */
static long ioctl_copied(const struct keel_ioctl *row, struct keel_call *call, void *buf,
			 void __user *user)
{
	unsigned int bytes = _IOC_SIZE(row->cmd);
	long ret;

	if (row->kind != KEEL_ARG_OUT && copy_from_user(buf, user, bytes))
		return -EFAULT;
	call->arg = buf;
	ret = ioctl_locked(row, call);
	if (ret >= 0 && row->kind != KEEL_ARG_IN && copy_to_user(user, buf, bytes))
		return -EFAULT;
	return ret;
}

static noinline_for_stack long ioctl_small(const struct keel_ioctl *row, struct keel_call *call,
					   void __user *user)
{
	u64 buf[ARG_STACK_BYTES / sizeof(u64)];

	if (row->kind == KEEL_ARG_OUT)
		memset(buf, 0, _IOC_SIZE(row->cmd));
	return ioctl_copied(row, call, buf, user);
}

static long ioctl_large(const struct keel_ioctl *row, struct keel_call *call, void __user *user)
{
	void *buf = kzalloc(_IOC_SIZE(row->cmd), GFP_KERNEL_ACCOUNT);
	long ret;

	if (!buf)
		return -ENOMEM;
	ret = ioctl_copied(row, call, buf, user);
	kfree(buf);
	return ret;
}

static __always_inline long ioctl_call(const struct keel_ioctl *row, struct keel_call *call, unsigned long arg)
{
	void __user *user = (void __user *)arg;

	switch (row->kind) {
	case KEEL_ARG_NONE:
		if (arg)
			return -EINVAL;
		return ioctl_locked(row, call);
	case KEEL_ARG_ANY:
		return ioctl_locked(row, call);
	case KEEL_ARG_VALUE:
		call->value = arg;
		return ioctl_locked(row, call);
	case KEEL_ARG_USER:
		call->user = user;
		return ioctl_locked(row, call);
	default:
		if (_IOC_SIZE(row->cmd) <= ARG_STACK_BYTES)
			return ioctl_small(row, call, user);
		return ioctl_large(row, call, user);
	}
}

/* The hottest request goes without table, call record and pointer to a function. */
static __always_inline long ioctl_run(struct keel_vcpu *vcpu, unsigned long arg)
{
	long ret;

	if (arg)
		return -EINVAL;
	if (mutex_lock_killable(&vcpu->mutex))
		return -EINTR;
	keel_vcpu_load(vcpu);
	ret = keel_arch_run(vcpu);
	keel_vcpu_put(vcpu);
	mutex_unlock(&vcpu->mutex);
	return ret;
}

long keel_system_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	const struct keel_ioctl *row = ioctl_find(&ioctl_index[FD_SYSTEM], cmd);
	struct keel_call call = { };

	return row ? ioctl_call(row, &call, arg) : -EINVAL;
}

static long vm_ioctl(const struct ioctl_index *index, struct file *file, unsigned int cmd, unsigned long arg)
{
	const struct keel_ioctl *row = ioctl_find(index, cmd);
	struct keel_call call = { .vm = file->private_data };

	if (call.vm->mm != current->mm)
		return -EIO;
	return row ? ioctl_call(row, &call, arg) : -ENOTTY;
}

long keel_vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return vm_ioctl(&ioctl_index[FD_VM], file, cmd, arg);
}

long keel_device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return vm_ioctl(&ioctl_index[FD_DEVICE], file, cmd, arg);
}

static noinline_for_stack long vcpu_ioctl_other(struct keel_vcpu *vcpu, unsigned int cmd,
						unsigned long arg)
{
	const struct keel_ioctl *row = ioctl_find(&ioctl_index[FD_VCPU], cmd);
	struct keel_call call = { .vm = vcpu->vm, .vcpu = vcpu };

	return row ? ioctl_call(row, &call, arg) : -EINVAL;
}

long keel_vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct keel_vcpu *vcpu = file->private_data;

	if (vcpu->vm->mm != current->mm)
		return -EIO;
	if (likely(cmd == KVM_RUN))
		return ioctl_run(vcpu, arg);
	return vcpu_ioctl_other(vcpu, cmd, arg);
}
