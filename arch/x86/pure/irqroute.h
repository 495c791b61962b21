/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interrupt routing: which GSIs lead where. Judges entries of KVM_SET_GSI_ROUTING and knows the
 * table of a PC.
 */
#ifndef KEEL_PURE_IRQROUTE_H
#define KEEL_PURE_IRQROUTE_H

#include "types.h"

enum irqroute_kind {
	IRQROUTE_PIC,			/* pin 0..15: an IRQ of the pair */
	IRQROUTE_IOAPIC,		/* pin 0..23 */
	IRQROUTE_MSI,			/* address and data */
};

/* One way from a GSI; an entry that was accepted. */
struct irqroute_target {
	u64 address;			/* MSI: bits 63:32 are address_hi */
	u32 data;
	u32 gsi;
	u8 kind;			/* enum irqroute_kind */
	u8 pin;
};

/* What the VM has. */
struct irqroute_caps {
	u32 nr_gsis;			/* GSIs are below this */
	bool chips;			/* PIC and I/O APIC are in the kernel */
	bool ids32;			/* KVM_X2APIC_API_USE_32BIT_IDS */
};

/* The layout is that of struct kvm_irq_routing_entry. */
struct irqroute_user {
	u32 gsi;
	u32 type;
	u32 flags;
	u32 pad;
	union {
		struct {
			u32 irqchip;
			u32 pin;
		} irqchip;
		struct {
			u32 address_lo;
			u32 address_hi;
			u32 data;
			u32 pad;
		} msi;
		u32 words[8];
	} u;
};

static_assert(sizeof(struct irqroute_user) == 48, "layout of kvm_irq_routing_entry");

/*
 * Judges one entry. False (-EINVAL), @out unchanged: a GSI, type, chip or pin that does not exist,
 * any flag, or with ids32 an address_hi with bits 7:0 set. Padding is ignored.
 */
bool irqroute_import(const struct irqroute_user *in, const struct irqroute_caps *caps,
		     struct irqroute_target *out);

/*
 * May @a and @b stand in one table? A GSI leads to one pin of each chip at most (master and slave
 * are two), and to an MSI only if to nothing else.
 */
bool irqroute_compatible(const struct irqroute_target *a, const struct irqroute_target *b);

/*
 * The table a VM with chips starts with, ordered by GSI: GSIs 0..15 lead to the PIC and the I/O APIC,
 * 16..23 to the I/O APIC only, each to the pin of its number. @nr: its length.
 */
const struct irqroute_target *irqroute_default(unsigned int *nr);

#endif /* KEEL_PURE_IRQROUTE_H */
