/* SPDX-License-Identifier: GPL-2.0-only */
/* Virtualization on the host's CPUs: switched on with the first user, off with the last. */
#ifndef KEEL_POWER_H
#define KEEL_POWER_H

/* Hook into hotplug, suspend, reboot and crash. Context: module init and exit. */
int keel_power_init(void);
void keel_power_exit(void);

/* Return: 0, -EBUSY when another hypervisor holds a CPU. Context: task, may sleep. */
int keel_power_get(void);
void keel_power_put(void);

#endif /* KEEL_POWER_H */
