/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The 8254 programmable interval timer as wired in a PC: channel 0 drives IRQ 0, channel 1 nothing,
 * channel 2 the speaker, gated by port 0x61.
 *
 * Times are nanoseconds of one clock that never goes back (CLOCK_MONOTONIC, so that user space can
 * interpret count_load_time). The caller serializes all calls on one timer. Any value of any time
 * or imported field is safe.
 */
#ifndef KEEL_PURE_PIT_H
#define KEEL_PURE_PIT_H

#include "types.h"

#define PIT_HZ 1193182u
#define PIT_CHANNELS 3u
#define PIT_PORT 0x40u			/* .. 0x43 */
#define PIT_PORT_SPEAKER 0x61u
#define PIT_NO_TICK (~0ULL)
#define PIT_MODE_NONE 0xffu		/* no control word was written yet */

#define PIT_HPET_LEGACY 1u		/* KVM_PIT_FLAGS_*: the HPET drives IRQ 0 */
#define PIT_SPEAKER_DATA_ON 2u

struct pit_channel {
	u32 count;			/* clocks of a full count, 1..0x10000 */
	u16 latched_count;
	u8 count_latched;		/* 0 no, 1 low byte, 2 high byte, 3 both are to be read */
	u8 status_latched;		/* 0 or 1 */
	u8 status;			/* the latched status byte */
	u8 read_state;			/* 1 low byte, 2 high byte, 3 low then high, 4 high comes next */
	u8 write_state;			/* the same */
	u8 write_latch;			/* low byte that was written, in state 4 */
	u8 rw_mode;			/* 1 low byte, 2 high byte, 3 low then high */
	u8 mode;			/* as written, 0..7, or PIT_MODE_NONE */
	bool bcd;
	bool gate;			/* always set for channels 0 and 1 */
	bool null_count;		/* nothing to count: no count written, or no trigger (1, 5) */
	s64 load_time;			/* when the count was loaded */
	u64 held;			/* clocks counted when the gate fell, in modes that it stops */
};

struct pit {
	struct pit_channel channel[PIT_CHANNELS];
	u32 flags;			/* PIT_HPET_LEGACY, PIT_SPEAKER_DATA_ON */
	u32 min_clocks;			/* least number of clocks between two ticks */
	u64 seen;			/* ticks of channel 0 since the load that pit_expire() reported */
	u32 pending;			/* ticks owed: neither raised nor dropped */
	bool irq_ack;			/* the tick raised last was acknowledged */
	bool reinject;
};

/*
 * Power-on state: no channel programmed, gates 0 and 1 high, gate 2 low, reinjection on. Periods
 * shorter than @min_period_ns are lengthened to whole multiples of themselves: the guest then sees
 * some of its edges only.
 */
void pit_init(struct pit *pit, u64 min_period_ns);

/* What a write asks of the caller. */
struct pit_effect {
	bool rearm;			/* channel 0's ticks changed: ask pit_next_tick() again */
};

/* OUT of one byte to @port 0x40..0x43 at @now; other ports: no effect. */
void pit_port_write(struct pit *pit, u16 port, u8 value, u64 now, struct pit_effect *effect);

/* IN of one byte from @port 0x40..0x43 at @now. The control port and others read 0xff. */
u8 pit_port_read(struct pit *pit, u16 port, u64 now);

/* Port 0x61: gate 2 (bit 0), speaker data (bit 1); other bits of @value are ignored. */
void pit_speaker_write(struct pit *pit, u8 value, u64 now);

/* Port 0x61: those two, the refresh toggle (bit 4, from @now), OUT2 (bit 5); other bits are 0. */
u8 pit_speaker_read(const struct pit *pit, u64 now);

/* Level of OUT of @channel (0..2) at @now. */
bool pit_out(const struct pit *pit, unsigned int channel, u64 now);

/*
 * When to call pit_expire() next: the time of the first rising edge of OUT0 after @now, or that of
 * a one-shot's edge that was not reported yet (it may be past); PIT_NO_TICK when there is none, in
 * modes 1 and 5, and with PIT_HPET_LEGACY. Computed from the load time: no drift.
 */
u64 pit_next_tick(const struct pit *pit, u64 now);

/*
 * Rising edges of OUT0 up to and including @now that were not reported before; they count as
 * reported then. Hand the number to pit_tick(). Only edges of a count that expired: OUT that goes
 * high because of a control word is none.
 */
u64 pit_expire(struct pit *pit, u64 now);

/*
 * @n ticks are due. True: raise IRQ 0 now (a pulse). With reinjection a tick waits until the one
 * before was acknowledged; without, ticks that come together or too early are merged.
 */
bool pit_tick(struct pit *pit, u64 n);

/* The guest acknowledged IRQ 0 (end of interrupt). True: raise it again now for a tick owed. */
bool pit_acked(struct pit *pit);

/* The raised IRQ 0 was ignored by every chip (masked): it and ticks owed are lost, nobody waits. */
void pit_refused(struct pit *pit);

/* KVM_REINJECT_CONTROL. Forgets ticks owed. */
void pit_set_reinject(struct pit *pit, bool on);

/* Forgets ticks owed, and waits for no acknowledgement; programming channel 0 does so too. */
void pit_forget_ticks(struct pit *pit);

/* The layouts are those of struct kvm_pit_channel_state and kvm_pit_state2. */
struct pit_user_channel {
	u32 count;
	u16 latched_count;
	u8 count_latched, status_latched, status;
	u8 read_state, write_state, write_latch;
	u8 rw_mode, mode, bcd, gate;
	s64 count_load_time;
};

struct pit_user {
	struct pit_user_channel channel[PIT_CHANNELS];
	u32 flags;
	u32 reserved[9];
};

static_assert(sizeof(struct pit_user_channel) == 24, "layout of kvm_pit_channel_state");
static_assert(sizeof(struct pit_user) == 112, "layout of kvm_pit_state2");

/*
 * State at @now; every byte of @out is filled. While no status is latched, bit 6 of a channel's
 * status says that it has no count loaded, as the status byte does.
 */
void pit_export(const struct pit *pit, u64 now, struct pit_user *out);

/*
 * Replaces the state of channels and flags at @now. Any bytes are accepted: values out of range are
 * cut to what the timer can hold. Ticks owed are forgotten, those of a periodic mode before @now
 * count as reported. Call pit_next_tick() afterwards.
 */
void pit_import(struct pit *pit, u64 now, const struct pit_user *in);

#endif /* KEEL_PURE_PIT_H */
