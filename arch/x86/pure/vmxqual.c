// SPDX-License-Identifier: GPL-2.0-only
/*
 * Decoders and encoders of VT-x's exit information and event words.
 *
 * Owns the layouts of exit qualifications, event words and capability MSRs; does not read a VMCS.
 * Any context. Intel SDM volume 3: "VM Exits" ("Recording VM-Exit Information"), "VM-Execution
 * Control Fields", "VMX Capability Reporting Facility".
 */
#include "vmxqual.h"

#define EPT_GLA_VALID	BIT64(7)	/* a linear address was being used */
#define EPT_FINAL	BIT64(8)	/* for the access itself, not for the walk before */

u8 vmxqual_ept(u64 qual)
{
	u8 access = qual & (VMXQUAL_READ | VMXQUAL_WRITE | VMXQUAL_EXEC);

	/* Without a linear address it is the load of PDPTEs. */
	if ((qual & (EPT_GLA_VALID | EPT_FINAL)) != (EPT_GLA_VALID | EPT_FINAL))
		access |= VMXQUAL_TABLE;
	return access;
}

void vmxqual_cr(u64 qual, struct vmxqual_cr *out)
{
	*out = (struct vmxqual_cr){
		.nr = qual & 0xf,
		.kind = qual >> 4 & 3,
		.gpr = qual >> 8 & 0xf,
		.msw = qual >> 16,
	};
}

void vmxqual_task(u64 qual, u32 vectoring, u32 error, struct ts_request *out)
{
	*out = (struct ts_request){
		.selector = qual,
		.reason = qual >> 30 & 3,
	};
	if (out->reason == TS_GATE && vectoring & VMXQUAL_EVENT_VALID &&
	    vectoring & VMXQUAL_EVENT_HAS_ERROR) {
		out->has_error = true;
		out->error = error;
	}
}

bool vmxqual_vectoring(u32 word, u32 error, struct event_vectoring *out)
{
	static const u8 kinds[8] = {
		[VMXQUAL_INTR] = EVENT_KIND_INTERRUPT,
		[VMXQUAL_NMI] = EVENT_KIND_NMI,
		[VMXQUAL_EXCEPTION] = EVENT_KIND_EXCEPTION,
		/* RIP still points at these instructions. */
		[VMXQUAL_SOFT_INT] = EVENT_KIND_SOFT_INTERRUPT,
		[VMXQUAL_INT1] = EVENT_KIND_SOFT_INTERRUPT,
		[VMXQUAL_SOFT_EXCEPTION] = EVENT_KIND_SOFT_INTERRUPT,
	};

	*out = (struct event_vectoring){ };
	if (!(word & VMXQUAL_EVENT_VALID))
		return false;
	out->kind = kinds[vmxqual_event_type(word)];
	out->vector = vmxqual_event_vector(word);
	out->has_error_code = word & VMXQUAL_EVENT_HAS_ERROR;
	out->error_code = out->has_error_code ? error : 0;
	return out->kind != EVENT_KIND_NONE;
}

#define ERROR_CODE_BITS 0x7fffu	/* others must be 0 */

u32 vmxqual_inject(const struct event_decision *ev, u32 errors, u32 *error)
{
	u32 word = VMXQUAL_EVENT_VALID | ev->vector;

	*error = 0;
	switch (ev->kind) {
	case EVENT_KIND_EXCEPTION:
		word |= VMXQUAL_EXCEPTION << 8;
		if (ev->has_error_code && ev->vector < 32 && errors >> ev->vector & 1) {
			word |= VMXQUAL_EVENT_HAS_ERROR;
			*error = ev->error_code & ERROR_CODE_BITS;
		}
		return word;
	case EVENT_KIND_NMI:
		return VMXQUAL_EVENT_VALID | VMXQUAL_NMI << 8 | EVENT_NMI;
	case EVENT_KIND_INTERRUPT:
		return word | VMXQUAL_INTR << 8;
	default:
		return 0;
	}
}

bool vmxqual_controls(u64 cap, u32 required, u32 optional, u32 refused, u32 *out)
{
	u32 must = cap, may = cap >> 32;

	*out = (required | (optional & may) | must) & may;
	return !(required & ~may) && !(must & refused);
}
