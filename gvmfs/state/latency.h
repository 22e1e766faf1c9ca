/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * latency.h - how long users wait, by stage: a histogram of each region and one of the mount, their sum, shown by the
 * extended attribute `user.gvm.latency`.
 *
 * The bounds are powers of two and, between them, of the square root of two: from 8 us to 8.4 s, so that a quantile is
 * known to a fifth. Like the counters (stats.h) they are in the journal, so that a successor goes on counting, and any
 * thread adds to them and reads them, without a lock.
 */
#ifndef GVMFS_LATENCY_H
#define GVMFS_LATENCY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum latency_stage {
	/* On the fast path: from when a page that a fault waits for is asked of a node to when it is mapped. */
	LATENCY_FAULT,
	/* The kernel's READs, for the page cache or read(2), that cannot be answered at once: from then to the answer. */
	LATENCY_READ,
	/* From when a changed chunk is given to a writer to when its nodes have acknowledged it. */
	LATENCY_PUT,
	LATENCY_STAGES
};

#define LATENCY_BOUNDS 41u

struct latency {
	_Atomic uint64_t count[LATENCY_BOUNDS + 1]; /* the last one: longer than any bound */
	_Atomic uint64_t sum_ns;
};

/* The bucket that counts a wait of so long: the first whose bound is not below; LATENCY_BOUNDS: longer than any. */
unsigned latency_bucket(uint64_t ns);
/* The longest wait that a bucket < LATENCY_BOUNDS counts. */
uint64_t latency_bound_ns(unsigned bucket);

/* Counts one wait of a stage, of a region and of its mount. */
void latency_add(struct latency *region, struct latency *mount, uint64_t ns);

/* Writes lines "STAGE BOUND_NS COUNT" of the buckets that have any ("inf": the last one), and "STAGE sum SUM_NS", into buf;
 * returns the bytes written. LATENCY_TEXT bytes are enough. */
#define LATENCY_TEXT (LATENCY_STAGES * (LATENCY_BOUNDS + 2) * 48)
size_t latency_print(const struct latency stages[LATENCY_STAGES], char *buf, size_t size);

#endif
