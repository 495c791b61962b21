// SPDX-License-Identifier: GPL-2.0-only
/*
 * Eventfds that raise interrupt lines: requests, exact delivery, resampling, and every order of closing.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vm.h"

#define COUNT		VM_DATA
#define VECTOR		0x55
#define GSI_MSI		40
#define PIN		10

/* Programs IOAPIC pin 10 as edi says, enables the APIC, counts vector 0x55 and leaves on port 0xf1 when al == 1. */
GUEST(counter, 64,
	"mov $0xff, %al\n out %al, $0x21\n out %al, $0xa1\n"	/* the PIC has the same lines */
	"mov $0xfec00000, %ebx\n"
	"movl $0x25, (%rbx)\n movl $0, 0x10(%rbx)\n"
	"movl $0x24, (%rbx)\n mov %edi, 0x10(%rbx)\n"
	"mov $0xfee00000, %ebx\n"
	"movl $0x1ff, 0xf0(%rbx)\n"
	"out %al, $0xf1\n"
	"sti\n"
	"1: hlt\n"
	"cmpl $0, 0x40004\n"		/* told to leave */
	"je 1b\n"
	"out %al, $0xf1\n"
	"jmp 1b\n");
GUEST(handler, 64,
	"lock incl 0x40000\n"
	"movl $0, 0xb0(%rbx)\n"
	"iretq\n");

struct machine {
	struct vm *vm;
	struct vcpu *v;
	pthread_t thread;
	int rc;
};

static void *run_main(void *arg)
{
	struct machine *m = arg;

	do
		m->rc = vcpu_run(m->v);
	while (m->rc == -EINTR);
	return NULL;
}

static uint32_t counted(struct machine *m)
{
	return *(volatile uint32_t *)(m->vm->ram + COUNT);
}

static int route(struct vm *vm)
{
	struct kvm_irq_routing *r = calloc(1, sizeof(*r) + 2 * sizeof(r->entries[0]));
	int rc;

	r->nr = 2;
	r->entries[0].gsi = GSI_MSI;
	r->entries[0].type = KVM_IRQ_ROUTING_MSI;
	r->entries[0].u.msi.address_lo = 0xfee00000;
	r->entries[0].u.msi.data = VECTOR;
	r->entries[1].gsi = PIN;
	r->entries[1].type = KVM_IRQ_ROUTING_IRQCHIP;
	r->entries[1].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
	r->entries[1].u.irqchip.pin = PIN;
	rc = xioctlp(vm->fd, KVM_SET_GSI_ROUTING, r);
	free(r);
	return rc;
}

static int irqfd(struct vm *vm, int fd, uint32_t gsi, uint32_t flags, int resample)
{
	struct kvm_irqfd args = { .fd = fd, .gsi = gsi, .flags = flags, .resamplefd = resample };

	return xioctlp(vm->fd, KVM_IRQFD, &args);
}

static struct vm *vm_with_chips(void)
{
	struct vm *vm = vm_new(VM_RAM_SIZE);

	if (xioctl(vm->fd, KVM_CREATE_IRQCHIP, 0) || route(vm))
		die("no chips");
	return vm;
}

/* The guest runs, and waits for interrupts; @entry: the low half of the pin's redirection entry. */
static void begin(struct machine *m, uint32_t entry)
{
	struct kvm_regs regs;

	memset(m, 0, sizeof(*m));
	m->vm = vm_with_chips();
	vm_load_guest(m->vm, VM_CODE, counter);
	m->v = vm_vcpu(m->vm, 0);
	vcpu_long(m->v, VM_CODE);
	vm_load_guest(m->vm, VM_FREE, handler);
	vm_set_gate(m->vm, VECTOR, VM_FREE, 14, 0, 0);
	vcpu_regs(m->v, &regs);
	regs.rdi = entry;
	vcpu_set_regs(m->v, &regs);
	if (vcpu_run(m->v) || m->v->run->exit_reason != KVM_EXIT_IO)
		die("the guest did not start");
	if (pthread_create(&m->thread, NULL, run_main, m))
		die("pthread_create");
}

/* The guest is told to leave, and woken by a message. */
static void end(struct machine *m)
{
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = VECTOR };

	*(volatile uint32_t *)(m->vm->ram + COUNT + 4) = 1;
	if (xioctlp(m->vm->fd, KVM_SIGNAL_MSI, &msi) < 0)
		die("KVM_SIGNAL_MSI");
	pthread_join(m->thread, NULL);
	vm_free(m->vm);
}

static void kick(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		die("eventfd");
}

/* Waits until the guest has counted to @n; false after ten seconds. */
static int reaches(struct machine *m, uint32_t n)
{
	unsigned int i;

	for (i = 0; i < 1000000 && counted(m) < n; i++)
		usleep(i < 1000 ? 0 : 10);
	return counted(m) == n;
}

TEST(requests_refused)
{
	struct vm *none = vm_new(0), *vm = vm_with_chips();
	int fd = eventfd(0, 0), file = open("/dev/null", O_RDWR);

	EXPECT_EQ(-EINVAL, irqfd(none, fd, 1, 0, -1));
	EXPECT_EQ(-EINVAL, irqfd(vm, fd, 1, 4, -1));
	EXPECT_EQ(-EINVAL, irqfd(vm, fd, 4096, 0, -1));
	EXPECT_EQ(-EBADF, irqfd(vm, -1, 1, 0, -1));
	EXPECT_EQ(-EINVAL, irqfd(vm, file, 1, 0, -1));
	EXPECT_EQ(-EBADF, irqfd(vm, fd, 1, KVM_IRQFD_FLAG_RESAMPLE, -1));
	EXPECT_EQ(0, irqfd(vm, fd, 1, 0, -1));
	EXPECT_EQ(-EBUSY, irqfd(vm, fd, 2, 0, -1));
	EXPECT_EQ(0, irqfd(vm, fd, 2, KVM_IRQFD_FLAG_DEASSIGN, -1));
	EXPECT_EQ(0, irqfd(vm, fd, 1, KVM_IRQFD_FLAG_DEASSIGN, -1));
	EXPECT_EQ(0, irqfd(vm, fd, 1, KVM_IRQFD_FLAG_DEASSIGN, -1));
	EXPECT_EQ(0, irqfd(vm, fd, 2, 0, -1));
	close(fd);
	close(file);
	vm_free(vm);
	vm_free(none);
}

/* One interrupt for each write, none more, none less. */
TEST(each_write_interrupts_once)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct machine m;
	unsigned int i;
	uint64_t left;

	begin(&m, 0x10000);
	ASSERT_EQ(0, irqfd(m.vm, fd, GSI_MSI, 0, -1));
	for (i = 1; i <= 2000; i++) {
		kick(fd);
		ASSERT_TRUE(reaches(&m, i));
	}
	/* The count is consumed. */
	EXPECT_EQ(-1, read(fd, &left, sizeof(left)));
	/* After deassigning a write stays in the eventfd. */
	ASSERT_EQ(0, irqfd(m.vm, fd, GSI_MSI, KVM_IRQFD_FLAG_DEASSIGN, -1));
	kick(fd);
	usleep(20000);
	EXPECT_EQ(2000, counted(&m));
	/* And counts when it is assigned again. */
	ASSERT_EQ(0, irqfd(m.vm, fd, GSI_MSI, 0, -1));
	EXPECT_TRUE(reaches(&m, 2001));
	close(fd);
	end(&m);
}

TEST(edge_pin)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct machine m;
	unsigned int i;

	begin(&m, VECTOR);
	ASSERT_EQ(0, irqfd(m.vm, fd, PIN, 0, -1));
	for (i = 1; i <= 200; i++) {
		kick(fd);
		ASSERT_TRUE(reaches(&m, i));
	}
	close(fd);
	end(&m);
}

/* A level line stays up until the guest ends the interrupt; then it falls and the second eventfd tells. */
TEST(resample)
{
	int fd = eventfd(0, EFD_NONBLOCK), ack = eventfd(0, EFD_NONBLOCK);
	struct pollfd p = { .fd = ack, .events = POLLIN };
	struct machine m;
	unsigned int i;
	uint64_t acks;

	begin(&m, 0x8000 | VECTOR);
	ASSERT_EQ(0, irqfd(m.vm, fd, PIN, KVM_IRQFD_FLAG_RESAMPLE, ack));
	for (i = 1; i <= 200; i++) {
		kick(fd);
		ASSERT_EQ(1, poll(&p, 1, 10000));
		ASSERT_EQ(8, read(ack, &acks, 8));
		EXPECT_EQ(1, acks);
		ASSERT_EQ(i, counted(&m));
	}
	/* Gone with the eventfd: nobody holds the line up. */
	close(fd);
	usleep(20000);
	EXPECT_EQ(200, counted(&m));
	close(ack);
	end(&m);
}

static void *writer_main(void *arg)
{
	int fd = *(int *)arg, i;

	for (i = 0; i < 200; i++)
		kick(fd);
	return NULL;
}

/* VM, eventfd and request end in every order while somebody writes. */
TEST(ends_in_every_order)
{
	unsigned int i;

	for (i = 0; i < 60; i++) {
		struct vm *vm = vm_with_chips();
		int fd = eventfd(0, EFD_NONBLOCK), mine = dup(fd);
		pthread_t writer;

		vm_vcpu(vm, 0);
		ASSERT_EQ(0, irqfd(vm, fd, i & 1 ? PIN : GSI_MSI, 0, -1));
		ASSERT_EQ(0, pthread_create(&writer, NULL, writer_main, &mine));
		if (i % 3 == 0)
			ASSERT_EQ(0, irqfd(vm, fd, i & 1 ? PIN : GSI_MSI, KVM_IRQFD_FLAG_DEASSIGN, -1));
		if (i % 3 == 1) {
			close(fd);
			vm_free(vm);
		} else {
			vm_free(vm);
			close(fd);
		}
		pthread_join(writer, NULL);
		close(mine);
	}
}

struct closer {
	pthread_barrier_t barrier;
	int fd;
};

static void *closer_main(void *arg)
{
	struct closer *c = arg;

	pthread_barrier_wait(&c->barrier);
	close(c->fd);
	return NULL;
}

/* The last close of the eventfd while it is being deassigned: one of the two ends it, and only once. */
TEST(last_close_during_deassign)
{
	struct vm *vm = vm_with_chips();
	struct closer c;
	unsigned int i;

	vm_vcpu(vm, 0);
	pthread_barrier_init(&c.barrier, NULL, 2);
	for (i = 0; i < 1000; i++) {
		pthread_t thread;
		int rc;

		c.fd = eventfd(0, EFD_NONBLOCK);
		ASSERT_LE(0, c.fd);
		ASSERT_EQ(0, irqfd(vm, c.fd, GSI_MSI, 0, -1));
		ASSERT_EQ(0, pthread_create(&thread, NULL, closer_main, &c));
		pthread_barrier_wait(&c.barrier);
		rc = irqfd(vm, c.fd, GSI_MSI, KVM_IRQFD_FLAG_DEASSIGN, -1);
		EXPECT_TRUE(rc == 0 || rc == -EBADF);
		pthread_join(thread, NULL);
	}
	pthread_barrier_destroy(&c.barrier);
	vm_free(vm);
}

TEST_HARNESS_MAIN
