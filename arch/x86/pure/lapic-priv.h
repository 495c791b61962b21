/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between the files of the local APIC: access to registers by offset, and what the register file
 * (lapic.c), the timer (lapic-timer.c) and the CPU's page (lapic-page.c) ask of each other.
 */
#ifndef KEEL_PURE_LAPIC_PRIV_H
#define KEEL_PURE_LAPIC_PRIV_H

#include "lapic.h"

#define REG(l, offset) ((l)->reg[(offset) >> 4])

/* After registers have been replaced: the tops, PPR and sw_enabled follow. */
void lapic_derive(struct lapic *l);

/* The version register, which is not kept in reg[]. */
u32 lapic_version(const struct lapic *l);

/* Writes to timer registers; values have only valid bits. */
void lapic_timer_set_lvt(struct lapic *l, u32 value, u64 now_ns);
void lapic_timer_set_initial(struct lapic *l, u32 value, u64 now_ns);
void lapic_timer_set_divide(struct lapic *l, u32 value, u64 now_ns);

/* The current-count register. */
u32 lapic_timer_count(const struct lapic *l, u64 now_ns);

/* Nothing is to come; registers stay. */
void lapic_timer_stop(struct lapic *l);

/* The initial count of a one-shot timer that has run down, else 0. */
u32 lapic_timer_spent(const struct lapic *l);

/*
 * After an import: the count goes on from @current, or starts over when that is 0 or too high. @spent is what
 * lapic_timer_spent() said before: the same timer run down is what is put back, and stays so.
 */
void lapic_timer_restore(struct lapic *l, u32 current, u32 spent, u64 now_ns);

#endif /* KEEL_PURE_LAPIC_PRIV_H */
