// SPDX-License-Identifier: GPL-2.0-or-later
/* front_file.c - requests about the data of open files. */
#include "base/log.h"
#include "front.h"
#include "front_io.h"
#include "node/pool.h"
#include "node/region.h"
#include "node/times.h"
#include "store/pagecache.h"
#include "store/store.h"
#include "tail.h"

#include <errno.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

/* A read past the page cache that waits until the kernel has written its dirty pages back. */
struct direct_read {
	struct pagecache_ask ask; /* first */
	fuse_req_t req;
	struct inode *inode;
	uint64_t off;
	size_t size;
};

static void direct_synced(struct worker *w, struct pagecache_ask *ask, int error)
{
	struct direct_read *d = (struct direct_read *)ask;

	if (error)
		log_debug(NULL, "a direct read shows what was written before: %s", strerror(-error));
	front_io_read(w, d->req, d->inode, d->off, d->size, 0);
	free(d);
}

/* A file that was opened for direct reads, beside another host's writer or the fast path, may be read
 * while a program of this host stores to it through a mapping. True: the write-back is in flight, and
 * its end answers the read. */
static bool direct_sync(struct worker *w, fuse_req_t req, struct inode *inode, uint64_t off, size_t size)
{
	struct direct_read *d;

	if (!inode->opens_dirtying || inode->resident || !region_is_attached(inode))
		return false;
	d = malloc(sizeof(*d));
	if (!d)
		return false;
	*d = (struct direct_read){ .ask.done = direct_synced, .req = req, .inode = inode,
				   .off = off, .size = size };
	if (pagecache_sync(w, inode, off, size, &d->ask) == 0)
		return true;
	free(d);
	return false;
}

/* Whether the READ is for a mapping, splice() or sendfile(), however the file was opened: only for a
 * program's own read does the kernel name an owner of locks. */
static bool read_fills(const struct fuse_file_info *fi)
{
	return !fi->lock_owner;
}

/*
 * The page cache does not see what the fast path changes. A file that was opened with O_DIRECT before
 * the fast path began can still be mapped shared (one that is opened now cannot): such a mapping gets
 * SIGBUS. After this error a program that copies with splice() and the like falls back to read().
 */
static void fill_refuse(fuse_req_t req, struct inode *inode)
{
	if (!inode->fill_refused)
		log_warning(inode->disk->rec.name, "a program maps the file, which it opened for direct "
			    "reads, while the fast path changes it: refused");
	inode->fill_refused = true;
	fuse_reply_err(req, EOPNOTSUPP);
}

void front_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct worker *w = front_worker(req);
	struct inode *inode = front_content(req, ino);
	bool fills = read_fills(fi);
	unsigned how;

	if (!inode)
		return;
	inode->fills_seen += fills;
	if (fills && inode->resident && fi->flags & O_DIRECT) {
		fill_refuse(req, inode);
		return;
	}
	how = handle_how(w->inodes, fi->fh);
	if (!(how & HANDLE_DIRECT))
		tail_read(inode->disk, (uint64_t)off + size);
	if (!fills && how & HANDLE_DIRECT && direct_sync(w, req, inode, (uint64_t)off, size))
		return;
	front_io_read(w, req, inode, (uint64_t)off, size,
		      (fills ? READ_FILLS : 0) |
			      (how & (HANDLE_WRITE | HANDLE_DIRECT) && !(fills && inode->resident) ?
				       0 :
				       READ_FOREIGN));
}

/* A write past the end first makes the region larger. */
static void write_resized(struct op *op, int result)
{
	struct worker *w = op->w;
	uint8_t *other = w->request;

	if (result < 0 || !op->req) {
		op_end(op, true, result);
		return;
	}
	/* The write may keep the buffer that its data are in, as if it had just been read. (While the op
	 * waited for its turn, another may have made the region larger, and the fast path may have taken it
	 * over.) */
	w->request = op->kept;
	if (op->inode->resident)
		front_fast_write(op_take(op), op->inode, op->data, op->off, op->bytes);
	else
		front_io_write(w, op_take(op), op->inode, op->data, op->off, op->bytes);
	op->kept = w->request;
	w->request = other;
	op_end(op, true, 0);
}

static void write_resize(struct task *task)
{
	struct op *op = (struct op *)task;

	if (op->abandoned) {
		op_end(op, true, 0);
		return;
	}
	op->size = op->off + op->bytes;
	if (op->size < op->inode->disk->rec.size_bytes)
		op->size = op->inode->disk->rec.size_bytes;
	op->then = write_resized;
	front_resize(op);
}

void front_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
		 struct fuse_file_info *fi)
{
	struct worker *w = front_worker(req);
	struct inode *inode = front_content(req, ino);
	uint64_t end = (uint64_t)off + size;
	struct journal_inode *d;
	struct op *op;

	if (!inode)
		return;
	if (!size) {
		fuse_reply_write(req, 0);
		return;
	}
	d = inode->disk;
	times_content(w, inode);
	if (fi->writepage) /* the data are in the worker's request buffer */
		tail_mask(d, (uint8_t *)(uintptr_t)buf, (uint64_t)off, size);
	if (end <= d->rec.size_bytes && (fi->writepage || !tail_is_before(d, end))) {
		if (inode->resident)
			front_fast_write(req, inode, buf, (uint64_t)off, size);
		else
			front_io_write(w, req, inode, buf, (uint64_t)off, size);
		return;
	}
	op = op_new(w, req, inode);
	if (!op)
		return;
	op->data = buf;
	op->bytes = size;
	op->off = (uint64_t)off;
	op->kept = w->request;
	w->request = NULL;
	op->task.run = write_resize;
	inode_acquire(inode, &op->task);
}

static void synced(struct store *s, struct store_sync *sync, int error)
{
	(void)s;
	sync->inode->held_at_ns = 0; /* the nodes hold more now: ask them anew */
	op_end((struct op *)((char *)sync - offsetof(struct op, sync)), false, error);
}

static void finished(struct worker *w, void *arg, int error)
{
	(void)w;
	op_end(arg, false, error);
}

void front_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct worker *w = front_worker(req);
	struct inode *inode = front_content(req, ino);
	struct op *op = inode ? op_new(w, req, inode) : NULL;

	(void)datasync;
	(void)fi;
	if (!op)
		return;
	if (inode->resident && !inode->disk->failed) {
		front_fast_sync(op);
		return;
	}
	if (inode->disk->failed || !inode->slots) {
		op_end(op, false, inode->disk->failed ? EIO : 0);
		return;
	}
	op->sync.done = synced;
	op->sync.deadline_ns = pool_deadline(w->opts);
	store_sync(w->store, &op->sync, inode);
	store_turn(w->store);
}

static void grown(struct op *op, int result)
{
	op_end(op, true, result);
}

static void grow_run(struct task *task)
{
	struct op *op = (struct op *)task;

	if (op->abandoned || op->size <= op->inode->disk->rec.size_bytes) {
		op_end(op, true, 0);
		return;
	}
	op->then = grown;
	front_resize(op);
}

void front_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t length,
		     struct fuse_file_info *fi)
{
	struct worker *w = front_worker(req);
	struct inode *inode = front_content(req, ino);
	uint64_t begin = (uint64_t)off, end = begin + (uint64_t)length, size;
	bool zero = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);
	struct op *op;

	(void)fi;
	if (!inode)
		return;
	size = inode->disk->rec.size_bytes;
	/* Zeros past the end would make the file larger, which no caller needs. */
	if (mode & ~(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE) ||
	    (zero && !(mode & FALLOC_FL_KEEP_SIZE) && end > size)) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	op = op_new(w, req, inode);
	if (!op)
		return;
	op->size = end;
	if (zero && begin < size)
		times_content(w, inode);
	if (zero && begin < size && inode->resident) {
		front_fast_zero(op, begin, (end < size ? end : size) - begin);
	} else if (zero && begin < size) {
		front_io_zero(w, inode, begin, (end < size ? end : size) - begin, finished, op);
	} else if (!zero && !(mode & FALLOC_FL_KEEP_SIZE) &&
		   (end > size || tail_is_before(inode->disk, end))) {
		/* Also if a predecessor has made the file larger already: whoever gets the answer
		 * must see the new size. */
		op->task.run = grow_run;
		inode_acquire(inode, &op->task);
	} else {
		op_end(op, false, 0); /* the nodes have reserved the space of the whole size */
	}
}
