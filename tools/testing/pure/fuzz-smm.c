// SPDX-License-Identifier: GPL-2.0-only
/*
 * An area with anything in it: what is loaded can be saved and loaded again without a difference, and each
 * register is the bytes at its place. The oracle knows the places by the manual's table alone.
 */
#include "smm.h"
#include "harness.h"

static u64 word(const u8 *area, unsigned int offset, unsigned int bytes)
{
	u64 value = 0;

	memcpy(&value, area + offset, bytes);
	return value;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const u8 gpr_at[16] = {	/* from 0x180, in units of 8 */
		15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0,
	};
	struct fuzz_input in = { data, size };
	struct smm_cpu cpu = { 0 }, again = { 0 };
	u8 area[SMM_AREA_SIZE], saved[SMM_AREA_SIZE];
	unsigned int i;

	for (i = 0; i < sizeof(area); i++)
		area[i] = fuzz_u8(&in);
	smm_load(area, &cpu);
	for (i = 0; i < 16; i++)
		FUZZ_ASSERT(cpu.gpr[i] == word(area, 0x180 + 8 * gpr_at[i], 8));
	FUZZ_ASSERT(cpu.rip == word(area, 0x178, 8));
	FUZZ_ASSERT(cpu.smbase == word(area, 0x100, 4));
	FUZZ_ASSERT(cpu.halted == (area[0xc9] & 1));
	FUZZ_ASSERT(cpu.special.cr0 == word(area, 0x158, 8) && cpu.special.cr3 == word(area, 0x150, 8) &&
		    cpu.special.cr4 == word(area, 0x148, 8) && cpu.special.efer == word(area, 0xd0, 8));
	FUZZ_ASSERT(cpu.special.cs.selector == word(area, 0x10, 2) && cpu.special.cs.base == word(area, 0x18, 8) &&
		    cpu.special.cs.limit == word(area, 0x14, 4) && cpu.special.gdt.base == word(area, 0x68, 8));
	FUZZ_ASSERT(!(cpu.rflags & ~0x3f7fd7ULL) && cpu.rflags & 2);
	smm_save(&cpu, saved);
	smm_load(saved, &again);
	FUZZ_ASSERT(!memcmp(&cpu, &again, sizeof(cpu)));
	smm_enter(&cpu);
	FUZZ_ASSERT(cpu.rip == 0x8000 && !(cpu.special.cr0 & 0x8000000d) && cpu.special.cs.base == cpu.smbase);
	return 0;
}
