// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * torture - several processes of several threads change one mapped file in every way there is, and
 * check before each change that what they find is what was last put there.
 *
 * A page is made of eight sectors. What a sector holds follows from (page, sector, generation); the
 * shadow, memory that all workers share, remembers each sector's generation. A thread that takes a
 * page's lock in the shadow, in any process, checks the page (through the mapping or by pread) and
 * then changes it: by plain stores to some sectors, by pwrite(), by an O_DIRECT read from a disk
 * file straight into the mapping, by the kernel's copying into it (and, to check it, out of it), or
 * by punching a hole. So an update that is lost, late, torn or in the wrong place is seen at the
 * latest by the sweep over all pages at the end.
 *
 * One page in 64 is for counters, one in each sector, which all workers add to without any lock. A
 * sector's generation in the shadow is then how often that has been done.
 *
 * With --alone there is one process with one mapping, which the sweep uses too: the fast path gives
 * a region's memory to one mapping only.
 *
 * Built with TORTURE_FAST it asks for the fast path by itself, and counts the pins of its direct
 * reads, as a QEMU with our patches does; the ordinary build gets it by libgvm-preload.so.
 *
 * With --shadow the shadow is a file, and a later run with --verify checks the file against it: on
 * another mount, say.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef TORTURE_FAST
#include "dsm_backend.h"
#else
#define dsm_pin(host, bytes)   ((void)0)
#define dsm_unpin(host, bytes) ((void)0)
#endif

enum {
	PAGE_BYTES = 4096,
	SECTOR_BYTES = 512,
	SECTORS = PAGE_BYTES / SECTOR_BYTES,
	DISK_PAGES = 256,
	RUN_MAX = 8,	     /* pages of one direct read or pwrite */
	HOT_PAGES = 512,     /* a worker's neighbourhood, before it moves on */
	COUNTERS_EVERY = 64, /* pages: the last of them is for counters */
	REPORTED_MAX = 12,   /* bad sectors that are described */
};

#define FROM_DISK 0x80000000u /* a generation: this page of the disk */

struct shadow_page {
	_Atomic uint32_t lock;
	uint32_t generation[SECTORS]; /* 0: zeros */
};

enum op {
	OP_LOOK,
	OP_STORE,
	OP_WRITE,
	OP_DIRECT,
	OP_ADD,
	OP_COPY_IN,
	OP_COPY_OUT,
	OP_PUNCH,
	OP_SYNC,
	OPS
};

static const char *const op_names[OPS] = {"checks",	      "stores",	     "writes",
					  "direct reads",     "atomic adds", "copies into it",
					  "copies out of it", "punches",     "syncs"};

struct shadow {
	_Atomic uint64_t done[OPS];
	_Atomic uint64_t bad;
	_Atomic uint32_t next_generation;
	_Atomic uint32_t stop;
	struct shadow_page page[];
};

static struct {
	const char *file, *disk, *shadow_file, *until;
	uint64_t pages;
	unsigned processes, threads, seconds;
	bool punch, verify, alone;
} opt = {.processes = 2, .threads = 2, .seconds = 5};

static struct shadow *shadow;

struct worker {
	pthread_t thread;
	uint64_t state;
	unsigned number;
	int fd, disk_fd, copy_fd; /* copy_fd: an ordinary file of its own */
	uint8_t *map;
};

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static uint64_t draw(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void fail(const char *what)
{
	fprintf(stderr, "torture: %s: %s\n", what, strerror(errno));
	atomic_store(&shadow->stop, 1);
	_exit(2);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static bool counters(uint64_t page)
{
	return page % COUNTERS_EVERY == COUNTERS_EVERY - 1;
}

/* Where a sector says its generation, which in a page of counters is all that it says. */
static uint32_t *sector_generation(const uint8_t *sector)
{
	return (uint32_t *)(uintptr_t)sector + 2;
}

/* Half of each sector is random, so that chunks compress, but not away. */
static void sector_make(uint64_t *sector, uint64_t page, unsigned number, uint32_t generation)
{
	uint64_t state;
	unsigned i;

	if (!generation || counters(page)) {
		memset(sector, 0, SECTOR_BYTES);
		*sector_generation((uint8_t *)sector) = generation;
		return;
	}
	if (generation & FROM_DISK)
		page = UINT64_MAX;
	state = mix(page * SECTORS + number + ((uint64_t)generation << 32)) | 1;
	for (i = 0; i < SECTOR_BYTES / 8; i++)
		sector[i] = i % 2 ? generation : draw(&state);
}

static void page_check(const uint8_t *found, uint64_t page, unsigned process, const char *how)
{
	uint64_t expected[SECTOR_BYTES / 8];
	unsigned i;

	for (i = 0; i < SECTORS; i++) {
		uint32_t generation = shadow->page[page].generation[i];
		const uint8_t *sector = found + i * SECTOR_BYTES;

		sector_make(expected, page, i, generation);
		if (!memcmp(sector, expected, SECTOR_BYTES))
			continue;
		if (atomic_fetch_add(&shadow->bad, 1) < REPORTED_MAX)
			fprintf(stderr,
				"torture: BAD page %llu sector %u (%s, worker %u): generation "
				"%#x, not %#x\n",
				(unsigned long long)page, i, how, process,
				*sector_generation(sector), generation);
	}
}

static void page_check_through_read(struct worker *w, uint64_t page)
{
	uint8_t found[PAGE_BYTES] __attribute__((aligned(8)));

	if (pread(w->fd, found, PAGE_BYTES, page * PAGE_BYTES) != PAGE_BYTES)
		fail("pread");
	page_check(found, page, w->number, "read");
}

static uint32_t generation_new(void)
{
	return atomic_fetch_add(&shadow->next_generation, 1) + 1;
}

static void op_store(struct worker *w, uint64_t page)
{
	uint64_t chosen = draw(&w->state);
	unsigned i;

	for (i = 0; i < SECTORS; i++) {
		if (!(chosen >> 20 >> i & 1))
			continue;
		shadow->page[page].generation[i] = generation_new();
		sector_make((uint64_t *)(w->map + page * PAGE_BYTES + i * SECTOR_BYTES), page, i,
			    shadow->page[page].generation[i]);
	}
}

/* New sectors from a page on, in data and in the shadow. */
static void sectors_renew(uint64_t *data, uint64_t page, unsigned first, unsigned last)
{
	unsigned i;

	for (i = first; i < last; i++) {
		uint32_t generation = generation_new();

		shadow->page[page + i / SECTORS].generation[i % SECTORS] = generation;
		sector_make(data + i * (SECTOR_BYTES / 8), page + i / SECTORS, i % SECTORS,
			    generation);
	}
}

static void op_write(struct worker *w, uint64_t page, unsigned run)
{
	uint64_t data[RUN_MAX * PAGE_BYTES / 8];
	unsigned first = 0, last = run * SECTORS;

	if (run == 1) {
		first = draw(&w->state) % SECTORS;
		last = first + 1 + draw(&w->state) % (SECTORS - first);
	}
	sectors_renew(data, page, first, last);
	if (pwrite(w->fd, data + first * (SECTOR_BYTES / 8), (last - first) * SECTOR_BYTES,
		   page * PAGE_BYTES + first * SECTOR_BYTES) != (last - first) * SECTOR_BYTES)
		fail("pwrite");
}

static void op_direct(struct worker *w, uint64_t page, unsigned run)
{
	unsigned from = draw(&w->state) % (DISK_PAGES - run), i;
	uint8_t *to = w->map + page * PAGE_BYTES;
	ssize_t n;

	dsm_pin(to, run * PAGE_BYTES);
	n = pread(w->disk_fd, to, run * PAGE_BYTES, (off_t)from * PAGE_BYTES);
	dsm_unpin(to, run * PAGE_BYTES);
	if (n != run * PAGE_BYTES)
		fail("O_DIRECT read into the mapping");
	for (i = 0; i < run * SECTORS; i++)
		shadow->page[page + i / SECTORS].generation[i % SECTORS] =
			FROM_DISK | (from + i / SECTORS);
}

/* From our own memory through an ordinary file into the mapping, by read(): it is the kernel, in
 * the middle of a copy, that finds pages missing. */
static void op_copy_in(struct worker *w, uint64_t page, unsigned run)
{
	uint64_t data[RUN_MAX * PAGE_BYTES / 8];
	ssize_t bytes = run * PAGE_BYTES;

	sectors_renew(data, page, 0, run * SECTORS);
	if (pwrite(w->copy_fd, data, bytes, 0) != bytes ||
	    pread(w->copy_fd, w->map + page * PAGE_BYTES, bytes, 0) != bytes)
		fail("a copy into the mapping");
}

/* And by write() out of it, which checks what is there. */
static void op_copy_out(struct worker *w, uint64_t page, unsigned run)
{
	uint8_t found[RUN_MAX * PAGE_BYTES] __attribute__((aligned(8)));
	ssize_t bytes = run * PAGE_BYTES;
	unsigned i;

	if (pwrite(w->copy_fd, w->map + page * PAGE_BYTES, bytes, 0) != bytes ||
	    pread(w->copy_fd, found, bytes, 0) != bytes)
		fail("a copy out of the mapping");
	for (i = 0; i < run; i++)
		page_check(found + i * PAGE_BYTES, page + i, w->number, "copied out");
}

/* The shadow follows: it never has more than the counter, nor less than that but for an addition
 * by each worker. */
static void op_add(struct worker *w, uint64_t page)
{
	unsigned i = draw(&w->state) % SECTORS;
	uint32_t *added, least, found, most;

	page |= COUNTERS_EVERY - 1;
	if (page >= opt.pages)
		page -= COUNTERS_EVERY;
	added = &shadow->page[page].generation[i];
	least = __atomic_load_n(added, __ATOMIC_SEQ_CST);
	found = __atomic_fetch_add(sector_generation(w->map + page * PAGE_BYTES + i * SECTOR_BYTES),
				   1, __ATOMIC_SEQ_CST);
	most = __atomic_fetch_add(added, 1, __ATOMIC_SEQ_CST) + opt.processes * opt.threads;
	if ((found < least || found > most) && atomic_fetch_add(&shadow->bad, 1) < REPORTED_MAX)
		fprintf(stderr,
			"torture: BAD page %llu sector %u (atomic add, worker %u): %u, not %u to "
			"%u\n",
			(unsigned long long)page, i, w->number, found, least, most);
}

static void op_punch(struct worker *w, uint64_t page, unsigned run)
{
	if (fallocate(w->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, page * PAGE_BYTES,
		      run * PAGE_BYTES))
		fail("punch");
	while (run--)
		memset(shadow->page[page + run].generation, 0, sizeof(shadow->page->generation));
}

static enum op op_draw(struct worker *w)
{
	unsigned dice = draw(&w->state) >> 32 & 1023;

	if (dice < 250)
		return OP_LOOK;
	if (dice < 300)
		return OP_ADD;
	if (dice < 350)
		return OP_COPY_IN;
	if (dice < 400)
		return OP_COPY_OUT;
	if (dice < 750)
		return OP_STORE;
	if (dice < 850)
		return OP_WRITE;
	if (dice < 1000)
		return opt.disk ? OP_DIRECT : OP_STORE;
	if (dice < 1020)
		return opt.punch ? OP_PUNCH : OP_LOOK;
	return OP_SYNC;
}

/* Takes up to `run` pages from `page` on, but none with counters; tells how many, perhaps none. */
static unsigned pages_lock(uint64_t page, unsigned run)
{
	unsigned got = 0;

	while (got < run && page + got < opt.pages && !counters(page + got) &&
	       !atomic_exchange_explicit(&shadow->page[page + got].lock, 1, memory_order_acquire))
		got++;
	return got;
}

static void pages_unlock(uint64_t page, unsigned run)
{
	while (run--)
		atomic_store_explicit(&shadow->page[page + run].lock, 0, memory_order_release);
}

/* Whether the op takes several pages at once. */
static bool op_runs(enum op op)
{
	return op == OP_WRITE || op == OP_DIRECT || op == OP_COPY_IN || op == OP_COPY_OUT ||
	       op == OP_PUNCH;
}

static void step(struct worker *w, uint64_t page)
{
	enum op op = op_draw(w);
	unsigned run = op_runs(op) ? 1 + draw(&w->state) % RUN_MAX : 1, i;

	if (op == OP_ADD) {
		op_add(w, page);
		atomic_fetch_add(&shadow->done[op], 1);
		return;
	}
	run = pages_lock(page, run);
	if (!run)
		return;
	/* Before a copy nothing is loaded, so that pages are missing when it comes to them. */
	for (i = 0; i < run && op != OP_COPY_OUT; i++) {
		if (op != OP_COPY_IN && draw(&w->state) >> 40 & 3)
			page_check(w->map + (page + i) * PAGE_BYTES, page + i, w->number, "load");
		else
			page_check_through_read(w, page + i);
	}
	switch (op) {
	case OP_STORE:
		op_store(w, page);
		break;
	case OP_WRITE:
		op_write(w, page, run);
		break;
	case OP_DIRECT:
		op_direct(w, page, run);
		break;
	case OP_COPY_IN:
		op_copy_in(w, page, run);
		break;
	case OP_COPY_OUT:
		op_copy_out(w, page, run);
		break;
	case OP_PUNCH:
		op_punch(w, page, run);
		break;
	default:
		break;
	}
	pages_unlock(page, run);
	if (op == OP_SYNC && (draw(&w->state) >> 20 & 7) == 0 && fsync(w->fd))
		fail("fsync");
	atomic_fetch_add(&shadow->done[op], 1);
}

/* What stands still for seconds may have had none of some. */
static bool did_all(void)
{
	enum op op;

	for (op = 0; op < OPS; op++)
		if (!atomic_load(&shadow->done[op]) && (op != OP_DIRECT || opt.disk) && (op != OP_PUNCH || opt.punch))
			return false;
	return true;
}

/* After its seconds, and an access of every form; where it does not go on until there is a file. */
static bool over(double end)
{
	return now() >= end && did_all() && (!opt.until || !access(opt.until, F_OK));
}

static void *work(void *arg)
{
	struct worker *w = arg;
	double end = now() + opt.seconds;
	uint64_t base = 0, n;

	for (n = 0; !atomic_load(&shadow->stop); n++) {
		if (n % 64 == 0 && over(end))
			break;
		if (n % 2000 == 0)
			base = draw(&w->state) % opt.pages;
		/* Half in a small neighbourhood, half anywhere. */
		step(w, draw(&w->state) >> 50 & 1
				? draw(&w->state) % opt.pages
				: (base + draw(&w->state) % HOT_PAGES) % opt.pages);
	}
	return NULL;
}

static uint8_t *file_map(int *fd)
{
	static uint8_t *only;
	static int only_fd;
	uint8_t *map;

	if (only) {
		*fd = only_fd;
		return only;
	}
	*fd = open(opt.file, O_RDWR | O_CLOEXEC);
	if (*fd < 0)
		fail(opt.file);
	map = mmap(NULL, opt.pages * PAGE_BYTES, PROT_READ | (opt.verify ? 0 : PROT_WRITE),
		   MAP_SHARED, *fd, 0);
	if (map == MAP_FAILED)
		fail("mmap");
#ifdef TORTURE_FAST
	if (!opt.verify && dsm_ram_attach(*fd, map, opt.pages * PAGE_BYTES, 0, true) != 1)
		fail("the fast path");
#endif
	if (opt.alone) {
		only = map;
		only_fd = *fd;
	}
	return map;
}

static int process_run(unsigned number)
{
	struct worker *workers = calloc(opt.threads, sizeof(*workers));
	int fd, disk_fd = -1;
	uint8_t *map = file_map(&fd);
	unsigned i;

	if (!workers)
		fail("calloc");
	if (opt.disk && (disk_fd = open(opt.disk, O_RDONLY | O_DIRECT | O_CLOEXEC)) < 0)
		fail(opt.disk);
	for (i = 0; i < opt.threads; i++) {
		workers[i] = (struct worker){.number = number * opt.threads + i,
					     .fd = fd,
					     .disk_fd = disk_fd,
					     .copy_fd = memfd_create("torture", MFD_CLOEXEC),
					     .map = map};
		if (workers[i].copy_fd < 0)
			fail("memfd_create");
		workers[i].state = mix(workers[i].number + time(NULL)) | 1;
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			fail("pthread_create");
	}
	for (i = 0; i < opt.threads; i++) {
		pthread_join(workers[i].thread, NULL);
		close(workers[i].copy_fd);
	}
	free(workers);
	return 0;
}

static void sweep(void)
{
	struct worker w = {.number = 999};
	uint64_t page;

	w.map = file_map(&w.fd);
	for (page = 0; page < opt.pages; page++) {
		page_check(w.map + page * PAGE_BYTES, page, w.number, "sweep by load");
		if (page % 5 == 0)
			page_check_through_read(&w, page);
	}
}

/* The disk's page N holds what the generation FROM_DISK | N stands for. */
static void disk_make(void)
{
	int fd = open(opt.disk, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	uint64_t data[PAGE_BYTES / 8];
	unsigned page, i;

	if (fd < 0)
		fail(opt.disk);
	for (page = 0; page < DISK_PAGES; page++) {
		for (i = 0; i < SECTORS; i++)
			sector_make(data + i * (SECTOR_BYTES / 8), 0, i, FROM_DISK | page);
		if (pwrite(fd, data, PAGE_BYTES, (off_t)page * PAGE_BYTES) != PAGE_BYTES)
			fail("writing the disk");
	}
	if (fsync(fd))
		fail("fsync of the disk");
	close(fd);
}

static void on_bus_error(int number)
{
	static const char text[] = "torture: SIGBUS: the mapped file failed\n";

	(void)number;
	atomic_store(&shadow->stop, 1);
	if (write(2, text, sizeof(text) - 1) < 0)
		_exit(4);
	_exit(3);
}

static void shadow_open(void)
{
	size_t bytes = sizeof(*shadow) + opt.pages * sizeof(struct shadow_page);
	int fd = -1;

	if (opt.shadow_file) {
		fd = open(opt.shadow_file, O_RDWR | O_CLOEXEC | (opt.verify ? 0 : O_CREAT), 0600);
		if (fd < 0 || (!opt.verify && ftruncate(fd, bytes))) {
			perror(opt.shadow_file);
			exit(2);
		}
	}
	shadow = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		      fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
	if (shadow == MAP_FAILED) {
		perror("torture: shadow");
		exit(2);
	}
}

static int torture(void)
{
	int status, worst = 0;
	unsigned i;
	pid_t pid;

	if (opt.disk)
		disk_make();
	if (opt.alone)
		return process_run(0);
	for (i = 0; i < opt.processes; i++) {
		pid = fork();
		if (pid < 0)
			fail("fork");
		if (!pid)
			_exit(process_run(i));
	}
	while ((pid = wait(&status)) > 0) {
		if (!WIFEXITED(status) || WEXITSTATUS(status)) {
			atomic_store(&shadow->stop, 1);
			worst = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		}
	}
	return worst;
}

static void usage(FILE *to)
{
	fputs("usage: torture --file FILE [--disk FILE] [--processes N] [--threads N] [--seconds "
	      "N]\n"
	      "               [--until FILE] [--punch] [--alone] [--shadow FILE] [--verify]\n"
	      "The file has its size and is all zeros, unless an earlier run left it and "
	      "--shadow.\n",
	      to);
}

static unsigned small(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (end == text || *end || n > 100000) {
		fprintf(stderr, "torture: '%s' is no number that can be used\n", text);
		exit(2);
	}
	return n;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"file", required_argument, NULL, 'f'},
		{"disk", required_argument, NULL, 'd'},
		{"shadow", required_argument, NULL, 's'},
		{"processes", required_argument, NULL, 'p'},
		{"threads", required_argument, NULL, 't'},
		{"seconds", required_argument, NULL, 'n'},
		{"until", required_argument, NULL, 'l'},
		{"punch", no_argument, NULL, 'u'},
		{"verify", no_argument, NULL, 'v'},
		{"alone", no_argument, NULL, 'a'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct stat st;
	int c, status = 0;
	unsigned i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'f':
			opt.file = optarg;
			break;
		case 'd':
			opt.disk = optarg;
			break;
		case 's':
			opt.shadow_file = optarg;
			break;
		case 'p':
			opt.processes = small(optarg);
			break;
		case 't':
			opt.threads = small(optarg);
			break;
		case 'n':
			opt.seconds = small(optarg);
			break;
		case 'l':
			opt.until = optarg;
			break;
		case 'u':
			opt.punch = true;
			break;
		case 'v':
			opt.verify = true;
			break;
		case 'a':
			opt.alone = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (!opt.file || optind != argc || stat(opt.file, &st) ||
	    st.st_size < COUNTERS_EVERY * PAGE_BYTES) {
		usage(stderr);
		return 2;
	}
	opt.pages = st.st_size / PAGE_BYTES;
	shadow_open();
	signal(SIGBUS, on_bus_error);
	atomic_store(&shadow->stop, 0);
	atomic_store(&shadow->bad, 0);
	if (!opt.verify)
		status = torture();
	if (!status)
		sweep();
	printf("torture:");
	for (i = 0; i < OPS; i++)
		printf(" %llu %s,", (unsigned long long)atomic_load(&shadow->done[i]), op_names[i]);
	printf(" %llu bad\n", (unsigned long long)atomic_load(&shadow->bad));
	if (!status && atomic_load(&shadow->bad))
		status = 1;
	printf("torture: verdict %s\n", status ? "FAIL" : "pass");
	return status;
}
