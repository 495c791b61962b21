// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 82093AA I/O APIC.
 *
 * It owns the registers, the levels of the pins, remote IRR, and the decision when a line that
 * never falls has become a storm. It does not own the sources of the lines (the caller ORs them),
 * the delivery of messages, timers, or any lock. Any context.
 *
 * A message counts as accepted when it is handed out; ioapic_refused() takes that back. Delivery
 * status is therefore always idle. Polarity is stored and ignored: lines come as asserted or not.
 *
 * Intel data sheet 82093AA I/O Advanced Programmable Interrupt Controller: "I/O Register Select
 * Register", "I/O Window Register", "I/O APIC Identification Register", "I/O APIC Version
 * Register", "I/O APIC Arbitration Register", "I/O Redirection Table Registers". Intel I/O
 * controller hub data sheets: "EOI Register". The 15-bit destination is KVM's extension, announced
 * by a CPUID bit.
 */
#include "ioapic.h"

#define OFFSET_SELECT 0x00u
#define OFFSET_WINDOW 0x10u
#define OFFSET_EOI 0x40u

#define REG_ID 0x00u
#define REG_VERSION 0x01u
#define REG_ARBITRATION 0x02u
#define REG_ENTRIES 0x10u
#define ID_SHIFT 24
#define ID_MASK 0x0fu
#define MAX_ENTRY_SHIFT 16

#define RTE_MODE_SHIFT 8
#define RTE_MODE_MASK 7u
#define RTE_LOGICAL BIT64(11)
#define RTE_REMOTE_IRR BIT64(14)
#define RTE_LEVEL BIT64(15)
#define RTE_MASKED BIT64(16)
#define RTE_EXT_DEST BITS64(55, 49)
#define RTE_EXT_DEST_SHIFT 49
#define RTE_DEST BITS64(63, 56)
#define RTE_DEST_SHIFT 56
/* Vector, delivery mode, destination mode, polarity, trigger, mask, destination. */
#define RTE_WRITABLE (BITS64(11, 0) | BIT64(13) | RTE_LEVEL | RTE_MASKED | RTE_DEST)

static unsigned int mode_of(u64 entry)
{
	return entry >> RTE_MODE_SHIFT & RTE_MODE_MASK;
}

/* Modes that carry a vector, whose service a local APIC ends with an EOI. */
static bool has_vector(u64 entry)
{
	return mode_of(entry) == IOAPIC_FIXED || mode_of(entry) == IOAPIC_LOWEST;
}

static bool mode_reserved(u64 entry)
{
	return mode_of(entry) == 3 || mode_of(entry) == 6;
}

/* The other modes are edge-triggered whatever the entry says. */
static bool is_level(u64 entry)
{
	return entry & RTE_LEVEL && has_vector(entry);
}

static u64 writable(const struct ioapic *io)
{
	return io->extended_dest ? RTE_WRITABLE | RTE_EXT_DEST : RTE_WRITABLE;
}

/* Would a level pin deliver, now that nobody asks it to wait? */
static bool is_due(const struct ioapic *io, unsigned int pin)
{
	u64 entry = io->entry[pin];

	return io->lines & 1u << pin && is_level(entry) && !(entry & (RTE_MASKED | RTE_REMOTE_IRR));
}

static void send(struct ioapic *io, unsigned int pin, struct ioapic_effect *effect)
{
	effect->send = ioapic_route(io, pin, &effect->message);
	effect->pin = pin;
	if (effect->message.level)
		io->entry[pin] |= RTE_REMOTE_IRR;
}

static void write_entry(struct ioapic *io, unsigned int reg, u32 value, struct ioapic_effect *effect)
{
	unsigned int pin = (reg - REG_ENTRIES) >> 1;
	u64 old = io->entry[pin], entry;

	if (reg & 1)
		entry = (u64)value << 32 | (u32)old;
	else
		entry = (old & ~0xffffffffULL) | value;
	entry = (entry & writable(io)) | (old & RTE_REMOTE_IRR);
	/* Remote IRR has no meaning for edges; software clears a stuck one by a turn through edge. */
	if (!is_level(entry))
		entry &= ~RTE_REMOTE_IRR;
	io->entry[pin] = entry;
	effect->routes_changed = (entry ^ old) & ~RTE_REMOTE_IRR;
	if (is_due(io, pin))
		send(io, pin, effect);
}

void ioapic_init(struct ioapic *io, u8 version, bool extended_dest)
{
	memset(io, 0, sizeof(*io));
	io->base = IOAPIC_DEFAULT_BASE;
	io->version = version;
	io->extended_dest = extended_dest;
	ioapic_reset(io);
}

void ioapic_reset(struct ioapic *io)
{
	unsigned int pin;

	for (pin = 0; pin < IOAPIC_PINS; pin++) {
		io->entry[pin] = RTE_MASKED;
		io->again[pin] = 0;
	}
	io->select = 0;
	io->id = 0;
}

static u32 read_register(const struct ioapic *io, unsigned int reg)
{
	u64 entry;

	switch (reg) {
	case REG_ID:
	case REG_ARBITRATION:	/* loaded with the ID, and never contended for */
		return (u32)io->id << ID_SHIFT;
	case REG_VERSION:
		return io->version | (IOAPIC_PINS - 1) << MAX_ENTRY_SHIFT;
	default:
		if (reg < REG_ENTRIES || reg >= REG_ENTRIES + 2 * IOAPIC_PINS)
			return 0;
		entry = io->entry[(reg - REG_ENTRIES) >> 1];
		return reg & 1 ? entry >> 32 : entry;
	}
}

u32 ioapic_mmio_read(const struct ioapic *io, u32 offset)
{
	switch (offset) {
	case OFFSET_SELECT:
		return io->select;
	case OFFSET_WINDOW:
		return read_register(io, io->select);
	default:
		return 0;
	}
}

void ioapic_mmio_write(struct ioapic *io, u32 offset, u32 value, struct ioapic_effect *effect)
{
	memset(effect, 0, sizeof(*effect));
	switch (offset) {
	case OFFSET_SELECT:
		io->select = value;
		break;
	case OFFSET_WINDOW:
		if (io->select == REG_ID)
			io->id = value >> ID_SHIFT & ID_MASK;
		else if (io->select >= REG_ENTRIES && io->select < REG_ENTRIES + 2 * IOAPIC_PINS)
			write_entry(io, io->select, value, effect);
		break;
	case OFFSET_EOI:
		if (io->version >= IOAPIC_VERSION_EOI)
			ioapic_eoi(io, value, effect);
		break;
	}
}

enum ioapic_status ioapic_set_irq(struct ioapic *io, unsigned int pin, bool level,
				  struct ioapic_effect *effect)
{
	u32 bit;
	u64 entry;
	bool risen;

	memset(effect, 0, sizeof(*effect));
	if (pin >= IOAPIC_PINS)
		return IOAPIC_IGNORED;
	bit = 1u << pin;
	entry = io->entry[pin];
	risen = level && !(io->lines & bit);
	if (!level) {
		io->lines &= ~bit;
		io->again[pin] = 0;
		return IOAPIC_DELIVERED;
	}
	io->lines |= bit;
	/* A masked edge is gone; a masked level pin delivers when it is unmasked. */
	if (entry & RTE_MASKED || mode_reserved(entry))
		return IOAPIC_IGNORED;
	if (is_level(entry) ? entry & RTE_REMOTE_IRR : !risen)
		return IOAPIC_COALESCED;
	send(io, pin, effect);
	return IOAPIC_DELIVERED;
}

/*
 * The line is still up after an EOI. A guest without a handler for it would do nothing but take the
 * interrupt, so after a series of these it gets some time in between.
 */
static void again(struct ioapic *io, unsigned int pin, struct ioapic_effect *effect)
{
	if (++io->again[pin] < IOAPIC_STORM_EOIS) {
		effect->redeliver |= 1u << pin;
		return;
	}
	io->again[pin] = 0;
	effect->delayed |= 1u << pin;
}

void ioapic_eoi(struct ioapic *io, u8 vector, struct ioapic_effect *effect)
{
	unsigned int pin;

	memset(effect, 0, sizeof(*effect));
	for (pin = 0; pin < IOAPIC_PINS; pin++) {
		u64 *entry = &io->entry[pin];

		if ((u8)*entry != vector || !has_vector(*entry))
			continue;
		effect->matched |= 1u << pin;
		if (!(*entry & RTE_REMOTE_IRR))
			continue;
		*entry &= ~RTE_REMOTE_IRR;
		effect->ended |= 1u << pin;
		if (is_due(io, pin))
			again(io, pin, effect);
	}
}

void ioapic_redeliver(struct ioapic *io, unsigned int pin, struct ioapic_effect *effect)
{
	memset(effect, 0, sizeof(*effect));
	if (pin < IOAPIC_PINS && is_due(io, pin))
		send(io, pin, effect);
}

void ioapic_refused(struct ioapic *io, unsigned int pin)
{
	if (pin < IOAPIC_PINS)
		io->entry[pin] &= ~RTE_REMOTE_IRR;
}

bool ioapic_masked(const struct ioapic *io, unsigned int pin)
{
	return pin >= IOAPIC_PINS || io->entry[pin] & RTE_MASKED;
}

bool ioapic_route(const struct ioapic *io, unsigned int pin, struct ioapic_message *out)
{
	u64 entry;

	memset(out, 0, sizeof(*out));
	if (pin >= IOAPIC_PINS || mode_reserved(io->entry[pin]))
		return false;
	entry = io->entry[pin];
	out->dest = (entry & RTE_DEST) >> RTE_DEST_SHIFT;
	if (io->extended_dest)
		out->dest |= (entry & RTE_EXT_DEST) >> RTE_EXT_DEST_SHIFT << 8;
	out->vector = entry;
	out->mode = mode_of(entry);
	out->logical = entry & RTE_LOGICAL;
	out->level = is_level(entry);
	return true;
}

void ioapic_eoi_vectors(const struct ioapic *io, u32 pins, u32 notified, u64 bitmap[4])
{
	unsigned int pin;

	for (pin = 0; pin < IOAPIC_PINS; pin++) {
		u64 entry = io->entry[pin];
		u8 vector = entry;

		if (!(pins & 1u << pin) || !has_vector(entry))
			continue;
		if (is_level(entry) || notified & 1u << pin)
			bitmap[vector / 64] |= BIT64(vector % 64);
	}
}

void ioapic_export(const struct ioapic *io, struct ioapic_user *out)
{
	memset(out, 0, sizeof(*out));
	out->base_address = io->base;
	out->ioregsel = io->select;
	out->id = io->id;
	out->irr = io->lines;
	memcpy(out->redirtbl, io->entry, sizeof(out->redirtbl));
}

u32 ioapic_import(struct ioapic *io, const struct ioapic_user *in)
{
	u32 due = 0;
	unsigned int pin;

	io->base = in->base_address;
	io->select = in->ioregsel;
	io->id = in->id & ID_MASK;
	io->lines = in->irr & IOAPIC_ALL_PINS;
	for (pin = 0; pin < IOAPIC_PINS; pin++) {
		u64 entry = in->redirtbl[pin] & (writable(io) | RTE_REMOTE_IRR);

		io->entry[pin] = is_level(entry) ? entry : entry & ~RTE_REMOTE_IRR;
		io->again[pin] = 0;
		if (is_due(io, pin))
			due |= 1u << pin;
	}
	return due;
}
