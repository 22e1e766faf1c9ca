/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The nodes, as this host was told at GIANTVM_UP, and its listening socket. There is at most one
 * cluster; it lives from UP to DOWN, and regions and connections only within that.
 */
#ifndef GVM_CLUSTER_H
#define GVM_CLUSTER_H

#include <linux/types.h>
#include <linux/workqueue.h>

#include "link.h"

struct auth;
struct giantvm_node;
struct giantvm_up;
struct gvm_peer;
struct net;
struct socket;

struct gvm_cluster {
	u64 serial; /* no other cluster that this node was part of has the same */
	struct net *net; /* the network namespace of the caller of UP */
	u16 id; /* this node */
	u16 nodes; /* the highest id, plus 1 */
	u16 nr_nodes;
	struct giantvm_node *list; /* the user's, by id: [nr_nodes] */
	u16 nr_homes;
	u16 *homes; /* ids with the role mem, ascending */
	u64 nodes_digest; /* and of what else all nodes must have the same */
	struct auth *auth; /* NULL: no key */
	struct gvm_peer **peers; /* [nodes]; NULL where there is none, and for this node */

	struct socket *listener;
	struct work_struct accept_work;
	struct links links;
};

static inline struct gvm_cluster *cluster_of(const struct link *link)
{
	return container_of(link->links, struct gvm_cluster, links);
}

/* `ops`: what is done with its connections. */
int gvm_cluster_create(const struct giantvm_up *up, const struct link_ops *ops,
		       struct gvm_cluster **out);
/* Whether `up` would make the same cluster as this. */
int gvm_cluster_same(const struct gvm_cluster *cluster, const struct giantvm_up *up, bool *same);
/*
 * Ends every connection, and waits until nothing of the network is left. Regions are gone before.
 */
void gvm_cluster_destroy(struct gvm_cluster *cluster);

/* Its place in the list of homes, or -1: it is none. */
int gvm_cluster_home(const struct gvm_cluster *cluster, u16 id);
/* NULL: there is no such other node. */
struct gvm_peer *gvm_cluster_peer(const struct gvm_cluster *cluster, u16 id);

#endif
