// SPDX-License-Identifier: GPL-2.0-or-later
/* fetch.c - see fetch.h. */
#include "fetch.h"

#include "base/mutant.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define PATIENCE_MIN_NS	  1000000ull
#define PATIENCE_MAX_NS	  500000000ull
#define PATIENCE_FIRST_NS 20000000ull /* for a node whose latency is not known yet */
#define ROUND_NS	  1000000000ull	 /* deadline of the requests of a round */
#define PAUSE_NS	  100000000ull	 /* between two rounds */
/* Limit of the whole fetch: a writer takes a node for lost after 6 s without an answer, and 3 s later records that it
 * goes on without it (replicas.c), or earlier if a write waits for that. */
#define NEWEST_NS	  15000000000ull
#define US		  1000ull

void fetches_init(struct fetches *fs)
{
	*fs = (struct fetches){0};
	TAILQ_INIT(&fs->waiting);
}

uint64_t fetch_patience_ns(const struct fetch_latency *l)
{
	uint64_t ns = ((uint64_t)l->average_us + 4ull * l->spread_us) * US;

	if (!l->average_us)
		return PATIENCE_FIRST_NS;
	return ns < PATIENCE_MIN_NS ? PATIENCE_MIN_NS : ns > PATIENCE_MAX_NS ? PATIENCE_MAX_NS : ns;
}

void fetch_latency_learn(struct fetch_latency *l, uint64_t ns)
{
	uint64_t us = ns / US < UINT32_MAX / 8 ? ns / US + 1 : UINT32_MAX / 8;
	uint64_t away;

	if (!l->average_us) {
		l->average_us = (uint32_t)us;
		l->spread_us = (uint32_t)us / 2;
		return;
	}
	away = us > l->average_us ? us - l->average_us : l->average_us - us;
	l->spread_us = (uint32_t)((3ull * l->spread_us + away) / 4);
	l->average_us = (uint32_t)((7ull * l->average_us + us) / 8);
}

/* ---- the wait for the first node */

/* Keeps the list sorted. Few fetches wait at a time, with similar patience: searching from the end is quick. */
static void wait_add(struct fetch *f, uint64_t at_ns)
{
	struct fetches *fs = f->fetches;
	struct fetch *before = TAILQ_LAST(&fs->waiting, fetch_list);

	assert(!f->hedge_at_ns && at_ns);
	f->hedge_at_ns = at_ns;
	while (before && before->hedge_at_ns > at_ns)
		before = TAILQ_PREV(before, fetch_list, entry);
	if (before)
		TAILQ_INSERT_AFTER(&fs->waiting, before, f, entry);
	else
		TAILQ_INSERT_HEAD(&fs->waiting, f, entry);
}

static void wait_end(struct fetch *f)
{
	if (f->hedge_at_ns)
		TAILQ_REMOVE(&f->fetches->waiting, f, entry);
	f->hedge_at_ns = 0;
}

/* ---- requests */

/* Cancels the requests in flight; their results are ignored. */
static void requests_drop(struct fetch *f)
{
	f->ended = true;
	for (unsigned i = 0; i < f->asked; i++)
		if (f->request[i].under_way)
			gvm_cancel(&f->request[i].get.req);
	f->ended = false;
}

static void rotten_tell(const struct fetch *f, bool lost)
{
	for (unsigned i = 0; f->fetches->rotten && i < f->ways; i++)
		if (f->rotten >> i & 1)
			f->fetches->rotten(f->fetches, f, &f->way[i].node, lost);
}

static void all_again(struct fetch *f);

/* The nodes have answered, and no other thread decodes a part any more. */
static void fetch_over(struct fetch *f)
{
	assert(f->ended && f->over && !f->later);
	f->over = false;
	if (f->spoilt && !f->result)
		all_again(f);
	else
		f->done(f, f->result);
}

void fetch_looked(struct fetch *f, int error)
{
	assert(f->later);
	f->spoilt |= error && !mutant("spoilt-given-up");
	if (!--f->later && f->over)
		fetch_over(f);
}

static void fetch_end(struct fetch *f, int result)
{
	f->ended = f->over = true;
	f->result = result;
	wait_end(f);
	for (unsigned i = 0; i < f->asked; i++)
		if (f->request[i].under_way)
			gvm_cancel(&f->request[i].get.req);
	if (!result || result == -EBADMSG)
		rotten_tell(f, result);
	if (!f->later)
		fetch_over(f);
}

static int request_piece(struct gvm_get *get, uint64_t version, const struct chunk_head *head, const uint8_t *body)
{
	struct fetch_request *q = (struct fetch_request *)get;
	struct fetch *f = q->fetch;
	/* The version is not below the requested one: the node and the client library check that. */
	int error = f->ended ? 0 : f->piece(f, get->req.conn, version, head, body);

	if (error == FETCH_LATER)
		f->later++;
	q->lost |= error == -ENODATA;
	return error == -ENODATA || error == FETCH_LATER ? 0 : error;
}

static void next_ask(struct fetch *f);
static void newest_again(struct fetch *f, int error);

static bool any_under_way(const struct fetch *f)
{
	for (unsigned i = 0; i < f->asked; i++)
		if (f->request[i].under_way)
			return true;
	return false;
}

static unsigned rotten_count(const struct fetch *f)
{
	unsigned n = 0;

	for (unsigned i = 0; i < f->asked; i++)
		n += f->request[i].rotten;
	return n;
}

/* Whether a node said that its copy has a version, and no more: no page of it can be had. */
static bool is_headless(const struct fetch_request *q, int result)
{
	return result == -EBADMSG && q->get.req.detail;
}

static void single_next(struct fetch *f, uint32_t page)
{
	f->left &= ~page;
	f->what.page_mask = page;
	f->what.want_page = (uint8_t)__builtin_ctz(page);
	f->asked = 0;
	f->error = 0;
	next_ask(f);
}

/* Whether some way may have some of the pages. */
static bool is_divisible(const struct fetch *f)
{
	uint32_t pages = f->what.page_mask;

	if (!(pages & (pages - 1)) || mutant("rot-undivided"))
		return false;
	for (unsigned i = 0; i < f->asked; i++)
		if (f->request[i].rotten && !f->request[i].headless)
			return true;
	return false;
}

static void singles_begin(struct fetch *f)
{
	uint32_t pages = f->what.page_mask;
	unsigned want = f->what.want_page;

	f->single = true;
	f->left = pages;
	single_next(f, want < GVM_CHUNK_PAGES && pages >> want & 1 ? 1u << want : pages & -pages);
}

/* Whether the next single page cannot be had either: but a node whose copy of this one is rotten may have it. */
static bool is_hopeless(const struct fetch *f, int error)
{
	return error == -ETIMEDOUT || (error && error != -EBADMSG && error != -ENODATA && !rotten_count(f));
}

/* One of the single pages has come, or is not to be had. */
static void single_end(struct fetch *f, int error)
{
	bool hopeless = is_hopeless(f, error);

	wait_end(f);
	requests_drop(f);
	if (!f->lacks)
		f->lacks = error;
	if (hopeless)
		fetch_end(f, error);
	else if (f->left)
		single_next(f, f->left & -f->left);
	else
		fetch_end(f, f->lacks);
}

/* A way has brought what was asked for, or none has. */
static void ways_end(struct fetch *f, int error)
{
	if (f->single)
		single_end(f, error);
	else if (!error || error == -ENODATA)
		fetch_end(f, error);
	else if (f->newest.ways && rotten_count(f) < f->ways)
		newest_again(f, error);
	else if (is_divisible(f))
		singles_begin(f);
	else
		fetch_end(f, error);
}

static void answer_time(const struct fetch *f, const struct fetch_request *q)
{
	uint64_t took_ns = gvm_now_ns() - q->sent_ns;

	if (f->ways > 1)
		fetch_latency_learn(q->latency, took_ns);
	f->fetches->answers++;
	f->fetches->took_ns += took_ns;
}

static void request_done(struct gvm_req *req)
{
	struct fetch_request *q = (struct fetch_request *)req;
	struct fetch *f = q->fetch;
	int result = !req->result && q->lost ? -ENODATA : req->result;

	q->under_way = false;
	if (f->ended)
		return;
	if (!req->result && q->sent_ns)
		answer_time(f, q);
	q->rotten = result == -EBADMSG;
	q->headless = is_headless(q, result);
	f->rotten |= (uint8_t)(q->rotten << (q - f->request));
	if (!f->error)
		f->error = result;
	if (result == -EKEYREVOKED || result == -ECANCELED)
		fetch_end(f, result);
	else if (!result || result == -ENODATA)
		ways_end(f, result);
	else if (f->asked < f->ways)
		next_ask(f);
	else if (!any_under_way(f))
		ways_end(f, f->error);
}

static void next_ask(struct fetch *f)
{
	const struct fetch_way *way = &f->way[f->asked];
	struct fetch_request *q = &f->request[f->asked++];

	wait_end(f);
	*q = (struct fetch_request){.fetch = f, .latency = way->latency, .under_way = true};
	q->get.req = (struct gvm_req){.done = request_done, .deadline_ns = f->deadline_ns, .node = way->node};
	q->get.on_piece = request_piece;
	q->get.what = f->what;
	if (f->ways > 1 || f->fetches->timed)
		q->sent_ns = gvm_now_ns();
	if (f->asked < f->ways)
		wait_add(f, q->sent_ns + fetch_patience_ns(way->latency));
	gvm_get(way->conn, &q->get);
}

static void ways_set(struct fetches *fs, struct fetch *f, const struct fetch_way *way, unsigned ways)
{
	assert(ways && ways <= RECORD_PLACES);
	f->fetches = fs;
	f->ways = ways;
	for (unsigned i = 0; i < ways; i++)
		f->way[i] = way[i];
	f->asked = 0;
	f->error = 0;
	f->ended = f->single = false;
	f->rotten = 0;
	f->lacks = 0;
	f->hedge_at_ns = 0;
	f->newest.pauses = false;
}

static void all_again(struct fetch *f)
{
	struct fetch_way way[RECORD_PLACES];

	memcpy(way, f->way, sizeof(way));
	ways_set(f->fetches, f, way, f->ways);
	f->spoilt = false;
	f->here = true;
	next_ask(f);
}

/* (A part that is looked at beside outlasts a round, or the ways that were asked first.) */
static void beside_begin(struct fetch *f)
{
	f->later = 0;
	f->beside = 0;
	f->over = f->spoilt = f->here = false;
}

void fetch_begin(struct fetches *fs, struct fetch *f, const struct fetch_way *way, unsigned ways)
{
	f->newest.ways = 0;
	beside_begin(f);
	ways_set(fs, f, way, ways);
	next_ask(f);
}

/* ---- which replicas have the newest version */

static bool is_over(const struct fetch *f)
{
	return gvm_now_ns() >= f->newest.until_ns;
}

static void newest_again(struct fetch *f, int error)
{
	if (is_over(f)) {
		fetch_end(f, error);
		return;
	}
	wait_add(f, gvm_now_ns() + PAUSE_NS);
	f->newest.pauses = true;
}

static uint64_t round_deadline(const struct fetch *f)
{
	uint64_t ns = gvm_now_ns() + ROUND_NS;

	return ns < f->newest.until_ns ? ns : f->newest.until_ns;
}

static int probe_piece(struct gvm_get *get, uint64_t version, const struct chunk_head *head, const uint8_t *body)
{
	struct fetch_request *q = (struct fetch_request *)get;

	(void)head;
	(void)body;
	q->version = version;
	return 0;
}

/* All have answered: asks those that have the newest version for the chunk. */
static void probes_end(struct fetch *f)
{
	struct fetch_way newest[RECORD_PLACES];
	uint64_t version = 0;
	unsigned ways = 0;

	if (f->error == -EKEYREVOKED) {
		fetch_end(f, f->error);
		return;
	}
	if (f->error) { /* a replica failed: a later view may exclude it */
		newest_again(f, -EHOSTDOWN);
		return;
	}
	for (unsigned i = 0; i < f->ways; i++)
		version = f->request[i].version > version ? f->request[i].version : version;
	for (unsigned i = 0; i < f->ways; i++)
		if (f->request[i].version == version && !f->request[i].rotten)
			newest[ways++] = f->way[i];
	if (!ways) { /* only rotten copies have this version: its writer may still be sending it to the others */
		newest_again(f, -EBADMSG);
		return;
	}
	rotten_tell(f, false);
	f->what.version = version;
	f->deadline_ns = f->newest.until_ns;
	ways_set(f->fetches, f, newest, ways);
	next_ask(f);
}

static void probe_done(struct gvm_req *req)
{
	struct fetch_request *q = (struct fetch_request *)req;
	struct fetch *f = q->fetch;

	q->under_way = false;
	if (f->ended)
		return;
	/* The copy is damaged, but the node knows its version. */
	q->rotten = req->result == -EBADMSG && req->detail;
	f->rotten |= (uint8_t)(q->rotten << (q - f->request));
	if (q->rotten)
		q->version = req->detail;
	else if (req->result && !f->error)
		f->error = req->result;
	if (!any_under_way(f))
		probes_end(f);
}

static void requests_make(struct fetch *f)
{
	f->asked = f->ways;
	for (unsigned i = 0; i < f->ways; i++)
		f->request[i] = (struct fetch_request){.fetch = f, .latency = f->way[i].latency, .under_way = true};
}

static void probes_ask(struct fetch *f, uint8_t members)
{
	struct fetch_way way[RECORD_PLACES] = {0};
	unsigned ways = 0;
	uint64_t deadline_ns = round_deadline(f);

	for (unsigned i = 0; i < f->newest.ways; i++)
		if (members >> i & 1)
			way[ways++] = f->newest.way[i];
	ways_set(f->fetches, f, way, ways);
	requests_make(f);
	for (unsigned i = 0; i < ways; i++) {
		struct gvm_get *get = &f->request[i].get;

		get->req = (struct gvm_req){.done = probe_done, .deadline_ns = deadline_ns, .node = way[i].node};
		get->on_piece = probe_piece;
		get->what = f->what;
		get->what.page_mask = 0;
		get->what.want_page = GVM_NO_PAGE;
		get->what.version = 0;
		gvm_get(way[i].conn, get);
	}
}

static uint8_t members_of(const struct fetch_newest *n, const uint8_t *ids)
{
	uint8_t members = 0;

	for (unsigned k = 0; k < GVM_REPLICAS_MAX; k++) {
		struct gvm_id id;
		unsigned i = 0;

		memcpy(id.b, ids + 16 * k, sizeof(id.b));
		if (gvm_id_is_none(&id))
			continue;
		while (i < n->ways && !gvm_id_equal(&n->way[i].node, &id))
			i++;
		members |= (uint8_t)(i < n->ways ? 1u << i : VIEW_STRANGER);
	}
	return members;
}

static void views_take(struct fetch_newest *n, unsigned replica, const struct gvm_call *call)
{
	const uint8_t *p = call->data;

	for (unsigned i = 0; i < call->rsp.region_views.count; i++, p += GVM_VIEW_ENTRY_BYTES)
		if (gvm_load_le(p, 4) == n->slot)
			*(p[4] ? &n->seen[replica].active : &n->seen[replica].proposed) =
				(struct view){.number = gvm_load_le(p + 5, 8), .members = members_of(n, p + 13)};
	n->seen[replica].answers = true;
}

static void views_done(struct gvm_req *req)
{
	struct fetch_request *q = (struct fetch_request *)req;
	struct fetch *f = q->fetch;
	struct fetch_newest *n = &f->newest;
	uint8_t all = (uint8_t)((1u << n->ways) - 1), first = (uint8_t)((1u << n->first) - 1), members;

	q->under_way = false;
	if (f->ended)
		return;
	if (!req->result)
		views_take(n, (unsigned)(q - f->request), &q->call);
	if (!req->result && !view_choose(n->seen, all, first, &members)) {
		requests_drop(f);
		probes_ask(f, members);
	} else if (!any_under_way(f)) {
		newest_again(f, -EHOSTDOWN);
	}
}

static void views_ask(struct fetch *f)
{
	struct gvm_region_views_req what = {.region = f->what.region, .first = f->newest.slot, .count = 1};
	uint64_t deadline_ns = round_deadline(f);

	memset(f->newest.seen, 0, sizeof(f->newest.seen));
	ways_set(f->fetches, f, f->newest.way, f->newest.ways);
	requests_make(f);
	for (unsigned i = 0; i < f->ways; i++) {
		struct gvm_call *call = &f->request[i].call;

		call->req = (struct gvm_req){.done = views_done, .deadline_ns = deadline_ns, .node = f->way[i].node};
		gvm_region_views(f->way[i].conn, call, &what);
	}
}

void fetch_newest_begin(struct fetches *fs, struct fetch *f, const struct fetch_way *way, unsigned ways, unsigned first,
			unsigned slot)
{
	beside_begin(f);
	f->fetches = fs;
	f->newest.ways = ways;
	f->newest.first = first;
	f->newest.slot = slot;
	for (unsigned i = 0; i < ways; i++)
		f->newest.way[i] = way[i];
	f->newest.until_ns = gvm_now_ns() + NEWEST_NS;
	if (f->deadline_ns && f->deadline_ns < f->newest.until_ns)
		f->newest.until_ns = f->deadline_ns;
	views_ask(f);
}

void fetch_cancel(struct fetch *f)
{
	if (!f->ended)
		fetch_end(f, -ECANCELED);
	else if (f->over)
		f->result = -ECANCELED;
}

uint64_t fetches_tick(struct fetches *fs, uint64_t now_ns)
{
	struct fetch *f;

	while ((f = TAILQ_FIRST(&fs->waiting)) && f->hedge_at_ns <= now_ns) {
		if (f->newest.pauses) {
			wait_end(f);
			views_ask(f);
			continue;
		}
		/* The node has not answered yet, but took at least this long. */
		fetch_latency_learn(f->way[f->asked - 1].latency, now_ns - f->request[f->asked - 1].sent_ns);
		fs->hedged++;
		next_ask(f);
	}
	return f ? f->hedge_at_ns : ~0ull;
}
