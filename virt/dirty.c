// SPDX-License-Identifier: GPL-2.0-only
/*
 * The dirty log as a bitmap per slot: allocation, KVM_GET_DIRTY_LOG and KVM_CLEAR_DIRTY_LOG. Bits are set by
 * keel_dirty_mark(), from the fault path and from kernel writes to guest memory.
 *
 * Handing out: a word is taken with xchg, then the frames of its bits lose write permission, then
 * translations are flushed, all before the ioctl returns. A write through a translation that was
 * not flushed yet reaches memory before user space reads it, and its bit has been handed out. A
 * write fault between xchg and write protection finds the frame writable or sets the bit
 * anew: at worst a frame is reported twice.
 *
 * Hardware that logs by itself needs no write protection: "loses write permission" means then that the frame's dirty
 * flag is cleared, and a frame whose bit is clear is one whose dirty flag is.
 *
 * With KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 enabled, getting hands out a copy, and clearing, of the bits
 * that user space names, is what takes them and write permission, in the same order. A log may then
 * begin with all bits set; what holds is that a frame of a logged slot whose bit is clear is not
 * writable to the guest. With dirty rings the bitmap is theirs (dirty-ring.c), and these ioctls are refused.
 */
#include <keel/arch.h>
#include <keel/mem.h>
#include <keel/uapi.h>
#include <keel/vm.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/uaccess.h>

/* Words handed out under one hold of mmu_lock. */
#define LOG_BATCH 32

unsigned long *keel_dirty_alloc(u64 npages, bool all)
{
	u64 words = DIV_ROUND_UP_ULL(npages, BITS_PER_LONG);
	unsigned long *log = kvcalloc(words, sizeof(*log), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);

	if (log && all) {
		memset(log, 0xff, words * sizeof(*log));
		/* No bit stands for what is behind the slot's end. */
		if (npages % BITS_PER_LONG)
			log[words - 1] = BITMAP_LAST_WORD_MASK(npages);
	}
	return log;
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

/* Take write permission from the frames whose bits are set in @words, which stand at index @at. */
static void log_protect(struct keel_vm *vm, struct keel_slot *slot, u64 at, unsigned long *words,
			unsigned int nr, bool *flush)
{
	spin_lock(&vm->mmu_lock);
	log_wrprot(vm, gfn_add(slot->geo.base, at * BITS_PER_LONG), words, nr, flush);
	spin_unlock(&vm->mmu_lock);
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
	if (any)
		log_protect(vm, slot, at, words, nr, flush);
}

void keel_dirty_take(struct keel_vm *vm, struct keel_slot *slot, u64 at, unsigned long *words, unsigned int nr,
		     bool *flush)
{
	unsigned long any = 0;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (words[i])
			words[i] &= atomic_long_fetch_andnot(words[i], (atomic_long_t *)&slot->dirty[at + i]);
		any |= words[i];
	}
	if (any)
		log_protect(vm, slot, at, words, nr, flush);
}

/* User space did not get these bits: they stay for the next time. */
static void log_put_back(struct keel_slot *slot, u64 at, const unsigned long *words, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (words[i])
			atomic_long_or(words[i], (atomic_long_t *)&slot->dirty[at + i]);
}

/* Hand out a copy. */
static int log_peek(struct keel_slot *slot, unsigned long __user *to)
{
	u64 at, total = slotgeo_bitmap_bytes(&slot->geo) / sizeof(unsigned long);
	unsigned long words[LOG_BATCH];
	unsigned int nr, i;

	for (at = 0; at < total; at += nr) {
		nr = min_t(u64, total - at, LOG_BATCH);
		for (i = 0; i < nr; i++)
			words[i] = READ_ONCE(slot->dirty[at + i]);
		if (copy_to_user(to + at, words, nr * sizeof(*words)))
			return -EFAULT;
		cond_resched();
	}
	return 0;
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

/*
 * The logging slot numbered @id, with slots.lock held; or ERR_PTR: -ENXIO (there are dirty rings), -EINVAL (no
 * such number), -ENOENT (no slot, or it does not log), -EINTR, and the lock is not held.
 */
static struct keel_slot *log_lock(struct keel_vm *vm, u32 id)
{
	struct keel_slot *slot;

	if (READ_ONCE(vm->slots.ring))
		return ERR_PTR(-ENXIO);
	if (!keel_slot_number(id))
		return ERR_PTR(-EINVAL);
	if (mutex_lock_killable(&vm->slots.lock))
		return ERR_PTR(-EINTR);
	slot = keel_slot_by_id(vm, id);
	if (slot && slot->dirty)
		return slot;
	mutex_unlock(&vm->slots.lock);
	return ERR_PTR(-ENOENT);
}

int keel_dirty_get(struct keel_vm *vm, const struct kvm_dirty_log *log)
{
	struct keel_slot *slot = log_lock(vm, log->slot);
	int ret;

	if (IS_ERR(slot))
		return PTR_ERR(slot);
	keel_arch_log_sync(vm);
	ret = READ_ONCE(vm->slots.manual) ? log_peek(slot, log->dirty_bitmap) : log_get(vm, slot, log->dirty_bitmap);
	mutex_unlock(&vm->slots.lock);
	return ret;
}

static int log_clear(struct keel_vm *vm, struct keel_slot *slot, const struct kvm_clear_dirty_log *log)
{
	u64 first = log->first_page, pages = log->num_pages, at, total;
	const unsigned long __user *from = log->dirty_bitmap;
	unsigned long words[LOG_BATCH];
	bool flush = false;
	unsigned int nr;
	int ret = 0;

	if (first % BITS_PER_LONG || first > slot->geo.npages || pages > slot->geo.npages - first ||
	    (pages % BITS_PER_LONG && pages < slot->geo.npages - first))
		return -EINVAL;
	total = DIV_ROUND_UP_ULL(pages, BITS_PER_LONG);
	for (at = 0; at < total && !ret; at += nr) {
		nr = min_t(u64, total - at, LOG_BATCH);
		if (copy_from_user(words, from + at, nr * sizeof(*words)))
			ret = -EFAULT;
		else
			keel_dirty_take(vm, slot, first / BITS_PER_LONG + at, words, nr, &flush);
		cond_resched();
	}
	if (flush)
		keel_arch_flush(vm);
	return ret;
}

int keel_dirty_clear(struct keel_vm *vm, const struct kvm_clear_dirty_log *log)
{
	struct keel_slot *slot = log_lock(vm, log->slot);
	int ret;

	if (IS_ERR(slot))
		return PTR_ERR(slot);
	ret = log_clear(vm, slot, log);
	mutex_unlock(&vm->slots.lock);
	return ret;
}

int keel_dirty_manual(struct keel_vm *vm, const u64 *args)
{
	if (args[0] == KVM_DIRTY_LOG_INITIALLY_SET)
		return -EINVAL;
	WRITE_ONCE(vm->slots.manual, args[0]);
	return 0;
}
