// SPDX-License-Identifier: GPL-2.0-only
/*
 * The virtualization hardware of the host's CPUs: on with the first VM, off with the last, and right
 * across CPU hotplug, suspend, reboot, crash and kexec.
 *
 * Owns: the count of users and the per-CPU "on" flag. Does not own: how a CPU is switched (vendor).
 * Contexts: get/put in task context; the rest where the host calls, mostly with IRQs off.
 */
#include <keel/arch.h>
#include <keel/host.h>
#include <keel/power.h>
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/reboot.h>
#include <linux/syscore_ops.h>

/* The host lock; taken within cpus_read_lock(), so that no CPU comes or goes while users changes. */
static DEFINE_MUTEX(host_lock);
static unsigned int users;		/* host_lock; read with IRQs off by the hotplug callbacks */
static DEFINE_PER_CPU(bool, cpu_is_on);

static int cpu_on_local(void)
{
	int err;

	if (__this_cpu_read(cpu_is_on))
		return 0;
	err = keel_arch_cpu_on();
	if (!err)
		__this_cpu_write(cpu_is_on, true);
	return err;
}

static void cpu_off_local(void *unused)
{
	if (!__this_cpu_read(cpu_is_on))
		return;
	keel_arch_cpu_off();
	__this_cpu_write(cpu_is_on, false);
}

static void cpu_on_each(void *err_ptr)
{
	int err = cpu_on_local();

	if (err)
		WRITE_ONCE(*(int *)err_ptr, err);
}

int keel_power_get(void)
{
	int err = 0;

	cpus_read_lock();
	mutex_lock(&host_lock);
	if (!users) {
		on_each_cpu(cpu_on_each, &err, 1);
		if (err)
			on_each_cpu(cpu_off_local, NULL, 1);
	}
	if (!err)
		users++;
	mutex_unlock(&host_lock);
	cpus_read_unlock();
	return err;
}

void keel_power_put(void)
{
	cpus_read_lock();
	mutex_lock(&host_lock);
	if (!--users)
		on_each_cpu(cpu_off_local, NULL, 1);
	mutex_unlock(&host_lock);
	cpus_read_unlock();
}

static int power_starting(unsigned int cpu)
{
	if (users && cpu_on_local())
		pr_err("CPU %u came online without virtualization\n", cpu);
	return 0;
}

static int power_dying(unsigned int cpu)
{
	cpu_off_local(NULL);
	return 0;
}

static int power_suspend(void)
{
	cpu_off_local(NULL);
	return 0;
}

static void power_resume(void)
{
	if (users && cpu_on_local())
		pr_err("virtualization did not come back after suspend\n");
}

static struct syscore_ops power_syscore = {
	.suspend = power_suspend,
	.resume = power_resume,
};

static int power_reboot(struct notifier_block *nb, unsigned long event, void *data)
{
	on_each_cpu(cpu_off_local, NULL, 1);
	return NOTIFY_OK;
}

static struct notifier_block power_reboot_nb = { .notifier_call = power_reboot };

/* The host is crashing or starting another kernel: this CPU's state is lost, only leave the mode. */
static void power_emergency(void)
{
	if (__this_cpu_read(cpu_is_on))
		keel_arch_cpu_off();
}

int keel_power_init(void)
{
	int err = cpuhp_setup_state_nocalls(CPUHP_AP_KVM_STARTING, "kvm/keel:starting",
					    power_starting, power_dying);

	if (err)
		return err;
	register_syscore_ops(&power_syscore);
	register_reboot_notifier(&power_reboot_nb);
	keel_host_emergency_set(power_emergency);
	return 0;
}

void keel_power_exit(void)
{
	keel_host_emergency_set(NULL);
	unregister_reboot_notifier(&power_reboot_nb);
	unregister_syscore_ops(&power_syscore);
	cpuhp_remove_state_nocalls(CPUHP_AP_KVM_STARTING);
}
