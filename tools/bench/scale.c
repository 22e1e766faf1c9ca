// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvm bench scale - how one mount bears many nodes, regions and guests, and a very large one.
 *
 * Everything is overcommitted: the nodes promise a thousand times what they have, and of most regions nothing
 * is ever written. One region has data in every chunk; its client's cold faults are the measure of what
 * everything else costs: the same client, with more and more beside it. Each fault is of another chunk.
 */
#include "scale.h"

#include "child.h"
#include "command.h"
#include "data.h"
#include "fsstats.h"
#include "memnode/file.h"
#include "memnode/gvm_client.h"
#include "peers.h"
#include "say.h"
#include "scale_client.h"
#include "stop.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define NODES_MAX     64u
#define OVERCOMMIT    "1000"
/* A node has the records of all chunks of a region, whichever it holds: 1.3 GiB for HUGE_BYTES, none touched. */
#define NODE_MIB      1400ull
#define SMALL_BYTES   (1ull << 20)
#define HUGE_BYTES    (4ull << 40)
#define GUEST_BYTES   (128ull << 30)
#define LIST_NS	      60000000000ull
#define FREE_NS	      10000000000ull
#define PACE_US	      1000u
#define FAULTS	      400u /* of a measurement; and for each second of a listing: */
#define LIST_FAULTS   700u
#define CHUNK	      ((uint64_t)GVM_CHUNK_BYTES)

struct scale_sizes {
	unsigned nodes, sessions, regions, files, list_s;
	uint64_t resident; /* bytes of a guest that is all on this host */
};

static const struct scale_sizes full = {
	.nodes = 64, .sessions = 256, .regions = 1000, .files = 3000, .list_s = 5,
	.resident = 2ull << 30
};
static const struct scale_sizes quick = {
	.nodes = 8, .sessions = 40, .regions = 60, .files = 150, .list_s = 1,
	.resident = 256ull << 20
};

static const char help_text[] =
	"usage: gvm bench scale [--quick] [--json FILE] [--bindir DIR]\n"
	"\n"
	"Measures a mount of gvmfs with 64 nodes, 256 regions on the fast path, a region\n"
	"of 4 TiB and 3000 files: what these cost a fault, how long things take, and how\n"
	"much memory gvmfs needs. The nodes promise a thousand times what they have.\n"
	"Needs root, and 4 GiB of memory.\n"
	"\n"
	"  --quick        8 nodes, 40 regions on the fast path, 150 files; within 60 s\n"
	"  --json FILE    write the figures to FILE instead of printing a table\n"
	"  --bindir DIR   where gvmfs and gvm-memnode are (default: beside gvm, or PATH)\n"
	"  --help         show this text\n";

#define ROWS 48

struct scale {
	struct scale_sizes z;
	struct bench_peers *peers;
	struct bench_program *gvmfs;
	struct client probe, huge, guest, lister, *others;
	uint64_t chunk, chunks; /* of the probe's region: how many are touched, of how many */
	struct row {
		char name[40];
		const char *unit, *about;
		double value;
	} row[ROWS];
	unsigned rows;
};

static void row_add(struct scale *s, double value, const char *unit, const char *about, const char *name,
		    const char *more)
{
	struct row *r = &s->row[s->rows++];

	assert(s->rows <= ROWS);
	snprintf(r->name, sizeof(r->name), "%s%s", name, more);
	r->value = value;
	r->unit = unit;
	r->about = about;
}

static double ms_since(uint64_t from)
{
	return (double)(gvm_now_ns() - from) / 1e6;
}

static int failed(const char *what, int rc)
{
	if (!bench_stopped())
		say("%s: %s", what, strerror(-rc));
	return rc;
}

/* ---- programs */

static int node_start(struct scale *s, unsigned i)
{
	struct bench_program *g = &s->peers->program[i];
	char path[PATH_MAX], at[32], memory[32], name[24];
	char *const argv[] = {path, BENCH_ARG("--listen"), at, BENCH_ARG("--memory"), memory,
			      BENCH_ARG("--overcommit"), BENCH_ARG(OVERCOMMIT), NULL};
	int rc = bench_port_find(&g->port, false);

	if (rc)
		return rc;
	bench_program_find(s->peers, "gvm-memnode", "memnode/daemon/gvm-memnode", path);
	snprintf(at, sizeof(at), "127.0.0.1:%u", g->port);
	snprintf(memory, sizeof(memory), "%lluM", NODE_MIB);
	snprintf(name, sizeof(name), "node-%u", i);
	return bench_program_up(s->peers, g, name, argv);
}

static int gvmfs_start(struct scale *s)
{
	char path[PATH_MAX], nodes[NODES_MAX * 24];
	char *const argv[] = {path, BENCH_ARG("-f"), BENCH_ARG("--no-replay"), BENCH_ARG("--bench-turns"),
			      BENCH_ARG("--nodes"), nodes, s->gvmfs->mount, NULL};
	int rc = bench_mount_dir_make(s->peers, s->gvmfs, "gvmfs", "probe"), n = 0;

	if (rc)
		return rc;
	bench_program_find(s->peers, "gvmfs", "gvmfs/gvmfs", path);
	for (unsigned i = 0; i < s->z.nodes; i++)
		n += snprintf(nodes + n, sizeof(nodes) - (size_t)n, "%s127.0.0.1:%u", i ? "," : "",
			      s->peers->program[i].port);
	return bench_program_up(s->peers, s->gvmfs, "gvmfs", argv);
}

static int programs_start(struct scale *s, const char *bindir)
{
	int rc = bench_peers_begin(s->peers, bindir);
	uint64_t from;

	for (unsigned i = 0; i < s->z.nodes && !rc; i++)
		rc = node_start(s, i);
	from = gvm_now_ns();
	if (!rc)
		rc = gvmfs_start(s);
	if (!rc)
		row_add(s, ms_since(from), "ms", "to mount, with that many nodes", "mount", "");
	return rc;
}

/* The process that serves: a child of gvmfs, by its name. 0: there is none now. */
static pid_t worker_find(const struct scale *s)
{
	char path[64], text[8192], name[32], *at = text;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)s->gvmfs->pid, (int)s->gvmfs->pid);
	f = fopen(path, "re");
	if (!f || !fgets(text, sizeof(text), f))
		*text = 0;
	if (f)
		fclose(f);
	for (;;) {
		pid_t pid = (pid_t)strtol(at, &at, 10);

		if (!pid)
			return 0;
		snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
		f = fopen(path, "re");
		if (f && fgets(name, sizeof(name), f) && strcmp(name, "gvmfs-worker\n") == 0) {
			fclose(f);
			return pid;
		}
		if (f)
			fclose(f);
	}
}

static void memory_add(struct scale *s, const char *when)
{
	char path[64], line[128];
	unsigned long kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)worker_find(s));
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "VmRSS: %lu", &kib);
	if (f)
		fclose(f);
	row_add(s, (double)kib / 1024, "MiB", "resident in gvmfs's worker", "memory_", when);
}

/* The longest turn since this was called last; 0: unknown. */
static uint64_t turn_longest_ns(struct scale *s)
{
	char text[FSSTATS_TEXT];

	return fsstats_read(s->gvmfs->mount, text) ? 0 : fsstats_get(text, "longest_turn_ns");
}

static void turn_add(struct scale *s, const char *when)
{
	row_add(s, (double)turn_longest_ns(s) / 1e3, "us", "of CPU: the longest that the front looked at no fault", "turn_", when);
}

/* ---- regions */

static void path_of(const struct scale *s, char path[PATH_MAX + 32], const char *what, unsigned i)
{
	snprintf(path, PATH_MAX + 32, "%s/%s%u", s->gvmfs->mount, what, i);
}

static int region_make(const char *path, uint64_t bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), rc = 0;

	if (fd < 0 || ftruncate(fd, (off_t)bytes))
		rc = -errno;
	if (fd >= 0)
		close(fd);
	return rc;
}

static int regions_make(struct scale *s, const char *what, unsigned count)
{
	char path[PATH_MAX + 32];
	int rc = 0;

	for (unsigned i = 0; i < count && !rc; i++) {
		path_of(s, path, what, i);
		rc = bench_stopped() ? -EINTR : region_make(path, SMALL_BYTES);
	}
	return rc ? failed("making regions", rc) : 0;
}

/* A page of each of the first chunks has data. */
static int filled_make(const char *path, uint64_t bytes, uint64_t chunks)
{
	uint8_t page[PAGE_BYTES];
	int rc, fd;

	rc = region_make(path, bytes);
	fd = rc ? -1 : open(path, O_RDWR | O_CLOEXEC);
	for (uint64_t c = 0; c < chunks && fd >= 0 && !rc; c++) {
		bench_data_fill(page, sizeof(page), c);
		rc = file_pwrite(fd, page, sizeof(page), c * CHUNK);
	}
	if (fd >= 0 && fsync(fd))
		rc = -errno;
	if (fd >= 0)
		close(fd);
	return rc ? failed("the region with data", rc) : 0;
}

/* ---- the probe's faults */

/* Has them begin; faults_end() waits for them, whatever else is done in between. */
static int faults_begin(struct scale *s, unsigned count, unsigned pause_us)
{
	int rc = client_touch(&s->probe, s->chunks, s->chunk, count, pause_us);

	s->chunk += count;
	return rc ? failed("cold faults", rc) : 0;
}

static int faults_end(struct scale *s, const char *when, unsigned count)
{
	uint64_t *ns = s->probe.answer->latency_ns; /* sorted by latency_rank() */
	int rc = client_wait(&s->probe);

	if (rc)
		return failed("cold faults", rc);
	row_add(s, (double)latency_rank(ns, count, 500) / 1e3, "us", "a cold fault, median", "fault_", when);
	row_add(s, (double)latency_rank(ns, count, 990) / 1e3, "us", "the same, 99th percentile", "fault_p99_",
		when);
	row_add(s, (double)ns[count - 1] / 1e3, "us", "the same, the longest", "fault_max_", when);
	return 0;
}

static int faults_add(struct scale *s, const char *when, unsigned count, unsigned pause_us)
{
	int rc = faults_begin(s, count, pause_us);

	return rc ? rc : faults_end(s, when, count);
}

/* From the worker's death to the end of a fault that began right after it. */
static int death_add(struct scale *s, struct client *c, uint64_t among, uint64_t chunk, const char *when)
{
	pid_t worker = worker_find(s);
	int rc;

	if (!worker)
		return failed("gvmfs's worker", -ESRCH);
	kill(worker, SIGKILL);
	rc = client_touch(c, among, chunk, 1, 0);
	if (!rc)
		rc = client_wait(c);
	if (rc)
		return failed("a fault after the worker's death", rc);
	row_add(s, (double)c->answer->latency_ns[0] / 1e6, "ms", "a fault right after the worker's death",
		"fault_killed_", when);
	usleep(500000); /* the new one has to be older than those that die at once */
	return 0;
}

/* ---- what is measured */

static int client_add(struct client *c, const char *path, uint64_t bytes, unsigned faults)
{
	int rc = client_start(c, path, bytes, faults);

	if (rc && c->answer && *c->answer->why)
		say("%s", c->answer->why);
	return rc ? failed(path, rc) : 0;
}

static int sessions_measure(struct scale *s)
{
	uint64_t *attach_ns = calloc(s->z.sessions, sizeof(*attach_ns));
	unsigned count = 0;
	char path[PATH_MAX + 32];
	uint64_t from;
	int rc = attach_ns ? client_add(&s->probe, s->gvmfs->file, s->chunks * CHUNK, (unsigned)s->chunks) : -ENOMEM;

	if (!rc)
		rc = faults_add(s, "alone", FAULTS, 0);
	memory_add(s, "alone");
	from = gvm_now_ns();
	for (; count < s->z.sessions - 1 && !rc; count++) {
		path_of(s, path, "r", count);
		rc = bench_stopped() ? -EINTR : client_add(&s->others[count], path, SMALL_BYTES, 1);
		attach_ns[count] = rc ? 0 : s->others[count].answer->attach_ns;
	}
	row_add(s, (double)count + 1, "", "regions on the fast path at a time", "sessions", "");
	row_add(s, ms_since(from), "ms", "until all of them had it, one after the other", "attach_all", "");
	if (!rc) {
		latency_rank(attach_ns, count, 500);
		row_add(s, (double)attach_ns[count - 1] / 1e6, "ms", "the longest of these conversations",
			"attach_max", "");
	}
	free(attach_ns);
	if (!rc)
		rc = faults_add(s, "sessions", FAULTS, 0);
	memory_add(s, "sessions");
	return rc ? rc : death_add(s, &s->probe, s->chunks, s->chunk++, "sessions");
}

static int huge_measure(struct scale *s)
{
	char path[PATH_MAX + 32];
	uint64_t from = gvm_now_ns();
	int rc;

	path_of(s, path, "huge", 0);
	rc = region_make(path, HUGE_BYTES);
	if (rc)
		return failed("a region of 4 TiB", rc);
	row_add(s, ms_since(from), "ms", "to make a region of 4 TiB", "huge_make", "");
	from = gvm_now_ns();
	rc = client_add(&s->huge, path, HUGE_BYTES, 2);
	if (rc)
		return rc;
	row_add(s, ms_since(from), "ms", "to open and map it through the fast path", "huge_open", "");
	row_add(s, (double)s->huge.answer->attach_ns / 1e6, "ms", "the fast path's part of that", "huge_attach", "");
	rc = death_add(s, &s->huge, HUGE_BYTES / CHUNK, 1, "huge");
	if (!rc)
		rc = faults_add(s, "huge", FAULTS, 0);
	memory_add(s, "huge");
	return rc;
}

/* A large guest that faults all the time, and the worker dies meanwhile: the gap is its longest fault. */
static int load_measure(struct scale *s)
{
	char path[PATH_MAX + 32];
	uint64_t *ns;
	pid_t worker;
	int rc;

	path_of(s, path, "guest", 0);
	rc = filled_make(path, GUEST_BYTES, FAULTS);
	if (!rc)
		rc = client_add(&s->guest, path, GUEST_BYTES, FAULTS);
	if (!rc)
		rc = client_touch(&s->guest, FAULTS, 0, FAULTS, PACE_US);
	if (rc)
		return rc;
	usleep(FAULTS * PACE_US / 4);
	worker = worker_find(s);
	if (!worker)
		return failed("gvmfs's worker", -ESRCH);
	kill(worker, SIGKILL);
	rc = client_wait(&s->guest);
	if (rc)
		return failed("faults while the worker dies", rc);
	ns = s->guest.answer->latency_ns;
	latency_rank(ns, FAULTS, 500);
	row_add(s, (double)ns[FAULTS - 1] / 1e6, "ms", "the longest fault of a guest of 128 GiB whose worker dies", "fault_killed_",
		"load");
	usleep(500000); /* as in death_add() */
	client_end(&s->guest);
	return 0;
}

/* A guest of which much is on this host: what its worker's successor has to take over. */
static int resident_measure(struct scale *s)
{
	uint64_t chunks = s->z.resident / CHUNK, here = chunks - FAULTS;
	char path[PATH_MAX + 32];
	int rc;

	path_of(s, path, "resident", 0);
	rc = region_make(path, s->z.resident);
	if (!rc)
		rc = client_add(&s->guest, path, s->z.resident, (unsigned)chunks);
	if (!rc)
		rc = client_touch(&s->guest, chunks, 0, (unsigned)here, 0);
	if (!rc)
		rc = client_wait(&s->guest);
	if (rc)
		return failed("a guest that is all on this host", rc);
	row_add(s, (double)here * CHUNK / (1 << 20), "MiB", "of a guest on this host", "resident", "");
	rc = death_add(s, &s->guest, chunks, here, "resident");
	client_end(&s->guest);
	return rc;
}

/* It is a file again as soon as its client's end is known. */
static int shrink_when_free(const char *path)
{
	uint64_t from = gvm_now_ns();
	int rc = -EBUSY;

	while (rc == -EBUSY && gvm_now_ns() - from < FREE_NS) {
		rc = truncate(path, (off_t)SMALL_BYTES) ? -errno : 0;
		if (rc == -EBUSY)
			usleep(PACE_US);
	}
	return rc;
}

/* Looking for data in it, and shrinking it, both with little that was ever written. */
static int huge_end(struct scale *s)
{
	char path[PATH_MAX + 32];
	uint64_t from, took = 0;
	int rc = 0, fd;

	path_of(s, path, "huge", 0);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	from = gvm_now_ns();
	if (fd < 0 || (lseek(fd, SMALL_BYTES, SEEK_DATA) < 0 && errno != ENXIO))
		rc = -errno;
	row_add(s, ms_since(from), "ms", "to look for data in it", "huge_seek", "");
	if (fd >= 0)
		close(fd);
	client_end(&s->huge);
	if (!rc)
		rc = faults_begin(s, FAULTS, PACE_US);
	if (rc)
		return rc;
	from = gvm_now_ns();
	rc = shrink_when_free(path);
	took = gvm_now_ns() - from;
	if (rc)
		return failed("to shrink the region of 4 TiB", rc);
	row_add(s, (double)took / 1e6, "ms", "to shrink it, from its client's end on", "huge_shrink", "");
	rc = faults_end(s, "shrink", FAULTS);
	memory_add(s, "shrink");
	return rc;
}

static int listing_measure(struct scale *s)
{
	uint64_t from;
	int rc;

	turn_longest_ns(s);
	rc = faults_add(s, "files", s->z.list_s * LIST_FAULTS, PACE_US);
	turn_add(s, "files");
	if (!rc)
		rc = lister_start(&s->lister, s->gvmfs->mount);
	if (!rc)
		rc = faults_add(s, "listing", s->z.list_s * LIST_FAULTS, PACE_US);
	if (rc)
		return rc;
	for (from = gvm_now_ns(); !s->lister.answer->count && gvm_now_ns() - from < LIST_NS;)
		usleep(10000);
	turn_add(s, "listing");
	client_end(&s->lister);
	if (!s->lister.answer->count)
		return failed("a listing", -ETIMEDOUT);
	row_add(s, (double)s->lister.answer->latency_ns[1] - 3, "", "files that a listing shows", "files", "");
	row_add(s, (double)s->lister.answer->latency_ns[0] / 1e6, "ms", "the longest `ls -l` of them", "list_max", "");
	memory_add(s, "files");
	return death_add(s, &s->probe, s->chunks, s->chunk++, "files");
}

static int files_make(struct scale *s)
{
	uint64_t from = gvm_now_ns();
	int rc = regions_make(s, "r", s->z.regions);

	if (rc)
		return rc;
	row_add(s, (double)s->z.regions, "", "regions made first", "regions", "");
	row_add(s, ms_since(from) / s->z.regions, "ms", "to make one of them", "region_make", "");
	from = gvm_now_ns();
	rc = regions_make(s, "f", s->z.files - s->z.regions);
	row_add(s, ms_since(from) / (s->z.files - s->z.regions), "ms", "to make one more beside these",
		"region_make_more", "");
	return rc;
}

static int measure(struct scale *s)
{
	int rc;

	row_add(s, (double)s->z.nodes, "", "memory nodes", "nodes", "");
	rc = files_make(s);
	if (!rc)
		rc = filled_make(s->gvmfs->file, s->chunks * CHUNK, s->chunks);
	if (!rc)
		rc = sessions_measure(s);
	if (!rc)
		rc = listing_measure(s);
	if (!rc)
		rc = huge_measure(s);
	if (!rc)
		rc = huge_end(s);
	if (!rc)
		rc = load_measure(s);
	return rc ? rc : resident_measure(s);
}

/* ---- the report */

static void table_print(const struct scale *s)
{
	printf("\n%-24s %12s\n", "measure", "value");
	for (unsigned i = 0; i < s->rows; i++) {
		const struct row *r = &s->row[i];

		printf("%-24s %12.*f %-4s %s\n", r->name, *r->unit ? r->value < 1000 ? 2 : 0 : 0, r->value,
		       r->unit, r->about);
	}
}

static int json_write(const struct scale *s, const char *path)
{
	FILE *f = fopen(path, "we");
	int rc = 0;

	if (!f)
		return -errno;
	fprintf(f, "{\"scale\": [");
	for (unsigned i = 0; i < s->rows; i++)
		fprintf(f, "%s\n  {\"name\": \"%s\", \"value\": %.3f, \"unit\": \"%s\"}", i ? "," : "",
			s->row[i].name, s->row[i].value, s->row[i].unit);
	fprintf(f, "\n]}\n");
	if (ferror(f))
		rc = -EIO;
	if (fclose(f) && !rc)
		rc = -errno;
	return rc;
}

static void cleanup(struct scale *s)
{
	client_end(&s->lister);
	client_end(&s->probe);
	client_end(&s->huge);
	client_end(&s->guest);
	for (unsigned i = 0; i < s->z.sessions; i++)
		client_end(&s->others[i]);
	bench_program_stop(s->gvmfs);
	for (unsigned i = 0; i < s->z.nodes; i++)
		bench_program_stop(&s->peers->program[i]);
	bench_peers_end(s->peers);
	free(s->others);
}

static int run(struct scale *s, const char *bindir, const char *json)
{
	int rc;

	s->chunks = 2 * s->z.list_s * LIST_FAULTS + 5 * FAULTS;
	s->others = calloc(s->z.sessions, sizeof(*s->others));
	s->peers = bench_peers_alloc();
	if (!s->others || !s->peers)
		return -ENOMEM;
	s->gvmfs = &s->peers->program[BENCH_PROGRAMS - 1];
	rc = programs_start(s, bindir);
	if (!rc)
		rc = measure(s);
	cleanup(s);
	if (!json) {
		table_print(s); /* also of one that came to an early end */
		return rc;
	}
	if (!rc) {
		rc = json_write(s, json);
		if (rc)
			say("%s: %s", json, strerror(-rc));
	}
	return rc;
}

int cmd_bench_scale(int argc, char **argv)
{
	struct bench_command command;
	static struct scale s;
	int status = bench_command_read(argc, argv, help_text, 0, &command);

	if (status >= 0)
		return status;
	s.z = command.quick ? quick : full;
	return run(&s, command.bindir, command.json) ? 1 : 0;
}
