// SPDX-License-Identifier: GPL-2.0-only
/*
 * The dirty log as a bitmap per slot: allocation and KVM_GET_DIRTY_LOG. Bits are set by
 * keel_dirty_mark(), from the fault path and from kernel writes to guest memory.
 *
 * Handing out: a word is taken with xchg, then the frames of its bits lose write permission, then
 * translations are flushed, all before the ioctl returns. A write through a translation that was
 * not flushed yet reaches memory before user space reads it, and its bit has been handed out. A
 * write fault between xchg and write protection finds the frame writable or sets the bit
 * anew: at worst a frame is reported twice.
 */
#include <keel/arch.h>
#include <keel/mem.h>
#include <keel/uapi.h>
#include <keel/vm.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/uaccess.h>

/* Words handed out under one hold of mmu_lock. */
#define LOG_BATCH 32

unsigned long *keel_dirty_alloc(u64 npages)
{
	return kvcalloc(DIV_ROUND_UP_ULL(npages, BITS_PER_LONG), sizeof(unsigned long),
			GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
}

/* Write-protect the frames whose bits are set in @words, which starts at frame @base, run by run. */
static void log_wrprot(struct keel_vm *vm, gfn_t base, unsigned long *words, unsigned int nr,
		       bool *flush)
{
	unsigned long bits = nr * BITS_PER_LONG, start = 0, end;

	while ((start = find_next_bit(words, bits, start)) < bits) {
		end = find_next_zero_bit(words, bits, start);
		keel_arch_wrprot(vm, gfn_add(base, start), gfn_add(base, end), flush);
		start = end;
	}
}

/* Take @nr words at index @at, and write permission from their frames. */
static void log_take(struct keel_vm *vm, struct keel_slot *slot, u64 at, unsigned long *words,
		     unsigned int nr, bool *flush)
{
	unsigned long any = 0;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		words[i] = READ_ONCE(slot->dirty[at + i]);
		if (words[i])
			words[i] = xchg(&slot->dirty[at + i], 0);
		any |= words[i];
	}
	if (!any)
		return;
	spin_lock(&vm->mmu_lock);
	log_wrprot(vm, gfn_add(slot->geo.base, at * BITS_PER_LONG), words, nr, flush);
	spin_unlock(&vm->mmu_lock);
}

/* User space did not get these bits: they stay for the next time. */
static void log_put_back(struct keel_slot *slot, u64 at, const unsigned long *words, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (words[i])
			atomic_long_or(words[i], (atomic_long_t *)&slot->dirty[at + i]);
}

static int log_get(struct keel_vm *vm, struct keel_slot *slot, unsigned long __user *to)
{
	u64 at, total = slotgeo_bitmap_bytes(&slot->geo) / sizeof(unsigned long);
	unsigned long words[LOG_BATCH];
	bool flush = false;
	unsigned int nr;
	int ret = 0;

	for (at = 0; at < total && !ret; at += nr) {
		nr = min_t(u64, total - at, LOG_BATCH);
		log_take(vm, slot, at, words, nr, &flush);
		if (copy_to_user(to + at, words, nr * sizeof(*words))) {
			log_put_back(slot, at, words, nr);
			ret = -EFAULT;
		}
		cond_resched();
	}
	if (flush)
		keel_arch_flush(vm);
	return ret;
}

int keel_dirty_get(struct keel_vm *vm, const struct kvm_dirty_log *log)
{
	struct keel_slot *slot;
	int ret = -ENOENT;

	if (log->slot >= KEEL_MAX_SLOTS)
		return -EINVAL;
	if (mutex_lock_killable(&vm->slots.lock))
		return -EINTR;
	slot = keel_slot_by_id(vm, log->slot);
	if (slot && slot->dirty)
		ret = log_get(vm, slot, log->dirty_bitmap);
	mutex_unlock(&vm->slots.lock);
	return ret;
}
