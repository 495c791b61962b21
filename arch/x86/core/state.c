// SPDX-License-Identifier: GPL-2.0-only
/*
 * The API's views of a vCPU's registers: KVM_GET/SET_{REGS,SREGS,SREGS2,XCRS,DEBUGREGS,MP_STATE},
 * KVM_TRANSLATE and the register block in kvm_run.
 *
 * Owns: no state. Contexts: task, vCPU loaded. Source: KVM API, the sections of these names.
 */
#include "core.h"

#define REGS_MOVE(to, from)								\
	do {										\
		(to).rax = (from)[0]; (to).rcx = (from)[1];				\
		(to).rdx = (from)[2]; (to).rbx = (from)[3];				\
		(to).rsp = (from)[4]; (to).rbp = (from)[5];				\
		(to).rsi = (from)[6]; (to).rdi = (from)[7];				\
		(to).r8 = (from)[8]; (to).r9 = (from)[9];				\
		(to).r10 = (from)[10]; (to).r11 = (from)[11];				\
		(to).r12 = (from)[12]; (to).r13 = (from)[13];				\
		(to).r14 = (from)[14]; (to).r15 = (from)[15];				\
	} while (0)

static void regs_out(struct keel_vcpu *vcpu, struct kvm_regs *out)
{
	const struct keel_regs *regs = &vcpu->arch.regs;

	REGS_MOVE(*out, regs->gpr);
	out->rip = regs->rip;
	out->rflags = regs->rflags;
}

static void regs_in(struct keel_vcpu *vcpu, const struct kvm_regs *in)
{
	struct keel_regs *regs = &vcpu->arch.regs;
	const u64 gpr[16] = {
		in->rax, in->rcx, in->rdx, in->rbx, in->rsp, in->rbp, in->rsi, in->rdi,
		in->r8, in->r9, in->r10, in->r11, in->r12, in->r13, in->r14, in->r15,
	};

	memcpy(regs->gpr, gpr, sizeof(gpr));
	regs->rip = in->rip;
	regs->rflags = in->rflags | X86_RFLAGS_FIXED;
	/* A fault not yet delivered belonged to the old state; an instruction in flight is finished. */
	vcpu->arch.events.exception_pending = false;
	if (vcpu->arch.uexit.pending == KEEL_PENDING_EMUL)
		keel_emul_regs_set(vcpu);
	keel_regs_dirty(vcpu, KEEL_RG_GPR);
}

long keel_regs_get(struct keel_call *call)
{
	regs_out(call->vcpu, call->arg);
	return 0;
}

long keel_regs_set(struct keel_call *call)
{
	regs_in(call->vcpu, call->arg);
	return 0;
}

static_assert(offsetof(struct kvm_sregs, interrupt_bitmap) == sizeof(struct regs_special));
static_assert(offsetof(struct kvm_sregs2, flags) == sizeof(struct regs_special));

/* Both layouts start with struct regs_special, field by field. */
static void special_out(struct keel_vcpu *vcpu, void *sregs)
{
	keel_special_get(vcpu, sregs);
}

static void sregs_out(struct keel_vcpu *vcpu, struct kvm_sregs *out)
{
	const struct event_state *events = &vcpu->arch.events;

	special_out(vcpu, out);
	memset(out->interrupt_bitmap, 0, sizeof(out->interrupt_bitmap));
	if (events->interrupt_pending || events->interrupt_injected)
		__set_bit(events->interrupt_vector, (unsigned long *)out->interrupt_bitmap);
}

static int sregs_in(struct keel_vcpu *vcpu, const struct kvm_sregs *in)
{
	unsigned long vector = find_first_bit((const unsigned long *)in->interrupt_bitmap,
					      KVM_NR_INTERRUPTS);
	int err = keel_special_set(vcpu, (const struct regs_special *)in);

	if (err)
		return err;
	if (vector < KVM_NR_INTERRUPTS) {
		vcpu->arch.events.interrupt_injected = false;
		vcpu->arch.events.interrupt_pending = false;
		event_queue_interrupt(&vcpu->arch.events, vector);
	}
	return 0;
}

long keel_sregs_get(struct keel_call *call)
{
	sregs_out(call->vcpu, call->arg);
	return 0;
}

long keel_sregs_set(struct keel_call *call)
{
	return sregs_in(call->vcpu, call->arg);
}

static bool pae_paging(const struct regs_special *s)
{
	return s->cr0 & REGS_CR0_PG && s->cr4 & REGS_CR4_PAE && !(s->efer & REGS_EFER_LMA);
}

/*
 * Where the CPU reads PDPTEs from memory by itself under nested paging they are carried for the user's
 * sake and change nothing.
 */
long keel_sregs2_get(struct keel_call *call)
{
	struct kvm_sregs2 *out = call->arg;

	special_out(call->vcpu, out);
	if (pae_paging((struct regs_special *)out)) {
		memcpy(out->pdptrs, call->vcpu->arch.regs.pdptr, sizeof(out->pdptrs));
		out->flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	}
	return 0;
}

long keel_sregs2_set(struct keel_call *call)
{
	const struct kvm_sregs2 *in = call->arg;
	bool pdptrs = in->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID;
	int err;

	if (in->flags & ~KVM_SREGS2_FLAGS_PDPTRS_VALID ||
	    (pdptrs && !pae_paging((const struct regs_special *)in)))
		return -EINVAL;
	err = keel_special_set(call->vcpu, (const struct regs_special *)in);
	if (!err && pdptrs)
		/* keel_special_set() has marked their group. */
		memcpy(call->vcpu->arch.regs.pdptr, in->pdptrs, sizeof(in->pdptrs));
	return err;
}

long keel_xcrs_get(struct keel_call *call)
{
	struct kvm_xcrs *out = call->arg;

	out->nr_xcrs = 1;
	out->xcrs[0].xcr = 0;
	out->xcrs[0].value = call->vcpu->arch.fpu.xcr0;
	return 0;
}

long keel_xcrs_set(struct keel_call *call)
{
	const struct kvm_xcrs *in = call->arg;
	unsigned int i;

	if (in->nr_xcrs > KVM_MAX_XCRS || in->flags)
		return -EINVAL;
	for (i = 0; i < in->nr_xcrs; i++)
		if (in->xcrs[i].xcr == 0)
			return keel_xcr_set(call->vcpu, 0, in->xcrs[i].value);
	return in->nr_xcrs ? -EINVAL : 0;
}

long keel_debugregs_get(struct keel_call *call)
{
	const struct keel_regs *regs = &call->vcpu->arch.regs;
	struct kvm_debugregs *out = call->arg;

	keel_regs_need(call->vcpu, KEEL_RG_DR);
	memcpy(out->db, regs->dr, sizeof(out->db));
	out->dr6 = regs->dr6;
	out->dr7 = regs->dr7;
	return 0;
}

long keel_debugregs_set(struct keel_call *call)
{
	const struct cpuid_derived *cpuid = &call->vcpu->arch.cpuid.derived;
	struct keel_regs *regs = &call->vcpu->arch.regs;
	const struct kvm_debugregs *in = call->arg;
	u64 dr6, dr7;

	if (in->flags || regs_write_dr6(in->dr6, cpuid, &dr6) != REGS_OK ||
	    regs_write_dr7(in->dr7, &dr7) != REGS_OK)
		return -EINVAL;
	memcpy(regs->dr, in->db, sizeof(regs->dr));
	regs->dr6 = dr6;
	regs->dr7 = dr7;
	keel_regs_dirty(call->vcpu, KEEL_RG_DR);
	keel_debug_update(call->vcpu);
	return 0;
}

long keel_mp_state_get(struct keel_call *call)
{
	struct kvm_mp_state *out = call->arg;

	out->mp_state = call->vcpu->arch.mp_state;
	/* A kick is state that nothing else in the API carries. */
	if (out->mp_state == KVM_MP_STATE_HALTED && keel_apic_kicked(call->vcpu))
		out->mp_state = KVM_MP_STATE_RUNNABLE;
	return 0;
}

/* Where the local APIC is, there are INIT, SIPI and HLT: with it in user space a vCPU is always runnable here. */
long keel_mp_state_set(struct keel_call *call)
{
	const struct kvm_mp_state *in = call->arg;

	switch (in->mp_state) {
	case KVM_MP_STATE_RUNNABLE:
		break;
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED:
	case KVM_MP_STATE_HALTED:
		if (call->vcpu->arch.apic)
			break;
		return -EINVAL;
	default:
		return -EINVAL;
	}
	call->vcpu->arch.mp_state = in->mp_state;
	return 0;
}

long keel_translate(struct keel_call *call)
{
	struct kvm_translation *tr = call->arg;
	u32 rights = 0;
	gpa_t gpa;

	tr->valid = !keel_walk_rights(call->vcpu, to_gva(tr->linear_address), &gpa, &rights);
	tr->physical_address = tr->valid ? gpa_raw(gpa) : ~0ULL;
	tr->writeable = tr->valid && rights & GWALK_P_WRITE;
	tr->usermode = tr->valid && rights & GWALK_P_USER;
	return 0;
}

int keel_sync_in(struct keel_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u64 dirty = READ_ONCE(run->kvm_dirty_regs);
	u64 valid = READ_ONCE(run->kvm_valid_regs);
	int err = 0;

	if ((dirty | valid) & ~(u64)KVM_SYNC_X86_VALID_FIELDS)
		return -EINVAL;
	if (!dirty)
		return 0;
	if (dirty & KVM_SYNC_X86_REGS) {
		struct kvm_regs regs = run->s.regs.regs;

		regs_in(vcpu, &regs);
	}
	if (dirty & KVM_SYNC_X86_SREGS) {
		struct kvm_sregs sregs = run->s.regs.sregs;

		err = sregs_in(vcpu, &sregs);
	}
	if (!err && dirty & KVM_SYNC_X86_EVENTS) {
		struct kvm_vcpu_events events = run->s.regs.events;
		struct keel_call call = { .vm = vcpu->vm, .vcpu = vcpu, .arg = &events };

		err = keel_events_set(&call);
	}
	if (!err)
		WRITE_ONCE(run->kvm_dirty_regs, 0);
	return err;
}

void keel_sync_out(struct keel_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u64 valid = READ_ONCE(run->kvm_valid_regs);

	if (valid & KVM_SYNC_X86_REGS)
		regs_out(vcpu, &run->s.regs.regs);
	if (valid & KVM_SYNC_X86_SREGS)
		sregs_out(vcpu, &run->s.regs.sregs);
	if (valid & KVM_SYNC_X86_EVENTS) {
		struct keel_call call = { .vm = vcpu->vm, .vcpu = vcpu, .arg = &run->s.regs.events };

		keel_events_get(&call);
	}
}
