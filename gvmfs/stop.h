/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stop.h - requests to end, by a signal or by the loss of the process that waits for the start, as
 * every wait of gvmfs sees them.
 *
 * SIGTERM, SIGINT and SIGHUP are blocked and read here, so that no wait misses one.
 */
#ifndef GVMFS_STOP_H
#define GVMFS_STOP_H

#include "state/journal.h"

#include <signal.h>
#include <stdbool.h>

struct stop {
	sigset_t signals;
	int signal_fd;
	int parent_fd; /* to the process that waits for the start, which may end; -1: none (any more) */
	int pending;   /* a signal that was read and not handled yet */
	uint64_t first_ns; /* when the first one came */
};

/* Blocks the signals, and SIGCHLD, for this process and its children. 0 or a negative errno. */
int stop_init(struct stop *s, int parent_fd);

/* In the worker: the requests go to the supervisor, or, once that is gone, to a stop of its own. */
void stop_deinit(struct stop *s);

/*
 * Waits until fd (or -1) can be read, has an error or its other end is closed: 1; for `ms`
 * milliseconds (-1: for ever): 0; until the process is asked to end: -ECANCELED, and what asked for
 * it stays to be taken. Children that end meanwhile are not noticed here.
 */
int stop_wait(struct stop *s, int fd, int ms);

/* Takes a request, without waiting: a signal, SIGHUP for a lost parent, 0 for none. */
int stop_take(struct stop *s);

/*
 * Whether a request while the first one is being carried out means "at once": SIGINT or SIGTERM, a
 * second later or more. One signal may come twice (to the process and to its group, as SIGTERM and
 * SIGHUP when a session ends), and that must lose nothing.
 */
bool stop_is_urgent(struct stop *s, int sig);

/* Says what ending at once loses. `in_use`: the mount still has users, whose pages are the kernel's. */
void stop_say_loss(const char *mountpoint, const struct journal *j, bool in_use);

#endif
