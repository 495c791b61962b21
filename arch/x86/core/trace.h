/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints. Their names and fields are those that perf, trace-cmd and others know; the values are the API's and
 * the manuals' numbers. A tracepoint that is off costs a jump that is patched out.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm

#if !defined(KEEL_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define KEEL_TRACE_H

#include <asm/keel_vendor.h>
#include <linux/tracepoint.h>

/* Types of kvm_mmio. */
#define KEEL_TRACE_MMIO_UNSATISFIED 0
#define KEEL_TRACE_MMIO_READ 1
#define KEEL_TRACE_MMIO_WRITE 2

TRACE_EVENT(kvm_entry,
	TP_PROTO(unsigned int vcpu_id, unsigned long rip, bool immediate_exit),
	TP_ARGS(vcpu_id, rip, immediate_exit),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id)
		__field(unsigned long, rip)
		__field(bool, immediate_exit)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu_id;
		__entry->rip = rip;
		__entry->immediate_exit = immediate_exit;
	),
	TP_printk("vcpu %u, rip 0x%lx%s", __entry->vcpu_id, __entry->rip,
		  __entry->immediate_exit ? ", to leave at once" : "")
);

/* @info: as the CPU told; isa is 1 for VT-x, 2 for AMD-V. */
TRACE_EVENT(kvm_exit,
	TP_PROTO(unsigned int vcpu_id, unsigned long rip, const struct keel_exit_info *info),
	TP_ARGS(vcpu_id, rip, info),
	TP_STRUCT__entry(
		__field(unsigned int, exit_reason)
		__field(unsigned long, guest_rip)
		__field(u32, isa)
		__field(u64, info1)
		__field(u64, info2)
		__field(u32, intr_info)
		__field(u32, error_code)
		__field(unsigned int, vcpu_id)
	),
	TP_fast_assign(
		__entry->exit_reason = info->reason;
		__entry->guest_rip = rip;
		__entry->isa = info->isa;
		__entry->info1 = info->info1;
		__entry->info2 = info->info2;
		__entry->intr_info = info->event;
		__entry->error_code = info->error_code;
		__entry->vcpu_id = vcpu_id;
	),
	TP_printk("vcpu %u, %s exit 0x%x, rip 0x%lx, information 0x%llx 0x%llx, event 0x%x error 0x%x", __entry->vcpu_id,
		  __entry->isa == KEEL_ISA_VMX ? "VT-x" : "AMD-V", __entry->exit_reason, __entry->guest_rip,
		  __entry->info1, __entry->info2, __entry->intr_info, __entry->error_code)
);

TRACE_EVENT(kvm_mmio,
	TP_PROTO(u32 type, u32 len, u64 gpa, const void *data),
	TP_ARGS(type, len, gpa, data),
	TP_STRUCT__entry(
		__field(u32, type)
		__field(u32, len)
		__field(u64, gpa)
		__field(u64, val)
	),
	TP_fast_assign(
		__entry->type = type;
		__entry->len = len;
		__entry->gpa = gpa;
		__entry->val = 0;
		if (data)
			memcpy(&__entry->val, data, min_t(u32, len, sizeof(__entry->val)));
	),
	TP_printk("%s of %u bytes at 0x%llx: 0x%llx",
		  __print_symbolic(__entry->type, { 0, "read begun" }, { 1, "read" }, { 2, "write" }), __entry->len,
		  __entry->gpa, __entry->val)
);

TRACE_EVENT(kvm_pio,
	TP_PROTO(bool out, u16 port, unsigned int size, unsigned int count, const void *data),
	TP_ARGS(out, port, size, count, data),
	TP_STRUCT__entry(
		__field(unsigned int, rw)
		__field(unsigned int, port)
		__field(unsigned int, size)
		__field(unsigned int, count)
		__field(unsigned int, val)
	),
	TP_fast_assign(
		__entry->rw = out;
		__entry->port = port;
		__entry->size = size;
		__entry->count = count;
		__entry->val = 0;
		memcpy(&__entry->val, data, min_t(u32, size, sizeof(__entry->val)));
	),
	TP_printk("%s port 0x%x, %u times %u bytes, the first 0x%x", __entry->rw ? "to" : "from", __entry->port,
		  __entry->count, __entry->size, __entry->val)
);

TRACE_EVENT(kvm_page_fault,
	TP_PROTO(unsigned int vcpu_id, unsigned long rip, u64 gpa, u64 error_code),
	TP_ARGS(vcpu_id, rip, gpa, error_code),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id)
		__field(unsigned long, guest_rip)
		__field(u64, fault_address)
		__field(u64, error_code)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu_id;
		__entry->guest_rip = rip;
		__entry->fault_address = gpa;
		__entry->error_code = error_code;
	),
	TP_printk("vcpu %u, rip 0x%lx, address 0x%llx, error code 0x%llx", __entry->vcpu_id, __entry->guest_rip,
		  __entry->fault_address, __entry->error_code)
);

TRACE_EVENT(kvm_inj_virq,
	TP_PROTO(unsigned int vector, bool soft, bool reinjected),
	TP_ARGS(vector, soft, reinjected),
	TP_STRUCT__entry(
		__field(unsigned int, vector)
		__field(bool, soft)
		__field(bool, reinjected)
	),
	TP_fast_assign(
		__entry->vector = vector;
		__entry->soft = soft;
		__entry->reinjected = reinjected;
	),
	TP_printk("%s 0x%x%s", __entry->soft ? "INT" : "interrupt", __entry->vector, __entry->reinjected ? ", again" : "")
);

TRACE_EVENT(kvm_inj_exception,
	TP_PROTO(u8 vector, bool has_error, u32 error_code, bool reinjected),
	TP_ARGS(vector, has_error, error_code, reinjected),
	TP_STRUCT__entry(
		__field(u8, exception)
		__field(u8, has_error)
		__field(u32, error_code)
		__field(bool, reinjected)
	),
	TP_fast_assign(
		__entry->exception = vector;
		__entry->has_error = has_error;
		__entry->error_code = error_code;
		__entry->reinjected = reinjected;
	),
	TP_printk("exception %u, %serror code 0x%x%s", __entry->exception, __entry->has_error ? "" : "no ",
		  __entry->error_code, __entry->reinjected ? ", again" : "")
);

TRACE_EVENT(kvm_cpuid,
	TP_PROTO(u32 function, u32 index, const u32 *out, bool found),
	TP_ARGS(function, index, out, found),
	TP_STRUCT__entry(
		__field(unsigned int, function)
		__field(unsigned int, index)
		__field(unsigned long, rax)
		__field(unsigned long, rbx)
		__field(unsigned long, rcx)
		__field(unsigned long, rdx)
		__field(bool, found)
		__field(bool, used_max_basic)
	),
	TP_fast_assign(
		__entry->function = function;
		__entry->index = index;
		__entry->rax = out[0];
		__entry->rbx = out[1];
		__entry->rcx = out[2];
		__entry->rdx = out[3];
		__entry->found = found;
		__entry->used_max_basic = false;
	),
	TP_printk("leaf 0x%x index 0x%x: %lx %lx %lx %lx%s", __entry->function, __entry->index, __entry->rax, __entry->rbx,
		  __entry->rcx, __entry->rdx, __entry->found ? "" : ", no such leaf")
);

TRACE_EVENT(kvm_msr,
	TP_PROTO(bool write, u32 index, u64 data, bool exception),
	TP_ARGS(write, index, data, exception),
	TP_STRUCT__entry(
		__field(unsigned int, write)
		__field(u32, ecx)
		__field(u64, data)
		__field(u8, exception)
	),
	TP_fast_assign(
		__entry->write = write;
		__entry->ecx = index;
		__entry->data = data;
		__entry->exception = exception;
	),
	TP_printk("%s 0x%x: 0x%llx%s", __entry->write ? "WRMSR" : "RDMSR", __entry->ecx, __entry->data,
		  __entry->exception ? ", #GP" : "")
);

TRACE_EVENT(kvm_hypercall,
	TP_PROTO(const u64 *gpr),
	TP_ARGS(gpr),
	TP_STRUCT__entry(
		__field(unsigned long, nr)
		__field(unsigned long, a0)
		__field(unsigned long, a1)
		__field(unsigned long, a2)
		__field(unsigned long, a3)
	),
	TP_fast_assign(
		__entry->nr = gpr[KEEL_RAX];
		__entry->a0 = gpr[KEEL_RBX];
		__entry->a1 = gpr[KEEL_RCX];
		__entry->a2 = gpr[KEEL_RDX];
		__entry->a3 = gpr[KEEL_RSI];
	),
	TP_printk("number %lu (0x%lx, 0x%lx, 0x%lx, 0x%lx)", __entry->nr, __entry->a0, __entry->a1, __entry->a2, __entry->a3)
);

TRACE_EVENT(kvm_userspace_exit,
	TP_PROTO(u32 reason, int error),
	TP_ARGS(reason, error),
	TP_STRUCT__entry(
		__field(u32, reason)
		__field(int, errno)
	),
	TP_fast_assign(
		__entry->reason = reason;
		__entry->errno = error;
	),
	TP_printk("reason %u, %d", __entry->reason, __entry->errno)
);

TRACE_EVENT(kvm_vcpu_wakeup,
	TP_PROTO(u64 ns, bool waited, bool valid),
	TP_ARGS(ns, waited, valid),
	TP_STRUCT__entry(
		__field(u64, ns)
		__field(bool, waited)
		__field(bool, valid)
	),
	TP_fast_assign(
		__entry->ns = ns;
		__entry->waited = waited;
		__entry->valid = valid;
	),
	TP_printk("after %llu ns", __entry->ns)
);

#endif /* KEEL_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH core
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
