// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sim.c - nodes, mounts and the name table between them, under chance: RECORDS.md's promises.
 *
 *	names_sim RUNS [SEED]     that many worlds
 *	names_sim trace SEED      one world, told step by step
 *	names_sim mutants         each deliberate fault (names_mutant.h) is noticed
 *
 * A world has one to five nodes and three mounts, which create, change and remove names, read the
 * table and conduct rounds, all at once. The nodes are memnode/daemon/names.c; what mounts make of
 * answers is gvmfs/names_list.c; what stands here is the order of their requests, as in
 * gvmfs/names_talk.c, names_job.c and names_round.c. Requests are carried out in any order, lost,
 * carried out twice, or long after the one who sent them has given up; links break and heal, mounts
 * stand still, nodes restart empty (one, which is then given everything back, by a round that began
 *after that, before another may). In some worlds the nodes were two clusters at first; in some the
 *list of nodes changes, mount by mount, to one that has more than half of it. Scenes are worlds in
 *which nothing is left to chance: what it comes upon once in thousands of worlds.
 *
 * Promised: a name whose create succeeded, and that nobody tried to remove, is on every node and
 *mount in the end; one whose removal succeeded is on none, at once where no node restarted and no
 *list changed; all mounts and nodes agree; no tombstone is left. And of each node: what it refuses,
 *it says why of and how far its numbers are; no record of it gets older, and no horizon lower.
 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS_OF_A_MUTANT 4000u

enum names_mutant names_mutant;

static const char *const mutants[MUTANTS] = {
	"none",
	"tombstone not final",
	"fence not kept",
	"forget of any round",
	"old copies count",
	"tables compared",
	"round without all",
	"round without heal",
	"round without fence",
	"saved again",
	"heal without gone",
	"table of any name",
	"votes count once",
	"votes of dead lives",
	"round below a fence",
	"fence open to any round",
	"lists share less",
	"horizon not said",
	"put of old",
	"tombstone of forgotten",
	"lists in part",
	"listed last counts",
	"horizons uneven",
	"gone outvoted",
	"forgotten not told",
	"changes only",
	"known of the absent",
};

static int mutants_run(void)
{
	int missed = 0;

	for (unsigned i = 1; i < MUTANTS; i++) {
		uint64_t seed = 1;

		fflush(stdout);
		names_mutant = (enum names_mutant)i;
		if (!scenes_run()) {
			printf("%s: scene: %s\n", mutants[i], why);
			continue;
		}
		while (seed <= SEEDS_OF_A_MUTANT && world_run(seed))
			seed++;
		if (seed > SEEDS_OF_A_MUTANT) {
			printf("%s: NOT NOTICED\n", mutants[i]);
			fflush(stdout);
			missed++;
		} else {
			printf("%s: world %llu: %s\n", mutants[i], (unsigned long long)seed, why);
		}
	}
	return missed;
}

int main(int argc, char **argv)
{
	unsigned long runs = 4000, seed = 1;

	if (argc > 1 && !strcmp(argv[1], "mutants"))
		return mutants_run() != 0;
	if (argc > 2 && !strcmp(argv[1], "trace")) {
		traced = true;
		runs = 1;
	} else if (argc > 1)
		runs = strtoul(argv[1], NULL, 10);
	if (argc > 2)
		seed = strtoul(argv[2], NULL, 10);
	if (!scenes_run()) {
		printf("scene: %s\n", why);
		return 1;
	}
	for (unsigned long i = 0; i < runs; i++)
		if (!world_run(seed + i)) {
			printf("world %lu: %s\n", seed + i, why);
			return 1;
		}
	printf("%lu worlds: every name where it belongs\n", runs);
	return 0;
}
