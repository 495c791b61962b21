/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) */
/*
 * The paravirtual interface between an x86 guest and KVM: CPUID bits, MSRs, hypercalls and the structures
 * in guest memory. Numbers and layouts are fixed by the interface; scripts/check-abi compares them with the
 * header of the distribution. GUEST and HOST say who writes.
 */
#ifndef KEEL_UAPI_ASM_KVM_PARA_H
#define KEEL_UAPI_ASM_KVM_PARA_H

#ifdef _UAPI_ASM_X86_KVM_PARA_H
#error "the host's asm/kvm_para.h came first; include Keel's uapi headers before it"
#endif
/* The host's own copy stays empty from here on. */
#define _UAPI_ASM_X86_KVM_PARA_H

#include <linux/types.h>

/* CPUID: the signature, and behind it the features in EAX and the hints in EDX. */
#define KVM_CPUID_SIGNATURE			0x40000000
#define KVM_SIGNATURE				"KVMKVMKVM\0\0\0"
#define KVM_CPUID_FEATURES			0x40000001

#define KVM_FEATURE_CLOCKSOURCE			0
#define KVM_FEATURE_NOP_IO_DELAY		1
#define KVM_FEATURE_MMU_OP			2	/* gone */
#define KVM_FEATURE_CLOCKSOURCE2		3
#define KVM_FEATURE_ASYNC_PF			4
#define KVM_FEATURE_STEAL_TIME			5
#define KVM_FEATURE_PV_EOI			6
#define KVM_FEATURE_PV_UNHALT			7
#define KVM_FEATURE_PV_TLB_FLUSH		9
#define KVM_FEATURE_ASYNC_PF_VMEXIT		10
#define KVM_FEATURE_PV_SEND_IPI			11
#define KVM_FEATURE_POLL_CONTROL		12
#define KVM_FEATURE_PV_SCHED_YIELD		13
#define KVM_FEATURE_ASYNC_PF_INT		14
#define KVM_FEATURE_MSI_EXT_DEST_ID		15
#define KVM_FEATURE_HC_MAP_GPA_RANGE		16
#define KVM_FEATURE_MIGRATION_CONTROL		17
#define KVM_FEATURE_CLOCKSOURCE_STABLE_BIT	24	/* the clock page's flags mean something */

#define KVM_HINTS_REALTIME			0

/* MSRs; the first two lie outside KVM's range and are the older names of the next two. */
#define MSR_KVM_WALL_CLOCK			0x11
#define MSR_KVM_SYSTEM_TIME			0x12
#define MSR_KVM_WALL_CLOCK_NEW			0x4b564d00
#define MSR_KVM_SYSTEM_TIME_NEW			0x4b564d01
#define MSR_KVM_ASYNC_PF_EN			0x4b564d02
#define MSR_KVM_STEAL_TIME			0x4b564d03
#define MSR_KVM_PV_EOI_EN			0x4b564d04
#define MSR_KVM_POLL_CONTROL			0x4b564d05
#define MSR_KVM_ASYNC_PF_INT			0x4b564d06
#define MSR_KVM_ASYNC_PF_ACK			0x4b564d07
#define MSR_KVM_MIGRATION_CONTROL		0x4b564d08

#define KVM_MSR_ENABLED				1	/* in the MSRs that hold an address */

/* At the address in MSR_KVM_STEAL_TIME. */
struct kvm_steal_time {
	__u64 steal;		/* HOST: ns in which the vCPU wanted to run and did not */
	__u32 version;		/* HOST: odd while steal is being written */
	__u32 flags;
	__u8  preempted;	/* HOST sets, GUEST adds to it */
	__u8  u8_pad[3];
	__u32 pad[11];
};

#define KVM_VCPU_PREEMPTED			(1 << 0)
#define KVM_VCPU_FLUSH_TLB			(1 << 1)

#define KVM_STEAL_ALIGNMENT_BITS		5
#define KVM_STEAL_VALID_BITS			((-1ULL << (KVM_STEAL_ALIGNMENT_BITS + 1)))
#define KVM_STEAL_RESERVED_MASK			(((1 << KVM_STEAL_ALIGNMENT_BITS) - 1) << 1)

/* KVM_HC_CLOCK_PAIRING */
#define KVM_CLOCK_PAIRING_WALLCLOCK		0

struct kvm_clock_pairing {
	__s64 sec;
	__s64 nsec;
	__u64 tsc;		/* the guest's */
	__u32 flags;
	__u32 pad[9];
};

/* Asynchronous page faults. */
#define KVM_ASYNC_PF_ENABLED			(1 << 0)
#define KVM_ASYNC_PF_SEND_ALWAYS		(1 << 1)
#define KVM_ASYNC_PF_DELIVERY_AS_PF_VMEXIT	(1 << 2)
#define KVM_ASYNC_PF_DELIVERY_AS_INT		(1 << 3)
#define KVM_ASYNC_PF_VEC_MASK			GENMASK(7, 0)

#define KVM_PV_REASON_PAGE_NOT_PRESENT		1
#define KVM_PV_REASON_PAGE_READY		2

struct kvm_vcpu_pv_apf_data {
	__u32 flags;
	__u32 token;
	__u8  pad[56];
	__u32 enabled;
};

#define KVM_MIGRATION_READY			(1 << 0)

/* KVM_HC_MAP_GPA_RANGE */
#define KVM_MAP_GPA_RANGE_PAGE_SZ_4K		0
#define KVM_MAP_GPA_RANGE_PAGE_SZ_2M		(1 << 0)
#define KVM_MAP_GPA_RANGE_PAGE_SZ_1G		(1 << 1)
#define KVM_MAP_GPA_RANGE_ENC_STAT(n)		((n) << 4)
#define KVM_MAP_GPA_RANGE_ENCRYPTED		KVM_MAP_GPA_RANGE_ENC_STAT(1)
#define KVM_MAP_GPA_RANGE_DECRYPTED		KVM_MAP_GPA_RANGE_ENC_STAT(0)

/* At the address in MSR_KVM_PV_EOI_EN. */
#define KVM_PV_EOI_BIT				0
#define KVM_PV_EOI_MASK				(0x1 << KVM_PV_EOI_BIT)
#define KVM_PV_EOI_ENABLED			KVM_PV_EOI_MASK
#define KVM_PV_EOI_DISABLED			0x0

/*
 * Hypercalls: the number in RAX, arguments in RBX, RCX, RDX, RSI; the answer in RAX. They stand in
 * linux/kvm_para.h, which includes this header; hence not when that is what includes us.
 */
#ifndef _UAPI__LINUX_KVM_PARA_H
#define KVM_ENOSYS				1000
#define KVM_EPERM				1
#define KVM_EFAULT				14
#define KVM_EINVAL				22
#define KVM_EOPNOTSUPP				95

#define KVM_HC_VAPIC_POLL_IRQ			1
#define KVM_HC_KICK_CPU				5
#define KVM_HC_CLOCK_PAIRING			9
#define KVM_HC_SEND_IPI				10
#define KVM_HC_SCHED_YIELD			11
#define KVM_HC_MAP_GPA_RANGE			12
#endif

#endif /* KEEL_UAPI_ASM_KVM_PARA_H */
