// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest states that no CPU should be given, one field at a time and at random, in every mode. Each is
 * refused with EINVAL and changes nothing, or KVM_RUN fails the entry and changes nothing, reports an
 * error or a shutdown, or runs; afterwards a good state runs on the same vCPU. Never a hang, a warning
 * or another result. All of memory is HLT, so what runs soon ends. The distribution's module does not
 * pass: with it a failed entry changes the state.
 *
 *   entry_checks [seed [random states]]
 *
 * SDM volume 3 "Checks on the Guest State Area"; APM volume 2 "Canonicalization and Consistency Checks".
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "kselftest.h"
#include "vm.h"

#define GOOD VM_CODE
#define LOW_CODE 0xa000	/* HLT as all else, for 16-bit modes */
#define TABLES_END 0xa000
#define MAX_RUNS 4

GUEST(good, 64, "mov $0x600d, %eax\n hlt");

enum outcome { REFUSED, FAILED_ENTRY, REPORTED, SHUT_DOWN, RAN, INTERRUPTED, OUTCOMES };

static const char *const outcome_names[OUTCOMES] = {
	"refused", "failed entries", "errors reported", "shutdowns", "runs", "interrupted",
};

static unsigned int counts[OUTCOMES], wrong;
static bool amd;
static const char *what;		/* the state under test, for reports */
static char what_buf[160];

static uint64_t seed, rnd_state;

static uint64_t rnd(void)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return rnd_state;
}

static void on_alarm(int sig)
{
}

static void wrong_result(struct vcpu *v, const char *fmt, long value)
{
	if (wrong++ > 20)
		return;
	printf("# %s: ", what);
	printf(fmt, value);
	printf("\n");
	vcpu_dump(v);
}

/* --- modes --- */

struct state {
	struct kvm_sregs sregs;
	struct kvm_regs regs;
};

#define PAE_PDPT 0x9c00

/* The interrupt table is empty, so that a fault is the end. */
static void mode_real(struct vcpu *v)
{
	struct kvm_sregs s;

	vcpu_real(v, LOW_CODE);
	vcpu_sregs(v, &s);
	s.idt.limit = 0;
	if (vcpu_set_sregs(v, &s))
		die("real mode is refused");
}

static void mode_prot(struct vcpu *v)
{
	vcpu_prot(v, VM_CODE + 0x1000);
}

static void mode_long(struct vcpu *v)
{
	vcpu_long(v, VM_CODE + 0x1000);
}

static void mode_pae(struct vcpu *v)
{
	uint64_t *pdpt = (uint64_t *)(v->vm->ram + PAE_PDPT);
	struct kvm_sregs s;
	int i;

	for (i = 0; i < 4; i++)
		pdpt[i] = (VM_PML4 + 0x2000 + i * 0x1000) | 1;
	vcpu_prot(v, VM_CODE + 0x1000);
	vcpu_sregs(v, &s);
	s.cr3 = PAE_PDPT;
	s.cr4 |= 0x20;
	s.cr0 |= 0x80010000;
	if (vcpu_set_sregs(v, &s))
		die("PAE paging is refused");
}

static void mode_user(struct vcpu *v)
{
	struct kvm_sregs s;

	vcpu_long(v, VM_CODE + 0x1000);
	vcpu_sregs(v, &s);
	s.cs.selector = SEL_USER_CODE64;
	s.ss.selector = SEL_USER_DATA;
	s.cs.dpl = s.ss.dpl = 3;
	if (vcpu_set_sregs(v, &s))
		die("ring 3 is refused");
}

static void mode_v8086(struct vcpu *v)
{
	struct kvm_segment *segs[6], seg = { .limit = 0xffff, .type = 3, .present = 1, .s = 1, .dpl = 3 };
	struct kvm_sregs s;
	struct kvm_regs r;
	int i;

	vcpu_prot(v, LOW_CODE);
	vcpu_sregs(v, &s);
	segs[0] = &s.cs, segs[1] = &s.ss, segs[2] = &s.ds, segs[3] = &s.es, segs[4] = &s.fs, segs[5] = &s.gs;
	for (i = 0; i < 6; i++)
		*segs[i] = seg;
	vcpu_regs(v, &r);
	r.rflags |= 1 << 17;
	vcpu_set_regs(v, &r);
	if (vcpu_set_sregs(v, &s))
		die("virtual-8086 mode is refused");
}

static const struct mode {
	const char *name;
	void (*enter)(struct vcpu *v);
} modes[] = {
	{ "real mode", mode_real }, { "protected mode", mode_prot }, { "PAE paging", mode_pae },
	{ "long mode", mode_long }, { "ring 3", mode_user }, { "virtual-8086 mode", mode_v8086 },
};

static struct state mode_state[ARRAY_SIZE(modes)], good_state;
static uint8_t tables[TABLES_END];

static void state_take(struct vcpu *v, struct state *s)
{
	vcpu_sregs(v, &s->sregs);
	vcpu_regs(v, &s->regs);
}

static void clear_events(struct vcpu *v)
{
	struct kvm_vcpu_events ev = { .flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW };

	if (xioctlp(v->fd, KVM_SET_VCPU_EVENTS, &ev))
		die("KVM_SET_VCPU_EVENTS of nothing is refused");
}

static struct vcpu *machine(void)
{
	struct vcpu *v = vm_simple();
	size_t i;

	memset(v->vm->ram, 0xf4, v->vm->ram_size);
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		modes[i].enter(v);
		state_take(v, &mode_state[i]);
	}
	/* Writes all tables, and leaves them to the other modes. */
	vcpu_long(v, GOOD);
	state_take(v, &good_state);
	memcpy(tables, v->vm->ram, sizeof(tables));
	return v;
}

/* --- one state --- */

/* Whatever happened, @v must be able to do this. */
static void must_still_work(struct vcpu *v)
{
	struct kvm_regs r;
	int rc;

	/* A guest may have pushed something there. */
	memcpy(v->vm->ram, tables, sizeof(tables));
	vm_load_guest(v->vm, GOOD, good);
	clear_events(v);
	v->run->cr8 = 0;
	rc = vcpu_set_sregs(v, &good_state.sregs);
	if (rc) {
		wrong_result(v, "a good state is refused afterwards: %ld", rc);
		return;
	}
	vcpu_set_regs(v, &good_state.regs);
	do
		rc = vcpu_run(v);
	while (rc == -EINTR);
	vcpu_regs(v, &r);
	if (rc || v->run->exit_reason != KVM_EXIT_HLT || r.rax != 0x600d)
		wrong_result(v, "a good state does not run afterwards: %ld", rc);
}

static bool same_state(const struct state *a, const struct state *b)
{
	return !memcmp(&a->sregs, &b->sregs, sizeof(a->sregs)) && !memcmp(&a->regs, &b->regs, sizeof(a->regs));
}

/* Run what has been set, and judge. @may_fail: the CPU may refuse the entry. */
static void run_state(struct vcpu *v, bool may_fail)
{
	enum outcome got = RAN;
	struct state before, after;
	int i, rc;

	state_take(v, &before);
	for (i = 0; i < MAX_RUNS && got == RAN; i++) {
		rc = vcpu_run(v);
		if (rc == -EINTR) {
			/* It faults for ever, and may have written anywhere. */
			got = INTERRUPTED;
			memset(v->vm->ram, 0xf4, v->vm->ram_size);
			break;
		}
		if (rc) {
			wrong_result(v, "KVM_RUN gives %ld", rc);
			break;
		}
		switch (v->run->exit_reason) {
		case KVM_EXIT_FAIL_ENTRY:
			got = FAILED_ENTRY;
			if (!may_fail)
				wrong_result(v, "the entry fails, for reason %#lx",
					     v->run->fail_entry.hardware_entry_failure_reason);
			state_take(v, &after);
			/* QEMU's AMD-V puts part of its own RIP there, and RF, when it refuses an event. */
			if (amd) {
				after.regs.rip = before.regs.rip;
				after.regs.rflags = before.regs.rflags;
			}
			if (!i && !same_state(&before, &after))
				wrong_result(v, "a failed entry has changed the state%.0ld", 0);
			break;
		case KVM_EXIT_INTERNAL_ERROR:
			got = REPORTED;
			break;
		case KVM_EXIT_SHUTDOWN:
			got = SHUT_DOWN;
			break;
		case KVM_EXIT_HLT:
			i = MAX_RUNS;
			break;
		case KVM_EXIT_MMIO:
		case KVM_EXIT_IO:
		case KVM_EXIT_SET_TPR:
		case KVM_EXIT_IRQ_WINDOW_OPEN:
			break;
		default:
			wrong_result(v, "KVM_RUN exits with %ld", v->run->exit_reason);
		}
	}
	counts[got]++;
	must_still_work(v);
}

/*
 * What QEMU 7.2's emulation of AMD-V does not survive: an interrupt to an inner ring where TR is not one
 * that LTR could have loaded; an exit from a guest with EFER.LME and without CR0.PG and CR4.PAE, after
 * which the host has no paging.
 */
static void bearable(struct kvm_sregs *s)
{
	s->tr.present = 1;
	s->tr.type = 9;
	s->tr.s = 0;
	if (s->efer & 1 << 8 && !(s->cr0 >> 31 & 1))
		s->cr4 |= 1 << 5;
}

static void try_state(struct vcpu *v, const struct state *s)
{
	struct kvm_sregs sregs = s->sregs;
	struct state before, after;
	int rc;

	if (amd)
		bearable(&sregs);
	vcpu_set_regs(v, &s->regs);
	state_take(v, &before);
	rc = vcpu_set_sregs(v, &sregs);
	if (rc) {
		if (rc != -EINVAL)
			wrong_result(v, "KVM_SET_SREGS gives %ld", rc);
		state_take(v, &after);
		if (!same_state(&before, &after))
			wrong_result(v, "refused, and has changed the state%.0ld", 0);
		counts[REFUSED]++;
		must_still_work(v);
		return;
	}
	run_state(v, true);
}

/* --- the fields, and values to put there --- */

static const uint64_t bases[] = { 0, 0xb234, 1ull << 32, 1ull << 47, 0xffff800000000000, 1ull << 52, ~0ull };
static const uint64_t limits[] = { 0, 0x67, 0xffff, 0x10000, 0xfffff, 0x12345678, 0xffffffff };
static const uint64_t selectors[] = { 0, 3, 4, 0x10, 0x33, 0xfffb };
static const uint64_t bits[] = { 0, 1, 2, 3, 0xff };
static const uint64_t types[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0xff };
static const uint64_t vectors[] = { 1, 1ull << 31, 1ull << 63 };

/* No values: each bit is flipped, and the values of bases are tried. */
#define FIELD(member, values) { #member, offsetof(struct state, member), \
	sizeof(((struct state *)0)->member), values, ARRAY_SIZE(values) }
#define FLIPPED(member) { #member, offsetof(struct state, member), sizeof(((struct state *)0)->member), NULL, 0 }
#define SEGMENT(seg) \
	FIELD(sregs.seg.base, bases), FIELD(sregs.seg.limit, limits), FIELD(sregs.seg.selector, selectors), \
	FIELD(sregs.seg.type, types), FIELD(sregs.seg.present, bits), FIELD(sregs.seg.dpl, bits), \
	FIELD(sregs.seg.db, bits), FIELD(sregs.seg.s, bits), FIELD(sregs.seg.l, bits), \
	FIELD(sregs.seg.g, bits), FIELD(sregs.seg.avl, bits), FIELD(sregs.seg.unusable, bits)

static const struct field {
	const char *name;
	size_t at, size;
	const uint64_t *values;
	size_t nr;
} fields[] = {
	SEGMENT(cs), SEGMENT(ss), SEGMENT(ds), SEGMENT(es), SEGMENT(fs), SEGMENT(gs), SEGMENT(tr), SEGMENT(ldt),
	FIELD(sregs.gdt.base, bases), FIELD(sregs.gdt.limit, limits),
	FIELD(sregs.idt.base, bases), FIELD(sregs.idt.limit, limits),
	FLIPPED(sregs.cr0), FIELD(sregs.cr2, bases), FLIPPED(sregs.cr3), FLIPPED(sregs.cr4),
	FLIPPED(sregs.cr8), FLIPPED(sregs.efer), FLIPPED(sregs.apic_base),
	FIELD(sregs.interrupt_bitmap[0], vectors), FIELD(sregs.interrupt_bitmap[3], vectors),
	FIELD(regs.rip, bases), FIELD(regs.rsp, bases), FLIPPED(regs.rflags),
};

static size_t field_values(const struct field *f)
{
	return f->values ? f->nr : f->size * 8 + ARRAY_SIZE(bases);
}

static void field_set(struct state *s, const struct field *f, size_t nr)
{
	uint64_t value = 0;
	uint8_t *p = (uint8_t *)s + f->at;

	memcpy(&value, p, f->size);
	if (f->values)
		value = f->values[nr];
	else if (nr < f->size * 8)
		value ^= 1ull << nr;
	else
		value = bases[nr - f->size * 8];
	memcpy(p, &value, f->size);
}

static void each_field(struct vcpu *v, size_t mode)
{
	size_t i, k;

	for (i = 0; i < ARRAY_SIZE(fields); i++)
		for (k = 0; k < field_values(&fields[i]); k++) {
			struct state s = mode_state[mode];

			field_set(&s, &fields[i], k);
			snprintf(what_buf, sizeof(what_buf), "%s, %s value %zu", modes[mode].name, fields[i].name, k);
			try_state(v, &s);
		}
}

static void random_state(struct vcpu *v, unsigned int round)
{
	struct state s = mode_state[rnd() % ARRAY_SIZE(modes)];
	uint8_t *p = (uint8_t *)&s;
	int i;

	for (i = rnd() % 6; i >= 0; i--) {
		const struct field *f = &fields[rnd() % ARRAY_SIZE(fields)];

		if (rnd() & 7) {
			field_set(&s, f, rnd() % field_values(f));
		} else {
			/* Any bits at all. */
			size_t at = rnd() % sizeof(s);

			p[at] ^= 1u << (rnd() & 7);
		}
	}
	snprintf(what_buf, sizeof(what_buf), "seed %#lx, random state %u", (unsigned long)seed, round);
	try_state(v, &s);
}

/* --- what else an entry takes in --- */

static void each_event(struct vcpu *v, size_t mode)
{
	struct kvm_vcpu_events ev;
	unsigned int i, k;
	int rc;

	for (i = 0; i < 0x400; i++) {
		memset(&ev, 0, sizeof(ev));
		if (i < 0x100) {
			/* Exceptions: all numbers, with and without an error code. */
			ev.exception.injected = 1;
			ev.exception.nr = i & 0x7f;
			ev.exception.has_error_code = i >> 7 & 1;
			ev.exception.error_code = i & 1 ? 0xffffffff : 0;
		} else if (i < 0x200) {
			ev.interrupt.injected = 1;
			ev.interrupt.nr = i;
			ev.interrupt.soft = i & 1;
			ev.interrupt.shadow = i >> 1 & 7;
		} else {
			uint8_t *p = (uint8_t *)&ev;

			for (k = rnd() % 8; k; k--)
				p[rnd() % sizeof(ev)] = rnd() & 1 ? rnd() & 3 : rnd();
		}
		snprintf(what_buf, sizeof(what_buf), "seed %#lx, %s, event %#x", (unsigned long)seed,
			 modes[mode].name, i);
		vcpu_set_regs(v, &mode_state[mode].regs);
		if (vcpu_set_sregs(v, &mode_state[mode].sregs))
			die("%s is refused", modes[mode].name);
		rc = xioctlp(v->fd, KVM_SET_VCPU_EVENTS, &ev);
		if (rc) {
			if (rc != -EINVAL)
				wrong_result(v, "KVM_SET_VCPU_EVENTS gives %ld", rc);
			counts[REFUSED]++;
			continue;
		}
		run_state(v, true);
	}
}

/* No value that an MSR takes may make an entry fail. */
static void each_msr(struct vcpu *v)
{
	struct kvm_msr_list *list = calloc(1, sizeof(*list) + 512 * sizeof(uint32_t));
	static const uint64_t values[] = {
		0, 1, 0x7f, 0x0606060606060606, 0x0404040404040404, 0xff, 1ull << 31, 1ull << 32, 1ull << 47,
		0xffff800000000000, 1ull << 63, ~0ull,
	};
	uint64_t old;
	size_t i, k;
	int rc;

	list->nmsrs = 512;
	if (xioctlp(v->vm->sys, KVM_GET_MSR_INDEX_LIST, list))
		die("KVM_GET_MSR_INDEX_LIST");
	for (i = 0; i < list->nmsrs; i++) {
		uint32_t msr = list->indices[i];

		for (k = 0; k < ARRAY_SIZE(values); k++) {
			snprintf(what_buf, sizeof(what_buf), "MSR %#x = %#lx", msr, (unsigned long)values[k]);
			vcpu_set_regs(v, &mode_state[3].regs);
			if (vcpu_set_sregs(v, &mode_state[3].sregs) || vcpu_get_msr(v, msr, &old) != 1)
				die("MSR %#x cannot be read", msr);
			rc = vcpu_set_msr(v, msr, values[k]);
			if (rc == 0)
				counts[REFUSED]++;
			else if (rc == 1)
				run_state(v, false);
			else
				wrong_result(v, "KVM_SET_MSRS gives %ld", rc);
			vcpu_set_msr(v, msr, old);
		}
	}
	free(list);
}

static void each_pdpte(struct vcpu *v)
{
	const struct state *pae = &mode_state[2];
	struct kvm_sregs2 s;
	struct state before, after;
	unsigned int i;
	int rc;

	for (i = 0; i < 4 * 64; i++) {
		snprintf(what_buf, sizeof(what_buf), "PDPTE %u, bit %u", i / 64, i % 64);
		vcpu_set_regs(v, &pae->regs);
		if (vcpu_set_sregs(v, &pae->sregs) || xioctlp(v->fd, KVM_GET_SREGS2, &s))
			die("PAE paging is refused");
		s.flags |= KVM_SREGS2_FLAGS_PDPTRS_VALID;
		s.pdptrs[i / 64] ^= 1ull << (i % 64);
		state_take(v, &before);
		rc = xioctlp(v->fd, KVM_SET_SREGS2, &s);
		state_take(v, &after);
		if (!rc) {
			run_state(v, true);
			continue;
		}
		if (rc != -EINVAL)
			wrong_result(v, "KVM_SET_SREGS2 gives %ld", rc);
		if (!same_state(&before, &after))
			wrong_result(v, "refused, and has changed the state%.0ld", 0);
		counts[REFUSED]++;
	}
}

/* kvm_run.cr8 is one more register that user space sets. */
static void each_cr8(struct vcpu *v)
{
	unsigned int i;

	for (i = 0; i < 64; i++) {
		int rc;

		snprintf(what_buf, sizeof(what_buf), "kvm_run.cr8 bit %u", i);
		vcpu_set_regs(v, &mode_state[3].regs);
		if (vcpu_set_sregs(v, &mode_state[3].sregs))
			die("long mode is refused");
		v->run->cr8 = 1ull << i;
		rc = vcpu_run(v);
		if (i < 4 ? rc || v->run->exit_reason != KVM_EXIT_HLT : rc != -EINVAL)
			wrong_result(v, "KVM_RUN gives %ld", rc);
		counts[rc ? REFUSED : RAN]++;
		must_still_work(v);
	}
}

/* --- all of it --- */

static void report(const char *name)
{
	unsigned int total = 0;
	char line[200];
	int i, at = 0;

	for (i = 0; i < OUTCOMES; i++) {
		total += counts[i];
		if (counts[i])
			at += snprintf(line + at, sizeof(line) - at, ", %u %s", counts[i], outcome_names[i]);
	}
	ksft_test_result(!wrong, "%s: %u states%s\n", name, total, at ? line : "");
	memset(counts, 0, sizeof(counts));
	wrong = 0;
}

int main(int argc, char **argv)
{
	struct itimerval tick = { { 0, 200000 }, { 0, 200000 } };
	struct sigaction sa = { .sa_handler = on_alarm };
	unsigned int a, b, c, d, i, rounds;
	struct vcpu *v = machine();

	seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	rounds = argc > 2 ? strtoul(argv[2], NULL, 0) : 3000;
	rnd_state = seed * 2 + 1;
	what = what_buf;
	__cpuid(0, a, b, c, d);
	amd = c == signature_AMD_ecx;
	ksft_print_header();
	ksft_set_plan(2 * ARRAY_SIZE(modes) + 4);
	printf("# seed %#lx, %u random states\n", (unsigned long)seed, rounds);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &tick, NULL);

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		each_field(v, i);
		report(modes[i].name);
		each_event(v, i);
		report("events");
	}
	each_msr(v);
	report("MSRs");
	if (has_cap(v->vm->sys, KVM_CAP_SREGS2))
		each_pdpte(v);
	report("PDPTEs");
	each_cr8(v);
	report("kvm_run.cr8");
	for (i = 0; i < rounds; i++)
		random_state(v, i);
	report("random states");
	vm_free(v->vm);
	ksft_finished();
}
