// SPDX-License-Identifier: GPL-2.0-or-later
/* held.c - see held.h. */
#include "held.h"

#include "node/region.h"

#include <assert.h>

#define ASKING_MAX 64 /* regions that are asked about at a time */

static void held_asked(struct worker *w, struct inode *inode, int result, void *arg)
{
	struct op *op;

	(void)result;
	(void)arg;
	assert(w->held_asking && inode->asking);
	w->held_asking--;
	inode->asking = false;
	while ((op = STAILQ_FIRST(&inode->askers))) {
		STAILQ_REMOVE_HEAD(&inode->askers, in);
		if (op->req)
			front_reply_attr(w, op_take(op), inode);
		op_end(op, false, 0);
	}
	inode_reap(w->inodes, inode->nr);
}

bool held_ask(struct worker *w, struct inode *inode)
{
	const struct record *rec = &inode->disk->rec;

	if (!rec->size_bytes || inode_held_is_fresh(inode))
		return false;
	if (!inode->asking && w->held_asking < ASKING_MAX) {
		w->held_asking++;
		inode->asking = true;
		region_held(w, inode, held_asked, NULL);
	}
	return inode->asking && !region_held_waits(w, inode);
}

void held_wait(struct inode *inode, struct op *op)
{
	STAILQ_INSERT_TAIL(&inode->askers, op, in);
}
