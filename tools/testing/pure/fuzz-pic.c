// SPDX-License-Identifier: GPL-2.0-only
/* The 8259A pair under a fuzzer: guest, lines, processor and hostile imports; a naive pair judges. */
#include "harness.h"
#include "types.h"

static struct fuzz_input input;

static u32 draw(void)
{
	return fuzz_u8(&input);
}

#define MODEL_CHECK(cond) FUZZ_ASSERT(cond)

#include "ref-pic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input.data = data;
	input.left = size;
	ref_begin();
	while (input.left)
		play_pic();
	return 0;
}
