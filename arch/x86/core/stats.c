// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the words that vCPUs and VMs count are called in the API.
 *
 * Owns: the two tables, nothing else; names and units are those that other modules give the same events. Not in
 * them is what this module does not have (shadow paging, halt polling, directed yield, nested guests) or does not
 * count. Source: KVM API, KVM_GET_STATS_FD.
 */
#include "core.h"
#include <keel/stats.h>

#define COUNT (KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10)
#define TIME (KVM_STATS_UNIT_SECONDS | KVM_STATS_BASE_POW10)

#define ROW(name_, word) { .name = name_, .flags = COUNT, .size = 1, .at = (word), .sum = 1 }
#define EXITS(name_, kind) ROW(name_, KEEL_STAT_EXIT + (kind))

static const struct keel_stat vcpu_rows[] = {
	{ .name = "exits", .flags = COUNT, .size = 1, .at = KEEL_STAT_EXIT, .sum = KEEL_EXIT_NR },
	EXITS("io_exits", KEEL_EXIT_IO),
	EXITS("irq_exits", KEEL_EXIT_HOST_IRQ),
	EXITS("irq_window_exits", KEEL_EXIT_IRQ_WINDOW),
	EXITS("nmi_window_exits", KEEL_EXIT_NMI_WINDOW),
	EXITS("halt_exits", KEEL_EXIT_HLT),
	EXITS("hypercalls", KEEL_EXIT_HYPERCALL),
	EXITS("invlpg", KEEL_EXIT_INVLPG),
	EXITS("pf_taken", KEEL_EXIT_FAULT),
	ROW("pf_fixed", KEEL_STAT_PF_FIXED),
	ROW("pf_emulate", KEEL_STAT_PF_EMULATE),
	ROW("mmio_exits", KEEL_STAT_MMIO),
	ROW("signal_exits", KEEL_STAT_SIGNAL),
	ROW("request_irq_exits", KEEL_STAT_REQUEST_IRQ),
	ROW("insn_emulation", KEEL_STAT_EMULATION),
	ROW("insn_emulation_fail", KEEL_STAT_EMULATION_FAIL),
	ROW("irq_injections", KEEL_STAT_IRQ_INJECTION),
	ROW("nmi_injections", KEEL_STAT_NMI_INJECTION),
	ROW("halt_wakeup", KEEL_STAT_HALT_WAKEUP),
	{ .name = "halt_wait_ns", .flags = KVM_STATS_TYPE_CUMULATIVE | TIME, .exponent = -9, .size = 1,
	  .at = KEEL_STAT_HALT_WAIT, .sum = 1 },
	{ .name = "halt_wait_hist", .flags = KVM_STATS_TYPE_LOG_HIST | TIME, .exponent = -9, .size = KEEL_STAT_BUCKETS,
	  .at = KEEL_STAT_HALT_HIST, .sum = 1 },
	{ .name = "blocking", .flags = KVM_STATS_TYPE_INSTANT | KVM_STATS_UNIT_BOOLEAN | KVM_STATS_BASE_POW10, .size = 1,
	  .at = KEEL_STAT_BLOCKING, .sum = 1 },
};

static const struct keel_stat vm_rows[] = {
	ROW("remote_tlb_flush", KEEL_VM_STAT_FLUSH),
	ROW("remote_tlb_flush_requests", KEEL_VM_STAT_FLUSH_REQUEST),
};

const struct keel_stat_table keel_arch_vcpu_stats = { vcpu_rows, ARRAY_SIZE(vcpu_rows) };
const struct keel_stat_table keel_arch_vm_stats = { vm_rows, ARRAY_SIZE(vm_rows) };
