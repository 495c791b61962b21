// SPDX-License-Identifier: GPL-2.0-only
/*
 * Decoder on arbitrary bytes in arbitrary modes: reads nothing beyond what it is given, keeps to 15
 * bytes, depends on nothing past the instruction's end, and asks for more exactly as long as it
 * must.
 */
#include "harness.h"
#include "emu.h"

static const struct emu_mode modes[] = {
	{ .cpu = EMU_CPU_REAL, .bits = 16 }, { .cpu = EMU_CPU_VM86, .bits = 16 },
	{ .cpu = EMU_CPU_PROT, .bits = 16 }, { .cpu = EMU_CPU_PROT, .bits = 32 },
	{ .cpu = EMU_CPU_LONG, .bits = 64 }, { .cpu = EMU_CPU_LONG, .bits = 64, .intel = true },
	{ .cpu = EMU_CPU_REAL, .bits = 32 }, { .cpu = EMU_CPU_PROT, .bits = 32, .intel = true },
};

static enum emu_decode_status decode_exact(struct emu_insn *insn, const uint8_t *data, size_t len,
					   const struct emu_mode *mode)
{
	uint8_t *exact = malloc(len ? len : 1);
	enum emu_decode_status status;

	memcpy(exact, data, len);
	status = emu_decode(insn, exact, len, mode);
	free(exact);
	return status;
}

static void check_insn(const struct emu_insn *insn, const struct emu_mode *mode)
{
	uint8_t regs = mode->cpu == EMU_CPU_LONG ? 16 : 8;

	FUZZ_ASSERT(insn->len >= 1 && insn->len <= EMU_INSN_MAX);
	FUZZ_ASSERT(insn->map <= EMU_MAP_VEX);
	FUZZ_ASSERT(insn->op_size == 1 || insn->op_size == 2 || insn->op_size == 4 ||
		    insn->op_size == 8 || insn->map == EMU_MAP_VEX);
	FUZZ_ASSERT(insn->op_size != 8 || mode->cpu == EMU_CPU_LONG);
	FUZZ_ASSERT(insn->addr_size == 2 || insn->addr_size == 4 || insn->addr_size == 8);
	FUZZ_ASSERT(mode->cpu == EMU_CPU_LONG ? insn->addr_size != 2 : insn->addr_size != 8);
	FUZZ_ASSERT(insn->base < regs || insn->base == EMU_REG_NONE ||
		    (insn->base == EMU_REG_RIP && mode->cpu == EMU_CPU_LONG));
	FUZZ_ASSERT(insn->index < regs || insn->index == EMU_REG_NONE);
	FUZZ_ASSERT(insn->seg < EMU_SEG_COUNT || insn->seg == EMU_SEG_NONE);
	FUZZ_ASSERT(!emu_insn_modrm_mem(insn) || insn->seg < EMU_SEG_COUNT);
	FUZZ_ASSERT(insn->reg < 16 && insn->rm < 16 && insn->scale < 4);
	FUZZ_ASSERT(!insn->rex || mode->cpu == EMU_CPU_LONG);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct emu_mode *mode;
	struct emu_insn insn, again;
	enum emu_decode_status status;
	uint8_t tail[32];
	unsigned int i;

	if (!size)
		return 0;
	mode = &modes[data[0] & 7];
	data++;
	size--;
	if (size > 20)
		size = 20;
	status = decode_exact(&insn, data, size, mode);
	FUZZ_ASSERT(status != EMU_DECODE_MORE || size < EMU_INSN_MAX);
	FUZZ_ASSERT(status != EMU_DECODE_GP || size >= EMU_INSN_MAX);
	if (status == EMU_DECODE_MORE) {
		memset(tail, 0, sizeof(tail));
		memcpy(tail, data, size);
		FUZZ_ASSERT(emu_decode(&again, tail, sizeof(tail), mode) != EMU_DECODE_MORE);
	}
	if (status != EMU_DECODED)
		return 0;
	check_insn(&insn, mode);
	FUZZ_ASSERT(insn.len <= size);
	for (i = 0; i < insn.len; i++)
		FUZZ_ASSERT(decode_exact(&again, data, i, mode) == EMU_DECODE_MORE);
	memset(tail, 0xff, sizeof(tail));
	memcpy(tail, data, insn.len);
	FUZZ_ASSERT(emu_decode(&again, tail, sizeof(tail), mode) == EMU_DECODED);
	FUZZ_ASSERT(!memcmp(&insn, &again, sizeof(insn)));
	return 0;
}
