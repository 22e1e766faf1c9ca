/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * child.h - a child that maps a file and touches it: it can be put into a cgroup, survives no
 * SIGBUS, and can be killed when the file hangs.
 */
#ifndef TOOLS_BENCH_CHILD_H
#define TOOLS_BENCH_CHILD_H

#include "bench_file.h"
#include "memcg.h"

#include <sys/types.h>

#define PAGE_BYTES 4096ull
#define SLOT_PAGES 64u /* random faults stay this far apart: read-around covers 32 pages */

struct touch {
	struct bench_file *file; /* NULL: `bytes` of memory of its own; shared, as a file's is: */
	bool private;		 /* not even that */
	uint64_t bytes, seed;
	uint64_t budget_bytes; /* of the fast path; 0: none */
	uint64_t bytes_a_second; /* of a writer beside; 0: what it manages decides */
	unsigned faults, ms;
	struct memcg *cg; /* the child is in it; NULL: where its parent is */
	/* what the child answers, in memory shared with it; touch_end() frees it */
	struct answer {
		int error;
		bool refused; /* the fast path, with the reason: */
		char why[BENCH_WHY];
		double value, other, fetched;
		unsigned count;
		uint64_t latency_ns[]; /* `faults` */
	} * answer;
	pid_t pid; /* between touch_start() and touch_finish() */
	/* of the child */
	int fd;
	uint8_t *map;
};

/* Nothing of the file is resident afterwards, and its budget is set. No process may have it mapped. */
int touch_cool(struct touch *t);
/* `what` in a child, with the file mapped. Returns when nothing of it is under way any more. */
int touch_run(struct touch *t, int (*what)(struct touch *));
/* The same in two halves, so that several run at once; the second only where the first returned 0. */
int touch_start(struct touch *t, int (*what)(struct touch *));
int touch_finish(struct touch *t);
/* `bare`: without mapping anything. */
int touch_run_bare(struct touch *t, int (*what)(struct touch *));
void touch_end(struct touch *t);
/* touch_run() for measurements that are one number, or two (NULL: not wanted). */
int touch_value(struct touch *t, int (*what)(struct touch *), double *value, double *other);

struct rusage;
/* Waits for a child, or kills it when its time is over or the user wants no more. `usage`: what it used; NULL: not wanted. 0 or
 * a negative errno: -ENOMEM if the kernel ended it, -EIO if it failed otherwise. */
int child_wait(pid_t pid, uint64_t within_ns, struct rusage *usage);

/* For children: */
bool page_resident(const uint8_t *p);
/* The numbers from 0 to n - 1 in random order; to be freed; NULL: no memory. */
uint32_t *order_make(uint32_t n, uint64_t *state);
/* `permille` 500 is the median; sorts them. */
uint64_t latency_rank(uint64_t *latency_ns, unsigned count, unsigned permille);
/* Touches cold pages, each in a slot of its own of the first `bytes`; returns how many latencies
 * were written, at most `faults`. */
unsigned faults_random(uint8_t *map, uint64_t bytes, unsigned faults, uint64_t seed,
		       uint64_t *latency_ns);

#endif
