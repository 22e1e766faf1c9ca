// SPDX-License-Identifier: GPL-2.0-or-later
/* region_jobs.c - see region_jobs.h. */
#include "region_jobs.h"

#include "ask.h"
#include "base/log.h"
#include "index_read.h"
#include "owner.h"
#include "region_claim.h"
#include "region_delete.h"
#include "region_job.h"
#include "region_views.h"
#include "room.h"
#include "state/worker_state.h"
#include "strays.h"
#include "views.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHORT_NS	3000000000ull /* for requests that must not wait long for a dead node */
#define STAT_NS		1000000000ull
#define QUIET_NS	200000000ull /* the same of region_stat_briefly(), for a node that did not answer the last time */
#define BUSY_TRIES	20 /* for 2 seconds: the last writer may just be detaching */
#define BUSY_PAUSE_NS	100000000ull
#define FENCED_TRIES	10
#define DISCARD_LOOKS	(1u << 18) /* chunks, before other conversations go on */
#define DISCARD_PAUSE_NS 1000000ull
#define DISCARD_CHUNKS	16384u /* in a request, during which the node does nothing else */
#define DISCARD_GAP	64u    /* unwritten chunks between two runs that are discarded in one request */

struct node_index {
	struct index_read read;
	struct region_job *rj;
	struct region_versions *versions; /* NULL: there is one replica of each slot */
	unsigned node;
	bool wrong; /* it has listed what cannot be */
};

static void node_index_add(void *arg, uint64_t chunk, uint64_t version)
{
	struct node_index *ni = arg;
	struct region_job *rj = ni->rj;

	/* No writer has had our epoch before. What counts on from such a version would overtake the versions that we give, or
	 * run into GVM_VERSION_ZERO. */
	if (gvm_version_epoch(version) >= rj->epoch)
		ni->wrong = true;
	else if (ni->versions)
		region_versions_add(ni->versions, rj, ni->node, chunk, version);
	/* Chunks beyond the size, or of slots that are not the node's, do not count. */
	else if (chunk < record_chunks(rj->rec.size_bytes) && record_node_of(&rj->rec, chunk) == ni->node)
		rj->index[chunk] = version;
}

/* From all nodes that are not away, at a time. */
static int nodes_read_index(struct region_job *rj, struct pool *pool, struct region_versions *versions)
{
	unsigned count = rj->rec.node_count;
	struct node_index *of = calloc(count ? count : 1, sizeof(*of));
	int result = of ? 0 : -ENOMEM;

	for (unsigned i = 0; of && i < count; i++) {
		of[i].rj = rj;
		of[i].versions = versions;
		of[i].node = i;
		if (!rj->away[i])
			index_read_begin(&of[i].read, pool, &rj->rec.nodes[i], &rj->rec.id, 0, node_index_add, &of[i]);
	}
	for (unsigned i = 0; of && i < count; i++) {
		int r = rj->away[i] ? 0 : index_read_wait(&of[i].read);

		if (!r && of[i].wrong) {
			log_error(rj->rec.name, "node %s lists what a writer that is yet to come would have written",
				  rj->rec.nodes[i].addr);
			r = -EPROTO;
		}
		result = result ? result : r;
	}
	free(of);
	return result;
}

static int replicas_read_index(struct region_job *rj, struct pool *pool)
{
	struct region_versions versions;
	int r = region_views_choose(rj, pool);

	if (!r)
		r = region_versions_init(&versions, &rj->rec, record_chunks(rj->rec.size_bytes));
	if (r)
		return r;
	r = nodes_read_index(rj, pool, &versions);
	if (!r)
		r = region_versions_settle(&versions, rj, pool);
	region_versions_deinit(&versions);
	return r;
}

static int region_read_index(struct region_job *rj, struct pool *pool)
{
	return rj->rec.replicas > 1 ? replicas_read_index(rj, pool) : nodes_read_index(rj, pool, NULL);
}

/* Logs why the region cannot be attached. */
static void busy_complain(const struct region_job *rj)
{
	if (rj->lease_ms)
		log_error(rj->rec.name,
			  "another host has it open for writing; that host does not answer, and its lease holds for "
			  "another %llu s. If that host is certainly dead: gvm region take FILE",
			  (unsigned long long)((rj->lease_ms + 999) / 1000));
	else
		log_error(rj->rec.name, "another host has it open for writing");
}

static bool is_shrink(const struct region_job *rj)
{
	return record_chunks(rj->size_bytes) < record_chunks(rj->rec.size_bytes);
}

/* Discarded chunks do not come back: so a shrink that has begun goes on until every
 * node has it, however long that takes. */
static uint64_t resize_deadline(const struct region_job *rj, const struct pool *pool)
{
	return is_shrink(rj) ? 0 : pool_call_deadline(pool->opts);
}

/* Begins a node's resize, after its answer to region_look(). What it reserves includes its strays. */
static int resize_begin(struct region_job *rj, struct pool *pool, unsigned node, uint64_t chunks, struct ask *ask)
{
	struct gvm_region_resize_req what = { .region = rj->rec.id, .epoch = rj->epoch, .chunks = chunks };
	struct gvm_conn *conn = ask->call.req.conn;
	uint64_t strays;
	int r = ask_wait(ask);

	if (!r)
		r = strays_count(pool, &rj->rec, node, NULL, chunks, ask->call.rsp.region_open.reserve_chunks, &strays);
	if (r)
		return r;
	what.reserve_chunks = record_node_chunks(&rj->rec, node, chunks) + strays;
	what.order = gvm_now_ns(); /* the host's clock: a worker's successor goes on with it */
	rj->excess |= ask->call.rsp.region_open.chunks != chunks ||
		      ask->call.rsp.region_open.reserve_chunks != what.reserve_chunks;
	gvm_region_resize(conn, ask_begin_to(ask, resize_deadline(rj, pool), &rj->rec.nodes[node]), &what);
	return 0;
}

/* Resizes the region on all nodes that are not away, at once; done[i]: 0: node i has the new size; 1: it was not asked;
 * or its error. */
static int nodes_resize(struct region_job *rj, struct pool *pool, uint64_t chunks, int *done)
{
	unsigned count = rj->rec.node_count;
	struct ask *asks = asks_make(count);
	int result = asks ? 0 : -ENOMEM;

	if (asks)
		region_look(pool, rj, resize_deadline(rj, pool), asks);
	for (unsigned i = 0; i < count; i++) {
		done[i] = rj->away[i] || !asks ? 1 : resize_begin(rj, pool, i, chunks, &asks[i]);
		result = result || done[i] > 0 ? result : done[i];
	}
	for (unsigned i = 0; asks && i < count; i++) {
		if (!done[i])
			done[i] = ask_wait(&asks[i]);
		result = result || done[i] > 0 ? result : done[i];
	}
	free(asks);
	return result;
}

/* What a node has behind the new end. */
struct cut_look {
	const struct region_job *rj;
	unsigned node;
	uint64_t held;
};

static void cut_look_add(void *arg, uint64_t chunk, uint64_t version)
{
	struct cut_look *cl = arg;
	const struct region_job *rj = cl->rj;
	unsigned slot = record_slot_of(&rj->rec, chunk);
	int replica = record_replica_of(&rj->rec, slot, cl->node);
	bool counts = replica >= 0 && (rj->rec.replicas < 2 || view_word_members(rj->words[slot]) >> replica & 1);

	cl->held += counts && chunk >= rj->narrowest && chunk < record_chunks(rj->rec.size_bytes) && !(version & GVM_VERSION_ZERO);
}

/* Who makes a region smaller leaves zeros behind the new end on all nodes, before any node gets the new size. So if a node has
 * anything there, the one that says that it is smaller does not say the truth, and must not have the others' chunks cut off. */
static int cut_was_begun(struct region_job *rj, struct pool *pool)
{
	for (unsigned i = 0; i < rj->rec.node_count; i++) {
		struct cut_look cl = { .rj = rj, .node = i };
		int r = record_node_is_used(&rj->rec, i) ? index_read(pool, &rj->rec.nodes[i], &rj->rec.id, 0, cut_look_add, &cl) : 0;

		if (!r && cl.held) {
			log_error(rj->rec.name, "one of its nodes says that it was being made smaller, to %llu bytes, and has no room "
				  "for more; but node %s has %llu chunks that would be cut off: nothing is cut off",
				  (unsigned long long)(rj->narrowest * GVM_CHUNK_BYTES), rj->rec.nodes[i].addr,
				  (unsigned long long)cl.held);
			r = -EPROTO;
		}
		if (r)
			return r;
	}
	return 0;
}

/*
 * The room that its nodes had for the size which it had before a cut has gone to other regions. So what its last writer
 * began is brought to its end, in whole chunks; as for any cut, all of its nodes have to be there.
 */
static int region_cut_rest(struct region_job *rj, struct pool *pool)
{
	uint64_t before = rj->rec.size_bytes;
	int done[RECORD_NODES_MAX], r;

	for (unsigned i = 0; i < rj->rec.node_count; i++)
		if (record_node_is_used(&rj->rec, i) && rj->away[i])
			return -ENOSPC;
	r = cut_was_begun(rj, pool);
	if (r)
		return r;
	log_warning(rj->rec.name, "its last writer did not come to the end of making it smaller, and its nodes have no room for its "
		    "size any more: that is brought to its end, and it has %llu bytes",
		    (unsigned long long)(rj->narrowest * GVM_CHUNK_BYTES));
	rj->rec.size_bytes = rj->narrowest * GVM_CHUNK_BYTES;
	r = nodes_resize(rj, pool, rj->narrowest, done);
	if (r)
		rj->rec.size_bytes = before;
	return r;
}

/*
 * The mount that was its writer has ended, or was fenced, while it made the region smaller: the record has the old size, but
 * nodes do not, and would refuse what is written there. They get that size; what they have cut off are zeros. (If it is our
 * record that is old, this does no harm but for the room. To make a node smaller might.)
 */
static int region_widen(struct region_job *rj, struct pool *pool)
{
	bool away[RECORD_NODES_MAX], some = false;
	int done[RECORD_NODES_MAX], r;

	memcpy(away, rj->away, sizeof(away));
	for (unsigned i = 0; i < rj->rec.node_count; i++) {
		some |= rj->narrow[i] && !away[i];
		rj->away[i] |= !rj->narrow[i];
	}
	if (!some) {
		memcpy(rj->away, away, sizeof(away));
		return 0;
	}
	r = nodes_resize(rj, pool, record_chunks(rj->rec.size_bytes), done);
	memcpy(rj->away, away, sizeof(away));
	if (!r)
		log_warning(rj->rec.name, "its last writer did not come to the end of making it smaller: it keeps its size, and "
			    "what was cut off is zeros");
	return r == -ENOSPC ? region_cut_rest(rj, pool) : r;
}

void region_job_attach(struct job *job, struct pool *pool)
{
	struct region_job *rj = (struct region_job *)job;
	unsigned busy = 0, fenced = 0;
	uint64_t epoch;
	bool taken;
	int r;

again:
	r = region_query(rj, pool, &epoch, &taken);
	if (!r && taken && !rj->take)
		r = -EBUSY;
	/* Checked before the claim, so that no writer is fenced by an attachment that then fails. */
	if (!r && rj->rec.replicas > 1)
		r = region_views_choose(rj, pool);
	while (!r) {
		if (epoch >= GVM_EPOCH_MAX) {
			r = -EOVERFLOW;
			break;
		}
		epoch++;
		r = region_claim(rj, pool, &epoch);
		if (r != -EAGAIN)
			break;
		r = ++fenced < FENCED_TRIES ? 0 : -EBUSY;
	}
	if (r == -EBUSY && fenced < FENCED_TRIES && ++busy < BUSY_TRIES) {
		fiber_wait(NULL, ns_from_now(BUSY_PAUSE_NS));
		goto again;
	}
	if (r == -EBUSY)
		busy_complain(rj);
	rj->epoch = epoch;
	if (r < 0 || !rj->index) {
		job->result = r;
		return;
	}
	r = region_widen(rj, pool);
	if (!r)
		r = region_read_index(rj, pool);
	if (r < 0)
		region_let_go(rj, pool, epoch, NULL);
	job->result = r;
}

void region_job_take(struct job *job, struct pool *pool)
{
	struct region_job *rj = (struct region_job *)job;

	rj->take = true;
	rj->index = NULL;
	rj->words = NULL;
	region_job_attach(job, pool);
	if (job->result)
		return;
	region_let_go(rj, pool, rj->epoch, NULL);
	log_warning(rj->rec.name, "taken from its writer by force, as requested: the former writer is fenced");
}

/* Promises no more than what the node has. */
static void part_trim(struct region_job *rj, struct pool *pool, unsigned node, uint64_t promised, uint64_t deadline_ns)
{
	uint64_t chunks = record_chunks(rj->rec.size_bytes), own = record_node_chunks(&rj->rec, node, chunks), strays;
	struct gvm_region_resize_req what = { .region = rj->rec.id, .epoch = rj->epoch, .chunks = chunks };
	struct gvm_conn *conn = pool_node(pool, &rj->rec.nodes[node]);
	struct ask ask;

	if (!conn || strays_count(pool, &rj->rec, node, NULL, ~0ull, promised, &strays) || promised <= own + strays)
		return;
	what.reserve_chunks = own + strays;
	what.order = gvm_now_ns();
	gvm_region_resize(conn, ask_begin_to(&ask, deadline_ns, &rj->rec.nodes[node]), &what);
	ask_wait(&ask);
}

static void part_drop(struct region_job *rj, struct pool *pool, unsigned node, uint64_t epoch, uint64_t deadline_ns)
{
	struct gvm_region_delete_req what = { .region = rj->rec.id, .epoch = epoch,
					      .order = epoch == rj->epoch ? gvm_now_ns() : ~0ull };
	struct gvm_conn *conn = pool_node(pool, &rj->rec.nodes[node]);
	struct ask ask;

	if (!conn)
		return;
	gvm_region_delete(conn, ask_begin_to(&ask, deadline_ns, &rj->rec.nodes[node]), &what);
	ask_wait(&ask);
}

/* Before others may be its writer. Nodes without a slot have nothing that anybody needs; they stay in the record until the next
 * writer finds that they have nothing. */
static void parts_tidy(struct region_job *rj, struct pool *pool)
{
	uint64_t deadline_ns = ns_from_now(SHORT_NS);

	for (unsigned i = 0; i < rj->rec.node_count; i++) {
		struct ask ask;
		const struct gvm_region_open_rsp *rsp = &ask.call.rsp.region_open;

		/* Others may be waiting for the region. */
		if (rj->down[i] || region_open(pool, rj, i, GVM_OPEN_LOOK, 0, deadline_ns, &ask) || rsp->epoch > rj->epoch)
			continue;
		if (record_node_is_used(&rj->rec, i))
			part_trim(rj, pool, i, rsp->reserve_chunks, deadline_ns);
		else if (rj->tidies)
			part_drop(rj, pool, i, rsp->epoch, deadline_ns);
	}
}

void region_job_detach(struct job *job, struct pool *pool)
{
	struct region_job *rj = (struct region_job *)job;

	if (rj->tidies || rj->room_owed)
		parts_tidy(rj, pool);
	region_let_go(rj, pool, rj->epoch, NULL);
	job->result = 0;
}

/* Fills rec->nodes[] with the nodes that answer and have room; with what each can still promise, and its rack. */
static int region_choose(struct region_job *rj, struct pool *pool, uint64_t *free_bytes, unsigned *rack)
{
	struct room room[OPTIONS_NODES_MAX];
	struct record *rec = &rj->rec;
	int r = rooms_ask(pool, rj->opts, rj->replicas, ns_from_now(STAT_NS), room);

	rec->node_count = 0;
	for (unsigned i = 0; !r && i < pool->listed; i++) {
		struct gvm_conn *conn = pool->conns[i];
		struct record_node *node = &rec->nodes[rec->node_count];

		if (!room[i].answers && !pool->again[i])
			log_warning(rec->name, "node %s does not answer; the region is made without it",
				    gvm_conn_addr(conn));
		if (!room[i].free_bytes || rec->node_count == RECORD_NODES_MAX)
			continue;
		rack[rec->node_count] = pool_rack(pool, conn);
		free_bytes[rec->node_count++] = room[i].free_bytes;
		node->incarnation = *gvm_conn_incarnation(conn);
		snprintf(node->addr, sizeof(node->addr), "%s", gvm_conn_addr(conn));
	}
	return r ? r : rec->node_count ? 0 : -ENOSPC;
}

/* Whether each node has room for its slots, beside what is kept. (Of its tables it decides itself.) */
static bool region_fits(const struct record *rec, const uint64_t *free_bytes, uint64_t chunks)
{
	for (unsigned i = 0; i < rec->node_count; i++)
		if (record_node_chunks(rec, i, chunks) > free_bytes[i] / GVM_PROMISE_BYTES)
			return false;
	return true;
}

/* Removes the nodes that got no slot from the record. */
static void region_compact(struct record *rec)
{
	uint16_t to[RECORD_NODES_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < rec->node_count; i++) {
		to[i] = (uint16_t)n;
		if (record_node_chunks(rec, i, rec->slot_count))
			rec->nodes[n++] = rec->nodes[i];
	}
	for (unsigned s = 0; s < rec->slot_count; s++)
		for (unsigned k = 0; k < rec->replicas; k++)
			rec->slots[s].node[k] = to[rec->slots[s].node[k]];
	rec->node_count = (uint16_t)n;
}

static void create_begin(struct pool *pool, const struct region_job *rj, unsigned node, uint64_t chunks, uint64_t order,
			 struct ask *ask)
{
	const struct record *rec = &rj->rec;
	struct gvm_conn *conn = pool_node(pool, &rec->nodes[node]);
	struct gvm_region_create_req what = {
		.region = rec->id,
		.chunks = chunks,
		.reserve_chunks = record_node_chunks(rec, node, chunks),
		.view = rec->view,
		.views = rec->replicas > 1,
		.order = order,
	};

	*ask = (struct ask){ 0 };
	if (conn)
		gvm_region_create(conn, ask_begin_to(ask, pool_call_deadline(pool->opts), &rec->nodes[node]), &what);
}

static int create_wait(struct pool *pool, const struct region_job *rj, unsigned node, uint64_t chunks, struct ask *ask)
{
	int r = ask_wait(ask);

	if (r == -EEXIST) {
		/* Left by a predecessor that was killed before the region had a record. */
		region_parts_delete(pool, rj, node, 1, REGION_UNDO_NS, &r);
		if (r < 0)
			return r;
		create_begin(pool, rj, node, chunks, gvm_now_ns(), ask);
		r = ask_wait(ask);
	}
	if (r == -ESTALE) { /* another host's clock, by which an earlier attempt was undone, is ahead of this one's */
		create_begin(pool, rj, node, chunks, ask->call.req.detail, ask);
		r = ask_wait(ask);
	}
	return r;
}

/* Creates the region on all its nodes, at once. */
static int region_create(struct pool *pool, const struct region_job *rj, uint64_t chunks)
{
	unsigned count = rj->rec.node_count;
	struct ask *asks = asks_make(count);
	int result = asks ? 0 : -ENOMEM;

	for (unsigned i = 0; asks && i < count; i++)
		create_begin(pool, rj, i, chunks, gvm_now_ns(), &asks[i]);
	for (unsigned i = 0; asks && i < count; i++) {
		int r = create_wait(pool, rj, i, chunks, &asks[i]);

		result = result ? result : r;
	}
	free(asks);
	return result;
}

/* Says how much was wanted, and how much there is, on the nodes of a new region or of this one. */
static void room_complain(struct region_job *rj, struct pool *pool)
{
	bool some = rj->rec.node_count && rj->epoch;
	uint64_t free_bytes = 0, kept_bytes = 0;
	struct room room[OPTIONS_NODES_MAX];
	int r = rooms_ask(pool, rj->opts, some ? rj->rec.replicas : rj->replicas, ns_from_now(SHORT_NS), room);

	for (unsigned i = 0; !r && i < pool->listed; i++) {
		if (some && record_node_find(&rj->rec, gvm_conn_incarnation(pool->conns[i])) < 0)
			continue;
		free_bytes += gvm_promise_of(room[i].free_bytes);
		kept_bytes += gvm_promise_of(room[i].kept_bytes);
	}
	if (kept_bytes)
		log_error(rj->rec.name, "the nodes cannot promise %llu bytes: %llu are free, and %llu kept for copies that are made anew",
			  (unsigned long long)rj->size_bytes, (unsigned long long)free_bytes, (unsigned long long)kept_bytes);
	else
		log_error(rj->rec.name, "the nodes cannot promise %llu bytes: %llu are free",
			  (unsigned long long)rj->size_bytes, (unsigned long long)free_bytes);
}

/* Logs that there are too few nodes with room, or too few racks, for its copies. */
static void places_complain(const struct region_job *rj, const unsigned *rack)
{
	const struct record *rec = &rj->rec;
	unsigned racks = 0;

	for (unsigned i = 0; i < rec->node_count; i++) {
		unsigned same = 0;

		while (same < i && (!rack[i] || rack[same] != rack[i]))
			same++;
		racks += same == i;
	}
	if (racks < rec->node_count)
		log_error(rec->name, "%u copies of each chunk need as many racks: the %u nodes that answer and have room are in %u",
			  rec->replicas, rec->node_count, racks);
	else
		log_error(rec->name, "%u copies of each chunk need as many nodes: %u answer and have room", rec->replicas,
			  rec->node_count);
}

void region_job_create(struct job *job, struct pool *pool)
{
	struct region_job *rj = (struct region_job *)job;
	uint64_t chunks = record_chunks(rj->size_bytes), free_bytes[RECORD_NODES_MAX];
	unsigned rack[RECORD_NODES_MAX], tries = 0;
	struct record *rec = &rj->rec;
	int r;

again:
	r = region_choose(rj, pool, free_bytes, rack);
	rec->view = 1;
	rec->replicas = (uint16_t)rj->replicas;
	if (!r && record_place(rec, free_bytes, rack) < 0) {
		places_complain(rj, rack);
		job->result = -ENOSPC;
		return;
	}
	if (!r && !region_fits(rec, free_bytes, chunks)) {
		/* A predecessor that was killed may have left parts of this very region there, which take the room. */
		if (!tries++ && !region_delete_all(rj, pool, REGION_UNDO_NS))
			goto again;
		r = -ENOSPC;
	}
	if (!r) {
		region_compact(rec);
		r = region_create(pool, rj, chunks);
	}
	if (r == -ENOSPC)
		room_complain(rj, pool);
	if (!r) {
		rec->size_bytes = rj->size_bytes;
		region_job_attach(job, pool);
		r = job->result;
	}
	if (r < 0)
		region_delete_all(rj, pool, REGION_UNDO_NS);
	job->result = r;
}

/* The node may have the new size already, from a predecessor that was killed: then the chunks are gone. */
static int discard_refused(struct region_job *rj, struct pool *pool, unsigned node, int error)
{
	struct ask ask;

	if (region_open(pool, rj, node, GVM_OPEN_LOOK, 0, resize_deadline(rj, pool), &ask) < 0 ||
	    ask.call.rsp.region_open.chunks != record_chunks(rj->size_bytes))
		return error;
	return 0;
}

/* Discards a run of chunks, on all nodes at once. */
static int chunks_discard(struct region_job *rj, struct pool *pool, uint64_t first, uint64_t count)
{
	struct gvm_discard_req what = { .region = rj->rec.id, .epoch = rj->epoch, .first = first,
					.count = count, .version = rj->discard_version };
	struct gvm_conn *conn[RECORD_NODES_MAX] = { NULL };
	struct ask *asks = asks_make(rj->rec.node_count);
	int result = asks ? 0 : -ENOMEM;

	for (unsigned i = 0; asks && i < rj->rec.node_count; i++) {
		conn[i] = rj->away[i] ? NULL : pool_node(pool, &rj->rec.nodes[i]);
		if (conn[i])
			gvm_discard(conn[i], ask_begin_to(&asks[i], resize_deadline(rj, pool), &rj->rec.nodes[i]),
				    &what);
	}
	for (unsigned i = 0; asks && i < rj->rec.node_count; i++) {
		int r = rj->away[i] ? 0 : conn[i] ? pool_wait(conn[i], &asks[i].call.req) : -ENOMEM;

		if (r == -EINVAL)
			r = discard_refused(rj, pool, i, r);
		if (r < 0 && !result)
			result = r;
	}
	free(asks);
	return result;
}

/* A version above every one that a chunk to be discarded has, or may have on a node. (These chunks are not written any
 * more.) A large region takes a while; other conversations go on meanwhile. */
static uint64_t discard_version(struct region_job *rj)
{
	uint64_t end = record_chunks(rj->rec.size_bytes), version = gvm_version(rj->epoch, 1), looked = 0;

	if (rj->cut_version >= version)
		version = rj->cut_version + 1;
	for (uint64_t c = record_chunks(rj->size_bytes); c < end; c++) {
		c = journal_index_next(rj->w->journal, rj->inode->nr, c);
		if (c < end && (rj->index[c] & GVM_VERSION_MASK) >= version)
			version = (rj->index[c] & GVM_VERSION_MASK) + 1;
		if (++looked % DISCARD_LOOKS == 0)
			fiber_wait(NULL, ns_from_now(DISCARD_PAUSE_NS));
	}
	return version;
}

/*
 * Discards the chunks behind the new end that were ever written. The index has them all, since the caller has had all
 * writes acknowledged. In small requests, since other regions' faults wait for the nodes meanwhile. Runs that are close
 * to each other are merged.
 */
static int region_discard(struct region_job *rj, struct pool *pool)
{
	uint64_t end = record_chunks(rj->rec.size_bytes), first = end, last = end;
	int r = 0;

	rj->discard_version = discard_version(rj);
	/* In the journal before any node has it: if the discard is interrupted, by an error or the worker's death,
	 * later writes to these chunks must not use that version for other bytes. */
	journal_publish64(&rj->inode->disk->cut_version, rj->discard_version);
	for (uint64_t c = record_chunks(rj->size_bytes), looked = 1; !r && c < end; c++, looked++) {
		c = journal_index_next(rj->w->journal, rj->inode->nr, c);
		if (c >= end)
			break;
		if (looked % DISCARD_LOOKS == 0)
			fiber_wait(NULL, ns_from_now(DISCARD_PAUSE_NS));
		if (!rj->index[c])
			continue;
		if (first < end && (c - last > DISCARD_GAP || c - first >= DISCARD_CHUNKS)) {
			r = chunks_discard(rj, pool, first, last + 1 - first);
			first = end;
		}
		if (first == end)
			first = c;
		last = c;
	}
	if (!r && first < end)
		r = chunks_discard(rj, pool, first, last + 1 - first);
	return r;
}

/* 0: all nodes that have slots are there. */
static int nodes_are_there(struct region_job *rj, struct pool *pool)
{
	uint64_t epoch;
	bool alive;
	int r = region_query(rj, pool, &epoch, &alive);

	for (unsigned i = 0; !r && i < rj->rec.node_count; i++)
		if (record_node_is_used(&rj->rec, i) && rj->away[i])
			r = -EHOSTDOWN;
	if (r == -EHOSTDOWN)
		log_error(rj->rec.name, "its size cannot be changed while one of its nodes is away");
	return r;
}

void region_job_reach(struct job *job, struct pool *pool)
{
	job->result = nodes_are_there((struct region_job *)job, pool);
}

/* A growth has failed. Nodes that have it take it back; one whose answer is missing may have it all the same, and the
 * caller is not kept waiting for that. */
static void growth_undo(struct region_job *rj, struct pool *pool, uint64_t before, int *done)
{
	bool unknown = false;

	for (unsigned i = 0; i < rj->rec.node_count; i++) {
		unknown |= done[i] == -ETIMEDOUT;
		rj->away[i] |= done[i] != 0;
	}
	rj->room_owed = nodes_resize(rj, pool, before, done) < 0 || unknown;
}

/* On nodes without a slot there is only what they have to be rid of. */
static void unused_leave_out(struct region_job *rj)
{
	for (unsigned i = 0; i < rj->rec.node_count; i++)
		rj->away[i] |= !record_node_is_used(&rj->rec, i);
}

/* Not before it finds nothing more to be trimmed is it known that no late request has brought any of it back. */
void region_job_trim(struct job *job, struct pool *pool)
{
	struct region_job *rj = (struct region_job *)job;
	int done[RECORD_NODES_MAX];

	unused_leave_out(rj);
	job->result = nodes_resize(rj, pool, record_chunks(rj->rec.size_bytes), done);
	rj->room_owed = job->result < 0 || rj->excess;
}

/* Whether there is room for it beside what is kept. A predecessor that was killed in the middle, or an attempt that failed, may
 * have got some of it already. */
static int growth_fits(struct region_job *rj, struct pool *pool, uint64_t before, uint64_t after)
{
	struct ask *asks = asks_make(rj->rec.node_count);
	uint64_t held[RECORD_NODES_MAX];

	if (!asks)
		return -ENOMEM;
	region_look(pool, rj, ns_from_now(STAT_NS), asks);
	for (unsigned i = 0; i < rj->rec.node_count; i++) {
		uint64_t promised = rj->away[i] || asks[i].call.req.result ? 0 : asks[i].call.rsp.region_open.reserve_chunks;

		held[i] = record_node_chunks(&rj->rec, i, before);
		held[i] = held[i] > promised ? held[i] : promised;
	}
	free(asks);
	return rooms_look(pool, rj->opts, &rj->rec, held, after, ns_from_now(STAT_NS));
}

void region_job_resize(struct job *job, struct pool *pool)
{
	struct region_job *rj = (struct region_job *)job;
	uint64_t before = record_chunks(rj->rec.size_bytes), after = record_chunks(rj->size_bytes);
	int done[RECORD_NODES_MAX] = { 0 };
	int r = 0;

	if (is_shrink(rj) || rj->rec.replicas > 1) /* it is not begun but with all of them there */
		r = nodes_are_there(rj, pool);
	unused_leave_out(rj);
	if (!r && after > before)
		r = growth_fits(rj, pool, before, after);
	/* Before any node is asked: from now on nothing ends the change. */
	if (!r && rj->size_bytes < rj->rec.size_bytes)
		journal_publish64(&rj->inode->disk->cut_to_plus_1, rj->size_bytes + 1);
	if (!r && is_shrink(rj))
		r = region_discard(rj, pool);
	if (!r) {
		r = nodes_resize(rj, pool, after, done);
		if (!r)
			rj->room_owed = false;
		else if (after > before)
			growth_undo(rj, pool, before, done);
	}
	if (r == -ENOSPC)
		room_complain(rj, pool);
	if (r && rj->lost && rj->inode->disk->cut_to_plus_1)
		r = -ENOMEDIUM; /* nobody need try to go on with it */
	if (!r)
		rj->rec.size_bytes = rj->size_bytes;
	job->result = r;
}

void region_job_stat(struct job *job, struct pool *pool)
{
	struct region_job *rj = (struct region_job *)job;
	struct gvm_region_stat_req what = { .region = rj->rec.id };
	struct ask *asks = asks_make(rj->rec.node_count);

	job->result = asks ? 0 : -ENOMEM;
	rj->held_bytes = 0;
	for (unsigned i = 0; asks && i < rj->rec.node_count; i++) {
		struct gvm_conn *conn = pool_node(pool, &rj->rec.nodes[i]);

		rj->asked[i] = record_node_is_used(&rj->rec, i);
		if (conn && rj->asked[i])
			gvm_region_stat(conn, ask_begin_to(&asks[i], ns_from_now(rj->quiet[i] ? QUIET_NS : STAT_NS),
							   &rj->rec.nodes[i]), &what);
	}
	for (unsigned i = 0; asks && i < rj->rec.node_count; i++) {
		const struct gvm_region_stat_rsp *rsp = &asks[i].call.rsp.region_stat;
		int r = rj->asked[i] ? ask_wait(&asks[i]) : 0;
		uint8_t writer;

		if (!rj->asked[i])
			continue;
		rj->quiet[i] = r == -ETIMEDOUT;
		if (r < 0) {
			/* -ENOMEDIUM (LOST) is the result only if no node failed in another way. */
			if (r != -ENOMEDIUM || !job->result)
				job->result = r;
			continue;
		}
		/* Without chunks, a node's bytes are bookkeeping, not data: see inode_held_bytes(). */
		rj->held_bytes += rsp->chunks_held ? rsp->held_bytes : 0;
		writer = owner_judge(&rj->self, rsp->writer, &rsp->host, &rsp->process);
		if (writer > rj->writer)
			rj->writer = writer;
		if (rsp->epoch > rj->seen_epoch)
			rj->seen_epoch = rsp->epoch;
	}
	free(asks);
}
