/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region.h - a region's life on the nodes: created, attached for writing, resized, detached, deleted.
 *
 * To write to a region, and to trust an index of it, a mount attaches to it as its writer: with a higher epoch
 * than any before, on all of its nodes. A node refuses requests with an older epoch, so a second
 * host can never mix its writes with ours; while a region's writer is alive, it is busy for other hosts.
 * A host that only reads asks the nodes for each page.
 *
 * Functions with a callback start a job and return, or call back at once on an error; the caller holds the inode
 * (inode_acquire()) until the callback. Front thread.
 */
#ifndef GVMFS_REGION_H
#define GVMFS_REGION_H

#include "fetch.h"
#include "gvm_client.h"
#include "state/inode.h"

struct worker;

typedef void region_done_fn(struct worker *w, struct inode *inode, int result, void *arg);

/* This mount is its writer: inode->index is valid. */
bool region_is_attached(const struct inode *inode);

/* Whether this mount can read the region, by its record. 0; -ENOKEY: it is sealed, and the mount has no key;
 * -EKEYREJECTED: it is sealed, or said not to be, with another key; -EPERM: it is not sealed by what nodes say alone, and
 * the mount has a key; or one of its nodes must not be sent to (pool_may_send()). Errors are logged. */
int region_can_read(struct worker *w, struct inode *inode);

/* Attaches to the region as its writer and reads its index. -EBUSY: it has a writer elsewhere. -EIO: a
 * node has lost it. Or an error of region_can_read(). */
void region_attach(struct worker *w, struct inode *inode, region_done_fn *done, void *arg);
/* Takes the region from its writer, connected or away, and detaches again: that writer is fenced, and the region is
 * free. Only on a user's request. With force also if it cannot be attached otherwise (-EIO), because it is not known
 * which node has the last writes. */
void region_take(struct worker *w, struct inode *inode, bool force, region_done_fn *done, void *arg);
/* Detaches. The caller has had all writes acknowledged (store_sync()). The region counts as detached even if the
 * callback gets an error. */
void region_detach(struct worker *w, struct inode *inode, region_done_fn *done, void *arg);
/* Changes the size, and what the nodes reserve. A region that has no nodes yet is created on them and attached; any
 * other has to be attached. -ENOSPC: the nodes cannot promise the room. Updates the
 * record, but does not save it (names_save.h). A smaller size is the nodes' only, on success: then the caller makes zero
 * what is left behind the end, and calls region_sized(). */
void region_resize(struct worker *w, struct inode *inode, uint64_t size_bytes, region_done_fn *done,
		   void *arg);
/* The region has the new size from now on, also for a successor. */
void region_sized(struct worker *w, struct inode *inode, uint64_t size_bytes);
/* Takes back the room that nodes keep for a growth that has failed, where its record is ours (region_may_trim(): all its
 * nodes are there, and nothing is being moved). Clears room_owed once no node has any. */
bool region_may_trim(struct worker *w, struct inode *inode);
/* Whether all nodes that have slots of it are connected. */
bool region_nodes_are_up(struct worker *w, struct inode *inode);
void region_trim(struct worker *w, struct inode *inode, region_done_fn *done, void *arg);
/* Whether all of its nodes are there: 0, or the error with which making it smaller would fail (logged). */
void region_reach(struct worker *w, struct inode *inode, region_done_fn *done, void *arg);
/* Deletes it on the nodes: 0; or -EAGAIN: a node that does not answer keeps its part (logged). */
void region_delete(struct worker *w, struct inode *inode, region_done_fn *done, void *arg);
/* Asks the nodes how many bytes they hold of it (inode->held_bytes), and for its writer, with a short
 * deadline. (figures.h asks for the bytes only, but for many regions at once.) */
void region_stat(struct worker *w, struct inode *inode, region_done_fn *done, void *arg);
/* The same, but with hardly any patience for a node that is known not to answer: others' calls wait behind this one. */
void region_stat_briefly(struct worker *w, struct inode *inode, region_done_fn *done, void *arg);

/* Logs a failed access (at most one line a second for each region). If the region was fenced (-EKEYREVOKED), fails it
 * instead. `what`: "read", for example; `error`: a negative errno. */
void region_report(struct worker *w, struct inode *inode, uint64_t chunk, const char *what, int error);
/* Fails the region for good, with a loss in the log: it was fenced, or its writes cannot be stored. Every further
 * access is an I/O error. */
void region_fail(struct worker *w, struct inode *inode, uint64_t chunk, int error);

#endif
