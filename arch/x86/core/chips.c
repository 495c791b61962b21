// SPDX-License-Identifier: GPL-2.0-only
/*
 * The PC's interrupt chips and timer outside the CPUs, in the kernel: IOAPIC, PIC pair and PIT; and what a
 * routed line leads to on x86.
 *
 * Owns: struct keel_chips, vm->arch.irq_mode. Does not own: the chips' behaviour (pure/ioapic.c, pic.c, pit.c),
 * local APICs (lapic.c), the routing table (virt/irqroute.c).
 *
 * Contexts: lines are set and interrupts acknowledged in any context; ioctls in task context. A message is
 * sent under the chips' lock, which is bounded work; acknowledgements are told after it was dropped.
 * KVM API, KVM_CREATE_IRQCHIP, KVM_GET_IRQCHIP, KVM_CREATE_PIT2, KVM_CAP_SPLIT_IRQCHIP.
 */
#include "core.h"
#include <keel/host.h>
#include <keel/irq.h>
#include <linux/ktime.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <pure/irqroute.h>

#define STORM_DELAY_NS (10 * NSEC_PER_MSEC)
#define PIT_GSI 0

/* The chips' own mirrors of the ABI's structures: equal sizes, and every field where the ABI has it. */
#define SAME_SIZE(mine, theirs) static_assert(sizeof(struct mine) == sizeof(struct theirs))
#define SAME_PLACE(mine, field, theirs, name) \
	static_assert(offsetof(struct mine, field) == offsetof(struct theirs, name) && \
		      sizeof_field(struct mine, field) == sizeof_field(struct theirs, name))
SAME_SIZE(pic_user, kvm_pic_state);
SAME_PLACE(pic_user, last_irr, kvm_pic_state, last_irr);
SAME_PLACE(pic_user, irr, kvm_pic_state, irr);
SAME_PLACE(pic_user, imr, kvm_pic_state, imr);
SAME_PLACE(pic_user, isr, kvm_pic_state, isr);
SAME_PLACE(pic_user, priority_add, kvm_pic_state, priority_add);
SAME_PLACE(pic_user, irq_base, kvm_pic_state, irq_base);
SAME_PLACE(pic_user, read_reg_select, kvm_pic_state, read_reg_select);
SAME_PLACE(pic_user, poll, kvm_pic_state, poll);
SAME_PLACE(pic_user, special_mask, kvm_pic_state, special_mask);
SAME_PLACE(pic_user, init_state, kvm_pic_state, init_state);
SAME_PLACE(pic_user, auto_eoi, kvm_pic_state, auto_eoi);
SAME_PLACE(pic_user, rotate_on_auto_eoi, kvm_pic_state, rotate_on_auto_eoi);
SAME_PLACE(pic_user, special_fully_nested_mode, kvm_pic_state, special_fully_nested_mode);
SAME_PLACE(pic_user, init4, kvm_pic_state, init4);
SAME_PLACE(pic_user, elcr, kvm_pic_state, elcr);
SAME_PLACE(pic_user, elcr_mask, kvm_pic_state, elcr_mask);
SAME_SIZE(ioapic_user, kvm_ioapic_state);
SAME_PLACE(ioapic_user, base_address, kvm_ioapic_state, base_address);
SAME_PLACE(ioapic_user, ioregsel, kvm_ioapic_state, ioregsel);
SAME_PLACE(ioapic_user, id, kvm_ioapic_state, id);
SAME_PLACE(ioapic_user, irr, kvm_ioapic_state, irr);
SAME_PLACE(ioapic_user, redirtbl, kvm_ioapic_state, redirtbl);
SAME_SIZE(irqroute_user, kvm_irq_routing_entry);
SAME_PLACE(irqroute_user, gsi, kvm_irq_routing_entry, gsi);
SAME_PLACE(irqroute_user, type, kvm_irq_routing_entry, type);
SAME_PLACE(irqroute_user, flags, kvm_irq_routing_entry, flags);
SAME_PLACE(irqroute_user, u.irqchip.irqchip, kvm_irq_routing_entry, u.irqchip.irqchip);
SAME_PLACE(irqroute_user, u.irqchip.pin, kvm_irq_routing_entry, u.irqchip.pin);
SAME_PLACE(irqroute_user, u.msi.address_lo, kvm_irq_routing_entry, u.msi.address_lo);
SAME_PLACE(irqroute_user, u.msi.address_hi, kvm_irq_routing_entry, u.msi.address_hi);
SAME_PLACE(irqroute_user, u.msi.data, kvm_irq_routing_entry, u.msi.data);
SAME_SIZE(pit_user, kvm_pit_state2);
SAME_PLACE(pit_user, channel, kvm_pit_state2, channels);
SAME_PLACE(pit_user, flags, kvm_pit_state2, flags);
SAME_PLACE(pit_user_channel, count, kvm_pit_channel_state, count);
SAME_PLACE(pit_user_channel, latched_count, kvm_pit_channel_state, latched_count);
SAME_PLACE(pit_user_channel, count_latched, kvm_pit_channel_state, count_latched);
SAME_PLACE(pit_user_channel, status_latched, kvm_pit_channel_state, status_latched);
SAME_PLACE(pit_user_channel, status, kvm_pit_channel_state, status);
SAME_PLACE(pit_user_channel, read_state, kvm_pit_channel_state, read_state);
SAME_PLACE(pit_user_channel, write_state, kvm_pit_channel_state, write_state);
SAME_PLACE(pit_user_channel, write_latch, kvm_pit_channel_state, write_latch);
SAME_PLACE(pit_user_channel, rw_mode, kvm_pit_channel_state, rw_mode);
SAME_PLACE(pit_user_channel, mode, kvm_pit_channel_state, mode);
SAME_PLACE(pit_user_channel, bcd, kvm_pit_channel_state, bcd);
SAME_PLACE(pit_user_channel, gate, kvm_pit_channel_state, gate);
SAME_PLACE(pit_user_channel, count_load_time, kvm_pit_channel_state, count_load_time);
static_assert(PIT_HPET_LEGACY == KVM_PIT_FLAGS_HPET_LEGACY && PIT_SPEAKER_DATA_ON == KVM_PIT_FLAGS_SPEAKER_DATA_ON);

static inline struct keel_chips *chips_of(const struct keel_vm *vm)
{
	return READ_ONCE(vm->arch.chips);
}

/* --- messages ---------------------------------------------------------------------------------- */

/* Send what @fx asks for. Return: KEEL_IRQ_*. Under chips->lock. */
static int ioapic_send(struct keel_chips *chips, const struct ioapic_effect *fx)
{
	struct lapic_ipi ipi = {
		.mode = fx->message.mode,
		.vector = fx->message.vector,
		.logical = fx->message.logical,
		.level_assert = true,
		.trigger_level = fx->message.level,
		.dest = fx->message.dest,
	};
	int status;

	lockdep_assert_held(&chips->lock);
	if (!fx->send)
		return KEEL_IRQ_MASKED;
	status = keel_apic_send(chips->vm, &ipi, NULL);
	if (status == KEEL_IRQ_MASKED)
		ioapic_refused(&chips->ioapic, fx->pin);
	return status;
}

static void redeliver(struct keel_chips *chips, u32 pins)
{
	struct ioapic_effect fx;
	unsigned int pin;

	for (; pins; pins &= pins - 1) {
		pin = __ffs(pins);
		ioapic_redeliver(&chips->ioapic, pin, &fx);
		ioapic_send(chips, &fx);
	}
}

/* Entries were written: which vectors' ends matter here? */
static void routes_changed(struct keel_chips *chips)
{
	u64 vectors[4] = { };
	unsigned int i;

	/* An edge's end matters to the PIT, and to resampling irqfds, whatever pins they lead to. */
	ioapic_eoi_vectors(&chips->ioapic, IOAPIC_ALL_PINS, IOAPIC_ALL_PINS, vectors);
	if (!memcmp(vectors, chips->eoi_vectors, sizeof(vectors)))
		return;
	for (i = 0; i < 4; i++)
		WRITE_ONCE(chips->eoi_vectors[i], vectors[i]);
	keel_apic_eoi_changed(chips->vm);
}

static enum hrtimer_restart storm_over(struct hrtimer *timer)
{
	struct keel_chips *chips = container_of(timer, struct keel_chips, again);
	unsigned long flags;

	raw_spin_lock_irqsave(&chips->lock, flags);
	redeliver(chips, chips->delayed);
	chips->delayed = 0;
	raw_spin_unlock_irqrestore(&chips->lock, flags);
	return HRTIMER_NORESTART;
}

/* --- the PIT ------------------------------------------------------------------------------------- */

static void pit_raise(struct keel_chips *chips)
{
	lockdep_assert_held(&chips->pit_lock);
	if (keel_irq_set(chips->vm, PIT_GSI, KEEL_SOURCE_PIT, true) == KEEL_IRQ_MASKED)
		pit_refused(&chips->pit);
	keel_irq_set(chips->vm, PIT_GSI, KEEL_SOURCE_PIT, false);
}

static void pit_rearm(struct keel_chips *chips, u64 now)
{
	u64 next = pit_next_tick(&chips->pit, now);

	lockdep_assert_held(&chips->pit_lock);
	if (next == PIT_NO_TICK)
		hrtimer_try_to_cancel(&chips->pit_timer);
	else
		hrtimer_start(&chips->pit_timer, ns_to_ktime(next), HRTIMER_MODE_ABS_HARD);
}

static enum hrtimer_restart pit_fired(struct hrtimer *timer)
{
	struct keel_chips *chips = container_of(timer, struct keel_chips, pit_timer);
	u64 now = ktime_get_ns();
	unsigned long flags;

	raw_spin_lock_irqsave(&chips->pit_lock, flags);
	if (pit_tick(&chips->pit, pit_expire(&chips->pit, now)))
		pit_raise(chips);
	pit_rearm(chips, now);
	raw_spin_unlock_irqrestore(&chips->pit_lock, flags);
	return HRTIMER_NORESTART;
}

static void pit_was_acked(struct keel_chips *chips)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&chips->pit_lock, flags);
	if (pit_acked(&chips->pit))
		pit_raise(chips);
	raw_spin_unlock_irqrestore(&chips->pit_lock, flags);
}

/* --- acknowledgements ------------------------------------------------------------------------------ */

/* No lock held: those who hear of it may raise the line again. */
static void pin_acked(struct keel_chips *chips, u8 chip, u16 pin)
{
	struct keel_vm *vm = chips->vm;
	bool pit = false;

	if (READ_ONCE(chips->has_pit)) {
		rcu_read_lock();
		pit = keel_irqroute_leads(vm, PIT_GSI, chip, pin);
		rcu_read_unlock();
	}
	if (pit)
		pit_was_acked(chips);
	if (keel_irq_acks_wanted(&vm->irq))
		keel_irq_acked(vm, chip, pin);
}

static void pic_acked(struct keel_chips *chips, u16 irqs)
{
	for (; irqs; irqs &= irqs - 1) {
		unsigned int irq = __ffs(irqs);

		pin_acked(chips, irq < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, irq & 7);
	}
}

static void ioapic_ended(struct keel_chips *chips, u8 vector)
{
	struct ioapic_effect fx;
	unsigned long flags;
	u32 pins;

	raw_spin_lock_irqsave(&chips->lock, flags);
	ioapic_eoi(&chips->ioapic, vector, &fx);
	if (unlikely(fx.delayed)) {
		chips->delayed |= fx.delayed;
		hrtimer_start(&chips->again, ns_to_ktime(STORM_DELAY_NS), HRTIMER_MODE_REL_HARD);
	}
	raw_spin_unlock_irqrestore(&chips->lock, flags);

	for (pins = fx.matched; pins; pins &= pins - 1)
		pin_acked(chips, KVM_IRQCHIP_IOAPIC, __ffs(pins));
	if (fx.redeliver) {
		raw_spin_lock_irqsave(&chips->lock, flags);
		redeliver(chips, fx.redeliver);
		raw_spin_unlock_irqrestore(&chips->lock, flags);
	}
}

void keel_chips_eoi(struct keel_vcpu *vcpu, u8 vector, bool level)
{
	struct keel_vm *vm = vcpu->vm;
	u64 bit = BIT64(vector & 63);

	if (vm->arch.chips) {
		if (READ_ONCE(vm->arch.chips->eoi_vectors[vector / 64]) & bit)
			ioapic_ended(vm->arch.chips, vector);
	} else if (level && READ_ONCE(vm->arch.split_eoi[vector / 64]) & bit) {
		vcpu->arch.eoi_exit = vector + 1;
		vcpu->arch.irq_check = true;
	}
}

bool keel_chips_eoi_wanted(struct keel_vcpu *vcpu, u8 vector)
{
	const struct keel_chips *chips = vcpu->vm->arch.chips;

	return chips && READ_ONCE(chips->eoi_vectors[vector / 64]) & BIT64(vector & 63);
}

/* --- lines ------------------------------------------------------------------------------------------- */

/* Somebody lets go of a pin, or holds it up: the pin's new level. */
static bool held(u8 *by, unsigned int source, bool level)
{
	*by = level ? *by | BIT(source) : *by & ~BIT(source);
	return *by;
}

/* The PIC's output follows. Under chips->lock. */
static void pic_changed(struct keel_chips *chips)
{
	bool out = pic_output(&chips->pic);

	if (out == chips->pic_out)
		return;
	WRITE_ONCE(chips->pic_out, out);
	if (out)
		keel_apic_pic_raised(chips->vm);
}

static int pin_set(struct keel_chips *chips, const struct keel_irq_target *target, unsigned int source, bool level)
{
	struct ioapic_effect fx;
	unsigned long flags;
	int status, sent;

	raw_spin_lock_irqsave(&chips->lock, flags);
	if (target->chip == KVM_IRQCHIP_IOAPIC) {
		level = held(&chips->ioapic_held[target->pin], source, level);
		status = ioapic_set_irq(&chips->ioapic, target->pin, level, &fx);
		sent = ioapic_send(chips, &fx);
		if (fx.send)
			status = sent;
	} else {
		unsigned int irq = target->pin + (target->chip == KVM_IRQCHIP_PIC_SLAVE ? 8 : 0);

		status = pic_set_irq(&chips->pic, irq, held(&chips->pic_held[irq], source, level));
		pic_changed(chips);
	}
	raw_spin_unlock_irqrestore(&chips->lock, flags);
	return status;
}

static_assert((int)PIC_IGNORED == KEEL_IRQ_MASKED && (int)PIC_COALESCED == KEEL_IRQ_COALESCED &&
	      (int)PIC_DELIVERED == KEEL_IRQ_DELIVERED);
static_assert((int)IOAPIC_IGNORED == KEEL_IRQ_MASKED && (int)IOAPIC_COALESCED == KEEL_IRQ_COALESCED &&
	      (int)IOAPIC_DELIVERED == KEEL_IRQ_DELIVERED);

bool keel_arch_has_chips(const struct keel_vm *vm)
{
	return READ_ONCE(vm->arch.irq_mode) != KEEL_IRQ_USER;
}

int keel_arch_irq_set(struct keel_vm *vm, const struct keel_irq_target *target, unsigned int source, bool level)
{
	struct keel_chips *chips = chips_of(vm);
	struct lapic_ipi ipi;

	if (target->kind == KEEL_IRQ_PIN)
		return chips ? pin_set(chips, target, source, level) : KEEL_IRQ_MASKED;
	if (!level || !lapic_msi_decode(target->address, target->data, READ_ONCE(vm->arch.x2apic_api), &ipi))
		return KEEL_IRQ_MASKED;
	return keel_apic_send(vm, &ipi, NULL);
}

static struct keel_irq_target target_of(const struct irqroute_target *in)
{
	struct keel_irq_target out = { .gsi = in->gsi, .address = in->address, .data = in->data };

	switch (in->kind) {
	case IRQROUTE_PIC:
		out.kind = KEEL_IRQ_PIN;
		out.chip = in->pin < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;
		out.pin = in->pin & 7;
		break;
	case IRQROUTE_IOAPIC:
		out.kind = KEEL_IRQ_PIN;
		out.chip = KVM_IRQCHIP_IOAPIC;
		out.pin = in->pin;
		break;
	default:
		out.kind = KEEL_IRQ_MSI;
	}
	return out;
}

int keel_arch_irq_target(struct keel_vm *vm, const struct kvm_irq_routing_entry *entry, struct keel_irq_target *target)
{
	struct irqroute_caps caps = {
		.nr_gsis = KEEL_NR_GSIS,
		.chips = vm->arch.irq_mode == KEEL_IRQ_KERNEL,
		.ids32 = vm->arch.x2apic_api & KVM_X2APIC_API_USE_32BIT_IDS,
	};
	struct irqroute_target out;

	if (!irqroute_import((const struct irqroute_user *)entry, &caps, &out))
		return -EINVAL;
	*target = target_of(&out);
	return 0;
}

/* With the IOAPIC in user space: lines below its pin count whose message is level-triggered need their EOI told. */
static void split_route(void *arg, const struct keel_irq_target *target)
{
	struct keel_vm *vm = arg;
	u8 vector = target->data;

	if (target->gsi < vm->arch.split_pins && target->kind == KEEL_IRQ_MSI && target->data & BIT(15))
		WRITE_ONCE(vm->arch.split_eoi[vector / 64], vm->arch.split_eoi[vector / 64] | BIT64(vector & 63));
}

void keel_arch_irq_routed(struct keel_vm *vm)
{
	unsigned int i;

	if (vm->arch.irq_mode != KEEL_IRQ_SPLIT)
		return;
	for (i = 0; i < 4; i++)
		WRITE_ONCE(vm->arch.split_eoi[i], 0);
	keel_irqroute_each(vm, split_route, vm);
	keel_apic_eoi_changed(vm);
}

/* --- the guest's access --------------------------------------------------------------------------------- */

u8 keel_chips_pic_intack(struct keel_vm *vm)
{
	struct keel_chips *chips = vm->arch.chips;
	unsigned long flags;
	u16 ended;
	u8 vector;

	raw_spin_lock_irqsave(&chips->lock, flags);
	vector = pic_intack(&chips->pic, &ended);
	pic_changed(chips);
	raw_spin_unlock_irqrestore(&chips->lock, flags);
	pic_acked(chips, ended);
	return vector;
}

static void pic_port(struct keel_chips *chips, u16 port, bool in, u8 *value)
{
	unsigned long flags;
	u16 ended;

	raw_spin_lock_irqsave(&chips->lock, flags);
	ended = in ? pic_port_read(&chips->pic, port, value) : pic_port_write(&chips->pic, port, *value);
	pic_changed(chips);
	raw_spin_unlock_irqrestore(&chips->lock, flags);
	pic_acked(chips, ended);
}

static void pit_port(struct keel_chips *chips, u16 port, bool in, u8 *value)
{
	struct pit_effect fx = { };
	u64 now = ktime_get_ns();
	unsigned long flags;

	raw_spin_lock_irqsave(&chips->pit_lock, flags);
	if (port == PIT_PORT_SPEAKER) {
		if (in)
			*value = pit_speaker_read(&chips->pit, now);
		else
			pit_speaker_write(&chips->pit, *value, now);
	} else if (in) {
		*value = pit_port_read(&chips->pit, port, now);
	} else {
		pit_port_write(&chips->pit, port, *value, now, &fx);
		if (fx.rearm)
			pit_rearm(chips, now);
	}
	raw_spin_unlock_irqrestore(&chips->pit_lock, flags);
}

bool keel_chips_port(struct keel_vcpu *vcpu, u16 port, bool in, unsigned int size, u8 *value)
{
	struct keel_chips *chips = vcpu->vm->arch.chips;

	if (!chips || size != 1)
		return false;
	if (pic_has_port(port)) {
		pic_port(chips, port, in, value);
		return true;
	}
	if (!chips->has_pit || ((port & ~3) != PIT_PORT &&
				(port != PIT_PORT_SPEAKER || !(chips->pit_flags & KVM_PIT_SPEAKER_DUMMY))))
		return false;
	pit_port(chips, port, in, value);
	return true;
}

bool keel_chips_mmio(struct keel_vcpu *vcpu, gpa_t gpa, bool write, u8 *data, unsigned int bytes)
{
	struct keel_chips *chips = vcpu->vm->arch.chips;
	struct ioapic_effect fx;
	unsigned long flags;
	u32 value = 0;
	u64 offset;

	if (!chips)
		return false;
	offset = gpa_raw(gpa) - IOAPIC_DEFAULT_BASE;
	if (offset >= IOAPIC_WINDOW_SIZE)
		return false;
	raw_spin_lock_irqsave(&chips->lock, flags);
	if (write) {
		memcpy(&value, data, min(bytes, 4u));
		ioapic_mmio_write(&chips->ioapic, offset, value, &fx);
		ioapic_send(chips, &fx);
		if (fx.routes_changed)
			routes_changed(chips);
	} else {
		value = ioapic_mmio_read(&chips->ioapic, offset & ~3ULL) >> 8 * (offset & 3);
		memset(data, 0, bytes);
		memcpy(data, &value, min(bytes, 4u));
	}
	raw_spin_unlock_irqrestore(&chips->lock, flags);
	return true;
}

/* --- life cycle and ioctls --------------------------------------------------------------------------------- */

static int routes_default(struct keel_vm *vm)
{
	const struct irqroute_target *route;
	struct keel_irq_target *targets;
	unsigned int i, nr;
	int err;

	route = irqroute_default(&nr);
	targets = kmalloc_array(nr, sizeof(*targets), GFP_KERNEL);
	if (!targets)
		return -ENOMEM;
	for (i = 0; i < nr; i++)
		targets[i] = target_of(&route[i]);
	err = keel_irqroute_set(vm, targets, nr);
	kfree(targets);
	return err;
}

long keel_irqchip_create(struct keel_call *call)
{
	struct keel_vm *vm = call->vm;
	struct keel_chips *chips;
	int err;

	if (vm->arch.irq_mode != KEEL_IRQ_USER)
		return -EEXIST;
	if (vm->nr_vcpus)
		return -EINVAL;
	chips = kzalloc(sizeof(*chips), GFP_KERNEL_ACCOUNT);
	if (!chips)
		return -ENOMEM;
	chips->vm = vm;
	raw_spin_lock_init(&chips->lock);
	raw_spin_lock_init(&chips->pit_lock);
	ioapic_init(&chips->ioapic, IOAPIC_VERSION, false);
	pic_reset(&chips->pic);
	keel_hrtimer_init(&chips->again, storm_over);
	keel_hrtimer_init(&chips->pit_timer, pit_fired);
	err = routes_default(vm);
	if (err) {
		kfree(chips);
		return err;
	}
	smp_store_release(&vm->arch.chips, chips);
	WRITE_ONCE(vm->arch.irq_mode, KEEL_IRQ_KERNEL);
	return 0;
}

int keel_irqchip_split(struct keel_vm *vm, const u64 *args)
{
	int err;

	if (args[0] > IOAPIC_PINS)
		return -EINVAL;
	if (vm->arch.irq_mode != KEEL_IRQ_USER)
		return -EEXIST;
	if (vm->nr_vcpus)
		return -EINVAL;
	err = keel_irqroute_set(vm, NULL, 0);
	if (err)
		return err;
	vm->arch.split_pins = args[0];
	WRITE_ONCE(vm->arch.irq_mode, KEEL_IRQ_SPLIT);
	return 0;
}

void keel_chips_stop(struct keel_vm *vm)
{
	struct keel_chips *chips = vm->arch.chips;

	if (!chips)
		return;
	hrtimer_cancel(&chips->again);
	hrtimer_cancel(&chips->pit_timer);
}

void keel_chips_free(struct keel_vm *vm)
{
	kfree(vm->arch.chips);
}

long keel_irqchip_get(struct keel_call *call)
{
	struct keel_chips *chips = call->vm->arch.chips;
	struct kvm_irqchip *out = call->arg;
	u32 id = out->chip_id;

	if (!chips)
		return -ENXIO;
	if (id >= KVM_NR_IRQCHIPS)
		return -EINVAL;
	*out = (struct kvm_irqchip){ .chip_id = id };
	raw_spin_lock_irq(&chips->lock);
	if (id == KVM_IRQCHIP_IOAPIC)
		ioapic_export(&chips->ioapic, (struct ioapic_user *)&out->chip.ioapic);
	else
		pic_export(&chips->pic, id, (struct pic_user *)&out->chip.pic);
	raw_spin_unlock_irq(&chips->lock);
	return 0;
}

long keel_irqchip_set(struct keel_call *call)
{
	struct keel_chips *chips = call->vm->arch.chips;
	const struct kvm_irqchip *in = call->arg;

	if (!chips)
		return -ENXIO;
	if (in->chip_id >= KVM_NR_IRQCHIPS)
		return -EINVAL;
	raw_spin_lock_irq(&chips->lock);
	if (in->chip_id == KVM_IRQCHIP_IOAPIC) {
		u32 pins = ioapic_import(&chips->ioapic, (const struct ioapic_user *)&in->chip.ioapic);

		routes_changed(chips);
		redeliver(chips, pins);
	} else {
		pic_import(&chips->pic, in->chip_id, (const struct pic_user *)&in->chip.pic);
		pic_changed(chips);
	}
	raw_spin_unlock_irq(&chips->lock);
	return 0;
}

/* --- PIT ioctls --- */

#define PIT_MIN_PERIOD_NS (200 * NSEC_PER_USEC)

static long pit_create(struct keel_vm *vm, u32 flags)
{
	struct keel_chips *chips = vm->arch.chips;

	if (!chips)
		return -ENOENT;
	if (chips->has_pit)
		return -EEXIST;
	if (flags & ~KVM_PIT_SPEAKER_DUMMY)
		return -EINVAL;
	pit_init(&chips->pit, PIT_MIN_PERIOD_NS);
	chips->pit_flags = flags;
	smp_store_release(&chips->has_pit, true);
	return 0;
}

long keel_pit_create2(struct keel_call *call)
{
	return pit_create(call->vm, ((const struct kvm_pit_config *)call->arg)->flags);
}

long keel_pit_create(struct keel_call *call)
{
	return pit_create(call->vm, KVM_PIT_SPEAKER_DUMMY);
}

static struct keel_chips *pit_chips(struct keel_call *call)
{
	struct keel_chips *chips = call->vm->arch.chips;

	return chips && chips->has_pit ? chips : NULL;
}

static long pit_get(struct keel_call *call, struct pit_user *out)
{
	struct keel_chips *chips = pit_chips(call);

	if (!chips)
		return -ENXIO;
	raw_spin_lock_irq(&chips->pit_lock);
	pit_export(&chips->pit, ktime_get_ns(), out);
	raw_spin_unlock_irq(&chips->pit_lock);
	return 0;
}

static long pit_set(struct keel_call *call, const struct pit_user *in)
{
	struct keel_chips *chips = pit_chips(call);
	u64 now = ktime_get_ns();

	if (!chips)
		return -ENXIO;
	raw_spin_lock_irq(&chips->pit_lock);
	pit_import(&chips->pit, now, in);
	pit_rearm(chips, now);
	raw_spin_unlock_irq(&chips->pit_lock);
	return 0;
}

long keel_pit2_get(struct keel_call *call)
{
	return pit_get(call, call->arg);
}

long keel_pit2_set(struct keel_call *call)
{
	return pit_set(call, call->arg);
}

/* The older forms, without flags. */
long keel_pit_get(struct keel_call *call)
{
	struct pit_user state;
	long ret = pit_get(call, &state);

	if (!ret)
		memcpy(call->arg, &state, sizeof(struct kvm_pit_state));
	return ret;
}

long keel_pit_set(struct keel_call *call)
{
	struct pit_user state = { };

	memcpy(&state, call->arg, sizeof(struct kvm_pit_state));
	return pit_set(call, &state);
}

long keel_reinject_control(struct keel_call *call)
{
	struct keel_chips *chips = pit_chips(call);
	struct kvm_reinject_control in;

	/* The request's number says nothing of the size. */
	if (copy_from_user(&in, call->user, sizeof(in)))
		return -EFAULT;
	if (!chips)
		return -ENXIO;
	raw_spin_lock_irq(&chips->pit_lock);
	pit_set_reinject(&chips->pit, in.pit_reinject);
	raw_spin_unlock_irq(&chips->pit_lock);
	return 0;
}
