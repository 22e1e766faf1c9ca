// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_region_delete.c - a region is deleted on its nodes, also where a loss has left something of
 * its part. The nodes are the test's. */
#include "check.h"
#include "base/log.h"
#include "state/journal.h"
#include "node/strays.h"
#include "node/region_views.h"
#include "node/region_claim.h"
#include "node/pool.h"
#include "node/index_read.h"
#include "node/fiber.h"
#include "node/owner.h"
#include "node/region_job.h"
#include "node/region_jobs.h"

#include <errno.h>

#define NODES 3u

static struct gvm_conn {
	uint64_t epoch;	  /* of its part; 0: a look finds none */
	uint64_t remains; /* the epoch of what a loss has left; 0: nothing */
	uint64_t told;	  /* DELETE's epoch */
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
	conn->deletes++;
	answered(conn, call,
		 conn->epoch			? (what->epoch == conn->epoch ? 0 : -EKEYREVOKED)
		 : !conn->remains		? -ENOMEDIUM
		 : what->epoch >= conn->remains ? 0
						: -EKEYREVOKED);
}

/* ---- what is not, since only other requests need it */

void fiber_wait(const bool *flag, uint64_t until_ns)
{
	(void)flag;
	(void)until_ns;
	CHECK(!"called");
}

void index_read_begin(struct index_read *ir, struct pool *pool, const struct record_node *node,
		      const struct gvm_id *region, uint64_t request_ns, index_read_fn *each,
		      void *arg)
{
	(void)ir;
	(void)pool;
	(void)node;
	(void)region;
	(void)request_ns;
	(void)each;
	(void)arg;
	CHECK(!"called");
}

int index_read_wait(struct index_read *ir)
{
	(void)ir;
	CHECK(!"called");
	return 0;
}

uint64_t journal_index_next(const struct journal *j, unsigned inode, uint64_t chunk)
{
	(void)j;
	(void)inode;
	(void)chunk;
	CHECK(!"called");
	return 0;
}

uint64_t pool_call_deadline(const struct options *opts)
{
	(void)opts;
	CHECK(!"called");
	return 0;
}

unsigned pool_rack(const struct pool *pool, const struct gvm_conn *conn)
{
	(void)pool;
	(void)conn;
	CHECK(!"called");
	return 0;
}

int region_claim(struct region_job *rj, struct pool *pool, uint64_t *epoch)
{
	(void)rj;
	(void)pool;
	(void)epoch;
	CHECK(!"called");
	return 0;
}

void region_let_go(struct region_job *rj, struct pool *pool, uint64_t epoch, const bool *granted)
{
	(void)rj;
	(void)pool;
	(void)epoch;
	(void)granted;
	CHECK(!"called");
}

void region_look(struct pool *pool, const struct region_job *rj, uint64_t deadline_ns,
		 struct ask *asks)
{
	(void)pool;
	(void)rj;
	(void)deadline_ns;
	(void)asks;
	CHECK(!"called");
}

int region_open(struct pool *pool, const struct region_job *rj, unsigned node, uint8_t mode,
		uint64_t epoch, uint64_t deadline_ns, struct ask *ask)
{
	(void)pool;
	(void)rj;
	(void)node;
	(void)mode;
	(void)epoch;
	(void)deadline_ns;
	(void)ask;
	CHECK(!"called");
	return 0;
}

int region_query(struct region_job *rj, struct pool *pool, uint64_t *epoch, bool *taken)
{
	(void)rj;
	(void)pool;
	(void)epoch;
	(void)taken;
	CHECK(!"called");
	return 0;
}

void region_versions_add(struct region_versions *v, struct region_job *rj, unsigned node,
			 uint64_t chunk, uint64_t entry)
{
	(void)v;
	(void)rj;
	(void)node;
	(void)chunk;
	(void)entry;
	CHECK(!"called");
}

void region_versions_deinit(struct region_versions *v)
{
	(void)v;
	CHECK(!"called");
}

int region_versions_init(struct region_versions *v, const struct record *rec, uint64_t chunks)
{
	(void)v;
	(void)rec;
	(void)chunks;
	CHECK(!"called");
	return 0;
}

int region_versions_settle(struct region_versions *v, struct region_job *rj, struct pool *pool)
{
	(void)v;
	(void)rj;
	(void)pool;
	CHECK(!"called");
	return 0;
}

int region_views_choose(struct region_job *rj, struct pool *pool)
{
	(void)rj;
	(void)pool;
	CHECK(!"called");
	return 0;
}

int strays_count(struct pool *pool, const struct record *rec, unsigned node,
		 const struct record_slot *also, uint64_t chunks, uint64_t promised,
		 uint64_t *count)
{
	(void)pool;
	(void)rec;
	(void)node;
	(void)also;
	(void)chunks;
	(void)promised;
	(void)count;
	CHECK(!"called");
	return 0;
}

const char *gvm_conn_addr(const struct gvm_conn *conn)
{
	(void)conn;
	CHECK(!"called");
	return NULL;
}

const struct gvm_id *gvm_conn_incarnation(const struct gvm_conn *conn)
{
	(void)conn;
	CHECK(!"called");
	return NULL;
}

void gvm_discard(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_discard_req *what)
{
	(void)conn;
	(void)call;
	(void)what;
	CHECK(!"called");
}

void gvm_node_stat(struct gvm_conn *conn, struct gvm_call *call)
{
	(void)conn;
	(void)call;
	CHECK(!"called");
}

void gvm_region_create(struct gvm_conn *conn, struct gvm_call *call,
		       const struct gvm_region_create_req *what)
{
	(void)conn;
	(void)call;
	(void)what;
	CHECK(!"called");
}

void gvm_region_resize(struct gvm_conn *conn, struct gvm_call *call,
		       const struct gvm_region_resize_req *what)
{
	(void)conn;
	(void)call;
	(void)what;
	CHECK(!"called");
}

void gvm_region_stat(struct gvm_conn *conn, struct gvm_call *call,
		     const struct gvm_region_stat_req *what)
{
	(void)conn;
	(void)call;
	(void)what;
	CHECK(!"called");
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

static const struct check_test tests[] = {
	{"what-a-loss-has-left-is-deleted-too", what_a_loss_has_left_is_deleted_too},
	{"what-stays-is-told", what_stays_is_told},
	{"what-was-never-made-is-late-from-now-on", what_was_never_made_is_late_from_now_on},
};
CHECK_MAIN(tests)
