// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exceptions the guest causes and takes itself, those user space injects, NMI blocking, the
 * interrupt shadow. A long-mode guest with an IDT whose handlers report on a port.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"
#include "vm.h"

#define HANDLERS	0x20000u	/* one stub of 16 bytes per vector */
#define COMMON		0x21000u

/*
 * Stub n pushes n and jumps to the common part, which reports vector, error code (or -1), RIP and
 * CR2 at VM_DATA and goes out on VM_PORT; user space decides what RIP to return to.
 */
GUEST(common, 64,
	"mov %rax, 0x40100\n pop %rax\n mov %rax, 0x40000\n"	/* vector */
	"pop %rax\n mov %rax, 0x40008\n"			/* error code */
	"mov (%rsp), %rax\n mov %rax, 0x40010\n"		/* RIP */
	"mov %cr2, %rax\n mov %rax, 0x40018\n"
	"mov %rsp, 0x40020\n mov 16(%rsp), %rax\n mov %rax, 0x40028\n"	/* RFLAGS */
	"out %al, $0xf1\n mov 0x40030, %rax\n mov %rax, (%rsp)\n mov 0x40100, %rax\n iretq");

struct report {
	uint64_t vector, error, rip, cr2, rsp, rflags, next_rip;
};

static struct report *report(struct vcpu *v)
{
	return (struct report *)(v->vm->ram + VM_DATA);
}

static void set_idt(struct vcpu *v)
{
	unsigned int n;

	for (n = 0; n < 256; n++) {
		uint8_t stub[16], *p = stub;
		int has_error = n == 8 || (n >= 10 && n <= 14) || n == 17 || n == 21 || n == 29 || n == 30;
		int32_t rel;

		memset(stub, 0x90, sizeof(stub));
		if (!has_error) {
			*p++ = 0x6a;		/* push $-1 */
			*p++ = 0xff;
		}
		*p++ = 0x68;			/* push $n */
		*p++ = n;
		*p++ = 0;
		*p++ = 0;
		*p++ = 0;
		*p++ = 0xe9;			/* jmp COMMON */
		rel = COMMON - (HANDLERS + 16 * n + (p - stub) + 4);
		memcpy(p, &rel, 4);
		vm_load(v->vm, HANDLERS + 16 * n, stub, 16);
		vm_set_gate(v->vm, n, HANDLERS + 16 * n, 14, n == 3 ? 3 : 0, n == 8);
	}
	vm_load_guest(v->vm, COMMON, common);
}

static struct vcpu *exc_vcpu(const uint8_t *code, size_t size)
{
	struct vcpu *v = vm_long(code, size);

	set_idt(v);
	return v;
}
#define EXC_VCPU(name) exc_vcpu(guest_code(name), guest_size(name))

/* Run to the handler's report and check what it saw; the guest goes on at `next` afterwards. */
#define TAKES(v, vec, err, at, next) do {					\
	RUN_TO(v, KVM_EXIT_IO);							\
	ASSERT_EQ(VM_PORT, (v)->run->io.port);					\
	EXPECT_EQ((uint64_t)(vec), report(v)->vector);				\
	EXPECT_EQ((uint64_t)(err), report(v)->error);				\
	EXPECT_EQ((uint64_t)(at), report(v)->rip);				\
	report(v)->next_rip = (next);						\
} while (0)

#define NO_ERROR (~0ull)

GUEST(ud, 64, "ud2\n hlt");
TEST(invalid_opcode)
{
	struct vcpu *v = EXC_VCPU(ud);

	TAKES(v, 6, NO_ERROR, VM_CODE, VM_CODE + 2);
	RUN_TO(v, KVM_EXIT_HLT);
}

GUEST(divide, 64, "xor %ecx, %ecx\n div %ecx\n hlt");
TEST(divide_error)
{
	struct vcpu *v = EXC_VCPU(divide);

	TAKES(v, 0, NO_ERROR, VM_CODE + 2, VM_CODE + 4);
	RUN_TO(v, KVM_EXIT_HLT);
}

GUEST(int3, 64, "int3\n hlt");
TEST(breakpoint)
{
	struct vcpu *v = EXC_VCPU(int3);

	TAKES(v, 3, NO_ERROR, VM_CODE + 1, VM_CODE + 1);
	RUN_TO(v, KVM_EXIT_HLT);
}

GUEST(soft_int, 64, "int $0x80\n hlt");
TEST(software_interrupt)
{
	struct vcpu *v = EXC_VCPU(soft_int);

	TAKES(v, 0x80, NO_ERROR, VM_CODE + 2, VM_CODE + 2);
	RUN_TO(v, KVM_EXIT_HLT);
}

GUEST(non_canonical, 64, "mov $0x8000000000000000, %rax\n mov (%rax), %ebx\n hlt");
TEST(gp_non_canonical)
{
	struct vcpu *v = EXC_VCPU(non_canonical);

	TAKES(v, 13, 0, VM_CODE + 10, VM_CODE + 12);
	RUN_TO(v, KVM_EXIT_HLT);
}

GUEST(bad_selector, 64, "mov $0x1000, %eax\n mov %eax, %ds\n hlt");
TEST(gp_selector_error_code)
{
	struct vcpu *v = EXC_VCPU(bad_selector);

	TAKES(v, 13, 0x1000, VM_CODE + 5, VM_CODE + 7);
	RUN_TO(v, KVM_EXIT_HLT);
}

GUEST(bad_msr, 64, "mov $0x12345678, %ecx\n rdmsr\n xor %eax, %eax\n xor %edx, %edx\n wrmsr\n hlt");
TEST(gp_from_the_module)
{
	struct vcpu *v = EXC_VCPU(bad_msr);

	TAKES(v, 13, 0, VM_CODE + 5, VM_CODE + 7);
	TAKES(v, 13, 0, VM_CODE + 11, VM_CODE + 13);
	RUN_TO(v, KVM_EXIT_HLT);
}

GUEST(bad_cr, 64, "mov %cr4, %rax\n bts $15, %rax\n mov %rax, %cr4\n mov $16, %eax\n mov %rax, %cr8\n hlt");
TEST(gp_control_registers)
{
	struct vcpu *v = EXC_VCPU(bad_cr);

	TAKES(v, 13, 0, VM_CODE + 8, VM_CODE + 11);
	TAKES(v, 13, 0, VM_CODE + 16, VM_CODE + 20);
	RUN_TO(v, KVM_EXIT_HLT);
}

/*
 * A module that leaves MOV to CR0 to the processor gets #GP from it; the lab's emulated processor
 * stores PG without PE instead, and the next entry fails. The VM is stopped either way.
 */
GUEST(bad_cr0, 64, "mov %cr0, %rax\n btr $0, %rax\n mov %rax, %cr0\n hlt");
TEST(paging_without_protection)
{
	struct vcpu *v = EXC_VCPU(bad_cr0);

	ASSERT_EQ(0, xioctl(v->fd, KVM_RUN, 0));
	if (v->run->exit_reason == KVM_EXIT_IO) {
		EXPECT_EQ(13, report(v)->vector);
	} else {
		EXPECT_EQ(KVM_EXIT_FAIL_ENTRY, v->run->exit_reason);
	}
}

GUEST(page_faults, 64,
	"mov $0x80000000, %ebx\n mov (%rbx), %eax\n"		/* 5: not present, read */
	"mov %eax, 8(%rbx)\n"					/* 7: not present, write */
	"mov $0x200000, %ebx\n mov %eax, (%rbx)\n"		/* 15: present, read-only */
	"jmp *%rbx\n hlt");					/* 17: present, no execute */
TEST(page_fault)
{
	struct vcpu *v = EXC_VCPU(page_faults);
	uint64_t *pd = (uint64_t *)(v->vm->ram + VM_PML4 + 0x2000);

	pd[0x80000000 >> 21] = 0;
	pd[1] = 0x200000 | 0x81 | 1ull << 63;
	TAKES(v, 14, 0, VM_CODE + 5, VM_CODE + 7);
	EXPECT_EQ(0x80000000, report(v)->cr2);
	TAKES(v, 14, 2, VM_CODE + 7, VM_CODE + 10);
	EXPECT_EQ(0x80000008, report(v)->cr2);
	TAKES(v, 14, 3, VM_CODE + 15, VM_CODE + 17);
	EXPECT_EQ(0x200000, report(v)->cr2);
	TAKES(v, 14, 0x11, 0x200000, VM_CODE + 19);
	EXPECT_EQ(0x200000, report(v)->cr2);
	RUN_TO(v, KVM_EXIT_HLT);
}

GUEST(reserved_bit, 64, "mov $0x80000000, %ebx\n mov (%rbx), %eax\n hlt");
TEST(page_fault_reserved_bit)
{
	struct vcpu *v = EXC_VCPU(reserved_bit);
	uint64_t *pd = (uint64_t *)(v->vm->ram + VM_PML4 + 0x2000);

	pd[0x80000000 >> 21] = 0x87 | 1 << 13;		/* must be 0 in a 2 MiB entry */
	RUN_TO(v, KVM_EXIT_IO);
	EXPECT_EQ(14, report(v)->vector);
	/* 9 by the manual; the lab's emulated processor leaves out the present bit */
	EXPECT_TRUE(report(v)->error == 9 || report(v)->error == 8);
	EXPECT_EQ(VM_CODE + 5, report(v)->rip);
	report(v)->next_rip = VM_CODE + 7;
	RUN_TO(v, KVM_EXIT_HLT);
}

GUEST(single_step, 64, "pushf\n orl $0x100, (%rsp)\n popf\n nop\n nop\n hlt");
TEST(debug_trap)
{
	struct vcpu *v = EXC_VCPU(single_step);
	struct kvm_debugregs d;
	struct kvm_regs r;

	TAKES(v, 1, NO_ERROR, VM_CODE + 10, VM_CODE + 10);
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_DEBUGREGS, &d));
	EXPECT_EQ(1ull << 14, d.dr6 & 1ull << 14);
	TAKES(v, 1, NO_ERROR, VM_CODE + 11, VM_CODE + 11);
	vcpu_regs(v, &r);
	EXPECT_EQ(0, r.rflags & 0x100);			/* clear inside the handler */
	EXPECT_EQ(0x100, report(v)->rflags & 0x100);
}

GUEST(hw_breakpoint, 64,
	"mov $0x40200, %eax\n mov %rax, %dr0\n mov $0xd0701, %eax\n mov %rax, %dr7\n"
	"movl $1, 0x40200\n nop\n hlt");
TEST(data_breakpoint)
{
	struct vcpu *v = EXC_VCPU(hw_breakpoint);
	struct kvm_debugregs d;

	TAKES(v, 1, NO_ERROR, VM_CODE + 27, VM_CODE + 27);
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_DEBUGREGS, &d));
	EXPECT_EQ(1, d.dr6 & 0xf);
	EXPECT_EQ(1, *(uint32_t *)(v->vm->ram + 0x40200));
	RUN_TO(v, KVM_EXIT_HLT);
}

/* A fault while delivering a fault, with the #DF handler on its own stack. */
GUEST(bad_stack, 64, "mov $0x80000008, %esp\n ud2\n hlt");
TEST(double_fault)
{
	struct vcpu *v = EXC_VCPU(bad_stack);
	uint64_t *pd = (uint64_t *)(v->vm->ram + VM_PML4 + 0x2000);

	pd[0x80000000 >> 21] = 0;
	pd[(0x80000000 >> 21) - 1] = 0;
	RUN_TO(v, KVM_EXIT_IO);
	EXPECT_EQ(8, report(v)->vector);
	EXPECT_EQ(0, report(v)->error);
	EXPECT_LT(report(v)->rsp, VM_IST1_TOP);
	EXPECT_LT(VM_IST1_TOP - 0x100, report(v)->rsp);
}

/* The same without a #DF handler: shutdown. */
TEST(triple_fault)
{
	struct vcpu *v = EXC_VCPU(bad_stack);
	uint64_t *pd = (uint64_t *)(v->vm->ram + VM_PML4 + 0x2000);

	pd[0x80000000 >> 21] = 0;
	pd[(0x80000000 >> 21) - 1] = 0;
	memset(v->vm->ram + VM_IDT + 8 * 16, 0, 16);
	RUN_TO(v, KVM_EXIT_SHUTDOWN);
}

GUEST(nops, 64, "nop\n nop\n hlt\n nop\n hlt");

/* User space injects, for each kind of vector, and the guest takes it before its first instruction. */
TEST(injected_by_user_space)
{
	static const struct { uint8_t nr, has_error; uint32_t error; } e[] = {
		{ 6, 0, 0 }, { 13, 1, 0x18 }, { 14, 1, 6 }, { 0, 0, 0 }, { 17, 1, 0 }, { 1, 0, 0 },
	};
	struct vcpu *v = EXC_VCPU(nops);
	struct kvm_vcpu_events ev;
	struct kvm_sregs s;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(e); i++) {
		vcpu_long(v, VM_CODE);
		set_idt(v);
		vcpu_sregs(v, &s);
		s.cr2 = 0x123000;
		ASSERT_EQ(0, vcpu_set_sregs(v, &s));
		ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_VCPU_EVENTS, &ev));
		memset(&ev.exception, 0, sizeof(ev.exception));
		ev.exception.injected = 1;
		ev.exception.nr = e[i].nr;
		ev.exception.has_error_code = e[i].has_error;
		ev.exception.error_code = e[i].error;
		ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_VCPU_EVENTS, &ev));
		TAKES(v, e[i].nr, e[i].has_error ? e[i].error : NO_ERROR, VM_CODE, VM_CODE);
		EXPECT_EQ(0x123000, report(v)->cr2);
		RUN_TO(v, KVM_EXIT_HLT);
		ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_VCPU_EVENTS, &ev));
		EXPECT_EQ(0, ev.exception.injected | ev.exception.pending);
	}
}

/* With an exception to deliver the window stays shut until the handler has returned. */
TEST(window_behind_an_exception)
{
	struct vcpu *v = EXC_VCPU(nops);
	struct kvm_interrupt irq = { .irq = 0x61 };
	struct kvm_vcpu_events ev;
	struct kvm_regs r;

	vcpu_regs(v, &r);
	r.rflags |= 0x200;
	vcpu_set_regs(v, &r);
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_VCPU_EVENTS, &ev));
	ev.exception.injected = 1;
	ev.exception.nr = 6;
	ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_VCPU_EVENTS, &ev));
	v->run->request_interrupt_window = 1;
	TAKES(v, 6, NO_ERROR, VM_CODE, VM_CODE);
	EXPECT_EQ(0, v->run->ready_for_interrupt_injection);
	RUN_TO(v, KVM_EXIT_IRQ_WINDOW_OPEN);
	EXPECT_EQ(VM_CODE, vcpu_rip(v));
	v->run->request_interrupt_window = 0;
	ASSERT_EQ(0, xioctlp(v->fd, KVM_INTERRUPT, &irq));
	TAKES(v, 0x61, NO_ERROR, VM_CODE, VM_CODE);
	RUN_TO(v, KVM_EXIT_HLT);
}

/* The handler loops with NMIs blocked; a second NMI waits for its IRET. */
TEST(nmi_blocking)
{
	struct vcpu *v = EXC_VCPU(nops);
	struct kvm_vcpu_events ev;

	ASSERT_EQ(0, xioctl(v->fd, KVM_NMI, 0));
	TAKES(v, 2, NO_ERROR, VM_CODE, VM_CODE);
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_VCPU_EVENTS, &ev));
	EXPECT_EQ(1, ev.nmi.masked);
	EXPECT_EQ(0, ev.nmi.pending | ev.nmi.injected);
	ASSERT_EQ(0, xioctl(v->fd, KVM_NMI, 0));
	ASSERT_EQ(0, xioctl(v->fd, KVM_NMI, 0));	/* one more is latched at most */
	ASSERT_EQ(0, xioctl(v->fd, KVM_NMI, 0));
	RUN_TO(v, KVM_EXIT_IO);
	EXPECT_EQ(2, report(v)->vector);
	EXPECT_TRUE(report(v)->rip == VM_CODE || report(v)->rip == VM_CODE + 1);
	report(v)->next_rip = VM_CODE;
	RUN_TO(v, KVM_EXIT_HLT);
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_VCPU_EVENTS, &ev));
	EXPECT_EQ(0, ev.nmi.masked);
	EXPECT_EQ(0, ev.nmi.pending);
}

GUEST(sti_shadow, 64, "cli\n out %al, $0x10\n sti\n hlt\n nop\n hlt");

/* STI; HLT with an interrupt waiting: HLT is reached first, in the shadow. */
TEST(interrupt_shadow)
{
	struct vcpu *v = EXC_VCPU(sti_shadow);
	struct kvm_interrupt irq = { .irq = 0x62 };

	RUN_TO(v, KVM_EXIT_IO);
	v->run->request_interrupt_window = 1;
	/* the window opens after the instruction behind STI: at HLT's exit, or right behind it */
	ASSERT_EQ(0, vcpu_run(v));
	ASSERT_TRUE(v->run->exit_reason == KVM_EXIT_HLT ||
		    v->run->exit_reason == KVM_EXIT_IRQ_WINDOW_OPEN);
	EXPECT_EQ(VM_CODE + 5, vcpu_rip(v));
	EXPECT_EQ(1, v->run->if_flag);
	v->run->request_interrupt_window = 0;
	ASSERT_EQ(0, xioctlp(v->fd, KVM_INTERRUPT, &irq));
	TAKES(v, 0x62, NO_ERROR, VM_CODE + 5, VM_CODE + 5);
	RUN_TO(v, KVM_EXIT_HLT);
	EXPECT_EQ(VM_CODE + 7, vcpu_rip(v));
}

GUEST(mov_ss_shadow, 64, "out %al, $0x10\n mov $0x10, %eax\n sti\n nop\n mov %eax, %ss\n nop\n nop\n hlt");

/* Between MOV SS and the next instruction nothing is delivered. */
TEST(mov_ss_shadow)
{
	struct vcpu *v = EXC_VCPU(mov_ss_shadow);
	struct kvm_vcpu_events ev;

	RUN_TO(v, KVM_EXIT_IO);
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_VCPU_EVENTS, &ev));
	ev.flags = KVM_VCPUEVENT_VALID_SHADOW;
	ev.interrupt.shadow = KVM_X86_SHADOW_INT_MOV_SS;
	ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_VCPU_EVENTS, &ev));
	EXPECT_EQ(0, v->run->ready_for_interrupt_injection);
	v->run->request_interrupt_window = 1;
	RUN_TO(v, KVM_EXIT_IRQ_WINDOW_OPEN);
	/* STI at 7, its shadow ends after the NOP at 8 */
	EXPECT_LE(VM_CODE + 9, vcpu_rip(v));
	EXPECT_EQ(1, v->run->ready_for_interrupt_injection);
	v->run->request_interrupt_window = 0;
	RUN_TO(v, KVM_EXIT_HLT);
}

GUEST(user_mode, 64,
	"mov $0x33, %eax\n push %rax\n pushq $0x5000\n pushq $2\n pushq $0x3b\n"
	"pushq $0x10020\n iretq\n nop\n"
	".org guest_user_mode + 0x20\n cli\n nop\n");
TEST(privilege_change)
{
	struct vcpu *v = EXC_VCPU(user_mode);
	struct kvm_sregs s;

	TAKES(v, 13, 0, VM_CODE + 0x20, VM_CODE + 0x21);
	vcpu_sregs(v, &s);
	EXPECT_EQ(0, s.cs.selector & 3);
	EXPECT_EQ(0, s.ss.selector & 3);
	EXPECT_LT(VM_STACK_TOP - 0x100, report(v)->rsp);
	EXPECT_GT(VM_STACK_TOP, report(v)->rsp);
}

TEST_HARNESS_MAIN
