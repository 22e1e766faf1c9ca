// SPDX-License-Identifier: GPL-2.0-or-later
/* held.c - see held.h. */
#include "held.h"

#include "node/figures.h"

#include <assert.h>
#include <stdlib.h>

#define ASKING_MAX 128u	       /* regions that are asked about at a time, and those beside the last of them */
#define BESIDE_MAX (4 * FIGURES_REGIONS) /* files that are looked at for that */
#define LISTING_NS 50000000ull /* a question so soon after another, or its answer */

/* Of one or more regions, until the nodes have answered. */
struct question {
	unsigned regions, nodes;
	uint16_t node[RECORD_NODES_MAX]; /* that are asked, as entries of the pool */
};

static bool has_room(const struct held *h, const struct question *q)
{
	for (unsigned i = 0; i < q->nodes; i++)
		if (h->asking + h->of[q->node[i]] + 2 * q->regions >= ASKING_MAX)
			return false;
	return h->asking + q->regions < ASKING_MAX;
}

static void question_count(struct held *h, const struct question *q, int regions)
{
	h->asking += (unsigned)regions;
	for (unsigned i = 0; i < q->nodes; i++)
		h->of[q->node[i]] = (uint16_t)(h->of[q->node[i]] + regions);
}

static void held_asked(struct worker *w, struct inode *inode, int result, void *arg)
{
	struct question *q = arg;
	struct op *op;

	(void)result;
	assert(w->held->asking && q->regions && inode->asking);
	question_count(w->held, q, -1);
	if (!--q->regions)
		free(q);
	inode->asking = false;
	w->held->asked_ns = gvm_now_ns();
	while ((op = STAILQ_FIRST(&inode->askers))) {
		STAILQ_REMOVE_HEAD(&inode->askers, in);
		if (op->req)
			front_reply_attr(w, op_take(op), inode);
		op_end(op, false, 0);
	}
	inode_reap(w->inodes, inode->nr);
}

static void question_add(struct question *q, struct inode *inode)
{
	inode->asking = true;
	q->regions++;
}

/* The files beside it that are not asked about, and whose figures are old. */
static void beside_add(struct worker *w, struct figures *f, struct question *q, unsigned nr)
{
	const struct gvm_id *folder = &inode_disk(w->inodes, nr)->rec.parent;
	struct inode *inode;

	for (unsigned looked = 0; looked < BESIDE_MAX && has_room(w->held, q); looked++) {
		nr = inode_child(w->inodes, folder, nr + 1);
		inode = nr == TREE_NONE ? NULL : inode_get(w->inodes, nr);
		if (!inode)
			return;
		if (inode->disk->rec.size_bytes && !inode->asking && !inode_held_is_fresh(inode) && figures_add(f, inode))
			question_add(q, inode);
	}
}

static void figures_want(struct worker *w, struct inode *inode)
{
	uint64_t now = gvm_now_ns();
	bool listing = now - w->held->asked_ns < LISTING_NS;
	struct question *q = calloc(1, sizeof(*q));
	struct figures *f = q ? figures_create(w, inode) : NULL;

	if (f)
		q->nodes = figures_nodes(f, q->node);
	if (!f || !has_room(w->held, q)) {
		figures_destroy(f);
		free(q);
		return;
	}
	w->held->asked_ns = now;
	question_add(q, inode);
	if (listing) {
		beside_add(w, f, q, inode->nr);
		q->nodes = figures_nodes(f, q->node);
	}
	question_count(w->held, q, (int)q->regions);
	figures_ask(f, held_asked, q);
}

bool held_ask(struct worker *w, struct inode *inode)
{
	if (!inode->disk->rec.size_bytes || inode_held_is_fresh(inode))
		return false;
	if (!inode->asking)
		figures_want(w, inode);
	return inode->asking && !figures_wait(w, inode);
}

void held_wait(struct inode *inode, struct op *op)
{
	STAILQ_INSERT_TAIL(&inode->askers, op, in);
}
