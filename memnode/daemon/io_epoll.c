// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * io_epoll.c - the same operations without a ring.
 *
 * A descriptor is registered once, edge-triggered; its readiness is remembered until a call returns
 * EAGAIN. io_submit() tries the queued operations, collects edges, and tries the operations that
 * waited for them: each once, so that no peer holds up the others. A send that finds no room ends
 * with -EAGAIN when there is room again: the caller still has the rest, and the message's vectors
 * need not be kept.
 */
#include "io.h"
#include "../clock.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 256
#define NEVER  UINT64_MAX

/* (epoll_pwait: how some architectures' C libraries make epoll_wait.) */
static const int calls[] = {
#ifdef SYS_epoll_wait
	SYS_epoll_wait,
#endif
	SYS_epoll_pwait, SYS_epoll_ctl, SYS_accept4, SYS_recvfrom, SYS_sendmsg, SYS_read, -1,
};

enum state { IDLE, QUEUED, WAITING };

/* A descriptor: its readiness, and the operations under way on it. */
struct fd_state {
	void *rx_owner, *tx_owner;
	uint8_t *buf;
	size_t bytes, got;
	const struct msghdr *msg; /* while the send is queued */
	struct sockaddr *addr;	  /* of an accept */
	socklen_t *addr_len;
	int flags;
	enum io_kind rx_kind;
	uint8_t rx, tx; /* enum state */
	bool readable, writable;
	bool over; /* the end, or an error, is behind what can be received */
};

struct queued {
	int fd;
	bool tx;
};

struct io_epoll {
	int fd;
	unsigned fds_max;
	struct fd_state *fds; /* by descriptor */
	/* At most one send for each descriptor, and receives of which some were cancelled. */
	struct queued *queue;
	unsigned queued;
	struct io_end *ends; /* a ring */
	unsigned ends_size, ends_put, ends_taken;
	uint64_t tick_ns;
};

static void epoll_deinit(struct io *io)
{
	struct io_epoll *e = io->epoll;

	close(e->fd);
	free(e->fds);
	free(e->queue);
	free(e->ends);
	free(e);
}

static int epoll_init(struct io *io, unsigned fds_max)
{
	struct io_epoll *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->fds_max = fds_max;
	e->tick_ns = NEVER;
	e->ends_size = 2 * fds_max + 8;
	e->fds = calloc(fds_max, sizeof(*e->fds));
	e->queue = calloc(4 * (size_t)fds_max, sizeof(*e->queue));
	e->ends = calloc(e->ends_size, sizeof(*e->ends));
	io->epoll = e;
	e->fd = epoll_create1(EPOLL_CLOEXEC);
	if (e->fd >= 0 && e->fds && e->queue && e->ends)
		return 0;
	fds_max = e->fd < 0 ? (unsigned)errno : ENOMEM;
	epoll_deinit(io);
	return -(int)fds_max;
}

/* Registers a descriptor; if it is ready already, that is its first edge. */
static int slot_begin(struct io_epoll *e, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events | EPOLLET, .data.fd = fd};

	if ((unsigned)fd >= e->fds_max)
		return -EMFILE;
	e->fds[fd] = (struct fd_state){.writable = true};
	return epoll_ctl(e->fd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

static int epoll_watch(struct io *io, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return -errno;
	return slot_begin(io->epoll, fd, EPOLLIN);
}

static void end_put(struct io_epoll *e, void *owner, enum io_kind kind, int result)
{
	assert(e->ends_put - e->ends_taken < e->ends_size);
	e->ends[e->ends_put++ % e->ends_size] =
		(struct io_end){.owner = owner, .kind = kind, .result = result};
}

static bool epoll_has_news(const struct io *io)
{
	(void)io;
	return true;
}

static bool epoll_next(struct io *io, struct io_end *end)
{
	struct io_epoll *e = io->epoll;

	if (e->ends_taken == e->ends_put)
		return false;
	*end = e->ends[e->ends_taken++ % e->ends_size];
	if (e->ends_taken == e->ends_put)
		e->ends_taken = e->ends_put = 0; /* nothing wraps in the middle of a count */
	return true;
}

static void rx_end(struct io_epoll *e, struct fd_state *s, int result)
{
	s->rx = IDLE;
	end_put(e, s->rx_owner, s->rx_kind, result);
}

static int accept_once(struct io_epoll *e, int listener, struct fd_state *s)
{
	int fd = accept4(listener, s->addr, s->addr_len, SOCK_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = slot_begin(e, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	if (!err)
		return fd;
	close(fd);
	return err == -EMFILE ? err : -ENOMEM; /* the kernel's watches are used up */
}

static int rx_once(struct io_epoll *e, int fd, struct fd_state *s)
{
	ssize_t n;

	if (s->rx_kind == IO_ACCEPT)
		return accept_once(e, fd, s);
	if (s->rx_kind == IO_SIGNAL || s->rx_kind == IO_DISK)
		n = read(fd, s->buf, s->bytes);
	else
		n = recv(fd, s->buf + s->got, s->bytes - s->got, MSG_DONTWAIT);
	return n < 0 ? -errno : (int)n;
}

/* Receives what there is. A whole buffer may take several edges, as with MSG_WAITALL. */
static void rx_try(struct io_epoll *e, int fd, struct fd_state *s)
{
	int n = -EAGAIN;

	while (s->readable) {
		size_t room = s->bytes - s->got;

		n = rx_once(e, fd, s);
		if (n == -EINTR)
			continue;
		/* Fewer bytes than room: the socket is empty, and later bytes make a new edge. */
		if (n == -EAGAIN || (s->rx_kind == IO_RECV && n > 0 && (size_t)n < room && !s->over))
			s->readable = false;
		if (n <= 0 || s->rx_kind != IO_RECV)
			break;
		s->got += (size_t)n;
		if (s->got == s->bytes || !(s->flags & MSG_WAITALL))
			break;
		n = -EAGAIN;
	}
	if (n == -EAGAIN && !(s->flags & MSG_DONTWAIT))
		s->rx = WAITING;
	else
		rx_end(e, s, s->got ? (int)s->got : n); /* an error or the end comes with the next */
}

static void tx_end(struct io_epoll *e, struct fd_state *s, int result)
{
	s->tx = IDLE;
	end_put(e, s->tx_owner, IO_SEND, result);
}

static void tx_try(struct io_epoll *e, int fd, struct fd_state *s)
{
	ssize_t n = -1;

	errno = EAGAIN;
	if (s->writable)
		n = sendmsg(fd, s->msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	s->msg = NULL;
	if (n < 0 && errno == EAGAIN) {
		s->writable = false;
		s->tx = WAITING;
	} else {
		tx_end(e, s, n < 0 ? -errno : (int)n);
	}
}

static void queue_try(struct io *io)
{
	struct io_epoll *e = io->epoll;

	for (unsigned i = 0; i < e->queued; i++) {
		int fd = e->queue[i].fd;
		struct fd_state *s = &e->fds[fd];

		if (e->queue[i].tx)
			tx_try(e, fd, s);
		else if (s->rx == QUEUED) /* and not cancelled */
			rx_try(e, fd, s);
	}
	e->queued = 0;
	io->msgs_used = io->iovs_used = 0;
}

static void event_take(struct io_epoll *e, const struct epoll_event *ev)
{
	struct fd_state *s = &e->fds[ev->data.fd];
	bool broken = ev->events & (EPOLLERR | EPOLLHUP);

	if (broken || ev->events & EPOLLRDHUP)
		s->over = true;
	if (s->over || ev->events & EPOLLIN) {
		s->readable = true;
		if (s->rx == WAITING)
			rx_try(e, ev->data.fd, s);
	}
	if (broken || ev->events & EPOLLOUT) {
		s->writable = true;
		if (s->tx == WAITING)
			tx_end(e, s, -EAGAIN);
	}
}

/* Milliseconds until the tick, rounded up. */
static int tick_wait(const struct io_epoll *e)
{
	uint64_t now = gvm_now_ns();

	if (e->tick_ns == NEVER)
		return -1;
	return e->tick_ns <= now ? 0 : (int)((e->tick_ns - now + 999999) / 1000000);
}

static int epoll_submit(struct io *io, bool wait)
{
	struct io_epoll *e = io->epoll;
	struct epoll_event events[EVENTS];
	int n;

	queue_try(io);
	n = epoll_wait(e->fd, events, EVENTS, wait && e->ends_put == e->ends_taken ? tick_wait(e) : 0);
	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++)
		event_take(e, &events[i]);
	if (e->tick_ns <= gvm_now_ns()) {
		e->tick_ns = NEVER;
		end_put(e, NULL, IO_TICK, -ETIME);
	}
	return 0;
}

/* The receive of a descriptor: the caller fills its state. */
static struct fd_state *rx_queue(struct io *io, int fd, enum io_kind kind, void *owner)
{
	struct io_epoll *e = io->epoll;
	struct fd_state *s = &e->fds[fd];

	assert(s->rx == IDLE);
	s->rx = QUEUED;
	s->rx_kind = kind;
	s->rx_owner = owner;
	s->got = 0;
	s->flags = 0;
	if (e->queued >= 3 * e->fds_max) /* of those that were cancelled and begun anew */
		queue_try(io);
	e->queue[e->queued++] = (struct queued){.fd = fd};
	return s;
}

static void epoll_accept(struct io *io, int fd, struct sockaddr *addr, socklen_t *len)
{
	struct fd_state *s = rx_queue(io, fd, IO_ACCEPT, NULL);

	s->addr = addr;
	s->addr_len = len;
}

static void epoll_read(struct io *io, int fd, void *buf, unsigned bytes, enum io_kind kind)
{
	struct fd_state *s = rx_queue(io, fd, kind, NULL);

	s->buf = buf;
	s->bytes = bytes;
}

static void epoll_timeout(struct io *io, struct __kernel_timespec *ts)
{
	io->epoll->tick_ns = gvm_now_ns() + (uint64_t)ts->tv_sec * 1000000000u + (uint64_t)ts->tv_nsec;
}

static void epoll_recv(struct io *io, int fd, void *buf, size_t bytes, int flags, void *owner)
{
	struct fd_state *s = rx_queue(io, fd, IO_RECV, owner);

	s->buf = buf;
	s->bytes = bytes;
	s->flags = flags;
	if (flags & MSG_DONTWAIT)
		s->readable = true; /* to be asked, whatever the last edge said */
}

static void epoll_cancel_recv(struct io *io, int fd, void *owner)
{
	struct fd_state *s = &io->epoll->fds[fd];

	if (s->rx != IDLE && s->rx_owner == owner)
		rx_end(io->epoll, s, s->got ? (int)s->got : -ECANCELED);
}

static void epoll_send(struct io *io, int fd, const struct msghdr *msg, void *owner)
{
	struct io_epoll *e = io->epoll;
	struct fd_state *s = &e->fds[fd];

	assert(s->tx == IDLE);
	s->tx = QUEUED;
	s->tx_owner = owner;
	s->msg = msg;
	e->queue[e->queued++] = (struct queued){.fd = fd, .tx = true};
}

const struct io_engine io_epoll_engine = {
	.name = "epoll",
	.init = epoll_init,
	.deinit = epoll_deinit,
	.watch = epoll_watch,
	.submit = epoll_submit,
	.has_news = epoll_has_news,
	.next = epoll_next,
	.accept = epoll_accept,
	.read = epoll_read,
	.timeout = epoll_timeout,
	.recv = epoll_recv,
	.cancel_recv = epoll_cancel_recv,
	.send = epoll_send,
	.calls = calls,
};
