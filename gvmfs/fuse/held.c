// SPDX-License-Identifier: GPL-2.0-or-later
/* held.c - see held.h. */
#include "held.h"

#include "node/figures.h"

#include <assert.h>

#define ASKING_MAX 64	      /* regions that are asked about at a time, and those beside the last of them */
#define BESIDE_MAX (4 * FIGURES_REGIONS) /* files that are looked at for that */
#define LISTING_NS 50000000ull /* a question so soon after another, or its answer */

static void held_asked(struct worker *w, struct inode *inode, int result, void *arg)
{
	struct op *op;

	(void)result;
	(void)arg;
	assert(w->held_asking && inode->asking);
	w->held_asking--;
	inode->asking = false;
	w->held_asked_ns = gvm_now_ns();
	while ((op = STAILQ_FIRST(&inode->askers))) {
		STAILQ_REMOVE_HEAD(&inode->askers, in);
		if (op->req)
			front_reply_attr(w, op_take(op), inode);
		op_end(op, false, 0);
	}
	inode_reap(w->inodes, inode->nr);
}

static void asking_begin(struct worker *w, struct inode *inode)
{
	inode->asking = true;
	w->held_asking++;
}

/* The files beside it that are not asked about, and whose figures are old. */
static void beside_add(struct worker *w, struct figures *f, unsigned nr)
{
	const struct gvm_id *folder = &inode_disk(w->inodes, nr)->rec.parent;
	struct inode *inode;

	for (unsigned looked = 0; looked < BESIDE_MAX; looked++) {
		nr = inode_child(w->inodes, folder, nr + 1);
		inode = nr == TREE_NONE ? NULL : inode_get(w->inodes, nr);
		if (!inode)
			return;
		if (inode->disk->rec.size_bytes && !inode->asking && !inode_held_is_fresh(inode) && figures_add(f, inode))
			asking_begin(w, inode);
	}
}

static void figures_want(struct worker *w, struct inode *inode)
{
	uint64_t now = gvm_now_ns();
	bool listing = now - w->held_asked_ns < LISTING_NS;
	struct figures *f = figures_create(w, inode);

	w->held_asked_ns = now;
	if (!f)
		return;
	asking_begin(w, inode);
	if (listing)
		beside_add(w, f, inode->nr);
	figures_ask(f, held_asked, NULL);
}

bool held_ask(struct worker *w, struct inode *inode)
{
	if (!inode->disk->rec.size_bytes || inode_held_is_fresh(inode))
		return false;
	if (!inode->asking && w->held_asking < ASKING_MAX)
		figures_want(w, inode);
	return inode->asking && !figures_wait(w, inode);
}

void held_wait(struct inode *inode, struct op *op)
{
	STAILQ_INSERT_TAIL(&inode->askers, op, in);
}
