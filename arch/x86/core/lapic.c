// SPDX-License-Identifier: GPL-2.0-only
/*
 * Local APICs in the kernel: who a message is for, what others post to a vCPU, its timer, and the guest's
 * and the VMM's access to its registers.
 *
 * Owns: arch.apic, arch.irq_check, vm->arch.apic_map. Does not own: the APIC's behaviour (pure/lapic.c), the
 * chips outside the CPUs (chips.c), how an interrupt reaches the guest (inject.c).
 *
 * An APIC's registers belong to its vCPU's thread: nothing here takes a lock for them. Whoever has something
 * for another vCPU sets a bit in posted[] or signals, then raises KEEL_REQ_EVENT; the owner takes it in before
 * the next entry. Destinations are found in a map of all APICs' addresses, rebuilt when one of them changes.
 *
 * Contexts: the owner's functions with the vCPU loaded, the hot ones also with IRQs off; sending in any.
 * Intel SDM volume 3, "Advanced Programmable Interrupt Controller"; KVM API, KVM_GET_LAPIC, KVM_GET_MP_STATE,
 * KVM_SIGNAL_MSI.
 */
#include "core.h"
#include "trace.h"
#include "tdp.h"
#include <asm/tsc.h>
#include <keel/host.h>
#include <linux/bitmap.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/moduleparam.h>
#include <linux/nospec.h>
#include <linux/refcount.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#define APIC_PAGE_MASK BITS64(51, 12)

static unsigned int lapic_timer_min_us = 200;
module_param_named(min_timer_period_us, lapic_timer_min_us, uint, 0644);
MODULE_PARM_DESC(min_timer_period_us, "Shortest period of a guest's periodic timer, in microseconds");

/* --- the map ----------------------------------------------------------------------------------- */

struct apic_slot {
	struct keel_vcpu *vcpu;
	struct lapic_addr addr;
};

/* All APICs of a VM, by id. Immutable but for its users. */
struct keel_apic_map {
	struct rcu_head rcu;
	refcount_t users;		/* vm->arch.apic_map, and those who walk it in steps */
	u32 nr;
	bool by_id;			/* slot[i] has id i, and no other answers to it: physical ids need no search */
	struct apic_slot slot[];
};

/* Readers may still look at it. */
static void map_put(struct keel_apic_map *map)
{
	if (refcount_dec_and_test(&map->users))
		kvfree_rcu(map, rcu);
}

static void map_rebuild(struct keel_vm *vm)
{
	struct keel_apic_map *map, *old;
	struct keel_vcpu *vcpu;
	unsigned long id;
	u32 nr = 0;

	lockdep_assert_held(&vm->arch.map_lock);
	xa_for_each(&vm->vcpus, id, vcpu)
		nr++;
	/* A map that is too old would lose interrupts: small, and worth waiting for memory. */
	map = kvzalloc(struct_size(map, slot, nr), GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
	map->by_id = true;
	refcount_set(&map->users, 1);
	xa_for_each(&vm->vcpus, id, vcpu) {
		struct apic_slot *slot = &map->slot[map->nr];

		if (!vcpu->arch.apic || map->nr == nr)
			continue;
		slot->vcpu = vcpu;
		slot->addr = vcpu->arch.apic->addr;
		map->by_id &= lapic_physical_id(&slot->addr) == map->nr;
		map->nr++;
	}
	old = rcu_replace_pointer(vm->arch.apic_map, map, lockdep_is_held(&vm->arch.map_lock));
	if (old)
		map_put(old);
}

/* The owner's addresses changed. Context: task, IRQs on. */
static void addr_publish(struct keel_vcpu *vcpu)
{
	struct keel_apic *apic = vcpu->arch.apic;

	mutex_lock(&vcpu->vm->arch.map_lock);
	lapic_addr(&apic->l, &apic->addr);
	map_rebuild(vcpu->vm);
	mutex_unlock(&vcpu->vm->arch.map_lock);
}

void keel_apic_map_update(struct keel_vm *vm)
{
	mutex_lock(&vm->arch.map_lock);
	map_rebuild(vm);
	mutex_unlock(&vm->arch.map_lock);
}

/* --- sending ------------------------------------------------------------------------------------- */

static void apic_signal(struct keel_vcpu *vcpu, enum keel_apic_signal signal)
{
	set_bit(signal, &vcpu->arch.apic->signals);
	keel_vcpu_request(vcpu, KEEL_REQ_EVENT);
}

void keel_apic_init(struct keel_vcpu *vcpu)
{
	apic_signal(vcpu, KEEL_APIC_INIT);
}

/* A vector for @vcpu. The level bit is there before the vector's: the owner reads them the other way round. */
static int apic_post(struct keel_vcpu *vcpu, u8 vector, bool level)
{
	struct keel_apic *apic = vcpu->arch.apic;
	bool known = !apic->hw && READ_ONCE(apic->l.reg[(LAPIC_IRR >> 4) + vector / 32]) & BIT(vector % 32);

	if (level != test_bit(vector, apic->level)) {
		if (level)
			set_bit(vector, apic->level);
		else
			clear_bit(vector, apic->level);
	}
	if (test_and_set_bit(vector, apic->posted))
		return KEEL_IRQ_COALESCED;
	keel_vcpu_request(vcpu, KEEL_REQ_EVENT);
	return known ? KEEL_IRQ_COALESCED : KEEL_IRQ_DELIVERED;
}

void keel_apic_post_self(struct keel_vcpu *vcpu, u8 vector)
{
	apic_post(vcpu, vector, false);
}

static int apic_deliver(struct keel_vcpu *vcpu, const struct lapic_ipi *ipi)
{
	struct keel_apic *apic = vcpu->arch.apic;

	switch (ipi->mode) {
	case LAPIC_FIXED:
	case LAPIC_LOWEST:
		return apic_post(vcpu, ipi->vector, ipi->trigger_level);
	case LAPIC_NMI:
		apic_signal(vcpu, KEEL_APIC_NMI);
		return KEEL_IRQ_DELIVERED;
	case LAPIC_INIT:
		apic_signal(vcpu, KEEL_APIC_INIT);
		return KEEL_IRQ_DELIVERED;
	case LAPIC_SIPI:
		WRITE_ONCE(apic->sipi_vector, ipi->vector);
		apic_signal(vcpu, KEEL_APIC_SIPI);
		return KEEL_IRQ_DELIVERED;
	case LAPIC_SMI:
		apic_signal(vcpu, KEEL_APIC_SMI);
		return KEEL_IRQ_DELIVERED;
	default:
		/* ExtINT: the PIC asks by itself. */
		return KEEL_IRQ_MASKED;
	}
}

/* Of the APICs that take @ipi the one that its vector picks: interrupts spread, one source stays put. */
static struct keel_vcpu *lowest(const struct keel_apic_map *map, const struct lapic_ipi *ipi,
				const struct keel_vcpu *sender)
{
	u32 i, n = 0;

	for (i = 0; i < map->nr; i++)
		n += lapic_takes(&map->slot[i].addr, ipi, map->slot[i].vcpu == sender);
	if (!n)
		return NULL;
	n = ipi->vector % n;
	for (i = 0; i < map->nr; i++)
		if (lapic_takes(&map->slot[i].addr, ipi, map->slot[i].vcpu == sender) && !n--)
			break;
	return map->slot[i].vcpu;
}

static int send_range(const struct keel_apic_map *map, u32 first, u32 end, const struct lapic_ipi *ipi,
		      const struct keel_vcpu *sender)
{
	int best = KEEL_IRQ_MASKED;
	u32 i;

	for (i = first; i < end; i++) {
		const struct apic_slot *slot = &map->slot[i];

		if (lapic_takes(&slot->addr, ipi, slot->vcpu == sender))
			best = max(best, apic_deliver(slot->vcpu, ipi));
	}
	return best;
}

/*
 * A vCPU's own message to many, a few at a time: in between others may have the CPU. The vCPUs live as long as the
 * VM, and the map is held; those that come meanwhile were not there when it was sent.
 */
static int send_in_steps(struct keel_apic_map *map, const struct lapic_ipi *ipi, const struct keel_vcpu *sender)
{
	int best = KEEL_IRQ_MASKED;
	u32 first;

	for (first = 0; first < map->nr; first += KEEL_IPI_STEP) {
		best = max(best, send_range(map, first, min(first + KEEL_IPI_STEP, map->nr), ipi, sender));
		cond_resched();
	}
	map_put(map);
	return best;
}

int keel_apic_send(struct keel_vm *vm, const struct lapic_ipi *ipi, const struct keel_vcpu *sender)
{
	struct keel_apic_map *map;
	struct keel_vcpu *vcpu;
	int best = KEEL_IRQ_MASKED;

	rcu_read_lock();
	map = rcu_dereference(vm->arch.apic_map);
	if (!map)
		goto out;
	if (ipi->mode == LAPIC_LOWEST || (ipi->redirect && ipi->mode == LAPIC_FIXED && ipi->logical)) {
		vcpu = lowest(map, ipi, sender);
		if (vcpu)
			best = apic_deliver(vcpu, ipi);
		goto out;
	}
	if (map->by_id && !ipi->logical && ipi->shorthand == LAPIC_TO_DEST && ipi->dest < map->nr &&
	    (ipi->wide || ipi->dest < 0xff)) {
		const struct apic_slot *slot = &map->slot[array_index_nospec(ipi->dest, map->nr)];

		if (lapic_takes(&slot->addr, ipi, slot->vcpu == sender))
			best = apic_deliver(slot->vcpu, ipi);
		goto out;
	}
	/* The vCPU's own thread holds no lock; keel_apic_ipi_long() sees to it that IRQs are on when it matters. */
	if (sender && map->nr > KEEL_IPI_STEP && !irqs_disabled() && refcount_inc_not_zero(&map->users)) {
		rcu_read_unlock();
		return send_in_steps(map, ipi, sender);
	}
	best = send_range(map, 0, map->nr, ipi, sender);
out:
	rcu_read_unlock();
	return best;
}

struct keel_vcpu *keel_apic_find(struct keel_vm *vm, u64 id)
{
	const struct keel_apic_map *map;
	struct keel_vcpu *vcpu = NULL;
	u32 i;

	rcu_read_lock();
	map = rcu_dereference(vm->arch.apic_map);
	for (i = 0; map && i < map->nr && !vcpu; i++)
		if (lapic_physical_id(&map->slot[i].addr) == id)
			vcpu = map->slot[i].vcpu;
	rcu_read_unlock();
	return vcpu;
}

void keel_apic_kick(struct keel_vm *vm, u64 id)
{
	struct keel_vcpu *vcpu = keel_apic_find(vm, id);

	if (vcpu)
		apic_signal(vcpu, KEEL_APIC_KICK);
}

int keel_apic_send_many(struct keel_vm *vm, const unsigned long ids[2], u64 first, u64 icr)
{
	struct lapic_ipi ipi = {
		.mode = icr >> 8 & 7,
		.vector = icr,
		.level_assert = true,
		.wide = true,
	};
	const struct keel_apic_map *map;
	u64 end = first + 128;
	u32 i, last;
	int n = 0;

	/* A logical destination or a shorthand makes no sense with a list of ids. */
	if ((ipi.mode != LAPIC_FIXED && ipi.mode != LAPIC_NMI) || icr & (KEEL_ICR_LOGICAL | KEEL_ICR_SHORTHAND))
		return -KVM_EINVAL;
	rcu_read_lock();
	map = rcu_dereference(vm->arch.apic_map);
	i = map && map->by_id && end > first ? min_t(u64, first, map->nr) : 0;
	last = map ? map->by_id ? min_t(u64, end, map->nr) : map->nr : 0;
	for (; i < last; i++) {
		const struct apic_slot *slot = &map->slot[i];
		u64 bit = lapic_physical_id(&slot->addr) - first;

		ipi.dest = lapic_physical_id(&slot->addr);
		if (bit < 128 && test_bit(bit, ids) && lapic_takes(&slot->addr, &ipi, false))
			n += apic_deliver(slot->vcpu, &ipi) != KEEL_IRQ_MASKED;
	}
	rcu_read_unlock();
	return n;
}

void keel_apic_pic_raised(struct keel_vm *vm)
{
	const struct keel_apic_map *map;
	u32 i;

	rcu_read_lock();
	map = rcu_dereference(vm->arch.apic_map);
	for (i = 0; map && i < map->nr; i++)
		if (READ_ONCE(map->slot[i].vcpu->arch.apic->takes_pic))
			keel_vcpu_request(map->slot[i].vcpu, KEEL_REQ_EVENT);
	rcu_read_unlock();
}

/* --- the timer ------------------------------------------------------------------------------------- */

static enum hrtimer_restart timer_fired(struct hrtimer *timer)
{
	struct keel_apic *apic = container_of(timer, struct keel_apic, timer);

	apic_signal(apic->vcpu, KEEL_APIC_TIMER);
	return HRTIMER_NORESTART;
}

/* How long until the guest's TSC reads @when, at most some hours: it is asked again then. */
static u64 tsc_delay_ns(struct keel_vcpu *vcpu, u64 when)
{
	s64 cycles = when - keel_tsc_read(vcpu);

	if (cycles <= 0)
		return 0;
	return mul_u64_u64_div_u64(min_t(u64, cycles, BIT_ULL(44)), 1000000, tsc_khz) + 1;
}

static void timer_arm(struct keel_vcpu *vcpu)
{
	struct keel_apic *apic = vcpu->arch.apic;
	u64 when;

	switch (lapic_timer_next(&apic->l, &when)) {
	case LAPIC_TIMER_NS:
		break;
	case LAPIC_TIMER_TSC:
		when = ktime_get_ns() + tsc_delay_ns(vcpu, when);
		break;
	default:
		/* If it fires meanwhile, lapic_timer_expire() finds nothing due. */
		hrtimer_try_to_cancel(&apic->timer);
		return;
	}
	hrtimer_start(&apic->timer, ns_to_ktime(when), HRTIMER_MODE_ABS_HARD);
}

void keel_apic_tsc_moved(struct keel_vcpu *vcpu)
{
	if (vcpu->arch.apic)
		timer_arm(vcpu);
}

/* --- what the owner does ------------------------------------------------------------------------------ */

/* TPR and CR8 are one register; the guest may have moved CR8 without an exit. */
static void tpr_from_cr8(struct keel_vcpu *vcpu)
{
	struct lapic *l = &vcpu->arch.apic->l;

	if (lapic_get_cr8(l) != vcpu->arch.regs.cr8)
		lapic_set_cr8(l, vcpu->arch.regs.cr8);
}

static void tpr_to_cr8(struct keel_vcpu *vcpu)
{
	u8 cr8 = lapic_get_cr8(&vcpu->arch.apic->l);

	if (vcpu->arch.regs.cr8 != cr8) {
		keel_regs_need(vcpu, KEEL_RG_CR);
		vcpu->arch.regs.cr8 = cr8;
		keel_regs_dirty(vcpu, KEEL_RG_CR);
	}
}

static void apic_act(struct keel_vcpu *vcpu, const struct lapic_effect *fx)
{
	struct keel_apic *apic = vcpu->arch.apic;

	if (fx->flags & LAPIC_FX_IPI)
		keel_apic_send(vcpu->vm, &fx->ipi, vcpu);
	if (fx->flags & LAPIC_FX_EOI)
		keel_chips_eoi(vcpu, fx->eoi_vector, fx->flags & LAPIC_FX_EOI_LEVEL);
	if (fx->flags & LAPIC_FX_TIMER)
		timer_arm(vcpu);
	if (fx->flags & (LAPIC_FX_EVAL | LAPIC_FX_EOI))
		vcpu->arch.irq_check |= apic->l.irr_top >= 0;
	if (fx->flags & LAPIC_FX_NMI)
		event_queue_nmi(&vcpu->arch.events);
	if (fx->flags & LAPIC_FX_SMI)
		apic_signal(vcpu, KEEL_APIC_SMI);
	if (fx->flags & LAPIC_FX_INIT)
		apic_signal(vcpu, KEEL_APIC_INIT);
	if (fx->flags & LAPIC_FX_ADDR)
		addr_publish(vcpu);
	WRITE_ONCE(apic->takes_pic, lapic_accept_pic(&apic->l));
	if (apic->takes_pic && keel_chips_pic_output(vcpu->vm))
		vcpu->arch.irq_check = true;
}

/* TPR, IRR and ISR are l's again; the CPU gets them back before the next entry. */
static void apic_claim(struct keel_vcpu *vcpu)
{
	struct keel_apic *apic = vcpu->arch.apic;

	if (likely(!apic->in_hw))
		return;
	keel_vendor->apic_take(vcpu);
	apic->in_hw = false;
	vcpu->arch.irq_check = true;
}

static void apic_give(struct keel_vcpu *vcpu)
{
	struct keel_apic *apic = vcpu->arch.apic;
	const struct keel_vm *vm = vcpu->vm;
	const u64 *ends = vm->arch.chips ? vm->arch.chips->eoi_vectors : vm->arch.split_eoi;
	unsigned int i;

	if (apic->in_hw)
		return;
	for (i = 0; i < 4; i++)
		apic->eoi_exits[i] = READ_ONCE(ends[i]);
	keel_vendor->apic_give(vcpu, apic->all_stale);
	apic->all_stale = false;
	apic->in_hw = true;
}

void keel_apic_eoi_changed(struct keel_vm *vm)
{
	const struct keel_apic_map *map;
	u32 i;

	rcu_read_lock();
	map = rcu_dereference(vm->arch.apic_map);
	for (i = 0; map && i < map->nr; i++)
		if (map->slot[i].vcpu->arch.apic->hw)
			keel_vcpu_request(map->slot[i].vcpu, KEEL_REQ_EVENT);
	rcu_read_unlock();
}

/* Take in the vectors that others posted. */
static void posted_take(struct keel_apic *apic)
{
	u64 posted[4], level[4];
	bool any = false;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		posted[i] = READ_ONCE(apic->posted[i]) ? xchg(&apic->posted[i], 0) : 0;
		level[i] = READ_ONCE(apic->level[i]);
		any |= posted[i];
	}
	if (any) {
		apic_claim(apic->vcpu);
		lapic_merge(&apic->l, posted, level);
	}
}

static void vcpu_init(struct keel_vcpu *vcpu)
{
	struct keel_apic *apic = vcpu->arch.apic;
	struct lapic_effect fx = { };

	posted_take(apic);
	apic_claim(vcpu);
	apic->all_stale = true;
	lapic_signal_init(&apic->l, &fx);
	keel_vcpu_init(vcpu);
	apic_act(vcpu, &fx);
	vcpu->arch.mp_state = vcpu->id == vcpu->vm->arch.boot_id ? KVM_MP_STATE_RUNNABLE :
								    KVM_MP_STATE_INIT_RECEIVED;
}

/* Start-up: real mode at the page the vector names. */
static void vcpu_sipi(struct keel_vcpu *vcpu, u8 vector)
{
	struct keel_regs *regs = &vcpu->arch.regs;

	keel_regs_need(vcpu, KEEL_RG_ALL);
	regs->seg[REGS_SEG_CS].selector = vector << 8;
	regs->seg[REGS_SEG_CS].base = vector << 12;
	regs->rip = 0;
	keel_regs_dirty(vcpu, KEEL_RG_ALL);
	vcpu->arch.mp_state = KVM_MP_STATE_RUNNABLE;
}

void keel_apic_serve(struct keel_vcpu *vcpu)
{
	struct keel_apic *apic = vcpu->arch.apic;
	unsigned long signals = READ_ONCE(apic->signals) ? xchg(&apic->signals, 0) : 0;

	apic_claim(vcpu);
	posted_take(apic);
	vcpu->arch.irq_check = true;
	if (likely(!signals))
		return;
	if (signals & BIT(KEEL_APIC_TIMER)) {
		lapic_timer_expire(&apic->l, ktime_get_ns(), keel_tsc_read(vcpu));
		timer_arm(vcpu);
	}
	if (signals & BIT(KEEL_APIC_KICK))
		apic->kicked = true;
	if (signals & BIT(KEEL_APIC_NMI))
		event_queue_nmi(&vcpu->arch.events);
	if (signals & BIT(KEEL_APIC_SMI))
		keel_smm_signal(vcpu);
	if (signals & BIT(KEEL_APIC_INIT) && !keel_smm_keeps_init(vcpu))
		vcpu_init(vcpu);
	/* A SIPI counts for a CPU that waits for it only. */
	if (signals & BIT(KEEL_APIC_SIPI) && vcpu->arch.mp_state == KVM_MP_STATE_INIT_RECEIVED)
		vcpu_sipi(vcpu, READ_ONCE(apic->sipi_vector));
}

bool keel_apic_take(struct keel_vcpu *vcpu)
{
	struct keel_apic *apic = vcpu->arch.apic;
	bool pic = apic->takes_pic && keel_chips_pic_output(vcpu->vm);
	u8 blocked;
	int vector;

	if (apic->hw) {
		/* The CPU knows what is due. What the PIC has does not go its way. */
		apic_give(vcpu);
		vcpu->arch.irq_check = pic;
		if (!pic)
			return false;
	}
	tpr_from_cr8(vcpu);
	vector = lapic_pending(&apic->l);
	blocked = pic ? 0 : max(lapic_blocked_by_tpr(&apic->l), 0) >> 4;
	if (unlikely(blocked != apic->blocked)) {
		apic->blocked = blocked;
		vcpu->arch.controls_stale = true;
	}
	if (vector < 0 && !pic) {
		vcpu->arch.irq_check = false;
		return false;
	}
	if (!event_idle(&vcpu->arch.events) || !keel_interrupt_ready(vcpu))
		return true;
	if (pic) {
		vector = keel_chips_pic_intack(vcpu->vm);
	} else {
		lapic_accept(&apic->l, vector);
		if (vcpu->arch.pv.eoi & KVM_MSR_ENABLED && lapic_end_is_quiet(&apic->l) &&
		    !keel_chips_eoi_wanted(vcpu, vector))
			keel_pv_eoi_grant(vcpu);
	}
	event_queue_interrupt(&vcpu->arch.events, vector);
	return false;
}

void keel_apic_eoi(struct keel_vcpu *vcpu)
{
	struct lapic_effect fx = { };

	tpr_from_cr8(vcpu);
	lapic_eoi(&vcpu->arch.apic->l, &fx);
	apic_act(vcpu, &fx);
}

/* Would the halted vCPU go on? */
static bool wakes(struct keel_vcpu *vcpu)
{
	struct keel_apic *apic = vcpu->arch.apic;

	if (!event_idle(&vcpu->arch.events) || apic->kicked || keel_smm_wakes(vcpu))
		return true;
	if (!(vcpu->arch.regs.rflags & X86_RFLAGS_IF))
		return false;
	apic_claim(vcpu);
	tpr_from_cr8(vcpu);
	return lapic_pending(&apic->l) >= 0 || (apic->takes_pic && keel_chips_pic_output(vcpu->vm));
}

bool keel_apic_kicked(struct keel_vcpu *vcpu)
{
	struct keel_apic *apic = vcpu->arch.apic;

	return apic && (apic->kicked || test_bit(KEEL_APIC_KICK, &apic->signals));
}

static void apic_sleep(struct keel_vcpu *vcpu)
{
	u64 ns = ktime_get_ns();

	WRITE_ONCE(vcpu->stat[KEEL_STAT_BLOCKING], 1);
	keel_vcpu_block(vcpu, vcpu->arch.mp_state == KVM_MP_STATE_HALTED && keel_pv_poll_wanted(vcpu));
	WRITE_ONCE(vcpu->stat[KEEL_STAT_BLOCKING], 0);
	ns = ktime_get_ns() - ns;
	trace_kvm_vcpu_wakeup(ns, true, true);
	keel_stat(vcpu, KEEL_STAT_HALT_HIST + keel_stat_bucket(ns));
	vcpu->stat[KEEL_STAT_HALT_WAIT] += ns;
}

int keel_apic_wait(struct keel_vcpu *vcpu)
{
	int next;

	for (;;) {
		if (vcpu->arch.mp_state == KVM_MP_STATE_HALTED && wakes(vcpu)) {
			keel_stat(vcpu, KEEL_STAT_HALT_WAKEUP);
			vcpu->arch.mp_state = KVM_MP_STATE_RUNNABLE;
			vcpu->arch.apic->kicked = false;
		}
		if (vcpu->arch.mp_state == KVM_MP_STATE_RUNNABLE)
			return KEEL_RESUME;
		if (signal_pending(current))
			return -EINTR;
		apic_sleep(vcpu);
		next = keel_requests_serve(vcpu);
		if (next != KEEL_RESUME)
			return next;
	}
}

/* --- registers --------------------------------------------------------------------------------------------- */

bool keel_apic_mmio(struct keel_vcpu *vcpu, gpa_t gpa, bool write, u8 *data, unsigned int bytes)
{
	struct keel_apic *apic = vcpu->arch.apic;
	u64 offset = gpa_raw(gpa) - (vcpu->arch.apic_base & APIC_PAGE_MASK);
	struct lapic_effect fx = { };
	u32 value;

	if (offset >= KEEL_PAGE_SIZE || !apic->l.hw_enabled || apic->l.x2apic)
		return false;
	apic_claim(vcpu);
	posted_take(apic);
	tpr_from_cr8(vcpu);
	if (write) {
		apic->all_stale = true;
		/* Only whole, aligned registers can be written. */
		if (bytes != 4 || offset & 0xf)
			return true;
		memcpy(&value, data, 4);
		lapic_write(&apic->l, offset, value, ktime_get_ns(), &fx);
		tpr_to_cr8(vcpu);
		apic_act(vcpu, &fx);
		vcpu->arch.irq_check = true;
		return true;
	}
	/* A register is the first four of its sixteen bytes. */
	value = offset & 0xc ? 0 : lapic_read(&apic->l, offset & ~3ULL, ktime_get_ns()) >> 8 * (offset & 3);
	memset(data, 0, bytes);
	memcpy(data, &value, min(bytes, 4u));
	return true;
}

bool keel_apic_msr_get(struct keel_vcpu *vcpu, u32 index, u64 *value)
{
	apic_claim(vcpu);
	posted_take(vcpu->arch.apic);
	tpr_from_cr8(vcpu);
	return lapic_msr_read(&vcpu->arch.apic->l, index, ktime_get_ns(), value);
}

/* May writing ICR set a bit of the APIC's own IRR: by its shorthand, or by the error that an illegal vector is? */
static bool icr_is_for_self(u64 icr)
{
	return (icr & KEEL_ICR_SHORTHAND) >> 18 == LAPIC_TO_SELF || (u8)icr < 16;
}

bool keel_apic_msr_set(struct keel_vcpu *vcpu, u32 index, u64 value)
{
	struct keel_apic *apic = vcpu->arch.apic;
	struct lapic_effect fx = { };

	if (index != LAPIC_MSR_ICR || icr_is_for_self(value))
		apic_claim(vcpu);
	apic->all_stale |= !keel_apic_msr_hot(index);
	tpr_from_cr8(vcpu);
	if (!lapic_msr_write(&apic->l, index, value, ktime_get_ns(), &fx))
		return false;
	tpr_to_cr8(vcpu);
	apic_act(vcpu, &fx);
	return true;
}

void keel_apic_base_set(struct keel_vcpu *vcpu, u64 base)
{
	struct lapic_effect fx = { };

	if (!vcpu->arch.apic)
		return;
	apic_claim(vcpu);
	vcpu->arch.apic->all_stale = true;
	lapic_set_base(&vcpu->arch.apic->l, base, &fx);
	/* The mode decides which accesses exit. */
	vcpu->arch.controls_stale |= vcpu->arch.apic->hw;
	tpr_to_cr8(vcpu);
	apic_act(vcpu, &fx);
}

void keel_apic_ended(struct keel_vcpu *vcpu, u8 vector)
{
	struct lapic_effect fx = { };

	lapic_ended(&vcpu->arch.apic->l, vector, &fx);
	apic_act(vcpu, &fx);
}

/* The page holds it already, so that it can be written again whatever becomes of it. */
void keel_apic_written(struct keel_vcpu *vcpu, u32 offset, u32 value)
{
	struct keel_apic *apic = vcpu->arch.apic;
	struct lapic_effect fx = { };

	apic_claim(vcpu);
	apic->all_stale = true;
	tpr_from_cr8(vcpu);
	if (apic->l.x2apic)
		lapic_msr_write(&apic->l, LAPIC_MSR_FIRST + (offset >> 4), value, ktime_get_ns(), &fx);
	else
		lapic_write(&apic->l, offset, value, ktime_get_ns(), &fx);
	tpr_to_cr8(vcpu);
	apic_act(vcpu, &fx);
}

u64 keel_apic_deadline(const struct keel_vcpu *vcpu)
{
	return vcpu->arch.apic ? lapic_get_deadline(&vcpu->arch.apic->l) : 0;
}

void keel_apic_deadline_set(struct keel_vcpu *vcpu, u64 deadline)
{
	struct lapic_effect fx = { };

	lapic_set_deadline(&vcpu->arch.apic->l, deadline, &fx);
	apic_act(vcpu, &fx);
}

/* --- life cycle and ioctls ---------------------------------------------------------------------------------- */

static void config_fill(struct keel_vcpu *vcpu, struct lapic_config *config)
{
	*config = (struct lapic_config){
		.bus_ns = 1,
		.min_period_ns = clamp(READ_ONCE(lapic_timer_min_us), 1u, 1000000u) * NSEC_PER_USEC,
		.directed_eoi = vcpu->vm->arch.irq_mode == KEEL_IRQ_SPLIT,
		.tsc_deadline = true,
		.lint0_extint = true,
	};
}

int keel_apic_new(struct keel_vcpu *vcpu)
{
	struct lapic_config config;
	struct keel_apic *apic;

	if (vcpu->vm->arch.irq_mode == KEEL_IRQ_USER)
		return 0;
	apic = kzalloc(sizeof(*apic), GFP_KERNEL_ACCOUNT);
	if (!apic)
		return -ENOMEM;
	config_fill(vcpu, &config);
	apic->vcpu = vcpu;
	lapic_power_up(&apic->l, &config, vcpu->id, vcpu->arch.apic_base);
	lapic_addr(&apic->l, &apic->addr);
	apic->takes_pic = lapic_accept_pic(&apic->l);
	keel_hrtimer_init(&apic->timer, timer_fired);
	apic->hw = apic->all_stale = vcpu->arch.irq_check = READ_ONCE(keel_options) & KEEL_OPT_APIC;
	vcpu->arch.apic = apic;
	if (vcpu->id != vcpu->vm->arch.boot_id)
		vcpu->arch.mp_state = KVM_MP_STATE_UNINITIALIZED;
	return 0;
}

void keel_apic_free(struct keel_vcpu *vcpu)
{
	if (!vcpu->arch.apic)
		return;
	hrtimer_cancel(&vcpu->arch.apic->timer);
	kfree(vcpu->arch.apic);
}

void keel_apic_map_free(struct keel_vm *vm)
{
	kvfree(rcu_dereference_raw(vm->arch.apic_map));
}

long keel_lapic_get(struct keel_call *call)
{
	struct keel_vcpu *vcpu = call->vcpu;
	struct kvm_lapic_state *out = call->arg;
	u64 now;

	if (!vcpu->arch.apic)
		return -EINVAL;
	apic_claim(vcpu);
	posted_take(vcpu->arch.apic);
	tpr_from_cr8(vcpu);
	now = ktime_get_ns();
	if (lapic_timer_expire(&vcpu->arch.apic->l, now, keel_tsc_read(vcpu)))
		vcpu->arch.irq_check = true;
	timer_arm(vcpu);
	lapic_export(&vcpu->arch.apic->l, now, call->vm->arch.x2apic_api, (u8 *)out->regs);
	return 0;
}

/*
 * A page in which 32-bit guests keep their TPR once the VMM has patched them. No TPR access is reported, so
 * none is ever patched and only "no page" is asked for (KVM_CAP_VAPIC is 0).
 */
long keel_vapic_addr_set(struct keel_call *call)
{
	const struct kvm_vapic_addr *in = call->arg;

	return !call->vcpu->arch.apic || in->vapic_addr ? -EINVAL : 0;
}

long keel_lapic_set(struct keel_call *call)
{
	struct keel_vcpu *vcpu = call->vcpu;
	struct keel_apic *apic = vcpu->arch.apic;
	const struct kvm_lapic_state *in = call->arg;
	struct lapic_effect fx = { };

	if (!apic)
		return -EINVAL;
	apic_claim(vcpu);
	apic->all_stale = true;
	if (!lapic_import(&apic->l, (const u8 *)in->regs, ktime_get_ns(), call->vm->arch.x2apic_api, &fx))
		return -EINVAL;
	/* What was sent to the state that is gone is gone with it. */
	bitmap_zero(apic->posted, 256);
	tpr_to_cr8(vcpu);
	apic_act(vcpu, &fx);
	vcpu->arch.irq_check = true;
	return 0;
}
