/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stop.h - requests to end, by a signal or by the end of the process that waits for the start:
 * every wait of gvmfs notices them.
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
	int parent_fd; /* to the process that waits for the start; -1: none (any more) */
	int pending;   /* a signal that was read and not handled yet */
	uint64_t first_ns; /* when the first request came */
};

/* Blocks these signals and SIGCHLD, for this process and its children. 0 or a negative errno. */
int stop_init(struct stop *s, int parent_fd);

/* In the worker: requests go to the supervisor or, once it is gone, to another struct stop. */
void stop_deinit(struct stop *s);

/*
 * Waits until fd (or -1) is readable, has an error or its other end is closed: 1; or `ms`
 * milliseconds have passed (-1: never): 0; or the process is asked to end: -ECANCELED, and
 * stop_take() then returns the request. Ignores children that end meanwhile.
 */
int stop_wait(struct stop *s, int fd, int ms);

/* Takes a request, without waiting: a signal, SIGHUP if the waiting process ended, 0 if there is
 * none. */
int stop_take(struct stop *s);

/*
 * Whether a request that comes while the first is being carried out means "at once": SIGINT or
 * SIGTERM, at least a second later. One signal may come twice (to the process and to its group, or
 * as SIGTERM and SIGHUP when a session ends), and that must lose nothing.
 */
bool stop_is_urgent(struct stop *s, int sig);

/* Logs what ending at once loses. `in_use`: the mount still has users, and the kernel has pages of
 * theirs. */
void stop_say_loss(const char *mountpoint, const struct journal *j, bool in_use);

#endif
