// SPDX-License-Identifier: GPL-2.0-only
/* Memory slot geometry: each refusal by name, then random requests and searches by brute force. */
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

#include "ref-slotgeo.h"

#define HVA 0x7f0000000000ULL

/* Slots there: 1 = frames 16..31, writable; 2 = frames 64..71, read-only. */
static const struct row {
	const char *name;
	struct slot_request req; /* slot, flags, gpa, size, hva */
	enum slot_refusal why;
	int err;
	enum slot_change change;
} rows[] = {
	{ "create", { 0, 0, 0, 0x10000, HVA }, SLOT_OK, 0, SLOT_CREATE },
	{ "create up to a neighbour", { 0, 3, 0x20000, 0x20000, HVA }, SLOT_OK, 0, SLOT_CREATE },
	{ "delete", { 1, 0, 0, 0, 0 }, SLOT_OK, 0, SLOT_DELETE },
	{ "move", { 1, 0, 0x11000, 0x10000, HVA }, SLOT_OK, 0, SLOT_MOVE },
	{ "move, and log", { 1, 1, 0x11000, 0x10000, HVA }, SLOT_OK, 0, SLOT_MOVE },
	{ "log", { 1, 1, 0x10000, 0x10000, HVA }, SLOT_OK, 0, SLOT_FLAGS },
	{ "the same again", { 1, 0, 0x10000, 0x10000, HVA }, SLOT_OK, 0, SLOT_NOTHING },
	{ "largest slot", { 0, 0, 0x100000, 0x7fffffffULL << 12, HVA - (1ULL << 43) }, SLOT_OK, 0,
	  SLOT_CREATE },
	{ "one page more", { 0, 0, 0x100000, 0x80000000ULL << 12, HVA - (1ULL << 43) },
	  SLOT_BAD_SIZE, -EINVAL_, 0 },
	{ "unknown flag", { 0, 4, 0, 0x1000, HVA }, SLOT_BAD_FLAGS, -EINVAL_, 0 },
	{ "address space 1", { 0x10000, 0, 0, 0x1000, HVA }, SLOT_BAD_SPACE, -EINVAL_, 0 },
	{ "slot number", { 32, 0, 0, 0x1000, HVA }, SLOT_BAD_ID, -EINVAL_, 0 },
	{ "odd size", { 0, 0, 0, 0x1800, HVA }, SLOT_BAD_SIZE, -EINVAL_, 0 },
	{ "odd gpa", { 0, 0, 0x800, 0x1000, HVA }, SLOT_BAD_GPA, -EINVAL_, 0 },
	{ "odd gpa of a delete", { 1, 0, 0x800, 0, HVA }, SLOT_BAD_GPA, -EINVAL_, 0 },
	{ "gpa wraps", { 0, 0, ~0xfffULL, 0x2000, HVA }, SLOT_BAD_GPA, -EINVAL_, 0 },
	{ "gpa past the width", { 0, 0, (1ULL << 48) - 0x1000, 0x2000, HVA }, SLOT_BAD_GPA, -EINVAL_,
	  0 },
	{ "odd hva", { 0, 0, 0, 0x1000, HVA + 1 }, SLOT_BAD_HVA, -EINVAL_, 0 },
	{ "hva wraps", { 0, 0, 0, 0x2000, ~0xfffULL }, SLOT_BAD_HVA, -EINVAL_, 0 },
	{ "kernel hva", { 0, 0, 0, 0x1000, 0xffff888000000000 }, SLOT_BAD_HVA, -EINVAL_, 0 },
	{ "non-canonical hva", { 0, 0, 0, 0x1000, 0x800000000000 }, SLOT_BAD_HVA, -EINVAL_, 0 },
	{ "hva ends past user space", { 0, 0, 0, 0x2000, 0x7fffffffe000 }, SLOT_BAD_HVA, -EINVAL_,
	  0 },
	{ "delete nothing", { 3, 0, 0, 0, 0 }, SLOT_NO_SUCH_SLOT, -EINVAL_, 0 },
	{ "resize", { 1, 0, 0x10000, 0x11000, HVA }, SLOT_RESIZED, -EINVAL_, 0 },
	{ "new hva", { 1, 0, 0x10000, 0x10000, HVA + 0x1000 }, SLOT_REHOSTED, -EINVAL_, 0 },
	{ "make read-only", { 1, 2, 0x10000, 0x10000, HVA }, SLOT_READONLY_TOGGLED, -EINVAL_, 0 },
	{ "make writable", { 2, 0, 0x40000, 0x8000, HVA }, SLOT_READONLY_TOGGLED, -EINVAL_, 0 },
	{ "create over the end", { 0, 0, 0x1f000, 0x2000, HVA }, SLOT_OVERLAP, -EEXIST_, 0 },
	{ "create over the start", { 0, 0, 0xf000, 0x2000, HVA }, SLOT_OVERLAP, -EEXIST_, 0 },
	{ "create around", { 0, 0, 0, 0x100000, HVA }, SLOT_OVERLAP, -EEXIST_, 0 },
	{ "create inside", { 0, 0, 0x18000, 0x1000, HVA }, SLOT_OVERLAP, -EEXIST_, 0 },
	{ "move onto another", { 1, 0, 0x39000, 0x10000, HVA }, SLOT_OVERLAP, -EEXIST_, 0 },
	{ "move past the own old place", { 2, 2, 0x42000, 0x8000, HVA }, SLOT_OK, 0, SLOT_MOVE },
};

static void test_rows(void)
{
	const struct slot_limits limits = { 0x7ffffffff000, 3, 32, 1, 48 };

	for_each_row(row, rows) {
		const struct slot_geo one = { to_gfn(16), 16, HVA, 0, 1 };
		const struct slot_geo two = { to_gfn(64), 8, HVA, 2, 2 };
		const struct slot_geo *const sorted[] = { &one, &two };
		const struct slot_set set = { sorted, 2 };
		enum slot_change change = SLOT_NOTHING;
		enum slot_refusal why;
		struct slot_geo geo;
		unsigned int space;

		test_context("%s", row->name);
		why = slotgeo_validate(&row->req, &limits, &geo, &space);
		if (why == SLOT_OK)
			why = slotgeo_classify(&set, &geo, slotgeo_find_id(&set, geo.id), &change);
		CHECK_EQ(why, row->why);
		CHECK_EQ(slotgeo_errno(why), row->err);
		if (!row->err)
			CHECK_EQ(change, row->change);
	}
	test_context("%s", "");
}

static void test_empty(void)
{
	const struct slot_set set = { NULL, 0 };
	struct slot_hint hint = { 0, 7 };

	CHECK(!slotgeo_find(&set, to_gfn(0), &hint));
	CHECK(!slotgeo_find(&set, to_gfn(0), &hint) && !hint.gap);
	CHECK(!slotgeo_find_id(&set, 0));
	CHECK(!slotgeo_overlaps(&set, to_gfn(0), ~0ULL, NULL));
	CHECK_EQ(slotgeo_position(&set, to_gfn(5)), 0);
}

static void test_random(void)
{
	unsigned int most = 0;

	for (unsigned int round = 0; round < 200; round++) {
		seed = round + 1;
		slots_begin();
		for (unsigned int i = 0; i < 400 && !test_state.failed; i++) {
			test_context("round %u, step %u", round, i);
			play_request();
			play_search();
			play_level();
			most = s.set.nr > most ? s.set.nr : most;
		}
	}
	test_context("%s", "");
	CHECK(most >= 8);
}

int main(void)
{
	test_rows();
	test_empty();
	test_random();
	return test_done("slotgeo");
}
