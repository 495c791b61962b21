// SPDX-License-Identifier: GPL-2.0-only
/* The 8254 under a fuzzer: guest, time, ticks and hostile imports; a naive timer judges. */
#include "harness.h"
#include "types.h"

static struct fuzz_input input;

static u32 draw(void)
{
	return fuzz_u8(&input);
}

#define MODEL_CHECK(cond) FUZZ_ASSERT(cond)

#include "ref-pit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input.data = data;
	input.left = size < 400 ? size : 400;
	if (draw() & 1) {
		while (input.left)
			play_pit_import();
		return 0;
	}
	ref_begin(draw());
	while (input.left)
		play_pit();
	return 0;
}
