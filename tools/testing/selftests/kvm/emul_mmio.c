// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions against memory-mapped I/O, one encoding a row. User space plays 4 KiB of device
 * memory at VM_MMIO that behaves like RAM, so that the result must be what the processor computes
 * on RAM: every row is run twice, on MMIO and on ordinary memory, and memory, registers and flags
 * are compared. The reference is therefore the processor itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kselftest.h"
#include "vm.h"

#define DEV_SIZE	8192		/* two pages, for accesses that cross */

/* rbx: the device (or RAM); the rest is set to fixed patterns by run_on(). */
#define ROW(name, text) GUEST(e_##name, 64, text "\n hlt");
#define ROWS(X)									\
	/* loads and stores of each size and register kind */			\
	X(mov_rm8, "mov %al, (%rbx)") X(mov_rm8_high, "mov %ah, 1(%rbx)")	\
	X(mov_rm8_rex, "mov %sil, (%rbx)") X(mov_rm16, "mov %ax, (%rbx)")	\
	X(mov_rm32, "mov %eax, (%rbx)") X(mov_rm64, "mov %rax, (%rbx)")		\
	X(mov_rm64_r15, "mov %r15, 8(%rbx)")					\
	X(mov_r8, "mov (%rbx), %cl") X(mov_r8_high, "mov (%rbx), %dh")		\
	X(mov_r16, "mov (%rbx), %cx") X(mov_r32, "mov (%rbx), %ecx")		\
	X(mov_r64, "mov (%rbx), %rcx") X(mov_r9, "mov 16(%rbx), %r9d")		\
	X(mov_imm8, "movb $0x5a, (%rbx)") X(mov_imm16, "movw $0x5aa5, (%rbx)")	\
	X(mov_imm32, "movl $0x5aa55aa5, (%rbx)") X(mov_imm64, "movq $-2, (%rbx)")	\
	X(mov_moffs_load, "movabs 0xd0000020, %al\n movabs 0xd0000020, %eax")	\
	X(mov_moffs_store, "movabs %eax, 0xd0000020\n movabs %rax, 0xd0000028")	\
	X(movzx_8_32, "movzbl (%rbx), %ecx") X(movzx_16_64, "movzwq (%rbx), %rcx")	\
	X(movzx_8_16, "movzbw 3(%rbx), %cx") X(movsx_8_64, "movsbq 1(%rbx), %rcx")	\
	X(movsx_16_32, "movswl 2(%rbx), %ecx") X(movsxd, "movslq 4(%rbx), %rcx")	\
	/* addressing */							\
	X(sib, "mov $3, %esi\n mov 5(%rbx,%rsi,8), %rcx")			\
	X(sib_negative, "mov $-2, %rsi\n mov %rax, 64(%rbx,%rsi,4)")		\
	X(disp32, "mov %eax, 0x200(%rbx)") X(addr32, "mov %eax, 4(%ebx)")	\
	X(rsp_base, "xchg %rsp, %rbx\n mov 8(%rsp), %rcx\n xchg %rsp, %rbx")	\
	X(fs_base, "mov %rbx, %rdi\n mov %al, %ds:(%rdi)")			\
	/* arithmetic, both directions */					\
	X(add_rm8, "add %al, (%rbx)") X(add_rm16, "add %ax, (%rbx)")		\
	X(add_rm32, "add %eax, (%rbx)") X(add_rm64, "add %rax, (%rbx)")		\
	X(add_r64, "add (%rbx), %rax") X(adc_rm32, "stc\n adc %eax, (%rbx)")	\
	X(adc_r32, "stc\n adc (%rbx), %eax") X(sbb_rm64, "stc\n sbb %rax, (%rbx)")	\
	X(sub_rm16, "sub %ax, (%rbx)") X(sub_r8, "sub (%rbx), %al")		\
	X(and_rm32, "and %eax, (%rbx)") X(and_r32, "and (%rbx), %eax")		\
	X(or_rm8, "or %al, (%rbx)") X(or_r64, "or (%rbx), %rax")		\
	X(xor_rm64, "xor %rax, (%rbx)") X(xor_r16, "xor (%rbx), %ax")		\
	X(cmp_rm32, "cmp %eax, (%rbx)") X(cmp_r8, "cmp (%rbx), %al")		\
	X(add_imm8, "addb $0x7f, (%rbx)") X(or_imm32, "orl $0x80000001, (%rbx)")	\
	X(and_imm8s, "andq $-16, (%rbx)") X(cmp_imm16, "cmpw $0x1234, (%rbx)")	\
	X(sub_imm8s, "subl $-1, (%rbx)") X(xor_imm64, "xorq $0x7fffffff, (%rbx)")	\
	X(test_rm8, "test %al, (%rbx)") X(test_rm64, "test %rax, (%rbx)")	\
	X(test_imm8, "testb $0x80, (%rbx)") X(test_imm32, "testl $0x10000, (%rbx)")	\
	X(inc8, "incb (%rbx)") X(inc64, "incq (%rbx)") X(dec16, "decw (%rbx)")	\
	X(not32, "notl (%rbx)") X(neg64, "negq (%rbx)") X(neg8, "negb (%rbx)")	\
	X(mul32, "mull (%rbx)") X(imul_r64, "imul (%rbx), %rax")		\
	X(imul_imm, "imul $7, (%rbx), %ecx") X(div8, "mov $5, %eax\n divb (%rbx)")	\
	X(shl_1, "shll (%rbx)") X(shl_imm, "shlq $5, (%rbx)")			\
	X(shr_cl, "mov $3, %cl\n shrl %cl, (%rbx)") X(sar_imm, "sarb $2, (%rbx)")	\
	X(rol_imm, "rolw $4, (%rbx)") X(ror_cl, "mov $9, %cl\n rorq %cl, (%rbx)")	\
	X(rcl_1, "stc\n rcll (%rbx)")						\
	X(shld, "shld $4, %rax, (%rbx)") X(shrd, "mov $6, %cl\n shrd %cl, %eax, (%rbx)")	\
	/* bits */								\
	X(bt_imm, "btl $7, (%rbx)") X(bts_imm, "btsq $33, (%rbx)")		\
	X(btr_reg, "mov $77, %esi\n btr %esi, (%rbx)") X(btc_imm, "btcw $3, (%rbx)")	\
	X(bt_negative, "mov $-9, %rsi\n bt %rsi, 64(%rbx)")			\
	X(bsf, "bsf (%rbx), %ecx") X(bsr, "bsr (%rbx), %rcx")			\
	X(setc_mem, "stc\n setc (%rbx)") X(setnz_mem, "xor %esi, %esi\n setnz 1(%rbx)")	\
	X(cmov, "stc\n cmovc (%rbx), %rcx") X(cmov_not, "clc\n cmovc (%rbx), %ecx")	\
	/* exchange, locked or implied */					\
	X(xchg8, "xchg %al, (%rbx)") X(xchg64, "xchg %rax, (%rbx)")		\
	X(lock_add, "lock add %eax, (%rbx)") X(lock_inc, "lock incb (%rbx)")	\
	X(lock_or, "lock orq $0x55, (%rbx)") X(lock_btr, "lock btrl $2, (%rbx)")	\
	X(xadd, "xadd %rax, (%rbx)") X(lock_xadd, "lock xadd %ecx, (%rbx)")	\
	X(cmpxchg_fail, "cmpxchg %rcx, (%rbx)")					\
	X(cmpxchg_hit, "mov (%rbx), %eax\n cmpxchg %ecx, (%rbx)")		\
	X(lock_cmpxchg, "mov (%rbx), %rax\n lock cmpxchg %rsi, (%rbx)")		\
	X(cmpxchg8b, "mov (%rbx), %eax\n mov 4(%rbx), %edx\n mov $1, %ecx\n"	\
	  "mov %rbx, %rdi\n mov $2, %ebx\n lock cmpxchg8b (%rdi)\n mov %rdi, %rbx")	\
	X(movbe_like, "mov (%rbx), %eax\n bswap %eax\n mov %eax, 4(%rbx)")	\
	/* stack and control flow through MMIO */				\
	X(push_mem, "pushq (%rbx)\n pop %rcx") X(pop_mem, "push %rax\n popq (%rbx)")	\
	/* the stack slot has the device's page offset: two places all the same */	\
	X(push_mem_alike, "mov %rsp, %r8\n and $-4096, %rsp\n sub $4088, %rsp\n"	\
	  "pushq (%rbx)\n pop %rcx\n mov %r8, %rsp")				\
	X(pop_mem_alike, "mov %rsp, %r8\n and $-4096, %rsp\n sub $4088, %rsp\n"	\
	  "push %rax\n popq (%rbx)\n mov %r8, %rsp")				\
	/* vector moves, as drivers use them */					\
	X(movdqu_store, "movq %rax, %xmm0\n movdqu %xmm0, (%rbx)")		\
	X(movdqu_load, "movdqu (%rbx), %xmm1\n movq %xmm1, %rcx")		\
	X(movaps_store, "movq %rax, %xmm2\n movaps %xmm2, 16(%rbx)")		\
	X(movnti, "movnti %rax, (%rbx)")					\
	/* across the page */							\
	X(cross_store64, "mov %rax, 0xffb(%rbx)") X(cross_load64, "mov 0xffb(%rbx), %rcx")	\
	X(cross_store16, "mov %ax, 0xfff(%rbx)") X(cross_load32, "mov 0xffe(%rbx), %ecx")	\
	X(cross_add32, "add %eax, 0xffd(%rbx)")					\
	/* strings: device to RAM, RAM to device, device to device */		\
	X(movsb_in, "cld\n mov %rbx, %rsi\n mov $0x60000, %edi\n mov $19, %ecx\n rep movsb")	\
	X(movsl_in, "cld\n mov %rbx, %rsi\n mov $0x60000, %edi\n mov $7, %ecx\n rep movsl")	\
	X(movsq_out, "cld\n mov $0x60100, %esi\n mov %rbx, %rdi\n mov $5, %ecx\n rep movsq")	\
	X(movsw_back, "std\n mov $0x60110, %esi\n lea 0x40(%rbx), %rdi\n mov $4, %ecx\n rep movsw\n cld")	\
	X(movsb_dev, "cld\n mov %rbx, %rsi\n lea 0x800(%rbx), %rdi\n mov $9, %ecx\n rep movsb")	\
	X(movsl_one, "cld\n mov $0x60100, %esi\n mov %rbx, %rdi\n movsl")	\
	X(stosb, "cld\n mov %rbx, %rdi\n mov $33, %ecx\n rep stosb")		\
	X(stosq, "cld\n lea 0xff0(%rbx), %rdi\n mov $4, %ecx\n rep stosq")	\
	X(stosl_zero, "cld\n mov %rbx, %rdi\n xor %ecx, %ecx\n rep stosl")	\
	X(lodsl, "cld\n mov %rbx, %rsi\n lodsl") X(lodsb_back, "std\n lea 5(%rbx), %rsi\n lodsb\n cld")	\
	X(cmpsb, "cld\n mov %rbx, %rsi\n mov $0x60000, %edi\n mov $8, %ecx\n repe cmpsb")	\
	X(scasb, "cld\n mov %rbx, %rdi\n mov $40, %ecx\n mov $0x15, %al\n repne scasb")	\
	X(movs_cross, "cld\n lea 0xff8(%rbx), %rsi\n mov $0x60000, %edi\n mov $3, %ecx\n rep movsq")

ROWS(ROW)

static const struct encoding {
	const char *name;
	const uint8_t *code, *end;
} encodings[] = {
#define ENTRY(n, text) { #n, guest_e_##n, guest_e_##n##_end },
	ROWS(ENTRY)
};

/*
 * Rows that 6.1's own emulator cannot do either; here KVM_EXIT_INTERNAL_ERROR with suberror
 * EMULATION is an answer as good as the right result.
 */
static const char *const may_fail[] = {
	"movbe_like", "rcl_1", "shld", "shrd", "movnti", "div8", "mul32", "imul_r64", "imul_imm",
	"bsf", "bsr", "cmov", "cmov_not",
};

struct outcome {
	struct kvm_regs regs;
	uint8_t dev[DEV_SIZE], ram[512], xmm[2][16];
	int failed;		/* emulation failure */
	unsigned int exits;
};

static void fill(uint8_t *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = i * 37 + 11 + (i >> 8);
}

/* Answers the device's exits until HLT. 0, or -1 with the exit printed. */
static int serve(struct vcpu *v, struct outcome *o)
{
	for (o->exits = 0; o->exits < 500; o->exits++) {
		struct kvm_run *run = v->run;
		int rc = vcpu_run(v);
		uint64_t at;

		if (!rc && run->exit_reason == KVM_EXIT_HLT)
			return 0;
		if (!rc && run->exit_reason == KVM_EXIT_INTERNAL_ERROR &&
		    run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION) {
			o->failed = 1;
			return 0;
		}
		if (rc || run->exit_reason != KVM_EXIT_MMIO)
			break;
		at = run->mmio.phys_addr - VM_MMIO;
		if (run->mmio.len > 8 || at + run->mmio.len > DEV_SIZE)
			break;
		if (run->mmio.is_write)
			memcpy(o->dev + at, run->mmio.data, run->mmio.len);
		else
			memcpy(run->mmio.data, o->dev + at, run->mmio.len);
	}
	vcpu_dump(v);
	return -1;
}

/* The row on `v`, whose VM has `ram` where the device would be, or NULL. */
static int run_on(struct vcpu *v, const struct encoding *e, struct outcome *o, uint8_t *ram)
{
	struct kvm_regs r = {
		.rax = 0x8899aabbccddeef7, .rbx = VM_MMIO, .rcx = 0x1122334455667788,
		.rdx = 0x0102030405060708, .rsi = 0x7001, .rdi = 0x7002, .rbp = 0x7003,
		.r8 = 0x88, .r9 = 0x9999999999999999, .r15 = 0xf0e0d0c0b0a09080,
		.rip = VM_CODE, .rsp = VM_STACK_TOP, .rflags = 2,
	};
	struct kvm_fpu f;
	int rc;

	memset(o, 0, sizeof(*o));
	fill(o->dev, DEV_SIZE);
	fill(v->vm->ram + VM_DATA2, sizeof(o->ram));
	if (ram)
		memcpy(ram, o->dev, DEV_SIZE);
	vm_load(v->vm, VM_CODE, e->code, e->end - e->code);
	vcpu_long(v, VM_CODE);
	vcpu_set_regs(v, &r);
	rc = serve(v, o);
	if (ram)
		memcpy(o->dev, ram, DEV_SIZE);
	memcpy(o->ram, v->vm->ram + VM_DATA2, sizeof(o->ram));
	vcpu_regs(v, &o->regs);
	if (xioctlp(v->fd, KVM_GET_FPU, &f))
		die("KVM_GET_FPU");
	memcpy(o->xmm, f.xmm, sizeof(o->xmm));
	return rc;
}

/* Flags that the manuals leave undefined for some rows are not compared. */
static uint64_t flags_mask(const char *name)
{
	static const struct { const char *prefix; uint64_t undefined; } some[] = {
		{ "mul", 0xd4 }, { "imul", 0xd4 }, { "div", 0x8d5 }, { "and", 0x10 }, { "or", 0x10 },
		{ "xor", 0x10 }, { "test", 0x10 }, { "lock_or", 0x10 }, { "sh", 0x810 }, { "sar", 0x810 },
		{ "ro", 0x800 }, { "rcl", 0 }, { "bt", 0x8d4 }, { "lock_bt", 0x8d4 },
		{ "bsf", 0x895 }, { "bsr", 0x895 }, { "setnz", 0x10 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(some); i++)
		if (!strncmp(name, some[i].prefix, strlen(some[i].prefix)))
			return 0x8d5 & ~some[i].undefined;
	return 0x8d5;
}

static int compare(const struct encoding *e, const struct outcome *mmio, const struct outcome *ram)
{
	const uint64_t *a = (const uint64_t *)&mmio->regs, *b = (const uint64_t *)&ram->regs;
	uint64_t mask = flags_mask(e->name);
	int bad = 0;
	size_t i;

	for (i = 0; i < 17; i++) {
		if (a[i] != b[i])
			printf("# %s: register %zu is %#lx, on RAM %#lx\n", e->name, i, a[i], b[i]);
		bad |= a[i] != b[i];
	}
	if ((a[17] & mask) != (b[17] & mask)) {
		printf("# %s: flags %#lx, on RAM %#lx (mask %#lx)\n", e->name, a[17], b[17], mask);
		bad = 1;
	}
	for (i = 0; i < DEV_SIZE; i++)
		if (mmio->dev[i] != ram->dev[i]) {
			printf("# %s: device byte %#zx is %#x, RAM %#x\n", e->name, i, mmio->dev[i], ram->dev[i]);
			bad = 1;
		}
	if (memcmp(mmio->ram, ram->ram, sizeof(ram->ram))) {
		printf("# %s: memory differs\n", e->name);
		bad = 1;
	}
	if (memcmp(mmio->xmm, ram->xmm, sizeof(ram->xmm))) {
		printf("# %s: XMM registers differ\n", e->name);
		bad = 1;
	}
	if (!mmio->exits && strcmp(e->name, "stosl_zero")) {
		printf("# %s: no MMIO exit at all\n", e->name);
		bad = 1;
	}
	return bad;
}

int main(void)
{
	uint8_t *ram = aligned_alloc(4096, DEV_SIZE);
	struct vcpu *device = vm_simple(), *memory = vm_simple();
	size_t i, k;

	if (vm_set_slot(memory->vm, 1, 0, VM_MMIO, DEV_SIZE, ram))
		die("slot 1");

	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(encodings));
	for (i = 0; i < ARRAY_SIZE(encodings); i++) {
		const struct encoding *e = &encodings[i];
		static struct outcome on_mmio, on_ram;
		int may = 0, bad;

		for (k = 0; k < ARRAY_SIZE(may_fail); k++)
			may |= !strcmp(may_fail[k], e->name);
		if (run_on(memory, e, &on_ram, ram) || on_ram.failed) {
			ksft_test_result_fail("%s (on RAM)\n", e->name);
			continue;
		}
		bad = run_on(device, e, &on_mmio, NULL);
		if (!bad && on_mmio.failed && may) {
			ksft_test_result_pass("%s (left to user space)\n", e->name);
			continue;
		}
		if (on_mmio.failed)
			printf("# %s: emulation failure\n", e->name);
		bad = bad || on_mmio.failed || compare(e, &on_mmio, &on_ram);
		ksft_test_result(!bad, "%s\n", e->name);
	}
	ksft_finished();
}
