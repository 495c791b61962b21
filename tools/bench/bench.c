// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an operation costs in time-stamp ticks of the machine it runs on. In the lab, with --icount,
 * a tick is one instruction of the machine under test, so the numbers repeat to the digit.
 *
 * Exits handled in the kernel are measured as a guest loop of N operations less the same loop of
 * NOPs; everything else as N ioctls. Of several rounds the cheapest counts: a timer interrupt of
 * the host only ever adds (--rounds N: of so many). Prints one "row value" line each; "row - reason" where the module lacks it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vm.h"

#define LOOPS		1000
#define TOUCH_GPA	0x40000000ull
#define TOUCH_SIZE	(16u << 20)
#define TOUCH_PAGES	(TOUCH_SIZE / 4096)
#define IOEVENT_PORT	0xe0
#define NO_VALUE	UINT64_MAX

static int rounds = 5;
static const char *why;		/* set by a row that returns NO_VALUE */

static inline uint64_t now(void)
{
	uint32_t lo, hi;

	asm volatile("lfence; rdtsc; lfence" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

static uint64_t absent(const char *reason)
{
	why = reason;
	return NO_VALUE;
}

static void must_exit(struct vcpu *v, uint32_t reason)
{
	int rc = vcpu_run(v);

	if (rc || v->run->exit_reason != reason) {
		vcpu_dump(v);
		die("KVM_RUN %d, exit %u, wanted %s", rc, v->run->exit_reason, exit_name(reason));
	}
}

/* --- loops inside the guest: r15 counts, rbx/rcx/rdx/rax hold operands --- */

#define LOOP(name, op) GUEST(name, 64, "1:\n" op "\n dec %r15\n jnz 1b\n hlt")
LOOP(l_nop, "nop");
LOOP(l_cpuid, "xor %eax, %eax\n cpuid");
LOOP(l_vmcall, "mov $0x7fff, %eax\n vmcall");
LOOP(l_vmmcall, "mov $0x7fff, %eax\n vmmcall");
LOOP(l_rdmsr, "rdmsr");
LOOP(l_wrmsr, "wrmsr");
LOOP(l_pause, "pause");
LOOP(l_wbinvd, "wbinvd");
LOOP(l_out, "out %al, %dx");
LOOP(l_in, "in %dx, %al");
LOOP(l_store, "mov %eax, (%rbx)");
LOOP(l_load, "mov (%rbx), %eax");
LOOP(l_touch, "incq (%rbx)\n add $4096, %rbx");
GUEST(l_hlt, 64, "1: hlt\n jmp 1b");
GUEST(l_irq, 64, "sti\n 1: jmp 1b");
GUEST(l_irq_handler, 64, "out %al, $0xf1\n iretq");

/* Run `code` for `loops` rounds until its HLT; `regs` are the operands. Ticks. */
static uint64_t run_loop(struct vcpu *v, const uint8_t *code, size_t size, struct kvm_regs regs, uint64_t loops)
{
	uint64_t t;

	vm_load(v->vm, VM_CODE, code, size);
	regs.rip = VM_CODE;
	regs.rsp = VM_STACK_TOP;
	regs.rflags = 2;
	regs.r15 = loops;
	vcpu_set_regs(v, &regs);
	t = now();
	must_exit(v, KVM_EXIT_HLT);
	return now() - t;
}

static uint64_t in_guest(const uint8_t *code, size_t size, struct kvm_regs regs)
{
	struct vcpu *v = LONG_VCPU(l_nop);
	uint64_t best = NO_VALUE, idle = NO_VALUE, t;
	int i;

	for (i = 0; i < rounds; i++) {
		t = run_loop(v, guest_code(l_nop), guest_size(l_nop), regs, LOOPS);
		idle = t < idle ? t : idle;
		t = run_loop(v, code, size, regs, LOOPS);
		best = t < best ? t : best;
	}
	vm_free(v->vm);
	return best > idle ? (best - idle) / LOOPS : 0;
}
#define IN_GUEST(name, ...) in_guest(guest_code(name), guest_size(name), (struct kvm_regs){ __VA_ARGS__ })

static uint64_t row_cpuid(void) { return IN_GUEST(l_cpuid); }
static uint64_t row_hypercall(void)
{
	return __builtin_cpu_is("intel") ? IN_GUEST(l_vmcall) : IN_GUEST(l_vmmcall);
}

static uint64_t row_rdmsr(void) { return IN_GUEST(l_rdmsr, .rcx = 0x2ff); }
static uint64_t row_wrmsr(void) { return IN_GUEST(l_wrmsr, .rcx = 0x2ff); }
static uint64_t row_pause(void) { return IN_GUEST(l_pause); }
static uint64_t row_wbinvd(void) { return IN_GUEST(l_wbinvd); }

/* --- ioeventfd --- */

static uint64_t ioeventfd(int pio)
{
	struct vcpu *v = LONG_VCPU(l_nop);
	struct kvm_ioeventfd e = {
		.addr = pio ? IOEVENT_PORT : VM_MMIO, .len = pio ? 1 : 4,
		.flags = pio ? KVM_IOEVENTFD_FLAG_PIO : 0, .fd = eventfd(0, EFD_NONBLOCK),
	};
	struct kvm_regs regs = { .rdx = IOEVENT_PORT, .rbx = VM_MMIO };
	uint64_t best = NO_VALUE, idle = NO_VALUE, t;
	int i;

	if (has_cap(v->vm->sys, KVM_CAP_IOEVENTFD) <= 0 || xioctlp(v->vm->fd, KVM_IOEVENTFD, &e)) {
		vm_free(v->vm);
		return absent("no KVM_IOEVENTFD");
	}
	for (i = 0; i < rounds; i++) {
		t = run_loop(v, guest_code(l_nop), guest_size(l_nop), regs, LOOPS);
		idle = t < idle ? t : idle;
		if (pio)
			t = run_loop(v, guest_code(l_out), guest_size(l_out), regs, LOOPS);
		else
			t = run_loop(v, guest_code(l_store), guest_size(l_store), regs, LOOPS);
		best = t < best ? t : best;
	}
	if (read(e.fd, &t, 8) != 8 || t != (uint64_t)rounds * LOOPS)
		die("the eventfd was not signalled every time");
	vm_free(v->vm);
	return (best - idle) / LOOPS;
}

static uint64_t row_pio_ioeventfd(void) { return ioeventfd(1); }
static uint64_t row_mmio_ioeventfd(void) { return ioeventfd(0); }

/* --- exits to user space and back --- */

static uint64_t to_user(const uint8_t *code, size_t size, uint32_t reason, struct kvm_regs regs)
{
	struct vcpu *v = vm_long(code, size);
	uint64_t best = NO_VALUE, t;
	int i, n;

	regs.rip = VM_CODE;
	regs.rflags = 2;
	regs.r15 = UINT64_MAX;
	vcpu_set_regs(v, &regs);
	must_exit(v, reason);
	for (i = 0; i < rounds; i++) {
		t = now();
		for (n = 0; n < LOOPS; n++)
			must_exit(v, reason);
		t = now() - t;
		best = t < best ? t : best;
	}
	vm_free(v->vm);
	return best / LOOPS;
}
#define TO_USER(name, reason, ...) \
	to_user(guest_code(name), guest_size(name), reason, (struct kvm_regs){ __VA_ARGS__ })

static uint64_t row_pio_out(void) { return TO_USER(l_out, KVM_EXIT_IO, .rdx = 0xf1); }
static uint64_t row_pio_in(void) { return TO_USER(l_in, KVM_EXIT_IO, .rdx = 0xf1); }
static uint64_t row_mmio_write(void) { return TO_USER(l_store, KVM_EXIT_MMIO, .rbx = VM_MMIO); }
static uint64_t row_mmio_read(void) { return TO_USER(l_load, KVM_EXIT_MMIO, .rbx = VM_MMIO); }
static uint64_t row_hlt(void) { return TO_USER(l_hlt, KVM_EXIT_HLT); }

/* KVM_INTERRUPT, the delivery, and the handler's OUT back to user space. */
static uint64_t row_interrupt(void)
{
	struct vcpu *v = LONG_VCPU(l_irq);
	struct kvm_interrupt irq = { .irq = 0x50 };
	struct kvm_regs r;
	uint64_t best = NO_VALUE, t;
	int i, n;

	vm_load_guest(v->vm, 0x12000, l_irq_handler);
	vm_set_gate(v->vm, 0x50, 0x12000, 14, 0, 0);
	vcpu_regs(v, &r);
	r.rip = VM_CODE + 1;
	r.rflags = 0x202;
	vcpu_set_regs(v, &r);
	for (i = 0; i < rounds; i++) {
		t = now();
		for (n = 0; n < LOOPS; n++) {
			if (xioctlp(v->fd, KVM_INTERRUPT, &irq))
				die("KVM_INTERRUPT");
			must_exit(v, KVM_EXIT_IO);
			/* finish the OUT; IRET opens the window again */
			v->run->request_interrupt_window = 1;
			must_exit(v, KVM_EXIT_IRQ_WINDOW_OPEN);
			v->run->request_interrupt_window = 0;
		}
		t = now() - t;
		best = t < best ? t : best;
	}
	vm_free(v->vm);
	return best / LOOPS;
}

/* --- local APICs in the kernel --- */

#define APIC_ON "mov $0x1b, %ecx\n rdmsr\n or $0x400, %eax\n wrmsr\n" \
	"mov $0x80f, %ecx\n mov $0x1ff, %eax\n xor %edx, %edx\n wrmsr\n"
#define WRITE(msr, low) "mov $" #msr ", %ecx\n mov $" #low ", %eax\n xor %edx, %edx\n wrmsr\n"

/* In x2APIC mode; R15 rounds between two reports. */
#define APIC_LOOP(name, before, op) \
	GUEST(name, 64, APIC_ON before "out %al, $0xf1\n sti\n mov %r15, %r14\n 1:\n" op " dec %r14\n jnz 1b\n out %al, $0xf1\n hlt")
APIC_LOOP(a_nop, "", "nop\n");
APIC_LOOP(a_eoi, "", WRITE(0x80b, 0));
APIC_LOOP(a_self_ipi, "", WRITE(0x83f, 0x51));
APIC_LOOP(a_timer, WRITE(0x83e, 0xb) WRITE(0x832, 0x10051), WRITE(0x838, 0x7fffffff));
APIC_LOOP(a_deadline, WRITE(0x832, 0x50051),
	  "rdtsc\n shl $32, %rdx\n or %rdx, %rax\n mov $0x10000000, %edx\n add %rdx, %rax\n mov %rax, %rdx\n"
	  "shr $32, %rdx\n mov $0x6e0, %ecx\n wrmsr\n");
/* An IPI to a vCPU that is not running: id 1, which has no thread. */
APIC_LOOP(a_ipi, "", "mov $0x830, %ecx\n mov $0x4051, %eax\n mov $1, %edx\n wrmsr\n");
GUEST(a_handler, 64, "push %rax\n push %rcx\n push %rdx\n" WRITE(0x80b, 0) "pop %rdx\n pop %rcx\n pop %rax\n iretq");
/* Reports each interrupt that has woken it. */
GUEST(a_sleeps, 64, APIC_ON "out %al, $0xf1\n 1: sti\n hlt\n cli\n out %al, $0xf1\n jmp 1b");
GUEST(a_runs, 64, APIC_ON "out %al, $0xf1\n sti\n 1: xor %eax, %eax\n xchg %eax, 0x60000\n test %eax, %eax\n jz 1b\n"
	"out %al, $0xf1\n jmp 1b");
GUEST(a_notes, 64, "push %rax\n push %rcx\n push %rdx\n movl $1, 0x60000\n" WRITE(0x80b, 0)
	"pop %rdx\n pop %rcx\n pop %rax\n iretq");

/* Two vCPUs, the second never runs; the first has just reported. NULL without the chips. */
static struct vcpu *apic_vcpu(const uint8_t *code, size_t size, const uint8_t *handler, size_t handler_size)
{
	struct vm *vm = vm_new(VM_RAM_SIZE);
	struct kvm_cpuid2 *c;
	struct kvm_regs r;
	struct vcpu *v;

	if (xioctl(vm->fd, KVM_CREATE_IRQCHIP, 0)) {
		vm_free(vm);
		return NULL;
	}
	v = vm_vcpu(vm, 0);
	vm_vcpu(vm, 1);
	/* The TSC deadline is the local APIC's, so it is for who asks for one. */
	c = supported_cpuid(vm->sys);
	((struct kvm_cpuid_entry2 *)cpuid_find(c, 1, 0))->ecx |= 1u << 24;
	if (xioctlp(v->fd, KVM_SET_CPUID2, c))
		die("KVM_SET_CPUID2");
	free(c);
	vm_load(vm, VM_CODE, code, size);
	vm_load(vm, 0x12000, handler, handler_size);
	vcpu_long(v, VM_CODE);
	vm_set_gate(vm, 0x51, 0x12000, 14, 0, 0);
	vcpu_regs(v, &r);
	r.r15 = LOOPS;
	vcpu_set_regs(v, &r);
	must_exit(v, KVM_EXIT_IO);
	return v;
}

static uint64_t apic_once(const uint8_t *code, size_t size)
{
	uint64_t best = NO_VALUE, t;
	int i;

	for (i = 0; i < rounds; i++) {
		struct vcpu *v = apic_vcpu(code, size, guest_code(a_handler), guest_size(a_handler));

		if (!v)
			return absent("no KVM_CREATE_IRQCHIP");
		t = now();
		must_exit(v, KVM_EXIT_IO);
		t = now() - t;
		best = t < best ? t : best;
		vm_free(v->vm);
	}
	return best;
}

static uint64_t in_apic(const uint8_t *code, size_t size)
{
	uint64_t t = apic_once(code, size), idle;

	if (t == NO_VALUE)
		return t;
	idle = apic_once(guest_code(a_nop), guest_size(a_nop));
	return t > idle ? (t - idle) / LOOPS : 0;
}
#define IN_APIC(name) in_apic(guest_code(name), guest_size(name))

static uint64_t row_eoi(void) { return IN_APIC(a_eoi); }
static uint64_t row_self_ipi(void) { return IN_APIC(a_self_ipi); }
static uint64_t row_ipi(void) { return IN_APIC(a_ipi); }
static uint64_t row_apic_timer(void) { return IN_APIC(a_timer); }
static uint64_t row_deadline(void) { return IN_APIC(a_deadline); }

/* An eventfd is written; the guest takes the interrupt, ends it, and reports. */
static uint64_t irqfd(const uint8_t *code, size_t size, const uint8_t *handler, size_t handler_size)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry e;
	} route = {
		.head.nr = 1,
		.e = { .gsi = 40, .type = KVM_IRQ_ROUTING_MSI, .u.msi = { .address_lo = 0xfee00000, .data = 0x51 } },
	};
	struct kvm_irqfd fd = { .gsi = 40, .fd = eventfd(0, EFD_NONBLOCK) };
	struct vcpu *v = apic_vcpu(code, size, handler, handler_size);
	uint64_t best = NO_VALUE, t, one = 1;
	int i, n;

	if (!v)
		return absent("no KVM_CREATE_IRQCHIP");
	if (xioctlp(v->vm->fd, KVM_SET_GSI_ROUTING, &route) || xioctlp(v->vm->fd, KVM_IRQFD, &fd))
		die("KVM_IRQFD");
	for (i = 0; i < rounds; i++) {
		t = now();
		for (n = 0; n < LOOPS; n++) {
			if (write(fd.fd, &one, sizeof(one)) != sizeof(one))
				die("the eventfd");
			must_exit(v, KVM_EXIT_IO);
		}
		t = now() - t;
		best = t < best ? t : best;
	}
	vm_free(v->vm);
	return best / LOOPS;
}

static uint64_t row_irqfd(void)
{
	return irqfd(guest_code(a_runs), guest_size(a_runs), guest_code(a_notes), guest_size(a_notes));
}

/* The same with HLT, which has work as soon as it sleeps. */
static uint64_t row_hlt_wake(void)
{
	return irqfd(guest_code(a_sleeps), guest_size(a_sleeps), guest_code(a_handler), guest_size(a_handler));
}

/* --- ioctls on a vCPU --- */

static uint64_t vcpu_ioctls(unsigned long get, unsigned long set, int measure_set)
{
	struct vcpu *v = LONG_VCPU(l_nop);
	static uint8_t buf[8192];
	uint64_t best = NO_VALUE, t;
	int i, n;

	if (xioctlp(v->fd, get, buf))
		die("ioctl %#lx", get);
	for (i = 0; i < rounds; i++) {
		t = now();
		for (n = 0; n < LOOPS; n++)
			if (xioctlp(v->fd, measure_set ? set : get, buf))
				die("ioctl %#lx", measure_set ? set : get);
		t = now() - t;
		best = t < best ? t : best;
	}
	vm_free(v->vm);
	return best / LOOPS;
}

static uint64_t row_get_regs(void) { return vcpu_ioctls(KVM_GET_REGS, KVM_SET_REGS, 0); }
static uint64_t row_set_regs(void) { return vcpu_ioctls(KVM_GET_REGS, KVM_SET_REGS, 1); }
static uint64_t row_get_sregs(void) { return vcpu_ioctls(KVM_GET_SREGS, KVM_SET_SREGS, 0); }
static uint64_t row_set_sregs(void) { return vcpu_ioctls(KVM_GET_SREGS, KVM_SET_SREGS, 1); }
static uint64_t row_get_xsave(void) { return vcpu_ioctls(KVM_GET_XSAVE, KVM_SET_XSAVE, 0); }

static uint64_t row_immediate_exit(void)
{
	struct vcpu *v = LONG_VCPU(l_nop);
	uint64_t best = NO_VALUE, t;
	int i, n;

	v->run->immediate_exit = 1;
	for (i = 0; i < rounds; i++) {
		t = now();
		for (n = 0; n < LOOPS; n++)
			if (vcpu_run(v) != -EINTR)
				die("immediate_exit did not");
		t = now() - t;
		best = t < best ? t : best;
	}
	vm_free(v->vm);
	return best / LOOPS;
}

/* --- memory --- */

static uint8_t *touch_area(int huge)
{
	uint8_t *p = mmap(NULL, TOUCH_SIZE + (2u << 20), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	p = (uint8_t *)(((uintptr_t)p + (2u << 20) - 1) & ~((uintptr_t)(2u << 20) - 1));
	madvise(p, TOUCH_SIZE, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	memset(p, 1, TOUCH_SIZE);
	return p;
}

static uint64_t touch(struct vcpu *v)
{
	return run_loop(v, guest_code(l_touch), guest_size(l_touch),
			(struct kvm_regs){ .rbx = TOUCH_GPA }, TOUCH_PAGES);
}

static uint64_t first_touch(int huge)
{
	struct vcpu *v = LONG_VCPU(l_nop);
	uint8_t *p = touch_area(huge);
	uint64_t cold, warm;

	if (vm_set_slot(v->vm, 1, 0, TOUCH_GPA, TOUCH_SIZE, p))
		die("slot 1");
	cold = touch(v);
	warm = touch(v);
	vm_free(v->vm);
	munmap(p, TOUCH_SIZE);
	return (cold - warm) / TOUCH_PAGES;
}

static uint64_t row_touch_4k(void) { return first_touch(0); }
static uint64_t row_touch_2m(void) { return first_touch(1); }

/* Ticks of the write faults and of the log read, per page, of one logged pass. */
static int dirty_pass(uint64_t *fault, uint64_t *log)
{
	struct vcpu *v = LONG_VCPU(l_nop);
	static uint64_t bits[TOUCH_PAGES / 64];
	struct kvm_dirty_log get = { .slot = 1, .dirty_bitmap = bits };
	uint8_t *p = touch_area(0);
	uint64_t warm, t;
	size_t i, n = 0;

	if (vm_set_slot(v->vm, 1, 0, TOUCH_GPA, TOUCH_SIZE, p))
		die("slot 1");
	touch(v);
	warm = touch(v);
	if (vm_set_slot(v->vm, 1, KVM_MEM_LOG_DIRTY_PAGES, TOUCH_GPA, TOUCH_SIZE, p)) {
		vm_free(v->vm);
		return -1;
	}
	t = touch(v);
	*fault = (t - warm) / TOUCH_PAGES;
	t = now();
	if (xioctlp(v->vm->fd, KVM_GET_DIRTY_LOG, &get))
		die("KVM_GET_DIRTY_LOG");
	*log = (now() - t) / TOUCH_PAGES;
	for (i = 0; i < TOUCH_PAGES / 64; i++)
		n += __builtin_popcountll(bits[i]);
	if (n != TOUCH_PAGES)
		die("%zu of %u pages are dirty", n, TOUCH_PAGES);
	vm_free(v->vm);
	munmap(p, TOUCH_SIZE);
	return 0;
}

static uint64_t row_dirty_fault(void)
{
	uint64_t fault, log;

	return dirty_pass(&fault, &log) ? absent("no dirty log") : fault;
}

static uint64_t row_dirty_log(void)
{
	uint64_t fault, log;

	return dirty_pass(&fault, &log) ? absent("no dirty log") : log;
}

static uint64_t row_memslot(void)
{
	struct vcpu *v = LONG_VCPU(l_nop);
	uint8_t *p = touch_area(0);
	uint64_t best = NO_VALUE, t;
	int i, n;

	for (i = 0; i < rounds; i++) {
		t = now();
		for (n = 0; n < 10; n++)
			if (vm_set_slot(v->vm, 1, 0, TOUCH_GPA, TOUCH_SIZE, p) ||
			    vm_set_slot(v->vm, 1, 0, TOUCH_GPA, 0, p))
				die("slot 1");
		t = now() - t;
		best = t < best ? t : best;
	}
	vm_free(v->vm);
	munmap(p, TOUCH_SIZE);
	return best / 10;
}

static uint64_t row_vm(void)
{
	uint64_t best = NO_VALUE, t;
	int i, sys = kvm_open();

	for (i = 0; i < 3 * rounds; i++) {
		int vm, vcpu;

		t = now();
		vm = xioctl(sys, KVM_CREATE_VM, 0);
		vcpu = xioctl(vm, KVM_CREATE_VCPU, 0);
		if (vm < 0 || vcpu < 0)
			die("KVM_CREATE_VM %d, KVM_CREATE_VCPU %d", vm, vcpu);
		close(vcpu);
		close(vm);
		t = now() - t;
		best = t < best ? t : best;
	}
	return best;
}

static const struct row {
	const char *name;
	uint64_t (*fn)(void);
	const char *what;
} rows[] = {
	{ "cpuid", row_cpuid, "CPUID" },
	{ "hypercall", row_hypercall, "hypercall with an unknown number" },
	{ "rdmsr", row_rdmsr, "RDMSR of MTRRdefType" },
	{ "wrmsr", row_wrmsr, "WRMSR of MTRRdefType" },
	{ "pause", row_pause, "PAUSE" },
	{ "wbinvd", row_wbinvd, "WBINVD" },
	{ "pio_ioeventfd", row_pio_ioeventfd, "OUT to an ioeventfd" },
	{ "mmio_ioeventfd", row_mmio_ioeventfd, "MMIO write to an ioeventfd" },
	{ "pio_out", row_pio_out, "OUT, to user space and back" },
	{ "pio_in", row_pio_in, "IN, to user space and back" },
	{ "mmio_write", row_mmio_write, "MMIO write, to user space and back" },
	{ "mmio_read", row_mmio_read, "MMIO read, to user space and back" },
	{ "hlt", row_hlt, "HLT, to user space and back" },
	{ "interrupt", row_interrupt, "KVM_INTERRUPT, handler with OUT, window exit" },
	{ "eoi", row_eoi, "EOI in x2APIC mode" },
	{ "ipi", row_ipi, "IPI in x2APIC mode to a vCPU without a thread" },
	{ "self_ipi", row_self_ipi, "self-IPI in x2APIC mode, taken and ended" },
	{ "apic_timer", row_apic_timer, "write of the APIC timer's initial count" },
	{ "deadline", row_deadline, "write of the TSC deadline" },
	{ "irqfd", row_irqfd, "eventfd to a guest that runs, handler, OUT to user space" },
	{ "hlt_wake", row_hlt_wake, "the same to a guest that halts" },
	{ "immediate_exit", row_immediate_exit, "KVM_RUN with immediate_exit" },
	{ "get_regs", row_get_regs, "KVM_GET_REGS" },
	{ "set_regs", row_set_regs, "KVM_SET_REGS" },
	{ "get_sregs", row_get_sregs, "KVM_GET_SREGS" },
	{ "set_sregs", row_set_sregs, "KVM_SET_SREGS" },
	{ "get_xsave", row_get_xsave, "KVM_GET_XSAVE" },
	{ "touch_4k", row_touch_4k, "first touch of a 4 KiB page" },
	{ "touch_2m", row_touch_2m, "first touch per 4 KiB, 2 MiB host pages" },
	{ "dirty_fault", row_dirty_fault, "write fault under dirty logging, per 4 KiB" },
	{ "dirty_log", row_dirty_log, "KVM_GET_DIRTY_LOG per dirty 4 KiB" },
	{ "memslot", row_memslot, "memory slot add + delete" },
	{ "vm", row_vm, "VM with one vCPU, create + destroy" },
};

int main(int argc, char **argv)
{
	size_t i;
	int a;

	if (argc > 2 && !strcmp(argv[1], "--rounds")) {
		rounds = atoi(argv[2]);
		argc -= 2;
		argv += 2;
	}
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int wanted = argc < 2;
		uint64_t value;

		if (argc == 2 && !strcmp(argv[1], "--list")) {
			printf("%-16s %s\n", rows[i].name, rows[i].what);
			continue;
		}
		for (a = 1; a < argc; a++)
			wanted |= !strcmp(argv[a], rows[i].name);
		if (!wanted)
			continue;
		value = rows[i].fn();
		if (value == NO_VALUE)
			printf("%s - %s\n", rows[i].name, why);
		else
			printf("%s %llu\n", rows[i].name, (unsigned long long)value);
	}
	return 0;
}
