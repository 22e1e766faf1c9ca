/* SPDX-License-Identifier: GPL-2.0-or-later */
/* worker.h - the process that serves the mount (state/worker.h), as the supervisor starts it. */
#ifndef GVMFS_WORKER_H
#define GVMFS_WORKER_H

struct options;

/* What a worker inherits from the supervisor. */
struct worker_fds {
	int journal;
	int fuse;   /* -1: the mount is gone */
	int bell; /* where clients of the fast path are announced (visit.h); -1: nowhere */
	int keeper;
	int ready;	/* an eventfd, to be raised once the mount answers */
	int supervisor; /* a pidfd */
	int heirs;	/* the numbers of connections to those who take the mount over (heir.h) */
};

/*
 * Serves the mount until it is unmounted, then sends what is unacknowledged and returns 0. Without
 * a mount it only sends what is unacknowledged. Negative errno: could not start; 1: could not, and
 * has said why.
 */
int worker_run(const struct options *opts, const struct worker_fds *fds);

#endif
