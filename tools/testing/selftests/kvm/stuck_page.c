// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process that lets the module wait for a page of its own as long as it likes (userfaultfd): all of
 * its threads that need the VM's slots wait with it, the kernel does not call them hung, and all can
 * be killed. (6.1's own module waits unkillably in some places: it may fail the first test.)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "vm.h"

#define TIMEOUT_FILE "/proc/sys/kernel/hung_task_timeout_secs"
#define STUCK 0x80000000u
#define OTHER 0x90000000u

/* From a device to memory: the module does the store. */
GUEST(copy, 64, "mov $0xd0000000, %esi\n mov $0x80000000, %edi\n movsb\n hlt");
/* Another device access needs the slots as well. */
GUEST(touch, 64, "1: mov 0xd0000000, %eax\n jmp 1b");

static int timeout_set(int seconds)
{
	char text[16] = "";
	int fd = open(TIMEOUT_FILE, O_RDWR), was;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return -1;
	was = atoi(text);
	snprintf(text, sizeof(text), "%d", seconds);
	if (pwrite(fd, text, strlen(text), 0) < 0)
		was = -1;
	close(fd);
	return was;
}

/* Pages that are never filled, or NULL. */
static void *missing_pages(size_t size)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	reg.range.start = (uintptr_t)p;
	reg.range.len = size;
	if (fd < 0 || p == MAP_FAILED || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))
		return NULL;
	return p;
}

static void *run(void *v)
{
	for (;;)
		if (vcpu_run(v) && errno != EINTR)
			return NULL;
}

static void *delete_other(void *vm)
{
	vm_set_slot(vm, 2, 0, OTHER, 0, NULL);
	return NULL;
}

static void *read_log(void *arg)
{
	static uint64_t bits[64];
	struct kvm_dirty_log log = { .slot = 2, .dirty_bitmap = bits };
	struct vm *vm = arg;

	xioctlp(vm->fd, KVM_GET_DIRTY_LOG, &log);
	return NULL;
}

static void victim(void)
{
	struct vm *vm = vm_new(VM_RAM_SIZE);
	void *stuck = missing_pages(1 << 20), *other = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
							    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t t;
	int i;

	if (!stuck)
		_exit(KSFT_SKIP);
	if (vm_set_slot(vm, 1, 0, STUCK, 1 << 20, stuck) ||
	    vm_set_slot(vm, 2, KVM_MEM_LOG_DIRTY_PAGES, OTHER, 1 << 20, other))
		die("slots");
	vm_load_guest(vm, VM_CODE, copy);
	vm_load_guest(vm, VM_CODE + 0x1000, touch);
	for (i = 0; i < 2; i++) {
		vm_vcpu(vm, i);
		vcpu_long(vm->vcpus[i], VM_CODE + i * 0x1000);
		pthread_create(&t, NULL, run, vm->vcpus[i]);
		/* first the one that gets stuck */
		usleep(500 * 1000);
	}
	pthread_create(&t, NULL, delete_other, vm);
	usleep(200 * 1000);
	pthread_create(&t, NULL, read_log, vm);
	for (;;)
		pause();
}

/* Does the kernel's log, from where @log stands, speak of a hung task? */
static int hung(int log)
{
	char text[8192];
	ssize_t n;
	int found = 0;

	while ((n = read(log, text, sizeof(text) - 1)) > 0) {
		text[n] = 0;
		found |= strstr(text, "blocked for more than") != NULL;
	}
	return found;
}

int main(void)
{
	int was = timeout_set(2), log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK), status = 0, gone = 0, i;
	pid_t pid;

	ksft_print_header();
	ksft_set_plan(2);
	if (log >= 0)
		lseek(log, 0, SEEK_END);
	pid = fork();
	if (!pid)
		victim();
	sleep(8);
	if (was >= 0)
		timeout_set(was);
	if (waitpid(pid, &status, WNOHANG) == pid) {
		ksft_print_msg("no userfaultfd, or the victim has failed: status %#x\n", status);
		if (WIFEXITED(status) && WEXITSTATUS(status) == KSFT_SKIP)
			ksft_exit_skip("userfaultfd\n");
		ksft_exit_fail();
	}
	if (was < 0 || log < 0)
		ksft_test_result_skip("hung tasks are not reported here\n");
	else
		ksft_test_result(!hung(log), "nobody counts as hung\n");
	kill(pid, SIGKILL);
	for (i = 0; i < 100 && !gone; i++) {
		usleep(100 * 1000);
		gone = waitpid(pid, &status, WNOHANG) == pid;
	}
	ksft_test_result(gone, "all threads can be killed\n");
	ksft_finished();
}
