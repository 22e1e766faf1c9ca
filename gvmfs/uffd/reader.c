// SPDX-License-Identifier: GPL-2.0-or-later
/* reader.c - see reader.h. */
#include "reader.h"

#include "uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MESSAGES 64 /* fit into one atomic write to a pipe */
#define STOP_US	 100

_Static_assert(MESSAGES * sizeof(struct uffd_msg) <= 4096, "one write of all messages is atomic");

struct reader {
	int uffd, stop_fd; /* stop_fd: readable when the thread has to end */
	int pipe[2];
	atomic_bool stopping, over;
	pthread_t thread;
};

/* The signal only interrupts a read that blocks. */
static void interrupted(int sig)
{
	(void)sig;
}

static void *reader_run(void *arg)
{
	struct reader *r = arg;
	struct pollfd p[2] = { { .fd = r->uffd, .events = POLLIN }, { .fd = r->stop_fd, .events = POLLIN } };
	struct uffd_msg msg[MESSAGES];

	pthread_setname_np(pthread_self(), "gvmfs-faults");
	while (!atomic_load(&r->stopping)) {
		ssize_t n;

		if (poll(p, 2, -1) < 0)
			continue;
		if (p[0].revents & POLLERR) {
			uffd_set_nonblock(r->uffd);
			usleep(UFFD_ERROR_US); /* or less: reader_stop() */
		}
		if (!(p[0].revents & POLLIN))
			continue;
		n = read(r->uffd, msg, sizeof(msg)); /* blocks if the client took the message first */
		if (n > 0 && write(r->pipe[1], msg, (size_t)n) < 0)
			break; /* reader_stop() has closed the other end */
	}
	atomic_store(&r->over, true);
	return NULL;
}

static void reader_free(struct reader *r)
{
	const int fds[] = { r->uffd, r->stop_fd, r->pipe[0], r->pipe[1] };

	for (unsigned i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(r);
}

int reader_start(struct reader **reader, int uffd, int *out)
{
	struct sigaction sa = { .sa_handler = interrupted }; /* no restart */
	struct reader *r = calloc(1, sizeof(*r));
	int error = 0;

	if (!r)
		return -ENOMEM;
	r->uffd = fcntl(uffd, F_DUPFD_CLOEXEC, 0); /* its own: it may read on when the caller has closed his */
	r->pipe[0] = r->pipe[1] = -1;
	r->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (r->uffd < 0 || r->stop_fd < 0 || pipe2(r->pipe, O_CLOEXEC) < 0 ||
	    fcntl(r->pipe[0], F_SETFL, O_NONBLOCK) < 0 || sigaction(SIGURG, &sa, NULL) < 0)
		error = -errno;
	if (!error)
		error = -pthread_create(&r->thread, NULL, reader_run, r);
	if (!error) {
		*out = r->pipe[0];
		*reader = r;
		return 0;
	}
	reader_free(r);
	return error;
}

/* A signal that comes just before a read blocks has no effect: so again, until the thread
 * is over. */
static void *reader_end(void *arg)
{
	struct reader *r = arg;

	pthread_setname_np(pthread_self(), "gvmfs-release");
	while (!atomic_load(&r->over)) {
		pthread_kill(r->thread, SIGURG);
		usleep(STOP_US);
	}
	pthread_join(r->thread, NULL);
	reader_free(r);
	return NULL;
}

void reader_stop(struct reader *r)
{
	uint64_t one = 1;
	pthread_t thread;

	if (!r)
		return;
	atomic_store(&r->stopping, true);
	close(r->pipe[0]);
	r->pipe[0] = -1;
	if (write(r->stop_fd, &one, sizeof(one)) < 0)
		abort(); /* an eventfd of our own */
	if (!pthread_create(&thread, NULL, reader_end, r))
		pthread_detach(thread);
	else
		reader_end(r);
}
