// SPDX-License-Identifier: GPL-2.0-only
/*
 * GSI routing: the table from line numbers to chip pins and messages, and raising a line through it.
 *
 * Owns: vm->irq.table. Does not own: what a target does (keel_arch_irq_set), eventfds (irqfd.c).
 * Contexts: changes in task context under irq.lock; raising in any context, as an RCU reader.
 * The old table is freed after a grace period that nobody waits for.
 * Source: KVM API, KVM_SET_GSI_ROUTING, KVM_IRQ_LINE, KVM_SIGNAL_MSI.
 */
#include <keel/arch.h>
#include <keel/ioctl.h>
#include <keel/irq.h>
#include <keel/uapi.h>
#include <keel/vm.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

/* Immutable. Targets of one GSI are neighbours: those of g are first[g] to first[g + 1]. */
struct keel_irq_table {
	struct rcu_head rcu;
	u32 nr_gsis;
	struct keel_irq_target *target;		/* behind first[], in the same allocation */
	u32 first[];				/* nr_gsis + 1 */
};

/* One GSI leads to one message, or to at most one pin of each chip. */
static bool excluded(const struct keel_irq_target *a, const struct keel_irq_target *b)
{
	return a->kind == KEEL_IRQ_MSI || b->kind == KEEL_IRQ_MSI || a->chip == b->chip;
}

static int table_fill(struct keel_irq_table *table, const struct keel_irq_target *targets, unsigned int nr)
{
	unsigned int i, j;

	/* Counting sort: first[g] counts, then becomes the end of g's targets, then their start. */
	for (i = 0; i < nr; i++)
		table->first[targets[i].gsi]++;
	for (i = 1; i <= table->nr_gsis; i++)
		table->first[i] += table->first[i - 1];
	for (i = 0; i < nr; i++)
		table->target[--table->first[targets[i].gsi]] = targets[i];
	for (i = 0; i < table->nr_gsis; i++)
		for (j = table->first[i] + 1; j < table->first[i + 1]; j++)
			if (excluded(&table->target[j - 1], &table->target[j]) ||
			    excluded(&table->target[table->first[i]], &table->target[j]))
				return -EINVAL;
	return 0;
}

int keel_irqroute_set(struct keel_vm *vm, const struct keel_irq_target *targets, unsigned int nr)
{
	struct keel_irq_table *table, *old;
	unsigned int i, nr_gsis = 0;
	size_t head;
	int err;

	for (i = 0; i < nr; i++)
		nr_gsis = max(nr_gsis, targets[i].gsi + 1);
	head = ALIGN(struct_size(table, first, nr_gsis + 1), sizeof(u64));
	table = kvzalloc(head + nr * sizeof(*table->target), GFP_KERNEL_ACCOUNT);
	if (!table)
		return -ENOMEM;
	table->nr_gsis = nr_gsis;
	table->target = (void *)table + head;
	err = table_fill(table, targets, nr);
	if (err) {
		kvfree(table);
		return err;
	}
	mutex_lock(&vm->irq.lock);
	old = rcu_replace_pointer(vm->irq.table, table, lockdep_is_held(&vm->irq.lock));
	keel_arch_irq_routed(vm);
	mutex_unlock(&vm->irq.lock);
	if (old)
		kvfree_rcu(old, rcu);
	return 0;
}

int keel_irq_set(struct keel_vm *vm, u32 gsi, enum keel_irq_source source, bool level)
{
	const struct keel_irq_table *table;
	int best = KEEL_IRQ_MASKED;
	u32 i;

	rcu_read_lock();
	table = rcu_dereference(vm->irq.table);
	if (table && gsi < table->nr_gsis)
		for (i = table->first[gsi]; i < table->first[gsi + 1]; i++)
			best = max(best, keel_arch_irq_set(vm, &table->target[i], source, level));
	rcu_read_unlock();
	return best;
}

bool keel_irqroute_leads(struct keel_vm *vm, u32 gsi, u8 chip, u16 pin)
{
	const struct keel_irq_table *table = rcu_dereference(vm->irq.table);
	u32 i;

	if (!table || gsi >= table->nr_gsis)
		return false;
	for (i = table->first[gsi]; i < table->first[gsi + 1]; i++) {
		const struct keel_irq_target *target = &table->target[i];

		if (target->kind == KEEL_IRQ_PIN && target->chip == chip && target->pin == pin)
			return true;
	}
	return false;
}

void keel_irqroute_each(struct keel_vm *vm, void (*fn)(void *arg, const struct keel_irq_target *target), void *arg)
{
	const struct keel_irq_table *table = rcu_dereference_check(vm->irq.table, lockdep_is_held(&vm->irq.lock));
	u32 i;

	for (i = 0; table && i < table->first[table->nr_gsis]; i++)
		fn(arg, &table->target[i]);
}

void keel_irq_init(struct keel_vm *vm)
{
	mutex_init(&vm->irq.lock);
	INIT_HLIST_HEAD(&vm->irq.irqfds);
	INIT_HLIST_HEAD(&vm->irq.resamplers);
}

void keel_irq_free(struct keel_vm *vm)
{
	kvfree(rcu_dereference_raw(vm->irq.table));
}

/* --- rows ------------------------------------------------------------------------------------ */

long keel_gsi_routing_set(struct keel_call *call)
{
	struct kvm_irq_routing __user *user = call->user;
	struct kvm_irq_routing_entry *entries;
	struct keel_irq_target *targets;
	struct kvm_irq_routing head;
	int err = -ENOMEM;
	u32 i;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.flags || head.nr > KEEL_NR_GSIS || !keel_arch_has_chips(call->vm))
		return -EINVAL;
	entries = vmemdup_user(user->entries, array_size(head.nr, sizeof(*entries)));
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	targets = kvmalloc_array(head.nr + 1, sizeof(*targets), GFP_KERNEL_ACCOUNT);
	if (targets)
		err = 0;
	for (i = 0; !err && i < head.nr; i++)
		err = keel_arch_irq_target(call->vm, &entries[i], &targets[i]);
	if (!err)
		err = keel_irqroute_set(call->vm, targets, head.nr);
	kvfree(targets);
	kvfree(entries);
	return err;
}

long keel_irq_line_status(struct keel_call *call)
{
	struct kvm_irq_level *line = call->arg;

	if (!keel_arch_has_chips(call->vm))
		return -ENXIO;
	line->status = keel_irq_set(call->vm, line->irq, KEEL_SOURCE_USER, line->level);
	return 0;
}

long keel_irq_line(struct keel_call *call)
{
	struct kvm_irq_level line = *(const struct kvm_irq_level *)call->arg;

	if (!keel_arch_has_chips(call->vm))
		return -ENXIO;
	keel_irq_set(call->vm, line.irq, KEEL_SOURCE_USER, line.level);
	return 0;
}

long keel_signal_msi(struct keel_call *call)
{
	const struct kvm_msi *msi = call->arg;
	struct kvm_irq_routing_entry entry = {
		.type = KVM_IRQ_ROUTING_MSI,
		.flags = msi->flags,
		.u.msi = {
			.address_lo = msi->address_lo,
			.address_hi = msi->address_hi,
			.data = msi->data,
		},
	};
	struct keel_irq_target target;
	int err;

	if (!keel_arch_has_chips(call->vm) || msi->flags)
		return -EINVAL;
	err = keel_arch_irq_target(call->vm, &entry, &target);
	if (err)
		return err;
	return keel_arch_irq_set(call->vm, &target, KEEL_SOURCE_USER, true);
}
