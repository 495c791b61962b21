// SPDX-License-Identifier: GPL-2.0-only
/*
 * The CPUID tables: what the list offers, that the guest's instruction returns what was set, and that
 * instructions exist in the guest when its table says so.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"
#include "vm.h"

GUEST(cpuid_insn, 64, "1: cpuid\n hlt\n jmp 1b");

static void guest_cpuid(struct __test_metadata *_metadata, struct vcpu *v, uint32_t leaf, uint32_t sub,
			struct kvm_cpuid_entry2 *e)
{
	struct kvm_regs r;

	vcpu_regs(v, &r);
	r.rip = VM_CODE;
	r.rax = leaf | 0xdeadbeef00000000;	/* the upper halves do not count, and are cleared */
	r.rcx = sub | 0xdeadbeef00000000;
	vcpu_set_regs(v, &r);
	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_regs(v, &r);
	EXPECT_EQ(0, (r.rax | r.rbx | r.rcx | r.rdx) >> 32);
	EXPECT_EQ(VM_CODE + 3, r.rip);
	e->eax = r.rax;
	e->ebx = r.rbx;
	e->ecx = r.rcx;
	e->edx = r.rdx;
}

TEST(the_list)
{
	int sys = kvm_open();
	struct kvm_cpuid2 *c = supported_cpuid(sys);
	const struct kvm_cpuid_entry2 *e, *f;
	uint32_t i, k;

	EXPECT_GT(81, c->nent);			/* Firecracker and Cloud Hypervisor ask for 80 */
	ASSERT_NE(NULL, e = cpuid_find(c, 0, 0));
	ASSERT_NE(NULL, f = cpuid_find(c, 1, 0));
	EXPECT_LE(f->ecx >> 26 & 1 ? 0xd : 1, e->eax);	/* XSAVE has its leaf */
	EXPECT_TRUE(!memcmp(&e->ebx, "Auth", 4) || !memcmp(&e->ebx, "Genu", 4));
	ASSERT_NE(NULL, e = cpuid_find(c, 0x40000000, 0));
	EXPECT_EQ(0, memcmp(&e->ebx, "KVMKVMKVM\0\0\0", 12));
	ASSERT_NE(NULL, cpuid_find(c, 0x40000001, 0));
	ASSERT_NE(NULL, e = cpuid_find(c, 0x80000000, 0));
	EXPECT_LE(0x80000008, e->eax);
	ASSERT_NE(NULL, e = cpuid_find(c, 1, 0));
	EXPECT_TRUE(e->edx & 1 && e->edx >> 26 & 1);	/* FPU, SSE2 */
	ASSERT_NE(NULL, f = cpuid_find(c, 0x80000001, 0));
	EXPECT_TRUE(f->edx >> 29 & 1);		/* long mode */
	EXPECT_TRUE(f->edx >> 20 & 1);		/* NX */
	for (i = 0; i < c->nent; i++) {
		for (k = 0; k < 3; k++)
			EXPECT_EQ(0, c->entries[i].padding[k]);
		for (k = 0; k < i; k++)
			EXPECT_FALSE(c->entries[k].function == c->entries[i].function &&
				     c->entries[k].index == c->entries[i].index)
				TH_LOG("leaf %#x.%u twice", c->entries[i].function, c->entries[i].index);
	}
}

/* The processor's own CPUID, for the words where the offer must be a subset of it. */
TEST(no_more_than_the_host_has)
{
	static const struct { uint32_t leaf, sub; int reg; uint32_t emulated; } words[] = {
		/* x2APIC, TSC-deadline, hypervisor and TSC_ADJUST are the module's own work */
		{ 1, 0, 2, 1u << 21 | 1u << 24 | 1u << 31 | 1u << 27 }, { 1, 0, 3, 0 },
		{ 7, 0, 1, 1u << 1 }, { 0x80000001, 0, 2, 0 }, { 0x80000001, 0, 3, 0 }, { 0xd, 0, 0, 0 },
	};
	struct kvm_cpuid2 *c = supported_cpuid(kvm_open());
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++) {
		const struct kvm_cpuid_entry2 *e = cpuid_find(c, words[i].leaf, words[i].sub);
		uint32_t host[4], offered;

		if (!e)
			continue;
		__cpuid_count(words[i].leaf, words[i].sub, host[0], host[1], host[2], host[3]);
		offered = (&e->eax)[words[i].reg];
		EXPECT_EQ(0, offered & ~host[words[i].reg] & ~words[i].emulated)
			TH_LOG("leaf %#x register %d offers %#x, the host has %#x", words[i].leaf,
			       words[i].reg, offered, host[words[i].reg]);
	}
}

TEST(instruction_returns_what_was_set)
{
	struct vcpu *v = LONG_VCPU(cpuid_insn);
	struct kvm_cpuid2 *c = supported_cpuid(v->vm->sys), *g;
	struct kvm_cpuid_entry2 got;
	uint32_t i;

	g = calloc(1, sizeof(*g) + MAX_CPUID * sizeof(g->entries[0]));
	g->nent = c->nent;
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_CPUID2, g));
	for (i = 0; i < c->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &g->entries[i];

		if (e->function == 0xd && e->index < 2)
			continue;		/* sizes follow XCR0 and XSS: own test */
		guest_cpuid(_metadata, v, e->function, e->index, &got);
		EXPECT_TRUE(e->eax == got.eax && e->ebx == got.ebx && e->ecx == got.ecx && e->edx == got.edx)
			TH_LOG("%#x.%u: set %08x %08x %08x %08x, guest %08x %08x %08x %08x", e->function,
			       e->index, e->eax, e->ebx, e->ecx, e->edx, got.eax, got.ebx, got.ecx, got.edx);
	}
}

TEST(a_table_of_our_own)
{
	struct vcpu *v = LONG_VCPU(cpuid_insn);
	struct kvm_cpuid2 *c = supported_cpuid(v->vm->sys);
	struct kvm_cpuid_entry2 got, *e = (void *)cpuid_find(c, 0x40000000, 0);

	ASSERT_NE(NULL, e);
	memcpy(&e->ebx, "KeelKeelKeel", 12);
	e = &c->entries[c->nent++];
	*e = (struct kvm_cpuid_entry2){ .function = 0x4fff0000, .index = 3, .eax = 0x11, .ebx = 0x22,
		.ecx = 0x33, .edx = 0x44, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX };
	ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_CPUID2, c));
	guest_cpuid(_metadata, v, 0x40000000, 99, &got);
	EXPECT_EQ(0, memcmp(&got.ebx, "KeelKeelKeel", 12));
	guest_cpuid(_metadata, v, 0x4fff0000, 3, &got);
	EXPECT_EQ(0x44, got.edx);
	guest_cpuid(_metadata, v, 0x4fff0000, 2, &got);
	EXPECT_EQ(0, got.eax | got.ebx | got.ecx | got.edx);
}

TEST(dynamic_osxsave)
{
	struct vcpu *v = LONG_VCPU(cpuid_insn);
	struct kvm_cpuid_entry2 got;
	struct kvm_sregs s;

	if (!(cpuid_find(supported_cpuid(v->vm->sys), 1, 0)->ecx >> 26 & 1))
		SKIP(return, "no XSAVE");
	guest_cpuid(_metadata, v, 1, 0, &got);
	EXPECT_EQ(0, got.ecx >> 27 & 1);
	vcpu_sregs(v, &s);
	s.cr4 |= 1 << 18;
	ASSERT_EQ(0, vcpu_set_sregs(v, &s));
	guest_cpuid(_metadata, v, 1, 0, &got);
	EXPECT_EQ(1, got.ecx >> 27 & 1);
	s.cr4 &= ~(1 << 18);
	ASSERT_EQ(0, vcpu_set_sregs(v, &s));
	guest_cpuid(_metadata, v, 1, 0, &got);
	EXPECT_EQ(0, got.ecx >> 27 & 1);
}

GUEST(xsetbv, 64,
	"mov %cr4, %rax\n bts $18, %rax\n mov %rax, %cr4\n xor %ecx, %ecx\n mov %r8d, %eax\n xor %edx, %edx\n"
	"xsetbv\n mov $0xd, %eax\n xor %ecx, %ecx\n cpuid\n hlt");

TEST(dynamic_xsave_size)
{
	struct vcpu *v = LONG_VCPU(xsetbv);
	const struct kvm_cpuid_entry2 *e = cpuid_find(supported_cpuid(v->vm->sys), 0xd, 0);
	struct kvm_xcrs x;
	struct kvm_regs r;

	if (!e || (e->eax & 7) != 7)
		SKIP(return, "no AVX");
	vcpu_regs(v, &r);
	r.r8 = 3;
	vcpu_set_regs(v, &r);
	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_regs(v, &r);
	EXPECT_EQ(576, r.rbx);
	EXPECT_EQ(e->ecx, r.rcx);
	r.rip = VM_CODE;
	r.r8 = 7;
	vcpu_set_regs(v, &r);
	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_regs(v, &r);
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_XCRS, &x));
	/* QEMU's emulated SVM has no XSETBV intercept: the module never hears of it */
	if (x.xcrs[0].value != 7)
		SKIP(return, "XSETBV does not reach the module on this processor");
	EXPECT_EQ(832, r.rbx);
}

TEST(xsave_size_follows_user_space)
{
	struct vcpu *v = LONG_VCPU(cpuid_insn);
	const struct kvm_cpuid_entry2 *e = cpuid_find(supported_cpuid(v->vm->sys), 0xd, 0);
	struct kvm_xcrs x = { .nr_xcrs = 1 };
	struct kvm_cpuid_entry2 got;

	if (!e || (e->eax & 7) != 7)
		SKIP(return, "no AVX");
	x.xcrs[0].value = 3;
	ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_XCRS, &x));
	guest_cpuid(_metadata, v, 0xd, 0, &got);
	EXPECT_EQ(576, got.ebx);
	x.xcrs[0].value = 7;
	ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_XCRS, &x));
	guest_cpuid(_metadata, v, 0xd, 0, &got);
	EXPECT_EQ(832, got.ebx);
}

TEST(max_basic_leaf_is_a_limit)
{
	struct vcpu *v = LONG_VCPU(cpuid_insn);
	struct kvm_cpuid_entry2 got, zero;

	/* far behind every range: whatever is returned must be stable, and the guest must survive */
	guest_cpuid(_metadata, v, 0x20000000, 0, &got);
	guest_cpuid(_metadata, v, 0x20000000, 0, &zero);
	EXPECT_EQ(got.eax, zero.eax);
	guest_cpuid(_metadata, v, 0x80ffffff, 0, &got);
	guest_cpuid(_metadata, v, 0xffffffff, ~0u, &got);
}

TEST(set_cpuid_is_per_vcpu)
{
	struct vm *vm = vm_new(VM_RAM_SIZE);
	struct vcpu *v = vm_vcpu(vm, 0), *w = vm_vcpu(vm, 1);
	struct kvm_cpuid2 *c = supported_cpuid(vm->sys);
	struct kvm_cpuid_entry2 got, *e = (void *)cpuid_find(c, 1, 0);

	vm_load_guest(vm, VM_CODE, cpuid_insn);
	e->ebx = (e->ebx & 0xffffff) | 1u << 24;
	ASSERT_EQ(0, xioctlp(w->fd, KVM_SET_CPUID2, c));
	e->ebx &= 0xffffff;
	ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_CPUID2, c));
	vcpu_long(v, VM_CODE);
	vcpu_long(w, VM_CODE);
	guest_cpuid(_metadata, v, 1, 0, &got);
	EXPECT_EQ(0, got.ebx >> 24);
	guest_cpuid(_metadata, w, 1, 0, &got);
	EXPECT_EQ(1, got.ebx >> 24);
}

/*
 * Instructions that a guest is to have exactly when its CPUID shows them. Bits are by the manuals'
 * positions; reg 0 is EAX. Each blob ends in HLT with RDI as it was, or at #UD, which sets it.
 */
GUEST(insn_ud, 64, "mov $0x6d, %edi\n hlt");
GUEST(rdtscp, 64, "rdtscp\n hlt");
GUEST(rdpid, 64, "rdpid %rax\n hlt");
GUEST(invpcid, 64, "movq $0, -16(%rsp)\n movq $0, -8(%rsp)\n mov $2, %eax\n invpcid -16(%rsp), %rax\n hlt");
GUEST(rdrand, 64, "rdrand %rax\n hlt");
GUEST(rdseed, 64, "rdseed %rax\n hlt");
GUEST(xsaves, 64, "xor %edx, %edx\n mov $1, %eax\n xsaves (%r8)\n hlt");
GUEST(umonitor, 64, "umonitor %rsp\n hlt");
GUEST(tpause, 64, "xor %eax, %eax\n xor %edx, %edx\n tpause %ecx\n hlt");
GUEST(encls, 64, "mov $0xff, %eax\n .byte 0x0f, 0x01, 0xcf\n hlt");
GUEST(enclv, 64, "mov $0xff, %eax\n .byte 0x0f, 0x01, 0xc0\n hlt");
GUEST(pconfig, 64, "mov $0xff, %eax\n .byte 0x0f, 0x01, 0xc5\n hlt");
GUEST(vmfunc, 64, "xor %eax, %eax\n .byte 0x0f, 0x01, 0xd4\n hlt");

#define INSN(name, ...) { #name, guest_code(name), guest_##name##_end, __VA_ARGS__ }

static const struct insn {
	const char *name;
	const uint8_t *code, *end;
	uint32_t leaf, sub;
	int reg, bit;		/* bit -1: no guest has it */
} insns[] = {
	INSN(rdtscp, 0x80000001, 0, 3, 27), INSN(invpcid, 7, 0, 1, 10), INSN(rdpid, 7, 0, 2, 22),
	INSN(rdrand, 1, 0, 2, 30), INSN(rdseed, 7, 0, 1, 18), INSN(xsaves, 0xd, 1, 0, 3),
	INSN(umonitor, 7, 0, 2, 5), INSN(tpause, 7, 0, 2, 5), INSN(encls, 7, 0, 1, 2),
	INSN(enclv, 7, 0, 1, 2), INSN(pconfig, 7, 0, 3, 18), INSN(vmfunc, 0, 0, 0, -1),
};

/* Does @insn raise #UD in a guest whose CPUID is @c? */
static bool insn_is_ud(struct __test_metadata *_metadata, const struct insn *insn, const struct kvm_cpuid2 *c)
{
	struct vm *vm = vm_new(VM_RAM_SIZE);
	struct vcpu *v = vm_vcpu(vm, 0);
	struct kvm_sregs s;
	struct kvm_regs r;

	EXPECT_EQ(0, xioctlp(v->fd, KVM_SET_CPUID2, c));
	vm_load(vm, VM_CODE, insn->code, insn->end - insn->code);
	vm_load_guest(vm, VM_DATA, insn_ud);
	vcpu_long(v, VM_CODE);
	vm_set_gate(vm, 6, VM_DATA, 14, 0, 0);
	vcpu_sregs(v, &s);
	s.cr4 |= cpuid_find(c, 1, 0)->ecx >> 26 & 1 ? 1 << 18 : 0;	/* XSAVES needs OSXSAVE */
	EXPECT_EQ(0, vcpu_set_sregs(v, &s));
	vcpu_regs(v, &r);
	r.r8 = VM_DATA2;
	vcpu_set_regs(v, &r);
	vcpu_run(v);
	if (v->run->exit_reason != KVM_EXIT_HLT)
		vcpu_dump(v);
	EXPECT_EQ(KVM_EXIT_HLT, v->run->exit_reason)
		TH_LOG("%s", insn->name);
	vcpu_regs(v, &r);
	vm_free(vm);
	return r.rdi == 0x6d;
}

/* AMD-V lets a guest execute what the processor has. */
TEST(instructions_follow_the_table)
{
	struct kvm_cpuid2 *c = supported_cpuid(kvm_open());
	struct kvm_cpuid_entry2 *e;
	size_t i;

	if (memcmp(&cpuid_find(c, 0, 0)->ebx, "Genu", 4))
		SKIP(return, "only VT-x has the controls");
	for (i = 0; i < ARRAY_SIZE(insns); i++) {
		const struct insn *insn = &insns[i];
		bool offered = false;

		e = (void *)cpuid_find(c, insn->leaf, insn->sub);
		if (e && insn->bit >= 0)
			offered = (&e->eax)[insn->reg] >> insn->bit & 1;
		TH_LOG("%s is %soffered", insn->name, offered ? "" : "not ");
		EXPECT_EQ(!offered, insn_is_ud(_metadata, insn, c))
			TH_LOG("%s", insn->name);
		if (!e || insn->bit < 0)
			continue;
		/* Taken away it must not work; a VMM that shows what is not offered does not get it. */
		(&e->eax)[insn->reg] ^= 1u << insn->bit;
		EXPECT_TRUE(insn_is_ud(_metadata, insn, c))
			TH_LOG("%s with the bit turned over", insn->name);
		(&e->eax)[insn->reg] ^= 1u << insn->bit;
	}
}

TEST_HARNESS_MAIN
