/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The leases that two nodes have from each other, in all regions: one message renews them.
 *
 * In a region a lease begins and ends by messages of its own (LEASE, LEASED, FENCED: alive.c). In
 * between, BEAT carries a sum over all leases that a node has from another one, in which the region
 * (`key`), the lease's incarnation and the home's `start` go in. The home renews its leases of that
 * node if they have the same sum, and says so (BEATEN). If they have another, it renews none, and
 * says that (OTHER): each region then renews its own by LEASE, which tells what is wrong with it.
 *
 * So BEATEN says of every lease that the node had when it sent that BEAT: the home had it, too,
 * when the BEAT arrived, and counts it from then. A lease that the node got later is none of these.
 *
 * A home to which many nodes' BEATs would come has neighbours of them (by their ids) give these to
 * one of them, the carrier: it tells each by BEATEN (`who`) whom to give the next one. The carrier
 * sends what it has as one message, each quarter of a lease, and hands the answers on, each of
 * which is the home's. A BEAT that has no answer goes to the home itself, which then names another
 * carrier if it has not heard that one either. What was said above holds however long a BEAT takes
 * and whoever brings it: the node counts from when it made it, and the home from when it has come.
 *
 * Several cores call this, each under its own lock: lock() is below those. Nothing here calls a
 * core.
 */
#ifndef GVM_IVY_PAIRS_H
#define GVM_IVY_PAIRS_H

#include "wire.h"

struct ivy_pairs;

/* What struct ivy_env says of callbacks goes for these, too. All are called with the lock held. */
struct ivy_pairs_env {
	void (*lock)(void *ctx);
	void (*unlock)(void *ctx);
	void (*send)(void *ctx, u16 dst, const struct ivy_msg *m);
	u64 (*now)(void *ctx); /* the clock of the cores */
	/* ivy_pairs_tick() is to be called at that time, which is earlier than any told before. */
	void (*wake)(void *ctx, u64 at);
	void *(*alloc)(void *ctx, size_t bytes); /* zeroed, or NULL */
	void (*free)(void *ctx, void *p, size_t bytes);
};

struct ivy_pairs_params {
	u16 id, nodes; /* as in struct ivy_params, as all below */
	u64 start;
	u64 lease_ns, retry_ns; /* with their defaults */
	u16 carry_above;	/* default 128: with more nodes that have leases here, some carry */
};

/* One for each node, not for each region. 0, -EINVAL or -ENOMEM. */
int ivy_pairs_create(const struct ivy_pairs_params *p, const struct ivy_pairs_env *env, void *ctx,
		     struct ivy_pairs **out);
/* The cores that knew it are destroyed. NULL is accepted. */
void ivy_pairs_destroy(struct ivy_pairs *pairs);
/* BEAT or BEATEN, that ivy_msg_check() accepted. */
void ivy_pairs_rx(struct ivy_pairs *pairs, const struct ivy_msg *m);
void ivy_pairs_tick(struct ivy_pairs *pairs);
/* When the next tick is due; all ones: no lease is to be renewed. */
u64 ivy_pairs_due(struct ivy_pairs *pairs);
/* A connection to the node stands (again). */
void ivy_pairs_joined(struct ivy_pairs *pairs, u16 node);
/* How many leases the two nodes have from each other. */
u32 ivy_pairs_leases(struct ivy_pairs *pairs, u16 node);

/* ---- for the cores ---- */

/* A lease, as it goes into sums. */
u64 ivy_pair_lease(u64 key, u64 inc, u64 start);
/*
 * This node has that lease from the other one. Returns the time: the answers to what was sent later
 * renew it. 0: no memory, and none will.
 */
u64 ivy_pair_my_begin(struct ivy_pairs *pairs, u16 node, u64 lease);
void ivy_pair_my_end(struct ivy_pairs *pairs, u16 node, u64 lease);
/* When the last BEAT was sent that renewed this node's leases there; 0: none was. */
u64 ivy_pair_my_sent(struct ivy_pairs *pairs, u16 node);
/* Whether the last answer said OTHER. */
bool ivy_pair_other(struct ivy_pairs *pairs, u16 node);

/*
 * The other node has not answered this one in time: its next BEAT is to come from itself, so that a
 * node is not alive for ever that this one cannot reach, and others wait for.
 */
void ivy_pair_doubt(struct ivy_pairs *pairs, u16 node);

/* The other node has that lease from this one; false: no memory. */
bool ivy_pair_its_begin(struct ivy_pairs *pairs, u16 node, u64 lease);
void ivy_pair_its_end(struct ivy_pairs *pairs, u16 node, u64 lease);
/*
 * Ends it, unless a BEAT has renewed it that arrived less than lease_ns ago: then the end that
 * follows is returned; else 0. In between no BEAT can renew it.
 */
u64 ivy_pair_its_expire(struct ivy_pairs *pairs, u16 node, u64 lease, u64 lease_ns);

#endif
