/* SPDX-License-Identifier: GPL-2.0-or-later */
/* budget.h - a mapped file through the fast path and under a budget, the same way as touch.h. */
#ifndef TOOLS_BENCH_BUDGET_H
#define TOOLS_BENCH_BUDGET_H

#include "bench_file.h"

/* Fault latency, 99th percentile in us: quiet, and beside a writer of bytes_a_second; 0: of half of what it manages alone. */
int bench_budget_writeback(struct bench_file *f, uint64_t budget_bytes, unsigned faults, uint64_t seed,
			   uint64_t bytes_a_second, double *quiet_us, double *busy_us);
/* A program's time per page, in us, with half of its set resident; f NULL: in local memory. Pages
 * by Zipf's law, one access in four a write; or all in order, again and again. Of the first, too, how many of its
 * accesses were to pages that were not here, in percent. */
int bench_budget_zipf(struct bench_file *f, uint64_t bytes, unsigned ms, uint64_t seed, double *us, double *misses);
/* The same of the first with a budget of so many bytes, 0: all of it. */
int bench_budget_zipf_within(struct bench_file *f, uint64_t bytes, uint64_t budget_bytes, unsigned ms, uint64_t seed,
			     double *us);
/* Bytes of the pages that so many of its accesses touch. */
uint64_t bench_budget_zipf_active(uint64_t bytes, uint64_t seed, uint64_t accesses);
/* What it would miss, in percent, if the more popular half of its pages were here all the time; -1: no memory. */
double bench_budget_zipf_optimum(uint64_t bytes, uint64_t seed);
int bench_budget_seq(struct bench_file *f, uint64_t bytes, unsigned ms, double *us);

#endif
