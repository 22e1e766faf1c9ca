// SPDX-License-Identifier: GPL-2.0
/* The most contended pages: see contended.h. Pure code. */
#include <linux/sort.h>

#include "contended.h"

void gvm_contended_count(struct contended *table, u64 page)
{
	struct contended_page *lightest = &table->pages[0], *entry;

	for (entry = table->pages; entry < table->pages + CONTENDED_PAGES; entry++) {
		if (entry->count && entry->page == page) {
			entry->count++;
			return;
		}
		if (entry->count < lightest->count)
			lightest = entry;
	}
	lightest->excess = lightest->count;
	lightest->count++;
	lightest->page = page;
}

static int heavier(const void *a, const void *b)
{
	const struct contended_page *x = a, *y = b;

	return x->count == y->count ? 0 : x->count > y->count ? -1 : 1;
}

void gvm_contended_sort(struct contended *table)
{
	sort(table->pages, CONTENDED_PAGES, sizeof(table->pages[0]), heavier, NULL);
}
