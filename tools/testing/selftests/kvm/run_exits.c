// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM_RUN returns with, and what it does with the answer: ports, MMIO, HLT, shutdown, signals,
 * interrupt windows, TPR, and the errors. The interrupt chips are in user space, that is, here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vm.h"

GUEST(pio_out, 64,
	"mov $0xa1b2c3d4, %eax\n mov $0x1234, %dx\n"
	"out %al, %dx\n out %ax, %dx\n out %eax, %dx\n"
	"out %al, $0x80\n out %ax, $0x80\n out %eax, $0x80\n hlt");

TEST(pio_out)
{
	struct vcpu *v = LONG_VCPU(pio_out);
	static const uint8_t sizes[] = { 1, 2, 4 };
	int i;

	for (i = 0; i < 6; i++) {
		uint32_t want = 0xa1b2c3d4 & (sizes[i % 3] == 4 ? ~0u : (1u << 8 * sizes[i % 3]) - 1);
		uint32_t got = 0;

		RUN_TO(v, KVM_EXIT_IO);
		EXPECT_EQ(KVM_EXIT_IO_OUT, v->run->io.direction);
		EXPECT_EQ(sizes[i % 3], v->run->io.size);
		EXPECT_EQ(i < 3 ? 0x1234 : 0x80, v->run->io.port);
		EXPECT_EQ(1, v->run->io.count);
		EXPECT_EQ(4096, v->run->io.data_offset);
		memcpy(&got, vcpu_io_data(v), v->run->io.size);
		EXPECT_EQ(want, got);
	}
	RUN_TO(v, KVM_EXIT_HLT);
}

GUEST(pio_in, 64,
	"mov $-1, %rax\n in $0x40, %al\n mov %rax, %rbx\n"
	"mov $-1, %rax\n in $0x41, %ax\n mov %rax, %rcx\n"
	"mov $-1, %rax\n mov $0xfff0, %dx\n in %dx, %eax\n hlt");

TEST(pio_in)
{
	struct vcpu *v = LONG_VCPU(pio_in);
	struct kvm_regs r;
	int i;

	for (i = 0; i < 3; i++) {
		RUN_TO(v, KVM_EXIT_IO);
		EXPECT_EQ(KVM_EXIT_IO_IN, v->run->io.direction);
		EXPECT_EQ(1 << i, v->run->io.size);
		memset(vcpu_io_data(v), 0x11 * (i + 1), 8);
	}
	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_regs(v, &r);
	EXPECT_EQ(0xffffffffffffff11, r.rbx);
	EXPECT_EQ(0xffffffffffff2222, r.rcx);
	EXPECT_EQ(0x33333333, r.rax);
}

GUEST(rep_outs, 64,
	"cld\n mov $0x40000, %esi\n mov $24, %ecx\n mov $0x55, %edx\n rep outsb\n"
	"mov $10, %ecx\n rep outsl\n hlt");

/* The exits may be cut up as the module likes; the bytes in order are what counts. */
TEST(rep_outs)
{
	struct vcpu *v = LONG_VCPU(rep_outs);
	uint8_t got[24 + 40];
	size_t n = 0, i;
	struct kvm_regs r;

	for (i = 0; i < sizeof(got); i++)
		v->vm->ram[VM_DATA + i] = i * 7 + 3;
	while (n < sizeof(got)) {
		size_t len;

		RUN_TO(v, KVM_EXIT_IO);
		ASSERT_EQ(0x55, v->run->io.port);
		ASSERT_EQ(KVM_EXIT_IO_OUT, v->run->io.direction);
		ASSERT_EQ(n < 24 ? 1 : 4, v->run->io.size);
		len = (size_t)v->run->io.size * v->run->io.count;
		ASSERT_LT(0, len);
		ASSERT_LE(n + len, sizeof(got));
		memcpy(got + n, vcpu_io_data(v), len);
		n += len;
	}
	RUN_TO(v, KVM_EXIT_HLT);
	EXPECT_EQ(0, memcmp(got, v->vm->ram + VM_DATA, sizeof(got)));
	vcpu_regs(v, &r);
	EXPECT_EQ(0, r.rcx);
	EXPECT_EQ(VM_DATA + sizeof(got), r.rsi);
}

GUEST(rep_ins, 64,
	"cld\n mov $0x40ff8, %edi\n mov $16, %ecx\n mov $0x66, %edx\n rep insw\n"
	"std\n mov $0x42000, %edi\n mov $3, %ecx\n rep insb\n hlt");

/* Forward over a page boundary, then backward. */
TEST(rep_ins)
{
	struct vcpu *v = LONG_VCPU(rep_ins);
	uint16_t next = 0x100;
	uint8_t back = 1;
	size_t n = 0, i;
	struct kvm_regs r;

	while (n < 19) {
		uint8_t *d = vcpu_io_data(v);

		RUN_TO(v, KVM_EXIT_IO);
		ASSERT_EQ(0x66, v->run->io.port);
		ASSERT_EQ(KVM_EXIT_IO_IN, v->run->io.direction);
		ASSERT_EQ(n < 16 ? 2 : 1, v->run->io.size);
		ASSERT_LE(1, v->run->io.count);
		d = vcpu_io_data(v);
		for (i = 0; i < v->run->io.count; i++, n++) {
			if (v->run->io.size == 2)
				((uint16_t *)d)[i] = next++;
			else
				d[i] = back++;
		}
	}
	RUN_TO(v, KVM_EXIT_HLT);
	for (i = 0; i < 16; i++)
		EXPECT_EQ(0x100 + i, *(uint16_t *)(v->vm->ram + 0x40ff8 + 2 * i));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(i + 1, v->vm->ram[0x42000 - i]);
	vcpu_regs(v, &r);
	EXPECT_EQ(0, r.rcx);
	EXPECT_EQ(0x41ffd, r.rdi);
}

GUEST(mmio_sizes, 64,
	"mov $0xd0000000, %ebx\n mov $0x1122334455667788, %rax\n"
	"mov %al, (%rbx)\n mov %ax, 2(%rbx)\n mov %eax, 4(%rbx)\n mov %rax, 8(%rbx)\n"
	"mov (%rbx), %cl\n mov 2(%rbx), %dx\n mov 4(%rbx), %esi\n mov 8(%rbx), %rdi\n hlt");

TEST(mmio_sizes)
{
	struct vcpu *v = LONG_VCPU(mmio_sizes);
	static const uint64_t want[] = { 0x88, 0x7788, 0x55667788, 0x1122334455667788 };
	struct kvm_regs r;
	int i;

	for (i = 0; i < 8; i++) {
		uint64_t got = 0;
		int len = 1 << (i & 3);

		RUN_TO(v, KVM_EXIT_MMIO);
		EXPECT_EQ(VM_MMIO + (len == 1 ? 0 : len), v->run->mmio.phys_addr);
		EXPECT_EQ(len, v->run->mmio.len);
		EXPECT_EQ(i < 4, v->run->mmio.is_write);
		if (i < 4) {
			memcpy(&got, v->run->mmio.data, len);
			EXPECT_EQ(want[i], got);
		} else {
			memset(v->run->mmio.data, 0xa0 + i, 8);
		}
	}
	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_regs(v, &r);
	EXPECT_EQ(0xa4, r.rcx & 0xff);
	EXPECT_EQ(0xa5a5, r.rdx & 0xffff);
	EXPECT_EQ(0xa6a6a6a6, r.rsi);
	EXPECT_EQ(0xa7a7a7a7a7a7a7a7, r.rdi);
}

GUEST(mmio_crossing, 64,
	"mov $0xd0000ffd, %ebx\n mov $0x1122334455667788, %rax\n mov %rax, (%rbx)\n mov (%rbx), %rcx\n hlt");

/* Three bytes on one page, five on the next: pieces in ascending order that add up. */
TEST(mmio_page_crossing)
{
	struct vcpu *v = LONG_VCPU(mmio_crossing);
	uint8_t got[8] = {}, bytes[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	struct kvm_regs r;
	unsigned int pass, n;

	for (pass = 0; pass < 2; pass++) {
		for (n = 0; n < 8; n += v->run->mmio.len) {
			RUN_TO(v, KVM_EXIT_MMIO);
			ASSERT_EQ(!pass, v->run->mmio.is_write);
			ASSERT_EQ(VM_MMIO + 0xffd + n, v->run->mmio.phys_addr);
			ASSERT_LE(1, v->run->mmio.len);
			ASSERT_LE(n + v->run->mmio.len, 8);
			ASSERT_FALSE(n < 3 && n + v->run->mmio.len > 3);
			if (!pass)
				memcpy(got + n, v->run->mmio.data, v->run->mmio.len);
			else
				memcpy(v->run->mmio.data, bytes + n, v->run->mmio.len);
		}
	}
	RUN_TO(v, KVM_EXIT_HLT);
	EXPECT_EQ(0x1122334455667788, *(uint64_t *)got);
	vcpu_regs(v, &r);
	EXPECT_EQ(0x0807060504030201, r.rcx);
}

GUEST(half_mmio, 64,
	"mov $0x3ffffe, %ebx\n mov $0x11223344, %eax\n mov %eax, (%rbx)\n mov (%rbx), %ecx\n hlt");

/* The end of RAM: two bytes are memory, two are not. */
TEST(mmio_crossing_out_of_ram)
{
	struct vcpu *v = LONG_VCPU(half_mmio);
	uint16_t high;
	struct kvm_regs r;

	RUN_TO(v, KVM_EXIT_MMIO);
	EXPECT_TRUE(v->run->mmio.is_write);
	EXPECT_EQ(VM_RAM_SIZE, v->run->mmio.phys_addr);
	EXPECT_EQ(2, v->run->mmio.len);
	memcpy(&high, v->run->mmio.data, 2);
	EXPECT_EQ(0x1122, high);
	RUN_TO(v, KVM_EXIT_MMIO);
	EXPECT_EQ(0x3344, *(uint16_t *)(v->vm->ram + 0x3ffffe));
	EXPECT_FALSE(v->run->mmio.is_write);
	EXPECT_EQ(VM_RAM_SIZE, v->run->mmio.phys_addr);
	memset(v->run->mmio.data, 0x77, 8);
	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_regs(v, &r);
	EXPECT_EQ(0x77773344, r.rcx);
}

GUEST(hlt_twice, 64, "hlt\n mov $7, %ebx\n hlt");

TEST(hlt)
{
	struct vcpu *v = LONG_VCPU(hlt_twice);
	struct kvm_mp_state mp;
	struct kvm_regs r;

	RUN_TO(v, KVM_EXIT_HLT);
	EXPECT_EQ(VM_CODE + 1, vcpu_rip(v));
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_MP_STATE, &mp));
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, mp.mp_state);
	RUN_TO(v, KVM_EXIT_HLT);		/* user space decides that it wakes up */
	vcpu_regs(v, &r);
	EXPECT_EQ(7, r.rbx);
}

GUEST(real_mode, 16, "mov $0x1357, %ax\n out %ax, $0x42\n mov %cs, %bx\n hlt");

TEST(real_mode)
{
	struct vcpu *v = vm_simple();

	vm_load_guest(v->vm, 0x2000, real_mode);
	vcpu_real(v, 0x2000);
	RUN_TO(v, KVM_EXIT_IO);
	EXPECT_EQ(0x42, v->run->io.port);
	EXPECT_EQ(0x1357, *(uint16_t *)vcpu_io_data(v));
	RUN_TO(v, KVM_EXIT_HLT);
}

/* The code segment that the guest itself has loaded is where its instructions are. */
GUEST(real_far, 16, "ljmp $0x300, $0");
GUEST(real_far2, 16, "mov $0x8000, %ax\n mov %ax, %ds\n movb $0x5a, 0x10\n ljmp $0x310, $0");
GUEST(real_far3, 16, "movw $0x1234, 0x20\n hlt");

TEST(real_mode_code_segment)
{
	struct vm *vm = vm_new(0x40000);
	struct vcpu *v = vm_vcpu(vm, 0);

	vm_load_guest(vm, 0x2000, real_far);
	vm_load_guest(vm, 0x3000, real_far2);
	vm_load_guest(vm, 0x3100, real_far3);
	vcpu_real(v, 0x2000);
	RUN_TO(v, KVM_EXIT_MMIO);
	EXPECT_EQ(0x80010, v->run->mmio.phys_addr);
	EXPECT_EQ(1, v->run->mmio.len);
	EXPECT_EQ(0x5a, v->run->mmio.data[0]);
	RUN_TO(v, KVM_EXIT_MMIO);
	EXPECT_EQ(0x80020, v->run->mmio.phys_addr);
	EXPECT_EQ(2, v->run->mmio.len);
	EXPECT_EQ(0x34, v->run->mmio.data[0]);
	EXPECT_EQ(0x12, v->run->mmio.data[1]);
	RUN_TO(v, KVM_EXIT_HLT);
}

/* The architectural reset state: CS base 0xffff0000, RIP 0xfff0. */
TEST(reset_vector)
{
	struct vm *vm = vm_new(VM_RAM_SIZE);
	struct vcpu *v = vm_vcpu(vm, 0);
	uint8_t *rom = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_sregs s;

	ASSERT_NE(MAP_FAILED, rom);
	memcpy(rom + 0xfff0, guest_code(real_mode), guest_size(real_mode));
	ASSERT_EQ(0, vm_set_slot(vm, 1, KVM_MEM_READONLY, 0xffff0000, 65536, rom));
	RUN_TO(v, KVM_EXIT_IO);
	EXPECT_EQ(0x1357, *(uint16_t *)vcpu_io_data(v));
	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_sregs(v, &s);
	EXPECT_EQ(0xf000, s.cs.selector);
	EXPECT_EQ(0xffff0000, s.cs.base);
}

GUEST(triple_fault, 64, "ud2");

TEST(shutdown)
{
	struct vcpu *v = LONG_VCPU(triple_fault);
	struct kvm_sregs s;

	vcpu_sregs(v, &s);
	s.idt.limit = 0;
	ASSERT_EQ(0, vcpu_set_sregs(v, &s));
	RUN_TO(v, KVM_EXIT_SHUTDOWN);
	/* the VM stays usable: put it back on its feet */
	vm_load_guest(v->vm, VM_CODE, hlt_twice);
	vcpu_long(v, VM_CODE);
	RUN_TO(v, KVM_EXIT_HLT);
}

TEST(immediate_exit)
{
	struct vcpu *v = LONG_VCPU(hlt_twice);
	int i;

	v->run->immediate_exit = 1;
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(-EINTR, vcpu_run(v));
		EXPECT_EQ(VM_CODE, vcpu_rip(v));
	}
	v->run->immediate_exit = 0;
	RUN_TO(v, KVM_EXIT_HLT);
}

GUEST(port_in_once, 64, "in $0x40, %al\n mov $3, %ebx\n hlt");

/* An outstanding IN is completed, and nothing more, by a run that must not enter the guest. */
TEST(immediate_exit_completes_io)
{
	struct vcpu *v = LONG_VCPU(port_in_once);
	struct kvm_regs r;

	RUN_TO(v, KVM_EXIT_IO);
	*(uint8_t *)vcpu_io_data(v) = 0x99;
	v->run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, vcpu_run(v));
	vcpu_regs(v, &r);
	EXPECT_EQ(0x99, r.rax & 0xff);
	EXPECT_EQ(VM_CODE + 2, r.rip);
	EXPECT_EQ(0, r.rbx);
	v->run->immediate_exit = 0;
	RUN_TO(v, KVM_EXIT_HLT);
}

GUEST(spin, 64, "sti\n 1: jmp 1b");

static void ignore(int sig)
{
}

static void *kick_later(void *arg)
{
	struct timespec t = { .tv_nsec = 100 * 1000 * 1000 };

	nanosleep(&t, NULL);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

TEST(signal_ends_the_run)
{
	struct vcpu *v = LONG_VCPU(spin);
	struct sigaction sa = { .sa_handler = ignore };
	pthread_t self = pthread_self(), t;

	sigaction(SIGUSR1, &sa, NULL);
	ASSERT_EQ(0, pthread_create(&t, NULL, kick_later, &self));
	EXPECT_EQ(-EINTR, vcpu_run(v));
	EXPECT_EQ(KVM_EXIT_INTR, v->run->exit_reason);
	pthread_join(t, NULL);
	/* SA_RESTART makes no difference */
	sa.sa_flags = SA_RESTART;
	sigaction(SIGUSR1, &sa, NULL);
	ASSERT_EQ(0, pthread_create(&t, NULL, kick_later, &self));
	EXPECT_EQ(-EINTR, vcpu_run(v));
	pthread_join(t, NULL);
}

struct mask {
	struct kvm_signal_mask head;
	uint8_t bits[8];
};

/* SIGUSR1 blocked outside, open inside KVM_RUN: it ends the run and stays pending. */
TEST(signal_mask)
{
	struct vcpu *v = LONG_VCPU(spin);
	struct sigaction sa = { .sa_handler = ignore };
	struct mask m = { .head.len = 8 };
	struct timespec none = {};
	sigset_t set, pending;
	pthread_t self = pthread_self(), t;

	sigaction(SIGUSR1, &sa, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	m.head.len = 4;
	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_SET_SIGNAL_MASK, &m));
	m.head.len = 8;
	ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_SIGNAL_MASK, &m));
	ASSERT_EQ(0, pthread_create(&t, NULL, kick_later, &self));
	EXPECT_EQ(-EINTR, vcpu_run(v));
	EXPECT_EQ(KVM_EXIT_INTR, v->run->exit_reason);
	pthread_join(t, NULL);
	sigpending(&pending);
	EXPECT_EQ(1, sigismember(&pending, SIGUSR1));
	/* still pending: the next run ends at once, without entering the guest */
	EXPECT_EQ(-EINTR, vcpu_run(v));
	EXPECT_EQ(SIGUSR1, sigtimedwait(&set, NULL, &none));
	ASSERT_EQ(0, xioctl(v->fd, KVM_SET_SIGNAL_MASK, 0));
}

/* Counts interrupts in rbx; opens the window only after port 0x10 was written. */
GUEST(irq_guest, 64,
	"mov %eax, %eax\n out %al, $0x10\n sti\n nop\n nop\n nop\n cli\n out %al, $0x11\n hlt");
GUEST(irq_handler, 64, "inc %rbx\n iretq");

static struct vcpu *irq_vcpu(void)
{
	struct vcpu *v = LONG_VCPU(irq_guest);

	vm_load_guest(v->vm, 0x12000, irq_handler);
	vm_set_gate(v->vm, 0x51, 0x12000, 14, 0, 0);
	return v;
}

TEST(interrupt_window)
{
	struct vcpu *v = irq_vcpu();
	struct kvm_interrupt irq = { .irq = 0x51 };
	struct kvm_regs r;
	int again;

	RUN_TO(v, KVM_EXIT_IO);
	EXPECT_EQ(0, v->run->if_flag);
	EXPECT_EQ(0, v->run->ready_for_interrupt_injection);
	v->run->request_interrupt_window = 1;
	RUN_TO(v, KVM_EXIT_IRQ_WINDOW_OPEN);
	EXPECT_EQ(1, v->run->if_flag);
	EXPECT_EQ(1, v->run->ready_for_interrupt_injection);
	vcpu_regs(v, &r);
	EXPECT_EQ(1, r.rflags >> 9 & 1);
	v->run->request_interrupt_window = 0;
	ASSERT_EQ(0, xioctlp(v->fd, KVM_INTERRUPT, &irq));
	/* documented as -EEXIST; 6.1 lets the second request replace the first */
	again = xioctlp(v->fd, KVM_INTERRUPT, &irq);
	EXPECT_TRUE(again == -EEXIST || again == 0);
	RUN_TO(v, KVM_EXIT_IO);
	EXPECT_EQ(0x11, v->run->io.port);
	vcpu_regs(v, &r);
	EXPECT_EQ(1, r.rbx);
	EXPECT_EQ(0, v->run->if_flag);
}

/* Queued while the guest has IF clear: delivered when it sets it, and visible in between. */
TEST(interrupt_waits_for_if)
{
	struct vcpu *v = irq_vcpu();
	struct kvm_interrupt irq = { .irq = 0x51 };
	struct kvm_vcpu_events ev;
	struct kvm_regs r;

	RUN_TO(v, KVM_EXIT_IO);
	vcpu_regs(v, &r);
	r.rflags |= 1 << 9;
	vcpu_set_regs(v, &r);
	ASSERT_EQ(0, xioctlp(v->fd, KVM_INTERRUPT, &irq));
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_VCPU_EVENTS, &ev));
	EXPECT_EQ(1, ev.interrupt.injected);
	EXPECT_EQ(0x51, ev.interrupt.nr);
	RUN_TO(v, KVM_EXIT_IO);
	EXPECT_EQ(0x11, v->run->io.port);
	vcpu_regs(v, &r);
	EXPECT_EQ(1, r.rbx);
	ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_VCPU_EVENTS, &ev));
	EXPECT_EQ(0, ev.interrupt.injected);
}

TEST(interrupt_bad_vector)
{
	struct vcpu *v = irq_vcpu();
	struct kvm_interrupt irq = { .irq = 256 };

	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_INTERRUPT, &irq));
	irq.irq = ~0u;
	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_INTERRUPT, &irq));
}

TEST(nmi)
{
	struct vcpu *v = LONG_VCPU(hlt_twice);
	struct kvm_regs r;

	vm_load_guest(v->vm, 0x12000, irq_handler);
	vm_set_gate(v->vm, 2, 0x12000, 14, 0, 0);
	RUN_TO(v, KVM_EXIT_HLT);
	ASSERT_EQ(0, xioctl(v->fd, KVM_NMI, 0));
	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_regs(v, &r);
	EXPECT_EQ(7, r.rbx);		/* the handler ran first, then the move */
	ASSERT_EQ(0, xioctl(v->fd, KVM_NMI, 0));
	vcpu_long(v, VM_CODE);
	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_regs(v, &r);
	EXPECT_EQ(1, r.rbx);
}

GUEST(cr8_guest, 64, "mov $5, %eax\n mov %rax, %cr8\n mov %cr8, %rbx\n mov $3, %eax\n mov %rax, %cr8\n"
	"mov $9, %eax\n mov %rax, %cr8\n hlt");

/* A lowered TPR is reported, a raised one need not be; cr8 in kvm_run follows. */
TEST(cr8_and_set_tpr)
{
	struct vcpu *v = LONG_VCPU(cr8_guest);
	struct kvm_regs r;

	v->run->cr8 = 0;
	RUN_TO(v, KVM_EXIT_SET_TPR);
	EXPECT_EQ(3, v->run->cr8);
	vcpu_regs(v, &r);
	EXPECT_EQ(5, r.rbx);
	RUN_TO(v, KVM_EXIT_HLT);
	EXPECT_EQ(9, v->run->cr8);
}

GUEST(read_cr8, 64, "mov %cr8, %rbx\n hlt");

TEST(cr8_from_kvm_run)
{
	struct vcpu *v = LONG_VCPU(read_cr8);
	struct kvm_sregs s;
	struct kvm_regs r;

	v->run->cr8 = 6;
	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_regs(v, &r);
	EXPECT_EQ(6, r.rbx);
	vcpu_sregs(v, &s);
	EXPECT_EQ(6, s.cr8);
	/* out of range: refused, and the guest does not run */
	vcpu_long(v, VM_CODE);
	v->run->cr8 = 16;
	EXPECT_EQ(-EINVAL, vcpu_run(v));
	EXPECT_EQ(VM_CODE, vcpu_rip(v));
}

TEST(apic_base_is_reported)
{
	struct vcpu *v = LONG_VCPU(hlt_twice);
	struct kvm_sregs s;

	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_sregs(v, &s);
	EXPECT_EQ(s.apic_base, v->run->apic_base);
}

/* An x87 instruction that takes memory in no slot: nothing emulates that. */
GUEST(emulation_fails, 64, "mov $0xd0000000, %ebx\n fldt (%rbx)\n hlt");

TEST(emulation_failure)
{
	struct vcpu *v = LONG_VCPU(emulation_fails);
	static const uint8_t fldt[] = { 0xdb, 0x2b };

	RUN_TO(v, KVM_EXIT_INTERNAL_ERROR);
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, v->run->internal.suberror);
	EXPECT_EQ(VM_CODE + 5, vcpu_rip(v));
	ASSERT_LE(3, v->run->emulation_failure.ndata);
	ASSERT_TRUE(v->run->emulation_failure.flags &
		    KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES);
	ASSERT_LE(2, v->run->emulation_failure.insn_size);
	EXPECT_EQ(0, memcmp(fldt, v->run->emulation_failure.insn_bytes, 2));
	/* user space may skip it and go on */
	struct kvm_regs r;

	vcpu_regs(v, &r);
	r.rip += 2;
	vcpu_set_regs(v, &r);
	RUN_TO(v, KVM_EXIT_HLT);
}

/* Code where there is no memory. */
TEST(fetch_from_nowhere)
{
	struct vcpu *v = vm_simple();

	vcpu_long(v, VM_MMIO);
	RUN_TO(v, KVM_EXIT_INTERNAL_ERROR);
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, v->run->internal.suberror);
}

/* A state that set-up cannot refuse but the processor does: long mode paging bits without PAE. */
TEST(bad_state)
{
	struct vcpu *v = LONG_VCPU(hlt_twice);
	struct kvm_sregs s, before;
	int rc;

	vcpu_sregs(v, &before);
	s = before;
	s.cr4 &= ~(1ull << 5);
	rc = vcpu_set_sregs(v, &s);
	EXPECT_EQ(-EINVAL, rc);
	s = before;
	s.cr0 &= ~1ull;			/* PG without PE */
	rc = vcpu_set_sregs(v, &s);
	if (!rc) {
		rc = vcpu_run(v);
		EXPECT_EQ(0, rc);
		EXPECT_TRUE(v->run->exit_reason == KVM_EXIT_FAIL_ENTRY ||
			    v->run->exit_reason == KVM_EXIT_INTERNAL_ERROR ||
			    v->run->exit_reason == KVM_EXIT_SHUTDOWN);
	} else {
		EXPECT_EQ(-EINVAL, rc);
	}
	ASSERT_EQ(0, vcpu_set_sregs(v, &before));
	vcpu_long(v, VM_CODE);
	RUN_TO(v, KVM_EXIT_HLT);
}

TEST(run_argument_must_be_zero)
{
	struct vcpu *v = LONG_VCPU(hlt_twice);

	EXPECT_EQ(-EINVAL, xioctl(v->fd, KVM_RUN, 1));
	RUN_TO(v, KVM_EXIT_HLT);
}

GUEST(pio_to_sync, 64, "out %al, $0x40\n out %al, $0x41\n hlt");

TEST(sync_regs)
{
	struct vcpu *v = LONG_VCPU(pio_to_sync);
	int cap = has_cap(v->vm->sys, KVM_CAP_SYNC_REGS);
	struct kvm_sync_regs *s = &v->run->s.regs;

	if (cap <= 0)
		SKIP(return, "no KVM_CAP_SYNC_REGS");
	EXPECT_EQ(KVM_SYNC_X86_VALID_FIELDS, cap);
	v->run->kvm_valid_regs = 1ull << 40;
	EXPECT_EQ(-EINVAL, vcpu_run(v));
	v->run->kvm_valid_regs = 0;
	v->run->kvm_dirty_regs = 1ull << 40;
	EXPECT_EQ(-EINVAL, vcpu_run(v));
	v->run->kvm_dirty_regs = 0;
	v->run->kvm_valid_regs = KVM_SYNC_X86_VALID_FIELDS;
	RUN_TO(v, KVM_EXIT_IO);
	EXPECT_EQ(VM_PML4, s->sregs.cr3);
	EXPECT_TRUE(s->regs.rip == VM_CODE || s->regs.rip == VM_CODE + 2);
	s->regs.rbx = 0x1234;
	s->regs.rax = 0x77;
	v->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	RUN_TO(v, KVM_EXIT_IO);
	EXPECT_EQ(0, v->run->kvm_dirty_regs);
	EXPECT_EQ(0x77, *(uint8_t *)vcpu_io_data(v));
	EXPECT_EQ(0x1234, s->regs.rbx);
	s->sregs.cr0 = 1ull << 40;		/* nonsense is refused, not entered */
	v->run->kvm_dirty_regs = KVM_SYNC_X86_SREGS;
	EXPECT_EQ(-EINVAL, vcpu_run(v));
}

TEST_HARNESS_MAIN
