/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The in-kernel listeners of port and memory-mapped writes. Today these are eventfds
 * (KVM_IOEVENTFD); in-kernel devices join the same array.
 */
#ifndef KEEL_IOBUS_H
#define KEEL_IOBUS_H

#include <linux/eventfd.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct keel_vm;
struct kvm_ioeventfd;
struct keel_iobus_set;			/* RCU-published sorted array (virt/iobus.c) */

enum keel_bus { KEEL_BUS_MMIO, KEEL_BUS_PIO, KEEL_BUS_NR };

/* What a listener listens to. */
struct keel_iobus_key {
	u64 addr;
	u64 value;		/* with match: the value, zero-extended; else 0 */
	u8 bytes;		/* size of the write; 0: any */
	bool match;		/* only writes of `value` */
};

/* Legend: I immutable once added; K lock. */
struct keel_listener {
	struct keel_iobus_key key;	/* I */
	struct eventfd_ctx *event;	/* I: a reference, until `gone` */
	spinlock_t lock;		/* I: held while a write is delivered, but with IRQs off (virt/iobus.c) */
	bool gone;			/* K: removed, nothing is delivered any more */
	struct rcu_head rcu;
};

/* One bus's listeners, by address. Immutable. */
struct keel_iobus_set {
	struct rcu_head rcu;
	unsigned int nr;			/* at least 1 */
	struct keel_listener *entry[];
};

/* Legend: L lock; R RCU, written under lock. */
struct keel_iobus {
	struct mutex lock;					/* serialises changes */
	struct keel_iobus_set __rcu *set[KEEL_BUS_NR];		/* R: NULL when empty */
};

void keel_iobus_init(struct keel_vm *vm);

/* Drop all listeners. Context: task; no vCPU runs. */
void keel_iobus_free(struct keel_vm *vm);

/*
 * Add @listener, kmalloc'ed by the caller, whose `key` and `event` are set; on success the bus owns both.
 * Return: 0, -EEXIST when some write would have two listeners, -ENOSPC, -ENOMEM. Context: task.
 */
int keel_iobus_add(struct keel_vm *vm, enum keel_bus bus, struct keel_listener *listener);

/*
 * Remove the listener of exactly @key and @event; when this returns, nothing is delivered to it any
 * more. Return: 0, -ENOENT, -ENOMEM. Context: task.
 */
int keel_iobus_del(struct keel_vm *vm, enum keel_bus bus, const struct keel_iobus_key *key,
		   const struct eventfd_ctx *event);

static inline bool keel_iobus_fits(const struct keel_iobus_key *key, unsigned int bytes, u64 value)
{
	return (!key->bytes || key->bytes == bytes) && (!key->match || key->value == value);
}

/* The same as keel_iobus_find(), among the listeners from number @at on. */
struct keel_listener *keel_iobus_find_next(const struct keel_iobus_set *set, unsigned int at, u64 addr,
					   unsigned int bytes, u64 value);

/* The listener that takes a write of @value, @bytes wide, at @addr. Context: RCU reader. */
static __always_inline struct keel_listener *
keel_iobus_find(const struct keel_iobus_set *set, u64 addr, unsigned int bytes, u64 value)
{
	unsigned int at = 0, left = set->nr, half;

	for (; unlikely(left > 1); left -= half) {
		half = left / 2;
		if (set->entry[at + half - 1]->key.addr < addr)
			at += half;
	}
	if (set->entry[at]->key.addr != addr)
		return NULL;
	if (likely(keel_iobus_fits(&set->entry[at]->key, bytes, value)))
		return set->entry[at];
	return keel_iobus_find_next(set, at + 1, addr, bytes, value);
}

/*
 * Offer a guest write to the listeners. @bytes: 1 to 8; @value zero-extended.
 * Context: task, IRQs on. Return: true when one took it.
 */
bool keel_iobus_write(struct keel_vm *vm, enum keel_bus bus, u64 addr, unsigned int bytes, u64 value);

/*
 * The listeners on a bus, NULL for none, for keel_iobus_write_fast(); they may decline what
 * keel_iobus_write() takes. IRQs off are a reader's section of RCU. With PREEMPT_RT the eventfd's own
 * lock may sleep. Context: a vCPU's thread in mode KEEL_IN_GUEST, IRQs off.
 */
static __always_inline const struct keel_iobus_set *keel_iobus_fast(const struct keel_iobus *iobus, enum keel_bus bus)
{
	return IS_ENABLED(CONFIG_PREEMPT_RT) ? NULL : rcu_dereference_sched(iobus->set[bus]);
}

static __always_inline bool keel_iobus_write_fast(const struct keel_iobus_set *set, u64 addr, unsigned int bytes,
						  u64 value)
{
	struct keel_listener *listener = keel_iobus_find(set, addr, bytes, value);

	if (listener)
		eventfd_signal(listener->event, 1);
	return listener;
}

/*
 * KVM_IOEVENTFD. Return: 0, -EINVAL, -EEXIST, -ENOENT, -ENOSPC, -ENOMEM, -EBADF. Context: task.
 * Source: KVM API, KVM_IOEVENTFD.
 */
int keel_ioeventfd(struct keel_vm *vm, const struct kvm_ioeventfd *args);

#endif /* KEEL_IOBUS_H */
