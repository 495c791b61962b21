// SPDX-License-Identifier: GPL-2.0-only
/*
 * vCPUs that wait: polling before a halt and what limits it, and making way for a vCPU that has no CPU, by hypercall
 * and by PAUSE.
 *
 * Source: the kernel's documentation, "The KVM halt polling system", "Linux KVM Hypercall"; KVM API, KVM_CAP_HALT_POLL.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vm.h"

#define POLL_MSR 0x4b564d05
#define HALTS 300

/* EBP times: a one-shot timer of EDI ns, HLT. Then reports. */
GUEST(naps, 64,
	"mov $0xfee00000, %ebx\n movl $0x1ff, 0xf0(%rbx)\n movl $0xb, 0x3e0(%rbx)\n movl $0x51, 0x320(%rbx)\n"
	"1: mov %ebp, %esi\n 2: cli\n mov %edi, 0x380(%rbx)\n"
	"3: sti\n hlt\n cli\n xor %eax, %eax\n xchg %eax, 0x60000\n test %eax, %eax\n jz 3b\n"
	"dec %esi\n jnz 2b\n out %al, $0xf1\n jmp 1b");
GUEST(handler, 64, "movl $1, 0x60000\n movl $0, 0xb0(%rbx)\n iretq");

/*
 * Ping-pong over the word at 0x60000: R8 is who I am, EBP how often. Meanwhile, R9 says: 0 spin, 1 PAUSE, else the
 * number of a hypercall to the other's APIC id. Reports at the end.
 */
GUEST(plays, 64,
	"sti\n mov %r8, %r10\n xor $1, %r10\n"
	"1: mov 0x60000, %eax\n cmp %r8d, %eax\n je 4f\n"
	"cmp $1, %r9\n jb 1b\n je 2f\n"
	"mov %r9, %rax\n mov %r10, %rbx\n mov %r10, %rcx\n vmmcall\n jmp 1b\n"
	"2: pause\n jmp 1b\n"
	"4: mov %r10d, 0x60000\n dec %ebp\n jnz 1b\n out %al, $0xf1\n hlt");

static struct vm *chips_vm(void)
{
	struct vm *vm = vm_new(VM_RAM_SIZE);
	int rc = xioctl(vm->fd, KVM_CREATE_IRQCHIP, 0);

	if (rc)
		die("KVM_CREATE_IRQCHIP: %s", strerror(-rc));
	return vm;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

static long parameter(const char *name)
{
	char path[100];
	long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/module/kvm/parameters/%s", name);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%ld", &value) != 1)
		printf("# %s: %s\n", path, f ? "no number" : strerror(errno));
	if (f)
		fclose(f);
	return value;
}

TEST(offered)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_HALT_POLL };
	struct vm *vm = chips_vm();
	struct kvm_cpuid2 *c = supported_cpuid(vm->sys);
	const struct kvm_cpuid_entry2 *e = cpuid_find(c, 0x40000001, 0);

	EXPECT_EQ(200000, parameter("halt_poll_ns"));
	EXPECT_EQ(2, parameter("halt_poll_ns_grow"));
	EXPECT_EQ(10000, parameter("halt_poll_ns_grow_start"));
	EXPECT_EQ(0, parameter("halt_poll_ns_shrink"));
	ASSERT_NE(NULL, e);
	EXPECT_NE(0, e->eax & 1u << 13);
	EXPECT_EQ(1, has_cap(vm->sys, KVM_CAP_HALT_POLL));
	EXPECT_EQ(0, xioctlp(vm->fd, KVM_ENABLE_CAP, &cap));
	cap.args[0] = 0xffffffff;
	EXPECT_EQ(0, xioctlp(vm->fd, KVM_ENABLE_CAP, &cap));
	cap.args[0] = 1ull << 32;
	EXPECT_EQ(-EINVAL, xioctlp(vm->fd, KVM_ENABLE_CAP, &cap));
	cap.args[0] = 0;
	cap.flags = 1;
	EXPECT_EQ(-EINVAL, xioctlp(vm->fd, KVM_ENABLE_CAP, &cap));
}

/* How often the thread slept while the guest halted HALTS times for @ns each. */
static long sleeps(struct __test_metadata *_metadata, struct vcpu *v, uint32_t ns, uint64_t max, int guest_polls)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_HALT_POLL, .args = { max } };
	struct rusage before, after;
	struct kvm_regs r;

	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_ENABLE_CAP, &cap)) _exit(1);
	ASSERT_EQ(1, vcpu_set_msr(v, POLL_MSR, !guest_polls)) _exit(1);
	vcpu_regs(v, &r);
	r.rbp = HALTS;
	r.rdi = ns;
	vcpu_set_regs(v, &r);
	getrusage(RUSAGE_THREAD, &before);
	do {
		if (vcpu_run(v) || v->run->exit_reason != KVM_EXIT_IO)
			die("exit %s", exit_name(v->run->exit_reason));
	} while (v->run->io.port != VM_PORT);
	getrusage(RUSAGE_THREAD, &after);
	return after.ru_nvcsw - before.ru_nvcsw;
}

/* Short waits do not put the thread to sleep, unless user space or the guest wants that; long ones do. */
TEST(polling)
{
	struct vm *vm = chips_vm();
	struct vcpu *v = vm_vcpu(vm, 0);
	long polled, never, guest, longer;

	pin(1 % sysconf(_SC_NPROCESSORS_ONLN));
	vm_load_guest(vm, VM_CODE, naps);
	vm_load_guest(vm, VM_CODE + 0x1000, handler);
	vcpu_long(v, VM_CODE);
	vm_set_gate(vm, 0x51, VM_CODE + 0x1000, 14, 0, 0);
	/* Twice: the polling grows at first. */
	sleeps(_metadata, v, 400000, 20000000, 0);
	polled = sleeps(_metadata, v, 400000, 20000000, 0);
	never = sleeps(_metadata, v, 400000, 0, 0);
	guest = sleeps(_metadata, v, 400000, 20000000, 1);
	longer = sleeps(_metadata, v, 4000000, 1000000, 0);
	printf("# of %d halts the thread slept %ld times, %ld without polling, %ld when the guest polls, "
	       "%ld when they are long\n", HALTS, polled, never, guest, longer);
	EXPECT_LT(polled, HALTS / 2);
	EXPECT_GT(never, HALTS / 2);
	EXPECT_GT(guest, HALTS / 2);
	EXPECT_GT(longer, HALTS / 2);
}

struct player {
	struct vcpu *v;
	pthread_t thread;
	pthread_barrier_t *start;
};

static void *play(void *arg)
{
	struct player *p = arg;

	pin(0);
	pthread_barrier_wait(p->start);
	if (vcpu_run(p->v) || p->v->run->exit_reason != KVM_EXIT_IO)
		die("exit %s", exit_name(p->v->run->exit_reason));
	return NULL;
}

/* ns for @turns turns of each of two vCPUs that share a CPU. */
static uint64_t game(uint64_t how, uint32_t turns)
{
	struct vm *vm = chips_vm();
	struct kvm_mp_state mp = { KVM_MP_STATE_RUNNABLE };
	struct kvm_cpuid2 *c = supported_cpuid(vm->sys);
	const struct kvm_cpuid_entry2 *e = cpuid_find(c, 0, 0);
	struct timespec began, ended;
	pthread_barrier_t start;
	struct player p[2];
	struct kvm_regs r;
	uint8_t *code;
	int i;

	vm_load_guest(vm, VM_CODE, plays);
	code = memmem(vm->ram + VM_CODE, guest_size(plays), "\x0f\x01\xd9", 3);
	if (!memcmp(&e->ebx, "Genu", 4))
		code[2] = 0xc1;
	pthread_barrier_init(&start, NULL, 3);
	for (i = 0; i < 2; i++) {
		p[i] = (struct player){ .v = vm_vcpu(vm, i), .start = &start };
		vcpu_long(p[i].v, VM_CODE);
		vcpu_regs(p[i].v, &r);
		r.r8 = i;
		r.r9 = how;
		r.rbp = turns;
		vcpu_set_regs(p[i].v, &r);
		if (xioctlp(p[i].v->fd, KVM_SET_MP_STATE, &mp))
			die("KVM_SET_MP_STATE");
		if (pthread_create(&p[i].thread, NULL, play, &p[i]))
			die("pthread_create");
	}
	pthread_barrier_wait(&start);
	clock_gettime(CLOCK_MONOTONIC, &began);
	for (i = 0; i < 2; i++)
		pthread_join(p[i].thread, NULL);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	vm_free(vm);
	free(c);
	return (ended.tv_sec - began.tv_sec) * 1000000000ull + ended.tv_nsec - began.tv_nsec;
}

/* Each turn needs the other vCPU, which has no CPU: it gets one at once instead of when the time slice is over. */
TEST(making_way)
{
	uint64_t spin = game(0, 100), yield = game(11, 100), pause = game(1, 100), poll = game(1 << 8, 100);

	printf("# 100 turns of two: %llu us by spinning, %llu by yielding, %llu by PAUSE, %llu by another hypercall\n",
	       (unsigned long long)spin / 1000, (unsigned long long)yield / 1000, (unsigned long long)pause / 1000,
	       (unsigned long long)poll / 1000);
	/* With the distribution's module it is no faster in the lab. */
	if (!access("/sys/module/kvm/version", F_OK)) {
		EXPECT_LT(yield, spin / 3);
		EXPECT_LT(yield, poll / 3);
	}
	/* Whether PAUSE exits is the CPU's business; it must do no harm. */
	EXPECT_LT(pause, 3 * spin);
}

/* Nobody there, oneself, one that sleeps or has never run: the caller goes on. */
TEST(nobody_to_yield_to)
{
	struct vm *vm = chips_vm();
	struct vcpu *v[2] = { vm_vcpu(vm, 0), vm_vcpu(vm, 1) };
	struct kvm_cpuid2 *c = supported_cpuid(vm->sys);
	static const uint64_t ids[] = { 0, 1, 2, 255, ~0u, ~0ull, ~0ull - 1, 1ull << 32 };
	struct kvm_regs r;
	uint8_t *code;
	size_t i;

	vm_load_guest(vm, VM_CODE, plays);
	code = memmem(vm->ram + VM_CODE, guest_size(plays), "\x0f\x01\xd9", 3);
	if (!memcmp(&cpuid_find(c, 0, 0)->ebx, "Genu", 4))
		code[2] = 0xc1;
	/* Behind the hypercall: report. */
	memcpy(code + 3, "\xe6\xf1", 2);
	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		vcpu_long(v[0], VM_CODE + (code - (vm->ram + VM_CODE)));
		vcpu_regs(v[0], &r);
		r.rax = 11;
		r.rbx = ids[i];
		vcpu_set_regs(v[0], &r);
		RUN_TO(v[0], KVM_EXIT_IO);
		vcpu_regs(v[0], &r);
		EXPECT_EQ(0, r.rax);
	}
}

TEST_HARNESS_MAIN
