// SPDX-License-Identifier: GPL-2.0-only
/*
 * Model-specific registers: the table of all that exist for a guest or a VMM, the checks of every
 * access, and the plain values.
 *
 * It owns which MSR exists, who may access it with which values, and struct msr_store. It does not
 * own values that live elsewhere (vendor register groups, EFER, the clocks, what is shared with a
 * paravirtual guest) nor what an access sets off: `home` tells the caller whom to ask. The local
 * APIC's MSRs are not here. Any context.
 *
 * Intel SDM: "Model-Specific Registers (MSRs)", "Memory Type Range Registers (MTRRs)",
 * "Machine-Check Architecture". AMD APM volume 2: "MSR Cross-Reference". KVM documentation:
 * "KVM-specific MSRs".
 */
#include "msr.h"
#include "regs.h"

#define ANY (~0ULL)
#define MTRR_TYPES (BIT64(0) | BIT64(1) | BIT64(4) | BIT64(5) | BIT64(6))
#define PAT_TYPES (MTRR_TYPES | BIT64(7))
#define MTRR_CAP_RESET 0x508ULL		/* WC, fixed ranges, 8 variable ranges */
#define HWCR_IGNORED (BIT64(3) | BIT64(6) | BIT64(8))
#define HWCR_TSC_FREQ_SEL BIT64(24)

#define L MSR_LISTED
#define F MSR_FEATURE
#define HO MSR_HOST_ONLY
#define RO MSR_GUEST_RO
#define WO MSR_WRITE_ONLY
#define WI MSR_GUEST_WI

/*
 * X(id, first index, count, slots in the store, home, check, flags, needs, valid, reset)
 *
 * Four lists, because four stretches of the index space are looked up by direct tables. The id
 * is the register's name.
 */
#define MSRS_LOW(X)                                                                                \
	X(P5_MC, 0x0, 2, 0, CONST, ZERO_OR_RESET, 0, NONE, 0, 0)                                   \
	X(TSC, 0x10, 1, 0, CLOCK, MASK, L, NONE, ANY, 0)                                           \
	X(KVM_WALL_CLOCK, 0x11, 1, 0, PARAVIRT, MASK, L, NONE, BITS64(63, 2), 0)                   \
	X(KVM_SYSTEM_TIME, 0x12, 1, 0, PARAVIRT, MASK, L, NONE, BITS64(63, 2) | 1, 0)              \
	X(PLATFORM_ID, 0x17, 1, 0, CONST, ZERO_OR_RESET, RO, NONE, 0, 0)                           \
	X(APIC_BASE, 0x1b, 1, 0, REGS, APIC_BASE, 0, NONE, 0, 0)                                   \
	X(EBL_CR_POWERON, 0x2a, 1, 0, CONST, ZERO_OR_RESET, 0, NONE, 0, 0)                         \
	X(SMI_COUNT, 0x34, 1, 1, STORE, MASK, RO, NONE, BITS64(31, 0), 0)                          \
	X(TSC_ADJUST, 0x3b, 1, 0, CLOCK, MASK, L, TSC_ADJUST, ANY, 0)                              \
	X(SPEC_CTRL, 0x48, 1, 0, SPEC, SPEC_CTRL, L, SPEC_CTRL_MSR, 0, 0)                          \
	X(PRED_CMD, 0x49, 1, 0, ACTION, PRED_CMD, WO, PRED_CMD_MSR, 0, 0)                          \
	X(UCODE_WRITE, 0x79, 1, 0, CONST, ZERO_OR_RESET, WI, NONE, 0, 0)                           \
	X(UCODE_REV, 0x8b, 1, 1, STORE, MASK, L | F | WI, NONE, ANY, 0)                            \
	X(SMBASE, 0x9e, 1, 1, STORE, MASK, L | HO, NONE, BITS64(31, 0), 0x30000)                   \
	X(P6_PERFCTR, 0xc1, 2, 0, CONST, ZERO_OR_RESET, WI, NONE, 0, 0)                            \
	X(PLATFORM_INFO, 0xce, 1, 1, STORE, MASK, L | RO, NONE, BITS64(15, 8), 0)                  \
	X(MTRRCAP, 0xfe, 1, 0, CONST, ZERO_OR_RESET, RO, NONE, 0, MTRR_CAP_RESET)                  \
	X(ARCH_CAPABILITIES, 0x10a, 1, 1, STORE, MASK, L | F | RO, ARCH_CAPABILITIES, ANY, 0)      \
	X(FLUSH_CMD, 0x10b, 1, 0, ACTION, MASK, WO, FLUSH_L1D, 1, 0)                               \
	X(MISC_FEATURES_ENABLES, 0x140, 1, 1, STORE, MASK, L, NONE, 0, 0)                          \
	X(SYSENTER_CS, 0x174, 1, 0, VENDOR, LOW32, L, NONE, 0, 0)                                  \
	X(SYSENTER_ESP, 0x175, 1, 0, VENDOR, CANONICAL, L, NONE, 0, 0)                             \
	X(SYSENTER_EIP, 0x176, 1, 0, VENDOR, CANONICAL, L, NONE, 0, 0)                             \
	X(MCG_CAP, 0x179, 1, 0, MCE, UNCHANGED, RO, NONE, 0, 0)                                    \
	X(MCG_STATUS, 0x17a, 1, 1, STORE, MASK, L, NONE, BITS64(3, 0), 0)                          \
	X(MCG_CTL, 0x17b, 1, 1, STORE, MCG_CTL, L, NONE, 0, 0)                                     \
	X(P6_EVNTSEL, 0x186, 2, 0, CONST, ZERO_OR_RESET, WI, NONE, 0, 0)                           \
	X(MISC_ENABLE, 0x1a0, 1, 1, STORE, MASK, L, NONE, BITS64(38, 0), 1)                        \
	X(DEBUGCTL, 0x1d9, 1, 0, CONST, MASK, 0, NONE, BITS64(5, 0), 0)                            \
	X(LAST_BRANCH, 0x1db, 4, 0, CONST, ZERO_OR_RESET, 0, NONE, 0, 0)                           \
	X(POWER_CTL, 0x1fc, 1, 1, STORE, MASK, L, NONE, ANY, 0)                                    \
	X(MTRR_VARIABLE, 0x200, 16, 16, STORE, MTRR_VARIABLE, 0, NONE, 0, 0)                       \
	X(MTRR_FIX64K, 0x250, 1, 1, STORE, MTRR_TYPES, 0, NONE, 0, 0)                              \
	X(MTRR_FIX16K, 0x258, 2, 2, STORE, MTRR_TYPES, 0, NONE, 0, 0)                              \
	X(MTRR_FIX4K, 0x268, 8, 8, STORE, MTRR_TYPES, 0, NONE, 0, 0)                               \
	X(PAT, 0x277, 1, 0, VENDOR, PAT, L, NONE, 0, MSR_PAT_RESET)                                \
	X(MTRR_DEF_TYPE, 0x2ff, 1, 1, STORE, MTRR_DEF_TYPE, 0, NONE, 0xcff, 0)                     \
	X(MC_BANKS, 0x400, 4 * MSR_MCE_BANKS, 4 * MSR_MCE_BANKS, STORE, MC_BANK, 0, NONE, 0, 0)    \
	X(TSC_DEADLINE, 0x6e0, 1, 0, CLOCK, MASK, L, TSC_DEADLINE, ANY, 0)                         \
	X(XSS, 0xda0, 1, 0, CONST, MASK, HO, NONE, 0, 0)

#define MSRS_C000(X)                                                                               \
	X(EFER, 0xc0000080, 1, 0, REGS, EFER, 0, NONE, 0, 0)                                       \
	X(STAR, 0xc0000081, 1, 0, VENDOR, MASK, L, NONE, ANY, 0)                                   \
	X(LSTAR, 0xc0000082, 1, 0, VENDOR, CANONICAL, L, NONE, 0, 0)                               \
	X(CSTAR, 0xc0000083, 1, 0, VENDOR, CANONICAL, L, NONE, 0, 0)                               \
	X(FMASK, 0xc0000084, 1, 0, VENDOR, LOW32, L, NONE, 0, 0)                                   \
	X(FS_BASE, 0xc0000100, 1, 0, VENDOR, CANONICAL, 0, NONE, 0, 0)                             \
	X(GS_BASE, 0xc0000101, 1, 0, VENDOR, CANONICAL, 0, NONE, 0, 0)                             \
	X(KERNEL_GS_BASE, 0xc0000102, 1, 0, VENDOR, CANONICAL, L, NONE, 0, 0)                      \
	X(TSC_AUX, 0xc0000103, 1, 0, VENDOR, LOW32, L, TSC_AUX_MSR, 0, 0)

#define MSRS_C001(X)                                                                               \
	X(K7_PERF, 0xc0010000, 8, 0, CONST, ZERO_OR_RESET, WI, NONE, 0, 0)                         \
	X(SYSCFG, 0xc0010010, 1, 0, CONST, ZERO_OR_RESET, WI, NONE, 0, 0)                          \
	X(HWCR, 0xc0010015, 1, 1, STORE, HWCR, L, NONE, 0, 0)                                      \
	X(TOP_MEM, 0xc001001a, 1, 0, CONST, ZERO_OR_RESET, 0, NONE, 0, 0)                          \
	X(TOP_MEM2, 0xc001001d, 1, 0, CONST, ZERO_OR_RESET, 0, NONE, 0, 0)                         \
	X(NB_CFG, 0xc001001f, 1, 0, CONST, ZERO_OR_RESET, WI, NONE, 0, 0)                          \
	X(PATCH_LOADER, 0xc0010020, 1, 0, CONST, ZERO_OR_RESET, WI, NONE, 0, 0)                    \
	X(INT_PENDING, 0xc0010055, 1, 0, CONST, ZERO_OR_RESET, WI, NONE, 0, 0)                     \
	X(MMIO_CONF_BASE, 0xc0010058, 1, 0, CONST, ZERO_OR_RESET, WI, NONE, 0, 0)                  \
	X(TSEG, 0xc0010112, 2, 0, CONST, ZERO_OR_RESET, 0, NONE, 0, 0)                             \
	X(VIRT_SPEC_CTRL, 0xc001011f, 1, 0, SPEC, MASK, L, VIRT_SSBD, BIT64(2), 0)                 \
	X(OSVW, 0xc0010140, 2, 0, CONST, ZERO_OR_RESET, 0, NONE, 0, 0)                             \
	X(PERF_CORE, 0xc0010200, 12, 0, CONST, ZERO_OR_RESET, WI, NONE, 0, 0)                      \
	X(DC_CFG, 0xc0011022, 1, 0, CONST, ZERO_OR_RESET, WI, NONE, 0, 0)                          \
	X(DE_CFG, 0xc0011029, 1, 1, STORE, DE_CFG, L | F, NONE, 0, 0)                              \
	X(BU_CFG2, 0xc001102a, 1, 0, CONST, ZERO_OR_RESET, WI, NONE, 0, 0)

#define MSRS_KVM(X)                                                                                \
	X(KVM_WALL_CLOCK_NEW, 0x4b564d00, 1, 0, PARAVIRT, MASK, L, NONE, BITS64(63, 2), 0)         \
	X(KVM_SYSTEM_TIME_NEW, 0x4b564d01, 1, 0, PARAVIRT, MASK, L, NONE, BITS64(63, 2) | 1, 0)   \
	X(KVM_ASYNC_PF_EN, 0x4b564d02, 1, 0, PARAVIRT, MASK, L, NONE, BITS64(63, 6) | 15, 0)       \
	X(KVM_STEAL_TIME, 0x4b564d03, 1, 0, PARAVIRT, MASK, L, NONE, BITS64(63, 6) | 1, 0)         \
	X(KVM_PV_EOI, 0x4b564d04, 1, 0, PARAVIRT, MASK, L, NONE, BITS64(63, 2) | 1, 0)             \
	X(KVM_POLL_CONTROL, 0x4b564d05, 1, 1, STORE, MASK, L, NONE, 1, 1)                          \
	X(KVM_ASYNC_PF_INT, 0x4b564d06, 1, 0, PARAVIRT, MASK, L, NONE, 0xff, 0)                    \
	X(KVM_ASYNC_PF_ACK, 0x4b564d07, 1, 0, PARAVIRT, MASK, L, NONE, 1, 0)

#define MSRS(X) MSRS_LOW(X) MSRS_KVM(X) MSRS_C000(X) MSRS_C001(X)

/* Row 0 stands for "no such MSR", so that the direct tables need no filling. */
#define ROW_NUMBER(id, first, n, slots, ...) ROW_##id,
enum row_number { ROW_NONE, MSRS(ROW_NUMBER) ROW_COUNT };

#define SLOT_NUMBER(id, first, n, slots, ...) SLOT_##id, SLOT_LAST_##id = SLOT_##id + (slots) - 1,
enum slot_number { MSRS(SLOT_NUMBER) SLOT_COUNT };

static_assert(ROW_COUNT <= 256, "a row number fits in a byte");
static_assert((int)SLOT_COUNT <= MSR_STORE_SLOTS, "the store holds every slot");

#define ROW(id, first, n, slots, home_, check_, flags_, needs_, valid_, reset_)                    \
	[ROW_##id] = {                                                                             \
		.index = (first), .count = (n), .slot = SLOT_##id,                                 \
		.home = MSR_HOME_##home_, .check = MSR_CHECK_##check_, .flags = (flags_),          \
		.needs = CPUID_F_##needs_, .valid = (valid_), .reset = (reset_), .name = #id,      \
	},
const struct msr_spec msr_specs[] = { MSRS(ROW) };
const unsigned int msr_specs_rows = ARRAY_SIZE(msr_specs);

/* Direct tables from index to row; the sizes are powers of two and serve as masks. */
#define LOW_SIZE 0x1000u
#define KVM_BASE 0x4b564d00u
#define KVM_SIZE 0x10u
#define C000_BASE 0xc0000000u
#define C000_SIZE 0x200u
#define C001_BASE 0xc0010000u
#define C001_SIZE 0x2000u

#define LOW_ENTRY(id, first, n, ...) [(first) ... (first) + (n) - 1] = ROW_##id,
#define KVM_ENTRY(id, first, n, ...)                                                               \
	[(first) - KVM_BASE ... (first) - KVM_BASE + (n) - 1] = ROW_##id,
#define C000_ENTRY(id, first, n, ...)                                                              \
	[(first) - C000_BASE ... (first) - C000_BASE + (n) - 1] = ROW_##id,
#define C001_ENTRY(id, first, n, ...)                                                              \
	[(first) - C001_BASE ... (first) - C001_BASE + (n) - 1] = ROW_##id,

static const u8 low_rows[LOW_SIZE] = { MSRS_LOW(LOW_ENTRY) };
static const u8 kvm_rows[KVM_SIZE] = { MSRS_KVM(KVM_ENTRY) };
static const u8 c000_rows[C000_SIZE] = { MSRS_C000(C000_ENTRY) };
static const u8 c001_rows[C001_SIZE] = { MSRS_C001(C001_ENTRY) };

const struct msr_spec *msr_find(u32 index)
{
	u8 row = ROW_NONE;

	if (index < LOW_SIZE)
		row = low_rows[index & (LOW_SIZE - 1)];
	else if (index - C000_BASE < C000_SIZE)
		row = c000_rows[index & (C000_SIZE - 1)];
	else if (index - C001_BASE < C001_SIZE)
		row = c001_rows[index & (C001_SIZE - 1)];
	else if (index - KVM_BASE < KVM_SIZE)
		row = kvm_rows[index & (KVM_SIZE - 1)];
	return row ? &msr_specs[row] : NULL;
}

static bool types_valid(u64 value, u64 types)
{
	unsigned int i;

	for (i = 0; i < 8; i++, value >>= 8) {
		if ((value & 0xff) > 7 || !(types & BIT64(value & 7)))
			return false;
	}
	return true;
}

static bool mtrr_type_valid(u64 type)
{
	return type <= 7 && MTRR_TYPES & BIT64(type);
}

static bool mtrr_variable_valid(const struct msr_ctx *ctx, u32 index, u64 value, enum msr_by by)
{
	/*
	 * A VMM computes masks from the address width it believes in; the difference to the width
	 * in use changes nothing, so only the architecture's limit is held against it.
	 */
	u64 reserved = by == MSR_BY_HOST ? BITS64(63, 52) : ctx->cpuid->gpa_reserved;

	if (index & 1)
		return !(value & (reserved | BITS64(10, 0)));
	return !(value & (reserved | BITS64(11, 8))) && mtrr_type_valid(value & 0xff);
}

static u64 pred_cmd_valid(const struct cpuid_derived *cpuid)
{
	u64 valid = 0;

	if (cpuid_has(cpuid, CPUID_F_SPEC_CTRL) || cpuid_has(cpuid, CPUID_F_AMD_IBPB))
		valid |= BIT64(0);
	if (cpuid_has(cpuid, CPUID_F_SBPB))
		valid |= BIT64(7);
	return valid;
}

static unsigned int bank_of(u32 index)
{
	return (index - X86_MSR_MC0_CTL) / 4;
}

static bool bank_exists(const struct msr_ctx *ctx, u32 index)
{
	return bank_of(index) < (ctx->mcg_cap & MSR_MCG_CAP_BANKS);
}

static bool bank_value_valid(const struct msr_ctx *ctx, u32 index, u64 value, enum msr_by by)
{
	switch (index % 4) {
	case 0:
		/* All or nothing; system software clears bits 0 and 10 alone on some processors. */
		return !value || (value | BIT64(10) | BIT64(0)) == ANY;
	case 1:
		/* Software may only clear a status, unless AMD's HWCR opens it for tests. */
		return !value || by == MSR_BY_HOST ||
		       ctx->store->v[SLOT_HWCR] & MSR_HWCR_MC_STATUS_WR_EN;
	default:
		return true;
	}
}

static bool mcg_ctl_valid(const struct msr_ctx *ctx, u64 value, enum msr_by by)
{
	if (!(ctx->mcg_cap & MSR_MCG_CTL_P))
		return by == MSR_BY_HOST && !value;
	return value == 0 || value == ANY;
}

static bool efer_valid(const struct msr_ctx *ctx, u64 *value, enum msr_by by)
{
	struct regs_control now = { .cr0 = ctx->cr0, .efer = ctx->efer };
	struct regs_write write;
	u64 allowed = ctx->cpuid->efer_guest;

	if (by == MSR_BY_HOST)
		allowed = ctx->cpuid->efer_host;
	if (regs_write_efer(&now, *value, allowed, &write) != REGS_OK)
		return false;
	*value = write.next.efer;
	return true;
}

static bool de_cfg_valid(const struct msr_ctx *ctx, u64 *value, enum msr_by by)
{
	u64 now = ctx->store->v[SLOT_DE_CFG];

	if (*value & ~MSR_DE_CFG_LFENCE_SERIALIZE)
		return false;
	if (by == MSR_BY_HOST)
		return true;
	/* LFENCE is what the host makes it: a guest cannot switch it on, and not off either. */
	if (*value & ~now)
		return false;
	*value = now;
	return true;
}

static bool value_valid(const struct msr_spec *spec, const struct msr_ctx *ctx, u32 index,
			u64 *value, enum msr_by by)
{
	const struct cpuid_derived *cpuid = ctx->cpuid;
	bool host = by == MSR_BY_HOST;

	switch ((enum msr_check)spec->check) {
	case MSR_CHECK_MASK:
		return !(*value & ~spec->valid);
	case MSR_CHECK_CANONICAL:
		return regs_canonical(*value, cpuid->vaddr_bits);
	case MSR_CHECK_PAT:
		return types_valid(*value, PAT_TYPES);
	case MSR_CHECK_MTRR_TYPES:
		return types_valid(*value, MTRR_TYPES);
	case MSR_CHECK_MTRR_VARIABLE:
		return mtrr_variable_valid(ctx, index, *value, by);
	case MSR_CHECK_MTRR_DEF_TYPE:
		return !(*value & ~spec->valid) && mtrr_type_valid(*value & 0xff);
	case MSR_CHECK_EFER:
		return efer_valid(ctx, value, by);
	case MSR_CHECK_APIC_BASE:
		return regs_check_apic_base(host ? *value : ctx->apic_base, *value, cpuid) ==
		       REGS_OK;
	case MSR_CHECK_SPEC_CTRL:
		return !(*value & ~(host ? cpuid->spec_ctrl_host : cpuid->spec_ctrl_guest));
	case MSR_CHECK_PRED_CMD:
		return !(*value & ~pred_cmd_valid(cpuid));
	case MSR_CHECK_MCG_CTL:
		return mcg_ctl_valid(ctx, *value, by);
	case MSR_CHECK_MC_BANK:
		return bank_exists(ctx, index) && bank_value_valid(ctx, index, *value, by);
	case MSR_CHECK_ZERO_OR_RESET:
		return !*value || *value == spec->reset;
	case MSR_CHECK_LOW32:
		*value &= 0xffffffffULL;
		return true;
	case MSR_CHECK_HWCR:
		*value &= ~HWCR_IGNORED;
		return !(*value & ~(MSR_HWCR_MC_STATUS_WR_EN | HWCR_TSC_FREQ_SEL));
	case MSR_CHECK_DE_CFG:
		return de_cfg_valid(ctx, value, by);
	case MSR_CHECK_UNCHANGED:
		return *value == ctx->mcg_cap;
	}
	return false;
}

static bool guest_lacks(const struct msr_spec *spec, const struct msr_ctx *ctx)
{
	return spec->flags & MSR_HOST_ONLY ||
	       (spec->needs != CPUID_F_NONE && !cpuid_has(ctx->cpuid, spec->needs));
}

enum msr_verdict msr_check_write(const struct msr_spec *spec, const struct msr_ctx *ctx, u32 index,
				 u64 *value, enum msr_by by)
{
	if (by == MSR_BY_GUEST) {
		if (guest_lacks(spec, ctx) || spec->flags & MSR_GUEST_RO)
			return MSR_GP;
		if (spec->flags & MSR_GUEST_WI)
			return MSR_DROP;
	}
	return value_valid(spec, ctx, index, value, by) ? MSR_OK : MSR_GP;
}

enum msr_verdict msr_check_read(const struct msr_spec *spec, const struct msr_ctx *ctx, u32 index,
				enum msr_by by)
{
	if (spec->check == MSR_CHECK_MC_BANK && !bank_exists(ctx, index))
		return MSR_GP;
	if (by == MSR_BY_HOST)
		return MSR_OK;
	if (guest_lacks(spec, ctx) || spec->flags & MSR_WRITE_ONLY)
		return MSR_GP;
	if (ctx->no_platform_info && spec->index == X86_MSR_PLATFORM_INFO)
		return MSR_GP;
	if (spec->check == MSR_CHECK_MCG_CTL && !(ctx->mcg_cap & MSR_MCG_CTL_P))
		return MSR_GP;
	return MSR_OK;
}

static unsigned int slot_of(const struct msr_spec *spec, u32 index)
{
	return (spec->slot + index - spec->index) & (MSR_STORE_SLOTS - 1);
}

void msr_store_init(struct msr_store *store, const struct msr_features *features)
{
	unsigned int row, i;

	memset(store, 0, sizeof(*store));
	for (row = ROW_NONE + 1; row < ROW_COUNT; row++) {
		const struct msr_spec *spec = &msr_specs[row];
		u64 value = spec->reset;

		if (spec->home != MSR_HOME_STORE)
			continue;
		if (spec->flags & MSR_FEATURE)
			msr_feature_read(features, spec->index, &value);
		for (i = 0; i < spec->count; i++)
			store->v[slot_of(spec, spec->index + i)] = value;
	}
}

u64 msr_load(const struct msr_spec *spec, const struct msr_store *store, u32 index)
{
	if (spec->home == MSR_HOME_STORE)
		return store->v[slot_of(spec, index)];
	return spec->home == MSR_HOME_CONST ? spec->reset : 0;
}

void msr_save(const struct msr_spec *spec, struct msr_store *store, u32 index, u64 value)
{
	if (spec->home == MSR_HOME_STORE)
		store->v[slot_of(spec, index)] = value;
}

static unsigned int list(const struct cpuid_derived *supported, u8 flag, u32 *out,
			 unsigned int max)
{
	unsigned int row, i, n = 0;

	for (row = ROW_NONE + 1; row < ROW_COUNT; row++) {
		const struct msr_spec *spec = &msr_specs[row];

		if (!(spec->flags & flag))
			continue;
		if (spec->needs != CPUID_F_NONE && !cpuid_has(supported, spec->needs))
			continue;
		for (i = 0; i < spec->count; i++, n++) {
			if (n < max)
				out[n] = spec->index + i;
		}
	}
	return n;
}

unsigned int msr_list(const struct cpuid_derived *supported, u32 *out, unsigned int max)
{
	return list(supported, MSR_LISTED, out, max);
}

unsigned int msr_feature_list(const struct cpuid_derived *supported, u32 *out, unsigned int max)
{
	return list(supported, MSR_FEATURE, out, max);
}

/*
 * RDCL_NO, IBRS_ALL, RSBA, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, IF_PSCHANGE_MC_NO; TAA_NO; SBDR_SSDP_NO,
 * FBSDP_NO, PSDP_NO; FB_CLEAR; RRSBA, BHI_NO; PBRSB_NO; GDS_NO, RFDS_NO, RFDS_CLEAR; ITS_NO.
 */
#define ARCH_CAPABILITIES_TRUE                                                                     \
	(BITS64(6, 0) | BIT64(8) | BITS64(15, 13) | BIT64(17) | BITS64(20, 19) | BIT64(24) |       \
	 BITS64(28, 26) | BIT64(62))

u64 msr_arch_capabilities(u64 host, u64 affected)
{
	return host & ARCH_CAPABILITIES_TRUE & ~affected;
}

bool msr_feature_read(const struct msr_features *features, u32 index, u64 *value)
{
	switch (index) {
	case X86_MSR_UCODE_REV:
		*value = features->ucode_rev;
		return true;
	case X86_MSR_ARCH_CAPABILITIES:
		*value = features->arch_capabilities;
		return true;
	case X86_MSR_DE_CFG:
		*value = features->de_cfg & MSR_DE_CFG_LFENCE_SERIALIZE;
		return true;
	default:
		return false;
	}
}
