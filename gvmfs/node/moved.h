/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * moved.h - tells nodes that slots of a region with one copy have moved away from them.
 *
 * A reader with a record from before the move has to find nothing on the old node, rather than what is older by now. So
 * that node is told which node has the slot, as a view of the other one alone (REGION_VIEW): from then on it answers LOST
 * to readers. If the slot comes back, the node is told so before any reader's record says it. The numbers of these views
 * grow with the record's.
 *
 * A view takes room on the old node, which may be full: so that room is made before anything moves away, by a view that
 * names the node itself. A node that knows no view at all never had a slot that moved away from it.
 *
 * Called in a job's fiber.
 */
#ifndef GVMFS_MOVED_H
#define GVMFS_MOVED_H

#include "state/record.h"

struct pool;

/* Before `slot` moves away from entry `node` of the record: makes room on that node to be told. 0 or a negative errno
 * (-ENOSPC: the node has no room). */
int moved_prepare(struct pool *pool, const struct record *rec, unsigned node, unsigned slot, uint64_t epoch);

/* Tells entry `node` of the record which node has each slot, where it knows otherwise; `own`: only of the slots
 * that it has. 0 or a negative errno. */
int moved_tell(struct pool *pool, const struct record *rec, unsigned node, uint64_t epoch, bool own);

#endif
