// SPDX-License-Identifier: GPL-2.0-or-later
/* unbacked.c - see unbacked.h. */
#include "unbacked.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define HELD_LOOKS     20 /* so often it is looked whether the process is still there */
#define HELD_PAUSE_MS  100
#define SLACK_BYTES    (32u << 20) /* what it may still take: its message needs memory, too */
#define READY_MS       2000

struct unbacked {
	struct job job; /* first */
	struct op *op;
	pid_t tid;
	uint64_t wanted_bytes;
	char program[64];
};

static bool is_qemu(pid_t tid, char *program, size_t size)
{
	char path[64], target[PATH_MAX];
	ssize_t n;
	const char *name;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)tid);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = 0;
	name = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
	snprintf(program, size, "%.48s", name);
	return strncmp(name, "qemu", 4) == 0 || strncmp(name, "kvm", 3) == 0;
}

/* The address space that a process has; 0: not known. */
static uint64_t space_of(pid_t tid)
{
	char path[64], text[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	return strtoull(text, NULL, 10) * GVM_PAGE_BYTES;
}

/* In a process of its own: keeps the limit for a while and puts back what was. It was forked from a
 * thread, so it calls nothing but the kernel. */
static void limit_hold(pid_t tid, const struct rlimit *limited, const struct rlimit *before, int ready)
{
	struct rlimit now;

	setsid();
	if (prlimit(tid, RLIMIT_AS, limited, NULL) < 0 || write(ready, "", 1) != 1)
		_exit(1);
	close_range(0, ~0u, 0);
	for (unsigned i = 0; i < HELD_LOOKS && kill(tid, 0) == 0; i++)
		poll(NULL, 0, HELD_PAUSE_MS);
	if (prlimit(tid, RLIMIT_AS, NULL, &now) == 0 && now.rlim_cur == limited->rlim_cur) {
		now.rlim_cur = before->rlim_cur;
		prlimit(tid, RLIMIT_AS, &now, NULL);
	}
	_exit(0);
}

static int limit_set(pid_t tid, uint64_t wanted_bytes)
{
	uint64_t has = space_of(tid);
	struct rlimit before, limited;
	struct pollfd ready;
	int fds[2];
	pid_t pid;
	char told;
	int r = 0;

	if (!has || prlimit(tid, RLIMIT_AS, NULL, &before) < 0)
		return -EPERM;
	limited = before;
	limited.rlim_cur = has + (wanted_bytes / 2 < SLACK_BYTES ? wanted_bytes / 2 : SLACK_BYTES);
	if (limited.rlim_cur >= before.rlim_cur)
		return 0;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) { /* nobody has to wait for the one that stays */
		if (fork() == 0)
			limit_hold(tid, &limited, &before, fds[1]);
		_exit(0);
	}
	close(fds[1]);
	ready = (struct pollfd){ .fd = fds[0], .events = POLLIN };
	if (pid < 0 || waitpid(pid, NULL, 0) < 0 || poll(&ready, 1, READY_MS) != 1 ||
	    read(fds[0], &told, 1) != 1)
		r = -EPERM;
	close(fds[0]);
	return r;
}

static void unbacked_work(struct job *job, struct pool *pool)
{
	struct unbacked *u = (struct unbacked *)job;

	(void)pool;
	job->result = 0;
	if (is_qemu(u->tid, u->program, sizeof(u->program)))
		job->result = limit_set(u->tid, u->wanted_bytes) < 0 ? -EPERM : 1;
}

static void unbacked_done(struct job *job)
{
	struct unbacked *u = (struct unbacked *)job;
	const char *name = worker_disk(u->op->w, u->op->inode)->rec.name;

	if (job->result > 0)
		log_error(name, "%s (process %d) cannot map it: its size of %llu bytes was refused",
			  u->program, (int)u->tid, (unsigned long long)u->wanted_bytes);
	else if (job->result < 0)
		log_error(name, "%s (process %d) has no memory for it and will get SIGBUS: end it (gvmfs "
			  "lacks the right to keep it from mapping the file)", u->program, (int)u->tid);
	op_end(u->op, true, -ENOSPC);
	free(u);
}

void unbacked_end(struct op *op, uint64_t wanted_bytes)
{
	struct unbacked *u = op->req ? calloc(1, sizeof(*u)) : NULL;

	if (!u) {
		op_end(op, true, -ENOSPC);
		return;
	}
	u->job.work = unbacked_work;
	u->job.done = unbacked_done;
	u->op = op;
	u->tid = op->tid;
	u->wanted_bytes = wanted_bytes;
	jobs_submit_blocking(&op->w->jobs, &u->job);
}
