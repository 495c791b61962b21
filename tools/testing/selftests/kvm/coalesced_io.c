// SPDX-License-Identifier: GPL-2.0-only
/*
 * Coalesced MMIO and PIO: what goes to the ring and what does not, a full ring, indices that make no sense, zones that
 * come and go while several vCPUs write.
 *
 * Source: KVM API, KVM_REGISTER_COALESCED_MMIO, KVM_CAP_COALESCED_PIO.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vm.h"

#define ZONE (VM_MMIO + 0x1100)
#define PORT 0x510
#define RING_MAX ((4096 - sizeof(struct kvm_coalesced_mmio_ring)) / sizeof(struct kvm_coalesced_mmio))

/* Writes as many bytes of RAX as CL says, to (%rdi) or, when that is 0, to port DX; then reports. */
GUEST(out, 64, "test %rdi, %rdi\n jnz 3f\n"
	       "cmp $2, %cl\n ja 2f\n je 1f\n outb %al, %dx\n jmp 9f\n 1: outw %ax, %dx\n jmp 9f\n"
	       "2: outl %eax, %dx\n jmp 9f\n"
	       "3: cmp $2, %cl\n ja 5f\n je 4f\n movb %al, (%rdi)\n jmp 9f\n 4: movw %ax, (%rdi)\n jmp 9f\n"
	       "5: cmp $4, %cl\n ja 6f\n movl %eax, (%rdi)\n jmp 9f\n 6: movq %rax, (%rdi)\n"
	       "9: outb %al, $0xf1\n hlt");
/* Counts in (%rdi), or at port DX, for ever; EBX is in the upper half of what is written. */
GUEST(count_mem, 64, "1: inc %eax\n mov %eax, %ecx\n or %ebx, %ecx\n movl %ecx, (%rdi)\n jmp 1b");
GUEST(count_port, 64, "mov %eax, %ecx\n 1: inc %ecx\n mov %ecx, %eax\n or %ebx, %eax\n outl %eax, %dx\n jmp 1b");
GUEST(string, 64, "rep outsl\n outb %al, $0xf1\n hlt");

static int zone(struct vm *vm, int add, uint64_t addr, uint32_t size, uint32_t pio)
{
	struct kvm_coalesced_mmio_zone z = { .addr = addr, .size = size, .pio = pio };

	return xioctlp(vm->fd, add ? KVM_REGISTER_COALESCED_MMIO : KVM_UNREGISTER_COALESCED_MMIO, &z);
}

static struct kvm_coalesced_mmio_ring *ring_of(struct vcpu *v)
{
	int page = has_cap(v->vm->sys, KVM_CAP_COALESCED_MMIO);

	return (void *)((uint8_t *)v->run + 4096 * page);
}

/* Did the write end in user space? */
static int guest_writes(struct vcpu *v, uint64_t mmio, uint32_t len, uint64_t value)
{
	struct kvm_regs r = {
		.rax = value, .rcx = len, .rdx = PORT, .rdi = mmio,
		.rip = VM_CODE, .rsp = VM_STACK_TOP, .rflags = 2,
	};
	int exits = 0;

	vcpu_set_regs(v, &r);
	for (;;) {
		if (vcpu_run(v))
			die("KVM_RUN");
		if (v->run->exit_reason == KVM_EXIT_IO && v->run->io.port == VM_PORT)
			return exits;
		if (v->run->exit_reason != (mmio ? KVM_EXIT_MMIO : KVM_EXIT_IO))
			die("exit %s", exit_name(v->run->exit_reason));
		exits++;
	}
}

FIXTURE(io) {
	struct vcpu *v;
	struct vm *vm;
	struct kvm_coalesced_mmio_ring *ring;
	uint64_t at;
};

FIXTURE_VARIANT(io) {
	uint32_t pio;
};

FIXTURE_VARIANT_ADD(io, memory) { .pio = 0 };
FIXTURE_VARIANT_ADD(io, port) { .pio = 1 };

FIXTURE_SETUP(io)
{
	self->v = LONG_VCPU(out);
	self->vm = self->v->vm;
	self->ring = ring_of(self->v);
	self->at = variant->pio ? PORT : ZONE;
}

FIXTURE_TEARDOWN(io)
{
	vm_free(self->vm);
}

/* One write, and the entry it must have left at place @last. */
#define EXPECT_ENTRY(addr, bytes, value) do {						\
	uint32_t last_ = self->ring->last;						\
	struct kvm_coalesced_mmio *e_ = &self->ring->coalesced_mmio[last_];		\
	uint64_t got_ = 0;								\
											\
	EXPECT_EQ(0, guest_writes(self->v, variant->pio ? 0 : (addr), bytes, value));	\
	EXPECT_EQ((last_ + 1) % RING_MAX, self->ring->last);				\
	EXPECT_EQ(variant->pio ? PORT : (addr), e_->phys_addr);			\
	EXPECT_EQ(bytes, e_->len);							\
	EXPECT_EQ(variant->pio, e_->pio);						\
	memcpy(&got_, e_->data, bytes);							\
	EXPECT_EQ((value) & ((bytes) == 8 ? ~0ull : (1ull << 8 * (bytes)) - 1), got_);	\
} while (0)

TEST(offered)
{
	int sys = kvm_open();

	EXPECT_EQ(2, has_cap(sys, KVM_CAP_COALESCED_MMIO));
	EXPECT_EQ(1, has_cap(sys, KVM_CAP_COALESCED_PIO));
	EXPECT_EQ(3 * 4096, xioctl(sys, KVM_GET_VCPU_MMAP_SIZE, 0));
}

TEST_F(io, sizes_and_edges)
{
	EXPECT_EQ(1, guest_writes(self->v, variant->pio ? 0 : ZONE, 4, 7));
	EXPECT_EQ(0, self->ring->last);
	ASSERT_EQ(0, zone(self->vm, 1, self->at, 4, variant->pio));
	EXPECT_ENTRY(ZONE, 1, 0x11223344u);
	EXPECT_ENTRY(ZONE, 2, 0x11223344u);
	EXPECT_ENTRY(ZONE, 4, 0x11223344u);
	if (!variant->pio) {
		/* Outside, across an edge, and in a zone of another kind. */
		EXPECT_EQ(1, guest_writes(self->v, ZONE, 8, 7));
		EXPECT_EQ(1, guest_writes(self->v, ZONE + 4, 1, 7));
		EXPECT_EQ(1, guest_writes(self->v, ZONE + 2, 4, 7));
		EXPECT_EQ(1, guest_writes(self->v, ZONE - 1, 2, 7));
		EXPECT_EQ(3, self->ring->last);
		ASSERT_EQ(0, zone(self->vm, 1, ZONE - 16, 64, 0));
		EXPECT_ENTRY(ZONE + 2, 8, 0x1122334455667788u);
		EXPECT_ENTRY(ZONE - 1, 2, 9);
		EXPECT_ENTRY(ZONE, 8, 10);
	}
	ASSERT_EQ(0, zone(self->vm, 0, self->at, 4, !variant->pio));
	EXPECT_ENTRY(ZONE, 4, 11);
	ASSERT_EQ(0, zone(self->vm, 0, self->at, 4, variant->pio));
	EXPECT_EQ(1, guest_writes(self->v, variant->pio ? 0 : ZONE, 4, 7));
	/* There is none: no error. */
	EXPECT_EQ(0, zone(self->vm, 0, self->at, 4, variant->pio));
}

/* A zone goes when all of the range that is named lies in it, and only then. */
TEST_F(io, removal)
{
	ASSERT_EQ(0, zone(self->vm, 1, self->at, 8, variant->pio));
	ASSERT_EQ(0, zone(self->vm, 0, self->at + 4, 8, variant->pio));
	ASSERT_EQ(0, zone(self->vm, 0, self->at - 4, 8, variant->pio));
	ASSERT_EQ(0, zone(self->vm, 0, self->at - 4, 64, variant->pio));
	EXPECT_ENTRY(ZONE, 4, 1);
	ASSERT_EQ(0, zone(self->vm, 1, self->at - 8, 32, variant->pio));
	ASSERT_EQ(0, zone(self->vm, 1, self->at - 8, 32, variant->pio));
	ASSERT_EQ(0, zone(self->vm, 0, self->at, 8, variant->pio));
	EXPECT_EQ(1, guest_writes(self->v, variant->pio ? 0 : ZONE, 4, 7));
	ASSERT_EQ(0, zone(self->vm, 1, self->at, 8, variant->pio));
	ASSERT_EQ(0, zone(self->vm, 0, self->at + 4, 1, variant->pio));
	EXPECT_EQ(1, guest_writes(self->v, variant->pio ? 0 : ZONE, 4, 7));
}

TEST_F(io, refused)
{
	EXPECT_EQ(-EINVAL, zone(self->vm, 1, self->at, 8, 2));
	EXPECT_EQ(-EINVAL, zone(self->vm, 0, self->at, 8, ~0u));
	EXPECT_EQ(-EFAULT, xioctl(self->vm->fd, KVM_REGISTER_COALESCED_MMIO, 0));
	EXPECT_EQ(-EFAULT, xioctl(self->vm->fd, KVM_UNREGISTER_COALESCED_MMIO, 0));
}

/* As many as there may be, and the write finds the one it lies in. */
TEST_F(io, many)
{
	int n = 0, rc = 0, i;

	while (n < 100000 && !(rc = zone(self->vm, 1, self->at + 0x10000 + 64 * (n * 7 % 997), 16, variant->pio)))
		n++;
	EXPECT_EQ(-ENOSPC, rc);
	EXPECT_LT(500, n);
	for (i = 0; !variant->pio && i < 997 && i < n; i += 50) {
		EXPECT_ENTRY(ZONE + 0x10000 + 64 * i + 4, 4, (uint64_t)i);
		EXPECT_EQ(1, guest_writes(self->v, ZONE + 0x10000 + 64 * i + 16, 4, 7));
		EXPECT_EQ(1, guest_writes(self->v, ZONE + 0x10000 + 64 * i - 4, 4, 7));
	}
	EXPECT_EQ(1, guest_writes(self->v, variant->pio ? 0 : ZONE, 4, 7));
}

/* The counting guest stops at an ordinary exit, with the value that found no room. */
static uint32_t run_until_full(struct __test_metadata *_metadata, struct vcpu *v, uint32_t pio)
{
	uint32_t value = 0;

	RUN_TO(v, pio ? KVM_EXIT_IO : KVM_EXIT_MMIO);
	memcpy(&value, pio ? vcpu_io_data(v) : v->run->mmio.data, 4);
	return value;
}

static void count_from(struct vcpu *v, uint32_t pio, uint32_t from, uint32_t tag)
{
	struct kvm_regs r = {
		.rax = from, .rbx = tag, .rdx = PORT, .rdi = ZONE,
		.rip = VM_CODE, .rsp = VM_STACK_TOP, .rflags = 2,
	};

	if (pio)
		vm_load_guest(v->vm, VM_CODE, count_port);
	else
		vm_load_guest(v->vm, VM_CODE, count_mem);
	vcpu_set_regs(v, &r);
}

/* Linux 6.1's own module computes the room modulo a wrapped difference, and stops before the ring is full. */
static int stops_early(void)
{
	return access("/sys/module/kvm/version", F_OK) < 0;
}

TEST_F(io, full)
{
	static const uint32_t starts[] = { 0, 1, RING_MAX / 2, RING_MAX - 2, RING_MAX - 1 };
	uint32_t s, i, expect = 0, got, n;

	ASSERT_EQ(0, zone(self->vm, 1, self->at, 4, variant->pio));
	count_from(self->v, variant->pio, 0, 0);
	for (s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
		self->ring->first = self->ring->last = starts[s];
		got = run_until_full(_metadata, self->v, variant->pio);
		n = got - expect - 1;
		/* One place stays empty, so that full and empty differ. */
		if (!stops_early())
			ASSERT_EQ(RING_MAX - 1, n);
		ASSERT_LT(0, n);
		ASSERT_GT(RING_MAX, n);
		EXPECT_EQ((starts[s] + n) % RING_MAX, self->ring->last);
		for (i = 0; i < n; i++)
			ASSERT_EQ(++expect, *(uint32_t *)self->ring->coalesced_mmio[(starts[s] + i) % RING_MAX].data);
		expect++;
		/* Still full: each write is an exit. */
		ASSERT_EQ(++expect, run_until_full(_metadata, self->v, variant->pio));
	}
	/* Room for one. */
	self->ring->first = (self->ring->first + 1) % RING_MAX;
	got = run_until_full(_metadata, self->v, variant->pio);
	if (!stops_early())
		ASSERT_EQ(expect + 2, got);
}

/* Whatever stands in the indices: at worst an ordinary exit, and nothing outside of the ring is written. */
TEST_F(io, indices_without_sense)
{
	static const uint32_t bad[] = { RING_MAX, RING_MAX + 1, 0x7fffffff, 0x80000000, 0xffffffff };
	uint32_t i, expect = 0;

	ASSERT_EQ(0, zone(self->vm, 1, self->at, 4, variant->pio));
	count_from(self->v, variant->pio, 0, 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		self->ring->first = 0;
		self->ring->last = bad[i];
		ASSERT_EQ(++expect, run_until_full(_metadata, self->v, variant->pio));
		EXPECT_EQ(bad[i], self->ring->last);
	}
	self->ring->first = self->ring->last = 0;
	ASSERT_LE(expect + 2, run_until_full(_metadata, self->v, variant->pio));
}

static volatile int stop;

static void on_signal(int sig)
{
}

/* Runs on through the exits of writes that found no room. */
static void *run_thread(void *arg)
{
	struct vcpu *v = arg;

	while (!stop && (!vcpu_run(v) || errno == EINTR))
		;
	return NULL;
}

static void end_thread(pthread_t thread, struct vcpu *v)
{
	stop = 1;
	v->run->immediate_exit = 1;
	while (pthread_tryjoin_np(thread, NULL)) {
		pthread_kill(thread, SIGUSR1);
		usleep(1000);
	}
}

static void *scribble(void *arg)
{
	struct kvm_coalesced_mmio_ring *ring = arg;
	unsigned int seed = 1;

	while (!stop) {
		ring->first = rand_r(&seed) % 4 ? rand_r(&seed) % 256 : rand_r(&seed) * 2u;
		ring->last = rand_r(&seed) % 4 ? rand_r(&seed) % 256 : rand_r(&seed) * 2u;
		sched_yield();
	}
	return NULL;
}

TEST_F(io, indices_that_move)
{
	pthread_t thread, writer;

	signal(SIGUSR1, on_signal);
	stop = 0;
	ASSERT_EQ(0, zone(self->vm, 1, self->at, 4, variant->pio));
	count_from(self->v, variant->pio, 0, 0);
	ASSERT_EQ(0, pthread_create(&writer, NULL, scribble, self->ring));
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_thread, self->v));
	usleep(300000);
	end_thread(thread, self->v);
	pthread_join(writer, NULL);
}

/* String output: all elements arrive in order, whether in the ring or by an exit. */
TEST(string_output)
{
	struct vcpu *v = LONG_VCPU(string);
	struct kvm_coalesced_mmio_ring *ring = ring_of(v);
	struct kvm_regs r = {
		.rcx = 8, .rdx = PORT, .rsi = VM_DATA, .rip = VM_CODE, .rsp = VM_STACK_TOP, .rflags = 2,
	};
	uint32_t *data = (uint32_t *)(v->vm->ram + VM_DATA), seen = 0, i;

	for (i = 0; i < 8; i++)
		data[i] = i;
	ASSERT_EQ(0, zone(v->vm, 1, PORT, 4, 1));
	vcpu_set_regs(v, &r);
	for (;;) {
		RUN_TO(v, KVM_EXIT_IO);
		for (; ring->first != ring->last; ring->first = (ring->first + 1) % RING_MAX)
			EXPECT_EQ(seen++, *(uint32_t *)ring->coalesced_mmio[ring->first].data);
		if (v->run->io.port == VM_PORT)
			break;
		for (i = 0; i < v->run->io.count; i++)
			EXPECT_EQ(seen++, ((uint32_t *)vcpu_io_data(v))[i]);
	}
	EXPECT_EQ(8, seen);
}

struct counter {
	struct vcpu *v;
	uint32_t pio;
};

/*
 * Two vCPUs write, a third thread empties the ring: every value comes once and in order, in the ring or by an exit.
 * An exit may overtake the ring's reader, so the values that came by exits are only counted there.
 */
#define TAG 0x40000000u		/* of what the second vCPU writes */
static uint32_t by_exit[2];

static void *writer_thread(void *arg)
{
	struct counter *c = arg;
	uint32_t me = c->v->id, value = 0;

	while (!stop) {
		int rc = vcpu_run(c->v);

		if (rc == -EINTR)
			continue;
		if (rc || c->v->run->exit_reason != (c->pio ? KVM_EXIT_IO : KVM_EXIT_MMIO))
			die("vCPU %u: %d, exit %s", me, rc, exit_name(c->v->run->exit_reason));
		memcpy(&value, c->pio ? vcpu_io_data(c->v) : c->v->run->mmio.data, 4);
		if (!(value & TAG) != !me)
			die("vCPU %u wrote %#x", me, value);
		by_exit[me]++;
		usleep(100);
	}
	return NULL;
}

TEST_F(io, two_writers)
{
	struct vcpu *v[2] = { self->v, vm_vcpu(self->vm, 1) };
	volatile struct kvm_coalesced_mmio_ring *ring = self->ring;
	struct counter c[2] = { { .v = v[0], .pio = variant->pio }, { .v = v[1], .pio = variant->pio } };
	uint32_t got[2] = { }, last[2] = { }, first;
	pthread_t thread[2];
	int i, rounds;

	signal(SIGUSR1, on_signal);
	stop = 0;
	by_exit[0] = by_exit[1] = 0;
	ASSERT_EQ(0, zone(self->vm, 1, self->at, 4, variant->pio));
	vcpu_long(v[1], VM_CODE);
	for (i = 0; i < 2; i++)
		count_from(v[i], variant->pio, 0, i ? TAG : 0);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, writer_thread, &c[i]));
	for (rounds = 0; rounds < 4000 && (rounds < 200 || got[0] < 5000 || got[1] < 5000); rounds++) {
		usleep(500);
		while ((first = ring->first) != __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE)) {
			uint32_t value = *(volatile uint32_t *)ring->coalesced_mmio[first].data;
			int who = !!(value & TAG);

			value &= ~TAG;
			if (value <= last[who])
				die("vCPU %d: %u after %u", who, value, last[who]);
			last[who] = value;
			got[who]++;
			__atomic_store_n(&ring->first, (first + 1) % RING_MAX, __ATOMIC_RELEASE);
		}
	}
	for (i = 0; i < 2; i++)
		end_thread(thread[i], v[i]);
	for (i = 0; i < 2; i++) {
		struct kvm_regs r;
		uint32_t written;

		for (first = ring->first; first != ring->last; first = (first + 1) % RING_MAX)
			got[i] += !!(*(volatile uint32_t *)ring->coalesced_mmio[first].data & TAG) == i;
		/* What it has written and has not begun to write. */
		v[i]->run->immediate_exit = 1;
		vcpu_run(v[i]);
		vcpu_regs(v[i], &r);
		written = variant->pio ? r.rcx : r.rax;
		EXPECT_GE(written, got[i] + by_exit[i]);
		EXPECT_LE(written, got[i] + by_exit[i] + 1)
			TH_LOG("vCPU %d wrote %u, %u in the ring, %u by exits", i, written, got[i], by_exit[i]);
		EXPECT_LT(0, got[i]);
	}
}

/* While the guest writes all the time: nothing in the ring after the zone went. */
TEST_F(io, removal_under_way)
{
	uint32_t i, was;
	pthread_t thread;

	signal(SIGUSR1, on_signal);
	stop = 0;
	count_from(self->v, variant->pio, 0, 0);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_thread, self->v));
	for (i = 0; i < 100; i++) {
		self->ring->first = self->ring->last;
		ASSERT_EQ(0, zone(self->vm, 1, self->at, 4, variant->pio));
		usleep(1000);
		ASSERT_EQ(0, zone(self->vm, 0, self->at, 4, variant->pio));
		was = *(volatile uint32_t *)&self->ring->last;
		usleep(500);
		EXPECT_EQ(was, *(volatile uint32_t *)&self->ring->last);
	}
	end_thread(thread, self->v);
}

TEST_HARNESS_MAIN
