/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Entry bits of the two nested page-table formats, by the manuals' layout. The descriptors made of
 * them are declared in radix.h.
 */
#ifndef KEEL_PURE_FMT_H
#define KEEL_PURE_FMT_H

#include "types.h"

/* Host-physical address of a table or page, both formats; low bits of large pages are zero. */
#define FMT_ADDR BITS64(51, 12)

/* AMD64 vol. 2, "Nested Paging": the layout of the host's own long-mode entries. */
#define NPT_P BIT64(0)
#define NPT_RW BIT64(1)
#define NPT_US BIT64(2)
#define NPT_PWT BIT64(3)
#define NPT_PCD BIT64(4)
#define NPT_A BIT64(5)
#define NPT_D BIT64(6)
#define NPT_PS BIT64(7)
#define NPT_AVL(n) BIT64(9 + (n)) /* n = 0..2 */
#define NPT_NX BIT64(63)

/* Intel SDM vol. 3, "EPT Translation Mechanism". */
#define EPT_R BIT64(0)
#define EPT_W BIT64(1)
#define EPT_X BIT64(2)
#define EPT_MEMTYPE(type) ((u64)(type) << 3) /* types as in the MTRRs */
#define EPT_MEMTYPE_MASK BITS64(5, 3)
#define EPT_IPAT BIT64(6)
#define EPT_PS BIT64(7)
#define EPT_A BIT64(8)
#define EPT_D BIT64(9)
#define EPT_IGNORED(n) BIT64(52 + (n)) /* n = 0..4: ignored in every configuration */

#endif /* KEEL_PURE_FMT_H */
