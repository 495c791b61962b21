// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages to local APICs: whom one is for, and what an MSI says.
 *
 * It owns the rules of physical and logical destinations, broadcasts and shorthands, on snapshots
 * (struct lapic_addr). It does not own the choice among several APICs (lowest priority) nor the
 * delivery. Any context.
 *
 * Intel SDM volume 3: "Determining IPI Destination", "Logical Destination Mode", "Logical
 * Destination Mode in x2APIC Mode", "Message Address Register Format", "Message Data Register
 * Format". KVM API: KVM_CAP_X2APIC_API, KVM_SIGNAL_MSI.
 */
#include "lapic.h"

#define MSI_LOGICAL BIT64(2)
#define MSI_REDIRECT BIT64(3)
#define MSI_ASSERT (1u << 14)
#define MSI_LEVEL (1u << 15)

static bool match_logical(const struct lapic_addr *addr, u32 dest)
{
	if (addr->x2apic)
		return dest >> 16 == addr->ldr >> 16 && dest & addr->ldr & 0xffff;
	if (dest > 0xff)
		return false;
	if (addr->cluster)
		return dest >> 4 == addr->ldr >> 4 && dest & addr->ldr & 0xf;
	return dest & addr->ldr;
}

bool lapic_match(const struct lapic_addr *addr, u32 dest, bool logical, bool wide)
{
	if (dest == ~0u || (dest == 0xff && !wide))
		return true;
	return logical ? match_logical(addr, dest) : dest == lapic_physical_id(addr);
}

bool lapic_takes(const struct lapic_addr *addr, const struct lapic_ipi *ipi, bool self)
{
	if (!addr->hw_enabled || ipi->mode == LAPIC_RESERVED || ipi->mode > LAPIC_EXTINT)
		return false;
	if (ipi->mode <= LAPIC_LOWEST && !addr->sw_enabled)
		return false;
	switch ((enum lapic_shorthand)ipi->shorthand) {
	case LAPIC_TO_SELF:
		return self;
	case LAPIC_TO_ALL:
		return true;
	case LAPIC_TO_OTHERS:
		return !self;
	case LAPIC_TO_DEST:
		break;
	}
	return lapic_match(addr, ipi->dest, ipi->logical, ipi->wide);
}

bool lapic_msi_decode(u64 address, u32 data, unsigned int api, struct lapic_ipi *out)
{
	u32 high = api & LAPIC_API_IDS32 ? address >> 32 : 0;

	*out = (struct lapic_ipi){
		.mode = data >> 8 & 7,
		.vector = data,
		.logical = address & MSI_LOGICAL,
		.redirect = address & MSI_REDIRECT,
		.level_assert = data & MSI_ASSERT,
		.trigger_level = data & MSI_LEVEL,
		.wide = api & LAPIC_API_NO_QUIRK,
		.dest = high | (address >> 12 & 0xff),
	};
	if (out->mode == LAPIC_SIPI)
		out->mode = LAPIC_RESERVED;
	return !(high & 0xff);
}
