// SPDX-License-Identifier: GPL-2.0-only
/*
 * Decoders of AMD-V's exit information words.
 *
 * Owns the layouts of EXITINFO1 and EXITINFO2; does not read a VMCB. Any context.
 * APM volume 2: "IOIO Intercepts", "Nested Page Faults", "Decode Assists", "Task Switch Intercept".
 */
#include "svmqual.h"

#define IO_IN		BIT64(0)
#define IO_STRING	BIT64(2)
#define IO_REP		BIT64(3)
#define IO_SIZE_SHIFT	4	/* three bits: the size itself, 1, 2 or 4 */
#define IO_ADDR_SHIFT	7	/* three bits: half the size, 1, 2 or 4 */
#define IO_SEG_SHIFT	10
#define IO_PORT_SHIFT	16

/* One-hot field to number; anything else is 0. */
static const u8 one_hot[8] = { [1] = 1, [2] = 2, [4] = 4 };

bool svmqual_io(u64 info1, struct svmqual_io *out)
{
	*out = (struct svmqual_io){
		.port = info1 >> IO_PORT_SHIFT,
		.size = one_hot[info1 >> IO_SIZE_SHIFT & 7],
		.addr_size = one_hot[info1 >> IO_ADDR_SHIFT & 7] * 2,
		.seg = info1 >> IO_SEG_SHIFT & 7,
		.in = info1 & IO_IN,
		.string = info1 & IO_STRING,
		.rep = info1 & IO_REP,
	};
	return out->size;
}

#define NPF_PRESENT	BIT64(0)
#define NPF_WRITE	BIT64(1)
#define NPF_RESERVED	BIT64(3)
#define NPF_FETCH	BIT64(4)
#define NPF_TABLE	BIT64(33)

void svmqual_npf(u64 info1, struct svmqual_npf *out)
{
	u8 access = info1 & NPF_WRITE ? SVMQUAL_WRITE :
		    info1 & NPF_FETCH ? SVMQUAL_EXEC : SVMQUAL_READ;

	*out = (struct svmqual_npf){
		.access = access | (info1 & NPF_TABLE ? SVMQUAL_TABLE : 0),
		.present = info1 & NPF_PRESENT,
		.reserved = info1 & NPF_RESERVED,
	};
}

bool svmqual_cr(u64 info1, u8 *gpr)
{
	*gpr = info1 & 0xf;
	return info1 & BIT64(63);
}

u8 svmqual_dr(u64 info1)
{
	return info1 & 0xf;
}

#define TASK_IRET	BIT64(36)
#define TASK_JMP	BIT64(38)
#define TASK_HAS_ERROR	BIT64(44)
#define INT_INFO_VALID	BIT64(31)

void svmqual_task(u64 info1, u64 info2, u64 int_info, struct svmqual_task *out)
{
	*out = (struct svmqual_task){
		.selector = info1,
		.cause = info2 & TASK_IRET ? SVMQUAL_TASK_IRET :
			 info2 & TASK_JMP ? SVMQUAL_TASK_JMP :
			 int_info & INT_INFO_VALID ? SVMQUAL_TASK_GATE : SVMQUAL_TASK_CALL,
		.has_error = info2 & TASK_HAS_ERROR,
		.error_code = info2,
	};
}
