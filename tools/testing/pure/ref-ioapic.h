/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A second I/O APIC for tests, naive: each pin is a record of decoded fields. play_ioapic() does
 * one random operation on both and compares all that can be seen.
 *
 * The includer defines MODEL_CHECK(cond) and `u32 draw(void)`, of which 8 bits count.
 */
#ifndef KEEL_REF_IOAPIC_H
#define KEEL_REF_IOAPIC_H

#include "harness.h"
#include "ioapic.h"

struct ref_pin {
	u8 vector, mode, dest, ext;
	bool logical, low, level, masked, remote;
	bool line;
	unsigned int streak;
};

static struct ioapic io;
static struct {
	struct ref_pin pin[24];
	u64 base;
	u8 select, id, version;
	bool ext;
} ref;

static u32 draw32(void)
{
	u32 v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 8 | (draw() & 255);
	return v;
}

static bool ref_handshake(const struct ref_pin *p)
{
	return p->level && p->mode < 2;
}

static u32 ref_half(const struct ref_pin *p, bool high)
{
	if (high)
		return (u32)p->dest << 24 | (u32)p->ext << 17;
	return p->vector | p->mode << 8 | p->logical << 11 | p->low << 13 | p->remote << 14 |
	       p->level << 15 | p->masked << 16;
}

static void ref_set_half(struct ref_pin *p, bool high, u32 v)
{
	if (high) {
		p->dest = v >> 24;
		p->ext = ref.ext ? v >> 17 & 0x7f : 0;
		return;
	}
	p->vector = v;
	p->mode = v >> 8 & 7;
	p->logical = v >> 11 & 1;
	p->low = v >> 13 & 1;
	p->level = v >> 15 & 1;
	p->masked = v >> 16 & 1;
	if (!ref_handshake(p))
		p->remote = false;
}

static void ref_message(const struct ref_pin *p, struct ioapic_message *m)
{
	memset(m, 0, sizeof(*m));
	m->dest = p->dest + 256 * p->ext;
	m->vector = p->vector;
	m->mode = p->mode;
	m->logical = p->logical;
	m->level = ref_handshake(p);
}

static void ref_send(unsigned int n, struct ioapic_effect *e)
{
	e->send = true;
	e->pin = n;
	ref_message(&ref.pin[n], &e->message);
	ref.pin[n].remote = ref_handshake(&ref.pin[n]);
}

/* A level pin sends whenever its line is up and nothing holds it. */
static void ref_poll(unsigned int n, struct ioapic_effect *e)
{
	struct ref_pin *p = &ref.pin[n];

	if (ref_handshake(p) && p->line && !p->masked && !p->remote)
		ref_send(n, e);
}

static void ref_eoi(u8 vector, struct ioapic_effect *e)
{
	for (unsigned int n = 0; n < 24; n++) {
		struct ref_pin *p = &ref.pin[n];

		if (p->mode > 1 || p->vector != vector)
			continue;
		e->matched += 1u << n;
		if (!p->remote)
			continue;
		p->remote = false;
		e->ended += 1u << n;
		if (!p->line || p->masked)
			continue;
		if (++p->streak % IOAPIC_STORM_EOIS)
			e->redeliver += 1u << n;
		else
			e->delayed += 1u << n;
	}
}

static int ref_line(unsigned int n, bool level, struct ioapic_effect *e)
{
	struct ref_pin *p;
	bool rises;

	if (n > 23)
		return -1;
	p = &ref.pin[n];
	rises = level && !p->line;
	p->line = level;
	if (!level) {
		p->streak = 0;
		return 1;
	}
	if (p->masked || p->mode == 3 || p->mode == 6)
		return -1;
	if (ref_handshake(p)) {
		ref_poll(n, e);
		return e->send;
	}
	if (!rises)
		return 0;
	ref_send(n, e);
	return 1;
}

static void ref_write(u32 offset, u32 v, struct ioapic_effect *e)
{
	if (offset == 0)
		ref.select = v;
	if (offset == 0x40 && ref.version >= 0x20)
		ref_eoi(v, e);
	if (offset != 0x10)
		return;
	if (ref.select == 0)
		ref.id = v >> 24 & 15;
	if (ref.select >= 0x10 && ref.select <= 0x3f) {
		unsigned int n = ref.select / 2 - 8;
		struct ref_pin before = ref.pin[n];

		ref_set_half(&ref.pin[n], ref.select & 1, v);
		before.remote = ref.pin[n].remote;
		e->routes_changed = ref_half(&before, 0) != ref_half(&ref.pin[n], 0) ||
				    ref_half(&before, 1) != ref_half(&ref.pin[n], 1);
		ref_poll(n, e);
	}
}

static u32 ref_read(u32 offset)
{
	if (offset == 0)
		return ref.select;
	if (offset != 0x10)
		return 0;
	if (ref.select == 0 || ref.select == 2)
		return ref.id << 24;
	if (ref.select == 1)
		return 0x170000 + ref.version;
	if (ref.select >= 0x10 && ref.select <= 0x3f)
		return ref_half(&ref.pin[ref.select / 2 - 8], ref.select & 1);
	return 0;
}

static void ref_vectors(u32 pins, u32 notified, u64 *bitmap)
{
	for (unsigned int v = 0; v < 256; v++) {
		for (unsigned int n = 0; n < 24; n++) {
			const struct ref_pin *p = &ref.pin[n];

			if (pins >> n & 1 && p->mode < 2 && p->vector == v &&
			    (p->level || notified >> n & 1))
				bitmap[v >> 6] |= 1ULL << (v & 63);
		}
	}
}

static void ref_compare(void)
{
	struct ioapic_user u;

	ioapic_export(&io, &u);
	MODEL_CHECK(u.base_address == ref.base && u.ioregsel == ref.select && u.id == ref.id);
	MODEL_CHECK(!u.pad);
	for (unsigned int n = 0; n < 24; n++) {
		struct ioapic_message got, want;
		bool valid = ref.pin[n].mode != 3 && ref.pin[n].mode != 6;

		MODEL_CHECK(u.redirtbl[n] == ((u64)ref_half(&ref.pin[n], 1) << 32 |
					      ref_half(&ref.pin[n], 0)));
		MODEL_CHECK((u.irr >> n & 1) == ref.pin[n].line);
		MODEL_CHECK(ioapic_masked(&io, n) == ref.pin[n].masked);
		memset(&want, 0, sizeof(want));
		if (valid)
			ref_message(&ref.pin[n], &want);
		MODEL_CHECK(ioapic_route(&io, n, &got) == valid);
		MODEL_CHECK(!memcmp(&got, &want, sizeof(got)));
	}
	MODEL_CHECK(!(u.irr >> 24));
}

static void ref_begin(u8 version, bool ext)
{
	ioapic_init(&io, version, ext);
	memset(&ref, 0, sizeof(ref));
	for (unsigned int n = 0; n < 24; n++)
		ref.pin[n].masked = true;
	ref.base = 0xfec00000;
	ref.version = version;
	ref.ext = ext;
}

/* Random words would seldom make two pins share a vector, or leave one unmasked. */
static u32 draw_entry(void)
{
	u32 v = draw32();

	if (v & 0x80000000)
		return v;
	return (v & ~0x107fe) | 0x30;
}

static void play_import(void)
{
	struct ioapic_user u;
	u32 due = 0;

	for (unsigned int n = 0; n < 24; n++)
		u.redirtbl[n] = (u64)draw32() << 32 | draw_entry();
	u.base_address = (u64)draw32() << 32 | draw32();
	u.ioregsel = draw32();
	u.id = draw32();
	u.irr = draw32();
	u.pad = draw32();
	for (unsigned int n = 0; n < 24; n++) {
		struct ref_pin *p = &ref.pin[n];

		ref_set_half(p, false, u.redirtbl[n]);
		ref_set_half(p, true, u.redirtbl[n] >> 32);
		p->remote = ref_handshake(p) && u.redirtbl[n] >> 14 & 1;
		p->line = u.irr >> n & 1;
		p->streak = 0;
		due |= (u32)(ref_handshake(p) && p->line && !p->masked && !p->remote) << n;
	}
	ref.base = u.base_address;
	ref.select = u.ioregsel;
	ref.id = u.id & 15;
	MODEL_CHECK(ioapic_import(&io, &u) == due);
}

static void play_ioapic(void)
{
	struct ioapic_effect got, want;
	u64 bitmap[4] = { 1, 2, 4, 8 }, want_bitmap[4] = { 1, 2, 4, 8 };
	u32 v = draw(), pin = (v >> 4 & 15) | (v & 8 ? 16 : 0), offset, notified;
	struct ioapic_user user;

	memset(&want, 0, sizeof(want));
	memset(&got, 0x5a, sizeof(got));
	switch (v & 7) {
	case 0:		/* a register chosen and written */
		offset = draw() & 63;
		ioapic_mmio_write(&io, 0, offset, &got);
		ref_write(0, offset, &want);
		MODEL_CHECK(!memcmp(&got, &want, sizeof(got)));
		v = draw_entry();
		ioapic_mmio_write(&io, 0x10, v, &got);
		ref_write(0x10, v, &want);
		break;
	case 1:		/* any access */
		offset = draw() & 0x53;
		v = draw32();
		ioapic_mmio_write(&io, offset, v, &got);
		ref_write(offset, v, &want);
		break;
	case 2:
	case 3:
		offset = draw();
		MODEL_CHECK((int)ioapic_set_irq(&io, pin, offset & 1, &got) ==
			    ref_line(pin, offset & 1, &want));
		break;
	case 4:
	case 5:
		offset = draw();
		v = ref.pin[offset % 24].vector;
		ioapic_eoi(&io, v, &got);
		ref_eoi(v, &want);
		MODEL_CHECK(!memcmp(&got, &want, sizeof(got)));
		for (pin = 0; pin < 24; pin++) {
			if (!(want.redeliver >> pin & 1))
				continue;
			memset(&want, 0, sizeof(want));
			ioapic_redeliver(&io, pin, &got);
			ref_poll(pin, &want);
			MODEL_CHECK(!memcmp(&got, &want, sizeof(got)));
			break;
		}
		ref_compare();
		return;
	case 6:
		if (pin < 24)
			ref.pin[pin].remote = false;
		ioapic_refused(&io, pin);
		memset(&got, 0, sizeof(got));
		MODEL_CHECK(ioapic_mmio_read(&io, 0x10) == ref_read(0x10));
		break;
	default:
		memset(&got, 0, sizeof(got));
		v = draw();
		if (v < 8) {
			play_import();
		} else if (v < 64) {
			ioapic_export(&io, &user);
			ioapic_import(&io, &user);
			for (pin = 0; pin < 24; pin++)
				ref.pin[pin].streak = 0;
		} else if (v < 72) {
			ioapic_reset(&io);
			for (pin = 0; pin < 24; pin++)
				ref.pin[pin] = (struct ref_pin){ .masked = true, .line = ref.pin[pin].line };
			ref.select = ref.id = 0;
		} else if (v < 128) {
			v = draw32();
			notified = draw32();
			ioapic_eoi_vectors(&io, v, notified, bitmap);
			ref_vectors(v, notified, want_bitmap);
			MODEL_CHECK(!memcmp(bitmap, want_bitmap, sizeof(bitmap)));
		} else {
			offset = draw() & 0x53;
			MODEL_CHECK(ioapic_mmio_read(&io, offset) == ref_read(offset));
		}
		break;
	}
	MODEL_CHECK(!memcmp(&got, &want, sizeof(got)));
	ref_compare();
}

#endif /* KEEL_REF_IOAPIC_H */
