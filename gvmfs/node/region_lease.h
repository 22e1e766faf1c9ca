/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region_lease.h - tells the nodes of attached regions, over the front thread's own connections, that this mount lives
 * and how long its leases last. Front thread.
 */
#ifndef GVMFS_REGION_LEASE_H
#define GVMFS_REGION_LEASE_H

#include "gvm_client.h"
#include "state/inode.h"

struct worker;

/* Call it after the region was attached, and after it lost its name or got it back: has region_lease_tick() tell its
 * nodes the lease that now holds. */
void region_lease(struct worker *w, struct inode *inode);
/* A node is connected again: has region_lease_tick() tell it, for every attached region that it holds, that this
 * mount is still the writer. After a short while: the leases still hold, and faults come first. */
void region_reattach(struct worker *w, struct gvm_conn *conn);
/* Tells some. Returns when to call it again (CLOCK_MONOTONIC). */
uint64_t region_lease_tick(struct worker *w, uint64_t now_ns);

#endif
