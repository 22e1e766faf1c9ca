/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sizes.h - how much gvm bench measures, and how often. */
#ifndef TOOLS_BENCH_SIZES_H
#define TOOLS_BENCH_SIZES_H

#include <stdbool.h>
#include <stdint.h>

struct bench_sizes {
	unsigned rounds;
	uint64_t deadline_ns; /* no round begins after it; 0: none */
	uint64_t file_bytes;  /* of the mapped file */
	unsigned faults;      /* random faults a round */
	uint64_t guest_bytes; /* of each of two guests at once, and their faults: */
	unsigned guest_faults;
	uint64_t seq_bytes;
	uint64_t write_bytes;
	uint64_t retouch_bytes; /* the set; the budget is a quarter of it */
	unsigned retouch_ms;
	uint64_t half_bytes; /* the set of zipf and seq_half; the budget is half of it */
	unsigned half_ms;
	uint64_t writeback_bytes; /* the budget */
	unsigned exchange_ms;
	unsigned values; /* in a store */
	unsigned depth;	 /* requests under way */
	const char *before; /* where another build's programs are, which are measured, too; NULL: not */
	bool seal;	 /* a mount that seals is measured, too */
	bool tls;	 /* and one over TLS */
	bool persist;	 /* and a node that keeps chunks */
	unsigned busy;	 /* processes that compute beside it all */
	unsigned replicas; /* and a mount with so many copies on as many nodes; 0: not */
};

#endif
