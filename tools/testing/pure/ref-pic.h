/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A second pair of 8259As for tests, naive: an array per property with one element per IRQ,
 * priorities as a list of inputs, the slave's INT asked for when it is needed. play_pic() does one
 * random operation on both and compares all that can be seen.
 *
 * The includer defines MODEL_CHECK(cond) and `u32 draw(void)`, of which 8 bits count.
 */
#ifndef KEEL_REF_PIC_H
#define KEEL_REF_PIC_H

#include "harness.h"
#include "pic.h"

struct ref_chip {
	int order[8];			/* inputs, highest priority first */
	int words[4], next_word;	/* initialization words still to come, 0-terminated */
	u8 base;
	bool ris, poll, smm, aeoi, rotate_aeoi, sfnm, ic4;
};

struct ref_pic {
	bool line[16], latch[16], level[16], served[16], masked[16];
	struct ref_chip chip[2];
};

static struct pic_pair pic;
static struct ref_pic ref;

static void ref_lowest(struct ref_chip *c, int input)
{
	for (int i = 0; i < 8; i++)
		c->order[i] = (input + 1 + i) % 8;
}

static int ref_choice(const struct ref_pic *r, int which)
{
	const struct ref_chip *c = &r->chip[which];

	if (c->words[c->next_word])
		return -1;
	for (int i = 0; i < 8; i++) {
		int input = c->order[i], irq = 8 * which + input;
		bool wants = r->level[irq] ? r->line[irq] : r->latch[irq];
		bool busy = r->served[irq] && !(c->smm && r->masked[irq]);

		if (irq == 2)
			wants = ref_choice(r, 1) >= 0;
		if (wants && !r->masked[irq] && (!busy || (irq == 2 && c->sfnm)))
			return input;
		if (busy)
			return -1;
	}
	return -1;
}

static u16 ref_ack(struct ref_pic *r, int which, int input)
{
	struct ref_chip *c = &r->chip[which];
	int irq = 8 * which + input;

	r->latch[irq] = false;
	if (!c->aeoi) {
		r->served[irq] = true;
		return 0;
	}
	if (c->rotate_aeoi)
		ref_lowest(c, input);
	return irq == 2 ? 0 : 1 << irq;
}

static u8 ref_byte(const struct ref_pic *r, int which, char what)
{
	u8 v = 0;

	for (int i = 0; i < 8; i++) {
		int irq = 8 * which + i;
		bool bit;

		switch (what) {
		case 'r':
			bit = r->level[irq] ? r->line[irq] : r->latch[irq];
			if (irq == 2)
				bit = ref_choice(r, 1) >= 0;
			break;
		case 's':
			bit = r->served[irq];
			break;
		case 'l':
			bit = r->line[irq];
			if (irq == 2)
				bit = ref_choice(r, 1) >= 0;
			break;
		case 'e':
			bit = r->level[irq];
			break;
		default:
			bit = r->masked[irq];
			break;
		}
		v |= bit << i;
	}
	return v;
}

static u16 ref_end(struct ref_pic *r, int which, int input, bool rotate)
{
	int irq = 8 * which + input;
	bool was;

	if (input < 0)
		return 0;
	was = r->served[irq];
	r->served[irq] = false;
	if (rotate)
		ref_lowest(&r->chip[which], input);
	return was && irq != 2 ? 1 << irq : 0;
}

static u16 ref_command(struct ref_pic *r, int which, u8 v)
{
	struct ref_chip *c = &r->chip[which];
	int input = -1, n = 0;
	u16 ended = 0;

	if (v & 0x10) {
		for (int i = 0; i < 8; i++) {
			int irq = 8 * which + i;

			ended |= ref_end(r, which, i, false);
			r->latch[irq] = r->masked[irq] = false;
		}
		*c = (struct ref_chip){ .base = c->base, .ic4 = v & 1 };
		ref_lowest(c, 7);
		c->words[n++] = 2;
		if (!(v & 2))
			c->words[n++] = 3;
		if (v & 1)
			c->words[n++] = 4;
		return ended;
	}
	if (v & 8) {
		if ((v & 0x60) == 0x60)
			c->smm = true;
		if ((v & 0x60) == 0x40)
			c->smm = false;
		if ((v & 3) == 3)
			c->ris = true;
		if ((v & 3) == 2)
			c->ris = false;
		c->poll = v & 4;
		return 0;
	}
	for (int i = 7; i >= 0; i--) {
		int irq = 8 * which + c->order[i];

		if (r->served[irq] && !(c->smm && r->masked[irq]))
			input = c->order[i];
	}
	switch (v & 0xe0) {
	case 0x00:
		c->rotate_aeoi = false;
		break;
	case 0x80:
		c->rotate_aeoi = true;
		break;
	case 0x20:
		return ref_end(r, which, input, false);
	case 0xa0:
		return ref_end(r, which, input, true);
	case 0x60:
		return ref_end(r, which, v & 7, false);
	case 0xe0:
		return ref_end(r, which, v & 7, true);
	case 0xc0:
		ref_lowest(c, v & 7);
		break;
	}
	return 0;
}

static u16 ref_write(struct ref_pic *r, u16 port, u8 v)
{
	int which = port == 0xa0 || port == 0xa1 || port == 0x4d1;
	struct ref_chip *c = &r->chip[which];

	switch (port) {
	case 0x20:
	case 0xa0:
		return ref_command(r, which, v);
	case 0x21:
	case 0xa1:
		switch (c->words[c->next_word]) {
		case 0:
			for (int i = 0; i < 8; i++)
				r->masked[8 * which + i] = v >> i & 1;
			return 0;
		case 2:
			c->base = v - v % 8;
			break;
		case 4:
			c->aeoi = v & 2;
			c->sfnm = v & 16;
			break;
		}
		c->next_word++;
		return 0;
	case 0x4d0:
	case 0x4d1:
		for (int i = 0; i < 8; i++) {
			int irq = 8 * which + i;
			bool level = v >> i & 1;

			if (irq < 3 || irq == 8 || irq == 13)
				continue;
			if (r->level[irq] && !level)
				r->latch[irq] = r->line[irq];
			r->level[irq] = level;
		}
	}
	return 0;
}

static u16 ref_read(struct ref_pic *r, u16 port, u8 *v)
{
	int which = port == 0xa0 || port == 0xa1 || port == 0x4d1, input;
	struct ref_chip *c = &r->chip[which];

	*v = 0xff;
	if (port == 0x4d0 || port == 0x4d1) {
		*v = ref_byte(r, which, 'e');
	} else if ((port & ~0x81) == 0x20) {
		if (c->poll) {
			c->poll = false;
			input = ref_choice(r, which);
			*v = input < 0 ? 0 : 0x80 + input;
			return input < 0 ? 0 : ref_ack(r, which, input);
		}
		*v = ref_byte(r, which, port & 1 ? 'm' : c->ris ? 's' : 'r');
	}
	return 0;
}

static int ref_line(struct ref_pic *r, unsigned int irq, bool level)
{
	bool before, edge;

	if (irq > 15 || irq == 2)
		return -1;
	before = r->level[irq] ? r->line[irq] : r->latch[irq] || r->line[irq];
	edge = level && !r->line[irq];
	r->line[irq] = level;
	if (edge)
		r->latch[irq] = true;
	if (!level)
		return 1;
	if (r->masked[irq] || (irq > 7 && r->masked[2]))
		return -1;
	return !before;
}

static u8 ref_intack(struct ref_pic *r, u16 *ended)
{
	int input = ref_choice(r, 0), second;

	*ended = 0;
	if (input < 0)
		return r->chip[0].base + 7;
	second = ref_choice(r, 1);
	*ended = ref_ack(r, 0, input);
	if (input != 2)
		return r->chip[0].base + input;
	*ended |= ref_ack(r, 1, second);
	return r->chip[1].base + second;
}

/* What the model makes of an imported state. */
static void ref_import(struct ref_pic *r, int which, const struct pic_user *in)
{
	struct ref_chip *c = &r->chip[which];
	static const int after[4][4] = { { 0 }, { 2, 3, 4 }, { 3, 4 }, { 4 } };
	int state = in->init_state < 4 ? in->init_state : 0;

	memset(c, 0, sizeof(*c));
	for (int i = 0; i < 8; i++) {
		int irq = 8 * which + i;

		r->level[irq] = in->elcr >> i & 1 && irq > 2 && irq != 8 && irq != 13;
		r->latch[irq] = in->irr >> i & 1;
		r->line[irq] = in->last_irr >> i & 1 || (r->level[irq] && r->latch[irq]);
		r->served[irq] = in->isr >> i & 1;
		r->masked[irq] = in->imr >> i & 1;
	}
	ref_lowest(c, (in->priority_add + 7) % 8);
	for (int i = 0; i < 3; i++)
		c->words[i] = after[state][i] == 4 && state != 3 && !in->init4 ? 0 : after[state][i];
	c->base = in->irq_base - in->irq_base % 8;
	c->ris = in->read_reg_select;
	c->poll = in->poll;
	c->smm = in->special_mask;
	c->aeoi = in->auto_eoi;
	c->rotate_aeoi = in->rotate_on_auto_eoi;
	c->sfnm = in->special_fully_nested_mode;
	c->ic4 = in->init4;
}

static void ref_compare(void)
{
	for (int which = 0; which < 2; which++) {
		const struct ref_chip *c = &ref.chip[which];
		struct pic_user u;

		pic_export(&pic, which, &u);
		MODEL_CHECK(u.irr == ref_byte(&ref, which, 'r'));
		MODEL_CHECK(u.imr == ref_byte(&ref, which, 'm'));
		MODEL_CHECK(u.isr == ref_byte(&ref, which, 's'));
		MODEL_CHECK(u.elcr == ref_byte(&ref, which, 'e'));
		MODEL_CHECK(u.last_irr == ref_byte(&ref, which, 'l'));
		MODEL_CHECK(u.priority_add == c->order[0]);
		MODEL_CHECK(u.irq_base == c->base);
		MODEL_CHECK(u.read_reg_select == c->ris && u.poll == c->poll);
		MODEL_CHECK(u.special_mask == c->smm && u.auto_eoi == c->aeoi);
		MODEL_CHECK(u.rotate_on_auto_eoi == c->rotate_aeoi);
		MODEL_CHECK(u.special_fully_nested_mode == c->sfnm);
		MODEL_CHECK(u.init_state + 1 == c->words[c->next_word] ||
			    (!u.init_state && !c->words[c->next_word]));
		MODEL_CHECK(u.elcr_mask == (which ? 0xde : 0xf8));
	}
	MODEL_CHECK(pic_output(&pic) == (ref_choice(&ref, 0) >= 0));
}

static void ref_begin(void)
{
	pic_reset(&pic);
	memset(&ref, 0, sizeof(ref));
	ref_lowest(&ref.chip[0], 7);
	ref_lowest(&ref.chip[1], 7);
}

static u16 draw_port(void)
{
	static const u16 ports[] = { 0x20, 0x21, 0xa0, 0xa1, 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1 };
	unsigned int n = draw() & 63;

	return n < 60 ? ports[n % 10] : (draw() & 0xff) * 0x101;
}

static void play_pic(void)
{
	u16 port, ended, want_ended;
	struct pic_user user;
	u8 value, want;
	int which;

	switch (draw() & 15) {
	case 0:
	case 1:
	case 2:
	case 3:
		port = draw_port();
		value = draw();
		/* Mostly end of interrupt: initialization would wipe out what the others do. */
		if (!(port & 0x401) && value & 0x10 && draw() & 7)
			value &= ~0x10;
		MODEL_CHECK(pic_port_write(&pic, port, value) == ref_write(&ref, port, value));
		break;
	case 4:
	case 5:
		port = draw_port();
		ended = pic_port_read(&pic, port, &value);
		want_ended = ref_read(&ref, port, &want);
		MODEL_CHECK(ended == want_ended);
		MODEL_CHECK(value == want);
		break;
	case 6:
	case 7:
	case 8:
	case 9:
		value = draw() & 31;
		which = draw() & 1;
		MODEL_CHECK((int)pic_set_irq(&pic, value & 16 ? value & 7 : value, which) ==
			    ref_line(&ref, value & 16 ? value & 7 : value, which));
		break;
	case 10:
		value = draw();
		pic_set_irq(&pic, value & 15, true);
		ref_line(&ref, value & 15, true);
		MODEL_CHECK((int)pic_set_irq(&pic, value & 15, false) == ref_line(&ref, value & 15, false));
		MODEL_CHECK((int)pic_set_irq(&pic, value | 16, true) == -1);
		break;
	case 11:
	case 12:
	case 13:
		if (draw() & 3 && !pic_output(&pic))
			break;
		value = pic_intack(&pic, &ended);
		want = ref_intack(&ref, &want_ended);
		MODEL_CHECK(value == want && ended == want_ended);
		break;
	case 14:
		/* Nothing that can be exported is lost, in either order. */
		which = draw() & 1;
		if (pic.chip[which].init_state || pic.chip[!which].init_state)
			break;
		{
			struct pic_pair copy;
			struct pic_user other;

			memset(&copy, 0xa5, sizeof(copy));
			pic_reset(&copy);
			pic_export(&pic, which, &user);
			pic_export(&pic, !which, &other);
			pic_import(&copy, which, &user);
			pic_import(&copy, !which, &other);
			pic = copy;
		}
		break;
	default:
		if (draw() & 3)
			break;
		which = draw() & 1;
		for (unsigned int i = 0; i < sizeof(user); i++)
			((u8 *)&user)[i] = draw();
		if (draw() & 1)
			user.init_state = 0;
		pic_import(&pic, which, &user);
		ref_import(&ref, which, &user);
		break;
	}
	ref_compare();
}

#endif /* KEEL_REF_PIC_H */
