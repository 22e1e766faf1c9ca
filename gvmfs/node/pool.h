/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pool.h - one thread's connections to the memory nodes.
 *
 * Every thread that talks to nodes has a pool of its own, so that connections need no locks. A
 * pool begins with the nodes of the command line and grows by those that regions' records name. A
 * region's chunk is found by its node's incarnation, never by an address: a node that restarted
 * empty is another node.
 *
 * So is a node of the command line: whichever way it is spelled, and however often, it counts once.
 * That two addresses are one node's is learnt when it greets; until then they count as two, since a
 * node that does not answer may be any.
 */
#ifndef GVMFS_POOL_H
#define GVMFS_POOL_H

#include "base/loop.h"
#include "fetch.h"
#include "gvm_client.h"
#include "options.h"
#include "state/record.h"

#define POOL_CONNS_MAX 512

enum pool_kind {
	POOL_WATCHES, /* stays connected to all nodes, and logs when they come and go: one of a process */
	POOL_TALKS,   /* connects when there is something to ask, and lets go again */
	POOL_WRITES,  /* that, and knows no node before it is needed */
};

struct pool {
	const struct options *opts;
	enum pool_kind kind;
	uint64_t client;
	struct loop *loop; /* of the thread: it watches them */
	struct gvm_conn *conns[POOL_CONNS_MAX];
	struct loop_source *sources[POOL_CONNS_MAX]; /* of each */
	uint64_t lost_said_ns[POOL_CONNS_MAX]; /* of each: when its loss was logged; 0: not since it was up */
	unsigned count;
	unsigned listed;     /* conns[0..listed-1] are those of the command line: the name table's */
	bool again[OPTIONS_NODES_MAX]; /* of these: an earlier one leads to the same node */
	bool quiet[POOL_CONNS_MAX]; /* of each: it did not answer when it was last asked: pool_note() */
	uint64_t untold_ns[POOL_CONNS_MAX]; /* of each: since when it is up, and not told of our regions; 0: it is */
	unsigned untold; /* of these: region_reattach_tick() */
	bool drains[POOL_CONNS_MAX]; /* of each: it is to be emptied: drain.h */
	uint64_t drains_ns; /* before it they are not asked again */
	struct fetch_latency latency[POOL_CONNS_MAX]; /* of each: what GETs of fetch.h take */
	uint32_t generation; /* changes whenever pool_node() may answer otherwise than before */
	void (*on_up)(struct pool *pool, struct gvm_conn *conn); /* may be NULL */
	void *owner;
};

/* Makes the connections of the command line's nodes (but POOL_WRITES); nothing is sent yet. 0 or a
 * negative errno. */
int pool_init(struct pool *pool, const struct options *opts, uint64_t client, struct loop *loop,
	      enum pool_kind kind);
void pool_deinit(struct pool *pool);

/* The connection to a region's node: by incarnation, else by address (it answers LOST if another
 * node lives there now). NULL: no memory or descriptors at present, or too many nodes. POOL_WRITES may
 * give up a connection without requests for it. */
struct gvm_conn *pool_node(struct pool *pool, const struct record_node *node);

/* Whether content may go to a region's node as this mount sends it: if it does not seal only because all nodes that the
 * command line names are on loopback, it sends nothing to one elsewhere, which a record may name. POOL_WRITES sees to it
 * once more. */
bool pool_may_send(const struct pool *pool, const struct record_node *node);

/* Notes whether a node answered in good time, wherever it was asked, and tells what is known: one
 * that is quiet need not be waited for. */
void pool_note(struct pool *pool, const struct record_node *node, bool quiet);
bool pool_is_quiet(struct pool *pool, const struct record_node *node);

/* What GETs over a connection of the pool take. */
struct fetch_latency *pool_latency(struct pool *pool, const struct gvm_conn *conn);

/* The rack that the command line's list of nodes names for a connection's: equal numbers are one rack; 0: it is by
 * itself, as far as is known. */
unsigned pool_rack(const struct pool *pool, const struct gvm_conn *conn);

/* How many nodes the command line names, as far as is known. */
unsigned pool_nodes(const struct pool *pool);

/* Looks once for answers on every connection that has requests under way; returns the frames
 * received. */
int pool_poll(struct pool *pool);

/*
 * Waits in a fiber until `req`, just submitted to `conn`, is done; its done callback is `pool_done`,
 * or calls it. Says so once when it takes long. Returns its result.
 */
void pool_done(struct gvm_req *req);
int pool_wait(struct gvm_conn *conn, struct gvm_req *req);

/* The deadline of a request that a user waits for: now + --timeout, or 0 for none. */
uint64_t pool_deadline(const struct options *opts);
/* The deadline of a conversation about names, sizes and openings: --timeout, but without one not for
 * ever. Nothing of a guest's memory hangs on it, and an error can be tried again. */
uint64_t pool_call_deadline(const struct options *opts);

#endif
