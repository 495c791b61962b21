// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's memory management goes on behind the guest's back: after each operation on the VMM's
 * mapping the guest must see what the VMM sees, and never an old page. The guest touches the page
 * first, so that a stale translation would show.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vm.h"

#define PAGE	4096ull
#define GPA	0x80000000ull
#define SIZE	(8ull << 20)
#define HUGE	(2ull << 20)

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

GUEST(rw, 64, "1: mov (%rbx), %rax\n hlt\n 2: mov %rcx, (%rbx)\n hlt");
#define STORE_OFFSET	4	/* of label 2 */

FIXTURE(mmu)
{
	struct vcpu *v;
	uint8_t *p;		/* SIZE bytes, aligned to 2 MiB, slot 1 */
};

FIXTURE_SETUP(mmu)
{
	uint8_t *p = mmap(NULL, SIZE + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, p);
	self->p = (uint8_t *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1));
	self->v = LONG_VCPU(rw);
	ASSERT_EQ(0, vm_set_slot(self->v->vm, 1, 0, GPA, SIZE, self->p));
}

FIXTURE_TEARDOWN(mmu)
{
	vm_free(self->v->vm);
}

static uint64_t guest_load(struct __test_metadata *_metadata, struct vcpu *v, uint64_t offset)
{
	struct kvm_regs r;

	vcpu_regs(v, &r);
	r.rip = VM_CODE;
	r.rbx = GPA + offset;
	vcpu_set_regs(v, &r);
	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_regs(v, &r);
	return r.rax;
}

static int guest_store_rc(struct vcpu *v, uint64_t offset, uint64_t value)
{
	struct kvm_regs r;

	vcpu_regs(v, &r);
	r.rip = VM_CODE + STORE_OFFSET;
	r.rbx = GPA + offset;
	r.rcx = value;
	vcpu_set_regs(v, &r);
	return vcpu_run(v);
}

static void guest_store(struct __test_metadata *_metadata, struct vcpu *v, uint64_t offset, uint64_t value)
{
	EXPECT_EQ(0, guest_store_rc(v, offset, value));
	EXPECT_EQ(KVM_EXIT_HLT, v->run->exit_reason);
}
#define LOAD(offset)		guest_load(_metadata, self->v, offset)
#define STORE(offset, value)	guest_store(_metadata, self->v, offset, value)
#define HOST(offset)		(*(volatile uint64_t *)(self->p + (offset)))

TEST_F(mmu, dontneed)
{
	int i;

	for (i = 0; i < 4; i++) {
		STORE(i * PAGE, 0x1000 + i);
		EXPECT_EQ(0x1000 + i, HOST(i * PAGE));
	}
	ASSERT_EQ(0, madvise(self->p + PAGE, 2 * PAGE, MADV_DONTNEED));
	EXPECT_EQ(0x1000, LOAD(0));
	EXPECT_EQ(0, LOAD(PAGE));
	STORE(2 * PAGE, 7);
	EXPECT_EQ(7, HOST(2 * PAGE));
	EXPECT_EQ(0x1003, LOAD(3 * PAGE));
}

/* A read maps the zero page; a later write by either side must be seen by the other. */
TEST_F(mmu, zero_page)
{
	EXPECT_EQ(0, LOAD(0));
	HOST(0) = 5;
	EXPECT_EQ(5, LOAD(0));
	EXPECT_EQ(0, LOAD(PAGE));
	STORE(PAGE, 6);
	EXPECT_EQ(6, HOST(PAGE));
	EXPECT_EQ(6, LOAD(PAGE));
}

TEST_F(mmu, mprotect)
{
	STORE(0, 1);
	ASSERT_EQ(0, mprotect(self->p, PAGE, PROT_READ));
	EXPECT_EQ(1, LOAD(0));
	EXPECT_EQ(-EFAULT, guest_store_rc(self->v, 0, 2));
	EXPECT_EQ(1, HOST(0));
	ASSERT_EQ(0, mprotect(self->p, PAGE, PROT_NONE));
	EXPECT_EQ(-EFAULT, guest_store_rc(self->v, 0, 2));
	ASSERT_EQ(0, mprotect(self->p, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(1, LOAD(0));
	STORE(0, 3);
	EXPECT_EQ(3, HOST(0));
}

TEST_F(mmu, remap_at_the_same_place)
{
	int fd = memfd_create("keel", 0);

	STORE(0, 1);
	STORE(PAGE, 2);
	ASSERT_EQ(0, munmap(self->p, PAGE));
	ASSERT_EQ(self->p, mmap(self->p, PAGE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(0, LOAD(0));
	EXPECT_EQ(2, LOAD(PAGE));
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	ASSERT_EQ(8, pwrite(fd, "ABCDEFGH", 8, 0));
	ASSERT_EQ(self->p, mmap(self->p, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0));
	EXPECT_EQ(0x4847464544434241, LOAD(0));
	STORE(0, 9);
	EXPECT_EQ(9, HOST(0));
	close(fd);
}

TEST_F(mmu, mremap)
{
	uint8_t *other = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	STORE(0, 1);
	*(uint64_t *)other = 0x77;
	/* another page slides under the guest */
	ASSERT_EQ(self->p, mremap(other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, self->p));
	EXPECT_EQ(0x77, LOAD(0));
	/* and the guest's page goes elsewhere: no access until something is there again */
	other = mremap(self->p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, self->p + SIZE - HUGE + 0);
	ASSERT_NE(MAP_FAILED, other);
	EXPECT_EQ(-EFAULT, guest_store_rc(self->v, 0, 5));
	EXPECT_EQ(0x77, LOAD(SIZE - HUGE));
}

TEST_F(mmu, truncated_file)
{
	int fd = memfd_create("keel", 0);

	ASSERT_EQ(0, ftruncate(fd, 2 * PAGE));
	ASSERT_EQ(self->p, mmap(self->p, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0));
	STORE(0, 1);
	STORE(PAGE, 2);
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	EXPECT_EQ(1, LOAD(0));
	EXPECT_EQ(-EFAULT, guest_store_rc(self->v, PAGE, 3));
	ASSERT_EQ(0, ftruncate(fd, 2 * PAGE));
	EXPECT_EQ(0, LOAD(PAGE));
	ASSERT_EQ(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
	EXPECT_EQ(0, LOAD(0));
	close(fd);
}

/* fork() write-protects everything; guest and child must part on the first write. */
TEST_F(mmu, fork_and_cow)
{
	int up[2], down[2], status;
	char c = 0;
	pid_t pid;

	ASSERT_EQ(0, pipe(up));
	ASSERT_EQ(0, pipe(down));
	STORE(0, 0x10);
	STORE(PAGE, 0x20);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int bad;

		if (read(down[0], &c, 1) != 1)
			_exit(9);
		bad = HOST(0) != 0x10;		/* not what the guest wrote since */
		HOST(PAGE) = 0x99;
		if (write(up[1], &c, 1) != 1)
			_exit(9);
		_exit(bad);
	}
	STORE(0, 0x11);
	EXPECT_EQ(0x11, HOST(0));
	ASSERT_EQ(1, write(down[1], &c, 1));
	ASSERT_EQ(1, read(up[0], &c, 1));
	EXPECT_EQ(0x20, LOAD(PAGE));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	STORE(PAGE, 0x21);
	EXPECT_EQ(0x21, HOST(PAGE));
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd >= 0) {
		if (write(fd, text, strlen(text)) < 0)
			printf("# %s: %s\n", path, strerror(errno));
		close(fd);
	}
}

static long read_number(const char *path)
{
	FILE *f = fopen(path, "r");
	long n = -1;

	if (f) {
		if (fscanf(f, "%ld", &n) != 1)
			n = -1;
		fclose(f);
	}
	return n;
}

TEST_F(mmu, ksm_merge)
{
	int i, waited;

	if (madvise(self->p, 64 * PAGE, MADV_MERGEABLE))
		SKIP(return, "no KSM");
	for (i = 0; i < 64; i++) {
		memset(self->p + i * PAGE, 0x3c, PAGE);
		STORE(i * PAGE, 0x1234);
	}
	write_file("/sys/kernel/mm/ksm/sleep_millisecs", "1");
	write_file("/sys/kernel/mm/ksm/pages_to_scan", "1000");
	write_file("/sys/kernel/mm/ksm/run", "1");
	for (waited = 0; waited < 100 && read_number("/sys/kernel/mm/ksm/pages_sharing") < 32; waited++)
		usleep(50 * 1000);
	write_file("/sys/kernel/mm/ksm/run", "0");
	if (read_number("/sys/kernel/mm/ksm/pages_sharing") < 1)
		SKIP(return, "KSM merged nothing in time");
	for (i = 0; i < 64; i++)
		EXPECT_EQ(0x1234, LOAD(i * PAGE));
	STORE(5 * PAGE, 5);			/* breaks the sharing for one page */
	for (i = 0; i < 64; i++) {
		EXPECT_EQ(i == 5 ? 5 : 0x1234, HOST(i * PAGE));
		EXPECT_EQ(i == 5 ? 5 : 0x1234, LOAD(i * PAGE));
	}
}

TEST_F(mmu, huge_page_split_and_collapse)
{
	uint64_t i;

	ASSERT_EQ(0, madvise(self->p, SIZE, MADV_HUGEPAGE));
	memset(self->p, 0, SIZE);
	for (i = 0; i < HUGE; i += 64 * PAGE)
		STORE(i, i + 1);
	/* a hole in the middle of the huge page */
	ASSERT_EQ(0, madvise(self->p + 64 * PAGE, PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, LOAD(64 * PAGE));
	EXPECT_EQ(128 * PAGE + 1, LOAD(128 * PAGE));
	ASSERT_EQ(0, mprotect(self->p + 128 * PAGE, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, guest_store_rc(self->v, 128 * PAGE, 1));
	STORE(129 * PAGE, 3);
	ASSERT_EQ(0, mprotect(self->p + 128 * PAGE, PAGE, PROT_READ | PROT_WRITE));
	STORE(64 * PAGE, 64 * PAGE + 1);
	if (madvise(self->p, HUGE, MADV_COLLAPSE))
		printf("# MADV_COLLAPSE: %s\n", strerror(errno));
	for (i = 0; i < HUGE; i += 64 * PAGE) {
		EXPECT_EQ(i + 1, LOAD(i));
		STORE(i, i + 2);
		EXPECT_EQ(i + 2, HOST(i));
	}
	EXPECT_EQ(3, LOAD(129 * PAGE));
}

/* Anonymous pages leave for swap or stay; file pages can always be dropped. */
/* Code among data in huge pages: CPUs with the iTLB-multihit erratum are not given both in one piece. */
TEST_F(mmu, code_in_huge_pages)
{
	static const uint64_t at[] = { 0x1000, 0x1ff000, 0x1000, HUGE + 0x3000, 0x5000, SIZE - PAGE };
	unsigned int i, round;
	struct kvm_regs r;

	ASSERT_EQ(0, madvise(self->p, SIZE, MADV_HUGEPAGE));
	memset(self->p, 0, SIZE);
	for (round = 0; round < 2; round++) {
		for (i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
			uint8_t code[] = { 0xb8, 0x40 + i, round, 0, 0, 0xf4 };	/* mov $, %eax; hlt */

			guest_store(_metadata, self->v, at[i] ^ 0x8000, 100 * round + i);
			memcpy(self->p + at[i], code, sizeof(code));
			vcpu_regs(self->v, &r);
			r.rip = GPA + at[i];
			vcpu_set_regs(self->v, &r);
			RUN_TO(self->v, KVM_EXIT_HLT);
			vcpu_regs(self->v, &r);
			EXPECT_EQ(0x40 + i + 0x100 * round, r.rax);
			EXPECT_EQ(100 * round + i, guest_load(_metadata, self->v, at[i] ^ 0x8000));
		}
	}
}

TEST_F(mmu, pageout)
{
	int fd = memfd_create("keel", 0), i;

	ASSERT_EQ(0, ftruncate(fd, 16 * PAGE));
	ASSERT_EQ(self->p, mmap(self->p, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0));
	for (i = 0; i < 32; i++)
		STORE(i * PAGE, 100 + i);
	madvise(self->p, 32 * PAGE, MADV_PAGEOUT);
	madvise(self->p, 32 * PAGE, MADV_COLD);
	for (i = 0; i < 32; i++)
		EXPECT_EQ(100 + i, LOAD(i * PAGE));
	for (i = 0; i < 32; i++)
		STORE(i * PAGE, 200 + i);
	for (i = 0; i < 32; i++)
		EXPECT_EQ(200 + i, HOST(i * PAGE));
}

TEST_F(mmu, two_places_one_memory)
{
	ASSERT_EQ(0, vm_set_slot(self->v->vm, 2, 0, GPA + SIZE, SIZE, self->p));
	STORE(0, 1);
	EXPECT_EQ(1, LOAD(SIZE));
	STORE(SIZE + PAGE, 2);
	EXPECT_EQ(2, LOAD(PAGE));
	ASSERT_EQ(0, madvise(self->p, 2 * PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, LOAD(0));
	EXPECT_EQ(0, LOAD(SIZE));
	EXPECT_EQ(0, LOAD(SIZE + PAGE));
	STORE(0, 3);
	EXPECT_EQ(3, LOAD(SIZE));
}

/* Many rounds, pages picked by a fixed sequence: the guest's view against a shadow copy. */
TEST_F(mmu, random_operations)
{
	static uint64_t shadow[256];
	uint32_t seed = 12345;
	int i;

	for (i = 0; i < 600; i++) {
		unsigned int page = (seed = seed * 1103515245 + 12345) >> 16 & 255, op = seed >> 24 & 7;

		switch (op) {
		case 0:
		case 1:
			STORE(page * PAGE, seed);
			shadow[page] = seed;
			break;
		case 2:
			HOST(page * PAGE) = seed;
			shadow[page] = seed;
			break;
		case 3:
			ASSERT_EQ(0, madvise(self->p + page * PAGE, PAGE, MADV_DONTNEED));
			shadow[page] = 0;
			break;
		case 4:
			ASSERT_EQ(0, mprotect(self->p + page * PAGE, PAGE, PROT_READ));
			EXPECT_EQ(shadow[page], LOAD(page * PAGE));
			ASSERT_EQ(0, mprotect(self->p + page * PAGE, PAGE, PROT_READ | PROT_WRITE));
			break;
		default:
			ASSERT_EQ(shadow[page], LOAD(page * PAGE));
		}
	}
}

TEST_HARNESS_MAIN
