// SPDX-License-Identifier: GPL-2.0-or-later
/* repair.c - see repair.h. */
#include "repair.h"

#include "base/log.h"
#include "base/mutant.h"
#include "drain.h"
#include "fill.h"
#include "region_events.h"
#include "region_lease.h"
#include "region_node.h"
#include "repair_job.h"
#include "replicas_state.h"
#include "state/seals.h"
#include "surplus.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FILLS	 8u		/* slots filled at a time: so many copies are in flight */
#define TRIES	 8u		/* of a slot, in one repair; */
#define TRY_NS	 300000000ull	/* and the pause between them, in which writes go on that were held */
#define HOLD_NS	 300000000ull	/* writes to a slot may be held for so long */
#define WAIT_NS	 5000000000ull	/* a fill may wait for so long until all members know that the view is active */
#define AGAIN_NS 2000000000ull	/* before the next repair, after one that failed */
#define SLOW_NS	 30000000000ull /* the same, after one that cannot succeed before something changes */

struct repair_fill {
	struct fill fill; /* first */
	struct repair *repair;
	unsigned slot;
	uint64_t cursor;  /* where the next batch begins to look */
	uint64_t waits_ns; /* since when it holds writes; or, not holding any, has nothing to copy and cannot go on */
};

struct repair {
	struct replicas *r;
	uint64_t serial;
	struct gvm_id node; /* the node that is repaired */
	bool scanning;
	bool failed;  /* a slot failed: it is tried again soon */
	bool strange; /* a slot cannot be filled for now (FILL_STRANGE) */
	bool rotten;  /* a slot cannot be filled: all members' copies of a chunk are rotten */
	uint64_t began_ns, copied_bytes;
	uint64_t *differs; /* a bit a chunk */
	bool wanted[RECORD_SLOTS];
	uint32_t left[RECORD_SLOTS];
	uint8_t tries[RECORD_SLOTS];	 /* that have failed */
	uint64_t again_ns[RECORD_SLOTS]; /* not before this time */
	struct repair_fill *of[RECORD_SLOTS]; /* the fill of a slot; NULL: none */
	struct repair_fill fill[FILLS];
};

static const struct record *record_of(const struct repair *p)
{
	return &p->r->inode->disk->rec;
}

static const char *node_addr(const struct repair *p)
{
	int node = record_node_find(record_of(p), &p->node);

	return node < 0 ? "?" : record_of(p)->nodes[node].addr;
}

/* ---- which chunks differ */

static bool differs(const struct repair *p, uint64_t chunk)
{
	return p->differs[chunk / 64] >> chunk % 64 & 1;
}

static void differs_set(struct repair *p, uint64_t chunk, bool set)
{
	if (differs(p, chunk) == set)
		return;
	assert(set || p->left[record_slot_of(record_of(p), chunk)]);
	p->differs[chunk / 64] ^= 1ull << chunk % 64;
	p->left[record_slot_of(record_of(p), chunk)] += set ? 1u : -1u;
}

void repair_written(struct replicas *r, uint64_t chunk)
{
	unsigned slot = record_slot_of(&r->inode->disk->rec, chunk);

	/* The index may not have the write yet: so it is noted for later repairs, too. */
	if (r->written && record_filled(&r->inode->disk->rec, slot) != view_word_members(r->slot[slot].word))
		r->written[chunk / 64] |= 1ull << chunk % 64;
	if (!r->repair || r->repair->scanning)
		return;
	if (r->repair->of[slot])
		fill_written(&r->repair->of[slot]->fill, chunk);
	else if (r->repair->wanted[slot])
		differs_set(r->repair, chunk, true);
}

/* ---- jobs */

static void job_fill_in(struct repair *p, struct repair_job *job)
{
	struct inode *inode = p->r->inode;
	const struct record *rec = record_of(p);

	job->w = p->r->w;
	job->nr = inode->nr;
	job->epoch = inode->disk->epoch;
	job->serial = p->serial;
	job->region = rec->id;
	job->opts = p->r->w->opts;
	job->sealed = region_sealer(p->r->w, inode);
	job->index = inode->index;
	region_node_place(p->r->w, inode, (unsigned)record_node_find(rec, &p->node), &job->to);
}

/* The repair that a job was for; NULL: it has ended meanwhile. */
static struct repair *job_repair(const struct repair_job *job)
{
	const struct inode *inode = job->w->inodes->rt[job->nr];
	struct repair *p = inode && inode->replicas && !inode->replicas->closing ? inode->replicas->repair : NULL;

	if (!p || !gvm_id_equal(&record_of(p)->id, &job->region) || inode->disk->epoch != job->epoch)
		return NULL;
	return p->serial == job->serial ? p : NULL;
}

static void repair_free(struct repair *p)
{
	/* Writes go on from here, and a replica that was about to be included would lack them: give its fill up. */
	for (unsigned i = 0; i < FILLS; i++)
		if (p->fill[i].fill.state != FILL_NONE)
			fill_give_up(&p->fill[i].fill);
	p->r->repair = NULL;
	repair_unmap(p->differs);
	free(p);
}

/* The node has taken a copy, so it need not be replaced. For its first repair, an answer alone counts, too. */
static void useful_note(struct repair *p, bool took)
{
	int node = record_node_find(record_of(p), &p->node);

	if (node >= 0 && (took || !p->r->node[node].repair_ns))
		p->r->node[node].useful_ns = gvm_now_ns();
}

/* All slots were tried. */
static void repair_finish(struct repair *p)
{
	struct replicas *r = p->r;
	const struct record *rec = record_of(p);
	int node = record_node_find(rec, &p->node);

	if (node >= 0 && (p->failed || p->strange)) {
		r->node[node].repair_ns = gvm_now_ns() + (p->failed && !p->rotten ? AGAIN_NS : SLOW_NS);
	} else if (node >= 0) {
		r->node[node].repair_ns = 0;
		log_info(rec->name, "node %s has what its copies lacked: %.1f MB in %.1f s", node_addr(p),
			 (double)p->copied_bytes / 1e6, (double)(gvm_now_ns() - p->began_ns) / 1e9);
	}
	repair_free(p);
}

/* ---- a slot: fill.h's environment */

static uint64_t fill_left(const struct fill *f)
{
	const struct repair_fill *rf = (const struct repair_fill *)f;

	return rf->repair->left[rf->slot];
}

static unsigned fill_writes(const struct fill *f)
{
	const struct repair_fill *rf = (const struct repair_fill *)f;

	return rf->repair->r->writes[rf->slot];
}

static void fill_differ(struct fill *f, uint64_t chunk)
{
	differs_set(((struct repair_fill *)f)->repair, chunk, true);
}

/* Fills the job with chunks that differ, in at most one round through the slot. */
static void copy_collect(struct repair_fill *rf, struct repair_copy *job)
{
	struct repair *p = rf->repair;
	unsigned slots = record_of(p)->slot_count;
	uint64_t chunks = record_chunks(record_of(p)->size_bytes);

	for (uint64_t n = 0; n < chunks / slots + 1 && job->count < REPAIR_BATCH && p->left[rf->slot]; n++) {
		uint64_t c = rf->cursor < chunks ? rf->cursor : rf->slot;

		rf->cursor = c + slots;
		if (c >= chunks || !differs(p, c))
			continue;
		differs_set(p, c, false);
		job->chunk[job->count++] = c;
	}
}

static void repair_step(struct repair *p);

/* All that the slot's copies lack yet. */
static void rotten_say(struct repair *p, uint64_t chunk)
{
	if (!p->rotten)
		log_error(record_of(p)->name, "ROTTEN: chunk %llu, perhaps others too, is on no node as it was stored: it cannot be "
			  "copied, and what lacks a copy beside it stays so until it is written", (unsigned long long)chunk);
	p->rotten = true;
}

/* What is here of them is written anew. (If no write of a chunk was ever acknowledged nobody reads it, and finds it so.) */
static void rotten_found(struct repair *p, const struct repair_copy *job)
{
	struct worker *w = p->r->w;
	bool news;

	for (unsigned i = 0; i < job->count; i++)
		if (job->missing[i] && !w->region_events->rotten(w, p->r->inode, job->chunk[i], &news))
			rotten_say(p, job->chunk[i]);
}

/* A fill that held writes was given up. (That of one that has ended is seen by replicas_turn().) */
static void held_go_on(struct replicas *r)
{
	if (!mutant("held-untold"))
		r->w->region_events->replicas_changed(r->w, r->inode);
}

static void copy_done(struct job *j)
{
	struct repair_copy *job = (struct repair_copy *)j;
	struct repair *p = job_repair(&job->base);

	if (p) {
		struct repair_fill *rf = p->of[job->slot];
		struct replicas *r = p->r;
		bool held = fill_holds(&rf->fill);

		for (unsigned i = 0; i < job->count; i++)
			if (job->missing[i])
				differs_set(p, job->chunk[i], true);
		p->copied_bytes += job->bytes;
		worker_count(r->w, r->inode, copies_bytes, job->bytes);
		repair_job_tell(job, r->inode);
		if (!j->result)
			useful_note(p, true);
		else if (j->result == -EBADMSG)
			rotten_found(p, job);
		fill_copied(&rf->fill, j->result);
		held &= !fill_holds(&rf->fill);
		r->turn(r, job->slot);
		repair_step(p);
		if (held)
			held_go_on(r);
	}
	free(job);
}

static void fill_copy(struct fill *f)
{
	struct repair_fill *rf = (struct repair_fill *)f;
	struct repair *p = rf->repair;
	struct replicas *r = p->r;
	const struct record_slot *slot = &record_of(p)->slots[rf->slot];
	struct repair_copy *job = calloc(1, sizeof(*job));
	uint8_t members = view_targets(&r->slot[rf->slot]);

	if (!job) {
		log_error(record_of(p)->name, "no memory to copy its chunks");
		abort(); /* the successor goes on from the journal */
	}
	job_fill_in(p, &job->base);
	job->slot = rf->slot;
	job->urgent = fill_holds(f);
	for (unsigned i = 0; i < record_places(record_of(p)); i++)
		if (members >> i & 1)
			region_node_place(r->w, r->inode, slot->node[i], &job->from[job->sources++]);
	copy_collect(rf, job);
	job->base.job.work = repair_job_copy;
	job->base.job.done = copy_done;
	jobs_submit(r->w->jobs, &job->base.job);
}

static const struct fill_env env = { fill_left, fill_copy, fill_writes, fill_differ };

bool repair_holds(const struct replicas *r, unsigned slot)
{
	return r->repair && r->repair->of[slot] && fill_holds(&r->repair->of[slot]->fill);
}

/* Once the view has all of a slot's replicas, forgets which of its chunks were written meanwhile. */
static void written_forget(struct replicas *r, unsigned slot)
{
	const struct record *rec = &r->inode->disk->rec;
	uint64_t chunks = record_chunks(rec->size_bytes);

	if (record_filled(rec, slot) != view_word_members(r->slot[slot].word))
		return;
	for (uint64_t c = slot; c < chunks; c += rec->slot_count)
		if (r->written[c / 64] >> c % 64 & 1)
			r->written[c / 64] &= ~(1ull << c % 64);
}

bool repair_turn(struct replicas *r, unsigned slot)
{
	struct repair *p = r->repair;
	struct repair_fill *rf = p ? p->of[slot] : NULL;
	enum fill_state before;
	bool held;

	if (!rf)
		return false;
	before = rf->fill.state;
	held = fill_holds(&rf->fill);
	fill_turn(&rf->fill);
	if (rf->fill.state == FILL_DONE && before != FILL_DONE)
		written_forget(r, slot);
	if (fill_holds(&rf->fill) != held || (!held && rf->fill.copying))
		rf->waits_ns = gvm_now_ns();
	return rf->fill.state != before;
}

/* ---- the whole */

/* A write that was in flight for too long, a view that came late: others go on, and the slot is tried again. (Where a member is
 * away that would take long, and another node may be to be repaired meanwhile.) */
static void slot_failed(struct repair *p, unsigned slot)
{
	const struct view_slot *v = &p->r->slot[slot];

	if (p->rotten || view_word_members(v->word) & v->bad || ++p->tries[slot] >= TRIES) {
		p->failed = true;
		return;
	}
	p->wanted[slot] = true;
	p->again_ns[slot] = gvm_now_ns() + TRY_NS;
}

/* Frees the entries of fills that have ended. */
static void fills_reap(struct repair *p)
{
	for (unsigned i = 0; i < FILLS; i++) {
		struct repair_fill *rf = &p->fill[i];

		if (rf->fill.state < FILL_DONE || rf->fill.copying)
			continue;
		if (rf->fill.state == FILL_FAILED)
			slot_failed(p, rf->slot);
		p->of[rf->slot] = NULL;
		rf->fill.state = FILL_NONE;
	}
}

static void fill_start(struct repair *p, struct repair_fill *rf, unsigned slot)
{
	const struct record *rec = record_of(p);
	int node = record_node_find(rec, &p->node), replica = node < 0 ? -1 : record_replica_of(rec, slot, (unsigned)node);

	p->wanted[slot] = false;
	if (replica < 0 || view_word_members(p->r->slot[slot].word) >> replica & 1)
		return;
	rf->repair = p;
	rf->slot = slot;
	rf->cursor = slot;
	rf->waits_ns = gvm_now_ns();
	p->of[slot] = rf;
	fill_begin(&rf->fill, &env, &p->r->slot[slot], (unsigned)replica, p);
	p->r->turn(p->r, slot);
}

/* Reaps fills that have ended, starts the next ones, and ends the repair after the last. */
static void repair_step(struct repair *p)
{
	unsigned slots = record_of(p)->slot_count, slot = 0;
	int node = record_node_find(record_of(p), &p->node);
	uint64_t now_ns = gvm_now_ns();
	bool busy = false;

	fills_reap(p);
	if (node < 0 || p->r->node[node].bad) {
		memset(p->wanted, 0, sizeof(p->wanted));
		p->failed = true;
	}
	for (unsigned i = 0; i < FILLS; i++) {
		for (; slot < slots && (!p->wanted[slot] || now_ns < p->again_ns[slot]); slot++)
			busy |= p->wanted[slot];
		if (slot < slots && p->fill[i].fill.state == FILL_NONE)
			fill_start(p, &p->fill[i], slot);
		busy |= p->fill[i].fill.state != FILL_NONE;
	}
	if (!busy && slot == slots)
		repair_finish(p);
}

static void written_add(struct repair *p)
{
	const struct record *rec = record_of(p);
	uint64_t chunks = record_chunks(rec->size_bytes);

	for (uint64_t i = 0; i < (chunks + 63) / 64; i++)
		for (uint64_t left = p->r->written[i]; left; left &= left - 1) {
			uint64_t chunk = i * 64 + (unsigned)__builtin_ctzll(left);

			if (chunk < chunks && p->wanted[record_slot_of(rec, chunk)])
				differs_set(p, chunk, true);
		}
}

/* Logged once, until the node answers. */
static void scan_complain(const struct repair *p, int error)
{
	int node = record_node_find(record_of(p), &p->node);

	if (node >= 0 && !p->r->node[node].repair_ns)
		log_warning(record_of(p)->name, "node %s is back, but does not tell what it has: %s", node_addr(p),
			    strerror(-error));
}

static void scan_done(struct job *j)
{
	struct repair_scan *scan = (struct repair_scan *)j;
	struct repair *p = job_repair(&scan->base);

	if (!p) {
		repair_unmap(scan->differs);
		free(scan);
		return;
	}
	p->scanning = false;
	p->differs = scan->differs;
	memcpy(p->left, scan->left, sizeof(p->left));
	for (unsigned s = 0; s < record_of(p)->slot_count; s++) {
		p->strange |= scan->strange[s];
		p->wanted[s] = !j->result && scan->wanted[s] && !scan->strange[s];
	}
	p->failed = j->result;
	if (j->result) {
		scan_complain(p, j->result);
	} else {
		region_lease(p->r->w, p->r->inode); /* the job attached over another connection than the front's */
		useful_note(p, false);
	}
	if (p->strange)
		log_warning(record_of(p)->name, "node %s has writes of an earlier writer that were never acknowledged: "
			    "copies there wait until these chunks are written again", node_addr(p));
	written_add(p);
	free(scan);
	repair_step(p);
}

/* Finds and counts slots that the node has a replica of, but whose views lack it. */
static unsigned slots_lacking(const struct replicas *r, unsigned node, bool *wanted)
{
	const struct record *rec = &r->inode->disk->rec;
	unsigned count = 0;

	for (unsigned s = 0; s < rec->slot_count; s++) {
		int replica = record_replica_of(rec, s, node);
		bool lacks = replica >= 0 && !(view_word_members(r->slot[s].word) >> replica & 1) &&
			     surplus_of(r, s) != replica;

		if (wanted)
			wanted[s] = lacks;
		count += lacks;
	}
	return count;
}

static void repair_begin(struct replicas *r, unsigned node)
{
	const struct journal_inode *d = r->inode->disk;
	struct repair *p = calloc(1, sizeof(*p));
	struct repair_scan *scan = calloc(1, sizeof(*scan));
	uint64_t *map = repair_map();

	if (!p || !scan || !map) { /* no memory: try again later */
		free(p);
		free(scan);
		repair_unmap(map);
		return;
	}
	p->r = r;
	p->serial = ++r->repairs;
	p->node = d->rec.nodes[node].incarnation;
	p->scanning = true;
	p->began_ns = gvm_now_ns();
	r->repair = p;
	job_fill_in(p, &scan->base);
	scan->self = r->w->self;
	scan->unlinked = d->use == INODE_UNLINKED;
	scan->rec = d->rec;
	scan->differs = map;
	slots_lacking(r, node, scan->wanted);
	scan->base.job.work = repair_job_scan;
	scan->base.job.done = scan_done;
	jobs_submit(r->w->jobs, &scan->base.job);
}

/* Gives up fills that have held writes for too long, or have waited for too long. */
static void holds_look(struct repair *p, uint64_t now_ns)
{
	bool held = false;

	for (unsigned i = 0; i < FILLS; i++) {
		struct repair_fill *rf = &p->fill[i];

		if (rf->fill.state == FILL_NONE || rf->fill.state >= FILL_DONE ||
		    now_ns < rf->waits_ns + (fill_holds(&rf->fill) ? HOLD_NS : WAIT_NS))
			continue;
		held |= fill_holds(&rf->fill);
		fill_give_up(&rf->fill);
		p->r->turn(p->r, rf->slot);
	}
	if (held)
		held_go_on(p->r);
}

void repair_go_on(struct replicas *r)
{
	if (r->repair && !r->repair->scanning && !r->closing)
		repair_step(r->repair);
}

void repair_look(struct replicas *r, uint64_t now_ns)
{
	const struct journal_inode *d = r->inode->disk;
	bool any = r->degraded || record_is_moving(&d->rec);

	if (r->repair && !r->repair->scanning)
		holds_look(r->repair, now_ns);
	repair_go_on(r);
	for (unsigned i = 0; i < d->rec.node_count; i++) {
		struct replica_node *n = &r->node[i];

		if (!any || !slots_lacking(r, i, NULL)) {
			n->useful_ns = now_ns;
		} else if (!r->repair && !d->failed && !d->view_saved && !n->bad && !n->down_ns && now_ns >= n->repair_ns) {
			repair_begin(r, i);
		}
	}
}

void repair_end(struct replicas *r)
{
	if (r->repair)
		repair_free(r->repair);
}

uint64_t repair_left(const struct replicas *r)
{
	uint64_t left = 0;

	for (unsigned s = 0; r->repair && s < RECORD_SLOTS; s++)
		left += r->repair->left[s];
	return left;
}
