// SPDX-License-Identifier: GPL-2.0-only
/*
 * Several vCPUs in threads: they run at the same time, are kicked, and no one keeps an old
 * translation when the memory under all of them changes.
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

struct runner {
	struct vcpu *v;
	pthread_t thread;
	volatile int stop;
	int rc;
	uint32_t reason;
};

static void on_signal(int sig)
{
}

/* Runs until something else than -EINTR happens, or until it is told to stop. */
static void *run_thread(void *arg)
{
	struct runner *r = arg;

	do
		r->rc = vcpu_run(r->v);
	while (r->rc == -EINTR && !r->stop);
	r->reason = r->v->run->exit_reason;
	return NULL;
}

static void start(struct runner *r, struct vcpu *v)
{
	memset(r, 0, sizeof(*r));
	r->v = v;
	if (pthread_create(&r->thread, NULL, run_thread, r))
		die("pthread_create");
}

static void stop(struct runner *r)
{
	r->stop = 1;
	r->v->run->immediate_exit = 1;
	pthread_kill(r->thread, SIGUSR1);
	pthread_join(r->thread, NULL);
	r->v->run->immediate_exit = 0;
}

static struct vm *machine(unsigned int cpus, const uint8_t *code, size_t size)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct vm *vm = vm_new(VM_RAM_SIZE);
	struct kvm_regs r;
	unsigned int i;

	sigaction(SIGUSR1, &sa, NULL);
	vm_load(vm, VM_CODE, code, size);
	for (i = 0; i < cpus; i++) {
		struct vcpu *v = vm_vcpu(vm, i);

		vcpu_long(v, VM_CODE);
		vcpu_regs(v, &r);
		r.rdi = i;
		r.rsp = VM_STACK_TOP - 0x400 * i;
		vcpu_set_regs(v, &r);
	}
	return vm;
}
#define MACHINE(cpus, name) machine(cpus, guest_code(name), guest_size(name))

/* Two vCPUs hand a number back and forth: only possible when both run. */
GUEST(ping_pong, 64,
	"sti\n mov $200, %ecx\n"
	"1: mov 0x40000, %eax\n mov %eax, %edx\n and $1, %edx\n cmp %edi, %edx\n jne 2f\n"
	"lock incl 0x40000\n dec %ecx\n jz 3f\n"
	"2: pause\n jmp 1b\n 3: hlt");

TEST(both_run)
{
	struct vm *vm = MACHINE(2, ping_pong);
	struct runner r[2];
	int i;

	for (i = 0; i < 2; i++)
		start(&r[i], vm->vcpus[i]);
	for (i = 0; i < 2; i++) {
		pthread_join(r[i].thread, NULL);
		EXPECT_EQ(0, r[i].rc);
		EXPECT_EQ(KVM_EXIT_HLT, r[i].reason);
	}
	EXPECT_EQ(400, *(uint32_t *)(vm->ram + 0x40000));
}

GUEST(locked_adds, 64, "mov $20000, %ecx\n 1: lock incq 0x40000\n lock xaddq %rax, 0x40008\n dec %ecx\n jnz 1b\n hlt");

TEST(locked_operations)
{
	struct vm *vm = MACHINE(4, locked_adds);
	struct runner r[4];
	int i;

	for (i = 0; i < 4; i++)
		start(&r[i], vm->vcpus[i]);
	for (i = 0; i < 4; i++)
		pthread_join(r[i].thread, NULL);
	EXPECT_EQ(80000, *(uint64_t *)(vm->ram + 0x40000));
}

GUEST(spin, 64, "sti\n 1: lock incq 0x40000(,%rdi,8)\n jmp 1b");

TEST(kicks)
{
	struct vm *vm = MACHINE(2, spin);
	volatile uint64_t *count = (uint64_t *)(vm->ram + 0x40000);
	struct runner r[2];
	int i, k;

	for (k = 0; k < 20; k++) {
		for (i = 0; i < 2; i++)
			start(&r[i], vm->vcpus[i]);
		usleep(2000);
		for (i = 0; i < 2; i++) {
			stop(&r[i]);
			EXPECT_EQ(-EINTR, r[i].rc);
		}
	}
	EXPECT_LT(0, count[0]);
	EXPECT_LT(0, count[1]);
}

/* One fd, two threads: the second waits for the first, and both leave when signalled. */
TEST(one_vcpu_two_threads)
{
	struct vm *vm = MACHINE(1, spin);
	struct runner a, b;

	start(&a, vm->vcpus[0]);
	usleep(20000);
	start(&b, vm->vcpus[0]);
	usleep(20000);
	b.stop = a.stop = 1;
	vm->vcpus[0]->run->immediate_exit = 1;
	while (pthread_tryjoin_np(a.thread, NULL)) {
		pthread_kill(a.thread, SIGUSR1);
		usleep(1000);
	}
	while (pthread_tryjoin_np(b.thread, NULL)) {
		pthread_kill(b.thread, SIGUSR1);
		usleep(1000);
	}
	EXPECT_EQ(-EINTR, a.rc);
	EXPECT_EQ(-EINTR, b.rc);
}

/* The guest copies what it reads at GPA to its own counter page, for ever. */
GUEST(reader, 64, "sti\n mov $0x80000000, %ebx\n 1: mov (%rbx), %rax\n mov %rax, 0x40000(,%rdi,8)\n"
	"incq 0x40100(,%rdi,8)\n jmp 1b");

static int wait_for(volatile uint64_t *where, uint64_t value)
{
	int i;

	for (i = 0; i < 5000; i++) {
		if (*where == value)
			return 1;
		usleep(1000);
	}
	return 0;
}

/*
 * After the host has replaced the page, a vCPU may finish the load under way, but none may read
 * the old page again. Two progress steps later the new value must be there.
 */
TEST(no_stale_translation)
{
	struct vm *vm = MACHINE(2, reader);
	uint8_t *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile uint64_t *seen = (uint64_t *)(vm->ram + 0x40000), *steps = seen + 32;
	struct runner r[2];
	int i, k;

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, vm_set_slot(vm, 1, 0, GPA, PAGE, p));
	*(uint64_t *)p = 1;
	for (i = 0; i < 2; i++)
		start(&r[i], vm->vcpus[i]);
	for (k = 2; k < 60; k++) {
		uint64_t before[2];

		ASSERT_EQ(p, mmap(p, PAGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0));
		*(volatile uint64_t *)p = k;
		for (i = 0; i < 2; i++)
			before[i] = steps[i];
		for (i = 0; i < 2; i++) {
			int spins;

			for (spins = 0; steps[i] < before[i] + 2 && spins < 5000; spins++)
				usleep(100);
			EXPECT_EQ(k, seen[i])
				TH_LOG("vCPU %d in round %d", i, k);
		}
	}
	for (i = 0; i < 2; i++)
		stop(&r[i]);
}

/* The slot goes away under a running reader: it stops with MMIO, and nobody reads freed memory. */
TEST(slot_deleted_while_running)
{
	struct vm *vm = MACHINE(2, reader);
	uint8_t *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile uint64_t *seen = (uint64_t *)(vm->ram + 0x40000);
	struct runner r[2];
	int i, k;

	for (k = 0; k < 10; k++) {
		ASSERT_EQ(0, vm_set_slot(vm, 1, 0, GPA, PAGE, p));
		*(uint64_t *)p = 0x100 + k;
		for (i = 0; i < 2; i++)
			start(&r[i], vm->vcpus[i]);
		for (i = 0; i < 2; i++)
			EXPECT_TRUE(wait_for(&seen[i], 0x100 + k));
		ASSERT_EQ(0, vm_set_slot(vm, 1, 0, GPA, 0, NULL));
		for (i = 0; i < 2; i++) {
			pthread_join(r[i].thread, NULL);
			EXPECT_EQ(0, r[i].rc);
			EXPECT_EQ(KVM_EXIT_MMIO, r[i].reason);
			EXPECT_EQ(GPA, vm->vcpus[i]->run->mmio.phys_addr);
			*(uint64_t *)vm->vcpus[i]->run->mmio.data = 0;
		}
	}
}

/* Dirty logging switched on and read while a vCPU writes: every page it wrote is reported. */
GUEST(writer, 64, "sti\n 1: mov $0x80000000, %ebx\n mov $64, %ecx\n 2: incq (%rbx)\n add $4096, %rbx\n"
	"dec %ecx\n jnz 2b\n incq 0x40100\n jmp 1b");

TEST(dirty_log_while_running)
{
	struct vm *vm = MACHINE(1, writer);
	uint8_t *p = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile uint64_t *rounds = (uint64_t *)(vm->ram + 0x40100);
	uint64_t bits, copy[64], before;
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = &bits };
	struct runner r;
	int i, k;

	ASSERT_EQ(0, vm_set_slot(vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GPA, 64 * PAGE, p));
	start(&r, vm->vcpus[0]);
	for (k = 0; k < 20; k++) {
		ASSERT_EQ(0, xioctlp(vm->fd, KVM_GET_DIRTY_LOG, &log));
		for (i = 0; i < 64; i++)
			copy[i] = *(volatile uint64_t *)(p + i * PAGE);
		before = *rounds;
		for (i = 0; *rounds < before + 2 && i < 50000; i++)
			usleep(100);
		/* each page was written since the log was read */
		ASSERT_EQ(0, xioctlp(vm->fd, KVM_GET_DIRTY_LOG, &log));
		for (i = 0; i < 64; i++)
			if (*(volatile uint64_t *)(p + i * PAGE) != copy[i])
				EXPECT_EQ(1, bits >> i & 1);
	}
	stop(&r);
}

TEST_HARNESS_MAIN
