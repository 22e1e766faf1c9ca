/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * names.h - the name table: the records of all files and folders, on every node of the command line.
 *
 * Each of these nodes has all records, by id. A change counts once a majority of them has
 * it; a reader asks a majority, too, and takes the newest version of each record, so it sees every
 * change that counts. A node that lacks a record (it restarted, or was away) is given it by the
 * next mount that reads the table. A deleted name leaves a tombstone, until a round
 * (names_round.h) lets the nodes forget it. RECORDS.md has the rules.
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
	uint64_t table; /* id of the table for new names; 0: not known yet */
	uint64_t clock; /* the highest version or birth seen: the next name is born after it */
	struct names_load_job *load;  /* in progress, until applied; NULL: none */
	struct names_known known;     /* belongs to the load's job while that runs */
	struct names_apply apply;     /* then the front thread applies it to the tree, a slice at a time */
	struct names_waiter *waiters; /* for the end of the load */
	struct names_waiter *later;   /* for the end of the next load */
	bool even;		      /* at the last load, none of the nodes that answered was left lacking a record */
	bool round;		      /* a round is in progress */
	uint64_t round_ns;	      /* when the last round began */
	uint64_t said_ns;	      /* when the log last told that tombstones stay */
	struct names_orphan orphans[NAMES_ORPHANS];
};

/* Reads the table's changes from the nodes and applies them to the tree. Result: 0, or a negative errno: no majority
 * answered (-ETIMEDOUT), no memory. Waits as long as --timeout says; with `once`, for a second. Callers
 * at about the same time share one answer. `done` may be NULL. */
void names_refresh(struct worker *w, bool once, names_done_fn *done, void *arg);

/* Applies some more of what was read; returns when to call it again (CLOCK_MONOTONIC). */
uint64_t names_tick(struct worker *w, uint64_t now_ns);

/* Whether the last refresh is less than a second old. */
bool names_are_fresh(struct worker *w);

#endif
