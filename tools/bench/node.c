// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One connection to a memory node with `depth` requests under way: whole chunks of bytes that do
 * not compress, so that a GET's answer carries a chunk's worth. What a client does with an answer
 * here is what the stores' clients do: check that it is one, and drop it.
 */
#include "node.h"

#include "data.h"
#include "memnode/gvm_client.h"
#include "stop.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_NS	     (10ull * 1000 * 1000 * 1000)
#define STOPPED_NS   (1000ull * 1000 * 1000) /* for the region to be removed, after a signal */
#define LOOK_MS	     100		     /* for a signal that comes just before a wait */
#define DEPTH_MAX    64
#define CHUNK_BLOCKS (GVM_CHUNK_PAGES >> CHUNK_BLOCK_SHIFT)

struct bench_node {
	struct gvm_conn *conn;
	struct gvm_id region;
	unsigned values, depth;
	struct chunk_head *head; /* of each chunk: its hashes name the place */
	uint8_t *body;		 /* the same bytes for all: stored raw, they do not depend on it */
	struct slot {
		struct bench_node *n;
		struct gvm_get get;
		struct gvm_put put;
		bool pending;
	} slot[DEPTH_MAX];
	/* the run */
	bool put;
	uint64_t until_ns, next, seq;
	uint64_t done, goal, pending;
	uint64_t got_bytes;
	int error;
};

static void slot_go(struct slot *s);

static void slot_done(struct gvm_req *req)
{
	struct slot *s = req->arg;
	struct bench_node *n = s->n;

	n->pending--;
	s->pending = false;
	if (req->result && !n->error)
		n->error = req->result;
	n->done += !req->result;
	if (!n->error && !bench_stopped() && n->done + n->pending < n->goal &&
	    gvm_now_ns() < n->until_ns)
		slot_go(s);
}

static int slot_piece(struct gvm_get *get, uint64_t version, const struct chunk_head *head,
		      const uint8_t *body)
{
	struct slot *s = get->req.arg;

	(void)version;
	(void)body;
	s->n->got_bytes += head->body_bytes;
	return 0;
}

static void slot_go(struct slot *s)
{
	struct bench_node *n = s->n;
	uint64_t chunk = n->next++ * 7919 % n->values;
	struct gvm_req *req = n->put ? &s->put.req : &s->get.req;

	memset(req, 0, sizeof(*req));
	req->done = slot_done;
	req->arg = s;
	req->deadline_ns = gvm_now_ns() + WAIT_NS;
	n->pending++;
	s->pending = true;
	if (n->put) {
		s->put.what = (struct gvm_put_req){.region = n->region,
						   .epoch = 1,
						   .chunk = chunk,
						   .version = gvm_version(1, ++n->seq)};
		s->put.head = &n->head[chunk];
		s->put.body = n->body;
		gvm_put(n->conn, &s->put);
		return;
	}
	s->get.what = (struct gvm_get_req){.region = n->region,
					   .epoch = 1,
					   .chunk = chunk,
					   .page_mask = UINT32_MAX,
					   .want_page = GVM_NO_PAGE};
	s->get.on_piece = slot_piece;
	gvm_get(n->conn, &s->get);
}

/* Waits for something from the node, or a signal. */
static void node_turn(struct bench_node *n)
{
	struct pollfd p = {gvm_conn_fd(n->conn), POLLIN, 0};

	poll(&p, 1, LOOK_MS);
	gvm_conn_process(n->conn);
}

/* After a signal nothing is waited for. */
static void slots_cancel(struct bench_node *n)
{
	if (!n->error)
		n->error = -EINTR;
	for (unsigned i = 0; i < n->depth; i++)
		if (n->slot[i].pending)
			gvm_cancel(n->put ? &n->slot[i].put.req : &n->slot[i].get.req);
}

static int node_loop(struct bench_node *n, bool put, uint64_t until_ns, uint64_t goal)
{
	n->put = put;
	n->until_ns = until_ns;
	n->goal = goal;
	n->done = n->pending = n->next = n->got_bytes = 0;
	n->error = 0;
	for (unsigned i = 0; i < n->depth; i++)
		slot_go(&n->slot[i]);
	while (n->pending) {
		node_turn(n);
		if (bench_stopped())
			slots_cancel(n);
	}
	return n->error;
}

int bench_node_run(struct bench_node *n, bool put, unsigned ms, double *mb_s)
{
	uint64_t from = gvm_now_ns(), bytes;
	int rc = node_loop(n, put, from + ms * 1000000ull, UINT64_MAX);

	bytes = n->done * BENCH_VALUE_BYTES;
	if (!rc && !put && n->got_bytes < bytes)
		rc = -EPROTO; /* an answer without its value */
	if (!rc)
		*mb_s = (double)bytes * 1e3 / (double)(gvm_now_ns() - from);
	return rc;
}

static void call_done(struct gvm_req *req)
{
	*(bool *)req->arg = true;
}

/* A signal ends the wait for what it would be wrong to go on with. */
static int call_wait(struct bench_node *n, struct gvm_call *call, const bool *done, bool stops)
{
	while (!*done) {
		node_turn(n);
		if (stops && bench_stopped() && !*done)
			gvm_cancel(&call->req);
	}
	return call->req.result;
}

static struct gvm_call *call_begin(struct gvm_call *call, bool *done)
{
	*done = false;
	*call = (struct gvm_call){.req = {.done = call_done,
					  .arg = done,
					  .deadline_ns = gvm_now_ns() + (bench_stopped() ? STOPPED_NS : WAIT_NS)}};
	return call;
}

/* Makes a region for `values` chunks, attaches it and writes them all. */
static int node_prepare(struct bench_node *n)
{
	struct gvm_region_create_req create = {n->region, n->values, n->values, 1, 0, 0, 0};
	struct gvm_region_open_req open = {.region = n->region, .mode = 1, .epoch = 1, .view = 1};
	struct gvm_call call;
	bool done;
	int rc;

	gvm_region_create(n->conn, call_begin(&call, &done), &create);
	rc = call_wait(n, &call, &done, true);
	if (rc == -ECANCELED) /* it may have been made all the same */
		bench_node_remove(n);
	if (rc)
		return rc;
	gvm_region_open(n->conn, call_begin(&call, &done), &open);
	rc = call_wait(n, &call, &done, true);
	if (!rc)
		rc = node_loop(n, true, UINT64_MAX, n->values);
	if (rc)
		bench_node_remove(n);
	return rc;
}

static int chunks_encode(struct bench_node *n)
{
	struct chunk_codec *codec = chunk_codec_create();
	uint8_t *data = malloc(GVM_CHUNK_BYTES);
	uint64_t state = 1;
	int rc = -ENOMEM;

	n->head = calloc(n->values, sizeof(*n->head));
	n->body = malloc(GVM_CHUNK_BYTES);
	if (codec && data && n->head && n->body) {
		for (unsigned i = 0; i < GVM_CHUNK_BYTES; i += 8) {
			uint64_t r = bench_random(&state);

			memcpy(data + i, &r, 8);
		}
		for (unsigned c = 0; c < n->values; c++)
			chunk_encode(codec, data, UINT32_MAX >> (32 - CHUNK_BLOCKS), 0,
				     CHUNK_BLOCK_SHIFT, &n->region, c, &n->head[c], n->body);
		rc = 0;
	}
	free(data);
	chunk_codec_destroy(codec);
	return rc;
}

int bench_node_at(const char *addr, const struct gvm_conn_opts *opts, unsigned values, unsigned depth, struct bench_node **out)
{
	struct bench_node *n = calloc(1, sizeof(*n));
	uint64_t state = gvm_now_ns(), id[2];
	int rc;

	if (!n)
		return -ENOMEM;
	id[0] = bench_random(&state);
	id[1] = bench_random(&state);
	memcpy(&n->region, id, sizeof(n->region));
	n->values = values;
	n->depth = depth < DEPTH_MAX ? depth : DEPTH_MAX;
	for (unsigned i = 0; i < DEPTH_MAX; i++)
		n->slot[i].n = n;
	rc = chunks_encode(n);
	if (!rc)
		rc = gvm_conn_create(addr, opts, &n->conn);
	if (!rc) {
		gvm_conn_process(n->conn); /* begins to connect */
		rc = node_prepare(n);
	}
	if (rc) {
		bench_node_close(n);
		return rc;
	}
	*out = n;
	return 0;
}

int bench_node_open(uint16_t port, const char *key_path, unsigned values, unsigned depth, struct bench_node **out)
{
	struct gvm_conn_opts opts = {.tls = key_path};
	uint8_t *key = NULL;
	char addr[32];
	int rc = key_path ? gvm_key_load(key_path, &key, &opts.key_bytes) : 0;

	opts.key = key;
	snprintf(addr, sizeof(addr), "127.0.0.1:%u", port);
	if (!rc)
		rc = bench_node_at(addr, &opts, values, depth, out);
	free(key);
	return rc;
}

static int remove_with(struct bench_node *n, uint64_t epoch)
{
	struct gvm_region_delete_req what = {.region = n->region, .epoch = epoch};
	struct gvm_call call;
	bool done;

	gvm_region_delete(n->conn, call_begin(&call, &done), &what);
	return call_wait(n, &call, &done, false);
}

int bench_node_remove(struct bench_node *n)
{
	int rc = remove_with(n, 1);

	return rc && rc != -ETIMEDOUT ? remove_with(n, 0) : rc; /* made, and not attached yet */
}

void bench_node_close(struct bench_node *n)
{
	if (!n)
		return;
	gvm_conn_destroy(n->conn);
	free(n->head);
	free(n->body);
	free(n);
}

void bench_node_frames(struct bench_store *s)
{
	uint8_t meta[GVM_META_MAX];
	struct gvm_get_req get = {0};
	struct gvm_get_rsp got = {0};
	struct gvm_put_req put = {0};
	uint32_t head = CHUNK_PLAIN_HEAD_BYTES(CHUNK_BLOCKS);

	s->get_request = GVM_HDR_BYTES + (uint32_t)gvm_get_req_pack(&get, meta);
	s->get_answer =
		GVM_HDR_BYTES + (uint32_t)gvm_get_rsp_pack(&got, meta) + head + GVM_CHUNK_BYTES;
	s->put_request =
		GVM_HDR_BYTES + (uint32_t)gvm_put_req_pack(&put, meta) + head + GVM_CHUNK_BYTES;
	s->put_answer = GVM_HDR_BYTES;
}
