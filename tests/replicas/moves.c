// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * moves.c - what nodes are asked so that a copy comes to another one (replace_job.c), and the name table, which only takes its
 * time, or does not answer. Nothing is balanced.
 */
#include "cluster.h"

#include "node/balance.h"
#include "node/fiber.h"
#include "node/names_save.h"
#include "node/replace_job.h"
#include "state/worker.h"

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

/* ---- nodes */

static struct node *node_of(const struct replace_job *rj, unsigned i)
{
	return &cluster.node[node_by_id(&rj->rec.nodes[i].incarnation)];
}

static bool is_there(const struct node *n)
{
	return !n->down && !n->deaf;
}

static bool is_same(const struct replace_job *rj, unsigned i)
{
	return gvm_id_equal(&node_of(rj, i)->id, &rj->rec.nodes[i].incarnation);
}

static void part_delete(struct node *n)
{
	memset(n->copy, 0, sizeof(n->copy));
	memset(n->active, 0, sizeof(n->active));
	memset(n->proposed, 0, sizeof(n->proposed));
	n->renewed = true;
}

static bool slot_has(const struct replace_job *rj, const struct record_slot *slot, const struct gvm_id *id)
{
	for (unsigned n = 0; n < record_places(&rj->rec); n++)
		if (slot->node[n] != RECORD_NONE && gvm_id_equal(&rj->rec.nodes[slot->node[n]].incarnation, id))
			return true;
	return false;
}

static void slot_choose(struct replace_job *rj, unsigned s, unsigned place)
{
	for (unsigned i = 0; i < cluster.nodes; i++) {
		const struct node *n = &cluster.node[i];
		int entry = record_node_find(&rj->rec, &n->id);

		if (!is_there(n) || n->drains || slot_has(rj, &rj->slots[s], &n->id) ||
		    slot_has(rj, &rj->rec.slots[s], &n->id))
			continue;
		if (entry < 0 || rj->dropped[entry]) {
			entry = rj->rec.node_count++;
			rj->rec.nodes[entry] = (struct record_node){ .incarnation = n->id };
		}
		rj->slots[s].node[place] = (uint16_t)entry;
		rj->found++;
		return;
	}
}

void replace_job_choose(struct job *job, struct pool *pool)
{
	struct replace_job *rj = (struct replace_job *)job;

	(void)pool;
	fiber_wait(NULL, world.now + TAKES_NS);
	for (unsigned i = 0; i < rj->rec.node_count; i++) {
		if (rj->away[i] || record_node_is_used(&rj->rec, i) || !is_there(node_of(rj, i)))
			continue;
		if (is_same(rj, i))
			part_delete(node_of(rj, i));
		rj->dropped[i] = true;
	}
	rj->nodes_before = rj->rec.node_count;
	memcpy(rj->slots, rj->rec.slots, sizeof(rj->slots));
	for (unsigned s = 0; s < rj->rec.slot_count; s++)
		for (unsigned n = 0; n < record_places(&rj->rec); n++)
			if (rj->wanted[s] >> n & 1)
				slot_choose(rj, s, n);
}

void replace_job_members(struct job *job, struct pool *pool)
{
	const struct replace_job *rj = (const struct replace_job *)job;

	(void)pool;
	fiber_wait(NULL, world.now + TAKES_NS);
	job->result = -EHOSTDOWN;
	for (unsigned i = 0; i < rj->rec.node_count; i++) {
		if (!rj->member[i])
			continue;
		if (!is_there(node_of(rj, i)) || !is_same(rj, i)) {
			job->result = -ETIMEDOUT;
			return;
		}
		job->result = 0;
	}
}

/* What such a node has of the region is nothing that counts. */
static int node_make(struct replace_job *rj, unsigned i)
{
	struct node *n = node_of(rj, i);

	if (!is_there(n) || !is_same(rj, i))
		return -ETIMEDOUT;
	if (i >= rj->nodes_before || !record_node_is_used(&rj->rec, i))
		part_delete(n);
	n->renewed = false;
	return 0;
}

void replace_job_make(struct job *job, struct pool *pool)
{
	struct replace_job *rj = (struct replace_job *)job;

	for (unsigned i = 0; i < rj->rec.node_count; i++) {
		bool gets = false;

		for (unsigned s = 0; s < rj->rec.slot_count; s++)
			for (unsigned n = 0; n < record_places(&rj->rec); n++)
				gets |= rj->slots[s].node[n] == i && rj->rec.slots[s].node[n] != i;
		if (!gets)
			continue;
		rj->refuses[i] = node_make(rj, i);
		rj->ready[i] = !rj->refuses[i];
	}
	replace_job_members(job, pool);
}

void replace_job_trim(struct job *job, struct pool *pool)
{
	(void)pool;
	job->result = 0;
}

/* ---- balance.h */

uint64_t balance_poll(struct worker *w, uint64_t now_ns)
{
	(void)w;
	(void)now_ns;
	return ~0ull;
}

void balance_again(struct worker *w, uint64_t now_ns)
{
	(void)w;
	(void)now_ns;
}

bool balance_picks(const struct worker *w, const struct inode *i)
{
	(void)w;
	(void)i;
	return false;
}

unsigned balance_wants(const struct replicas *r, uint64_t now_ns, uint8_t wanted[RECORD_SLOTS], struct balance_pick *pick)
{
	(void)r;
	(void)now_ns;
	(void)wanted;
	(void)pick;
	return 0;
}
