// SPDX-License-Identifier: GPL-2.0-or-later
/* replicas.c - see replicas.h. */
#include "replicas.h"

#include "base/log.h"
#include "drain.h"
#include "movers.h"
#include "pool.h"
#include "region_events.h"
#include "region_node.h"
#include "repair.h"
#include "repair_job.h"
#include "replace.h"
#include "replicas_state.h"
#include "state/worker_state.h"
#include "surplus.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOOKS_NS    200000000ull /* between two looks at a region, of a front that runs */
#define RETURN_NS   1000000000ull /* a node that failed a request stays bad for at least this long */
#define RECORD_NS   1000000000ull /* deadline for a node to record a view; then it is asked again, if need be */
#define AGAIN_NS    1000000000ull /* before a node that could not record a view for now is asked again */
#define REJOIN_NS   1500000000ull /* after this host was cut off: connections are retried every second */
#define ABSENT_NS   3000000000ull /* a node that is bad for so long is excluded from its views */
#define LEAVE_NS    3000000000ull /* for replicas_leave() */
#define ASKED_NS    2000000000ull /* of these, for a node to say that it is there: it may only have stood still */
#define FULL_NS	    60000000000ull /* between two log lines about a full node */
#define DEGRADED_NS 3000000000ull /* between two log lines about how many slots are degraded */
#define GARBLED	    3u /* garbled writes in a row that make a node bad */

static unsigned slot_number(const struct replicas *r, const struct view_slot *v)
{
	return (unsigned)(v - r->slot);
}

/* ---- views.h's environment */

static void slot_publish(struct view_slot *v, view_word word)
{
	struct replicas *r = v->owner;

	journal_publish64(&journal_views(r->w->journal, r->inode->nr)[slot_number(r, v)], word);
}

/* A request to a node to record a view. The region may be detached by the time of the answer. */
struct record_call {
	struct gvm_call call; /* first */
	LIST_ENTRY(record_call) entry; /* in replicas->again */
	uint64_t again_ns;
	struct worker *w;
	unsigned nr;
	uint64_t epoch;
	struct gvm_id region;
	unsigned slot, replica;
	struct gvm_id node;
	bool active;
	uint64_t number;
};

static void replicas_turn(struct replicas *r, unsigned slot);
static void replicas_renode(struct replicas *r, const struct record *before);

static const struct record_node *slot_node(const struct record *rec, unsigned slot, unsigned replica)
{
	return &rec->nodes[rec->slots[slot].node[replica]];
}

static void record_end(struct replicas *r, struct record_call *rc, int error)
{
	if (!gvm_id_equal(&slot_node(&r->inode->disk->rec, rc->slot, rc->replica)->incarnation, &rc->node))
		error = -ENOMEDIUM; /* another node has its place by now */
	view_recorded(&r->slot[rc->slot], rc->replica, rc->number, rc->active, error);
	replicas_turn(r, rc->slot);
	free(rc);
	repair_go_on(r);
}

static void full_say(struct replicas *r, const struct gvm_id *asked)
{
	const struct record *rec = &r->inode->disk->rec;
	int node = record_node_find(rec, asked);
	uint64_t now_ns = gvm_now_ns();

	if (node < 0)
		return;
	if (r->node[node].full_ns && now_ns - r->node[node].full_ns < FULL_NS)
		return;
	r->node[node].full_ns = now_ns;
	log_warning(rec->name,
		    "node %s is full: it has no room to record that it goes on without another; writes wait for that. "
		    "Remove a region that it holds a part of, or bring the other node back", rec->nodes[node].addr);
}

/* The region's inode; NULL: it is not attached any more, or anew. */
static struct inode *record_inode(struct record_call *rc)
{
	const struct journal_inode *d = inode_disk(rc->w->inodes, rc->nr);
	struct inode *inode = rc->w->inodes->rt[rc->nr];
	bool same = inode && inode->replicas && !inode->replicas->closing && d->epoch == rc->epoch &&
		    gvm_id_equal(&d->rec.id, &rc->region);

	return same ? inode : NULL;
}

static void record_done(struct gvm_req *req)
{
	struct record_call *rc = (struct record_call *)req;
	struct inode *inode = record_inode(rc);

	if (!inode || req->result == -EKEYREVOKED) {
		if (inode) /* another host has the region: do not ask again */
			rc->w->region_events->fenced(rc->w, inode);
		free(rc);
		return;
	}
	if (req->result == -ENOSPC)
		full_say(inode->replicas, &rc->node);
	if (req->result == -ENOSPC || (req->result && !replicas_heard(inode, &rc->node, req->result))) {
		rc->again_ns = gvm_now_ns() + AGAIN_NS;
		LIST_INSERT_HEAD(&inode->replicas->again, rc, entry);
		return;
	}
	record_end(inode->replicas, rc, req->result);
}

static void records_again(struct replicas *r, uint64_t now_ns)
{
	struct record_call *rc = LIST_FIRST(&r->again), *next;

	for (; rc; rc = next) {
		next = LIST_NEXT(rc, entry);
		if (rc->again_ns > now_ns)
			continue;
		LIST_REMOVE(rc, entry);
		record_end(r, rc, -EAGAIN);
	}
}

static struct gvm_id member_id(const struct record *rec, unsigned slot, uint8_t *members)
{
	unsigned replica = (unsigned)__builtin_ctz(*members);

	*members &= (uint8_t)(*members - 1);
	return slot_node(rec, slot, replica)->incarnation;
}

static void slot_record(struct view_slot *v, unsigned replica, const struct view *view, bool active)
{
	struct replicas *r = v->owner;
	const struct journal_inode *d = r->inode->disk;
	unsigned slot = slot_number(r, v);
	uint8_t members = view->members;
	struct record_call *rc = calloc(1, sizeof(*rc));
	struct gvm_region_view_req what = {
		.region = d->rec.id, .epoch = d->epoch, .slot = slot, .active = active, .number = view->number
	};

	if (!rc) {
		log_error(d->rec.name, "no memory to record which nodes have it");
		abort(); /* the successor goes on with the journal */
	}
	what.member_0 = member_id(&d->rec, slot, &members);
	if (members)
		what.member_1 = member_id(&d->rec, slot, &members);
	if (members)
		what.member_2 = member_id(&d->rec, slot, &members);
	if (members)
		what.member_3 = member_id(&d->rec, slot, &members);
	rc->w = r->w;
	rc->nr = r->inode->nr;
	rc->epoch = d->epoch;
	rc->region = d->rec.id;
	rc->slot = slot;
	rc->replica = replica;
	rc->active = active;
	rc->number = view->number;
	rc->node = slot_node(&d->rec, slot, replica)->incarnation;
	rc->call.req.node = rc->node;
	rc->call.req.done = record_done;
	rc->call.req.deadline_ns = gvm_now_ns() + RECORD_NS;
	gvm_region_view(region_node_conn(r->w, r->inode, d->rec.slots[slot].node[replica]), &rc->call, &what);
}

static const struct view_env env = { slot_publish, slot_record };

/* ---- a region */

static void replicas_free(struct inode *inode)
{
	struct record_call *rc;

	assert(inode->replicas->closing);
	movers_note(inode->replicas);

	while ((rc = LIST_FIRST(&inode->replicas->again))) {
		LIST_REMOVE(rc, entry);
		free(rc);
	}
	if (inode->replicas->w->replicas_next == inode->replicas)
		inode->replicas->w->replicas_next = LIST_NEXT(inode->replicas, entry);
	LIST_REMOVE(inode->replicas, entry);
	repair_end(inode->replicas);
	drain_end(inode->replicas);
	repair_unmap(inode->replicas->written);
	free(inode->replicas);
	inode->replicas = NULL;
}

/* For a region with one replica a slot, whose views never change: only its record says which node has a slot. */
static void words_begin(struct worker *w, struct inode *inode)
{
	uint64_t *words = journal_views(w->journal, inode->nr);

	for (unsigned s = 0; s < inode->disk->rec.slot_count; s++)
		journal_publish64(&words[s], view_word_make(inode->disk->epoch, 1));
}

void replicas_open(struct worker *w, struct inode *inode)
{
	const struct record *rec = &inode->disk->rec;
	const uint64_t *words = journal_views(w->journal, inode->nr);
	struct replicas *r;

	if (inode->replicas && inode->replicas->closing)
		replicas_free(inode);
	if (inode->replicas || (rec->replicas < 2 && !drain_needs(w, inode)))
		return;
	if (rec->replicas < 2)
		words_begin(w, inode);
	r = calloc(1, sizeof(*r));
	if (!r || !(r->written = repair_map())) {
		log_error(rec->name, "no memory for the state of its replicas");
		abort();
	}
	r->w = w;
	r->inode = inode;
	r->turn = replicas_turn;
	r->renode = replicas_renode;
	r->began_ns = gvm_now_ns();
	for (unsigned i = 0; i < rec->node_count; i++)
		r->node[i].useful_ns = r->began_ns;
	LIST_INIT(&r->again);
	for (unsigned s = 0; s < rec->slot_count; s++)
		view_begin(&r->slot[s], &env, words[s], r->inode->disk->rec.replicas, r);
	inode->replicas = r;
	drain_open(r);
	LIST_INSERT_HEAD(w->replicas, r, entry);
	w->replicas_due_ns = 0;
}

bool replicas_are_untidy(const struct inode *inode)
{
	const struct replicas *r = inode->replicas;

	/* (What the name table does not say yet may be needed by whoever reads there; and while copies lack, any more may be of use.) */
	if (!r || r->closing || inode->disk->failed || inode->disk->view_saved || replicas_degraded(inode))
		return false;
	/* By what a node has beyond its own the next writer finds that it has yet to be told. */
	if (inode->disk->rec.replicas == 1 && inode->disk->trims && !r->told)
		return false;
	return r->drain || inode->disk->trims || record_has_unused(&inode->disk->rec);
}

bool replicas_are_moving(const struct inode *inode)
{
	const struct replicas *r = inode->replicas;

	return inode->disk->view_saved || (r && (r->repair || r->drain || r->replacing || inode->disk->trims));
}

void replicas_close(struct inode *inode)
{
	inode->balance_ns = 0;
	if (!inode->replicas)
		return;
	if (inode->replicas->degraded)
		log_warning(inode->disk->rec.name, "DEGRADED: it is closed while of %u/%u of its chunks fewer than %u nodes "
			    "have a copy%s", replicas_degraded(inode), inode->disk->rec.slot_count,
			    inode->disk->rec.replicas, inode->replicas->drain || record_has_unused(&inode->disk->rec) ?
			    ", and parts of it move to another node: that goes on when it is open for writing again" : "");
	inode->replicas->closing = true; /* a caller may still be using it: the next tick frees it */
	inode->replicas->w->replicas_due_ns = 0;
}

struct view_slot *replicas_slot(struct inode *inode, uint64_t chunk)
{
	struct replicas *r = inode->replicas;

	return r && !r->closing ? &r->slot[record_slot_of(&inode->disk->rec, chunk)] : NULL;
}

unsigned replicas_degraded(const struct inode *inode)
{
	const struct replicas *r = inode->replicas;
	unsigned n = 0;

	for (unsigned s = 0; r && s < inode->disk->rec.slot_count; s++)
		n += view_is_degraded(&r->slot[s], inode->disk->rec.replicas);
	return n;
}

unsigned replicas_unanswered(const struct inode *inode)
{
	const struct replicas *r = inode->replicas;
	const struct record *rec = &inode->disk->rec;
	bool answers[RECORD_NODES_MAX];
	unsigned n = 0;

	for (unsigned i = 0; r && i < rec->node_count; i++) {
		const struct gvm_conn *conn = region_node_conn(r->w, r->inode, i);

		answers[i] = !r->node[i].bad && gvm_conn_state(conn) == GVM_CONN_UP &&
			     gvm_id_equal(gvm_conn_incarnation(conn), &rec->nodes[i].incarnation);
	}
	for (unsigned s = 0; r && s < rec->slot_count; s++) {
		bool silent = false;

		for (unsigned i = 0; i < record_places(rec); i++)
			silent |= view_word_members(r->slot[s].word) >> i & 1 && !answers[rec->slots[s].node[i]];
		n += silent;
	}
	return n;
}

/* (A node that began anew has none: that is said where it is read.) */
static bool slot_is_absent(const struct replicas *r, unsigned slot)
{
	const struct record *rec = &r->inode->disk->rec;
	uint8_t members = view_word_members(r->slot[slot].word);
	bool has = false;

	if (members & (uint8_t)~r->slot[slot].bad)
		return false;
	for (unsigned i = 0; i < record_places(rec); i++)
		has |= members >> i & 1 && !r->node[rec->slots[slot].node[i]].gone;
	return has;
}

unsigned replicas_absent(const struct inode *inode)
{
	const struct replicas *r = inode->replicas;
	unsigned n = 0;

	for (unsigned s = 0; r && s < inode->disk->rec.slot_count; s++)
		n += slot_is_absent(r, s);
	return n;
}

uint64_t replicas_repair_left(const struct inode *inode)
{
	return inode->replicas ? repair_left(inode->replicas) : 0;
}

uint64_t replicas_drain_left(const struct inode *inode)
{
	return inode->replicas ? drain_left(inode->replicas) : 0;
}

static void degraded_say(struct replicas *r, uint64_t now_ns)
{
	const struct record *rec = &r->inode->disk->rec;
	unsigned n = replicas_degraded(r->inode), silent;

	if (n == r->degraded || (n && r->degraded && now_ns - r->degraded_ns < DEGRADED_NS))
		return;
	r->degraded_ns = now_ns;
	if (n)
		log_warning(rec->name, "DEGRADED: of %u/%u of its chunks fewer than %u nodes have a copy", n,
			    rec->slot_count, rec->replicas);
	else if ((silent = replicas_unanswered(r->inode)))
		log_info(rec->name, "all of its chunks have %u copies again, but of %u/%u one is on a node that does not answer",
			 rec->replicas, silent, rec->slot_count);
	else
		log_info(rec->name, "all of its chunks have %u copies again", rec->replicas);
	r->degraded = n;
}

static void absent_say(struct replicas *r, uint64_t now_ns)
{
	const struct record *rec = &r->inode->disk->rec;
	unsigned n = rec->replicas > 1 ? replicas_absent(r->inode) : 0;

	if (n == r->absent || (n && r->absent && now_ns < r->absent_ns + DEGRADED_NS))
		return;
	r->absent_ns = now_ns;
	if (n)
		log_warning(rec->name, "ABSENT: of %u/%u of its chunks no node answers that has a copy: what needs them waits for one",
			    n, rec->slot_count);
	else
		log_info(rec->name, "of all of its chunks a node answers that has a copy");
	r->absent = n;
}

/* Whether writes to the slot are held: none may begin. */
static bool slot_holds(const struct replicas *r, unsigned slot)
{
	return repair_holds(r, slot) || drain_holds(r, slot) || !view_may_write(&r->slot[slot]);
}

static void replicas_turn(struct replicas *r, unsigned slot)
{
	struct view_slot *v = &r->slot[slot];
	view_word before = v->word;
	bool held = slot_holds(r, slot);

	if (r->closing)
		return;
	do
		view_turn(v);
	while (repair_turn(r, slot));
	if ((v->word != before && !view_is_changing(v)) || (held && !slot_holds(r, slot)))
		r->w->region_events->replicas_changed(r->w, r->inode);
}

/* ---- writes */

bool replicas_write_begin(struct inode *inode, uint64_t chunk)
{
	struct replicas *r = inode->replicas;
	unsigned slot = record_slot_of(&inode->disk->rec, chunk);

	if (slot_holds(r, slot))
		return false;
	r->writes[slot]++;
	return true;
}

void replicas_write_end(struct inode *inode, uint64_t epoch, uint64_t chunk)
{
	struct replicas *r = inode->replicas;
	unsigned slot = record_slot_of(&inode->disk->rec, chunk);

	if (!r || r->closing || epoch != inode->disk->epoch)
		return;
	assert(r->writes[slot]);
	r->writes[slot]--;
	repair_written(r, chunk);
	drain_written(r, chunk);
	if (repair_holds(r, slot))
		replicas_turn(r, slot);
}

void replicas_resized(struct inode *inode)
{
	struct replicas *r = inode->replicas;

	if (r && r->drain)
		drain_end(r); /* the target node still has the old size */
	if (!r || !r->repair)
		return;
	repair_end(r); /* a new one begins from the start */
	r->w->region_events->replicas_changed(r->w, inode);
}

/* ---- nodes */

static void node_set_bad(struct replicas *r, unsigned node, bool bad)
{
	const struct record *rec = &r->inode->disk->rec;

	if (r->node[node].bad == bad)
		return;
	r->node[node].bad = bad;
	r->node[node].bad_ns = gvm_now_ns();
	for (unsigned s = 0; s < rec->slot_count; s++) {
		int replica = record_replica_of(rec, s, node);

		if (replica < 0)
			continue;
		view_bad(&r->slot[s], (unsigned)replica, bad);
		replicas_turn(r, s);
	}
	/* Flushes that waited only for this node can go on. */
	r->w->region_events->replicas_changed(r->w, r->inode);
}

/* Whether the place has the node that it had, or is still empty. */
static bool same_node(const struct record *before, const struct record *rec, unsigned slot, unsigned place)
{
	unsigned was = place < record_places(before) ? before->slots[slot].node[place] : RECORD_NONE;
	unsigned is = rec->slots[slot].node[place];

	if (was == RECORD_NONE || is == RECORD_NONE)
		return was == is;
	return gvm_id_equal(&before->nodes[was].incarnation, &rec->nodes[is].incarnation);
}

static void replicas_renode(struct replicas *r, const struct record *before)
{
	const struct record *rec = &r->inode->disk->rec;
	struct replica_node node[RECORD_NODES_MAX] = { 0 };

	if (r->repair)
		repair_end(r);
	for (unsigned i = 0; i < rec->node_count; i++) {
		int was = record_node_find(before, &rec->nodes[i].incarnation);

		node[i].useful_ns = gvm_now_ns();
		if (was >= 0)
			node[i] = r->node[was];
	}
	memcpy(r->node, node, sizeof(node));
	memset(r->inode->nodes, 0, sizeof(r->inode->nodes));
	for (unsigned s = 0; s < rec->slot_count; s++)
		for (unsigned n = 0; n < record_places(rec); n++) {
			unsigned to = rec->slots[s].node[n];

			if (same_node(before, rec, s, n))
				continue;
			assert(rec->replicas == 1 ||
			       !((view_word_members(r->slot[s].word) | view_word_next(r->slot[s].word).members) >> n & 1));
			view_incomplete(&r->slot[s], n);
			view_leave(&r->slot[s], n, false);
			view_bad(&r->slot[s], n, to != RECORD_NONE && node[to].bad);
		}
	r->w->region_events->replicas_changed(r->w, r->inode); /* for writes that the repair held */
}

static bool error_passes(const struct replicas *r, struct replica_node *n, int error)
{
	switch (error) {
	case -EAGAIN:
	case -ECANCELED:
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
		return true;
	case -EBADMSG:
		return ++n->garbled < GARBLED;
	case -ETIMEDOUT:
		return r->alone_ns && gvm_now_ns() - r->alone_ns < REJOIN_NS;
	}
	return false;
}

/* Of some slot it is a member, and none of the others is good either. */
static bool is_last_resort(const struct replicas *r, unsigned node)
{
	const struct record *rec = &r->inode->disk->rec;

	for (unsigned s = 0; s < rec->slot_count; s++) {
		int replica = record_replica_of(rec, s, node);
		uint8_t members = view_word_members(r->slot[s].word);

		if (replica >= 0 && members >> replica & 1 && !(members & ~r->slot[s].bad))
			return true;
	}
	return false;
}

bool replicas_heard(struct inode *inode, const struct gvm_id *asked, int error)
{
	struct replicas *r = inode->replicas;
	int node = record_node_find(&inode->disk->rec, asked);
	struct replica_node *n;

	if (!r || r->closing || node < 0 || error == -EKEYREVOKED)
		return true;
	n = &r->node[node];
	if (!error) {
		n->garbled = 0;
		/* Otherwise it would be written to in vain, with the others, until a second is over. */
		if (n->bad && !n->gone && is_last_resort(r, (unsigned)node))
			node_set_bad(r, (unsigned)node, false);
		return true;
	}
	if (error_passes(r, n, error))
		return false;
	if (!n->bad)
		log_warning(inode->disk->rec.name, "node %s fails: %s", inode->disk->rec.nodes[node].addr,
			    error == -ENOMEDIUM ? "it has LOST its copy" : strerror(-error));
	n->silent_ns = gvm_now_ns();
	n->silent_received = gvm_conn_received(region_node_conn(r->w, inode, (unsigned)node));
	node_set_bad(r, (unsigned)node, true);
	return true;
}

void replicas_need(struct inode *inode, uint64_t chunk)
{
	struct view_slot *v = replicas_slot(inode, chunk);

	view_need(v);
	view_turn(v); /* (This changes no view yet: the next one has to be recorded first.) */
}

/* Asks for a view without the node in every slot whose view has it. */
static void node_leave_out(struct replicas *r, unsigned node)
{
	const struct record *rec = &r->inode->disk->rec;

	for (unsigned s = 0; s < rec->slot_count; s++) {
		int replica = record_replica_of(rec, s, node);

		if (replica >= 0 && view_word_members(r->slot[s].word) >> replica & 1)
			view_need(&r->slot[s]);
	}
}

static void node_look(struct replicas *r, unsigned node, uint64_t now_ns)
{
	struct replica_node *n = &r->node[node];
	const struct record_node *rn = &r->inode->disk->rec.nodes[node];
	struct gvm_conn *conn = region_node_conn(r->w, r->inode, node);
	bool up = gvm_conn_state(conn) == GVM_CONN_UP;

	n->down_ns = up ? 0 : n->down_ns ? n->down_ns : now_ns;
	n->gone |= up && !gvm_id_equal(gvm_conn_incarnation(conn), &rn->incarnation);
	if (n->gone)
		node_set_bad(r, node, true);
	else if (r->alone_ns == now_ns) /* this host is cut off: the node is no worse than the others */
		node_set_bad(r, node, false);
	else if (n->down_ns && now_ns - n->down_ns >= REPLICA_PATIENCE_NS &&
		 (!r->alone_ns || now_ns - r->alone_ns >= REJOIN_NS))
		node_set_bad(r, node, true);
	else if (up && (!n->silent_ns ||
			(now_ns >= n->silent_ns + RETURN_NS && gvm_conn_received(conn) != n->silent_received)))
		node_set_bad(r, node, false);
	if (n->bad && (n->gone || r->left || now_ns >= n->bad_ns + ABSENT_NS))
		node_leave_out(r, node);
}

/* Whether a member of the slot is bad only for now: it is connected, and nothing that it had is lost. */
static bool slot_may_return(const struct replicas *r, unsigned slot)
{
	const struct record *rec = &r->inode->disk->rec;

	for (unsigned i = 0; i < record_places(rec); i++) {
		const struct replica_node *n;

		if (!(view_word_members(r->slot[slot].word) >> i & 1))
			continue;
		n = &r->node[rec->slots[slot].node[i]];
		if (n->bad && !n->gone && !n->down_ns)
			return true;
	}
	return false;
}

static bool slot_is_to_change(const struct replicas *r, unsigned slot)
{
	const struct view_slot *v = &r->slot[slot];
	const struct record *rec = &r->inode->disk->rec;
	uint8_t members = view_word_members(v->word);

	if (members & v->bad)
		return members & ~v->bad || slot_may_return(r, slot);
	return (rec->spare || view_is_degraded(v, rec->replicas)) && !v->grows && !view_may_grow(v);
}

/* Whether a view is to change before the region is detached, or may have to. */
static bool leave_waits(const struct replicas *r)
{
	for (unsigned i = 0; i < r->inode->disk->rec.node_count; i++)
		if (r->node[i].asked && !r->node[i].bad)
			return true;
	for (unsigned s = 0; s < r->inode->disk->rec.slot_count; s++)
		if (slot_is_to_change(r, s))
			return true;
	return false;
}

static void leave_look(struct replicas *r, uint64_t now_ns)
{
	void (*left)(void *) = r->left;

	if (!left || (now_ns < r->left_until_ns && !r->inode->disk->failed && leave_waits(r)))
		return;
	r->left = NULL;
	left(r->left_arg);
}

static void leave_answered(struct gvm_req *req)
{
	struct record_call *rc = (struct record_call *)req;
	struct inode *inode = record_inode(rc);
	int node = inode ? record_node_find(&inode->disk->rec, &rc->node) : -1;

	/* (It may have been detached after LEAVE_NS, and be attached again.) */
	if (node >= 0 && inode->replicas->left) {
		inode->replicas->node[node].asked = false;
		replicas_heard(inode, &rc->node, req->result);
		inode->replicas->w->replicas_due_ns = 0;
	}
	free(rc);
}

/* False: no memory. */
static bool leave_ask(struct replicas *r, unsigned node)
{
	const struct journal_inode *d = r->inode->disk;
	const struct gvm_region_open_req what = { .region = d->rec.id, .mode = GVM_OPEN_LOOK, .view = d->rec.view };
	struct record_call *rc = calloc(1, sizeof(*rc));

	if (!rc)
		return false;
	*rc = (struct record_call){ .w = r->w, .nr = r->inode->nr, .epoch = d->epoch, .region = d->rec.id,
				    .node = d->rec.nodes[node].incarnation };
	rc->call.req.node = rc->node;
	rc->call.req.done = leave_answered;
	rc->call.req.deadline_ns = gvm_now_ns() + ASKED_NS;
	r->node[node].asked = true;
	gvm_region_open(region_node_conn(r->w, r->inode, node), &rc->call, &what);
	return true;
}

bool replicas_leave(struct inode *inode, void (*left)(void *arg), void *arg)
{
	struct replicas *r = inode->replicas;
	const struct journal_inode *d = inode->disk;

	if (!r || r->closing || d->failed || d->rec.replicas < 2 || d->use == INODE_UNLINKED)
		return false;
	r->left = left;
	r->left_arg = arg;
	r->left_until_ns = gvm_now_ns() + LEAVE_NS;
	r->w->replicas_due_ns = 0;
	for (unsigned i = 0; i < d->rec.node_count; i++)
		if (record_node_is_used(&d->rec, i) && !r->node[i].bad && !leave_ask(r, i))
			break;
	return true;
}

/* Ends flushes that wait for a view of a region that failed or was detached: no view comes any more. False: it is neither. */
bool replicas_end_waits(struct worker *w, struct replicas *r)
{
	struct inode *inode = r->inode;
	unsigned nr = inode->nr;

	if (!r->closing && (!inode->disk->failed || !inode->unstored))
		return false;
	if (r->closing)
		replicas_free(inode);
	w->region_events->replicas_changed(w, inode);
	inode_reap(w->inodes, nr);
	return true;
}

/* While the front stood still it could connect to no node, and read no answer: that time is no node's. (A node may be bad since
 * then, by what was read first.) */
static void front_was_away(struct replicas *r, uint64_t now_ns, uint64_t ns)
{
	for (unsigned i = 0; i < r->inode->disk->rec.node_count; i++) {
		struct replica_node *n = &r->node[i];

		n->down_ns += n->down_ns ? ns : 0;
		n->bad_ns += n->bad ? ns : 0;
		n->bad_ns = n->bad_ns < now_ns ? n->bad_ns : now_ns;
	}
}

void replicas_look(struct replicas *r, uint64_t now_ns)
{
	if (r->looked_ns && now_ns - r->looked_ns > LOOKS_NS)
		front_was_away(r, now_ns, now_ns - r->looked_ns - LOOKS_NS);
	r->looked_ns = now_ns;
	records_again(r, now_ns);
	for (unsigned i = 0; i < r->inode->disk->rec.node_count; i++)
		node_look(r, i, now_ns);
	/* Also goes on with changes that a predecessor began. */
	for (unsigned s = 0; s < r->inode->disk->rec.slot_count; s++)
		replicas_turn(r, s);
	degraded_say(r, now_ns);
	absent_say(r, now_ns);
	repair_look(r, now_ns);
	drain_look(r, now_ns);
	surplus_look(r, now_ns);
	replace_look(r, now_ns);
	movers_note(r);
	leave_look(r, now_ns); /* last: it may detach the region */
}

unsigned replicas_order(struct inode *inode, uint64_t chunk, unsigned node[RECORD_PLACES], unsigned *good)
{
	const struct record *rec = &inode->disk->rec;
	const struct record_slot *slot = &rec->slots[record_slot_of(rec, chunk)];
	struct view_slot *v = replicas_slot(inode, chunk);
	uint8_t targets = v ? view_targets(v) : record_filled(rec, record_slot_of(rec, chunk));
	uint8_t others = v ? view_word_members(v->word) & (uint8_t)~targets : 0;
	unsigned n = 0;

	for (unsigned i = 0; i < record_places(rec); i++)
		if (targets >> i & 1)
			node[n++] = slot->node[i];
	*good = n;
	for (unsigned i = 0; others >> i; i++) /* bad members have the data, and may be back before others answer */
		if (others >> i & 1 && !inode->replicas->node[slot->node[i]].gone)
			node[n++] = slot->node[i];
	return n;
}
