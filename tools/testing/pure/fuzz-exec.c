// SPDX-License-Identifier: GPL-2.0-only
/*
 * Emulator on arbitrary instructions and machine states. Always: effects are bounded, registers
 * change only where the contract says so, a REP loop makes progress. In 64-bit code, when all
 * memory it names is in the test buffer or its guard, this CPU runs the same bytes and must agree.
 */
#define _GNU_SOURCE	/* register names of signal contexts */
#include "harness.h"
#include "drive.h"
#include "ref-move.h"

#define ARITH 0x8d5u
#define CF 0x001u
#define AF 0x010u
#define OF 0x800u

static uint8_t bulk[4096];
static bool native_ok;

/* Flags that every processor leaves alike after this instruction. */
static unsigned int defined_flags(const struct emu_insn *insn)
{
	unsigned int low = insn->opcode;

	if (insn->map == EMU_MAP_0F && ((low & 0xe7) == 0xa3 || low == 0xba))
		return CF;
	if (insn->map != EMU_MAP_1)
		return ARITH;
	if ((low & 0xfe) == 0xc0 || (low & 0xfc) == 0xd0)
		return (insn->modrm & 0x38) < 0x20 ? ARITH & ~(OF | CF) : ARITH & ~(OF | AF | CF);
	return ARITH & ~AF;
}

static void fill_state(struct emu *e, struct drive *d, struct fuzz_input *in)
{
	uint64_t seed = fuzz_u32(in);
	uint16_t pointers = fuzz_u16(in);
	unsigned int i;

	for (i = 0; i < 16; i++) {
		e->regs[i] = test_rand(&seed);
		if (pointers >> i & 1)
			e->regs[i] = NATIVE_BUF + 0x400 + (e->regs[i] & 0x7ff);
	}
	e->regs[EMU_RCX] = fuzz_u8(in) & 0x80 ? e->regs[EMU_RCX] : test_rand_below(&seed, 9);
	e->rflags = (test_rand(&seed) & NATIVE_FLAGS) | 0x202;
	for (i = 0; i < sizeof(d->mem); i += 8) {
		uint64_t v = test_rand(&seed);

		memcpy(d->mem + i, &v, 8);
	}
	for (i = 0; i < 16; i++)
		memset(e->xmm[i], test_rand(&seed), 16);
	e->cr0 = fuzz_u8(in) & 0xc;
	e->cr4 = fuzz_u16(in) | 0x200;
	for (i = 0; i < EMU_SEG_COUNT; i++) {
		e->seg[i].attr = EMU_SEG_P | EMU_SEG_S | 3 | EMU_SEG_DB;
		e->seg[i].limit = 0xffffffff;
	}
}

static void random_segments(struct emu *e, struct fuzz_input *in)
{
	unsigned int i;

	for (i = 0; i < EMU_SEG_COUNT; i++) {
		e->seg[i].selector = fuzz_u16(in);
		e->seg[i].attr = fuzz_u16(in) & 0xfff;
		e->seg[i].limit = fuzz_u32(in);
		e->seg[i].base = fuzz_u64(in);
	}
}

static void check_effect(const struct emu *e, enum emu_status status)
{
	bool is_bulk = e->acc.flags & EMU_ACC_BULK;

	switch (status) {
	case EMU_READ:
	case EMU_WRITE:
	case EMU_CMPXCHG:
	case EMU_PROBE:
		FUZZ_ASSERT(e->acc.size >= 1);
		FUZZ_ASSERT(e->acc.size <= (is_bulk ? e->bulk_size : EMU_ACC_BYTES));
		FUZZ_ASSERT(!is_bulk || gva_offset(e->acc.addr) + e->acc.size <= 4096);
		FUZZ_ASSERT(e->mode.cpu == EMU_CPU_LONG || gva_raw(e->acc.addr) <= 0xffffffff);
		FUZZ_ASSERT(status != EMU_CMPXCHG || e->acc.size <= EMU_CMPXCHG_BYTES);
		break;
	case EMU_IN:
	case EMU_OUT:
		FUZZ_ASSERT(e->string_io);
		FUZZ_ASSERT(e->io.size == 1 || e->io.size == 2 || e->io.size == 4);
		FUZZ_ASSERT(e->io.count >= 1);
		FUZZ_ASSERT(e->io.count * e->io.size == e->acc.size);
		break;
	default:
		break;
	}
}

/* Any state, any data: the machine must keep its contract. */
static void run_free(struct emu *e, struct fuzz_input *in)
{
	uint64_t before[EMU_GPR_COUNT], rip, mask, count;
	enum emu_status status = EMU_AGAIN;
	unsigned int steps, in_flight = 0;

	emu_start(e);
	mask = ~0ull >> (64 - 8 * e->insn.addr_size);
	memcpy(before, e->regs, sizeof(before));
	rip = e->rip;
	count = e->regs[EMU_RCX] & mask;
	for (steps = 0; steps < 400; steps++) {
		status = emu_step(e);
		check_effect(e, status);
		if (status == EMU_DONE)
			break;
		FUZZ_ASSERT(e->rip == rip);
		if (status == EMU_AGAIN) {
			FUZZ_ASSERT(e->acc.lost || (e->regs[EMU_RCX] & mask) < count);
			count = e->regs[EMU_RCX] & mask;
			memcpy(before, e->regs, sizeof(before));
			in_flight = 0;
			continue;
		}
		FUZZ_ASSERT(!memcmp(before, e->regs, sizeof(before)));
		if (status == EMU_FAULT || status == EMU_UNHANDLED)
			break;
		FUZZ_ASSERT(++in_flight <= 4);
		if (status == EMU_READ)
			fuzz_bytes(in, emu_data(e), e->acc.size);
		if (status == EMU_CMPXCHG)
			e->acc.lost = in->left & 1;
		if (in->left)
			fuzz_u8(in);
	}
	if (status == EMU_DONE && e->mode.cpu == EMU_CPU_LONG)
		FUZZ_ASSERT(e->rip == rip + e->insn.len);
}

static void run_native(struct emu *e, struct drive *d, const uint8_t *bytes)
{
	unsigned int flags = defined_flags(&e->insn);
	enum drive_end end;

	native_cur.flags_in = e->rflags;
	memcpy(native_cur.regs, e->regs, sizeof(e->regs));
	memcpy(native_cur.xmm, e->xmm, sizeof(e->xmm));
	memcpy((void *)NATIVE_BUF, d->mem, NATIVE_BUF_SIZE);
	native_cur.ds = native_cur.es = native_cur.ss = NATIVE_DS;
	e->seg[EMU_DS].selector = e->seg[EMU_ES].selector = e->seg[EMU_SS].selector = NATIVE_DS;
	e->seg[EMU_CS].selector = NATIVE_CS64;
	end = drive_run(e, d);
	FUZZ_ASSERT(end != DRIVE_STUCK);
	if (end == DRIVE_WILD || end == DRIVE_UNHANDLED)
		return;
	native_run(bytes, e->insn.len, 64, NATIVE_CS64);
	native_settle(e);
	FUZZ_ASSERT((end == DRIVE_DONE) == (native_cur.vector == -1));
	FUZZ_ASSERT(!memcmp(e->regs, native_cur.regs, sizeof(e->regs)));
	FUZZ_ASSERT(!((e->rflags ^ native_cur.rflags) & flags));
	FUZZ_ASSERT(!memcmp(d->mem, (void *)NATIVE_BUF, NATIVE_BUF_SIZE));
	FUZZ_ASSERT(!memcmp(e->xmm, native_cur.xmm, sizeof(e->xmm)));
}

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	native_ok = native_init();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct emu e;
	static struct drive d;
	struct fuzz_input in = { data, size };
	uint8_t bytes[EMU_INSN_MAX], how = fuzz_u8(&in);
	bool planned;
	static const uint8_t bits[] = { 16, 16, 32, 64 };

	memset(&e, 0, sizeof(e));
	memset(&d, 0, sizeof(d));
	e.mode.cpu = how & 3;
	e.mode.bits = e.mode.cpu == EMU_CPU_PROT && how & 4 ? 16 : bits[how & 3];
	e.mode.cpl = 3;
	e.rip = NATIVE_CODE;
	fuzz_bytes(&in, bytes, sizeof(bytes));
	if (emu_decode(&e.insn, bytes, sizeof(bytes), &e.mode) != EMU_DECODED)
		return 0;
	fill_state(&e, &d, &in);
	FUZZ_ASSERT(move_agrees(&e, e.regs[EMU_RSI] * 0x9e3779b97f4a7c15ULL, &planned));
	FUZZ_ASSERT(!planned || e.mode.cpu == EMU_CPU_LONG);
	if (native_ok && e.mode.cpu == EMU_CPU_LONG && how & 8) {
		e.cr0 = 0;
		e.cr4 = 0x200;
		if (e.insn.seg != EMU_FS)
			run_native(&e, &d, bytes);
		return 0;
	}
	if (how & 0x10)
		random_segments(&e, &in);
	e.string_io = how & 0x20;
	e.bulk = how & 0x40 ? bulk : NULL;
	e.bulk_size = how & 0x40 ? (how & 0x80 ? sizeof(bulk) : 7) : 0;
	run_free(&e, &in);
	return 0;
}
