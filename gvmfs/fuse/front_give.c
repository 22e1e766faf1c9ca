// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * front_give.c - settles a region: a guest on the fast path is given all of its memory, and goes on without gvmfs.
 *
 * Who may write to the region sets user.gvm.settle, and then reads user.gvm.settle.wait, which lasts as long as it takes. (A
 * call that sets an attribute has the kernel lock the file meanwhile: the guest's own punches would wait for it.) A signal
 * to the reader takes all of it back, until the guest has been told: then the reader is told so (EINPROGRESS), and need not wait
 * for a guest that is stopped. After a worker's death the kernel sends the call again, and the successor begins anew.
 */
#include "front.h"
#include "interrupt.h"
#include "state/worker_state.h"
#include "uffd/resident.h"

#include <errno.h>
#include <stdlib.h>

#define ALLOWED_NS 10000000000ull

struct giving {
	struct resident_io io; /* first */
	struct inode *inode;
	fuse_req_t req;
	struct interrupt interrupt;
};

static void given(struct resident_io *io, int error)
{
	struct giving *g = (struct giving *)io;

	interrupt_disarm(&g->interrupt);
	if (error)
		fuse_reply_err(g->req, error == RESIDENT_OVER ? ESRCH : -error);
	else
		fuse_reply_buf(g->req, "1", 1);
	free(g);
}

static void give_interrupted(struct interrupt *interrupt)
{
	struct giving *g = (struct giving *)((char *)interrupt - offsetof(struct giving, interrupt));

	if (resident_give_cancel(g->inode->resident))
		given(&g->io, -EINTR);
	else if (resident_give_leave(g->inode->resident))
		given(&g->io, -EINPROGRESS);
}

static int why_not(const struct worker *w, const struct inode *inode)
{
	const struct resident *r = inode->resident;

	if (inode_is_settled(inode->disk))
		return ESTALE;
	if (!r)
		return ENXIO;
	if (inode->disk->failed)
		return EIO;
	return w->journal->sessions[r->session].settles ? 0 : EPROTONOSUPPORT;
}

void front_give_allow(fuse_req_t req, struct inode *inode)
{
	int error = why_not(front_worker(req), inode);

	if (!error)
		inode->give_until_ns = gvm_now_ns() + ALLOWED_NS;
	fuse_reply_err(req, error);
}

static bool is_allowed(const struct worker *w, const struct inode *inode)
{
	return (w->request && w->request->resent) || gvm_now_ns() < inode->give_until_ns;
}

void front_give(fuse_req_t req, struct inode *inode)
{
	struct worker *w = front_worker(req);
	int error = why_not(w, inode);
	struct giving *g;

	if (!error && !is_allowed(w, inode))
		error = EPERM;
	inode->give_until_ns = 0;
	if (error == ESTALE && w->request && w->request->resent) { /* a predecessor has done it, and could not say so */
		fuse_reply_buf(req, "1", 1);
		return;
	}
	g = error ? NULL : calloc(1, sizeof(*g));
	if (!g) {
		fuse_reply_err(req, error ? error : ENOMEM);
		return;
	}
	g->io.done = given;
	g->inode = inode;
	g->req = req;
	error = resident_give(inode->resident, &g->io);
	if (error) {
		free(g);
		fuse_reply_err(req, -error);
		return;
	}
	interrupt_arm(&g->interrupt, w, req, true, give_interrupted);
}
