/* SPDX-License-Identifier: GPL-2.0-only */
/* What the architecture's core supplies to virt/. Everything else of it is its own. */
#ifndef KEEL_ARCH_H
#define KEEL_ARCH_H

#include <keel/ioctl.h>
#include <pure/types.h>

struct keel_vm;
struct keel_vcpu;

/* --- module and host CPUs ------------------------------------------------------------------- */

/* Choose the vendor, read the host's features. Return: 0, -EOPNOTSUPP (no usable hardware), -EINVAL, -ENOMEM. Context: module init. */
int keel_arch_init(void);
void keel_arch_exit(void);

/* Switch the virtualization hardware of the current CPU on or off. Context: IRQs off. Return: 0, -EBUSY, -EIO. */
int keel_arch_cpu_on(void);
void keel_arch_cpu_off(void);

/* --- life cycle ------------------------------------------------------------------------------ */

/* Each free accepts an object whose init failed half-way. Context: task. */
int keel_arch_vm_init(struct keel_vm *vm, unsigned long type);
void keel_arch_vm_free(struct keel_vm *vm);
/* No vCPU runs and none is made any more: nothing of the VM acts by itself after this. */
void keel_arch_vm_stop(struct keel_vm *vm);
int keel_arch_vcpu_init(struct keel_vcpu *vcpu);
/* The vCPU is in vm->vcpus now. Context: task, vm->lock held. */
void keel_arch_vcpu_added(struct keel_vcpu *vcpu);
void keel_arch_vcpu_free(struct keel_vcpu *vcpu);

/* The VM's mm is going: no vCPU runs. Drop all nested mappings. Context: task; the VM is still whole. */
void keel_arch_zap_all(struct keel_vm *vm);

/* Context: preemption off, vcpu->mutex held (load also from the scheduler). */
void keel_arch_vcpu_load(struct keel_vcpu *vcpu, int cpu);
void keel_arch_vcpu_put(struct keel_vcpu *vcpu);

/* The vCPU's thread has to make room for another, or sleeps. Context: the scheduler, the vCPU still loaded, IRQs off. */
void keel_arch_vcpu_sched_out(struct keel_vcpu *vcpu);

/* KVM_RUN. Context: task, vCPU loaded. Return: 0 with kvm_run filled, or -EINTR, -EFAULT, -EIO, ... */
long keel_arch_run(struct keel_vcpu *vcpu);

/* --- nested mappings: ranges are [start, end) in frames. Context: mmu_lock held ----------------- */

/* Bits of the widest guest-physical address that can be mapped. Constant; context: any. */
unsigned int keel_arch_gpa_bits(void);

/* Remove; *@flush tells whether translations may be cached. @resched: may drop and retake mmu_lock between batches. */
void keel_arch_zap(struct keel_vm *vm, gfn_t start, gfn_t end, bool resched, bool *flush);

/* Have each frame's next write seen again, by a fault or in the hardware's own log. */
void keel_arch_wrprot(struct keel_vm *vm, gfn_t start, gfn_t end, bool *flush);

/* The first slot begins to log, or the last has ceased to. Context: mmu_lock held, IRQs on. */
void keel_arch_logging(struct keel_vm *vm);

/* What vCPUs have written so far is in the dirty log when this returns. Context: task. */
void keel_arch_log_sync(struct keel_vm *vm);

/* Any access since the last time? @clear: forget them. */
bool keel_arch_age(struct keel_vm *vm, gfn_t start, gfn_t end, bool clear);

/* Make all vCPUs forget cached translations before this returns. Context: mmu_lock may be held, IRQs on. */
void keel_arch_flush(struct keel_vm *vm);

/*
 * Whether a device's DMA may bypass the caches from now on: then the guest's own memory types and cache flushes
 * count. Context: task, vm->lock held. Return: 0; -ENOMEM, only when switching on.
 */
int keel_arch_noncoherent(struct keel_vm *vm, bool on);

/* --- interrupts ------------------------------------------------------------------------------- */

struct keel_irq_target;
struct kvm_irq_routing_entry;

/* Are there local APICs in the kernel, so that messages and routed lines mean something? Context: any. */
bool keel_arch_has_chips(const struct keel_vm *vm);

/* Judge one routing entry. Return: 0 and *@target, or -EINVAL. Context: task. */
int keel_arch_irq_target(struct keel_vm *vm, const struct kvm_irq_routing_entry *entry, struct keel_irq_target *target);

/* Set a pin for @source (enum keel_irq_source), or send a message if @level. Return: KEEL_IRQ_*. Context: any. */
int keel_arch_irq_set(struct keel_vm *vm, const struct keel_irq_target *target, unsigned int source, bool level);

/* The routing table was replaced. Context: task, vm->irq.lock held. */
void keel_arch_irq_routed(struct keel_vm *vm);

/* A page that @vcpu asked for asynchronously is there. Context: any, a spinlock held, IRQs off. */
void keel_arch_apf_done(struct keel_vcpu *vcpu);

/* --- rows ------------------------------------------------------------------------------------ */

extern const struct keel_ioctl_table keel_arch_system_ioctls, keel_arch_vm_ioctls, keel_arch_vcpu_ioctls;
extern const struct keel_cap keel_arch_caps[];
extern const unsigned int keel_arch_nr_caps;

struct keel_stat_table;
extern const struct keel_stat_table keel_arch_vm_stats, keel_arch_vcpu_stats;

#endif /* KEEL_ARCH_H */
