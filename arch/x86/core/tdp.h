/* SPDX-License-Identifier: GPL-2.0-only */
/* The nested page tables of a VM: life cycle, root, and the fault that fills them. */
#ifndef KEEL_TDP_H
#define KEEL_TDP_H

#include <linux/types.h>
#include <pure/types.h>

struct keel_vm;
struct keel_vcpu;
struct radix_gather;

/* What became of a nested page fault. */
enum keel_tdp_result {
	KEEL_TDP_MAPPED = 0,	/* mapped, or the host is changing the page just now: enter the guest again */
	KEEL_TDP_MMIO = 1,	/* no slot, or a write to a read-only slot: emulate */
};

/* An empty table. Return: 0 or -ENOMEM. Context: task. */
int keel_tdp_init(struct keel_vm *vm);

/*
 * Free all table pages; accepts a VM whose init failed.
 * Context: task; no vCPU runs, no notifier handler works on the VM.
 */
void keel_tdp_free(struct keel_vm *vm);

/* Have a table for the second address space. Return: 0 or -ENOMEM. Context: task. */
int keel_tdp_space_open(struct keel_vm *vm);

/* Host-physical address of an address space's root table, as nCR3 or EPTP take it. Constant. Context: any. */
u64 keel_tdp_root(const struct keel_vm *vm, unsigned int space);

/*
 * Handle the guest's access KEEL_ACCESS_* to @gpa, which the nested table refused.
 * Context: the vCPU's thread, vcpu->mutex held, IRQs and preemption on; may sleep.
 * Return: enum keel_tdp_result, or what KVM_RUN answers: -EFAULT (the slot's host address is not
 * accessible that way), -ENOMEM, -EINTR (the task is being killed).
 */
long keel_tdp_fault(struct keel_vcpu *vcpu, gpa_t gpa, u8 access);

/*
 * The cheap part of keel_tdp_fault() for a write: give back permission that only the dirty log took.
 * Context: IRQs off. Return: the guest can write now; false: take the whole way.
 */
bool keel_tdp_fault_fast(struct keel_vcpu *vcpu, gpa_t gpa);

/*
 * KVM_PRE_FAULT_MEMORY: map what a range of guest addresses stands for, as the guest's reads would. Context: the
 * vCPU's ioctl, loaded. Return: 0 when anything was done (what is left stands in the argument), -EINVAL, -ENOENT (no
 * slot), -EINTR, -EFAULT, -EHWPOISON, -ENOMEM.
 */
struct keel_call;
long keel_prefault(struct keel_call *call);

/* Free the table pages the vCPU has set aside. Context: task. */
void keel_tdp_cache_free(struct keel_vcpu *vcpu);

/* Flush if @g asks for it, then free the tables it collected. Context: mmu_lock held. */
void keel_tdp_settle(struct keel_vm *vm, struct radix_gather *g);

#endif /* KEEL_TDP_H */
