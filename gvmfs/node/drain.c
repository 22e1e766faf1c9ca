// SPDX-License-Identifier: GPL-2.0-or-later
/* drain.c - see drain.h. */
#include "drain.h"

#include "base/log.h"
#include "pool.h"
#include "region_node.h"
#include "repair_job.h"
#include "state/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define POLL_NS	  1000000000ull
#define STAT_NS	  1000000000ull
#define AGAIN_NS  5000000000ull	 /* after a move that came to nothing */
#define RETRY_NS  1000000000ull	 /* after a node did not answer */
#define LEAVES_NS 5000000000ull	 /* for the views: those that have not changed by then stay as they are */
#define ROUNDS	  6u
#define FEW	  64u /* chunks that a round leaves to repair.h */

enum state { COPIES, LEAVES, READY };

struct drain {
	struct replicas *r;
	uint64_t serial;
	enum state state;
	struct gvm_id from, to; /* nodes */
	bool moves[RECORD_SLOTS];
	bool busy; /* a job is under way */
	uint64_t next_ns; /* no job before it */
	uint64_t leaves_ns;
	unsigned rounds, slot; /* the slot that is copied */
	uint64_t cursor; /* in it */
	uint64_t *differs; /* a bit a chunk; NULL: the next round is to begin */
	uint32_t left[RECORD_SLOTS];
};

static const struct record *record_of(const struct drain *d)
{
	return &d->r->inode->disk->rec;
}

/* The replica of a slot that moves; -1: it has none there any more. */
static int replica_of(const struct drain *d, unsigned slot)
{
	int from = record_node_find(record_of(d), &d->from);

	return d->moves[slot] && from >= 0 ? record_replica_of(record_of(d), slot, (unsigned)from) : -1;
}

/* ---- which nodes */

struct stat_call {
	struct gvm_call call; /* first */
	struct pool *pool;
};

static void stat_done(struct gvm_req *req)
{
	struct stat_call *sc = (struct stat_call *)req;

	for (unsigned i = 0; !req->result && i < sc->pool->count; i++)
		if (sc->pool->conns[i] == req->conn)
			sc->pool->drains[i] = sc->call.rsp.node_stat.drains;
	free(sc);
}

void drain_poll(struct worker *w, uint64_t now_ns)
{
	struct pool *pool = w->pool;

	if (now_ns < pool->drains_ns)
		return;
	pool->drains_ns = now_ns + POLL_NS;
	for (unsigned i = 0; i < pool->count; i++) {
		struct stat_call *sc;

		if (gvm_conn_state(pool->conns[i]) != GVM_CONN_UP || !(sc = calloc(1, sizeof(*sc))))
			continue;
		sc->pool = pool;
		sc->call.req.done = stat_done;
		sc->call.req.deadline_ns = now_ns + STAT_NS;
		gvm_node_stat(pool->conns[i], &sc->call);
	}
}

static bool node_drains(const struct replicas *r, unsigned node)
{
	const struct pool *pool = r->w->pool;
	const struct gvm_conn *conn = region_node_conn(r->w, r->inode, node);

	for (unsigned i = 0; i < pool->count; i++)
		if (pool->conns[i] == conn)
			return pool->drains[i] && !r->node[node].bad && !r->node[node].down_ns;
	return false;
}

/* Its replicas that are members of views in which everybody is well. */
static unsigned node_wants(const struct replicas *r, unsigned node, uint8_t *wanted)
{
	const struct record *rec = &r->inode->disk->rec;
	unsigned count = 0;

	for (unsigned s = 0; s < rec->slot_count; s++) {
		int replica = record_replica_of(rec, s, node);

		if (replica < 0 || !view_may_grow(&r->slot[s]))
			continue;
		count++;
		if (wanted)
			wanted[s] = (uint8_t)(1u << replica);
	}
	return count;
}

unsigned drain_wants(const struct replicas *r, uint64_t now_ns, uint8_t wanted[RECORD_SLOTS])
{
	const struct journal_inode *d = r->inode->disk;

	if (r->drain || r->repair || r->degraded || d->view_saved || now_ns < r->drain_ns)
		return 0;
	for (unsigned i = 0; i < d->rec.node_count; i++)
		if (node_drains(r, i) && record_node_is_used(&d->rec, i))
			return node_wants(r, i, wanted);
	return 0;
}

/* ---- the copies */

static void drain_free(struct drain *d)
{
	for (unsigned s = 0; s < record_of(d)->slot_count; s++) {
		int replica = replica_of(d, s);

		if (replica >= 0)
			view_leave(&d->r->slot[s], (unsigned)replica, false);
	}
	d->r->drain = NULL;
	repair_unmap(d->differs);
	free(d);
}

void drain_end(struct replicas *r)
{
	if (r->drain)
		drain_free(r->drain);
	r->drain_ns = gvm_now_ns() + AGAIN_NS;
}

static void job_fill_in(struct drain *d, struct repair_job *job)
{
	struct inode *inode = d->r->inode;

	job->w = d->r->w;
	job->nr = inode->nr;
	job->epoch = inode->disk->epoch;
	job->serial = d->serial;
	job->region = record_of(d)->id;
	job->opts = d->r->w->opts;
	job->index = inode->index;
	region_node_place(d->r->w, inode, (unsigned)record_node_find(record_of(d), &d->to), &job->to);
}

/* The move that a job was for, if it is under way yet. */
static struct drain *job_drain(const struct repair_job *job)
{
	const struct inode *inode = job->w->inodes->rt[job->nr];
	struct drain *d = inode && inode->replicas && !inode->replicas->closing ? inode->replicas->drain : NULL;

	if (!d || !gvm_id_equal(&record_of(d)->id, &job->region) || inode->disk->epoch != job->epoch || d->serial != job->serial)
		return NULL;
	d->busy = false;
	if (job->job.result)
		d->next_ns = gvm_now_ns() + RETRY_NS;
	return d;
}

uint64_t drain_left(const struct replicas *r)
{
	uint64_t left = 0;

	for (unsigned s = 0; r->drain && s < RECORD_SLOTS; s++)
		left += r->drain->left[s];
	return left;
}

static void leaves_begin(struct drain *d)
{
	d->state = LEAVES;
	d->leaves_ns = gvm_now_ns();
	for (unsigned s = 0; s < record_of(d)->slot_count; s++) {
		int replica = replica_of(d, s);

		if (replica < 0)
			continue;
		view_leave(&d->r->slot[s], (unsigned)replica, true);
		d->r->turn(d->r, s);
	}
}

static void scan_done(struct job *j)
{
	struct repair_scan *scan = (struct repair_scan *)j;
	struct drain *d = job_drain(&scan->base);

	if (!d || j->result) {
		repair_unmap(scan->differs);
	} else {
		d->differs = scan->differs;
		memcpy(d->left, scan->left, sizeof(d->left));
		d->slot = 0;
		d->cursor = 0;
		if (drain_left(d->r) <= FEW || d->rounds++ == ROUNDS)
			leaves_begin(d);
	}
	free(scan);
}

static void scan_begin(struct drain *d)
{
	const struct journal_inode *disk = d->r->inode->disk;
	struct repair_scan *scan = calloc(1, sizeof(*scan));
	uint64_t *map = scan ? repair_map() : NULL;

	if (!map) { /* another time */
		free(scan);
		return;
	}
	job_fill_in(d, &scan->base);
	scan->self = d->r->w->self;
	scan->unlinked = disk->use == INODE_UNLINKED;
	scan->rec = disk->rec;
	scan->differs = map;
	memcpy(scan->wanted, d->moves, sizeof(scan->wanted));
	scan->base.job.work = repair_job_scan;
	scan->base.job.done = scan_done;
	d->busy = true;
	jobs_submit(d->r->w->jobs, &scan->base.job);
}

static void copy_done(struct job *j)
{
	struct repair_copy *job = (struct repair_copy *)j;

	job_drain(&job->base); /* (What failed differs still in the next round.) */
	free(job);
}

/* Takes a batch of a slot. */
static void copy_collect(struct drain *d, struct repair_copy *job)
{
	const struct record *rec = record_of(d);
	uint64_t chunks = record_chunks(rec->size_bytes), c = d->cursor > d->slot ? d->cursor : d->slot;

	for (; c < chunks && job->count < REPAIR_BATCH && d->left[d->slot]; c += rec->slot_count) {
		if (!(d->differs[c / 64] >> c % 64 & 1))
			continue;
		d->differs[c / 64] &= ~(1ull << c % 64);
		d->left[d->slot]--;
		job->chunk[job->count++] = c;
	}
	d->cursor = c;
}

static void copy_begin(struct drain *d)
{
	struct replicas *r = d->r;
	const struct record_slot *slot = &record_of(d)->slots[d->slot];
	struct repair_copy *job = calloc(1, sizeof(*job));
	uint8_t members = view_targets(&r->slot[d->slot]);

	if (!job)
		return; /* another time */
	job_fill_in(d, &job->base);
	job->slot = d->slot;
	for (unsigned i = 0; i < record_of(d)->replicas; i++)
		if (members >> i & 1)
			region_node_place(r->w, r->inode, slot->node[i], &job->from[job->sources++]);
	copy_collect(d, job);
	job->base.job.work = repair_job_copy;
	job->base.job.done = copy_done;
	d->busy = true;
	jobs_submit(r->w->jobs, &job->base.job);
}

/* A round is over when nothing of it is left. */
static void copies_go_on(struct drain *d)
{
	while (d->differs && d->slot < RECORD_SLOTS && !d->left[d->slot]) {
		d->slot++;
		d->cursor = 0;
	}
	if (d->differs && d->slot < RECORD_SLOTS) {
		copy_begin(d);
		return;
	}
	repair_unmap(d->differs);
	d->differs = NULL;
	scan_begin(d);
}

/* ---- the whole */

void drain_begin(struct replicas *r, unsigned from, unsigned to, const struct record_slot *slots)
{
	const struct record *rec = &r->inode->disk->rec;
	struct drain *d = calloc(1, sizeof(*d));
	unsigned count = 0;

	if (!d)
		return; /* another time */
	d->r = r;
	d->serial = ++r->repairs;
	d->from = rec->nodes[from].incarnation;
	d->to = rec->nodes[to].incarnation;
	for (unsigned s = 0; s < rec->slot_count; s++) {
		int replica = record_replica_of(rec, s, from);

		d->moves[s] = replica >= 0 && slots[s].node[replica] == to;
		count += d->moves[s];
	}
	r->drain = d;
	log_info(rec->name, "node %s is drained: %u/%u of the copies move to node %s", rec->nodes[from].addr, count,
		 rec->slot_count * rec->replicas, rec->nodes[to].addr);
}

/* All slots' replicas are out of their views, or will not be. */
static bool leaves_are_over(const struct drain *d, uint64_t now_ns)
{
	if (now_ns - d->leaves_ns >= LEAVES_NS)
		return true;
	for (unsigned s = 0; s < record_of(d)->slot_count; s++) {
		int replica = replica_of(d, s);

		if (replica >= 0 && !(view_outside(&d->r->slot[s]) >> replica & 1))
			return false;
	}
	return true;
}

void drain_look(struct replicas *r, uint64_t now_ns)
{
	const struct record *rec = &r->inode->disk->rec;
	struct drain *d = r->drain;
	int from, to;

	if (!d)
		return;
	from = record_node_find(rec, &d->from);
	to = record_node_find(rec, &d->to);
	if (from < 0 || to < 0 || r->inode->disk->failed || r->node[to].bad || !node_drains(r, (unsigned)from) ||
	    (d->state == COPIES && replicas_degraded(r->inode))) {
		log_warning(rec->name, "the move of its copies to another node has ended before it was done");
		drain_end(r);
		return;
	}
	if (d->state == LEAVES && leaves_are_over(d, now_ns)) {
		d->state = READY;
		r->replace_ns = 0;
	} else if (d->state == COPIES && !d->busy && now_ns >= d->next_ns && !r->inode->disk->view_saved) {
		copies_go_on(d);
	}
}

bool drain_is_ready(const struct replicas *r)
{
	return r->drain && r->drain->state == READY;
}

unsigned drain_targets(const struct replicas *r, struct record_slot *slots, unsigned *to)
{
	const struct drain *d = r->drain;
	int node = record_node_find(record_of(d), &d->to);
	unsigned count = 0;

	for (unsigned s = 0; node >= 0 && s < record_of(d)->slot_count; s++) {
		int replica = replica_of(d, s);

		if (replica < 0)
			continue;
		slots[s].node[replica] = (uint16_t)node;
		count++;
	}
	*to = (unsigned)node;
	return count;
}

bool drain_has(const struct replicas *r, unsigned slot, unsigned replica)
{
	return r->drain && r->drain->state != COPIES && replica_of(r->drain, slot) == (int)replica;
}

bool drain_goes_to(const struct replicas *r, unsigned node)
{
	return r->drain && gvm_id_equal(&r->inode->disk->rec.nodes[node].incarnation, &r->drain->to);
}
