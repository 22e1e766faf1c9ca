// SPDX-License-Identifier: GPL-2.0-or-later
/* tail.c - see tail.h. */
#include "tail.h"

#include "base/log.h"
#include "op.h"
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

void tail_begin(struct op *op)
{
	struct journal_inode *d = op->inode->disk;
	uint64_t from = d->rec.size_bytes, zero_to = least(op->data ? op->off : op->size, page_end(from));

	if (from % GVM_PAGE_BYTES == 0 || !d->end_cached)
		return;
	op->tail.from = from;
	op->tail.to = least(op->size, page_end(from));
	if (zero_to <= from)
		return; /* the write begins at the old end: nothing lies between */
	journal_publish64(&d->tail_to, zero_to);
	journal_publish64(&d->tail_from, from);
}

/* Builds what the kernel's page should have from op->tail.from to op->tail.to: zeros, and the written
 * data. */
static void tail_fill(const struct op *op, uint8_t *content)
{
	uint64_t from = op->tail.from, to = op->tail.to, off = op->off > from ? op->off : from;

	memset(content, 0, GVM_PAGE_BYTES);
	if (op->data && off < to)
		memcpy(content + (off - from), (const uint8_t *)op->data + (off - op->off),
		       least(to, op->off + op->bytes) - off);
}

static void clear_go_on(struct op *op);

static void clear_done(struct worker *w, struct pagecache_ask *ask, int error)
{
	struct op *op = (struct op *)((char *)ask - offsetof(struct op, tail.ask));
	struct journal_inode *d = op->inode->disk;

	if (error == -ETIMEDOUT) {
		/* The page is locked, perhaps by a fault that waits for the page's write-back, which the
		 * kernel holds back until its request for the new size is answered. (It does not during a
		 * write(), and if a write() fails it forgets whole pages.) */
		if (!op->data)
			op_fail(op, EINTR);
		pagecache_wait_on(w, ask);
		return;
	}
	if (error == -EPIPE || error == -EAGAIN) {
		clear_go_on(op); /* try again: without the helper if it is gone, or when it has memory */
		return;
	}
	/* -ENOENT, -ENODEV: the kernel does not know the file, so it caches nothing of it. */
	if (error && error != -ENOENT && error != -ENODEV) {
		log_error(d->rec.name, "it has grown, but what was stored behind its old end may show: %s",
			  strerror(-error));
		op->tail.result = -EIO;
	}
	if (d->rec.size_bytes > page_end(op->tail.from))
		journal_publish32(&d->end_cached, 0); /* the end is in another page */
	journal_publish64(&d->tail_from, 0);
	op->tail.then(op, op->tail.result);
}

static void clear_go_on(struct op *op)
{
	uint8_t content[GVM_PAGE_BYTES];
	int r;

	tail_fill(op, content);
	r = pagecache_store(op->w, op->inode, op->tail.from, op->tail.to - op->tail.from, content,
			    &op->tail.ask);
	if (r < 0)
		clear_done(op->w, &op->tail.ask, r);
}

void tail_clear(struct op *op, int result, void (*then)(struct op *op, int result))
{
	struct journal_inode *d = op->inode->disk;

	/* Once the record has the new size it stays, whatever else has failed. */
	if (op->tail.from && d->rec.size_bytes > op->tail.from) {
		op->tail.ask.done = clear_done;
		op->tail.result = result;
		op->tail.then = then;
		clear_go_on(op);
		return;
	}
	journal_publish64(&d->tail_from, 0);
	then(op, result);
}

static void adopted(struct op *op, int result)
{
	op_end(op, true, result);
}

static void adopt_run(struct task *task)
{
	struct op *op = (struct op *)task;
	const struct journal_inode *d = op->inode->disk;

	op->tail.from = d->tail_from;
	op->tail.to = d->tail_to;
	tail_clear(op, 0, adopted);
}

void tail_adopt(struct worker *w, struct inode *inode)
{
	struct op *op = op_new(w, NULL, inode);

	if (!op)
		return;
	op->task.run = adopt_run;
	inode_acquire(inode, &op->task);
}

void tail_mask(const struct journal_inode *d, uint8_t *data, uint64_t off, size_t size)
{
	uint64_t from = d->tail_from > off ? d->tail_from : off;
	uint64_t to = least(d->tail_to, off + size);

	if (d->tail_from && from < to)
		memset(data + (from - off), 0, to - from);
}
