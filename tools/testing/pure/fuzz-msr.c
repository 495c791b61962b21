// SPDX-License-Identifier: GPL-2.0-only
/*
 * A series of MSR accesses by guest and VMM: accepted values obey the rules that protect the host,
 * refused accesses change nothing, and the VMM can write back all it can read.
 */
#include "msr.h"
#include "regs.h"
#include "harness.h"

static u32 pick_index(struct fuzz_input *in)
{
	u8 row = fuzz_u8(in);

	if (row == 0xff)
		return fuzz_u32(in);
	row %= msr_specs_rows;
	return msr_specs[row].index + fuzz_u8(in) % (msr_specs[row].count + 1);
}

static void check_kept(const struct msr_spec *spec, const struct msr_ctx *ctx, u64 value,
		       enum msr_by by)
{
	const struct cpuid_derived *cpuid = ctx->cpuid;

	switch (spec->index) {
	case X86_MSR_EFER:
		FUZZ_ASSERT(!(value & ~cpuid->efer_host & ~(ctx->efer & REGS_EFER_LMA)));
		FUZZ_ASSERT(!((value ^ ctx->efer) & REGS_EFER_LMA));
		break;
	case X86_MSR_SPEC_CTRL:
		FUZZ_ASSERT(!(value & ~cpuid->spec_ctrl_host));
		break;
	case X86_MSR_LSTAR:
	case X86_MSR_CSTAR:
	case X86_MSR_KERNEL_GS_BASE:
	case X86_MSR_FS_BASE:
	case X86_MSR_GS_BASE:
	case X86_MSR_SYSENTER_EIP:
	case X86_MSR_SYSENTER_ESP:
		FUZZ_ASSERT(regs_canonical(value, cpuid->vaddr_bits));
		break;
	case X86_MSR_XSS:
		FUZZ_ASSERT(!value && by == MSR_BY_HOST);
		break;
	case X86_MSR_TSC_AUX:
		FUZZ_ASSERT(!(value >> 32));
		break;
	}
}

static void check_write_back(const struct msr_ctx *ctx, const struct msr_store *store, u32 index)
{
	const struct msr_spec *spec = msr_find(index);
	u64 value = msr_load(spec, store, index), kept = value;

	if (spec->home != MSR_HOME_STORE || msr_check_read(spec, ctx, index, MSR_BY_HOST) != MSR_OK)
		return;
	FUZZ_ASSERT(msr_check_write(spec, ctx, index, &kept, MSR_BY_HOST) == MSR_OK);
	FUZZ_ASSERT(kept == value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct msr_store store, before;
	struct fuzz_input in = { data, size };
	u64 shown = fuzz_u64(&in);
	struct cpuid_derived cpuid = {
		.features = shown, .gpa_reserved = BITS64(63, 36 + (shown & 15)),
		.efer_guest = shown >> 8 & 0xd01, .efer_host = 0xd01, .spec_ctrl_guest = shown & 0x87,
		.spec_ctrl_host = 0x87, .maxphyaddr = 36 + (shown & 15),
		.vaddr_bits = shown & 1 ? 57 : 48,
	};
	struct msr_features features = { fuzz_u64(&in), fuzz_u64(&in), fuzz_u64(&in) };
	struct msr_ctx ctx = {
		.cpuid = &cpuid, .store = &store, .cr0 = fuzz_u32(&in), .efer = fuzz_u32(&in) & 0xd01,
		.apic_base = 0xfee00000 | (fuzz_u16(&in) & 0xd00), .mcg_cap = fuzz_u32(&in) % 33 |
			     (fuzz_u32(&in) & MSR_MCG_CAP_SUPPORTED),
	};
	unsigned int i;
	u32 list[4];

	msr_store_init(&store, &features);
	msr_list(&cpuid, list, fuzz_u8(&in) & 3);
	for (i = 0; i < 64 && in.left; i++) {
		u32 index = pick_index(&in);
		enum msr_by by = fuzz_u8(&in) & 1 ? MSR_BY_HOST : MSR_BY_GUEST;
		u64 value = fuzz_u64(&in);
		const struct msr_spec *spec = msr_find(index);

		if (!spec)
			continue;
		before = store;
		if (msr_check_write(spec, &ctx, index, &value, by) == MSR_OK) {
			check_kept(spec, &ctx, value, by);
			msr_save(spec, &store, index, value);
			if (spec->home == MSR_HOME_STORE)
				FUZZ_ASSERT(msr_load(spec, &store, index) == value);
			check_write_back(&ctx, &store, index);
		} else {
			FUZZ_ASSERT(!memcmp(&before, &store, sizeof(store)));
		}
		msr_check_read(spec, &ctx, index, by);
	}
	return 0;
}
