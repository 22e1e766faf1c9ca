// SPDX-License-Identifier: GPL-2.0-or-later
#include "core_map.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

static bool fits(uint64_t off, uint64_t bytes, uint64_t limit)
{
	return off <= limit && bytes <= limit - off;
}

static void part_add(struct core_map *map, const Elf64_Phdr *ph, uint64_t file_bytes)
{
	if (!ph->p_filesz || !fits(ph->p_offset, ph->p_filesz, file_bytes) ||
	    !fits(ph->p_paddr, ph->p_filesz, UINT64_MAX) || !fits(ph->p_vaddr, ph->p_filesz - 1, UINT64_MAX))
		return;
	if (ph->p_type == PT_NOTE && !map->note_bytes) {
		map->note_off = ph->p_offset;
		map->note_bytes = ph->p_filesz;
	}
	if (ph->p_type == PT_LOAD)
		map->part[map->parts++] = (struct core_map_part){
			.gpa = ph->p_paddr, .va = ph->p_vaddr, .off = ph->p_offset, .bytes = ph->p_filesz };
}

int core_map_parse(struct core_map *map, const uint8_t *head, size_t bytes, uint64_t file_bytes)
{
	Elf64_Ehdr eh;
	Elf64_Phdr ph;

	memset(map, 0, sizeof(*map));
	if (bytes < sizeof(eh))
		return -EINVAL;
	memcpy(&eh, head, sizeof(eh));
	if (memcmp(eh.e_ident, ELFMAG, SELFMAG) || eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_type != ET_CORE ||
	    eh.e_machine != EM_X86_64 || eh.e_phentsize != sizeof(ph) || eh.e_phnum > CORE_MAP_MAX ||
	    !fits(eh.e_phoff, eh.e_phnum * sizeof(ph), bytes))
		return -EINVAL;
	for (unsigned i = 0; i < eh.e_phnum; i++) {
		memcpy(&ph, head + eh.e_phoff + i * sizeof(ph), sizeof(ph));
		part_add(map, &ph, file_bytes);
	}
	return map->parts ? 0 : -EINVAL;
}

bool core_map_gpa(const struct core_map *map, uint64_t gpa, uint64_t *off, uint64_t *bytes)
{
	for (unsigned i = 0; i < map->parts; i++) {
		const struct core_map_part *p = &map->part[i];

		if (gpa < p->gpa || gpa - p->gpa >= p->bytes)
			continue;
		*off = p->off + (gpa - p->gpa);
		*bytes = p->bytes - (gpa - p->gpa);
		return true;
	}
	return false;
}

bool core_map_va(const struct core_map *map, uint64_t va, uint64_t *gpa, uint64_t *bytes)
{
	for (unsigned i = 0; i < map->parts; i++) {
		const struct core_map_part *p = &map->part[i];

		/* Of a core that knows no kernel: not virtual at all. */
		if (p->va == p->gpa || va < p->va || va - p->va >= p->bytes)
			continue;
		*gpa = p->gpa + (va - p->va);
		*bytes = p->bytes - (va - p->va);
		return true;
	}
	return false;
}

unsigned core_map_ranges(const struct core_map *map, struct core_map_part ranges[CORE_MAP_MAX])
{
	unsigned n = 0;

	for (unsigned i = 0; i < map->parts; i++) {
		const struct core_map_part *p = &map->part[i];
		bool again = false;

		for (unsigned k = 0; k < n; k++)
			again |= p->gpa >= ranges[k].gpa && p->gpa - ranges[k].gpa < ranges[k].bytes;
		if (!again)
			ranges[n++] = *p;
	}
	return n;
}
