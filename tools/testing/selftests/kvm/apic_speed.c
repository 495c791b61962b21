// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the CPU does for a local APIC in the kernel without an exit, where it has the feature, and that interrupts
 * are the same either way: priorities, ends of service, state that goes out and in again in the middle of service.
 *
 * A loop's cost is compared with that of as many CPUIDs, which always exit. What the host's CPU offers
 * is read from /proc/cpuinfo: "flags" and "vmx flags".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"
#include "vm.h"

#define LOG	VM_DATA			/* bytes: what the handlers log; the guests keep its end in r15 */
#define APIC	"0xfee00000"

/* --- guest code ------------------------------------------------------------------------------ */

#define TIMED(insns) \
	"mov $500, %edi\n" \
	"rdtsc\n mov %eax, %esi\n" \
	"2: " insns \
	"dec %edi\n jnz 2b\n" \
	"rdtsc\n sub %esi, %eax\n" \
	"out %eax, $0xf1\n"
#define CPUID "xor %eax, %eax\n push %rbx\n cpuid\n pop %rbx\n"
#define X2APIC \
	"mov $0x1b, %ecx\n rdmsr\n or $0x400, %eax\n wrmsr\n" \
	"mov $0x80f, %ecx\n mov $0x1ff, %eax\n xor %edx, %edx\n wrmsr\n"

/* Reports the cost of CPUID, and of raising and lowering CR8. */
GUEST(cr8_cost, 64,
	TIMED(CPUID)
	TIMED("mov $5, %eax\n mov %rax, %cr8\n xor %eax, %eax\n mov %rax, %cr8\n mov %cr8, %rax\n"));

/* --- machines -------------------------------------------------------------------------------- */

/* Does the host's CPU have the feature? The line of /proc/cpuinfo begins with @line. */
static bool host_has(const char *line, const char *feature)
{
	FILE *f = fopen("/proc/cpuinfo", "r");
	char word[64], text[8192];
	bool has = false;

	snprintf(word, sizeof(word), " %s", feature);
	while (f && !has && fgets(text, sizeof(text), f)) {
		char *at = text;

		if (strncmp(text, line, strlen(line)))
			continue;
		while ((at = strstr(at, word)) && !has) {
			at += strlen(word);
			has = *at == ' ' || *at == '\n';
		}
	}
	if (f)
		fclose(f);
	return has;
}

/* A machine with all chips in the kernel and one vCPU that is about to run the code. */
static struct vm *machine(const uint8_t *code, size_t size)
{
	struct vm *vm = vm_new(VM_RAM_SIZE);

	if (xioctl(vm->fd, KVM_CREATE_IRQCHIP, 0))
		die("no chips");
	vm_load(vm, VM_CODE, code, size);
	vm_vcpu(vm, 0);
	vcpu_long(vm->vcpus[0], VM_CODE);
	return vm;
}

#define MACHINE(name) machine(guest_code(name), guest_size(name))

/* --- costs ------------------------------------------------------------------------------------- */

TEST(cr8_is_cheap)
{
	struct vm *vm = MACHINE(cr8_cost);
	uint64_t cpuid, cr8;

	if (!host_has("flags", "tpr_shadow") && !host_has("flags", "svm"))
		SKIP(return, "the CPU has no TPR of its own for a guest");
	RUN_TO_REPORT(vm->vcpus[0], cpuid);
	RUN_TO_REPORT(vm->vcpus[0], cr8);
	EXPECT_GT(cpuid, 2 * cr8);
	vm_free(vm);
}

TEST_HARNESS_MAIN
