/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The seam to the host kernel. What differs between host versions is absorbed here and in
 * virt/host.c and nowhere else; so is the one unit that may look at the host's own KVM structures.
 */
#ifndef KEEL_HOST_H
#define KEEL_HOST_H

#include <linux/context_tracking.h>
#include <linux/entry-kvm.h>
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched.h>
#include <linux/version.h>
#include <linux/vtime.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0) || LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#error "this release of Keel builds for Linux 6.1"
#endif

/*
 * Do pending host work (signals aside) before guest entry.
 * Context: task, IRQs on, no lock. Return: 0 or -EINTR when a signal is pending.
 */
int keel_host_entry_work(void);

/*
 * Tell the host that this CPU enters or leaves guest mode: context tracking, virtual CPU time,
 * lockdep and the IRQ tracer. Context: IRQs off, around the entry instruction.
 */
static __always_inline void keel_host_guest_enter(void)
{
	vtime_account_guest_enter();
	trace_hardirqs_on_prepare();
	lockdep_hardirqs_on_prepare();
	context_tracking_guest_enter();
	lockdep_hardirqs_on(CALLER_ADDR0);
}

/* How long the current thread has waited for a CPU so far, in ns; 0 for ever when the host does not count. */
#define KEEL_HOST_RUN_DELAY IS_ENABLED(CONFIG_SCHED_INFO)
static inline u64 keel_host_run_delay(void)
{
#ifdef CONFIG_SCHED_INFO
	return current->sched_info.run_delay;
#else
	return 0;
#endif
}

/* VFIO's test whether a file is of its making; a name for symbol_get(). */
#define keel_vfio_file_check vfio_file_is_group

/* A timer on the monotonic clock, whose @fn runs in hard interrupt context. Context: task. */
static inline void keel_hrtimer_init(struct hrtimer *timer, enum hrtimer_restart (*fn)(struct hrtimer *))
{
	hrtimer_init(timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
	timer->function = fn;
}

/*
 * The guest is a quiescent state to RCU. Once after each tick is enough, and a tick makes the guest
 * exit. Context: IRQs off.
 */
static inline void keel_host_quiescent(void)
{
	rcu_virt_note_context_switch(raw_smp_processor_id());
}

static __always_inline void keel_host_guest_exit(void)
{
	lockdep_hardirqs_off(CALLER_ADDR0);
	context_tracking_guest_exit();
	trace_hardirqs_off_finish();
	vtime_account_guest_exit();
}

/*
 * The host's machine-check handler, for a check that ended the guest's run and was not delivered to it. It
 * deals with it as with one in user space: a process that used bad memory is told, the host goes on.
 * Context: IRQs off since the exit, on the CPU whose banks hold the error.
 */
void keel_host_machine_check(void);

/*
 * Register @fn to be called on each CPU, IRQs off, when the host crashes, reboots or starts
 * another kernel. One slot exists per host; NULL removes.
 */
void keel_host_emergency_set(void (*fn)(void));

#endif /* KEEL_HOST_H */
