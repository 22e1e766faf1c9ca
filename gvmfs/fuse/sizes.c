// SPDX-License-Identifier: GPL-2.0-or-later
/* sizes.c - see sizes.h. */
#include "sizes.h"

#include "node/region.h"
#include "resize.h"

#include <errno.h>

#define AGAIN_NS  1000000000ull
#define LOOKS_MAX 256u /* inodes in one go, during which faults wait */

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
	w->sizes->trim_owed = true; /* also if a look through all inodes has passed it */
	if (!w->sizes->trim_ns)
		w->sizes->trim_ns = gvm_now_ns();
}

static void detached(struct worker *w, struct inode *inode, int result, void *arg)
{
	(void)w;
	(void)inode;
	(void)result;
	op_end(arg, true, 0);
}

static void trimmed(struct worker *w, struct inode *inode, int result, void *arg)
{
	(void)w;
	(void)inode;
	(void)result; /* if it has failed, the journal says so */
	op_end(arg, true, 0);
}

static void trimmed_alone(struct worker *w, struct inode *inode, int result, void *arg)
{
	(void)result;
	region_detach(w, inode, detached, arg);
}

static void attached(struct worker *w, struct inode *inode, int result, void *arg)
{
	if (result == -EBUSY) /* another host is its writer, and knows better */
		journal_publish32(&inode->disk->room_owed, 0);
	if (result < 0)
		op_end(arg, true, 0);
	else if (inode->disk->room_owed)
		region_trim(w, inode, trimmed_alone, arg);
	else
		region_detach(w, inode, detached, arg);
}

/* It is open nowhere on this host, and its nodes are there. */
static bool may_attach(struct worker *w, struct inode *inode)
{
	const struct journal_inode *d = inode->disk;

	return !inode->opens && !region_is_attached(inode) && !d->failed && d->use == INODE_USED && d->rec.kind == RECORD_REGION &&
	       region_nodes_are_up(w, inode);
}

static void trim_run(struct task *task)
{
	struct op *op = (struct op *)task;

	if (op->inode->disk->room_owed && region_may_trim(op->w, op->inode))
		region_trim(op->w, op->inode, trimmed, op);
	else if (op->inode->disk->room_owed && may_attach(op->w, op->inode))
		region_attach(op->w, op->inode, attached, op);
	else
		op_end(op, true, 0);
}

static void trim(struct worker *w, struct inode *inode)
{
	bool may = !inode->busy && (region_may_trim(w, inode) || may_attach(w, inode));
	struct op *op = may ? op_new(w, NULL, inode) : NULL;

	if (!op)
		return;
	op->task.run = trim_run;
	inode_acquire(inode, &op->task);
}

/* Looks through some of the inodes, attached or not, for room that is to be taken back. False: these were the last. */
static bool trim_some(struct worker *w)
{
	struct sizes *sizes = w->sizes;

	if (!sizes->trim_nr) {
		sizes->trim_nr = 1;
		sizes->trim_owed = false;
	}
	for (unsigned n = 0; n < LOOKS_MAX && sizes->trim_nr < w->inodes->end; n++) {
		struct inode *inode = w->inodes->rt[sizes->trim_nr++];

		if (!inode || inode->disk->use == INODE_FREE || !inode->disk->room_owed)
			continue;
		sizes->trim_owed = true;
		trim(w, inode);
	}
	if (sizes->trim_nr < w->inodes->end)
		return true;
	sizes->trim_nr = 0;
	return false;
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
	if (sizes->trim_ns && now_ns >= sizes->trim_ns && !trim_some(w))
		sizes->trim_ns = sizes->trim_owed ? now_ns + AGAIN_NS : 0;
	due = sizes->again_ns ? sizes->again_ns : ~0ull;
	return sizes->trim_ns && sizes->trim_ns < due ? sizes->trim_ns : due;
}
