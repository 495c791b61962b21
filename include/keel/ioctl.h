/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ioctl tables: one row per request, per kind of file. The dispatcher (virt/ioctl.c) finds the
 * row by the full 32-bit code, copies the argument in, takes the lock the row names, calls, copies
 * out. Handlers neither copy fixed-size arguments nor lock.
 */
#ifndef KEEL_IOCTL_H
#define KEEL_IOCTL_H

#include <linux/types.h>

struct file;
struct keel_vm;
struct keel_vcpu;

enum keel_lock_class {
	KEEL_LOCK_NONE,
	KEEL_LOCK_VM,		/* vm->lock */
	KEEL_LOCK_VCPU,		/* vcpu->mutex, killable */
	KEEL_LOCK_LOADED,	/* vcpu->mutex, and the vCPU is loaded on this CPU while fn runs */
};

enum keel_arg_kind {
	KEEL_ARG_NONE,		/* arg must be 0, else -EINVAL */
	KEEL_ARG_ANY,		/* arg is not looked at: VMMs leave it out, and some register's value comes */
	KEEL_ARG_VALUE,		/* arg itself is the value */
	KEEL_ARG_IN,		/* struct of _IOC_SIZE bytes, copied in */
	KEEL_ARG_OUT,		/* struct of _IOC_SIZE bytes, zeroed, copied out when fn answers >= 0 */
	KEEL_ARG_INOUT,
	KEEL_ARG_USER,		/* variable size: fn gets the user pointer and copies once itself */
};

struct keel_call {
	struct keel_vm *vm;	/* NULL on the system fd; a device's is that it belongs to */
	struct keel_vcpu *vcpu;	/* NULL but on a vCPU fd */
	unsigned long value;	/* KEEL_ARG_VALUE */
	void __user *user;	/* KEEL_ARG_USER */
	void *arg;		/* KEEL_ARG_IN, OUT, INOUT: kernel copy */
};

struct keel_ioctl {
	unsigned int cmd;
	u8 lock;		/* enum keel_lock_class */
	u8 kind;		/* enum keel_arg_kind */
	const char *name;
	long (*fn)(struct keel_call *call);
	const char *test;	/* the selftest that covers the row */
};

#define KEEL_IOCTL(code, lock_, kind_, fn_, test_) \
	{ .cmd = (code), .lock = (lock_), .kind = (kind_), .name = #code, .fn = (fn_), .test = (test_) }

struct keel_ioctl_table {
	const struct keel_ioctl *rows;
	unsigned int nr;
};

/* The common rows (virt/ioctl-tables.c), then the architecture's (keel/arch.h). */
extern const struct keel_ioctl_table keel_system_ioctls, keel_vm_ioctls, keel_vcpu_ioctls, keel_device_ioctls;

/* Indexes the tables; -EINVAL when a table has two rows of one code. Context: module init. */
int keel_ioctl_init(void);

long keel_system_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
long keel_vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
long keel_vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
long keel_device_ioctl(struct file *file, unsigned int cmd, unsigned long arg);	/* private_data is the VM */

long keel_device_create(struct keel_call *call);	/* virt/vfio.c */

/* A row of the capability table (virt/caps.c and the architecture's). */
struct keel_cap {
	u16 nr;
	s32 value;					/* when @check is NULL */
	int (*check)(const struct keel_vm *vm);		/* vm is NULL on the system fd */
	int (*enable)(struct keel_vm *vm, const u64 *args);	/* NULL: KVM_ENABLE_CAP is -EINVAL */
	u64 args0_mask;					/* bits allowed in args[0] when enabling */
};

struct kvm_enable_cap;
int keel_cap_check(const struct keel_vm *vm, unsigned long nr);
int keel_cap_enable(struct keel_vm *vm, const struct kvm_enable_cap *cap);

#endif /* KEEL_IOCTL_H */
