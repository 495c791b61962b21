// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's time-stamp counter: offsets, and keeping vCPUs in step.
 *
 * Owns: arch.tsc_offset, arch.tsc_adjust, vm->arch.tsc. Does not own: arithmetic (pure/tsc.c), where
 * the hardware keeps the offset (vendor). Contexts: vCPU loaded.
 *
 * A VMM resets each vCPU's TSC by a write of its own, some time apart. Writes of the value another
 * vCPU would read now, to within a second, mean "the same": they take over its offset, so all vCPUs agree to
 * the cycle. Source: KVM API, "KVM_VCPU_TSC_OFFSET" and the TSC notes of KVM_SET_MSRS.
 */
#include "core.h"
#include <asm/tsc.h>
#include <linux/uaccess.h>
#include <pure/tsc.h>

void keel_tsc_vm_init(struct keel_vm *vm)
{
	raw_spin_lock_init(&vm->arch.tsc.lock);
}

void keel_tsc_match(struct keel_vm *vm)
{
	struct keel_vcpu *vcpu;
	bool first = true, same = true;
	unsigned long id, flags;
	u64 offset = 0;

	/* Whoever takes the lock last sees all offsets that were stored before it. */
	raw_spin_lock_irqsave(&vm->arch.tsc.lock, flags);
	xa_for_each(&vm->vcpus, id, vcpu) {
		if (first)
			offset = READ_ONCE(vcpu->arch.tsc_offset);
		first = false;
		same &= READ_ONCE(vcpu->arch.tsc_offset) == offset;
	}
	first = vm->arch.clock.matched != same;
	WRITE_ONCE(vm->arch.clock.matched, same);
	raw_spin_unlock_irqrestore(&vm->arch.tsc.lock, flags);
	if (first)
		keel_pv_clocks_due(vm);
}

/* What the paravirtual clock says depends on the offset, and on whether all vCPUs have the same. */
static void offset_set(struct keel_vcpu *vcpu, u64 offset)
{
	if (vcpu->arch.tsc_offset != offset) {
		WRITE_ONCE(vcpu->arch.tsc_offset, offset);
		keel_pv_clock_due(vcpu);
		keel_tsc_match(vcpu->vm);
	}
	keel_vendor->tsc_set(vcpu, offset, 0);
	keel_apic_tsc_moved(vcpu);
}

u64 keel_tsc_read(struct keel_vcpu *vcpu)
{
	return rdtsc() + vcpu->arch.tsc_offset;
}

static u64 offset_matched(struct keel_vm *vm, u64 value, u64 now)
{
	struct keel_vm_tsc *tsc = &vm->arch.tsc;
	u64 offset = value - now, second = (u64)tsc_khz * 1000;
	unsigned long flags;

	raw_spin_lock_irqsave(&tsc->lock, flags);
	if (tsc->any) {
		/* Where a TSC written then would stand now. */
		u64 expected = tsc->value + (now - tsc->host_tsc);
		s64 late = value - expected;

		if (value == tsc->value || (late < (s64)second && late > -(s64)second))
			offset = tsc->offset;
	}
	tsc->any = true;
	tsc->offset = offset;
	tsc->value = value;
	tsc->host_tsc = now;
	raw_spin_unlock_irqrestore(&tsc->lock, flags);
	return offset;
}

/* A guest's own write moves TSC_ADJUST by the same amount; a write by the VMM does not. */
void keel_tsc_write(struct keel_vcpu *vcpu, u64 value, enum msr_by by)
{
	u64 now = rdtsc();

	if (by == MSR_BY_HOST) {
		offset_set(vcpu, offset_matched(vcpu->vm, value, now));
		return;
	}
	vcpu->arch.tsc_adjust += value - now - vcpu->arch.tsc_offset;
	offset_set(vcpu, value - now);
}

void keel_tsc_adjust_write(struct keel_vcpu *vcpu, u64 value, enum msr_by by)
{
	if (by == MSR_BY_GUEST)
		offset_set(vcpu, vcpu->arch.tsc_offset + value - vcpu->arch.tsc_adjust);
	vcpu->arch.tsc_adjust = value;
}

/* As after a write of what that offset makes of now: later writes by user space are matched with it. */
static void offset_by_host(struct keel_vcpu *vcpu, u64 offset)
{
	struct keel_vm_tsc *tsc = &vcpu->vm->arch.tsc;
	u64 now = rdtsc();
	unsigned long flags;

	raw_spin_lock_irqsave(&tsc->lock, flags);
	tsc->any = true;
	tsc->offset = offset;
	tsc->value = now + offset;
	tsc->host_tsc = now;
	raw_spin_unlock_irqrestore(&tsc->lock, flags);
	offset_set(vcpu, offset);
}

static bool attr_known(const struct kvm_device_attr *attr)
{
	return attr->group == KVM_VCPU_TSC_CTRL && attr->attr == KVM_VCPU_TSC_OFFSET;
}

long keel_vcpu_attr_has(struct keel_call *call)
{
	return attr_known(call->arg) ? 0 : -ENXIO;
}

long keel_vcpu_attr_get(struct keel_call *call)
{
	const struct kvm_device_attr *attr = call->arg;

	if (!attr_known(attr))
		return -ENXIO;
	return put_user(call->vcpu->arch.tsc_offset, (u64 __user *)u64_to_user_ptr(attr->addr));
}

long keel_vcpu_attr_set(struct keel_call *call)
{
	const struct kvm_device_attr *attr = call->arg;
	u64 offset;

	if (!attr_known(attr))
		return -ENXIO;
	if (get_user(offset, (u64 __user *)u64_to_user_ptr(attr->addr)))
		return -EFAULT;
	offset_by_host(call->vcpu, offset);
	return 0;
}

long keel_tsc_khz_get(struct keel_call *call)
{
	return tsc_khz;
}

/* Without hardware scaling in use only the host's own rate can be had. */
long keel_tsc_khz_set(struct keel_call *call)
{
	if (call->value && !tsc_khz_close(call->value, tsc_khz, TSC_TOLERANCE_PPM))
		return -EINVAL;
	return 0;
}
