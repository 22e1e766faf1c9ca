// SPDX-License-Identifier: GPL-2.0-or-later
/* sizes.c - see sizes.h. */
#include "sizes.h"

#include "node/region.h"
#include "op.h"

#define AGAIN_NS 1000000000ull

void sizes_init(struct sizes *sizes)
{
	*sizes = (struct sizes){ 0 };
}

void sizes_owe(struct worker *w)
{
	if (!w->sizes->trim_ns)
		w->sizes->trim_ns = gvm_now_ns();
}

static void trimmed(struct worker *w, struct inode *inode, int result, void *arg)
{
	(void)w;
	(void)inode;
	(void)result; /* if it has failed, the journal says so */
	op_end(arg, true, 0);
}

static void trim_run(struct task *task)
{
	struct op *op = (struct op *)task;

	if (op->inode->disk->room_owed && region_may_trim(op->w, op->inode))
		region_trim(op->w, op->inode, trimmed, op);
	else
		op_end(op, true, 0);
}

static void trim(struct worker *w, struct inode *inode)
{
	struct op *op = inode->busy || !region_may_trim(w, inode) ? NULL : op_new(w, NULL, inode);

	if (!op)
		return;
	op->task.run = trim_run;
	inode_acquire(inode, &op->task);
}

/* Whether some inode has room to be taken back, attached or not. */
static bool trim_all(struct worker *w)
{
	bool some = false;

	for (unsigned nr = 1; nr < w->inodes->end; nr++) {
		struct inode *inode = w->inodes->rt[nr];

		if (!inode || inode->disk->use == INODE_FREE || !inode->disk->room_owed)
			continue;
		some = true;
		trim(w, inode);
	}
	return some;
}

uint64_t sizes_tick(struct worker *w, uint64_t now_ns)
{
	struct sizes *sizes = w->sizes;

	if (sizes->trim_ns && now_ns >= sizes->trim_ns)
		sizes->trim_ns = trim_all(w) ? now_ns + AGAIN_NS : 0;
	return sizes->trim_ns ? sizes->trim_ns : ~0ull;
}
