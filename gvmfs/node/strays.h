/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * strays.h - strays: chunks that a node holds of slots that are not its own (any more, or yet). They use up room that
 * the node has promised to the region, so a promise has to count them. In a job's fiber.
 */
#ifndef GVMFS_STRAYS_H
#define GVMFS_STRAYS_H

#include "state/record.h"

struct pool;

/* Counts the strays among chunks 0..chunks-1 on entry `node` of the record. Slots that the node has in `also` (may be
 * NULL) count as its own. `promised`: chunks that the node has promised; only if these are more than its slots need can
 * it have strays, and is it asked. 0 or a negative errno. */
int strays_count(struct pool *pool, const struct record *rec, unsigned node, const struct record_slot *also, uint64_t chunks,
		 uint64_t promised, uint64_t *count);

/* Has the node forget them. Only where it is outside of the slots' views, and the name table has the record: nobody reads them
 * there. A late copy of what asks for it does nothing if the node has been given a slot since, which begins with a RESIZE. 0 or a
 * negative errno: then some may be left. */
int strays_forget(struct pool *pool, const struct record *rec, unsigned node, uint64_t epoch);

#endif
