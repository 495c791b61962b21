/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest's FPU, SSE, AVX and protection-key state. */
#ifndef KEEL_FPU_H
#define KEEL_FPU_H

#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <keel/ioctl.h>
#include <keel/vcpu.h>
#include <linux/thread_info.h>
#include <linux/types.h>

/* Read what the host has enabled. Context: module init. */
void keel_fpu_module_init(void);

/* Allocate the guest's state, in its initial values. Return: 0, -ENOMEM. Free accepts a half-made one. Context: task. */
int keel_fpu_new(struct keel_vcpu *vcpu);
void keel_fpu_free(struct keel_vcpu *vcpu);

extern u64 keel_host_xcr0;	/* 0 without XSAVE */

/* Does the guest run with another XCR0? Without CR4.OSXSAVE none matters; as CR4 writes exit, the cached one is true. */
static inline bool keel_fpu_xcr0_differs(const struct keel_vcpu *vcpu)
{
	return vcpu->arch.fpu.xcr0 != keel_host_xcr0 && vcpu->arch.regs.cr4 & REGS_CR4_OSXSAVE &&
	       keel_host_xcr0;
}

/* The part of enter and leave that is outside of the thread's registers: XCR0 and PKRU. Context: IRQs off. */
void keel_fpu_switch_in(struct keel_vcpu *vcpu);
void keel_fpu_switch_out(struct keel_vcpu *vcpu);

/* Around KVM_RUN: the thread's registers become the guest's, and the other way. Context: task, vCPU loaded. */
static inline void keel_fpu_load(struct keel_vcpu *vcpu)
{
	fpu_swap_kvm_fpstate(&vcpu->arch.fpu.guest, true);
}

static inline void keel_fpu_put(struct keel_vcpu *vcpu)
{
	fpu_swap_kvm_fpstate(&vcpu->arch.fpu.guest, false);
}

/* Around guest entry: make sure the registers are in the CPU; XCR0 and PKRU where they differ. Context: IRQs off. */
static inline void keel_fpu_enter(struct keel_vcpu *vcpu)
{
	if (unlikely(test_thread_flag(TIF_NEED_FPU_LOAD)))
		switch_fpu_return();
	if (cpu_feature_enabled(X86_FEATURE_OSPKE) || unlikely(keel_fpu_xcr0_differs(vcpu)))
		keel_fpu_switch_in(vcpu);
}

static inline void keel_fpu_leave(struct keel_vcpu *vcpu)
{
	if (cpu_feature_enabled(X86_FEATURE_OSPKE) || unlikely(vcpu->arch.fpu.xcr0_in))
		keel_fpu_switch_out(vcpu);
}

/*
 * The SSE registers, for the emulator: @xmm holds 16 of 16 bytes; bit n of @dirty asks for
 * register n to be written. Context: task, between keel_fpu_load() and keel_fpu_put().
 */
void keel_fpu_xmm_read(struct keel_vcpu *vcpu, void *xmm);
void keel_fpu_xmm_write(struct keel_vcpu *vcpu, const void *xmm, u32 dirty);

/* Bytes of KVM_GET_XSAVE2's image, at least those of struct kvm_xsave: KVM_CAP_XSAVE2. */
unsigned int keel_fpu_xsave2_size(void);

/* KVM_GET/SET_FPU: argument struct kvm_fpu, copied by the dispatcher. Return: 0, -ENOMEM, -EINVAL. */
long keel_fpu_get(struct keel_call *call);
long keel_fpu_set(struct keel_call *call);

/*
 * KVM_GET_XSAVE: argument struct kvm_xsave, copied. KVM_GET_XSAVE2, KVM_SET_XSAVE: the user pointer, keel_fpu_xsave2_size() bytes.
 * Return: 0; -EINVAL: unknown components or MXCSR bits, or (GET_XSAVE) the image is larger; -EFAULT, -ENOMEM.
 */
long keel_xsave_get(struct keel_call *call);
long keel_xsave2_get(struct keel_call *call);
long keel_xsave_set(struct keel_call *call);

#endif /* KEEL_FPU_H */
