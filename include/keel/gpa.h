/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Accesses to guest memory in a row, under one hold of slots.access, with the rules of keel_gpa_read()
 * in mem.h. Between begin and end the task neither returns to user space nor takes slots.lock.
 *
 * The read of a word is here, inline: a walk of the guest's tables is a row of them. The rest is in gpa.c.
 */
#ifndef KEEL_GPA_H
#define KEEL_GPA_H

#include <keel/mem.h>
#include <keel/vm.h>
#include <linux/nospec.h>
#include <linux/uaccess.h>

struct keel_gpa_series {
	struct keel_vm *vm;
	struct keel_slot *slot;		/* of the last access, or NULL; stays valid until the end */
	u64 base, bytes, hva;		/* its range of guest addresses, and of user addresses; 0 bytes without */
};

/* A new one has .vm and nothing else. Return: 0, or -EINTR when the task is being killed: then there is nothing to end. */
static inline int keel_gpa_begin(struct keel_gpa_series *series)
{
	might_fault();
	/* Behind a change of slots that itself waits for somebody's page. */
	return down_read_killable(&series->vm->slots.access);
}

static inline void keel_gpa_end(struct keel_gpa_series *series)
{
	up_read(&series->vm->slots.access);
}

int keel_gpa_series_read(struct keel_gpa_series *series, gpa_t gpa, void *to, unsigned int bytes);
int keel_gpa_series_write(struct keel_gpa_series *series, gpa_t gpa, const void *from, unsigned int bytes);
int keel_gpa_series_cmpxchg(struct keel_gpa_series *series, gpa_t gpa, u64 *old, u64 new,
			    unsigned int bytes);

/* Make the slot that holds @gpa the series' own. Return: whether there is one. */
static __always_inline bool keel_gpa_series_slot(struct keel_gpa_series *series, gpa_t gpa)
{
	struct keel_slot *slot = keel_slot_find(series->vm, gpa_gfn(gpa));

	series->slot = slot;
	series->bytes = 0;
	if (!slot)
		return false;
	series->base = gpa_raw(gfn_gpa(slot->geo.base));
	series->bytes = slot->geo.npages << KEEL_PAGE_SHIFT;
	series->hva = slot->geo.hva;
	return true;
}

/*
 * The user address of @gpa, which lies in the series' slot, whose range passed access limits when it was set. The
 * guest chooses @gpa: also when the CPU speculates past the check, the address stays in it.
 */
static __always_inline void __user *keel_gpa_series_ptr(const struct keel_gpa_series *series, gpa_t gpa)
{
	u64 bytes = series->bytes;

	return (void __user *)(series->hva + array_index_nospec(gpa_raw(gpa) - series->base, bytes));
}

/*
 * Two words of 8 bytes, the second @apart bytes behind the first, all in one page.
 * Return: 0; -EFAULT, and the words are undefined.
 */
static __always_inline int keel_gpa_series_words(struct keel_gpa_series *series, gpa_t gpa, u64 *first,
						 unsigned int apart, u64 *second)
{
	void __user *ptr;

	if (unlikely(gpa_raw(gpa) - series->base >= series->bytes) && !keel_gpa_series_slot(series, gpa))
		return -EFAULT;
	ptr = keel_gpa_series_ptr(series, gpa);
	__uaccess_begin_nospec();
	unsafe_get_user(*first, (u64 __user *)ptr, fault);
	if (apart)
		unsafe_get_user(*second, (u64 __user *)(ptr + apart), fault);
	__uaccess_end();
	return 0;
fault:
	__uaccess_end();
	return -EFAULT;
}

/* One word of 8 bytes that lie in one page. Return: as above. */
static __always_inline int keel_gpa_series_word(struct keel_gpa_series *series, gpa_t gpa, u64 *value)
{
	return keel_gpa_series_words(series, gpa, value, 0, NULL);
}

#endif /* KEEL_GPA_H */
