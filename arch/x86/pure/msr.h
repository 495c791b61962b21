/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * MSR policy: one table of every MSR a guest or a VMM may touch, the checks of reads and writes,
 * and the storage of those that are plain values.
 */
#ifndef KEEL_PURE_MSR_H
#define KEEL_PURE_MSR_H

#include "types.h"
#include "cpuid.h"

/* Indices other files need by name; the rest stand in the rows of msr.c only. */
#define X86_MSR_TSC 0x10u
#define X86_MSR_APIC_BASE 0x1bu
#define X86_MSR_TSC_ADJUST 0x3bu
#define X86_MSR_SPEC_CTRL 0x48u
#define X86_MSR_PRED_CMD 0x49u
#define X86_MSR_UCODE_REV 0x8bu
#define X86_MSR_PLATFORM_INFO 0xceu
#define X86_MSR_MTRRCAP 0xfeu
#define X86_MSR_ARCH_CAPABILITIES 0x10au
#define X86_MSR_FLUSH_CMD 0x10bu
#define X86_MSR_SYSENTER_CS 0x174u
#define X86_MSR_SYSENTER_ESP 0x175u
#define X86_MSR_SYSENTER_EIP 0x176u
#define X86_MSR_MCG_CAP 0x179u
#define X86_MSR_MCG_STATUS 0x17au
#define X86_MSR_MCG_CTL 0x17bu
#define X86_MSR_MISC_ENABLE 0x1a0u
#define X86_MSR_DEBUGCTL 0x1d9u
#define X86_MSR_MTRR_PHYSBASE0 0x200u
#define X86_MSR_PAT 0x277u
#define X86_MSR_MTRR_DEF_TYPE 0x2ffu
#define X86_MSR_MC0_CTL 0x400u
#define X86_MSR_TSC_DEADLINE 0x6e0u
#define X86_MSR_XSS 0xda0u
#define X86_MSR_EFER 0xc0000080u
#define X86_MSR_STAR 0xc0000081u
#define X86_MSR_LSTAR 0xc0000082u
#define X86_MSR_CSTAR 0xc0000083u
#define X86_MSR_FMASK 0xc0000084u
#define X86_MSR_FS_BASE 0xc0000100u
#define X86_MSR_GS_BASE 0xc0000101u
#define X86_MSR_KERNEL_GS_BASE 0xc0000102u
#define X86_MSR_TSC_AUX 0xc0000103u
#define X86_MSR_HWCR 0xc0010015u
#define X86_MSR_VIRT_SPEC_CTRL 0xc001011fu
#define X86_MSR_DE_CFG 0xc0011029u

#define MSR_PAT_RESET 0x0007040600070406ULL
#define MSR_HWCR_MC_STATUS_WR_EN BIT64(18)	/* MCi_STATUS may be written with a value */
#define MSR_DE_CFG_LFENCE_SERIALIZE BIT64(1)
#define MSR_MISC_ENABLE_MWAIT BIT64(18)
#define MSR_MCG_CTL_P BIT64(8)
#define MSR_MCG_SER_P BIT64(24)
#define MSR_MCG_CAP_BANKS 0xffULL
#define MSR_MCG_CAP_SUPPORTED (MSR_MCG_CTL_P | MSR_MCG_SER_P)	/* KVM_X86_GET_MCE_CAP_SUPPORTED */
#define MSR_MCE_BANKS 32				/* KVM_CAP_MCE */

/* Where an MSR's value lives, hence who reads and writes it after the check passed. */
enum msr_home {
	MSR_HOME_STORE,		/* struct msr_store */
	MSR_HOME_VENDOR,	/* the vendor's register group (VMCB, VMCS): bases, syscall, PAT */
	MSR_HOME_REGS,		/* a field of the common register groups: EFER, APIC_BASE */
	MSR_HOME_CLOCK,		/* computed from or acting on the TSC */
	MSR_HOME_MCE,		/* MCG_CAP, set by KVM_X86_SETUP_MCE */
	MSR_HOME_ACTION,	/* writing does something, reading is refused (PRED_CMD) or 0 */
	MSR_HOME_SPEC,		/* speculation controls: switched around the entry */
	MSR_HOME_PARAVIRT,	/* tells where structures shared with the guest are */
	MSR_HOME_CONST,		/* always the reset value; writes were checked and change nothing */
};

enum msr_by { MSR_BY_GUEST, MSR_BY_HOST };

enum msr_verdict {
	MSR_OK,
	MSR_DROP,		/* a write that succeeds and changes nothing */
	MSR_GP,			/* #GP(0), or the MSR is not counted in KVM_SET/GET_MSRS */
	MSR_UNKNOWN,		/* not in the table: the ignore_msrs policy decides */
	MSR_FILTERED,		/* user space's filter denies it (never by these functions) */
};

enum msr_flags {
	MSR_LISTED = 1 << 0,	/* KVM_GET_MSR_INDEX_LIST, when what it needs is supported */
	MSR_FEATURE = 1 << 1,	/* KVM_GET_MSR_FEATURE_INDEX_LIST */
	MSR_HOST_ONLY = 1 << 2,	/* #GP for the guest */
	MSR_GUEST_RO = 1 << 3,	/* a guest's write is #GP */
	MSR_WRITE_ONLY = 1 << 4, /* a guest's read is #GP; the host reads 0 */
	MSR_GUEST_WI = 1 << 5,	/* a guest's write is accepted and dropped */
};

/* How a written value is judged. */
enum msr_check {
	MSR_CHECK_MASK,		/* bits outside `valid` are #GP */
	MSR_CHECK_CANONICAL,
	MSR_CHECK_PAT,
	MSR_CHECK_MTRR_TYPES,	/* eight memory types (fixed-range MTRR) */
	MSR_CHECK_MTRR_VARIABLE, /* PHYSBASEn or PHYSMASKn */
	MSR_CHECK_MTRR_DEF_TYPE,
	MSR_CHECK_EFER,
	MSR_CHECK_APIC_BASE,
	MSR_CHECK_SPEC_CTRL,
	MSR_CHECK_PRED_CMD,
	MSR_CHECK_MCG_CTL,
	MSR_CHECK_MC_BANK,
	MSR_CHECK_ZERO_OR_RESET, /* 0 or the reset value */
	MSR_CHECK_LOW32,	/* the upper half is dropped, as AMD processors do */
	MSR_CHECK_HWCR,
	MSR_CHECK_DE_CFG,
	MSR_CHECK_UNCHANGED,	/* the host may write back what it read (MCG_CAP) */
};

struct msr_spec {
	u32 index;		/* the first of `count` */
	u16 count;
	u16 slot;		/* first slot in struct msr_store; MSR_HOME_STORE only */
	u8 home;		/* enum msr_home */
	u8 check;		/* enum msr_check */
	u8 flags;		/* enum msr_flags */
	u8 needs;		/* enum cpuid_feature, CPUID_F_NONE: always there */
	u64 valid;
	u64 reset;
	const char *name;
};

/*
 * 8 pairs of variable and 11 fixed MTRRs, 128 MCi registers and a dozen single ones; rounded up to
 * a power of two, so that a slot number can be masked against speculation.
 */
#define MSR_STORE_SLOTS 256

struct msr_store {
	u64 v[MSR_STORE_SLOTS];
};

/* Current values the checks depend on. */
struct msr_ctx {
	const struct cpuid_derived *cpuid;
	const struct msr_store *store;
	u64 cr0;
	u64 efer;
	u64 apic_base;
	u64 mcg_cap;
	bool cs_l;
	bool no_platform_info;	/* KVM_CAP_MSR_PLATFORM_INFO took the register away from the guest */
};

/* Values of the feature MSRs on this host, collected at load. */
struct msr_features {
	u64 ucode_rev;
	u64 arch_capabilities;
	u64 de_cfg;
};

/*
 * ARCH_CAPABILITIES for guests of a processor that reports @host: the bits that are as true for a guest,
 * less those in @affected, immunities that the host's kernel does not believe. Bits that announce an MSR
 * which no guest has are not among them.
 */
u64 msr_arch_capabilities(u64 host, u64 affected);

/* The row of @index, or NULL (MSR_UNKNOWN). A few tens of instructions, any context. */
const struct msr_spec *msr_find(u32 index);

/*
 * May @by write *@value? On MSR_OK *@value is the value to keep (ignored bits removed).
 * @spec is the row of @index.
 */
enum msr_verdict msr_check_write(const struct msr_spec *spec, const struct msr_ctx *ctx, u32 index,
				 u64 *value, enum msr_by by);

/* May @by read @index? */
enum msr_verdict msr_check_read(const struct msr_spec *spec, const struct msr_ctx *ctx, u32 index,
				enum msr_by by);

/* Sets every stored MSR to its reset value (vCPU creation) and the feature MSRs to the host's. */
void msr_store_init(struct msr_store *store, const struct msr_features *features);

/* Value of a MSR_HOME_STORE or MSR_HOME_CONST row; other homes give 0. */
u64 msr_load(const struct msr_spec *spec, const struct msr_store *store, u32 index);

/* Keeps a checked value; does nothing for other homes than MSR_HOME_STORE. */
void msr_save(const struct msr_spec *spec, struct msr_store *store, u32 index, u64 value);

/*
 * KVM_GET_MSR_INDEX_LIST and KVM_GET_MSR_FEATURE_INDEX_LIST. @supported is what
 * cpuid_derive(supported, supported) gave. Returns how many there are; writes at most @max.
 */
unsigned int msr_list(const struct cpuid_derived *supported, u32 *out, unsigned int max);
unsigned int msr_feature_list(const struct cpuid_derived *supported, u32 *out, unsigned int max);

/* KVM_GET_MSRS on the system fd: false when @index is no feature MSR. */
bool msr_feature_read(const struct msr_features *features, u32 index, u64 *value);

/* All rows, for enumeration; row 0 stands for "no such MSR" and has count 0. */
extern const struct msr_spec msr_specs[];
extern const unsigned int msr_specs_rows;

#endif /* KEEL_PURE_MSR_H */
