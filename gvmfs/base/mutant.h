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
 * One is no fault, but another kernel:
 *
 *	no-nowait	a userfaultfd has no read that never waits, as before Linux 6.10
 */
#ifndef GVMFS_MUTANT_H
#define GVMFS_MUTANT_H

#include <stdbool.h>

#ifdef GVM_MUTANTS
#include <stdlib.h>
#include <string.h>

static inline bool mutant(const char *name)
{
	const char *chosen = getenv("GVM_MUTANT");

	return chosen && strcmp(chosen, name) == 0;
}
#else
#define mutant(name) false
#endif

#endif
