// SPDX-License-Identifier: GPL-2.0-or-later
/* pool.c - see pool.h. */
#include "pool.h"

#include "base/log.h"
#include "addr.h"
#include "fiber.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOW_NS	     3000000000ull  /* a wait that is logged */
#define CALL_NS	     2000000000ull
#define IDLE_MS	     10000u
#define LOST_EACH_NS 60000000000ull /* between two log lines about a node that stays away */
#define AWAY_NS	     2500000000ull /* what is asked something is heard of each second */

static void pool_speak(struct pool *pool, struct gvm_conn *conn, enum gvm_conn_state state,
		       bool renewed, const char *why)
{
	const char *addr = gvm_conn_addr(conn);
	uint64_t now_ns = gvm_now_ns(), *said_ns;
	unsigned i = 0;

	while (i < pool->count && pool->conns[i] != conn)
		i++;
	if (i == pool->count)
		return;
	said_ns = &pool->lost_said_ns[i];
	if (state == GVM_CONN_FAILED) {
		log_error(NULL, "node %s refused for good: %s", addr, why);
	} else if (state == GVM_CONN_CONNECTING) {
		if (*said_ns && now_ns - *said_ns < LOST_EACH_NS)
			return;
		*said_ns = now_ns;
		log_warning(NULL, "node %s not reachable (%s): requests to it wait", addr, why);
	} else {
		*said_ns = 0;
		if (renewed)
			log_error(NULL,
				  "node %s restarted without its memory: the chunks that it held are LOST",
				  addr);
		else
			log_info(NULL, "node %s connected", addr);
	}
}

/* Finds the listed connections that lead to the same node as an earlier one. */
static void pool_compare(struct pool *pool)
{
	for (unsigned i = 1; i < pool->listed; i++) {
		const struct gvm_id *own = gvm_conn_incarnation(pool->conns[i]);
		bool was = pool->again[i];
		unsigned first = 0;

		while (first < i && !gvm_id_equal(gvm_conn_incarnation(pool->conns[first]), own))
			first++;
		pool->again[i] = first < i && !gvm_id_is_none(own);
		if (pool->again[i] && !was && pool->kind == POOL_WATCHES)
			log_warning(NULL, "%s and %s are one node: it counts once",
				    gvm_conn_addr(pool->conns[first]), gvm_conn_addr(pool->conns[i]));
	}
}

/* If a node is listed more than once, the entry that has a rack counts. */
static const char *rack_name(const struct pool *pool, const struct gvm_conn *conn)
{
	const struct gvm_id *own = gvm_conn_incarnation(conn);

	for (unsigned i = 0; i < pool->listed; i++)
		if (pool->opts->racks[i] && (pool->conns[i] == conn ||
					     (!gvm_id_is_none(own) && gvm_id_equal(gvm_conn_incarnation(pool->conns[i]), own))))
			return pool->opts->racks[i];
	return NULL;
}

unsigned pool_rack(const struct pool *pool, const struct gvm_conn *conn)
{
	const char *name = rack_name(pool, conn);
	unsigned i = 0;

	if (!name)
		return 0;
	while (!pool->opts->racks[i] || strcmp(pool->opts->racks[i], name) != 0)
		i++;
	return i + 1;
}

unsigned pool_nodes(const struct pool *pool)
{
	unsigned n = 0;

	for (unsigned i = 0; i < pool->listed; i++)
		n += !pool->again[i];
	return n;
}

static void pool_on_state(struct gvm_conn *conn, enum gvm_conn_state state, bool renewed,
			  const char *why, void *arg)
{
	struct pool *pool = arg;

	pool->generation++;
	for (unsigned i = 0; renewed && i < pool->count; i++)
		if (pool->conns[i] == conn)
			pool->drains[i] = false; /* a restarted node has forgotten that */
	if (state == GVM_CONN_UP)
		pool_compare(pool);
	if (pool->kind == POOL_WATCHES)
		pool_speak(pool, conn, state, renewed, why);
	if (state == GVM_CONN_UP && pool->on_up)
		pool->on_up(pool, conn);
}

static void conn_ready(void *conn)
{
	gvm_conn_process(conn);
}

static int pool_watch(struct pool *pool, struct gvm_conn *conn)
{
	struct loop_source *source = calloc(1, sizeof(*source));
	int r = source ? loop_add(pool->loop, source, gvm_conn_fd(conn), conn_ready, conn) : -ENOMEM;

	if (r < 0)
		free(source);
	else
		pool->sources[pool->count] = source;
	return r;
}

static void pool_close(struct pool *pool, unsigned i)
{
	loop_remove(pool->loop, pool->sources[i]);
	free(pool->sources[i]);
	gvm_conn_destroy(pool->conns[i]);
}

/* POOL_WRITES: closes a connection without requests. False: there is none. */
static bool pool_drop_idle(struct pool *pool)
{
	for (unsigned i = 0; pool->kind == POOL_WRITES && i < pool->count; i++) {
		if (gvm_conn_pending(pool->conns[i]))
			continue;
		pool_close(pool, i);
		pool->count--;
		/* conns[] stays in the order of creation, which is about that of the last use. */
		memmove(&pool->conns[i], &pool->conns[i + 1], (pool->count - i) * sizeof(*pool->conns));
		memmove(&pool->sources[i], &pool->sources[i + 1], (pool->count - i) * sizeof(*pool->sources));
		pool->generation++;
		return true;
	}
	return false;
}

static bool addr_may_take(const struct options *opts, const char *text)
{
	struct addr addr;

	return opts->sealing || opts->seal == OPTIONS_NO_SEAL || (!addr_parse(text, &addr) && addr_is_local(&addr));
}

bool pool_may_send(const struct pool *pool, const struct record_node *node)
{
	for (unsigned i = 0; i < pool->count; i++)
		if (gvm_id_equal(gvm_conn_incarnation(pool->conns[i]), &node->incarnation))
			return addr_may_take(pool->opts, gvm_conn_addr(pool->conns[i]));
	return addr_may_take(pool->opts, node->addr);
}

static int pool_add(struct pool *pool, const char *addr)
{
	struct gvm_conn_opts copts = {
		.key = pool->opts->key,
		.key_bytes = pool->opts->key_bytes,
		.tls = pool->opts->tls,
		.client = pool->client,
		.idle_ms = pool->kind == POOL_WATCHES ? 0 : IDLE_MS,
		.on_state = pool_on_state,
		.arg = pool,
	};
	struct gvm_conn *conn;
	int r;

	if (pool->kind == POOL_WRITES && !addr_may_take(pool->opts, addr)) {
		log_error(NULL, "nothing is sent to node %s: it is beyond this host's loopback, and this mount does not seal",
			  addr);
		return -EPERM;
	}
	if (pool->count == POOL_CONNS_MAX)
		return -EMFILE;
	r = gvm_conn_create(addr, &copts, &conn);
	while ((r == -EMFILE || r == -ENFILE) && pool_drop_idle(pool))
		r = gvm_conn_create(addr, &copts, &conn);
	if (r < 0)
		return r;
	r = pool_watch(pool, conn);
	if (r < 0) {
		gvm_conn_destroy(conn);
		return r;
	}
	assert(pool->count < POOL_CONNS_MAX && pool->sources[pool->count]);
	pool->conns[pool->count++] = conn;
	pool->generation++;
	return 0;
}

int pool_init(struct pool *pool, const struct options *opts, uint64_t client, struct loop *loop,
	      enum pool_kind kind)
{
	memset(pool, 0, sizeof(*pool));
	pool->opts = opts;
	pool->client = client;
	pool->loop = loop;
	pool->kind = kind;
	for (unsigned i = 0; kind != POOL_WRITES && i < opts->node_count; i++) {
		int r = pool_add(pool, opts->nodes[i]);

		if (r < 0) {
			log_error(NULL, "node %s cannot be used: %s", opts->nodes[i], strerror(-r));
			pool_deinit(pool);
			return r;
		}
	}
	pool->listed = pool->count;
	return 0;
}

void pool_deinit(struct pool *pool)
{
	while (pool->count)
		pool_close(pool, --pool->count);
}

struct gvm_conn *pool_node(struct pool *pool, const struct record_node *node)
{
	struct gvm_conn *by_addr = NULL;

	for (unsigned i = 0; i < pool->count; i++) {
		if (gvm_id_equal(gvm_conn_incarnation(pool->conns[i]), &node->incarnation))
			return pool->conns[i];
		if (strcmp(gvm_conn_addr(pool->conns[i]), node->addr) == 0)
			by_addr = pool->conns[i];
	}
	if (by_addr)
		return by_addr;
	return pool_add(pool, node->addr) == 0 ? pool->conns[pool->count - 1] : NULL;
}

int pool_index(struct pool *pool, const struct record_node *node)
{
	struct gvm_conn *conn = pool_node(pool, node);

	for (unsigned i = 0; conn && i < pool->count; i++)
		if (pool->conns[i] == conn)
			return (int)i;
	return -1;
}

void pool_note(struct pool *pool, const struct record_node *node, bool quiet)
{
	int i = pool_index(pool, node);

	if (i >= 0)
		pool->quiet[i] = quiet;
}

bool pool_is_quiet(struct pool *pool, const struct record_node *node)
{
	int i = pool_index(pool, node);

	return i < 0 || pool_entry_is_quiet(pool, (unsigned)i);
}

bool pool_entry_is_quiet(const struct pool *pool, unsigned entry)
{
	return entry >= pool->count || pool->quiet[entry] || gvm_conn_state(pool->conns[entry]) != GVM_CONN_UP;
}

bool pool_is_silent(struct pool *pool, const struct record_node *node)
{
	int i = pool_index(pool, node);

	if (i < 0 || pool->quiet[i])
		return true;
	return pool_entry_is_quiet(pool, (unsigned)i) && (gvm_conn_state(pool->conns[i]) == GVM_CONN_FAILED ||
							   !gvm_id_is_none(gvm_conn_incarnation(pool->conns[i])));
}

bool pool_is_away(struct pool *pool, const struct record_node *node)
{
	int i = pool_index(pool, node);

	return i >= 0 && pool_entry_is_away(pool, (unsigned)i);
}

bool pool_entry_is_away(const struct pool *pool, unsigned entry)
{
	const struct gvm_conn *conn = entry < pool->count ? pool->conns[entry] : NULL;

	return conn && (gvm_conn_state(conn) != GVM_CONN_UP ||
			(gvm_conn_pending(conn) && gvm_now_ns() > gvm_conn_heard_ns(conn) + AWAY_NS));
}

struct fetch_latency *pool_latency(struct pool *pool, const struct gvm_conn *conn)
{
	unsigned i = 0;

	while (i + 1 < pool->count && pool->conns[i] != conn)
		i++;
	return &pool->latency[i];
}

int pool_poll(struct pool *pool)
{
	int n = 0;

	for (unsigned i = 0; i < pool->count; i++)
		if (gvm_conn_pending(pool->conns[i]))
			n += gvm_conn_poll(pool->conns[i]);
	return n;
}

void pool_gather(struct pool *pool, bool on)
{
	for (unsigned i = 0; i < pool->count; i++)
		gvm_conn_cork(pool->conns[i], on);
}

void pool_done(struct gvm_req *req)
{
	*(bool *)req->arg = true;
}

int pool_wait(struct gvm_conn *conn, struct gvm_req *req)
{
	const bool *done = req->arg;

	fiber_wait(done, gvm_now_ns() + SLOW_NS);
	if (!*done)
		log_warning(NULL, "%s: waiting for node %s", gvm_op_name(req->op), gvm_conn_addr(conn));
	while (!*done)
		fiber_wait(done, 0);
	return req->result;
}

uint64_t pool_deadline(const struct options *opts)
{
	return opts->timeout_s ? gvm_now_ns() + opts->timeout_s * 1000000000ull : 0;
}

uint64_t pool_call_deadline(const struct options *opts)
{
	return opts->timeout_s ? pool_deadline(opts) : gvm_now_ns() + CALL_NS;
}
