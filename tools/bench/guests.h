/* SPDX-License-Identifier: GPL-2.0-or-later */
/* guests.h - some processes at once, each with a file. */
#ifndef TOOLS_BENCH_GUESTS_H
#define TOOLS_BENCH_GUESTS_H

#include "bench_file.h"

#define BENCH_GUESTS  2u
#define BENCH_THREADS 4u
/* Their cold random faults a second, together. 0 or a negative errno, as touch.h says. */
int bench_guests_run(struct bench_file *const file[], unsigned guests, uint64_t bytes, unsigned faults,
		     uint64_t seed, double *per_s);
/* Those of so many threads of one process, together. */
int bench_threads_run(struct bench_file *f, unsigned threads, uint64_t bytes, unsigned faults, uint64_t seed,
		      double *per_s);

#endif
