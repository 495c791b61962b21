/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The hardware task switch (80386 and 80286 TSS) as a state machine with the effects of emu.h.
 */
#ifndef KEEL_TASKSWITCH_H
#define KEEL_TASKSWITCH_H

#include "emu.h"

/* What started it, as the VT-x exit qualification numbers it. */
enum ts_reason {
	TS_CALL,
	TS_IRET,
	TS_JMP,
	TS_GATE,		/* exception or interrupt through a task gate */
};

/* What the CPU says of a task switch that it leaves to us. */
struct ts_request {
	u16 selector;		/* of the new TSS */
	u8 reason;		/* enum ts_reason */
	bool has_error;
	u32 error;		/* to be pushed onto the new task's stack */
};

/* The machine state a task switch reads and replaces. */
struct ts_state {
	u32 regs[8];		/* enum emu_gpr order */
	u32 eip;		/* in: what the old task resumes at; out: the new task's */
	u32 eflags;
	u64 cr0, cr3, dr7;
	struct emu_seg seg[EMU_SEG_COUNT];
	struct emu_seg ldtr, tr;
};

struct taskswitch {
	/* Set by the caller before ts_start(). */
	u8 reason;		/* enum ts_reason */
	u16 selector;		/* of the new TSS */
	bool check_dpl;		/* CALL or JMP straight to the TSS: CPL and RPL against its DPL */
	bool external;		/* an event not of the program's making: EXT in error codes */
	bool has_error;		/* push `error` on the new task's stack */
	u32 error;
	u8 cpl;			/* in: old task's; out: new task's */
	gva_t gdt_base;
	u16 gdt_limit;
	struct ts_state state;

	/*
	 * The effect asked for; all accesses but the push of the error code carry EMU_ACC_SYSTEM.
	 */
	struct emu_access acc;
	struct emu_fault fault;
	bool debug_trap;	/* with EMU_DONE: the new TSS's T bit asks for #DB with DR6.BT */

	/* Between steps; only taskswitch.c looks inside. */
	struct {
		u8 phase;
		u8 index;	/* block or segment at work */
		bool big;	/* the new TSS is a 386 one */
		struct emu_seg tr;
		u8 image[0x68];	/* the new TSS */
		u16 ldt;
		u32 esp;	/* once the error code is pushed */
		u8 desc[8];
	} run;
};

/* Begins the switch described by *ts, or begins it again. */
void ts_start(struct taskswitch *ts);

/*
 * Runs until the next effect or the end: EMU_READ, EMU_WRITE and EMU_PROBE are to be performed and
 * stepped on; a page fault in them drops the switch. EMU_AGAIN comes once, when the new task's
 * registers and CR3 are in ts->state and its segments are still absent: the caller makes that the
 * vCPU's state and steps on, and every access and fault from there on belongs to the new task,
 * whose state, as far as it could be loaded, is ts->state then too. EMU_FAULT: inject ts->fault,
 * before EMU_AGAIN into the old task, unchanged. EMU_DONE: ts->state is complete. State never
 * changes outside EMU_AGAIN and after it. One thread at a time; any context. Source: "Task
 * Management" chapters of both vendors' system programming manuals.
 */
enum emu_status ts_step(struct taskswitch *ts);

#endif /* KEEL_TASKSWITCH_H */
