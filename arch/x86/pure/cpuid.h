/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * CPUID policy: what a virtual machine may be offered, what a set of leaves given by the VMM means
 * for the run-time, and the answer to a guest's CPUID instruction.
 */
#ifndef KEEL_PURE_CPUID_H
#define KEEL_PURE_CPUID_H

#include "types.h"

/* Errors are returned as negative numbers with the values of <errno.h>. */
enum {
	CPUID_E2BIG = 7,
	CPUID_EINVAL = 22,
};

#define CPUID_MAX_ENTRIES 256		/* KVM_SET_CPUID2 takes no more */
#define CPUID_MAX_SUPPORTED 80		/* cpuid_supported() never reports more */
#define CPUID_SIGNIFICANT_INDEX 1u	/* cpuid_leaf.flags: index takes part in the match */

/* One leaf; the layout is that of struct kvm_cpuid_entry2. */
struct cpuid_leaf {
	u32 function;
	u32 index;
	u32 flags;
	u32 eax;
	u32 ebx;
	u32 ecx;
	u32 edx;
	u32 padding[3];
};

static_assert(sizeof(struct cpuid_leaf) == 40, "layout of kvm_cpuid_entry2");

/*
 * Index hints: where the run of entries of one function starts, plus one; 0 when it has none. The
 * sizes are powers of two, so that a guest's leaf number can be masked against speculation.
 */
#define CPUID_HINT_BASIC 0x20
#define CPUID_HINT_HYPERVISOR 0x10
#define CPUID_HINT_EXTENDED 0x40

/*
 * A set of leaves prepared for look-up: `leaf` points to memory of the owner and is sorted by
 * (function, index). Built by cpuid_table_init(), only its leaves' dynamic bits change later.
 */
struct cpuid_table {
	struct cpuid_leaf *leaf;
	unsigned int n;
	bool zero_out_of_range;		/* AMD rule, else the highest basic leaf answers */
	u16 basic[CPUID_HINT_BASIC];
	u16 hypervisor[CPUID_HINT_HYPERVISOR];
	u16 extended[CPUID_HINT_EXTENDED];
};

/* What the module itself is able to do, beyond the host processor; see the rows in cpuid-spec.c. */
enum cpuid_cap {
	CPUID_CAP_LAPIC = 1 << 0,	/* local APIC in the kernel: x2APIC, TSC deadline */
	CPUID_CAP_SPEC_CTRL = 1 << 1,	/* SPEC_CTRL is switched, PRED_CMD is executed */
	CPUID_CAP_VIRT_SSBD = 1 << 2,	/* VIRT_SPEC_CTRL acts on the host's SSB control */
	CPUID_CAP_FLUSH_L1D = 1 << 3,	/* FLUSH_CMD is executed */
	CPUID_CAP_ARCH_CAPS = 1 << 4,	/* ARCH_CAPABILITIES holds a truthful value */
	CPUID_CAP_LA57 = 1 << 5,	/* guest walks of five levels */
	CPUID_CAP_UD_EMULATION = 1 << 6, /* #UD is intercepted and tried in the emulator */
	CPUID_CAP_RDTSCP = 1 << 7,	/* the processor lets guests execute RDTSCP and RDPID */
	CPUID_CAP_INVPCID = 1 << 8,	/* and INVPCID */
	CPUID_CAP_STEAL_TIME = 1 << 9,	/* the host counts how long threads wait for a CPU */
};

struct cpuid_caps {
	u32 have;		/* enum cpuid_cap bits */
	u8 maxphyaddr;		/* physical-address bits usable by guests; 0: as the host's CPUID says */
	u64 xcr0;		/* XCR0 bits the run-time switches; bit 0 and 1 at least, or 0: no XSAVE */
};

/* Features the run-time asks about. A bit is set when the guest is offered it and it works. */
enum cpuid_feature {
	CPUID_F_NONE,
	CPUID_F_TSC,
	CPUID_F_MCE,
	CPUID_F_MCA,
	CPUID_F_APIC,
	CPUID_F_SEP,
	CPUID_F_MTRR,
	CPUID_F_PAT,
	CPUID_F_PGE,
	CPUID_F_PCID,
	CPUID_F_X2APIC,
	CPUID_F_TSC_DEADLINE,
	CPUID_F_XSAVE,
	CPUID_F_RDRAND,
	CPUID_F_FSGSBASE,
	CPUID_F_TSC_ADJUST,
	CPUID_F_SMEP,
	CPUID_F_INVPCID,
	CPUID_F_RTM,
	CPUID_F_RDSEED,
	CPUID_F_SMAP,
	CPUID_F_UMIP,
	CPUID_F_PKU,
	CPUID_F_LA57,
	CPUID_F_RDPID,
	CPUID_F_SPEC_CTRL,		/* Intel: IBRS and IBPB */
	CPUID_F_INTEL_STIBP,
	CPUID_F_INTEL_SSBD,
	CPUID_F_FLUSH_L1D,
	CPUID_F_ARCH_CAPABILITIES,
	CPUID_F_PSFD,			/* either vendor's SPEC_CTRL.PSFD */
	CPUID_F_SYSCALL,
	CPUID_F_NX,
	CPUID_F_FXSR_OPT,
	CPUID_F_GBPAGES,
	CPUID_F_RDTSCP,
	CPUID_F_LM,
	CPUID_F_AMD_IBPB,
	CPUID_F_AMD_IBRS,
	CPUID_F_AMD_STIBP,
	CPUID_F_AMD_SSBD,
	CPUID_F_VIRT_SSBD,
	CPUID_F_AUTOIBRS,
	CPUID_F_LFENCE_RDTSC,
	CPUID_F_SBPB,
	/* Combinations, set when any member is. */
	CPUID_F_SPEC_CTRL_MSR,
	CPUID_F_PRED_CMD_MSR,
	CPUID_F_TSC_AUX_MSR,
	CPUID_F_COUNT
};

static_assert(CPUID_F_COUNT <= 64, "one word of features");

enum cpuid_vendor {
	CPUID_VENDOR_OTHER,
	CPUID_VENDOR_INTEL,
	CPUID_VENDOR_AMD,		/* and Hygon */
};

/* What the run-time needs to know of a guest's CPUID, computed when it is set. */
struct cpuid_derived {
	u64 features;		/* BIT64(enum cpuid_feature) */
	u64 gpa_reserved;	/* bits 63:MAXPHYADDR, for CR3 and page-table entries alike */
	u64 cr4_allowed;
	u64 efer_guest;		/* EFER bits a guest may set */
	u64 efer_host;		/* EFER bits the VMM may set (independent of the guest's CPUID) */
	u64 xcr0_allowed;
	u64 spec_ctrl_guest;	/* SPEC_CTRL bits a guest may set */
	u64 spec_ctrl_host;	/* SPEC_CTRL bits the VMM may set */
	u64 dr6_fixed_1;
	u8 maxphyaddr;
	u8 vaddr_bits;		/* 48 or 57: what the processor's canonical check uses */
	u8 vendor;		/* enum cpuid_vendor, from leaf 0 of the guest */
};

/* vCPU state that shows through CPUID. */
struct cpuid_dynamic {
	u64 cr4;
	u64 xcr0;
	u64 apic_base;
	u64 misc_enable;
	bool no_lapic;			/* the local APIC is in user space */
	bool no_hlt_exit;		/* the guest sleeps in HLT without the host's knowledge */
	bool mwait_follows_misc_enable;	/* quirk KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT is off */
};

/* Executes CPUID(leaf, subleaf) on this processor into regs[] = EAX, EBX, ECX, EDX. */
typedef void cpuid_exec_fn(u32 leaf, u32 subleaf, u32 regs[4]);

/*
 * Reads every leaf the policy looks at, through @exec, into @out[0..max). 192 entries are ample.
 * Returns the count, or -CPUID_E2BIG. Module load.
 */
int cpuid_snapshot(cpuid_exec_fn *exec, struct cpuid_leaf *out, unsigned int max);

/*
 * Sorts @leaf[0..n) in place (stable; of duplicates the first is found) and builds the hints.
 * n <= CPUID_MAX_ENTRIES. May sleep.
 */
void cpuid_table_init(struct cpuid_table *table, struct cpuid_leaf *leaf, unsigned int n);

/*
 * KVM_GET_SUPPORTED_CPUID: @host is a prepared snapshot. Writes at most CPUID_MAX_SUPPORTED leaves
 * in ascending order, without empty padding. Returns the count, or -CPUID_E2BIG when @max is too
 * small (@out then holds the leaves that fit).
 */
int cpuid_supported(const struct cpuid_table *host, const struct cpuid_caps *caps,
		    struct cpuid_leaf *out, unsigned int max);

/* KVM_GET_EMULATED_CPUID: bits that work although the processor lacks them. Returns as above. */
int cpuid_emulated(const struct cpuid_caps *caps, struct cpuid_leaf *out, unsigned int max);

/*
 * KVM_SET_CPUID2's check of what user space gave; changes nothing. Returns 0, -CPUID_E2BIG for
 * n > CPUID_MAX_ENTRIES, -CPUID_EINVAL for a virtual-address width that is not 0, 48 or 57.
 */
int cpuid_validate(const struct cpuid_leaf *leaf, unsigned int n);

/*
 * Meaning of @guest for the run-time. @supported is the prepared result of cpuid_supported(): a
 * feature the guest is shown but the module does not offer is not derived. An empty @guest is
 * fine (a vCPU whose CPUID was never set).
 */
void cpuid_derive(const struct cpuid_table *guest, const struct cpuid_table *supported,
		  struct cpuid_derived *out);

/*
 * Writes the bits that follow vCPU state into @guest's leaves: OSXSAVE, APIC, MONITOR, OSPKE and
 * the XSAVE area sizes; takes away what KVM's leaf promises and this vCPU cannot have. To be called when CPUID is set and when one of the inputs changed.
 */
void cpuid_update_dynamic(struct cpuid_table *guest, const struct cpuid_table *supported,
			  const struct cpuid_dynamic *state);

/* The entry that answers exactly (leaf, subleaf), or NULL. No out-of-range rule. Any context. */
struct cpuid_leaf *cpuid_lookup(const struct cpuid_table *table, u32 leaf, u32 subleaf);

/* CPUID as the guest executes it, out-of-range rules included: regs[] = EAX, EBX, ECX, EDX. */
void cpuid_execute(const struct cpuid_table *table, u32 leaf, u32 subleaf, u32 regs[4]);

/* Bytes of an XSAVE area for @xcr0, in standard or compacted format, from leaf 0xD of @table. */
u32 cpuid_xsave_size(const struct cpuid_table *table, u64 xcr0, bool compacted);

static inline bool cpuid_has(const struct cpuid_derived *cpuid, enum cpuid_feature feature)
{
	return cpuid->features & BIT64(feature);
}

/*
 * The specification, one row per feature bit or word (cpuid-spec.c); for cpuid.c and the tests.
 */
enum cpuid_reg { CPUID_REG_EAX, CPUID_REG_EBX, CPUID_REG_ECX, CPUID_REG_EDX };

enum cpuid_policy {
	CPUID_HOST = 1 << 0,		/* H: offered when the host has it */
	CPUID_SOFT = 1 << 1,		/* S: provided by software, whatever the host has */
	CPUID_EMULATED = 1 << 2,	/* E: listed by KVM_GET_EMULATED_CPUID */
	CPUID_OFF = 1 << 3,		/* -: never offered; the row's name says why */
	CPUID_DYNAMIC = 1 << 4,		/* D: not offered as such, follows vCPU state */
};

struct cpuid_row {
	u32 leaf;
	u8 subleaf;
	u8 reg;			/* enum cpuid_reg */
	u8 policy;		/* enum cpuid_policy bits */
	u8 feature;		/* enum cpuid_feature the bit stands for */
	/* enum cpuid_cap bits that must all be there; UD_EMULATION for the emulated list only. */
	u16 caps;
	u32 mask;
	u32 xcr0;		/* XCR0 bits (low half) that must be offered */
	const char *name;
};

extern const struct cpuid_row cpuid_spec[];
extern const unsigned int cpuid_spec_rows;

#endif /* KEEL_PURE_CPUID_H */
