// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvm bench networks - what gvmfs makes of networks of several kinds: which it should fill, and
 * whose delay it should hide.
 *
 * Each network is one emulated link (link.h) to a machine with a memory node, nbdkit and a plain
 * TCP server. What the link gives is measured with the latter in the same rounds: one exchange of a
 * page at a time, and as much as it carries. gvmfs is mounted three times, as what is sent is
 * compressed by its own choice, always or never; its choice is right if it is as good as the better
 * of the other two. Everything of one network is started anew, so that nothing that gvmfs has
 * measured of another one is left; rounds and the parties' order in them are as in gvm bench.
 */
#include "networks.h"

#include "command.h"
#include "link.h"
#include "loads.h"
#include "memnode/gvm_client.h"
#include "memnode/size.h"
#include "peers.h"
#include "report.h"
#include "say.h"
#include "touch.h"

#include <errno.h>
#include <json-c/json.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_PORT   7001
#define PAGE_REQUEST 64u /* bytes of an exchange of one page */
#define PAGE_ANSWER  (64u + 4096u)
#define CHUNK_HEAD   64u

static const char help_text[] =
	"usage: gvm bench networks [--quick] [--json FILE] [--bindir DIR] [--rounds N]\n"
	"\n"
	"Measures a mount whose node is at the far end of an emulated network: one link of\n"
	"1, 10 or 25 Gbit/s and 20 to 500 us one way, in network namespaces. Beside it,\n"
	"nbdkit and nbdfuse, and what the link gives a plain TCP exchange.\n"
	"\n"
	"  --quick        two networks, smaller files; within 60 s\n"
	"  --json FILE    write the figures to FILE instead of printing a table\n"
	"  --bindir DIR   where gvmfs and gvm-memnode are (default: beside gvm, or PATH)\n"
	"  --rounds N     how often everything is measured (1 to 16)\n"
	"  --help         show this text\n";

/* The first two are what --quick measures. */
static const struct bench_link_kind kinds[] = {{1, 500}, {10, 20}, {1, 50}, {10, 100}, {25, 20}};

#define KINDS	    (sizeof(kinds) / sizeof(kinds[0]))
#define KINDS_QUICK 2u

enum party { BY_RAW, BY_AUTO, BY_ALWAYS, BY_NEVER, BY_FUSE, BY_NBDFUSE, BYS };
enum row { FAULT, FAULT_P99, SEQ, WRITE, ZIPF, FETCHED, ROWS };

static const char *const by_names[BYS] = {
	[BY_RAW] = "raw",     [BY_AUTO] = "auto", [BY_ALWAYS] = "always",
	[BY_NEVER] = "never", [BY_FUSE] = "fuse", [BY_NBDFUSE] = "nbdfuse"};

static const struct {
	const char *name, *unit;
	int digits;
} row_of[ROWS] = {[FAULT] = {"fault", "us", 0},	 [FAULT_P99] = {"fault_p99", "us", 0},
		[SEQ] = {"seq_read", "MB/s", 0}, [WRITE] = {"write", "MB/s", 0},
		[ZIPF] = {"zipf", "us", 1},	 [FETCHED] = {"fetched", "", 2}};

struct networks {
	struct bench_sizes z;
	struct bench_peers *peers;
	struct bench_link link;
	struct bench_store page, chunk; /* plain TCP */
	struct bench_file file[BYS];
	uint64_t *latency;
	unsigned samples[KINDS][ROWS][BYS];
	double sample[KINDS][ROWS][BYS][BENCH_ROUNDS_MAX];
};

static const struct bench_sizes full = {.rounds = 3,
					.file_bytes = 128 * MIB,
					.faults = 400,
					.seq_bytes = 128 * MIB,
					.write_bytes = 64 * MIB,
					.half_bytes = 64 * MIB,
					.half_ms = 2000,
					.exchange_ms = 500,
					.values = 64,
					.depth = 16};
static const struct bench_sizes quick = {.rounds = 1,
					 .file_bytes = 32 * MIB,
					 .faults = 100,
					 .seq_bytes = 32 * MIB,
					 .write_bytes = 16 * MIB,
					 .half_bytes = 16 * MIB,
					 .half_ms = 300,
					 .exchange_ms = 200,
					 .values = 16,
					 .depth = 16};

static void add(struct networks *n, unsigned kind, enum row row, enum party by, double value)
{
	n->sample[kind][row][by][n->samples[kind][row][by]++] = value;
}

/* ---- what runs */

static void place_far(const struct networks *n, struct bench_program *g, unsigned which)
{
	g->ns = n->link.far_ns;
	g->address = LINK_FAR;
	g->port = (uint16_t)(FIRST_PORT + which);
}

static int mount_start(struct networks *n, struct bench_program *g, const char *name,
		       const char *compress)
{
	return bench_gvmfs_start(
		n->peers, g, &n->z, name, &n->peers->node, 1,
		(char *[3]){BENCH_ARG("--no-seal"), BENCH_ARG("--compress"), BENCH_ARG(compress)});
}

static int raw_start(struct networks *n, struct bench_program *g, struct bench_store *s,
		     unsigned which)
{
	place_far(n, g, which);
	s->address = g->address;
	s->port = g->port;
	return bench_raw_start(n->peers, g, s);
}

static void file_set(struct networks *n, enum party by, const struct bench_program *g, bool fast)
{
	n->file[by] = (struct bench_file){
		.path = g->pid ? g->file : NULL, .bytes = n->z.file_bytes, .fast = fast};
}

static int programs_start(struct networks *n)
{
	struct bench_peers *p = n->peers;
	int rc;

	place_far(n, &p->node, 0);
	rc = bench_node_start(p, &p->node, &n->z, "gvm-memnode", 3 * n->z.file_bytes,
			      (char *[3]){BENCH_ARG("--open")});
	if (!rc)
		rc = mount_start(n, &p->gvmfs, "gvmfs", "auto");
	if (!rc)
		rc = mount_start(n, &p->compress_always, "gvmfs-always", "always");
	if (!rc)
		rc = mount_start(n, &p->compress_never, "gvmfs-never", "never");
	if (!rc)
		rc = raw_start(n, &p->raw_page, &n->page, 1);
	if (!rc)
		rc = raw_start(n, &p->raw, &n->chunk, 2);
	if (rc)
		return rc;
	place_far(n, &p->nbdkit, 3);
	bench_nbd_start(p, &n->z); /* (said, if there is none) */
	file_set(n, BY_AUTO, &p->gvmfs, true);
	file_set(n, BY_ALWAYS, &p->compress_always, true);
	file_set(n, BY_NEVER, &p->compress_never, true);
	file_set(n, BY_FUSE, &p->gvmfs, false);
	file_set(n, BY_NBDFUSE, &p->nbdfuse, false);
	for (unsigned by = BY_AUTO; by < BYS && !rc; by++)
		if (n->file[by].path && by != BY_FUSE)
			rc = bench_touch_fill(&n->file[by], 1);
	return rc;
}

/* ---- what is measured */

static int measure_raw(struct networks *n, unsigned kind)
{
	double page = 0, chunk = 0, put = 0;
	int rc = bench_store_run(&n->page, false, n->z.exchange_ms, &page);

	if (!rc)
		rc = bench_store_run(&n->chunk, false, n->z.exchange_ms, &chunk);
	if (!rc)
		rc = bench_store_run(&n->chunk, true, n->z.exchange_ms, &put);
	if (rc)
		return rc;
	/* Each answer counts as a whole value. */
	add(n, kind, FAULT, BY_RAW, BENCH_VALUE_BYTES / page);
	add(n, kind, SEQ, BY_RAW, chunk);
	add(n, kind, WRITE, BY_RAW, put);
	return 0;
}

static int measure_zipf(struct networks *n, unsigned kind, enum party by, uint64_t seed)
{
	struct touch t = {.file = &n->file[by],
			  .bytes = n->z.half_bytes,
			  .budget_bytes = n->z.half_bytes / 2,
			  .ms = n->z.half_ms,
			  .seed = seed};
	int rc = touch_cool(&t);

	if (!rc)
		rc = load_run(&t, LOAD_ZIPF);
	if (!rc) {
		add(n, kind, ZIPF, by, t.answer->value);
		add(n, kind, FETCHED, by, t.answer->fetched);
	}
	touch_end(&t);
	return rc;
}

static int measure_file(struct networks *n, unsigned kind, enum party by, uint64_t seed)
{
	struct bench_file *f = &n->file[by];
	unsigned count = 0;
	double v = 0;
	int rc = bench_touch_random(f, n->z.faults, seed, n->latency, &count);

	if (rc)
		return rc;
	add(n, kind, FAULT, by, (double)latency_rank(n->latency, count, 500) / 1e3);
	add(n, kind, FAULT_P99, by, (double)latency_rank(n->latency, count, 990) / 1e3);
	rc = bench_touch_seq(f, n->z.seq_bytes, &v);
	if (rc)
		return rc;
	add(n, kind, SEQ, by, v);
	rc = bench_touch_write(f, n->z.write_bytes, seed * BYS + by + 1000, &v);
	if (rc)
		return rc;
	add(n, kind, WRITE, by, v);
	return f->fast ? measure_zipf(n, kind, by, seed) : 0;
}

static int measure(struct networks *n, unsigned kind, enum party by, uint64_t seed)
{
	int rc = 0;

	if (by == BY_RAW)
		rc = measure_raw(n, kind);
	else if (n->file[by].path)
		rc = measure_file(n, kind, by, seed);
	if (!rc)
		return 0;
	say("%u Gbit/s, %u us: %s failed: %s", kinds[kind].gbit_s, kinds[kind].delay_us,
	    by_names[by], rc == -EOPNOTSUPP && *n->file[by].why ? n->file[by].why : strerror(-rc));
	return by == BY_NBDFUSE ? 0 : rc;
}

static int network_measure(struct networks *n, unsigned kind)
{
	int rc = bench_link_be(&n->link, &kinds[kind]);

	if (!rc)
		rc = programs_start(n);
	for (unsigned round = 0; round < n->z.rounds && !rc; round++)
		for (unsigned i = 0; i < BYS && !rc; i++)
			rc = measure(n, kind, (i + round) % BYS, round + 1);
	bench_peers_stop_programs(n->peers);
	return rc;
}

/* ---- the report */

static double median(const struct networks *n, unsigned kind, enum row row, enum party by)
{
	double copy[BENCH_ROUNDS_MAX];

	memcpy(copy, n->sample[kind][row][by], sizeof(copy));
	return bench_median_of(copy, n->samples[kind][row][by]);
}

static void network_print(const struct networks *n, unsigned kind)
{
	char name[40];

	snprintf(name, sizeof(name), "%u Gbit/s, %u us", kinds[kind].gbit_s, kinds[kind].delay_us);
	printf("\n%-21s", name);
	for (unsigned by = 0; by < BYS; by++)
		printf(" %8s", by_names[by]);
	printf("\n");
	for (unsigned row = 0; row < ROWS; row++) {
		printf("  %-13s%-6s", row_of[row].name, row_of[row].unit);
		for (unsigned by = 0; by < BYS; by++)
			if (n->samples[kind][row][by])
				printf(" %8.*f", row_of[row].digits, median(n, kind, row, by));
			else
				printf(" %8s", "");
		printf("\n");
	}
}

static void table_print(const struct networks *n, unsigned count)
{
	for (unsigned kind = 0; kind < count; kind++)
		network_print(n, kind);
	printf("\nraw: what the link gives: an exchange of a page; as much as it carries.\n"
	       "auto, always, never: the fast path, by how gvmfs compresses what it sends (--compress).\n"
	       "zipf: us of an access with half of the set here. fetched: bytes for each byte accessed there.\n");
}

static int json_write(const struct networks *n, unsigned count, const char *path)
{
	struct json_object *all = json_object_new_object(), *list = json_object_new_array();
	int rc;

	for (unsigned kind = 0; kind < count; kind++)
		for (unsigned row = 0; row < ROWS; row++)
			for (unsigned by = 0; by < BYS; by++) {
				struct json_object *o;

				if (!n->samples[kind][row][by])
					continue;
				o = json_object_new_object();
				json_object_object_add(
					o, "gbit_s", json_object_new_int((int)kinds[kind].gbit_s));
				json_object_object_add(
					o, "delay_us",
					json_object_new_int((int)kinds[kind].delay_us));
				json_object_object_add(o, "measure",
						       json_object_new_string(row_of[row].name));
				json_object_object_add(o, "by",
						       json_object_new_string(by_names[by]));
				json_object_object_add(
					o, "value", json_object_new_double(median(n, kind, row, by)));
				json_object_array_add(list, o);
			}
	json_object_object_add(all, "networks", list);
	rc = json_object_to_file_ext(path, all, JSON_C_TO_STRING_PRETTY) ? -EIO : 0;
	json_object_put(all);
	return rc;
}

static int prepare(struct networks *n, const char *bindir)
{
	int rc;

	n->page = (struct bench_store){.party = PARTY_RAW_TCP,
				       .values = 1,
				       .depth = 1,
				       .get_request = PAGE_REQUEST,
				       .get_answer = PAGE_ANSWER,
				       .put_request = PAGE_ANSWER,
				       .put_answer = PAGE_REQUEST};
	n->chunk = (struct bench_store){.party = PARTY_RAW_TCP,
					.values = n->z.values,
					.depth = n->z.depth,
					.get_request = CHUNK_HEAD,
					.get_answer = CHUNK_HEAD + BENCH_VALUE_BYTES,
					.put_request = 2 * CHUNK_HEAD + BENCH_VALUE_BYTES,
					.put_answer = CHUNK_HEAD};
	n->latency = malloc(n->z.faults * sizeof(*n->latency));
	n->peers = bench_peers_alloc();
	if (!n->latency || !n->peers)
		return -ENOMEM;
	rc = bench_peers_begin(n->peers, bindir);
	return rc ? rc : bench_link_make(&n->link);
}

static int run(struct networks *n, unsigned count, const char *bindir, const char *json)
{
	int rc = prepare(n, bindir);

	for (unsigned kind = 0; kind < count && !rc; kind++)
		rc = network_measure(n, kind);
	bench_peers_stop(n->peers);
	bench_link_end(&n->link);
	free(n->latency);
	if (rc)
		return rc;
	if (!json) {
		table_print(n, count);
		return 0;
	}
	rc = json_write(n, count, json);
	if (rc)
		say("%s: %s", json, strerror(-rc));
	return rc;
}

int cmd_bench_networks(int argc, char **argv)
{
	static struct networks n = {.link = {.far_ns = -1, .tun = {-1, -1}}};
	struct bench_command command;
	int status = bench_command_read(argc, argv, help_text, BENCH_HAS_ROUNDS, &command);

	if (status >= 0)
		return status;
	n.z = command.quick ? quick : full;
	if (command.rounds)
		n.z.rounds = command.rounds;
	return run(&n, command.quick ? KINDS_QUICK : KINDS, command.bindir, command.json) ? 1 : 0;
}
