/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest memory: the slots, the only doors from a guest-physical address to host memory, host page
 * lookup, MMU-notifier state and the dirty log.
 *
 * Order of locks: slots.lock > slots.access > vm->mmu_lock > notify->lock.
 */
#ifndef KEEL_MEM_H
#define KEEL_MEM_H

#include <linux/bitops.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>
#include <pure/dring.h>
#include <pure/slotgeo.h>
#include <pure/types.h>

struct keel_vm;
struct keel_vcpu;
struct kvm_dirty_gfn;
struct kvm_userspace_memory_region;
struct kvm_userspace_memory_region2;
struct kvm_dirty_log;
struct kvm_clear_dirty_log;

#define KEEL_MAX_SLOTS 32764

/*
 * A VM may have a second address space, with slots of its own. Its frames have a number beyond all that a guest can
 * name, so that slots, log, notifier and faults need not know: frame n of space s is s << KEEL_SPACE_SHIFT | n.
 */
#define KEEL_NR_SPACES 2
#define KEEL_SPACE_SHIFT 40
#define KEEL_SPACE_GPA (1ULL << (KEEL_SPACE_SHIFT + KEEL_PAGE_SHIFT))

/* Is it the number of a slot that may exist: the address space in bits 31:16? */
static inline bool keel_slot_number(u32 slot)
{
	return (u16)slot < KEEL_MAX_SLOTS && slot >> 16 < KEEL_NR_SPACES;
}

/*
 * One memory slot. Immutable once published but for the bitmap's bits; a change publishes a
 * new object, so a reader's view is never torn.
 */
struct keel_slot {
	struct slot_geo geo;		/* I: first, the set points at it */
	unsigned long *dirty;		/* I: the bitmap, NULL when not logging; bits are atomic */
	bool all;			/* I: the log began with all bits set */
	bool ring;			/* I, but see keel_dirty_ring_enable(): a set bit stands in some vCPU's ring */
	struct rcu_head rcu;
};

struct keel_slotset;			/* RCU-published sorted array (virt/slots.c) */

/*
 * Owner: virt/slots.c.
 *  L  slots.lock    R  RCU, written under slots.lock and mmu_lock    M  vm->mmu_lock    A  atomic
 */
struct keel_slots {
	struct mutex lock;			/* serialises changes of the slots */
	struct xarray ids;			/* L: struct keel_slot by slot number */
	/*
	 * Held for reading while the kernel copies to or from guest memory on a guest's behalf; held
	 * for writing while a slot is unpublished: then no late write can reach its memory.
	 */
	struct rw_semaphore access;
	atomic_t pokes;				/* A: keel_gpa_poke() under way: these cannot wait for access */
	struct keel_slotset __rcu *set;		/* R */
	u64 generation;				/* M: raised by each unpublish; read without it by faults */
	unsigned int logging;			/* M: slots with a dirty log; read without it by faults */
	u8 manual;				/* vm->lock, read by anybody: KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 */
	u32 ring;				/* fixed once a vCPU exists: entries of each vCPU's dirty ring, 0: none */
	/*
	 * M: an unpublished slot whose nested mappings are not all gone yet, npages 0 when none.
	 * It is in no set any more, yet an invalidation of its host memory still concerns us.
	 */
	struct slot_geo leaving;
};

/* Owner: virt/notifier.c. One per mm_struct, shared by its VMs. */
struct keel_notify;

/* A VM's tie to its mm's notifier. Owner: virt/notifier.c. */
struct keel_notify_link {
	struct keel_notify *notify;	/* I */
	struct list_head node;		/* notify->lock */
	unsigned int active;		/* notify->lock: handlers at work on this VM */
	bool leaving;			/* notify->lock: being detached, handlers pass it by */
};

/* --- slots.c ------------------------------------------------------------------------------- */

int keel_slots_init(struct keel_vm *vm);
void keel_slots_free(struct keel_vm *vm);

/*
 * KVM_SET_USER_MEMORY_REGION: create, delete, move or re-flag one slot.
 * Context: task; takes slots.lock. Return: 0, -EINVAL, -EEXIST, -ENOMEM, -EINTR (killed); nothing changes on error.
 * Source: KVM API, KVM_SET_USER_MEMORY_REGION.
 */
int keel_slots_set(struct keel_vm *vm, const struct kvm_userspace_memory_region2 *region);

/*
 * The slot that holds @gfn, or NULL. Context: within rcu_read_lock(), or slots.access, slots.lock
 * or mmu_lock held; the result is valid as long as that lasts. Without, it only tells whether there is one.
 */
struct keel_slot *keel_slot_find(struct keel_vm *vm, gfn_t gfn);

/* The slot numbered @slot (address space in bits 31:16), or NULL. Context: slots.lock held. */
struct keel_slot *keel_slot_by_id(struct keel_vm *vm, u32 slot);

/*
 * Iterate over the frames [*first, *last) that host addresses [hva, hva_end) back, slot by slot.
 * *cursor starts at frame 0 and belongs to the iteration; mmu_lock may be dropped between two
 * calls. The leaving slot is not among them. Context: mmu_lock held. Return: false at the end.
 */
bool keel_slots_hva_next(struct keel_vm *vm, u64 hva, u64 hva_end, gfn_t *cursor, gfn_t *first,
			 gfn_t *last);

/*
 * --- gpa.c and gpa.h: the only code that turns a guest-physical address into a host access -----
 * It goes through the VM's user mapping: current->mm must be vm->mm, which the vCPU ioctls check.
 */

/*
 * Copy between a kernel buffer and guest memory; a range may cross pages and slots.
 * Context: task, may sleep; slots.access not held. Return: 0; -ENXIO when a byte has no slot (or, for a write, a
 * read-only one), -EFAULT when the host page is not accessible: bytes before the bad page may have been copied;
 * -EINTR when the task is being killed.
 */
int keel_gpa_read(struct keel_vm *vm, gpa_t gpa, void *to, unsigned int bytes);
int keel_gpa_write(struct keel_vm *vm, gpa_t gpa, const void *from, unsigned int bytes);

/* Accesses in a row under one hold of slots.access: <keel/gpa.h>. */

/*
 * Atomic compare-and-exchange of a naturally aligned 1, 2, 4 or 8-byte (16 with CMPXCHG16B: not here) guest word.
 * Return: 0 when exchanged, 1 when memory differed (*@old then holds what was found), -ENXIO, -EFAULT, -EINTR.
 */
int keel_gpa_cmpxchg(struct keel_vm *vm, gpa_t gpa, u64 *old, u64 new, unsigned int bytes);

/*
 * Store one byte if that is possible at once: nothing is brought in, nobody is waited for.
 * Context: current->mm is the VM's, preemption off; also the scheduler's hooks. Return: was it stored?
 */
bool keel_gpa_poke(struct keel_vm *vm, gpa_t gpa, u8 value);

/* The same: fetch one byte into *@was, and store 0 if it is another. Nobody else may write there meanwhile. */
bool keel_gpa_poke_clear(struct keel_vm *vm, gpa_t gpa, u8 *was);

/* Wait for the pokes under way, a few instructions each. Context: any; the set they must not use is unpublished. */
void keel_gpa_poke_wait(struct keel_vm *vm);

enum keel_gpa_kind {
	KEEL_GPA_NONE,		/* no slot: emulated I/O */
	KEEL_GPA_RAM,
	KEEL_GPA_READONLY,	/* a read-only slot: a write is emulated I/O */
};

enum keel_gpa_kind keel_gpa_kind(struct keel_vm *vm, gpa_t gpa);

/* --- pfn.c ---------------------------------------------------------------------------------- */

#define KEEL_AROUND_MAX 16

/*
 * What backs one guest frame, and, for map-around, the following ones as far as the host has them mapped with
 * the same rights. Pages are referenced until keel_pfn_put(); pfns of VM_IO and VM_PFNMAP areas have no page.
 */
struct keel_pfn {
	u64 pfn[KEEL_AROUND_MAX];	/* host frame numbers of gfn, gfn + 1, ... */
	struct page *page[KEEL_AROUND_MAX];
	unsigned int nr;		/* at least 1 on success */
	unsigned int level;		/* 1: 4 KiB, 2: 2 MiB, 3: 1 GiB: how the host maps it, bounded by the slot */
	bool writable;			/* the mapping may be writable */
	bool device;			/* not RAM: map uncached */
};

#define KEEL_PFN_WRITE	BIT(0)	/* a write fault */
#define KEEL_PFN_NOWAIT	BIT(1)	/* wait neither for the disk nor for user space */

/*
 * Find the host page behind @gfn of @slot geometry @geo (a copy: no lock is held across the lookup).
 * Faults the page in when needed; may sleep; takes mmap_lock.
 * Return: 0; -EINTR (signal); -EAGAIN: retry; -EBUSY: not without waiting; -EHWPOISON; -EFAULT.
 */
int keel_pfn_get(const struct slot_geo *geo, gfn_t gfn, unsigned int how, struct keel_pfn *out);

/*
 * Mark the first @nr pages dirty, if writable: they are about to be mapped where the guest may
 * write. Context: mmu_lock held, and keel_notify_retry() answered false under this hold.
 */
void keel_pfn_dirty(const struct keel_pfn *pfn, unsigned int nr);

/* Release the references; @mapped: the first frame went into a nested table (marks it accessed). */
void keel_pfn_put(struct keel_pfn *pfn, bool mapped);

/* --- notifier.c ------------------------------------------------------------------------------ */

/* Tie @vm to current->mm. Return: 0 or -ENOMEM, -EINTR. Context: task. */
int keel_notify_attach(struct keel_vm *vm);

/* Undo; afterwards no handler touches @vm. Waits only for handlers that are at work on this VM right now. */
void keel_notify_detach(struct keel_vm *vm);

/* Before a page lookup: the state that keel_notify_retry() compares. Context: any. */
u64 keel_notify_begin(struct keel_vm *vm);

/*
 * True: host addresses [hva, hva_end) may have been invalidated since keel_notify_begin() gave
 * @seq; look up again. Context: mmu_lock held; the answer holds as long as that.
 */
bool keel_notify_retry(struct keel_vm *vm, u64 seq, u64 hva, u64 hva_end);

/* Wait for the deferred frees of detached notifiers. Context: module exit, may sleep; slots need rcu_barrier(). */
void keel_notify_drain(void);

/* --- dirty.c --------------------------------------------------------------------------------- */

/* A log for @npages frames, empty or with @all bits set; NULL without memory; kvfree() it. Context: may sleep. */
unsigned long *keel_dirty_alloc(u64 npages, bool all);

/*
 * Take @nr words at index @at of @slot's log: of the bits set in @words those that were set in the log, and write
 * permission from their frames; *@flush: translations are to be flushed. Context: slots.lock held.
 */
void keel_dirty_take(struct keel_vm *vm, struct keel_slot *slot, u64 at, unsigned long *words, unsigned int nr,
		     bool *flush);

void keel_dirty_ring_mark(struct keel_slot *slot, gfn_t gfn);

/*
 * Mark @gfn written in @slot's log, if it has one: after the data was stored, or under the
 * mmu_lock hold that lets the guest store it. Context: any that has a vCPU of the VM loaded.
 */
static inline void keel_dirty_mark(struct keel_slot *slot, gfn_t gfn)
{
	if (!slot->dirty)
		return;
	if (unlikely(slot->ring))
		keel_dirty_ring_mark(slot, gfn);
	else
		set_bit(slotgeo_index(&slot->geo, gfn), slot->dirty);
}

/*
 * KVM_GET_DIRTY_LOG: hand out and clear, write-protecting again; or only hand out, see
 * keel_dirty_manual(). Context: task; takes slots.lock.
 * Return: 0, -ENXIO (there are dirty rings), -EINVAL (no such slot number), -ENOENT (no slot, or it does not log),
 * -EFAULT, -EINTR (killed).
 * Source: KVM API, KVM_GET_DIRTY_LOG.
 */
int keel_dirty_get(struct keel_vm *vm, const struct kvm_dirty_log *log);

/*
 * KVM_CLEAR_DIRTY_LOG: clear what the bitmap names, write-protecting again. Context and errors as above, and
 * -EINVAL for a range that is not in the slot or not of whole words; what precedes a bad address is cleared.
 * Source: KVM API, KVM_CLEAR_DIRTY_LOG.
 */
int keel_dirty_clear(struct keel_vm *vm, const struct kvm_clear_dirty_log *log);

/* KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, args[0]: KVM_DIRTY_LOG_*. Context: vm->lock. Return: 0, -EINVAL. */
int keel_dirty_manual(struct keel_vm *vm, const u64 *args);

/* --- dirty-ring.c ---------------------------------------------------------------------------- */

/*
 * A vCPU's list of frames written. Legend: I immutable after creation; U shared with user space; P the thread that
 * has the vCPU loaded; S slots.lock.
 */
struct keel_dirty_ring {
	struct kvm_dirty_gfn *entry;	/* I, U: page KVM_DIRTY_LOG_PAGE_OFFSET of the mapping and on; or NULL */
	u32 head;			/* P, read by anybody: position of the next to fill */
	u32 tail;			/* S, read by anybody: position of the next to take back */
	bool lost;			/* P: a frame found no room */
};

/*
 * KVM_CAP_DIRTY_LOG_RING, KVM_CAP_DIRTY_LOG_RING_ACQ_REL: args[0] is the size of each ring in bytes.
 * Context: vm->lock. Return: 0, -EINVAL (size; there are vCPUs or rings already), -E2BIG, -EINTR.
 */
int keel_dirty_ring_enable(struct keel_vm *vm, const u64 *args);

/* A vCPU's ring, if the VM has rings. Return: 0 or -ENOMEM. Free accepts a vCPU without one. Context: task. */
int keel_dirty_ring_new(struct keel_vcpu *vcpu);
void keel_dirty_ring_free(struct keel_vcpu *vcpu);

/* Page @nr of the ring, or NULL. Context: any. */
struct page *keel_dirty_ring_page(struct keel_vcpu *vcpu, unsigned long nr);

/* May the guest not run before entries are taken back? KEEL_REQ_DIRTY_RING asks to look. Context: loaded. */
bool keel_dirty_ring_full(const struct keel_vcpu *vcpu);

/* KVM_RESET_DIRTY_RINGS. Context: task; takes slots.lock. Return: entries taken back; -EINVAL (no rings), -EINTR. */
long keel_dirty_rings_reset(struct keel_vm *vm);

#endif /* KEEL_MEM_H */
