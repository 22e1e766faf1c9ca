/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * times.h - modification and change times of files and folders.
 *
 * A change is in the journal's record at once, where it outlives a killed worker. The name
 * table gets it a little later (times_owed is set until then), together with later changes, and
 * when the last writer closes. A save for the times alone yields to other hosts: if one has changed the record
 * meanwhile, that record is read first, so that the time of a write does not undo a rename.
 *
 * Front thread only.
 */
#ifndef GVMFS_TIMES_H
#define GVMFS_TIMES_H

#include "state/inode.h"

struct worker;

/* Nanoseconds since 1970. */
uint64_t times_now(void);
/* The content of a file, or the entries of a folder, changed: sets mtime and ctime. */
void times_content(struct worker *w, struct inode *inode);
/* Something else of it changed: sets ctime. */
void times_status(struct worker *w, struct inode *inode);
/* The last writer has closed it: makes a save due now. */
void times_closed(struct worker *w, struct inode *inode);
/* The root has no record: sets its times to those of the newest entry in it. */
void times_guess_root(struct worker *w);

/* Saves the times that are due; returns when to call it again (CLOCK_MONOTONIC); ~0: when one becomes owed. */
uint64_t times_tick(struct worker *w, uint64_t now_ns);
/* At the end of the mount: starts a save of all that is owed, once. False: no save is in flight or waiting any more. */
bool times_flush(struct worker *w);

#endif
