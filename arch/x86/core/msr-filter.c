// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSRs that user space keeps from a guest or serves itself: the filter of a VM, and which failed accesses become
 * exits.
 *
 * Owns: vm->arch.msr_filter, arch.msr_filtered. Does not own: what a filter means (pure/msrfilter.c). A filter is
 * replaced without waiting for its readers; the vCPUs recompute what passes without an exit before they enter
 * again. Contexts: set: task, vm->lock; the questions: any. KVM API, "KVM_X86_SET_MSR_FILTER".
 */
#include "core.h"
#include <linux/slab.h>
#include <linux/uaccess.h>

struct keel_msr_filter {
	struct rcu_head rcu;
	struct msrf f;
	u8 bitmaps[];
};

static_assert(MSRF_READ == KVM_MSR_FILTER_READ && MSRF_WRITE == KVM_MSR_FILTER_WRITE &&
	      MSRF_RANGES == KVM_MSR_FILTER_MAX_RANGES && MSRF_BYTES == KVM_MSR_FILTER_MAX_BITMAP_SIZE);

unsigned int keel_msr_rights(struct keel_vcpu *vcpu, u32 index)
{
	const struct keel_msr_filter *filter;
	unsigned int rights = MSRF_READ | MSRF_WRITE;

	rcu_read_lock();
	filter = rcu_dereference(vcpu->vm->arch.msr_filter);
	if (filter)
		rights = msrf_rights(&filter->f, index);
	rcu_read_unlock();
	return rights;
}

void keel_msr_filter_changed(struct keel_vcpu *vcpu)
{
	vcpu->arch.msr_filtered = rcu_access_pointer(vcpu->vm->arch.msr_filter);
	vcpu->arch.controls_stale = true;
}

/* Bytes of all bitmaps, or -EINVAL. */
static long bitmaps_size(const struct kvm_msr_filter *in)
{
	unsigned int i;
	long size = 0;

	if (in->flags & ~KVM_MSR_FILTER_VALID_MASK)
		return -EINVAL;
	for (i = 0; i < MSRF_RANGES; i++) {
		const struct kvm_msr_filter_range *r = &in->ranges[i];
		u64 bytes = msrf_bitmap_bytes(r->nmsrs);

		if (!bytes)
			continue;
		if (bytes > MSRF_BYTES || !r->flags || r->flags & ~KVM_MSR_FILTER_RANGE_VALID_MASK)
			return -EINVAL;
		size += bytes;
	}
	/* No range is no filter; then nothing can be denied by default. */
	return !size && in->flags & KVM_MSR_FILTER_DEFAULT_DENY ? -EINVAL : size;
}

static struct keel_msr_filter *filter_new(const struct kvm_msr_filter *in, long size)
{
	struct keel_msr_filter *filter = kvzalloc(struct_size(filter, bitmaps, size), GFP_KERNEL_ACCOUNT);
	unsigned int i;
	u8 *at;

	if (!filter)
		return ERR_PTR(-ENOMEM);
	at = filter->bitmaps;
	filter->f.deny = in->flags & KVM_MSR_FILTER_DEFAULT_DENY;
	for (i = 0; i < MSRF_RANGES; i++) {
		const struct kvm_msr_filter_range *r = &in->ranges[i];
		u64 bytes = msrf_bitmap_bytes(r->nmsrs);

		if (!bytes)
			continue;
		if (copy_from_user(at, r->bitmap, bytes)) {
			kvfree(filter);
			return ERR_PTR(-EFAULT);
		}
		filter->f.range[filter->f.nr++] = (struct msrf_range){
			.base = r->base, .count = r->nmsrs, .rights = r->flags, .bitmap = at,
		};
		at += bytes;
	}
	return filter;
}

long keel_msr_filter_set(struct keel_call *call)
{
	struct keel_msr_filter *filter = NULL, *old;
	struct keel_vm *vm = call->vm;
	long size = bitmaps_size(call->arg);

	if (size < 0)
		return size;
	if (size)
		filter = filter_new(call->arg, size);
	if (IS_ERR(filter))
		return PTR_ERR(filter);
	old = rcu_replace_pointer(vm->arch.msr_filter, filter, lockdep_is_held(&vm->lock));
	keel_vm_request_all(vm, KEEL_REQ_MSR_FILTER);
	if (old)
		kvfree_rcu(old, rcu);
	return 0;
}

void keel_msr_filter_free(struct keel_vm *vm)
{
	kvfree(rcu_dereference_protected(vm->arch.msr_filter, true));
}

int keel_user_space_msr(struct keel_vm *vm, const u64 *args)
{
	WRITE_ONCE(vm->arch.user_space_msr, args[0]);
	return 0;
}
