/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The local APIC of one vCPU: registers in xAPIC and x2APIC form, interrupt priority, timer, IPIs
 * and message destinations.
 *
 * struct lapic belongs to its vCPU's thread alone; nothing here locks. What others send is posted
 * elsewhere and taken in with lapic_merge(). What others need for finding a destination is copied
 * out into struct lapic_addr. Times are parameters: now_ns counts nanoseconds of any clock that
 * never steps back and stays below 2^63; now_tsc is the guest's TSC.
 */
#ifndef KEEL_PURE_LAPIC_H
#define KEEL_PURE_LAPIC_H

#include "types.h"

/* Offsets of registers in the xAPIC page; an x2APIC MSR is 0x800 + (offset >> 4). */
enum lapic_offset {
	LAPIC_ID = 0x20,
	LAPIC_VERSION = 0x30,
	LAPIC_TPR = 0x80,
	LAPIC_APR = 0x90,
	LAPIC_PPR = 0xa0,
	LAPIC_EOI = 0xb0,
	LAPIC_RRD = 0xc0,
	LAPIC_LDR = 0xd0,
	LAPIC_DFR = 0xe0,
	LAPIC_SVR = 0xf0,
	LAPIC_ISR = 0x100,
	LAPIC_TMR = 0x180,
	LAPIC_IRR = 0x200,
	LAPIC_ESR = 0x280,
	LAPIC_LVT_CMCI_AT = 0x2f0,
	LAPIC_ICR = 0x300,
	LAPIC_ICR_HIGH = 0x310,
	LAPIC_LVT_AT = 0x320,		/* timer, thermal, perf, LINT0, LINT1, error: 16 bytes each */
	LAPIC_TIMER_INITIAL = 0x380,
	LAPIC_TIMER_CURRENT = 0x390,
	LAPIC_TIMER_DIVIDE = 0x3e0,
	LAPIC_SELF_IPI = 0x3f0,		/* x2APIC only */
};

#define LAPIC_PAGE_SIZE 1024		/* of struct kvm_lapic_state */
#define LAPIC_MSR_FIRST 0x800u
#define LAPIC_MSR_LAST 0x8ffu
#define LAPIC_MSR_EOI 0x80bu
#define LAPIC_MSR_ICR 0x830u

/* Local interrupts, in the order of their registers; CMCI is the seventh. */
enum lapic_lvt {
	LAPIC_LVT_TIMER,
	LAPIC_LVT_THERMAL,
	LAPIC_LVT_PERF,
	LAPIC_LVT_LINT0,
	LAPIC_LVT_LINT1,
	LAPIC_LVT_ERROR,
	LAPIC_LVT_CMCI,
	LAPIC_LVTS,
};

/* Delivery modes in ICR, LVT, MSI and redirection entries; not every place has all of them. */
enum lapic_delivery {
	LAPIC_FIXED = 0,
	LAPIC_LOWEST = 1,
	LAPIC_SMI = 2,
	LAPIC_RESERVED = 3,
	LAPIC_NMI = 4,
	LAPIC_INIT = 5,
	LAPIC_SIPI = 6,
	LAPIC_EXTINT = 7,
};

enum lapic_shorthand {
	LAPIC_TO_DEST = 0,		/* the destination field says whom */
	LAPIC_TO_SELF = 1,
	LAPIC_TO_ALL = 2,
	LAPIC_TO_OTHERS = 3,
};

/* What this vCPU's APIC offers. May change while the vCPU does not run (KVM_SET_CPUID2). */
struct lapic_config {
	u32 bus_ns;			/* one count of the timer at divide 1; 1..LAPIC_BUS_NS_MAX */
	u32 min_period_ns;		/* a periodic timer ticks no faster; at least 1 */
	bool cmci;			/* the seventh LVT entry is there */
	bool directed_eoi;		/* SVR bit 12 and its version bit */
	bool tsc_deadline;		/* the third timer mode */
	bool masks_perf;		/* delivering LVT perf sets its mask bit (Intel) */
	bool lint0_extint;		/* LINT0 comes out of reset as unmasked ExtINT, not masked */
};

#define LAPIC_BUS_NS_MAX ((1u << 24) - 1)	/* 2^32 counts x 128 x this stay below 2^63 ns */

struct lapic {
	union {
		u32 reg[LAPIC_PAGE_SIZE / 16];	/* the register at offset o is reg[o >> 4] */
		u64 pair[LAPIC_PAGE_SIZE / 32];	/* two at once, for ISR, TMR and IRR */
	};

	/* Derived from reg[] and base, for the hot path. */
	s16 irr_top;			/* highest vector in IRR, or -1 */
	s16 isr_top;			/* highest vector in ISR, or -1 */
	bool hw_enabled;		/* APIC_BASE bit 11 */
	bool x2apic;			/* APIC_BASE bit 10, with bit 11 */
	bool sw_enabled;		/* hw_enabled and SVR bit 8 */

	bool armed;			/* the timer runs */
	u8 esr_pending;			/* errors since the last write to ESR */
	u32 id;				/* 32 bits; the vCPU's id */
	u64 base;			/* APIC_BASE as last told */
	u64 due_ns;			/* one-shot, periodic: next expiry */
	u64 deadline;			/* TSC deadline: next expiry, 0: none */
	struct lapic_config config;
};

/* A message on its way to APICs: an IPI, an MSI or an interrupt of an I/O APIC. */
struct lapic_ipi {
	u8 mode;			/* enum lapic_delivery */
	u8 vector;
	u8 shorthand;			/* enum lapic_shorthand */
	bool logical;
	bool level_assert;
	bool trigger_level;		/* sets the TMR bit; never set in an IPI */
	bool wide;			/* 32-bit destination: 0xff is not a broadcast */
	bool redirect;			/* MSI redirection hint: treat as lowest priority if logical */
	u32 dest;
};

/* What an operation wants done. Functions OR into flags; the caller has cleared them. */
enum lapic_fx {
	LAPIC_FX_IPI = 1 << 0,		/* send .ipi */
	LAPIC_FX_EOI = 1 << 1,		/* .eoi_vector has ended */
	LAPIC_FX_EOI_LEVEL = 1 << 2,	/* ... and I/O APICs must be told of it */
	LAPIC_FX_TIMER = 1 << 3,	/* ask lapic_timer_next() again */
	LAPIC_FX_EVAL = 1 << 4,		/* lapic_pending() or the TPR may have changed */
	LAPIC_FX_ADDR = 1 << 5,		/* lapic_addr() has changed: rebuild destination maps */
	LAPIC_FX_NMI = 1 << 6,		/* for this vCPU, as are the next three */
	LAPIC_FX_SMI = 1 << 7,
	LAPIC_FX_INIT = 1 << 8,
	LAPIC_FX_EXTINT = 1 << 9,	/* take the vector from the PIC */
};

struct lapic_effect {
	u16 flags;			/* enum lapic_fx */
	u8 eoi_vector;
	struct lapic_ipi ipi;
};

/*
 * Life and modes. A state is usable once lapic_power_up() has run; every other function relies on
 * it. @base is a value that regs_check_apic_base() accepts.
 */

/* Power-up or creation: everything is lost. @id is the vCPU's id. */
void lapic_power_up(struct lapic *l, const struct lapic_config *config, u32 id, u64 base);

/* The vCPU has received INIT: registers are as after power-up, except base, mode and id. */
void lapic_signal_init(struct lapic *l, struct lapic_effect *fx);

/*
 * APIC_BASE was written. Entering x2APIC mode fixes ID and LDR and keeps the rest; disabling
 * resets all registers. Any old mode and any new one are fine: user space may set what a guest
 * may not.
 */
void lapic_set_base(struct lapic *l, u64 base, struct lapic_effect *fx);

/*
 * Register access. Any offset or index is safe.
 */

/*
 * xAPIC: a 32-bit load or store at @offset of the page, when hw_enabled and not x2apic. Offsets
 * that are no multiple of 16 read 0 and drop writes; registers that do not exist do so too and log
 * an ESR error, which may raise the error interrupt (look at lapic_pending() again).
 */
u32 lapic_read(struct lapic *l, u32 offset, u64 now_ns);
void lapic_write(struct lapic *l, u32 offset, u32 value, u64 now_ns, struct lapic_effect *fx);

/*
 * x2APIC: RDMSR and WRMSR of LAPIC_MSR_FIRST..LAPIC_MSR_LAST. False is #GP(0) with nothing
 * changed, which includes every access outside x2APIC mode.
 */
bool lapic_msr_read(const struct lapic *l, u32 msr, u64 now_ns, u64 *value);
bool lapic_msr_write(struct lapic *l, u32 msr, u64 value, u64 now_ns, struct lapic_effect *fx);

/* Hot: a write to EOI; ends the highest interrupt in service and does nothing if there is none. */
void lapic_eoi(struct lapic *l, struct lapic_effect *fx);

/* Hot: an ICR write that passed its mode's checks; @high is the destination field as written. */
void lapic_icr(struct lapic *l, u32 low, u32 high, struct lapic_effect *fx);

/* Hot: TPR, and CR8 as its upper half. PPR follows. */
void lapic_set_tpr(struct lapic *l, u8 tpr);

static inline void lapic_set_cr8(struct lapic *l, u8 cr8)
{
	lapic_set_tpr(l, (cr8 & 0xf) << 4);
}

static inline u8 lapic_get_cr8(const struct lapic *l)
{
	return l->reg[LAPIC_TPR >> 4] >> 4 & 0xf;
}

/*
 * Interrupts. Hot, interrupts off is fine, bounded by eight words.
 */

/*
 * Takes in vectors posted by others: @pir has a bit for each, @level the same bits for those that
 * are level-triggered (bits outside @pir do not matter). Vectors 0..15 become an ESR error.
 */
void lapic_merge(struct lapic *l, const u64 pir[4], const u64 level[4]);

/* One vector, as lapic_merge(). */
void lapic_post(struct lapic *l, u8 vector, bool level);

/* The vector the processor is to be given, or -1: software-enabled, in IRR, above PPR. */
static inline int lapic_pending(const struct lapic *l)
{
	/* -1 is below every class, so an empty IRR needs no test of its own. */
	if ((l->irr_top & ~0xf) <= (int)(l->reg[LAPIC_PPR >> 4] & 0xf0) || !l->sw_enabled)
		return -1;
	return l->irr_top;
}

/* The vector that waits for nothing but a lower TPR (ask for an exit when CR8 drops), or -1. */
int lapic_blocked_by_tpr(const struct lapic *l);

/* The processor takes @vector, which lapic_pending() has just named: from IRR to ISR. */
void lapic_accept(struct lapic *l, u8 vector);

/*
 * Has the end of the highest interrupt in service no effect but to end it? It is an edge, and nothing else is in
 * service or pending.
 */
bool lapic_end_is_quiet(const struct lapic *l);

/*
 * A local interrupt source fires. A fixed one goes to IRR, others become an effect; masked ones
 * are lost. True when the vCPU has something new to look at. Triggers count as edges: call it when
 * the line rises. LAPIC_LVT_CMCI without config.cmci does nothing.
 */
bool lapic_lvt_deliver(struct lapic *l, enum lapic_lvt which, struct lapic_effect *fx);

/* Does this vCPU take interrupts of the PIC: through LINT0, or because its APIC is disabled? */
bool lapic_accept_pic(const struct lapic *l);

/*
 * A CPU that runs the APIC by itself keeps the registers in a page of its own, 32 bits at each offset. While it does,
 * TPR, PPR, IRR and ISR are the page's: lapic_page_get() comes before any other function that
 * looks at them, lapic_page_put() before the next entry.
 */

/* @all: every register, else the four above and TMR. @page has 4 KiB. */
void lapic_page_put(const struct lapic *l, bool all, u32 *page);
void lapic_page_get(struct lapic *l, const u32 *page);

/* Does the page hold what the guest's RDMSR of @msr gives? Any index is safe. */
bool lapic_msr_in_page(const struct lapic *l, u32 msr);

/* The CPU has ended service of @vector by itself: what is left to do, as after lapic_eoi(). */
void lapic_ended(struct lapic *l, u8 vector, struct lapic_effect *fx);

/*
 * Timer.
 */

enum lapic_timer_kind {
	LAPIC_TIMER_NONE,
	LAPIC_TIMER_NS,			/* *@when is in now_ns' clock */
	LAPIC_TIMER_TSC,		/* *@when is a guest TSC value */
};

/* When lapic_timer_expire() is to be called next; masked timers expire as others do. */
enum lapic_timer_kind lapic_timer_next(const struct lapic *l, u64 *when);

/*
 * Delivers an expiry that is due by now, several periods as one, and sets up the next; early calls
 * change nothing. Only the time of the mode that is set is looked at. True when an interrupt went
 * to IRR. Afterwards lapic_timer_next() is later than now.
 */
bool lapic_timer_expire(struct lapic *l, u64 now_ns, u64 now_tsc);

/* IA32_TSC_DEADLINE: writes count, and reads are not 0, only in TSC-deadline mode. */
void lapic_set_deadline(struct lapic *l, u64 deadline, struct lapic_effect *fx);
u64 lapic_get_deadline(const struct lapic *l);

/*
 * Destinations.
 */

/* What others must know of an APIC to find out whether a message is for it. */
struct lapic_addr {
	u32 id;				/* x2APIC id */
	u32 ldr;			/* xAPIC: 8 bits, shifted down */
	u8 xapic_id;
	bool hw_enabled;		/* else it hears nothing */
	bool sw_enabled;		/* else it takes no fixed and lowest-priority interrupts */
	bool x2apic;
	bool cluster;			/* xAPIC: DFR's model */
};

void lapic_addr(const struct lapic *l, struct lapic_addr *out);

/*
 * The physical id by which others reach it. With an id above 255 the 8-bit one would be another
 * vCPU's: in xAPIC mode too it is the full id, so that x2APIC senders can wake it.
 */
static inline u32 lapic_physical_id(const struct lapic_addr *addr)
{
	return addr->x2apic || addr->id > 255 ? addr->id : addr->xapic_id;
}

/*
 * Is an APIC at @addr meant by @dest? @wide: @dest has 32 bits, else 8. All ones of the width are
 * a broadcast, and 0xffffffff always is. Does not look at enables.
 */
bool lapic_match(const struct lapic_addr *addr, u32 dest, bool logical, bool wide);

/*
 * Does an APIC at @addr take @ipi? @self: it is the sender. Looks at shorthand and enables. For
 * lowest priority the caller chooses one of those that do.
 */
bool lapic_takes(const struct lapic_addr *addr, const struct lapic_ipi *ipi, bool self);

/* Capabilities enabled for the VM: the values of KVM_CAP_X2APIC_API's flags. */
#define LAPIC_API_IDS32 1u		/* KVM_X2APIC_API_USE_32BIT_IDS */
#define LAPIC_API_NO_QUIRK 2u		/* KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK */

/*
 * Decodes an MSI. @api: LAPIC_API_*; with IDS32 bits 63:40 of @address are bits 31:8 of the
 * destination and bits 39:32 must be 0, without it bits 63:32 are ignored. False: they are not 0.
 * Whether the delivery mode is one that MSIs may have is lapic_takes()' business: guests write it.
 */
bool lapic_msi_decode(u64 address, u32 data, unsigned int api, struct lapic_ipi *out);

/*
 * KVM_GET_LAPIC and KVM_SET_LAPIC; merge what is posted before. @page is little-endian, registers
 * at their offsets. The id stands in bits 31:24, except in x2APIC mode with LAPIC_API_IDS32: then
 * it has all 32. The TSC deadline is not part of the page.
 */

/* Fills all of @page. Call lapic_timer_expire() with the same time before: a count of 0 means that it was delivered. */
void lapic_export(const struct lapic *l, u64 now_ns, unsigned int api, u8 page[LAPIC_PAGE_SIZE]);

/*
 * False, with nothing changed, when the id is not the vCPU's although it is to be given in full.
 * Reserved bits are dropped, read-only and derived registers recomputed. The timer goes on from
 * the current count, or from the initial count when that is 0 or above it; but a one-shot timer
 * that has run down here and is put back as it is stays silent.
 */
bool lapic_import(struct lapic *l, const u8 page[LAPIC_PAGE_SIZE], u64 now_ns, unsigned int api,
		  struct lapic_effect *fx);

#endif /* KEEL_PURE_LAPIC_H */
