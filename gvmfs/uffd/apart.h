/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * apart.h - which thread has the turns of a region on the fast path.
 *
 * The front thread has those of all regions: it reads a fault, sends a GET, puts the page in, without a
 * wake-up. Where a call holds it up (the client has one of its own locks) it is relieved (state/relief.h);
 * the thread that waits stays with that region alone: it finishes the turn, reads the region's faults, has its
 * turns and its clock, each call without the front's role. So what a client keeps waiting is itself; others
 * lost a millisecond, once. What the front does for such a region (answers of nodes, requests of programs,
 * messages of the client) it notes, as for any, and wakes that thread.
 *
 * When no call of the region has waited for some seconds, the front has its turns again, and the thread ends.
 * That time doubles with each relief, so that a client which begins again and again gains nothing by it.
 *
 * There is at most one such thread a session, and none before it is needed.
 */
#ifndef GVMFS_APART_H
#define GVMFS_APART_H

#include <stdint.h>

struct resident;
struct worker;

/* Front thread, where its stack holds nothing (relief_allow()). Turns of all regions that have something to
 * do; the clock of all: when it wants to be called again. Neither returns if the thread is relieved
 * meanwhile. */
void regions_turn(struct worker *w);
uint64_t regions_tick(struct worker *w, uint64_t now_ns);

/* The new front thread: the one before waits in a call of this region. */
void region_apart(struct resident *r);

#endif
