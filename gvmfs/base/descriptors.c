// SPDX-License-Identifier: GPL-2.0-or-later
/* descriptors.c - see descriptors.h. */
#include "descriptors.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
};

int descriptors_send(int to, const void *message, size_t bytes, const int *fds, unsigned count)
{
	struct iovec iov = { .iov_base = (void *)message, .iov_len = bytes };
	union control control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (count) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	return sendmsg(to, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int descriptors_receive(int from, void *message, size_t bytes, int fds[DESCRIPTORS_MAX],
			unsigned *count)
{
	struct iovec iov = { .iov_base = message, .iov_len = bytes };
	union control control;
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	ssize_t r;

	*count = 0;
	do
		r = recvmsg(from, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		unsigned n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		memcpy(fds + *count, CMSG_DATA(c), n * sizeof(int));
		*count += n;
	}
	if (!r)
		return -EPIPE;
	return (size_t)r == bytes && !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ? 0 : -EPROTO;
}

int descriptors_refuse(int from, void *message, size_t bytes)
{
	struct iovec iov = { .iov_base = message, .iov_len = bytes };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t r;

	/* With no room for descriptors, peeking only tells whether there are some. */
	do
		r = recvmsg(from, &msg, MSG_PEEK | MSG_DONTWAIT);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (msg.msg_flags & MSG_CTRUNC)
		return -EPROTO;
	if (!r)
		return -EPIPE;
	/* This process is the only reader: the message is the one that was peeked at. */
	r = recv(from, message, bytes, MSG_DONTWAIT | MSG_TRUNC);
	return (size_t)r == bytes ? 0 : -EPROTO;
}

void descriptors_keep_only(int *fds, unsigned count)
{
	/* In ascending order, so that no descriptor is overwritten before it has been moved. */
	for (unsigned to = 0; to < count; to++) {
		unsigned least = to;

		for (unsigned i = 0; i < count; i++)
			if (fds[i] >= (int)to && (fds[least] < (int)to || fds[i] < fds[least]))
				least = i;
		if (fds[least] != (int)to)
			dup2(fds[least], (int)to);
		fds[least] = (int)to;
	}
	close_range(count, ~0u, 0);
}
