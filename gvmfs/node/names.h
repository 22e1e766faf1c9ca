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

#include "names_save.h"

struct worker;

/* Reads the table's changes from the nodes and applies them to the tree. Result: 0, or a negative errno: no majority
 * answered (-ETIMEDOUT), no memory. Waits as long as --timeout says; with `once`, for a second. Callers
 * at about the same time share one answer. `done` may be NULL. */
void names_refresh(struct worker *w, bool once, names_done_fn *done, void *arg);

/* Applies some more of what was read; returns when to call it again (CLOCK_MONOTONIC). */
uint64_t names_tick(struct worker *w, uint64_t now_ns);

/* Whether the last refresh is less than a second old. */
bool names_are_fresh(struct worker *w);

#endif
