// SPDX-License-Identifier: GPL-2.0-or-later
/* scale_client.c - see scale_client.h. */
#include "scale_client.h"

#include "child.h"
#include "memnode/gvm_client.h"

#include <dirent.h>
#include <dsm_backend.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUSY_TRIES 40 /* 25 ms apart: the last close of the file may still be on its way */
#define ANSWER_MS  60000
#define CHUNK	   ((uint64_t)GVM_CHUNK_BYTES)

struct order {
	uint64_t among, first;
	unsigned count, pause_us;
};

static size_t answer_bytes(unsigned faults)
{
	return sizeof(struct client_answer) + faults * sizeof(uint64_t);
}

/* ---- the process */

/* What the fast path's client says to a user stands in a file, and is the reason. */
static int fast_attach(struct client_answer *a, int fd, void *map, uint64_t bytes)
{
	int log = memfd_create("attach", MFD_CLOEXEC), rc = -EBUSY;
	ssize_t n;

	if (log < 0)
		return -errno;
	dup2(log, STDERR_FILENO);
	dsm_mode_set(DSM_MODE_UFFD);
	for (unsigned i = 0; i < BUSY_TRIES && rc == -EBUSY; i++) {
		uint64_t from = gvm_now_ns();

		if (i)
			usleep(25000);
		from = gvm_now_ns();
		rc = dsm_ram_attach(fd, map, bytes, 0, true);
		a->attach_ns = gvm_now_ns() - from;
	}
	n = rc == 1 ? 0 : pread(log, a->why, sizeof(a->why) - 1, 0);
	a->why[n > 0 ? n : 0] = 0;
	a->why[strcspn(a->why, "\n")] = 0;
	return rc == 1 ? 0 : rc ? rc : -EOPNOTSUPP;
}

/*
 * How far apart two touches are: a step that reaches all `among` chunks before it comes to one again. The golden
 * section's share of them: no two that follow each other are near, nor are those shortly after.
 */
static uint64_t step_find(uint64_t among)
{
	uint64_t step = (uint64_t)((double)among * 0.6180339887), a, b, rest;

	for (;; step++) {
		for (a = among, b = step; b; a = b, b = rest)
			rest = a % b;
		if (a == 1)
			return step;
	}
}

static void touch_all(struct client_answer *a, const uint8_t *map, const struct order *o)
{
	uint64_t step = step_find(o->among);

	a->count = 0;
	for (unsigned i = 0; i < o->count; i++) {
		const volatile uint8_t *page = map + (o->first + i) * step % o->among * CHUNK;
		uint64_t from = gvm_now_ns();

		(void)*page;
		a->latency_ns[a->count++] = gvm_now_ns() - from;
		if (o->pause_us)
			usleep(o->pause_us);
	}
}

static int file_map(struct client_answer *a, const char *path, uint64_t bytes, uint8_t **map)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (*map == MAP_FAILED)
		return -errno;
	return fast_attach(a, fd, *map, bytes);
}

static _Noreturn void client_main(struct client_answer *a, const char *path, uint64_t bytes, int from, int to)
{
	struct order o;
	uint8_t *map = NULL;

	a->error = file_map(a, path, bytes, &map);
	while (write(to, "", 1) == 1 && !a->error && read(from, &o, sizeof(o)) == sizeof(o))
		touch_all(a, map, &o);
	_exit(a->error != 0);
}

/* The longest of all listings is what the parent looks at: latency_ns[0]; [1]: how many. */
static _Noreturn void lister_main(struct client_answer *a, const char *folder, int to)
{
	ssize_t n = write(to, "", 1);

	while (n == 1) {
		uint64_t began = gvm_now_ns(), took;
		DIR *d = opendir(folder);
		struct dirent *e;
		struct stat st;
		unsigned files = 0;

		while (d && (e = readdir(d)))
			files += fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0;
		if (d)
			closedir(d);
		took = gvm_now_ns() - began;
		if (took > a->latency_ns[0])
			a->latency_ns[0] = took;
		a->latency_ns[1] = files;
		a->count++;
	}
	_exit(1);
}

/* ---- its parent */

static int process_start(struct client *c, const char *path, uint64_t bytes, unsigned faults)
{
	pid_t parent = getpid();
	int to[2], from[2];

	memset(c, 0, sizeof(*c));
	c->answer = mmap(NULL, answer_bytes(faults), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (c->answer == MAP_FAILED || pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
		return -errno;
	c->pid = fork();
	if (c->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		signal(SIGINT, SIG_IGN); /* its parent ends it, in order */
		if (bytes)
			client_main(c->answer, path, bytes, to[0], from[1]);
		lister_main(c->answer, path, from[1]);
	}
	close(to[0]);
	close(from[1]);
	c->to = to[1];
	c->from = from[0];
	return c->pid < 0 ? -EAGAIN : client_wait(c);
}

int client_start(struct client *c, const char *path, uint64_t bytes, unsigned faults)
{
	return process_start(c, path, bytes, faults);
}

int lister_start(struct client *c, const char *folder)
{
	return process_start(c, folder, 0, 2);
}

int client_touch(struct client *c, uint64_t among, uint64_t first, unsigned count, unsigned pause_us)
{
	struct order o = {among, first, count, pause_us};

	return write(c->to, &o, sizeof(o)) == sizeof(o) ? 0 : -EPIPE;
}

int client_wait(struct client *c)
{
	struct pollfd p = {c->from, POLLIN, 0};
	char byte;

	if (poll(&p, 1, ANSWER_MS) == 0)
		return -ETIMEDOUT;
	if (read(c->from, &byte, 1) != 1)
		return -EPIPE;
	return c->answer->error;
}

void client_end(struct client *c)
{
	if (!c->pid)
		return;
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
	close(c->to);
	close(c->from);
	c->pid = 0;
}
