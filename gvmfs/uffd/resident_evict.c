// SPDX-License-Identifier: GPL-2.0-or-later
/* resident_evict.c - how chunks of resident.h go: zaps, evictions, and when the budget demands
 * them. */
#include "base/log.h"
#include "base/mutant.h"
#include "resident_priv.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define RETRY_NS     1000000000ull
#define PAUSE_NS     20000000ull
#define OVER_SAY_NS  60000000000ull

/* The client's page tables. */

void zap_done(struct resident *r)
{
	r->zapping = r->zapped = false;
	for (uint64_t c = r->zap_first; c < r->zap_first + r->zap_count; c++)
		if (r->chunk[c].state == CHUNK_ZAPPING) {
			chunk_set_state(r, c, CHUNK_INACTIVE);
			chunk_enlist(r, c, LIST_INACTIVE);
			r->chunk[c].since = r->brought;
		}
}

/* Asks the client to drop its page-table entries of the group of chunks around c. A chunk for whose
 * pages a fault waits (LIST_BLOCKED) is left out. */
static void zap_start(struct resident *r, uint64_t c)
{
	uint64_t first = c - c % GROUP_CHUNKS, end = first + GROUP_CHUNKS, bytes;

	if (end > r->chunks)
		end = r->chunks;
	for (c = first; c < end; c++)
		if (r->chunk[c].state == CHUNK_RESIDENT && r->chunk[c].list == LIST_ACTIVE &&
		    !(mutant("early-pin") && r->env->pins(r, c))) {
			chunk_set_state(r, c, CHUNK_ZAPPING);
			chunk_unlist(r, c);
		}
	r->zapping = true;
	r->zap_first = first;
	r->zap_count = end - first;
	r->zap_seq++;
	bytes = end * GVM_CHUNK_BYTES < r->bytes ? end * GVM_CHUNK_BYTES : r->bytes;
	resident_count(r, zaps, 1);
	if (mutant("no-zap")) {
		zap_done(r);
		return;
	}
	if (r->env->zap(r, r->zap_seq, first * GVM_CHUNK_BYTES, bytes - first * GVM_CHUNK_BYTES) == 0)
		return;
	/* The client was not asked: the chunks are still mapped. */
	r->zapping = false;
	r->zap_at_ns = r->env->now(r) + PAUSE_NS;
	for (c = first; c < end; c++)
		if (r->chunk[c].state == CHUNK_ZAPPING)
			chunk_activate(r, c);
}

/* Eviction. */

static unsigned evictions_of(const struct residents *rs, const void *node)
{
	unsigned n = 0;

	for (unsigned i = 0; i < RESIDENT_EVICTIONS + RESIDENT_SPARE; i++)
		n += rs->eviction_node[i] == node;
	return n;
}

static struct eviction *eviction_new(struct residents *rs)
{
	assert(rs->evictions_used < RESIDENT_EVICTIONS + RESIDENT_SPARE);
	return &rs->evictions[rs->evictions_used++];
}

struct eviction *eviction_take(struct resident *r, uint64_t c)
{
	const void *node = chunk_node(r, c);
	struct residents *rs = r->rs;
	struct eviction *e;
	unsigned without = rs->count - rs->evicters - !r->evictions;
	unsigned most = RESIDENT_EVICTIONS + rs->count - 1, left = rs->evicting < most ? most - rs->evicting : 0;

	/* In case this chunk's node is dead: one is left for each region that has none, and for the
	 * chunks of other nodes half as many as this node's have. */
	if (left <= without || (3 * left < left + rs->evicting && evictions_of(rs, node) > 2 * left))
		return NULL;
	e = rs->evictions_free;
	if (e)
		rs->evictions_free = e->next_free;
	else
		e = eviction_new(rs);
	rs->evicting++;
	rs->evicters += !r->evictions++;
	e->r = r;
	e->sync_pass = 0;
	rs->eviction_node[e - rs->evictions] = node;
	return e;
}

void eviction_give(struct eviction *e)
{
	struct residents *rs = e->r->rs;

	assert(rs->evicting && e->r->evictions);
	rs->evicters -= !--e->r->evictions;
	e->r = NULL;
	rs->eviction_node[e - rs->evictions] = NULL;
	e->next_free = rs->evictions_free;
	rs->evictions_free = e;
	rs->evicting--;
	rs->freed = true;
}

/* A version above each that a node may hold of the chunk. */
static uint64_t version_next(const struct resident *r, uint64_t c, uint64_t base, uint64_t epoch)
{
	uint64_t version = gvm_version(epoch, 1);

	if (r->cut_version >= version)
		version = r->cut_version + 1;
	if ((base & GVM_VERSION_MASK) >= version)
		version = (base & GVM_VERSION_MASK) + 1;
	if (r->mark[c].tried >= version)
		version = r->mark[c].tried + 1;
	return version;
}

static bool is_pinned(struct resident *r, uint64_t c)
{
	return !r->draining && !mutant("early-pin") && !mutant("no-pin") && r->env->pins(r, c);
}

/* Takes an eviction; if there is none, the region is told when one is given back. */
static struct eviction *eviction_want(struct resident *r, uint64_t c)
{
	struct eviction *e = eviction_take(r, c);

	if (!e)
		resident_want(r);
	return e;
}

/* Hands a chunk to a writer. */
static void chunk_send(struct resident *r, uint64_t c, struct eviction *e)
{
	struct chunk *k = &r->chunk[c];
	struct flush *f = &e->flush;
	uint64_t epoch = r->env->epoch(r);

	k->sending = true;
	e->mends = k->rotten;
	k->rotten = false;
	if (e->mends && !mutant("rot-unsent"))
		hashes_forget(r, c); /* so all that is here is sent */
	f->resident = true;
	f->epoch = epoch - mutant("stale-epoch");
	f->chunk = c;
	f->base = r->index[c];
	f->tried = r->mark[c].tried > (f->base & GVM_VERSION_MASK);
	f->version = version_next(r, c, f->base, epoch);
	f->pages = r->mark[c].filled;
	f->data = NULL;
	f->seed = r->seed;
	f->known = k->known;
	hashes_spread(k, e->known);
	f->hashes_known = e->known; /* a copy: the chunk's own may change while the writer reads these */
	f->hashes = e->found;
	f->whole_retry = false;
	/* Before the node can get it: a successor must not use the version for other bytes. */
	if (!mutant("untried"))
		r->env->mark64(r, &r->mark[c].tried, f->version);
	r->env->send(r, f);
}

/* Hands an INACTIVE chunk to a writer; if it is pinned, or a writer has it already, makes it active
 * again instead. False: no eviction is free for it. */
bool eviction_start(struct resident *r, uint64_t c)
{
	struct chunk *k = &r->chunk[c];
	struct eviction *e;

	if (k->sending || is_pinned(r, c)) {
		if (!k->sending) {
			resident_count(r, pinned_chunks, 1);
			/* All were tried: zapping the same chunks again at once would only cost the
			 * client faults. */
			if (++r->pinned_row % (r->busy + 1) == 0)
				r->zap_at_ns = r->env->now(r) + PAUSE_NS;
		}
		chunk_activate(r, c);
		return true;
	}
	e = eviction_want(r, c);
	if (!e)
		return false;
	r->pinned_row = 0;
	chunk_unlist(r, c);
	chunk_set_state(r, c, CHUNK_EVICTING);
	chunk_send(r, c, e);
	return true;
}

bool eviction_sync(struct resident *r, uint64_t c)
{
	struct eviction *e = eviction_want(r, c);

	if (!e)
		return false;
	e->sync_pass = r->chunk[c].sync_pass = r->sync_pass;
	r->sync_sent++;
	chunk_send(r, c, e);
	return true;
}

bool eviction_rot(struct resident *r, uint64_t c)
{
	struct eviction *e = eviction_want(r, c);

	if (e)
		chunk_send(r, c, e);
	return e;
}

static void eviction_count(struct resident *r, const struct flush *f)
{
	resident_count(r, evictions, 1);
	if (f->clean) {
		resident_count(r, evictions_clean, 1);
		return;
	}
	resident_count(r, chunks_written, 1);
	resident_count(r, put_bytes, f->put_bytes);
	resident_count(r, put_raw_bytes, f->raw_bytes);
	resident_count(r, zero_pages_written, f->zero_pages);
	resident_count(r, raw_puts, f->raw);
	resident_count(r, delta_puts, f->delta);
	resident_count(r, base_fetches, f->base_fetched);
	resident_count(r, copies_mended, ((const struct eviction *)f)->mends && f->pages == ~0u);
}

/* Pages that the flush did not have are on no node any more. Some may have come since: from before the nodes' copies
 * were damaged. */
static void chunk_lost(struct resident *r, uint64_t c, const struct flush *f)
{
	struct chunk *k = &r->chunk[c];

	r->env->report(r, c, "write-back of a part", -ENODATA);
	k->lost = true;
	if (r->mark[c].filled & ~f->pages && !mutant("come-since-forgotten")) {
		hashes_forget(r, c);
		k->rotten = true;
	}
}

/* The node has the pages that the flush read. */
static void chunk_acknowledged(struct resident *r, uint64_t c, const struct flush *f)
{
	uint64_t entry = flush_index_entry(f);

	/* Before the pages are dropped. */
	if (!f->clean && f->sealed && !mutant("seals-forgotten"))
		r->env->seals_set(r, f);
	if (!f->clean)
		r->env->index(r, c, entry);
	if (f->loses)
		chunk_lost(r, c, f);
	/* Nothing was sent under f->version, so no node can hold it. */
	if (f->clean || !entry)
		r->env->mark64(r, &r->mark[c].tried, f->base & GVM_VERSION_MASK);
	eviction_count(r, f);
}

static void eviction_failed(struct resident *r, uint64_t c, int error)
{
	if (error == -EAGAIN)
		return; /* some of its nodes may have it: the next eviction sends it to all of them */
	if (error == -ENOSPC || error == -ENOMEM || error == -EBADMSG) {
		r->env->report(r, c, "write-back (will be tried again)", error);
		r->retry_at_ns = r->env->now(r) + RETRY_NS;
	} else {
		r->env->fail(r, c, error);
	}
}

void eviction_end(struct eviction *e)
{
	const struct flush *f = &e->flush;
	struct resident *r = e->r;
	uint64_t c = f->chunk;
	struct chunk *k = &r->chunk[c];
	bool evicting = k->state == CHUNK_EVICTING;

	k->sending = false;
	if (f->result < 0) {
		eviction_failed(r, c, f->result);
	} else {
		chunk_acknowledged(r, c, f);
		if (!f->clean)
			r->env->changed(r);
		/* The hashes of the bytes that the node has now; the chunk may have changed since. */
		if (!evicting)
			hashes_learn(r, c, e->found, mutant("sent-unlearnt") ? 0 : f->pages);
	}
	if (k->rotten)
		rot_note(r, c);
	if (evicting && (!k->rotten || mutant("rot-dropped")) && (f->result >= 0 || mutant("refused-dropped"))) {
		spread_learn(r, c);
		trail_gone(r, c);
		chunk_drop(r, c);
	} else if ((evicting || r->draining) && k->state != CHUNK_ABSENT) {
		chunk_set_state(r, c, CHUNK_INACTIVE);
		chunk_enlist(r, c, LIST_INACTIVE);
	}
	eviction_give(e);
	resident_ios_look(r);
}

/* Balance. */

/* How many pages have to go, so that `headroom` pages of the budget are free. */
static uint64_t surplus(const struct resident *r, uint64_t headroom)
{
	uint64_t goal;

	/* If a chunk waits for room, there has to be room for a whole chunk. */
	if (resident_lacks_room(r) && headroom < GVM_CHUNK_PAGES)
		headroom = GVM_CHUNK_PAGES;
	goal = r->local - headroom;
	if (!resident_is_bounded(r))
		return 0;
	return r->here + r->coming > goal ? r->here + r->coming - goal : 0;
}

#define HURRY_HOLDS 1024u /* evictions, about */

void room_lacked(struct resident *r)
{
	r->hurry = HEADROOM_MAX;
}

static void hurry_less(struct resident *r)
{
	r->hurry -= (r->hurry + HURRY_HOLDS - 1) / HURRY_HOLDS;
}

/* Evicts the chunks that were punched out as a whole, which are first in the list: the nodes can
 * free their copies soon. */
static void empty_leave(struct resident *r)
{
	while (r->lists[LIST_INACTIVE].head) {
		uint64_t c = r->lists[LIST_INACTIVE].head - 1;

		if ((chunk_holes(r, c) | ~chunk_pages(r, c)) != ~0u || !eviction_start(r, c))
			return;
	}
}

/* How many chunks should be INACTIVE: there they are mapped again if they are touched, and evicted
 * if not. */
static uint64_t stock_wanted(const struct resident *r, uint64_t headroom)
{
	uint64_t share = r->busy / 8, least = 2 * headroom / GVM_CHUNK_PAGES + 1;

	return share > least ? share : least;
}

/* Exceeds the budget if every chunk that could go is pinned or waited for: better than a guest that
 * hangs. (More can go once all that a predecessor left is taken over.) */
void over_look(struct resident *r)
{
	bool blocked = resident_lacks_room(r);
	bool stuck = !r->lists[LIST_ACTIVE].count && !r->lists[LIST_INACTIVE].count &&
		     !r->zapping && !r->evictions && !r->fetches;
	uint64_t now_ns;

	if (r->over) {
		r->over = blocked || r->here + r->coming > r->local;
		return;
	}
	if (!blocked || r->short_at_ns || r->recovering || (!stuck && r->pinned_row <= r->busy))
		return;
	r->over = true;
	resident_ios_look(r);
	now_ns = r->env->now(r);
	if (r->over_said_ns && now_ns - r->over_said_ns < OVER_SAY_NS)
		return;
	r->over_said_ns = now_ns;
	log_warning(r->env->name(r), "budget exceeded: pinned pages and pages that faults wait for take "
		    "all of it; raise it with gvm region local");
}

/*
 * Which chunk goes. The inactive list says what was used last, not how often: of the chunks that are used about as seldom as
 * the list is long, some go by chance, and come again. So a chunk that is used again very soon after a zap earns a life, and
 * at the list's head loses a life in place of its pages. Of two chunks that are used as often, the one with more pages holds
 * those that are used less: so what counts is its time unused times its pages.
 */
#define LIVES	   2u
#define SOON_SHARE 8u  /* very soon: within this part of the time for which a chunk of all pages is in the list */
#define PASSED_MAX 16u /* chunks for one that goes */
#define STAY_LEARN 32u /* the weight of what is known already */

void life_earn(struct resident *r, uint64_t c)
{
	struct chunk *k = &r->chunk[c];
	uint64_t unused = (uint64_t)(r->brought - k->since) * chunk_here(r, c);

	if ((k->state == CHUNK_INACTIVE || k->state == CHUNK_EVICTING) && !k->ahead && k->lives < LIVES &&
	    unused < (uint64_t)r->stay * GVM_CHUNK_PAGES / SOON_SHARE)
		k->lives++;
}

/* The chunk that is to go: the first of the inactive list, after those with lives have gone to its end. Not those that
 * were never used, or have nothing. */
static uint64_t victim(struct resident *r)
{
	for (unsigned i = 0; i < PASSED_MAX; i++) {
		uint64_t c = r->lists[LIST_INACTIVE].head - 1;
		struct chunk *k = &r->chunk[c];

		if (!k->lives || k->ahead || !chunk_here(r, c))
			break;
		k->lives--;
		chunk_enlist(r, c, LIST_INACTIVE);
	}
	return r->lists[LIST_INACTIVE].head - 1;
}

static void stay_learn(struct resident *r, uint64_t c)
{
	uint32_t stayed = r->brought - r->chunk[c].since;

	if (r->chunk[c].ahead)
		return;
	r->stay += stayed / STAY_LEARN - r->stay / STAY_LEARN;
}

/* Evicts INACTIVE chunks as the budget demands, and has active ones zapped, so that more can go
 * soon. */
void room_look(struct resident *r)
{
	uint64_t headroom = resident_headroom(r);

	if (r->pinned || r->give_asked || r->env->now(r) < r->retry_at_ns)
		return;
	empty_leave(r);
	if (surplus(r, headroom) > r->going)
		replay_drop(r);
	while (surplus(r, headroom) > r->going && r->lists[LIST_INACTIVE].head) {
		uint64_t c = victim(r);

		if (!eviction_start(r, c))
			break;
		stay_learn(r, c);
		hurry_less(r);
	}
	if (!r->zapping && r->lists[LIST_ACTIVE].head && surplus(r, 2 * headroom) &&
	    r->lists[LIST_INACTIVE].count + r->evictions < stock_wanted(r, headroom) &&
	    r->env->now(r) >= r->zap_at_ns)
		zap_start(r, r->lists[LIST_ACTIVE].head - 1);
}
