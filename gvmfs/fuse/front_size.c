// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * front_size.c - changes a region's size, in steps: attach if need be, resize on the nodes, save the record, zero what
 * lay behind the old end (tail.h), and detach again if no file is open for writing.
 *
 * Until the nodes begin to cut off what is behind a smaller size, all of it stays as it was written, since the change
 * may still fail. So they are asked first whether they are there; then what was written is sent, also of what will be
 * cut off: what came to a node later would be above the cut, or refused. The nodes have the new size next, and from
 * then on nothing ends the change: what is left behind the end in the last chunk is made zero and sent, and the region
 * gets its size.
 */
#include "base/log.h"
#include "base/mutant.h"
#include "front.h"
#include "front_io.h"
#include "node/names.h"
#include "node/pool.h"
#include "node/region.h"
#include "node/times.h"
#include "resize.h"
#include "sizes.h"
#include "store/store.h"
#include "tail.h"

#include <errno.h>
#include <string.h>

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
		if (inode->disk->room_owed)
			sizes_owe(w);
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

static struct resize *resize_of(struct store_sync *sync)
{
	return (struct resize *)((char *)sync - offsetof(struct resize, sync));
}

static void cut_is_over(struct store *s, struct store_sync *sync, int error)
{
	struct resize *rs = resize_of(sync);

	if (!error)
		region_sized(s->owner, rs->op.inode, rs->size);
	resized(s->owner, rs->op.inode, error, rs);
}

static void rest_zero(struct resize *rs);

static void rest_is_zero(struct worker *w, void *arg, int error)
{
	struct resize *rs = arg;
	const struct journal_inode *d = rs->op.inode->disk;

	if (error == -ETIMEDOUT && !d->failed) {
		rest_zero(rs);
		return;
	}
	if (error && !d->failed)
		log_error(d->rec.name, "it is smaller, but what lies behind its new end may show when it grows: %s",
			  strerror(-error));
	rs->sync.done = cut_is_over;
	rs->sync.deadline_ns = 0;
	store_sync(w->store, &rs->sync, rs->op.inode);
}

/* Of the last chunk, which the nodes keep. */
static void rest_zero(struct resize *rs)
{
	uint64_t end = record_chunks(rs->size) * GVM_CHUNK_BYTES, before = rs->op.inode->disk->rec.size_bytes;

	end = end < before ? end : before;
	if (rs->size < end)
		front_io_zero(rs->op.w, rs->op.inode, rs->size, end - rs->size, rest_is_zero, rs);
	else
		cut_is_over(rs->op.w->store, &rs->sync, 0);
}

static void cut_on_nodes(struct worker *w, struct inode *inode, int result, void *arg)
{
	struct resize *rs = arg;

	if (result < 0) {
		resize_finish(rs, result);
		return;
	}
	/* There is something only if a program changes the size while it has direct I/O under way. */
	store_drop(w->store, inode, record_chunks(rs->size));
	rest_zero(rs);
}

static void cut_is_sent(struct store *s, struct store_sync *sync, int error)
{
	struct resize *rs = resize_of(sync);

	if (error)
		resize_finish(rs, error);
	else
		region_resize(s->owner, rs->op.inode, rs->size, cut_on_nodes, rs);
}

static void reached(struct worker *w, struct inode *inode, int result, void *arg)
{
	struct resize *rs = arg;

	if (result < 0) {
		resize_finish(rs, result);
		return;
	}
	if (mutant("cut-early"))
		store_drop(w->store, inode, record_chunks(rs->size));
	rs->sync.done = cut_is_sent;
	rs->sync.deadline_ns = pool_deadline(w->opts);
	store_sync(w->store, &rs->sync, inode);
}

static void resize_attached(struct resize *rs)
{
	struct worker *w = rs->op.w;
	struct inode *inode = rs->op.inode;

	if (rs->size > inode->disk->rec.size_bytes) {
		tail_begin(rs);
		region_resize(w, inode, rs->size, resized, rs);
	} else {
		tail_cut(inode->disk);
		region_reach(w, inode, reached, rs);
	}
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
