/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replicas.h - the replicas of an attached region: which of its nodes are bad, and the view (views.h) of each slot.
 *
 * A region has a struct replicas (inode->replicas) if its slots have several replicas; with one replica, only from the
 * time on that one of its nodes is drained or balanced (drain.h).
 *
 * A node is bad when its connection has been down for REPLICA_PATIENCE_NS, when it has not answered a request for as
 * long that others have carried out, when it answered that it lacks data it should have, or when it restarted without
 * its memory. It is good again when it is connected, is the same incarnation, and has answered something a while later.
 * A bad node is not written to, and read last. A slot gets a view without it when a write waits for that, or when it
 * has been bad for so long that others (readers, the next writer if this host is lost, repair) should know. If no
 * member would be left, the view stays, and the region waits for its nodes, as one without replicas does.
 *
 * If no node of the mount is heard of, it is this host that is cut off: no node is bad then, and when one is heard of
 * again, the others get some time to be connected, too. A request that fails for a reason that passes, or that is this
 * host's (memory), is retried.
 *
 * Views are in the journal (journal_views()): a successor goes on with them. Replicas outside of a view come back
 * by repair.h. Front thread.
 */
#ifndef GVMFS_REPLICAS_H
#define GVMFS_REPLICAS_H

#include "fetch.h"
#include "gvm_client.h"
#include "state/inode.h"
#include "views.h"

#define REPLICA_PATIENCE_NS 500000000ull
#define REPLICA_REFUSED	    4u

struct worker;

struct replica_node {
	bool bad;
	bool gone;	   /* it restarted without its memory: bad for good */
	uint8_t garbled;   /* writes in a row that failed their checksum on the way to it */
	uint64_t bad_ns;   /* since when it is bad */
	uint64_t down_ns;  /* since when it is not connected; 0: it is connected */
	uint64_t silent_ns; /* when it last failed a request; 0: never */
	uint64_t silent_received; /* gvm_conn_received() at that time */
	uint64_t repair_ns; /* no repair of it begins before this time; 0: none has failed */
	uint64_t useful_ns; /* when it last lacked nothing, or took a copy */
	uint64_t full_ns;   /* when the log last told that it is full; 0: never */
};

struct drain;
struct record_call;
struct repair;

struct replicas {
	struct worker *w;
	struct inode *inode;
	LIST_ENTRY(replicas) entry; /* in w->replicas */
	unsigned degraded;    /* slots with fewer members than replicas, as last logged */
	uint64_t degraded_ns; /* when that was logged */
	bool closing;  /* the region is detached: the next tick frees this, and ends flushes that wait for a view */
	uint64_t began_ns; /* when this was made: at the attachment, or when this worker started */
	uint64_t alone_ns; /* when last no node of the mount was heard of; 0: never */
	LIST_HEAD(, record_call) again; /* requests to record a view that are retried later */
	void (*turn)(struct replicas *r, unsigned slot); /* for repair.h: takes a slot's next steps */
	void (*renode)(struct replicas *r, const struct record *before); /* for replace.h: the record's nodes changed */
	struct repair *repair; /* the repair in progress: repair.h; NULL: none */
	uint64_t repairs;      /* repairs begun so far */
	enum { SETTLED, SETTLES_SAVE, SETTLES_DROP } settles; /* a region with one copy: see drain.h */
	uint64_t settles_ns;   /* since when */
	struct drain *drain;   /* the move in progress: drain.h; NULL: none */
	uint64_t drain_ns;     /* no move begins before this time */
	bool replacing;	       /* a change of the record is in progress: replace.h */
	uint64_t replace_ns;   /* none begins before this time */
	bool trims;	       /* nodes may have promised more than is needed: replace.h */
	bool no_room;	       /* the log has told that no node has room for new copies */
	bool no_drain;	       /* the same, for copies on a node that is drained */
	struct gvm_id refused[REPLICA_REFUSED]; /* nodes that refused copies: chosen only if no other can be */
	unsigned refusals;
	uint64_t *written; /* a bit for each chunk that was written while its slot was degraded: repair_map() */
	uint16_t writes[RECORD_SLOTS]; /* writes in flight, by slot */
	struct replica_node node[RECORD_NODES_MAX]; /* one for each node of the record */
	struct view_slot slot[RECORD_SLOTS];
};
LIST_HEAD(replicas_list, replicas);

/* Call it once the region is attached and its words in the journal are set: by this worker, or by a predecessor.
 * Without memory the worker ends. */
void replicas_open(struct worker *w, struct inode *inode);
/* Nodes have, or promise, more of it than anybody needs: a move was under way, or has just ended. */
bool replicas_are_untidy(const struct inode *inode);
/* The region is detached. Flushes that wait for a view end with an error, later, from the loop. */
void replicas_close(struct inode *inode);

/* The slot of a chunk; NULL: the region has no struct replicas (any more). */
struct view_slot *replicas_slot(struct inode *inode, uint64_t chunk);
/* A node has taken a write (error 0), or failed: its answer, or -ETIMEDOUT if others have taken the write. `asked`:
 * the node, whose place in the record may be another's by now. False: the reason passes, and proves nothing about
 * the node. */
bool replicas_heard(struct inode *inode, const struct gvm_id *asked, int error);
/* A write that all good members have waits for the bad ones: a view without them is needed. */
void replicas_need(struct inode *inode, uint64_t chunk);
/* A write of a chunk is about to be sent to the members. False: writes are held; events->replicas_changed() tells when
 * to try again. Each begin needs an end; `epoch`: the region's at the begin, so that a write of an earlier attachment
 * does not count. */
bool replicas_write_begin(struct inode *inode, uint64_t chunk);
void replicas_write_end(struct inode *inode, uint64_t epoch, uint64_t chunk);
/* The region's size has changed. */
void replicas_resized(struct inode *inode);
/* The order in which to ask a chunk's replicas: node[] gets entries of the record's nodes, best first. Returns how
 * many; the first *good of them are not bad. */
unsigned replicas_order(struct inode *inode, uint64_t chunk, unsigned node[RECORD_REPLICAS], unsigned *good);

/* Looks at the nodes and goes on with repairs and moves; returns when to call it again (CLOCK_MONOTONIC). */
uint64_t replicas_tick(struct worker *w, uint64_t now_ns);

/* How many of the region's slots have fewer members than replicas. */
unsigned replicas_degraded(const struct inode *inode);
/* How many of its slots have a member that does not answer now, or that restarted without its memory. */
unsigned replicas_unanswered(const struct inode *inode);
/* Chunks still to be copied, as far as is known: by the repair in progress, and by the move from a drained node. */
uint64_t replicas_repair_left(const struct inode *inode);
uint64_t replicas_drain_left(const struct inode *inode);

#endif
