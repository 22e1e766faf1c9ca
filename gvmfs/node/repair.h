/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * repair.h - brings replicas back into their slots' views, by copying to them what the members have.
 *
 * A node that answers again, in the same incarnation, is asked what it has of the region. Chunks that differ from the
 * index are copied to it from members, as quickly as pace.h lets them be, some slots at a time (fill.h). Until a slot's
 * view includes it, nothing of that slot is read from it. A slot whose fill was given up is tried again, while others go
 * on. One node of a region at a time.
 *
 * All of this is in memory only: a successor starts from the views in the journal, and asks the node again.
 *
 * Front thread.
 */
#ifndef GVMFS_REPAIR_H
#define GVMFS_REPAIR_H

#include <stdbool.h>
#include <stdint.h>

struct replicas;

/* Starts a repair if one is needed, or goes on with it. */
void repair_look(struct replicas *r, uint64_t now_ns);
/* Ends the repair, if there is one; another may begin later. Not from within one of these functions. */
void repair_end(struct replicas *r);
/* Goes on with a slot after the end of a write, a change of its view, or of which nodes answer. True: the caller has to
 * call view_turn() again. */
bool repair_turn(struct replicas *r, unsigned slot);
/* Starts the next slots, after turns of slots. */
void repair_go_on(struct replicas *r);
/* Whether the repair holds writes to the slot: none may begin. */
bool repair_holds(const struct replicas *r, unsigned slot);
/* A write of a chunk has ended, whatever its result. */
void repair_written(struct replicas *r, uint64_t chunk);
/* Chunks still to be copied, as far as is known. */
uint64_t repair_left(const struct replicas *r);

#endif
