// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvm bench - who is measured on what, and in which order.
 *
 * Rounds alternate between ours and the peers, and the order within a round is turned from round to
 * round, so that a machine that is busy for a while is busy for all; what is reported are medians
 * over the rounds. Both sides of a comparison see the same toucher, the same data and the same
 * places in the same order.
 */
#include "bench.h"
#include "codec_bench.h"
#include "gvm.h"
#include "size.h"

#include "memnode/gvm_client.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help_text[] =
	"usage: gvm bench [OPTION ...]\n"
	"       gvm bench codec [--chunks N] FILE [LATER]\n"
	"\n"
	"Measures gvmfs against nbdkit + nbdfuse, and a memory node against memcached,\n"
	"Redis and a raw TCP exchange. Starts and stops everything by itself; needs root\n"
	"for the mounts and for a cgroup.\n"
	"\n"
	"  --quick        smaller, and over within 90 seconds\n"
	"  --json FILE    write the figures to FILE instead of printing a table\n"
	"  --bindir DIR   where gvmfs and gvm-memnode are (default: beside gvm, or PATH)\n"
	"  --rounds N     how often everything is measured (1 to 16)\n"
	"  --help         show this text\n"
	"\n"
	"gvm bench codec measures the encoding of chunks on an image of a guest's RAM:\n"
	"see gvm bench codec --help.\n";

static const struct bench_sizes full = {
	.rounds = 7,
	.file_bytes = 512 * MIB,
	.faults = 1500,
	.seq_bytes = 512 * MIB,
	.write_bytes = 256 * MIB,
	.retouch_bytes = 128 * MIB,
	.retouch_ms = 3000,
	.exchange_ms = 1500,
	.values = 512,
	.depth = 16,
};

static const struct bench_sizes quick = {
	.rounds = 5,
	.deadline_ns = 45ull * 1000 * 1000 * 1000,
	.file_bytes = 256 * MIB,
	.faults = 800,
	.seq_bytes = 192 * MIB,
	.write_bytes = 96 * MIB,
	.retouch_bytes = 64 * MIB,
	.retouch_ms = 800,
	.exchange_ms = 400,
	.values = 512,
	.depth = 16,
};

volatile sig_atomic_t bench_stopped;

static void on_stop(int sig)
{
	(void)sig;
	bench_stopped = 1;
}

struct bench {
	struct bench_sizes z;
	struct bench_peers *peers;
	struct bench_store store[PARTIES];
	struct bench_node *node;
	struct bench_results results;
	struct memcg cg;
	bool have_cg;
	uint64_t *latency;
	unsigned round;
	enum bench_party file_party[3], store_party[4];
	unsigned file_parties, store_parties;
};

static const char *file_of(const struct bench *b, enum bench_party p)
{
	return p == PARTY_OURS	    ? b->peers->gvmfs.file
	       : p == PARTY_NBDFUSE ? b->peers->nbdfuse.file
				    : b->peers->no_network.file;
}

/* Says what went wrong; only of ours it ends the benchmark. */
static int failed(enum bench_party p, const char *what, int rc)
{
	if (rc == -EINTR || bench_stopped)
		return -EINTR;
	say("%s of %s failed: %s", what,
	    p == PARTY_OURS	   ? "ours"
	    : p == PARTY_NBDFUSE   ? "nbdfuse"
	    : p == PARTY_MEMCACHED ? "memcached"
	    : p == PARTY_REDIS	   ? "redis"
	    : p == PARTY_RAW_TCP   ? "raw_tcp"
				   : "no_network",
	    strerror(-rc));
	return p == PARTY_OURS ? rc : 0;
}

static int compare_ns(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int measure_faults(struct bench *b, enum bench_party p)
{
	unsigned n = 0;
	int rc = bench_touch_random(file_of(b, p), b->z.file_bytes, b->z.faults, b->round + 1,
				    b->latency, &n);

	if (rc)
		return failed(p, "random faults", rc);
	for (unsigned i = 0; i < n; i++)
		bench_hist_add(&b->results, p, b->latency[i]);
	qsort(b->latency, n, sizeof(*b->latency), compare_ns);
	bench_add(&b->results, MEASURE_FAULT_RANDOM, p, (double)b->latency[n / 2] / 1e3);
	bench_add(&b->results, MEASURE_FAULT_RANDOM_P99, p, (double)b->latency[n * 99 / 100] / 1e3);
	return 0;
}

static int value_add(struct bench *b, enum bench_measure m, enum bench_party p, const char *what,
		     int rc, double value)
{
	if (rc)
		return failed(p, what, rc);
	bench_add(&b->results, m, p, value);
	return 0;
}

static int measure_seq(struct bench *b, enum bench_party p)
{
	double v = 0;
	int rc = bench_touch_seq(file_of(b, p), b->z.seq_bytes, &v);

	return value_add(b, MEASURE_SEQ_READ, p, "sequential read", rc, v);
}

static int measure_write(struct bench *b, enum bench_party p)
{
	double v = 0;
	int rc = bench_touch_write(file_of(b, p), b->z.write_bytes, 1000 + b->round, &v);

	return value_add(b, MEASURE_WRITE_MSYNC, p, "write", rc, v);
}

static int measure_again(struct bench *b, enum bench_party p)
{
	double v = 0;
	int rc = bench_touch_again(file_of(b, p), b->z.retouch_bytes, b->z.retouch_ms, b->round + 1,
				   &b->cg, &v);

	return value_add(b, MEASURE_RETOUCH, p, "re-touch", rc, v);
}

static int measure_file(struct bench *b, enum bench_party p)
{
	bool network = p != PARTY_NO_NETWORK;
	int rc = 0;

	if (network)
		rc = measure_faults(b, p);
	if (!rc && network)
		rc = measure_seq(b, p);
	if (!rc)
		rc = measure_write(b, p);
	if (!rc && network && b->have_cg)
		rc = measure_again(b, p);
	return rc;
}

static int measure_store(struct bench *b, enum bench_party p)
{
	int rc = 0;

	for (int put = 0; put < 2 && !rc; put++) {
		enum bench_measure m = put ? MEASURE_NODE_PUT : MEASURE_NODE_GET;
		double v = 0;

		rc = p == PARTY_OURS ? bench_node_run(b->node, put, b->z.exchange_ms, &v)
				     : bench_store_run(&b->store[p], put, b->z.exchange_ms, &v);
		rc = value_add(b, m, p, put ? "PUT" : "GET", rc, v);
	}
	return rc;
}

static int round_run(struct bench *b)
{
	int rc = 0;

	for (unsigned i = 0; i < b->file_parties && !rc; i++)
		rc = measure_file(b, b->file_party[(i + b->round) % b->file_parties]);
	for (unsigned i = 0; i < b->store_parties && !rc; i++)
		rc = measure_store(b, b->store_party[(i + b->round) % b->store_parties]);
	return bench_stopped ? -EINTR : rc;
}

static void store_set(struct bench *b, enum bench_party p, const struct bench_program *g)
{
	if (!g->pid)
		return;
	b->store[p].party = p;
	b->store[p].port = g->port;
	b->store[p].values = b->z.values;
	b->store[p].depth = b->z.depth;
	b->store_party[b->store_parties++] = p;
}

/* Half of the group's other memory is the toucher's own. */
static void group_make(struct bench *b)
{
	char err[MEMCG_ERR_TEXT];

	if (memcg_create(&b->cg, "gvm-bench", err)) {
		say("retouch is left out: %s", err);
		return;
	}
	memcg_forbid_swap(&b->cg);
	b->have_cg = memcg_limit(&b->cg, b->z.retouch_bytes / 4 + 2 * MIB, 64 * MIB) == 0;
	if (!b->have_cg) {
		say("retouch is left out: %s cannot be limited", b->cg.path);
		memcg_remove(&b->cg);
	}
}

static int prepare(struct bench *b, const char *bindir)
{
	char addr[32];
	int rc;

	b->latency = malloc(b->z.faults * sizeof(*b->latency));
	b->peers = bench_peers_alloc();
	if (!b->latency || !b->peers)
		return -ENOMEM;
	bench_node_frames(&b->store[PARTY_RAW_TCP]);
	rc = bench_peers_start(b->peers, &b->z, bindir, &b->store[PARTY_RAW_TCP]);
	if (rc)
		return rc;
	b->file_party[b->file_parties++] = PARTY_OURS;
	if (b->peers->nbdfuse.pid)
		b->file_party[b->file_parties++] = PARTY_NBDFUSE;
	b->file_party[b->file_parties++] = PARTY_NO_NETWORK;
	for (unsigned i = 0; i < b->file_parties && !rc; i++)
		rc = bench_touch_fill(file_of(b, b->file_party[i]), b->z.file_bytes, 1);
	if (rc)
		return failed(PARTY_OURS, "filling the files", rc);
	snprintf(addr, sizeof(addr), "127.0.0.1:%u", b->peers->node.port);
	rc = bench_node_open(addr, b->z.values, b->z.depth, &b->node);
	if (rc)
		return failed(PARTY_OURS, "opening a region on the node", rc);
	b->store_party[b->store_parties++] = PARTY_OURS;
	store_set(b, PARTY_RAW_TCP, &b->peers->raw);
	store_set(b, PARTY_MEMCACHED, &b->peers->memcached);
	store_set(b, PARTY_REDIS, &b->peers->redis);
	group_make(b);
	return 0;
}

static void cleanup(struct bench *b)
{
	bench_node_close(b->node);
	if (b->have_cg)
		memcg_remove(&b->cg);
	bench_peers_stop(b->peers);
	free(b->latency);
}

static int run(struct bench *b, const char *bindir, const char *json)
{
	uint64_t from = gvm_now_ns();
	bool tty = isatty(2);
	int rc = prepare(b, bindir);

	for (b->round = 0; b->round < b->z.rounds && !rc; b->round++) {
		if (b->round && b->z.deadline_ns && gvm_now_ns() - from > b->z.deadline_ns)
			break;
		if (tty)
			fprintf(stderr, "\rround %u of %u ", b->round + 1, b->z.rounds);
		rc = round_run(b);
	}
	if (tty)
		fprintf(stderr, "\r                  \r");
	cleanup(b);
	if (rc)
		return rc;
	if (!json) {
		bench_print_table(&b->results);
		return 0;
	}
	rc = bench_write_json(&b->results, json);
	if (rc)
		say("%s: %s", json, strerror(-rc));
	return rc;
}

int cmd_bench(int argc, char **argv)
{
	static const struct option longs[] = {
		{"quick", no_argument, NULL, 'q'},	  {"json", required_argument, NULL, 'j'},
		{"bindir", required_argument, NULL, 'b'}, {"rounds", required_argument, NULL, 'r'},
		{"help", no_argument, NULL, 'h'},	  {NULL, 0, NULL, 0}};
	const struct sigaction stop = {.sa_handler = on_stop};
	const char *json = NULL, *bindir = NULL;
	static struct bench b;
	unsigned rounds = 0;
	int c;

	if (argc > 1 && !strcmp(argv[1], "codec"))
		return cmd_bench_codec(argc - 1, argv + 1);
	b.z = full;
	optind = 1;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'q':
			b.z = quick;
			break;
		case 'j':
			json = optarg;
			break;
		case 'b':
			bindir = optarg;
			break;
		case 'r':
			rounds = (unsigned)strtoul(optarg, NULL, 10);
			if (!rounds || rounds > BENCH_ROUNDS_MAX) {
				say("--rounds %s: 1 to %d", optarg, BENCH_ROUNDS_MAX);
				return EXIT_USAGE;
			}
			break;
		case 'h':
			fputs(help_text, stdout);
			return 0;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind != argc) {
		fputs(help_text, stderr);
		return EXIT_USAGE;
	}
	if (rounds)
		b.z.rounds = rounds;
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGHUP, &stop, NULL);
	signal(SIGPIPE, SIG_IGN);
	return run(&b, bindir, json) ? 1 : 0;
}
