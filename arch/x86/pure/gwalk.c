// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest page-table walk: linear address to guest-physical address, by the tables of the guest.
 *
 * Owns: the rules of the five paging modes - where the next entry lies, which bits are reserved,
 * how rights combine, which access is a page fault and with what error code, which accessed and
 * dirty bits are due. Does not own: guest memory, the segment and canonical checks before a walk,
 * nested translation of the addresses it asks for, caches of translations.
 *
 * One walk is: read entries from the top until a leaf, check the access against the combined
 * rights, then set the missing accessed and dirty bits from the top down, each by compare-and-swap.
 * Bits are set only for an access that is allowed. When a swap finds another value than was read,
 * nothing that was concluded from the entry holds and the walk starts over; it gives up
 * (GWALK_RETRY) after a few times, so a guest that keeps rewriting its tables costs itself only.
 *
 * Not covered: protection keys for supervisor pages, shadow-stack pages, linear-address masking.
 *
 * Context: any. Manuals: Intel SDM vol. 3, "Paging"; AMD64 vol. 2, "Page Translation and
 * Protection".
 */
#include "gwalk.h"

#define CR0_WP BIT64(16)
#define CR0_PG BIT64(31)
#define CR4_PSE BIT64(4)
#define CR4_PAE BIT64(5)
#define CR4_LA57 BIT64(12)
#define CR4_SMEP BIT64(20)
#define CR4_SMAP BIT64(21)
#define CR4_PKE BIT64(22)
#define EFER_LMA BIT64(10)
#define EFER_NXE BIT64(11)
#define RFLAGS_AC BIT64(18)

#define PTE_P GWALK_ENTRY_P
#define PTE_W GWALK_ENTRY_W
#define PTE_U GWALK_ENTRY_U
#define PTE_A GWALK_ENTRY_A
#define PTE_D GWALK_ENTRY_D
#define PTE_PS GWALK_ENTRY_PS
#define PTE_NX GWALK_ENTRY_NX
#define PTE_PKEY_SHIFT 59
#define PTE_ADDR GWALK_ENTRY_ADDR

/*
 * PDPTE of PAE paging: bits 2:1 and 8:5 are reserved. Where the CPU reads the entries in memory on each
 * walk, bit 5 is let pass: QEMU's emulation of AMD-V sets it there, as the accessed bit of any entry.
 */
#define PDPTE_RSVD (BITS64(8, 5) | BITS64(2, 1))
#define PDPTE_RSVD_WALK (PDPTE_RSVD & ~PTE_A)
/* 4 MiB page: address bits 31:22 in place, 39:32 in bits 20:13. */
#define PSE_ADDR_LOW BITS64(31, 22)
#define PSE_ADDR_HIGH BITS64(20, 13)
#define PSE_HIGH_SHIFT 19

#define MAX_RESTARTS 8

enum phase { PHASE_START, PHASE_READ, PHASE_SET, PHASE_FINAL };
enum answered { ANSWER_NONE, ANSWER_VALUE, ANSWER_SWAPPED, ANSWER_CHANGED };

static const struct paging {
	u8 levels;
	u8 entry_size;
	u8 index_bits;
	u8 address_bits; /* of a linear address */
	bool sign_extended; /* bits above them repeat the highest */
	u64 root; /* bits of CR3 that hold the root's address */
} pagings[] = {
	[GWALK_NONE] = { .address_bits = 32 },
	[GWALK_32BIT] = { 2, 4, 10, 32, false, BITS64(31, 12) },
	[GWALK_PAE] = { 3, 8, 9, 32, false, BITS64(31, 5) },
	[GWALK_4LEVEL] = { 4, 8, 9, 48, true, BITS64(51, 12) },
	[GWALK_5LEVEL] = { 5, 8, 9, 57, true, BITS64(51, 12) },
};

void gwalk_ctx_set(struct gwalk_ctx *ctx, u64 cr0, u64 cr3, u64 cr4, u64 efer, u64 rflags,
		   u32 pkru, u8 maxphyaddr)
{
	ctx->cr3 = cr3;
	ctx->rsvd_pa = maxphyaddr < 52 ? BITS64(51, maxphyaddr) : 0;
	ctx->pkru = pkru;
	if (!(cr0 & CR0_PG))
		ctx->mode = GWALK_NONE;
	else if (!(cr4 & CR4_PAE))
		ctx->mode = GWALK_32BIT;
	else if (!(efer & EFER_LMA))
		ctx->mode = GWALK_PAE;
	else
		ctx->mode = cr4 & CR4_LA57 ? GWALK_5LEVEL : GWALK_4LEVEL;
	ctx->wp = cr0 & CR0_WP;
	ctx->nxe = efer & EFER_NXE;
	ctx->smep = cr4 & CR4_SMEP;
	ctx->smap = cr4 & CR4_SMAP;
	ctx->pke = cr4 & CR4_PKE;
	ctx->pse = cr4 & CR4_PSE;
	ctx->ac = rflags & RFLAGS_AC;
}

static inline bool is_long(const struct gwalk_ctx *ctx)
{
	return ctx->mode >= GWALK_4LEVEL;
}

/* Entries of 32-bit paging have no NX bit, whatever EFER says. */
static inline bool nx_enabled(const struct gwalk_ctx *ctx)
{
	return ctx->nxe && ctx->mode >= GWALK_PAE;
}

/* A PDPTE of PAE paging has no rights, no accessed bit and no page size. */
static inline bool is_pae_pdpte(const struct gwalk_ctx *ctx, unsigned int level)
{
	return ctx->mode == GWALK_PAE && level == 3;
}

/* Does the present entry map a page? */
static bool is_leaf(const struct gwalk_ctx *ctx, u64 entry, unsigned int level)
{
	switch (level) {
	case 1:
		return true;
	case 2:
		return entry & PTE_PS && (ctx->mode != GWALK_32BIT || ctx->pse);
	case 3:
		return entry & PTE_PS && is_long(ctx);
	default:
		return false;
	}
}

/* Bits that must be 0 in the present entry. */
static u64 reserved_bits(const struct gwalk_ctx *ctx, u64 entry, unsigned int level)
{
	u64 rsvd;

	if (ctx->mode == GWALK_32BIT) {
		if (!is_leaf(ctx, entry, level) || level == 1)
			return 0;
		if (!ctx->pse36)
			return BITS64(21, 13);
		return BIT64(21) | (ctx->rsvd_pa >> PSE_HIGH_SHIFT & PSE_ADDR_HIGH);
	}
	rsvd = ctx->rsvd_pa | (ctx->nxe ? 0 : PTE_NX);
	if (ctx->mode == GWALK_PAE) {
		rsvd |= BITS64(62, 52);
		if (level == 3)
			return rsvd | PTE_NX | (ctx->pdpte_walk ? PDPTE_RSVD_WALK : PDPTE_RSVD);
	}
	if (level > 3 || (level == 3 && !ctx->gbpages))
		rsvd |= PTE_PS;
	else if (level > 1 && entry & PTE_PS)
		rsvd |= BITS64(12 + 9 * (level - 1) - 1, 13);
	return rsvd;
}

/* Is the data access stopped by the protection key of the user page? */
static bool key_denies(const struct gwalk_ctx *ctx, const struct gwalk *w, u32 access)
{
	u32 key = ctx->pkru >> (2 * w->out.pkey);

	if (!ctx->pke || !is_long(ctx) || !(w->rights & GWALK_P_USER) || access & GWALK_FETCH)
		return false;
	if (key & 1)
		return true;
	return key & 2 && access & GWALK_WRITE && (access & GWALK_USER || ctx->wp);
}

static enum gwalk_status finish(struct gwalk *w, enum gwalk_status status)
{
	w->phase = PHASE_FINAL;
	w->status = status;
	return status;
}

/* Ends the walk in a page fault; `cause` is P, RSVD and PK as they apply. */
static enum gwalk_status fault(struct gwalk *w, u32 cause)
{
	const struct gwalk_ctx *ctx = w->ctx;

	w->error = cause;
	if (w->access & GWALK_WRITE)
		w->error |= GWALK_PF_W;
	if (w->access & GWALK_USER)
		w->error |= GWALK_PF_U;
	if (w->access & GWALK_FETCH && (ctx->smep || nx_enabled(ctx)))
		w->error |= GWALK_PF_I;
	return finish(w, GWALK_FAULT);
}

static enum gwalk_status ask(struct gwalk *w, enum phase phase, gpa_t gpa)
{
	w->phase = phase;
	w->answered = ANSWER_NONE;
	w->req.gpa = gpa;
	w->req.size = pagings[w->ctx->mode].entry_size;
	return phase == PHASE_READ ? GWALK_READ : GWALK_SETBITS;
}

/* Asks for the entry of w->level in the table at `table`. */
static enum gwalk_status ask_entry(struct gwalk *w, u64 table)
{
	const struct paging *paging = &pagings[w->ctx->mode];
	unsigned int shift = KEEL_PAGE_SHIFT + paging->index_bits * (w->level - 1);
	u64 index = gva_raw(w->gva) >> shift & ((1ULL << paging->index_bits) - 1);

	return ask(w, PHASE_READ, to_gpa(table + index * paging->entry_size));
}

/* Asks for the next missing accessed or dirty bit, or ends the walk. */
static enum gwalk_status set_bits(struct gwalk *w)
{
	const struct gwalk_ctx *ctx = w->ctx;
	u32 write = (w->access & ~GWALK_FETCH) | GWALK_WRITE;
	u64 leaf;

	for (; !(w->access & GWALK_NO_AD) && w->set < w->depth; w->set++) {
		u64 entry = w->entry[w->set];
		u64 due = PTE_A;

		if (is_pae_pdpte(ctx, pagings[ctx->mode].levels - w->set))
			continue;
		if (w->set == w->depth - 1 && w->access & GWALK_WRITE)
			due |= PTE_D;
		if ((entry & due) == due)
			continue;
		w->req.old = entry;
		w->req.new = entry | due;
		return ask(w, PHASE_SET, to_gpa(w->entry_gpa[w->set]));
	}
	leaf = w->entry[w->depth - 1];
	w->out.writable_now = leaf & PTE_D && !gwalk_rights_deny(ctx, w->rights, write) &&
			      !key_denies(ctx, w, write);
	return finish(w, GWALK_DONE);
}

/* The last entry maps the page: notes the translation and checks the access. */
static enum gwalk_status reach_leaf(struct gwalk *w, u64 entry)
{
	const struct gwalk_ctx *ctx = w->ctx;
	u64 page, offset;

	w->out.shift = KEEL_PAGE_SHIFT + pagings[ctx->mode].index_bits * (w->level - 1);
	offset = (1ULL << w->out.shift) - 1;
	page = entry & PTE_ADDR;
	if (ctx->mode == GWALK_32BIT && w->level == 2)
		page = (entry & PSE_ADDR_LOW) | (entry & PSE_ADDR_HIGH) << PSE_HIGH_SHIFT;
	w->out.gpa = to_gpa((page & ~offset) | (gva_raw(w->gva) & offset));
	w->out.rights = w->rights;
	if (ctx->pke && is_long(ctx))
		w->out.pkey = entry >> PTE_PKEY_SHIFT & 15;

	if (!(w->access & GWALK_NO_RIGHTS)) {
		bool key = key_denies(ctx, w, w->access);

		if (key || gwalk_rights_deny(ctx, w->rights, w->access))
			return fault(w, GWALK_PF_P | (key ? GWALK_PF_PK : 0));
	}
	return set_bits(w);
}

/* Takes the entry of w->level, wherever it came from. */
static enum gwalk_status take_entry(struct gwalk *w, u64 entry)
{
	const struct gwalk_ctx *ctx = w->ctx;

	w->entry[w->depth] = entry;
	w->entry_gpa[w->depth] = gpa_raw(w->req.gpa);
	w->depth++;
	if (!(entry & PTE_P))
		return fault(w, 0);
	if (entry & reserved_bits(ctx, entry, w->level))
		return fault(w, GWALK_PF_P | GWALK_PF_RSVD);
	if (!is_pae_pdpte(ctx, w->level)) {
		if (!(entry & PTE_W))
			w->rights &= ~GWALK_P_WRITE;
		if (!(entry & PTE_U))
			w->rights &= ~GWALK_P_USER;
		/* Never set in a 32-bit entry, and reserved without EFER.NXE. */
		if (entry & PTE_NX)
			w->rights &= ~GWALK_P_EXEC;
	}
	if (is_leaf(ctx, entry, w->level))
		return reach_leaf(w, entry);
	w->level--;
	return ask_entry(w, entry & PTE_ADDR);
}

static enum gwalk_status begin(struct gwalk *w)
{
	const struct gwalk_ctx *ctx = w->ctx;
	const struct paging *paging = &pagings[ctx->mode];

	w->depth = 0;
	w->set = 0;
	w->level = paging->levels;
	w->rights = GWALK_P_WRITE | GWALK_P_USER | GWALK_P_EXEC;
	if (ctx->mode == GWALK_NONE) {
		w->out.gpa = to_gpa(gva_raw(w->gva));
		w->out.rights = w->rights;
		w->out.shift = paging->address_bits;
		w->out.writable_now = true;
		return finish(w, GWALK_DONE);
	}
	if (ctx->mode == GWALK_PAE && !ctx->pdpte_walk)
		return take_entry(w, ctx->pdpte[gva_raw(w->gva) >> 30 & 3]);
	return ask_entry(w, ctx->cr3 & paging->root & ~ctx->rsvd_pa);
}

void gwalk_start(struct gwalk *w, const struct gwalk_ctx *ctx, gva_t gva, u32 access)
{
	const struct paging *paging = &pagings[ctx->mode];
	u64 above = ~0ULL << (paging->address_bits - 1);
	u64 raw = gva_raw(gva);

	memset(w, 0, sizeof(*w));
	w->ctx = ctx;
	w->access = access;
	if (!paging->sign_extended)
		raw &= (1ULL << paging->address_bits) - 1;
	else if ((raw & above) && (raw & above) != above)
		finish(w, GWALK_NONCANONICAL);
	w->gva = to_gva(raw);
}

enum gwalk_status gwalk_step(struct gwalk *w)
{
	u64 value;

	switch ((enum phase)w->phase) {
	case PHASE_START:
		return begin(w);
	case PHASE_READ:
		if (w->answered != ANSWER_VALUE)
			return finish(w, GWALK_BAD_TABLE);
		value = w->req.size == 4 ? (u32)w->answer : w->answer;
		return take_entry(w, value);
	case PHASE_SET:
		if (w->answered == ANSWER_SWAPPED) {
			w->entry[w->set++] = w->req.new;
			return set_bits(w);
		}
		if (w->answered != ANSWER_CHANGED)
			return finish(w, GWALK_BAD_TABLE);
		if (++w->restarts > MAX_RESTARTS)
			return finish(w, GWALK_RETRY);
		return begin(w);
	case PHASE_FINAL:
		break;
	}
	return w->status;
}

void gwalk_read_done(struct gwalk *w, u64 value)
{
	w->answer = value;
	w->answered = ANSWER_VALUE;
}

void gwalk_set_done(struct gwalk *w, bool swapped)
{
	w->answered = swapped ? ANSWER_SWAPPED : ANSWER_CHANGED;
}

void gwalk_refuse(struct gwalk *w)
{
	w->answered = ANSWER_NONE;
}
