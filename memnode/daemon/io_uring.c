// SPDX-License-Identifier: GPL-2.0-or-later
/* io_uring.c - the ring: set up, restricted, fed. */
#include "io.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

static const int calls[] = {SYS_io_uring_enter, -1};

static const uint8_t ops_allowed[] = {
	IORING_OP_ACCEPT, IORING_OP_READ, IORING_OP_TIMEOUT, IORING_OP_RECV, IORING_OP_SENDMSG,
	IORING_OP_ASYNC_CANCEL,
};
#define OPS (sizeof(ops_allowed) / sizeof(*ops_allowed))

static int uring_init(struct io *io, unsigned fds_max)
{
	static const unsigned flags[] = {
		/* 6.1: completions are run by the one thread that waits for them, and the ring says when there are some. */
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		0,
	};
	struct io_uring_restriction allowed[OPS];
	int err = -EINVAL;

	(void)fds_max;
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
	/* One who may set it up need not be one who may use it. */
	if (!err)
		err = io_uring_submit_and_get_events(&io->ring);
	if (err < 0)
		io_uring_queue_exit(&io->ring);
	return err < 0 ? err : 0;
}

static void uring_deinit(struct io *io)
{
	io_uring_queue_exit(&io->ring);
}

static int uring_watch(struct io *io, int fd)
{
	(void)io;
	(void)fd;
	return 0;
}

static int uring_submit(struct io *io, bool wait)
{
	int ret = wait ? io_uring_submit_and_wait(&io->ring, 1) :
			 io_uring_submit_and_get_events(&io->ring);

	if (!io_uring_sq_ready(&io->ring))
		io->msgs_used = io->iovs_used = 0;
	return ret < 0 ? ret : 0;
}

static bool uring_has_news(const struct io *io)
{
	return io_uring_cq_ready(&io->ring) ||
	       IO_URING_READ_ONCE(*io->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

static bool uring_next(struct io *io, struct io_end *end)
{
	struct io_uring_cqe *cqe;

	if (io_uring_peek_cqe(&io->ring, &cqe))
		return false;
	end->owner = (void *)(uintptr_t)(cqe->user_data & ~(uint64_t)IO_KIND_MASK);
	end->kind = (enum io_kind)(cqe->user_data & IO_KIND_MASK);
	end->result = cqe->res;
	io_uring_cqe_seen(&io->ring, cqe);
	return true;
}

static struct io_uring_sqe *io_sqe(struct io *io)
{
	struct io_uring_sqe *sqe;

	/* The kernel takes what is submitted, or has completions to be reaped first: those it
	 * keeps, so that trying again makes progress. */
	while (!(sqe = io_uring_get_sqe(&io->ring)))
		uring_submit(io, false);
	return sqe;
}

static void io_owner(struct io_uring_sqe *sqe, void *owner, enum io_kind kind)
{
	io_uring_sqe_set_data64(sqe, (uintptr_t)owner | kind);
}

static void uring_accept(struct io *io, int fd, struct sockaddr *addr, socklen_t *len)
{
	struct io_uring_sqe *sqe = io_sqe(io);

	io_uring_prep_accept(sqe, fd, addr, len, SOCK_CLOEXEC);
	io_owner(sqe, NULL, IO_ACCEPT);
}

static void uring_read(struct io *io, int fd, void *buf, unsigned bytes, enum io_kind kind)
{
	struct io_uring_sqe *sqe = io_sqe(io);

	io_uring_prep_read(sqe, fd, buf, bytes, 0);
	io_owner(sqe, NULL, kind);
}

static void uring_timeout(struct io *io, struct __kernel_timespec *ts)
{
	struct io_uring_sqe *sqe = io_sqe(io);

	io_uring_prep_timeout(sqe, ts, 0, 0);
	io_owner(sqe, NULL, IO_TICK);
}

static void uring_recv(struct io *io, int fd, void *buf, size_t bytes, int flags, void *owner)
{
	struct io_uring_sqe *sqe = io_sqe(io);

	io_uring_prep_recv(sqe, fd, buf, bytes, flags);
	io_owner(sqe, owner, IO_RECV);
}

static void uring_cancel_recv(struct io *io, int fd, void *owner)
{
	struct io_uring_sqe *sqe = io_sqe(io);

	(void)fd;
	io_uring_prep_cancel64(sqe, (uintptr_t)owner | IO_RECV, 0);
	io_owner(sqe, NULL, IO_CANCEL);
}

static void uring_send(struct io *io, int fd, const struct msghdr *msg, void *owner)
{
	struct io_uring_sqe *sqe = io_sqe(io);

	io_uring_prep_sendmsg(sqe, fd, msg, MSG_NOSIGNAL);
	io_owner(sqe, owner, IO_SEND);
}

const struct io_engine io_uring_engine = {
	.name = "uring",
	.init = uring_init,
	.deinit = uring_deinit,
	.watch = uring_watch,
	.submit = uring_submit,
	.has_news = uring_has_news,
	.next = uring_next,
	.accept = uring_accept,
	.read = uring_read,
	.timeout = uring_timeout,
	.recv = uring_recv,
	.cancel_recv = uring_cancel_recv,
	.send = uring_send,
	.calls = calls,
};
