// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_SET_GUEST_DEBUG and KVM_TRANSLATE: what a debugger in user space uses. A long-mode guest whose handlers
 * report the vector and the interrupted RIP.
 *
 * What the distribution's module does not do in the lab is asked of Keel only. QEMU's AMD-V reports INT3 as INT n,
 * Bochs takes a trap too many when an instruction to be stepped over exits first: it knows of neither. Elsewhere it
 * loses the trap of an instruction that went to user space, and KVM_TRANSLATE sets accessed bits.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"
#include "vm.h"

#define HANDLERS	0x20000u	/* one stub of 16 bytes per vector */
#define COMMON		0x21000u

#define DR6_INIT	0xffff0ff0u
#define DR6_BS		(1u << 14)
#define DR6_BD		(1u << 13)
#define DR7_GD		(1u << 13)
#define TF		0x100u

/* Vector and RIP go to VM_DATA, then out; user space may let it return elsewhere. */
GUEST(common, 64,
	"push %rax\n mov 8(%rsp), %rax\n mov %rax, 0x40000\n mov 16(%rsp), %rax\n mov %rax, 0x40008\n"
	"mov 32(%rsp), %rax\n mov %rax, 0x40010\n"
	"out %al, $0xf1\n pop %rax\n add $8, %rsp\n iretq");

struct report {
	uint64_t vector, rip, rflags;
};

static struct report *report(struct vcpu *v)
{
	return (struct report *)(v->vm->ram + VM_DATA);
}

static struct vcpu *debug_vcpu(const uint8_t *code, size_t size)
{
	static const uint8_t vectors[] = { 1, 2, 3, 0x61, 0x80 };
	struct vcpu *v = vm_long(code, size);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vectors); i++) {
		uint8_t n = vectors[i], stub[10] = { 0x68, n, 0, 0, 0, 0xe9 };	/* push $n; jmp COMMON */
		int32_t rel = COMMON - (HANDLERS + 16 * n + sizeof(stub));

		memcpy(stub + 6, &rel, 4);
		vm_load(v->vm, HANDLERS + 16 * n, stub, sizeof(stub));
		vm_set_gate(v->vm, n, HANDLERS + 16 * n, 14, 0, 0);
	}
	vm_load_guest(v->vm, COMMON, common);
	return v;
}
#define DEBUG_VCPU(name) debug_vcpu(guest_code(name), guest_size(name))

static int set_debug(struct vcpu *v, uint32_t control)
{
	struct kvm_guest_debug d = { .control = control };

	return xioctlp(v->fd, KVM_SET_GUEST_DEBUG, &d);
}

static int set_breakpoint(struct vcpu *v, uint32_t control, unsigned int nr, uint64_t addr, uint64_t dr7)
{
	struct kvm_guest_debug d = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP | control };

	d.arch.debugreg[nr] = addr;
	d.arch.debugreg[7] = dr7;
	return xioctlp(v->fd, KVM_SET_GUEST_DEBUG, &d);
}

/* Run to a debug exit and check it. */
#define DEBUGGED(v, vec, at, bits) do {						\
	RUN_TO(v, KVM_EXIT_DEBUG);						\
	EXPECT_EQ((vec), (v)->run->debug.arch.exception);			\
	EXPECT_EQ((uint64_t)(at), (v)->run->debug.arch.pc);			\
	EXPECT_EQ((uint64_t)(at), vcpu_rip(v));					\
	if ((vec) == 1)								\
		EXPECT_EQ((uint64_t)(DR6_INIT | (bits)), (v)->run->debug.arch.dr6);	\
} while (0)

/* The guest's handler reports. */
#define HANDLED(v, vec, at) do {						\
	RUN_TO(v, KVM_EXIT_IO);							\
	EXPECT_EQ((uint64_t)(vec), report(v)->vector);				\
	EXPECT_EQ((uint64_t)(at), report(v)->rip);				\
} while (0)

TEST(offered)
{
	struct vm *vm = vm_new(0);

	EXPECT_EQ(1, has_cap(vm->fd, KVM_CAP_SET_GUEST_DEBUG));
	EXPECT_EQ(0x1f0003, has_cap(vm->fd, KVM_CAP_SET_GUEST_DEBUG2));
	vm_free(vm);
}

static uint64_t rflags_of(struct vcpu *v)
{
	struct kvm_regs r;

	vcpu_regs(v, &r);
	return r.rflags;
}

/* nop, CPUID (exits), RDMSR of APIC_BASE (exits), MOV to a device (emulated), nop. */
/* QEMU's AMD-V: it does not load DR7 with the guest, and takes no trap in the shadow of STI. */
static int is_qemu(void)
{
	char line[8192];
	int svm = 0, nrip = 0;
	FILE *f = fopen("/proc/cpuinfo", "r");

	while (f && fgets(line, sizeof(line), f)) {
		svm |= strstr(line, " svm ") || strstr(line, " svm\n");
		nrip |= strstr(line, " nrip_save") != NULL;
	}
	if (f)
		fclose(f);
	return svm && !nrip;
}

GUEST(walk, 64, "nop\n xor %eax, %eax\n cpuid\n mov $0x1b, %ecx\n rdmsr\n mov $0xd0000000, %edx\n"
	"mov %eax, (%rdx)\n nop\n out %al, $0xf1\n in $0xf1, %al\n nop\n hlt");
TEST(single_step)
{
	static const uint8_t length[] = { 1, 2, 2, 5, 2, 5 };
	struct vcpu *v = DEBUG_VCPU(walk);
	uint64_t at = VM_CODE;
	unsigned int i;

	if (!is_keel())
		SKIP(return, "Keel's own");
	ASSERT_EQ(0, set_debug(v, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP));
	for (i = 0; i < ARRAY_SIZE(length); i++) {
		at += length[i];
		DEBUGGED(v, 1, at, DR6_BS);
		EXPECT_EQ(0, rflags_of(v) & TF);
	}
	/* The device first, then the trap. */
	RUN_TO(v, KVM_EXIT_MMIO);
	EXPECT_EQ(VM_MMIO, v->run->mmio.phys_addr);
	DEBUGGED(v, 1, at + 2, DR6_BS);
	DEBUGGED(v, 1, at + 3, DR6_BS);
	RUN_TO(v, KVM_EXIT_IO);
	DEBUGGED(v, 1, at + 5, DR6_BS);
	RUN_TO(v, KVM_EXIT_IO);
	DEBUGGED(v, 1, at + 7, DR6_BS);
	ASSERT_EQ(0, set_debug(v, 0));
	RUN_TO(v, KVM_EXIT_HLT);
	EXPECT_EQ(0, rflags_of(v) & TF);
}

/* REP STOSB to a device: a trap after each iteration. */
GUEST(rep, 64, "mov $0xd0000000, %edi\n mov $3, %ecx\n rep stosb\n hlt");
TEST(step_through_rep)
{
	struct vcpu *v = DEBUG_VCPU(rep);
	struct kvm_regs r;
	int i;

	if (!is_keel())
		SKIP(return, "Keel's own");
	ASSERT_EQ(0, set_debug(v, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP));
	DEBUGGED(v, 1, VM_CODE + 5, DR6_BS);
	DEBUGGED(v, 1, VM_CODE + 10, DR6_BS);
	for (i = 1; i <= 3; i++) {
		RUN_TO(v, KVM_EXIT_MMIO);
		EXPECT_EQ(VM_MMIO + i - 1, v->run->mmio.phys_addr);
		DEBUGGED(v, 1, i < 3 ? VM_CODE + 10 : VM_CODE + 12, DR6_BS);
		vcpu_regs(v, &r);
		EXPECT_EQ(3 - i, r.rcx);
	}
	ASSERT_EQ(0, set_debug(v, 0));
	RUN_TO(v, KVM_EXIT_HLT);
}

/* STI's shadow does not keep a step from its instruction; POPF clears the TF that is not the guest's. */
GUEST(shadow, 64, "sti\n nop\n pushf\n popf\n nop\n cli\n hlt");
TEST(step_in_shadows)
{
	struct vcpu *v = DEBUG_VCPU(shadow);
	unsigned int i;

	if (!is_keel() && !is_qemu())
		SKIP(return, "Keel's own");
	ASSERT_EQ(0, set_debug(v, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP));
	for (i = is_qemu() ? 2 : 1; i <= 6; i++)
		DEBUGGED(v, 1, VM_CODE + i, DR6_BS);
	ASSERT_EQ(0, set_debug(v, 0));
	RUN_TO(v, KVM_EXIT_HLT);
}

GUEST(int3, 64, "nop\n int3\n nop\n int $0x80\n hlt");
TEST(software_breakpoint)
{
	struct vcpu *v = DEBUG_VCPU(int3);
	struct kvm_vcpu_events ev;
	struct kvm_regs r;

	if (!is_keel() && is_qemu())
		SKIP(return, "Keel's own");
	ASSERT_EQ(0, set_debug(v, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP));
	DEBUGGED(v, 3, VM_CODE + 1, 0);
	/* Again, for nothing has changed. */
	DEBUGGED(v, 3, VM_CODE + 1, 0);
	/* It is the guest's own: give it back, as QEMU does. */
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_VCPU_EVENTS, &ev));
	memset(&ev.exception, 0, sizeof(ev.exception));
	ev.exception.injected = 1;
	ev.exception.nr = 3;
	ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_VCPU_EVENTS, &ev));
	HANDLED(v, 3, VM_CODE + 2);
	/* An INT n goes to the guest. */
	HANDLED(v, 0x80, VM_CODE + 5);
	RUN_TO(v, KVM_EXIT_HLT);
	/* Without a debugger so does the breakpoint. */
	ASSERT_EQ(0, set_debug(v, 0));
	vcpu_regs(v, &r);
	r.rip = VM_CODE;
	vcpu_set_regs(v, &r);
	HANDLED(v, 3, VM_CODE + 2);
	HANDLED(v, 0x80, VM_CODE + 5);
	RUN_TO(v, KVM_EXIT_HLT);
}

GUEST(touch, 64, "nop\n nop\n movl $1, 0x40200\n movl 0x40200, %eax\n nop\n hlt");
TEST(hardware_breakpoints)
{
	struct vcpu *v = DEBUG_VCPU(touch);
	unsigned int i;
	struct kvm_debugregs dr;

	if (is_qemu())
		SKIP(return, "the emulated CPU does not load DR7 with the guest");

	for (i = 0; i < 4; i++) {
		vcpu_long(v, VM_CODE);
		ASSERT_EQ(0, set_breakpoint(v, 0, i, VM_CODE + 1, 0x400 | 1 << 2 * i));
		DEBUGGED(v, 1, VM_CODE + 1, 1 << i);
		EXPECT_EQ(0x400 | 1 << 2 * i, v->run->debug.arch.dr7);
		/* Writes of four bytes. */
		ASSERT_EQ(0, set_breakpoint(v, 0, i, 0x40200, 0x400 | 1 << 2 * i | 0xdu << (16 + 4 * i)));
		DEBUGGED(v, 1, VM_CODE + 13, 1 << i);
		/* Reads, too. */
		ASSERT_EQ(0, set_breakpoint(v, 0, i, 0x40200, 0x400 | 1 << 2 * i | 0xfu << (16 + 4 * i)));
		DEBUGGED(v, 1, VM_CODE + 20, 1 << i);
		ASSERT_EQ(0, set_debug(v, 0));
		RUN_TO(v, KVM_EXIT_HLT);
		/* The guest has seen nothing of it. */
		ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_DEBUGREGS, &dr));
		EXPECT_EQ(0, dr.db[i]);
		EXPECT_EQ(DR6_INIT, dr.dr6);
		EXPECT_EQ(0x400, dr.dr7);
	}
}

GUEST(device, 64, "mov $0xd0000000, %edx\n mov %eax, 4(%rdx)\n mov %eax, 8(%rdx)\n mov 8(%rdx), %eax\n hlt");
TEST(breakpoint_on_a_device)
{
	struct vcpu *v = DEBUG_VCPU(device);

	if (!is_keel())
		SKIP(return, "Keel's own");
	/* Eight bytes from 8 on, writes; of DR2. */
	ASSERT_EQ(0, set_breakpoint(v, 0, 2, VM_MMIO + 8, 0x400 | 1 << 4 | 9u << 24));
	RUN_TO(v, KVM_EXIT_MMIO);
	RUN_TO(v, KVM_EXIT_MMIO);
	EXPECT_EQ(VM_MMIO + 8, v->run->mmio.phys_addr);
	DEBUGGED(v, 1, VM_CODE + 11, 1 << 2);
	RUN_TO(v, KVM_EXIT_MMIO);
	RUN_TO(v, KVM_EXIT_HLT);
}

/* The guest sets a breakpoint of its own and reads it back. */
GUEST(own, 64, "mov $0x10100, %eax\n mov %rax, %db1\n mov $0x404, %eax\n mov %rax, %db7\n"
	"mov %db1, %rbx\n mov %db7, %rcx\n mov %db6, %rdx\n out %al, $0xf1\n .org guest_own + 0x100\n nop\n hlt");
TEST(the_guests_own_registers)
{
	struct vcpu *v = DEBUG_VCPU(own);
	struct kvm_debugregs dr;
	struct kvm_regs r;

	memset(v->vm->ram + VM_CODE + 0x40, 0x90, 0xc0);
	ASSERT_EQ(0, set_breakpoint(v, 0, 0, VM_CODE + 0x80, 0x402));
	RUN_TO(v, KVM_EXIT_IO);
	vcpu_regs(v, &r);
	EXPECT_EQ(0x10100, r.rbx);
	EXPECT_EQ(0x404, r.rcx);
	EXPECT_EQ(DR6_INIT, r.rdx);
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_DEBUGREGS, &dr));
	EXPECT_EQ(0x10100, dr.db[1]);
	EXPECT_EQ(0x404, dr.dr7);
	if (is_qemu())
		return;
	vcpu_regs(v, &r);
	r.rip = VM_CODE + 0x7f;
	vcpu_set_regs(v, &r);
	DEBUGGED(v, 1, VM_CODE + 0x80, 1);
	/* The debugger goes: now the guest's works. */
	ASSERT_EQ(0, set_debug(v, 0));
	HANDLED(v, 1, VM_CODE + 0x100);
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_DEBUGREGS, &dr));
	EXPECT_EQ(DR6_INIT | 2, dr.dr6);
	EXPECT_EQ(0x404, dr.dr7);
}

GUEST(detect, 64, "nop\n mov %db7, %rax\n hlt");
TEST(general_detect)
{
	struct vcpu *v = DEBUG_VCPU(detect);

	if (!is_keel() && is_qemu())
		SKIP(return, "Keel's own");
	ASSERT_EQ(0, set_breakpoint(v, 0, 0, 0, 0x400 | DR7_GD));
	DEBUGGED(v, 1, VM_CODE + 1, DR6_BD);
	ASSERT_EQ(0, set_debug(v, 0));
	RUN_TO(v, KVM_EXIT_HLT);
}

GUEST(open_nops, 64, "nop\n nop\n nop\n nop\n hlt");
TEST(interrupts_blocked)
{
	const uint32_t step = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
	struct vcpu *v = DEBUG_VCPU(open_nops);
	struct kvm_interrupt irq = { .irq = 0x61 };
	struct kvm_regs r;

	if (!is_keel())
		SKIP(return, "the distribution's blocks only what chips in the kernel raise");
	vcpu_regs(v, &r);
	r.rflags |= 0x200;
	vcpu_set_regs(v, &r);
	ASSERT_EQ(0, xioctlp(v->fd, KVM_INTERRUPT, &irq));
	ASSERT_EQ(0, xioctl(v->fd, KVM_NMI, 0));
	ASSERT_EQ(0, set_debug(v, step | KVM_GUESTDBG_BLOCKIRQ));
	DEBUGGED(v, 1, VM_CODE + 1, DR6_BS);
	DEBUGGED(v, 1, VM_CODE + 2, DR6_BS);
	ASSERT_EQ(0, set_debug(v, 0));
	HANDLED(v, 2, VM_CODE + 2);
	EXPECT_EQ(0, report(v)->rflags & TF);
	HANDLED(v, 0x61, VM_CODE + 2);
	RUN_TO(v, KVM_EXIT_HLT);
}

TEST(injection)
{
	struct vcpu *v = DEBUG_VCPU(open_nops);

	ASSERT_EQ(0, set_debug(v, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_DB));
	EXPECT_EQ(-EBUSY, set_debug(v, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_DB));
	HANDLED(v, 1, VM_CODE);
	RUN_TO(v, KVM_EXIT_HLT);
	v = DEBUG_VCPU(int3);
	if (!is_keel())
		return;		/* knows the instruction's length only after its exit */
	ASSERT_EQ(0, set_debug(v, KVM_GUESTDBG_INJECT_BP));
	HANDLED(v, 3, VM_CODE + 1);
	EXPECT_EQ(-EINVAL, set_debug(v, 0x4));
}

TEST(translate)
{
	struct vcpu *v = DEBUG_VCPU(open_nops);
	uint64_t *pd = (uint64_t *)(v->vm->ram + VM_PML4 + 0x2000);
	static const struct { uint64_t flags; uint8_t write, user; } rows[] = {
		{ 0x87, 1, 1 }, { 0x85, 0, 1 }, { 0x83, 1, 0 }, { 0x81, 0, 0 },
	};
	struct kvm_translation tr = { .linear_address = 0xffff800000000000 };
	unsigned int i;

	ASSERT_EQ(0, xioctlp(v->fd, KVM_TRANSLATE, &tr));
	EXPECT_EQ(0, tr.valid);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		pd[3] = 0x123400000 | rows[i].flags;
		tr = (struct kvm_translation){ .linear_address = 0x612345 };
		ASSERT_EQ(0, xioctlp(v->fd, KVM_TRANSLATE, &tr));
		EXPECT_EQ(1, tr.valid);
		EXPECT_EQ(0x123412345, tr.physical_address);
		if (!is_keel())
			continue;
		EXPECT_EQ(0, pd[3] & 0x60);	/* a question leaves no trace */
		EXPECT_EQ(rows[i].write, tr.writeable);
		EXPECT_EQ(rows[i].user, tr.usermode);
	}
	pd[3] = 0;
	ASSERT_EQ(0, xioctlp(v->fd, KVM_TRANSLATE, &tr));
	EXPECT_EQ(0, tr.valid);
}

TEST_HARNESS_MAIN
