// SPDX-License-Identifier: GPL-2.0-only
/*
 * The seam to the host kernel: what its versions do differently.
 *
 * Owns: version tests. Does not own: anything that looks at the host's own KVM structures, which is
 * hostabi.c's alone. Contexts: as each contract in keel/host.h says.
 */
#include <asm/mce.h>
#include <asm/ptrace.h>
#include <asm/reboot.h>
#include <keel/host.h>

void keel_host_machine_check(void)
{
	/* The privilege level is what tells user space from the kernel. */
	struct pt_regs regs = { .cs = USER_RPL, .flags = X86_EFLAGS_IF };

	if (IS_ENABLED(CONFIG_X86_MCE))
		do_machine_check(&regs);
}

static void (*emergency_fn)(void);

static void emergency_call(void)
{
	void (*fn)(void) = READ_ONCE(emergency_fn);

	if (fn)
		fn();
}

void keel_host_emergency_set(void (*fn)(void))
{
	if (fn) {
		WRITE_ONCE(emergency_fn, fn);
		cpu_emergency_register_virt_callback(emergency_call);
	} else {
		cpu_emergency_unregister_virt_callback(emergency_call);
		WRITE_ONCE(emergency_fn, NULL);
	}
}
