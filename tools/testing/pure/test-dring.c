// SPDX-License-Identifier: GPL-2.0-only
/* Dirty rings: sizes, positions that wrap, and the gathering of entries, against a set of frames. */
#include "dring.h"
#include "harness.h"

static void test_sizes(void)
{
	static const struct {
		u64 bytes;
		enum dring_refusal want;
	} rows[] = {
		{ 0, DRING_BAD_SIZE }, { 16, DRING_BAD_SIZE }, { 2048, DRING_BAD_SIZE }, { 4096, DRING_OK },
		{ 4097, DRING_BAD_SIZE }, { 8192, DRING_OK }, { 12288, DRING_BAD_SIZE }, { 1 << 20, DRING_OK },
		{ 2 << 20, DRING_TOO_LARGE }, { 3 << 20, DRING_BAD_SIZE }, { 1ULL << 63, DRING_TOO_LARGE },
		{ ~0ULL, DRING_BAD_SIZE },
	};

	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		test_context("%llu bytes", (unsigned long long)rows[i].bytes);
		CHECK_EQ(dring_check(rows[i].bytes), rows[i].want);
	}
	test_context("%s", "");
}

/* A ring of that size is filled and emptied across the end of the numbers. */
static void test_positions(void)
{
	for (u32 size = 256; size <= DRING_MAX_ENTRIES; size *= 4) {
		u32 head = -(size / 2), tail = head, filled = 0;

		while (!dring_full(size, dring_used(head, tail))) {
			CHECK(dring_entry(size, head) < size);
			head++;
			filled++;
		}
		CHECK_EQ(filled, size - DRING_RESERVE);
		CHECK_EQ(dring_used(head, tail), filled);
		/* What is left is the reserve, and no entry is used twice. */
		CHECK_EQ(dring_entry(size, head + DRING_RESERVE), dring_entry(size, tail));
		tail += 1;
		CHECK(!dring_full(size, dring_used(head, tail)));
		tail = head;
		CHECK_EQ(dring_used(head, tail), 0);
	}
}

/* What comes out as words is what went in as frames. */
static void test_gather(void)
{
	static u8 in[4][1024], out[4][1024];
	struct dring_word word = { };
	u64 random = 1;
	unsigned int words = 0;

	for (unsigned int i = 0; i <= 3000; i++) {
		u32 slot;
		u64 offset;

		random = random * 6364136223846793005ULL + 1442695040888963407ULL;
		slot = random >> 40 & (i % 100 < 50 ? 0 : 3);
		offset = i % 3 ? (i * 5 / 3) % 1024 : random >> 50 & 1023;
		if (i == 3000 || !dring_gather(&word, slot, offset)) {
			CHECK(word.bits != 0);
			CHECK(i == 3000 || word.slot != slot || word.index != offset / 64);
			for (unsigned int bit = 0; bit < 64; bit++)
				if (word.bits >> bit & 1)
					out[word.slot][word.index * 64 + bit] = 1;
			words++;
			word.bits = 0;
			if (i == 3000)
				break;
			CHECK(dring_gather(&word, slot, offset));
		}
		in[slot][offset] = 1;
	}
	CHECK_MEM_EQ(in, out, sizeof(in));
	CHECK(words < 3000);
	/* The largest numbers user space can write are numbers like others. */
	word.bits = 0;
	CHECK(dring_gather(&word, ~0u, ~0ULL));
	CHECK_EQ(word.index, ~0ULL / 64);
	CHECK_EQ(word.bits, 1ULL << 63);
	CHECK(dring_gather(&word, ~0u, ~0ULL - 63));
	CHECK(!dring_gather(&word, ~0u, ~0ULL - 64));
	CHECK(!dring_gather(&word, 0, ~0ULL));
}

int main(void)
{
	test_sizes();
	test_positions();
	test_gather();
	return test_done("dring");
}
