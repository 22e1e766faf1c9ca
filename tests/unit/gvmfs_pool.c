// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_pool.c - which nodes are waited for: those that answer, and those that nothing is known of yet. The connections are the
 * test's. */
#include "base/log.h"
#include "base/loop.h"
#include "check.h"
#include "node/fiber.h"
#include "node/pool.h"
#include "options.h"

struct gvm_conn {
	const char *addr;
	enum gvm_conn_state state;
	struct gvm_id node;
};

static struct gvm_conn conn;
static struct pool pool;
static struct record_node node;

int gvm_conn_create(const char *addr, const struct gvm_conn_opts *opts, struct gvm_conn **c)
{
	(void)opts;
	conn = (struct gvm_conn){ .addr = addr };
	*c = &conn;
	return 0;
}

void gvm_conn_destroy(struct gvm_conn *c)
{
	CHECK(c == &conn);
}

int gvm_conn_fd(const struct gvm_conn *c)
{
	(void)c;
	return -1;
}

const char *gvm_conn_addr(const struct gvm_conn *c)
{
	return c->addr;
}

enum gvm_conn_state gvm_conn_state(const struct gvm_conn *c)
{
	return c->state;
}

const struct gvm_id *gvm_conn_incarnation(const struct gvm_conn *c)
{
	return &c->node;
}

unsigned gvm_conn_pending(const struct gvm_conn *c)
{
	(void)c;
	return 0;
}

uint64_t gvm_conn_heard_ns(const struct gvm_conn *c)
{
	(void)c;
	return 0;
}

int gvm_conn_poll(struct gvm_conn *c)
{
	(void)c;
	return 0;
}

int gvm_conn_process(struct gvm_conn *c)
{
	(void)c;
	return 0;
}

void gvm_conn_cork(struct gvm_conn *c, bool on)
{
	(void)c;
	(void)on;
}

int loop_add(struct loop *loop, struct loop_source *source, int fd, void (*ready)(void *arg), void *arg)
{
	(void)loop;
	(void)source;
	(void)fd;
	(void)ready;
	(void)arg;
	return 0;
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	(void)loop;
	(void)source;
}

void fiber_wait(const bool *done, uint64_t until_ns)
{
	(void)done;
	(void)until_ns;
}

void log_put(struct gvm_log_site *site, int level, const char *object, const char *fmt, ...)
{
	(void)site;
	(void)level;
	(void)object;
	(void)fmt;
}

static void setup(void)
{
	static struct options opts = { .node_count = 1, .nodes = { "127.0.0.1:9999" } };

	CHECK(!pool_init(&pool, &opts, 1, NULL, POOL_WATCHES));
	node = (struct record_node){ .incarnation = { { 1 } }, .addr = "127.0.0.1:9999" };
}

/* As a successor is beside a node that is slow to greet it. */
static void a_node_that_was_never_connected_may_be_there(void)
{
	setup();
	CHECK(pool_is_quiet(&pool, &node));
	CHECK(!pool_is_silent(&pool, &node));
	pool_note(&pool, &node, true); /* it was waited for */
	CHECK(pool_is_silent(&pool, &node));
	pool_note(&pool, &node, false);
	CHECK(!pool_is_silent(&pool, &node));
	conn.state = GVM_CONN_FAILED; /* it has refused */
	CHECK(pool_is_silent(&pool, &node));
	pool_deinit(&pool);
}

static void a_node_that_was_there_and_is_not_is_silent(void)
{
	setup();
	conn.node = node.incarnation;
	conn.state = GVM_CONN_UP;
	CHECK(!pool_is_quiet(&pool, &node));
	CHECK(!pool_is_silent(&pool, &node));
	conn.state = GVM_CONN_CONNECTING;
	CHECK(pool_is_silent(&pool, &node));
	conn.state = GVM_CONN_UP;
	pool_note(&pool, &node, true); /* it is connected, and does not answer */
	CHECK(pool_is_silent(&pool, &node));
	pool_deinit(&pool);
}

static const struct check_test tests[] = {
	{ "a-node-that-was-never-connected-may-be-there", a_node_that_was_never_connected_may_be_there },
	{ "a-node-that-was-there-and-is-not-is-silent", a_node_that_was_there_and_is_not_is_silent },
};

int main(int argc, char **argv)
{
	return check_run(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
