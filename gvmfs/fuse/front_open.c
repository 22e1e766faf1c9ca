// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * front_open.c - requests that open and close files: the first open for writing attaches the region, and
 * closing the last one detaches it.
 */
#include "base/log.h"
#include "front.h"
#include "node/names.h"
#include "node/names_orphan.h"
#include "node/owner.h"
#include "node/pool.h"
#include "node/region.h"
#include "node/times.h"
#include "resize.h"
#include "state/closes.h"
#include "store/pagecache.h"
#include "store/watch.h"
#include "store/store.h"
#include "uffd/handshake.h"
#include "unbacked.h"
#include "view.h"

#include <errno.h>

/* An open(). */
struct opening {
	struct resize rs; /* first; of O_TRUNC */
	struct fuse_file_info fi;
	int tid;      /* the calling thread */
	bool view;    /* of a view of the region */
	bool at_rest; /* for reading, and the region has no writer anywhere */
	struct close_wait closing;
};

/* The page cache must not be used beside a writer on another host or beside the fast path. (Direct
 * reads of a reader beside a writer of this host are served by the kernel, which knows of dirty
 * pages, and not from here.) */
static bool opens_direct(struct worker *w, const struct opening *o)
{
	const struct inode *inode = o->rs.op.inode;

	if (o->view || inode->resident || inode->in_handshake)
		return true;
	return inode->disk->rec.node_count && !region_is_attached(inode) &&
	       !(o->at_rest && pagecache_can_invalidate(w));
}

/* A reader with O_DIRECT beside a writer of this host, such as gvm run, which holds its region open,
 * puts nothing into the page cache, so it need not keep the region off the fast path. */
static bool reads_past_cache(const struct opening *o)
{
	return (o->fi.flags & O_ACCMODE) == O_RDONLY && (o->fi.flags & O_DIRECT) &&
	       o->rs.op.inode->opens_write;
}

/*
 * The page cache is dropped only if another host may have written since. Dropping takes a page even
 * from a direct read that the kernel has finished, but whose page it has not marked dirty yet: that
 * read would be lost.
 */
static void open_reply(struct opening *o)
{
	struct op *op = &o->rs.op;
	struct worker *w = op->w;
	struct journal_inode *d = op->inode->disk;
	bool direct = opens_direct(w, o);
	int r;

	if (!op->req) { /* the caller has given up, and was perhaps the only writer */
		front_settle(w, op->inode);
		op_end(op, true, 0);
		return;
	}
	r = handle_open(w->inodes, op->inode->nr,
			front_handle_how(&o->fi, direct || reads_past_cache(o)), fuse_req_ctx(op->req)->uid, op->unique,
			&o->fi.fh);
	if (r < 0) {
		op_end(op, true, r);
		return;
	}
	o->fi.keep_cache = !d->cache_stale &&
			    (direct || region_is_attached(op->inode) || watch_trusts(op->inode));
	o->fi.direct_io = direct;
	/* Closing needs no request: munmap() and msync() write stores back, write() is not cached,
	 * and close() of a descriptor that gvmfs has passed on must not block on gvmfs. */
	o->fi.noflush = 1;
	if (fuse_reply_open(op_take(op), &o->fi) == 0 && !direct)
		d->cache_stale = 0;
	if (!region_is_attached(op->inode))
		watch_begin(w, op->inode);
	op_end(op, true, 0);
}

static void open_cut(struct resize *rs, int result)
{
	struct op *op = &rs->op;
	struct worker *w = op->w;
	struct inode *inode = op->inode;

	if (!result) {
		open_reply((struct opening *)rs);
		return;
	}
	op_end(op, true, result);
	front_settle(w, inode); /* the region may have been attached for this open */
}

static void open_writer_again(struct task *task);

/* The region is attached, if it has a size. gvmfs handles O_TRUNC itself. */
static void open_writer(struct opening *o)
{
	struct op *op = &o->rs.op;

	if (!(o->fi.flags & O_TRUNC)) {
		open_reply(o);
		return;
	}
	/* Memory must not vanish under a guest. */
	if (op->inode->disk->rec.size_bytes && op->inode->opens) {
		op->task.run = open_writer_again;
		if (!close_wait(op->w, &o->closing, op->inode, &op->task))
			open_cut(&o->rs, -EBUSY);
		return;
	}
	times_content(op->w, op->inode);
	o->rs.size = 0;
	o->rs.then = open_cut;
	front_resize(&o->rs);
}

static void open_writer_again(struct task *task)
{
	open_writer((struct opening *)task);
}

static void open_attached(struct worker *w, struct inode *inode, int result, void *arg)
{
	watch_go_on(w, inode);
	if (result >= 0) /* another guest's kernel has another place */
		core_forget_kernel(&inode->disk->core);
	if (result < 0)
		op_end(arg, true, result);
	else
		open_writer(arg);
}

unsigned front_handle_how(const struct fuse_file_info *fi, bool direct)
{
	bool write = (fi->flags & O_ACCMODE) != O_RDONLY;

	/* A reader with O_DIRECT leaves nothing in the page cache, whichever way it is served. */
	return (write ? HANDLE_WRITE : 0) |
	       (direct || (!write && (fi->flags & O_DIRECT)) ? HANDLE_DIRECT : 0);
}

/* Whether every node of the region has a connection; later calls rely on that. */
static bool nodes_are_found(struct worker *w, const struct record *rec)
{
	for (unsigned i = 0; i < rec->node_count; i++) {
		if (pool_node(w->pool, &rec->nodes[i]))
			continue;
		log_error(rec->name, "its node %s cannot be used: the address is invalid, or there are too many nodes",
			  rec->nodes[i].addr);
		return false;
	}
	return true;
}

static void open_attach_run(struct task *task)
{
	struct op *op = (struct op *)task;

	region_attach(op->w, op->inode, open_attached, op);
}

/* No invalidation of pages that readers left may be in flight when a guest gets the region. */
static void open_attach(struct opening *o)
{
	struct op *op = &o->rs.op;
	op->task.run = open_attach_run;
	if (!watch_pause(op->inode, &op->task))
		open_attach_run(&op->task);
}

/* At rest, with no writer anywhere, a reader goes through the page cache, and may map what it reads; watch.h
 * keeps that true from then on. */
static void open_looked(struct worker *w, struct inode *inode, int result, void *arg)
{
	struct journal_inode *d = inode->disk;
	struct opening *o = arg;

	o->at_rest = !result && inode->writer == GVM_WRITER_NONE;
	if (o->at_rest && d->last_epoch != inode->seen_epoch) {
		if (d->last_epoch) { /* what is cached is another writer's */
			journal_publish32(&d->cache_stale, 1);
			watch_distrust(w, inode);
		}
		journal_publish64(&d->last_epoch, inode->seen_epoch);
	}
	open_reply(o);
}

/* Of a region that is not attached here: at rest, or written on another host. */
static void open_reader(struct opening *o)
{
	struct op *op = &o->rs.op;

	op->inode->writer = GVM_WRITER_NONE;
	region_stat(op->w, op->inode, open_looked, o);
}

static void open_run(struct task *task)
{
	struct opening *o = (struct opening *)task;
	struct op *op = &o->rs.op;
	struct journal_inode *d = op->inode->disk;
	bool write = (o->fi.flags & O_ACCMODE) != O_RDONLY;
	int allowed, readable;

	if (op->abandoned) {
		op_end(op, true, 0);
		return;
	}
	allowed = handshake_allows_open(op->inode, write, o->tid);
	if (allowed == -EAGAIN) {
		op->inode->parked = task;
		return;
	}
	/* No program that saw the region fail has it open any more, and no pages of that time are
	 * left. */
	if (d->failed && (int)d->failed != INODE_SETTLED && !d->epoch && !op->inode->wbufs && !op->inode->opens)
		d->failed = 0;
	if (d->rec.kind == RECORD_FOLDER)
		op_end(op, true, EISDIR);
	else if (d->rec.kind == RECORD_GONE)
		op_end(op, true, ENOENT); /* removed since the kernel looked it up */
	else if ((d->failed && (d->epoch || op->inode->wbufs)) || inode_is_settled(d))
		op_end(op, true, EIO);
	else if (allowed < 0)
		op_end(op, true, -allowed);
	else if ((readable = region_can_read(op->w, op->inode)) < 0)
		op_end(op, true, -readable);
	else if (!nodes_are_found(op->w, &d->rec))
		op_end(op, true, EIO);
	else if (write && d->rec.node_count && !d->epoch)
		open_attach(o);
	else if (write)
		open_writer(o);
	else if (d->rec.node_count && !d->epoch)
		open_reader(o);
	else
		open_reply(o);
}

/* An open of the helper's never waits, is not counted, and changes nothing in the page cache. */
static void open_helper(fuse_req_t req, struct fuse_file_info *fi)
{
	fi->fh = ~0ull; /* names no handle */
	fi->keep_cache = 1;
	fi->noflush = 1;
	fuse_reply_open(req, fi);
}

void front_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct inode *inode = front_inode(req, view_region(ino));
	struct opening *o;

	if (inode && view_of(ino) && ((fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC)) {
		fuse_reply_err(req, EROFS);
		return;
	}
	if (inode && pagecache_is_helper(front_worker(req), fuse_req_ctx(req)->pid)) {
		open_helper(req, fi);
		return;
	}
	o = inode ? op_new_sized(front_worker(req), req, inode, sizeof(*o)) : NULL;
	if (!o)
		return;
	o->fi = *fi;
	o->tid = fuse_req_ctx(req)->pid;
	o->view = view_of(ino);
	o->rs.op.task.run = open_run;
	inode_acquire(inode, &o->rs.op.task);
}

/* front_settle() */
struct settling {
	struct op op; /* first */
	struct store_sync sync;
};

static void settle_gone(struct worker *w, int result, void *arg)
{
	(void)w;
	(void)result; /* if it failed, the orphan's record stays, and the next mount deletes the region */
	op_end(arg, true, 0);
}

static void settle_kept(struct worker *w, int result, void *arg)
{
	struct op *op = arg;

	(void)w;
	(void)result;
	op->inode->disk->rec.kind = RECORD_GONE; /* here */
	op_end(op, true, 0);
}

static void settle_deleted(struct worker *w, struct inode *inode, int result, void *arg)
{
	if (orphan_stays(w, &inode->disk->rec, result)) {
		names_save(w, inode, settle_kept, arg);
		return;
	}
	inode->disk->rec.kind = RECORD_GONE;
	names_save(w, inode, settle_gone, arg);
}

static void settle_detached(struct worker *w, struct inode *inode, int result, void *arg)
{
	struct journal_inode *d = inode->disk;

	(void)result;
	times_closed(w, inode);
	/* Another host may write from now on, and readers of this host are still there. */
	if (inode->opens_cached)
		pagecache_closed(w, inode);
	if (d->use != INODE_UNLINKED || inode->opens)
		op_end(arg, true, 0);
	else if (d->rec.node_count)
		region_delete(w, inode, settle_deleted, arg);
	else
		settle_deleted(w, inode, 0, arg);
}

static void settle_left(struct worker *w, struct inode *inode, void *arg)
{
	region_detach(w, inode, settle_detached, arg);
}

static void settle_sent(struct store *s, struct store_sync *sync, int error)
{
	struct worker *w = s->owner;
	struct settling *st = (struct settling *)((char *)sync - offsetof(struct settling, sync));
	struct op *op = &st->op;

	(void)error; /* a failed region is given up, too */
	if (op->inode->opens_write)
		op_end(op, true, 0); /* opened again meanwhile */
	else if (region_is_attached(op->inode))
		watch_leave(w, op->inode, settle_left, op);
	else
		settle_detached(w, op->inode, 0, op);
}

static void settle_run(struct task *task)
{
	struct settling *st = (struct settling *)task;
	struct op *op = &st->op;
	struct worker *w = op->w;
	struct journal_inode *d = op->inode->disk;
	bool doomed;

	/* A temporary region is removed with its last open file on this host. Other hosts may have read it, but
	 * its guest ran here. */
	if (d->use == INODE_USED && d->rec.temporary && owner_is_self(&d->rec.owner, &w->self) &&
	    !op->inode->opens && !op->inode->resident && !op->inode->in_handshake) {
		d->rec.orphan = 1;
		inode_set_use(w->inodes, op->inode->nr, INODE_UNLINKED);
	}
	doomed = d->use == INODE_UNLINKED && !op->inode->opens && d->rec.kind != RECORD_GONE;

	/* What the fast path has, or is about to have, is sent first; its end comes back here. */
	if (op->inode->resident || op->inode->in_handshake || op->inode->opens_write ||
	    (!doomed && !region_is_attached(op->inode))) {
		op_end(op, true, 0);
		return;
	}
	if (doomed)
		store_drop(w->store, op->inode);
	st->sync.done = settle_sent;
	store_sync(w->store, &st->sync, op->inode);
}

/* Whoever mounts the nodes, here or on another host, is not to take what they have of it for a guest's memory. A successor does
 * this again, until the record is owed (inode_is_unsettled()). */
static void settled_note(struct worker *w, struct inode *inode)
{
	struct journal_inode *d = inode->disk;

	if ((int)d->failed != INODE_SETTLED || d->rec.settled || d->rec.kind != RECORD_REGION)
		return;
	times_status(w, inode);
	d->rec.settled = 1;
}

void front_settle(struct worker *w, struct inode *inode)
{
	struct op *op;

	settled_note(w, inode);
	op = op_new_sized(w, NULL, inode, sizeof(struct settling));
	if (!op)
		return;
	op->task.run = settle_run;
	inode_acquire(inode, &op->task);
}

void front_fast_path_ended(struct worker *w, struct inode *inode)
{
	struct task *parked = inode->parked;

	inode->parked = NULL;
	/* Files that the client kept open may all be closed by now. (A parked open goes first: it
	 * holds the inode.) */
	front_settle(w, inode);
	if (parked)
		parked->run(parked);
}

void front_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct worker *w = front_worker(req);
	struct inode *inode;
	unsigned how = handle_how(w->inodes, fi->fh);
	bool write;
	int nr = handle_close(w->inodes, fi->fh, &write);

	(void)ino;
	fuse_reply_err(req, 0);
	if (nr < 0)
		return; /* a predecessor closed it, and was killed before it answered */
	inode = inode_get(w->inodes, (unsigned)nr);
	if (!(how & (HANDLE_WRITE | HANDLE_DIRECT)) && inode->opens_cached == inode->opens_dirtying)
		pagecache_closed(w, inode);
	/* Another host may write from now on, and there is no watch any more. */
	if (!inode->opens && !region_is_attached(inode)) {
		watch_end(w, inode);
		journal_publish32(&inode->disk->cache_stale, 1);
	}
	if (!inode->opens) {
		unbacked_closed(inode);
		store_forget(w->store, inode); /* before the inode can be freed */
	}
	if (!inode->opens_write)
		front_settle(w, inode);
	if (inode->closing) /* what waits has the inode */
		closes_heard(inode);
	else
		inode_reap(w->inodes, (unsigned)nr);
}
