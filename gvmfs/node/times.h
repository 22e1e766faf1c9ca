/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * times.h - when files and folders were changed.
 *
 * A change stands in the record in the journal at once, where it outlives a killed worker; the name
 * table gets it a little later (times_owed says that it has to), together with what changed since, and
 * when the last writer closes. A save for the times alone gives way: a record that another host changed
 * meanwhile is read first, so that the time of a write does not undo a rename.
 *
 * Front thread only.
 */
#ifndef GVMFS_TIMES_H
#define GVMFS_TIMES_H

#include "state/inode.h"

struct worker;

uint64_t times_now(void);
/* The content of a file changed, or the entries of a folder. */
void times_content(struct worker *w, struct inode *inode);
/* Anything else of it did. */
void times_status(struct worker *w, struct inode *inode);
/* The last writer has closed it: the name table is told now. */
void times_closed(struct worker *w, struct inode *inode);
/* The root has no record: it is as old as the newest change of what is in it. */
void times_guess_root(struct worker *w);

/* Saves what is due; returns when it wants to be called again (CLOCK_MONOTONIC), ~0: not. */
uint64_t times_tick(struct worker *w, uint64_t now_ns);
/* At the end: has everything saved, once. False when there is nothing left to wait for. */
bool times_flush(struct worker *w);

#endif
