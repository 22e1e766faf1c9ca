// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvm bench - its options, what it starts, and how often everything is measured (round.c):
 * what is reported are medians over the rounds.
 *
 * A party is one way to do the same thing (ours, or a peer); a measure is one figure. round.c says who is measured on
 * what, peers.c starts and stops the programs, touch.c measures a mapped file, budget.c one that does not fit into its
 * budget, loads.c what a program does with such a one, guests.c two at once, parts.c what a fault consists of, node.c and exchange.c stores over TCP; busy.c keeps
 * CPUs busy beside; report.c prints.
 */
#include "busy.h"
#include "codec.h"
#include "command.h"
#include "gvm.h"
#include "memnode/gvm_client.h"
#include "memnode/size.h"
#include "networks.h"
#include "node.h"
#include "peers.h"
#include "report.h"
#include "round.h"
#include "say.h"
#include "scale.h"
#include "stop.h"
#include "swap.h"
#include "table.h"
#include "touch.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help_text[] =
	"usage: gvm bench [OPTION ...]\n"
	"       gvm bench codec [--chunks N] FILE [LATER]\n"
	"       gvm bench networks [OPTION ...]\n"
	"       gvm bench scale [OPTION ...]\n"
	"       gvm bench swap [OPTION ...]\n"
	"       gvm bench table [OPTION ...]\n"
	"\n"
	"Measures both fronts of gvmfs against nbdkit + nbdfuse, the fast one against\n"
	"what it consists of too, and a memory node against memcached, Redis and a raw\n"
	"TCP exchange. Starts and stops everything by itself; needs root for the mounts\n"
	"and for a cgroup.\n"
	"\n"
	"  --quick        smaller, and over within 90 seconds\n"
	"  --seal         measure a mount that seals, too, beside one that does not\n"
	"  --tls          measure a mount and a node with TLS, too\n"
	"  --persist      measure a node that keeps chunks on a disk, too, in TMPDIR\n"
	"  --replicas N   measure a mount with N copies on N nodes, too (2 or 3)\n"
	"  --before DIR   measure another build's gvmfs and gvm-memnode, too, from DIR\n"
	"  --busy[=N]     with N processes beside that only compute (default: one a CPU)\n"
	"  --json FILE    write the figures to FILE instead of printing a table\n"
	"  --bindir DIR   where gvmfs and gvm-memnode are (default: beside gvm, or PATH)\n"
	"  --rounds N     how often everything is measured (1 to 16)\n"
	"  --help         show this text\n"
	"\n"
	"gvm bench codec measures the encoding of chunks on an image of a guest's RAM:\n"
	"see gvm bench codec --help. gvm bench networks measures a mount over slower and\n"
	"faster networks: see gvm bench networks --help. gvm bench scale measures many\n"
	"nodes, regions and guests on one mount: see gvm bench scale --help. gvm bench\n"
	"swap measures programs with too little memory, on a region and on zram: see gvm\n"
	"bench swap --help. gvm bench table says what a guest keeps of its speed in each\n"
	"mode: see gvm bench table --help.\n";

static const struct bench_sizes full = {
	.rounds = 7,
	.file_bytes = 512 * MIB,
	.faults = 1500,
	.guest_bytes = 256 * MIB,
	.guest_faults = 1000,
	.seq_bytes = 512 * MIB,
	.write_bytes = 256 * MIB,
	.retouch_bytes = 128 * MIB,
	.retouch_ms = 3000,
	.half_bytes = 128 * MIB,
	.half_ms = 2000,
	.writeback_bytes = 128 * MIB,
	.exchange_ms = 1500,
	.values = 512,
	.depth = 16,
};

static const struct bench_sizes quick = {
	.rounds = 5,
	.deadline_ns = 45ull * 1000 * 1000 * 1000,
	.file_bytes = 256 * MIB,
	.faults = 800,
	.guest_bytes = 128 * MIB,
	.guest_faults = 500,
	.seq_bytes = 192 * MIB,
	.write_bytes = 96 * MIB,
	.retouch_bytes = 64 * MIB,
	.retouch_ms = 600,
	.half_bytes = 64 * MIB,
	.half_ms = 500,
	.writeback_bytes = 48 * MIB,
	.exchange_ms = 250,
	.values = 512,
	.depth = 16,
};

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

static void file_set(struct bench *b, enum bench_party p, const struct bench_program *g)
{
	if (!g->pid)
		return;
	b->file[p].path = g->file;
	b->file[p].bytes = b->z.file_bytes;
	b->file[p].fast = bench_party_is_fast(p);
	b->file_party[b->file_parties++] = p;
}

/* The file of a second guest, beside the one that everything else is measured on. */
static int guest_make(struct bench *b)
{
	const char *mount = b->peers->gvmfs.mount;
	int n = snprintf(b->guest_path, sizeof(b->guest_path), "%s/guest", mount), rc = 0, fd;

	if (n < 0 || (size_t)n >= sizeof(b->guest_path))
		return -ENAMETOOLONG;
	b->guest = (struct bench_file){.path = b->guest_path, .bytes = b->z.guest_bytes, .fast = true};
	fd = open(b->guest_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)b->z.guest_bytes))
		rc = -errno;
	if (fd >= 0)
		close(fd);
	return rc ? rc : bench_touch_fill(&b->guest, 2);
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

/* Opens a region on a node, if it runs. */
static int node_set(struct bench *b, enum bench_party p, const struct bench_program *g, const char *key_path)
{
	int rc = g->pid ? bench_node_open(g->port, key_path, b->z.values, b->z.depth, &b->node[p]) : 0;

	if (rc)
		say("opening a region on the node failed: %s", strerror(-rc));
	else if (g->pid)
		b->store_party[b->store_parties++] = p;
	return rc;
}

static int prepare(struct bench *b, const char *bindir)
{
	int rc;

	b->latency = malloc(b->z.faults * sizeof(*b->latency));
	b->peers = bench_peers_alloc();
	if (!b->latency || !b->peers)
		return -ENOMEM;
	bench_node_frames(&b->store[PARTY_RAW_TCP]);
	rc = bench_peers_start(b->peers, &b->z, bindir, &b->store[PARTY_RAW_TCP]);
	if (rc)
		return rc;
	file_set(b, PARTY_OURS, &b->peers->gvmfs);
	file_set(b, PARTY_NBDFUSE, &b->peers->nbdfuse);
	file_set(b, PARTY_UFFD, &b->peers->gvmfs);
	file_set(b, PARTY_SEALED, &b->peers->sealed);
	file_set(b, PARTY_SEALED_UFFD, &b->peers->sealed);
	file_set(b, PARTY_TLS, &b->peers->tls);
	file_set(b, PARTY_TLS_UFFD, &b->peers->tls);
	file_set(b, PARTY_REPLICATED, &b->peers->replicated);
	file_set(b, PARTY_REPLICATED_UFFD, &b->peers->replicated);
	file_set(b, PARTY_BEFORE, &b->peers->before);
	file_set(b, PARTY_BEFORE_UFFD, &b->peers->before);
	file_set(b, PARTY_NO_NETWORK, &b->peers->no_network);
	for (unsigned i = 0; i < b->file_parties && !rc; i++) {
		struct bench_file *f = &b->file[b->file_party[i]];

		if (!f->fast)
			rc = bench_touch_fill(f, 1);
	}
	if (!rc)
		rc = guest_make(b);
	if (rc) {
		say("filling the files failed: %s", strerror(-rc));
		return rc;
	}
	rc = node_set(b, PARTY_OURS, &b->peers->node, NULL);
	/* Its node may speak another version of the wire format: then it is left out, which is said. */
	if (!rc)
		node_set(b, PARTY_BEFORE, &b->peers->node_before, NULL);
	if (!rc)
		rc = node_set(b, PARTY_TLS, &b->peers->node_tls, b->peers->tls_key);
	if (!rc)
		rc = node_set(b, PARTY_PERSIST, &b->peers->node_persist, NULL);
	if (rc)
		return rc;
	store_set(b, PARTY_RAW_TCP, &b->peers->raw);
	store_set(b, PARTY_MEMCACHED, &b->peers->memcached);
	store_set(b, PARTY_REDIS, &b->peers->redis);
	group_make(b);
	return 0;
}

static void cleanup(struct bench *b)
{
	for (unsigned p = 0; p < PARTIES; p++)
		bench_node_close(b->node[p]);
	if (b->have_cg)
		memcg_remove(&b->cg);
	bench_peers_stop(b->peers);
	free(b->latency);
}

static int run(struct bench *b, const char *bindir, const char *json)
{
	uint64_t from = gvm_now_ns();
	static pid_t busy[BENCH_BUSY_MAX];
	bool tty = isatty(2), computing = false;
	int rc = prepare(b, bindir);

	if (!rc) {
		rc = bench_busy_start(busy, b->z.busy);
		computing = !rc;
		if (rc)
			say("%u busy processes: %s", b->z.busy, strerror(-rc));
	}
	for (b->round = 0; b->round < b->z.rounds && !rc; b->round++) {
		if (b->round && b->z.deadline_ns && gvm_now_ns() - from > b->z.deadline_ns)
			break;
		if (tty)
			fprintf(stderr, "\rround %u of %u ", b->round + 1, b->z.rounds);
		rc = bench_round(b);
	}
	if (tty)
		fprintf(stderr, "\r                  \r");
	if (computing)
		bench_busy_stop(busy, b->z.busy);
	cleanup(b);
	if (rc)
		return rc;
	if (!json) {
		if (b->z.busy)
			printf("processes that compute beside: %u\n", b->z.busy);
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
		{"seal", no_argument, NULL, 's'},	  {"tls", no_argument, NULL, 't'},
		{"before", required_argument, NULL, 'o'},	  {"persist", no_argument, NULL, 'p'},	  {"replicas", required_argument, NULL, 'n'},
		{"busy", optional_argument, NULL, 'u'},	  {"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0}};
	const char *json = NULL, *bindir = NULL, *before = NULL;
	static struct bench b;
	unsigned rounds = 0, replicas = 0, busy = 0;
	bool seal = false, tls = false, persist = false;
	int c;

	if (argc > 1 && !strcmp(argv[1], "codec"))
		return cmd_bench_codec(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "scale"))
		return cmd_bench_scale(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "networks"))
		return cmd_bench_networks(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "swap"))
		return cmd_bench_swap(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "table"))
		return cmd_bench_table(argc - 1, argv + 1);
	b.z = full;
	optind = 1;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'q':
			b.z = quick;
			break;
		case 's':
			seal = true;
			break;
		case 't':
			tls = true;
			break;
		case 'p':
			persist = true;
			break;
		case 'o':
			before = optarg;
			break;
		case 'n':
			replicas = bench_number_read("replicas", optarg, 2, BENCH_REPLICAS);
			if (!replicas)
				return EXIT_USAGE;
			break;
		case 'u':
			busy = optarg ? bench_number_read("busy", optarg, 1, BENCH_BUSY_MAX) :
					(unsigned)sysconf(_SC_NPROCESSORS_ONLN);
			if (!busy)
				return EXIT_USAGE;
			if (busy > BENCH_BUSY_MAX)
				busy = BENCH_BUSY_MAX;
			break;
		case 'j':
			json = optarg;
			break;
		case 'b':
			bindir = optarg;
			break;
		case 'r':
			rounds = bench_rounds_read(optarg);
			if (!rounds)
				return EXIT_USAGE;
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
	b.z.before = before;
	b.z.seal = seal;
	b.z.tls = tls;
	b.z.persist = persist;
	b.z.replicas = replicas;
	b.z.busy = busy;
	bench_stop_watch();
	signal(SIGPIPE, SIG_IGN);
	return run(&b, bindir, json) ? 1 : 0;
}
