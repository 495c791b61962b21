// SPDX-License-Identifier: GPL-2.0-only
/*
 * User space works on a vCPU between an exit and the next KVM_RUN, or before it has told the CPU's
 * model: what it set counts, and an instruction that waits for an answer is finished all the same.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "vm.h"

#define CR4_FSGSBASE (1ull << 16)

GUEST(in_then_halt, 64, "in $0x40, %al\n hlt\n nop\n hlt");

/* The exit that is being completed stays visible through a run that enters no guest. */
TEST(immediate_exit_keeps_reason)
{
	struct vcpu *v = LONG_VCPU(in_then_halt);

	RUN_TO(v, KVM_EXIT_IO);
	v->run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, vcpu_run(v));
	EXPECT_EQ(KVM_EXIT_IO, v->run->exit_reason);
	EXPECT_EQ(-EINTR, vcpu_run(v));
	EXPECT_EQ(KVM_EXIT_IO, v->run->exit_reason);
}

TEST(set_regs_while_in_waits)
{
	struct vcpu *v = LONG_VCPU(in_then_halt);
	struct kvm_regs r;

	RUN_TO(v, KVM_EXIT_IO);
	*(uint8_t *)vcpu_io_data(v) = 0x5a;
	vcpu_regs(v, &r);
	r.rax = 0x1100;
	r.rbx = 77;
	vcpu_set_regs(v, &r);
	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_regs(v, &r);
	EXPECT_EQ(VM_CODE + 3, r.rip);
	EXPECT_EQ(0x115a, r.rax);
	EXPECT_EQ(77, r.rbx);
}

/* Moved elsewhere, the vCPU has no use for the answer. */
TEST(set_rip_while_in_waits)
{
	struct vcpu *v = LONG_VCPU(in_then_halt);
	struct kvm_regs r;

	RUN_TO(v, KVM_EXIT_IO);
	*(uint8_t *)vcpu_io_data(v) = 0x5a;
	vcpu_regs(v, &r);
	r.rax = 0;
	r.rip = VM_CODE + 3;
	vcpu_set_regs(v, &r);
	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_regs(v, &r);
	EXPECT_EQ(VM_CODE + 5, r.rip);
	EXPECT_EQ(0, r.rax);
}

GUEST(rep_insb, 64, "mov $0x40000, %edi\n mov $8, %ecx\n mov $0x80, %dx\n cld\n rep insb\n hlt");

TEST(fewer_iterations_while_ins_waits)
{
	struct vcpu *v = LONG_VCPU(rep_insb);
	struct kvm_regs r;

	RUN_TO(v, KVM_EXIT_IO);
	ASSERT_EQ(8, v->run->io.count);
	memset(vcpu_io_data(v), 0xaa, 8);
	vcpu_regs(v, &r);
	r.rcx = 3;
	vcpu_set_regs(v, &r);
	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_regs(v, &r);
	EXPECT_EQ(0, r.rcx);
	EXPECT_EQ(VM_DATA + 3, r.rdi);
	EXPECT_EQ(0, memcmp(v->vm->ram + VM_DATA, "\xaa\xaa\xaa\0\0\0\0", 8));
}

TEST(more_iterations_while_ins_waits)
{
	struct vcpu *v = LONG_VCPU(rep_insb);
	struct kvm_regs r;

	RUN_TO(v, KVM_EXIT_IO);
	vcpu_regs(v, &r);
	r.rcx = 10000;
	vcpu_set_regs(v, &r);
	do {
		memset(vcpu_io_data(v), 0xbb, 4096);
		ASSERT_EQ(0, vcpu_run(v));
	} while (v->run->exit_reason == KVM_EXIT_IO);
	EXPECT_EQ(KVM_EXIT_HLT, v->run->exit_reason);
	vcpu_regs(v, &r);
	EXPECT_EQ(0, r.rcx);
	EXPECT_EQ(VM_DATA + 10000, r.rdi);
	EXPECT_EQ(0xbb, v->vm->ram[VM_DATA + 9999]);
	EXPECT_EQ(0, v->vm->ram[VM_DATA + 10000]);
}

GUEST(mmio_store, 64, "mov $0xd0000000, %eax\n mov %ecx, (%rax)\n hlt");

TEST(set_regs_while_mmio_waits)
{
	struct vcpu *v = LONG_VCPU(mmio_store);
	struct kvm_regs r;

	RUN_TO(v, KVM_EXIT_MMIO);
	vcpu_regs(v, &r);
	r.rbx = 123;
	vcpu_set_regs(v, &r);
	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_regs(v, &r);
	EXPECT_EQ(123, r.rbx);
}

/* Until KVM_SET_CPUID2 CR4 may hold whatever is offered; then what the guest's CPUID has. */
TEST(cr4_before_cpuid)
{
	struct vm *vm = vm_new(VM_RAM_SIZE);
	struct kvm_cpuid2 *offered = supported_cpuid(vm->sys), none = { .nent = 0 };
	const struct kvm_cpuid_entry2 *leaf = cpuid_find(offered, 7, 0);
	struct kvm_sregs s;
	int fd;

	if (!leaf || !(leaf->ebx & 1))
		SKIP(return, "no FSGSBASE");
	fd = xioctl(vm->fd, KVM_CREATE_VCPU, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, xioctlp(fd, KVM_GET_SREGS, &s));
	s.cr4 |= CR4_FSGSBASE;
	EXPECT_EQ(0, xioctlp(fd, KVM_SET_SREGS, &s));
	s.cr4 |= 1ull << 13;		/* VMXE, never offered */
	EXPECT_EQ(-EINVAL, xioctlp(fd, KVM_SET_SREGS, &s));
	s.cr4 = 0;
	ASSERT_EQ(0, xioctlp(fd, KVM_SET_SREGS, &s));
	ASSERT_EQ(0, xioctlp(fd, KVM_SET_CPUID2, &none));
	s.cr4 = CR4_FSGSBASE;
	EXPECT_EQ(-EINVAL, xioctlp(fd, KVM_SET_SREGS, &s));
}

TEST(max_vcpu_id)
{
	struct vm *vm = vm_new(0);
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MAX_VCPU_ID };
	int most = has_cap(vm->fd, KVM_CAP_MAX_VCPU_ID);

	cap.args[0] = most + 1;
	EXPECT_EQ(-EINVAL, xioctlp(vm->fd, KVM_ENABLE_CAP, &cap));
	cap.args[0] = 3;
	ASSERT_EQ(0, xioctlp(vm->fd, KVM_ENABLE_CAP, &cap));
	cap.args[0] = 4;
	EXPECT_EQ(-EINVAL, xioctlp(vm->fd, KVM_ENABLE_CAP, &cap));
	EXPECT_EQ(-EINVAL, xioctl(vm->fd, KVM_CREATE_VCPU, 3));
	EXPECT_LE(0, xioctl(vm->fd, KVM_CREATE_VCPU, 2));
	vm = vm_new(0);
	ASSERT_LE(0, xioctl(vm->fd, KVM_CREATE_VCPU, 0));
	EXPECT_EQ(-EINVAL, xioctlp(vm->fd, KVM_ENABLE_CAP, &cap));
}

TEST_HARNESS_MAIN
