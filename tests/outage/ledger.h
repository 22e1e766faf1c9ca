/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ledger.h - what a verifying workload knows of its pages, in a file that outlives it.
 *
 * Of each page: the sequence number that a store was begun with, the one whose store is complete,
 * and the one that a sync has acknowledged. While the workload runs, a page holds exactly
 * `written`. After a crash of what is below it, it holds something from `acked` to `begun`, perhaps
 * words of several of these, since no store of 4096 bytes is atomic.
 *
 * storm.py reads the file while it is written (workloads.py has the same layout); integers are
 * native.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include <stdatomic.h>
#include <stdint.h>

#define LEDGER_MAGIC 0x7265676465676c31ull
enum { LEDGER_THREADS = 16, LEDGER_BUCKETS = 512, LEDGER_WAITS = 8192 };

struct ledger_page {
	_Atomic uint32_t lock, begun, written, acked;
};

/* An access that took long. Written once: `took_ns` last. */
struct ledger_wait {
	_Atomic uint64_t began_ns, took_ns;
};

struct ledger {
	uint64_t magic, pages;
	_Atomic uint64_t checks, writes, syncs, bad, errors, waits;
	_Atomic uint64_t
		since_ns[LEDGER_THREADS]; /* when a thread's access began; 0: it is in none */
	_Atomic uint64_t bucket[LEDGER_BUCKETS]; /* accesses by time: see ledger_bucket() */
	struct ledger_wait wait[LEDGER_WAITS];	 /* the newest, at waits % LEDGER_WAITS */
	struct ledger_page page[];
};

/* Eight buckets for each power of two of nanoseconds. */
static inline unsigned ledger_bucket(uint64_t ns)
{
	unsigned log = 63 - __builtin_clzll(ns | 8);

	return log * 8 + (unsigned)(ns >> (log - 3) & 7);
}

#endif
