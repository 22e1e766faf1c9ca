// SPDX-License-Identifier: GPL-2.0-or-later
/* index_read.c - see index_read.h. */
#include "index_read.h"

#include "ask.h"

#include <errno.h>

#define ENTRY_BYTES 16u /* a chunk and its version */

struct index_ask {
	struct ask ask; /* first */
	index_read_fn *each;
	void *arg;
	uint64_t next;
	int error;
};

static void index_done(struct gvm_req *req)
{
	struct index_ask *ia = (struct index_ask *)req;
	const struct gvm_region_index_rsp *rsp = &ia->ask.call.rsp.region_index;
	const uint8_t *p = ia->ask.call.data;

	ia->ask.done = true;
	if (req->result < 0)
		return;
	if (ia->ask.call.data_bytes != (size_t)rsp->count * ENTRY_BYTES || rsp->next <= ia->next) {
		ia->error = -EPROTO;
		return;
	}
	ia->next = rsp->next;
	for (unsigned i = 0; i < rsp->count; i++, p += ENTRY_BYTES)
		ia->each(ia->arg, gvm_load_le(p, 8), gvm_load_le(p + 8, 8));
}

int index_read(struct pool *pool, const struct record_node *node, const struct gvm_id *region, uint64_t request_ns,
	       index_read_fn *each, void *arg)
{
	struct gvm_conn *conn = pool_node(pool, node);
	struct index_ask ia = { .each = each, .arg = arg };

	if (!conn)
		return -ENOMEM;
	for (bool first = true; first || ia.next != ~0ull; first = false) {
		struct gvm_region_index_req what = { .region = *region, .first = ia.next };
		uint64_t deadline_ns = request_ns ? gvm_now_ns() + request_ns : pool_call_deadline(pool->opts);
		int r;

		ask_begin_to(&ia.ask, deadline_ns, node)->req.done = index_done;
		ia.ask.call.req.arg = &ia.ask.done;
		gvm_region_index(conn, &ia.ask.call, &what);
		r = pool_wait(conn, &ia.ask.call.req);
		if (r < 0 || ia.error)
			return r < 0 ? r : ia.error;
	}
	return 0;
}
