// SPDX-License-Identifier: GPL-2.0-or-later
/* figures.c - see figures.h. */
#include "figures.h"

#include "ask.h"
#include "jobs.h"
#include "state/worker_state.h"

#include <string.h>

#define DEADLINE_NS 1000000000ull

struct figures_region {
	struct inode *inode;
	bool asked[RECORD_NODES_MAX]; /* the nodes that can hold data of it */
	uint64_t empty_epoch, epoch, bytes;
	int result;
};

struct figures {
	struct job job;
	struct worker *w;
	region_done_fn *done;
	void *arg;
	unsigned count, node_count;
	struct record rec; /* of the first region: the others are on the same nodes */
	bool asked[RECORD_NODES_MAX], quiet[RECORD_NODES_MAX];
	struct gvm_id id[FIGURES_REGIONS];
	struct figures_region region[FIGURES_REGIONS];
};

/* ---- which nodes */

static void nodes_find(const struct record *rec, bool empty, bool asked[RECORD_NODES_MAX])
{
	uint64_t chunks = record_chunks(rec->size_bytes);
	unsigned slots = chunks < rec->slot_count ? (unsigned)chunks : rec->slot_count;

	memset(asked, 0, RECORD_NODES_MAX * sizeof(*asked));
	if (empty && rec->replicas == 1 && slots) { /* any node will do: chosen by the id, to spread the load */
		asked[record_node_of(rec, rec->id.b[0] % slots)] = true;
		return;
	}
	for (unsigned s = 0; s < slots; s++)
		for (uint8_t left = record_filled(rec, s); left; left &= (uint8_t)(left - 1))
			asked[rec->slots[s].node[__builtin_ctz(left)]] = true;
}

bool figures_wait(struct worker *w, const struct inode *inode)
{
	const struct record *rec = &inode->disk->rec;
	bool asked[RECORD_NODES_MAX];

	nodes_find(rec, inode->empty_epoch, asked);
	for (unsigned i = 0; i < rec->node_count; i++)
		if (asked[i] && pool_is_quiet(w->pool, &rec->nodes[i]))
			return true;
	return false;
}

/* ---- the conversation */

/* The request to one node, about those regions of which it can hold data. */
struct question {
	struct ask ask; /* first */
	struct figures *f;
	unsigned count;
	struct gvm_id id[FIGURES_REGIONS];
	struct figures_region *region[FIGURES_REGIONS];
};

static void error_take(struct figures_region *fr, int error)
{
	/* -ENOMEDIUM (LOST) is the result only if no node failed in another way. */
	if (error != -ENOMEDIUM || !fr->result)
		fr->result = error;
}

static void held_take(struct figures_region *fr, uint64_t epoch, uint64_t chunks_held, uint64_t held_bytes)
{
	if (epoch > fr->epoch)
		fr->epoch = epoch;
	/* Without chunks, a node's bytes are bookkeeping, not data: see inode_held_bytes(). */
	fr->bytes += chunks_held ? held_bytes : 0;
}

static void question_answered(struct gvm_req *req)
{
	struct question *q = (struct question *)req;
	bool whole = q->ask.call.rsp.region_held.count == q->count;

	q->ask.done = true;
	for (unsigned i = 0; req->result >= 0 && i < q->count; i++) {
		const uint8_t *p = q->ask.call.data + (whole ? i * GVM_HELD_ENTRY_BYTES : 0);

		if (!whole || !*p)
			error_take(q->region[i], whole ? -ENOMEDIUM : -EPROTO);
		else
			held_take(q->region[i], gvm_load_le(p + 1, 8), gvm_load_le(p + 9, 8), gvm_load_le(p + 17, 8));
	}
}

static void question_begin(struct question *q, struct pool *pool, unsigned node)
{
	const struct record_node *to = &q->f->rec.nodes[node];
	struct gvm_conn *conn;

	for (unsigned i = 0; i < q->f->count; i++)
		if (q->f->region[i].asked[node]) {
			q->id[q->count] = q->f->id[i];
			q->region[q->count++] = &q->f->region[i];
		}
	conn = q->count ? pool_node(pool, to) : NULL;
	if (!conn)
		return;
	ask_begin_to(&q->ask, gvm_now_ns() + DEADLINE_NS, to)->req.done = question_answered;
	gvm_region_held(conn, &q->ask.call, q->id, q->count);
}

/* For an older node, which knows only the request about one region. 0, or -ETIMEDOUT. */
static int question_split(struct question *q)
{
	const struct gvm_req asked = q->ask.call.req;
	int r = 0;

	for (unsigned i = 0; i < q->count && r != -ETIMEDOUT; i++) {
		const struct gvm_region_stat_rsp *rsp = &q->ask.call.rsp.region_stat;
		struct gvm_region_stat_req what = { .region = q->id[i] };

		ask_begin(&q->ask, asked.deadline_ns)->req.node = asked.node;
		gvm_region_stat(asked.conn, &q->ask.call, &what);
		r = ask_wait(&q->ask);
		if (r < 0)
			error_take(q->region[i], r);
		else
			held_take(q->region[i], rsp->epoch, rsp->chunks_held, rsp->held_bytes);
	}
	return r == -ETIMEDOUT ? r : 0;
}

static void question_end(struct question *q, unsigned node)
{
	int r = q->count ? ask_wait(&q->ask) : 0;

	if (r == -EOPNOTSUPP)
		r = question_split(q);
	for (unsigned i = 0; r < 0 && i < q->count; i++)
		error_take(q->region[i], r);
	q->f->asked[node] |= q->count > 0;
	q->f->quiet[node] = r == -ETIMEDOUT;
}

static int nodes_ask(struct figures *f, struct pool *pool)
{
	struct question *q = calloc(f->rec.node_count, sizeof(*q));

	if (!q)
		return -ENOMEM;
	for (unsigned i = 0; i < f->rec.node_count; i++) {
		q[i].f = f;
		question_begin(&q[i], pool, i);
	}
	for (unsigned i = 0; i < f->rec.node_count; i++)
		question_end(&q[i], i);
	free(q);
	return 0;
}

static void work(struct job *job, struct pool *pool)
{
	struct figures *f = (struct figures *)job;
	struct figures_region *first = f->region;

	job->result = nodes_ask(f, pool);
	if (job->result || first->result || !first->empty_epoch || first->epoch == first->empty_epoch)
		return;
	nodes_find(&f->rec, false, first->asked);
	first->bytes = 0;
	job->result = nodes_ask(f, pool);
}

/* ---- the front thread */

struct figures *figures_create(struct worker *w, struct inode *inode)
{
	struct figures *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->w = w;
	f->rec = inode->disk->rec;
	f->region[0] = (struct figures_region){ .inode = inode, .empty_epoch = inode->empty_epoch };
	f->id[0] = f->rec.id;
	nodes_find(&f->rec, inode->empty_epoch, f->region[0].asked);
	f->count = 1;
	return f;
}

static bool lies_as(const struct record *a, const struct record *b)
{
	if (a->node_count != b->node_count)
		return false;
	for (unsigned i = 0; i < a->node_count; i++)
		if (!gvm_id_equal(&a->nodes[i].incarnation, &b->nodes[i].incarnation))
			return false;
	return true;
}

bool figures_add(struct figures *f, struct inode *inode)
{
	const struct record *rec = &inode->disk->rec;

	if (f->count == FIGURES_REGIONS || f->region[0].empty_epoch || inode->empty_epoch || !lies_as(&f->rec, rec))
		return false;
	f->region[f->count] = (struct figures_region){ .inode = inode };
	nodes_find(rec, false, f->region[f->count].asked);
	f->id[f->count++] = rec->id;
	return true;
}

unsigned figures_nodes(const struct figures *f, uint16_t node[RECORD_NODES_MAX])
{
	unsigned count = 0;

	for (unsigned i = 0; i < f->rec.node_count; i++) {
		bool asked = false;
		int entry;

		for (unsigned n = 0; n < f->count; n++)
			asked |= f->region[n].asked[i];
		entry = asked ? pool_index(f->w->pool, &f->rec.nodes[i]) : -1;
		if (entry >= 0)
			node[count++] = (uint16_t)entry;
	}
	return count;
}

void figures_destroy(struct figures *f)
{
	free(f);
}

static void told(struct job *job)
{
	struct figures *f = (struct figures *)job;

	for (unsigned i = 0; i < f->rec.node_count; i++)
		if (f->asked[i])
			pool_note(f->w->pool, &f->rec.nodes[i], f->quiet[i]);
	for (unsigned i = 0; i < f->count; i++) {
		const struct figures_region *fr = &f->region[i];
		int result = job->result ? job->result : fr->result;

		inode_held_set(fr->inode, result, fr->bytes, fr->epoch);
		f->done(f->w, fr->inode, result, f->arg);
	}
	free(f);
}

void figures_ask(struct figures *f, region_done_fn *done, void *arg)
{
	f->job.work = work;
	f->job.done = told;
	f->done = done;
	f->arg = arg;
	jobs_submit(f->w->jobs, &f->job);
}
