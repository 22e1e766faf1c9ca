/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * movers.h - the regions that have a repair or a move in progress: these go on with each call of the front, and not only when a
 * round of looks (looks.h) comes to them.
 *
 * Front thread.
 */
#ifndef GVMFS_MOVERS_H
#define GVMFS_MOVERS_H

#include <stdint.h>

struct replicas;
struct worker;

/* After anything that may have begun or ended a repair or a move: it is in w->movers from the first such call at which it has one
 * to the first at which it has none, or is closing. */
void movers_note(struct replicas *r);
/* Goes on with some of them, in turn; w->movers_next: with the others the next time. */
void movers_look(struct worker *w, uint64_t now_ns);

#endif
