/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Coalesced I/O: guest writes to zones that user space has named go to a ring that it shares, and are looked at
 * when something else makes a vCPU leave to it.
 */
#ifndef KEEL_COALESCED_H
#define KEEL_COALESCED_H

#include <keel/iobus.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>

struct keel_vm;
struct keel_zone_set;			/* RCU-published sorted array (virt/coalesced.c) */
struct kvm_coalesced_mmio_ring;
struct kvm_coalesced_mmio_zone;

#define KEEL_COALESCED_RING_PAGE 2	/* of a vCPU's mapping: KVM_CAP_COALESCED_MMIO */

/* Legend: L lock; R RCU, written under lock and ring_lock; A atomic; U shared with user space; G ring_lock. */
struct keel_coalesced {
	struct mutex lock;					/* serialises changes of zones */
	struct keel_zone_set __rcu *set[KEEL_BUS_NR];		/* R: NULL when empty */
	spinlock_t ring_lock;					/* serialises writers of the ring */
	struct kvm_coalesced_mmio_ring *ring;			/* A, U: one page; the pointer is set once */
};

void keel_coalesced_init(struct keel_vm *vm);

/* Drop the zones and the ring. Context: task; no vCPU runs. */
void keel_coalesced_free(struct keel_vm *vm);

/* The ring's page, made when it is asked for first; NULL without memory. Context: task. */
struct kvm_coalesced_mmio_ring *keel_coalesced_ring(struct keel_vm *vm);

/*
 * Put a guest write into the ring. @bytes: 1 to 8; @value zero-extended. Return: false when no zone holds all of
 * it, or the ring is full or not usable: then it is an ordinary exit. Context: task, IRQs on.
 */
bool keel_coalesced_write(struct keel_vm *vm, enum keel_bus bus, u64 addr, unsigned int bytes, u64 value);

/*
 * KVM_REGISTER_COALESCED_MMIO. Return: 0, -EINVAL (pio other than 0 and 1, a range that wraps), -ENOSPC, -ENOMEM.
 * Context: task. Source: KVM API, KVM_REGISTER_COALESCED_MMIO.
 */
int keel_coalesced_add(struct keel_vm *vm, const struct kvm_coalesced_mmio_zone *zone);

/*
 * KVM_UNREGISTER_COALESCED_MMIO: every zone that holds all of @zone goes; none is no error. When this returns
 * nothing more is put into the ring for them. Return: 0, -EINVAL (pio), -ENOMEM. Context: task.
 */
int keel_coalesced_del(struct keel_vm *vm, const struct kvm_coalesced_mmio_zone *zone);

#endif /* KEEL_COALESCED_H */
