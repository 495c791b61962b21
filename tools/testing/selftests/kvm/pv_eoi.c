// SPDX-License-Identifier: GPL-2.0-only
/*
 * End of interrupt in memory: which interrupts may be ended that way, and that each is ended once, whatever happens to
 * the page meanwhile.
 *
 * Source: KVM documentation, "KVM-specific MSRs" (MSR_KVM_EOI_EN); Intel SDM volume 3, "Signaling Interrupt Servicing
 * Completion".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vm.h"

#define EOI_MSR 0x4b564d04
#define ROUNDS 200

/* What the guest's handler counts, at VM_DATA2. */
struct counts {
	volatile uint32_t quiet, loud;	/* ended in memory; by the APIC's register */
	volatile uint32_t offered;	/* the word in memory, at the latest entry */
};

/* Reports when its APIC is on, and after interrupts. */
GUEST(waits, 64,
	"mov $0xfee00000, %ebx\n movl $0x1ff, 0xf0(%rbx)\n out %al, $0xf1\n sti\n"
	"1: xor %ecx, %ecx\n xchg %ecx, 0x6000c\n jecxz 1b\n out %al, $0xf1\n jmp 1b");
#define END_OF_INTERRUPT							\
	"btrl $0, 0x40000\n jc 1f\n incl 0x60004\n movl $0, 0xb0(%rbx)\n jmp 2f\n" \
	"1: incl 0x60000\n 2: incl 0x6000c\n iretq"
GUEST(handler, 64, "mov 0x40000, %eax\n mov %eax, 0x60008\n" END_OF_INTERRUPT);
/* The same, with an exit before the end. */
GUEST(exits_first, 64, "mov 0x40000, %eax\n mov %eax, 0x60008\n out %al, $0xf1\n" END_OF_INTERRUPT);
/* Does not know of the interface. */
GUEST(old_handler, 64, "incl 0x60004\n movl $0, 0xb0(%rbx)\n incl 0x6000c\n iretq");

FIXTURE(eoi) {
	struct vm *vm;
	struct vcpu *v;
	struct counts *counts;
	volatile uint32_t *word;
};

static void on_signal(int sig)
{
}

FIXTURE_SETUP(eoi)
{
	/* An interrupt that is lost ends KVM_RUN, and shows the registers. */
	struct sigaction sa = { .sa_handler = on_signal };
	int rc;

	sigaction(SIGALRM, &sa, NULL);
	alarm(20);
	self->vm = vm_new(VM_RAM_SIZE);
	rc = xioctl(self->vm->fd, KVM_CREATE_IRQCHIP, 0);
	if (rc)
		die("KVM_CREATE_IRQCHIP: %s", strerror(-rc));
	self->v = vm_vcpu(self->vm, 0);
	vm_load_guest(self->vm, VM_CODE, waits);
	vm_load_guest(self->vm, VM_CODE + 0x1000, handler);
	vcpu_long(self->v, VM_CODE);
	vm_set_gate(self->vm, 0x51, VM_CODE + 0x1000, 14, 0, 0);
	vm_set_gate(self->vm, 0x61, VM_CODE + 0x1000, 14, 0, 0);
	self->counts = (struct counts *)(self->vm->ram + VM_DATA2);
	self->word = (uint32_t *)(self->vm->ram + VM_DATA);
	if (vcpu_set_msr(self->v, EOI_MSR, VM_DATA | 1) != 1)
		die("MSR_KVM_PV_EOI_EN");
	RUN_TO(self->v, KVM_EXIT_IO);
}

FIXTURE_TEARDOWN(eoi)
{
	vm_free(self->vm);
}

static int msi(struct vm *vm, uint8_t vector)
{
	struct kvm_msi m = { .address_lo = 0xfee00000, .data = vector };

	return xioctlp(vm->fd, KVM_SIGNAL_MSI, &m);
}

/* Vectors in service or requested. */
static int active(struct vcpu *v)
{
	struct kvm_lapic_state s;
	int n = 0, i, off;

	if (xioctlp(v->fd, KVM_GET_LAPIC, &s))
		die("KVM_GET_LAPIC");
	for (off = 0x100; off <= 0x200; off += 0x100)
		for (i = 0; i < 8; i++)
			n += __builtin_popcount(*(uint32_t *)(s.regs + off + 16 * i));
	return n;
}

/* Run until @n interrupts have ended. */
#define RUN_UNTIL(n) do {								\
	do										\
		RUN_TO_REPORT(self->v, value);						\
	while (self->counts->quiet + self->counts->loud < (n));				\
	ASSERT_EQ((n), self->counts->quiet + self->counts->loud);			\
} while (0)

TEST_F(eoi, msr)
{
	struct kvm_cpuid2 *c = supported_cpuid(self->vm->sys);
	const struct kvm_cpuid_entry2 *e = cpuid_find(c, 0x40000001, 0);
	uint64_t value;

	ASSERT_NE(NULL, e);
	EXPECT_NE(0, e->eax & 1u << 6);
	EXPECT_EQ(1, vcpu_get_msr(self->v, EOI_MSR, &value));
	EXPECT_EQ(VM_DATA | 1, value);
	EXPECT_EQ(0, vcpu_set_msr(self->v, EOI_MSR, VM_DATA | 3));
	EXPECT_EQ(1, vcpu_set_msr(self->v, EOI_MSR, VM_DATA + 4));
	EXPECT_EQ(1, vcpu_get_msr(self->v, EOI_MSR, &value));
	EXPECT_EQ(VM_DATA + 4, value);
}

TEST_F(eoi, one_at_a_time)
{
	uint32_t value, i;

	for (i = 1; i <= ROUNDS; i++) {
		ASSERT_EQ(1, msi(self->vm, 0x51));
		RUN_UNTIL(i);
		EXPECT_EQ(0, active(self->v));
		EXPECT_EQ(0, *self->word);
	}
	printf("# %u of %u without an exit\n", self->counts->quiet, i - 1);
	/* All but those during which the host took an interrupt of its own. */
	EXPECT_LT(ROUNDS / 4, self->counts->quiet);
	/* Switched off, nothing is offered. */
	ASSERT_EQ(1, vcpu_set_msr(self->v, EOI_MSR, VM_DATA));
	for (; i <= ROUNDS + 10; i++) {
		ASSERT_EQ(1, msi(self->vm, 0x51));
		RUN_UNTIL(i);
		EXPECT_EQ(0, self->counts->offered);
	}
}

/* Another one waits, and has to come as soon as the first has ended: then the end must be told. */
TEST_F(eoi, two_at_once)
{
	uint32_t value, i;

	for (i = 1; i <= ROUNDS; i++) {
		ASSERT_EQ(1, msi(self->vm, 0x51));
		ASSERT_EQ(1, msi(self->vm, 0x61));
		RUN_UNTIL(2 * i);
		EXPECT_LE(i, self->counts->loud);
		EXPECT_EQ(0, active(self->v));
	}
	EXPECT_LT(ROUNDS / 4, self->counts->quiet);
}

/* User space sees the interrupt in service, and could move the guest elsewhere then. */
TEST_F(eoi, exit_before_the_end)
{
	struct kvm_lapic_state s;
	uint32_t value, i;

	vm_load_guest(self->vm, VM_CODE + 0x1000, exits_first);
	for (i = 1; i <= ROUNDS; i++) {
		ASSERT_EQ(1, msi(self->vm, 0x51));
		RUN_TO_REPORT(self->v, value);
		EXPECT_EQ(i - 1, self->counts->quiet + self->counts->loud);
		ASSERT_EQ(0, xioctlp(self->v->fd, KVM_GET_LAPIC, &s));
		EXPECT_EQ(1u << 17, *(uint32_t *)(s.regs + 0x120));
		if (i & 1) {
			/* As a migration does. */
			ASSERT_EQ(0, xioctlp(self->v->fd, KVM_SET_LAPIC, &s));
			ASSERT_EQ(1, vcpu_set_msr(self->v, EOI_MSR, VM_DATA | 1));
		}
		RUN_UNTIL(i);
		EXPECT_EQ(0, active(self->v));
		EXPECT_EQ(0, *self->word);
	}
}

TEST_F(eoi, guest_that_always_tells)
{
	uint32_t value, i;

	vm_load_guest(self->vm, VM_CODE + 0x1000, old_handler);
	for (i = 1; i <= ROUNDS; i++) {
		ASSERT_EQ(1, msi(self->vm, 0x51));
		RUN_UNTIL(i);
		EXPECT_EQ(0, active(self->v));
	}
}

/* A chip wants to hear of the end of a level-triggered interrupt: it is never offered. */
TEST_F(eoi, level)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };
	struct kvm_irq_level line = { .irq = 20, .level = 1 };
	uint32_t value, i;

	ASSERT_EQ(0, xioctlp(self->vm->fd, KVM_GET_IRQCHIP, &chip));
	chip.chip.ioapic.redirtbl[20].bits = 0x8051;
	ASSERT_EQ(0, xioctlp(self->vm->fd, KVM_SET_IRQCHIP, &chip));
	vm_load_guest(self->vm, VM_CODE + 0x1000, exits_first);
	for (i = 1; i <= 20; i++) {
		line.level = 1;
		ASSERT_EQ(0, xioctlp(self->vm->fd, KVM_IRQ_LINE, &line));
		RUN_TO_REPORT(self->v, value);
		line.level = 0;
		ASSERT_EQ(0, xioctlp(self->vm->fd, KVM_IRQ_LINE, &line));
		RUN_UNTIL(i);
		EXPECT_EQ(0, self->counts->offered);
		EXPECT_EQ(i, self->counts->loud);
		EXPECT_EQ(0, active(self->v));
	}
	EXPECT_EQ(0, self->counts->quiet);
}

struct dropper {
	void *page;
	volatile int stop;
	unsigned long dropped;
};

static void *drop(void *arg)
{
	struct dropper *d = arg;

	while (!d->stop) {
		if (madvise(d->page, 4096, MADV_DONTNEED))
			die("MADV_DONTNEED");
		d->dropped++;
		usleep(50);
	}
	return NULL;
}

/* The page is not there when it is asked, or comes back empty: each interrupt still ends once. */
TEST_F(eoi, page_goes_away)
{
	struct dropper d = { .page = self->vm->ram + VM_DATA };
	uint32_t value, i;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, drop, &d));
	for (i = 1; i <= ROUNDS; i++) {
		ASSERT_EQ(1, msi(self->vm, i & 1 ? 0x51 : 0x61));
		RUN_UNTIL(i);
		EXPECT_EQ(0, active(self->v));
	}
	d.stop = 1;
	pthread_join(thread, NULL);
	printf("# %u of %u without an exit, the page dropped %lu times\n", self->counts->quiet, i - 1, d.dropped);
}

/* No memory, read-only memory: nothing is offered, and interrupts go on. */
TEST_F(eoi, no_memory)
{
	uint32_t value, i;
	void *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	vm_load_guest(self->vm, VM_CODE + 0x1000, old_handler);
	for (i = 1; i <= 60; i++) {
		if (i == 1) {
			if (!vcpu_set_msr(self->v, EOI_MSR, 0xa0000001))
				SKIP(return, "the module wants memory there, as the distribution's does");
		} else if (i == 20) {
			ASSERT_EQ(0, vm_set_slot(self->vm, 1, KVM_MEM_READONLY, 0xa0000000, 4096, m));
		} else if (i == 40) {
			ASSERT_EQ(1, vcpu_set_msr(self->v, EOI_MSR, 0xfffffffffffffffdULL));
		}
		ASSERT_EQ(1, msi(self->vm, 0x51));
		RUN_UNTIL(i);
		EXPECT_EQ(0, active(self->v));
	}
	EXPECT_EQ(0, *(uint32_t *)m);
}

TEST_HARNESS_MAIN
