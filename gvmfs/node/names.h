/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * names.h - the name table: which files and folders there are, on every node of the command line.
 *
 * Each record lies under its id on all of these nodes. A change counts once a majority of them has
 * it; a reader asks a majority too and takes the newest version of each record, so it sees every
 * change that counted. A node that misses a record (it restarted, or was away) is given it by the
 * next mount that reads the table. A deleted name stays behind as a tombstone, until a round
 * (names_round.h) makes the nodes forget it. RECORDS.md has the rules.
 *
 * Front thread; the conversations run as jobs.
 */
#ifndef GVMFS_NAMES_H
#define GVMFS_NAMES_H

#include "names_apply.h"
#include "names_known.h"
#include "names_orphan.h"
#include "names_save.h"

struct worker;

struct names_waiter {
	struct names_waiter *next;
	names_done_fn *done;
	void *arg;
};

struct names_load_job;

struct names_state {
	uint64_t table; /* that new names are made in; 0: not known yet */
	uint64_t clock; /* the highest version or birth heard of: the next name is born after it */
	struct names_load_job *load;  /* under way; NULL: none */
	struct names_known known;     /* the load's, while its job runs */
	struct names_apply apply;     /* then the front thread takes it into the tree, bit by bit */
	struct names_waiter *waiters; /* for its end */
	struct names_waiter *later;   /* for the end of one that begins after it */
	bool even;		      /* a majority of this worker's nodes lacked nothing when it last answered */
	bool round;		      /* one is under way */
	uint64_t round_ns;	      /* when the last began */
	uint64_t said_ns;	      /* that tombstones cannot end */
	struct names_orphan orphans[NAMES_ORPHANS];
};

/* Reads what is new in the table and brings the tree up to date. Result: 0, or why a majority did not
 * answer. Waits for one as long as --timeout says; `once` gives up after a second or two. Callers
 * that wait for the same answer share it. `done` may be NULL. */
void names_refresh(struct worker *w, bool once, names_done_fn *done, void *arg);

/* Goes on with applying what was read, for a moment; returns when it wants to be called again. */
uint64_t names_tick(struct worker *w, uint64_t now_ns);

/* The last refresh is so recent that another would hardly tell more. */
bool names_are_fresh(struct worker *w);

#endif
