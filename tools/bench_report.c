// SPDX-License-Identifier: GPL-2.0-or-later
/* Medians, the table, the histogram and the JSON file. */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name, *front, *unit, *about;
	bool less_is_better;
} measures[MEASURES] = {
	[MEASURE_FAULT_RANDOM] = {"fault_random", "fuse", "us", "cold random 4 KiB fault, median",
				  true},
	[MEASURE_FAULT_RANDOM_P99] = {"fault_random_p99", "fuse", "us", "the same, 99th percentile",
				      true},
	[MEASURE_SEQ_READ] = {"seq_read", "fuse", "MB/s", "cold sequential read", false},
	[MEASURE_WRITE_MSYNC] = {"write_msync", "fuse", "MB/s", "write every page, msync", false},
	[MEASURE_RETOUCH] = {"retouch", "fuse", "touches/s",
			     "random touches (1 in 4 writes), a quarter resident", false},
	[MEASURE_NODE_GET] = {"node_get", "", "MB/s", "pipelined GET of 128 KiB", false},
	[MEASURE_NODE_PUT] = {"node_put", "", "MB/s", "pipelined PUT of 128 KiB", false},
};

static const char *const party_names[PARTIES] = {
	[PARTY_OURS] = "ours",
	[PARTY_NBDFUSE] = "nbdfuse",
	[PARTY_NO_NETWORK] = "no_network",
	[PARTY_MEMCACHED] = "memcached",
	[PARTY_REDIS] = "redis",
	[PARTY_RAW_TCP] = "raw_tcp",
};

void bench_add(struct bench_results *r, enum bench_measure m, enum bench_party p, double value)
{
	if (r->samples[m][p] < BENCH_ROUNDS_MAX)
		r->sample[m][p][r->samples[m][p]++] = value;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double bench_median(const struct bench_results *r, enum bench_measure m, enum bench_party p)
{
	unsigned n = r->samples[m][p];
	double v[BENCH_ROUNDS_MAX];

	if (!n)
		return 0;
	memcpy(v, r->sample[m][p], n * sizeof(*v));
	qsort(v, n, sizeof(*v), compare);
	return n & 1 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* The upper end of a bucket in ns: 4 us * 2^(b/2). */
static uint64_t hist_end(unsigned b)
{
	uint64_t ns = 4000ull << b / 2;

	return b & 1 ? ns * 1414 / 1000 : ns;
}

void bench_hist_add(struct bench_results *r, enum bench_party p, uint64_t ns)
{
	unsigned b = 0;

	while (b < BENCH_HIST - 1 && ns >= hist_end(b))
		b++;
	r->hist[p][b]++;
}

static void us_print(uint64_t ns)
{
	if (ns < 1000000)
		printf("%8.0f us", (double)ns / 1e3);
	else
		printf("%8.1f ms", (double)ns / 1e6);
}

static void bar_print(uint64_t n, uint64_t all)
{
	unsigned full = all ? (unsigned)(n * 60 / all) : 0;

	printf("  %6.2f %% ", all ? 100.0 * (double)n / (double)all : 0);
	for (unsigned i = 0; i < 30; i++)
		putchar(i < full ? '#' : i == full && n ? '.' : ' ');
}

static void hist_print(const struct bench_results *r)
{
	uint64_t all[PARTIES] = {0};
	unsigned first = BENCH_HIST, last = 0;

	for (unsigned b = 0; b < BENCH_HIST; b++) {
		uint64_t n = r->hist[PARTY_OURS][b] + r->hist[PARTY_NBDFUSE][b];

		all[PARTY_OURS] += r->hist[PARTY_OURS][b];
		all[PARTY_NBDFUSE] += r->hist[PARTY_NBDFUSE][b];
		if (n && first == BENCH_HIST)
			first = b;
		if (n)
			last = b;
	}
	if (!all[PARTY_OURS] && !all[PARTY_NBDFUSE])
		return;
	printf("\ncold random faults below   %-42s%s\n", "ours", "nbdfuse");
	for (unsigned b = first; b <= last; b++) {
		printf("            ");
		us_print(hist_end(b));
		bar_print(r->hist[PARTY_OURS][b], all[PARTY_OURS]);
		bar_print(r->hist[PARTY_NBDFUSE][b], all[PARTY_NBDFUSE]);
		putchar('\n');
	}
}

void bench_print_table(const struct bench_results *r)
{
	printf("\n%-18s %14s   peers: value (ours over theirs)\n", "measure", "ours");
	for (unsigned m = 0; m < MEASURES; m++) {
		double ours = bench_median(r, m, PARTY_OURS);

		if (!r->samples[m][PARTY_OURS])
			continue;
		printf("%-18s %10.*f %-9s", measures[m].name, ours < 1000 ? 1 : 0, ours,
		       measures[m].unit);
		for (unsigned p = PARTY_OURS + 1; p < PARTIES; p++) {
			double theirs = bench_median(r, m, p);

			if (theirs > 0)
				printf("  %s %.*f (%.2f)", party_names[p], theirs < 1000 ? 1 : 0,
				       theirs, ours / theirs);
		}
		printf("\n%-18s %s%s\n", "", measures[m].about,
		       measures[m].less_is_better ? "; less is better" : "");
	}
	hist_print(r);
}

int bench_write_json(const struct bench_results *r, const char *path)
{
	const char *between = "";
	FILE *f = fopen(path, "we");
	int rc = 0;

	if (!f)
		return -errno;
	fprintf(f, "{\"measures\": [");
	for (unsigned m = 0; m < MEASURES; m++) {
		double ours = bench_median(r, m, PARTY_OURS);
		const char *comma = "";

		if (!r->samples[m][PARTY_OURS])
			continue;
		fprintf(f,
			"%s\n  {\"name\": \"%s\", \"front\": \"%s\", \"value\": %.3f, "
			"\"unit\": \"%s\", \"peers\": {",
			between, measures[m].name, measures[m].front, ours, measures[m].unit);
		between = ",";
		for (unsigned p = PARTY_OURS + 1; p < PARTIES; p++) {
			double theirs = bench_median(r, m, p);

			if (theirs <= 0)
				continue;
			fprintf(f, "%s\"%s\": {\"value\": %.3f, \"ratio\": %.4f}", comma,
				party_names[p], theirs, ours / theirs);
			comma = ", ";
		}
		fprintf(f, "}}");
	}
	fprintf(f, "\n]}\n");
	if (ferror(f))
		rc = -EIO;
	if (fclose(f) && !rc)
		rc = -errno;
	return rc;
}
