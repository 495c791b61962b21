// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC of one vCPU: its registers.
 *
 * It owns struct lapic but for the timer's fields (lapic-timer.c): the xAPIC page and the x2APIC
 * MSRs, priority (IRR, ISR, TMR, TPR, PPR), the local vector table, errors, what an ICR write
 * sends, reset and modes, and the page of KVM_GET/SET_LAPIC. It does not own whom a message is for
 * (lapic-msg.c), delivery to other vCPUs, the PIC, or which APIC_BASE values are legal (regs.c): it
 * says what is to be done in struct lapic_effect. Called by the vCPU's own thread only, with
 * interrupts off on the hot path.
 *
 * Intel SDM volume 3, "Advanced Programmable Interrupt Controller (APIC)": "Local APIC", "Local
 * Vector Table", "Error Handling", "Issuing Interprocessor Interrupts", "Handling Interrupts",
 * "Spurious Interrupt", "Extended XAPIC (x2APIC)". AMD APM volume 2: "Advanced Programmable
 * Interrupt Controller". KVM API: KVM_GET_LAPIC, KVM_SET_LAPIC, KVM_CAP_X2APIC_API.
 */
#include "lapic-priv.h"

#define BASE_X2APIC BIT64(10)
#define BASE_ENABLE BIT64(11)

#define VERSION_NUMBER 0x14u
#define VERSION_DIRECTED_EOI (1u << 24)

#define SVR_ENABLE (1u << 8)
#define SVR_VALID 0x3ffu		/* vector, enable, focus checking, which does nothing */
#define SVR_DIRECTED_EOI (1u << 12)
#define SVR_RESET 0xffu

#define ESR_SEND_ILLEGAL 0x20u
#define ESR_RECEIVE_ILLEGAL 0x40u
#define ESR_ILLEGAL_REGISTER 0x80u

#define DFR_MODEL_SHIFT 28
#define DFR_ONES 0x0fffffffu
#define XAPIC_ID_MASK 0xff000000u	/* also of LDR and of the upper half of ICR */

#define ICR_LOGICAL (1u << 11)
#define ICR_BUSY (1u << 12)		/* delivery status: always idle */
#define ICR_ASSERT (1u << 14)
#define ICR_LEVEL (1u << 15)
#define ICR_VALID 0x000ccfffu

#define LVT_BUSY (1u << 12)
#define LVT_REMOTE_IRR (1u << 14)
#define LVT_MASKED (1u << 16)
#define LVT_SOURCE_VALID 0x107ffu	/* vector, delivery mode, mask */
#define LVT_PIN_VALID 0x1a7ffu		/* ... polarity, trigger mode */
#define LVT_ERROR_VALID 0x100ffu
#define LVT_TIMER_VALID 0x300ffu	/* vector, mask, periodic */
#define LVT_TIMER_DEADLINE (1u << 18)
#define LVT_EXTINT (LAPIC_EXTINT << 8)

#define DIVIDE_VALID 0xbu

#define FIRST_LEGAL_VECTOR 16
#define ILLEGAL_VECTORS BITS64(FIRST_LEGAL_VECTOR - 1, 0)

/* Sets of registers: bit n stands for offset 16 x n. */
#define AT(offset) BIT64((offset) >> 4)
#define AT_RANGE(first, last) BITS64((last) >> 4, (first) >> 4)
#define AT_CMCI AT(LAPIC_LVT_CMCI_AT)
#define AT_PLAIN_RW                                                                                \
	(AT(LAPIC_TPR) | AT(LAPIC_SVR) | AT(LAPIC_ESR) | AT_CMCI | AT_RANGE(LAPIC_LVT_AT, 0x370) |  \
	 AT(LAPIC_TIMER_INITIAL) | AT(LAPIC_TIMER_DIVIDE))
#define X2APIC_READ                                                                                \
	(AT_PLAIN_RW | AT(LAPIC_ID) | AT(LAPIC_VERSION) | AT(LAPIC_PPR) | AT(LAPIC_LDR) |          \
	 AT_RANGE(LAPIC_ISR, 0x270) | AT(LAPIC_ICR) | AT(LAPIC_TIMER_CURRENT))
#define X2APIC_WRITE (AT_PLAIN_RW | AT(LAPIC_EOI) | AT(LAPIC_SELF_IPI))	/* and ICR, 64 bits */
#define XAPIC_ALL                                                                                  \
	(X2APIC_READ | AT(LAPIC_APR) | AT(LAPIC_EOI) | AT(LAPIC_RRD) | AT(LAPIC_DFR) |             \
	 AT(LAPIC_ICR_HIGH))

/*
 * Priority. IRR, TMR and ISR are eight registers each, one after the other in reg[], and are
 * treated as four words of 64 bits, lowest first as the processor has them. The tops and PPR always
 * agree with them.
 */

static u64 *irr(struct lapic *l)
{
	return &l->pair[LAPIC_IRR >> 5];
}

static u64 *isr(struct lapic *l)
{
	return &l->pair[LAPIC_ISR >> 5];
}

static u64 *tmr(struct lapic *l)
{
	return &l->pair[LAPIC_TMR >> 5];
}

/* The highest vector in @words, -1 for none. Without a loop: this is most of an EOI. */
static int top(const u64 *words)
{
	int i = words[3] ? 3 : words[2] ? 2 : words[1] ? 1 : 0;

	return words[i] ? i << 6 | (63 - __builtin_clzll(words[i])) : -1;
}

static void update_ppr(struct lapic *l)
{
	u32 tpr = REG(l, LAPIC_TPR), service = l->isr_top < 0 ? 0 : l->isr_top & 0xf0;

	REG(l, LAPIC_PPR) = (tpr & 0xf0) >= service ? tpr : service;
}

static void update_enabled(struct lapic *l)
{
	l->sw_enabled = l->hw_enabled && REG(l, LAPIC_SVR) & SVR_ENABLE;
}

void lapic_derive(struct lapic *l)
{
	l->irr_top = top(irr(l));
	l->isr_top = top(isr(l));
	update_ppr(l);
	update_enabled(l);
}

static void request(struct lapic *l, u8 vector, bool level)
{
	u64 bit = BIT64(vector & 63);
	unsigned int word = vector >> 6;

	irr(l)[word] |= bit;
	tmr(l)[word] = (tmr(l)[word] & ~bit) | (level ? bit : 0);
	if (vector > l->irr_top)
		l->irr_top = vector;
}

static u32 *lvt_reg(struct lapic *l, enum lapic_lvt which)
{
	return which == LAPIC_LVT_CMCI ? &REG(l, LAPIC_LVT_CMCI_AT) : &REG(l, LAPIC_LVT_AT) + which;
}

/*
 * An error is logged unseen until software writes ESR, and only the first of a series interrupts;
 * hence an error interrupt that is itself illegal ends here.
 */
static void log_error(struct lapic *l, u8 error)
{
	u32 lvt = *lvt_reg(l, LAPIC_LVT_ERROR);
	u8 before = l->esr_pending;

	l->esr_pending |= error;
	if (before || lvt & LVT_MASKED)
		return;
	if ((u8)lvt < FIRST_LEGAL_VECTOR)
		l->esr_pending |= ESR_RECEIVE_ILLEGAL;
	else
		request(l, lvt, false);
}

void lapic_post(struct lapic *l, u8 vector, bool level)
{
	if (!l->hw_enabled)
		return;
	if (vector < FIRST_LEGAL_VECTOR)
		log_error(l, ESR_RECEIVE_ILLEGAL);
	else
		request(l, vector, level);
}

void lapic_merge(struct lapic *l, const u64 pir[4], const u64 level[4])
{
	unsigned int i;

	if (!l->hw_enabled)
		return;
	for (i = 0; i < 4; i++) {
		u64 set = pir[i];
		int highest;

		if (!i && unlikely(set & ILLEGAL_VECTORS)) {
			log_error(l, ESR_RECEIVE_ILLEGAL);
			set &= ~ILLEGAL_VECTORS;
		}
		if (!set)
			continue;
		irr(l)[i] |= set;
		tmr(l)[i] = (tmr(l)[i] & ~set) | (level[i] & set);
		highest = i << 6 | (63 - __builtin_clzll(set));
		if (highest > l->irr_top)
			l->irr_top = highest;
	}
}

int lapic_blocked_by_tpr(const struct lapic *l)
{
	int class = l->irr_top & ~0xf, service = l->isr_top < 0 ? 0 : l->isr_top & 0xf0;

	if (!l->sw_enabled || class <= service || class > (int)(REG(l, LAPIC_TPR) & 0xf0))
		return -1;
	return l->irr_top;
}

void lapic_accept(struct lapic *l, u8 vector)
{
	u64 bit = BIT64(vector & 63);
	unsigned int word = vector >> 6;

	irr(l)[word] &= ~bit;
	isr(l)[word] |= bit;
	l->irr_top = top(irr(l));
	/* It was pending, so it is above all that is in service and above TPR. */
	l->isr_top = vector;
	REG(l, LAPIC_PPR) = vector & 0xf0;
}

void lapic_ended(struct lapic *l, u8 vector, struct lapic_effect *fx)
{
	fx->flags |= LAPIC_FX_EOI | LAPIC_FX_EVAL;
	fx->eoi_vector = vector;
	if (tmr(l)[vector >> 6] & BIT64(vector & 63) && !(REG(l, LAPIC_SVR) & SVR_DIRECTED_EOI))
		fx->flags |= LAPIC_FX_EOI_LEVEL;
}

void lapic_eoi(struct lapic *l, struct lapic_effect *fx)
{
	int vector = l->isr_top;
	u64 bit = BIT64(vector & 63);

	if (vector < 0)
		return;
	isr(l)[vector >> 6] &= ~bit;
	l->isr_top = top(isr(l));
	update_ppr(l);
	lapic_ended(l, vector, fx);
}

bool lapic_end_is_quiet(const struct lapic *l)
{
	const u64 *service = &l->pair[LAPIC_ISR >> 5], *level = &l->pair[LAPIC_TMR >> 5];
	int word = l->isr_top >> 6, i;
	u64 others = 0;

	if (l->isr_top < 0 || l->irr_top >= 0)
		return false;
	for (i = 0; i < 4; i++)
		others |= i == word ? service[i] & ~BIT64(l->isr_top & 63) : service[i];
	return !others && !(level[word] & BIT64(l->isr_top & 63));
}

void lapic_set_tpr(struct lapic *l, u8 tpr)
{
	REG(l, LAPIC_TPR) = tpr;
	update_ppr(l);
}

/*
 * Local vector table.
 */

static u32 lvt_valid(const struct lapic *l, enum lapic_lvt which)
{
	static const u32 valid[LAPIC_LVTS] = {
		[LAPIC_LVT_TIMER] = LVT_TIMER_VALID,
		[LAPIC_LVT_THERMAL] = LVT_SOURCE_VALID,
		[LAPIC_LVT_PERF] = LVT_SOURCE_VALID,
		[LAPIC_LVT_LINT0] = LVT_PIN_VALID,
		[LAPIC_LVT_LINT1] = LVT_PIN_VALID,
		[LAPIC_LVT_ERROR] = LVT_ERROR_VALID,
		[LAPIC_LVT_CMCI] = LVT_SOURCE_VALID,
	};

	if (which == LAPIC_LVT_TIMER && l->config.tsc_deadline)
		return LVT_TIMER_VALID | LVT_TIMER_DEADLINE;
	return valid[which];
}

/* Only for the registers of LVT entries. */
static enum lapic_lvt lvt_at(u32 offset)
{
	return offset == LAPIC_LVT_CMCI_AT ? LAPIC_LVT_CMCI : (offset - LAPIC_LVT_AT) >> 4;
}

static bool deliver_pin_bare(enum lapic_lvt which, struct lapic_effect *fx)
{
	if (which == LAPIC_LVT_LINT0)
		fx->flags |= LAPIC_FX_EXTINT;
	else if (which == LAPIC_LVT_LINT1)
		fx->flags |= LAPIC_FX_NMI;
	else
		return false;
	return true;
}

bool lapic_lvt_deliver(struct lapic *l, enum lapic_lvt which, struct lapic_effect *fx)
{
	u32 *reg, lvt;

	if ((unsigned int)which >= LAPIC_LVTS || (which == LAPIC_LVT_CMCI && !l->config.cmci))
		return false;
	/* Without an APIC the pins are INTR and NMI. */
	if (!l->hw_enabled)
		return deliver_pin_bare(which, fx);
	reg = lvt_reg(l, which);
	lvt = *reg;
	if (lvt & LVT_MASKED)
		return false;
	if (which == LAPIC_LVT_PERF && l->config.masks_perf)
		*reg |= LVT_MASKED;
	switch (lvt >> 8 & 7) {
	case LAPIC_FIXED:
		lapic_post(l, lvt, false);
		fx->flags |= LAPIC_FX_EVAL;
		return true;
	case LAPIC_SMI:
		fx->flags |= LAPIC_FX_SMI;
		return true;
	case LAPIC_NMI:
		fx->flags |= LAPIC_FX_NMI;
		return true;
	case LAPIC_INIT:
		fx->flags |= LAPIC_FX_INIT;
		return true;
	case LAPIC_EXTINT:
		fx->flags |= LAPIC_FX_EXTINT;
		return true;
	}
	return false;
}

bool lapic_accept_pic(const struct lapic *l)
{
	u32 lint0 = REG(l, LAPIC_LVT_AT + 16 * LAPIC_LVT_LINT0);

	return !l->hw_enabled || (lint0 & (LVT_MASKED | 0x700)) == LVT_EXTINT;
}

/*
 * IPIs.
 */

void lapic_addr(const struct lapic *l, struct lapic_addr *out)
{
	u32 ldr = REG(l, LAPIC_LDR);

	*out = (struct lapic_addr){
		.id = l->id,
		.ldr = l->x2apic ? ldr : ldr >> 24,
		.xapic_id = l->x2apic ? l->id : REG(l, LAPIC_ID) >> 24,
		.hw_enabled = l->hw_enabled,
		.sw_enabled = l->sw_enabled,
		.x2apic = l->x2apic,
		.cluster = !(REG(l, LAPIC_DFR) >> DFR_MODEL_SHIFT),
	};
}

static void send_self(struct lapic *l, u8 vector, struct lapic_effect *fx)
{
	if (vector < FIRST_LEGAL_VECTOR)
		log_error(l, ESR_SEND_ILLEGAL);
	else if (l->sw_enabled)
		request(l, vector, false);
	fx->flags |= LAPIC_FX_EVAL;
}

void lapic_icr(struct lapic *l, u32 low, u32 high, struct lapic_effect *fx)
{
	u8 mode = low >> 8 & 7, shorthand = low >> 18 & 3;

	REG(l, LAPIC_ICR) = low & ~ICR_BUSY;
	REG(l, LAPIC_ICR_HIGH) = high;
	if (mode <= LAPIC_LOWEST && (shorthand == LAPIC_TO_SELF || (u8)low < FIRST_LEGAL_VECTOR)) {
		send_self(l, low, fx);
		return;
	}
	/* Combinations with shorthands that the manual calls invalid are sent all the same. */
	if (mode == LAPIC_RESERVED || mode == LAPIC_EXTINT)
		return;
	/* INIT level de-assert, which synchronised arbitration ids on old buses. */
	if (mode == LAPIC_INIT && (low & (ICR_ASSERT | ICR_LEVEL)) == ICR_LEVEL)
		return;
	fx->flags |= LAPIC_FX_IPI;
	/* The trigger mode is not passed on: all IPIs that remain are edges. */
	fx->ipi = (struct lapic_ipi){
		.mode = mode,
		.vector = low,
		.shorthand = shorthand,
		.logical = low & ICR_LOGICAL,
		.level_assert = low & ICR_ASSERT,
		.wide = l->x2apic,
		.dest = l->x2apic ? high : high >> 24,
	};
}

/*
 * Registers.
 */

static u32 svr_valid(const struct lapic *l)
{
	return l->config.directed_eoi ? SVR_VALID | SVR_DIRECTED_EOI : SVR_VALID;
}

u32 lapic_version(const struct lapic *l)
{
	u32 version = VERSION_NUMBER | (l->config.cmci ? LAPIC_LVT_CMCI : LAPIC_LVT_ERROR) << 16;

	return l->config.directed_eoi ? version | VERSION_DIRECTED_EOI : version;
}

static u32 read_reg(const struct lapic *l, u32 offset, u64 now_ns)
{
	switch (offset) {
	case LAPIC_VERSION:
		return lapic_version(l);
	case LAPIC_TIMER_CURRENT:
		return lapic_timer_count(l, now_ns);
	default:
		return REG(l, offset);
	}
}

static void write_svr(struct lapic *l, u32 value, struct lapic_effect *fx)
{
	unsigned int i;
	u32 changed = REG(l, LAPIC_SVR) ^ value;

	REG(l, LAPIC_SVR) = value & svr_valid(l);
	if (!(changed & SVR_ENABLE))
		return;
	if (!(value & SVR_ENABLE))
		for (i = 0; i < LAPIC_LVTS; i++)
			*lvt_reg(l, i) |= LVT_MASKED;
	update_enabled(l);
	fx->flags |= LAPIC_FX_ADDR | LAPIC_FX_EVAL;
}

static void write_lvt(struct lapic *l, u32 offset, u32 value, u64 now_ns, struct lapic_effect *fx)
{
	enum lapic_lvt which = lvt_at(offset);

	value &= lvt_valid(l, which);
	if (!(REG(l, LAPIC_SVR) & SVR_ENABLE))
		value |= LVT_MASKED;
	if (which == LAPIC_LVT_TIMER) {
		lapic_timer_set_lvt(l, value, now_ns);
		fx->flags |= LAPIC_FX_TIMER;
	} else {
		*lvt_reg(l, which) = value;
	}
	fx->flags |= LAPIC_FX_EVAL;
}

/* Writes to registers that are read-only or that the mode does not have end up in no case. */
static void write_reg(struct lapic *l, u32 offset, u32 value, u64 now_ns, struct lapic_effect *fx)
{
	switch (offset) {
	case LAPIC_TPR:
		lapic_set_tpr(l, value);
		fx->flags |= LAPIC_FX_EVAL;
		break;
	case LAPIC_SVR:
		write_svr(l, value, fx);
		break;
	case LAPIC_ESR:
		REG(l, LAPIC_ESR) = l->esr_pending;
		l->esr_pending = 0;
		break;
	case LAPIC_LVT_CMCI_AT:
	case LAPIC_LVT_AT ... LAPIC_LVT_AT + 16 * LAPIC_LVT_ERROR:
		write_lvt(l, offset, value, now_ns, fx);
		break;
	case LAPIC_TIMER_INITIAL:
		lapic_timer_set_initial(l, value, now_ns);
		fx->flags |= LAPIC_FX_TIMER;
		break;
	case LAPIC_TIMER_DIVIDE:
		lapic_timer_set_divide(l, value & DIVIDE_VALID, now_ns);
		fx->flags |= LAPIC_FX_TIMER;
		break;
	case LAPIC_ID:
	case LAPIC_LDR:
		REG(l, offset) = value & XAPIC_ID_MASK;
		fx->flags |= LAPIC_FX_ADDR;
		break;
	case LAPIC_DFR:
		REG(l, LAPIC_DFR) = value | DFR_ONES;
		fx->flags |= LAPIC_FX_ADDR;
		break;
	case LAPIC_ICR_HIGH:
		REG(l, LAPIC_ICR_HIGH) = value & XAPIC_ID_MASK;
		break;
	}
}

static bool in_set(const struct lapic *l, u64 set, u32 offset)
{
	return set & AT(offset) && (offset != LAPIC_LVT_CMCI_AT || l->config.cmci);
}

/* An offset that has been checked, within the page under misprediction of the check too. */
static u32 bounded(u32 offset)
{
	OPTIMIZER_HIDE_VAR(offset);
	return offset & (LAPIC_PAGE_SIZE - 16);
}

static bool xapic_has(struct lapic *l, u32 offset)
{
	if (offset < LAPIC_PAGE_SIZE && in_set(l, XAPIC_ALL, offset))
		return true;
	log_error(l, ESR_ILLEGAL_REGISTER);
	return false;
}

u32 lapic_read(struct lapic *l, u32 offset, u64 now_ns)
{
	if (offset & 0xf || !xapic_has(l, offset))
		return 0;
	return read_reg(l, bounded(offset), now_ns);
}

void lapic_write(struct lapic *l, u32 offset, u32 value, u64 now_ns, struct lapic_effect *fx)
{
	if (offset == LAPIC_EOI)
		lapic_eoi(l, fx);
	else if (offset == LAPIC_ICR)
		lapic_icr(l, value, REG(l, LAPIC_ICR_HIGH), fx);
	else if (!(offset & 0xf) && xapic_has(l, offset))
		write_reg(l, bounded(offset), value, now_ns, fx);
}

/* The offset of the register that @msr is, or one that no register has. */
static u32 msr_offset(u32 msr)
{
	u32 reg = msr - LAPIC_MSR_FIRST;

	return reg < LAPIC_PAGE_SIZE / 16 ? bounded(reg << 4) : 0;
}

bool lapic_msr_read(const struct lapic *l, u32 msr, u64 now_ns, u64 *value)
{
	u32 offset = msr_offset(msr);

	if (!l->x2apic || !in_set(l, X2APIC_READ, offset))
		return false;
	*value = read_reg(l, offset, now_ns);
	if (offset == LAPIC_ICR)
		*value |= (u64)REG(l, LAPIC_ICR_HIGH) << 32;
	return true;
}

/* ICR has 64 bits, and the count is always another. */
bool lapic_msr_in_page(const struct lapic *l, u32 msr)
{
	return l->x2apic && in_set(l, X2APIC_READ & ~(AT(LAPIC_ICR) | AT(LAPIC_TIMER_CURRENT)), msr_offset(msr));
}

/* Bits that may be set in a value written to an x2APIC register; read-only ones are ignored. */
static u32 x2apic_valid(const struct lapic *l, u32 offset)
{
	enum lapic_lvt which;

	switch (offset) {
	case LAPIC_TPR:
	case LAPIC_SELF_IPI:
		return 0xff;
	case LAPIC_SVR:
		return svr_valid(l);
	case LAPIC_TIMER_INITIAL:
		return ~0u;
	case LAPIC_TIMER_DIVIDE:
		return DIVIDE_VALID;
	case LAPIC_EOI:
	case LAPIC_ESR:
		return 0;
	default:
		which = lvt_at(offset);
		if (which == LAPIC_LVT_LINT0 || which == LAPIC_LVT_LINT1)
			return lvt_valid(l, which) | LVT_BUSY | LVT_REMOTE_IRR;
		return lvt_valid(l, which) | LVT_BUSY;
	}
}

bool lapic_msr_write(struct lapic *l, u32 msr, u64 value, u64 now_ns, struct lapic_effect *fx)
{
	u32 offset;

	if (!l->x2apic)
		return false;
	if (msr == LAPIC_MSR_EOI && !value) {
		lapic_eoi(l, fx);
		return true;
	}
	if (msr == LAPIC_MSR_ICR) {
		/* The delivery status is gone from this form, but values made for xAPIC have it. */
		if ((u32)value & ~(ICR_VALID | ICR_BUSY))
			return false;
		lapic_icr(l, value, value >> 32, fx);
		return true;
	}
	offset = msr_offset(msr);
	if (!in_set(l, X2APIC_WRITE, offset) || value & ~(u64)x2apic_valid(l, offset))
		return false;
	if (offset == LAPIC_SELF_IPI)
		send_self(l, value, fx);
	else
		write_reg(l, offset, value, now_ns, fx);
	return true;
}

/*
 * Reset, modes, state.
 */

static void set_ids(struct lapic *l)
{
	REG(l, LAPIC_ID) = l->x2apic ? l->id : l->id << 24;
	if (l->x2apic)
		REG(l, LAPIC_LDR) = l->id >> 4 << 16 | 1u << (l->id & 0xf);
}

/* Every register but ID, and LDR where that follows from ID. */
static void reset_regs(struct lapic *l)
{
	u32 id = REG(l, LAPIC_ID), ldr = l->x2apic ? REG(l, LAPIC_LDR) : 0;
	unsigned int i;

	memset(l->reg, 0, sizeof(l->reg));
	REG(l, LAPIC_ID) = id;
	REG(l, LAPIC_LDR) = ldr;
	REG(l, LAPIC_DFR) = ~0u;
	REG(l, LAPIC_SVR) = SVR_RESET;
	for (i = 0; i < LAPIC_LVTS; i++)
		*lvt_reg(l, i) = LVT_MASKED;
	if (l->config.lint0_extint)
		*lvt_reg(l, LAPIC_LVT_LINT0) = LVT_EXTINT;
	l->esr_pending = 0;
	lapic_timer_stop(l);
	lapic_derive(l);
}

static void set_mode(struct lapic *l, u64 base)
{
	l->base = base;
	l->hw_enabled = base & BASE_ENABLE;
	l->x2apic = l->hw_enabled && base & BASE_X2APIC;
}

void lapic_power_up(struct lapic *l, const struct lapic_config *config, u32 id, u64 base)
{
	memset(l, 0, sizeof(*l));
	l->config = *config;
	l->id = id;
	set_mode(l, base);
	set_ids(l);
	reset_regs(l);
}

void lapic_signal_init(struct lapic *l, struct lapic_effect *fx)
{
	reset_regs(l);
	fx->flags |= LAPIC_FX_TIMER | LAPIC_FX_EVAL | LAPIC_FX_ADDR;
}

void lapic_set_base(struct lapic *l, u64 base, struct lapic_effect *fx)
{
	bool was_enabled = l->hw_enabled, was_x2apic = l->x2apic;

	set_mode(l, base);
	if (l->hw_enabled == was_enabled && l->x2apic == was_x2apic)
		return;
	set_ids(l);
	if (was_enabled && l->x2apic) {
		/* From xAPIC mode all is kept but what x2APIC mode defines anew. */
		REG(l, LAPIC_DFR) = ~0u;
		REG(l, LAPIC_ICR) &= ICR_VALID;
		REG(l, LAPIC_ICR_HIGH) = 0;
	} else {
		reset_regs(l);
	}
	fx->flags |= LAPIC_FX_TIMER | LAPIC_FX_EVAL | LAPIC_FX_ADDR;
}

/* The page's bytes are explicit, so that neither alignment nor byte order matters. */
static u32 page_get(const u8 *page, u32 offset)
{
	const u8 *at = page + offset;

	return at[0] | at[1] << 8 | at[2] << 16 | (u32)at[3] << 24;
}

static void page_put(u8 *page, u32 offset, u32 value)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		page[offset + i] = value >> 8 * i;
}

void lapic_export(const struct lapic *l, u64 now_ns, unsigned int api, u8 page[LAPIC_PAGE_SIZE])
{
	u32 offset;

	memset(page, 0, LAPIC_PAGE_SIZE);
	for (offset = 0; offset < LAPIC_PAGE_SIZE; offset += 16)
		page_put(page, offset, read_reg(l, offset, now_ns));
	if (l->x2apic && !(api & LAPIC_API_IDS32))
		page_put(page, LAPIC_ID, l->id << 24);
}

/* What import keeps of a register as it stands in the page, for those that are kept as they are. */
static u32 import_mask(const struct lapic *l, u32 offset)
{
	switch (offset) {
	case LAPIC_TPR:
	case LAPIC_ESR:
		return 0xff;
	case LAPIC_SVR:
		return svr_valid(l);
	case LAPIC_ISR ... LAPIC_ISR + 0x17f:
	case LAPIC_TIMER_INITIAL:
		return ~0u;
	case LAPIC_ICR:
		return l->x2apic ? ICR_VALID : ~ICR_BUSY;
	case LAPIC_ICR_HIGH:
		return l->x2apic ? ~0u : XAPIC_ID_MASK;
	case LAPIC_DFR:
		return ~DFR_ONES;
	case LAPIC_LVT_CMCI_AT:
	case LAPIC_LVT_AT ... LAPIC_LVT_AT + 16 * LAPIC_LVT_ERROR:
		return lvt_valid(l, lvt_at(offset));
	case LAPIC_TIMER_DIVIDE:
		return DIVIDE_VALID;
	default:
		return 0;
	}
}

bool lapic_import(struct lapic *l, const u8 page[LAPIC_PAGE_SIZE], u64 now_ns, unsigned int api,
		  struct lapic_effect *fx)
{
	u32 id = page_get(page, LAPIC_ID), spent = lapic_timer_spent(l), lvt_timer, offset;

	if (l->x2apic && api & LAPIC_API_IDS32 && id != l->id)
		return false;
	/* A deadline, which the page has not, survives unless the timer's mode changes. */
	lvt_timer = page_get(page, LAPIC_LVT_AT) & lvt_valid(l, LAPIC_LVT_TIMER);
	lapic_timer_set_lvt(l, lvt_timer, now_ns);
	for (offset = 0; offset < LAPIC_PAGE_SIZE; offset += 16)
		REG(l, offset) = page_get(page, offset) & import_mask(l, offset);
	set_ids(l);
	if (!l->x2apic) {
		REG(l, LAPIC_ID) = id & XAPIC_ID_MASK;
		REG(l, LAPIC_LDR) = page_get(page, LAPIC_LDR) & XAPIC_ID_MASK;
	}
	REG(l, LAPIC_DFR) |= l->x2apic ? ~0u : DFR_ONES;
	l->esr_pending = 0;
	lapic_derive(l);
	lapic_timer_restore(l, page_get(page, LAPIC_TIMER_CURRENT), spent, now_ns);
	fx->flags |= LAPIC_FX_TIMER | LAPIC_FX_EVAL | LAPIC_FX_ADDR;
	return true;
}
