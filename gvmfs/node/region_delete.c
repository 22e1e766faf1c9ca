// SPDX-License-Identifier: GPL-2.0-or-later
/* region_delete.c - see region_delete.h. */
#include "region_delete.h"

#include "ask.h"
#include "base/log.h"
#include "region_claim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DELETE_NS	10000000000ull

/* Deletes the parts on nodes first..first+count-1, all at once; done[i]: 0 or a negative errno. */
void region_parts_delete(struct pool *pool, const struct region_job *rj, unsigned first, unsigned count,
			 uint64_t within_ns, int *done)
{
	const struct record *rec = &rj->rec;
	struct gvm_region_open_req look = { .region = rec->id, .view = rec->view };
	struct gvm_region_delete_req what = { .region = rec->id };
	bool looked[RECORD_NODES_MAX] = { false };
	struct ask *asks = asks_make(count);
	uint64_t deadline_ns = ns_from_now(within_ns), epoch = 0;

	for (unsigned i = 0; asks && i < count; i++) {
		struct gvm_conn *conn = pool_node(pool, &rec->nodes[first + i]);

		/* A node without a slot is not worth a long wait. */
		if (conn)
			gvm_region_open(conn, ask_begin(&asks[i], record_node_is_used(rec, first + i) ?
									  deadline_ns :
									  ns_from_now(REGION_UNDO_NS)), &look);
	}
	for (unsigned i = 0; asks && i < count; i++) {
		const struct gvm_region_open_rsp *rsp = &asks[i].call.rsp.region_open;

		done[i] = ask_wait(&asks[i]);
		if (done[i])
			continue;
		epoch = rsp->epoch > epoch ? rsp->epoch : epoch;
		if (region_writer(rj, rsp) >= GVM_WRITER_AWAY)
			done[i] = -EBUSY;
	}
	deadline_ns = ns_from_now(within_ns); /* anew: one that was slow to say what it has may be to delete it */
	for (unsigned i = 0; asks && i < count; i++) {
		struct gvm_conn *conn = asks[i].call.req.conn;

		if (done[i] && done[i] != -ENOMEDIUM)
			continue;
		/* Where there is no part, a CREATE that came to nothing may be yet to come: it is late from now on. Or the node
		 * has what a loss has left of its part, and does not say of which epoch: no later one than the others' parts. */
		what.epoch = done[i] ? epoch : asks[i].call.rsp.region_open.epoch;
		what.order = done[i] ? gvm_now_ns() : ~0ull;
		looked[i] = !done[i];
		done[i] = 0;
		gvm_region_delete(conn, ask_begin(&asks[i], deadline_ns), &what);
	}
	for (unsigned i = 0; i < count; i++) {
		if (!asks || !done[i])
			done[i] = asks ? ask_wait(&asks[i]) : -ENOMEM;
		if (done[i] == -ENOMEDIUM)
			done[i] = 0;
		if (done[i] == -EKEYREVOKED && looked[i])
			done[i] = -EBUSY; /* somebody has attached it since; it may have been a request of ours that came late */
	}
	free(asks);
}

/* 0; -EAGAIN: a node keeps its part that may be deleted later: it does not answer, or has a writer. */
int region_delete_all(struct region_job *rj, struct pool *pool, uint64_t within_ns)
{
	int done[RECORD_NODES_MAX], result = 0;

	region_parts_delete(pool, rj, 0, rj->rec.node_count, within_ns, done);
	for (unsigned i = 0; i < rj->rec.node_count; i++) {
		if (done[i] < 0)
			log_warning(rj->rec.name, "deleted, but node %s keeps its part: %s",
				    rj->rec.nodes[i].addr, strerror(-done[i]));
		if (done[i] == -ETIMEDOUT || done[i] == -EBUSY || done[i] == -ENOMEM)
			result = -EAGAIN;
	}
	return result;
}

void region_job_delete(struct job *job, struct pool *pool)
{
	job->result = region_delete_all((struct region_job *)job, pool, DELETE_NS);
}
