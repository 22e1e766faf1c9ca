// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_rot.c - from which nodes a rotten copy is to be mended: rot.c, with views and jobs of the test's. */
#include "base/log.h"
#include "check.h"
#include "node/fetch.h"
#include "node/jobs.h"
#include "node/region_events.h"
#include "node/region_node.h"
#include "node/repair_job.h"
#include "node/replicas.h"
#include "node/replicas_state.h"
#include "node/rot.h"
#include "state/sealing.h"
#include "state/seals.h"
#include "state/worker_state.h"

#define NODES 4u /* the only slot is on the first three */
#define NR    1u
#define CHUNK 5u

static struct journal_super super;
static struct journal journal = {.super = &super};
static struct journal_inode disk;
static struct inode inode;
static struct replicas replicas;
static struct inodes inodes = {.j = &journal};
static struct rot rot;
static struct fetches fetches;
static _Atomic uint64_t index_[CHUNK + 1];
static struct jobs jobs;
static struct job *submitted;
static unsigned submissions;
static struct worker worker = {.journal = &journal, .inodes = &inodes, .rot = &rot, .fetches = &fetches, .jobs = &jobs};

/* ---- what it calls */

struct view_slot *replicas_slot(struct inode *i, uint64_t chunk)
{
	(void)chunk;
	return &i->replicas->slot[0];
}

uint8_t view_targets(const struct view_slot *v)
{
	(void)v;
	return 7;
}

void region_node_place(struct worker *w, struct inode *i, unsigned node, struct record_node *place)
{
	(void)w;
	*place = i->disk->rec.nodes[node];
}

struct sealer *region_sealer(const struct worker *w, struct inode *i)
{
	(void)w;
	(void)i;
	return NULL;
}

struct seal_known *sealing_known(const struct inode *i, uint64_t chunk)
{
	(void)i;
	(void)chunk;
	return NULL;
}

void repair_job_copy(struct job *job, struct pool *p)
{
	(void)job;
	(void)p;
}

void repair_job_tell(const struct repair_copy *job, struct inode *i)
{
	(void)job;
	(void)i;
}

void jobs_submit(struct jobs *j, struct job *job)
{
	(void)j;
	submitted = job;
	submissions++;
}

void log_put(struct gvm_log_site *site, int level, const char *object, const char *fmt, ...)
{
	(void)site;
	(void)level;
	(void)object;
	(void)fmt;
}

/* ---- */

static void setup(void)
{
	disk.rec = (struct record){.kind = RECORD_REGION, .replicas = 3, .slot_count = 1, .node_count = NODES, .id = {{7}},
				   .slots = {{{0, 1, 2}}}};
	disk.epoch = 3;
	for (unsigned i = 0; i < NODES; i++)
		disk.rec.nodes[i].incarnation = (struct gvm_id){{(uint8_t)(i + 1)}};
	index_[CHUNK] = 9;
	inode = (struct inode){.nr = NR, .disk = &disk, .replicas = &replicas, .index = index_, .stats = &disk.stats};
	inodes.rt[NR] = &inode;
}

static const struct repair_copy *job(void)
{
	CHECK(submitted);
	return (const struct repair_copy *)submitted;
}

static bool asks(const struct repair_copy *j, unsigned nth, unsigned node)
{
	return gvm_id_equal(&j->from[nth].incarnation, &disk.rec.nodes[node].incarnation);
}

static void others_are_asked_first(void)
{
	setup();
	rot_found(&worker, &inode, CHUNK, &disk.rec.nodes[1].incarnation, false);
	CHECK_EQ(submissions, 1);
	CHECK_EQ(job()->sources, 3);
	CHECK(asks(job(), 0, 0) && asks(job(), 1, 2) && asks(job(), 2, 1));
	CHECK(gvm_id_equal(&job()->base.to.incarnation, &disk.rec.nodes[1].incarnation));
}

/* Others wait to be mended first, and meanwhile the node is emptied. */
static void a_node_that_lost_its_slot_meanwhile_is_given_nothing(void)
{
	setup();
	rot_found(&worker, &inode, CHUNK, &disk.rec.nodes[1].incarnation, false);
	rot_found(&worker, &inode, CHUNK, &disk.rec.nodes[2].incarnation, false);
	disk.rec.slots[0].node[2] = 3;
	CHECK_EQ(submissions, 1);
	submitted->done(submitted);
	CHECK_EQ(submissions, 1);
	CHECK_EQ(rot.count, 0);
}

static const struct check_test tests[] = {
	{"others-are-asked-first", others_are_asked_first},
	{"a-node-that-lost-its-slot-meanwhile-is-given-nothing", a_node_that_lost_its_slot_meanwhile_is_given_nothing},
};

/* Each in a process of its own: they share one world. */
int main(int argc, char **argv)
{
	return check_run_apart(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
