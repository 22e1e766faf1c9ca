// SPDX-License-Identifier: GPL-2.0-or-later
/* visitor.c - see visitor.h. */
#include "visitor.h"

#include "base/descriptors.h"
#include "gvm_wire.h"
#include "uffd.h"
#include "visit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define BELL_MS	      10000 /* replacing a worker takes less */
#define MINCORE_BYTES (64ull << 20)
#define SYS_CACHESTAT 451 /* Linux 6.5; the headers of Debian 12 lack it */
#define LAST_US	      100000 /* between the end of the channel and the close of the descriptors */

/* One conversation. */
struct visit {
	const struct visitor *v;
	int file;    /* the client's open file, later its userfaultfd; -1: none */
	int channel; /* to the worker; -1: the client was not announced yet */
	int memory;  /* the memfd that the client was given; -1: none yet */
	uint64_t bytes;
};

/* ---- messages of the client ---- */

static int client_send(struct visit *t, const struct gvm_attach_msg *msg, const int *fds, unsigned count)
{
	return descriptors_send(t->v->client, msg, sizeof(*msg), fds, count);
}

static void client_refuse(struct visit *t, int error, const char *why)
{
	struct gvm_attach_msg msg = gvm_attach_message(GVM_ATTACH_REFUSE);

	msg.error = error;
	gvm_attach_explain(&msg, why);
	client_send(t, &msg, NULL, 0);
}

/* Receives a message of this type with its one descriptor. Anything else that came is closed by the
 * end of the process. */
static int client_receive(struct visit *t, enum gvm_attach_type type, struct gvm_attach_msg *msg, int *fd)
{
	int fds[DESCRIPTORS_MAX];
	unsigned count;
	int r = descriptors_receive(t->v->client, msg, sizeof(*msg), fds, &count);

	if (r == -EPIPE)
		return r;
	if (r || !gvm_attach_accept(msg, count, GVM_ATTACH_TO_GVMFS) || msg->type != type) {
		atomic_fetch_or(t->v->stage, VISITOR_BABBLES);
		return -EPROTO;
	}
	*fd = fds[0];
	return 0;
}

/* ---- the file ---- */

/* The inode number, if fd is a file of our mount that is open for reading and writing; otherwise 0.
 * Makes no request to the file's filesystem. */
static uint64_t file_ino(int fd, dev_t dev)
{
	struct statx st;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || flags & O_PATH || (flags & O_ACCMODE) != O_RDWR ||
	    statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &st) < 0 ||
	    makedev(st.stx_dev_major, st.stx_dev_minor) != dev)
		return 0;
	return st.stx_ino;
}

/* How many pages of a file are in the page cache. Its cost depends on what is cached, not on the
 * file's size. -ENOSYS: Linux before 6.5. */
static int64_t pages_cached(int fd)
{
	struct {
		uint64_t off, bytes; /* 0: to the end */
	} range = { 0, 0 };
	struct {
		uint64_t cached, dirty, writeback, evicted, recently_evicted;
	} found = { 0 };

	return syscall(SYS_CACHESTAT, fd, &range, &found, 0) < 0 ? -errno : (int64_t)found.cached;
}

/* The same question by a look at each page: 0: none is in the page cache; -EBUSY: some are; or
 * another negative errno. */
static int pages_look(int fd, uint64_t bytes)
{
	static unsigned char here[MINCORE_BYTES / GVM_PAGE_BYTES];

	for (uint64_t at = 0; at < bytes; at += MINCORE_BYTES) {
		size_t n = bytes - at < MINCORE_BYTES ? bytes - at : MINCORE_BYTES;
		void *p = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, (off_t)at);

		if (p == MAP_FAILED || mincore(p, n, here) < 0)
			return -errno;
		for (size_t i = 0; i < n / GVM_PAGE_BYTES; i++)
			if (here[i] & 1)
				return -EBUSY;
		munmap(p, n);
	}
	return 0;
}

/* Writes back and drops the file's pages in the page cache: 0, -EBUSY if some stay, or another
 * negative errno. */
static int file_flush(int fd, uint64_t bytes)
{
	int64_t cached;

	if (fsync(fd) < 0)
		return -errno;
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	cached = pages_cached(fd);
	if (cached < 0)
		return pages_look(fd, bytes);
	return cached ? -EBUSY : 0;
}

/* ---- messages of the worker ---- */

static int channel_send(struct visit *t, struct visit_msg *msg, const int *fds, unsigned count)
{
	return descriptors_send(t->channel, msg, sizeof(*msg), fds, count);
}

/* Announces the client. Waits while the bell is full: a worker that is just being replaced does not
 * read it. */
static int bell_ring(struct visit *t, const struct visit_msg *msg, int fd)
{
	struct pollfd p = { .fd = t->v->bell, .events = POLLOUT };
	int r;

	while ((r = descriptors_send(t->v->bell, msg, sizeof(*msg), &fd, 1)) == -EAGAIN)
		if (poll(&p, 1, BELL_MS) <= 0)
			break;
	return r;
}

static int hello(struct visit *t)
{
	struct gvm_attach_msg said;
	struct visit_msg msg = { .what = VISIT_HELLO };
	int pair[2], r = client_receive(t, GVM_ATTACH_HELLO, &said, &t->file);

	if (r < 0)
		return r;
	msg.ino = file_ino(t->file, t->v->dev);
	if (!msg.ino) {
		client_refuse(t, -EINVAL, "the file is not of this mount, or not open for reading and writing");
		return -EINVAL;
	}
	atomic_fetch_or(t->v->stage, VISITOR_PROVED);
	msg.bytes = t->bytes = said.bytes;
	msg.offset = said.offset;
	msg.uid = t->v->uid;
	msg.pid = t->v->pid;
	msg.settles = (said.seq & GVM_ATTACH_SETTLES) != 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	t->channel = pair[0];
	r = bell_ring(t, &msg, pair[1]);
	close(pair[1]);
	return r;
}

static int prepare(struct visit *t)
{
	struct visit_msg msg = { .what = VISIT_PREPARED, .error = file_flush(t->file, t->bytes) };

	close(t->file);
	t->file = -1;
	return channel_send(t, &msg, NULL, 0);
}

static int welcome(struct visit *t, const struct visit_msg *said, const int *fds)
{
	struct gvm_attach_msg msg = gvm_attach_message(GVM_ATTACH_WELCOME);
	int all[] = { fds[0], fds[1], open("/dev/userfaultfd", O_RDWR | O_CLOEXEC) };
	int r;

	msg.bytes = said->bytes;
	r = client_send(t, &msg, all, all[2] < 0 ? 2 : 3);
	for (unsigned i = 1; i < 3; i++)
		if (all[i] >= 0)
			close(all[i]);
	t->memory = all[0];
	return r;
}

/* Whether the memfd has no page. May wait for a lock that the client holds. */
static bool memory_is_empty(int fd)
{
	return lseek(fd, 0, SEEK_DATA) < 0 && errno == ENXIO;
}

/* Checks READY and passes it on. 1: what the client has sent is not in order, and the worker has to
 * refuse it. */
static int ready(struct visit *t)
{
	struct visit_msg msg = { .what = VISIT_READY };
	struct gvm_attach_msg said;
	int fds[2], r = client_receive(t, GVM_ATTACH_READY, &said, &fds[0]);

	if (r < 0)
		return r;
	if (!uffd_is_plain(fds[0])) {
		atomic_fetch_or(t->v->stage, VISITOR_BABBLES);
		msg.error = -EINVAL;
	} else if (!memory_is_empty(t->memory)) {
		/* The client may have the pages mapped: they would never fault for the region's
		 * content. */
		msg.error = -EBUSY;
	}
	close(t->memory);
	if (msg.error) {
		close(fds[0]);
		r = channel_send(t, &msg, NULL, 0);
		return r < 0 ? r : 1;
	}
	msg.address = said.address;
	msg.offset = said.offset;
	msg.bytes = said.bytes;
	msg.page_bytes = said.page_bytes;
	fds[1] = t->v->client;
	r = channel_send(t, &msg, fds, 2);
	t->file = fds[0]; /* the userfaultfd, from here on */
	return r;
}

/* Handles the worker's next message; 1: the client has been welcomed. */
static int worker_word(struct visit *t)
{
	struct visit_msg msg;
	int fds[DESCRIPTORS_MAX];
	unsigned count;
	int r = descriptors_receive(t->channel, &msg, sizeof(msg), fds, &count);

	if (r < 0)
		return r;
	if (msg.what == VISIT_PREPARE && t->file >= 0)
		return prepare(t);
	if (msg.what == VISIT_WELCOME && count == 2) {
		r = welcome(t, &msg, fds);
		return r < 0 ? r : 1;
	}
	if (msg.what == VISIT_REFUSE)
		client_refuse(t, msg.error, msg.text);
	return -ECONNREFUSED;
}

/* The conversation, until the worker has the client: 0; a negative errno: it came to nothing. */
static int talk(struct visit *t)
{
	struct pollfd p[2] = { { .events = POLLIN }, { .events = POLLIN } };
	bool welcomed = false;
	int r = hello(t);

	while (r >= 0) {
		p[0].fd = t->channel;
		p[1].fd = t->v->client;
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return -errno;
		if (p[0].revents) {
			r = worker_word(t);
			welcomed |= r == 1;
		} else if (p[1].revents) {
			if (!welcomed)
				return -EPROTO; /* the client has left, or sent a message out of turn */
			welcomed = false;
			r = ready(t);
			if (r <= 0)
				return r;
		}
	}
	return r;
}

/* Keeps the socket and the userfaultfd open until neither the worker nor the supervisor has the
 * channel open. */
static void hold(struct visit *t)
{
	struct pollfd p = { .fd = t->channel, .events = POLLIN };
	struct visit_msg msg;

	atomic_fetch_or(t->v->stage, VISITOR_HOLDS);
	for (;;) {
		int r = descriptors_refuse(t->channel, &msg, sizeof(msg));

		if (r == -EAGAIN) {
			poll(&p, 1, -1);
			continue;
		}
		if (r < 0 || msg.what != VISIT_LOOK)
			break;
		msg = (struct visit_msg){ .what = VISIT_LOOKED,
					  .error = uffd_alive(t->file) ? 0 : -ESRCH };
		if (channel_send(t, &msg, NULL, 0) < 0)
			break;
	}
	/* A killed process may close the channel before its other descriptors. */
	usleep(LAST_US);
}

void visitor_run(const struct visitor *v)
{
	struct visit t = { .v = v, .file = -1, .channel = -1, .memory = -1 };
	int r;

	prctl(PR_SET_NAME, "gvmfs-visitor");
	r = talk(&t);
	close(v->bell);
	if (r == 0)
		hold(&t);
	/* The channel first, since the worker waits for its end; to close the rest may take long. */
	if (t.channel >= 0)
		shutdown(t.channel, SHUT_RDWR);
	if (r < 0 && t.file >= 0)
		close(t.file);
	_exit(0);
}
