// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's FPU, SSE, AVX and protection-key state.
 *
 * Owns struct keel_fpu. The state itself rests in the host core's guest fpstate, which takes the place of the
 * thread's own during KVM_RUN, so that context switches save and restore it like any other. XCR0 and
 * PKRU are outside of it and are switched around the entry, when they differ.
 *
 * Does not own what XCR0 may be (pure/regs.c) nor which components are offered (core/cpuid.c).
 * Contexts: as on the prototypes. SDM volume 1, APM volume 1 and 2: "XSAVE/XRSTOR", "Memory Protection Keys".
 */
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>
#include <asm/pkru.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "core.h"
#include "fpu.h"

#define XFEATURES_LEGACY (REGS_XCR0_X87 | REGS_XCR0_SSE)

u64 keel_host_xcr0 __ro_after_init;

void keel_fpu_module_init(void)
{
	if (boot_cpu_has(X86_FEATURE_OSXSAVE))
		keel_host_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
}

int keel_fpu_new(struct keel_vcpu *vcpu)
{
	struct keel_fpu *fpu = &vcpu->arch.fpu;

	if (!fpu_alloc_guest_fpstate(&fpu->guest))
		return -ENOMEM;
	fpu->xcr0 = REGS_XCR0_X87;
	return 0;
}

void keel_fpu_free(struct keel_vcpu *vcpu)
{
	if (vcpu->arch.fpu.guest.fpstate)
		fpu_free_guest_fpstate(&vcpu->arch.fpu.guest);
}

void keel_fpu_switch_in(struct keel_vcpu *vcpu)
{
	struct keel_fpu *fpu = &vcpu->arch.fpu;

	if (keel_fpu_xcr0_differs(vcpu)) {
		xsetbv(XCR_XFEATURE_ENABLED_MASK, fpu->xcr0);
		fpu->xcr0_in = true;
	}
	if (cpu_feature_enabled(X86_FEATURE_OSPKE)) {
		fpu->host_pkru = rdpkru();
		write_pkru(fpu->pkru);
	}
}

void keel_fpu_switch_out(struct keel_vcpu *vcpu)
{
	struct keel_fpu *fpu = &vcpu->arch.fpu;

	if (cpu_feature_enabled(X86_FEATURE_OSPKE)) {
		fpu->pkru = rdpkru();
		write_pkru(fpu->host_pkru);
	}
	if (fpu->xcr0_in) {
		xsetbv(XCR_XFEATURE_ENABLED_MASK, keel_host_xcr0);
		fpu->xcr0_in = false;
	}
}

/* --- SSE registers for the emulator ----------------------------------------------------------- */

/* Calls @op for registers 0 to 15; the number is part of the instruction. */
#define EACH_XMM(op) \
	op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) \
	op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)

#define XMM_BYTES 16

static void xmm_lock(void)
{
	fpregs_lock();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
}

void keel_fpu_xmm_read(struct keel_vcpu *vcpu, void *xmm)
{
	u8 (*to)[XMM_BYTES] = xmm;

	xmm_lock();
#define XMM_READ(n) asm volatile("movdqu %%xmm" #n ", %0" : "=m" (to[n]));
	EACH_XMM(XMM_READ)
#undef XMM_READ
	fpregs_unlock();
}

void keel_fpu_xmm_write(struct keel_vcpu *vcpu, const void *xmm, u32 dirty)
{
	const u8 (*from)[XMM_BYTES] = xmm;

	xmm_lock();
#define XMM_WRITE(n) if (dirty & BIT(n)) asm volatile("movdqu %0, %%xmm" #n : : "m" (from[n]));
	EACH_XMM(XMM_WRITE)
#undef XMM_WRITE
	fpregs_unlock();
}

/* --- the API's views ----------------------------------------------------------------------------- */

unsigned int keel_fpu_xsave2_size(void)
{
	u32 size = 0;

	if (keel_host_xcr0)
		size = cpuid_xsave_size(&keel_cpuid_supported, keel_xcr0_supported(), false);
	return max_t(u32, size, sizeof(struct kvm_xsave));
}

/* Fills @image, which is all zero. */
static void image_fill(struct keel_vcpu *vcpu, void *image, unsigned int size)
{
	struct keel_fpu *fpu = &vcpu->arch.fpu;

	fpu_copy_guest_fpstate_to_uabi(&fpu->guest, image, size, fpu->guest.fpstate->user_xfeatures,
				       fpu->pkru);
}

static void *image_get(struct keel_vcpu *vcpu, unsigned int size)
{
	void *image = kvzalloc(size, GFP_KERNEL_ACCOUNT);

	if (image)
		image_fill(vcpu, image, size);
	return image;
}

/*
 * The host core refuses components outside of @xcr0 and reserved bits of MXCSR with -EINVAL, and the
 * compacted format if it has XSAVE.
 */
static long image_set(struct keel_vcpu *vcpu, const void *image)
{
	struct keel_fpu *fpu = &vcpu->arch.fpu;

	if (((const struct xregs_state *)image)->header.xcomp_bv)
		return -EINVAL;
	return fpu_copy_uabi_to_guest_fpstate(&fpu->guest, image, keel_xcr0_supported(), &fpu->pkru);
}

static unsigned int image_size(const struct keel_vcpu *vcpu)
{
	return max_t(unsigned int, vcpu->arch.fpu.guest.uabi_size, sizeof(struct kvm_xsave));
}

long keel_xsave_get(struct keel_call *call)
{
	if (image_size(call->vcpu) > sizeof(struct kvm_xsave))
		return -EINVAL;
	image_fill(call->vcpu, call->arg, sizeof(struct kvm_xsave));
	return 0;
}

long keel_xsave2_get(struct keel_call *call)
{
	unsigned int size = image_size(call->vcpu);
	void *image = image_get(call->vcpu, size);
	long err;

	if (!image)
		return -ENOMEM;
	err = copy_to_user(call->user, image, size) ? -EFAULT : 0;
	kvfree(image);
	return err;
}

long keel_xsave_set(struct keel_call *call)
{
	void *image = vmemdup_user(call->user, image_size(call->vcpu));
	long err;

	if (IS_ERR(image))
		return PTR_ERR(image);
	err = image_set(call->vcpu, image);
	kvfree(image);
	return err;
}

long keel_fpu_get(struct keel_call *call)
{
	struct kvm_fpu *out = call->arg;
	unsigned int size = image_size(call->vcpu);
	void *image = image_get(call->vcpu, size);
	const struct fxregs_state *fx = image;

	if (!image)
		return -ENOMEM;
	memcpy(out->fpr, fx->st_space, sizeof(out->fpr));
	out->fcw = fx->cwd;
	out->fsw = fx->swd;
	out->ftwx = fx->twd;
	out->last_opcode = fx->fop;
	out->last_ip = fx->rip;
	out->last_dp = fx->rdp;
	memcpy(out->xmm, fx->xmm_space, sizeof(out->xmm));
	out->mxcsr = fx->mxcsr;
	kvfree(image);
	return 0;
}

long keel_fpu_set(struct keel_call *call)
{
	const struct kvm_fpu *in = call->arg;
	void *image = image_get(call->vcpu, image_size(call->vcpu));
	struct xregs_state *x = image;
	struct fxregs_state *fx = image;
	long err;

	if (!image)
		return -ENOMEM;
	memcpy(fx->st_space, in->fpr, sizeof(in->fpr));
	fx->cwd = in->fcw;
	fx->swd = in->fsw;
	fx->twd = in->ftwx;
	fx->fop = in->last_opcode;
	fx->rip = in->last_ip;
	fx->rdp = in->last_dp;
	memcpy(fx->xmm_space, in->xmm, sizeof(in->xmm));
	fx->mxcsr = in->mxcsr;
	if (keel_host_xcr0)
		x->header.xfeatures |= XFEATURES_LEGACY;
	err = image_set(call->vcpu, image);
	kvfree(image);
	return err;
}
