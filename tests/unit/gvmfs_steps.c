// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_steps.c - with many nodes and regions, what the front does for all of them is done in steps, between which it looks
 * at faults: how much at a time, and that nothing is left out. */
#include "check.h"
#include "node/balance.h"
#include "node/owner.h"
#include "node/pool.h"
#include "node/region_lease.h"
#include "node/region_node.h"
#include "node/replicas_state.h"
#include "state/worker_state.h"

#include <stdlib.h>

#define NODES	128u
#define REGIONS 300u
#define STEP	8u /* requests at a time */

struct gvm_conn {
	enum gvm_conn_state state;
	struct gvm_id incarnation;
};

static struct gvm_conn conns[NODES];
static struct pool pool;
static struct journal journal;
static struct inodes inodes = {.j = &journal};
static struct inode inode[REGIONS];
static struct replicas_list list;
static struct balance balance;
static const struct options opts;
static struct worker worker = {.opts = &opts, .journal = &journal, .inodes = &inodes, .pool = &pool, .replicas = &list,
			       .balance = &balance};
static unsigned sent, stats, picks, corks;
static unsigned told[NODES][REGIONS];
static struct gvm_req *waits[NODES];

enum gvm_conn_state gvm_conn_state(const struct gvm_conn *conn)
{
	return conn->state;
}

const struct gvm_id *gvm_conn_incarnation(const struct gvm_conn *conn)
{
	return &conn->incarnation;
}

void gvm_conn_cork(struct gvm_conn *conn, bool on)
{
	(void)conn;
	corks += on;
	CHECK(on || corks--);
}

void gvm_region_open(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_open_req *what)
{
	unsigned nr;

	memcpy(&nr, what->region.b, sizeof(nr));
	told[conn - conns][nr - 1]++;
	sent++;
	call->req.result = 0;
	call->req.done(&call->req);
}

void gvm_node_stat(struct gvm_conn *conn, struct gvm_call *call)
{
	CHECK(!waits[conn - conns]);
	call->req.conn = conn;
	waits[conn - conns] = &call->req;
	stats++;
}

void owner_lease(const struct options *o, const struct record_owner *owner, bool unlinked, struct gvm_region_open_req *req)
{
	(void)o;
	(void)owner;
	(void)unlinked;
	(void)req;
}

struct gvm_conn *pool_node(struct pool *p, const struct record_node *node)
{
	(void)p;
	for (unsigned i = 0; i < NODES; i++)
		if (gvm_id_equal(&conns[i].incarnation, &node->incarnation))
			return &conns[i];
	return NULL;
}

unsigned pool_rack(const struct pool *p, const struct gvm_conn *conn)
{
	(void)p;
	(void)conn;
	return 0;
}

struct inode *inode_get(struct inodes *in, unsigned nr)
{
	return in->rt[nr];
}

void inode_lease_told(struct inodes *in, struct inode *of)
{
	TAILQ_REMOVE(&in->leasing, of, lease_entry);
	of->leasing = false;
}

/* A region that may_pick() is asked for counts as looked at. */
static void looked_at(void)
{
	picks = 0;
	for (unsigned r = 0; r < REGIONS; r++)
		picks += inode[r].balance_ns != 0;
}

static void begin(void)
{
	static struct journal_inode *disks;

	if (!disks)
		disks = calloc(REGIONS + 1, sizeof(*disks));
	CHECK(disks);
	journal.inodes = disks;
	LIST_INIT(&inodes.attached);
	TAILQ_INIT(&inodes.leasing);
	LIST_INIT(&list);
	memset(told, 0, sizeof(told));
	memset(waits, 0, sizeof(waits));
	balance = (struct balance){.asked = 0};
	pool = (struct pool){.count = NODES, .listed = NODES};
	for (unsigned i = 0; i < NODES; i++) {
		conns[i] = (struct gvm_conn){GVM_CONN_UP, {{(uint8_t)(i + 1), 9}}};
		pool.conns[i] = &conns[i];
	}
	for (unsigned r = 0; r < REGIONS; r++) {
		struct journal_inode *d = &disks[r + 1];
		unsigned id = r + 1;

		d->rec = (struct record){.kind = RECORD_REGION, .node_count = NODES, .size_bytes = GVM_CHUNK_BYTES};
		memcpy(d->rec.id.b, &id, sizeof(id));
		for (unsigned i = 0; i < NODES; i++)
			d->rec.nodes[i].incarnation = conns[i].incarnation;
		d->epoch = 5;
		d->failed = 0;
		d->use = INODE_USED;
		inode[r] = (struct inode){.nr = r + 1, .disk = d};
		inodes.rt[r + 1] = &inode[r];
		LIST_INSERT_HEAD(&inodes.attached, &inode[r], attached_entry);
	}
	inodes.end = REGIONS + 1;
}

static void lease_is_told_to_some_nodes_at_a_time(void)
{
	uint64_t due = 0;

	begin();
	for (unsigned r = 0; r < 3; r++)
		region_lease(&worker, &inode[r]);
	region_lease(&worker, &inode[1]);
	inodes.rt[3]->disk->failed = 1;
	while (due <= 1000) {
		sent = 0;
		due = region_lease_tick(&worker, 1000);
		CHECK(sent <= STEP);
	}
	for (unsigned i = 0; i < NODES; i++)
		CHECK(told[i][0] == 1 && told[i][1] == 1 && !told[i][2] && !told[i][3]);
}

static void node_is_told_of_some_regions_at_a_time(void)
{
	uint64_t now = gvm_now_ns() + 10000000000ull, due = 0;

	begin();
	region_reattach(&worker, &conns[7]);
	region_reattach(&worker, &conns[9]);
	inode[4].disk->epoch = 0;
	inode[5].disk->rec.nodes[7].incarnation.b[2] = 1; /* another node */
	while (due <= now) {
		sent = 0;
		due = region_lease_tick(&worker, now);
		CHECK(sent <= STEP && !corks);
	}
	for (unsigned r = 0; r < REGIONS; r++)
		CHECK(told[7][r] == (r != 4 && r != 5) && told[9][r] == (r != 4));
	inode[4].disk->epoch = 5;
}

static void nodes_are_asked_in_steps_and_regions_looked_at_in_steps(void)
{
	uint64_t now = 1000000000000ull;
	unsigned asked = 0, before = 0;

	begin();
	while (asked < NODES) {
		stats = 0;
		balance_poll(&worker, now);
		CHECK(stats && stats <= POOL_ASKS_MAX);
		asked += stats;
	}
	CHECK_EQ(asked, NODES);
	for (unsigned i = 0; i < NODES; i++) { /* the last node is empty, so regions are looked at */
		struct gvm_call *call = (struct gvm_call *)waits[i];

		call->rsp.node_stat.reserved_bytes = i == NODES - 1 ? 0 : 1ull << 30;
		call->rsp.node_stat.promisable_bytes = 1ull << 31;
		call->req.result = 0;
		call->req.done(&call->req);
		looked_at();
		CHECK_EQ(picks, 0);
	}
	while (balance_poll(&worker, now) == now) {
		looked_at();
		CHECK(picks == before + 1);
		before = picks;
	}
	CHECK(before > 8);
}

static const struct check_test tests[] = {
	{"lease-is-told-to-some-nodes-at-a-time", lease_is_told_to_some_nodes_at_a_time},
	{"node-is-told-of-some-regions-at-a-time", node_is_told_of_some_regions_at_a_time},
	{"nodes-are-asked-in-steps-and-regions-looked-at-in-steps", nodes_are_asked_in_steps_and_regions_looked_at_in_steps},
};
CHECK_MAIN(tests)
