// SPDX-License-Identifier: GPL-2.0-only
/*
 * Coalesced I/O: the zones, and the ring in which writes to them wait for user space.
 *
 * Owns: vm->coalesced. Does not own: which writes get here (the architecture's core, after the listeners of
 * iobus.c). Changes of zones run in task context under coalesced.lock; look-ups in vCPU threads under RCU, with
 * one binary search and no lock.
 *
 * The ring is one page that all vCPUs' mappings show. User space may store anything there at any time: both
 * indices are read once per write and bound the place that is written, nothing else is read back. A nonsensical
 * index makes the write an ordinary exit; what user space does to entries it has not taken yet is its own affair.
 *
 * A set is published under ring_lock as well, and a writer that has got that lock looks again if the set in which
 * it found its zone is no longer the one in use: after a zone's removal nothing is put into the ring for it.
 *
 * Source: KVM API, KVM_REGISTER_COALESCED_MMIO.
 */
#include <keel/coalesced.h>
#include <keel/uapi.h>
#include <keel/vm.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/string.h>

#define MAX_ZONES 1000

struct io_zone {
	u64 addr;
	u64 end;			/* the first byte behind it */
	u64 reach;			/* the highest end among this one and those before it */
};

/* One bus's zones, by address; they may overlap. Immutable. */
struct keel_zone_set {
	struct rcu_head rcu;
	unsigned int nr;		/* at least 1 */
	struct io_zone zone[];
};

/* How many zones begin at @addr or below. */
static unsigned int begun(const struct keel_zone_set *set, u64 addr)
{
	unsigned int low = 0, high = set->nr, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (set->zone[mid].addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Does one zone hold all of [@addr, @addr + @bytes)? Of those that have begun, the one that reaches farthest tells. */
static bool holds(const struct keel_zone_set *set, u64 addr, unsigned int bytes)
{
	unsigned int n = set ? begun(set, addr) : 0;

	return n && addr + bytes > addr && addr + bytes <= set->zone[n - 1].reach;
}

/* ring_lock is held. Return: was there room? */
static bool ring_put(struct kvm_coalesced_mmio_ring *ring, enum keel_bus bus, u64 addr, unsigned int bytes, u64 value)
{
	u32 first = READ_ONCE(ring->first), last = READ_ONCE(ring->last), next;
	struct kvm_coalesced_mmio *entry;

	if (last >= KVM_COALESCED_MMIO_MAX)
		return false;
	next = (last + 1) % KVM_COALESCED_MMIO_MAX;
	if (next == first)
		return false;
	entry = &ring->coalesced_mmio[array_index_nospec(last, KVM_COALESCED_MMIO_MAX)];
	entry->phys_addr = addr;
	entry->len = bytes;
	entry->pio = bus == KEEL_BUS_PIO;
	memcpy(entry->data, &value, sizeof(entry->data));
	smp_store_release(&ring->last, next); /* with user space's reader: the entry before the index */
	return true;
}

bool keel_coalesced_write(struct keel_vm *vm, enum keel_bus bus, u64 addr, unsigned int bytes, u64 value)
{
	struct keel_coalesced *c = &vm->coalesced;
	const struct keel_zone_set *set;
	bool taken = false;

	rcu_read_lock();
	set = rcu_dereference(c->set[bus]);
	if (holds(set, addr, bytes)) {
		spin_lock(&c->ring_lock);
		if (likely(set == rcu_access_pointer(c->set[bus])) ||
		    holds(rcu_dereference_protected(c->set[bus], lockdep_is_held(&c->ring_lock)), addr, bytes))
			taken = ring_put(c->ring, bus, addr, bytes, value);
		spin_unlock(&c->ring_lock);
	}
	rcu_read_unlock();
	return taken;
}

struct kvm_coalesced_mmio_ring *keel_coalesced_ring(struct keel_vm *vm)
{
	struct kvm_coalesced_mmio_ring *ring = READ_ONCE(vm->coalesced.ring), *page;

	if (ring)
		return ring;
	page = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	ring = cmpxchg(&vm->coalesced.ring, NULL, page);
	if (!ring)
		return page;
	free_page((unsigned long)page);
	return ring;
}

static struct keel_zone_set *set_alloc(unsigned int nr)
{
	struct keel_zone_set *set = kvmalloc(struct_size(set, zone, nr), GFP_KERNEL_ACCOUNT);

	if (set)
		set->nr = nr;
	return set;
}

/* @set may be NULL: the last zone went. */
static void publish(struct keel_coalesced *c, enum keel_bus bus, struct keel_zone_set *was, struct keel_zone_set *set)
{
	unsigned int i;
	u64 reach = 0;

	lockdep_assert_held(&c->lock);
	for (i = 0; set && i < set->nr; i++)
		set->zone[i].reach = reach = max(reach, set->zone[i].end);
	spin_lock(&c->ring_lock);
	rcu_assign_pointer(c->set[bus], set);
	spin_unlock(&c->ring_lock);
	if (was)
		kvfree_rcu(was, rcu);
}

static int add_locked(struct keel_coalesced *c, enum keel_bus bus, u64 addr, u64 end)
{
	struct keel_zone_set *was, *set;
	unsigned int nr, at;

	was = rcu_dereference_protected(c->set[bus], lockdep_is_held(&c->lock));
	nr = was ? was->nr : 0;
	if (nr >= MAX_ZONES)
		return -ENOSPC;
	set = set_alloc(nr + 1);
	if (!set)
		return -ENOMEM;
	at = was ? begun(was, addr) : 0;
	if (was) {
		memcpy(set->zone, was->zone, flex_array_size(set, zone, at));
		memcpy(set->zone + at + 1, was->zone + at, flex_array_size(set, zone, nr - at));
	}
	set->zone[at] = (struct io_zone){ .addr = addr, .end = end };
	publish(c, bus, was, set);
	return 0;
}

static int del_locked(struct keel_coalesced *c, enum keel_bus bus, u64 addr, u64 end)
{
	struct keel_zone_set *was, *set = NULL;
	unsigned int i, stay = 0;

	was = rcu_dereference_protected(c->set[bus], lockdep_is_held(&c->lock));
	for (i = 0; was && i < was->nr; i++)
		stay += was->zone[i].addr > addr || was->zone[i].end < end;
	if (!was || stay == was->nr)
		return 0;
	if (stay) {
		set = set_alloc(stay);
		if (!set)
			return -ENOMEM;
		for (i = stay = 0; i < was->nr; i++)
			if (was->zone[i].addr > addr || was->zone[i].end < end)
				set->zone[stay++] = was->zone[i];
	}
	publish(c, bus, was, set);
	return 0;
}

static int parse(const struct kvm_coalesced_mmio_zone *zone, enum keel_bus *bus, u64 *end)
{
	if (zone->pio > 1 || check_add_overflow((u64)zone->addr, (u64)zone->size, end))
		return -EINVAL;
	*bus = zone->pio ? KEEL_BUS_PIO : KEEL_BUS_MMIO;
	return 0;
}

int keel_coalesced_add(struct keel_vm *vm, const struct kvm_coalesced_mmio_zone *zone)
{
	enum keel_bus bus;
	u64 end;
	int ret = parse(zone, &bus, &end);

	if (ret)
		return ret;
	/* Whoever finds a zone finds the ring. */
	if (!keel_coalesced_ring(vm))
		return -ENOMEM;
	mutex_lock(&vm->coalesced.lock);
	ret = add_locked(&vm->coalesced, bus, zone->addr, end);
	mutex_unlock(&vm->coalesced.lock);
	return ret;
}

int keel_coalesced_del(struct keel_vm *vm, const struct kvm_coalesced_mmio_zone *zone)
{
	enum keel_bus bus;
	u64 end;
	int ret = parse(zone, &bus, &end);

	if (ret)
		return ret;
	mutex_lock(&vm->coalesced.lock);
	ret = del_locked(&vm->coalesced, bus, zone->addr, end);
	mutex_unlock(&vm->coalesced.lock);
	return ret;
}

void keel_coalesced_init(struct keel_vm *vm)
{
	mutex_init(&vm->coalesced.lock);
	spin_lock_init(&vm->coalesced.ring_lock);
}

void keel_coalesced_free(struct keel_vm *vm)
{
	unsigned int bus;

	for (bus = 0; bus < KEEL_BUS_NR; bus++)
		kvfree(rcu_dereference_raw(vm->coalesced.set[bus]));
	free_page((unsigned long)vm->coalesced.ring);
}
