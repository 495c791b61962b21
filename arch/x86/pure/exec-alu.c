// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arithmetic of the emulator: integer operations with their flags, as functions of numbers.
 *
 * Owns results and RFLAGS bits. Does not know instructions, registers or memory. Where the manuals
 * leave a flag undefined, the value is the one current processors give if that costs nothing.
 *
 * Contexts: any. Manual sections: the instruction pages; "EFLAGS Register" / "rFLAGS Register".
 */
#include "emu-priv.h"

u64 emu_sext(u64 v, u8 size)
{
	unsigned int spare = 64 - 8 * size;

	return (u64)((s64)(v << spare) >> spare);
}

static u64 sign_bit(u8 size)
{
	return 1ULL << (8 * size - 1);
}

/* SF, ZF and PF of a result already truncated to `size`. */
static u64 result_flags(u64 r, u8 size)
{
	u8 low = r;

	low ^= low >> 4;
	low ^= low >> 2;
	low ^= low >> 1;
	return (low & 1 ? 0 : FL_PF) | (r ? 0 : FL_ZF) | (r & sign_bit(size) ? FL_SF : 0);
}

static u64 put_flags(u64 old, u64 mask, u64 flags)
{
	return (old & ~mask) | (flags & mask);
}

static u64 add(u8 size, u64 a, u64 b, bool carry, u64 *flags)
{
	u64 r = emu_zext(a + b + carry, size);

	*flags = (carry ? r <= a : r < a) ? FL_CF : 0;
	*flags |= (a ^ b ^ r) & FL_AF;
	*flags |= ~(a ^ b) & (a ^ r) & sign_bit(size) ? FL_OF : 0;
	*flags |= result_flags(r, size);
	return r;
}

static u64 sub(u8 size, u64 a, u64 b, bool borrow, u64 *flags)
{
	u64 r = emu_zext(a - b - borrow, size);

	*flags = (borrow ? a <= b : a < b) ? FL_CF : 0;
	*flags |= (a ^ b ^ r) & FL_AF;
	*flags |= (a ^ b) & (a ^ r) & sign_bit(size) ? FL_OF : 0;
	*flags |= result_flags(r, size);
	return r;
}

u64 emu_alu(enum emu_alu_fn fn, u8 size, u64 dst, u64 src, u64 *rflags)
{
	bool carry = *rflags & FL_CF;
	u64 r = 0, flags = 0;

	dst = emu_zext(dst, size);
	src = emu_zext(src, size);
	switch (fn) {
	case ALU_ADD:
	case ALU_ADC:
		r = add(size, dst, src, fn == ALU_ADC && carry, &flags);
		break;
	case ALU_SUB:
	case ALU_CMP:
	case ALU_SBB:
		r = sub(size, dst, src, fn == ALU_SBB && carry, &flags);
		break;
	case ALU_OR:
		r = dst | src;
		flags = result_flags(r, size);
		break;
	case ALU_AND:
		r = dst & src;
		flags = result_flags(r, size);
		break;
	case ALU_XOR:
		r = dst ^ src;
		flags = result_flags(r, size);
		break;
	}
	*rflags = put_flags(*rflags, FL_ARITH, flags);
	return r;
}

u64 emu_incdec(bool dec, u8 size, u64 dst, u64 *rflags)
{
	u64 flags, r;

	dst = emu_zext(dst, size);
	r = dec ? sub(size, dst, 1, false, &flags) : add(size, dst, 1, false, &flags);
	*rflags = put_flags(*rflags, FL_ARITH & ~FL_CF, flags);
	return r;
}

/* Rotates by less than the width; the carry is the bit that came round last. */
static u64 rotate(enum emu_shift_fn fn, u8 size, u64 dst, u8 count, u64 *flags)
{
	unsigned int bits = 8 * size;
	bool top, next;
	u64 r = dst;

	count %= bits;
	if (fn == SHIFT_ROR && count)
		count = bits - count;
	if (count)
		r = emu_zext(dst << count | dst >> (bits - count), size);
	top = r & sign_bit(size);
	next = r & sign_bit(size) >> 1;
	if (fn == SHIFT_ROR)
		*flags = (top ? FL_CF : 0) | (top != next ? FL_OF : 0);
	else
		*flags = (r & 1 ? FL_CF : 0) | (top != (r & 1) ? FL_OF : 0);
	return r;
}

/* Rotates the width and one bit more, the carry; at most 63 turns. */
static u64 rotate_carry(enum emu_shift_fn fn, u8 size, u64 dst, u8 count, u64 *flags)
{
	bool carry = *flags & FL_CF, out;

	for (count %= 8 * size + 1; count; count--) {
		if (fn == SHIFT_RCL) {
			out = dst & sign_bit(size);
			dst = emu_zext(dst << 1 | carry, size);
		} else {
			out = dst & 1;
			dst = dst >> 1 | (carry ? sign_bit(size) : 0);
		}
		carry = out;
	}
	*flags = carry ? FL_CF : 0;
	if (fn == SHIFT_RCL)
		*flags |= carry != !!(dst & sign_bit(size)) ? FL_OF : 0;
	else
		*flags |= (dst ^ dst << 1) & sign_bit(size) ? FL_OF : 0;
	return dst;
}

/* Shifts by 1..63, which may be more than the width. */
static u64 shift(enum emu_shift_fn fn, u8 size, u64 dst, u8 count, u64 *flags)
{
	unsigned int bits = 8 * size;
	u64 wide, last, r;

	switch (fn) {
	case SHIFT_SHR:
		wide = dst;
		*flags = dst & sign_bit(size) ? FL_OF : 0;
		break;
	case SHIFT_SAR:
		wide = emu_sext(dst, size);
		*flags = 0;
		break;
	default:
		r = emu_zext(dst << count, size);
		last = count <= bits ? dst >> (bits - count) & 1 : 0;
		*flags = (last ? FL_CF : 0) | (last != !!(r & sign_bit(size)) ? FL_OF : 0);
		*flags |= result_flags(r, size);
		return r;
	}
	last = (u64)((s64)wide >> (count - 1)) & 1;
	r = emu_zext(fn == SHIFT_SAR ? (u64)((s64)wide >> count) : wide >> count, size);
	*flags |= (last ? FL_CF : 0) | result_flags(r, size);
	return r;
}

u64 emu_shift(enum emu_shift_fn fn, u8 size, u64 dst, u8 count, u64 *rflags)
{
	u64 flags = *rflags, r;

	count &= size == 8 ? 63 : 31;
	dst = emu_zext(dst, size);
	if (!count)
		return dst;
	switch (fn) {
	case SHIFT_ROL:
	case SHIFT_ROR:
		r = rotate(fn, size, dst, count, &flags);
		*rflags = put_flags(*rflags, FL_CF | FL_OF, flags);
		break;
	case SHIFT_RCL:
	case SHIFT_RCR:
		r = rotate_carry(fn, size, dst, count, &flags);
		*rflags = put_flags(*rflags, FL_CF | FL_OF, flags);
		break;
	default:
		r = shift(fn, size, dst, count, &flags);
		*rflags = put_flags(*rflags, FL_ARITH & ~FL_AF, flags);
	}
	return r;
}

u64 emu_bit(enum emu_bt_fn fn, u8 size, u64 dst, u64 bit, u64 *rflags)
{
	u64 mask = 1ULL << (bit & (8 * size - 1));

	*rflags = put_flags(*rflags, FL_CF, dst & mask ? FL_CF : 0);
	switch (fn) {
	case BT_SET:
		return dst | mask;
	case BT_RESET:
		return dst & ~mask;
	case BT_COMPLEMENT:
		return dst ^ mask;
	default:
		return dst;
	}
}

bool emu_condition(u8 cc, u64 rflags)
{
	bool less = !(rflags & FL_SF) != !(rflags & FL_OF), holds = false;

	switch (cc >> 1 & 7) {
	case 0:
		holds = rflags & FL_OF;
		break;
	case 1:
		holds = rflags & FL_CF;
		break;
	case 2:
		holds = rflags & FL_ZF;
		break;
	case 3:
		holds = rflags & (FL_CF | FL_ZF);
		break;
	case 4:
		holds = rflags & FL_SF;
		break;
	case 5:
		holds = rflags & FL_PF;
		break;
	case 6:
		holds = less;
		break;
	case 7:
		holds = less || rflags & FL_ZF;
		break;
	}
	return holds != (cc & 1);
}
