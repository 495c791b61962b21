/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one header pure code stands on. It gives the fixed-width types, the address types and a few
 * helpers under the same names in the kernel module and in the user-space test build.
 */
#ifndef KEEL_PURE_TYPES_H
#define KEEL_PURE_TYPES_H

#ifdef __KERNEL__
#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

#define __bitwise
#define __force
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define static_assert _Static_assert
#define noinline __attribute__((__noinline__))
#ifndef __always_inline
#define __always_inline inline __attribute__((__always_inline__))
#endif
#define fallthrough __attribute__((__fallthrough__))
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))
#define OPTIMIZER_HIDE_VAR(var) __asm__("" : "+r"(var))
#endif

/* A single bit and an inclusive bit range of a 64-bit word. */
#define BIT64(n) (1ULL << (n))
#define BITS64(hi, lo) ((~0ULL >> (63 - (hi))) & (~0ULL << (lo)))

#define KEEL_PAGE_SHIFT 12
#define KEEL_PAGE_SIZE (1ULL << KEEL_PAGE_SHIFT)

/*
 * Guest-physical address, guest-virtual (linear) address, guest frame number. Sparse refuses to
 * mix them with each other or with integers; the functions below are the only doors.
 */
typedef u64 __bitwise gpa_t;
typedef u64 __bitwise gva_t;
typedef u64 __bitwise gfn_t;

static inline gpa_t to_gpa(u64 raw)
{
	return (__force gpa_t)raw;
}

static inline u64 gpa_raw(gpa_t gpa)
{
	return (__force u64)gpa;
}

static inline gva_t to_gva(u64 raw)
{
	return (__force gva_t)raw;
}

static inline u64 gva_raw(gva_t gva)
{
	return (__force u64)gva;
}

static inline gfn_t to_gfn(u64 raw)
{
	return (__force gfn_t)raw;
}

static inline u64 gfn_raw(gfn_t gfn)
{
	return (__force u64)gfn;
}

static inline gfn_t gpa_gfn(gpa_t gpa)
{
	return to_gfn(gpa_raw(gpa) >> KEEL_PAGE_SHIFT);
}

static inline gpa_t gfn_gpa(gfn_t gfn)
{
	return to_gpa(gfn_raw(gfn) << KEEL_PAGE_SHIFT);
}

static inline gpa_t gpa_add(gpa_t gpa, u64 bytes)
{
	return to_gpa(gpa_raw(gpa) + bytes);
}

static inline gva_t gva_add(gva_t gva, u64 bytes)
{
	return to_gva(gva_raw(gva) + bytes);
}

static inline gfn_t gfn_add(gfn_t gfn, u64 frames)
{
	return to_gfn(gfn_raw(gfn) + frames);
}

/* Byte offset of an address within its 4 KiB page. */
static inline unsigned int gpa_offset(gpa_t gpa)
{
	return gpa_raw(gpa) & (KEEL_PAGE_SIZE - 1);
}

static inline unsigned int gva_offset(gva_t gva)
{
	return gva_raw(gva) & (KEEL_PAGE_SIZE - 1);
}

#endif /* KEEL_PURE_TYPES_H */
