/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A virtual machine. Its fd and each of its vCPUs' fds hold a reference; the last keel_vm_put()
 * destroys it.
 */
#ifndef KEEL_VM_H
#define KEEL_VM_H

#include <asm/keel_arch.h>
#include <keel/coalesced.h>
#include <keel/halt.h>
#include <keel/iobus.h>
#include <keel/irq.h>
#include <keel/mem.h>
#include <keel/stats.h>
#include <linux/refcount.h>
#include <linux/xarray.h>

struct mm_struct;

#define KEEL_MAX_VCPUS 1024
#define KEEL_MAX_VCPU_ID 4096

/*
 * Legend: I immutable after creation; A atomic; L vm->lock; M mmu_lock; R RCU, written under the
 * lock named; U shared with user space; O owned by the sub-struct's file, which has its own legend.
 */
struct keel_vm {
	refcount_t users;		/* A */
	struct mutex lock;		/* I: creation of vCPUs, configuration before the first of them */
	struct mm_struct *mm;		/* I: the creator's, held by mmgrab */
	pid_t pid;			/* I: the creator's, for people to read */
	struct keel_debugfs debugfs;	/* O: virt/debugfs.c */
	atomic64_t stat[KEEL_VM_STAT_WORDS];	/* A: enum keel_vm_stat_word */

	struct xarray vcpus;		/* L: by vCPU id; lock-free readers */
	unsigned int nr_vcpus;		/* L */
	unsigned int max_vcpu_id;	/* L: KVM_CAP_MAX_VCPU_ID was set to it; 0: it was not */

	struct keel_slots slots;	/* O: virt/slots.c */
	spinlock_t mmu_lock;		/* I: the nested tables, slots.generation */
	struct keel_notify_link notify;	/* O: virt/notifier.c */
	struct keel_iobus iobus;	/* O: virt/iobus.c */
	struct keel_vfio *vfio;		/* L: virt/vfio.c; lives as long as its fd, which holds a reference */
	struct keel_coalesced coalesced; /* O: virt/coalesced.c */
	struct keel_vm_halt halt;	/* O: virt/halt.c */
	struct keel_irq irq;		/* O: virt/irqroute.c, virt/irqfd.c */

	struct keel_vm_arch arch;	/* O: arch/x86/core */
};

/* Create a VM for current->mm. Return: the VM with one reference, or ERR_PTR: -EINVAL (type), -ENOMEM, -EBUSY, -EINTR. */
struct keel_vm *keel_vm_create(unsigned long type);
void keel_vm_get(struct keel_vm *vm);
void keel_vm_put(struct keel_vm *vm);

/* KVM_CREATE_VM: a VM and its fd. Context: task. */
long keel_vm_create_fd(unsigned long type);

#endif /* KEEL_VM_H */
