// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_index.c - a node's list of chunks that has no end, or no order, is refused; one that is long takes bounded memory. */
#include "check.h"
#include "node/index_read.h"
#include "node/strays.h"

#include <errno.h>

#define LISTED	 512u /* in an answer */
#define CHUNKS_MAX (RECORD_SIZE_MAX / GVM_CHUNK_BYTES)
#define MANY	   (1u << 22)

static const struct gvm_id region = { { 1 } };
static struct record rec = { .node_count = 2, .slot_count = 2, .replicas = 1, .slots = { { { 0 } }, { { 1 } } } };
static struct pool *const pool = (struct pool *)&rec; /* nobody looks into it */
static struct gvm_conn {
	uint64_t of[4], next; /* what the first answer lists */
	unsigned count;
	bool all; /* it lists MANY, all that there are */
} node;
static unsigned asked, discards;
static uint64_t listed;

struct gvm_conn *pool_node(struct pool *p, const struct record_node *of)
{
	(void)p;
	(void)of;
	return &node;
}

void pool_done(struct gvm_req *req)
{
	*(bool *)req->arg = true;
}

int pool_wait(struct gvm_conn *conn, struct gvm_req *req)
{
	(void)conn;
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

static void answered(struct gvm_call *call)
{
	call->req.conn = &node;
	call->req.done(&call->req);
}

void gvm_region_index(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_index_req *what)
{
	static uint8_t data[16 * LISTED];
	unsigned count = conn->all ? LISTED : conn->count;

	for (unsigned i = 0; i < count; i++) {
		gvm_store_le(data + 16 * i, conn->all ? what->first + i : conn->of[i], 8);
		gvm_store_le(data + 16 * i + 8, gvm_version(1, 1), 8);
	}
	asked++;
	call->data = data;
	call->data_bytes = 16 * count;
	call->rsp.region_index.count = count;
	call->rsp.region_index.next = !conn->all ? conn->next : what->first + LISTED < MANY ? what->first + LISTED : ~0ull;
	answered(call);
}

void gvm_discard(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_discard_req *what)
{
	(void)conn;
	CHECK(what->first % 2); /* of slot 1, which is another node's */
	discards++;
	answered(call);
}

static void count_one(void *arg, uint64_t chunk, uint64_t version)
{
	(void)arg;
	(void)chunk;
	(void)version;
	listed++;
}

static int read_list(const struct gvm_conn *of)
{
	node = *of;
	asked = 0;
	listed = 0;
	return index_read(pool, &rec.nodes[0], &region, 0, count_one, NULL);
}

static void list_without_order_is_refused(void)
{
	CHECK_EQ(read_list(&(struct gvm_conn){ .of = { 0, 5, CHUNKS_MAX - 1 }, .count = 3, .next = ~0ull }), 0);
	CHECK_EQ(listed, 3);
	CHECK_EQ(read_list(&(struct gvm_conn){ .of = { 5, 5 }, .count = 2, .next = ~0ull }), -EPROTO);
	CHECK_EQ(read_list(&(struct gvm_conn){ .of = { 5, 4 }, .count = 2, .next = ~0ull }), -EPROTO);
	CHECK_EQ(read_list(&(struct gvm_conn){ .of = { 5, 9 }, .count = 2, .next = 9 }), -EPROTO);
	CHECK_EQ(read_list(&(struct gvm_conn){ .of = { 0 }, .count = 1, .next = 0 }), -EPROTO);
	CHECK_EQ(read_list(&(struct gvm_conn){ .of = { CHUNKS_MAX }, .count = 1, .next = ~0ull }), -EPROTO);
	CHECK_EQ(read_list(&(struct gvm_conn){ .of = { 1 }, .count = 1, .next = CHUNKS_MAX + 1 }), -EPROTO);
	CHECK_EQ(listed, 0);
	/* The second answer begins where the first ended. */
	CHECK_EQ(read_list(&(struct gvm_conn){ .of = { 3 }, .count = 1, .next = 4 }), -EPROTO);
	CHECK_EQ(asked, 2);
}

/* It is kept in memory up to a bound, and forgotten; the rest counts as what the node keeps. */
static void long_list_is_kept_in_part(void)
{
	uint64_t count;

	node = (struct gvm_conn){ .all = true };
	CHECK_EQ(strays_forget(pool, &rec, 0, 1), 0);
	CHECK_EQ(discards, 1u << 20);
	CHECK_EQ(strays_count(pool, &rec, 0, NULL, ~0ull, 1, &count), 0);
	CHECK_EQ(count, MANY / 2);
}

static const struct check_test tests[] = {
	{ "list-without-order-is-refused", list_without_order_is_refused },
	{ "long-list-is-kept-in-part", long_list_is_kept_in_part },
};
CHECK_MAIN(tests)
