// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_PRE_FAULT_MEMORY: what it refuses, how far it gets, and that it takes part neither in the log nor in what
 * memory holds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vm.h"

#define PAGE	4096ull
#define GPA	0x80000000ull
#define PAGES	1024ull

GUEST(sum, 64, "1: add (%rbx), %rax\n mov %rax, 8(%rbx)\n add $4096, %rbx\n dec %rsi\n jnz 1b\n hlt");

static struct vcpu *machine(uint8_t **p, uint32_t flags)
{
	struct vcpu *v = LONG_VCPU(sum);

	*p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (*p == MAP_FAILED || vm_set_slot(v->vm, 1, flags, GPA, PAGES * PAGE, *p))
		die("memory");
	return v;
}

static int pre_fault(struct vcpu *v, struct kvm_pre_fault_memory *range)
{
	return xioctlp(v->fd, KVM_PRE_FAULT_MEMORY, range);
}

static unsigned int resident(uint8_t *p)
{
	unsigned char there[PAGES];
	unsigned int n = 0;

	if (mincore(p, PAGES * PAGE, there))
		die("mincore");
	for (uint64_t i = 0; i < PAGES; i++)
		n += there[i] & 1;
	return n;
}

#define NEEDS_CAP(v)								\
	if (!has_cap((v)->vm->sys, KVM_CAP_PRE_FAULT_MEMORY))			\
		SKIP(return, "no KVM_CAP_PRE_FAULT_MEMORY")

TEST(refused)
{
	static const struct { struct kvm_pre_fault_memory range; int want; } rows[] = {
		{ { .gpa = GPA, .size = 0 }, -EINVAL },
		{ { .gpa = GPA + 1, .size = PAGE }, -EINVAL },
		{ { .gpa = GPA, .size = PAGE - 1 }, -EINVAL },
		{ { .gpa = GPA, .size = PAGE, .flags = 1 }, -EINVAL },
		{ { .gpa = -PAGE, .size = 2 * PAGE }, -EINVAL },
		{ { .gpa = GPA - PAGE, .size = 2 * PAGE }, -ENOENT },
		{ { .gpa = 1ull << 51, .size = PAGE }, -ENOENT },
	};
	uint8_t *p;
	struct vcpu *v = machine(&p, 0);

	NEEDS_CAP(v);
	EXPECT_EQ(1, has_cap(v->vm->fd, KVM_CAP_PRE_FAULT_MEMORY));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kvm_pre_fault_memory range = rows[i].range;

		EXPECT_EQ(rows[i].want, pre_fault(v, &range)) TH_LOG("row %zu", i);
		EXPECT_EQ(0, memcmp(&range, &rows[i].range, sizeof(range)));
	}
	EXPECT_EQ(-EFAULT, xioctl(v->fd, KVM_PRE_FAULT_MEMORY, 0x1000));
	EXPECT_EQ(0, resident(p));
	vm_free(v->vm);
}

TEST(range)
{
	struct kvm_pre_fault_memory range = { .gpa = GPA + 10 * PAGE, .size = 100 * PAGE };
	uint8_t *p;
	struct vcpu *v = machine(&p, 0);
	struct kvm_regs r;

	NEEDS_CAP(v);
	ASSERT_EQ(0, pre_fault(v, &range));
	EXPECT_EQ(GPA + 110 * PAGE, range.gpa);
	EXPECT_EQ(0, range.size);
	EXPECT_LE(100, resident(p));
	/* Again, over what is mapped already; and to the slot's end and beyond: what was done is told. */
	range = (struct kvm_pre_fault_memory){ .gpa = GPA, .size = 2 * PAGES * PAGE };
	ASSERT_EQ(0, pre_fault(v, &range));
	EXPECT_EQ(GPA + PAGES * PAGE, range.gpa);
	EXPECT_EQ(PAGES * PAGE, range.size);
	EXPECT_EQ(PAGES, resident(p));
	EXPECT_EQ(-ENOENT, pre_fault(v, &range));
	/* Memory is as it was, and the guest can read and write it. */
	for (uint64_t i = 0; i < PAGES; i++)
		*(uint64_t *)(p + i * PAGE) = i;
	vcpu_regs(v, &r);
	r.rax = 0;
	r.rbx = GPA;
	r.rsi = PAGES;
	vcpu_set_regs(v, &r);
	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_regs(v, &r);
	EXPECT_EQ(PAGES * (PAGES - 1) / 2, r.rax);
	EXPECT_EQ(r.rax, *(uint64_t *)(p + (PAGES - 1) * PAGE + 8));
	vm_free(v->vm);
}

/* Nothing is written, so nothing is dirty; and a later write is. */
TEST(nothing_dirty)
{
	struct kvm_pre_fault_memory range = { .gpa = GPA, .size = PAGES * PAGE };
	uint64_t bits[PAGES / 64], any = 0;
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bits };
	uint8_t *p;
	struct vcpu *v = machine(&p, KVM_MEM_LOG_DIRTY_PAGES);
	struct kvm_regs r;

	NEEDS_CAP(v);
	memset(p, 1, PAGES * PAGE);
	ASSERT_EQ(0, pre_fault(v, &range));
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_GET_DIRTY_LOG, &log));
	for (size_t i = 0; i < PAGES / 64; i++)
		any |= bits[i];
	EXPECT_EQ(0, any);
	vcpu_regs(v, &r);
	r.rbx = GPA + 100 * PAGE;
	r.rsi = 3;
	vcpu_set_regs(v, &r);
	RUN_TO(v, KVM_EXIT_HLT);
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_GET_DIRTY_LOG, &log));
	EXPECT_EQ(7ull << 36, bits[1]);
	vm_free(v->vm);
}

/* A page that cannot be had ends the range, and is the error once it is the first. */
TEST(host_page_missing)
{
	struct kvm_pre_fault_memory range = { .gpa = GPA, .size = PAGES * PAGE };
	uint8_t *p;
	struct vcpu *v = machine(&p, 0);

	NEEDS_CAP(v);
	ASSERT_EQ(0, munmap(p + 7 * PAGE, PAGE));
	ASSERT_EQ(0, pre_fault(v, &range));
	EXPECT_EQ(GPA + 7 * PAGE, range.gpa);
	EXPECT_EQ((PAGES - 7) * PAGE, range.size);
	EXPECT_EQ(-EFAULT, pre_fault(v, &range));
	EXPECT_EQ(GPA + 7 * PAGE, range.gpa);
	vm_free(v->vm);
}

static void on_signal(int sig)
{
}

static volatile int seen;

static void *send_always(void *to)
{
	while (!seen) {
		usleep(1000);
		pthread_kill(*(pthread_t *)to, SIGUSR1);
	}
	return NULL;
}

/* A signal ends it: with what was done, or with EINTR. */
TEST(signalled)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct kvm_pre_fault_memory range = { };
	pthread_t self = pthread_self(), other;
	uint8_t *p;
	struct vcpu *v = machine(&p, 0);
	int err;

	NEEDS_CAP(v);
	sigaction(SIGUSR1, &action, NULL);
	ASSERT_EQ(0, pthread_create(&other, NULL, send_always, &self));
	do {
		if (!range.size) {
			madvise(p, PAGES * PAGE, MADV_DONTNEED);
			range = (struct kvm_pre_fault_memory){ .gpa = GPA, .size = PAGES * PAGE };
		}
		err = pre_fault(v, &range);
		ASSERT_TRUE(!err || err == -EINTR);
		ASSERT_EQ(GPA + PAGES * PAGE, range.gpa + range.size);
	} while (!err && !range.size);
	seen = 1;
	pthread_join(other, NULL);
	vm_free(v->vm);
}

TEST_HARNESS_MAIN
