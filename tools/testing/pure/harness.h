/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the unit tests and the fuzz targets of arch/x86/pure share: checks that count, a context
 * line for table rows, a reproducible random source, and a reader for fuzz input.
 *
 * A unit test is one program, test-X.c: its main() calls plain functions and ends with
 * `return test_done("X");`. A fuzz target is fuzz-X.c: it defines LLVMFuzzerTestOneInput() and uses
 * FUZZ_ASSERT().
 */
#ifndef KEEL_PURE_HARNESS_H
#define KEEL_PURE_HARNESS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEST_MAX_REPORTS 40

static struct {
	unsigned long passed, failed, skipped;
	char context[256];
} test_state __attribute__((unused));

/* Words printed with each failure until the next call: the row of a table, the seed of a round. */
__attribute__((unused, format(printf, 1, 2)))
static void test_context(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(test_state.context, sizeof(test_state.context), fmt, args);
	va_end(args);
}

__attribute__((unused, format(printf, 4, 5)))
static bool test_report(bool ok, const char *file, int line, const char *fmt, ...)
{
	va_list args;

	if (ok) {
		test_state.passed++;
		return true;
	}
	if (test_state.failed++ < TEST_MAX_REPORTS) {
		fprintf(stderr, "%s:%d: ", file, line);
		va_start(args, fmt);
		vfprintf(stderr, fmt, args);
		va_end(args);
		fprintf(stderr, "%s%s\n", test_state.context[0] ? "; " : "", test_state.context);
	}
	return false;
}

/* Each check counts once, never stops the test, and has the value "it held". */
#define CHECK(cond) test_report(!!(cond), __FILE__, __LINE__, "%s does not hold", #cond)

#define CHECK_EQ(got, want)                                                                        \
	({                                                                                         \
		unsigned long long got_ = (unsigned long long)(got);                               \
		unsigned long long want_ = (unsigned long long)(want);                             \
		test_report(got_ == want_, __FILE__, __LINE__, "%s is %#llx, expected %#llx",      \
			    #got, got_, want_);                                                    \
	})

#define CHECK_MEM_EQ(got, want, len)                                                               \
	test_report(!memcmp((got), (want), (len)), __FILE__, __LINE__,                             \
		    "%s differs from %s in %zu bytes", #got, #want, (size_t)(len))

/* Counts something that cannot be checked on this machine, and says why. */
#define SKIP(reason)                                                                               \
	do {                                                                                       \
		test_state.skipped++;                                                              \
		fprintf(stderr, "%s:%d: skipped: %s\n", __FILE__, __LINE__, (reason));             \
	} while (0)

/* Walks a const array: `for_each_row(row, table) { ... row->field ... }`. */
#define for_each_row(row, table)                                                                   \
	for (__typeof__(&(table)[0]) row = (table);                                                \
	     row < (table) + sizeof(table) / sizeof((table)[0]); row++)

/* Prints the counts; the exit status of the program. A program that checked nothing has failed. */
__attribute__((unused))
static int test_done(const char *name)
{
	printf("test-%s: %lu passed, %lu failed, %lu skipped\n", name, test_state.passed,
	       test_state.failed, test_state.skipped);
	return test_state.failed || !(test_state.passed + test_state.skipped);
}

/* Reproducible 64-bit random numbers (splitmix64): the same seed gives the same series. */
__attribute__((unused))
static uint64_t test_rand(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* A value below n, n > 0. */
__attribute__((unused))
static uint64_t test_rand_below(uint64_t *seed, uint64_t n)
{
	return test_rand(seed) % n;
}

/* Input of a fuzz target, eaten from the front; reads past its end give zeroes. */
struct fuzz_input {
	const uint8_t *data;
	size_t left;
};

__attribute__((unused))
static void fuzz_bytes(struct fuzz_input *in, void *to, size_t len)
{
	size_t have = len < in->left ? len : in->left;

	memset(to, 0, len);
	if (have)
		memcpy(to, in->data, have);
	in->data += have;
	in->left -= have;
}

__attribute__((unused))
static uint64_t fuzz_u64(struct fuzz_input *in)
{
	uint64_t v;

	fuzz_bytes(in, &v, sizeof(v));
	return v;
}

__attribute__((unused))
static uint32_t fuzz_u32(struct fuzz_input *in)
{
	uint32_t v;

	fuzz_bytes(in, &v, sizeof(v));
	return v;
}

__attribute__((unused))
static uint16_t fuzz_u16(struct fuzz_input *in)
{
	uint16_t v;

	fuzz_bytes(in, &v, sizeof(v));
	return v;
}

__attribute__((unused))
static uint8_t fuzz_u8(struct fuzz_input *in)
{
	uint8_t v;

	fuzz_bytes(in, &v, sizeof(v));
	return v;
}

#define FUZZ_ASSERT(cond)                                                                          \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #cond);   \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif /* KEEL_PURE_HARNESS_H */
