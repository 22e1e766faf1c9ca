// SPDX-License-Identifier: GPL-2.0-or-later
/* inspect_core.c - how gvm inspect reads a guest: an ELF core's addresses, page tables of x86-64, and Linux's note. */
#include "check.h"
#include "tools/inspect/core_map.h"
#include "tools/inspect/note.h"
#include "tools/inspect/page_table.h"

#include <elf.h>
#include <errno.h>

#define GIB (1ull << 30)

/* ---- ELF cores */

static uint8_t head[CORE_MAP_HEAD];

static void core_make(const Elf64_Phdr *ph, unsigned count)
{
	Elf64_Ehdr eh = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_CORE,
		.e_machine = EM_X86_64,
		.e_phoff = sizeof(eh),
		.e_phentsize = sizeof(*ph),
		.e_phnum = (Elf64_Half)count,
	};

	memset(head, 0, sizeof(head));
	memcpy(head, &eh, sizeof(eh));
	memcpy(head + sizeof(eh), ph, count * sizeof(*ph));
}

static void core_says_where_what_is(void)
{
	static const Elf64_Phdr ph[] = {
		{ .p_type = PT_NOTE, .p_offset = 4096, .p_filesz = 100 },
		{ .p_type = PT_LOAD, .p_offset = GIB, .p_paddr = 0, .p_vaddr = 0xffff888000000000, .p_filesz = GIB },
		{ .p_type = PT_LOAD, .p_offset = 2 * GIB, .p_paddr = 4 * GIB, .p_vaddr = 0xffff888100000000, .p_filesz = GIB },
		{ .p_type = PT_LOAD, .p_offset = GIB, .p_paddr = 0, .p_vaddr = 0xffffffff80000000, .p_filesz = GIB },
	};
	struct core_map_part ranges[CORE_MAP_MAX];
	struct core_map map;
	uint64_t at, bytes;

	core_make(ph, 4);
	CHECK_EQ(core_map_parse(&map, head, sizeof(head), 3 * GIB), 0);
	CHECK(map.parts == 3 && map.note_off == 4096 && map.note_bytes == 100);
	CHECK(core_map_gpa(&map, 5, &at, &bytes) && at == GIB + 5 && bytes == GIB - 5);
	CHECK(core_map_gpa(&map, 5 * GIB - 1, &at, &bytes) && at == 3 * GIB - 1 && bytes == 1);
	CHECK(!core_map_gpa(&map, GIB, &at, &bytes) && !core_map_gpa(&map, 5 * GIB, &at, &bytes));
	CHECK(core_map_va(&map, 0xffff888100000007, &at, &bytes) && at == 4 * GIB + 7);
	CHECK(core_map_va(&map, 0xffffffff81000000, &at, &bytes) && at == 0x1000000);
	CHECK(!core_map_va(&map, 0x1000000, &at, &bytes));
	/* The text is memory that was there before. */
	CHECK_EQ(core_map_ranges(&map, ranges), 2);
	/* What lies outside of the file is not there. */
	CHECK_EQ(core_map_parse(&map, head, sizeof(head), 3 * GIB - 1), 0);
	CHECK(map.parts == 2 && !core_map_gpa(&map, 4 * GIB, &at, &bytes));
	CHECK_EQ(core_map_parse(&map, head, sizeof(head), GIB), -EINVAL);
}

static void other_files_are_no_cores(void)
{
	static const Elf64_Phdr ph = { .p_type = PT_LOAD, .p_offset = 4096, .p_filesz = 4096 };
	struct core_map map;

	core_make(&ph, 1);
	CHECK_EQ(core_map_parse(&map, head, sizeof(head), 8192), 0);
	for (size_t bytes = 0; bytes < sizeof(Elf64_Ehdr) + sizeof(ph); bytes++)
		CHECK_EQ(core_map_parse(&map, head, bytes, 8192), -EINVAL);
	for (size_t at = 0; at < 5; at++) {
		head[at] ^= 1;
		CHECK_EQ(core_map_parse(&map, head, sizeof(head), 8192), -EINVAL);
		head[at] ^= 1;
	}
	head[16] = ET_EXEC;
	CHECK_EQ(core_map_parse(&map, head, sizeof(head), 8192), -EINVAL);
}

/* ---- page tables */

#define FRAMES 16u
#define PRESENT 1ull
#define LARGE	0x80ull

static uint64_t memory[FRAMES][512];

static int memory_entry(void *arg, uint64_t gpa, uint64_t *entry)
{
	(void)arg;
	if (gpa / 4096 >= FRAMES)
		return -EFAULT;
	*entry = memory[gpa / 4096][gpa % 4096 / 8];
	return 0;
}

static struct page_table tables(unsigned levels)
{
	/* With bits of CR3 that are no address. */
	return (struct page_table){ .cr3 = 0x8000000000001018, .levels = levels, .read = memory_entry };
}

static void pages_of_all_sizes_are_found(void)
{
	struct page_table pt = tables(4);
	struct page_table_found f;

	memset(memory, 0, sizeof(memory));
	memory[1][511] = 0x2000 | PRESENT;
	memory[2][510] = 0x3000 | PRESENT;
	memory[2][511] = 0x8000000080000000 | LARGE | PRESENT; /* 1 GiB; not executable */
	memory[3][8] = 0x40000000 | LARGE | PRESENT | 1ull << 12;  /* 2 MiB; the bit is PAT */
	memory[3][9] = 0x4000 | PRESENT;
	memory[4][3] = 0x80000000abcde000 | 0x80 | PRESENT; /* of 4 KiB the bit is PAT */

	CHECK_EQ(page_table_walk(&pt, 0xffffffff81000123, &f), 0);
	CHECK(f.gpa == 0x40000123 && f.level == 2 && f.bytes == (2 << 20) - 0x123);
	CHECK_EQ(page_table_walk(&pt, 0xffffffff81203fff, &f), 0);
	CHECK(f.gpa == 0xabcdefff && f.level == 1 && f.bytes == 1);
	CHECK_EQ(page_table_walk(&pt, 0xffffffffc0000000 + 0x12345678, &f), 0);
	CHECK(f.gpa == 0x80000000 + 0x12345678 && f.level == 3);
	CHECK_EQ(page_table_walk(&pt, 0xffffffff81204000, &f), -ENOENT);
	CHECK(f.level == 1 && f.entry_gpa == 0x4000 + 4 * 8);
	CHECK_EQ(page_table_walk(&pt, 0, &f), -ENOENT);
	CHECK_EQ(f.level, 4);
	CHECK_EQ(page_table_walk(&pt, 0x0000800000000000, &f), -EINVAL);
	CHECK_EQ(page_table_walk(&pt, 0xffff7fffffffffff, &f), -EINVAL);
	memory[2][5] = 0xfff000 | PRESENT; /* where no memory is */
	CHECK_EQ(page_table_walk(&pt, 0xffffff8000000000 + 5 * GIB, &f), -EFAULT);
}

static void five_levels_reach_farther(void)
{
	struct page_table pt = tables(5);
	struct page_table_found f;

	memset(memory, 0, sizeof(memory));
	memory[1][1] = 0x2000 | PRESENT;
	memory[2][0] = 0x3000 | PRESENT;
	memory[3][0] = LARGE | PRESENT;
	CHECK_EQ(page_table_walk(&pt, 0x0001000000000042, &f), 0);
	CHECK(f.gpa == 0x42 && f.level == 3);
	/* LARGE means nothing in the levels above. */
	memory[2][0] |= LARGE;
	CHECK_EQ(page_table_walk(&pt, 0x0001000000000042, &f), 0);
	CHECK_EQ(f.level, 3);
	CHECK_EQ(page_table_walk(&pt, 0x0100000000000000, &f), -EINVAL);
}

/* Whatever is in memory: it ends, reads entries where tables can be, and finds no more than a page. */
static void any_memory_is_survived(void)
{
	for (unsigned i = 0; i < 200000; i++) {
		struct page_table pt = tables(4 + i % 2);
		struct page_table_found f;

		for (unsigned n = 0; n < 4; n++)
			memory[check_random() % FRAMES][check_random() % 4] =
				check_random() % 3 ? (check_random() % FRAMES) << 12 | PRESENT | (check_random() & LARGE) :
						     check_random();
		if (page_table_walk(&pt, check_random() >> check_random() % 64 & 0x0000700000003fff, &f))
			continue;
		CHECK(f.level >= 1 && f.level <= 3 && f.bytes && f.bytes <= GIB && f.gpa < 1ull << 52);
	}
}

/* ---- the note */

#define TEXT "OSRELEASE=6.1.0\nKERNELOFFSET=1e000000\nNUMBER(phys_base)=-16777216\nSYMBOL(x)=zz\nLAST=5"

static size_t note_make(uint8_t *note)
{
	Elf64_Nhdr nh = { .n_namesz = 11, .n_descsz = sizeof(TEXT) - 1 };

	memset(note, 0, 256);
	memcpy(note, &nh, sizeof(nh));
	strcpy((char *)note + sizeof(nh), "VMCOREINFO");
	memcpy(note + NOTE_HEAD_BYTES, TEXT, sizeof(TEXT) - 1);
	return NOTE_HEAD_BYTES + (sizeof(TEXT) + 2) / 4 * 4;
}

static void note_is_read_within_its_bounds(void)
{
	uint8_t note[256];
	size_t n = note_make(note);
	char *text = note_vmcoreinfo(note, n);
	uint64_t value;

	CHECK(text && !strcmp(text, TEXT));
	CHECK(note_value(text, "KERNELOFFSET", 16, &value) && value == 0x1e000000);
	CHECK(note_value(text, "NUMBER(phys_base)", 10, &value) && value == (uint64_t)-16777216);
	CHECK(note_value(text, "LAST", 10, &value) && value == 5);
	CHECK(!note_value(text, "SYMBOL(x)", 16, &value) && !note_value(text, "OFFSET", 16, &value));
	free(text);
	for (size_t bytes = 0; bytes < n; bytes++)
		CHECK(!note_vmcoreinfo(note, bytes));
	note[7] = 0xff; /* longer than any */
	CHECK(!note_bytes(note));
	note_make(note);
	note[13] = 'X';
	CHECK(!note_bytes(note));
}

static const struct check_test tests[] = {
	{ "core-says-where-what-is", core_says_where_what_is },
	{ "other-files-are-no-cores", other_files_are_no_cores },
	{ "pages-of-all-sizes-are-found", pages_of_all_sizes_are_found },
	{ "five-levels-reach-farther", five_levels_reach_farther },
	{ "any-memory-is-survived", any_memory_is_survived },
	{ "note-is-read-within-its-bounds", note_is_read_within_its_bounds },
};

CHECK_MAIN(tests)
