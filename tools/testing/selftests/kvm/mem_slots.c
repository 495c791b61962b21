// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory slots: creating, deleting, moving, flags, what is refused, and what the guest then sees.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vm.h"

#define PAGE	4096ull
#define GPA	0x80000000ull		/* away from the library's slot 0 */
#define SIZE	(16 * PAGE)

static uint8_t *anon(size_t size)
{
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

/* rbx -> load to rax, store rcx, report; again with what user space put into the registers. */
GUEST(peek_poke, 64, "1: mov (%rbx), %rax\n mov %rcx, (%rbx)\n hlt\n jmp 1b");
GUEST(peek, 64, "1: mov (%rbx), %rax\n hlt\n jmp 1b");
GUEST(poke, 64, "1: mov %rcx, (%rbx)\n hlt\n jmp 1b");

static void set_operands(struct vcpu *v, uint64_t gpa, uint64_t value)
{
	struct kvm_regs r;

	vcpu_regs(v, &r);
	r.rip = VM_CODE;
	r.rax = 0;
	r.rbx = gpa;
	r.rcx = value;
	vcpu_set_regs(v, &r);
}

static uint64_t rax(struct vcpu *v)
{
	struct kvm_regs r;

	vcpu_regs(v, &r);
	return r.rax;
}

TEST(create_use_delete)
{
	struct vcpu *v = LONG_VCPU(peek_poke);
	uint64_t *p = (uint64_t *)anon(SIZE);

	ASSERT_EQ(0, vm_set_slot(v->vm, 1, 0, GPA, SIZE, p));
	p[1] = 0x1111222233334444;
	set_operands(v, GPA + 8, 0x55);
	RUN_TO(v, KVM_EXIT_HLT);
	EXPECT_EQ(0x1111222233334444, rax(v));
	EXPECT_EQ(0x55, p[1]);
	set_operands(v, GPA + SIZE - 8, 0x66);
	RUN_TO(v, KVM_EXIT_HLT);
	EXPECT_EQ(0x66, p[SIZE / 8 - 1]);
	ASSERT_EQ(0, vm_set_slot(v->vm, 1, 0, GPA, 0, NULL));
	set_operands(v, GPA + 8, 0x77);
	RUN_TO(v, KVM_EXIT_MMIO);
	EXPECT_EQ(GPA + 8, v->run->mmio.phys_addr);
	EXPECT_EQ(0x55, p[1]);
	memset(v->run->mmio.data, 0, 8);
	RUN_TO(v, KVM_EXIT_MMIO);
	RUN_TO(v, KVM_EXIT_HLT);
	/* and back */
	ASSERT_EQ(0, vm_set_slot(v->vm, 1, 0, GPA, SIZE, p));
	set_operands(v, GPA + 8, 0x88);
	RUN_TO(v, KVM_EXIT_HLT);
	EXPECT_EQ(0x55, rax(v));
	EXPECT_EQ(0x88, p[1]);
}

TEST(move)
{
	struct vcpu *v = LONG_VCPU(peek_poke);
	uint64_t *p = (uint64_t *)anon(SIZE);

	ASSERT_EQ(0, vm_set_slot(v->vm, 1, 0, GPA, SIZE, p));
	set_operands(v, GPA, 0x1);
	RUN_TO(v, KVM_EXIT_HLT);
	ASSERT_EQ(0, vm_set_slot(v->vm, 1, 0, GPA + 0x10000000, SIZE, p));
	set_operands(v, GPA + 0x10000000, 0x2);
	RUN_TO(v, KVM_EXIT_HLT);
	EXPECT_EQ(1, rax(v));
	EXPECT_EQ(2, p[0]);
	set_operands(v, GPA, 0x3);
	RUN_TO(v, KVM_EXIT_MMIO);
	/* onto half of its old place */
	ASSERT_EQ(0, vm_set_slot(v->vm, 1, 0, GPA + 0x10000000 + SIZE / 2, SIZE, p));
}

TEST(refused)
{
	struct vm *vm = vm_new(VM_RAM_SIZE);
	uint8_t *p = anon(4 * SIZE);
	int slots = has_cap(vm->sys, KVM_CAP_NR_MEMSLOTS);
	int spaces = has_cap(vm->sys, KVM_CAP_MULTI_ADDRESS_SPACE);
	int i;

	/* alignment of each */
	EXPECT_EQ(-EINVAL, vm_set_slot(vm, 1, 0, GPA + 1, SIZE, p));
	EXPECT_EQ(-EINVAL, vm_set_slot(vm, 1, 0, GPA + 2048, SIZE, p));
	EXPECT_EQ(-EINVAL, vm_set_slot(vm, 1, 0, GPA, SIZE + 1, p));
	EXPECT_EQ(-EINVAL, vm_set_slot(vm, 1, 0, GPA, 2048, p));
	EXPECT_EQ(-EINVAL, vm_set_slot(vm, 1, 0, GPA, SIZE, p + 16));
	/* ranges that wrap or do not exist */
	EXPECT_EQ(-EINVAL, vm_set_slot(vm, 1, 0, -PAGE, 2 * PAGE, p));
	EXPECT_EQ(-EINVAL, vm_set_slot(vm, 1, 0, GPA, -PAGE, p));
	EXPECT_EQ(-EINVAL, vm_set_slot(vm, 1, 0, GPA, SIZE, (void *)0xffff800000000000ul));
	EXPECT_EQ(-EINVAL, vm_set_slot(vm, 1, 0, GPA, SIZE, (void *)-PAGE));
	EXPECT_EQ(-EINVAL, vm_set_slot(vm, 1, 0, GPA, SIZE, (void *)0x00007fffffff8000ul));
	/* flags */
	for (i = 2; i < 32; i++)
		EXPECT_EQ(-EINVAL, vm_set_slot(vm, 1, 1u << i, GPA, SIZE, p))
			TH_LOG("flag %d", i);
	/* slot numbers and address spaces */
	EXPECT_EQ(-EINVAL, vm_set_slot(vm, slots, 0, GPA, SIZE, p));
	EXPECT_EQ(-EINVAL, vm_set_slot(vm, 0xffff, 0, GPA, SIZE, p));
	EXPECT_EQ(-EINVAL, vm_set_slot(vm, (spaces > 1 ? spaces : 1) << 16, 0, GPA, SIZE, p));
	EXPECT_EQ(-EINVAL, vm_set_slot(vm, 0xffff0000, 0, GPA, SIZE, p));
	/* deleting what is not there */
	EXPECT_EQ(-EINVAL, vm_set_slot(vm, 1, 0, GPA, 0, p));
	/* nothing of all that took effect */
	EXPECT_EQ(0, vm_set_slot(vm, 1, 0, GPA, SIZE, p));
	EXPECT_EQ(0, vm_set_slot(vm, slots - 1, 0, GPA + SIZE, SIZE, p));
}

TEST(overlap)
{
	struct vm *vm = vm_new(0);
	uint8_t *p = anon(4 * SIZE);

	ASSERT_EQ(0, vm_set_slot(vm, 1, 0, GPA, SIZE, p));
	EXPECT_EQ(-EEXIST, vm_set_slot(vm, 2, 0, GPA, SIZE, p));
	EXPECT_EQ(-EEXIST, vm_set_slot(vm, 2, 0, GPA + SIZE - PAGE, SIZE, p));
	EXPECT_EQ(-EEXIST, vm_set_slot(vm, 2, 0, GPA - SIZE + PAGE, SIZE, p));
	EXPECT_EQ(-EEXIST, vm_set_slot(vm, 2, 0, GPA - SIZE, 3 * SIZE, p));
	EXPECT_EQ(-EEXIST, vm_set_slot(vm, 2, 0, GPA + PAGE, PAGE, p));
	EXPECT_EQ(0, vm_set_slot(vm, 2, 0, GPA + SIZE, SIZE, p));
	EXPECT_EQ(0, vm_set_slot(vm, 3, 0, GPA - SIZE, SIZE, p));
	/* a move into a neighbour */
	EXPECT_EQ(-EEXIST, vm_set_slot(vm, 3, 0, GPA - PAGE, SIZE, p));
	/* the refused move left slot 3 where it was */
	EXPECT_EQ(-EEXIST, vm_set_slot(vm, 4, 0, GPA - SIZE, PAGE, p));
	EXPECT_EQ(0, vm_set_slot(vm, 3, 0, GPA - SIZE, 0, NULL));
	EXPECT_EQ(0, vm_set_slot(vm, 4, 0, GPA - SIZE, PAGE, p));
	/* the same host memory may stand in many places */
	EXPECT_EQ(0, vm_set_slot(vm, 5, 0, GPA + 4 * SIZE, SIZE, p));
}

TEST(resize_and_retarget)
{
	struct vm *vm = vm_new(0);
	uint8_t *p = anon(4 * SIZE);

	ASSERT_EQ(0, vm_set_slot(vm, 1, 0, GPA, SIZE, p));
	EXPECT_EQ(-EINVAL, vm_set_slot(vm, 1, 0, GPA, 2 * SIZE, p));
	EXPECT_EQ(-EINVAL, vm_set_slot(vm, 1, 0, GPA, SIZE, p + SIZE));
	EXPECT_EQ(-EINVAL, vm_set_slot(vm, 1, KVM_MEM_READONLY, GPA, SIZE, p));
	EXPECT_EQ(0, vm_set_slot(vm, 1, 0, GPA, SIZE, p));		/* no change */
	EXPECT_EQ(0, vm_set_slot(vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GPA, SIZE, p));
	EXPECT_EQ(0, vm_set_slot(vm, 1, 0, GPA, SIZE, p));
}

TEST(readonly)
{
	struct vcpu *v = LONG_VCPU(peek_poke);
	uint64_t *p = (uint64_t *)anon(SIZE);
	uint64_t data;

	p[2] = 0xabcd;
	ASSERT_EQ(0, vm_set_slot(v->vm, 1, KVM_MEM_READONLY, GPA, SIZE, p));
	set_operands(v, GPA + 16, 0x1234);
	RUN_TO(v, KVM_EXIT_MMIO);
	EXPECT_TRUE(v->run->mmio.is_write);
	EXPECT_EQ(GPA + 16, v->run->mmio.phys_addr);
	EXPECT_EQ(8, v->run->mmio.len);
	memcpy(&data, v->run->mmio.data, 8);
	EXPECT_EQ(0x1234, data);
	RUN_TO(v, KVM_EXIT_HLT);
	EXPECT_EQ(0xabcd, rax(v));
	EXPECT_EQ(0xabcd, p[2]);
	p[2] = 0xef01;			/* the host may change it */
	set_operands(v, GPA + 16, 0x1);
	RUN_TO(v, KVM_EXIT_MMIO);
	RUN_TO(v, KVM_EXIT_HLT);
	EXPECT_EQ(0xef01, rax(v));
	/* delete and make it writable */
	ASSERT_EQ(0, vm_set_slot(v->vm, 1, 0, GPA, 0, NULL));
	ASSERT_EQ(0, vm_set_slot(v->vm, 1, 0, GPA, SIZE, p));
	set_operands(v, GPA + 16, 0x5);
	RUN_TO(v, KVM_EXIT_HLT);
	EXPECT_EQ(5, p[2]);
}

/* Code runs from a read-only slot, and its host page may be mapped read-only too. */
TEST(readonly_code)
{
	struct vcpu *v = LONG_VCPU(peek);
	uint8_t *p = anon(SIZE);
	struct kvm_regs r;

	memcpy(p, guest_code(peek), guest_size(peek));
	p[0x800] = 0x42;
	ASSERT_EQ(0, mprotect(p, SIZE, PROT_READ));
	ASSERT_EQ(0, vm_set_slot(v->vm, 1, KVM_MEM_READONLY, GPA, SIZE, p));
	set_operands(v, GPA + 0x800, 0);
	vcpu_regs(v, &r);
	r.rip = GPA;
	vcpu_set_regs(v, &r);
	RUN_TO(v, KVM_EXIT_HLT);
	EXPECT_EQ(0x42, rax(v));
}

GUEST(write_pages, 64, "1: movb $1, (%rbx)\n add %rcx, %rbx\n dec %rdx\n jnz 1b\n hlt");

static void write_pages(struct vcpu *v, uint64_t gpa, uint64_t stride, uint64_t count)
{
	struct kvm_regs r;

	vcpu_regs(v, &r);
	r.rip = VM_CODE;
	r.rbx = gpa;
	r.rcx = stride;
	r.rdx = count;
	vcpu_set_regs(v, &r);
}

TEST(dirty_log)
{
	struct vcpu *v = LONG_VCPU(write_pages);
	uint8_t *p = anon(256 * PAGE);
	uint64_t bits[4], i;
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bits };

	ASSERT_EQ(0, vm_set_slot(v->vm, 1, 0, GPA, 256 * PAGE, p));
	EXPECT_EQ(-ENOENT, xioctlp(v->vm->fd, KVM_GET_DIRTY_LOG, &log));
	log.slot = 2;
	EXPECT_EQ(-ENOENT, xioctlp(v->vm->fd, KVM_GET_DIRTY_LOG, &log));
	log.slot = 0xffff;
	EXPECT_EQ(-EINVAL, xioctlp(v->vm->fd, KVM_GET_DIRTY_LOG, &log));
	log.slot = 1;
	/* mapped and written before the log is on */
	write_pages(v, GPA, PAGE, 256);
	RUN_TO(v, KVM_EXIT_HLT);
	ASSERT_EQ(0, vm_set_slot(v->vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GPA, 256 * PAGE, p));
	memset(bits, 0xff, sizeof(bits));
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_GET_DIRTY_LOG, &log));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0, bits[i]);
	for (int round = 0; round < 3; round++) {
		write_pages(v, GPA + round * PAGE, 5 * PAGE, 50);
		RUN_TO(v, KVM_EXIT_HLT);
		memset(bits, 0, sizeof(bits));
		ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_GET_DIRTY_LOG, &log));
		for (i = 0; i < 256; i++) {
			int want = i >= round && (i - round) % 5 == 0 && (i - round) / 5 < 50;

			EXPECT_EQ(want, bits[i / 64] >> (i % 64) & 1)
				TH_LOG("round %d page %lu", round, (unsigned long)i);
		}
		ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_GET_DIRTY_LOG, &log));
		EXPECT_EQ(0, bits[0] | bits[1] | bits[2] | bits[3]);
	}
	log.dirty_bitmap = (void *)0x1000;
	write_pages(v, GPA, PAGE, 1);
	RUN_TO(v, KVM_EXIT_HLT);
	EXPECT_EQ(-EFAULT, xioctlp(v->vm->fd, KVM_GET_DIRTY_LOG, &log));
	/* off and on: a clean start */
	log.dirty_bitmap = bits;
	ASSERT_EQ(0, vm_set_slot(v->vm, 1, 0, GPA, 256 * PAGE, p));
	write_pages(v, GPA, PAGE, 256);
	RUN_TO(v, KVM_EXIT_HLT);
	ASSERT_EQ(0, vm_set_slot(v->vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GPA, 256 * PAGE, p));
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_GET_DIRTY_LOG, &log));
	EXPECT_EQ(0, bits[0] | bits[1] | bits[2] | bits[3]);
	for (i = 0; i < 256; i++)
		EXPECT_EQ(1, p[i * PAGE]);
}

/* Port input written into RAM by the module itself is a write like any other. */
GUEST(ins_to_ram, 64, "cld\n mov %rbx, %rdi\n mov $0x40, %edx\n insb\n hlt");

TEST(dirty_log_sees_the_module)
{
	struct vcpu *v = LONG_VCPU(ins_to_ram);
	uint8_t *p = anon(64 * PAGE);
	uint64_t bits = 0;
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = &bits };

	ASSERT_EQ(0, vm_set_slot(v->vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GPA, 64 * PAGE, p));
	set_operands(v, GPA + 9 * PAGE, 0);
	RUN_TO(v, KVM_EXIT_IO);
	*(uint8_t *)vcpu_io_data(v) = 0x5a;
	RUN_TO(v, KVM_EXIT_HLT);
	EXPECT_EQ(0x5a, p[9 * PAGE]);
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_GET_DIRTY_LOG, &log));
	EXPECT_EQ(1ull << 9, bits);
}

TEST(dirty_log_of_huge_pages)
{
	struct vcpu *v = LONG_VCPU(write_pages);
	uint8_t *p = anon(6 << 20);
	uint64_t bits[16] = {};
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bits };
	int i, n = 0;

	p = (uint8_t *)(((uintptr_t)p + (2 << 20) - 1) & -(2ul << 20));
	madvise(p, 4 << 20, MADV_HUGEPAGE);
	memset(p, 0, 4 << 20);
	ASSERT_EQ(0, vm_set_slot(v->vm, 1, 0, GPA, 4 << 20, p));
	write_pages(v, GPA, 2 << 20, 2);
	RUN_TO(v, KVM_EXIT_HLT);
	ASSERT_EQ(0, vm_set_slot(v->vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GPA, 4 << 20, p));
	write_pages(v, GPA + 3 * PAGE, 300 * PAGE, 3);
	RUN_TO(v, KVM_EXIT_HLT);
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_GET_DIRTY_LOG, &log));
	for (i = 0; i < 16; i++)
		n += __builtin_popcountll(bits[i]);
	EXPECT_EQ(3, n);
	EXPECT_EQ(1, bits[0] >> 3 & 1);
	EXPECT_EQ(1, bits[303 / 64] >> 303 % 64 & 1);
	EXPECT_EQ(1, bits[603 / 64] >> 603 % 64 & 1);
}

static int log_manual(struct vm *vm, uint64_t flags)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { flags } };

	return xioctlp(vm->fd, KVM_ENABLE_CAP, &cap);
}

TEST(dirty_log_clear)
{
	struct vcpu *v = LONG_VCPU(write_pages);
	uint8_t *p = anon(200 * PAGE);
	uint64_t bits[4], some[4] = {};
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bits };
	struct kvm_clear_dirty_log clear = { .slot = 1, .num_pages = 200, .dirty_bitmap = some };
	int fd = v->vm->fd;

	ASSERT_EQ(3, has_cap(v->vm->sys, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2));
	EXPECT_EQ(-EINVAL, log_manual(v->vm, KVM_DIRTY_LOG_INITIALLY_SET));
	EXPECT_EQ(-EINVAL, log_manual(v->vm, 4));
	EXPECT_EQ(-EINVAL, log_manual(v->vm, 5));
	ASSERT_EQ(0, log_manual(v->vm, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE));
	ASSERT_EQ(0, vm_set_slot(v->vm, 1, 0, GPA, 200 * PAGE, p));
	EXPECT_EQ(-ENOENT, xioctlp(fd, KVM_CLEAR_DIRTY_LOG, &clear));
	ASSERT_EQ(0, vm_set_slot(v->vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GPA, 200 * PAGE, p));

	/* what is refused */
	clear.slot = 2;
	EXPECT_EQ(-ENOENT, xioctlp(fd, KVM_CLEAR_DIRTY_LOG, &clear));
	clear.slot = 0xffff;
	EXPECT_EQ(-EINVAL, xioctlp(fd, KVM_CLEAR_DIRTY_LOG, &clear));
	clear.slot = 1;
	clear.first_page = 1;
	clear.num_pages = 64;
	EXPECT_EQ(-EINVAL, xioctlp(fd, KVM_CLEAR_DIRTY_LOG, &clear));
	clear.first_page = 64;
	clear.num_pages = 65;
	EXPECT_EQ(-EINVAL, xioctlp(fd, KVM_CLEAR_DIRTY_LOG, &clear));
	clear.num_pages = 137;
	EXPECT_EQ(-EINVAL, xioctlp(fd, KVM_CLEAR_DIRTY_LOG, &clear));
	clear.first_page = 256;
	clear.num_pages = 0;
	EXPECT_EQ(-EINVAL, xioctlp(fd, KVM_CLEAR_DIRTY_LOG, &clear));
	clear.first_page = -64ull;
	clear.num_pages = 64;
	EXPECT_EQ(-EINVAL, xioctlp(fd, KVM_CLEAR_DIRTY_LOG, &clear));
	clear.first_page = 0;
	clear.dirty_bitmap = (void *)0x1000;
	EXPECT_EQ(-EFAULT, xioctlp(fd, KVM_CLEAR_DIRTY_LOG, &clear));
	clear.dirty_bitmap = some;

	/* getting clears nothing */
	write_pages(v, GPA, PAGE, 200);
	RUN_TO(v, KVM_EXIT_HLT);
	for (int i = 0; i < 2; i++) {
		memset(bits, 0, sizeof(bits));
		ASSERT_EQ(0, xioctlp(fd, KVM_GET_DIRTY_LOG, &log));
		EXPECT_EQ(-1ull, bits[0] & bits[1] & bits[2]);
		EXPECT_EQ(0xff, bits[3]);
	}
	/* clearing clears what it names, in its range only: pages 66 and 192 on */
	some[0] = 1 << 2;
	some[1] = 0;
	some[2] = -1ull;
	clear.first_page = 64;
	clear.num_pages = 128;
	ASSERT_EQ(0, xioctlp(fd, KVM_CLEAR_DIRTY_LOG, &clear));
	some[0] = -1ull;
	clear.first_page = 192;
	clear.num_pages = 8;
	ASSERT_EQ(0, xioctlp(fd, KVM_CLEAR_DIRTY_LOG, &clear));
	ASSERT_EQ(0, xioctlp(fd, KVM_GET_DIRTY_LOG, &log));
	EXPECT_EQ(-1ull, bits[0] & bits[2]);
	EXPECT_EQ(-1ull - 4, bits[1]);
	EXPECT_EQ(0, bits[3]);
	/* and a cleared page's next write is seen; one that was not written does not become so */
	write_pages(v, GPA + 66 * PAGE, 127 * PAGE, 2);
	RUN_TO(v, KVM_EXIT_HLT);
	ASSERT_EQ(0, xioctlp(fd, KVM_GET_DIRTY_LOG, &log));
	EXPECT_EQ(-1ull, bits[1]);
	EXPECT_EQ(2, bits[3]);
	/* back to clearing with the getting */
	ASSERT_EQ(0, log_manual(v->vm, 0));
	ASSERT_EQ(0, xioctlp(fd, KVM_GET_DIRTY_LOG, &log));
	EXPECT_EQ(2, bits[3]);
	ASSERT_EQ(0, xioctlp(fd, KVM_GET_DIRTY_LOG, &log));
	EXPECT_EQ(0, bits[0] | bits[1] | bits[2] | bits[3]);
}

/* All bits are set at first, over small and huge pages that the guest has been writing to before. */
TEST(dirty_log_initially_set)
{
	struct vcpu *v = LONG_VCPU(write_pages);
	uint8_t *p = anon(8 << 20);
	uint64_t bits[17], pages = 1030, i;
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bits };
	struct kvm_clear_dirty_log clear = { .slot = 1, .num_pages = 64, .dirty_bitmap = bits };

	p = (uint8_t *)(((uintptr_t)p + (2 << 20) - 1) & -(2ul << 20));
	madvise(p, 4 << 20, MADV_HUGEPAGE);
	memset(p, 0, 4 << 20);
	ASSERT_EQ(0, log_manual(v->vm, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET));
	ASSERT_EQ(0, vm_set_slot(v->vm, 1, 0, GPA, pages * PAGE, p));
	write_pages(v, GPA, PAGE, pages);
	RUN_TO(v, KVM_EXIT_HLT);
	ASSERT_EQ(0, vm_set_slot(v->vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GPA, pages * PAGE, p));
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_GET_DIRTY_LOG, &log));
	for (i = 0; i < 16; i++)
		EXPECT_EQ(-1ull, bits[i]);
	EXPECT_EQ(0x3f, bits[16]);
	/* clear a word in the first huge page; write a page there, one beside it, and one in the second */
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_CLEAR_DIRTY_LOG, &clear));
	write_pages(v, GPA + 5 * PAGE, 300 * PAGE, 3);
	RUN_TO(v, KVM_EXIT_HLT);
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_GET_DIRTY_LOG, &log));
	EXPECT_EQ(1ull << 5, bits[0]);
	for (i = 1; i < 16; i++)
		EXPECT_EQ(-1ull, bits[i]);
	/* clear all */
	memset(bits, 0xff, sizeof(bits));
	clear.num_pages = pages;
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_CLEAR_DIRTY_LOG, &clear));
	write_pages(v, GPA + 7 * PAGE, 511 * PAGE, 3);
	RUN_TO(v, KVM_EXIT_HLT);
	ASSERT_EQ(0, xioctlp(v->vm->fd, KVM_GET_DIRTY_LOG, &log));
	for (i = 0; i < 17; i++)
		EXPECT_EQ((i == 0) << 7 | (i == 8) << 6 | (uint64_t)(i == 16) << 5, bits[i]);
}

static void backing(struct __test_metadata *_metadata, uint8_t *p, size_t size)
{
	struct vcpu *v = LONG_VCPU(peek_poke);
	size_t at;

	ASSERT_EQ(0, vm_set_slot(v->vm, 1, 0, GPA, size, p));
	for (at = 0; at < size; at += size / 4 + 8) {
		*(uint64_t *)(p + at) = at + 1;
		set_operands(v, GPA + at, ~at);
		RUN_TO(v, KVM_EXIT_HLT);
		EXPECT_EQ(at + 1, rax(v));
		EXPECT_EQ(~at, *(uint64_t *)(p + at));
	}
	vm_free(v->vm);
	munmap(p, size);
}

TEST(backed_by_memfd)
{
	int fd = memfd_create("keel", 0);
	uint8_t *p;
	uint64_t first;

	ASSERT_EQ(0, ftruncate(fd, SIZE));
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	backing(_metadata, p, SIZE);
	ASSERT_EQ(8, pread(fd, &first, 8, 0));
	EXPECT_EQ(~0ull, first);
}

TEST(backed_by_a_file)
{
	char name[] = "/dev/shm/keel-XXXXXX";
	int fd = mkstemp(name);
	uint8_t *p;
	uint64_t first;

	ASSERT_LE(0, fd);
	unlink(name);
	ASSERT_EQ(0, ftruncate(fd, SIZE));
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	backing(_metadata, p, SIZE);
	ASSERT_EQ(8, pread(fd, &first, 8, 0));
	EXPECT_EQ(0, first);		/* private: the file is as before */
}

TEST(backed_by_hugetlbfs)
{
	FILE *f = fopen("/proc/sys/vm/nr_hugepages", "r+");
	uint8_t *p;

	if (f) {
		fputs("8", f);
		fclose(f);
	}
	p = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (p == MAP_FAILED)
		SKIP(return, "no huge pages to be had");
	backing(_metadata, p, 4 << 20);
}

/* Guest memory that the process has not mapped at all: -EFAULT, and nothing worse. */
TEST(hole_in_user_memory)
{
	struct vcpu *v = LONG_VCPU(peek);
	uint8_t *p = anon(SIZE);

	ASSERT_EQ(0, vm_set_slot(v->vm, 1, 0, GPA, SIZE, p));
	ASSERT_EQ(0, munmap(p, SIZE));
	set_operands(v, GPA, 0);
	EXPECT_EQ(-EFAULT, vcpu_run(v));
	ASSERT_EQ(p, mmap(p, SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	p[0] = 9;
	RUN_TO(v, KVM_EXIT_HLT);
	EXPECT_EQ(9, rax(v));
}

TEST(many_slots)
{
	struct vcpu *v = LONG_VCPU(peek_poke);
	uint8_t *p = anon(512 * PAGE);
	int i;

	/* every second page of guest memory, in an order that is neither up nor down */
	for (i = 0; i < 512; i++) {
		int n = i * 171 % 512;

		ASSERT_EQ(0, vm_set_slot(v->vm, n + 1, 0, GPA + 2 * n * PAGE, PAGE, p + n * PAGE));
		*(uint64_t *)(p + n * PAGE) = n;
	}
	for (i = 0; i < 512; i += 37) {
		set_operands(v, GPA + 2 * i * PAGE, i * 3);
		RUN_TO(v, KVM_EXIT_HLT);
		EXPECT_EQ(i, rax(v));
		EXPECT_EQ(i * 3, *(uint64_t *)(p + i * PAGE));
		set_operands(v, GPA + (2 * i + 1) * PAGE, 0);
		RUN_TO(v, KVM_EXIT_MMIO);
		RUN_TO(v, KVM_EXIT_MMIO);
		RUN_TO(v, KVM_EXIT_HLT);
	}
	for (i = 0; i < 512; i++)
		ASSERT_EQ(0, vm_set_slot(v->vm, i + 1, 0, 0, 0, NULL));
}

TEST_HARNESS_MAIN
