// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hardware task switches: moves the vCPU's state into and out of the pure state machine and performs
 * its memory accesses.
 *
 * Owns: no state. Does not own: what a task switch does (pure/taskswitch.c). A TSS or descriptor table
 * outside guest memory ends in an emulation error. Contexts: vCPU loaded, IRQs on.
 * AMD APM vol. 2 "Task Management"; Intel SDM vol. 3 "Task Management".
 */
#include "core.h"
#include <pure/taskswitch.h>

/* No switch makes more accesses than TSS images, back link, error code and nine descriptors need. */
#define MAX_STEPS 64

static const u8 ts_segment[EMU_SEG_COUNT] = {
	[EMU_ES] = REGS_SEG_ES, [EMU_CS] = REGS_SEG_CS, [EMU_SS] = REGS_SEG_SS,
	[EMU_DS] = REGS_SEG_DS, [EMU_FS] = REGS_SEG_FS, [EMU_GS] = REGS_SEG_GS,
};

static struct emu_seg seg_in(const struct regs_segment *seg)
{
	return (struct emu_seg){
		.selector = seg->selector,
		.attr = regs_segment_pack(seg),
		.limit = seg->limit,
		.base = seg->base,
	};
}

static void seg_out(struct regs_segment *to, const struct emu_seg *seg, enum regs_segment_id id)
{
	regs_segment_unpack(to, seg->attr, id);
	to->selector = seg->selector;
	to->limit = seg->limit;
	to->base = seg->base;
}

static void state_in(struct keel_vcpu *vcpu, struct taskswitch *ts)
{
	const struct keel_regs *regs = &vcpu->arch.regs;
	unsigned int i;

	keel_regs_need(vcpu, KEEL_RG_ALL);
	for (i = 0; i < ARRAY_SIZE(ts->state.regs); i++)
		ts->state.regs[i] = regs->gpr[i];
	for (i = 0; i < EMU_SEG_COUNT; i++)
		ts->state.seg[i] = seg_in(&regs->seg[ts_segment[i]]);
	ts->state.ldtr = seg_in(&regs->seg[REGS_SEG_LDT]);
	ts->state.tr = seg_in(&regs->seg[REGS_SEG_TR]);
	ts->state.eip = regs->rip;
	ts->state.eflags = regs->rflags & ~(vcpu->arch.debug.tf ? X86_RFLAGS_TF : 0);
	ts->state.cr0 = regs->cr0;
	ts->state.cr3 = regs->cr3;
	ts->state.dr7 = regs->dr7;
	ts->gdt_base = to_gva(regs->gdt.base);
	ts->gdt_limit = regs->gdt.limit;
	ts->cpl = keel_cpl(vcpu);
}

static void state_out(struct keel_vcpu *vcpu, const struct taskswitch *ts)
{
	struct keel_regs *regs = &vcpu->arch.regs;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ts->state.regs); i++)
		regs->gpr[i] = ts->state.regs[i];
	for (i = 0; i < EMU_SEG_COUNT; i++)
		seg_out(&regs->seg[ts_segment[i]], &ts->state.seg[i], ts_segment[i]);
	seg_out(&regs->seg[REGS_SEG_LDT], &ts->state.ldtr, REGS_SEG_LDT);
	seg_out(&regs->seg[REGS_SEG_TR], &ts->state.tr, REGS_SEG_TR);
	regs->seg[REGS_SEG_SS].dpl = ts->cpl;
	regs->rip = ts->state.eip;
	regs->rflags = ts->state.eflags;
	regs->cr0 = ts->state.cr0;
	regs->cr3 = ts->state.cr3;
	regs->dr7 = ts->state.dr7;
	keel_regs_dirty(vcpu, KEEL_RG_ALL);
	if (keel_pae_paging(regs))
		keel_pdptes_load(vcpu, regs->cr3);
	keel_vendor->flush(vcpu, KEEL_FLUSH_GUEST);
}

/* One access of at most a TSS, which may cross a page. KEEL_SKIP: done. */
static int access(struct keel_vcpu *vcpu, struct taskswitch *ts, enum emu_status status)
{
	bool write = status != EMU_READ || ts->acc.flags & EMU_ACC_WRITE_INTENT;
	u32 how = ts->acc.flags & EMU_ACC_SYSTEM ? GWALK_IMPLICIT : ts->cpl == 3 ? GWALK_USER : 0;
	u32 done, bytes;

	for (done = 0; done < ts->acc.size; done += bytes) {
		u64 linear = (u32)(gva_raw(ts->acc.addr) + done);
		gpa_t gpa;
		int next = keel_translate_or_fault(vcpu, linear, how | (write ? GWALK_WRITE : 0), &gpa);
		int err = 0;

		if (next != KEEL_SKIP)
			return next;
		bytes = min_t(u32, ts->acc.size - done, KEEL_PAGE_SIZE - gpa_offset(gpa));
		gpa = keel_vcpu_gpa(vcpu, gpa);
		if (status == EMU_READ)
			err = keel_gpa_read(vcpu->vm, gpa, ts->acc.bytes + done, bytes);
		else if (status == EMU_WRITE)
			err = keel_gpa_write(vcpu->vm, gpa, ts->acc.bytes + done, bytes);
		if (err)
			return keel_uexit_emulation(vcpu, NULL, 0);
	}
	return KEEL_SKIP;
}

/* The event whose delivery this is: it is not delivered a second time. Was it the program's own INT? */
static bool take_event(struct keel_vcpu *vcpu)
{
	struct event_state *events = &vcpu->arch.events;
	bool external = events->exception_injected || events->interrupt_injected || events->nmi_injected;

	events->exception_injected = false;
	events->interrupt_injected = false;
	events->nmi_injected = false;
	return external;
}

int keel_task_switch(struct keel_vcpu *vcpu, struct keel_exit *exit)
{
	struct taskswitch ts = {
		.reason = exit->task.reason,
		.selector = exit->task.selector,
		.has_error = exit->task.has_error,
		.error = exit->task.error,
	};
	unsigned int left = MAX_STEPS;
	enum emu_status status;
	bool switched = false;
	int next;

	static_assert(sizeof(ts) < 1024);
	ts.external = ts.reason == TS_GATE && take_event(vcpu);
	state_in(vcpu, &ts);
	if (!ts.external) {
		struct emu_insn insn;

		next = keel_emul_decode(vcpu, &insn);
		if (next != KEEL_SKIP)
			return next;
		ts.state.eip += insn.len;
	}
	if (ts.reason == TS_IRET)
		event_nmi_unmask(&vcpu->arch.events);
	ts_start(&ts);
	do {
		status = ts_step(&ts);
		if (status == EMU_AGAIN) {
			state_out(vcpu, &ts);
			switched = true;
			next = KEEL_SKIP;
		} else if (status == EMU_READ || status == EMU_WRITE || status == EMU_PROBE) {
			next = access(vcpu, &ts, status);
		} else {
			break;
		}
		if (next != KEEL_SKIP)
			return next;
	} while (--left);
	switch (status) {
	case EMU_DONE:
		state_out(vcpu, &ts);
		if (ts.debug_trap)
			keel_exception_payload(vcpu, EVENT_DB, false, 0, REGS_DR6_BT);
		if (keel_debug_stepping(&vcpu->arch))
			keel_debug_trap(vcpu, REGS_DR6_BS);
		return KEEL_RESUME;
	case EMU_FAULT:
		if (switched)
			state_out(vcpu, &ts);
		keel_exception_payload(vcpu, ts.fault.vector, ts.fault.has_error, ts.fault.error, 0);
		return KEEL_RESUME;
	default:
		return keel_uexit_emulation(vcpu, NULL, 0);
	}
}
