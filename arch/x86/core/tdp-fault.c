// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nested page faults: look the frame up, find its host page, install it.
 *
 * Owns the fault path and each vCPU's stock of table pages. Does not own the look-ups (virt/slots.c,
 * virt/pfn.c) nor the table (tdp.c, pure/radix.c). Runs in the vCPU's thread, may sleep, and holds
 * mmu_lock only to install. Source: "Nested Paging" (AMD64 APM volume 2), "The Extended Page
 * Table Mechanism" (Intel SDM volume 3).
 *
 * Order, and why each step is where it is:
 *  1. generation (acquire), 2. slot, under RCU, its geometry copied: a change of slots publishes
 *     the new set first and raises generation after, both under mmu_lock. If generation is
 *     still the same when we hold mmu_lock, no slot object was unpublished since step 1, so the
 *     slot found is still published, stays so while we hold the lock, and may be touched.
 *  3. notifier sequence, 4. host page, with a reference: see virt/notifier.c for why the check in
 *     step 6 makes the page current. The whole range that gets mapped is checked: a large leaf
 *     covers host addresses beside the one that faulted, and so do the neighbours.
 *  5. table pages are allocated, because step 6 cannot.
 *  6. mmu_lock: both checks; mark dirty (page and log); install; flush and free if something was
 *     replaced. Until the lock is dropped, invalidations and slot changes wait; after that
 *     they find the leaf.
 *  7. the references go: from now on the notifier alone keeps leaf and page together.
 *
 * Write access to a leaf that has lost it to the dirty log alone is given back without steps 3 to
 * 5 (fast_write()). The leaf carries RADIX_HOST_WRITE: the host's mapping was writable when it was
 * installed. That is still so while the leaf is present and mmu_lock is held, because the host takes
 * write permission away only after invalidate_range_start returned, which removes the leaf under
 * mmu_lock; an invalidation that has only begun will remove it after us. The page was marked dirty
 * when the leaf was installed, whether or not it had RADIX_W.
 *
 * A failed check starts over a few times, then the guest is entered to fault again, so that
 * signals and other work get their turn: no loop depends on what the host or user space does.
 */
#include "core.h"
#include "tdp.h"
#include <asm/keel_vendor.h>
#include <keel/arch.h>
#include <keel/exit.h>
#include <keel/ioctl.h>
#include <keel/mem.h>
#include <keel/uapi.h>
#include <keel/vcpu.h>
#include <keel/vm.h>
#include <linux/gfp.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

#define TDP_TRIES 4

/* A fault under way. */
struct tdp_fault {
	struct keel_slot *slot;		/* to be touched only once generation was checked under mmu_lock */
	struct slot_geo geo;		/* of it */
	gfn_t gfn;
	u64 generation;
	u64 seq;
	u64 pat;			/* RADIX_IGNORE_PAT or 0 */
	bool write;
	bool exec;
	bool nowait;			/* the guest has something else to do than to wait for the host */
	struct keel_pfn *host;		/* steps 4 to 7 */
};

/* The tree that a frame is in, and its number there. */
static struct radix_tree *tree_of(struct keel_vm *vm, gfn_t *gfn)
{
	u64 raw = gfn_raw(*gfn);

	*gfn = to_gfn(raw & (BIT64(KEEL_SPACE_SHIFT) - 1));
	return &vm->arch.tdp.tree[raw >> KEEL_SPACE_SHIFT];
}

static int cache_fill(struct radix_cache *cache)
{
	void *page;

	while (cache->nr < RADIX_CACHE_PAGES) {
		page = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
		if (!page)
			return -ENOMEM;
		cache->page[cache->nr++] = page;
	}
	return 0;
}

void keel_tdp_cache_free(struct keel_vcpu *vcpu)
{
	struct radix_cache *cache = &vcpu->arch.cache.pages;

	while (cache->nr)
		free_page((unsigned long)cache->page[--cache->nr]);
}

/* Give back write permission that only the dirty log took. Return: whether the guest can write now. */
static bool make_writable(struct keel_vm *vm, struct keel_slot *slot, u64 generation, gfn_t gfn)
{
	enum radix_result result = RADIX_INVAL;
	gfn_t at = gfn;
	struct radix_tree *tree = tree_of(vm, &at);

	lockdep_assert_held(&vm->mmu_lock);
	if (vm->slots.generation == generation)
		result = radix_make_writable(tree, at);
	if (result == RADIX_RELAXED)
		keel_dirty_mark(slot, gfn);
	return result == RADIX_RELAXED || result == RADIX_SAME;
}

static bool fast_write(struct keel_vm *vm, const struct tdp_fault *fault)
{
	bool done;

	spin_lock(&vm->mmu_lock);
	done = make_writable(vm, fault->slot, fault->generation, fault->gfn);
	spin_unlock(&vm->mmu_lock);
	return done;
}

/*
 * With IRQs off nobody may wait for mmu_lock: its holder may be waiting for this CPU to take a
 * flush interrupt. So it is only tried.
 */
bool keel_tdp_fault_fast(struct keel_vcpu *vcpu, gpa_t gpa)
{
	struct keel_vm *vm = vcpu->vm;
	gfn_t gfn = gpa_gfn(keel_vcpu_gpa(vcpu, gpa));
	struct keel_slot *slot;
	bool done = false;

	/* With PREEMPT_RT the lock may not be touched with IRQs off. */
	if (IS_ENABLED(CONFIG_PREEMPT_RT) || !READ_ONCE(vm->slots.logging) || !spin_trylock(&vm->mmu_lock))
		return false;
	/* Slots change under mmu_lock: what is found now stays. */
	rcu_read_lock_sched();
	slot = keel_slot_find(vm, gfn);
	if (slot && slot->dirty)
		done = make_writable(vm, slot, vm->slots.generation, gfn);
	rcu_read_unlock_sched();
	spin_unlock(&vm->mmu_lock);
	return done;
}

/* Does the answer of keel_pfn_get() still hold? Trims the neighbours when only they do not. */
static bool still_valid(struct keel_vm *vm, struct tdp_fault *fault, unsigned int *nr)
{
	u64 span = radix_span(fault->host->level);
	u64 hva = slotgeo_hva(&fault->geo, to_gfn(gfn_raw(fault->gfn) & ~(span - 1)));

	if (vm->slots.generation != fault->generation)
		return false;
	*nr = fault->host->nr;
	if (!keel_notify_retry(vm, fault->seq, hva, hva + (max_t(u64, span, *nr) << PAGE_SHIFT)))
		return true;
	if (*nr == 1)
		return false;
	*nr = 1;
	return !keel_notify_retry(vm, fault->seq, hva, hva + PAGE_SIZE);
}

/* The frames after the faulting one, where nothing is mapped yet. */
static void install_around(struct radix_tree *tree, struct radix_cache *cache,
			   const struct tdp_fault *fault, gfn_t gfn, unsigned int nr, bool logging)
{
	const struct keel_pfn *host = fault->host;
	u64 pa[KEEL_AROUND_MAX], ro = host->writable && !logging ? 0 : RADIX_RUN_RO;
	unsigned int i, made;

	for (i = 1; i < nr; i++)
		pa[i - 1] = host->pfn[i] << PAGE_SHIFT | ro;
	/* Best effort: what does not fit is left to its own fault. */
	radix_map_run(tree, gfn_add(gfn, 1), pa, nr - 1, RADIX_RWX, RADIX_WB,
		      (host->writable ? RADIX_HOST_WRITE : 0) | fault->pat, cache, &made);
}

static enum radix_result install_one(struct radix_tree *tree, struct radix_cache *cache,
				     const struct tdp_fault *fault, gfn_t gfn, unsigned int level,
				     unsigned int access, struct radix_gather *g)
{
	const struct keel_pfn *host = fault->host;
	u64 align = radix_span(level) - 1, flags = RADIX_ACCESSED;

	if (fault->write)
		flags |= RADIX_DIRTY;
	if (host->writable)
		flags |= RADIX_HOST_WRITE;
	if (!host->page[0])
		flags |= RADIX_SPECIAL;
	flags |= host->device ? RADIX_PLAIN : fault->pat;
	return radix_map(tree, to_gfn(gfn_raw(gfn) & ~align), level,
			 (host->pfn[0] & ~align) << PAGE_SHIFT, access,
			 host->device ? RADIX_UC : RADIX_WB, flags, cache, g);
}

/* mmu_lock is held and still_valid() said yes. Return: 0, -EAGAIN for more table pages, -EFAULT. */
static int install(struct keel_vcpu *vcpu, struct tdp_fault *fault, unsigned int nr)
{
	gfn_t gfn = fault->gfn;
	struct radix_tree *tree = tree_of(vcpu->vm, &gfn);
	struct radix_cache *cache = &vcpu->arch.cache.pages;
	bool logging = fault->geo.flags & SLOTGEO_LOG_DIRTY;
	unsigned int access = RADIX_R, level = fault->host->level;
	enum radix_result result;
	struct radix_gather g;

	if (fault->host->writable && (fault->write || !logging))
		access |= RADIX_W;
	/* Larger only as data: when the guest runs code there, it is split. */
	if (level <= keel_host_caps.max_exec_level)
		access |= RADIX_X;
	/* Caches keep memory coherent whatever the guest asks for, unless a device's DMA bypasses them. */
	fault->pat = keel_noncoherent(vcpu->vm) ? 0 : RADIX_IGNORE_PAT;
	radix_gather_init(&g, NULL, 0);
	keel_pfn_dirty(fault->host, nr);
	if (fault->write)
		keel_dirty_mark(fault->slot, fault->gfn);
	do {
		result = install_one(tree, cache, fault, gfn, level, access, &g);
		/* Tables of tables in the way: keep them and use the next smaller size. */
	} while (result == RADIX_DEEP && --level);
	if (nr > 1 && level == RADIX_LEVEL_4K && result < RADIX_NOMEM)
		install_around(tree, cache, fault, gfn, nr, logging);
	keel_tdp_settle(vcpu->vm, &g);
	if (result == RADIX_INVAL)
		/* A host frame beyond what the nested format can name. */
		return -EFAULT;
	return result == RADIX_NOMEM ? -EAGAIN : 0;
}

/* The slot behind the frame, if it allows the access. */
static bool find_slot(struct keel_vm *vm, struct tdp_fault *fault)
{
	/* Pairs with the release in slots_commit(): see step 1. */
	fault->generation = smp_load_acquire(&vm->slots.generation);
	rcu_read_lock_sched();
	fault->slot = keel_slot_find(vm, fault->gfn);
	if (fault->slot)
		fault->geo = fault->slot->geo;
	rcu_read_unlock_sched();
	return fault->slot && !(fault->write && (fault->geo.flags & SLOTGEO_READONLY));
}

/* Steps 3 to 7. Return: 0, -EAGAIN to start over, or a final errno. */
static noinline int map_host(struct keel_vcpu *vcpu, struct tdp_fault *fault)
{
	struct keel_vm *vm = vcpu->vm;
	struct keel_pfn host;
	unsigned int nr;
	int ret;

	fault->seq = keel_notify_begin(vm);
	ret = keel_pfn_get(&fault->geo, fault->gfn,
			   (fault->write ? KEEL_PFN_WRITE : 0) | (fault->nowait ? KEEL_PFN_NOWAIT : 0), &host);
	if (ret)
		return ret;
	host.level = min_t(unsigned int, host.level,
			   fault->exec ? keel_host_caps.max_exec_level : keel_host_caps.max_level);
	fault->host = &host;
	ret = cache_fill(&vcpu->arch.cache.pages);
	if (!ret) {
		spin_lock(&vm->mmu_lock);
		ret = still_valid(vm, fault, &nr) ? install(vcpu, fault, nr) : -EAGAIN;
		spin_unlock(&vm->mmu_lock);
	}
	keel_pfn_put(&host, !ret);
	if (!ret)
		keel_stat(vcpu, KEEL_STAT_PF_FIXED);
	return ret;
}

/* The page is lost to a memory error: tell the thread, as if it had touched the page itself. */
static void report_poison(const struct tdp_fault *fault)
{
	send_sig_mceerr(BUS_MCEERR_AR, (void __user *)slotgeo_hva(&fault->geo, fault->gfn),
			PAGE_SHIFT, current);
}

/* All steps, as often as something changed meanwhile. @gpa: with the address space. */
static noinline long map(struct keel_vcpu *vcpu, gpa_t gpa, u8 access)
{
	struct tdp_fault fault = {
		.gfn = gpa_gfn(gpa),
		.write = access & KEEL_ACCESS_WRITE,
		.exec = access & KEEL_ACCESS_EXEC,
		.nowait = keel_apf_possible(vcpu),
	};
	unsigned int tries;
	int ret;

	for (tries = 0; tries < TDP_TRIES; tries++) {
		if (!find_slot(vcpu->vm, &fault)) {
			keel_stat(vcpu, KEEL_STAT_PF_EMULATE);
			return KEEL_TDP_MMIO;
		}
		if (fault.write && fast_write(vcpu->vm, &fault))
			return KEEL_TDP_MAPPED;
		ret = map_host(vcpu, &fault);
		if (ret == -EHWPOISON) {
			report_poison(&fault);
			break;
		}
		if (ret == -EBUSY) {
			if (keel_apf_fault(vcpu, slotgeo_hva(&fault.geo, fault.gfn), fault.write))
				break;
			fault.nowait = false;
			continue;
		}
		if (ret != -EAGAIN)
			return ret ? ret : KEEL_TDP_MAPPED;
		if (signal_pending(current))
			break;
		cond_resched();
	}
	return KEEL_TDP_MAPPED;
}

/* Where there is no slot there is a device, and nothing to set up for. Only the answer's existence counts here. */
long keel_tdp_fault(struct keel_vcpu *vcpu, gpa_t gpa, u8 access)
{
	gpa = keel_vcpu_gpa(vcpu, gpa);
	if (!keel_slot_find(vcpu->vm, gpa_gfn(gpa))) {
		keel_stat(vcpu, KEEL_STAT_PF_EMULATE);
		return KEEL_TDP_MMIO;
	}
	return map(vcpu, gpa, access);
}

/* Is there a leaf at @gfn? Then *@pages: the frames it covers from there on. */
static bool already_mapped(struct keel_vm *vm, gfn_t gfn, u64 *pages)
{
	struct radix_tree *tree = tree_of(vm, &gfn);
	struct radix_hit hit = { };

	spin_lock(&vm->mmu_lock);
	if (tree->root)
		hit = radix_lookup(tree, gfn);
	spin_unlock(&vm->mmu_lock);
	if (!hit.present)
		return false;
	*pages = radix_span(hit.level) - (gfn_raw(gfn) & (radix_span(hit.level) - 1));
	return true;
}

/* Map @gfn as a read by the guest would. Return: 0, -ENOENT (no slot), -EINTR, or an errno of the look-up. */
static long prefault_one(struct keel_vcpu *vcpu, gfn_t gfn)
{
	struct tdp_fault fault = { .gfn = gfn };
	int ret;

	do {
		if (signal_pending(current))
			return -EINTR;
		if (!find_slot(vcpu->vm, &fault))
			return -ENOENT;
		ret = map_host(vcpu, &fault);
		cond_resched();
	} while (ret == -EAGAIN);
	return ret;
}

long keel_prefault(struct keel_call *call)
{
	struct kvm_pre_fault_memory *range = call->arg;
	u64 done = 0, pages;
	long ret = 0;

	if (range->flags || !range->size || (range->gpa | range->size) & ~PAGE_MASK ||
	    range->gpa + range->size <= range->gpa)
		return -EINVAL;
	while (done < range->size) {
		gfn_t gfn;

		/* No slot is there, and further up the numbers mean the other address space. */
		if ((range->gpa + done) >> keel_arch_gpa_bits()) {
			ret = -ENOENT;
			break;
		}
		gfn = gpa_gfn(keel_vcpu_gpa(call->vcpu, to_gpa(range->gpa + done)));
		if (!already_mapped(call->vm, gfn, &pages)) {
			ret = prefault_one(call->vcpu, gfn);
			if (ret)
				break;
			pages = 1;
		}
		done += min(pages << PAGE_SHIFT, range->size - done);
		if (signal_pending(current))
			break;
	}
	range->gpa += done;
	range->size -= done;
	return done ? 0 : ret ?: -EINTR;
}
