// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_core.c - the head of NAME.core: every address that it names is at the place of the region where the machine has
 * it, whatever is known of the guest; and what is set by text is taken as a whole or not at all. */
#include "check.h"
#include "gvmfs/state/core.h"

#include <elf.h>

#define MIB 1048576ull
#define GIB (1024 * MIB)
#define DIRECT_MAP 0xffff888000000000ull

static uint8_t elf[CORE_ELF_BYTES];

static unsigned loads(Elf64_Phdr ph[16])
{
	Elf64_Ehdr eh;

	memcpy(&eh, elf, sizeof(eh));
	CHECK_MEM(eh.e_ident, ELFMAG, SELFMAG);
	CHECK(eh.e_type == ET_CORE && eh.e_machine == EM_X86_64 && eh.e_phentsize == sizeof(*ph));
	CHECK(eh.e_phnum && eh.e_phnum <= 16);
	memcpy(ph, elf + eh.e_phoff, eh.e_phnum * sizeof(*ph));
	return eh.e_phnum;
}

/* Where the core has this address, as an offset in the region; ~0: nowhere. */
static uint64_t off_of(uint64_t address, bool is_virtual)
{
	Elf64_Phdr ph[16];
	unsigned n = loads(ph);

	for (unsigned i = 0; i < n; i++) {
		uint64_t begin = is_virtual ? ph[i].p_vaddr : ph[i].p_paddr;

		if (ph[i].p_type == PT_LOAD && address >= begin && address - begin < ph[i].p_filesz)
			return ph[i].p_offset - CORE_HEAD_BYTES + (address - begin);
	}
	return ~0ull;
}

static void memory_is_where_machines_have_it(void)
{
	static const struct {
		uint64_t low, size, high_off;
	} machines[] = {
		{ 0, 512 * MIB, 0 },			       /* all of it below */
		{ 0, 3584 * MIB, 0xc0000000 },		       /* pc, as is guessed */
		{ 0x80000000, 2816 * MIB, 0x80000000 },	       /* q35 */
		{ 0xb0000000, 2 * GIB, 0 },		       /* less than there would be room for */
		{ 0x80000000, 1024 * GIB, 0x80000000 },
	};

	for (unsigned i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
		struct core_facts facts = { .low_bytes = machines[i].low };
		uint64_t size = machines[i].size, high = machines[i].high_off, low = high ? high : size;

		core_elf(&facts, size, elf);
		CHECK_EQ(off_of(0, false), 0);
		CHECK_EQ(off_of(low - 1, false), low - 1);
		CHECK_EQ(off_of(low, false), ~0ull);
		CHECK_EQ(off_of(CORE_HIGH_GPA, false), high ? high : ~0ull);
		CHECK_EQ(off_of(CORE_HIGH_GPA + size - low, false), ~0ull);
		if (high)
			CHECK_EQ(off_of(CORE_HIGH_GPA + size - low - 1, false), size - 1);
		CHECK_EQ(core_part(CORE_WHOLE, &facts, size).bytes, size);
		CHECK_EQ(core_part(CORE_LOW, &facts, size).bytes, low);
		CHECK_EQ(core_part(CORE_HIGH, &facts, size).bytes, size - low);
		CHECK_EQ(core_part(CORE_HIGH, &facts, size).off, low);
	}
}

/* Of NUMA nodes, say. */
static void memory_in_several_regions_goes_on(void)
{
	struct core_facts first = { .low_bytes = 2 * GIB }, second = { .low_bytes = 2 * GIB, .before_bytes = 1536 * MIB },
			  third = { .low_bytes = 2 * GIB, .before_bytes = 3 * GIB };

	core_elf(&first, 1536 * MIB, elf);
	CHECK(off_of(0, false) == 0 && off_of(1536 * MIB, false) == ~0ull && off_of(CORE_HIGH_GPA, false) == ~0ull);
	core_elf(&second, 1536 * MIB, elf);
	CHECK(off_of(0, false) == ~0ull && off_of(1536 * MIB, false) == 0 && off_of(2 * GIB - 1, false) == 512 * MIB - 1);
	CHECK(off_of(2 * GIB, false) == ~0ull && off_of(CORE_HIGH_GPA, false) == 512 * MIB);
	CHECK_EQ(core_part(CORE_LOW, &second, 1536 * MIB).bytes, 512 * MIB);
	core_elf(&third, 1536 * MIB, elf);
	CHECK(off_of(CORE_HIGH_GPA + GIB, false) == 0 && off_of(CORE_HIGH_GPA, false) == ~0ull);
	CHECK_EQ(core_part(CORE_LOW, &third, 1536 * MIB).bytes, 0);
}

static void kernel_is_where_it_was_put(void)
{
	struct core_facts facts = { .low_bytes = 2 * GIB, .direct_map = DIRECT_MAP, .phys_base = 0x3600000 };

	core_elf(&facts, 6 * GIB, elf);
	CHECK_EQ(off_of(DIRECT_MAP + 5, true), 5);
	CHECK_EQ(off_of(DIRECT_MAP + CORE_HIGH_GPA, true), 2 * GIB);
	CHECK_EQ(off_of(CORE_KERNEL_BASE + 0x1000000, true), 0x4600000);
	CHECK_EQ(off_of(0x4600000, false), 0x4600000);

	/* Loaded lower than linked, relative to the slide; and beyond the hole. */
	facts.phys_base = (uint64_t)-(int64_t)0x1c000000;
	core_elf(&facts, 6 * GIB, elf);
	CHECK_EQ(off_of(CORE_KERNEL_BASE, true), ~0ull);
	CHECK_EQ(off_of(CORE_KERNEL_BASE + 0x1d000000, true), 0x1000000);
	facts.phys_base = CORE_HIGH_GPA + 512 * MIB;
	core_elf(&facts, 6 * GIB, elf);
	CHECK_EQ(off_of(CORE_KERNEL_BASE + 0x1000, true), 2 * GIB + 512 * MIB + 0x1000);
	CHECK_EQ(off_of(CORE_KERNEL_BASE + CORE_KERNEL_SPAN - 1, true), 2 * GIB + 1536 * MIB - 1);
}

static void note_comes_before_all_loads(void)
{
	struct core_facts facts = { .low_bytes = 2 * GIB, .note_bytes = 2000 };
	uint8_t note[64] = { 5, 0, 0, 0, 9, 0, 0, 0 };
	Elf64_Phdr ph[16];

	core_elf(&facts, 3 * GIB, elf);
	CHECK_EQ(loads(ph), 3);
	CHECK(ph[0].p_type == PT_NOTE && ph[0].p_filesz == 2000);
	CHECK(ph[0].p_offset + ph[0].p_filesz <= CORE_HEAD_BYTES && ph[0].p_offset >= 64 + 3 * sizeof(*ph));
	/* A header, 5 bytes of name and 9 of content: both to a multiple of 4. */
	for (size_t bytes = 0; bytes <= sizeof(note); bytes++)
		CHECK_EQ(core_is_note(note, bytes), bytes == 12 + 8 + 12);
	memset(note, 0xff, 8);
	CHECK(!core_is_note(note, sizeof(note)));
}

/* Whatever is set: no header reaches out of the region, and none names an address twice. */
static void nothing_that_can_be_set_leaves_the_region(void)
{
	for (unsigned i = 0; i < 100000; i++) {
		struct core_facts facts = {
			.low_bytes = check_random() % 5 ? check_random() % (CORE_HIGH_GPA / 4096 + 1) * 4096 : 0,
			.before_bytes = check_random() % 3 ? 0 : (check_random() >> (18 + check_random() % 46)) & ~4095ull,
			.direct_map = check_random() % 3 ? check_random() | 0xffull << 56 : 0,
			.phys_base = check_random() >> check_random() % 64,
			.note_bytes = check_random() >> check_random() % 64,
		};
		uint64_t size = 1 + (check_random() >> (20 + check_random() % 43));
		Elf64_Phdr ph[16];
		unsigned n;

		core_elf(&facts, size, elf);
		n = loads(ph);
		for (unsigned k = 0; k < n; k++) {
			if (ph[k].p_type == PT_NOTE) {
				CHECK(ph[k].p_offset + ph[k].p_filesz <= CORE_HEAD_BYTES);
				continue;
			}
			CHECK(ph[k].p_offset >= CORE_HEAD_BYTES && ph[k].p_filesz && ph[k].p_filesz <= size);
			CHECK(ph[k].p_offset - CORE_HEAD_BYTES <= size - ph[k].p_filesz);
		}
	}
}

static bool set(struct core_facts *facts, const char *text)
{
	return core_facts_parse(facts, text, strlen(text));
}

static void text_is_taken_as_a_whole(void)
{
	static const char *const refused[] = {
		"low", "low ", "low x", "low -1", "low 0x80000000\nhigh 5", "low 4097", "low 0x100001000", "phys_base 1 2",
		"before 5", "before 0x800000000000",
		"direct_map 0x1000", "phys_base 99999999999999999999999", " low 4096",
	};
	struct core_facts facts = { .low_bytes = 4096, .phys_base = 7 }, before = facts;
	char text[CORE_TEXT_MAX];

	for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		CHECK(!set(&facts, refused[i]));
		CHECK_MEM(&facts, &before, sizeof(facts));
	}
	CHECK(!core_facts_parse(&facts, "low 4096\0\n", 10));
	CHECK(set(&facts, ""));
	CHECK(set(&facts, "direct_map 0xffff888000000000\nphys_base 0xfffffffffe000000\n"));
	CHECK(facts.low_bytes == 4096 && facts.phys_base == 0xfffffffffe000000ull);
	text[core_facts_print(&facts, GIB, text)] = 0;
	before = facts;
	memset(&facts, 0, sizeof(facts));
	CHECK(set(&facts, text));
	CHECK_MEM(&facts, &before, sizeof(facts));
}

static void only_names_with_these_endings_are_views(void)
{
	size_t n = 0;

	CHECK(core_view_of("guest.core", &n) == CORE_WHOLE && n == 5);
	CHECK(core_view_of("a.core.low", &n) == CORE_LOW && n == 6);
	CHECK(core_view_of("g.high", &n) == CORE_HIGH && n == 1);
	CHECK(!core_view_of(".core", &n) && !core_view_of("core", &n) && !core_view_of("guest.Core", &n) &&
	      !core_view_of("guest.core.", &n) && !core_view_of("", &n));
}

static const struct check_test tests[] = {
	{ "memory-is-where-machines-have-it", memory_is_where_machines_have_it },
	{ "memory-in-several-regions-goes-on", memory_in_several_regions_goes_on },
	{ "the-kernel-is-where-it-was-put", kernel_is_where_it_was_put },
	{ "the-note-comes-before-all-loads", note_comes_before_all_loads },
	{ "nothing-that-can-be-set-leaves-the-region", nothing_that_can_be_set_leaves_the_region },
	{ "text-is-taken-as-a-whole", text_is_taken_as_a_whole },
	{ "only-names-with-these-endings-are-views", only_names_with_these_endings_are_views },
};

CHECK_MAIN(tests)
