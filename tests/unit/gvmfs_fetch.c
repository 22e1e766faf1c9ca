// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_fetch.c - a hedged GET: whom it asks when, and how it ends. The connections are the test's. */
#include "check.h"
#include "node/fetch.h"

#include <errno.h>

struct gvm_conn {
	struct gvm_get *get; /* under way; NULL: none */
	struct gvm_call *views;
	unsigned asked, cancelled;
};

static struct gvm_conn conns[3];
static struct fetch_latency latency[3];
static struct fetches fetches;
static struct fetch fetch;
static unsigned pieces, ends, rotten[3], lost;
static int result, piece_says;
static struct chunk_head head;

void gvm_get(struct gvm_conn *conn, struct gvm_get *get)
{
	CHECK(!conn->get);
	get->req.conn = conn;
	conn->get = get;
	conn->asked++;
}

void gvm_region_views(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_views_req *what)
{
	CHECK(!conn->views && !conn->get);
	CHECK_EQ(what->first, 9);
	CHECK_EQ(what->count, 1);
	call->req.conn = conn;
	conn->views = call;
}

static void answer(unsigned node, int with)
{
	struct gvm_get *get = conns[node].get;

	CHECK(get);
	conns[node].get = NULL;
	get->req.result = with;
	get->req.done(&get->req);
}

void gvm_cancel(struct gvm_req *req)
{
	CHECK((req->conn->get && &req->conn->get->req == req) || (req->conn->views && &req->conn->views->req == req));
	req->conn->get = NULL;
	req->conn->views = NULL;
	req->conn->cancelled++;
	req->result = -ECANCELED;
	req->done(req);
}

static int piece(struct fetch *f, struct gvm_conn *conn, uint64_t version, const struct chunk_head *h,
		 const uint8_t *body)
{
	(void)version;
	CHECK(conn >= conns && conn < conns + 3);
	CHECK(f == &fetch && h == &head && !body);
	pieces++;
	return piece_says;
}

static void done(struct fetch *f, int r)
{
	CHECK(f == &fetch);
	for (unsigned i = 0; i < 3; i++)
		CHECK(!conns[i].get && !conns[i].views); /* its memory may go now */
	ends++;
	result = r;
}

static void is_rotten(struct fetches *fs, const struct fetch *f, const struct gvm_id *node, bool is_lost)
{
	unsigned i = 0;

	CHECK(fs == &fetches && f == &fetch && !ends);
	while (!gvm_id_equal(&f->way[i].node, node))
		i++;
	rotten[f->way[i].conn - conns]++;
	lost += is_lost;
}

static void begin(unsigned ways)
{
	struct fetch_way way[3];

	memset(conns, 0, sizeof(conns));
	memset(&fetch, 0xa5, sizeof(fetch));
	memset(rotten, 0, sizeof(rotten));
	pieces = ends = lost = 0;
	piece_says = 0;
	fetches_init(&fetches);
	fetches.rotten = is_rotten;
	for (unsigned i = 0; i < 3; i++) {
		latency[i] = (struct fetch_latency){.average_us = 100, .spread_us = 10};
		way[i] = (struct fetch_way){.conn = &conns[i], .latency = &latency[i], .node = {{(uint8_t)(i + 1)}}};
	}
	fetch.piece = piece;
	fetch.done = done;
	fetch.deadline_ns = 0;
	fetch.what = (struct gvm_get_req){.chunk = 7};
	fetch_begin(&fetches, &fetch, way, ways);
	CHECK_EQ(conns[0].asked, 1);
	CHECK_EQ(conns[0].get->what.chunk, 7);
	CHECK_EQ(conns[1].asked, 0);
}

static int piece_comes(unsigned node)
{
	return conns[node].get->on_piece(conns[node].get, 1, &head, NULL);
}

static void one_way_is_a_get(void)
{
	begin(1);
	CHECK_EQ(fetches_tick(&fetches, ~1ull), ~0ull);
	CHECK_EQ(piece_comes(0), 0);
	answer(0, 0);
	CHECK_EQ(pieces, 1);
	CHECK_EQ(ends, 1);
	CHECK_EQ(result, 0);
	begin(1);
	answer(0, -ENOMEDIUM);
	CHECK_EQ(ends, 1);
	CHECK_EQ(result, -ENOMEDIUM);
}

static void a_slow_node_is_hedged_once(void)
{
	uint64_t at;

	begin(2);
	at = fetches_tick(&fetches, 0);
	CHECK(at != ~0ull && at != 0);
	CHECK_EQ(fetches_tick(&fetches, at - 1), at);
	CHECK_EQ(conns[1].asked, 0);
	CHECK_EQ(fetches_tick(&fetches, at), ~0ull);
	CHECK_EQ(conns[1].asked, 1);
	CHECK_EQ(fetches.hedged, 1);
	CHECK_EQ(fetches_tick(&fetches, ~1ull), ~0ull);
	piece_comes(0); /* what comes of the slow one is as good */
	piece_comes(1);
	answer(1, 0);
	CHECK_EQ(pieces, 2);
	CHECK_EQ(ends, 1);
	CHECK_EQ(result, 0);
	CHECK_EQ(conns[0].cancelled, 1);
}

static void an_error_turns_to_the_next_at_once(void)
{
	begin(3);
	answer(0, -ESTALE);
	CHECK_EQ(ends, 0);
	CHECK_EQ(conns[1].asked, 1);
	answer(1, -ENOMEDIUM);
	CHECK_EQ(conns[2].asked, 1);
	answer(2, 0);
	CHECK_EQ(ends, 1);
	CHECK_EQ(result, 0);
	CHECK_EQ(fetches_tick(&fetches, ~1ull), ~0ull);
}

static void the_first_error_is_told_when_all_fail(void)
{
	begin(2);
	fetches_tick(&fetches, ~1ull);
	answer(1, -EBADMSG);
	CHECK_EQ(ends, 0); /* the first may still bring it */
	answer(0, -ENOMEDIUM);
	CHECK_EQ(ends, 1);
	CHECK_EQ(result, -EBADMSG);
}

static void what_does_not_verify_is_told(void)
{
	begin(3);
	answer(0, -EBADMSG);
	CHECK_EQ(rotten[0], 0); /* only when it is known whether another copy is good */
	answer(1, -ENOMEDIUM);
	answer(2, 0);
	CHECK_EQ(result, 0);
	CHECK(rotten[0] == 1 && !rotten[1] && !rotten[2] && !lost);
	begin(2);
	answer(0, -EBADMSG);
	answer(1, -EBADMSG);
	CHECK_EQ(result, -EBADMSG);
	CHECK(rotten[0] == 1 && rotten[1] == 1 && lost == 2);
	begin(2);
	answer(0, -EBADMSG);
	fetch_cancel(&fetch); /* nothing is known */
	CHECK(!rotten[0]);
}

static uint32_t page_asked(unsigned node)
{
	return conns[node].get->what.page_mask;
}

/* Each of two copies has a rotten page, another one: page by page all of it can be had, the awaited one first. */
static void pages_come_from_wherever_they_are_good(void)
{
	begin(2);
	fetch.what.page_mask = conns[0].get->what.page_mask = 0xe;
	fetch.what.want_page = 2;
	answer(0, -EBADMSG);
	answer(1, -EBADMSG);
	CHECK_EQ(page_asked(0), 4);
	CHECK_EQ(conns[0].get->what.want_page, 2);
	answer(0, -EBADMSG);
	CHECK_EQ(page_asked(1), 4);
	piece_comes(1);
	answer(1, 0);
	CHECK_EQ(page_asked(0), 2);
	answer(0, 0);
	CHECK_EQ(page_asked(0), 8);
	answer(0, 0);
	CHECK_EQ(ends, 1);
	CHECK_EQ(result, 0);
	CHECK(rotten[0] == 1 && rotten[1] == 1 && !lost);
	/* One that none has is an error, and does not keep the others; a node that is silent ends it. */
	begin(2);
	fetch.what.page_mask = 6;
	answer(0, -EBADMSG);
	answer(1, -EBADMSG);
	answer(0, -EBADMSG);
	answer(1, -EBADMSG);
	CHECK_EQ(page_asked(0), 4);
	answer(0, 0);
	CHECK_EQ(result, -EBADMSG);
	CHECK_EQ(lost, 2);
	/* Nor does it if the other node has begun anew. */
	begin(2);
	fetch.what.page_mask = 6;
	answer(0, -ENOMEDIUM);
	answer(1, -EBADMSG);
	CHECK_EQ(ends, 0);
	answer(0, -ENOMEDIUM);
	answer(1, -EBADMSG);
	CHECK_EQ(ends, 0);
	answer(0, -ENOMEDIUM);
	CHECK_EQ(page_asked(1), 4);
	piece_comes(1);
	answer(1, 0);
	CHECK_EQ(pieces, 1);
	CHECK_EQ(result, -ENOMEDIUM);
	begin(2);
	fetch.what.page_mask = 6;
	answer(0, -EBADMSG);
	answer(1, -EBADMSG);
	answer(0, -ETIMEDOUT);
	answer(1, -EBADMSG);
	CHECK_EQ(ends, 1);
	CHECK_EQ(result, -ETIMEDOUT);
}

/* What is said to be lost is so on all nodes: the rest comes, and no other is asked. */
static void lost_pages_are_asked_for_once(void)
{
	begin(2);
	fetch.what.page_mask = 6;
	piece_says = -ENODATA;
	CHECK_EQ(piece_comes(0), 0);
	piece_says = 0;
	CHECK_EQ(piece_comes(0), 0);
	answer(0, 0);
	CHECK_EQ(ends, 1);
	CHECK_EQ(result, -ENODATA);
	CHECK_EQ(conns[1].asked, 0);
	CHECK(!rotten[0]);
}

static void a_slow_first_node_may_still_win(void)
{
	begin(2);
	fetches_tick(&fetches, ~1ull);
	answer(1, -ENOMEDIUM);
	answer(0, 0);
	CHECK_EQ(ends, 1);
	CHECK_EQ(result, 0);
}

static void a_fenced_writer_asks_nobody_else(void)
{
	begin(3);
	fetches_tick(&fetches, fetches_tick(&fetches, 0));
	answer(0, -EKEYREVOKED);
	CHECK_EQ(ends, 1);
	CHECK_EQ(result, -EKEYREVOKED);
	CHECK_EQ(conns[1].cancelled, 1);
	CHECK_EQ(conns[2].asked, 0);
}

static void a_cancelled_fetch_leaves_nothing(void)
{
	begin(3);
	fetches_tick(&fetches, ~1ull);
	fetch_cancel(&fetch);
	CHECK_EQ(ends, 1);
	CHECK_EQ(result, -ECANCELED);
	CHECK_EQ(conns[0].cancelled + conns[1].cancelled + conns[2].cancelled,
		 conns[0].asked + conns[1].asked + conns[2].asked);
	CHECK_EQ(fetches_tick(&fetches, ~1ull), ~0ull);
	begin(2); /* before its time has come */
	fetch_cancel(&fetch);
	CHECK_EQ(fetches_tick(&fetches, ~1ull), ~0ull);
	CHECK_EQ(conns[1].asked, 0);
}

static void patience_follows_what_answers_take(void)
{
	struct fetch_latency l = {0};
	uint64_t first = fetch_patience_ns(&l);

	CHECK(first >= 1000000);
	for (unsigned i = 0; i < 100; i++)
		fetch_latency_learn(&l, 300000);
	CHECK_EQ(fetch_patience_ns(&l), 1000000); /* never less */
	for (unsigned i = 0; i < 100; i++)
		fetch_latency_learn(&l, 10000000);
	CHECK(fetch_patience_ns(&l) >= 9900000 && fetch_patience_ns(&l) < 12000000);
	for (unsigned i = 0; i < 100; i++)
		fetch_latency_learn(&l, i % 2 ? 1000000 : 9000000);
	CHECK(fetch_patience_ns(&l) > 9000000);
	for (unsigned i = 0; i < 100; i++)
		fetch_latency_learn(&l, UINT64_MAX);
	CHECK_EQ(fetch_patience_ns(&l), 500000000); /* never more */
}

static void each_waits_for_its_own_time(void)
{
	static struct fetch other[2];
	struct fetch_latency slow = {.average_us = 50000, .spread_us = 1000}, quick = {.average_us = 2000};
	struct gvm_conn more[4] = {0};
	uint64_t at;

	begin(2);
	for (unsigned i = 0; i < 2; i++) {
		struct fetch_way way[2] = {{&more[2 * i], i ? &quick : &slow, {{0}}},
						   {&more[2 * i + 1], &quick, {{0}}}};

		other[i] = fetch;
		other[i].hedge_at_ns = 0;
		fetch_begin(&fetches, &other[i], way, 2);
	}
	at = fetches_tick(&fetches, 0);
	at = fetches_tick(&fetches, at); /* fetch: 1 ms */
	CHECK_EQ(conns[1].asked, 1);
	CHECK_EQ(more[3].asked, 0);
	at = fetches_tick(&fetches, at); /* the quick one */
	CHECK_EQ(more[3].asked, 1);
	CHECK_EQ(more[1].asked, 0);
	CHECK_EQ(fetches_tick(&fetches, at), ~0ull);
	CHECK_EQ(more[1].asked, 1);
}

static struct gvm_id id(unsigned i)
{
	return (struct gvm_id){{(uint8_t)(i + 1), 7}};
}

static uint8_t *view_put(uint8_t *p, unsigned slot, bool active, uint64_t number, unsigned members)
{
	gvm_store_le(p, slot, 4);
	p[4] = active;
	gvm_store_le(p + 5, number, 8);
	memset(p + 13, 0, GVM_VIEW_ENTRY_BYTES - 13);
	for (unsigned i = 0, at = 0; i < 3; i++) {
		struct gvm_id node = id(i);

		if (members >> i & 1)
			memcpy(p + 13 + 16 * at++, node.b, 16);
	}
	return p + GVM_VIEW_ENTRY_BYTES;
}

/* A node lists its views of the slot; members 0: it has none of that kind. */
static void lists(unsigned node, uint64_t active, unsigned members, uint64_t proposed, unsigned next)
{
	struct gvm_call *call = conns[node].views;
	uint8_t data[3 * GVM_VIEW_ENTRY_BYTES], *p = view_put(data, 8, true, 1000, 2);

	CHECK(call);
	if (members)
		p = view_put(p, 9, true, active, members);
	if (next)
		p = view_put(p, 9, false, proposed, next);
	call->data = data;
	call->data_bytes = (size_t)(p - data);
	call->rsp.region_views.count = (uint32_t)(call->data_bytes / GVM_VIEW_ENTRY_BYTES);
	conns[node].views = NULL;
	call->req.result = 0;
	call->req.done(&call->req);
}

static void lists_not(unsigned node, int error)
{
	struct gvm_call *call = conns[node].views;

	CHECK(call);
	conns[node].views = NULL;
	call->req.result = error;
	call->req.done(&call->req);
}

static void version_comes(unsigned node, uint64_t version)
{
	CHECK(conns[node].get);
	CHECK_EQ(conns[node].get->what.page_mask, 0);
	CHECK_EQ(conns[node].get->what.version, 0);
	CHECK_EQ(conns[node].get->on_piece(conns[node].get, version, &head, NULL), 0);
	answer(node, 0);
}

static void newest_begin(uint64_t deadline_ns)
{
	struct fetch_way way[3];

	begin(3);
	fetch_cancel(&fetch);
	memset(conns, 0, sizeof(conns));
	ends = 0;
	fetch.what.page_mask = 1;
	fetch.deadline_ns = deadline_ns;
	for (unsigned i = 0; i < 3; i++)
		way[i] = (struct fetch_way){&conns[i], &latency[i], id(i)};
	fetch_newest_begin(&fetches, &fetch, way, 3, 3, 9);
}

static void without_an_index_the_newest_is_fetched(void)
{
	newest_begin(0);
	for (unsigned i = 0; i < 3; i++)
		lists(i, 0, 0, 0, 0);
	version_comes(0, 4);
	version_comes(1, 7);
	CHECK_EQ(pieces, 0);
	version_comes(2, 7);
	CHECK(!conns[0].get);
	CHECK_EQ(conns[1].get->what.version, 7);
	CHECK_EQ(conns[1].get->what.page_mask, 1);
	answer(1, -ENOMEDIUM); /* and the next of those that have it */
	CHECK_EQ(conns[2].get->what.version, 7);
	piece_comes(2);
	answer(2, 0);
	CHECK_EQ(pieces, 1);
	CHECK_EQ(ends, 1);
	CHECK_EQ(result, 0);
	CHECK_EQ(conns[0].asked, 1);
}

/* A part that is looked at beside may outlast the round in which it came. */
static void what_is_looked_at_beside_outlasts_a_round(void)
{
	newest_begin(0);
	for (unsigned i = 0; i < 3; i++)
		lists(i, 0, 0, 0, 0);
	for (unsigned i = 0; i < 3; i++)
		version_comes(i, 7);
	piece_says = FETCH_LATER;
	CHECK_EQ(piece_comes(0), 0);
	piece_says = 0;
	for (unsigned i = 0; i < 3; i++)
		answer(i, -ENOMEDIUM);
	CHECK_EQ(ends, 0);
	fetches_tick(&fetches, ~1ull);
	for (unsigned i = 0; i < 3; i++)
		lists(i, 0, 0, 0, 0);
	for (unsigned i = 0; i < 3; i++)
		version_comes(i, 7);
	piece_comes(0);
	answer(0, 0);
	CHECK_EQ(ends, 0); /* its memory is still written to */
	fetch_looked(&fetch, 0);
	CHECK_EQ(ends, 1);
	CHECK_EQ(result, 0);
}

/* A node whose copy has a damaged head tells of which version it is. */
static void damaged(unsigned node, uint64_t version)
{
	CHECK(conns[node].get);
	conns[node].get->req.detail = version;
	answer(node, -EBADMSG);
}

static void without_an_index_a_rotten_copy_is_done_without(void)
{
	newest_begin(0);
	for (unsigned i = 0; i < 3; i++)
		lists(i, 0, 0, 0, 0);
	damaged(0, 7);
	version_comes(1, 4);
	version_comes(2, 7);
	CHECK(!conns[0].get && !conns[1].get);
	CHECK_EQ(conns[2].get->what.version, 7);
	piece_comes(2);
	answer(2, 0);
	CHECK_EQ(result, 0);
	CHECK_EQ(ends, 1);
	CHECK(rotten[0] == 1 && !lost);
}

static void without_an_index_nothing_older_than_a_rotten_copy_is_read(void)
{
	newest_begin(0);
	for (unsigned i = 0; i < 3; i++)
		lists(i, 0, 0, 0, 0);
	damaged(0, 7);
	version_comes(1, 4);
	version_comes(2, 4);
	CHECK(!ends && !conns[1].get && !conns[2].get);
	fetches_tick(&fetches, ~1ull); /* its writer has gone on */
	for (unsigned i = 0; i < 3; i++)
		lists(i, 0, 0, 0, 0);
	damaged(0, 0); /* a node that does not tell */
	version_comes(1, 8);
	version_comes(2, 8);
	CHECK(!ends && !conns[1].get);
	fetches_tick(&fetches, ~1ull);
	for (unsigned i = 0; i < 3; i++)
		lists(i, 0, 0, 0, 0);
	version_comes(0, 8);
	version_comes(1, 8);
	version_comes(2, 8);
	for (unsigned i = 0; i < 3; i++)
		answer(i, -EBADMSG); /* nobody can mend it: it is not asked for again */
	CHECK_EQ(ends, 1);
	CHECK_EQ(result, -EBADMSG);
}

/* A replica that was excluded may have what was never acknowledged. */
static void what_is_outside_of_the_view_is_not_read(void)
{
	newest_begin(0);
	lists(0, 0, 0, 0, 0);
	lists(2, 5, 6, 0, 0); /* {1, 2} is active: whether node 0 answers does not matter */
	CHECK(conns[1].views);
	lists(1, 0, 0, 6, 2); /* and {1} may be */
	CHECK(!conns[0].get && !conns[2].get);
	version_comes(1, 3);
	CHECK_EQ(conns[1].get->what.version, 3);
	answer(1, 0);
	CHECK_EQ(result, 0);
	CHECK_EQ(conns[0].asked + conns[2].asked, 0);
}

static void a_view_that_was_only_proposed_is_not_believed(void)
{
	newest_begin(1); /* over at once */
	lists(0, 0, 0, 4, 1);
	CHECK_EQ(ends, 0);
	CHECK(!conns[0].get);
	lists_not(1, -ETIMEDOUT);
	lists_not(2, -ETIMEDOUT);
	CHECK_EQ(ends, 1);
	CHECK_EQ(result, -EHOSTDOWN);
}

static void a_silent_node_is_done_without_when_a_view_is(void)
{
	newest_begin(0);
	lists(1, 0, 0, 0, 0);
	lists(2, 0, 0, 0, 0);
	lists_not(0, -ETIMEDOUT);
	CHECK_EQ(ends, 0); /* all are asked again */
	fetches_tick(&fetches, ~1ull);
	lists(2, 3, 6, 0, 0);
	lists(1, 3, 6, 0, 0);
	CHECK(!conns[0].views); /* not waited for */
	version_comes(2, 2);
	answer(1, -ETIMEDOUT); /* fails now: which view is it? */
	CHECK_EQ(ends, 0);
	fetches_tick(&fetches, ~1ull);
	lists(2, 4, 4, 0, 0);
	version_comes(2, 2);
	answer(2, 0);
	CHECK_EQ(result, 0);
}

/* A replica has another node, which our record does not name: that one may have gone on alone. */
static void a_view_with_a_member_that_is_not_known_is_not_enough(void)
{
	struct fetch_way way[2];

	newest_begin(0);
	fetch_cancel(&fetch);
	ends = 0;
	fetch.deadline_ns = 1; /* over at once */
	for (unsigned i = 0; i < 2; i++)
		way[i] = (struct fetch_way){&conns[i], &latency[i], id(i)};
	fetch_newest_begin(&fetches, &fetch, way, 2, 2, 9);
	lists(0, 0, 0, 0, 0);
	lists(1, 5, 6, 0, 0); /* {1, 2} */
	CHECK_EQ(ends, 1);
	CHECK_EQ(result, -EHOSTDOWN);
}

/* Its writer may say any moment that it goes on without that node. */
static void without_an_index_a_lost_copy_may_have_been_the_newest(void)
{
	newest_begin(0);
	lists_not(0, -ENOMEDIUM);
	lists(1, 0, 0, 0, 0);
	lists(2, 0, 0, 0, 0);
	CHECK_EQ(ends, 0);
	CHECK(!conns[1].views); /* not at once */
	CHECK(fetches_tick(&fetches, gvm_now_ns()) > gvm_now_ns());
	fetches_tick(&fetches, ~1ull);
	lists_not(0, -ENOMEDIUM);
	lists(1, 3, 6, 0, 0);
	lists(2, 3, 6, 0, 0);
	version_comes(1, 2);
	answer(2, -ENOMEDIUM); /* that one, too, now */
	CHECK_EQ(ends, 0);
	fetches_tick(&fetches, ~1ull);
	lists_not(0, -ENOMEDIUM);
	lists(1, 4, 2, 0, 0);
	version_comes(1, 2);
	answer(1, -ENOMEDIUM);
	CHECK_EQ(ends, 0);
	fetches_tick(&fetches, ~1ull);
	fetch.newest.until_ns = 1;
	for (unsigned i = 0; i < 3; i++)
		lists_not(i, -ENOMEDIUM);
	CHECK_EQ(ends, 1);
	CHECK_EQ(result, -EHOSTDOWN);
	newest_begin(0);
	lists_not(0, -ENOMEDIUM);
	fetch_cancel(&fetch);
	CHECK_EQ(ends, 1);
	CHECK_EQ(result, -ECANCELED);
}

static void what_is_looked_at_beside_is_waited_for(void)
{
	begin(1);
	piece_says = FETCH_LATER;
	CHECK_EQ(piece_comes(0), 0);
	CHECK_EQ(piece_comes(0), 0);
	fetch_looked(&fetch, 0);
	answer(0, 0);
	CHECK_EQ(ends, 0);
	fetch_looked(&fetch, 0);
	CHECK_EQ(ends, 1);
	CHECK_EQ(result, 0);
	CHECK_EQ(conns[0].asked, 1);
}

/* Only what is looked at at once says whose copy it is. */
static void what_was_looked_at_beside_and_is_wrong_is_asked_for_again(void)
{
	for (unsigned before = 0; before < 2; before++) {
		begin(2);
		CHECK(!fetch.here);
		piece_says = FETCH_LATER;
		CHECK_EQ(piece_comes(0), 0);
		if (before)
			fetch_looked(&fetch, -EBADMSG);
		answer(0, 0);
		if (!before)
			fetch_looked(&fetch, -EBADMSG);
		CHECK_EQ(ends, 0);
		CHECK(fetch.here);
		CHECK_EQ(conns[0].asked, 2);
		piece_says = -EBADMSG;
		CHECK_EQ(piece_comes(0), -EBADMSG);
		answer(0, -EBADMSG);
		piece_says = 0;
		CHECK_EQ(piece_comes(1), 0);
		answer(1, 0);
		CHECK_EQ(ends, 1);
		CHECK_EQ(result, 0);
		CHECK(rotten[0] == 1 && !rotten[1] && !lost);
	}
}

static void an_error_of_the_node_comes_after_what_is_looked_at_beside(void)
{
	begin(1);
	piece_says = FETCH_LATER;
	CHECK_EQ(piece_comes(0), 0);
	answer(0, -ETIMEDOUT);
	CHECK_EQ(ends, 0);
	fetch_looked(&fetch, -EBADMSG);
	CHECK_EQ(ends, 1);
	CHECK_EQ(result, -ETIMEDOUT);
	CHECK_EQ(conns[0].asked, 1);
}

/* Its buffer is the other thread's until that has ended. */
static void a_cancelled_fetch_waits_for_what_is_looked_at_beside(void)
{
	for (unsigned answered = 0; answered < 2; answered++)
		for (unsigned spoilt = 0; spoilt < 2; spoilt++) {
			begin(2);
			piece_says = FETCH_LATER;
			CHECK_EQ(piece_comes(0), 0);
			if (answered)
				answer(0, 0);
			fetch_cancel(&fetch);
			fetch_cancel(&fetch);
			CHECK_EQ(ends, 0);
			fetch_looked(&fetch, spoilt ? -EBADMSG : 0);
			CHECK_EQ(ends, 1);
			CHECK_EQ(result, -ECANCELED);
			CHECK_EQ(conns[0].asked, 1);
			fetch_cancel(&fetch);
			CHECK_EQ(ends, 1);
		}
}

static void a_fetch_that_has_ended_is_not_cancelled(void)
{
	begin(2);
	answer(0, 0);
	fetch_cancel(&fetch);
	CHECK_EQ(ends, 1);
	CHECK_EQ(result, 0);
}

static const struct check_test tests[] = {
	{"a-cancelled-fetch-waits-for-what-is-looked-at-beside", a_cancelled_fetch_waits_for_what_is_looked_at_beside},
	{"a-fetch-that-has-ended-is-not-cancelled", a_fetch_that_has_ended_is_not_cancelled},
	{"what-is-looked-at-beside-is-waited-for", what_is_looked_at_beside_is_waited_for},
	{"what-was-looked-at-beside-and-is-wrong-is-asked-for-again", what_was_looked_at_beside_and_is_wrong_is_asked_for_again},
	{"an-error-of-the-node-comes-after-what-is-looked-at-beside",
	 an_error_of_the_node_comes_after_what_is_looked_at_beside},
	{"one-way-is-a-get", one_way_is_a_get},
	{"a-slow-node-is-hedged-once", a_slow_node_is_hedged_once},
	{"an-error-turns-to-the-next-at-once", an_error_turns_to_the_next_at_once},
	{"the-first-error-is-told-when-all-fail", the_first_error_is_told_when_all_fail},
	{"pages-come-from-wherever-they-are-good", pages_come_from_wherever_they_are_good},
	{"lost-pages-are-asked-for-once", lost_pages_are_asked_for_once},
	{"a-slow-first-node-may-still-win", a_slow_first_node_may_still_win},
	{"a-fenced-writer-asks-nobody-else", a_fenced_writer_asks_nobody_else},
	{"a-cancelled-fetch-leaves-nothing", a_cancelled_fetch_leaves_nothing},
	{"patience-follows-what-answers-take", patience_follows_what_answers_take},
	{"each-waits-for-its-own-time", each_waits_for_its_own_time},
	{"without-an-index-the-newest-is-fetched", without_an_index_the_newest_is_fetched},
	{"what-is-looked-at-beside-outlasts-a-round", what_is_looked_at_beside_outlasts_a_round},
	{"what-does-not-verify-is-told", what_does_not_verify_is_told},
	{"without-an-index-a-rotten-copy-is-done-without", without_an_index_a_rotten_copy_is_done_without},
	{"without-an-index-nothing-older-than-a-rotten-copy-is-read",
	 without_an_index_nothing_older_than_a_rotten_copy_is_read},
	{"what-is-outside-of-the-view-is-not-read", what_is_outside_of_the_view_is_not_read},
	{"a-view-that-was-only-proposed-is-not-believed", a_view_that_was_only_proposed_is_not_believed},
	{"a-silent-node-is-done-without-when-a-view-is", a_silent_node_is_done_without_when_a_view_is},
	{"a-view-with-a-member-that-is-not-known-is-not-enough", a_view_with_a_member_that_is_not_known_is_not_enough},
	{"without-an-index-a-lost-copy-may-have-been-the-newest", without_an_index_a_lost_copy_may_have_been_the_newest},
};
CHECK_MAIN(tests)
