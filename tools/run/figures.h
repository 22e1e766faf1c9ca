/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * figures.h - what a guest cost: the sentence with which gvm run ends.
 *
 * The counters of gvmfs go on from guest to guest, so that what they were at the start is taken off.
 * How much of the RAM was here is gvmfs's own count on the fast path; of a mapped file it is what the
 * page cache has of it, looked at now and then (Linux before 6.5 cannot tell: all of the group's file
 * pages then, disk images too).
 *
 * QEMU's own memory is what the group has beside files and shared memory. A reading sees it at one
 * moment, and a QEMU that ends at once is gone before any has seen much. The kernel's peak of the whole
 * group misses nothing: in a group that never reached its limit no page of a file had to go, so that
 * what the peak has beside all of them is QEMU's own. Once pages go it says no such thing; by then
 * there are readings enough.
 */
#ifndef TOOLS_RUN_FIGURES_H
#define TOOLS_RUN_FIGURES_H

#include "command.h"
#include "memcg.h"
#include "region.h"

#include <stdbool.h>
#include <stdint.h>

struct run_figures {
	const struct run_region *region;
	unsigned regions;
	struct run_counters {
		uint64_t faults, fetched, fetch_bytes, written, put_bytes;
	} before;
	uint64_t peak_cached_bytes[RUN_REGIONS_MAX]; /* where the kernel says so */
	uint64_t peak_own_bytes, peak_file_bytes, peak_shared_bytes;
	uint64_t lowest_limit_bytes; /* that the group ever had */
	uint64_t looked_ns, looked_file_bytes;
	unsigned readings;
	bool cache_unknown, own_unknown, counters_lost;
};

/* The regions are the caller's, and stay. The group's first limit is limit_bytes. */
void run_figures_begin(struct run_figures *f, const struct run_region *region, unsigned regions,
		       uint64_t limit_bytes);
void run_figures_limit(struct run_figures *f, uint64_t limit_bytes);
void run_figures_take(struct run_figures *f, const struct memcg_stat *st, uint64_t now_ns);
/* After the guest's end; `cg` is still there. */
void run_figures_end(struct run_figures *f, const struct memcg *cg);
void run_figures_say(struct run_figures *f, uint64_t oom_kills);

#endif
