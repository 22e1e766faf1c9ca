/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drain.h - moves a region's replicas away from a node: one that is drained (`gvm node drain`), or one that is much
 * fuller than another (balance.h).
 *
 * The mount asks its nodes whether they are to be drained. Of a region, one move at a time, from one node to one other:
 *
 *	ROOM	the target node reserves the room (replace.h), and is in the record without a slot
 *	COPIES	it gets copies of what the members have, at --repair-rate, while they are written to: in rounds, each
 *		of what was written during the last
 *	READY	the record gives the target a place in the slots, beside those that they have (replace.h)
 *	JOINS	repair.h brings it into the views: it lacks next to nothing
 *	LEAVES	the source leaves views that have a member more than they should by now, and then the record (surplus.h)
 *
 * So at any time as many nodes as before have all that was acknowledged, and a move adds no new state of who has what:
 * until the record gives it a place, the target has no replica, and after that it is a replica that returns. If
 * anything interferes (a node fails, the size changes, the drain is called off, the worker dies), the move ends: of
 * what is there once too often, surplus.h has one leave; replicas that lack come back by repair.h; and the move begins
 * again. If the region is closed meanwhile, the other node gives back what it has reserved (region_jobs.c); a copy that
 * lacks by then is made when the region is open again.
 *
 * A region with one copy has no views to leave: only the record says which node has a slot. Instead of LEAVES its writes
 * are held until those in flight have ended and the rest is copied. Then, with everything on both nodes, the record gives
 * the slots to the target. Writes go on once the name table has that record and the source has dropped its part, or, if it
 * has other slots, was told what it has no more (moved.h; struct replicas' `settles`), so that a reader with the old record
 * finds nothing, rather than stale data. That takes some tenths of a second. If the worker dies in between, the journal
 * has either record, both of which are right, and the successor holds writes, too. So does, for a moment, a host that
 * attaches a region of which a node has more room than it needs: its last host may have been lost in between.
 *
 * Front thread.
 */
#ifndef GVMFS_DRAIN_H
#define GVMFS_DRAIN_H

#include "state/record.h"

struct inode;
struct replicas;
struct worker;

/* Asks the nodes whether they are to be drained, if that is due. Returns when to call it again (~0: never). */
uint64_t drain_poll(struct worker *w, uint64_t now_ns);
/* Whether a region with one copy needs a struct replicas, for a move or the end of one. */
bool drain_needs(struct worker *w, struct inode *inode);
/* Sets r->settles of a new struct replicas. */
void drain_open(struct replicas *r);
/* Whether writes to the slot are held: none may begin. */
bool drain_holds(const struct replicas *r, unsigned slot);
/* A write of a chunk has ended, whatever its result. */
void drain_written(struct replicas *r, uint64_t chunk);
/* Goes on with a move. */
void drain_look(struct replicas *r, uint64_t now_ns);
/* Ends the move in any state, if there is one. Another may begin later. */
void drain_end(struct replicas *r);

/* ---- for replace.h */

/* How many replicas are to move from a drained node; 0: none, or a move may not begin now. wanted[] (may be NULL):
 * they, as bits of each slot. */
unsigned drain_wants(const struct replicas *r, uint64_t now_ns, uint8_t wanted[RECORD_SLOTS]);
/* The target has the room: begins the move of those slots of node `from` that slots[] gives to node `to`. `balance`: it
 * is balance.h's, and not because `from` is drained. */
void drain_begin(struct replicas *r, unsigned from, unsigned to, const struct record_slot *slots, bool balance);
/* Whether the record may give the slots to the target now. */
bool drain_is_ready(const struct replicas *r);
/* Whether the target gets a place of its own: in the record, there have to be some (record_spare()). */
bool drain_adds(const struct replicas *r);
/* Sets these slots in slots[] to the target, *to (an entry of the record). Returns how many. */
unsigned drain_targets(const struct replicas *r, struct record_slot *slots, unsigned *to);
/* The record is about to give them to the target; then: it is being changed now, and the move ends or goes on. */
void drain_swaps(struct replicas *r);
void drain_swapped(struct replicas *r);
/* One copy: whether the target has all of the slot, and writes are held. */
bool drain_is_complete(const struct replicas *r, unsigned slot);
/* Whether the node is the target of the move. */
bool drain_goes_to(const struct replicas *r, unsigned node);

/* ---- for surplus.h */

/* Whether the node is to be drained, as far as it is known. */
bool drain_is_told(const struct replicas *r, unsigned node);
/* Whether a replica of the slot is moving, and all have to stay for now. */
bool drain_joins(const struct replicas *r, unsigned slot);
/* The replica of the slot that moves away; -1: none does. */
int drain_leaves(const struct replicas *r, unsigned slot);

/* ---- for gvm stat */

/* Chunks that the move still has to copy, as far as is known. */
uint64_t drain_left(const struct replicas *r);

#endif
