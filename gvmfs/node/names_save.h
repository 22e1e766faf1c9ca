/* SPDX-License-Identifier: GPL-2.0-or-later */
/* names_save.h - saves an inode's record in the name table (names.h). Front thread. */
#ifndef GVMFS_NAMES_SAVE_H
#define GVMFS_NAMES_SAVE_H

#include "state/inode.h"

struct worker;

typedef void names_done_fn(struct worker *w, int result, void *arg);

/* Saves the inode's record, as it is now, in its next version. The caller holds the inode (inode_acquire()) until
 * done(). -ETIMEDOUT: no majority answered. -ENOSPC: the nodes' tables are full. -ESTALE: another host has removed
 * the name. -EBUSY: other hosts interfered; try again. -ENOMEM. A new name that was born too late for its id gets
 * another. */
void names_save(struct worker *w, struct inode *inode, names_done_fn *done, void *arg);

/* The same if only the record's times have changed. One try; -ESTALE if another host
 * changed the record. The inode need not be held. */
void names_save_times(struct worker *w, struct inode *inode, names_done_fn *done, void *arg);

/* Notes a version or birth that a node named: the next name is born after it. */
void names_hear(struct worker *w, uint64_t number);

#endif
