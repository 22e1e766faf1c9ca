// SPDX-License-Identifier: GPL-2.0-or-later
/* sizes.c - see sizes.h. */
#include "sizes.h"

#include "node/region.h"
#include "resize.h"

#define AGAIN_NS 1000000000ull

void sizes_init(struct sizes *sizes)
{
	*sizes = (struct sizes){ 0 };
	STAILQ_INIT(&sizes->waiting);
}

void sizes_wait(struct resize *rs, void (*again)(struct resize *rs))
{
	struct sizes *sizes = rs->op.w->sizes;

	rs->again = again;
	STAILQ_INSERT_TAIL(&sizes->waiting, rs, in);
	if (!sizes->again_ns)
		sizes->again_ns = gvm_now_ns() + AGAIN_NS;
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
	uint64_t due;

	if (sizes->again_ns && now_ns >= sizes->again_ns) {
		STAILQ_HEAD(, resize) waiting = STAILQ_HEAD_INITIALIZER(waiting);

		STAILQ_CONCAT(&waiting, &sizes->waiting);
		sizes->again_ns = 0;
		while (!STAILQ_EMPTY(&waiting)) {
			struct resize *rs = STAILQ_FIRST(&waiting);

			STAILQ_REMOVE_HEAD(&waiting, in);
			rs->again(rs);
		}
	}
	if (sizes->trim_ns && now_ns >= sizes->trim_ns)
		sizes->trim_ns = trim_all(w) ? now_ns + AGAIN_NS : 0;
	due = sizes->again_ns ? sizes->again_ns : ~0ull;
	return sizes->trim_ns && sizes->trim_ns < due ? sizes->trim_ns : due;
}
