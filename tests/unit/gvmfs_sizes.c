// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_sizes.c - room that is owed is looked for in steps, taken back from where it can be, and asked for again. */
#include "check.h"
#include "fuse/resize.h"
#include "fuse/sizes.h"
#include "node/region.h"
#include "state/worker_state.h"

#include <errno.h>

#define INODES 1000u
#define OWING  3u
#define S      1000000000ull

static struct journal journal;
static struct inodes inodes = {.j = &journal};
static struct inode inode[OWING];
static struct journal_inode disk[OWING];
static struct sizes sizes;
static struct worker worker = {.journal = &journal, .inodes = &inodes, .sizes = &sizes};
static struct op ops[OWING];
static unsigned op_count, ends, trims, attaches, detaches, again;
static bool nodes_are_up[OWING], attached_here[OWING];
static int attach_result;
static uint64_t now = 1000 * S;

uint64_t gvm_now_ns(void)
{
	return now;
}

static unsigned number(const struct inode *of)
{
	return (unsigned)(of - inode);
}

struct op *op_new(struct worker *w, fuse_req_t req, struct inode *of)
{
	struct op *op = &ops[op_count++];

	CHECK(!req && op_count <= OWING);
	*op = (struct op){.w = w, .inode = of};
	return op;
}

void op_end(struct op *op, bool release, int error)
{
	CHECK(release && !error && op->inode);
	op->inode = NULL;
	ends++;
}

void inode_acquire(struct inode *of, struct task *task)
{
	CHECK(!of->busy);
	task->run(task);
}

bool region_is_attached(const struct inode *of)
{
	return attached_here[number(of)];
}

bool region_may_trim(struct worker *w, struct inode *of)
{
	(void)w;
	return attached_here[number(of)] && nodes_are_up[number(of)];
}

bool region_nodes_are_up(struct worker *w, struct inode *of)
{
	(void)w;
	return nodes_are_up[number(of)];
}

void region_trim(struct worker *w, struct inode *of, region_done_fn *done, void *arg)
{
	CHECK(attached_here[number(of)]);
	trims++;
	of->disk->room_owed = 0;
	done(w, of, 0, arg);
}

void region_attach(struct worker *w, struct inode *of, region_done_fn *done, void *arg)
{
	attaches++;
	attached_here[number(of)] = !attach_result;
	done(w, of, attach_result, arg);
}

void region_detach(struct worker *w, struct inode *of, region_done_fn *done, void *arg)
{
	detaches++;
	attached_here[number(of)] = false;
	done(w, of, 0, arg);
}

/* The first and the last inode, and one between. */
static void begin(void)
{
	static const unsigned at[OWING] = {1, 500, INODES - 1};

	sizes_init(&sizes);
	memset(inodes.rt, 0, sizeof(*inodes.rt) * INODES);
	inodes.end = INODES;
	for (unsigned i = 0; i < OWING; i++) {
		disk[i].use = INODE_USED;
		disk[i].failed = 0;
		disk[i].room_owed = 1;
		disk[i].rec.kind = RECORD_REGION;
		inode[i] = (struct inode){.nr = at[i], .disk = &disk[i]};
		inodes.rt[at[i]] = &inode[i];
		nodes_are_up[i] = true;
		attached_here[i] = false;
	}
	op_count = ends = trims = attaches = detaches = again = 0;
	attach_result = 0;
}

/* A look through all: returns in how many steps, and when the next one is due. */
static unsigned look(uint64_t *due)
{
	unsigned steps = 0;

	op_count = 0;
	do {
		*due = sizes_tick(&worker, now);
		steps++;
	} while (*due <= now);
	return steps;
}

static void room_is_looked_for_in_steps_and_taken_back(void)
{
	uint64_t due;

	begin();
	CHECK_EQ(sizes_tick(&worker, now), ~0ull); /* none is owed */
	attached_here[1] = true;
	sizes_owe(&worker);
	CHECK_EQ(look(&due), 4); /* of 256 */
	CHECK(trims == 3 && attaches == 2 && detaches == 2 && ends == 3 && attached_here[1]);
	CHECK_EQ(due, now + S); /* they may not have succeeded: */
	now = due;
	look(&due);
	CHECK(trims == 3 && due == ~0ull);
}

static void room_on_nodes_that_are_away_is_asked_for_again(void)
{
	uint64_t due;

	begin();
	nodes_are_up[2] = false;
	inode[0].opens = 1;
	inode[1].busy = true;
	sizes_owe(&worker);
	look(&due);
	CHECK(!trims && !attaches && due == now + S);
	nodes_are_up[2] = true;
	inode[0].opens = 0;
	inode[1].busy = false;
	now = due;
	look(&due);
	CHECK_EQ(trims, 3);
}

static void another_hosts_region_owes_nothing_here(void)
{
	uint64_t due;

	begin();
	attach_result = -EBUSY;
	sizes_owe(&worker);
	look(&due);
	CHECK(!trims && attaches == 3 && ends == 3);
	for (unsigned i = 0; i < OWING; i++)
		CHECK(!disk[i].room_owed);
	begin();
	attach_result = -ETIMEDOUT;
	sizes_owe(&worker);
	look(&due);
	for (unsigned i = 0; i < OWING; i++)
		CHECK(disk[i].room_owed);
	CHECK_EQ(due, now + S);
}

/* One that comes to be owed behind the look that is under way. */
static void what_is_owed_meanwhile_is_found(void)
{
	uint64_t due;

	begin();
	for (unsigned i = 0; i < OWING; i++)
		disk[i].room_owed = 0;
	sizes_owe(&worker);
	CHECK_EQ(sizes_tick(&worker, now), now);
	disk[0].room_owed = 1;
	sizes_owe(&worker);
	look(&due);
	CHECK_EQ(due, now + S);
	now = due;
	look(&due);
	CHECK(!disk[0].room_owed && trims == 1);
}

static void tried_again(struct resize *rs)
{
	again++;
	if (again < 3)
		sizes_wait(rs, tried_again);
}

static void a_change_that_was_refused_is_tried_again(void)
{
	static struct resize rs;

	begin();
	rs.op.w = &worker;
	sizes_wait(&rs, tried_again);
	for (unsigned i = 1; i < 4; i++) {
		uint64_t due = sizes_tick(&worker, now);

		CHECK(due == now + S && again == i - 1);
		now = due;
		due = sizes_tick(&worker, now);
		CHECK(again == i && due == (i < 3 ? now + S : ~0ull));
	}
}

static const struct check_test tests[] = {
	{"room-is-looked-for-in-steps-and-taken-back", room_is_looked_for_in_steps_and_taken_back},
	{"room-on-nodes-that-are-away-is-asked-for-again", room_on_nodes_that_are_away_is_asked_for_again},
	{"another-hosts-region-owes-nothing-here", another_hosts_region_owes_nothing_here},
	{"what-is-owed-meanwhile-is-found", what_is_owed_meanwhile_is_found},
	{"a-change-that-was-refused-is-tried-again", a_change_that_was_refused_is_tried_again},
};
CHECK_MAIN(tests)
