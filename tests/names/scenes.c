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
	for (unsigned i = 0; i < NODES; i++)
		names_init(&w.node[i], 1000);
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

bool scenes_run(void)
{
	return scene_run(scene_many_tables) && scene_run(scene_named_again) &&
	       scene_run(scene_vote_then_restart) && scene_run(scene_vote_again_then_restart);
}
