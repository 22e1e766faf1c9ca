// SPDX-License-Identifier: GPL-2.0-or-later
/* front_fast.c - holes and fsyncs of a region that the fast path serves (resident.h). Holes that still wait when
 * the fast path ends are handed to the page cache's way (front_io.h). */
#include "front.h"
#include "front_io.h"
#include "uffd/resident.h"

struct fast_op {
	struct op op; /* first */
	struct resident_io io;
};

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
	resident_turn(inode->resident); /* may free the op */
}

void front_fast_sync(fuse_req_t req, struct inode *inode)
{
	struct fast_op *f = fast_new(req, inode);

	if (!f)
		return;
	resident_sync(inode->resident, &f->io);
	resident_turn(inode->resident);
}
