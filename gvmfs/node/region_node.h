/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region_node.h - the connections to a region's nodes. Front thread.
 */
#ifndef GVMFS_REGION_NODE_H
#define GVMFS_REGION_NODE_H

#include "gvm_client.h"
#include "state/inode.h"

struct worker;

/* The front's connection to entry `node` of the record, and to the node of a chunk's first replica. Never NULL: without
 * memory the worker ends. */
struct gvm_conn *region_node_conn(struct worker *w, struct inode *inode, unsigned node);
struct gvm_conn *region_node(struct worker *w, struct inode *inode, uint64_t chunk);
/* Copies a node of the record for use with another thread's pool, with the address at which the front's pool reaches it
 * now, which the record may not have. */
void region_node_place(struct worker *w, struct inode *inode, unsigned node, struct record_node *place);

#endif
