// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_X86_SET_MSR_FILTER and KVM_CAP_X86_USER_SPACE_MSR. A long-mode guest executes the RDMSR or WRMSR it is told
 * to and says whether that worked.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "vm.h"

#define FS_BASE		0xc0000100u
#define GS_BASE		0xc0000101u
#define STAR		0xc0000081u
#define APIC_BASE	0x1bu
#define UNKNOWN		0x12345678u

#define BOTH	(KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE)

#define HANDLER	0x20000u
#define PORT_GP	0xf2

/* RBX says which. #GP steps over either, they are two bytes long. */
GUEST(op, 64, "test %ebx, %ebx\n jnz 1f\n rdmsr\n jmp 2f\n 1: wrmsr\n 2: out %al, $0xf1\n hlt");
GUEST(gp, 64, "add $8, %rsp\n movq $0x10100, (%rsp)\n iretq");
GUEST(failed, 64, "out %al, $0xf2\n hlt");

static struct vcpu *op_vcpu(void)
{
	struct vcpu *v = LONG_VCPU(op);

	vm_load_guest(v->vm, HANDLER, gp);
	vm_load_guest(v->vm, VM_CODE + 0x100, failed);
	vm_set_gate(v->vm, 13, HANDLER, 14, 0, 0);
	return v;
}

static void start(struct vcpu *v, int write, uint32_t index, uint64_t value)
{
	struct kvm_regs r = {
		.rip = VM_CODE, .rsp = VM_STACK_TOP, .rflags = 2, .rbx = write, .rcx = index,
		.rax = 0xffffffff00000000 | (uint32_t)value, .rdx = 0xffffffff00000000 | value >> 32,
	};

	vcpu_set_regs(v, &r);
}

/* To the end of the access: 0, or 1 for #GP; negative when it is an exit to serve. */
static int finish(struct vcpu *v, uint64_t *value)
{
	struct kvm_regs r;

	if (vcpu_run(v) || v->run->exit_reason != KVM_EXIT_IO)
		return -1;
	vcpu_regs(v, &r);
	if (value)
		*value = r.rdx << 32 | r.rax;
	return v->run->io.port == PORT_GP;
}

static int reads(struct vcpu *v, uint32_t index)
{
	start(v, 0, index, 0);
	return finish(v, NULL);
}

static int writes(struct vcpu *v, uint32_t index, uint64_t value)
{
	start(v, 1, index, value);
	return finish(v, NULL);
}

static int set_filter(struct vcpu *v, struct kvm_msr_filter *f)
{
	return xioctlp(v->vm->fd, KVM_X86_SET_MSR_FILTER, f);
}

static int user_space_msr(struct vcpu *v, uint64_t reasons)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_USER_SPACE_MSR, .args = { reasons } };

	return xioctlp(v->vm->fd, KVM_ENABLE_CAP, &cap);
}

TEST(refused)
{
	static uint8_t bits[0x700];
	struct vcpu *v = op_vcpu();
	struct kvm_msr_filter f = { .flags = KVM_MSR_FILTER_DEFAULT_DENY };

	ASSERT_EQ(1, has_cap(v->vm->fd, KVM_CAP_X86_MSR_FILTER));
	ASSERT_NE(0, has_cap(v->vm->fd, KVM_CAP_X86_USER_SPACE_MSR));
	EXPECT_EQ(-EINVAL, set_filter(v, &f));		/* denies everything and filters nothing */
	f.flags = 2;
	EXPECT_EQ(-EINVAL, set_filter(v, &f));
	f.flags = 0;
	EXPECT_EQ(0, set_filter(v, &f));
	f.ranges[3] = (struct kvm_msr_filter_range){ .flags = 4, .nmsrs = 1, .base = STAR, .bitmap = bits };
	EXPECT_EQ(-EINVAL, set_filter(v, &f));
	f.ranges[3].flags = BOTH;
	f.ranges[3].nmsrs = 0x600 * 8 + 1;
	EXPECT_EQ(-EINVAL, set_filter(v, &f));
	f.ranges[3].nmsrs = 0x600 * 8;
	EXPECT_EQ(0, set_filter(v, &f));
	f.ranges[3].bitmap = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT_EQ(-EFAULT, set_filter(v, &f));
	/* The last good one is still there. */
	EXPECT_EQ(1, reads(v, STAR));
	EXPECT_EQ(-EINVAL, user_space_msr(v, 8));
}

TEST(denied)
{
	uint64_t none = 0, value;
	struct vcpu *v = op_vcpu();
	struct kvm_msr_filter f = {
		.ranges = {
			[2] = { KVM_MSR_FILTER_READ, 1, FS_BASE, (void *)&none },
			[5] = { KVM_MSR_FILTER_WRITE, 1, APIC_BASE, (void *)&none },
			[9] = { BOTH, 1, STAR, (void *)&none },
		},
	};

	ASSERT_EQ(0, writes(v, FS_BASE, 0x1111));
	ASSERT_EQ(0, reads(v, FS_BASE));
	ASSERT_EQ(0, set_filter(v, &f));
	/* Also of registers that otherwise need no exit. */
	EXPECT_EQ(1, reads(v, FS_BASE));
	EXPECT_EQ(0, writes(v, FS_BASE, 0x2222));
	EXPECT_EQ(0, reads(v, GS_BASE));
	EXPECT_EQ(0, reads(v, APIC_BASE));
	EXPECT_EQ(1, writes(v, APIC_BASE, 0xfee00900));
	EXPECT_EQ(1, reads(v, STAR));
	EXPECT_EQ(1, writes(v, STAR, 1));
	/* The guest is filtered, user space is not. */
	EXPECT_EQ(1, vcpu_get_msr(v, FS_BASE, &value));
	EXPECT_EQ(0x2222, value);
	EXPECT_EQ(1, vcpu_set_msr(v, STAR, 5));
	/* A vCPU that comes later is, too. */
	{
		struct vcpu *w = vm_vcpu(v->vm, 1);

		vcpu_long(w, VM_CODE);
		EXPECT_EQ(1, reads(w, FS_BASE));
	}
	memset(&f, 0, sizeof(f));
	ASSERT_EQ(0, set_filter(v, &f));
	EXPECT_EQ(0, reads(v, FS_BASE));
	EXPECT_EQ(0, reads(v, STAR));
}

TEST(denied_by_default)
{
	uint64_t fs_gs = 3, gs = 2, all[2] = { ~0ull, ~0ull };
	struct vcpu *v = op_vcpu();
	struct kvm_msr_filter f = {
		.flags = KVM_MSR_FILTER_DEFAULT_DENY,
		.ranges = {
			/* The first range that is about the access decides. */
			[0] = { KVM_MSR_FILTER_READ, 2, FS_BASE, (void *)&gs },
			[1] = { BOTH, 2, FS_BASE, (void *)&fs_gs },
			[2] = { BOTH, 65, 0x10000000, (void *)all },
		},
	};

	ASSERT_EQ(0, set_filter(v, &f));
	EXPECT_EQ(1, reads(v, FS_BASE));
	EXPECT_EQ(0, reads(v, GS_BASE));
	EXPECT_EQ(0, writes(v, FS_BASE, 1));
	EXPECT_EQ(1, reads(v, STAR));
	EXPECT_EQ(1, reads(v, APIC_BASE));
	EXPECT_EQ(1, writes(v, APIC_BASE, 0xfee00900));
}

/* Checks the exit, and has user space's answer taken. */
#define SERVED(v, why, nr, kind) do {						\
	RUN_TO(v, kind);							\
	EXPECT_EQ((why), (v)->run->msr.reason);					\
	EXPECT_EQ((nr), (v)->run->msr.index);					\
	EXPECT_EQ(0, (v)->run->msr.error);					\
} while (0)

TEST(served_by_user_space)
{
	uint64_t none = 0, value = 0;
	struct vcpu *v = op_vcpu();
	struct kvm_msr_filter f = { .ranges = { { BOTH, 2, FS_BASE, (void *)&none } } };
	struct kvm_regs r;

	ASSERT_EQ(0, set_filter(v, &f));
	ASSERT_EQ(0, user_space_msr(v, KVM_MSR_EXIT_REASON_FILTER));
	start(v, 0, FS_BASE, 0);
	SERVED(v, KVM_MSR_EXIT_REASON_FILTER, FS_BASE, KVM_EXIT_X86_RDMSR);
	EXPECT_EQ(VM_CODE + 4, vcpu_rip(v));
	v->run->msr.data = 0x123456789abcdef0;
	EXPECT_EQ(0, finish(v, &value));
	EXPECT_EQ(0x123456789abcdef0, value);
	vcpu_regs(v, &r);
	EXPECT_EQ(0x9abcdef0, r.rax);
	EXPECT_EQ(0x12345678, r.rdx);

	start(v, 0, GS_BASE, 0);
	SERVED(v, KVM_MSR_EXIT_REASON_FILTER, GS_BASE, KVM_EXIT_X86_RDMSR);
	v->run->msr.error = 1;
	EXPECT_EQ(1, finish(v, NULL));

	start(v, 1, FS_BASE, 0xfedcba9876543210);
	SERVED(v, KVM_MSR_EXIT_REASON_FILTER, FS_BASE, KVM_EXIT_X86_WRMSR);
	EXPECT_EQ(0xfedcba9876543210, v->run->msr.data);
	EXPECT_EQ(0, finish(v, NULL));
	start(v, 1, FS_BASE, 1);
	SERVED(v, KVM_MSR_EXIT_REASON_FILTER, FS_BASE, KVM_EXIT_X86_WRMSR);
	v->run->msr.error = 1;
	EXPECT_EQ(1, finish(v, NULL));

	/* The answer to a vCPU that was moved is dropped; the distribution's takes it all the same. */
	if (is_keel()) {
		start(v, 0, FS_BASE, 0);
		SERVED(v, KVM_MSR_EXIT_REASON_FILTER, FS_BASE, KVM_EXIT_X86_RDMSR);
		v->run->msr.error = 1;
		start(v, 0, APIC_BASE, 0);
		EXPECT_EQ(0, finish(v, NULL));
	}

	/* Of the others user space hears only when it asks. */
	EXPECT_EQ(1, reads(v, UNKNOWN));
	EXPECT_EQ(1, writes(v, APIC_BASE, ~0ull));
	ASSERT_EQ(0, user_space_msr(v, KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_INVAL));
	EXPECT_EQ(1, reads(v, FS_BASE));
	start(v, 0, UNKNOWN, 0);
	SERVED(v, KVM_MSR_EXIT_REASON_UNKNOWN, UNKNOWN, KVM_EXIT_X86_RDMSR);
	v->run->msr.data = 7;
	EXPECT_EQ(0, finish(v, &value));
	EXPECT_EQ(7, value);
	start(v, 1, UNKNOWN, 9);
	SERVED(v, KVM_MSR_EXIT_REASON_UNKNOWN, UNKNOWN, KVM_EXIT_X86_WRMSR);
	EXPECT_EQ(9, v->run->msr.data);
	EXPECT_EQ(0, finish(v, NULL));
	start(v, 1, APIC_BASE, ~0ull);
	SERVED(v, KVM_MSR_EXIT_REASON_INVAL, APIC_BASE, KVM_EXIT_X86_WRMSR);
	EXPECT_EQ(0, finish(v, NULL));
	ASSERT_EQ(0, user_space_msr(v, 0));
	EXPECT_EQ(1, reads(v, UNKNOWN));
}

TEST_HARNESS_MAIN
