/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region_claim.h - how this mount becomes a region's writer on its nodes, and gives that up. Runs in a job's fiber
 * (region_job.h).
 *
 * First all nodes hold the region for it, then it attaches to each: so a claim that fails at the second node has fenced
 * nobody at the first. In both rounds the first node is asked alone, and the others at a time. Nodes that are away
 * (rj->away) are passed over.
 */
#ifndef GVMFS_REGION_CLAIM_H
#define GVMFS_REGION_CLAIM_H

#include "ask.h"
#include "owner.h"
#include "region_job.h"

/* The state of the writer that a node tells of: see owner_judge(). */
static inline uint8_t region_writer(const struct region_job *rj, const struct gvm_region_open_rsp *rsp)
{
	return owner_judge(&rj->self, rsp->writer, &rsp->host, &rsp->process);
}

/* Opens it on one node in a mode (GVM_OPEN_*): 0 or a negative errno; ask->call has the rest of the answer. */
int region_open(struct pool *pool, const struct region_job *rj, unsigned node, uint8_t mode, uint64_t epoch,
		uint64_t deadline_ns, struct ask *ask);
/* Looks at it on all nodes that are not away, at a time: ask_wait() has what each says. */
void region_look(struct pool *pool, const struct region_job *rj, uint64_t deadline_ns, struct ask *asks);
/* Looks at the region on every node: its highest epoch, and whether it is a writer's. Sets rj->away and rj->pass. */
int region_query(struct region_job *rj, struct pool *pool, uint64_t *epoch, bool *taken);
/* Attaches to every node with *epoch; where a node knows a higher one it sets *epoch, -EAGAIN. Having failed, it leaves
 * none attached: this mount would look like a live writer to all, itself included. */
int region_claim(struct region_job *rj, struct pool *pool, uint64_t *epoch);
/* Gives up the attachment with an epoch of ours to the nodes that granted it, or may have; NULL: to all. */
void region_let_go(struct region_job *rj, struct pool *pool, uint64_t epoch, const bool *granted);

#endif
