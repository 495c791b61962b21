/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The PC's pair of 8259A interrupt controllers: the slave's INT is wired to the master's IR2, and
 * ELCR registers at 0x4d0/0x4d1 choose edge or level per input.
 *
 * The caller serializes all calls on one pair. After every call that takes a non-const pair the
 * INT line may have changed: look at pic_output().
 */
#ifndef KEEL_PURE_PIC_H
#define KEEL_PURE_PIC_H

#include "types.h"

#define PIC_MASTER 0u			/* chip indices; also KVM_IRQCHIP_PIC_* */
#define PIC_SLAVE 1u
#define PIC_IRQS 16u
#define PIC_CASCADE_IRQ 2u

/* What the guest can address. */
#define PIC_PORT_MASTER 0x20u		/* and 0x21 */
#define PIC_PORT_SLAVE 0xa0u		/* and 0xa1 */
#define PIC_PORT_ELCR 0x4d0u		/* master; 0x4d1 slave */

/* One 8259A. */
struct pic_chip {
	u8 lines;			/* levels of the inputs */
	u8 irr;				/* requests: latched edges, levels of level inputs */
	u8 imr;
	u8 isr;
	u8 highest;			/* input of highest priority, 0..7 */
	u8 base;			/* vector of input 0, a multiple of 8 */
	u8 init_state;			/* 0 ready, else the ICW that comes next, less one: 1..3 */
	u8 elcr;			/* 1: level input */
	bool read_isr;			/* status reads give ISR, not IRR */
	bool poll;			/* the next read is an acknowledgement */
	bool special_mask;
	bool auto_eoi;
	bool rotate_on_auto_eoi;
	bool special_fully_nested;
	bool icw4_needed;
	bool single;			/* ICW1.SNGL: no ICW3 comes; only meaningful while init_state */
};

/* Invariant: bit 2 of the master's lines and irr is the slave's INT. */
struct pic_pair {
	struct pic_chip chip[2];
};

/* Answers of pic_set_irq(), as KVM_IRQ_LINE_STATUS reports them. */
enum pic_status {
	PIC_IGNORED = -1,		/* masked, here or at IR2 (an edge stays latched); or IRQ 2 */
	PIC_COALESCED = 0,		/* was requested already */
	PIC_DELIVERED = 1,		/* a new request, or the line went down */
};

/* Power-on state: nothing requested, masked or in service; edge inputs; base 0. Lines are low. */
void pic_reset(struct pic_pair *pair);

/* Is @port one of the six? */
bool pic_has_port(u16 port);

/*
 * OUT of one byte to @port. Returns the IRQs (bit n: IRQ n, 0..15, never 2) whose service ended
 * through it, for acknowledgement notifiers. 0 for a port that is not the pair's.
 */
u16 pic_port_write(struct pic_pair *pair, u16 port, u8 value);

/*
 * IN of one byte from @port into @value (0xff for a port that is not the pair's). A read after a
 * poll command acknowledges; returns the IRQs whose service ended at once, because of automatic EOI.
 */
u16 pic_port_read(struct pic_pair *pair, u16 port, u8 *value);

/*
 * Sets the level of input @irq, after the caller has ORed its sources. A rising edge on an edge
 * input stays latched when the line falls (the real chip would make it spurious), so a pulse is not
 * lost. @irq 2 and above 15: PIC_IGNORED, without effect.
 */
enum pic_status pic_set_irq(struct pic_pair *pair, unsigned int irq, bool level);

/* Level of the pair's INT output, the master's. */
bool pic_output(const struct pic_pair *pair);

/*
 * The processor's interrupt acknowledge: puts the chosen IRQ in service and returns its vector;
 * without a request the spurious vector, the master's 7, with nothing in service. (IR2 follows the
 * slave's INT, so the slave is never asked in vain.) @ended receives the IRQs (as in
 * pic_port_write()) whose service ended at once, by automatic EOI.
 */
u8 pic_intack(struct pic_pair *pair, u16 *ended);

/* The layout is that of struct kvm_pic_state. */
struct pic_user {
	u8 last_irr, irr, imr, isr;
	u8 priority_add, irq_base;
	u8 read_reg_select, poll, special_mask, init_state;
	u8 auto_eoi, rotate_on_auto_eoi, special_fully_nested_mode, init4;
	u8 elcr, elcr_mask;
};

static_assert(sizeof(struct pic_user) == 16, "layout of kvm_pic_state");

/* State of chip @which (PIC_MASTER or PIC_SLAVE); every byte of @out is filled. */
void pic_export(const struct pic_pair *pair, unsigned int which, struct pic_user *out);

/*
 * Replaces the state of chip @which. Any bytes are accepted: values out of range are cut to what
 * the chip can hold, the wiring (elcr_mask, IR2) is not taken from @in. The master and the slave
 * may come in either order.
 */
void pic_import(struct pic_pair *pair, unsigned int which, const struct pic_user *in);

#endif /* KEEL_PURE_PIC_H */
