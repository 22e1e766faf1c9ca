// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvmfs_release.c - the descriptors of a session that ends are closed by no thread that others wait for: the last close of a
 * socket may have the kernel look through all descriptors that are on their way between processes, and close some of them
 * (before Linux 6.9). close() is another one here, which takes as long as the test likes.
 */
#include "check.h"
#include "state/release.h"
#include "state/worker_state.h"
#include "uffd/sessions.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_t caller;
static sem_t go_on, is_closed;
static int closed[SESSION_FDS];
static _Atomic unsigned count;

int close(int fd)
{
	CHECK(!pthread_equal(pthread_self(), caller));
	sem_wait(&go_on);
	closed[count++] = fd;
	sem_post(&is_closed);
	return (int)syscall(SYS_close, fd);
}

static void begin(void)
{
	caller = pthread_self();
	count = 0;
	sem_init(&go_on, 0, 0);
	sem_init(&is_closed, 0, 0);
}

static unsigned place_of(int fd)
{
	unsigned i = 0;

	while (i < count && closed[i] != fd)
		i++;
	CHECK(i < count);
	return i;
}

static void session_that_ends_holds_nobody_up(void)
{
	int pair[2], fd[SESSION_FDS];

	begin();
	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	for (unsigned i = 0; i < SESSION_FDS; i++)
		CHECK((fd[i] = i == SESSION_CHANNEL ? pair[0] : dup(pair[0])) >= 0);
	session_release(fd, true);
	CHECK_EQ(count, 0);
	for (unsigned i = 0; i < SESSION_FDS; i++)
		sem_post(&go_on);
	for (unsigned i = 0; i < SESSION_FDS; i++)
		sem_wait(&is_closed);
	/* The visitor's process has the last copies when the channel ends. */
	for (unsigned i = SESSION_PINS; i < SESSION_CHANNEL; i++)
		CHECK(place_of(fd[i]) < place_of(fd[SESSION_CHANNEL]));
	syscall(SYS_close, pair[1]);
}

static const struct check_test tests[] = {
	{ "session-that-ends-holds-nobody-up", session_that_ends_holds_nobody_up },
};
CHECK_MAIN(tests)
