// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMs that are created, run and killed at any moment; afterwards nothing of them may be left:
 * memory, file descriptors, the module's use count.
 *
 *   lifecycle [cycles]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "vm.h"

#define SLACK_KB	2048	/* deferred frees; at a thousand cycles, a leak of one page in two shows */

static long meminfo(const char *what)
{
	char line[128];
	long kb = -1;
	FILE *f = fopen("/proc/meminfo", "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, what, strlen(what)))
			kb = atol(line + strlen(what) + 1);
	if (f)
		fclose(f);
	return kb;
}

/* Pages on the CPUs' own lists, which MemFree leaves out: tens of megabytes, more or less at random. */
static long on_cpu_lists_kb(void)
{
	char line[256];
	long pages = 0, n;
	FILE *f = fopen("/proc/zoneinfo", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, " count: %ld", &n) == 1)
			pages += n;
	if (f)
		fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static long free_memory_kb(void)
{
	return meminfo("MemFree:") + on_cpu_lists_kb();
}

/* How many use the module, or -1 when it is not loaded as a module. */
static long module_users(void)
{
	char line[256], name[64];
	long size, users;
	FILE *f = fopen("/proc/modules", "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %ld %ld", name, &size, &users) == 3 && !strcmp(name, "kvm")) {
			fclose(f);
			return users;
		}
	}
	if (f)
		fclose(f);
	return -1;
}

GUEST(busy, 64, "mov $0x100000, %ebx\n 1: incq (%rbx)\n add $4096, %ebx\n and $0x3fffff, %ebx\n"
	"or $0x100000, %ebx\n out %al, $0x40\n jmp 1b");

static void *run(void *v)
{
	for (;;)
		if (vcpu_run(v) && errno != EINTR)
			return NULL;
}

/* One VMM: two vCPUs in threads, slots that come and go, until it is shot. */
static void victim(unsigned int n)
{
	struct vm *vm = vm_new(VM_RAM_SIZE);
	uint8_t *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t t;
	int i;

	vm_load_guest(vm, VM_CODE, busy);
	for (i = 0; i < 2; i++) {
		vm_vcpu(vm, i);
		vcpu_long(vm->vcpus[i], VM_CODE);
		pthread_create(&t, NULL, run, vm->vcpus[i]);
	}
	for (;;) {
		vm_set_slot(vm, 1, n & 1 ? KVM_MEM_LOG_DIRTY_PAGES : 0, 0x80000000, 1 << 20, p);
		vm_set_slot(vm, 1, 0, 0x80000000, 0, NULL);
	}
}

static void kill_cycle(unsigned int n)
{
	pid_t pid = fork();

	if (!pid)
		victim(n);
	usleep(n * 7919 % 30000);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void clean_cycle(void)
{
	struct vcpu *v = LONG_VCPU(busy);
	int i;

	for (i = 0; i < 20; i++)
		vcpu_run(v);
	vm_free(v->vm);
}

/* A VM whose fds go in every order, one of them twice referenced. */
static void close_orders(void)
{
	int order;

	for (order = 0; order < 6; order++) {
		struct vcpu *v = LONG_VCPU(busy);
		int fds[3] = { v->vm->sys, v->vm->fd, v->fd }, spare = dup(v->fd), i;

		vcpu_run(v);
		for (i = 0; i < 3; i++)
			close(fds[(order + i * (order & 1 ? 2 : 1)) % 3]);
		if (xioctl(spare, KVM_RUN, 0))
			printf("# order %d: the duplicate does not run\n", order);
		munmap(v->run, v->run_size);
		close(spare);
		munmap(v->vm->ram, v->vm->ram_size);
	}
}

/* Page cache of others is not ours to count. */
static void settle(void)
{
	FILE *f = fopen("/proc/sys/vm/drop_caches", "w");

	usleep(300 * 1000);
	if (f) {
		fputs("3", f);
		fclose(f);
	}
}

#define KMEMLEAK "/sys/kernel/debug/kmemleak"

static bool kmemleak(const char *command)
{
	int fd = open(KMEMLEAK, O_WRONLY);
	bool ok = fd >= 0 && write(fd, command, strlen(command)) > 0;

	close(fd);
	return ok;
}

/* Objects that nobody points at any more, allocated by this program or its VMMs after kmemleak was cleared. */
static int leaked_objects(void)
{
	char line[256];
	int found = 0, tries;
	bool ours = false;
	FILE *f;

	/* what is in a register or on its way to a list during one scan is not so in the next */
	for (tries = 0; tries < 3; tries++) {
		sleep(6);		/* younger objects are not reported */
		kmemleak("scan");
	}
	f = fopen(KMEMLEAK, "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "unreferenced", 12))
			ours = false;
		if (strstr(line, "comm \"lifecycle\"")) {
			ours = true;
			found++;
		}
		if (ours && found <= 3)
			printf("# %s", line);
	}
	if (f)
		fclose(f);
	return found;
}

int main(int argc, char **argv)
{
	bool debug = kmemleak("clear");
	int cycles = argc > 1 ? atoi(argv[1]) : 1000, i;
	long slab, stacks, free_kb, users, lost, tries;

	ksft_print_header();
	ksft_set_plan(6);
	/* warm up what is allocated once, then measure */
	for (i = 0; i < 3; i++) {
		kill_cycle(i);
		clean_cycle();
	}
	close_orders();
	settle();
	slab = meminfo("Slab:");
	stacks = meminfo("KernelStack:");
	free_kb = free_memory_kb();
	printf("# warm, %ld kB free\n", free_kb);
	for (i = 0; i < cycles; i++)
		kill_cycle(i);
	ksft_test_result_pass("%d killed in flight\n", cycles);
	for (i = 0; i < cycles; i++)
		clean_cycle();
	close_orders();
	ksft_test_result_pass("%d ended cleanly\n", cycles);
	/* destruction may finish after the close: wait for it, within reason */
	for (tries = 0; tries < 6; tries++) {
		settle();
		lost = free_kb - free_memory_kb();
		if (lost < SLACK_KB)
			break;
	}
	printf("# free %ld kB less, slab %+ld kB, stacks %+ld kB\n", lost, meminfo("Slab:") - slab,
	       meminfo("KernelStack:") - stacks);
	if (debug) {
		ksft_test_result_skip("memory is back: KASAN keeps freed memory\n");
		ksft_test_result_skip("slab is steady: KASAN keeps freed memory\n");
		ksft_test_result(!leaked_objects(), "kmemleak finds nothing\n");
	} else {
		ksft_test_result(lost < SLACK_KB, "memory is back\n");
		ksft_test_result(meminfo("Slab:") - slab < SLACK_KB, "slab is steady\n");
		ksft_test_result_skip("kmemleak finds nothing: not in this kernel\n");
	}
	users = module_users();
	printf("# users of kvm: %ld\n", users);
	/* a vendor module may count as one user; no VM may */
	ksft_test_result(users <= 1, "the module's use count is back\n");
	ksft_finished();
}
