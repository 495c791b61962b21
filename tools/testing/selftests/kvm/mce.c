// SPDX-License-Identifier: GPL-2.0-only
/* KVM_X86_SET_MCE: which reports are recorded, which reach the guest, and which end it. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"
#include "vm.h"

#define VAL	(1ull << 63)
#define OVER	(1ull << 62)
#define UC	(1ull << 61)
#define MCIP	4
#define CR4_MCE	0x40
#define HANDLER	0x20000u

#define MCG_STATUS	0x17au
#define MC_CTL(n)	(0x400u + 4 * (n))
#define MC_STATUS(n)	(0x401u + 4 * (n))
#define MC_ADDR(n)	(0x402u + 4 * (n))
#define MC_MISC(n)	(0x403u + 4 * (n))

GUEST(halt, 64, "nop\n hlt\n hlt\n hlt");
GUEST(handler, 64, "out %al, $0xf1\n hlt");

static struct vcpu *mce_vcpu(int enabled)
{
	struct vcpu *v = LONG_VCPU(halt);
	uint64_t cap = 10 | 1 << 8 | 1 << 24;
	struct kvm_sregs s;

	vm_load_guest(v->vm, HANDLER, handler);
	vm_set_gate(v->vm, 18, HANDLER, 14, 0, 0);
	if (xioctlp(v->fd, KVM_X86_SETUP_MCE, &cap))
		die("KVM_X86_SETUP_MCE");
	vcpu_sregs(v, &s);
	s.cr4 |= enabled ? CR4_MCE : 0;
	if (vcpu_set_sregs(v, &s))
		die("CR4.MCE");
	return v;
}

static int report(struct vcpu *v, uint8_t bank, uint64_t status)
{
	struct kvm_x86_mce m = {
		.bank = bank, .status = status, .addr = 0x1234000 + bank, .misc = 0x8c, .mcg_status = MCIP | 1,
	};

	return xioctlp(v->fd, KVM_X86_SET_MCE, &m);
}

static uint64_t msr(struct vcpu *v, uint32_t index)
{
	uint64_t value;

	if (vcpu_get_msr(v, index, &value) != 1)
		die("MSR %#x", index);
	return value;
}

TEST(corrected)
{
	struct vcpu *v = mce_vcpu(1);

	EXPECT_EQ(-EINVAL, report(v, 10, VAL));
	EXPECT_EQ(-EINVAL, report(v, 1, 0));
	ASSERT_EQ(0, report(v, 2, VAL | 0x11));
	EXPECT_EQ(VAL | 0x11, msr(v, MC_STATUS(2)));
	EXPECT_EQ(0x1234002, msr(v, MC_ADDR(2)));
	EXPECT_EQ(0x8c, msr(v, MC_MISC(2)));
	EXPECT_EQ(0, msr(v, MC_STATUS(1)));
	ASSERT_EQ(0, report(v, 2, VAL | 0x12));
	EXPECT_EQ(VAL | OVER | 0x12, msr(v, MC_STATUS(2)));
	EXPECT_EQ(0, msr(v, MCG_STATUS));
	/* The guest has not heard of it. */
	RUN_TO(v, KVM_EXIT_HLT);
}

TEST(uncorrected)
{
	struct vcpu *v = mce_vcpu(1);

	ASSERT_EQ(0, report(v, 3, VAL | UC | 0x21));
	EXPECT_EQ(VAL | UC | 0x21, msr(v, MC_STATUS(3)));
	EXPECT_EQ(MCIP | 1, msr(v, MCG_STATUS));
	RUN_TO(v, KVM_EXIT_IO);
	/* One that was corrected does not take its place. */
	ASSERT_EQ(0, report(v, 3, VAL | 0x22));
	EXPECT_EQ(VAL | UC | OVER | 0x21, msr(v, MC_STATUS(3)));
	/* A second one, while the guest works on the first, is its end. */
	ASSERT_EQ(0, report(v, 4, VAL | UC | 0x23));
	RUN_TO(v, KVM_EXIT_SHUTDOWN);
}

TEST(unprepared)
{
	struct vcpu *v = mce_vcpu(0);

	ASSERT_EQ(0, report(v, 0, VAL | UC));
	RUN_TO(v, KVM_EXIT_SHUTDOWN);
}

TEST(switched_off)
{
	struct vcpu *v = mce_vcpu(1);

	ASSERT_EQ(1, vcpu_set_msr(v, MC_CTL(1), 0));
	ASSERT_EQ(0, report(v, 1, VAL | UC));
	EXPECT_EQ(0, msr(v, MC_STATUS(1)));
	RUN_TO(v, KVM_EXIT_HLT);
}

TEST_HARNESS_MAIN
