// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU's AMD-V state: the VMCB's life, loading and putting, and the intercepts.
 *
 * Owns struct svm_vcpu but for the fields that name another file, and the VMCB's intercept vectors, nested
 * root, TSC offset and pause filter. svm_controls_sync() is the only writer of intercepts, together
 * with svm_event_intercepts(), whose bits it leaves alone.
 *
 * CR3 writes are not intercepted: nested paging leaves nothing to follow. Of CR0 those that change more than
 * TS and MP are: real CPUs refuse illegal combinations themselves, emulated ones have been seen to run on
 * with them. CR4 is, because which of its bits a guest may set depends on the CPUID it was given. #AC and #DB always are: their delivery can raise them again without end,
 * and no interrupt would get through meanwhile. Debug registers exit until
 * core/debug.c has given them to the guest.
 *
 * Contexts: as on the ops in keel_vendor.h. APM volume 2: "Intercept Operation", "Pause Intercept Filtering".
 */
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <keel/vm.h>
#include <linux/mem_encrypt.h>
#include <linux/slab.h>
#include <svm/svm.h>

/* Small loops of PAUSE are none of the host's business; long ones are a lock holder waiting for its CPU. */
#define PAUSE_COUNT	3000
#define PAUSE_CYCLES	128

static atomic64_t last_id;

static const u32 intercept3_base =
	SVM_ICPT_INTR | SVM_ICPT_NMI | SVM_ICPT_SMI | SVM_ICPT_INIT | SVM_ICPT_CR0_SEL | SVM_ICPT_RDPMC | SVM_ICPT_CPUID |
	SVM_ICPT_RSM | SVM_ICPT_INVD | SVM_ICPT_PAUSE | SVM_ICPT_HLT | SVM_ICPT_INVLPGA | SVM_ICPT_IOIO |
	SVM_ICPT_MSR | SVM_ICPT_TASK_SWITCH | SVM_ICPT_SHUTDOWN;

static const u32 intercept4_base =
	SVM_ICPT_VMRUN | SVM_ICPT_VMMCALL | SVM_ICPT_VMLOAD | SVM_ICPT_VMSAVE | SVM_ICPT_STGI | SVM_ICPT_CLGI |
	SVM_ICPT_SKINIT | SVM_ICPT_WBINVD | SVM_ICPT_MONITOR | SVM_ICPT_MWAIT | SVM_ICPT_XSETBV | SVM_ICPT_RDPRU;

static const u32 intercept5_base = SVM_ICPT_INVLPGB_ILLEGAL | SVM_ICPT_MCOMMIT | SVM_ICPT_TLBSYNC;

/* The instruction intercepts of svm_event_intercepts(). */
#define EVENT_INTERCEPTS (SVM_ICPT_IRET | SVM_ICPT_VINTR)

#define CR4_BIT BIT(4)

/* What user space asked to leave to the guest. */
static u32 intercepts_off(const struct keel_vm *vm)
{
	u64 disabled = vm->arch.disabled_exits;

	return (disabled & KVM_X86_DISABLE_EXITS_HLT ? SVM_ICPT_HLT : 0) |
	       (disabled & KVM_X86_DISABLE_EXITS_PAUSE ? SVM_ICPT_PAUSE : 0);
}

/* CPUs without next-RIP save are emulated ones nowadays, and QEMU's takes INT3 for an INT n, not for an exception. */
static u32 intercepts_bp(const struct keel_vcpu *vcpu)
{
	return keel_debug_takes_bp(&vcpu->arch) && !svm_hw.nrips ? SVM_ICPT_SWINT : 0;
}

/* Writes of CR8 matter when the local APIC is in user space, or has an interrupt that waits for a lower one. */
bool svm_cr8_watched(const struct keel_vcpu *vcpu)
{
	return !vcpu->arch.apic || vcpu->arch.apic->blocked;
}

void svm_controls_sync(struct keel_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control *control = &svm->vmcb->control;

	control->cr_read = 0;
	control->cr_write = CR4_BIT | (svm_cr8_watched(vcpu) ? SVM_CR8_BIT : 0);
	control->dr_read = keel_debug_exits(&vcpu->arch) ? 0xffff : 0;
	control->dr_write = control->dr_read;
	control->exceptions = BIT(EVENT_MC) | BIT(EVENT_AC) | BIT(EVENT_DB) |
			      (keel_debug_takes_bp(&vcpu->arch) ? BIT(EVENT_BP) : 0);
	control->intercept3 = (intercept3_base & ~intercepts_off(vcpu->vm)) | intercepts_bp(vcpu) |
			      (control->intercept3 & EVENT_INTERCEPTS);
	control->intercept4 = intercept4_base;
	control->intercept5 = intercept5_base;
	svm_touch(svm, SVM_CLEAN_INTERCEPTS);
	svm_event_intercepts(vcpu);
	svm_msrpm_sync(vcpu);
}

/* --- life cycle ------------------------------------------------------------------------------------ */

static void vmcb_init(struct svm_vcpu *svm)
{
	struct vmcb_control *control = &svm->vmcb->control;

	control->iopm_pa = svm_hw.iopm_pa;
	control->msrpm_pa = __sme_pa(svm->msrpm);
	control->int_ctl = SVM_INT_MASKING;
	control->np_control = SVM_NP_ENABLE;
	if (svm_hw.features & SVM_FEAT_PAUSE_FILTER)
		control->pause_count = PAUSE_COUNT;
	if (svm_hw.features & SVM_FEAT_PAUSE_THRESHOLD)
		control->pause_threshold = PAUSE_CYCLES;
}

int svm_vcpu_new(struct keel_vcpu *vcpu)
{
	struct svm_vcpu *svm = kzalloc(sizeof(*svm), GFP_KERNEL_ACCOUNT);

	vcpu->arch.hw = svm;
	if (!svm)
		return -ENOMEM;
	svm->vmcb = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	svm->msrpm = (void *)__get_free_pages(GFP_KERNEL_ACCOUNT, SVM_MSRPM_ORDER);
	if (!svm->vmcb || !svm->msrpm)
		return -ENOMEM;
	memset(svm->msrpm, 0xff, SVM_MSRPM_SIZE);
	svm->run.vmcb_pa = __sme_pa(svm->vmcb);
	svm->last_cpu = -1;
	svm->id = atomic64_inc_return(&last_id);
	svm->tsc_ratio = SVM_TSC_RATIO_ONE;
	vmcb_init(svm);
	return 0;
}

void svm_vcpu_free(struct keel_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (!svm)
		return;
	free_pages((unsigned long)svm->msrpm, SVM_MSRPM_ORDER);
	free_page((unsigned long)svm->vmcb);
	kfree(svm);
	vcpu->arch.hw = NULL;
}

static struct vmcb_seg reset_segment(u16 selector, u16 attr, u64 base)
{
	return (struct vmcb_seg){ .selector = selector, .attr = attr, .limit = 0xffff, .base = base };
}

void svm_save_reset(struct svm_vcpu *svm)
{
	struct vmcb_save *save = &svm->vmcb->save;
	const u16 data = 0x093, code = 0x09b, ldt = 0x082, tss = 0x08b;	/* present; as after INIT */

	save->es = save->ss = save->ds = save->fs = save->gs = reset_segment(0, data, 0);
	save->cs = reset_segment(0xf000, code, 0xffff0000);
	save->gdtr = save->idtr = reset_segment(0, 0, 0);
	save->ldtr = reset_segment(0, ldt, 0);
	save->tr = reset_segment(0, tss, 0);
	save->cpl = 0;
	save->efer = SVM_EFER_SVME;
	save->cr0 = REGS_CR0_CD | REGS_CR0_NW | REGS_CR0_ET;
	save->cr2 = save->cr3 = save->cr4 = 0;
	save->dr6 = REGS_DR6_INIT;
	save->dr7 = REGS_DR7_FIXED_1;
	save->rflags = BIT64(1);
	save->rip = 0xfff0;
	save->rsp = save->rax = 0;
	svm->vmcb->control.int_state = 0;
	svm->vmcb->control.clean = 0;
}

void svm_vcpu_reset(struct keel_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_save *save = &svm->vmcb->save;

	svm_save_reset(svm);
	save->star = save->lstar = save->cstar = save->sfmask = save->kernel_gs_base = 0;
	save->sysenter_cs = save->sysenter_esp = save->sysenter_eip = 0;
	save->pat = MSR_PAT_RESET;
	save->spec_ctrl = 0;
	svm->run.spec_ctrl = 0;
	svm->spec_used = false;
	svm->tsc_aux = 0;
	svm->step = (struct svm_step){};
	svm->step_tf = 0;
	svm->windows = 0;
	svm_cancel(vcpu);
	vcpu->arch.controls_stale = true;
}

/* --- loading --------------------------------------------------------------------------------------- */

void svm_tsc_ratio_load(struct svm_cpu *cpu, u64 ratio)
{
	if (likely(cpu->tsc_ratio == ratio))
		return;
	wrmsrl(SVM_MSR_TSC_RATIO, ratio);
	cpu->tsc_ratio = ratio;
}

/*
 * Nothing has to be put: the host's VMLOAD state came back with the last exit, and nothing of the guest's but
 * TSC_AUX is in the CPU.
 */
void svm_vcpu_load(struct keel_vcpu *vcpu, int nr)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_cpu *cpu = this_cpu_ptr(&svm_cpu);

	svm->pending |= SVM_PEND_HOST;
	/* A new generation may also mean that this CPU was off: then it has nothing of the VMCB either. */
	if (svm->last_cpu != nr || !svm_asid_valid(svm)) {
		svm->last_cpu = nr;
		svm->run.host_pa = cpu->host_pa;
		svm->vmcb->control.clean = 0;
		svm->pending |= SVM_PEND_ASID;
	}
	if (cpu->last_vcpu != svm->id) {
		/* Branch predictions trained by one vCPU are not for another. */
		cpu->last_vcpu = svm->id;
		indirect_branch_prediction_barrier();
	}
	svm_tsc_ratio_load(cpu, svm->tsc_ratio);
}

void svm_set_root(struct keel_vcpu *vcpu, u64 root_pa)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->vmcb->control.nested_cr3 = root_pa;
	svm_touch(svm, SVM_CLEAN_NP);
}

void svm_tsc_set(struct keel_vcpu *vcpu, u64 offset, u64 ratio)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->vmcb->control.tsc_offset = offset;
	svm_touch(svm, SVM_CLEAN_INTERCEPTS);
	if (svm_hw.features & SVM_FEAT_TSC_RATE && ratio) {
		svm->tsc_ratio = ratio;
		svm_tsc_ratio_load(this_cpu_ptr(&svm_cpu), ratio);
	}
}

void svm_dump(struct keel_vcpu *vcpu)
{
	const struct vmcb *vmcb = to_svm(vcpu)->vmcb;
	const struct vmcb_control *c = &vmcb->control;
	const struct vmcb_save *s = &vmcb->save;

	pr_info("vCPU %u: exit %#llx (%s) info %#llx %#llx int %#llx inj %#llx asid %u tlb %u int_ctl %#llx ncr3 %#llx\n",
		vcpu->id, c->exit_code, svm_exit_name(c->exit_code), c->exit_info1, c->exit_info2,
		c->exit_int_info, c->event_inj, c->asid, c->tlb_control, c->int_ctl, c->nested_cr3);
	pr_info("vCPU %u: cr0 %#llx cr2 %#llx cr3 %#llx cr4 %#llx efer %#llx rflags %#llx rip %#llx rsp %#llx cpl %u dr6 %#llx dr7 %#llx\n",
		vcpu->id, s->cr0, s->cr2, s->cr3, s->cr4, s->efer, s->rflags, s->rip, s->rsp, s->cpl,
		s->dr6, s->dr7);
	pr_info("vCPU %u: cs %#x/%#x/%#x/%#llx ss %#x/%#x/%#x/%#llx tr %#x/%#x/%#x/%#llx gdt %#x/%#llx idt %#x/%#llx\n",
		vcpu->id, s->cs.selector, s->cs.attr, s->cs.limit, s->cs.base, s->ss.selector, s->ss.attr,
		s->ss.limit, s->ss.base, s->tr.selector, s->tr.attr, s->tr.limit, s->tr.base,
		s->gdtr.limit, s->gdtr.base, s->idtr.limit, s->idtr.base);
}
