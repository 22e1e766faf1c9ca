// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * verify - threads change and check the pages of one mapped region until SIGTERM, and keep a ledger
 * of what each page must hold (ledger.h).
 *
 * A page begins with its number, its writer's sequence number and a checksum; all its words follow
 * from number and sequence, so that a page that is old, another's, torn or flipped is told apart.
 * The holder of a page's lock checks it (by a load, or by pread) and then perhaps writes all of it
 * (by stores, or by pwrite). Each access is timed. msync and fsync acknowledge.
 *
 * With --resume the region is what a crash left: first each page is looked at, and has to hold what
 * was acknowledged or something newer that was begun.
 *
 * With --look that is all, and what is looked at is what a run left that ended by itself.
 *
 * With --fast the mapping has to be on the fast path. The status is 0 if all was right, 1 if bytes
 * were wrong, 3 if the file failed (SIGBUS, or an I/O error), 2 for everything else.
 */
#include "dsm_backend.h"
#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	PAGE_BYTES = 4096,
	WORDS = PAGE_BYTES / 8,
	HOT_PAGES = 256,  /* a thread's neighbourhood, before it moves on */
	SYNC_PAGES = 512, /* of one msync */
	SYNC_EVERY = 700, /* accesses of a thread, on average */
	REPORTED_MAX = 12,
};
#define LONG_NS 20000000ull /* an access that gets into the ledger by itself */

static struct {
	const char *file, *ledger;
	unsigned threads;
	uint64_t seed;
	bool fast, resume, look;
} opt = {.threads = 2, .seed = 1};

static struct ledger *ledger;
static uint64_t pages;
static uint8_t *map;
static int fd;
static atomic_bool stop;

struct worker {
	pthread_t thread;
	uint64_t state;
	unsigned number;
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

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* What has failed is below us: the region, or our own machine. */
static void give_up(const char *what)
{
	atomic_fetch_add(&ledger->errors, 1);
	fprintf(stderr, "verify: %s: %s\n", what, strerror(errno));
	_exit(3);
}

static uint64_t page_checksum(const uint64_t *page)
{
	uint64_t sum = mix(page[0] ^ mix(page[1]));
	unsigned i;

	for (i = 3; i < WORDS; i++)
		sum = (sum ^ page[i]) * 0x9e3779b97f4a7c15;
	return mix(sum);
}

/* One page in sixteen is zeros, a third of the others does not compress. Sequence 0 is zeros. */
static void page_make(uint64_t *page, uint64_t number, uint32_t sequence)
{
	uint64_t state = mix(number << 32 | sequence) | 1;
	bool dense = state >> 40 & 1;
	unsigned i;

	if (!sequence || (state >> 60) == 0) {
		memset(page, 0, PAGE_BYTES);
		return;
	}
	page[0] = number;
	page[1] = sequence;
	page[2] = 0;
	for (i = 3; i < WORDS; i++)
		page[i] = dense || i % 4 == 0 ? draw(&state) : page[i - 1];
	page[2] = page_checksum(page);
}

/* Which kind of wrong it is: a clue for the one who looks for the cause. */
static void page_tell(const uint64_t *found, uint64_t number, const char *how, uint32_t acked,
		      uint32_t written)
{
	uint64_t wanted[WORDS];
	unsigned i, differ = 0, first = 0;

	page_make(wanted, number, written);
	for (i = WORDS; i-- > 0;) {
		if (found[i] == wanted[i])
			continue;
		differ++;
		first = i;
	}
	fprintf(stderr,
		"verify: BAD page %llu by %s: %u words differ from word %u on; it says page %llu, "
		"sequence %llu, its "
		"checksum is %s; acknowledged %u, written %u, at %.3f\n",
		(unsigned long long)number, how, differ, first, (unsigned long long)found[0],
		(unsigned long long)found[1], found[2] == page_checksum(found) ? "right" : "wrong",
		acked, written, (double)now_ns() / 1e9);
}

static void page_wrong(const uint64_t *found, uint64_t number, const char *how, uint32_t acked,
		       uint32_t written)
{
	if (atomic_fetch_add(&ledger->bad, 1) < REPORTED_MAX)
		page_tell(found, number, how, acked, written);
}

/* -- accesses, timed -------------------------------------------------------------------------- */

static uint64_t access_begin(struct worker *w)
{
	uint64_t now = now_ns();

	atomic_store(&ledger->since_ns[w->number], now);
	return now;
}

static void access_end(struct worker *w, uint64_t began)
{
	uint64_t took = now_ns() - began;
	struct ledger_wait *wait;

	atomic_store(&ledger->since_ns[w->number], 0);
	atomic_fetch_add(&ledger->bucket[ledger_bucket(took)], 1);
	if (took < LONG_NS)
		return;
	wait = &ledger->wait[atomic_fetch_add(&ledger->waits, 1) % LEDGER_WAITS];
	atomic_store(&wait->began_ns, began);
	atomic_store(&wait->took_ns, took);
}

static void page_check(struct worker *w, uint64_t number)
{
	uint32_t written = atomic_load(&ledger->page[number].written);
	uint64_t wanted[WORDS], found[WORDS];
	bool by_read = !opt.fast && (draw(&w->state) >> 40) % 8 == 0;
	uint64_t began = access_begin(w);

	if (!by_read)
		memcpy(found, map + number * PAGE_BYTES, PAGE_BYTES);
	else if (pread(fd, found, PAGE_BYTES, (off_t)(number * PAGE_BYTES)) != PAGE_BYTES)
		give_up("pread");
	access_end(w, began);
	page_make(wanted, number, written);
	if (memcmp(found, wanted, PAGE_BYTES))
		page_wrong(found, number, by_read ? "read" : "load",
			   atomic_load(&ledger->page[number].acked), written);
	atomic_fetch_add(&ledger->checks, 1);
}

static void page_write(struct worker *w, uint64_t number)
{
	struct ledger_page *p = &ledger->page[number];
	uint32_t sequence = atomic_load(&p->begun) + 1;
	bool by_write = (draw(&w->state) >> 40) % 8 == 0;
	uint64_t data[WORDS], began;

	page_make(data, number, sequence);
	atomic_store(&p->begun, sequence);
	began = access_begin(w);
	if (!by_write)
		memcpy(map + number * PAGE_BYTES, data, PAGE_BYTES);
	else if (pwrite(fd, data, PAGE_BYTES, (off_t)(number * PAGE_BYTES)) != PAGE_BYTES)
		give_up("pwrite");
	access_end(w, began);
	atomic_store(&p->written, sequence);
	atomic_fetch_add(&ledger->writes, 1);
}

/* What was written before the call is acknowledged by its success. */
static void pages_sync(struct worker *w)
{
	bool whole = opt.fast || (draw(&w->state) >> 40) % 4 == 0;
	uint64_t count = whole || pages < SYNC_PAGES ? pages : SYNC_PAGES, n;
	uint64_t first = whole ? 0 : (draw(&w->state) >> 20) % (pages - count + 1);
	uint32_t *before = malloc(count * sizeof(*before));
	int failed;

	if (!before)
		give_up("malloc");
	for (n = 0; n < count; n++)
		before[n] = atomic_load(&ledger->page[first + n].written);
	access_begin(w); /* one that is not timed, but has to end */
	failed = whole ? fsync(fd) : msync(map + first * PAGE_BYTES, count * PAGE_BYTES, MS_SYNC);
	if (failed && errno != EINTR) /* that of SIGTERM: nothing is acknowledged */
		give_up(whole ? "fsync" : "msync");
	atomic_store(&ledger->since_ns[w->number], 0);
	for (n = 0; n < count && !failed; n++) {
		_Atomic uint32_t *acked = &ledger->page[first + n].acked;
		uint32_t old = atomic_load(acked);

		while (old < before[n] && !atomic_compare_exchange_weak(acked, &old, before[n]))
			;
	}
	free(before);
	atomic_fetch_add(&ledger->syncs, !failed);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	uint64_t base = 0, n;

	for (n = 0; !atomic_load(&stop); n++) {
		uint64_t number;

		if (n % 1000 == 0)
			base = (draw(&w->state) >> 20) % pages;
		number = draw(&w->state) >> 50 & 1
				 ? (draw(&w->state) >> 20) % pages
				 : (base + (draw(&w->state) >> 20) % HOT_PAGES) % pages;
		if (atomic_exchange(&ledger->page[number].lock, 1))
			continue;
		page_check(w, number);
		if (draw(&w->state) >> 50 & 1)
			page_write(w, number);
		atomic_store(&ledger->page[number].lock, 0);
		if ((draw(&w->state) >> 20) % SYNC_EVERY == 0)
			pages_sync(w);
	}
	return NULL;
}

/* -- after a crash ---------------------------------------------------------------------------- */

/* The newest sequence from which all of the page's words may be, if there is one for each. */
static bool page_torn_rightly(const uint64_t *found, uint64_t number, uint32_t acked,
			      uint32_t begun)
{
	bool known[WORDS] = {false};
	uint64_t wanted[WORDS];
	unsigned i;

	for (uint32_t s = acked; s <= begun && begun - acked < 4096; s++) {
		page_make(wanted, number, s);
		for (i = 0; i < WORDS; i++)
			known[i] |= found[i] == wanted[i];
	}
	for (i = 0; i < WORDS; i++)
		if (!known[i])
			return false;
	return true;
}

/* Finds which sequence a page has after a crash, from the newest back; a torn one is written anew.
 */
static void page_recover(uint64_t number)
{
	struct ledger_page *p = &ledger->page[number];
	uint32_t acked = atomic_load(&p->acked), begun = atomic_load(&p->begun), s;
	uint64_t found[WORDS], wanted[WORDS];

	atomic_store(&p->lock, 0);
	if (pread(fd, found, PAGE_BYTES, (off_t)(number * PAGE_BYTES)) != PAGE_BYTES)
		give_up("pread");
	for (s = begun;; s--) {
		page_make(wanted, number, s);
		if (!memcmp(found, wanted, PAGE_BYTES))
			break;
		if (s > acked)
			continue;
		if (!page_torn_rightly(found, number, acked, begun))
			page_wrong(found, number, "read after a crash", acked, begun);
		/* Another sequence than any that was ever begun. */
		s = begun + 1;
		page_make(wanted, number, s);
		if (pwrite(fd, wanted, PAGE_BYTES, (off_t)(number * PAGE_BYTES)) != PAGE_BYTES)
			give_up("pwrite");
		atomic_store(&p->begun, s);
		break;
	}
	/* Not `begun`: what was begun and lost must not be taken for new when it shows up again. */
	atomic_store(&p->written, s);
}

static void pages_recover(void)
{
	uint64_t n;

	for (n = 0; n < pages; n++)
		page_recover(n);
	if (fsync(fd))
		give_up("fsync");
	for (n = 0; n < pages; n++)
		atomic_store(&ledger->page[n].acked, atomic_load(&ledger->page[n].written));
	printf("verify: recovered %llu pages, %llu bad\n", (unsigned long long)pages,
	       (unsigned long long)atomic_load(&ledger->bad));
}

/* -- the program ------------------------------------------------------------------------------ */

static void on_bus_error(int number)
{
	static const char text[] = "verify: SIGBUS: the mapped file failed\n";

	(void)number;
	atomic_fetch_add(&ledger->errors, 1);
	if (write(2, text, sizeof(text) - 1) < 0)
		_exit(2);
	_exit(3);
}

static void on_end(int number)
{
	(void)number;
	atomic_store(&stop, true);
}

static int ledger_open(void)
{
	size_t bytes = sizeof(*ledger) + pages * sizeof(struct ledger_page);
	int file = open(opt.ledger, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (file < 0 || (!opt.resume && (ftruncate(file, 0) || ftruncate(file, (off_t)bytes))))
		return -errno;
	ledger = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	close(file);
	if (ledger == MAP_FAILED)
		return -errno;
	if (opt.resume && (ledger->magic != LEDGER_MAGIC || ledger->pages != pages))
		return -EINVAL;
	for (unsigned i = 0; i < LEDGER_THREADS; i++)
		atomic_store(&ledger->since_ns[i], 0);
	ledger->pages = pages;
	ledger->magic = LEDGER_MAGIC;
	return 0;
}

static int region_map(void)
{
	int mode;

	map = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	dsm_mode_set(opt.fast ? DSM_MODE_UFFD : DSM_MODE_FUSE);
	mode = dsm_ram_attach(fd, map, pages * PAGE_BYTES, 0, true);
	return mode == opt.fast ? 0 : mode < 0 ? mode : -EPROTO;
}

/* At last all pages, whichever were touched: they are acknowledged, and nothing else may show up
 * after that. */
static void pages_finish(struct worker *w)
{
	uint64_t n;

	for (n = 0; n < pages; n++)
		page_check(w, n);
	if (fsync(fd))
		give_up("fsync");
	for (n = 0; n < pages; n++) {
		struct ledger_page *p = &ledger->page[n];

		atomic_store(&p->acked, atomic_load(&p->written));
		atomic_store(&p->begun, atomic_load(&p->written));
	}
}

static int run(void)
{
	struct worker workers[LEDGER_THREADS] = {0};
	unsigned i;

	if (opt.resume)
		pages_recover();
	if (opt.look)
		return atomic_load(&ledger->bad) ? 1 : 0;
	i = (unsigned)-region_map();
	if (i) {
		errno = (int)i;
		perror("verify: mapping the region");
		return 2;
	}
	printf("verify: at work on %llu pages\n", (unsigned long long)pages);
	for (i = 0; i < opt.threads; i++) {
		workers[i].number = i;
		workers[i].state = mix(opt.seed * LEDGER_THREADS + i) | 1;
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			return 2;
	}
	for (i = 0; i < opt.threads; i++)
		pthread_join(workers[i].thread, NULL);
	pages_finish(&workers[0]);
	printf("verify: %llu checks, %llu writes, %llu syncs, %llu bad\n",
	       (unsigned long long)atomic_load(&ledger->checks),
	       (unsigned long long)atomic_load(&ledger->writes),
	       (unsigned long long)atomic_load(&ledger->syncs),
	       (unsigned long long)atomic_load(&ledger->bad));
	return atomic_load(&ledger->bad) ? 1 : 0;
}

static int usage(void)
{
	fputs("usage: verify --file FILE --ledger FILE [--threads N] [--seed N] [--fast] "
	      "[--resume | --look]\n",
	      stderr);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"file", required_argument, NULL, 'f'},	   {"ledger", required_argument, NULL, 'l'},
		{"threads", required_argument, NULL, 't'}, {"seed", required_argument, NULL, 's'},
		{"fast", no_argument, NULL, 'u'},	   {"resume", no_argument, NULL, 'r'},
		{"look", no_argument, NULL, 'k'},	   {NULL, 0, NULL, 0},
	};
	struct sigaction end = {.sa_handler = on_end, .sa_flags = SA_RESTART};
	struct stat st;
	int c;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'f':
			opt.file = optarg;
			break;
		case 'l':
			opt.ledger = optarg;
			break;
		case 't':
			opt.threads = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 's':
			opt.seed = strtoull(optarg, NULL, 10);
			break;
		case 'u':
			opt.fast = true;
			break;
		case 'k':
			opt.look = opt.resume = true;
			break;
		case 'r':
			opt.resume = true;
			break;
		default:
			return usage();
		}
	}
	if (!opt.file || !opt.ledger || !opt.threads || opt.threads > LEDGER_THREADS ||
	    optind != argc)
		return usage();
	fd = open(opt.file, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st)) {
		perror(opt.file);
		return 2;
	}
	pages = (uint64_t)st.st_size / PAGE_BYTES;
	c = pages ? ledger_open() : -EINVAL;
	if (c) {
		fprintf(stderr, "verify: %s: %s\n", opt.ledger, strerror(-c));
		return 2;
	}
	signal(SIGBUS, on_bus_error);
	sigaction(SIGTERM, &end, NULL);
	return run();
}
