// SPDX-License-Identifier: GPL-2.0-or-later
/* Medians, the table, the histogram and the JSON file. */
#include "report.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
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
	[MEASURE_UFFD + MEASURE_FAULT_RANDOM] = {"fault_random", "uffd", "us",
						 "cold random 4 KiB fault, median", true},
	[MEASURE_UFFD + MEASURE_FAULT_RANDOM_P99] = {"fault_random_p99", "uffd", "us",
						     "the same, 99th percentile", true},
	[MEASURE_UFFD +
		MEASURE_SEQ_READ] = {"seq_read", "uffd", "MB/s", "cold sequential read", false},
	[MEASURE_UFFD + MEASURE_WRITE_MSYNC] = {"write_msync", "uffd", "MB/s",
						"write every page, fsync", false},
	[MEASURE_UFFD + MEASURE_RETOUCH] = {"retouch", "uffd", "touches/s",
					    "random touches (1 in 4 writes), a quarter resident",
					    false},
	[MEASURE_SECOND_CHANCE] = {"fault_second_chance", "uffd", "us",
				   "touch of a chunk that is here, but not mapped, median", true},
	[MEASURE_TWO_GUESTS] = {"two_guests", "uffd", "faults/s",
				"cold random 4 KiB faults of two guests at once", false},
	[MEASURE_FOUR_THREADS] = {"four_threads", "uffd", "faults/s",
				  "cold random 4 KiB faults of four threads of a guest", false},
	[MEASURE_WRITEBACK_P99] = {"fault_writeback_p99", "uffd", "us",
				   "cold fault, 99th percentile, write-back at half its rate",
				   true},
	[MEASURE_WRITEBACK_RATE_P99] = {"fault_write_200_p99", "uffd", "us",
					"the same beside a writer of 200 MB/s", true},
	[MEASURE_ZIPF] = {"zipf", "uffd", "us", "time per page by Zipf's law, half resident", true},
	[MEASURE_ZIPF_MISSES] = {"zipf_misses", "uffd", "%", "of its accesses: to pages that were not here", true},
	[MEASURE_SEQ_HALF] = {"seq_half", "uffd", "us", "time per page in order, half resident",
			      true},
	[MEASURE_NODE_GET] = {"node_get", "", "MB/s", "pipelined GET of 128 KiB", false},
	[MEASURE_NODE_PUT] = {"node_put", "", "MB/s", "pipelined PUT of 128 KiB", false},
};

static const char *const party_names[PARTIES] = {
	[PARTY_OURS] = "ours",
	[PARTY_UFFD] = "uffd",
	[PARTY_NBDFUSE] = "nbdfuse",
	[PARTY_SEALED] = "sealed",
	[PARTY_SEALED_UFFD] = "sealed_uffd",
	[PARTY_TLS] = "tls",
	[PARTY_TLS_UFFD] = "tls_uffd",
	[PARTY_REPLICATED] = "replicated",
	[PARTY_REPLICATED_UFFD] = "replicated_uffd",
	[PARTY_BEFORE] = "before",
	[PARTY_BEFORE_UFFD] = "before_uffd",
	[PARTY_BEFORE_QUIET] = "before_quiet",
	[PARTY_PERSIST] = "persist",
	[PARTY_NO_NETWORK] = "no_network",
	[PARTY_MEMCACHED] = "memcached",
	[PARTY_REDIS] = "redis",
	[PARTY_RAW_TCP] = "raw_tcp",
	[PARTY_PARTS] = "parts",
	[PARTY_UFFD_CONTINUE] = "uffd_continue",
	[PARTY_QUIET] = "quiet",
	[PARTY_LOCAL] = "local",
	[PARTY_OPTIMUM] = "optimum",
	[PARTY_ONE_GUEST] = "one_guest",
	[PARTY_ONE_THREAD] = "one_thread",
};

const char *bench_party_name(enum bench_party p)
{
	return party_names[p];
}

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

double bench_median_of(double *value, unsigned count)
{
	if (!count)
		return 0;
	qsort(value, count, sizeof(*value), compare);
	return count & 1 ? value[count / 2] : (value[count / 2 - 1] + value[count / 2]) / 2;
}

double bench_median(const struct bench_results *r, enum bench_measure m, enum bench_party p)
{
	unsigned n = r->samples[m][p];
	double v[BENCH_ROUNDS_MAX];

	memcpy(v, r->sample[m][p], n * sizeof(*v));
	return bench_median_of(v, n);
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
	unsigned full = all ? (unsigned)(n * 40 / all) : 0;

	printf("  %6.2f %% ", all ? 100.0 * (double)n / (double)all : 0);
	for (unsigned i = 0; i < 20; i++)
		putchar(i < full ? '#' : i == full && n ? '.' : ' ');
}

static void hist_print(const struct bench_results *r)
{
	static const enum bench_party shown[] = {PARTY_OURS, PARTY_UFFD, PARTY_NBDFUSE};
	static const char *const names[] = {"fuse", "uffd", "nbdfuse"};
	unsigned first = BENCH_HIST, last = 0;
	uint64_t all[3] = {0};

	for (unsigned b = 0; b < BENCH_HIST; b++) {
		uint64_t n = 0;

		for (unsigned i = 0; i < 3; i++) {
			n += r->hist[shown[i]][b];
			all[i] += r->hist[shown[i]][b];
		}
		if (n && first == BENCH_HIST)
			first = b;
		if (n)
			last = b;
	}
	if (first == BENCH_HIST)
		return;
	printf("\ncold random faults below   ");
	for (unsigned i = 0; i < 3; i++)
		if (all[i])
			printf("%-32s", names[i]);
	putchar('\n');
	for (unsigned b = first; b <= last; b++) {
		printf("            ");
		us_print(hist_end(b));
		for (unsigned i = 0; i < 3; i++)
			if (all[i])
				bar_print(r->hist[shown[i]][b], all[i]);
		putchar('\n');
	}
}

void bench_print_table(const struct bench_results *r)
{
	printf("\n%-20s %-5s %10s %-9s  peers: value (ours over theirs)\n", "measure", "front",
	       "ours", "");
	for (unsigned m = 0; m < MEASURES; m++) {
		double ours = bench_median(r, m, PARTY_OURS);

		if (!r->samples[m][PARTY_OURS])
			continue;
		printf("%-20s %-5s %10.*f %-9s", measures[m].name, measures[m].front,
		       ours < 1000 ? 1 : 0, ours, measures[m].unit);
		for (unsigned p = PARTY_OURS + 1; p < PARTIES; p++) {
			double theirs = bench_median(r, m, p);

			if (theirs > 0)
				printf("  %s %.*f (%.2f)", party_names[p], theirs < 1000 ? 1 : 0,
				       theirs, ours / theirs);
		}
		printf("\n%-20s %s%s\n", "", measures[m].about,
		       measures[m].less_is_better ? "; less is better" : "");
	}
	if (*r->no_uffd)
		printf("\nThe front uffd is missing: %s\n", r->no_uffd);
	hist_print(r);
}

static struct json_object *number(double value, const char *format)
{
	char text[64];

	snprintf(text, sizeof(text), format, value);
	return json_object_new_double_s(value, text);
}

static struct json_object *peers_json(const struct bench_results *r, enum bench_measure m, double ours)
{
	struct json_object *peers = json_object_new_object();

	for (unsigned p = PARTY_OURS + 1; p < PARTIES; p++) {
		double theirs = bench_median(r, m, p);
		struct json_object *peer;

		if (theirs <= 0)
			continue;
		peer = json_object_new_object();
		json_object_object_add(peer, "value", number(theirs, "%.3f"));
		json_object_object_add(peer, "ratio", number(ours / theirs, "%.4f"));
		json_object_object_add(peers, party_names[p], peer);
	}
	return peers;
}

static struct json_object *measure_json(const struct bench_results *r, enum bench_measure m)
{
	struct json_object *measure = json_object_new_object();
	double ours = bench_median(r, m, PARTY_OURS);

	json_object_object_add(measure, "name", json_object_new_string(measures[m].name));
	json_object_object_add(measure, "front", json_object_new_string(measures[m].front));
	json_object_object_add(measure, "value", number(ours, "%.3f"));
	json_object_object_add(measure, "unit", json_object_new_string(measures[m].unit));
	json_object_object_add(measure, "peers", peers_json(r, m, ours));
	return measure;
}

static struct json_object *missing_json(const char *front, const char *reason)
{
	struct json_object *missing = json_object_new_array(), *one = json_object_new_object();

	json_object_object_add(one, "front", json_object_new_string(front));
	json_object_object_add(one, "reason", json_object_new_string(reason));
	json_object_array_add(missing, one);
	return missing;
}

static struct json_object *results_json(const struct bench_results *r)
{
	struct json_object *all = json_object_new_object(), *list = json_object_new_array();

	for (unsigned m = 0; m < MEASURES; m++)
		if (r->samples[m][PARTY_OURS])
			json_object_array_add(list, measure_json(r, m));
	json_object_object_add(all, "measures", list);
	if (*r->no_uffd)
		json_object_object_add(all, "missing", missing_json("uffd", r->no_uffd));
	return all;
}

int bench_write_json(const struct bench_results *r, const char *path)
{
	struct json_object *all;
	FILE *f = fopen(path, "we");
	int rc = 0;

	if (!f)
		return -errno;
	all = results_json(r);
	fputs(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY |
					     JSON_C_TO_STRING_SPACED |
					     JSON_C_TO_STRING_NOSLASHESCAPE), f);
	fputc('\n', f);
	json_object_put(all);
	if (ferror(f))
		rc = -EIO;
	if (fclose(f) && !rc)
		rc = -errno;
	return rc;
}
