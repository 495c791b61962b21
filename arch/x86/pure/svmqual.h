/* SPDX-License-Identifier: GPL-2.0-only */
/* Decoders of AMD-V's exit information words. Pure; any context. */
#ifndef KEEL_PURE_SVMQUAL_H
#define KEEL_PURE_SVMQUAL_H

#include "taskswitch.h"

struct svmqual_io {
	u16 port;
	u8 size;		/* 1, 2, 4 */
	bool in;
	bool string;
	bool rep;
};

/* EXITINFO1 of an IOIO exit. False when it names no operand size. Source: APM volume 2, "IOIO Intercepts". */
static inline bool svmqual_io(u64 info1, struct svmqual_io *out)
{
	static const bool valid[8] = { [1] = true, [2] = true, [4] = true };
	unsigned int size = info1 >> 4 & 7;	/* three bits, one for each size */

	out->port = info1 >> 16;
	out->size = size;
	out->in = info1 & BIT64(0);
	out->string = info1 & BIT64(2);
	out->rep = info1 & BIT64(3);
	return valid[size];
}

/* Access bits of a nested page fault. */
#define SVMQUAL_READ	0x1
#define SVMQUAL_WRITE	0x2
#define SVMQUAL_EXEC	0x4
#define SVMQUAL_TABLE	0x8	/* of the guest's own page tables, by the CPU */

struct svmqual_npf {
	u8 access;		/* SVMQUAL_* */
	bool present;		/* a translation was there and forbade the access */
	bool reserved;		/* a reserved bit was set in the nested table */
};

/* EXITINFO1 of a nested page fault. Source: APM volume 2, "Nested Page Faults". */
static inline void svmqual_npf(u64 info1, struct svmqual_npf *out)
{
	out->access = info1 & BIT64(1) ? SVMQUAL_WRITE : info1 & BIT64(4) ? SVMQUAL_EXEC : SVMQUAL_READ;
	out->access |= info1 & BIT64(33) ? SVMQUAL_TABLE : 0;
	out->present = info1 & BIT64(0);
	out->reserved = info1 & BIT64(3);
}

/*
 * EXITINFO1 of an access to a control register, with decode assists. True: a MOV, and *gpr is its general register;
 * false: CLTS, LMSW or SMSW. Source: APM volume 2, "Decode Assists".
 */
bool svmqual_cr(u64 info1, u8 *gpr);

/* EXITINFO1, EXITINFO2 and EXITINTINFO of a task switch. Source: APM volume 2, "Task Switch Intercept". */
void svmqual_task(u64 info1, u64 info2, u64 int_info, struct ts_request *out);

#endif /* KEEL_PURE_SVMQUAL_H */
