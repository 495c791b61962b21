// SPDX-License-Identifier: GPL-2.0-only
/*
 * Control-register writes of a guest from a state user space set: each accepted one leaves a state
 * the processor would enter with, and one that user space could have set as well.
 */
#include "regs.h"
#include "cpuid.h"
#include "harness.h"

static struct cpuid_derived arbitrary_cpuid(struct fuzz_input *in)
{
	u8 width = 36 + fuzz_u8(in) % 17;

	return (struct cpuid_derived){
		.features = fuzz_u64(in),
		.gpa_reserved = BITS64(63, width),
		.cr4_allowed = 0x7ff | (fuzz_u32(in) & 0x771fff),
		.efer_guest = 0x204d01,
		.efer_host = 0x204d01,
		.xcr0_allowed = fuzz_u32(in) | 1,
		.dr6_fixed_1 = fuzz_u8(in) & 1 ? 0xfffe0ff0 : 0xffff0ff0,
		.maxphyaddr = width,
		.vaddr_bits = fuzz_u8(in) & 1 ? 57 : 48,
	};
}

/* The conditions of VMRUN, as the manual lists them. */
static void check_enterable(const struct regs_control *c, const struct cpuid_derived *cpuid)
{
	bool lme = c->efer & REGS_EFER_LME, pg = c->cr0 & REGS_CR0_PG;

	FUZZ_ASSERT(!(c->cr0 >> 32) && !(c->cr4 >> 32));
	FUZZ_ASSERT(c->cr0 & REGS_CR0_CD || !(c->cr0 & REGS_CR0_NW));
	FUZZ_ASSERT(!pg || c->cr0 & REGS_CR0_PE);
	FUZZ_ASSERT(!(c->cr3 & cpuid->gpa_reserved));
	FUZZ_ASSERT(!(c->cr4 & ~cpuid->cr4_allowed));
	FUZZ_ASSERT(!(c->efer & ~0x204d01ULL));
	FUZZ_ASSERT(!(lme && pg) || c->cr4 & REGS_CR4_PAE);
	FUZZ_ASSERT((lme && pg) == !!(c->efer & REGS_EFER_LMA));
}

static void check_segment(struct fuzz_input *in)
{
	struct regs_segment seg, back;
	u16 attrib;

	memset(&seg, 0, sizeof(seg));
	fuzz_bytes(in, &seg, sizeof(seg));
	attrib = regs_segment_pack(&seg);
	FUZZ_ASSERT(attrib < 0x1000 && (!(attrib & 0x80) || (seg.present & 1 && !seg.unusable)));
	back = seg;
	regs_segment_unpack(&back, attrib, REGS_SEG_FS);
	FUZZ_ASSERT(regs_segment_pack(&back) == attrib);
	FUZZ_ASSERT(regs_segment_to_vmx(&seg) < 0x20000 && !(regs_segment_to_vmx(&seg) & 0xf00));
	regs_segment_from_vmx(&back, regs_segment_to_vmx(&seg));
	FUZZ_ASSERT(regs_segment_pack(&back) == attrib);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct cpuid_derived cpuid = arbitrary_cpuid(&in);
	struct regs_control now = { .cr0 = 0x60000010 };
	struct regs_special s = { 0 };
	u64 kept;

	check_segment(&in);
	fuzz_bytes(&in, &s, sizeof(s));
	if (regs_check_special(&s, &cpuid) == REGS_OK) {
		now = (struct regs_control){ s.cr0, s.cr3, s.cr4, s.efer, s.cs.l };
		check_enterable(&now, &cpuid);
		FUZZ_ASSERT(!(s.cs.l && s.cs.db && s.efer & REGS_EFER_LMA));
	}
	while (in.left) {
		struct regs_write w = { .next = now };
		enum regs_reason reason = REGS_OK;
		u8 op = fuzz_u8(&in);
		u64 value = op & 0x80 ? fuzz_u64(&in) : fuzz_u32(&in);

		switch (op % 8) {
		case 0:
			reason = regs_write_cr0(&now, value, &w);
			break;
		case 1:
			reason = regs_write_cr3(&now, value, &cpuid, &w);
			break;
		case 2:
			reason = regs_write_cr4(&now, value, &cpuid, &w);
			break;
		case 3:
			reason = regs_write_efer(&now, value, cpuid.efer_guest, &w);
			break;
		case 4:
			w.next.cs_l = value & 1 && now.efer & REGS_EFER_LMA;
			break;
		case 5:
			if (regs_check_xcr(0, value, &cpuid) == REGS_OK)
				FUZZ_ASSERT(value & 1 && !(value & ~cpuid.xcr0_allowed));
			break;
		case 6:
			if (regs_write_dr6(value, &cpuid, &kept) == REGS_OK)
				FUZZ_ASSERT(!(kept >> 32) && (kept & 0x1000) == 0);
			break;
		default:
			if (regs_write_dr7(value, &kept) == REGS_OK)
				FUZZ_ASSERT(!(kept >> 32) && (kept & 0xdc00) == 0x400);
			break;
		}
		if (reason != REGS_OK)
			continue;
		now = w.next;
		check_enterable(&now, &cpuid);
	}
	return 0;
}
