/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shares.h - one budget for several regions of a guest (NUMA nodes, DIMMs, virtio-mem). Pure.
 *
 * A region that has less here than its share of the budget, or that fetches nothing, leaves room to
 * those that do: max-min fairness, weighted by size (Bertsekas & Gallager, Data Networks, 6.5.2).
 * Pages that are not used stay where they are until another region needs their room: so an idle region's
 * share shrinks step by step, and only while another one is hungry.
 */
#ifndef TOOLS_RUN_SHARES_H
#define TOOLS_RUN_SHARES_H

#include <stdbool.h>
#include <stdint.h>

#define RUN_SHARE_MIN (4ull << 20) /* bytes: what any region may have */

struct run_share {
	uint64_t size_bytes;	 /* the region's */
	uint64_t resident_bytes; /* of it on this host, as last seen */
	bool hungry;		 /* it has fetched since the last time */
	uint64_t bytes;		 /* its share: what it had, and what it gets */
	/* while they are divided */
	uint64_t want_bytes;
	bool fixed;
};

/* Divides `local_bytes` among n regions, of which some are hungry or new: the shares add up to at most
 * that, or to n times RUN_SHARE_MIN where that is more. With `bytes` 0 (the start) what is above RUN_SHARE_MIN is in proportion to
 * the sizes. */
void run_shares_divide(struct run_share *share, unsigned n, uint64_t local_bytes);
/* The budget is another one, and no region is hungry: each share changes by the same factor. */
void run_shares_scale(struct run_share *share, unsigned n, uint64_t local_bytes);

#endif
