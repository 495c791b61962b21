// SPDX-License-Identifier: GPL-2.0-only
/*
 * A storm of interrupts at four vCPUs, from all sides at once: messages by ioctl, eventfds, IPIs between the vCPUs and
 * their timers. Each is sent when the one before it on its way has been counted by its handler; so every one has to
 * come, and to come once. STORM in the environment says how many of each kind, in all.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vm.h"

#define VCPUS 4
#define WAYS 8				/* vectors of each kind that are under way to a vCPU at once */
#define TIMER 0x40
#define IPI 0x50
#define MSI 0x60
#define FD 0x70
#define COUNT VM_DATA			/* u32 per vCPU and vector */

/* Handlers: 16 bytes per vector. R15 is the vCPU's row of counters; RBX the APIC. */
GUEST(handlers, 64,
	".rept 256\n push %rax\n call 1f\n .skip 10\n .endr\n"
	"1: pop %rax\n push %rdx\n lea guest_handlers(%rip), %rdx\n sub %rdx, %rax\n shr $4, %eax\n"
	"lock incl (%r15,%rax,4)\n"
	"cmp $0x40, %eax\n jne 2f\n dec %r14\n jz 2f\n mov %edi, 0x380(%rbx)\n"
	"2: movl $0, 0xb0(%rbx)\n pop %rdx\n pop %rax\n iretq");
/*
 * R14: how often the timer is to run, EDI its count; R13: how many IPIs go to the APIC id in R11's upper byte, whose
 * counter RSI points to. When both are done it sleeps. It begins when all have switched their APICs on.
 */
GUEST(busy, 64,
	"mov $0xfee00000, %ebx\n movl $0x1ff, 0xf0(%rbx)\n movl $0xb, 0x3e0(%rbx)\n movl $0x40, 0x320(%rbx)\n"
	"xor %r12d, %r12d\n lock incl 0x60000\n 4: pause\n cmpl $4, 0x60000\n jb 4b\n sti\n mov %edi, 0x380(%rbx)\n"
	"1: test %r13, %r13\n jz 2f\n mov (%rsi), %eax\n cmp %r12d, %eax\n jne 3f\n"
	"mov %r11d, 0x310(%rbx)\n movl $0x4050, 0x300(%rbx)\n inc %r12d\n dec %r13\n jmp 1b\n"
	"2: test %r14, %r14\n jnz 3f\n hlt\n"
	"3: pause\n jmp 1b");

static volatile int stop;
static unsigned long per_kind;

static void on_signal(int sig)
{
}

static void *run_thread(void *arg)
{
	struct vcpu *v = arg;

	while (!stop && vcpu_run(v) == -EINTR)
		;
	if (!stop) {
		vcpu_dump(v);
		_exit(1);
	}
	return NULL;
}

struct sender {
	struct vm *vm;
	uint8_t vector;
	int event[VCPUS][WAYS];			/* -1: by ioctl */
	uint32_t sent[VCPUS][WAYS];
	pthread_t thread;
};

static volatile uint32_t *counter(struct vm *vm, int vcpu, int vector)
{
	return (uint32_t *)(vm->ram + COUNT) + 256 * vcpu + vector;
}

static void send(struct sender *s, int vcpu, int way)
{
	struct kvm_msi m = { .address_lo = 0xfee00000 | vcpu << 12, .data = s->vector + way };
	uint64_t one = 1;

	if (s->event[vcpu][way] < 0 ? xioctlp(s->vm->fd, KVM_SIGNAL_MSI, &m) != 1 :
				      write(s->event[vcpu][way], &one, sizeof(one)) != sizeof(one))
		die("vector %#x to vCPU %d: %s", s->vector + way, vcpu, strerror(errno));
	s->sent[vcpu][way]++;
}

static void *send_thread(void *arg)
{
	struct sender *s = arg;
	unsigned long left = per_kind;
	int c, w, any;

	while (left && !stop) {
		any = 0;
		for (c = 0; c < VCPUS; c++) {
			for (w = 0; w < WAYS && left; w++) {
				if (*counter(s->vm, c, s->vector + w) != s->sent[c][w])
					continue;
				send(s, c, w);
				left--;
				any = 1;
			}
		}
		if (!any)
			usleep(50);
	}
	return NULL;
}

static void eventfds(struct sender *s)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry e[VCPUS * WAYS];
	} r = { .head.nr = VCPUS * WAYS };
	int c, w, rc;

	for (c = 0; c < VCPUS; c++)
		for (w = 0; w < WAYS; w++)
			r.e[c * WAYS + w] = (struct kvm_irq_routing_entry){
				.gsi = 32 + c * WAYS + w, .type = KVM_IRQ_ROUTING_MSI,
				.u.msi = { .address_lo = 0xfee00000 | c << 12, .data = s->vector + w },
			};
	rc = xioctlp(s->vm->fd, KVM_SET_GSI_ROUTING, &r);
	if (rc)
		die("KVM_SET_GSI_ROUTING: %s", strerror(-rc));
	for (c = 0; c < VCPUS; c++) {
		for (w = 0; w < WAYS; w++) {
			struct kvm_irqfd fd = { .fd = eventfd(0, 0), .gsi = 32 + c * WAYS + w };

			s->event[c][w] = fd.fd;
			rc = xioctlp(s->vm->fd, KVM_IRQFD, &fd);
			if (rc)
				die("KVM_IRQFD: %s", strerror(-rc));
		}
	}
}

/* Interrupts of @ways vectors from @vector on, counted on all vCPUs. */
static unsigned long total(struct vm *vm, int vector, int ways)
{
	unsigned long n = 0;
	int c, w;

	for (c = 0; c < VCPUS; c++)
		for (w = 0; w < ways; w++)
			n += *counter(vm, c, vector + w);
	return n;
}

#define WAIT_FOR(cond) ({									\
	long i_, last_ = -1, still_ = 0;							\
	/* As long as something moves. */							\
	for (i_ = 0; !(cond) && still_ < 60000; i_++) {						\
		long now_ = total(vm, 0, 256);							\
		still_ = now_ == last_ ? still_ + 1 : 0;					\
		last_ = now_;									\
		usleep(1000);									\
	}											\
	!!(cond);										\
})

FIXTURE(storm) { };
FIXTURE_SETUP(storm) { }
FIXTURE_TEARDOWN(storm) { }

TEST_F_TIMEOUT(storm, all_at_once, 36000)
{
	struct sender msi = { .vector = MSI, .event = { [0 ... VCPUS - 1] = { [0 ... WAYS - 1] = -1 } } };
	struct sender fd = { .vector = FD };
	struct vm *vm = vm_new(VM_RAM_SIZE);
	pthread_t thread[VCPUS];
	unsigned long each;
	int i, v;

	per_kind = getenv("STORM") ? strtoul(getenv("STORM"), NULL, 0) : 4000;
	each = per_kind / VCPUS;
	per_kind = each * VCPUS;
	ASSERT_LT(0, each);
	signal(SIGUSR1, on_signal);
	ASSERT_EQ(0, xioctl(vm->fd, KVM_CREATE_IRQCHIP, 0));
	msi.vm = fd.vm = vm;
	eventfds(&fd);
	vm_load_guest(vm, VM_CODE, busy);
	vm_load_guest(vm, VM_CODE + 0x1000, handlers);
	for (i = 0; i < VCPUS; i++) {
		struct vcpu *vcpu = vm_vcpu(vm, i);
		struct kvm_mp_state mp = { KVM_MP_STATE_RUNNABLE };
		struct kvm_regs r;

		vcpu_long(vcpu, VM_CODE);
		vcpu_regs(vcpu, &r);
		r.rsp = VM_STACK_TOP - 0x400 * i;
		r.rdi = 50000;
		r.r15 = COUNT + 0x400 * i;
		r.r14 = r.r13 = each;
		r.r11 = (uint64_t)((i + 1) % VCPUS) << 24;
		r.rsi = COUNT + 0x400 * ((i + 1) % VCPUS) + 4 * IPI;
		vcpu_set_regs(vcpu, &r);
		ASSERT_EQ(0, xioctlp(vcpu->fd, KVM_SET_MP_STATE, &mp));
	}
	for (v = 32; v < 256; v++)
		vm_set_gate(vm, v, VM_CODE + 0x1000 + 16 * v, 14, 0, 0);
	for (i = 0; i < VCPUS; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, run_thread, vm->vcpus[i]));
	ASSERT_TRUE(WAIT_FOR(*(volatile uint32_t *)(vm->ram + VM_DATA2) == VCPUS));
	ASSERT_EQ(0, pthread_create(&msi.thread, NULL, send_thread, &msi));
	ASSERT_EQ(0, pthread_create(&fd.thread, NULL, send_thread, &fd));
	EXPECT_TRUE(WAIT_FOR(total(vm, 0, 256) >= 4 * per_kind));
	/* What comes twice comes late. */
	usleep(100000);
	stop = 1;
	EXPECT_EQ(per_kind, total(vm, MSI, WAYS));
	EXPECT_EQ(per_kind, total(vm, FD, WAYS));
	EXPECT_EQ(per_kind, total(vm, IPI, 1));
	EXPECT_EQ(per_kind, total(vm, TIMER, 1));
	EXPECT_EQ(4 * per_kind, total(vm, 0, 256));
	for (i = 0; i < VCPUS; i++) {
		EXPECT_EQ(each, *counter(vm, i, IPI));
		EXPECT_EQ(each, *counter(vm, i, TIMER));
		for (v = 0; v < WAYS; v++) {
			EXPECT_EQ(msi.sent[i][v], *counter(vm, i, MSI + v));
			EXPECT_EQ(fd.sent[i][v], *counter(vm, i, FD + v));
		}
	}
	printf("# %lu of each of four kinds\n", per_kind);
	pthread_join(msi.thread, NULL);
	pthread_join(fd.thread, NULL);
	for (i = 0; i < VCPUS; i++) {
		vm->vcpus[i]->run->immediate_exit = 1;
		while (pthread_tryjoin_np(thread[i], NULL)) {
			pthread_kill(thread[i], SIGUSR1);
			usleep(1000);
		}
	}
	vm_free(vm);
}

TEST_HARNESS_MAIN
