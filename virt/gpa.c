// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's own reads and writes of guest memory, on behalf of a guest: page walks, emulated
 * instructions, paravirtual structures.
 *
 * Owns, with gpa.h, the one place where a guest-physical address becomes a user pointer. Every access goes
 * through the process's mapping with the ordinary user-access functions, so swapped, shared or
 * missing pages are the host's business, and no page is held. Runs in task context with
 * current->mm the VM's.
 *
 * slots.access is held for reading from the look-up to the end of the copy, and of the marking in
 * the log: an ioctl that takes a slot away waits for that, so nothing is written through a slot
 * after KVM_SET_USER_MEMORY_REGION returned. Data are stored before the log is marked.
 */
#include <asm/unaligned.h>
#include <keel/gpa.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/uaccess.h>

/* The slot behind @gpa that allows the access, now the series' own, or NULL. */
static struct keel_slot *slot_for(struct keel_gpa_series *series, gpa_t gpa, bool write)
{
	if (gpa_raw(gpa) - series->base >= series->bytes && !keel_gpa_series_slot(series, gpa))
		return NULL;
	if (write && (series->slot->geo.flags & SLOTGEO_READONLY))
		return NULL;
	return series->slot;
}

/* Bytes of the access that lie in the page of @gpa. */
static unsigned int in_page(gpa_t gpa, unsigned int bytes)
{
	return min_t(unsigned int, bytes, PAGE_SIZE - gpa_offset(gpa));
}

/* As many bytes as an instruction may have: two words that overlap in one byte. */
static unsigned long copy_in_15(void *to, const void __user *from)
{
	u64 low, high;

	if (__get_user(low, (const u64 __user *)from) || __get_user(high, (const u64 __user *)(from + 7)))
		return 15;
	put_unaligned(low, (u64 *)to);
	put_unaligned(high, (u64 *)(to + 7));
	return 0;
}

/* The sizes of guest words, without the general copy's set-up. Return: nonzero on a fault. */
static unsigned long copy_in(void *to, const void __user *from, unsigned int bytes)
{
	switch (bytes) {
	case 1:
		return __get_user(*(u8 *)to, (const u8 __user *)from);
	case 2:
		return __get_user(*(u16 *)to, (const u16 __user *)from);
	case 4:
		return __get_user(*(u32 *)to, (const u32 __user *)from);
	case 8:
		return __get_user(*(u64 *)to, (const u64 __user *)from);
	case 15:
		return copy_in_15(to, from);
	}
	/* Both ends were checked: the slot's range when it was set, the buffer by its owner. */
	return raw_copy_from_user(to, from, bytes);
}

static unsigned long copy_out(void __user *to, const void *from, unsigned int bytes)
{
	switch (bytes) {
	case 1:
		return __put_user(*(const u8 *)from, (u8 __user *)to);
	case 2:
		return __put_user(*(const u16 *)from, (u16 __user *)to);
	case 4:
		return __put_user(*(const u32 *)from, (u32 __user *)to);
	case 8:
		return __put_user(*(const u64 *)from, (u64 __user *)to);
	}
	return raw_copy_to_user(to, from, bytes);
}

int keel_gpa_series_read(struct keel_gpa_series *series, gpa_t gpa, void *to, unsigned int bytes)
{
	unsigned int now;

	for (; bytes; bytes -= now, to += now, gpa = gpa_add(gpa, now)) {
		now = in_page(gpa, bytes);
		if (!slot_for(series, gpa, false))
			return -ENXIO;
		if (copy_in(to, keel_gpa_series_ptr(series, gpa), now))
			return -EFAULT;
	}
	return 0;
}

int keel_gpa_read(struct keel_vm *vm, gpa_t gpa, void *to, unsigned int bytes)
{
	struct keel_gpa_series series = { .vm = vm };
	int ret = keel_gpa_begin(&series);

	if (ret)
		return ret;
	ret = keel_gpa_series_read(&series, gpa, to, bytes);
	keel_gpa_end(&series);
	return ret;
}

int keel_gpa_series_write(struct keel_gpa_series *series, gpa_t gpa, const void *from, unsigned int bytes)
{
	struct keel_slot *slot;
	unsigned int now;
	int ret;

	for (; bytes; bytes -= now, from += now, gpa = gpa_add(gpa, now)) {
		now = in_page(gpa, bytes);
		slot = slot_for(series, gpa, true);
		if (!slot)
			return -ENXIO;
		/* A copy that faults half-way has stored something: mark in any case. */
		ret = copy_out(keel_gpa_series_ptr(series, gpa), from, now) ? -EFAULT : 0;
		keel_dirty_mark(slot, gpa_gfn(gpa));
		if (ret)
			return ret;
	}
	return 0;
}

int keel_gpa_write(struct keel_vm *vm, gpa_t gpa, const void *from, unsigned int bytes)
{
	struct keel_gpa_series series = { .vm = vm };
	int ret = keel_gpa_begin(&series);

	if (ret)
		return ret;
	ret = keel_gpa_series_write(&series, gpa, from, bytes);
	keel_gpa_end(&series);
	return ret;
}

/* Fetch the byte if @was is there, and store @value if it is another. */
static bool poke(struct keel_vm *vm, gpa_t gpa, u8 *was, u8 value)
{
	struct keel_gpa_series series = { .vm = vm };
	struct keel_slot *slot;
	bool done = false;

	atomic_inc(&vm->slots.pokes);
	smp_mb__after_atomic(); /* with keel_gpa_poke_wait(): counted before the set is looked at */
	rcu_read_lock();
	slot = slot_for(&series, gpa, true);
	if (slot) {
		u8 __user *ptr = keel_gpa_series_ptr(&series, gpa);

		pagefault_disable();
		done = !was || !__get_user(*was, ptr);
		if (done && !(was && *was == value)) {
			done = !__put_user(value, ptr);
			if (done)
				keel_dirty_mark(slot, gpa_gfn(gpa));
		}
		pagefault_enable();
	}
	rcu_read_unlock();
	smp_mb__before_atomic(); /* stored before it is no longer counted */
	atomic_dec(&vm->slots.pokes);
	return done;
}

bool keel_gpa_poke(struct keel_vm *vm, gpa_t gpa, u8 value)
{
	return poke(vm, gpa, NULL, value);
}

bool keel_gpa_poke_clear(struct keel_vm *vm, gpa_t gpa, u8 *was)
{
	return poke(vm, gpa, was, 0);
}

void keel_gpa_poke_wait(struct keel_vm *vm)
{
	smp_mb(); /* with keel_gpa_poke(): unpublished before the count is looked at */
	while (atomic_read(&vm->slots.pokes))
		cpu_relax();
}

/* Exchange one word if it holds *@old, else put there what it holds. Return: 0, 1 or -EFAULT. */
#define CMPXCHG(type, ptr, old, new)							\
({											\
	type was_ = *(old);								\
	int ret_ = __try_cmpxchg_user((type __user *)(ptr), &was_, (type)(new), fault_##type);	\
											\
	*(old) = was_;									\
	ret_;										\
})

static int cmpxchg_word(void __user *ptr, u64 *old, u64 new, unsigned int bytes)
{
	switch (bytes) {
	case 1:
		return CMPXCHG(u8, ptr, old, new);
	case 2:
		return CMPXCHG(u16, ptr, old, new);
	case 4:
		return CMPXCHG(u32, ptr, old, new);
	case 8:
		return CMPXCHG(u64, ptr, old, new);
	}
	return -EFAULT;
}

int keel_gpa_series_cmpxchg(struct keel_gpa_series *series, gpa_t gpa, u64 *old, u64 new,
			    unsigned int bytes)
{
	struct keel_slot *slot = slot_for(series, gpa, true);
	int ret;

	if (!slot)
		return -ENXIO;
	if (in_page(gpa, bytes) != bytes)
		return -EFAULT;
	ret = cmpxchg_word(keel_gpa_series_ptr(series, gpa), old, new, bytes);
	/* A failed exchange writes too: the CPU stores back what it found. */
	if (ret >= 0)
		keel_dirty_mark(slot, gpa_gfn(gpa));
	return ret;
}

int keel_gpa_cmpxchg(struct keel_vm *vm, gpa_t gpa, u64 *old, u64 new, unsigned int bytes)
{
	struct keel_gpa_series series = { .vm = vm };
	int ret = keel_gpa_begin(&series);

	if (ret)
		return ret;
	ret = keel_gpa_series_cmpxchg(&series, gpa, old, new, bytes);
	keel_gpa_end(&series);
	return ret;
}

enum keel_gpa_kind keel_gpa_kind(struct keel_vm *vm, gpa_t gpa)
{
	enum keel_gpa_kind kind = KEEL_GPA_NONE;
	struct keel_slot *slot;

	rcu_read_lock_sched();
	slot = keel_slot_find(vm, gpa_gfn(gpa));
	if (slot)
		kind = slot->geo.flags & SLOTGEO_READONLY ? KEEL_GPA_READONLY : KEEL_GPA_RAM;
	rcu_read_unlock_sched();
	return kind;
}
