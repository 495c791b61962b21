// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest page walk: known walks of each paging mode with their numbers, then random tables and
 * random vCPU states against the reference walker, with a guest that changes entries on the way.
 */
#include "harness.h"
#include "types.h"

static uint64_t seed;

static u64 draw(void)
{
	return test_rand(&seed);
}

#define MODEL_CHECK(cond)                                                                          \
	do {                                                                                       \
		if (cond)                                                                          \
			test_state.passed++;                                                       \
		else                                                                               \
			CHECK(cond);                                                               \
	} while (0)

#include "ref-gwalk.h"

#define CR0_PG_WP 0x80010001ULL
#define CR4_PAE 0x20ULL
#define CR4_PSE 0x10ULL
#define EFER_LM_NX 0xd00ULL

static struct memory mem;

/* Answers every request from `mem`. */
static enum gwalk_status run(struct gwalk *w, const struct gwalk_ctx *ctx, u64 va, u32 access)
{
	enum gwalk_status s;
	u64 value;

	gwalk_start(w, ctx, to_gva(va), access);
	while ((s = gwalk_step(w)) <= GWALK_SETBITS) {
		if (!mem_read(&mem, gpa_raw(w->req.gpa), w->req.size, &value)) {
			gwalk_refuse(w);
		} else if (s == GWALK_READ) {
			gwalk_read_done(w, value);
		} else {
			mem_write(&mem, gpa_raw(w->req.gpa), w->req.size, w->req.new);
			gwalk_set_done(w, true);
		}
	}
	return s;
}

/*
 * One walk through one chain of entries: entry[0] is the top one; each is put at the index `va`
 * selects in the table the one before names. CR3 is 0x1000 and tables are at 0x2000, 0x3000, ...
 */
static const struct known {
	const char *name;
	u64 cr0, cr4, efer;
	u64 va;
	u32 access;
	u64 entry[5];
	enum gwalk_status status;
	u64 result; /* gpa, or error code */
	unsigned int shift;
} known[] = {
	{ "paging off", 1, CR4_PAE, 0, 0x1fedcba98, 0, { 0 }, GWALK_DONE, 0xfedcba98, 32 },
	{ "32-bit 4 KiB", CR0_PG_WP, 0, 0, 0x00c03abc, GWALK_WRITE,
	  { 0x2007, 0xfffff067 }, GWALK_DONE, 0xfffffabc, 12 },
	{ "32-bit 4 MiB", CR0_PG_WP, CR4_PSE, 0, 0xffc03abc, 0,
	  { 0x004000e7 }, GWALK_DONE, 0x403abc, 22 },
	{ "32-bit 4 MiB above 4 GiB", CR0_PG_WP, CR4_PSE, 0, 0x3abc, 0,
	  { 0x004020e7 }, GWALK_DONE, 0x100403abc, 22 },
	{ "32-bit 4 MiB, bit 21", CR0_PG_WP, CR4_PSE, 0, 0x3abc, 0,
	  { 0x006000e7 }, GWALK_FAULT, 9, 0 },
	{ "32-bit, PS ignored without PSE", CR0_PG_WP, 0, 0, 0x3abc, 0,
	  { 0x20e7, 0x5067 }, GWALK_DONE, 0x5abc, 12 },
	{ "PAE 2 MiB", CR0_PG_WP, CR4_PAE, 0, 0x40212345, 0,
	  { 0x2001, 0x2006000e7 }, GWALK_DONE, 0x200612345, 21 },
	{ "PAE, NX without NXE", CR0_PG_WP, CR4_PAE, 0, 0x40212345, 0,
	  { 0x2001, 0x80000002006000e7 }, GWALK_FAULT, 9, 0 },
	{ "4-level 4 KiB", CR0_PG_WP, CR4_PAE, EFER_LM_NX, 0xffff923456789abc, GWALK_USER,
	  { 0x2027, 0x3027, 0x4027, 0x12345067 }, GWALK_DONE, 0x12345abc, 12 },
	{ "4-level 2 MiB", CR0_PG_WP, CR4_PAE, EFER_LM_NX, 0x7fff12345678, GWALK_USER,
	  { 0x2027, 0x3027, 0x406000e7 }, GWALK_DONE, 0x40745678, 21 },
	{ "4-level 1 GiB", CR0_PG_WP, CR4_PAE, EFER_LM_NX, 0x7fff12345678, GWALK_USER,
	  { 0x2027, 0x1400000e7 }, GWALK_DONE, 0x152345678, 30 },
	{ "5-level 4 KiB", CR0_PG_WP, CR4_PAE | 0x1000, EFER_LM_NX, 0xff12345678912345, GWALK_USER,
	  { 0x2027, 0x3027, 0x4027, 0x5027, 0x77067 }, GWALK_DONE, 0x77345, 12 },
	{ "5-level address with 4 levels", CR0_PG_WP, CR4_PAE, EFER_LM_NX, 0x800000000000, 0,
	  { 0 }, GWALK_NONCANONICAL, 0, 0 },
	{ "not present, user write", CR0_PG_WP, CR4_PAE, EFER_LM_NX, 0, GWALK_USER | GWALK_WRITE,
	  { 0x2027, 0x3027, 0x4026 }, GWALK_FAULT, 6, 0 },
	{ "user write to read-only", CR0_PG_WP, CR4_PAE, EFER_LM_NX, 0, GWALK_USER | GWALK_WRITE,
	  { 0x2027, 0x3027, 0x4027, 0x5065 }, GWALK_FAULT, 7, 0 },
	{ "supervisor write, WP clear", 0x80000001, CR4_PAE, EFER_LM_NX, 0, GWALK_WRITE,
	  { 0x2027, 0x3027, 0x4027, 0x5065 }, GWALK_DONE, 0x5000, 12 },
	{ "fetch from NX", CR0_PG_WP, CR4_PAE, EFER_LM_NX, 0, GWALK_USER | GWALK_FETCH,
	  { 0x2027, 0x3027, 0x8000000000004027, 0x5065 }, GWALK_FAULT, 0x15, 0 },
	{ "SMEP", CR0_PG_WP, CR4_PAE | 1 << 20, EFER_LM_NX, 0, GWALK_FETCH,
	  { 0x2027, 0x3027, 0x4027, 0x5065 }, GWALK_FAULT, 0x11, 0 },
	{ "SMAP", CR0_PG_WP, CR4_PAE | 1 << 21, EFER_LM_NX, 0, 0,
	  { 0x2027, 0x3027, 0x4027, 0x5065 }, GWALK_FAULT, 1, 0 },
	{ "protection key 3", CR0_PG_WP, CR4_PAE | 1 << 22, EFER_LM_NX, 0, GWALK_USER | GWALK_WRITE,
	  { 0x2027, 0x3027, 0x4027, 0x1800000000005067 }, GWALK_FAULT, 0x27, 0 },
	{ "protection key 2", CR0_PG_WP, CR4_PAE | 1 << 22, EFER_LM_NX, 0, GWALK_USER | GWALK_WRITE,
	  { 0x2027, 0x3027, 0x4027, 0x1000000000005067 }, GWALK_DONE, 0x5000, 12 },
	{ "address past MAXPHYADDR", CR0_PG_WP, CR4_PAE, EFER_LM_NX, 0, 0,
	  { 0x2027, 0x3027, 0x4027, 0x10000005067 }, GWALK_FAULT, 9, 0 },
	{ "PS in the top entry", CR0_PG_WP, CR4_PAE, EFER_LM_NX, 0, 0,
	  { 0x20a7 }, GWALK_FAULT, 9, 0 },
	{ "table outside memory", CR0_PG_WP, CR4_PAE, EFER_LM_NX, 0, 0,
	  { 0x2027, 0x7fff000027 }, GWALK_BAD_TABLE, 0, 0 },
};

static void test_known(void)
{
	for_each_row(row, known) {
		struct gwalk_ctx ctx = { .pse36 = true, .gbpages = true };
		unsigned int size, bits, level, i;
		struct gwalk w;

		test_context("%s", row->name);
		memset(&mem, 0, sizeof(mem));
		gwalk_ctx_set(&ctx, row->cr0, 0x1018, row->cr4, row->efer, 0, 2U << 6, 40);
		ctx.cr3 &= ctx.mode == GWALK_PAE ? ~0x18ULL : ~0ULL;
		ctx.pdpte_walk = true;
		size = ctx.mode == GWALK_32BIT ? 4 : 8;
		bits = ctx.mode == GWALK_32BIT ? 10 : 9;
		level = ctx.mode == GWALK_32BIT ? 2 : ctx.mode + 1;
		for (i = 0; i < level && ctx.mode != GWALK_NONE; i++) {
			u64 index = row->va >> (12 + bits * (level - 1 - i)) & ((1 << bits) - 1);

			if (ctx.mode == GWALK_PAE && i == 0)
				index &= 3;
			mem_write(&mem, 0x1000 * (i + 1) + index * size, size, row->entry[i]);
			ctx.pdpte[i == 0 ? index & 3 : 0] = row->entry[0];
		}
		CHECK_EQ(run(&w, &ctx, row->va, row->access), row->status);
		if (row->status == GWALK_DONE) {
			CHECK_EQ(gpa_raw(w.out.gpa), row->result);
			CHECK_EQ(w.out.shift, row->shift);
		}
		if (row->status == GWALK_FAULT)
			CHECK_EQ(w.error, row->result);
		if (ctx.mode == GWALK_PAE) {
			ctx.pdpte_walk = false;
			CHECK_EQ(run(&w, &ctx, row->va, row->access), row->status);
		}
	}
	test_context("%s", "");
}

/* Each bit of a PDPTE, alone: loaded into a register, and read in memory as AMD-V does. */
static void test_pdpte(void)
{
	const u64 reserved = 0xffffff00000001e6;	/* MAXPHYADDR is 40 */
	unsigned int bit, walk;

	for (bit = 1; bit < 64; bit++) {
		for (walk = 0; walk < 2; walk++) {
			struct gwalk_ctx ctx = { .pdpte_walk = walk };
			u64 entry = 0x2001 | BIT64(bit);
			bool accessed = bit == 5 && walk;
			struct gwalk w;

			/* Another table. */
			if (bit >= 12 && bit < 40)
				continue;
			test_context("PDPTE bit %u, %s", bit, walk ? "in memory" : "loaded");
			memset(&mem, 0, sizeof(mem));
			gwalk_ctx_set(&ctx, CR0_PG_WP, 0x1000, CR4_PAE, 0x800, 0, 0, 40);
			CHECK_EQ(ctx.mode, GWALK_PAE);
			ctx.pdpte[1] = entry;
			mem_write(&mem, 0x1008, 8, entry);
			mem_write(&mem, 0x2000, 8, 0x6000e7);
			if (reserved & BIT64(bit) && !accessed) {
				CHECK_EQ(run(&w, &ctx, 0x40012345, 0), GWALK_FAULT);
				CHECK_EQ(w.error, 9);
			} else {
				CHECK_EQ(run(&w, &ctx, 0x40012345, 0), GWALK_DONE);
				CHECK_EQ(gpa_raw(w.out.gpa), 0x612345);
			}
		}
	}
	test_context("%s", "");
}

/* Every bit of the registers that a walk depends on, alone. */
static void test_ctx(void)
{
	struct gwalk_ctx c = { 0 };

	gwalk_ctx_set(&c, 0x80010000, 0x1234, 0x20, 0x500, 0x40000, 0xabc, 36);
	CHECK_EQ(c.mode, GWALK_4LEVEL);
	CHECK(c.wp && c.ac && !c.nxe && !c.smep && !c.smap && !c.pke && !c.pse);
	CHECK_EQ(c.rsvd_pa, 0x000ffff000000000);
	CHECK_EQ(c.cr3, 0x1234);
	CHECK_EQ(c.pkru, 0xabc);
	gwalk_ctx_set(&c, 0x80000000, 0, 0x101020, 0xc00, 2, 0, 52);
	CHECK_EQ(c.mode, GWALK_5LEVEL);
	CHECK(!c.wp && !c.ac && c.nxe && c.smep && !c.smap && !c.pke && !c.pse);
	CHECK_EQ(c.rsvd_pa, 0);
	gwalk_ctx_set(&c, 0x80000000, 0, 0x200010, 0, 0, 0, 52);
	CHECK_EQ(c.mode, GWALK_32BIT);
	CHECK(c.smap && c.pse && !c.smep && !c.pke);
	gwalk_ctx_set(&c, 0x80000000, 0, 0x400020, 0x100, 0, 0, 52);
	CHECK_EQ(c.mode, GWALK_PAE);
	CHECK(c.pke && !c.smap);
	gwalk_ctx_set(&c, 0x11, 0, 0x20, 0, 0, 0, 52);
	CHECK_EQ(c.mode, GWALK_NONE);
}

/* A swap that is refused ends the walk; one that always fails ends it too, and soon. */
static void test_swap_answers(void)
{
	struct gwalk_ctx ctx = { .mode = GWALK_4LEVEL, .maxphyaddr = 52 };
	enum gwalk_status s;
	unsigned int swaps = 0;
	struct gwalk w;

	gwalk_start(&w, &ctx, to_gva(0), 0);
	while ((s = gwalk_step(&w)) == GWALK_READ)
		gwalk_read_done(&w, 0x7);
	CHECK_EQ(s, GWALK_SETBITS);
	gwalk_refuse(&w);
	CHECK_EQ(gwalk_step(&w), GWALK_BAD_TABLE);
	CHECK_EQ(gwalk_step(&w), GWALK_BAD_TABLE);

	gwalk_start(&w, &ctx, to_gva(0), 0);
	while ((s = gwalk_step(&w)) <= GWALK_SETBITS && swaps < 100) {
		if (s == GWALK_READ)
			gwalk_read_done(&w, 0x7);
		else
			gwalk_set_done(&w, (swaps++, false));
	}
	CHECK_EQ(s, GWALK_RETRY);
	CHECK(swaps > 1 && swaps < 20);

	/* An answer to the last request does not answer the next. */
	gwalk_start(&w, &ctx, to_gva(0), 0);
	CHECK_EQ(gwalk_step(&w), GWALK_READ);
	gwalk_read_done(&w, 0x7);
	CHECK_EQ(gwalk_step(&w), GWALK_READ);
	CHECK_EQ(gwalk_step(&w), GWALK_BAD_TABLE);
}

static void mem_fill(struct memory *to, const struct gwalk_ctx *c)
{
	unsigned int size = c->mode == GWALK_32BIT ? 4 : 8;

	for (u64 at = 0; at < MEM_BYTES; at += size)
		mem_write(to, at, size, pick_entry(c));
}

static void test_random(void)
{
	static struct memory scratch;
	unsigned int ends[GWALK_RETRY + 1] = { 0 };

	for (unsigned int round = 0; round < 250; round++) {
		struct gwalk_ctx c;

		seed = round + 1;
		ctx_pick(&c);
		mem_fill(&mem, &c);
		for (unsigned int i = 0; i < 150 && !test_state.failed; i++) {
			u8 mode = c.mode;
			u64 va;

			test_context("round %u, walk %u, mode %u", round, i, mode);
			do
				ctx_pick(&c);
			while (c.mode != mode);
			va = va_pick(&c);
			scratch = mem;
			ends[ref_walk(&c, &scratch, va, 0).status]++;
			play_walk(&mem, &c, va, access_pick(), below(5) ? 0 : below(14));
		}
	}
	test_context("%s", "");
	/* The tables are such that each kind of end is common. */
	CHECK(ends[GWALK_DONE] > 3000);
	CHECK(ends[GWALK_FAULT] > 3000);
	CHECK(ends[GWALK_BAD_TABLE] > 300);
	CHECK(ends[GWALK_NONCANONICAL] > 30);
	CHECK(quick_hits > 300);
}

int main(void)
{
	test_known();
	test_pdpte();
	test_ctx();
	test_swap_answers();
	test_random();
	return test_done("gwalk");
}
