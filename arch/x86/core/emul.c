// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's side of the instruction emulator: fetches, decodes, and performs the effects it asks
 * for: guest memory, listeners in the kernel, or a trip to user space.
 *
 * Owns: struct keel_emul, the instruction in flight. Does not own: what instructions mean
 * (pure/decode.c, pure/exec-*.c), guest page tables (pure/gwalk.c). Contexts: vCPU loaded, IRQs on.
 *
 * A linear access is translated whole before its first byte moves, so a page fault leaves no trace.
 * It then goes piece by piece: runs in guest RAM, and at most 8 bytes at a time where there is none.
 * What remains of it after a trip to user space is in keel_emul, nothing is on the stack.
 */
#include "core.h"
#include "fpu.h"
#include "trace.h"
#include <asm/unaligned.h>
#include <keel/gpa.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#define REP_BATCH 512		/* string iterations before the guest's events are looked at again */
#define MMIO_PIECE 8		/* bytes of one KVM_EXIT_MMIO */

/*
 * What e.insn was decoded from. Decoding is a function of the bytes and the mode alone, and a driver's
 * accesses come from few places: while both are the same there is no need to decode again.
 */
struct emul_decoded {
	u64 low, high;			/* the bytes, as fetched */
	struct emu_mode mode;
	bool valid;
};

struct keel_emul {
	struct emu e;
	struct emu_move move;		/* instead of it, when moving */
	bool moving;
	enum emu_status status;		/* the effect in flight */
	u8 bytes[EMU_INSN_MAX];		/* the instruction, as fetched */
	u8 nr_bytes;
	struct emul_decoded decoded;
	bool translated;		/* gpa[] holds the access in flight */
	u8 piece;			/* bytes that user space has */
	bool hint_valid;
	bool hint_write;		/* and written */
	gpa_t hint;			/* what the exit said was touched */
	gpa_t gpa[2];			/* of the access: first and second page */
	u32 done;			/* bytes of the access performed */
	u64 watch;			/* data breakpoints hit since the last commit, as in DR6 */
};

int keel_emul_new(struct keel_vcpu *vcpu)
{
	vcpu->arch.emul = kzalloc(sizeof(*vcpu->arch.emul), GFP_KERNEL_ACCOUNT);
	return vcpu->arch.emul ? 0 : -ENOMEM;
}

void keel_emul_free(struct keel_vcpu *vcpu)
{
	kfree(vcpu->arch.emul);
}

/* The tables as they nearly always are: true and *gpa, or nothing has happened. */
static __always_inline bool walk_quick(struct keel_vcpu *vcpu, struct keel_gpa_series *series, gva_t gva,
				       u32 access, gpa_t *gpa)
{
	const struct keel_regs *regs = &vcpu->arch.regs;
	const struct gwalk_regs now = {
		.cr0 = regs->cr0, .cr3 = regs->cr3, .cr4 = regs->cr4, .efer = regs->efer,
		.maxphyaddr = vcpu->arch.cpuid.derived.maxphyaddr,
	};
	struct gwalk_quick q = gwalk_quick_start(&now, gva);
	u64 entry;

	if (!gwalk_quick_can(&now, gva))
		return false;
	do {
		if (keel_gpa_series_word(series, keel_vcpu_gpa(vcpu, gwalk_quick_at(&q)), &entry))
			return false;
	} while (gwalk_quick_take(&q, entry));
	return gwalk_quick_end(&q, access, gpa);
}

/*
 * 0 and *gpa; -EFAULT with *error for #PF, -EINVAL without; -EAGAIN: the tables kept changing, or the
 * task is being killed. Its frame is cleared, so it is kept apart.
 */
static noinline_for_stack int walk_full(struct keel_vcpu *vcpu, struct keel_gpa_series *series, gva_t gva,
					u32 access, gpa_t *gpa, u32 *error, u32 *rights)
{
	const struct keel_regs *regs = &vcpu->arch.regs;
	enum gwalk_status status;
	struct gwalk_ctx ctx;
	struct gwalk w;

	ctx.pse36 = true;
	ctx.gbpages = cpuid_has(&vcpu->arch.cpuid.derived, CPUID_F_GBPAGES);
	ctx.pdpte_walk = !keel_host_caps.pdptes;
	if (!ctx.pdpte_walk)
		memcpy(ctx.pdpte, regs->pdptr, sizeof(ctx.pdpte));
	gwalk_ctx_set(&ctx, regs->cr0, regs->cr3, regs->cr4, regs->efer, regs->rflags,
		      vcpu->arch.fpu.pkru, vcpu->arch.cpuid.derived.maxphyaddr);
	gwalk_start(&w, &ctx, gva, access);
	while ((status = gwalk_step(&w)) <= GWALK_SETBITS) {
		gpa_t at = keel_vcpu_gpa(vcpu, w.req.gpa);
		u64 value = 0;

		if (status == GWALK_READ) {
			if (keel_gpa_series_read(series, at, &value, w.req.size))
				gwalk_refuse(&w);
			else
				gwalk_read_done(&w, value);
		} else {
			u64 old = w.req.old;
			int ret = keel_gpa_series_cmpxchg(series, at, &old, w.req.new, w.req.size);

			if (ret < 0)
				gwalk_refuse(&w);
			else
				gwalk_set_done(&w, ret == 0);
		}
	}
	*error = w.error;
	*gpa = w.out.gpa;
	if (rights)
		*rights = w.out.rights;
	if (status == GWALK_DONE)
		return 0;
	if (status == GWALK_RETRY)
		return -EAGAIN;
	return status == GWALK_FAULT ? -EFAULT : -EINVAL;
}

/* As walk_full(). */
static int walk(struct keel_vcpu *vcpu, struct keel_gpa_series *series, gva_t gva, u32 access, gpa_t *gpa,
		u32 *error)
{
	keel_regs_need(vcpu, KEEL_RG_CR);
	if (likely(walk_quick(vcpu, series, gva, access, gpa)))
		return 0;
	return walk_full(vcpu, series, gva, access, gpa, error, NULL);
}

int keel_walk_rights(struct keel_vcpu *vcpu, gva_t gva, gpa_t *gpa, u32 *rights)
{
	struct keel_gpa_series series = { .vm = vcpu->vm };
	u32 error;
	int err;

	keel_regs_need(vcpu, KEEL_RG_CR);
	if (keel_gpa_begin(&series))
		return -EAGAIN;
	err = walk_full(vcpu, &series, gva, GWALK_NO_AD | GWALK_NO_RIGHTS, gpa, &error, rights);
	keel_gpa_end(&series);
	return err;
}

int keel_walk(struct keel_vcpu *vcpu, gva_t gva, u32 access, gpa_t *gpa, u32 *error)
{
	struct keel_gpa_series series = { .vm = vcpu->vm };
	int err;

	if (keel_gpa_begin(&series))
		return -EAGAIN;
	err = walk(vcpu, &series, gva, access, gpa, error);
	keel_gpa_end(&series);
	return err;
}

/* Give the guest the fault that the walk ended with, if it was one. */
static int walk_fault(struct keel_vcpu *vcpu, int err, u64 linear, u32 error)
{
	if (err == -EFAULT)
		keel_exception_payload(vcpu, EVENT_PF, true, error, linear);
	else if (err != -EAGAIN)
		keel_exception_error(vcpu, EVENT_GP, 0);
	return KEEL_RESUME;
}

int keel_translate_or_fault(struct keel_vcpu *vcpu, u64 linear, u32 access, gpa_t *gpa)
{
	u32 error;
	int err = keel_walk(vcpu, to_gva(linear), access, gpa, &error);

	return err ? walk_fault(vcpu, err, linear, error) : KEEL_SKIP;
}

/* --- fetch and decode ---------------------------------------------------------------------------- */

/* Append the instruction bytes up to the end of their page. KEEL_SKIP: some were got. */
static int fetch_page(struct keel_vcpu *vcpu, const struct emu_mode *mode, struct keel_emul *m)
{
	const struct keel_regs *regs = &vcpu->arch.regs;
	u64 linear = regs->rip + m->nr_bytes;
	unsigned int n = EMU_INSN_MAX - m->nr_bytes;
	struct keel_gpa_series series = { .vm = vcpu->vm };
	bool missing = false;
	u32 error;
	gpa_t gpa;
	int err;

	if (mode->cpu != EMU_CPU_LONG) {
		keel_regs_need(vcpu, KEEL_RG_CODE);
		linear = (u32)(linear + regs->seg[REGS_SEG_CS].base);
	}
	if (keel_gpa_begin(&series))
		return KEEL_RESUME;
	err = walk(vcpu, &series, to_gva(linear), GWALK_FETCH | (mode->cpl == 3 ? GWALK_USER : 0), &gpa,
		   &error);
	if (!err) {
		n = min_t(unsigned int, n, KEEL_PAGE_SIZE - gpa_offset(gpa));
		missing = keel_gpa_series_read(&series, keel_vcpu_gpa(vcpu, gpa), m->bytes + m->nr_bytes, n);
	}
	keel_gpa_end(&series);
	if (err)
		return walk_fault(vcpu, err, linear, error);
	if (missing) {
		/* Code outside guest memory cannot be run for it. */
		return keel_uexit_emulation(vcpu, m->bytes, m->nr_bytes);
	}
	m->nr_bytes += n;
	return KEEL_SKIP;
}

/*
 * The same in the common case: 64-bit code, tables that need no look at the rules, the page's end not
 * near. False: nothing has happened.
 */
static __always_inline bool fetch_quick(struct keel_vcpu *vcpu, const struct emu_mode *mode, u64 *low, u64 *high)
{
	u32 access = GWALK_FETCH | (mode->cpl == 3 ? GWALK_USER : 0);
	struct keel_gpa_series series = { .vm = vcpu->vm };
	bool got;
	gpa_t gpa;

	if (mode->cpu != EMU_CPU_LONG)
		return false;
	keel_regs_need(vcpu, KEEL_RG_CR);
	if (keel_gpa_begin(&series))
		return false;
	got = walk_quick(vcpu, &series, to_gva(vcpu->arch.regs.rip), access, &gpa) &&
	      gpa_offset(gpa) <= KEEL_PAGE_SIZE - EMU_INSN_MAX &&
	      !keel_gpa_series_words(&series, keel_vcpu_gpa(vcpu, gpa), low, EMU_INSN_MAX - sizeof(*high), high);
	keel_gpa_end(&series);
	return got;
}

/* Decode what fetch_quick() got. Return: whether it is an instruction. */
static __always_inline bool decode_quick(struct keel_emul *m, u64 low, u64 high)
{
	struct emul_decoded *from = &m->decoded;

	if (likely(from->low == low && from->high == high && from->valid &&
		   !memcmp(&from->mode, &m->e.mode, sizeof(from->mode))))
		return true;
	put_unaligned(low, (u64 *)m->bytes);
	put_unaligned(high, (u64 *)(m->bytes + EMU_INSN_MAX - sizeof(high)));
	m->nr_bytes = EMU_INSN_MAX;
	from->low = low;
	from->high = high;
	from->mode = m->e.mode;
	from->valid = emu_decode(&m->e.insn, m->bytes, EMU_INSN_MAX, &m->e.mode) == EMU_DECODED;
	return from->valid;
}

/* Whatever there is at RIP. As decode_at_rip(). */
static noinline int decode_slowly(struct keel_vcpu *vcpu, struct keel_emul *m)
{
	enum emu_decode_status status;

	m->nr_bytes = 0;
	m->decoded.valid = false;
	do {
		int next = fetch_page(vcpu, &m->e.mode, m);

		if (next != KEEL_SKIP)
			return next;
		status = emu_decode(&m->e.insn, m->bytes, m->nr_bytes, &m->e.mode);
	} while (status == EMU_DECODE_MORE);
	switch (status) {
	case EMU_DECODED:
		return KEEL_SKIP;
	case EMU_DECODE_GP:
		keel_exception_error(vcpu, EVENT_GP, 0);
		return KEEL_RESUME;
	default:
		keel_exception(vcpu, EVENT_UD);
		return KEEL_RESUME;
	}
}

/* Fills e.mode, e.insn and bytes[]: KEEL_SKIP. Else the guest has a fault, or runs again, or user space is told. */
static __always_inline int decode_at_rip(struct keel_vcpu *vcpu, struct keel_emul *m)
{
	u64 low, high;

	keel_emu_mode(vcpu, &m->e.mode);
	if (likely(fetch_quick(vcpu, &m->e.mode, &low, &high) && decode_quick(m, low, high)))
		return KEEL_SKIP;
	return decode_slowly(vcpu, m);
}

int keel_emul_decode(struct keel_vcpu *vcpu, struct emu_insn *insn)
{
	int next = decode_at_rip(vcpu, vcpu->arch.emul);

	*insn = vcpu->arch.emul->e.insn;
	return next;
}

/* --- effects --------------------------------------------------------------------------------------- */

static bool is_string(const struct emu_insn *insn)
{
	u8 op = insn->opcode;

	return insn->map == EMU_MAP_1 && ((op >= 0xa4 && op <= 0xaf && op != 0xa8 && op != 0xa9) ||
					  (op >= 0x6c && op <= 0x6f));
}

/* PUSH and POP of a memory operand touch two places. */
static bool is_stack_mem(const struct emu_insn *insn)
{
	return insn->map == EMU_MAP_1 &&
	       (insn->opcode == 0x8f || (insn->opcode == 0xff && (insn->modrm >> 3 & 7) == 6));
}

/* Find both pages of the access in flight. KEEL_SKIP: found. */
static int access_translate(struct keel_vcpu *vcpu, struct keel_emul *m, bool write)
{
	const struct emu_access *acc = &m->e.acc;
	u64 linear = gva_raw(acc->addr), last = linear + acc->size - 1;
	u32 access = write ? GWALK_WRITE : 0;
	int next;

	if (m->e.mode.cpu != EMU_CPU_LONG)
		last = (u32)last;
	if (acc->flags & EMU_ACC_SYSTEM)
		access |= GWALK_IMPLICIT;
	else if (m->e.mode.cpl == 3)
		access |= GWALK_USER;

	/*
	 * The CPU translated this very access before it exited: do not do it again. But another vCPU
	 * may have rewritten the instruction since: the right to read is no right to write.
	 */
	if (m->hint_valid && (!write || m->hint_write) && gpa_offset(m->hint) == gva_offset(acc->addr))
		m->gpa[0] = m->hint;
	else if ((next = keel_translate_or_fault(vcpu, linear, access, &m->gpa[0])) != KEEL_SKIP)
		return next;
	if ((last ^ linear) >> KEEL_PAGE_SHIFT) {
		next = keel_translate_or_fault(vcpu, last & ~(KEEL_PAGE_SIZE - 1), access, &m->gpa[1]);
		if (next != KEEL_SKIP)
			return next;
	}
	if (unlikely(vcpu->arch.debug_active))
		m->watch |= keel_debug_watch(vcpu, linear, acc->size, m->status != EMU_READ);
	m->translated = true;
	m->done = 0;
	return KEEL_SKIP;
}

/* Where byte `done` of the access lies, and how many bytes follow it in that page. */
static gpa_t access_gpa(const struct keel_emul *m, u32 *left)
{
	u32 first = KEEL_PAGE_SIZE - gpa_offset(m->gpa[0]), size = m->e.acc.size;

	if (m->done < first) {
		*left = min(size, first) - m->done;
		return gpa_add(m->gpa[0], m->done);
	}
	*left = size - m->done;
	return gpa_add(m->gpa[1], m->done - first);
}

static int access_user(struct keel_vcpu *vcpu, struct keel_emul *m, gpa_t gpa, u8 *data, u32 bytes, bool write)
{
	if (!write)
		trace_kvm_mmio(KEEL_TRACE_MMIO_UNSATISFIED, bytes, gpa_raw(gpa), NULL);
	m->piece = bytes;
	return keel_uexit_mmio(vcpu, gpa, write, data, bytes);
}

/* access_io() where somebody in the kernel listens. */
static noinline int access_heard(struct keel_vcpu *vcpu, struct keel_emul *m, gpa_t gpa, u8 *data, u32 bytes)
{
	u64 value = 0;

	memcpy(&value, data, bytes);
	if (keel_iobus_write(vcpu->vm, KEEL_BUS_MMIO, gpa_raw(gpa), bytes, value) ||
	    keel_coalesced_write(vcpu->vm, KEEL_BUS_MMIO, gpa_raw(gpa), bytes, value))
		return KEEL_SKIP;
	return access_user(vcpu, m, gpa, data, bytes, true);
}

/* A piece that has no memory behind it. KEEL_SKIP: somebody in the kernel took it. */
static int access_io(struct keel_vcpu *vcpu, struct keel_emul *m, gpa_t gpa, u8 *data, u32 bytes,
		     bool write)
{
	if (write)
		trace_kvm_mmio(KEEL_TRACE_MMIO_WRITE, bytes, gpa_raw(gpa), data);
	if (vcpu->arch.apic && (keel_apic_mmio(vcpu, gpa, write, data, bytes) ||
				keel_chips_mmio(vcpu, gpa, write, data, bytes))) {
		if (!write)
			trace_kvm_mmio(KEEL_TRACE_MMIO_READ, bytes, gpa_raw(gpa), data);
		return KEEL_SKIP;
	}
	if (write && keel_listened(vcpu->vm, KEEL_BUS_MMIO))
		return access_heard(vcpu, m, gpa, data, bytes);
	return access_user(vcpu, m, gpa, data, bytes, write);
}

static int access_move(struct keel_vcpu *vcpu, struct keel_emul *m, bool write)
{
	while (m->done < m->e.acc.size) {
		u8 *data = emu_data(&m->e) + m->done;
		enum keel_gpa_kind kind;
		u32 bytes;
		gpa_t gpa = access_gpa(m, &bytes), at = keel_vcpu_gpa(vcpu, gpa);
		int next = KEEL_SKIP;

		kind = keel_gpa_kind(vcpu->vm, at);
		if (kind == KEEL_GPA_NONE || (kind == KEEL_GPA_READONLY && write)) {
			bytes = min_t(u32, bytes, MMIO_PIECE);
			next = access_io(vcpu, m, gpa, data, bytes, write);
			if (next != KEEL_SKIP)
				return next;
		} else {
			int err = write ? keel_gpa_write(vcpu->vm, at, data, bytes) :
					  keel_gpa_read(vcpu->vm, at, data, bytes);

			/* The slot went away since it was looked at: look again. */
			if (err == -ENXIO)
				continue;
			if (err)
				return err;
		}
		m->done += bytes;
	}
	return KEEL_SKIP;
}

/* The store of a locked read-modify-write. Devices know no atomics: there it is a plain write. */
static int access_cmpxchg(struct keel_vcpu *vcpu, struct keel_emul *m)
{
	struct emu_access *acc = &m->e.acc;
	gpa_t at = keel_vcpu_gpa(vcpu, m->gpa[0]);
	u64 old = 0, new = 0;
	int ret;

	if (m->done || keel_gpa_kind(vcpu->vm, at) != KEEL_GPA_RAM)
		return access_move(vcpu, m, true);
	if (acc->size > sizeof(old) || gva_raw(acc->addr) & (acc->size - 1))
		return keel_uexit_emulation(vcpu, m->bytes, m->nr_bytes);
	memcpy(&old, acc->expected, acc->size);
	memcpy(&new, acc->bytes, acc->size);
	ret = keel_gpa_cmpxchg(vcpu->vm, at, &old, new, acc->size);
	if (ret == -ENXIO)
		return access_move(vcpu, m, true);
	if (ret < 0)
		return ret;
	acc->lost = ret == 1;
	return KEEL_SKIP;
}

static int effect_memory(struct keel_vcpu *vcpu, struct keel_emul *m)
{
	bool write = m->status != EMU_READ || m->e.acc.flags & EMU_ACC_WRITE_INTENT;
	int next = KEEL_SKIP;

	if (!m->translated)
		next = access_translate(vcpu, m, write);
	if (next == KEEL_SKIP && m->status != EMU_PROBE)
		next = m->status == EMU_CMPXCHG ? access_cmpxchg(vcpu, m) :
						  access_move(vcpu, m, m->status == EMU_WRITE);
	if (next == KEEL_SKIP)
		m->translated = false;
	return next;
}

/* String port I/O: OUTS may have listeners in the kernel, one element at a time. */
static int effect_port(struct keel_vcpu *vcpu, struct keel_emul *m)
{
	const struct emu_port *io = &m->e.io;
	bool in = m->status == EMU_IN;

	if (!in)
		trace_kvm_pio(true, io->port, io->size, io->count, emu_data(&m->e));
	if (!in && io->count == 1) {
		u64 value = 0;

		memcpy(&value, emu_data(&m->e), io->size);
		if (keel_iobus_write(vcpu->vm, KEEL_BUS_PIO, io->port, io->size, value) ||
		    keel_coalesced_write(vcpu->vm, KEEL_BUS_PIO, io->port, io->size, value))
			return KEEL_SKIP;
	}
	return keel_uexit_string_io(vcpu, in, io->port, io->size, io->count, emu_data(&m->e));
}

/* User space has served the piece. */
static void effect_served(struct keel_vcpu *vcpu, struct keel_emul *m)
{
	if (m->status == EMU_IN) {
		u32 bytes = m->e.io.size * m->e.io.count;

		if (emu_data(&m->e) != vcpu->pio_data)
			keel_uexit_take(vcpu, false, emu_data(&m->e), bytes);
		trace_kvm_pio(false, m->e.io.port, m->e.io.size, m->e.io.count, emu_data(&m->e));
		m->status = EMU_AGAIN;
	} else if (m->status == EMU_OUT) {
		m->status = EMU_AGAIN;
	} else {
		if (m->status == EMU_READ) {
			u8 *data = emu_data(&m->e) + m->done;
			u32 left;

			keel_uexit_take(vcpu, true, data, m->piece);
			trace_kvm_mmio(KEEL_TRACE_MMIO_READ, m->piece, gpa_raw(access_gpa(m, &left)), data);
		}
		m->done += m->piece;
	}
}

/* --- plain moves -------------------------------------------------------------------------------------- */

/*
 * One read or write of one page, the one that exited, by an instruction that does nothing else: it needs no
 * machine. The access the CPU translated, as access_translate() says; a write of what exited as a
 * read is left to the machine, and so is a read of a slot that only refused the write.
 */
static bool is_exited_move(struct keel_vcpu *vcpu, struct keel_emul *m, gpa_t gpa)
{
	const struct keel_regs *regs = &vcpu->arch.regs;
	bool write = vcpu->arch.exit.fault.access & KEEL_ACCESS_WRITE;

	return emu_move_plan(&m->e.insn, &m->e.mode, regs->gpr, regs->rip, &m->move) &&
	       m->move.write == write && gva_offset(m->move.addr) == gpa_offset(gpa) &&
	       gpa_offset(gpa) + m->move.size <= KEEL_PAGE_SIZE;
}

/* The access is done. */
static int move_finish(struct keel_vcpu *vcpu, struct keel_emul *m)
{
	if (!m->move.write)
		emu_move_take(&m->e.insn, &m->move, vcpu->arch.regs.gpr);
	keel_skip(vcpu, m->e.insn.len);
	return KEEL_RESUME;
}

static int move_start(struct keel_vcpu *vcpu, struct keel_emul *m, gpa_t gpa)
{
	int next = access_io(vcpu, m, gpa, (u8 *)&m->move.value, m->move.size, m->move.write);

	return next == KEEL_SKIP ? move_finish(vcpu, m) : next;
}

static int move_served(struct keel_vcpu *vcpu, struct keel_emul *m)
{
	if (!m->move.write) {
		m->move.value = keel_uexit_mmio_value(vcpu);
		trace_kvm_mmio(KEEL_TRACE_MMIO_READ, m->piece, gpa_raw(vcpu->arch.exit.fault.gpa), &m->move.value);
	}
	return move_finish(vcpu, m);
}

/* --- the loop --------------------------------------------------------------------------------------- */

static void emul_load_segments(struct keel_vcpu *vcpu, struct emu *e)
{
	const struct keel_regs *regs = &vcpu->arch.regs;
	unsigned int i;

	keel_regs_need(vcpu, KEEL_RG_SEG);
	for (i = 0; i < EMU_SEG_COUNT; i++) {
		const struct regs_segment *seg = &regs->seg[i];

		e->seg[i] = (struct emu_seg){
			.selector = seg->selector,
			.attr = regs_segment_pack(seg),
			.limit = seg->limit,
			.base = seg->base,
		};
	}
}

static void emul_load(struct keel_vcpu *vcpu, struct keel_emul *m)
{
	const struct keel_regs *regs = &vcpu->arch.regs;
	struct emu *e = &m->e;

	memcpy(e->regs, regs->gpr, sizeof(e->regs));
	e->rip = regs->rip;
	/* The debugger's TF is none of the instruction's, which may outlive this KVM_RUN. */
	e->rflags = regs->rflags & ~(vcpu->arch.debug.tf ? X86_RFLAGS_TF : 0);
	e->cr0 = regs->cr0;
	e->cr4 = regs->cr4;
	if (emu_needs_segments(&e->mode, &e->insn))
		emul_load_segments(vcpu, e);
	e->bulk = vcpu->pio_data;
	/* A trap comes after each element. */
	e->bulk_size = regs->rflags & X86_RFLAGS_TF ? 0 : KEEL_PAGE_SIZE;
	e->xmm_dirty = 0;
	if (emu_needs_xmm(&e->insn))
		keel_fpu_xmm_read(vcpu, e->xmm);
}

static void emul_commit(struct keel_vcpu *vcpu, struct keel_emul *m)
{
	struct keel_regs *regs = &vcpu->arch.regs;
	struct emu *e = &m->e;

	memcpy(regs->gpr, e->regs, sizeof(regs->gpr));
	regs->rip = e->rip;
	regs->rflags = e->rflags | (vcpu->arch.debug.tf ? X86_RFLAGS_TF : 0);
	keel_regs_dirty(vcpu, KEEL_RG_GPR);
	if (e->xmm_dirty) {
		keel_fpu_xmm_write(vcpu, e->xmm, e->xmm_dirty);
		e->xmm_dirty = 0;
	}
}

/* The instruction, or an iteration of it, is done: does a trap follow? */
static bool emul_trap(struct keel_vcpu *vcpu, struct keel_emul *m)
{
	bool step = m->e.rflags & X86_RFLAGS_TF || keel_debug_stepping(&vcpu->arch);
	u64 payload = m->watch | (step ? REGS_DR6_BS : 0);

	m->watch = 0;
	if (payload)
		keel_exception_payload(vcpu, EVENT_DB, false, 0, payload);
	return payload;
}

static int emul_finish(struct keel_vcpu *vcpu, struct keel_emul *m)
{
	const struct emu_fault *fault = &m->e.fault;

	switch (m->status) {
	case EMU_DONE:
		emul_commit(vcpu, m);
		vcpu->arch.events.shadow = 0;
		emul_trap(vcpu, m);
		return KEEL_RESUME;
	case EMU_FAULT:
		keel_exception_payload(vcpu, fault->vector, fault->has_error, fault->error, 0);
		return KEEL_RESUME;
	default:
		return keel_uexit_emulation(vcpu, m->bytes, m->nr_bytes);
	}
}

static int emul_loop(struct keel_vcpu *vcpu, struct keel_emul *m)
{
	unsigned int left = REP_BATCH;
	int next;

	for (;;) {
		m->status = emu_step(&m->e);
		switch (m->status) {
		case EMU_READ:
		case EMU_WRITE:
		case EMU_CMPXCHG:
		case EMU_PROBE:
			next = effect_memory(vcpu, m);
			break;
		case EMU_IN:
		case EMU_OUT:
			next = effect_port(vcpu, m);
			break;
		case EMU_AGAIN:
			emul_commit(vcpu, m);
			m->hint_valid = false;
			if (emul_trap(vcpu, m) || !--left || READ_ONCE(vcpu->requests) || signal_pending(current))
				return KEEL_RESUME;
			next = KEEL_SKIP;
			break;
		default:
			return emul_finish(vcpu, m);
		}
		if (next != KEEL_SKIP)
			return next;
	}
}

void keel_emul_regs_set(struct keel_vcpu *vcpu)
{
	struct emu *e = &vcpu->arch.emul->e;

	memcpy(e->regs, vcpu->arch.regs.gpr, sizeof(e->regs));
}

int keel_emul_continue(struct keel_vcpu *vcpu)
{
	struct keel_emul *m = vcpu->arch.emul;

	if (m->moving)
		return move_served(vcpu, m);
	effect_served(vcpu, m);
	if (m->status != EMU_AGAIN) {
		int next = effect_memory(vcpu, m);

		if (next != KEEL_SKIP)
			return next;
	}
	return emul_loop(vcpu, m);
}

/* Is it still the INS or OUTS that exited? */
static bool is_exited_io(const struct keel_exit *exit, const struct emu_insn *insn)
{
	unsigned int size = insn->op_size > 4 ? 4 : insn->op_size;

	return insn->map == EMU_MAP_1 && (insn->opcode & 0xfc) == 0x6c &&
	       !(insn->opcode & 2) == exit->io.in && size == exit->io.size;
}

int keel_emul_start(struct keel_vcpu *vcpu, const gpa_t *gpa, bool string_io)
{
	struct keel_emul *m = vcpu->arch.emul;
	int next;

	keel_stat(vcpu, KEEL_STAT_EMULATION);
	next = decode_at_rip(vcpu, m);
	if (next != KEEL_SKIP)
		return next;
	/* A debugger's traps are the machine's. */
	m->moving = gpa && !vcpu->arch.debug_active && is_exited_move(vcpu, m, *gpa);
	if (likely(m->moving))
		return move_start(vcpu, m, *gpa);
	/* The CPU has checked the ports of the instruction that exited, of no other. */
	if (string_io && !is_exited_io(&vcpu->arch.exit, &m->e.insn))
		return KEEL_RESUME;
	emul_load(vcpu, m);
	m->e.string_io = string_io;
	m->translated = false;
	m->watch = 0;
	m->hint_valid = gpa && !is_string(&m->e.insn) && !is_stack_mem(&m->e.insn);
	if (m->hint_valid) {
		m->hint = *gpa;
		m->hint_write = vcpu->arch.exit.fault.access & KEEL_ACCESS_WRITE;
	}
	emu_start(&m->e);
	return emul_loop(vcpu, m);
}
