// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hardware task switches through gates, by the instructions that make them, and in the delivery of
 * exceptions and interrupts; and that NMIs stay blocked over a fault within the IRET that ends their
 * handler. QEMU's AMD-V switches tasks without asking the module. The distribution's module does not pass:
 * its switches leave CR0.TS clear.
 *
 * SDM volume 3 "Task Management", "Exit Qualification for Task Switches", "Virtual NMIs".
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <string.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "vm.h"

#define TSS_B		(VM_TSS + 0x100)
#define SEL_TSS_B	0x48
#define SEL_GATE	0x50
#define STACK_B		0xc000u
#define CODE_B		(VM_CODE + 0x1000)
#define VECTOR		0x40

#define EFLAGS_NT	(1u << 14)
#define CR0_TS		(1u << 3)

/* Offsets in a 32-bit TSS. */
enum { LINK = 0, EIP = 32, EFLAGS = 36, EBX = 52, ESP = 56, ES = 72, CS = 76, SS = 80, DS = 84, FS = 88, GS = 92 };

/* Task B tells its flags and the top of its stack, and returns; called again it goes on behind the IRET. */
GUEST(task_b, 32, "1: pushf\n pop %ecx\n mov (%esp), %edx\n hlt\n iret\n jmp 1b");
#define B_HALTED (CODE_B + 6)	/* behind its HLT */
#define B_RETURNED (CODE_B + 7)	/* behind its IRET */

GUEST(by_int, 32, "mov $0xaaaa, %ebx\n int $0x40\n mov $0x600d, %eax\n hlt");
GUEST(by_call, 32, "mov $0xaaaa, %ebx\n lcall $0x48, $0\n mov $0x600d, %eax\n hlt");
GUEST(by_call_gate, 32, "mov $0xaaaa, %ebx\n lcall $0x50, $0\n mov $0x600d, %eax\n hlt");
GUEST(by_jump, 32, "mov $0xaaaa, %ebx\n ljmp $0x48, $0\n mov $0x600d, %eax\n hlt");
GUEST(by_fault, 32, "mov $0xaaaa, %ebx\n mov $0x1230, %eax\n mov %eax, %ds\n hlt");
GUEST(by_interrupt, 32, "mov $0xaaaa, %ebx\n sti\n nop\n 1: jmp 1b");

static uint32_t *tss(struct vcpu *v, uint32_t base, unsigned int at)
{
	return (uint32_t *)(v->vm->ram + base + at);
}

static unsigned int descriptor_type(struct vcpu *v, unsigned int selector)
{
	return v->vm->ram[VM_GDT + selector + 5] & 15;
}

static void task_gate(struct vcpu *v, uint32_t at)
{
	*(uint64_t *)(v->vm->ram + at) = (uint64_t)SEL_TSS_B << 16 | 0x8500ull << 32;
}

static struct vcpu *two_tasks(const uint8_t *code, size_t size)
{
	struct vcpu *v = vm_simple();
	struct kvm_sregs s;

	vm_load(v->vm, VM_CODE, code, size);
	vm_load_guest(v->vm, CODE_B, task_b);
	vcpu_prot(v, VM_CODE);
	*(uint64_t *)(v->vm->ram + VM_GDT + SEL_TSS_B) = 0x0000890000000067 | (uint64_t)TSS_B << 16;
	task_gate(v, VM_GDT + SEL_GATE);
	task_gate(v, VM_IDT + 8 * VECTOR);
	task_gate(v, VM_IDT + 8 * 13);
	vcpu_sregs(v, &s);
	s.gdt.limit = SEL_GATE + 7;
	if (vcpu_set_sregs(v, &s))
		die("KVM_SET_SREGS");
	*tss(v, TSS_B, EIP) = CODE_B;
	*tss(v, TSS_B, EFLAGS) = 2;
	*tss(v, TSS_B, ESP) = STACK_B;
	*tss(v, TSS_B, CS) = SEL_CODE32;
	*tss(v, TSS_B, SS) = *tss(v, TSS_B, DS) = *tss(v, TSS_B, ES) = SEL_DATA;
	*tss(v, TSS_B, FS) = *tss(v, TSS_B, GS) = SEL_DATA;
	return v;
}

#define TWO_TASKS(name) two_tasks(guest_code(name), guest_size(name))

/* Task B has the CPU, and task A's state is where it belongs. */
static void in_task_b(struct __test_metadata *_metadata, struct vcpu *v, uint32_t eip_a, bool nested)
{
	struct kvm_sregs s;
	struct kvm_regs r;

	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_regs(v, &r);
	vcpu_sregs(v, &s);
	EXPECT_EQ(B_HALTED, r.rip);
	EXPECT_EQ(SEL_TSS_B, s.tr.selector);
	EXPECT_EQ(TSS_B, s.tr.base);
	EXPECT_EQ(nested, !!(r.rcx & EFLAGS_NT));
	EXPECT_NE(0, s.cr0 & CR0_TS);
	EXPECT_EQ(11, descriptor_type(v, SEL_TSS_B));
	EXPECT_EQ(nested ? 11 : 9, descriptor_type(v, SEL_TSS));
	if (nested)
		EXPECT_EQ(SEL_TSS, *tss(v, TSS_B, LINK) & 0xffff);
	EXPECT_EQ(eip_a, *tss(v, VM_TSS, EIP));
	EXPECT_EQ(0xaaaa, *tss(v, VM_TSS, EBX));
}

/* It returns, and task A goes on. */
static void back_in_task_a(struct __test_metadata *_metadata, struct vcpu *v)
{
	struct kvm_sregs s;
	struct kvm_regs r;

	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_regs(v, &r);
	vcpu_sregs(v, &s);
	EXPECT_EQ(0x600d, r.rax);
	EXPECT_EQ(0xaaaa, r.rbx);
	EXPECT_EQ(0, r.rflags & EFLAGS_NT);
	EXPECT_EQ(SEL_TSS, s.tr.selector);
	EXPECT_EQ(9, descriptor_type(v, SEL_TSS_B));
	EXPECT_EQ(11, descriptor_type(v, SEL_TSS));
	EXPECT_EQ(B_RETURNED, *tss(v, TSS_B, EIP));
}

TEST(software_interrupt)
{
	struct vcpu *v = TWO_TASKS(by_int);
	struct kvm_regs r;

	in_task_b(_metadata, v, VM_CODE + 7, true);
	back_in_task_a(_metadata, v);
	/* Once more: the task goes on where it left. */
	vcpu_regs(v, &r);
	r.rip = VM_CODE;
	vcpu_set_regs(v, &r);
	in_task_b(_metadata, v, VM_CODE + 7, true);
	back_in_task_a(_metadata, v);
}

TEST(call)
{
	struct vcpu *v = TWO_TASKS(by_call);

	in_task_b(_metadata, v, VM_CODE + 12, true);
	back_in_task_a(_metadata, v);
}

TEST(call_through_a_gate)
{
	struct vcpu *v = TWO_TASKS(by_call_gate);

	in_task_b(_metadata, v, VM_CODE + 12, true);
	back_in_task_a(_metadata, v);
}

TEST(jump)
{
	in_task_b(_metadata, TWO_TASKS(by_jump), VM_CODE + 12, false);
}

TEST(exception)
{
	struct vcpu *v = TWO_TASKS(by_fault);
	unsigned int a, b, c, d;
	struct kvm_regs r;

	__cpuid(0, a, b, c, d);
	if (c == signature_AMD_ecx)
		SKIP(return, "QEMU's AMD-V shuts down at an exception's task gate, whatever the module");

	/* The error code is on the new task's stack, the fault's address in the old one's state. */
	in_task_b(_metadata, v, VM_CODE + 10, true);
	vcpu_regs(v, &r);
	EXPECT_EQ(0x1230, r.rdx);
	EXPECT_EQ(STACK_B - 4, r.rsp);
}

TEST(interrupt)
{
	struct kvm_interrupt irq = { VECTOR };
	struct vcpu *v = TWO_TASKS(by_interrupt);

	ASSERT_EQ(0, xioctlp(v->fd, KVM_INTERRUPT, &irq));
	in_task_b(_metadata, v, VM_CODE + 7, true);
	EXPECT_NE(0, *tss(v, VM_TSS, EFLAGS) & 1 << 9);
}

/* What the CPU would not switch to leads to #TS or #NP, for which there is no handler. */
TEST(impossible)
{
	static const struct { const char *name; unsigned int at; uint8_t value; } bad[] = {
		{ "not present", 5, 0x09 }, { "busy", 5, 0x8b }, { "too short", 0, 0x66 }, { "no TSS", 5, 0x93 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vcpu *v = TWO_TASKS(by_int);

		memset(v->vm->ram + VM_IDT + 8 * 13, 0, 8);
		v->vm->ram[VM_GDT + SEL_TSS_B + bad[i].at] = bad[i].value;
		TH_LOG("%s", bad[i].name);
		RUN_TO(v, KVM_EXIT_SHUTDOWN);
		EXPECT_EQ(CODE_B, *tss(v, TSS_B, EIP));
		vm_free(v->vm);
	}
}

#define FRAME (VM_FREE + 0xfd8)
#define HANDLER VM_DATA

GUEST(halts, 64, "1: hlt\n jmp 1b");
/* Moves its frame to a page of its own and returns from there. */
GUEST(nmi_handler, 64,
	"mov $0x100fd8, %edi\n mov %rsp, %rsi\n mov $5, %ecx\n cld\n rep movsq\n mov $0x100fd8, %rsp\n hlt\n iretq");

TEST(nmi_waits_for_an_iret_that_faults)
{
	struct vcpu *v = LONG_VCPU(halts);
	uint64_t *frame = (uint64_t *)(v->vm->ram + FRAME);
	uint64_t in_handler = HANDLER + guest_size(nmi_handler) - 2;	/* at its IRETQ */
	int i;

	vm_load_guest(v->vm, HANDLER, nmi_handler);
	vm_set_gate(v->vm, 2, HANDLER, 14, 0, 0);
	RUN_TO(v, KVM_EXIT_HLT);
	ASSERT_EQ(VM_CODE + 1, vcpu_rip(v));
	ASSERT_EQ(0, xioctl(v->fd, KVM_NMI, 0));
	for (i = 0; i < 3; i++) {
		RUN_TO(v, KVM_EXIT_HLT);
		ASSERT_EQ(in_handler, vcpu_rip(v));
		/* At HLT or behind the jump to it, never within the handler. */
		EXPECT_EQ(VM_CODE + 1, frame[0]);
		ASSERT_EQ(0, xioctl(v->fd, KVM_NMI, 0));
		/* The page goes from the nested table and stays as it is, so that IRETQ finds it after a fault. */
		ASSERT_EQ(0, mprotect(v->vm->ram + VM_FREE, 4096, PROT_NONE));
		ASSERT_EQ(0, mprotect(v->vm->ram + VM_FREE, 4096, PROT_READ | PROT_WRITE));
	}
}

TEST_HARNESS_MAIN
