/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core_map.h - an ELF core's program headers: which address stands where in the file. Pure; the headers may be anybody's,
 * and what they name outside of the file is left out.
 */
#ifndef TOOLS_INSPECT_CORE_MAP_H
#define TOOLS_INSPECT_CORE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CORE_MAP_HEAD 4096 /* the headers are looked for in so many bytes */
#define CORE_MAP_MAX  64

/* `bytes` at `off` of the file: the guest's memory at this guest physical address, and at this virtual one. */
struct core_map_part {
	uint64_t gpa, va, off, bytes;
};

struct core_map {
	struct core_map_part part[CORE_MAP_MAX];
	unsigned parts;
	uint64_t note_off, note_bytes; /* of the first PT_NOTE; 0 bytes: it has none */
};

/* `head` has the first `bytes` of a file of file_bytes, CORE_MAP_HEAD of them if it has so many. 0, or -EINVAL:
 * no ELF core of x86-64, or one with too many headers. */
int core_map_parse(struct core_map *map, const uint8_t *head, size_t bytes, uint64_t file_bytes);
/* Where an address stands in the file, and (*bytes) how much follows it there. False: nowhere. */
bool core_map_gpa(const struct core_map *map, uint64_t gpa, uint64_t *off, uint64_t *bytes);
/* The same of a virtual address that the core itself maps, as guest physical address. */
bool core_map_va(const struct core_map *map, uint64_t va, uint64_t *gpa, uint64_t *bytes);
/* The guest physical ranges, without those that only repeat memory under another virtual address; returns how many. */
unsigned core_map_ranges(const struct core_map *map, struct core_map_part ranges[CORE_MAP_MAX]);

#endif
