/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drain.h - what a node that is to be emptied (`gvm node drain`) has of a region moves to others; and what one is to give
 * of it to another that is emptier (balance.h).
 *
 * The mount asks the nodes whether they are to be emptied. One of a region's is emptied at a time, of a part that goes to one
 * other node:
 *
 *	ROOM	the other node reserves the room (replace.h), and is in the record without a slot
 *	COPIES	it is given what the members have, at --repair-rate, while they are written to: in rounds, each of what was
 *		written during the last
 *	LEAVES	a majority of the name table answers; the replicas leave their views (view_leave()): these have one member less
 *		from here on
 *	READY	the record gives their slots to the other node (replace.h), and repair.h takes it in: it lacks next to nothing
 *
 * So nothing new decides who has what: until the record has it, the other node is nobody's replica, and after that it is
 * one that returns. What comes in between (a node fails, the size changes, the drain is called off, the worker dies) ends
 * the move; replicas that have left come back by repair.h, and it begins again.
 *
 * A region with one copy has no views to leave: the record alone says who has what, and the whole part goes to one
 * node. Instead of LEAVES its writes are held, until those under way have ended and the rest is copied. Then, with all of
 * it on both nodes, the record gives the slots to the other; and writes go on when the name table has that record, and
 * the node that had them has dropped its part (struct replicas' `settles`): whoever reads by an old record finds
 * nothing. That takes some tenths of a second. A worker that dies in the middle leaves a record in the journal that is
 * right, the old or the new, and its successor holds writes, too.
 *
 * Front thread.
 */
#ifndef GVMFS_DRAIN_H
#define GVMFS_DRAIN_H

#include "replicas.h"

/* Asks the nodes, now and then: when next. */
uint64_t drain_poll(struct worker *w, uint64_t now_ns);
/* A region with one copy needs a struct replicas; and what holds for it then. */
bool drain_needs(struct worker *w, struct inode *inode);
void drain_open(struct replicas *r);
/* No write to the slot may begin; and one has ended, whatever came of it. */
bool drain_holds(const struct replicas *r, unsigned slot);
void drain_written(struct replicas *r, uint64_t chunk);
/* Goes on with a move. */
void drain_look(struct replicas *r, uint64_t now_ns);
/* Ends it, whatever it is at. Another may begin then. */
void drain_end(struct replicas *r);

/* ---- for replace.h */

/* Replicas that are to move from a node that is drained, as bits of each slot, if a move may begin now: how many. NULL:
 * whether there are any. */
unsigned drain_wants(const struct replicas *r, uint64_t now_ns, uint8_t wanted[RECORD_SLOTS]);
/* The room is there: those slots of node `from` that are to be on node `to`, by slots[]. `balance`: not since it is
 * drained, but by balance.h. */
void drain_begin(struct replicas *r, unsigned from, unsigned to, const struct record_slot *slots, bool balance);
/* The record may give the slots to the other node. */
bool drain_is_ready(const struct replicas *r);
/* Which are those, by the record; *to: the node. How many. */
unsigned drain_targets(const struct replicas *r, struct record_slot *slots, unsigned *to);
/* The record is about to give them to it; and is given them next. */
void drain_swaps(struct replicas *r);
void drain_swapped(struct replicas *r);
/* The other node has all of the slot, and nothing is written. */
bool drain_is_complete(const struct replicas *r, unsigned slot);
/* Replicas that the move has to itself: no other takes their place, nor are they repaired. */
bool drain_has(const struct replicas *r, unsigned slot, unsigned replica);
/* The node has been chosen to be given slots. */
bool drain_goes_to(const struct replicas *r, unsigned node);

/* ---- for gvm stat */

/* Chunks of it that are to be copied yet, as far as is known. */
uint64_t drain_left(const struct replicas *r);

#endif
