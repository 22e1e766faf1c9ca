// SPDX-License-Identifier: GPL-2.0-or-later
/* attach.c - see attach.h. */
#include "attach.h"

#include "base/descriptors.h"
#include "base/log.h"
#include "gvm_attach.h"
#include "resident.h"
#include "sessions.h"
#include "state/keeper.h"
#include "state/lookout.h"
#include "state/worker.h"
#include "store/pagecache.h"
#include "visit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ATTACH_NS  60000000000ull /* a conversation that takes longer is ended */
#define PAUSE_NS   1000000000ull
#define ANNOUNCED  16u /* clients that are taken before others have their turn */
#define NO_SESSION JOURNAL_SESSIONS
#define HELD_NS	   500000000ull /* twice that after two times, and so on */
#define HELD_LOOK_NS 20000000ull

enum attach_stage {
	ATTACH_QUEUED,	  /* waits for the inode */
	ATTACH_PREPARING, /* has it, while the visitor's process flushes the file */
	ATTACH_WELCOMED,  /* waits for the client to be ready */
	ATTACH_KEEPING,	  /* the supervisor is told */
	ATTACH_OVER,
};

struct attach {
	struct task task; /* first: waits for the inode */
	struct worker *w;
	enum attach_stage stage;
	bool closed; /* the client has left during QUEUED or KEEPING */
	bool marked; /* the inode as `attaching` */
	bool kept;   /* the supervisor has the descriptors, too */
	struct inode *inode;
	uint32_t fills_seen; /* of the inode's, when its page cache was about to be emptied */
	uint64_t deadline_ns;
	struct loop_source source; /* the channel */
	int fd[SESSION_FDS]; /* the channel from the start; the client's own when it is ready */
	unsigned session;
	uint64_t bytes, offset;
	uint32_t uid;
	int pid;
};

static const char *name_of(const struct attach *a)
{
	return a->inode ? a->inode->disk->rec.name : NULL;
}

static int channel_send(const struct attach *a, struct visit_msg *msg, const int *fds, unsigned count)
{
	return descriptors_send(a->fd[SESSION_CHANNEL], msg, sizeof(*msg), fds, count);
}

/* Ends a conversation; what it had opened is closed. What had to wait for it goes on, unless the
 * region is on the fast path now. */
static void attach_end(struct attach *a)
{
	struct worker *w = a->w;
	struct inode *inode = a->inode;
	bool marked = a->marked, has_inode = a->stage == ATTACH_PREPARING;

	if (a->stage == ATTACH_QUEUED || a->stage == ATTACH_KEEPING) {
		a->closed = true; /* when it has the inode, or the supervisor has told */
		return;
	}
	for (unsigned i = 0; i < ATTACHES_MAX; i++)
		if (w->attaches->list[i] == a)
			w->attaches->list[i] = NULL;
	if (a->session != NO_SESSION)
		session_give(w, a->session);
	loop_remove(w->loop, &a->source);
	session_release(a->fd, a->kept);
	free(a);
	if (marked) {
		inode->attaching = false;
		if (!inode->resident)
			w->residents->on_close(w, inode);
	}
	if (has_inode)
		inode_release(w->inodes, inode);
}

static void attach_refuse(struct attach *a, int error, const char *why)
{
	struct gvm_attach_msg to_client = gvm_attach_message(GVM_ATTACH_REFUSE);
	struct visit_msg msg = { .what = VISIT_REFUSE, .error = error };

	to_client.error = error;
	gvm_attach_explain(&to_client, why);
	memcpy(msg.text, to_client.text, sizeof(msg.text));
	if (a->fd[SESSION_SOCKET] >= 0)
		attach_send(a->fd[SESSION_SOCKET], &to_client);
	else
		channel_send(a, &msg, NULL, 0);
	log_info(name_of(a), "process %d maps it as a file: %s", a->pid, why);
	attach_end(a);
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

static int memories_make(struct attach *a)
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
	uint64_t chunks = record_chunks(a->bytes);

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		int fd = memory_make(kinds[i].name, chunks * kinds[i].chunk_bytes);

		if (fd < 0)
			return fd;
		a->fd[kinds[i].which] = fd;
	}
	return 0;
}

static void welcome_send(struct attach *a)
{
	struct visit_msg msg = { .what = VISIT_WELCOME, .bytes = a->bytes };
	int fds[] = { a->fd[SESSION_MEMORY], a->fd[SESSION_PINS] };

	if (channel_send(a, &msg, fds, 2) < 0)
		attach_end(a);
}

/* The visitor's process has closed the file, so nothing keeps the inode but the mark. */
static void prepared(struct attach *a, int error)
{
	struct worker *w = a->w;
	struct inode *inode = a->inode;
	int session;

	a->stage = ATTACH_WELCOMED;
	if (error) {
		attach_refuse(a, error, error == -EBUSY ? "another program has it mapped"
							: "its cached pages cannot be written back");
	} else if ((session = session_take(w, a->uid)) < 0) {
		attach_refuse(a, -EMFILE, "too many regions use the fast path here");
	} else if ((a->session = (unsigned)session, error = memories_make(a)) < 0) {
		attach_refuse(a, error, "no memory can be made for it");
	} else {
		welcome_send(a);
	}
	inode_release(w->inodes, inode);
}

static const char *why_not(const struct inode *inode)
{
	const struct journal_inode *d = inode->disk;

	if (inode->resident || inode->attaching)
		return "it is mapped through the fast path already";
	if (!d->epoch || d->failed || d->rec.kind != RECORD_REGION)
		return "it is not attached for writing";
	if (inode->opens_cached != 1 || inode->opens_write != 1)
		return "another program has it open";
	if (d->rec.size_bytes % GVM_PAGE_BYTES)
		return "its size is not a number of pages";
	return NULL;
}

/* Has the inode. */
static void hello_run(struct task *task)
{
	struct attach *a = (struct attach *)task;
	struct visit_msg msg = { .what = VISIT_PREPARE };
	const char *why = why_not(a->inode);

	a->stage = ATTACH_PREPARING;
	if (!why && (a->offset || a->bytes != a->inode->disk->rec.size_bytes))
		why = "the mapping is not of the whole region";
	if (a->closed) {
		attach_end(a);
	} else if (why) {
		attach_refuse(a, -EBUSY, why);
	} else {
		a->marked = a->inode->attaching = true;
		a->fills_seen = a->inode->fills_seen;
		if (channel_send(a, &msg, NULL, 0) < 0)
			attach_end(a);
	}
}

static void ready(struct attach *a, const struct visit_msg *msg, const int fds[2])
{
	struct worker *w = a->w;
	struct journal_session *s = &w->journal->sessions[a->session];

	a->fd[SESSION_UFFD] = fds[0];
	a->fd[SESSION_SOCKET] = fds[1];
	if (msg->offset || msg->bytes != a->bytes || msg->page_bytes != GVM_PAGE_BYTES ||
	    msg->address % GVM_PAGE_BYTES ||
	    fcntl(fds[0], F_SETFL, fcntl(fds[0], F_GETFL) | O_NONBLOCK) < 0) {
		attach_refuse(a, -EINVAL, "its mapping is not of the whole region, in pages of 4 KiB");
		return;
	}
	s->inode = a->inode->nr;
	s->pid = a->pid;
	s->pinned = 0;
	s->live = 0;
	s->calls = s->held_count = 0;
	s->address = msg->address;
	s->bytes = msg->bytes;
	a->stage = ATTACH_KEEPING;
	if (keeper_keep(w->keeper_fd, a->session, a->fd) < 0) {
		a->stage = ATTACH_OVER;
		attach_refuse(a, -EIO, "the supervisor cannot keep its descriptors");
	}
}

static void attach_ready(void *arg)
{
	struct attach *a = arg;
	struct visit_msg msg;
	int fds[DESCRIPTORS_MAX];
	unsigned count;
	int error = descriptors_receive(a->fd[SESSION_CHANNEL], &msg, sizeof(msg), fds, &count);

	if (error == -EAGAIN)
		return;
	if (!error && a->stage == ATTACH_PREPARING && msg.what == VISIT_PREPARED) {
		prepared(a, msg.error);
		return;
	}
	if (!error && a->stage == ATTACH_WELCOMED && msg.what == VISIT_READY && count == 2) {
		ready(a, &msg, fds);
		return;
	}
	if (!error && a->stage == ATTACH_WELCOMED && msg.what == VISIT_READY && msg.error < 0) {
		attach_refuse(a, msg.error, msg.error == -EBUSY ?
			      "there are pages in its memory already" :
			      "its userfaultfd is not one that tells of faults alone");
		return;
	}
	/* The client has left, or its process was killed; that says no more. */
	loop_remove(a->w->loop, &a->source);
	attach_end(a);
}

/* Why a region whose cached pages had been written back is not as it was then. (Nobody detached it
 * or opened it for writing since, but it can fail, and the client itself has it open.) */
static const char *why_not_now(const struct attach *a)
{
	const struct inode *inode = a->inode;
	const struct journal_inode *d = inode->disk;

	if (!d->epoch || d->failed)
		return "it is not attached for writing any more";
	/* Also by one that waits for the rest of a page, and would find a place beside the fast path. */
	if (inode->slots || inode->writes)
		return "it has been written to as a file meanwhile";
	/* What came into the page cache since, or is about to, would stay there as it is now. */
	if (inode->fills || inode->fills_seen != a->fills_seen)
		return "another program has it mapped, or sends it on";
	return NULL;
}

static void page_cache_emptied(struct worker *w, struct pagecache_ask *ask, int error)
{
	(void)w;
	(void)error;
	free(ask);
}

/*
 * A READ that was answered just before the page cache was checked may have put pages into it afterwards.
 * They are dropped while no call waits.
 */
static void page_cache_empty(struct worker *w, struct inode *inode)
{
	static const struct pagecache_range all = { 0, 0 };
	struct pagecache_ask *ask = calloc(1, sizeof(*ask));

	if (!ask)
		return;
	ask->done = page_cache_emptied;
	if (pagecache_invalidate(w, inode, &all, 1, ask) < 0)
		free(ask);
}

/* The supervisor has the descriptors: the region is served from here on. */
static void kept(struct worker *w, unsigned session)
{
	struct attach *a = NULL;
	const char *why;
	int error;

	for (unsigned i = 0; i < ATTACHES_MAX; i++)
		if (w->attaches->list[i] && w->attaches->list[i]->stage == ATTACH_KEEPING &&
		    w->attaches->list[i]->session == session)
			a = w->attaches->list[i];
	if (!a)
		return; /* a predecessor's, which attaches_init() has found */
	a->stage = ATTACH_OVER;
	a->kept = true;
	if (a->closed) { /* its process has ended meanwhile */
		attach_end(a);
		keeper_drop(w->keeper_fd, w->journal, session);
		return;
	}
	loop_remove(w->loop, &a->source);
	why = why_not_now(a);
	error = why ? -EBUSY : resident_open(w, session, a->fd);
	if (error) {
		if (!why)
			why = error == -ENOMEM ? "no memory for its bookkeeping"
					       : "gvmfs gets no userfaultfd of its own";
		attach_refuse(a, error, why);
		keeper_drop(w->keeper_fd, w->journal, session);
		return;
	}
	page_cache_empty(w, a->inode);
	log_info(name_of(a), "process %d maps it through the fast path", a->pid);
	journal_publish32(&w->journal->sessions[session].live, 1);
	if (session_go(a->fd[SESSION_SOCKET]) < 0)
		log_warning(name_of(a), "process %d cannot be reached", a->pid); /* its end is noticed */
	for (unsigned i = 0; i < SESSION_FDS; i++)
		a->fd[i] = -1;
	a->session = NO_SESSION;
	attach_end(a);
}

static void bell_ready(void *arg);

static int bell_watch(struct worker *w)
{
	return loop_add(w->loop, &w->attaches->bell, w->attaches->bell_fd, bell_ready, w);
}

/* A client that has shown its file; `channel`: to the process that looks after it. */
static void announced(struct worker *w, const struct visit_msg *msg, int channel)
{
	struct inode *inode = inode_by_ino(w->inodes, msg->ino);
	struct attach *a;
	unsigned i;

	for (i = 0; i < ATTACHES_MAX && w->attaches->list[i]; i++)
		;
	a = i < ATTACHES_MAX && inode ? calloc(1, sizeof(*a)) : NULL;
	if (!a || loop_add(w->loop, &a->source, channel, attach_ready, a) < 0) {
		free(a);
		close(channel);
		return;
	}
	w->attaches->list[i] = a;
	a->w = w;
	a->inode = inode;
	a->pid = msg->pid;
	a->uid = msg->uid;
	a->bytes = msg->bytes;
	a->offset = msg->offset;
	a->session = NO_SESSION;
	a->deadline_ns = gvm_now_ns() + ATTACH_NS;
	for (unsigned k = 0; k < SESSION_FDS; k++)
		a->fd[k] = -1;
	a->fd[SESSION_CHANNEL] = channel;
	a->task.run = hello_run;
	/* Its file is open there while it waits here; should that process be killed, the queue holds the
	 * inode. */
	inode_acquire(inode, &a->task);
}

static void bell_ready(void *arg)
{
	struct worker *w = arg;
	struct visit_msg msg;
	int fds[DESCRIPTORS_MAX];
	unsigned count;

	for (unsigned i = 0; i < ANNOUNCED; i++) {
		int r = descriptors_receive(w->attaches->bell_fd, &msg, sizeof(msg), fds, &count);

		if (!r && msg.what == VISIT_HELLO && count == 1) {
			announced(w, &msg, fds[0]);
		} else if (r == -EAGAIN) {
			return;
		} else if (r == -EPIPE) { /* supervisor and door are gone, and all visitors */
			loop_remove(w->loop, &w->attaches->bell);
			return;
		} else { /* no descriptors are left */
			loop_remove(w->loop, &w->attaches->bell);
			w->attaches->bell_at_ns = gvm_now_ns() + PAUSE_NS;
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
	/* A supervisor that was killed keeps nothing any more, and its end stays an event. */
	if (session == KEEPER_GONE) {
		loop_remove(w->loop, &w->attaches->keeper);
		w->sessions->alone = true;
	}
}

/* Serves a session of a predecessor's. Its client may still wait for GO. */
static int session_resume(struct worker *w, unsigned session)
{
	const struct journal_session *s = &w->journal->sessions[session];
	int fd[SESSION_FDS], error;
	struct inode *inode;

	for (unsigned i = 0; i < SESSION_FDS; i++)
		fd[i] = s->fd[i] - 1;
	/* One that was not told GO maps the file; and no region is on the fast path twice. */
	if (!s->live || inode_get(w->inodes, s->inode)->resident) {
		session_release(fd, true);
		keeper_drop(w->keeper_fd, w->journal, session);
		return 0;
	}
	session_claim(w, session);
	error = resident_open(w, session, fd);
	if (error)
		return error;
	session_go(fd[SESSION_SOCKET]);
	inode = inode_get(w->inodes, s->inode);
	if (inode->disk->failed) /* and the predecessor has perhaps not said so */
		resident_abort(inode->resident, "the region has failed");
	return 0;
}

/* A predecessor has not ended, and may still put pages into its memory: nothing of the region is served
 * before that is over. Nor at once where it happens again and again. */
static void session_hold(struct worker *w, unsigned session)
{
	const struct journal_session *s = &w->journal->sessions[session];
	struct inode *inode = inode_get(w->inodes, s->inode);

	if (!inode)
		return; /* then nobody can ask for it */
	session_claim(w, session);
	w->sessions->held[session] = true;
	w->sessions->held_count++;
	inode->attaching = inode->held_up = true;
	log_warning(inode->disk->rec.name, "the region waits until process %d lets pages into its memory again",
		    s->pid);
}

static void session_let_go(struct worker *w, unsigned session)
{
	struct inode *inode = inode_get(w->inodes, w->journal->sessions[session].inode);

	w->sessions->held[session] = false;
	w->sessions->held_count--;
	w->sessions->held_until_ns[session] = 0;
	inode->attaching = inode->held_up = false;
	log_info(inode->disk->rec.name, "the region goes on");
	if (session_resume(w, session) < 0)
		abort(); /* as at the start: the successor tries again */
	if (inode->resident && w->draining)
		resident_abort(inode->resident, "the mount has ended");
	else if (!inode->resident)
		w->residents->on_close(w, inode);
}

/* Its end is noticed here where the supervisor is not its parent. */
static bool is_held(struct worker *w, unsigned session)
{
	return !lookout_call_ended(w->journal, session);
}

/* Returns when to look again. */
static uint64_t sessions_tick(struct worker *w, uint64_t now_ns)
{
	for (unsigned s = 0; s < JOURNAL_SESSIONS && w->sessions->held_count; s++) {
		uint64_t *until = &w->sessions->held_until_ns[s];
		uint32_t count = w->journal->sessions[s].held_count;

		if (!w->sessions->held[s] || is_held(w, s))
			continue;
		if (!*until)
			*until = now_ns + (count < 2 ? 0 : HELD_NS << (count < 8 ? count : 8));
		if (*until <= now_ns)
			session_let_go(w, s);
	}
	return w->sessions->held_count ? now_ns + HELD_LOOK_NS : ~0ull;
}

static int sessions_resume(struct worker *w)
{
	for (unsigned s = 0; s < JOURNAL_SESSIONS; s++) {
		int error = 0;

		if (!w->journal->sessions[s].kept)
			continue;
		if (lookout_is_held(w->journal, s))
			session_hold(w, s);
		else
			error = session_resume(w, s);
		if (error)
			return error;
	}
	return 0;
}

uint64_t attaches_tick(struct worker *w, uint64_t now_ns)
{
	uint64_t next = sessions_tick(w, now_ns);

	if (w->attaches->bell_at_ns && w->attaches->bell_at_ns <= now_ns) {
		w->attaches->bell_at_ns = bell_watch(w) < 0 ? now_ns + PAUSE_NS : 0;
	} else if (w->attaches->bell_at_ns && w->attaches->bell_at_ns < next) {
		next = w->attaches->bell_at_ns;
	}

	for (unsigned i = 0; i < ATTACHES_MAX; i++) {
		struct attach *a = w->attaches->list[i];

		if (!a || a->closed)
			continue;
		if (a->deadline_ns <= now_ns) {
			log_warning(name_of(a), "process %d asked for the fast path and then fell silent: refused",
				    a->pid);
			loop_remove(w->loop, &a->source);
			attach_end(a);
		} else if (a->deadline_ns < next) {
			next = a->deadline_ns;
		}
	}
	return next;
}

void attaches_stop(struct worker *w, const char *why)
{
	w->attaches->bell_at_ns = 0;
	loop_remove(w->loop, &w->attaches->bell);
	for (unsigned i = 0; i < ATTACHES_MAX; i++)
		if (w->attaches->list[i] && !w->attaches->list[i]->closed)
			attach_refuse(w->attaches->list[i], -ENODEV, why);
}

int attaches_init(struct worker *w, int bell_fd)
{
	int r;

	w->attaches->bell_fd = bell_fd;
	while (keeper_kept(w->keeper_fd) >= 0)
		; /* answers to a predecessor: the journal says the same */
	r = loop_add(w->loop, &w->attaches->keeper, w->keeper_fd, keeper_ready, w);
	if (!r)
		r = sessions_resume(w);
	return r || bell_fd < 0 ? r : bell_watch(w);
}

/* Without a look into /proc: that may have to tidy up after a process which ends just then, and so
 * release what a stranger has mapped. */
static bool thread_is_of(int tid, int pid)
{
	/* EPERM: it is, and we may not signal it. */
	return pid > 0 && tid > 0 && (syscall(SYS_tgkill, pid, tid, 0) == 0 || errno == EPERM);
}

int attach_allows_open(const struct inode *inode, bool write, int tid)
{
	if (!write || (!inode->resident && !inode->attaching))
		return 0;
	if (!inode->resident)
		return -EBUSY;
	if (resident_has_left(inode->resident))
		return -EAGAIN;
	return thread_is_of(tid, inode->resident->pid) ? 0 : -EBUSY;
}
