// SPDX-License-Identifier: GPL-2.0-or-later
/* io.c - the ring: set up, restricted, fed. */
#include "io.h"

#include <errno.h>
#include <string.h>

static const uint8_t ops_allowed[] = {
	IORING_OP_ACCEPT, IORING_OP_READ, IORING_OP_TIMEOUT, IORING_OP_RECV, IORING_OP_SENDMSG,
	IORING_OP_ASYNC_CANCEL,
};
#define OPS (sizeof(ops_allowed) / sizeof(*ops_allowed))

int io_init(struct io *io)
{
	static const unsigned flags[] = {
		/* 6.1: completions are run by the one thread that waits for them. */
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		0,
	};
	struct io_uring_restriction allowed[OPS];
	int err = -EINVAL;

	memset(io, 0, sizeof(*io));
	for (unsigned i = 0; i < 2 && err == -EINVAL; i++) {
		struct io_uring_params p = {
			.flags = flags[i] | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE |
				 IORING_SETUP_SUBMIT_ALL,
			.cq_entries = 16 * IO_ENTRIES,
		};

		err = io_uring_queue_init_params(IO_ENTRIES, &io->ring, &p);
	}
	if (err)
		return err;
	memset(allowed, 0, sizeof(allowed));
	for (unsigned i = 0; i < OPS; i++) {
		allowed[i].opcode = IORING_RESTRICTION_SQE_OP;
		allowed[i].sqe_op = ops_allowed[i];
	}
	/* (liburing 2.3 as Debian ships it does not export its own functions for these two.) */
	err = io_uring_register((unsigned)io->ring.ring_fd, IORING_REGISTER_RESTRICTIONS, allowed,
				OPS);
	if (!err)
		err = io_uring_register((unsigned)io->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS,
					NULL, 0);
	if (err)
		io_uring_queue_exit(&io->ring);
	return err;
}

void io_deinit(struct io *io)
{
	io_uring_queue_exit(&io->ring);
}

int io_submit(struct io *io, bool wait)
{
	int ret = wait ? io_uring_submit_and_wait(&io->ring, 1) :
			 io_uring_submit_and_get_events(&io->ring);

	if (!io_uring_sq_ready(&io->ring))
		io->msgs_used = io->iovs_used = 0;
	return ret < 0 ? ret : 0;
}

static struct io_uring_sqe *io_sqe(struct io *io)
{
	struct io_uring_sqe *sqe;

	/* The kernel takes what is submitted, or has completions to be reaped first: those it
	 * keeps, so that trying again makes progress. */
	while (!(sqe = io_uring_get_sqe(&io->ring)))
		io_submit(io, false);
	return sqe;
}

static void io_owner(struct io_uring_sqe *sqe, void *owner, enum io_kind kind)
{
	io_uring_sqe_set_data64(sqe, (uintptr_t)owner | kind);
}

void io_accept(struct io *io, int fd, struct sockaddr *addr, socklen_t *len)
{
	struct io_uring_sqe *sqe = io_sqe(io);

	io_uring_prep_accept(sqe, fd, addr, len, SOCK_CLOEXEC);
	io_owner(sqe, NULL, IO_ACCEPT);
}

void io_read(struct io *io, int fd, void *buf, unsigned bytes, enum io_kind kind)
{
	struct io_uring_sqe *sqe = io_sqe(io);

	io_uring_prep_read(sqe, fd, buf, bytes, 0);
	io_owner(sqe, NULL, kind);
}

void io_timeout(struct io *io, struct __kernel_timespec *ts)
{
	struct io_uring_sqe *sqe = io_sqe(io);

	io_uring_prep_timeout(sqe, ts, 0, 0);
	io_owner(sqe, NULL, IO_TICK);
}

void io_recv(struct io *io, int fd, void *buf, size_t bytes, int flags, void *owner)
{
	struct io_uring_sqe *sqe = io_sqe(io);

	io_uring_prep_recv(sqe, fd, buf, bytes, flags);
	io_owner(sqe, owner, IO_RECV);
}

void io_cancel_recv(struct io *io, void *owner)
{
	struct io_uring_sqe *sqe = io_sqe(io);

	io_uring_prep_cancel64(sqe, (uintptr_t)owner | IO_RECV, 0);
	io_owner(sqe, NULL, IO_CANCEL);
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
	struct io_uring_sqe *sqe;

	io->iovs_used += iovs;
	*msg = (struct msghdr){.msg_iov = iov, .msg_iovlen = iovs};
	sqe = io_sqe(io);
	io_uring_prep_sendmsg(sqe, fd, msg, MSG_NOSIGNAL);
	io_owner(sqe, owner, IO_SEND);
}
