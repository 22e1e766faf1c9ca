// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Uses a region together with the same program on other nodes, and checks what it sees.
 *
 *     share FILE NODE NODES count ROUNDS | torture SECONDS THREADS [DISK] | litmus ROUNDS |
 *           latency ROUNDS | stream 0 | vcpu ROUNDS VCPUS | fill FIRST PAGES SEED |
 *           check FIRST PAGES SEED | add PAGE VALUE | get PAGE | mark PAGE VALUE | put PAGE WORD VALUE |
 *           discard FIRST PAGES | beat PAGE END | pin PAGE END |
 *           cross PAGE END | last PAGES MAPPINGS | create REGIONS MS | leave REGIONS | nested 0
 *
 * All from fill on need no partner. END is a file: they end when it is there. Ends with status 1 if
 * something was wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "../../kmod/uapi/giantvm.h"
#include "share.h"

#define MEET_SECONDS 60
#define FAILURES_SAID_MAX 20
#define SLICE_SECONDS 0.1 /* in which a pace is measured */

struct share share = {.poll_us = 1000};
static int region_fd;

double share_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

void share_wrong(const char *format, ...)
{
	va_list arguments;

	if (__atomic_add_fetch(&share.failures, 1, __ATOMIC_RELAXED) > FAILURES_SAID_MAX)
		return;
	va_start(arguments, format);
	printf("share: WRONG: ");
	vprintf(format, arguments);
	printf("\n");
	fflush(stdout);
	va_end(arguments);
}

/* A line, at once. */
static void share_say(const char *line)
{
	printf("%s\n", line);
	fflush(stdout);
}

void share_meet(unsigned int point)
{
	double deadline = share_now() + MEET_SECONDS;
	uint64_t arrived = share_add(0, point, 1);
	uint64_t needed = (arrived + share.nodes - 1) / share.nodes * share.nodes;

	while (share_load(0, point) < needed) {
		if (share_now() > deadline) {
			printf("share: WRONG: alone at meeting point %u: %llu of %llu\n", point,
			       (unsigned long long)share_load(0, point), (unsigned long long)needed);
			exit(1);
		}
		usleep(share.poll_us);
	}
}

/* Everybody counts on a few pages, and the sum is right. */
static void count_run(unsigned int rounds)
{
	const unsigned int pages = 8;
	unsigned int i;
	uint64_t before = 0, sum = 0;

	share_meet(0);
	for (i = 0; i < pages; i++)
		before += share_load(1 + i, 0);
	share_meet(1);
	for (i = 0; i < rounds; i++)
		share_add(1 + i % pages, 0, 1);
	share_meet(2);
	for (i = 0; i < pages; i++)
		sum += share_load(1 + i, 0);
	if (sum - before != (uint64_t)rounds * share.nodes)
		share_wrong("counted %llu, not %u x %u", (unsigned long long)(sum - before),
			    share.nodes, rounds);
	share_meet(3);
}

static uint64_t pattern(size_t page, size_t word, uint64_t seed)
{
	return (seed * PAGE_WORDS + word + 1) * 0x9e3779b97f4a7c15ull ^ page * 0xc2b2ae3d27d4eb4full;
}

static void fill_run(size_t first, size_t pages, uint64_t seed)
{
	size_t page, word;

	for (page = first; page < first + pages && page < share.pages; page++)
		for (word = 0; word < PAGE_WORDS; word++)
			share_store(page, word, pattern(page, word, seed));
}

static void check_run(size_t first, size_t pages, uint64_t seed)
{
	size_t page, word;

	for (page = first; page < first + pages && page < share.pages; page++)
		for (word = 0; word < PAGE_WORDS; word++)
			if (share_load(page, word) != pattern(page, word, seed)) {
				share_wrong("page %zu word %zu is %#llx", page, word,
					    (unsigned long long)share_load(page, word));
				break;
			}
}

static void discard_run(size_t first, size_t pages)
{
	struct giantvm_range range = { first * PAGE_BYTES, pages * PAGE_BYTES };

	if (ioctl(region_fd, GIANTVM_DISCARD, &range))
		share_wrong("discard: %s", strerror(errno));
}

/* Has the kernel keep a reference to the page, in a pipe that nobody reads, until the end; then reads it. */
static void pin_run(size_t page, const char *end)
{
	struct iovec part = {.iov_base = share_word(page, 0), .iov_len = PAGE_BYTES};
	uint64_t before = share_load(page, 0), word;
	int ends[2];

	if (pipe(ends) || vmsplice(ends[1], &part, 1, 0) != PAGE_BYTES) {
		share_wrong("vmsplice: %s", strerror(errno));
		return;
	}
	share_say("share: pinned");
	while (access(end, F_OK))
		usleep(50000);
	if (read(ends[0], &word, sizeof(word)) != sizeof(word) || word != before)
		share_wrong("the pinned page has changed");
	close(ends[0]);
}

/*
 * Has the kernel pin two pages for each write, node 1 in the other order than node 0. What it writes is
 * at the end of the first and the beginning of the second, and so other words than the other node's.
 */
static void cross_run(size_t page, const char *end)
{
	char *pages = mmap(NULL, 2 * PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t words[4], seen[4], rounds = 0;
	struct iovec from = {words, sizeof(words)}, to = {pages + PAGE_BYTES - 16, sizeof(words)};
	double at, longest = 0;
	unsigned int i;

	for (i = 0; i < 2; i++)
		if (mmap(pages + i * PAGE_BYTES, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			 region_fd, (off_t)((page + (i ^ share.node)) * PAGE_BYTES)) == MAP_FAILED) {
			share_wrong("mmap: %s", strerror(errno));
			return;
		}
	while (access(end, F_OK)) {
		at = share_now();
		rounds++;
		for (i = 0; i < 4; i++)
			words[i] = rounds;
		if (process_vm_writev(getpid(), &from, 1, &to, 1, 0) != sizeof(words))
			share_wrong("process_vm_writev: %s", strerror(errno));
		memcpy(seen, to.iov_base, sizeof(seen));
		if (memcmp(seen, words, sizeof(words)))
			share_wrong("round %llu is not what was written", (unsigned long long)rounds);
		longest = share_now() - at > longest ? share_now() - at : longest;
	}
	printf("share: cross: %llu rounds, the longest took %.1f s\n", (unsigned long long)rounds,
	       longest);
}

/*
 * Counts in a page as fast as it can, until the end, while others may put the count back to 0 and say so in
 * word 1. Where this node stood still for a second, says for how long it then went on with what it had: by
 * its number of rounds, and its best pace, so that a slow host, or one that stands still again, adds nothing.
 */
static void beat_run(size_t page, const char *end)
{
	double before = share_now(), slice = before, now, pace = 0;
	uint64_t value, last = 0, rounds = 0, stood = 0, stale = 0, in_slice = 0;
	unsigned int resets = 0;

	for (;; rounds++) {
		now = share_now();
		if (now - before > 1)
			stood = rounds;
		before = now;
		value = share_add(page, 0, 1);
		if (!rounds)
			share_say("beat: begun");
		if (value <= last) {
			if (!share_load(page, 1))
				share_wrong("the count went back, and nobody did that");
			resets++;
			stale = stood ? rounds - stood : 0;
			share_say("beat: reset");
		}
		last = value;
		in_slice++;
		if (now - slice < SLICE_SECONDS)
			continue;
		pace = in_slice / (now - slice) > pace ? in_slice / (now - slice) : pace;
		slice = now;
		in_slice = 0;
		if (!access(end, F_OK))
			break;
	}
	printf("beat: count %llu resets %u stale_ms %.0f\n", (unsigned long long)last, resets,
	       stale / pace * 1000);
}

static double uptime(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static double last_until, last_stood;

/* The page is lost: the lease has ended. */
static void last_say(int number)
{
	char text[80];
	int bytes = snprintf(text, sizeof(text), "last: wrote until %.3f, stood still for %.3f\n", last_until,
			     last_stood);

	(void)number;
	_exit(write(STDOUT_FILENO, text, bytes) != bytes);
}

/*
 * Has that many pages mapped, and the region as a whole that often; writes to the last of the pages
 * until that is an error. Says when the last write began that was none, and how long it stood still between
 * two of them, which is no fault of its kernel's.
 */
static void last_run(size_t pages, unsigned int mappings)
{
	double at;
	size_t page;

	while (mappings--)
		if (mmap(NULL, share.pages * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, region_fd,
			 0) == MAP_FAILED)
			share_wrong("cannot map it once more: %s", strerror(errno));
	for (page = 0; page < pages; page++)
		share_store(page, 0, 1);
	share_say("last: has all");
	signal(SIGBUS, last_say);
	for (last_until = uptime();; last_until = at) {
		at = uptime();
		last_stood = at - last_until > last_stood ? at - last_until : last_stood;
		share_add(pages - 1, 0, 1);
	}
}

/* What the calls for regions of one page, many0 and on, come to: how many succeed, and the first error. */
static void many_run(unsigned long request, unsigned int regions, unsigned int wait_ms)
{
	int fd, device = open("/dev/giantvm", O_RDWR | O_CLOEXEC), err = 0;
	unsigned int i, done = 0;

	for (i = 0; i < regions; i++) {
		struct giantvm_region wish = {.size_bytes = PAGE_BYTES, .wait_ms = wait_ms};
		struct giantvm_leave leave = {.reserved = 0};

		snprintf(wish.name, sizeof(wish.name), "many%u", i);
		memcpy(leave.name, wish.name, sizeof(leave.name));
		fd = ioctl(device, request, request == GIANTVM_CREATE ? (void *)&wish : &leave);
		if (fd < 0)
			err = err ? err : errno;
		else
			done++;
		if (fd > 0)
			close(fd);
	}
	printf("share: %u of %u, %s\n", done, regions, err ? strerror(err) : "all");
}

static int attach(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	off_t size;

	size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	if (size <= 0) {
		fprintf(stderr, "share: %s: %s\n", path, size ? strerror(errno) : "is empty");
		return 1;
	}
	share.pages = size / PAGE_BYTES;
	share.words = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (share.words == MAP_FAILED) {
		fprintf(stderr, "share: cannot map %s: %s\n", path, strerror(errno));
		return 1;
	}
	region_fd = fd;
	return 0;
}

static unsigned long argument(int argc, char **argv, int i)
{
	return i < argc ? strtoul(argv[i], NULL, 0) : 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 4 ? argv[4] : "";
	unsigned long first = argument(argc, argv, 5), second = argument(argc, argv, 6);

	if (argc < 6) {
		fprintf(stderr, "usage: share FILE NODE NODES WHAT ARGUMENTS\n");
		return 2;
	}
	share.node = atoi(argv[2]);
	share.nodes = atoi(argv[3]);
	if (attach(argv[1]))
		return 1;
	if (!strcmp(what, "count"))
		count_run(first);
	else if (!strcmp(what, "torture"))
		torture_run(first, second, argc > 7 ? argv[7] : NULL);
	else if (!strcmp(what, "litmus"))
		litmus_run(first);
	else if (!strcmp(what, "latency"))
		latency_run(first);
	else if (!strcmp(what, "stream"))
		stream_run();
	else if (!strcmp(what, "vcpu"))
		vcpu_run(first, second);
	else if (!strcmp(what, "nested"))
		nested_run();
	else if (!strcmp(what, "fill"))
		fill_run(first, second, argument(argc, argv, 7));
	else if (!strcmp(what, "check"))
		check_run(first, second, argument(argc, argv, 7));
	else if (!strcmp(what, "discard"))
		discard_run(first, second);
	else if (!strcmp(what, "beat"))
		beat_run(first, argc > 6 ? argv[6] : "");
	else if (!strcmp(what, "pin"))
		pin_run(first, argc > 6 ? argv[6] : "");
	else if (!strcmp(what, "cross"))
		cross_run(first, argc > 6 ? argv[6] : "");
	else if (!strcmp(what, "last"))
		last_run(first, second);
	else if (!strcmp(what, "create"))
		many_run(GIANTVM_CREATE, first, second);
	else if (!strcmp(what, "leave"))
		many_run(GIANTVM_LEAVE, first, 0);
	else if (!strcmp(what, "add"))
		printf("%llu\n", (unsigned long long)share_add(first, 0, second));
	else if (!strcmp(what, "mark"))
		share_store(first, 1, second);
	else if (!strcmp(what, "put"))
		share_store(first, second, argument(argc, argv, 7));
	else if (!strcmp(what, "get"))
		printf("%llu\n", (unsigned long long)share_load(first, 0));
	else
		return 2;
	printf("share: %s: %s\n", what, share.failures ? "FAILED" : "right");
	return share.failures != 0;
}
