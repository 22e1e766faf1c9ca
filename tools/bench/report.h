/* SPDX-License-Identifier: GPL-2.0-or-later */
/* report.h - what was measured, and of whom: collected, and printed. */
#ifndef TOOLS_BENCH_REPORT_H
#define TOOLS_BENCH_REPORT_H

#include "bench_file.h"

#include <stdint.h>

#define BENCH_ROUNDS_MAX 16
#define BENCH_HIST	 28 /* buckets, each 1.41 times the one before, from 4 us on */

enum bench_party {
	PARTY_OURS, /* of a file: through FUSE, the default front */
	PARTY_UFFD, /* the same file through the fast path; in its own measures it is `ours` */
	PARTY_NBDFUSE,
	/* Both fronts of a mount; in the measures of the second it is named as the first. */
	PARTY_SEALED, /* that seals */
	PARTY_SEALED_UFFD,
	PARTY_TLS, /* whose node has TLS; of stores: such a node */
	PARTY_TLS_UFFD,
	PARTY_REPLICATED, /* that keeps chunks on several nodes */
	PARTY_REPLICATED_UFFD,
	PARTY_BEFORE, /* another build of ours; of stores: its node */
	PARTY_BEFORE_UFFD,
	PARTY_BEFORE_QUIET, /* while nothing is written back */
	PARTY_PERSIST, /* a node that keeps chunks */
	PARTY_NO_NETWORK, /* gvmfs that does not send what it encoded */
	PARTY_MEMCACHED,
	PARTY_REDIS,
	PARTY_RAW_TCP,
	PARTY_PARTS,	     /* of a fault, measured alone and added up */
	PARTY_UFFD_CONTINUE, /* a bare UFFDIO_CONTINUE */
	PARTY_QUIET,	     /* ours while nothing is written back */
	PARTY_LOCAL,	     /* memory that is all here */
	PARTY_OPTIMUM,	     /* what the best choice of pages would miss */
	PARTY_ONE_GUEST,     /* ours with one guest instead of two */
	PARTY_ONE_THREAD,    /* ours with one thread instead of four */
	PARTIES,
};

enum bench_measure {
	/* of a mapped file, by front */
	MEASURE_FAULT_RANDOM,
	MEASURE_FAULT_RANDOM_P99,
	MEASURE_SEQ_READ,
	MEASURE_WRITE_MSYNC,
	MEASURE_RETOUCH,
	MEASURE_UFFD, /* the same, in the same order */
	MEASURE_SECOND_CHANCE = 2 * MEASURE_UFFD,
	MEASURE_TWO_GUESTS,
	MEASURE_FOUR_THREADS,
	MEASURE_WRITEBACK_P99,
	MEASURE_WRITEBACK_RATE_P99,
	MEASURE_ZIPF,
	MEASURE_ZIPF_MISSES,
	MEASURE_SEQ_HALF,
	MEASURE_NODE_GET,
	MEASURE_NODE_PUT,
	MEASURES,
};

struct bench_results {
	double sample[MEASURES][PARTIES][BENCH_ROUNDS_MAX];
	unsigned samples[MEASURES][PARTIES];
	uint64_t hist[PARTIES][BENCH_HIST]; /* of random faults */
	char no_uffd[BENCH_WHY];	    /* why there is no fast path; empty: there is */
};

void bench_add(struct bench_results *r, enum bench_measure m, enum bench_party p, double value);
/* Sorts them; 0 of none. */
double bench_median_of(double *value, unsigned count);
double bench_median(const struct bench_results *r, enum bench_measure m, enum bench_party p);
void bench_hist_add(struct bench_results *r, enum bench_party p, uint64_t ns);
void bench_print_table(const struct bench_results *r);
const char *bench_party_name(enum bench_party p);
static inline bool bench_party_is_fast(enum bench_party p)
{
	return p == PARTY_UFFD || p == PARTY_SEALED_UFFD || p == PARTY_TLS_UFFD || p == PARTY_REPLICATED_UFFD ||
	       p == PARTY_BEFORE_UFFD;
}
/* 0 or a negative errno. */
int bench_write_json(const struct bench_results *r, const char *path);

#endif
