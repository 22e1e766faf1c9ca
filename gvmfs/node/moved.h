/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * moved.h - slots of a region with one copy that have moved: the nodes that had them are told so.
 *
 * Whoever reads there by a record from before the move has to find nothing, rather than what is older by now. So the node is told
 * which node has the slot, as a view of that one alone (REGION_VIEW): from then on it answers LOST to readers. A slot that comes
 * back is told to be there again, before any reader's record says so. The numbers of these views grow with the record's.
 *
 * That needs room on the node, which may be full: so it is made before anything moves away, by a view of what is there. A node that
 * knows no view at all never had a slot that moved from it.
 *
 * In a job's fiber.
 */
#ifndef GVMFS_MOVED_H
#define GVMFS_MOVED_H

#include "state/record.h"

struct pool;

/* Before a slot moves away from entry `node` of the record, which has it: makes room to tell it. 0 or a negative errno (-ENOSPC:
 * there is none). */
int moved_prepare(struct pool *pool, const struct record *rec, unsigned node, unsigned slot, uint64_t epoch);

/* Tells the node which node has each slot by the record, where it knows otherwise; `own`: only of its own. 0 or a negative errno. */
int moved_tell(struct pool *pool, const struct record *rec, unsigned node, uint64_t epoch, bool own);

#endif
