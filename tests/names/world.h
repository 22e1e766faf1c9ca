/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * world.h - nodes and mounts as the simulation of the name table has them (sim.c), and what can be done
 * with them: by chance (world.c) or in an order that is written down (scenes.c).
 */
#ifndef NAMES_WORLD_H
#define NAMES_WORLD_H

#include "memnode/daemon/names.h"
#include "names_mutant.h"
#include "node/names_known.h"

#include <setjmp.h>

#define NODES	5u
#define MOUNTS	3u
#define NAMES	40u
#define GHOSTS	64u

#define UNRESTORED (NODES + 1)

enum step {
	IDLE,
	PUTTING,  /* a create, a change, a removal */
	FENCING,  /* a round: */
	LISTING,  /* (or the reading of the table) */
	HEALING,
	FORGETTING,
};

enum what {
	CREATE,
	CHANGE,
	REMOVE,
	READ,
	ROUND,
};

/* What a mount knows of a name. */
struct known {
	bool there;
	uint64_t table, born, version;
};

struct answer {
	bool sent, over, ok;
	int result;
	uint64_t detail;
	unsigned life; /* of the node that gave it */
};

struct mount {
	unsigned first, last; /* its nodes */
	struct known names[NAMES];
	uint64_t clock, table;
	enum what what;
	enum step step;
	unsigned name;
	struct gvm_name_put_req put;
	bool live;
	bool again; /* a put: asks those who have taken it once more */
	unsigned life[NODES]; /* in which they took it */
	uint64_t round, upto;
	struct answer answer[NODES];
	bool out[NODES];
	struct names_view view[NODES];
	struct names_list all;
	struct names_known known; /* from one reading to the next */
	struct names_due due;
	const struct names_list *with; /* what nodes are healed with */
	size_t healed[NODES];
	bool fenced;	  /* healing: a fence kept a record out */
	unsigned missing; /* name + 1 that no node had: saved again after the reading */
	unsigned removed_then[NAMES]; /* whose removal had succeeded when it began */
	uint64_t fence;		      /* the highest that a list told of */
	unsigned restarted_then;      /* a round: how many restarts there had been when it began */
	bool link[NODES];
};

/* A request that is still on its way though nobody waits for it. */
struct ghost {
	unsigned node;
	enum step step;
	struct gvm_name_put_req put;
	bool live;
	uint64_t round, upto, table;
};

/* What is true of a name. */
struct truth {
	bool used, created, remove_tried, removed;
};

struct world {
	unsigned nodes;
	struct names node[NODES];
	unsigned life[NODES]; /* how often it has restarted */
	struct mount mount[MOUNTS];
	struct ghost ghost[GHOSTS];
	unsigned ghosts;
	struct truth name[NAMES];
	unsigned used;
	bool restarts;	   /* in this world, nodes do */
	bool often;
	bool apart;	      /* two clusters, at first */
	bool moves;	      /* the list of nodes changes now and then */
	unsigned first, last; /* the list; that of a mount may still be the one before */
	unsigned restored;    /* NODES: all nodes have everything; else the one that has not, or
				 UNRESTORED */
	unsigned restarted; /* how often one did */
	uint64_t rounds;
};

extern struct world w;
extern uint64_t chance;
extern jmp_buf broken;	/* where a broken promise leads; `why` says which */
extern char why[200];
extern bool calm;	/* nothing is given up or lost any more */
extern bool traced;	/* each step is told */

/* What a mount begins to do, */
void create_begin(struct mount *m);
void put_begin(struct mount *m, enum what what, unsigned name);
void read_begin(struct mount *m);
void round_begin(struct mount *m, uint64_t upto);
/* goes on with by a step, ends a step of, brings to its end, or gives up. */
void mount_step(struct mount *m);
void step_end(struct mount *m);
void mount_finish(struct mount *m);
void op_end(struct mount *m);
/* A node carries out what a mount waits for there. */
void request_run(struct mount *m, unsigned node);
/* It ends, and begins anew with these nodes. */
void mount_anew(struct mount *m, unsigned first, unsigned last);
/* It forgets all. */
void node_restarts(unsigned node);
/* It is empty. */
void node_begins(unsigned node);

/* Ends all that is under way and has the mounts read and forget, until nothing changes; then every
 * promise is looked at. */
void quiet(void);
void check(void);
void world_end(void);

/* A world of that seed, and the scenes: false if a promise was broken. */
bool world_run(uint64_t seed);
bool scenes_run(void);

#endif
