/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pagecache.h - has the kernel write back, or drop, cached pages of our files.
 *
 * Only calls on an open file respect whoever uses the pages: sync_file_range(), a write-back that can
 * be waited for, and POSIX_FADV_DONTNEED, which drops pages that are clean and neither mapped nor
 * pinned. (An invalidation by the daemon takes a page even from a direct read in flight.) No thread
 * of the worker can make these calls: they wait for requests that the worker itself serves, and a
 * killed worker with a thread inside one would never end. So a process of its own, the helper, opens
 * the file as any program does, and holds it open only for the call. It keeps no mount busy, since it
 * opens the file through a copy of the mount where privilege allows.
 *
 * - Only the kernel knows which pages are dirty. A program may have stored through a mapping to
 *   what the chunk index calls a hole: pagecache_sync() has such pages written first.
 * - A store through a mapping behind a file's end stays in the kernel's page: pagecache_store() clears
 *   it.
 * - What programs other than the guest read (pagecache_note()) is dropped after a moment, so that it
 *   does not stay beside the guest's budget. While a file's calls do not end, a note waits and grows.
 * - An open file keeps the read-ahead that the mount had when it was opened, which is small; POSIX_FADV_NORMAL on that
 *   very open file takes the mount's present one. pagecache_around() has the helper do that to the files of a process
 *   that reads in order, and again once it does not.
 *
 * A call waits for a file's READs or WRITEs, perhaps until a node is back, and takes a thread of the helper.
 * So a file has at most PAGECACHE_FILE_CALLS calls running, and its further calls wait for these; the last
 * PAGECACHE_SPARE_CALLS of PAGECACHE_CALLS are for files that have none running, and all of whose nodes answer. Of these,
 * too, the files of one node have no more than they leave to the others: a node may be dead before that is known.
 * Several such nodes still take all of them. So beside these each node has some that no other node's files can take
 * (PAGECACHE_RESERVE_CALLS divided by the nodes), for files that have none running and all of whose nodes answer. A call
 * that waits for a node which does not answer is no part of what its file's other nodes have.
 *
 * Without the helper (it could not start, or a file has no name any more) nothing is wrong: the
 * answer says so, and pages stay until the kernel needs their memory.
 *
 * Front thread only.
 */
#ifndef GVMFS_PAGECACHE_H
#define GVMFS_PAGECACHE_H

#include "base/loop.h"
#include "node/pool.h"
#include "pagecache_msg.h"
#include "state/inode.h"

#include <sys/queue.h>

struct pagecache_call;
struct worker;

#define PAGECACHE_NOTES	 64
#define PAGECACHE_CALLS	      512u
#define PAGECACHE_SPARE_CALLS 256u
#define PAGECACHE_RESERVE_CALLS POOL_CONNS_MAX /* so that there is one for each node, however many there are */
#define PAGECACHE_FILE_CALLS  2u
#define PAGECACHE_LOOK_CALLS  16u /* pagecache_look(): counted as those of the root; they wait for no node */

/* The nodes that a file's calls may wait for. */
struct pagecache_nodes {
	bool quiet; /* one of them does not answer, at the last look */
	bool cut_off; /* with one of them there is no connection */
	unsigned count;
	uint16_t entry[RECORD_NODES_MAX]; /* of the front's pool */
};

/* A pending call to the helper; embedded. done() comes later, from the loop, with 0 or a negative
 * errno. */
struct pagecache_ask {
	void (*done)(struct worker *w, struct pagecache_ask *ask, int error);
	struct pagecache_call *call;
	uint64_t deadline_ns;
};

/* Pages of a file that a program has read, to be dropped soon. */
struct pagecache_note {
	unsigned nr_plus_1; /* of the inode; 0: free */
	uint64_t first; /* where the program began to read */
	uint64_t begin, end; /* not dropped yet */
	bool again;	 /* all of it was dropped once */
	uint64_t last_ns; /* when the note last grew, or was dropped */
};

struct pagecache {
	int fd; /* to the helper; -1: there is none */
	struct loop_source answers;
	pid_t pid;
	bool listening; /* for its answers */
	bool full;	/* its queue had no room for the last message */
	uint64_t cookie; /* of the last call */
	/* Calls that the helper has not answered, also those whose caller has stopped waiting; and calls that were not
	 * sent yet, since too many are running. */
	TAILQ_HEAD(pagecache_calls, pagecache_call) running, waiting;
	unsigned calls;			     /* running */
	uint8_t file_calls[JOURNAL_INODES]; /* of these, by inode */
	uint16_t node_calls[POOL_CONNS_MAX]; /* and by entry of the front's pool */
	uint16_t node_live[POOL_CONNS_MAX]; /* of these, those all of whose nodes answer, at the last look */
	unsigned node_reserve; /* what each node has of the reserve */
	unsigned file_waiting[JOURNAL_INODES]; /* calls that were not sent yet, by inode */
	struct pagecache_note notes[PAGECACHE_NOTES];
	unsigned noted;
};

/* Starts the helper, before the worker has threads. If that fails, gvmfs goes on without one. */
void pagecache_start(struct worker *w);
/* Whether a request comes from the helper: its open file counts for nothing. */
bool pagecache_is_helper(const struct worker *w, pid_t tid);
/* Ends calls that take too long. Returns when it wants to be called again (CLOCK_MONOTONIC), or ~0. */
uint64_t pagecache_tick(struct worker *w, uint64_t now_ns);
/* Drops pages that are old enough. Returns the same. */
uint64_t pagecache_drop_tick(struct worker *w, uint64_t now_ns);

/* Has dirty pages of a range written back; once done() is called with 0, the worker has them.
 * Returns a negative errno, and never calls done(), if that is impossible. */
int pagecache_sync(struct worker *w, struct inode *inode, uint64_t off, uint64_t size,
		   struct pagecache_ask *ask);
/* Invalidates the pages of ranges (size 0: to the end), mapped or not. Only for a file without a writer on
 * this host, since it would take a page from a direct read in flight. It waits for READs in flight of these
 * pages, and delays no others. Answers like pagecache_sync(). */
int pagecache_invalidate(struct worker *w, struct inode *inode, const struct pagecache_range *ranges,
			 unsigned count, struct pagecache_ask *ask);
/* Whether a further call for this file would wait until one of its calls ends. */
static inline bool pagecache_is_busy(const struct pagecache *pc, unsigned nr)
{
	return pc->file_calls[nr] >= PAGECACHE_FILE_CALLS || pc->file_waiting[nr];
}
/* Whether the calls have come to where it matters which nodes answer: node_live is looked at. */
static inline bool pagecache_is_crowded(const struct pagecache *pc)
{
	return pc->calls >= PAGECACHE_CALLS - PAGECACHE_SPARE_CALLS;
}
static inline bool pagecache_has_common_room(const struct pagecache *pc, unsigned own, const struct pagecache_nodes *nodes)
{
	if (pc->calls >= PAGECACHE_CALLS - (own || nodes->quiet ? PAGECACHE_SPARE_CALLS : 0))
		return false;
	for (unsigned i = 0; i < nodes->count; i++)
		if (pc->calls + pc->node_calls[nodes->entry[i]] >= PAGECACHE_CALLS)
			return false;
	return true;
}
/* The same of what is reserved for the file's nodes. */
static inline bool pagecache_has_reserve(const struct pagecache *pc, unsigned own, const struct pagecache_nodes *nodes)
{
	if (own || nodes->quiet || pc->calls >= PAGECACHE_CALLS + PAGECACHE_RESERVE_CALLS)
		return false;
	for (unsigned i = 0; i < nodes->count; i++)
		if (pc->node_live[nodes->entry[i]] >= pc->node_reserve)
			return false;
	return true;
}
/* Whether one more call may run for this file, which has these nodes. */
static inline bool pagecache_has_room(const struct pagecache *pc, unsigned nr, const struct pagecache_nodes *nodes)
{
	unsigned own = pc->file_calls[nr];

	if (!nr)
		return own < PAGECACHE_LOOK_CALLS;
	return own < PAGECACHE_FILE_CALLS &&
	       (pagecache_has_common_room(pc, own, nodes) || pagecache_has_reserve(pc, own, nodes));
}
/* Whether there is a helper that can invalidate. */
bool pagecache_can_invalidate(const struct worker *w);
/* Puts content into a part of one page if the kernel caches that page; the page may be mapped, and is
 * dirty afterwards. The file's size in the kernel grows to the end of that part at least. Answers like
 * pagecache_sync(), but after -ETIMEDOUT the store ends only if pagecache_wait_on() waits for it; works
 * without a helper, too. */
int pagecache_store(struct worker *w, struct inode *inode, uint64_t off, uint64_t size,
		    const uint8_t *content, struct pagecache_ask *ask);
/* Asks which of these threads, at most PAGECACHE_LOOKS_MAX, are being killed: done() gets a bit for each. Answers like
 * pagecache_sync() otherwise. (Whoever looks at a process may have to release resources of it, see release.h.) */
int pagecache_look(struct worker *w, const int32_t *tids, unsigned count, struct pagecache_ask *ask);
/* From an ask's done(), after a timeout: waits on, without a deadline. */
void pagecache_wait_on(struct worker *w, struct pagecache_ask *ask);

/* Sets the mount's read-ahead, which a predecessor's helper may have left wide as it was killed. Before threads. */
void pagecache_around_init(struct worker *w);
/* After a READ for the page cache, by this thread: widens the kernel's window around faults of its
 * process if it now reads in order, or narrows it if it no longer does. */
void pagecache_around(struct worker *w, struct inode *inode, pid_t tid);

/* A program other than the guest has read these bytes through the page cache. */
void pagecache_note(struct worker *w, const struct inode *inode, uint64_t off, uint64_t size);
/* The last such program has closed the file: pages that it had mapped can be dropped too. */
void pagecache_closed(struct worker *w, struct inode *inode);

/* For pagecache_drop.c: */

/* Fills in a message about one file, named by its path. 0, or a negative errno: the file
 * has no path. */
int pagecache_message(struct worker *w, unsigned nr, enum helper_what what, struct helper_msg *msg);
/* 0; -EAGAIN: the helper's queue is full; -EPIPE: it is gone; or another negative errno. */
int pagecache_send(struct worker *w, const struct helper_msg *msg, const int *fds, unsigned count);

#endif
