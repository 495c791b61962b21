/* SPDX-License-Identifier: GPL-2.0-only */
/* A vCPU that has nothing to do: polling, sleeping, and letting those of its VM run that wait for a CPU. */
#ifndef KEEL_HALT_H
#define KEEL_HALT_H

#include <linux/atomic.h>
#include <linux/types.h>

struct keel_vcpu;
struct keel_vm;
struct task_struct;

/* Of a vCPU. Legend: V vcpu->mutex; W the scheduler's hooks of the thread that has it loaded, read by anybody. */
struct keel_halt {
	u32 poll_ns;			/* V: how long the next sleep is preceded by polling */
	struct task_struct *waiting;	/* W: the thread, while it wants to run and has no CPU */
};

/* Of a VM. Legend: A atomic; L vm->lock, read by anybody. */
struct keel_vm_halt {
	atomic_t waiting;		/* A: vCPUs whose thread waits for a CPU */
	u32 boosted;			/* A: the vCPU id that somebody last made way for */
	bool has_max;			/* L: KVM_CAP_HALT_POLL was set to: */
	u32 max_ns;			/* L */
};

/*
 * Wait until there is a request or a signal: poll for a while if @poll, then sleep. How long depends on how long the
 * last waits took. Context: task, vCPU loaded, IRQs on.
 */
void keel_vcpu_block(struct keel_vcpu *vcpu, bool poll);

/* KVM_CAP_HALT_POLL, args[0]: the most a vCPU of the VM polls, in ns. Context: vm->lock. Return: 0. */
int keel_halt_poll_set(struct keel_vm *vm, const u64 *args);

/* The thread that has the vCPU loaded loses its CPU, and gets one again. Context: the scheduler, IRQs off. */
void keel_halt_sched_out(struct keel_vcpu *vcpu);
void keel_halt_sched_in(struct keel_vcpu *vcpu);

/* Make way for @target if its thread waits for a CPU. Context: task, IRQs on. Return: was there somebody? */
bool keel_vcpu_yield_to(struct keel_vcpu *target);

/* The same for one of the VM's vCPUs, in turn: @vcpu spins for somebody it does not know. */
void keel_vcpu_yield(struct keel_vcpu *vcpu);

#endif /* KEEL_HALT_H */
