/* SPDX-License-Identifier: GPL-2.0-or-later */
/* page_run.h - adjacent pages within a mask of a chunk's pages. Pure. */
#ifndef GVM_PAGE_RUN_H
#define GVM_PAGE_RUN_H

#include "gvm_wire.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

struct page_run {
	unsigned first, count;
};

/* The mask of these pages. */
static inline uint32_t page_run_mask(unsigned first, unsigned count)
{
	assert(first + count <= GVM_CHUNK_PAGES);
	return (uint32_t)(((1ull << count) - 1) << first);
}

/* Takes the lowest run, as long as it can be, out of *pages. False: *pages is empty. */
static inline bool page_run_take(uint32_t *pages, struct page_run *run)
{
	uint32_t others;

	if (!*pages)
		return false;
	run->first = (unsigned)__builtin_ctz(*pages);
	others = ~(*pages >> run->first);
	run->count = others ? (unsigned)__builtin_ctz(others) : GVM_CHUNK_PAGES;
	*pages &= ~page_run_mask(run->first, run->count);
	return true;
}

/* Whether the pages are one run. */
static inline bool page_run_is(uint32_t pages)
{
	struct page_run run;

	return page_run_take(&pages, &run) && !pages;
}

#endif
