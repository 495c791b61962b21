// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_IOEVENTFD: which of the listeners to an address takes a write, also when there are many, and
 * which writes go to user space.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vm.h"

#define PORT 0x510
#define MANY 300

/* Writes as many bytes of RAX as CL says, to (%rdi) or, when that is 0, to port DX; then HLT. */
GUEST(out, 64, "test %rdi, %rdi\n jnz 3f\n"
	       "cmp $2, %cl\n ja 2f\n je 1f\n outb %al, %dx\n hlt\n 1: outw %ax, %dx\n hlt\n"
	       "2: outl %eax, %dx\n hlt\n"
	       "3: cmp $2, %cl\n ja 5f\n je 4f\n movb %al, (%rdi)\n hlt\n 4: movw %ax, (%rdi)\n hlt\n"
	       "5: movl %eax, (%rdi)\n hlt");

static int listen_to(struct vm *vm, uint64_t mmio, uint32_t len, int event, uint32_t flags, uint64_t value)
{
	struct kvm_ioeventfd args = {
		.addr = mmio ?: PORT, .len = len, .fd = event, .datamatch = value,
		.flags = flags | (mmio ? 0 : KVM_IOEVENTFD_FLAG_PIO),
	};

	return xioctlp(vm->fd, KVM_IOEVENTFD, &args);
}

/* How often the event was signalled since the last time. */
static uint64_t count(int event)
{
	uint64_t n = 0;

	return read(event, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* Did the write end in user space? */
static int guest_writes(struct vcpu *v, uint64_t mmio, uint32_t len, uint32_t value)
{
	struct kvm_regs r = {
		.rax = value, .rcx = len, .rdx = PORT, .rdi = mmio,
		.rip = VM_CODE, .rsp = VM_STACK_TOP, .rflags = 2,
	};

	vcpu_set_regs(v, &r);
	if (vcpu_run(v))
		die("KVM_RUN");
	if (v->run->exit_reason == KVM_EXIT_HLT)
		return 0;
	if (v->run->exit_reason != (mmio ? KVM_EXIT_MMIO : KVM_EXIT_IO))
		die("exit %s", exit_name(v->run->exit_reason));
	/* the instruction is finished by the next run */
	if (vcpu_run(v) || v->run->exit_reason != KVM_EXIT_HLT)
		die("no HLT");
	return 1;
}

FIXTURE(bus) {
	struct vcpu *v;
	struct vm *vm;
};

FIXTURE_VARIANT(bus) {
	uint64_t mmio;
};

FIXTURE_VARIANT_ADD(bus, port) { .mmio = 0 };
FIXTURE_VARIANT_ADD(bus, memory) { .mmio = VM_MMIO + 0x100 };

FIXTURE_SETUP(bus)
{
	self->v = LONG_VCPU(out);
	self->vm = self->v->vm;
}

FIXTURE_TEARDOWN(bus)
{
	vm_free(self->vm);
}

TEST_F(bus, sizes)
{
	int two = eventfd(0, EFD_NONBLOCK), any = eventfd(0, EFD_NONBLOCK);
	uint64_t at = variant->mmio;

	ASSERT_EQ(0, listen_to(self->vm, at, 2, two, 0, 0));
	EXPECT_EQ(-EEXIST, listen_to(self->vm, at, 0, any, 0, 0));
	EXPECT_EQ(1, guest_writes(self->v, at, 1, 7));
	EXPECT_EQ(0, guest_writes(self->v, at, 2, 7));
	EXPECT_EQ(1, guest_writes(self->v, at, 4, 7));
	EXPECT_EQ(1, count(two));
	ASSERT_EQ(0, listen_to(self->vm, at, 2, two, KVM_IOEVENTFD_FLAG_DEASSIGN, 0));
	EXPECT_EQ(1, guest_writes(self->v, at, 2, 7));
	EXPECT_EQ(0, count(two));
	ASSERT_EQ(0, listen_to(self->vm, at, 0, any, 0, 0));
	EXPECT_EQ(0, guest_writes(self->v, at, 1, 7));
	EXPECT_EQ(0, guest_writes(self->v, at, 4, 7));
	EXPECT_EQ(2, count(any));
}

/* One address, many values, as with a device of many queues. */
TEST_F(bus, values)
{
	int event[MANY], all = eventfd(0, EFD_NONBLOCK);
	uint64_t at = variant->mmio;
	int i;

	ASSERT_EQ(0, listen_to(self->vm, at, 1, all, 0, 0));
	for (i = 0; i < MANY; i++) {
		/* not in order, and every other one takes words */
		event[i] = eventfd(0, EFD_NONBLOCK);
		ASSERT_EQ(0, listen_to(self->vm, at, i & 1 ? 2 : 4, event[i],
				       KVM_IOEVENTFD_FLAG_DATAMATCH, i * 7 % MANY));
	}
	for (i = 0; i < MANY; i++) {
		uint32_t len = i & 1 ? 2 : 4;

		EXPECT_EQ(0, guest_writes(self->v, at, len, i * 7 % MANY));
		EXPECT_EQ(1, count(event[i]));
		EXPECT_EQ(1, guest_writes(self->v, at, 6 - len, i * 7 % MANY));
		EXPECT_EQ(0, count(event[i]));
	}
	EXPECT_EQ(1, guest_writes(self->v, at, 4, MANY));
	EXPECT_EQ(0, count(all));
	EXPECT_EQ(0, guest_writes(self->v, at, 1, 0));
	EXPECT_EQ(0, guest_writes(self->v, at, 1, 200));
	EXPECT_EQ(2, count(all));
	ASSERT_EQ(0, listen_to(self->vm, at, 2, event[1],
			       KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_DEASSIGN, 7));
	EXPECT_EQ(1, guest_writes(self->v, at, 2, 7));
	EXPECT_EQ(0, guest_writes(self->v, at, 2, 21));
	for (i = 0; i < MANY; i++)
		close(event[i]);
}

GUEST(flood, 64, "mov $0x510, %edx\n 1: outb %al, %dx\n jmp 1b");

static void *flood(void *v)
{
	while (!vcpu_run(v))
		;
	return NULL;
}

/* While the guest writes all the time: nothing after a deassign. */
TEST(deassign_under_way)
{
	struct vcpu *v = LONG_VCPU(flood);
	int event = eventfd(0, EFD_NONBLOCK), i;
	unsigned long got = 0, late = 0;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, flood, v));
	for (i = 0; i < 200; i++) {
		ASSERT_EQ(0, listen_to(v->vm, 0, 1, event, 0, 0));
		usleep(2000);
		ASSERT_EQ(0, listen_to(v->vm, 0, 1, event, KVM_IOEVENTFD_FLAG_DEASSIGN, 0));
		got += count(event);
		usleep(500);
		late += count(event);
	}
	EXPECT_NE(0, got);
	EXPECT_EQ(0, late);
	_exit(_metadata->passed ? 0 : 1);
}

TEST_HARNESS_MAIN
