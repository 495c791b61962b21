/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The boot sector of the Bochs lab: loads an uncompressed kernel and its initial RAM disk by
 * programmed I/O from the disk it stands on and enters the kernel at its PVH entry, so that no boot
 * loader and no decompressor need be emulated. The disk's pieces of 128 KiB: this one, the command
 * line, the kernel, the RAM disk. The symbols in capitals come from the assembler's command line.
 */
	PIECE = 256			/* sectors */
	MEMMAP = 0x8000
	CMDLINE_AT = 0x20000
	INITRD_AT = 0x8000000

	.code16
	.globl _start
_start:	cli
	cld
	xorl %ebx, %ebx
	movw %bx, %ds
	movw %bx, %es
	movw %bx, %ss
	movw $0x7c00, %sp

	movl $MEMMAP, %edi		/* what memory there is, in entries of 24 bytes */
1:	movl $0xe820, %eax
	movl $0x534d4150, %edx
	movl $20, %ecx
	int $0x15
	jc 2f
	addw $24, %di
	incw memmap_entries
	testl %ebx, %ebx
	jnz 1b
2:
	inb $0x92, %al			/* A20 */
	orb $2, %al
	outb %al, $0x92
	cli
	lgdtl gdtr
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	ljmpl $8, $3f

	.code32
3:	movw $16, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss

	movl $PIECE, %ebx		/* LBA */
	movl $CMDLINE_AT, %edi
	movl $1, %ebp
	call load
	movl $KERNEL_AT, %edi
	movl $KERNEL_PIECES, %ebp
	call load
	movl $INITRD_AT, %edi
	movl $INITRD_PIECES, %ebp
	call load
	movl $start_info, %ebx
	movl $KERNEL_ENTRY, %eax
	jmp *%eax

load:	movw $0x1f6, %dx		/* %ebp pieces from %ebx to %edi */
	movl %ebx, %eax
	shrl $24, %eax
	orb $0xe0, %al
	outb %al, %dx
	movw $0x1f2, %dx
	xorb %al, %al			/* 256 */
	outb %al, %dx
	incl %edx
	movl %ebx, %eax
	outb %al, %dx
	incl %edx
	movb %ah, %al
	outb %al, %dx
	incl %edx
	shrl $16, %eax
	outb %al, %dx
	movw $0x1f7, %dx
	movb $0x20, %al			/* READ SECTORS */
	outb %al, %dx
	movl $PIECE, %esi
4:	movw $0x1f7, %dx
5:	inb %dx, %al
	andb $0x88, %al
	cmpb $0x08, %al			/* not busy, data there */
	jne 5b
	movw $0x1f0, %dx
	movl $256, %ecx
	rep insw
	decl %esi
	jnz 4b
	addl $PIECE, %ebx
	decl %ebp
	jnz load
	ret

	.balign 8
gdt:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:	.word . - gdt - 1
	.long gdt

	.balign 8
start_info:
	.long 0x336ec578, 1, 0, 1	/* magic, version, flags, modules */
	.long module, 0, CMDLINE_AT, 0, 0, 0, MEMMAP, 0
memmap_entries:
	.long 0, 0
module:	.quad INITRD_AT, INITRD_SIZE, 0, 0

	.org 510
	.word 0xaa55
