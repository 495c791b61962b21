// SPDX-License-Identifier: GPL-2.0-only
/*
 * Statistics: the files of KVM_GET_STATS_FD.
 *
 * Owns: their form. Does not own: the words, which whoever counts adds to, nor their names (the architecture's
 * tables). A file holds its VM. Contexts: task; the words change under the reader, each by itself.
 *
 * A file is a header, an identifier, descriptors and values, made anew for each read: there are a few kilobytes, and
 * a tool reads the first three once.
 * Source: KVM API, KVM_GET_STATS_FD.
 */
#include <keel/arch.h>
#include <keel/stats.h>
#include <keel/uapi.h>
#include <keel/vcpu.h>
#include <keel/vm.h>
#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/slab.h>

#define NAME_BYTES 48

/* Where one object's words are. */
struct source {
	const struct keel_stat_table *table;
	const u64 *words;
	char id[NAME_BYTES];
};

unsigned int keel_stat_bucket(u64 value)
{
	return min_t(unsigned int, fls64(value), KEEL_STAT_BUCKETS - 1);
}

u64 keel_stat_value(const struct keel_stat *row, const u64 *words, unsigned int nr)
{
	const u64 *word = &words[row->at + nr];
	u64 value = 0;
	unsigned int i;

	for (i = 0; i < row->sum; i++)
		value += READ_ONCE(word[i]);
	return value;
}

static size_t desc_bytes(void)
{
	return sizeof(struct kvm_stats_desc) + NAME_BYTES;
}

static size_t data_offset(const struct source *src)
{
	return sizeof(struct kvm_stats_header) + NAME_BYTES + src->table->nr * desc_bytes();
}

static size_t file_bytes(const struct source *src)
{
	size_t bytes = data_offset(src);
	unsigned int i;

	for (i = 0; i < src->table->nr; i++)
		bytes += src->table->rows[i].size * sizeof(u64);
	return bytes;
}

static void file_fill(const struct source *src, void *to)
{
	struct kvm_stats_header *header = to;
	struct kvm_stats_desc *desc = to + sizeof(*header) + NAME_BYTES;
	u64 *data = to + data_offset(src);
	unsigned int i, n, at = 0;

	*header = (struct kvm_stats_header){
		.name_size = NAME_BYTES,
		.num_desc = src->table->nr,
		.id_offset = sizeof(*header),
		.desc_offset = sizeof(*header) + NAME_BYTES,
		.data_offset = data_offset(src),
	};
	memcpy(to + sizeof(*header), src->id, NAME_BYTES);
	for (i = 0; i < src->table->nr; i++) {
		const struct keel_stat *row = &src->table->rows[i];

		desc->flags = row->flags;
		desc->exponent = row->exponent;
		desc->size = row->size;
		desc->offset = at * sizeof(u64);
		strscpy(desc->name, row->name, NAME_BYTES);
		for (n = 0; n < row->size; n++)
			data[at++] = keel_stat_value(row, src->words, n);
		desc = (void *)desc + desc_bytes();
	}
}

static ssize_t file_read(const struct source *src, char __user *user, size_t bytes, loff_t *at)
{
	size_t all = file_bytes(src);
	void *file = kzalloc(all, GFP_KERNEL);
	ssize_t ret;

	if (!file)
		return -ENOMEM;
	file_fill(src, file);
	ret = simple_read_from_buffer(user, bytes, at, file, all);
	kfree(file);
	return ret;
}

static ssize_t vm_read(struct file *file, char __user *user, size_t bytes, loff_t *at)
{
	struct keel_vm *vm = file->private_data;
	struct source src = { .table = &keel_arch_vm_stats, .words = (const u64 *)vm->stat };

	snprintf(src.id, sizeof(src.id), "kvm-%d", vm->pid);
	return file_read(&src, user, bytes, at);
}

static ssize_t vcpu_read(struct file *file, char __user *user, size_t bytes, loff_t *at)
{
	struct keel_vcpu *vcpu = file->private_data;
	struct source src = { .table = &keel_arch_vcpu_stats, .words = vcpu->stat };

	snprintf(src.id, sizeof(src.id), "kvm-%d/vcpu-%u", vcpu->vm->pid, vcpu->id);
	return file_read(&src, user, bytes, at);
}

static int vm_stats_release(struct inode *inode, struct file *file)
{
	keel_vm_put(file->private_data);
	return 0;
}

static int vcpu_stats_release(struct inode *inode, struct file *file)
{
	struct keel_vcpu *vcpu = file->private_data;

	keel_vm_put(vcpu->vm);
	return 0;
}

static const struct file_operations vm_stats_fops = {
	.owner = THIS_MODULE,
	.read = vm_read,
	.release = vm_stats_release,
	.llseek = noop_llseek,
};

static const struct file_operations vcpu_stats_fops = {
	.owner = THIS_MODULE,
	.read = vcpu_read,
	.release = vcpu_stats_release,
	.llseek = noop_llseek,
};

static long stats_fd(struct keel_vm *vm, const char *name, const struct file_operations *fops, void *object)
{
	int fd = get_unused_fd_flags(O_CLOEXEC);
	struct file *file;

	if (fd < 0)
		return fd;
	file = anon_inode_getfile(name, fops, object, O_RDONLY);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	file->f_mode |= FMODE_PREAD;
	keel_vm_get(vm); /* the file's, dropped by its release */
	fd_install(fd, file);
	return fd;
}

long keel_vm_stats_fd(struct keel_vm *vm)
{
	return stats_fd(vm, "kvm-vm-stats", &vm_stats_fops, vm);
}

long keel_vcpu_stats_fd(struct keel_vcpu *vcpu)
{
	char name[32];

	snprintf(name, sizeof(name), "kvm-vcpu-stats:%u", vcpu->id);
	return stats_fd(vcpu->vm, name, &vcpu_stats_fops, vcpu);
}
