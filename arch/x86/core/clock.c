// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_GET_CLOCK and KVM_SET_CLOCK: the VM's nanosecond clock, the host's boot-time clock plus an
 * offset. Contexts: task, vm->lock. Source: KVM API, KVM_GET_CLOCK.
 */
#include "core.h"
#include <asm/tsc.h>
#include <linux/irqflags.h>
#include <linux/timekeeping.h>

long keel_clock_get(struct keel_call *call)
{
	struct kvm_clock_data *out = call->arg;
	unsigned long flags;

	/* One instant, as nearly as can be. */
	local_irq_save(flags);
	out->host_tsc = rdtsc_ordered();
	out->realtime = ktime_get_real_ns();
	out->clock = ktime_get_boottime_ns() + call->vm->arch.clock_offset;
	local_irq_restore(flags);
	out->flags = KVM_CLOCK_REALTIME;
	if (!check_tsc_unstable())
		out->flags |= KVM_CLOCK_TSC_STABLE | KVM_CLOCK_HOST_TSC;
	return 0;
}

long keel_clock_set(struct keel_call *call)
{
	const struct kvm_clock_data *in = call->arg;
	u64 clock = in->clock;

	if (in->flags & ~(u64)KVM_CLOCK_REALTIME)
		return -EINVAL;
	if (in->flags & KVM_CLOCK_REALTIME) {
		u64 real = ktime_get_real_ns();

		/* Time that passed while the VM was saved counts; a clock set back does not. */
		if (real > in->realtime)
			clock += real - in->realtime;
	}
	call->vm->arch.clock_offset = clock - ktime_get_boottime_ns();
	return 0;
}
