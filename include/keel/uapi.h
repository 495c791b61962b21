/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Keel's own copy of the KVM API, included by path so that the host kernel's older copy, which has
 * the same name, is never the one found. The include guards make a later host include inert.
 */
#ifndef KEEL_UAPI_H
#define KEEL_UAPI_H

#include "../../arch/x86/include/uapi/asm/kvm.h"
#include "../../arch/x86/include/uapi/asm/kvm_para.h"
#include "../uapi/linux/kvm.h"

#endif /* KEEL_UAPI_H */
