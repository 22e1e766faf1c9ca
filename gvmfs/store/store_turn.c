// SPDX-License-Identifier: GPL-2.0-or-later
/* store_turn.c - the turn of store.h: decides about wbufs, fetches, and the requests that wait for them.
 * The events are in store_event.c. */
#include "store_priv.h"

#include "base/mutant.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void store_begin(struct store *s, uint8_t *data, uint8_t *scratch)
{
	uint64_t now = s->env->now(s);

	s->scratch = scratch;
	s->flushed_tail = &s->flushed;
	STAILQ_INIT(&s->ended);
	TAILQ_INIT(&s->due);
	TAILQ_INIT(&s->starved);
	TAILQ_INIT(&s->stalled);
	TAILQ_INIT(&s->held);
	TAILQ_INIT(&s->syncs);
	TAILQ_INIT(&s->dropping);
	for (unsigned i = 0; i < STORE_WRITES; i++)
		TAILQ_INIT(&s->writes[i]);
	cache_begin(&s->cache, s, data);
	wbufs_begin(&s->wbufs);
	for (struct wbuf *wbuf = s->wbufs.wbuf; wbuf != s->wbufs.wbuf + JOURNAL_WBUFS; wbuf++) {
		const struct journal_wbuf *js = wbuf_disk(&s->wbufs, wbuf);
		struct inode *inode;

		if (wbuf_is(&s->wbufs, wbuf) == WBUF_IS_FREE)
			continue;
		inode = s->env->inode(s, js->inode);
		wbuf_adopt(&s->wbufs, wbuf, inode, s->env->node(s, inode, js->chunk), now);
		/* The worker that failed the region died before it had dropped all of what was written. */
		if (s->env->disk(s, inode)->failed && !mutant("failed-comes-back"))
			store_wbuf_free(s, wbuf);
		else if (wbuf_is(&s->wbufs, wbuf) == WBUF_IS_SENDING && !mutant("sealed-left-behind"))
			wbuf_refuse(&s->wbufs, wbuf, 1); /* a time in the past: send it in the next turn */
	}
	store_spill_begin(s);
	s->wbufs_news = s->again = true; /* some of what is spilled may have a wbuf */
}

/* ---- wbufs */

/* How many wbufs may be sealed for one node: about as many as the writers send of it at a time. */
static unsigned sealed_enough(const struct store *s)
{
	return STORE_SEALED_ENOUGH / (s->wbufs.nodes_count ? s->wbufs.nodes_count : 1) + 1;
}

/* Whether a wbuf is COLLECTING and its chunk has no other wbuf in flight. */
static bool wbuf_can_seal(struct store *s, const struct wbuf *wbuf)
{
	return wbuf_is(&s->wbufs, wbuf) == WBUF_IS_COLLECTING &&
	       !wbufs_sealed(&s->wbufs, wbuf->inode, wbuf_disk(&s->wbufs, wbuf)->chunk);
}

void store_seal_oldest(struct store *s)
{
	for (;;) {
		struct wbuf *oldest = NULL;

		for (struct wbuf *wbuf = s->wbufs.wbuf; wbuf != s->wbufs.wbuf + JOURNAL_WBUFS; wbuf++)
			if (wbuf_is(&s->wbufs, wbuf) == WBUF_IS_COLLECTING &&
			    (!oldest || wbuf->order < oldest->order) &&
			    wbuf->of->sealed < sealed_enough(s) && wbuf_can_seal(s, wbuf))
				oldest = wbuf;
		if (!oldest)
			return;
		store_seal(s, oldest);
	}
}

void store_wbuf_free(struct store *s, struct wbuf *wbuf)
{
	wbuf_free(&s->wbufs, wbuf);
	s->wbufs_news |= !mutant("wbuf-untold");
	s->again = true;
}

static void wbuf_flushed(struct store *s, struct wbuf *wbuf)
{
	const struct flush *f = &wbuf->flush;
	struct inode *inode = wbuf->inode;
	uint64_t chunk = f->chunk;

	if (f->result == -EAGAIN && !s->env->disk(s, inode)->failed) {
		wbuf_refuse(&s->wbufs, wbuf, 1); /* some of its nodes may have it: at once, to all */
		return;
	}
	if (f->result == -ENOSPC || f->result == -ENOMEM || f->result == -EBADMSG) {
		/* Nothing is lost: the wbuf stays in the journal, and is sent again. */
		s->env->report(s, inode, chunk, "write-back (will be tried again)", f->result);
		if (!s->env->disk(s, inode)->failed && !mutant("refused-forgotten")) {
			wbuf_refuse(&s->wbufs, wbuf, s->env->now(s) + STORE_RETRY_NS);
			return;
		}
	} else if (f->result < 0) {
		s->env->fail(s, inode, chunk, f->result);
	} else {
		/* Before the wbuf is freed: until then a successor could send its pages again. */
		if (f->sealed && !mutant("seals-forgotten"))
			s->env->seals_set(s, inode, f);
		s->env->index_set(s, inode, chunk, flush_index_entry(f));
		if (f->loses)
			s->env->report(s, inode, chunk, "write-back of a part", -ENODATA);
		store_count(s, inode, chunks_written, 1);
		store_count(s, inode, put_bytes, f->put_bytes);
		store_count(s, inode, put_raw_bytes, f->raw_bytes);
		store_count(s, inode, zero_pages_written, f->zero_pages);
		store_count(s, inode, raw_puts, f->raw);
		store_count(s, inode, delta_puts, f->delta);
		store_count(s, inode, base_fetches, f->base_fetched);
	}
	store_wbuf_free(s, wbuf);
	wbuf = wbufs_collecting(&s->wbufs, inode, chunk);
	if (wbuf && wbuf_disk(&s->wbufs, wbuf)->pages == ~0u)
		store_seal(s, wbuf);
	if (!inode->wbufs)
		s->env->idle(s, inode);
}

static void flushed_look(struct store *s)
{
	struct flush *f;

	while ((f = s->flushed)) {
		s->flushed = f->next;
		if (!s->flushed)
			s->flushed_tail = &s->flushed;
		wbuf_flushed(s, (struct wbuf *)f);
	}
}

/* Ends waits whose deadline has passed, oldest first. May free the lane. */
static void lane_expire(struct store *s, struct store_lane *lane, uint64_t now_ns)
{
	struct store_wait *wait = TAILQ_FIRST(&lane->waits), *next;

	for (; wait && wait->deadline_ns && now_ns > wait->deadline_ns; wait = next) {
		next = TAILQ_NEXT(wait, in);
		wait->error = -ETIMEDOUT;
		store_due(s, wait);
	}
}

static void held_expire(struct store *s, uint64_t now_ns)
{
	struct store_wait *wait, *next;

	for (wait = TAILQ_FIRST(&s->held); wait; wait = next) {
		next = TAILQ_NEXT(wait, in);
		if (!wait->deadline_ns || now_ns <= wait->deadline_ns)
			continue;
		wait->error = -ETIMEDOUT;
		store_due(s, wait);
	}
}

static void timers_look(struct store *s)
{
	uint64_t now = s->timer_ns;
	struct store_lane *lane, *next;

	if (!now)
		return;
	s->timer_ns = 0;
	for (struct wbuf *wbuf = s->wbufs.wbuf;
	     s->wbufs.free < JOURNAL_WBUFS && wbuf != s->wbufs.wbuf + JOURNAL_WBUFS; wbuf++) {
		if (wbuf_is(&s->wbufs, wbuf) == WBUF_IS_REFUSED && wbuf->retry_at_ns <= now) {
			if (s->sealed)
				wbuf_resend_anew(&s->wbufs, wbuf);
			else
				wbuf_resend(&s->wbufs, wbuf);
			store_wbuf_send(s, wbuf);
		} else if (wbuf_can_seal(s, wbuf) && wbuf->opened_ns + STORE_AGE_NS <= now) {
			store_seal(s, wbuf);
		}
	}
	for (lane = TAILQ_FIRST(&s->stalled); lane; lane = next) {
		next = TAILQ_NEXT(lane, in);
		lane_expire(s, lane, now);
	}
	held_expire(s, now);
}

/* ---- fetches */

bool store_is_unseen(struct store *s, const struct inode *inode)
{
	return !s->env->disk(s, inode)->epoch || inode->resident;
}

/* Sends a GET for the pages that are wanted and not valid, unless one is in flight: its end looks
 * again. */
static void entry_fetch(struct store *s, struct cache_entry *e, unsigned want_page)
{
	bool unseen = store_is_unseen(s, e->inode);
	uint32_t pages = e->want & ~(unseen ? 0 : e->valid);

	if (e->fetching || !pages)
		return;
	e->asked = pages;
	/* No page is kept that is older than the last GET: see fuse/read.c. */
	if (unseen)
		e->valid = 0;
	e->late = 0;
	/* The node may answer the GET before it has stored the pages that are still on their way to
	 * it. */
	e->stale = mutant("sent-is-there") ? 0 : wbufs_pages(&s->wbufs, e->inode, e->chunk);
	e->epoch = s->env->disk(s, e->inode)->epoch;
	e->begun = ++s->events;
	e->cut = false;
	store_cut_note(e);
	cache_fetching(&s->cache, e);
	s->env->get(s, e, want_page);
}

/* Called when an entry has no waiter or GET any more. */
static void entry_released(struct store *s, struct cache_entry *e)
{
	e->want = 0;
	s->entries_news |= !mutant("entry-untold");
	s->again = true;
	s->sweep |= !e->inode->opens;
}

void store_entry_wake(struct store *s, struct cache_entry *e, int error)
{
	struct cache_link *link;

	TAILQ_FOREACH(link, &e->links, at) {
		if (error)
			link->wait->error = error;
		store_due(s, link->wait);
	}
}

/* Pages that the GET asked for cannot be had: which says nothing about others, nor what a later GET may bring. */
static bool of_its_pages(int error)
{
	return error == -ENODATA || error == -EBADMSG;
}

/* Those that wait for the next GET ask for it themselves. */
static void later_wake(struct store *s, struct cache_entry *e)
{
	struct cache_link *link, *next;

	for (link = TAILQ_FIRST(&e->links); link; link = next) {
		next = TAILQ_NEXT(link, at);
		if (!link->later)
			continue;
		cache_unlink(link);
		store_due(s, link->wait);
	}
}

static void entry_fetched(struct store *s, struct cache_entry *e)
{
	int error = e->error;

	e->over = false;
	cache_fetched(&s->cache, e);
	s->entries_news = s->again = true; /* the node's share has room */
	if (error && e->epoch != s->env->disk(s, e->inode)->epoch) {
		/* The GET was sent under an attachment that has ended since, and may have been refused for
		 * that alone: it says nothing about the present one. Waiters ask again. */
		e->want = 0;
		error = 0;
	} else if (error && e->cut) {
		e->want = 0; /* for the same reason */
		error = 0;
	} else if (error) {
		s->env->report(s, e->inode, e->chunk, "read", error);
		e->want = 0;
		if (of_its_pages(error))
			later_wake(s, e);
		error = error == -ETIMEDOUT ? -ETIMEDOUT : -EIO;
	} else {
		store_count(s, e->inode, chunks_fetched, 1);
		/* Pages wanted since the GET was sent are fetched at once; a READ that wants pages
		 * which were written meanwhile looks for them in the wbufs. */
		e->want &= ~((e->valid & ~e->late) | e->stale);
		if (!TAILQ_EMPTY(&e->links))
			entry_fetch(s, e, GVM_NO_PAGE);
	}
	store_entry_wake(s, e, error);
	if (cache_is_free(e))
		entry_released(s, e);
}

static void ended_look(struct store *s)
{
	struct cache_entry *e;

	while ((e = STAILQ_FIRST(&s->ended))) {
		STAILQ_REMOVE_HEAD(&s->ended, ended);
		entry_fetched(s, e);
	}
}

/* Drops entries of closed inodes: they are of no more use, and keep the inode. */
static void sweep_look(struct store *s)
{
	for (unsigned i = 0; s->sweep && i < CACHE_ENTRIES; i++) {
		struct cache_entry *e = &s->cache.entries[i];
		struct inode *inode = e->inode;

		if (!inode || inode->opens || !cache_is_free(e))
			continue;
		cache_drop(&s->cache, e);
		s->env->idle(s, inode);
	}
	s->sweep = false;
}

/* Drops entries of closed inodes first: if cache_take() reused one, nothing would release its
 * inode. */
static struct cache_entry *entry_take(struct store *s, struct inode *inode, uint64_t chunk, const void *node)
{
	sweep_look(s);
	return cache_take(&s->cache, inode, chunk, node);
}

/* ---- requests */

static void lane_leave(struct store_lanes *lanes, struct store_wait *wait)
{
	struct store_lane *lane = wait->lane;

	TAILQ_REMOVE(&lane->waits, wait, in);
	lane->count--;
	wait->lane = NULL;
	if (!TAILQ_EMPTY(&lane->waits))
		return;
	TAILQ_REMOVE(lanes, lane, in);
	free(lane);
}

static struct store_lane *lane_make(struct store_lanes *lanes, const struct store_wait *wait)
{
	struct store_lane *lane = malloc(sizeof(*lane));

	if (!lane)
		abort(); /* the successor finds everything in the journal, and in the kernel */
	lane->inode = wait->inode;
	memcpy(lane->nodes, wait->nodes, sizeof(lane->nodes));
	TAILQ_INIT(&lane->waits);
	lane->count = 0;
	TAILQ_INSERT_TAIL(lanes, lane, in);
	return lane;
}

/* wait->nodes are filled in by the caller. */
static void lane_enter(struct store_lanes *lanes, struct store_wait *wait, enum store_wait_state state)
{
	struct store_lane *lane;

	assert(wait->state == WAIT_NOT);
	TAILQ_FOREACH(lane, lanes, in)
		if (lane->inode == wait->inode && !memcmp(lane->nodes, wait->nodes, sizeof(lane->nodes)))
			break;
	wait->lane = lane ? lane : lane_make(lanes, wait);
	wait->state = state;
	TAILQ_INSERT_TAIL(&wait->lane->waits, wait, in);
	wait->lane->count++;
}

static bool is_first_of_others(const struct store_wait *wait)
{
	return wait->lane && TAILQ_FIRST(&wait->lane->waits) == wait && TAILQ_NEXT(wait, in);
}

static void wait_leave(struct store *s, struct store_wait *wait)
{
	/* The next may be let in where this one, which gives up, was not: its chunk has moved, or it needs fewer entries. */
	if (is_first_of_others(wait) && !mutant("next-asleep")) {
		s->wbufs_news |= wait->state == WAIT_WBUF;
		s->entries_news |= wait->state == WAIT_ENTRIES;
		s->again = true;
	}
	if (wait->state == WAIT_DUE)
		TAILQ_REMOVE(&s->due, wait, in);
	else if (wait->state == WAIT_ENTRIES)
		lane_leave(&s->starved, wait);
	else if (wait->state == WAIT_WBUF)
		lane_leave(&s->stalled, wait);
	else if (wait->state == WAIT_ORDER)
		TAILQ_REMOVE(wait->order, wait, in);
	else if (wait->state == WAIT_CUT)
		TAILQ_REMOVE(&s->held, wait, in);
	wait->state = WAIT_NOT;
}

void store_due(struct store *s, struct store_wait *wait)
{
	s->again = true;
	if (wait->state == WAIT_DUE)
		return;
	wait_leave(s, wait);
	wait->state = WAIT_DUE;
	TAILQ_INSERT_TAIL(&s->due, wait, in);
}

void store_unwait(struct store *s, struct store_wait *wait)
{
	wait_leave(s, wait);
	for (unsigned i = 0; i < 2; i++) {
		struct cache_entry *e = wait->on[i].entry;

		if (!e)
			continue;
		cache_unlink(&wait->on[i]);
		if (cache_is_free(e))
			entry_released(s, e);
	}
}

void store_stall(struct store *s, struct store_wait *wait, uint64_t chunk)
{
	store_unwait(s, wait);
	wait->chunk = chunk;
	wait->nodes[0] = wait->nodes[1] = s->env->node(s, wait->inode, chunk);
	lane_enter(&s->stalled, wait, WAIT_WBUF);
	store_seal_oldest(s);
}

void store_follow(struct store *s, struct store_wait *wait, struct store_waits *order)
{
	store_unwait(s, wait);
	wait->order = order;
	wait->state = WAIT_ORDER;
	TAILQ_INSERT_TAIL(order, wait, in);
}

void store_hold(struct store *s, struct store_wait *wait)
{
	store_unwait(s, wait);
	if (!wait->deadline_ns)
		wait->deadline_ns = s->env->deadline(s);
	wait->state = WAIT_CUT;
	TAILQ_INSERT_TAIL(&s->held, wait, in);
}

/* Finds or takes entries for all chunks that a request wants; false: it waits for entries. */
static bool entries_get(struct store *s, struct store_wait *wait, unsigned count, const uint64_t chunk[2],
			struct cache_entry *entry[2])
{
	unsigned needed = 0;

	for (unsigned i = 0; i < count; i++) {
		entry[i] = cache_find(&s->cache, wait->inode, chunk[i]);
		needed += !entry[i];
		wait->nodes[i] = s->env->node(s, wait->inode, chunk[i]);
	}
	if (count == 1)
		wait->nodes[1] = wait->nodes[0];
	wait->count = count;
	/* All or nothing, so that no two requests hold what the other needs. (As many entries must be free as
	 * there are chunks: an entry that was found may itself be free, and must not be taken for the other
	 * chunk.) */
	if (needed && !cache_allow(&s->cache, wait->inode, wait->nodes, count)) {
		store_unwait(s, wait);
		lane_enter(&s->starved, wait, WAIT_ENTRIES);
		return false;
	}
	for (unsigned i = 0; i < count; i++)
		if (entry[i])
			cache_use(&s->cache, entry[i]);
	for (unsigned i = 0; i < count; i++)
		if (!entry[i])
			entry[i] = entry_take(s, wait->inode, chunk[i], wait->nodes[i]);
	return true;
}

/* That to the entry, or a free one. */
static struct cache_link *link_of(struct store_wait *wait, const struct cache_entry *e)
{
	if (wait->on[0].entry == e || wait->on[1].entry == e)
		return &wait->on[wait->on[0].entry == e ? 0 : 1];
	return &wait->on[wait->on[0].entry ? 1 : 0];
}

void store_want(struct store *s, struct store_wait *wait, unsigned count, const uint64_t chunk[2],
		const uint32_t pages[2], unsigned want_page)
{
	struct cache_entry *entry[2];

	if (!entries_get(s, wait, count, chunk, entry))
		return;
	wait->state = WAIT_PAGES;
	for (unsigned i = 0; i < count; i++) {
		struct cache_entry *e = entry[i];
		struct cache_link *link = link_of(wait, e);
		bool comes = !link->entry, joins = e->fetching;

		cache_use(&s->cache, e);
		if (comes) {
			link->wait = wait;
			cache_link(e, link);
		}
		if (e->fetching && store_is_unseen(s, wait->inode))
			e->late |= pages[i];
		e->want |= pages[i];
		entry_fetch(s, e, want_page);
		if (comes || !joins)
			link->later = joins && pages[i] & (~e->asked | e->late);
	}
	for (unsigned i = 0; i < count; i++)
		if (entry[i]->fetching && !entry[i]->over)
			s->env->hurry(s, entry[i]);
}

bool store_ahead(struct store *s, struct inode *inode, uint64_t chunk)
{
	struct cache_entry *e;
	const void *node;

	if (cache_find(&s->cache, inode, chunk))
		return true;
	node = s->env->node(s, inode, chunk);
	if (!cache_spares(&s->cache, node))
		return false;
	e = entry_take(s, inode, chunk, node);
	e->ahead = true;
	e->want = ~0u;
	store_count(s, inode, prefetched, 1);
	entry_fetch(s, e, GVM_NO_PAGE);
	return true;
}

static void wait_go(struct store *s, struct store_wait *wait)
{
	wait_leave(s, wait);
	wait->go(s, wait);
}

static void due_look(struct store *s)
{
	struct store_wait *wait;

	while ((wait = TAILQ_FIRST(&s->due)))
		wait_go(s, wait);
}

static unsigned lanes_count(const struct store_lanes *lanes)
{
	const struct store_lane *lane;
	unsigned n = 0;

	TAILQ_FOREACH(lane, lanes, in)
		n++;
	return n;
}

/* Tries the first of each lane again if it may have what it waits for; returns whether one was tried. The lanes
 * take turns; meanwhile a lane may end and another begin. */
static bool lanes_try(struct store *s, struct store_lanes *lanes,
		      bool (*may)(struct store *s, const struct store_wait *wait))
{
	bool some = false;

	for (unsigned n = lanes_count(lanes); n && !TAILQ_EMPTY(lanes); n--) {
		struct store_lane *lane = TAILQ_FIRST(lanes);
		struct store_wait *wait = TAILQ_FIRST(&lane->waits);

		TAILQ_REMOVE(lanes, lane, in);
		TAILQ_INSERT_TAIL(lanes, lane, in);
		if (!may(s, wait))
			continue;
		some = true;
		wait_go(s, wait);
	}
	return some;
}

static void lanes_look(struct store *s, struct store_lanes *lanes,
		       bool (*may)(struct store *s, const struct store_wait *wait))
{
	while (lanes_try(s, lanes, may))
		;
}

static bool may_have_wbuf(struct store *s, const struct store_wait *wait)
{
	return s->env->disk(s, wait->inode)->failed ||
	       (s->wbufs.free && wbufs_allow(&s->wbufs, wait->inode, s->env->node(s, wait->inode, wait->chunk)));
}

static bool may_have_entries(struct store *s, const struct store_wait *wait)
{
	return s->env->disk(s, wait->inode)->failed || cache_allow(&s->cache, wait->inode, wait->nodes,
			   mutant("two-wanted") ? 2 : wait->count);
}

/* ---- fsyncs */

/* Sends what fsyncs wait for, whenever it has got its wbufs; or all. */
static void seals_look(struct store *s)
{
	if (!s->seal_all && (TAILQ_EMPTY(&s->syncs) || mutant("sync-seals-nothing")))
		return;
	for (struct wbuf *wbuf = s->wbufs.wbuf; wbuf != s->wbufs.wbuf + JOURNAL_WBUFS; wbuf++)
		if (wbuf_can_seal(s, wbuf) && (s->seal_all || wbuf->order <= wbuf->inode->synced))
			store_seal(s, wbuf);
		else if (wbuf->inode && mutant("sync-seals-once"))
			wbuf->inode->synced = 0;
	s->seal_all = false;
}

/* The fsync's result, 0 or a negative errno; 1: it waits on. */
static int sync_result(struct store *s, const struct store_sync *sync, uint64_t now_ns)
{
	if (s->env->disk(s, sync->inode)->failed)
		return -EIO;
	if (wbufs_oldest(&s->wbufs, sync->inode) > sync->until)
		return 0;
	return sync->deadline_ns && now_ns > sync->deadline_ns ? -ETIMEDOUT : 1;
}

static void syncs_check(struct store *s)
{
	uint64_t now = TAILQ_EMPTY(&s->syncs) ? 0 : s->env->now(s);
	struct store_sync *sync = TAILQ_FIRST(&s->syncs);

	while (sync) {
		int error = sync_result(s, sync, now);

		if (error > 0) {
			sync = TAILQ_NEXT(sync, in);
			continue;
		}
		TAILQ_REMOVE(&s->syncs, sync, in);
		sync->done(s, sync, error);
		sync = TAILQ_FIRST(&s->syncs); /* done() may have changed the list */
	}
}

/* ---- the turn */

static void waiting_look(struct store *s)
{
	bool some;

	if (s->entries_news) {
		s->entries_news = false;
		lanes_look(s, &s->starved, may_have_entries);
	}
	if (s->wbufs_news) {
		s->wbufs_news = false;
		do {
			some = store_spill_try(s);
			some |= lanes_try(s, &s->stalled, may_have_wbuf);
		} while (some);
		syncs_check(s);
	}
}

void store_turn(struct store *s)
{
	if (s->turning)
		return; /* an event within a turn: the loop below handles it */
	s->turning = true;
	while (s->again) {
		s->again = false;
		flushed_look(s);
		ended_look(s);
		timers_look(s);
		due_look(s);
		waiting_look(s);
		seals_look(s);
		sweep_look(s);
	}
	s->turning = false;
}

/* When the next timer is due. */
static uint64_t timers_next(struct store *s)
{
	uint64_t next = ~0ull;
	const struct store_lane *lane;
	const struct store_sync *sync;
	const struct store_wait *wait;

	TAILQ_FOREACH(wait, &s->held, in)
		if (wait->deadline_ns && wait->deadline_ns < next)
			next = wait->deadline_ns;
	TAILQ_FOREACH(lane, &s->stalled, in) {
		const struct store_wait *first = TAILQ_FIRST(&lane->waits);

		if (first->deadline_ns && first->deadline_ns < next)
			next = first->deadline_ns;
	}
	for (struct wbuf *wbuf = s->wbufs.wbuf;
	     s->wbufs.free < JOURNAL_WBUFS && wbuf != s->wbufs.wbuf + JOURNAL_WBUFS; wbuf++) {
		uint64_t due = ~0ull;

		if (wbuf_is(&s->wbufs, wbuf) == WBUF_IS_REFUSED)
			due = wbuf->retry_at_ns;
		else if (wbuf_can_seal(s, wbuf))
			due = wbuf->opened_ns + STORE_AGE_NS;
		if (due < next)
			next = due;
	}
	TAILQ_FOREACH(sync, &s->syncs, in)
		if (sync->deadline_ns && sync->deadline_ns < next)
			next = sync->deadline_ns;
	return next;
}

uint64_t store_tick(struct store *s, uint64_t now_ns)
{
	uint64_t tidy, next;

	s->timer_ns = now_ns;
	s->again = true;
	s->wbufs_news |= !TAILQ_EMPTY(&s->syncs); /* a sync's deadline may have passed */
	store_spill_go_on(s);
	store_turn(s);
	tidy = store_tidy(s, now_ns);
	next = timers_next(s);
	next = store_spill_goes_on(s) ? now_ns : next;
	return tidy < next ? tidy : next;
}
