// SPDX-License-Identifier: GPL-2.0-only
/*
 * Quirks that user space may switch off (KVM_CAP_DISABLE_QUIRKS2): both ways of each that is offered.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "vm.h"

#define MISC_ENABLE 0x1a0
#define MISC_ENABLE_MWAIT (1ull << 18)
#define UD_HANDLER 0x50000u

#define MWAIT_QUIRKS (KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT | KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS)

static int quirks_off(struct vm *vm, uint64_t quirks)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DISABLE_QUIRKS2, .args = { quirks } };

	return xioctlp(vm->fd, KVM_ENABLE_CAP, &cap);
}

TEST(offered)
{
	struct vm *vm = vm_new(0);
	int quirks = has_cap(vm->fd, KVM_CAP_DISABLE_QUIRKS2);

	EXPECT_EQ(MWAIT_QUIRKS, quirks & MWAIT_QUIRKS);
	EXPECT_EQ(0, quirks_off(vm, quirks));
	EXPECT_EQ(0, quirks_off(vm, 0));
	EXPECT_EQ(-EINVAL, quirks_off(vm, 1ull << 31));
}

/* Report the MWAIT bit of CPUID, over and over. */
GUEST(report_mwait, 64, "1: mov $1, %eax\n cpuid\n mov %ecx, %eax\n shr $3, %eax\n and $1, %eax\n"
			"out %al, $0xf1\n jmp 1b");

TEST(mwait_follows_misc_enable)
{
	struct vcpu *v = LONG_VCPU(report_mwait);
	uint32_t seen;

	ASSERT_EQ(0, quirks_off(v->vm, KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT));
	ASSERT_EQ(1, vcpu_set_msr(v, MISC_ENABLE, MISC_ENABLE_MWAIT));
	RUN_TO_REPORT(v, seen);
	EXPECT_EQ(1, seen);
	ASSERT_EQ(1, vcpu_set_msr(v, MISC_ENABLE, 0));
	RUN_TO_REPORT(v, seen);
	EXPECT_EQ(0, seen);
	ASSERT_EQ(0, quirks_off(v->vm, 0));
	ASSERT_EQ(1, vcpu_set_msr(v, MISC_ENABLE, MISC_ENABLE_MWAIT));
	RUN_TO_REPORT(v, seen);
	EXPECT_EQ(0, seen);
}

/* BL counts the instructions that were stepped over. */
GUEST(monitor_mwait, 64, "xor %ebx, %ebx\n lea 0x40000, %rax\n xor %ecx, %ecx\n xor %edx, %edx\n"
			 "monitor\n inc %ebx\n xor %eax, %eax\n mwait\n inc %ebx\n"
			 "mov %ebx, %eax\n out %al, $0xf1\n");
GUEST(report_ud, 64, "mov $0xff, %al\n out %al, $0xf1");

static struct vcpu *mwait_vcpu(void)
{
	struct vcpu *v = LONG_VCPU(monitor_mwait);

	vm_load_guest(v->vm, UD_HANDLER, report_ud);
	vm_set_gate(v->vm, 6, UD_HANDLER, 14, 0, 0);
	return v;
}

TEST(mwait_does_nothing)
{
	struct vcpu *v = mwait_vcpu();
	uint32_t steps;

	RUN_TO_REPORT(v, steps);
	EXPECT_EQ(2, steps);
}

TEST(mwait_needs_cpuid)
{
	struct vcpu *v = mwait_vcpu();
	uint32_t steps;

	ASSERT_EQ(0, quirks_off(v->vm, KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS));
	RUN_TO_REPORT(v, steps);
	EXPECT_EQ(0xff, steps);

	v = mwait_vcpu();
	ASSERT_EQ(0, quirks_off(v->vm, MWAIT_QUIRKS));
	ASSERT_EQ(1, vcpu_set_msr(v, MISC_ENABLE, MISC_ENABLE_MWAIT));
	RUN_TO_REPORT(v, steps);
	EXPECT_EQ(2, steps);
}

TEST_HARNESS_MAIN
