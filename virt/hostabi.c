// SPDX-License-Identifier: GPL-2.0-only
/*
 * The only unit that includes the host's own <linux/kvm_host.h>: host functions that take the host's
 * vCPU structure and write to it are handed a dummy of the right layout.
 *
 * On 6.1 the entry-work function stores an exit reason and a counter through that pointer when a
 * signal is pending. The dummy is shared by all CPUs: what lands in it is never read.
 */
#include <linux/entry-kvm.h>
#include <linux/kvm_host.h>

int keel_host_entry_work(void);

static struct kvm_run dummy_run;
static struct kvm_vcpu dummy_vcpu = { .run = &dummy_run };

int keel_host_entry_work(void)
{
	return xfer_to_guest_mode_handle_work(&dummy_vcpu);
}
