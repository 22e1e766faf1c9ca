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

#include "state/inode.h"

struct worker;

/* Unlinked files of other hosts that were found without a writer, and since when. */
#define NAMES_ORPHANS 64
struct names_orphan {
	struct gvm_id id;
	uint64_t since_ns; /* 0: no entry */
};

typedef void names_done_fn(struct worker *w, int result, void *arg);

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
	struct names_waiter *waiters; /* for its end */
	struct names_waiter *later;   /* for the end of one that begins after it */
	bool round;		      /* one is under way */
	uint64_t round_ns;	      /* when the last began */
	uint64_t said_ns;	      /* that tombstones cannot end */
	struct names_orphan orphans[NAMES_ORPHANS];
};

/* Stores the inode's record, as it is now, under its next version. -ETIMEDOUT: no majority. -ENOSPC:
 * the nodes' tables are full. -ESTALE: it was removed meanwhile. A new name that came too late to be
 * made under its id gets another id. */
void names_save(struct worker *w, struct inode *inode, names_done_fn *done, void *arg);

/* The same for a record of which only the times are newer; soon gives up, and with -ESTALE if another host
 * changed the record. The inode need not be held. */
void names_save_times(struct worker *w, struct inode *inode, names_done_fn *done, void *arg);

/* Reads the whole table and brings the tree up to date. Result: 0, or why a majority did not
 * answer. Waits for one as long as --timeout says; `once` gives up after a second or two. Callers
 * that wait for the same answer share it. `done` may be NULL. */
void names_refresh(struct worker *w, bool once, names_done_fn *done, void *arg);

/* Ends the wait of the caller that gave `arg`: done is not called. False: there is no such caller. */
bool names_abandon(struct worker *w, void *arg);

/* The last refresh is so recent that another would hardly tell more. */
bool names_are_fresh(struct worker *w);

#endif
