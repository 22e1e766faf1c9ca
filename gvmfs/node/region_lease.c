// SPDX-License-Identifier: GPL-2.0-or-later
/* region_lease.c - see region_lease.h. */
#include "region_lease.h"

#include "owner.h"
#include "pool.h"
#include "region_events.h"
#include "state/worker_state.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define REATTACH_NS 100000000ull /* delay, so that faults at a worker's start are served first */
/* In one go, during which faults wait: */
#define TELL_MAX  8u   /* requests */
#define LOOKS_MAX 256u /* inodes */

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
	if (!inode->disk->epoch || inode->disk->failed)
		return;
	inode->lease_node = 0;
	if (!inode->leasing)
		TAILQ_INSERT_TAIL(&w->inodes->leasing, inode, lease_entry);
	inode->leasing = true;
}

/* Tells some nodes of one region. False: there was none. */
static bool lease_some(struct worker *w)
{
	struct inode *inode = TAILQ_FIRST(&w->inodes->leasing);
	const struct record *rec;

	if (!inode)
		return false;
	assert(inode->leasing && inode->disk->epoch);
	rec = &inode->disk->rec;
	for (unsigned n = 0; n < TELL_MAX && !inode->disk->failed && inode->lease_node < rec->node_count; n++) {
		struct gvm_conn *conn = pool_node(w->pool, &rec->nodes[inode->lease_node++]);

		/* Nodes that are not connected are told when they are: region_reattach(). */
		if (conn && gvm_conn_state(conn) == GVM_CONN_UP)
			reattach(w, inode->nr, conn);
	}
	if (inode->disk->failed || inode->lease_node >= rec->node_count)
		inode_lease_told(w->inodes, inode);
	return true;
}

/* Tells a node of a region that it has a part of. False: it has none. */
static bool reattach_one(struct worker *w, const struct inode *inode, struct gvm_conn *conn)
{
	const struct journal_inode *d = inode->disk;

	for (unsigned i = 0; i < d->rec.node_count; i++)
		if (gvm_id_equal(&d->rec.nodes[i].incarnation, gvm_conn_incarnation(conn))) {
			reattach(w, inode->nr, conn);
			return true;
		}
	return false;
}

/* Tells a node of some of the regions. False: that was the last of them. */
static bool reattach_some(struct worker *w, struct gvm_conn *conn, unsigned *nr)
{
	const struct inodes *in = w->inodes;
	unsigned looks = 0;

	if (gvm_conn_state(conn) != GVM_CONN_UP) /* it is told when it is up again */
		return false;
	/* Many requests in one system call. */
	gvm_conn_cork(conn, true);
	for (unsigned told = 0; *nr < in->end && told < TELL_MAX && looks < LOOKS_MAX; ++*nr, looks++) {
		const struct inode *inode = in->rt[*nr];

		if (!inode || !inode->disk->epoch || inode->disk->failed)
			continue;
		looks += LOOKS_MAX / (4 * TELL_MAX); /* its nodes are many, too */
		told += reattach_one(w, inode, conn);
	}
	gvm_conn_cork(conn, false);
	return *nr < in->end;
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

/* The next node that is to be told of all regions: its entry and 1; 0: none is due. *due_ns: when one is. */
static unsigned reattach_next(struct pool *pool, uint64_t now_ns, uint64_t *due_ns)
{
	uint64_t first = LOOP_NEVER;
	unsigned next = 0;

	for (unsigned i = 0; pool->untold && i < pool->count; i++)
		if (pool->untold_ns[i] && pool->untold_ns[i] < first)
			first = pool->untold_ns[next = i];
	*due_ns = first == LOOP_NEVER ? first : first + REATTACH_NS;
	if (now_ns < *due_ns)
		return 0;
	assert(pool->untold_ns[next]);
	pool->untold_ns[next] = 0;
	pool->untold--;
	return next + 1;
}

uint64_t region_lease_tick(struct worker *w, uint64_t now_ns)
{
	struct pool *pool = w->pool;
	uint64_t due_ns = now_ns;

	if (lease_some(w))
		return now_ns;
	if (!pool->telling) {
		pool->telling = reattach_next(pool, now_ns, &due_ns);
		pool->telling_nr = 1;
	}
	if (pool->telling && !reattach_some(w, pool->conns[pool->telling - 1], &pool->telling_nr))
		pool->telling = 0;
	return due_ns;
}
