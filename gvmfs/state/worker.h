/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker.h - the process that serves the mount: what its front thread's modules share.
 *
 * The front thread reads /dev/fuse, asks the nodes for missing chunks, answers; it owns all state
 * here and never blocks; the main thread sees to that (lookout.h). Beside it work the thread of
 * conversations with nodes (jobs.h) and the writers (writer.h: encode and send what the guest wrote).
 * They hand back results through event descriptors. When the worker is killed, the supervisor starts
 * another on the same journal.
 *
 * Each module has its state in a struct of its own, which its header describes: here they are only
 * named, so that every floor may know the worker. worker.c makes them all, before anything else runs.
 */
#ifndef GVMFS_STATE_WORKER_H
#define GVMFS_STATE_WORKER_H

#include "base/loop.h"
#include "inode.h"
#include "journal.h"
#include "record.h"

struct balance;
struct handshakes;
struct capacity;
struct chunk_codec;
struct direct;
struct fetches;
struct fuse_session;
struct interrupts;
struct jobs;
struct lookout;
struct names_state;
struct options;
struct pagecache;
struct pool;
struct region_events;
struct replicas_list;
struct request;
struct sealer;
struct residents;
struct rot;
struct scrub;
struct sessions;
struct store;
struct unmade;
struct writers;

struct worker {
	const struct options *opts;
	const struct region_events *region_events;
	struct journal *journal;
	struct inodes *inodes;
	struct pool *pool;
	struct jobs *jobs;
	struct chunk_codec *codec; /* of the nodes' answers to the front thread */
	struct sealer *sealer;	   /* of these, if the mount seals; NULL: it does not */
	struct store *store;
	struct pagecache *pagecache;
	struct writers *writers;
	struct fetches *fetches;
	struct replicas_list *replicas; /* of all regions that have some */
	struct rot *rot;
	struct balance *balance;
	struct scrub *scrub;
	uint64_t replicas_due_ns;	/* when replicas_tick() looks at them again */
	struct residents *residents;
	struct handshakes *handshakes;
	struct sessions *sessions;
	struct lookout *lookout;
	struct interrupts *interrupts;
	struct capacity *capacity;
	struct direct *direct;
	struct unmade *unmade;
	struct names_state *names;
	LIST_HEAD(, close_wait) closing; /* waits for closes: closes.h */
	bool draining; /* the mount is gone: only what it owes is still done */
	uint64_t complained_ns; /* of calls that nodes do not answer, in the log */
	unsigned uncomplained;	/* calls since then */
	unsigned held_asking; /* regions that held.h has the nodes asked about */
	uint64_t held_asked_ns; /* when it asked last, or was answered */
	struct fuse_session *session;
	int fuse_fd;
	int keeper_fd; /* to the supervisor: keeper.h */
	int heirs_fd;
	struct loop *loop; /* of the front thread */
	struct loop_source requests, heirs, results, outcomes, pokes; /* serve.c, worker.c */
	uint64_t names_at_ns; /* when the name table was last read from the nodes */
	struct inode *watches;	 /* of which watch.h has something to do */
	unsigned watches_count;
	uint64_t watches_due_ns; /* when */
	struct record_owner self; /* of the temporary regions made here */
	bool names_failing;   /* the last reading of the table failed: too few nodes answered */
	bool names_asking;    /* it is read for that reason alone */
	bool names_owed;      /* a predecessor's changes are not known to be there */

	struct request *request; /* being processed, or the last one; NULL: there was none yet */
};

/* Adds to a counter of the inode and of the mount. */
#define worker_count(w, inode, name, n) stats_add((inode)->stats, &(w)->journal->super->stats, name, n)

#endif
