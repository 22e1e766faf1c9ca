// SPDX-License-Identifier: GPL-2.0-or-later
/* region_lease.c - see region_lease.h. */
#include "region_lease.h"

#include "owner.h"
#include "pool.h"
#include "region_events.h"
#include "state/worker.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define REATTACH_NS 100000000ull /* delay, so that faults at a worker's start are served first */

/* A request that attaches again with the same epoch. An answer of FENCED means that another host took the region. */
struct reattach {
	struct gvm_call call; /* first */
	struct worker *w;
	unsigned nr; /* of the region's inode at that time */
	struct gvm_id region;
	uint64_t epoch;
};

static void reattach_done(struct gvm_req *req)
{
	struct reattach *ra = (struct reattach *)req;

	struct journal_inode *d = inode_disk(ra->w->inodes, ra->nr);

	/* (With replicas, BUSY proves nothing: a node that was away when we attached may still know an earlier writer,
	 * which the other nodes refuse.) */
	if (d->use != INODE_FREE && d->epoch == ra->epoch &&
	    gvm_id_equal(&d->rec.id, &ra->region) &&
	    (req->result == -EKEYREVOKED || (req->result == -EBUSY && d->rec.replicas < 2)))
		ra->w->region_events->fenced(ra->w, inode_get(ra->w->inodes, ra->nr));
	free(ra);
}

/* Sends it for one region to one of its nodes. */
static void reattach(struct worker *w, unsigned nr, struct gvm_conn *conn)
{
	struct journal_inode *d = inode_disk(w->inodes, nr);
	struct gvm_region_open_req what = {
		.region = d->rec.id, .mode = GVM_OPEN_ATTACH, .epoch = d->epoch, .view = inode_view_told(d)
	};
	struct reattach *ra = calloc(1, sizeof(*ra));

	if (!ra)
		return;
	owner_lease(w->opts, &w->self, d->use == INODE_UNLINKED, &what);
	ra->call.req.done = reattach_done;
	ra->w = w;
	ra->nr = nr;
	ra->region = d->rec.id;
	ra->epoch = d->epoch;
	gvm_region_open(conn, &ra->call, &what);
}

void region_lease(struct worker *w, struct inode *inode)
{
	struct journal_inode *d = inode->disk;

	for (unsigned i = 0; d->epoch && !d->failed && i < d->rec.node_count; i++) {
		struct gvm_conn *conn = pool_node(w->pool, &d->rec.nodes[i]);

		/* Nodes that are not connected are told when they are: region_reattach(). */
		if (conn && gvm_conn_state(conn) == GVM_CONN_UP)
			reattach(w, inode->nr, conn);
	}
}

static void reattach_all(struct worker *w, struct gvm_conn *conn)
{
	const struct inode *inode;

	/* Many requests in one system call, since faults wait meanwhile. */
	gvm_conn_cork(conn, true);
	LIST_FOREACH (inode, &w->inodes->attached, attached_entry) {
		const struct journal_inode *d = inode->disk;

		for (unsigned i = 0; !d->failed && i < d->rec.node_count; i++)
			if (gvm_id_equal(&d->rec.nodes[i].incarnation, gvm_conn_incarnation(conn)))
				reattach(w, inode->nr, conn);
	}
	gvm_conn_cork(conn, false);
}

void region_reattach(struct worker *w, struct gvm_conn *conn)
{
	struct pool *pool = w->pool;
	unsigned i = 0;

	while (pool->conns[i] != conn)
		i++;
	pool->untold += !pool->untold_ns[i];
	pool->untold_ns[i] = gvm_now_ns();
}

/* One node in each call, so that other work gets its turn in between. */
uint64_t region_reattach_tick(struct worker *w, uint64_t now_ns)
{
	struct pool *pool = w->pool;
	uint64_t first = LOOP_NEVER;
	unsigned next = 0;

	if (!pool->untold)
		return LOOP_NEVER;
	for (unsigned i = 0; i < pool->count; i++)
		if (pool->untold_ns[i] && pool->untold_ns[i] < first)
			first = pool->untold_ns[next = i];
	if (now_ns < first + REATTACH_NS)
		return first + REATTACH_NS;
	assert(pool->untold_ns[next]);
	pool->untold_ns[next] = 0;
	pool->untold--;
	/* If it is down again, it is told when it is up. */
	if (gvm_conn_state(pool->conns[next]) == GVM_CONN_UP)
		reattach_all(w, pool->conns[next]);
	return now_ns;
}
