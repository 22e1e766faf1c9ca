// SPDX-License-Identifier: GPL-2.0-or-later
/* client_node.c - a node that is away, stopped, replaced by an empty one, or not to be trusted. */
#include "client_rig.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#define SECONDS 60

static const char key[] = "a key of enough bytes";

/* What on_state saw. */
struct seen {
	unsigned up, renewed, lost, failed;
	char log[2048]; /* the reasons, a line each */
	void (*on_up)(struct gvm_conn *conn, bool renewed);
};

static unsigned left, order;

static void on_state(struct gvm_conn *conn, enum gvm_conn_state state, bool renewed,
		     const char *why, void *arg)
{
	struct seen *s = arg;

	CHECK_EQ(gvm_conn_state(conn), state);
	CHECK(!renewed || state == GVM_CONN_UP);
	snprintf(s->log + strlen(s->log), sizeof(s->log) - strlen(s->log), "%s\n", why);
	s->up += state == GVM_CONN_UP;
	s->lost += state == GVM_CONN_CONNECTING;
	s->failed += state == GVM_CONN_FAILED;
	s->renewed += renewed;
	if (state == GVM_CONN_UP && s->on_up)
		s->on_up(conn, renewed);
}

static struct gvm_conn *conn_make(const char *addr, struct seen *seen, const char *secret,
				  unsigned dead_after_ms)
{
	struct gvm_conn_opts opts = {
		.key = secret,
		.key_bytes = secret ? strlen(secret) : 0,
		.dead_after_ms = dead_after_ms,
		.on_state = on_state,
		.arg = seen,
	};
	struct gvm_conn *conn;

	memset(seen, 0, sizeof(*seen));
	CHECK_EQ(gvm_conn_create(addr, &opts, &conn), 0);
	return conn;
}

struct ask {
	struct gvm_call call;
	unsigned ends, order;
};

static void asked(struct gvm_req *req)
{
	struct ask *a = req->arg;

	a->ends++;
	a->order = ++order;
	left--;
}

static struct gvm_call *ask(struct ask *a)
{
	memset(a, 0, sizeof(*a));
	a->call.req.done = asked;
	a->call.req.arg = a;
	left++;
	return &a->call;
}

static int create(struct gvm_conn *conn, unsigned region)
{
	struct gvm_region_create_req what = {rig_region(region), 8, 8, 1, 0, 0, 0};
	struct gvm_call call = {0};

	gvm_region_create(conn, &call, &what);
	return gvm_conn_wait(conn, &call.req);
}

static void stat_ask(struct gvm_conn *conn, struct ask *a, unsigned region)
{
	struct gvm_region_stat_req what = {rig_region(region)};

	gvm_region_stat(conn, ask(a), &what);
}

static struct ask first_ask, name_ask, later_ask;

static void ask_on_up(struct gvm_conn *conn, bool renewed)
{
	if (renewed)
		stat_ask(conn, &first_ask, 1);
}

static void a_node_that_lost_its_memory_is_a_declared_loss(void)
{
	struct rig_node old, new;
	struct seen seen, theirs;
	struct gvm_conn *conn, *stranger;
	struct way *way;
	struct gvm_id before;
	struct gvm_name_put_req name = {rig_region(9), 1, 1, 1, 0};
	struct ask asks[3];

	rig_node_start(&old, NULL);
	rig_node_start(&new, NULL);
	way = way_open(old.addr);
	conn = conn_make(way_addr(way), &seen, NULL, 0);
	CHECK_EQ(create(conn, 1), 0);
	CHECK_EQ(create(conn, 2), 0);
	before = *gvm_conn_incarnation(conn);
	CHECK(seen.up == 1 && !seen.renewed);

	/* The same node again is no renewal: nothing is lost. */
	way_block(way, true);
	rig_run_to(conn, GVM_CONN_CONNECTING);
	way_block(way, false);
	left = 0;
	stat_ask(conn, &asks[0], 1);
	rig_run_one(conn, &left, SECONDS);
	CHECK_EQ(asks[0].call.req.result, 0);
	CHECK(seen.up == 2 && !seen.renewed);

	way_block(way, true);
	rig_node_end(&old, SIGKILL);
	rig_run_to(conn, GVM_CONN_CONNECTING);
	for (unsigned i = 0; i < 3; i++)
		stat_ask(conn, &asks[i], 1);
	gvm_name_put(conn, ask(&name_ask), &name, "x", 1);
	/* Even if somebody else has made a region of that name there. */
	stranger = conn_make(new.addr, &theirs, NULL, 0);
	CHECK_EQ(create(stranger, 1), 0);
	gvm_conn_destroy(stranger);
	way_lead_to(way, new.addr);
	way_block(way, false);
	seen.on_up = ask_on_up;
	rig_run_one(conn, &left, SECONDS);
	CHECK_EQ(seen.renewed, 1);
	CHECK(!gvm_id_equal(&before, gvm_conn_incarnation(conn)));
	for (unsigned i = 0; i < 3; i++)
		CHECK(asks[i].ends == 1 && asks[i].call.req.result == -ENOMEDIUM);
	/* What names no region is carried out by the new one, and so is what was asked when it came
	 * up, before everything else. */
	CHECK_EQ(name_ask.call.req.result, 0);
	CHECK_EQ(first_ask.ends, 1);
	CHECK_EQ(first_ask.call.req.result, 0);
	CHECK(first_ask.order < name_ask.order);
	stat_ask(conn, &later_ask, 1);
	rig_run_one(conn, &left, SECONDS);
	CHECK_EQ(later_ask.call.req.result, 0);
	gvm_conn_destroy(conn);
	way_close(way);
	rig_node_end(&new, SIGTERM);
}

static int stat_of(struct gvm_conn *conn, const struct gvm_id *node)
{
	static struct ask a;
	struct gvm_region_stat_req what = {rig_region(1)};

	ask(&a)->req.node = *node;
	gvm_region_stat(conn, &a.call, &what);
	rig_run_one(conn, &left, SECONDS);
	return a.call.req.result;
}

static void a_request_reaches_the_node_that_it_names_or_none(void)
{
	struct rig_node old, new;
	struct seen seen, theirs;
	struct gvm_conn *conn, *other;
	struct gvm_id was, is;
	struct gvm_region_stat_req what = {rig_region(1)};
	struct ask queued[2];
	struct way *way;

	rig_node_start(&old, NULL);
	rig_node_start(&new, NULL);
	way = way_open(old.addr);
	conn = conn_make(way_addr(way), &seen, NULL, 0);
	other = conn_make(new.addr, &theirs, NULL, 0);
	CHECK_EQ(create(conn, 1), 0);
	CHECK_EQ(create(other, 1), 0);
	was = *gvm_conn_incarnation(conn);
	is = *gvm_conn_incarnation(other);
	left = 0;
	/* What waits for a link is for the node that it names, whichever was there before. */
	way_block(way, true);
	rig_run_to(conn, GVM_CONN_CONNECTING);
	ask(&queued[0])->req.node = was;
	ask(&queued[1])->req.node = is;
	gvm_region_stat(conn, &queued[0].call, &what);
	gvm_region_stat(conn, &queued[1].call, &what);
	way_lead_to(way, new.addr);
	way_block(way, false);
	rig_run_one(conn, &left, SECONDS);
	CHECK_EQ(queued[0].call.req.result, -ENOMEDIUM);
	CHECK_EQ(queued[1].call.req.result, 0);
	/* A node that was there before is known, and does not cost another link. */
	CHECK_EQ(seen.up, 2);
	CHECK_EQ(stat_of(conn, &was), -ENOMEDIUM);
	CHECK_EQ(seen.up, 2);
	/* One that was never heard of may be there without our link having noticed. */
	way_lead_to(way, old.addr);
	CHECK_EQ(stat_of(conn, &(struct gvm_id){{1}}), -ENOMEDIUM);
	CHECK_EQ(seen.up, 3);
	CHECK_EQ(stat_of(conn, &was), 0);
	CHECK_EQ(stat_of(conn, &is), -ENOMEDIUM);
	CHECK_EQ(seen.up, 3);
	gvm_conn_destroy(conn);
	gvm_conn_destroy(other);
	way_close(way);
	rig_node_end(&old, SIGTERM);
	rig_node_end(&new, SIGTERM);
}

static void a_stopped_node_is_noticed_and_taken_up_again(void)
{
	struct rig_node node;
	struct seen seen;
	struct gvm_conn *conn;
	struct ask waits, ends;
	uint64_t end = gvm_now_ns() + SECONDS * 1000000000ull;

	rig_node_start(&node, NULL);
	conn = conn_make(node.addr, &seen, NULL, 200);
	CHECK_EQ(create(conn, 1), 0);
	/* Silence alone is no death: PINGs are answered, if not always in time on a busy machine. */
	do {
		CHECK(gvm_now_ns() < end);
		rig_run_to(conn, GVM_CONN_UP);
		seen.lost = 0;
		seen.log[0] = 0;
		rig_run_ms(conn, 600);
	} while (seen.lost || gvm_conn_state(conn) != GVM_CONN_UP);

	CHECK_EQ(kill(node.pid, SIGSTOP), 0);
	left = 0;
	stat_ask(conn, &waits, 1);
	memset(&ends, 0, sizeof(ends));
	stat_ask(conn, &ends, 1);
	gvm_cancel(&ends.call.req);
	stat_ask(conn, &ends, 1);
	rig_run_to(conn, GVM_CONN_CONNECTING);
	CHECK(strstr(seen.log, "no answer for 200 ms\n"));
	CHECK_EQ(waits.ends + ends.ends, 0);
	CHECK_EQ(kill(node.pid, SIGCONT), 0);
	rig_run_one(conn, &left, SECONDS);
	CHECK_EQ(waits.call.req.result, 0);
	CHECK_EQ(ends.call.req.result, 0);
	CHECK(seen.up >= 2 && !seen.renewed);
	gvm_conn_destroy(conn);
	rig_node_end(&node, SIGTERM);
}

static void is_told_once(const struct seen *seen)
{
	char line[256];
	size_t n;

	for (const char *p = seen->log; (n = strcspn(p, "\n")); p += n + 1) {
		snprintf(line, sizeof(line), "%.*s\n", (int)n, p);
		if (strstr(p + n + 1, line))
			fprintf(stderr, "told more than once:\n%s", seen->log);
		CHECK(!strstr(p + n + 1, line));
	}
}

/* Nobody listens: requests wait, and a reason is told once, not at every attempt. */
static void an_absent_node_is_waited_for(void)
{
	struct rig_node node;
	struct seen seen;
	struct gvm_conn *conn;
	struct way *way;
	struct ask waits;

	rig_node_start(&node, NULL);
	way = way_open(node.addr);
	way_block(way, true);
	conn = conn_make(way_addr(way), &seen, NULL, 0);
	left = 0;
	gvm_node_stat(conn, ask(&waits));
	for (unsigned i = 0; i < 4 * SECONDS && !seen.lost; i++)
		rig_run_ms(conn, 250); /* on a busy machine it takes its time */
	rig_run_ms(conn, 500);
	CHECK_EQ(waits.ends, 0);
	CHECK(seen.lost && !seen.up);
	is_told_once(&seen);
	CHECK(way_links(way) == 0);
	way_block(way, false);
	rig_run_one(conn, &left, SECONDS);
	CHECK_EQ(waits.call.req.result, 0);
	CHECK_EQ(seen.up, 1);
	gvm_conn_destroy(conn);
	way_close(way);
	rig_node_end(&node, SIGTERM);
}

static void fails_for_good(const char *addr, const char *secret, int err)
{
	struct seen seen;
	struct gvm_conn *conn = conn_make(addr, &seen, secret, 0);
	struct ask asks[2];

	left = 0;
	gvm_node_stat(conn, ask(&asks[0]));
	stat_ask(conn, &asks[1], 1);
	rig_run_one(conn, &left, SECONDS);
	for (unsigned i = 0; i < 2; i++)
		CHECK(asks[i].ends == 1 && asks[i].call.req.result == err);
	CHECK(seen.failed == 1 && !seen.up);
	CHECK_EQ(gvm_conn_state(conn), GVM_CONN_FAILED);
	/* Later ones, too, and from process(), not from within the call. */
	gvm_node_stat(conn, ask(&asks[0]));
	CHECK_EQ(asks[0].ends, 0);
	rig_run_one(conn, &left, SECONDS);
	CHECK_EQ(asks[0].call.req.result, err);
	gvm_conn_destroy(conn);
}

static void without_the_same_key_nobody_is_spoken_to(void)
{
	struct rig_node locked, open;
	struct seen seen;
	struct gvm_conn *conn;

	rig_node_start(&locked, rig_key_file(key));
	rig_node_start(&open, NULL);
	fails_for_good(locked.addr, "another key of enough bytes", -EACCES);
	fails_for_good(locked.addr, NULL, -EACCES);
	fails_for_good(open.addr, key, -EACCES);
	conn = conn_make(locked.addr, &seen, key, 0);
	CHECK_EQ(create(conn, 1), 0);
	gvm_conn_destroy(conn);
	rig_node_end(&locked, SIGTERM);
	rig_node_end(&open, SIGTERM);
}

/*
 * A peer that ends every connection at once, in order or by a reset, as an address where a forwarder
 * has lost its node does: the reasons alternate, and each is told once until the node was there.
 */
static void alternating_reasons_are_told_once_each(void)
{
	struct gvm_hello_rsp rsp = {.version = GVM_VERSION, .incarnation = {{1}}};
	struct gvm_hdr h = {.op = GVM_OP_HELLO, .flags = GVM_FLAG_RESPONSE};
	struct linger now = {.l_onoff = 1, .l_linger = 0};
	uint8_t frame[512], heard[512];
	char addr[32];
	int fd = rig_liar_open(addr, sizeof(addr)), peer;
	struct seen seen;
	struct gvm_conn *conn = conn_make(addr, &seen, NULL, SECONDS * 1000);

	for (unsigned i = 0; i < 6; i++) {
		peer = rig_liar_answer(fd, conn, "", 0);
		/* What is not read makes a reset of any close. */
		while (recv(peer, heard, sizeof(heard), MSG_DONTWAIT) < 1)
			rig_run_ms(conn, 1);
		if (i % 2)
			setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		close(peer);
	}
	h.meta_len = (uint16_t)gvm_hello_rsp_pack(&rsp, frame + GVM_HDR_BYTES);
	gvm_hdr_pack(&h, frame + GVM_HDR_BYTES, frame);
	peer = rig_liar_answer(fd, conn, frame, GVM_HDR_BYTES + h.meta_len);
	rig_run_to(conn, GVM_CONN_UP);
	CHECK(!strcmp(seen.log, "the node closed the connection\nConnection reset by peer\nconnected\n"));
	/* That it is away again is news. */
	close(peer);
	rig_run_to(conn, GVM_CONN_CONNECTING);
	CHECK_EQ(seen.lost, 3);
	gvm_conn_destroy(conn);
	close(fd);
}

/* It asks for a proof, as the node would, and makes one up for itself. */
static void an_impostor_is_found_out(void)
{
	struct gvm_hello_rsp hello = {.version = GVM_VERSION, .need_auth = 1, .incarnation = {{1}}};
	struct gvm_auth_rsp proof = {{{2}}};
	struct gvm_hdr h = {.op = GVM_OP_HELLO, .flags = GVM_FLAG_RESPONSE};
	uint8_t frames[512], *p = frames;
	char addr[32];
	int fd = rig_liar_open(addr, sizeof(addr));
	struct seen seen;
	struct gvm_conn *conn = conn_make(addr, &seen, key, 0);
	struct ask waits;

	left = 0;
	gvm_node_stat(conn, ask(&waits));
	h.meta_len = (uint16_t)gvm_hello_rsp_pack(&hello, p + GVM_HDR_BYTES);
	gvm_hdr_pack(&h, p + GVM_HDR_BYTES, p);
	p += GVM_HDR_BYTES + h.meta_len;
	h.op = GVM_OP_AUTH;
	h.meta_len = (uint16_t)gvm_auth_rsp_pack(&proof, p + GVM_HDR_BYTES);
	gvm_hdr_pack(&h, p + GVM_HDR_BYTES, p);
	p += GVM_HDR_BYTES + h.meta_len;
	rig_liar_serve(fd, conn, frames, (size_t)(p - frames), 1);
	CHECK(strstr(seen.log, "the node does not hold the key\n"));
	CHECK(!seen.up && seen.failed);
	CHECK_EQ(waits.call.req.result, -EACCES);
	gvm_conn_destroy(conn);
	close(fd);
}

static void what_is_no_node_gets_nothing_but_pauses(void)
{
	static const char http[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n"
				   "Connection: close\r\n\r\n";
	struct gvm_hello_rsp rsp = {.version = GVM_VERSION};
	struct gvm_hdr h = {.op = GVM_OP_HELLO, .flags = GVM_FLAG_RESPONSE};
	uint8_t frame[512];
	char addr[32];
	int fd = rig_liar_open(addr, sizeof(addr));
	struct seen seen;
	struct gvm_conn *conn = conn_make(addr, &seen, NULL, 200);
	struct ask waits;

	left = 0;
	gvm_node_stat(conn, ask(&waits));
	rig_liar_serve(fd, conn, http, sizeof(http) - 1, 3);
	CHECK(strstr(seen.log, "a malformed frame header\n"));
	/* One that never says anything. */
	rig_liar_serve(fd, conn, "", 0, 1);
	CHECK(strstr(seen.log, "no answer to the handshake\n"));
	/* A HELLO without an incarnation. */
	h.meta_len = (uint16_t)gvm_hello_rsp_pack(&rsp, frame + GVM_HDR_BYTES);
	gvm_hdr_pack(&h, frame + GVM_HDR_BYTES, frame);
	rig_liar_serve(fd, conn, frame, GVM_HDR_BYTES + h.meta_len, 2);
	CHECK(strstr(seen.log, "a malformed answer to HELLO\n"));
	CHECK_EQ(waits.ends, 0);
	CHECK(!seen.up && !seen.failed);
	gvm_cancel(&waits.call.req);
	gvm_conn_destroy(conn);
	close(fd);
}

/* One frame that says so may be damaged; three in a row are believed. */
static void another_protocol_version_is_believed_when_repeated(void)
{
	struct gvm_error_rsp rsp = {0};
	struct gvm_hdr h = {
		.op = GVM_OP_HELLO, .flags = GVM_FLAG_RESPONSE, .status = GVM_ERR_VERSION};
	uint8_t frame[512];
	char addr[32];
	int fd = rig_liar_open(addr, sizeof(addr));
	struct seen seen;
	struct gvm_conn *conn = conn_make(addr, &seen, NULL, 200);
	struct ask waits;

	left = 0;
	gvm_node_stat(conn, ask(&waits));
	h.meta_len = (uint16_t)gvm_error_rsp_pack(&rsp, frame + GVM_HDR_BYTES);
	gvm_hdr_pack(&h, frame + GVM_HDR_BYTES, frame);
	rig_liar_serve(fd, conn, frame, GVM_HDR_BYTES + h.meta_len, 2);
	CHECK_EQ(waits.ends, 0);
	CHECK_EQ(seen.failed, 0);
	frame[4] = GVM_VERSION + 1;
	rig_liar_serve(fd, conn, frame, GVM_HDR_BYTES + h.meta_len, 5);
	CHECK_EQ(seen.failed, 1);
	CHECK_EQ(waits.call.req.result, -EPROTONOSUPPORT);
	gvm_conn_destroy(conn);
	close(fd);
}

static size_t hello_answer(uint8_t *frame, bool demands_tls)
{
	struct gvm_hello_rsp rsp = {.version = GVM_VERSION, .incarnation = {{1}}};
	struct gvm_error_rsp error = {.detail = GVM_AUTH_DEMANDS_TLS};
	struct gvm_hdr h = {.op = GVM_OP_HELLO,
			    .flags = GVM_FLAG_RESPONSE,
			    .status = demands_tls ? GVM_ERR_AUTH : GVM_OK};

	h.meta_len = (uint16_t)(demands_tls ? gvm_error_rsp_pack(&error, frame + GVM_HDR_BYTES) :
					      gvm_hello_rsp_pack(&rsp, frame + GVM_HDR_BYTES));
	gvm_hdr_pack(&h, frame + GVM_HDR_BYTES, frame);
	return GVM_HDR_BYTES + h.meta_len;
}

/* Without TLS nothing proves the answer. A node that was there before may have got a wrong option for a while. */
static void a_demand_for_tls_is_believed_when_repeated_by_a_new_node(void)
{
	uint8_t frame[512];
	char addr[32];
	int fd = rig_liar_open(addr, sizeof(addr)), peer;
	struct seen seen;
	struct gvm_conn *conn = conn_make(addr, &seen, NULL, SECONDS * 1000);
	struct ask waits;

	left = 0;
	gvm_node_stat(conn, ask(&waits));
	rig_liar_serve(fd, conn, frame, hello_answer(frame, true), 2);
	CHECK_EQ(waits.ends, 0);
	CHECK_EQ(seen.failed, 0);
	rig_liar_serve(fd, conn, frame, hello_answer(frame, true), 5);
	CHECK_EQ(seen.failed, 1);
	CHECK_EQ(waits.call.req.result, -EACCES);
	CHECK(strstr(seen.log, "the node demands TLS (--tls)\n"));
	gvm_conn_destroy(conn);

	conn = conn_make(addr, &seen, NULL, SECONDS * 1000);
	peer = rig_liar_answer(fd, conn, frame, hello_answer(frame, false));
	rig_run_to(conn, GVM_CONN_UP);
	close(peer);
	rig_run_to(conn, GVM_CONN_CONNECTING);
	rig_liar_serve(fd, conn, frame, hello_answer(frame, true), 5);
	CHECK_EQ(seen.failed, 0);
	peer = rig_liar_answer(fd, conn, frame, hello_answer(frame, false));
	rig_run_to(conn, GVM_CONN_UP);
	gvm_conn_destroy(conn);
	close(peer);
	close(fd);
}

/* A path that damages everything after the handshake: nobody waits for it for ever. */
static void a_path_that_always_damages_ends_requests(void)
{
	struct rig_node node;
	struct seen seen;
	struct gvm_conn *conn;
	struct way *way;
	struct ask asks[3];
	uint64_t hello;

	rig_node_start(&node, NULL);
	way = way_open(node.addr);
	conn = conn_make(way_addr(way), &seen, NULL, 0);
	rig_run_to(conn, GVM_CONN_UP);
	hello = way_bytes(way, TO_CLIENT);
	way_fault(way, (struct way_fault){FAULT_FLIP, ~0u, TO_CLIENT, hello + 33});
	left = 0;
	for (unsigned i = 0; i < 3; i++)
		gvm_node_stat(conn, ask(&asks[i]));
	rig_run_one(conn, &left, SECONDS);
	for (unsigned i = 0; i < 3; i++)
		CHECK(asks[i].ends == 1 && asks[i].call.req.result == -EBADMSG);
	/* Each is tried twice. On a slow machine the answer that is damaged may be a PING's. */
	CHECK(way_links(way) >= 2);
	way_fault(way, (struct way_fault){0});
	gvm_node_stat(conn, ask(&asks[0]));
	rig_run_one(conn, &left, SECONDS);
	CHECK_EQ(asks[0].call.req.result, 0);
	gvm_conn_destroy(conn);
	way_close(way);
	rig_node_end(&node, SIGTERM);
}

static const struct check_test tests[] = {
	{"a-node-that-lost-its-memory-is-a-declared-loss",
	 a_node_that_lost_its_memory_is_a_declared_loss},
	{"a-request-reaches-the-node-that-it-names-or-none",
	 a_request_reaches_the_node_that_it_names_or_none},
	{"a-stopped-node-is-noticed-and-taken-up-again",
	 a_stopped_node_is_noticed_and_taken_up_again},
	{"an-absent-node-is-waited-for", an_absent_node_is_waited_for},
	{"without-the-same-key-nobody-is-spoken-to", without_the_same_key_nobody_is_spoken_to},
	{"a-demand-for-tls-is-believed-when-repeated-by-a-new-node",
	 a_demand_for_tls_is_believed_when_repeated_by_a_new_node},
	{"alternating-reasons-are-told-once-each", alternating_reasons_are_told_once_each},
	{"an-impostor-is-found-out", an_impostor_is_found_out},
	{"what-is-no-node-gets-nothing-but-pauses", what_is_no_node_gets_nothing_but_pauses},
	{"another-protocol-version-is-believed-when-repeated",
	 another_protocol_version_is_believed_when_repeated},
	{"a-path-that-always-damages-ends-requests", a_path_that_always_damages_ends_requests},
};
CHECK_MAIN(tests)
