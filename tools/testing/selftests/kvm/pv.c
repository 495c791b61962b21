// SPDX-License-Identifier: GPL-2.0-only
/*
 * Paravirtual helpers beside the clock: steal time with the preempted flag and the TLB note in it, kicking a halted
 * vCPU, IPIs to many, and what hypercalls answer.
 *
 * Source: KVM documentation, "KVM-specific MSRs", "Linux KVM Hypercall", "KVM CPUID bits".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vm.h"

#define STEAL_MSR	0x4b564d03
#define POLL_MSR	0x4b564d05
#define PREEMPTED	1
#define FLUSH		2
#define HC_POLL		1
#define HC_KICK		5
#define HC_SEND_IPI	10

struct steal {
	uint64_t ns;
	uint32_t version, flags;
	volatile uint8_t preempted;
	uint8_t pad[47];
};

static void on_signal(int sig)
{
}

/* A hypercall and its answer, over and over; the registers are the test's. AMD's instruction, or Intel's. */
GUEST(calls, 64, "1: vmmcall\n out %al, $0xf1\n jmp 1b");
/* Sleeps with interrupts off; reports each time it wakes, with its own preempted flag and a page's content. */
GUEST(sleeps, 64, "mov $0xfee00000, %ebx\n movl $0x1ff, 0xf0(%rbx)\n"
	"mov $0x80000000, %esi\n mov (%rsi), %rdi\n 1: cli\n hlt\n movzbl 0x40010, %ebx\n mov (%rsi), %rdi\n"
	"out %al, $0xf1\n jmp 1b");
GUEST(spins, 64, "sti\n 1: incq 0x60000\n jmp 1b");
GUEST(takes_ipis, 64,
	"mov $0xfee00000, %ebx\n movl $0x1ff, 0xf0(%rbx)\n sti\n lock incl 0x60000\n"
	"1: hlt\n jmp 1b");
GUEST(handler, 64, "lock incl 0x60004\n mov $0xfee00000, %edx\n movl $0, 0xb0(%rdx)\n iretq");

static struct vm *chips_vm(void)
{
	struct vm *vm = vm_new(VM_RAM_SIZE);
	int rc = xioctl(vm->fd, KVM_CREATE_IRQCHIP, 0);

	if (rc)
		die("KVM_CREATE_IRQCHIP: %s", strerror(-rc));
	return vm;
}

static void load_calls(struct vm *vm, uint64_t gpa)
{
	struct kvm_cpuid2 *c = supported_cpuid(vm->sys);
	const struct kvm_cpuid_entry2 *e = cpuid_find(c, 0, 0);

	vm_load_guest(vm, gpa, calls);
	if (e && !memcmp(&e->ebx, "Genu", 4))
		vm->ram[gpa + 2] = 0xc1;
	free(c);
}

static int64_t call(struct __test_metadata *_metadata, struct vcpu *v, uint64_t nr, uint64_t a0, uint64_t a1,
		    uint64_t a2, uint64_t a3)
{
	struct kvm_regs r;

	vcpu_regs(v, &r);
	r.rax = nr;
	r.rbx = a0;
	r.rcx = a1;
	r.rdx = a2;
	r.rsi = a3;
	vcpu_set_regs(v, &r);
	RUN_TO(v, KVM_EXIT_IO);
	vcpu_regs(v, &r);
	return r.rax;
}

/* A CPU that this program may use. */
static int some_cpu(void)
{
	cpu_set_t set;
	int cpu = 0;

	sched_getaffinity(0, sizeof(set), &set);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	return cpu;
}

struct runner {
	struct vcpu *v;
	pthread_t thread;
	volatile int stop, reports, cpu;
};

/* Runs until told to stop, counting reports. */
static void *run_thread(void *arg)
{
	struct runner *r = arg;
	cpu_set_t set;
	int rc;

	if (r->cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET(r->cpu, &set);
		sched_setaffinity(0, sizeof(set), &set);
	}
	while (!r->stop) {
		rc = vcpu_run(r->v);
		if (!rc && r->v->run->exit_reason == KVM_EXIT_IO)
			r->reports++;
		else if (rc != -EINTR)
			break;
	}
	return NULL;
}

static void start(struct runner *r, struct vcpu *v, int cpu)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGUSR1, &sa, NULL);
	*r = (struct runner){ .v = v, .cpu = cpu };
	if (pthread_create(&r->thread, NULL, run_thread, r))
		die("pthread_create");
}

static void stop(struct runner *r)
{
	r->stop = 1;
	r->v->run->immediate_exit = 1;
	while (pthread_tryjoin_np(r->thread, NULL)) {
		pthread_kill(r->thread, SIGUSR1);
		usleep(1000);
	}
	r->v->run->immediate_exit = 0;
}

#define WAIT_FOR(cond) ({ int i_; for (i_ = 0; i_ < 20000 && !(cond); i_++) usleep(1000); !!(cond); })

TEST(offered)
{
	int sys = kvm_open();
	struct kvm_cpuid2 *c = supported_cpuid(sys);
	const struct kvm_cpuid_entry2 *e = cpuid_find(c, 0x40000001, 0);
	uint32_t want = 1u << 1 | 1u << 5 | 1u << 7 | 1u << 9 | 1u << 11 | 1u << 12;

	ASSERT_NE(NULL, e);
	EXPECT_EQ(want, e->eax & want);
	EXPECT_EQ(1, has_cap(sys, KVM_CAP_STEAL_TIME));
}

TEST(msrs)
{
	struct vcpu *v = vm_simple();
	uint64_t value;

	EXPECT_EQ(1, vcpu_set_msr(v, STEAL_MSR, VM_DATA | 1));
	EXPECT_EQ(1, vcpu_get_msr(v, STEAL_MSR, &value));
	EXPECT_EQ(VM_DATA | 1, value);
	EXPECT_EQ(0, vcpu_set_msr(v, STEAL_MSR, VM_DATA | 3));
	EXPECT_EQ(0, vcpu_set_msr(v, STEAL_MSR, VM_DATA + 32));
	EXPECT_EQ(1, vcpu_set_msr(v, STEAL_MSR, 0));
	EXPECT_EQ(1, vcpu_get_msr(v, POLL_MSR, &value));
	EXPECT_EQ(1, value);
	EXPECT_EQ(1, vcpu_set_msr(v, POLL_MSR, 0));
	EXPECT_EQ(1, vcpu_get_msr(v, POLL_MSR, &value));
	EXPECT_EQ(0, value);
	EXPECT_EQ(0, vcpu_set_msr(v, POLL_MSR, 2));
}

static void *burn(void *arg)
{
	struct runner *r = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(r->cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	while (!r->stop)
		;
	return NULL;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* The vCPU shares its CPU with another thread: a part of the time is stolen, and not more than there was. */
TEST(time_is_stolen)
{
	struct vcpu *v = LONG_VCPU(spins);
	struct steal *s = (struct steal *)(v->vm->ram + VM_DATA);
	struct runner r, other = { .cpu = some_cpu() };
	uint64_t began, took;
	pthread_t thread;

	s->ns = 1000;
	ASSERT_EQ(1, vcpu_set_msr(v, STEAL_MSR, VM_DATA | 1));
	ASSERT_EQ(0, pthread_create(&thread, NULL, burn, &other));
	began = now_ns();
	start(&r, v, some_cpu());
	EXPECT_TRUE(WAIT_FOR(*(volatile uint64_t *)&s->ns > 20000000));
	stop(&r);
	took = now_ns() - began;
	other.stop = 1;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, s->version & 1);
	EXPECT_LT(0, s->version);
	EXPECT_GT(took + 1000, s->ns);
	EXPECT_EQ(0, s->flags);
	printf("# of %llu us %llu were stolen\n", (unsigned long long)took / 1000, (unsigned long long)s->ns / 1000);
}

/* A halted vCPU does not run, and one that was woken does: the guest itself finds the flag taken back. */
TEST(preempted_and_flush)
{
	struct vm *vm = chips_vm();
	struct vcpu *v = vm_vcpu(vm, 0);
	struct steal *s = (struct steal *)(vm->ram + VM_DATA);
	struct runner r;
	struct kvm_regs regs;
	uint64_t *pd = (uint64_t *)(vm->ram + VM_PML4 + 0x2000 + 2 * 0x1000);
	struct kvm_mp_state state;
	int i, early = 0;

	vm_load_guest(vm, VM_CODE, sleeps);
	vcpu_long(v, VM_CODE);
	/* The guest's 0x80000000 is at first the lower half of its RAM, later the upper. */
	pd[0] = 0x83;
	*(uint64_t *)vm->ram = 0x1111;
	*(uint64_t *)(vm->ram + 0x200000) = 0x2222;
	s->preempted = 0xff;
	ASSERT_EQ(1, vcpu_set_msr(v, STEAL_MSR, VM_DATA | 1));
	start(&r, v, -1);
	for (i = 0; i < 20; i++) {
		uint8_t was = PREEMPTED;

		ASSERT_TRUE(WAIT_FOR(s->preempted == PREEMPTED))
			TH_LOG("round %d: the flag is %#x", i, s->preempted);
		*(volatile uint64_t *)&pd[0] = i & 1 ? 0x83 : 0x200083;
		EXPECT_TRUE(__atomic_compare_exchange_n((uint8_t *)&s->preempted, &was, PREEMPTED | FLUSH, 0,
							__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
		/* An NMI would need a handler: a signal makes KVM_RUN return, and the vCPU is made runnable. */
		stop(&r);
		/* It may have lost its CPU before it halted, on a machine with one CPU nearly always: again, then. */
		ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_MP_STATE, &state));
		if (state.mp_state != KVM_MP_STATE_HALTED && ++early < 1000) {
			i--;
			start(&r, v, -1);
			continue;
		}
		ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_MP_STATE, (&(struct kvm_mp_state){ KVM_MP_STATE_RUNNABLE })));
		r.reports = 0;
		RUN_TO(v, KVM_EXIT_IO);
		vcpu_regs(v, &regs);
		EXPECT_EQ(0, regs.rbx);
		EXPECT_EQ(i & 1 ? 0x1111 : 0x2222, regs.rdi);
		EXPECT_EQ(0, s->preempted & FLUSH);
		start(&r, v, -1);
	}
	stop(&r);
}

TEST(answers)
{
	struct vm *vm = chips_vm();
	struct vcpu *v = vm_vcpu(vm, 0);
	struct kvm_sregs s;
	struct kvm_regs r;

	load_calls(vm, VM_CODE);
	vcpu_long(v, VM_CODE);
	EXPECT_EQ(0, call(_metadata, v, HC_POLL, 0, 0, 0, 0));
	EXPECT_EQ(-1000, call(_metadata, v, 0, 0, 0, 0, 0));
	EXPECT_EQ(-1000, call(_metadata, v, 2, 0, 0, 0, 0));
	EXPECT_EQ(-1000, call(_metadata, v, 99, 0, 0, 0, 0));
	EXPECT_EQ(-1000, call(_metadata, v, ~0ull, 0, 0, 0, 0));
	EXPECT_EQ(-1000, call(_metadata, v, 1ull << 32 | HC_POLL, 0, 0, 0, 0));
	/* Nobody there, and everybody there that can be asked for. */
	EXPECT_EQ(0, call(_metadata, v, HC_KICK, 0, 77, 0, 0));
	EXPECT_EQ(0, call(_metadata, v, HC_KICK, 0, ~0ull, 0, 0));
	EXPECT_EQ(0, call(_metadata, v, HC_SEND_IPI, ~0ull, ~0ull, 1, 0x4051));
	EXPECT_EQ(0, call(_metadata, v, HC_SEND_IPI, ~0ull, ~0ull, ~0ull << 32, 0x4051));
	EXPECT_EQ(0, call(_metadata, v, HC_SEND_IPI, 0, 0, 0, 0x4051));
	/* User mode is refused. */
	vcpu_sregs(v, &s);
	s.cs.dpl = s.ss.dpl = 3;
	s.cs.selector = SEL_USER_CODE64;
	s.ss.selector = SEL_USER_DATA;
	ASSERT_EQ(0, vcpu_set_sregs(v, &s));
	vcpu_regs(v, &r);
	r.rflags |= 3 << 12;	/* it may use ports */
	vcpu_set_regs(v, &r);
	EXPECT_EQ(-1, call(_metadata, v, HC_POLL, 0, 0, 0, 0));
}

/* Interrupts are off where it sleeps: nothing but a kick wakes it, and one that came before counts. */
TEST(kick)
{
	struct vm *vm = chips_vm();
	struct vcpu *v[2] = { vm_vcpu(vm, 0), vm_vcpu(vm, 1) };
	struct kvm_mp_state mp;
	struct runner r;
	int i;

	load_calls(vm, VM_CODE);
	vm_load_guest(vm, VM_CODE + 0x1000, sleeps);
	vcpu_long(v[1], VM_CODE + 0x1000);
	vcpu_long(v[0], VM_CODE);
	((uint64_t *)(vm->ram + VM_PML4 + 0x2000 + 2 * 0x1000))[0] = 0x83;
	mp.mp_state = KVM_MP_STATE_RUNNABLE;
	ASSERT_EQ(0, xioctlp(v[1]->fd, KVM_SET_MP_STATE, &mp));
	start(&r, v[1], -1);
	usleep(100000);
	for (i = 1; i < 50; i++) {
		if (i & 1)
			usleep(1000);
		EXPECT_EQ(i - 1, r.reports);
		EXPECT_EQ(0, call(_metadata, v[0], HC_KICK, 0, 1, 0, 0));
		ASSERT_TRUE(WAIT_FOR(r.reports == i))
			TH_LOG("kick %d is lost", i);
	}
	stop(&r);
}

TEST(send_ipi)
{
	struct vm *vm = chips_vm();
	struct vcpu *v[4];
	struct runner r[4];
	volatile uint32_t *up = (uint32_t *)(vm->ram + VM_DATA2), *taken = up + 1;
	struct kvm_mp_state mp = { KVM_MP_STATE_RUNNABLE };
	struct kvm_regs regs;
	int i;

	load_calls(vm, VM_CODE);
	vm_load_guest(vm, VM_CODE + 0x1000, takes_ipis);
	vm_load_guest(vm, VM_CODE + 0x2000, handler);
	for (i = 0; i < 4; i++) {
		v[i] = vm_vcpu(vm, i);
		vcpu_long(v[i], VM_CODE + (i ? 0x1000 : 0));
		vcpu_regs(v[i], &regs);
		regs.rsp = VM_STACK_TOP - 0x400 * i;
		vcpu_set_regs(v[i], &regs);
		ASSERT_EQ(0, xioctlp(v[i]->fd, KVM_SET_MP_STATE, &mp));
	}
	vm_set_gate(vm, 0x51, VM_CODE + 0x2000, 14, 0, 0);
	for (i = 1; i < 4; i++)
		start(&r[i], v[i], -1);
	ASSERT_TRUE(WAIT_FOR(*up == 3));
	EXPECT_EQ(3, call(_metadata, v[0], HC_SEND_IPI, 0xe, 0, 0, 0x4051));
	EXPECT_TRUE(WAIT_FOR(*taken == 3));
	EXPECT_EQ(1, call(_metadata, v[0], HC_SEND_IPI, 0x1, 0, 2, 0x4051));
	EXPECT_TRUE(WAIT_FOR(*taken == 4));
	/* By the second word, and ids that nobody has. */
	EXPECT_EQ(2, call(_metadata, v[0], HC_SEND_IPI, 0, 0xffc, (uint64_t)-64 & 0xffffffffffffffff, 0x4051));
	EXPECT_TRUE(WAIT_FOR(*taken == 6));
	/* Not with a shorthand or a logical destination. */
	EXPECT_EQ(-22, call(_metadata, v[0], HC_SEND_IPI, 0xe, 0, 0, 0xc4051));
	EXPECT_EQ(-22, call(_metadata, v[0], HC_SEND_IPI, 0xe, 0, 0, 0x4851));
	usleep(10000);
	EXPECT_EQ(6, *taken);
	for (i = 1; i < 4; i++)
		stop(&r[i]);
}

/* Without local APICs in the kernel these cannot work, and the guest is not told that they do. */
TEST(not_without_apics)
{
	struct vcpu *v = vm_simple();
	struct kvm_cpuid2 *c = supported_cpuid(v->vm->sys);
	const struct kvm_cpuid_entry2 *e;

	ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_CPUID2, c));
	c->nent = MAX_CPUID;
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_CPUID2, c));
	ASSERT_NE(NULL, e = cpuid_find(c, 0x40000001, 0));
	EXPECT_EQ(0, e->eax & (1u << 7 | 1u << 11));
	EXPECT_NE(0, e->eax & 1u << 3);
	load_calls(v->vm, VM_CODE);
	vcpu_long(v, VM_CODE);
	EXPECT_EQ(-95, call(_metadata, v, HC_SEND_IPI, 1, 0, 0, 0x4051));
	EXPECT_EQ(0, call(_metadata, v, HC_KICK, 0, 0, 0, 0));
}

/* What CPUID does not show is not there, if user space wants that. */
TEST(enforced)
{
	static const uint32_t msrs[] = { 0x11, 0x12, 0x4b564d00, 0x4b564d01, STEAL_MSR, 0x4b564d04, POLL_MSR };
	struct kvm_enable_cap cap = { .cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID, .args = { 1 } };
	struct vm *vm = chips_vm();
	struct vcpu *v = vm_vcpu(vm, 0);
	struct kvm_cpuid2 *c = supported_cpuid(vm->sys);
	struct kvm_cpuid_entry2 *e = (void *)cpuid_find(c, 0x40000001, 0);
	uint64_t value;
	size_t i;

	if (has_cap(vm->sys, KVM_CAP_ENFORCE_PV_FEATURE_CPUID) <= 0)
		SKIP(return, "no KVM_CAP_ENFORCE_PV_FEATURE_CPUID");
	load_calls(vm, VM_CODE);
	vcpu_long(v, VM_CODE);
	e->eax = 1u << 3;
	ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_CPUID2, c));
	for (i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++)
		EXPECT_EQ(1, vcpu_get_msr(v, msrs[i], &value));
	ASSERT_EQ(0, xioctlp(v->fd, KVM_ENABLE_CAP, &cap));
	for (i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
		int want = msrs[i] == 0x4b564d00 || msrs[i] == 0x4b564d01;

		EXPECT_EQ(want, vcpu_get_msr(v, msrs[i], &value))
			TH_LOG("MSR %#x", msrs[i]);
		EXPECT_EQ(want, vcpu_set_msr(v, msrs[i], 0))
			TH_LOG("MSR %#x", msrs[i]);
	}
	EXPECT_EQ(-1000, call(_metadata, v, HC_KICK, 0, 0, 0, 0));
	EXPECT_EQ(-1000, call(_metadata, v, HC_SEND_IPI, 0, 0, 0, 0x4051));
	EXPECT_EQ(0, call(_metadata, v, HC_POLL, 0, 0, 0, 0));
	cap.args[0] = 0;
	ASSERT_EQ(0, xioctlp(v->fd, KVM_ENABLE_CAP, &cap));
	EXPECT_EQ(0, call(_metadata, v, HC_KICK, 0, 0, 0, 0));
	cap.flags = 1;
	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_ENABLE_CAP, &cap));
}

/* The structure's memory goes away and comes back while the vCPU runs, sleeps and is preempted. */
TEST(slot_changes)
{
	struct vm *vm = chips_vm();
	struct vcpu *v = vm_vcpu(vm, 0);
	void *m = aligned_alloc(4096, 4096);
	struct runner r;
	int i;

	vm_load_guest(vm, VM_CODE, spins);
	vcpu_long(v, VM_CODE);
	ASSERT_EQ(0, vm_set_slot(vm, 1, 0, 0xa0000000, 4096, m));
	ASSERT_EQ(1, vcpu_set_msr(v, STEAL_MSR, 0xa0000001));
	start(&r, v, some_cpu());
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, vm_set_slot(vm, 1, 0, 0xa0000000, 0, NULL));
		memset(m, 0, 4096);
		usleep(500);
		EXPECT_EQ(0, ((volatile struct steal *)m)->preempted)
			TH_LOG("written after the slot was deleted, round %d", i);
		ASSERT_EQ(0, vm_set_slot(vm, 1, 0, 0xa0000000, 4096, m));
		usleep(500);
	}
	stop(&r);
	EXPECT_LT(0, *(uint64_t *)(vm->ram + VM_DATA2));
}

TEST_HARNESS_MAIN
