/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sender.h - sends a flush to the nodes that have its chunk, until it is stored.
 *
 * A chunk with one replica is stored when its node has acknowledged it (but while that node is
 * drained: node/drain.h). With several replicas, a flush goes to all members of the view of the
 * chunk's placement slot (node/views.h), and is stored when all of them have it. If a member
 * failed, the flush waits here for a view without it. If the member is back before that, pages of a
 * wbuf (wbufs.h) are sent to it again under the same version. Pages that the fast path evicts
 * may have changed, and sealed pages would be other bytes: their flush fails with -EAGAIN, and
 * comes again under a new version. A flush that comes while a replica is about to become a member
 * (node/fill.h) is held for a moment. If a node failed for a passing reason, or for one of this
 * host's, the flush fails with that error, and is sent again after a while.
 *
 * Front thread.
 */
#ifndef GVMFS_SENDER_H
#define GVMFS_SENDER_H

#include "flush.h"

/* Sends a flush in which all is filled in but `region`, `inode` and the nodes; f->done() comes
 * once, from the front's loop. */
void sender_send(struct worker *w, struct inode *inode, struct flush *f);
/* A view of the region has changed, or which of its nodes answer: looks at its waiting flushes
 * again. */
void sender_changed(struct worker *w, struct inode *inode);

#endif
