/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region.h - a region's life on the nodes: made, attached for writing, resized, detached, deleted.
 *
 * To write to a region, and to trust an index of it, we attach to it as its writer: with an epoch
 * above any before, on all of its nodes. A node refuses what comes with an older epoch, so a second
 * host can never mix its writes with ours; a region whose writer is alive is busy for others.
 * Whoever only reads on another host asks the node for each page.
 *
 * The functions with a callback start a job and return; the caller holds the inode (inode_acquire)
 * until the callback. Front thread.
 */
#ifndef GVMFS_REGION_H
#define GVMFS_REGION_H

#include "fetch.h"
#include "gvm_client.h"
#include "state/inode.h"

struct worker;

/* What becomes of a region, for what is kept of it above: given at the start (w->region_events). */
struct region_events {
	/* Its index is another from here on: what is kept of its chunks is out of date. */
	void (*forget)(struct worker *w, struct inode *inode);
	/* It is about to be attached here, and still has its last epoch. */
	void (*attached)(struct worker *w, struct inode *inode);
	void (*detached)(struct worker *w, struct inode *inode);
	/* It has failed for good, which the journal says already: nothing of it can be stored any more. */
	void (*failed)(struct worker *w, struct inode *inode, const char *why);
	/* Which replicas are members of a slot's view has changed, or which of the nodes answer. */
	void (*replicas_changed)(struct worker *w, struct inode *inode);
	/* A node has told, to what was not about a chunk's content, that another host is the writer. */
	void (*fenced)(struct worker *w, struct inode *inode);
	/* A majority of the nodes is to answer about names: names_refresh(). `done` tells whether one has, soon. */
	void (*names_read)(struct worker *w, bool once, void (*done)(struct worker *w, int result, void *arg), void *arg);
};

typedef void region_done_fn(struct worker *w, struct inode *inode, int result, void *arg);

/* We are its writer: the index of its chunks is ours. */
bool region_is_attached(const struct inode *inode);

/* Whether this mount can read what the region's record says that it has: 0; -ENOKEY: it is sealed, and the mount is not
 * to; -EKEYREJECTED: with another key; -EPERM: it is not sealed, and the mount takes nothing that is not, or
 * it lies where this mount sends nothing (pool_may_send()). Then says so in the log. */
int region_can_read(struct worker *w, const struct inode *inode);

/* Takes the region over for writing and reads its index. -EBUSY: it has a writer elsewhere. -EIO: a
 * node has lost it. */
void region_attach(struct worker *w, struct inode *inode, region_done_fn *done, void *arg);
/* Takes the region from its writer, connected or away, and gives it up again: that writer is fenced, and
 * the region free. A person asks for that. With force also if it could not be attached (-EIO) then, since nobody knows who
 * has what was written last. */
void region_take(struct worker *w, struct inode *inode, bool force, region_done_fn *done, void *arg);
/* Gives it up (what was written is acknowledged: store_sync). Never fails. */
void region_detach(struct worker *w, struct inode *inode, region_done_fn *done, void *arg);
/* Changes the size: makes the region on the nodes if it has none yet, and attaches to it; reserves
 * the space.
 * -ENOSPC: they cannot promise it. Growing and shrinking need an attached region. Updates the
 * record (not saved: names.h). */
void region_resize(struct worker *w, struct inode *inode, uint64_t size_bytes, region_done_fn *done,
		   void *arg);
/* Deletes it on the nodes: 0; or -EAGAIN: one that cannot be reached keeps its part (that was said). */
void region_delete(struct worker *w, struct inode *inode, region_done_fn *done, void *arg);
/* Asks the nodes how many bytes they hold of it (inode->held_bytes), and for its writer, with a short
 * deadline. (The first of it alone, of many regions: figures.h.) */
void region_stat(struct worker *w, struct inode *inode, region_done_fn *done, void *arg);

/* Begins a fetch of the chunk from the nodes that have it, in the version that the index names. The caller has set
 * the rest, and of f->what the page mask and the page that is waited for. */
void region_fetch(struct worker *w, struct inode *inode, uint64_t chunk, struct fetch *f);

/* One line about a failed access (at most one a second and region); fails the region if the reason
 * is for good: fenced. */
void region_report(struct worker *w, struct inode *inode, uint64_t chunk, const char *what, int error);
/* No more reads and writes: the region was taken over, or what was written to it cannot be kept. */
void region_fail(struct worker *w, struct inode *inode, uint64_t chunk, int error);

#endif
