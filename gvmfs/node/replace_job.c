// SPDX-License-Identifier: GPL-2.0-or-later
/* replace_job.c - see replace_job.h. */
#include "replace_job.h"

#include "ask.h"
#include "base/log.h"
#include "base/mutant.h"
#include "moved.h"
#include "options.h"
#include "owner.h"
#include "strays.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ASK_NS 1000000000ull

static uint64_t deadline(void)
{
	return gvm_now_ns() + ASK_NS;
}

static const struct record_node *node_of(const struct replace_job *rj, unsigned node)
{
	return &rj->rec.nodes[node];
}

/* ---- one node's part */

static int part_open(struct replace_job *rj, struct pool *pool, unsigned node, uint8_t mode, struct ask *ask)
{
	struct gvm_conn *conn = pool_node(pool, node_of(rj, node));
	struct gvm_region_open_req what = { .region = rj->rec.id, .mode = mode };

	if (!conn)
		return -ENOMEM;
	if (mode == GVM_OPEN_ATTACH) {
		what.view = rj->view;
		what.epoch = rj->epoch;
		what.force = GVM_FORCE_WRITER;
		owner_lease(rj->opts, &rj->self, rj->unlinked, &what);
	}
	gvm_region_open(conn, ask_begin_to(ask, deadline(), node_of(rj, node)), &what);
	return pool_wait(conn, &ask->call.req);
}

/* Deletes a node's part, unless a later writer has it (-EKEYREVOKED). A part that was LOST does not tell its epoch: it
 * is deleted with ours. */
static int part_delete(struct replace_job *rj, struct pool *pool, unsigned node)
{
	struct gvm_region_delete_req what = { .region = rj->rec.id };
	struct gvm_conn *conn = pool_node(pool, node_of(rj, node));
	struct ask ask;
	int r = conn ? part_open(rj, pool, node, GVM_OPEN_LOOK, &ask) : -ENOMEM;

	if (r && r != -ENOMEDIUM)
		return r;
	what.epoch = r ? rj->epoch : ask.call.rsp.region_open.epoch;
	if (what.epoch > rj->epoch)
		return -EKEYREVOKED;
	/* Other orders are of another host's clock; and no part is made anew under an earlier epoch. */
	what.order = what.epoch == rj->epoch ? gvm_now_ns() : ~0ull;
	gvm_region_delete(conn, ask_begin_to(&ask, deadline(), node_of(rj, node)), &what);
	return pool_wait(conn, &ask.call.req);
}

static int part_create(struct replace_job *rj, struct pool *pool, unsigned node, uint64_t reserve)
{
	struct gvm_conn *conn = pool_node(pool, node_of(rj, node));
	struct gvm_region_create_req what = { .region = rj->rec.id, .chunks = record_chunks(rj->rec.size_bytes),
					      .reserve_chunks = reserve, .view = rj->view,
					      .views = rj->rec.replicas > 1, .epoch = rj->epoch, .order = gvm_now_ns() };
	struct ask ask;

	if (!conn)
		return -ENOMEM;
	gvm_region_create(conn, ask_begin_to(&ask, deadline(), node_of(rj, node)), &what);
	return pool_wait(conn, &ask.call.req);
}

static int part_resize(struct replace_job *rj, struct pool *pool, unsigned node, uint64_t reserve)
{
	struct gvm_conn *conn = pool_node(pool, node_of(rj, node));
	struct gvm_region_resize_req what = { .region = rj->rec.id, .epoch = rj->epoch, .reserve_chunks = reserve,
					      .chunks = record_chunks(rj->rec.size_bytes), .order = gvm_now_ns() };
	struct ask ask;

	if (!conn)
		return -ENOMEM;
	gvm_region_resize(conn, ask_begin_to(&ask, deadline(), node_of(rj, node)), &what);
	return pool_wait(conn, &ask.call.req);
}

/* ---- the choice */

struct candidate {
	int node;	/* in the record; -1: not there */
	struct record_node place;
	unsigned rack;	 /* pool_rack() */
	uint64_t chunks; /* how many it can still promise */
};

/* Deletes the parts of nodes without a slot. A node that restarted without its memory has none any more. */
static int unused_drop(struct replace_job *rj, struct pool *pool)
{
	for (unsigned i = 0; i < rj->rec.node_count; i++) {
		int r;

		if (rj->away[i] || record_node_is_used(&rj->rec, i))
			continue;
		r = part_delete(rj, pool, i);
		if (r == -EKEYREVOKED)
			return r;
		rj->dropped[i] = !r || r == -ENOMEDIUM;
	}
	return 0;
}

static uint64_t slot_chunks(const struct replace_job *rj, unsigned slot)
{
	uint64_t all = record_chunks(rj->rec.size_bytes);

	return all / rj->rec.slot_count + (slot < all % rj->rec.slot_count);
}

/* Whether the move that balance.h picked is still right, by the nodes' answers now. */
static bool pick_is_right(const struct replace_job *rj, const struct share *of, unsigned count, int from, int to)
{
	uint64_t chunks = 0;

	for (unsigned s = 0; s < rj->rec.slot_count; s++)
		chunks += rj->wanted[s] ? slot_chunks(rj, s) : 0;
	return from >= 0 && to >= 0 && shares_move(of, count, (unsigned)from, (unsigned)to, chunks * GVM_PROMISE_BYTES);
}

/* Finds the nodes of the command line that answer, and what each can promise. For balance.h's move, only its target. */
static unsigned candidates_find(struct replace_job *rj, struct pool *pool, struct candidate *of)
{
	struct share shares[OPTIONS_NODES_MAX] = { { 0 } };
	struct ask *asks = asks_make(pool->listed);
	bool picked = !gvm_id_is_none(&rj->pick.region);
	uint64_t by = deadline();
	unsigned n = 0;
	int from = -1, to = -1;

	for (unsigned i = 0; asks && i < pool->listed; i++)
		gvm_node_stat(pool->conns[i], ask_begin(&asks[i], by));
	for (unsigned i = 0; asks && i < pool->listed; i++) {
		const struct gvm_node_stat_rsp *st = &asks[i].call.rsp.node_stat;
		struct candidate *c = &of[n];
		int r = ask_wait(&asks[i]);

		if (pool->again[i])
			continue; /* the same node, under another name */
		if (!r)
			shares[i] = share_told(st->reserved_bytes, st->promisable_bytes);
		if (gvm_id_equal(gvm_conn_incarnation(pool->conns[i]), &rj->pick.from))
			from = (int)i;
		if (gvm_id_equal(gvm_conn_incarnation(pool->conns[i]), &rj->pick.to))
			to = (int)i;
		else if (picked)
			continue;
		if (r || st->promisable_bytes <= st->reserved_bytes || n == OPTIONS_NODES_MAX)
			continue;
		c->place.incarnation = *gvm_conn_incarnation(pool->conns[i]);
		snprintf(c->place.addr, sizeof(c->place.addr), "%s", gvm_conn_addr(pool->conns[i]));
		c->rack = pool_rack(pool, pool->conns[i]);
		c->node = record_node_find(&rj->rec, &c->place.incarnation);
		if (c->node >= 0 && rj->dropped[c->node])
			c->node = -1; /* its entry is removed, so it would be a new one */
		c->chunks = st->promisable_bytes > st->reserved_bytes ?
				    gvm_promise_of(st->promisable_bytes - st->reserved_bytes) / GVM_CHUNK_BYTES :
				    0;
		if (pool_may_send(pool, &c->place))
			n++;
	}
	free(asks);
	return picked && !pick_is_right(rj, shares, pool->listed, from, to) ? 0 : n;
}

static bool slot_has(const struct replace_job *rj, const struct record_slot *slot, const struct candidate *c)
{
	for (unsigned n = 0; n < record_places(&rj->rec); n++)
		if (slot->node[n] != RECORD_NONE &&
		    gvm_id_equal(&rj->rec.nodes[slot->node[n]].incarnation, &c->place.incarnation))
			return true;
	return false;
}

/* Also where its replica is to go to another node: it may yet stay (moves_keep()), and would be there twice. */
static bool has_replica(const struct replace_job *rj, unsigned slot, const struct candidate *c)
{
	return slot_has(rj, &rj->slots[slot], c) || (slot_has(rj, &rj->rec.slots[slot], c) && !mutant("replica-twice"));
}

static bool has_refused(const struct replace_job *rj, const struct candidate *c)
{
	for (unsigned i = 0; i < REPLICA_REFUSED; i++)
		if (gvm_id_equal(&rj->refused[i], &c->place.incarnation))
			return true;
	return false;
}

/* Whether another copy of the slot is in the candidate's rack. */
static bool shares_rack(const struct replace_job *rj, const struct candidate *c, unsigned slot, unsigned replica)
{
	for (unsigned n = 0; n < record_places(&rj->rec); n++) {
		unsigned node = rj->slots[slot].node[n];
		bool lost = rj->wanted[slot] >> n & 1 && node == rj->rec.slots[slot].node[n];

		if (node != RECORD_NONE && n != replica && !lost && c->rack && rj->rack[node] == c->rack)
			return !mutant("rack-twice");
	}
	return false;
}

/* Prefers a candidate in a rack without a copy; then the one at the address of the lost node, which has restarted; then
 * the one with the most room. A second copy in a rack is still better than none at all (unless rj->healthy). */
static struct candidate *candidate_choose(struct replace_job *rj, struct candidate *of, unsigned count, unsigned slot,
					  unsigned replica, uint64_t chunks)
{
	const struct record_node *last = node_of(rj, rj->slots[slot].node[replica]);
	unsigned best_rank = 0;
	struct candidate *best = NULL;

	for (unsigned i = 0; i < count; i++) {
		bool at_last = !strcmp(of[i].place.addr, last->addr);
		unsigned rank = 1 + at_last + 2 * !shares_rack(rj, &of[i], slot, replica);

		if (of[i].chunks < chunks || has_replica(rj, slot, &of[i]) || has_refused(rj, &of[i]))
			continue;
		if (rank > best_rank || (rank == best_rank && of[i].chunks > best->chunks)) {
			best_rank = rank;
			best = &of[i];
		}
	}
	rj->racks_shared |= best && best_rank < 3;
	return rj->healthy && best_rank < 3 ? NULL : best;
}

static void slot_choose(struct replace_job *rj, struct candidate *of, unsigned count, unsigned slot, unsigned replica)
{
	uint64_t chunks = slot_chunks(rj, slot);
	struct candidate *c = candidate_choose(rj, of, count, slot, replica, chunks);

	if (!c || (c->node < 0 && rj->rec.node_count == RECORD_NODES_MAX))
		return;
	if (c->node < 0) {
		c->node = rj->rec.node_count;
		rj->rack[c->node] = c->rack;
		rj->rec.nodes[rj->rec.node_count++] = c->place;
	}
	c->chunks -= chunks;
	rj->slots[slot].node[replica] = (uint16_t)c->node;
	rj->found++;
}

/* Of a region with one copy a node's whole part goes to one node, if there is one that can have it: writes are
 * held once then, and the node need not be told what has moved away from it. */
static bool whole_choose(struct replace_job *rj, struct candidate *of, unsigned count)
{
	uint64_t chunks = 0;
	struct candidate *best = NULL;

	for (unsigned s = 0; s < rj->rec.slot_count; s++)
		if (rj->wanted[s])
			chunks += slot_chunks(rj, s);
	for (unsigned i = 0; i < count; i++)
		if (of[i].chunks >= chunks && !has_refused(rj, &of[i]) && (!best || of[i].chunks > best->chunks))
			best = &of[i];
	for (unsigned s = 0; best && s < rj->rec.slot_count; s++)
		if (rj->wanted[s])
			slot_choose(rj, best, 1, s, 0);
	return rj->found;
}

/* The racks of all nodes of the record, also of those that do not answer. */
static void racks_find(struct replace_job *rj, struct pool *pool)
{
	for (unsigned i = 0; i < rj->rec.node_count; i++) {
		const struct gvm_conn *conn = pool_node(pool, node_of(rj, i));

		rj->rack[i] = conn ? pool_rack(pool, conn) : 0;
	}
}

void replace_job_choose(struct job *job, struct pool *pool)
{
	struct replace_job *rj = (struct replace_job *)job;
	struct candidate *of = calloc(OPTIONS_NODES_MAX, sizeof(*of));
	unsigned count;
	bool whole;

	job->result = of ? unused_drop(rj, pool) : -ENOMEM;
	count = job->result ? 0 : candidates_find(rj, pool, of);
	rj->nodes_before = rj->rec.node_count;
	racks_find(rj, pool);
	memcpy(rj->slots, rj->rec.slots, sizeof(rj->slots));
	whole = rj->rec.replicas == 1 && whole_choose(rj, of, count);
	for (unsigned s = 0; !whole && count && s < rj->rec.slot_count; s++)
		for (unsigned n = 0; n < record_places(&rj->rec); n++)
			if (rj->wanted[s] >> n & 1)
				slot_choose(rj, of, count, s, n);
	free(of);
}

/* ---- the room */

/* How many chunks the node has to promise: of its slots before and after. */
static uint64_t reserve_of(const struct replace_job *rj, unsigned node)
{
	uint64_t n = 0;

	for (unsigned s = 0; s < rj->rec.slot_count; s++)
		for (unsigned k = 0; k < record_places(&rj->rec); k++)
			if (rj->slots[s].node[k] == node || rj->rec.slots[s].node[k] == node) {
				n += slot_chunks(rj, s);
				break;
			}
	return n;
}

static uint64_t chunks_of(const struct replace_job *rj, unsigned node)
{
	return record_node_chunks(&rj->rec, node, record_chunks(rj->rec.size_bytes));
}

static int node_make(struct replace_job *rj, struct pool *pool, unsigned node)
{
	uint64_t reserve = reserve_of(rj, node), strays;
	struct ask ask;
	int r;

	if (node < rj->nodes_before && record_node_is_used(&rj->rec, node)) {
		r = part_open(rj, pool, node, GVM_OPEN_ATTACH, &ask);
		if (!r)
			r = strays_count(pool, &rj->rec, node, rj->slots, record_chunks(rj->rec.size_bytes),
					 ask.call.rsp.region_open.reserve_chunks, &strays);
		if (r)
			return r;
		return part_resize(rj, pool, node, reserve + strays);
	}
	r = part_create(rj, pool, node, reserve);
	/* A part that a killed predecessor created, or an old one that is not needed any more: delete it. */
	if (r == -EEXIST && !(r = part_delete(rj, pool, node)))
		r = part_create(rj, pool, node, reserve);
	return r ? r : part_open(rj, pool, node, GVM_OPEN_ATTACH, &ask);
}

/* Whether we are still the writer: the members that are asked would know a later one. */
static int members_ask(struct replace_job *rj, struct pool *pool)
{
	int result = -EHOSTDOWN; /* no member can be asked */

	for (unsigned i = 0; i < rj->rec.node_count; i++) {
		struct ask ask;
		int r;

		if (!rj->member[i])
			continue;
		r = part_open(rj, pool, i, GVM_OPEN_LOOK, &ask);
		if (r)
			return r;
		if (ask.call.rsp.region_open.epoch > rj->epoch)
			return -EKEYREVOKED;
		result = 0;
	}
	return result;
}

void replace_job_members(struct job *job, struct pool *pool)
{
	job->result = members_ask((struct replace_job *)job, pool);
}

/* One copy: the nodes from which slots move, and others do not, can be told of it afterwards. */
static int sources_prepare(struct replace_job *rj, struct pool *pool)
{
	for (unsigned i = 0; i < rj->rec.node_count; i++) {
		int goes = -1, r;
		bool stays = false;

		for (unsigned s = 0; s < rj->rec.slot_count; s++) {
			if (rj->rec.slots[s].node[0] != i)
				continue;
			stays |= rj->slots[s].node[0] == i;
			goes = rj->slots[s].node[0] == i ? goes : (int)s;
		}
		r = goes >= 0 && stays ? moved_prepare(pool, &rj->rec, i, (unsigned)goes, rj->epoch) : 0;
		if (!r)
			continue;
		log_warning(rj->rec.name, "no part of what node %s has moves away: %s", node_of(rj, i)->addr,
			    r == -ENOSPC ? "it has no room to keep note of that" : strerror(-r));
		return r;
	}
	return 0;
}

void replace_job_make(struct job *job, struct pool *pool)
{
	struct replace_job *rj = (struct replace_job *)job;
	bool able = rj->rec.replicas > 1 || !sources_prepare(rj, pool);

	for (unsigned i = 0; able && i < rj->rec.node_count; i++) {
		bool gets = false;
		int r;

		for (unsigned s = 0; s < rj->rec.slot_count; s++)
			for (unsigned n = 0; n < record_places(&rj->rec); n++)
				gets |= rj->slots[s].node[n] == i && rj->rec.slots[s].node[n] != i;
		if (!gets)
			continue;
		r = node_make(rj, pool, i);
		rj->ready[i] = !r;
		rj->refuses[i] = r;
		if (r)
			log_warning(rj->rec.name, "node %s does not take copies: %s", node_of(rj, i)->addr,
				    r == -ENOSPC ? "it has no room to promise" : strerror(-r));
	}
	replace_job_members(job, pool);
}

void replace_job_tell(struct job *job, struct pool *pool)
{
	struct replace_job *rj = (struct replace_job *)job;

	job->result = 0;
	for (unsigned i = 0; i < rj->rec.node_count; i++) {
		int r;

		if (!record_node_is_used(&rj->rec, i))
			continue;
		r = rj->away[i] ? -EHOSTDOWN : moved_tell(pool, &rj->rec, i, rj->epoch, rj->tells_own);
		rj->told[i] = !r;
		job->result = job->result ? job->result : r;
	}
}

/* `more`: chunks that it goes on promising beyond its own. */
static int part_trim(struct replace_job *rj, struct pool *pool, unsigned node, uint64_t more)
{
	uint64_t own = chunks_of(rj, node), promised, strays;
	struct ask ask;
	int r = part_open(rj, pool, node, GVM_OPEN_LOOK, &ask);

	if (r)
		return r;
	promised = ask.call.rsp.region_open.reserve_chunks;
	if (ask.call.rsp.region_open.epoch != rj->epoch)
		return -EKEYREVOKED;
	if (promised <= own + more)
		return 0;
	r = strays_forget(pool, &rj->rec, node, rj->epoch);
	if (!r)
		r = strays_count(pool, &rj->rec, node, NULL, ~0ull, promised, &strays);
	if (!r && strays > more)
		more = strays;
	return !r && promised > own + more ? part_resize(rj, pool, node, own + more) : r;
}

static int parts_trim(struct replace_job *rj, struct pool *pool, bool single, uint64_t more)
{
	int result = 0;

	for (unsigned i = 0; i < rj->rec.node_count; i++) {
		int r = 0;

		if (chunks_of(rj, i))
			r = rj->away[i] || (single && !rj->told[i]) ? -EHOSTDOWN : part_trim(rj, pool, i, more);
		result = result ? result : r;
	}
	return result;
}

void replace_job_trim(struct job *job, struct pool *pool)
{
	struct replace_job *rj = (struct replace_job *)job;

	bool single = rj->rec.replicas == 1;
	int trimmed;

	job->result = 0;
	/* One copy: who has an old record must not read zeros there. So only a node that was told is trimmed; and while
	 * any was not, the others keep a chunk's room beyond their own: one that has a slot again, and does not know it,
	 * refuses that to readers, and by that room the next writer finds that it has yet to be told. */
	if (single)
		replace_job_tell(job, pool);
	trimmed = parts_trim(rj, pool, single, job->result ? 1 : 0);
	job->result = job->result ? job->result : trimmed;
}
