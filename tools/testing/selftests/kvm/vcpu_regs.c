// SPDX-License-Identifier: GPL-2.0-only
/*
 * vCPU state through its ioctls: what goes in comes out, and what is refused changes nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"
#include "vm.h"

GUEST(hlt, 64, "hlt");

TEST(reset_state)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vm_vcpu(vm, 0), *w = vm_vcpu(vm, 1);
	struct kvm_debugregs d;
	struct kvm_mp_state mp;
	struct kvm_xcrs x;
	struct kvm_sregs s;
	struct kvm_regs r;

	vcpu_regs(v, &r);
	EXPECT_EQ(0xfff0, r.rip);
	EXPECT_EQ(2, r.rflags);
	EXPECT_EQ(0, r.rax);
	EXPECT_EQ(0, r.rsp);
	vcpu_sregs(v, &s);
	EXPECT_EQ(0xf000, s.cs.selector);
	EXPECT_EQ(0xffff0000, s.cs.base);
	EXPECT_EQ(0xffff, s.cs.limit);
	EXPECT_EQ(0xffff, s.ds.limit);
	EXPECT_EQ(0x60000010, s.cr0);
	EXPECT_EQ(0, s.cr3);
	EXPECT_EQ(0, s.cr4);
	EXPECT_EQ(0, s.efer);
	EXPECT_EQ(0xffff, s.idt.limit);
	EXPECT_EQ(0xfee00900, s.apic_base);
	vcpu_sregs(w, &s);
	EXPECT_EQ(0xfee00800, s.apic_base);
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_DEBUGREGS, &d));
	EXPECT_EQ(0xffff0ff0, d.dr6);
	EXPECT_EQ(0x400, d.dr7);
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_MP_STATE, &mp));
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, mp.mp_state);
	if (has_cap(vm->sys, KVM_CAP_XCRS) > 0) {
		ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_XCRS, &x));
		EXPECT_EQ(1, x.nr_xcrs);
		EXPECT_EQ(0, x.xcrs[0].xcr);
		EXPECT_EQ(1, x.xcrs[0].value);
	}
}

TEST(regs)
{
	struct vcpu *v = vm_simple();
	struct kvm_regs in, out;
	uint64_t *p = (uint64_t *)&in;
	size_t i;

	for (i = 0; i < 17; i++)		/* all but RFLAGS */
		p[i] = 0x0123456789abcdefull * (i + 1);
	in.rip = 0x12345678;
	in.rflags = 0;
	vcpu_set_regs(v, &in);
	vcpu_regs(v, &out);
	in.rflags = 2;				/* bit 1 cannot be cleared */
	EXPECT_EQ(0, memcmp(&in, &out, sizeof(in)));
}

TEST(sregs_round_trip)
{
	struct vcpu *v = LONG_VCPU(hlt);
	struct kvm_sregs in, out;

	vcpu_sregs(v, &in);
	in.ds.base = 0x1000;
	in.fs.base = 0x7fff12345000;
	in.gs.base = 0xffff888000000000;
	in.fs.selector = 0x33;
	in.es.limit = 0x12345fff;
	in.es.dpl = 3;
	in.ldt = (struct kvm_segment){ .base = 0x5000, .limit = 0xff, .selector = 0x50, .type = 2, .present = 1 };
	in.gdt.base = 0xffff800000001000;
	in.gdt.limit = 0x1fff;
	in.idt.limit = 0x123;
	in.cr2 = 0xdeadbeef12345678;
	in.cr3 = 0x3000;
	in.cr8 = 7;
	ASSERT_EQ(0, vcpu_set_sregs(v, &in));
	vcpu_sregs(v, &out);
	EXPECT_EQ(0, memcmp(&in.ds, &out.ds, sizeof(in.ds)));
	EXPECT_EQ(0, memcmp(&in.fs, &out.fs, sizeof(in.fs)));
	EXPECT_EQ(0, memcmp(&in.ldt, &out.ldt, sizeof(in.ldt)));
	EXPECT_EQ(in.gs.base, out.gs.base);
	EXPECT_EQ(in.es.limit, out.es.limit);
	EXPECT_EQ(3, out.es.dpl);
	EXPECT_EQ(0, memcmp(&in.gdt, &out.gdt, sizeof(in.gdt)));
	EXPECT_EQ(0, memcmp(&in.idt, &out.idt, sizeof(in.idt)));
	EXPECT_EQ(in.cr0, out.cr0);
	EXPECT_EQ(in.cr2, out.cr2);
	EXPECT_EQ(in.cr3, out.cr3);
	EXPECT_EQ(in.cr4, out.cr4);
	EXPECT_EQ(7, out.cr8);
	EXPECT_EQ(in.efer, out.efer);
	EXPECT_EQ(in.apic_base, out.apic_base);
}

TEST(sregs_unusable_segments)
{
	struct vcpu *v = vm_simple();
	struct kvm_sregs in, out;

	vcpu_prot(v, VM_CODE);
	vcpu_sregs(v, &in);
	memset(&in.gs, 0, sizeof(in.gs));
	in.gs.unusable = 1;
	memset(&in.ldt, 0, sizeof(in.ldt));
	in.ldt.unusable = 1;
	ASSERT_EQ(0, vcpu_set_sregs(v, &in));
	vcpu_sregs(v, &out);
	EXPECT_EQ(0, out.gs.present);
	EXPECT_EQ(1, out.gs.unusable);
	EXPECT_EQ(1, out.ldt.unusable);
}

static void cr4_reserved(struct kvm_sregs *s) { s->cr4 |= 1ull << 40; }
static void cr4_reserved_low(struct kvm_sregs *s) { s->cr4 |= 1ull << 15; }
static void cr4_vmxe(struct kvm_sregs *s) { s->cr4 |= 1ull << 13; }
static void cr4_no_pae(struct kvm_sregs *s) { s->cr4 &= ~(1ull << 5); }
static void cr0_high(struct kvm_sregs *s) { s->cr0 |= 1ull << 32; }
static void cr0_nw_no_cd(struct kvm_sregs *s) { s->cr0 |= 1ull << 29; }
static void cr0_pg_no_pe(struct kvm_sregs *s) { s->cr0 &= ~1ull; }
static void efer_reserved(struct kvm_sregs *s) { s->efer |= 1ull << 1; }
static void efer_high(struct kvm_sregs *s) { s->efer |= 1ull << 40; }
static void efer_lma_no_lme(struct kvm_sregs *s) { s->efer &= ~(1ull << 8); }
static void cs_l_and_d(struct kvm_sregs *s) { s->cs.db = 1; }
static void cr3_too_wide(struct kvm_sregs *s) { s->cr3 |= 1ull << 52; }
static void apic_base_too_wide(struct kvm_sregs *s) { s->apic_base |= 1ull << 52; }
static void apic_base_reserved(struct kvm_sregs *s) { s->apic_base |= 1; }

TEST(sregs_refused)
{
	static const struct { void (*spoil)(struct kvm_sregs *); const char *name; } bad[] = {
#define B(f) { f, #f }
		B(cr4_reserved), B(cr4_reserved_low), B(cr4_vmxe), B(cr4_no_pae), B(cr0_high),
		B(cr0_nw_no_cd), B(cr0_pg_no_pe), B(efer_lma_no_lme), B(cr3_too_wide),
		B(apic_base_too_wide), B(apic_base_reserved),
	};
	struct vcpu *v = LONG_VCPU(hlt);
	struct kvm_sregs before, s, after;
	size_t i;

	vcpu_sregs(v, &before);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		s = before;
		bad[i].spoil(&s);
		s.cr2 = 0x1111 * (i + 1);
		s.ds.base = 0x2222;
		EXPECT_EQ(-EINVAL, vcpu_set_sregs(v, &s))
			TH_LOG("%s", bad[i].name);
		vcpu_sregs(v, &after);
		EXPECT_EQ(0, memcmp(&before, &after, sizeof(after)))
			TH_LOG("%s changed the state", bad[i].name);
		ASSERT_EQ(0, vcpu_set_sregs(v, &before));
	}
	RUN_TO(v, KVM_EXIT_HLT);
}

/*
 * All bits that CPUID allows can be set together, also in real mode, where no guest could set this one. The
 * distribution's module for VT-x lets the entry fail then.
 */
TEST(sregs_pcide_in_real_mode)
{
	struct vcpu *v = vm_simple();
	struct kvm_cpuid2 *cpuid = supported_cpuid(v->vm->sys);
	const struct kvm_cpuid_entry2 *leaf = cpuid_find(cpuid, 1, 0);
	struct kvm_sregs s;
	bool pcid = leaf && leaf->ecx & 1u << 17;

	free(cpuid);
	vm_load_guest(v->vm, 0x2000, hlt);
	vcpu_real(v, 0x2000);
	vcpu_sregs(v, &s);
	s.cr4 |= 1 << 17;
	if (!pcid) {
		EXPECT_EQ(-EINVAL, vcpu_set_sregs(v, &s));
		return;
	}
	ASSERT_EQ(0, vcpu_set_sregs(v, &s));
	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_sregs(v, &s);
	EXPECT_NE(0, s.cr4 & 1 << 17);
}

/* 6.1 takes these and lets the processor refuse them; refusing them at once is as good. */
TEST(sregs_refused_or_failing_entry)
{
	static const struct { void (*spoil)(struct kvm_sregs *); const char *name; } bad[] = {
		B(efer_reserved), B(efer_high), B(cs_l_and_d),
#undef B
	};
	struct vcpu *v = LONG_VCPU(hlt);
	struct kvm_sregs before, s, after;
	size_t i;
	int rc;

	vcpu_sregs(v, &before);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		s = before;
		bad[i].spoil(&s);
		rc = vcpu_set_sregs(v, &s);
		vcpu_sregs(v, &after);
		if (rc) {
			EXPECT_EQ(-EINVAL, rc);
			EXPECT_EQ(0, memcmp(&before, &after, sizeof(after)));
		} else {
			EXPECT_EQ(0, vcpu_run(v));
			EXPECT_TRUE(v->run->exit_reason == KVM_EXIT_FAIL_ENTRY ||
				    v->run->exit_reason == KVM_EXIT_INTERNAL_ERROR ||
				    v->run->exit_reason == KVM_EXIT_SHUTDOWN)
				TH_LOG("%s: exit %u", bad[i].name, v->run->exit_reason);
		}
		ASSERT_EQ(0, vcpu_set_sregs(v, &before));
		vcpu_long(v, VM_CODE);
		RUN_TO(v, KVM_EXIT_HLT);
	}
}

TEST(sregs_interrupt_bitmap)
{
	struct vcpu *v = LONG_VCPU(hlt);
	struct kvm_vcpu_events ev;
	struct kvm_sregs s;

	vcpu_sregs(v, &s);
	EXPECT_EQ(0, s.interrupt_bitmap[1]);
	s.interrupt_bitmap[1] = 1ull << 5;		/* vector 69 */
	ASSERT_EQ(0, vcpu_set_sregs(v, &s));
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_VCPU_EVENTS, &ev));
	EXPECT_EQ(1, ev.interrupt.injected);
	EXPECT_EQ(69, ev.interrupt.nr);
	memset(&s, 0xff, sizeof(s));
	vcpu_sregs(v, &s);
	EXPECT_EQ(0, s.interrupt_bitmap[0]);
	EXPECT_EQ(1ull << 5, s.interrupt_bitmap[1]);
	EXPECT_EQ(0, s.interrupt_bitmap[3]);
}

TEST(sregs2)
{
	struct vcpu *v = vm_simple();
	struct kvm_sregs2 s, out;
	int i;

	if (has_cap(v->vm->sys, KVM_CAP_SREGS2) <= 0)
		SKIP(return, "no KVM_CAP_SREGS2");
	vcpu_prot(v, VM_CODE);
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_SREGS2, &s));
	EXPECT_EQ(0, s.flags);
	for (i = 1; i < 64; i++) {
		s.flags = 1ull << i;
		EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_SET_SREGS2, &s))
			TH_LOG("flag bit %d", i);
	}
	s.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;	/* without PAE paging */
	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_SET_SREGS2, &s));
	s.cr0 |= 1ull << 31;
	s.cr4 |= 1ull << 5;
	s.cr3 = 0x1000;
	for (i = 0; i < 4; i++)
		s.pdptrs[i] = 0x100000 * (i + 1) | 1;
	ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_SREGS2, &s));
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_SREGS2, &out));
	EXPECT_EQ(s.cr3, out.cr3);
	/*
	 * With nested paging the processor reads the PDPTEs from memory when it needs them, so SVM
	 * need not report them as state.
	 */
	if (out.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID)
		for (i = 0; i < 4; i++)
			EXPECT_EQ(0, out.pdptrs[i] & ~(0x100000ull * (i + 1) | 1));
}

TEST(fpu)
{
	struct vcpu *v = vm_simple();
	struct kvm_fpu in, out;
	size_t i;

	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_FPU, &in));
	for (i = 0; i < sizeof(in.xmm); i++)
		((uint8_t *)in.xmm)[i] = i * 3;
	for (i = 0; i < 8; i++)
		memset(in.fpr[i], i + 1, 10);
	in.fcw = 0x27f;
	in.fsw = 0x3800;
	in.ftwx = 0x81;
	in.last_opcode = 0x123;
	in.last_ip = 0x1122334455;
	in.last_dp = 0x5544332211;
	in.mxcsr = 0x1f80;
	ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_FPU, &in));
	memset(&out, 0xa5, sizeof(out));
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_FPU, &out));
	EXPECT_EQ(0, memcmp(in.xmm, out.xmm, sizeof(in.xmm)));
	EXPECT_EQ(0, memcmp(in.fpr, out.fpr, sizeof(in.fpr)));
	EXPECT_EQ(in.fcw, out.fcw);
	EXPECT_EQ(in.fsw, out.fsw);
	EXPECT_EQ(in.ftwx, out.ftwx);
	EXPECT_EQ(in.last_opcode, out.last_opcode);
	EXPECT_EQ(in.last_ip, out.last_ip);
	EXPECT_EQ(in.last_dp, out.last_dp);
}

GUEST(use_sse, 64, "movdqu 0x40030, %xmm0\n hlt\n movdqu 0x40000, %xmm1\n paddb %xmm0, %xmm1\n movdqu %xmm1, 0x40010\n"
	"fninit\n fldpi\n fstpt 0x40020\n hlt");

TEST(guest_uses_the_fpu)
{
	struct vcpu *v = LONG_VCPU(use_sse);
	static const uint8_t pi[] = { 0x35, 0xc2, 0x68, 0x21, 0xa2, 0xda, 0x0f, 0xc9, 0x00, 0x40 };
	struct kvm_fpu f;
	int i;

	/* 6.1's KVM_SET_FPU is lost on a guest that has not used SSE yet (XSTATE_BV stays 0) */
	v->vm->ram[VM_DATA + 0x30] = 0x99;
	RUN_TO(v, KVM_EXIT_HLT);
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_FPU, &f));
	EXPECT_EQ(0x99, f.xmm[0][0]);
	for (i = 0; i < 16; i++) {
		f.xmm[0][i] = i;
		v->vm->ram[VM_DATA + i] = 0x10;
	}
	ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_FPU, &f));
	RUN_TO(v, KVM_EXIT_HLT);
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_FPU, &f));
	for (i = 0; i < 16; i++) {
		EXPECT_EQ(0x10 + i, v->vm->ram[VM_DATA + 16 + i]);
		EXPECT_EQ(0x10 + i, f.xmm[1][i]);
	}
	EXPECT_EQ(0, memcmp(pi, v->vm->ram + VM_DATA + 32, sizeof(pi)));
}

TEST(xsave)
{
	struct vcpu *v = vm_simple();
	struct kvm_xsave *a = calloc(1, 65536), *b = calloc(1, 65536);
	uint64_t *bv = (uint64_t *)&a->region[512 / 4];
	struct kvm_fpu f;
	int size = has_cap(v->vm->fd, KVM_CAP_XSAVE2);

	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_XSAVE, a));
	memset((uint8_t *)a + 160, 0x5c, 256);		/* the XMM registers */
	bv[0] |= 2;
	ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_XSAVE, a));
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_FPU, &f));
	EXPECT_EQ(0x5c, f.xmm[15][15]);
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_XSAVE, b));
	EXPECT_EQ(0, memcmp((uint8_t *)a + 160, (uint8_t *)b + 160, 256));
	/* each refusal leaves the state alone */
	memset((uint8_t *)a + 160, 0x11, 256);
	bv[0] |= 1ull << 62;
	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_SET_XSAVE, a));
	bv[0] &= ~(1ull << 62);
	bv[1] = 1ull << 63;				/* compacted */
	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_SET_XSAVE, a));
	bv[1] = 0;
	a->region[24 / 4] = 0xffffffff;			/* MXCSR */
	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_SET_XSAVE, a));
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_FPU, &f));
	EXPECT_EQ(0x5c, f.xmm[15][15]);
	if (size > 0) {
		EXPECT_LE(4096, size);
		memset(a, 0, 65536);
		memset((uint8_t *)a + size, 0xee, 64);
		ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_XSAVE2, a));
		EXPECT_EQ(0x5c, ((uint8_t *)a)[160]);
		EXPECT_EQ(0xee, ((uint8_t *)a)[size]);
	}
}

TEST(xcrs)
{
	static const uint64_t bad[] = { 0, 2, 4, 5, 1ull << 63 | 1, 0x21, 0x9 };
	struct vcpu *v = vm_simple();
	struct kvm_cpuid2 *c = supported_cpuid(v->vm->sys);
	const struct kvm_cpuid_entry2 *d = cpuid_find(c, 0xd, 0);
	struct kvm_xcrs x, y;
	size_t i;

	if (has_cap(v->vm->sys, KVM_CAP_XCRS) <= 0)
		SKIP(return, "no KVM_CAP_XCRS");
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_XCRS, &x));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		x.xcrs[0].value = bad[i];
		EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_SET_XCRS, &x))
			TH_LOG("XCR0 = %#lx", (unsigned long)bad[i]);
	}
	x.xcrs[0].value = 3;
	x.flags = 1;
	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_SET_XCRS, &x));
	x.flags = 0;
	x.nr_xcrs = KVM_MAX_XCRS + 1;
	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_SET_XCRS, &x));
	x.nr_xcrs = 1;
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_XCRS, &y));
	EXPECT_EQ(1, y.xcrs[0].value);
	ASSERT_NE(NULL, d);
	x.xcrs[0].value = d->eax;
	EXPECT_EQ(0, xioctlp(v->fd, KVM_SET_XCRS, &x));
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_XCRS, &y));
	EXPECT_EQ(d->eax, y.xcrs[0].value);
}

TEST(debugregs)
{
	struct vcpu *v = vm_simple();
	struct kvm_debugregs d = {
		.db = { 0x1000, 0x2000, 0xffff800000003000, 0x4000 }, .dr6 = 0xffff0ff1, .dr7 = 0x455,
	}, out;

	ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_DEBUGREGS, &d));
	memset(&out, 0xff, sizeof(out));
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_DEBUGREGS, &out));
	EXPECT_EQ(0, memcmp(&d, &out, sizeof(d)));
	d.dr7 |= 1ull << 32;
	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_SET_DEBUGREGS, &d));
	d.dr7 = 0x400;
	d.dr6 |= 1ull << 32;
	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_SET_DEBUGREGS, &d));
	d.dr6 = 0xffff0ff0;
	d.flags = 1;
	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_SET_DEBUGREGS, &d));
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_DEBUGREGS, &d));
	EXPECT_EQ(0, memcmp(&d, &out, sizeof(d)));
}

GUEST(read_dr, 64, "mov %dr2, %rbx\n mov %dr7, %rcx\n mov $0x9000, %eax\n mov %rax, %dr1\n hlt");

TEST(debugregs_and_guest)
{
	struct vcpu *v = LONG_VCPU(read_dr);
	struct kvm_debugregs d = { .db = { 0, 0, 0x77000 }, .dr6 = 0xffff0ff0, .dr7 = 0x400 };
	struct kvm_regs r;

	ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_DEBUGREGS, &d));
	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_regs(v, &r);
	EXPECT_EQ(0x77000, r.rbx);
	EXPECT_EQ(0x400, r.rcx);
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_DEBUGREGS, &d));
	EXPECT_EQ(0x9000, d.db[1]);
	EXPECT_EQ(0x77000, d.db[2]);
}

TEST(mp_state)
{
	struct vcpu *v = LONG_VCPU(hlt);
	struct kvm_mp_state mp = { KVM_MP_STATE_RUNNABLE };
	uint32_t i;

	EXPECT_EQ(0, xioctlp(v->fd, KVM_SET_MP_STATE, &mp));
	/* without the in-kernel APIC nothing else makes sense; new kernels take HALTED too */
	for (i = 1; i < 12; i++) {
		if (i == KVM_MP_STATE_HALTED)
			continue;
		mp.mp_state = i;
		EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_SET_MP_STATE, &mp))
			TH_LOG("state %u", i);
	}
	mp.mp_state = ~0u;
	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_SET_MP_STATE, &mp));
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_MP_STATE, &mp));
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, mp.mp_state);
	RUN_TO(v, KVM_EXIT_HLT);
}

TEST(vcpu_events)
{
	struct vcpu *v = LONG_VCPU(hlt);
	struct kvm_vcpu_events ev, out, clean;
	int i;

	memset(&clean, 0xff, sizeof(clean));
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_VCPU_EVENTS, &clean));
	EXPECT_EQ(0, clean.exception.injected | clean.exception.pending);
	EXPECT_EQ(0, clean.interrupt.injected);
	EXPECT_EQ(0, clean.nmi.pending | clean.nmi.injected | clean.nmi.masked | clean.nmi.pad);
	for (i = 0; i < sizeof(clean.reserved); i++)
		EXPECT_EQ(0, clean.reserved[i]);
	ev = clean;
	ev.flags = 1u << 31;
	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_SET_VCPU_EVENTS, &ev));
	ev = clean;
	ev.exception.injected = 1;
	ev.exception.nr = 32;
	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_SET_VCPU_EVENTS, &ev));
	ev.exception.nr = 2;		/* an NMI is not an exception */
	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_SET_VCPU_EVENTS, &ev));
	ev.exception.nr = 14;
	ev.exception.has_error_code = 1;
	ev.exception.error_code = 0x5;
	ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_VCPU_EVENTS, &ev));
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_VCPU_EVENTS, &out));
	EXPECT_EQ(14, out.exception.nr);
	EXPECT_EQ(1, out.exception.injected | out.exception.pending);
	EXPECT_EQ(1, out.exception.has_error_code);
	EXPECT_EQ(5, out.exception.error_code);
	ev = clean;
	ev.nmi.masked = 1;
	ev.nmi.pending = 1;
	ev.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	ev.interrupt.shadow = KVM_X86_SHADOW_INT_STI;
	ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_VCPU_EVENTS, &ev));
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_VCPU_EVENTS, &out));
	EXPECT_EQ(1, out.nmi.masked);
	EXPECT_EQ(1, out.nmi.pending);
	EXPECT_NE(0, out.interrupt.shadow);
	EXPECT_EQ(0, out.exception.injected | out.exception.pending);
	ev.nmi.masked = 0;
	ev.flags = 0;			/* pending and shadow not meant: they stay */
	ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_VCPU_EVENTS, &ev));
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_VCPU_EVENTS, &out));
	EXPECT_EQ(0, out.nmi.masked);
	EXPECT_NE(0, out.interrupt.shadow);
}

struct many_msrs {
	struct kvm_msrs head;
	struct kvm_msr_entry e[300];
};

TEST(msrs_stop_at_the_first_failure)
{
	struct vcpu *v = vm_simple();
	static struct many_msrs m;
	uint64_t value;

	m.head.nmsrs = 3;
	m.e[0] = (struct kvm_msr_entry){ .index = 0x175, .data = 0x1234 };	/* SYSENTER_ESP */
	m.e[1] = (struct kvm_msr_entry){ .index = 0x12345678, .data = 1 };
	m.e[2] = (struct kvm_msr_entry){ .index = 0x176, .data = 0x5678 };
	EXPECT_EQ(1, xioctlp(v->fd, KVM_SET_MSRS, &m));
	EXPECT_EQ(1, vcpu_get_msr(v, 0x175, &value));
	EXPECT_EQ(0x1234, value);
	EXPECT_EQ(1, vcpu_get_msr(v, 0x176, &value));
	EXPECT_EQ(0, value);
	m.e[0].data = m.e[2].data = 0;
	EXPECT_EQ(1, xioctlp(v->fd, KVM_GET_MSRS, &m));
	EXPECT_EQ(0x1234, m.e[0].data);
	m.head.nmsrs = 0;
	EXPECT_EQ(0, xioctlp(v->fd, KVM_GET_MSRS, &m));
	EXPECT_EQ(0, xioctlp(v->fd, KVM_SET_MSRS, &m));
	m.head.nmsrs = 257;
	EXPECT_EQ(-E2BIG, xioctlp(v->fd, KVM_GET_MSRS, &m));
	EXPECT_EQ(-E2BIG, xioctlp(v->fd, KVM_SET_MSRS, &m));
	m.head.nmsrs = ~0u;
	EXPECT_EQ(-E2BIG, xioctlp(v->fd, KVM_GET_MSRS, &m));
}

TEST(msrs_refused_values)
{
	static const struct { uint32_t index; uint64_t value; } bad[] = {
		{ 0x277, 0x0202020202020202 },		/* PAT type 2 */
		{ 0x2ff, 0x2 },				/* MTRR default type 2 */
		{ 0xc0000080, 1ull << 1 },		/* EFER reserved */
		{ 0x1b, 1ull << 60 },			/* APIC base too wide */
		{ 0xc0000082, 0x8000000000000000 },	/* LSTAR not canonical */
		{ 0xc0000100, 0x0000800000000000 },	/* FS base not canonical */
	};
	struct vcpu *v = vm_simple();
	uint64_t before, after;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		ASSERT_EQ(1, vcpu_get_msr(v, bad[i].index, &before));
		EXPECT_EQ(0, vcpu_set_msr(v, bad[i].index, bad[i].value))
			TH_LOG("MSR %#x", bad[i].index);
		ASSERT_EQ(1, vcpu_get_msr(v, bad[i].index, &after));
		EXPECT_EQ(before, after)
			TH_LOG("MSR %#x", bad[i].index);
	}
}

/*
 * Clears what the module derives from the vCPU's state: OSXSAVE, OSPKE, the XSAVE sizes, MWAIT, and what a guest
 * with its local APIC in user space cannot have of KVM's own features.
 */
static void without_dynamic_bits(struct kvm_cpuid2 *c)
{
	uint32_t i;

	for (i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[i];

		if (e->function == 1)
			e->ecx &= ~(1u << 27 | 1u << 3);
		if (e->function == 7 && !e->index)
			e->ecx &= ~(1u << 4);
		if (e->function == 0xd && e->index < 2)
			e->ebx = 0;
		if (e->function == 0x40000001)
			e->eax &= ~(1u << 7 | 1u << 11);
	}
}

TEST(cpuid2)
{
	struct vcpu *v = LONG_VCPU(hlt);
	struct kvm_cpuid2 *c = supported_cpuid(v->vm->sys), *g;
	size_t size = sizeof(*c) + MAX_CPUID * sizeof(c->entries[0]);

	g = calloc(1, size);
	g->nent = c->nent;
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_CPUID2, g));
	EXPECT_EQ(0, xioctlp(v->fd, KVM_SET_CPUID2, g));
	RUN_TO(v, KVM_EXIT_HLT);
	/* after the first run the same table is accepted, another is not */
	EXPECT_EQ(0, xioctlp(v->fd, KVM_SET_CPUID2, g));
	without_dynamic_bits(c);
	without_dynamic_bits(g);
	EXPECT_EQ(0, memcmp(c->entries, g->entries, c->nent * sizeof(c->entries[0])));
	c->entries[0].ebx ^= 0x01010101;
	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_SET_CPUID2, c));
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_CPUID2, g));
	EXPECT_NE(0, memcmp(c->entries, g->entries, sizeof(c->entries[0])));
}

TEST(tsc)
{
	struct vcpu *v = vm_simple();
	int khz = xioctl(v->fd, KVM_GET_TSC_KHZ, 0);
	uint64_t a;

	EXPECT_LT(1000, khz);
	/* no order is asked of two reads: a host with an unstable TSC adjusts in between */
	ASSERT_EQ(1, vcpu_set_msr(v, 0x10, 0));
	ASSERT_EQ(1, vcpu_get_msr(v, 0x10, &a));
	EXPECT_GT(10ull * khz * 1000, a);	/* ten seconds */
	ASSERT_EQ(1, vcpu_set_msr(v, 0x10, 1ull << 50));
	ASSERT_EQ(1, vcpu_get_msr(v, 0x10, &a));
	EXPECT_LT((1ull << 50) - 10ull * khz * 1000, a);
	EXPECT_GT((1ull << 50) + 10ull * khz * 1000, a);
}

TEST_HARNESS_MAIN
