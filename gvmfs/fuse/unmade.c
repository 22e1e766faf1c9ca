// SPDX-License-Identifier: GPL-2.0-or-later
/* unmade.c - see unmade.h. */
#include "unmade.h"

#include "base/log.h"
#include "op.h"
#include "node/names.h"

#include <assert.h>

#define AGAIN_NS   1000000000ull
#define UNMADE_MAX 1024u /* so that a program that keeps trying does not use up all inodes */

void unmade_init(struct unmade *u)
{
	*u = (struct unmade){ 0 };
	STAILQ_INIT(&u->names);
}

static void unmade_saved(struct worker *w, int result, void *arg)
{
	struct unmade *u = w->unmade;
	struct op *op = arg;

	u->saving = false;
	u->at_ns = result < 0 ? gvm_now_ns() + AGAIN_NS : 0;
	if (result < 0)
		return;
	assert(u->count && STAILQ_FIRST(&u->names) == op);
	STAILQ_REMOVE_HEAD(&u->names, in);
	u->count--;
	op_end(op, true, 0);
}

void unmade_add(struct op *op)
{
	struct worker *w = op->w;
	struct unmade *u = w->unmade;
	struct journal_inode *d = op->inode->disk;

	d->rec.kind = RECORD_GONE;
	inode_set_use(w->inodes, op->inode->nr, INODE_UNLINKED);
	if (u->count >= UNMADE_MAX) {
		log_error(d->rec.name, "it could not be created, and too many names wait to be taken back: "
				       "it may appear once the nodes are back");
		op_end(op, true, 0);
		return;
	}
	u->count++;
	STAILQ_INSERT_TAIL(&u->names, op, in);
}

static void adopt_run(struct task *task)
{
	unmade_add((struct op *)task);
}

void unmade_adopt(struct worker *w, struct inode *inode)
{
	struct op *op = op_new(w, NULL, inode);

	if (!op)
		return;
	op->task.run = adopt_run;
	inode_acquire(inode, &op->task);
}

uint64_t unmade_tick(struct worker *w, uint64_t now_ns)
{
	struct unmade *u = w->unmade;
	struct op *op = STAILQ_FIRST(&u->names);

	if (!op || u->saving || w->draining)
		return ~0ull;
	if (now_ns < u->at_ns)
		return u->at_ns;
	u->saving = true;
	names_save(w, op->inode, unmade_saved, op);
	return ~0ull;
}
