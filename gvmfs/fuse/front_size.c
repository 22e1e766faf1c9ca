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
#include "store/store.h"
#include "tail.h"

#include <errno.h>

static void resize_finish(struct op *op, int result);

static void detached(struct worker *w, struct inode *inode, int result, void *arg)
{
	struct op *op = arg;

	(void)w;
	(void)inode;
	(void)result;
	op->then(op, op->to_set);
}

/* The change was made or has failed: leaves the region attached or detached, as it was found. */
static void resize_finish(struct op *op, int result)
{
	if (!op->attached_here || op->inode->opens_write) {
		op->then(op, result);
		return;
	}
	op->to_set = result;
	region_detach(op->w, op->inode, detached, op);
}

static void saved(struct worker *w, int result, void *arg)
{
	(void)w;
	tail_clear(arg, result, resize_finish);
}

static void resized(struct worker *w, struct inode *inode, int result, void *arg)
{
	struct op *op = arg;

	struct record *rec = &inode->disk->rec;

	if (result < 0) {
		tail_clear(op, result, resize_finish);
		return;
	}
	rec->mtime_ns = rec->ctime_ns = times_now();
	names_save(w, inode, saved, op);
}

static void made(struct worker *w, struct inode *inode, int result, void *arg)
{
	struct op *op = arg;

	op->attached_here = result == 0;
	resized(w, inode, result, op);
}

static void cut_is_sent(struct store *s, struct store_sync *sync, int error)
{
	struct op *op = (struct op *)((char *)sync - offsetof(struct op, sync));

	if (error)
		resize_finish(op, error);
	else
		region_resize(s->owner, op->inode, op->size, resized, op);
}

static void cut_is_zero(struct worker *w, void *arg, int error)
{
	struct op *op = arg;

	if (error) {
		resize_finish(op, error);
		return;
	}
	op->sync.done = cut_is_sent;
	op->sync.deadline_ns = pool_deadline(w->opts);
	store_sync(w->store, &op->sync, op->inode);
}

static void resize_attached(struct op *op)
{
	struct worker *w = op->w;
	uint64_t before = op->inode->disk->rec.size_bytes;
	uint64_t chunk_end = record_chunks(op->size) * GVM_CHUNK_BYTES;

	if (op->size > before) {
		tail_begin(op);
		region_resize(w, op->inode, op->size, resized, op);
		return;
	}
	tail_cut(op->inode->disk);
	store_drop(w->store, op->inode, record_chunks(op->size));
	if (chunk_end > before)
		chunk_end = before;
	if (op->size < chunk_end)
		front_io_zero(w, op->inode, op->size, chunk_end - op->size, cut_is_zero, op);
	else
		cut_is_zero(w, op, 0);
}

static void attached(struct worker *w, struct inode *inode, int result, void *arg)
{
	struct op *op = arg;

	(void)w;
	(void)inode;
	op->attached_here = result == 0;
	if (result < 0)
		op->then(op, result);
	else
		resize_attached(op);
}

void front_resize(struct op *op)
{
	struct worker *w = op->w;
	struct journal_inode *d = op->inode->disk;

	if (op->size == d->rec.size_bytes)
		op->then(op, 0);
	else if (op->inode->resident || op->inode->attaching)
		op->then(op, -EBUSY);
	else if (op->size > (uint64_t)JOURNAL_CHUNKS_MAX * GVM_CHUNK_BYTES)
		op->then(op, -EFBIG);
	else if (!d->rec.node_count)
		region_resize(w, op->inode, op->size, made, op);
	else if (d->failed)
		op->then(op, -EIO);
	else if (!region_is_attached(op->inode))
		region_attach(w, op->inode, attached, op);
	else
		resize_attached(op);
}
