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
/*
 * Enters x2APIC mode. Before that touches what the delivery of an interrupt reads and writes: when an EPT violation
 * cuts one that the CPU took from its own APIC, Bochs tells of another event.
 */
#define X2APIC \
	"lock orb $0, 0x800\n lock orb $0, 0x7000\n lock orb $0, 0x8000\n lock orb $0, -8(%rsp)\n" \
	"mov $0x1b, %ecx\n rdmsr\n or $0x400, %eax\n wrmsr\n" \
	"mov $0x80f, %ecx\n mov $0x1ff, %eax\n xor %edx, %edx\n wrmsr\n"

/* Reports the cost of CPUID, and of raising and lowering CR8. */
GUEST(cr8_cost, 64,
	TIMED(CPUID)
	TIMED("mov $5, %eax\n mov %rax, %cr8\n xor %eax, %eax\n mov %rax, %cr8\n mov %cr8, %rax\n"));

/* The same of EOI, TPR and self-IPI in x2APIC mode; what the self-IPI asks for stays below TPR. */
GUEST(x2apic_cost, 64,
	X2APIC
	"mov $0x808, %ecx\n mov $0x60, %eax\n wrmsr\n"
	TIMED(CPUID)
	"xor %edx, %edx\n"
	TIMED("mov $0x80b, %ecx\n xor %eax, %eax\n wrmsr\n"
	      "mov $0x808, %ecx\n mov $0x70, %eax\n wrmsr\n rdmsr\n"
	      "mov $0x83f, %ecx\n mov $0x31, %eax\n wrmsr\n"));

/* Handlers: one entry of 16 bytes per vector; each logs its vector, ends the interrupt and returns. */
GUEST(handlers, 64,
	".rept 256\n"
	"push %rax\n"
	"call 1f\n"
	".skip 10\n"
	".endr\n"
	"1: pop %rax\n"
	"push %rcx\n push %rdx\n"
	"lea guest_handlers(%rip), %rdx\n"
	"sub %rdx, %rax\n"
	"shr $4, %eax\n"
	"mov %al, (%r15)\n"
	"inc %r15\n"
	"mov $0x80b, %ecx\n xor %eax, %eax\n xor %edx, %edx\n wrmsr\n"
	"pop %rdx\n pop %rcx\n pop %rax\n"
	"iretq\n");

#define SELF(vector) "mov $0x83f, %ecx\n mov $" #vector ", %eax\n xor %edx, %edx\n wrmsr\n"
#define TPR(value) "mov $0x808, %ecx\n mov $" #value ", %eax\n xor %edx, %edx\n wrmsr\n"
#define OPEN "sti\n nop\n nop\n cli\n"
#define MARK "movb $0xff, (%r15)\n inc %r15\n"

/* Interrupts of several classes at once, with TPR, and in the service of another (vector 0x61, below). */
GUEST(priorities, 64,
	X2APIC
	"mov $0x40000, %r15\n"
	SELF(0x31) SELF(0x45) SELF(0x42) OPEN MARK
	TPR(0x40) SELF(0x45) SELF(0x51) OPEN MARK
	TPR(0) OPEN MARK
	SELF(0x61) OPEN MARK
	/* By ICR: to the shorthand self, and to its own id. */
	"mov $0x830, %ecx\n mov $0x40071, %eax\n xor %edx, %edx\n wrmsr\n"
	"mov $0x72, %eax\n wrmsr\n" OPEN MARK
	"mov %r15d, %eax\n out %eax, $0xf1\n");
GUEST(in_service, 64,
	"movb $0x61, (%r15)\n inc %r15\n"
	SELF(0x55) SELF(0x75) OPEN
	"mov $0x80a, %ecx\n rdmsr\n out %al, $0xf1\n"	/* PPR */
	"mov $0x813, %ecx\n rdmsr\n out %eax, $0xf1\n"	/* ISR, vectors 0x60 to 0x7f */
	"mov $0x822, %ecx\n rdmsr\n out %eax, $0xf1\n"	/* IRR, vectors 0x40 to 0x5f */
	"mov $0x80b, %ecx\n xor %eax, %eax\n xor %edx, %edx\n wrmsr\n"
	OPEN
	"iretq\n");

/* A self-IPI with a vector that is none, and the error it leaves. */
GUEST(illegal, 64,
	X2APIC
	"mov $0x40000, %r15\n"
	"mov $0x837, %ecx\n mov $0x99, %eax\n xor %edx, %edx\n wrmsr\n"
	SELF(7) OPEN
	"mov $0x828, %ecx\n xor %eax, %eax\n xor %edx, %edx\n wrmsr\n rdmsr\n out %eax, $0xf1\n");

/* Opens the window for ever, with a report each time; before that IOAPIC pin 5 is level-triggered, vector 0x55. */
GUEST(level, 64,
	"mov $0xff, %al\n out %al, $0x21\n out %al, $0xa1\n"
	X2APIC
	"mov $0x40000, %r15\n"
	"mov $0xfec00000, %ebx\n"
	"movl $0x1b, (%rbx)\n movl $0, 0x10(%rbx)\n"
	"movl $0x1a, (%rbx)\n movl $0x8055, 0x10(%rbx)\n"
	"1: sti\n .rept 20\n nop\n .endr\n cli\n"
	"mov %r15d, %eax\n out %eax, $0xf1\n"
	"mov $0x40000, %r15\n"
	"jmp 1b\n");
GUEST(open, 64,
	X2APIC
	"mov $0x40000, %r15\n"
	"1: sti\n nop\n nop\n cli\n"
	"mov %r15d, %eax\n out %eax, $0xf1\n"
	"jmp 1b\n");

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

/* A parameter of the module in use that says Y. */
static bool param_set(const char *path)
{
	FILE *f = fopen(path, "r");
	bool set = f && fgetc(f) == 'Y';

	if (f)
		fclose(f);
	return set;
}

static void code(struct vm *vm, const uint8_t *code, size_t size)
{
	unsigned int i;

	vm_load(vm, VM_CODE, code, size);
	vm_load_guest(vm, VM_FREE, handlers);
	vm_load_guest(vm, VM_FREE + 0x10000, in_service);
	vm_vcpu(vm, 0);
	vcpu_long(vm->vcpus[0], VM_CODE);
	for (i = 0x20; i < 256; i++)
		vm_set_gate(vm, i, i == 0x61 ? VM_FREE + 0x10000 : VM_FREE + 16 * i, 14, 0, 0);
}

/* A machine with all chips in the kernel and one vCPU that is about to run the code. */
static struct vm *machine(const uint8_t *text, size_t size)
{
	struct vm *vm = vm_new(VM_RAM_SIZE);

	if (xioctl(vm->fd, KVM_CREATE_IRQCHIP, 0))
		die("no chips");
	code(vm, text, size);
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

TEST(x2apic_is_cheap)
{
	struct vm *vm = MACHINE(x2apic_cost);
	uint64_t cpuid, apic;

	if (!param_set("/sys/module/kvm_intel/parameters/enable_apicv") || !host_has("vmx flags", "vid"))
		SKIP(return, "the CPU does not run local APICs");
	RUN_TO_REPORT(vm->vcpus[0], cpuid);
	RUN_TO_REPORT(vm->vcpus[0], apic);
	EXPECT_GT(cpuid, 2 * apic);
	vm_free(vm);
}

/* --- interrupts ---------------------------------------------------------------------------------- */

static int line(struct vm *vm, uint32_t gsi, uint32_t level)
{
	struct kvm_irq_level l = { .irq = gsi, .level = level };

	return xioctlp(vm->fd, KVM_IRQ_LINE, &l);
}

/* Not at once: after some in a row the IOAPIC makes the next one wait for 10 ms. */
#define RUN_TO_INTERRUPT(v, value) do {						\
	unsigned int tries_ = 5000;						\
										\
	do									\
		RUN_TO_REPORT(v, value);					\
	while (value == LOG && --tries_);					\
	ASSERT_GT(value, LOG);							\
} while (0)

static bool bit(const struct kvm_lapic_state *s, unsigned int offset, uint8_t vector)
{
	return (uint8_t)s->regs[offset + vector / 32 * 16 + vector / 8 % 4] >> vector % 8 & 1;
}

TEST(priorities)
{
	static const uint8_t expected[] = {
		0x45, 0x42, 0x31, 0xff, 0x51, 0xff, 0x45, 0xff, 0x61, 0x75, 0x55, 0xff, 0x72, 0x71, 0xff,
	};
	struct vm *vm = MACHINE(priorities);
	struct vcpu *v = vm->vcpus[0];
	uint64_t value;

	RUN_TO_REPORT(v, value);
	EXPECT_EQ(0x60, value);
	RUN_TO_REPORT(v, value);
	EXPECT_EQ(1u << (0x61 - 0x60), value);
	RUN_TO_REPORT(v, value);
	EXPECT_EQ(1u << (0x55 - 0x40), value);
	RUN_TO_REPORT(v, value);
	EXPECT_EQ(LOG + sizeof(expected), value);
	EXPECT_EQ(0, memcmp(vm->ram + LOG, expected, sizeof(expected)));
	vm_free(vm);
}

/* Stopped in service of 0x61, with 0x55 requested: both are in the state, which takes another request in. */
TEST(state_in_service)
{
	struct vm *vm = MACHINE(priorities);
	static const uint8_t expected[] = { 0x61, 0x75, 0x71, 0x55, 0xff };
	struct vcpu *v = vm->vcpus[0];
	struct kvm_lapic_state state;
	uint64_t value;

	RUN_TO_REPORT(v, value);
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_LAPIC, &state));
	EXPECT_TRUE(bit(&state, 0x100, 0x61));
	EXPECT_FALSE(bit(&state, 0x100, 0x75));
	EXPECT_TRUE(bit(&state, 0x200, 0x55));
	EXPECT_FALSE(bit(&state, 0x200, 0x61));
	EXPECT_EQ(0x60, (uint8_t)state.regs[0xa0]);
	state.regs[0x200 + 0x71 / 32 * 16 + 0x71 / 8 % 4] |= 1 << 0x71 % 8;
	ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_LAPIC, &state));
	RUN_TO_REPORT(v, value);
	RUN_TO_REPORT(v, value);
	RUN_TO_REPORT(v, value);
	EXPECT_EQ(0, memcmp(vm->ram + LOG + 8, expected, sizeof(expected)));
	vm_free(vm);
}

TEST(illegal_vector)
{
	struct vm *vm = MACHINE(illegal);
	uint64_t value;

	RUN_TO_REPORT(vm->vcpus[0], value);
	if (value)	/* the distribution's module logs no error */
		EXPECT_EQ(0x20, value);
	EXPECT_EQ(value ? 0x99 : 0, vm->ram[LOG]);
	vm_free(vm);
}

/* As long as the line is up each end of service brings it back; then no more. */
TEST(level_triggered)
{
	struct vm *vm = MACHINE(level);
	struct vcpu *v = vm->vcpus[0];
	uint64_t value;
	unsigned int i;

	ASSERT_EQ(0, line(vm, 5, 1));
	for (i = 0; i < 3; i++) {
		RUN_TO_INTERRUPT(v, value);
		EXPECT_EQ(0x55, vm->ram[LOG]);
	}
	ASSERT_EQ(0, line(vm, 5, 0));
	RUN_TO_REPORT(v, value);	/* perhaps one that was under way */
	RUN_TO_REPORT(v, value);
	EXPECT_EQ(LOG, value);
	ASSERT_EQ(0, line(vm, 5, 1));
	RUN_TO_INTERRUPT(v, value);
	vm_free(vm);
}

/* The IOAPIC in user space is told of the end of its level-triggered vectors, and of no other. */
TEST(end_told_to_user_space)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = 0xc055 };
	struct vm *vm = vm_new(VM_RAM_SIZE);
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry;
	} routes = {
		.head.nr = 1,
		.entry = { .gsi = 5, .type = KVM_IRQ_ROUTING_MSI, .u.msi = { 0xfee00000, 0, { 0xc055 } } },
	};
	struct vcpu *v;
	uint64_t value;
	unsigned int i;

	ASSERT_EQ(0, xioctlp(vm->fd, KVM_ENABLE_CAP, &cap));
	code(vm, guest_code(open), guest_size(open));
	v = vm->vcpus[0];
	RUN_TO_REPORT(v, value);
	ASSERT_EQ(0, xioctlp(vm->fd, KVM_SET_GSI_ROUTING, &routes));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(1, xioctlp(vm->fd, KVM_SIGNAL_MSI, &msi));
		RUN_TO(v, KVM_EXIT_IOAPIC_EOI);
		EXPECT_EQ(0x55, v->run->eoi.vector);
		RUN_TO_REPORT(v, value);
		EXPECT_EQ(LOG + i + 1, value);
	}
	msi.data = 0x51;
	ASSERT_EQ(1, xioctlp(vm->fd, KVM_SIGNAL_MSI, &msi));
	RUN_TO_REPORT(v, value);
	EXPECT_EQ(LOG + 4, value);
	vm_free(vm);
}

TEST_HARNESS_MAIN
