// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which party is measured on what, and in which order.
 *
 * Rounds alternate between ours and the peers, and the order within a round is turned from round to
 * round, so that a machine that is busy for a while is busy for all. Both sides of a comparison see
 * the same toucher, the same data and the same places in the same order.
 *
 * Where the fast path cannot be had, its measures are left out, and the report says why; where it
 * is had and fails, that is a failure of ours.
 */
#include "round.h"

#include "budget.h"
#include "child.h"
#include "guests.h"
#include "memnode/gvm_client.h"
#include "parts.h"
#include "say.h"
#include "stop.h"
#include "touch.h"

#include <errno.h>
#include <string.h>

/* Says what went wrong; only of ours it ends the benchmark. */
static int failed(struct bench *b, enum bench_party p, const char *what, int rc)
{
	if (rc == -EINTR || bench_stopped())
		return -EINTR;
	if (bench_party_is_fast(p) && rc == -EOPNOTSUPP && *b->file[p].why) {
		memcpy(b->results.no_uffd, b->file[p].why, sizeof(b->results.no_uffd));
		say("the fast path is left out: %s", b->results.no_uffd);
		return 0;
	}
	say("%s of %s failed: %s", what, bench_party_name(p), strerror(-rc));
	return p == PARTY_OURS || p == PARTY_SEALED || p == PARTY_TLS || p == PARTY_REPLICATED || p == PARTY_BEFORE ||
			       p == PARTY_PERSIST || bench_party_is_fast(p) ?
		       rc :
		       0;
}

static bool has_uffd(const struct bench *b)
{
	return !*b->results.no_uffd;
}

/* A figure of a mapped file: a peer's stands beside both fronts. */
static void file_add(struct bench *b, enum bench_measure m, enum bench_party p, double value)
{
	if (!bench_party_is_fast(p))
		bench_add(&b->results, m, p, value);
	if (p == PARTY_UFFD || p == PARTY_NBDFUSE)
		bench_add(&b->results, MEASURE_UFFD + m, p == PARTY_UFFD ? PARTY_OURS : p, value);
	if (p == PARTY_SEALED_UFFD || p == PARTY_TLS_UFFD || p == PARTY_REPLICATED_UFFD ||
	    p == PARTY_BEFORE_UFFD)
		bench_add(&b->results, MEASURE_UFFD + m, p - 1, value);
}

static int measure_faults(struct bench *b, enum bench_party p)
{
	unsigned n = 0;
	int rc = bench_touch_random(&b->file[p], b->z.faults, b->round + 1, b->latency, &n);

	if (rc)
		return failed(b, p, "random faults", rc);
	for (unsigned i = 0; i < n; i++)
		bench_hist_add(&b->results, p, b->latency[i]);
	file_add(b, MEASURE_FAULT_RANDOM, p, (double)latency_rank(b->latency, n, 500) / 1e3);
	file_add(b, MEASURE_FAULT_RANDOM_P99, p, (double)latency_rank(b->latency, n, 990) / 1e3);
	return 0;
}

static int file_value(struct bench *b, enum bench_measure m, enum bench_party p, const char *what,
		      int rc, double value)
{
	if (rc)
		return failed(b, p, what, rc);
	file_add(b, m, p, value);
	return 0;
}

static int measure_seq(struct bench *b, enum bench_party p)
{
	double v = 0;
	int rc = bench_touch_seq(&b->file[p], b->z.seq_bytes, &v);

	return file_value(b, MEASURE_SEQ_READ, p, "sequential read", rc, v);
}

static int measure_write(struct bench *b, enum bench_party p)
{
	double v = 0;
	/* Of two fronts of one file the second would write what is there already, and send nothing. */
	int rc = bench_touch_write(&b->file[p], b->z.write_bytes, 1000 + b->round * PARTIES + p, &v);

	return file_value(b, MEASURE_WRITE_MSYNC, p, "write", rc, v);
}

static int measure_again(struct bench *b, enum bench_party p)
{
	double v = 0;
	int rc = bench_touch_again(&b->file[p], b->z.retouch_bytes, b->z.retouch_ms, b->round + 1,
				   &b->cg, &v);

	return file_value(b, MEASURE_RETOUCH, p, "re-touch", rc, v);
}

static int measure_file(struct bench *b, enum bench_party p)
{
	bool network = p != PARTY_NO_NETWORK;
	int rc = 0;

	if (bench_party_is_fast(p) && !has_uffd(b))
		return 0;
	if (network)
		rc = measure_faults(b, p);
	if (bench_party_is_fast(p) && !has_uffd(b))
		return rc;
	if (!rc && network)
		rc = measure_seq(b, p);
	if (!rc)
		rc = measure_write(b, p);
	if (!rc && network && b->have_cg)
		rc = measure_again(b, p);
	return rc;
}

/* A figure of the fast path alone. */
static int fast_value(struct bench *b, enum bench_measure m, enum bench_party p, const char *what,
		      int rc, double value)
{
	if (rc)
		return failed(b, p == PARTY_OURS ? PARTY_UFFD : p, what, rc);
	bench_add(&b->results, m, p, value);
	return 0;
}

static int measure_parts(struct bench *b)
{
	struct bench_parts parts = {0};
	int rc = bench_parts_run(b->z.faults, b->round + 1, &parts);

	if (rc)
		return failed(b, PARTY_PARTS, "a fault", rc);
	bench_add(&b->results, MEASURE_UFFD + MEASURE_FAULT_RANDOM, PARTY_PARTS,
		  parts.copy_us + parts.exchange_us + parts.decode_us);
	bench_add(&b->results, MEASURE_SECOND_CHANCE, PARTY_UFFD_CONTINUE, parts.continue_us);
	return 0;
}

static int measure_second_chance(struct bench *b)
{
	double v = 0;
	int rc = bench_touch_unmapped(&b->file[PARTY_UFFD], b->z.faults, b->round + 1, &v);

	return fast_value(b, MEASURE_SECOND_CHANCE, PARTY_OURS, "touching what is here", rc, v);
}

/* One after the other, so that what the machine does else is the same for both. */
static int measure_guests(struct bench *b, unsigned guests)
{
	struct bench_file *const file[] = {&b->file[PARTY_UFFD], &b->guest};
	double v = 0;
	int rc = bench_guests_run(file, guests, b->z.guest_bytes, b->z.guest_faults, b->round + 1, &v);

	return fast_value(b, MEASURE_TWO_GUESTS, guests == 1 ? PARTY_ONE_GUEST : PARTY_OURS,
			  "faults of guests", rc, v);
}

static int measure_threads(struct bench *b, unsigned threads)
{
	double v = 0;
	int rc = bench_threads_run(&b->file[PARTY_UFFD], threads, b->z.guest_bytes, b->z.guest_faults, b->round + 1, &v);

	return fast_value(b, MEASURE_FOUR_THREADS, threads == 1 ? PARTY_ONE_THREAD : PARTY_OURS, "faults of threads", rc,
			  v);
}

/* `fast`: PARTY_UFFD, or another build's; with a writer of this rate. */
static int measure_writeback(struct bench *b, enum bench_measure m, enum bench_party fast, uint64_t bytes_a_second)
{
	bool ours = fast == PARTY_UFFD;
	double quiet = 0, busy = 0;
	int rc = bench_budget_writeback(&b->file[fast], b->z.writeback_bytes, b->z.faults, b->round + 1, bytes_a_second,
					&quiet, &busy);

	if (!rc)
		bench_add(&b->results, m, ours ? PARTY_QUIET : PARTY_BEFORE_QUIET, quiet);
	return fast_value(b, m, ours ? PARTY_OURS : PARTY_BEFORE, "faults beside a writer", rc, busy);
}

static int measure_writebacks(struct bench *b)
{
	bool before = b->file[PARTY_BEFORE_UFFD].path;
	int rc = 0;

	for (unsigned i = 0; i < 2 && !rc; i++) {
		enum bench_party fast = (i + b->round) % 2 ? PARTY_BEFORE_UFFD : PARTY_UFFD;

		if (fast == PARTY_BEFORE_UFFD && !before)
			continue;
		rc = measure_writeback(b, MEASURE_WRITEBACK_P99, fast, 0);
		if (!rc)
			rc = measure_writeback(b, MEASURE_WRITEBACK_RATE_P99, fast, 200000000);
	}
	return rc;
}

static int measure_half(struct bench *b, enum bench_party p)
{
	struct bench_file *f = p == PARTY_LOCAL ? NULL : &b->file[PARTY_UFFD];
	const struct bench_sizes *z = &b->z;
	double v = 0, misses = 0;
	int rc = bench_budget_zipf(f, z->half_bytes, z->half_ms, b->round + 1, &v, &misses);

	rc = fast_value(b, MEASURE_ZIPF, p, "a Zipf load", rc, v);
	if (rc || !has_uffd(b))
		return rc;
	if (f) {
		bench_add(&b->results, MEASURE_ZIPF_MISSES, PARTY_OURS, misses);
		bench_add(&b->results, MEASURE_ZIPF_MISSES, PARTY_OPTIMUM,
			  bench_budget_zipf_optimum(z->half_bytes, b->round + 1));
	}
	rc = bench_budget_seq(f, z->half_bytes, z->half_ms, &v);
	return fast_value(b, MEASURE_SEQ_HALF, p, "a sequential load", rc, v);
}

static int measure_fast(struct bench *b)
{
	int rc = measure_parts(b);

	if (!rc)
		rc = measure_second_chance(b);
	for (unsigned i = 0; i < 2 && !rc && has_uffd(b); i++)
		rc = measure_guests(b, (i + b->round) % 2 + 1);
	for (unsigned i = 0; i < 2 && !rc && has_uffd(b); i++)
		rc = measure_threads(b, (i + b->round) % 2 ? BENCH_THREADS : 1);
	if (!rc && has_uffd(b))
		rc = measure_writebacks(b);
	for (unsigned i = 0; i < 2 && !rc && has_uffd(b); i++)
		rc = measure_half(b, (i + b->round) % 2 ? PARTY_LOCAL : PARTY_OURS);
	return rc;
}

static int measure_store(struct bench *b, enum bench_party p)
{
	int rc = 0;

	for (int put = 0; put < 2 && !rc; put++) {
		enum bench_measure m = put ? MEASURE_NODE_PUT : MEASURE_NODE_GET;
		double v = 0;

		rc = b->node[p] ? bench_node_run(b->node[p], put, b->z.exchange_ms, &v)
				: bench_store_run(&b->store[p], put, b->z.exchange_ms, &v);
		if (rc)
			rc = failed(b, p, put ? "PUT" : "GET", rc);
		else
			bench_add(&b->results, m, p, v);
	}
	return rc;
}

int bench_round(struct bench *b)
{
	int rc = 0;

	for (unsigned i = 0; i < b->file_parties && !rc; i++)
		rc = measure_file(b, b->file_party[(i + b->round) % b->file_parties]);
	if (!rc && has_uffd(b))
		rc = measure_fast(b);
	for (unsigned i = 0; i < b->store_parties && !rc; i++)
		rc = measure_store(b, b->store_party[(i + b->round) % b->store_parties]);
	return bench_stopped() ? -EINTR : rc;
}
