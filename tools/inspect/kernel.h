/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kernel.h - where in a guest's memory its Linux kernel is.
 *
 * The kernel's symbols (System.map, or /proc/kallsyms of the guest) say how far linux_banner lies behind the kernel's
 * first byte, which is at a multiple of 2 MiB, wherever KASLR has put it. So a few bytes of each such slot tell. The
 * kernel's own variables there say the rest: phys_base, page_offset_base, and vmcoreinfo_note, the address of its ELF
 * note. Memory is never searched.
 */
#ifndef TOOLS_INSPECT_KERNEL_H
#define TOOLS_INSPECT_KERNEL_H

#include "memory.h"

#define KERNEL_BANNER 256

/* Virtual addresses; 0: the file does not name it. */
struct kernel_symbols {
	uint64_t text, linux_banner, phys_base, page_offset_base, vmcoreinfo_note;
};

struct kernel_found {
	uint64_t gpa, va; /* of its first byte */
	uint64_t kaslr;	  /* how far it was moved from where it is linked to */
	uint64_t phys_base, direct_map;
	uint64_t note_gpa, note_bytes;
	uint8_t *note; /* VMCOREINFO, to be freed; NULL: there is none */
	char banner[KERNEL_BANNER];
};

/* Reads System.map, or /proc/kallsyms. 0 or a negative errno; the user has been told why. */
int kernel_symbols_read(struct kernel_symbols *s, const char *path);
/* 0; -ENOENT: there is no such kernel; or a negative errno. */
int kernel_find(const struct memory *m, const struct kernel_symbols *s, struct kernel_found *k);

#endif
