// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * front_rest.c - regions that are open here for reading only: at rest, or written on another host.
 *
 * At rest, with no writer anywhere, a reader goes through the page cache, and may map what it reads.
 * Another host may become the region's writer at any moment, and nobody tells us. So what the page
 * cache has of it is let go as soon as it is not in use (pagecache.h), and the nodes are asked every
 * REST_NS: each attachment of a writer has an epoch of its own. From the look that finds one on, and
 * as long as it is there, and once when it has gone, even what is mapped is invalidated at each look: a mapping shows what the
 * writer had sent REST_NS ago, and never anything older. Nobody here writes to such a region, so there
 * is no page with newer content, and no guest, that an invalidation could harm; the inode is held, so
 * that no writer of this host can come before it is done.
 */
#include "front.h"
#include "region.h"

#include <errno.h>
#include <stdlib.h>

#define REST_NS 100000000ull

/* What is cached is of the epoch last_epoch: is that still the region's? */
static bool rest_is_current(struct worker *w, const struct inode *inode)
{
	return worker_disk(w, inode)->last_epoch == inode->seen_epoch;
}

/* From here on what is cached is of the epoch that was seen, once what is stale is gone. */
static void rest_adopt(struct worker *w, const struct inode *inode, bool stale)
{
	struct journal_inode *d = worker_disk(w, inode);

	if (stale)
		journal_publish32(&d->cache_stale, 1);
	journal_publish64(&d->last_epoch, inode->seen_epoch);
}

static void opened(struct worker *w, struct inode *inode, int result, void *arg)
{
	struct op *op = arg;

	op->at_rest = !result && !inode->writer_alive;
	if (op->at_rest && !rest_is_current(w, inode))
		rest_adopt(w, inode, worker_disk(w, inode)->last_epoch != 0);
	op->inode->beside_writer |= inode->writer_alive && inode->opens_cached;
	op->then(op, 0);
}

void front_rest_open(struct op *op)
{
	op->inode->writer_alive = false;
	region_stat(op->w, op->inode, opened, op);
}

/* A look at one that somebody reads. */
struct look {
	struct task task; /* first */
	struct pagecache_ask ask;
	struct worker *w;
	struct inode *inode;
};

static void look_end(struct look *l)
{
	l->inode->looked_at = false;
	inode_release(&l->w->inodes, l->inode);
	free(l);
}

static void look_invalidated(struct worker *w, struct pagecache_ask *ask, int error)
{
	struct look *l = (struct look *)((char *)ask - offsetof(struct look, ask));

	/* -ENOENT: the kernel does not know the file, and has nothing of it. */
	rest_adopt(w, l->inode, error && error != -ENOENT);
	look_end(l);
}

static void look_stated(struct worker *w, struct inode *inode, int result, void *arg)
{
	struct look *l = arg;
	bool same = rest_is_current(w, inode) && !inode->writer_alive && !inode->beside_writer;

	/* When it has gone, what was cached since the last look goes once more. */
	if (!result || inode->writer_alive)
		inode->beside_writer = inode->writer_alive;
	if (result || same) {
		look_end(l);
		return;
	}
	l->ask.done = look_invalidated;
	if (pagecache_invalidate(w, inode, &l->ask) < 0)
		look_invalidated(w, &l->ask, -EIO);
}

static bool is_looked_at(struct worker *w, const struct inode *inode)
{
	const struct journal_inode *d = worker_disk(w, inode);

	return inode->opens_cached && d->rec.node_count && !d->epoch && d->use != INODE_FREE &&
	       d->rec.kind == RECORD_REGION && !inode->resident && !inode->attaching;
}

static void look_run(struct task *task)
{
	struct look *l = (struct look *)task;

	if (!is_looked_at(l->w, l->inode)) {
		look_end(l);
		return;
	}
	l->inode->writer_alive = false;
	region_stat(l->w, l->inode, look_stated, l);
}

uint64_t front_rest_tick(struct worker *w, uint64_t now_ns)
{
	bool any = false;

	if (w->rest_at_ns > now_ns)
		return w->rest_at_ns;
	for (unsigned nr = 1; nr < w->inodes.end; nr++) {
		struct inode *inode = w->inodes.rt[nr];
		struct look *l;

		if (!inode || !is_looked_at(w, inode))
			continue;
		any = true;
		l = inode->looked_at ? NULL : calloc(1, sizeof(*l));
		if (!l)
			continue;
		l->task.run = look_run;
		l->w = w;
		l->inode = inode;
		inode->looked_at = true;
		inode_acquire(inode, &l->task);
	}
	w->rest_at_ns = now_ns + REST_NS;
	return any ? w->rest_at_ns : ~0ull;
}
