/* SPDX-License-Identifier: GPL-2.0-only */
/* A vCPU's dirty ring, as user space sees it. */
#ifndef KEEL_SELFTEST_RING_H
#define KEEL_SELFTEST_RING_H

#include <linux/kvm.h>
#include <stdint.h>
#include <sys/mman.h>

#include "vm.h"

#define RING_OFFSET	(KVM_DIRTY_LOG_PAGE_OFFSET * 4096)

struct ring {
	volatile struct kvm_dirty_gfn *entry;
	uint32_t size;		/* entries */
	uint32_t at;		/* next to collect */
};

static inline int ring_enable(struct vm *vm, uint64_t bytes)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL, .args = { bytes } };

	return xioctlp(vm->fd, KVM_ENABLE_CAP, &cap);
}

static inline void ring_map(struct vcpu *v, struct ring *ring, uint64_t bytes)
{
	ring->entry = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, RING_OFFSET);
	if (ring->entry == MAP_FAILED)
		die("mmap of the dirty ring");
	ring->size = bytes / sizeof(struct kvm_dirty_gfn);
	ring->at = 0;
}

/* Take the next entry and hand it back; 0: there is none. */
static inline int ring_take(struct ring *ring, uint32_t *slot, uint64_t *offset)
{
	volatile struct kvm_dirty_gfn *entry = &ring->entry[ring->at % ring->size];

	if (!(__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY))
		return 0;
	*slot = entry->slot;
	*offset = entry->offset;
	__atomic_store_n(&entry->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
	ring->at++;
	return 1;
}

#endif
