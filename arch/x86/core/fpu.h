/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest's FPU, SSE, AVX and protection-key state. */
#ifndef KEEL_FPU_H
#define KEEL_FPU_H

#include <keel/ioctl.h>
#include <linux/types.h>

struct keel_vcpu;

/* Read what the host has enabled. Context: module init. */
void keel_fpu_module_init(void);

/* Allocate the guest's state, in its initial values. Return: 0, -ENOMEM. Free accepts a half-made one. Context: task. */
int keel_fpu_new(struct keel_vcpu *vcpu);
void keel_fpu_free(struct keel_vcpu *vcpu);

/* Around KVM_RUN: the thread's registers become the guest's, and the other way. Context: task, vCPU loaded. */
void keel_fpu_load(struct keel_vcpu *vcpu);
void keel_fpu_put(struct keel_vcpu *vcpu);

/* Around guest entry: make sure the registers are in the CPU; XCR0 and PKRU where they differ. Context: IRQs off. */
void keel_fpu_enter(struct keel_vcpu *vcpu);
void keel_fpu_leave(struct keel_vcpu *vcpu);

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
