// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC: each rule of the manual by itself, under the section that has it (Intel SDM
 * volume 3, chapter "Advanced Programmable Interrupt Controller (APIC)", unless said otherwise),
 * then random operations against the naive model of ref-lapic.h.
 */
#include "harness.h"
#include "types.h"

static u64 seed = 1;

static u32 draw(void)
{
	return test_rand(&seed) >> 32;
}

#define MODEL_CHECK(cond) CHECK(cond)

#include "ref-lapic.h"

#define BASE_OFF 0xfee00000ULL
#define BASE_XAPIC 0xfee00800ULL
#define BASE_X2APIC 0xfee00c00ULL
#define MASKED 0x10000u
#define PERIODIC 0x20000u
#define DEADLINE 0x40000u

static const struct lapic_config full = {
	.bus_ns = 1, .min_period_ns = 1, .cmci = true, .directed_eoi = true, .tsc_deadline = true,
};
static const struct lapic_config small = { .bus_ns = 10, .min_period_ns = 200000 };

static struct lapic l;
static struct lapic_effect fx;

/* An APIC of vCPU @id as software leaves it: in the mode of @base, enabled. */
static void ready(const struct lapic_config *config, u32 id, u64 base)
{
	struct lapic_effect none = {};

	lapic_power_up(&l, config, id, BASE_XAPIC);
	lapic_write(&l, LAPIC_SVR, 0x1ff, 0, &none);
	lapic_set_base(&l, base, &none);
	fx = none;
}

static u32 get(u32 offset)
{
	return lapic_read(&l, offset, 0);
}

/* The effects of one write. */
static u16 set(u32 offset, u32 value)
{
	fx = (struct lapic_effect){};
	lapic_write(&l, offset, value, 0, &fx);
	return fx.flags;
}

static bool wrmsr(u32 msr, u64 value)
{
	fx = (struct lapic_effect){};
	return lapic_msr_write(&l, msr, value, 0, &fx);
}

static u64 rdmsr(u32 msr)
{
	u64 value = 0;

	CHECK(lapic_msr_read(&l, msr, 0, &value));
	return value;
}

static bool deliver(enum lapic_lvt which)
{
	fx = (struct lapic_effect){};
	return lapic_lvt_deliver(&l, which, &fx);
}

static u32 latched_esr(void)
{
	set(LAPIC_ESR, 0);
	return get(LAPIC_ESR);
}

/* "Local APIC State After Power-Up or Reset", "... After It Receives an INIT Reset". */
static void test_reset(void)
{
	static const struct { u32 offset, want; } rows[] = {
		{ LAPIC_ID, 3u << 24 }, { LAPIC_VERSION, 0x01060014 }, { LAPIC_TPR, 0 },
		{ LAPIC_PPR, 0 }, { LAPIC_LDR, 0 }, { LAPIC_DFR, 0xffffffff }, { LAPIC_SVR, 0xff },
		{ LAPIC_IRR, 0 }, { LAPIC_ISR + 0x70, 0 }, { LAPIC_TMR, 0 }, { LAPIC_ESR, 0 },
		{ LAPIC_ICR, 0 }, { LAPIC_ICR_HIGH, 0 }, { LAPIC_LVT_CMCI_AT, MASKED },
		{ 0x320, MASKED }, { 0x330, MASKED }, { 0x340, MASKED }, { 0x350, MASKED },
		{ 0x360, MASKED }, { 0x370, MASKED }, { LAPIC_TIMER_INITIAL, 0 },
		{ LAPIC_TIMER_CURRENT, 0 }, { LAPIC_TIMER_DIVIDE, 0 },
	};
	struct lapic_config config = full;

	for (int init = 0; init < 2; init++) {
		lapic_power_up(&l, &config, 3, BASE_XAPIC);
		if (init) {
			set(LAPIC_SVR, 0x1ff);
			for (u32 offset = 0x20; offset < 0x400; offset += 16)
				if (offset != LAPIC_ID)
					set(offset, 0x1f0f1);
			lapic_post(&l, 0x44, true);
			lapic_signal_init(&l, &fx);
			CHECK(fx.flags & LAPIC_FX_TIMER && fx.flags & LAPIC_FX_ADDR);
		}
		for_each_row(row, rows) {
			test_context("init %d, offset %#x", init, row->offset);
			CHECK_EQ(get(row->offset), row->want);
		}
	}
	test_context("%s", "");
	/* INIT leaves an id that software wrote; disabling the APIC does not. */
	CHECK_EQ(set(LAPIC_ID, 0x09123456), LAPIC_FX_ADDR);
	lapic_signal_init(&l, &fx);
	CHECK_EQ(get(LAPIC_ID), 0x09000000);
	lapic_set_base(&l, BASE_OFF, &fx);
	lapic_set_base(&l, BASE_XAPIC, &fx);
	CHECK_EQ(get(LAPIC_ID), 0x03000000);
	/* KVM API, KVM_X86_QUIRK_LINT0_REENABLED. */
	config.lint0_extint = true;
	lapic_power_up(&l, &config, 0, BASE_XAPIC);
	CHECK_EQ(get(0x350), 0x700);
	CHECK(lapic_accept_pic(&l));
	lapic_power_up(&l, &small, 0, BASE_XAPIC);
	CHECK_EQ(get(LAPIC_VERSION), 0x00050014);
	CHECK(!lapic_accept_pic(&l));
}

/* "x2APIC State Transitions", "Logical Destination Mode in x2APIC Mode". */
static void test_modes(void)
{
	struct lapic_addr addr;

	ready(&full, 0x123, BASE_XAPIC);
	CHECK_EQ(get(LAPIC_ID), 0x23000000);
	CHECK(!lapic_msr_read(&l, 0x802, 0, &(u64){ 0 }));
	CHECK(!wrmsr(0x808, 0));
	set(LAPIC_TPR, 0x20);
	set(LAPIC_LDR, 0x40ffffff);
	CHECK_EQ(get(LAPIC_LDR), 0x40000000);
	set(LAPIC_DFR, 0);
	CHECK_EQ(get(LAPIC_DFR), 0x0fffffff);
	lapic_addr(&l, &addr);
	CHECK(addr.cluster && addr.ldr == 0x40 && addr.xapic_id == 0x23 && addr.id == 0x123);
	set(LAPIC_ICR_HIGH, 0xffffffff);
	CHECK_EQ(get(LAPIC_ICR_HIGH), 0xff000000);
	lapic_post(&l, 0x55, false);

	fx.flags = 0;
	lapic_set_base(&l, BASE_X2APIC, &fx);
	CHECK(fx.flags & LAPIC_FX_ADDR);
	CHECK_EQ(rdmsr(0x802), 0x123);
	CHECK_EQ(rdmsr(0x80d), 0x120008);
	CHECK_EQ(rdmsr(0x808), 0x20);
	CHECK_EQ(rdmsr(0x80f), 0x1ff);
	CHECK_EQ(rdmsr(0x830), 0);
	CHECK_EQ(lapic_pending(&l), 0x55);
	lapic_addr(&l, &addr);
	CHECK(addr.x2apic && addr.sw_enabled && addr.ldr == 0x120008);

	/* The same mode again changes nothing; INIT stays in it. */
	fx.flags = 0;
	lapic_set_base(&l, BASE_X2APIC | 0x100, &fx);
	CHECK_EQ(fx.flags, 0);
	lapic_signal_init(&l, &fx);
	CHECK_EQ(rdmsr(0x802), 0x123);
	CHECK_EQ(rdmsr(0x80d), 0x120008);
	CHECK_EQ(rdmsr(0x808), 0);
	CHECK_EQ(lapic_pending(&l), -1);

	lapic_set_base(&l, BASE_OFF, &fx);
	lapic_addr(&l, &addr);
	CHECK(!addr.hw_enabled && !addr.sw_enabled);
	CHECK(lapic_accept_pic(&l));
	lapic_post(&l, 0x55, false);
	lapic_merge(&l, (u64[4]){ 0, 1 }, (u64[4]){ 0 });
	lapic_set_base(&l, BASE_XAPIC, &fx);
	CHECK_EQ(get(LAPIC_IRR + 0x20), 0);
	CHECK_EQ(get(LAPIC_ID), 0x23000000);
	/* User space may go from disabled to x2APIC, and back to xAPIC, at once. */
	lapic_set_base(&l, BASE_OFF, &fx);
	lapic_set_base(&l, BASE_X2APIC, &fx);
	CHECK_EQ(rdmsr(0x80d), 0x120008);
	lapic_set_base(&l, BASE_XAPIC, &fx);
	CHECK_EQ(get(LAPIC_ID), 0x23000000);
	CHECK_EQ(get(LAPIC_LDR), 0);
	/* EN = 0 with EXTD = 1 cannot come about; it counts as disabled. */
	lapic_set_base(&l, 0xfee00400, &fx);
	CHECK(!l.hw_enabled && !l.x2apic);
}

/* "Local APIC Register Address Map", "Error Handling": which offsets are an error. */
static void test_map(void)
{
	ready(&small, 0, BASE_XAPIC);
	for (u32 offset = 0; offset < 0x440; offset += 4) {
		bool aligned = !(offset & 0xf), there = ref_row(offset) && ref_row(offset)->x_exists;

		test_context("offset %#x", offset);
		set(LAPIC_ESR, 0);
		get(offset);
		CHECK_EQ(latched_esr(), aligned && !there ? 0x80 : 0);
		set(offset, 0x10031);
		CHECK_EQ(latched_esr(), aligned && !there ? 0x80 : 0);
	}
	test_context("%s", "");
	ready(&small, 0, BASE_XAPIC);
	set(LAPIC_VERSION, 0);
	set(LAPIC_PPR, 0xf0);
	set(LAPIC_IRR, ~0u);
	set(LAPIC_ISR, ~0u);
	set(LAPIC_TMR, ~0u);
	set(LAPIC_TIMER_CURRENT, 5);
	set(0xffffffff, 5);
	CHECK_EQ(get(LAPIC_VERSION), 0x00050014);
	CHECK_EQ(get(LAPIC_PPR) | get(LAPIC_IRR) | get(LAPIC_ISR) | get(LAPIC_TMR), 0);
	CHECK_EQ(get(LAPIC_TIMER_CURRENT), 0);
	CHECK_EQ(get(0xfffffff0), 0);
	CHECK_EQ(get(LAPIC_EOI), 0);
}

/* "x2APIC Register Address Space", "Reserved Bit Checking". */
static void test_msrs(void)
{
	static const struct {
		u32 msr;
		u64 value;
		bool ok;
		u64 then;
	} rows[] = {
		{ 0x802, 0 }, { 0x803, 0 }, { 0x809, 0 }, { 0x80a, 0 }, { 0x80c, 0 }, { 0x80d, 0 },
		{ 0x80e, 0 }, { 0x810, 0 }, { 0x818, 0 }, { 0x820, 0 }, { 0x831, 0 }, { 0x839, 0 },
		{ 0x840, 0 }, { 0x8ff, 0 }, { 0x7ff, 0 }, { 0x900, 0 },
		{ 0x808, 0x5a, true, 0x5a }, { 0x808, 0x100 }, { 0x808, 1ULL << 32 },
		{ 0x80f, 0x1fe, true, 0x1fe }, { 0x80f, 0x13ff, true, 0x13ff }, { 0x80f, 0x2000 },
		{ 0x828, 0, true, 0 }, { 0x828, 1 },
		{ 0x82f, 0x1075a, true, 0x1075a }, { 0x82f, 0x20000 },
		{ 0x832, 0x3005a, true, 0x3005a }, { 0x832, 0x5105a, true, 0x5005a },
		{ 0x832, 0x105a | 0x2000 }, { 0x832, 0x100 }, { 0x832, 0x80000 },
		{ 0x833, 0x10455, true, 0x10455 }, { 0x833, 0x8000 }, { 0x834, 0x400, true, 0x400 },
		{ 0x834, 0x20000 }, { 0x835, 0x1f7ff, true, 0x1a7ff }, { 0x835, 0x800 },
		{ 0x836, 0x8455, true, 0x8455 }, { 0x837, 0xfe, true, 0xfe }, { 0x837, 0x1fe },
		{ 0x838, 0xffffffff, true, 0 }, { 0x838, 1ULL << 32 },
		{ 0x83e, 0xb, true, 0xb }, { 0x83e, 0x4 }, { 0x83e, 0x10 },
		{ 0x830, 0x123456780008c4f1, true, 0x123456780008c4f1 },
		{ 0x830, 0x1000, true, 0 }, { 0x830, 0x2000 }, { 0x830, 0x10000 }, { 0x830, 0x100000 },
	};

	ready(&full, 0, BASE_X2APIC);
	for_each_row(row, rows) {
		struct lapic before = l;

		test_context("wrmsr %#x, %#llx", row->msr, (unsigned long long)row->value);
		CHECK_EQ(wrmsr(row->msr, row->value), row->ok);
		if (row->ok)
			CHECK_EQ(rdmsr(row->msr), row->then);
		else
			CHECK(!memcmp(&before, &l, sizeof(l)) && !fx.flags);
	}
	test_context("%s", "");
	CHECK(wrmsr(0x80b, 0));
	CHECK(!wrmsr(0x80b, 1));
	CHECK(wrmsr(0x83f, 0x77));
	CHECK(!wrmsr(0x83f, 0x100));
	CHECK(!lapic_msr_read(&l, 0x80b, 0, &(u64){ 0 }));
	CHECK(!lapic_msr_read(&l, 0x83f, 0, &(u64){ 0 }));
	CHECK(!lapic_msr_read(&l, 0x80e, 0, &(u64){ 0 }));
	CHECK(!lapic_msr_read(&l, 0x7ff, 0, &(u64){ 0 }));
	/* What is not offered is not there. */
	ready(&small, 0, BASE_X2APIC);
	CHECK(!wrmsr(0x82f, MASKED));
	CHECK(!lapic_msr_read(&l, 0x82f, 0, &(u64){ 0 }));
	CHECK(!wrmsr(0x832, DEADLINE));
	CHECK(!wrmsr(0x80f, 0x11ff));
}

/* "Interrupt, Task, and Processor Priority", "Task and Processor Priorities". */
static void test_priority(void)
{
	static const struct {
		u8 tpr;
		int service, request;
		int pending, blocked;
		u8 ppr;
	} rows[] = {
		{ 0x00, -1, 0x31, 0x31, -1, 0x00 }, { 0x30, -1, 0x31, -1, 0x31, 0x30 },
		{ 0x3f, -1, 0x31, -1, 0x31, 0x3f }, { 0x2f, -1, 0x31, 0x31, -1, 0x2f },
		{ 0x00, 0x31, 0x3f, -1, -1, 0x30 }, { 0x00, 0x31, 0x40, 0x40, -1, 0x30 },
		{ 0x35, 0x31, 0x40, 0x40, -1, 0x35 }, { 0x2f, 0x31, 0x40, 0x40, -1, 0x30 },
		{ 0x45, 0x31, 0x40, -1, 0x40, 0x45 }, { 0x45, 0x41, 0x40, -1, -1, 0x45 },
		{ 0xf0, -1, 0xff, -1, 0xff, 0xf0 }, { 0xef, 0xef, 0xff, 0xff, -1, 0xef },
		{ 0x00, -1, 0x10, 0x10, -1, 0x00 }, { 0x10, 0xf0, 0x10, -1, -1, 0xf0 },
		{ 0x00, -1, -1, -1, -1, 0x00 }, { 0x00, 0xff, -1, -1, -1, 0xf0 },
	};

	for_each_row(row, rows) {
		test_context("tpr %#x, isr %d, irr %d", row->tpr, row->service, row->request);
		ready(&full, 0, BASE_XAPIC);
		if (row->service >= 0) {
			lapic_post(&l, row->service, false);
			lapic_accept(&l, row->service);
		}
		if (row->request >= 0)
			lapic_post(&l, row->request, false);
		CHECK_EQ(set(LAPIC_TPR, row->tpr), LAPIC_FX_EVAL);
		CHECK_EQ(lapic_pending(&l), row->pending);
		CHECK_EQ(lapic_blocked_by_tpr(&l), row->blocked);
		CHECK_EQ(get(LAPIC_PPR), row->ppr);
		CHECK_EQ(lapic_get_cr8(&l), row->tpr >> 4);
		lapic_set_cr8(&l, 0xe);
		CHECK_EQ(get(LAPIC_TPR), 0xe0);
		/* "Spurious-Interrupt Vector Register": a disabled APIC offers nothing. */
		set(LAPIC_SVR, 0xff);
		CHECK_EQ(lapic_pending(&l), -1);
		CHECK_EQ(lapic_blocked_by_tpr(&l), -1);
	}
	test_context("%s", "");
}

/* "Interrupt Acceptance for Fixed Interrupts", "Signaling Interrupt Servicing Completion". */
static void test_acceptance(void)
{
	const u64 pir[4] = { 1ULL << 0x20, 0, 1ULL << 63, 1ULL }, level[4] = { ~0ULL, 0, ~0ULL, 0 };

	ready(&full, 0, BASE_XAPIC);
	lapic_merge(&l, pir, level);
	CHECK_EQ(get(LAPIC_IRR + 0x10), 1);
	CHECK_EQ(get(LAPIC_IRR + 0x50), 0x80000000);
	CHECK_EQ(get(LAPIC_IRR + 0x60), 1);
	CHECK_EQ(get(LAPIC_TMR + 0x10), 1);
	CHECK_EQ(get(LAPIC_TMR), 0);
	CHECK_EQ(get(LAPIC_TMR + 0x50), 0x80000000);
	CHECK_EQ(get(LAPIC_TMR + 0x60), 0);
	CHECK_EQ(lapic_pending(&l), 0xc0);
	lapic_accept(&l, 0xc0);
	CHECK_EQ(get(LAPIC_ISR + 0x60), 1);
	CHECK_EQ(get(LAPIC_IRR + 0x60), 0);
	CHECK_EQ(lapic_pending(&l), -1);
	/* One more of the same waits in IRR while the first is in service. */
	lapic_post(&l, 0xc0, false);
	CHECK_EQ(get(LAPIC_IRR + 0x60), 1);
	CHECK_EQ(set(LAPIC_EOI, 0x1234), LAPIC_FX_EOI | LAPIC_FX_EVAL);
	CHECK_EQ(fx.eoi_vector, 0xc0);
	CHECK_EQ(lapic_pending(&l), 0xc0);
	lapic_accept(&l, 0xc0);
	set(LAPIC_EOI, 0);
	lapic_accept(&l, lapic_pending(&l));
	CHECK_EQ(set(LAPIC_EOI, 0), LAPIC_FX_EOI | LAPIC_FX_EVAL | LAPIC_FX_EOI_LEVEL);
	CHECK_EQ(fx.eoi_vector, 0xbf);
	/* Nested: the end is that of the highest, whatever came last. */
	lapic_accept(&l, 0x20);
	lapic_post(&l, 0x90, false);
	lapic_accept(&l, 0x90);
	set(LAPIC_EOI, 0);
	CHECK_EQ(fx.eoi_vector, 0x90);
	CHECK_EQ(get(LAPIC_PPR), 0x20);
	set(LAPIC_EOI, 0);
	CHECK_EQ(fx.eoi_vector, 0x20);
	CHECK_EQ(fx.flags, LAPIC_FX_EOI | LAPIC_FX_EVAL | LAPIC_FX_EOI_LEVEL);
	/* An EOI with nothing in service does nothing. */
	CHECK_EQ(set(LAPIC_EOI, 0), 0);
	/* "Directed EOI": SVR bit 12 keeps the end from I/O APICs. */
	set(LAPIC_SVR, 0x11ff);
	lapic_post(&l, 0x66, true);
	lapic_accept(&l, 0x66);
	CHECK_EQ(set(LAPIC_EOI, 0), LAPIC_FX_EOI | LAPIC_FX_EVAL);
	/* The last trigger mode counts. */
	set(LAPIC_SVR, 0x1ff);
	lapic_post(&l, 0x66, true);
	lapic_post(&l, 0x66, false);
	CHECK_EQ(get(LAPIC_TMR + 0x30), 0);
	ready(&small, 0, BASE_XAPIC);
	set(LAPIC_SVR, 0x11ff);
	CHECK_EQ(get(LAPIC_SVR), 0x1ff);
}

/* "Spurious-Interrupt Vector Register", "Local APIC State After It Has Been Software Disabled". */
static void test_software_disable(void)
{
	struct lapic_addr addr;

	ready(&full, 0, BASE_XAPIC);
	set(0x350, 0x700);
	set(0x370, 0xfe);
	lapic_post(&l, 0x50, false);
	CHECK_EQ(set(LAPIC_SVR, 0x1ee), 0);
	CHECK_EQ(set(LAPIC_SVR, 0xff), LAPIC_FX_ADDR | LAPIC_FX_EVAL);
	CHECK_EQ(get(0x350), 0x700 | MASKED);
	CHECK_EQ(get(0x370), 0xfe | MASKED);
	set(0x350, 0x700);
	CHECK_EQ(get(0x350), 0x700 | MASKED);
	CHECK(!lapic_accept_pic(&l));
	lapic_addr(&l, &addr);
	CHECK(addr.hw_enabled && !addr.sw_enabled);
	/* Requests are held. */
	CHECK_EQ(lapic_pending(&l), -1);
	CHECK_EQ(set(LAPIC_SVR, 0x1ff), LAPIC_FX_ADDR | LAPIC_FX_EVAL);
	CHECK_EQ(lapic_pending(&l), 0x50);
	CHECK_EQ(get(0x350), 0x700 | MASKED);
	/* Fixed self IPIs are not taken while disabled. */
	set(LAPIC_SVR, 0xff);
	set(LAPIC_ICR, 0x44060);
	CHECK_EQ(get(LAPIC_IRR + 0x30), 0);
}

/* "Local Vector Table", "Delivery mode"; "Local Interrupt Acceptance". */
static void test_lvt(void)
{
	static const struct {
		enum lapic_lvt which;
		u32 offset, written, kept;
		bool taken;
		u16 effects;
	} rows[] = {
		{ LAPIC_LVT_TIMER, 0x320, 0xfff8ff31, 0x31, true, LAPIC_FX_EVAL },
		{ LAPIC_LVT_TIMER, 0x320, MASKED | 0x31, MASKED | 0x31, false, 0 },
		{ LAPIC_LVT_THERMAL, 0x330, 0x231, 0x231, true, LAPIC_FX_SMI },
		{ LAPIC_LVT_PERF, 0x340, 0x4ff, 0x4ff, true, LAPIC_FX_NMI },
		{ LAPIC_LVT_PERF, 0x340, 0x10400, 0x10400, false, 0 },
		{ LAPIC_LVT_LINT0, 0x350, 0x700, 0x700, true, LAPIC_FX_EXTINT },
		{ LAPIC_LVT_LINT0, 0x350, 0xfffef031, 0x1a031 & ~MASKED, true, LAPIC_FX_EVAL },
		{ LAPIC_LVT_LINT1, 0x360, 0x400, 0x400, true, LAPIC_FX_NMI },
		{ LAPIC_LVT_LINT1, 0x360, 0x500, 0x500, true, LAPIC_FX_INIT },
		{ LAPIC_LVT_LINT1, 0x360, 0x100, 0x100, false, 0 },
		{ LAPIC_LVT_LINT1, 0x360, 0x300, 0x300, false, 0 },
		{ LAPIC_LVT_LINT1, 0x360, 0x600, 0x600, false, 0 },
		{ LAPIC_LVT_ERROR, 0x370, 0xfffef731, 0x31, true, LAPIC_FX_EVAL },
		{ LAPIC_LVT_CMCI, 0x2f0, 0xfffe0231, 0x231, true, LAPIC_FX_SMI },
	};
	struct lapic_config config = full;

	for_each_row(row, rows) {
		test_context("row %d", (int)(row - rows));
		ready(&full, 0, BASE_XAPIC);
		set(row->offset, row->written);
		CHECK_EQ(get(row->offset), row->kept);
		CHECK_EQ(deliver(row->which), row->taken);
		CHECK_EQ(fx.flags, row->effects);
		CHECK_EQ(lapic_pending(&l), row->effects == LAPIC_FX_EVAL ? 0x31 : -1);
		CHECK_EQ(lapic_accept_pic(&l), row->effects == LAPIC_FX_EXTINT);
	}
	test_context("%s", "");
	CHECK(!deliver(LAPIC_LVTS));
	/* A performance interrupt masks its entry on processors of one vendor. */
	set(0x340, 0x400);
	CHECK(deliver(LAPIC_LVT_PERF) && deliver(LAPIC_LVT_PERF));
	config.masks_perf = true;
	config.cmci = false;
	ready(&config, 0, BASE_XAPIC);
	set(0x340, 0x400);
	CHECK(deliver(LAPIC_LVT_PERF) && !deliver(LAPIC_LVT_PERF));
	CHECK_EQ(get(0x340), 0x400 | MASKED);
	CHECK(!deliver(LAPIC_LVT_CMCI));
	/* "Enabling or Disabling the Local APIC": without one the pins are INTR and NMI. */
	lapic_set_base(&l, BASE_OFF, &fx);
	CHECK(deliver(LAPIC_LVT_LINT0) && fx.flags == LAPIC_FX_EXTINT);
	CHECK(deliver(LAPIC_LVT_LINT1) && fx.flags == LAPIC_FX_NMI);
	CHECK(!deliver(LAPIC_LVT_TIMER) && !fx.flags);
}

/* "Error Handling". */
static void test_errors(void)
{
	ready(&full, 0, BASE_XAPIC);
	set(0x370, 0xfe);
	/* Send illegal vector; seen after a write to ESR only. */
	CHECK_EQ(set(LAPIC_ICR, 0x4000f), LAPIC_FX_EVAL);
	CHECK_EQ(get(LAPIC_ESR), 0);
	CHECK_EQ(lapic_pending(&l), 0xfe);
	lapic_accept(&l, 0xfe);
	/* The interrupt is armed again by the write to ESR. */
	lapic_post(&l, 0xf, false);
	CHECK_EQ(get(LAPIC_IRR + 0x70), 0);
	CHECK_EQ(latched_esr(), 0x60);
	CHECK_EQ(latched_esr(), 0);
	lapic_merge(&l, (u64[4]){ 0x2000000008001 }, (u64[4]){ 0 });
	CHECK_EQ(get(LAPIC_IRR), 0);
	CHECK_EQ(get(LAPIC_IRR + 0x10), 0x20000);
	CHECK_EQ(get(LAPIC_IRR + 0x70), 0x40000000);
	CHECK_EQ(latched_esr(), 0x40);
	/* Fixed and lowest-priority IPIs to others with an illegal vector are not sent; NMIs are. */
	CHECK_EQ(set(LAPIC_ICR, 0x4005), LAPIC_FX_EVAL);
	CHECK_EQ(set(LAPIC_ICR, 0x4105), LAPIC_FX_EVAL);
	CHECK_EQ(latched_esr(), 0x20);
	CHECK_EQ(set(LAPIC_ICR, 0x4400), LAPIC_FX_IPI);
	/* An LVT entry with an illegal vector, and the error entry itself: no endless error. */
	set(0x360, 0x00);
	set(0x370, 0x05);
	CHECK(deliver(LAPIC_LVT_LINT1));
	CHECK_EQ(latched_esr(), 0x40);
	get(0x3f0);
	CHECK_EQ(latched_esr(), 0xc0);
	CHECK_EQ(get(LAPIC_IRR), 0);
	/* x2APIC: SELF IPI too. */
	lapic_set_base(&l, BASE_X2APIC, &fx);
	CHECK(wrmsr(0x83f, 0xf));
	CHECK(wrmsr(0x828, 0));
	CHECK_EQ(rdmsr(0x828), 0x60);
}

/* "Interrupt Command Register (ICR)": valid combinations, "SELF IPI Register". */
static void test_icr(void)
{
	static const struct {
		u32 low;
		bool sent;
		struct lapic_ipi ipi;
	} rows[] = {
		{ 0x00040fd & 0xffff, true, { LAPIC_FIXED, 0xfd, 0, 0, 1 } },
		{ 0x48fd, true, { LAPIC_FIXED, 0xfd, 0, 1, 1 } },
		{ 0x49fd, true, { LAPIC_LOWEST, 0xfd, 0, 1, 1 } },
		{ 0xc0fd, true, { LAPIC_FIXED, 0xfd, 0, 0, 1 } },	/* level counts as edge */
		{ 0x4200, true, { LAPIC_SMI, 0, 0, 0, 1 } },
		{ 0x43fd, false },
		{ 0x47fd, false },
		{ 0xc4402, true, { LAPIC_NMI, 2, LAPIC_TO_OTHERS, 0, 1 } },
		{ 0x44402, true, { LAPIC_NMI, 2, LAPIC_TO_SELF, 0, 1 } },
		{ 0xc500, true, { LAPIC_INIT, 0, 0, 0, 1 } },
		{ 0x8500, false },					/* level de-assert */
		{ 0x0500, true, { LAPIC_INIT, 0, 0, 0, 0 } },
		{ 0x469a, true, { LAPIC_SIPI, 0x9a, 0, 0, 1 } },
		{ 0x840fd, true, { LAPIC_FIXED, 0xfd, LAPIC_TO_ALL, 0, 1 } },
		{ 0xc41fd, true, { LAPIC_LOWEST, 0xfd, LAPIC_TO_OTHERS, 0, 1 } },
	};

	for_each_row(row, rows) {
		struct lapic_ipi want = row->ipi;

		test_context("icr %#x", row->low);
		ready(&full, 0, BASE_XAPIC);
		set(LAPIC_ICR_HIGH, 0x7b000000);
		CHECK_EQ(set(LAPIC_ICR, row->low), row->sent ? LAPIC_FX_IPI : 0);
		want.dest = 0x7b;
		if (row->sent)
			CHECK_MEM_EQ(&fx.ipi, &want, sizeof(want));
		CHECK_EQ(get(LAPIC_ICR), row->low);

		lapic_set_base(&l, BASE_X2APIC, &fx);
		CHECK(wrmsr(0x830, 0x12345678ULL << 32 | row->low));
		CHECK_EQ(fx.flags, row->sent ? LAPIC_FX_IPI : 0);
		want.dest = 0x12345678;
		want.wide = true;
		if (row->sent)
			CHECK_MEM_EQ(&fx.ipi, &want, sizeof(want));
	}
	test_context("%s", "");
	/* To oneself there is no message. */
	ready(&full, 0, BASE_XAPIC);
	CHECK_EQ(set(LAPIC_ICR, 0x440fd), LAPIC_FX_EVAL);
	CHECK_EQ(lapic_pending(&l), 0xfd);
	lapic_set_base(&l, BASE_X2APIC, &fx);
	CHECK(wrmsr(0x83f, 0xfe));
	CHECK_EQ(fx.flags, LAPIC_FX_EVAL);
	CHECK_EQ(lapic_pending(&l), 0xfe);
	/* xAPIC keeps what it was given except the delivery status, which is always idle. */
	ready(&full, 0, BASE_XAPIC);
	set(LAPIC_ICR, 0xfffff8ff);
	CHECK_EQ(get(LAPIC_ICR), 0xffffe8ff);
}

/* "Determining IPI Destination", "Logical Destination Mode", the same in x2APIC mode. */
static void test_destinations(void)
{
	static const struct lapic_addr
		flat = { .id = 3, .xapic_id = 3, .ldr = 0x08 },
		cluster = { .id = 3, .xapic_id = 3, .ldr = 0x28, .cluster = true },
		renamed = { .id = 3, .xapic_id = 9 },
		x2 = { .id = 0x23, .xapic_id = 0x23, .ldr = 0x20008, .x2apic = true },
		x2_255 = { .id = 255, .xapic_id = 255, .ldr = 0xf8000, .x2apic = true },
		x2_big = { .id = 0x123, .xapic_id = 0x23, .ldr = 0x120008, .x2apic = true },
		big = { .id = 0x123, .xapic_id = 0x23, .ldr = 0x01 };
	static const struct {
		const struct lapic_addr *addr;
		u32 dest;
		bool logical, wide, want;
	} rows[] = {
		{ &flat, 3, 0, 0, true }, { &flat, 4, 0, 0, false }, { &flat, 3, 0, 1, true },
		{ &flat, 0xff, 0, 0, true }, { &flat, 0xff, 0, 1, false },
		{ &flat, 0xffffffff, 0, 1, true }, { &flat, 0x103, 0, 1, false },
		{ &flat, 8, 1, 0, true }, { &flat, 0x18, 1, 0, true }, { &flat, 0x17, 1, 0, false },
		{ &flat, 0x108, 1, 1, false }, { &flat, 0xff, 1, 0, true },
		{ &cluster, 0x28, 1, 0, true }, { &cluster, 0x2f, 1, 0, true },
		{ &cluster, 0x27, 1, 0, false }, { &cluster, 0x38, 1, 0, false },
		{ &cluster, 0xff, 1, 0, true }, { &cluster, 0, 1, 0, false },
		{ &renamed, 9, 0, 0, true }, { &renamed, 3, 0, 0, false },
		{ &x2, 0x23, 0, 1, true }, { &x2, 0x23, 0, 0, true }, { &x2, 0x24, 0, 1, false },
		{ &x2, 0xff, 0, 0, true }, { &x2, 0xff, 0, 1, false },
		{ &x2, 0xffffffff, 1, 1, true }, { &x2, 0x2ffff, 1, 1, true },
		{ &x2, 0x2fff7, 1, 1, false }, { &x2, 0x30008, 1, 1, false },
		{ &x2_255, 0xff, 0, 1, true }, { &x2_255, 0xff, 1, 1, false },
		{ &x2_big, 0x123, 0, 1, true }, { &x2_big, 0x23, 0, 1, false },
		{ &big, 0x123, 0, 1, true }, { &big, 0x23, 0, 0, false }, { &big, 0x23, 0, 1, false },
		{ &big, 0xff, 0, 0, true }, { &big, 1, 1, 0, true },
	};
	static const struct {
		u8 mode, shorthand;
		bool on, enabled, self, want;
	} takes[] = {
		{ LAPIC_FIXED, LAPIC_TO_DEST, 1, 1, 0, true }, { LAPIC_FIXED, LAPIC_TO_DEST, 1, 0, 0, false },
		{ LAPIC_LOWEST, LAPIC_TO_DEST, 1, 0, 0, false }, { LAPIC_NMI, LAPIC_TO_DEST, 1, 0, 0, true },
		{ LAPIC_SMI, LAPIC_TO_DEST, 1, 0, 0, true }, { LAPIC_INIT, LAPIC_TO_DEST, 1, 0, 0, true },
		{ LAPIC_SIPI, LAPIC_TO_DEST, 1, 0, 0, true }, { LAPIC_EXTINT, LAPIC_TO_DEST, 1, 0, 0, true },
		{ LAPIC_INIT, LAPIC_TO_DEST, 0, 0, 0, false },
		{ LAPIC_RESERVED, LAPIC_TO_ALL, 1, 1, 0, false }, { 8, LAPIC_TO_ALL, 1, 1, 0, false },
		{ LAPIC_FIXED, LAPIC_TO_SELF, 1, 1, 0, false }, { LAPIC_FIXED, LAPIC_TO_SELF, 1, 1, 1, true },
		{ LAPIC_FIXED, LAPIC_TO_ALL, 1, 1, 1, true }, { LAPIC_FIXED, LAPIC_TO_ALL, 1, 1, 0, true },
		{ LAPIC_NMI, LAPIC_TO_OTHERS, 1, 1, 1, false }, { LAPIC_NMI, LAPIC_TO_OTHERS, 1, 1, 0, true },
	};

	for_each_row(row, rows) {
		test_context("row %d", (int)(row - rows));
		CHECK_EQ(lapic_match(row->addr, row->dest, row->logical, row->wide), row->want);
	}
	for_each_row(row, takes) {
		struct lapic_addr addr = flat;
		struct lapic_ipi ipi = { .mode = row->mode, .shorthand = row->shorthand, .dest = 3 };

		test_context("takes row %d", (int)(row - takes));
		addr.hw_enabled = row->on;
		addr.sw_enabled = row->enabled;
		CHECK_EQ(lapic_takes(&addr, &ipi, row->self), row->want);
	}
	test_context("%s", "");
}

/* "Message Address Register Format", "Message Data Register Format"; KVM API, KVM_SIGNAL_MSI. */
static void test_msi(void)
{
	static const struct {
		u64 address;
		u32 data;
		unsigned int api;
		bool ok;
		struct lapic_ipi want;
	} rows[] = {
		{ 0xfee03000, 0x41, 0, true, { .vector = 0x41, .dest = 3 } },
		{ 0xfeeff00c, 0x4141, 0, true, { .mode = LAPIC_LOWEST, .vector = 0x41, .dest = 0xff,
			.logical = true, .redirect = true, .level_assert = true } },
		{ 0xfee00000, 0xc441, 0, true, { .mode = LAPIC_NMI, .vector = 0x41,
			.level_assert = true, .trigger_level = true } },
		{ 0x12345678fee03000, 0x41, 0, true, { .vector = 0x41, .dest = 3 } },
		{ 0x12345600fee03000, 0x41, LAPIC_API_IDS32, true,
			{ .vector = 0x41, .dest = 0x12345603 } },
		{ 0x12345678fee03000, 0x41, LAPIC_API_IDS32, false },
		{ 0xfeeff000, 0x41, LAPIC_API_NO_QUIRK, true,
			{ .vector = 0x41, .dest = 0xff, .wide = true } },
		{ 0xfee00000, 0x641, 0, true, { .mode = LAPIC_RESERVED, .vector = 0x41 } },
		{ 0xfee00000, 0x341, 0, true, { .mode = LAPIC_RESERVED, .vector = 0x41 } },
		{ 0xfee00000, 0x700, 0, true, { .mode = LAPIC_EXTINT } },
	};
	struct lapic_ipi out;

	for_each_row(row, rows) {
		test_context("row %d", (int)(row - rows));
		CHECK_EQ(lapic_msi_decode(row->address, row->data, row->api, &out), row->ok);
		if (row->ok)
			CHECK_MEM_EQ(&out, &row->want, sizeof(out));
	}
	test_context("%s", "");
}

/* What lapic_timer_next() says: the kind, and the time if there is one. */
static void check_next(enum lapic_timer_kind kind, u64 when)
{
	u64 got = 0;

	CHECK_EQ(lapic_timer_next(&l, &got), kind);
	if (kind != LAPIC_TIMER_NONE)
		CHECK_EQ(got, when);
}

static void timer_set(u32 offset, u32 value, u64 now)
{
	fx = (struct lapic_effect){};
	lapic_write(&l, offset, value, now, &fx);
	CHECK(fx.flags & LAPIC_FX_TIMER);
}

static u32 count_at(u64 now)
{
	return lapic_read(&l, LAPIC_TIMER_CURRENT, now);
}

/* "APIC Timer", "Divide Configuration Register". */
static void test_timer(void)
{
	static const struct { u32 divide; unsigned int by; } rows[] = {
		{ 0, 2 }, { 1, 4 }, { 2, 8 }, { 3, 16 }, { 8, 32 }, { 9, 64 }, { 10, 128 }, { 11, 1 },
	};
	struct lapic_config config = full;

	for_each_row(row, rows) {
		test_context("divide %d", row->by);
		ready(&full, 0, BASE_XAPIC);
		timer_set(LAPIC_TIMER_DIVIDE, row->divide, 0);
		timer_set(LAPIC_TIMER_INITIAL, 100, 1000);
		check_next(LAPIC_TIMER_NS, 1000 + 100 * row->by);
		CHECK_EQ(count_at(1000), 100);
		CHECK_EQ(count_at(1000 + row->by), 99);
		CHECK_EQ(count_at(1000 + 100 * row->by - 1), 1);
		CHECK_EQ(count_at(1000 + 100 * row->by), 0);
	}
	test_context("%s", "");

	/* One-shot: expires once, when due. */
	ready(&full, 0, BASE_XAPIC);
	timer_set(LAPIC_TIMER_DIVIDE, 0xb, 0);
	timer_set(0x320, 0x31, 0);
	timer_set(LAPIC_TIMER_INITIAL, 1000, 0);
	CHECK(!lapic_timer_expire(&l, 999, ~0ULL));
	CHECK(lapic_timer_expire(&l, 1000, 0));
	CHECK_EQ(lapic_pending(&l), 0x31);
	check_next(LAPIC_TIMER_NONE, 0);
	CHECK(!lapic_timer_expire(&l, 9999, 0));
	CHECK_EQ(get(LAPIC_TIMER_INITIAL), 1000);
	/* Masked it counts all the same, and the expiry is lost. */
	lapic_accept(&l, 0x31);
	timer_set(LAPIC_TIMER_INITIAL, 1000, 5000);
	timer_set(0x320, 0x31 | MASKED, 5000);
	CHECK_EQ(count_at(5600), 400);
	CHECK(!lapic_timer_expire(&l, 6000, 0));
	timer_set(0x320, 0x31, 6001);
	check_next(LAPIC_TIMER_NONE, 0);
	/* An initial count of 0 stops it. */
	timer_set(LAPIC_TIMER_INITIAL, 1000, 7000);
	timer_set(LAPIC_TIMER_INITIAL, 0, 7001);
	check_next(LAPIC_TIMER_NONE, 0);
	CHECK_EQ(count_at(7500), 0);

	/* Periodic: no drift when served late, several periods at once. */
	timer_set(0x320, 0x31 | PERIODIC, 7001);
	timer_set(LAPIC_TIMER_INITIAL, 1000, 10000);
	CHECK_EQ(count_at(11000), 1000);
	CHECK_EQ(count_at(11001), 999);
	CHECK(lapic_timer_expire(&l, 11300, 0));
	check_next(LAPIC_TIMER_NS, 12000);
	CHECK(lapic_timer_expire(&l, 12000 + 1000000007ULL, 0));
	check_next(LAPIC_TIMER_NS, 12000 + 1000001000ULL);
	/* Changes settle first what has expired by then: here under the mask that still was. */
	timer_set(0x320, 0x41 | PERIODIC | MASKED, 2000000000);
	lapic_set_tpr(&l, 0);
	CHECK_EQ(get(LAPIC_IRR + 0x10), 1u << 0x11);
	check_next(LAPIC_TIMER_NS, 2000001000);

	/* One-shot and periodic are exchanged under way; the count goes on. */
	ready(&full, 0, BASE_XAPIC);
	timer_set(LAPIC_TIMER_DIVIDE, 0xb, 0);
	timer_set(0x320, 0x31, 0);
	timer_set(LAPIC_TIMER_INITIAL, 1000, 0);
	timer_set(0x320, 0x31 | PERIODIC, 600);
	CHECK_EQ(count_at(700), 300);
	CHECK_EQ(count_at(1100), 900);
	CHECK(lapic_timer_expire(&l, 1000, 0));
	timer_set(0x320, 0x31, 1100);
	CHECK(lapic_timer_expire(&l, 2000, 0));
	timer_set(0x320, 0x31 | PERIODIC, 2100);
	CHECK_EQ(count_at(2200), 0);
	check_next(LAPIC_TIMER_NONE, 0);
	/* A new divisor holds for what is left. */
	timer_set(0x320, 0x31, 2200);
	timer_set(LAPIC_TIMER_INITIAL, 1000, 3000);
	timer_set(LAPIC_TIMER_DIVIDE, 0, 3400);
	CHECK_EQ(count_at(3400), 600);
	check_next(LAPIC_TIMER_NS, 3400 + 1200);

	/* A hostile period is stretched, in one-shot mode it is what it is. */
	config.min_period_ns = 200000;
	ready(&config, 0, BASE_XAPIC);
	timer_set(LAPIC_TIMER_DIVIDE, 0xb, 0);
	timer_set(0x320, 0x31 | PERIODIC, 0);
	timer_set(LAPIC_TIMER_INITIAL, 1, 0);
	check_next(LAPIC_TIMER_NS, 200000);
	CHECK_EQ(count_at(5), 1);
	CHECK(lapic_timer_expire(&l, 1ULL << 61, 0));
	timer_set(0x320, 0x31, 1ULL << 61);
	timer_set(LAPIC_TIMER_INITIAL, 1, 1ULL << 61);
	check_next(LAPIC_TIMER_NS, (1ULL << 61) + 1);
	/* The largest of all: no overflow. */
	config.bus_ns = LAPIC_BUS_NS_MAX;
	ready(&config, 0, BASE_XAPIC);
	timer_set(LAPIC_TIMER_DIVIDE, 0xa, 0);
	timer_set(LAPIC_TIMER_INITIAL, ~0u, (1ULL << 63) - 1);
	check_next(LAPIC_TIMER_NS, (1ULL << 63) - 1 + 0xffffffffULL * 128 * LAPIC_BUS_NS_MAX);
	CHECK_EQ(count_at((1ULL << 63) - 1), ~0u);
}

/* "TSC-Deadline Mode". */
static void test_deadline(void)
{
	ready(&full, 0, BASE_XAPIC);
	fx.flags = 0;
	lapic_set_deadline(&l, 5000, &fx);
	CHECK_EQ(fx.flags, 0);
	CHECK_EQ(lapic_get_deadline(&l), 0);
	timer_set(LAPIC_TIMER_INITIAL, 1000, 0);
	timer_set(0x320, 0x31 | DEADLINE, 0);
	check_next(LAPIC_TIMER_NONE, 0);
	/* The counts are out of use. */
	timer_set(LAPIC_TIMER_INITIAL, 1000, 0);
	CHECK_EQ(get(LAPIC_TIMER_INITIAL), 0);
	CHECK_EQ(count_at(10), 0);
	check_next(LAPIC_TIMER_NONE, 0);

	lapic_set_deadline(&l, 5000, &fx);
	CHECK_EQ(fx.flags & LAPIC_FX_TIMER, LAPIC_FX_TIMER);
	CHECK_EQ(lapic_get_deadline(&l), 5000);
	check_next(LAPIC_TIMER_TSC, 5000);
	CHECK_EQ(count_at(10), 0);
	timer_set(LAPIC_TIMER_DIVIDE, 0xb, ~0ULL >> 1);
	check_next(LAPIC_TIMER_TSC, 5000);
	CHECK(!lapic_timer_expire(&l, ~0ULL >> 1, 4999));
	CHECK(lapic_timer_expire(&l, 0, 5000));
	CHECK_EQ(lapic_pending(&l), 0x31);
	CHECK_EQ(lapic_get_deadline(&l), 0);
	check_next(LAPIC_TIMER_NONE, 0);
	/* 0 disarms; leaving the mode does too. */
	lapic_set_deadline(&l, 6000, &fx);
	lapic_set_deadline(&l, 0, &fx);
	check_next(LAPIC_TIMER_NONE, 0);
	lapic_set_deadline(&l, 6000, &fx);
	timer_set(0x320, 0x31 | PERIODIC, 0);
	CHECK_EQ(lapic_get_deadline(&l), 0);
	check_next(LAPIC_TIMER_NONE, 0);
	/* The fourth mode is reserved: nothing runs. */
	timer_set(LAPIC_TIMER_INITIAL, 1000, 0);
	timer_set(0x320, 0x31 | PERIODIC | DEADLINE, 0);
	timer_set(LAPIC_TIMER_INITIAL, 1000, 0);
	check_next(LAPIC_TIMER_NONE, 0);
	/* Without the feature the bit is reserved. */
	ready(&small, 0, BASE_XAPIC);
	timer_set(0x320, 0x31 | DEADLINE, 0);
	CHECK_EQ(get(0x320), 0x31);
}

/* KVM API: KVM_GET_LAPIC, KVM_SET_LAPIC, KVM_X2APIC_API_USE_32BIT_IDS. */
static void test_page(void)
{
	u8 page[LAPIC_PAGE_SIZE], again[LAPIC_PAGE_SIZE];
	struct lapic before;

	ready(&full, 0x123, BASE_XAPIC);
	set(0x320, 0x31);
	set(LAPIC_TIMER_DIVIDE, 0xb);
	set(LAPIC_TIMER_INITIAL, 1000);
	set(LAPIC_TPR, 0x10);
	set(LAPIC_LDR, 0x01000000);
	lapic_post(&l, 0x99, true);
	lapic_post(&l, 0x77, false);
	lapic_accept(&l, 0x99);
	lapic_export(&l, 300, 0, page);
	CHECK_EQ(ref_page(page, LAPIC_ID), 0x23000000);
	CHECK_EQ(ref_page(page, LAPIC_TIMER_CURRENT), 700);
	CHECK_EQ(ref_page(page, LAPIC_PPR), 0x90);
	CHECK_EQ(ref_page(page, 0x24), 0);
	/* Into a fresh one: the same, and the timer goes on. */
	ready(&full, 0x123, BASE_XAPIC);
	CHECK(lapic_import(&l, page, 5000, 0, &fx));
	CHECK_EQ(fx.flags, LAPIC_FX_TIMER | LAPIC_FX_EVAL | LAPIC_FX_ADDR);
	check_next(LAPIC_TIMER_NS, 5700);
	lapic_export(&l, 5000, 0, again);
	CHECK_MEM_EQ(again, page, sizeof(page));
	CHECK_EQ(lapic_pending(&l), -1);
	set(LAPIC_EOI, 0);
	CHECK(fx.flags & LAPIC_FX_EOI_LEVEL);
	CHECK_EQ(lapic_pending(&l), 0x77);
	/* No or an impossible current count: from the start. */
	for (u32 bad = 0; bad <= 1001; bad += 1001) {
		memcpy(page + LAPIC_TIMER_CURRENT, &bad, 4);
		CHECK(lapic_import(&l, page, 5000, 0, &fx));
		check_next(LAPIC_TIMER_NS, 6000);
	}
	/* An id that software gave itself in xAPIC mode is state. */
	page[LAPIC_ID + 3] = 0x55;
	CHECK(lapic_import(&l, page, 0, LAPIC_API_IDS32, &fx));
	CHECK_EQ(get(LAPIC_ID), 0x55000000);

	/* x2APIC: the id in full must be the vCPU's, an abridged one does not count. */
	ready(&full, 0x123, BASE_X2APIC);
	lapic_export(&l, 0, 0, page);
	CHECK_EQ(ref_page(page, LAPIC_ID), 0x23000000);
	page[LAPIC_ID + 3] = 0x77;
	CHECK(lapic_import(&l, page, 0, 0, &fx));
	CHECK_EQ(rdmsr(0x802), 0x123);
	lapic_export(&l, 0, LAPIC_API_IDS32, page);
	CHECK_EQ(ref_page(page, LAPIC_ID), 0x123);
	CHECK_EQ(ref_page(page, LAPIC_LDR), 0x120008);
	page[LAPIC_LDR] = 0x44;
	page[LAPIC_TPR] = 0x20;
	CHECK(lapic_import(&l, page, 0, LAPIC_API_IDS32, &fx));
	CHECK_EQ(rdmsr(0x80d), 0x120008);
	CHECK_EQ(rdmsr(0x808), 0x20);
	page[LAPIC_ID + 1] = 0x02;
	page[LAPIC_TPR] = 0x30;
	before = l;
	fx.flags = 0;
	CHECK(!lapic_import(&l, page, 0, LAPIC_API_IDS32, &fx));
	CHECK(!memcmp(&before, &l, sizeof(l)) && !fx.flags);
	/* The ICR is two registers in the page in both modes. */
	CHECK(wrmsr(0x830, 0xabcdef0100004031));
	lapic_export(&l, 0, 0, page);
	CHECK_EQ(ref_page(page, LAPIC_ICR), 0x4031);
	CHECK_EQ(ref_page(page, LAPIC_ICR_HIGH), 0xabcdef01);
	CHECK(lapic_import(&l, page, 0, 0, &fx));
	CHECK_EQ(rdmsr(0x830), 0xabcdef0100004031);

	/* Nothing in a page can hurt: all ones, kept as far as there is something to keep. */
	for (int x2 = 0; x2 < 2; x2++) {
		ready(&full, 0xff, x2 ? BASE_X2APIC : BASE_XAPIC);
		memset(page, 0xff, sizeof(page));
		CHECK(lapic_import(&l, page, 0, 0, &fx));
		lapic_export(&l, 0, 0, page);
		CHECK_EQ(ref_page(page, LAPIC_VERSION), 0x01060014);
		CHECK_EQ(ref_page(page, LAPIC_SVR), 0x13ff);
		CHECK_EQ(ref_page(page, LAPIC_TPR), 0xff);
		CHECK_EQ(ref_page(page, 0x320), 0x700ff);
		CHECK_EQ(ref_page(page, 0x350), 0x1a7ff);
		CHECK_EQ(ref_page(page, LAPIC_ICR), x2 ? 0xccfff : 0xffffefff);
		CHECK_EQ(ref_page(page, LAPIC_TIMER_DIVIDE), 0xb);
		CHECK_EQ(ref_page(page, 0x00), 0);
		CHECK_EQ(lapic_pending(&l), -1);
	}
	/* Requests below 16, which only user space can make, are kept and never offered. */
	ready(&full, 0, BASE_XAPIC);
	lapic_export(&l, 0, 0, page);
	page[LAPIC_IRR] = page[LAPIC_IRR + 1] = 0xff;
	CHECK(lapic_import(&l, page, 0, 0, &fx));
	CHECK_EQ(get(LAPIC_IRR), 0xffff);
	CHECK_EQ(lapic_pending(&l), -1);
	CHECK_EQ(lapic_blocked_by_tpr(&l), -1);
	/* A deadline outlives the import of a page whose timer is in that mode, and no other. */
	set(0x320, 0x31 | DEADLINE);
	lapic_set_deadline(&l, 77, &fx);
	lapic_export(&l, 0, 0, page);
	CHECK(lapic_import(&l, page, 0, 0, &fx));
	check_next(LAPIC_TIMER_TSC, 77);
	page[0x322] = 0;
	CHECK(lapic_import(&l, page, 0, 0, &fx));
	CHECK_EQ(lapic_get_deadline(&l), 0);
	/* A disabled APIC counts nothing. */
	page[LAPIC_TIMER_INITIAL] = 9;
	lapic_set_base(&l, BASE_OFF, &fx);
	CHECK(lapic_import(&l, page, 0, 0, &fx));
	check_next(LAPIC_TIMER_NONE, 0);
}

static void test_random(void)
{
	for (int round = 0; round < 400; round++) {
		test_context("round %d", round);
		ref_begin();
		for (int i = 0; i < 200; i++) {
			static u32 page[1024];

			play_lapic();
			/* The way through a CPU's page leaves no trace. */
			lapic_page_put(&dut, false, page);
			lapic_page_get(&dut, page);
		}
	}
	test_context("%s", "");
}

int main(void)
{
	test_reset();
	test_modes();
	test_map();
	test_msrs();
	test_priority();
	test_acceptance();
	test_software_disable();
	test_lvt();
	test_errors();
	test_icr();
	test_destinations();
	test_msi();
	test_timer();
	test_deadline();
	test_page();
	test_random();
	return test_done("lapic");
}
