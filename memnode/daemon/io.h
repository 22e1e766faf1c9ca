/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io.h - asynchronous operations on sockets, and their completions.
 *
 * Two engines have one interface: io_uring, whose ring is created disabled, restricted to the
 * operations below and then enabled (after which the kernel refuses any other operation, opening
 * files for example); and epoll, where a kernel, a container or an administrator does not allow the
 * former. An operation is under way from io_submit() until io_next() returns its end; at most one
 * receive and one send for a descriptor.
 */
#ifndef GVM_IO_H
#define GVM_IO_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Kind of a completed operation: with io_uring in the low bits of user_data, beside a pointer. */
enum io_kind { IO_ACCEPT, IO_SIGNAL, IO_TICK, IO_RECV, IO_SEND, IO_CANCEL, IO_DISK };
#define IO_KIND_MASK 7u

#define IO_ENTRIES  256u
#define IO_IOVS	    4096u
#define IO_IOVS_ONE 1024u /* the kernel's limit for one message */

/* The end of an operation: a number of bytes, a descriptor, or a negative errno. */
struct io_end {
	void *owner;
	enum io_kind kind;
	int result;
};

struct io;
struct io_epoll;

/* An engine; each function as the one of io.h with its name. */
struct io_engine {
	const char *name;
	int (*init)(struct io *io, unsigned fds_max);
	void (*deinit)(struct io *io);
	int (*watch)(struct io *io, int fd);
	int (*submit)(struct io *io, bool wait);
	bool (*has_news)(const struct io *io);
	bool (*next)(struct io *io, struct io_end *end);
	void (*accept)(struct io *io, int fd, struct sockaddr *addr, socklen_t *len);
	void (*read)(struct io *io, int fd, void *buf, unsigned bytes, enum io_kind kind);
	void (*timeout)(struct io *io, struct __kernel_timespec *ts);
	void (*recv)(struct io *io, int fd, void *buf, size_t bytes, int flags, void *owner);
	void (*cancel_recv)(struct io *io, int fd, void *owner);
	void (*send)(struct io *io, int fd, const struct msghdr *msg, void *owner);
	const int *calls; /* the system calls that it makes once it is set up; -1 at the end */
};

extern const struct io_engine io_uring_engine, io_epoll_engine;

struct io {
	const struct io_engine *engine;
	struct io_uring ring;
	struct io_epoll *epoll;
	/* Messages not yet submitted; the kernel does not use them after the submission. */
	struct msghdr msgs[IO_ENTRIES];
	struct iovec iovs[IO_IOVS];
	unsigned msgs_used, iovs_used;
};

/*
 * engine: its name; NULL: io_uring where it is allowed, else epoll. Descriptors that are used with
 * it are below fds_max. *refused: the errno for which io_uring is not used, or 0.
 * -EINVAL: there is no such engine.
 * Other errnos: the engine cannot be set up.
 */
int io_init(struct io *io, const char *engine, unsigned fds_max, int *refused);
void io_deinit(struct io *io);

/* A descriptor that io_accept() or io_read() will be used with; before the sandbox is entered. */
int io_watch(struct io *io, int fd);

/* Starts the queued operations; if `wait`, waits for an end. 0 or a negative errno. */
int io_submit(struct io *io, bool wait);
/* Whether io_submit() might find another end; without a system call, so that epoll cannot know, and says true. */
bool io_has_news(const struct io *io);
/* The next end; false: none now. */
bool io_next(struct io *io, struct io_end *end);

void io_accept(struct io *io, int fd, struct sockaddr *addr, socklen_t *len);
void io_read(struct io *io, int fd, void *buf, unsigned bytes, enum io_kind kind);
void io_timeout(struct io *io, struct __kernel_timespec *ts);
/*
 * fd came from io_accept(). MSG_WAITALL, MSG_DONTWAIT: as with recv(2), but fewer bytes may come.
 */
void io_recv(struct io *io, int fd, void *buf, size_t bytes, int flags, void *owner);
/* The receive of `owner` ends with -ECANCELED, unless it has just ended otherwise. */
void io_cancel_recv(struct io *io, int fd, void *owner);
/* Room for a message's iovecs, at most IO_IOVS_ONE; to be followed by io_send(). */
struct iovec *io_send_room(struct io *io);
/* It may end with fewer bytes, or with -EAGAIN: then the caller sends the rest. */
void io_send(struct io *io, int fd, struct iovec *iov, unsigned iovs, void *owner);

#endif
