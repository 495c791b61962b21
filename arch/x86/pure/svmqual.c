// SPDX-License-Identifier: GPL-2.0-only
/*
 * Decoders of AMD-V's exit information words.
 *
 * Owns the layouts of EXITINFO1 and EXITINFO2; does not read a VMCB. Any context.
 * APM volume 2: "Nested Page Faults", "Decode Assists", "Task Switch Intercept".
 */
#include "svmqual.h"

bool svmqual_cr(u64 info1, u8 *gpr)
{
	*gpr = info1 & 0xf;
	return info1 & BIT64(63);
}

#define TASK_IRET	BIT64(36)
#define TASK_JMP	BIT64(38)
#define TASK_HAS_ERROR	BIT64(44)
#define INT_INFO_VALID	BIT64(31)

void svmqual_task(u64 info1, u64 info2, u64 int_info, struct ts_request *out)
{
	*out = (struct ts_request){
		.selector = info1,
		.reason = info2 & TASK_IRET ? TS_IRET :
			 info2 & TASK_JMP ? TS_JMP :
			 int_info & INT_INFO_VALID ? TS_GATE : TS_CALL,
		.has_error = info2 & TASK_HAS_ERROR,
		.error = info2,
	};
}
