// SPDX-License-Identifier: GPL-2.0-only
/*
 * The register cache: control-register writes with their consequences, modes, and the special
 * registers as one checked set.
 *
 * Owns: the values in struct keel_regs. Does not own: how they reach the hardware (vendor), what may
 * be in them (pure/regs.c). Contexts: vCPU loaded, preemptible.
 * AMD APM vol. 2 "System Resources", "Long Mode Initialization"; Intel SDM vol. 3 "System
 * Architecture Overview".
 */
#include "core.h"
#include "fpu.h"
#include <keel/mem.h>

#define CR3_PAE_TABLE BITS64(31, 5)

u64 keel_edx_eax(const struct keel_vcpu *vcpu)
{
	return keel_gpr32(vcpu, KEEL_RAX) | (u64)keel_gpr32(vcpu, KEEL_RDX) << 32;
}

void keel_edx_eax_set(struct keel_vcpu *vcpu, u64 value)
{
	vcpu->arch.regs.gpr[KEEL_RAX] = (u32)value;
	vcpu->arch.regs.gpr[KEEL_RDX] = value >> 32;
	keel_regs_dirty(vcpu, KEEL_RG_GPR);
}

/* A segment as after RESET or INIT. */
static struct regs_segment segment_reset(u16 selector, u64 base, u8 type, bool s)
{
	return (struct regs_segment){
		.base = base, .limit = 0xffff, .selector = selector, .type = type, .s = s, .present = 1,
	};
}

/* AMD APM vol. 2 "Processor Initialization State"; Intel SDM vol. 3 "Processor State After Reset". */
void keel_regs_reset(struct keel_vcpu *vcpu)
{
	struct keel_regs *regs = &vcpu->arch.regs;
	unsigned int i;

	memset(regs, 0, sizeof(*regs));
	regs->rip = 0xfff0;
	regs->rflags = X86_RFLAGS_FIXED;
	regs->gpr[KEEL_RDX] = 0x600;
	for (i = REGS_SEG_ES; i <= REGS_SEG_GS; i++)
		regs->seg[i] = segment_reset(0, 0, 3, true);
	regs->seg[REGS_SEG_CS] = segment_reset(0xf000, 0xffff0000, 0xb, true);
	regs->seg[REGS_SEG_LDT] = segment_reset(0, 0, 2, false);
	regs->seg[REGS_SEG_TR] = segment_reset(0, 0, 0xb, false);
	regs->gdt.limit = 0xffff;
	regs->idt.limit = 0xffff;
	regs->cr0 = REGS_CR0_CD | REGS_CR0_NW | REGS_CR0_ET;
	regs->dr6 = REGS_DR6_INIT;
	regs->dr7 = REGS_DR7_FIXED_1;
	regs->valid = KEEL_RG_ALL;
	regs->dirty = KEEL_RG_ALL;
}

/* regs.code and the control registers. Segments that were set and not yet committed are not in the hardware. */
static void need_mode(struct keel_vcpu *vcpu)
{
	struct keel_regs *regs = &vcpu->arch.regs;

	if (likely(!(regs->valid & KEEL_RG_CODE))) {
		keel_regs_need(vcpu, KEEL_RG_MODE | KEEL_RG_CR);
		return;
	}
	keel_regs_need(vcpu, KEEL_RG_CR);
	if (regs->valid & KEEL_RG_MODE)
		return;
	regs->code = (struct keel_code){
		.l = regs->seg[REGS_SEG_CS].l,
		.db = regs->seg[REGS_SEG_CS].db,
		.dpl = regs->seg[REGS_SEG_SS].dpl,
	};
	regs->valid |= KEEL_RG_MODE;
}

static bool is_64bit(const struct keel_regs *regs)
{
	return regs->efer & REGS_EFER_LMA && regs->code.l;
}

bool keel_in_64bit(struct keel_vcpu *vcpu)
{
	need_mode(vcpu);
	return is_64bit(&vcpu->arch.regs);
}

static unsigned int cpl_of(const struct keel_regs *regs)
{
	if (!(regs->cr0 & REGS_CR0_PE))
		return 0;
	return regs->rflags & X86_RFLAGS_VM ? 3 : regs->code.dpl;
}

unsigned int keel_cpl(struct keel_vcpu *vcpu)
{
	need_mode(vcpu);
	return cpl_of(&vcpu->arch.regs);
}

void keel_emu_mode(struct keel_vcpu *vcpu, struct emu_mode *mode)
{
	const struct keel_regs *regs = &vcpu->arch.regs;

	need_mode(vcpu);
	mode->intel = vcpu->arch.cpuid.derived.vendor == CPUID_VENDOR_INTEL;
	if (likely(is_64bit(regs) && regs->cr0 & REGS_CR0_PE && !(regs->rflags & X86_RFLAGS_VM))) {
		mode->cpu = EMU_CPU_LONG;
		mode->bits = 64;
		mode->cpl = regs->code.dpl;
		return;
	}
	mode->cpl = cpl_of(regs);
	mode->bits = is_64bit(regs) ? 64 : regs->code.db ? 32 : 16;
	if (!(regs->cr0 & REGS_CR0_PE))
		mode->cpu = EMU_CPU_REAL;
	else
		mode->cpu = regs->rflags & X86_RFLAGS_VM ? EMU_CPU_VM86 : EMU_CPU_PROT;
}

void keel_special_get(struct keel_vcpu *vcpu, struct regs_special *out)
{
	const struct keel_regs *regs = &vcpu->arch.regs;

	keel_regs_need(vcpu, KEEL_RG_SEG | KEEL_RG_CR);
	*out = (struct regs_special){
		.cs = regs->seg[REGS_SEG_CS], .ds = regs->seg[REGS_SEG_DS],
		.es = regs->seg[REGS_SEG_ES], .fs = regs->seg[REGS_SEG_FS],
		.gs = regs->seg[REGS_SEG_GS], .ss = regs->seg[REGS_SEG_SS],
		.tr = regs->seg[REGS_SEG_TR], .ldt = regs->seg[REGS_SEG_LDT],
		.gdt = regs->gdt, .idt = regs->idt,
		.cr0 = regs->cr0, .cr2 = regs->cr2, .cr3 = regs->cr3, .cr4 = regs->cr4,
		.cr8 = regs->cr8, .efer = regs->efer, .apic_base = vcpu->arch.apic_base,
	};
}

bool keel_pdptes_load(struct keel_vcpu *vcpu, u64 cr3)
{
	struct keel_regs *regs = &vcpu->arch.regs;
	u64 pdpte[ARRAY_SIZE(regs->pdptr)];

	if (!keel_host_caps.pdptes)
		return true;
	if (keel_gpa_read(vcpu->vm, keel_vcpu_gpa(vcpu, to_gpa(cr3 & CR3_PAE_TABLE)), pdpte, sizeof(pdpte)) ||
	    !regs_pdptes_valid(pdpte, &vcpu->arch.cpuid.derived))
		return false;
	memcpy(regs->pdptr, pdpte, sizeof(pdpte));
	keel_regs_dirty(vcpu, KEEL_RG_CR);
	return true;
}

int keel_special_set(struct keel_vcpu *vcpu, const struct regs_special *in)
{
	struct keel_regs *regs = &vcpu->arch.regs;
	bool refresh, tables;

	if (regs_check_special(in, &vcpu->arch.cpuid.derived) != REGS_OK)
		return -EINVAL;
	keel_regs_need(vcpu, KEEL_RG_SEG | KEEL_RG_CR);
	tables = in->cr0 != regs->cr0 || in->cr3 != regs->cr3 || in->cr4 != regs->cr4 || in->efer != regs->efer;
	refresh = in->cr4 != regs->cr4 || in->apic_base != vcpu->arch.apic_base;
	regs->seg[REGS_SEG_CS] = in->cs;
	regs->seg[REGS_SEG_DS] = in->ds;
	regs->seg[REGS_SEG_ES] = in->es;
	regs->seg[REGS_SEG_FS] = in->fs;
	regs->seg[REGS_SEG_GS] = in->gs;
	regs->seg[REGS_SEG_SS] = in->ss;
	regs->seg[REGS_SEG_TR] = in->tr;
	regs->seg[REGS_SEG_LDT] = in->ldt;
	regs->gdt = in->gdt;
	regs->idt = in->idt;
	regs->cr0 = (in->cr0 & REGS_CR0_DEFINED) | REGS_CR0_ET;
	regs->cr2 = in->cr2;
	regs->cr3 = in->cr3;
	regs->cr4 = in->cr4;
	regs->cr8 = in->cr8;
	vcpu->arch.irq_check |= !!vcpu->arch.apic;
	regs->efer = in->efer;
	if (in->apic_base != vcpu->arch.apic_base)
		keel_apic_base_set(vcpu, in->apic_base);
	vcpu->arch.apic_base = in->apic_base;
	keel_regs_dirty(vcpu, KEEL_RG_SEG | KEEL_RG_CR);
	/* Memory may not be there yet: then none is present, unless user space sets them as well. */
	if (tables && keel_pae_paging(regs) && !keel_pdptes_load(vcpu, regs->cr3))
		memset(regs->pdptr, 0, sizeof(regs->pdptr));
	keel_vendor->flush(vcpu, KEEL_FLUSH_GUEST);
	if (refresh)
		keel_cpuid_refresh(vcpu);
	return 0;
}

static void control_of(struct keel_vcpu *vcpu, struct regs_control *now)
{
	const struct keel_regs *regs = &vcpu->arch.regs;

	keel_regs_need(vcpu, KEEL_RG_CODE | KEEL_RG_CR);
	*now = (struct regs_control){
		.cr0 = regs->cr0, .cr3 = regs->cr3, .cr4 = regs->cr4, .efer = regs->efer,
		.cs_l = regs->seg[REGS_SEG_CS].l,
	};
}

static void control_apply(struct keel_vcpu *vcpu, const struct regs_write *write)
{
	struct keel_regs *regs = &vcpu->arch.regs;

	regs->cr0 = write->next.cr0;
	regs->cr3 = write->next.cr3;
	regs->cr4 = write->next.cr4;
	regs->efer = write->next.efer;
	keel_regs_dirty(vcpu, KEEL_RG_CR);
	if (write->effects & REGS_FLUSH_TLB)
		keel_vendor->flush(vcpu, KEEL_FLUSH_GUEST);
	if (write->effects & REGS_CPUID_CHANGED)
		keel_cpuid_refresh(vcpu);
}

int keel_cr_write(struct keel_vcpu *vcpu, unsigned int nr, u64 value)
{
	const struct cpuid_derived *cpuid = &vcpu->arch.cpuid.derived;
	enum regs_reason reason = REGS_CR8_RESERVED;
	struct regs_control now;
	struct regs_write write;

	control_of(vcpu, &now);
	switch (nr) {
	case 0:
		reason = regs_write_cr0(&now, value, &write);
		break;
	case 3:
		reason = regs_write_cr3(&now, value, cpuid, &write);
		break;
	case 4:
		reason = regs_write_cr4(&now, value, cpuid, &write);
		break;
	case 8:
		reason = regs_check_cr8(value);
		break;
	}
	if (reason == REGS_OK && nr != 8 && write.effects & REGS_LOAD_PDPTRS &&
	    !keel_pdptes_load(vcpu, write.next.cr3))
		reason = REGS_CR3_RESERVED;
	if (reason != REGS_OK) {
		keel_exception_error(vcpu, EVENT_GP, 0);
		return -EINVAL;
	}
	if (nr == 8) {
		vcpu->arch.regs.cr8 = value;
		keel_regs_dirty(vcpu, KEEL_RG_CR);
	} else {
		control_apply(vcpu, &write);
	}
	return 0;
}

u64 keel_cr_read(struct keel_vcpu *vcpu, unsigned int nr)
{
	const struct keel_regs *regs = &vcpu->arch.regs;

	keel_regs_need(vcpu, KEEL_RG_CR);
	switch (nr) {
	case 0:
		return regs->cr0;
	case 2:
		return regs->cr2;
	case 3:
		return regs->cr3;
	case 4:
		return regs->cr4;
	default:
		return regs->cr8;
	}
}

int keel_efer_set(struct keel_vcpu *vcpu, u64 value, u64 allowed)
{
	struct regs_control now;
	struct regs_write write;

	control_of(vcpu, &now);
	if (regs_write_efer(&now, value, allowed, &write) != REGS_OK)
		return -EINVAL;
	control_apply(vcpu, &write);
	return 0;
}

int keel_xcr_set(struct keel_vcpu *vcpu, u32 index, u64 value)
{
	if (regs_check_xcr(index, value, &vcpu->arch.cpuid.derived) != REGS_OK)
		return -EINVAL;
	vcpu->arch.fpu.xcr0 = value;
	keel_cpuid_refresh(vcpu);
	return 0;
}
