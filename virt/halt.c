// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU that has nothing to do, or waits for another one.
 *
 * Owns: vcpu->halt, vm->halt, the halt_poll parameters. Does not own: when a vCPU waits, and what wakes it (the
 * architecture's core, keel_vcpu_request()). Contexts: task; the hooks in the scheduler.
 *
 * Polling. A sleep costs two switches of threads, and often more on the side that wakes. So the CPU is kept for up
 * to poll_ns as long as no other thread wants it. A wait that ended within poll_ns leaves that as it is; one that
 * took longer, but not longer than the maximum, makes it grow; a longer one makes it shrink.
 *
 * Making way. The scheduler's hooks note which vCPUs are able to run and have no CPU. The thread that is noted has
 * not ended, because its vCPU is loaded, and within an RCU section that has seen it it stays allocated.
 *
 * Source: the kernel's documentation, "The KVM halt polling system"; KVM API, KVM_CAP_HALT_POLL.
 */
#include <keel/vcpu.h>
#include <keel/vm.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/rcuwait.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include <linux/sched/task.h>

#define YIELD_TRIES 3

static unsigned int halt_poll_ns = 200000;
module_param(halt_poll_ns, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns, "Longest polling before a halted vCPU sleeps, in ns; 0: none");

static unsigned int halt_poll_ns_grow = 2;
module_param(halt_poll_ns_grow, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns_grow, "Factor by which polling grows; 0: it does not");

static unsigned int halt_poll_ns_grow_start = 10000;
module_param(halt_poll_ns_grow_start, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns_grow_start, "Where growing begins, in ns");

static unsigned int halt_poll_ns_shrink;
module_param(halt_poll_ns_shrink, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns_shrink, "Divisor by which polling shrinks; 0: it ends");

/* --- polling and sleeping ----------------------------------------------------------------------- */

static bool has_work(struct keel_vcpu *vcpu)
{
	return READ_ONCE(vcpu->requests) || signal_pending(current);
}

/* Pairs with vcpu_mark() by rcuwait's own barriers: the sleeper is seen, or the request is. */
static void vcpu_sleep(struct keel_vcpu *vcpu)
{
	prepare_to_rcuwait(&vcpu->wait);
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (has_work(vcpu))
			break;
		schedule();
	}
	finish_rcuwait(&vcpu->wait);
}

/* Return: is there work? */
static bool vcpu_poll(struct keel_vcpu *vcpu, u64 until)
{
	do {
		if (has_work(vcpu))
			return true;
		cpu_relax();
	} while (!need_resched() && single_task_running() && ktime_get_ns() < until);
	return false;
}

static void adapt(struct keel_halt *halt, u64 took, u32 max)
{
	u32 factor = READ_ONCE(halt_poll_ns_grow), divisor = READ_ONCE(halt_poll_ns_shrink);
	u64 next = halt->poll_ns;

	if (took <= next)
		return;
	if (took > max)
		next = divisor ? next / divisor : 0;
	else if (factor)
		next = max_t(u64, next * factor, READ_ONCE(halt_poll_ns_grow_start));
	halt->poll_ns = min_t(u64, next, max);
}

void keel_vcpu_block(struct keel_vcpu *vcpu, bool poll)
{
	const struct keel_vm_halt *all = &vcpu->vm->halt;
	u32 max = READ_ONCE(all->has_max) ? READ_ONCE(all->max_ns) : READ_ONCE(halt_poll_ns);
	struct keel_halt *halt = &vcpu->halt;
	u64 began;

	if (!poll || !max) {
		halt->poll_ns = 0;
		vcpu_sleep(vcpu);
		return;
	}
	began = ktime_get_ns();
	halt->poll_ns = min(halt->poll_ns, max);
	if (!halt->poll_ns || !vcpu_poll(vcpu, began + halt->poll_ns))
		vcpu_sleep(vcpu);
	adapt(halt, ktime_get_ns() - began, max);
}

int keel_halt_poll_set(struct keel_vm *vm, const u64 *args)
{
	WRITE_ONCE(vm->halt.max_ns, args[0]);
	WRITE_ONCE(vm->halt.has_max, true);
	return 0;
}

/* --- making way --------------------------------------------------------------------------------- */

void keel_halt_sched_out(struct keel_vcpu *vcpu)
{
	if (!current->on_rq)
		return;
	WRITE_ONCE(vcpu->halt.waiting, current);
	atomic_inc(&vcpu->vm->halt.waiting);
}

void keel_halt_sched_in(struct keel_vcpu *vcpu)
{
	if (!vcpu->halt.waiting)
		return;
	WRITE_ONCE(vcpu->halt.waiting, NULL);
	atomic_dec(&vcpu->vm->halt.waiting);
}

bool keel_vcpu_yield_to(struct keel_vcpu *target)
{
	struct task_struct *task;
	bool done = false;

	rcu_read_lock();
	task = READ_ONCE(target->halt.waiting);
	if (task)
		get_task_struct(task);
	rcu_read_unlock();
	if (task) {
		done = yield_to(task, true) > 0;
		put_task_struct(task);
	}
	return done;
}

/* Among the vCPUs with ids @first to @last. */
static bool yield_range(struct keel_vcpu *vcpu, unsigned long first, unsigned long last, unsigned int *tries)
{
	struct keel_vm *vm = vcpu->vm;
	struct keel_vcpu *other;
	unsigned long id;

	xa_for_each_range(&vm->vcpus, id, other, first, last) {
		if (other == vcpu || !READ_ONCE(other->halt.waiting))
			continue;
		if (keel_vcpu_yield_to(other)) {
			WRITE_ONCE(vm->halt.boosted, id);
			return true;
		}
		if (!--*tries)
			return true;
	}
	return false;
}

void keel_vcpu_yield(struct keel_vcpu *vcpu)
{
	unsigned long from = READ_ONCE(vcpu->vm->halt.boosted);
	unsigned int tries = YIELD_TRIES;

	if (!atomic_read(&vcpu->vm->halt.waiting))
		return;
	if (!yield_range(vcpu, from + 1, KEEL_MAX_VCPU_ID, &tries))
		yield_range(vcpu, 0, from, &tries);
}
