// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fills most of the guest's memory with values that name their own address and pass, checks and
 * rewrites them at random places until the time is up or a line is typed, then checks all of it once more. Some pages
 * stay equal to others on purpose, so that the host has something to merge. Whatever the host does
 * below (swap, merge, split, collapse, move to another machine), each word must read back as last
 * written, and the clocks must not step back.
 *
 * usage: mempattern SECONDS
 */
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, WORDS = PAGE / sizeof(uint64_t), EQUAL_PAGES = 4 };

static uint64_t *memory;
static size_t pages;
static uint8_t *pass;		/* of each page: how often it was written */

static uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15ull;
	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9ull;
	return x ^ (x >> 32);
}

/* One page in EQUAL_PAGES has content that depends on the pass only. */
static uint64_t expected(size_t page, size_t word)
{
	size_t name = page % EQUAL_PAGES ? page + 1 : 0;

	return mix((uint64_t)name << 24 | (uint64_t)pass[page] << 16 | word);
}

static void write_page(size_t page)
{
	pass[page]++;
	for (size_t i = 0; i < WORDS; i++)
		memory[page * WORDS + i] = expected(page, i);
}

static void check_page(size_t page)
{
	for (size_t i = 0; i < WORDS; i++) {
		uint64_t found = memory[page * WORDS + i];

		if (found == expected(page, i))
			continue;
		printf("mempattern: page %zu word %zu pass %u: found %016llx, expected %016llx\n",
		       page, i, pass[page], (unsigned long long)found,
		       (unsigned long long)expected(page, i));
		exit(1);
	}
}

/* On whichever CPU this runs now. */
static void check_clocks(void)
{
	static const clockid_t clocks[] = { CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME, CLOCK_REALTIME };
	static struct timespec last[sizeof(clocks) / sizeof(clocks[0])];

	for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
		struct timespec now;

		clock_gettime(clocks[i], &now);
		if (now.tv_sec < last[i].tv_sec || (now.tv_sec == last[i].tv_sec && now.tv_nsec < last[i].tv_nsec)) {
			printf("mempattern: clock %d went from %lld.%09ld back to %lld.%09ld\n", clocks[i],
			       (long long)last[i].tv_sec, last[i].tv_nsec, (long long)now.tv_sec, now.tv_nsec);
			exit(1);
		}
		last[i] = now;
	}
}

/* Did somebody type a line? */
static int told_to_end(void)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };
	char byte;

	return poll(&in, 1, 0) == 1 && read(0, &byte, 1) == 1;
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);
	unsigned long long checked = 0;
	struct sysinfo info;
	uint64_t random = 1;

	if (sysinfo(&info))
		return 2;
	pages = info.freeram * info.mem_unit / PAGE / 10 * 8;
	pass = calloc(pages, 1);
	memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!pages || !pass || memory == MAP_FAILED)
		return 2;
	for (size_t i = 0; i < pages; i++)
		write_page(i);
	printf("mempattern: %zu MiB written\n", pages * PAGE >> 20);
	while (time(NULL) < end && !told_to_end()) {
		for (int i = 0; i < 1000; i++, checked++) {
			size_t page = mix(random++) % pages;

			check_page(page);
			check_clocks();
			if (random & 1)
				write_page(page);
		}
	}
	for (size_t i = 0; i < pages; i++)
		check_page(i);
	printf("mempattern: %llu pages checked on the way, then all %zu\n", checked, pages);
	return 0;
}
