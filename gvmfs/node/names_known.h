/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * names_known.h - what was read of the name table is kept, so that nodes need to list only what changed since.
 *
 * Kept is, of each node, what it has, and of all together what counts (names_list.h). After each reading that
 * is the same as if each node that answers had listed everything, and the others had never answered.
 *
 * Records are kept once, of what counts. So one may be missing: that of an older version, when the node that
 * had the newer one has restarted. Then everything is read anew.
 *
 * Pure code, as names_list.h.
 */
#ifndef GVMFS_NAMES_KNOWN_H
#define GVMFS_NAMES_KNOWN_H

#include "names_list.h"

struct names_known {
	unsigned count;		  /* of nodes */
	struct names_view *views; /* whole: it answered the last time */
	struct names_list all;	  /* settled */
	struct names_list news;	  /* of all, after a reading that changed a part: that; borrows the records */
	bool in_part;
	bool healed;		  /* the caller's: no node that answered the last time lacks anything of it */
};

/* 0 or -ENOMEM. */
int names_known_init(struct names_known *known, unsigned count);
void names_known_deinit(struct names_known *known);

/* Nothing is known any more: the next reading is of everything. */
void names_known_drop(struct names_known *known);

/* To be asked for the node's changes with; 0: for everything. */
uint64_t names_known_since(const struct names_known *known, unsigned node);

/*
 * Takes a reading in: what each node listed (not whole: it did not answer, or not to the end), and the newest
 * of all of it, with the records, which are taken out of `listed`. 0; -EAGAIN: everything has to be read anew;
 * -ENOMEM or -E2BIG. Where it fails nothing is known any more.
 */
int names_known_take(struct names_known *known, const struct names_view *now, struct names_list *listed);

/* What nodes may lack since the reading before, if they lacked nothing then. */
static inline const struct names_list *names_known_news(const struct names_known *known)
{
	return known->in_part ? &known->news : &known->all;
}

#endif
