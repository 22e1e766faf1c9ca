// SPDX-License-Identifier: GPL-2.0-or-later
/* release.c - see release.h. */
#include "release.h"

#include "base/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FDS_MAX	  8u
#define EMPTY_MAX 4096 /* messages without a byte, more than any queue holds */

bool holder_lives(int channel)
{
	struct pollfd p = { .fd = channel };

	return channel >= 0 && poll(&p, 1, 0) >= 0 &&
	       !(p.revents & (POLLHUP | POLLERR | POLLNVAL));
}

/* Has the descriptors until the parent has closed its own (which ends the pipe), and ends. */
static void release_hold(const int *fds, unsigned count, int pipe_fd, const struct journal *j)
{
	int keep[FDS_MAX + 1];
	char byte;

	for (unsigned i = 0; i < count; i++)
		keep[i] = fds[i];
	keep[count] = pipe_fd;
	prctl(PR_SET_NAME, "gvmfs-release");
	if (j)
		journal_close(j);
	descriptors_keep_only(keep, count + 1);
	if (chdir("/") < 0 || read(keep[count], &byte, 1) < 0)
		_exit(1);
	_exit(0);
}

void release_apart(const int *fds, unsigned count, const struct journal *j)
{
	int ends[2];
	pid_t child;

	if (count > FDS_MAX || pipe2(ends, O_CLOEXEC) < 0)
		return;
	child = fork();
	if (child == 0) { /* the grandchild is reaped by init, so that this process need not wait for it */
		if (fork() == 0) {
			close(ends[1]);
			release_hold(fds, count, ends[0], j);
		}
		_exit(0);
	}
	if (child > 0) {
		waitpid(child, NULL, 0);
		for (unsigned i = 0; i < count; i++)
			close(fds[i]);
	}
	close(ends[0]);
	close(ends[1]);
}

bool connection_is_clean(int fd)
{
	struct iovec iov;
	char byte;

	shutdown(fd, SHUT_RDWR);
	for (unsigned i = 0; i < EMPTY_MAX; i++) {
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t n;

		iov = (struct iovec){ &byte, 1 };
		/* Without room for descriptors a look installs none, and tells that there are some. */
		n = recvmsg(fd, &msg, MSG_PEEK | MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN || errno == ECONNRESET;
		if (msg.msg_flags & MSG_CTRUNC)
			return false;
		/* It has none: taking it releases nothing. At the end this takes nothing. */
		if (recv(fd, &byte, 1, MSG_DONTWAIT) < 0)
			return errno == EAGAIN || errno == ECONNRESET;
	}
	return true;
}
