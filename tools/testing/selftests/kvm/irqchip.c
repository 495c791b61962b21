// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupt chips in the kernel: their ioctls, and what a guest sees of lines, messages, IPIs and timers.
 * The guests count interrupts in memory and report after each HLT.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vm.h"

#define COUNT	VM_DATA			/* u32 per vector: what the handlers count */
#define APIC	"0xfee00000"
#define IOAPIC	"0xfec00000"

/* --- guest code ------------------------------------------------------------------------------ */

/* Handlers: one entry of 16 bytes per vector; each counts, ends the interrupt and returns. */
GUEST(handlers, 64,
	".rept 256\n"
	".balign 16\n"
	"push %rax\n"
	"call 1f\n"
	".endr\n"
	".balign 16\n"
	"1: pop %rax\n"			/* behind the entry's call */
	"lea guest_handlers(%rip), %rdx\n"
	"sub %rdx, %rax\n"
	"shr $4, %eax\n"
	"lock incl 0x40000(,%rax,4)\n"
	"mov $" APIC ", %edx\n"
	"movl $0, 0xb0(%rdx)\n"
	"pop %rax\n"
	"iretq\n");

/* Enables the APIC, then halts with interrupts on and reports each time it wakes. */
GUEST(sleeper, 64,
	"mov $" APIC ", %ebx\n"
	"movl $0x1ff, 0xf0(%rbx)\n"
	"1: sti\n"
	"hlt\n"
	"cli\n"
	"mov $1, %al\n"
	"out %al, $0xf1\n"
	"jmp 1b\n");

/* The same, after programming IOAPIC pin edi (low half of the entry in esi). */
GUEST(ioapic, 64,
	"mov $0xff, %al\n out %al, $0x21\n out %al, $0xa1\n"	/* the PIC has the same lines */
	"mov $" APIC ", %ebx\n"
	"movl $0x1ff, 0xf0(%rbx)\n"
	"mov $" IOAPIC ", %ebx\n"
	"lea 0x11(,%rdi,2), %eax\n"
	"mov %eax, (%rbx)\n"
	"movl $0, 0x10(%rbx)\n"
	"dec %eax\n"
	"mov %eax, (%rbx)\n"
	"mov %esi, 0x10(%rbx)\n"
	"out %al, $0xf1\n"
	"1: sti\n"
	"hlt\n"
	"cli\n"
	"mov $1, %al\n"
	"out %al, $0xf1\n"
	"jmp 1b\n");

/* The PIC pair at 0x20 and 0x28, everything but IRQ 3 masked; its handler ends by the PIC. */
GUEST(pic, 64,
	"mov $0x11, %al\n out %al, $0x20\n out %al, $0xa0\n"
	"mov $0x20, %al\n out %al, $0x21\n"
	"mov $0x28, %al\n out %al, $0xa1\n"
	"mov $4, %al\n out %al, $0x21\n"
	"mov $2, %al\n out %al, $0xa1\n"
	"mov $1, %al\n out %al, $0x21\n out %al, $0xa1\n"
	"mov $0xf7, %al\n out %al, $0x21\n"
	"mov $0xff, %al\n out %al, $0xa1\n"
	"1: sti\n"
	"hlt\n"
	"cli\n"
	"mov $1, %al\n"
	"out %al, $0xf1\n"
	"jmp 1b\n");
GUEST(pic_handler, 64,
	"push %rax\n"
	"lock incl 0x40000 + 0x23 * 4\n"
	"mov $0x20, %al\n"
	"out %al, $0x20\n"
	"pop %rax\n"
	"iretq\n");

/* Counts vector 0x71, and does not end it. */
GUEST(plain, 64,
	"lock incl 0x40000 + 0x71 * 4\n"
	"iretq\n");

/* x2APIC: sends ICR = rsi, then reports. */
GUEST(icr, 64,
	"mov $0x1b, %ecx\n rdmsr\n or $0x400, %eax\n wrmsr\n"
	"mov $0x80f, %ecx\n mov $0x1ff, %eax\n xor %edx, %edx\n wrmsr\n"
	"1: mov $0x830, %ecx\n"
	"mov %esi, %eax\n"
	"mov %rsi, %rdx\n shr $32, %rdx\n"
	"wrmsr\n"
	"sti\n nop\n nop\n cli\n"
	"mov $1, %al\n"
	"out %al, $0xf1\n"
	"jmp 1b\n");

/* What an AP runs: real mode, at the page the SIPI names. */
GUEST(ap, 16,
	"mov %cs, %ax\n"
	"mov $0xf1, %dx\n"
	"out %ax, %dx\n"
	"1: hlt\n"
	"jmp 1b\n");

/* The APIC timer: LVT = edi, divide 1, initial count esi; reports after edx interrupts of vector 0x61. */
GUEST(timer, 64,
	"mov %edx, %r8d\n"
	"mov $" APIC ", %ebx\n"
	"movl $0x1ff, 0xf0(%rbx)\n"
	"movl $0xb, 0x3e0(%rbx)\n"
	"mov %edi, 0x320(%rbx)\n"
	"mov %esi, 0x380(%rbx)\n"
	"1: sti\n hlt\n cli\n"
	"cmp %r8d, 0x40000 + 0x61 * 4\n"
	"jb 1b\n"
	"mov 0x390(%rbx), %eax\n"
	"out %eax, $0xf1\n"
	"jmp 1b\n");

/* TSC deadline: vector 0x61 when the TSC has advanced by rsi; reports 1 if that was not too early. */
GUEST(deadline, 64,
	"mov $" APIC ", %ebx\n"
	"movl $0x1ff, 0xf0(%rbx)\n"
	"movl $0x40061, 0x320(%rbx)\n"
	"rdtsc\n shl $32, %rdx\n or %rdx, %rax\n"
	"lea (%rax,%rsi), %r8\n"
	"mov %r8, %rax\n mov %r8, %rdx\n shr $32, %rdx\n"
	"mov $0x6e0, %ecx\n wrmsr\n"
	"sti\n hlt\n cli\n"
	"rdtsc\n shl $32, %rdx\n or %rdx, %rax\n"
	"cmp %r8, %rax\n"
	"setae %al\n"
	"out %al, $0xf1\n"
	"1: jmp 1b\n");

/* CR8 = 6 hides vector 0x61; lowering it lets it in. Reports the count before and after. */
GUEST(tpr, 64,
	"mov $" APIC ", %ebx\n"
	"movl $0x1ff, 0xf0(%rbx)\n"
	"mov $6, %eax\n mov %rax, %cr8\n"
	"movl $0x44061, 0x300(%rbx)\n"	/* to self */
	"sti\n nop\n nop\n"
	"mov 0x40000 + 0x61 * 4, %eax\n out %al, $0xf1\n"
	"xor %eax, %eax\n mov %rax, %cr8\n"
	"nop\n"
	"mov 0x40000 + 0x61 * 4, %eax\n out %al, $0xf1\n"
	"1: jmp 1b\n");

/* --- machines -------------------------------------------------------------------------------- */

#define HANDLERS VM_FREE
#define VM_CODE2 (VM_FREE + 0x10000)

static uint32_t counted(struct vm *vm, unsigned int vector)
{
	return ((volatile uint32_t *)(vm->ram + COUNT))[vector];
}

/* A machine with chips, @cpus vCPUs, and vCPU 0 about to run the code. */
static struct vm *machine(unsigned int cpus, const uint8_t *code, size_t size)
{
	struct vm *vm = vm_new(VM_RAM_SIZE);
	struct kvm_pit_config pit = { };
	unsigned int i;

	if (xioctl(vm->fd, KVM_CREATE_IRQCHIP, 0) || xioctlp(vm->fd, KVM_CREATE_PIT2, &pit))
		die("no chips");
	vm_load(vm, VM_CODE, code, size);
	vm_load_guest(vm, HANDLERS, handlers);
	for (i = 0; i < cpus; i++)
		vm_vcpu(vm, i);
	vcpu_long(vm->vcpus[0], VM_CODE);
	for (i = 0x20; i < 256; i++)
		vm_set_gate(vm, i, HANDLERS + 16 * i, 14, 0, 0);
	return vm;
}

#define MACHINE(cpus, name) machine(cpus, guest_code(name), guest_size(name))

static void args(struct vcpu *v, uint64_t rdi, uint64_t rsi, uint64_t rdx)
{
	struct kvm_regs regs;

	vcpu_regs(v, &regs);
	regs.rdi = rdi;
	regs.rsi = rsi;
	regs.rdx = rdx;
	vcpu_set_regs(v, &regs);
}

static int line(struct vm *vm, uint32_t gsi, uint32_t level)
{
	struct kvm_irq_level l = { .irq = gsi, .level = level };
	int rc = xioctlp(vm->fd, KVM_IRQ_LINE_STATUS, &l);

	return rc ? rc : (int)l.status;
}

/* Runs the vCPU in a thread to its next exit. */
struct runner {
	pthread_t thread;
	struct vcpu *v;
	int rc;
};

static void *runner_main(void *arg)
{
	struct runner *r = arg;

	do
		r->rc = vcpu_run(r->v);
	while (r->rc == -EINTR);
	return NULL;
}

static void start(struct runner *r, struct vcpu *v)
{
	r->v = v;
	if (pthread_create(&r->thread, NULL, runner_main, r))
		die("pthread_create");
}

static void finish(struct runner *r)
{
	pthread_join(r->thread, NULL);
}

/* --- the ioctls --------------------------------------------------------------------------------- */

TEST(create)
{
	struct vm *vm = vm_new(0), *late = vm_new(0);
	struct kvm_irqchip chip = { };
	struct kvm_pit_config pit = { };
	struct kvm_pit_state2 ps;
	struct kvm_irq_level l = { };
	struct vcpu *v;
	struct kvm_lapic_state lapic;

	EXPECT_EQ(-ENXIO, xioctlp(vm->fd, KVM_GET_IRQCHIP, &chip));
	EXPECT_EQ(-ENXIO, xioctlp(vm->fd, KVM_SET_IRQCHIP, &chip));
	EXPECT_EQ(-ENXIO, xioctlp(vm->fd, KVM_GET_PIT2, &ps));
	EXPECT_EQ(-ENXIO, xioctlp(vm->fd, KVM_IRQ_LINE, &l));
	EXPECT_GT(0, xioctlp(vm->fd, KVM_CREATE_PIT2, &pit));
	EXPECT_EQ(0, xioctl(vm->fd, KVM_CREATE_IRQCHIP, 0));
	EXPECT_EQ(-EEXIST, xioctl(vm->fd, KVM_CREATE_IRQCHIP, 0));
	EXPECT_EQ(0, xioctlp(vm->fd, KVM_CREATE_PIT2, &pit));
	EXPECT_EQ(-EEXIST, xioctlp(vm->fd, KVM_CREATE_PIT2, &pit));
	chip.chip_id = 3;
	EXPECT_EQ(-EINVAL, xioctlp(vm->fd, KVM_GET_IRQCHIP, &chip));
	EXPECT_EQ(-EINVAL, xioctlp(vm->fd, KVM_SET_IRQCHIP, &chip));
	v = vm_vcpu(vm, 0);
	EXPECT_EQ(0, xioctlp(v->fd, KVM_GET_LAPIC, &lapic));
	EXPECT_EQ(-EBUSY, xioctl(vm->fd, KVM_SET_BOOT_CPU_ID, 1));

	v = vm_vcpu(late, 0);
	EXPECT_EQ(-EINVAL, xioctl(late->fd, KVM_CREATE_IRQCHIP, 0));
	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_GET_LAPIC, &lapic));
	vm_free(vm);
	vm_free(late);
}

TEST(state_round_trips)
{
	struct vm *vm = MACHINE(1, sleeper);
	struct kvm_irqchip chip, again;
	struct kvm_lapic_state lapic, lapic2;
	struct kvm_pit_state2 pit, pit2;
	unsigned int id;

	for (id = 0; id < 3; id++) {
		memset(&chip, 0, sizeof(chip));
		chip.chip_id = id;
		ASSERT_EQ(0, xioctlp(vm->fd, KVM_GET_IRQCHIP, &chip));
		if (id < 2) {
			chip.chip.pic.imr = 0x5a;
			chip.chip.pic.irq_base = 0x40 + 8 * id;
		} else {
			EXPECT_EQ(0xfec00000, chip.chip.ioapic.base_address);
			chip.chip.ioapic.redirtbl[5].bits = 0x0300000000010077;
		}
		ASSERT_EQ(0, xioctlp(vm->fd, KVM_SET_IRQCHIP, &chip));
		memset(&again, 0, sizeof(again));
		again.chip_id = id;
		ASSERT_EQ(0, xioctlp(vm->fd, KVM_GET_IRQCHIP, &again));
		EXPECT_EQ(0, memcmp(&chip, &again, sizeof(chip)));
	}
	ASSERT_EQ(0, xioctlp(vm->vcpus[0]->fd, KVM_GET_LAPIC, &lapic));
	*(uint32_t *)(lapic.regs + 0xf0) = 0x1ff;
	*(uint32_t *)(lapic.regs + 0x350) = 0x10432;
	ASSERT_EQ(0, xioctlp(vm->vcpus[0]->fd, KVM_SET_LAPIC, &lapic));
	ASSERT_EQ(0, xioctlp(vm->vcpus[0]->fd, KVM_GET_LAPIC, &lapic2));
	EXPECT_EQ(0, memcmp(&lapic, &lapic2, sizeof(lapic)));
	ASSERT_EQ(0, xioctlp(vm->fd, KVM_GET_PIT2, &pit));
	pit.channels[2].count = 0x1234;
	pit.channels[2].mode = 3;
	ASSERT_EQ(0, xioctlp(vm->fd, KVM_SET_PIT2, &pit));
	ASSERT_EQ(0, xioctlp(vm->fd, KVM_GET_PIT2, &pit2));
	EXPECT_EQ(0x1234, pit2.channels[2].count);
	EXPECT_EQ(3, pit2.channels[2].mode);
	vm_free(vm);
}

TEST(routing_refuses)
{
	struct vm *vm = vm_new(0), *with = MACHINE(1, sleeper);
	struct kvm_irq_routing *r = calloc(1, sizeof(*r) + 4 * sizeof(r->entries[0]));

	EXPECT_EQ(-EINVAL, xioctlp(vm->fd, KVM_SET_GSI_ROUTING, r));
	EXPECT_EQ(0, xioctlp(with->fd, KVM_SET_GSI_ROUTING, r));
	r->flags = 1;
	EXPECT_EQ(-EINVAL, xioctlp(with->fd, KVM_SET_GSI_ROUTING, r));
	r->flags = 0;
	r->nr = 4097;
	EXPECT_EQ(-EINVAL, xioctlp(with->fd, KVM_SET_GSI_ROUTING, r));
	r->nr = 1;
	r->entries[0].type = 77;
	EXPECT_EQ(-EINVAL, xioctlp(with->fd, KVM_SET_GSI_ROUTING, r));
	r->entries[0].type = KVM_IRQ_ROUTING_IRQCHIP;
	r->entries[0].u.irqchip.irqchip = 3;
	EXPECT_EQ(-EINVAL, xioctlp(with->fd, KVM_SET_GSI_ROUTING, r));
	r->entries[0].u.irqchip.irqchip = 2;
	r->entries[0].u.irqchip.pin = 24;
	EXPECT_EQ(-EINVAL, xioctlp(with->fd, KVM_SET_GSI_ROUTING, r));
	r->entries[0].u.irqchip.pin = 23;
	r->entries[0].gsi = 4096;
	EXPECT_EQ(-EINVAL, xioctlp(with->fd, KVM_SET_GSI_ROUTING, r));
	r->entries[0].gsi = 4095;
	EXPECT_EQ(0, xioctlp(with->fd, KVM_SET_GSI_ROUTING, r));
	/* One line to two pins of one chip, or to a pin and a message. */
	r->nr = 2;
	r->entries[1] = r->entries[0];
	EXPECT_EQ(-EINVAL, xioctlp(with->fd, KVM_SET_GSI_ROUTING, r));
	r->entries[1].type = KVM_IRQ_ROUTING_MSI;
	EXPECT_EQ(-EINVAL, xioctlp(with->fd, KVM_SET_GSI_ROUTING, r));
	free(r);
	vm_free(vm);
	vm_free(with);
}

/* --- interrupts ------------------------------------------------------------------------------------ */

TEST(edge_line_by_ioapic)
{
	struct vm *vm = MACHINE(1, ioapic);
	struct vcpu *v = vm->vcpus[0];
	struct runner r;
	uint64_t value;
	unsigned int i;

	args(v, 4, 0x44, 0);
	RUN_TO_REPORT(v, value);
	for (i = 1; i <= 20; i++) {
		start(&r, v);
		EXPECT_EQ(1, line(vm, 4, 1));
		line(vm, 4, 0);
		finish(&r);
		ASSERT_EQ(0, r.rc);
		ASSERT_EQ(KVM_EXIT_IO, v->run->exit_reason);
		ASSERT_EQ(i, counted(vm, 0x44));
	}
	vm_free(vm);
}

TEST(level_line_comes_again)
{
	struct vm *vm = MACHINE(1, ioapic);
	struct vcpu *v = vm->vcpus[0];
	unsigned int i;
	uint64_t value;

	/* Asserted before it is unmasked; stays up: each end of interrupt brings it back. */
	args(v, 5, 0x8055, 0);
	line(vm, 5, 1);
	RUN_TO_REPORT(v, value);
	for (i = 1; i <= 3; i++) {
		RUN_TO_REPORT(v, value);
		EXPECT_GE(counted(vm, 0x55), i);
	}
	/* Masked everywhere but here, so this is the IOAPIC's answer. */
	EXPECT_EQ(1, line(vm, 5, 0));
	EXPECT_EQ(-1, line(vm, 6, 1));
	vm_free(vm);
}

TEST(line_by_pic)
{
	struct vm *vm = MACHINE(1, pic);
	struct vcpu *v = vm->vcpus[0];
	struct runner r;
	unsigned int i;

	vm_load_guest(vm, VM_CODE2, pic_handler);
	vm_set_gate(vm, 0x23, VM_CODE2, 14, 0, 0);
	for (i = 1; i <= 10; i++) {
		start(&r, v);
		/* Lost until the guest has programmed the PIC. */
		do {
			line(vm, 3, 1);
			line(vm, 3, 0);
			usleep(1000);
		} while (pthread_tryjoin_np(r.thread, NULL));
		ASSERT_EQ(0, r.rc);
		ASSERT_EQ(KVM_EXIT_IO, v->run->exit_reason);
		ASSERT_LE(i, counted(vm, 0x23));
	}
	vm_free(vm);
}

TEST(messages)
{
	struct vm *vm = MACHINE(1, sleeper);
	struct vcpu *v = vm->vcpus[0];
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = 0x51 };
	struct runner r;
	unsigned int i;
	int rc;

	for (i = 1; i <= 20; i++) {
		start(&r, v);
		/* Refused until the guest has enabled its APIC. */
		while ((rc = xioctlp(vm->fd, KVM_SIGNAL_MSI, &msi)) <= 0)
			ASSERT_GE(0, rc);
		finish(&r);
		ASSERT_EQ(0, r.rc);
		ASSERT_EQ(i, counted(vm, 0x51));
	}
	msi.flags = 2;
	EXPECT_EQ(-EINVAL, xioctlp(vm->fd, KVM_SIGNAL_MSI, &msi));
	vm_free(vm);
}

TEST(ipi_to_self)
{
	struct vm *vm = MACHINE(1, icr);
	struct vcpu *v = vm->vcpus[0];
	uint64_t value;
	unsigned int i;

	vm_load_guest(vm, VM_CODE2, plain);
	for (i = 0x61; i <= 0xf1; i += 0x10)
		vm_set_gate(vm, i, VM_CODE2, 14, 0, 0);
	/* No service ends: what is not of a higher class waits. */
	for (i = 1; i <= 8; i++) {
		args(v, 0, 0x40061 + 0x10 * i, 0);
		RUN_TO_REPORT(v, value);
		EXPECT_EQ(i, counted(vm, 0x71));
		args(v, 0, 0x40062, 0);
		RUN_TO_REPORT(v, value);
		EXPECT_EQ(i, counted(vm, 0x71));
	}
	vm_free(vm);
}

TEST(init_and_sipi_start_an_ap)
{
	struct vm *vm = MACHINE(2, icr);
	struct vcpu *bsp = vm->vcpus[0], *ap = vm->vcpus[1];
	struct kvm_mp_state mp;
	struct kvm_sregs sregs;
	struct runner r;
	uint64_t value;

	vm_load_guest(vm, 0x30000, ap);
	ASSERT_EQ(0, xioctlp(ap->fd, KVM_GET_MP_STATE, &mp));
	EXPECT_EQ(KVM_MP_STATE_UNINITIALIZED, mp.mp_state);
	start(&r, ap);
	args(bsp, 0, 0x1ull << 32 | 0x4500, 0);
	RUN_TO_REPORT(bsp, value);
	args(bsp, 0, 0x1ull << 32 | 0x4630, 0);
	RUN_TO_REPORT(bsp, value);
	finish(&r);
	ASSERT_EQ(0, r.rc);
	ASSERT_EQ(KVM_EXIT_IO, ap->run->exit_reason);
	EXPECT_EQ(0x3000, *(uint16_t *)vcpu_io_data(ap));
	vcpu_sregs(ap, &sregs);
	EXPECT_EQ(0x30000, sregs.cs.base);
	ASSERT_EQ(0, xioctlp(ap->fd, KVM_GET_MP_STATE, &mp));
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, mp.mp_state);
	vm_free(vm);
}

TEST(timer_one_shot)
{
	struct vm *vm = MACHINE(1, timer);
	uint64_t value;

	args(vm->vcpus[0], 0x61, 1000000, 1);
	RUN_TO_REPORT(vm->vcpus[0], value);
	EXPECT_EQ(1, counted(vm, 0x61));
	EXPECT_EQ(0, value);
	vm_free(vm);
}

/* Starts a one-shot timer of EDI counts, vector 0x51, and reports all the time. */
GUEST(timed, 64,
	"mov $" APIC ", %ebx\n"
	"movl $0x1ff, 0xf0(%rbx)\n"
	"movl $0xb, 0x3e0(%rbx)\n"
	"movl $0x51, 0x320(%rbx)\n"
	"mov %edi, 0x380(%rbx)\n"
	"sti\n"
	"1: out %al, $0xf1\n"
	"jmp 1b\n");

/* A timer that has run down stays so when its state is taken and put back; one that is about to is not lost. */
TEST(timer_state)
{
	struct vcpu *v = MACHINE(1, timed)->vcpus[0];
	volatile uint32_t *count = (uint32_t *)(v->vm->ram + COUNT) + 0x51;
	struct kvm_lapic_state s;
	struct kvm_regs r;
	uint32_t value, i;

	for (i = 1; i <= 2; i++) {
		vcpu_regs(v, &r);
		r.rip = VM_CODE;
		r.rdi = i == 1 ? 100000 : 100000000;
		vcpu_set_regs(v, &r);
		RUN_TO_REPORT(v, value);
		usleep(200000);
		if (i == 2) {
			/* Its time is over, and the guest has not run since. */
			ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_LAPIC, &s));
			EXPECT_EQ(0, *(uint32_t *)(s.regs + 0x390));
			EXPECT_EQ(1u << 17, *(uint32_t *)(s.regs + 0x220));
			ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_LAPIC, &s));
		}
		RUN_TO_REPORT(v, value);
		RUN_TO_REPORT(v, value);
		EXPECT_EQ(i, *count);
	}
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, xioctlp(v->fd, KVM_GET_LAPIC, &s));
		ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_LAPIC, &s));
		usleep(i ? 1000 : 200000);
		RUN_TO_REPORT(v, value);
		RUN_TO_REPORT(v, value);
		EXPECT_EQ(2, *count);
	}
}

TEST(timer_periodic)
{
	struct vm *vm = MACHINE(1, timer);
	struct timespec from, to;
	uint64_t value, ms;

	args(vm->vcpus[0], 0x20061, 1000000, 10);
	clock_gettime(CLOCK_MONOTONIC, &from);
	RUN_TO_REPORT(vm->vcpus[0], value);
	clock_gettime(CLOCK_MONOTONIC, &to);
	ms = (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000 + 1;
	/* On a slow machine the next is there before the handler of the last has returned. */
	EXPECT_LE(10, counted(vm, 0x61));
	EXPECT_GE(ms, counted(vm, 0x61));
	EXPECT_LE(value, 1000000);
	vm_free(vm);
}

TEST(timer_deadline)
{
	struct vm *vm = vm_new(VM_RAM_SIZE);
	struct vcpu *v;
	struct kvm_cpuid2 *cpuid;
	uint64_t value;
	unsigned int i;

	ASSERT_EQ(0, xioctl(vm->fd, KVM_CREATE_IRQCHIP, 0));
	vm_load_guest(vm, VM_CODE, deadline);
	vm_load_guest(vm, HANDLERS, handlers);
	v = vm_vcpu(vm, 0);
	cpuid = supported_cpuid(vm->sys);
	for (i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == 1)
			cpuid->entries[i].ecx |= 1u << 24;
	ASSERT_EQ(0, xioctlp(v->fd, KVM_SET_CPUID2, cpuid));
	free(cpuid);
	vcpu_long(v, VM_CODE);
	vm_set_gate(vm, 0x61, HANDLERS + 16 * 0x61, 14, 0, 0);
	args(v, 0, 3000000, 0);
	RUN_TO_REPORT(v, value);
	EXPECT_EQ(1, counted(vm, 0x61));
	EXPECT_EQ(1, value);
	vm_free(vm);
}

TEST(task_priority)
{
	struct vm *vm = MACHINE(1, tpr);
	uint64_t value;

	RUN_TO_REPORT(vm->vcpus[0], value);
	EXPECT_EQ(0, value);
	RUN_TO_REPORT(vm->vcpus[0], value);
	EXPECT_EQ(1, value);
	vm_free(vm);
}

TEST_HARNESS_MAIN
