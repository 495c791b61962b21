// SPDX-License-Identifier: GPL-2.0-only
/*
 * Not a judgement but a table: what KVM_CHECK_EXTENSION answers for 0..260 on both fds, the lists
 * of MSRs and the CPUID leaves, one fact a line, so that the outputs for two modules can be diffed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm.h"

static void print_msrs(int sys, const char *what, unsigned long cmd)
{
	struct kvm_msr_list *l = calloc(1, sizeof(*l) + 4096 * sizeof(l->indices[0]));
	uint32_t i;
	int rc;

	l->nmsrs = 4096;
	rc = xioctlp(sys, cmd, l);
	if (rc)
		printf("%s error %s\n", what, strerror(-rc));
	for (i = 0; !rc && i < l->nmsrs; i++)
		printf("%s %#x\n", what, l->indices[i]);
	free(l);
}

int main(void)
{
	struct vm *vm = vm_new(0);
	struct kvm_cpuid2 *c = supported_cpuid(vm->sys);
	unsigned int i;

	printf("api %d mmap %d\n", xioctl(vm->sys, KVM_GET_API_VERSION, 0),
	       xioctl(vm->sys, KVM_GET_VCPU_MMAP_SIZE, 0));
	for (i = 0; i <= 260; i++) {
		int s = has_cap(vm->sys, i), m = has_cap(vm->fd, i);

		if (s || m)
			printf("cap %u system %#x vm %#x\n", i, s, m);
	}
	print_msrs(vm->sys, "msr", KVM_GET_MSR_INDEX_LIST);
	print_msrs(vm->sys, "feature-msr", KVM_GET_MSR_FEATURE_INDEX_LIST);
	for (i = 0; i < c->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &c->entries[i];

		printf("cpuid %08x.%x flags %x: %08x %08x %08x %08x\n", e->function, e->index, e->flags,
		       e->eax, e->ebx, e->ecx, e->edx);
	}
	return 0;
}
