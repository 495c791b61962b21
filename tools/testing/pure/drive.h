/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A caller for the emulator in tests: performs its effects on a copy of the native buffer and on a
 * port that answers a fixed series. Included by one .c of a program.
 */
#ifndef KEEL_PURE_DRIVE_H
#define KEEL_PURE_DRIVE_H

#include "emu.h"
#include "native.h"

enum drive_end {
	DRIVE_DONE,
	DRIVE_FAULT,
	DRIVE_UNHANDLED,
	DRIVE_PAGE_FAULT,	/* in the guard; pf_addr is the first byte that is not there */
	DRIVE_WILD,		/* outside the guard: must not be tried natively */
	DRIVE_STUCK,		/* more steps than any instruction takes */
};

struct drive {
	uint8_t mem[NATIVE_BUF_SIZE];
	uint64_t pf_addr;
	unsigned int again;	/* EMU_AGAIN answers */
	unsigned int lose;	/* compare-exchanges to lose before one succeeds */
	uint8_t port_next;	/* next byte a port gives */
	uint8_t port_out[8192];
	unsigned int port_out_len, port_calls;
};

#define DRIVE_MAX_STEPS 200000

static enum drive_end drive_access(struct emu *e, struct drive *d, enum emu_status what)
{
	uint64_t first = gva_raw(e->acc.addr), last = first + e->acc.size - 1;
	uint8_t *mem;

	if (first < NATIVE_BUF - NATIVE_GUARD || last < first ||
	    last >= NATIVE_BUF + NATIVE_BUF_SIZE + NATIVE_GUARD)
		return DRIVE_WILD;
	if (first < NATIVE_BUF || last >= NATIVE_BUF + NATIVE_BUF_SIZE) {
		d->pf_addr = first;
		if (first >= NATIVE_BUF && first < NATIVE_BUF + NATIVE_BUF_SIZE)
			d->pf_addr = NATIVE_BUF + NATIVE_BUF_SIZE;
		return DRIVE_PAGE_FAULT;
	}
	mem = d->mem + (first - NATIVE_BUF);
	switch (what) {
	case EMU_READ:
		memcpy(emu_data(e), mem, e->acc.size);
		break;
	case EMU_CMPXCHG:
		if (d->lose) {
			d->lose--;
			e->acc.lost = true;
			break;
		}
		if (memcmp(mem, e->acc.expected, e->acc.size))
			return DRIVE_STUCK;
		memcpy(mem, emu_data(e), e->acc.size);
		break;
	case EMU_WRITE:
		memcpy(mem, emu_data(e), e->acc.size);
		break;
	default:
		break;
	}
	return DRIVE_DONE;
}

static void drive_port(struct emu *e, struct drive *d, enum emu_status what)
{
	uint32_t len = e->io.size * e->io.count, i;
	uint8_t *data = emu_data(e);

	d->port_calls++;
	for (i = 0; i < len; i++) {
		if (what == EMU_IN)
			data[i] = d->port_next++;
		else if (d->port_out_len < sizeof(d->port_out))
			d->port_out[d->port_out_len++] = data[i];
	}
}

/* Executes e->insn to its end, or to its first page fault. */
static enum drive_end drive_run(struct emu *e, struct drive *d)
{
	enum emu_status status;
	enum drive_end end;
	unsigned int steps;

	emu_start(e);
	for (steps = 0; steps < DRIVE_MAX_STEPS; steps++) {
		status = emu_step(e);
		switch (status) {
		case EMU_DONE:
			return DRIVE_DONE;
		case EMU_FAULT:
			return DRIVE_FAULT;
		case EMU_UNHANDLED:
			return DRIVE_UNHANDLED;
		case EMU_AGAIN:
			d->again++;
			break;
		case EMU_IN:
		case EMU_OUT:
			drive_port(e, d, status);
			break;
		default:
			end = drive_access(e, d, status);
			if (end != DRIVE_DONE)
				return end;
		}
	}
	return DRIVE_STUCK;
}

#endif /* KEEL_PURE_DRIVE_H */
