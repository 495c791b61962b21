// SPDX-License-Identifier: GPL-2.0-only
/*
 * CPUID policy on an arbitrary host and an arbitrary guest: nothing is offered that is known to be
 * off, nothing is derived that is not offered, and every leaf gets an answer.
 */
#include "cpuid.h"
#include "regs.h"
#include "harness.h"

#define HOST_MAX 48
#define GUEST_MAX 64

static const u32 functions[] = {
	0x0, 0x1, 0x2, 0x4, 0x6, 0x7, 0xa, 0xb, 0xd, 0xd, 0xd, 0xd, 0x14, 0x1d, 0x1e, 0x1f,
	0x40000000, 0x40000001, 0x40000100, 0x80000000, 0x80000001, 0x80000008, 0x8000001d, 0x80000021,
};

static unsigned int leaves(struct fuzz_input *in, struct cpuid_leaf *leaf, unsigned int max)
{
	unsigned int n = fuzz_u8(in) % max, i;

	for (i = 0; i < n; i++) {
		u8 kind = fuzz_u8(in);

		memset(&leaf[i], 0, sizeof(leaf[i]));
		leaf[i].function = kind < 0xf0 ? functions[kind % ARRAY_SIZE(functions)] : fuzz_u32(in);
		leaf[i].index = fuzz_u8(in) & 0x3f;
		leaf[i].flags = fuzz_u8(in) & 7;
		leaf[i].eax = fuzz_u32(in);
		leaf[i].ebx = fuzz_u32(in);
		leaf[i].ecx = fuzz_u32(in);
		leaf[i].edx = fuzz_u32(in);
	}
	return n;
}

static void check_offer(const struct cpuid_table *supported, const struct cpuid_table *host,
			const struct cpuid_caps *caps)
{
	unsigned int i;

	for (i = 0; i < cpuid_spec_rows; i++) {
		const struct cpuid_row *row = &cpuid_spec[i];
		const struct cpuid_leaf *s = cpuid_lookup(supported, row->leaf, row->subleaf);
		const struct cpuid_leaf *h = cpuid_lookup(host, row->leaf, row->subleaf);
		u32 got = s ? (&s->eax)[row->reg] & row->mask : 0;
		u32 has = h ? (&h->eax)[row->reg] & row->mask : 0;

		if (row->policy & (CPUID_OFF | CPUID_DYNAMIC))
			FUZZ_ASSERT(!got);
		if (row->policy == CPUID_HOST)
			FUZZ_ASSERT(!(got & ~has));
		if (row->policy == CPUID_HOST && (caps->xcr0 & row->xcr0) != row->xcr0)
			FUZZ_ASSERT(!got);
		if (row->caps & ~(caps->have | CPUID_CAP_UD_EMULATION))
			FUZZ_ASSERT(!got);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cpuid_leaf host_leaf[HOST_MAX], guest_leaf[GUEST_MAX];
	static struct cpuid_leaf supported_leaf[CPUID_MAX_SUPPORTED + 1];
	struct fuzz_input in = { data, size };
	struct cpuid_caps caps = {
		.have = fuzz_u8(&in) * 0x101u, .maxphyaddr = fuzz_u8(&in) & 63, .xcr0 = fuzz_u32(&in),
	};
	struct cpuid_table host, guest, supported;
	struct cpuid_derived derived;
	struct cpuid_dynamic state;
	unsigned int i;
	int n;

	cpuid_table_init(&host, host_leaf, leaves(&in, host_leaf, HOST_MAX));
	n = cpuid_supported(&host, &caps, supported_leaf, ARRAY_SIZE(supported_leaf));
	FUZZ_ASSERT(n == -CPUID_E2BIG || (n > 0 && n <= CPUID_MAX_SUPPORTED));
	if (n < 0)
		return 0;
	cpuid_table_init(&supported, supported_leaf, n);
	check_offer(&supported, &host, &caps);

	cpuid_table_init(&guest, guest_leaf, leaves(&in, guest_leaf, GUEST_MAX));
	cpuid_validate(guest_leaf, guest.n);
	cpuid_derive(&guest, &supported, &derived);
	FUZZ_ASSERT(derived.maxphyaddr >= 1 && derived.maxphyaddr <= 52);
	FUZZ_ASSERT(!(derived.efer_guest & ~derived.efer_host));
	FUZZ_ASSERT(!(derived.spec_ctrl_guest & ~derived.spec_ctrl_host));
	FUZZ_ASSERT(!(derived.xcr0_allowed & ~(caps.xcr0 | 1)));
	/* What is allowed as a whole may be enabled as a whole. */
	FUZZ_ASSERT(regs_check_xcr(0, derived.xcr0_allowed, &derived) == REGS_OK);

	state = (struct cpuid_dynamic){
		.cr4 = fuzz_u32(&in), .xcr0 = derived.xcr0_allowed & fuzz_u64(&in),
		.apic_base = fuzz_u32(&in), .misc_enable = fuzz_u32(&in),
		.mwait_follows_misc_enable = fuzz_u8(&in) & 1,
	};
	cpuid_update_dynamic(&guest, &supported, &state);
	for (i = 0; i < 16; i++) {
		u32 leaf = i & 1 ? fuzz_u32(&in) : functions[fuzz_u8(&in) % ARRAY_SIZE(functions)];
		u32 subleaf = fuzz_u8(&in);
		const struct cpuid_leaf *found = cpuid_lookup(&guest, leaf, subleaf);
		u32 regs[4];

		cpuid_execute(&guest, leaf, subleaf, regs);
		if (found)
			FUZZ_ASSERT(found->function == leaf && (found->index == subleaf ||
								!(found->flags & 1)));
	}
	return 0;
}
