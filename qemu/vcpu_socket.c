// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu_socket.c - see vcpu_socket.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "vcpu_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64

static const struct sockaddr_un *unix_of(const struct vcpu_addr *addr)
{
	return addr->sa.ss_family == AF_UNIX ? (const struct sockaddr_un *)&addr->sa : NULL;
}

int vcpu_addr_unix(const char *path, struct vcpu_addr *addr)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&addr->sa;

	memset(addr, 0, sizeof(*addr));
	if (strlen(path) >= sizeof(un->sun_path))
		return -ENAMETOOLONG;
	un->sun_family = AF_UNIX;
	strcpy(un->sun_path, path);
	addr->bytes = sizeof(*un);
	return 0;
}

static int open_stream(const struct vcpu_addr *addr)
{
	int fd = socket(addr->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

static void no_delay(int fd, const struct vcpu_addr *addr)
{
	int one = 1;

	if (!unix_of(addr))
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* A socket's name that was left by a process that is gone is in the way of the next one's. */
static void drop_stale(const struct vcpu_addr *addr)
{
	int fd = open_stream(addr);

	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)&addr->sa, addr->bytes) && errno == ECONNREFUSED)
		unlink(unix_of(addr)->sun_path);
	close(fd);
}

static int bind_to(int fd, const struct vcpu_addr *addr)
{
	int one = 1;

	if (unix_of(addr))
		drop_stale(addr);
	else
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return bind(fd, (const struct sockaddr *)&addr->sa, addr->bytes) ? -errno : 0;
}

int vcpu_socket_listen(const struct vcpu_addr *addr)
{
	int err, fd = open_stream(addr);

	if (fd < 0)
		return fd;
	err = bind_to(fd, addr);
	if (!err && listen(fd, BACKLOG))
		err = -errno;
	if (!err)
		return fd;
	close(fd);
	return err;
}

void vcpu_socket_forget(const struct vcpu_addr *addr)
{
	if (addr->bytes && unix_of(addr))
		unlink(unix_of(addr)->sun_path);
}

static int connected(int fd, int cancel, unsigned timeout_ms)
{
	struct pollfd ready[2] = {{.fd = fd, .events = POLLOUT}, {.fd = cancel, .events = POLLIN}};
	socklen_t bytes = sizeof(int);
	int err = 0;

	if (poll(ready, 2, (int)timeout_ms) < 0 && errno != EINTR)
		return -errno;
	if (ready[1].revents)
		return -ECANCELED;
	if (!ready[0].revents)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &bytes))
		return -errno;
	return -err;
}

int vcpu_socket_connect(const struct vcpu_addr *addr, int cancel, unsigned timeout_ms)
{
	int err = 0, fd = open_stream(addr);

	if (fd < 0)
		return fd;
	if (connect(fd, (const struct sockaddr *)&addr->sa, addr->bytes))
		err = errno == EINPROGRESS ? connected(fd, cancel, timeout_ms) : -errno;
	if (err) {
		close(fd);
		return err;
	}
	no_delay(fd, addr);
	return fd;
}

int vcpu_socket_accept(int listener)
{
	struct vcpu_addr from = {.bytes = sizeof(from.sa)};
	int fd = accept4(listener, (struct sockaddr *)&from.sa, &from.bytes,
			 SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return -errno;
	no_delay(fd, &from);
	return fd;
}

/* 0, or -ETIMEDOUT after one slice. */
static int wait_slice(int fd, short events, unsigned silence_ms)
{
	struct pollfd ready = {.fd = fd, .events = events};
	int n = poll(&ready, 1, (int)(silence_ms / VCPU_SLICES + 1));

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return n ? 0 : -ETIMEDOUT;
}

int vcpu_socket_read(int fd, uint8_t *bytes, size_t room, unsigned silence_ms)
{
	for (;;) {
		ssize_t n = recv(fd, bytes, room, 0);
		int err;

		if (n > 0)
			return (int)n;
		if (n == 0)
			return -ECONNRESET;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		err = wait_slice(fd, POLLIN, silence_ms);
		if (err)
			return err;
	}
}

int vcpu_socket_write(int fd, const uint8_t *bytes, size_t count, unsigned silence_ms)
{
	unsigned slices = 0;

	while (count) {
		ssize_t n = send(fd, bytes, count, MSG_NOSIGNAL);
		int err;

		if (n > 0) {
			bytes += n;
			count -= (size_t)n;
			slices = 0;
			continue;
		}
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		err = wait_slice(fd, POLLOUT, silence_ms);
		if (err && (err != -ETIMEDOUT || ++slices == VCPU_SLICES))
			return err;
	}
	return 0;
}
