/* SPDX-License-Identifier: GPL-2.0-only */
/* Host pages that are brought in while the vCPU that needs them does something else. */
#ifndef KEEL_APF_H
#define KEEL_APF_H

#include <linux/types.h>

struct keel_apf_queue;		/* virt/apf.c */
struct keel_vcpu;

/* Of a vCPU. Legend: V vcpu->mutex. */
struct keel_apf {
	struct keel_apf_queue *queue;	/* V: NULL until there was a job, and after keel_apf_flush() */
};

/*
 * Begin to bring in the page behind @hva, writable if @write; keel_arch_apf_done() tells when it is there, or cannot
 * be. Return: false when there are too many under way, or no memory. Context: task, current->mm is the VM's.
 */
bool keel_apf_start(struct keel_vcpu *vcpu, u64 hva, bool write, u32 token);

/* The token of a job that is done, first come, first served. Return: is there one? Context: the vCPU's thread. */
bool keel_apf_next(struct keel_vcpu *vcpu, u32 *token);

/*
 * Forget all jobs: those under way end unheard, and nobody waits for them. Context: vcpu->mutex or no user of the
 * vCPU is left; any.
 */
void keel_apf_flush(struct keel_vcpu *vcpu);

/* Context: module init and exit. Return: 0, -ENOMEM. Exit waits for jobs that were forgotten. */
int keel_apf_module_init(void);
void keel_apf_module_exit(void);

#endif /* KEEL_APF_H */
