/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The renewal of this node's leases from each other node, of all regions at once (ivy/pairs.h): its
 * lock, its timer, and its messages, which are of no region.
 */
#ifndef GVM_BEATS_H
#define GVM_BEATS_H

#include <linux/types.h>

struct beats;
struct gvm_peer;
struct ivy_msg;
struct ivy_pairs;

/* `peers`: by id, as many as `nodes`; stays the caller's. 0 or -ENOMEM. */
int gvm_beats_create(u16 id, u16 nodes, struct gvm_peer **peers, struct beats **out);
/* No region and no connection is left. NULL is accepted. */
void gvm_beats_destroy(struct beats *beats);
struct ivy_pairs *gvm_beats_pairs(struct beats *beats);

#endif
