// SPDX-License-Identifier: GPL-2.0-or-later
/* moved.c - see moved.h. */
#include "moved.h"

#include "ask.h"
#include "base/mutant.h"
#include "views.h"

#include <string.h>

#define TELL_NS 1000000000ull /* for an answer */
#define BATCH	64u /* requests to a node at a time */

#ifndef MOVED_SLOTS /* a simulator has fewer */
#define MOVED_SLOTS GVM_SLOTS_MAX
#endif

/* What a node says of a slot: nothing; that another node has it than the record says; or what the record says. */
enum said { NOTHING, OTHER, RIGHT };

struct moved {
	struct ask ask; /* first */
	struct pool *pool;
	const struct record *rec;
	unsigned node;
	uint64_t epoch;
	bool any; /* the node knows of some view */
	uint8_t said[GVM_SLOTS_MAX]; /* enum said */
	uint16_t todo[GVM_SLOTS_MAX];
	unsigned count; /* in todo[] */
};

/* The node that has a slot of the protocol, of which a record may have fewer. */
static const struct gvm_id *owner_of(const struct record *rec, unsigned slot)
{
	return &rec->nodes[record_node_of(rec, slot)].incarnation;
}

static bool owns(const struct moved *m, unsigned slot)
{
	return record_node_of(m->rec, slot) == m->node;
}

static void view_begin_tell(const struct moved *m, struct gvm_conn *conn, unsigned slot, struct ask *ask)
{
	const uint64_t count = m->rec->view & ((1ull << VIEW_NUMBER_BITS) - 1);
	const struct gvm_region_view_req what = { .region = m->rec->id, .epoch = m->epoch, .slot = slot, .active = 1,
						  .number = m->epoch << VIEW_NUMBER_BITS | count,
						  .member_0 = *owner_of(m->rec, slot) };

	gvm_region_view(conn, ask_begin_to(ask, ns_from_now(TELL_NS), &m->rec->nodes[m->node]), &what);
}

int moved_prepare(struct pool *pool, const struct record *rec, unsigned node, unsigned slot, uint64_t epoch)
{
	const struct moved m = { .rec = rec, .node = node, .epoch = epoch };
	struct gvm_conn *conn = pool_node(pool, &rec->nodes[node]);
	struct ask ask;

	if (!conn)
		return -ENOMEM;
	view_begin_tell(&m, conn, slot, &ask);
	return ask_wait(&ask);
}

static void views_done(struct gvm_req *req)
{
	struct moved *m = (struct moved *)req;
	const uint8_t *p = m->ask.call.data;

	m->ask.done = true;
	for (unsigned i = 0; !req->result && i < m->ask.call.rsp.region_views.count; i++, p += GVM_VIEW_ENTRY_BYTES) {
		uint64_t slot = gvm_load_le(p, 4);
		bool alone = true;

		m->any = true;
		if (slot >= GVM_SLOTS_MAX || !p[4])
			continue;
		for (unsigned k = 16; k < 16 * GVM_REPLICAS_MAX; k++)
			alone &= !p[13 + k];
		alone &= !memcmp(p + 13, owner_of(m->rec, (unsigned)slot)->b, sizeof(owner_of(m->rec, 0)->b));
		m->said[slot] = alone ? RIGHT : OTHER;
	}
}

static int views_read(struct moved *m, struct gvm_conn *conn)
{
	const struct gvm_region_views_req what = { .region = m->rec->id, .count = GVM_SLOTS_MAX };

	ask_begin_to(&m->ask, ns_from_now(TELL_NS), &m->rec->nodes[m->node])->req.done = views_done;
	gvm_region_views(conn, &m->ask.call, &what);
	return ask_wait(&m->ask);
}

static int batch_tell(struct moved *m, struct gvm_conn *conn, unsigned from)
{
	unsigned count = m->count - from < BATCH ? m->count - from : BATCH;
	struct ask *asks = asks_make(count);
	int result = asks ? 0 : -ENOMEM;

	pool_gather(m->pool, true);
	for (unsigned i = 0; asks && i < count; i++)
		view_begin_tell(m, conn, m->todo[from + i], &asks[i]);
	pool_gather(m->pool, false);
	for (unsigned i = 0; asks && i < count; i++) {
		int r = ask_wait(&asks[i]);

		result = result ? result : r;
	}
	free(asks);
	return result;
}

int moved_tell(struct pool *pool, const struct record *rec, unsigned node, uint64_t epoch, bool own)
{
	struct gvm_conn *conn = pool_node(pool, &rec->nodes[node]);
	struct moved *m = conn ? calloc(1, sizeof(*m)) : NULL;
	int r;

	if (!m)
		return -ENOMEM;
	m->pool = pool;
	m->rec = rec;
	m->node = node;
	m->epoch = epoch;
	r = views_read(m, conn);
	/* (Also of slots that have no chunk now: there may have been some before a cut, and be some again.) */
	for (unsigned s = 0; !r && m->any && s < MOVED_SLOTS; s++)
		if (owns(m, s) ? m->said[s] == OTHER : !own && m->said[s] != RIGHT && !mutant("moved-untold"))
			m->todo[m->count++] = (uint16_t)s;
	for (unsigned i = 0; !r && i < m->count; i += BATCH)
		r = batch_tell(m, conn, i);
	free(m);
	return r;
}
