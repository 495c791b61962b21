// SPDX-License-Identifier: GPL-2.0-only
/* The I/O APIC under a fuzzer: guest, lines, EOIs and hostile imports; a naive chip judges. */
#include "harness.h"
#include "types.h"

static struct fuzz_input input;

static u32 draw(void)
{
	return fuzz_u8(&input);
}

#define MODEL_CHECK(cond) FUZZ_ASSERT(cond)

#include "ref-ioapic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	u32 kind;

	input.data = data;
	input.left = size;
	kind = draw();
	ref_begin(kind & 1 ? 0x20 : 0x11, kind & 2);
	while (input.left)
		play_ioapic();
	return 0;
}
