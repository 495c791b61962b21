/* SPDX-License-Identifier: GPL-2.0-only */
/* System-management mode: the state-save area, and the state in which a handler begins. */
#ifndef KEEL_PURE_SMM_H
#define KEEL_PURE_SMM_H

#include "regs.h"
#include "types.h"

#define SMM_AREA_OFFSET	0xfe00u		/* of the area, from SMBASE */
#define SMM_AREA_SIZE	0x200u

/* What entering saves and RSM restores. Of `special` CR2, CR8 and the APIC base are not part of it. */
struct smm_cpu {
	struct regs_special special;
	u64 gpr[16];			/* in ModRM order */
	u64 rip, rflags, dr6, dr7;
	u32 smbase;
	bool halted;			/* HLT was interrupted, and is to be returned to */
};

/* Write the whole area. */
void smm_save(const struct smm_cpu *cpu, u8 area[SMM_AREA_SIZE]);

/*
 * Replace what the area holds, which the guest may have changed to anything: the caller has to check `special`.
 * RFLAGS, DR6 and DR7 come out as the CPU can hold them.
 */
void smm_load(const u8 area[SMM_AREA_SIZE], struct smm_cpu *cpu);

/* Turn the interrupted state into the handler's first. */
void smm_enter(struct smm_cpu *cpu);

#endif /* KEEL_PURE_SMM_H */
