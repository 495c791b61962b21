// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exits to user space: fills kvm_run and takes the answer in at the next KVM_RUN.
 *
 * Owns: the exit part of kvm_run, the port-data page, arch.uexit. kvm_run is shared with a process
 * that may rewrite it at any time: it is written here without being trusted, and what is read back is
 * read once and only as data. Contexts: vCPU loaded, IRQs on. Source: KVM API, "The kvm_run structure".
 */
#include "core.h"
#include "trace.h"
#include <asm/unaligned.h>

#define PIO_PAGE_OFFSET PAGE_SIZE	/* of the port data within the vCPU's mapping */

int keel_uexit_reason(struct keel_vcpu *vcpu, u32 reason)
{
	vcpu->run->exit_reason = reason;
	return KEEL_USER;
}

static int uexit_io(struct keel_vcpu *vcpu, bool in, u16 port, u8 size, u32 count)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = size;
	run->io.port = port;
	run->io.count = count;
	run->io.data_offset = PIO_PAGE_OFFSET;
	return KEEL_USER;
}

int keel_uexit_eoi(struct keel_vcpu *vcpu)
{
	vcpu->run->eoi.vector = vcpu->arch.eoi_exit - 1;
	vcpu->arch.eoi_exit = 0;
	return keel_uexit_reason(vcpu, KVM_EXIT_IOAPIC_EOI);
}

int keel_uexit_out(struct keel_vcpu *vcpu, u16 port, u8 size, u32 value)
{
	memcpy(vcpu->pio_data, &value, sizeof(value));
	return uexit_io(vcpu, false, port, size, 1);
}

int keel_uexit_in(struct keel_vcpu *vcpu, u16 port, u8 size, u8 insn_len)
{
	vcpu->arch.uexit = (struct keel_uexit){
		.pending = KEEL_PENDING_IN,
		.size = size,
		.insn_len = insn_len,
		.rip = vcpu->arch.regs.rip,
	};
	return uexit_io(vcpu, true, port, size, 1);
}

int keel_uexit_string_io(struct keel_vcpu *vcpu, bool in, u16 port, u8 size, u32 count, const u8 *data)
{
	if (!in)
		memcpy(vcpu->pio_data, data, size * count);
	vcpu->arch.uexit = (struct keel_uexit){
		.pending = KEEL_PENDING_EMUL,
		.rip = vcpu->arch.regs.rip,
	};
	return uexit_io(vcpu, in, port, size, count);
}

/* One piece of an access, 1 to 8 bytes; the sizes that registers have without the general copy's set-up. */
static __always_inline void copy_piece(u8 *to, const u8 *from, u32 bytes)
{
	switch (bytes) {
	case 4:
		put_unaligned(get_unaligned((const u32 *)from), (u32 *)to);
		break;
	case 8:
		put_unaligned(get_unaligned((const u64 *)from), (u64 *)to);
		break;
	default:
		while (bytes--)
			to[bytes] = from[bytes];
	}
}

int keel_uexit_mmio(struct keel_vcpu *vcpu, gpa_t gpa, bool write, u8 *data, u8 bytes)
{
	struct kvm_run *run = vcpu->run;

	vcpu->arch.uexit = (struct keel_uexit){
		.pending = KEEL_PENDING_EMUL,
		.rip = vcpu->arch.regs.rip,
	};
	keel_stat(vcpu, KEEL_STAT_MMIO);
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = gpa_raw(gpa);
	run->mmio.len = bytes;
	run->mmio.is_write = write;
	memset(run->mmio.data, 0, sizeof(run->mmio.data));
	if (write)
		copy_piece(run->mmio.data, data, bytes);
	return KEEL_USER;
}

void keel_uexit_take(struct keel_vcpu *vcpu, bool mmio, u8 *data, u32 bytes)
{
	if (mmio)
		copy_piece(data, vcpu->run->mmio.data, bytes);
	else
		memcpy(data, vcpu->pio_data, bytes);
}

int keel_uexit_internal(struct keel_vcpu *vcpu, u32 suberror, const u64 *data, unsigned int nr)
{
	struct kvm_run *run = vcpu->run;
	unsigned int i;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = suberror;
	run->internal.ndata = nr;
	for (i = 0; i < nr; i++)
		run->internal.data[i] = data[i];
	return KEEL_USER;
}

/* The bytes are what was fetched at RIP; data[0] holds the flags, data[1] the count, then they follow. */
int keel_uexit_emulation(struct keel_vcpu *vcpu, const u8 *bytes, unsigned int nr)
{
	struct kvm_run *run = vcpu->run;

	keel_stat(vcpu, KEEL_STAT_EMULATION_FAIL);
	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run->emulation_failure.ndata = 4;
	run->emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
	run->emulation_failure.insn_size = nr;
	memset(run->emulation_failure.insn_bytes, 0x90, sizeof(run->emulation_failure.insn_bytes));
	memcpy(run->emulation_failure.insn_bytes, bytes, nr);
	return KEEL_USER;
}

int keel_uexit_fail_entry(struct keel_vcpu *vcpu, u64 reason)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	run->fail_entry.hardware_entry_failure_reason = reason;
	run->fail_entry.cpu = READ_ONCE(vcpu->cpu);
	return KEEL_USER;
}

int keel_uexit_debug(struct keel_vcpu *vcpu, u8 vector, u64 pc, u64 dr6, u64 dr7)
{
	vcpu->run->debug.arch = (struct kvm_debug_exit_arch){
		.exception = vector, .pc = pc, .dr6 = dr6, .dr7 = dr7,
	};
	return keel_uexit_reason(vcpu, KVM_EXIT_DEBUG);
}

int keel_uexit_msr(struct keel_vcpu *vcpu, bool write, u32 reason, u8 insn_len)
{
	struct kvm_run *run = vcpu->run;

	vcpu->arch.uexit = (struct keel_uexit){
		.pending = write ? KEEL_PENDING_WRMSR : KEEL_PENDING_RDMSR,
		.insn_len = insn_len,
		.rip = vcpu->arch.regs.rip,
	};
	run->exit_reason = write ? KVM_EXIT_X86_WRMSR : KVM_EXIT_X86_RDMSR;
	run->msr.error = 0;
	memset(run->msr.pad, 0, sizeof(run->msr.pad));
	run->msr.reason = reason;
	run->msr.index = keel_gpr32(vcpu, KEEL_RCX);
	run->msr.data = write ? keel_edx_eax(vcpu) : 0;
	return KEEL_USER;
}

static int complete_msr(struct keel_vcpu *vcpu, const struct keel_uexit *uexit, bool write)
{
	if (READ_ONCE(vcpu->run->msr.error)) {
		keel_exception_error(vcpu, EVENT_GP, 0);
		return KEEL_RESUME;
	}
	if (!write)
		keel_edx_eax_set(vcpu, READ_ONCE(vcpu->run->msr.data));
	keel_skip(vcpu, uexit->insn_len);
	if (keel_debug_stepping(&vcpu->arch))
		keel_debug_trap(vcpu, REGS_DR6_BS);
	return KEEL_RESUME;
}

static int complete_in(struct keel_vcpu *vcpu, const struct keel_uexit *in)
{
	u64 *rax = &vcpu->arch.regs.gpr[KEEL_RAX];
	u32 value = READ_ONCE(*(u32 *)vcpu->pio_data);

	trace_kvm_pio(false, vcpu->arch.exit.io.port, in->size, 1, &value);
	switch (in->size) {
	case 1:
		*rax = (*rax & ~0xffULL) | (u8)value;
		break;
	case 2:
		*rax = (*rax & ~0xffffULL) | (u16)value;
		break;
	default:
		*rax = value;
	}
	keel_regs_dirty(vcpu, KEEL_RG_GPR);
	keel_skip(vcpu, in->insn_len);
	return KEEL_RESUME;
}

/* What few exits wait for. */
static noinline int complete_rare(struct keel_vcpu *vcpu, const struct keel_uexit *uexit, u8 pending)
{
	switch (pending) {
	case KEEL_PENDING_IN_STEP:
		complete_in(vcpu, uexit);
		if (keel_debug_stepping(&vcpu->arch))
			keel_debug_trap(vcpu, REGS_DR6_BS);
		return KEEL_RESUME;
	case KEEL_PENDING_RDMSR:
	case KEEL_PENDING_WRMSR:
		return complete_msr(vcpu, uexit, pending == KEEL_PENDING_WRMSR);
	default:
		return KEEL_RESUME;
	}
}

void keel_uexit_drop(struct keel_vcpu *vcpu)
{
	vcpu->arch.uexit.pending = KEEL_PENDING_NONE;
}

int keel_uexit_complete(struct keel_vcpu *vcpu)
{
	struct keel_uexit *uexit = &vcpu->arch.uexit;
	u8 pending = uexit->pending;

	keel_uexit_drop(vcpu);
	/* User space moved the vCPU elsewhere: the answer has no taker any more. */
	if (uexit->rip != vcpu->arch.regs.rip)
		return KEEL_RESUME;
	if (pending == KEEL_PENDING_IN)
		return complete_in(vcpu, uexit);
	if (pending == KEEL_PENDING_EMUL)
		return keel_emul_continue(vcpu);
	return complete_rare(vcpu, uexit, pending);
}
