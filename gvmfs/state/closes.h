/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * closes.h - a call that is refused while others have the file open waits for closes that are under way.
 *
 * close() returns before gvmfs hears of it: the kernel sends RELEASE once nothing of the kernel's own uses the open
 * file any more, which may be a read-ahead that no program waits for, or the end of an answer that the worker is just
 * writing. A program that has closed a file and goes on must not find it open. So the call waits: for as long as
 * READs into the page cache are under way, or shortly, since a RELEASE may be the next request. Front thread.
 */
#ifndef GVMFS_CLOSES_H
#define GVMFS_CLOSES_H

#include "inode.h"

struct worker;

/* Embedded in what waits; all zero at first. */
struct close_wait {
	LIST_ENTRY(close_wait) in;
	struct inode *inode;
	struct task *task;
	uint64_t until_ns; /* 0: it has not waited yet */
};

/* The task, which has the inode, found it open. True: it is run again when that may be over, and looks again. False:
 * it has waited long enough. */
bool close_wait(struct worker *w, struct close_wait *wait, struct inode *inode, struct task *task);
/* A file of the inode was closed, for which inode->closing waits: runs that, which may free the inode. */
void closes_heard(struct inode *inode);
/* Ends waits that are over; returns when it wants to be called again (CLOCK_MONOTONIC), or ~0. */
uint64_t closes_tick(struct worker *w, uint64_t now_ns);

#endif
