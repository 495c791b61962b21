// SPDX-License-Identifier: GPL-2.0-only
/*
 * The three kinds of file descriptor: names, flags, errno of what they refuse, mmap, lifetime.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vm.h"

#define BAD_PTR		0x1000ul	/* below mmap_min_addr: never mapped */
#define PAGE		4096

static void fd_name(int fd, char *buf, size_t size)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, buf, size - 1);
	buf[n < 0 ? 0 : n] = 0;
}

TEST(system_basics)
{
	int fd = kvm_open();
	struct stat st;

	ASSERT_EQ(0, fstat(fd, &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(10, st.st_rdev >> 8 & 0xfff);
	EXPECT_EQ(232, st.st_rdev & 0xff);
	EXPECT_EQ(12, xioctl(fd, KVM_GET_API_VERSION, 0));
	EXPECT_EQ(-EINVAL, xioctl(fd, KVM_GET_API_VERSION, 1));
	EXPECT_EQ(-EINVAL, xioctl(fd, KVM_GET_VCPU_MMAP_SIZE, 1));
	EXPECT_EQ(3 * PAGE, xioctl(fd, KVM_GET_VCPU_MMAP_SIZE, 0));
	close(fd);
	fd = open("/dev/kvm", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(12, xioctl(fd, KVM_GET_API_VERSION, 0));
	EXPECT_LE(0, xioctl(fd, KVM_CREATE_VM, 0));
}

TEST(create_vm_bad_types)
{
	static const unsigned long bad[] = { 2, 6, 7, 0x100, 1ul << 31, 1ul << 32, ~0ul };
	int fd = kvm_open();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_EQ(-EINVAL, xioctl(fd, KVM_CREATE_VM, bad[i]))
			TH_LOG("type %#lx", bad[i]);
}

TEST(fd_names_and_flags)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vm_vcpu(vm, 0), *w = vm_vcpu(vm, 7);
	char name[64];

	fd_name(vm->fd, name, sizeof(name));
	EXPECT_STREQ("anon_inode:kvm-vm", name);
	fd_name(v->fd, name, sizeof(name));
	EXPECT_STREQ("anon_inode:kvm-vcpu:0", name);
	fd_name(w->fd, name, sizeof(name));
	EXPECT_STREQ("anon_inode:kvm-vcpu:7", name);
	EXPECT_EQ(FD_CLOEXEC, fcntl(vm->fd, F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(v->fd, F_GETFD));
	EXPECT_EQ(O_RDWR, fcntl(vm->fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(O_RDWR, fcntl(v->fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(-1, read(vm->fd, name, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(v->fd, name, 1));
	EXPECT_EQ(EINVAL, errno);
}

TEST(unknown_ioctls)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vm_vcpu(vm, 0);
	static const unsigned long cmds[] = {
		_IO(KVMIO, 0xff), _IOW(KVMIO, 0xfe, long), _IO('K', 1), 0, ~0u,
		/* retired */
		_IOW(KVMIO, 0x40, char[24]), _IOW(KVMIO, 0x43, char[40]), _IOW(KVMIO, 0x87, char[80]),
		/* known numbers with another size or direction */
		_IOW(KVMIO, 0x46, char[40]), _IOR(KVMIO, 0x82, struct kvm_regs),
		_IOR(KVMIO, 0x81, char[8]), _IOW(KVMIO, 0x80, long),
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cmds); i++) {
		EXPECT_EQ(-EINVAL, xioctl(vm->sys, cmds[i], 0))
			TH_LOG("system %#lx", cmds[i]);
		EXPECT_EQ(-ENOTTY, xioctl(vm->fd, cmds[i], 0))
			TH_LOG("VM %#lx", cmds[i]);
		EXPECT_EQ(-EINVAL, xioctl(v->fd, cmds[i], 0))
			TH_LOG("vCPU %#lx", cmds[i]);
	}
}

/* Retired long ago; kernels before 6.3 still answered them with an error of their own. */
TEST(trace_ioctls)
{
	int sys = kvm_open();
	int rc = xioctl(sys, _IO(KVMIO, 0x07), 0);

	EXPECT_TRUE(rc == -EOPNOTSUPP || rc == -EINVAL);
	EXPECT_EQ(rc, xioctl(sys, _IO(KVMIO, 0x08), 0));
}

TEST(ioctl_on_the_wrong_fd)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vm_vcpu(vm, 0);
	struct kvm_regs r;

	EXPECT_EQ(-EINVAL, xioctlp(vm->sys, KVM_GET_REGS, &r));
	EXPECT_EQ(-EINVAL, xioctl(vm->sys, KVM_RUN, 0));
	EXPECT_EQ(-EINVAL, xioctl(vm->sys, KVM_CREATE_VCPU, 0));
	EXPECT_EQ(-ENOTTY, xioctlp(vm->fd, KVM_GET_REGS, &r));
	EXPECT_EQ(-ENOTTY, xioctl(vm->fd, KVM_RUN, 0));
	EXPECT_EQ(-ENOTTY, xioctl(vm->fd, KVM_CREATE_VM, 0));
	EXPECT_EQ(-EINVAL, xioctl(v->fd, KVM_CREATE_VM, 0));
	EXPECT_EQ(-EINVAL, xioctl(v->fd, KVM_CREATE_VCPU, 1));
	EXPECT_EQ(-EINVAL, xioctl(v->fd, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY));
}

struct ptr_ioctl {
	unsigned long cmd;
	const char *name;
	unsigned int cap;		/* 0: always there */
};
#define P(name, cap) { name, #name, cap }

TEST(bad_pointers)
{
	static const struct ptr_ioctl on_system[] = {
		P(KVM_GET_SUPPORTED_CPUID, 0), P(KVM_GET_MSR_INDEX_LIST, 0),
		P(KVM_GET_EMULATED_CPUID, KVM_CAP_EXT_EMUL_CPUID),
		P(KVM_GET_MSR_FEATURE_INDEX_LIST, KVM_CAP_GET_MSR_FEATURES),
		P(KVM_GET_MSRS, KVM_CAP_GET_MSR_FEATURES),
		P(KVM_X86_GET_MCE_CAP_SUPPORTED, KVM_CAP_MCE),
	};
	static const struct ptr_ioctl on_vm[] = {
		P(KVM_SET_USER_MEMORY_REGION, 0), P(KVM_GET_DIRTY_LOG, 0),
		P(KVM_SET_IDENTITY_MAP_ADDR, KVM_CAP_SET_IDENTITY_MAP_ADDR),
		P(KVM_ENABLE_CAP, KVM_CAP_ENABLE_CAP_VM), P(KVM_IOEVENTFD, KVM_CAP_IOEVENTFD),
		P(KVM_CLEAR_DIRTY_LOG, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2),
		P(KVM_SET_CLOCK, KVM_CAP_ADJUST_CLOCK), P(KVM_GET_CLOCK, KVM_CAP_ADJUST_CLOCK),
		P(KVM_SET_USER_MEMORY_REGION2, KVM_CAP_USER_MEMORY2),
	};
	static const struct ptr_ioctl on_vcpu[] = {
		P(KVM_GET_REGS, 0), P(KVM_SET_REGS, 0), P(KVM_GET_SREGS, 0), P(KVM_SET_SREGS, 0),
		P(KVM_GET_FPU, 0), P(KVM_SET_FPU, 0), P(KVM_GET_MSRS, 0), P(KVM_SET_MSRS, 0),
		P(KVM_SET_CPUID2, 0), P(KVM_GET_CPUID2, 0), P(KVM_SET_SIGNAL_MASK, 0),
		P(KVM_INTERRUPT, 0), P(KVM_GET_MP_STATE, 0), P(KVM_SET_MP_STATE, 0),
		P(KVM_GET_VCPU_EVENTS, 0), P(KVM_SET_VCPU_EVENTS, 0),
		P(KVM_GET_DEBUGREGS, 0), P(KVM_SET_DEBUGREGS, 0), P(KVM_GET_XSAVE, 0),
		P(KVM_SET_XSAVE, 0), P(KVM_GET_XCRS, KVM_CAP_XCRS), P(KVM_SET_XCRS, KVM_CAP_XCRS),
		P(KVM_GET_SREGS2, KVM_CAP_SREGS2), P(KVM_SET_SREGS2, KVM_CAP_SREGS2),
		P(KVM_GET_XSAVE2, KVM_CAP_XSAVE2), P(KVM_TRANSLATE, KVM_CAP_SET_GUEST_DEBUG),
		P(KVM_SET_GUEST_DEBUG, KVM_CAP_SET_GUEST_DEBUG), P(KVM_X86_SETUP_MCE, KVM_CAP_MCE),
	};
	const struct { const struct ptr_ioctl *p; size_t n; } kinds[] = {
		{ on_system, ARRAY_SIZE(on_system) }, { on_vm, ARRAY_SIZE(on_vm) },
		{ on_vcpu, ARRAY_SIZE(on_vcpu) },
	};
	struct vm *vm = vm_new(0);
	struct vcpu *v = vm_vcpu(vm, 0);
	/* some VM ioctls look for vCPUs before they look at the pointer */
	int fds[] = { vm->sys, vm_new(0)->fd, v->fd };
	size_t k, i;

	for (k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (i = 0; i < kinds[k].n; i++) {
			const struct ptr_ioctl *p = &kinds[k].p[i];

			if (p->cap && has_cap(vm->sys, p->cap) <= 0)
				continue;
			EXPECT_EQ(-EFAULT, xioctl(fds[k], p->cmd, BAD_PTR))
				TH_LOG("%s, low pointer", p->name);
			EXPECT_EQ(-EFAULT, xioctl(fds[k], p->cmd, 0xffffffff80000000ul))
				TH_LOG("%s, kernel pointer", p->name);
		}
	}
}

/* Where there is no argument VMMs pass none, so that anything may come; some requests look all the same. */
TEST(no_argument)
{
	struct vcpu *v = vm_simple();

	EXPECT_EQ(-EINVAL, xioctl(v->vm->sys, KVM_GET_API_VERSION, 1));
	EXPECT_EQ(-EINVAL, xioctl(v->vm->sys, KVM_GET_VCPU_MMAP_SIZE, 1));
	EXPECT_EQ(-EINVAL, xioctl(v->fd, KVM_RUN, 1));
	EXPECT_EQ(0, xioctl(v->fd, KVM_NMI, 0x1234));
	EXPECT_LT(0, xioctl(v->fd, KVM_GET_TSC_KHZ, 0x1234));
	EXPECT_LE(0, xioctl(v->vm->fd, KVM_GET_NR_MMU_PAGES, 0x1234));
	vm_free(v->vm);
}

TEST(pointer_across_a_hole)
{
	struct vcpu *v = vm_simple();
	uint8_t *two = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, two);
	ASSERT_EQ(0, munmap(two + PAGE, PAGE));
	EXPECT_EQ(-EFAULT, xioctlp(v->fd, KVM_GET_REGS, two + PAGE - 8));
	EXPECT_EQ(-EFAULT, xioctlp(v->fd, KVM_SET_REGS, two + PAGE - 8));
	EXPECT_EQ(-EFAULT, xioctlp(v->fd, KVM_SET_SREGS, two + PAGE - 16));
	EXPECT_EQ(0, xioctlp(v->fd, KVM_GET_REGS, two + PAGE - sizeof(struct kvm_regs)));
	EXPECT_EQ(0, xioctlp(v->fd, KVM_GET_REGS, two + 1));	/* no alignment is asked for */
}

TEST(vcpu_ids)
{
	struct vm *vm = vm_new(0);
	int max_id = has_cap(vm->sys, KVM_CAP_MAX_VCPU_ID), max = has_cap(vm->sys, KVM_CAP_MAX_VCPUS);
	int nr = has_cap(vm->sys, KVM_CAP_NR_VCPUS), fd;

	EXPECT_LE(1, nr);
	EXPECT_LE(nr, max);
	EXPECT_LE(max, max_id);
	EXPECT_EQ(-EINVAL, xioctl(vm->fd, KVM_CREATE_VCPU, max_id));
	EXPECT_EQ(-EINVAL, xioctl(vm->fd, KVM_CREATE_VCPU, 0x7fffffff));
	EXPECT_EQ(-EINVAL, xioctl(vm->fd, KVM_CREATE_VCPU, 0xffffffff));
	fd = xioctl(vm->fd, KVM_CREATE_VCPU, max_id - 1);
	EXPECT_LE(0, fd);
	EXPECT_EQ(-EEXIST, xioctl(vm->fd, KVM_CREATE_VCPU, max_id - 1));
	EXPECT_LE(0, xioctl(vm->fd, KVM_CREATE_VCPU, 3));
	EXPECT_EQ(-EEXIST, xioctl(vm->fd, KVM_CREATE_VCPU, 3));
	close(fd);			/* the vCPU lives on with its VM */
	EXPECT_EQ(-EEXIST, xioctl(vm->fd, KVM_CREATE_VCPU, max_id - 1));
}

TEST(cpuid_e2big)
{
	int sys = kvm_open();
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + 1024 * sizeof(c->entries[0]));
	uint32_t n;

	c->nent = 0;
	EXPECT_EQ(-E2BIG, xioctlp(sys, KVM_GET_SUPPORTED_CPUID, c));
	c->nent = 1;
	EXPECT_EQ(-E2BIG, xioctlp(sys, KVM_GET_SUPPORTED_CPUID, c));
	EXPECT_EQ(1, c->nent);
	c->nent = 1000;
	ASSERT_EQ(0, xioctlp(sys, KVM_GET_SUPPORTED_CPUID, c));
	n = c->nent;
	EXPECT_LT(4, n);
	EXPECT_GT(100, n);
	c->nent = n;
	EXPECT_EQ(0, xioctlp(sys, KVM_GET_SUPPORTED_CPUID, c));
	EXPECT_EQ(n, c->nent);
	c->nent = n - 1;
	EXPECT_EQ(-E2BIG, xioctlp(sys, KVM_GET_SUPPORTED_CPUID, c));
}

TEST(vcpu_cpuid_e2big)
{
	struct vcpu *v = vm_simple();
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + 300 * sizeof(c->entries[0]));
	uint32_t n = supported_cpuid(v->vm->sys)->nent;		/* what vm_vcpu() has set */

	c->nent = n - 1;
	EXPECT_EQ(-E2BIG, xioctlp(v->fd, KVM_GET_CPUID2, c));
	c->nent = n;
	EXPECT_EQ(0, xioctlp(v->fd, KVM_GET_CPUID2, c));
	EXPECT_EQ(n, c->nent);
	c->nent = 300;
	EXPECT_EQ(0, xioctlp(v->fd, KVM_GET_CPUID2, c));
	EXPECT_TRUE(c->nent == n || c->nent == 300);	/* 6.1 leaves it alone on success */
	c->nent = 257;
	EXPECT_EQ(-E2BIG, xioctlp(v->fd, KVM_SET_CPUID2, c));
}

static void msr_list_protocol(struct __test_metadata *_metadata, int sys, unsigned long cmd)
{
	struct kvm_msr_list *l = calloc(1, sizeof(*l) + 4096 * sizeof(l->indices[0]));
	uint32_t n;

	l->nmsrs = 0;
	EXPECT_EQ(-E2BIG, xioctlp(sys, cmd, l));
	n = l->nmsrs;
	EXPECT_LT(0, n);
	l->nmsrs = n - 1;
	EXPECT_EQ(-E2BIG, xioctlp(sys, cmd, l));
	EXPECT_EQ(n, l->nmsrs);
	l->nmsrs = 4096;
	EXPECT_EQ(0, xioctlp(sys, cmd, l));
	EXPECT_EQ(n, l->nmsrs);
	l->nmsrs = n;
	EXPECT_EQ(0, xioctlp(sys, cmd, l));
	free(l);
}

TEST(msr_list_e2big)
{
	int sys = kvm_open();

	msr_list_protocol(_metadata, sys, KVM_GET_MSR_INDEX_LIST);
	if (has_cap(sys, KVM_CAP_GET_MSR_FEATURES) > 0)
		msr_list_protocol(_metadata, sys, KVM_GET_MSR_FEATURE_INDEX_LIST);
}

TEST(extensions)
{
	static const struct { unsigned int cap; int value; } want[] = {
		{ KVM_CAP_USER_MEMORY, 1 }, { KVM_CAP_SET_TSS_ADDR, 1 }, { KVM_CAP_EXT_CPUID, 1 },
		{ KVM_CAP_MP_STATE, 1 }, { KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1 },
		{ KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, 1 }, { KVM_CAP_SYNC_MMU, 1 },
		{ KVM_CAP_IMMEDIATE_EXIT, 1 }, { KVM_CAP_SET_IDENTITY_MAP_ADDR, 1 },
		{ KVM_CAP_XSAVE, 1 }, { KVM_CAP_VCPU_EVENTS, 1 }, { KVM_CAP_DEBUGREGS, 1 },
		{ KVM_CAP_INTERNAL_ERROR_DATA, 1 }, { KVM_CAP_CHECK_EXTENSION_VM, 1 },
		{ KVM_CAP_ENABLE_CAP_VM, 1 }, { KVM_CAP_PV_MMU, 0 }, { KVM_CAP_MSI_DEVID, 0 },
		{ KVM_CAP_READONLY_MEM, 1 },
	};
	static const unsigned long unknown[] = { 5, 17, 250, 4095, 1ul << 31, 1ul << 32, ~0ul };
	struct vm *vm = vm_new(0);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(want); i++) {
		EXPECT_EQ(want[i].value, has_cap(vm->sys, want[i].cap))
			TH_LOG("system, cap %u", want[i].cap);
		EXPECT_EQ(want[i].value, has_cap(vm->fd, want[i].cap))
			TH_LOG("VM, cap %u", want[i].cap);
	}
	for (i = 0; i < ARRAY_SIZE(unknown); i++) {
		EXPECT_EQ(0, xioctl(vm->sys, KVM_CHECK_EXTENSION, unknown[i]))
			TH_LOG("system, cap %#lx", unknown[i]);
		EXPECT_EQ(0, xioctl(vm->fd, KVM_CHECK_EXTENSION, unknown[i]))
			TH_LOG("VM, cap %#lx", unknown[i]);
	}
	EXPECT_LE(509, has_cap(vm->sys, KVM_CAP_NR_MEMSLOTS));
	EXPECT_LE(1, has_cap(vm->sys, KVM_CAP_IRQ_ROUTING));
}

TEST(enable_cap_refuses)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vm_vcpu(vm, 0);
	struct kvm_enable_cap cap = { .cap = 4095 };

	EXPECT_EQ(-EINVAL, xioctlp(vm->fd, KVM_ENABLE_CAP, &cap));
	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_ENABLE_CAP, &cap));
	cap.cap = KVM_CAP_USER_MEMORY;
	EXPECT_EQ(-EINVAL, xioctlp(vm->fd, KVM_ENABLE_CAP, &cap));
	cap.cap = KVM_CAP_EXCEPTION_PAYLOAD;
	cap.flags = 1;
	EXPECT_EQ(-EINVAL, xioctlp(vm->fd, KVM_ENABLE_CAP, &cap));
	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_ENABLE_CAP, &cap));
}

/* A capability that is reported must be switchable, or QEMU does not start. */
TEST(reported_caps_can_be_enabled)
{
	static const struct { unsigned int cap; uint64_t arg; } caps[] = {
		{ KVM_CAP_EXCEPTION_PAYLOAD, 1 }, { KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1 },
		{ KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_FILTER },
		{ KVM_CAP_X86_NOTIFY_VMEXIT, 3 }, { KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 1 },
	};
	struct vm *vm = vm_new(0);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(caps); i++) {
		struct kvm_enable_cap cap = { .cap = caps[i].cap, .args[0] = caps[i].arg };

		int want = has_cap(vm->fd, caps[i].cap) > 0 ? 0 : -EINVAL;

		EXPECT_EQ(want, xioctlp(vm->fd, KVM_ENABLE_CAP, &cap))
			TH_LOG("cap %u", caps[i].cap);
	}
}

static sigjmp_buf bus_env;
static void on_sigbus(int sig)
{
	siglongjmp(bus_env, 1);
}

TEST(vcpu_mmap)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vm_vcpu(vm, 0);
	struct sigaction sa = { .sa_handler = on_sigbus };
	uint8_t *volatile pages = (uint8_t *)v->run, *volatile more;

	sigaction(SIGBUS, &sa, NULL);
	pages[PAGE] = 0x5a;				/* the port data page */
	pages[2 * PAGE] = pages[2 * PAGE];		/* the coalesced ring */
	more = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	ASSERT_NE(MAP_FAILED, more);
	EXPECT_EQ(0x5a, more[PAGE]);
	if (!sigsetjmp(bus_env, 1)) {
		(void)*(volatile uint8_t *)(more + 3 * PAGE);
		EXPECT_TRUE(0) TH_LOG("page 3 of the vCPU mmap is readable");
	}
	/* one page of the area alone */
	more = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, v->fd, PAGE);
	ASSERT_NE(MAP_FAILED, more);
	EXPECT_EQ(0x5a, more[0]);
	if (!sigsetjmp(bus_env, 1)) {
		more = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, v->fd, 1ul << 40);
		if (more != MAP_FAILED) {
			(void)*(volatile uint8_t *)more;
			EXPECT_TRUE(0) TH_LOG("a page far behind the area is readable");
		}
	}
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, vm->fd, 0));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, vm->sys, 0));
	EXPECT_EQ(ENODEV, errno);
}

GUEST(just_hlt, 16, "hlt");

TEST(run_page_survives_close)
{
	struct vcpu *v = vm_simple();
	struct kvm_run *run = v->run;

	vm_load_guest(v->vm, VM_CODE, just_hlt);
	vcpu_prot(v, VM_CODE);
	RUN_TO(v, KVM_EXIT_HLT);
	close(v->vm->sys);
	vcpu_prot(v, VM_CODE);
	RUN_TO(v, KVM_EXIT_HLT);
	close(v->vm->fd);
	vcpu_prot(v, VM_CODE);
	RUN_TO(v, KVM_EXIT_HLT);
	close(v->fd);
	EXPECT_EQ(KVM_EXIT_HLT, run->exit_reason);
	run->immediate_exit = 1;
	munmap(run, v->run_size);
}

TEST(another_process_gets_eio)
{
	struct vcpu *v = vm_simple();
	int status;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct kvm_regs r;
		int bad = 0;

		bad |= xioctlp(v->fd, KVM_GET_REGS, &r) != -EIO;
		bad |= (xioctl(v->fd, KVM_RUN, 0) != -EIO) << 1;
		bad |= (xioctl(v->vm->fd, KVM_CREATE_VCPU, 1) != -EIO) << 2;
		bad |= (vm_set_slot(v->vm, 0, 0, 0, 0, NULL) != -EIO) << 3;
		bad |= (xioctl(v->vm->sys, KVM_GET_API_VERSION, 0) != 12) << 4;
		_exit(bad);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
	EXPECT_EQ(0, xioctlp(v->fd, KVM_GET_REGS, &(struct kvm_regs){}));
}

TEST(without_irqchip)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vm_vcpu(vm, 0);
	struct kvm_lapic_state lapic = {};
	struct kvm_irqchip chip = {};
	struct kvm_irq_level level = { .irq = 1 };
	int none = has_cap(vm->sys, KVM_CAP_IRQCHIP) > 0 ? -ENXIO : -ENOTTY;

	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_GET_LAPIC, &lapic));
	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_SET_LAPIC, &lapic));
	EXPECT_EQ(none, xioctlp(vm->fd, KVM_GET_IRQCHIP, &chip));
	EXPECT_EQ(none, xioctlp(vm->fd, KVM_SET_IRQCHIP, &chip));
	EXPECT_EQ(none, xioctlp(vm->fd, KVM_IRQ_LINE, &level));
	EXPECT_EQ(none, xioctlp(vm->fd, KVM_IRQ_LINE_STATUS, &level));
	EXPECT_EQ(-EINVAL, xioctl(v->fd, KVM_KVMCLOCK_CTRL, 0));
}

TEST(set_up_addresses)
{
	struct vm *vm = vm_new(0);
	uint64_t addr = 0xfeffc000;

	EXPECT_EQ(0, xioctlp(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &addr));
	EXPECT_EQ(0, xioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfeffd000));
	EXPECT_EQ(-EINVAL, xioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffffffe));
	vm_vcpu(vm, 0);
	EXPECT_EQ(-EINVAL, xioctlp(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &addr));
	EXPECT_EQ(0, xioctl(vm->fd, KVM_SET_NR_MMU_PAGES, 1024));
	EXPECT_EQ(1024, xioctl(vm->fd, KVM_GET_NR_MMU_PAGES, 0));
	EXPECT_EQ(-EINVAL, xioctl(vm->fd, KVM_SET_NR_MMU_PAGES, 1));
}

TEST(mce)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vm_vcpu(vm, 0);
	int banks = has_cap(vm->sys, KVM_CAP_MCE);
	uint64_t cap;

	if (banks <= 0)
		SKIP(return, "no KVM_CAP_MCE");
	EXPECT_LE(10, banks);
	ASSERT_EQ(0, xioctlp(vm->sys, KVM_X86_GET_MCE_CAP_SUPPORTED, &cap));
	EXPECT_EQ(1ull << 8 | 1ull << 24, cap & (1ull << 8 | 1ull << 24));	/* CTL_P, SER_P */
	cap |= 10;
	EXPECT_EQ(0, xioctlp(v->fd, KVM_X86_SETUP_MCE, &cap));
	cap = (cap & ~0xffull) | 0xff;
	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_X86_SETUP_MCE, &cap));
	cap = 0;
	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_X86_SETUP_MCE, &cap));
	cap = 1ull << 40 | 10;
	EXPECT_EQ(-EINVAL, xioctlp(v->fd, KVM_X86_SETUP_MCE, &cap));
}

TEST_HARNESS_MAIN
