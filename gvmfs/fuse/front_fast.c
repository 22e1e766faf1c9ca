// SPDX-License-Identifier: GPL-2.0-or-later
/* front_fast.c - FUSE requests to a region that the fast path serves (resident.h). Those that still wait
 * when the fast path ends are handed to the page cache's way (front_io.h). */
#include "front.h"
#include "front_io.h"
#include "interrupt.h"
#include "state/worker.h"
#include "uffd/resident.h"

#include <errno.h>
#include <stdlib.h>

struct fast_write {
	struct resident_io io; /* first */
	struct worker *w;
	struct inode *inode;
	fuse_req_t req;
	struct interrupt interrupt;
	uint8_t *kept;	 /* the request's buffer, once it waits */
	bool submitting; /* the submitting function looks for its end */
	bool ended;
};

static void write_hand_over(struct fast_write *f)
{
	struct worker *w = f->w;
	uint8_t *request = w->request;
	bool waited = f->kept != NULL;

	/* front_io_write() may keep the buffer that holds the data: the request's own buffer, if the write has not
	 * waited. */
	if (waited)
		w->request = f->kept;
	front_io_write(w, f->req, f->inode, f->io.data, f->io.begin, f->io.end - f->io.begin);
	if (waited) {
		f->kept = w->request;
		w->request = request;
	}
}

static void write_ended(struct resident_io *io, int error)
{
	struct fast_write *f = (struct fast_write *)io;

	interrupt_disarm(&f->interrupt);
	if (error == RESIDENT_OVER)
		write_hand_over(f);
	else if (error)
		fuse_reply_err(f->req, -error);
	else
		fuse_reply_write(f->req, io->end - io->begin);
	f->ended = true;
	if (f->submitting)
		return;
	free(f->kept);
	free(f);
}

/* The caller is being killed: what it has written so far stays written. */
static void write_interrupted(struct interrupt *interrupt)
{
	struct fast_write *f =
		(struct fast_write *)((char *)interrupt - offsetof(struct fast_write, interrupt));

	resident_cancel(f->inode->resident, &f->io);
	write_ended(&f->io, -EINTR);
}

void front_fast_write(fuse_req_t req, struct inode *inode, const void *data, uint64_t off, size_t size)
{
	struct worker *w = front_worker(req);
	struct fast_write *f = calloc(1, sizeof(*f));

	if (!f) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	f->io.done = write_ended;
	f->w = w;
	f->inode = inode;
	f->req = req;
	f->submitting = true;
	resident_write(inode->resident, &f->io, data, off, size);
	resident_turn(inode->resident);
	f->submitting = false;
	if (f->ended) {
		free(f);
		return;
	}
	f->kept = w->request;
	w->request = NULL;
	interrupt_arm(&f->interrupt, w, req, false, write_interrupted);
}

static void zeroed(struct worker *w, void *arg, int error)
{
	(void)w;
	op_end(arg, false, error);
}

static void fast_ended(struct resident_io *io, int error)
{
	struct op *op = (struct op *)((char *)io - offsetof(struct op, fast));

	if (error == RESIDENT_OVER)
		front_io_zero(op->w, op->inode, io->off, io->end - io->off, zeroed, op);
	else
		op_end(op, false, error);
}

void front_fast_zero(struct op *op, uint64_t off, uint64_t bytes)
{
	struct resident *r = op->inode->resident;

	op->fast.done = fast_ended;
	resident_zero(r, &op->fast, off, bytes);
	resident_turn(r); /* may free the op */
}

void front_fast_sync(struct op *op)
{
	struct resident *r = op->inode->resident;

	op->fast.done = fast_ended;
	resident_sync(r, &op->fast);
	resident_turn(r);
}
