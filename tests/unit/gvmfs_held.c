// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_held.c - questions about regions that wait for one node leave room to those about others. */
#include "check.h"
#include "fuse/held.h"
#include "node/figures.h"

#include <string.h>

#define NODES	4u
#define REGIONS 500u /* of each node */

/* A question about one region, which is on one node. */
struct figures {
	struct inode *inode;
	region_done_fn *done;
	void *arg;
	bool asked;
};

static struct figures question[NODES * REGIONS];
static unsigned questions;

static struct journal_inode disk[NODES * REGIONS];
static struct inode inode[NODES * REGIONS];
static struct journal journal = { .inodes = disk };
static struct inodes inodes = { .j = &journal };
static struct held held;
static struct worker w = { .held = &held, .inodes = &inodes };

static unsigned node_of(const struct inode *i)
{
	return (unsigned)(i - inode) / REGIONS;
}

/* ---- what held.c calls */

struct figures *figures_create(struct worker *worker, struct inode *i)
{
	(void)worker;
	question[questions].inode = i;
	return &question[questions];
}

bool figures_add(struct figures *f, struct inode *i)
{
	(void)f;
	(void)i;
	return false;
}

unsigned figures_nodes(const struct figures *f, uint16_t node[RECORD_NODES_MAX])
{
	node[0] = (uint16_t)node_of(f->inode);
	return 1;
}

void figures_destroy(struct figures *f)
{
	(void)f;
}

void figures_ask(struct figures *f, region_done_fn *done, void *arg)
{
	f->done = done;
	f->arg = arg;
	f->asked = true;
	questions++;
}

bool figures_wait(struct worker *worker, const struct inode *i)
{
	(void)worker;
	(void)i;
	return true;
}

bool inode_held_is_fresh(const struct inode *i)
{
	(void)i;
	return false;
}

unsigned inode_child(struct inodes *in, const struct gvm_id *folder, unsigned nr)
{
	(void)in;
	(void)folder;
	(void)nr;
	return TREE_NONE;
}

struct inode *inode_get(struct inodes *in, unsigned nr)
{
	(void)in;
	return &inode[nr];
}

void inode_reap(struct inodes *in, unsigned nr)
{
	(void)in;
	(void)nr;
}

void front_reply_attr(struct worker *worker, fuse_req_t req, struct inode *i)
{
	(void)worker;
	(void)req;
	(void)i;
}

fuse_req_t op_take(struct op *op)
{
	return op->req;
}

void op_end(struct op *op, bool holds, int error)
{
	(void)op;
	(void)holds;
	(void)error;
}

/* ---- */

static void begin(void)
{
	memset(&held, 0, sizeof(held));
	memset(question, 0, sizeof(question));
	questions = 0;
	for (unsigned i = 0; i < NODES * REGIONS; i++) {
		inode[i] = (struct inode){ .disk = &disk[i], .nr = i };
		disk[i].rec.size_bytes = 1;
		STAILQ_INIT(&inode[i].askers);
	}
}

/* Asks about all regions of a node; returns about how many the node is being asked. */
static unsigned fill(unsigned node)
{
	unsigned before = questions;

	for (unsigned i = 0; i < REGIONS; i++)
		held_ask(&w, &inode[node * REGIONS + i]);
	return questions - before;
}

static void answer(unsigned node)
{
	for (unsigned i = 0; i < questions; i++) {
		struct figures *f = &question[i];

		if (!f->asked || node_of(f->inode) != node)
			continue;
		f->asked = false;
		f->done(&w, f->inode, 0, f->arg);
	}
}

static void a_dead_node_leaves_room_to_others(void)
{
	unsigned dead, live;

	begin();
	dead = fill(0);
	CHECK(dead >= 32);
	live = fill(1);
	CHECK(live >= dead / 2);
	/* Again and again, while the dead node answers nothing. */
	for (unsigned i = 0; i < 4; i++) {
		answer(1);
		CHECK_EQ(fill(0), 0);
		CHECK_EQ(fill(1), live);
	}
	for (unsigned node = 2; node < NODES; node++)
		CHECK(fill(node) >= 1);
	for (unsigned node = 0; node < NODES; node++)
		answer(node);
	CHECK_EQ(held.asking, 0);
	CHECK_EQ(fill(1), dead);
	answer(1);
}

static const struct check_test tests[] = {
	{ "a-dead-node-leaves-room-to-others", a_dead_node_leaves_room_to_others },
};
CHECK_MAIN(tests)
