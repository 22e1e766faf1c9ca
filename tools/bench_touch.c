// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A mapped file, touched as a guest touches its RAM: plain loads and stores, no advice given.
 *
 * Every measurement runs in a child, which can be put into a cgroup, survives no SIGBUS and can be
 * killed when the file hangs. Before a cold measurement the file's pages are written back and
 * dropped; what is still resident then (mincore) is not counted as cold.
 */
#include "bench.h"

#include "memnode/gvm_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE	    4096ull
#define SLOT_PAGES  64u /* random faults stay this far apart: read-around covers 32 pages */
#define CHILD_NS    (60ull * 1000 * 1000 * 1000)
#define EXIT_SIGBUS 9

struct touch {
	const char *path;
	uint64_t file_bytes, bytes, seed;
	unsigned faults, ms;
	struct memcg *cg;
	/* what the child answers, in memory shared with it */
	struct answer {
		int error;
		double value;
		unsigned count;
		uint64_t latency_ns[];
	} * answer;
	/* of the child */
	int fd;
	uint8_t *map;
};

static void on_sigbus(int sig)
{
	(void)sig;
	_exit(EXIT_SIGBUS);
}

static double mb_per_s(uint64_t bytes, uint64_t ns)
{
	return ns ? (double)bytes * 1e3 / (double)ns : 0;
}

static int file_map(struct touch *t)
{
	t->fd = open(t->path, O_RDWR | O_CLOEXEC);
	if (t->fd < 0)
		return -errno;
	t->map = mmap(NULL, t->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
	return t->map == MAP_FAILED ? -errno : 0;
}

/* Nothing maps the file now: its pages can all go. */
static int file_evict(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd))
		rc = -errno;
	if (!rc)
		rc = -posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	return rc;
}

static bool page_resident(const uint8_t *p)
{
	unsigned char there = 0;

	return mincore((void *)(uintptr_t)p, PAGE, &there) == 0 && there & 1;
}

static int do_fill(struct touch *t)
{
	uint8_t *piece = malloc(1 << 20);
	int rc = piece ? 0 : -ENOMEM;

	t->fd = open(t->path, O_RDWR | O_CLOEXEC);
	if (t->fd < 0)
		rc = -errno;
	for (uint64_t at = 0; !rc && at < t->bytes; at += 1 << 20) {
		bench_data_fill(piece, 1 << 20, t->seed + at);
		if (pwrite(t->fd, piece, 1 << 20, (off_t)at) != 1 << 20)
			rc = errno ? -errno : -EIO;
	}
	if (!rc && fsync(t->fd))
		rc = -errno;
	free(piece);
	return rc;
}

static int do_random(struct touch *t)
{
	uint64_t slots = t->bytes / (SLOT_PAGES * PAGE), state = t->seed, sum = 0;
	uint32_t *order = malloc(slots * sizeof(*order));
	struct answer *a = t->answer;

	if (!order)
		return -ENOMEM;
	for (uint64_t i = 0; i < slots; i++) {
		uint64_t k = bench_random(&state) % (i + 1);

		order[i] = order[k];
		order[k] = (uint32_t)i;
	}
	for (uint64_t i = 0; i < slots && a->count < t->faults; i++) {
		/* in the middle half of its slot: no neighbour's read-around reaches it */
		uint64_t page = order[i] * (uint64_t)SLOT_PAGES + SLOT_PAGES / 4 +
				bench_random(&state) % (SLOT_PAGES / 2);
		const volatile uint64_t *at = (void *)(t->map + page * PAGE);
		uint64_t from;

		if (page_resident(t->map + page * PAGE))
			continue;
		from = gvm_now_ns();
		sum += *at;
		a->latency_ns[a->count++] = gvm_now_ns() - from;
	}
	free(order);
	a->value = (double)sum;
	return a->count ? 0 : -ENODATA;
}

static int do_seq(struct touch *t)
{
	uint64_t sum = 0, from = gvm_now_ns();

	for (uint64_t at = 0; at < t->bytes; at += PAGE)
		sum += *(const volatile uint64_t *)(t->map + at);
	t->answer->value = mb_per_s(t->bytes, gvm_now_ns() - from);
	t->answer->count = (unsigned)sum;
	return 0;
}

/* Every page is there and clean: what is measured is dirtying it and getting it out again. */
static int do_write(struct touch *t)
{
	uint8_t *data = malloc(t->bytes);
	uint64_t from;

	if (!data)
		return -ENOMEM;
	bench_data_fill(data, t->bytes, t->seed);
	for (uint64_t at = 0; at < t->bytes; at += PAGE)
		t->answer->count += t->map[at];
	from = gvm_now_ns();
	memcpy(t->map, data, t->bytes);
	if (msync(t->map, t->bytes, MS_SYNC))
		return -errno;
	t->answer->value = mb_per_s(t->bytes, gvm_now_ns() - from);
	free(data);
	return 0;
}

static int do_again(struct touch *t)
{
	uint64_t pages = t->bytes / PAGE, state = t->seed, until, from, now, n = 0;
	int rc = memcg_enter(t->cg, 0);

	if (rc)
		return rc;
	for (uint64_t at = 0; at < t->bytes; at += PAGE)
		t->answer->count += t->map[at];
	from = gvm_now_ns();
	until = from + t->ms * 1000000ull;
	do {
		for (unsigned i = 0; i < 16; i++, n++) {
			uint64_t r = bench_random(&state);
			volatile uint64_t *at = (void *)(t->map + (r >> 8) % pages * PAGE);

			if (r & 3)
				t->answer->count += (unsigned)*at;
			else
				*at = r;
		}
		now = gvm_now_ns();
	} while (now < until);
	t->answer->value = (double)n * 1e9 / (double)(now - from);
	return 0;
}

__attribute__((noreturn)) static void child_main(struct touch *t, int (*what)(struct touch *),
						 pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	signal(SIGBUS, on_sigbus);
	signal(SIGINT, SIG_IGN); /* the parent decides */
	signal(SIGTERM, SIG_DFL);
	t->answer->error = what == do_fill ? 0 : file_map(t);
	if (!t->answer->error)
		t->answer->error = what(t);
	_exit(0);
}

/* Waits for the child, or kills it when its time is over or the user wants no more. */
static int child_wait(pid_t pid)
{
	uint64_t until = gvm_now_ns() + CHILD_NS;
	int status, rc = 0;

	for (;;) {
		pid_t got = waitpid(pid, &status, WNOHANG);

		if (got == pid)
			break;
		if (got < 0 && errno != EINTR)
			return -errno;
		if (!rc && (bench_stopped || gvm_now_ns() > until)) {
			rc = bench_stopped ? -EINTR : -ETIMEDOUT;
			kill(pid, SIGKILL);
		}
		usleep(2000);
	}
	if (rc)
		return rc;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EIO;
}

static int touch_run(struct touch *t, int (*what)(struct touch *))
{
	size_t size = sizeof(*t->answer) + t->faults * sizeof(uint64_t);
	pid_t parent = getpid(), pid;
	int rc;

	t->answer = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t->answer == MAP_FAILED)
		return -errno;
	pid = fork();
	if (pid == 0)
		child_main(t, what, parent);
	rc = pid < 0 ? -errno : child_wait(pid);
	return rc ? rc : t->answer->error;
}

static void touch_end(struct touch *t)
{
	if (t->answer && t->answer != MAP_FAILED)
		munmap(t->answer, sizeof(*t->answer) + t->faults * sizeof(uint64_t));
}

static int touch_value(struct touch *t, int (*what)(struct touch *), double *value)
{
	int rc = touch_run(t, what);

	if (!rc && value)
		*value = t->answer->value;
	touch_end(t);
	return rc;
}

int bench_touch_fill(const char *path, uint64_t bytes, uint64_t seed)
{
	struct touch t = {.path = path, .bytes = bytes, .seed = seed};

	return touch_value(&t, do_fill, NULL);
}

int bench_touch_random(const char *path, uint64_t file_bytes, unsigned faults, uint64_t seed,
		       uint64_t *latency_ns, unsigned *count)
{
	struct touch t = {.path = path, .bytes = file_bytes, .faults = faults, .seed = seed};
	int rc = file_evict(path);

	if (!rc)
		rc = touch_run(&t, do_random);
	if (!rc) {
		*count = t.answer->count;
		memcpy(latency_ns, t.answer->latency_ns, *count * sizeof(*latency_ns));
	}
	touch_end(&t);
	return rc;
}

int bench_touch_seq(const char *path, uint64_t bytes, double *mb_s)
{
	struct touch t = {.path = path, .bytes = bytes};
	int rc = file_evict(path);

	return rc ? rc : touch_value(&t, do_seq, mb_s);
}

int bench_touch_write(const char *path, uint64_t bytes, uint64_t seed, double *mb_s)
{
	struct touch t = {.path = path, .bytes = bytes, .seed = seed};

	return touch_value(&t, do_write, mb_s);
}

int bench_touch_again(const char *path, uint64_t bytes, unsigned ms, uint64_t seed,
		      struct memcg *cg, double *per_s)
{
	struct touch t = {.path = path, .bytes = bytes, .ms = ms, .seed = seed, .cg = cg};
	int rc = file_evict(path);

	return rc ? rc : touch_value(&t, do_again, per_s);
}
