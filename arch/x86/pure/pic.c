// SPDX-License-Identifier: GPL-2.0-only
/*
 * The PC's pair of 8259A interrupt controllers.
 *
 * It owns the registers of both chips, the cascade and the ELCR. It does not own the sources of the
 * lines (the caller ORs them), the processor's INTR pin, or any lock. Any context.
 *
 * Two liberties: an edge stays latched when its line falls before the acknowledgement, so that user
 * space can pulse a line; and no INT goes out while a chip waits for initialization words. What the
 * wiring of a PC fixes is accepted and ignored: MCS-80 mode, buffered mode, LTIM (ELCR stands in for
 * it) and ICW3.
 *
 * Intel data sheet 8259A Programmable Interrupt Controller: "Interrupt Sequence", "Initialization
 * Command Words", "Operation Command Words", "Fully Nested Mode", "End of Interrupt", "Automatic
 * Rotation", "Specific Rotation", "Special Mask Mode", "Poll Command", "Reading the 8259A Status",
 * "Edge and Level Triggered Modes", "The Special Fully Nested Mode", "Cascade Mode". Intel 82371AB
 * data sheet: "ELCR1", "ELCR2".
 */
#include "pic.h"

#define NO_INPUT 8u
#define CASCADE (1u << PIC_CASCADE_IRQ)
#define SPURIOUS_INPUT 7u

#define ICW1 0x10u			/* with A0 = 0: starts initialization */
#define ICW1_IC4 0x01u
#define ICW1_SNGL 0x02u
#define ICW4_AEOI 0x02u
#define ICW4_SFNM 0x10u
#define OCW2_LEVEL 0x07u
#define OCW2_COMMAND_SHIFT 5
#define OCW3 0x08u
#define OCW3_RIS 0x01u
#define OCW3_RR 0x02u
#define OCW3_P 0x04u
#define OCW3_SMM 0x20u
#define OCW3_ESMM 0x40u

enum init_state {
	INIT_DONE,
	INIT_ICW2,
	INIT_ICW3,
	INIT_ICW4,
};

/* Inputs that may be level: not the timer, the keyboard, the cascade; nor the clock and the FPU. */
static const u8 elcr_mask[2] = { 0xf8, 0xde };

/* Place of the first of @inputs in order of priority, 0 the highest; NO_INPUT if there is none. */
static unsigned int first_place(const struct pic_chip *chip, unsigned int inputs)
{
	unsigned int place;

	for (place = 0; place < 8; place++) {
		if (inputs & 1u << ((chip->highest + place) & 7))
			return place;
	}
	return NO_INPUT;
}

static unsigned int input_at(const struct pic_chip *chip, unsigned int place)
{
	return (chip->highest + place) & 7;
}

/* In-service inputs that take part in the priority decision. */
static unsigned int serving(const struct pic_chip *chip)
{
	return chip->special_mask ? chip->isr & ~chip->imr : chip->isr;
}

/* The input for which @chip drives INT, or NO_INPUT. */
static unsigned int chosen(const struct pic_chip *chip, bool master)
{
	unsigned int place, input, busy = serving(chip);

	if (chip->init_state)
		return NO_INPUT;
	place = first_place(chip, chip->irr & ~chip->imr);
	if (place == NO_INPUT)
		return NO_INPUT;
	input = input_at(chip, place);
	/* A slave in service does not lock itself out: it knows its own priorities. */
	if (master && chip->special_fully_nested && input == PIC_CASCADE_IRQ)
		busy &= ~CASCADE;
	return place < first_place(chip, busy) ? input : NO_INPUT;
}

static void set_bit_to(u8 *bits, unsigned int bit, bool on)
{
	*bits = on ? *bits | bit : *bits & ~bit;
}

/* The wire between the chips. */
static void cascade(struct pic_pair *pair)
{
	bool level = chosen(&pair->chip[PIC_SLAVE], false) != NO_INPUT;

	set_bit_to(&pair->chip[PIC_MASTER].lines, CASCADE, level);
	set_bit_to(&pair->chip[PIC_MASTER].irr, CASCADE, level);
}

/* Inputs of @which as IRQs, without the cascade. */
static u16 as_irqs(unsigned int which, unsigned int inputs)
{
	return which == PIC_SLAVE ? inputs << 8 : inputs & ~CASCADE;
}

/* INTA or poll: @input goes into service. Returns its bit if the service ended at once. */
static unsigned int acknowledge(struct pic_chip *chip, unsigned int input)
{
	unsigned int bit = 1u << input;

	if (!(chip->elcr & bit))
		chip->irr &= ~bit;
	if (!chip->auto_eoi) {
		chip->isr |= bit;
		return 0;
	}
	if (chip->rotate_on_auto_eoi)
		chip->highest = (input + 1) & 7;
	return bit;
}

/*
 * The edge sense circuit is reset: latched edges are lost, level requests are what their lines are.
 * The sheet does not name ISR; nothing could end a service that the new program does not know of.
 */
static unsigned int start_init(struct pic_chip *chip, u8 value)
{
	unsigned int ended = chip->isr;

	chip->irr &= chip->elcr;
	chip->isr = 0;
	chip->imr = 0;
	chip->highest = 0;
	chip->read_isr = false;
	chip->poll = false;
	chip->special_mask = false;
	chip->auto_eoi = false;
	chip->rotate_on_auto_eoi = false;
	chip->special_fully_nested = false;
	chip->icw4_needed = value & ICW1_IC4;
	chip->single = value & ICW1_SNGL;
	chip->init_state = INIT_ICW2;
	return ended;
}

static void next_init(struct pic_chip *chip, u8 value)
{
	switch (chip->init_state) {
	case INIT_ICW2:
		chip->base = value & 0xf8;
		if (!chip->single) {
			chip->init_state = INIT_ICW3;
			return;
		}
		break;
	case INIT_ICW3:
		break;
	default:
		chip->auto_eoi = value & ICW4_AEOI;
		chip->special_fully_nested = value & ICW4_SFNM;
		chip->init_state = INIT_DONE;
		return;
	}
	chip->init_state = chip->icw4_needed ? INIT_ICW4 : INIT_DONE;
}

/* Ends service of @input, if it was in service; returns its bit then. */
static unsigned int end_service(struct pic_chip *chip, unsigned int input, bool rotate)
{
	unsigned int ended;

	if (input == NO_INPUT)
		return 0;
	ended = chip->isr & 1u << input;
	chip->isr &= ~ended;
	if (rotate)
		chip->highest = (input + 1) & 7;
	return ended;
}

static unsigned int write_ocw2(struct pic_chip *chip, u8 value)
{
	unsigned int level = value & OCW2_LEVEL, place = first_place(chip, serving(chip));
	unsigned int in_service = place == NO_INPUT ? NO_INPUT : input_at(chip, place);

	switch (value >> OCW2_COMMAND_SHIFT) {
	case 0:	/* rotate in automatic EOI mode: clear */
	case 4:	/* set */
		chip->rotate_on_auto_eoi = value >> 7;
		return 0;
	case 1:	/* non-specific EOI */
		return end_service(chip, in_service, false);
	case 3:	/* specific EOI */
		return end_service(chip, level, false);
	case 5:	/* rotate on non-specific EOI */
		return end_service(chip, in_service, true);
	case 6:	/* set priority: the level is the lowest */
		chip->highest = (level + 1) & 7;
		return 0;
	case 7:	/* rotate on specific EOI */
		return end_service(chip, level, true);
	default:
		return 0;
	}
}

static void write_ocw3(struct pic_chip *chip, u8 value)
{
	if (value & OCW3_ESMM)
		chip->special_mask = value & OCW3_SMM;
	if (value & OCW3_RR)
		chip->read_isr = value & OCW3_RIS;
	chip->poll = value & OCW3_P;
}

/* An input that becomes level has no latch. */
static void write_elcr(struct pic_pair *pair, unsigned int which, u8 value)
{
	struct pic_chip *chip = &pair->chip[which];

	chip->elcr = value & elcr_mask[which];
	chip->irr = (chip->irr & ~chip->elcr) | (chip->lines & chip->elcr);
}

void pic_reset(struct pic_pair *pair)
{
	memset(pair, 0, sizeof(*pair));
}

bool pic_has_port(u16 port)
{
	port &= ~1u;
	return port == PIC_PORT_MASTER || port == PIC_PORT_SLAVE || port == PIC_PORT_ELCR;
}

u16 pic_port_write(struct pic_pair *pair, u16 port, u8 value)
{
	unsigned int which = port >= PIC_PORT_SLAVE ? PIC_SLAVE : PIC_MASTER, ended = 0;
	struct pic_chip *chip = &pair->chip[which];

	if (!pic_has_port(port))
		return 0;
	if (port >= PIC_PORT_ELCR)
		write_elcr(pair, port & 1, value);
	else if (port & 1) {
		if (chip->init_state)
			next_init(chip, value);
		else
			chip->imr = value;
	} else if (value & ICW1)
		ended = start_init(chip, value);
	else if (value & OCW3)
		write_ocw3(chip, value);
	else
		ended = write_ocw2(chip, value);
	cascade(pair);
	return as_irqs(which, ended);
}

u16 pic_port_read(struct pic_pair *pair, u16 port, u8 *value)
{
	unsigned int which = port >= PIC_PORT_SLAVE ? PIC_SLAVE : PIC_MASTER, input, ended = 0;
	struct pic_chip *chip = &pair->chip[which];

	*value = 0xff;
	if (!pic_has_port(port))
		return 0;
	if (port >= PIC_PORT_ELCR) {
		*value = pair->chip[port & 1].elcr;
		return 0;
	}
	if (!chip->poll) {
		*value = port & 1 ? chip->imr : chip->read_isr ? chip->isr : chip->irr;
		return 0;
	}
	chip->poll = false;
	input = chosen(chip, which == PIC_MASTER);
	*value = 0;
	if (input != NO_INPUT) {
		*value = 0x80 | input;
		ended = acknowledge(chip, input);
	}
	cascade(pair);
	return as_irqs(which, ended);
}

enum pic_status pic_set_irq(struct pic_pair *pair, unsigned int irq, bool level)
{
	struct pic_chip *master = &pair->chip[PIC_MASTER], *chip;
	unsigned int bit = 1u << (irq & 7);
	bool risen, requested;

	if (irq >= PIC_IRQS || irq == PIC_CASCADE_IRQ)
		return PIC_IGNORED;
	chip = &pair->chip[irq >> 3];
	risen = level && !(chip->lines & bit);
	requested = chip->irr & bit;
	set_bit_to(&chip->lines, bit, level);
	if (risen)
		chip->irr |= bit;
	else if (!level && chip->elcr & bit)
		chip->irr &= ~bit;
	cascade(pair);
	if (!level)
		return PIC_DELIVERED;
	if (chip->imr & bit || (chip != master && master->imr & CASCADE))
		return PIC_IGNORED;
	return risen && !requested ? PIC_DELIVERED : PIC_COALESCED;
}

bool pic_output(const struct pic_pair *pair)
{
	return chosen(&pair->chip[PIC_MASTER], true) != NO_INPUT;
}

u8 pic_intack(struct pic_pair *pair, u16 *ended)
{
	struct pic_chip *chip = &pair->chip[PIC_MASTER];
	unsigned int input = chosen(chip, true);

	*ended = 0;
	if (input == NO_INPUT)
		return chip->base + SPURIOUS_INPUT;
	*ended = as_irqs(PIC_MASTER, acknowledge(chip, input));
	if (input == PIC_CASCADE_IRQ) {
		/* IR2 is up, so the slave has made its choice. */
		chip = &pair->chip[PIC_SLAVE];
		input = chosen(chip, false);
		*ended |= as_irqs(PIC_SLAVE, acknowledge(chip, input));
	}
	cascade(pair);
	return chip->base + input;
}

void pic_export(const struct pic_pair *pair, unsigned int which, struct pic_user *out)
{
	const struct pic_chip *chip = &pair->chip[which & 1];

	*out = (struct pic_user){
		.last_irr = chip->lines,
		.irr = chip->irr,
		.imr = chip->imr,
		.isr = chip->isr,
		.priority_add = chip->highest,
		.irq_base = chip->base,
		.read_reg_select = chip->read_isr,
		.poll = chip->poll,
		.special_mask = chip->special_mask,
		.init_state = chip->init_state,
		.auto_eoi = chip->auto_eoi,
		.rotate_on_auto_eoi = chip->rotate_on_auto_eoi,
		.special_fully_nested_mode = chip->special_fully_nested,
		.init4 = chip->icw4_needed,
		.elcr = chip->elcr,
		.elcr_mask = elcr_mask[which & 1],
	};
}

void pic_import(struct pic_pair *pair, unsigned int which, const struct pic_user *in)
{
	u8 elcr = in->elcr & elcr_mask[which & 1];

	/* A level input that requests is up: other makers of this structure keep the two apart. */
	pair->chip[which & 1] = (struct pic_chip){
		.lines = in->last_irr | (in->irr & elcr),
		.irr = in->irr | (in->last_irr & elcr),
		.imr = in->imr,
		.isr = in->isr,
		.highest = in->priority_add & 7,
		.base = in->irq_base & 0xf8,
		.init_state = in->init_state > INIT_ICW4 ? INIT_DONE : in->init_state,
		.elcr = elcr,
		.read_isr = in->read_reg_select,
		.poll = in->poll,
		.special_mask = in->special_mask,
		.auto_eoi = in->auto_eoi,
		.rotate_on_auto_eoi = in->rotate_on_auto_eoi,
		.special_fully_nested = in->special_fully_nested_mode,
		.icw4_needed = in->init4,
	};
	cascade(pair);
}
