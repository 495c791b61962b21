// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asynchronous page faults by interrupt: the guest does something else while the host waits for its pages, which here
 * come when the test fills them (userfaultfd); and what happens to those under way when the mechanism is switched off,
 * the VM is closed or its process ends.
 *
 * Source: KVM documentation, "KVM-specific MSRs" (MSR_KVM_ASYNC_PF_EN, _INT, _ACK).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vm.h"

#define EN_MSR 0x4b564d02
#define INT_MSR 0x4b564d06
#define ACK_MSR 0x4b564d07
#define ENABLED 1
#define ALWAYS 2
#define BY_INT 8
#define SHARED VM_DATA
#define MAX_PAGES 16
#define WAKE_ALL 0xffffffffu

/* What the guest keeps at VM_DATA2. */
struct notes {
	volatile uint64_t spins;		/* while it waits for pages */
	volatile uint32_t absent, ready;	/* how often it was told so */
	volatile uint32_t direct;		/* accesses that it was told nothing about */
	volatile uint32_t woken;		/* WAKE_ALL */
	volatile uint32_t absent_token[MAX_PAGES], ready_token[MAX_PAGES];	/* at +24, +88 */
};

/*
 * Reports once its APIC is on. Then reads R8 pages from VM_FREE on; with R9 it has interrupts off meanwhile. Spins until
 * all of which it was told that they are absent are ready, and reports the sum of the pages' first words in RDI. The
 * handlers of #PF and of the interrupt are at +0x100 and +0x200; they use no register of the program's.
 */
GUEST(reads, 64,
	"mov $0xfee00000, %ebx\n movl $0x1ff, 0xf0(%rbx)\n out %al, $0xf1\n"
	"sti\n nop\n test %r9, %r9\n jz 1f\n cli\n"
	"1: xor %r10d, %r10d\n"
	"2: mov %r10, %rsi\n shl $12, %rsi\n add $0x100000, %rsi\n mov (%rsi), %rdi\n incl 0x60010\n"
	"3: inc %r10\n cmp %r8, %r10\n jb 2b\n sti\n"
	"4: incq 0x60000\n mov 0x60008, %eax\n cmp %eax, 0x6000c\n jb 4b\n cli\n"
	"xor %r10d, %r10d\n xor %edi, %edi\n"
	"5: mov %r10, %rsi\n shl $12, %rsi\n add $0x100000, %rsi\n add (%rsi), %rdi\n"
	"inc %r10\n cmp %r8, %r10\n jb 5b\n"
	"out %al, $0xf1\n hlt\n"
	".org guest_reads + 0x100\n"
	"cmpl $1, 0x40000\n jne 9f\n push %rax\n push %rcx\n"
	"mov %cr2, %rcx\n mov 0x60008, %eax\n mov %ecx, 0x60018(,%rax,4)\n incl 0x60008\n movl $0, 0x40000\n"
	"lea 3b(%rip), %rax\n mov %rax, 24(%rsp)\n pop %rcx\n pop %rax\n add $8, %rsp\n iretq\n"
	"9: out %al, $0xf2\n hlt\n"
	".org guest_reads + 0x200\n"
	"push %rax\n push %rcx\n push %rdx\n"
	"mov 0x40004, %ecx\n cmp $-1, %ecx\n jne 6f\n incl 0x60014\n jmp 7f\n"
	"6: mov 0x6000c, %eax\n mov %ecx, 0x60058(,%rax,4)\n incl 0x6000c\n"
	"7: movl $0, 0x40004\n mov $0x4b564d07, %ecx\n mov $1, %eax\n xor %edx, %edx\n wrmsr\n"
	"mov $0xfee00000, %ecx\n movl $0, 0xb0(%rcx)\n pop %rdx\n pop %rcx\n pop %rax\n iretq");

struct machine {
	struct vm *vm;
	struct vcpu *v;
	struct notes *notes;
	int uffd;
	pthread_t thread;
	volatile int done;		/* the vCPU's thread has reported */
};

static void on_signal(int sig)
{
}

/* Pages from VM_FREE on are filled by fill() only. */
static int machine_new(struct machine *m, uint32_t pages, int masked)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct kvm_regs r;
	int rc;

	memset(m, 0, sizeof(*m));
	signal(SIGUSR1, on_signal);
	m->uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (m->uffd < 0)
		return -1;
	m->vm = vm_new(VM_RAM_SIZE);
	rc = xioctl(m->vm->fd, KVM_CREATE_IRQCHIP, 0);
	if (rc)
		die("KVM_CREATE_IRQCHIP: %s", strerror(-rc));
	reg.range.start = (uintptr_t)m->vm->ram + VM_FREE;
	reg.range.len = MAX_PAGES * 4096;
	if (ioctl(m->uffd, UFFDIO_API, &api) || ioctl(m->uffd, UFFDIO_REGISTER, &reg))
		die("userfaultfd: %s", strerror(errno));
	m->v = vm_vcpu(m->vm, 0);
	vm_load_guest(m->vm, VM_CODE, reads);
	vcpu_long(m->v, VM_CODE);
	vm_set_gate(m->vm, 14, VM_CODE + 0x100, 14, 0, 0);
	vm_set_gate(m->vm, 0x51, VM_CODE + 0x200, 14, 0, 0);
	m->notes = (struct notes *)(m->vm->ram + VM_DATA2);
	if (vcpu_run(m->v) || m->v->run->exit_reason != KVM_EXIT_IO)
		die("exit %s", exit_name(m->v->run->exit_reason));
	vcpu_regs(m->v, &r);
	r.r8 = pages;
	r.r9 = masked;
	vcpu_set_regs(m->v, &r);
	return 0;
}

#define MACHINE(m, pages, masked) do {							\
	if (machine_new(m, pages, masked))						\
		SKIP(return, "no userfaultfd");						\
} while (0)

static int enable(struct machine *m, uint32_t flags)
{
	return vcpu_set_msr(m->v, INT_MSR, 0x51) == 1 && vcpu_set_msr(m->v, EN_MSR, SHARED | flags) == 1;
}

/* Runs until the guest reports or somebody wants to stop it. */
static void *run_thread(void *arg)
{
	struct machine *m = arg;
	int rc;

	do
		rc = vcpu_run(m->v);
	while (rc == -EINTR && !m->v->run->immediate_exit);
	if (!rc && m->v->run->exit_reason != KVM_EXIT_IO)
		vcpu_dump(m->v);
	m->done = !rc;
	return NULL;
}

static void start(struct machine *m)
{
	if (pthread_create(&m->thread, NULL, run_thread, m))
		die("pthread_create");
}

static void stop(struct machine *m)
{
	m->v->run->immediate_exit = 1;
	while (pthread_tryjoin_np(m->thread, NULL)) {
		pthread_kill(m->thread, SIGUSR1);
		usleep(1000);
	}
	m->v->run->immediate_exit = 0;
}

/* The page's number that somebody waits for, or -1 after a while. */
static int wanted(struct machine *m)
{
	struct pollfd p = { .fd = m->uffd, .events = POLLIN };
	struct uffd_msg msg;

	for (;;) {
		if (poll(&p, 1, 20000) != 1)
			return -1;
		if (read(m->uffd, &msg, sizeof(msg)) == sizeof(msg) && msg.event == UFFD_EVENT_PAGEFAULT)
			return (msg.arg.pagefault.address - (uintptr_t)m->vm->ram - VM_FREE) / 4096;
	}
}

/* Page @n comes; its first word is @n + 1. */
static void fill(struct machine *m, int n)
{
	static uint64_t page[512] __attribute__((aligned(4096)));
	struct uffdio_copy copy = {
		.dst = (uintptr_t)m->vm->ram + VM_FREE + n * 4096, .src = (uintptr_t)page, .len = 4096,
	};

	page[0] = n + 1;
	if (ioctl(m->uffd, UFFDIO_COPY, &copy) && errno != EEXIST)
		die("UFFDIO_COPY: %s", strerror(errno));
}

/* The distribution's module waits for the page when it is switched off or closed: for ever, here. */
static int module_waits(void)
{
	return access("/sys/module/kvm/version", F_OK) < 0;
}

#define WAIT_FOR(cond) ({ int i_; for (i_ = 0; i_ < 20000 && !(cond); i_++) usleep(1000); !!(cond); })

static uint64_t sum(struct machine *m)
{
	struct kvm_regs r;

	pthread_join(m->thread, NULL);
	vcpu_regs(m->v, &r);
	return r.rdi;
}

TEST(offered)
{
	struct vm *vm = vm_new(0);
	struct kvm_cpuid2 *c = supported_cpuid(vm->sys);
	const struct kvm_cpuid_entry2 *e = cpuid_find(c, 0x40000001, 0);

	ASSERT_NE(NULL, e);
	EXPECT_EQ(1u << 4 | 1u << 10 | 1u << 14, e->eax & (1u << 4 | 1u << 10 | 1u << 14));
	EXPECT_EQ(1, has_cap(vm->sys, KVM_CAP_ASYNC_PF));
	EXPECT_EQ(1, has_cap(vm->sys, KVM_CAP_ASYNC_PF_INT));
}

TEST(msrs)
{
	struct machine m;
	uint64_t value;

	MACHINE(&m, 1, 0);
	EXPECT_TRUE(enable(&m, ENABLED | ALWAYS | BY_INT | 4));
	EXPECT_EQ(1, vcpu_get_msr(m.v, EN_MSR, &value));
	EXPECT_EQ(SHARED | 15, value);
	EXPECT_EQ(1, vcpu_get_msr(m.v, INT_MSR, &value));
	EXPECT_EQ(0x51, value);
	EXPECT_EQ(1, vcpu_get_msr(m.v, ACK_MSR, &value));
	EXPECT_EQ(0, value);
	EXPECT_EQ(0, vcpu_set_msr(m.v, EN_MSR, SHARED | ENABLED | 0x10));
	EXPECT_EQ(0, vcpu_set_msr(m.v, EN_MSR, SHARED | ENABLED | 0x20));
	EXPECT_EQ(1, vcpu_set_msr(m.v, EN_MSR, 0));
}

/* The guest runs while its pages are away, and is told of each once. */
TEST(several_pages)
{
	uint32_t n = 8, i, j, seen = 0;
	struct machine m;

	MACHINE(&m, n, 0);
	ASSERT_TRUE(enable(&m, ENABLED | ALWAYS | BY_INT));
	start(&m);
	for (i = 0; i < n; i++) {
		int page = wanted(&m);

		ASSERT_LE(0, page);
		seen |= 1u << page;
	}
	EXPECT_EQ((1u << n) - 1, seen);
	ASSERT_TRUE(WAIT_FOR(m.notes->absent == n && m.notes->spins > 1000));
	EXPECT_EQ(0, m.notes->direct);
	EXPECT_EQ(0, m.notes->ready);
	for (i = 0; i < n; i++) {
		fill(&m, n - 1 - i);
		ASSERT_TRUE(WAIT_FOR(m.notes->ready == i + 1))
			TH_LOG("page %u: %u ready", n - 1 - i, m.notes->ready);
	}
	EXPECT_EQ(n * (n + 1) / 2, sum(&m));
	EXPECT_EQ(n, m.notes->absent);
	EXPECT_EQ(n, m.notes->ready);
	/* In the order in which they came, and all different. */
	for (i = 0; i < n; i++) {
		EXPECT_EQ(m.notes->absent_token[n - 1 - i], m.notes->ready_token[i]);
		EXPECT_NE(0, m.notes->ready_token[i]);
		for (j = 0; j < i; j++)
			EXPECT_NE(m.notes->ready_token[j], m.notes->ready_token[i]);
	}
	EXPECT_EQ(0, *(uint32_t *)(m.vm->ram + SHARED));
	EXPECT_EQ(0, *(uint32_t *)(m.vm->ram + SHARED + 4));
	vm_free(m.vm);
}

/* All at once: one notification at a time, none lost. */
TEST(at_once)
{
	uint32_t n = MAX_PAGES, i;
	struct machine m;

	MACHINE(&m, n, 0);
	ASSERT_TRUE(enable(&m, ENABLED | ALWAYS | BY_INT));
	start(&m);
	ASSERT_TRUE(WAIT_FOR(m.notes->absent == n));
	for (i = 0; i < n; i++)
		fill(&m, i);
	EXPECT_EQ(n * (n + 1) / 2, sum(&m));
	EXPECT_EQ(n, m.notes->ready);
	vm_free(m.vm);
}

FIXTURE(waits) { };
FIXTURE_VARIANT(waits) {
	uint32_t flags;
	int masked;
};
FIXTURE_VARIANT_ADD(waits, off) { .flags = 0 };
FIXTURE_VARIANT_ADD(waits, not_by_interrupt) { .flags = ENABLED | ALWAYS };
FIXTURE_VARIANT_ADD(waits, in_the_kernel) { .flags = ENABLED | BY_INT };
FIXTURE_VARIANT_ADD(waits, interrupts_off) { .flags = ENABLED | ALWAYS | BY_INT, .masked = 1 };
FIXTURE_SETUP(waits) { }
FIXTURE_TEARDOWN(waits) { }

/* A guest that cannot do anything else waits, and is told nothing. */
TEST_F(waits, for_the_page)
{
	struct machine m;

	MACHINE(&m, 2, variant->masked);
	if (variant->flags)
		ASSERT_TRUE(enable(&m, variant->flags));
	start(&m);
	EXPECT_EQ(0, wanted(&m));
	usleep(50000);
	EXPECT_EQ(0, m.notes->direct);
	EXPECT_EQ(0, m.notes->spins);
	fill(&m, 0);
	EXPECT_EQ(1, wanted(&m));
	fill(&m, 1);
	EXPECT_EQ(3, sum(&m));
	EXPECT_EQ(2, m.notes->direct);
	EXPECT_EQ(0, m.notes->absent);
	EXPECT_EQ(0, m.notes->ready);
	vm_free(m.vm);
}

/* Switched off, or saved and put back as after a migration: no token of before comes, but the one for all. */
TEST(flushed)
{
	uint64_t en, vector;
	struct machine m;

	if (module_waits())
		SKIP(return, "the module waits for pages that are under way");
	MACHINE(&m, 2, 0);
	ASSERT_TRUE(enable(&m, ENABLED | ALWAYS | BY_INT));
	start(&m);
	ASSERT_TRUE(WAIT_FOR(m.notes->absent == 2 && m.notes->spins > 1000));
	stop(&m);
	EXPECT_EQ(0, m.done);
	ASSERT_EQ(1, vcpu_get_msr(m.v, EN_MSR, &en));
	ASSERT_EQ(1, vcpu_get_msr(m.v, INT_MSR, &vector));
	ASSERT_EQ(1, vcpu_set_msr(m.v, EN_MSR, 0));
	m.notes->woken = 0;
	fill(&m, 0);
	usleep(50000);
	ASSERT_EQ(1, vcpu_set_msr(m.v, INT_MSR, vector));
	ASSERT_EQ(1, vcpu_set_msr(m.v, EN_MSR, en));
	start(&m);
	ASSERT_TRUE(WAIT_FOR(m.notes->woken == 1));
	fill(&m, 1);
	usleep(50000);
	EXPECT_EQ(0, m.notes->ready);
	EXPECT_EQ(1, m.notes->woken);
	/* That is what the guest needed to know. */
	m.notes->ready = 2;
	EXPECT_EQ(3, sum(&m));
	vm_free(m.vm);
}

/* The VM goes, and pages are still waited for: closing waits for nobody. */
TEST(closed_under_way)
{
	struct machine m;

	if (module_waits())
		SKIP(return, "the module waits for pages that are under way");
	MACHINE(&m, MAX_PAGES, 0);
	ASSERT_TRUE(enable(&m, ENABLED | ALWAYS | BY_INT));
	start(&m);
	ASSERT_TRUE(WAIT_FOR(m.notes->absent == MAX_PAGES));
	stop(&m);
	munmap(m.v->run, m.v->run_size);
	close(m.v->fd);
	close(m.vm->fd);
	fill(&m, 3);
	usleep(20000);
	close(m.uffd);
}

/* The process ends, and nobody has filled anything. */
TEST(killed_under_way)
{
	int status, i;

	for (i = 0; i < 5; i++) {
		pid_t pid = fork();

		if (!pid) {
			struct machine m;

			if (machine_new(&m, MAX_PAGES, 0))
				_exit(4);
			if (!enable(&m, ENABLED | ALWAYS | BY_INT))
				_exit(1);
			start(&m);
			if (!WAIT_FOR(m.notes->absent == MAX_PAGES))
				_exit(2);
			if (i & 1)
				raise(SIGKILL);
			_exit(0);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		if (WIFEXITED(status) && WEXITSTATUS(status) == 4)
			SKIP(return, "no userfaultfd");
		EXPECT_EQ(i & 1 ? SIGKILL : 0, status);
	}
}

TEST_HARNESS_MAIN
