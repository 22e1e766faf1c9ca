/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * names_round.h - a round of the name table: after it, tombstones up to a birth are forgotten, and
 * every node has every name that was born before. RECORDS.md says why that loses nothing.
 */
#ifndef GVMFS_NAMES_ROUND_H
#define GVMFS_NAMES_ROUND_H

#include "pool.h"

/* In a fiber. 0: all nodes have done it; -EAGAIN: not all were there, or another round came between.
 * What was done until then is right as it is. */
int names_round(struct pool *pool, uint64_t upto);

#endif
