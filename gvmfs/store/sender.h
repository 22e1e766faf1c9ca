/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sender.h - a flush on its way to the nodes that have its chunk, until it is stored.
 *
 * Of a chunk with one replica that is the node's answer (but while its node is drained: node/drain.h). With several, a
 * flush goes to all members of the slot's view (node/views.h), and is stored when all of them have it. Where a member
 * failed, the flush waits here for the view without that member; where the member is back before there is one, what a journal's slot holds is sent to it once
 * more, in the same version. What the fast path evicts may have changed since: it fails, and is sent as a whole under a
 * new version. A flush that comes while a replica is about to become a member (node/fill.h) is sent a moment later.
 * Where a node failed for a reason that passes, or that is this host's, the flush fails with that, to be sent again after a
 * while.
 *
 * Front thread.
 */
#ifndef GVMFS_SENDER_H
#define GVMFS_SENDER_H

#include "flush.h"

/* Sends a flush, all filled in but `region`, `inode` and the nodes; f->done() comes once, from the front's loop. */
void sender_send(struct worker *w, struct inode *inode, struct flush *f);
/* The view of a slot of the region has changed, or which of its nodes answer. */
void sender_changed(struct worker *w, struct inode *inode);

#endif
