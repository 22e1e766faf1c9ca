// SPDX-License-Identifier: GPL-2.0-or-later
/* resident_fetch.c - how chunks of resident.h come: zeros, fetches, read-ahead, and chunks that
 * wait for room. */
#include "base/mutant.h"
#include "page_run.h"
#include "resident_priv.h"

#include <assert.h>
#include <errno.h>

bool chunk_is_zero(const struct resident *r, uint64_t c)
{
	uint64_t entry = r->index[c];

	return !entry || entry & GVM_VERSION_ZERO;
}

/* How many GETs are in flight to a node. */
static unsigned fetches_of(const struct residents *rs, const void *node)
{
	unsigned n = 0;

	for (unsigned i = 0; i < RESIDENT_FETCHES + RESIDENT_SPARE; i++)
		n += rs->fetch_node[i] == node;
	return n;
}

/* How many GETs may begin. (More than allowed can be in flight after a region has ended: 0 then,
 * too.) */
static unsigned fetches_left(const struct residents *rs)
{
	unsigned most = RESIDENT_FETCHES + rs->count - 1;

	return rs->fetching < most ? most - rs->fetching : 0;
}

/* Whether a region may have one more GET in flight. In case this chunk's node is dead, one GET is
 * left for each region that has none, and for the chunks of other nodes half as many as this node's
 * have. */
bool fetch_allowed(const struct resident *r, uint64_t c)
{
	const struct residents *rs = r->rs;
	unsigned without = rs->count - rs->fetchers - !r->fetches, left = fetches_left(rs);

	return left > without && (3 * left >= left + rs->fetching ||
				  fetches_of(rs, chunk_node(r, c)) <= 2 * left);
}

/* The same for a GET that a fault or a request waits for; if it is refused, the region is told when
 * one is free. */
static bool fetch_wanted_allowed(struct resident *r, uint64_t c)
{
	if (fetch_allowed(r, c))
		return true;
	resident_want(r);
	return false;
}

bool fetch_ahead_allowed(const struct resident *r, uint64_t c)
{
	unsigned left = fetches_left(r->rs);

	return fetch_allowed(r, c) && (r->rs->fetching < left || fetches_of(r->rs, chunk_node(r, c)) < left);
}

/* The answer to a fault that comes from elsewhere is behind those of the chunks ahead of a reader, on the connection and in
 * the front. While such faults come, few of these are under way from a node. */
static bool stream_allowed(const struct resident *r, uint64_t c)
{
	return r->env->now(r) - r->rs->elsewhere_ns >= RESIDENT_ELSEWHERE_NS ||
	       fetches_of(r->rs, chunk_node(r, c)) < RESIDENT_BESIDE;
}

bool resident_has_room(const struct resident *r, unsigned pages)
{
	/* (Of what a predecessor left, `here` may count more than there is.) */
	return r->here + r->coming + pages <= r->local || !resident_is_bounded(r) || r->over || r->pinned;
}

static int run_zero(struct resident *r, uint64_t c, unsigned first, unsigned n, void *arg)
{
	(void)arg;
	return pages_put(r, c, first, n, NULL, false);
}

/* Fills the whole chunk, since nothing has to be fetched. */
static void fill_with_zeros(struct resident *r, uint64_t c, unsigned page)
{
	uint32_t pages = ~r->mark[c].filled;
	int error = for_page_runs(r, c, pages & chunk_pages(r, c), run_zero, NULL);

	if (error) {
		/* Some pages were put in, and the client may have changed them. */
		if (r->mark[c].filled && r->chunk[c].state == CHUNK_ABSENT)
			chunk_activate(r, c);
		client_trouble(r, error);
		if (error == -ENOMEM && !mutant("zeros-asleep"))
			chunk_block(r, c, page);
		return;
	}
	chunk_fill(r, c, pages);
	r->chunk[c].whole = true;
	if (pages == ~0u) {
		r->chunk[c].hashes = r->zero_hashes;
		r->chunk[c].known = ~0u;
	} else {
		hashes_learn(r, c, r->zero_hashes, pages);
	}
	resident_count(r, zero_pages_read, (unsigned)__builtin_popcount(pages));
	chunk_activate(r, c);
	pages_wake(r, c, pages);
	resident_ios_look(r);
}

/* A chunk that was put in unmapped waits for its first use. What only an earlier start used goes first if there is none. */
static void chunk_wait(struct resident *r, uint64_t c, bool replay)
{
	chunk_set_state(r, c, CHUNK_INACTIVE);
	r->chunk[c].ahead = true;
	r->chunk[c].replayed = replay;
	if (replay)
		chunk_enlist_first(r, c, LIST_INACTIVE);
	else
		chunk_enlist(r, c, LIST_INACTIVE);
}

void fill_ahead_with_zeros(struct resident *r, uint64_t c)
{
	int error = pages_put_hidden(r, c, ~0u, NULL);

	if (error) {
		/* Some pages may be in. */
		if (r->mark[c].filled)
			chunk_activate(r, c);
		return;
	}
	r->chunk[c].whole = true;
	r->chunk[c].hashes = r->zero_hashes;
	r->chunk[c].known = ~0u;
	chunk_wait(r, c, true);
}

static struct resident_fetch *fetch_new(struct residents *rs)
{
	struct resident_fetch *f = &rs->fetches[rs->fetches_used];

	assert(rs->fetches_used < RESIDENT_FETCHES + RESIDENT_SPARE);
	f->data = rs->data + (size_t)rs->fetches_used++ * GVM_CHUNK_BYTES;
	return f;
}

struct resident_fetch *fetch_take(struct resident *r, uint64_t c)
{
	struct residents *rs = r->rs;
	struct resident_fetch *f = rs->fetches_free;

	if (f)
		rs->fetches_free = f->next_free;
	else
		f = fetch_new(rs);
	rs->fetching++;
	rs->fetchers += !r->fetches++;
	f->r = r;
	f->chunk = c;
	f->replay = f->gives = false;
	rs->fetch_node[f - rs->fetches] = chunk_node(r, c);
	return f;
}

static struct resident_fetch *fetch_prepare(struct resident *r, uint64_t c, unsigned page, uint32_t pages, bool ahead)
{
	struct resident_fetch *f = fetch_take(r, c);

	f->asked = pages & ~r->mark[c].filled;
	f->decoded = 0;
	f->waited = page == GVM_NO_PAGE ? 0 : 1u << page;
	f->ahead = ahead;
	f->over = false;
	r->coming += (unsigned)__builtin_popcount(f->asked);
	r->chunk[c].whole |= (unsigned)__builtin_popcount(f->asked) > RESIDENT_WINDOW;
	r->chunk[c].several |= __builtin_popcount(f->asked) > 1;
	chunk_unlist(r, c);
	chunk_set_state(r, c, CHUNK_FILLING);
	r->chunk[c].fetch = f;
	return f;
}

static void fetch_start(struct resident *r, uint64_t c, unsigned page, uint32_t pages, bool ahead)
{
	r->env->get(r, fetch_prepare(r, c, page, pages, ahead), page);
}

void fetch_replay(struct resident *r, uint64_t c, uint32_t pages)
{
	struct resident_fetch *f = fetch_prepare(r, c, GVM_NO_PAGE, pages, true);

	f->replay = true;
	r->replaying++;
	r->rs->replaying++;
	r->env->get(r, f, GVM_NO_PAGE);
}

void fetch_give(struct resident_fetch *f)
{
	struct residents *rs = f->r->rs;

	assert(rs->fetching && f->r->fetches && (!f->replay || (f->r->replaying && rs->replaying)));
	f->r->replaying -= f->replay;
	rs->replaying -= f->replay;
	rs->fetchers -= !--f->r->fetches;
	f->r = NULL;
	rs->fetch_node[f - rs->fetches] = NULL;
	f->next_free = rs->fetches_free;
	rs->fetches_free = f;
	rs->fetching--;
	rs->freed = true;
}

static void fetch_free(struct resident_fetch *f)
{
	f->r->chunk[f->chunk].fetch = NULL;
	f->r->coming -= (unsigned)__builtin_popcount(f->asked);
	if (f->r->chunk[f->chunk].rotten)
		rot_note(f->r, f->chunk);
	fetch_give(f);
}

void fetches_cancel(struct resident *r)
{
	for (unsigned i = 0; i < r->rs->fetches_used && r->fetches; i++)
		if (r->rs->fetches[i].r == r && !r->rs->fetches[i].over)
			r->env->get_cancel(r, &r->rs->fetches[i]);
}

static int run_copy(struct resident *r, uint64_t c, unsigned first, unsigned n, void *arg)
{
	struct resident_fetch *f = arg;
	uint32_t run = page_run_mask(first, n);
	bool wake = (run & f->waited) != 0;
	int error = pages_put(r, c, first, n, f->data, wake);

	if (!error && wake)
		f->waited &= ~run;
	return error;
}

/* Puts the pages that have arrived into the client's memory. */
static int fetch_show(struct resident_fetch *f)
{
	struct resident *r = f->r;
	uint32_t pages = f->decoded & ~r->mark[f->chunk].filled & chunk_pages(r, f->chunk);

	return for_page_runs(r, f->chunk, pages, run_copy, f);
}

/* These pages cannot be fetched: accesses to them get SIGBUS or, where the kernel cannot do that,
 * the region is aborted. */
static void pages_fail(struct resident *r, uint64_t c, uint32_t pages)
{
	int error = 0;

	for (unsigned p = 0; !error && p < GVM_CHUNK_PAGES; p++)
		if (pages >> p & 1)
			error = r->env->poison(r, c, p);
	resident_count(r, io_errors, 1);
	if (error == -ESRCH || error == -ENOENT || error == -ENOMEM)
		client_trouble(r, error);
	else if (error)
		resident_abort(r, "a page of its memory cannot be fetched");
	if (!error || error == -ENOMEM) /* (it tries again) */
		pages_wake(r, c, pages);
}

/* A chunk's fetch is over: its pages decide its state. */
static void fetch_over(struct resident *r, uint64_t c)
{
	r->chunk[c].streamed = false;
	if (!r->mark[c].filled) {
		chunk_set_state(r, c, CHUNK_ABSENT);
	} else if (r->draining) {
		chunk_set_state(r, c, CHUNK_INACTIVE);
		chunk_enlist(r, c, LIST_INACTIVE);
	} else {
		chunk_activate(r, c);
	}
}

static void fetch_failed(struct resident *r, uint64_t c, uint32_t waited, int error)
{
	r->env->report(r, c, "read", error);
	if (r->chunk[c].rotten && r->mark[c].filled != ~0u) {
		r->chunk[c].lost = error == -EBADMSG || error == -ENODATA;
		r->chunk[c].rotten = r->chunk[c].lost; /* what is here is sent */
	}
	fetch_over(r, c);
	if (waited && !r->aborted)
		pages_fail(r, c, waited);
}

static void fetch_hash(struct resident_fetch *f)
{
	XXH128_hash_t all[GVM_CHUNK_PAGES];

	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		if (f->asked >> p & 1)
			hash_page(f->data + p * GVM_PAGE_BYTES, f->r->seed, &all[p]);
	hashes_learn(f->r, f->chunk, all, f->asked);
}

static void fetch_finish(struct resident_fetch *f)
{
	struct resident *r = f->r;
	uint64_t c = f->chunk;
	struct chunk *k = &r->chunk[c];
	/* Pages that were filled meanwhile (punched: holes) stay as they are. */
	bool ahead = f->ahead && !r->mark[c].filled, replay = f->replay, gives = f->gives && !f->waited;
	uint32_t asked = f->asked, waited;
	bool wanted;
	int error = 0;

	/* A prefetched chunk stays unmapped: so its first use is noticed, and if there is none it
	 * is evicted early. */
	if (ahead && pages_put_hidden(r, c, asked, f->data) < 0)
		ahead = false;
	if (!ahead)
		error = fetch_show(f);
	if (error) {
		waited = f->waited;
		wanted = waited || !(f->ahead || k->streamed);
		fetch_free(f);
		fetch_over(r, c);
		client_trouble(r, error);
		if (error == -ENOMEM && wanted && !mutant("short-asleep"))
			chunk_block(r, c, waited ? (unsigned)__builtin_ctz(waited) : GVM_NO_PAGE);
		return;
	}
	/* Wake the faulters of pages that were not requested, or that became holes: they fault
	 * again. */
	if (!ahead && !mutant("rest-asleep"))
		pages_wake(r, c, f->waited);
	resident_count(r, chunks_fetched, 1);
	chunk_fill(r, c, asked);
	fetch_hash(f);
	fetch_free(f);
	if (ahead) {
		chunk_wait(r, c, replay);
	} else {
		chunk_activate(r, c);
		if (gives)
			chunk_enlist_first(r, c, LIST_ACTIVE);
	}
	resident_ios_look(r);
}

static int fetch_end(struct resident_fetch *f, int error)
{
	struct resident *r = f->r;
	uint64_t c = f->chunk;
	uint32_t lacking, others, kept;
	int trouble = 0;

	/* A page that is marked as filled and missing would be read as zeros. */
	if (!error && f->asked & ~f->decoded)
		error = -EBADMSG;
	if (error && !r->client_gone && !f->ahead)
		trouble = fetch_show(f); /* what has come is right */
	lacking = f->waited & f->asked & ~r->mark[c].filled;
	others = f->waited & ~lacking;
	kept = lacking & f->decoded; /* what has come, and could not be put in */

	if (r->client_gone) {
		fetch_free(f);
		fetch_over(r, c);
	} else if (error) {
		fetch_free(f);
		fetch_failed(r, c, lacking & ~kept, error);
		if (trouble)
			client_trouble(r, trouble);
		if (trouble == -ENOMEM && kept && !r->client_gone && !r->aborted)
			chunk_block(r, c, (unsigned)__builtin_ctz(kept));
		pages_wake(r, c, others);
		give_failed(r, c, error);
		resident_ios_look(r);
		return error == -ETIMEDOUT ? -ETIMEDOUT : -EIO;
	} else {
		fetch_finish(f);
	}
	resident_ios_look(r);
	return 0;
}

int fetch_look(struct resident_fetch *f)
{
	if (f->over)
		return fetch_end(f, f->error);
	if (!f->ahead && !f->r->client_gone && (f->waited || !f->r->chunk[f->chunk].streamed))
		fetch_show(f); /* an error comes again at the end of the fetch, and is handled there */
	return 0;
}

void resident_bring(struct resident *r, uint64_t c, unsigned page, uint32_t pages)
{
	struct chunk *k = &r->chunk[c];
	bool zero = chunk_is_zero(r, c);

	pages = zero ? ~r->mark[c].filled : pages & ~r->mark[c].filled;
	if (!pages || k->state == CHUNK_FILLING || k->list == LIST_BLOCKED || r->client_gone ||
	    r->aborted || (r->give_asked && !mutant("told-served")))
		return;
	if (!resident_has_room(r, (unsigned)__builtin_popcount(pages))) {
		resident_count(r, room_waits, 1);
		room_lacked(r);
		chunk_block(r, c, page);
	} else if (!zero && !fetch_wanted_allowed(r, c)) {
		chunk_block(r, c, page);
	} else if (zero) {
		fill_with_zeros(r, c, page);
	} else {
		fetch_start(r, c, page, pages, false);
	}
}

void resident_miss(struct resident *r, uint64_t c, unsigned page)
{
	uint32_t pages = spread_want(r, c, page);

	if (r->chunk[c].state == CHUNK_EVICTING)
		resident_count(r, evictions_ended, 1);
	/* Rather alone than after a wait for room. */
	if (!resident_has_room(r, (unsigned)__builtin_popcount(pages & ~r->mark[c].filled)))
		pages = 1u << page;
	resident_bring(r, c, page, pages);
	trail_note(r, c, 1u << page | (r->chunk[c].state == CHUNK_FILLING ? r->chunk[c].fetch->asked : r->mark[c].filled));
}

bool resident_complete(struct resident *r, uint64_t c)
{
	uint32_t lacking = ~r->mark[c].filled;

	if (r->chunk[c].list == LIST_BLOCKED || !resident_has_room(r, (unsigned)__builtin_popcount(lacking)) ||
	    !fetch_ahead_allowed(r, c))
		return false;
	fetch_start(r, c, GVM_NO_PAGE, lacking, false);
	return true;
}

bool fetch_give_start(struct resident *r, uint64_t c)
{
	struct resident_fetch *f;

	if (!fetch_ahead_allowed(r, c))
		return false;
	f = fetch_prepare(r, c, GVM_NO_PAGE, ~0u, false);
	f->gives = true;
	r->env->get(r, f, GVM_NO_PAGE);
	return true;
}

/* For how many pages a blocked chunk needs room. */
static unsigned blocked_need(const struct resident *r, uint64_t c)
{
	unsigned page = r->chunk[c].want_page;
	uint32_t filled = r->mark[c].filled;

	if (page != GVM_NO_PAGE && filled >> page & 1)
		return chunk_holes(r, c) >> page & 1;
	return page != GVM_NO_PAGE && !chunk_is_zero(r, c) ? 1 : (unsigned)__builtin_popcount(~filled);
}

bool blocked_continue(struct resident *r)
{
	uint32_t at = r->lists[LIST_BLOCKED].head;
	bool some = false;

	while (at && !r->client_gone && !r->aborted && !r->short_at_ns) {
		uint64_t c = at - 1;
		unsigned page = r->chunk[c].want_page;

		at = r->chunk[c].next; /* stays valid: only c is taken out, others are added at the end */
		if (!resident_has_room(r, blocked_need(r, c)))
			return some;
		/* If its node has used up its share, chunks of other nodes, and zeros, overtake it. */
		if (!chunk_is_zero(r, c) && !fetch_wanted_allowed(r, c))
			continue;
		some = true;
		chunk_unlist(r, c);
		if (r->chunk[c].state != CHUNK_ABSENT)
			chunk_activate(r, c);
		/* Faulters of the chunk's other pages fault again. */
		pages_wake(r, c, page == GVM_NO_PAGE ? ~0u : ~(1u << page));
		if (page == GVM_NO_PAGE) {
			resident_bring(r, c, page, ~0u);
		} else if (r->mark[c].filled >> page & 1) {
			chunk_show(r, c, page);
			resident_ios_look(r); /* a write may still wait for other pages of the chunk */
		} else {
			resident_miss(r, c, page);
		}
	}
	return some;
}

/* A fault in chunk c: its reader has passed the streamed chunks just before it, which did not fault. */
static void stream_passed(struct resident *r, uint64_t c)
{
	uint64_t passed = c, ahead[READAHEAD_WINDOW];

	while (passed && r->chunk[passed - 1].streamed)
		passed--;
	for (; passed < c; passed++) {
		r->chunk[passed].streamed = false;
		trail_used(r, passed);
		readahead_note(&r->readahead, passed * GVM_CHUNK_PAGES, GVM_CHUNK_PAGES, r->chunks, ahead);
	}
}

/* Whether a reader in order is still to come to this chunk. */
static bool is_ahead(const struct chunk *k)
{
	return k->streamed || k->ahead || (k->state == CHUNK_FILLING && k->fetch->ahead);
}

/* Fetches those of n chunks ahead of a reader that are not here. */
static void chunks_ahead(struct resident *r, const uint64_t *ahead, unsigned n, bool sure)
{
	for (unsigned i = 0; i < n; i++) {
		struct chunk *k = &r->chunk[ahead[i]];

		chunk_take(r, ahead[i]);
		if (k->state != CHUNK_ABSENT || k->list || chunk_is_zero(r, ahead[i]))
			continue;
		if (!resident_has_room(r, 2 * GVM_CHUNK_PAGES) || !fetch_ahead_allowed(r, ahead[i]) ||
		    !stream_allowed(r, ahead[i]))
			return;
		resident_count(r, prefetched, 1);
		/* Streamed chunks follow a chunk that is not: its fault shows that the reader comes
		 * to them. */
		k->streamed = sure && ahead[i] % RESIDENT_STREAM && is_ahead(k - 1);
		fetch_start(r, ahead[i], GVM_NO_PAGE, ~0u, !k->streamed);
		if (k->streamed) /* its use is not seen, unless the reader goes on for long */
			trail_note(r, ahead[i], ~0u);
	}
}

void resident_ahead(struct resident *r, uint64_t c, unsigned page)
{
	uint64_t ahead[READAHEAD_WINDOW];
	unsigned n;
	bool sure;

	/* A streamed chunk faults only if it has arrived late; its reader is noted with the next
	 * chunk that is not streamed. */
	if (r->chunk[c].streamed)
		return;
	stream_passed(r, c);
	n = readahead_note(&r->readahead, c * GVM_CHUNK_PAGES + page, GVM_CHUNK_PAGES - page, r->chunks, ahead);
	/* A sure reader has gone forward in order for long enough; with strides, or backwards, each
	 * chunk faults. */
	sure = n == READAHEAD_WINDOW && ahead[0] > c && ahead[n - 1] - c < READAHEAD_WINDOW + RESIDENT_STREAM;
	if (r->readahead.elsewhere && fetches_of(r->rs, chunk_node(r, c)) >= RESIDENT_BESIDE)
		r->rs->elsewhere_ns = r->env->now(r);
	if (!n)
		return;
	r->env->gather(r, true);
	chunks_ahead(r, ahead, n, sure);
	r->env->gather(r, false);
}
