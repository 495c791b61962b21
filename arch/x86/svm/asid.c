// SPDX-License-Identifier: GPL-2.0-only
/*
 * Address space identifiers: the tags that keep one vCPU's translations apart from another's in a CPU's TLB.
 *
 * Owns svm_vcpu.asid_generation, the asid_* fields of struct svm_cpu, and ASID and TLB_CONTROL of the VMCB.
 * Tags are handed out per CPU in rising order. When they run out a new generation starts, and the
 * first entry of each vCPU in it flushes everything until one such entry has succeeded: a refused
 * VMRUN need not have flushed. ASID 0 is the host's and is never given out.
 *
 * Context: the vCPU is loaded, preemption off. APM volume 2: "TLB Control".
 */
#include <svm/svm.h>

void svm_asid_cpu_on(struct svm_cpu *cpu)
{
	cpu->asid_generation++;
	cpu->asid_next = 1;
	cpu->asid_flush = true;
}

void svm_asid_new(struct svm_vcpu *svm)
{
	struct svm_cpu *cpu = this_cpu_ptr(&svm_cpu);
	struct vmcb_control *control = &svm->vmcb->control;

	if (cpu->asid_next > svm_hw.max_asid)
		svm_asid_cpu_on(cpu);
	svm->asid_generation = cpu->asid_generation;
	control->asid = cpu->asid_next++;
	control->tlb_control = cpu->asid_flush ? SVM_TLB_FLUSH_ALL : SVM_TLB_KEEP;
	svm_touch(svm, SVM_CLEAN_ASID);
}

/* One tag covers guest-virtual and nested translations, so both scopes are the same here. */
void svm_flush(struct keel_vcpu *vcpu, enum keel_flush scope)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control *control = &svm->vmcb->control;

	if (!(svm_hw.features & SVM_FEAT_FLUSHBYASID))
		svm->pending |= SVM_PEND_ASID;
	else if (control->tlb_control == SVM_TLB_KEEP)
		control->tlb_control = SVM_TLB_FLUSH_ASID;
}

void svm_asid_flushed(struct svm_vcpu *svm)
{
	struct vmcb_control *control = &svm->vmcb->control;

	if (control->tlb_control == SVM_TLB_FLUSH_ALL)
		this_cpu_write(svm_cpu.asid_flush, false);
	control->tlb_control = SVM_TLB_KEEP;
}
