// SPDX-License-Identifier: GPL-2.0-only
/* Memory slot geometry under a fuzzer: a series of requests and searches; brute force judges. */
#include "harness.h"
#include "types.h"

static struct fuzz_input input;

static u64 draw(void)
{
	return fuzz_u32(&input);
}

#define MODEL_CHECK(cond) FUZZ_ASSERT(cond)

#include "ref-slotgeo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input.data = data;
	input.left = size;
	slots_begin();
	for (unsigned int i = 0; i < 64 && input.left; i++) {
		switch (fuzz_u8(&input) & 3) {
		case 0:
			play_search();
			break;
		case 1:
			play_level();
			break;
		default:
			play_request();
			break;
		}
	}
	return 0;
}
