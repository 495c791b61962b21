// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nested page-table tree under a fuzzer: the input chooses the format and every operation; the
 * reference model judges. Input that has run out draws zeroes, and the series ends.
 */
#include "harness.h"
#include "types.h"

static struct fuzz_input input;

static u64 draw(void)
{
	return fuzz_u16(&input);
}

#define MODEL_CHECK(cond) FUZZ_ASSERT(cond)

#include "ref-radix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int kind;

	input.data = data;
	input.left = size;
	kind = fuzz_u8(&input);
	model_begin(kind & 3, kind >> 2);
	for (unsigned int op = 0; op < 64 && input.left; op++)
		plays[fuzz_u8(&input) % ARRAY_SIZE(plays)]();
	check_all();
	model_end();
	return 0;
}
