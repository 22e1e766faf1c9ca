// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * front_write.c - WRITEs: into wbufs by way of the store (write.h), or into the memory of a client on the fast path
 * (resident.h); one past the end makes the file larger first.
 *
 * One that waits keeps its data: the request's own buffer or, where little of them is left, a copy. When the fast
 * path ends, those that it still had go on by way of the store.
 */
#include "direct.h"
#include "front.h"
#include "interrupt.h"
#include "node/region_node.h"
#include "node/times.h"
#include "resize.h"
#include "state/request.h"
#include "store/store.h"
#include "tail.h"
#include "uffd/resident.h"
#include "write.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct file_write {
	union {
		struct store_write wr; /* first */
		struct resident_io io;
	};
	struct worker *w;
	struct inode *inode;
	fuse_req_t req;
	struct request *request; /* in which its data stand; NULL: they were copied */
	uint8_t *copy;
	const uint8_t *data;
	uint64_t off;
	size_t bytes;
	bool fast; /* the fast path has it */
	struct interrupt interrupt;
	struct direct_share share;
	bool submitting; /* the submitting function looks for its end */
	bool ended;
};

static void write_free(struct file_write *f)
{
	request_put(f->request);
	free(f->copy);
	free(f);
}

static void write_end(struct file_write *f, int error)
{
	interrupt_disarm(&f->interrupt);
	direct_end(f->w->direct, &f->share, gvm_now_ns());
	if (error)
		fuse_reply_err(f->req, -error);
	else
		fuse_reply_write(f->req, f->bytes);
	f->ended = true;
	if (!f->submitting)
		write_free(f);
}

static void stored(struct store *s, struct store_write *wr, int error)
{
	(void)s;
	write_end((struct file_write *)wr, error);
}

static void write_store(struct file_write *f)
{
	f->fast = false;
	f->wr = (struct store_write){ .done = stored, .bounded = f->share.of != NULL };
	store_write(f->w->store, &f->wr, f->inode, f->data, f->off, f->bytes);
	store_turn(f->w->store);
}

/* Without memory for a copy, too, it keeps the buffer. */
static void write_keep(struct file_write *f)
{
	struct store_write *wr = &f->wr;
	uint64_t left = f->fast ? f->bytes : wr->end - wr->off;

	if (!f->request || left > REQUEST_DATA_MAX / 2)
		return;
	f->copy = malloc(left);
	if (!f->copy)
		return;
	if (f->fast) {
		memcpy(f->copy, f->data, left);
		f->data = f->copy; /* for the store, if the fast path ends */
		resident_write_move(&f->io, f->copy);
	} else {
		store_write_move(wr, memcpy(f->copy, wr->data + (wr->off - wr->data_off), left));
	}
	request_put(f->request);
	f->request = NULL;
}

static void write_hand_over(struct file_write *f)
{
	bool submitting = f->submitting;

	f->submitting = true;
	write_store(f);
	f->submitting = submitting;
	if (!f->ended)
		write_keep(f);
	else if (!submitting)
		write_free(f);
}

static void resident_written(struct resident_io *io, int error)
{
	struct file_write *f = (struct file_write *)io;

	if (error == RESIDENT_OVER)
		write_hand_over(f);
	else
		write_end(f, error);
}

static void write_resident(struct file_write *f)
{
	f->fast = true;
	f->io = (struct resident_io){ .done = resident_written };
	resident_write(f->inode->resident, &f->io, f->data, f->off, f->bytes);
}

/* The caller is being killed: what it has written so far stays written. */
static void write_interrupted(struct interrupt *interrupt)
{
	struct file_write *f = (struct file_write *)((char *)interrupt - offsetof(struct file_write, interrupt));
	struct store *s = f->w->store;

	if (f->fast) {
		if (resident_cancel(f->inode->resident, &f->io))
			write_end(f, -EINTR);
	} else {
		store_cancel(s, &f->wr.wait);
		store_turn(s);
	}
}

/* Answers now or later. The data stand in `request`. */
static void write_begin(struct worker *w, fuse_req_t req, struct inode *inode, struct request *request,
			const uint8_t *data, uint64_t off, size_t bytes, bool direct)
{
	struct file_write *f = calloc(1, sizeof(*f));

	if (!f || (direct && !direct_begin(w->direct, &f->share, region_node(w, inode, off / GVM_CHUNK_BYTES), bytes,
					   gvm_now_ns()))) {
		free(f);
		fuse_reply_err(req, ENOMEM);
		return;
	}
	f->w = w;
	f->inode = inode;
	f->req = req;
	f->request = request_get(request);
	f->data = data;
	f->off = off;
	f->bytes = bytes;
	f->submitting = true;
	if (inode->resident)
		write_resident(f);
	else
		write_store(f);
	f->submitting = false;
	if (f->ended) {
		write_free(f);
		return;
	}
	write_keep(f);
	interrupt_arm(&f->interrupt, w, req, false, write_interrupted);
}

/* ---- past the end */

struct growing_write {
	struct resize rs; /* first */
	struct request *request;
	bool direct;
};

static void growing_end(struct growing_write *g, int error)
{
	struct request *request = g->request;

	op_end(&g->rs.op, true, error);
	request_put(request);
}

/* While the op waited for its turn, another may have made the region larger, and the fast path may have
 * taken it over. */
static void write_resized(struct resize *rs, int result)
{
	struct growing_write *g = (struct growing_write *)rs;
	struct op *op = &rs->op;

	if (!result && op->req)
		write_begin(op->w, op_take(op), op->inode, g->request, rs->data, rs->off, rs->bytes, g->direct);
	growing_end(g, result);
}

static void write_resize(struct task *task)
{
	struct growing_write *g = (struct growing_write *)task;
	struct resize *rs = &g->rs;
	uint64_t now = rs->op.inode->disk->rec.size_bytes;

	if (rs->op.abandoned) {
		growing_end(g, 0);
		return;
	}
	rs->size = rs->off + rs->bytes > now ? rs->off + rs->bytes : now;
	rs->then = write_resized;
	front_resize(rs);
}

void front_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
		 struct fuse_file_info *fi)
{
	struct worker *w = front_worker(req);
	struct inode *inode = front_content(req, ino);
	const uint8_t *data = (const uint8_t *)buf;
	uint64_t end = (uint64_t)off + size;
	bool direct = fi->flags & O_DIRECT && !fi->writepage;
	struct growing_write *g;
	struct journal_inode *d;

	if (!inode)
		return;
	if (!size) {
		fuse_reply_write(req, 0);
		return;
	}
	d = inode->disk;
	times_content(w, inode);
	/* The data are in the worker's request buffer. */
	if (fi->writepage)
		tail_mask(d, (uint8_t *)(uintptr_t)buf, (uint64_t)off, size);
	else
		tail_recall(w, inode, (uint8_t *)(uintptr_t)buf, (uint64_t)off, size);
	if (end <= d->rec.size_bytes && (fi->writepage || !tail_is_before(d, end))) {
		write_begin(w, req, inode, w->request, data, (uint64_t)off, size, direct);
		return;
	}
	g = op_new_sized(w, req, inode, sizeof(*g));
	if (!g)
		return;
	g->request = request_get(w->request);
	g->direct = direct;
	g->rs.data = data;
	g->rs.off = (uint64_t)off;
	g->rs.bytes = size;
	g->rs.op.task.run = write_resize;
	inode_acquire(inode, &g->rs.op.task);
}
