// SPDX-License-Identifier: GPL-2.0-or-later
/* scenes.c - worlds in which nothing is left to chance: faults that it comes upon once in 100000. */
#include "world.h"

#include <errno.h>
#include <string.h>

static bool scene_run(void (*scene)(void))
{
	chance = 1;
	memset(&w, 0, sizeof(w));
	calm = true;
	w.nodes = 3;
	w.restarts = true;
	w.restored = NODES;
	w.last = w.nodes - 1;
	for (unsigned i = 0; i < NODES; i++)
		node_begins(i);
	for (unsigned i = 0; i < MOUNTS; i++) {
		w.mount[i].last = w.nodes - 1;
		for (unsigned n = 0; n < NODES; n++)
			w.mount[i].link[n] = true;
	}
	if (setjmp(broken)) {
		world_end();
		return false;
	}
	scene();
	quiet();
	check();
	world_end();
	return true;
}

static void mount_waits_at(struct mount *m, enum step step)
{
	while (m->step != step && m->step != IDLE)
		mount_step(m);
}

/* A whole round in which all nodes take part, as after each restart; up to its healing. */
static void round_lists(struct mount *m)
{
	round_begin(m, m->clock);
	mount_waits_at(m, HEALING);
}

/*
 * Node 2 takes a tombstone and restarts, and is given the record back by a round that has listed node 1
 * before that takes the tombstone, too. A majority has taken it now, but node 1 alone has it. Then node 1
 * restarts, alone, in its turn. `again`: only when it was asked again and still had it.
 */
static void scene_votes(bool again)
{
	struct mount *late = &w.mount[0], *other = &w.mount[1];

	create_begin(late);
	mount_finish(late);
	create_begin(other);
	mount_finish(other);
	put_begin(other, REMOVE, 1); /* what the rounds are for */
	mount_finish(other);

	put_begin(late, REMOVE, 0);
	request_run(late, 2);
	node_restarts(2);
	round_lists(other);
	request_run(late, 1);
	late->answer[0] = (struct answer){ .over = true, .result = -ETIMEDOUT };
	step_end(late);
	mount_finish(other);
	if (again && late->step == PUTTING)
		request_run(late, 1);
	if (again || late->step == IDLE) {
		node_restarts(1);
		round_lists(other);
		mount_finish(other);
	}
	if (again && late->step == PUTTING)
		request_run(late, 2);
	late->link[0] = false;
	while (late->step == PUTTING)
		mount_step(late);
	node_restarts(again ? 2 : 1);
}

static void scene_vote_then_restart(void)
{
	scene_votes(false);
}

static void scene_vote_again_then_restart(void)
{
	scene_votes(true);
}

/*
 * A round is cut short when node 2 alone has forgotten, far ahead of every birth. Then node 2 is named no
 * more, and the others restart in turn, each given everything back. Does a mount that has never heard of that
 * round make a name that node 2, named again, takes for forgotten?
 */
static void scene_named_again(void)
{
	struct mount *conductor = &w.mount[0], *fresh = &w.mount[2];

	create_begin(conductor);
	mount_finish(conductor);
	put_begin(conductor, REMOVE, 0);
	mount_finish(conductor);
	round_begin(conductor, conductor->clock + 100);
	mount_waits_at(conductor, FORGETTING);
	if (conductor->step == FORGETTING)
		request_run(conductor, 2);
	op_end(conductor);
	for (unsigned i = 0; i < MOUNTS; i++)
		w.mount[i].last = 1;
	for (unsigned n = 0; n < 2; n++) {
		node_restarts(n);
		read_begin(conductor);
		mount_finish(conductor);
	}
	read_begin(fresh);
	mount_finish(fresh);
	create_begin(fresh);
	mount_finish(fresh);
	for (unsigned i = 0; i < MOUNTS; i++)
		w.mount[i].last = 2;
}

/* More tables than one round forgets of: as many hosts began at the same moment. */
static void scene_many_tables(void)
{
	struct mount *m = &w.mount[0];

	for (unsigned i = 0; i < NAMES; i++) {
		m->table = 1 + i;
		create_begin(m);
		mount_finish(m);
		put_begin(m, REMOVE, i);
		mount_finish(m);
		if (i % 10 == 9) {
			read_begin(m);
			mount_finish(m);
		}
	}
}

/* A name is made on nodes 0 and 1, late: a round that forgets what was born with it has listed them
 * before. */
static void scene_fence(void)
{
	struct mount *late = &w.mount[0], *conductor = &w.mount[1];

	create_begin(conductor);
	mount_finish(conductor);
	late->table = conductor->table;
	late->link[2] = false;
	create_begin(late);
	put_begin(conductor, REMOVE, 0);
	mount_finish(conductor);
	round_begin(conductor, conductor->clock);
	mount_waits_at(conductor, HEALING);
	mount_finish(late);
	mount_finish(conductor);
}

/* One round would forget up to the fence of the next, which has listed nothing yet. */
static void scene_two_rounds(void)
{
	struct mount *first = &w.mount[0], *second = &w.mount[1], *creator = &w.mount[2];

	create_begin(first);
	mount_finish(first);
	put_begin(first, REMOVE, 0);
	mount_finish(first);
	round_begin(first, first->clock);
	mount_waits_at(first, FORGETTING);
	creator->table = first->table;
	creator->clock = first->clock;
	creator->link[2] = false;
	create_begin(creator);
	mount_finish(creator);
	round_begin(second, creator->clock);
	request_run(second, 2);
	op_end(second);
	request_run(first, 2);
	op_end(first);
}

/*
 * Node 0 was alone, and has forgotten far ahead of every birth. Others have names of its table, but
 * have not heard of its horizon. A host that does not reach it makes no name in that table.
 */
static void scene_table_of_another(void)
{
	struct mount *alone = &w.mount[0], *reader = &w.mount[1], *fresh = &w.mount[2];

	alone->last = 0;
	create_begin(alone);
	mount_finish(alone);
	create_begin(alone);
	mount_finish(alone);
	put_begin(alone, REMOVE, 1);
	mount_finish(alone);
	round_begin(alone, alone->clock + 100);
	mount_finish(alone);
	alone->last = 2;
	read_begin(reader);
	while (reader->step == LISTING || reader->step == HEALING)
		mount_step(reader);
	op_end(reader);
	fresh->link[0] = false;
	read_begin(fresh);
	mount_finish(fresh);
	create_begin(fresh);
	mount_finish(fresh);
}

/*
 * A name is on node 0 alone, its creator asks on. A round has listed it, and does not get on. Node
 * 0 restarts; the next round, which meets the name nowhere, has listed all nodes when the first
 * one's copies come.
 */
static void scene_round_overtaken(void)
{
	struct mount *creator = &w.mount[0], *first = &w.mount[1], *second = &w.mount[2];

	create_begin(second);
	mount_finish(second);
	put_begin(second, REMOVE, 0);
	mount_finish(second);
	creator->table = second->table;
	creator->clock = second->clock;
	create_begin(creator);
	request_run(creator, 0);
	round_begin(first, creator->clock);
	mount_waits_at(first, HEALING);
	node_restarts(0);
	round_begin(second, creator->clock);
	mount_waits_at(second, HEALING);
	while (first->step == HEALING)
		mount_step(first);
	op_end(first);
	mount_finish(creator);
	mount_finish(second);
}

/*
 * The list changes from nodes 0, 1, 2 to others. A host that has the new one forgets what was born
 * with a name that a host with the old one has made. More than half of each is in both: so the
 * round meets that name.
 */
static void scene_list_changes(void)
{
	struct mount *old = &w.mount[0], *new = &w.mount[1];

	w.first = NAMES_MUTANT(LISTS_SHARE_LESS) ? 2 : 1;
	w.last = w.first + 2;
	mount_anew(new, w.first, w.last);
	old->link[2] = false;
	create_begin(old);
	mount_finish(old);
	new->table = old->table;
	create_begin(new);
	mount_finish(new);
	put_begin(new, REMOVE, 1);
	mount_finish(new);
	round_begin(new, new->clock);
	mount_finish(new);
	old->link[2] = true;
	read_begin(old);
	mount_finish(old);
}

/* What an old list has removed stays so for a new one that does not have the nodes which know it
 * best. */
static void scene_list_changes_after_removal(void)
{
	struct mount *old = &w.mount[0], *new = &w.mount[1];

	create_begin(old);
	mount_finish(old);
	w.first = 1;
	w.last = 3;
	mount_anew(new, w.first, w.last);
	read_begin(new);
	mount_finish(new);
	old->link[2] = false;
	put_begin(old, REMOVE, 0);
	mount_finish(old);
	new->link[1] = false;
	put_begin(new, CHANGE, 0);
	mount_finish(new);
}

bool scenes_run(void)
{
	return scene_run(scene_fence) && scene_run(scene_two_rounds) &&
	       scene_run(scene_table_of_another) && scene_run(scene_round_overtaken) &&
	       scene_run(scene_list_changes) && scene_run(scene_list_changes_after_removal) &&
	       scene_run(scene_many_tables) && scene_run(scene_named_again) &&
	       scene_run(scene_vote_then_restart) && scene_run(scene_vote_again_then_restart);
}
