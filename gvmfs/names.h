/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * names.h - the name table: which files and folders there are, on every node of the command line.
 *
 * Each record lies under its id on all of these nodes. A change counts once a majority of them has
 * it; a reader asks a majority too and takes the newest version of each record, so it sees every
 * change that counted. A node that misses a record (it restarted, or was away) is given it by the
 * next mount that reads the table. A deleted name stays behind as a small tombstone.
 *
 * Front thread; the conversations run in job threads.
 */
#ifndef GVMFS_NAMES_H
#define GVMFS_NAMES_H

#include "inode.h"

struct worker;

/* Unlinked files of other hosts that were found without a writer, and since when. */
#define NAMES_ORPHANS 64
struct names_orphan {
	struct gvm_id id;
	uint64_t since_ns; /* 0: no entry */
};

typedef void names_done_fn(struct worker *w, int result, void *arg);

/* Stores the inode's record, as it is now, under its next version. -ETIMEDOUT: no majority. */
void names_save(struct worker *w, struct inode *inode, names_done_fn *done, void *arg);

/* Reads the whole table and brings the tree up to date. Result: 0, or why a majority did not
 * answer. Waits for one as long as --timeout says; `once` gives up after a second or two. */
void names_refresh(struct worker *w, bool once, names_done_fn *done, void *arg);

/* The last refresh is so recent that another would hardly tell more. */
bool names_are_fresh(struct worker *w);

#endif
