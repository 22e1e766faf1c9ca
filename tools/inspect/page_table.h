/* SPDX-License-Identifier: GPL-2.0-or-later */
/* page_table.h - an x86-64 guest's virtual addresses by its page tables. Pure but for the reading. */
#ifndef TOOLS_INSPECT_PAGE_TABLE_H
#define TOOLS_INSPECT_PAGE_TABLE_H

#include <stdint.h>

/* Reads an entry of guest physical memory: 0 or a negative errno. */
typedef int page_table_read(void *arg, uint64_t gpa, uint64_t *entry);

struct page_table {
	uint64_t cr3;	 /* as the register has it */
	unsigned levels; /* 4 or 5 */
	page_table_read *read;
	void *arg;
};

/* What was found, or where it ended. */
struct page_table_found {
	uint64_t gpa, bytes; /* of the address, and how much of its page follows it */
	unsigned level;	     /* of the last entry that was read: 1 is a page of 4 KiB, 2 of 2 MiB, 3 of 1 GiB */
	uint64_t entry_gpa, entry;
};

/* 0; -EINVAL: not canonical; -ENOENT: not mapped, by the entry in *found; or why that could not be read. */
int page_table_walk(const struct page_table *pt, uint64_t va, struct page_table_found *found);

#endif
