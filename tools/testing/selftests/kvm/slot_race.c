// SPDX-License-Identifier: GPL-2.0-only
/*
 * A slot comes and goes under a guest that uses it: each access ends in memory or as an MMIO exit,
 * and KVM_RUN never fails.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#include "kselftest_harness.h"
#include "vm.h"

#define HERE 0x10000000u
#define ELSEWHERE 0x20000000u
#define BYTES 0x10000u
#define SECONDS 3

GUEST(touch, 64, "sti\n mov $0x10000000, %eax\n"
		 "1: mov %ebx, (%rax)\n mov 0x1000(%rax), %ecx\n incl 0x2000(%rax)\n lock incl 0x3000(%rax)\n"
		 "inc %ebx\n jmp 1b");

struct runner {
	struct vcpu *v;
	atomic_bool stop;
	int err;
	unsigned long mmio;
};

static void *run(void *arg)
{
	struct runner *r = arg;

	while (!atomic_load(&r->stop)) {
		r->err = vcpu_run(r->v);
		if (r->err == -EINTR)
			r->err = 0;
		else if (r->err || r->v->run->exit_reason != KVM_EXIT_MMIO)
			break;
		else
			r->mmio++;
	}
	return NULL;
}

TEST(moved_and_deleted)
{
	struct vcpu *v = LONG_VCPU(touch);
	struct runner r = { .v = v };
	uint8_t *mem = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t thread;
	time_t end = time(NULL) + SECONDS;
	int i, bad = 0;

	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, vm_set_slot(v->vm, 1, 0, HERE, BYTES, mem));
	ASSERT_EQ(0, pthread_create(&thread, NULL, run, &r));
	for (i = 0; time(NULL) < end && !bad; i++) {
		if (i & 1)
			bad |= vm_set_slot(v->vm, 1, 0, ELSEWHERE, BYTES, mem);
		else
			bad |= vm_set_slot(v->vm, 1, 0, HERE, 0, NULL);
		bad |= vm_set_slot(v->vm, 1, 0, HERE, BYTES, mem);
	}
	EXPECT_EQ(0, bad);
	atomic_store(&r.stop, true);
	/* The last thing it sees is no memory, and so it comes out. */
	EXPECT_EQ(0, vm_set_slot(v->vm, 1, 0, HERE, 0, NULL));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, r.err);
	EXPECT_EQ(KVM_EXIT_MMIO, v->run->exit_reason);
	EXPECT_NE(0, r.mmio);
	EXPECT_NE(0, *(uint32_t *)mem);
	EXPECT_NE(0, *(uint32_t *)(mem + 0x3000));
}

TEST_HARNESS_MAIN
