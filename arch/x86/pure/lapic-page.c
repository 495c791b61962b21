// SPDX-License-Identifier: GPL-2.0-only
/*
 * The registers of a local APIC in the page of a CPU that runs it by itself: what goes in, and what the CPU
 * has changed there.
 *
 * While the page is the CPU's, TPR, PPR, IRR and ISR in it are newer than those of struct lapic; the rest only this
 * side changes. Called by the vCPU's own thread. Intel SDM volume 3, "APIC Virtualization and Virtual Interrupts".
 */
#include "lapic-priv.h"

/* A register is the first four of its sixteen bytes. */
static u32 *at(u32 *page, u32 offset)
{
	return page + (offset >> 2);
}

void lapic_page_put(const struct lapic *l, bool all, u32 *page)
{
	u32 offset;

	if (all) {
		for (offset = 0; offset < LAPIC_PAGE_SIZE; offset += 16)
			*at(page, offset) = REG(l, offset);
		*at(page, LAPIC_VERSION) = lapic_version(l);
		return;
	}
	*at(page, LAPIC_TPR) = REG(l, LAPIC_TPR);
	*at(page, LAPIC_PPR) = REG(l, LAPIC_PPR);
	for (offset = LAPIC_ISR; offset < LAPIC_ESR; offset += 16)
		*at(page, offset) = REG(l, offset);
}

void lapic_page_get(struct lapic *l, const u32 *page)
{
	u32 offset, *from = (u32 *)page;

	REG(l, LAPIC_TPR) = *at(from, LAPIC_TPR) & 0xff;
	for (offset = LAPIC_ISR; offset < LAPIC_TMR; offset += 16)
		REG(l, offset) = *at(from, offset);
	for (offset = LAPIC_IRR; offset < LAPIC_ESR; offset += 16)
		REG(l, offset) = *at(from, offset);
	lapic_derive(l);
}
