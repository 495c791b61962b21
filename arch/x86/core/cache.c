// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's caches, where a device's DMA may bypass them: what the guest writes back reaches memory, and its memory
 * types are its own.
 *
 * Owns: vm->arch.noncoherent and flush_cpus. Contexts: as noted in core.h.
 * Without such a device WBINVD does nothing and, with EPT, the guest's PAT has no say: DMA sees what the caches hold.
 * Source: SDM volume 3, "Memory Type Handling" (EPT); APM volume 2, "Nested Paging and Memory Types".
 */
#include "core.h"
#include <linux/cpumask.h>
#include <linux/slab.h>
#include <linux/smp.h>

int keel_arch_noncoherent(struct keel_vm *vm, bool on)
{
	lockdep_assert_held(&vm->lock);
	if (on && !vm->arch.flush_cpus) {
		vm->arch.flush_cpus = kzalloc(cpumask_size(), GFP_KERNEL_ACCOUNT);
		if (!vm->arch.flush_cpus)
			return -ENOMEM;
	}
	/* Where its vCPUs ran so far is not known. */
	if (on && vm->nr_vcpus)
		cpumask_copy(vm->arch.flush_cpus, cpu_online_mask);
	spin_lock(&vm->mmu_lock);
	/* Pairs with keel_cache_load(): the mask is there before anybody marks in it. */
	smp_store_release(&vm->arch.noncoherent, on);
	spin_unlock(&vm->mmu_lock);
	/* What is mapped has the other memory type. */
	keel_arch_zap_all(vm);
	return 0;
}

void keel_cache_free(struct keel_vm *vm)
{
	kfree(vm->arch.flush_cpus);
}

static void write_back(void *unused)
{
	wbinvd();
}

int keel_cache_flush(struct keel_vcpu *vcpu)
{
	if (smp_load_acquire(&vcpu->vm->arch.noncoherent))
		on_each_cpu_mask(vcpu->vm->arch.flush_cpus, write_back, NULL, true);
	return KEEL_SKIP;
}
