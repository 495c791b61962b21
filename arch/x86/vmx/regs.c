// SPDX-License-Identifier: GPL-2.0-only
/*
 * Register groups between arch.regs and the VMCS's guest-state area.
 *
 * RIP, RSP and RFLAGS go in with each entry (enter.c) and out with each exit (exits.c). The guest
 * writes CR3, CR0.TS, some CR4 bits and its segments without an exit, so after an exit no other
 * group is valid until loaded. All other bits of CR0 and CR4 are the host's to write: the guest
 * reads them from the shadows, and arch.regs.efer is always true.
 *
 * Context: loaded. SDM volume 3: "Guest Register State", "Guest/Host Masks and Read Shadows for CR0
 * and CR4", "Checks on Guest Segment Registers".
 */
#include <vmx/vmx.h>

static void load_segment(struct keel_regs *regs, enum regs_segment_id id)
{
	struct regs_segment *to = &regs->seg[id];

	regs_segment_from_vmx(to, vmx_read_hot(VMCS_GUEST_ES_RIGHTS + 2 * id));
	to->selector = vmx_read_hot(VMCS_GUEST_ES + 2 * id);
	to->limit = vmx_read_hot(VMCS_GUEST_ES_LIMIT + 2 * id);
	to->base = vmx_read_hot(VMCS_GUEST_ES_BASE + 2 * id);
}

/* What an entry insists on and a VMM need not know: loaded segments are accessed, the task is busy. */
static u32 rights_of(const struct regs_segment *seg, enum regs_segment_id id)
{
	struct regs_segment fixed = *seg;

	if (fixed.s)
		fixed.type |= 1;
	else if (id == REGS_SEG_TR && (fixed.type == 1 || fixed.type == 9))
		fixed.type |= 2;
	return regs_segment_to_vmx(&fixed);
}

static void commit_segment(const struct keel_regs *regs, enum regs_segment_id id)
{
	const struct regs_segment *from = &regs->seg[id];

	vmx_write(VMCS_GUEST_ES + 2 * id, from->selector);
	vmx_write(VMCS_GUEST_ES_LIMIT + 2 * id, from->limit);
	vmx_write(VMCS_GUEST_ES_RIGHTS + 2 * id, rights_of(from, id));
	vmx_write(VMCS_GUEST_ES_BASE + 2 * id, from->base);
}

/* Access rights: DPL in bits 6:5, L in bit 13, D/B in bit 14. CPL is the DPL of SS. */
static void load_mode(struct keel_regs *regs)
{
	u32 cs = vmx_read_hot(VMCS_GUEST_ES_RIGHTS + 2 * REGS_SEG_CS);

	regs->code.l = cs >> 13 & 1;
	regs->code.db = cs >> 14 & 1;
	regs->code.dpl = vmx_read_hot(VMCS_GUEST_ES_RIGHTS + 2 * REGS_SEG_SS) >> 5 & 3;
}

static const u8 data_segments[] = {
	REGS_SEG_ES, REGS_SEG_DS, REGS_SEG_FS, REGS_SEG_GS, REGS_SEG_LDT, REGS_SEG_TR,
};

static void load_data(struct keel_regs *regs)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(data_segments); i++)
		load_segment(regs, data_segments[i]);
	regs->gdt = (struct regs_dtable){
		.base = vmx_read_hot(VMCS_GUEST_GDT_BASE), .limit = vmx_read_hot(VMCS_GUEST_GDT_LIMIT),
	};
	regs->idt = (struct regs_dtable){
		.base = vmx_read_hot(VMCS_GUEST_IDT_BASE), .limit = vmx_read_hot(VMCS_GUEST_IDT_LIMIT),
	};
}

static void commit_data(const struct keel_regs *regs)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(data_segments); i++)
		commit_segment(regs, data_segments[i]);
	vmx_write(VMCS_GUEST_GDT_BASE, regs->gdt.base);
	vmx_write(VMCS_GUEST_GDT_LIMIT, regs->gdt.limit);
	vmx_write(VMCS_GUEST_IDT_BASE, regs->idt.base);
	vmx_write(VMCS_GUEST_IDT_LIMIT, regs->idt.limit);
}

static bool pae_paging(const struct keel_regs *regs)
{
	return regs->cr0 & REGS_CR0_PG && regs->cr4 & REGS_CR4_PAE && !(regs->efer & REGS_EFER_LMA);
}

static void load_control(struct vmx_vcpu *vmx, struct keel_regs *regs)
{
	u64 cr4_mask = vmx->controls.cr4_mask;
	unsigned int i;

	regs->cr0 = (vmx->cr0_shadow & ~REGS_CR0_TS) | (vmx_read_hot(VMCS_GUEST_CR0) & REGS_CR0_TS);
	regs->cr2 = vmx->cr2;
	regs->cr3 = vmx_read_hot(VMCS_GUEST_CR3);
	regs->cr4 = (vmx->cr4_shadow & cr4_mask) | (vmx_read_hot(VMCS_GUEST_CR4) & ~cr4_mask);
	regs->efer = vmx->efer;
	if (unlikely(pae_paging(regs)))
		for (i = 0; i < ARRAY_SIZE(regs->pdptr); i++)
			regs->pdptr[i] = vmx_read_hot(VMCS_GUEST_PDPTE0 + 2 * i);
}

static void commit_efer(struct vmx_vcpu *vmx, u64 efer)
{
	u32 entry = vmx->controls.entry & ~VMX_ENTRY_64BIT;

	vmx->efer = efer;
	vmx_write(VMCS_GUEST_EFER, efer);
	vmx_control(&vmx->controls.entry, VMCS_ENTRY, entry | (efer & REGS_EFER_LMA ? VMX_ENTRY_64BIT : 0));
	/* EFER.SCE decides whether SYSCALL's MSRs are needed. */
	vmx->pending |= VMX_PEND_MSRS;
}

static void commit_control(struct vmx_vcpu *vmx, const struct keel_regs *regs)
{
	/* User space can set PCIDE outside of long mode. It means nothing there, and the entry would fail. */
	u64 cr4 = regs->efer & REGS_EFER_LMA ? regs->cr4 : regs->cr4 & ~(u64)REGS_CR4_PCIDE;
	unsigned int i;

	vmx->cr0_shadow = regs->cr0;
	vmx->cr4_shadow = regs->cr4;
	vmx->cr2 = regs->cr2;
	vmx_write(VMCS_GUEST_CR0, regs->cr0 | vmx_hw.cr0_fixed);
	vmx_write(VMCS_CR0_SHADOW, regs->cr0);
	vmx_write(VMCS_GUEST_CR3, regs->cr3);
	vmx_write(VMCS_GUEST_CR4, cr4 | vmx_hw.cr4_fixed);
	vmx_write(VMCS_CR4_SHADOW, regs->cr4);
	/* The lower half is the local APIC's alone. */
	if (*vmx->tpr >> 4 != regs->cr8)
		*vmx->tpr = regs->cr8 << 4;
	if (vmx->efer != regs->efer)
		commit_efer(vmx, regs->efer);
	if (unlikely(pae_paging(regs)))
		for (i = 0; i < ARRAY_SIZE(regs->pdptr); i++)
			vmx_write(VMCS_GUEST_PDPTE0 + 2 * i, regs->pdptr[i]);
}

/* Linux switches these two often, and nothing here depends on them. */
u64 vmx_cr4_open(struct keel_vcpu *vcpu)
{
	return vcpu->arch.cpuid.derived.cr4_allowed & (REGS_CR4_TSD | REGS_CR4_PGE);
}

void vmx_regs_load(struct keel_vcpu *vcpu, u32 groups)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct keel_regs *regs = &vcpu->arch.regs;

	groups &= ~regs->valid;
	if (groups & KEEL_RG_MODE)
		load_mode(regs);
	if (groups & KEEL_RG_CODE) {
		load_segment(regs, REGS_SEG_CS);
		load_segment(regs, REGS_SEG_SS);
	}
	if (groups & KEEL_RG_DATA)
		load_data(regs);
	if (groups & KEEL_RG_CR)
		load_control(vmx, regs);
	if (groups & KEEL_RG_DR && !vcpu->arch.debug.own) {
		regs->dr6 = vmx->dr6;
		regs->dr7 = vmx_read_hot(VMCS_GUEST_DR7);
	}
	regs->valid |= groups;
}

void vmx_regs_commit(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct keel_regs *regs = &vcpu->arch.regs;
	u32 dirty = regs->dirty;

	if (dirty & KEEL_RG_CODE) {
		commit_segment(regs, REGS_SEG_CS);
		commit_segment(regs, REGS_SEG_SS);
	}
	if (dirty & KEEL_RG_DATA)
		commit_data(regs);
	if (dirty & KEEL_RG_CR)
		commit_control(vmx, regs);
	if (dirty & KEEL_RG_DR) {
		vmx->dr6 = regs->dr6;
		vmx_write(VMCS_GUEST_DR7, keel_debug_dr7(&vcpu->arch));
	}
	regs->dirty = 0;
}
