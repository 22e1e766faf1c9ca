// SPDX-License-Identifier: GPL-2.0-or-later
/* release.c - see release.h. */
#include "release.h"

#include "base/descriptors.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FDS_MAX	     8u
#define MESSAGES_MAX 4096 /* more than any queue holds */

bool holder_lives(int channel)
{
	struct pollfd p = { .fd = channel };

	return channel >= 0 && poll(&p, 1, 0) >= 0 &&
	       !(p.revents & (POLLHUP | POLLERR | POLLNVAL));
}

/* Holds the descriptors until the parent has closed its own copies, which ends the pipe; then exits. */
static void release_hold(const int *fds, unsigned count, int pipe_fd, const struct journal *j)
{
	int keep[FDS_MAX + 1];
	char byte;

	for (unsigned i = 0; i < count; i++)
		keep[i] = fds[i];
	keep[count] = pipe_fd;
	prctl(PR_SET_NAME, "gvmfs-release");
	if (j)
		journal_detach(j);
	descriptors_keep_only(keep, count + 1);
	if (chdir("/") < 0 || read(keep[count], &byte, 1) < 0)
		_exit(1);
	_exit(0);
}

bool release_apart(const int *fds, unsigned count, const struct journal *j)
{
	int ends[2];
	pid_t child;

	if (count > FDS_MAX || pipe2(ends, O_CLOEXEC) < 0)
		return false;
	child = fork();
	if (child == 0) { /* a grandchild holds them: init reaps it, so this process need not wait for it */
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
	return child > 0;
}

struct aside {
	int fds[RELEASE_MAX];
	unsigned count;
};

static void aside_close(const struct aside *a)
{
	for (unsigned i = 0; i < a->count; i++)
		if (a->fds[i] >= 0)
			close(a->fds[i]);
}

static void *aside_thread(void *arg)
{
	pthread_setname_np(pthread_self(), "gvmfs-release");
	aside_close(arg);
	free(arg);
	return NULL;
}

void release_aside_all(const int *fds, unsigned count)
{
	struct aside here = { .count = count }, *a = malloc(sizeof(*a));
	pthread_t thread;

	assert(count <= RELEASE_MAX);
	memcpy(here.fds, fds, count * sizeof(*fds));
	if (a)
		*a = here;
	if (a && !pthread_create(&thread, NULL, aside_thread, a)) {
		pthread_detach(thread);
		return;
	}
	free(a);
	aside_close(&here);
}

void release_aside(int fd)
{
	if (fd >= 0)
		release_aside_all(&fd, 1);
}

/* Peeks at the next message: 1: it has no descriptors; 0: there is none; -1: it has descriptors, or an error. */
static int message_look(int fd)
{
	char byte, credentials[CMSG_SPACE(sizeof(struct ucred))];
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = credentials, .msg_controllen = sizeof(credentials),
	};

	/* The buffer has room for credentials only: descriptors are not installed, and set MSG_CTRUNC. */
	if (recvmsg(fd, &msg, MSG_PEEK | MSG_DONTWAIT) < 0)
		return errno == EAGAIN || errno == ECONNRESET ? 0 : -1;
	if (msg.msg_flags & MSG_CTRUNC)
		return -1;
	/* A message may be empty, as is the end of the queue; but each message has its sender's credentials. */
	return msg.msg_controllen > 0;
}

bool connection_is_clean(int fd)
{
	int yes = 1, found;
	char byte;

	shutdown(fd, SHUT_RDWR);
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) < 0)
		return false;
	for (unsigned i = 0; i < MESSAGES_MAX; i++) {
		found = message_look(fd);
		if (found <= 0)
			return !found;
		/* The message has no descriptors, so receiving it closes nothing. */
		if (recv(fd, &byte, 1, MSG_DONTWAIT) < 0)
			return false;
	}
	return false;
}
