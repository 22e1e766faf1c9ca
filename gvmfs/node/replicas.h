/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replicas.h - the replicas of a region that is attached here: which nodes answer, and the view (views.h) of each slot.
 *
 * Only a region whose slots have more than one replica has a struct replicas (inode->replicas); and one with one, from the
 * time on that a node of it is drained (drain.h). A node counts as bad
 * when its connection has been down for REPLICA_PATIENCE_NS, when a request that others carried out was not answered
 * for as long, when it answered that it lacks what it should have, or when it began anew without its memory; and no longer
 * when it is connected, the same, and heard of a while after that. It is written to no more, and read last. A slot gets a view
 * without it when a write waits for that, or when it has been bad for so long that others (readers, a successor of a lost
 * host, repair) should know; unless no member would be left: then the region waits for its nodes, as one without replicas
 * does.
 *
 * Nothing of that if no node of the mount is heard of: then it is this host that is cut off, and when it hears of one again
 * the others get the time to be connected, too. What fails for a reason that passes, or that is this host's (memory), is
 * tried again.
 *
 * Views stand in the journal (journal_views()): a successor goes on with them. What is outside of a view comes back
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
	bool gone;	   /* it began anew: bad for good */
	uint8_t garbled;   /* writes in a row that did not reach it as they were sent */
	uint64_t bad_ns;   /* since when it is bad */
	uint64_t down_ns;  /* since when it is not connected; 0: it is */
	uint64_t silent_ns; /* when it last failed a request; 0: never */
	uint64_t silent_received; /* what had come from it by then */
	uint64_t repair_ns; /* before it no repair of it begins */
	uint64_t useful_ns; /* when it last lacked nothing, or was given something */
	uint64_t full_ns;   /* when it was said that it is full; 0: never */
};

struct drain;
struct record_call;
struct repair;

struct replicas {
	struct worker *w;
	struct inode *inode;
	LIST_ENTRY(replicas) entry; /* in w->replicas */
	unsigned degraded;    /* slots that have fewer members than replicas, as it was said last */
	uint64_t degraded_ns; /* when */
	bool closing;  /* the region is detached: this goes with the next tick, and flushes that wait for a view end */
	uint64_t began_ns; /* with the attachment, or with this worker */
	uint64_t alone_ns; /* when no node of the mount was heard of; 0: that was never so */
	LIST_HEAD(, record_call) again; /* views that a node could not record for now */
	void (*turn)(struct replicas *r, unsigned slot); /* a slot's, for repair.h */
	void (*renode)(struct replicas *r, const struct record *before); /* the record has other nodes, for replace.h */
	struct repair *repair; /* under way: repair.h; NULL: none */
	uint64_t repairs;      /* so many were begun */
	enum { SETTLED, SETTLES_SAVE, SETTLES_DROP } settles; /* a region with one copy: see drain.h */
	uint64_t settles_ns;   /* since when */
	struct drain *drain;   /* a move under way: drain.h; NULL: none */
	uint64_t drain_ns;     /* before it none begins */
	bool replacing;	       /* the record is about to change: replace.h */
	uint64_t replace_ns;   /* not before this time */
	bool trims;	       /* nodes may promise more than is needed: replace.h */
	bool no_room;	       /* for copies elsewhere: that was said */
	bool no_drain;	       /* nor for what a node has that is drained */
	struct gvm_id refused[REPLICA_REFUSED]; /* nodes that were chosen for copies and did not take them: others first */
	unsigned refusals;
	uint64_t *written; /* a bit for each chunk of a degraded slot that was written since: repair_map() */
	uint16_t writes[RECORD_SLOTS]; /* of each slot, that have begun and not ended */
	struct replica_node node[RECORD_NODES_MAX]; /* the record's */
	struct view_slot slot[RECORD_SLOTS];
};
LIST_HEAD(replicas_list, replicas);

/* The region is attached, its journal's words are right: now, or by a predecessor. Without memory the worker ends. */
void replicas_open(struct worker *w, struct inode *inode);
/* It is not any more. Flushes that wait for a view end with an error, from the loop. */
void replicas_close(struct inode *inode);

/* The slot of a chunk; NULL: it has one replica. */
struct view_slot *replicas_slot(struct inode *inode, uint64_t chunk);
/* A node has taken a write (error 0), or has not: what it answered, or -ETIMEDOUT, though others have taken it. `asked`: which
 * was asked, since its place in the record may be another's by now. False: that passes, and says nothing of the node. */
bool replicas_heard(struct inode *inode, const struct gvm_id *asked, int error);
/* A write that all others of the slot have waits for those that are bad. */
void replicas_need(struct inode *inode, uint64_t chunk);
/* A write of a chunk is about to be sent to its view's members. False: not now, events->replicas_changed() tells when to try
 * again. `epoch`: the region's, in which it was begun: one of an attachment that has ended counts no more. */
bool replicas_write_begin(struct inode *inode, uint64_t chunk);
void replicas_write_end(struct inode *inode, uint64_t epoch, uint64_t chunk);
/* The size is another. */
void replicas_resized(struct inode *inode);
/* In which order a chunk's replicas are asked, best first: entries of the record's nodes. Returns how many; the first
 * *good of them are not bad. */
unsigned replicas_order(struct inode *inode, uint64_t chunk, unsigned node[RECORD_REPLICAS], unsigned *good);

/* Looks at the nodes, and tells when it is to be called again. */
uint64_t replicas_tick(struct worker *w, uint64_t now_ns);

/* How many slots have how few members (1 to the record's replicas - 1), of all attached regions, or of one. */
unsigned replicas_degraded(const struct inode *inode);
/* How many have a member that does not answer now, or is not any more the node that it was. */
unsigned replicas_unanswered(const struct inode *inode);
/* Chunks that are to be copied, as far as a repair that is under way knows; and those of a node that is emptied. */
uint64_t replicas_repair_left(const struct inode *inode);
uint64_t replicas_drain_left(const struct inode *inode);

#endif
