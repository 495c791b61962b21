// SPDX-License-Identifier: GPL-2.0-only
/*
 * Host pages that are brought in while the vCPU that needs them does something else.
 *
 * Owns: vcpu->apf, the work queue. Does not own: when that is done and how the guest is told (the architecture's
 * core). Contexts: the vCPU's thread; the jobs in workers.
 *
 * A job can take as long as user space likes (userfaultfd), so nobody waits for one but the module's exit. It holds
 * the mm_struct itself, and the address space only while it works on it: a process that ends gets rid of that when
 * the last job lets go. The vCPU is known to the queue alone, which jobs share and which forgets the vCPU when that
 * ends or the guest switches the mechanism off.
 */
#include <keel/apf.h>
#include <keel/arch.h>
#include <keel/vcpu.h>
#include <keel/vm.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/refcount.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#define MAX_JOBS 64		/* of a vCPU, under way or not yet told of */

/* Legend: A atomic; Q lock. */
struct keel_apf_queue {
	refcount_t users;		/* A: the vCPU, each job */
	spinlock_t lock;
	struct keel_vcpu *vcpu;		/* Q: NULL when nobody listens any more */
	struct list_head done;		/* Q */
	unsigned int jobs;		/* Q */
};

struct job {
	struct work_struct work;
	struct list_head list;		/* in queue->done */
	struct keel_apf_queue *queue;
	struct mm_struct *mm;
	u64 hva;
	u32 token;
	bool write;
};

static struct workqueue_struct *workers;

static void queue_put(struct keel_apf_queue *queue)
{
	if (refcount_dec_and_test(&queue->users))
		kfree(queue);
}

/* Whether the page came or not: the guest's next access finds out. */
static void bring_in(struct job *job)
{
	int locked = 1;

	if (!mmget_not_zero(job->mm))
		return;
	mmap_read_lock(job->mm);
	get_user_pages_remote(job->mm, job->hva, 1, job->write ? FOLL_WRITE : 0, NULL, NULL, &locked);
	if (locked)
		mmap_read_unlock(job->mm);
	mmput(job->mm);
}

static void job_work(struct work_struct *work)
{
	struct job *job = container_of(work, struct job, work);
	struct keel_apf_queue *queue = job->queue;
	bool heard;

	bring_in(job);
	mmdrop(job->mm);
	spin_lock_irq(&queue->lock);
	heard = queue->vcpu;
	if (heard) {
		list_add_tail(&job->list, &queue->done);
		keel_arch_apf_done(queue->vcpu);
	}
	spin_unlock_irq(&queue->lock);
	if (!heard)
		kfree(job);
	queue_put(queue);
}

static struct keel_apf_queue *queue_get(struct keel_vcpu *vcpu)
{
	struct keel_apf_queue *queue = vcpu->apf.queue;

	if (queue)
		return queue;
	queue = kzalloc(sizeof(*queue), GFP_KERNEL_ACCOUNT);
	if (!queue)
		return NULL;
	refcount_set(&queue->users, 1);
	spin_lock_init(&queue->lock);
	INIT_LIST_HEAD(&queue->done);
	queue->vcpu = vcpu;
	vcpu->apf.queue = queue;
	return queue;
}

bool keel_apf_start(struct keel_vcpu *vcpu, u64 hva, bool write, u32 token)
{
	struct keel_apf_queue *queue = queue_get(vcpu);
	struct job *job;
	bool room;

	if (!queue)
		return false;
	job = kzalloc(sizeof(*job), GFP_KERNEL_ACCOUNT);
	if (!job)
		return false;
	spin_lock_irq(&queue->lock);
	room = queue->jobs < MAX_JOBS;
	queue->jobs += room;
	spin_unlock_irq(&queue->lock);
	if (!room) {
		kfree(job);
		return false;
	}
	refcount_inc(&queue->users);
	job->queue = queue;
	job->mm = vcpu->vm->mm;
	mmgrab(job->mm);
	job->hva = hva;
	job->write = write;
	job->token = token;
	INIT_WORK(&job->work, job_work);
	queue_work(workers, &job->work);
	return true;
}

bool keel_apf_next(struct keel_vcpu *vcpu, u32 *token)
{
	struct keel_apf_queue *queue = vcpu->apf.queue;
	struct job *job;

	if (!queue)
		return false;
	spin_lock_irq(&queue->lock);
	job = list_first_entry_or_null(&queue->done, struct job, list);
	if (job) {
		list_del(&job->list);
		queue->jobs--;
	}
	spin_unlock_irq(&queue->lock);
	if (!job)
		return false;
	*token = job->token;
	kfree(job);
	return true;
}

void keel_apf_flush(struct keel_vcpu *vcpu)
{
	struct keel_apf_queue *queue = vcpu->apf.queue;
	struct job *job, *next;
	unsigned long flags;
	LIST_HEAD(done);

	if (!queue)
		return;
	vcpu->apf.queue = NULL;
	spin_lock_irqsave(&queue->lock, flags);
	queue->vcpu = NULL;
	list_splice_init(&queue->done, &done);
	spin_unlock_irqrestore(&queue->lock, flags);
	list_for_each_entry_safe(job, next, &done, list)
		kfree(job);
	queue_put(queue);
}

int __init keel_apf_module_init(void)
{
	workers = alloc_workqueue("keel_apf", WQ_UNBOUND, 0);
	return workers ? 0 : -ENOMEM;
}

void keel_apf_module_exit(void)
{
	destroy_workqueue(workers);
}
