/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * names_apply.h - what the nodes say of the name table, taken into the tree of this mount.
 *
 * There may be thousands of names, and guests' faults wait for the front thread meanwhile: so it goes on for a
 * moment at a time, and serves what has come in between. Each name is compared with what this mount has of it
 * then: it does not matter what changes between two moments.
 */
#ifndef GVMFS_NAMES_APPLY_H
#define GVMFS_NAMES_APPLY_H

#include "state/inode.h"

struct names_load_job;
struct worker;

struct names_apply {
	struct names_load_job *load; /* NULL: there is nothing to apply */
	size_t entry;		     /* the next of its list */
	unsigned nr;		     /* then: the next of our own */
	struct record room;	     /* for one */
};

void names_apply_begin(struct names_apply *apply, struct names_load_job *load);
/* Until all is done (true) or until_ns has passed. */
bool names_apply_some(struct worker *w, struct names_apply *apply, uint64_t until_ns);

#endif
