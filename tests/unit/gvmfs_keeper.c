// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvmfs_keeper.c - the supervisor closes no socket as the last one that has it: before Linux 6.9 that may have the kernel
 * release, in its place, what strangers have sent to each other. close() here finds out whether another process
 * still has the socket.
 */
#include "check.h"
#include "state/keeper.h"
#include "state/release.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SOON 30000 /* what has to come, comes by then */

static struct journal j;
static int peer[2]; /* of the sockets that are watched; -1: none */
static unsigned closes; /* of these */

static bool hangs_up(int fd, int ms)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, ms) == 1 && p.revents & POLLHUP;
}

int close(int fd)
{
	struct stat st = { 0 };
	bool before[2];
	int rc;

	fstat(fd, &st);
	for (unsigned i = 0; i < 2; i++)
		before[i] = S_ISSOCK(st.st_mode) && peer[i] >= 0 && !hangs_up(peer[i], 0);
	rc = (int)syscall(SYS_close, fd);
	for (unsigned i = 0; i < 2; i++)
		if (before[i]) {
			CHECK(!hangs_up(peer[i], 0));
			closes++;
		}
	return rc;
}

static int watched(unsigned i)
{
	int pair[2];

	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	peer[i] = pair[1];
	return pair[0];
}

static void begin(void)
{
	peer[0] = peer[1] = -1;
	CHECK(!journal_create(&j));
	closes = 0;
}

static void ended(unsigned i)
{
	int fd = peer[i];

	CHECK(hangs_up(fd, SOON));
	peer[i] = -1;
	syscall(SYS_close, fd);
}

/* A session whose channel is watched. */
static void session_keep(struct keeper *k, unsigned session)
{
	int fds[SESSION_FDS];

	for (unsigned i = 0; i < SESSION_FDS; i++)
		fds[i] = i == SESSION_CHANNEL ? watched(0) : memfd_create("some", MFD_CLOEXEC);
	CHECK(!keeper_keep(k->worker, session, fds));
	keeper_serve(k->supervisor, &j);
	CHECK_EQ(keeper_kept(k->worker), session);
	for (unsigned i = 0; i < SESSION_FDS; i++)
		syscall(SYS_close, fds[i]);
}

static void session_that_ends_is_closed_by_another(void)
{
	struct keeper k;

	begin();
	CHECK(!keeper_create(&k));
	session_keep(&k, 3);
	keeper_drop(k.worker, &j, 3);
	keeper_serve(k.supervisor, &j);
	ended(0);
	CHECK(closes);
	for (unsigned i = 0; i < SESSION_FDS; i++)
		CHECK_EQ(j.sessions[3].fd[i], 0);
	keeper_end(&k, &j);
}

static void end_is_left_to_another(void)
{
	struct keeper k;

	begin();
	k.supervisor = watched(0);
	k.worker = watched(1);
	keeper_end(&k, &j);
	CHECK(closes);
	ended(0);
	ended(1);

	CHECK(!keeper_create(&k));
	session_keep(&k, 200);
	keeper_end(&k, &j);
	ended(0);
}

static const struct check_test tests[] = {
	{ "session-that-ends-is-closed-by-another", session_that_ends_is_closed_by_another },
	{ "end-is-left-to-another", end_is_left_to_another },
};
CHECK_MAIN(tests)
