// SPDX-License-Identifier: GPL-2.0-only
/*
 * Structures in guest memory that a paravirtual guest and the kernel share, and the MSRs that say where they are.
 *
 * Owns: arch.pv, vm->arch.wall_clock. Does not own: the clock (clock.c), which MSR values are acceptable (pure/msr.c),
 * hypercalls (hypercall.c).
 *
 * The vCPU's own thread writes, before an entry, as a request asks it to: guest memory may have to be brought in.
 * An address without memory behind it, or whose memory went away, is not written; the guest notices nothing else.
 *
 * Contexts: as core.h says. KVM documentation: "KVM-specific MSRs"; KVM API: KVM_KVMCLOCK_CTRL.
 */
#include "core.h"
#include <keel/gpa.h>
#include <keel/host.h>

static void due(struct keel_vcpu *vcpu, enum keel_pv_due what)
{
	set_bit(what, &vcpu->arch.pv.due);
	keel_vcpu_request_own(vcpu, KEEL_REQ_PARAVIRT);
}

/* KVM's leaves stand behind those of other interfaces that the guest is shown. */
#define LEAF_LAST (KVM_CPUID_SIGNATURE + 0xff00)
#define LEAF_STEP 0x100

static u32 shown(const struct cpuid_table *table)
{
	const struct cpuid_leaf *leaf;
	u32 base;

	for (base = KVM_CPUID_SIGNATURE; base <= LEAF_LAST; base += LEAF_STEP) {
		leaf = cpuid_lookup(table, base, 0);
		if (!leaf || memcmp(&leaf->ebx, KVM_SIGNATURE, 12))
			continue;
		leaf = cpuid_lookup(table, base + 1, 0);
		return leaf ? leaf->eax : 0;
	}
	return 0;
}

bool keel_pv_feature(struct keel_vcpu *vcpu, unsigned int feature)
{
	return likely(!vcpu->arch.pv.enforce) || shown(&vcpu->arch.cpuid.table) & BIT(feature);
}

bool keel_pv_msr_allowed(struct keel_vcpu *vcpu, u32 index)
{
	switch (index) {
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_SYSTEM_TIME:
		return keel_pv_feature(vcpu, KVM_FEATURE_CLOCKSOURCE);
	case MSR_KVM_WALL_CLOCK_NEW:
	case MSR_KVM_SYSTEM_TIME_NEW:
		return keel_pv_feature(vcpu, KVM_FEATURE_CLOCKSOURCE2);
	case MSR_KVM_STEAL_TIME:
		return keel_pv_feature(vcpu, KVM_FEATURE_STEAL_TIME);
	case MSR_KVM_PV_EOI_EN:
		return keel_pv_feature(vcpu, KVM_FEATURE_PV_EOI);
	case MSR_KVM_ASYNC_PF_EN:
		return keel_pv_feature(vcpu, KVM_FEATURE_ASYNC_PF);
	case MSR_KVM_ASYNC_PF_INT:
	case MSR_KVM_ASYNC_PF_ACK:
		return keel_pv_feature(vcpu, KVM_FEATURE_ASYNC_PF_INT);
	case MSR_KVM_POLL_CONTROL:
		return keel_pv_feature(vcpu, KVM_FEATURE_POLL_CONTROL);
	}
	return true;
}

u64 keel_pv_msr_get(struct keel_vcpu *vcpu, u32 index)
{
	switch (index) {
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_WALL_CLOCK_NEW:
		return READ_ONCE(vcpu->vm->arch.wall_clock);
	case MSR_KVM_SYSTEM_TIME:
	case MSR_KVM_SYSTEM_TIME_NEW:
		return vcpu->arch.pv.time;
	case MSR_KVM_STEAL_TIME:
		return vcpu->arch.pv.steal;
	case MSR_KVM_PV_EOI_EN:
		return vcpu->arch.pv.eoi;
	default:
		return keel_apf_msr_get(vcpu, index);
	}
}

void keel_pv_msr_set(struct keel_vcpu *vcpu, u32 index, u64 value)
{
	struct keel_pv *pv = &vcpu->arch.pv;

	switch (index) {
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_WALL_CLOCK_NEW:
		WRITE_ONCE(vcpu->vm->arch.wall_clock, value);
		due(vcpu, KEEL_PV_WALL);
		break;
	case MSR_KVM_SYSTEM_TIME:
	case MSR_KVM_SYSTEM_TIME_NEW:
		pv->time = value;
		if (value & KVM_MSR_ENABLED)
			due(vcpu, KEEL_PV_CLOCK);
		break;
	case MSR_KVM_STEAL_TIME:
		pv->steal = value;
		pv->preempted = false;
		pv->stolen = 0;
		pv->task = current;
		pv->run_delay = keel_host_run_delay();
		if (value & KVM_MSR_ENABLED)
			due(vcpu, KEEL_PV_STEAL);
		break;
	case MSR_KVM_PV_EOI_EN:
		pv->eoi = value;
		pv->eoi_granted = vcpu->arch.eoi_due = false;
		break;
	default:
		keel_apf_msr_set(vcpu, index, value);
	}
	pv->active = (pv->time | pv->steal) & KVM_MSR_ENABLED;
}

bool keel_pv_poll_wanted(struct keel_vcpu *vcpu)
{
	return msr_load(msr_find(MSR_KVM_POLL_CONTROL), &vcpu->arch.msrs, MSR_KVM_POLL_CONTROL);
}

void keel_pv_yield_to(struct keel_vcpu *vcpu, u64 id)
{
	vcpu->arch.pv.yield_id = id + 1;
	keel_vcpu_request_own(vcpu, KEEL_REQ_YIELD);
}

void keel_pv_yield(struct keel_vcpu *vcpu)
{
	u64 id = vcpu->arch.pv.yield_id;
	struct keel_vcpu *target;

	vcpu->arch.pv.yield_id = 0;
	if (!id) {
		keel_vcpu_yield(vcpu);
		return;
	}
	target = keel_apic_find(vcpu->vm, id - 1);
	if (target && target != vcpu)
		keel_vcpu_yield_to(target);
}

/* A processor that starts anew has not said yet where its structures are. */
void keel_pv_reset(struct keel_vcpu *vcpu)
{
	keel_pv_msr_set(vcpu, MSR_KVM_SYSTEM_TIME_NEW, 0);
	keel_pv_msr_set(vcpu, MSR_KVM_STEAL_TIME, 0);
	keel_pv_msr_set(vcpu, MSR_KVM_PV_EOI_EN, 0);
	keel_pv_msr_set(vcpu, MSR_KVM_ASYNC_PF_EN, 0);
	keel_pv_msr_set(vcpu, MSR_KVM_ASYNC_PF_INT, 0);
}

void keel_pv_clock_due(struct keel_vcpu *vcpu)
{
	set_bit(KEEL_PV_CLOCK, &vcpu->arch.pv.due);
	keel_vcpu_request(vcpu, KEEL_REQ_PARAVIRT);
}

void keel_arch_apf_done(struct keel_vcpu *vcpu)
{
	set_bit(KEEL_PV_APF, &vcpu->arch.pv.due);
	keel_vcpu_request(vcpu, KEEL_REQ_PARAVIRT);
}

void keel_pv_clocks_due(struct keel_vm *vm)
{
	struct keel_vcpu *vcpu;
	unsigned long id;

	xa_for_each(&vm->vcpus, id, vcpu)
		if (READ_ONCE(vcpu->arch.pv.active))
			keel_pv_clock_due(vcpu);
}

static gpa_t preempted_gpa(const struct keel_pv *pv)
{
	return to_gpa((pv->steal & KVM_STEAL_VALID_BITS) + offsetof(struct kvm_steal_time, preempted));
}

void keel_pv_load(struct keel_vcpu *vcpu, int cpu)
{
	struct keel_pv *pv = &vcpu->arch.pv;
	u64 delay;

	if (pv->generation != READ_ONCE(keel_clock_generation) || (pv->cpu != cpu && keel_clock_drifts()))
		due(vcpu, KEEL_PV_CLOCK);
	pv->cpu = cpu;
	if (!(pv->steal & KVM_MSR_ENABLED))
		return;
	delay = keel_host_run_delay();
	if (likely(pv->task == current))
		pv->stolen += delay - pv->run_delay;
	pv->task = current;
	pv->run_delay = delay;
	if (pv->stolen || pv->preempted)
		due(vcpu, KEEL_PV_STEAL);
}

/*
 * Other vCPUs read that this one does not run, and may leave a note not to forget its TLB instead of interrupting
 * it. Once told, it stands until steal_write() has taken back both: a second store would wipe the note out.
 * In the middle of an instruction that the kernel carries out nothing is told: it may use what was translated
 * before, as a CPU that has not answered the interrupt.
 */
void keel_pv_sched_out(struct keel_vcpu *vcpu)
{
	struct keel_pv *pv = &vcpu->arch.pv;

	if (!(pv->steal & KVM_MSR_ENABLED) || pv->preempted || !READ_ONCE(pv->boundary))
		return;
	pv->preempted = keel_gpa_poke(vcpu->vm, preempted_gpa(pv), KVM_VCPU_PREEMPTED);
}

/*
 * The version is odd while the rest is written. Only the vCPU itself looks, or on a stable clock another one too:
 * the stores are volatile, and this architecture keeps their order.
 */
static void versioned_write(struct keel_gpa_series *series, gpa_t version_gpa, u32 version, gpa_t gpa,
			    const void *from, unsigned int bytes)
{
	version |= 1;
	if (keel_gpa_series_write(series, version_gpa, &version, sizeof(version)) ||
	    keel_gpa_series_write(series, gpa, from, bytes))
		return;
	version++;
	keel_gpa_series_write(series, version_gpa, &version, sizeof(version));
}

static void clock_write(struct keel_vcpu *vcpu, struct keel_gpa_series *series)
{
	struct keel_pv *pv = &vcpu->arch.pv;
	gpa_t gpa = to_gpa(pv->time & ~(u64)KVM_MSR_ENABLED);
	struct pvclock_page was, page;

	if (!(pv->time & KVM_MSR_ENABLED))
		return;
	/* Before the time is taken: what changes after this makes it due again. */
	pv->generation = READ_ONCE(keel_clock_generation);
	if (keel_gpa_series_read(series, gpa, &was, sizeof(was)))
		return;
	keel_clock_page(vcpu, &page);
	page.flags |= was.flags & PVCLOCK_PAGE_STOPPED;
	if (pv->stopped)
		page.flags |= PVCLOCK_PAGE_STOPPED;
	pv->stopped = false;
	versioned_write(series, gpa, was.version, gpa_add(gpa, sizeof(page.version)), &page.pad0,
			sizeof(page) - sizeof(page.version));
}

static void wall_write(struct keel_vcpu *vcpu, struct keel_gpa_series *series)
{
	gpa_t gpa = to_gpa(READ_ONCE(vcpu->vm->arch.wall_clock));
	struct pvclock_wall wall;
	u32 version;

	/* 0: user space restores an MSR that the guest has never written. */
	if (!gpa_raw(gpa) || keel_gpa_series_read(series, gpa, &version, sizeof(version)))
		return;
	keel_clock_wall(vcpu->vm, &wall);
	versioned_write(series, gpa, version, gpa_add(gpa, sizeof(version)), &wall.sec,
			sizeof(wall) - sizeof(version));
}

/*
 * The vCPU runs again: take back that it does not, and see what others left there meanwhile. Nobody but a guest
 * that writes there for no reason makes the exchange fail twice. Return: false when there is no memory.
 */
static bool preempted_take(struct keel_vcpu *vcpu, struct keel_gpa_series *series)
{
	struct keel_pv *pv = &vcpu->arch.pv;
	gpa_t gpa = preempted_gpa(pv);
	u64 seen = pv->preempted ? KVM_VCPU_PREEMPTED : 0;
	const u8 zero = 0;
	int tries, ret = 1;

	for (tries = 0; tries < 4 && ret > 0; tries++)
		ret = keel_gpa_series_cmpxchg(series, gpa, &seen, 0, 1);
	if (ret > 0) {
		/* A note left before this store is obeyed, one left after it finds that the vCPU runs. */
		ret = keel_gpa_series_write(series, gpa, &zero, 1);
		seen = KVM_VCPU_FLUSH_TLB;
	}
	if (ret)
		return false;
	if (seen & KVM_VCPU_FLUSH_TLB) {
		preempt_disable();
		keel_vendor->flush(vcpu, KEEL_FLUSH_GUEST);
		preempt_enable();
	}
	/* After the exchange: were the thread to go in between, another store would wipe out what is there. */
	barrier();
	WRITE_ONCE(pv->preempted, false);
	return true;
}

static void steal_write(struct keel_vcpu *vcpu, struct keel_gpa_series *series)
{
	struct keel_pv *pv = &vcpu->arch.pv;
	gpa_t gpa = to_gpa(pv->steal & KVM_STEAL_VALID_BITS);
	struct kvm_steal_time was;
	u64 stolen;

	if (!(pv->steal & KVM_MSR_ENABLED) || !preempted_take(vcpu, series))
		return;
	preempt_disable();
	stolen = pv->stolen;
	pv->stolen = 0;
	preempt_enable();
	/* The sum lives in guest memory: so it moves with the guest. */
	if (!stolen || keel_gpa_series_read(series, gpa, &was, offsetof(struct kvm_steal_time, flags)))
		return;
	was.steal += stolen;
	versioned_write(series, gpa_add(gpa, offsetof(struct kvm_steal_time, version)), was.version, gpa,
			&was.steal, sizeof(was.steal));
}

static gpa_t eoi_gpa(const struct keel_pv *pv)
{
	return to_gpa(pv->eoi & ~(u64)KVM_MSR_ENABLED);
}

void keel_pv_eoi_grant(struct keel_vcpu *vcpu)
{
	preempt_disable();
	vcpu->arch.pv.eoi_granted = keel_gpa_poke(vcpu->vm, eoi_gpa(&vcpu->arch.pv), KVM_PV_EOI_ENABLED);
	preempt_enable();
}

/* The guest was given the bit, and it held @was at the exit. */
static void eoi_settled(struct keel_vcpu *vcpu, u8 was)
{
	vcpu->arch.pv.eoi_granted = vcpu->arch.eoi_due = false;
	if (!(was & KVM_PV_EOI_MASK))
		keel_apic_eoi(vcpu);
}

/*
 * The grant ends with the first exit after it, used or not: so what the exit's handler, a new interrupt and user
 * space find is what a guest without this interface would have left. Guests end an interrupt early, as a rule.
 */
void keel_pv_eoi_settle(struct keel_vcpu *vcpu)
{
	u8 was;

	if (likely(keel_gpa_poke_clear(vcpu->vm, eoi_gpa(&vcpu->arch.pv), &was))) {
		eoi_settled(vcpu, was);
		return;
	}
	vcpu->arch.eoi_due = true;
	due(vcpu, KEEL_PV_EOI);
}

/* The page was away at the exit. */
static void eoi_late(struct keel_vcpu *vcpu, struct keel_gpa_series *series)
{
	gpa_t gpa = eoi_gpa(&vcpu->arch.pv);
	u8 was = KVM_PV_EOI_ENABLED;
	const u8 zero = 0;

	if (!vcpu->arch.eoi_due)
		return;
	if (!keel_gpa_series_read(series, gpa, &was, 1) && was & KVM_PV_EOI_MASK)
		keel_gpa_series_write(series, gpa, &zero, 1);
	eoi_settled(vcpu, was);
}

void keel_pv_serve(struct keel_vcpu *vcpu)
{
	unsigned long what = xchg(&vcpu->arch.pv.due, 0);
	struct keel_gpa_series series = { .vm = vcpu->vm };

	/* Refused only to a thread that is being killed. */
	if (!what || keel_gpa_begin(&series))
		return;
	if (what & BIT(KEEL_PV_CLOCK))
		clock_write(vcpu, &series);
	if (what & BIT(KEEL_PV_WALL))
		wall_write(vcpu, &series);
	if (what & BIT(KEEL_PV_STEAL))
		steal_write(vcpu, &series);
	if (what & BIT(KEEL_PV_EOI))
		eoi_late(vcpu, &series);
	if (what & BIT(KEEL_PV_APF))
		keel_apf_serve(vcpu, &series);
	keel_gpa_end(&series);
}

long keel_pv_clock_ctrl(struct keel_call *call)
{
	struct keel_pv *pv = &call->vcpu->arch.pv;

	if (!(pv->time & KVM_MSR_ENABLED))
		return -EINVAL;
	pv->stopped = true;
	due(call->vcpu, KEEL_PV_CLOCK);
	return 0;
}
