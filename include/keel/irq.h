/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interrupt lines by number (GSI): where each leads, who raises them from the outside (KVM_IRQ_LINE,
 * KVM_SIGNAL_MSI, eventfds), and who wants to know when one was acknowledged.
 */
#ifndef KEEL_IRQ_H
#define KEEL_IRQ_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

struct keel_call;
struct keel_vm;
struct kvm_irq_level;
struct kvm_irq_routing_entry;
struct kvm_irqfd;
struct kvm_msi;

#define KEEL_NR_GSIS 4096	/* KVM_CAP_IRQ_ROUTING */

/* Who holds a line up; a line is up as long as one of them does. */
enum keel_irq_source { KEEL_SOURCE_USER, KEEL_SOURCE_PIT, KEEL_SOURCE_RESAMPLE };

enum keel_irq_kind { KEEL_IRQ_PIN, KEEL_IRQ_MSI };

/* One place a GSI leads to. What chip, pin, address and data mean is the architecture's. */
struct keel_irq_target {
	u32 gsi;
	u8 kind;		/* enum keel_irq_kind */
	u8 chip;
	u16 pin;
	u32 data;
	u64 address;
};

struct keel_irq_table;			/* RCU-published (virt/irqroute.c) */

/* Legend: L lock; R RCU, written under lock. */
struct keel_irq {
	struct mutex lock;				/* serialises changes */
	struct keel_irq_table __rcu *table;		/* R: NULL until there are chips */
	struct hlist_head irqfds;			/* L */
	bool had_irqfds;				/* L: there was one, whose end may be under way */
	struct hlist_head resamplers;			/* R */
};

/* What came of raising a line, in the API's terms (KVM_IRQ_LINE_STATUS). */
#define KEEL_IRQ_MASKED		(-1)
#define KEEL_IRQ_COALESCED	0
#define KEEL_IRQ_DELIVERED	1

void keel_irq_init(struct keel_vm *vm);

/* Drop the table. Context: task; nobody raises a line of this VM any more. */
void keel_irq_free(struct keel_vm *vm);

/* End all irqfds. Context: task; the VM is still whole. */
void keel_irqfds_free(struct keel_vm *vm);

/*
 * Replace the table; @targets in any order, their GSIs below KEEL_NR_GSIS. What is raised meanwhile goes by
 * the old or the new one. Return: 0; -EINVAL for two targets that exclude each other; -ENOMEM. Then nothing
 * changed. Context: task.
 */
int keel_irqroute_set(struct keel_vm *vm, const struct keel_irq_target *targets, unsigned int nr);

/*
 * Set line @gsi for @source. An MSI is sent at a rise. Return: the best of KEEL_IRQ_*.
 * Context: any; an RCU reader's section is entered here.
 */
int keel_irq_set(struct keel_vm *vm, u32 gsi, enum keel_irq_source source, bool level);

/* Does @gsi lead to pin @pin of @chip? Context: RCU reader. */
bool keel_irqroute_leads(struct keel_vm *vm, u32 gsi, u8 chip, u16 pin);

/* Call @fn for every target of every GSI. Context: RCU reader or vm->irq.lock. */
void keel_irqroute_each(struct keel_vm *vm, void (*fn)(void *arg, const struct keel_irq_target *target), void *arg);

/* Pin @pin of @chip was acknowledged: lower what resampling eventfds hold up and tell them. Context: any. */
void keel_irq_acked(struct keel_vm *vm, u8 chip, u16 pin);

/* Is somebody waiting for acknowledgements? Context: any. */
static inline bool keel_irq_acks_wanted(const struct keel_irq *irq)
{
	return !hlist_empty(&irq->resamplers);
}

/*
 * KVM_IRQFD. Return: 0; -EINVAL (flags, GSI, no chips), -EBADF, -EBUSY (the eventfd raises a line of this VM
 * already), -ENOMEM. Deassigning what is not there is no error. Context: task.
 * Source: KVM API, KVM_IRQFD.
 */
int keel_irqfd(struct keel_vm *vm, const struct kvm_irqfd *args);

/* Context: module init and exit. Return: 0, -ENOMEM. */
int keel_irqfd_module_init(void);
void keel_irqfd_module_exit(void);

/* Rows of ioctl-tables.c. */
long keel_gsi_routing_set(struct keel_call *call);
long keel_irq_line(struct keel_call *call);
long keel_irq_line_status(struct keel_call *call);
long keel_signal_msi(struct keel_call *call);

#endif /* KEEL_IRQ_H */
