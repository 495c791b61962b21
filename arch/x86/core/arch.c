// SPDX-License-Identifier: GPL-2.0-only
/*
 * The architecture's side of life cycles: choosing the vendor, and what a VM and a vCPU have on x86.
 *
 * Owns: keel_vendor, keel_host_caps. Contexts: module init; task; load and put with preemption off.
 */
#include "core.h"
#include "fpu.h"
#include "tdp.h"
#include <asm/keel_options.h>
#include <keel/arch.h>
#include <linux/module.h>

const struct keel_vendor_ops *keel_vendor __ro_after_init;
struct keel_host_caps keel_host_caps __ro_after_init;
unsigned int keel_options __read_mostly;

DEFINE_STATIC_CALL_NULL(keel_vendor_load, *(void (*)(struct keel_vcpu *, int))NULL);
DEFINE_STATIC_CALL_NULL(keel_vendor_put, *(void (*)(struct keel_vcpu *))NULL);

static const struct keel_vendor_ops *const vendors[] __initconst = { &svm_ops, &vmx_ops };

static int __init vendor_choose(void)
{
	int err = -EOPNOTSUPP;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vendors); i++) {
		int ret = vendors[i]->probe();

		if (!ret) {
			keel_vendor = vendors[i];
			return 0;
		}
		if (ret != -ENODEV)
			err = ret;
	}
	pr_info("no usable virtualization hardware\n");
	return err;
}

int __init keel_arch_init(void)
{
	int err = vendor_choose();

	if (err)
		return err;
	static_call_update(keel_enter, keel_vendor->enter);
	static_call_update(keel_after_exit, keel_vendor->after_exit);
	static_call_update(keel_regs_commit, keel_vendor->regs_commit);
	static_call_update(keel_regs_load, keel_vendor->regs_load);
	static_call_update(keel_decode, keel_vendor->decode);
	static_call_update(keel_vendor_load, keel_vendor->vcpu_load);
	static_call_update(keel_vendor_put, keel_vendor->vcpu_put);
	err = keel_vendor->hw_setup();
	if (err)
		return err;
	err = keel_msr_module_init();
	if (!err)
		err = keel_cpuid_module_init();
	if (err) {
		keel_vendor->hw_teardown();
		return err;
	}
	keel_options = keel_host_caps.options;
	keel_fpu_module_init();
	keel_clock_module_init();
	return 0;
}

void keel_arch_exit(void)
{
	keel_clock_module_exit();
	keel_vendor->hw_teardown();
}

int keel_arch_cpu_on(void)
{
	return keel_vendor->cpu_on();
}

void keel_arch_cpu_off(void)
{
	keel_vendor->cpu_off();
}

/* The companion modules use it to see whether theirs is the vendor in use. */
const char *keel_vendor_name(void)
{
	return keel_vendor->name;
}
EXPORT_SYMBOL_GPL(keel_vendor_name);

unsigned int keel_vendor_limit(unsigned int wanted)
{
	WRITE_ONCE(keel_options, keel_host_caps.options & wanted);
	return keel_options;
}
EXPORT_SYMBOL_GPL(keel_vendor_limit);

int keel_arch_vm_init(struct keel_vm *vm, unsigned long type)
{
	if (type)
		return -EINVAL;
	mutex_init(&vm->arch.map_lock);
	keel_tsc_vm_init(vm);
	keel_clock_vm_init(vm);
	return keel_tdp_init(vm);
}

void keel_arch_vm_free(struct keel_vm *vm)
{
	keel_tdp_free(vm);
	keel_cache_free(vm);
	keel_apic_map_free(vm);
	keel_msr_filter_free(vm);
	keel_chips_free(vm);
}

void keel_arch_vm_stop(struct keel_vm *vm)
{
	keel_chips_stop(vm);
}

/* The vendor's part of the state after reset, which INIT brings about, too. */
static void hw_reset(struct keel_vcpu *vcpu)
{
	keel_vendor->vcpu_reset(vcpu);
	keel_vendor->set_root(vcpu, keel_tdp_root(vcpu->vm, 0));
}

void keel_vcpu_init(struct keel_vcpu *vcpu)
{
	const struct cpuid_leaf *leaf = cpuid_lookup(&vcpu->arch.cpuid.table, 1, 0);

	keel_regs_reset(vcpu);
	/* The CPU's signature; without CPUID the lowest that has an APIC. */
	vcpu->arch.regs.gpr[KEEL_RDX] = leaf ? leaf->eax : 0x600;
	keel_events_drop(vcpu);
	keel_uexit_drop(vcpu);
	keel_pv_reset(vcpu);
	hw_reset(vcpu);
	keel_vendor->flush(vcpu, KEEL_FLUSH_GUEST);
	vcpu->arch.controls_stale = true;
	keel_cpuid_refresh(vcpu);
}

int keel_arch_vcpu_init(struct keel_vcpu *vcpu)
{
	struct keel_vcpu_arch *arch = &vcpu->arch;
	int err;

	/* The CPU's own log may hold more frames than a ring has room for. */
	if (vcpu->vm->slots.ring)
		vcpu->vm->arch.tdp.hw_log = false;
	keel_regs_reset(vcpu);
	keel_cpuid_reset(vcpu);
	keel_msr_reset(vcpu);
	keel_msr_filter_changed(vcpu);
	arch->mp_state = KVM_MP_STATE_RUNNABLE;
	arch->apic_base = 0xfee00000ULL | REGS_APIC_BASE_ENABLE |
			  (vcpu->id == vcpu->vm->arch.boot_id ? REGS_APIC_BASE_BSP : 0);
	arch->controls_stale = true;
	err = keel_apic_new(vcpu);
	if (!err)
		err = keel_emul_new(vcpu);
	if (!err)
		err = keel_fpu_new(vcpu);
	if (!err)
		err = keel_vendor->vcpu_new(vcpu);
	if (err)
		return err;
	keel_vcpu_load(vcpu);
	hw_reset(vcpu);
	keel_tsc_write(vcpu, 0, MSR_BY_HOST);
	keel_vcpu_put(vcpu);
	return 0;
}

void keel_arch_vcpu_free(struct keel_vcpu *vcpu)
{
	if (vcpu->arch.hw)
		keel_vendor->vcpu_free(vcpu);
	keel_tdp_cache_free(vcpu);
	keel_fpu_free(vcpu);
	keel_emul_free(vcpu);
	keel_cpuid_free(vcpu);
	keel_apic_free(vcpu);
}

void keel_arch_vcpu_added(struct keel_vcpu *vcpu)
{
	if (vcpu->arch.apic)
		keel_apic_map_update(vcpu->vm);
	keel_tsc_match(vcpu->vm);
}

void keel_arch_vcpu_load(struct keel_vcpu *vcpu, int cpu)
{
	static_call(keel_vendor_load)(vcpu, cpu);
	keel_cache_load(vcpu->vm, cpu);
	if (vcpu->arch.pv.active)
		keel_pv_load(vcpu, cpu);
}

void keel_arch_vcpu_sched_out(struct keel_vcpu *vcpu)
{
	if (vcpu->arch.pv.active)
		keel_pv_sched_out(vcpu);
}

void keel_arch_vcpu_put(struct keel_vcpu *vcpu)
{
	static_call_cond(keel_vendor_put)(vcpu);
}
