// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/kvm and the module: what is set up once, in order, and taken down in reverse.
 *
 * Owns: the misc device and the order of module init. Contexts: module init and exit, open.
 */
#include <keel/apf.h>
#include <keel/arch.h>
#include <keel/ioctl.h>
#include <keel/irq.h>
#include <keel/mem.h>
#include <keel/power.h>
#include <keel/stats.h>
#include <keel/vcpu.h>
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/preempt.h>

static const struct file_operations system_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = keel_system_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice system_dev = {
	.minor = KVM_MINOR,
	.name = "kvm",
	.fops = &system_fops,
};

static int __init keel_module_init(void)
{
	int err = keel_ioctl_init();

	if (err)
		return err;
	err = keel_vcpu_module_init();
	if (err)
		return err;
	err = keel_irqfd_module_init();
	if (err)
		goto vcpu_exit;
	err = keel_apf_module_init();
	if (err)
		goto irqfd_exit;
	err = keel_arch_init();
	if (err)
		goto apf_exit;
	err = keel_power_init();
	if (err)
		goto arch_exit;
	preempt_notifier_inc();
	keel_debugfs_init();
	err = misc_register(&system_dev);
	if (err)
		goto power_exit;
	return 0;

power_exit:
	keel_debugfs_exit();
	preempt_notifier_dec();
	keel_power_exit();
arch_exit:
	keel_arch_exit();
apf_exit:
	keel_apf_module_exit();
irqfd_exit:
	keel_irqfd_module_exit();
vcpu_exit:
	keel_vcpu_module_exit();
	return err;
}

static void __exit keel_module_exit(void)
{
	misc_deregister(&system_dev);
	keel_debugfs_exit();
	preempt_notifier_dec();
	keel_notify_drain();
	keel_power_exit();
	keel_arch_exit();
	keel_apf_module_exit();
	keel_irqfd_module_exit();
	keel_vcpu_module_exit();
	rcu_barrier(); /* objects freed by call_rcu() callbacks of this module */
}

module_init(keel_module_init);
module_exit(keel_module_exit);

MODULE_DESCRIPTION("Keel: a small /dev/kvm");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
MODULE_ALIAS_MISCDEV(KVM_MINOR);
MODULE_ALIAS("devname:kvm");
