// SPDX-License-Identifier: GPL-2.0-only
/*
 * CPUID: building the supported set from a snapshot of the host, judging what a VMM sets, what it
 * means for the run-time, and answering a guest's CPUID instruction.
 *
 * It owns the computed leaves (maxima, caches, XSAVE areas, topology, address widths, signature)
 * and the look-up. It does not own the policy of single bits (cpuid-spec.c), nor memory: tables
 * belong to the caller. It never executes CPUID. Any context; only cpuid_table_init() takes long.
 *
 * Topology (leaves 0xB, 0x1F, 0x8000001E) is reported as zeroes, as the API documents; the leaves
 * themselves are there because VMMs look for an entry to fill in.
 *
 * Intel SDM: "CPUID - CPU Identification", "Enumeration of CPU Support for XSAVE Instructions and
 * XSAVE-Supported Features". AMD APM volume 3: "Obtaining Processor Information Via the CPUID
 * Instruction".
 */
#include "cpuid.h"
#include "regs.h"

#define HYPERVISOR_BASE 0x40000000u
#define KVM_EBX 0x4b4d564b		/* "KVMK" */
#define KVM_ECX 0x564b4d56		/* "VMKV" */
#define KVM_EDX 0x0000004d		/* "M" */
#define PARAVIRT_UNHALT (1u << 7)	/* leaf HYPERVISOR_BASE + 1, EAX */
#define PARAVIRT_SEND_IPI (1u << 11)
#define EXTENDED_BASE 0x80000000u
#define MAX_CACHE_SUBLEAVES 16
#define XSAVE_LEGACY_SIZE 576		/* FXSAVE image and XSAVE header */
#define XSAVE_COMPONENTS 63
#define XSAVE_IN_XSS 0x1u		/* leaf 0xD, subleaf > 1, ECX */
#define XSAVE_ALIGNED 0x2u
#define DEFAULT_MAXPHYADDR 36		/* PAE processors without leaf 0x80000008 */

/* How a leaf is read from the host and written to the supported set. */
enum plan_kind {
	PLAN_MAX_BASIC,
	PLAN_ROWS,		/* subleaf 0, bits as the specification says */
	PLAN_FEATURES,		/* EAX is the highest subleaf, bits as the specification says */
	PLAN_CACHES,		/* subleaves until one of type 0, as the host has them */
	PLAN_TOPOLOGY,		/* an empty entry to be filled in by the VMM */
	PLAN_XSAVE,
	PLAN_TILE,		/* as the host has it, while AMX is offered */
	PLAN_SIGNATURE,
	PLAN_PARAVIRT,
	PLAN_MAX_EXTENDED,
	PLAN_WIDTHS,
};

static const struct plan {
	u32 leaf;
	u8 kind;
	u8 subleaves;		/* how many the host is asked for, where that is fixed */
} plan[] = {
	{ 0x0, PLAN_MAX_BASIC, 1 },
	{ 0x1, PLAN_ROWS, 1 },
	{ 0x2, PLAN_ROWS, 1 },
	{ 0x4, PLAN_CACHES, 0 },
	{ 0x6, PLAN_ROWS, 1 },
	{ 0x7, PLAN_FEATURES, 3 },
	{ 0xb, PLAN_TOPOLOGY, 0 },
	{ 0xd, PLAN_XSAVE, 0 },
	{ 0x1d, PLAN_TILE, 2 },
	{ 0x1e, PLAN_TILE, 1 },
	{ 0x1f, PLAN_TOPOLOGY, 0 },
	{ HYPERVISOR_BASE, PLAN_SIGNATURE, 0 },
	{ HYPERVISOR_BASE + 1, PLAN_PARAVIRT, 0 },
	{ EXTENDED_BASE, PLAN_MAX_EXTENDED, 1 },
	{ 0x80000001, PLAN_ROWS, 1 },
	{ 0x80000002, PLAN_ROWS, 1 },
	{ 0x80000003, PLAN_ROWS, 1 },
	{ 0x80000004, PLAN_ROWS, 1 },
	{ 0x80000005, PLAN_ROWS, 1 },
	{ 0x80000006, PLAN_ROWS, 1 },
	{ 0x80000007, PLAN_ROWS, 1 },
	{ 0x80000008, PLAN_WIDTHS, 1 },
	{ 0x80000019, PLAN_ROWS, 1 },
	{ 0x8000001a, PLAN_ROWS, 1 },
	{ 0x8000001d, PLAN_CACHES, 0 },
	{ 0x8000001e, PLAN_TOPOLOGY, 0 },
	{ 0x80000021, PLAN_ROWS, 1 },
};

static const struct {
	u32 ebx, ecx, edx;
} vendor_names[] = {
	[CPUID_VENDOR_INTEL] = { 0x756e6547, 0x6c65746e, 0x49656e69 },	/* GenuineIntel */
	[CPUID_VENDOR_AMD] = { 0x68747541, 0x444d4163, 0x69746e65 },	/* AuthenticAMD */
	{ 0x6f677948, 0x656e6975, 0x6e65476e },				/* HygonGenuine */
};

static bool has_subleaves(u8 kind)
{
	return kind == PLAN_FEATURES || kind == PLAN_CACHES || kind == PLAN_TOPOLOGY ||
	       kind == PLAN_XSAVE || kind == PLAN_TILE;
}

static bool is_empty(const struct cpuid_leaf *leaf)
{
	return !(leaf->eax | leaf->ebx | leaf->ecx | leaf->edx);
}

static u32 *leaf_reg(struct cpuid_leaf *leaf, unsigned int reg)
{
	u32 *const regs[] = { &leaf->eax, &leaf->ebx, &leaf->ecx, &leaf->edx };

	return regs[reg & 3];
}

static enum cpuid_vendor vendor_of(const struct cpuid_leaf *leaf0)
{
	unsigned int i;

	for (i = CPUID_VENDOR_INTEL; leaf0 && i < ARRAY_SIZE(vendor_names); i++) {
		if (leaf0->ebx == vendor_names[i].ebx && leaf0->ecx == vendor_names[i].ecx &&
		    leaf0->edx == vendor_names[i].edx)
			return i == CPUID_VENDOR_INTEL ? CPUID_VENDOR_INTEL : CPUID_VENDOR_AMD;
	}
	return CPUID_VENDOR_OTHER;
}

/* Look-up. */

static bool leaf_before(const struct cpuid_leaf *a, const struct cpuid_leaf *b)
{
	if (a->function != b->function)
		return a->function < b->function;
	return a->index < b->index;
}

static u16 *hint_of(struct cpuid_table *table, u32 function)
{
	if (function < CPUID_HINT_BASIC)
		return &table->basic[function];
	if (function - HYPERVISOR_BASE < CPUID_HINT_HYPERVISOR)
		return &table->hypervisor[function - HYPERVISOR_BASE];
	if (function - EXTENDED_BASE < CPUID_HINT_EXTENDED)
		return &table->extended[function - EXTENDED_BASE];
	return NULL;
}

void cpuid_table_init(struct cpuid_table *table, struct cpuid_leaf *leaf, unsigned int n)
{
	unsigned int i, k;

	memset(table, 0, sizeof(*table));
	table->leaf = leaf;
	table->n = n;

	/* Insertion keeps duplicates in order and costs one pass over a sorted array, the rule. */
	for (i = 1; i < n; i++) {
		struct cpuid_leaf moved = leaf[i];

		for (k = i; k && leaf_before(&moved, &leaf[k - 1]); k--)
			leaf[k] = leaf[k - 1];
		leaf[k] = moved;
	}
	for (i = n; i-- > 0;) {
		u16 *hint = hint_of(table, leaf[i].function);

		if (hint)
			*hint = i + 1;
	}
	table->zero_out_of_range = vendor_of(cpuid_lookup(table, 0, 0)) == CPUID_VENDOR_AMD;
}

/* The first entry of @function, by halving: for functions outside the hinted ranges. */
static unsigned int first_of(const struct cpuid_table *table, u32 function)
{
	unsigned int lo = 0, hi = table->n;

	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;

		if (table->leaf[mid].function < function)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct cpuid_leaf *cpuid_lookup(const struct cpuid_table *table, u32 leaf, u32 subleaf)
{
	unsigned int i;

	if (leaf < CPUID_HINT_BASIC)
		i = table->basic[leaf & (CPUID_HINT_BASIC - 1)];
	else if (leaf - HYPERVISOR_BASE < CPUID_HINT_HYPERVISOR)
		i = table->hypervisor[leaf & (CPUID_HINT_HYPERVISOR - 1)];
	else if (leaf - EXTENDED_BASE < CPUID_HINT_EXTENDED)
		i = table->extended[leaf & (CPUID_HINT_EXTENDED - 1)];
	else
		i = first_of(table, leaf) + 1;
	if (!i)
		return NULL;
	for (i--; i < table->n && table->leaf[i].function == leaf; i++) {
		struct cpuid_leaf *entry = &table->leaf[i];

		if (entry->index == subleaf || !(entry->flags & CPUID_SIGNIFICANT_INDEX))
			return entry;
	}
	return NULL;
}

/* Is @leaf at or below the maximum its range declares? */
static bool leaf_in_range(const struct cpuid_table *table, u32 leaf)
{
	const struct cpuid_leaf *max;
	u32 base = 0;

	/* Several hypervisor interfaces may be stacked at a distance of 0x100. */
	if (leaf >> 28 == HYPERVISOR_BASE >> 28)
		base = leaf & ~0xffu;
	else if (leaf >= EXTENDED_BASE)
		base = leaf & 0xffff0000u;
	max = cpuid_lookup(table, base, 0);
	return max && leaf <= max->eax;
}

/* Has the VMM set an entry of this function, whatever its subleaf? */
static bool leaf_set(const struct cpuid_table *table, u32 leaf)
{
	unsigned int i;

	for (i = 0; i < table->n; i++) {
		if (table->leaf[i].function == leaf)
			return true;
	}
	return false;
}

void cpuid_execute(const struct cpuid_table *table, u32 leaf, u32 subleaf, u32 regs[4])
{
	const struct cpuid_leaf *entry = cpuid_lookup(table, leaf, subleaf);

	/* An entry that the VMM set answers even above the maximum it declares. */
	if (unlikely(!entry && !leaf_in_range(table, leaf) && !leaf_set(table, leaf))) {
		const struct cpuid_leaf *leaf0 = cpuid_lookup(table, 0, 0);

		entry = NULL;
		if (leaf0 && !table->zero_out_of_range) {
			leaf = leaf0->eax;
			entry = cpuid_lookup(table, leaf, subleaf);
		}
	}
	if (likely(entry)) {
		regs[CPUID_REG_EAX] = entry->eax;
		regs[CPUID_REG_EBX] = entry->ebx;
		regs[CPUID_REG_ECX] = entry->ecx;
		regs[CPUID_REG_EDX] = entry->edx;
		return;
	}
	memset(regs, 0, 4 * sizeof(*regs));
	/* Levels beyond the last still give the asked level number and the x2APIC id. */
	if (leaf == 0xb || leaf == 0x1f) {
		entry = cpuid_lookup(table, leaf, 0);
		if (entry) {
			regs[CPUID_REG_ECX] = subleaf & 0xff;
			regs[CPUID_REG_EDX] = entry->edx;
		}
	}
}

u32 cpuid_xsave_size(const struct cpuid_table *table, u64 xcr0, bool compacted)
{
	u64 end = XSAVE_LEGACY_SIZE;
	unsigned int i;

	for (i = 2; i < XSAVE_COMPONENTS; i++) {
		const struct cpuid_leaf *entry;
		u64 offset;

		if (!(xcr0 & BIT64(i)))
			continue;
		entry = cpuid_lookup(table, 0xd, i);
		if (!entry)
			continue;
		offset = entry->ebx;
		if (compacted)
			offset = entry->ecx & XSAVE_ALIGNED ? (end + 63) & ~63ULL : end;
		if (offset + entry->eax > end)
			end = offset + entry->eax;
	}
	return end > 0xffffffffULL ? 0xffffffffu : end;
}

/* The host's snapshot. */

struct writer {
	struct cpuid_leaf *out;
	unsigned int n, max;
	bool overflow;
};

static void emit(struct writer *w, const struct cpuid_leaf *leaf)
{
	if (w->n == w->max) {
		w->overflow = true;
		return;
	}
	w->out[w->n++] = *leaf;
}

static int emitted(const struct writer *w)
{
	return w->overflow ? -CPUID_E2BIG : (int)w->n;
}

static struct cpuid_leaf read_host(cpuid_exec_fn *exec, const struct plan *p, u32 subleaf)
{
	struct cpuid_leaf leaf = {
		.function = p->leaf,
		.index = subleaf,
		.flags = has_subleaves(p->kind) ? CPUID_SIGNIFICANT_INDEX : 0,
	};
	u32 regs[4] = { 0 };

	exec(p->leaf, subleaf, regs);
	leaf.eax = regs[CPUID_REG_EAX];
	leaf.ebx = regs[CPUID_REG_EBX];
	leaf.ecx = regs[CPUID_REG_ECX];
	leaf.edx = regs[CPUID_REG_EDX];
	return leaf;
}

static void snapshot_leaf(cpuid_exec_fn *exec, const struct plan *p, struct writer *w)
{
	struct cpuid_leaf leaf = read_host(exec, p, 0);
	u64 components = 0;
	u32 subleaf, end = p->subleaves;

	emit(w, &leaf);
	if (p->kind == PLAN_CACHES)
		end = (leaf.eax & 0x1f) ? MAX_CACHE_SUBLEAVES : 1;
	if (p->kind == PLAN_FEATURES && leaf.eax < end)
		end = leaf.eax + 1;
	if (p->kind == PLAN_XSAVE) {
		end = XSAVE_COMPONENTS;
		components = leaf.eax | (u64)leaf.edx << 32 | BIT64(1);
	}
	for (subleaf = 1; subleaf < end; subleaf++) {
		if (p->kind == PLAN_XSAVE && !(components & BIT64(subleaf)))
			continue;
		leaf = read_host(exec, p, subleaf);
		if (p->kind == PLAN_CACHES && !(leaf.eax & 0x1f))
			break;
		emit(w, &leaf);
	}
}

int cpuid_snapshot(cpuid_exec_fn *exec, struct cpuid_leaf *out, unsigned int max)
{
	struct writer w = { .out = out, .max = max };
	u32 regs[4] = { 0 };
	u32 max_basic, max_extended;
	unsigned int i;

	exec(0, 0, regs);
	max_basic = regs[CPUID_REG_EAX];
	exec(EXTENDED_BASE, 0, regs);
	max_extended = regs[CPUID_REG_EAX];
	for (i = 0; i < ARRAY_SIZE(plan); i++) {
		u32 limit = plan[i].leaf >= EXTENDED_BASE ? max_extended : max_basic;

		if (plan[i].leaf <= limit && plan[i].leaf >> 28 != HYPERVISOR_BASE >> 28)
			snapshot_leaf(exec, &plan[i], &w);
	}
	return emitted(&w);
}

/* The supported set. */

struct offer {
	const struct cpuid_table *host;
	const struct cpuid_caps *caps;
	u64 xcr0;		/* components both the caller and the host support */
	struct writer w;
	u32 max_basic, max_extended;
};

static bool row_holds(const struct offer *o, const struct cpuid_row *row)
{
	u32 need = row->caps & ~(u32)CPUID_CAP_UD_EMULATION;

	return (o->caps->have & need) == need && (o->xcr0 & row->xcr0) == row->xcr0;
}

/* Bits of @leaf by the rows of the specification, added to what the caller put there. */
static void apply_rows(const struct offer *o, struct cpuid_leaf *leaf)
{
	struct cpuid_leaf *host = cpuid_lookup(o->host, leaf->function, leaf->index);
	unsigned int i;

	for (i = 0; i < cpuid_spec_rows; i++) {
		const struct cpuid_row *row = &cpuid_spec[i];
		u8 policy = row->policy;

		if (row->leaf != leaf->function || row->subleaf != leaf->index || !row_holds(o, row))
			continue;
		if (policy & CPUID_SOFT)
			*leaf_reg(leaf, row->reg) |= row->mask;
		if (policy & CPUID_HOST && host)
			*leaf_reg(leaf, row->reg) |= *leaf_reg(host, row->reg) & row->mask;
	}
}

static void offer_leaf(struct offer *o, const struct cpuid_leaf *leaf)
{
	emit(&o->w, leaf);
	if (leaf->function < HYPERVISOR_BASE)
		o->max_basic = leaf->function;
	else if (leaf->function >= EXTENDED_BASE)
		o->max_extended = leaf->function;
}

static void offer_features(struct offer *o, struct cpuid_leaf *leaf)
{
	struct cpuid_leaf sub[3];
	u32 i, last = 0;

	for (i = 0; i < ARRAY_SIZE(sub); i++) {
		sub[i] = *leaf;
		sub[i].index = i;
		apply_rows(o, &sub[i]);
		if (!is_empty(&sub[i]))
			last = i;
	}
	sub[0].eax = last;
	for (i = 0; i <= last; i++) {
		if (!is_empty(&sub[i]))
			offer_leaf(o, &sub[i]);
	}
}

static void offer_from_host(struct offer *o, const struct plan *p)
{
	unsigned int i;

	for (i = 0; i < MAX_CACHE_SUBLEAVES; i++) {
		const struct cpuid_leaf *host = cpuid_lookup(o->host, p->leaf, i);
		struct cpuid_leaf leaf;

		if (!host)
			break;
		leaf = *host;
		leaf.index = i;
		leaf.flags = CPUID_SIGNIFICANT_INDEX;
		/* How many CPUs share a cache is topology: left to the VMM. */
		if (p->kind == PLAN_CACHES)
			leaf.eax &= 0x3fff;
		if (!is_empty(&leaf))
			offer_leaf(o, &leaf);
	}
}

static void offer_xsave(struct offer *o, struct cpuid_leaf *leaf)
{
	unsigned int i;

	if (!o->xcr0)
		return;
	leaf->eax = o->xcr0;
	leaf->edx = o->xcr0 >> 32;
	leaf->ecx = cpuid_xsave_size(o->host, o->xcr0, false);
	leaf->ebx = leaf->ecx;
	offer_leaf(o, leaf);

	leaf->index = 1;
	leaf->eax = 0;
	leaf->ecx = 0;
	leaf->edx = 0;
	apply_rows(o, leaf);
	leaf->ebx = leaf->eax & 2 ? cpuid_xsave_size(o->host, o->xcr0, true) : 0;
	if (!is_empty(leaf))
		offer_leaf(o, leaf);

	for (i = 2; i < XSAVE_COMPONENTS; i++) {
		if (!(o->xcr0 & BIT64(i)))
			continue;
		*leaf = *cpuid_lookup(o->host, 0xd, i);
		leaf->index = i;
		leaf->flags = CPUID_SIGNIFICANT_INDEX;
		offer_leaf(o, leaf);
	}
}

static u32 offered_widths(const struct offer *o, const struct cpuid_leaf *host)
{
	u32 physical = host->eax & 0xff;
	u32 virtual = host->eax >> 8 & 0xff;

	if (o->caps->maxphyaddr && o->caps->maxphyaddr < physical)
		physical = o->caps->maxphyaddr;
	if (virtual > 48 && !(o->caps->have & CPUID_CAP_LA57))
		virtual = 48;
	return virtual << 8 | physical;
}

static void offer_planned(struct offer *o, const struct plan *p)
{
	const struct cpuid_leaf *host = cpuid_lookup(o->host, p->leaf, 0);
	struct cpuid_leaf leaf = {
		.function = p->leaf,
		.flags = has_subleaves(p->kind) ? CPUID_SIGNIFICANT_INDEX : 0,
	};

	switch ((enum plan_kind)p->kind) {
	case PLAN_MAX_BASIC:
	case PLAN_MAX_EXTENDED:
		apply_rows(o, &leaf);
		offer_leaf(o, &leaf);
		break;
	case PLAN_FEATURES:
		offer_features(o, &leaf);
		break;
	case PLAN_ROWS:
		apply_rows(o, &leaf);
		if (!is_empty(&leaf))
			offer_leaf(o, &leaf);
		break;
	case PLAN_TILE:
		if ((o->xcr0 & REGS_XCR0_AMX) == REGS_XCR0_AMX)
			offer_from_host(o, p);
		break;
	case PLAN_CACHES:
		offer_from_host(o, p);
		break;
	case PLAN_TOPOLOGY:
		if (host)
			offer_leaf(o, &leaf);
		break;
	case PLAN_XSAVE:
		offer_xsave(o, &leaf);
		break;
	case PLAN_SIGNATURE:
		leaf.eax = HYPERVISOR_BASE + 1;
		leaf.ebx = KVM_EBX;
		leaf.ecx = KVM_ECX;
		leaf.edx = KVM_EDX;
		offer_leaf(o, &leaf);
		break;
	case PLAN_PARAVIRT:
		/* Without any feature too: an empty leaf says so, a missing one is ambiguous. */
		apply_rows(o, &leaf);
		offer_leaf(o, &leaf);
		break;
	case PLAN_WIDTHS:
		if (!host)
			break;
		leaf.eax = offered_widths(o, host);
		apply_rows(o, &leaf);
		offer_leaf(o, &leaf);
		break;
	}
}

/* Components of @xcr0 that may be enabled together; groups that are incomplete are dropped. */
static u64 consistent_xcr0(u64 xcr0)
{
	static const struct {
		u64 group, needs;
	} rules[] = {
		{ REGS_XCR0_SSE, REGS_XCR0_X87 },
		{ REGS_XCR0_AVX, REGS_XCR0_SSE },
		{ REGS_XCR0_AVX512, REGS_XCR0_AVX | REGS_XCR0_AVX512 },
		{ REGS_XCR0_AMX, REGS_XCR0_AMX },
	};
	unsigned int i;

	xcr0 &= REGS_XCR0_X87 | REGS_XCR0_SSE | REGS_XCR0_AVX | REGS_XCR0_AVX512 |
		REGS_XCR0_PKRU | REGS_XCR0_AMX;
	for (i = 0; i < ARRAY_SIZE(rules); i++) {
		if ((xcr0 & rules[i].needs) != rules[i].needs)
			xcr0 &= ~rules[i].group;
	}
	return xcr0 & REGS_XCR0_X87 ? xcr0 : 0;
}

/* XCR0 bits @table declares, or 0 without XSAVE. */
static u64 declared_xcr0(const struct cpuid_table *table)
{
	const struct cpuid_leaf *leaf1 = cpuid_lookup(table, 1, 0);
	const struct cpuid_leaf *area = cpuid_lookup(table, 0xd, 0);

	if (!leaf1 || !(leaf1->ecx & 1u << 26) || !area)
		return 0;
	return consistent_xcr0(area->eax | (u64)area->edx << 32);
}

static u64 offered_xcr0(const struct cpuid_table *host, u64 wanted)
{
	u64 xcr0 = declared_xcr0(host) & wanted;
	unsigned int i;

	for (i = 2; i < XSAVE_COMPONENTS; i++) {
		const struct cpuid_leaf *entry = cpuid_lookup(host, 0xd, i);

		if (!entry || entry->ecx & XSAVE_IN_XSS)
			xcr0 &= ~BIT64(i);
	}
	xcr0 = consistent_xcr0(xcr0);
	return xcr0 & REGS_XCR0_SSE ? xcr0 : 0;
}

int cpuid_supported(const struct cpuid_table *host, const struct cpuid_caps *caps,
		    struct cpuid_leaf *out, unsigned int max)
{
	struct offer o = {
		.host = host,
		.caps = caps,
		.xcr0 = offered_xcr0(host, caps->xcr0),
		.w = { .out = out, .max = max < CPUID_MAX_SUPPORTED ? max : CPUID_MAX_SUPPORTED },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(plan); i++)
		offer_planned(&o, &plan[i]);
	for (i = 0; i < o.w.n; i++) {
		if (out[i].function == 0)
			out[i].eax = o.max_basic;
		else if (out[i].function == EXTENDED_BASE)
			out[i].eax = o.max_extended;
	}
	return emitted(&o.w);
}

int cpuid_emulated(const struct cpuid_caps *caps, struct cpuid_leaf *out, unsigned int max)
{
	struct writer w = { .out = out, .max = max };
	struct cpuid_leaf leaf = { 0 };
	unsigned int i;

	for (i = 0; i <= cpuid_spec_rows; i++) {
		const struct cpuid_row *row = i < cpuid_spec_rows ? &cpuid_spec[i] : NULL;

		if (!row || row->leaf != leaf.function || row->subleaf != leaf.index) {
			if (!is_empty(&leaf))
				emit(&w, &leaf);
			if (!row)
				break;
			memset(&leaf, 0, sizeof(leaf));
			leaf.function = row->leaf;
			leaf.index = row->subleaf;
			if (row->leaf == 0x7)
				leaf.flags = CPUID_SIGNIFICANT_INDEX;
		}
		if (row->policy & CPUID_EMULATED && caps->have & CPUID_CAP_UD_EMULATION)
			*leaf_reg(&leaf, row->reg) |= row->mask;
	}
	return emitted(&w);
}

/* What a VMM sets, and what it means. */

int cpuid_validate(const struct cpuid_leaf *leaf, unsigned int n)
{
	unsigned int i;

	if (n > CPUID_MAX_ENTRIES)
		return -CPUID_E2BIG;
	for (i = 0; i < n; i++) {
		u32 width = leaf[i].eax >> 8 & 0xff;

		/* The canonical checks know two widths; of duplicates the first one counts. */
		if (leaf[i].function != 0x80000008)
			continue;
		return width == 0 || width == 48 || width == 57 ? 0 : -CPUID_EINVAL;
	}
	return 0;
}

static u64 derive_features(const struct cpuid_table *guest, const struct cpuid_table *supported)
{
	static const struct {
		u8 any;
		u64 members;
	} unions[] = {
		{ CPUID_F_SPEC_CTRL_MSR,
		  BIT64(CPUID_F_SPEC_CTRL) | BIT64(CPUID_F_INTEL_STIBP) |
		  BIT64(CPUID_F_INTEL_SSBD) | BIT64(CPUID_F_AMD_IBRS) | BIT64(CPUID_F_AMD_STIBP) |
		  BIT64(CPUID_F_AMD_SSBD) | BIT64(CPUID_F_PSFD) },
		{ CPUID_F_PRED_CMD_MSR,
		  BIT64(CPUID_F_SPEC_CTRL) | BIT64(CPUID_F_AMD_IBPB) | BIT64(CPUID_F_SBPB) },
		{ CPUID_F_TSC_AUX_MSR, BIT64(CPUID_F_RDTSCP) | BIT64(CPUID_F_RDPID) },
	};
	u64 features = 0;
	unsigned int i;

	for (i = 0; i < cpuid_spec_rows; i++) {
		const struct cpuid_row *row = &cpuid_spec[i];
		struct cpuid_leaf *g, *s;

		if (row->feature == CPUID_F_NONE)
			continue;
		g = cpuid_lookup(guest, row->leaf, row->subleaf);
		s = cpuid_lookup(supported, row->leaf, row->subleaf);
		if (g && s && *leaf_reg(g, row->reg) & *leaf_reg(s, row->reg) & row->mask)
			features |= BIT64(row->feature);
	}
	for (i = 0; i < ARRAY_SIZE(unions); i++) {
		if (features & unions[i].members)
			features |= BIT64(unions[i].any);
	}
	return features;
}

/* Register bits a feature brings, on top of those every 64-bit processor has. */
static const struct {
	u8 feature;
	u64 cr4, efer, spec_ctrl;
} feature_bits[] = {
	{ CPUID_F_UMIP, REGS_CR4_UMIP, 0, 0 },
	{ CPUID_F_LA57, REGS_CR4_LA57, 0, 0 },
	{ CPUID_F_FSGSBASE, REGS_CR4_FSGSBASE, 0, 0 },
	{ CPUID_F_PCID, REGS_CR4_PCIDE, 0, 0 },
	{ CPUID_F_XSAVE, REGS_CR4_OSXSAVE, 0, 0 },
	{ CPUID_F_SMEP, REGS_CR4_SMEP, 0, 0 },
	{ CPUID_F_SMAP, REGS_CR4_SMAP, 0, 0 },
	{ CPUID_F_PKU, REGS_CR4_PKE, 0, 0 },
	{ CPUID_F_SYSCALL, 0, REGS_EFER_SCE, 0 },
	{ CPUID_F_LM, 0, REGS_EFER_LME | REGS_EFER_LMA, 0 },
	{ CPUID_F_NX, 0, REGS_EFER_NXE, 0 },
	{ CPUID_F_FXSR_OPT, 0, REGS_EFER_FFXSR, 0 },
	{ CPUID_F_AUTOIBRS, 0, REGS_EFER_AIBRSE, 0 },
	{ CPUID_F_SPEC_CTRL, 0, 0, BIT64(0) },
	{ CPUID_F_AMD_IBRS, 0, 0, BIT64(0) },
	{ CPUID_F_INTEL_STIBP, 0, 0, BIT64(1) },
	{ CPUID_F_AMD_STIBP, 0, 0, BIT64(1) },
	{ CPUID_F_INTEL_SSBD, 0, 0, BIT64(2) },
	{ CPUID_F_AMD_SSBD, 0, 0, BIT64(2) },
	{ CPUID_F_PSFD, 0, 0, BIT64(7) },
};

#define CR4_ALWAYS                                                                                 \
	(REGS_CR4_VME | REGS_CR4_PVI | REGS_CR4_TSD | REGS_CR4_DE | REGS_CR4_PSE | REGS_CR4_PAE |  \
	 REGS_CR4_MCE | REGS_CR4_PGE | REGS_CR4_PCE | REGS_CR4_OSFXSR | REGS_CR4_OSXMMEXCPT)

static u32 declared_width(const struct cpuid_table *table)
{
	const struct cpuid_leaf *widths = cpuid_lookup(table, 0x80000008, 0);
	u32 physical = widths ? widths->eax & 0xff : 0;

	if (!physical)
		return DEFAULT_MAXPHYADDR;
	return physical < 52 ? physical : 52;
}

void cpuid_derive(const struct cpuid_table *guest, const struct cpuid_table *supported,
		  struct cpuid_derived *out)
{
	u64 host = derive_features(supported, supported);
	u32 guest_width = declared_width(guest), host_width = declared_width(supported);
	unsigned int i;

	memset(out, 0, sizeof(*out));
	out->features = derive_features(guest, supported);
	out->cr4_allowed = CR4_ALWAYS;
	for (i = 0; i < ARRAY_SIZE(feature_bits); i++) {
		u64 bit = BIT64(feature_bits[i].feature);

		if (host & bit) {
			out->efer_host |= feature_bits[i].efer;
			out->spec_ctrl_host |= feature_bits[i].spec_ctrl;
		}
		if (out->features & bit) {
			out->cr4_allowed |= feature_bits[i].cr4;
			out->efer_guest |= feature_bits[i].efer;
			out->spec_ctrl_guest |= feature_bits[i].spec_ctrl;
		}
	}
	if (cpuid_has(out, CPUID_F_XSAVE))
		out->xcr0_allowed = consistent_xcr0(declared_xcr0(guest) & declared_xcr0(supported));
	/* XCR0 always has its x87 bit, also while nobody can change it. */
	out->xcr0_allowed |= REGS_XCR0_X87;
	out->dr6_fixed_1 = REGS_DR6_INIT;
	if (cpuid_has(out, CPUID_F_RTM))
		out->dr6_fixed_1 &= ~REGS_DR6_RTM;
	out->maxphyaddr = guest_width < host_width ? guest_width : host_width;
	out->gpa_reserved = BITS64(63, out->maxphyaddr);
	out->vaddr_bits = cpuid_has(out, CPUID_F_LA57) ? 57 : 48;
	out->vendor = vendor_of(cpuid_lookup(guest, 0, 0));
}

static void set_leaf_bit(u32 *word, unsigned int bit, bool value)
{
	*word = (*word & ~(1u << bit)) | (u32)value << bit;
}

static bool is_kvm(const struct cpuid_leaf *signature)
{
	return signature && signature->ebx == KVM_EBX && signature->ecx == KVM_ECX && signature->edx == KVM_EDX;
}

void cpuid_update_dynamic(struct cpuid_table *guest, const struct cpuid_table *supported,
			  const struct cpuid_dynamic *state)
{
	struct cpuid_leaf *leaf = cpuid_lookup(guest, 1, 0);
	bool apic = state->apic_base & REGS_APIC_BASE_ENABLE;

	if (leaf) {
		if (leaf->ecx & 1u << 26)
			set_leaf_bit(&leaf->ecx, 27, state->cr4 & REGS_CR4_OSXSAVE);
		set_leaf_bit(&leaf->edx, 9, apic);
		if (state->mwait_follows_misc_enable)
			set_leaf_bit(&leaf->ecx, 3, state->misc_enable & BIT64(18));
	}
	leaf = cpuid_lookup(guest, 7, 0);
	if (leaf && leaf->ecx & 1u << 3)
		set_leaf_bit(&leaf->ecx, 4, state->cr4 & REGS_CR4_PKE);
	leaf = cpuid_lookup(guest, HYPERVISOR_BASE + 1, 0);
	if (leaf && is_kvm(cpuid_lookup(guest, HYPERVISOR_BASE, 0))) {
		if (state->no_lapic)
			leaf->eax &= ~(PARAVIRT_UNHALT | PARAVIRT_SEND_IPI);
		if (state->no_hlt_exit)
			leaf->eax &= ~PARAVIRT_UNHALT;
	}
	leaf = cpuid_lookup(guest, 0xd, 0);
	if (leaf)
		leaf->ebx = cpuid_xsave_size(supported, state->xcr0, false);
	leaf = cpuid_lookup(guest, 0xd, 1);
	if (leaf && leaf->index == 1 && leaf->eax & 0xa)
		leaf->ebx = cpuid_xsave_size(supported, state->xcr0, true);
	leaf = cpuid_lookup(guest, 0x80000001, 0);
	if (leaf && vendor_of(cpuid_lookup(guest, 0, 0)) == CPUID_VENDOR_AMD)
		set_leaf_bit(&leaf->edx, 9, apic);
}
