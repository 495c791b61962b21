// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a vCPU: creation, its fd and mapping, loading on a CPU, and being called to attention.
 *
 * Owns: struct keel_vcpu itself, the kick protocol. Does not own: arch (core), the run loop.
 * Contexts: task, but for the preemption hooks and keel_vcpu_request().
 *
 * Kick protocol. The vCPU stores mode = KEEL_IN_GUEST, then reads requests, with a full barrier in
 * between, IRQs off. A requester sets a bit in requests, then reads mode, with a full barrier in
 * between. So either the vCPU sees the request and does not enter, or the requester sees KEEL_IN_GUEST
 * and sends an interrupt, which makes the guest exit at once if it was entered.
 */
#include <keel/arch.h>
#include <keel/host.h>
#include <keel/ioctl.h>
#include <keel/vcpu.h>
#include <keel/vm.h>
#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/smp.h>

static DEFINE_PER_CPU(cpumask_var_t, kick_mask);

DEFINE_PER_CPU(struct keel_vcpu *, keel_vcpu_loaded);

static void vcpu_sched_in(struct preempt_notifier *pn, int cpu)
{
	struct keel_vcpu *vcpu = container_of(pn, struct keel_vcpu, preempt);

	__this_cpu_write(keel_vcpu_loaded, vcpu);
	keel_halt_sched_in(vcpu);
	keel_arch_vcpu_load(vcpu, cpu);
	WRITE_ONCE(vcpu->cpu, cpu);
}

static void vcpu_sched_out(struct preempt_notifier *pn, struct task_struct *next)
{
	struct keel_vcpu *vcpu = container_of(pn, struct keel_vcpu, preempt);

	keel_arch_vcpu_sched_out(vcpu);
	keel_arch_vcpu_put(vcpu);
	__this_cpu_write(keel_vcpu_loaded, NULL);
	keel_halt_sched_out(vcpu);
}

static struct preempt_ops vcpu_preempt_ops = {
	.sched_in = vcpu_sched_in,
	.sched_out = vcpu_sched_out,
};

void keel_vcpu_load(struct keel_vcpu *vcpu)
{
	int cpu = get_cpu();

	preempt_notifier_register(&vcpu->preempt);
	__this_cpu_write(keel_vcpu_loaded, vcpu);
	keel_arch_vcpu_load(vcpu, cpu);
	WRITE_ONCE(vcpu->cpu, cpu);
	put_cpu();
}

void keel_vcpu_put(struct keel_vcpu *vcpu)
{
	preempt_disable();
	keel_arch_vcpu_put(vcpu);
	__this_cpu_write(keel_vcpu_loaded, NULL);
	preempt_notifier_unregister(&vcpu->preempt);
	preempt_enable();
}

/* Set the bits, and tell whether the vCPU may be in the guest without having seen them. */
static bool vcpu_mark(struct keel_vcpu *vcpu, unsigned long requests)
{
	unsigned long old = READ_ONCE(vcpu->requests), seen;

	while ((seen = cmpxchg(&vcpu->requests, old, old | requests)) != old)
		old = seen;
	smp_mb(); /* with keel_vcpu_arm(): requests before mode here, mode before requests there */
	return READ_ONCE(vcpu->mode) == KEEL_IN_GUEST;
}

void keel_vcpu_request(struct keel_vcpu *vcpu, unsigned long requests)
{
	int me = get_cpu();

	if (vcpu_mark(vcpu, requests)) {
		int cpu = READ_ONCE(vcpu->cpu);

		if (cpu != me && cpu >= 0)
			smp_send_reschedule(cpu);
	} else {
		rcuwait_wake_up(&vcpu->wait);
	}
	put_cpu();
}

static void kick_ack(void *unused)
{
}

bool keel_vm_request_all(struct keel_vm *vm, unsigned long requests)
{
	struct keel_vcpu *vcpu;
	struct cpumask *mask;
	unsigned long id;
	bool any = false;
	int me = get_cpu();

	mask = this_cpu_cpumask_var_ptr(kick_mask);
	xa_for_each(&vm->vcpus, id, vcpu) {
		int cpu;

		if (!vcpu_mark(vcpu, requests))
			continue;
		cpu = READ_ONCE(vcpu->cpu);
		if (cpu < 0 || cpu == me)
			continue;
		if (!any)
			cpumask_clear(mask);
		any = true;
		__cpumask_set_cpu(cpu, mask);
	}
	if (any)
		smp_call_function_many(mask, kick_ack, NULL, true);
	put_cpu();
	return any;
}

static void vcpu_free(struct keel_vcpu *vcpu)
{
	keel_apf_flush(vcpu);
	keel_arch_vcpu_free(vcpu);
	keel_dirty_ring_free(vcpu);
	free_page((unsigned long)vcpu->pio_data);
	free_page((unsigned long)vcpu->run);
	kfree(vcpu);
}

static struct keel_vcpu *vcpu_alloc(struct keel_vm *vm, unsigned int id)
{
	struct keel_vcpu *vcpu = kzalloc(sizeof(*vcpu), GFP_KERNEL_ACCOUNT);
	int err = -ENOMEM;

	if (!vcpu)
		return ERR_PTR(err);
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->cpu = -1;
	mutex_init(&vcpu->mutex);
	rcuwait_init(&vcpu->wait);
	preempt_notifier_init(&vcpu->preempt, &vcpu_preempt_ops);
	vcpu->run = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	vcpu->pio_data = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (vcpu->run && vcpu->pio_data)
		err = keel_dirty_ring_new(vcpu);
	if (!err)
		err = keel_arch_vcpu_init(vcpu);
	if (err) {
		vcpu_free(vcpu);
		return ERR_PTR(err);
	}
	return vcpu;
}

void keel_vcpus_free(struct keel_vm *vm)
{
	struct keel_vcpu *vcpu;
	unsigned long id;

	xa_for_each(&vm->vcpus, id, vcpu)
		vcpu_free(vcpu);
	/* From here on keel_vm_request_all() finds none. */
	xa_destroy(&vm->vcpus);
}

static vm_fault_t ring_map_fault(struct vm_fault *vmf, struct keel_vcpu *vcpu)
{
	struct page *page = keel_dirty_ring_page(vcpu, vmf->pgoff - KVM_DIRTY_LOG_PAGE_OFFSET);

	if (!page)
		return VM_FAULT_SIGBUS;
	vmf->page = page;
	get_page(page);
	return 0;
}

static vm_fault_t vcpu_map_fault(struct vm_fault *vmf)
{
	struct keel_vcpu *vcpu = vmf->vma->vm_file->private_data;
	void *page = NULL;

	if (vmf->pgoff >= KVM_DIRTY_LOG_PAGE_OFFSET)
		return ring_map_fault(vmf, vcpu);
	if (vmf->pgoff == 0)
		page = vcpu->run;
	else if (vmf->pgoff == 1)
		page = vcpu->pio_data;
	else if (vmf->pgoff == KEEL_COALESCED_RING_PAGE)
		page = keel_coalesced_ring(vcpu->vm);
	if (!page)
		return VM_FAULT_SIGBUS;
	vmf->page = virt_to_page(page);
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct vcpu_map_ops = { .fault = vcpu_map_fault };

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	/* A copy of the ring would be of no use. */
	if (keel_dirty_ring_page(file->private_data, 0) && (vma->vm_flags & (VM_EXEC | VM_SHARED)) != VM_SHARED &&
	    vma->vm_pgoff + vma_pages(vma) > KVM_DIRTY_LOG_PAGE_OFFSET)
		return -EINVAL;
	vma->vm_ops = &vcpu_map_ops;
	return 0;
}

static int vcpu_release(struct inode *inode, struct file *file)
{
	struct keel_vcpu *vcpu = file->private_data;

	keel_vm_put(vcpu->vm);
	return 0;
}

static const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.release = vcpu_release,
	.unlocked_ioctl = keel_vcpu_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = vcpu_mmap,
	.llseek = noop_llseek,
};

long keel_vcpu_create_fd(struct keel_vm *vm, unsigned long id)
{
	char name[24];
	struct keel_vcpu *vcpu;
	struct file *file;
	int fd, err;

	lockdep_assert_held(&vm->lock);
	if (id >= (vm->max_vcpu_id ?: KEEL_MAX_VCPU_ID) || vm->nr_vcpus >= KEEL_MAX_VCPUS)
		return -EINVAL;
	if (xa_load(&vm->vcpus, id))
		return -EEXIST;

	err = xa_reserve(&vm->vcpus, id, GFP_KERNEL_ACCOUNT);
	if (err)
		return err;
	vcpu = vcpu_alloc(vm, id);
	if (IS_ERR(vcpu)) {
		err = PTR_ERR(vcpu);
		goto release_id;
	}
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		err = fd;
		goto free_vcpu;
	}
	snprintf(name, sizeof(name), "kvm-vcpu:%lu", id);
	file = anon_inode_getfile(name, &vcpu_fops, vcpu, O_RDWR);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto put_fd;
	}
	keel_vm_get(vm); /* the file's, dropped by its release */
	xa_store(&vm->vcpus, id, vcpu, GFP_KERNEL_ACCOUNT); /* reserved: cannot fail */
	vm->nr_vcpus++;
	keel_arch_vcpu_added(vcpu);
	fd_install(fd, file);
	return fd;

put_fd:
	put_unused_fd(fd);
free_vcpu:
	vcpu_free(vcpu);
release_id:
	xa_release(&vm->vcpus, id);
	return err;
}

int __init keel_vcpu_module_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		if (!zalloc_cpumask_var_node(&per_cpu(kick_mask, cpu), GFP_KERNEL, cpu_to_node(cpu))) {
			keel_vcpu_module_exit();
			return -ENOMEM;
		}
	}
	return 0;
}

void keel_vcpu_module_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		free_cpumask_var(per_cpu(kick_mask, cpu));
}
