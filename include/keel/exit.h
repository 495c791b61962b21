/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The vendor-neutral exit record. A vendor's decode op turns hardware words into one of these; the
 * common code acts on it and never sees a hardware control block.
 */
#ifndef KEEL_EXIT_H
#define KEEL_EXIT_H

#include <pure/taskswitch.h>

/* Why the guest stopped. One row each in keel_exits[] (arch/x86/core/exits.c). */
enum keel_exit_kind {
	KEEL_EXIT_NONE,		/* the fast path has dealt with it */
	KEEL_EXIT_HOST_IRQ,	/* a host interrupt, NMI or SMI is due; taken when IRQs are enabled */
	KEEL_EXIT_MCE,		/* host machine check while in the guest; the host has handled it */
	KEEL_EXIT_FAULT,	/* nested page fault: .fault */
	KEEL_EXIT_EXCEPTION,	/* intercepted guest exception: .exception */
	KEEL_EXIT_SOFT_INT,	/* INT n or INT3, where the CPU reports both alike */
	KEEL_EXIT_IRQ_WINDOW,
	KEEL_EXIT_NMI_WINDOW,
	KEEL_EXIT_EOI,		/* a CPU that runs the APIC has ended a service: .apic.vector */
	KEEL_EXIT_APIC_WRITE,	/* it has put into its page what the guest wrote: .apic */
	KEEL_EXIT_TPR,		/* CR8 fell below the class of the interrupt that waits for it */
	KEEL_EXIT_IO,		/* .io */
	KEEL_EXIT_CPUID,
	KEEL_EXIT_RDMSR,
	KEEL_EXIT_WRMSR,
	KEEL_EXIT_HLT,
	KEEL_EXIT_PAUSE,
	KEEL_EXIT_HYPERCALL,
	KEEL_EXIT_CR,		/* a control register is written, or CR8 read: .reg */
	KEEL_EXIT_DR,		/* a debug register is touched */
	KEEL_EXIT_XSETBV,
	KEEL_EXIT_WBINVD,	/* WBINVD and INVD: both only flush */
	KEEL_EXIT_MWAIT,	/* MONITOR and MWAIT: skipped */
	KEEL_EXIT_RDPMC,
	KEEL_EXIT_INVLPG,
	KEEL_EXIT_TASK_SWITCH,	/* .task */
	KEEL_EXIT_SHUTDOWN,	/* triple fault */
	KEEL_EXIT_UD,		/* an instruction this guest does not have: inject #UD */
	KEEL_EXIT_RSM,
	KEEL_EXIT_BAD_ENTRY,	/* the CPU refused the guest state */
	KEEL_EXIT_UNKNOWN,	/* a reason the vendor table has no use for */
	KEEL_EXIT_NR
};

/* Bits of keel_exit.fault.access. */
#define KEEL_ACCESS_READ	BIT64(0)
#define KEEL_ACCESS_WRITE	BIT64(1)
#define KEEL_ACCESS_EXEC	BIT64(2)
#define KEEL_ACCESS_TABLE	BIT64(3)	/* the CPU was walking the guest's own page tables */

struct keel_exit {
	u64 hw_reason;			/* as the CPU gave it; for traces, dumps and FAIL_ENTRY */
	u8 kind;			/* enum keel_exit_kind */
	u8 insn_len;			/* 0: not reported by the CPU, decode to find it */
	u8 nr_bytes;			/* instruction bytes reported by the CPU, 0 when none */
	u8 bytes[15];
	union {
		struct {
			gpa_t gpa;
			u8 access;	/* KEEL_ACCESS_* */
		} fault;
		struct {
			u64 payload;	/* CR2 or DR6 bits */
			u32 error_code;
			u8 vector;
			bool has_error;
			bool trap;	/* of an instruction that is to be stepped over first */
		} exception;
		struct {
			u16 port;
			u8 size;	/* 1, 2, 4 */
			bool in;
			bool string;
		} io;
		struct {
			u8 nr;		/* control register number */
			u8 gpr;		/* general register, 0 to 15; unknown when insn_len is 0 */
			bool read;	/* the general register is what is written */
			bool lmsw;	/* the source replaces CR0's low four bits only */
			bool has_msw;	/* the CPU reports LMSW's source, from memory too: */
			u16 msw;
		} reg;
		struct ts_request task;
		struct {
			u8 vector;	/* that has ended */
			u16 offset;	/* of the register that was written */
			u32 value;
		} apic;
	};
};

/* What a handler of keel_exits[] answers; a negative errno ends KVM_RUN with it. */
enum keel_next {
	KEEL_USER = 0,		/* kvm_run is filled: leave to user space */
	KEEL_RESUME = 1,	/* enter the guest again at the RIP it has */
	KEEL_SKIP = 2,		/* the instruction is done: step over it, then resume */
	KEEL_SKIP_USER = 3,	/* the same, then leave to user space */
};

#endif /* KEEL_EXIT_H */
