// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupt routing: validation of user space's entries, and a PC's table.
 *
 * It owns the rules for entries. It does not own a VM's table or its lookup, nor the meaning of an
 * MSI's address and data. Any context.
 *
 * Published KVM API: KVM_SET_GSI_ROUTING, KVM_CAP_X2APIC_API.
 */
#include "irqroute.h"

#define TYPE_IRQCHIP 1u			/* KVM_IRQ_ROUTING_* */
#define TYPE_MSI 2u

#define CHIP_PIC_MASTER 0u		/* KVM_IRQCHIP_* */
#define CHIP_PIC_SLAVE 1u
#define CHIP_IOAPIC 2u

#define PIC_PINS 8u			/* of one chip */
#define IOAPIC_PINS 24u

#define PIC_ROW(n) { .gsi = (n), .kind = IRQROUTE_PIC, .pin = (n) }
#define IOAPIC_ROW(n) { .gsi = (n), .kind = IRQROUTE_IOAPIC, .pin = (n) }
#define BOTH_ROWS(n) PIC_ROW(n), IOAPIC_ROW(n)

static const struct irqroute_target default_table[] = {
	BOTH_ROWS(0), BOTH_ROWS(1), BOTH_ROWS(2), BOTH_ROWS(3),
	BOTH_ROWS(4), BOTH_ROWS(5), BOTH_ROWS(6), BOTH_ROWS(7),
	BOTH_ROWS(8), BOTH_ROWS(9), BOTH_ROWS(10), BOTH_ROWS(11),
	BOTH_ROWS(12), BOTH_ROWS(13), BOTH_ROWS(14), BOTH_ROWS(15),
	IOAPIC_ROW(16), IOAPIC_ROW(17), IOAPIC_ROW(18), IOAPIC_ROW(19),
	IOAPIC_ROW(20), IOAPIC_ROW(21), IOAPIC_ROW(22), IOAPIC_ROW(23),
};

static bool import_pin(const struct irqroute_user *in, struct irqroute_target *to)
{
	u32 pin = in->u.irqchip.pin;

	switch (in->u.irqchip.irqchip) {
	case CHIP_PIC_MASTER:
	case CHIP_PIC_SLAVE:
		if (pin >= PIC_PINS)
			return false;
		to->kind = IRQROUTE_PIC;
		to->pin = pin + in->u.irqchip.irqchip * PIC_PINS;
		return true;
	case CHIP_IOAPIC:
		if (pin >= IOAPIC_PINS)
			return false;
		to->kind = IRQROUTE_IOAPIC;
		to->pin = pin;
		return true;
	default:
		return false;
	}
}

bool irqroute_import(const struct irqroute_user *in, const struct irqroute_caps *caps,
		     struct irqroute_target *out)
{
	struct irqroute_target to = { .gsi = in->gsi };

	if (in->gsi >= caps->nr_gsis || in->flags)
		return false;
	switch (in->type) {
	case TYPE_IRQCHIP:
		if (!caps->chips || !import_pin(in, &to))
			return false;
		break;
	case TYPE_MSI:
		if (caps->ids32 && in->u.msi.address_hi & 0xff)
			return false;
		to.kind = IRQROUTE_MSI;
		to.address = (u64)in->u.msi.address_hi << 32 | in->u.msi.address_lo;
		to.data = in->u.msi.data;
		break;
	default:
		return false;
	}
	*out = to;
	return true;
}

bool irqroute_compatible(const struct irqroute_target *a, const struct irqroute_target *b)
{
	if (a->gsi != b->gsi)
		return true;
	if (a->kind == IRQROUTE_MSI || b->kind == IRQROUTE_MSI)
		return false;
	return a->kind != b->kind || (a->kind == IRQROUTE_PIC && a->pin / PIC_PINS != b->pin / PIC_PINS);
}

const struct irqroute_target *irqroute_default(unsigned int *nr)
{
	*nr = ARRAY_SIZE(default_table);
	return default_table;
}
