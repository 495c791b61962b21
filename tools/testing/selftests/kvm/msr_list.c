// SPDX-License-Identifier: GPL-2.0-only
/*
 * A listed MSR is a promise: it can be read, and what was read can be written back. Clients abort
 * on the first one that breaks it. Also: what the VMMs write at reset, list or no list.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"
#include "vm.h"

static struct kvm_msr_list *msr_list(int sys, unsigned long cmd)
{
	struct kvm_msr_list *l = calloc(1, sizeof(*l) + 4096 * sizeof(l->indices[0]));

	l->nmsrs = 4096;
	if (xioctlp(sys, cmd, l))
		die("the MSR list cannot be read");
	return l;
}

/* KVM's async-page-fault vector: refused by 6.1 while the VM has no in-kernel APIC to deliver it. */
#define NEEDS_APIC(msr) ((msr) == 0x4b564d06)

TEST(listed_msrs_round_trip)
{
	struct vcpu *v = vm_simple();
	struct kvm_msr_list *l = msr_list(v->vm->sys, KVM_GET_MSR_INDEX_LIST);
	uint64_t value;
	uint32_t i, k;

	EXPECT_LT(10, l->nmsrs);
	for (i = 0; i < l->nmsrs; i++) {
		EXPECT_EQ(1, vcpu_get_msr(v, l->indices[i], &value))
			TH_LOG("MSR %#x is listed and cannot be read", l->indices[i]);
		EXPECT_LE(NEEDS_APIC(l->indices[i]) ? 0 : 1, vcpu_set_msr(v, l->indices[i], value))
			TH_LOG("MSR %#x: its own value %#lx is refused", l->indices[i], (long)value);
		for (k = 0; k < i; k++)
			EXPECT_NE(l->indices[k], l->indices[i]);
	}
}

/* All in one call, as a VMM saves and restores. */
TEST(all_at_once)
{
	struct vcpu *v = vm_simple();
	struct kvm_msr_list *l = msr_list(v->vm->sys, KVM_GET_MSR_INDEX_LIST);
	struct kvm_msrs *m = calloc(1, sizeof(*m) + 256 * sizeof(m->entries[0]));
	uint32_t i, k = 0;
	int n;

	ASSERT_GT(257, l->nmsrs);
	for (i = 0; i < l->nmsrs; i++)
		if (!NEEDS_APIC(l->indices[i]))
			m->entries[k++].index = l->indices[i];
	m->nmsrs = k;
	n = xioctlp(v->fd, KVM_GET_MSRS, m);
	EXPECT_EQ(k, n)
		TH_LOG("stopped at MSR %#x", m->entries[n < 0 ? 0 : n].index);
	n = xioctlp(v->fd, KVM_SET_MSRS, m);
	EXPECT_EQ(k, n)
		TH_LOG("stopped at MSR %#x", m->entries[n < 0 ? 0 : n].index);
}

TEST(values_are_kept)
{
	static const struct { uint32_t index; uint64_t value; } msrs[] = {
		{ 0x174, 0x10 }, { 0x175, 0x80001000 }, { 0x176, 0x81000000 },
		{ 0x277, 0x0007040600010406 }, { 0xc0000081, 0x0023001000000000 },
		{ 0xc0000082, 0xffffffff81800000 }, { 0xc0000083, 0xffffffff81800800 },
		{ 0xc0000084, 0x47700 }, { 0xc0000100, 0x7f0000001000 },
		{ 0xc0000101, 0xffff888000002000 }, { 0xc0000102, 0x7f0000002000 },
		{ 0x2ff, 0xc06 }, { 0x250, 0x0606060606060606 }, { 0x268, 0x0505050505050505 },
		{ 0x200, 0x80000006 }, { 0x201, 0xf80000800 }, { 0x20e, 0xc0000000 },
	};
	struct vcpu *v = vm_simple();
	uint64_t value;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(msrs); i++)
		EXPECT_EQ(1, vcpu_set_msr(v, msrs[i].index, msrs[i].value))
			TH_LOG("MSR %#x", msrs[i].index);
	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		EXPECT_EQ(1, vcpu_get_msr(v, msrs[i].index, &value));
		EXPECT_EQ(msrs[i].value, value)
			TH_LOG("MSR %#x", msrs[i].index);
	}
}

TEST(written_at_reset_by_vmms)
{
	static const uint32_t zero[] = {
		0x10, 0x174, 0x175, 0x176, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000102,
		0x2ff, 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f,
		0x200, 0x201, 0x202, 0x203, 0x204, 0x205, 0x206, 0x207, 0x208, 0x209, 0x20a, 0x20b,
		0x20c, 0x20d, 0x20e, 0x20f, 0x17a,
	};
	struct vcpu *v = vm_simple();
	uint64_t mce = 1ull << 24 | 1ull << 8 | 10;
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(zero); i++)
		EXPECT_EQ(1, vcpu_set_msr(v, zero[i], 0))
			TH_LOG("MSR %#x", zero[i]);
	EXPECT_EQ(1, vcpu_set_msr(v, 0x277, 0x0007040600070406));
	EXPECT_EQ(1, vcpu_set_msr(v, 0x1b, 0xfee00900));
	EXPECT_EQ(1, vcpu_set_msr(v, 0x1a0, 1));
	ASSERT_EQ(0, xioctlp(v->fd, KVM_X86_SETUP_MCE, &mce));
	EXPECT_EQ(1, vcpu_set_msr(v, 0x17b, ~0ull));
	for (i = 0x400; i < 0x400 + 4 * 10; i++)
		EXPECT_EQ(1, vcpu_set_msr(v, i, i % 4 ? 0 : ~0ull))
			TH_LOG("MSR %#x", i);
	/* the bank behind the last */
	EXPECT_EQ(0, vcpu_set_msr(v, 0x400 + 4 * 10, 0));
}

TEST(unknown_msrs)
{
	static const uint32_t unknown[] = { 0x12345678, 0x6fffffff, 0xc0019999, 0xffffffff, 0x40000fff };
	struct vcpu *v = vm_simple();
	uint64_t value;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(unknown); i++) {
		EXPECT_EQ(0, vcpu_get_msr(v, unknown[i], &value))
			TH_LOG("MSR %#x", unknown[i]);
		EXPECT_EQ(0, vcpu_set_msr(v, unknown[i], 0))
			TH_LOG("MSR %#x", unknown[i]);
	}
}

TEST(feature_msrs)
{
	int sys = kvm_open();
	struct { struct kvm_msrs head; struct kvm_msr_entry e; } m;
	struct kvm_msr_list *l;
	uint32_t i;

	if (has_cap(sys, KVM_CAP_GET_MSR_FEATURES) <= 0)
		SKIP(return, "no KVM_CAP_GET_MSR_FEATURES");
	l = msr_list(sys, KVM_GET_MSR_FEATURE_INDEX_LIST);
	EXPECT_LT(0, l->nmsrs);
	for (i = 0; i < l->nmsrs; i++) {
		memset(&m, 0, sizeof(m));
		m.head.nmsrs = 1;
		m.e.index = l->indices[i];
		EXPECT_EQ(1, xioctlp(sys, KVM_GET_MSRS, &m))
			TH_LOG("feature MSR %#x", l->indices[i]);
	}
	memset(&m, 0, sizeof(m));
	m.head.nmsrs = 1;
	m.e.index = 0x12345678;
	EXPECT_EQ(0, xioctlp(sys, KVM_GET_MSRS, &m));
}

GUEST(guest_msrs, 64,
	"mov $0xc0000082, %ecx\n mov $0x1000, %eax\n mov $0xffff8000, %edx\n wrmsr\n"
	"xor %eax, %eax\n xor %edx, %edx\n rdmsr\n mov %eax, %r8d\n mov %edx, %r9d\n"
	"mov $0x277, %ecx\n rdmsr\n mov %eax, %r10d\n mov %edx, %r11d\n"
	"mov $0xc0000101, %ecx\n rdmsr\n mov %eax, %r12d\n"
	"mov $0xc0000102, %ecx\n mov $0x5000, %eax\n xor %edx, %edx\n wrmsr\n swapgs\n"
	"mov $0xc0000101, %ecx\n rdmsr\n mov %eax, %r13d\n hlt");

TEST(guest_and_user_space_agree)
{
	struct vcpu *v = LONG_VCPU(guest_msrs);
	struct kvm_sregs s;
	struct kvm_regs r;
	uint64_t value;

	ASSERT_EQ(1, vcpu_set_msr(v, 0x277, 0x0007040600010406));
	vcpu_sregs(v, &s);
	s.gs.base = 0x3000;
	ASSERT_EQ(0, vcpu_set_sregs(v, &s));
	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_regs(v, &r);
	EXPECT_EQ(0x1000, r.r8);
	EXPECT_EQ(0xffff8000, r.r9);
	EXPECT_EQ(0x00010406, r.r10);
	EXPECT_EQ(0x00070406, r.r11);
	EXPECT_EQ(0x3000, r.r12);
	EXPECT_EQ(0x5000, r.r13);
	ASSERT_EQ(1, vcpu_get_msr(v, 0xc0000082, &value));
	EXPECT_EQ(0xffff800000001000, value);
	ASSERT_EQ(1, vcpu_get_msr(v, 0xc0000102, &value));
	EXPECT_EQ(0x3000, value);
	vcpu_sregs(v, &s);
	EXPECT_EQ(0x5000, s.gs.base);
}

/* The offset is what the guest's TSC is ahead of the host's, told and set without a race against time. */
GUEST(tsc, 64, "1: rdtsc\n shl $32, %rdx\n or %rdx, %rax\n hlt\n jmp 1b");

static uint64_t host_tsc(void)
{
	uint32_t low, high;

	asm volatile("lfence\n rdtsc" : "=a"(low), "=d"(high) :: "memory");
	return (uint64_t)high << 32 | low;
}

TEST(tsc_offset_attribute)
{
	static const uint64_t offsets[] = { 0, 1ull << 40, -(1ull << 39) };
	struct vcpu *v = LONG_VCPU(tsc), *other = vm_vcpu(v->vm, 1);
	uint64_t value = 0, before, after;
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)&value };
	struct kvm_regs r;
	size_t i;

	ASSERT_EQ(1, has_cap(v->vm->sys, KVM_CAP_VCPU_ATTRIBUTES));
	ASSERT_EQ(0, xioctlp(v->fd, KVM_HAS_DEVICE_ATTR, &attr));
	attr.attr = 1;
	EXPECT_EQ(-ENXIO, xioctlp(v->fd, KVM_HAS_DEVICE_ATTR, &attr));
	EXPECT_EQ(-ENXIO, xioctlp(v->fd, KVM_GET_DEVICE_ATTR, &attr));
	EXPECT_EQ(-ENXIO, xioctlp(v->fd, KVM_SET_DEVICE_ATTR, &attr));
	attr.attr = KVM_VCPU_TSC_OFFSET;
	attr.group = 77;
	EXPECT_EQ(-ENXIO, xioctlp(v->fd, KVM_HAS_DEVICE_ATTR, &attr));
	attr.group = KVM_VCPU_TSC_CTRL;
	attr.addr = 0x1000;
	EXPECT_EQ(-EFAULT, xioctlp(v->fd, KVM_GET_DEVICE_ATTR, &attr));
	EXPECT_EQ(-EFAULT, xioctlp(v->fd, KVM_SET_DEVICE_ATTR, &attr));
	attr.addr = (uintptr_t)&value;
	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		value = offsets[i];
		ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_DEVICE_ATTR, &attr));
		value = 1;
		ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_DEVICE_ATTR, &attr));
		EXPECT_EQ(offsets[i], value);
		before = host_tsc();
		RUN_TO(v, KVM_EXIT_HLT);
		after = host_tsc();
		vcpu_regs(v, &r);
		EXPECT_LE(before, r.rax - offsets[i]);
		EXPECT_GE(after, r.rax - offsets[i]);
	}
	/* A vCPU that is set to the time of this one gets its offset. */
	ASSERT_EQ(1, vcpu_get_msr(v, 0x10, &before));
	ASSERT_EQ(1, vcpu_set_msr(other, 0x10, before));
	ASSERT_EQ(0, xioctlp(other->fd, KVM_GET_DEVICE_ATTR, &attr));
	EXPECT_EQ(offsets[2], value);
}

GUEST(platform_info, 64, "1: mov $0xce, %ecx\n rdmsr\n hlt\n jmp 1b");

TEST(platform_info_can_be_taken_away)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MSR_PLATFORM_INFO };
	struct vcpu *v = LONG_VCPU(platform_info);
	struct kvm_regs r;
	uint64_t value;

	ASSERT_EQ(1, has_cap(v->vm->sys, KVM_CAP_MSR_PLATFORM_INFO));
	ASSERT_EQ(1, vcpu_get_msr(v, 0xce, &value));
	ASSERT_EQ(1, vcpu_set_msr(v, 0xce, value | 0x2a00));
	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_regs(v, &r);
	EXPECT_EQ(0x2a00, r.rax & 0xff00);
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_ENABLE_CAP, &cap));
	/* not from user space */
	ASSERT_EQ(1, vcpu_get_msr(v, 0xce, &value));
	EXPECT_EQ(0x2a00, value & 0xff00);
	cap.args[0] = 1;
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_ENABLE_CAP, &cap));
	RUN_TO(v, KVM_EXIT_HLT);
	cap.args[0] = 0;
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_ENABLE_CAP, &cap));
	/* #GP without a handler */
	RUN_TO(v, KVM_EXIT_SHUTDOWN);
}

TEST_HARNESS_MAIN
