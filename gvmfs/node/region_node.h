/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region_node.h - the connections to a region's nodes. Front thread.
 */
#ifndef GVMFS_REGION_NODE_H
#define GVMFS_REGION_NODE_H

#include "gvm_client.h"
#include "state/inode.h"

struct worker;

/* The front's connection to a node of the record, and to that of a chunk's first replica. */
struct gvm_conn *region_node_conn(struct worker *w, struct inode *inode, unsigned node);
struct gvm_conn *region_node(struct worker *w, struct inode *inode, uint64_t chunk);
/* A node of the record for another thread's pool, which does not watch the listed nodes: at the address where
 * this thread's finds it now, whatever the record remembers. */
void region_node_place(struct worker *w, struct inode *inode, unsigned node, struct record_node *place);

#endif
