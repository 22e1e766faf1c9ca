/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region_claim.h - makes this mount a region's writer on its nodes, and gives that up. In a job's fiber
 * (region_job.h).
 *
 * First every node holds the region for this mount, then the mount attaches to each. So a claim that fails at the
 * second node has not fenced the writer at the first. In both rounds the first node is asked alone, then all others at
 * once. Nodes that are away (rj->away) are skipped.
 */
#ifndef GVMFS_REGION_CLAIM_H
#define GVMFS_REGION_CLAIM_H

#include "ask.h"
#include "owner.h"
#include "region_job.h"

/* The writer's state (GVM_WRITER_*) by a node's answer: see owner_judge(). */
static inline uint8_t region_writer(const struct region_job *rj, const struct gvm_region_open_rsp *rsp)
{
	return owner_judge(&rj->self, rsp->writer, &rsp->host, &rsp->process);
}

/* Sends REGION_OPEN to one node, with a mode (GVM_OPEN_*). 0 or a negative errno; ask->call has the answer. */
int region_open(struct pool *pool, const struct region_job *rj, unsigned node, uint8_t mode, uint64_t epoch,
		uint64_t deadline_ns, struct ask *ask);
/* Asks all nodes that are not away about the region, at once; asks[] has their answers: ask_wait(). */
void region_look(struct pool *pool, const struct region_job *rj, uint64_t deadline_ns, struct ask *asks);
/* Asks every node about the region: its highest epoch, and whether another writer has it. Sets rj->away, rj->pass and
 * rj->lease_ms. 0 or a negative errno. */
int region_query(struct region_job *rj, struct pool *pool, uint64_t *epoch, bool *taken);
/* Attaches to every node with *epoch. 0 or a negative errno; -EAGAIN: a node knows a higher epoch, which *epoch now is.
 * After a failure it is attached to none: otherwise this mount would look like a live writer, even to itself. */
int region_claim(struct region_job *rj, struct pool *pool, uint64_t *epoch);
/* Detaches from the nodes that granted the attachment with this epoch, or may have (granted[]); NULL: from all. */
void region_let_go(struct region_job *rj, struct pool *pool, uint64_t epoch, const bool *granted);

#endif
