// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * model.c - every order in which writes, failing nodes, dying workers and a second host can meet the views of one slot
 * (gvmfs/node/views.h), how a replica comes back to its view (gvmfs/node/fill.h), how a copy that rots is mended (gvmfs/node/rot.h),
 * and what must hold in each.
 *
 *	model [-m MUTANT] [-n STATES] [-t] [CASE... | long]
 *
 * The slot has one chunk, whose content is its version. A host has a journal with the slot's word and the index, and
 * a worker that may be killed; what it has sent may still arrive after that. A node takes the requests of a
 * connection in their order, refuses those of an older epoch, and may begin anew without its memory. A second host
 * attaches the region without the journal of the first, which may be dead or alive.
 */
#include "base/mutant.h"
#include "node/fill.h"

#define PUT_MUTANT(name) mutant(name)
#include "memnode/put_rule.h"

#include "../sim/explore.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

const char *mutant_chosen;

#define HOSTS 2u
#define WIRE  12u /* requests under way on a connection */

enum request_kind { PUT, RECORD, COPY };

/* A request that was not answered yet; the answer is on its way once it was carried out. PUTs, RECORDs and COPYs (PUTs of
 * what was read from a member; `mends`: in place of what is rotten, in the same version) travel over connections of their own, each of which keeps its order. */
struct request {
	uint8_t kind, version, mends, done, orphan; /* orphan: its sender is dead, nobody takes the answer */
	int8_t error;
	uint8_t held; /* by the node, where that is newer */
	uint8_t members, active;
	uint64_t number;
};

struct wire {
	uint8_t count;
	struct request request[WIRE];
};

static struct limits {
	uint8_t writes, bads, cuts, losses, kills, joins, attaches, deaths;
	uint8_t leaves; /* a replica is to leave its view, or stays after all */
	uint8_t needs; /* views without those that are bad are needed though nothing is written */
	uint8_t follows; /* the second host comes when the first is lost, and what it sent has come or never will; 2:
			  * nor is a node lost before that */
	uint8_t unwritten; /* when it begins, the chunk was never written */
	uint8_t rots;	 /* what a node has of the chunk does not verify any more */
	uint8_t spare;	 /* the last replica is none when it begins: another is to move there */
	uint8_t survives; /* there are two copies at any time: a node that begins anew takes nothing along */
	uint8_t beside;	 /* writes begin also while a view is about to be, which takes many more states */
} left;

static struct world {
	struct node {
		uint8_t version, epoch, lost; /* lost: it began anew, and has nothing of the slot */
		bool rotten;
		struct view active, proposed;
	} node[VIEW_REPLICAS];
	struct host {
		bool there, attached, fenced;
		/* the journal */
		view_word word;
		uint8_t index, used; /* used: the highest version that was given to bytes */
		/* the worker */
		struct view_slot slot;
		uint8_t writing, targets, acked; /* writing: the version of a write under way; 0: none */
		bool parked; /* it has ended without being acknowledged everywhere, and begins again */
		struct fill fill;
		uint8_t first; /* of this writer's versions: below all that it gives to bytes */
		bool differs, reading; /* the chunk, on the replica that is filled; it is to be read for that */
		uint8_t mending, mended; /* and one: the replica whose copy is mended; the version that it is to have */
		bool mend_sent;
		/* the second host, before it has attached: whom it has asked so far */
		uint8_t asked, answered;
		struct view_seen seen[VIEW_REPLICAS];
		uint8_t versions[VIEW_REPLICAS];
		struct wire wire[VIEW_REPLICAS];
	} host[HOSTS];
	uint8_t acked;	 /* the newest version that anybody was told is stored */
	bool uncertain;	 /* force was used: it may be gone */
	const char *wrong;
} world;

static const struct model_case {
	struct explore_case name;
	uint8_t replicas;
	bool new_version; /* a write that is begun again has a new version: an eviction; else the same bytes */
	struct limits limits;
} cases[] = {
	{ { "writes", "2 replicas: 3 writes, a node that is slow twice", false }, 2, false,
	  { .writes = 3, .bads = 2 } },
	{ { "exclude", "2 replicas: 2 writes, slow, a worker's death", false }, 2, false,
	  { .writes = 2, .bads = 2, .kills = 1, .beside = 1 } },
	{ { "evictions", "the same with new versions", false }, 2, true, { .writes = 2, .bads = 2, .kills = 1 } },
	{ { "join", "2 replicas: 2 writes, slow, a return, a death", false }, 2, false,
	  { .writes = 2, .bads = 1, .joins = 2, .kills = 1, .beside = 1 } },
	{ { "evict-return", "2 replicas: 2 writes with new versions, slow, a return", false }, 2, true,
	  { .writes = 2, .bads = 1, .joins = 1, .beside = 1 } },
	{ { "return-attach", "2 replicas: a write, slow, a return, then another host", false }, 2, false,
	  { .writes = 1, .bads = 1, .needs = 1, .joins = 1, .attaches = 1, .deaths = 1, .follows = 1, .beside = 1 } },
	{ { "return", "2 replicas: 2 writes, slow twice, a return", false }, 2, false,
	  { .writes = 2, .bads = 2, .needs = 1, .joins = 1, .beside = 1 } },
	{ { "attach", "2 replicas: 2 writes, slow, another host attaches", false }, 2, false,
	  { .writes = 2, .bads = 1, .attaches = 1 } },
	{ { "attach-join", "2 replicas: 2 writes, slow, a return, another host", false }, 2, false,
	  { .writes = 2, .bads = 1, .joins = 1, .attaches = 1 } },
	{ { "lost", "2 replicas: a write, slow, a node begins anew, then another host", false }, 2, false,
	  { .writes = 1, .bads = 1, .losses = 1, .attaches = 1, .deaths = 1, .follows = 1 } },
	{ { "gone-back", "2 replicas: a write, slow twice, a node begins anew, then another host", false }, 2, false,
	  { .writes = 1, .bads = 2, .needs = 1, .losses = 1, .attaches = 1, .deaths = 1, .follows = 1 } },
	{ { "turns", "2 replicas: a write, slow twice, a return, then another host", false }, 2, false,
	  { .writes = 1, .bads = 2, .joins = 1, .attaches = 1, .deaths = 1, .follows = 1 } },
	{ { "grown", "2 replicas: slow twice, a return, a node begins anew, then another host", false }, 2, false,
	  { .writes = 1, .bads = 2, .needs = 1, .joins = 1, .losses = 1, .attaches = 1, .deaths = 1, .follows = 2 } },
	{ { "idle", "2 replicas: nothing is written, slow twice, deaths", false }, 2, false, { .bads = 2, .kills = 2 } },
	{ { "absent", "2 replicas: a view is needed without a write, slow twice, a death", false }, 2, false,
	  { .writes = 1, .bads = 2, .needs = 1, .kills = 1 } },
	{ { "unwritten", "2 replicas, never written: 2 writes, slow, another host, then a return", false }, 2, false,
	  { .writes = 2, .bads = 1, .needs = 1, .joins = 1, .attaches = 1, .deaths = 1, .follows = 1, .unwritten = 1 } },
	{ { "drain", "2 replicas: 2 writes, one is to leave, slow, a death", false }, 2, false,
	  { .writes = 2, .leaves = 1, .bads = 1, .kills = 1 } },
	{ { "drain-lost", "2 replicas: a write, one is to leave, or both, a node begins anew", false }, 2, false,
	  { .writes = 1, .leaves = 2, .losses = 1, .survives = 1 } },
	{ { "move", "2 replicas: a write, one moves, slow", false }, 3, false,
	  { .writes = 1, .joins = 1, .leaves = 1, .bads = 1, .spare = 1 } },
	{ { "move-death", "2 replicas: a write, one moves, a death", false }, 3, false,
	  { .writes = 1, .joins = 1, .leaves = 1, .kills = 1, .beside = 1, .spare = 1 } },
	{ { "move-lost", "2 replicas: a write, one moves, a node begins anew", false }, 3, false,
	  { .writes = 1, .joins = 1, .leaves = 1, .losses = 1, .beside = 1, .spare = 1, .survives = 1 } },
	{ { "move-three", "3 replicas: one moves, a node begins anew", false }, 4, false,
	  { .joins = 1, .leaves = 1, .losses = 1, .needs = 1, .spare = 1, .survives = 1 } },
	{ { "move-three-writes", "3 replicas: a write, one moves", false }, 4, false,
	  { .writes = 1, .joins = 1, .leaves = 1, .spare = 1 } },
	{ { "move-attach", "2 replicas: a write, one moves, then another host", false }, 3, false,
	  { .writes = 1, .joins = 1, .leaves = 1, .attaches = 1, .deaths = 1, .follows = 1, .spare = 1 } },
	{ { "long-move-attach", "2 replicas: a write, one moves, slow, then another host", true }, 3, false,
	  { .writes = 1, .joins = 1, .leaves = 1, .bads = 1, .attaches = 1, .deaths = 1, .follows = 1, .spare = 1 } },
	{ { "long-move-lost", "2 replicas: 2 writes, one moves, a node begins anew, a death", true }, 3, false,
	  { .writes = 2, .joins = 2, .leaves = 2, .losses = 1, .kills = 1, .beside = 1, .spare = 1, .survives = 1 } },
	{ { "move-three-attach", "3 replicas: one moves, then another host", false }, 4, false,
	  { .joins = 1, .leaves = 1, .attaches = 1, .deaths = 1, .follows = 1, .spare = 1, .needs = 1 } },
	{ { "long-move-three-lost", "3 replicas: a write, one moves, two nodes begin anew", true }, 4, false,
	  { .writes = 1, .joins = 1, .leaves = 1, .losses = 2, .spare = 1, .survives = 1 } },
	{ { "long-move-three-bad", "3 replicas: a write, one moves, slow", true }, 4, false,
	  { .writes = 1, .joins = 1, .leaves = 1, .bads = 1, .spare = 1 } },
	{ { "rots", "2 replicas: 2 writes, a copy rots", false }, 2, false, { .writes = 2, .rots = 1, .beside = 1 } },
	{ { "rots-death", "2 replicas: a write, a copy rots, slow, a worker's death", false }, 2, false,
	  { .writes = 1, .rots = 1, .bads = 1, .kills = 1 } },
	{ { "rots-join", "2 replicas: a write with new versions, slow, a return, a copy rots", false }, 2, true,
	  { .writes = 1, .bads = 1, .needs = 1, .joins = 1, .rots = 1 } },
	{ { "rots-attach", "2 replicas: a write, a copy rots, then another host", false }, 2, false,
	  { .writes = 1, .rots = 1, .attaches = 1, .deaths = 1, .follows = 1 } },
	{ { "one", "1 replica: 2 writes, slow twice, a death, another host", false }, 1, false,
	  { .writes = 2, .bads = 2, .needs = 1, .kills = 1, .attaches = 1, .deaths = 1, .beside = 1 } },
	{ { "one-evictions", "1 replica: 2 writes with new versions, cut, a death", false }, 1, true,
	  { .writes = 2, .bads = 1, .cuts = 1, .kills = 1, .beside = 1 } },
	{ { "one-lost", "1 replica: a write, its node begins anew, another host", false }, 1, false,
	  { .writes = 1, .bads = 1, .losses = 1, .kills = 1, .attaches = 1, .deaths = 1, .follows = 1 } },
	{ { "three", "3 replicas: slow, another host", false }, 3, false, { .bads = 1, .needs = 1, .attaches = 1 } },
	{ { "three-slow", "3 replicas: a write, slow twice", false }, 3, false, { .writes = 1, .bads = 2 } },
	{ { "cuts", "2 replicas: 1 write, slow, cut twice, a death", false }, 2, false,
	  { .writes = 1, .bads = 1, .cuts = 2, .kills = 1 } },
	{ { "long-turns", "2 replicas: a write, slow twice, a return, another host", true }, 2, false,
	  { .writes = 1, .bads = 2, .joins = 1, .attaches = 1 } },
	{ { "long-gone-back", "2 replicas: a write, slow twice, a node begins anew, another host", true }, 2, false,
	  { .writes = 1, .bads = 2, .losses = 1, .attaches = 1 } },
	{ { "long-writes-lost", "2 replicas: 2 writes, slow, a node begins anew, another host", true }, 2, false,
	  { .writes = 2, .bads = 1, .losses = 1, .attaches = 1, .deaths = 1 } },
	{ { "long-three-once", "3 replicas: a write, slow, another host", true }, 3, false,
	  { .writes = 1, .bads = 1, .attaches = 1 } },
	{ { "long-three-slow", "3 replicas: 1 write, slow twice, another host", true }, 3, false,
	  { .writes = 1, .bads = 2, .attaches = 1 } },
	{ { "long-three", "3 replicas: 2 writes, slow twice, a return, another host", true }, 3, false,
	  { .writes = 2, .bads = 2, .joins = 1, .attaches = 1 } },
	{ { "long-lost", "2 replicas: 2 writes, 2 slow, 1 anew, a return, another host", true }, 2, false,
	  { .writes = 2, .bads = 2, .losses = 1, .joins = 1, .attaches = 1, .deaths = 1 } },
	{ { "long-all", "2 replicas: 2 writes, one of everything", true }, 2, true,
	  { .writes = 2, .bads = 1, .cuts = 1, .losses = 1, .kills = 1, .joins = 1, .attaches = 1, .deaths = 1 } },
};

static const struct model_case *now;

static uint8_t all_places(void)
{
	return (uint8_t)((1u << now->replicas) - 1);
}

/* How many there should be. */
static unsigned copies(void)
{
	return now->replicas - now->limits.spare;
}

/* Replicas when it begins. */
static uint8_t first_places(void)
{
	return (uint8_t)((1u << copies()) - 1);
}

static uint8_t epoch_of(const struct host *h)
{
	return (uint8_t)(1 + (h - world.host));
}

static void fail(const char *why)
{
	if (!world.wrong)
		world.wrong = why;
}

/* ---- the wire */

static void send_to(struct host *h, unsigned r, struct request request)
{
	struct wire *w = &h->wire[r];

	/* The client library has no such bound; here it keeps the world small. */
	if (w->count == WIRE)
		fail("the model's wire is too short");
	else
		w->request[w->count++] = request;
}

static void wire_drop(struct wire *w, unsigned i)
{
	memmove(&w->request[i], &w->request[i + 1], (--w->count - i) * sizeof(w->request[0]));
	memset(&w->request[w->count], 0, sizeof(w->request[0]));
}

/* ---- the world of views.h */

static void host_publish(struct view_slot *v, view_word word)
{
	struct host *h = (struct host *)((char *)v - offsetof(struct host, slot));

	h->word = word;
}

static void host_record(struct view_slot *v, unsigned replica, const struct view *view, bool active)
{
	struct host *h = (struct host *)((char *)v - offsetof(struct host, slot));

	send_to(h, replica, (struct request){ .kind = RECORD, .number = view->number, .members = view->members,
					      .active = active });
}

static const struct view_env env = { host_publish, host_record };

/* ---- the world of fill.h */

static uint64_t fill_left(const struct fill *f)
{
	return ((const struct host *)f->owner)->differs;
}

static void fill_copy(struct fill *f)
{
	struct host *h = f->owner;

	h->differs = false;
	h->reading = true;
}

static unsigned fill_writes(const struct fill *f)
{
	const struct host *h = f->owner;

	return h->writing && !h->parked;
}

static void fill_differ(struct fill *f, uint64_t chunk)
{
	(void)chunk;
	((struct host *)f->owner)->differs = true;
}

static const struct fill_env fill_env = { fill_left, fill_copy, fill_writes, fill_differ };

static bool is_filling(const struct host *h)
{
	return h->fill.state != FILL_NONE && (h->fill.state < FILL_DONE || h->fill.copying);
}

/* ---- a host's writes */

static void write_send(struct host *h)
{
	h->targets = view_targets(&h->slot);
	for (unsigned r = 0; r < now->replicas; r++)
		if (h->targets >> r & 1)
			send_to(h, r, (struct request){ .kind = PUT, .version = h->writing });
}

static bool write_is_under_way(const struct host *h)
{
	for (unsigned r = 0; r < now->replicas; r++)
		for (unsigned i = 0; i < h->wire[r].count; i++)
			if (h->wire[r].request[i].kind == PUT && !h->wire[r].request[i].orphan)
				return true;
	return false;
}

static void slot_turn(struct host *h)
{
	enum fill_state before;

	do {
		view_turn(&h->slot);
		before = h->fill.state;
		if (is_filling(h))
			fill_turn(&h->fill);
	} while (h->fill.state != before);
}

static void host_turn(struct host *h)
{
	if (!h->attached || h->fenced)
		return;
	if (h->writing && !h->parked && !(view_targets(&h->slot) & ~h->acked))
		view_need(&h->slot);
	slot_turn(h);
	if (h->writing && !h->parked && view_holds(&h->slot, h->acked)) {
		h->index = h->writing;
		if (h->index > world.acked)
			world.acked = h->index;
		h->writing = h->acked = h->targets = 0;
		if (is_filling(h))
			fill_written(&h->fill, 0);
		slot_turn(h);
	}
}

static bool may_write(const struct host *h)
{
	return !fill_holds(&h->fill) && view_may_write(&h->slot);
}

static bool write_begin(struct host *h)
{
	if (h->writing || !left.writes || !may_write(h) || (!left.beside && view_is_changing(&h->slot)))
		return false;
	left.writes--;
	h->writing = ++h->used;
	write_send(h);
	return true;
}

/* What of it has not been taken, and is on no wire: it goes to those that lack it. */
static bool write_again(struct host *h)
{
	if (h->parked) {
		if (!may_write(h))
			return false;
		h->parked = false;
		write_send(h);
		return true;
	}
	if (!h->writing || write_is_under_way(h) || view_is_changing(&h->slot))
		return false;
	if (!(view_targets(&h->slot) & ~h->acked))
		return false;
	if (now->new_version) {
		h->acked = 0;
		h->writing = ++h->used;
		h->parked = true;
		if (is_filling(h))
			fill_written(&h->fill, 0);
		host_turn(h);
		return true;
	}
	for (unsigned r = 0; r < now->replicas; r++)
		if (view_targets(&h->slot) >> r & ~(h->acked >> r) & 1)
			send_to(h, r, (struct request){ .kind = PUT, .version = h->writing });
	return true;
}

/* ---- nodes */

static bool is_again(const struct view *view, const struct request *q)
{
	return view->number == q->number && view->members == q->members;
}

/* As memnode/daemon/slot_view.c does. */
static int node_record(struct node *n, const struct request *q)
{
	const struct view new = { .number = q->number, .members = q->members };

	if (is_again(&n->active, q) || (!q->active && is_again(&n->proposed, q)))
		return 0;
	if (q->number <= n->active.number || (!q->active && q->number <= n->proposed.number) ||
	    (q->number == n->proposed.number && !is_again(&n->proposed, q)))
		return -ESTALE;
	*(q->active ? &n->active : &n->proposed) = new;
	if (q->active && n->proposed.number <= q->number)
		n->proposed = (struct view){ 0 };
	return 0;
}

static int node_put(struct node *n, const struct request *q)
{
	switch (put_rule(n->version, n->version, q->version, q->mends ? q->version : 0)) {
	case PUT_IS_OLD:
		return -ESTALE;
	case PUT_IS_BESIDE:
		return -EREMCHG;
	case PUT_APPLIES:
		n->version = q->version;
		n->rotten = false;
		break;
	case PUT_REPEATS:
		break;
	}
	return 0;
}

static void node_take(struct node *n, struct request *q, uint8_t epoch)
{
	q->done = 1;
	q->error = 0;
	if (n->lost)
		q->error = -ENOMEDIUM;
	else if (n->epoch != epoch)
		q->error = -EKEYREVOKED;
	else if (q->kind == RECORD)
		q->error = (int8_t)node_record(n, q);
	else
		q->error = (int8_t)node_put(n, q);
	q->held = q->error == -ESTALE && q->kind == COPY ? n->version : 0;
}

static void answer_take(struct host *h, unsigned r, const struct request *q)
{
	if (q->error == -EKEYREVOKED) {
		h->fenced = true;
		return;
	}
	if (q->mends) {
		h->mending = 0;
		return;
	}
	if (q->error == -ENOMEDIUM)
		view_bad(&h->slot, r, true);
	if (q->kind == COPY) {
		int error = q->error == -ESTALE && (q->version == h->first || q->held >= h->first) ? 0 : q->error;

		h->differs |= error != 0;
		fill_copied(&h->fill, error);
	} else if (q->kind == RECORD)
		view_recorded(&h->slot, r, q->number, q->active, q->error);
	else if (!q->error && q->version == h->writing)
		h->acked |= (uint8_t)(1u << r);
	else if (q->error == -ESTALE && q->version == h->writing)
		fail("a node that is written to holds what is newer");
	host_turn(h);
}

/* ---- events */

enum { E_WRITE, E_AGAIN, E_NEED, E_LEAVE, E_BAD, E_GOOD, E_CUT, E_TAKE, E_TAKE_RECORD, E_TAKE_COPY, E_ANSWER, E_ANSWER_RECORD,
       E_ANSWER_COPY, E_JOIN, E_READ, E_GIVE_UP, E_MEND, E_ASK, E_KINDS };
#define E_OF_HOST   (E_KINDS * VIEW_REPLICAS)
#define E_LOSE	    (HOSTS * E_OF_HOST)
#define E_KILL	    (E_LOSE + VIEW_REPLICAS)
#define E_DIE	    (E_KILL + HOSTS)
#define E_FORCE	    (E_DIE + 1)
#define E_ROT	    (E_FORCE + 1)
#define E_ALL	    (E_ROT + VIEW_REPLICAS)

static bool request_take(struct host *h, unsigned r, enum request_kind kind)
{
	struct wire *w = &h->wire[r];

	for (unsigned i = 0; i < w->count; i++) {
		struct request *q = &w->request[i];

		if (q->done || q->kind != kind)
			continue;
		node_take(&world.node[r], q, epoch_of(h));
		if (q->orphan)
			wire_drop(w, i);
		return true;
	}
	return false;
}

static bool request_answer(struct host *h, unsigned r, enum request_kind kind)
{
	struct wire *w = &h->wire[r];
	struct request q;

	for (unsigned i = 0; i < w->count; i++) {
		if (!w->request[i].done || w->request[i].orphan || w->request[i].kind != kind)
			continue;
		q = w->request[i];
		wire_drop(w, i);
		answer_take(h, r, &q);
		return true;
	}
	return false;
}

/* The connection breaks: what was not answered is sent again. */
static bool wire_cut(struct host *h, unsigned r)
{
	struct wire *w = &h->wire[r];
	bool any = false;

	if (!left.cuts)
		return false;
	for (unsigned i = w->count; i--;) {
		any |= w->request[i].done || w->request[i].orphan;
		if (w->request[i].orphan)
			wire_drop(w, i);
		else
			w->request[i].done = 0;
	}
	left.cuts -= any;
	return any;
}

/* A replica outside of the view answers, or another node takes its place: it is asked what it has, and is to be filled. */
static bool replica_join(struct host *h, unsigned r)
{
	uint8_t bit = (uint8_t)(1u << r);
	struct node *n = &world.node[r];
	enum fill_held held;

	if (!left.joins || view_word_members(h->word) & bit || h->slot.bad & bit || is_filling(h))
		return false;
	if (n->lost) {
		*n = (struct node){ 0 };
		for (unsigned i = 0; i < HOSTS; i++)
			world.host[i].wire[r] = (struct wire){ 0 };
	}
	held = fill_compare(n->version, h->index, h->first);
	if (n->epoch > epoch_of(h) || held == FILL_STRANGE)
		return false;
	left.joins--;
	n->epoch = epoch_of(h);
	h->differs = held == FILL_DIFFERS;
	fill_begin(&h->fill, &fill_env, &h->slot, r, h);
	host_turn(h);
	return true;
}

/* Never written, or discarded by a fill. */
static bool is_zero(const struct host *h, uint8_t version)
{
	return !version || version == h->first;
}

/* What is to be copied is read from a member, and sent. */
static bool member_read(struct host *h, unsigned r)
{
	const struct node *n = &world.node[r];
	uint8_t version;

	if (!h->reading || !(view_targets(&h->slot) >> r & 1) || n->lost || n->epoch != epoch_of(h))
		return false;
	h->reading = false;
	if (n->version < h->index)
		fail("what is copied is older than the index");
	version = (uint8_t)fill_version(n->version, h->first, is_zero(h, n->version));
	send_to(h, h->fill.replica, (struct request){ .kind = COPY, .version = version });
	return true;
}

static bool node_rot(unsigned r)
{
	struct node *n = &world.node[r];

	if (!left.rots || n->rotten || n->lost || !n->version || r >= now->replicas)
		return false;
	left.rots--;
	n->rotten = true;
	return true;
}

/* A member is found to have a rotten copy. As gvmfs/node/rot.c does. */
static bool mend_begin(struct host *h, unsigned r)
{
	const struct node *n = &world.node[r];

	if (h->mending || !n->rotten || n->epoch != epoch_of(h) || !(view_word_members(h->word) >> r & 1))
		return false;
	h->mending = (uint8_t)(r + 1);
	h->mended = h->index;
	h->mend_sent = false;
	return true;
}

/* The copy of another is read for that: in this version, or not at all. */
static bool mend_read(struct host *h, unsigned r)
{
	const struct node *n = &world.node[r];

	if (!h->mending || h->mend_sent || r + 1u == h->mending || !(view_targets(&h->slot) >> r & 1) || n->lost ||
	    n->epoch != epoch_of(h))
		return false;
	if (n->rotten || n->version != h->mended) {
		h->mending = 0;
		return true;
	}
	h->mend_sent = true;
	send_to(h, h->mending - 1u, (struct request){ .kind = COPY, .version = n->version, .mends = 1 });
	return true;
}

static bool fill_end(struct host *h)
{
	if (!fill_holds(&h->fill))
		return false;
	fill_give_up(&h->fill);
	host_turn(h);
	return true;
}

static void host_attached(struct host *h, uint8_t members, bool force)
{
	for (unsigned r = 0; r < now->replicas; r++)
		if (members >> r & 1 && h->versions[r] < world.acked && !force && !world.uncertain)
			fail("a replica that lacks what was acknowledged is believed by another host");
	for (unsigned r = 0; r < now->replicas; r++)
		if (members >> r & 1 && h->versions[r] > h->index)
			h->index = h->versions[r];
	for (unsigned r = 0; r < now->replicas; r++)
		if (members >> r & 1)
			world.node[r].version = h->index;
	if (!force && !world.uncertain && h->index < world.acked)
		fail("what was acknowledged is not found by another host");
	if (h->index < world.acked)
		world.acked = h->index;
	world.uncertain |= force;
	h->used = h->index + 8; /* a higher epoch */
	h->first = h->used;
	h->word = force ? view_word_again(epoch_of(h), members) :
			  view_word_of(h->seen, all_places(), first_places(), epoch_of(h), members);
	view_begin(&h->slot, &env, h->word, copies(), NULL);
	h->attached = true;
	host_turn(h);
}

static void host_choose(struct host *h)
{
	uint8_t all = all_places(), members;

	if (h->attached || h->asked != all || h->answered != all)
		return;
	if (!view_choose(h->seen, all, first_places(), &members) && members)
		host_attached(h, members, false);
}

/* The second host: each replica refuses the first from then on; when all do, each says what it has. */
static bool host_ask(struct host *h, unsigned r)
{
	uint8_t all = all_places(), bit = (uint8_t)(1u << r);
	struct node *n = &world.node[r];

	if (!left.attaches || h->attached || h == world.host || (left.follows && world.host[0].there))
		return false;
	h->there = true;
	if (!(h->asked & bit)) {
		h->asked |= bit;
		if (!n->lost)
			n->epoch = epoch_of(h);
		return true;
	}
	if (h->asked != all || h->answered & bit)
		return false;
	h->answered |= bit;
	h->seen[r] = (struct view_seen){ .answers = !n->lost, .active = n->active,
					  .proposed = n->proposed };
	h->versions[r] = n->version;
	host_choose(h);
	return true;
}

/* A person says that what the silent ones have is not needed. */
static bool host_force(struct host *h)
{
	uint8_t all = all_places(), members;

	if (h->attached || h->answered != all || !view_choose(h->seen, all, first_places(), &members) || !members)
		return false;
	host_attached(h, members, true);
	return true;
}

static bool node_lose(unsigned r)
{
	struct node *n = &world.node[r];

	if (!left.losses || n->lost || r >= now->replicas || (left.follows == 2 && world.host[0].there))
		return false;
	left.losses--;
	*n = (struct node){ .lost = 1 };
	return true;
}

/* Nobody waits for what it has sent any more; it may still arrive. */
static void wires_orphan(struct host *h)
{
	for (unsigned r = 0; r < now->replicas; r++)
		for (unsigned i = h->wire[r].count; i--;) {
			h->wire[r].request[i].orphan = 1;
			if (h->wire[r].request[i].done)
				wire_drop(&h->wire[r], i);
		}
}

/* The worker is killed: what it has sent may still arrive. A successor goes on with the journal. */
static bool worker_kill(struct host *h)
{
	if (!left.kills || !h->attached)
		return false;
	left.kills--;
	wires_orphan(h);
	view_begin(&h->slot, &env, h->word, copies(), NULL);
	memset(&h->fill, 0, sizeof(h->fill));
	h->differs = h->reading = h->mend_sent = false;
	h->mending = h->mended = 0;
	h->parked = h->writing; /* until it is sent again */
	h->acked = 0;
	host_turn(h);
	if (h->writing && now->new_version)
		h->writing = ++h->used;
	h->parked = h->writing;
	write_again(h);
	return true;
}

static bool host_die(struct host *h)
{
	if (!left.deaths || !h->there)
		return false;
	left.deaths--;
	wires_orphan(h);
	if (left.follows)
		memset(h->wire, 0, sizeof(h->wire));
	h->there = h->attached = false;
	memset(&h->slot, 0, sizeof(h->slot));
	memset(&h->fill, 0, sizeof(h->fill));
	h->differs = h->reading = h->parked = h->mend_sent = false;
	h->mending = h->mended = 0;
	h->writing = h->acked = h->targets = 0;
	return true;
}

static bool bad_set(struct host *h, unsigned r, bool bad)
{
	if ((h->slot.bad >> r & 1) == bad || (bad && !left.bads) || (!bad && world.node[r].lost))
		return false;
	left.bads -= bad;
	view_bad(&h->slot, r, bad);
	host_turn(h);
	return true;
}

/* Others should know of what is bad for long, or it is to be replaced. */
static bool need(struct host *h)
{
	if (!left.needs || h->slot.needed || !(h->slot.bad & view_word_members(h->word)))
		return false;
	left.needs--;
	view_need(&h->slot);
	host_turn(h);
	return true;
}

/* Its node is drained. */
static bool leave(struct host *h, unsigned r)
{
	if (!left.leaves)
		return false;
	left.leaves--;
	view_leave(&h->slot, r, !(h->slot.leaving >> r & 1));
	host_turn(h);
	return true;
}

static bool host_go(struct host *h, unsigned kind, unsigned r)
{
	if (r >= now->replicas)
		return false;
	if (kind >= E_TAKE && kind <= E_TAKE_COPY)
		return request_take(h, r, PUT + (kind - E_TAKE));
	if (kind == E_ASK)
		return host_ask(h, r);
	if (!h->there || !h->attached || h->fenced)
		return false;
	switch (kind) {
	case E_WRITE:
		return r == 0 && write_begin(h);
	case E_AGAIN:
		return r == 0 && write_again(h);
	case E_NEED:
		return r == 0 && need(h);
	case E_LEAVE:
		return leave(h, r);
	case E_BAD:
	case E_GOOD:
		return bad_set(h, r, kind == E_BAD);
	case E_CUT:
		return wire_cut(h, r);
	case E_ANSWER:
	case E_ANSWER_RECORD:
	case E_ANSWER_COPY:
		return request_answer(h, r, PUT + (kind - E_ANSWER));
	case E_JOIN:
		return replica_join(h, r);
	case E_READ:
		return member_read(h, r) || mend_read(h, r);
	case E_MEND:
		return mend_begin(h, r);
	case E_GIVE_UP:
		return r == 0 && fill_end(h);
	}
	return false;
}

static bool event_go(unsigned event)
{
	if (event < E_LOSE)
		return host_go(&world.host[event / E_OF_HOST], event % E_OF_HOST / VIEW_REPLICAS,
			       event % VIEW_REPLICAS);
	if (event < E_KILL)
		return node_lose(event - E_LOSE);
	if (event < E_DIE)
		return worker_kill(&world.host[event - E_KILL]);
	if (event == E_DIE)
		return host_die(&world.host[0]);
	return event == E_FORCE ? host_force(&world.host[1]) : node_rot(event - E_ROT);
}

static enum explore_went go(unsigned event, unsigned *next)
{
	(void)next;
	return event_go(event) ? WENT_ON : WENT_BACK;
}

/* ---- what must hold */

/* The number of the word's view, unless it was the beginning's: then nothing was recorded. */
static uint64_t number_recorded(view_word word)
{
	uint64_t number = view_word_next(word).number;

	return number & ((1ull << VIEW_NUMBER_BITS) - 1) ? number : 0;
}

static const char *check(void)
{
	if (world.wrong)
		return world.wrong;
	for (unsigned i = 0; i < HOSTS; i++) {
		const struct host *h = &world.host[i];
		uint8_t members = view_word_members(h->word);

		if (!h->attached || h->fenced)
			continue;
		if (h->word != view_word_make(1, members) && !now->limits.writes && !now->limits.needs)
			return "a view changes though nothing needs it";
		for (unsigned r = 0; r < now->replicas; r++) {
			const struct node *n = &world.node[r];

			if (!(members >> r & 1) || n->lost)
				continue;
			if (n->version < h->index && n->epoch == epoch_of(h))
				return "a member of the view lacks what was acknowledged";
			if (n->version > h->index && n->version < h->first && n->epoch == epoch_of(h))
				return "a member of the view has what was never acknowledged, of a writer before";
			if (n->epoch == epoch_of(h) && !view_is_changing(&h->slot) &&
			    n->active.number < number_recorded(h->word) && n->proposed.number < number_recorded(h->word))
				return "a member of the view has not recorded it";
		}
	}
	return NULL;
}

static bool any_member_lives(const struct host *h)
{
	for (unsigned r = 0; r < now->replicas; r++)
		if (view_word_members(h->word) >> r & 1 && !world.node[r].lost && world.node[r].epoch == epoch_of(h))
			return true;
	return false;
}

static bool rotten_beside_good(const struct host *h)
{
	bool rotten = false, good = false;

	for (unsigned r = 0; r < now->replicas; r++) {
		const struct node *n = &world.node[r];

		if (!(view_word_members(h->word) >> r & 1) || n->lost || n->epoch != epoch_of(h))
			continue;
		rotten |= n->rotten;
		good |= !n->rotten;
	}
	return rotten && good;
}

/* From here on nothing fails any more: what is written is acknowledged, if a member of the view has its memory. */
static const char *finish(void)
{
	struct host *h = world.host[1].attached ? &world.host[1] : &world.host[0];

	if (!h->attached || h->fenced)
		return NULL;
	for (unsigned round = 0; round < 40; round++)
		for (unsigned r = 0; r < now->replicas; r++) {
			for (unsigned kind = PUT; kind <= COPY; kind++)
				while (request_take(&world.host[0], r, kind) || request_take(&world.host[1], r, kind))
					;
			for (unsigned kind = PUT; kind <= COPY; kind++)
				while (!h->fenced && request_answer(h, r, kind))
					;
			member_read(h, r);
			mend_begin(h, r);
			mend_read(h, r);
			if (h->fenced)
				return NULL;
			bad_set(h, r, world.node[r].lost);
			if (world.node[r].lost && (view_is_changing(&h->slot) || is_filling(h))) { /* it is bad for long */
				view_need(&h->slot);
				host_turn(h);
			}
			write_again(h);
		}
	/* (A view without a member that has all may have been about to be when the other was lost.) */
	if (world.wrong || !any_member_lives(h))
		return world.wrong || !now->limits.survives ? world.wrong : "what was acknowledged is gone with one node";
	if (view_is_changing(&h->slot))
		return "a view is about to be for ever";
	if (h->writing)
		return "a write is never acknowledged";
	if (is_filling(h))
		return "a replica is filled for ever";
	if (rotten_beside_good(h))
		return "a copy stays rotten beside a good one";
	return check();
}

/* ---- the case, and what of the world matters */

static void begin(unsigned c)
{
	uint8_t first = !cases[c].limits.unwritten;

	now = &cases[c];
	memset(&world, 0, sizeof(world));
	left = now->limits;
	for (unsigned r = 0; r < now->replicas; r++)
		world.node[r] = (struct node){ .version = first_places() >> r & 1 ? first : 0, .epoch = 1 };
	world.acked = first;
	world.host[0] = (struct host){ .there = true, .attached = true, .index = first, .used = first };
	world.host[0].word = view_word_make(1, first_places());
	view_begin(&world.host[0].slot, &env, world.host[0].word, copies(), NULL);
}

static uint64_t hash(void)
{
	return XXH3_64bits_withSeed(&world, sizeof(world), XXH3_64bits(&left, sizeof(left)));
}

static void print_event(unsigned event)
{
	static const char *const kinds[E_KINDS] = { "writes", "writes again", "needs a view",
						    "wants, or no more, to be rid of", "finds slow", "finds answering",
						    "is cut from", "is heard by", "has its record heard by",
						    "has its copy heard by", "hears", "hears of its record from",
						    "hears of its copy from", "fills", "copies from",
						    "gives up (at any) filling", "mends what rots on", "asks" };

	if (event < E_LOSE)
		printf("host %u %s node %u\n", event / E_OF_HOST, kinds[event % E_OF_HOST / VIEW_REPLICAS],
		       event % VIEW_REPLICAS);
	else if (event < E_KILL)
		printf("node %u begins anew\n", event - E_LOSE);
	else if (event < E_DIE)
		printf("the worker of host %u is killed\n", event - E_KILL);
	else if (event >= E_ROT)
		printf("the copy on node %u rots\n", event - E_ROT);
	else
		printf(event == E_DIE ? "host 0 is lost\n" : "host 1 attaches by force\n");
}

static void print_world(void)
{
	for (unsigned i = 0; i < HOSTS; i++) {
		const struct host *h = &world.host[i];

		if (h->there)
			printf("  host %u: word %016llx index %u writing %u acked %x bad %x filling %u (%u)%s\n", i,
			       (unsigned long long)h->word, h->index, h->writing, h->acked, h->slot.bad, h->fill.replica,
			       h->fill.state, h->fenced ? " fenced" : "");
	}
	for (unsigned r = 0; r < now->replicas; r++)
		printf("  node %u: version %u%s epoch %u active %llx {%x} proposed %llx {%x}%s\n", r, world.node[r].version,
		       world.node[r].rotten ? " (rotten)" : "",
		       world.node[r].epoch, (unsigned long long)world.node[r].active.number, world.node[r].active.members,
		       (unsigned long long)world.node[r].proposed.number, world.node[r].proposed.members,
		       world.node[r].lost ? " anew" : "");
}

static const struct explore_case *nth(unsigned c)
{
	return &cases[c].name;
}

int main(int argc, char **argv)
{
	static const struct explore x = {
		.world = &world,
		.left = &left,
		.world_bytes = sizeof(world),
		.left_bytes = sizeof(left),
		.cases = sizeof(cases) / sizeof(*cases),
		.events = E_ALL,
		.nth = nth,
		.begin = begin,
		.go = go,
		.hash = hash,
		.check = check,
		.finish = finish,
		.print_event = print_event,
		.print_world = print_world,
	};

	return explore_main(&x, argc, argv);
}
