// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_moved.c - a region with one copy: which nodes are told what has moved, before they are rid of what they need no more. The
 * nodes are the test's. */
#include "check.h"
#include "node/replace_job.h"
#include "node/views.h"
#include "options.h"
#include "node/owner.h"

#include <errno.h>

#define EPOCH 5u
#define NODES 2u

static struct gvm_conn {
	uint64_t promised;
	struct gvm_id owner[2]; /* by its active views of slots 0 and 1; none: it knows of none */
	unsigned told, trimmed;
	unsigned beyond; /* slots of which it was told that node 0 has them, beside slots 0 and 1 */
} nodes[NODES];
static struct replace_job job;
static struct pool pool;

static struct gvm_id id_of(unsigned node)
{
	return (struct gvm_id){ { (uint8_t)(node + 1) } };
}

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

uint64_t pool_call_deadline(const struct options *opts)
{
	(void)opts;
	return 0;
}

void pool_gather(struct pool *p, bool on)
{
	(void)p;
	(void)on;
}

unsigned pool_rack(const struct pool *p, const struct gvm_conn *conn)
{
	(void)p;
	(void)conn;
	return 0;
}

bool pool_may_send(const struct pool *p, const struct record_node *node)
{
	(void)p;
	(void)node;
	return true;
}

void owner_lease(const struct options *opts, const struct record_owner *self, bool unlinked, struct gvm_region_open_req *what)
{
	(void)opts;
	(void)self;
	(void)unlinked;
	(void)what;
}

const char *gvm_conn_addr(const struct gvm_conn *conn)
{
	(void)conn;
	return "";
}

const struct gvm_id *gvm_conn_incarnation(const struct gvm_conn *conn)
{
	(void)conn;
	return NULL;
}

static void answered(struct gvm_conn *conn, struct gvm_call *call)
{
	call->req.conn = conn;
	call->req.done(&call->req);
}

void gvm_region_open(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_open_req *what)
{
	CHECK_EQ(what->mode, GVM_OPEN_LOOK);
	call->rsp.region_open = (struct gvm_region_open_rsp){ .epoch = EPOCH, .reserve_chunks = conn->promised };
	answered(conn, call);
}

void gvm_region_views(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_views_req *what)
{
	uint8_t data[2 * GVM_VIEW_ENTRY_BYTES] = { 0 }, *p = data;

	CHECK_EQ(what->first, 0);
	for (unsigned s = 0; s < 2; s++) {
		if (gvm_id_is_none(&conn->owner[s]))
			continue;
		p[0] = (uint8_t)s;
		p[4] = 1;
		p[5] = 1;
		memcpy(p + 13, conn->owner[s].b, sizeof(conn->owner[s].b));
		p += GVM_VIEW_ENTRY_BYTES;
	}
	call->data = data;
	call->rsp.region_views.count = (uint32_t)((p - data) / (int)GVM_VIEW_ENTRY_BYTES);
	answered(conn, call);
	call->data = NULL;
}

void gvm_region_view(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_view_req *what)
{
	CHECK(what->active);
	CHECK_EQ(what->epoch, EPOCH);
	if (what->slot < 2)
		conn->owner[what->slot] = what->member_0;
	else
		conn->beyond += what->slot % 2 == 0 && gvm_id_equal(&what->member_0, &job.rec.nodes[0].incarnation);
	conn->told++;
	answered(conn, call);
}

void gvm_region_index(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_index_req *what)
{
	(void)what;
	call->rsp.region_index.next = ~0ull;
	answered(conn, call);
}

void gvm_region_resize(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_resize_req *what)
{
	conn->promised = what->reserve_chunks;
	conn->trimmed++;
	answered(conn, call);
}

static void never(void)
{
	CHECK(!"asked for");
}

void gvm_discard(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_discard_req *what)
{
	(void)conn;
	(void)call;
	(void)what;
	never();
}

void gvm_region_create(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_create_req *what)
{
	(void)conn;
	(void)call;
	(void)what;
	never();
}

void gvm_region_delete(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_delete_req *what)
{
	(void)conn;
	(void)call;
	(void)what;
	never();
}

void gvm_node_stat(struct gvm_conn *conn, struct gvm_call *call)
{
	(void)conn;
	(void)call;
	never();
}

/* ---- */

/* Slot 1 has been on node 1 for long. Slot 0 has come back to node 0, which has the room that it needs. It was told that slot 0
 * is on node 1, and not that it is back. Node 1, which had it last, does not know that it is gone, and has room for it yet. */
static void begin(void)
{
	memset(nodes, 0, sizeof(nodes));
	memset(&job, 0, sizeof(job));
	job.epoch = EPOCH;
	job.rec = (struct record){ .node_count = NODES, .slot_count = 2, .replicas = 1, .view = 7, .size_bytes = 2 * GVM_CHUNK_BYTES };
	for (unsigned i = 0; i < NODES; i++) {
		job.rec.nodes[i].incarnation = id_of(i);
		job.rec.slots[i] = (struct record_slot){ { (uint16_t)i, RECORD_NONE, RECORD_NONE, RECORD_NONE } };
	}
	nodes[0].promised = 1;
	nodes[0].owner[0] = id_of(1);
	nodes[0].owner[1] = id_of(1);
	nodes[1].promised = 2;
	nodes[1].owner[0] = id_of(1);
}

static void one_that_needs_no_trim_is_told_too(void)
{
	begin();
	replace_job_trim(&job.job, &pool);
	CHECK_EQ(job.job.result, 0);
	CHECK_EQ(nodes[1].promised, 1);
	CHECK(gvm_id_equal(&nodes[0].owner[0], &job.rec.nodes[0].incarnation));
	CHECK(gvm_id_equal(&nodes[1].owner[0], &job.rec.nodes[0].incarnation));
	CHECK_EQ(nodes[0].told, GVM_SLOTS_MAX / 2);
}

/* Node 0 refuses slot 0 to readers until it was told; a writer that comes from elsewhere has only what node 1 promises to
 * go by. */
static void one_that_is_away_keeps_no_more_than_a_chunk_from_being_trimmed(void)
{
	begin();
	nodes[1].promised = 10;
	job.away[0] = true;
	replace_job_trim(&job.job, &pool);
	CHECK_EQ(job.job.result, -EHOSTDOWN);
	CHECK(gvm_id_equal(&nodes[1].owner[0], &job.rec.nodes[0].incarnation));
	CHECK_EQ(nodes[1].promised, 2);
	CHECK_EQ(nodes[1].trimmed, 1);
	replace_job_trim(&job.job, &pool);
	CHECK_EQ(nodes[1].trimmed, 1);
	job.away[0] = false;
	replace_job_trim(&job.job, &pool);
	CHECK_EQ(job.job.result, 0);
	CHECK_EQ(nodes[1].promised, 1);
	CHECK(gvm_id_equal(&nodes[0].owner[0], &job.rec.nodes[0].incarnation));
}

/* It was larger before a cut, and may grow again: what has moved away meanwhile includes slots that have no chunk now. */
static void slots_beyond_the_size_are_told_too(void)
{
	begin();
	replace_job_trim(&job.job, &pool);
	CHECK_EQ(job.job.result, 0);
	CHECK_EQ(nodes[1].told, GVM_SLOTS_MAX / 2);
	CHECK_EQ(nodes[1].beyond, GVM_SLOTS_MAX / 2 - 1);
}

static const struct check_test tests[] = {
	{ "one-that-needs-no-trim-is-told-too", one_that_needs_no_trim_is_told_too },
	{ "one-that-is-away-keeps-no-more-than-a-chunk-from-being-trimmed",
	  one_that_is_away_keeps_no_more_than_a_chunk_from_being_trimmed },
	{ "slots-beyond-the-size-are-told-too", slots_beyond_the_size_are_told_too },
};

int main(int argc, char **argv)
{
	return check_run(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
