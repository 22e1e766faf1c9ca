// SPDX-License-Identifier: GPL-2.0-or-later
/* handshake.c - see handshake.h. */
#include "handshake.h"

#include "base/descriptors.h"
#include "base/log.h"
#include "gvm_attach.h"
#include "resident.h"
#include "session_resume.h"
#include "sessions.h"
#include "state/closes.h"
#include "state/keeper.h"
#include "state/post.h"
#include "state/release.h"
#include "state/worker_state.h"
#include "store/pagecache.h"
#include "visit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HANDSHAKE_NS  60000000000ull /* a conversation that takes longer is ended */
#define PAUSE_NS   1000000000ull
#define ANNOUNCED  16u /* clients that are taken in one call of the loop */
#define NO_SESSION JOURNAL_SESSIONS

enum handshake_stage {
	HANDSHAKE_QUEUED,	  /* waits for the inode */
	HANDSHAKE_PREPARING, /* has it, while the visitor's process flushes the file */
	HANDSHAKE_WELCOMED,  /* waits for the client to be ready */
	HANDSHAKE_KEEPING,	  /* the supervisor was asked to keep the descriptors */
	ATTACH_OVER,
};

struct handshake {
	struct task task; /* first: waits for the inode */
	LIST_ENTRY(handshake) in;
	struct worker *w;
	enum handshake_stage stage;
	bool closed; /* the client has left while it waited for a close or for the supervisor */
	bool marked; /* the inode is marked as in_handshake */
	bool kept;   /* the supervisor has the descriptors too */
	struct inode *inode;
	struct close_wait closing;
	uint32_t fills_seen; /* inode->fills_seen when its page cache was about to be emptied */
	uint64_t deadline_ns;
	struct loop_source source; /* the channel */
	int fd[SESSION_FDS]; /* the channel from the start; the client's descriptors from READY on */
	unsigned session;
	uint64_t bytes, offset;
	uint32_t uid;
	int pid;
	bool settles;
};

static const char *name_of(const struct handshake *h)
{
	return h->inode ? h->inode->disk->rec.name : NULL;
}

static int channel_send(const struct handshake *h, struct visit_msg *msg, const int *fds, unsigned count)
{
	return post_send(h->fd[SESSION_CHANNEL], msg, sizeof(*msg), fds, count);
}

/* Ends a conversation and closes its descriptors; frees `h`, unless it still waits for a close (closes.h) or
 * the supervisor. Requests that waited for it go on, unless the region is on the fast path now. */
static void handshake_end(struct handshake *h)
{
	struct worker *w = h->w;
	struct inode *inode = h->inode;
	bool marked = h->marked, has_inode = h->stage == HANDSHAKE_PREPARING;

	if ((h->stage == HANDSHAKE_QUEUED && !inode_forgo(inode, &h->task)) || h->stage == HANDSHAKE_KEEPING) {
		h->closed = true; /* it ends when hello_run() runs again, or the supervisor has answered */
		return;
	}
	LIST_REMOVE(h, in);
	w->handshakes->count--;
	if (h->session != NO_SESSION)
		session_give(w, h->session);
	loop_remove(w->loop, &h->source);
	session_release(h->fd, h->kept);
	free(h);
	if (marked) {
		inode->in_handshake = false;
		if (!inode->resident)
			w->residents->on_close(w, inode);
	}
	if (has_inode)
		inode_release(w->inodes, inode);
}

static void handshake_refuse(struct handshake *h, int error, const char *why)
{
	struct gvm_attach_msg to_client = gvm_attach_message(GVM_ATTACH_REFUSE);
	struct visit_msg msg = { .what = VISIT_REFUSE, .error = error };

	to_client.error = error;
	gvm_attach_explain(&to_client, why);
	memcpy(msg.text, to_client.text, sizeof(msg.text));
	if (h->fd[SESSION_SOCKET] >= 0)
		handshake_send(h->fd[SESSION_SOCKET], &to_client);
	else
		channel_send(h, &msg, NULL, 0);
	log_info(name_of(h), "process %d is refused the fast path: %s", h->pid, why);
	handshake_end(h);
}

static int memory_make(const char *name, uint64_t bytes)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	return fd;
}

static int memories_make(struct handshake *h)
{
	static const struct {
		enum session_fd which;
		const char *name;
		uint64_t chunk_bytes;
	} kinds[] = {
		{ SESSION_MEMORY, "gvmfs-memory", GVM_CHUNK_BYTES },
		{ SESSION_MARKS, "gvmfs-marks", sizeof(struct resident_mark) },
		{ SESSION_PINS, "gvmfs-pins", sizeof(uint32_t) },
	};
	uint64_t chunks = record_chunks(h->bytes);

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		int fd = memory_make(kinds[i].name, chunks * kinds[i].chunk_bytes);

		if (fd < 0)
			return fd;
		h->fd[kinds[i].which] = fd;
	}
	return 0;
}

static void welcome_send(struct handshake *h)
{
	struct visit_msg msg = { .what = VISIT_WELCOME, .bytes = h->bytes };
	int fds[] = { h->fd[SESSION_MEMORY], h->fd[SESSION_PINS] };

	if (channel_send(h, &msg, fds, 2) < 0)
		handshake_end(h);
}

/* The visitor's process has closed the file: from here on only `marked` keeps the inode. */
static void prepared(struct handshake *h, int error)
{
	struct worker *w = h->w;
	struct inode *inode = h->inode;
	int session;

	h->stage = HANDSHAKE_WELCOMED;
	if (error) {
		handshake_refuse(h, error, error == -EBUSY ? "another program has it mapped"
							: "its cached pages cannot be written back");
	} else if ((session = session_take(w, h->uid)) < 0) {
		handshake_refuse(h, -EMFILE, "too many regions are on the fast path");
	} else if ((h->session = (unsigned)session, error = memories_make(h)) < 0) {
		handshake_refuse(h, error, "its memory cannot be allocated");
	} else {
		welcome_send(h);
	}
	inode_release(w->inodes, inode);
}

static bool is_open_elsewhere(const struct inode *inode)
{
	return inode->opens_cached != 1 || inode->opens_write != 1;
}

static const char *why_not(const struct inode *inode)
{
	const struct journal_inode *d = inode->disk;

	if (inode->resident || inode->in_handshake)
		return "it is on the fast path already, or about to be";
	if (!d->epoch || d->failed || d->rec.kind != RECORD_REGION)
		return "it is not attached for writing";
	if (is_open_elsewhere(inode))
		return "another program has it open";
	if (d->rec.size_bytes % GVM_PAGE_BYTES)
		return "its size is not a multiple of the page size";
	return NULL;
}

/* The task has the inode. */
static void hello_run(struct task *task)
{
	struct handshake *h = (struct handshake *)task;
	struct visit_msg msg = { .what = VISIT_PREPARE };
	const char *why = why_not(h->inode);

	if (!h->closed && is_open_elsewhere(h->inode) && close_wait(h->w, &h->closing, h->inode, task))
		return;
	h->stage = HANDSHAKE_PREPARING;
	if (!why && (h->offset || h->bytes != h->inode->disk->rec.size_bytes))
		why = "the mapping is not of the whole region";
	if (h->closed) {
		handshake_end(h);
	} else if (why) {
		handshake_refuse(h, -EBUSY, why);
	} else {
		h->marked = h->inode->in_handshake = true;
		h->fills_seen = h->inode->fills_seen;
		if (channel_send(h, &msg, NULL, 0) < 0)
			handshake_end(h);
	}
}

static void ready(struct handshake *h, const struct visit_msg *msg, const int fds[2])
{
	struct worker *w = h->w;
	struct journal_session *s = &w->journal->sessions[h->session];

	h->fd[SESSION_UFFD] = fds[0];
	h->fd[SESSION_SOCKET] = fds[1];
	if (msg->offset || msg->bytes != h->bytes || msg->page_bytes != GVM_PAGE_BYTES ||
	    msg->address % GVM_PAGE_BYTES ||
	    fcntl(fds[0], F_SETFL, fcntl(fds[0], F_GETFL) | O_NONBLOCK) < 0) {
		handshake_refuse(h, -EINVAL, "the mapping is not of the whole region in pages of 4 KiB");
		return;
	}
	s->inode = h->inode->nr;
	s->pid = h->pid;
	s->pinned = 0;
	s->settles = h->settles;
	s->settled = 0;
	s->live = 0;
	s->pages = (struct session_pages){ 0 };
	s->calls = s->held_count = 0;
	s->address = msg->address;
	s->bytes = msg->bytes;
	h->stage = HANDSHAKE_KEEPING;
	if (keeper_keep(w->keeper_fd, h->session, h->fd) < 0) {
		h->stage = ATTACH_OVER;
		handshake_refuse(h, -EIO, "the supervisor cannot keep its descriptors");
	}
}

static void handshake_ready(void *arg)
{
	struct handshake *h = arg;
	struct visit_msg msg;
	int fds[DESCRIPTORS_MAX];
	unsigned count;
	int error = descriptors_receive(h->fd[SESSION_CHANNEL], &msg, sizeof(msg), fds, &count);

	if (error == -EAGAIN)
		return;
	if (!error && h->stage == HANDSHAKE_PREPARING && msg.what == VISIT_PREPARED) {
		prepared(h, msg.error);
		return;
	}
	if (!error && h->stage == HANDSHAKE_WELCOMED && msg.what == VISIT_READY && count == 2) {
		ready(h, &msg, fds);
		return;
	}
	if (!error && h->stage == HANDSHAKE_WELCOMED && msg.what == VISIT_READY && msg.error < 0) {
		handshake_refuse(h, msg.error, msg.error == -EBUSY ?
			      "its memory has pages already" :
			      "its userfaultfd reports more than faults, or is none");
		return;
	}
	/* The client has left, or the visitor's process was killed: the channel is not read any
	 * more. */
	loop_remove(h->w->loop, &h->source);
	handshake_end(h);
}

/* Why the region may not go on the fast path after all; NULL: it may. (No process has detached it
 * or opened it for writing since its cached pages were written back. But the region can have
 * failed, and the client can have used its own open file.) */
static const char *why_not_now(const struct handshake *h)
{
	const struct inode *inode = h->inode;
	const struct journal_inode *d = inode->disk;

	if (!d->epoch || d->failed)
		return "it is not attached for writing any more";
	/* A WRITE that waits for the rest of a page counts: it would get a wbuf beside the fast
	 * path. */
	if (inode->wbufs || !TAILQ_EMPTY(&inode->writes))
		return "it has been written to as a file meanwhile";
	/* Pages that came into the page cache since, or are about to, would go stale there. */
	if (inode->fills || inode->fills_seen != h->fills_seen)
		return "another program has it mapped, or reads it by sendfile or splice";
	return NULL;
}

struct emptying {
	struct pagecache_ask ask; /* first */
	struct inode *inode;
};

static void page_cache_empty(struct worker *w, struct inode *inode);

static void page_cache_emptied(struct worker *w, struct pagecache_ask *ask, int error)
{
	struct inode *inode = ((struct emptying *)ask)->inode;
	bool again = inode->empty_again;

	(void)error;
	free(ask);
	inode->emptying = inode->empty_again = false;
	if (again)
		page_cache_empty(w, inode);
	else
		inode_reap(w->inodes, inode->nr);
}

/*
 * A READ that was answered just before the page cache was checked may have put pages into it
 * afterwards. They are invalidated in the background. One call at a time: clients may come and go
 * while the helper is held up.
 */
static void page_cache_empty(struct worker *w, struct inode *inode)
{
	static const struct pagecache_range all = { 0, 0 };
	struct emptying *e;

	if (inode->emptying) {
		inode->empty_again = true;
		return;
	}
	e = calloc(1, sizeof(*e));
	if (!e)
		return;
	e->ask.done = page_cache_emptied;
	e->inode = inode;
	inode->emptying = true;
	if (pagecache_invalidate(w, inode, &all, 1, &e->ask) < 0) {
		inode->emptying = false;
		free(e);
	}
}

/* The supervisor has the descriptors: the region is served from here on. */
static void kept(struct worker *w, unsigned session)
{
	struct handshake *h = LIST_FIRST(&w->handshakes->list);
	const char *why;
	int error;

	while (h && (h->stage != HANDSHAKE_KEEPING || h->session != session))
		h = LIST_NEXT(h, in);
	if (!h)
		return; /* a predecessor's, which handshakes_init() has found */
	h->stage = ATTACH_OVER;
	h->kept = true;
	if (h->closed) { /* the visitor's process has ended meanwhile */
		handshake_end(h);
		keeper_drop(w->keeper_fd, w->journal, session);
		return;
	}
	loop_remove(w->loop, &h->source);
	why = why_not_now(h);
	error = why ? -EBUSY : resident_open(w, session, h->fd);
	if (error) {
		if (!why)
			why = error == -ENOMEM ? "no memory for its bookkeeping"
					       : "gvmfs cannot set up its own userfaultfd";
		handshake_refuse(h, error, why);
		keeper_drop(w->keeper_fd, w->journal, session);
		return;
	}
	page_cache_empty(w, h->inode);
	log_info(name_of(h), "process %d maps it through the fast path", h->pid);
	journal_publish32(&w->journal->sessions[session].live, 1);
	resident_go(h->inode->resident);
	for (unsigned i = 0; i < SESSION_FDS; i++)
		h->fd[i] = -1;
	h->session = NO_SESSION;
	handshake_end(h);
}

static void bell_ready(void *arg);

static int bell_watch(struct worker *w)
{
	return loop_add(w->loop, &w->handshakes->bell, w->handshakes->bell_fd, bell_ready, w);
}

/* A client has shown its file; `channel`: to its visitor's process. */
static void announced(struct worker *w, const struct visit_msg *msg, int channel)
{
	struct inode *inode = inode_by_ino(w->inodes, msg->ino);
	struct handshake *h = w->handshakes->count < HANDSHAKES_MAX && inode ? calloc(1, sizeof(*h)) : NULL;

	if (!h || loop_add(w->loop, &h->source, channel, handshake_ready, h) < 0) {
		free(h);
		release_aside(channel);
		return;
	}
	LIST_INSERT_HEAD(&w->handshakes->list, h, in);
	w->handshakes->count++;
	h->w = w;
	h->inode = inode;
	h->pid = msg->pid;
	h->uid = msg->uid;
	h->settles = msg->settles;
	h->bytes = msg->bytes;
	h->offset = msg->offset;
	h->session = NO_SESSION;
	h->deadline_ns = gvm_now_ns() + HANDSHAKE_NS;
	for (unsigned k = 0; k < SESSION_FDS; k++)
		h->fd[k] = -1;
	h->fd[SESSION_CHANNEL] = channel;
	h->task.run = hello_run;
	/* The visitor's process has the file open while the task waits, or the task leaves the inode's queue. */
	inode_acquire(inode, &h->task);
}

static void bell_ready(void *arg)
{
	struct worker *w = arg;
	struct visit_msg msg;
	int fds[DESCRIPTORS_MAX];
	unsigned count;

	for (unsigned i = 0; i < ANNOUNCED; i++) {
		int r = descriptors_receive(w->handshakes->bell_fd, &msg, sizeof(msg), fds, &count);

		if (!r && msg.what == VISIT_HELLO && count == 1) {
			announced(w, &msg, fds[0]);
		} else if (r == -EAGAIN) {
			return;
		} else if (r == -EPIPE) { /* the supervisor, the door and all visitors are gone */
			loop_remove(w->loop, &w->handshakes->bell);
			return;
		} else { /* out of descriptors */
			loop_remove(w->loop, &w->handshakes->bell);
			w->handshakes->bell_at_ns = gvm_now_ns() + PAUSE_NS;
			return;
		}
	}
}

/* The supervisor has answered. */
static void keeper_ready(void *arg)
{
	struct worker *w = arg;
	int session;

	while ((session = keeper_kept(w->keeper_fd)) >= 0)
		kept(w, (unsigned)session);
	/* The supervisor was killed, and keeps nothing any more. Its socket would stay readable. */
	if (session == KEEPER_GONE) {
		loop_remove(w->loop, &w->handshakes->keeper);
		w->sessions->alone = true;
	}
}

uint64_t handshakes_tick(struct worker *w, uint64_t now_ns)
{
	uint64_t next = sessions_tick(w, now_ns);

	if (w->handshakes->bell_at_ns && w->handshakes->bell_at_ns <= now_ns) {
		w->handshakes->bell_at_ns = bell_watch(w) < 0 ? now_ns + PAUSE_NS : 0;
	} else if (w->handshakes->bell_at_ns && w->handshakes->bell_at_ns < next) {
		next = w->handshakes->bell_at_ns;
	}

	for (struct handshake *h = LIST_FIRST(&w->handshakes->list), *after; h; h = after) {
		after = LIST_NEXT(h, in);
		if (h->closed)
			continue;
		if (h->deadline_ns <= now_ns) {
			log_warning(name_of(h), "process %d is refused the fast path: no answer in time",
				    h->pid);
			loop_remove(w->loop, &h->source);
			handshake_end(h);
			next = now_ns; /* requests that waited for it go on */
			after = LIST_FIRST(&w->handshakes->list); /* so do other conversations, which may end */
		} else if (h->deadline_ns < next) {
			next = h->deadline_ns;
		}
	}
	return next;
}

void handshakes_stop(struct worker *w, const char *why)
{
	w->handshakes->bell_at_ns = 0;
	loop_remove(w->loop, &w->handshakes->bell);
	for (struct handshake *h = LIST_FIRST(&w->handshakes->list), *after; h; h = after) {
		after = LIST_NEXT(h, in);
		if (h->closed)
			continue;
		handshake_refuse(h, -ENODEV, why);
		after = LIST_FIRST(&w->handshakes->list); /* others may have ended, too */
	}
}

int handshakes_init(struct worker *w, int bell_fd)
{
	int r;

	w->handshakes->bell_fd = bell_fd;
	while (keeper_kept(w->keeper_fd) >= 0)
		; /* answers to a predecessor: the journal says the same */
	r = loop_add(w->loop, &w->handshakes->keeper, w->keeper_fd, keeper_ready, w);
	if (!r)
		r = sessions_resume(w);
	return r || bell_fd < 0 ? r : bell_watch(w);
}

/* Does not read /proc: a reader there may become the one that frees an ending process's memory, and
 * so closes what a client has mapped. */
static bool thread_is_of(int tid, int pid)
{
	/* EPERM: it is, and we may not signal it. */
	return pid > 0 && tid > 0 && (syscall(SYS_tgkill, pid, tid, 0) == 0 || errno == EPERM);
}

int handshake_allows_open(const struct inode *inode, bool write, int tid)
{
	if (!write || (!inode->resident && !inode->in_handshake))
		return 0;
	if (!inode->resident)
		return -EBUSY;
	if (resident_has_left(inode->resident))
		return -EAGAIN;
	return thread_is_of(tid, inode->resident->pid) ? 0 : -EBUSY;
}
