// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tests' virtual machine: creation, processor modes, running and reporting.
 *
 * Owns the guest's low memory (see vm.h). Knows nothing about any test.
 * Intel SDM 3A "Protected-Mode Memory Management", "Paging"; AMD APM 2 "Long Mode Environment".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vm.h"

/* The harness ends its children with _exit(), which flushes nothing. */
static void __attribute__((constructor)) unbuffered(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
}

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("# fatal: ");
	vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
	_exit(1);
}

int xioctl(int fd, unsigned long cmd, unsigned long arg)
{
	int rc = ioctl(fd, cmd, arg);

	return rc < 0 ? -errno : rc;
}

int kvm_open(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die("/dev/kvm: %s", strerror(errno));
	return fd;
}

int has_cap(int fd, unsigned int cap)
{
	return xioctl(fd, KVM_CHECK_EXTENSION, cap);
}

int is_keel(void)
{
	return access("/sys/module/kvm/version", F_OK) == 0;
}

struct vm *vm_new(size_t ram_size)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int rc;

	vm->sys = kvm_open();
	do
		vm->fd = xioctl(vm->sys, KVM_CREATE_VM, 0);
	while (vm->fd == -EINTR);
	if (vm->fd < 0)
		die("KVM_CREATE_VM: %s", strerror(-vm->fd));
	if (!ram_size)
		return vm;
	vm->ram_size = ram_size;
	vm->ram = mmap(NULL, ram_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (vm->ram == MAP_FAILED)
		die("mmap of guest RAM: %s", strerror(errno));
	rc = vm_set_slot(vm, 0, 0, 0, ram_size, vm->ram);
	if (rc)
		die("slot 0: %s", strerror(-rc));
	return vm;
}

void vm_free(struct vm *vm)
{
	unsigned int i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		munmap(vm->vcpus[i]->run, vm->vcpus[i]->run_size);
		close(vm->vcpus[i]->fd);
		free(vm->vcpus[i]);
	}
	close(vm->fd);
	close(vm->sys);
	if (vm->ram)
		munmap(vm->ram, vm->ram_size);
	free(vm);
}

struct kvm_cpuid2 *supported_cpuid(int sys)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + MAX_CPUID * sizeof(c->entries[0]));
	int rc;

	c->nent = MAX_CPUID;
	rc = xioctlp(sys, KVM_GET_SUPPORTED_CPUID, c);
	if (rc)
		die("KVM_GET_SUPPORTED_CPUID: %s", strerror(-rc));
	return c;
}

const struct kvm_cpuid_entry2 *cpuid_find(const struct kvm_cpuid2 *c, uint32_t function, uint32_t index)
{
	uint32_t i;

	for (i = 0; i < c->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &c->entries[i];

		if (e->function == function &&
		    (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == index))
			return e;
	}
	return NULL;
}

struct vcpu *vm_vcpu(struct vm *vm, unsigned int id)
{
	struct vcpu *v = calloc(1, sizeof(*v));
	struct kvm_cpuid2 *c;
	int rc;

	v->vm = vm;
	v->id = id;
	v->fd = xioctl(vm->fd, KVM_CREATE_VCPU, id);
	if (v->fd < 0)
		die("KVM_CREATE_VCPU %u: %s", id, strerror(-v->fd));
	rc = xioctl(vm->sys, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (rc < (int)sizeof(*v->run))
		die("KVM_GET_VCPU_MMAP_SIZE: %d", rc);
	v->run_size = rc;
	v->run = mmap(NULL, v->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED)
		die("mmap of the vCPU: %s", strerror(errno));
	c = supported_cpuid(vm->sys);
	rc = xioctlp(v->fd, KVM_SET_CPUID2, c);
	if (rc)
		die("KVM_SET_CPUID2: %s", strerror(-rc));
	free(c);
	vm->vcpus[vm->nr_vcpus++] = v;
	return v;
}

struct vcpu *vm_simple(void)
{
	return vm_vcpu(vm_new(VM_RAM_SIZE), 0);
}

int vm_set_slot(struct vm *vm, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size, void *hva)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa,
		.memory_size = size, .userspace_addr = (uintptr_t)hva,
	};

	return xioctlp(vm->fd, KVM_SET_USER_MEMORY_REGION, &r);
}

void vm_load(struct vm *vm, uint64_t gpa, const void *code, size_t size)
{
	if (gpa + size > vm->ram_size)
		die("guest code does not fit");
	memcpy(vm->ram + gpa, code, size);
}

void vcpu_regs(struct vcpu *v, struct kvm_regs *regs)
{
	int rc = xioctlp(v->fd, KVM_GET_REGS, regs);

	if (rc)
		die("KVM_GET_REGS: %s", strerror(-rc));
}

void vcpu_set_regs(struct vcpu *v, const struct kvm_regs *regs)
{
	int rc = xioctlp(v->fd, KVM_SET_REGS, regs);

	if (rc)
		die("KVM_SET_REGS: %s", strerror(-rc));
}

void vcpu_sregs(struct vcpu *v, struct kvm_sregs *sregs)
{
	int rc = xioctlp(v->fd, KVM_GET_SREGS, sregs);

	if (rc)
		die("KVM_GET_SREGS: %s", strerror(-rc));
}

int vcpu_set_sregs(struct vcpu *v, const struct kvm_sregs *sregs)
{
	return xioctlp(v->fd, KVM_SET_SREGS, sregs);
}

uint64_t vcpu_rip(struct vcpu *v)
{
	struct kvm_regs r;

	vcpu_regs(v, &r);
	return r.rip;
}

struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

int vcpu_get_msr(struct vcpu *v, uint32_t index, uint64_t *value)
{
	struct one_msr m = { .head.nmsrs = 1, .entry.index = index };
	int rc = xioctlp(v->fd, KVM_GET_MSRS, &m);

	*value = m.entry.data;
	return rc;
}

int vcpu_set_msr(struct vcpu *v, uint32_t index, uint64_t value)
{
	struct one_msr m = { .head.nmsrs = 1, .entry = { .index = index, .data = value } };

	return xioctlp(v->fd, KVM_SET_MSRS, &m);
}

static void set_mode(struct vcpu *v, const struct kvm_sregs *s, uint64_t rip)
{
	struct kvm_regs r = { .rip = rip, .rsp = VM_STACK_TOP, .rflags = 2 };
	int rc = vcpu_set_sregs(v, s);

	if (rc)
		die("KVM_SET_SREGS: %s", strerror(-rc));
	vcpu_set_regs(v, &r);
}

/* Nothing of an earlier guest stays, but the APIC base. */
static void clean_sregs(struct vcpu *v, struct kvm_sregs *s)
{
	uint64_t apic_base;

	vcpu_sregs(v, s);
	apic_base = s->apic_base;
	memset(s, 0, sizeof(*s));
	s->apic_base = apic_base;
	s->cr0 = 0x60000010;
}

void vcpu_real(struct vcpu *v, uint64_t rip)
{
	struct kvm_segment seg = { .limit = 0xffff, .type = 3, .present = 1, .s = 1 };
	struct kvm_sregs s;

	clean_sregs(v, &s);
	s.ds = s.es = s.fs = s.gs = s.ss = seg;
	seg.type = 11;
	s.cs = seg;
	seg.s = 0;
	s.tr = seg;
	seg.type = 2;
	s.ldt = seg;
	s.gdt.limit = s.idt.limit = 0xffff;
	set_mode(v, &s, rip);
}

static const uint64_t gdt[] = {
	[SEL_CODE64 / 8] = 0x00af9b000000ffff,
	[SEL_DATA / 8] = 0x00cf93000000ffff,
	[SEL_CODE32 / 8] = 0x00cf9b000000ffff,
	[SEL_CODE16 / 8] = 0x00009b000000ffff,
	[SEL_DATA16 / 8] = 0x000093000000ffff,
	[SEL_USER_DATA / 8] = 0x00cff3000000ffff,
	[SEL_USER_CODE64 / 8] = 0x00affb000000ffff,
	[SEL_TSS / 8] = 0x00008b0000000067 | (uint64_t)VM_TSS << 16,
	0,
};

static struct kvm_segment segment(uint16_t selector, uint8_t type)
{
	uint64_t d = gdt[selector / 8];

	return (struct kvm_segment){
		.limit = 0xffffffff, .selector = selector, .type = type, .present = 1,
		.dpl = selector & 3, .db = d >> 54 & 1, .s = 1, .l = d >> 53 & 1, .g = 1,
	};
}

static void flat_segments(struct vm *vm, struct kvm_sregs *s, uint16_t code)
{
	memcpy(vm->ram + VM_GDT, gdt, sizeof(gdt));
	memset(vm->ram + VM_TSS, 0, 0x68);
	*(uint64_t *)(vm->ram + VM_TSS + 4) = VM_STACK_TOP;	/* RSP0 */
	*(uint64_t *)(vm->ram + VM_TSS + 36) = VM_IST1_TOP;
	s->gdt.base = VM_GDT;
	s->gdt.limit = sizeof(gdt) - 1;
	s->idt.base = VM_IDT;
	s->cs = segment(code, 11);
	s->ds = s->es = s->fs = s->gs = s->ss = segment(SEL_DATA, 3);
	s->tr = (struct kvm_segment){
		.base = VM_TSS, .limit = 0x67, .selector = SEL_TSS, .type = 11, .present = 1,
	};
	s->ldt = (struct kvm_segment){ .unusable = 1, .type = 2 };
}

void vcpu_prot(struct vcpu *v, uint64_t rip)
{
	struct kvm_sregs s;

	clean_sregs(v, &s);
	flat_segments(v->vm, &s, SEL_CODE32);
	s.idt.limit = 0x7ff;
	s.cr0 |= 1;
	set_mode(v, &s, rip);
}

void vcpu_long(struct vcpu *v, uint64_t rip)
{
	uint64_t *pml4 = (uint64_t *)(v->vm->ram + VM_PML4), *pdpt = pml4 + 512, *pd = pdpt + 512;
	struct kvm_sregs s;
	uint64_t i;

	memset(pml4, 0, 4096);
	memset(pdpt, 0, 4096);
	pml4[0] = (VM_PML4 + 0x1000) | 7;
	for (i = 0; i < 4; i++)
		pdpt[i] = (VM_PML4 + 0x2000 + i * 0x1000) | 7;
	for (i = 0; i < 4 * 512; i++)
		pd[i] = i << 21 | 0x87;
	clean_sregs(v, &s);
	flat_segments(v->vm, &s, SEL_CODE64);
	s.idt.limit = 0xfff;
	s.cr0 = 0x80010033;		/* PG WP NE ET MP PE */
	s.cr3 = VM_PML4;
	s.cr4 = 0x620;			/* OSXMMEXCPT OSFXSR PAE */
	s.efer = 0xd01;			/* NXE LMA LME SCE */
	set_mode(v, &s, rip);
}

void vm_set_gate(struct vm *vm, uint8_t vector, uint64_t handler, uint8_t type, uint8_t dpl, uint8_t ist)
{
	uint64_t *g = (uint64_t *)(vm->ram + VM_IDT + 16 * vector);

	g[0] = (handler & 0xffff) | SEL_CODE64 << 16 | (uint64_t)ist << 32 | (uint64_t)type << 40 |
	       (uint64_t)dpl << 45 | 1ULL << 47 | (handler >> 16 & 0xffff) << 48;
	g[1] = handler >> 32;
}

struct vcpu *vm_long(const uint8_t *code, size_t size)
{
	struct vcpu *v = vm_simple();

	vm_load(v->vm, VM_CODE, code, size);
	vcpu_long(v, VM_CODE);
	return v;
}

int vcpu_run(struct vcpu *v)
{
	return xioctl(v->fd, KVM_RUN, 0);
}

const char *exit_name(uint32_t reason)
{
	static const char *const names[] = {
		[KVM_EXIT_UNKNOWN] = "UNKNOWN", [KVM_EXIT_EXCEPTION] = "EXCEPTION", [KVM_EXIT_IO] = "IO",
		[KVM_EXIT_HYPERCALL] = "HYPERCALL", [KVM_EXIT_DEBUG] = "DEBUG", [KVM_EXIT_HLT] = "HLT",
		[KVM_EXIT_MMIO] = "MMIO", [KVM_EXIT_IRQ_WINDOW_OPEN] = "IRQ_WINDOW_OPEN",
		[KVM_EXIT_SHUTDOWN] = "SHUTDOWN", [KVM_EXIT_FAIL_ENTRY] = "FAIL_ENTRY",
		[KVM_EXIT_INTR] = "INTR", [KVM_EXIT_SET_TPR] = "SET_TPR",
		[KVM_EXIT_TPR_ACCESS] = "TPR_ACCESS", [KVM_EXIT_INTERNAL_ERROR] = "INTERNAL_ERROR",
		[KVM_EXIT_SYSTEM_EVENT] = "SYSTEM_EVENT", [KVM_EXIT_X86_RDMSR] = "X86_RDMSR",
		[KVM_EXIT_X86_WRMSR] = "X86_WRMSR", [KVM_EXIT_DIRTY_RING_FULL] = "DIRTY_RING_FULL",
		[KVM_EXIT_MEMORY_FAULT] = "MEMORY_FAULT",
	};

	if (reason >= sizeof(names) / sizeof(names[0]) || !names[reason])
		return "?";
	return names[reason];
}

static void dump_exit(struct vcpu *v)
{
	struct kvm_run *r = v->run;
	uint32_t i;

	switch (r->exit_reason) {
	case KVM_EXIT_IO:
		printf("#  %s port %#x size %u count %u data %#x\n", r->io.direction ? "out" : "in",
		       r->io.port, r->io.size, r->io.count, *(uint32_t *)vcpu_io_data(v));
		break;
	case KVM_EXIT_MMIO:
		printf("#  %s %#llx len %u data %#llx\n", r->mmio.is_write ? "write" : "read",
		       (unsigned long long)r->mmio.phys_addr, r->mmio.len,
		       *(unsigned long long *)r->mmio.data);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		printf("#  hardware reason %#llx\n",
		       (unsigned long long)r->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		printf("#  suberror %u ndata %u:", r->internal.suberror, r->internal.ndata);
		for (i = 0; i < r->internal.ndata && i < 16; i++)
			printf(" %llx", (unsigned long long)r->internal.data[i]);
		printf("\n");
		break;
	}
}

void vcpu_dump(struct vcpu *v)
{
	struct kvm_regs r;
	struct kvm_sregs s;

	printf("# exit %u (%s)\n", v->run->exit_reason, exit_name(v->run->exit_reason));
	dump_exit(v);
	if (xioctlp(v->fd, KVM_GET_REGS, &r) || xioctlp(v->fd, KVM_GET_SREGS, &s))
		return;
	printf("#  rip %llx rflags %llx rsp %llx rax %llx rbx %llx rcx %llx rdx %llx rsi %llx rdi %llx\n",
	       r.rip, r.rflags, r.rsp, r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi);
	printf("#  cs %x:%llx cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx\n", s.cs.selector, s.cs.base,
	       s.cr0, s.cr2, s.cr3, s.cr4, s.efer);
}
