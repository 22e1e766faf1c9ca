/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region_views.h - attaching a region whose slots have several replicas: chooses each slot's members, and builds the
 * region's index. In a job's fiber (region_job.h), once the nodes refuse earlier writers.
 *
 * Nodes that do not answer, or that lost the region, are left out (rj->away), as long as each slot's last view is known
 * (view_choose()), or by force (rj->force): then the remaining copies are used, and may be stale. For each chunk the
 * index has the newest version that a member has: a write that was never acknowledged may have reached only some
 * members. Members with an older version are given the newest before the region is attached, so that all members have
 * everything that a reader may have seen.
 */
#ifndef GVMFS_REGION_VIEWS_H
#define GVMFS_REGION_VIEWS_H

#include "region_job.h"

/* Leaves the node out if it may be, after its answer `error`; returns whether it did. */
bool region_node_leave_out(struct region_job *rj, unsigned node, int error);
/* Reads the views, chooses each slot's members, and sets rj->words (unless NULL). 0 or a negative errno; -EIO is
 * logged. */
int region_views_choose(struct region_job *rj, struct pool *pool);

/* The replicas' versions of each chunk, while the index is being read. */
struct region_versions {
	uint64_t chunks;
	uint64_t *of[RECORD_PLACES]; /* by chunk, as in the index */
};

/* 0 or -ENOMEM. */
int region_versions_init(struct region_versions *v, const struct record *rec, uint64_t chunks);
void region_versions_deinit(struct region_versions *v);
/* Adds an entry of a node's list. */
void region_versions_add(struct region_versions *v, struct region_job *rj, unsigned node, uint64_t chunk,
			 uint64_t entry);
/* Gives the members the newest versions that they lack. 0 or a negative errno. */
int region_versions_settle(struct region_versions *v, struct region_job *rj, struct pool *pool);

#endif
