// SPDX-License-Identifier: GPL-2.0-only
/*
 * Register validation: every value that may enter CR0, CR3, CR4, CR8, EFER, XCR0, DR6, DR7,
 * APIC_BASE and the segment registers is judged here once.
 *
 * It owns the rules and the packing of segment attributes. It does not own the registers, nor the
 * work a change brings (flushes, PDPTEs, CPUID): it names that in `effects`. Any context.
 *
 * AMD APM volume 2: "Canonicalization and Consistency Checks", "Activating Long Mode", "System-
 * Control Registers", "Segment State in the VMCB". Intel SDM: "Control Registers", "Debug
 * Registers", "XSAVE-Supported Features and State-Component Bitmaps".
 */
#include "regs.h"
#include "cpuid.h"

/* Changes of these CR4 bits alter how page tables are read. */
#define CR4_PAGING_BITS                                                                            \
	(REGS_CR4_PSE | REGS_CR4_PAE | REGS_CR4_PGE | REGS_CR4_PCIDE | REGS_CR4_SMEP |             \
	 REGS_CR4_SMAP | REGS_CR4_PKE | REGS_CR4_LA57)

#define PDPTE_PRESENT BIT64(0)
#define PDPTE_RESERVED (BITS64(8, 5) | BITS64(2, 1))

static bool pae_paging(const struct regs_control *c)
{
	return c->cr0 & REGS_CR0_PG && c->cr4 & REGS_CR4_PAE && !(c->efer & REGS_EFER_LMA);
}

static u64 efer_with_lma(u64 efer, u64 cr0)
{
	if (efer & REGS_EFER_LME && cr0 & REGS_CR0_PG)
		return efer | REGS_EFER_LMA;
	return efer & ~REGS_EFER_LMA;
}

static enum regs_reason check_cr0(u64 cr0)
{
	if (cr0 >> 32)
		return REGS_CR0_RESERVED;
	if (cr0 & REGS_CR0_NW && !(cr0 & REGS_CR0_CD))
		return REGS_CR0_NW_WITHOUT_CD;
	if (cr0 & REGS_CR0_PG && !(cr0 & REGS_CR0_PE))
		return REGS_CR0_PG_WITHOUT_PE;
	return REGS_OK;
}

enum regs_reason regs_write_cr0(const struct regs_control *now, u64 value,
				struct regs_write *out)
{
	enum regs_reason reason = check_cr0(value);
	u64 changed;

	if (reason != REGS_OK)
		return reason;
	/* Undefined bits of the low half are ignored, ET reads as one. */
	value = (value & REGS_CR0_DEFINED) | REGS_CR0_ET;
	changed = value ^ now->cr0;
	if (changed & value & REGS_CR0_PG && now->efer & REGS_EFER_LME) {
		if (!(now->cr4 & REGS_CR4_PAE))
			return REGS_LONG_WITHOUT_PAE;
		if (now->cs_l)
			return REGS_CS_L_MISMATCH;
	}
	if (changed & now->cr0 & REGS_CR0_PG) {
		if (now->cs_l && now->efer & REGS_EFER_LMA)
			return REGS_PAGING_OFF_IN_64BIT;
		if (now->cr4 & REGS_CR4_PCIDE)
			return REGS_PAGING_OFF_WITH_PCIDE;
	}
	out->next = *now;
	out->next.cr0 = value;
	out->next.efer = efer_with_lma(now->efer, value);
	out->effects = 0;
	if (changed & (REGS_CR0_PG | REGS_CR0_WP | REGS_CR0_PE))
		out->effects |= REGS_FLUSH_TLB;
	if (changed & (REGS_CR0_PG | REGS_CR0_PE))
		out->effects |= REGS_MODE_CHANGED;
	if (changed & (REGS_CR0_PG | REGS_CR0_CD | REGS_CR0_NW) && pae_paging(&out->next))
		out->effects |= REGS_LOAD_PDPTRS;
	return REGS_OK;
}

enum regs_reason regs_write_cr3(const struct regs_control *now, u64 value,
				const struct cpuid_derived *cpuid, struct regs_write *out)
{
	bool keep = false;

	if (now->efer & REGS_EFER_LMA) {
		if (now->cr4 & REGS_CR4_PCIDE) {
			keep = value & REGS_CR3_NOFLUSH;
			value &= ~REGS_CR3_NOFLUSH;
		}
		if (value & cpuid->gpa_reserved)
			return REGS_CR3_RESERVED;
	} else {
		value &= 0xffffffffULL;
	}
	out->next = *now;
	out->next.cr3 = value;
	out->effects = keep ? 0 : REGS_FLUSH_TLB;
	if (pae_paging(now))
		out->effects |= REGS_LOAD_PDPTRS;
	return REGS_OK;
}

bool regs_pdptes_valid(const u64 pdpte[4], const struct cpuid_derived *cpuid)
{
	unsigned int i;

	for (i = 0; i < 4; i++) {
		if (pdpte[i] & PDPTE_PRESENT && pdpte[i] & (PDPTE_RESERVED | cpuid->gpa_reserved))
			return false;
	}
	return true;
}

enum regs_reason regs_write_cr4(const struct regs_control *now, u64 value,
				const struct cpuid_derived *cpuid, struct regs_write *out)
{
	u64 changed = value ^ now->cr4;

	if (value & ~cpuid->cr4_allowed)
		return REGS_CR4_RESERVED;
	if (now->efer & REGS_EFER_LMA) {
		if (!(value & REGS_CR4_PAE))
			return REGS_LONG_WITHOUT_PAE;
		if (changed & REGS_CR4_LA57)
			return REGS_LA57_IN_LONG;
	}
	if (changed & value & REGS_CR4_PCIDE) {
		if (!(now->efer & REGS_EFER_LMA))
			return REGS_PCIDE_OUTSIDE_LONG;
		if (now->cr3 & REGS_CR3_PCID)
			return REGS_PCIDE_WITH_PCID;
	}
	out->next = *now;
	out->next.cr4 = value;
	out->effects = 0;
	if (changed & CR4_PAGING_BITS)
		out->effects |= REGS_FLUSH_TLB;
	if (changed & CR4_PAGING_BITS && pae_paging(&out->next))
		out->effects |= REGS_LOAD_PDPTRS;
	if (changed & (REGS_CR4_OSXSAVE | REGS_CR4_PKE))
		out->effects |= REGS_CPUID_CHANGED;
	return REGS_OK;
}

enum regs_reason regs_write_efer(const struct regs_control *now, u64 value, u64 allowed,
				 struct regs_write *out)
{
	u64 changed;

	value = (value & ~REGS_EFER_LMA) | (now->efer & REGS_EFER_LMA);
	if (value & ~allowed & ~REGS_EFER_LMA)
		return REGS_EFER_RESERVED;
	changed = value ^ now->efer;
	if (changed & REGS_EFER_LME && now->cr0 & REGS_CR0_PG)
		return REGS_EFER_LME_WHILE_PAGING;
	out->next = *now;
	out->next.efer = value;
	out->effects = changed & REGS_EFER_NXE ? REGS_FLUSH_TLB : 0;
	return REGS_OK;
}

static bool whole_or_none(u64 value, u64 group)
{
	return !(value & group) || (value & group) == group;
}

enum regs_reason regs_check_xcr(u32 index, u64 value, const struct cpuid_derived *cpuid)
{
	if (index)
		return REGS_XCR_INDEX;
	if (!(value & REGS_XCR0_X87) || value & ~cpuid->xcr0_allowed)
		return REGS_XCR0_RESERVED;
	if (value & REGS_XCR0_AVX && !(value & REGS_XCR0_SSE))
		return REGS_XCR0_COMBINATION;
	if (value & REGS_XCR0_AVX512 && !(value & REGS_XCR0_AVX))
		return REGS_XCR0_COMBINATION;
	if (!whole_or_none(value, REGS_XCR0_AVX512) || !whole_or_none(value, REGS_XCR0_AMX))
		return REGS_XCR0_COMBINATION;
	return REGS_OK;
}

enum regs_reason regs_check_cr8(u64 value)
{
	return value >> 4 ? REGS_CR8_RESERVED : REGS_OK;
}

u64 regs_watchpoints(const u64 dr[4], u64 dr7, u64 addr, u32 size, bool write)
{
	static const u8 lengths[] = { 1, 2, 8, 4 };
	u64 hits = 0;
	unsigned int n;

	for (n = 0; n < 4; n++) {
		unsigned int kind = dr7 >> (16 + 4 * n) & 3;
		u32 len = lengths[dr7 >> (18 + 4 * n) & 3];
		u64 first = dr[n] & ~(u64)(len - 1);

		if (!(dr7 >> 2 * n & 3) || !(kind == 3 || (kind == 1 && write)))
			continue;
		/* Differences, so that ranges may end where addresses do. */
		if (addr - first < len || first - addr < size)
			hits |= BIT64(n);
	}
	return hits;
}

enum regs_reason regs_write_dr6(u64 value, const struct cpuid_derived *cpuid, u64 *out)
{
	u64 writable = REGS_DR6_VOLATILE | (REGS_DR6_INIT & ~cpuid->dr6_fixed_1);

	if (value >> 32)
		return REGS_DR_RESERVED;
	*out = (value & writable) | cpuid->dr6_fixed_1;
	return REGS_OK;
}

enum regs_reason regs_write_dr7(u64 value, u64 *out)
{
	if (value >> 32)
		return REGS_DR_RESERVED;
	*out = (value & REGS_DR7_VOLATILE) | REGS_DR7_FIXED_1;
	return REGS_OK;
}

enum regs_reason regs_check_apic_base(u64 now, u64 value, const struct cpuid_derived *cpuid)
{
	u64 defined = BITS64(51, 12) | REGS_APIC_BASE_BSP | REGS_APIC_BASE_ENABLE;
	u64 mode = REGS_APIC_BASE_ENABLE | REGS_APIC_BASE_X2APIC;

	if (cpuid_has(cpuid, CPUID_F_X2APIC))
		defined |= REGS_APIC_BASE_X2APIC;
	if (value & (~defined | cpuid->gpa_reserved))
		return REGS_APIC_BASE_RESERVED;
	if ((value & mode) == REGS_APIC_BASE_X2APIC)
		return REGS_APIC_BASE_MODE;
	/* x2APIC mode is entered from xAPIC mode and left by disabling only. */
	if ((now & mode) == mode && (value & mode) == REGS_APIC_BASE_ENABLE)
		return REGS_APIC_BASE_MODE;
	if (!(now & mode) && (value & mode) == mode)
		return REGS_APIC_BASE_MODE;
	return REGS_OK;
}

static enum regs_reason check_long_mode(const struct regs_special *sregs)
{
	bool active = sregs->efer & REGS_EFER_LME && sregs->cr0 & REGS_CR0_PG;

	if (active != !!(sregs->efer & REGS_EFER_LMA))
		return REGS_LMA_MISMATCH;
	if (!active)
		return sregs->cs.l ? REGS_CS_L_MISMATCH : REGS_OK;
	if (!(sregs->cr4 & REGS_CR4_PAE))
		return REGS_LONG_WITHOUT_PAE;
	if (sregs->cs.l && sregs->cs.db)
		return REGS_CS_L_MISMATCH;
	return REGS_OK;
}

static enum regs_reason check_bases(const struct regs_special *s, unsigned int vaddr_bits)
{
	const u64 bases[] = {
		s->cs.base, s->ds.base, s->es.base, s->fs.base, s->gs.base, s->ss.base,
		s->tr.base, s->ldt.base, s->gdt.base, s->idt.base,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bases); i++) {
		if (!regs_canonical(bases[i], vaddr_bits))
			return REGS_BASE_NOT_CANONICAL;
	}
	return REGS_OK;
}

enum regs_reason regs_check_special(const struct regs_special *sregs,
				    const struct cpuid_derived *cpuid)
{
	enum regs_reason reason = check_cr0(sregs->cr0);

	if (reason == REGS_OK && sregs->cr3 & cpuid->gpa_reserved)
		reason = REGS_CR3_RESERVED;
	if (reason == REGS_OK && sregs->cr4 & ~cpuid->cr4_allowed)
		reason = REGS_CR4_RESERVED;
	if (reason == REGS_OK && sregs->efer & ~cpuid->efer_host)
		reason = REGS_EFER_RESERVED;
	if (reason == REGS_OK)
		reason = check_long_mode(sregs);
	if (reason == REGS_OK)
		reason = regs_check_cr8(sregs->cr8);
	if (reason == REGS_OK)
		reason = regs_check_apic_base(sregs->apic_base, sregs->apic_base, cpuid);
	if (reason == REGS_OK)
		reason = check_bases(sregs, cpuid->vaddr_bits);
	return reason;
}

/* Segment attributes: the low byte is the descriptor's in both formats. */

static u8 low_attributes(const struct regs_segment *seg)
{
	return (seg->type & 0xf) | (seg->s & 1) << 4 | (seg->dpl & 3) << 5;
}

static void set_attributes(struct regs_segment *seg, u8 low, unsigned int high)
{
	seg->type = low & 0xf;
	seg->s = low >> 4 & 1;
	seg->dpl = low >> 5 & 3;
	seg->present = low >> 7;
	seg->avl = high & 1;
	seg->l = high >> 1 & 1;
	seg->db = high >> 2 & 1;
	seg->g = high >> 3 & 1;
	seg->padding = 0;
}

static unsigned int high_attributes(const struct regs_segment *seg)
{
	return (seg->avl & 1) | (seg->l & 1) << 1 | (seg->db & 1) << 2 | (seg->g & 1) << 3;
}

u16 regs_segment_pack(const struct regs_segment *seg)
{
	u16 present = (seg->present & 1) && !seg->unusable;

	return low_attributes(seg) | present << 7 | high_attributes(seg) << 8;
}

void regs_segment_unpack(struct regs_segment *seg, u16 attrib, enum regs_segment_id id)
{
	set_attributes(seg, attrib, attrib >> 8);
	seg->unusable = !seg->present;
	/* TR is always a busy TSS; the processor does not write the bit back. */
	if (id == REGS_SEG_TR)
		seg->type |= 2;
	if (id == REGS_SEG_SS && seg->unusable)
		seg->db = 0;
}

u32 regs_segment_to_vmx(const struct regs_segment *seg)
{
	u32 present = seg->present & 1, unusable = seg->unusable || !present;

	return low_attributes(seg) | present << 7 | high_attributes(seg) << 12 | unusable << 16;
}

void regs_segment_from_vmx(struct regs_segment *seg, u32 access_rights)
{
	set_attributes(seg, access_rights, access_rights >> 12);
	seg->unusable = access_rights >> 16 & 1;
	/* A segment whose rights are void still shows its P bit; to user space it is not present. */
	seg->present &= !seg->unusable;
}
