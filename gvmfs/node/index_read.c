// SPDX-License-Identifier: GPL-2.0-or-later
/* index_read.c - see index_read.h. */
#include "index_read.h"

#include <errno.h>

#define ENTRY_BYTES 16u /* a chunk and its version */
#define CHUNKS_MAX  (RECORD_SIZE_MAX / GVM_CHUNK_BYTES)

/* Chunks ascend, from where the node was asked to begin, up to where it says that it goes on: so the list has an end. */
static bool entries_ascend(const uint8_t *p, unsigned count, uint64_t first, uint64_t next)
{
	for (unsigned i = 0; i < count; i++, p += ENTRY_BYTES) {
		uint64_t chunk = gvm_load_le(p, 8);

		if (chunk < first || chunk >= next || chunk >= CHUNKS_MAX)
			return false;
		first = chunk + 1;
	}
	return true;
}

static void index_done(struct gvm_req *req)
{
	struct index_read *ir = (struct index_read *)req;
	const struct gvm_region_index_rsp *rsp = &ir->ask.call.rsp.region_index;
	const uint8_t *p = ir->ask.call.data;

	ir->ask.done = true;
	if (req->result < 0)
		return;
	if (ir->ask.call.data_bytes != (size_t)rsp->count * ENTRY_BYTES || rsp->next <= ir->next ||
	    (rsp->next != ~0ull && rsp->next > CHUNKS_MAX) || !entries_ascend(p, rsp->count, ir->next, rsp->next)) {
		ir->error = -EPROTO;
		return;
	}
	ir->next = rsp->next;
	for (unsigned i = 0; i < rsp->count; i++, p += ENTRY_BYTES)
		ir->each(ir->arg, gvm_load_le(p, 8), gvm_load_le(p + 8, 8));
}

/* Asks for what the node lists from ir->next on. */
static void next_ask(struct index_read *ir)
{
	struct gvm_region_index_req what = { .region = *ir->region, .first = ir->next };
	uint64_t deadline_ns = ir->request_ns ? ns_from_now(ir->request_ns) : pool_call_deadline(ir->pool->opts);
	struct gvm_conn *conn = pool_node(ir->pool, ir->node);

	ir->ask = (struct ask){ 0 };
	if (!conn)
		return;
	ask_begin_to(&ir->ask, deadline_ns, ir->node)->req.done = index_done;
	gvm_region_index(conn, &ir->ask.call, &what);
}

void index_read_begin(struct index_read *ir, struct pool *pool, const struct record_node *node, const struct gvm_id *region,
		      uint64_t request_ns, index_read_fn *each, void *arg)
{
	*ir = (struct index_read){ .pool = pool, .node = node, .region = region, .request_ns = request_ns, .each = each,
				   .arg = arg };
	next_ask(ir);
}

int index_read_wait(struct index_read *ir)
{
	for (;;) {
		int r = ask_wait(&ir->ask);

		if (r < 0 || ir->error)
			return r < 0 ? r : ir->error;
		if (ir->next == ~0ull)
			return 0;
		next_ask(ir);
	}
}

int index_read(struct pool *pool, const struct record_node *node, const struct gvm_id *region, uint64_t request_ns,
	       index_read_fn *each, void *arg)
{
	struct index_read ir;

	index_read_begin(&ir, pool, node, region, request_ns, each, arg);
	return index_read_wait(&ir);
}
