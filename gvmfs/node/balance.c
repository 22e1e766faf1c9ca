// SPDX-License-Identifier: GPL-2.0-or-later
/* balance.c - see balance.h. */
#include "balance.h"

#include "pool.h"
#include "region_node.h"
#include "replicas_state.h"
#include "state/worker_state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define POLL_NS	 5000000000ull
#define AGAIN_NS 500000000ull /* after a move: the node has dropped its part by then */
#define ASK_NS	 1000000000ull
#define PICK_MAX 16u /* regions to look at after each round of answers */
#define NEW_NS	 2000000000ull /* a region that was opened more recently may be closed during the move */

struct balance_call {
	struct gvm_call call; /* first */
	struct worker *w;
};

/* Nodes that are drained do not count: drain.h moves their parts, and nothing moves to them. */
static bool counts(const struct pool *pool, unsigned i)
{
	return !pool->again[i] && !pool->drains[i] && gvm_conn_state(pool->conns[i]) == GVM_CONN_UP;
}

static void shares_fill(const struct worker *w, struct share of[OPTIONS_NODES_MAX])
{
	for (unsigned i = 0; i < w->pool->listed; i++)
		of[i] = counts(w->pool, i) ? w->balance->share[i] : (struct share){ 0 };
}

/* The index of a listed node that counts; -1: there is none. */
static int listed_find(const struct pool *pool, const struct gvm_id *node)
{
	for (unsigned i = 0; i < pool->listed; i++)
		if (counts(pool, i) && gvm_id_equal(gvm_conn_incarnation(pool->conns[i]), node))
			return (int)i;
	return -1;
}

/* No slot is degraded, and no move, repair or change of a record is in progress. */
static bool is_quiet(const struct worker *w)
{
	const struct replicas *r;

	LIST_FOREACH(r, w->replicas, entry)
		if (r->degraded || r->drain || r->repair || r->replacing || r->settles || r->inode->disk->trims ||
		    r->inode->disk->view_saved || record_is_moving(&r->inode->disk->rec))
			return false;
	return true;
}

/* Whether the slot's replica on entry `from` of the record may go to node `to` of the mount: it has none of them, and no other is
 * in its rack. */
static bool slot_may_go(struct worker *w, const struct record *rec, unsigned slot, unsigned from, int to_entry, unsigned rack)
{
	if (record_replica_of(rec, slot, from) < 0 || (to_entry >= 0 && record_replica_of(rec, slot, (unsigned)to_entry) >= 0))
		return false;
	for (uint8_t left = record_filled(rec, slot); left && rack; left &= (uint8_t)(left - 1)) {
		unsigned node = rec->slots[slot].node[__builtin_ctz(left)];
		const struct gvm_conn *conn = node == from ? NULL : pool_node(w->pool, &rec->nodes[node]);

		if (conn && pool_rack(w->pool, conn) == rack)
			return false;
	}
	return true;
}

static unsigned slots_that_may_go(struct worker *w, const struct record *rec, unsigned from, int to_entry, unsigned rack)
{
	unsigned count = 0;

	for (unsigned s = 0; s < rec->slot_count; s++)
		count += slot_may_go(w, rec, s, from, to_entry, rack);
	return count;
}

/* How many of the slots of node `at` of the mount should move to `to`, of `may` that can. One copy: all of a
 * part that is small enough, since the source is rid of it then, and need not be told (moved.h). */
static unsigned part_some(const struct record *rec, const struct share *of, unsigned listed, unsigned at,
			  unsigned to, uint64_t bytes, unsigned may)
{
	if (rec->replicas == 1 && shares_move(of, listed, at, to, may * bytes))
		return may;
	return shares_move_some(of, listed, at, to, bytes, may);
}

/* The fullest of the region's nodes of which some should move to `to`; -1: none. *count: as in struct balance_pick. */
static int region_from(struct worker *w, const struct record *rec, const struct share *of, unsigned to, unsigned *count)
{
	const struct pool *pool = w->pool;
	unsigned rack = pool_rack(pool, pool->conns[to]);
	int to_entry = record_node_find(rec, gvm_conn_incarnation(pool->conns[to])), from = -1, best = -1;
	uint64_t chunks = record_chunks(rec->size_bytes);
	uint64_t bytes = (chunks * GVM_PROMISE_BYTES + rec->slot_count - 1) / rec->slot_count; /* of a slot, about */

	for (unsigned i = 0; i < rec->node_count; i++) {
		int at = listed_find(pool, &rec->nodes[i].incarnation);
		unsigned some = 0;

		if (at < 0 || (best >= 0 && !shares_fuller(of[at], of[best])))
			continue;
		some = part_some(rec, of, pool->listed, (unsigned)at, to, bytes,
				 slots_that_may_go(w, rec, i, to_entry, rack));
		if (!some)
			continue;
		best = at;
		from = (int)i;
		*count = some;
	}
	return from;
}

static bool may_pick(struct worker *w, struct inode *inode, uint64_t now_ns)
{
	const struct replicas *r = inode->replicas;

	if (!inode->balance_ns) {
		inode->balance_ns = now_ns + NEW_NS;
		w->balance->due_ns = now_ns + NEW_NS;
	}
	return !inode->disk->failed && inode->disk->rec.kind == RECORD_REGION && inode->disk->rec.size_bytes &&
	       now_ns >= inode->balance_ns && (!r || (!r->closing && now_ns >= r->drain_ns));
}

/* Looks at one region, the next after the one that was looked at last. */
static void pick(struct worker *w, uint64_t now_ns)
{
	struct pool *pool = w->pool;
	struct balance *b = w->balance;
	struct share of[OPTIONS_NODES_MAX];
	struct balance_pick *p = &b->pick;
	struct inode *inode;
	unsigned n = 0;
	int to, from;

	*p = (struct balance_pick){ .region = { { 0 } } };
	shares_fill(w, of);
	to = shares_emptiest(of, pool->listed);
	if (to < 0 || !is_quiet(w)) {
		b->looks = 0;
		return;
	}
	LIST_FOREACH(inode, &w->inodes->attached, attached_entry)
		if (n++ == b->pick_at)
			break;
	if (!inode) {
		b->pick_at = b->looks = 0;
		return;
	}
	b->pick_at++;
	from = may_pick(w, inode, now_ns) ? region_from(w, &inode->disk->rec, of, (unsigned)to, &p->count) : -1;
	if (from < 0)
		return;
	b->looks = 0;
	p->region = inode->disk->rec.id;
	p->from = inode->disk->rec.nodes[from].incarnation;
	p->to = *gvm_conn_incarnation(pool->conns[to]);
}

static void asked(struct gvm_req *req)
{
	struct balance_call *bc = (struct balance_call *)req;
	struct pool *pool = bc->w->pool;
	struct balance *b = bc->w->balance;
	const struct gvm_node_stat_rsp *st = &bc->call.rsp.node_stat;

	assert(b->asked);
	for (unsigned i = 0; i < pool->listed; i++)
		if (pool->conns[i] == req->conn)
			b->share[i] = req->result ? (struct share){ 0 } : share_told(st->reserved_bytes, st->promisable_bytes);
	if (!--b->asked)
		b->looks = PICK_MAX;
	free(bc);
}

static void node_ask(struct worker *w, unsigned i, uint64_t now_ns)
{
	struct balance_call *bc = counts(w->pool, i) ? calloc(1, sizeof(*bc)) : NULL;

	w->balance->share[i] = (struct share){ 0 };
	if (!bc)
		return;
	bc->w = w;
	bc->call.req.done = asked;
	bc->call.req.deadline_ns = now_ns + ASK_NS;
	w->balance->asked++;
	gvm_node_stat(w->pool->conns[i], &bc->call);
}

uint64_t balance_poll(struct worker *w, uint64_t now_ns)
{
	struct balance *b = w->balance;

	if (w->opts->no_balance || LIST_EMPTY(&w->inodes->attached))
		return ~0ull;
	if (b->looks) {
		b->looks--;
		pick(w, now_ns);
		return b->looks ? now_ns : b->due_ns;
	}
	if (!b->asking && (now_ns < b->due_ns || b->asked))
		return b->due_ns > now_ns ? b->due_ns : now_ns + ASK_NS;
	if (!b->asking) {
		b->due_ns = now_ns + POLL_NS;
		b->asking = true;
		b->asked = 1; /* so that no answer brings it to 0 before all are asked */
		b->ask_at = 0;
	}
	for (unsigned n = 0; n < POOL_ASKS_MAX && b->ask_at < w->pool->listed; n++)
		node_ask(w, b->ask_at++, now_ns);
	if (b->ask_at < w->pool->listed)
		return now_ns;
	b->asking = false;
	if (!--b->asked)
		b->looks = PICK_MAX;
	return b->looks ? now_ns : b->due_ns;
}

void balance_again(struct worker *w, uint64_t now_ns)
{
	w->balance->pick = (struct balance_pick){ .region = { { 0 } } };
	w->balance->due_ns = now_ns + AGAIN_NS;
}

bool balance_picks(const struct worker *w, const struct inode *inode)
{
	const struct gvm_id *region = &w->balance->pick.region;

	return !gvm_id_is_none(region) && gvm_id_equal(region, &inode->disk->rec.id);
}

/* Some, from all over the region. */
static unsigned slots_want(const struct replicas *r, const struct balance_pick *p, unsigned from, uint8_t *wanted)
{
	const struct record *rec = &r->inode->disk->rec;
	int to_entry = record_node_find(rec, &p->to), listed = listed_find(r->w->pool, &p->to);
	unsigned rack = listed < 0 ? 0 : pool_rack(r->w->pool, r->w->pool->conns[listed]), may = 0, n = 0, count = 0;
	bool go[RECORD_SLOTS];

	for (unsigned s = 0; s < rec->slot_count; s++) {
		go[s] = view_may_grow(&r->slot[s]) && slot_may_go(r->w, rec, s, from, to_entry, rack);
		may += go[s];
	}
	for (unsigned s = 0; s < rec->slot_count; s++) {
		if (!go[s])
			continue;
		n++;
		if (may > p->count && (uint64_t)(n - 1) * p->count / may == (uint64_t)n * p->count / may)
			continue;
		count++;
		if (wanted)
			wanted[s] = (uint8_t)(1u << record_replica_of(rec, s, from));
	}
	return count;
}

unsigned balance_wants(const struct replicas *r, uint64_t now_ns, uint8_t wanted[RECORD_SLOTS], struct balance_pick *where)
{
	const struct balance_pick *p = &r->w->balance->pick;
	const struct record *rec = &r->inode->disk->rec;
	int from;

	if (!balance_picks(r->w, r->inode) || r->drain || r->repair || r->degraded || r->inode->disk->view_saved ||
	    now_ns < r->drain_ns || record_is_moving(rec))
		return 0;
	from = record_node_find(rec, &p->from);
	if (where)
		*where = *p;
	return from < 0 ? 0 : slots_want(r, p, (unsigned)from, wanted);
}
