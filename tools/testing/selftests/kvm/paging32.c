// SPDX-License-Identifier: GPL-2.0-only
/*
 * 32-bit guests with paging of their own: two levels, with and without 4 MiB pages, and PAE. Code, data,
 * stack and descriptor tables are at linear addresses that are not the physical ones, so nothing works
 * unless the guest's tables are read in the format that its control registers say - by the CPU, and by
 * whoever emulates an instruction.
 *
 * SDM volume 3 "32-Bit Paging", "PAE Paging"; APM volume 2 "Legacy-Mode Page Translation".
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <string.h>

#include "kselftest_harness.h"
#include "vm.h"

#define RAM_SIZE	(8u << 20)
#define REGION		(4u << 20)	/* what is mapped at each of these linear addresses */
#define SAME		0x00000000u	/* RAM's lower half where it is, to switch paging on */
#define CODE		0xc0000000u	/* RAM's lower half */
#define DATA		0x40000000u	/* RAM's upper half */
#define MMIO		0xb0000000u	/* VM_MMIO */
#define UNMAPPED	0x80000123u

/* Physical, in the lower half of RAM. */
#define TOP		0x100000u	/* page directory, or PDPT */
#define DIRECTORIES	0x101000u	/* PAE: four */
#define TABLES		0x105000u	/* 8 KiB of them for each region */

#define PTE		(1ull << 0 | 1ull << 1)		/* present, writable */
#define PTE_ACCESSED	(1ull << 5)
#define PTE_DIRTY	(1ull << 6)
#define PTE_LARGE	(1ull << 7)
#define PTE_NX		(1ull << 63)

#define CR0		0x80010011u	/* PG WP ET PE */
#define CR0_PG		(1u << 31)
#define CR4_PSE		(1u << 4)
#define CR4_PAE		(1u << 5)
#define EFER_NXE	(1u << 11)

/* Loads, stores and calls; then the same with a device; at last asks for a page that is not there. */
GUEST(touch, 32,
      "mov 0x40001234, %eax\n inc %eax\n mov %eax, 0x40205678\n call 1f\n hlt\n"
      "mov $0x40001234, %esi\n mov $0xb0000020, %edi\n movsl\n"
      "mov 0x80000123, %ecx\n"
      "1: mov $0x77, %ecx\n ret");
#define LOADED		0x1234u		/* in RAM's upper half */
#define STORED		0x205678u
#define STACK		0x3f0000u
#define DEVICE		0x20u		/* in the MMIO region */

/* Reports the error code in EAX and the address in EBX. */
GUEST(on_fault, 32, "pop %eax\n mov %cr2, %ebx\n mov $0xfa, %ecx\n hlt");
#define ON_FAULT	(VM_CODE + 0x1000)

GUEST(switch_on, 32, "mov %ebx, %cr4\n mov %esi, %cr3\n mov %edi, %cr0\n mov $0xc0010000, %eax\n jmp *%eax");
#define SWITCH_ON	(VM_CODE + 0x2000)

GUEST(in_data, 32, "mov $0xda, %ecx\n hlt");
#define IN_DATA		0x20000u

FIXTURE(paging32)
{
	struct vcpu *v;
	uint8_t *ram;
	struct kvm_sregs on;	/* with paging */
};

FIXTURE_VARIANT(paging32)
{
	bool pae, large, nx;
};

FIXTURE_VARIANT_ADD(paging32, two_levels) { .pae = false };
FIXTURE_VARIANT_ADD(paging32, two_levels_4m) { .large = true };
FIXTURE_VARIANT_ADD(paging32, pae) { .pae = true };
FIXTURE_VARIANT_ADD(paging32, pae_2m) { .pae = true, .large = true };
FIXTURE_VARIANT_ADD(paging32, pae_nx) { .pae = true, .nx = true };
FIXTURE_VARIANT_ADD(paging32, pae_2m_nx) { .pae = true, .large = true, .nx = true };

/* Maps region @nr, in two-level paging. */
static void map_two_levels(uint8_t *ram, unsigned int nr, uint32_t linear, uint32_t phys, bool large)
{
	uint32_t *top = (uint32_t *)(ram + TOP), table = TABLES + 0x2000 * nr;
	unsigned int i;

	top[linear >> 22] = large ? phys | PTE | PTE_LARGE : table | PTE;
	for (i = 0; !large && i < 1024; i++)
		((uint32_t *)(ram + table))[i] = (phys + 0x1000 * i) | PTE;
}

/* The same in PAE paging; @flags are for the last level. */
static void map_pae(uint8_t *ram, unsigned int nr, uint32_t linear, uint32_t phys, bool large, uint64_t flags)
{
	uint32_t directory = DIRECTORIES + 0x1000 * (linear >> 30), table = TABLES + 0x2000 * nr;
	uint64_t *entry = (uint64_t *)(ram + directory) + (linear >> 21 & 511);
	unsigned int i;

	((uint64_t *)(ram + TOP))[linear >> 30] = directory | 1;
	for (i = 0; i < 2; i++)
		entry[i] = large ? (phys + (i << 21)) | PTE | PTE_LARGE | flags : (table + 0x1000 * i) | PTE;
	for (i = 0; !large && i < 1024; i++)
		((uint64_t *)(ram + table))[i] = (phys + 0x1000 * i) | PTE | flags;
}

/* The entry that maps the page of @linear. */
static uint64_t leaf(const uint8_t *ram, uint32_t linear, bool pae)
{
	const uint32_t *top = (const uint32_t *)(ram + TOP);
	uint64_t entry;

	if (!pae) {
		entry = top[linear >> 22];
		if (entry & PTE_LARGE)
			return entry;
		return ((const uint32_t *)(ram + (entry & ~0xfffull)))[linear >> 12 & 1023];
	}
	entry = ((const uint64_t *)(ram + DIRECTORIES))[linear >> 21];
	if (entry & PTE_LARGE)
		return entry;
	return ((const uint64_t *)(ram + (entry & ~0xfffull)))[linear >> 12 & 511];
}

FIXTURE_SETUP(paging32)
{
	static const struct {
		uint32_t linear, phys;
	} regions[] = { { SAME, 0 }, { CODE, 0 }, { DATA, REGION }, { MMIO, VM_MMIO } };
	struct vm *vm = vm_new(RAM_SIZE);
	uint64_t handler = CODE + ON_FAULT;
	struct kvm_sregs *s = &self->on;
	unsigned int i;

	self->v = vm_vcpu(vm, 0);
	self->ram = vm->ram;
	for (i = 0; i < sizeof(regions) / sizeof(regions[0]); i++) {
		if (variant->pae)
			map_pae(vm->ram, i, regions[i].linear, regions[i].phys, variant->large,
				variant->nx && regions[i].linear == DATA ? PTE_NX : 0);
		else
			map_two_levels(vm->ram, i, regions[i].linear, regions[i].phys, variant->large);
	}
	vm_load_guest(vm, VM_CODE, touch);
	vm_load_guest(vm, ON_FAULT, on_fault);
	vm_load_guest(vm, SWITCH_ON, switch_on);
	vm_load_guest(vm, REGION + IN_DATA, in_data);
	*(uint32_t *)(vm->ram + REGION + LOADED) = 0xabcd0000;
	/* A 32-bit interrupt gate. */
	*(uint64_t *)(vm->ram + VM_IDT + 8 * 14) =
		(handler & 0xffff) | SEL_CODE32 << 16 | 0x8eull << 40 | handler >> 16 << 48;

	vcpu_prot(self->v, VM_CODE);
	vcpu_sregs(self->v, s);
	s->gdt.base += CODE;
	s->idt.base += CODE;
	s->tr.base += CODE;
	s->cr0 = CR0;
	s->cr3 = TOP;
	s->cr4 = variant->pae ? CR4_PAE : variant->large ? CR4_PSE : 0;
	s->efer = variant->nx ? EFER_NXE : 0;
}

FIXTURE_TEARDOWN(paging32)
{
	vm_free(self->v->vm);
}

static void start(struct vcpu *v, uint32_t rip, const struct kvm_sregs *s)
{
	struct kvm_regs r = {
		.rip = rip, .rsp = DATA + STACK, .rflags = 2, .rbx = s->cr4, .rsi = s->cr3, .rdi = CR0,
	};

	vcpu_set_regs(v, &r);
}

/* The whole program `touch`, and what it leaves. */
static void run_touch(struct __test_metadata *_metadata, struct vcpu *v, bool pae, bool large)
{
	const uint64_t both = PTE_ACCESSED | PTE_DIRTY;
	uint8_t *ram = v->vm->ram;
	struct kvm_regs r;

	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_regs(v, &r);
	EXPECT_EQ(0xabcd0001, r.rax);
	EXPECT_EQ(0x77, r.rcx);
	EXPECT_EQ(DATA + STACK, r.rsp);
	EXPECT_EQ(0xabcd0001, *(uint32_t *)(ram + REGION + STORED));
	EXPECT_EQ(PTE_ACCESSED, leaf(ram, CODE + VM_CODE, pae) & both);
	EXPECT_EQ(both, leaf(ram, DATA + STORED, pae) & both);
	EXPECT_EQ(both, leaf(ram, DATA + STACK - 4, pae) & both);
	if (pae || !large)
		EXPECT_EQ(PTE_ACCESSED, leaf(ram, DATA + LOADED, pae) & both);

	RUN_TO(v, KVM_EXIT_MMIO);
	EXPECT_EQ(VM_MMIO + DEVICE, v->run->mmio.phys_addr);
	EXPECT_EQ(4, v->run->mmio.len);
	EXPECT_EQ(1, v->run->mmio.is_write);
	EXPECT_EQ(0xabcd0000, *(uint32_t *)v->run->mmio.data);

	RUN_TO(v, KVM_EXIT_HLT);
	vcpu_regs(v, &r);
	EXPECT_EQ(0xfa, r.rcx);
	EXPECT_EQ(0, r.rax);
	EXPECT_EQ(UNMAPPED, r.rbx);
	EXPECT_EQ(DATA + LOADED + 4, r.rsi);
	EXPECT_EQ(MMIO + DEVICE + 4, r.rdi);
}

/* With paging on from the beginning. */
TEST_F(paging32, code_and_data)
{
	ASSERT_EQ(0, vcpu_set_sregs(self->v, &self->on));
	start(self->v, CODE + VM_CODE, &self->on);
	run_touch(_metadata, self->v, variant->pae, variant->large);
}

/* The guest switches it on. */
TEST_F(paging32, switched_on_by_the_guest)
{
	struct kvm_sregs off = self->on, s;

	off.cr0 &= ~(uint64_t)CR0_PG;
	off.cr3 = off.cr4 = 0;
	ASSERT_EQ(0, vcpu_set_sregs(self->v, &off));
	start(self->v, SWITCH_ON, &self->on);
	run_touch(_metadata, self->v, variant->pae, variant->large);
	vcpu_sregs(self->v, &s);
	EXPECT_EQ(self->on.cr0, s.cr0);
	EXPECT_EQ(self->on.cr3, s.cr3);
	EXPECT_EQ(self->on.cr4, s.cr4);
	EXPECT_EQ(self->on.efer, s.efer);
}

/* A fetch from data: the code there runs, unless the entry says NX. */
TEST_F(paging32, code_in_data)
{
	struct kvm_regs r;

	ASSERT_EQ(0, vcpu_set_sregs(self->v, &self->on));
	start(self->v, DATA + IN_DATA, &self->on);
	RUN_TO(self->v, KVM_EXIT_HLT);
	vcpu_regs(self->v, &r);
	if (!variant->nx) {
		EXPECT_EQ(0xda, r.rcx);
		return;
	}
	EXPECT_EQ(0xfa, r.rcx);
	EXPECT_EQ(0x11, r.rax);
	EXPECT_EQ(DATA + IN_DATA, r.rbx);
}

/* User space asks for a translation: it goes through the same tables. */
TEST_F(paging32, translate)
{
	struct kvm_translation t = { .linear_address = DATA + STORED };

	ASSERT_EQ(0, vcpu_set_sregs(self->v, &self->on));
	start(self->v, CODE + VM_CODE, &self->on);
	RUN_TO(self->v, KVM_EXIT_HLT);
	ASSERT_EQ(0, xioctlp(self->v->fd, KVM_TRANSLATE, &t));
	EXPECT_EQ(1, t.valid);
	EXPECT_EQ(REGION + STORED, t.physical_address);
	t.linear_address = UNMAPPED;
	ASSERT_EQ(0, xioctlp(self->v->fd, KVM_TRANSLATE, &t));
	EXPECT_EQ(0, t.valid);
}

TEST_HARNESS_MAIN
