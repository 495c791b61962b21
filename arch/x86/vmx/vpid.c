// SPDX-License-Identifier: GPL-2.0-only
/*
 * Virtual processor identifiers, and dropping translations.
 *
 * Owns the tags and the execution of INVEPT and INVVPID. A vCPU keeps one tag for its life.
 * Translations made through a VM's nested table carry that table's root and, beyond that, the
 * vCPU's tag; so when a vCPU comes to a CPU where it has not run last, INVEPT for its root drops
 * all that an earlier stay, an earlier owner of the tag, or an earlier table at the same address
 * may have left there. After that only what is asked for needs to be dropped.
 *
 * Flushes are noted in vmx_vcpu.pending and executed on the way to the next entry, on the CPU that
 * enters; an entry that fails has executed them all the same.
 *
 * Context: as on the prototypes. SDM volume 3: "Caching Translation Information".
 */
#include <linux/bitmap.h>
#include <linux/spinlock.h>
#include <vmx/vmx.h>

#define VPIDS 0x10000

static DEFINE_SPINLOCK(vpid_lock);		/* vpid_used */
static DECLARE_BITMAP(vpid_used, VPIDS);

u16 vmx_vpid_get(void)
{
	unsigned long vpid;

	if (!(vmx_hw.proc2 & VMX_PROC2_VPID))
		return 0;
	spin_lock(&vpid_lock);
	vpid = find_next_zero_bit(vpid_used, VPIDS, 1);
	if (vpid < VPIDS)
		__set_bit(vpid, vpid_used);
	spin_unlock(&vpid_lock);
	return vpid < VPIDS ? vpid : 0;
}

void vmx_vpid_put(u16 vpid)
{
	if (!vpid)
		return;
	spin_lock(&vpid_lock);
	__clear_bit(vpid, vpid_used);
	spin_unlock(&vpid_lock);
}

/* Both instructions' descriptor. */
struct flush_desc {
	u64 tag;
	u64 address;
};

static void invept(unsigned long type, u64 eptp)
{
	struct flush_desc desc = { .tag = eptp };

	asm volatile("1: invept %0, %1\n2:\n" _ASM_EXTABLE(1b, 2b)
		     : : "m" (desc), "r" (type) : "cc", "memory");
}

static void invvpid(unsigned long type, u16 vpid)
{
	struct flush_desc desc = { .tag = vpid };

	asm volatile("1: invvpid %0, %1\n2:\n" _ASM_EXTABLE(1b, 2b)
		     : : "m" (desc), "r" (type) : "cc", "memory");
}

static void flush_root(u64 eptp)
{
	if (vmx_hw.ept_vpid & VMX_CAP_INVEPT_ROOT)
		invept(VMX_INVEPT_ROOT, eptp);
	else
		invept(VMX_INVEPT_ALL, 0);
}

static void flush_tag(u16 vpid)
{
	if (vmx_hw.ept_vpid & VMX_CAP_INVVPID_TAG)
		invvpid(VMX_INVVPID_TAG, vpid);
	else
		invvpid(VMX_INVVPID_ALL, 0);
}

void vmx_flush_pending(struct vmx_vcpu *vmx)
{
	if (vmx->pending & VMX_PEND_NESTED)
		flush_root(vmx->eptp);
	else if (vmx->pending & VMX_PEND_GUEST && vmx->vpid)
		flush_tag(vmx->vpid);
	vmx->pending &= ~(VMX_PEND_NESTED | VMX_PEND_GUEST);
}

/* Without a tag every entry drops the guest's own translations. */
void vmx_flush(struct keel_vcpu *vcpu, enum keel_flush scope)
{
	to_vmx(vcpu)->pending |= scope == KEEL_FLUSH_NESTED ? VMX_PEND_NESTED : VMX_PEND_GUEST;
}

void vmx_flush_cpu_on(void)
{
	if (vmx_hw.ept_vpid & VMX_CAP_INVEPT_ALL)
		invept(VMX_INVEPT_ALL, 0);
	if (vmx_hw.proc2 & VMX_PROC2_VPID && vmx_hw.ept_vpid & VMX_CAP_INVVPID_ALL)
		invvpid(VMX_INVVPID_ALL, 0);
}
