/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * heir.h - lets the next start of gvmfs at a place take the mount over from a worker whose supervisor
 * was killed.
 *
 * Such a worker listens on a socket that is named after the mount's device, for its own user and root.
 * The heir asks it for the mount, and the worker gives what a supervisor has: /dev/fuse, the journal, the
 * sessions' descriptors. Then the worker ends as if it had been killed, and the heir's worker is its
 * successor: to users of the mount and to guests this looks like a killed worker. If the kernel does not
 * send requests again (before 6.9), the worker instead detaches its mount from the place, and goes on
 * serving those that have it open.
 *
 * A worker whose front thread does not make copies of the sessions' descriptors within HEIR_ANSWER_MS keeps the mount,
 * and the heir ends with an error.
 */
#ifndef GVMFS_HEIR_H
#define GVMFS_HEIR_H

#include "mount.h"
#include "state/journal.h"

#ifndef HEIR_ANSWER_MS
#define HEIR_ANSWER_MS 5000 /* for which either side waits for the other's next message */
#endif

/* ---- the heir */

/* Asks the worker of the mount at `path`; waits until that has seen its supervisor's end, if it has not yet. 1: the mount was
 * taken over, and `m` and `j` are filled in; 0: there is no such worker, or the place is free now; or a negative errno, which was
 * logged (but for -ECANCELED: `stop` says to end). */
int heir_ask(const char *path, struct mount *m, struct journal *j, struct stop *stop);

/* ---- the worker */

/* Listens for an heir of the mount on this device: a descriptor, or a negative errno. */
int heir_listen(dev_t dev);
/* Removes that socket's name. */
void heir_forget(dev_t dev);
/* A connection is waiting: accepts it and returns it if it is an heir's; otherwise -1. */
int heir_accept(int listener);
/* Tells the heir that the place is free: there is nothing to take over. */
void heir_refuse(int connection);
/* The front thread's part: its copies of the descriptors of all sessions, as it has them at one moment. They are the
 * front thread's until it has said that they are made, however long that takes. */
struct heir_copies {
	int made; /* an eventfd */
	int error; /* a negative errno: there are none */
	int fd[JOURNAL_SESSIONS][SESSION_FDS]; /* -1: not a session */
};
/* Before the front thread is asked: there are none yet. */
void heir_copies_begin(struct heir_copies *c);
/* Makes the copies, and says so; `fd_of` fills in a session's descriptors in this process. */
void heir_copy(struct heir_copies *c, const struct journal *j,
	       void (*fd_of)(void *arg, unsigned session, int fd[SESSION_FDS]), void *arg);
/* Says that there are none. */
void heir_copy_nothing(struct heir_copies *c, int error);
/* Closes them: not in the front thread. */
void heir_copies_close(const struct heir_copies *c);

/*
 * Gives everything away, and waits for the heir: not in the front thread, which serves on meanwhile. To the heir that
 * is as if it took the mount over from a killed worker; only no session may begin any more. Closes the copies.
 * 0: all of it is the heir's, which kills this process; or a negative errno: the heir has nothing.
 */
int heir_give(int connection, const struct journal *j, int fuse_fd, struct heir_copies *c);

#endif
