/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mutant.h - deliberate faults, for the test of the tests: built with GVM_MUTANTS, the program does
 * wrong what GVM_MUTANT names, and the torture has to notice. Otherwise this is nothing.
 *
 *	no-zap		memory is punched out that the client still has in its page tables
 *	no-hash		nothing that was evicted counts as changed
 *	early-pin	pins are looked at before the zap, not after it
 *	stray-sent	pages are sent that came while a flush waited, and are not remembered as sent
 *	sent-unlearnt	the pages that a flush sent are not remembered as sent
 *	stale-epoch	what is evicted is sent with the epoch of an earlier attachment
 *
 * And those that take luck, or a simulator (tests/resident):
 *
 *	presence-trusted  a successor takes every page that lies in the memory for content
 *	unannounced	pages are put in that are not marked as coming
 *	marked-early	they are marked as filled before they are there
 *	dropped-early	pages are punched out before their marks go
 *	shown-evicting	a fault does not end an eviction
 *	not-called-off	a write does not
 *	no-pin		nobody looks at pins
 *	any-zap		an answer to a predecessor's zap is taken for one to ours
 *	untried		a version that was sent, and perhaps taken, is given to other bytes
 *	refused-dropped	what a node refused is punched out
 *	whole-blind	a chunk is sent as a whole with zeros for what is not here
 *	synced-early	what was marked while it was being sent counts as sent
 *	punch-unblocks	a hole takes its chunk off those that wait for room
 *	room-untold	requests that wait for room are not told when there is some
 *	hole-unasked	a hole is filled whatever the budget says
 *
 * One is no fault, but another kernel:
 *
 *	no-nowait	a userfaultfd has no read that never waits, as before Linux 6.10
 */
#ifndef GVMFS_MUTANT_H
#define GVMFS_MUTANT_H

#include <stdbool.h>

#ifdef GVM_MUTANTS
#include <string.h>

extern const char *mutant_chosen; /* NULL: none */

static inline bool mutant(const char *name)
{
	return mutant_chosen && strcmp(mutant_chosen, name) == 0;
}
#else
#define mutant(name) false
#endif

#endif
