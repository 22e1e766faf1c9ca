// SPDX-License-Identifier: GPL-2.0-or-later
/* pagecache.c - see pagecache.h: what the worker asks of the helper. */
#include "pagecache.h"

#include "base/descriptors.h"
#include "base/log.h"
#include "node/jobs.h"
#include "pagecache_helper.h"
#include "state/worker.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SYNC_NS	      2000000000ull
#define STORE_NS      2000000000ull
#define FOLDERS_MAX   64
/* From this FUSE minor version on (Linux 6.16) a page stays under write-back until the WRITE is
 * answered; before, only until the kernel had copied it. */
#define MINOR_NO_COPY 44u

static void helper_lost(struct worker *w)
{
	struct pagecache *pc = w->pagecache;

	if (pc->fd < 0)
		return;
	loop_remove(w->loop, &pc->answers);
	close(pc->fd);
	pc->fd = -1;
	pc->noted = 0;
	log_warning(NULL, "the page cache's helper process is gone: what other programs read of a guest's "
			  "memory stays in the page cache, and copies of its file are not sparse");
	while (pc->asks) {
		struct pagecache_ask *ask = pc->asks;

		pc->asks = ask->next;
		ask->done(w, ask, -EPIPE);
	}
}

void pagecache_start(struct worker *w)
{
	struct pagecache *pc = w->pagecache;
	pid_t parent = getpid();
	int fd[2];

	pc->fd = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) < 0)
		return;
	pc->pid = fork();
	if (pc->pid == 0)
		helper_run(w->opts->mountpoint, fd[1], parent);
	close(fd[1]);
	if (pc->pid > 0)
		pc->fd = fd[0];
	else
		close(fd[0]);
}

bool pagecache_is_helper(const struct worker *w, pid_t tid)
{
	return w->pagecache->fd >= 0 && tid == w->pagecache->pid;
}

static struct pagecache_ask *ask_take(struct pagecache *pc, uint64_t cookie)
{
	struct pagecache_ask **link = &pc->asks, *ask;

	while ((ask = *link) && ask->cookie != cookie)
		link = &ask->next;
	if (ask)
		*link = ask->next;
	return ask;
}

static void pagecache_ready(void *arg)
{
	struct worker *w = arg;
	struct pagecache *pc = w->pagecache;
	struct helper_answer answer;
	ssize_t n;

	while (pc->fd >= 0 && (n = recv(pc->fd, &answer, sizeof(answer), MSG_DONTWAIT)) != -1) {
		struct pagecache_ask *ask = n == sizeof(answer) ? ask_take(pc, answer.cookie) : NULL;

		if (n != sizeof(answer))
			helper_lost(w);
		else if (ask)
			ask->done(w, ask, (int)answer.error);
	}
	if (pc->fd >= 0 && errno != EAGAIN && errno != EINTR)
		helper_lost(w);
}

/* Fills in a message about one file, named by its path. A negative errno: the file has no path. */
int pagecache_message(struct worker *w, unsigned nr, enum helper_what what, struct helper_msg *msg)
{
	const struct journal_inode *d = inode_disk(w->inodes, nr);
	char shown[RECORD_NAME_MAX + 1];
	size_t at = sizeof(msg->path) - 1;

	memset(msg, 0, offsetof(struct helper_msg, content));
	msg->what = what;
	msg->dev = w->journal->super->mount_dev;
	msg->ino = inode_ino(nr);
	msg->path[at] = 0;
	for (unsigned depth = 0; nr; depth++) {
		const char *name;
		size_t length;
		int parent;

		if (d->use != INODE_USED || depth == FOLDERS_MAX)
			return -ENOENT;
		name = inode_shown_name(w->inodes, nr, shown);
		length = strlen(name);
		if (length + 1 > at)
			return -ENAMETOOLONG;
		at -= length + (msg->path[at] != 0);
		memcpy(msg->path + at, name, length);
		if (msg->path[at + length])
			msg->path[at + length] = '/';
		parent = gvm_id_is_none(&d->rec.parent) ? 0 : inode_by_id(w->inodes, &d->rec.parent);
		if (parent < 0)
			return -ENOENT;
		nr = (unsigned)parent;
		d = inode_disk(w->inodes, nr);
	}
	memmove(msg->path, msg->path + at, sizeof(msg->path) - at);
	return 0;
}

int pagecache_send(struct worker *w, const struct helper_msg *msg, const int *fds, unsigned count)
{
	struct pagecache *pc = w->pagecache;
	int r;

	if (pc->fd < 0)
		return -EPIPE;
	if (!pc->cookie && (r = loop_add(w->loop, &pc->answers, pc->fd, pagecache_ready, w)) < 0)
		return r;
	pc->cookie++;
	return descriptors_send(pc->fd, msg, sizeof(*msg), fds, count);
}

/* Sends a message whose answer goes to `ask`. */
static int message_ask(struct worker *w, struct helper_msg *msg, struct pagecache_ask *ask,
		       uint64_t deadline_ns, const int *fds, unsigned count)
{
	struct pagecache *pc = w->pagecache;
	int r;

	msg->cookie = ask->cookie = pc->cookie + 1;
	r = pagecache_send(w, msg, fds, count);
	if (r < 0)
		return r;
	ask->deadline_ns = deadline_ns;
	ask->next = pc->asks;
	pc->asks = ask;
	return 0;
}

/* Whether write-back ends only when gvmfs has answered the WRITE: by the kernel's FUSE version at
 * the mount. */
static bool writes_are_waited_for(const struct worker *w)
{
	const struct fuse_in_header *h = (const struct fuse_in_header *)w->journal->super->init;
	const struct fuse_init_in *in = (const struct fuse_init_in *)(h + 1);

	return w->journal->super->init_bytes >= sizeof(*h) + 8 && in->minor >= MINOR_NO_COPY;
}

int pagecache_sync(struct worker *w, struct inode *inode, uint64_t off, uint64_t size,
		   struct pagecache_ask *ask)
{
	static struct helper_msg msg;
	int r = writes_are_waited_for(w) ? pagecache_message(w, inode->nr, HELPER_SYNC, &msg) : -EOPNOTSUPP;

	if (r < 0)
		return r;
	msg.count = 1;
	msg.range[0].off = off;
	msg.range[0].size = size;
	return message_ask(w, &msg, ask, gvm_now_ns() + SYNC_NS, NULL, 0);
}

bool pagecache_can_invalidate(const struct worker *w)
{
	return w->pagecache->fd >= 0;
}

int pagecache_invalidate(struct worker *w, struct inode *inode, const struct pagecache_range *ranges,
			 unsigned count, struct pagecache_ask *ask)
{
	static struct helper_msg msg = { .what = HELPER_INVALIDATE };

	msg.ino = inode_ino(inode->nr);
	msg.count = count;
	memcpy(msg.range, ranges, count * sizeof(*ranges));
	return message_ask(w, &msg, ask, ~0ull, &w->fuse_fd, 1);
}

/* Without a helper, a thread of the worker stores: the worker's end may have to wait for it. */
struct store_job {
	struct job job; /* first */
	struct worker *w;
	struct pagecache_ask *ask;
	fuse_ino_t ino;
	uint64_t off, size;
	uint8_t content[GVM_PAGE_BYTES];
};

static void store_work(struct job *job, struct pool *pool)
{
	struct store_job *s = (struct store_job *)job;

	(void)pool;
	job->result = helper_store(s->w->fuse_fd, s->ino, s->off, s->size, s->content);
}

static void store_done(struct job *job)
{
	struct store_job *s = (struct store_job *)job;

	s->ask->done(s->w, s->ask, job->result);
	free(s);
}

static int store_alone(struct worker *w, const struct inode *inode, uint64_t off, uint64_t size,
		       const uint8_t *content, struct pagecache_ask *ask)
{
	struct store_job *s = malloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->job.work = store_work;
	s->job.done = store_done;
	s->w = w;
	s->ask = ask;
	s->ino = inode_ino(inode->nr);
	s->off = off;
	s->size = size;
	memcpy(s->content, content, size);
	jobs_submit_blocking(w->jobs, &s->job);
	return 0;
}

int pagecache_store(struct worker *w, struct inode *inode, uint64_t off, uint64_t size,
		    const uint8_t *content, struct pagecache_ask *ask)
{
	static struct helper_msg msg;

	if (pagecache_message(w, inode->nr, HELPER_STORE, &msg) < 0)
		msg.path[0] = 0;
	msg.count = 1;
	msg.range[0].off = off;
	msg.range[0].size = size;
	memcpy(msg.content, content, size);
	if (message_ask(w, &msg, ask, gvm_now_ns() + STORE_NS, &w->fuse_fd, 1) == 0)
		return 0;
	return store_alone(w, inode, off, size, content, ask);
}

void pagecache_wait_on(struct worker *w, struct pagecache_ask *ask)
{
	ask->deadline_ns = ~0ull;
	ask->next = w->pagecache->asks;
	w->pagecache->asks = ask;
}

uint64_t pagecache_tick(struct worker *w, uint64_t now_ns)
{
	struct pagecache *pc = w->pagecache;
	uint64_t next = ~0ull;

	for (struct pagecache_ask *ask = pc->asks, *after; ask; ask = after) {
		after = ask->next;
		if (ask->deadline_ns > now_ns) { /* ~0: no deadline */
			next = ask->deadline_ns < next ? ask->deadline_ns : next;
			continue;
		}
		ask_take(pc, ask->cookie);
		ask->done(w, ask, -ETIMEDOUT);
		after = pc->asks; /* done() may have asked again */
		next = ~0ull;
	}
	return next;
}
