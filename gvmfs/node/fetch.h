/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fetch.h - a GET that has more than one node to ask: hedged, and turned to the next one where a node fails.
 *
 * The caller names the ways (connections to replicas of the chunk), the best first. The first is asked. If its answer
 * takes longer than it should (by what its answers took before), or it is an error, the next is asked, too; what
 * both bring is handed on as it comes, since every piece is verified and of a version that is not too old. The first
 * that brings everything ends the fetch; an error does when no way is left, and at once where another writer has the
 * region. With a single way it is a GET and nothing else.
 *
 * Front thread only.
 */
#ifndef GVMFS_FETCH_H
#define GVMFS_FETCH_H

#include "gvm_client.h"
#include "state/record.h"
#include "views.h"

#include <sys/queue.h>

/* How long a node's answers take: an average, and how far they lie from it (as TCP does for its retransmissions, RFC
 * 6298, with 1/8 and 1/4). */
struct fetch_latency {
	uint32_t average_us; /* 0: nothing is known */
	uint32_t spread_us;
};

struct fetch_way {
	struct gvm_conn *conn;
	struct fetch_latency *latency;
	struct gvm_id node; /* its incarnation */
};

struct fetch;
TAILQ_HEAD(fetch_list, fetch);

struct fetch_request {
	union {
		struct gvm_get get;
		struct gvm_call call; /* fetch_newest_begin() */
	}; /* first */
	struct fetch *fetch;
	struct fetch_latency *latency;
	uint64_t sent_ns;
	uint64_t version; /* fetch_newest_begin(): that the node has */
	bool under_way;
	bool rotten; /* what the node has does not verify */
};

struct fetch {
	/* set by the caller */
	struct gvm_get_req what;
	uint64_t deadline_ns; /* as in struct gvm_req */
	/* Part of the chunk has come; may come twice. An error (-EBADMSG: it does not verify) is the node's. */
	int (*piece)(struct fetch *f, struct gvm_conn *conn, uint64_t version, const struct chunk_head *head,
		     const uint8_t *body);
	/* Once, not from within fetch_begin(): 0 or a negative errno. */
	void (*done)(struct fetch *f, int result);
	void *arg;
	unsigned nr; /* the inode's, for fetches->rotten() */
	/* private */
	struct fetches *fetches;
	struct fetch_way way[RECORD_REPLICAS];
	struct fetch_request request[RECORD_REPLICAS];
	struct fetch_newest {
		struct fetch_way way[RECORD_REPLICAS]; /* the slot's replicas */
		unsigned ways, slot;		       /* ways 0: it is no such fetch */
		struct view_seen seen[RECORD_REPLICAS];
		uint64_t until_ns;
		bool pauses; /* until hedge_at_ns; then all are asked again */
	} newest;
	unsigned ways, asked;
	int error;	    /* the first that a node answered */
	bool ended;
	uint64_t hedge_at_ns; /* 0: not waiting to ask the next */
	TAILQ_ENTRY(fetch) entry; /* in fetches->waiting, by hedge_at_ns */
};

/* Those of a thread. */
struct fetches {
	struct fetch_list waiting;
	uint64_t begun;	 /* of several ways */
	uint64_t hedged; /* how often another node was asked since the first was slow */
	/* What a node has does not verify; `lost`: nor did the fetch find another copy. From within the fetch's end, before
	 * its done(). Begins no fetch. May be NULL. */
	void (*rotten)(struct fetches *fs, const struct fetch *f, const struct gvm_id *node, bool lost);
	void *owner;
};

void fetches_init(struct fetches *fs);
/* Asks the next node where it is time to, and returns when it is again: ~0 where it is not. */
uint64_t fetches_tick(struct fetches *fs, uint64_t now_ns);

/* `ways`: 1 to RECORD_REPLICAS. */
void fetch_begin(struct fetches *fs, struct fetch *f, const struct fetch_way *way, unsigned ways);
/*
 * The same for a caller that is not the region's writer: it has no index to say which version is the last, and no journal to
 * say which replicas have it. All replicas of the slot are asked for its views (views.h); when those that have answered tell
 * which of them have all that was acknowledged, these are asked which version they have, and those that have the newest are
 * the ways, but for those whose copy is rotten. (Whatever was acknowledged before the call is found: each of the answers is
 * younger.) While one that may have had the newest is silent, or has lost it, all are asked again, for as long as a writer may
 * take to go on without it; -EHOSTDOWN: none has.
 */
void fetch_newest_begin(struct fetches *fs, struct fetch *f, const struct fetch_way *way, unsigned ways, unsigned slot);
/* Ends it early: done() runs at once, with -ECANCELED. */
void fetch_cancel(struct fetch *f);

/* After how long the next node is asked. */
uint64_t fetch_patience_ns(const struct fetch_latency *l);
/* A node took so long to answer. */
void fetch_latency_learn(struct fetch_latency *l, uint64_t ns);

#endif
