// SPDX-License-Identifier: GPL-2.0-or-later
/* tail.c - see tail.h. */
#include "tail.h"

#include "base/log.h"
#include "resize.h"
#include "store/pagecache.h"

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

void tail_begin(struct resize *rs)
{
	struct journal_inode *d = rs->op.inode->disk;
	uint64_t from = d->rec.size_bytes, zero_to = least(rs->data ? rs->off : rs->size, page_end(from));

	if (from % GVM_PAGE_BYTES == 0 || !d->end_cached)
		return;
	rs->tail.from = from;
	rs->tail.to = least(rs->size, page_end(from));
	if (zero_to <= from)
		return; /* the write begins at the old end: nothing lies between */
	journal_publish64(&d->tail_to, zero_to);
	journal_publish64(&d->tail_from, from);
}

/* Builds what the kernel's page should have from rs->tail.from to rs->tail.to: zeros, and the written
 * data. */
static void tail_fill(const struct resize *rs, uint8_t *content)
{
	uint64_t from = rs->tail.from, to = rs->tail.to, off = rs->off > from ? rs->off : from;

	memset(content, 0, GVM_PAGE_BYTES);
	if (rs->data && off < to)
		memcpy(content + (off - from), rs->data + (off - rs->off),
		       least(to, rs->off + rs->bytes) - off);
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
	if (d->rec.size_bytes > page_end(rs->tail.from))
		journal_publish32(&d->end_cached, 0); /* the end is in another page */
	journal_publish64(&d->tail_from, 0);
	rs->tail.then(rs, rs->tail.result);
}

static void clear_go_on(struct resize *rs)
{
	uint8_t content[GVM_PAGE_BYTES];
	int r;

	tail_fill(rs, content);
	r = pagecache_store(rs->op.w, rs->op.inode, rs->tail.from, rs->tail.to - rs->tail.from, content,
			    &rs->tail.ask);
	if (r < 0)
		clear_done(rs->op.w, &rs->tail.ask, r);
}

void tail_clear(struct resize *rs, int result, void (*then)(struct resize *rs, int result))
{
	struct journal_inode *d = rs->op.inode->disk;

	/* Once the record has the new size it stays, whatever else has failed. */
	if (rs->tail.from && d->rec.size_bytes > rs->tail.from) {
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
	struct resize *rs = (struct resize *)task;
	const struct journal_inode *d = rs->op.inode->disk;

	rs->tail.from = d->tail_from;
	rs->tail.to = d->tail_to;
	tail_clear(rs, 0, adopted);
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
