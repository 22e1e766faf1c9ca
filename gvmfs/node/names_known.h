/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * names_known.h - keeps what was read of the name table, so that nodes need to list only what has changed since.
 *
 * It has a list of what each node has, and one of what counts (names_list.h). After each reading these
 * are the same as if every node that answered had listed everything, and the others had never answered.
 *
 * Records are kept only in the list of what counts. So one may be missing: if a node that alone had the newest version
 * has restarted, an older version counts again, and its record is not here. Then everything is read anew.
 *
 * Pure code, as names_list.h.
 */
#ifndef GVMFS_NAMES_KNOWN_H
#define GVMFS_NAMES_KNOWN_H

#include "names_list.h"

struct names_known {
	unsigned count;		  /* of nodes */
	struct names_view *views; /* one for each node; `whole`: it answered the last time */
	struct names_list all;	  /* what counts, settled */
	struct names_list news;	  /* if in_part: what the last reading changed in `all`; borrows the records */
	bool in_part;
	bool healed;		  /* kept by the caller: no node that answered the last time lacks anything of `all` */
};

/* 0 or -ENOMEM. */
int names_known_init(struct names_known *known, unsigned count);
void names_known_deinit(struct names_known *known);

/* Drops everything: the next reading is of the whole table. */
void names_known_drop(struct names_known *known);

/* The stamp since which the node has to list its changes; 0: it has to list everything. */
uint64_t names_known_since(const struct names_known *known, unsigned node);

/*
 * Takes a reading over. `now`: what each node listed (not `whole`: it did not answer, or not to the end); `listed`: the
 * newest entry of each key, whose records are moved out. 0; -EAGAIN: everything has to be read anew;
 * -ENOMEM or -E2BIG. On failure everything is dropped.
 */
int names_known_take(struct names_known *known, const struct names_view *now, struct names_list *listed);

/* What a node may lack now if it lacked nothing after the reading before. */
static inline const struct names_list *names_known_news(const struct names_known *known)
{
	return known->in_part ? &known->news : &known->all;
}

#endif
