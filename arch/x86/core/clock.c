// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VM's nanosecond clock: KVM_GET_CLOCK, KVM_SET_CLOCK, and what the paravirtual clock tells guests.
 *
 * Owns: vm->arch.clock, keel_clock_generation. Does not own: the arithmetic (pure/pvclock.c), guest memory (pv.c),
 * TSC offsets (tsc.c).
 *
 * While the host itself keeps time by the TSC the clock is linear: one instant per VM, as (host TSC, ns), and the
 * rate. Every vCPU's page describes that same line, seen through the vCPU's own TSC offset, and KVM_GET_CLOCK
 * evaluates it too: no two readers disagree. The instant is taken anew only when the clock is set, the host has
 * slept, or changed its clock source. Otherwise the clock is the host's raw clock plus an offset, and each page
 * an instant of its own CPU; guests see to it themselves that time does not go back.
 *
 * Contexts: module init and exit; task; the host's time keeping calls host_changed() under its lock, IRQs off.
 * Source: KVM API, KVM_GET_CLOCK, KVM_SET_CLOCK; KVM documentation, "KVM-specific MSRs".
 */
#include "core.h"
#include <asm/tsc.h>
#include <linux/irqflags.h>
#include <linux/pvclock_gtod.h>
#include <linux/timekeeper_internal.h>
#include <linux/timekeeping.h>

#define CLOCK_FLAGS (KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)

/* How the host keeps time, as far as it matters. Written by host_changed() only. */
static struct {
	const struct clocksource *source;
	bool tsc;			/* the source is the TSC */
	ktime_t slept;			/* boot-time clock minus monotonic clock */
} host;

unsigned int keel_clock_generation;

static int host_changed(struct notifier_block *nb, unsigned long was_set, void *data)
{
	const struct timekeeper *tk = data;
	const struct clocksource *source = tk->tkr_mono.clock;

	if (likely(source == host.source && tk->offs_boot == host.slept))
		return 0;
	WRITE_ONCE(host.source, source);
	WRITE_ONCE(host.tsc, source->vdso_clock_mode == VDSO_CLOCKMODE_TSC);
	WRITE_ONCE(host.slept, tk->offs_boot);
	/* Pairs with the acquire in generation(): the number is seen, so are the values or later ones. */
	smp_store_release(&keel_clock_generation, keel_clock_generation + 1);
	return 0;
}

static struct notifier_block host_block = { .notifier_call = host_changed };

void keel_clock_module_init(void)
{
	pvclock_gtod_register_notifier(&host_block);
}

void keel_clock_module_exit(void)
{
	pvclock_gtod_unregister_notifier(&host_block);
}

static unsigned int generation(void)
{
	return smp_load_acquire(&keel_clock_generation);
}

bool keel_clock_drifts(void)
{
	return !READ_ONCE(host.tsc);
}

/* One instant on the host. */
struct instant {
	unsigned int generation;
	bool linear;
	u64 tsc;		/* with linear exactly then, else as nearly as can be */
	u64 raw;		/* the raw clock, time asleep included */
	u64 real;
};

/* Context: any but NMI. */
static void instant_take(struct instant *now)
{
	struct system_time_snapshot snap;
	unsigned long flags;

	do {
		now->generation = generation();
		now->linear = READ_ONCE(host.tsc);
		local_irq_save(flags);
		ktime_get_snapshot(&snap);
		now->tsc = now->linear ? snap.cycles : rdtsc_ordered();
		local_irq_restore(flags);
		now->raw = ktime_to_ns(snap.raw) + ktime_to_ns(READ_ONCE(host.slept));
		now->real = ktime_to_ns(snap.real);
		/* Changes are rare: a second one meanwhile does not happen. */
	} while (unlikely(generation() != now->generation));
}

/* Put the clock's line through (@now, @ns). */
static void line_set(struct keel_vm_clock *clock, const struct instant *now, u64 ns)
{
	lockdep_assert_held(&clock->lock);
	clock->generation = now->generation;
	clock->linear = now->linear;
	clock->tsc = now->tsc;
	clock->ns = ns;
	clock->offset = ns - now->raw;
	pvclock_rate(tsc_khz, &clock->rate);
}

/* The clock at @now. Two CPUs' TSCs may differ by some cycles: not before the line's beginning. */
static u64 clock_at(struct keel_vm_clock *clock, const struct instant *now)
{
	lockdep_assert_held(&clock->lock);
	if (unlikely(clock->generation != now->generation))
		line_set(clock, now, now->raw + clock->offset);
	if (!clock->linear)
		return now->raw + clock->offset;
	return clock->ns + ((s64)(now->tsc - clock->tsc) > 0 ? pvclock_scale(now->tsc - clock->tsc, &clock->rate) : 0);
}

/* Take the instant and the lock; the answer is the clock then. The caller unlocks. */
static u64 clock_lock(struct keel_vm_clock *clock, struct instant *now, unsigned long *flags)
	__acquires(&clock->lock)
{
	instant_take(now);
	raw_spin_lock_irqsave(&clock->lock, *flags);
	return clock_at(clock, now);
}

static bool stable(const struct keel_vm *vm)
{
	return vm->arch.clock.linear && READ_ONCE(vm->arch.clock.matched);
}

void keel_clock_vm_init(struct keel_vm *vm)
{
	struct keel_vm_clock *clock = &vm->arch.clock;
	struct instant now;
	unsigned long flags;

	raw_spin_lock_init(&clock->lock);
	instant_take(&now);
	raw_spin_lock_irqsave(&clock->lock, flags);
	line_set(clock, &now, 0);
	raw_spin_unlock_irqrestore(&clock->lock, flags);
}

void keel_clock_page(struct keel_vcpu *vcpu, struct pvclock_page *page)
{
	struct keel_vm_clock *clock = &vcpu->vm->arch.clock;
	struct instant now;
	unsigned long flags;
	u64 ns = clock_lock(clock, &now, &flags);

	*page = (struct pvclock_page){
		.tsc_timestamp = (clock->linear ? clock->tsc : now.tsc) + vcpu->arch.tsc_offset,
		.system_time = clock->linear ? clock->ns : ns,
		.tsc_to_system_mul = clock->rate.mul,
		.tsc_shift = clock->rate.shift,
		.flags = stable(vcpu->vm) ? PVCLOCK_PAGE_STABLE : 0,
	};
	raw_spin_unlock_irqrestore(&clock->lock, flags);
}

void keel_clock_wall(struct keel_vm *vm, struct pvclock_wall *wall)
{
	struct keel_vm_clock *clock = &vm->arch.clock;
	struct instant now;
	unsigned long flags;
	u64 ns = clock_lock(clock, &now, &flags);

	raw_spin_unlock_irqrestore(&clock->lock, flags);
	pvclock_wall(now.real, ns, wall);
}

long keel_clock_get(struct keel_call *call)
{
	struct keel_vm_clock *clock = &call->vm->arch.clock;
	struct kvm_clock_data *out = call->arg;
	struct instant now;
	unsigned long flags;

	out->clock = clock_lock(clock, &now, &flags);
	out->flags = KVM_CLOCK_REALTIME;
	out->realtime = now.real;
	if (clock->linear) {
		out->flags |= KVM_CLOCK_HOST_TSC;
		out->host_tsc = now.tsc;
	}
	if (stable(call->vm))
		out->flags |= KVM_CLOCK_TSC_STABLE;
	raw_spin_unlock_irqrestore(&clock->lock, flags);
	return 0;
}

long keel_clock_set(struct keel_call *call)
{
	struct keel_vm_clock *clock = &call->vm->arch.clock;
	const struct kvm_clock_data *in = call->arg;
	struct instant now;
	unsigned long flags;
	u64 ns = in->clock;

	/* What KVM_GET_CLOCK says of its result is accepted, and but for the time of day of no interest. */
	if (in->flags & ~(u64)CLOCK_FLAGS)
		return -EINVAL;
	instant_take(&now);
	/* Time that passed while the VM was saved counts; a clock set back does not. */
	if (in->flags & KVM_CLOCK_REALTIME && now.real > in->realtime)
		ns += now.real - in->realtime;
	raw_spin_lock_irqsave(&clock->lock, flags);
	line_set(clock, &now, ns);
	raw_spin_unlock_irqrestore(&clock->lock, flags);
	keel_pv_clocks_due(call->vm);
	return 0;
}
