// SPDX-License-Identifier: GPL-2.0-only
/*
 * Register groups between arch.regs and the VMCB's state save area.
 *
 * The group KEEL_RG_GPR goes in with each entry (enter.c) and out with each exit (exits.c). The guest
 * writes CR0, CR3 and its segments without an exit, so after an exit no other group is valid until loaded.
 *
 * Context: loaded, preemption off. APM volume 2: "Layout of VMCB", "VMRUN Instruction".
 */
#include <svm/svm.h>

/* Save-area place of each segment. */
static const u16 seg_offset[] = {
	[REGS_SEG_ES] = offsetof(struct vmcb_save, es),
	[REGS_SEG_CS] = offsetof(struct vmcb_save, cs),
	[REGS_SEG_SS] = offsetof(struct vmcb_save, ss),
	[REGS_SEG_DS] = offsetof(struct vmcb_save, ds),
	[REGS_SEG_FS] = offsetof(struct vmcb_save, fs),
	[REGS_SEG_GS] = offsetof(struct vmcb_save, gs),
	[REGS_SEG_LDT] = offsetof(struct vmcb_save, ldtr),
	[REGS_SEG_TR] = offsetof(struct vmcb_save, tr),
};

static struct vmcb_seg *save_seg(struct vmcb_save *save, enum regs_segment_id id)
{
	return (void *)save + seg_offset[id];
}

#define CODE_SEGMENTS (BIT(REGS_SEG_CS) | BIT(REGS_SEG_SS))

static void load_segment(struct vmcb_save *save, struct keel_regs *regs, enum regs_segment_id id)
{
	const struct vmcb_seg *from = save_seg(save, id);
	struct regs_segment *to = &regs->seg[id];

	regs_segment_unpack(to, from->attr, id);
	to->selector = from->selector;
	to->limit = from->limit;
	to->base = from->base;
}

static void load_code(struct vmcb_save *save, struct keel_regs *regs)
{
	load_segment(save, regs, REGS_SEG_CS);
	load_segment(save, regs, REGS_SEG_SS);
	/* The CPU keeps CPL apart; SS.DPL may lag behind it. */
	regs->seg[REGS_SEG_SS].dpl = save->cpl;
}

/* The attributes are the descriptor's: L and D/B are in its upper byte. */
static void load_mode(const struct vmcb_save *save, struct keel_regs *regs)
{
	unsigned int attr = save->cs.attr;

	regs->code.l = attr & BIT(9);
	regs->code.db = attr & BIT(10);
	regs->code.dpl = save->cpl;
}

static void load_data(struct vmcb_save *save, struct keel_regs *regs)
{
	enum regs_segment_id id;

	for (id = 0; id < ARRAY_SIZE(seg_offset); id++)
		if (!(CODE_SEGMENTS & BIT(id)))
			load_segment(save, regs, id);
	regs->gdt = (struct regs_dtable){ .base = save->gdtr.base, .limit = save->gdtr.limit };
	regs->idt = (struct regs_dtable){ .base = save->idtr.base, .limit = save->idtr.limit };
}

static void commit_segments(struct vmcb_save *save, const struct keel_regs *regs)
{
	enum regs_segment_id id;

	for (id = 0; id < ARRAY_SIZE(seg_offset); id++) {
		const struct regs_segment *from = &regs->seg[id];

		*save_seg(save, id) = (struct vmcb_seg){
			.selector = from->selector,
			.attr = regs_segment_pack(from),
			.limit = from->limit,
			.base = from->base,
		};
	}
	save->cpl = regs->seg[REGS_SEG_SS].dpl;
	save->gdtr = (struct vmcb_seg){ .base = regs->gdt.base, .limit = regs->gdt.limit };
	save->idtr = (struct vmcb_seg){ .base = regs->idt.base, .limit = regs->idt.limit };
}

static noinline void load_rare(struct vmcb_save *save, struct keel_regs *regs, u32 groups, bool own)
{
	if (groups & KEEL_RG_CODE)
		load_code(save, regs);
	if (groups & KEEL_RG_DATA)
		load_data(save, regs);
	/* Else they are the debugger's. */
	if (groups & KEEL_RG_DR && !own) {
		regs->dr6 = save->dr6;
		regs->dr7 = save->dr7;
	}
}

void svm_regs_load(struct keel_vcpu *vcpu, u32 groups)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct keel_regs *regs = &vcpu->arch.regs;
	struct vmcb_save *save = &svm->vmcb->save;

	groups &= ~regs->valid;
	regs->valid |= groups;
	if (groups & KEEL_RG_MODE)
		load_mode(save, regs);
	if (groups & KEEL_RG_CR) {
		regs->cr0 = save->cr0;
		regs->cr2 = save->cr2;
		regs->cr3 = save->cr3;
		regs->cr4 = save->cr4;
		regs->efer = save->efer & ~SVM_EFER_SVME;
	}
	if (groups & (KEEL_RG_SEG | KEEL_RG_DR))
		load_rare(save, regs, groups, vcpu->arch.debug.own);
}

static void commit_control(struct svm_vcpu *svm, const struct keel_regs *regs)
{
	struct vmcb_control *control = &svm->vmcb->control;
	struct vmcb_save *save = &svm->vmcb->save;

	save->cr0 = regs->cr0;
	save->cr2 = regs->cr2;
	save->cr3 = regs->cr3;
	save->cr4 = regs->cr4;
	save->efer = regs->efer | SVM_EFER_SVME;
	control->int_ctl = (control->int_ctl & ~SVM_INT_TPR) | (regs->cr8 & SVM_INT_TPR);
	svm_touch(svm, SVM_CLEAN_CR | SVM_CLEAN_CR2 | SVM_CLEAN_TPR);
}

void svm_regs_commit(struct keel_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct keel_regs *regs = &vcpu->arch.regs;
	struct vmcb_save *save = &svm->vmcb->save;
	u32 dirty = regs->dirty;

	if (dirty & KEEL_RG_SEG) {
		commit_segments(save, regs);
		svm_touch(svm, SVM_CLEAN_SEG | SVM_CLEAN_DT);
	}
	if (dirty & KEEL_RG_CR)
		commit_control(svm, regs);
	if (dirty & KEEL_RG_DR) {
		save->dr6 = vcpu->arch.debug.own ? REGS_DR6_INIT : regs->dr6;
		save->dr7 = keel_debug_dr7(&vcpu->arch);
		svm_touch(svm, SVM_CLEAN_DR);
	}
	regs->dirty = 0;
}
