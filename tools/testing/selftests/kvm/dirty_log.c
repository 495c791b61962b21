// SPDX-License-Identifier: GPL-2.0-only
/*
 * The dirty log of many pages, exact to the page, by write faults or by the CPU's own log; and that the latter costs
 * no exits.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vm.h"

#define SLOT	1
#define PAGES	1500u			/* more than twice what the CPU's log holds */
#define GPA	0x2000000u
#define STOP	VM_DATA

/* Writes a word every r8 bytes from rsi on, r9 times; then reports the time that took. */
GUEST(writer, 64,
	"1:\n"
	"rdtsc\n mov %eax, %edi\n"
	"2: incl (%rsi)\n"
	"add %r8, %rsi\n"
	"dec %r9d\n"
	"jnz 2b\n"
	"rdtsc\n sub %edi, %eax\n"
	"out %eax, $0xf1\n"
	"jmp 1b\n");

/* As many CPUIDs. */
GUEST(cpuid, 64,
	"rdtsc\n mov %eax, %edi\n"
	"1: xor %eax, %eax\n cpuid\n"
	"dec %r9d\n"
	"jnz 1b\n"
	"rdtsc\n sub %edi, %eax\n"
	"out %eax, $0xf1\n");

/* Writes to the page rsi until it is told to stop. */
GUEST(busy, 64,
	"sti\n"
	"1: incl (%rsi)\n"
	"cmpb $0, 0x40000\n"
	"je 1b\n"
	"out %al, $0xf1\n");

struct machine {
	struct vm *vm;
	struct vcpu *v;
	uint8_t *mem;
	uint64_t log[PAGES / 64 + 1];
};

static void start(struct machine *m, const uint8_t *code, size_t size)
{
	m->v = vm_long(code, size);
	m->vm = m->v->vm;
	m->mem = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m->mem == MAP_FAILED)
		die("mmap");
	memset(m->mem, 0, PAGES * 4096);
	if (vm_set_slot(m->vm, SLOT, 0, GPA, PAGES * 4096, m->mem))
		die("slot");
}

static int logging(struct machine *m, bool on)
{
	return vm_set_slot(m->vm, SLOT, on ? KVM_MEM_LOG_DIRTY_PAGES : 0, GPA, PAGES * 4096, m->mem);
}

static void finish(struct machine *m)
{
	vm_free(m->vm);
	munmap(m->mem, PAGES * 4096);
}

/* The log's bits, counted. */
static int get(struct machine *m)
{
	struct kvm_dirty_log log = { .slot = SLOT, .dirty_bitmap = m->log };
	int rc = xioctlp(m->vm->fd, KVM_GET_DIRTY_LOG, &log), n = 0;
	unsigned int i;

	for (i = 0; !rc && i < PAGES; i++)
		n += m->log[i / 64] >> i % 64 & 1;
	return rc ? rc : n;
}

/* What the guest is to write: @n pages from @first on, every @step. */
static void writes(struct machine *m, uint32_t first, uint32_t step, uint32_t n)
{
	struct kvm_regs regs;

	vcpu_regs(m->v, &regs);
	regs.rsi = GPA + first * 4096;
	regs.r8 = step * 4096;
	regs.r9 = n;
	vcpu_set_regs(m->v, &regs);
}

TEST(exact)
{
	struct machine m;
	uint64_t value;
	unsigned int i;

	start(&m, guest_code(writer), guest_size(writer));
	/* Before it begins to log. */
	writes(&m, 0, 1, PAGES);
	RUN_TO_REPORT(m.v, value);
	ASSERT_EQ(0, logging(&m, true));
	EXPECT_EQ(0, get(&m));
	for (i = 1; i <= 3; i++) {
		writes(&m, 0, 1, PAGES);
		RUN_TO_REPORT(m.v, value);
		EXPECT_EQ(PAGES, get(&m));
		EXPECT_EQ(0, get(&m));
		writes(&m, i, 3, PAGES / 3 - 1);
		RUN_TO_REPORT(m.v, value);
		EXPECT_EQ(PAGES / 3 - 1, get(&m));
		EXPECT_EQ(1, m.log[0] >> i & 1);
		EXPECT_EQ(0, m.log[0] >> (i + 1) & 1);
	}
	/* Twice the same is once; one page. */
	writes(&m, 77, 0, 1000);
	RUN_TO_REPORT(m.v, value);
	EXPECT_EQ(1, get(&m));
	EXPECT_EQ(1ULL << (77 - 64), m.log[1]);
	/* Off and on again: what was written in between is nobody's business. */
	ASSERT_EQ(0, logging(&m, false));
	writes(&m, 0, 1, PAGES);
	RUN_TO_REPORT(m.v, value);
	EXPECT_EQ(-ENOENT, get(&m));
	ASSERT_EQ(0, logging(&m, true));
	EXPECT_EQ(0, get(&m));
	writes(&m, PAGES - 1, 1, 1);
	RUN_TO_REPORT(m.v, value);
	EXPECT_EQ(1, get(&m));
	finish(&m);
}

/* The same by user space's leave: what is not cleared stays, and is cleared once. */
TEST(cleared_by_request)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { 1 } };
	struct kvm_clear_dirty_log clear = { .slot = SLOT, .first_page = 64, .num_pages = 128 };
	struct machine m;
	uint64_t value;

	start(&m, guest_code(writer), guest_size(writer));
	ASSERT_EQ(0, xioctlp(m.vm->fd, KVM_ENABLE_CAP, &cap));
	ASSERT_EQ(0, logging(&m, true));
	writes(&m, 0, 1, PAGES);
	RUN_TO_REPORT(m.v, value);
	EXPECT_EQ(PAGES, get(&m));
	clear.dirty_bitmap = m.log + 1;
	ASSERT_EQ(0, xioctlp(m.vm->fd, KVM_CLEAR_DIRTY_LOG, &clear));
	EXPECT_EQ(PAGES - 128, get(&m));
	writes(&m, 100, 1, 1);
	RUN_TO_REPORT(m.v, value);
	EXPECT_EQ(PAGES - 127, get(&m));
	finish(&m);
}

static void *run(void *arg)
{
	struct vcpu *v = arg;

	while (vcpu_run(v) == -EINTR)
		;
	return NULL;
}

/* A vCPU that does not leave the guest by itself: its writes are in the log all the same. */
TEST(while_it_runs)
{
	struct machine m;
	pthread_t thread;
	unsigned int i, tries;

	start(&m, guest_code(busy), guest_size(busy));
	ASSERT_EQ(0, logging(&m, true));
	writes(&m, 9, 0, 0);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run, m.v));
	for (i = 0; i < 5; i++) {
		for (tries = 0; tries < 5000 && get(&m) != 1; tries++)
			usleep(1000);
		EXPECT_GT(5000, tries);
	}
	EXPECT_EQ(1u << 9, m.log[0]);
	m.vm->ram[STOP] = 1;
	pthread_join(thread, NULL);
	EXPECT_EQ(KVM_EXIT_IO, m.v->run->exit_reason);
	finish(&m);
}

/* Once the pages are mapped, writing them anew costs less than so many exits. */
TEST(cheap)
{
	struct machine m, other;
	FILE *f = fopen("/sys/module/kvm_intel/parameters/pml", "r");
	uint64_t cost, cpuid;

	if (!f || fgetc(f) != 'Y')
		SKIP(return, "the CPU has no log of its own");
	start(&m, guest_code(writer), guest_size(writer));
	start(&other, guest_code(cpuid), guest_size(cpuid));
	ASSERT_EQ(0, logging(&m, true));
	writes(&m, 0, 1, PAGES);
	RUN_TO_REPORT(m.v, cost);
	EXPECT_EQ(PAGES, get(&m));
	writes(&m, 0, 1, PAGES);
	RUN_TO_REPORT(m.v, cost);
	EXPECT_EQ(PAGES, get(&m));
	writes(&other, 0, 0, PAGES);
	RUN_TO_REPORT(other.v, cpuid);
	EXPECT_GT(cpuid, cost);
	finish(&other);
	finish(&m);
	fclose(f);
}

TEST_HARNESS_MAIN
