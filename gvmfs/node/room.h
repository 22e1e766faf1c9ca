/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * room.h - what the nodes of the command line can still promise to regions: a part of each is kept for copies that are made
 * anew (shares.h), which replace.h takes of it. In jobs' fibers.
 */
#ifndef GVMFS_ROOM_H
#define GVMFS_ROOM_H

#include "options.h"
#include "pool.h"

struct record;

struct room {
	bool answers;	     /* and is no other's second name */
	uint64_t free_bytes; /* what it can promise to regions */
	uint64_t kept_bytes; /* what it can promise beside that */
};

/* Asks all at once. of[]: an entry for each of pool->listed. `copies`: of what is to be promised. 0 or -ENOMEM. */
int rooms_ask(struct pool *pool, const struct options *opts, unsigned copies, uint64_t deadline_ns,
	      struct room of[OPTIONS_NODES_MAX]);
/* Whether a node has room for so many chunks. */
bool room_has(const struct room *room, uint64_t chunks);
/* The same of all nodes of a region that is to grow to so many chunks, and is promised held[i] by node i already; nodes beyond
 * the command line see for themselves. 0, -ENOSPC or -ENOMEM. */
int rooms_look(struct pool *pool, const struct options *opts, const struct record *rec, const uint64_t *held, uint64_t chunks,
	       uint64_t deadline_ns);

#endif
