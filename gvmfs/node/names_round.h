/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * names_round.h - a round of the name table: it drops tombstones of names born up to `upto`, after making sure that
 * every node has every name that was born by then. RECORDS.md says why that loses nothing.
 */
#ifndef GVMFS_NAMES_ROUND_H
#define GVMFS_NAMES_ROUND_H

#include "pool.h"

/* In a fiber. 0: all nodes have done it; -EAGAIN: not all answered, or another round interfered; -ENOMEM.
 * An incomplete round does no harm. */
int names_round(struct pool *pool, uint64_t upto);

#endif
