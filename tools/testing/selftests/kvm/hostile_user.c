// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process that means ill: random ioctls with random arguments on all three fds, while other
 * threads rewrite kvm_run and the argument memory, run the vCPU, close and fork. Children do it, so
 * whatever happens to them, the parent can judge that the module still works. Bounded in time.
 *
 *   hostile_user [seed [seconds]]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "vm.h"

#define ARG_SIZE	16384

static const unsigned long known[] = {
	KVM_GET_API_VERSION, KVM_CREATE_VM, KVM_GET_MSR_INDEX_LIST, KVM_CHECK_EXTENSION,
	KVM_GET_VCPU_MMAP_SIZE, KVM_GET_SUPPORTED_CPUID, KVM_GET_EMULATED_CPUID,
	KVM_GET_MSR_FEATURE_INDEX_LIST, KVM_X86_GET_MCE_CAP_SUPPORTED, KVM_CREATE_VCPU,
	KVM_GET_DIRTY_LOG, KVM_SET_NR_MMU_PAGES, KVM_GET_NR_MMU_PAGES, KVM_SET_USER_MEMORY_REGION,
	KVM_SET_TSS_ADDR, KVM_SET_IDENTITY_MAP_ADDR, KVM_SET_USER_MEMORY_REGION2,
	KVM_SET_GSI_ROUTING, KVM_IRQFD, KVM_IOEVENTFD, KVM_SET_CLOCK, KVM_GET_CLOCK, KVM_SIGNAL_MSI,
	KVM_SET_PMU_EVENT_FILTER, KVM_CLEAR_DIRTY_LOG, KVM_X86_SET_MSR_FILTER, KVM_RESET_DIRTY_RINGS,
	KVM_CREATE_DEVICE, KVM_RUN, KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS,
	KVM_TRANSLATE, KVM_INTERRUPT, KVM_SET_MSRS, KVM_GET_MSRS, KVM_SET_CPUID, KVM_SET_SIGNAL_MASK,
	KVM_GET_FPU, KVM_SET_FPU, KVM_GET_LAPIC, KVM_SET_LAPIC, KVM_SET_CPUID2, KVM_GET_CPUID2,
	KVM_TPR_ACCESS_REPORTING, KVM_SET_VAPIC_ADDR, KVM_GET_MP_STATE, KVM_SET_MP_STATE, KVM_NMI,
	KVM_SET_GUEST_DEBUG, KVM_X86_SETUP_MCE, KVM_X86_SET_MCE, KVM_GET_VCPU_EVENTS,
	KVM_SET_VCPU_EVENTS, KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, KVM_GET_XSAVE, KVM_SET_XSAVE,
	KVM_GET_XCRS, KVM_SET_XCRS, KVM_GET_ONE_REG, KVM_SET_ONE_REG, KVM_KVMCLOCK_CTRL,
	KVM_GET_REG_LIST, KVM_SMI, KVM_GET_NESTED_STATE, KVM_SET_NESTED_STATE, KVM_GET_SREGS2,
	KVM_SET_SREGS2, KVM_GET_XSAVE2, KVM_PRE_FAULT_MEMORY, KVM_SET_TSC_KHZ, KVM_GET_TSC_KHZ,
	KVM_ENABLE_CAP, KVM_GET_SUPPORTED_HV_CPUID, KVM_GET_STATS_FD, KVM_SET_DEVICE_ATTR,
	KVM_GET_DEVICE_ATTR, KVM_HAS_DEVICE_ATTR, KVM_IRQ_LINE, KVM_REGISTER_COALESCED_MMIO,
	KVM_UNREGISTER_COALESCED_MMIO, KVM_SET_BOOT_CPU_ID, KVM_REINJECT_CONTROL,
};

static __thread uint64_t state;
static struct vm *vm;
static uint8_t *arg;
static volatile int done;

static uint64_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* A number that is likely to mean something: small, a page, a power of two, or anything. */
static uint64_t some(void)
{
	switch (rnd() % 6) {
	case 0:
		return rnd() & 15;
	case 1:
		return (rnd() & 0xff) << 12;
	case 2:
		return 1ull << (rnd() & 63);
	case 3:
		return (uintptr_t)arg + (rnd() & 0x3fff);
	case 4:
		return -(rnd() & 0xffff);
	default:
		return rnd();
	}
}

static void scribble(void)
{
	int i;

	for (i = rnd() % 16; i >= 0; i--)
		((uint64_t *)arg)[rnd() % (i & 1 ? 64 : ARG_SIZE / 8)] = some();
	if (rnd() & 1)
		((uint32_t *)arg)[rnd() & 3] = rnd() % 200;
}

static void random_ioctl(void)
{
	int fds[] = { vm->sys, vm->fd, vm->vcpus[0]->fd, vm->vcpus[1]->fd };
	unsigned long cmd = rnd() % 8 ? known[rnd() % ARRAY_SIZE(known)] : rnd() & 0xffff00ff;
	int fd = fds[rnd() & 3], rc;

	if (rnd() & 1)
		scribble();
	/* a valid start makes the interesting paths reachable */
	if (rnd() % 4 == 0 && _IOC_DIR(cmd) == _IOC_WRITE)
		xioctlp(fd, (cmd & ~0xc00000fful) | 2ul << 30 | ((cmd & 0xff) - 1), arg);
	rc = xioctl(fd, cmd, rnd() % 4 ? (uintptr_t)arg : some());
	/* fds that an ioctl made; the four of our own are below 16 */
	if (rc >= 16 && rc < 1024 && (cmd == KVM_CREATE_VM || cmd == KVM_CREATE_VCPU || cmd == KVM_GET_STATS_FD))
		close(rc);
}

static void *rewrite(void *unused)
{
	state = 77;
	while (!done) {
		uint64_t *run = (uint64_t *)vm->vcpus[rnd() & 1]->run;

		run[rnd() % (3 * 4096 / 8)] = some();
		if (rnd() & 1)
			((uint64_t *)arg)[rnd() % (ARG_SIZE / 8)] = some();
		if (rnd() % 64 == 0)
			*(volatile uint32_t *)(vm->ram + VM_CODE + (rnd() & 0xfff)) = rnd();
	}
	return NULL;
}

static void *run_vcpu(void *which)
{
	struct vcpu *v = which;

	state = 99 + v->id;
	while (!done) {
		vcpu_run(v);
		if (rnd() % 32 == 0)
			madvise(vm->ram + (rnd() & 0x3ff) * 4096, 4096, MADV_DONTNEED);
	}
	return NULL;
}

static void nothing(int sig)
{
}

static void attack(uint64_t seed, int with_threads)
{
	struct sigaction sa = { .sa_handler = nothing };
	struct itimerval tick = { { 0, 5000 }, { 0, 5000 } };
	struct rlimit files = { 256, 256 };
	pthread_t t[3];
	int i;

	setrlimit(RLIMIT_NOFILE, &files);
	state = seed;
	sigaction(SIGALRM, &sa, NULL);
	arg = mmap(NULL, ARG_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	vm = vm_new(VM_RAM_SIZE);
	vm_vcpu(vm, 0);
	vm_vcpu(vm, 1);
	for (i = 0; i < 4096; i += 8)
		*(uint64_t *)(vm->ram + VM_CODE + i) = rnd();
	vcpu_long(vm->vcpus[0], VM_CODE);
	vcpu_long(vm->vcpus[1], VM_CODE);
	setitimer(ITIMER_REAL, &tick, NULL);
	if (with_threads) {
		pthread_create(&t[0], NULL, rewrite, NULL);
		pthread_create(&t[1], NULL, run_vcpu, vm->vcpus[0]);
		pthread_create(&t[2], NULL, run_vcpu, vm->vcpus[1]);
	}
	for (i = 0; i < 3000; i++) {
		random_ioctl();
		if (with_threads && rnd() % 512 == 0) {
			pid_t pid = fork();

			if (!pid) {
				random_ioctl();
				_exit(0);
			}
			if (pid > 0)
				waitpid(pid, NULL, 0);
		}
	}
	/* leave in the middle of things: close in any order, threads still running */
	if (rnd() & 1)
		close(vm->fd);
	if (rnd() & 1)
		close(vm->vcpus[0]->fd);
	_exit(0);
}

/* The parent waits for at most ten seconds, then kills. Returns 1 when the child cannot be killed. */
static int wait_bounded(pid_t pid)
{
	int i, status;

	for (i = 0; i < 1500; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return 0;
		usleep(10000);
		if (i == 1000)
			kill(pid, SIGKILL);
	}
	return 1;
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	int seconds = argc > 2 ? atoi(argv[2]) : 8, mode, stuck = 0;

	ksft_print_header();
	ksft_set_plan(3);
	printf("# seed %#lx, %d s each\n", (unsigned long)seed, seconds);
	for (mode = 0; mode < 2; mode++) {
		time_t end = time(NULL) + seconds;
		unsigned int children = 0;

		while (!stuck && time(NULL) < end) {
			pid_t pid;

			fflush(stdout);
			pid = fork();
			if (!pid)
				attack(seed * 2 + 1 + 0x9e3779b97f4a7c15ull * children * 2, mode);
			stuck = wait_bounded(pid);
			children++;
		}
		ksft_test_result(!stuck && children, "random ioctls%s (%u processes)\n",
				 mode ? " with racing threads" : "", children);
	}
	vm = vm_new(VM_RAM_SIZE);
	vm_vcpu(vm, 0);
	vm->ram[VM_CODE] = 0xf4;
	vcpu_long(vm->vcpus[0], VM_CODE);
	ksft_test_result(!vcpu_run(vm->vcpus[0]) && vm->vcpus[0]->run->exit_reason == KVM_EXIT_HLT,
			 "a good VM afterwards\n");
	ksft_finished();
}
