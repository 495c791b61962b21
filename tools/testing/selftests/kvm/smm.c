// SPDX-License-Identifier: GPL-2.0-only
/*
 * System-management mode: KVM_SMI, the state-save area, RSM, the second address space and what the API tells of it.
 * The handlers are 16-bit code at SMBASE + 0x8000, in memory that only address space 1 has.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "kselftest_harness.h"
#include "vm.h"

#define SMBASE		0x30000u
#define SMBASE_NEW	0x50000u
#define SMRAM_SIZE	0x40000u	/* both places */
#define AREA		0xfe00u
#define MSR_SMBASE	0x9eu
#define PORT_SMM	0xf2
#define SLOT		(1u << 16 | 3)

/* The interrupted program. */
GUEST(program, 64, "1: out %al, $0xf1\n inc %rbx\n jmp 1b");
GUEST(report, 16, "out %al, $0xf2\n rsm");
/* Reads what is at 0x31000, and leaves a word there. */
GUEST(memory, 16, "addr32 mov 0x31000, %ebp\n mov %ebp, %eax\n out %eax, $0xf2\n addr32 movl $0x600d, 0x31000\n rsm");
GUEST(relocate, 16, "addr32 movl $0x50000, 0x3ff00\n out %al, $0xf2\n rsm");
GUEST(spoil, 16, "addr32 movl $0x80000000, 0x3ff58\n rsm");

static uint8_t *smram;

static struct vcpu *smm_vcpu(int chips, const uint8_t *handler, size_t size)
{
	struct vm *vm = vm_new(VM_RAM_SIZE);
	struct vcpu *v;

	if (chips && xioctl(vm->fd, KVM_CREATE_IRQCHIP, 0))
		die("KVM_CREATE_IRQCHIP");
	v = vm_vcpu(vm, 0);
	vm_load_guest(vm, VM_CODE, program);
	vcpu_long(v, VM_CODE);
	smram = mmap(NULL, SMRAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (vm_set_slot(vm, SLOT, 0, SMBASE, SMRAM_SIZE, smram))
		die("slot in address space 1");
	memcpy(smram + 0x8000, handler, size);
	return v;
}
#define SMM_VCPU(name) smm_vcpu(0, guest_code(name), guest_size(name))

static int smi(struct vcpu *v)
{
	return xioctl(v->fd, KVM_SMI, 0);
}

static uint64_t saved(unsigned int offset)
{
	uint64_t value;

	memcpy(&value, smram + AREA + offset, 8);
	return value;
}

/* In the handler, or in the program. */
#define IN_SMM(v) do {								\
	RUN_TO(v, KVM_EXIT_IO);							\
	EXPECT_EQ(PORT_SMM, (v)->run->io.port);					\
	EXPECT_EQ(KVM_RUN_X86_SMM, (v)->run->flags);				\
} while (0)
#define IN_PROGRAM(v) do {							\
	RUN_TO(v, KVM_EXIT_IO);							\
	EXPECT_EQ(VM_PORT, (v)->run->io.port);					\
	EXPECT_EQ(0, (v)->run->flags);						\
} while (0)

static void events(struct vcpu *v, struct kvm_vcpu_events *ev)
{
	if (xioctlp(v->fd, KVM_GET_VCPU_EVENTS, ev))
		die("KVM_GET_VCPU_EVENTS");
}

/* Bochs does not let go of blocked virtual NMIs when an entry says so. */
static int is_bochs(void)
{
	char line[8192];
	FILE *f = fopen("/proc/cpuinfo", "r");
	int vmx = 0;

	while (f && fgets(line, sizeof(line), f))
		vmx |= strstr(line, " vmx") != NULL;
	if (f)
		fclose(f);
	return vmx;
}

TEST(there_and_back)
{
	struct vcpu *v = SMM_VCPU(report);
	struct kvm_sregs before, s;
	struct kvm_regs was, r;
	struct kvm_vcpu_events ev;

	EXPECT_EQ(1, has_cap(v->vm->fd, KVM_CAP_X86_SMM));
	EXPECT_EQ(2, has_cap(v->vm->fd, KVM_CAP_MULTI_ADDRESS_SPACE));
	IN_PROGRAM(v);
	vcpu_regs(v, &was);
	was.rip = VM_CODE + 2;
	was.r15 = 0x1515151515151515;
	was.rax = 0xaaaaaaaaaaaaaaaa;
	vcpu_set_regs(v, &was);
	vcpu_sregs(v, &before);

	ASSERT_EQ(0, smi(v));
	events(v, &ev);
	EXPECT_EQ(1, ev.smi.pending);
	EXPECT_EQ(0, ev.smi.smm);
	IN_SMM(v);
	events(v, &ev);
	EXPECT_EQ(KVM_VCPUEVENT_VALID_SMM, ev.flags & KVM_VCPUEVENT_VALID_SMM);
	EXPECT_EQ(0, ev.smi.pending);
	EXPECT_EQ(1, ev.smi.smm);
	EXPECT_EQ(0, ev.smi.smm_inside_nmi);
	EXPECT_EQ(1, ev.nmi.masked);
	vcpu_sregs(v, &s);
	EXPECT_EQ(0x3000, s.cs.selector);
	EXPECT_EQ(SMBASE, s.cs.base);
	EXPECT_EQ(0xffffffff, s.cs.limit);
	EXPECT_EQ(0, s.ds.base);
	EXPECT_EQ(0xffffffff, s.ds.limit);
	EXPECT_EQ(0, s.cr0 & 0x8000000d);
	EXPECT_EQ(0, s.cr4);
	EXPECT_EQ(0, s.efer);
	vcpu_regs(v, &r);
	EXPECT_EQ(0x8000, r.rip & ~3ull);	/* OUT is over at its exit, or when KVM_RUN is called again */
	EXPECT_EQ(2, r.rflags);

	/* The layout of AMD64 processors. */
	EXPECT_EQ(was.rax, saved(0x1f8));
	EXPECT_EQ(was.rbx, saved(0x1e0));
	EXPECT_EQ(was.rsp, saved(0x1d8));
	EXPECT_EQ(was.r15, saved(0x180));
	EXPECT_EQ(was.rip, saved(0x178));
	EXPECT_EQ(was.rflags, saved(0x170));
	EXPECT_EQ(before.cr0, saved(0x158));
	EXPECT_EQ(before.cr3, saved(0x150));
	EXPECT_EQ(before.cr4, saved(0x148));
	EXPECT_EQ(before.efer, saved(0x0d0));
	EXPECT_EQ(SMBASE, (uint32_t)saved(0x100));
	EXPECT_EQ(0x20064, (uint32_t)saved(0x0fc));
	EXPECT_EQ(SEL_CODE64, (uint16_t)saved(0x010));
	EXPECT_EQ(before.gdt.base, saved(0x068));

	IN_PROGRAM(v);
	vcpu_regs(v, &r);
	EXPECT_EQ(was.rbx + 1, r.rbx);
	EXPECT_EQ(was.r15, r.r15);
	EXPECT_EQ(was.rip, r.rip);
	vcpu_sregs(v, &s);
	EXPECT_EQ(0, memcmp(&s.cs, &before.cs, sizeof(s.cs)));
	EXPECT_EQ(before.cr0, s.cr0);
	EXPECT_EQ(before.cr4, s.cr4);
	EXPECT_EQ(before.efer, s.efer);
	events(v, &ev);
	EXPECT_EQ(0, ev.smi.smm);
	if (!is_bochs())
		EXPECT_EQ(0, ev.nmi.masked);
}

TEST(two_address_spaces)
{
	static uint64_t bits[64];
	struct kvm_dirty_log log = { .slot = SLOT, .dirty_bitmap = bits };
	struct vcpu *v = SMM_VCPU(memory);
	struct kvm_translation tr = { .linear_address = 0x31000 };
	uint32_t value;

	*(uint32_t *)(v->vm->ram + 0x31000) = 0x11111111;
	*(uint32_t *)(smram + 0x1000) = 0x22222222;
	/* Numbers and places of one space do not meet those of the other. */
	EXPECT_EQ(-EEXIST, vm_set_slot(v->vm, 1u << 16, 0, SMBASE, 4096, smram));
	EXPECT_EQ(-EINVAL, vm_set_slot(v->vm, 2u << 16, 0, SMBASE, 4096, smram));
	ASSERT_EQ(0, vm_set_slot(v->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, SMBASE, SMRAM_SIZE, smram));
	IN_PROGRAM(v);
	ASSERT_EQ(0, smi(v));
	IN_SMM(v);
	memcpy(&value, vcpu_io_data(v), 4);
	EXPECT_EQ(0x22222222, value);
	ASSERT_EQ(0, xioctlp(v->fd, KVM_TRANSLATE, &tr));
	EXPECT_EQ(0x31000, tr.physical_address);
	IN_PROGRAM(v);
	EXPECT_EQ(0x11111111, *(uint32_t *)(v->vm->ram + 0x31000));
	EXPECT_EQ(0x600d, *(uint32_t *)(smram + 0x1000));
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_GET_DIRTY_LOG, &log));
	EXPECT_EQ(1ull << 1 | 1ull << 15, bits[0] & (1ull << 1 | 1ull << 15));
	/* Without its memory the handler's code is a read of nothing. */
	ASSERT_EQ(0, vm_set_slot(v->vm, SLOT, 0, SMBASE, 0, smram));
	IN_PROGRAM(v);
}

TEST(relocation)
{
	struct vcpu *v = SMM_VCPU(relocate);
	uint64_t value;

	memcpy(smram + 0x28000, guest_code(report), guest_size(report));
	ASSERT_EQ(1, vcpu_get_msr(v, MSR_SMBASE, &value));
	EXPECT_EQ(SMBASE, value);
	ASSERT_EQ(0, smi(v));
	IN_SMM(v);
	/* A second one waits for RSM, a third is lost. */
	ASSERT_EQ(0, smi(v));
	ASSERT_EQ(0, smi(v));
	IN_SMM(v);
	ASSERT_EQ(1, vcpu_get_msr(v, MSR_SMBASE, &value));
	EXPECT_EQ(SMBASE_NEW, value);
	EXPECT_EQ(0x8000, vcpu_rip(v) & ~3ull);
	memcpy(&value, smram + 0x20000 + AREA + 0x178, 8);
	EXPECT_EQ(VM_CODE, value);
	IN_PROGRAM(v);
	ASSERT_EQ(1, vcpu_set_msr(v, MSR_SMBASE, SMBASE));
	ASSERT_EQ(0, smi(v));
	IN_SMM(v);
	EXPECT_EQ(VM_CODE, saved(0x178) & ~0xfull);
	EXPECT_EQ(SMBASE_NEW, (uint32_t)saved(0x100));	/* its handler has begun */
}

GUEST(nmi, 64, "mov $0x4e, %al\n out %al, $0xf3\n hlt");
TEST(nmi_waits)
{
	struct vcpu *v = SMM_VCPU(report);

	vm_load_guest(v->vm, 0x20000, nmi);
	vm_set_gate(v->vm, 2, 0x20000, 14, 0, 0);
	ASSERT_EQ(0, smi(v));
	IN_SMM(v);
	ASSERT_EQ(0, xioctl(v->fd, KVM_NMI, 0));
	RUN_TO(v, KVM_EXIT_IO);
	EXPECT_EQ(0xf3, v->run->io.port);
	EXPECT_EQ(0, v->run->flags);
}

GUEST(rsm, 64, "rsm\n hlt");
GUEST(ud, 64, "mov $0x55, %al\n out %al, $0xf3\n hlt");
TEST(rsm_elsewhere)
{
	struct vcpu *v = LONG_VCPU(rsm);

	vm_load_guest(v->vm, 0x20000, ud);
	vm_set_gate(v->vm, 6, 0x20000, 14, 0, 0);
	RUN_TO(v, KVM_EXIT_IO);
	EXPECT_EQ(0xf3, v->run->io.port);
}

GUEST(ud_in_smm, 16, "mov $0, %ax\n mov %ax, %ss\n mov $0x7000, %sp\n lidtl %cs:0x9000\n ud2\n rsm");
GUEST(ud_handler, 16, "out %al, $0xf2\n pop %ax\n add $2, %ax\n push %ax\n iret");
TEST(other_invalid_opcodes)
{
	struct vcpu *v = SMM_VCPU(ud_in_smm);
	static const struct { uint16_t limit; uint32_t base; } __attribute__((packed)) idt = { 0x3ff, 0x31000 };
	static const uint16_t vector[2] = { 0x9100, 0x3000 };

	/* The stack is in space 1, too. */
	ASSERT_EQ(0, vm_set_slot(v->vm, 1u << 16, 0, 0, SMBASE, mmap(NULL, SMBASE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
	memcpy(smram + 0x9000, &idt, sizeof(idt));
	memcpy(smram + 0x1000 + 6 * 4, vector, sizeof(vector));
	memcpy(smram + 0x9100, guest_code(ud_handler), guest_size(ud_handler));
	ASSERT_EQ(0, smi(v));
	IN_SMM(v);
	IN_PROGRAM(v);
}

TEST(spoilt_state)
{
	struct vcpu *v = SMM_VCPU(spoil);

	ASSERT_EQ(0, smi(v));
	RUN_TO(v, KVM_EXIT_SHUTDOWN);
}

TEST(moved_to_another_vm)
{
	struct vcpu *v = SMM_VCPU(report), *w;
	uint8_t *memory = smram;
	struct kvm_vcpu_events ev;
	struct kvm_sregs s;
	struct kvm_regs r;

	IN_PROGRAM(v);
	ASSERT_EQ(0, smi(v));
	IN_SMM(v);
	events(v, &ev);
	vcpu_sregs(v, &s);
	vcpu_regs(v, &r);
	r.rip = 0x8002;
	w = SMM_VCPU(report);
	memcpy(smram, memory, SMRAM_SIZE);
	ASSERT_EQ(0, vcpu_set_sregs(w, &s));
	vcpu_set_regs(w, &r);
	ASSERT_EQ(0, xioctlp(w->fd, KVM_SET_VCPU_EVENTS, &ev));
	IN_PROGRAM(w);
}

static void nothing(int sig)
{
}

/* An SMI message to oneself, and one that interrupts HLT, to which RSM returns. */
GUEST(sends, 64, "mov $0xfee00300, %ebx\n movl $0, 0x10(%rbx)\n movl $0x4200, (%rbx)\n 1: out %al, $0xf1\n hlt\n jmp 1b");
TEST(local_apic)
{
	struct vcpu *v = smm_vcpu(1, guest_code(report), guest_size(report));
	struct itimerval soon = { .it_value.tv_usec = 300000 };
	struct sigaction sa = { .sa_handler = nothing };
	struct kvm_mp_state mp;

	if (!is_keel())
		SKIP(return, "the distribution's takes no such message, nor goes back to HLT");
	vm_load_guest(v->vm, VM_CODE, sends);
	IN_SMM(v);
	IN_PROGRAM(v);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	ASSERT_EQ(-EINTR, vcpu_run(v));
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_MP_STATE, &mp));
	EXPECT_EQ(KVM_MP_STATE_HALTED, mp.mp_state);
	ASSERT_EQ(0, smi(v));
	IN_SMM(v);
	setitimer(ITIMER_REAL, &soon, NULL);
	ASSERT_EQ(-EINTR, vcpu_run(v));
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_MP_STATE, &mp));
	EXPECT_EQ(KVM_MP_STATE_HALTED, mp.mp_state);
	EXPECT_EQ(0, v->run->flags);
}

TEST_HARNESS_MAIN
