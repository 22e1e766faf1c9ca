// SPDX-License-Identifier: GPL-2.0-or-later
/* attach.c - see attach.h. */
#include "attach.h"

#include "descriptors.h"
#include "gvm_attach.h"
#include "keeper.h"
#include "log.h"
#include "uffd.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define ATTACH_NS 60000000000ull /* a conversation that takes longer is ended */
#define HELLO_NS  5000000000ull	 /* and the first word has to come within */
#define NO_SESSION JOURNAL_SESSIONS
#define MINCORE_BYTES (64ull << 20)

enum attach_stage {
	ATTACH_HELLO,	  /* waits for that */
	ATTACH_PREPARING, /* its file is flushed, in a job */
	ATTACH_READY,	  /* waits for that */
	ATTACH_KEEPING,	  /* the supervisor is told */
};

struct attach {
	struct task task; /* first: waits for the inode */
	struct job job;	  /* the flush */
	struct worker *w;
	enum attach_stage stage;
	bool closed;	 /* the client has left during PREPARING */
	bool marked;	 /* the inode as `attaching` */
	const char *why; /* it is to be refused; NULL: it is not */
	struct inode *inode;
	uint64_t deadline_ns;
	int file_fd; /* the client's open file */
	int fd[SESSION_FDS];
	unsigned session;
	uint64_t bytes;
	int pid;
};

static const char *name_of(const struct attach *a)
{
	return a->inode ? worker_disk(a->w, a->inode)->rec.name : NULL;
}

static struct attach *attach_of_job(struct job *job)
{
	return (struct attach *)((char *)job - offsetof(struct attach, job));
}

static int message_send(int to, struct gvm_attach_msg *msg, const int *fds, unsigned count)
{
	msg->magic = GVM_ATTACH_MAGIC;
	msg->version = GVM_ATTACH_VERSION;
	return descriptors_send(to, msg, sizeof(*msg), fds, count);
}

static int go_send(int to)
{
	struct gvm_attach_msg msg = { .type = GVM_ATTACH_GO };

	return message_send(to, &msg, NULL, 0);
}

void attaches_closed(struct worker *w, unsigned session)
{
	w->attaches.sessions &= ~(1u << session);
}

/* Ends a conversation; what it had opened is closed. What had to wait for it goes on, unless the
 * region is on the fast path now. */
static void attach_end(struct attach *a)
{
	struct worker *w = a->w;
	struct inode *inode = a->marked ? a->inode : NULL;

	if (a->stage == ATTACH_PREPARING || a->stage == ATTACH_KEEPING) {
		a->closed = true; /* its job, or the supervisor, goes on with it */
		return;
	}
	for (unsigned i = 0; i < ATTACHES_MAX; i++)
		if (w->attaches.list[i] == a)
			w->attaches.list[i] = NULL;
	if (a->session != NO_SESSION)
		attaches_closed(w, a->session);
	for (unsigned i = 0; i < SESSION_FDS; i++)
		if (a->fd[i] >= 0)
			close(a->fd[i]);
	free(a);
	if (!inode)
		return;
	inode->attaching = false;
	if (!inode->resident)
		w->residents.on_close(w, inode);
}

static void attach_refuse(struct attach *a, int error, const char *why)
{
	struct gvm_attach_msg msg = { .type = GVM_ATTACH_REFUSE, .error = error };

	strncpy(msg.text, why, sizeof(msg.text) - 1);
	message_send(a->fd[SESSION_SOCKET], &msg, NULL, 0);
	log_info(name_of(a), "process %d maps it as a file: %s", a->pid, why);
	attach_end(a);
}

/* Writes the page cache back, empties it, and looks whether it is empty: 0 or an errno. */
static int file_flush(int fd, uint64_t bytes)
{
	static unsigned char here[MINCORE_BYTES / GVM_PAGE_BYTES];

	if (fsync(fd) < 0)
		return errno;
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	for (uint64_t at = 0; at < bytes; at += MINCORE_BYTES) {
		size_t n = bytes - at < MINCORE_BYTES ? bytes - at : MINCORE_BYTES;
		void *p = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, (off_t)at);

		if (p == MAP_FAILED || mincore(p, n, here) < 0)
			return errno;
		for (size_t i = 0; i < n / GVM_PAGE_BYTES; i++)
			if (here[i] & 1)
				return EBUSY;
		munmap(p, n);
	}
	return 0;
}

/*
 * Prepares, in a process of its own: it waits for answers of the front thread, and one that waits
 * cannot be killed. A worker with such a thread, killed, would never end, and no successor start.
 */
static void prepare_work(struct job *job, struct pool *pool)
{
	struct attach *a = attach_of_job(job);
	int status = 0;
	pid_t pid;

	(void)pool;
	job->result = 0;
	if (!a->why) {
		pid = fork();
		if (pid == 0) {
			/* Not even an open descriptor may keep alive what this waits for. */
			if (dup2(a->file_fd, 0) < 0)
				_exit(EIO);
			close_range(1, ~0u, 0);
			_exit(file_flush(0, a->bytes));
		}
		if (pid < 0 || waitpid(pid, &status, 0) < 0)
			job->result = -errno;
		else
			job->result = WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
	}
	close(a->file_fd);
}

static int session_take(struct worker *w)
{
	for (unsigned s = 0; s < JOURNAL_SESSIONS; s++)
		if (!(w->attaches.sessions >> s & 1)) {
			w->attaches.sessions |= 1u << s;
			return (int)s;
		}
	return -1;
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
	struct gvm_attach_msg msg = { .type = GVM_ATTACH_WELCOME, .bytes = a->bytes };
	int fds[] = { a->fd[SESSION_MEMORY], a->fd[SESSION_PINS],
		      open("/dev/userfaultfd", O_RDWR | O_CLOEXEC) };
	int error = message_send(a->fd[SESSION_SOCKET], &msg, fds, fds[2] < 0 ? 2 : 3);

	if (fds[2] >= 0)
		close(fds[2]);
	a->stage = ATTACH_READY;
	if (error)
		attach_end(a);
}

static void prepare_done(struct job *job)
{
	struct attach *a = attach_of_job(job);
	struct worker *w = a->w;
	struct inode *inode = a->inode;
	int session;

	a->stage = ATTACH_HELLO;
	if (a->closed) {
		attach_end(a);
	} else if (a->why) {
		attach_refuse(a, -EBUSY, a->why);
	} else if (job->result) {
		attach_refuse(a, job->result, "its cached pages cannot be written back");
	} else if ((session = session_take(w)) < 0) {
		attach_refuse(a, -EMFILE, "too many regions use the fast path here");
	} else if ((a->session = (unsigned)session, job->result = memories_make(a)) < 0) {
		attach_refuse(a, job->result, "no memory can be made for it");
	} else {
		welcome_send(a);
	}
	if (inode)
		inode_release(&w->inodes, inode);
}

static void prepare_begin(struct attach *a)
{
	a->job.work = prepare_work;
	a->job.done = prepare_done;
	jobs_submit_blocking(&a->w->jobs, &a->job);
}

static const char *why_not(struct worker *w, const struct inode *inode)
{
	const struct journal_inode *d = worker_disk(w, inode);

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

	a->why = why_not(a->w, a->inode);
	if (!a->why && a->bytes != worker_disk(a->w, a->inode)->rec.size_bytes)
		a->why = "the mapping is not of the whole region";
	if (!a->why)
		a->marked = a->inode->attaching = true;
	prepare_begin(a);
}

/* The inode of the client's open file, without a request to ourselves; NULL: it is none of ours, or
 * not open for writing. */
static struct inode *file_inode(struct attach *a)
{
	struct worker *w = a->w;
	struct statx st;

	if (statx(a->file_fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &st) < 0 ||
	    makedev(st.stx_dev_major, st.stx_dev_minor) != w->journal.super->mount_dev ||
	    (fcntl(a->file_fd, F_GETFL) & O_ACCMODE) != O_RDWR)
		return NULL;
	return inode_by_ino(&w->inodes, st.stx_ino);
}

static void hello(struct attach *a, const struct gvm_attach_msg *msg, int file_fd)
{
	a->deadline_ns += ATTACH_NS;
	a->file_fd = file_fd;
	a->bytes = msg->bytes;
	a->stage = ATTACH_PREPARING;
	a->inode = file_inode(a);
	if (a->inode && !msg->offset) {
		a->task.run = hello_run;
		inode_acquire(a->inode, &a->task);
		return;
	}
	a->why = a->inode ? "the mapping is not of the whole region"
			  : "the file is not of this mount, or not open for reading and writing";
	a->inode = NULL;
	prepare_begin(a);
}

static void ready(struct attach *a, const struct gvm_attach_msg *msg, int uffd)
{
	struct worker *w = a->w;
	struct journal_session *s = &w->journal.sessions[a->session];

	a->fd[SESSION_UFFD] = uffd;
	if (msg->offset || msg->bytes != a->bytes || msg->page_bytes != GVM_PAGE_BYTES ||
	    msg->address % GVM_PAGE_BYTES ||
	    fcntl(uffd, F_SETFL, fcntl(uffd, F_GETFL) | O_NONBLOCK) < 0) {
		attach_refuse(a, -EINVAL, "its mapping is not of the whole region, in pages of 4 KiB");
		return;
	}
	s->inode = a->inode->nr;
	s->pid = a->pid;
	s->pinned = 0;
	s->live = 0;
	s->address = msg->address;
	s->bytes = msg->bytes;
	a->stage = ATTACH_KEEPING;
	if (keeper_keep(w->keeper_fd, a->session, a->fd) < 0) {
		a->stage = ATTACH_HELLO;
		attach_refuse(a, -EIO, "the supervisor cannot keep its descriptors");
	}
}

static void attach_event(struct attach *a)
{
	struct gvm_attach_msg msg;
	int fds[DESCRIPTORS_MAX];
	unsigned count;
	int error = descriptors_receive(a->fd[SESSION_SOCKET], &msg, sizeof(msg), fds, &count);

	if (error == -EAGAIN)
		return;
	if (!error && (msg.magic != GVM_ATTACH_MAGIC || msg.version != GVM_ATTACH_VERSION))
		error = -EPROTO;
	if (!error && a->stage == ATTACH_HELLO && msg.type == GVM_ATTACH_HELLO && count == 1) {
		hello(a, &msg, fds[0]);
		return;
	}
	if (!error && a->stage == ATTACH_READY && msg.type == GVM_ATTACH_READY && count == 1 &&
	    uffd_is_plain(fds[0])) {
		ready(a, &msg, fds[0]);
		return;
	}
	if (error != -EPIPE && (error || msg.type != GVM_ATTACH_DETACHED))
		log_error(name_of(a), "process %d does not keep to the protocol", a->pid);
	jobs_close(&a->w->jobs, fds, count);
	epoll_ctl(a->w->epoll_fd, EPOLL_CTL_DEL, a->fd[SESSION_SOCKET], NULL);
	attach_end(a);
}

/* Why a region whose cached pages had been written back is not as it was then. (Nobody detached it
 * or opened it for writing since, but it can fail, and the client itself has it open.) */
static const char *why_not_now(struct worker *w, const struct inode *inode)
{
	const struct journal_inode *d = worker_disk(w, inode);

	if (!d->epoch || d->failed)
		return "it is not attached for writing any more";
	if (inode->slots)
		return "it has been written to as a file meanwhile";
	return NULL;
}

static bool memory_is_empty(int fd)
{
	return lseek(fd, 0, SEEK_DATA) < 0 && errno == ENXIO;
}

/* The supervisor has the descriptors: the region is served from here on. */
static void kept(struct worker *w, unsigned session)
{
	struct attach *a = NULL;
	const char *why;
	int error;

	for (unsigned i = 0; i < ATTACHES_MAX; i++)
		if (w->attaches.list[i] && w->attaches.list[i]->stage == ATTACH_KEEPING &&
		    w->attaches.list[i]->session == session)
			a = w->attaches.list[i];
	if (!a)
		return; /* a predecessor's, which attaches_init() has found */
	a->stage = ATTACH_HELLO;
	if (a->closed) { /* it has left meanwhile, with its mapping */
		keeper_drop(w->keeper_fd, &w->journal, session);
		attach_end(a);
		return;
	}
	epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, a->fd[SESSION_SOCKET], NULL);
	why = why_not_now(w, a->inode);
	/* It may have them mapped: then it would not ask for what belongs in their place. */
	if (!why && !memory_is_empty(a->fd[SESSION_MEMORY]))
		why = "there are pages in its memory already";
	error = why ? -EBUSY : resident_open(w, session, a->fd);
	if (error) {
		keeper_drop(w->keeper_fd, &w->journal, session);
		if (!why)
			why = error == -ENOMEM ? "no memory for its bookkeeping"
					       : "gvmfs gets no userfaultfd of its own";
		attach_refuse(a, error, why);
		return;
	}
	log_info(name_of(a), "process %d maps it through the fast path", a->pid);
	journal_publish32(&w->journal.sessions[session].live, 1);
	if (go_send(a->fd[SESSION_SOCKET]) < 0)
		log_warning(name_of(a), "process %d is not reached", a->pid); /* its end is noticed */
	for (unsigned i = 0; i < SESSION_FDS; i++)
		a->fd[i] = -1;
	a->session = NO_SESSION;
	attach_end(a);
}

static void attach_accept(struct worker *w)
{
	int fd = accept4(w->attaches.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct epoll_event ev = { .events = EPOLLIN };
	struct ucred who;
	socklen_t size = sizeof(who);
	struct attach *a;
	unsigned i;

	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
		/* Whoever waits in line stays there until the next tick. */
		epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, w->attaches.listen_fd, NULL);
		w->attaches.listen_at_ns = gvm_now_ns() + HELLO_NS;
	}
	if (fd < 0)
		return;
	for (i = 0; i < ATTACHES_MAX && w->attaches.list[i]; i++)
		;
	a = i < ATTACHES_MAX ? calloc(1, sizeof(*a)) : NULL;
	if (!a || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0) {
		free(a);
		close(fd);
		return;
	}
	a->w = w;
	a->pid = who.pid;
	a->session = NO_SESSION;
	a->deadline_ns = gvm_now_ns() + HELLO_NS;
	for (unsigned k = 0; k < SESSION_FDS; k++)
		a->fd[k] = -1;
	a->fd[SESSION_SOCKET] = fd;
	w->attaches.list[i] = a;
	ev.data.ptr = a;
	if (epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		attach_end(a);
}

bool attaches_event(struct worker *w, void *what)
{
	int session;

	if (what == &w->attaches) {
		attach_accept(w);
		return true;
	}
	if (what == &w->keeper_fd) {
		while ((session = keeper_kept(w->keeper_fd)) >= 0)
			kept(w, (unsigned)session);
		/* A supervisor that was killed keeps nothing any more, and its end stays an event. */
		if (session == KEEPER_GONE)
			epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, w->keeper_fd, NULL);
		return true;
	}
	for (unsigned i = 0; i < ATTACHES_MAX; i++)
		if (w->attaches.list[i] && w->attaches.list[i] == what) {
			attach_event(what);
			return true;
		}
	return false;
}

static int listen_watch(struct worker *w)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = &w->attaches };

	return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->attaches.listen_fd, &ev) < 0 ? -errno : 0;
}

uint64_t attaches_tick(struct worker *w, uint64_t now_ns)
{
	uint64_t next = ~0ull;

	if (w->attaches.listen_at_ns && w->attaches.listen_at_ns <= now_ns) {
		w->attaches.listen_at_ns = 0;
		listen_watch(w);
	} else if (w->attaches.listen_at_ns) {
		next = w->attaches.listen_at_ns;
	}

	for (unsigned i = 0; i < ATTACHES_MAX; i++) {
		struct attach *a = w->attaches.list[i];

		if (!a || a->closed)
			continue;
		if (a->deadline_ns <= now_ns) {
			log_warning(name_of(a), "process %d, which asked for the fast path, falls silent",
				    a->pid);
			epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, a->fd[SESSION_SOCKET], NULL);
			attach_end(a);
		} else if (a->deadline_ns < next) {
			next = a->deadline_ns;
		}
	}
	return next;
}

void attaches_stop(struct worker *w, const char *why)
{
	w->attaches.listen_at_ns = 0;
	if (w->attaches.listen_fd >= 0)
		epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, w->attaches.listen_fd, NULL);
	for (unsigned i = 0; i < ATTACHES_MAX; i++)
		if (w->attaches.list[i] && !w->attaches.list[i]->closed)
			attach_refuse(w->attaches.list[i], -ENODEV, why);
}

/* Serves a session of a predecessor's. Its client may still wait for GO. */
static int session_resume(struct worker *w, unsigned session)
{
	const struct journal_session *s = &w->journal.sessions[session];
	int fd[SESSION_FDS], error;
	struct inode *inode;

	for (unsigned i = 0; i < SESSION_FDS; i++)
		fd[i] = s->fd[i] - 1;
	/* One that was not told GO maps the file; and no region is on the fast path twice. */
	if (!s->live || inode_get(&w->inodes, s->inode)->resident) {
		for (unsigned i = 0; i < SESSION_FDS; i++)
			close(fd[i]);
		keeper_drop(w->keeper_fd, &w->journal, session);
		return 0;
	}
	w->attaches.sessions |= 1u << session;
	error = resident_open(w, session, fd);
	if (error)
		return error;
	go_send(fd[SESSION_SOCKET]);
	inode = inode_get(&w->inodes, s->inode);
	if (worker_disk(w, inode)->failed) /* and the predecessor has perhaps not said so */
		resident_abort(inode->resident, "the region has failed");
	return 0;
}

int attaches_init(struct worker *w, int listen_fd)
{
	struct epoll_event keeper = { .events = EPOLLIN, .data.ptr = &w->keeper_fd };

	w->attaches.listen_fd = listen_fd;
	while (keeper_kept(w->keeper_fd) >= 0)
		; /* answers to a predecessor: the journal says the same */
	if (epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->keeper_fd, &keeper) < 0)
		return -errno;
	for (unsigned s = 0; s < JOURNAL_SESSIONS; s++)
		if (w->journal.sessions[s].kept) {
			int error = session_resume(w, s);

			if (error)
				return error;
		}
	return listen_fd >= 0 ? listen_watch(w) : 0;
}

/* The process that a thread belongs to; 0: not known. */
int process_of(int tid)
{
	char path[40], line[128];
	int pid = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f) && sscanf(line, "Tgid: %d", &pid) != 1)
		;
	if (f)
		fclose(f);
	return pid;
}

int attach_allows_open(const struct inode *inode, bool write, int tid)
{
	if (!write || (!inode->resident && !inode->attaching))
		return 0;
	if (!inode->resident)
		return -EBUSY;
	if (resident_has_left(inode->resident))
		return -EAGAIN;
	return process_of(tid) == inode->resident->pid ? 0 : -EBUSY;
}
