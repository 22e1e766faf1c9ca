/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory.h - reads a guest's memory by guest physical and virtual addresses, from an ELF core: the view NAME.core of a
 * region of a mount, or a file that a debugger could open.
 */
#ifndef TOOLS_INSPECT_MEMORY_H
#define TOOLS_INSPECT_MEMORY_H

#include "core_map.h"
#include "page_table.h"

struct memory {
	int fd;
	uint64_t file_bytes;
	struct core_map map;
	struct core_map_part ranges[CORE_MAP_MAX];
	unsigned range_count;
	uint64_t bytes; /* of the ranges together */
};

/* Opens the view of the region at `path`, or the ELF core that is there. 0 or a negative errno; the user has
 * been told why. */
int memory_open(struct memory *m, const char *path);
void memory_close(struct memory *m);
/* Reads guest physical memory. 0; -EFAULT: the guest has no memory at some of these addresses; or another
 * negative errno. */
int memory_read(const struct memory *m, uint64_t gpa, void *buf, size_t bytes);

/* Calls `visit` for all of the memory that may have content, in order: a part of a range at a time, whole pages of it
 * but for the end of a range. What could not be read is counted in *unreadable and passed over. Stops where `visit` gives
 * something else than 0, and gives that. */
#define MEMORY_VISIT_BYTES (1u << 20)
typedef int memory_visit(void *arg, uint64_t gpa, const uint8_t *data, size_t bytes);
int memory_each(const struct memory *m, const char *doing, memory_visit *visit, void *arg, uint64_t *unreadable);

/* A guest's virtual memory: by page tables, or (cr3 0) by what the core itself knows of the kernel's. */
struct memory_virtual {
	const struct memory *m;
	uint64_t cr3;
	unsigned levels;
};
/* 0 with the guest physical address and how much follows it; or a negative errno, with a sentence in err. */
#define MEMORY_ERR 160
int memory_translate(const struct memory_virtual *v, uint64_t va, uint64_t *gpa, uint64_t *bytes, char err[MEMORY_ERR]);
/* The kernel's own page tables, by the note VMCOREINFO. False: the core has none. */
bool memory_kernel_tables(const struct memory *m, struct memory_virtual *v);
/* The note's text, without a terminating zero, to be freed; NULL: there is none. */
char *memory_vmcoreinfo(const struct memory *m);

#endif
