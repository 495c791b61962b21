// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arithmetic of a dirty ring.
 *
 * Owns: what a ring's size may be, and how entries become words of a bitmap. Does not own: the ring. Pure; contexts:
 * any. Source: KVM API, KVM_CAP_DIRTY_LOG_RING.
 */
#include "dring.h"

enum dring_refusal dring_check(u64 bytes)
{
	if (bytes < KEEL_PAGE_SIZE || bytes & (bytes - 1))
		return DRING_BAD_SIZE;
	return bytes > DRING_MAX_BYTES ? DRING_TOO_LARGE : DRING_OK;
}

bool dring_gather(struct dring_word *word, u32 slot, u64 offset)
{
	u64 index = offset / 64;

	if (word->bits && (word->slot != slot || word->index != index))
		return false;
	word->slot = slot;
	word->index = index;
	word->bits |= BIT64(offset % 64);
	return true;
}
