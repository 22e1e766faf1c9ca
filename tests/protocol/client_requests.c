// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * client_requests.c - what a caller may do with requests: thousands at once, deadlines,
 * cancelling in every state, corks; each ends exactly once.
 */
#include "client_rig.h"
#include "client/impl.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#define CHUNKS	256
#define MANY	3000
#define SECONDS 60

static struct rig_node node;
static struct chunk_codec *codec;
static struct way *way;
static struct gvm_conn *conn;
static struct gvm_id region;
static unsigned left, ended;

/* A page's content follows from its chunk's number and version alone. */
static void page_content(uint8_t *page, unsigned n, uint64_t place, uint64_t seq)
{
	memset(page, 0, GVM_PAGE_BYTES);
	if (n % 5)
		return;
	gvm_store_le(page, place, 8);
	gvm_store_le(page + 8, seq, 8);
	memset(page + 16, (int)(1 + n), 500);
}

/* Does not compress: fills socket buffers. */
static void content_bulky(uint8_t *chunk)
{
	for (unsigned i = 0; i < GVM_CHUNK_BYTES; i += 8)
		gvm_store_le(chunk + i, check_random() | 1, 8);
}

struct load {
	struct gvm_put put;
	struct gvm_get get;
	struct gvm_call call;
	struct chunk_head head;
	uint64_t place, seq;
	uint32_t got;
	unsigned ends;
	int result;
	uint8_t *body;
};

static void load_done(struct gvm_req *req)
{
	struct load *l = req->arg;

	l->ends++;
	l->result = req->result;
	ended++;
	left--;
}

static int load_piece(struct gvm_get *get, uint64_t version, const struct chunk_head *head,
		      const uint8_t *body)
{
	static uint8_t read[GVM_CHUNK_BYTES], want[GVM_PAGE_BYTES];
	struct load *l = get->req.arg;
	uint32_t valid;
	int err;

	CHECK_EQ(version, get->what.version);
	err = chunk_decode(codec, head, body, &get->what.region, get->what.chunk, UINT32_MAX, read,
			   &valid);
	if (err)
		return err;
	for (unsigned n = 0; n < GVM_CHUNK_PAGES; n++) {
		if (!(valid >> n & 1))
			continue;
		page_content(want, n, l->place, l->seq);
		CHECK(!memcmp(read + n * GVM_PAGE_BYTES, want, GVM_PAGE_BYTES));
	}
	l->got |= valid;
	return 0;
}

static void put(struct load *l, uint64_t place, uint64_t seq, bool bulky)
{
	static uint8_t chunk[GVM_CHUNK_BYTES];

	if (!l->body)
		l->body = malloc(GVM_CHUNK_BYTES);
	if (bulky)
		content_bulky(chunk);
	else
		for (unsigned n = 0; n < GVM_CHUNK_PAGES; n++)
			page_content(chunk + n * GVM_PAGE_BYTES, n, place, seq);
	chunk_encode(codec, chunk, UINT32_MAX, 0, 0, &region, place, &l->head, l->body);
	l->place = place;
	l->seq = seq;
	l->put = (struct gvm_put){
		.req = {.done = load_done, .arg = l, .deadline_ns = l->put.req.deadline_ns},
		.what = {region, 1, place, gvm_version(1, seq), 0},
		.head = &l->head,
		.body = l->body,
	};
	left++;
	gvm_put(conn, &l->put);
}

static void get(struct load *l, uint64_t place, uint64_t seq)
{
	l->got = 0;
	l->place = place;
	l->seq = seq;
	l->get = (struct gvm_get){
		.req = {.done = load_done, .arg = l, .deadline_ns = l->get.req.deadline_ns},
		.what = {region, 1, place, gvm_version(1, seq), UINT32_MAX, place % 32},
		.on_piece = load_piece,
	};
	left++;
	gvm_get(conn, &l->get);
}

static void ping(struct load *l, uint64_t deadline_ns)
{
	memset(&l->call, 0, sizeof(l->call));
	l->call.req.done = load_done;
	l->call.req.arg = l;
	l->call.req.deadline_ns = deadline_ns;
	left++;
	rig_ping(conn, &l->call, 1);
}

/* All of the pages came; load_piece() has looked at them. */
static void read_is(const struct load *l)
{
	CHECK_EQ(l->result, 0);
	CHECK_EQ(l->got, UINT32_MAX);
}

static struct load *loads_make(unsigned n)
{
	struct load *l = calloc(n, sizeof(*l));

	CHECK(l);
	return l;
}

static void loads_free(struct load *l, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		free(l[i].body);
	free(l);
}

static void on_state(struct gvm_conn *c, enum gvm_conn_state state, bool renewed, const char *why,
		     void *arg)
{
	(void)arg;
	CHECK_EQ(gvm_conn_state(c), state);
	CHECK(!renewed && *why);
	if (getenv("GVM_TEST_VERBOSE"))
		fprintf(stderr, "  state %d: %s\n", state, why);
}

/* A new way, connection and region for each promise. A node that is slow is not dead. */
static void begin(void)
{
	struct gvm_conn_opts opts = {.dead_after_ms = SECONDS * 1000, .on_state = on_state};
	static unsigned number;
	struct gvm_call call = {0};
	struct gvm_region_create_req create;
	struct gvm_region_open_req open;

	if (!codec) {
		codec = chunk_codec_create();
		rig_node_start(&node, NULL);
	}
	region = rig_region(++number);
	create = (struct gvm_region_create_req){region, CHUNKS, CHUNKS, 1, 0, 0, 0};
	open = (struct gvm_region_open_req){.region = region, .mode = 1, .epoch = 1, .view = 1};
	way = way_open(node.addr);
	rig_opts(&opts);
	CHECK_EQ(gvm_conn_create(way_addr(way), &opts, &conn), 0);
	gvm_region_create(conn, &call, &create);
	CHECK_EQ(gvm_conn_wait(conn, &call.req), 0);
	gvm_region_open(conn, &call, &open);
	CHECK_EQ(gvm_conn_wait(conn, &call.req), 0);
	left = ended = 0;
}

static void end(void)
{
	struct gvm_region_delete_req delete = {region, 1, 0};
	struct gvm_call call = {0};

	way_fault(way, (struct way_fault){0});
	gvm_region_delete(conn, &call, &delete);
	CHECK_EQ(gvm_conn_wait(conn, &call.req), 0);
	CHECK_EQ(gvm_conn_pending(conn), 0);
	gvm_conn_destroy(conn);
	way_close(way);
}

static void thousands_answered_in_any_order_each_get_their_own(void)
{
	struct load *puts = loads_make(CHUNKS), *gets = loads_make(MANY);

	begin();
	way_shuffle(way, !rig_tls()); /* whose frames the way cannot tell apart */
	for (unsigned i = 0; i < CHUNKS; i++)
		put(&puts[i], i, i + 1, false);
	rig_run_one(conn, &left, SECONDS);
	for (unsigned i = 0; i < MANY; i++)
		get(&gets[i], i * 7 % CHUNKS, i * 7 % CHUNKS + 1);
	CHECK_EQ(gvm_conn_pending(conn), MANY);
	rig_run_one(conn, &left, SECONDS);
	CHECK_EQ(ended, CHUNKS + MANY);
	for (unsigned i = 0; i < CHUNKS; i++)
		CHECK(puts[i].ends == 1 && !puts[i].result);
	for (unsigned i = 0; i < MANY; i++) {
		CHECK(gets[i].ends == 1 && !gets[i].result);
		read_is(&gets[i]);
	}
	CHECK_EQ(way_links(way), 1);
	way_shuffle(way, false);
	end();
	loads_free(puts, CHUNKS);
	loads_free(gets, MANY);
}

static void requests_under_way_survive_cuts_in_any_number(void)
{
	enum { N = 200 };
	struct load *puts = loads_make(N), *gets = loads_make(N);
	struct gvm_region_index_req index = {region, 0};
	struct gvm_call call = {0};

	begin();
	for (unsigned round = 0; round < 6; round++) {
		/* The connection is cut while requests go out, then each one while answers come. */
		way_fault(way, (struct way_fault){FAULT_RESET, way_links(way) - 1, TO_NODE,
						  round ? 0 : 9999});
		for (unsigned i = 0; i < N; i++)
			put(&puts[i], i, round * N + i + 1, false);
		rig_run_one(conn, &left, SECONDS);
		way_fault(way, (struct way_fault){FAULT_CUT, ~0u, TO_CLIENT, 30000 + round * 999});
		for (unsigned i = 0; i < N; i++)
			get(&gets[i], i, round * N + i + 1);
		rig_run_one(conn, &left, SECONDS);
		for (unsigned i = 0; i < N; i++) {
			CHECK_EQ(puts[i].ends, round + 1);
			CHECK_EQ(gets[i].ends, round + 1);
			CHECK_EQ(puts[i].result, 0);
			CHECK_EQ(gets[i].result, 0);
			read_is(&gets[i]);
		}
	}
	CHECK(way_links(way) > 6);
	way_fault(way, (struct way_fault){0});
	index.region = region;
	gvm_region_index(conn, &call, &index);
	CHECK_EQ(gvm_conn_wait(conn, &call.req), 0);
	CHECK_EQ(call.rsp.region_index.count, N);
	end();
	loads_free(puts, N);
	loads_free(gets, N);
}

static void a_deadline_ends_a_request_not_before_it(void)
{
	enum { N = 40 };
	struct load *l = loads_make(N);
	uint64_t start;

	begin();
	way_fault(way, (struct way_fault){FAULT_FREEZE, 0, TO_NODE, 0});
	start = gvm_now_ns();
	for (unsigned i = 0; i < N; i++)
		ping(&l[i], start + (20 + 5 * (i * 13 % N)) * 1000000ull);
	while (left) {
		unsigned before = ended;
		uint64_t now;

		rig_run_ms(conn, 1);
		now = gvm_now_ns();
		for (unsigned i = 0; before != ended && i < N; i++)
			if (l[i].ends)
				CHECK(now >= l[i].call.req.deadline_ns);
		CHECK(now < start + SECONDS * 1000000000ull);
	}
	for (unsigned i = 0; i < N; i++)
		CHECK(l[i].ends == 1 && l[i].result == -ETIMEDOUT);
	CHECK_EQ(way_links(way), 1);
	/* Also for what was never sent, on a connection that never comes up. */
	way_fault(way, (struct way_fault){0});
	way_block(way, true);
	rig_run_to(conn, GVM_CONN_CONNECTING);
	ping(&l[0], gvm_now_ns() + 30000000);
	ping(&l[1], 0);
	left--;
	rig_run_one(conn, &left, SECONDS);
	CHECK_EQ(l[0].result, -ETIMEDOUT);
	CHECK_EQ(l[1].ends, 1);
	way_block(way, false);
	left++;
	rig_run_one(conn, &left, SECONDS);
	CHECK(l[1].ends == 2 && !l[1].result);
	end();
	loads_free(l, N);
}

/* Requests whose answers will still come are cancelled; the stream goes on without a break. */
static void answers_to_cancelled_requests_are_skipped(void)
{
	enum { N = 300 };
	struct load *l = loads_make(N);

	begin();
	for (unsigned i = 0; i < CHUNKS; i++)
		put(&l[i], i, i + 1, false);
	rig_run_one(conn, &left, SECONDS);
	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = 0; i < N; i++) {
			l[i].ends = 0;
			get(&l[i], i % CHUNKS, i % CHUNKS + 1);
		}
		for (unsigned i = 0; i < N; i++) {
			if (i % 3)
				continue;
			gvm_cancel(&l[i].get.req);
			CHECK_EQ(l[i].ends, 1);
			CHECK_EQ(l[i].result, -ECANCELED);
			gvm_cancel(&l[i].get.req);
			CHECK_EQ(l[i].ends, 1);
			memset(&l[i].get, 0xdd, sizeof(l[i].get)); /* its memory is ours again */
			l[i].get.req.deadline_ns = 0;
		}
		rig_run_one(conn, &left, SECONDS);
		for (unsigned i = 0; i < N; i++) {
			CHECK_EQ(l[i].ends, 1);
			if (i % 3)
				read_is(&l[i]);
		}
	}
	CHECK_EQ(way_links(way), 1);
	end();
	loads_free(l, N);
}

/* More PUTs than the socket takes, all of them cancelled: the one that is half-sent then must be
 * completed from a copy, and those that follow it arrive whole. */
static void a_request_cancelled_half_sent_harms_no_other(void)
{
	enum { N = 200, LATER = 8 };
	struct load *l = loads_make(N), *half;
	struct gvm_region_index_req index = {.first = 0};
	struct gvm_call call = {0};
	bool there[CHUNKS] = {0};

	begin();
	way_hold(way, true);
	for (unsigned i = 0; i < N - LATER; i++)
		put(&l[i], i, i + 1, true);
	CHECK(conn->head_sent);
	half = req_first(conn, REQ_QUEUED)->arg;
	for (unsigned i = 0; i < N - LATER; i++) {
		gvm_cancel(&l[i].put.req);
		memset(l[i].body, 0xdd, GVM_CHUNK_BYTES);
		memset(&l[i].head, 0xdd, sizeof(l[i].head));
		CHECK(l[i].ends == 1 && l[i].result == -ECANCELED);
	}
	for (unsigned i = N - LATER; i < N; i++)
		put(&l[i], i, i + 1, false);
	way_hold(way, false);
	rig_run_one(conn, &left, SECONDS);
	index.region = region;
	gvm_region_index(conn, &call, &index);
	CHECK_EQ(gvm_conn_wait(conn, &call.req), 0);
	for (unsigned i = 0; i < call.rsp.region_index.count; i++)
		there[gvm_load_le(call.data + i * 16, 8) % CHUNKS] = true;
	for (unsigned i = 0; i < N - LATER; i++)
		CHECK_EQ(there[i], i <= half->place);
	for (unsigned i = N - LATER; i < N; i++)
		CHECK(there[i] && !l[i].result);
	CHECK_EQ(way_links(way), 1);
	CHECK_EQ(conn->abandoned, 0);
	end();
	loads_free(l, N);
}

static void a_request_cut_half_sent_is_sent_whole_again(void)
{
	enum { N = 200 };
	struct load *l = loads_make(N);

	begin();
	way_hold(way, true);
	for (unsigned i = 0; i < N; i++)
		put(&l[i], i, i + 1, true);
	CHECK(conn->head_sent);
	way_block(way, true);
	rig_run_to(conn, GVM_CONN_CONNECTING);
	way_hold(way, false);
	way_block(way, false);
	rig_run_one(conn, &left, SECONDS);
	for (unsigned i = 0; i < N; i++)
		CHECK(l[i].ends == 1 && !l[i].result);
	CHECK_EQ(way_links(way), 2);
	end();
	loads_free(l, N);
}

static uint32_t came;

static int awaited_piece(struct gvm_get *get, uint64_t version, const struct chunk_head *head,
			 const uint8_t *body)
{
	(void)get, (void)version, (void)body;
	came |= chunk_pages_of_blocks(head->block_shift, head->block_mask);
	return 0;
}

/* The way passes on the frame with it, and nothing more. */
static void an_awaited_page_waits_for_no_other(void)
{
	struct load *l = loads_make(1);
	struct gvm_get_rsp rsp = {0};
	uint8_t meta[GVM_META_MAX];
	uint64_t start = gvm_now_ns(), frame;

	begin();
	put(l, 3, 1, true);
	rig_run_one(conn, &left, SECONDS);
	frame = GVM_HDR_BYTES + (uint64_t)gvm_get_rsp_pack(&rsp, meta) + CHUNK_PLAIN_HEAD_BYTES(1) + GVM_PAGE_BYTES;
	way_fault(way, (struct way_fault){FAULT_FREEZE, 0, TO_CLIENT, way_bytes(way, TO_CLIENT) +
					  (rig_tls() ? TLS_SEALED_BYTES(frame) : frame)});
	came = 0;
	get(l, 3, 1);
	l->get.on_piece = awaited_piece;
	while (!came) {
		rig_run_ms(conn, 1);
		CHECK(gvm_now_ns() < start + SECONDS * 1000000000ull);
	}
	CHECK_EQ(came, 1u << 3);
	way_fault(way, (struct way_fault){0});
	way_block(way, true);
	rig_run_to(conn, GVM_CONN_CONNECTING);
	way_block(way, false);
	rig_run_one(conn, &left, SECONDS);
	CHECK(!l->result && came == UINT32_MAX);
	end();
	loads_free(l, 1);
}

static unsigned chain;

static int cancelling_piece(struct gvm_get *get, uint64_t version, const struct chunk_head *head,
			    const uint8_t *body)
{
	(void)version, (void)head, (void)body;
	chain++;
	gvm_cancel(&get->req);
	memset(get, 0xdd, sizeof(*get));
	return 0;
}

static int refusing_piece(struct gvm_get *get, uint64_t version, const struct chunk_head *head,
			  const uint8_t *body)
{
	(void)get, (void)version, (void)head, (void)body;
	chain++;
	return chain == 1 ? -EDOM : -EBADMSG;
}

static void a_piece_may_end_its_own_request(void)
{
	struct load *l = loads_make(3);

	begin();
	put(&l[0], 0, 1, false);
	rig_run_one(conn, &left, SECONDS);
	chain = 0;
	get(&l[0], 0, 1);
	l[0].get.on_piece = cancelling_piece;
	rig_run_one(conn, &left, SECONDS);
	CHECK_EQ(chain, 1);
	CHECK_EQ(l[0].result, -ECANCELED);
	get(&l[1], 0, 1);
	rig_run_one(conn, &left, SECONDS);
	read_is(&l[1]);
	/* An error of the caller's own ends it; damage is tried once more first. */
	chain = 0;
	l[1].get.req.deadline_ns = 0;
	get(&l[1], 0, 1);
	l[1].get.on_piece = refusing_piece;
	rig_run_one(conn, &left, SECONDS);
	CHECK_EQ(chain, 1);
	CHECK_EQ(l[1].result, -EDOM);
	get(&l[2], 0, 1);
	l[2].get.on_piece = refusing_piece;
	rig_run_one(conn, &left, SECONDS);
	CHECK_EQ(chain, 3);
	CHECK_EQ(l[2].result, -EBADMSG);
	CHECK_EQ(way_links(way), 1);
	end();
	loads_free(l, 3);
}

static struct load *other;

static void resubmit(struct gvm_req *req)
{
	struct load *l = req->arg;

	CHECK_EQ(req->result, 0);
	if (other->call.req.done) {
		gvm_cancel(&other->call.req);
		CHECK_EQ(other->result, -ECANCELED);
		other->call.req.done = NULL;
	}
	if (++chain < 500)
		rig_ping(conn, &l->call, chain);
	else
		left--;
}

static void callbacks_may_submit_and_cancel(void)
{
	struct load *l = loads_make(2);

	begin();
	chain = 0;
	other = &l[1];
	gvm_conn_cork(conn, true);
	ping(&l[0], 0);
	l[0].call.req.done = resubmit;
	ping(&l[1], 0);
	gvm_conn_cork(conn, false);
	rig_run_one(conn, &left, SECONDS);
	CHECK_EQ(chain, 500);
	end();
	loads_free(l, 2);
}

static void next_ping(struct gvm_req *req)
{
	struct load *l = req->arg;

	CHECK_EQ(req->result, 0);
	CHECK_EQ(l->call.rsp.ping.cookie, chain);
	if (chain == 50)
		left--;
	else
		rig_ping(conn, &l->call, ++chain);
}

/* The repeat arrives when the next request has the same place in the table. */
static void a_repeated_answer_is_not_taken_for_the_next_one(void)
{
	struct load *l;

	if (rig_tls())
		return; /* no way can repeat an answer then */
	l = loads_make(1);
	begin();
	way_fault(way, (struct way_fault){FAULT_REPEAT, 0, TO_CLIENT,
					  way_bytes(way, TO_CLIENT) + 9 * (GVM_HDR_BYTES + 8)});
	chain = 1;
	ping(&l[0], 0);
	l[0].call.req.done = next_ping;
	rig_run_one(conn, &left, SECONDS);
	CHECK_EQ(way_links(way), 2);
	end();
	loads_free(l, 1);
}

static void corked_requests_wait_and_go_together(void)
{
	enum { N = 500 };
	struct load *l = loads_make(N);
	uint64_t before;

	begin();
	before = way_bytes(way, TO_NODE);
	gvm_conn_cork(conn, true);
	for (unsigned i = 0; i < N; i++)
		ping(&l[i], 0);
	for (unsigned i = 0; i < 20; i++) {
		struct timespec ms = {.tv_nsec = 1000000};

		gvm_conn_poll(conn);
		nanosleep(&ms, NULL);
	}
	CHECK_EQ(way_bytes(way, TO_NODE), before);
	gvm_conn_cork(conn, false);
	rig_run_one(conn, &left, SECONDS);
	/* process() sends them, too. */
	gvm_conn_cork(conn, true);
	for (unsigned i = 0; i < N; i++)
		ping(&l[i], 0);
	gvm_conn_process(conn);
	rig_run_one(conn, &left, SECONDS);
	CHECK_EQ(ended, 2 * N);
	gvm_conn_cork(conn, false);
	end();
	loads_free(l, N);
}

static void destroying_ends_everything_once(void)
{
	enum { N = 100 };
	struct load *l = loads_make(N);
	struct gvm_conn *doomed;

	begin();
	doomed = conn;
	for (unsigned i = 0; i < N; i++)
		put(&l[i], i, i + 1, true);
	gvm_conn_destroy(doomed);
	CHECK_EQ(left, 0);
	for (unsigned i = 0; i < N; i++)
		CHECK(l[i].ends == 1 && l[i].result == -ECANCELED);
	/* Also before anything was connected. */
	CHECK_EQ(gvm_conn_create(node.addr, NULL, &conn), 0);
	ping(&l[0], 0);
	gvm_conn_destroy(conn);
	CHECK_EQ(l[0].ends, 2);
	gvm_conn_destroy(NULL);
	way_close(way);
	loads_free(l, N);
}

static void what_cannot_be_an_address_is_refused(void)
{
	static const char *const bad[] = {"", "local host", "127.0.0.1:", "127.0.0.1:0", "::1",
					  "[::1", "[::1]x", "127.0.0.1:70000", "1.2.3", ":9999",
					  "127.0.0.1:99 ", "[127.0.0.1]:9", "[::1%]:9", "-a:9",
					  "a-.b:9", "a..b:9", "node/9", "node.3:9"};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CHECK_EQ(gvm_conn_create(bad[i], NULL, &conn), -EINVAL);
	CHECK_EQ(gvm_conn_create("[::1]", NULL, &conn), 0);
	CHECK(gvm_conn_client(conn) && !strcmp(gvm_conn_addr(conn), "[::1]"));
	CHECK(gvm_id_is_none(gvm_conn_incarnation(conn)));
	gvm_conn_destroy(conn);
}

static const struct check_test tests[] = {
	{"thousands-answered-in-any-order-each-get-their-own",
	 thousands_answered_in_any_order_each_get_their_own},
	{"requests-under-way-survive-cuts-in-any-number",
	 requests_under_way_survive_cuts_in_any_number},
	{"a-deadline-ends-a-request-not-before-it", a_deadline_ends_a_request_not_before_it},
	{"answers-to-cancelled-requests-are-skipped", answers_to_cancelled_requests_are_skipped},
	{"a-request-cancelled-half-sent-harms-no-other",
	 a_request_cancelled_half_sent_harms_no_other},
	{"a-request-cut-half-sent-is-sent-whole-again",
	 a_request_cut_half_sent_is_sent_whole_again},
	{"a-repeated-answer-is-not-taken-for-the-next-one",
	 a_repeated_answer_is_not_taken_for_the_next_one},
	{"an-awaited-page-waits-for-no-other", an_awaited_page_waits_for_no_other},
	{"a-piece-may-end-its-own-request", a_piece_may_end_its_own_request},
	{"callbacks-may-submit-and-cancel", callbacks_may_submit_and_cancel},
	{"corked-requests-wait-and-go-together", corked_requests_wait_and_go_together},
	{"destroying-ends-everything-once", destroying_ends_everything_once},
	{"what-cannot-be-an-address-is-refused", what_cannot_be_an_address_is_refused},
};

int main(int argc, char **argv)
{
	int ret = check_run(argc, argv, tests, sizeof(tests) / sizeof(*tests));

	if (codec) {
		chunk_codec_destroy(codec);
		rig_node_end(&node, SIGTERM);
	}
	return ret;
}
