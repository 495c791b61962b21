// SPDX-License-Identifier: GPL-2.0-only
/*
 * Emulator, effect by effect: string port I/O, lost compare-exchanges, REP loops left half way,
 * real and virtual-8086 mode, segment types, refusals. What user mode can run is compared with this
 * CPU in test-exec.c.
 */
#define _GNU_SOURCE	/* register names of signal contexts */
#include "harness.h"
#include "drive.h"
#include "ref-move.h"

#define RF 0x10000

#define ATTR_DATA (EMU_SEG_P | EMU_SEG_DPL | EMU_SEG_S | 3)

static const struct emu_mode mode_real = { .cpu = EMU_CPU_REAL, .bits = 16 };
static const struct emu_mode mode_vm86 = { .cpu = EMU_CPU_VM86, .bits = 16, .cpl = 3 };
static const struct emu_mode mode_prot = { .cpu = EMU_CPU_PROT, .bits = 32 };
static const struct emu_mode mode_long = { .cpu = EMU_CPU_LONG, .bits = 64 };

static struct emu emu;
static struct drive drv;
static uint8_t bulk[4096];

/* A machine with flat segments over the buffer, and `bytes` decoded. */
static void set_up(const struct emu_mode *mode, const char *bytes, unsigned int len)
{
	unsigned int i;
	char text[64];

	memset(&emu, 0, sizeof(emu));
	memset(&drv, 0, sizeof(drv));
	emu.mode = *mode;
	emu.cr4 = 0x200;
	emu.rip = 0x1000;
	emu.rflags = 2;
	for (i = 0; i < EMU_SEG_COUNT; i++)
		emu.seg[i] = (struct emu_seg){
			.attr = ATTR_DATA | EMU_SEG_DB,
			.limit = 0xffffffff,
		};
	for (i = 0; i < NATIVE_BUF_SIZE; i++)
		drv.mem[i] = i * 7 + (i >> 8);
	for (i = 0; i < len; i++)
		sprintf(text + 3 * i, "%02x ", (uint8_t)bytes[i]);
	test_context("%s", text);
	CHECK_EQ(emu_decode(&emu.insn, (const uint8_t *)bytes, len, mode), EMU_DECODED);
	CHECK_EQ(emu.insn.len, len);
}

#define SET_UP(mode, bytes) set_up(&(mode), bytes, sizeof(bytes) - 1)

/* REP INSD of 5 elements, rCX set to `count` before the data comes: `bytes` are stored. */
static void lower_count(u64 count, u32 bytes, enum emu_status end)
{
	SET_UP(mode_prot, "\xf3\x6d");
	emu.string_io = true;
	emu.bulk = bulk;
	emu.bulk_size = sizeof(bulk);
	emu.regs[EMU_RCX] = 5;
	emu.regs[EMU_RDI] = NATIVE_BUF + 0x100;
	emu_start(&emu);
	CHECK_EQ(emu_step(&emu), EMU_PROBE);
	CHECK_EQ(emu_step(&emu), EMU_IN);
	emu.regs[EMU_RCX] = count;
	if (bytes) {
		CHECK_EQ(emu_step(&emu), EMU_WRITE);
		CHECK_EQ(emu.acc.size, bytes);
		CHECK_EQ(emu.acc.flags, EMU_ACC_BULK);
	}
	CHECK_EQ(emu_step(&emu), end);
	CHECK_EQ(emu.regs[EMU_RCX], count - bytes / 4);
	CHECK_EQ(emu.regs[EMU_RDI], NATIVE_BUF + 0x100 + bytes);
}

static void test_string_io(void)
{
	uint8_t before[NATIVE_BUF_SIZE];

	/* Without the caller's word no port is touched. */
	SET_UP(mode_prot, "\x6c");
	CHECK_EQ(emu_step(&emu), EMU_UNHANDLED);

	SET_UP(mode_prot, "\xf3\x6d");		/* REP INSD, 5 elements in one run */
	emu.string_io = true;
	emu.bulk = bulk;
	emu.bulk_size = sizeof(bulk);
	emu.regs[EMU_RCX] = 5;
	emu.regs[EMU_RDX] = 0xabcd01f0;
	emu.regs[EMU_RDI] = NATIVE_BUF + 0x100;
	emu_start(&emu);
	CHECK_EQ(emu_step(&emu), EMU_PROBE);
	CHECK_EQ(gva_raw(emu.acc.addr), NATIVE_BUF + 0x100);
	CHECK_EQ(emu.acc.size, 20);
	CHECK_EQ(emu_step(&emu), EMU_IN);
	CHECK_EQ(emu.io.port, 0x01f0);
	CHECK_EQ(emu.io.size, 4);
	CHECK_EQ(emu.io.count, 5);
	CHECK(emu_data(&emu) == bulk);
	CHECK_EQ(emu.regs[EMU_RCX], 5);
	CHECK_EQ(emu_step(&emu), EMU_WRITE);
	CHECK_EQ(emu.acc.size, 20);
	CHECK_EQ(emu.acc.flags, EMU_ACC_BULK);
	CHECK_EQ(emu.regs[EMU_RDI], NATIVE_BUF + 0x100);
	CHECK_EQ(emu_step(&emu), EMU_DONE);
	CHECK_EQ(emu.regs[EMU_RCX], 0);
	CHECK_EQ(emu.regs[EMU_RDI], NATIVE_BUF + 0x114);
	CHECK_EQ(emu.rip, 0x1002);

	/* rCX lowered, raised, cleared by the caller while the port transfer is in flight. */
	lower_count(2, 8, EMU_DONE);
	lower_count(6, 20, EMU_AGAIN);
	lower_count(0, 0, EMU_DONE);

	/* A run ends at the page; the rest comes after EMU_AGAIN, then the element that crosses. */
	SET_UP(mode_long, "\xf3\x66\x6f");	/* REP OUTSW */
	emu.string_io = true;
	emu.bulk = bulk;
	emu.bulk_size = sizeof(bulk);
	emu.regs[EMU_RCX] = 700;
	emu.regs[EMU_RDX] = 0x3f8;
	emu.regs[EMU_RSI] = NATIVE_BUF + 0x900;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_DONE);
	CHECK_EQ(drv.port_calls, 1);
	CHECK_EQ(drv.port_out_len, 1400);
	CHECK_MEM_EQ(drv.port_out, drv.mem + 0x900, 1400);
	CHECK_EQ(emu.regs[EMU_RSI], NATIVE_BUF + 0x900 + 1400);
	SET_UP(mode_long, "\xf3\x6f");		/* REP OUTSD, into the absent next page */
	emu.string_io = true;
	emu.bulk = bulk;
	emu.bulk_size = sizeof(bulk);
	emu.regs[EMU_RCX] = 100;
	emu.regs[EMU_RSI] = NATIVE_BUF + 0xff2;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_PAGE_FAULT);
	CHECK_EQ(drv.again, 1);
	CHECK_EQ(emu.regs[EMU_RCX], 97);
	CHECK_EQ(emu.regs[EMU_RSI], NATIVE_BUF + 0xffe);
	CHECK_EQ(emu.rip, 0x1000);

	/* INS probes before it asks the port. */
	SET_UP(mode_long, "\xf3\x6c");
	emu.string_io = true;
	emu.regs[EMU_RCX] = 3;
	emu.regs[EMU_RDI] = NATIVE_BUF + 0xfff;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_PAGE_FAULT);
	CHECK_EQ(drv.port_calls, 1);
	CHECK_EQ(drv.port_next, 1);
	CHECK_EQ(emu.regs[EMU_RCX], 2);
	CHECK_EQ(drv.mem[0xfff], 0);

	/*
	 * Downwards, without a bulk buffer, at a small bulk buffer, at a segment limit, at a wrap.
	 */
	SET_UP(mode_long, "\xf3\x6c");
	emu.string_io = true;
	emu.bulk = bulk;
	emu.bulk_size = sizeof(bulk);
	emu.rflags |= 0x400;
	emu.regs[EMU_RCX] = 3;
	emu.regs[EMU_RDI] = NATIVE_BUF + 0x10;
	drv.port_next = 0x31;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_DONE);
	CHECK_EQ(drv.port_calls, 3);
	CHECK_MEM_EQ(drv.mem + 0xe, "\x33\x32\x31", 3);
	CHECK_EQ(emu.regs[EMU_RDI], NATIVE_BUF + 0xd);

	SET_UP(mode_long, "\xf3\x48\x6d");
	emu.string_io = true;
	emu.bulk = bulk;
	emu.bulk_size = 10;
	emu.regs[EMU_RCX] = 4;
	emu.regs[EMU_RDI] = NATIVE_BUF;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_DONE);
	CHECK_EQ(drv.port_calls, 2);
	CHECK_EQ(emu.regs[EMU_RDI], NATIVE_BUF + 16);

	SET_UP(mode_prot, "\xf3\x6e");
	emu.string_io = true;
	emu.bulk = bulk;
	emu.bulk_size = sizeof(bulk);
	emu.seg[EMU_DS].base = NATIVE_BUF;
	emu.seg[EMU_DS].limit = 0x102;
	emu.regs[EMU_RCX] = 6;
	emu.regs[EMU_RSI] = 0x100;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_FAULT);
	CHECK_EQ(emu.fault.vector, EMU_GP);
	CHECK_EQ(emu.regs[EMU_RCX], 3);
	CHECK_EQ(drv.port_out_len, 3);

	SET_UP(mode_real, "\xf3\x6e");
	emu.string_io = true;
	emu.bulk = bulk;
	emu.bulk_size = sizeof(bulk);
	emu.seg[EMU_DS].base = NATIVE_BUF - 0xf800;	/* the wrap is amid a page */
	emu.regs[EMU_RCX] = 0x770010;
	emu.regs[EMU_RSI] = 0x66fff8;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_PAGE_FAULT);	/* offset 0 is below the buffer */
	CHECK_EQ(drv.port_out_len, 8);
	CHECK_EQ(emu.regs[EMU_RSI], 0x660000);
	CHECK_EQ(emu.regs[EMU_RCX], 0x770008);
	SET_UP(mode_real, "\xf3\x6e");
	emu.string_io = true;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_DONE);	/* count zero */
	CHECK_EQ(drv.port_calls, 0);

	/* The same from what an exit reports. */
	set_up(&mode_long, "\x6e", 1);
	memcpy(before, drv.mem, sizeof(before));
	emu_insn_string_io(&emu.insn, true, EMU_PFX_REP, 2, 4, EMU_DS, 3);
	emu.string_io = true;
	emu.bulk = bulk;
	emu.bulk_size = sizeof(bulk);
	emu.regs[EMU_RCX] = 0xff00000002;
	emu.regs[EMU_RDI] = 0xff00000000 | NATIVE_BUF;
	drv.port_next = 0xa0;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_DONE);
	CHECK_MEM_EQ(drv.mem, "\xa0\xa1\xa2\xa3", 4);
	CHECK_MEM_EQ(drv.mem + 4, before + 4, sizeof(before) - 4);
	CHECK_EQ(emu.regs[EMU_RDI], NATIVE_BUF + 4);
	CHECK_EQ(emu.regs[EMU_RCX], 0);
	CHECK_EQ(emu.rip, 0x1003);
	emu_insn_string_io(&emu.insn, false, 0, 1, 8, EMU_FS, 1);
	emu.seg[EMU_FS].base = NATIVE_BUF;
	emu.regs[EMU_RSI] = 2;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_DONE);
	CHECK_EQ(drv.port_out[0], 0xa2);
	CHECK_EQ(emu.regs[EMU_RSI], 3);
}

static void test_locked(void)
{
	/* LOCK XADD [rdi], eax: lost twice, done at the third try. */
	SET_UP(mode_long, "\xf0\x0f\xc1\x07");
	emu.regs[EMU_RDI] = NATIVE_BUF;
	emu.regs[EMU_RAX] = 5;
	memcpy(drv.mem, "\x01\0\0\0", 4);
	drv.lose = 2;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_DONE);
	CHECK_EQ(drv.again, 2);
	CHECK_EQ(drv.mem[0], 6);
	CHECK_EQ(emu.regs[EMU_RAX], 1);

	/* The effects, one by one: XCHG is locked without a prefix. */
	SET_UP(mode_long, "\x87\x07");
	emu.regs[EMU_RDI] = NATIVE_BUF;
	emu.regs[EMU_RAX] = 0x11223344;
	emu_start(&emu);
	CHECK_EQ(emu_step(&emu), EMU_READ);
	CHECK_EQ(emu.acc.flags, EMU_ACC_LOCKED | EMU_ACC_WRITE_INTENT);
	memcpy(emu_data(&emu), "abcd", 4);
	CHECK_EQ(emu_step(&emu), EMU_CMPXCHG);
	CHECK_MEM_EQ(emu.acc.expected, "abcd", 4);
	CHECK_MEM_EQ(emu.acc.bytes, "\x44\x33\x22\x11", 4);
	CHECK_EQ(emu.regs[EMU_RAX], 0x11223344);
	emu.acc.lost = true;
	CHECK_EQ(emu_step(&emu), EMU_AGAIN);
	CHECK_EQ(emu.regs[EMU_RAX], 0x11223344);
	CHECK_EQ(emu.rip, 0x1000);
	CHECK_EQ(emu_step(&emu), EMU_READ);

	/* An unlocked read-modify-write asks for write permission up front. */
	SET_UP(mode_long, "\x01\x07");
	emu_start(&emu);
	CHECK_EQ(emu_step(&emu), EMU_READ);
	CHECK_EQ(emu.acc.flags, EMU_ACC_WRITE_INTENT);
	CHECK_EQ(emu_step(&emu), EMU_WRITE);
	SET_UP(mode_long, "\x39\x07");		/* CMP does not */
	emu_start(&emu);
	CHECK_EQ(emu_step(&emu), EMU_READ);
	CHECK_EQ(emu.acc.flags, 0);
	CHECK_EQ(emu_step(&emu), EMU_DONE);
}

static void test_rep_events(void)
{
	/* REP MOVSB: each iteration is committed and can be left. */
	SET_UP(mode_long, "\xf3\xa4");
	emu.regs[EMU_RCX] = 3;
	emu.regs[EMU_RSI] = NATIVE_BUF;
	emu.regs[EMU_RDI] = NATIVE_BUF + 0x80;
	emu.rflags |= RF;
	emu_start(&emu);
	CHECK_EQ(emu_step(&emu), EMU_READ);
	emu_data(&emu)[0] = 0x5a;
	CHECK_EQ(emu_step(&emu), EMU_WRITE);
	CHECK_EQ(emu_data(&emu)[0], 0x5a);
	CHECK_EQ(emu.regs[EMU_RCX], 3);
	CHECK_EQ(emu_step(&emu), EMU_AGAIN);
	CHECK_EQ(emu.regs[EMU_RCX], 2);
	CHECK_EQ(emu.regs[EMU_RSI], NATIVE_BUF + 1);
	CHECK_EQ(emu.rip, 0x1000);
	emu_start(&emu);
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_DONE);
	CHECK_EQ(drv.again, 1);
	CHECK_EQ(emu.rip, 0x1002);
	CHECK_EQ(emu.rflags & RF, 0);
}

static void test_modes(void)
{
	/* Real mode: limits hold, types do not, faults have no error code. */
	SET_UP(mode_real, "\x88\x07");		/* mov [bx], al */
	emu.seg[EMU_DS] = (struct emu_seg){ .base = NATIVE_BUF, .limit = 0xffff };
	emu.regs[EMU_RBX] = 0xabcd0003;
	emu.regs[EMU_RAX] = 0x77;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_DONE);
	CHECK_EQ(drv.mem[3], 0x77);
	SET_UP(mode_real, "\x89\x07");
	emu.seg[EMU_DS].limit = 0xffff;
	emu.regs[EMU_RBX] = 0xffff;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_FAULT);
	CHECK_EQ(emu.fault.vector, EMU_GP);
	CHECK(!emu.fault.has_error);
	SET_UP(mode_vm86, "\x89\x46\x00");	/* mov [bp+0], ax */
	emu.seg[EMU_SS].limit = 0xffff;
	emu.regs[EMU_RBP] = 0xffff;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_FAULT);
	CHECK_EQ(emu.fault.vector, EMU_SSF);
	CHECK(emu.fault.has_error);
	CHECK_EQ(emu.fault.error, 0);

	/* Code segments: readable or not, never writable; system and absent ones are no data. */
	SET_UP(mode_prot, "\x2e\x8a\x03");	/* mov al, cs:[ebx] */
	emu.seg[EMU_CS].attr = (ATTR_DATA & ~0xf) | 0xa;
	emu.regs[EMU_RBX] = NATIVE_BUF;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_DONE);
	emu.seg[EMU_CS].attr = (ATTR_DATA & ~0xf) | 0x8;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_FAULT);
	SET_UP(mode_prot, "\x2e\x88\x03");
	emu.seg[EMU_CS].attr = (ATTR_DATA & ~0xf) | 0xa;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_FAULT);
	SET_UP(mode_prot, "\x88\x03");
	emu.seg[EMU_DS].attr &= ~EMU_SEG_P;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_FAULT);
	emu.seg[EMU_DS].attr = ATTR_DATA & ~EMU_SEG_S;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_FAULT);
	CHECK_EQ(emu.fault.vector, EMU_GP);

	/* A 16-bit stack, an FS base, five-level paging. */
	SET_UP(mode_vm86, "\xff\x37");		/* push word [bx] */
	emu.seg[EMU_SS] = (struct emu_seg){ .base = NATIVE_BUF, .limit = 0xffff };
	emu.seg[EMU_DS] = (struct emu_seg){ .base = NATIVE_BUF, .limit = 0xffff };
	emu.regs[EMU_RSP] = 0x55550102;
	emu.regs[EMU_RBX] = 0x10;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_DONE);
	CHECK_EQ(emu.regs[EMU_RSP], 0x55550100);
	CHECK_MEM_EQ(drv.mem + 0x100, drv.mem + 0x10, 2);
	SET_UP(mode_long, "\x64\x8a\x03");
	emu.seg[EMU_FS].base = NATIVE_BUF - 0x1000;
	emu.regs[EMU_RBX] = 0x1005;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_DONE);
	CHECK_EQ(emu.regs[EMU_RAX], drv.mem[5]);
	SET_UP(mode_long, "\x8a\x03");
	emu.regs[EMU_RBX] = 0x0080000000000000;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_FAULT);
	emu.cr4 |= 0x1000;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_WILD);
	emu.regs[EMU_RBX] = 0x0100000000000000;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_FAULT);

	/* An operand that only begins canonical. */
	SET_UP(mode_long, "\x8b\x03");
	emu.regs[EMU_RBX] = 0x7ffffffffffd;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_FAULT);
	emu.regs[EMU_RBX] = 0x7ffffffffffc;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_WILD);

	/* RIP wraps at 32 bits outside 64-bit code. */
	SET_UP(mode_prot, "\x8a\x03");
	emu.regs[EMU_RBX] = NATIVE_BUF;
	emu.rip = 0xffffffff;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_DONE);
	CHECK_EQ(emu.rip, 1);
}

static void test_refusals(void)
{
	static const struct {
		const char *bytes;
		unsigned int len;
	} out[] = {
		{ "\xf4", 1 }, { "\x0f\xa2", 2 }, { "\x0f\x22\xc0", 3 }, { "\xe8\0\0\0\0", 5 },
		{ "\xd9\x07", 2 }, { "\x8e\x07", 2 }, { "\xc5\xf8\x10\x07", 4 },
		{ "\x0f\x6f\x07", 3 }, { "\x0f\x10\xc1", 3 }, { "\x66\x0f\x6e\xc0", 4 },
		{ "\xff\x17", 2 }, { "\xff\x27", 2 }, { "\x0f\x01\x17", 3 }, { "\x0f\xae\x07", 3 },
		{ "\xee", 1 }, { "\xcf", 1 }, { "\x0f\x30", 2 }, { "\xf7\x27", 2 },
		{ "\xf2\x0f\x38\xf1\x07", 5 },
	};

	for_each_row(row, out) {
		set_up(&mode_long, row->bytes, row->len);
		emu_start(&emu);
		CHECK_EQ(emu_step(&emu), EMU_UNHANDLED);
		CHECK_EQ(emu.rip, 0x1000);
	}

	/* SSE that CR0 or CR4 switch off. */
	SET_UP(mode_long, "\x0f\x10\x07");
	emu.cr4 = 0;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_FAULT);
	CHECK_EQ(emu.fault.vector, EMU_UD);
	CHECK(!emu.fault.has_error);
	emu.cr4 = 0x200;
	emu.cr0 = 8;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_FAULT);
	CHECK_EQ(emu.fault.vector, EMU_NM);
	emu.cr0 = 0xc;
	CHECK_EQ(drive_run(&emu, &drv), DRIVE_FAULT);
	CHECK_EQ(emu.fault.vector, EMU_UD);
}

/* The moves that need no machine, and what looks like one and is none. */
static void test_moves(void)
{
	static const struct {
		const char *bytes;
		unsigned int len;
		bool planned;
	} moves[] = {
		{ "\x89\x03", 2, true }, { "\x88\x23", 2, true }, { "\x40\x88\x23", 3, true },
		{ "\x66\x89\x4b\x10", 4, true }, { "\x4c\x89\x54\xcb\x80", 5, true },
		{ "\x8b\x03", 2, true }, { "\x8a\x23", 2, true }, { "\x40\x8a\x23", 3, true },
		{ "\x66\x8b\x0b", 3, true }, { "\x48\x8b\x1b", 3, true },
		{ "\x8b\x05\x10\0\0\0", 6, true }, { "\x67\x8b\x03", 3, true },
		{ "\x8b\x04\x25\0\x10\0\0", 7, true },
		{ "\xc6\x03\xfe", 3, true }, { "\x66\xc7\x03\xfe\xff", 5, true },
		{ "\xc7\x03\xfe\xff\xff\xff", 6, true }, { "\x48\xc7\x03\xfe\xff\xff\xff", 7, true },
		{ "\x0f\xb6\x03", 3, true }, { "\x66\x0f\xb6\x0b", 4, true },
		{ "\x0f\xb7\x03", 3, true }, { "\x48\x0f\xb7\x1b", 4, true },
		{ "\x0f\xc3\x03", 3, true },
		{ "\x89\xc3", 2, false }, { "\x64\x89\x03", 3, false }, { "\x65\x8b\x03", 3, false },
		{ "\x01\x03", 2, false }, { "\x87\x03", 2, false }, { "\x0f\xbe\x03", 3, false },
		{ "\xa1\0\x10\0\0\0\0\0\0", 9, false }, { "\xa4", 1, false }, { "\xff\x33", 2, false },
		{ "\x8c\x03", 2, false }, { "\x0f\x11\x03", 3, false },
	};
	static const u64 bases[] = { 0x1000, 0xfff, 0xfffffe0000000ULL, 0x7ffffffffffeULL, 0x800000000000ULL, ~0ULL };
	unsigned int i, r;

	for_each_row(row, moves) {
		for (i = 0; i < ARRAY_SIZE(bases); i++) {
			bool planned;

			set_up(&mode_long, row->bytes, row->len);
			for (r = 0; r < EMU_GPR_COUNT; r++)
				emu.regs[r] = 0x8182838485868788ULL + 0x1111111111111111ULL * r;
			emu.regs[EMU_RBX] = bases[i];
			emu.regs[EMU_RCX] &= 0xff;
			emu.rflags = 2 | RF;
			CHECK(move_agrees(&emu, 0xf1f2f3f4f5f6f7f8ULL, &planned));
			if (i == 0)
				CHECK_EQ(planned, row->planned);
		}
	}
	/* Elsewhere than in 64-bit code segments have bases and limits. */
	SET_UP(mode_prot, "\x89\x03");
	CHECK(!emu_move_plan(&emu.insn, &emu.mode, emu.regs, emu.rip, &(struct emu_move){ .size = 0 }));
}

int main(void)
{
	test_moves();
	test_string_io();
	test_locked();
	test_rep_events();
	test_modes();
	test_refusals();
	return test_done("effects");
}
