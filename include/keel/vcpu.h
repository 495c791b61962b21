/* SPDX-License-Identifier: GPL-2.0-only */
/* A virtual CPU. It lives from KVM_CREATE_VCPU until its VM is destroyed; its fd holds a VM reference. */
#ifndef KEEL_VCPU_H
#define KEEL_VCPU_H

#include <asm/keel_arch.h>
#include <keel/apf.h>
#include <keel/halt.h>
#include <keel/mem.h>
#include <keel/uapi.h>
#include <linux/mutex.h>
#include <linux/percpu-defs.h>
#include <linux/preempt.h>
#include <linux/rcuwait.h>
#include <linux/signal_types.h>
#include <pure/types.h>

struct keel_vm;

/* Where the vCPU is, for whoever wants its attention (virt/vcpu.c, "kick"). */
enum keel_vcpu_mode { KEEL_OUTSIDE, KEEL_IN_GUEST };

/* Bits of vcpu->requests: work to do before the next guest entry. */
#define KEEL_REQ_TLB_FLUSH	BIT(0)	/* drop this vCPU's guest translations */
#define KEEL_REQ_KICK		BIT(1)	/* leave the guest; nothing else */
#define KEEL_REQ_EVENT		BIT(2)	/* something was sent to this vCPU's interrupt controller */
#define KEEL_REQ_PARAVIRT	BIT(3)	/* structures that it shares with the guest are to be written */
#define KEEL_REQ_LOGGING	BIT(4)	/* the dirty log was switched on or off */
#define KEEL_REQ_DIRTY_RING	BIT(5)	/* its dirty ring may be full */
#define KEEL_REQ_MSR_FILTER	BIT(6)	/* which registers the guest may access has changed */
#define KEEL_REQ_YIELD		BIT(7)	/* it waits for another vCPU: let one run that has no CPU */

/* Legend: I immutable after creation; A atomic; V vcpu->mutex; P the thread that has it loaded, preemption off; U shared with user space; O its own legend, or owned by the file named. */
struct keel_vcpu {
	struct keel_vm *vm;			/* I */
	unsigned int id;			/* I: the API's vCPU id, the initial APIC id */
	struct mutex mutex;			/* I: one ioctl at a time */
	struct kvm_run *run;			/* U: page 0 of the mapping; read once into locals */
	void *pio_data;				/* U: page 1 of the mapping */

	int cpu;				/* P: where it is loaded, or -1 */
	int mode;				/* A: enum keel_vcpu_mode, written by the loading thread, IRQs off */
	unsigned long requests;			/* A: KEEL_REQ_* */
	struct rcuwait wait;			/* A: the thread that sleeps in keel_vcpu_block() */
	struct preempt_notifier preempt;	/* P */
	struct keel_apf apf;			/* O: virt/apf.c */
	struct keel_halt halt;			/* O: virt/halt.c */

	bool sigset_active;			/* V */
	sigset_t sigset;			/* V: KVM_SET_SIGNAL_MASK */
	sigset_t sigset_old;			/* V: the thread's own, during KVM_RUN */

	struct keel_dirty_ring ring;		/* O: virt/dirty-ring.c */
	u64 stat[KEEL_STAT_WORDS];		/* P, read by anybody: enum keel_stat_word */

	struct keel_vcpu_arch arch;		/* V: arch/x86/core */
};

/* KVM_CREATE_VCPU. Return: an fd, -EINVAL, -EEXIST, -ENOMEM, -EMFILE. Context: task, vm->lock held. */
long keel_vcpu_create_fd(struct keel_vm *vm, unsigned long id);

/* Free every vCPU of a VM that nobody refers to any more. */
void keel_vcpus_free(struct keel_vm *vm);

/* Load on, or put from, the current CPU; preemption may move it in between. Context: task, vcpu->mutex held. */
void keel_vcpu_load(struct keel_vcpu *vcpu);
void keel_vcpu_put(struct keel_vcpu *vcpu);

/* One more of @word, enum keel_stat_word. Context: the thread that has the vCPU loaded. */
static inline void keel_stat(struct keel_vcpu *vcpu, unsigned int word)
{
	vcpu->stat[word]++;
}

DECLARE_PER_CPU(struct keel_vcpu *, keel_vcpu_loaded);

/* The vCPU that the current thread has loaded, or NULL. Context: task, and the scheduler's hooks. */
static inline struct keel_vcpu *keel_vcpu_current(void)
{
	return this_cpu_read(keel_vcpu_loaded);
}

/*
 * Announce that the guest is about to be entered; what is answered are the requests that must be
 * served first (0: enter). Context: IRQs off, loaded. keel_vcpu_disarm() undoes it.
 */
static inline unsigned long keel_vcpu_arm(struct keel_vcpu *vcpu)
{
	WRITE_ONCE(vcpu->mode, KEEL_IN_GUEST);
	smp_mb(); /* with vcpu_mark(): mode before requests here, requests before mode there */
	return READ_ONCE(vcpu->requests);
}

static inline void keel_vcpu_disarm(struct keel_vcpu *vcpu)
{
	WRITE_ONCE(vcpu->mode, KEEL_OUTSIDE);
}

/* A guest's address as that of a frame in slots and log: in the address space that the vCPU sees now. */
static inline gpa_t keel_vcpu_gpa(const struct keel_vcpu *vcpu, gpa_t gpa)
{
	return gpa_add(gpa, vcpu->arch.space);
}

/* Per-CPU scratch of the kick protocol. Context: module init and exit. Return: 0, -ENOMEM. */
int keel_vcpu_module_init(void);
void keel_vcpu_module_exit(void);

/* Raise @requests and make sure a vCPU in the guest leaves it, and one that sleeps wakes, soon. Context: any. */
void keel_vcpu_request(struct keel_vcpu *vcpu, unsigned long requests);

/*
 * The same by the thread that has the vCPU loaded, outside the guest: there is nobody to call. Context: any,
 * the scheduler's hooks too.
 */
static inline void keel_vcpu_request_own(struct keel_vcpu *vcpu, unsigned long requests)
{
	atomic_long_or(requests, (atomic_long_t *)&vcpu->requests);
}

/*
 * Raise @requests on every vCPU of the VM and wait until none runs the guest without having seen
 * them. Return: was one interrupted? Context: task or spinlocks held, IRQs on.
 */
bool keel_vm_request_all(struct keel_vm *vm, unsigned long requests);

#endif /* KEEL_VCPU_H */
