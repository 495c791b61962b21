/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Arithmetic of a dirty ring: which sizes are acceptable, positions, how full it is, and the gathering of
 * entries into words of a slot's bitmap. The entries themselves, who may touch them and the order of that are
 * the caller's (virt/dirty-ring.c).
 *
 * Positions count up for ever, modulo 2^32; sizes are powers of two, so a position's entry is its low bits.
 */
#ifndef KEEL_PURE_DRING_H
#define KEEL_PURE_DRING_H

#include "types.h"

#define DRING_ENTRY_BYTES 16	/* of struct kvm_dirty_gfn */
#define DRING_MAX_ENTRIES 65536
#define DRING_MAX_BYTES (DRING_MAX_ENTRIES * DRING_ENTRY_BYTES)

/* Entries kept free for what one exit may still write after the ring was found to have room. */
#define DRING_RESERVE 64

enum dring_refusal { DRING_OK, DRING_BAD_SIZE, DRING_TOO_LARGE };

/* May a ring have @bytes? A power of two, at least a page, at most DRING_MAX_BYTES. */
enum dring_refusal dring_check(u64 bytes);

/* Entry number of position @at. */
static inline u32 dring_entry(u32 size, u32 at)
{
	return at & (size - 1);
}

/* Entries in use, from @tail up to @head. */
static inline u32 dring_used(u32 head, u32 tail)
{
	return head - tail;
}

/* Must the vCPU stop before it writes more? @size >= 2 * DRING_RESERVE. */
static inline bool dring_full(u32 size, u32 used)
{
	return used >= size - DRING_RESERVE;
}

/* Bits of one word of one slot's bitmap. Empty: bits is 0. */
struct dring_word {
	u32 slot;
	u64 index;	/* of the word */
	u64 bits;
};

/* Add frame @offset of @slot. False: it belongs to another word; take this one away first. */
bool dring_gather(struct dring_word *word, u32 slot, u64 offset);

#endif /* KEEL_PURE_DRING_H */
