/* SPDX-License-Identifier: GPL-2.0-or-later */
/* names_state.h - what the front thread knows of the name table (names.h), for the files that read and save it. */
#ifndef GVMFS_NAMES_STATE_H
#define GVMFS_NAMES_STATE_H

#include "names_known.h"
#include "state/record.h"

struct names_load_job;
struct worker;

/* What was read is applied to the tree, a slice at a time: names_apply.h. */
struct names_apply {
	struct names_load_job *load; /* NULL: there is nothing to apply */
	size_t entry;		     /* first, the next entry of the load's list */
	unsigned nr;		     /* then, the next of our own inodes */
	struct record room;	     /* for the record that is being unpacked */
};

/* Unlinked regions of other hosts that were found without a writer, and since when. */
#define NAMES_ORPHANS 64
struct names_orphan {
	struct gvm_id id;
	uint64_t since_ns; /* 0: no entry */
};

struct names_waiter {
	struct names_waiter *next;
	void (*done)(struct worker *w, int result, void *arg);
	void *arg;
};

struct names_state {
	uint64_t table; /* id of the table for new names; 0: not known yet */
	uint64_t clock; /* the highest version or birth seen: the next name is born after it */
	struct names_load_job *load;  /* in progress, until applied; NULL: none */
	struct names_known known;     /* belongs to the load's job while that runs */
	struct names_apply apply;     /* then the front thread applies it to the tree, a slice at a time */
	struct names_waiter *waiters; /* for the end of the load */
	struct names_waiter *later;   /* for the end of the next load */
	bool even;		      /* at the last load, none of the nodes that answered was left lacking a record */
	bool round;		      /* a round is in progress */
	uint64_t round_ns;	      /* when the last round began */
	uint64_t said_ns;	      /* when the log last told that tombstones stay */
	struct names_orphan orphans[NAMES_ORPHANS];
};

#endif
