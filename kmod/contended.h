/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The pages that nodes take from each other most often: where a shared guest loses its time.
 *
 * A table of a fixed size that keeps the heaviest of any number of pages ("space-saving": a page
 * that is not in it takes the place of the lightest, and inherits its count as a possible excess).
 * So a count is right to within `excess`, and the table's size does not depend on the region's.
 */
#ifndef GVM_CONTENDED_H
#define GVM_CONTENDED_H

#include <linux/types.h>

#define CONTENDED_PAGES 64

struct contended_page {
	u64 page;
	u64 count; /* of faults that waited for another node, and of revocations; 0: no entry */
	u64 excess; /* the count may be too high by this */
};

struct contended {
	struct contended_page pages[CONTENDED_PAGES];
};

void gvm_contended_count(struct contended *table, u64 page);
/* Sorts the table, heaviest page first. */
void gvm_contended_sort(struct contended *table);

#endif
