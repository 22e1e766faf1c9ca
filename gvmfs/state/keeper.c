// SPDX-License-Identifier: GPL-2.0-or-later
/* keeper.c - see keeper.h. */
#include "keeper.h"

#include "base/descriptors.h"
#include "post.h"
#include "release.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum keeper_what { KEEPER_KEEP = 1, KEEPER_DROP };

struct keeper_msg {
	uint32_t what; /* enum keeper_what */
	uint32_t session;
};

int keeper_create(struct keeper *k)
{
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) < 0)
		return -errno;
	k->supervisor = fd[0];
	k->worker = fd[1];
	return 0;
}

int keeper_keep(int worker, unsigned session, const int fds[SESSION_FDS])
{
	struct keeper_msg msg = { KEEPER_KEEP, session };

	return post_send(worker, &msg, sizeof(msg), fds, SESSION_FDS);
}

int keeper_kept(int worker)
{
	struct keeper_msg msg;
	int fds[DESCRIPTORS_MAX];
	unsigned count;
	int r = descriptors_receive(worker, &msg, sizeof(msg), fds, &count);

	if (r < 0)
		return r == -EPIPE ? KEEPER_GONE : -1;
	return (int)msg.session;
}

void keeper_drop(int worker, const struct journal *j, unsigned session)
{
	struct keeper_msg msg = { KEEPER_DROP, session };

	journal_publish32(&j->sessions[session].kept, 0);
	/* If the socket is full the message is dropped; on the messages in it the supervisor runs sessions_tidy(). */
	post_send(worker, &msg, sizeof(msg), NULL, 0);
}

/*
 * fd[] has descriptor numbers plus 1, so that an entry that was never used has none. The channel is closed
 * last: its end tells the visitor's process that it has the last copies of the client's descriptors.
 *
 * This process makes the last close of none. Of the client's the visitor's process does; the memory's takes long, and that
 * of the channel, a socket, may have this process release what is others' (before Linux 6.9: release.h). While it waits
 * for that, it replaces no worker.
 */
static void session_close(const struct journal *j, struct journal_session *s)
{
	static const enum session_fd last[] = { SESSION_MEMORY, SESSION_MARKS, SESSION_CHANNEL };
	int strangers[] = { s->fd[SESSION_UFFD] - 1, s->fd[SESSION_SOCKET] - 1 }, fds[3];
	unsigned count = 0;

	if (strangers[0] >= 0 && strangers[1] >= 0 && !holder_lives(s->fd[SESSION_CHANNEL] - 1)) {
		release_apart(strangers, 2, j);
		s->fd[SESSION_UFFD] = s->fd[SESSION_SOCKET] = 0;
	}
	for (unsigned i = SESSION_PINS; i <= SESSION_SOCKET; i++) {
		if (s->fd[i] > 0)
			close(s->fd[i] - 1);
		s->fd[i] = 0;
	}
	for (unsigned i = 0; i < 3; i++)
		if (s->fd[last[i]] > 0)
			fds[count++] = s->fd[last[i]] - 1;
	if (count && !release_apart(fds, count, j))
		for (unsigned i = 0; i < count; i++)
			close(fds[i]);
	for (unsigned i = 0; i < 3; i++)
		s->fd[last[i]] = 0;
}

/* Closes the descriptors of sessions that have ended. */
static void sessions_tidy(const struct journal *j)
{
	for (unsigned i = 0; i < JOURNAL_SESSIONS; i++)
		if (!j->sessions[i].kept)
			session_close(j, &j->sessions[i]);
}

void keeper_serve(int supervisor, const struct journal *j)
{
	struct keeper_msg msg;
	int fds[DESCRIPTORS_MAX];
	unsigned count;

	while (descriptors_receive(supervisor, &msg, sizeof(msg), fds, &count) == 0) {
		struct journal_session *s = &j->sessions[msg.session % JOURNAL_SESSIONS];

		if (msg.what != KEEPER_KEEP)
			continue; /* sessions_tidy() sees which. (It may come late, when others are kept: post.h) */
		session_close(j, s);
		for (unsigned i = 0; i < count && i < SESSION_FDS; i++)
			s->fd[i] = fds[i] + 1;
		if (count != SESSION_FDS)
			continue;
		journal_publish32(&s->kept, 1);
		descriptors_send(supervisor, &msg, sizeof(msg), NULL, 0);
	}
	/* When many sessions end at once, the socket may have had no room for every KEEPER_DROP; which are over is in the journal. */
	sessions_tidy(j);
}

void keeper_end(struct keeper *k, const struct journal *j)
{
	const int pair[] = { k->supervisor, k->worker };

	for (unsigned i = 0; i < JOURNAL_SESSIONS; i++)
		session_close(j, &j->sessions[i]);
	release_apart(pair, 2, j);
	*k = (struct keeper){ -1, -1 };
}
