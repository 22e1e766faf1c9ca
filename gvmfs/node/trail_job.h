/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trail_job.h - conversations with a region's nodes about what its starts touch (state/trail.h): the record of the last
 * one is read, and that of this one left in its place. It is kept on the first nodes of the region that have a slot, as
 * many as TRAIL_NODES. A hint: what cannot be done is left, without a message. Front thread.
 */
#ifndef GVMFS_TRAIL_JOB_H
#define GVMFS_TRAIL_JOB_H

#include "state/inode.h"
#include "state/trail.h"

#define TRAIL_NODES 3u

struct worker;

/* Calls back with what the last start touched of the region; not at all if nothing is known. It may be gone by then. */
void trail_load(struct worker *w, const struct inode *inode,
		void (*loaded)(struct worker *w, const struct gvm_id *region, const struct trail_step *steps, unsigned count));
/* Leaves a copy of the steps. The region is attached, or just about to be no more. */
void trail_save(struct worker *w, const struct inode *inode, const struct trail_step *steps, unsigned count);

#endif
