/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * strays.h - chunks that a node holds of slots that are not its own (any more, or yet): they take of the room that it has
 * promised for the region, so a promise has to count them. A conversation of a job's fiber.
 */
#ifndef GVMFS_STRAYS_H
#define GVMFS_STRAYS_H

#include "state/record.h"

struct pool;

/* Counts them among chunks 0..chunks-1, on entry `node` of the record; slots that it has in `also` (may be NULL) are its own,
 * too. Only a node that has promised more than its slots need can have any: `promised`. 0 or a negative errno. */
int strays_count(struct pool *pool, const struct record *rec, unsigned node, const struct record_slot *also, uint64_t chunks,
		 uint64_t promised, uint64_t *count);

#endif
