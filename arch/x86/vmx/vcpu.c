// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU's VT-x state: the VMCS's life and its way between CPUs, loading and putting, and the
 * controls.
 *
 * Owns struct vmx_vcpu but for the fields that name another file, and the VMCS's control fields.
 * vmx_controls_sync() is the only writer of what makes the guest exit, together with vmx_window()
 * for its two bits and regs.c for the long-mode bit of an entry.
 *
 * A VMCS may be in the cache of the CPU where it was loaded last. Before another CPU loads it,
 * before its memory is freed and before that CPU stops, it is cleared there. vmx_vcpu.loaded_cpu
 * says where; the lists in struct vmx_cpu are for the CPU that stops.
 *
 * CR3 and INVLPG do not exit: nested paging leaves nothing to follow. #AC and #DB do: their
 * delivery can raise them again without end, and no interrupt would get through meanwhile. Debug
 * registers exit until core/debug.c has given them to the guest.
 *
 * Contexts: as on the ops in keel_vendor.h. SDM volume 3: "Virtual Machine Control Structures",
 * "VMCLEAR", "VMPTRLD".
 */
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <keel/vm.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <vmx/vmx.h>

/* Small loops of PAUSE are none of the host's business; long ones are a lock holder waiting for its CPU. */
#define PAUSE_GAP	128
#define PAUSE_WINDOW	4096

/* Primary controls that vmcs_init() leaves off. */
#define PROC_AT_TIMES	(VMX_PROC_INTR_WINDOW | VMX_PROC_NMI_WINDOW | VMX_PROC_TPR_SHADOW)

/* Secondary controls of which other files say when. */
#define PROC2_OTHERS	(VMX_PROC2_VID | VMX_PROC2_APIC_REGS | VMX_PROC2_X2APIC | VMX_PROC2_PML)

#define EXCEPTIONS	(BIT(EVENT_DB) | BIT(EVENT_AC) | BIT(EVENT_MC))

static atomic64_t last_id;

void vmx_read_failed(unsigned long field)
{
	if (native_read_cr4() & X86_CR4_VMXE)
		WARN_ONCE(1, "VMREAD of field %#lx failed\n", field);
}

void vmx_write_failed(unsigned long field, u64 value)
{
	if (native_read_cr4() & X86_CR4_VMXE)
		WARN_ONCE(1, "VMWRITE of %#llx to field %#lx failed\n", value, field);
}

/* --- controls ---------------------------------------------------------------------------------- */

static u32 proc_controls(const struct keel_vcpu *vcpu, const struct vmx_vcpu *vmx)
{
	u32 proc = vmx_hw.proc & ~PROC_AT_TIMES;

	if (vmx->vapic)
		proc = (proc | VMX_PROC_TPR_SHADOW) & ~(VMX_PROC_CR8_LOAD | VMX_PROC_CR8_STORE);
	if (vmx->halts)
		proc &= ~VMX_PROC_HLT;
	if (!keel_debug_exits(&vcpu->arch))
		proc &= ~VMX_PROC_MOV_DR;
	return proc | vmx_window_controls(vmx);
}

/*
 * Instructions that raise #UD unless the guest's CPUID has them: some exist for a guest only with their
 * control, some exit with it (exits.c). RDTSCP and RDPID share one. What is not here and has a control
 * that is never adopted (XSAVES, WAITPKG, PCONFIG, VMFUNC, ...) is not offered, and always raises #UD.
 */
static const struct {
	u32 control;
	u8 feature;		/* enum cpuid_feature */
	bool exits;		/* set without the feature, else with it */
} proc2_insns[] = {
	{ VMX_PROC2_RDTSCP, CPUID_F_TSC_AUX_MSR, false },
	{ VMX_PROC2_INVPCID, CPUID_F_INVPCID, false },
	{ VMX_PROC2_RDRAND, CPUID_F_RDRAND, true },
	{ VMX_PROC2_RDSEED, CPUID_F_RDSEED, true },
};

static u32 proc2_controls(const struct keel_vcpu *vcpu, const struct vmx_vcpu *vmx)
{
	const struct cpuid_derived *cpuid = &vcpu->arch.cpuid.derived;
	u32 proc2 = (vmx_hw.proc2 & ~PROC2_OTHERS) | vmx_apicv_controls(vcpu) | vmx_pml_controls(vcpu);
	unsigned int i;

	if (!vmx->vpid)
		proc2 &= ~VMX_PROC2_VPID;
	for (i = 0; i < ARRAY_SIZE(proc2_insns); i++)
		if (cpuid_has(cpuid, proc2_insns[i].feature) == proc2_insns[i].exits)
			proc2 &= ~proc2_insns[i].control;
	if (vcpu->vm->arch.disabled_exits & KVM_X86_DISABLE_EXITS_PAUSE)
		proc2 &= ~VMX_PROC2_PAUSE_LOOP;
	return proc2;
}

void vmx_controls_sync(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct vmx_controls *now = &vmx->controls;
	u64 cr4_mask = ~vmx_cr4_open(vcpu);

	vmx->halts = vcpu->vm->arch.disabled_exits & KVM_X86_DISABLE_EXITS_HLT;
	vmx_control(&now->proc, VMCS_PROC, proc_controls(vcpu, vmx));
	vmx_control(&now->proc2, VMCS_PROC2, proc2_controls(vcpu, vmx));
	vmx->logs = !!(now->proc2 & VMX_PROC2_PML);
	vmx_control(&now->exceptions, VMCS_EXCEPTIONS,
		    EXCEPTIONS | (keel_debug_takes_bp(&vcpu->arch) ? BIT(EVENT_BP) : 0) |
		    (vcpu->arch.smm.active ? BIT(EVENT_UD) : 0));	/* RSM */
	if (now->cr4_mask != cr4_mask) {
		/* Bits that change hands go from the register to the shadow or back. */
		vmx_regs_load(vcpu, KEEL_RG_CR);
		vcpu->arch.regs.dirty |= KEEL_RG_CR;
		vmx_control64(&now->cr4_mask, VMCS_CR4_MASK, cr4_mask);
	}
	if (vmx->vapic)
		vmx_control(&now->tpr_threshold, VMCS_TPR_THRESHOLD, vmx_apicv_threshold(vcpu));
	vmx_msr_bitmap_sync(vcpu);
	vmx->pending |= VMX_PEND_MSRS;
}

/* --- life cycle -------------------------------------------------------------------------------- */

/* The whole of the new VMCS that is not a register group. What vmx_control() remembers starts equal to it. */
static void vmcs_init(struct vmx_vcpu *vmx)
{
	struct vmx_controls *now = &vmx->controls;

	now->pin = vmx_hw.pin;
	now->proc = vmx_hw.proc & ~PROC_AT_TIMES;
	now->proc2 = vmx_hw.proc2 & ~(VMX_PROC2_VPID | PROC2_OTHERS);
	now->exit = vmx_hw.exit;
	now->entry = vmx_hw.entry & ~VMX_ENTRY_64BIT;
	now->exceptions = EXCEPTIONS;
	now->tpr_threshold = 0;
	now->cr4_mask = ~0ULL;
	vmx_write(VMCS_PIN, now->pin);
	vmx_write(VMCS_PROC, now->proc);
	vmx_write(VMCS_PROC2, now->proc2);
	vmx_write(VMCS_EXIT, now->exit);
	vmx_write(VMCS_ENTRY, now->entry);
	vmx_write(VMCS_EXCEPTIONS, now->exceptions);
	vmx_write(VMCS_CR0_MASK, ~REGS_CR0_TS);
	vmx_write(VMCS_CR4_MASK, now->cr4_mask);
	vmx_write(VMCS_PF_ERROR_MASK, 0);
	vmx_write(VMCS_PF_ERROR_MATCH, 0);
	vmx_write(VMCS_CR3_TARGETS, 0);
	vmx_write(VMCS_EXIT_MSR_STORES, 0);
	vmx_write(VMCS_EXIT_MSR_LOADS, 0);
	vmx_write(VMCS_ENTRY_MSR_LOADS, 0);
	vmx_write(VMCS_ENTRY_EVENT, 0);
	vmx_write(VMCS_MSR_BITMAP, __pa(vmx->msr_bitmap));
	vmx_write(VMCS_LINK, ~0ULL);
	vmx_apicv_init(vmx);
	vmx_pml_init(vmx);
	if (vmx_hw.proc2 & VMX_PROC2_VPID)
		vmx_write(VMCS_VPID, vmx->vpid);
	if (vmx_hw.proc2 & VMX_PROC2_TSC_SCALING)
		vmx_write(VMCS_TSC_MULTIPLIER, VMX_TSC_RATIO_ONE);
	/* No guest has enclaves. */
	if (vmx_hw.proc2 & VMX_PROC2_ENCLS)
		vmx_write(VMCS_ENCLS_BITMAP, ~0ULL);
	if (vmx_hw.proc2 & VMX_PROC2_ENCLV)
		vmx_write(VMCS_ENCLV_BITMAP, ~0ULL);
	if (vmx_hw.pin & VMX_PIN_TIMER)
		vmx_write(VMCS_GUEST_TIMER, vmx_hw.stay);
	if (vmx_hw.proc2 & VMX_PROC2_PAUSE_LOOP) {
		vmx_write(VMCS_PLE_GAP, PAUSE_GAP);
		vmx_write(VMCS_PLE_WINDOW, PAUSE_WINDOW);
	}
	vmx_host_constant();
}

int vmx_vcpu_new(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = kzalloc(sizeof(*vmx), GFP_KERNEL_ACCOUNT);

	vcpu->arch.hw = vmx;
	if (!vmx)
		return -ENOMEM;
	vmx->loaded_cpu = -1;
	vmx->id = atomic64_inc_return(&last_id);
	vmx->vmcs = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	vmx->msr_bitmap = (void *)__get_free_page(GFP_KERNEL_ACCOUNT);
	if (!vmx->vmcs || !vmx->msr_bitmap || vmx_apicv_new(vcpu) || vmx_pml_new(vcpu))
		return -ENOMEM;
	memset(vmx->msr_bitmap, 0xff, PAGE_SIZE);
	*(u32 *)vmx->vmcs = vmx_hw.basic & VMX_BASIC_REVISION;
	vmx->vmcs_pa = __pa(vmx->vmcs);
	vmx->vpid = vmx_vpid_get();
	return 0;
}

/* --- where the VMCS is ------------------------------------------------------------------------- */

static void vmcs_clear_here(struct vmx_vcpu *vmx, struct vmx_cpu *cpu)
{
	vmx_clear(vmx->vmcs_pa);
	if (cpu->current_vmcs == vmx->vmcs_pa)
		cpu->current_vmcs = 0;
	list_del(&vmx->loaded);
	vmx->run.launched = 0;
	/* Pairs with the acquire in vmcs_evict(): whoever reads -1 sees the VMCS cleared and off the list. */
	smp_store_release(&vmx->loaded_cpu, -1);
}

/* An interrupt: the CPU may have stopped, and cleared it, while the request was under way. */
static void vmcs_clear_call(void *data)
{
	struct vmx_vcpu *vmx = data;

	if (vmx->loaded_cpu == raw_smp_processor_id())
		vmcs_clear_here(vmx, this_cpu_ptr(&vmx_cpu));
}

/* Have the VMCS back in memory. IRQs on. */
static void vmcs_evict(struct vmx_vcpu *vmx)
{
	int cpu = smp_load_acquire(&vmx->loaded_cpu);

	if (cpu >= 0)
		smp_call_function_single(cpu, vmcs_clear_call, vmx, 1);
}

void vmx_vmcs_clear_all(struct vmx_cpu *cpu)
{
	struct vmx_vcpu *vmx, *next;

	list_for_each_entry_safe(vmx, next, &cpu->loaded, loaded)
		vmcs_clear_here(vmx, cpu);
}

void vmx_vcpu_free(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (!vmx)
		return;
	vmcs_evict(vmx);
	vmx_vpid_put(vmx->vpid);
	vmx_pml_free(vmx);
	vmx_apicv_free(vmx);
	free_page((unsigned long)vmx->msr_bitmap);
	free_page((unsigned long)vmx->vmcs);
	kfree(vmx);
	vcpu->arch.hw = NULL;
}

static void vmcs_move_here(struct vmx_vcpu *vmx, struct vmx_cpu *cpu, int nr)
{
	vmcs_evict(vmx);
	local_irq_disable();
	/* New, or from a CPU that has stopped: clearing it once more does no harm. */
	vmx_clear(vmx->vmcs_pa);
	vmx->run.launched = 0;
	list_add(&vmx->loaded, &cpu->loaded);
	vmx->loaded_cpu = nr;
	vmx_point(vmx->vmcs_pa);
	cpu->current_vmcs = vmx->vmcs_pa;
	local_irq_enable();
	vmx_host_cpu(nr);
	vmx->pending |= VMX_PEND_NESTED;
}

void vmx_vcpu_load(struct keel_vcpu *vcpu, int nr)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpu);

	if (unlikely(vmx->loaded_cpu != nr)) {
		vmcs_move_here(vmx, cpu, nr);
	} else if (cpu->current_vmcs != vmx->vmcs_pa) {
		vmx_point(vmx->vmcs_pa);
		cpu->current_vmcs = vmx->vmcs_pa;
	}
	vmx->pending |= VMX_PEND_HOST;
	vmx->l1d_dirty = true;
	if (cpu->last_vcpu != vmx->id) {
		/* Branch predictions trained by one vCPU are not for another. */
		cpu->last_vcpu = vmx->id;
		indirect_branch_prediction_barrier();
	}
}

void vmx_vcpu_put(struct keel_vcpu *vcpu)
{
	vmx_host_release(to_vmx(vcpu));
}

/* --- state ------------------------------------------------------------------------------------- */

void vmx_vcpu_reset(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (!vmx->ready)
		vmcs_init(vmx);
	vmx->ready = true;
	vmx_write(VMCS_GUEST_RIP, vmx->rip);
	vmx_write(VMCS_GUEST_RSP, vmx->rsp);
	vmx_write(VMCS_GUEST_RFLAGS, vmx->rflags);
	vmx_write(VMCS_GUEST_EFER, vmx->efer);
	vmx_write(VMCS_HOST_CR3, vmx->host_cr3);
	vmx_write(VMCS_HOST_CR4, vmx->host_cr4);
	vmx_write(VMCS_GUEST_ACTIVITY, VMX_ACTIVITY_ACTIVE);
	vmx_write(VMCS_GUEST_PENDING_DB, 0);
	vmx_write(VMCS_GUEST_DEBUGCTL, 0);
	vmx_write(VMCS_GUEST_SYSENTER_CS, 0);
	vmx_write(VMCS_GUEST_SYSENTER_ESP, 0);
	vmx_write(VMCS_GUEST_SYSENTER_EIP, 0);
	vmx_write(VMCS_GUEST_BLOCKING, 0);
	vmx->blocking = 0;
	vmx_msr_set(vcpu, X86_MSR_PAT, MSR_PAT_RESET);
	vmx->run.spec_ctrl = 0;
	vmx->spec_used = false;
	memset(vmx->late, 0, sizeof(vmx->late));
	vmx->cstar = 0;
	vmx->kernel_gs_base = 0;
	vmx->dr6 = REGS_DR6_INIT;
	vmx->windows = 0;
	vmx_cancel(vcpu);
	vcpu->arch.controls_stale = true;
}

void vmx_set_root(struct keel_vcpu *vcpu, u64 root_pa)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx->eptp = root_pa | VMX_EPTP_WB | VMX_EPTP_LEVELS(pgtable_l5_enabled() ? 5 : 4) |
		    (vmx_hw.ept_vpid & VMX_CAP_EPT_AD ? VMX_EPTP_AD : 0);
	vmx_write(VMCS_EPTP, vmx->eptp);
	vmx->pending |= VMX_PEND_NESTED;
}

void vmx_tsc_set(struct keel_vcpu *vcpu, u64 offset, u64 ratio)
{
	vmx_write(VMCS_TSC_OFFSET, offset);
	if (vmx_hw.proc2 & VMX_PROC2_TSC_SCALING && ratio)
		vmx_write(VMCS_TSC_MULTIPLIER, ratio);
}

static void dump_segment(unsigned int vcpu, const char *name, enum regs_segment_id id)
{
	pr_info("vCPU %u: %s %#llx/%#llx/%#llx/%#llx\n", vcpu, name, vmx_read(VMCS_GUEST_ES + 2 * id),
		vmx_read(VMCS_GUEST_ES_RIGHTS + 2 * id), vmx_read(VMCS_GUEST_ES_LIMIT + 2 * id),
		vmx_read(VMCS_GUEST_ES_BASE + 2 * id));
}

void vmx_dump(struct keel_vcpu *vcpu)
{
	static const char *const names[] = { "es", "cs", "ss", "ds", "fs", "gs", "ldt", "tr" };
	const struct vmx_vcpu *vmx = to_vmx(vcpu);
	unsigned int id;

	pr_info("vCPU %u: status %u reason %#x (%s) error %llu qual %#llx event %#x blocking %#x eptp %#llx vpid %u\n",
		vcpu->id, vmx->status, vmx->reason, vmx_reason_name(vmx->reason), vmx_read(VMCS_INSN_ERROR),
		vmx_read(VMCS_QUALIFICATION), vmx->entry_event, vmx->blocking, vmx->eptp, vmx->vpid);
	pr_info("vCPU %u: pin %#x proc %#x %#x exit %#x entry %#x cr0 %#llx/%#llx cr3 %#llx cr4 %#llx/%#llx efer %#llx\n",
		vcpu->id, vmx->controls.pin, vmx->controls.proc, vmx->controls.proc2, vmx->controls.exit,
		vmx->controls.entry, vmx_read(VMCS_GUEST_CR0), vmx->cr0_shadow, vmx_read(VMCS_GUEST_CR3),
		vmx_read(VMCS_GUEST_CR4), vmx->cr4_shadow, vmx->efer);
	pr_info("vCPU %u: rflags %#llx rip %#llx rsp %#llx dr7 %#llx pending db %#llx activity %#llx gdt %#llx/%#llx idt %#llx/%#llx\n",
		vcpu->id, vmx_read(VMCS_GUEST_RFLAGS), vmx_read(VMCS_GUEST_RIP), vmx_read(VMCS_GUEST_RSP),
		vmx_read(VMCS_GUEST_DR7), vmx_read(VMCS_GUEST_PENDING_DB), vmx_read(VMCS_GUEST_ACTIVITY),
		vmx_read(VMCS_GUEST_GDT_LIMIT), vmx_read(VMCS_GUEST_GDT_BASE),
		vmx_read(VMCS_GUEST_IDT_LIMIT), vmx_read(VMCS_GUEST_IDT_BASE));
	for (id = 0; id < ARRAY_SIZE(names); id++)
		dump_segment(vcpu->id, names[id], id);
}
