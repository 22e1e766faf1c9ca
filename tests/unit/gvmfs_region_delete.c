// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_region_delete.c - a region is deleted on its nodes, also where a loss has left something of
 * its part. The nodes are the test's. */
#include "check.h"
#include "base/log.h"
#include "node/pool.h"
#include "node/owner.h"
#include "node/region_delete.h"

#include <errno.h>

#define NODES 3u

static struct gvm_conn {
	uint64_t epoch;	  /* of its part; 0: a look finds none */
	uint64_t remains; /* the epoch of what a loss has left; 0: nothing */
	uint64_t told;	  /* DELETE's epoch */
	bool taken;	  /* a request to attach was under way, and comes before DELETE */
	unsigned deletes;
} nodes[NODES];
static struct pool nodes_pool;
static struct region_job job;
static unsigned lines;

/* ---- what is called */

struct gvm_conn *pool_node(struct pool *p, const struct record_node *node)
{
	(void)p;
	return &nodes[node->incarnation.b[0] - 1];
}

void pool_done(struct gvm_req *req)
{
	*(bool *)req->arg = true;
}

int pool_wait(struct gvm_conn *conn, struct gvm_req *req)
{
	(void)conn;
	CHECK(*(bool *)req->arg);
	return req->result;
}

uint8_t owner_judge(const struct record_owner *self, uint8_t writer, const struct gvm_bytes32 *host,
		    const struct gvm_id *process)
{
	(void)self;
	(void)writer;
	(void)host;
	(void)process;
	return GVM_WRITER_NONE;
}

void log_put(struct gvm_log_site *site, int level, const char *object, const char *fmt, ...)
{
	(void)site;
	(void)level;
	(void)object;
	(void)fmt;
	lines++;
}

static void answered(struct gvm_conn *conn, struct gvm_call *call, int result)
{
	call->req.conn = conn;
	call->req.result = result;
	call->req.done(&call->req);
}

void gvm_region_open(struct gvm_conn *conn, struct gvm_call *call,
		     const struct gvm_region_open_req *what)
{
	CHECK_EQ(what->mode, GVM_OPEN_LOOK);
	call->rsp.region_open = (struct gvm_region_open_rsp){.epoch = conn->epoch};
	answered(conn, call, conn->epoch ? 0 : -ENOMEDIUM);
}

/* As memnode/daemon/regions.c does. */
void gvm_region_delete(struct gvm_conn *conn, struct gvm_call *call,
		       const struct gvm_region_delete_req *what)
{
	conn->told = what->epoch;
	conn->epoch += conn->taken;
	conn->deletes++;
	answered(conn, call,
		 conn->epoch			? (what->epoch == conn->epoch ? 0 : -EKEYREVOKED)
		 : !conn->remains		? -ENOMEDIUM
		 : what->epoch >= conn->remains ? 0
						: -EKEYREVOKED);
}

/* ---- */

static void region_delete(void)
{
	job.rec = (struct record){
		.kind = RECORD_REGION, .replicas = 2, .slot_count = 1, .node_count = NODES};
	for (unsigned i = 0; i < NODES; i++) {
		job.rec.nodes[i].incarnation.b[0] = (uint8_t)(i + 1);
		nodes[i].deletes = 0;
	}
	lines = 0;
	region_job_delete(&job.job, &nodes_pool);
	for (unsigned i = 0; i < NODES; i++)
		CHECK_EQ(nodes[i].deletes, 1);
}

static void what_a_loss_has_left_is_deleted_too(void)
{
	nodes[0] = (struct gvm_conn){.remains = 7};
	nodes[1] = (struct gvm_conn){.epoch = 7};
	nodes[2] = (struct gvm_conn){.epoch = 5};
	region_delete();
	CHECK_EQ(job.job.result, 0);
	CHECK_EQ(lines, 0);
	CHECK_EQ(nodes[1].told, 7);
	CHECK_EQ(nodes[2].told, 5);
}

/* No node says of which epoch it was. */
static void what_stays_is_told(void)
{
	nodes[0] = (struct gvm_conn){.remains = 7};
	nodes[1] = nodes[2] = (struct gvm_conn){0};
	region_delete();
	CHECK_EQ(lines, 1);
}

/* A CREATE that came to nothing has epoch 0. */
static void what_was_never_made_is_late_from_now_on(void)
{
	memset(nodes, 0, sizeof(nodes));
	region_delete();
	CHECK_EQ(job.job.result, 0);
	CHECK_EQ(lines, 0);
	for (unsigned i = 0; i < NODES; i++)
		CHECK_EQ(nodes[i].told, 0);
}

/* A node that was stopped carries out a request to attach, of another connection, after it has told what it has. */
static void part_that_was_taken_meanwhile_is_gone_on_with(void)
{
	nodes[0] = (struct gvm_conn){.epoch = 7, .taken = true};
	nodes[1] = (struct gvm_conn){.epoch = 7};
	nodes[2] = (struct gvm_conn){0};
	region_delete();
	CHECK_EQ(job.job.result, -EAGAIN);
	CHECK_EQ(lines, 1);
}

static const struct check_test tests[] = {
	{"what-a-loss-has-left-is-deleted-too", what_a_loss_has_left_is_deleted_too},
	{"what-stays-is-told", what_stays_is_told},
	{"part-that-was-taken-meanwhile-is-gone-on-with", part_that_was_taken_meanwhile_is_gone_on_with},
	{"what-was-never-made-is-late-from-now-on", what_was_never_made_is_late_from_now_on},
};
CHECK_MAIN(tests)
