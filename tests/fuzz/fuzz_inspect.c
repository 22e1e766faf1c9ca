// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuzz_inspect.c - what gvm inspect and gvmfs take from others about a guest: an ELF core's headers, page tables, the note
 * VMCOREINFO, and what is set of the guest. Nothing leads out of the file or of the region.
 *
 * fuzz-sources: tools/inspect/core_map.c tools/inspect/note.c tools/inspect/page_table.c gvmfs/state/core.c
 */
#include "fuzz.h"
#include "gvmfs/state/core.h"
#include "tools/inspect/core_map.h"
#include "tools/inspect/note.h"
#include "tools/inspect/page_table.h"

#include <errno.h>

struct bytes {
	const uint8_t *data;
	size_t size;
};

static void core_read(const struct bytes *in)
{
	struct core_map_part ranges[CORE_MAP_MAX];
	uint64_t limit = 1ull << 40, at, bytes;
	struct core_map map;
	unsigned n;

	if (core_map_parse(&map, in->data, in->size, limit))
		return;
	FUZZ_CHECK(map.parts && map.parts <= CORE_MAP_MAX);
	n = core_map_ranges(&map, ranges);
	FUZZ_CHECK(n && n <= map.parts);
	for (unsigned i = 0; i < n; i++) {
		FUZZ_CHECK(core_map_gpa(&map, ranges[i].gpa, &at, &bytes));
		FUZZ_CHECK(bytes && at < limit && bytes <= limit - at);
		if (core_map_va(&map, ranges[i].va, &at, &bytes))
			FUZZ_CHECK(core_map_gpa(&map, at, &at, &bytes));
	}
	FUZZ_CHECK(map.note_off <= limit && map.note_bytes <= limit - map.note_off);
}

static int entry_read(void *arg, uint64_t gpa, uint64_t *entry)
{
	const struct bytes *in = arg;

	FUZZ_CHECK(gpa % 8 == 0);
	if (gpa > in->size || in->size - gpa < sizeof(*entry))
		return -EFAULT;
	memcpy(entry, in->data + gpa, sizeof(*entry));
	return 0;
}

static void tables_read(struct bytes *in)
{
	struct page_table pt = { .levels = 4 + in->size % 2, .read = entry_read, .arg = in };
	struct page_table_found found;
	uint64_t va;

	if (in->size < sizeof(va))
		return;
	memcpy(&va, in->data, sizeof(va));
	if (!page_table_walk(&pt, va, &found))
		FUZZ_CHECK(found.level >= 1 && found.level <= 3 && found.bytes && found.gpa < 1ull << 52);
}

static void note_read(const struct bytes *in)
{
	char *text = note_vmcoreinfo(in->data, in->size);
	uint64_t value;

	if (text)
		note_value(text, "KERNELOFFSET", 16, &value);
	free(text);
	core_is_note(in->data, in->size);
}

static void facts_read(const struct bytes *in)
{
	struct core_facts facts = { .low_bytes = 0 }, again = { .low_bytes = 0 };
	uint8_t elf[CORE_ELF_BYTES];
	char text[CORE_TEXT_MAX];
	struct core_map map;

	if (!core_facts_parse(&facts, (const char *)in->data, in->size))
		return;
	core_elf(&facts, 6ull << 30, elf);
	FUZZ_CHECK(!core_map_parse(&map, elf, sizeof(elf), CORE_HEAD_BYTES + (6ull << 30)));
	if (facts.low_bytes && facts.direct_map) {
		FUZZ_CHECK(core_facts_parse(&again, text, core_facts_print(&facts, 6ull << 30, text)));
		FUZZ_CHECK(!memcmp(&facts, &again, sizeof(facts)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = { data + 1, size - 1 };

	if (!size)
		return 0;
	switch (*data % 4) {
	case 0:
		core_read(&in);
		break;
	case 1:
		tables_read(&in);
		break;
	case 2:
		note_read(&in);
		break;
	default:
		facts_read(&in);
	}
	return 0;
}
