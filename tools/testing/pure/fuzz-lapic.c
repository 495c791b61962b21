// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC under a fuzzer: a series of register accesses, interrupts, expiries, resets and
 * imports, each also done by the naive model, and imports of pages that are input throughout.
 */
#include "harness.h"
#include "types.h"

static struct fuzz_input input;

/* Half of the draws are of bytes, so that little input goes a long way. */
static u32 draw(void)
{
	return fuzz_u16(&input) * 0x10001u;
}

#define MODEL_CHECK(cond) FUZZ_ASSERT(cond)

#include "ref-lapic.h"

static void play_page(void)
{
	struct lapic_effect fx = {};
	u8 page[LAPIC_PAGE_SIZE];
	u32 api = draw() & 3;

	fuzz_bytes(&input, page, sizeof(page));
	FUZZ_ASSERT(lapic_import(&dut, page, ref_now, api, &fx) == ref_import(page, api));
	ref_compare();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input.data = data;
	input.left = size;
	ref_begin();
	if (size > LAPIC_PAGE_SIZE)
		play_page();
	for (unsigned int i = 0; i < 256 && input.left; i++)
		play_lapic();
	return 0;
}
