// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many vCPUs: 1,024 can be made; 288 of them, with x2APIC ids above 255, are started by INIT and SIPI and reached one
 * by one, all at once and by messages from outside, with all chips in the kernel and with a split irqchip.
 *
 * Source: KVM API, KVM_CAP_X2APIC_API, KVM_CAP_MAX_VCPUS; Intel SDM volume 3, "Extended XAPIC (x2APIC)",
 * "Multiple-Processor (MP) Initialization".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vm.h"

#define NR 288
#define AP_VECTOR 0x30			/* the APs begin at 0x30000 */
#define TAKEN VM_DATA			/* u32 per id: interrupts taken; bit 31: it is up */
#define UP 0x80000000u

/*
 * What each AP runs, in real mode: x2APIC mode, APIC on, "up", then interrupts only. DS is TAKEN's segment, the IVT's
 * entry 0x51 leads to the handler.
 */
GUEST(ap, 16,
	"mov $0x4000, %ax\n mov %ax, %ds\n"
	"mov $0x3400, %ax\n mov %ax, %ss\n"
	"mov $0x1b, %ecx\n rdmsr\n or $0x400, %eax\n wrmsr\n"
	"mov $0x80f, %ecx\n mov $0x1ff, %eax\n xor %edx, %edx\n wrmsr\n"
	"mov $0x802, %ecx\n rdmsr\n mov %eax, %ebx\n shl $2, %bx\n"
	/* a stack of 64 bytes for each */
	"mov %eax, %esp\n shl $6, %esp\n add $0x40, %esp\n"
	"lock orl $0x80000000, (%bx)\n"
	"1: sti\n hlt\n jmp 1b\n"
	".org guest_ap + 0x100\n"
	"lock incl (%bx)\n mov $0x80b, %ecx\n xor %eax, %eax\n xor %edx, %edx\n wrmsr\n iretw\n");

/* The BSP, in long mode: x2APIC mode; then each ICR value that it is given in RSI, and a report. */
GUEST(bsp, 64,
	"mov $0x1b, %ecx\n rdmsr\n or $0x400, %eax\n wrmsr\n"
	"mov $0x80f, %ecx\n mov $0x1ff, %eax\n xor %edx, %edx\n wrmsr\n"
	"out %al, $0xf1\n"
	"1: mov $0x830, %ecx\n mov %esi, %eax\n mov %rsi, %rdx\n shr $32, %rdx\n wrmsr\n out %al, $0xf1\n jmp 1b");
/* The same for ids EDI to R8 - 1, without a report in between. */
GUEST(bsp_each, 64,
	"1: mov $0x830, %ecx\n mov %esi, %eax\n mov %edi, %edx\n wrmsr\n"
	"inc %edi\n cmp %r8d, %edi\n jb 1b\n out %al, $0xf1\n hlt");

static volatile int stop;

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

static void icr(struct __test_metadata *_metadata, struct vcpu *v, uint64_t value)
{
	struct kvm_regs r;

	vcpu_regs(v, &r);
	r.rsi = value;
	vcpu_set_regs(v, &r);
	RUN_TO(v, KVM_EXIT_IO);
}

static void icr_each(struct __test_metadata *_metadata, struct vcpu *v, uint32_t low)
{
	struct kvm_regs r, was;

	vcpu_regs(v, &was);
	r = was;
	r.rip = VM_CODE + 0x1000;
	r.rsi = low;
	r.rdi = 1;
	r.r8 = NR;
	vcpu_set_regs(v, &r);
	RUN_TO(v, KVM_EXIT_IO);
	vcpu_set_regs(v, &was);
}

/* APs whose word is @value. */
static int count(volatile uint32_t *taken, uint32_t value)
{
	int i, n = 0;

	for (i = 1; i < NR; i++)
		n += taken[i] == value;
	return n;
}

#define WAIT_FOR(cond) ({ int i_; for (i_ = 0; i_ < 120000 && !(cond); i_++) usleep(1000); !!(cond); })

FIXTURE(many) {
	struct vm *vm;
};

FIXTURE_VARIANT(many) {
	int split;
};

FIXTURE_VARIANT_ADD(many, in_kernel) { .split = 0 };
FIXTURE_VARIANT_ADD(many, split) { .split = 1 };

static void files(void)
{
	struct rlimit limit = { 8192, 8192 };

	setrlimit(RLIMIT_NOFILE, &limit);
}

FIXTURE_SETUP(many)
{
	struct kvm_enable_cap api = {
		.cap = KVM_CAP_X2APIC_API,
		.args = { KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK },
	};
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	int rc;

	files();
	self->vm = vm_new(VM_RAM_SIZE);
	rc = variant->split ? xioctlp(self->vm->fd, KVM_ENABLE_CAP, &split) :
			      xioctl(self->vm->fd, KVM_CREATE_IRQCHIP, 0);
	if (!rc)
		rc = xioctlp(self->vm->fd, KVM_ENABLE_CAP, &api);
	if (rc)
		die("the chips: %s", strerror(-rc));
}

FIXTURE_TEARDOWN(many)
{
}

static int msi(struct vm *vm, uint32_t id, uint8_t vector)
{
	struct kvm_msi m = {
		.address_lo = 0xfee00000 | (id & 0xff) << 12, .address_hi = id & 0xffffff00, .data = vector,
	};

	return xioctlp(vm->fd, KVM_SIGNAL_MSI, &m);
}

TEST_F_TIMEOUT(many, all_of_them, 300)
{
	struct vm *vm = self->vm;
	volatile uint32_t *taken = (uint32_t *)(vm->ram + TAKEN);
	static pthread_t thread[NR];
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp;
	pthread_attr_t attr;
	uint64_t id;
	int i;

	signal(SIGUSR1, on_signal);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	vm_load_guest(vm, AP_VECTOR << 12, ap);
	vm_load_guest(vm, VM_CODE, bsp);
	vm_load_guest(vm, VM_CODE + 0x1000, bsp_each);
	((uint32_t *)vm->ram)[0x51] = (AP_VECTOR << 12) << 12 | 0x100;
	for (i = 0; i < NR; i++)
		vm_vcpu(vm, i);
	vcpu_long(vm->vcpus[0], VM_CODE);
	for (i = 1; i < NR; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], &attr, run_thread, vm->vcpus[i]));
	RUN_TO(vm->vcpus[0], KVM_EXIT_IO);

	/* One by one. */
	icr_each(_metadata, vm->vcpus[0], 0x4500);
	icr_each(_metadata, vm->vcpus[0], 0x4600 | AP_VECTOR);
	ASSERT_TRUE(WAIT_FOR(count(taken, UP) == NR - 1))
		TH_LOG("%d of %d are up", count(taken, UP), NR - 1);
	EXPECT_EQ(0, taken[0]);
	icr_each(_metadata, vm->vcpus[0], 0x4051);
	ASSERT_TRUE(WAIT_FOR(count(taken, UP + 1) == NR - 1))
		TH_LOG("%d have taken the first", count(taken, UP + 1));
	/* All others, by shorthand and by the broadcast id with 32 bits; the sender has interrupts off. */
	icr(_metadata, vm->vcpus[0], 0xc4051);
	ASSERT_TRUE(WAIT_FOR(count(taken, UP + 2) == NR - 1));
	icr(_metadata, vm->vcpus[0], 0xffffffffULL << 32 | 0x4051);
	ASSERT_TRUE(WAIT_FOR(count(taken, UP + 3) == NR - 1));
	/* 255 is an id like others, and so is one that shares its low bits with another. */
	icr(_metadata, vm->vcpus[0], 255ULL << 32 | 0x4051);
	icr(_metadata, vm->vcpus[0], 287ULL << 32 | 0x4051);
	ASSERT_TRUE(WAIT_FOR(taken[255] == UP + 4 && taken[287] == UP + 4));
	EXPECT_EQ(UP + 3, taken[31]);
	/* A cluster of x2APIC's logical mode: ids 272 and 274. */
	icr(_metadata, vm->vcpus[0], (17ULL << 16 | 5) << 32 | 0x4851);
	ASSERT_TRUE(WAIT_FOR(taken[272] == UP + 4 && taken[274] == UP + 4));
	/* From outside. */
	EXPECT_EQ(1, msi(vm, 287, 0x51));
	ASSERT_TRUE(WAIT_FOR(taken[287] == UP + 5));
	EXPECT_EQ(1, msi(vm, 255, 0x51));
	ASSERT_TRUE(WAIT_FOR(taken[255] == UP + 5));
	usleep(20000);
	EXPECT_EQ(NR - 5, count(taken, UP + 3));

	stop = 1;
	for (i = 1; i < NR; i++) {
		vm->vcpus[i]->run->immediate_exit = 1;
		while (pthread_tryjoin_np(thread[i], NULL)) {
			pthread_kill(thread[i], SIGUSR1);
			usleep(1000);
		}
	}
	/* The state has all 32 bits of the id. */
	for (i = 1; i < NR; i += 26) {
		ASSERT_EQ(0, xioctlp(vm->vcpus[i]->fd, KVM_GET_LAPIC, &lapic));
		EXPECT_EQ(i, *(uint32_t *)(lapic.regs + 0x20));
		EXPECT_EQ(0, xioctlp(vm->vcpus[i]->fd, KVM_SET_LAPIC, &lapic));
		*(uint32_t *)(lapic.regs + 0x20) = i + 1;
		EXPECT_EQ(-EINVAL, xioctlp(vm->vcpus[i]->fd, KVM_SET_LAPIC, &lapic));
		EXPECT_EQ(1, vcpu_get_msr(vm->vcpus[i], 0x802, &id));
		EXPECT_EQ(i, id);
		ASSERT_EQ(0, xioctlp(vm->vcpus[i]->fd, KVM_GET_MP_STATE, &mp));
		EXPECT_EQ(KVM_MP_STATE_HALTED, mp.mp_state);
	}
}

FIXTURE(creation) { };
FIXTURE_SETUP(creation) { }
FIXTURE_TEARDOWN(creation) { }

TEST_F_TIMEOUT(creation, as_many_as_there_may_be, 300)
{
	struct vm *vm = vm_new(VM_RAM_SIZE);
	int max, i, last = -1, rc = 0;

	files();
	ASSERT_EQ(0, xioctl(vm->fd, KVM_CREATE_IRQCHIP, 0));
	max = has_cap(vm->sys, KVM_CAP_MAX_VCPUS);
	EXPECT_LE(1024, max);
	for (i = 0; i < max; i++) {
		/* From the highest id on down. */
		rc = xioctl(vm->fd, KVM_CREATE_VCPU, has_cap(vm->sys, KVM_CAP_MAX_VCPU_ID) - 1 - i);
		if (rc < 0)
			break;
		last = rc;
	}
	EXPECT_EQ(max, i)
		TH_LOG("the next one: %s", strerror(-rc));
	EXPECT_EQ(-EINVAL, xioctl(vm->fd, KVM_CREATE_VCPU, 0));
	/* The last one works, and one dies alone. */
	EXPECT_LT(0, last);
	close(last);
	EXPECT_EQ(-EINVAL, xioctl(vm->fd, KVM_CREATE_VCPU, 0));
}

TEST_HARNESS_MAIN
