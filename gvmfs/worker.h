/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker.h - the process that serves the mount: what its front thread's modules share.
 *
 * The front thread reads /dev/fuse, asks the nodes for missing chunks, answers; it owns all state
 * here and never blocks; the main thread sees to that (lookout.h). Beside it work the thread of
 * conversations with nodes (jobs.h) and the writers (writer.h: encode and send what the guest wrote).
 * They hand back results through event descriptors. When the worker is killed, the supervisor starts
 * another on the same journal.
 */
#ifndef GVMFS_WORKER_H
#define GVMFS_WORKER_H

#include "fuse/capacity.h"
#include "fuse/interrupt.h"
#include "fuse/unmade.h"
#include "node/jobs.h"
#include "node/names.h"
#include "node/pool.h"
#include "node/times.h"
#include "options.h"
#include "state/inode.h"
#include "state/journal.h"
#include "state/lookout.h"
#include "store/pagecache.h"
#include "store/pager.h"
#include "store/watch.h"
#include "store/writeback.h"
#include "uffd/attach.h"
#include "uffd/resident.h"
#include "uffd/sessions.h"

/* A request of the kernel, as read: kept while a WRITE waits for room. */
#define REQUEST_DATA_MAX  (256u << 10) /* max_write */
#define REQUEST_BYTES_MAX (REQUEST_DATA_MAX + 4096u)
#define READ_BYTES_MAX	  GVM_CHUNK_BYTES /* max_read: touches two chunks at the most */

struct worker {
	const struct options *opts;
	const struct region_events *region_events;
	struct journal journal;
	struct inodes inodes;
	struct pool pool;
	struct jobs jobs;
	struct pager pager;
	struct pagecache pagecache;
	struct writeback writeback;
	struct residents residents;
	struct attaches attaches;
	struct sessions sessions;
	struct lookout lookout;
	struct interrupts interrupts;
	struct capacity capacity;
	struct unmade unmade;
	bool draining; /* the mount is gone: only what it owes is still done */
	uint64_t complained_ns; /* of calls that nodes do not answer, in the log */
	unsigned uncomplained;	/* calls since then */
	unsigned held_asking; /* regions that held.h has the nodes asked about */
	struct fuse_session *session;
	int fuse_fd;
	int keeper_fd; /* to the supervisor: keeper.h */
	int heirs_fd;
	int epoll_fd;
	uint64_t names_at_ns; /* when the name table was last read from the nodes */
	uint64_t times_due_ns; /* the first that times.h has to save */
	struct inode *watches;	 /* of which watch.h has something to do */
	unsigned watches_count;
	uint64_t watches_due_ns; /* when */
	struct names_state names;
	struct record_owner self; /* of the temporary regions made here */
	bool names_failing;   /* the last who had it read was told that too few nodes answer */
	bool names_asking;    /* it is read for that reason alone */
	bool names_owed;      /* a predecessor's changes are not known to be there */

	/* The request being processed. */
	uint8_t *request;     /* its buffer; NULL it to keep it, and free() it later */
	uint64_t request_unique;
	bool request_resent; /* a predecessor may have carried it out already */
};

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

static inline struct journal_inode *worker_disk(struct worker *w, const struct inode *inode)
{
	return inode_disk(&w->inodes, inode->nr);
}

/* Adds to a counter of the inode and of the mount. */
#define worker_count(w, inode, name, n) stats_add((inode)->stats, &(w)->journal.super->stats, name, n)

#endif
