/* SPDX-License-Identifier: GPL-2.0-or-later */
/* replicas_state.h - struct replicas, which replicas.h describes: for it, and for what repairs and moves replicas. */
#ifndef GVMFS_REPLICAS_STATE_H
#define GVMFS_REPLICAS_STATE_H

#include "state/inode.h"
#include "views.h"

#define REPLICA_PATIENCE_NS 500000000ull
#define REPLICA_REFUSED	    4u

struct worker;

struct replica_node {
	bool bad;
	bool gone;	   /* it restarted without its memory: bad for good */
	bool asked;	   /* for replicas_leave(): it has yet to say whether it is there */
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
	struct replicas *mover_next, **mover_back; /* in w->movers; mover_back NULL: it is not in it */
	unsigned degraded;    /* slots with fewer members than replicas, as last logged */
	uint64_t degraded_ns; /* when that was logged */
	unsigned absent;      /* the same of slots of which no member answers */
	uint64_t absent_ns;
	bool closing;  /* the region is detached: the next tick frees this, and ends flushes that wait for a view */
	void (*left)(void *arg); /* to be called once replicas_leave() is done; NULL: it is not under way */
	void *left_arg;
	uint64_t left_until_ns;
	uint64_t began_ns; /* when this was made: at the attachment, or when this worker started */
	uint64_t looked_ns; /* when its nodes were last looked at; 0: never */
	uint64_t alone_ns; /* when last no node of the mount was heard of; 0: never */
	LIST_HEAD(, record_call) again; /* requests to record a view that are retried later */
	void (*turn)(struct replicas *r, unsigned slot); /* for repair.h: takes a slot's next steps */
	void (*renode)(struct replicas *r, const struct record *before); /* for replace.h: the record's nodes changed */
	struct repair *repair; /* the repair in progress: repair.h; NULL: none */
	uint64_t repairs;      /* repairs begun so far */
	enum { SETTLED, SETTLES_SAVE, SETTLES_DROP } settles; /* a region with one copy: see drain.h */
	uint64_t settles_ns;   /* since when */
	struct gvm_id source;  /* what moved last moved away from this node; none: that is not known (any more) */
	bool source_told;      /* it knows */
	bool told;	       /* a region with one copy: its nodes know what has moved away from them (moved.h) */
	bool told_in_vain;     /* the last attempt to tell them failed: those without a slot are rid of their parts before the next */
	struct drain *drain;   /* the move in progress: drain.h; NULL: none */
	uint64_t drain_ns;     /* no move begins before this time */
	bool replacing;	       /* a change of the record is in progress: replace.h */
	uint64_t replace_ns;   /* none begins before this time */
	uint64_t surplus_ns;   /* since when slots have more replicas than they should, one of which leaves; 0: none has */
	bool surplus;	       /* some of these have left: the record is to change (drain.h) */
	bool no_room;	       /* the log has told that no node has room for new copies */
	bool no_drain;	       /* the same, for copies on a node that is drained */
	struct gvm_id refused[REPLICA_REFUSED]; /* nodes that refused copies: chosen only if no other can be */
	unsigned refusals;
	uint64_t *written; /* a bit for each chunk that was written while its view lacked a replica: repair_map() */
	uint16_t writes[RECORD_SLOTS]; /* writes in flight, by slot */
	struct replica_node node[RECORD_NODES_MAX]; /* one for each node of the record */
	struct view_slot slot[RECORD_SLOTS];
};
LIST_HEAD(replicas_list, replicas);

#endif
