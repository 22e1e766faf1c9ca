// SPDX-License-Identifier: GPL-2.0-or-later
/* io.c - which engine, and the messages that wait for their submission. */
#include "io.h"

#include <errno.h>
#include <string.h>

int io_init(struct io *io, const char *engine, unsigned fds_max, int *refused)
{
	static const struct io_engine *const engines[] = {&io_uring_engine, &io_epoll_engine};
	int err = -EINVAL;

	*refused = 0;
	for (unsigned i = 0; i < 2; i++) {
		if (engine && strcmp(engine, engines[i]->name))
			continue;
		memset(io, 0, sizeof(*io));
		io->engine = engines[i];
		err = io->engine->init(io, fds_max);
		if (!err || engine || i)
			return err;
		*refused = -err;
	}
	return err;
}

void io_deinit(struct io *io)
{
	io->engine->deinit(io);
}

int io_watch(struct io *io, int fd)
{
	return io->engine->watch(io, fd);
}

int io_submit(struct io *io, bool wait)
{
	return io->engine->submit(io, wait);
}

bool io_has_news(const struct io *io)
{
	return io->engine->has_news(io);
}

bool io_next(struct io *io, struct io_end *end)
{
	return io->engine->next(io, end);
}

void io_accept(struct io *io, int fd, struct sockaddr *addr, socklen_t *len)
{
	io->engine->accept(io, fd, addr, len);
}

void io_read(struct io *io, int fd, void *buf, unsigned bytes, enum io_kind kind)
{
	io->engine->read(io, fd, buf, bytes, kind);
}

void io_timeout(struct io *io, struct __kernel_timespec *ts)
{
	io->engine->timeout(io, ts);
}

void io_recv(struct io *io, int fd, void *buf, size_t bytes, int flags, void *owner)
{
	io->engine->recv(io, fd, buf, bytes, flags, owner);
}

void io_cancel_recv(struct io *io, int fd, void *owner)
{
	io->engine->cancel_recv(io, fd, owner);
}

struct iovec *io_send_room(struct io *io)
{
	while (io->msgs_used == IO_ENTRIES || io->iovs_used > IO_IOVS - IO_IOVS_ONE)
		io_submit(io, false);
	return &io->iovs[io->iovs_used];
}

void io_send(struct io *io, int fd, struct iovec *iov, unsigned iovs, void *owner)
{
	struct msghdr *msg = &io->msgs[io->msgs_used++];

	io->iovs_used += iovs;
	*msg = (struct msghdr){.msg_iov = iov, .msg_iovlen = iovs};
	io->engine->send(io, fd, msg, owner);
}
