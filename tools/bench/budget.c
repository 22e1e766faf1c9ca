// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A program whose set is larger than the budget, and faults beside a writer.
 *
 * What the program does with a page decides what its misses weigh. It looks at each of the 4096
 * bytes, one after the other, for a checksum (FNV-1a, some 4 us): a reader in order once, as one
 * does that parses or verifies a file; a request to a store by Zipf's law four times, as if to
 * read, verify, change and answer with a record. That is some 16 us, or 60 000 requests a second.
 */
#include "budget.h"

#include "child.h"
#include "data.h"
#include "fsstats.h"
#include "memnode/gvm_client.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THETA	     0.99
#define ZIPF_PASSES  4
#define PLAN	     (1u << 17) /* accesses that are drawn before the clock runs; then again */
#define CHUNK_BYTES  ((uint64_t)GVM_CHUNK_BYTES)
#define LINE_BYTES   64u
#define RATE_NS	     500000000ull
#define SETTLE_NS    200000000ull
#define SOURCE_BYTES (8u << 20)

/* ---- a program */

static uint64_t page_work(uint8_t *page, unsigned passes, bool write)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	while (passes--)
		for (unsigned i = 0; i < PAGE_BYTES; i++)
			hash = (hash ^ page[i]) * 0x100000001b3ull;
	if (write)
		for (unsigned i = 0; i < PAGE_BYTES; i += LINE_BYTES)
			memcpy(page + i + LINE_BYTES - 8, &hash, 8);
	return hash;
}

/* Bit 31: a write. The popular pages are neighbours, as what was allocated together often is. */
static uint32_t *zipf_plan(uint32_t pages, uint64_t seed)
{
	double *upto = malloc(pages * sizeof(*upto)), sum = 0;
	uint32_t *plan = malloc(PLAN * sizeof(*plan));
	uint64_t state = seed;

	for (uint32_t i = 0; upto && i < pages; i++)
		upto[i] = sum += pow(i + 1, -THETA);
	for (uint32_t i = 0; upto && plan && i < PLAN; i++) {
		uint64_t r = bench_random(&state);
		double at = (double)(r >> 11) / (double)(1ull << 53) * sum;
		uint32_t low = 0, high = pages - 1;

		while (low < high) {
			uint32_t middle = (low + high) / 2;

			if (upto[middle] < at)
				low = middle + 1;
			else
				high = middle;
		}
		plan[i] = low | (r & 3 ? 0 : 1u << 31);
	}
	if (!upto)
		plan = NULL;
	free(upto);
	return plan;
}

/* Follows the plan (NULL: all pages in order), from its access `at` on, for a while; returns ns per access. */
static double plan_run(struct touch *t, const uint32_t *plan, uint64_t *at, uint64_t ns)
{
	uint64_t from = gvm_now_ns(), now, n = 0;
	uint32_t pages = (uint32_t)(t->bytes / PAGE_BYTES);
	unsigned passes = plan ? ZIPF_PASSES : 1;

	do {
		for (unsigned i = 0; i < 16; i++, n++) {
			uint32_t what = plan ? plan[(*at)++ % PLAN] : (uint32_t)((*at)++ % pages);
			uint8_t *page = t->map + (what & ~(1u << 31)) * PAGE_BYTES;

			t->answer->count += (unsigned)page_work(page, passes, what >> 31);
		}
		now = gvm_now_ns();
	} while (now - from < ns);
	return (double)(now - from) / (double)n;
}

/* Faults of pages that were not here, as the fast path counts them; of local memory none. 0 or a negative errno. */
static int misses_read(const struct touch *t, uint64_t *misses)
{
	static char text[FSSTATS_TEXT];
	int rc = t->file ? fsstats_read_fd(t->fd, text) : 0;

	*misses = t->file && !rc ? fsstats_get(text, "page_misses") : 0;
	return rc;
}

/* First until it is known what stays here: once through all of it, and half the time on top. */
static int program_run(struct touch *t, const uint32_t *plan)
{
	uint64_t at = 0, from, before, after;
	int rc;

	for (uint64_t a = 0; a < t->bytes; a += PAGE_BYTES)
		t->answer->count += *(volatile uint8_t *)(t->map + a);
	plan_run(t, plan, &at, t->ms * 500000ull);
	from = at;
	rc = misses_read(t, &before);
	t->answer->value = plan_run(t, plan, &at, t->ms * 1000000ull) / 1e3;
	if (!rc)
		rc = misses_read(t, &after);
	t->answer->other = rc ? 0 : 100.0 * (double)(after - before) / (double)(at - from);
	return rc;
}

static int do_zipf(struct touch *t)
{
	uint32_t *plan = zipf_plan((uint32_t)(t->bytes / PAGE_BYTES), t->seed);
	int rc = plan ? program_run(t, plan) : -ENOMEM;

	free(plan);
	return rc;
}

static int do_seq(struct touch *t)
{
	return program_run(t, NULL);
}

static int half_run(struct bench_file *f, uint64_t bytes, unsigned ms, uint64_t seed,
		    int (*what)(struct touch *), double *us, double *misses)
{
	struct touch t = {
		.file = f, .bytes = bytes, .ms = ms, .seed = seed, .budget_bytes = bytes / 2};
	int rc = f ? touch_cool(&t) : 0;

	return rc ? rc : touch_value(&t, what, us, misses);
}

int bench_budget_zipf(struct bench_file *f, uint64_t bytes, unsigned ms, uint64_t seed, double *us, double *misses)
{
	return half_run(f, bytes, ms, seed, do_zipf, us, misses);
}

double bench_budget_zipf_optimum(uint64_t bytes, uint64_t seed)
{
	uint32_t pages = (uint32_t)(bytes / PAGE_BYTES), misses = 0;
	uint32_t *plan = zipf_plan(pages, seed);

	for (uint32_t i = 0; plan && i < PLAN; i++)
		misses += (plan[i] & ~(1u << 31)) >= pages / 2;
	free(plan);
	return plan ? 100.0 * misses / PLAN : -1;
}

int bench_budget_seq(struct bench_file *f, uint64_t bytes, unsigned ms, double *us)
{
	return half_run(f, bytes, ms, 0, do_seq, us, NULL);
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
	rc = -pthread_create(&thread, NULL, dirtier_main, &d);
	if (rc)
		return rc;
	pause_ns(SETTLE_NS);
	from = d.written;
	pause_ns(RATE_NS);
	d.ns_a_chunk = 2 * RATE_NS / (d.written - from ? d.written - from : 1);
	pause_ns(SETTLE_NS);
	t->answer->value = faults_p99(t, t->seed + 1);
	d.over = true;
	pthread_join(thread, NULL);
	free(d.source);
	return 0;
}

int bench_budget_writeback(struct bench_file *f, uint64_t budget_bytes, unsigned faults,
			   uint64_t seed, double *quiet_us, double *busy_us)
{
	struct touch t = {.file = f, .budget_bytes = budget_bytes, .faults = faults, .seed = seed};
	int rc = touch_cool(&t);

	return rc ? rc : touch_value(&t, do_writeback, busy_us, quiet_us);
}
