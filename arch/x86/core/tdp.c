// SPDX-License-Identifier: GPL-2.0-only
/*
 * The nested page table of a VM: one radix tree (pure/radix.c) per address space, shared by its vCPUs.
 *
 * Owns the tree's life, the range operations that virt/ asks for, and the order "flush, then free" of table
 * pages. Does not own faults (tdp-fault.c), slots or notifiers (virt/). The range operations run
 * under mmu_lock in any task, perhaps under page-table locks: they sleep only when told they may.
 *
 * Translations are flushed before mmu_lock is released whenever something was removed: whoever
 * takes the lock next and finds a frame not mapped may rely on no CPU reaching it any more.
 */
#include "tdp.h"
#include <asm/keel_vendor.h>
#include <keel/arch.h>
#include <keel/mem.h>
#include <keel/vcpu.h>
#include <keel/vm.h>
#include <linux/gfp.h>
#include <linux/mem_encrypt.h>
#include <linux/pgtable.h>
#include <linux/sched.h>

/* Entries visited between two looks at whether somebody waits for the CPU or for mmu_lock. */
#define TDP_BATCH 1024

static void free_tables(struct radix_gather *g)
{
	struct radix_page *page = g->freed, *next;

	for (; page; page = next) {
		next = page->next;
		free_page((unsigned long)page);
	}
	g->freed = NULL;
	g->nr_freed = 0;
}

/*
 * AMD-V walks nested tables in the host's own paging mode, so the depth is not free to choose;
 * EPT with the same depth reaches as far.
 */
static unsigned int tdp_levels(void)
{
	return pgtable_l5_enabled() ? 5 : 4;
}

unsigned int keel_arch_gpa_bits(void)
{
	return min(12 + 9 * tdp_levels(), (unsigned int)boot_cpu_data.x86_phys_bits);
}

static void tree_init(struct radix_tree *tree, unsigned long root)
{
	radix_init(tree, keel_host_caps.pte_fmt, (void *)root, tdp_levels(), PAGE_OFFSET, sme_me_mask, 0);
}

int keel_tdp_init(struct keel_vm *vm)
{
	unsigned long root = get_zeroed_page(GFP_KERNEL_ACCOUNT);

	if (!root)
		return -ENOMEM;
	vm->arch.tdp.hw_log = READ_ONCE(keel_options) & KEEL_OPT_DIRTY_LOG;
	tree_init(&vm->arch.tdp.tree[0], root);
	return 0;
}

int keel_tdp_space_open(struct keel_vm *vm)
{
	unsigned long root;

	if (READ_ONCE(vm->arch.tdp.tree[1].root))
		return 0;
	root = get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!root)
		return -ENOMEM;
	spin_lock(&vm->mmu_lock);
	if (!vm->arch.tdp.tree[1].root) {
		tree_init(&vm->arch.tdp.tree[1], root);
		root = 0;
	}
	spin_unlock(&vm->mmu_lock);
	free_page(root);
	return 0;
}

static void tree_free(struct radix_tree *tree)
{
	struct radix_gather g;
	gfn_t next = to_gfn(0);
	bool more;

	if (!tree->root)
		return;
	radix_gather_init(&g, NULL, 0);
	do {
		more = radix_destroy(tree, &next, TDP_BATCH, &g);
		free_tables(&g);
		cond_resched();
	} while (more);
}

void keel_tdp_free(struct keel_vm *vm)
{
	unsigned int space;

	for (space = 0; space < KEEL_NR_SPACES; space++)
		tree_free(&vm->arch.tdp.tree[space]);
}

u64 keel_tdp_root(const struct keel_vm *vm, unsigned int space)
{
	return radix_root_pa(&vm->arch.tdp.tree[space]);
}

/* The tree that frames [@start, @end) of one address space are in, and their numbers there. NULL: nothing is mapped. */
static struct radix_tree *tree_range(struct keel_vm *vm, gfn_t start, gfn_t end, struct radix_range *range)
{
	u64 base = gfn_raw(start) & ~(BIT64(KEEL_SPACE_SHIFT) - 1);
	struct radix_tree *tree = &vm->arch.tdp.tree[base >> KEEL_SPACE_SHIFT];

	range->next = to_gfn(gfn_raw(start) - base);
	range->end = to_gfn(gfn_raw(end) - base);
	return tree->root ? tree : NULL;
}

void keel_tdp_settle(struct keel_vm *vm, struct radix_gather *g)
{
	lockdep_assert_held(&vm->mmu_lock);
	if (g->flush || g->freed)
		keel_arch_flush(vm);
	g->flush = false;
	free_tables(g);
}

void keel_arch_zap(struct keel_vm *vm, gfn_t start, gfn_t end, bool resched, bool *flush)
{
	struct radix_range range;
	struct radix_tree *tree = tree_range(vm, start, end, &range);
	struct radix_gather g;

	lockdep_assert_held(&vm->mmu_lock);
	if (!tree)
		return;
	radix_gather_init(&g, NULL, 0);
	/* A flush the caller still owes is due as well before the lock is dropped. */
	g.flush = *flush;
	while (radix_unmap(tree, &range, TDP_BATCH, &g)) {
		if (!resched || !(need_resched() || spin_needbreak(&vm->mmu_lock)))
			continue;
		keel_tdp_settle(vm, &g);
		cond_resched_lock(&vm->mmu_lock);
	}
	if (g.freed)
		keel_tdp_settle(vm, &g);
	*flush = g.flush;
}

void keel_arch_zap_all(struct keel_vm *vm)
{
	u64 frames = 1ULL << (keel_arch_gpa_bits() - PAGE_SHIFT), first;
	unsigned int space;
	bool flush = false;

	spin_lock(&vm->mmu_lock);
	for (space = 0; space < KEEL_NR_SPACES; space++) {
		first = (u64)space << KEEL_SPACE_SHIFT;
		keel_arch_zap(vm, to_gfn(first), to_gfn(first + frames), true, &flush);
	}
	if (flush)
		keel_arch_flush(vm);
	spin_unlock(&vm->mmu_lock);
}

void keel_arch_wrprot(struct keel_vm *vm, gfn_t start, gfn_t end, bool *flush)
{
	struct radix_range range;
	struct radix_tree *tree = tree_range(vm, start, end, &range);
	u64 nr = 0;

	lockdep_assert_held(&vm->mmu_lock);
	if (!tree)
		return;
	if (vm->arch.tdp.hw_log)
		while (radix_log_again(tree, &range, TDP_BATCH, &nr))
			;
	else
		while (radix_write_protect(tree, &range, TDP_BATCH, &nr))
			;
	*flush |= nr > 0;
}

void keel_arch_logging(struct keel_vm *vm)
{
	lockdep_assert_held(&vm->mmu_lock);
	if (vm->arch.tdp.hw_log)
		keel_vm_request_all(vm, KEEL_REQ_LOGGING);
}

/* Each exit hands out what the CPU has logged: all that is needed is one. */
void keel_arch_log_sync(struct keel_vm *vm)
{
	if (vm->arch.tdp.hw_log)
		keel_vm_request_all(vm, 0);
}

void keel_tdp_written(struct keel_vcpu *vcpu, gfn_t gfn)
{
	struct keel_slot *slot;

	gfn = gpa_gfn(keel_vcpu_gpa(vcpu, gfn_gpa(gfn)));
	rcu_read_lock_sched();
	slot = keel_slot_find(vcpu->vm, gfn);
	if (slot)
		keel_dirty_mark(slot, gfn);
	rcu_read_unlock_sched();
}

bool keel_arch_age(struct keel_vm *vm, gfn_t start, gfn_t end, bool clear)
{
	struct radix_range range;
	struct radix_tree *tree = tree_range(vm, start, end, &range);
	bool more = tree;
	u64 nr = 0;

	lockdep_assert_held(&vm->mmu_lock);
	while (more && (clear || !nr))
		more = clear ? radix_clear_accessed(tree, &range, TDP_BATCH, &nr) :
			       radix_test_accessed(tree, &range, TDP_BATCH, &nr);
	return nr > 0;
}

void keel_arch_flush(struct keel_vm *vm)
{
	atomic64_inc(&vm->stat[KEEL_VM_STAT_FLUSH_REQUEST]);
	if (keel_vm_request_all(vm, KEEL_REQ_TLB_FLUSH))
		atomic64_inc(&vm->stat[KEEL_VM_STAT_FLUSH]);
}
