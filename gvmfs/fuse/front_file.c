// SPDX-License-Identifier: GPL-2.0-or-later
/* front_file.c - requests about the data of open files, but WRITE. */
#include "base/log.h"
#include "front.h"
#include "front_io.h"
#include "node/pool.h"
#include "node/region.h"
#include "node/times.h"
#include "resize.h"
#include "store/pagecache.h"
#include "store/store.h"
#include "tail.h"
#include "uffd/resident.h"
#include "view.h"

#include <errno.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

/* A read past the page cache that waits until the kernel has written its dirty pages back. */
struct direct_read {
	struct pagecache_ask ask; /* first */
	fuse_req_t req;
	struct inode *inode;
	struct io_read what;
};

static void direct_synced(struct worker *w, struct pagecache_ask *ask, int error)
{
	struct direct_read *d = (struct direct_read *)ask;

	if (error)
		log_debug(NULL, "a direct read shows what was written before: %s", strerror(-error));
	front_io_read(w, d->req, d->inode, &d->what);
	free(d);
}

/* A file that was opened for direct reads, beside another host's writer or the fast path, may be read
 * while a program of this host stores to it through a mapping. True: the write-back is in flight, and
 * its end answers the read. */
static bool direct_sync(struct worker *w, fuse_req_t req, struct inode *inode,
			const struct io_read *what)
{
	struct direct_read *d;

	if (!inode->opens_dirtying || inode->resident || !region_is_attached(inode))
		return false;
	d = malloc(sizeof(*d));
	if (!d)
		return false;
	*d = (struct direct_read){ .ask.done = direct_synced, .req = req, .inode = inode, .what = *what };
	d->what.how = READ_DIRECT | (what->how & READ_VIEW);
	if (pagecache_sync(w, inode, what->off, what->size, &d->ask) == 0)
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
		log_warning(inode->disk->rec.name, "a program that opened it with O_DIRECT maps it "
			    "while the fast path changes it: refused; read it instead");
	inode->fill_refused = true;
	fuse_reply_err(req, EOPNOTSUPP);
}

static void read_begin(struct worker *w, fuse_req_t req, struct inode *inode,
		       const struct io_read *what)
{
	if (what->size && inode->resident && resident_is_changing(inode->resident, what->off, what->size))
		front_fast_read(req, inode, what);
	else
		front_io_read(w, req, inode, what);
}

/* The pages that a mapping of the view gets are the view's in the page cache, not the region's. */
static void view_read(struct worker *w, fuse_req_t req, struct inode *inode, enum core_view view,
		      size_t size, uint64_t off, bool direct)
{
	struct core_part part = view_part(inode, view);
	struct io_read what = { .how = READ_VIEW | (direct ? READ_DIRECT : 0) };

	if (off < part.head) {
		what.head_bytes = size < part.head - off ? size : part.head - off;
		what.head = view_head(w, inode, off, what.head_bytes);
		if (!what.head) {
			fuse_reply_err(req, ENOMEM);
			return;
		}
	}
	off += what.head_bytes;
	size -= what.head_bytes;
	off -= part.head < off ? part.head : off;
	if (off < part.bytes)
		what.size = size < part.bytes - off ? size : part.bytes - off;
	what.off = part.off + off;
	if (!what.size || !direct_sync(w, req, inode, &what))
		read_begin(w, req, inode, &what);
}

void front_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct worker *w = front_worker(req);
	struct inode *inode = front_content(req, view_region(ino));
	struct io_read what = { .off = (uint64_t)off, .size = size };
	bool fills = read_fills(fi);
	unsigned how;

	if (!inode)
		return;
	if (view_of(ino)) {
		view_read(w, req, inode, view_of(ino), size, (uint64_t)off, fi->flags & O_DIRECT);
		return;
	}
	inode->fills_seen += fills;
	if (fills && inode->resident && fi->flags & O_DIRECT) {
		fill_refuse(req, inode);
		return;
	}
	how = handle_how(w->inodes, fi->fh);
	if (!(how & HANDLE_DIRECT))
		tail_read(inode->disk, (uint64_t)off + size);
	if (!fills && how & HANDLE_DIRECT && direct_sync(w, req, inode, &what))
		return;
	what.how = (fills ? READ_FILLS : fi->flags & O_DIRECT ? READ_DIRECT : 0) |
		   (how & (HANDLE_WRITE | HANDLE_DIRECT) && !(fills && inode->resident) ? 0 : READ_FOREIGN);
	read_begin(w, req, inode, &what);
}

struct file_sync {
	struct op op; /* first */
	struct store_sync sync;
};

static void synced(struct store *s, struct store_sync *sync, int error)
{
	(void)s;
	sync->inode->held_at_ns = 0; /* they hold more now */
	op_end(&((struct file_sync *)((char *)sync - offsetof(struct file_sync, sync)))->op, false, error);
}

static void finished(struct worker *w, void *arg, int error)
{
	(void)w;
	op_end(arg, false, error);
}

void front_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct worker *w = front_worker(req);
	struct inode *inode;
	struct file_sync *f;

	(void)datasync;
	(void)fi;
	if (view_of(ino)) {
		fuse_reply_err(req, 0); /* it has nothing of its own */
		return;
	}
	inode = front_content(req, ino);
	if (!inode)
		return;
	if (inode->resident && !inode->disk->failed) {
		front_fast_sync(req, inode);
		return;
	}
	if (inode->disk->failed || !inode->wbufs) {
		fuse_reply_err(req, inode->disk->failed ? EIO : 0);
		return;
	}
	f = op_new_sized(w, req, inode, sizeof(*f));
	if (!f)
		return;
	f->sync.done = synced;
	f->sync.deadline_ns = pool_deadline(w->opts);
	store_sync(w->store, &f->sync, inode);
	store_turn(w->store);
}

static void grown(struct resize *rs, int result)
{
	op_end(&rs->op, true, result);
}

/* Also where a predecessor has made it larger: a caller that is answered sees the new size. */
static void grow_run(struct task *task)
{
	struct resize *rs = (struct resize *)task;

	if (rs->op.abandoned || rs->size <= rs->op.inode->disk->rec.size_bytes) {
		op_end(&rs->op, true, 0);
		return;
	}
	rs->then = grown;
	front_resize(rs);
}

static void file_grow(struct worker *w, fuse_req_t req, struct inode *inode, uint64_t size)
{
	struct resize *rs = op_new_sized(w, req, inode, sizeof(*rs));

	if (!rs)
		return;
	rs->size = size;
	rs->op.task.run = grow_run;
	inode_acquire(inode, &rs->op.task);
}

static void file_zero(struct worker *w, fuse_req_t req, struct inode *inode, uint64_t off, uint64_t bytes)
{
	struct op *op;

	times_content(w, inode);
	if (inode->resident) {
		front_fast_zero(req, inode, off, bytes);
		return;
	}
	op = op_new(w, req, inode);
	if (op)
		front_io_zero(w, inode, off, bytes, finished, op);
}

void front_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t length,
		     struct fuse_file_info *fi)
{
	struct worker *w = front_worker(req);
	struct inode *inode = front_content(req, ino);
	uint64_t begin = (uint64_t)off, end = begin + (uint64_t)length, size;
	bool zero = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);

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
	if (zero && begin < size)
		file_zero(w, req, inode, begin, (end < size ? end : size) - begin);
	else if (!zero && !(mode & FALLOC_FL_KEEP_SIZE) && (end > size || tail_is_before(inode->disk, end)))
		file_grow(w, req, inode, end);
	else
		fuse_reply_err(req, 0); /* space within the size is reserved already */
}
