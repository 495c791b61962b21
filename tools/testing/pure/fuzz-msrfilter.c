// SPDX-License-Identifier: GPL-2.0-only
/* The MSR filter over random ranges against a list of single registers, built backwards so that the first range wins. */
#include "msrfilter.h"
#include "harness.h"

#define SPAN 512u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static u8 maps[MSRF_RANGES][SPAN / 8];
	struct fuzz_input in = { data, size };
	unsigned int model[SPAN], i, bit;
	u32 start = fuzz_u32(&in);
	struct msrf f = { .deny = fuzz_u8(&in) & 1 };

	f.nr = fuzz_u8(&in) % (MSRF_RANGES + 1);
	for (i = 0; i < SPAN; i++)
		model[i] = f.deny ? 0 : MSRF_READ | MSRF_WRITE;
	for (i = 0; i < f.nr; i++) {
		u32 at = fuzz_u16(&in) % SPAN;

		f.range[i] = (struct msrf_range){
			.base = start + at, .count = fuzz_u16(&in) % (SPAN - at), .rights = fuzz_u8(&in) & 3,
			.bitmap = maps[i],
		};
		/* Ranges do not wrap. */
		if (f.range[i].base + f.range[i].count < f.range[i].base)
			f.range[i].count = 0;
		for (bit = 0; bit < sizeof(maps[i]); bit++)
			maps[i][bit] = fuzz_u8(&in);
	}
	for (i = f.nr; i-- > 0;) {
		const struct msrf_range *r = &f.range[i];

		for (bit = 0; bit < r->count; bit++) {
			unsigned int *m = &model[r->base - start + bit];

			*m = (*m & ~r->rights) | (maps[i][bit / 8] >> bit % 8 & 1 ? r->rights : 0);
		}
	}
	for (i = 0; i < SPAN; i++) {
		u32 index = start + i;

		if (index < start)
			break;
		if (index >= 0x800 && index < 0x900)
			model[i] = MSRF_READ | MSRF_WRITE;
		FUZZ_ASSERT(msrf_rights(&f, index) == model[i]);
	}
	return 0;
}
