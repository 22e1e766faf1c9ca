// SPDX-License-Identifier: GPL-2.0-or-later
/* core.c - see core.h. */
#include "core.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PC_FROM 0xe0000000ull /* with so much RAM, machine pc leaves a hole of 1 GiB */
#define PC_LOW	0xc0000000ull
#define CORE_BEFORE_MAX (1ull << 46) /* more physical addresses hardly any CPU has */
#define HEADERS_MAX 8u /* a note, and of each range its own address and its part of the kernel's text */

void core_forget_kernel(struct core_facts *facts)
{
	*facts = (struct core_facts){ .low_bytes = facts->low_bytes, .before_bytes = facts->before_bytes };
}

uint64_t core_low_guess(uint64_t size)
{
	return size >= PC_FROM ? PC_LOW : size;
}

void core_ranges(const struct core_facts *facts, uint64_t size, struct core_range ranges[2])
{
	uint64_t before = facts->before_bytes, low = facts->low_bytes ? facts->low_bytes : core_low_guess(before + size);
	uint64_t below = low > before ? low - before : 0;

	if (below > size)
		below = size;
	ranges[0] = (struct core_range){ .gpa = before, .bytes = below };
	ranges[1] = (struct core_range){ .gpa = CORE_HIGH_GPA + (before > low ? before - low : 0), .off = below,
					 .bytes = size - below };
}

struct core_part core_part(enum core_view view, const struct core_facts *facts, uint64_t size)
{
	struct core_range ranges[2];

	core_ranges(facts, size, ranges);
	switch (view) {
	case CORE_WHOLE:
		return (struct core_part){ .head = CORE_HEAD_BYTES, .bytes = size };
	case CORE_LOW:
		return (struct core_part){ .bytes = ranges[0].bytes };
	case CORE_HIGH:
		return (struct core_part){ .off = ranges[1].off, .bytes = ranges[1].bytes };
	case CORE_NONE:
		break;
	}
	return (struct core_part){ .bytes = 0 };
}

static void load_add(Elf64_Phdr *ph, unsigned *count, uint64_t off, uint64_t gpa, uint64_t va, uint64_t bytes)
{
	if (!bytes)
		return;
	ph[(*count)++] = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_flags = PF_R | PF_W | PF_X,
		.p_offset = CORE_HEAD_BYTES + off,
		.p_vaddr = va,
		.p_paddr = gpa,
		.p_filesz = bytes,
		.p_memsz = bytes,
	};
}

/* What of the range the kernel's text mapping covers. Both ends are distances from phys_base, which is below the range or
 * above it. */
static void text_add(Elf64_Phdr *ph, unsigned *count, const struct core_range *r, uint64_t phys_base)
{
	__int128 begin = (__int128)r->gpa - (int64_t)phys_base, end = begin + r->bytes;
	uint64_t skipped = begin < 0 ? (uint64_t)-begin : 0;

	if (begin < 0)
		begin = 0;
	if (end > (__int128)CORE_KERNEL_SPAN)
		end = CORE_KERNEL_SPAN;
	if (begin < end)
		load_add(ph, count, r->off + skipped, r->gpa + skipped, CORE_KERNEL_BASE + (uint64_t)begin,
			 (uint64_t)(end - begin));
}

static void note_add(Elf64_Phdr *ph, unsigned *count, const struct core_facts *facts)
{
	if (!facts->note_bytes || facts->note_bytes > CORE_NOTE_MAX)
		return;
	ph[(*count)++] = (Elf64_Phdr){
		.p_type = PT_NOTE,
		.p_offset = CORE_ELF_BYTES,
		.p_filesz = facts->note_bytes,
		.p_memsz = facts->note_bytes,
		.p_align = 4,
	};
}

bool core_is_note(const uint8_t *note, size_t bytes)
{
	Elf64_Nhdr nh;
	uint64_t all = sizeof(nh);

	if (bytes < sizeof(nh) || bytes > CORE_NOTE_MAX)
		return false;
	memcpy(&nh, note, sizeof(nh));
	all += ((uint64_t)nh.n_namesz + 3) / 4 * 4;
	all += ((uint64_t)nh.n_descsz + 3) / 4 * 4;
	return all == bytes;
}

void core_elf(const struct core_facts *facts, uint64_t size, uint8_t elf[CORE_ELF_BYTES])
{
	Elf64_Ehdr eh = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_CORE,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(eh),
		.e_ehsize = sizeof(eh),
		.e_phentsize = sizeof(Elf64_Phdr),
	};
	Elf64_Phdr ph[HEADERS_MAX];
	uint64_t direct_map = facts->direct_map;
	struct core_range ranges[2];
	unsigned count = 0;

	core_ranges(facts, size, ranges);
	if (direct_map > UINT64_MAX - (ranges[1].gpa + ranges[1].bytes)) /* no kernel's */
		direct_map = 0;
	note_add(ph, &count, facts);
	for (unsigned i = 0; i < 2; i++)
		load_add(ph, &count, ranges[i].off, ranges[i].gpa, direct_map + ranges[i].gpa, ranges[i].bytes);
	for (unsigned i = 0; i < 2 && direct_map; i++)
		text_add(ph, &count, &ranges[i], facts->phys_base);
	eh.e_phnum = (Elf64_Half)count;
	memset(elf, 0, CORE_ELF_BYTES);
	memcpy(elf, &eh, sizeof(eh));
	memcpy(elf + sizeof(eh), ph, count * sizeof(*ph));
}

/* ---- as text */

static uint64_t *fact_named(struct core_facts *facts, const char *name)
{
	if (strcmp(name, "low") == 0)
		return &facts->low_bytes;
	if (strcmp(name, "before") == 0)
		return &facts->before_bytes;
	if (strcmp(name, "direct_map") == 0)
		return &facts->direct_map;
	if (strcmp(name, "phys_base") == 0)
		return &facts->phys_base;
	return NULL;
}

/* Of the RAM below the hole there are whole pages, and it ends there. What is canonical, and in the upper half, is a
 * kernel's address. */
static bool facts_are_possible(const struct core_facts *f)
{
	return f->low_bytes <= CORE_HIGH_GPA && f->low_bytes % CORE_PAGE_BYTES == 0 &&
	       f->before_bytes <= CORE_BEFORE_MAX && f->before_bytes % CORE_PAGE_BYTES == 0 &&
	       (!f->direct_map || f->direct_map >> 56 == 0xff);
}

bool core_facts_parse(struct core_facts *facts, const char *text, size_t bytes)
{
	struct core_facts found = *facts;
	char line[CORE_TEXT_MAX], *save = NULL;

	if (bytes >= sizeof(line) || memchr(text, 0, bytes))
		return false;
	memcpy(line, text, bytes);
	line[bytes] = 0;
	for (char *at = strtok_r(line, "\n", &save); at; at = strtok_r(NULL, "\n", &save)) {
		char *value = strchr(at, ' '), *end;
		uint64_t *fact;

		if (!value)
			return false;
		*value++ = 0;
		fact = fact_named(&found, at);
		errno = 0;
		if (!fact || *value < '0' || *value > '9')
			return false;
		*fact = strtoull(value, &end, 0);
		if (*end || errno)
			return false;
	}
	if (!facts_are_possible(&found))
		return false;
	*facts = found;
	return true;
}

size_t core_facts_print(const struct core_facts *facts, uint64_t size, char text[CORE_TEXT_MAX])
{
	uint64_t low = facts->low_bytes ? facts->low_bytes : core_low_guess(facts->before_bytes + size);
	size_t n = (size_t)snprintf(text, CORE_TEXT_MAX, "low 0x%" PRIx64 "\n", low);

	if (facts->before_bytes)
		n += (size_t)snprintf(text + n, CORE_TEXT_MAX - n, "before 0x%" PRIx64 "\n", facts->before_bytes);
	if (facts->direct_map)
		n += (size_t)snprintf(text + n, CORE_TEXT_MAX - n, "direct_map 0x%" PRIx64 "\nphys_base 0x%" PRIx64 "\n",
				      facts->direct_map, facts->phys_base);
	if (!facts->low_bytes)
		n += (size_t)snprintf(text + n, CORE_TEXT_MAX - n, "guessed 1\n");
	return n;
}

enum core_view core_view_of(const char *name, size_t *region_name)
{
	static const struct {
		const char *ending;
		enum core_view view;
	} views[] = { { ".core", CORE_WHOLE }, { ".low", CORE_LOW }, { ".high", CORE_HIGH } };
	size_t n = strlen(name);

	for (unsigned i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
		size_t ending = strlen(views[i].ending);

		if (n <= ending || strcmp(name + n - ending, views[i].ending) != 0)
			continue;
		*region_name = n - ending;
		return views[i].view;
	}
	return CORE_NONE;
}
