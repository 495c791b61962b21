// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests that do what they please: random bytes as code in every mode, random MSR, CR, DR and port
 * accesses, random state. The VM may end; the host and the process must go on. Bounded in time.
 *
 *   hostile_guest [seed [seconds [kind 0-3]]]
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "kselftest.h"
#include "vm.h"

static uint64_t state;

static uint64_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void on_alarm(int sig)
{
}

/* Runs until the guest is beyond help or the tick comes; answers every exit. 0, or -1: impossible result. */
static int drive(struct vcpu *v)
{
	int i;

	for (i = 0; i < 200; i++) {
		int rc = vcpu_run(v);
		struct kvm_run *run = v->run;

		if (rc == -EINTR)
			return 0;
		if (rc == -EFAULT || rc == -EINVAL)
			return 0;
		if (rc) {
			printf("# KVM_RUN: %s\n", strerror(-rc));
			return -1;
		}
		switch (run->exit_reason) {
		case KVM_EXIT_IO:
			if (run->io.direction == KVM_EXIT_IO_IN)
				memset(vcpu_io_data(v), rnd(), run->io.size * (run->io.count & 0xff));
			break;
		case KVM_EXIT_MMIO:
			if (!run->mmio.is_write)
				*(uint64_t *)run->mmio.data = rnd();
			break;
		case KVM_EXIT_HLT:
		case KVM_EXIT_SET_TPR:
		case KVM_EXIT_IRQ_WINDOW_OPEN:
			break;
		case KVM_EXIT_SHUTDOWN:
		case KVM_EXIT_INTERNAL_ERROR:
		case KVM_EXIT_FAIL_ENTRY:
		case KVM_EXIT_SYSTEM_EVENT:
		case KVM_EXIT_HYPERCALL:
			return 0;
		default:
			printf("# exit %u\n", run->exit_reason);
			return -1;
		}
	}
	return 0;
}

static void random_registers(struct vcpu *v, uint64_t rip)
{
	struct kvm_regs r;
	uint64_t *p = (uint64_t *)&r;
	size_t i;

	for (i = 0; i < 16; i++)
		p[i] = rnd() & 3 ? rnd() & 0x3fffff : rnd();
	r.rip = rip;
	r.rflags = 2 | (rnd() & 0x244cd5);
	vcpu_set_regs(v, &r);
}

/*
 * QEMU 7.2's AMD-V aborts when an interrupt to an inner ring meets a TR that LTR could not have loaded
 * there, for which the type is "available"; VT-x refuses any but "busy".
 */
static void bearable_tr(struct kvm_sregs *s)
{
	unsigned int a, b, c, d;

	__cpuid(0, a, b, c, d);
	s->tr.present = 1;
	s->tr.type = c == signature_AMD_ecx ? 9 : 11;
	s->tr.s = 0;
}

static void random_code(struct vcpu *v)
{
	uint8_t *code = v->vm->ram + VM_CODE;
	size_t i;

	for (i = 0; i < 4096; i += 8)
		*(uint64_t *)(code + i) = rnd();
	for (i = 0; i < 4095; i++)
		if (code[i] == 0x0f && code[i + 1] == 0x23)	/* MOV to DR7: see random_privileged() */
			code[i] = 0x90;
	switch (rnd() % 3) {
	case 0:
		vcpu_real(v, VM_CODE & 0xffff);
		memcpy(v->vm->ram + (VM_CODE & 0xffff), code, 0x700);
		break;
	case 1: {
		struct kvm_sregs s;

		vcpu_prot(v, VM_CODE);
		vcpu_sregs(v, &s);
		bearable_tr(&s);
		vcpu_set_sregs(v, &s);
		break;
	}
	default:
		vcpu_long(v, VM_CODE);
	}
	random_registers(v, VM_CODE);
}

/* Privileged instructions with random operands, strung together; faults are skipped by the handler. */
static void random_privileged(struct vcpu *v)
{
	static const uint8_t ops[][4] = {
		{ 2, 0x0f, 0x32 }, { 2, 0x0f, 0x30 },			/* RDMSR, WRMSR */
		{ 3, 0x0f, 0x20, 0xc0 }, { 3, 0x0f, 0x22, 0xe0 },	/* CR0 read, CR4 write */
		{ 3, 0x0f, 0x22, 0xd0 }, { 3, 0x0f, 0x22, 0xc0 },	/* CR2, CR0 write */
		/* DR0 write, DR6 read; not DR7: random breakpoints crash QEMU 7.2's emulation */
		{ 3, 0x0f, 0x23, 0xc0 }, { 3, 0x0f, 0x21, 0xf0 },
		{ 1, 0xee }, { 1, 0xef }, { 1, 0xec }, { 1, 0xed },	/* OUT, IN */
		{ 2, 0x0f, 0xa2 }, { 2, 0x0f, 0x09 }, { 2, 0x0f, 0x08 },	/* CPUID, WBINVD, INVD */
		{ 3, 0x0f, 0x01, 0xd9 }, { 3, 0x0f, 0x01, 0xd8 },	/* VMMCALL, VMRUN */
		{ 3, 0x0f, 0x01, 0xc1 }, { 3, 0x0f, 0x01, 0xd1 },	/* VMCALL, XSETBV */
		{ 3, 0x0f, 0x01, 0x38 }, { 2, 0x0f, 0x33 },		/* INVLPG, RDPMC */
		{ 3, 0x0f, 0x01, 0xdc }, { 3, 0x0f, 0x01, 0xdd },	/* STGI, CLGI */
		{ 3, 0x0f, 0x00, 0xd0 }, { 3, 0x0f, 0x01, 0x10 },	/* LLDT, LGDT */
		{ 3, 0x44, 0x0f, 0x22 }, { 2, 0xf3, 0x6e }, { 2, 0xf3, 0x6d },	/* CR8, REP OUTS, INS */
	};
	static const uint32_t msrs[] = {
		0x10, 0x1b, 0x3a, 0x174, 0x17a, 0x1d9, 0x200, 0x277, 0x2ff, 0x400, 0x800, 0x80b, 0x830,
		0xc0000080, 0xc0000081, 0xc0000082, 0xc0000101, 0xc0000103, 0xc0010015, 0xc0010114,
		0xc0010117, 0x4b564d00, 0x4b564d01, 0x40000000, 0x40000001, 0xda0, 0x48, 0x49,
	};
	uint8_t *p = v->vm->ram + VM_CODE;
	int i;

	for (i = 0; i < 200; i++) {
		const uint8_t *op = ops[rnd() % ARRAY_SIZE(ops)];
		uint32_t imm;

		*p++ = 0xb9;			/* mov $msr, %ecx */
		imm = rnd() & 1 ? msrs[rnd() % ARRAY_SIZE(msrs)] : rnd();
		memcpy(p, &imm, 4);
		p += 4;
		*p++ = 0xb8;			/* mov $random, %eax */
		imm = rnd() & 1 ? 1u << (rnd() & 31) : rnd();
		memcpy(p, &imm, 4);
		p += 4;
		*p++ = 0xba;			/* mov $random, %edx */
		imm = rnd() & 1 ? rnd() & 0xffff : 0;
		memcpy(p, &imm, 4);
		p += 4;
		memcpy(p, op + 1, op[0]);
		p += op[0];
	}
	*p = 0xf4;
	vcpu_long(v, VM_CODE);
	random_registers(v, VM_CODE);
}

/* Every exception skips a byte and goes on. */
GUEST(skip_fault, 64, "incq 8(%rsp)\n add $8, %rsp\n iretq");
GUEST(skip_trap, 64, "incq (%rsp)\n iretq");

static void forgiving_idt(struct vcpu *v)
{
	unsigned int n;

	vm_load_guest(v->vm, 0x30000, skip_fault);
	vm_load_guest(v->vm, 0x30100, skip_trap);
	for (n = 0; n < 256; n++)
		vm_set_gate(v->vm, n, n == 8 || (n >= 10 && n <= 14) || n == 17 ? 0x30000 : 0x30100, 14, 3, 0);
}

static void random_sregs(struct vcpu *v)
{
	struct kvm_sregs s;
	uint8_t *p = (uint8_t *)&s;
	int i;

	vcpu_long(v, VM_CODE);
	vcpu_sregs(v, &s);
	for (i = rnd() % 12; i >= 0; i--)
		p[rnd() % sizeof(s)] ^= 1u << (rnd() & 7);
	bearable_tr(&s);
	if (vcpu_set_sregs(v, &s))
		vcpu_long(v, VM_CODE);
	random_registers(v, VM_CODE);
}

/* Page tables made of noise: every address may lead anywhere, and the walk may loop. */
static void random_tables(struct vcpu *v)
{
	uint64_t *t = (uint64_t *)(v->vm->ram + VM_PML4);
	size_t i;

	vcpu_long(v, VM_CODE);
	for (i = 0; i < 64; i++)
		t[rnd() % 3072] = rnd() & 1 ? (rnd() & 0x3ff000) | (rnd() & 0xfff) : rnd();
	random_registers(v, VM_CODE);
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*prepare)(struct vcpu *v); } kinds[] = {
		{ "random bytes as code", random_code }, { "random privileged instructions", random_privileged },
		{ "random segment and control state", random_sregs }, { "random page tables", random_tables },
	};
	struct sigaction sa = { .sa_handler = on_alarm };
	struct itimerval tick = { { 0, 20000 }, { 0, 20000 } };
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	int seconds = argc > 2 ? atoi(argv[2]) : 5, only = argc > 3 ? atoi(argv[3]) : -1;
	size_t k;

	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(kinds) + 1);
	printf("# seed %#lx, %d s each\n", (unsigned long)seed, seconds);
	state = seed * 2 + 1;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &tick, NULL);
	for (k = 0; k < ARRAY_SIZE(kinds); k++) {
		time_t end = time(NULL) + seconds;
		unsigned int rounds = 0;
		int bad = 0;

		if (only >= 0 && only != (int)k) {
			ksft_test_result_skip("%s\n", kinds[k].name);
			continue;
		}
		while (!bad && time(NULL) < end) {
			struct vcpu *v = vm_simple();
			int i;

			for (i = 0; i < 20 && !bad; i++, rounds++) {
				forgiving_idt(v);
				kinds[k].prepare(v);
				bad = drive(v);
			}
			vm_free(v->vm);
		}
		ksft_test_result(!bad && rounds, "%s (%u rounds)\n", kinds[k].name, rounds);
	}
	/* the module still works */
	struct vcpu *v = vm_simple();

	v->vm->ram[VM_CODE] = 0xf4;
	vcpu_long(v, VM_CODE);
	ksft_test_result(!vcpu_run(v) && v->run->exit_reason == KVM_EXIT_HLT, "a good guest afterwards\n");
	ksft_finished();
}
