// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest page walk under a fuzzer: the input makes the vCPU state and the entries along the walk;
 * the reference walker judges.
 */
#include "harness.h"
#include "types.h"

static struct fuzz_input input;

static u64 draw(void)
{
	return fuzz_u16(&input);
}

#define MODEL_CHECK(cond) FUZZ_ASSERT(cond)

#include "ref-gwalk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct memory mem;
	unsigned int entry, i, j;
	struct gwalk_ctx c;

	input.data = data;
	input.left = size;
	ctx_pick(&c);
	entry = c.mode == GWALK_32BIT ? 4 : 8;
	/* Eight entries of the input repeat through all tables: each index finds one of them. */
	for (i = 0; i < 8; i++) {
		u64 value = below(2) ? pick_entry(&c) : fuzz_u64(&input);

		for (j = i; j < MEM_BYTES / entry; j += 8)
			mem_write(&mem, j * entry, entry, value);
	}
	for (i = 0; i < 8 && input.left; i++)
		play_walk(&mem, &c, va_pick(&c), access_pick(), below(4) ? 0 : below(14));
	return 0;
}
