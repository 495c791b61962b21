/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The oracle of the emulator's tests: runs instruction bytes on this CPU, in user mode, in 64-bit,
 * 32-bit or 16-bit code, with chosen registers and segments, and reports registers or the fault.
 * Linux on x86-64 only. Included by one .c of a program.
 */
#ifndef KEEL_PURE_NATIVE_H
#define KEEL_PURE_NATIVE_H

#include "emu.h"

#include <asm/ldt.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* Fixed low addresses, so that 32-bit code and 32-bit displacements reach them. */
#define NATIVE_CODE	0x20000000ul	/* instruction; the way back follows it */
#define NATIVE_BUF	0x10040000ul	/* the only mapped memory within the guard */
#define NATIVE_BUF_SIZE	0x1000ul
#define NATIVE_GUARD	0x20000ul	/* unmapped bytes on both sides of it */

#define NATIVE_CS64	0x33
#define NATIVE_CS32	0x23
#define NATIVE_DS	0x2b
#define NATIVE_LDT(n)	((n) << 3 | 7)

struct native {
	uint64_t regs[16];
	uint64_t rflags;
	uint64_t saved_rsp;
	uint64_t target;
	struct {
		uint32_t off;
		uint16_t sel;
	} __attribute__((packed)) far_target;
	uint16_t ds, es, ss;
	uint64_t flags_in;
	uint64_t far_mode;
	uint8_t xmm[16][16] __attribute__((aligned(16)));
	int vector;		/* of the fault, -1: none */
	uint64_t error, cr2;
	uint64_t fault_rip;
};

struct native native_cur __attribute__((used, aligned(16)));
void native_enter(void);
extern const char native_back[];

/* The assembly below knows these numbers. */
_Static_assert(offsetof(struct native, rflags) == 128, "rflags");
_Static_assert(offsetof(struct native, saved_rsp) == 136, "saved_rsp");
_Static_assert(offsetof(struct native, target) == 144, "target");
_Static_assert(offsetof(struct native, far_target) == 152, "far_target");
_Static_assert(offsetof(struct native, ds) == 158, "ds");
_Static_assert(offsetof(struct native, es) == 160, "es");
_Static_assert(offsetof(struct native, ss) == 162, "ss");
_Static_assert(offsetof(struct native, flags_in) == 168, "flags_in");
_Static_assert(offsetof(struct native, far_mode) == 176, "far_mode");
_Static_assert(offsetof(struct native, xmm) == 192, "xmm");

asm(
"	.text\n"
"	.globl native_enter, native_back\n"
"native_enter:\n"
"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
"	mov %rsp, native_cur+136(%rip)\n"
"	mov native_cur+158(%rip), %ds\n"
"	mov native_cur+160(%rip), %es\n"
"	mov native_cur+162(%rip), %ss\n"
"	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
"	movdqu native_cur+192+16*\\n(%rip), %xmm\\n\n"
"	.endr\n"
"	pushq native_cur+168(%rip); popfq\n"
"	mov native_cur+0(%rip), %rax\n"
"	mov native_cur+16(%rip), %rdx\n"
"	mov native_cur+24(%rip), %rbx\n"
"	mov native_cur+40(%rip), %rbp\n"
"	mov native_cur+48(%rip), %rsi\n"
"	mov native_cur+56(%rip), %rdi\n"
"	.irp n, 8, 9, 10, 11, 12, 13, 14, 15\n"
"	mov native_cur+8*\\n(%rip), %r\\n\n"
"	.endr\n"
"	mov native_cur+32(%rip), %rsp\n"
"	mov native_cur+176(%rip), %rcx\n"	/* branches without touching the flags */
"	jrcxz 1f\n"
"	mov native_cur+8(%rip), %rcx\n"
"	ljmp *native_cur+152(%rip)\n"
"1:	mov native_cur+8(%rip), %rcx\n"
"	jmp *native_cur+144(%rip)\n"
"native_back:\n"
"	mov %rsp, native_cur+32(%rip)\n"
"	mov native_cur+136(%rip), %rsp\n"
"	pushfq; popq native_cur+128(%rip)\n"
"	cld\n"
"	mov %rax, native_cur+0(%rip)\n"
"	mov %rcx, native_cur+8(%rip)\n"
"	mov %rdx, native_cur+16(%rip)\n"
"	mov %rbx, native_cur+24(%rip)\n"
"	mov %rbp, native_cur+40(%rip)\n"
"	mov %rsi, native_cur+48(%rip)\n"
"	mov %rdi, native_cur+56(%rip)\n"
"	.irp n, 8, 9, 10, 11, 12, 13, 14, 15\n"
"	mov %r\\n, native_cur+8*\\n(%rip)\n"
"	.endr\n"
"	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
"	movdqu %xmm\\n, native_cur+192+16*\\n(%rip)\n"
"	.endr\n"
"	mov $0x2b, %eax\n"
"	mov %eax, %ds; mov %eax, %es; mov %eax, %ss\n"
"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
"	ret\n");

/* RFLAGS bits a test may choose: the arithmetic flags and DF. */
#define NATIVE_FLAGS 0xcd5ul

static struct sigaction native_old[32];

static void native_signal(int sig, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

	if (native_cur.vector != -2) {	/* not ours: let whoever was here before report it */
		if (native_old[sig].sa_flags & SA_SIGINFO)
			native_old[sig].sa_sigaction(sig, info, context);
		signal(sig, SIG_DFL);
		return;
	}
	native_cur.vector = regs[REG_TRAPNO];
	native_cur.error = regs[REG_ERR];
	native_cur.cr2 = regs[REG_CR2];
	native_cur.fault_rip = regs[REG_RIP];
	regs[REG_RIP] = (greg_t)native_back;
	regs[REG_EFL] &= ~0x100;
	regs[REG_CSGSFS] = (regs[REG_CSGSFS] & ~0xffffL) | NATIVE_CS64;
}

/* A data or code segment of the LDT; `limit` in bytes below 1 MiB, or 0xffffffff. */
__attribute__((unused))
static bool native_ldt(unsigned int n, uint32_t base, uint32_t limit, unsigned int contents,
		       bool big, bool read_only)
{
	struct user_desc d = {
		.entry_number = n,
		.base_addr = base,
		.limit = limit == 0xffffffff ? 0xfffff : limit,
		.limit_in_pages = limit == 0xffffffff,
		.contents = contents,	/* 0 data, 1 expand-down, 2 code */
		.seg_32bit = big,
		.read_exec_only = read_only,
	};

	return !syscall(SYS_modify_ldt, 1, &d, sizeof(d));
}

/* Maps the fixed pages and takes the signals; false when this machine does not let us. */
__attribute__((unused))
static bool native_init(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE };
	static uint8_t stack[65536];
	struct sigaction sa = {
		.sa_sigaction = native_signal,
		.sa_flags = SA_SIGINFO | SA_ONSTACK,
	};
	stack_t alt = { .ss_sp = stack, .ss_size = sizeof(stack) };
	unsigned long lo = NATIVE_BUF - NATIVE_GUARD;
	unsigned int i;
	void *at;

	at = mmap((void *)lo, 2 * NATIVE_GUARD + NATIVE_BUF_SIZE, PROT_NONE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (at != (void *)lo)
		return false;
	if (mprotect((void *)NATIVE_BUF, NATIVE_BUF_SIZE, PROT_READ | PROT_WRITE))
		return false;
	at = mmap((void *)NATIVE_CODE, 0x2000, PROT_READ | PROT_WRITE | PROT_EXEC,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (at != (void *)NATIVE_CODE)
		return false;
	sigaltstack(&alt, NULL);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &sa, &native_old[signals[i]]);
	native_cur.vector = -1;
	return true;
}

#define NATIVE_EXIT_STUB (NATIVE_CODE + 0x1800)

static void native_put_jump64(uint8_t *at, uint64_t target)
{
	static const uint8_t jmp[6] = { 0xff, 0x25 };

	memcpy(at, jmp, sizeof(jmp));
	memcpy(at + sizeof(jmp), &target, sizeof(target));
}

/*
 * Runs `len` bytes of code in code of `bits` (16: an LDT code segment based at NATIVE_CODE must
 * be `cs`) with native_cur.{regs, flags_in, xmm, ds, es, ss}; results are in native_cur. The upper
 * halves of registers mean nothing after code that is not 64-bit.
 */
__attribute__((unused))
static void native_run(const uint8_t *bytes, size_t len, unsigned int bits, uint16_t cs)
{
	uint8_t *code = (uint8_t *)NATIVE_CODE, *end = code + len;
	uint32_t stub = NATIVE_EXIT_STUB;
	uint16_t sel = NATIVE_CS64;

	memcpy(code, bytes, len);
	native_put_jump64((uint8_t *)NATIVE_EXIT_STUB, (uint64_t)native_back);
	if (bits == 64) {
		native_put_jump64(end, (uint64_t)native_back);
	} else {
		if (bits == 16)
			*end++ = 0x66;
		*end++ = 0xea;
		memcpy(end, &stub, 4);
		memcpy(end + 4, &sel, 2);
	}
	native_cur.target = NATIVE_CODE;
	native_cur.far_mode = bits != 64;
	native_cur.far_target.off = bits == 16 ? 0 : NATIVE_CODE;
	native_cur.far_target.sel = cs;
	native_cur.flags_in = (native_cur.flags_in & NATIVE_FLAGS) | 0x202;
	native_cur.vector = -2;
	native_enter();
	if (native_cur.vector == -2)
		native_cur.vector = -1;
}

/*
 * Where processors differ, take the emulator's choice over into native_cur. A REP string instruction
 * with 32-bit addresses that does no iteration leaves RCX, RSI and RDI alone (AMD) or clears their
 * upper halves (Intel); one that compares and faults in a later iteration leaves the flags of the last
 * comparison (AMD) or those from before the instruction (Intel, SDM volume 2, "REP").
 */
__attribute__((unused))
static void native_settle(const struct emu *e)
{
	bool rep = e->insn.prefixes & (EMU_PFX_REP | EMU_PFX_REPNE);
	unsigned int key = emu_insn_key(&e->insn);
	static const uint8_t used[] = { 1, 6, 7 };
	unsigned int i;

	if (!rep || key < EMU_KEY(EMU_MAP_1, 0xa4) || key > EMU_KEY(EMU_MAP_1, 0xaf))
		return;
	for (i = 0; e->mode.cpu == EMU_CPU_LONG && e->insn.addr_size == 4 && i < sizeof(used); i++)
		if (native_cur.regs[used[i]] == (uint32_t)e->regs[used[i]])
			native_cur.regs[used[i]] = e->regs[used[i]];
	if (native_cur.vector >= 0 && !((native_cur.rflags ^ native_cur.flags_in) & NATIVE_FLAGS))
		native_cur.rflags = e->rflags;
}

#endif /* KEEL_PURE_NATIVE_H */
