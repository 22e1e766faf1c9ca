/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * closes.h - a call that an open file makes fail (EBUSY) waits for a close that may be in flight.
 *
 * close() returns before gvmfs is told: the kernel sends RELEASE when it has dropped its own last reference to the
 * open file. A read-ahead, or a request that the worker is just answering, can still hold one. A program that has
 * closed a file must not get EBUSY for it afterwards. So the call waits: for up to 5 s while READs into the page cache
 * are in flight, otherwise for up to 0.5 s, since the RELEASE may be the next request. Front thread.
 */
#ifndef GVMFS_CLOSES_H
#define GVMFS_CLOSES_H

#include "inode.h"

struct worker;

/* One waiting call; embedded in its state, all zero at first. */
struct close_wait {
	LIST_ENTRY(close_wait) in;
	struct inode *inode;
	struct task *task;
	uint64_t until_ns; /* CLOCK_MONOTONIC; 0: has not waited yet */
};

/* The task, which holds the inode (inode_acquire()), found it open. True: the task runs again after the next RELEASE
 * or at the deadline, and has to check again. False: the deadline has passed. */
bool close_wait(struct worker *w, struct close_wait *wait, struct inode *inode, struct task *task);
/* A RELEASE of the inode has arrived: runs the task that inode->closing (not NULL) names, which may free the inode. */
void closes_heard(struct inode *inode);
/* Ends waits whose deadline has passed; returns the next deadline (CLOCK_MONOTONIC), or ~0. */
uint64_t closes_tick(struct worker *w, uint64_t now_ns);

#endif
