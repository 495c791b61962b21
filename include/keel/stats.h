/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Statistics: what the words counted by vCPUs and VMs are called, and the fd that shows them. The
 * architecture says which words there are (asm/keel_arch.h) and what they mean (its tables, keel/arch.h).
 */
#ifndef KEEL_STATS_H
#define KEEL_STATS_H

#include <linux/list.h>
#include <linux/types.h>

struct dentry;
struct keel_vcpu;
struct keel_vm;

/* One statistic of the API. */
struct keel_stat {
	const char *name;
	u32 flags;		/* KVM_STATS_*: type, unit, base */
	s16 exponent;
	u16 size;		/* values */
	u16 at;			/* its first word */
	u16 sum;		/* words that are added up for one value */
};

struct keel_stat_table {
	const struct keel_stat *rows;
	unsigned int nr;
};

/* A VM's place in debugfs. Legend: D vms_lock of virt/debugfs.c; I immutable after creation. */
struct keel_debugfs {
	struct list_head node;		/* D: all zero before it is in the list */
	int fd;				/* I: the VM's, as its creator knows it */
	bool seen;			/* D: its directory was made, or could not be */
	struct dentry *dir;		/* D: or NULL */
};

/* Value @nr of @row, whose words begin at @words. Context: any. */
u64 keel_stat_value(const struct keel_stat *row, const u64 *words, unsigned int nr);

/* Buckets of a histogram by powers of two, and the bucket of @value. */
#define KEEL_STAT_BUCKETS 32
unsigned int keel_stat_bucket(u64 value);

/* KVM_GET_STATS_FD: an fd to read, or -EMFILE, -ENFILE, -ENOMEM. Context: task. Source: KVM API, KVM_GET_STATS_FD. */
long keel_vm_stats_fd(struct keel_vm *vm);
long keel_vcpu_stats_fd(struct keel_vcpu *vcpu);

/* The files of debugfs. Without debugfs, or memory for it, there are none. Context: module init and exit. */
void keel_debugfs_init(void);
void keel_debugfs_exit(void);

/* Show @vm, whose fd is @fd; it is complete. Hide it: it is whole still. Remove accepts what was not added. Context: task. */
void keel_debugfs_add(struct keel_vm *vm, int fd);
void keel_debugfs_remove(struct keel_vm *vm);

#endif /* KEEL_STATS_H */
