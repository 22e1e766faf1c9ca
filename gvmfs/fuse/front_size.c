// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * front_size.c - changes a region's size, in steps: attach if need be, zero what is cut off, resize
 * on the nodes, save the record, zero what lay behind the old end (tail.h), and detach again if no
 * file is open for writing.
 */
#include "front.h"
#include "front_io.h"
#include "node/names.h"
#include "node/pool.h"
#include "node/region.h"
#include "node/times.h"
#include "resize.h"
#include "store/store.h"
#include "tail.h"

#include <errno.h>

static void resize_finish(struct resize *rs, int result);

static void detached(struct worker *w, struct inode *inode, int result, void *arg)
{
	struct resize *rs = arg;

	(void)w;
	(void)inode;
	(void)result;
	rs->then(rs, rs->result);
}

/* The change was made or has failed: leaves the region attached or detached, as it was found. */
static void resize_finish(struct resize *rs, int result)
{
	if (!rs->attached_here || rs->op.inode->opens_write) {
		rs->then(rs, result);
		return;
	}
	rs->result = result;
	region_detach(rs->op.w, rs->op.inode, detached, rs);
}

static void saved(struct worker *w, int result, void *arg)
{
	(void)w;
	tail_clear(arg, result, resize_finish);
}

static void resized(struct worker *w, struct inode *inode, int result, void *arg)
{
	struct resize *rs = arg;
	struct record *rec = &inode->disk->rec;

	if (result < 0) {
		tail_clear(rs, result, resize_finish);
		return;
	}
	rec->mtime_ns = rec->ctime_ns = times_now();
	names_save(w, inode, saved, rs);
}

static void made(struct worker *w, struct inode *inode, int result, void *arg)
{
	struct resize *rs = arg;

	rs->attached_here = result == 0;
	resized(w, inode, result, rs);
}

static void cut_is_sent(struct store *s, struct store_sync *sync, int error)
{
	struct resize *rs = (struct resize *)((char *)sync - offsetof(struct resize, sync));

	if (error)
		resize_finish(rs, error);
	else
		region_resize(s->owner, rs->op.inode, rs->size, resized, rs);
}

static void cut_is_zero(struct worker *w, void *arg, int error)
{
	struct resize *rs = arg;

	if (error) {
		resize_finish(rs, error);
		return;
	}
	rs->sync.done = cut_is_sent;
	rs->sync.deadline_ns = pool_deadline(w->opts);
	store_sync(w->store, &rs->sync, rs->op.inode);
}

static void resize_attached(struct resize *rs)
{
	struct worker *w = rs->op.w;
	uint64_t before = rs->op.inode->disk->rec.size_bytes;
	uint64_t chunk_end = record_chunks(rs->size) * GVM_CHUNK_BYTES;

	if (rs->size > before) {
		tail_begin(rs);
		region_resize(w, rs->op.inode, rs->size, resized, rs);
		return;
	}
	tail_cut(rs->op.inode->disk);
	store_drop(w->store, rs->op.inode, record_chunks(rs->size));
	if (chunk_end > before)
		chunk_end = before;
	if (rs->size < chunk_end)
		front_io_zero(w, rs->op.inode, rs->size, chunk_end - rs->size, cut_is_zero, rs);
	else
		cut_is_zero(w, rs, 0);
}

static void attached(struct worker *w, struct inode *inode, int result, void *arg)
{
	struct resize *rs = arg;

	(void)w;
	(void)inode;
	rs->attached_here = result == 0;
	if (result < 0)
		rs->then(rs, result);
	else
		resize_attached(rs);
}

void front_resize(struct resize *rs)
{
	struct worker *w = rs->op.w;
	struct journal_inode *d = rs->op.inode->disk;

	if (rs->size == d->rec.size_bytes)
		rs->then(rs, 0);
	else if (rs->op.inode->resident || rs->op.inode->in_handshake)
		rs->then(rs, -EBUSY);
	else if (rs->size > (uint64_t)JOURNAL_CHUNKS_MAX * GVM_CHUNK_BYTES)
		rs->then(rs, -EFBIG);
	else if (!d->rec.node_count)
		region_resize(w, rs->op.inode, rs->size, made, rs);
	else if (d->failed)
		rs->then(rs, -EIO);
	else if (!region_is_attached(rs->op.inode))
		region_attach(w, rs->op.inode, attached, rs);
	else
		resize_attached(rs);
}
