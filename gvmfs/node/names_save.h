/* SPDX-License-Identifier: GPL-2.0-or-later */
/* names_save.h - an inode's record is stored in the name table (names.h). */
#ifndef GVMFS_NAMES_SAVE_H
#define GVMFS_NAMES_SAVE_H

#include "state/inode.h"

struct worker;

typedef void names_done_fn(struct worker *w, int result, void *arg);

/* Stores the inode's record, as it is now, under its next version. -ETIMEDOUT: no majority. -ENOSPC:
 * the nodes' tables are full. -ESTALE: it was removed meanwhile. A new name that came too late to be
 * made under its id gets another id. */
void names_save(struct worker *w, struct inode *inode, names_done_fn *done, void *arg);

/* The same for a record of which only the times are newer; soon gives up, and with -ESTALE if another host
 * changed the record. The inode need not be held. */
void names_save_times(struct worker *w, struct inode *inode, names_done_fn *done, void *arg);

/* A version or birth that a node has told of: the next name is born after it. */
void names_hear(struct worker *w, uint64_t number);

#endif
