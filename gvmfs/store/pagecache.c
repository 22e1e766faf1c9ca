// SPDX-License-Identifier: GPL-2.0-or-later
/* pagecache.c - see pagecache.h: the worker's end of the calls to the helper. */
#include "pagecache.h"

#include "base/bdi.h"
#include "base/log.h"
#include "node/jobs.h"
#include "node/pool.h"
#include "pagecache_helper.h"
#include "readahead.h"
#include "state/post.h"
#include "state/release.h"
#include "state/worker_state.h"

#include <assert.h>
#include <errno.h>
#include <fuse3/fuse_lowlevel.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SYNC_NS	      2000000000ull
#define STORE_NS      2000000000ull
#define AROUND_NS     2000000000ull
#define LOOK_NS	      2000000000ull
#define AGAIN_NS      10000000ull /* the next try to send to a helper that had no room */
#define FOLDERS_MAX   64
/* From this FUSE minor version on (Linux 6.16) a page stays under write-back until the WRITE is
 * answered; before, only until the kernel had copied it. */
#define MINOR_NO_COPY 44u

/* A message to the helper that is answered. */
struct pagecache_call {
	TAILQ_ENTRY(pagecache_call) in;
	struct pagecache_ask *ask; /* NULL: its caller has stopped waiting */
	unsigned nr;		   /* the inode's */
	bool sent;		   /* it is in pc->running */
	struct pagecache_nodes nodes; /* which they are, since the call was made */
	bool with_connection;	   /* the descriptor of the connection to the kernel goes along */
	struct helper_msg msg;
};

/* One more runs, or (-1) one less. */
static void call_count(struct pagecache *pc, const struct pagecache_call *call, int one)
{
	pc->calls += (unsigned)one;
	pc->file_calls[call->nr] = (uint8_t)(pc->file_calls[call->nr] + one);
	for (unsigned i = 0; i < call->nodes.count; i++)
		pc->node_calls[call->nodes.entry[i]] = (uint16_t)(pc->node_calls[call->nodes.entry[i]] + one);
}

static void call_end(struct pagecache *pc, struct pagecache_call *call)
{
	if (call->sent) {
		assert(pc->calls && pc->file_calls[call->nr]);
		call_count(pc, call, -1);
	} else {
		assert(pc->file_waiting[call->nr]);
		pc->file_waiting[call->nr]--;
	}
	TAILQ_REMOVE(call->sent ? &pc->running : &pc->waiting, call, in);
	free(call);
}

static void calls_fail(struct worker *w, struct pagecache_calls *calls)
{
	struct pagecache_call *call;

	while ((call = TAILQ_FIRST(calls))) {
		struct pagecache_ask *ask = call->ask;

		call_end(w->pagecache, call);
		if (ask)
			ask->done(w, ask, -EPIPE);
	}
}

static void helper_lost(struct worker *w)
{
	struct pagecache *pc = w->pagecache;

	if (pc->fd < 0)
		return;
	loop_remove(w->loop, &pc->answers);
	release_aside(pc->fd);
	pc->fd = -1;
	pc->noted = 0;
	log_warning(NULL, "the page cache's helper process is gone: pages of a guest's memory that other programs "
			  "read stay in the page cache, and copies of its file are not sparse");
	calls_fail(w, &pc->running);
	calls_fail(w, &pc->waiting);
}

/* The nodes that a call for the file may wait for. */
static void file_nodes(const struct worker *w, unsigned nr, struct pagecache_nodes *nodes)
{
	const struct record *rec = &inode_disk(w->inodes, nr)->rec;

	nodes->cut_off = false;
	nodes->count = 0;
	for (unsigned i = 0; i < rec->node_count; i++) {
		int entry = pool_index(w->pool, &rec->nodes[i]);

		nodes->cut_off |= entry < 0;
		if (entry >= 0)
			nodes->entry[nodes->count++] = (uint16_t)entry;
	}
}

static void nodes_look(const struct worker *w, struct pagecache_nodes *nodes)
{
	nodes->quiet = nodes->cut_off;
	for (unsigned i = 0; i < nodes->count && !nodes->quiet; i++)
		nodes->quiet = pool_entry_is_quiet(w->pool, nodes->entry[i]) ||
			       pool_entry_is_away(w->pool, nodes->entry[i]);
}

static void live_count(struct pagecache *pc, const struct pagecache_nodes *nodes)
{
	for (unsigned i = 0; i < nodes->count && !nodes->quiet; i++)
		pc->node_live[nodes->entry[i]]++;
}

/* Looks which of the calls that run wait for a node that does not answer: where they are many. */
static void running_look(struct worker *w)
{
	struct pagecache *pc = w->pagecache;
	struct pagecache_call *call;

	if (!pagecache_is_crowded(pc))
		return;
	memset(pc->node_live, 0, sizeof(pc->node_live));
	pc->node_reserve = PAGECACHE_RESERVE_CALLS / (w->pool->count ? w->pool->count : 1);
	TAILQ_FOREACH(call, &pc->running, in) {
		nodes_look(w, &call->nodes);
		live_count(pc, &call->nodes);
	}
}

static int call_send(struct worker *w, struct pagecache_call *call)
{
	struct pagecache *pc = w->pagecache;
	int r = pagecache_send(w, &call->msg, &w->fuse_fd, call->with_connection);

	if (r < 0)
		return r;
	TAILQ_REMOVE(&pc->waiting, call, in);
	pc->file_waiting[call->nr]--;
	TAILQ_INSERT_TAIL(&pc->running, call, in);
	call->sent = true;
	call_count(pc, call, 1);
	live_count(pc, &call->nodes); /* until the next look */
	return 0;
}

/* Sends the waiting calls that may run now, in their order. */
static void calls_go_on(struct worker *w)
{
	struct pagecache *pc = w->pagecache;
	struct pagecache_call *call, *next;

	pc->full = false;
	if (!TAILQ_EMPTY(&pc->waiting))
		running_look(w);
	for (call = TAILQ_FIRST(&pc->waiting); call && !pc->full; call = next) {
		next = TAILQ_NEXT(call, in);
		nodes_look(w, &call->nodes);
		pc->full = pagecache_has_room(pc, call->nr, &call->nodes) && call_send(w, call) < 0;
	}
}

static void call_answered(struct worker *w, const struct helper_answer *answer)
{
	struct pagecache *pc = w->pagecache;
	struct pagecache_call *call;
	struct pagecache_ask *ask;

	TAILQ_FOREACH(call, &pc->running, in)
		if (call->msg.cookie == answer->cookie)
			break;
	if (!call)
		return;
	ask = call->ask;
	call_end(pc, call);
	calls_go_on(w);
	if (ask)
		ask->done(w, ask, (int)answer->error);
}

static void pagecache_ready(void *arg)
{
	struct worker *w = arg;
	struct pagecache *pc = w->pagecache;
	struct helper_answer answer;
	ssize_t n;

	while (pc->fd >= 0 && (n = recv(pc->fd, &answer, sizeof(answer), MSG_DONTWAIT)) != -1) {
		if (n == sizeof(answer))
			call_answered(w, &answer);
		else
			helper_lost(w);
	}
	if (pc->fd >= 0 && errno != EAGAIN && errno != EINTR)
		helper_lost(w);
}

int pagecache_send(struct worker *w, const struct helper_msg *msg, const int *fds, unsigned count)
{
	struct pagecache *pc = w->pagecache;
	int r;

	if (pc->fd < 0)
		return -EPIPE;
	if (!pc->listening && (r = loop_add(w->loop, &pc->answers, pc->fd, pagecache_ready, w)) < 0)
		return r;
	pc->listening = true;
	return post_send(pc->fd, msg, sizeof(*msg), fds, count);
}

/* Sends a message whose answer goes to `ask`; it waits if the file or the helper has too many
 * calls. */
static int message_ask(struct worker *w, unsigned nr, const struct helper_msg *msg, struct pagecache_ask *ask,
		       uint64_t deadline_ns, bool with_connection)
{
	struct pagecache *pc = w->pagecache;
	struct pagecache_call *call;
	int r = 0;

	if (pc->fd < 0)
		return -EPIPE;
	call = malloc(sizeof(*call));
	if (!call)
		return -ENOMEM;
	call->ask = ask;
	call->nr = nr;
	call->sent = false;
	file_nodes(w, nr, &call->nodes);
	nodes_look(w, &call->nodes);
	running_look(w);
	call->with_connection = with_connection;
	call->msg = *msg;
	call->msg.cookie = ++pc->cookie;
	ask->call = call;
	ask->deadline_ns = deadline_ns;
	TAILQ_INSERT_TAIL(&pc->waiting, call, in);
	pc->file_waiting[nr]++;
	if (pagecache_has_room(pc, nr, &call->nodes))
		r = call_send(w, call);
	pc->full |= r == -EAGAIN;
	if (!r || r == -EAGAIN)
		return 0;
	call_end(pc, call);
	return r;
}

void pagecache_start(struct worker *w)
{
	struct pagecache *pc = w->pagecache;
	pid_t parent = getpid();
	int fd[2];

	pc->fd = -1;
	TAILQ_INIT(&pc->running);
	TAILQ_INIT(&pc->waiting);
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
	return message_ask(w, inode->nr, &msg, ask, gvm_now_ns() + SYNC_NS, false);
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
	return message_ask(w, inode->nr, &msg, ask, ~0ull, true);
}

static void around_done(struct worker *w, struct pagecache_ask *ask, int error)
{
	(void)w;
	if (error)
		log_debug(NULL, "cannot change a process's read-ahead: %s", strerror(-error));
	free(ask);
}

void pagecache_around_init(struct worker *w)
{
	bdi_set(w->journal->super->mount_dev, "read_ahead_kb", PAGECACHE_AROUND_KB);
}

void pagecache_around(struct worker *w, struct inode *inode, pid_t tid)
{
	static struct helper_msg msg = { .what = HELPER_AROUND };
	struct pagecache *pc = w->pagecache;
	enum readahead_around around;
	struct pagecache_ask *ask;
	int whose;

	if (!inode->readahead || tid <= 0) /* 0: the process is not in the mount's PID namespace */
		return;
	around = readahead_around(inode->readahead, tid, &whose);
	/* One call at a time: a second one could overtake the first. */
	if (around == READAHEAD_STAYS || pc->fd < 0 || pc->file_calls[inode->nr] || pc->file_waiting[inode->nr])
		return;
	ask = calloc(1, sizeof(*ask));
	if (!ask)
		return;
	ask->done = around_done;
	msg.dev = w->journal->super->mount_dev;
	msg.ino = inode_ino(inode->nr);
	msg.tid = whose;
	msg.wide = around == READAHEAD_WIDENS;
	if (message_ask(w, inode->nr, &msg, ask, gvm_now_ns() + AROUND_NS, false) < 0)
		free(ask);
	/* Even if it failed, so that it is not tried again with each READ. */
	readahead_set_around(inode->readahead, around, whose);
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
	if (message_ask(w, inode->nr, &msg, ask, gvm_now_ns() + STORE_NS, true) == 0)
		return 0;
	return store_alone(w, inode, off, size, content, ask);
}

int pagecache_look(struct worker *w, const int32_t *tids, unsigned count, struct pagecache_ask *ask)
{
	static struct helper_msg msg = { .what = HELPER_LOOK };

	assert(count <= PAGECACHE_LOOKS_MAX);
	msg.count = count;
	memcpy(msg.tids, tids, count * sizeof(*tids));
	return message_ask(w, 0, &msg, ask, gvm_now_ns() + LOOK_NS, false);
}

void pagecache_wait_on(struct worker *w, struct pagecache_ask *ask)
{
	(void)w;
	assert(!ask->call->ask);
	ask->call->ask = ask;
	ask->deadline_ns = ~0ull;
}

/* A call whose deadline has passed; if there is none, *next becomes the first deadline, if that is
 * earlier. */
static struct pagecache_call *call_overdue(const struct pagecache_calls *calls, uint64_t now_ns, uint64_t *next)
{
	struct pagecache_call *call;

	TAILQ_FOREACH(call, calls, in) {
		if (call->ask && call->ask->deadline_ns <= now_ns)
			return call;
		if (call->ask && call->ask->deadline_ns < *next)
			*next = call->ask->deadline_ns;
	}
	return NULL;
}

/* Ends the caller's wait. A call that was sent stays in `running` until the helper has answered. */
static void call_time_out(struct worker *w, struct pagecache_call *call)
{
	struct pagecache_ask *ask = call->ask;

	call->ask = NULL;
	ask->done(w, ask, -ETIMEDOUT); /* may call pagecache_wait_on(), or begin another call */
	if (!call->ask && !call->sent)
		call_end(w->pagecache, call);
}

uint64_t pagecache_tick(struct worker *w, uint64_t now_ns)
{
	struct pagecache *pc = w->pagecache;
	struct pagecache_call *call;
	uint64_t next = ~0ull;

	if (pc->fd < 0)
		return next;
	while ((call = call_overdue(&pc->running, now_ns, &next)) ||
	       (call = call_overdue(&pc->waiting, now_ns, &next))) {
		call_time_out(w, call);
		next = now_ns; /* its caller went on, and may have made other things due */
	}
	if (pc->full)
		calls_go_on(w);
	return pc->full && now_ns + AGAIN_NS < next ? now_ns + AGAIN_NS : next;
}
