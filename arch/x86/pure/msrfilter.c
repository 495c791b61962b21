// SPDX-License-Identifier: GPL-2.0-only
/*
 * The MSR filter's question: may the guest? Owns nothing; ranges and bitmaps are the caller's and do not change.
 * Any context. KVM API, "KVM_X86_SET_MSR_FILTER".
 */
#include "msrfilter.h"

#define X2APIC_FIRST	0x800u
#define X2APIC_LAST	0x8ffu

u64 msrf_bitmap_bytes(u32 count)
{
	return ((u64)count + 63) / 64 * 8;
}

static bool allows(const struct msrf *f, u32 index, u8 right)
{
	unsigned int i;

	for (i = 0; i < f->nr; i++) {
		const struct msrf_range *r = &f->range[i];
		u32 nr = index - r->base;

		if (nr < r->count && index >= r->base && r->rights & right)
			return r->bitmap[nr / 8] >> nr % 8 & 1;
	}
	return !f->deny;
}

unsigned int msrf_rights(const struct msrf *f, u32 index)
{
	if (index >= X2APIC_FIRST && index <= X2APIC_LAST)
		return MSRF_READ | MSRF_WRITE;
	return (allows(f, index, MSRF_READ) ? MSRF_READ : 0) | (allows(f, index, MSRF_WRITE) ? MSRF_WRITE : 0);
}
