/* SPDX-License-Identifier: GPL-2.0-only */
/* Which MSRs a guest may read and write, as user space has filtered them. */
#ifndef KEEL_PURE_MSRFILTER_H
#define KEEL_PURE_MSRFILTER_H

#include "types.h"

#define MSRF_READ	1u	/* KVM_MSR_FILTER_READ, _WRITE */
#define MSRF_WRITE	2u
#define MSRF_RANGES	16u
#define MSRF_BYTES	0x600u	/* of one bitmap, at most */

/* @count MSRs from @base on, for accesses in @rights; a bit that is set in @bitmap allows. */
struct msrf_range {
	u32 base, count;
	u8 rights;
	const u8 *bitmap;
};

struct msrf {
	struct msrf_range range[MSRF_RANGES];
	u8 nr;
	bool deny;		/* what no range is about */
};

/* Bytes of a range's bitmap as user space has it: whole 64-bit words. 0 for none, or more than MSRF_BYTES. */
u64 msrf_bitmap_bytes(u32 count);

/* Which of MSRF_* may the guest? The first range that is about the access decides. The x2APIC's are never filtered. */
unsigned int msrf_rights(const struct msrf *f, u32 index);

#endif /* KEEL_PURE_MSRFILTER_H */
