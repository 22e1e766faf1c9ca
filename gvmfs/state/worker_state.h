/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker_state.h - the process that serves the mount: state that the front thread's modules share.
 *
 * The front thread reads /dev/fuse, asks the nodes for missing chunks, and answers. It owns all state
 * here and must not block; the main thread watches that (lookout.h). The other threads are that of
 * the jobs (jobs.h: conversations with nodes), the writers (writer.h: encode and send the guest's writes), and one that
 * decodes (unpack.h).
 * They return results through eventfds. When the worker is killed, the supervisor starts
 * another on the same journal.
 *
 * Each module's state is a struct of its own, described in that module's header. Here they are only
 * declared, so that every folder can use the worker. worker.c makes them all before anything else runs.
 */
#ifndef GVMFS_STATE_WORKER_STATE_H
#define GVMFS_STATE_WORKER_STATE_H

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
struct held;
struct interrupts;
struct jobs;
struct limiters;
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
struct sizes;
struct store;
struct unmade;
struct unpack;
struct writers;

struct worker {
	const struct options *opts;
	const struct region_events *region_events;
	struct journal *journal;
	struct inodes *inodes;
	struct pool *pool;
	struct jobs *jobs;
	struct chunk_codec *codec; /* decodes the nodes' answers in the front thread */
	struct sealer *sealer;	   /* opens them, if the mount seals; NULL: it does not */
	struct unpack *unpack; /* another thread that decodes */
	struct store *store;
	struct pagecache *pagecache;
	struct writers *writers;
	struct fetches *fetches;
	struct replicas_list *replicas; /* of all attached regions that have a struct replicas */
	struct rot *rot;
	struct balance *balance;
	struct scrub *scrub;
	struct replicas *replicas_next;	/* where looks_tick() goes on with its round of looks; NULL: it is done */
	uint64_t replicas_due_ns;	/* when the next round has to begin; 0: now */
	struct replicas *movers;	/* those with a repair or a move, looked at more often than that: */
	struct replicas *movers_next;	/* where that goes on; NULL: all were looked at */
	unsigned singles_nr; /* the inode at which it goes on looking for regions with one copy; 0: it does not */
	struct residents *residents;
	struct handshakes *handshakes;
	struct sessions *sessions;
	struct lookout *lookout;
	struct interrupts *interrupts;
	struct capacity *capacity;
	struct direct *direct;
	struct held *held;
	struct unmade *unmade;
	struct sizes *sizes;
	struct limiters *limiters;
	struct names_state *names;
	LIST_HEAD(, close_wait) closing; /* calls that wait for a RELEASE: closes.h */
	bool draining; /* the mount is gone: only unacknowledged writes and unsaved records are still sent */
	uint64_t complained_ns; /* when the log last told of calls that wait for nodes */
	unsigned uncomplained;	/* such calls since then */
	struct fuse_session *session;
	int fuse_fd;
	int keeper_fd; /* to the supervisor: keeper.h */
	int heirs_fd; /* a pipe: addresses of copies to be made for heirs (heir.h) */
	struct loop *loop; /* of the front thread */
	struct loop_source requests, heirs, results, outcomes, pokes, unpacked; /* serve.c, worker.c */
	uint64_t names_at_ns; /* when the name table was last read from the nodes */
	struct inode *watches;	 /* with work for watch.h */
	unsigned watches_count;
	uint64_t watches_due_ns; /* when that is due */
	struct record_owner self; /* owner of the temporary regions that this mount makes */
	bool names_failing;   /* the last read of the name table failed: too few nodes answered */
	bool names_asking;    /* a read is in flight only to find out whether that is still so */
	bool names_owed;      /* the name table may lack a predecessor's changes */

	struct request *request; /* the request being processed, or the last one; NULL: none yet */
};

/* Adds to a counter of the inode and of the mount. */
#define worker_count(w, inode, name, n) stats_add((inode)->stats, &(w)->journal->super->stats, name, n)

/* Counts a wait of a user of the inode, which began then, and is over. */
static inline void worker_took(struct worker *w, struct inode *inode, enum latency_stage stage, uint64_t begun_ns)
{
	latency_add(&inode->disk->latency[stage], &w->journal->super->latency[stage], gvm_now_ns() - begun_ns);
}

#endif
