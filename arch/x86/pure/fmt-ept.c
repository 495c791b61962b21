// SPDX-License-Identifier: GPL-2.0-only
/*
 * The entry formats of VT-x extended page tables, as data for the radix tree: with accessed and
 * dirty flags (EPTP bit 6 set), and for processors without them, where bits 8 and 9 are ignored.
 *
 * An entry is present when it allows anything; write without read would be a misconfiguration, and
 * the tree never makes a leaf that cannot be read. Memory types are those of the MTRRs: UC 0, WC 1,
 * WB 6. Table entries carry no memory type.
 *
 * Manual: Intel SDM vol. 3, "The Extended Page Table Mechanism": "EPT Translation Mechanism",
 * "EPT Misconfigurations", "Accessed and Dirty Flags for EPT".
 */
#include "fmt.h"
#include "radix.h"

#define EPT_COMMON \
	.present = EPT_R | EPT_W | EPT_X, \
	.write = EPT_W, \
	.exec = EPT_X, \
	.large = EPT_PS, \
	.ignore_pat = EPT_IPAT, \
	.sw_host_write = EPT_IGNORED(0), \
	.sw_special = EPT_IGNORED(1), \
	.leaf = EPT_R, \
	.addr = FMT_ADDR, \
	.attr_mask = EPT_MEMTYPE_MASK | EPT_IPAT | EPT_IGNORED(1), \
	.rights = { \
		[RADIX_R] = EPT_R, \
		[RADIX_R | RADIX_W] = EPT_R | EPT_W, \
		[RADIX_R | RADIX_X] = EPT_R | EPT_X, \
		[RADIX_RWX] = EPT_R | EPT_W | EPT_X, \
	}, \
	.memtype = { \
		[RADIX_WB] = EPT_MEMTYPE(6), \
		[RADIX_UC] = EPT_MEMTYPE(0), \
		[RADIX_WC] = EPT_MEMTYPE(1), \
	}

const struct radix_fmt radix_fmt_ept = {
	EPT_COMMON,
	.accessed = EPT_A,
	.dirty = EPT_D,
	.table = EPT_R | EPT_W | EPT_X | EPT_A,
};

const struct radix_fmt radix_fmt_ept_noad = {
	EPT_COMMON,
	.table = EPT_R | EPT_W | EPT_X,
};
