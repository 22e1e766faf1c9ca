// SPDX-License-Identifier: GPL-2.0-or-later
/* capacity.c - see capacity.h. */
#include "capacity.h"

#include "node/jobs.h"
#include "node/pool.h"
#include "op.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_NS 1000000000ull
#define QUIET_NS  50000000ull /* for a node that did not answer last time, and may be back */

struct capacity_job {
	struct job job; /* first */
	struct worker *w;
	struct capacity_node node[OPTIONS_NODES_MAX];
};

struct capacity_ask {
	struct gvm_call call;
	bool done;
};

void capacity_init(struct capacity *c)
{
	*c = (struct capacity){ 0 };
	STAILQ_INIT(&c->askers);
}

static void capacity_work(struct job *job, struct pool *pool)
{
	struct capacity_job *cj = (struct capacity_job *)job;
	struct capacity_ask *asks = calloc(pool->listed, sizeof(*asks));
	uint64_t now = gvm_now_ns();

	for (unsigned i = 0; asks && i < pool->listed; i++) {
		asks[i].call.req = (struct gvm_req){
			.done = pool_done,
			.arg = &asks[i].done,
			.deadline_ns = now + (cj->node[i].quiet ? QUIET_NS : ANSWER_NS),
		};
		gvm_node_stat(pool->conns[i], &asks[i].call);
	}
	for (unsigned i = 0; asks && i < pool->listed; i++) {
		const struct gvm_node_stat_rsp *rsp = &asks[i].call.rsp.node_stat;
		struct capacity_node *node = &cj->node[i];

		node->quiet = pool_wait(pool->conns[i], &asks[i].call.req) < 0;
		if (node->quiet)
			continue;
		node->share = share_told(rsp->reserved_bytes, rsp->promisable_bytes);
	}
	for (unsigned i = 0; i < pool->listed; i++)
		cj->node[i].again = pool->again[i];
	free(asks);
}

static void capacity_show(struct worker *w, fuse_req_t req)
{
	uint64_t total = 0, free_bytes = 0, available = 0, kept[OPTIONS_NODES_MAX] = { 0 };
	struct share of[OPTIONS_NODES_MAX] = { { 0 } };
	unsigned listed = w->pool->listed, silent = 0;
	struct statvfs st = {
		.f_bsize = GVM_PAGE_BYTES,
		.f_frsize = GVM_PAGE_BYTES,
		.f_files = JOURNAL_INODES,
		.f_ffree = JOURNAL_INODES - w->inodes->tree.count,
		.f_namemax = RECORD_NAME_MAX,
	};

	for (unsigned i = 0; i < listed; i++) {
		const struct capacity_node *node = &w->capacity->node[i];

		of[i] = node->again ? (struct share){ 0 } : node->share;
		silent += !node->again && !node->share.room;
	}
	shares_keep(of, listed, silent, w->opts->replicas, w->opts->repair_reserve, kept);
	for (unsigned i = 0; i < listed; i++) {
		uint64_t open = of[i].room > of[i].taken ? of[i].room - of[i].taken : 0;

		total += gvm_promise_of(of[i].room);
		free_bytes += gvm_promise_of(open);
		available += open > kept[i] ? gvm_promise_of(open - kept[i]) : 0;
	}
	st.f_blocks = total / GVM_PAGE_BYTES;
	st.f_bfree = free_bytes / GVM_PAGE_BYTES;
	st.f_bavail = available / GVM_PAGE_BYTES;
	st.f_favail = st.f_ffree;
	fuse_reply_statfs(req, &st);
}

static void capacity_asked(struct job *job)
{
	struct capacity_job *cj = (struct capacity_job *)job;
	struct worker *w = cj->w;
	struct op *op;

	memcpy(w->capacity->node, cj->node, sizeof(cj->node));
	w->capacity->at_ns = gvm_now_ns();
	w->capacity->asking = false;
	free(cj);
	while ((op = STAILQ_FIRST(&w->capacity->askers))) {
		STAILQ_REMOVE_HEAD(&w->capacity->askers, in);
		if (op->req)
			capacity_show(w, op_take(op));
		op_end(op, false, 0);
	}
}

static bool capacity_ask(struct worker *w)
{
	struct capacity_job *cj;

	if (w->capacity->asking)
		return true;
	cj = calloc(1, sizeof(*cj));
	if (!cj)
		return false;
	cj->job.work = capacity_work;
	cj->job.done = capacity_asked;
	cj->w = w;
	memcpy(cj->node, w->capacity->node, sizeof(cj->node));
	for (unsigned i = 0; i < w->pool->listed; i++)
		cj->node[i].quiet |= w->capacity->at_ns &&
				     gvm_conn_state(w->pool->conns[i]) != GVM_CONN_UP;
	w->capacity->asking = true;
	jobs_submit(w->jobs, &cj->job);
	return true;
}

void capacity_reply(struct worker *w, fuse_req_t req)
{
	struct op *op;

	if (!capacity_ask(w)) {
		capacity_show(w, req);
		return;
	}
	op = op_new(w, req, NULL);
	if (!op)
		return;
	STAILQ_INSERT_TAIL(&w->capacity->askers, op, in);
}
