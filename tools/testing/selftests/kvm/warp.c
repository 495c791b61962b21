// SPDX-License-Identifier: GPL-2.0-only
/*
 * Four vCPUs compare clocks: under a lock of theirs each reads the TSC and the paravirtual clock and finds nothing
 * earlier than what another has read before, while their threads move between the host's CPUs, are stopped, and the
 * clock is taken and put back. WARP_SECONDS in the environment says how long.
 *
 * Source: KVM documentation, "KVM-specific MSRs" (MSR_KVM_SYSTEM_TIME_NEW); KVM API, KVM_GET_CLOCK.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vm.h"

#define VCPUS 4
#define TIME_MSR 0x4b564d01
#define STABLE 1

/* What the vCPUs share at VM_DATA2. */
struct shared {
	volatile uint64_t lock, tsc, ns;	/* the latest readings */
	volatile uint64_t tsc_back, ns_back;	/* how often one was before the latest */
	volatile uint64_t worst_ns;		/* by how much at most */
	volatile uint64_t own_back;		/* and before the same vCPU's latest */
	volatile uint64_t pad;
	volatile uint64_t rounds[VCPUS];
};

/* R8: the clock's page; R9: my entry of rounds[]; R10: my latest. */
GUEST(compares, 64,
	"sti\n xor %r10d, %r10d\n"
	"1: mov $1, %eax\n xchg %eax, 0x60000\n test %eax, %eax\n jz 2f\n pause\n jmp 1b\n"
	"2: lfence\n rdtsc\n shl $32, %rdx\n or %rdx, %rax\n"
	"cmp 0x60008, %rax\n jae 3f\n incq 0x60018\n"
	"3: mov %rax, 0x60008\n"
	"4: mov (%r8), %esi\n test $1, %esi\n jnz 4b\n"
	"lfence\n rdtsc\n shl $32, %rdx\n or %rdx, %rax\n sub 8(%r8), %rax\n"
	"movsbl 28(%r8), %ecx\n test %ecx, %ecx\n js 5f\n shl %cl, %rax\n jmp 6f\n"
	"5: neg %ecx\n shr %cl, %rax\n"
	"6: mov 24(%r8), %ecx\n mul %rcx\n shrd $32, %rdx, %rax\n add 16(%r8), %rax\n"
	"cmp (%r8), %esi\n jne 4b\n"
	"cmp %r10, %rax\n jae 7f\n incq 0x60030\n"
	"7: mov %rax, %r10\n"
	"mov 0x60010, %rdx\n sub %rax, %rdx\n jbe 8f\n incq 0x60020\n cmp 0x60028, %rdx\n jbe 9f\n"
	"mov %rdx, 0x60028\n jmp 9f\n"
	"8: mov %rax, 0x60010\n"
	"9: incq (%r9)\n movq $0, 0x60000\n jmp 1b");

static volatile int stop;

static void on_signal(int sig)
{
}

static void *run_thread(void *arg)
{
	struct vcpu *v = arg;

	while (!stop && vcpu_run(v) == -EINTR)
		;
	if (!stop) {
		vcpu_dump(v);
		_exit(1);
	}
	return NULL;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static pthread_t thread[VCPUS];

static void begin(struct vm *vm)
{
	int i;

	stop = 0;
	for (i = 0; i < VCPUS; i++) {
		vm->vcpus[i]->run->immediate_exit = 0;
		if (pthread_create(&thread[i], NULL, run_thread, vm->vcpus[i]))
			die("pthread_create");
	}
}

static void end(struct vm *vm)
{
	int i;

	stop = 1;
	for (i = 0; i < VCPUS; i++)
		vm->vcpus[i]->run->immediate_exit = 1;
	for (i = 0; i < VCPUS; i++) {
		while (pthread_tryjoin_np(thread[i], NULL)) {
			pthread_kill(thread[i], SIGUSR1);
			usleep(1000);
		}
	}
}

static void move(pthread_t thread, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_setaffinity_np(thread, sizeof(set), &set);
}

FIXTURE(warp) { };
FIXTURE_SETUP(warp) { }
FIXTURE_TEARDOWN(warp) { }

TEST_F_TIMEOUT(warp, nobody_is_early, 36000)
{
	double seconds = getenv("WARP_SECONDS") ? atof(getenv("WARP_SECONDS")) : 4, until, pause;
	struct vm *vm = vm_new(VM_RAM_SIZE);
	struct shared *s = (struct shared *)(vm->ram + VM_DATA2);
	int cpus = sysconf(_SC_NPROCESSORS_ONLN), i, pauses = 0, moves = 0;
	struct kvm_clock_data clock;
	unsigned int seed = 1;
	struct kvm_regs r;
	uint8_t flags = STABLE;

	signal(SIGUSR1, on_signal);
	vm_load_guest(vm, VM_CODE, compares);
	for (i = 0; i < VCPUS; i++) {
		vm_vcpu(vm, i);
		vcpu_long(vm->vcpus[i], VM_CODE);
		vcpu_regs(vm->vcpus[i], &r);
		r.r8 = VM_DATA + 64 * i;
		r.r9 = VM_DATA2 + offsetof(struct shared, rounds) + 8 * i;
		vcpu_set_regs(vm->vcpus[i], &r);
		ASSERT_EQ(1, vcpu_set_msr(vm->vcpus[i], TIME_MSR, (VM_DATA + 64 * i) | 1));
	}
	begin(vm);
	for (until = now() + seconds, pause = now() + seconds / 4; now() < until;) {
		usleep(5000);
		move(thread[rand_r(&seed) % VCPUS], rand_r(&seed) % cpus);
		moves++;
		if (now() < pause)
			continue;
		/* As for a snapshot: the clock stands still meanwhile. */
		end(vm);
		ASSERT_EQ(0, xioctlp(vm->fd, KVM_GET_CLOCK, &clock));
		usleep(10000);
		clock.flags = 0;
		if (pauses & 1)
			ASSERT_EQ(0, xioctlp(vm->fd, KVM_SET_CLOCK, &clock));
		pauses++;
		pause = now() + seconds / 4;
		begin(vm);
	}
	end(vm);
	for (i = 0; i < VCPUS; i++) {
		flags &= vm->ram[VM_DATA + 64 * i + 29];
		EXPECT_LT(10, s->rounds[i]);
	}
	printf("# %llu %llu %llu %llu rounds, %d moves, %d pauses, the clock is %sstable; back: TSC %llu, clock %llu (by %llu ns "
	       "at most), own %llu\n", (unsigned long long)s->rounds[0], (unsigned long long)s->rounds[1],
	       (unsigned long long)s->rounds[2], (unsigned long long)s->rounds[3], moves, pauses, flags & STABLE ? "" : "not ",
	       (unsigned long long)s->tsc_back, (unsigned long long)s->ns_back, (unsigned long long)s->worst_ns,
	       (unsigned long long)s->own_back);
	EXPECT_LT(0, pauses);
	EXPECT_EQ(0, s->tsc_back);
	EXPECT_EQ(0, s->own_back);
	/* Without the stable bit guests compare for themselves, as Linux does. */
	if (flags & STABLE)
		EXPECT_EQ(0, s->ns_back);
}

TEST_HARNESS_MAIN
