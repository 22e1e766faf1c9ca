// SPDX-License-Identifier: GPL-2.0-or-later
/* A program whose set is larger than the budget, and faults beside a writer. */
#include "budget.h"

#include "child.h"
#include "data.h"
#include "loads.h"
#include "memnode/gvm_client.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHUNK_BYTES  ((uint64_t)GVM_CHUNK_BYTES)
#define LINE_BYTES   64u
#define RATE_NS	     500000000ull
#define SETTLE_NS    200000000ull
#define SOURCE_BYTES (8u << 20)

static int load_measure(struct bench_file *f, enum bench_load load, uint64_t bytes, uint64_t budget_bytes, unsigned ms,
			uint64_t seed, double *us, double *misses)
{
	struct touch t = {.file = f, .bytes = bytes, .ms = ms, .seed = seed, .budget_bytes = budget_bytes};
	int rc = f ? touch_cool(&t) : 0;

	if (rc)
		return rc;
	rc = load_run(&t, load);
	if (!rc) {
		*us = t.answer->value;
		if (misses)
			*misses = t.answer->other;
	}
	touch_end(&t);
	return rc;
}

int bench_budget_zipf(struct bench_file *f, uint64_t bytes, unsigned ms, uint64_t seed, double *us, double *misses)
{
	return load_measure(f, LOAD_ZIPF, bytes, bytes / 2, ms, seed, us, misses);
}

int bench_budget_zipf_within(struct bench_file *f, uint64_t bytes, uint64_t budget_bytes, unsigned ms, uint64_t seed,
			     double *us)
{
	return load_measure(f, LOAD_ZIPF, bytes, budget_bytes, ms, seed, us, NULL);
}

uint64_t bench_budget_zipf_active(uint64_t bytes, uint64_t seed, uint64_t accesses)
{
	return load_active(LOAD_ZIPF, bytes, seed, accesses);
}

double bench_budget_zipf_optimum(uint64_t bytes, uint64_t seed)
{
	return load_optimum(LOAD_ZIPF, bytes, bytes / 2, seed);
}

int bench_budget_seq(struct bench_file *f, uint64_t bytes, unsigned ms, double *us)
{
	return load_measure(f, LOAD_SEQ, bytes, bytes / 2, ms, 0, us, NULL);
}

/* ---- a writer beside faults */

/* Goes round in its part of the memory, with other bytes each time. */
struct dirtier {
	uint8_t *map, *source;
	uint64_t chunks;
	_Atomic uint64_t written;    /* chunks */
	_Atomic uint64_t ns_a_chunk; /* 0: as fast as it goes */
	_Atomic bool over;
};

static void *dirtier_main(void *arg)
{
	struct dirtier *d = arg;
	uint64_t due = gvm_now_ns();

	for (uint64_t n = 0; !d->over; n++) {
		uint64_t from = n * (CHUNK_BYTES + LINE_BYTES) % (SOURCE_BYTES - CHUNK_BYTES);
		uint64_t now;

		memcpy(d->map + n % d->chunks * CHUNK_BYTES, d->source + from, CHUNK_BYTES);
		d->written++;
		now = gvm_now_ns();
		due += d->ns_a_chunk;
		if (due < now)
			due = now; /* late: it does not catch up */
		if (due > now) {
			struct timespec until = {(time_t)(due / 1000000000),
						 (long)(due % 1000000000)};

			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		}
	}
	return NULL;
}

static void pause_ns(uint64_t ns)
{
	struct timespec t = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};

	nanosleep(&t, NULL);
}

/* The first half of the file is for the faults, the other for the writer. */
static double faults_p99(struct touch *t, uint64_t seed)
{
	unsigned n =
		faults_random(t->map, t->file->bytes / 2, t->faults, seed, t->answer->latency_ns);

	return (double)latency_rank(t->answer->latency_ns, n, 990) / 1e3;
}

static int do_writeback(struct touch *t)
{
	struct dirtier d = {.map = t->map + t->file->bytes / 2};
	pthread_t thread;
	uint64_t from;
	int rc;

	d.chunks = 2 * t->budget_bytes / CHUNK_BYTES;
	if (d.chunks > t->file->bytes / 2 / CHUNK_BYTES)
		d.chunks = t->file->bytes / 2 / CHUNK_BYTES;
	d.source = malloc(SOURCE_BYTES);
	if (!d.source)
		return -ENOMEM;
	bench_data_fill(d.source, SOURCE_BYTES, t->seed);
	/* the budget is used up before it counts */
	for (uint64_t at = 0; at < t->budget_bytes; at += CHUNK_BYTES)
		t->answer->count += t->map[t->file->bytes / 2 + at];
	t->answer->other = faults_p99(t, t->seed);
	if (t->bytes_a_second)
		d.ns_a_chunk = CHUNK_BYTES * 1000000000ull / t->bytes_a_second;
	rc = -pthread_create(&thread, NULL, dirtier_main, &d);
	if (rc)
		return rc;
	pause_ns(SETTLE_NS);
	if (!t->bytes_a_second) {
		from = d.written;
		pause_ns(RATE_NS);
		d.ns_a_chunk = 2 * RATE_NS / (d.written - from ? d.written - from : 1);
		pause_ns(SETTLE_NS);
	}
	t->answer->value = faults_p99(t, t->seed + 1);
	d.over = true;
	pthread_join(thread, NULL);
	free(d.source);
	return 0;
}

int bench_budget_writeback(struct bench_file *f, uint64_t budget_bytes, unsigned faults, uint64_t seed,
			   uint64_t bytes_a_second, double *quiet_us, double *busy_us)
{
	struct touch t = {.file = f,
			  .budget_bytes = budget_bytes,
			  .faults = faults,
			  .seed = seed,
			  .bytes_a_second = bytes_a_second};
	int rc = touch_cool(&t);

	return rc ? rc : touch_value(&t, do_writeback, busy_us, quiet_us);
}
