// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty rings: sizes, the mapping, what is listed, a full ring, and user space that scribbles on it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "ring.h"

#define PAGE	4096ull
#define GPA	0x80000000ull
#define PAGES	1024ull
#define BYTES	4096		/* the smallest ring: 256 entries */

/* Store rcx at rbx, rbx + rdx, ..., rsi times. */
GUEST(write_pages, 64, "1: mov %rcx, (%rbx)\n add %rdx, %rbx\n dec %rsi\n jnz 1b\n hlt");

static struct vcpu *ring_vcpu(struct ring *ring, uint8_t **p, uint32_t flags, const uint8_t *code, size_t size)
{
	struct vm *vm = vm_new(VM_RAM_SIZE);
	struct vcpu *v;

	if (ring_enable(vm, BYTES))
		die("KVM_CAP_DIRTY_LOG_RING_ACQ_REL");
	v = vm_vcpu(vm, 0);
	vm_load(vm, VM_CODE, code, size);
	vcpu_long(v, VM_CODE);
	*p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (*p == MAP_FAILED || vm_set_slot(vm, 3, flags, GPA, PAGES * PAGE, *p))
		die("memory");
	ring_map(v, ring, BYTES);
	return v;
}

#define RING_VCPU(ring, p, flags, code) ring_vcpu(ring, p, flags, guest_code(code), guest_size(code))

static void set_writes(struct vcpu *v, uint64_t first, uint64_t step, uint64_t count)
{
	struct kvm_regs r;

	vcpu_regs(v, &r);
	r.rip = VM_CODE;
	r.rbx = GPA + first * PAGE;
	r.rcx++;
	r.rdx = step * PAGE;
	r.rsi = count;
	vcpu_set_regs(v, &r);
}

TEST(sizes)
{
	static const struct { uint64_t bytes; int want; } rows[] = {
		{ 0, -EINVAL }, { 1024, -EINVAL }, { 4096 + 16, -EINVAL }, { 12288, -EINVAL },
	};
	struct vm *vm = vm_new(VM_RAM_SIZE);
	struct kvm_dirty_log log = { .slot = 0 };
	struct kvm_clear_dirty_log clear = { .slot = 0 };
	int max = has_cap(vm->sys, KVM_CAP_DIRTY_LOG_RING_ACQ_REL);
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DIRTY_LOG_RING, .args = { 8192 } };
	struct vcpu *v;

	EXPECT_EQ(max, has_cap(vm->sys, KVM_CAP_DIRTY_LOG_RING));
	ASSERT_EQ(1 << 20, max);
	EXPECT_EQ(-EINVAL, xioctl(vm->fd, KVM_RESET_DIRTY_RINGS, 0));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		EXPECT_EQ(rows[i].want, ring_enable(vm, rows[i].bytes))
			TH_LOG("size %llu", (unsigned long long)rows[i].bytes);
	}
	EXPECT_EQ(-E2BIG, ring_enable(vm, max * 2));
	EXPECT_EQ(0, xioctlp(vm->fd, KVM_ENABLE_CAP, &cap));
	EXPECT_EQ(-EINVAL, ring_enable(vm, 8192));
	EXPECT_EQ(0, xioctl(vm->fd, KVM_RESET_DIRTY_RINGS, 0));
	EXPECT_EQ(-ENXIO, xioctlp(vm->fd, KVM_GET_DIRTY_LOG, &log));
	EXPECT_EQ(-ENXIO, xioctlp(vm->fd, KVM_CLEAR_DIRTY_LOG, &clear));
	vm_free(vm);

	vm = vm_new(VM_RAM_SIZE);
	v = vm_vcpu(vm, 0);
	EXPECT_EQ(-EINVAL, ring_enable(vm, 8192));
	/* No ring: nothing there to look at. */
	EXPECT_EQ(3 * PAGE, v->run_size);
	vm_free(vm);
}

TEST(mapping)
{
	struct ring ring;
	uint8_t *p;
	struct vcpu *v = RING_VCPU(&ring, &p, 0, write_pages);

	EXPECT_EQ(MAP_FAILED, mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, v->fd, RING_OFFSET));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, BYTES, PROT_READ, MAP_PRIVATE, v->fd, RING_OFFSET));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, BYTES, PROT_READ | PROT_EXEC, MAP_SHARED, v->fd, RING_OFFSET));
	for (uint32_t i = 0; i < ring.size; i++)
		EXPECT_EQ(0, ring.entry[i].flags | ring.entry[i].slot | ring.entry[i].offset);
	vm_free(v->vm);
	/* The mapping outlives the fd. */
	EXPECT_EQ(0, ring.entry[0].flags);
}

TEST(lists_what_is_written)
{
	struct ring ring;
	uint8_t *p;
	struct vcpu *v = RING_VCPU(&ring, &p, 0, write_pages);
	uint64_t offset;
	uint32_t slot;

	/* Mapped before the log is on; then nothing is listed. */
	set_writes(v, 0, 1, PAGES);
	RUN_TO(v, KVM_EXIT_HLT);
	EXPECT_EQ(0, ring_take(&ring, &slot, &offset));
	ASSERT_EQ(0, vm_set_slot(v->vm, 3, KVM_MEM_LOG_DIRTY_PAGES, GPA, PAGES * PAGE, p));
	for (int round = 0; round < 20; round++) {
		set_writes(v, round, 7, 100);
		RUN_TO(v, KVM_EXIT_HLT);
		/* Again: they are writable now. */
		set_writes(v, round, 7, 100);
		RUN_TO(v, KVM_EXIT_HLT);
		for (int i = 0; i < 100; i++) {
			ASSERT_EQ(1, ring_take(&ring, &slot, &offset)) TH_LOG("round %d, entry %d", round, i);
			EXPECT_EQ(3, slot);
			EXPECT_EQ(round + 7 * i, offset);
		}
		EXPECT_EQ(0, ring_take(&ring, &slot, &offset));
		EXPECT_EQ(100, xioctl(v->vm->fd, KVM_RESET_DIRTY_RINGS, 0));
		EXPECT_EQ(0, xioctl(v->vm->fd, KVM_RESET_DIRTY_RINGS, 0));
	}
	/* In part: only what precedes the first entry that user space keeps. */
	set_writes(v, 0, 1, 10);
	RUN_TO(v, KVM_EXIT_HLT);
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(1, ring_take(&ring, &slot, &offset));
	EXPECT_EQ(4, xioctl(v->vm->fd, KVM_RESET_DIRTY_RINGS, 0));
	set_writes(v, 0, 1, 10);
	RUN_TO(v, KVM_EXIT_HLT);
	for (int i = 0; i < 10; i++) {
		ASSERT_EQ(1, ring_take(&ring, &slot, &offset));
		EXPECT_EQ((i + 4) % 10, offset);
	}
	EXPECT_EQ(0, ring_take(&ring, &slot, &offset));
	EXPECT_EQ(10, xioctl(v->vm->fd, KVM_RESET_DIRTY_RINGS, 0));
	vm_free(v->vm);
}

/* Port input written into RAM by the module itself. */
GUEST(ins_to_ram, 64, "cld\n mov %rbx, %rdi\n mov $0x40, %edx\n insb\n hlt");

TEST(lists_what_the_module_writes)
{
	struct ring ring;
	uint8_t *p;
	struct vcpu *v = RING_VCPU(&ring, &p, KVM_MEM_LOG_DIRTY_PAGES, ins_to_ram);
	uint64_t offset;
	uint32_t slot;

	set_writes(v, 9, 0, 0);
	RUN_TO(v, KVM_EXIT_IO);
	*(uint8_t *)vcpu_io_data(v) = 0x5a;
	RUN_TO(v, KVM_EXIT_HLT);
	EXPECT_EQ(0x5a, p[9 * PAGE]);
	ASSERT_EQ(1, ring_take(&ring, &slot, &offset));
	EXPECT_EQ(3, slot);
	EXPECT_EQ(9, offset);
	vm_free(v->vm);
}

TEST(full)
{
	struct ring ring;
	uint8_t *p;
	struct vcpu *v = RING_VCPU(&ring, &p, KVM_MEM_LOG_DIRTY_PAGES, write_pages);
	unsigned int listed = 0, exits = 0;
	uint8_t seen[PAGES] = {};
	uint64_t offset;
	uint32_t slot;

	set_writes(v, 0, 1, PAGES);
	for (;;) {
		uint64_t rip;

		ASSERT_EQ(0, vcpu_run(v));
		if (v->run->exit_reason == KVM_EXIT_HLT)
			break;
		ASSERT_EQ(KVM_EXIT_DIRTY_RING_FULL, v->run->exit_reason);
		exits++;
		/* Still full: the guest does not move. */
		rip = vcpu_rip(v);
		RUN_TO(v, KVM_EXIT_DIRTY_RING_FULL);
		EXPECT_EQ(rip, vcpu_rip(v));
		/* Collected is not handed back. */
		while (ring_take(&ring, &slot, &offset)) {
			ASSERT_LT(offset, PAGES);
			seen[offset] = 1;
			listed++;
		}
		RUN_TO(v, KVM_EXIT_DIRTY_RING_FULL);
		EXPECT_LT(100, xioctl(v->vm->fd, KVM_RESET_DIRTY_RINGS, 0));
	}
	while (ring_take(&ring, &slot, &offset)) {
		seen[offset] = 1;
		listed++;
	}
	/* What was listed last before an exit is listed again, for its store came after. */
	EXPECT_EQ(NULL, memchr(seen, 0, sizeof(seen)));
	EXPECT_LE(PAGES, listed);
	EXPECT_GE(PAGES + exits, listed);
	EXPECT_LE(PAGES / 256, exits);
	EXPECT_GE(PAGES / 100, exits);
	vm_free(v->vm);
}

/* Whatever the entries say, only this process's own log suffers. */
TEST(scribbled)
{
	struct ring ring;
	uint8_t *p;
	struct vcpu *v = RING_VCPU(&ring, &p, KVM_MEM_LOG_DIRTY_PAGES, write_pages);
	unsigned int seed = 1;

	for (int round = 0; round < 200; round++) {
		uint8_t *raw = (uint8_t *)ring.entry;
		int i;

		set_writes(v, rand_r(&seed) % 500, 1, 1 + rand_r(&seed) % 400);
		ASSERT_EQ(0, vcpu_run(v));
		for (i = 0; i < BYTES; i++)
			if (round % 3 == 0 || rand_r(&seed) % 4 == 0)
				raw[i] = rand_r(&seed);
		for (i = 0; i < ring.size; i++)
			ring.entry[i].flags = round % 2 ? KVM_DIRTY_GFN_F_RESET : rand_r(&seed);
		if (round % 5 == 0)
			for (i = 0; i < ring.size; i++) {
				ring.entry[i].slot = 3;
				ring.entry[i].offset = i % 2 ? PAGES : ~0ull >> (rand_r(&seed) % 60);
			}
		if (round % 7 == 0)
			ASSERT_EQ(0, vm_set_slot(v->vm, 3, 0, GPA, 0, NULL));
		ASSERT_LE(0, xioctl(v->vm->fd, KVM_RESET_DIRTY_RINGS, 0));
		if (round % 7 == 0)
			ASSERT_EQ(0, vm_set_slot(v->vm, 3, KVM_MEM_LOG_DIRTY_PAGES, GPA, PAGES * PAGE, p));
		/* Let the guest go on in any case. */
		for (i = 0; i < ring.size; i++)
			ring.entry[i].flags = KVM_DIRTY_GFN_F_RESET;
		EXPECT_GE(ring.size, xioctl(v->vm->fd, KVM_RESET_DIRTY_RINGS, 0));
	}
	vm_free(v->vm);
}

TEST_HARNESS_MAIN
