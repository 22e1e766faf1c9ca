/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * touch.h - a mapped file: each of these runs in a child of its own, which maps it. 0 or a negative errno; -EIO if the
 * mapping failed (SIGBUS), -ETIMEDOUT if the child had to be killed.
 */
#ifndef TOOLS_BENCH_TOUCH_H
#define TOOLS_BENCH_TOUCH_H

#include "bench_file.h"
#include "memcg.h"

int bench_touch_fill(struct bench_file *f, uint64_t seed);
/* Cold faults at random places: *count latencies in ns (room: what was asked for). */
int bench_touch_random(struct bench_file *f, unsigned faults, uint64_t seed, uint64_t *latency_ns,
		       unsigned *count);
/* MB/s (1e6 bytes) */
int bench_touch_seq(struct bench_file *f, uint64_t bytes, double *mb_s);
int bench_touch_write(struct bench_file *f, uint64_t bytes, uint64_t seed, double *mb_s);
/* Touches a second, one in four a write, while a quarter of the set may be resident: the group
 * holds it to that, or the fast path's budget. */
int bench_touch_again(struct bench_file *f, uint64_t bytes, unsigned ms, uint64_t seed,
		      struct memcg *cg, double *per_s);
/* The latency of touching a chunk that is here, but not mapped: median, in us. */
int bench_touch_unmapped(struct bench_file *f, unsigned chunks, uint64_t seed, double *us);

#endif
