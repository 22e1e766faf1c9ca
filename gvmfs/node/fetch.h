/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fetch.h - a GET that can ask several nodes: hedged, and sent to the next node if one fails.
 *
 * The caller names the ways (connections to replicas of the chunk), the best first. The first is asked. If its answer
 * takes longer than usual for that node, or is an error, the next is asked, too. Pieces of
 * both answers are passed on as they come, since every piece is verified, and its version is not too old. The first
 * complete answer ends the fetch. An error ends it when no way is left, or at once if another writer has the
 * region. With a single way it is a plain GET.
 *
 * If some of what is asked for does not verify, and no way has all of it, the pages are asked for one by one: each may be good on
 * some node.
 *
 * Front thread only.
 */
#ifndef GVMFS_FETCH_H
#define GVMFS_FETCH_H

#include "gvm_client.h"
#include "state/record.h"
#include "views.h"

#include <sys/queue.h>

/* How long a node's answers take: a smoothed average and mean deviation (as TCP's retransmission timer, RFC
 * 6298, with 1/8 and 1/4). */
struct fetch_latency {
	uint32_t average_us; /* 0: nothing is known yet */
	uint32_t spread_us;
};

struct fetch_way {
	struct gvm_conn *conn;
	struct fetch_latency *latency;
	struct gvm_id node; /* its incarnation */
};

/* `piece` returns this for a part that another thread decodes (unpack.h): fetch_looked() gives the outcome later. */
#define FETCH_LATER 1

struct fetch;
struct inode;
TAILQ_HEAD(fetch_list, fetch);

struct fetch_request {
	union {
		struct gvm_get get;
		struct gvm_call call; /* fetch_newest_begin() */
	}; /* first */
	struct fetch *fetch;
	struct fetch_latency *latency;
	uint64_t sent_ns;
	uint64_t version; /* fetch_newest_begin(): the node's version of the chunk */
	bool under_way;
	bool rotten; /* the node's copy does not verify */
	bool headless; /* none of it can be read */
	bool lost;   /* some of its pages are */
};

struct fetch {
	/* set by the caller */
	struct gvm_get_req what;
	uint64_t deadline_ns; /* as in struct gvm_req */
	/* Called with a part of the chunk; a part may come twice. If it returns an error (-EBADMSG: the part does not
	 * verify), the node counts as failed. -ENODATA: some of its pages are lost (codec.h), which no other node
	 * can change: the fetch goes on, and ends with this error. Or it returns FETCH_LATER, unless `here` is set. */
	int (*piece)(struct fetch *f, struct gvm_conn *conn, uint64_t version, const struct chunk_head *head,
		     const uint8_t *body);
	/* Called with the pages of a part for which `piece` returned FETCH_LATER, once they are decoded (part.h). */
	void (*came)(struct fetch *f, const struct chunk_head *head, uint32_t got);
	/* For part.h, if it is sealed: pages of which the node's copy may be becoming another one, or may have become it since
	 * the fetch began. Whichever comes of them is authentic, and the caller does not use it. NULL: there are none. */
	uint32_t (*flux)(const struct fetch *f);
	/* Called once, not from within fetch_begin(), with 0 or a negative errno. */
	void (*done)(struct fetch *f, int result);
	void *arg;
	unsigned nr; /* the inode's, for fetches->rotten() */
	/* private */
	struct fetches *fetches;
	struct fetch_way way[RECORD_PLACES];
	struct fetch_request request[RECORD_PLACES];
	struct fetch_newest {
		struct fetch_way way[RECORD_PLACES]; /* the slot's replicas */
		unsigned ways, first, slot;	       /* first: as many are members without a view. ways 0: not begun by fetch_newest_begin() */
		struct view_seen seen[RECORD_PLACES];
		uint64_t until_ns;
		bool pauses; /* waits until hedge_at_ns, then asks all again */
	} newest;
	unsigned ways, asked;
	int error;	    /* the first error of a node */
	uint8_t rotten;	    /* bit i: a part that does not verify has come by way i */
	bool single;	    /* pages are asked for one by one: */
	uint32_t left;	    /* those that were not asked for yet */
	int lacks;	    /* 0, or why one of the others could not be had */
	bool ended;
	unsigned later; /* parts that another thread decodes; done() waits for them: */
	uint32_t beside; /* for part.h: the chunk's pages that it may be writing meanwhile, */
	struct inode *sealed; /* and whose they are, if they are sealed */
	bool over;	/* the nodes have answered, with `result` */
	int result;
	bool spoilt;	/* one of these parts does not verify, or is lost: the chunk is asked for once more */
	bool here;	/* that second time: the front decodes every part, so that it is known whose copy is spoilt */
	uint64_t hedge_at_ns; /* when to ask the next node; 0: not waiting */
	TAILQ_ENTRY(fetch) entry; /* in fetches->waiting, in the order of hedge_at_ns */
};

/* A thread's fetches. */
struct fetches {
	struct fetch_list waiting;
	uint64_t begun;	 /* fetches with several ways so far */
	uint64_t hedged; /* how often another node was asked because one was slow */
	bool timed;	 /* how long a node takes is of interest, also where no other can be asked: */
	uint64_t answers, took_ns; /* nodes' answers whose time was taken so far, and what they took together */
	/* Called if a node's copy does not verify; `lost`: nor has the fetch found a good one. Called as the fetch
	 * ends, before done(); must not begin a fetch. May be NULL. */
	void (*rotten)(struct fetches *fs, const struct fetch *f, const struct gvm_id *node, bool lost);
	void *owner;
};

void fetches_init(struct fetches *fs);
/* Asks the next node in every fetch for which that is due; returns when it is due again (CLOCK_MONOTONIC), or ~0. */
uint64_t fetches_tick(struct fetches *fs, uint64_t now_ns);

/* Begins a fetch; the caller keeps *f until done(). `ways`: 1 to RECORD_PLACES. */
void fetch_begin(struct fetches *fs, struct fetch *f, const struct fetch_way *way, unsigned ways);
/*
 * The same for a mount that is not the region's writer, and so has no index to tell the newest version, and no journal
 * to tell which replicas have it. It asks all replicas of the slot for its views (views.h); if none was ever recorded, the
 * `first` ways have it. Once the answers tell which
 * replicas have every acknowledged write, it asks these for their version of the chunk; those with the newest, unless
 * their copy is rotten, are the ways. (It finds every write that was acknowledged before the call, since all the
 * answers are later.) While a replica that may have the newest version is silent, or has lost it, it asks all again,
 * for as long as a writer may take to record that it goes on without that replica; -EHOSTDOWN: no writer has.
 */
void fetch_newest_begin(struct fetches *fs, struct fetch *f, const struct fetch_way *way, unsigned ways, unsigned first,
			unsigned slot);
/* The outcome of a part for which `piece` returned FETCH_LATER, as `piece` would have returned it. May call done(). */
void fetch_looked(struct fetch *f, int error);
/* Ends the fetch early: done() runs at once, with -ECANCELED, or when no other thread is decoding a part of it any more.
 * Does nothing if it has run. */
void fetch_cancel(struct fetch *f);

/* How long to wait for a node's answer before the next node is asked. */
uint64_t fetch_patience_ns(const struct fetch_latency *l);
/* Adds a measured latency. */
void fetch_latency_learn(struct fetch_latency *l, uint64_t ns);

#endif
