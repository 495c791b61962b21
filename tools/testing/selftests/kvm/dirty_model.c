// SPDX-License-Identifier: GPL-2.0-only
/*
 * The dirty log against a model, in its three forms: the bitmap that is cleared by reading, the one cleared by
 * request, and rings.
 *
 * still: the guest writes known pages while nothing else happens; what is reported is compared with them.
 * moving: the guest writes without pause while the log is read, switched off and on, slots come and go, host pages
 * are dropped, write-protected and moved, and the vCPU changes CPUs. The host keeps a copy of the memory, into which it
 * takes each page that is reported, as a migration does; in the end both must be equal.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "ring.h"

#define PAGE	4096ull
#define GPA	0x80000000ull
#define PAGES	1024ull
#define WORDS	(PAGES / 64)
#define BYTES	8192		/* a ring of 512 entries */
#define SLOT	1

enum mode { BITMAP, MANUAL, RING };

struct model {
	struct vm *vm;
	struct vcpu *v;
	enum mode mode;
	struct ring ring;
	uint8_t *mem, *copy;
	uint64_t reported[WORDS];
	unsigned int seed;
	pthread_t thread;
	volatile int stop;
	volatile unsigned long exits, fulls;
};

/* Store rcx at the rsi addresses that stand from VM_DATA on. */
GUEST(write_list, 64,
	"mov $0x40000, %rbx\n"
	"1: mov (%rbx), %rax\n mov %rcx, (%rax)\n add $8, %rbx\n dec %rsi\n jnz 1b\n hlt");

/* Count up in pages that a random number chooses, for ever; now and then by a port's input, which the module writes. */
GUEST(write_always, 64,
	"sti\n cld\n"
	"1: imul $0x19660d, %rax, %rax\n add $0x3c6ef35f, %rax\n"
	"mov %rax, %rdi\n shr $20, %rdi\n and $1023, %rdi\n shl $12, %rdi\n add %rbx, %rdi\n"
	"inc %rcx\n mov %rcx, 8(%rdi)\n"
	"test $0x3f, %cl\n jnz 1b\n"
	"mov $0x40, %edx\n insb\n jmp 1b");

static void model_new(struct model *m, enum mode mode, const uint8_t *code, size_t size)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
				      .args = { KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE } };

	memset(m, 0, sizeof(*m));
	m->mode = mode;
	m->seed = mode + 1;
	m->vm = vm_new(VM_RAM_SIZE);
	if (mode == RING && ring_enable(m->vm, BYTES))
		die("KVM_CAP_DIRTY_LOG_RING_ACQ_REL");
	if (mode == MANUAL && xioctlp(m->vm->fd, KVM_ENABLE_CAP, &cap))
		die("KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2");
	m->v = vm_vcpu(m->vm, 0);
	vm_load(m->vm, VM_CODE, code, size);
	vcpu_long(m->v, VM_CODE);
	if (mode == RING)
		ring_map(m->v, &m->ring, BYTES);
	m->mem = mmap(NULL, PAGES * PAGE + (2 << 20), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m->mem == MAP_FAILED)
		die("mmap");
	/* Huge pages are possible, and must be split while the log is on. */
	m->mem = (uint8_t *)(((uintptr_t)m->mem + (2 << 20) - 1) & -(2ul << 20));
	madvise(m->mem, PAGES * PAGE, MADV_HUGEPAGE);
	m->copy = calloc(PAGES, PAGE);
}

static int model_slot(struct model *m, uint32_t flags, uint64_t size)
{
	return vm_set_slot(m->vm, SLOT, flags, GPA, size, m->mem);
}

static void collect_bitmap(struct model *m, uint64_t *bits)
{
	struct kvm_dirty_log log = { .slot = SLOT, .dirty_bitmap = bits };
	struct kvm_clear_dirty_log clear = { .slot = SLOT, .dirty_bitmap = bits };
	int err = xioctlp(m->vm->fd, KVM_GET_DIRTY_LOG, &log);

	if (err)
		die("KVM_GET_DIRTY_LOG: %d", err);
	if (m->mode == BITMAP)
		return;
	/* In pieces, and some not at all: what is not cleared must be there the next time. */
	for (uint64_t first = 0; first < PAGES; first += clear.num_pages) {
		clear.first_page = first;
		clear.num_pages = 64 * (1 + rand_r(&m->seed) % 4);
		if (first + clear.num_pages > PAGES)
			clear.num_pages = PAGES - first;
		clear.dirty_bitmap = bits + first / 64;
		if (rand_r(&m->seed) % 4 == 0)
			memset(clear.dirty_bitmap, 0, clear.num_pages / 8);
		err = xioctlp(m->vm->fd, KVM_CLEAR_DIRTY_LOG, &clear);
		if (err)
			die("KVM_CLEAR_DIRTY_LOG: %d", err);
	}
}

static void collect_ring(struct model *m, uint64_t *bits)
{
	uint32_t slot, nr = 0, most = rand_r(&m->seed) % 8 ? ~0u : 100;
	uint64_t offset;
	int reset;

	while (nr < most && ring_take(&m->ring, &slot, &offset)) {
		if (slot != SLOT || offset >= PAGES)
			die("the ring names page %llu of slot %u", (unsigned long long)offset, slot);
		bits[offset / 64] |= 1ull << offset % 64;
		nr++;
	}
	reset = xioctl(m->vm->fd, KVM_RESET_DIRTY_RINGS, 0);
	if (reset != nr)
		die("KVM_RESET_DIRTY_RINGS: %d of %u", reset, nr);
}

/* What is reported now goes to m->reported; the content may be looked at afterwards. */
static void collect(struct model *m)
{
	memset(m->reported, 0, sizeof(m->reported));
	if (m->mode == RING)
		collect_ring(m, m->reported);
	else
		collect_bitmap(m, m->reported);
}

static int reported(const struct model *m, uint64_t page)
{
	return m->reported[page / 64] >> page % 64 & 1;
}

static int any_reported(const struct model *m)
{
	uint64_t any = 0;

	for (unsigned int i = 0; i < WORDS; i++)
		any |= m->reported[i];
	return any != 0;
}

/* --- still -------------------------------------------------------------------------------------------------- */

/* Until the guest halts; a full ring is emptied into @got on the way. */
static void run_still(struct model *m, uint8_t *got)
{
	for (;;) {
		int err = vcpu_run(m->v);

		if (err)
			die("KVM_RUN: %d", err);
		if (m->v->run->exit_reason == KVM_EXIT_HLT)
			return;
		if (m->v->run->exit_reason != KVM_EXIT_DIRTY_RING_FULL)
			die("exit %s", exit_name(m->v->run->exit_reason));
		m->fulls++;
		collect(m);
		for (uint64_t i = 0; i < PAGES; i++)
			got[i] |= reported(m, i);
	}
}

static void still(struct __test_metadata *_metadata, enum mode mode, int rounds)
{
	uint8_t written[PAGES] = {}, got[PAGES];
	struct model m;

	model_new(&m, mode, guest_code(write_list), guest_size(write_list));
	ASSERT_EQ(0, model_slot(&m, KVM_MEM_LOG_DIRTY_PAGES, PAGES * PAGE));
	for (int round = 0; round < rounds; round++) {
		uint64_t *list = (uint64_t *)(m.vm->ram + VM_DATA);
		int n = 1 + rand_r(&m.seed) % (round % 8 ? 60 : 2000);
		struct kvm_regs r;

		memset(got, 0, sizeof(got));
		for (int i = 0; i < n; i++) {
			uint64_t page = rand_r(&m.seed) % PAGES;

			list[i] = GPA + page * PAGE + rand_r(&m.seed) % 512 * 8;
			written[page] = 1;
		}
		vcpu_regs(m.v, &r);
		r.rip = VM_CODE;
		r.rsi = n;
		r.rcx = round;
		vcpu_set_regs(m.v, &r);
		run_still(&m, got);
		do {
			collect(&m);
			for (uint64_t i = 0; i < PAGES; i++)
				got[i] |= reported(&m, i);
		} while (mode == RING && any_reported(&m));
		for (uint64_t i = 0; i < PAGES; i++) {
			if (got[i])
				ASSERT_EQ(1, written[i]) TH_LOG("round %d, page %lu was not written", round, (long)i);
			/* What was not cleared by request stays in the model, too. */
			if (mode != MANUAL)
				ASSERT_EQ(written[i], got[i]) TH_LOG("round %d, page %lu", round, (long)i);
			if (got[i])
				written[i] = 0;
		}
		if (round % 16 == 15) {
			/* Off and on: a clean start. In the ring old entries remain, so they are taken out before. */
			ASSERT_EQ(0, model_slot(&m, 0, PAGES * PAGE));
			ASSERT_EQ(0, model_slot(&m, KVM_MEM_LOG_DIRTY_PAGES, PAGES * PAGE));
			memset(written, 0, sizeof(written));
		}
	}
	/* Nothing stays behind. */
	for (int i = 0; i < 100; i++) {
		collect(&m);
		for (uint64_t page = 0; page < PAGES; page++)
			if (reported(&m, page)) {
				ASSERT_EQ(1, written[page]);
				written[page] = 0;
			}
	}
	ASSERT_EQ(NULL, memchr(written, 1, sizeof(written)));
	if (mode == RING)
		ASSERT_LT(0, m.fulls);
	vm_free(m.vm);
}

TEST(still_bitmap) { still(_metadata, BITMAP, 150); }
TEST(still_manual) { still(_metadata, MANUAL, 150); }
TEST(still_ring) { still(_metadata, RING, 150); }

/* --- moving ------------------------------------------------------------------------------------------------- */

static void on_signal(int sig)
{
}

static void *vcpu_thread(void *arg)
{
	struct model *m = arg;

	while (!m->stop) {
		int err = vcpu_run(m->v);

		m->exits++;
		if (err == -EINTR)
			continue;
		/* Its page is not there, or not writable, just now. */
		if (err == -EFAULT) {
			sched_yield();
			continue;
		}
		if (err)
			die("KVM_RUN: %d", err);
		switch (m->v->run->exit_reason) {
		case KVM_EXIT_DIRTY_RING_FULL:
			m->fulls++;
			sched_yield();
			break;
		case KVM_EXIT_IO:
			*(uint8_t *)vcpu_io_data(m->v) = m->exits;
			break;
		case KVM_EXIT_MMIO:	/* its slot is not there just now */
		case KVM_EXIT_INTR:
			break;
		default:
			vcpu_dump(m->v);
			die("exit %s", exit_name(m->v->run->exit_reason));
		}
	}
	return NULL;
}

/* To one of the CPUs that this process may use. */
static void change_cpu(struct model *m)
{
	cpu_set_t may, set;
	int cpu;

	sched_getaffinity(0, sizeof(may), &may);
	do {
		cpu = rand_r(&m->seed) % CPU_SETSIZE;
	} while (!CPU_ISSET(cpu, &may));
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_setaffinity_np(m->thread, sizeof(set), &set);
}

/* One thing that user space or the host may do meanwhile; true: the copy is to be made anew. */
static int disturb(struct model *m)
{
	uint64_t first = rand_r(&m->seed) % PAGES, n = 1 + rand_r(&m->seed) % (PAGES - first);
	int again = 0;

	switch (rand_r(&m->seed) % 10) {
	case 0:
		change_cpu(m);
		break;
	case 1:
		mprotect(m->mem + first * PAGE, n * PAGE, PROT_READ);
		sched_yield();
		mprotect(m->mem + first * PAGE, n * PAGE, PROT_READ | PROT_WRITE);
		break;
	case 2:
		/* Out to swap, if there is any, and back. */
		madvise(m->mem + first * PAGE, n * PAGE, 21 /* MADV_PAGEOUT */);
		break;
	case 3:
		madvise(m->mem, PAGES * PAGE, 25 /* MADV_COLLAPSE */);
		break;
	case 4:
		madvise(m->mem + first * PAGE, n * PAGE, rand_r(&m->seed) % 2 ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
		break;
	case 5:
		if (model_slot(m, 0, PAGES * PAGE) || model_slot(m, KVM_MEM_LOG_DIRTY_PAGES, PAGES * PAGE))
			die("log off and on");
		again = 1;
		break;
	case 6:
		if (model_slot(m, 0, 0) || model_slot(m, KVM_MEM_LOG_DIRTY_PAGES, PAGES * PAGE))
			die("slot away and back");
		again = 1;
		break;
	default:
		break;
	}
	return again;
}

static void moving(struct __test_metadata *_metadata, enum mode mode, unsigned int rounds)
{
	struct sigaction action = { .sa_handler = on_signal };
	unsigned long seen = 0, differ = 0;
	struct kvm_regs r;
	struct model m;

	sigaction(SIGUSR1, &action, NULL);
	model_new(&m, mode, guest_code(write_always), guest_size(write_always));
	ASSERT_EQ(0, model_slot(&m, KVM_MEM_LOG_DIRTY_PAGES, PAGES * PAGE));
	vcpu_regs(m.v, &r);
	r.rbx = GPA;
	r.rax = mode;
	vcpu_set_regs(m.v, &r);
	ASSERT_EQ(0, pthread_create(&m.thread, NULL, vcpu_thread, &m));
	for (unsigned int round = 0; round < rounds; round++) {
		if (disturb(&m))
			/* A page that was written meanwhile is reported, or in this copy. */
			memcpy(m.copy, m.mem, PAGES * PAGE);
		if (round % 4 == 0)
			usleep(1000);
		collect(&m);
		for (uint64_t i = 0; i < PAGES; i++) {
			if (!reported(&m, i))
				continue;
			memcpy(m.copy + i * PAGE, m.mem + i * PAGE, PAGE);
			seen++;
		}
	}
	m.stop = 1;
	m.v->run->immediate_exit = 1;
	pthread_kill(m.thread, SIGUSR1);
	pthread_join(m.thread, NULL);
	/* Many times, because not all is cleared at once. */
	for (int i = 0; i < 100; i++) {
		collect(&m);
		for (uint64_t page = 0; page < PAGES; page++)
			if (reported(&m, page))
				memcpy(m.copy + page * PAGE, m.mem + page * PAGE, PAGE);
	}
	for (uint64_t i = 0; i < PAGES; i++)
		if (memcmp(m.copy + i * PAGE, m.mem + i * PAGE, PAGE))
			differ++;
	printf("# %lu pages reported in %u rounds, %lu exits, ring full %lu times\n", seen, rounds, m.exits, m.fulls);
	EXPECT_EQ(0, differ);
	/* The guest did write, all over. */
	vcpu_regs(m.v, &r);
	EXPECT_LT(100, r.rcx);
	EXPECT_LT(100, seen);
	vm_free(m.vm);
}

/* More with DIRTY_ROUNDS in the environment. */
static unsigned int rounds(void)
{
	const char *text = getenv("DIRTY_ROUNDS");

	return text ? atoi(text) : 100;
}

FIXTURE(moving) { };
FIXTURE_SETUP(moving) { }
FIXTURE_TEARDOWN(moving) { }

TEST_F_TIMEOUT(moving, bitmap, 200) { moving(_metadata, BITMAP, rounds()); }
TEST_F_TIMEOUT(moving, manual, 200) { moving(_metadata, MANUAL, rounds()); }
TEST_F_TIMEOUT(moving, ring, 200) { moving(_metadata, RING, rounds()); }

TEST_HARNESS_MAIN
