/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core.h - a region as the physical memory of a guest: which part of the region has which guest physical addresses, and
 * the head of an ELF core that says so. Pure.
 *
 * The file of a region is flat: what is behind the PCI hole, from 4 GiB on, follows what is below it. The head is as
 * long as a chunk, so that the region's chunks are those of the core, too. It has a PT_LOAD for each of the two ranges, by
 * guest physical address; and, once the guest's kernel is known, that kernel's virtual addresses of them (the
 * direct map, and its text), and a copy of its note VMCOREINFO. (The note stands in the region, too, but crash(8) takes
 * notes from before the first PT_LOAD only.)
 */
#ifndef GVMFS_CORE_H
#define GVMFS_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CORE_HEAD_BYTES	 (128ull << 10) /* GVM_CHUNK_BYTES */
#define CORE_PAGE_BYTES	 4096u
#define CORE_ELF_BYTES	 4096u /* of the head; then the note; the rest is zero */
#define CORE_NOTE_MAX	 8192u
#define CORE_HIGH_GPA	 (1ull << 32)
#define CORE_TEXT_MAX	 512u
#define CORE_KERNEL_BASE 0xffffffff80000000ull /* where Linux maps its text on x86-64, */
#define CORE_KERNEL_SPAN (1ull << 30)		/* and how many bytes of addresses are kept for that */

/* What is known of a guest beside its memory. Hints: no content depends on them. */
struct core_facts {
	uint64_t low_bytes;  /* the guest's RAM below the PCI hole; 0: not known */
	uint64_t before_bytes; /* the guest's RAM in other regions, which comes before this region's */
	uint64_t direct_map; /* virtual address of guest physical 0; 0: nothing is known of the kernel */
	uint64_t phys_base;  /* guest physical address of CORE_KERNEL_BASE; may be negative */
	uint64_t note_bytes; /* of the ELF note VMCOREINFO; 0: not known */
};

/* What they say of the kernel, the note too; where the machine has its RAM stays. */
void core_forget_kernel(struct core_facts *facts);

struct core_range {
	uint64_t gpa, off, bytes;
};

enum core_view { CORE_NONE, CORE_WHOLE, CORE_LOW, CORE_HIGH };

/* How much of `size` bytes of RAM QEMU's machine `pc` has below the PCI hole. */
uint64_t core_low_guess(uint64_t size);
/* How a region of `size` lies in the guest: [0] what is below the PCI hole, [1] what is from 4 GiB on. Either may have
 * no bytes. */
void core_ranges(const struct core_facts *facts, uint64_t size, struct core_range ranges[2]);
/* What a view of a region of `size` shows: `head` bytes of its own, then this part of the region. */
struct core_part {
	uint64_t head, off, bytes;
};
struct core_part core_part(enum core_view view, const struct core_facts *facts, uint64_t size);
/* The beginning of the head; the note follows, then zeros. */
void core_elf(const struct core_facts *facts, uint64_t size, uint8_t elf[CORE_ELF_BYTES]);

/* Whether these bytes are one ELF note, and nothing else. */
bool core_is_note(const uint8_t *note, size_t bytes);

/* Facts but for the note as text: lines of "name value", numbers as strtoull() takes them. What the text does not name
 * stays as it is. False, and nothing changed, if it cannot be understood. */
bool core_facts_parse(struct core_facts *facts, const char *text, size_t bytes);
/* The facts of a region of `size` as such text; a last line "guessed 1" if `low` was not set. Returns the length. */
size_t core_facts_print(const struct core_facts *facts, uint64_t size, char text[CORE_TEXT_MAX]);

/* The view that a file's name means by its ending, and how many bytes of it are the region's name; CORE_NONE:
 * no view. */
enum core_view core_view_of(const char *name, size_t *region_name);

#endif
