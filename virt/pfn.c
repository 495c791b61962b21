// SPDX-License-Identifier: GPL-2.0-only
/*
 * From a guest frame to the host page that backs it, through the VM process's page tables.
 *
 * Owns the lookup, the size at which the host maps a page, and the references held until the
 * nested mapping stands. Does not own the decision to map (arch core) nor what makes a lookup stale
 * (notifier.c). Runs in the vCPU's thread, where current->mm is the VM's.
 *
 * No page is pinned: a reference lives from lookup to keel_pfn_put(). After that the MMU notifier
 * protects the mapping. Pages of VM_IO and VM_PFNMAP areas are never referenced at all.
 *
 * Dirty pages. The host makes a page clean only after it unmapped or write-protected it in the
 * process's tables, between invalidate_range_start and _end, which takes the nested mapping
 * away as well. So it is enough to mark a page when a mapping that the guest may write is made;
 * and it is safe without the page lock when done under mmu_lock with keel_notify_retry() false:
 * the page is then still mapped writable by the process, as when the host itself marks pages
 * under a page-table lock while it unmaps them.
 */
#include <keel/mem.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/swap.h>

/*
 * The level at which the process maps @hva now, 0 when it does not. A hint unless no invalidation
 * happens until it is used. IRQs off keep the host from freeing the tables under us.
 */
static unsigned int host_level(u64 hva)
{
	pgd_t *pgdp = pgd_offset(current->mm, hva), pgd;
	p4d_t *p4dp, p4d;
	pud_t *pudp, pud;
	pmd_t *pmdp, pmd;
	unsigned int level = 0;
	unsigned long flags;

	local_irq_save(flags);
	pgd = READ_ONCE(*pgdp);
	if (pgd_none(pgd))
		goto out;
	p4dp = p4d_offset_lockless(pgdp, pgd, hva);
	p4d = READ_ONCE(*p4dp);
	if (p4d_none(p4d) || !p4d_present(p4d))
		goto out;
	pudp = pud_offset_lockless(p4dp, p4d, hva);
	pud = READ_ONCE(*pudp);
	if (pud_none(pud) || !pud_present(pud))
		goto out;
	if (pud_leaf(pud)) {
		level = 3;
		goto out;
	}
	pmdp = pmd_offset_lockless(pudp, pud, hva);
	pmd = READ_ONCE(*pmdp);
	if (pmd_none(pmd) || !pmd_present(pmd))
		goto out;
	level = pmd_leaf(pmd) ? 2 : 1;
out:
	local_irq_restore(flags);
	return level;
}

/* Frames from @gfn on that one fault may fill: to the next multiple of KEEL_AROUND_MAX, in the slot. */
static unsigned int around(const struct slot_geo *geo, gfn_t gfn)
{
	u64 window = KEEL_AROUND_MAX - gfn_raw(gfn) % KEEL_AROUND_MAX;

	return min(window, geo->npages - slotgeo_index(geo, gfn));
}

/* Pages already present in the process's tables, with the rights asked for. Return: how many. */
static unsigned int get_fast(u64 hva, unsigned int nr, bool write, struct keel_pfn *out)
{
	int got = get_user_pages_fast_only(hva, nr, write ? FOLL_WRITE : 0, out->page);
	int i;

	if (got <= 0)
		return 0;
	for (i = 0; i < got; i++)
		out->pfn[i] = page_to_pfn(out->page[i]);
	out->nr = got;
	out->writable = write;
	return got;
}

static bool pfn_is_device(unsigned long pfn)
{
	return !pfn_valid(pfn) || PageReserved(pfn_to_page(pfn));
}

/* The page-table entry of @hva. mmap_lock is held. Return: 0 or an errno when there is none. */
static int read_pte(u64 hva, pte_t *pte)
{
	spinlock_t *ptl;
	pte_t *ptep;
	int ret = follow_pte(current->mm, hva, &ptep, &ptl);

	if (ret)
		return ret;
	/* For sparse: follow_pte() returns with the lock held but does not say so. */
	__acquire(ptl);
	*pte = *ptep;
	pte_unmap_unlock(ptep, ptl);
	return 0;
}

/* A VM_IO or VM_PFNMAP area: a frame without a reference. mmap_lock is held. */
static int get_raw_locked(u64 hva, bool write, struct keel_pfn *out)
{
	struct vm_area_struct *vma = vma_lookup(current->mm, hva);
	bool unlocked = false;
	pte_t pte;
	int ret;

	if (!vma || !(vma->vm_flags & (VM_IO | VM_PFNMAP)))
		return -EFAULT;
	if (!(vma->vm_flags & (write ? VM_WRITE : VM_READ)))
		return -EFAULT;
	if (read_pte(hva, &pte) || (write && !pte_write(pte))) {
		ret = fixup_user_fault(current->mm, hva, write ? FAULT_FLAG_WRITE : 0, &unlocked);
		if (ret)
			return ret == -EHWPOISON || ret == -EINTR ? ret : -EFAULT;
		/* The area may have changed while mmap_lock was dropped. */
		if (unlocked)
			return -EAGAIN;
		if (read_pte(hva, &pte) || (write && !pte_write(pte)))
			return -EFAULT;
	}
	out->pfn[0] = pte_pfn(pte);
	out->page[0] = NULL;
	out->nr = 1;
	out->writable = pte_write(pte);
	out->device = pfn_is_device(out->pfn[0]);
	return 0;
}

/* Fault the page in. May sleep. */
static int get_slow(u64 hva, unsigned int how, struct keel_pfn *out)
{
	bool write = how & KEEL_PFN_WRITE;
	unsigned int flags = FOLL_HWPOISON | (write ? FOLL_WRITE : 0) | (how & KEEL_PFN_NOWAIT ? FOLL_NOWAIT : 0);
	long got = get_user_pages_unlocked(hva, 1, out->page, flags);
	int ret;

	if (got == 1) {
		out->pfn[0] = page_to_pfn(out->page[0]);
		out->nr = 1;
		out->writable = write;
		return 0;
	}
	if (got == -EHWPOISON || got == -EINTR)
		return got;
	if (how & KEEL_PFN_NOWAIT && (!got || got == -EAGAIN || got == -EBUSY))
		return -EBUSY;
	if (fatal_signal_pending(current) || mmap_read_lock_killable(current->mm))
		return -EINTR;
	ret = get_raw_locked(hva, write, out);
	mmap_read_unlock(current->mm);
	return ret;
}

int keel_pfn_get(const struct slot_geo *geo, gfn_t gfn, unsigned int how, struct keel_pfn *out)
{
	bool write = how & KEEL_PFN_WRITE;
	unsigned int max = geo->flags & SLOTGEO_LOG_DIRTY ? 1 : slotgeo_max_level(geo, gfn);
	unsigned int level = max > 1 ? host_level(slotgeo_hva(geo, gfn)) : 1;
	unsigned int nr = level > 1 ? 1 : around(geo, gfn);
	bool writable = !(geo->flags & SLOTGEO_READONLY);
	u64 hva = slotgeo_hva(geo, gfn);
	int ret;

	out->level = 1;
	out->device = false;
	/* A read asks for a writable mapping too, as long as that costs the host nothing. */
	if (!level || (!(writable && get_fast(hva, nr, true, out)) &&
		       (write || !get_fast(hva, nr, false, out)))) {
		ret = get_slow(hva, how, out);
		if (ret)
			return ret;
	}
	/*
	 * Only now, with the page present, does the level mean this page: present entries change
	 * by invalidation only, and the caller checks that there was none.
	 */
	if (max > 1 && level != 1 && out->page[0])
		out->level = clamp(host_level(hva), 1U, max);
	return 0;
}

void keel_pfn_dirty(const struct keel_pfn *pfn, unsigned int nr)
{
	unsigned int i;

	for (i = 0; pfn->writable && i < nr; i++)
		if (pfn->page[i] && !PageDirty(pfn->page[i]))
			set_page_dirty(pfn->page[i]);
}

void keel_pfn_put(struct keel_pfn *pfn, bool mapped)
{
	struct page *page = pfn->page[0];
	unsigned int i;

	/* The nested accessed bits report later accesses: once is enough here. */
	if (mapped && page && !PageReserved(page) && !PageReferenced(page))
		mark_page_accessed(page);
	for (i = 0; i < pfn->nr; i++)
		if (pfn->page[i])
			put_page(pfn->page[i]);
}
