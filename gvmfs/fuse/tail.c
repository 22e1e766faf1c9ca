// SPDX-License-Identifier: GPL-2.0-or-later
/* tail.c - see tail.h. */
#include "tail.h"

#include "base/log.h"
#include "resize.h"
#include "state/request.h"
#include "state/worker_state.h"
#include "store/pagecache.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static uint64_t page_end(uint64_t off)
{
	return (off / GVM_PAGE_BYTES + 1) * GVM_PAGE_BYTES;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint8_t *content_of(const struct worker *w, const struct inode *inode)
{
	return journal_tail(w->inodes->j, inode->nr);
}

void tail_begin(struct resize *rs)
{
	struct journal_inode *d = rs->op.inode->disk;
	uint8_t *content = content_of(rs->op.w, rs->op.inode);
	uint64_t from = d->rec.size_bytes, end = least(rs->size, page_end(from)), zero_to = end;

	if (from % GVM_PAGE_BYTES == 0 || !d->end_cached)
		return;
	/* A write that is sent again finds what the first one has left. */
	if (d->tail_unique != rs->op.unique)
		journal_publish64(&d->tail_unique, 0);
	if (rs->data)
		zero_to = rs->off > from ? least(rs->off, end) : from;
	memset(content + from % GVM_PAGE_BYTES, 0, zero_to - from);
	if (zero_to < end)
		memcpy(content + zero_to % GVM_PAGE_BYTES, rs->data + (zero_to - rs->off), end - zero_to);
	journal_publish64(&d->tail_to, zero_to);
	journal_publish64(&d->tail_end, end);
	journal_publish64(&d->tail_unique, zero_to < end ? rs->op.unique : 0);
	journal_publish64(&d->tail_from, from);
}

void tail_recall(struct worker *w, const struct inode *inode, uint8_t *data, uint64_t off, size_t bytes)
{
	const struct journal_inode *d = inode->disk;

	if (!w->request->resent || d->tail_unique != w->request->unique)
		return;
	assert(off <= d->tail_to && d->tail_to < d->tail_end && d->tail_end <= off + bytes);
	memcpy(data + (d->tail_to - off), content_of(w, inode) + d->tail_to % GVM_PAGE_BYTES,
	       d->tail_end - d->tail_to);
}

static void clear_go_on(struct resize *rs);

static void clear_done(struct worker *w, struct pagecache_ask *ask, int error)
{
	struct resize *rs = (struct resize *)((char *)ask - offsetof(struct resize, tail.ask));
	struct journal_inode *d = rs->op.inode->disk;

	if (error == -ETIMEDOUT) {
		/* The page is locked, perhaps by a fault that waits for the page's write-back, which the
		 * kernel holds back until its request for the new size is answered. (It does not during a
		 * write(), and if a write() fails it forgets whole pages.) */
		if (!rs->data)
			op_fail(&rs->op, EINTR);
		pagecache_wait_on(w, ask);
		return;
	}
	if (error == -EPIPE || error == -EAGAIN) {
		clear_go_on(rs); /* try again: without the helper if it is gone, or when it has memory */
		return;
	}
	/* -ENOENT, -ENODEV: the kernel does not know the file, so it caches nothing of it. */
	if (error && error != -ENOENT && error != -ENODEV) {
		log_error(d->rec.name, "it has grown, but bytes that a program stored behind its old end may show: %s",
			  strerror(-error));
		rs->tail.result = -EIO;
	}
	if (d->rec.size_bytes > page_end(d->tail_from))
		journal_publish32(&d->end_cached, 0); /* the end is in another page */
	journal_publish64(&d->tail_from, 0);
	rs->tail.then(rs, rs->tail.result);
}

static void clear_go_on(struct resize *rs)
{
	const struct journal_inode *d = rs->op.inode->disk;
	const uint8_t *content = content_of(rs->op.w, rs->op.inode);
	int r = pagecache_store(rs->op.w, rs->op.inode, d->tail_from, d->tail_end - d->tail_from,
				content + d->tail_from % GVM_PAGE_BYTES, &rs->tail.ask);

	if (r < 0)
		clear_done(rs->op.w, &rs->tail.ask, r);
}

void tail_clear(struct resize *rs, int result, void (*then)(struct resize *rs, int result))
{
	struct journal_inode *d = rs->op.inode->disk;

	/* Once the record has the new size it stays, whatever else has failed. */
	if (d->tail_from && d->rec.size_bytes > d->tail_from) {
		rs->tail.ask.done = clear_done;
		rs->tail.result = result;
		rs->tail.then = then;
		clear_go_on(rs);
		return;
	}
	journal_publish64(&d->tail_from, 0);
	then(rs, result);
}

static void adopted(struct resize *rs, int result)
{
	op_end(&rs->op, true, result);
}

static void adopt_run(struct task *task)
{
	tail_clear((struct resize *)task, 0, adopted);
}

void tail_adopt(struct worker *w, struct inode *inode)
{
	struct resize *rs = op_new_sized(w, NULL, inode, sizeof(*rs));

	if (!rs)
		return;
	rs->op.task.run = adopt_run;
	inode_acquire(inode, &rs->op.task);
}

void tail_mask(const struct journal_inode *d, uint8_t *data, uint64_t off, size_t size)
{
	uint64_t from = d->tail_from > off ? d->tail_from : off;
	uint64_t to = least(d->tail_to, off + size);

	if (d->tail_from && from < to)
		memset(data + (from - off), 0, to - from);
}
