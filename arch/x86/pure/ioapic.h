/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The 82093AA I/O APIC: 24 pins, each with a redirection entry that turns it into an interrupt
 * message.
 *
 * The caller serializes all calls on one chip and sends messages after it (they are in the effect).
 * It may send them with its lock dropped; nothing here waits for them.
 */
#ifndef KEEL_PURE_IOAPIC_H
#define KEEL_PURE_IOAPIC_H

#include "types.h"

#define IOAPIC_PINS 24u
#define IOAPIC_ALL_PINS ((1u << IOAPIC_PINS) - 1)
#define IOAPIC_DEFAULT_BASE 0xfec00000ULL
#define IOAPIC_WINDOW_SIZE 0x100u
#define IOAPIC_VERSION 0x11u
#define IOAPIC_VERSION_EOI 0x20u	/* from here on there is an EOI register at 0x40 */

/* An EOI that finds the line still asserted, this many times in a row, makes a storm. */
#define IOAPIC_STORM_EOIS 4096u

/* Delivery modes; 3 and 6 are reserved and never sent. */
enum ioapic_mode {
	IOAPIC_FIXED = 0,
	IOAPIC_LOWEST = 1,
	IOAPIC_SMI = 2,
	IOAPIC_NMI = 4,
	IOAPIC_INIT = 5,
	IOAPIC_EXTINT = 7,
};

/* An interrupt message. */
struct ioapic_message {
	u32 dest;			/* 8 bits, or 15 with the extended format */
	u8 vector;
	u8 mode;			/* enum ioapic_mode */
	bool logical;
	bool level;			/* handled as level: sets remote IRR and needs an EOI */
};

struct ioapic {
	u64 base;			/* guest-physical address of the window; kept, not used here */
	u64 entry[IOAPIC_PINS];		/* redirection entries without reserved bits */
	u32 lines;			/* levels of the pins */
	u16 again[IOAPIC_PINS];		/* EOIs in a row that found the line asserted */
	u8 select;			/* IOREGSEL */
	u8 id;				/* 0..15 */
	u8 version;
	bool extended_dest;		/* bits 55:49 of an entry are bits 14:8 of the destination */
};

/* Answers of ioapic_set_irq(), as KVM_IRQ_LINE_STATUS reports them. */
enum ioapic_status {
	IOAPIC_IGNORED = -1,		/* masked, or a reserved delivery mode */
	IOAPIC_COALESCED = 0,		/* the line was up (edge) or waits for its EOI (level) */
	IOAPIC_DELIVERED = 1,		/* effect->send is set, or the line went down */
};

/* What the caller has to do. Each call overwrites all of it. */
struct ioapic_effect {
	bool send;			/* send @message, which is pin @pin's */
	bool routes_changed;		/* an entry was written: look at routes and EOI bitmaps again */
	u8 pin;
	struct ioapic_message message;
	/* After an EOI, one bit per pin: */
	u32 matched;			/* has the vector, edge or level: run acknowledgement notifiers */
	u32 ended;			/* of these: remote IRR fell */
	u32 redeliver;			/* of these: still asserted; call ioapic_redeliver() after notifiers */
	u32 delayed;			/* the same, but a storm: call it some 10 ms later instead */
};

/* A chip of @version (IOAPIC_VERSION unless an EOI register is wanted), reset, base at the default. */
void ioapic_init(struct ioapic *io, u8 version, bool extended_dest);

/* Reset: all entries masked, ID 0. Version, format, base and lines (which others drive) stay. */
void ioapic_reset(struct ioapic *io);

/*
 * A read at byte @offset of the window. Only the registers' own offsets answer, others read 0; the
 * caller cuts accesses narrower than 32 bits out of the value and refuses misaligned ones.
 */
u32 ioapic_mmio_read(const struct ioapic *io, u32 offset);

/*
 * A write of @value, zero-extended if narrower, at byte @offset of the window. A write to an entry
 * may make an asserted level pin deliver. With an EOI register the effect may be that of
 * ioapic_eoi().
 */
void ioapic_mmio_write(struct ioapic *io, u32 offset, u32 value, struct ioapic_effect *effect);

/*
 * Sets the level of @pin after the caller has ORed its sources. Pins of 24 and above:
 * IOAPIC_IGNORED, without effect.
 */
enum ioapic_status ioapic_set_irq(struct ioapic *io, unsigned int pin, bool level,
				  struct ioapic_effect *effect);

/*
 * A local APIC ended service of @vector (broadcast or EOI register). The caller first runs the
 * notifiers of effect->matched, then ioapic_redeliver() for each pin of effect->redeliver.
 */
void ioapic_eoi(struct ioapic *io, u8 vector, struct ioapic_effect *effect);

/* Sends @pin's message again if it is an asserted, unmasked level pin without remote IRR. */
void ioapic_redeliver(struct ioapic *io, unsigned int pin, struct ioapic_effect *effect);

/*
 * No local APIC took the message of @pin: remote IRR falls, so that the next assertion is tried.
 * Call it under the same lock as the call that gave the message, or else only when no EOI or write
 * came between; for an edge message it does nothing.
 */
void ioapic_refused(struct ioapic *io, unsigned int pin);

/* Is @pin masked? Pins of 24 and above are. */
bool ioapic_masked(const struct ioapic *io, unsigned int pin);

/*
 * The message @pin would send, masked or not. False, with @out zeroed, when its delivery mode is
 * reserved or there is no such pin.
 */
bool ioapic_route(const struct ioapic *io, unsigned int pin, struct ioapic_message *out);

/*
 * Adds to @bitmap (256 bits, bit v % 64 of word v / 64) the vectors whose EOI this chip has to see:
 * those of level entries among @pins, and of any Fixed or Lowest Priority entries among
 * @pins & @notified. @pins are the ones whose destination the caller found to be the vCPU in
 * question, with ioapic_route(). Masked ones count, a message may be in service still.
 */
void ioapic_eoi_vectors(const struct ioapic *io, u32 pins, u32 notified, u64 bitmap[4]);

/* The layout is that of struct kvm_ioapic_state. */
struct ioapic_user {
	u64 base_address;
	u32 ioregsel;
	u32 id;
	u32 irr;
	u32 pad;
	u64 redirtbl[IOAPIC_PINS];
};

static_assert(sizeof(struct ioapic_user) == 216, "layout of kvm_ioapic_state");

/* Every byte of @out is filled; irr is the levels of the pins. */
void ioapic_export(const struct ioapic *io, struct ioapic_user *out);

/*
 * Replaces the state. Any bytes are accepted: reserved bits are dropped, remote IRR is kept on level
 * entries only. Returns the pins for which the caller has to call ioapic_redeliver(). Routes have
 * changed. The base is taken as it is: the caller may refuse or ignore another one.
 */
u32 ioapic_import(struct ioapic *io, const struct ioapic_user *in);

#endif /* KEEL_PURE_IOAPIC_H */
