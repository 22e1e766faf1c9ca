// SPDX-License-Identifier: GPL-2.0-or-later
#include "page_table.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define PRESENT	 1ull
#define LARGE	 (1ull << 7) /* of levels 2 and 3 */
#define LEVEL_LARGE_MAX 3u
#define ADDRESS	 0x000ffffffffff000ull
#define PAGE_SHIFT 12u
#define LEVEL_SHIFT 9u

static bool is_canonical(uint64_t va, unsigned levels)
{
	unsigned unused = 64 - (PAGE_SHIFT + LEVEL_SHIFT * levels);

	return (uint64_t)((int64_t)(va << unused) >> unused) == va;
}

int page_table_walk(const struct page_table *pt, uint64_t va, struct page_table_found *found)
{
	uint64_t table = pt->cr3 & ADDRESS;

	memset(found, 0, sizeof(*found));
	if (!is_canonical(va, pt->levels))
		return -EINVAL;
	for (unsigned level = pt->levels; level; level--) {
		unsigned shift = PAGE_SHIFT + LEVEL_SHIFT * (level - 1);
		uint64_t span = 1ull << shift, index = va >> shift & 0x1ff;
		int rc;

		found->level = level;
		found->entry_gpa = table + index * sizeof(uint64_t);
		rc = pt->read(pt->arg, found->entry_gpa, &found->entry);
		if (rc)
			return rc;
		if (!(found->entry & PRESENT))
			return -ENOENT;
		if (level == 1 || (level <= LEVEL_LARGE_MAX && found->entry & LARGE)) {
			found->gpa = (found->entry & ADDRESS & ~(span - 1)) | (va & (span - 1));
			found->bytes = span - (va & (span - 1));
			return 0;
		}
		table = found->entry & ADDRESS;
	}
	return -EINVAL;
}
