// SPDX-License-Identifier: GPL-2.0-or-later
/* region_claim.c - see region_claim.h. */
#include "region_claim.h"

#include "base/log.h"
#include "owner.h"
#include "region_views.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SHORT_NS	 3000000000ull /* for requests that must not wait long for a dead node */
#define WATCHED_PAUSE_NS 3000000ull
#define WATCHED_NS	 3000000000ull /* a watch lapses after a third of this */

/* Begins region_open(). ask->call.req.result is the result after ask_wait(), or at once if it could not be begun. */
static void region_open_begin(struct pool *pool, const struct region_job *rj, unsigned node, uint8_t mode, uint64_t epoch,
			      uint64_t deadline_ns, struct ask *ask)
{
	const struct record *rec = &rj->rec;
	struct gvm_conn *conn = pool_node(pool, &rec->nodes[node]);
	struct gvm_region_open_req what = {
		.region = rec->id, .mode = mode, .epoch = epoch, .view = rec->view
	};

	if (!conn) {
		*ask = (struct ask){ .call.req.result = -ENOMEM };
		return;
	}
	if (mode == GVM_OPEN_ATTACH || mode == GVM_OPEN_HOLD)
		what.force = rj->take ? GVM_FORCE_WRITER : rj->pass ? GVM_FORCE_LEASE : GVM_FORCE_NONE;
	if (mode == GVM_OPEN_ATTACH)
		owner_lease(rj->opts, &rj->self, rj->unlinked, &what);
	gvm_region_open(conn, ask_begin_to(ask, deadline_ns, &rec->nodes[node]), &what);
}

int region_open(struct pool *pool, const struct region_job *rj, unsigned node, uint8_t mode, uint64_t epoch,
		uint64_t deadline_ns, struct ask *ask)
{
	region_open_begin(pool, rj, node, mode, epoch, deadline_ns, ask);
	return ask_wait(ask);
}

/* region_open() on all nodes >= `first` that are not away, at once; asks[] has their results. */
static void nodes_open(struct pool *pool, const struct region_job *rj, unsigned first, uint8_t mode, uint64_t epoch,
		       uint64_t deadline_ns, struct ask *asks)
{
	for (unsigned i = first; i < rj->rec.node_count; i++)
		if (!rj->away[i])
			region_open_begin(pool, rj, i, mode, epoch, deadline_ns, &asks[i]);
	for (unsigned i = first; i < rj->rec.node_count; i++)
		if (!rj->away[i])
			ask_wait(&asks[i]);
}

void region_look(struct pool *pool, const struct region_job *rj, uint64_t deadline_ns, struct ask *asks)
{
	nodes_open(pool, rj, 0, GVM_OPEN_LOOK, 0, deadline_ns, asks);
}

/* Whether another writer has the region, by a node's answer. */
static bool region_is_taken(struct region_job *rj, const struct gvm_region_open_rsp *rsp)
{
	bool taken = region_writer(rj, rsp) >= GVM_WRITER_AWAY;

	if (taken && rsp->lease_ms > rj->lease_ms)
		rj->lease_ms = rsp->lease_ms;
	if (!taken && rsp->writer == GVM_WRITER_AWAY)
		rj->pass = true;
	return taken;
}

/* Takes one node's answer into account. */
static int node_seen(struct region_job *rj, unsigned node, const struct ask *ask, uint64_t *epoch, bool *taken)
{
	int r = ask->call.req.result;

	if (r < 0 && region_node_leave_out(rj, node, r))
		return 0;
	if (r < 0) {
		log_error(rj->rec.name, "node %s does not open the region: %s", rj->rec.nodes[node].addr,
			  r == -ENOMEDIUM ? "LOST there" : strerror(-r));
		rj->lost |= r == -ENOMEDIUM;
		return r == -ENOMEDIUM ? -EIO : r;
	}
	if (ask->call.rsp.region_open.epoch > *epoch)
		*epoch = ask->call.rsp.region_open.epoch;
	*taken |= region_is_taken(rj, &ask->call.rsp.region_open);
	rj->roomy |= ask->call.rsp.region_open.reserve_chunks >
		     record_node_chunks(&rj->rec, node, record_chunks(rj->rec.size_bytes));
	rj->narrow[node] = ask->call.rsp.region_open.chunks < record_chunks(rj->rec.size_bytes);
	if (ask->call.rsp.region_open.chunks < rj->narrowest)
		rj->narrowest = ask->call.rsp.region_open.chunks;
	return 0;
}

int region_query(struct region_job *rj, struct pool *pool, uint64_t *epoch, bool *taken)
{
	struct ask *asks = asks_make(rj->rec.node_count);
	int r = asks ? 0 : -ENOMEM;

	*epoch = 0;
	*taken = false;
	rj->lease_ms = 0;
	rj->pass = false;
	memset(rj->narrow, 0, sizeof(rj->narrow));
	rj->narrowest = ~0ull;
	for (unsigned i = 0; i < rj->rec.node_count; i++)
		rj->away[i] = !record_node_is_used(&rj->rec, i);
	if (!r)
		region_look(pool, rj, pool_call_deadline(pool->opts), asks);
	for (unsigned i = 0; !r && i < rj->rec.node_count; i++)
		if (!rj->away[i])
			r = node_seen(rj, i, &asks[i], epoch, taken);
	free(asks);
	return r;
}

void region_let_go(struct region_job *rj, struct pool *pool, uint64_t epoch, const bool *granted)
{
	struct gvm_region_close_req what = { .region = rj->rec.id, .epoch = epoch };
	unsigned count = rj->rec.node_count;
	struct ask *asks = asks_make(count);

	for (unsigned i = 0; asks && i < count; i++) {
		struct gvm_conn *conn = granted && !granted[i] ? NULL : pool_node(pool, &rj->rec.nodes[i]);

		if (conn)
			gvm_region_close(conn, ask_begin_to(&asks[i], ns_from_now(SHORT_NS), &rj->rec.nodes[i]), &what);
	}
	for (unsigned i = 0; asks && i < count; i++)
		ask_wait(&asks[i]);
	free(asks);
}

/* Attaches to one node, or holds the region there. Asks again while the node waits for readers of other hosts to drop
 * their cached pages (-EINPROGRESS). */
static int node_claim(struct region_job *rj, struct pool *pool, unsigned node, uint8_t mode, uint64_t epoch,
		      struct ask *ask)
{
	uint64_t until_ns = ns_from_now(WATCHED_NS);
	int r;

	while ((r = region_open(pool, rj, node, mode, epoch, pool_call_deadline(pool->opts), ask)) == -EINPROGRESS) {
		if (gvm_now_ns() > until_ns)
			return -EBUSY;
		fiber_wait(NULL, ns_from_now(WATCHED_PAUSE_NS));
	}
	return r;
}

/* Judges a node's answer: 0: go on; -EAGAIN: it knows a higher epoch, see *higher; otherwise the error with which the
 * claim fails. */
static int claim_judge(struct region_job *rj, unsigned node, int r, const struct ask *ask, uint64_t *higher)
{
	if (!r || region_node_leave_out(rj, node, r))
		return 0;
	if (r == -EKEYREVOKED && ask->call.req.detail > *higher)
		*higher = ask->call.req.detail;
	return r == -EKEYREVOKED ? -EAGAIN : r == -ENOMEDIUM ? -EIO : r;
}

/* Whether the node may have granted it: its answer may have been lost. */
static bool may_have_passed(int r)
{
	return !r || r == -ETIMEDOUT;
}

/*
 * Holds the region on all nodes that are not away, or attaches to them. The first node alone: readers have their
 * watches there, and of several clients at the same time it lets one pass. Then all others at once.
 * 0, or an error of claim_judge(). `granted` (all false before): the nodes that granted it, or may have.
 */
static int nodes_claim(struct region_job *rj, struct pool *pool, uint8_t mode, uint64_t epoch, uint64_t *higher,
		       bool *granted)
{
	unsigned count = rj->rec.node_count, next = 0;
	struct ask *asks = asks_make(count);
	bool passed = false;
	int r, result = asks ? 0 : -ENOMEM;

	for (; !result && !passed && next < count; next++) {
		if (rj->away[next])
			continue;
		r = node_claim(rj, pool, next, mode, epoch, &asks[next]);
		passed = !r;
		granted[next] = may_have_passed(r);
		result = claim_judge(rj, next, r, &asks[next], higher);
	}
	if (result) {
		free(asks);
		return result;
	}
	nodes_open(pool, rj, next, mode, epoch, pool_call_deadline(pool->opts), asks);
	for (; next < count; next++) {
		if (rj->away[next])
			continue;
		r = asks[next].call.req.result;
		/* (A node that restarted does not know its watches, and waits until they would have lapsed.) */
		if (r == -EINPROGRESS)
			r = node_claim(rj, pool, next, mode, epoch, &asks[next]);
		granted[next] = may_have_passed(r);
		r = claim_judge(rj, next, r, &asks[next], higher);
		if (!result || result == -EAGAIN)
			result = r ? r : result;
	}
	free(asks);
	return result;
}

/* Releases the hold. `held`: the nodes that may have it; NULL: all. */
static void region_unhold(struct region_job *rj, struct pool *pool, uint64_t epoch, const bool *held)
{
	struct ask *asks = asks_make(rj->rec.node_count);
	uint64_t deadline_ns = ns_from_now(SHORT_NS);

	for (unsigned i = 0; asks && i < rj->rec.node_count; i++)
		if (held ? held[i] : !rj->away[i]) /* (also one that was left out: its answer may have been lost) */
			region_open_begin(pool, rj, i, GVM_OPEN_UNHOLD, epoch, deadline_ns, &asks[i]);
	for (unsigned i = 0; asks && i < rj->rec.node_count; i++)
		ask_wait(&asks[i]);
	free(asks);
}

static unsigned nodes_away(const struct region_job *rj)
{
	unsigned away = 0;

	for (unsigned i = 0; i < rj->rec.node_count; i++)
		away += rj->away[i];
	return away;
}

/* Holds the region on every node: each agrees that this mount may attach, and lets no other client from then on. If one
 * refuses, or the region cannot be attached because another node is away by now, no node has fenced the writer yet.
 * Results as region_claim(). */
static int region_hold(struct region_job *rj, struct pool *pool, uint64_t *epoch)
{
	bool held[RECORD_NODES_MAX] = { false };
	unsigned away = nodes_away(rj);
	uint64_t higher = *epoch;
	int error = rj->rec.node_count > 1 ? nodes_claim(rj, pool, GVM_OPEN_HOLD, *epoch, &higher, held) : 0;

	if (!error && nodes_away(rj) != away)
		error = region_views_choose(rj, pool);
	if (error)
		region_unhold(rj, pool, *epoch, held);
	*epoch = higher;
	return error;
}

int region_claim(struct region_job *rj, struct pool *pool, uint64_t *epoch)
{
	bool attached[RECORD_NODES_MAX] = { false };
	int error = region_hold(rj, pool, epoch);
	uint64_t higher = *epoch;

	if (error)
		return error;
	error = nodes_claim(rj, pool, GVM_OPEN_ATTACH, *epoch, &higher, attached);
	if (error) {
		region_let_go(rj, pool, *epoch, attached);
		region_unhold(rj, pool, *epoch, NULL);
	}
	*epoch = higher;
	return error;
}
