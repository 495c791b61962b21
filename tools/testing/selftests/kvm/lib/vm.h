/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small virtual machine for the tests: one RAM slot at guest address 0, vCPUs, flat guest code.
 *
 * Everything here uses the public ioctls only, with kernel_irqchip absent. Set-up that cannot fail on
 * a working module prints why and ends the test process when it does fail.
 */
#ifndef KEEL_SELFTEST_VM_H
#define KEEL_SELFTEST_VM_H

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The guest's memory map. Code loads at VM_CODE; everything below belongs to the library. */
#define VM_RAM_SIZE	(4u << 20)
#define VM_GDT		0x0800u
#define VM_PML4		0x1000u		/* PML4, PDPT and four page directories: 0 - 4 GiB identity */
#define VM_IDT		0x7000u
#define VM_TSS		0x8000u
#define VM_IST1_TOP	0x9800u
#define VM_STACK_TOP	0xf000u
#define VM_CODE		0x10000u
#define VM_DATA		0x40000u
#define VM_DATA2	0x60000u
#define VM_FREE		0x100000u	/* a MiB nobody else touches */
#define VM_MMIO		0xd0000000u	/* mapped by the guest, in no slot */

#define SEL_CODE64	0x08
#define SEL_DATA	0x10
#define SEL_CODE32	0x18
#define SEL_CODE16	0x20
#define SEL_DATA16	0x28
#define SEL_USER_DATA	0x33
#define SEL_USER_CODE64	0x3b
#define SEL_TSS		0x40

#define VM_PORT		0xf1		/* the port guest code reports on */

#define MAX_CPUID	128

struct vcpu {
	struct vm *vm;
	int fd;
	unsigned int id;
	struct kvm_run *run;
	size_t run_size;
};

struct vm {
	int sys;			/* /dev/kvm */
	int fd;
	uint8_t *ram;			/* slot 0, at guest address 0 */
	size_t ram_size;
	struct vcpu *vcpus[1024];
	unsigned int nr_vcpus;
};

/* Guest code as a flat blob: GUEST(name, 16|32|64, "asm text"), for the macros below. */
#define GUEST(name, bits, text)							\
	extern const uint8_t guest_##name[], guest_##name##_end[];		\
	asm(".pushsection .rodata\n.code" #bits "\nguest_" #name ":\n" text	\
	    "\nguest_" #name "_end:\n.code64\n.popsection\n")
#define guest_code(name) guest_##name
#define guest_size(name) ((size_t)(guest_##name##_end - guest_##name))

#define vm_load_guest(vm, gpa, name) vm_load(vm, gpa, guest_code(name), guest_size(name))
/* A machine of the usual kind, ready to run the blob in long mode. */
#define LONG_VCPU(name) vm_long(guest_code(name), guest_size(name))

/* Prints the message, then ends the process: the test has failed. */
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* ioctl() that returns -errno instead of -1. */
int xioctl(int fd, unsigned long cmd, unsigned long arg);
#define xioctlp(fd, cmd, ptr) xioctl(fd, cmd, (unsigned long)(ptr))

int kvm_open(void);
int has_cap(int fd, unsigned int cap);
/* Is the module Keel? For what the distribution's is known to do otherwise. */
int is_keel(void);

/* A VM with RAM (bytes, may be 0) in slot 0, and no vCPU. */
struct vm *vm_new(size_t ram_size);
/* Closes every fd and unmaps everything, in an order the API must allow. */
void vm_free(struct vm *vm);
/* vCPU `id`, with the CPUID that KVM_GET_SUPPORTED_CPUID offers, in reset state. */
struct vcpu *vm_vcpu(struct vm *vm, unsigned int id);
/* The most common machine: default RAM, one vCPU. */
struct vcpu *vm_simple(void);
/* The same, with code at VM_CODE and about to run there in long mode. */
struct vcpu *vm_long(const uint8_t *code, size_t size);

int vm_set_slot(struct vm *vm, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size, void *hva);
void vm_load(struct vm *vm, uint64_t gpa, const void *code, size_t size);
/* What the host offers; nent is set. Freed by the caller. */
struct kvm_cpuid2 *supported_cpuid(int sys);
const struct kvm_cpuid_entry2 *cpuid_find(const struct kvm_cpuid2 *c, uint32_t function, uint32_t index);

void vcpu_regs(struct vcpu *v, struct kvm_regs *regs);
void vcpu_set_regs(struct vcpu *v, const struct kvm_regs *regs);
void vcpu_sregs(struct vcpu *v, struct kvm_sregs *sregs);
int vcpu_set_sregs(struct vcpu *v, const struct kvm_sregs *sregs);
uint64_t vcpu_rip(struct vcpu *v);
/* One MSR; the set and get return the ioctl's result (1 = done). */
int vcpu_get_msr(struct vcpu *v, uint32_t index, uint64_t *value);
int vcpu_set_msr(struct vcpu *v, uint32_t index, uint64_t value);

/* Put the vCPU at `rip` in real, flat 32-bit or long mode (with tables, stack and an empty IDT). */
void vcpu_real(struct vcpu *v, uint64_t rip);
void vcpu_prot(struct vcpu *v, uint64_t rip);
void vcpu_long(struct vcpu *v, uint64_t rip);
/* A 64-bit gate: type 14 interrupt, 15 trap; ist 0 or 1. */
void vm_set_gate(struct vm *vm, uint8_t vector, uint64_t handler, uint8_t type, uint8_t dpl, uint8_t ist);

/* KVM_RUN: 0 or -errno. */
int vcpu_run(struct vcpu *v);
const char *exit_name(uint32_t reason);
/* Everything about the last exit and the registers, as TAP comments. */
void vcpu_dump(struct vcpu *v);
static inline void *vcpu_io_data(struct vcpu *v)
{
	return (uint8_t *)v->run + v->run->io.data_offset;
}

/* Run and demand an exit; prints the exit in full when it is another one. Needs the harness. */
#define RUN_TO(v, reason) do {							\
	int rc_ = vcpu_run(v);							\
	if (rc_ || (v)->run->exit_reason != (reason)) {				\
		printf("# KVM_RUN returned %d, wanted exit %s\n", rc_, exit_name(reason)); \
		vcpu_dump(v);							\
	}									\
	ASSERT_EQ(0, rc_);							\
	ASSERT_EQ((uint32_t)(reason), (v)->run->exit_reason);			\
} while (0)

/* Run to an OUT of `bytes` to VM_PORT and return its value in `value`. */
#define RUN_TO_REPORT(v, value) do {						\
	RUN_TO(v, KVM_EXIT_IO);							\
	if ((v)->run->io.port != VM_PORT)					\
		vcpu_dump(v);							\
	ASSERT_EQ(VM_PORT, (v)->run->io.port);					\
	ASSERT_EQ(KVM_EXIT_IO_OUT, (v)->run->io.direction);			\
	(value) = 0;								\
	memcpy(&(value), vcpu_io_data(v), (v)->run->io.size);			\
} while (0)

#endif
