// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC's registers in the page of a CPU that runs it: the same steps by the CPU and by lapic.c end in the
 * same state. Source: Intel SDM volume 3, "APIC Virtualization and Virtual Interrupts".
 */
#include "harness.h"
#include "lapic.h"
#include "types.h"

#define BASE_XAPIC 0xfee00800ULL
#define BASE_X2APIC 0xfee00c00ULL

static const struct lapic_config full = {
	.bus_ns = 1, .min_period_ns = 1, .cmci = true, .directed_eoi = true, .tsc_deadline = true,
};
static const struct lapic_config small = { .bus_ns = 10, .min_period_ns = 200000 };

static struct lapic l;
static struct lapic_effect fx;
static u64 seed = 1;

static u32 draw(void)
{
	return test_rand(&seed) >> 32;
}

/* An APIC as software leaves it: in the mode of @base, enabled. */
static void ready(const struct lapic_config *config, u32 id, u64 base)
{
	struct lapic_effect none = {};

	lapic_power_up(&l, config, id, BASE_XAPIC);
	lapic_write(&l, LAPIC_SVR, 0x1ff, 0, &none);
	lapic_set_base(&l, base, &none);
}

/* What a CPU does in its page: delivers the highest request, and ends the highest service. */
static void cpu_move(u32 *page, u32 from, u32 to, u8 vector)
{
	page[(from >> 2) + vector / 32 * 4] &= ~(1u << vector % 32);
	if (to)
		page[(to >> 2) + vector / 32 * 4] |= 1u << vector % 32;
}

static void test_cpu_page(void)
{
	static u32 page[1024];
	u64 pir[4] = {}, level[4] = {};
	struct lapic other;
	int vector, i, n;

	for (n = 0; n < 2000; n++) {
		test_context("round %d", n);
		ready(&full, 3, n & 1 ? BASE_X2APIC : BASE_XAPIC);
		for (i = 0; i < 3; i++) {
			vector = 16 + draw() % 240;
			pir[vector / 64] |= BIT64(vector & 63);
			level[vector / 64] ^= BIT64(vector & 63);
		}
		lapic_merge(&l, pir, level);
		memset(pir, 0, sizeof(pir));
		lapic_set_tpr(&l, draw());
		memset(page, 0xa5, sizeof(page));
		lapic_page_put(&l, true, page);
		CHECK_EQ(page[LAPIC_VERSION >> 2], lapic_read(&l, LAPIC_VERSION, 0));
		CHECK_EQ(page[LAPIC_SVR >> 2], 0x1ff);
		for (i = 0; i < 6; i++) {
			other = l;
			vector = lapic_pending(&l);
			if (draw() & 1 && vector >= 0) {
				lapic_accept(&l, vector);
				cpu_move(page, LAPIC_IRR, LAPIC_ISR, vector);
			} else if (l.isr_top >= 0) {
				vector = l.isr_top;
				fx = (struct lapic_effect){};
				lapic_eoi(&l, &fx);
				struct lapic_effect cpu = {};
				lapic_ended(&other, vector, &cpu);
				CHECK(!memcmp(&cpu, &fx, sizeof(fx)));
				cpu_move(page, LAPIC_ISR, 0, vector);
			} else {
				lapic_set_tpr(&l, 0);
				page[LAPIC_TPR >> 2] = 0;
			}
			lapic_page_get(&other, page);
			CHECK(!memcmp(&other, &l, sizeof(l)));
			lapic_page_put(&l, false, page);
		}
	}
	test_context("%s", "");
	/* Which reads the page can answer: those that need no more than memory, in x2APIC mode. */
	ready(&full, 3, BASE_X2APIC);
	for (u32 msr = 0x7f0; msr < 0x910; msr++) {
		u64 value;
		bool is = lapic_msr_read(&l, msr, 0, &value) && msr != LAPIC_MSR_ICR && msr != 0x839;

		CHECK_EQ(lapic_msr_in_page(&l, msr), is);
		lapic_page_put(&l, true, page);
		if (is)
			CHECK_EQ(page[(msr - 0x800) * 4], value);
	}
	ready(&small, 3, BASE_X2APIC);
	CHECK(!lapic_msr_in_page(&l, 0x82f));
	ready(&full, 3, BASE_XAPIC);
	CHECK(!lapic_msr_in_page(&l, 0x808));
}

int main(void)
{
	test_cpu_page();
	return test_done("lapic-page");
}
