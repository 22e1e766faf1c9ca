/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * repair.h - replicas that are outside of their slots' views get what the members have, and are members again.
 *
 * A node that answers again, the same as before, is asked what it has of the region; what differs from the index is
 * copied to it from members, at --repair-rate, some slots at a time (fill.h). Until a slot's view has it, nothing of that
 * slot is read from it. One node of a region at a time.
 *
 * All of this is in memory: a worker that takes over begins with what the journal says of the views, and asks the node
 * again.
 *
 * Front thread.
 */
#ifndef GVMFS_REPAIR_H
#define GVMFS_REPAIR_H

#include "replicas.h"

struct repair;

/* Looks for something to do. */
void repair_look(struct replicas *r, uint64_t now_ns);
/* Ends it; another may begin. Not from within one of these. */
void repair_end(struct replicas *r);
/* Goes on with a slot: a write to it has ended, or its view has changed, or which nodes answer. True: its view is to
 * have a turn. */
bool repair_turn(struct replicas *r, unsigned slot);
/* Begins what is next, after turns of slots. */
void repair_go_on(struct replicas *r);
/* No write to the slot may begin. */
bool repair_holds(const struct replicas *r, unsigned slot);
/* A write of a chunk has ended, whatever came of it. */
void repair_written(struct replicas *r, uint64_t chunk);
/* Chunks that are to be copied, as far as is known. */
uint64_t repair_left(const struct replicas *r);

#endif
