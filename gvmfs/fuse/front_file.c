// SPDX-License-Identifier: GPL-2.0-or-later
/* front_file.c - requests about open files and their data. */
#include "base/log.h"
#include "front.h"
#include "gvm_attach.h"
#include "node/names.h"
#include "node/owner.h"
#include "node/region.h"
#include "tail.h"
#include "unbacked.h"

#include <errno.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATS_XATTR "user.gvm.stats"
#define LOCAL_XATTR "user.gvm.local"
#define TEMPORARY_XATTR "user.gvm.temporary"
#define TAKE_XATTR "user.gvm.take"
#define STATS_BYTES 4096

/* Opening and closing: the first who opens for writing attaches the region, the last detaches. */

/* Nothing may be cached beside a writer on another host or the fast path. (A reader who asks for direct
 * I/O is not served past the page cache by us, who do not see dirty pages, but by the kernel.) */
static bool opens_direct(struct worker *w, const struct op *op)
{
	const struct inode *inode = op->inode;

	if (inode->resident || inode->attaching)
		return true;
	return worker_disk(w, inode)->rec.node_count && !region_is_attached(w, inode) &&
	       !(op->at_rest && pagecache_can_invalidate(w));
}

/* A reader of that kind beside a writer of this host, as gvm run holds its region, puts nothing into
 * the page cache: nobody whom the fast path has to mind. */
static bool reads_past_cache(const struct op *op)
{
	return (op->fi.flags & O_ACCMODE) == O_RDONLY && (op->fi.flags & O_DIRECT) &&
	       op->inode->opens_write;
}

/*
 * The page cache is dropped only if another host may have written since. Dropping it takes away a
 * page even from a direct read that the kernel has finished, but not yet marked dirty: the read
 * would be lost.
 */
static void open_reply(struct op *op)
{
	struct worker *w = op->w;
	struct journal_inode *d = worker_disk(w, op->inode);
	bool direct = opens_direct(w, op);
	int r;

	if (!op->req) { /* who asked has left: perhaps nobody has it open for writing now */
		front_settle(w, op->inode);
		op_end(op, true, 0);
		return;
	}
	r = handle_open(&w->inodes, op->inode->nr,
			front_handle_how(&op->fi, direct || reads_past_cache(op)), op->unique,
			&op->fi.fh);
	if (r < 0) {
		op_end(op, true, r);
		return;
	}
	op->fi.keep_cache = !d->cache_stale &&
			    (direct || region_is_attached(w, op->inode) || watch_trusts(op->inode));
	op->fi.direct_io = direct;
	/* Closing needs no request: a store is written back by munmap() or msync(), a write() is not
	 * cached, and nobody shall have to wait for us who closes a file that we sent him. */
	op->fi.noflush = 1;
	if (fuse_reply_open(op_take(op), &op->fi) == 0 && !direct)
		d->cache_stale = 0;
	if (!region_is_attached(w, op->inode))
		watch_begin(w, op->inode);
	op_end(op, true, 0);
}

static void open_cut(struct op *op, int result)
{
	struct worker *w = op->w;
	struct inode *inode = op->inode;

	if (!result) {
		open_reply(op);
		return;
	}
	op_end(op, true, result);
	front_settle(w, inode); /* it may have been attached for this */
}

/* The region is attached, if it has memory. O_TRUNC is ours to do. */
static void open_writer(struct op *op)
{
	if (!(op->fi.flags & O_TRUNC)) {
		open_reply(op);
		return;
	}
	times_content(op->w, op->inode);
	/* Memory must not vanish under a guest. */
	if (worker_disk(op->w, op->inode)->rec.size_bytes && op->inode->opens) {
		op_end(op, true, EBUSY);
		return;
	}
	op->size = 0;
	op->then = open_cut;
	front_resize(op);
}

static void open_looked(struct op *op, int result)
{
	(void)result;
	open_reply(op);
}

static void open_attached(struct worker *w, struct inode *inode, int result, void *arg)
{
	watch_go_on(w, inode);
	if (result < 0)
		op_end(arg, true, result);
	else
		open_writer(arg);
}

unsigned front_handle_how(const struct fuse_file_info *fi, bool direct)
{
	bool write = (fi->flags & O_ACCMODE) != O_RDONLY;

	/* A reader who asked for direct I/O leaves nothing in the page cache, whoever serves it. */
	return (write ? HANDLE_WRITE : 0) |
	       (direct || (!write && (fi->flags & O_DIRECT)) ? HANDLE_DIRECT : 0);
}

/* Whether there is a connection to each of its nodes: from here on they are just used. */
static bool nodes_are_found(struct worker *w, const struct record *rec)
{
	for (unsigned i = 0; i < rec->node_count; i++) {
		if (pool_node(&w->pool, &rec->nodes[i]))
			continue;
		log_error(rec->name, "its node %s has no such address, or is one too many",
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

/* No invalidation of what readers left may meet the pages of a guest. */
static void open_attach(struct op *op)
{
	op->task.run = open_attach_run;
	if (!watch_pause(op->inode, &op->task))
		open_attach_run(&op->task);
}

static void open_run(struct task *task)
{
	struct op *op = (struct op *)task;
	struct journal_inode *d = worker_disk(op->w, op->inode);
	bool write = (op->fi.flags & O_ACCMODE) != O_RDONLY;
	int allowed;

	if (op->abandoned) {
		op_end(op, true, 0);
		return;
	}
	allowed = attach_allows_open(op->inode, write, op->tid);
	if (allowed == -EAGAIN) {
		op->inode->parked = task;
		return;
	}
	/* Nobody is left who saw it fail, and nothing of that time. */
	if (d->failed && !d->epoch && !op->inode->slots && !op->inode->opens)
		d->failed = 0;
	if (d->rec.kind == RECORD_FOLDER)
		op_end(op, true, EISDIR);
	else if (d->rec.kind == RECORD_GONE)
		op_end(op, true, ENOENT); /* since the kernel looked it up */
	else if (d->failed && (d->epoch || op->inode->slots))
		op_end(op, true, EIO);
	else if (!nodes_are_found(op->w, &d->rec))
		op_end(op, true, EIO);
	else if (allowed < 0)
		op_end(op, true, -allowed);
	else if (write && d->rec.node_count && !d->epoch)
		open_attach(op);
	else if (write)
		open_writer(op);
	else if (d->rec.node_count && !d->epoch) {
		op->then = open_looked;
		front_rest_open(op);
	} else {
		open_reply(op);
	}
}

/* It waits for nobody, is counted nowhere, and changes nothing of what is cached. */
static void open_helper(fuse_req_t req, struct fuse_file_info *fi)
{
	fi->fh = ~0ull; /* no handle's name */
	fi->keep_cache = 1;
	fi->noflush = 1;
	fuse_reply_open(req, fi);
}

void front_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct inode *inode = front_inode(req, ino);
	struct op *op;

	if (inode && pagecache_is_helper(front_worker(req), fuse_req_ctx(req)->pid)) {
		open_helper(req, fi);
		return;
	}
	op = inode ? op_new(front_worker(req), req, inode) : NULL;
	if (!op)
		return;
	op->fi = *fi;
	op->tid = fuse_req_ctx(req)->pid;
	op->task.run = open_run;
	inode_acquire(inode, &op->task);
}

static void settle_gone(struct worker *w, int result, void *arg)
{
	(void)w;
	(void)result; /* the orphan's record stays then, and the next mount looks after it */
	op_end(arg, true, 0);
}

static void settle_deleted(struct worker *w, struct inode *inode, int result, void *arg)
{
	(void)result;
	worker_disk(w, inode)->rec.kind = RECORD_GONE;
	names_save(w, inode, settle_gone, arg);
}

static void settle_detached(struct worker *w, struct inode *inode, int result, void *arg)
{
	struct journal_inode *d = worker_disk(w, inode);

	(void)result;
	times_closed(w, inode);
	/* Another host may write from now on; readers of ours are still there. */
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

static void settle_sent(struct worker *w, struct writeback_sync *sync, int error)
{
	struct op *op = (struct op *)((char *)sync - offsetof(struct op, sync));

	(void)error; /* a failed region is given up all the same */
	if (op->inode->opens_write)
		op_end(op, true, 0); /* opened again meanwhile */
	else if (region_is_attached(w, op->inode))
		watch_leave(w, op->inode, settle_left, op);
	else
		settle_detached(w, op->inode, 0, op);
}

static void settle_run(struct task *task)
{
	struct op *op = (struct op *)task;
	struct worker *w = op->w;
	struct journal_inode *d = worker_disk(w, op->inode);
	bool doomed;

	/* Made for those who had it open here: its name goes with the last of them. On another host it may have
	 * been read; its guest is not there. */
	if (d->use == INODE_USED && d->rec.temporary && owner_is_self(&d->rec.owner, &w->self) &&
	    !op->inode->opens && !op->inode->resident && !op->inode->attaching) {
		d->rec.orphan = 1;
		journal_publish32(&d->use, INODE_UNLINKED);
	}
	doomed = d->use == INODE_UNLINKED && !op->inode->opens && d->rec.kind != RECORD_GONE;

	/* What the fast path has, or is about to have, is sent first: it comes back here then. */
	if (op->inode->resident || op->inode->attaching || op->inode->opens_write ||
	    (!doomed && !region_is_attached(w, op->inode))) {
		op_end(op, true, 0);
		return;
	}
	if (doomed)
		writeback_drop(w, op->inode, 0);
	op->sync.done = settle_sent;
	writeback_sync(w, &op->sync, op->inode);
}

void front_settle(struct worker *w, struct inode *inode)
{
	struct op *op = op_new(w, NULL, inode);

	if (!op)
		return;
	op->task.run = settle_run;
	inode_acquire(inode, &op->task);
}

void front_fast_path_ended(struct worker *w, struct inode *inode)
{
	struct task *parked = inode->parked;

	inode->parked = NULL;
	/* What the client had kept open was perhaps closed long ago. (What is parked goes first: it
	 * has the inode.) */
	front_settle(w, inode);
	if (parked)
		parked->run(parked);
}

void front_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct worker *w = front_worker(req);
	struct inode *inode;
	unsigned how = handle_how(&w->inodes, fi->fh);
	bool write;
	int nr = handle_close(&w->inodes, fi->fh, &write);

	(void)ino;
	fuse_reply_err(req, 0);
	if (nr < 0)
		return; /* a predecessor closed it, and was killed before it said so */
	inode = inode_get(&w->inodes, (unsigned)nr);
	if (!(how & (HANDLE_WRITE | HANDLE_DIRECT)) && inode->opens_cached == inode->opens_dirtying)
		pagecache_closed(w, inode);
	/* Another host may write from now on, and nobody watches. */
	if (!inode->opens && !region_is_attached(w, inode)) {
		watch_end(w, inode);
		journal_publish32(&worker_disk(w, inode)->cache_stale, 1);
	}
	if (!inode->opens) {
		unbacked_closed(inode);
		pager_forget(w, inode); /* before it can go */
	}
	if (!inode->opens_write)
		front_settle(w, inode);
	inode_reap(&w->inodes, (unsigned)nr);
}

/* Data */

/* A read past the page cache that waits for dirty pages to be written. */
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
	pager_read(w, d->req, d->inode, d->off, d->size, 0);
	free(d);
}

/* One that was opened beside another host's writer, or the fast path, may be read when a program of this
 * host stores to the file through a mapping. True: it is on its way. */
static bool direct_sync(struct worker *w, fuse_req_t req, struct inode *inode, uint64_t off, size_t size)
{
	struct direct_read *d;

	if (!inode->opens_dirtying || inode->resident || !region_is_attached(w, inode))
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

/* Whether the page cache asks, for a mapping, splice() or sendfile(), however the file was opened: the kernel
 * names an owner of locks for a program's own read only. */
static bool read_fills(const struct fuse_file_info *fi)
{
	return !fi->lock_owner;
}

/*
 * What the fast path changes does not change in the page cache. A file that was opened before with O_DIRECT can be
 * mapped, shared, all the same (one that is opened now cannot): such a mapping ends with SIGBUS. Those who copy by
 * splice() and the like go on with read() after this error.
 */
static void fill_refuse(struct worker *w, fuse_req_t req, struct inode *inode)
{
	if (!inode->fill_refused)
		log_warning(worker_disk(w, inode)->rec.name, "a program maps the file, which it opened for direct "
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
		fill_refuse(w, req, inode);
		return;
	}
	how = handle_how(&w->inodes, fi->fh);
	if (!(how & HANDLE_DIRECT))
		tail_read(worker_disk(w, inode), (uint64_t)off + size);
	if (!fills && how & HANDLE_DIRECT && direct_sync(w, req, inode, (uint64_t)off, size))
		return;
	pager_read(w, req, inode, (uint64_t)off, size,
		   (fills ? READ_FILLS : 0) |
			   (how & (HANDLE_WRITE | HANDLE_DIRECT) && !(fills && inode->resident) ? 0 : READ_FOREIGN));
}

/* A write past the end makes the region larger first. */
static void write_resized(struct op *op, int result)
{
	struct worker *w = op->w;
	uint8_t *other = w->request;

	if (result < 0 || !op->req) {
		op_end(op, true, result);
		return;
	}
	/* The write may keep the buffer that it stands in, as if it had just been read. (While the op waited
	 * for its turn another made the region larger, and the fast path may have taken it over.) */
	w->request = op->kept;
	if (op->inode->resident)
		front_fast_write(op_take(op), op->inode, op->data, op->off, op->bytes);
	else
		writeback_write(w, op_take(op), op->inode, op->data, op->off, op->bytes);
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
	if (op->size < worker_disk(op->w, op->inode)->rec.size_bytes)
		op->size = worker_disk(op->w, op->inode)->rec.size_bytes;
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
	d = worker_disk(w, inode);
	times_content(w, inode);
	if (fi->writepage) /* in the worker's own buffer */
		tail_mask(d, (uint8_t *)(uintptr_t)buf, (uint64_t)off, size);
	if (end <= d->rec.size_bytes && (fi->writepage || !tail_is_before(d, end))) {
		if (inode->resident)
			front_fast_write(req, inode, buf, (uint64_t)off, size);
		else
			writeback_write(w, req, inode, buf, (uint64_t)off, size);
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

static void synced(struct worker *w, struct writeback_sync *sync, int error)
{
	(void)w;
	sync->inode->held_at_ns = 0; /* they hold more now */
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
	if (inode->resident && !worker_disk(w, inode)->failed) {
		front_fast_sync(op);
		return;
	}
	if (worker_disk(w, inode)->failed || !inode->slots) {
		op_end(op, false, worker_disk(w, inode)->failed ? EIO : 0);
		return;
	}
	op->sync.done = synced;
	op->sync.deadline_ns = pool_deadline(w->opts);
	writeback_sync(w, &op->sync, inode);
}

static void grown(struct op *op, int result)
{
	op_end(op, true, result);
}

static void grow_run(struct task *task)
{
	struct op *op = (struct op *)task;

	if (op->abandoned || op->size <= worker_disk(op->w, op->inode)->rec.size_bytes) {
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
	size = worker_disk(w, inode)->rec.size_bytes;
	/* Zeros past the end would make the file larger: nobody needs it. */
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
		writeback_zero(w, inode, begin, (end < size ? end : size) - begin, finished, op);
	} else if (!zero && !(mode & FALLOC_FL_KEEP_SIZE) && end > size) {
		op->task.run = grow_run;
		inode_acquire(inode, &op->task);
	} else {
		op_end(op, false, 0); /* space within the size is reserved already */
	}
}

/* Statistics */

static size_t print_state(struct worker *w, struct inode *inode, char *buf, size_t size)
{
	struct journal_inode *d = worker_disk(w, inode);
	const struct resident *r = inode->resident;
	unsigned up = 0;

	for (unsigned i = 0; i < w->pool.count; i++)
		up += gvm_conn_state(w->pool.conns[i]) == GVM_CONN_UP;
	if (inode->nr == 0)
		return (size_t)snprintf(buf, size,
					"staged_chunks %u\nrestarts %u\nworker_pid %d\nnodes %u\n"
					"nodes_up %u\n",
					JOURNAL_SLOTS - w->writeback.free, w->journal.super->starts - 1,
					(int)getpid(), w->pool.count, up);
	return (size_t)snprintf(buf, size,
				"staged_chunks %u\nsize_bytes %llu\nattached_epoch %llu\n"
				"region_nodes %u\nfailed %d\nfast %d\nlocal_bytes %llu\n"
				"resident_bytes %llu\nresident_peak_bytes %llu\n",
				inode->slots, (unsigned long long)d->rec.size_bytes,
				(unsigned long long)d->epoch, d->rec.node_count, d->failed != 0,
				r != NULL, GVM_PAGE_BYTES * (unsigned long long)(r ? r->local : 0),
				GVM_PAGE_BYTES * (unsigned long long)(r ? r->here : 0),
				GVM_PAGE_BYTES * (unsigned long long)d->resident_peak);
}

static size_t print_stats(struct worker *w, struct inode *inode, char *text)
{
	const struct stats *stats = inode->nr ? inode->stats : &w->journal.super->stats;
	size_t n = stats_print(stats, text, STATS_BYTES);

	return n + print_state(w, inode, text + n, STATS_BYTES - n);
}

/* An attribute's text, or a negative errno. */
static int xattr_text(struct worker *w, struct inode *inode, const char *name, char *text)
{
	const struct journal_inode *d = worker_disk(w, inode);

	if (strcmp(name, STATS_XATTR) == 0)
		return (int)print_stats(w, inode, text);
	if (d->rec.kind != RECORD_REGION)
		return -ENODATA;
	if (strcmp(name, GVM_ATTACH_XATTR) == 0 && *w->journal.super->attach_path)
		return snprintf(text, STATS_BYTES, "%s", w->journal.super->attach_path);
	if (strcmp(name, LOCAL_XATTR) == 0 && d->local_bytes)
		return snprintf(text, STATS_BYTES, "%llu", (unsigned long long)d->local_bytes);
	if (strcmp(name, TEMPORARY_XATTR) == 0 && d->rec.temporary)
		return snprintf(text, STATS_BYTES, "1");
	return -ENODATA;
}

void front_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct worker *w = front_worker(req);
	struct inode *inode = front_inode(req, ino);
	char text[STATS_BYTES];
	int n;

	if (!inode)
		return;
	n = xattr_text(w, inode, name, text);
	/* Counters grow between asking for the size and asking for the text: have room for it. */
	if (n < 0)
		fuse_reply_err(req, -n);
	else if (!size)
		fuse_reply_xattr(req, STATS_BYTES);
	else if (size < (size_t)n)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, text, (size_t)n);
}

/* 0: no limit. The attribute then shows the budget that holds, not a smaller one that was asked for. */
static void local_set(fuse_req_t req, fuse_ino_t ino, uint64_t bytes)
{
	const uint64_t least = (uint64_t)RESIDENT_LOCAL_MIN * GVM_PAGE_BYTES;
	struct worker *w = front_worker(req);
	struct inode *inode = front_inode(req, ino);

	if (!inode)
		return;
	if (bytes && bytes < least)
		bytes = least;
	journal_publish64(&worker_disk(w, inode)->local_bytes, bytes);
	if (inode->resident) {
		resident_budget(inode->resident, worker_disk(w, inode)->local_bytes);
		resident_turn(inode->resident);
	}
	fuse_reply_err(req, 0);
}

/* Whether a region goes when nobody has it open: see RECORDS.md. */

static void temporary_saved(struct worker *w, int result, void *arg)
{
	struct op *op = arg;
	struct record *rec = &worker_disk(w, op->inode)->rec;

	if (result < 0)
		rec->temporary = !op->to_set;
	op_end(op, true, result);
}

static void temporary_run(struct task *task)
{
	struct op *op = (struct op *)task;
	struct journal_inode *d = worker_disk(op->w, op->inode);

	if (d->use != INODE_USED || d->rec.kind != RECORD_REGION || !op->inode->opens) {
		op_end(op, true, d->use != INODE_USED ? ENOENT : EINVAL);
		return;
	}
	if (d->rec.temporary == op->to_set) {
		op_end(op, true, op->to_set ? 0 : ENODATA);
		return;
	}
	d->rec.temporary = (uint8_t)op->to_set;
	d->rec.owner = op->to_set ? op->w->self : (struct record_owner){ .pid = 0 };
	names_save(op->w, op->inode, temporary_saved, op);
}

static void temporary_set(fuse_req_t req, fuse_ino_t ino, bool temporary)
{
	struct inode *inode = front_inode(req, ino);
	struct op *op = inode ? op_new(front_worker(req), req, inode) : NULL;

	if (!op)
		return;
	op->to_set = temporary;
	op->task.run = temporary_run;
	inode_acquire(inode, &op->task);
}

static void taken(struct worker *w, struct inode *inode, int result, void *arg)
{
	(void)w;
	(void)inode;
	op_end(arg, true, result);
}

static void take_run(struct task *task)
{
	struct op *op = (struct op *)task;
	struct journal_inode *d = worker_disk(op->w, op->inode);

	if (d->use != INODE_USED || d->rec.kind != RECORD_REGION)
		op_end(op, true, d->use != INODE_USED ? ENOENT : EINVAL);
	else if (d->epoch || !d->rec.node_count) /* ours, or nobody's */
		op_end(op, true, d->epoch ? EBUSY : 0);
	else
		region_take(op->w, op->inode, taken, op);
}

static void take(fuse_req_t req, fuse_ino_t ino)
{
	struct inode *inode = front_inode(req, ino);
	struct op *op = inode ? op_new(front_worker(req), req, inode) : NULL;

	if (!op)
		return;
	op->task.run = take_run;
	inode_acquire(inode, &op->task);
}

/* What can be set: that a region is taken from its writer (1), the budget of the fast path (bytes, as decimal digits), and that a region is
 * temporary (1). */
void front_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
		    size_t size, int flags)
{
	char text[24], *end;
	unsigned long long bytes;

	(void)flags;
	if (strcmp(name, TEMPORARY_XATTR) == 0) {
		if (size == 1 && *value == '1')
			temporary_set(req, ino, true);
		else
			fuse_reply_err(req, EINVAL);
		return;
	}
	if (strcmp(name, TAKE_XATTR) == 0) {
		if (size == 1 && *value == '1')
			take(req, ino);
		else
			fuse_reply_err(req, EINVAL);
		return;
	}
	if (strcmp(name, LOCAL_XATTR) != 0) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	if (!size || size >= sizeof(text)) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	memcpy(text, value, size);
	text[size] = 0;
	errno = 0;
	bytes = strtoull(text, &end, 10);
	if (*end || *text < '0' || *text > '9' || errno || !bytes)
		fuse_reply_err(req, EINVAL);
	else
		local_set(req, ino, bytes);
}

void front_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	if (strcmp(name, TEMPORARY_XATTR) == 0)
		temporary_set(req, ino, false);
	else if (strcmp(name, LOCAL_XATTR) != 0)
		fuse_reply_err(req, ENODATA);
	else
		local_set(req, ino, 0);
}

/* The statistics are not listed: they are no property that a copy of the file should have. */
void front_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	if (!front_inode(req, ino))
		return;
	if (size)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_xattr(req, 0);
}
