// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvm bench swap - programs that use more memory than they may have, on a region and on what a user would try first:
 * zram, or a swap file.
 *
 * A cell is one load (loads.h), or one real program (swap_programs.h), at one residency by one party. Each is a process
 * of its own, with a set of the same size, the same data and the same accesses; what may be here is bounded by the fast
 * path's budget, or by a memory cgroup. All of a cell's parties follow each other, in an order that is turned from round to
 * round; the figures are medians over the rounds. How much memory a program uses is seen when all of it is local.
 */
#include "swap.h"

#include "command.h"
#include "gvmfs/gvm_mount.h"
#include "loads.h"
#include "memnode/size.h"
#include "peers.h"
#include "report.h"
#include "say.h"
#include "stop.h"
#include "swap_programs.h"
#include "touch.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define OWN_BYTES (6 * MIB) /* of a child, beside its set */
#define MARGIN	  (64 * MIB)
#define RESIDENCIES 3u
#define ROWS	  (LOADS + PROGRAMS)
#define HEAP_SHARE 4u /* how much larger the region is than what a program is to use */
#define EMPTY_TRIES 400u /* 25 ms apart: what its last client left is written back first */

static const char help_text[] =
	"usage: gvm bench swap [--quick] [--programs] [--json FILE] [--bindir DIR] [--rounds N]\n"
	"\n"
	"Measures programs of which all, a half and a quarter of the memory may be here:\n"
	"on a region by both fronts of gvmfs, on memory with zram as swap, and with a\n"
	"swap file in TMPDIR. While they are measured the machine has that swap.\n"
	"\n"
	"  --quick        smaller, and over within 90 seconds\n"
	"  --programs     measure sort, SQLite and Redis, too, as far as they are installed\n"
	"  --json FILE    write the figures to FILE instead of printing a table\n"
	"  --bindir DIR   where gvmfs and gvm-memnode are (default: beside gvm, or PATH)\n"
	"  --rounds N     how often everything is measured (1 to 16)\n"
	"  --help         show this text\n";

enum party { BY_LOCAL, BY_UFFD, BY_FUSE, BY_ZRAM, BY_SWAPFILE, BYS };

static const char *const by_names[BYS] = {
	[BY_LOCAL] = "local", [BY_UFFD] = "uffd", [BY_FUSE] = "fuse", [BY_ZRAM] = "zram", [BY_SWAPFILE] = "swapfile"
};

static const char *const row_names[ROWS] = {
	[LOAD_ZIPF] = "zipf", [LOAD_SEQ] = "seq", [LOAD_SPARSE] = "sparse", [LOAD_GRAPH] = "graph",
	[LOADS + PROGRAM_SORT] = "sort", [LOADS + PROGRAM_SQLITE] = "sqlite", [LOADS + PROGRAM_REDIS] = "redis"
};

/* Of the set, in percent. */
static const unsigned residency[RESIDENCIES] = {100, 50, 25};

struct cell {
	unsigned samples;
	/* Of an access, in us; of a program, in s. */
	double time[BENCH_ROUNDS_MAX], misses[BENCH_ROUNDS_MAX], fetched[BENCH_ROUNDS_MAX];
};

struct swap_bench {
	struct bench_sizes z;
	struct bench_peers *peers;
	struct bench_file fuse, uffd;
	struct memcg cg;
	bool have_cg;
	bool without[BYS];
	bool programs, without_program[PROGRAMS];
	char heap[PATH_MAX]; /* the region for programs */
	uint64_t used[PROGRAMS]; /* bytes that it has resident where all of it may be; 0: not known yet */
	struct cell cell[ROWS][RESIDENCIES][BYS];
	double optimum[LOADS][RESIDENCIES]; /* -1: not known */
};

/* guest_bytes: what a program is to use. */
static const struct bench_sizes full = {.rounds = 3, .file_bytes = 256 * MIB, .half_ms = 2000, .guest_bytes = 32 * MIB};
static const struct bench_sizes quick = {.rounds = 1, .file_bytes = 64 * MIB, .half_ms = 300, .guest_bytes = 8 * MIB};

/* Memory that is all here has no need of swap, and there is no less of local memory. */
static bool is_measured(const struct swap_bench *s, unsigned r, enum party by)
{
	return !s->without[by] && (by == BY_UFFD || by == BY_FUSE || (residency[r] == 100) == (by == BY_LOCAL));
}

static struct bench_swap *swap_of(struct swap_bench *s, enum party by)
{
	return by == BY_ZRAM ? &s->peers->zram : by == BY_SWAPFILE ? &s->peers->swapfile : NULL;
}

/* Runs a load in a child; its set is bounded by whatever bounds it. */
static int load_measure(struct swap_bench *s, enum bench_load load, unsigned r, enum party by, uint64_t seed)
{
	uint64_t bytes = s->z.file_bytes, local = bytes / 100 * residency[r];
	bool bounded = residency[r] < 100;
	struct touch t = {.bytes = bytes, .ms = s->z.half_ms, .seed = seed, .private = true};
	struct cell *c = &s->cell[load][r][by];
	int rc = 0;

	if (by == BY_UFFD || by == BY_FUSE)
		t.file = by == BY_UFFD ? &s->uffd : &s->fuse;
	if (bounded && by == BY_UFFD)
		t.budget_bytes = local;
	if (bounded && by != BY_UFFD) {
		t.cg = &s->cg;
		rc = memcg_limit(&s->cg, local + OWN_BYTES, MARGIN);
	}
	if (!rc && t.file)
		rc = touch_cool(&t);
	if (!rc)
		rc = load_run(&t, load);
	if (!rc) {
		c->time[c->samples] = t.answer->value;
		c->misses[c->samples] = t.answer->other;
		c->fetched[c->samples++] = t.answer->fetched;
	}
	touch_end(&t);
	return rc;
}

/* Fresh memory is zeros; and no client's pages are left to be written back while the next one is measured. */
static int heap_empty(struct swap_bench *s, uint64_t budget_bytes)
{
	int rc = -EBUSY, fd = open(s->heap, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	for (unsigned i = 0; rc == -EBUSY && i < EMPTY_TRIES && !bench_stopped(); i++) {
		if (i)
			usleep(25000);
		rc = ftruncate(fd, 0) || ftruncate(fd, (off_t)(HEAP_SHARE * s->z.guest_bytes)) ? -errno : 0;
	}
	close(fd);
	if (rc)
		return rc;
	if (budget_bytes)
		return run_fast_budget(s->heap, budget_bytes);
	return removexattr(s->heap, GVM_XATTR_LOCAL) && errno != ENODATA ? -errno : 0;
}

static int program_measure(struct swap_bench *s, enum swap_program program, unsigned r, enum party by)
{
	uint64_t local = s->used[program] / 100 * residency[r];
	bool bounded = residency[r] < 100, region = by == BY_UFFD || by == BY_FUSE;
	struct swap_run run = {.dir = s->peers->dir, .bytes = s->z.guest_bytes, .fast = by == BY_UFFD};
	struct cell *c = &s->cell[LOADS + program][r][by];
	int rc = 0;

	if (bounded && !local)
		return -ENODATA;
	if (region) {
		run.region = s->heap;
		rc = heap_empty(s, bounded && by == BY_UFFD ? local : 0);
	}
	if (!rc && bounded && by != BY_UFFD) {
		run.cg = &s->cg;
		rc = memcg_limit(&s->cg, local + OWN_BYTES, MARGIN);
	}
	if (!rc)
		rc = swap_program_run(program, &run);
	if (rc)
		return rc;
	c->time[c->samples++] = run.seconds;
	if (by == BY_LOCAL)
		s->used[program] = run.most_bytes;
	return 0;
}

static int row_measure(struct swap_bench *s, unsigned row, unsigned r, enum party by, uint64_t seed)
{
	return row < LOADS ? load_measure(s, row, r, by, seed) : program_measure(s, row - LOADS, r, by);
}

static int cell_measure(struct swap_bench *s, unsigned row, unsigned r, enum party by, uint64_t seed)
{
	struct bench_swap *area = swap_of(s, by);
	int rc = area ? bench_swap_on(area) : 0, off;

	if (!rc)
		rc = row_measure(s, row, r, by, seed);
	off = area ? bench_swap_off(area) : 0;
	rc = rc ? rc : off;
	if (bench_stopped())
		return -EINTR;
	if (rc == -EOPNOTSUPP && by == BY_UFFD && *s->uffd.why) {
		say("the fast path is left out: %s", s->uffd.why);
		s->without[by] = true;
		return 0;
	}
	if (rc)
		say("%s at %u %% by %s failed: %s", row_names[row], residency[r], by_names[by], strerror(-rc));
	return by == BY_UFFD || by == BY_FUSE ? rc : 0;
}

static bool has_row(const struct swap_bench *s, unsigned row)
{
	return row < LOADS || (s->programs && !s->without_program[row - LOADS]);
}

static int round_measure(struct swap_bench *s, unsigned round)
{
	int rc = 0;

	for (unsigned row = 0; row < ROWS && !rc; row++)
		for (unsigned r = 0; r < RESIDENCIES && !rc; r++)
			for (unsigned i = 0; i < BYS && !rc; i++) {
				enum party by = (i + round) % BYS;

				if (has_row(s, row) && is_measured(s, r, by))
					rc = cell_measure(s, row, r, by, round + 1);
			}
	return rc;
}

static void optimum_compute(struct swap_bench *s)
{
	for (unsigned load = 0; load < LOADS; load++)
		for (unsigned r = 0; r < RESIDENCIES; r++)
			s->optimum[load][r] = load_optimum(load, s->z.file_bytes, s->z.file_bytes / 100 * residency[r], 1);
}

static int programs_prepare(struct swap_bench *s)
{
	struct swap_run run = {.dir = s->peers->dir, .bytes = s->z.guest_bytes};
	int rc = 0, n = snprintf(s->heap, sizeof(s->heap), "%s/heap", s->peers->gvmfs.mount), fd;

	if (n < 0 || (size_t)n >= sizeof(s->heap))
		return -ENAMETOOLONG;
	fd = open(s->heap, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	close(fd);
	for (unsigned p = 0; p < PROGRAMS && !rc; p++) {
		const char *lacks = swap_program_lacks(p);

		s->without_program[p] = lacks != NULL;
		if (lacks)
			say("%s is left out: %s is not installed", row_names[LOADS + p], lacks);
		else
			rc = swap_program_prepare(p, &run);
	}
	return rc;
}

static int prepare(struct swap_bench *s, const char *bindir)
{
	char path[PATH_MAX + 16], err[MEMCG_ERR_TEXT];
	int rc;

	s->peers = bench_peers_alloc();
	if (!s->peers)
		return -ENOMEM;
	rc = bench_peers_start_ours(s->peers, &s->z, bindir,
				    2 * s->z.file_bytes + (s->programs ? HEAP_SHARE * s->z.guest_bytes : 0));
	if (rc)
		return rc;
	s->fuse = (struct bench_file){.path = s->peers->gvmfs.file, .bytes = s->z.file_bytes};
	s->uffd = s->fuse;
	s->uffd.fast = true;
	rc = bench_touch_fill(&s->fuse, 1);
	if (!rc && s->programs)
		rc = programs_prepare(s);
	if (rc) {
		say("filling the files failed: %s", strerror(-rc));
		return rc;
	}
	rc = memcg_create(&s->cg, "gvm-bench", err);
	if (rc) {
		say("%s", err);
		return rc;
	}
	s->have_cg = true;
	snprintf(path, sizeof(path), "%s/zram", s->peers->dir);
	s->without[BY_ZRAM] = bench_swap_zram(&s->peers->zram, path, 2 * s->z.file_bytes) < 0;
	snprintf(path, sizeof(path), "%s/swap", s->peers->dir);
	s->without[BY_SWAPFILE] = bench_swap_file(&s->peers->swapfile, path, 2 * s->z.file_bytes) < 0;
	return 0;
}

/* ---- the report */

static double median(const double *sample, unsigned n)
{
	double copy[BENCH_ROUNDS_MAX];

	memcpy(copy, sample, n * sizeof(*copy));
	return bench_median_of(copy, n);
}

/* Of one kind of figure: `at` is its place in a cell. */
static void line_print(const struct swap_bench *s, unsigned row, unsigned r, const char *what, size_t at, int digits,
		       double best)
{
	printf("%-7s %5u %%  %-9s", row_names[row], residency[r], what);
	for (unsigned by = 0; by < BYS; by++) {
		const struct cell *c = &s->cell[row][r][by];
		const double *sample = (const double *)(const void *)((const char *)c + at);

		if (c->samples)
			printf(" %9.*f", digits, median(sample, c->samples));
		else
			printf(" %9s", "");
	}
	if (best >= 0)
		printf(" %9.*f", digits, best);
	printf("\n");
}

static void table_print(const struct swap_bench *s)
{
	printf("\n%-18s%-9s", "load, resident", "");
	for (unsigned by = 0; by < BYS; by++)
		printf(" %9s", by_names[by]);
	printf(" %9s\n", "optimum");
	for (unsigned row = 0; row < ROWS; row++)
		for (unsigned r = 0; has_row(s, row) && r < RESIDENCIES; r++) {
			line_print(s, row, r, row < LOADS ? "us" : "s", offsetof(struct cell, time), 2, -1);
			if (residency[r] == 100 || row >= LOADS)
				continue;
			line_print(s, row, r, "misses", offsetof(struct cell, misses), 2, s->optimum[row][r]);
			line_print(s, row, r, "fetched", offsetof(struct cell, fetched), 2, -1);
		}
	printf("\nus: of an access. s: of the program. misses: of 100 accesses, to pages that were not here (faults that waited).\n"
	       "fetched: bytes from the node for each byte of the pages, or vertices, that were accessed.\n");
}

static struct json_object *cell_json(const struct swap_bench *s, unsigned row, unsigned r, unsigned by)
{
	const struct cell *c = &s->cell[row][r][by];
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "load", json_object_new_string(row_names[row]));
	json_object_object_add(o, "resident", json_object_new_int((int)residency[r]));
	json_object_object_add(o, "by", json_object_new_string(by_names[by]));
	json_object_object_add(o, row < LOADS ? "us" : "s", json_object_new_double(median(c->time, c->samples)));
	if (row >= LOADS)
		return o;
	json_object_object_add(o, "misses", json_object_new_double(median(c->misses, c->samples)));
	if (by == BY_UFFD || by == BY_FUSE)
		json_object_object_add(o, "fetched", json_object_new_double(median(c->fetched, c->samples)));
	if (s->optimum[row][r] >= 0)
		json_object_object_add(o, "optimum", json_object_new_double(s->optimum[row][r]));
	return o;
}

static int json_write(const struct swap_bench *s, const char *path)
{
	struct json_object *all = json_object_new_object(), *cells = json_object_new_array();
	int rc;

	for (unsigned row = 0; row < ROWS; row++)
		for (unsigned r = 0; r < RESIDENCIES; r++)
			for (unsigned by = 0; by < BYS; by++)
				if (s->cell[row][r][by].samples)
					json_object_array_add(cells, cell_json(s, row, r, by));
	json_object_object_add(all, "swap", cells);
	rc = json_object_to_file_ext(path, all, JSON_C_TO_STRING_PRETTY) ? -EIO : 0;
	json_object_put(all);
	return rc;
}

static int run(struct swap_bench *s, const char *bindir, const char *json)
{
	int rc = prepare(s, bindir);

	optimum_compute(s);
	for (unsigned round = 0; round < s->z.rounds && !rc; round++)
		rc = round_measure(s, round);
	if (s->have_cg)
		memcg_remove(&s->cg);
	bench_peers_stop(s->peers);
	if (rc)
		return rc;
	if (!json) {
		table_print(s);
		return 0;
	}
	rc = json_write(s, json);
	if (rc)
		say("%s: %s", json, strerror(-rc));
	return rc;
}

int cmd_bench_swap(int argc, char **argv)
{
	struct bench_command command;
	static struct swap_bench s;
	int status = bench_command_read(argc, argv, help_text, BENCH_HAS_ROUNDS | BENCH_HAS_PROGRAMS, &command);

	if (status >= 0)
		return status;
	s.z = command.quick ? quick : full;
	s.programs = command.programs;
	if (command.rounds)
		s.z.rounds = command.rounds;
	return run(&s, command.bindir, command.json) ? 1 : 0;
}
