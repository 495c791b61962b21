// SPDX-License-Identifier: GPL-2.0-only
/*
 * The paravirtual clock: its MSRs, the page and the wall clock in guest memory, that vCPUs agree on the time,
 * and KVM_GET_CLOCK, KVM_SET_CLOCK and KVM_KVMCLOCK_CTRL.
 *
 * Source: KVM documentation, "KVM-specific MSRs"; KVM API, the sections of these names.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vm.h"

#define WALL		0x4b564d00
#define TIME		0x4b564d01
#define WALL_OLD	0x11
#define TIME_OLD	0x12

#define STABLE		1
#define STOPPED		2

struct page {
	uint32_t version, pad0;
	uint64_t tsc, ns;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pad[2];
};

struct wall {
	uint32_t version, sec, nsec;
};

GUEST(reports, 64, "1: out %al, $0xf1\n jmp 1b");

static uint64_t real_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static struct kvm_clock_data get_clock(struct vm *vm)
{
	struct kvm_clock_data c = { };
	int rc = xioctlp(vm->fd, KVM_GET_CLOCK, &c);

	if (rc)
		die("KVM_GET_CLOCK: %s", strerror(-rc));
	return c;
}

static struct page *page_at(struct vm *vm, uint64_t gpa)
{
	return (struct page *)(vm->ram + gpa);
}

static uint64_t page_time(const struct page *p, uint64_t tsc)
{
	uint64_t d = tsc - p->tsc;

	d = p->shift < 0 ? d >> -p->shift : d << p->shift;
	return p->ns + (uint64_t)((unsigned __int128)d * p->mul >> 32);
}

/* Run to the next report: what was due is written then. */
#define STEP(v) RUN_TO(v, KVM_EXIT_IO)

TEST(offered)
{
	int sys = kvm_open();
	struct kvm_cpuid2 *c = supported_cpuid(sys);
	const struct kvm_cpuid_entry2 *e = cpuid_find(c, 0x40000001, 0);

	ASSERT_NE(NULL, e);
	EXPECT_EQ(1u << 0 | 1u << 3 | 1u << 24, e->eax & (1u << 0 | 1u << 3 | 1u << 24));
	EXPECT_EQ(1, has_cap(sys, KVM_CAP_KVMCLOCK_CTRL));
	EXPECT_LT(0, has_cap(sys, KVM_CAP_ADJUST_CLOCK));
	free(c);
}

TEST(msrs)
{
	struct vcpu *v = LONG_VCPU(reports);
	uint64_t value;

	ASSERT_EQ(1, vcpu_get_msr(v, TIME, &value));
	EXPECT_EQ(0, value);
	EXPECT_EQ(1, vcpu_set_msr(v, TIME, VM_DATA | 1));
	EXPECT_EQ(1, vcpu_get_msr(v, TIME_OLD, &value));
	EXPECT_EQ(VM_DATA | 1, value);
	EXPECT_EQ(1, vcpu_set_msr(v, TIME_OLD, VM_DATA2 | 1));
	EXPECT_EQ(1, vcpu_get_msr(v, TIME, &value));
	EXPECT_EQ(VM_DATA2 | 1, value);
	EXPECT_EQ(1, vcpu_set_msr(v, WALL_OLD, VM_DATA));
	EXPECT_EQ(1, vcpu_get_msr(v, WALL, &value));
	EXPECT_EQ(VM_DATA, value);
}

/* The guest enables it and uses it at once: the write of the MSR has filled the page. */
GUEST(enables, 64,
	"mov $0x4b564d01, %ecx\n mov $0x40001, %eax\n xor %edx, %edx\n wrmsr\n"
	"mov 0x40000, %ebx\n mov 0x40018, %esi\n"
	"rdmsr\n mov %eax, %edi\n out %al, $0xf1\n"
	"mov $0x4b564d00, %ecx\n mov $0x40100, %eax\n xor %edx, %edx\n wrmsr\n"
	"mov 0x40104, %ebx\n out %al, $0xf1\n");

TEST(filled_when_enabled)
{
	struct vcpu *v = LONG_VCPU(enables);
	struct page *p = page_at(v->vm, VM_DATA);
	struct wall *w = (struct wall *)(v->vm->ram + VM_DATA + 0x100);
	struct kvm_clock_data before, after;
	struct kvm_regs r;
	int64_t off;

	before = get_clock(v->vm);
	STEP(v);
	vcpu_regs(v, &r);
	EXPECT_NE(0, r.rbx);
	EXPECT_EQ(0, r.rbx & 1);
	EXPECT_NE(0, r.rsi);
	EXPECT_EQ(0x40001, r.rdi);
	EXPECT_EQ(0, p->version & 1);
	EXPECT_EQ(1, p->mul >> 31);
	EXPECT_EQ(0, p->flags & ~STABLE);
	after = get_clock(v->vm);
	EXPECT_LE(before.clock, after.clock);
	STEP(v);
	vcpu_regs(v, &r);
	EXPECT_EQ(w->sec, (uint32_t)r.rbx);
	EXPECT_EQ(0, w->version & 1);
	EXPECT_GT(1000000000, w->nsec);
	off = w->sec * 1000000000ll + w->nsec + get_clock(v->vm).clock - real_ns();
	EXPECT_TRUE(off > -200000000 && off < 200000000)
		TH_LOG("wall clock off by %lld ns", (long long)off);
}

/* What a page says for a moment is what KVM_GET_CLOCK says for it. */
TEST(page_and_clock_agree)
{
	struct vcpu *v = LONG_VCPU(reports);
	struct page *p = page_at(v->vm, VM_DATA);
	struct kvm_clock_data c;
	uint64_t tsc_guest, tsc_host, low, high, lo, hi;

	ASSERT_EQ(1, vcpu_set_msr(v, TIME, VM_DATA | 1));
	STEP(v);
	/* The guest's TSC against the clock, between two readings of the clock. */
	low = get_clock(v->vm).clock;
	ASSERT_EQ(1, vcpu_get_msr(v, 0x10, &tsc_guest));
	high = get_clock(v->vm).clock;
	EXPECT_LE(low, high);
	lo = page_time(p, tsc_guest);
	/* Without a stable TSC the page tells the time of when it was written, and drifts. */
	if (p->flags & STABLE) {
		EXPECT_LE(low, lo);
		EXPECT_GE(high, lo);
	} else {
		EXPECT_GT(100000000, llabs((long long)(lo - low)));
	}
	c = get_clock(v->vm);
	EXPECT_EQ(!!(p->flags & STABLE), !!(c.flags & KVM_CLOCK_TSC_STABLE));
	if (!(c.flags & KVM_CLOCK_HOST_TSC))
		SKIP(return, "the host does not keep time by the TSC");
	hi = get_clock(v->vm).host_tsc;
	EXPECT_LE(c.host_tsc, hi);
	/* To the nanosecond: the same line, seen through the TSC offset. */
	ASSERT_EQ(1, vcpu_get_msr(v, 0x10, &tsc_guest));
	tsc_host = get_clock(v->vm).host_tsc;
	EXPECT_LE(hi, tsc_host);
}

TEST(set_and_get)
{
	struct vcpu *v = LONG_VCPU(reports);
	struct page *p = page_at(v->vm, VM_DATA);
	struct kvm_clock_data c = { .clock = 1000000000000ull }, now;
	uint32_t version;
	uint64_t tsc;
	int i;

	ASSERT_EQ(1, vcpu_set_msr(v, TIME, VM_DATA | 1));
	STEP(v);
	version = p->version;
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_SET_CLOCK, &c));
	now = get_clock(v->vm);
	EXPECT_LE(c.clock, now.clock);
	EXPECT_GT(c.clock + 2000000000ull, now.clock);
	STEP(v);
	EXPECT_NE(version, p->version);
	ASSERT_EQ(1, vcpu_get_msr(v, 0x10, &tsc));
	EXPECT_LE(c.clock, page_time(p, tsc));
	EXPECT_GT(c.clock + 2000000000ull, page_time(p, tsc));
	/* Saved 10 s ago: those count. From the future: nothing is added. */
	c.flags = KVM_CLOCK_REALTIME;
	c.realtime = real_ns() - 10000000000ull;
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_SET_CLOCK, &c));
	now = get_clock(v->vm);
	EXPECT_LE(c.clock + 10000000000ull, now.clock);
	EXPECT_GT(c.clock + 12000000000ull, now.clock);
	c.realtime = real_ns() + 100000000000ull;
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_SET_CLOCK, &c));
	EXPECT_GT(c.clock + 2000000000ull, get_clock(v->vm).clock);
	/* What was got can be set. */
	now = get_clock(v->vm);
	EXPECT_EQ(0, xioctlp(v->vm->fd, KVM_SET_CLOCK, &now));
	now.flags = 1;
	EXPECT_EQ(-EINVAL, xioctlp(v->vm->fd, KVM_SET_CLOCK, &now));
	/* It never goes back. */
	for (i = 0; i < 1000; i++) {
		c = get_clock(v->vm);
		ASSERT_LE(now.clock, c.clock);
		now = c;
	}
}

TEST(stopped)
{
	struct vcpu *v = LONG_VCPU(reports);
	struct page *p = page_at(v->vm, VM_DATA);
	struct kvm_clock_data c;

	EXPECT_EQ(-EINVAL, xioctl(v->fd, KVM_KVMCLOCK_CTRL, 0));
	ASSERT_EQ(1, vcpu_set_msr(v, TIME, VM_DATA));
	EXPECT_EQ(-EINVAL, xioctl(v->fd, KVM_KVMCLOCK_CTRL, 0));
	ASSERT_EQ(1, vcpu_set_msr(v, TIME, VM_DATA | 1));
	STEP(v);
	EXPECT_EQ(0, p->flags & STOPPED);
	EXPECT_EQ(0, xioctl(v->fd, KVM_KVMCLOCK_CTRL, 0));
	STEP(v);
	EXPECT_EQ(STOPPED, p->flags & STOPPED);
	/* It stays until the guest takes it away, and then stays away. */
	c = get_clock(v->vm);
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_SET_CLOCK, &c));
	STEP(v);
	EXPECT_EQ(STOPPED, p->flags & STOPPED);
	p->flags &= ~STOPPED;
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_SET_CLOCK, &c));
	STEP(v);
	EXPECT_EQ(0, p->flags & STOPPED);
	/* Disabled: nothing is written any more. */
	ASSERT_EQ(1, vcpu_set_msr(v, TIME, 0));
	memset(p, 0, sizeof(*p));
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_SET_CLOCK, &c));
	STEP(v);
	EXPECT_EQ(0, p->version);
	EXPECT_EQ(-EINVAL, xioctl(v->fd, KVM_KVMCLOCK_CTRL, 0));
}

/* Addresses without memory, that lose it, whose memory is not there or may not be written. */
TEST(no_memory)
{
	static const uint64_t nowhere[] = { 0xd0000001, 0xfffffffffffffffd, 0x3ffffe1, 0x8000000000001 };
	struct vcpu *v = LONG_VCPU(reports);
	uint8_t *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_clock_data c = get_clock(v->vm);
	size_t i;

	ASSERT_NE(MAP_FAILED, m);
	for (i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
		ASSERT_EQ(1, vcpu_set_msr(v, TIME, nowhere[i]))
			TH_LOG("%#llx", (unsigned long long)nowhere[i]);
		vcpu_set_msr(v, WALL, nowhere[i] & ~3ull);
		STEP(v);
		EXPECT_EQ(0, xioctl(v->fd, KVM_KVMCLOCK_CTRL, 0));
		STEP(v);
	}
	ASSERT_EQ(0, vm_set_slot(v->vm, 1, 0, 0x80000000, 4096, m));
	ASSERT_EQ(1, vcpu_set_msr(v, TIME, 0x80000001));
	STEP(v);
	EXPECT_NE(0, ((struct page *)m)->version);
	ASSERT_EQ(0, vm_set_slot(v->vm, 1, 0, 0x80000000, 0, NULL));
	memset(m, 0, 4096);
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_SET_CLOCK, &c));
	STEP(v);
	EXPECT_EQ(0, ((struct page *)m)->version);
	/* It is back: written again when there is a reason. */
	ASSERT_EQ(0, vm_set_slot(v->vm, 1, 0, 0x80000000, 4096, m));
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_SET_CLOCK, &c));
	STEP(v);
	EXPECT_NE(0, ((struct page *)m)->version);
	munmap(m, 4096);
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_SET_CLOCK, &c));
	STEP(v);
}

/* It crosses a page, and the dirty log has both. */
TEST(dirty_log)
{
	struct vcpu *v = LONG_VCPU(reports);
	uint8_t *m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t bits = 0;
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = &bits };

	ASSERT_EQ(0, vm_set_slot(v->vm, 1, KVM_MEM_LOG_DIRTY_PAGES, 0x80000000, 8192, m));
	ASSERT_EQ(1, vcpu_set_msr(v, TIME, 0x80000000 + 4096 - 16 + 1));
	STEP(v);
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_GET_DIRTY_LOG, &log));
	/* The distribution's module refuses a structure that crosses a page. */
	EXPECT_TRUE(bits == 3 || (!bits && !*(uint32_t *)(m + 4096 - 16)));
}

/*
 * Each vCPU reads the latest time that any has seen, then its own; RSI is its page. Counted are readings that
 * lie before. Ends after RDI rounds.
 */
GUEST(race, 64,
	"1: mov 0x40000, %rbx\n lfence\n"
	"2: mov (%rsi), %r8d\n test $1, %r8d\n jnz 2b\n"
	"lfence\n rdtsc\n shl $32, %rdx\n or %rdx, %rax\n sub 8(%rsi), %rax\n"
	"mov 28(%rsi), %cl\n test %cl, %cl\n js 3f\n shl %cl, %rax\n jmp 4f\n"
	"3: neg %cl\n shr %cl, %rax\n"
	"4: mov 24(%rsi), %r9d\n mul %r9\n shrd $32, %rdx, %rax\n add 16(%rsi), %rax\n"
	"cmp (%rsi), %r8d\n jne 2b\n"
	"cmp %rbx, %rax\n jae 5f\n lock incq 0x40008\n"
	"sub %rbx, %rax\n mov %rax, 0x40018\n jmp 6f\n"
	"5: mov %rax, %rdx\n mov %rbx, %rax\n lock cmpxchg %rdx, 0x40000\n"
	"6: lock incq 0x40010\n dec %rdi\n jnz 1b\n out %al, $0xf1\n");

static void *run_thread(void *arg)
{
	struct vcpu *v = arg;
	int rc;

	do
		rc = vcpu_run(v);
	while (rc == -EINTR);
	return (void *)(long)(rc || v->run->exit_reason != KVM_EXIT_IO);
}

static void race(struct __test_metadata *_metadata, unsigned int cpus)
{
	struct vm *vm = vm_new(VM_RAM_SIZE);
	uint64_t *data = (uint64_t *)(vm->ram + VM_DATA);
	pthread_t thread[4];
	struct kvm_regs r;
	unsigned int i, stable = 0;
	void *failed;

	vm_load_guest(vm, VM_CODE, race);
	for (i = 0; i < cpus; i++) {
		struct vcpu *v = vm_vcpu(vm, i);

		vcpu_long(v, VM_CODE);
		ASSERT_EQ(1, vcpu_set_msr(v, TIME, (VM_DATA2 + 64 * i) | 1));
		vcpu_regs(v, &r);
		r.rsi = VM_DATA2 + 64 * i;
		r.rdi = 100000;
		vcpu_set_regs(v, &r);
	}
	for (i = 0; i < cpus; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, run_thread, vm->vcpus[i]));
	for (i = 0; i < cpus; i++) {
		pthread_join(thread[i], &failed);
		EXPECT_EQ(NULL, failed);
		stable += page_at(vm, VM_DATA2 + 64 * i)->flags & STABLE;
	}
	EXPECT_EQ(100000 * cpus, data[2]);
	printf("# %u vCPUs, %u with a stable clock: %llu readings before another's, one by %lld ns\n", cpus, stable,
	       (unsigned long long)data[1], (long long)data[3]);
	if (!stable)
		SKIP(return, "the host does not keep time by the TSC: guests order the readings themselves");
	EXPECT_EQ(cpus, stable);
	EXPECT_EQ(0, data[1]);
	vm_free(vm);
}

TEST(monotonic_on_2)
{
	race(_metadata, 2);
}

TEST(monotonic_on_4)
{
	race(_metadata, 4);
}

/* vCPUs whose TSCs differ see the same time each by its own, but a page of one is of no use to the others. */
TEST(offsets_differ)
{
	struct vm *vm = vm_new(VM_RAM_SIZE);
	uint64_t tsc[2], t[2], value;
	struct vcpu *v[2];
	int i, stable;

	vm_load_guest(vm, VM_CODE, reports);
	for (i = 0; i < 2; i++) {
		v[i] = vm_vcpu(vm, i);
		vcpu_long(v[i], VM_CODE);
		ASSERT_EQ(1, vcpu_set_msr(v[i], TIME, (VM_DATA + 64 * i) | 1));
	}
	for (i = 0; i < 2; i++)
		STEP(v[i]);
	stable = page_at(vm, VM_DATA)->flags & STABLE;
	EXPECT_EQ(stable, page_at(vm, VM_DATA + 64)->flags & STABLE);
	ASSERT_EQ(1, vcpu_get_msr(v[1], 0x10, &value));
	ASSERT_EQ(1, vcpu_set_msr(v[1], 0x10, value + 1000000000000ull));
	for (i = 0; i < 2; i++)
		STEP(v[i]);
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, page_at(vm, VM_DATA + 64 * i)->flags & STABLE);
		ASSERT_EQ(1, vcpu_get_msr(v[i], 0x10, &tsc[i]));
		t[i] = page_time(page_at(vm, VM_DATA + 64 * i), tsc[i]);
	}
	EXPECT_GT(5000000000ll, llabs((long long)(t[1] - t[0])));
	EXPECT_EQ(0, get_clock(vm).flags & KVM_CLOCK_TSC_STABLE);
}

TEST_HARNESS_MAIN
