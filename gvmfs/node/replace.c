// SPDX-License-Identifier: GPL-2.0-or-later
/* replace.c - see replace.h. */
#include "replace.h"

#include "balance.h"
#include "base/log.h"
#include "base/mutant.h"
#include "drain.h"
#include "names_save.h"
#include "options.h"
#include "region_events.h"
#include "region_lease.h"
#include "replace_job.h"
#include "state/worker_state.h"
#include "surplus.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_NS   5000000000ull
#define TELL_NS	   200000000ull /* before nodes are told again what has moved away: writes wait for that */
#define BALANCE_NS 60000000000ull /* pause for a region that could not move as balance.h wanted */

/* One change of a region's record, from the wait for its inode to its end. The region may be detached before it has the
 * inode, but not after. */
struct replace {
	struct replace_job job; /* first */
	struct task task;
	struct worker *w;
	struct inode *inode;
	uint64_t epoch;
	bool changed; /* the record changes */
	bool moves;   /* makes room for a move (drain.h) */
	bool balance; /* the move is balance.h's */
	bool swaps;   /* of a move: the record gives the slots to the new node */
	bool ends;    /* takes replicas that have left their views out of the record (surplus.h) */
};

static struct replicas *replicas_of(const struct replace *p)
{
	struct replicas *r = p->inode->replicas;

	return r && !r->closing && p->inode->disk->epoch == p->epoch ? r : NULL;
}

static void replace_end(struct replace *p, uint64_t again_ns)
{
	struct replicas *r = replicas_of(p);

	if (r) {
		r->replacing = false;
		r->replace_ns = gvm_now_ns() + again_ns;
	}
	inode_release(p->w->inodes, p->inode);
	free(p);
}

/* ---- what is to be done */

static bool is_useless(const struct replicas *r, unsigned node, uint64_t now_ns)
{
	const struct replica_node *n = &r->node[node];

	return n->gone || now_ns >= n->useful_ns + r->w->opts->repair_after_s * 1000000000ull;
}

/* Replicas of the slot that need another node, as bits. */
static uint8_t replicas_wanted(const struct replicas *r, unsigned slot, uint64_t now_ns)
{
	const struct record *rec = &r->inode->disk->rec;
	uint8_t filled = record_filled(rec, slot), outside = filled & view_outside(&r->slot[slot]), wanted = 0;

	if ((unsigned)__builtin_popcount(filled) > rec->replicas)
		return 0;
	for (unsigned n = 0; n < record_places(rec); n++)
		if (outside >> n & 1 && is_useless(r, rec->slots[slot].node[n], now_ns))
			wanted |= (uint8_t)(1u << n);
	return wanted;
}

/* Whether a node without a slot answers, which has to drop its part. Not while a slot is degraded. */
static bool any_unused(const struct replicas *r)
{
	const struct record *rec = &r->inode->disk->rec;

	for (unsigned i = 0; !r->degraded && i < rec->node_count; i++)
		if (!r->node[i].down_ns && !record_node_is_used(rec, i) && !drain_goes_to(r, i))
			return true;
	return false;
}

/* Whether to trim the nodes' promises now: only when there is nothing else to do. */
static bool trims_now(const struct replicas *r)
{
	const struct journal_inode *d = r->inode->disk;

	return d->trims && !r->degraded && !r->drain && !r->settles && !d->view_saved && !any_unused(r);
}

/* One copy: whether to tell the nodes now what has moved away from them. (The source that has no slot any more is rid of
 * its part instead, at once.) */
static bool tells_now(const struct replicas *r)
{
	const struct record *rec = &r->inode->disk->rec;
	int source = record_node_find(rec, &r->source);

	if (r->settles != SETTLES_DROP || r->told)
		return false;
	return source < 0 || record_node_is_used(rec, (unsigned)source) || !any_unused(r);
}

static bool is_needed(struct replicas *r, uint64_t now_ns)
{
	const struct record *rec = &r->inode->disk->rec;

	if (r->inode->disk->view_saved || any_unused(r) || drain_is_ready(r) || surplus_is_out(r) || trims_now(r) || tells_now(r) ||
	    drain_wants(r, now_ns, NULL) || balance_wants(r, now_ns, NULL, NULL))
		return true;
	for (unsigned s = 0; r->degraded && s < rec->slot_count; s++)
		if (replicas_wanted(r, s, now_ns))
			return true;
	return false;
}

/* Nodes are about to promise, or to keep, more than they need. */
static void trims_note(const struct replace *p, uint32_t more)
{
	struct journal_inode *d = p->inode->disk;

	if (!mutant("trims-forgotten"))
		journal_publish32(&d->trims, d->trims | TRIMS_ROOM | more);
}

/* ---- the record */

/* Puts the new record into the journal. No view grows until the name table has it. */
static void record_put(struct replace *p, struct record *rec)
{
	struct record before = p->inode->disk->rec;

	if (!p->inode->disk->view_saved)
		journal_publish64(&p->inode->disk->view_saved, before.view);
	rec->version = p->inode->disk->rec.version + 1;
	rec->mtime_ns = p->inode->disk->rec.mtime_ns;
	rec->ctime_ns = p->inode->disk->rec.ctime_ns;
	inode_set_record(p->w->inodes, p->inode->nr, rec);
	p->inode->replicas->renode(p->inode->replicas, &before);
}

/* Removes the nodes with out[i] set, which have no slot, from the record; renumbers its slots and `slots`. */
static void nodes_take_out(struct record *rec, const bool *out, struct record_slot *slots)
{
	uint16_t to[RECORD_NODES_MAX], n = 0;

	for (unsigned i = 0; i < rec->node_count; i++) {
		to[i] = n;
		if (!out[i])
			rec->nodes[n++] = rec->nodes[i];
	}
	rec->node_count = n;
	for (unsigned s = 0; s < rec->slot_count; s++)
		for (unsigned k = 0; k < record_places(rec); k++) {
			if (rec->slots[s].node[k] == RECORD_NONE)
				continue;
			rec->slots[s].node[k] = to[rec->slots[s].node[k]];
			slots[s].node[k] = to[slots[s].node[k]];
		}
}

/* A replica that has come back into its view meanwhile, or is about to, stays where it is. Returns how many still
 * move. */
static unsigned moves_keep(struct replace *p, const struct replicas *r)
{
	const struct record *rec = &p->job.rec;
	unsigned moves = 0;

	for (unsigned s = 0; s < rec->slot_count; s++)
		for (unsigned n = 0; n < record_places(rec); n++) {
			uint16_t *to = &p->job.slots[s].node[n];

			if (!(view_outside(&r->slot[s]) >> n & 1) && !drain_is_complete(r, s))
				*to = rec->slots[s].node[n];
			moves += *to != rec->slots[s].node[n];
		}
	return moves;
}

/* A move goes to one node at a time: keeps those replicas that go to the first chosen one. Returns how many. */
static unsigned moves_narrow(struct replace *p)
{
	struct record *rec = &p->job.rec;
	int to = -1;
	unsigned moves = 0;

	for (unsigned s = 0; s < rec->slot_count; s++)
		for (unsigned n = 0; n < record_places(rec); n++) {
			uint16_t *node = &p->job.slots[s].node[n], was = rec->slots[s].node[n];

			if (*node == was)
				continue;
			if (to < 0)
				to = *node;
			if (*node == to)
				moves++;
			else
				*node = was;
		}
	/* The other chosen nodes need not be in the record. */
	for (unsigned i = p->job.nodes_before; i < rec->node_count; i++)
		p->job.dropped[i] = (int)i != to;
	return moves;
}

/* Notes the nodes to ask: members of slots, which would know of another writer. */
static void members_note(struct replace *p, const struct replicas *r)
{
	const struct record *rec = &p->job.rec;

	for (unsigned s = 0; s < rec->slot_count; s++)
		for (unsigned n = 0; view_may_grow(&r->slot[s]) && n < record_places(rec); n++)
			if (view_word_members(r->slot[s].word) >> n & 1)
				p->job.member[rec->slots[s].node[n]] = true;
}

/* ---- the steps: each is called when the job of the one before has ended */

/* Whether the step before failed; then it has ended the change. */
static bool step_failed(struct replace *p)
{
	struct replicas *r = replicas_of(p);
	int result = p->job.job.result;

	if (r && !result && !p->inode->disk->failed)
		return false;
	if (r && result == -EKEYREVOKED && !p->inode->disk->failed)
		p->w->region_events->fenced(p->w, p->inode);
	replace_end(p, AGAIN_NS);
	return true;
}

static void saved(struct worker *w, int result, void *arg)
{
	struct replace *p = arg;

	if (replicas_of(p) && !result)
		region_lease(w, p->inode);
	replace_end(p, result || !p->job.found || p->moves ? AGAIN_NS : 0);
}

/* Notes nodes that refused, so that others are chosen the next time. */
static void refusals_note(const struct replace *p, struct replicas *r)
{
	for (unsigned i = 0; i < p->job.rec.node_count; i++)
		if (p->job.refuses[i])
			r->refused[r->refusals++ % REPLICA_REFUSED] = p->job.rec.nodes[i].incarnation;
}

static void balance_pause(struct replace *p)
{
	p->inode->balance_ns = gvm_now_ns() + BALANCE_NS;
	balance_again(p->w, gvm_now_ns());
}

/* The new node has the room: starts the move (drain.h). */
static void room_made(struct job *job)
{
	struct replace *p = (struct replace *)job;
	struct replicas *r = replicas_of(p);
	const struct record *rec = &p->job.rec;

	if (step_failed(p))
		return;
	refusals_note(p, r);
	for (unsigned s = 0; s < rec->slot_count && !r->drain; s++)
		for (unsigned n = 0; n < record_places(rec); n++) {
			unsigned to = p->job.slots[s].node[n];

			if (to != rec->slots[s].node[n] && p->job.ready[to]) {
				drain_begin(r, rec->slots[s].node[n], to, p->job.slots, p->balance);
				break;
			}
		}
	if (!r->drain)
		drain_end(r); /* tried again later */
	if (!r->drain && p->balance)
		balance_pause(p);
	names_save(p->w, p->inode, saved, p);
}

/* All nodes that are connected; the others are waited for. */
static void nodes_job(struct replace *p, const struct replicas *r, void (*work)(struct job *, struct pool *),
		      void (*done)(struct job *))
{
	for (unsigned i = 0; i < p->job.rec.node_count; i++)
		p->job.away[i] = r->node[i].down_ns;
	p->job.job.work = work;
	p->job.job.done = done;
	jobs_submit(p->w->jobs, &p->job.job);
}

/* (If it failed, the target is told together with the source.) */
static void told_own(struct job *job)
{
	struct replace *p = (struct replace *)job;

	if (replicas_of(p))
		names_save(p->w, p->inode, saved, p);
	else
		replace_end(p, AGAIN_NS);
}

/* The nodes have the room: gives them the slots. */
static void made(struct job *job)
{
	struct replace *p = (struct replace *)job;
	struct replicas *r = replicas_of(p);
	struct record *rec = &p->job.rec;
	unsigned moved = 0;
	bool adds;

	if (p->swaps && r && p->job.job.result)
		drain_end(r);
	if (step_failed(p))
		return;
	refusals_note(p, r);
	if (p->swaps && !r->drain) /* the move has ended meanwhile */
		memcpy(p->job.slots, rec->slots, sizeof(p->job.slots));
	moves_keep(p, r);
	adds = p->swaps && drain_adds(r);
	if (p->swaps)
		drain_swapped(r);
	if (p->ends)
		moved = surplus_take_out(r, rec);
	p->changed |= moved;
	for (unsigned s = 0; !p->ends && s < rec->slot_count; s++)
		for (unsigned n = 0; n < record_places(rec); n++) {
			unsigned node = p->job.slots[s].node[n];

			if (node == rec->slots[s].node[n] || !p->job.ready[node])
				continue;
			rec->slots[s].node[n] = (uint16_t)node;
			moved++;
		}
	if (moved && !adds)
		log_info(rec->name, "%u/%u of its copies are %s", moved, rec->slot_count * rec->replicas,
			 p->swaps || p->ends ? "on another node now" : "made anew on other nodes");
	p->job.found = moved;
	r->no_room &= !moved;
	if (p->changed) {
		rec->view++;
		record_put(p, rec);
	}
	if (p->swaps && rec->replicas == 1) {
		/* Before a reader's record can say that the target has the slots. */
		p->job.tells_own = true;
		nodes_job(p, r, replace_job_tell, told_own);
		return;
	}
	names_save(p->w, p->inode, saved, p);
}

static bool wants_any(const struct replace_job *job)
{
	for (unsigned s = 0; s < job->rec.slot_count; s++)
		if (job->wanted[s])
			return true;
	return false;
}

/* Logs once that there is no node to go to. */
static void nobody_say(const struct replace *p, struct replicas *r)
{
	bool *said = p->moves ? &r->no_drain : &r->no_room;

	if (!*said)
		log_warning(p->job.rec.name, "copies %s: no other node%s answers that has room, and no copy of the same "
			    "chunks",
			    p->moves ? "on a node that is drained stay there" : "that a node had cannot be made anew",
			    p->moves && p->job.racks_shared ? " of another rack" : "");
	*said = true;
}

static void chosen(struct job *job)
{
	struct replace *p = (struct replace *)job;
	struct replicas *r = replicas_of(p);
	struct record *rec = &p->job.rec;
	unsigned dropped = 0;

	if (step_failed(p))
		return;
	if (!p->job.found && r->refusals) {
		memset(r->refused, 0, sizeof(r->refused));
		r->refusals = 0; /* the next try asks these nodes, too */
	} else if (!p->job.found && wants_any(&p->job) && !p->balance) {
		nobody_say(p, r);
	}
	if (p->balance && !p->job.found)
		balance_pause(p);
	p->job.found = p->moves ? moves_narrow(p) : moves_keep(p, r);
	if (!p->moves && p->job.found && p->job.racks_shared)
		log_warning(rec->name, "copies are made anew in racks that have one already: no other rack has a node that "
			    "answers and has room");
	for (unsigned i = 0; i < p->job.nodes_before; i++)
		dropped += p->job.dropped[i];
	if (!dropped && !p->job.found && !p->inode->disk->view_saved) {
		replace_end(p, AGAIN_NS);
		return;
	}
	nodes_take_out(rec, p->job.dropped, p->job.slots);
	p->job.nodes_before -= dropped;
	members_note(p, r);
	p->changed = dropped || p->job.found;
	if (p->job.found)
		trims_note(p, 0);
	if (p->changed)
		record_put(p, rec);
	p->job.job.work = replace_job_make;
	p->job.job.done = p->moves ? room_made : made;
	jobs_submit(p->w->jobs, &p->job.job);
}

/* A move is done: the new node has the room and all that the members have. Asks the members, then changes the
 * record. */
static void swap_begin(struct replace *p, struct replicas *r)
{
	unsigned to;

	p->swaps = p->changed = true;
	trims_note(p, p->job.rec.replicas == 1 ? TRIMS_SETTLE : 0);
	drain_swaps(r);
	if (drain_adds(r))
		record_spare(&p->job.rec);
	memcpy(p->job.slots, p->job.rec.slots, sizeof(p->job.slots));
	if (drain_targets(r, p->job.slots, &to))
		p->job.ready[to] = true;
	members_note(p, r);
	p->job.job.work = replace_job_members;
	p->job.job.done = made;
	jobs_submit(p->w->jobs, &p->job.job);
}

/* Asks the members, then takes replicas that have left their views out of the record. */
static void end_begin(struct replace *p, struct replicas *r)
{
	p->ends = true;
	trims_note(p, 0);
	memcpy(p->job.slots, p->job.rec.slots, sizeof(p->job.slots));
	members_note(p, r);
	p->job.job.work = replace_job_members;
	p->job.job.done = made;
	jobs_submit(p->w->jobs, &p->job.job);
}

static void trimmed(struct job *job)
{
	struct replace *p = (struct replace *)job;
	struct replicas *r = replicas_of(p);

	if (r && !job->result) {
		r->told = true;
		journal_publish32(&p->inode->disk->trims, 0);
	}
	replace_end(p, job->result ? AGAIN_NS : 0);
}

static void told(struct job *job)
{
	struct replace *p = (struct replace *)job;
	struct replicas *r = replicas_of(p);

	if (r) {
		int source = record_node_find(&p->job.rec, &r->source);

		r->told = !job->result;
		r->told_in_vain = job->result;
		r->source_told = source >= 0 && p->job.told[source];
	}
	replace_end(p, job->result ? TELL_NS : 0);
}

static void replace_run(struct task *task)
{
	struct replace *p = (struct replace *)((char *)task - offsetof(struct replace, task));
	struct replicas *r = replicas_of(p);
	const struct journal_inode *d = p->inode->disk;
	uint64_t now_ns = gvm_now_ns();

	if (!r || d->failed || d->rec.kind != RECORD_REGION || !is_needed(r, now_ns)) {
		replace_end(p, 0);
		return;
	}
	p->job.opts = p->w->opts;
	p->job.self = p->w->self;
	p->job.unlinked = d->use == INODE_UNLINKED;
	p->job.epoch = p->epoch;
	p->job.rec = d->rec;
	p->job.view = inode_view_told(d);
	memcpy(p->job.refused, r->refused, sizeof(r->refused));
	for (unsigned i = 0; i < d->rec.node_count; i++)
		p->job.away[i] = r->node[i].down_ns || r->degraded || drain_goes_to(r, i);
	if (drain_is_ready(r)) {
		swap_begin(p, r);
		return;
	}
	if (surplus_is_out(r)) {
		end_begin(p, r);
		return;
	}
	/* (One that does not answer does not keep the source from being rid of its part.) */
	if (tells_now(r) && !(r->told_in_vain && any_unused(r))) {
		nodes_job(p, r, replace_job_tell, told);
		return;
	}
	r->told_in_vain = false;
	if (trims_now(r)) {
		nodes_job(p, r, replace_job_trim, trimmed);
		return;
	}
	for (unsigned s = 0; s < d->rec.slot_count; s++)
		p->job.wanted[s] = replicas_wanted(r, s, now_ns);
	if (!wants_any(&p->job)) {
		p->moves = drain_wants(r, now_ns, p->job.wanted);
		p->balance = !p->moves && balance_wants(r, now_ns, p->job.wanted, &p->job.pick);
		p->moves |= p->balance;
	}
	p->job.healthy = p->moves;
	p->job.job.work = replace_job_choose;
	p->job.job.done = chosen;
	jobs_submit(p->w->jobs, &p->job.job);
}

void replace_look(struct replicas *r, uint64_t now_ns)
{
	const struct journal_inode *d = r->inode->disk;
	struct replace *p;

	if (r->replacing || now_ns < r->replace_ns || d->failed || d->rec.kind != RECORD_REGION || !is_needed(r, now_ns))
		return;
	p = calloc(1, sizeof(*p));
	if (!p)
		return; /* no memory: try again later */
	r->replacing = true;
	p->w = r->w;
	p->inode = r->inode;
	p->epoch = d->epoch;
	p->task.run = replace_run;
	p->task.beside = true; /* a cut may wait for a node that it replaces */
	inode_acquire(r->inode, &p->task);
}
