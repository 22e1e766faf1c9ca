// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * front_size.c - changes a region's size, in steps: attach if need be, resize on the nodes, save the record, zero what
 * lay behind the old end (tail.h), and detach again if no file is open for writing.
 *
 * Until the nodes begin to cut off what is behind a smaller size, all of it stays as it was written, since the change
 * may still fail. So they are asked first whether they are there; then what was written is sent, also of what will be
 * cut off: what came to a node later would be above the cut, or refused. (Direct I/O that comes from then on waits for the
 * end: store_cut_begin().) The nodes have the new size next, and from then on nothing ends the change: what is left behind
 * the end in the last chunk is made zero and sent, and the region gets its size. What the nodes do not do is tried again
 * (sizes.h), and a worker's successor goes on, since the journal tells of the change before any node is asked.
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
#include "write.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REST_TRIES 10u

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

/* The region has the new size (done), or keeps the old one. */
static void cut_end(struct worker *w, struct resize *rs, bool done)
{
	if (done)
		store_writes_cut(rs->op.inode);
	store_cut_end(w->store, rs->op.inode);
	store_turn(w->store);
}

static void cut_is_over(struct store *s, struct store_sync *sync, int error)
{
	struct resize *rs = resize_of(sync);

	if (error) /* it has failed for good */
		journal_publish64(&rs->op.inode->disk->cut_to_plus_1, 0);
	else
		region_sized(s->owner, rs->op.inode, rs->size);
	cut_end(s->owner, rs, !error);
	resized(s->owner, rs->op.inode, error, rs);
}

static void rest_zero(struct resize *rs);

static void rest_is_zero(struct worker *w, void *arg, int error)
{
	struct resize *rs = arg;
	const struct journal_inode *d = rs->op.inode->disk;

	/* The page that the new end is in may be one that no node can read any more. The others need not be read. */
	if (error && !d->failed) {
		if (error != -ETIMEDOUT && error != -ENOMEM && rs->tries < REST_TRIES && ++rs->tries == REST_TRIES)
			log_error(d->rec.name,
				  "it is smaller, but what lies behind its new end, in the same page, may show when it grows: %s",
				  strerror(-error));
		sizes_wait(rs, rest_zero);
		return;
	}
	rs->sync.done = cut_is_over;
	rs->sync.deadline_ns = 0;
	store_sync(w->store, &rs->sync, rs->op.inode);
}

static uint64_t page_up(uint64_t off)
{
	return (off + GVM_PAGE_BYTES - 1) / GVM_PAGE_BYTES * GVM_PAGE_BYTES;
}

/* Of the last chunk, which the nodes keep. */
static void rest_zero(struct resize *rs)
{
	uint64_t end = record_chunks(rs->size) * GVM_CHUNK_BYTES, before = rs->op.inode->disk->rec.size_bytes;
	uint64_t from = rs->size;

	/* Whole pages, so that the one that the old end is in need not be read: behind that it is zeros anyway. */
	before = page_up(before);
	end = end < before ? end : before;
	if (rs->tries == REST_TRIES)
		from = page_up(from);
	if (from < end)
		front_io_zero_rest(rs->op.w, rs->op.inode, from, end - from, rest_is_zero, rs);
	else
		cut_is_over(rs->op.w->store, &rs->sync, 0);
}

static void cut_again(struct resize *rs);

static void cut_on_nodes(struct worker *w, struct inode *inode, int result, void *arg)
{
	struct resize *rs = arg;
	struct journal_inode *d = inode->disk;

	/* That does not end: the region has another writer by now, or the only node of some of it has lost it. */
	if (d->cut_to_plus_1 && (result == -EKEYREVOKED || (result == -ENOMEDIUM && d->rec.replicas < 2))) {
		region_fail(w, inode, record_chunks(rs->size), result);
		result = -EIO;
	}
	if (!result) {
		rest_zero(rs);
	} else if (d->cut_to_plus_1 && !d->failed) {
		log_error(d->rec.name, "it is being made smaller, and its nodes have to go on with that: %s", strerror(-result));
		sizes_wait(rs, cut_again);
	} else {
		journal_publish64(&d->cut_to_plus_1, 0);
		cut_end(w, rs, false);
		resize_finish(rs, result);
	}
}

static void cut_go_on(struct resize *rs)
{
	struct inode *inode = rs->op.inode;

	if (inode->disk->failed)
		cut_on_nodes(rs->op.w, inode, -EIO, rs);
	else
		region_resize(rs->op.w, inode, rs->size, cut_on_nodes, rs);
}

static void cut_is_back(struct task *task)
{
	cut_go_on((struct resize *)((char *)task - offsetof(struct resize, lent)));
}

/* A node that does not come back has to be replaced first, for which the inode has to be held, too. */
static void cut_again(struct resize *rs)
{
	rs->lent.run = cut_is_back;
	if (!inode_lend(rs->op.inode, &rs->lent))
		cut_go_on(rs);
}

static void cut_is_sent(struct store *s, struct store_sync *sync, int error)
{
	struct resize *rs = resize_of(sync);

	if (error) {
		cut_end(s->owner, rs, false);
		resize_finish(rs, error);
	} else {
		region_resize(s->owner, rs->op.inode, rs->size, cut_on_nodes, rs);
	}
}

static void reached(struct worker *w, struct inode *inode, int result, void *arg)
{
	struct resize *rs = arg;

	if (result < 0) {
		resize_finish(rs, result);
		return;
	}
	if (mutant("cut-early"))
		store_drop(w->store, inode);
	store_cut_begin(w->store, inode, rs->size);
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

static void adopted(struct resize *rs, int result)
{
	op_end(&rs->op, true, result);
}

static void adopt_run(struct task *task)
{
	struct resize *rs = (struct resize *)task;
	struct inode *inode = rs->op.inode;
	struct journal_inode *d = inode->disk;

	rs->size = d->cut_to_plus_1 - 1;
	rs->then = adopted;
	if (d->failed || !region_is_attached(inode) || d->rec.kind == RECORD_GONE || d->rec.size_bytes <= rs->size) {
		journal_publish64(&d->cut_to_plus_1, 0);
		op_end(&rs->op, true, 0);
		return;
	}
	store_cut_begin(rs->op.w->store, inode, rs->size);
	cut_again(rs);
}

void front_size_adopt(struct worker *w, struct inode *inode)
{
	struct resize *rs = op_new_sized(w, NULL, inode, sizeof(*rs));

	if (!rs)
		abort(); /* the next successor finds it in the journal */
	rs->op.task.run = adopt_run;
	inode_acquire(inode, &rs->op.task);
}
