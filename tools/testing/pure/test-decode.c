// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instruction decoder: a table of encodings written from the manuals, cuts at every byte, and this
 * CPU's own opinion of the length of random instructions.
 *
 * The CPU is asked by placing n bytes before an absent page, n = 1, 2, ...: as long as the fetch
 * faults on that page the instruction is longer than n. Registers hold addresses that exist
 * nowhere, so the instruction itself faults or does no harm; a child process takes what harm
 * remains.
 */
#define _GNU_SOURCE	/* register names of signal contexts */
#include "harness.h"
#include <cpuid.h>
#include <sys/wait.h>
#include "emu.h"
#include "native.h"

static const struct emu_mode real16 = { .cpu = EMU_CPU_REAL, .bits = 16 };
static const struct emu_mode vm86 = { .cpu = EMU_CPU_VM86, .bits = 16, .cpl = 3 };
static const struct emu_mode prot16 = { .cpu = EMU_CPU_PROT, .bits = 16 };
static const struct emu_mode prot32 = { .cpu = EMU_CPU_PROT, .bits = 32 };
static const struct emu_mode long64 = { .cpu = EMU_CPU_LONG, .bits = 64 };
static const struct emu_mode intel64 = { .cpu = EMU_CPU_LONG, .bits = 64, .intel = true };

#define OK EMU_DECODED
#define UD EMU_DECODE_UD

struct row {
	const struct emu_mode *mode;
	const char *bytes;	/* hex digits, the instruction alone */
	enum emu_decode_status status;
	uint8_t op_size, addr_size;	/* 0: not checked */
};

/* The length expected is the number of bytes written. */
static const struct row rows[] = {
	/* what an intercept without a next-RIP field needs */
	{ &long64, "0fa2", OK, 4, 8 }, { &real16, "0fa2", OK, 2, 2 },
	{ &long64, "0f30", OK }, { &long64, "0f32", OK }, { &long64, "0f31", OK },
	{ &long64, "0f33", OK }, { &long64, "0f01f9", OK }, { &long64, "0f01d9", OK },
	{ &long64, "0f01c1", OK }, { &long64, "0f01c8", OK }, { &long64, "0f01c9", OK },
	{ &long64, "0f01d1", OK }, { &long64, "0f01f8", OK }, { &long64, "0f09", OK },
	{ &long64, "0f08", OK }, { &long64, "0f06", OK }, { &long64, "f4", OK },
	{ &long64, "f390", OK }, { &long64, "0faa", OK }, { &long64, "f30f09", OK },
	{ &long64, "0f0138", OK }, { &long64, "0f017c2408", OK }, { &long64, "41 0f01 7d 00", OK },
	{ &long64, "0f01f0", OK }, { &prot16, "0f0136 3412", OK },
	{ &prot32, "0f01 3d 78563412", OK },
	{ &long64, "0f20c0", OK, 8 }, { &prot32, "0f20c0", OK, 4 }, { &prot16, "0f22c0", OK, 4 },
	{ &long64, "440f22c0", OK, 8 }, { &long64, "f00f20c0", OK, 8 },
	{ &intel64, "f00f20c0", UD }, { &long64, "f00f20d8", UD }, { &long64, "f00f21c0", UD },
	{ &long64, "0f2000", OK, 8 }, { &long64, "0f2304", OK, 8 }, { &long64, "0f24c0", UD },
	{ &long64, "660f20c0", OK, 8 },
	{ &long64, "e460", OK }, { &long64, "e560", OK, 4 }, { &prot16, "66e560", OK, 4 },
	{ &long64, "ec", OK, 1 }, { &long64, "66ed", OK, 2 }, { &long64, "f36c", OK, 1 },
	{ &long64, "f36f", OK, 4 }, { &real16, "f366676f", OK, 4, 4 },
	{ &long64, "0fc7f0", OK }, { &long64, "0fc7f8", OK }, { &long64, "0f0b", UD },
	{ &long64, "0f05", OK }, { &long64, "0f07", OK }, { &long64, "0f34", OK },
	{ &long64, "cf", OK, 4 }, { &long64, "48cf", OK, 8 }, { &prot32, "66cf", OK, 2 },
	{ &long64, "0f00d8", OK }, { &real16, "0f00d8", UD }, { &vm86, "0f00d8", UD },
	{ &prot16, "0f00f0", UD }, { &long64, "0f0078 10", UD },

	/* sizes */
	{ &long64, "89d8", OK, 4, 8 }, { &long64, "6689d8", OK, 2, 8 },
	{ &long64, "4889d8", OK, 8, 8 },
	{ &long64, "664889d8", OK, 8 }, { &long64, "486689d8", OK, 2 },
	{ &long64, "6789d8", OK, 4, 4 },
	{ &prot32, "89d8", OK, 4, 4 }, { &prot32, "6689d8", OK, 2, 4 },
	{ &prot32, "6789d8", OK, 4, 2 },
	{ &prot16, "89d8", OK, 2, 2 }, { &prot16, "6689d8", OK, 4, 2 },
	{ &prot16, "6789d8", OK, 2, 4 },
	{ &long64, "50", OK, 8 }, { &long64, "6650", OK, 2 }, { &long64, "4150", OK, 8 },
	{ &prot32, "40", OK, 4 }, { &prot32, "48", OK, 4 }, { &long64, "8f00", OK, 8 },
	{ &long64, "ff30", OK, 8 }, { &long64, "66ff30", OK, 2 },

	/* ModRM, SIB, displacement */
	{ &long64, "8b00", OK }, { &long64, "8b4010", OK }, { &long64, "8b8078563412", OK },
	{ &long64, "8b0424", OK }, { &long64, "8b442410", OK }, { &long64, "8b84c878563412", OK },
	{ &long64, "8b0525000000", OK }, { &long64, "8b042578563412", OK },
	{ &long64, "8b4500", OK },
	{ &long64, "678b0525000000", OK, 4, 4 }, { &long64, "8b04ed78563412", OK },
	{ &prot32, "8b0578563412", OK }, { &prot32, "678b063412", OK, 4, 2 },
	{ &prot16, "8b00", OK }, { &prot16, "8b063412", OK }, { &prot16, "8b4610", OK },
	{ &prot16, "8b863412", OK }, { &prot16, "67 8b 04 8d 78563412", OK },

	/* immediates */
	{ &long64, "b878563412", OK, 4 }, { &long64, "66b83412", OK, 2 },
	{ &long64, "48b8 0102030405060708", OK, 8 }, { &long64, "c7 00 78563412", OK, 4 },
	{ &long64, "66c7003412", OK, 2 }, { &long64, "48c70078563412", OK, 8 },
	{ &long64, "c60012", OK, 1 }, { &long64, "c60812", UD }, { &long64, "c70878563412", UD },
	{ &long64, "f60012", OK, 1 }, { &long64, "f60812", OK, 1 }, { &long64, "f610", OK, 1 },
	{ &long64, "f70078563412", OK }, { &long64, "66f7003412", OK }, { &long64, "f720", OK },
	{ &long64, "a0 0102030405060708", OK, 1 }, { &long64, "67a301020304", OK, 4, 4 },
	{ &prot32, "a101020304", OK, 4 }, { &prot16, "a10102", OK, 2 }, { &prot32, "67a10102", OK },
	{ &long64, "c8341205", OK }, { &long64, "c21000", OK }, { &long64, "ca1000", OK },
	{ &long64, "68 78563412", OK, 8 }, { &long64, "66683412", OK, 2 },
	{ &long64, "6a12", OK, 8 },
	{ &long64, "69c078563412", OK }, { &long64, "6669c03412", OK }, { &long64, "6bc012", OK },
	{ &prot32, "9a 78563412 3412", OK, 4 }, { &prot16, "ea 3412 3412", OK, 2 },
	{ &prot16, "66ea 78563412 3412", OK, 4 }, { &long64, "9a785634123412", UD },
	{ &long64, "cd80", OK }, { &long64, "c0e005", OK }, { &long64, "d1e0", OK },
	{ &long64, "80 00 12", OK, 1 }, { &long64, "8100 78563412", OK }, { &long64, "830012", OK },
	{ &prot32, "820012", OK }, { &long64, "820012", UD },

	/* branches: the vendors differ on 66 in 64-bit code */
	{ &long64, "e878563412", OK, 8 }, { &long64, "66e83412", OK, 2 },
	{ &intel64, "66e878563412", OK, 8 }, { &prot32, "66e93412", OK, 2 },
	{ &long64, "eb12", OK, 8 },
	{ &long64, "0f8478563412", OK }, { &long64, "660f843412", OK },
	{ &intel64, "660f8478563412", OK },
	{ &long64, "7412", OK }, { &long64, "e312", OK }, { &long64, "ff10", OK, 8 },
	{ &long64, "ff18", OK, 4 }, { &long64, "ffd8", UD }, { &long64, "ffe8", UD },
	{ &long64, "ff38", UD }, { &long64, "fe10", UD }, { &long64, "fe00", OK },

	/* not in 64-bit code */
	{ &long64, "06", UD }, { &long64, "27", UD }, { &long64, "60", UD }, { &long64, "ce", UD },
	{ &long64, "d40a", UD }, { &long64, "d6", UD }, { &prot32, "06", OK },
	{ &prot32, "60", OK },
	{ &prot32, "d40a", OK }, { &prot32, "6200", OK }, { &prot32, "c400", OK },
	{ &prot32, "c500", OK },
	{ &real16, "c4c0", UD }, { &real16, "63c0", UD }, { &vm86, "6300", UD },
	{ &prot16, "6300", OK },
	{ &long64, "6300", OK, 4 }, { &long64, "8d00", OK }, { &long64, "8dc0", UD },
	{ &long64, "8ec8", UD }, { &long64, "8ed8", OK }, { &long64, "8cf0", UD },
	{ &long64, "8cd8", OK },

	/* LOCK */
	{ &long64, "f00100", OK }, { &long64, "f001c0", UD }, { &long64, "f00300", UD },
	{ &long64, "f08b00", UD }, { &long64, "f0830001", OK }, { &long64, "f0833801", UD },
	{ &long64, "f0ff00", OK }, { &long64, "f0ff30", UD }, { &long64, "f00fb108", OK },
	{ &long64, "f00fc708", OK }, { &long64, "f00fba2801", OK }, { &long64, "f00fba2001", UD },
	{ &long64, "f00fa308", UD }, { &long64, "f00fab08", OK }, { &long64, "f08700", OK },
	{ &long64, "f0f610", OK }, { &long64, "f0f600 01", UD }, { &long64, "f090", UD },
	{ &long64, "f03900", UD },

	/* 0F and the three-byte maps */
	{ &long64, "0fb600", OK }, { &long64, "0fbec0", OK }, { &long64, "0fc300", OK, 4 },
	{ &prot16, "0fc300", OK, 4 }, { &long64, "480fc300", OK, 8 }, { &long64, "660fc300", UD },
	{ &long64, "0fc3c0", UD }, { &long64, "0fc708", OK }, { &long64, "0fc7c8", UD },
	{ &long64, "0fc700", UD }, { &long64, "0fba2012", OK }, { &long64, "0fba0012", UD },
	{ &long64, "0fc200 12", OK }, { &long64, "0f70c0 12", OK }, { &long64, "0f71d0 12", OK },
	{ &long64, "0f71c0 12", UD }, { &long64, "660f73d812", OK }, { &long64, "0f0f00 bf", OK },
	{ &long64, "0f1f4000", OK }, { &long64, "0f0d08", OK }, { &long64, "0f0e", OK },
	{ &long64, "0f77", OK }, { &long64, "0fae38", OK }, { &long64, "0faef0", OK },
	{ &long64, "f30fb8c0", OK }, { &long64, "0fb8c0", UD }, { &long64, "0fff", UD },
	{ &long64, "0fb9", UD }, { &long64, "0f04", UD }, { &long64, "0fa6", UD },
	{ &long64, "660f78c01020", OK }, { &long64, "f20f78c11020", OK }, { &long64, "0f78c1", OK },
	{ &long64, "0f38f000", OK, 4 }, { &long64, "0f38f0c0", UD },
	{ &long64, "f20f38f0c0", OK, 1 },
	{ &long64, "f20f38f1c0", OK, 4 }, { &long64, "660f38f100", OK, 2 },
	{ &long64, "0f3800c0", OK },
	{ &long64, "0f3818", UD }, { &long64, "660f3a0fc005", OK },
	{ &long64, "660f3a1600 05", OK },
	{ &long64, "0f3a01", UD }, { &long64, "660f38 82 00", OK }, { &long64, "f30f38f6c0", OK },

	/* VEX, EVEX, XOP */
	{ &long64, "c5f877", OK }, { &long64, "c5fc1000", OK }, { &long64, "c5f970c012", OK },
	{ &long64, "c4e27918c0", OK }, { &long64, "c4e37d19c001", OK },
	{ &long64, "c4c27918450a", OK },
	{ &long64, "c4e078", UD }, { &prot32, "c5f877", OK }, { &prot32, "c5f81000", OK },
	{ &real16, "c5f877", UD }, { &vm86, "c4e27918c0", UD }, { &long64, "66c5f8", UD },
	{ &long64, "48c5f8", UD }, { &long64, "f0c5f8", UD }, { &long64, "f3c5f8", UD },
	{ &long64, "62f17c481000", OK }, { &long64, "62f17c48104001", OK },
	{ &long64, "62f37d4825c0ff", OK }, { &long64, "62f1784810", UD },
	{ &long64, "62f57c4858c0", OK },
	{ &long64, "62f17c48c6c001", OK }, { &long64, "62f17c4877", UD },
	{ &long64, "8fe97801c8", OK }, { &long64, "8fe878c0c001", OK },
	{ &long64, "8fea7810c001020304", OK }, { &prot16, "8fea7810c001020304", OK, 4 },
	{ &long64, "8fc0", OK }, { &long64, "8fe0", UD }, { &long64, "8f20", UD },

	/* prefixes in odd places */
	{ &long64, "666666666666660f1f00", OK }, { &long64, "2e0f1f00", OK },
	{ &long64, "f3f2f390", OK }, { &long64, "40414290", OK }, { &long64, "482e90", OK },
	{ &long64, "666666666666666666666666660f", EMU_DECODE_MORE },
	{ &long64, "6666666666666666666666666666 90", OK },
	{ &long64, "6666666666666666666666666666 66 90", EMU_DECODE_GP },
	{ &long64, "66666666666666666666 0f1f8400 01", EMU_DECODE_GP },
	{ &long64, "666666666666666666666666 8b80", EMU_DECODE_MORE },
};

static unsigned int unhex(const char *text, uint8_t *bytes)
{
	unsigned int n = 0, v;

	for (; *text; text += 2) {
		while (*text == ' ')
			text++;
		sscanf(text, "%2x", &v);
		bytes[n++] = v;
	}
	return n;
}

static void test_rows(void)
{
	for_each_row(row, rows) {
		uint8_t bytes[40];
		unsigned int len = unhex(row->bytes, bytes), avail = len, i;
		struct emu_insn insn;
		uint8_t *exact;

		test_context("%u-bit %s", row->mode->bits, row->bytes);
		if (row->status == EMU_DECODE_GP)
			memset(bytes + len, 0x90, 16), avail = 15;
		exact = malloc(avail);	/* reads past it are reported */
		memcpy(exact, bytes, avail);
		if (CHECK_EQ(emu_decode(&insn, exact, avail, row->mode), row->status) &&
		    row->status == EMU_DECODED) {
			CHECK_EQ(insn.len, len);
			CHECK(!row->op_size || insn.op_size == row->op_size);
			CHECK(!row->addr_size || insn.addr_size == row->addr_size);
			for (i = 0; i < len; i++)
				CHECK_EQ(emu_decode(&insn, exact, i, row->mode), EMU_DECODE_MORE);
		}
		free(exact);
	}
	test_context("%s", "");
}

/* Fields behind the length. */
static void test_fields(void)
{
	static const uint8_t sib[] = {
		0x65, 0x67, 0xf3, 0x4b, 0x8b, 0x84, 0xec, 0xf0, 0xff, 0xff, 0xff,
	};
	static const uint8_t rip[] = { 0x8a, 0x0d, 0x80, 0, 0, 0 };
	static const uint8_t bp16[] = { 0x2e, 0xf2, 0x66, 0x8b, 0x4a, 0x80 };
	static const uint8_t drs[] = { 0x45, 0x0f, 0x23, 0x1e };
	static const uint8_t enter[] = { 0xc8, 0xfe, 0xff, 0x05 };
	static const uint8_t far[] = { 0xea, 0x78, 0x56, 0x34, 0xff, 0xcd, 0xab };
	static const uint8_t imm8[] = { 0x48, 0x83, 0x0c, 0x24, 0x80 };
	static const uint8_t moffs[] = { 0x64, 0xa2, 1, 2, 3, 4, 5, 6, 7, 0x88 };
	static const uint8_t esp[] = { 0x8b, 0x04, 0x24 };
	struct emu_insn i;

	CHECK_EQ(emu_decode(&i, sib, sizeof(sib), &long64), EMU_DECODED);
	CHECK_EQ(i.prefixes, EMU_PFX_SEG | EMU_PFX_67 | EMU_PFX_REP);
	CHECK_EQ(i.rex, 0x4b);
	CHECK_EQ(i.seg, EMU_GS);
	CHECK_EQ(i.base, 12);
	CHECK_EQ(i.index, 13);
	CHECK_EQ(i.scale, 3);
	CHECK_EQ(i.reg, 0);
	CHECK_EQ(i.disp, -16);
	CHECK_EQ(i.op_size, 8);
	CHECK_EQ(i.addr_size, 4);
	CHECK_EQ(emu_insn_key(&i), EMU_KEY(EMU_MAP_1, 0x8b));

	CHECK_EQ(emu_decode(&i, rip, sizeof(rip), &long64), EMU_DECODED);
	CHECK_EQ(i.base, EMU_REG_RIP);
	CHECK_EQ(i.seg, EMU_DS);
	CHECK_EQ(i.reg, 1);
	CHECK_EQ(emu_decode(&i, rip, sizeof(rip), &prot32), EMU_DECODED);
	CHECK_EQ(i.base, EMU_REG_NONE);

	CHECK_EQ(emu_decode(&i, bp16, sizeof(bp16), &real16), EMU_DECODED);
	CHECK_EQ(i.base, EMU_RBP);
	CHECK_EQ(i.index, EMU_RSI);
	CHECK_EQ(i.seg, EMU_CS);
	CHECK_EQ(i.prefixes, EMU_PFX_SEG | EMU_PFX_66 | EMU_PFX_REPNE);
	CHECK_EQ(i.disp, -128);
	CHECK_EQ(emu_decode(&i, bp16 + 1, sizeof(bp16) - 1, &real16), EMU_DECODED);
	CHECK_EQ(i.seg, EMU_SS);
	CHECK_EQ(emu_decode(&i, bp16, sizeof(bp16), &long64), EMU_DECODED);
	CHECK_EQ(i.seg, EMU_DS);
	CHECK_EQ(i.base, EMU_RDX);

	CHECK_EQ(emu_decode(&i, drs, sizeof(drs), &long64), EMU_DECODED);
	CHECK_EQ(i.reg, 11);
	CHECK_EQ(i.rm, 14);
	CHECK(!emu_insn_modrm_mem(&i));
	CHECK_EQ(emu_insn_key(&i), EMU_KEY_MOV_DR_R);

	CHECK_EQ(emu_decode(&i, enter, sizeof(enter), &prot32), EMU_DECODED);
	CHECK_EQ((uint16_t)i.imm, 0xfffe);
	CHECK_EQ(i.imm2, 5);
	CHECK_EQ(i.imm_len, 3);
	CHECK_EQ(emu_decode(&i, far, sizeof(far), &prot32), EMU_DECODED);
	CHECK_EQ((uint32_t)i.imm, 0xff345678);
	CHECK_EQ(i.imm2, 0xabcd);
	CHECK_EQ(emu_decode(&i, imm8, sizeof(imm8), &long64), EMU_DECODED);
	CHECK_EQ(i.imm, -128);
	CHECK_EQ(i.seg, EMU_SS);
	CHECK_EQ(i.modrm, 0x0c);
	CHECK_EQ(emu_decode(&i, moffs, sizeof(moffs), &long64), EMU_DECODED);
	CHECK_EQ(i.disp, 0x8807060504030201);
	CHECK_EQ(i.seg, EMU_FS);
	CHECK_EQ(emu_decode(&i, esp, sizeof(esp), &prot32), EMU_DECODED);
	CHECK_EQ(i.seg, EMU_SS);
	CHECK_EQ(i.index, EMU_REG_NONE);
	CHECK_EQ(emu_decode(&i, (const uint8_t *)"\xf0\x0f\x22\xc0", 4, &prot32), EMU_DECODED);
	CHECK_EQ(i.reg, 8);
}

/* ---- this CPU's opinion ---- */

#define PROBE_64 0x200000000000ul	/* nothing else is within 2 GiB */
#define PROBE_32 0x30000000ul
#define PAGE 4096ul

struct probe {
	uint8_t bytes[16];
	uint16_t bits;
	uint16_t len;		/* 16: none of 1..15 was enough */
	int vector;
};

static bool is_fetch_fault(uint64_t start, uint64_t edge)
{
	return native_cur.vector == 14 && native_cur.cr2 == edge && native_cur.fault_rip == start;
}

static void probe_one(struct probe *p)
{
	uint64_t page = p->bits == 64 ? PROBE_64 : PROBE_32, edge = page + PAGE, start;
	unsigned int n, i;

	for (n = 1; n <= 15; n++) {
		start = edge - n;
		memset((void *)(edge - 64), 0xf4, 64);
		memcpy((void *)start, p->bytes, n);
		for (i = 0; i < 16; i++)
			native_cur.regs[i] = 0xdeadbe11cfffbee1;
		native_cur.flags_in = 0x202;
		native_cur.ds = native_cur.es = 0;
		native_cur.ss = p->bits == 64 ? NATIVE_DS : NATIVE_LDT(2);
		native_cur.target = start;
		native_cur.far_mode = p->bits != 64;
		native_cur.far_target.off = p->bits == 16 ? PAGE - n : start;
		native_cur.far_target.sel = p->bits == 16 ? NATIVE_LDT(1) : NATIVE_CS32;
		native_cur.vector = -2;
		native_enter();
		p->vector = native_cur.vector;
		p->len = n;
		if (!is_fetch_fault(p->bits == 16 ? PAGE - n : start, edge))
			return;
	}
	p->len = 16;
}

/* Must not be run: changes what the probing stands on, or loops on the spot. */
static bool is_excluded(const struct probe *p, const struct emu_insn *insn)
{
	unsigned int key = emu_insn_key(insn);

	if (memchr(p->bytes, 0x64, 8))		/* FS is this thread's own storage */
		return true;
	switch (key) {
	case EMU_KEY(EMU_MAP_1, 0xeb):
	case EMU_KEY(EMU_MAP_1, 0xe9):
	case EMU_KEY(EMU_MAP_1, 0xe0):
	case EMU_KEY(EMU_MAP_1, 0xe1):
	case EMU_KEY(EMU_MAP_1, 0xe2):
	case EMU_KEY(EMU_MAP_1, 0xe3):
		return insn->imm < 0;
	case EMU_KEY(EMU_MAP_0F, 0xae):		/* WRFSBASE, XRSTOR, ... */
		return !emu_insn_modrm_mem(insn);
	}
	if (insn->map == EMU_MAP_1 && (insn->opcode & 0xf0) == 0x70)
		return insn->imm < 0;
	if (insn->map == EMU_MAP_0F && (insn->opcode & 0xf0) == 0x80)
		return insn->imm < 0;
	return false;
}

static void make_probe(struct probe *p, uint64_t *seed, unsigned int n, unsigned int bits)
{
	static const uint8_t prefixes[] = {
		0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x65, 0x36, 0xf0, 0x40, 0x48, 0x4f, 0x45,
	};
	unsigned int count = test_rand_below(seed, 8), len = 0, i;

	count = count < 5 ? count / 2 : count == 7 ? 13 - test_rand_below(seed, 8) : 0;
	for (i = 0; i < 16; i++)
		p->bytes[i] = test_rand(seed);
	for (i = 0; i < count; i++)
		p->bytes[len++] = prefixes[test_rand_below(seed, bits == 64 ? 12 : 8)];
	switch (n / 256 % 4) {
	case 1:
		p->bytes[len++] = 0x0f;
		break;
	case 2:
		p->bytes[len++] = 0x0f;
		p->bytes[len++] = n & 0x1000 ? 0x38 : 0x3a;
		break;
	case 3:
		p->bytes[len++] = "\xc4\xc5\x62\x8f"[n & 3];
		if ((n & 3) == 0)
			p->bytes[len] = (p->bytes[len] & 0xe0) | (n >> 2 & 3);
		return;
	}
	if (len < 16)
		p->bytes[len] = n;
}

#ifndef KEEL_COVERAGE
#define PROBES 60000
#else
#define PROBES 6000
#endif

static bool probe_init(void)
{
	void *at64 = mmap((void *)PROBE_64, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	void *at32 = mmap((void *)PROBE_32, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (at64 != (void *)PROBE_64 || at32 != (void *)PROBE_32 || !native_init())
		return false;
	mprotect((void *)(PROBE_64 + PAGE), PAGE, PROT_NONE);
	mprotect((void *)(PROBE_32 + PAGE), PAGE, PROT_NONE);
	return native_ldt(1, PROBE_32, 0xffff, 2, false, false) &&
	       native_ldt(2, PROBE_32, 0, 0, false, false);
}

static bool cpu_is_intel(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid(0, &a, &b, &c, &d) && b == 0x756e6547;
}

static void compare_probe(const struct probe *p, bool intel)
{
	struct emu_mode mode = p->bits == 64 ? long64 : p->bits == 32 ? prot32 : prot16;
	struct emu_insn insn;
	enum emu_decode_status status;
	unsigned int i;
	char text[40];

	mode.intel = intel;
	mode.cpl = 3;
	status = emu_decode(&insn, p->bytes, 15, &mode);
	for (i = 0; i < 12; i++)
		sprintf(text + 3 * i, "%02x ", p->bytes[i]);
	test_context("%u-bit %s, native vector %d, length %u", p->bits, text, p->vector, p->len);
	if (p->vector == 6) {
		/*
		 * The CPU may lack what decodes, but it has not asked for more bytes; of opcodes
		 * that do not exist (0F 78 on AMD, gaps in the vector maps) nobody knows a length.
		 */
		CHECK(status != EMU_DECODED || p->len <= insn.len || insn.map == EMU_MAP_VEX ||
		      emu_insn_key(&insn) == EMU_KEY(EMU_MAP_0F, 0x78));
		return;
	}
	if (p->vector == 13 && p->len == 15 && status != EMU_DECODED) {
		/* Too long or invalid: an opcode that does not exist has no length to tell by. */
		CHECK(status != EMU_DECODE_MORE);
		return;
	}
	if (status == EMU_DECODE_GP) {
		CHECK(p->len >= 15);
		return;
	}
	CHECK_EQ(status, EMU_DECODED);
	CHECK_EQ(insn.len, p->len);
}

static void test_native_lengths(void)
{
	static const unsigned int bits[] = { 64, 32, 16 };
	struct probe *probes;
	bool intel = cpu_is_intel();
	uint64_t seed = 7;
	unsigned int i;
	int wstatus;
	pid_t child;

	if (!probe_init()) {
		SKIP("fixed addresses or descriptors are not to be had");
		return;
	}
	probes = mmap(NULL, PROBES * sizeof(*probes), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < PROBES; i++) {
		struct emu_mode mode = long64;
		struct emu_insn insn;

		probes[i].bits = bits[i % 3];
		mode = i % 3 == 0 ? long64 : i % 3 == 1 ? prot32 : prot16;
		mode.intel = intel;
		do {
			make_probe(&probes[i], &seed, i / 3, bits[i % 3]);
			emu_decode(&insn, probes[i].bytes, 15, &mode);
		} while (is_excluded(&probes[i], &insn));
	}
	child = fork();
	if (!child) {
		alarm(120);
		for (i = 0; i < PROBES; i++)
			probe_one(&probes[i]);
		_exit(0);
	}
	waitpid(child, &wstatus, 0);
	for (i = 0; i < PROBES && probes[i].len; i++)
		compare_probe(&probes[i], intel);
	test_context("%s", "");
	CHECK_EQ(i, PROBES);
	CHECK_EQ(wstatus, 0);
}

int main(void)
{
	test_rows();
	test_fields();
	test_native_lengths();
	return test_done("decode");
}
