// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_descriptors.c - what a stranger sends beside a message is neither taken nor let go of by chance. */
#include "base/descriptors.h"
#include "check.h"
#include "state/release.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int ours, theirs;

static void pair_make(void)
{
	int fd[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd), 0);
	ours = fd[0];
	theirs = fd[1];
}

/* A pipe's writing end goes into the queue; while that is alive the reading end, which is returned, has
 * no end of file. */
static int pipe_queue(const char *bytes, size_t count)
{
	int fd[2];

	CHECK_EQ(pipe2(fd, O_CLOEXEC), 0);
	CHECK_EQ(descriptors_send(theirs, bytes, count, &fd[1], 1), 0);
	close(fd[1]);
	return fd[0];
}

static bool is_released(int pipe_fd)
{
	struct pollfd p = { .fd = pipe_fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void refused_descriptor_stays_in_the_queue(void)
{
	char text[4];
	int queued;

	pair_make();
	CHECK_EQ(descriptors_refuse(ours, text, sizeof(text)), -EAGAIN);
	CHECK_EQ(send(theirs, "good", 4, 0), 4);
	queued = pipe_queue("evil", 4);
	CHECK_EQ(descriptors_refuse(ours, text, sizeof(text)), 0);
	CHECK_MEM(text, "good", 4);
	CHECK_EQ(descriptors_refuse(ours, text, sizeof(text)), -EPROTO);
	CHECK_EQ(descriptors_refuse(ours, text, sizeof(text)), -EPROTO);
	CHECK(!is_released(queued));
	close(ours);
	CHECK(is_released(queued));
	close(theirs);
}

static void message_of_another_size_is_refused(void)
{
	char text[4];

	pair_make();
	CHECK_EQ(send(theirs, "longer", 6, 0), 6);
	CHECK_EQ(send(theirs, "sho", 3, 0), 3);
	CHECK_EQ(descriptors_refuse(ours, text, sizeof(text)), -EPROTO);
	CHECK_EQ(descriptors_refuse(ours, text, sizeof(text)), -EPROTO);
	close(theirs);
	CHECK_EQ(descriptors_refuse(ours, text, sizeof(text)), -EPIPE);
	close(ours);
}

static void clean_connection_has_no_descriptor_anywhere(void)
{
	int queued;

	pair_make();
	CHECK_EQ(send(theirs, "words", 5, 0), 5);
	CHECK_EQ(send(theirs, "", 0, 0), 0);
	CHECK(connection_is_clean(ours));
	CHECK_EQ(send(theirs, "late", 4, MSG_NOSIGNAL), -1);
	close(ours);
	close(theirs);

	pair_make();
	CHECK_EQ(send(theirs, "words", 5, 0), 5);
	CHECK_EQ(send(theirs, "", 0, 0), 0);
	queued = pipe_queue("", 0);
	CHECK(!connection_is_clean(ours));
	CHECK(!is_released(queued));
	close(theirs);
	CHECK(!connection_is_clean(ours));
	close(ours);
	CHECK(is_released(queued));

	/* Empty ones, as many as there is room for. */
	pair_make();
	while (send(theirs, "", 0, MSG_DONTWAIT) == 0)
		;
	CHECK(connection_is_clean(ours));
	close(ours);
	close(theirs);

	pair_make();
	for (unsigned i = 0; i < 100; i++)
		CHECK_EQ(send(theirs, "", 0, MSG_DONTWAIT), 0);
	queued = pipe_queue("", 0);
	CHECK(!connection_is_clean(ours));
	close(theirs);
	close(ours);
	CHECK(is_released(queued));
}

/* Whether a number from `from` on is open. */
static bool any_open(int from)
{
	for (int fd = from; fd < 256; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return true;
	return false;
}

static void kept_descriptors_are_the_same_ones(void)
{
	int status;
	pid_t child;

	pair_make();
	child = fork();
	if (child == 0) {
		int fds[] = { fcntl(theirs, F_DUPFD, 100), ours, fcntl(theirs, F_DUPFD, 50), theirs };

		if (dup2(ours, 200) != 200)
			_exit(2);
		descriptors_keep_only(fds, 4);
		_exit(any_open(4) || send(fds[0], "a", 1, 0) != 1 || send(fds[2], "b", 1, 0) != 1 ||
		      send(fds[1], "c", 1, 0) != 1 || send(fds[3], "d", 1, 0) != 1);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
	for (const char *c = "abd"; *c; c++) {
		char got;

		CHECK_EQ(recv(ours, &got, 1, MSG_DONTWAIT), 1);
		CHECK_EQ(got, *c);
	}
	close(ours);
	close(theirs);
}

static void holder_is_seen_to_end(void)
{
	int status;
	pid_t child;

	pair_make();
	CHECK(holder_lives(ours));
	child = fork();
	if (child == 0) {
		close(ours);
		_exit(0);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(holder_lives(ours));
	CHECK_EQ(send(theirs, "unread", 6, 0), 6);
	close(theirs);
	CHECK(!holder_lives(ours));
	close(ours);
	CHECK(!holder_lives(-1));
}

static void last_copy_is_closed_by_another_process(void)
{
	struct pollfd ended = { .events = POLLIN };
	int queued;

	pair_make();
	queued = pipe_queue("evil", 4);
	release_apart(&ours, 1, NULL);
	CHECK_EQ(fcntl(ours, F_GETFD), -1);
	ended.fd = queued;
	CHECK_EQ(poll(&ended, 1, 10000), 1);
	close(theirs);
}

static const struct check_test tests[] = {
	{ "refused-descriptor-stays-in-the-queue", refused_descriptor_stays_in_the_queue },
	{ "message-of-another-size-is-refused", message_of_another_size_is_refused },
	{ "clean-connection-has-no-descriptor-anywhere", clean_connection_has_no_descriptor_anywhere },
	{ "kept-descriptors-are-the-same-ones", kept_descriptors_are_the_same_ones },
	{ "holder-is-seen-to-end", holder_is_seen_to_end },
	{ "last-copy-is-closed-by-another-process", last_copy_is_closed_by_another_process },
};
CHECK_MAIN(tests)
