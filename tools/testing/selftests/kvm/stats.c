// SPDX-License-Identifier: GPL-2.0-only
/*
 * The statistics fds: their form, reading at any place, and that what is counted is what happened.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vm.h"

#define PAGE	4096ull
#define GPA	0x80000000ull

struct stats {
	struct kvm_stats_header header;
	char id[64];
	char *desc;
	size_t desc_size;
};

static const struct kvm_stats_desc *desc(const struct stats *s, unsigned int i)
{
	return (void *)(s->desc + i * s->desc_size);
}

static void stats_read(int fd, struct stats *s)
{
	size_t bytes;

	if (pread(fd, &s->header, sizeof(s->header), 0) != sizeof(s->header) || s->header.name_size > sizeof(s->id))
		die("header");
	s->desc_size = sizeof(struct kvm_stats_desc) + s->header.name_size;
	bytes = s->desc_size * s->header.num_desc;
	s->desc = malloc(bytes);
	if (pread(fd, s->id, s->header.name_size, s->header.id_offset) != s->header.name_size ||
	    pread(fd, s->desc, bytes, s->header.desc_offset) != bytes)
		die("identifier or descriptors");
}

/* The first value of the statistic, or ~0 when there is none of that name. */
static uint64_t stat_of(int fd, const char *name)
{
	uint64_t value = ~0ull;
	struct stats s;

	stats_read(fd, &s);
	for (unsigned int i = 0; i < s.header.num_desc; i++)
		if (!strcmp(desc(&s, i)->name, name) &&
		    pread(fd, &value, 8, s.header.data_offset + desc(&s, i)->offset) != 8)
			die("value of %s", name);
	free(s.desc);
	return value;
}

static void check_form(struct __test_metadata *_metadata, int fd, const char *id)
{
	char *whole, byte;
	size_t end = 0, bytes;
	struct stats s;

	ASSERT_LE(0, fd);
	EXPECT_EQ(O_RDONLY, fcntl(fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	stats_read(fd, &s);
	EXPECT_EQ(0, s.header.flags);
	EXPECT_EQ(sizeof(s.header), s.header.id_offset);
	EXPECT_LE(s.header.id_offset + s.header.name_size, s.header.desc_offset);
	EXPECT_LE(s.header.desc_offset + s.header.num_desc * s.desc_size, s.header.data_offset);
	EXPECT_EQ(0, strncmp(s.id, id, strlen(id)));
	ASSERT_LT(0, s.header.num_desc);
	for (unsigned int i = 0; i < s.header.num_desc; i++) {
		const struct kvm_stats_desc *d = desc(&s, i);
		uint32_t type = d->flags & KVM_STATS_TYPE_MASK;

		EXPECT_LT(0, strnlen(d->name, s.header.name_size));
		EXPECT_GT(s.header.name_size, strnlen(d->name, s.header.name_size));
		EXPECT_GE(KVM_STATS_TYPE_MAX, type);
		EXPECT_GE(KVM_STATS_UNIT_MAX, d->flags & KVM_STATS_UNIT_MASK);
		EXPECT_GE(KVM_STATS_BASE_MAX, d->flags & KVM_STATS_BASE_MASK);
		EXPECT_EQ(0, d->offset % 8);
		if (type < KVM_STATS_TYPE_LINEAR_HIST)
			EXPECT_EQ(1, d->size);
		for (unsigned int j = 0; j < i; j++)
			EXPECT_NE(0, strcmp(d->name, desc(&s, j)->name));
		if (d->offset + d->size * 8 > end)
			end = d->offset + d->size * 8;
	}
	/* In one go, and byte by byte; behind the end there is nothing. */
	bytes = s.header.data_offset + end;
	whole = malloc(bytes + 8);
	EXPECT_EQ(bytes, pread(fd, whole, bytes + 8, 0));
	EXPECT_EQ(0, memcmp(whole, &s.header, sizeof(s.header)));
	for (size_t i = 0; i < s.header.data_offset; i++) {
		ASSERT_EQ(1, pread(fd, &byte, 1, i));
		EXPECT_EQ(whole[i], byte);
	}
	EXPECT_EQ(0, pread(fd, &byte, 1, bytes));
	EXPECT_EQ(-1, write(fd, whole, 8));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(24, read(fd, whole, 24));
	EXPECT_EQ(s.header.name_size, read(fd, whole, s.header.name_size));
	EXPECT_EQ(0, memcmp(s.id, whole, s.header.name_size));
	free(whole);
	free(s.desc);
}

TEST(form)
{
	struct vcpu *v = vm_simple();
	char id[64];
	int vm_fd, vcpu_fd;

	ASSERT_EQ(1, has_cap(v->vm->sys, KVM_CAP_BINARY_STATS_FD));
	vm_fd = xioctl(v->vm->fd, KVM_GET_STATS_FD, 0);
	vcpu_fd = xioctl(v->fd, KVM_GET_STATS_FD, 0);
	snprintf(id, sizeof(id), "kvm-%d", getpid());
	check_form(_metadata, vm_fd, id);
	snprintf(id, sizeof(id), "kvm-%d/vcpu-0", getpid());
	check_form(_metadata, vcpu_fd, id);
	/* They hold what they show. */
	vm_free(v->vm);
	EXPECT_NE(~0ull, stat_of(vcpu_fd, "exits"));
	EXPECT_NE(~0ull, stat_of(vm_fd, "remote_tlb_flush"));
	close(vm_fd);
	EXPECT_NE(~0ull, stat_of(vcpu_fd, "exits"));
	close(vcpu_fd);
}

/* CPUID, OUT, MMIO, first touches, each rsi times. */
GUEST(busy, 64,
	"1: xor %eax, %eax\n cpuid\n"
	"mov $0xf1, %edx\n out %al, %dx\n"
	"mov $0xd0000000, %edi\n mov %eax, (%rdi)\n"
	"mov %rax, (%r8)\n add $4096, %r8\n"
	"dec %rsi\n jnz 1b\n hlt");

TEST(counts)
{
	enum { TIMES = 20 };
	struct vcpu *v = LONG_VCPU(busy);
	int fd = xioctl(v->fd, KVM_GET_STATS_FD, 0), io = 0, mmio = 0;
	uint8_t *p = mmap(NULL, TIMES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_regs r;

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, stat_of(fd, "exits"));
	ASSERT_EQ(0, vm_set_slot(v->vm, 1, 0, GPA, TIMES * PAGE, p));
	vcpu_regs(v, &r);
	r.rsi = TIMES;
	r.r8 = GPA;
	vcpu_set_regs(v, &r);
	for (;;) {
		ASSERT_EQ(0, vcpu_run(v));
		if (v->run->exit_reason == KVM_EXIT_IO)
			io++;
		else if (v->run->exit_reason == KVM_EXIT_MMIO)
			mmio++;
		else
			break;
	}
	ASSERT_EQ(KVM_EXIT_HLT, v->run->exit_reason);
	EXPECT_EQ(TIMES, io);
	EXPECT_EQ(TIMES, mmio);
	/* CPUID, OUT and MMIO each time, and HLT; page faults and host interrupts besides. */
	EXPECT_LE(3 * TIMES + 1, stat_of(fd, "exits"));
	EXPECT_EQ(TIMES, stat_of(fd, "io_exits"));
	EXPECT_EQ(TIMES, stat_of(fd, "mmio_exits"));
	EXPECT_EQ(1, stat_of(fd, "halt_exits"));
	EXPECT_LE(TIMES, stat_of(fd, "insn_emulation"));
	EXPECT_EQ(0, stat_of(fd, "insn_emulation_fail"));
	EXPECT_LE(1, stat_of(fd, "pf_fixed"));
	EXPECT_LE(stat_of(fd, "pf_fixed"), stat_of(fd, "pf_taken"));
	EXPECT_EQ(0, stat_of(fd, "hypercalls"));
	EXPECT_EQ(0, stat_of(fd, "nmi_injections"));
	vm_free(v->vm);
	close(fd);
}

TEST_HARNESS_MAIN
