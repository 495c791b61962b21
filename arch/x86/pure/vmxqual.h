/* SPDX-License-Identifier: GPL-2.0-only */
/* Decoders and encoders of VT-x's exit information and event words. Pure; any context. */
#ifndef KEEL_PURE_VMXQUAL_H
#define KEEL_PURE_VMXQUAL_H

#include "event.h"
#include "taskswitch.h"
#include "types.h"

struct vmxqual_io {
	u16 port;
	u8 size;		/* 1, 2, 4 */
	bool in;
	bool string;
	bool rep;
};

/*
 * Exit qualification of an I/O instruction. False when it names no operand size. SDM: "Exit
 * Qualification for I/O Instructions".
 */
static inline bool vmxqual_io(u64 qual, struct vmxqual_io *out)
{
	out->port = qual >> 16;
	out->size = (qual & 7) + 1;
	out->in = qual & BIT64(3);
	out->string = qual & BIT64(4);
	out->rep = qual & BIT64(5);
	return (BIT64(1) | BIT64(2) | BIT64(4)) >> out->size & 1;
}

/* Access bits of an EPT violation. */
#define VMXQUAL_READ	0x1
#define VMXQUAL_WRITE	0x2
#define VMXQUAL_EXEC	0x4
#define VMXQUAL_TABLE	0x8	/* of the guest's own page tables, by the CPU */

/*
 * What an EPT violation was after; with accessed and dirty flags in use the CPU's walk of the
 * guest's tables counts as writing them. SDM: "Exit Qualification for EPT Violations".
 */
u8 vmxqual_ept(u64 qual);

/*
 * Did the exit happen within an IRET that had ended the blocking of NMIs already? True: they are to
 * be blocked again, because the IRET runs again. The bit has the same place in the exit's event
 * word and in the qualification of an EPT violation; no such thing during delivery of an event.
 * SDM: "Information for VM Exits Due to Vectored Events".
 */
static inline bool vmxqual_iret(u64 word, u32 vectoring)
{
	return word & BIT64(12) && !(vectoring & BIT64(31));
}

enum vmxqual_cr_kind {
	VMXQUAL_CR_WRITE,	/* MOV to CR */
	VMXQUAL_CR_READ,
	VMXQUAL_CR_CLTS,
	VMXQUAL_CR_LMSW,
};

struct vmxqual_cr {
	u8 nr;
	u8 kind;		/* enum vmxqual_cr_kind */
	u8 gpr;			/* of a MOV */
	u16 msw;		/* LMSW's source */
};

/* SDM: "Exit Qualification for Control-Register Accesses". */
void vmxqual_cr(u64 qual, struct vmxqual_cr *out);

/*
 * SDM: "Exit Qualification for Task Switches"; an error code comes with the IDT-vectoring
 * information.
 */
void vmxqual_task(u64 qual, u32 vectoring, u32 error, struct ts_request *out);

/* The event words: IDT-vectoring, exit-interruption and VM-entry interruption information. */
#define VMXQUAL_EVENT_VALID	BIT64(31)
#define VMXQUAL_EVENT_HAS_ERROR	BIT64(11)

enum vmxqual_event_type {
	VMXQUAL_INTR = 0,
	VMXQUAL_NMI = 2,
	VMXQUAL_EXCEPTION = 3,
	VMXQUAL_SOFT_INT = 4,
	VMXQUAL_INT1 = 5,		/* "privileged software exception" */
	VMXQUAL_SOFT_EXCEPTION = 6,	/* INT3, INTO */
};

static inline u8 vmxqual_event_type(u32 word)
{
	return word >> 8 & 7;
}

static inline u8 vmxqual_event_vector(u32 word)
{
	return word & 0xff;
}

/* IDT-vectoring information as the common code takes it. False when no delivery was cut. */
bool vmxqual_vectoring(u32 word, u32 error, struct event_vectoring *out);

/*
 * VM-entry interruption information for @ev, and its error code to *error; 0 when @ev is nothing to
 * inject. @errors: vectors, one bit each, that take an error code in this CPU's eyes. SDM:
 * "VM-Entry Controls for Event Injection".
 */
u32 vmxqual_inject(const struct event_decision *ev, u32 errors, u32 *error);

#define VMXQUAL_ERRORS		0x00027d00u	/* #DF, #TS, #NP, #SS, #GP, #PF, #AC */
#define VMXQUAL_ERRORS_CET	0x00200000u	/* #CP, where any vector may have one */

/* Interruptibility state. */
#define VMXQUAL_BLOCK_STI	0x1u
#define VMXQUAL_BLOCK_MOV_SS	0x2u
#define VMXQUAL_BLOCK_NMI	0x8u

/*
 * The interruptibility state that an entry accepts for EVENT_SHADOW_* in @shadow: never both kinds,
 * and STI's only with RFLAGS.IF. @nmi_masked: NMIs are blocked. SDM: "Checks on Guest Non-Register
 * State".
 */
static inline u32 vmxqual_blocking(u8 shadow, bool rflags_if, bool nmi_masked)
{
	u32 state = nmi_masked ? VMXQUAL_BLOCK_NMI : 0;

	if (shadow & EVENT_SHADOW_MOV_SS)
		state |= VMXQUAL_BLOCK_MOV_SS;
	else if (shadow && rflags_if)
		state |= VMXQUAL_BLOCK_STI;
	return state;
}

static inline u8 vmxqual_shadow(u32 state)
{
	return (state & VMXQUAL_BLOCK_STI ? EVENT_SHADOW_STI : 0) |
	       (state & VMXQUAL_BLOCK_MOV_SS ? EVENT_SHADOW_MOV_SS : 0);
}

/*
 * The value of a control word: @required and as much of @optional as the capability MSR's value
 * @cap allows (low half: bits that must be 1; high half: bits that may be). False when a required
 * bit may not be set, or one that is neither required nor optional must be and is in @refused. SDM:
 * "VMX Capability Reporting Facility".
 */
bool vmxqual_controls(u64 cap, u32 required, u32 optional, u32 refused, u32 *out);

#endif /* KEEL_PURE_VMXQUAL_H */
