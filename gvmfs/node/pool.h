/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pool.h - one thread's connections to the memory nodes.
 *
 * Every thread that talks to nodes has a pool of its own, so that connections need no locks. A
 * pool begins with the nodes of the command line and grows by those that regions' records name. A
 * region's node is identified by its incarnation, never by its address: a node that restarted
 * empty is another node.
 *
 * So are the nodes of the command line: a node counts once, however often and in whichever spelling it is listed.
 * Two addresses turn out to be one node when it sends its HELLO; until then they count as two.
 */
#ifndef GVMFS_POOL_H
#define GVMFS_POOL_H

#include "base/loop.h"
#include "fetch.h"
#include "gvm_client.h"
#include "options.h"
#include "state/record.h"

#define POOL_CONNS_MAX 512
#define POOL_ASKS_MAX  4u /* of many nodes that are asked the same, so many in one go, during which faults wait */

enum pool_kind {
	POOL_WATCHES, /* stays connected to all nodes, and logs when they come and go: one in a process */
	POOL_TALKS,   /* connects for a request, and closes idle connections */
	POOL_WRITES,  /* the same, but begins without the command line's nodes */
};

struct pool {
	const struct options *opts;
	enum pool_kind kind;
	uint64_t client;
	struct loop *loop; /* of the thread; polls the connections */
	struct gvm_conn *conns[POOL_CONNS_MAX]; /* the arrays below have an entry for each connection */
	struct loop_source *sources[POOL_CONNS_MAX];
	uint64_t lost_said_ns[POOL_CONNS_MAX]; /* when its loss was logged; 0: not since it was last up */
	unsigned count;
	unsigned listed;     /* conns[0..listed-1] are the command line's nodes, which have the name table */
	bool again[OPTIONS_NODES_MAX]; /* an earlier listed connection leads to the same node */
	bool quiet[POOL_CONNS_MAX]; /* it did not answer the last time: pool_note() */
	uint64_t quiet_received[OPTIONS_NODES_MAX]; /* gvm_conn_received() at that time: names_talk.h */
	uint64_t vain_ns[OPTIONS_NODES_MAX]; /* for how long a step of the name table that needed it has waited in vain */
	uint64_t untold_ns[POOL_CONNS_MAX]; /* since when it is up without having been told of our regions; 0: it was */
	unsigned untold; /* how many untold_ns are set: region_lease_tick() */
	unsigned telling; /* the one that it is just telling, and 1; 0: none */
	unsigned telling_nr; /* of the next inode that it looks at */
	bool drains[POOL_CONNS_MAX]; /* the node is to be drained: drain.h */
	uint64_t drains_ns; /* the nodes are not asked for that again before this time */
	unsigned drains_at; /* those from here on are yet to be asked in this round; 0: it is over */
	struct fetch_latency latency[POOL_CONNS_MAX]; /* how long its GETs take: fetch.h */
	uint32_t generation; /* changes whenever pool_node() may return another connection than before */
	void (*on_up)(struct pool *pool, struct gvm_conn *conn); /* may be NULL */
	void *owner;
};

/* Creates connections to the command line's nodes (except POOL_WRITES); nothing is sent yet. 0 or a
 * negative errno. */
int pool_init(struct pool *pool, const struct options *opts, uint64_t client, struct loop *loop,
	      enum pool_kind kind);
void pool_deinit(struct pool *pool);

/* The connection to a region's node, owned by the pool: by incarnation, else by address (a request then fails if
 * another node has that address now). NULL: no memory or descriptors at present, too many nodes, or (POOL_WRITES) one
 * that must not be sent to. POOL_WRITES may close an idle connection to get a descriptor. */
struct gvm_conn *pool_node(struct pool *pool, const struct record_node *node);

/* Whether a region's content may be sent to the node. A mount that does not seal only because all nodes of its
 * command line are on loopback must not send to a node elsewhere, which a record may name. A POOL_WRITES pool refuses
 * such a connection, too. */
bool pool_may_send(const struct pool *pool, const struct record_node *node);

/* The entry of pool_node()'s connection; -1: there is none. */
int pool_index(struct pool *pool, const struct record_node *node);

/* Notes whether a node answered in time (quiet: it did not), also for requests of other pools. */
void pool_note(struct pool *pool, const struct record_node *node, bool quiet);
/* Whether the node is quiet or not connected: then do not wait for it. */
bool pool_is_quiet(struct pool *pool, const struct record_node *node);
/* The same of an entry: pool_index(). */
bool pool_entry_is_quiet(const struct pool *pool, unsigned entry);
/* Whether it is known that the node does not answer: as pool_is_quiet(), but a node to which this worker, which
 * may have just begun, was never connected may well answer, until the worker has waited for it in vain. */
bool pool_is_silent(struct pool *pool, const struct record_node *node);

/* Whether the pool has a connection to the node that is down, or over which nothing was heard of it for some seconds
 * though it was asked something. */
bool pool_is_away(struct pool *pool, const struct record_node *node);
bool pool_entry_is_away(const struct pool *pool, unsigned entry);

/* The latency of GETs over a connection of the pool. */
struct fetch_latency *pool_latency(struct pool *pool, const struct gvm_conn *conn);

/* The rack of a connection's node, by the command line's list of nodes: equal numbers are one rack; 0: none is given,
 * so the node counts as a rack of its own. */
unsigned pool_rack(const struct pool *pool, const struct gvm_conn *conn);

/* How many different nodes the command line names, as far as is known. */
unsigned pool_nodes(const struct pool *pool);

/* Looks once for answers on every connection that has requests in flight; returns the number of frames
 * received. */
int pool_poll(struct pool *pool);

/* From pool_gather(pool, true) on, requests are not sent; pool_gather(pool, false) sends them: one system call for
 * those to the same node. The caller does nothing else in between. */
void pool_gather(struct pool *pool, bool on);

/*
 * In a fiber: waits until `req`, which was submitted to `conn`, is done, and returns its result. Its done callback
 * is pool_done() (or sets the same flag), with a flag (bool) as req->arg. Logs once that it waits, after 3 s.
 */
void pool_done(struct gvm_req *req);
int pool_wait(struct gvm_conn *conn, struct gvm_req *req);

/* The deadline of a request that a user waits for: now + --timeout (CLOCK_MONOTONIC); 0: none. */
uint64_t pool_deadline(const struct options *opts);
/* The deadline of a conversation about names, sizes and attaching: the same, or 2 s from now without --timeout. No
 * guest's memory depends on it, and it can be tried again. */
uint64_t pool_call_deadline(const struct options *opts);

#endif
