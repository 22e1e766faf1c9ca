// SPDX-License-Identifier: GPL-2.0-or-later
/* trail_job.c - see trail_job.h. */
#include "trail_job.h"

#include "ask.h"
#include "base/log.h"
#include "jobs.h"
#include "state/worker_state.h"

#include <stdlib.h>
#include <string.h>

#define TRAIL_NS 3000000000ull

struct trail_job {
	struct job job;
	struct worker *w;
	struct gvm_id region;
	char name[RECORD_NAME_MAX + 1];
	struct record_node node[TRAIL_NODES];
	unsigned nodes;
	uint64_t epoch; /* save: ours; load: of the newest record */
	struct trail_step *steps;
	unsigned count;
	void (*loaded)(struct worker *w, const struct gvm_id *region, const struct trail_step *steps, unsigned count);
};

static void trail_end(struct job *job)
{
	struct trail_job *tj = (struct trail_job *)job;

	if (tj->loaded && tj->count)
		tj->loaded(tj->w, &tj->region, tj->steps, tj->count);
	free(tj->steps);
	free(tj);
}

static struct trail_job *trail_job_new(struct worker *w, const struct inode *inode, unsigned room,
				       void (*work)(struct job *job, struct pool *pool))
{
	const struct record *rec = &inode->disk->rec;
	struct trail_job *tj = calloc(1, sizeof(*tj));

	if (!tj)
		return NULL;
	tj->steps = malloc(room * sizeof(*tj->steps));
	if (!tj->steps) {
		free(tj);
		return NULL;
	}
	tj->job.work = work;
	tj->job.done = trail_end;
	tj->w = w;
	tj->region = rec->id;
	tj->epoch = inode->disk->epoch;
	memcpy(tj->name, rec->name, sizeof(tj->name));
	for (unsigned i = 0; i < rec->node_count && tj->nodes < TRAIL_NODES; i++)
		if (record_node_is_used(rec, i))
			tj->node[tj->nodes++] = rec->nodes[i];
	return tj;
}

/* A node's answer, kept: its data are the connection's. */
struct noted {
	struct ask ask; /* first */
	uint8_t *data;
};

static void noted_done(struct gvm_req *req)
{
	struct noted *n = (struct noted *)req;

	n->data = req->result || !n->ask.call.data_bytes ? NULL : malloc(n->ask.call.data_bytes);
	if (n->data)
		memcpy(n->data, n->ask.call.data, n->ask.call.data_bytes);
	pool_done(req);
}

/* The record of a later writer is the newer one. */
static void trail_take(struct trail_job *tj, const struct noted *n, unsigned node)
{
	struct trail_step *steps;
	int count;

	if (!n->data || n->ask.call.rsp.region_noted.epoch <= tj->epoch)
		return;
	steps = malloc(TRAIL_STEPS * sizeof(*steps));
	if (!steps)
		return;
	count = trail_unpack(steps, n->data, n->ask.call.data_bytes);
	if (count < 0) {
		log_warning(tj->name, "the record of what its last start touched is damaged on node %s: ignored",
			    tj->node[node].addr);
		free(steps);
		return;
	}
	free(tj->steps);
	tj->steps = steps;
	tj->count = (unsigned)count;
	tj->epoch = n->ask.call.rsp.region_noted.epoch;
}

static void load_work(struct job *job, struct pool *pool)
{
	struct trail_job *tj = (struct trail_job *)job;
	const struct gvm_region_noted_req what = { .region = tj->region };
	struct noted noted[TRAIL_NODES] = { 0 };

	tj->epoch = 0;
	for (unsigned i = 0; i < tj->nodes; i++) {
		struct gvm_conn *conn = pool_node(pool, &tj->node[i]);
		struct gvm_call *call;

		if (!conn)
			continue;
		call = ask_begin_to(&noted[i].ask, ns_from_now(TRAIL_NS), &tj->node[i]);
		call->req.done = noted_done;
		gvm_region_noted(conn, call, &what);
	}
	for (unsigned i = 0; i < tj->nodes; i++) {
		if (!ask_wait(&noted[i].ask))
			trail_take(tj, &noted[i], i);
		free(noted[i].data);
	}
}

static void save_work(struct job *job, struct pool *pool)
{
	struct trail_job *tj = (struct trail_job *)job;
	const struct gvm_region_note_req what = { .region = tj->region, .epoch = tj->epoch };
	struct ask *asks = asks_make(tj->nodes);
	uint8_t *note = malloc(TRAIL_BYTES_MAX);
	size_t bytes = note ? trail_pack(tj->steps, tj->count, note, TRAIL_BYTES_MAX) : 0;

	for (unsigned i = 0; asks && note && i < tj->nodes; i++) {
		struct gvm_conn *conn = pool_node(pool, &tj->node[i]);

		if (conn)
			gvm_region_note(conn, ask_begin_to(&asks[i], ns_from_now(TRAIL_NS), &tj->node[i]), &what, note, bytes);
	}
	for (unsigned i = 0; asks && note && i < tj->nodes; i++)
		ask_wait(&asks[i]);
	free(note);
	free(asks);
}

void trail_load(struct worker *w, const struct inode *inode,
		void (*loaded)(struct worker *w, const struct gvm_id *region, const struct trail_step *steps, unsigned count))
{
	struct trail_job *tj = trail_job_new(w, inode, 1, load_work);

	if (!tj)
		return;
	tj->loaded = loaded;
	jobs_submit(w->jobs, &tj->job);
}

void trail_save(struct worker *w, const struct inode *inode, const struct trail_step *steps, unsigned count)
{
	struct trail_job *tj = trail_job_new(w, inode, count, save_work);

	if (!tj)
		return;
	memcpy(tj->steps, steps, count * sizeof(*steps));
	tj->count = count;
	jobs_submit(w->jobs, &tj->job);
}
