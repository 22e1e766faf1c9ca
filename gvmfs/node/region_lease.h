/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region_lease.h - the nodes of regions that are attached here are told, by the front's own connections, that we live, and how
 * long the regions stay ours. Front thread.
 */
#ifndef GVMFS_REGION_LEASE_H
#define GVMFS_REGION_LEASE_H

#include "gvm_client.h"
#include "state/inode.h"

struct worker;

/* It was attached, or has lost its name, or got it back: the nodes are told by the front's own connections that we live,
 * and of the lease that holds from now on. */
void region_lease(struct worker *w, struct inode *inode);
/* A node has come back, and is to be told that we are still there: for every attached region that it holds. Soon:
 * our leases hold, and faults come first. */
void region_reattach(struct worker *w, struct gvm_conn *conn);
uint64_t region_reattach_tick(struct worker *w, uint64_t now_ns);

#endif
