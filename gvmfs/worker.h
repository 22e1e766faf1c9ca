/* SPDX-License-Identifier: GPL-2.0-or-later */
/* worker.h - the process that serves the mount (state/worker_state.h), as the supervisor starts it. */
#ifndef GVMFS_WORKER_H
#define GVMFS_WORKER_H

struct options;
struct record_owner;

/* What a worker inherits from the supervisor: descriptors, and what it would have to ask the host for. */
struct worker_fds {
	const struct record_owner *self;
	int journal;
	int fuse;   /* -1: the mount is gone */
	int bell; /* where clients of the fast path are announced (visit.h); -1: there is no fast path */
	int keeper;
	int ready;	/* an eventfd, raised once the mount answers */
	int supervisor; /* a pidfd */
	int heirs;	/* a pipe with the addresses of copies to be made for heirs (heir.h) */
};

/*
 * Serves the mount until it is unmounted, then sends unacknowledged writes and returns 0. Without a
 * mount it only sends unacknowledged writes. A negative errno: it could not start; 1: it could not
 * start, and has logged why.
 */
int worker_run(const struct options *opts, const struct worker_fds *fds);

#endif
