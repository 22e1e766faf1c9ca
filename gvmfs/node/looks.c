// SPDX-License-Identifier: GPL-2.0-or-later
/* looks.c - see looks.h. */
#include "looks.h"

#include "balance.h"
#include "drain.h"
#include "fetch.h"
#include "jobs.h"
#include "movers.h"
#include "pool.h"
#include "replicas.h"
#include "replicas_state.h"
#include "state/worker_state.h"

#define TICK_NS	    50000000ull
#define LOOK_MAX    4u /* regions in one go, during which faults wait */
#define SINGLES_STEPS 256u /* the same of inodes, */
#define SINGLES_LOOK  8u   /* of which so many may be attached */
#define HEARD_NS    2500000000ull /* a node that is up is heard of every second (gvm_conn_heard_ns()) */

/* Whether no node of the mount is heard of. */
static bool host_is_alone(const struct worker *w, uint64_t now_ns)
{
	for (unsigned i = 0; i < w->pool->count; i++)
		if (gvm_conn_state(w->pool->conns[i]) == GVM_CONN_UP &&
		    now_ns < gvm_conn_heard_ns(w->pool->conns[i]) + HEARD_NS)
			return false;
	return true;
}

/* Makes the struct replicas of regions with one copy, for those that need one now: a drained node has a part of
 * them. Some of the regions in each call; false: that was the last of them. */
static bool singles_open(struct worker *w)
{
	const struct inodes *in = w->inodes;
	unsigned steps = 0;

	for (; w->singles_nr && w->singles_nr < in->end && steps < SINGLES_STEPS; w->singles_nr++) {
		struct inode *inode = in->rt[w->singles_nr];

		steps++;
		if (!inode || !inode->disk->epoch || inode->disk->failed || inode->disk->rec.kind != RECORD_REGION)
			continue;
		steps += SINGLES_STEPS / SINGLES_LOOK;
		replicas_open(w, inode);
	}
	if (w->singles_nr < in->end)
		return w->singles_nr;
	w->singles_nr = 0;
	return false;
}

/* What the nodes are asked now and then, and what that changes. */
static uint64_t nodes_ask(struct worker *w, uint64_t now_ns)
{
	uint64_t drain_ns, balance_ns;

	if (now_ns >= w->pool->drains_ns && !w->singles_nr && !LIST_EMPTY(&w->inodes->attached))
		w->singles_nr = 1;
	drain_ns = drain_poll(w, now_ns);
	balance_ns = balance_poll(w, now_ns);
	if (singles_open(w))
		return now_ns;
	return drain_ns < balance_ns ? drain_ns : balance_ns;
}

/* Goes on with a round of looks, from where it stopped. */
static void regions_look(struct worker *w, uint64_t now_ns)
{
	bool alone = host_is_alone(w, now_ns);

	for (unsigned n = 0; w->replicas_next && n < LOOK_MAX; n++) {
		struct replicas *r = w->replicas_next;

		w->replicas_next = LIST_NEXT(r, entry);
		/* A worker that has just started is not connected to any node yet. */
		if (alone && now_ns >= r->began_ns + REPLICA_PATIENCE_NS)
			r->alone_ns = now_ns;
		if (!replicas_end_waits(w, r))
			replicas_look(r, now_ns);
	}
}

/* Events of a slot are handled when they happen. A look at all slots of all regions takes a while, during which faults
 * wait: a round of looks begins every TICK_NS only, and is done in pieces. Repairs and moves go on with each call, in
 * pieces, too. */
static uint64_t rounds_tick(struct worker *w, uint64_t now_ns)
{
	if (w->replicas_next) {
		regions_look(w, now_ns);
	} else if (now_ns < w->replicas_due_ns) {
		movers_look(w, now_ns);
		return w->movers_next ? now_ns : w->replicas_due_ns;
	} else {
		w->replicas_next = LIST_FIRST(w->replicas);
		w->replicas_due_ns = w->replicas_next ? now_ns + TICK_NS : 0;
		regions_look(w, now_ns);
	}
	if (w->replicas_next)
		return now_ns;
	return LIST_EMPTY(w->replicas) ? ~0ull : w->replicas_due_ns;
}

uint64_t looks_tick(struct worker *w, uint64_t now_ns)
{
	uint64_t asks_ns = nodes_ask(w, now_ns), looks_ns = rounds_tick(w, now_ns);

	w->fetches->timed = !LIST_EMPTY(w->replicas);
	pace_look(&w->jobs->pace, now_ns, w->fetches->answers, w->fetches->took_ns, w->opts->repair_rate);
	return asks_ns < looks_ns ? asks_ns : looks_ns;
}
