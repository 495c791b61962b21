// SPDX-License-Identifier: GPL-2.0-only
/*
 * Statistics as files of debugfs, a number each: kvm/NAME for all VMs, kvm/PID-FD/NAME for one.
 *
 * Owns: the list of VMs, the directories. Does not own: the words and their names (stats.c, the architecture).
 * Contexts: module init and exit; task; a work item.
 *
 * Making a directory costs more than making a VM. So a VM's comes a second after it, made by one work item for
 * all that have none, and VMs that live shorter have none. debugfs_remove() waits for readers under way, a few
 * instructions each, so a reader finds its VM whole.
 */
#include <keel/arch.h>
#include <keel/stats.h>
#include <keel/vcpu.h>
#include <keel/vm.h>
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>

static DEFINE_MUTEX(vms_lock);
static LIST_HEAD(vms);
static struct dentry *root;

static bool is_vm_row(const struct keel_stat *row)
{
	return row >= keel_arch_vm_stats.rows && row < keel_arch_vm_stats.rows + keel_arch_vm_stats.nr;
}

static u64 vm_value(struct keel_vm *vm, const struct keel_stat *row)
{
	struct keel_vcpu *vcpu;
	unsigned long id;
	u64 value = 0;

	if (is_vm_row(row))
		return keel_stat_value(row, (const u64 *)vm->stat, 0);
	xa_for_each(&vm->vcpus, id, vcpu)
		value += keel_stat_value(row, vcpu->stat, 0);
	return value;
}

static u64 all_value(const struct keel_stat *row)
{
	struct keel_vm *vm;
	u64 value = 0;

	mutex_lock(&vms_lock);
	list_for_each_entry(vm, &vms, debugfs.node)
		value += vm_value(vm, row);
	mutex_unlock(&vms_lock);
	return value;
}

static ssize_t stat_read(struct file *file, char __user *user, size_t bytes, loff_t *at)
{
	const struct keel_stat *row = file_inode(file)->i_private;
	struct keel_vm *vm = d_inode(file_dentry(file)->d_parent)->i_private;
	char text[24];
	int len = snprintf(text, sizeof(text), "%llu\n", vm ? vm_value(vm, row) : all_value(row));

	return simple_read_from_buffer(user, bytes, at, text, len);
}

static const struct file_operations stat_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.read = stat_read,
	.llseek = default_llseek,
};

static void files_make(struct dentry *dir, const struct keel_stat_table *table)
{
	unsigned int i;

	for (i = 0; i < table->nr; i++)
		if (table->rows[i].size == 1)
			debugfs_create_file(table->rows[i].name, 0444, dir, (void *)&table->rows[i], &stat_fops);
}

static void dir_make(struct keel_vm *vm)
{
	struct dentry *dir;
	char name[32];

	snprintf(name, sizeof(name), "%d-%d", vm->pid, vm->debugfs.fd);
	/* The fd may have been closed and its number used again while vCPUs hold the first VM. */
	dir = debugfs_lookup(name, root);
	if (dir) {
		dput(dir);
		return;
	}
	dir = debugfs_create_dir(name, root);
	if (IS_ERR(dir))
		return;
	d_inode(dir)->i_private = vm;
	vm->debugfs.dir = dir;
	files_make(dir, &keel_arch_vm_stats);
	files_make(dir, &keel_arch_vcpu_stats);
}

static void dirs_work(struct work_struct *work)
{
	struct keel_vm *vm;

	mutex_lock(&vms_lock);
	list_for_each_entry(vm, &vms, debugfs.node) {
		if (!vm->debugfs.seen)
			dir_make(vm);
		vm->debugfs.seen = true;
	}
	mutex_unlock(&vms_lock);
}

static DECLARE_DELAYED_WORK(dirs, dirs_work);

void keel_debugfs_add(struct keel_vm *vm, int fd)
{
	vm->debugfs.fd = fd;
	mutex_lock(&vms_lock);
	list_add_tail(&vm->debugfs.node, &vms);
	mutex_unlock(&vms_lock);
	schedule_delayed_work(&dirs, HZ);
}

void keel_debugfs_remove(struct keel_vm *vm)
{
	if (!vm->debugfs.node.next)
		return;
	mutex_lock(&vms_lock);
	list_del(&vm->debugfs.node);
	mutex_unlock(&vms_lock);
	/* Out of the list, nobody makes one. A reader may want vms_lock: not under it. */
	debugfs_remove(vm->debugfs.dir);
}

void __init keel_debugfs_init(void)
{
	root = debugfs_create_dir("kvm", NULL);
	files_make(root, &keel_arch_vm_stats);
	files_make(root, &keel_arch_vcpu_stats);
}

void keel_debugfs_exit(void)
{
	cancel_delayed_work_sync(&dirs);
	debugfs_remove(root);
}
