// SPDX-License-Identifier: GPL-2.0-or-later
/* pagecache.c - see pagecache.h. */
#include "pagecache.h"

#include "base/descriptors.h"
#include "base/log.h"
#include "file.h"
#include "node/jobs.h"
#include "state/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/mount.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define DROP_AGE_NS   10000000ull /* longer than a reader needs to use what the kernel read ahead for it */
#define DROP_AGE_REST_NS 1000000ull
#define DROP_AGAIN    5u /* the second drop comes after so many times that age */
#define DROP_BYTES    (4u << 20)  /* a reader that goes on may leave so much behind; */
#define DROP_BEHIND   (1u << 20)  /* then all is dropped but the last of it */
#define SYNC_NS	      2000000000ull
#define STORE_NS      2000000000ull
#define PROBE_NS      500000u /* between two looks at a thread that may be blocked */
#define PROBE_LOOKS   10u
#define PATH_BYTES    4096u
#define FOLDERS_MAX   64
/* From this FUSE minor version on (Linux 6.16) a page stays under write-back until the WRITE is
 * answered; before, only until the kernel had copied it. */
#define MINOR_NO_COPY 44u

enum helper_what { HELPER_SYNC = 1, HELPER_DROP, HELPER_INVALIDATE, HELPER_STORE };

struct helper_msg {
	uint32_t what; /* enum helper_what */
	uint32_t count;
	uint64_t cookie; /* 0: the worker wants no answer */
	uint64_t dev, ino;
	struct pagecache_range range[PAGECACHE_RANGES];
	uint8_t content[GVM_PAGE_BYTES]; /* HELPER_STORE */
	char path[PATH_BYTES]; /* from the root of the mount; "": it has none; last */
};

struct helper_answer {
	uint64_t cookie;
	int64_t error;
};

/* ---- the helper ---- */

/* Opens the root of the mount; where privilege allows, by a copy of the mount that is attached
 * nowhere, so that the user can unmount the original meanwhile. */
static int root_open(const char *mountpoint)
{
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, mountpoint, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	return fd >= 0 ? fd : open(mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* Opens the file that the message means, or none if another file has its name by now. */
static int file_open(const char *mountpoint, const struct helper_msg *msg)
{
	int root = root_open(mountpoint), fd = -1, error = errno;
	struct statx st;

	if (root < 0)
		return -error;
	/* Checked before any request goes to what may be another filesystem by now. */
	if (statx(root, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &st) < 0)
		error = errno;
	else if (makedev(st.stx_dev_major, st.stx_dev_minor) != msg->dev)
		error = ESTALE;
	else if ((fd = openat(root, msg->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) < 0)
		error = errno;
	close(root);
	if (fd < 0)
		return -error;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &st) == 0 &&
	    makedev(st.stx_dev_major, st.stx_dev_minor) == msg->dev && st.stx_ino == msg->ino)
		return fd;
	close(fd);
	return -ESTALE;
}

static bool answer_send(uint64_t cookie, int error)
{
	struct helper_answer answer = { .cookie = cookie, .error = error };

	return send(0, &answer, sizeof(answer), MSG_NOSIGNAL) >= 0;
}

static int invalidate(const struct helper_msg *msg, int fuse_fd)
{
	int r = 0;

	for (unsigned i = 0; !r && i < msg->count; i++) {
		struct {
			struct fuse_out_header out;
			struct fuse_notify_inval_inode_out what;
		} notify = { .out = { .len = sizeof(notify), .error = FUSE_NOTIFY_INVAL_INODE },
			     .what = { .ino = msg->ino, .off = (int64_t)msg->range[i].off,
				       .len = (int64_t)msg->range[i].size } };

		if (write(fuse_fd, &notify, sizeof(notify)) < 0)
			r = -errno;
	}
	return r;
}

/* A thread that reads one byte of a page: it returns at once if the kernel has it. */
struct probe {
	int fd;
	off_t off;
	_Atomic pid_t tid;
	_Atomic int result; /* of pread(); valid once `done` */
	_Atomic bool done;
	_Atomic unsigned users;
};

static void probe_put(struct probe *p)
{
	if (--p->users)
		return;
	close(p->fd);
	free(p);
}

static void *probe_run(void *arg)
{
	struct probe *p = arg;
	char byte;

	p->tid = (pid_t)syscall(SYS_gettid);
	p->result = (int)pread(p->fd, &byte, 1, p->off);
	p->done = true;
	probe_put(p);
	return NULL;
}

static struct probe *probe_start(int fd, uint64_t off)
{
	struct probe *p = calloc(1, sizeof(*p));
	pthread_t thread;

	if (!p)
		return NULL;
	p->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	p->off = (off_t)(off / GVM_PAGE_BYTES * GVM_PAGE_BYTES);
	p->users = 2;
	if (p->fd >= 0 && !pthread_create(&thread, NULL, probe_run, p)) {
		pthread_detach(thread);
		return p;
	}
	if (p->fd >= 0)
		close(p->fd);
	free(p);
	return NULL;
}

static bool thread_is_blocked(pid_t tid)
{
	char path[40], text[128];
	const char *name_end;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	if (file_text(path, text, sizeof(text)))
		return false;
	name_end = strrchr(text, ')');
	return name_end && strncmp(name_end, ") D", 3) == 0;
}

/*
 * Whether the kernel has the content of a page. It does not while the page is locked for a READ, or
 * while a part of it is just being written. Then the probe's reader blocks, which harms nobody; a
 * store would wait for the page's lock, and come late. (mincore() could tell, too, but unmapping
 * waits for the file's write-back, which the kernel may hold back meanwhile.)
 */
static bool page_is_present(int fd, uint64_t off)
{
	struct probe *p = probe_start(fd, off);
	unsigned blocked = 0;
	bool present;

	if (!p)
		return true;
	while (!p->done && blocked < PROBE_LOOKS) {
		nanosleep(&(struct timespec){ .tv_nsec = p->tid ? PROBE_NS : 0 }, NULL);
		blocked = p->tid && thread_is_blocked(p->tid) ? blocked + 1 : 0;
	}
	present = p->done && p->result == 1;
	probe_put(p);
	return present;
}

/* Writes into the kernel's page (FUSE_NOTIFY_STORE); waits for the page's lock. */
static int store(int fuse_fd, uint64_t ino, uint64_t off, uint64_t size, const uint8_t *content)
{
	struct {
		struct fuse_out_header out;
		struct fuse_notify_store_out what;
	} notify = { .out = { .len = (uint32_t)(sizeof(notify) + size), .error = FUSE_NOTIFY_STORE },
		     .what = { .nodeid = ino, .offset = off, .size = (uint32_t)size } };
	struct iovec iov[] = { { &notify, sizeof(notify) }, { (void *)content, size } };

	while (writev(fuse_fd, iov, 2) < 0) {
		if (errno != ENOMEM && errno != EINTR)
			return -errno;
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	return 0;
}

/* A request to the helper. */
struct call {
	int fd; /* the file, or a negative errno */
	int fuse_fd; /* or -1 */
	struct helper_msg msg;
};

static int file_do(const struct call *c)
{
	int r = c->fd < 0 ? c->fd : 0;

	for (unsigned i = 0; !r && i < c->msg.count; i++) {
		off_t off = (off_t)c->msg.range[i].off, size = (off_t)c->msg.range[i].size;

		if (c->msg.what == HELPER_DROP)
			r = -posix_fadvise(c->fd, off, size, POSIX_FADV_DONTNEED);
		else if (sync_file_range(c->fd, off, size,
					 SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
						 SYNC_FILE_RANGE_WAIT_AFTER) < 0)
			r = -errno;
	}
	return r;
}

static int call_do(const struct call *c)
{
	const struct helper_msg *msg = &c->msg;

	if (msg->what == HELPER_INVALIDATE)
		return invalidate(msg, c->fuse_fd);
	if (msg->what == HELPER_STORE)
		return c->fd < 0 || page_is_present(c->fd, msg->range[0].off)
			       ? store(c->fuse_fd, msg->ino, msg->range[0].off, msg->range[0].size, msg->content)
			       : 0;
	return file_do(c);
}

static void call_close(struct call *c)
{
	if (c->fd >= 0)
		close(c->fd);
	/* The kernel ends the mount when the last descriptor of its FUSE connection is closed. */
	if (c->fuse_fd >= 0)
		close(c->fuse_fd);
}

static void *call_run(void *arg)
{
	struct call *c = arg;
	int r = call_do(c);

	call_close(c);
	answer_send(c->msg.cookie, r);
	free(c);
	return NULL;
}

/* Takes over the call's descriptors and answers later; false: without memory or a thread it does
 * neither. */
static bool call_start(const struct call *call)
{
	struct call *c = malloc(sizeof(*c));
	pthread_t thread;

	if (!c)
		return false;
	*c = *call;
	if (pthread_create(&thread, NULL, call_run, c)) {
		free(c);
		return false;
	}
	pthread_detach(thread);
	return true;
}

/*
 * Calls that are answered wait for pages: for READs in flight, or for WRITEs that the worker or its
 * successor answers, perhaps only when a node is back. So each runs in a thread of its own. The
 * file is opened before, by the helper's main thread, whose open files do not count
 * (pagecache_is_helper()).
 */
static void helper_run(const char *mountpoint, int fd, pid_t parent)
{
	static struct call call;
	int fds[DESCRIPTORS_MAX];
	unsigned count;

	prctl(PR_SET_NAME, "gvmfs-pages");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGINT, SIG_IGN);
	/* A waiting call must not keep other descriptors open, or a folder busy. */
	if (getppid() != parent || dup2(fd, 0) < 0 || chdir("/") < 0)
		_exit(1);
	close_range(1, ~0u, 0);
	while (poll(&(struct pollfd){ .events = POLLIN }, 1, -1) >= 0 &&
	       descriptors_receive(0, &call.msg, sizeof(call.msg), fds, &count) == 0) {
		call.fd = *call.msg.path ? file_open(mountpoint, &call.msg) : -ENOENT;
		call.fuse_fd = count ? fds[0] : -1;
		while (count > 1)
			close(fds[--count]);
		if (call.msg.cookie && call_start(&call))
			continue;
		/* Without memory for a thread, no call that may wait is begun. */
		if (call.msg.what == HELPER_DROP)
			file_do(&call);
		call_close(&call);
		if (call.msg.cookie && !answer_send(call.msg.cookie, -EAGAIN))
			break;
	}
	_exit(0);
}

/* ---- the worker's side ---- */

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
static int message_begin(struct worker *w, unsigned nr, enum helper_what what, struct helper_msg *msg)
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

static int message_send(struct worker *w, const struct helper_msg *msg, const int *fds, unsigned count)
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
	r = message_send(w, msg, fds, count);
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
	int r = writes_are_waited_for(w) ? message_begin(w, inode->nr, HELPER_SYNC, &msg) : -EOPNOTSUPP;

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
	job->result = store(s->w->fuse_fd, s->ino, s->off, s->size, s->content);
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

	if (message_begin(w, inode->nr, HELPER_STORE, &msg) < 0)
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

/* ---- dropping what was read */

static struct pagecache_note *note_find(struct pagecache *pc, unsigned nr, uint64_t begin)
{
	for (unsigned i = 0; i < pc->noted; i++) {
		struct pagecache_note *n = &pc->notes[i];

		if (n->nr_plus_1 == nr + 1 && begin >= n->begin && begin <= n->end + DROP_BEHIND)
			return n;
	}
	return NULL;
}

void pagecache_note(struct worker *w, const struct inode *inode, uint64_t off, uint64_t size)
{
	struct pagecache *pc = w->pagecache;
	struct pagecache_note *n = note_find(pc, inode->nr, off);

	if (pc->fd < 0)
		return;
	if (!n && pc->noted < PAGECACHE_NOTES) {
		n = &pc->notes[pc->noted++];
		*n = (struct pagecache_note){
			.nr_plus_1 = inode->nr + 1, .first = off, .begin = off, .end = off
		};
	}
	if (!n) { /* no note is free: widen one of this file to cover this place */
		n = &pc->notes[inode->nr % PAGECACHE_NOTES];
		if (n->nr_plus_1 != inode->nr + 1)
			return;
		n->begin = n->first = off < n->first ? off : n->first;
	}
	if (off + size > n->end)
		n->end = off + size;
	if (n->again && off < n->begin)
		n->begin = off;
	n->again = false;
	n->last_ns = gvm_now_ns();
}

void pagecache_closed(struct worker *w, struct inode *inode)
{
	struct pagecache *pc = w->pagecache;

	if (pc->fd < 0 || pc->noted == PAGECACHE_NOTES)
		return;
	pc->notes[pc->noted++] = (struct pagecache_note){
		.nr_plus_1 = inode->nr + 1,
		.end = inode->disk->rec.size_bytes,
	};
}

/* The end of what of a note may be dropped now: everything, once the reader has been still for a moment.
 * A drop misses pages that are locked or being copied just then, so there is a second one. */
static uint64_t note_due(const struct worker *w, const struct pagecache_note *n, uint64_t now_ns)
{
	/* A region that is not attached may be written by another host at any moment. */
	uint64_t age_ns = w->journal->inodes[n->nr_plus_1 - 1].epoch ? DROP_AGE_NS : DROP_AGE_REST_NS;

	if (now_ns - n->last_ns >= (n->again ? DROP_AGAIN * age_ns : age_ns))
		return n->end;
	return !n->again && n->end - n->begin > DROP_BYTES ? n->end - DROP_BEHIND : n->begin;
}

static void note_done(struct pagecache *pc, unsigned i, uint64_t end, uint64_t now_ns)
{
	struct pagecache_note *n = &pc->notes[i];

	if (end != n->end) {
		n->begin = end;
	} else if (!n->again) {
		n->again = true;
		n->begin = n->first;
		n->last_ns = now_ns;
	} else {
		*n = pc->notes[--pc->noted];
	}
}

static void invalidated(struct worker *w, struct pagecache_ask *ask, int error)
{
	(void)w;
	(void)error;
	free(ask);
}

/* The fast path changes the file beneath private mappings, and a drop leaves mapped pages. So the pages are
 * invalidated, which is safe here: no mapping exists through which a page could have been stored to. */
static int drop_mapped(struct worker *w, struct inode *inode, const struct helper_msg *msg)
{
	struct pagecache_ask *ask = calloc(1, sizeof(*ask));
	int r;

	if (!ask)
		return -ENOMEM;
	ask->done = invalidated;
	r = pagecache_invalidate(w, inode, msg->range, msg->count, ask);
	if (r < 0)
		free(ask);
	return r;
}

/* Drops what is due of one file. False: the helper's queue is full. */
static bool drop_file(struct worker *w, unsigned nr, uint64_t now_ns)
{
	static struct helper_msg msg;
	struct pagecache *pc = w->pagecache;
	bool known = message_begin(w, nr, HELPER_DROP, &msg) == 0;
	struct inode *inode = w->inodes->rt[nr];
	int r;

	for (unsigned i = 0; i < pc->noted && msg.count < PAGECACHE_RANGES; i++) {
		uint64_t end = note_due(w, &pc->notes[i], now_ns);

		if (pc->notes[i].nr_plus_1 != nr + 1 || end == pc->notes[i].begin)
			continue;
		msg.range[msg.count].off = pc->notes[i].begin;
		msg.range[msg.count++].size = end - pc->notes[i].begin;
	}
	if (inode && inode->resident)
		r = drop_mapped(w, inode, &msg);
	else
		r = known ? message_send(w, &msg, NULL, 0) : 0;
	if (r < 0)
		return false;
	for (unsigned i = pc->noted; i--;) {
		uint64_t end = note_due(w, &pc->notes[i], now_ns);

		for (unsigned k = 0; k < msg.count; k++)
			if (pc->notes[i].nr_plus_1 == nr + 1 && pc->notes[i].begin == msg.range[k].off &&
			    end - msg.range[k].off == msg.range[k].size) {
				note_done(pc, i, end, now_ns);
				break;
			}
	}
	return true;
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
	for (unsigned i = 0; i < pc->noted; i++)
		if (note_due(w, &pc->notes[i], now_ns) != pc->notes[i].begin) {
			if (!drop_file(w, pc->notes[i].nr_plus_1 - 1, now_ns))
				return now_ns + DROP_AGE_NS < next ? now_ns + DROP_AGE_NS : next;
			i = ~0u; /* start over: drop_file() moves notes */
		}
	if (pc->noted && now_ns + DROP_AGE_REST_NS < next)
		next = now_ns + DROP_AGE_REST_NS;
	return next;
}
