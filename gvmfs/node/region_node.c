// SPDX-License-Identifier: GPL-2.0-or-later
/* region_node.c - see region_node.h. */
#include "region_node.h"

#include "base/log.h"
#include "pool.h"
#include "state/worker_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gvm_conn *region_node_conn(struct worker *w, struct inode *inode, unsigned n)
{
	struct journal_inode *d = inode->disk;

	if (inode->nodes_generation != w->pool->generation) {
		memset(inode->nodes, 0, sizeof(inode->nodes));
		inode->nodes_generation = w->pool->generation;
	}
	if (!inode->nodes[n]) {
		struct gvm_conn *conn = pool_node(w->pool, &d->rec.nodes[n]);

		if (!conn) {
			log_error(d->rec.name, "no memory for a connection to node %s",
				  d->rec.nodes[n].addr);
			abort(); /* the successor goes on from the journal */
		}
		inode->nodes_generation = w->pool->generation;
		inode->nodes[n] = conn;
	}
	return inode->nodes[n];
}

struct gvm_conn *region_node(struct worker *w, struct inode *inode, uint64_t chunk)
{
	return region_node_conn(w, inode, record_node_of(&inode->disk->rec, chunk));
}

void region_node_place(struct worker *w, struct inode *inode, unsigned node, struct record_node *place)
{
	*place = inode->disk->rec.nodes[node];
	snprintf(place->addr, sizeof(place->addr), "%s", gvm_conn_addr(region_node_conn(w, inode, node)));
}
