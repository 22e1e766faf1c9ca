// SPDX-License-Identifier: GPL-2.0-or-later
/* front_fast.c - holes and fsyncs of a region that the fast path serves (resident.h). Holes that still wait when
 * the fast path ends are handed to the page cache's way (front_io.h). */
#include "front.h"
#include "front_io.h"
#include "interrupt.h"
#include "state/worker_state.h"
#include "uffd/resident.h"

#include <errno.h>
#include <stdlib.h>

struct fast_op {
	struct op op; /* first */
	struct resident_io io;
};

/* A read of what is just being put into the client's memory. */
struct fast_read {
	struct resident_io io; /* first */
	struct worker *w;
	struct inode *inode;
	fuse_req_t req;
	struct interrupt interrupt;
	struct io_read what;
};

static void read_settled(struct resident_io *io, int error)
{
	struct fast_read *f = (struct fast_read *)io;

	interrupt_disarm(&f->interrupt);
	if (error == -EINTR) {
		fuse_reply_err(f->req, EINTR);
		free(f->what.head);
	} else {
		front_io_read(f->w, f->req, f->inode, &f->what);
	}
	free(f);
}

static void read_interrupted(struct interrupt *interrupt)
{
	struct fast_read *f = (struct fast_read *)((char *)interrupt - offsetof(struct fast_read, interrupt));

	if (resident_cancel(f->inode->resident, &f->io))
		read_settled(&f->io, -EINTR);
}

void front_fast_read(fuse_req_t req, struct inode *inode, const struct io_read *what)
{
	struct worker *w = front_worker(req);
	struct fast_read *f = calloc(1, sizeof(*f));

	if (!f) {
		free(what->head);
		fuse_reply_err(req, ENOMEM);
		return;
	}
	f->io.done = read_settled;
	f->w = w;
	f->inode = inode;
	f->req = req;
	f->what = *what;
	interrupt_arm(&f->interrupt, w, req, false, read_interrupted);
	resident_settle(inode->resident, &f->io, what->off, what->size);
}

static void zeroed(struct worker *w, void *arg, int error)
{
	(void)w;
	op_end(arg, false, error);
}

static void fast_ended(struct resident_io *io, int error)
{
	struct fast_op *f = (struct fast_op *)((char *)io - offsetof(struct fast_op, io));
	struct op *op = &f->op;

	if (error == RESIDENT_OVER)
		front_io_zero(op->w, op->inode, io->off, io->end - io->off, zeroed, op);
	else
		op_end(op, false, error);
}

static struct fast_op *fast_new(fuse_req_t req, struct inode *inode)
{
	struct fast_op *f = op_new_sized(front_worker(req), req, inode, sizeof(*f));

	if (f)
		f->io.done = fast_ended;
	return f;
}

void front_fast_zero(fuse_req_t req, struct inode *inode, uint64_t off, uint64_t bytes)
{
	struct fast_op *f = fast_new(req, inode);

	if (!f)
		return;
	resident_zero(inode->resident, &f->io, off, bytes);
}

void front_fast_sync(fuse_req_t req, struct inode *inode)
{
	struct fast_op *f = fast_new(req, inode);

	if (!f)
		return;
	resident_sync(inode->resident, &f->io);
}
