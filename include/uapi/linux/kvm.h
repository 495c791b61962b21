/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) */
/*
 * The /dev/kvm ABI of Linux 7.2, as far as it concerns x86.
 *
 * The same header is used on every host kernel, so a module on 6.1 can offer what came later.
 * scripts/check-abi compares it with the header of the distribution. IN is written by user space,
 * OUT by the module, IO by both in turn. Every pad, padding and reserved member must be 0 on the
 * way in unless its ioctl says otherwise, and is 0 on the way out.
 */
#ifndef KEEL_UAPI_LINUX_KVM_H
#define KEEL_UAPI_LINUX_KVM_H

#ifdef __LINUX_KVM_H
#error "the host's linux/kvm.h came first; include Keel's uapi headers before it"
#endif
/* The host's own copy stays empty from here on. */
#define __LINUX_KVM_H

#include <linux/const.h>
#include <linux/ioctl.h>
#include <linux/stddef.h>
#include <linux/types.h>
/* By path: <asm/kvm.h> would find the host's copy first in a kernel build. */
#include "../../../arch/x86/include/uapi/asm/kvm.h"

#define KVM_API_VERSION	12
#define KVMIO		0xAE

/* --- guest memory --- */

/* Bits of the flags below; bits 16-31 of a slot number select the address space. */
#define KVM_MEM_LOG_DIRTY_PAGES	(1UL << 0)
#define KVM_MEM_READONLY	(1UL << 1)
#define KVM_MEM_GUEST_MEMFD	(1UL << 2)

/* KVM_SET_USER_MEMORY_REGION, IN; sizes and addresses in bytes, size 0 deletes the slot. */
struct kvm_userspace_memory_region {
	__u32 slot;
	__u32 flags;
	__u64 guest_phys_addr;
	__u64 memory_size;
	__u64 userspace_addr;
};

/* KVM_SET_USER_MEMORY_REGION2, IN. */
struct kvm_userspace_memory_region2 {
	__u32 slot;
	__u32 flags;
	__u64 guest_phys_addr;
	__u64 memory_size;
	__u64 userspace_addr;
	__u64 guest_memfd_offset;
	__u32 guest_memfd;
	__u32 pad1;
	__u64 pad2[14];
};

/* KVM_GET_DIRTY_LOG, IN: one bit per 4 KiB page of the slot goes to dirty_bitmap. */
struct kvm_dirty_log {
	__u32 slot;
	__u32 padding1;
	union {
		void __user *dirty_bitmap;
		__u64 padding2;
	};
};

/* KVM_CLEAR_DIRTY_LOG, IN; first_page and num_pages are multiples of 64 (or end the slot). */
struct kvm_clear_dirty_log {
	__u32 slot;
	__u32 num_pages;
	__u64 first_page;
	union {
		void __user *dirty_bitmap;
		__u64 padding2;
	};
};

/* KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 */
#define KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE	(1 << 0)
#define KVM_DIRTY_LOG_INITIALLY_SET		(1 << 1)

/* One entry of the dirty ring, IO: flags go 0 -> DIRTY (module) -> RESET (user) -> 0 (module). */
struct kvm_dirty_gfn {
	__u32 flags;
	__u32 slot;
	__u64 offset;
};

#define KVM_DIRTY_GFN_F_DIRTY	_BITUL(0)
#define KVM_DIRTY_GFN_F_RESET	_BITUL(1)
#define KVM_DIRTY_GFN_F_MASK	0x3

/* KVM_SET_MEMORY_ATTRIBUTES, IN; bytes, page aligned. */
struct kvm_memory_attributes {
	__u64 address;
	__u64 size;
	__u64 attributes;
	__u64 flags;
};

#define KVM_MEMORY_ATTRIBUTE_PRIVATE	(1ULL << 3)

/* KVM_CREATE_GUEST_MEMFD, IN; the ioctl returns the fd. */
struct kvm_create_guest_memfd {
	__u64 size;
	__u64 flags;
	__u64 reserved[6];
};

#define GUEST_MEMFD_FLAG_MMAP		(1ULL << 0)
#define GUEST_MEMFD_FLAG_INIT_SHARED	(1ULL << 1)

/* KVM_PRE_FAULT_MEMORY, IO: gpa and size advance past what was done. */
struct kvm_pre_fault_memory {
	__u64 gpa;
	__u64 size;
	__u64 flags;
	__u64 padding[5];
};

/* KVM_TRANSLATE: linear_address IN, the rest OUT. */
struct kvm_translation {
	__u64 linear_address;
	__u64 physical_address;
	__u8 valid;
	__u8 writeable;
	__u8 usermode;
	__u8 pad[5];
};

/* KVM_MEMORY_ENCRYPT_REG_REGION and UNREG_REGION, IN. */
struct kvm_enc_region {
	__u64 addr;
	__u64 size;
};

/* --- exits --- */

#define KVM_EXIT_UNKNOWN		0
#define KVM_EXIT_EXCEPTION		1
#define KVM_EXIT_IO			2
#define KVM_EXIT_HYPERCALL		3
#define KVM_EXIT_DEBUG			4
#define KVM_EXIT_HLT			5
#define KVM_EXIT_MMIO			6
#define KVM_EXIT_IRQ_WINDOW_OPEN	7
#define KVM_EXIT_SHUTDOWN		8
#define KVM_EXIT_FAIL_ENTRY		9
#define KVM_EXIT_INTR			10
#define KVM_EXIT_SET_TPR		11
#define KVM_EXIT_TPR_ACCESS		12
#define KVM_EXIT_NMI			16
#define KVM_EXIT_INTERNAL_ERROR		17
#define KVM_EXIT_WATCHDOG		21
#define KVM_EXIT_SYSTEM_EVENT		24
#define KVM_EXIT_IOAPIC_EOI		26
#define KVM_EXIT_HYPERV			27
#define KVM_EXIT_X86_RDMSR		29
#define KVM_EXIT_X86_WRMSR		30
#define KVM_EXIT_DIRTY_RING_FULL	31
#define KVM_EXIT_AP_RESET_HOLD		32
#define KVM_EXIT_X86_BUS_LOCK		33
#define KVM_EXIT_XEN			34
#define KVM_EXIT_NOTIFY			37
#define KVM_EXIT_MEMORY_FAULT		39
#define KVM_EXIT_TDX			40
#define KVM_EXIT_SNP_REQ_CERTS		43

/* kvm_run.io.direction */
#define KVM_EXIT_IO_IN	0
#define KVM_EXIT_IO_OUT	1

/* kvm_run.internal.suberror */
#define KVM_INTERNAL_ERROR_EMULATION			1
#define KVM_INTERNAL_ERROR_SIMUL_EX			2
#define KVM_INTERNAL_ERROR_DELIVERY_EV			3
#define KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON	4

/* kvm_run.emulation_failure.flags */
#define KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES	(1ULL << 0)

/* kvm_run.system_event.type */
#define KVM_SYSTEM_EVENT_SHUTDOWN	1
#define KVM_SYSTEM_EVENT_RESET		2
#define KVM_SYSTEM_EVENT_CRASH		3
#define KVM_SYSTEM_EVENT_WAKEUP		4
#define KVM_SYSTEM_EVENT_SUSPEND	5
#define KVM_SYSTEM_EVENT_SEV_TERM	6
#define KVM_SYSTEM_EVENT_TDX_FATAL	7

/* kvm_run.msr.reason, and the argument of KVM_CAP_X86_USER_SPACE_MSR */
#define KVM_MSR_EXIT_REASON_INVAL	(1 << 0)
#define KVM_MSR_EXIT_REASON_UNKNOWN	(1 << 1)
#define KVM_MSR_EXIT_REASON_FILTER	(1 << 2)
#define KVM_MSR_EXIT_REASON_VALID_MASK						\
	(KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN |		\
	 KVM_MSR_EXIT_REASON_FILTER)

/* kvm_run.notify.flags and kvm_run.memory_fault.flags */
#define KVM_NOTIFY_CONTEXT_INVALID	(1 << 0)
#define KVM_MEMORY_EXIT_FLAG_PRIVATE	(1ULL << 3)

/* kvm_hyperv_exit.type and kvm_xen_exit.type */
#define KVM_EXIT_HYPERV_SYNIC	1
#define KVM_EXIT_HYPERV_HCALL	2
#define KVM_EXIT_HYPERV_SYNDBG	3
#define KVM_EXIT_XEN_HCALL	1

/* OUT; hcall.result IN. */
struct kvm_hyperv_exit {
	__u32 type;
	__u32 pad1;
	union {
		struct {
			__u32 msr;
			__u32 pad2;
			__u64 control;
			__u64 evt_page;
			__u64 msg_page;
		} synic;
		struct {
			__u64 input;
			__u64 result;
			__u64 params[2];
		} hcall;
		struct {
			__u32 msr;
			__u32 pad2;
			__u64 control;
			__u64 status;
			__u64 send_page;
			__u64 recv_page;
			__u64 pending_page;
		} syndbg;
	} u;
};

/* OUT; hcall.result IN. */
struct kvm_xen_exit {
	__u32 type;
	union {
		struct {
			__u32 longmode;
			__u32 cpl;
			__u64 input;
			__u64 result;
			__u64 params[6];
		} hcall;
	} u;
};

/* gpa and npages OUT, npages and ret IN. */
struct kvm_exit_snp_req_certs {
	__u64 gpa;
	__u64 npages;
	__u64 ret;
};

#define SYNC_REGS_SIZE_BYTES 2048

/* Page 0 of the vCPU's mmap. Shared and writable: the module reads each member once per use. */
struct kvm_run {
	/* IN */
	__u8 request_interrupt_window;
	__u8 immediate_exit;
	__u8 padding1[6];

	/* OUT */
	__u32 exit_reason;
	__u8 ready_for_interrupt_injection;
	__u8 if_flag;
	__u16 flags;

	/* IO: IN when KVM_RUN starts, OUT when it returns */
	__u64 cr8;
	__u64 apic_base;

	/* OUT, chosen by exit_reason; members marked IN are read by the next KVM_RUN */
	union {
		struct {				/* UNKNOWN */
			__u64 hardware_exit_reason;
		} hw;
		struct {				/* FAIL_ENTRY */
			__u64 hardware_entry_failure_reason;
			__u32 cpu;
		} fail_entry;
		struct {				/* EXCEPTION */
			__u32 exception;
			__u32 error_code;
		} ex;
		struct {				/* IO; data IN for direction IN */
			__u8 direction;
			__u8 size;
			__u16 port;
			__u32 count;
			__u64 data_offset;		/* bytes from the start of kvm_run */
		} io;
		struct {				/* DEBUG */
			struct kvm_debug_exit_arch arch;
		} debug;
		struct {				/* MMIO; data IN for a read */
			__u64 phys_addr;
			__u8 data[8];
			__u32 len;
			__u8 is_write;
		} mmio;
		struct {				/* HYPERCALL; ret IN */
			__u64 nr;
			__u64 args[6];
			__u64 ret;
			union {
				__u32 longmode;
				__u64 flags;
			};
		} hypercall;
		struct {				/* TPR_ACCESS */
			__u64 rip;
			__u32 is_write;
			__u32 pad;
		} tpr_access;
		struct {				/* INTERNAL_ERROR */
			__u32 suberror;
			__u32 ndata;
			__u64 data[16];
		} internal;
		struct {				/* INTERNAL_ERROR, suberror EMULATION */
			__u32 suberror;
			__u32 ndata;
			__u64 flags;
			union {
				struct {
					__u8 insn_size;
					__u8 insn_bytes[15];
				};
			};
		} emulation_failure;
		struct {				/* SYSTEM_EVENT */
			__u32 type;
			__u32 ndata;
			union {
				__u64 flags;
				__u64 data[16];
			};
		} system_event;
		struct {				/* IOAPIC_EOI */
			__u8 vector;
		} eoi;
		struct kvm_hyperv_exit hyperv;		/* HYPERV */
		struct {				/* X86_RDMSR, X86_WRMSR */
			__u8 error;			/* IN: not 0 injects #GP */
			__u8 pad[7];
			__u32 reason;
			__u32 index;
			__u64 data;			/* IN for RDMSR */
		} msr;
		struct kvm_xen_exit xen;		/* XEN */
		struct {				/* NOTIFY */
			__u32 flags;
		} notify;
		struct {				/* MEMORY_FAULT, with -EFAULT or -EHWPOISON */
			__u64 flags;
			__u64 gpa;
			__u64 size;
		} memory_fault;
		struct kvm_exit_snp_req_certs snp_req_certs;	/* SNP_REQ_CERTS */
		char padding[256];
	};

	/* KVM_CAP_SYNC_REGS, IN: which groups to copy out, and which were changed */
	__u64 kvm_valid_regs;
	__u64 kvm_dirty_regs;
	union {
		struct kvm_sync_regs regs;
		char padding[SYNC_REGS_SIZE_BYTES];
	} s;
};

/* KVM_(UN)REGISTER_COALESCED_MMIO, IN. */
struct kvm_coalesced_mmio_zone {
	__u64 addr;
	__u32 size;
	union {
		__u32 pad;
		__u32 pio;			/* 1: addr is a port */
	};
};

/* One entry of the coalesced ring, OUT. */
struct kvm_coalesced_mmio {
	__u64 phys_addr;
	__u32 len;
	union {
		__u32 pad;
		__u32 pio;
	};
	__u8 data[8];
};

/* User space moves first, the module moves last; empty when they are equal. */
struct kvm_coalesced_mmio_ring {
	__u32 first, last;
	__DECLARE_FLEX_ARRAY(struct kvm_coalesced_mmio, coalesced_mmio);
};

#define KVM_COALESCED_MMIO_MAX							\
	((PAGE_SIZE - sizeof(struct kvm_coalesced_mmio_ring)) /			\
	 sizeof(struct kvm_coalesced_mmio))

/* --- vCPU control --- */

/* KVM_INTERRUPT, IN: a vector (or, with the chips in the kernel, a PIC line). */
struct kvm_interrupt {
	__u32 irq;
};

/* KVM_SET_SIGNAL_MASK, IN: len is 8, the size of the kernel's sigset. */
struct kvm_signal_mask {
	__u32 len;
	__DECLARE_FLEX_ARRAY(__u8, sigset);
};

/* KVM_TPR_ACCESS_REPORTING: enabled IN, the rest 0. */
struct kvm_tpr_access_ctl {
	__u32 enabled;
	__u32 flags;
	__u32 reserved[8];
};

/* KVM_SET_VAPIC_ADDR, IN. */
struct kvm_vapic_addr {
	__u64 vapic_addr;
};

/* KVM_GET_MP_STATE OUT, KVM_SET_MP_STATE IN; the states that x86 uses. */
#define KVM_MP_STATE_RUNNABLE		0
#define KVM_MP_STATE_UNINITIALIZED	1
#define KVM_MP_STATE_INIT_RECEIVED	2
#define KVM_MP_STATE_HALTED		3
#define KVM_MP_STATE_SIPI_RECEIVED	4
#define KVM_MP_STATE_AP_RESET_HOLD	9

struct kvm_mp_state {
	__u32 mp_state;
};

/* kvm_guest_debug.control, lower half. */
#define KVM_GUESTDBG_ENABLE	0x00000001
#define KVM_GUESTDBG_SINGLESTEP	0x00000002

/* KVM_SET_GUEST_DEBUG, IN. */
struct kvm_guest_debug {
	__u32 control;
	__u32 pad;
	struct kvm_guest_debug_arch arch;
};

/* KVM_ENABLE_CAP, IN. */
struct kvm_enable_cap {
	__u32 cap;
	__u32 flags;
	__u64 args[4];
	__u8 pad[64];
};

/* KVM_CAP_X86_DISABLE_EXITS value and argument */
#define KVM_X86_DISABLE_EXITS_MWAIT		(1 << 0)
#define KVM_X86_DISABLE_EXITS_HLT		(1 << 1)
#define KVM_X86_DISABLE_EXITS_PAUSE		(1 << 2)
#define KVM_X86_DISABLE_EXITS_CSTATE		(1 << 3)
#define KVM_X86_DISABLE_EXITS_APERFMPERF	(1 << 4)

/* KVM_CAP_X86_BUS_LOCK_EXIT, KVM_CAP_X86_NOTIFY_VMEXIT, KVM_CAP_PMU_CAPABILITY */
#define KVM_BUS_LOCK_DETECTION_OFF		(1 << 0)
#define KVM_BUS_LOCK_DETECTION_EXIT		(1 << 1)
#define KVM_X86_NOTIFY_VMEXIT_ENABLED		(1ULL << 0)
#define KVM_X86_NOTIFY_VMEXIT_USER		(1ULL << 1)
#define KVM_PMU_CAP_DISABLE			(1 << 0)

/* KVM_GET_ONE_REG and KVM_SET_ONE_REG, IN; addr points to the value. */
struct kvm_one_reg {
	__u64 id;
	__u64 addr;
};

/* KVM_GET_REG_LIST: n IO, reg OUT. */
struct kvm_reg_list {
	__u64 n;
	__DECLARE_FLEX_ARRAY(__u64, reg);
};

#define KVM_REG_ARCH_MASK	0xff00000000000000ULL
#define KVM_REG_GENERIC		0x0000000000000000ULL
#define KVM_REG_X86		0x2000000000000000ULL
#define KVM_REG_SIZE_SHIFT	52
#define KVM_REG_SIZE_MASK	0x00f0000000000000ULL
#define KVM_REG_SIZE_U8		0x0000000000000000ULL
#define KVM_REG_SIZE_U16	0x0010000000000000ULL
#define KVM_REG_SIZE_U32	0x0020000000000000ULL
#define KVM_REG_SIZE_U64	0x0030000000000000ULL
#define KVM_REG_SIZE_U128	0x0040000000000000ULL
#define KVM_REG_SIZE_U256	0x0050000000000000ULL
#define KVM_REG_SIZE_U512	0x0060000000000000ULL
#define KVM_REG_SIZE_U1024	0x0070000000000000ULL
#define KVM_REG_SIZE_U2048	0x0080000000000000ULL

/* --- interrupts, clock, eventfds, devices --- */

/* KVM_IRQ_LINE(_STATUS): irq (a GSI) and level IN, status OUT. */
struct kvm_irq_level {
	union {
		__u32 irq;
		__s32 status;
	};
	__u32 level;
};

/* KVM_GET_IRQCHIP: chip_id IN, chip OUT; KVM_SET_IRQCHIP: IN. */
struct kvm_irqchip {
	__u32 chip_id;
	__u32 pad;
	union {
		char dummy[512];
		struct kvm_pic_state pic;
		struct kvm_ioapic_state ioapic;
	} chip;
};

/* KVM_CREATE_PIT2, IN. */
struct kvm_pit_config {
	__u32 flags;
	__u32 pad[15];
};

#define KVM_PIT_SPEAKER_DUMMY 1

/* kvm_irq_routing_entry.type */
#define KVM_IRQ_ROUTING_IRQCHIP		1
#define KVM_IRQ_ROUTING_MSI		2
#define KVM_IRQ_ROUTING_HV_SINT		4
#define KVM_IRQ_ROUTING_XEN_EVTCHN	5

#define KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL	((__u32)(-1))

struct kvm_irq_routing_irqchip {
	__u32 irqchip;
	__u32 pin;
};

struct kvm_irq_routing_msi {
	__u32 address_lo;
	__u32 address_hi;
	__u32 data;
	union {
		__u32 pad;
		__u32 devid;			/* with KVM_MSI_VALID_DEVID */
	};
};

struct kvm_irq_routing_hv_sint {
	__u32 vcpu;
	__u32 sint;
};

struct kvm_irq_routing_xen_evtchn {
	__u32 port;
	__u32 vcpu;
	__u32 priority;
};

struct kvm_irq_routing_entry {
	__u32 gsi;
	__u32 type;
	__u32 flags;
	__u32 pad;
	union {
		struct kvm_irq_routing_irqchip irqchip;
		struct kvm_irq_routing_msi msi;
		struct kvm_irq_routing_hv_sint hv_sint;
		struct kvm_irq_routing_xen_evtchn xen_evtchn;
		__u32 pad[8];
	} u;
};

/* KVM_SET_GSI_ROUTING, IN: replaces the whole table. */
struct kvm_irq_routing {
	__u32 nr;
	__u32 flags;
	__DECLARE_FLEX_ARRAY(struct kvm_irq_routing_entry, entries);
};

/* KVM_SIGNAL_MSI, IN. */
struct kvm_msi {
	__u32 address_lo;
	__u32 address_hi;
	__u32 data;
	__u32 flags;
	__u32 devid;
	__u8 pad[12];
};

#define KVM_MSI_VALID_DEVID (1U << 0)

#define KVM_IRQFD_FLAG_DEASSIGN	(1 << 0)
#define KVM_IRQFD_FLAG_RESAMPLE	(1 << 1)

/* KVM_IRQFD, IN. */
struct kvm_irqfd {
	__u32 fd;
	__u32 gsi;
	__u32 flags;
	__u32 resamplefd;
	__u8 pad[16];
};

enum {
	kvm_ioeventfd_flag_nr_datamatch,
	kvm_ioeventfd_flag_nr_pio,
	kvm_ioeventfd_flag_nr_deassign,
	kvm_ioeventfd_flag_nr_virtio_ccw_notify,
	kvm_ioeventfd_flag_nr_fast_mmio,
	kvm_ioeventfd_flag_nr_max,
};

#define KVM_IOEVENTFD_FLAG_DATAMATCH	(1 << kvm_ioeventfd_flag_nr_datamatch)
#define KVM_IOEVENTFD_FLAG_PIO		(1 << kvm_ioeventfd_flag_nr_pio)
#define KVM_IOEVENTFD_FLAG_DEASSIGN	(1 << kvm_ioeventfd_flag_nr_deassign)
#define KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY	(1 << kvm_ioeventfd_flag_nr_virtio_ccw_notify)
#define KVM_IOEVENTFD_VALID_FLAG_MASK	((1 << kvm_ioeventfd_flag_nr_max) - 1)

/* KVM_IOEVENTFD, IN; len 0, 1, 2, 4 or 8. */
struct kvm_ioeventfd {
	__u64 datamatch;
	__u64 addr;
	__u32 len;
	__s32 fd;
	__u32 flags;
	__u8 pad[36];
};

/* kvm_clock_data.flags and KVM_CAP_ADJUST_CLOCK; 1 is never used. */
#define KVM_CLOCK_TSC_STABLE	2
#define KVM_CLOCK_REALTIME	(1 << 2)
#define KVM_CLOCK_HOST_TSC	(1 << 3)

/* KVM_GET_CLOCK OUT, KVM_SET_CLOCK IN; ns, host_tsc in cycles. */
struct kvm_clock_data {
	__u64 clock;
	__u32 flags;
	__u32 pad0;
	__u64 realtime;
	__u64 host_tsc;
	__u32 pad[4];
};

#define KVM_CREATE_DEVICE_TEST 1

/* KVM_CREATE_DEVICE: type and flags IN, fd OUT. */
struct kvm_create_device {
	__u32 type;
	__u32 fd;
	__u32 flags;
};

/* KVM_SET, GET and HAS_DEVICE_ATTR, IN; addr points to the value. */
struct kvm_device_attr {
	__u32 flags;
	__u32 group;
	__u64 attr;
	__u64 addr;
};

/* The one in-kernel device type of x86; clients test for the macro too. */
enum kvm_device_type {
	KVM_DEV_TYPE_VFIO = 4,
};
#define KVM_DEV_TYPE_VFIO KVM_DEV_TYPE_VFIO

/* Group and attributes of KVM_DEV_TYPE_VFIO; addr points to an int fd. */
#define KVM_DEV_VFIO_FILE	1
#define KVM_DEV_VFIO_FILE_ADD	1
#define KVM_DEV_VFIO_FILE_DEL	2
#define KVM_DEV_VFIO_GROUP	KVM_DEV_VFIO_FILE
#define KVM_DEV_VFIO_GROUP_ADD	KVM_DEV_VFIO_FILE_ADD
#define KVM_DEV_VFIO_GROUP_DEL	KVM_DEV_VFIO_FILE_DEL

/* --- binary statistics (KVM_GET_STATS_FD) --- */

/* At offset 0 of the stats fd, OUT; offsets in bytes from the start. */
struct kvm_stats_header {
	__u32 flags;
	__u32 name_size;
	__u32 num_desc;
	__u32 id_offset;
	__u32 desc_offset;
	__u32 data_offset;
};

/* kvm_stats_desc.flags: type, unit and base of the exponent, four bits each. */
#define KVM_STATS_TYPE_SHIFT		0
#define KVM_STATS_TYPE_MASK		(0xF << KVM_STATS_TYPE_SHIFT)
#define KVM_STATS_TYPE_CUMULATIVE	(0x0 << KVM_STATS_TYPE_SHIFT)
#define KVM_STATS_TYPE_INSTANT		(0x1 << KVM_STATS_TYPE_SHIFT)
#define KVM_STATS_TYPE_PEAK		(0x2 << KVM_STATS_TYPE_SHIFT)
#define KVM_STATS_TYPE_LINEAR_HIST	(0x3 << KVM_STATS_TYPE_SHIFT)
#define KVM_STATS_TYPE_LOG_HIST		(0x4 << KVM_STATS_TYPE_SHIFT)
#define KVM_STATS_TYPE_MAX		KVM_STATS_TYPE_LOG_HIST

#define KVM_STATS_UNIT_SHIFT		4
#define KVM_STATS_UNIT_MASK		(0xF << KVM_STATS_UNIT_SHIFT)
#define KVM_STATS_UNIT_NONE		(0x0 << KVM_STATS_UNIT_SHIFT)
#define KVM_STATS_UNIT_BYTES		(0x1 << KVM_STATS_UNIT_SHIFT)
#define KVM_STATS_UNIT_SECONDS		(0x2 << KVM_STATS_UNIT_SHIFT)
#define KVM_STATS_UNIT_CYCLES		(0x3 << KVM_STATS_UNIT_SHIFT)
#define KVM_STATS_UNIT_BOOLEAN		(0x4 << KVM_STATS_UNIT_SHIFT)
#define KVM_STATS_UNIT_MAX		KVM_STATS_UNIT_BOOLEAN

#define KVM_STATS_BASE_SHIFT		8
#define KVM_STATS_BASE_MASK		(0xF << KVM_STATS_BASE_SHIFT)
#define KVM_STATS_BASE_POW10		(0x0 << KVM_STATS_BASE_SHIFT)
#define KVM_STATS_BASE_POW2		(0x1 << KVM_STATS_BASE_SHIFT)
#define KVM_STATS_BASE_MAX		KVM_STATS_BASE_POW2

/* One descriptor, OUT; offset counts from the data block, name is name_size bytes long. */
struct kvm_stats_desc {
	__u32 flags;
	__s16 exponent;
	__u16 size;
	__u32 offset;
	__u32 bucket_size;
	__DECLARE_FLEX_ARRAY(char, name);
};

/* --- ioctls; a number may mean different things on different fds --- */

/* On /dev/kvm. CREATE_VM takes a KVM_X86_*_VM type, CHECK_EXTENSION a KVM_CAP_*. */
#define KVM_GET_API_VERSION		_IO(KVMIO, 0x00)
#define KVM_CREATE_VM			_IO(KVMIO, 0x01)
#define KVM_GET_MSR_INDEX_LIST		_IOWR(KVMIO, 0x02, struct kvm_msr_list)
#define KVM_CHECK_EXTENSION		_IO(KVMIO, 0x03)
#define KVM_GET_VCPU_MMAP_SIZE		_IO(KVMIO, 0x04)
#define KVM_GET_SUPPORTED_CPUID		_IOWR(KVMIO, 0x05, struct kvm_cpuid2)
#define KVM_GET_EMULATED_CPUID		_IOWR(KVMIO, 0x09, struct kvm_cpuid2)
#define KVM_GET_MSR_FEATURE_INDEX_LIST	_IOWR(KVMIO, 0x0a, struct kvm_msr_list)
#define KVM_X86_GET_MCE_CAP_SUPPORTED	_IOR(KVMIO, 0x9d, __u64)

/* On a VM fd. CREATE_VCPU takes the vCPU id, which is the initial APIC id. */
#define KVM_CREATE_VCPU			_IO(KVMIO, 0x41)
#define KVM_GET_DIRTY_LOG		_IOW(KVMIO, 0x42, struct kvm_dirty_log)
#define KVM_SET_NR_MMU_PAGES		_IO(KVMIO, 0x44)
#define KVM_GET_NR_MMU_PAGES		_IO(KVMIO, 0x45)
#define KVM_SET_USER_MEMORY_REGION	_IOW(KVMIO, 0x46, struct kvm_userspace_memory_region)
#define KVM_SET_TSS_ADDR		_IO(KVMIO, 0x47)
#define KVM_SET_IDENTITY_MAP_ADDR	_IOW(KVMIO, 0x48, __u64)
#define KVM_SET_USER_MEMORY_REGION2	_IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)
#define KVM_CREATE_IRQCHIP		_IO(KVMIO, 0x60)
#define KVM_IRQ_LINE			_IOW(KVMIO, 0x61, struct kvm_irq_level)
#define KVM_GET_IRQCHIP			_IOWR(KVMIO, 0x62, struct kvm_irqchip)
#define KVM_SET_IRQCHIP			_IOR(KVMIO, 0x63, struct kvm_irqchip)
#define KVM_CREATE_PIT			_IO(KVMIO, 0x64)
#define KVM_GET_PIT			_IOWR(KVMIO, 0x65, struct kvm_pit_state)
#define KVM_SET_PIT			_IOR(KVMIO, 0x66, struct kvm_pit_state)
#define KVM_IRQ_LINE_STATUS		_IOWR(KVMIO, 0x67, struct kvm_irq_level)
#define KVM_REGISTER_COALESCED_MMIO	_IOW(KVMIO, 0x67, struct kvm_coalesced_mmio_zone)
#define KVM_UNREGISTER_COALESCED_MMIO	_IOW(KVMIO, 0x68, struct kvm_coalesced_mmio_zone)
#define KVM_SET_GSI_ROUTING		_IOW(KVMIO, 0x6a, struct kvm_irq_routing)
#define KVM_REINJECT_CONTROL		_IO(KVMIO, 0x71)
#define KVM_IRQFD			_IOW(KVMIO, 0x76, struct kvm_irqfd)
#define KVM_CREATE_PIT2			_IOW(KVMIO, 0x77, struct kvm_pit_config)
#define KVM_SET_BOOT_CPU_ID		_IO(KVMIO, 0x78)
#define KVM_IOEVENTFD			_IOW(KVMIO, 0x79, struct kvm_ioeventfd)
#define KVM_XEN_HVM_CONFIG		_IOW(KVMIO, 0x7a, struct kvm_xen_hvm_config)
#define KVM_SET_CLOCK			_IOW(KVMIO, 0x7b, struct kvm_clock_data)
#define KVM_GET_CLOCK			_IOR(KVMIO, 0x7c, struct kvm_clock_data)
#define KVM_GET_PIT2			_IOR(KVMIO, 0x9f, struct kvm_pit_state2)
#define KVM_SET_PIT2			_IOW(KVMIO, 0xa0, struct kvm_pit_state2)
#define KVM_SIGNAL_MSI			_IOW(KVMIO, 0xa5, struct kvm_msi)
#define KVM_SET_PMU_EVENT_FILTER	_IOW(KVMIO, 0xb2, struct kvm_pmu_event_filter)
#define KVM_MEMORY_ENCRYPT_REG_REGION	_IOR(KVMIO, 0xbb, struct kvm_enc_region)
#define KVM_MEMORY_ENCRYPT_UNREG_REGION	_IOR(KVMIO, 0xbc, struct kvm_enc_region)
#define KVM_HYPERV_EVENTFD		_IOW(KVMIO, 0xbd, struct kvm_hyperv_eventfd)
#define KVM_CLEAR_DIRTY_LOG		_IOWR(KVMIO, 0xc0, struct kvm_clear_dirty_log)
#define KVM_X86_SET_MSR_FILTER		_IOW(KVMIO, 0xc6, struct kvm_msr_filter)
#define KVM_RESET_DIRTY_RINGS		_IO(KVMIO, 0xc7)
#define KVM_XEN_HVM_GET_ATTR		_IOWR(KVMIO, 0xc8, struct kvm_xen_hvm_attr)
#define KVM_XEN_HVM_SET_ATTR		_IOW(KVMIO, 0xc9, struct kvm_xen_hvm_attr)
#define KVM_XEN_HVM_EVTCHN_SEND		_IOW(KVMIO, 0xd0, struct kvm_irq_routing_xen_evtchn)
#define KVM_SET_MEMORY_ATTRIBUTES	_IOW(KVMIO, 0xd2, struct kvm_memory_attributes)
#define KVM_CREATE_GUEST_MEMFD		_IOWR(KVMIO, 0xd4, struct kvm_create_guest_memfd)
#define KVM_CREATE_DEVICE		_IOWR(KVMIO, 0xe0, struct kvm_create_device)

/* On a vCPU fd. */
#define KVM_RUN				_IO(KVMIO, 0x80)
#define KVM_GET_REGS			_IOR(KVMIO, 0x81, struct kvm_regs)
#define KVM_SET_REGS			_IOW(KVMIO, 0x82, struct kvm_regs)
#define KVM_GET_SREGS			_IOR(KVMIO, 0x83, struct kvm_sregs)
#define KVM_SET_SREGS			_IOW(KVMIO, 0x84, struct kvm_sregs)
#define KVM_TRANSLATE			_IOWR(KVMIO, 0x85, struct kvm_translation)
#define KVM_INTERRUPT			_IOW(KVMIO, 0x86, struct kvm_interrupt)
#define KVM_SET_MSRS			_IOW(KVMIO, 0x89, struct kvm_msrs)
#define KVM_SET_CPUID			_IOW(KVMIO, 0x8a, struct kvm_cpuid)
#define KVM_SET_SIGNAL_MASK		_IOW(KVMIO, 0x8b, struct kvm_signal_mask)
#define KVM_GET_FPU			_IOR(KVMIO, 0x8c, struct kvm_fpu)
#define KVM_SET_FPU			_IOW(KVMIO, 0x8d, struct kvm_fpu)
#define KVM_GET_LAPIC			_IOR(KVMIO, 0x8e, struct kvm_lapic_state)
#define KVM_SET_LAPIC			_IOW(KVMIO, 0x8f, struct kvm_lapic_state)
#define KVM_SET_CPUID2			_IOW(KVMIO, 0x90, struct kvm_cpuid2)
#define KVM_GET_CPUID2			_IOWR(KVMIO, 0x91, struct kvm_cpuid2)
#define KVM_TPR_ACCESS_REPORTING	_IOWR(KVMIO, 0x92, struct kvm_tpr_access_ctl)
#define KVM_SET_VAPIC_ADDR		_IOW(KVMIO, 0x93, struct kvm_vapic_addr)
#define KVM_GET_MP_STATE		_IOR(KVMIO, 0x98, struct kvm_mp_state)
#define KVM_SET_MP_STATE		_IOW(KVMIO, 0x99, struct kvm_mp_state)
#define KVM_NMI				_IO(KVMIO, 0x9a)
#define KVM_SET_GUEST_DEBUG		_IOW(KVMIO, 0x9b, struct kvm_guest_debug)
#define KVM_X86_SETUP_MCE		_IOW(KVMIO, 0x9c, __u64)
#define KVM_X86_SET_MCE			_IOW(KVMIO, 0x9e, struct kvm_x86_mce)
#define KVM_GET_VCPU_EVENTS		_IOR(KVMIO, 0x9f, struct kvm_vcpu_events)
#define KVM_SET_VCPU_EVENTS		_IOW(KVMIO, 0xa0, struct kvm_vcpu_events)
#define KVM_GET_DEBUGREGS		_IOR(KVMIO, 0xa1, struct kvm_debugregs)
#define KVM_SET_DEBUGREGS		_IOW(KVMIO, 0xa2, struct kvm_debugregs)
#define KVM_GET_XSAVE			_IOR(KVMIO, 0xa4, struct kvm_xsave)
#define KVM_SET_XSAVE			_IOW(KVMIO, 0xa5, struct kvm_xsave)
#define KVM_GET_XCRS			_IOR(KVMIO, 0xa6, struct kvm_xcrs)
#define KVM_SET_XCRS			_IOW(KVMIO, 0xa7, struct kvm_xcrs)
#define KVM_GET_ONE_REG			_IOW(KVMIO, 0xab, struct kvm_one_reg)
#define KVM_SET_ONE_REG			_IOW(KVMIO, 0xac, struct kvm_one_reg)
#define KVM_KVMCLOCK_CTRL		_IO(KVMIO, 0xad)
#define KVM_GET_REG_LIST		_IOWR(KVMIO, 0xb0, struct kvm_reg_list)
#define KVM_SMI				_IO(KVMIO, 0xb7)
#define KVM_GET_NESTED_STATE		_IOWR(KVMIO, 0xbe, struct kvm_nested_state)
#define KVM_SET_NESTED_STATE		_IOW(KVMIO, 0xbf, struct kvm_nested_state)
#define KVM_XEN_VCPU_GET_ATTR		_IOWR(KVMIO, 0xca, struct kvm_xen_vcpu_attr)
#define KVM_XEN_VCPU_SET_ATTR		_IOW(KVMIO, 0xcb, struct kvm_xen_vcpu_attr)
#define KVM_GET_SREGS2			_IOR(KVMIO, 0xcc, struct kvm_sregs2)
#define KVM_SET_SREGS2			_IOW(KVMIO, 0xcd, struct kvm_sregs2)
#define KVM_GET_XSAVE2			_IOR(KVMIO, 0xcf, struct kvm_xsave)
#define KVM_PRE_FAULT_MEMORY		_IOWR(KVMIO, 0xd5, struct kvm_pre_fault_memory)

/* On more than one kind of fd. */
#define KVM_GET_MSRS			_IOWR(KVMIO, 0x88, struct kvm_msrs)	/* system, vCPU */
#define KVM_SET_TSC_KHZ			_IO(KVMIO, 0xa2)			/* VM, vCPU */
#define KVM_GET_TSC_KHZ			_IO(KVMIO, 0xa3)			/* VM, vCPU */
#define KVM_ENABLE_CAP			_IOW(KVMIO, 0xa3, struct kvm_enable_cap) /* VM, vCPU */
#define KVM_MEMORY_ENCRYPT_OP		_IOWR(KVMIO, 0xba, unsigned long)	/* VM, vCPU */
#define KVM_GET_SUPPORTED_HV_CPUID	_IOWR(KVMIO, 0xc1, struct kvm_cpuid2)	/* system, vCPU */
#define KVM_GET_STATS_FD		_IO(KVMIO, 0xce)			/* VM, vCPU */
#define KVM_SET_DEVICE_ATTR		_IOW(KVMIO, 0xe1, struct kvm_device_attr) /* vCPU, device */
#define KVM_GET_DEVICE_ATTR		_IOW(KVMIO, 0xe2, struct kvm_device_attr) /* and system */
#define KVM_HAS_DEVICE_ATTR		_IOW(KVMIO, 0xe3, struct kvm_device_attr) /* and system */

/* --- capabilities that x86 knows --- */

#define KVM_CAP_IRQCHIP				0
#define KVM_CAP_HLT				1
#define KVM_CAP_MMU_SHADOW_CACHE_CONTROL	2
#define KVM_CAP_USER_MEMORY			3
#define KVM_CAP_SET_TSS_ADDR			4
#define KVM_CAP_VAPIC				6
#define KVM_CAP_EXT_CPUID			7
#define KVM_CAP_CLOCKSOURCE			8
#define KVM_CAP_NR_VCPUS			9
#define KVM_CAP_NR_MEMSLOTS			10
#define KVM_CAP_PIT				11
#define KVM_CAP_NOP_IO_DELAY			12
#define KVM_CAP_PV_MMU				13
#define KVM_CAP_MP_STATE			14
#define KVM_CAP_COALESCED_MMIO			15
#define KVM_CAP_SYNC_MMU			16
#define KVM_CAP_IOMMU				18
#define KVM_CAP_DESTROY_MEMORY_REGION_WORKS	21
#define KVM_CAP_USER_NMI			22
#define KVM_CAP_SET_GUEST_DEBUG			23
#define KVM_CAP_REINJECT_CONTROL		24
#define KVM_CAP_IRQ_ROUTING			25
#define KVM_CAP_IRQ_INJECT_STATUS		26
#define KVM_CAP_ASSIGN_DEV_IRQ			29
#define KVM_CAP_JOIN_MEMORY_REGIONS_WORKS	30
#define KVM_CAP_MCE				31
#define KVM_CAP_IRQFD				32
#define KVM_CAP_PIT2				33
#define KVM_CAP_SET_BOOT_CPU_ID			34
#define KVM_CAP_PIT_STATE2			35
#define KVM_CAP_IOEVENTFD			36
#define KVM_CAP_SET_IDENTITY_MAP_ADDR		37
#define KVM_CAP_XEN_HVM				38
#define KVM_CAP_ADJUST_CLOCK			39
#define KVM_CAP_INTERNAL_ERROR_DATA		40
#define KVM_CAP_VCPU_EVENTS			41
#define KVM_CAP_HYPERV				44
#define KVM_CAP_HYPERV_VAPIC			45
#define KVM_CAP_HYPERV_SPIN			46
#define KVM_CAP_PCI_SEGMENT			47
#define KVM_CAP_INTR_SHADOW			49
#define KVM_CAP_DEBUGREGS			50
#define KVM_CAP_X86_ROBUST_SINGLESTEP		51
#define KVM_CAP_ENABLE_CAP			54
#define KVM_CAP_XSAVE				55
#define KVM_CAP_XCRS				56
#define KVM_CAP_ASYNC_PF			59
#define KVM_CAP_TSC_CONTROL			60
#define KVM_CAP_GET_TSC_KHZ			61
#define KVM_CAP_MAX_VCPUS			66
#define KVM_CAP_ONE_REG				70
#define KVM_CAP_TSC_DEADLINE_TIMER		72
#define KVM_CAP_SYNC_REGS			74
#define KVM_CAP_PCI_2_3				75
#define KVM_CAP_KVMCLOCK_CTRL			76
#define KVM_CAP_SIGNAL_MSI			77
#define KVM_CAP_READONLY_MEM			81
#define KVM_CAP_IRQFD_RESAMPLE			82
#define KVM_CAP_DEVICE_CTRL			89
#define KVM_CAP_EXT_EMUL_CPUID			95
#define KVM_CAP_HYPERV_TIME			96
#define KVM_CAP_IOAPIC_POLARITY_IGNORED		97
#define KVM_CAP_ENABLE_CAP_VM			98
#define KVM_CAP_IOEVENTFD_NO_LENGTH		100
#define KVM_CAP_VM_ATTRIBUTES			101
#define KVM_CAP_CHECK_EXTENSION_VM		105
#define KVM_CAP_DISABLE_QUIRKS			116
#define KVM_CAP_X86_SMM				117
#define KVM_CAP_MULTI_ADDRESS_SPACE		118
#define KVM_CAP_GUEST_DEBUG_HW_BPS		119
#define KVM_CAP_GUEST_DEBUG_HW_WPS		120
#define KVM_CAP_SPLIT_IRQCHIP			121
#define KVM_CAP_IOEVENTFD_ANY_LENGTH		122
#define KVM_CAP_HYPERV_SYNIC			123
#define KVM_CAP_VCPU_ATTRIBUTES			127
#define KVM_CAP_MAX_VCPU_ID			128
#define KVM_CAP_X2APIC_API			129
#define KVM_CAP_MSI_DEVID			131
#define KVM_CAP_IMMEDIATE_EXIT			136
#define KVM_CAP_X86_DISABLE_EXITS		143
#define KVM_CAP_HYPERV_SYNIC2			148
#define KVM_CAP_HYPERV_VP_INDEX			149
#define KVM_CAP_GET_MSR_FEATURES		153
#define KVM_CAP_HYPERV_EVENTFD			154
#define KVM_CAP_HYPERV_TLBFLUSH			155
#define KVM_CAP_NESTED_STATE			157
#define KVM_CAP_MSR_PLATFORM_INFO		159
#define KVM_CAP_HYPERV_SEND_IPI			161
#define KVM_CAP_COALESCED_PIO			162
#define KVM_CAP_HYPERV_ENLIGHTENED_VMCS		163
#define KVM_CAP_EXCEPTION_PAYLOAD		164
#define KVM_CAP_MANUAL_DIRTY_LOG_PROTECT	166
#define KVM_CAP_HYPERV_CPUID			167
#define KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2	168
#define KVM_CAP_PMU_EVENT_FILTER		173
#define KVM_CAP_HYPERV_DIRECT_TLBFLUSH		175
#define KVM_CAP_HALT_POLL			182
#define KVM_CAP_ASYNC_PF_INT			183
#define KVM_CAP_LAST_CPU			184
#define KVM_CAP_SMALLER_MAXPHYADDR		185
#define KVM_CAP_STEAL_TIME			187
#define KVM_CAP_X86_USER_SPACE_MSR		188
#define KVM_CAP_X86_MSR_FILTER			189
#define KVM_CAP_ENFORCE_PV_FEATURE_CPUID	190
#define KVM_CAP_SYS_HYPERV_CPUID		191
#define KVM_CAP_DIRTY_LOG_RING			192
#define KVM_CAP_X86_BUS_LOCK_EXIT		193
#define KVM_CAP_SET_GUEST_DEBUG2		195
#define KVM_CAP_SGX_ATTRIBUTE			196
#define KVM_CAP_VM_COPY_ENC_CONTEXT_FROM	197
#define KVM_CAP_PTP_KVM				198
#define KVM_CAP_HYPERV_ENFORCE_CPUID		199
#define KVM_CAP_SREGS2				200
#define KVM_CAP_EXIT_HYPERCALL			201
#define KVM_CAP_BINARY_STATS_FD			203
#define KVM_CAP_EXIT_ON_EMULATION_FAILURE	204
#define KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM	206
#define KVM_CAP_VM_GPA_BITS			207
#define KVM_CAP_XSAVE2				208
#define KVM_CAP_SYS_ATTRIBUTES			209
#define KVM_CAP_PMU_CAPABILITY			212
#define KVM_CAP_DISABLE_QUIRKS2			213
#define KVM_CAP_VM_TSC_CONTROL			214
#define KVM_CAP_SYSTEM_EVENT_DATA		215
#define KVM_CAP_X86_TRIPLE_FAULT_EVENT		218
#define KVM_CAP_X86_NOTIFY_VMEXIT		219
#define KVM_CAP_VM_DISABLE_NX_HUGE_PAGES	220
#define KVM_CAP_DIRTY_LOG_RING_ACQ_REL		223
#define KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP	225
#define KVM_CAP_PMU_EVENT_MASKED_EVENTS		226
#define KVM_CAP_USER_MEMORY2			231
#define KVM_CAP_MEMORY_FAULT_INFO		232
#define KVM_CAP_MEMORY_ATTRIBUTES		233
#define KVM_CAP_GUEST_MEMFD			234
#define KVM_CAP_VM_TYPES			235
#define KVM_CAP_PRE_FAULT_MEMORY		236
#define KVM_CAP_X86_APIC_BUS_CYCLES_NS		237
#define KVM_CAP_X86_GUEST_MODE			238
#define KVM_CAP_GUEST_MEMFD_FLAGS		244

#endif
