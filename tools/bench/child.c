// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The fast path is asked for in the child, so that what it maps there ends with it. gvmfs writes
 * back what the child has left; that is waited for, or it would be charged to the next
 * measurement.
 */
#include "child.h"

#include "data.h"
#include "fsstats.h"
#include "gvmfs/gvm_mount.h"
#include "memnode/gvm_client.h"
#include "stop.h"

#include <assert.h>
#include <dsm_backend.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CHILD_NS    (60ull * 1000 * 1000 * 1000)
#define SETTLE_NS   (30ull * 1000 * 1000 * 1000)
#define BUSY_US	    25000 /* between attempts: the last close of the file may still be on its way */
#define EXIT_SIGBUS 9

static void on_sigbus(int sig)
{
	(void)sig;
	_exit(EXIT_SIGBUS);
}

static int local_map(struct touch *t)
{
	t->fd = t->private ? -1 : memfd_create("gvm-bench", MFD_CLOEXEC);
	if (!t->private && (t->fd < 0 || ftruncate(t->fd, (off_t)t->bytes)))
		return -errno;
	t->map = mmap(NULL, t->bytes, PROT_READ | PROT_WRITE, t->private ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, t->fd,
		      0);
	if (t->map == MAP_FAILED)
		return -errno;
	if (!t->private)
		madvise(t->map, t->bytes, MADV_NOHUGEPAGE); /* as the memory that it is compared with */
	bench_data_fill(t->map, t->bytes, 1);
	return 0;
}

/* The reason stands in a line for the user; here it becomes a part of another one. */
static void reason_read(int log, struct answer *a)
{
	char line[PATH_MAX + 1024], *why;
	ssize_t n = pread(log, line, sizeof(line) - 1, 0);

	line[n > 0 ? n : 0] = 0;
	line[strcspn(line, "\n")] = 0;
	why = strstr(line, ", since ");
	snprintf(a->why, sizeof(a->why), "%.*s", BENCH_WHY - 1, why ? why + 8 : line);
}

static int fast_attach(struct touch *t)
{
	int log = memfd_create("attach", MFD_CLOEXEC), err = dup(STDERR_FILENO), rc = -EBUSY;
	uint64_t until = gvm_now_ns() + SETTLE_NS;

	if (log < 0 || err < 0)
		return -errno;
	dsm_mode_set(DSM_MODE_UFFD);
	dup2(log, STDERR_FILENO);
	for (unsigned i = 0; rc == -EBUSY && gvm_now_ns() < until; i++) {
		if (i)
			usleep(BUSY_US);
		if (ftruncate(log, 0) || lseek(log, 0, SEEK_SET))
			break;
		rc = dsm_ram_attach(t->fd, t->map, t->file->bytes, 0, true);
	}
	dup2(err, STDERR_FILENO);
	t->answer->refused = rc != 1;
	if (rc != 1)
		reason_read(log, t->answer);
	close(log);
	close(err);
	return rc == 1 ? 0 : -EOPNOTSUPP;
}

static int file_map(struct touch *t)
{
	if (!t->file)
		return local_map(t);
	t->fd = open(t->file->path, O_RDWR | O_CLOEXEC);
	if (t->fd < 0)
		return -errno;
	t->map = mmap(NULL, t->file->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
	if (t->map == MAP_FAILED)
		return -errno;
	return t->file->fast ? fast_attach(t) : 0;
}

/* Waits until gvmfs has written back what a client left, and holds nothing of the file any more. */
static int fast_settle(const char *path)
{
	uint64_t until = gvm_now_ns() + SETTLE_NS;
	char text[FSSTATS_TEXT];

	for (;;) {
		int rc = fsstats_read(path, text);

		if (rc)
			return rc;
		if (!fsstats_get(text, "fast"))
			return 0;
		if (bench_stopped())
			return -EINTR;
		if (gvm_now_ns() > until)
			return -ETIMEDOUT;
		usleep(5000);
	}
}

static int fast_cool(struct touch *t)
{
	const char *path = t->file->path;
	char text[24];
	int rc = fast_settle(path), n;

	if (rc)
		return rc;
	n = snprintf(text, sizeof(text), "%llu", (unsigned long long)t->budget_bytes);
	if (!t->budget_bytes)
		rc = removexattr(path, GVM_XATTR_LOCAL) && errno != ENODATA ? -errno : 0;
	else if (setxattr(path, GVM_XATTR_LOCAL, text, (size_t)n, 0))
		rc = -errno;
	return rc;
}

int touch_cool(struct touch *t)
{
	int fd, rc = 0;

	if (t->file->fast)
		return fast_cool(t);
	fd = open(t->file->path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fsync(fd))
		rc = -errno;
	if (!rc)
		rc = -posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	return rc;
}

__attribute__((noreturn)) static void child_main(struct touch *t, int (*what)(struct touch *),
						 bool bare, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	signal(SIGBUS, on_sigbus);
	signal(SIGINT, SIG_IGN); /* the parent decides */
	signal(SIGTERM, SIG_DFL);
	t->answer->error = t->cg ? memcg_enter(t->cg, 0) : 0;
	if (!t->answer->error && !bare)
		t->answer->error = file_map(t);
	if (!t->answer->error)
		t->answer->error = what(t);
	_exit(0);
}

int child_wait(pid_t pid, uint64_t within_ns, struct rusage *usage)
{
	uint64_t until = gvm_now_ns() + within_ns;
	int status, rc = 0;

	for (;;) {
		pid_t got = wait4(pid, &status, WNOHANG, usage);

		if (got == pid)
			break;
		if (got < 0 && errno != EINTR)
			return -errno;
		if (!rc && (bench_stopped() || gvm_now_ns() > until)) {
			rc = bench_stopped() ? -EINTR : -ETIMEDOUT;
			kill(pid, SIGKILL);
		}
		usleep(1000);
	}
	if (rc)
		return rc;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return -ENOMEM; /* the kernel had none for its group */
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EIO;
}

static int start(struct touch *t, int (*what)(struct touch *), bool bare)
{
	size_t size = sizeof(*t->answer) + t->faults * sizeof(uint64_t);
	pid_t parent = getpid();

	t->pid = 0;
	t->answer = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t->answer == MAP_FAILED)
		return -errno;
	t->pid = fork();
	if (t->pid == 0)
		child_main(t, what, bare, parent);
	return t->pid < 0 ? -errno : 0;
}

static int finish(struct touch *t)
{
	int rc = child_wait(t->pid, CHILD_NS, NULL);

	return rc ? rc : t->answer->error;
}

int touch_start(struct touch *t, int (*what)(struct touch *))
{
	return start(t, what, false);
}

int touch_finish(struct touch *t)
{
	int rc = finish(t), settled;

	if (!t->file || !t->file->fast)
		return rc;
	settled = fast_settle(t->file->path);
	if (t->answer->refused)
		memcpy(t->file->why, t->answer->why, sizeof(t->file->why));
	return rc ? rc : settled;
}

int touch_run(struct touch *t, int (*what)(struct touch *))
{
	int rc = touch_start(t, what);

	return rc ? rc : touch_finish(t);
}

int touch_run_bare(struct touch *t, int (*what)(struct touch *))
{
	int rc = start(t, what, true);

	return rc ? rc : finish(t);
}

void touch_end(struct touch *t)
{
	if (t->answer && t->answer != MAP_FAILED)
		munmap(t->answer, sizeof(*t->answer) + t->faults * sizeof(uint64_t));
}

int touch_value(struct touch *t, int (*what)(struct touch *), double *value, double *other)
{
	int rc = touch_run(t, what);

	if (!rc && value)
		*value = t->answer->value;
	if (!rc && other)
		*other = t->answer->other;
	touch_end(t);
	return rc;
}

bool page_resident(const uint8_t *p)
{
	unsigned char there = 0;

	return mincore((void *)(uintptr_t)p, PAGE_BYTES, &there) == 0 && there & 1;
}

uint32_t *order_make(uint32_t n, uint64_t *state)
{
	uint32_t *order = malloc(n * sizeof(*order));

	for (uint32_t i = 0; order && i < n; i++) {
		uint32_t k = (uint32_t)(bench_random(state) % (i + 1));

		order[i] = order[k];
		order[k] = i;
	}
	return order;
}

static int compare_ns(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

uint64_t latency_rank(uint64_t *latency_ns, unsigned count, unsigned permille)
{
	assert(permille < 1000);
	if (!count)
		return 0;
	qsort(latency_ns, count, sizeof(*latency_ns), compare_ns);
	return latency_ns[(uint64_t)count * permille / 1000];
}

unsigned faults_random(uint8_t *map, uint64_t bytes, unsigned faults, uint64_t seed,
		       uint64_t *latency_ns)
{
	uint32_t slots = (uint32_t)(bytes / (SLOT_PAGES * PAGE_BYTES));
	uint64_t state = seed;
	uint32_t *order = order_make(slots, &state);
	unsigned count = 0;

	for (uint32_t i = 0; order && i < slots && count < faults; i++) {
		/* in the middle half of its slot: no neighbour's read-around reaches it */
		uint64_t page = order[i] * (uint64_t)SLOT_PAGES + SLOT_PAGES / 4 +
				bench_random(&state) % (SLOT_PAGES / 2);
		uint64_t from;

		if (page_resident(map + page * PAGE_BYTES))
			continue;
		from = gvm_now_ns();
		(void)*(const volatile uint64_t *)(map + page * PAGE_BYTES);
		latency_ns[count++] = gvm_now_ns() - from;
	}
	free(order);
	return count;
}
