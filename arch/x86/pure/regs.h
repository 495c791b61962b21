/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Register validation at the door: what a guest's MOV to CRn, XSETBV or MOV to DRn, and what user
 * space through KVM_SET_SREGS may put into a vCPU, so that an entry never fails on guest state.
 */
#ifndef KEEL_PURE_REGS_H
#define KEEL_PURE_REGS_H

#include "types.h"

struct cpuid_derived;

#define REGS_CR0_PE BIT64(0)
#define REGS_CR0_MP BIT64(1)
#define REGS_CR0_EM BIT64(2)
#define REGS_CR0_TS BIT64(3)
#define REGS_CR0_ET BIT64(4)
#define REGS_CR0_NE BIT64(5)
#define REGS_CR0_WP BIT64(16)
#define REGS_CR0_AM BIT64(18)
#define REGS_CR0_NW BIT64(29)
#define REGS_CR0_CD BIT64(30)
#define REGS_CR0_PG BIT64(31)
#define REGS_CR0_DEFINED                                                                           \
	(BITS64(5, 0) | REGS_CR0_WP | REGS_CR0_AM | REGS_CR0_NW | REGS_CR0_CD | REGS_CR0_PG)

#define REGS_CR3_PCID BITS64(11, 0)
#define REGS_CR3_NOFLUSH BIT64(63)

#define REGS_CR4_VME BIT64(0)
#define REGS_CR4_PVI BIT64(1)
#define REGS_CR4_TSD BIT64(2)
#define REGS_CR4_DE BIT64(3)
#define REGS_CR4_PSE BIT64(4)
#define REGS_CR4_PAE BIT64(5)
#define REGS_CR4_MCE BIT64(6)
#define REGS_CR4_PGE BIT64(7)
#define REGS_CR4_PCE BIT64(8)
#define REGS_CR4_OSFXSR BIT64(9)
#define REGS_CR4_OSXMMEXCPT BIT64(10)
#define REGS_CR4_UMIP BIT64(11)
#define REGS_CR4_LA57 BIT64(12)
#define REGS_CR4_FSGSBASE BIT64(16)
#define REGS_CR4_PCIDE BIT64(17)
#define REGS_CR4_OSXSAVE BIT64(18)
#define REGS_CR4_SMEP BIT64(20)
#define REGS_CR4_SMAP BIT64(21)
#define REGS_CR4_PKE BIT64(22)

#define REGS_EFER_SCE BIT64(0)
#define REGS_EFER_LME BIT64(8)
#define REGS_EFER_LMA BIT64(10)
#define REGS_EFER_NXE BIT64(11)
#define REGS_EFER_SVME BIT64(12)
#define REGS_EFER_FFXSR BIT64(14)
#define REGS_EFER_AIBRSE BIT64(21)

#define REGS_XCR0_X87 BIT64(0)
#define REGS_XCR0_SSE BIT64(1)
#define REGS_XCR0_AVX BIT64(2)
#define REGS_XCR0_AVX512 BITS64(7, 5)
#define REGS_XCR0_PKRU BIT64(9)
#define REGS_XCR0_AMX BITS64(18, 17)

#define REGS_DR6_INIT 0xffff0ff0ULL
#define REGS_DR6_BREAKPOINTS BITS64(3, 0)
#define REGS_DR6_BLD BIT64(11)
#define REGS_DR6_BD BIT64(13)
#define REGS_DR6_BS BIT64(14)
#define REGS_DR6_BT BIT64(15)
#define REGS_DR6_RTM BIT64(16)
#define REGS_DR6_VOLATILE (REGS_DR6_BREAKPOINTS | REGS_DR6_BD | REGS_DR6_BS | REGS_DR6_BT)
#define REGS_DR7_FIXED_1 BIT64(10)
#define REGS_DR7_GD BIT64(13)
#define REGS_DR7_VOLATILE (BITS64(31, 16) | BITS64(9, 0) | REGS_DR7_GD)

#define REGS_APIC_BASE_BSP BIT64(8)
#define REGS_APIC_BASE_X2APIC BIT64(10)
#define REGS_APIC_BASE_ENABLE BIT64(11)

/* A segment register; the layout is that of struct kvm_segment. */
struct regs_segment {
	u64 base;
	u32 limit;
	u16 selector;
	u8 type;
	u8 present, dpl, db, s, l, g, avl;
	u8 unusable;
	u8 padding;
};

/* GDTR and IDTR; the layout is that of struct kvm_dtable. */
struct regs_dtable {
	u64 base;
	u16 limit;
	u16 padding[3];
};

/* What struct kvm_sregs and struct kvm_sregs2 begin with. */
struct regs_special {
	struct regs_segment cs, ds, es, fs, gs, ss, tr, ldt;
	struct regs_dtable gdt, idt;
	u64 cr0, cr2, cr3, cr4, cr8;
	u64 efer;
	u64 apic_base;
};

static_assert(sizeof(struct regs_segment) == 24, "layout of kvm_segment");
static_assert(sizeof(struct regs_special) == 280, "head of kvm_sregs");

/* Why a register state or a write was refused; REGS_OK is 0. A refused guest write is #GP(0). */
enum regs_reason {
	REGS_OK,
	REGS_CR0_RESERVED,
	REGS_CR0_NW_WITHOUT_CD,
	REGS_CR0_PG_WITHOUT_PE,
	REGS_CR3_RESERVED,
	REGS_CR4_RESERVED,
	REGS_CR8_RESERVED,
	REGS_EFER_RESERVED,
	REGS_EFER_LME_WHILE_PAGING,
	REGS_LONG_WITHOUT_PAE,
	REGS_LMA_MISMATCH,		/* LMA differs from LME && PG */
	REGS_CS_L_MISMATCH,		/* CS.L outside long mode, or together with CS.D */
	REGS_PAGING_OFF_IN_64BIT,
	REGS_PAGING_OFF_WITH_PCIDE,
	REGS_PCIDE_OUTSIDE_LONG,
	REGS_PCIDE_WITH_PCID,
	REGS_LA57_IN_LONG,
	REGS_APIC_BASE_RESERVED,
	REGS_APIC_BASE_MODE,
	REGS_BASE_NOT_CANONICAL,
	REGS_XCR_INDEX,
	REGS_XCR0_RESERVED,
	REGS_XCR0_COMBINATION,
	REGS_DR_RESERVED,
	REGS_REASON_COUNT
};

/* The control state a guest's MOV to CRn is judged by and changes. */
struct regs_control {
	u64 cr0, cr3, cr4, efer;
	bool cs_l;
};

/* What an accepted control-register write entails; bits may be set without need, never missed. */
enum regs_effect {
	REGS_FLUSH_TLB = 1 << 0,	/* all of the guest's translations */
	REGS_LOAD_PDPTRS = 1 << 1,	/* PAE paging: the four PDPTEs are read anew, #GP if bad */
	REGS_CPUID_CHANGED = 1 << 2,	/* cpuid_update_dynamic() is due */
	REGS_MODE_CHANGED = 1 << 3,	/* paging or long mode switched */
};

struct regs_write {
	struct regs_control next;	/* state after the write; valid with REGS_OK only */
	u32 effects;			/* enum regs_effect bits */
};

/*
 * A guest's write of a control register, at CPL 0. Bits the processor ignores are dropped, fixed
 * ones are set, EFER.LMA follows CR0.PG. SDM, AMD APM: "MOV (CRn)", "Activating Long Mode".
 */
enum regs_reason regs_write_cr0(const struct regs_control *now, u64 value,
				struct regs_write *out);
enum regs_reason regs_write_cr3(const struct regs_control *now, u64 value,
				const struct cpuid_derived *cpuid, struct regs_write *out);
enum regs_reason regs_write_cr4(const struct regs_control *now, u64 value,
				const struct cpuid_derived *cpuid, struct regs_write *out);
/* WRMSR of EFER; LMA in @value is ignored. */
enum regs_reason regs_write_efer(const struct regs_control *now, u64 value, u64 allowed,
				 struct regs_write *out);
/* XSETBV @index with CR4.OSXSAVE set, and KVM_SET_XCRS. */
enum regs_reason regs_check_xcr(u32 index, u64 value, const struct cpuid_derived *cpuid);
/* CR8: bits above 3 are reserved. */
enum regs_reason regs_check_cr8(u64 value);

/*
 * Which data breakpoints of @dr and @dr7 an access to @size bytes at linear address @addr hits: their bits of DR6.
 * Instruction and I/O breakpoints are left out. Source: "Debug Registers" of both vendors' manuals.
 */
u64 regs_watchpoints(const u64 dr[4], u64 dr7, u64 addr, u32 size, bool write);

/* MOV to DR6 or DR7 and KVM_SET_DEBUGREGS: the value to keep goes to @out. */
enum regs_reason regs_write_dr6(u64 value, const struct cpuid_derived *cpuid, u64 *out);
enum regs_reason regs_write_dr7(u64 value, u64 *out);

/* The entries PAE paging loads with CR3: is any of the present ones reserved? SDM: "PDPTE Registers". */
bool regs_pdptes_valid(const u64 pdpte[4], const struct cpuid_derived *cpuid);

/* IA32_APIC_BASE, from WRMSR (@now is the current value) or from user space (@now == @value). */
enum regs_reason regs_check_apic_base(u64 now, u64 value, const struct cpuid_derived *cpuid);

/*
 * KVM_SET_SREGS(2): may this be the state of a vCPU? After REGS_OK an AMD entry passes the
 * processor's consistency checks for these registers. AMD APM: "Canonicalization and Consistency
 * Checks".
 */
enum regs_reason regs_check_special(const struct regs_special *sregs,
				    const struct cpuid_derived *cpuid);

/* Is @va a canonical address of @vaddr_bits (48 or 57)? */
static inline bool regs_canonical(u64 va, unsigned int vaddr_bits)
{
	unsigned int shift = 64 - vaddr_bits;

	return (u64)((s64)(va << shift) >> shift) == va;
}

/* Which segment a descriptor belongs to, where a format treats them differently. */
enum regs_segment_id {
	REGS_SEG_ES, REGS_SEG_CS, REGS_SEG_SS, REGS_SEG_DS, REGS_SEG_FS, REGS_SEG_GS,
	REGS_SEG_LDT, REGS_SEG_TR,
};

/*
 * VMCB segment attributes (12 bits: type, S, DPL, P, AVL, L, D/B, G). An unusable segment is one
 * with P clear. regs_segment_unpack() fills everything but base, limit and selector, and
 * repairs what AMD hardware leaves undefined (TR's busy bit, D/B of an unusable SS).
 */
u16 regs_segment_pack(const struct regs_segment *seg);
void regs_segment_unpack(struct regs_segment *seg, u16 attrib, enum regs_segment_id id);

/* VMX access rights (17 bits: as a descriptor, and bit 16 for unusable). */
u32 regs_segment_to_vmx(const struct regs_segment *seg);
void regs_segment_from_vmx(struct regs_segment *seg, u32 access_rights);

#endif /* KEEL_PURE_REGS_H */
