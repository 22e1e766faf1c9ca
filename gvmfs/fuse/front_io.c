// SPDX-License-Identifier: GPL-2.0-or-later
/* front_io.c - see front_io.h. */
#include "front_io.h"

#include "direct.h"
#include "interrupt.h"
#include "node/region_node.h"
#include "read.h"
#include "state/worker_state.h"
#include "store/pagecache.h"
#include "store/watch.h"
#include "write.h"

#include <errno.h>
#include <stdlib.h>

/* ---- READ */

struct file_read {
	struct store_read r; /* first */
	struct worker *w;
	fuse_req_t req;
	struct io_read what;
	uint64_t came_ns; /* when it was found that the answer has to wait; 0: it had not */
	uint32_t trust; /* from watch_read_begin(), when the READ came */
	struct interrupt interrupt;
	struct direct_share share;
	bool submitting; /* the submitting function looks for its end */
	bool ended;
};

/* The answer: the head, and what is left of the content: the region may have been made smaller since the READ came. */
static int read_limit(const struct inode *inode, const struct file_read *f, const struct iovec *iov, int count,
		      struct iovec left[READ_IOV_MAX + 1])
{
	const struct store_read *r = &f->r;
	uint64_t size = inode->disk->rec.size_bytes, bytes = size > r->off ? size - r->off : 0;
	int n = 0;

	if (f->what.head)
		left[n++] = (struct iovec){ f->what.head, f->what.head_bytes };
	for (int i = 0; i < count && bytes; i++, n++) {
		left[n] = iov[i];
		if (left[n].iov_len > bytes)
			left[n].iov_len = bytes;
		bytes -= left[n].iov_len;
	}
	return n;
}

static void read_free(struct file_read *f)
{
	free(f->what.head);
	free(f);
}

static void read_done(struct store *s, struct store_read *r, const struct iovec *iov, int count, int error)
{
	struct file_read *f = (struct file_read *)r;
	struct inode *inode = r->wait.inode;
	struct worker *w = s->owner;
	struct iovec left[READ_IOV_MAX + 1];

	interrupt_disarm(&f->interrupt);
	direct_end(w->direct, &f->share, gvm_now_ns());
	if (f->what.how & READ_FILLS)
		inode->fills--;
	if (error) {
		fuse_reply_err(f->req, -error);
	} else {
		if (!watch_read(w, inode, r->off, r->size, f->trust) && f->what.how & READ_FOREIGN)
			pagecache_note(w, inode, r->off, r->size);
		count = read_limit(inode, f, iov, count, left);
		fuse_reply_iov(f->req, left, count);
	}
	f->ended = true;
	if (f->submitting)
		return;
	if (!error)
		worker_took(w, inode, LATENCY_READ, f->came_ns);
	read_free(f);
}

/* The caller is being killed: a node that does not answer must not keep a dead process. */
static void read_interrupted(struct interrupt *interrupt)
{
	struct file_read *f = (struct file_read *)((char *)interrupt - offsetof(struct file_read, interrupt));
	struct store *s = f->w->store;

	store_cancel(s, &f->r.wait);
	store_turn(s);
}

void front_io_read(struct worker *w, fuse_req_t req, struct inode *inode, const struct io_read *what)
{
	const struct journal_inode *d = inode->disk;
	uint32_t trust = watch_read_begin(w, inode);
	pid_t tid = fuse_req_ctx(req)->pid;
	uint64_t size = what->size, off = what->off;
	unsigned how = what->how;
	struct file_read *f;

	if (d->failed) {
		worker_count(w, inode, io_errors, 1);
		fuse_reply_err(req, EIO);
		free(what->head);
		return;
	}
	if (off >= d->rec.size_bytes || !size) {
		fuse_reply_buf(req, (const char *)what->head, what->head_bytes);
		free(what->head);
		return;
	}
	if (size > d->rec.size_bytes - off)
		size = d->rec.size_bytes - off;
	f = calloc(1, sizeof(*f));
	if (!f || (how & READ_DIRECT &&
		   !direct_begin(w->direct, &f->share, region_node(w, inode, off / GVM_CHUNK_BYTES), 0, gvm_now_ns()))) {
		free(f);
		free(what->head);
		fuse_reply_err(req, ENOMEM);
		return;
	}
	f->r.done = read_done;
	f->r.view = how & READ_VIEW;
	f->w = w;
	f->req = req;
	f->what = *what;
	f->trust = trust;
	if (how & READ_FILLS)
		inode->fills++;
	f->submitting = true;
	store_read(w->store, &f->r, inode, off, (uint32_t)size);
	store_turn(w->store);
	f->submitting = false;
	f->came_ns = f->ended ? 0 : gvm_now_ns();
	if (f->ended)
		read_free(f);
	else
		interrupt_arm(&f->interrupt, w, req, false, read_interrupted);
	if (how & READ_FILLS)
		pagecache_around(w, inode, tid);
}

/* ---- zeros */

struct file_zero {
	struct store_write wr; /* first */
	void (*done)(struct worker *w, void *arg, int error);
	void *arg;
};

static void zero_done(struct store *s, struct store_write *wr, int error)
{
	struct file_zero *f = (struct file_zero *)wr;

	f->done(s->owner, f->arg, error);
	free(f);
}

static void zero(struct worker *w, struct inode *inode, uint64_t off, uint64_t size, bool of_cut,
		 void (*done)(struct worker *w, void *arg, int error), void *arg)
{
	struct file_zero *f = calloc(1, sizeof(*f));

	if (!f) {
		done(w, arg, -ENOMEM);
		return;
	}
	f->wr.done = zero_done;
	f->wr.of_cut = of_cut;
	f->done = done;
	f->arg = arg;
	store_write(w->store, &f->wr, inode, NULL, off, size);
	store_turn(w->store);
}

void front_io_zero(struct worker *w, struct inode *inode, uint64_t off, uint64_t size,
		   void (*done)(struct worker *w, void *arg, int error), void *arg)
{
	zero(w, inode, off, size, false, done, arg);
}

void front_io_zero_rest(struct worker *w, struct inode *inode, uint64_t off, uint64_t size,
			void (*done)(struct worker *w, void *arg, int error), void *arg)
{
	zero(w, inode, off, size, true, done, arg);
}
