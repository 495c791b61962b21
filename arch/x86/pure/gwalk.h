/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest page-table walk as a state machine: the walker asks, the caller reads and writes guest
 * memory, the walker answers. It takes no lock, keeps no pointer to guest memory and calls nobody,
 * so the same walk serves the emulator, KVM_TRANSLATE and a fuzzer. gwalk.c holds the theory.
 *
 *	gwalk_start(&w, &ctx, gva, access);
 *	while ((s = gwalk_step(&w)) <= GWALK_SETBITS) {
 *		if (s == GWALK_READ && !read(w.req.gpa, &value, w.req.size))
 *			gwalk_read_done(&w, value);
 *		else if (s == GWALK_SETBITS && !swap(&w.req, &ok))
 *			gwalk_set_done(&w, ok);
 *		else
 *			gwalk_refuse(&w);
 *	}
 */
#ifndef KEEL_PURE_GWALK_H
#define KEEL_PURE_GWALK_H

#include "regs.h"
#include "types.h"

enum gwalk_mode {
	GWALK_NONE, /* CR0.PG = 0 */
	GWALK_32BIT, /* CR4.PAE = 0 */
	GWALK_PAE,
	GWALK_4LEVEL,
	GWALK_5LEVEL,
};

/* Everything of a vCPU's state that a walk depends on. Filled by gwalk_ctx_set() or by hand. */
struct gwalk_ctx {
	u64 cr3;
	u64 pdpte[4]; /* PAE: the loaded page-directory-pointer entries, unless pdpte_walk */
	u64 rsvd_pa; /* address bits at and above MAXPHYADDR, bits 51:0 */
	u32 pkru;
	u8 mode; /* enum gwalk_mode */
	bool wp; /* CR0.WP */
	bool nxe; /* EFER.NXE */
	bool smep, smap; /* CR4 */
	bool pke; /* CR4.PKE */
	bool pse; /* CR4.PSE: 4 MiB pages in 32-bit mode */
	bool ac; /* EFLAGS.AC */
	bool pse36; /* CPUID: 4 MiB pages reach above 4 GiB */
	bool gbpages; /* CPUID: 1 GiB pages */
	bool pdpte_walk; /* PAE: read the entries at CR3 on each walk, as AMD-V does with NPT */
	u8 maxphyaddr;
};

/* Access kinds; 0 is an explicit supervisor data read. */
#define GWALK_WRITE BIT64(0)
#define GWALK_FETCH BIT64(1) /* instruction fetch; not with GWALK_WRITE */
#define GWALK_USER BIT64(2) /* made at CPL 3, and not an implicit supervisor access */
#define GWALK_IMPLICIT BIT64(3) /* supervisor access to a system table: EFLAGS.AC has no say */
#define GWALK_NO_AD BIT64(4) /* translate only: set no accessed or dirty bit */
#define GWALK_NO_RIGHTS BIT64(5) /* translate only: check reserved bits, not permissions */

/* Page-fault error code. */
#define GWALK_PF_P BIT64(0)
#define GWALK_PF_W BIT64(1)
#define GWALK_PF_U BIT64(2)
#define GWALK_PF_RSVD BIT64(3)
#define GWALK_PF_I BIT64(4)
#define GWALK_PF_PK BIT64(5)

enum gwalk_status {
	/* The caller must answer these two before the next step; no answer counts as a refusal. */
	GWALK_READ, /* read req.size bytes at req.gpa: gwalk_read_done() */
	GWALK_SETBITS, /* compare-and-swap req.old -> req.new at req.gpa: gwalk_set_done() */
	/* The others are final; further steps repeat them. */
	GWALK_DONE, /* translated: out */
	GWALK_FAULT, /* #PF with `error` */
	GWALK_NONCANONICAL, /* no translation exists: #GP or #SS is the caller's choice */
	GWALK_BAD_TABLE, /* the caller refused req.gpa: a table entry not in guest memory */
	GWALK_RETRY, /* the tables kept changing under the walk: let the guest run and try anew */
};

/* Rights of a translation, all levels combined. Reading is always allowed by the tables. */
#define GWALK_P_WRITE BIT64(0)
#define GWALK_P_USER BIT64(1)
#define GWALK_P_EXEC BIT64(2)

struct gwalk {
	/* for the caller */
	struct {
		gpa_t gpa;
		u64 old, new; /* GWALK_SETBITS only */
		u32 size; /* 4 or 8 */
	} req;
	struct {
		gpa_t gpa; /* of the byte at gva */
		u32 rights; /* GWALK_P_* */
		u8 shift; /* page size as a power of two: 12, 21, 22, 30; 63 without paging */
		u8 pkey; /* protection key of the leaf; 0 where there is none */
		bool writable_now; /* a write with the same GWALK_USER / IMPLICIT needs no new walk */
	} out;
	u32 error; /* GWALK_FAULT: page-fault error code */
	/* the walker's own */
	const struct gwalk_ctx *ctx;
	gva_t gva;
	u64 entry[5]; /* entries read, by depth */
	u64 entry_gpa[5];
	u64 answer;
	u32 access;
	u32 rights;
	u8 phase;
	u8 answered;
	u8 depth; /* entries read so far */
	u8 level; /* level of the entry to read: 5..1 */
	u8 set; /* next entry whose accessed/dirty bits are looked at */
	u8 restarts;
	u8 status;
};

/*
 * Fills *ctx from control registers. pdpte and pse36, gbpages, pdpte_walk stay as the caller set
 * them. `maxphyaddr` is the guest's (12..52).
 */
void gwalk_ctx_set(struct gwalk_ctx *ctx, u64 cr0, u64 cr3, u64 cr4, u64 efer, u64 rflags,
		   u32 pkru, u8 maxphyaddr);

/* Begins a walk of `gva` for `access`. *ctx stays valid and unchanged until the walk is final. */
void gwalk_start(struct gwalk *w, const struct gwalk_ctx *ctx, gva_t gva, u32 access);

/* Goes on to the next request or to the end. Bounded: a walk makes a limited number of requests. */
enum gwalk_status gwalk_step(struct gwalk *w);

/* Answers GWALK_READ with the little-endian value; bits above req.size are ignored. */
void gwalk_read_done(struct gwalk *w, u64 value);

/* Answers GWALK_SETBITS: true = swapped; false = memory did not hold req.old, the walk restarts. */
void gwalk_set_done(struct gwalk *w, bool swapped);

/* Answers either request: req.gpa is not memory the walk may use. The walk ends GWALK_BAD_TABLE. */
void gwalk_refuse(struct gwalk *w);

/* Is the access stopped by the rights of the entries? */
static inline bool gwalk_rights_deny(const struct gwalk_ctx *ctx, u32 rights, u32 access)
{
	bool user_page = rights & GWALK_P_USER;
	bool user = access & GWALK_USER;

	if (user && !user_page)
		return true;
	if (access & GWALK_FETCH)
		return !(rights & GWALK_P_EXEC) || (!user && user_page && ctx->smep);
	if (access & GWALK_WRITE && !(rights & GWALK_P_WRITE) && (user || ctx->wp))
		return true;
	return !user && user_page && ctx->smap && (access & GWALK_IMPLICIT || !ctx->ac);
}

/*
 * The common case of a 4-level walk without the machine: every entry is present and has its accessed
 * bit, no reserved bit is set, the page is not larger than 2 MiB, and the access is allowed whatever
 * CR0.WP and EFLAGS.AC are, without a look at protection keys.
 *
 *	if (!gwalk_quick_can(&regs, gva))
 *		no;
 *	q = gwalk_quick_start(&regs, gva);
 *	do {
 *		read(gwalk_quick_at(&q), &value, 8);
 *	} while (gwalk_quick_take(&q, value));
 *	return gwalk_quick_end(&q, access, &gpa);
 *
 * It changes nothing and "no" tells nothing: then the machine walks.
 */
struct gwalk_quick {
	u64 gva;
	u64 table; /* that the next entry is read from */
	u64 all, any; /* entries so far: their common bits, their bits together */
	u64 entry; /* the last one */
	u8 shift; /* page size of its level as a power of two */
	const struct gwalk_regs *regs;
};

/* The registers it depends on. Stays valid and unchanged until the end. */
struct gwalk_regs {
	u64 cr0, cr3, cr4, efer;
	u8 maxphyaddr; /* of the guest, 12..52 */
};

#define GWALK_ENTRY_P BIT64(0)
#define GWALK_ENTRY_W BIT64(1)
#define GWALK_ENTRY_U BIT64(2)
#define GWALK_ENTRY_A BIT64(5)
#define GWALK_ENTRY_D BIT64(6)
#define GWALK_ENTRY_PS BIT64(7)
#define GWALK_ENTRY_NX BIT64(63)
#define GWALK_ENTRY_ADDR BITS64(51, 12)

static inline bool gwalk_quick_can(const struct gwalk_regs *regs, gva_t gva)
{
	u64 raw = gva_raw(gva);

	return regs->cr0 & REGS_CR0_PG && regs->efer & REGS_EFER_LMA &&
	       (regs->cr4 & (REGS_CR4_PAE | REGS_CR4_LA57)) == REGS_CR4_PAE &&
	       (u64)((s64)(raw << 16) >> 16) == raw;
}

static inline struct gwalk_quick gwalk_quick_start(const struct gwalk_regs *regs, gva_t gva)
{
	return (struct gwalk_quick){
		.regs = regs,
		.gva = gva_raw(gva),
		.table = regs->cr3 & GWALK_ENTRY_ADDR,
		.all = ~0ULL,
		.shift = 39,
	};
}

/* Where the next entry is; 8 bytes are to be read. */
static inline gpa_t gwalk_quick_at(const struct gwalk_quick *q)
{
	return to_gpa(q->table | (q->gva >> (q->shift - 3) & (511 << 3)));
}

/* Takes the entry. True: another one is needed. */
static inline bool gwalk_quick_take(struct gwalk_quick *q, u64 entry)
{
	q->entry = entry;
	q->all &= entry;
	q->any |= entry;
	if ((entry & (GWALK_ENTRY_P | GWALK_ENTRY_PS)) != GWALK_ENTRY_P || q->shift == KEEL_PAGE_SHIFT)
		return false;
	q->table = entry & GWALK_ENTRY_ADDR;
	q->shift -= 9;
	return true;
}

/* Is the access allowed by the entries' common U, W, D and joint NX bits? Stricter than the rules. */
static inline bool gwalk_quick_allows(const struct gwalk_quick *q, u32 access)
{
	u64 cr4 = q->regs->cr4;
	bool fetch = access & GWALK_FETCH;

	if (access & GWALK_NO_RIGHTS)
		return false;
	if (fetch && q->any & GWALK_ENTRY_NX)
		return false;
	/* Protection keys are for data. */
	if (!fetch && cr4 & REGS_CR4_PKE)
		return false;
	if (access & GWALK_WRITE && !(q->all & GWALK_ENTRY_W && q->entry & GWALK_ENTRY_D))
		return false;
	if (access & GWALK_USER)
		return q->all & GWALK_ENTRY_U;
	return !(q->all & GWALK_ENTRY_U) || !(cr4 & (fetch ? REGS_CR4_SMEP : REGS_CR4_SMAP));
}

/* After the last entry. True: `access` is allowed, needs no bit set, and goes to *gpa. */
static inline bool gwalk_quick_end(const struct gwalk_quick *q, u32 access, gpa_t *gpa)
{
	u64 offset = BIT64(q->shift) - 1, address = q->entry & GWALK_ENTRY_ADDR, rsvd;

	if ((q->all & (GWALK_ENTRY_P | GWALK_ENTRY_A)) != (GWALK_ENTRY_P | GWALK_ENTRY_A))
		return false;
	/* The address bits past MAXPHYADDR, and NX where there is none. */
	rsvd = (q->any & GWALK_ENTRY_ADDR) >> q->regs->maxphyaddr;
	if (rsvd || (q->any & GWALK_ENTRY_NX && !(q->regs->efer & REGS_EFER_NXE)))
		return false;
	/* Bit 7 of a 4 KiB entry is PAT's, of a 2 MiB entry it is bit 12. */
	if (q->shift > KEEL_PAGE_SHIFT && (q->shift != 21 || address & BITS64(20, 13)))
		return false;
	if (!gwalk_quick_allows(q, access))
		return false;
	*gpa = to_gpa((address & ~offset) | (q->gva & offset));
	return true;
}

#endif /* KEEL_PURE_GWALK_H */
