// SPDX-License-Identifier: GPL-2.0-or-later
/* unbacked.c - see unbacked.h. */
#include "unbacked.h"

#include "base/log.h"
#include "file.h"
#include "node/jobs.h"
#include "state/release.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define HELD_MS	    2000 /* at most; the limit ends as soon as the process closes the file */
#define SLACK_BYTES (32u << 20) /* what the process may still map: its error message needs memory */
#define READY_MS    (HELD_MS + 1000) /* another limit on the same process may have to end first */
#define LOCK_PAUSE_US 10000

struct unbacked {
	struct job job; /* first */
	struct op *op;
	struct limiter *limiter; /* NULL: none was free */
	pid_t tid;
	uint64_t wanted_bytes;
	int hold; /* writing end of the pipe that ends the limit; -1: no limit */
	int ends; /* the same; closed when the process has ended; -1: no process */
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

/* The process that a thread belongs to; 0: unknown. */
static pid_t process_of(pid_t tid)
{
	char path[64], text[1024];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	return file_text(path, text, sizeof(text)) ? 0 : (pid_t)text_number(text, "Tgid:");
}

/* The size of a process's address space; 0: unknown. */
static uint64_t space_of(pid_t tid)
{
	char path[64], text[64];

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)tid);
	return file_text(path, text, sizeof(text)) ? 0 : strtoull(text, NULL, 10) * GVM_PAGE_BYTES;
}

/* One limit on a process at a time: a second would take the first for the process's own. Anybody may have
 * this lock, for as long as he likes. */
static int limit_lock(pid_t pid)
{
	uint64_t until = gvm_now_ns() + READY_MS * 1000000ull;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/limits", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (gvm_now_ns() > until)
			return -ETIMEDOUT;
		usleep(LOCK_PAUSE_US);
	}
	return fd;
}

/* Waits until the file is closed (a byte comes) or the time is over; the worker's end does not end
 * the limit. */
static void limit_wait(int hold)
{
	struct pollfd p = { .fd = hold, .events = POLLIN };
	uint64_t until = gvm_now_ns() + HELD_MS * 1000000ull, now;
	char closed;

	while ((now = gvm_now_ns()) < until) {
		poll(&p, 1, (int)((until - now) / 1000000) + 1);
		if (p.revents && read(hold, &closed, 1) == 1)
			return;
		if (p.revents)
			p.fd = -1;
	}
}

/* Without CAP_SYS_RESOURCE only a process with the same user and group may set the limit, so this one
 * takes those of the limited process. From then on that user may kill this process, but not look into
 * it. */
static int user_become(pid_t pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (stat(path, &st) < 0 || syscall(SYS_setresgid, st.st_gid, st.st_gid, st.st_gid) < 0 ||
	    syscall(SYS_setresuid, st.st_uid, st.st_uid, st.st_uid) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

static int limit_get(pid_t pid, struct rlimit *limit)
{
	if (prlimit(pid, RLIMIT_AS, NULL, limit) == 0)
		return 0;
	if (errno != EPERM || user_become(pid) < 0 || prlimit(pid, RLIMIT_AS, NULL, limit) < 0)
		return -EPERM;
	return 0;
}

/* Runs in a process of its own: sets the limit, holds it for a while and restores the old one. The
 * process was forked from a thread, so it makes only system calls (and calls snprintf). */
static void limit_hold(pid_t tid, uint64_t wanted_bytes, int hold, int ready)
{
	struct rlimit before, limited, now;
	uint64_t has;
	pid_t pid;

	setsid();
	prctl(PR_SET_NAME, "gvmfs-limit");
	/* Keeps only these two descriptors: the others may include the end of another limit's
	 * pipe. */
	if (dup2(hold, 0) < 0 || dup2(ready, 1) < 0)
		_exit(1);
	close_range(2, ~0u, 0);
	/* Done here and not in the worker: whoever looks at a process may have to release resources
	 * of it, see release.h. */
	pid = process_of(tid);
	has = !pid || limit_lock(pid) < 0 ? 0 : space_of(pid);
	if (!has || limit_get(pid, &before) < 0)
		_exit(1);
	limited = before;
	limited.rlim_cur = has + (wanted_bytes / 2 < SLACK_BYTES ? wanted_bytes / 2 : SLACK_BYTES);
	if (limited.rlim_cur < before.rlim_cur && prlimit(pid, RLIMIT_AS, &limited, NULL) < 0)
		_exit(1);
	if (write(1, "", 1) == 1)
		limit_wait(0); /* if the write failed, nobody waits for the limit any more */
	if (prlimit(pid, RLIMIT_AS, NULL, &now) == 0 && now.rlim_cur == limited.rlim_cur) {
		now.rlim_cur = before.rlim_cur;
		prlimit(pid, RLIMIT_AS, &now, NULL);
	}
	_exit(0);
}

static int limit_set(pid_t tid, uint64_t wanted_bytes, int *hold, int *ends)
{
	int ready[2] = { -1, -1 }, held[2] = { -1, -1 }, r = 0;
	struct pollfd told = { .events = POLLIN };
	pid_t child = -1;
	char byte;

	if (pipe2(ready, O_CLOEXEC) == 0 && pipe2(held, O_CLOEXEC) == 0 &&
	    (*ends = fcntl(held[1], F_DUPFD_CLOEXEC, 0)) >= 0)
		child = fork();
	if (child == 0) { /* fork again, so that nobody has to wait for the process that stays */
		if (fork() == 0)
			limit_hold(tid, wanted_bytes, held[0], ready[1]);
		_exit(0);
	}
	close(ready[1]);
	close(held[0]);
	told.fd = ready[0];
	if (child < 0 && *ends >= 0) {
		close(*ends);
		*ends = -1;
	}
	if (child < 0 || waitpid(child, NULL, 0) < 0 || poll(&told, 1, READY_MS) != 1 ||
	    read(ready[0], &byte, 1) != 1)
		r = -EPERM;
	close(ready[0]);
	if (r < 0)
		close(held[1]);
	else
		*hold = held[1];
	return r;
}

static void unbacked_work(struct job *job, struct pool *pool)
{
	struct unbacked *u = (struct unbacked *)job;

	(void)pool;
	job->result = 0;
	if (!is_qemu(u->tid, u->program, sizeof(u->program)))
		return;
	job->result = u->limiter ? limit_set(u->tid, u->wanted_bytes, &u->hold, &u->ends) : -EAGAIN;
	if (!job->result)
		job->result = 1;
}

/* NULL: there are too many processes that have not ended. */
static struct limiter *limiter_take(struct limiters *all, uid_t uid)
{
	struct limiter *found = NULL;
	unsigned of_user = 0;

	for (unsigned i = 0; i < LIMITERS_MAX; i++) {
		struct limiter *l = &all->list[i];

		if (l->ends >= 0 && l->used && !holder_lives(l->ends)) {
			close(l->ends);
			l->used = false;
		}
		if (!l->used)
			found = l;
		else
			of_user += l->uid == uid;
	}
	if (!found || of_user >= LIMITERS_OF_USER)
		return NULL;
	*found = (struct limiter){ .used = true, .uid = uid, .ends = -1 };
	return found;
}

static void unbacked_done(struct job *job)
{
	struct unbacked *u = (struct unbacked *)job;
	const char *name = u->op->inode->disk->rec.name;

	if (u->limiter) {
		u->limiter->ends = u->ends;
		u->limiter->used = u->ends >= 0;
	}
	if (job->result > 0)
		log_error(name, "%s (process %d) cannot map it: its size of %llu bytes was refused",
			  u->program, (int)u->tid, (unsigned long long)u->wanted_bytes);
	else if (job->result < 0)
		log_error(name, "%s (process %d) has no memory for it and will get SIGBUS: end it (%s)", u->program,
			  (int)u->tid, job->result == -EAGAIN ? "gvmfs keeps too many programs from mapping files" :
								"gvmfs cannot keep it from mapping the file");
	unbacked_closed(u->op->inode);
	u->op->inode->unbacked_hold = u->hold;
	if (!u->op->inode->opens)
		unbacked_closed(u->op->inode);
	op_end(u->op, true, -ENOSPC);
	free(u);
}

void unbacked_closed(struct inode *inode)
{
	if (inode->unbacked_hold < 0)
		return;
	if (write(inode->unbacked_hold, "", 1) < 0)
		log_debug(NULL, "the limit of a process without memory ends by itself: %s", strerror(errno));
	close(inode->unbacked_hold);
	inode->unbacked_hold = -1;
}

void unbacked_end(struct op *op, int tid, uint64_t wanted_bytes)
{
	struct unbacked *u = op->req ? calloc(1, sizeof(*u)) : NULL;

	if (!u) {
		op_end(op, true, -ENOSPC);
		return;
	}
	u->job.work = unbacked_work;
	u->job.done = unbacked_done;
	u->op = op;
	u->limiter = limiter_take(op->w->limiters, fuse_req_ctx(op->req)->uid);
	u->hold = u->ends = -1;
	u->tid = tid;
	u->wanted_bytes = wanted_bytes;
	jobs_submit_blocking(op->w->jobs, &u->job);
}
