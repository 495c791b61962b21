/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reference guest page walk, written straight down and recursively over plain memory, and the
 * engine that plays one walk against gwalk.c, shared by test-gwalk.c and fuzz-gwalk.c.
 *
 * The includer defines MODEL_CHECK(cond) and a `u64 draw(void)` source before including this.
 */
#ifndef KEEL_REF_GWALK_H
#define KEEL_REF_GWALK_H

#include "gwalk.h"
#include "harness.h"

#define MEM_PAGES 12
#define MEM_BYTES (MEM_PAGES * 4096)
#define BIT_SET(word, n) ((word) >> (n) & 1)

struct memory {
	u8 byte[MEM_BYTES];
};

struct outcome {
	enum gwalk_status status;
	u64 gpa;
	u32 error, rights;
	unsigned int shift;
	bool writable_now;
};

static u64 below(u64 n)
{
	return draw() % n;
}

static bool mem_read(const struct memory *mem, u64 gpa, u32 size, u64 *value)
{
	*value = 0;
	if (gpa > MEM_BYTES - size)
		return false;
	memcpy(value, mem->byte + gpa, size);
	return true;
}

static void mem_write(struct memory *mem, u64 gpa, u32 size, u64 value)
{
	memcpy(mem->byte + gpa, &value, size);
}

/* -- the reference ------------------------------------------------------------------------------- */

static bool ref_reserved(const struct gwalk_ctx *c, u64 e, unsigned int level)
{
	bool large = e & 0x80;
	unsigned int bit;

	if (c->mode == GWALK_32BIT) {
		if (level == 1 || !large || !c->pse)
			return false;
		if (BIT_SET(e, 21))
			return true;
		for (bit = 13; bit <= 20; bit++)
			if (BIT_SET(e, bit) && (!c->pse36 || bit + 19 >= c->maxphyaddr))
				return true;
		return false;
	}
	for (bit = c->maxphyaddr; bit < 52; bit++)
		if (BIT_SET(e, bit))
			return true;
	if (BIT_SET(e, 63) && (!c->nxe || (c->mode == GWALK_PAE && level == 3)))
		return true;
	if (c->mode == GWALK_PAE && (e >> 52 & 0x7ff))
		return true;
	if (c->mode == GWALK_PAE && level == 3)
		return e & (c->pdpte_walk ? 0x1c6 : 0x1e6);
	if (level == 1 || !large)
		return false;
	if (level >= 4 || (level == 3 && !c->gbpages))
		return true;
	for (bit = 13; bit < (level == 3 ? 30 : 21); bit++)
		if (BIT_SET(e, bit))
			return true;
	return false;
}

/* May the page with these combined bits be used so? *key: a protection key is in the way. */
static bool ref_allowed(const struct gwalk_ctx *c, bool w, bool u, bool nx, u64 leaf, u32 access,
			bool *key)
{
	bool user = access & GWALK_USER, write = access & GWALK_WRITE, fetch = access & GWALK_FETCH;

	*key = false;
	if (c->pke && c->mode >= GWALK_4LEVEL && u && !fetch) {
		u32 rights = c->pkru >> ((leaf >> 59 & 15) * 2) & 3;

		*key = rights & 1 || (rights & 2 && write && (user || c->wp));
	}
	if (*key)
		return false;
	if (user) {
		if (!u)
			return false;
		if (fetch)
			return !nx;
		return !write || w;
	}
	if (fetch)
		return !nx && !(u && c->smep);
	if (u && c->smap && (access & GWALK_IMPLICIT || !c->ac))
		return false;
	return !write || w || !c->wp;
}

static struct outcome ref_fault(const struct gwalk_ctx *c, u32 access, u32 cause)
{
	struct outcome o = { .status = GWALK_FAULT, .error = cause };

	o.error |= (access & GWALK_WRITE ? 2 : 0) | (access & GWALK_USER ? 4 : 0);
	if (access & GWALK_FETCH && (c->smep || (c->nxe && c->mode != GWALK_32BIT)))
		o.error |= 16;
	return o;
}

static struct outcome ref_level(const struct gwalk_ctx *c, struct memory *mem, u64 table,
				unsigned int level, u64 va, u32 access, bool w, bool u, bool nx)
{
	unsigned int size = c->mode == GWALK_32BIT ? 4 : 8;
	unsigned int per = c->mode == GWALK_32BIT ? 10 : 9;
	unsigned int shift = 12 + per * (level - 1);
	u64 at = table + (va >> shift) % (1 << per) * size;
	bool pdpte = c->mode == GWALK_PAE && level == 3, leaf, key, ad = !(access & GWALK_NO_AD);
	struct outcome o;
	u64 e;

	if (pdpte && !c->pdpte_walk)
		e = c->pdpte[va >> 30 & 3];
	else if (!mem_read(mem, at, size, &e))
		return (struct outcome){ .status = GWALK_BAD_TABLE };
	if (!(e & 1))
		return ref_fault(c, access, 0);
	if (ref_reserved(c, e, level))
		return ref_fault(c, access, 9);
	if (!pdpte) {
		w &= BIT_SET(e, 1);
		u &= BIT_SET(e, 2);
		nx |= c->mode != GWALK_32BIT && c->nxe && e >> 63;
	}
	leaf = level == 1 || (e & 0x80 && !pdpte && (c->mode != GWALK_32BIT || c->pse));
	if (!leaf) {
		u64 next = e & (c->mode == GWALK_32BIT ? 0xfffff000ULL : 0x000ffffffffff000ULL);

		o = ref_level(c, mem, next, level - 1, va, access, w, u, nx);
		if (o.status == GWALK_DONE && ad && !pdpte) {
			u64 now;

			mem_read(mem, at, size, &now);
			mem_write(mem, at, size, now | 0x20);
		}
		return o;
	}
	if (!ref_allowed(c, w, u, nx, e, access, &key) && !(access & GWALK_NO_RIGHTS))
		return ref_fault(c, access, key ? 0x21 : 1);
	if (ad) {
		e |= 0x20 | (access & GWALK_WRITE ? 0x40 : 0);
		mem_write(mem, at, size, e);
	}
	o = (struct outcome){ .status = GWALK_DONE, .shift = shift };
	if (c->mode == GWALK_32BIT && level == 2)
		o.gpa = (e >> 13 & 0xff) << 32 | (e >> 22 & 0x3ff) << 22;
	else
		o.gpa = (e & 0x000fffffffffffffULL) >> shift << shift;
	o.gpa += va & ((1ULL << shift) - 1);
	o.rights = (w ? GWALK_P_WRITE : 0) | (u ? GWALK_P_USER : 0) | (nx ? 0 : GWALK_P_EXEC);
	o.writable_now = e & 0x40 && ref_allowed(c, w, u, nx, e,
						 (access | GWALK_WRITE) & ~GWALK_FETCH, &key);
	return o;
}

static struct outcome ref_walk(const struct gwalk_ctx *c, struct memory *mem, u64 va, u32 access)
{
	u64 root = c->cr3 & ~0xfffULL;
	unsigned int bits;

	switch (c->mode) {
	case GWALK_NONE:
		return (struct outcome){ GWALK_DONE, (u32)va, 0, 7, 32, true };
	case GWALK_32BIT:
		return ref_level(c, mem, (u32)root, 2, (u32)va, access, true, true, false);
	case GWALK_PAE:
		return ref_level(c, mem, (u32)c->cr3 & ~0x1fU, 3, (u32)va, access, true, true, false);
	}
	bits = c->mode == GWALK_5LEVEL ? 57 : 48;
	if ((u64)((s64)(va << (64 - bits)) >> (64 - bits)) != va)
		return (struct outcome){ .status = GWALK_NONCANONICAL };
	root &= (1ULL << c->maxphyaddr) - 1;
	return ref_level(c, mem, root, bits == 57 ? 5 : 4, va, access, true, true, false);
}

/* -- random tables --------------------------------------------------------------------------------- */

static u64 pick_entry(const struct gwalk_ctx *c)
{
	u64 e = below(16) ? 1 : 0;
	u64 page = below(24) ? below(MEM_PAGES) : below(64);

	e |= page << 12;
	e |= draw() & 0x60; /* accessed, dirty */
	e |= (below(8) ? 2 : 0) | (below(4) ? 4 : 0);
	if (!below(6))
		e |= 0x80;
	if (!below(5) && e & 0x80)
		e = (e & 0xfff) | (below(8) << 30) | (below(2) ? below(4) << 21 : 0);
	if (!below(48))
		e |= 1ULL << below(64);
	if (!below(8))
		e |= 1ULL << 63;
	if (!below(4) && c->mode >= GWALK_4LEVEL)
		e |= below(16) << 59;
	if (c->mode == GWALK_32BIT && !below(8))
		e |= 1ULL << (13 + below(9));
	if (c->mode == GWALK_PAE && below(8))
		e &= ~0x1e6ULL | 6;
	return e;
}

static void ctx_pick(struct gwalk_ctx *c)
{
	u64 bits = draw();

	memset(c, 0, sizeof(*c));
	c->mode = below(16) ? 1 + below(4) : GWALK_NONE;
	c->maxphyaddr = below(2) ? 52 : 32 + below(21);
	c->rsvd_pa = c->maxphyaddr == 52 ? 0 : 0x000fffffffffffffULL >> c->maxphyaddr << c->maxphyaddr;
	c->cr3 = below(MEM_PAGES) << 12 | (draw() & 0xfff);
	if (!below(64))
		c->cr3 |= 1ULL << below(64);
	for (unsigned int i = 0; i < 4; i++) {
		c->pdpte[i] = (below(MEM_PAGES) << 12) | !!below(16);
		if (!below(32))
			c->pdpte[i] |= 1ULL << below(64);
	}
	c->pkru = below(2) ? 0 : draw() & draw();
	c->wp = bits & 1;
	c->nxe = bits & 2;
	c->smep = bits & 4;
	c->smap = bits & 8;
	c->pke = bits & 16;
	c->pse = bits & 32;
	c->ac = bits & 64;
	c->pse36 = bits & 128;
	c->gbpages = bits & 256;
	c->pdpte_walk = bits & 512;
}

static u32 access_pick(void)
{
	u32 access = 0;

	if (below(3) == 0)
		access = GWALK_FETCH;
	else if (below(2))
		access = GWALK_WRITE;
	if (below(2))
		access |= GWALK_USER;
	else if (!below(4) && !(access & GWALK_FETCH))
		access |= GWALK_IMPLICIT;
	if (!below(6))
		access |= GWALK_NO_AD;
	if (!below(16))
		access |= GWALK_NO_RIGHTS;
	return access;
}

static u64 va_pick(const struct gwalk_ctx *c)
{
	unsigned int bits = c->mode == GWALK_5LEVEL ? 57 : c->mode == GWALK_4LEVEL ? 48 : 64;
	u64 va = draw() ^ draw() << 16 ^ draw() << 32 ^ draw() << 48;

	return below(32) ? (u64)((s64)(va << (64 - bits)) >> (64 - bits)) : va;
}

static unsigned int quick_hits;

/* The registers that this context stands for. */
static struct gwalk_regs quick_regs(const struct gwalk_ctx *c)
{
	return (struct gwalk_regs){
		.cr0 = (c->mode != GWALK_NONE ? REGS_CR0_PG : 0) | (c->wp ? REGS_CR0_WP : 0),
		.cr3 = c->cr3,
		.cr4 = (c->mode >= GWALK_PAE ? REGS_CR4_PAE : 0) | (c->mode == GWALK_5LEVEL ? REGS_CR4_LA57 : 0) |
		       (c->smep ? REGS_CR4_SMEP : 0) | (c->smap ? REGS_CR4_SMAP : 0) |
		       (c->pke ? REGS_CR4_PKE : 0) | (c->pse ? REGS_CR4_PSE : 0),
		.efer = (c->mode >= GWALK_4LEVEL ? REGS_EFER_LMA : 0) | (c->nxe ? REGS_EFER_NXE : 0),
		.maxphyaddr = c->maxphyaddr,
	};
}

/* What the quick walk answers is what the whole one answers, and that one would change nothing. */
static void play_quick(const struct memory *mem, const struct gwalk_ctx *c, u64 va, u32 access)
{
	static struct memory want_mem;
	struct gwalk_regs regs = quick_regs(c);
	struct gwalk_quick q;
	struct outcome want;
	u64 value;
	gpa_t gpa;

	if (!gwalk_quick_can(&regs, to_gva(va)))
		return;
	q = gwalk_quick_start(&regs, to_gva(va));
	do {
		if (!mem_read(mem, gpa_raw(gwalk_quick_at(&q)), 8, &value))
			return;
	} while (gwalk_quick_take(&q, value));
	if (!gwalk_quick_end(&q, access, &gpa))
		return;
	quick_hits++;
	want_mem = *mem;
	want = ref_walk(c, &want_mem, va, access);
	MODEL_CHECK(want.status == GWALK_DONE);
	MODEL_CHECK(want.gpa == gpa_raw(gpa));
	MODEL_CHECK(!memcmp(mem->byte, want_mem.byte, MEM_BYTES));
}

/*
 * One walk over *mem. The guest changes the entry under `meddle` of the first swaps; the reference
 * then runs over memory as it was when the last restart began.
 */
static void play_walk(struct memory *mem, const struct gwalk_ctx *c, u64 va, u32 access,
		      unsigned int meddle)
{
	static struct memory at_start, want_mem;
	unsigned int requests = 0, changes = 0;
	enum gwalk_status s;
	struct outcome want;
	struct gwalk w;

	play_quick(mem, c, va, access);
	at_start = *mem;
	gwalk_start(&w, c, to_gva(va), access);
	while ((s = gwalk_step(&w)) <= GWALK_SETBITS && requests++ < 200) {
		u32 size = c->mode == GWALK_32BIT ? 4 : 8;
		u64 gpa = gpa_raw(w.req.gpa), value;

		MODEL_CHECK(w.req.size == size);
		MODEL_CHECK(gpa % size == 0);
		if (!mem_read(mem, gpa, size, &value)) {
			MODEL_CHECK(s == GWALK_READ);
			if (below(2))
				gwalk_refuse(&w);
			continue;
		}
		if (s == GWALK_READ) {
			gwalk_read_done(&w, size == 4 ? value | draw() << 32 : value);
			continue;
		}
		MODEL_CHECK(!(access & GWALK_NO_AD));
		MODEL_CHECK((w.req.old ^ w.req.new) && !((w.req.old ^ w.req.new) & ~0x60ULL));
		if (w.req.old != value) {
			/* One entry serves two levels and has changed by the first. */
			at_start = *mem;
			gwalk_set_done(&w, false);
		} else if (changes < meddle) {
			changes++;
			mem_write(mem, gpa, size, below(2) ? value ^ 0x100 : pick_entry(c));
			at_start = *mem;
			gwalk_set_done(&w, false);
		} else {
			mem_write(mem, gpa, size, w.req.new);
			gwalk_set_done(&w, true);
		}
	}
	MODEL_CHECK(requests < 200);
	MODEL_CHECK(gwalk_step(&w) == s);
	if (s == GWALK_RETRY) {
		MODEL_CHECK(changes > 4);
		return;
	}
	want_mem = at_start;
	want = ref_walk(c, &want_mem, va, access);
	MODEL_CHECK(s == want.status);
	MODEL_CHECK(!memcmp(mem->byte, want_mem.byte, MEM_BYTES));
	if (s == GWALK_FAULT)
		MODEL_CHECK(w.error == want.error);
	if (s != GWALK_DONE)
		return;
	play_quick(mem, c, va, access);
	MODEL_CHECK(gpa_raw(w.out.gpa) == want.gpa);
	MODEL_CHECK(w.out.rights == want.rights);
	MODEL_CHECK(w.out.shift == want.shift);
	MODEL_CHECK(w.out.writable_now == want.writable_now);
}

#endif /* KEEL_REF_GWALK_H */
