/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * apart.h - which thread runs the turns of a region on the fast path.
 *
 * The front thread runs those of all regions: it reads a fault, sends a GET and puts the page in
 * without waking another thread. If a call is held up (the client holds one of its own locks)
 * another thread becomes the front (state/relief.h). The thread that waits stays with that region
 * alone: it finishes the turn, then reads the region's faults and runs its turns and its clock, and
 * gives up the front's role for each call. So such a client holds up only itself; the others lose a
 * millisecond, once. Events that the front receives for such a region (answers of nodes, requests
 * of programs, messages of the client) are noted as for any region, and that thread is woken.
 *
 * When no call of the region has waited for some seconds, the front takes its turns back, and the
 * thread ends. That time doubles with each relief, so a client gains nothing by beginning again and
 * again.
 *
 * A session has at most one such thread, and none before it is needed.
 */
#ifndef GVMFS_APART_H
#define GVMFS_APART_H

#include <stdint.h>

struct resident;
struct worker;

/* Front thread, where its stack holds nothing that its successor would lack (relief_allow()).
 * Neither function returns if the thread is relieved meanwhile. */

/* Runs the turns of all regions that have something to do. */
void regions_turn(struct worker *w);
/* The clock of all regions; returns when to call again (CLOCK_MONOTONIC), ~0: never. */
uint64_t regions_tick(struct worker *w, uint64_t now_ns);

/* The new front thread: its predecessor waits in a call of this region, and keeps the region. */
void region_apart(struct resident *r);

#endif
