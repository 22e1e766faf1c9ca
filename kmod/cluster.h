/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The nodes, as listed at GIANTVM_UP, and the listening socket. There is at most one cluster; it
 * lives from UP to DOWN, and all regions and connections within that time.
 */
#ifndef GVM_CLUSTER_H
#define GVM_CLUSTER_H

#include <linux/types.h>
#include <linux/workqueue.h>

#include "auth.h"
#include "link.h"

struct beats;
struct giantvm_node;
struct giantvm_up;
struct gvm_peer;
struct net;
struct socket;

struct gvm_cluster {
	u64 serial; /* another for each GIANTVM_UP since the module was loaded */
	struct net *net; /* the network namespace of the caller of UP */
	u16 id; /* this node */
	/* Under the device's mutex, as the list may change: */
	u16 nodes; /* the highest id, plus 1 */
	u16 nr_nodes;
	struct giantvm_node *list; /* the user's, by id: [nr_nodes] */
	u16 nr_homes;
	u16 *homes; /* ids with the role mem, ascending: [nr_homes] of GIANTVM_NODES_MAX */

	struct auth *auth; /* NULL: no key */
	bool pair_keys; /* keys[] are those with each node of the list, not one for all */
	u8 (*keys)[AUTH_BYTES]; /* as gvm_auth_extract() gives them: [nr_keys] */
	unsigned int nr_keys;
	/*
	 * [GIANTVM_NODES_MAX]; NULL where there was none yet, and for this node; never replaced,
	 * also where the list has forgotten the node
	 */
	struct gvm_peer **peers;
	struct beats *beats;

	struct socket *listener;
	struct work_struct accept_work;
	struct links links;
};

static inline struct gvm_cluster *cluster_of(const struct link *link)
{
	return container_of(link->links, struct gvm_cluster, links);
}

/* `ops`: the handlers of its connections. */
int gvm_cluster_create(const struct giantvm_up *up, const struct link_ops *ops,
		       struct gvm_cluster **out);
/* *same: whether `up` has this cluster's list, id and key. */
int gvm_cluster_same(const struct gvm_cluster *cluster, const struct giantvm_up *up, bool *same);
/*
 * Takes another list in the place of the cluster's. `homes`: a bitmap of the nodes that keep pages
 * of regions that are here. -EBUSY: another id, or another key of a node. -ENOTEMPTY: the list
 * lacks a node that keeps or has such pages, or the role mem of one that keeps some. Or an errno of
 * the network's, where this node cannot listen at its new address. Then nothing has changed. Under
 * the device's mutex.
 */
int gvm_cluster_change(struct gvm_cluster *cluster, const struct giantvm_up *up,
		       const unsigned long *homes);
/*
 * Ends every connection, and waits until all are freed. The caller has ended all regions before.
 */
void gvm_cluster_destroy(struct gvm_cluster *cluster);

/* The node's index in homes[], or -1: it is no home. */
int gvm_cluster_home(const struct gvm_cluster *cluster, u16 id);
/* Another node; NULL if `id` is this one or not in the list. */
struct gvm_peer *gvm_cluster_peer(const struct gvm_cluster *cluster, u16 id);

#endif
