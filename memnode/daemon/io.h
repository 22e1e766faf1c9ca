/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io.h - the node's only ring: what it may do, and how an operation is put into it.
 *
 * The ring is made disabled, restricted to the operations below, and then enabled for good: from
 * there on the kernel refuses it anything else (opening files, for example).
 */
#ifndef GVM_IO_H
#define GVM_IO_H

#include <liburing.h>
#include <sys/socket.h>

/* What a completion belongs to: the low bits of its user_data, beside a pointer. */
enum io_kind { IO_ACCEPT, IO_SIGNAL, IO_TICK, IO_RECV, IO_SEND, IO_CANCEL };
#define IO_KIND_MASK 7u

#define IO_ENTRIES  256u
#define IO_IOVS	    4096u
#define IO_IOVS_ONE 1024u /* the kernel's limit for one message */

struct io {
	struct io_uring ring;
	/* Messages not yet submitted; the kernel has copied them when the submission returns. */
	struct msghdr msgs[IO_ENTRIES];
	struct iovec iovs[IO_IOVS];
	unsigned msgs_used, iovs_used;
};

int io_init(struct io *io);
void io_deinit(struct io *io);

/* Submits what was queued; waits for a completion too if `wait`. 0 or a negative errno. */
int io_submit(struct io *io, bool wait);

void io_accept(struct io *io, int fd, struct sockaddr *addr, socklen_t *len);
void io_read(struct io *io, int fd, void *buf, unsigned bytes, enum io_kind kind);
void io_timeout(struct io *io, struct __kernel_timespec *ts);
void io_recv(struct io *io, int fd, void *buf, size_t bytes, int flags, void *owner);
/* The receive of `owner` ends with -ECANCELED, unless it has just ended otherwise. */
void io_cancel_recv(struct io *io, void *owner);
/* Room for a message's iovecs, at most IO_IOVS_ONE; to be followed by io_send(). */
struct iovec *io_send_room(struct io *io);
void io_send(struct io *io, int fd, struct iovec *iov, unsigned iovs, void *owner);

#endif
