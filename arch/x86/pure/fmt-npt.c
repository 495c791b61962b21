// SPDX-License-Identifier: GPL-2.0-only
/*
 * The entry format of AMD-V nested paging, as data for the radix tree.
 *
 * A nested access is made as a user access, so every entry has U/S set. Reading cannot be taken
 * away: a present entry is readable. Execution is forbidden by NX, which needs the host's EFER.NXE
 * (Linux always has it). The memory type is chosen by PWT and PCD through the host's PAT, whose
 * first four entries are WB, WC, UC- and UC in Linux; the PAT bit, whose place differs between page
 * sizes, stays 0. Table entries are made accessed, since nobody asks for their accessed bits.
 *
 * Manual: AMD64 Architecture Programmer's Manual vol. 2, "Nested Paging", "Page-Translation-Table
 * Entry Fields", "PAT Indexing".
 */
#include "fmt.h"
#include "radix.h"

const struct radix_fmt radix_fmt_npt = {
	.present = NPT_P,
	.write = NPT_RW,
	.noexec = NPT_NX,
	.accessed = NPT_A,
	.dirty = NPT_D,
	.large = NPT_PS,
	.sw_host_write = NPT_AVL(0),
	.sw_special = NPT_AVL(1),
	.leaf = NPT_P | NPT_US,
	.table = NPT_P | NPT_RW | NPT_US | NPT_A,
	.addr = FMT_ADDR,
	.attr_mask = NPT_PWT | NPT_PCD | NPT_AVL(1),
	.rights = {
		[RADIX_R] = NPT_NX,
		[RADIX_R | RADIX_W] = NPT_RW | NPT_NX,
		[RADIX_R | RADIX_X] = 0,
		[RADIX_RWX] = NPT_RW,
	},
	.memtype = {
		[RADIX_WB] = 0,
		[RADIX_UC] = NPT_PCD | NPT_PWT,
		[RADIX_WC] = NPT_PWT,
	},
};
