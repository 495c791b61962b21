// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tracepoints' own code, which the host's macros make of trace.h, and the two of an entry and an exit.
 *
 * Owns: nothing else. Contexts: of the two functions IRQs off, around the guest.
 */
#include "core.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

void keel_trace_exit(struct keel_vcpu *vcpu)
{
	struct keel_exit_info info = { };

	keel_vendor->exit_info(vcpu, &info);
	trace_kvm_exit(vcpu->id, vcpu->arch.regs.rip, &info);
}
