// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * moves.c - what copies that move need of a worker: the record, which one task at a time has, and the name table, which only takes
 * its time, or does not answer.
 */
#include "cluster.h"

#include "node/fiber.h"
#include "node/jobs.h"
#include "node/names_save.h"
#include "state/worker_state.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TAKES_NS 20000000ull

/* ---- the record */

void inode_set_record(struct inodes *in, unsigned nr, const struct record *rec)
{
	for (unsigned s = 0; s < rec->slot_count; s++)
		for (unsigned n = 0; n < record_places(rec); n++)
			for (unsigned k = 0; k < n; k++)
				if (rec->slots[s].node[n] == rec->slots[s].node[k])
					world_wrong("a node has two replicas of a slot");
	in->j->inodes[nr].rec = *rec;
	places_look();
}

/* One task at a time has it. */
void inode_acquire(struct inode *i, struct task *task)
{
	assert(!i->busy);
	i->busy = true;
	task->run(task);
}

void inode_release(struct inodes *in, struct inode *i)
{
	(void)in;
	i->busy = false;
}

/* ---- names */

struct save {
	struct job job; /* first */
	struct worker *w;
	struct inode *inode;
	names_done_fn *done;
	void *arg;
};

static void save_work(struct job *job, struct pool *pool)
{
	unsigned there = 0;

	(void)pool;
	if (((struct save *)job)->inode)
		record_is_out(); /* to some, even if it fails */
	fiber_wait(NULL, world.now + TAKES_NS);
	for (unsigned i = 0; i < cluster.nodes; i++)
		there += !cluster.node[i].down && !cluster.node[i].deaf;
	job->result = there * 2 > cluster.nodes ? 0 : -ETIMEDOUT;
}

static void read_done(struct job *job)
{
	struct save *s = (struct save *)job;

	s->done(s->w, job->result, s->arg);
	free(s);
}

void moves_names_read(struct worker *w, bool majority, names_done_fn *done, void *arg)
{
	struct save *s = calloc(1, sizeof(*s));

	(void)majority;
	*s = (struct save){ .job = { .work = save_work, .done = read_done }, .w = w, .done = done, .arg = arg };
	jobs_submit(w->jobs, &s->job);
}

static void save_done(struct job *job)
{
	struct save *s = (struct save *)job;

	if (!job->result)
		journal_publish64(&s->inode->disk->view_saved, 0);
	s->done(s->w, job->result, s->arg);
	free(s);
}

void names_save(struct worker *w, struct inode *i, names_done_fn *done, void *arg)
{
	struct save *s = calloc(1, sizeof(*s));

	*s = (struct save){ .job = { .work = save_work, .done = save_done }, .w = w, .inode = i, .done = done, .arg = arg };
	jobs_submit(w->jobs, &s->job);
}
