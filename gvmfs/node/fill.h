/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fill.h - when a replica of a slot has all that the members of its view (views.h) have, though the slot is written to
 * meanwhile.
 *
 *	state	what it does						what comes next
 *	COPIES	chunks that differ are copied; the slot is written to	HOLDS: few are left
 *	HOLDS	no write begins; those under way end, and the last	JOINS: none is under way, and none differs
 *		chunks are copied
 *	JOINS	no write begins; the view with the replica is recorded	DONE: it is a member
 *
 * From each of them FAILED is next if the replica fails, a copy cannot be made, or it is given up (a hold must not be
 * long): the slot goes on without it. A write goes to the members only, and its chunk differs from its end on, whatever
 * came of it: so what is copied after that is not older. The copies themselves are versioned as what they copy: one that
 * comes late replaces nothing newer.
 *
 * The replica may hold what a writer before this one sent, and nobody acknowledged. Where everybody else reads zeros,
 * since the chunk was never written or is discarded, the copy is zeros in a version above all of that writer's: then it
 * is gone for good. Over other content a copy would have to be a new version on all members: it waits for the next write.
 *
 * Pure decisions over struct fill_env: gvmfs runs them, and a model checker (tests/views).
 */
#ifndef GVMFS_FILL_H
#define GVMFS_FILL_H

#include "views.h"

#ifndef FILL_FEW
#define FILL_FEW 8u /* chunks for which writes may be held */
#endif

enum fill_held { FILL_SAME, FILL_DIFFERS, FILL_STRANGE };

enum fill_state { FILL_NONE, FILL_COPIES, FILL_HOLDS, FILL_JOINS, FILL_DONE, FILL_FAILED };

struct fill;

struct fill_env {
	/* How many chunks of the slot differ there, as far as is known; one that is being copied does not count, unless a
	 * write of it has ended since that began. */
	uint64_t (*left)(const struct fill *f);
	/* Begins to copy some of them: fill_copied() once, not from within. */
	void (*copy)(struct fill *f);
	/* How many writes to the slot have begun and not ended. */
	unsigned (*writes)(const struct fill *f);
	/* A chunk of it differs from here on. */
	void (*differ)(struct fill *f, uint64_t chunk);
};

struct fill {
	const struct fill_env *env;
	void *owner;
	struct view_slot *view;
	unsigned replica; /* outside of the view */
	enum fill_state state;
	bool copying;
};

/* What a replica holds of a chunk, beside what the index says (both with GVM_VERSION_ZERO; 0: never written). What is
 * newer, and not below `first`, is a write of ours that will be acknowledged under this version or a later one. `first`:
 * the lowest version of this writer, which it gives to no write. */
enum fill_held fill_compare(uint64_t held, uint64_t entry, uint64_t first);
/* The version of a copy of what a member holds. */
uint64_t fill_version(uint64_t held, uint64_t first, bool zero);

/* The chunks that differ are known by now. */
void fill_begin(struct fill *f, const struct fill_env *env, struct view_slot *view, unsigned replica, void *owner);
/* What copy() has begun has ended. With an error: some of it differs still, and it cannot go on. */
void fill_copied(struct fill *f, int error);
/* A write of one of its chunks has ended, whatever came of it. */
void fill_written(struct fill *f, uint64_t chunk);
/* Goes on without the replica. */
void fill_give_up(struct fill *f);
/* Does what is to be done: after each of these, the end of a write, and a change of the view; a view_turn() has to
 * follow. */
void fill_turn(struct fill *f);

/* No write to the slot may begin. */
bool fill_holds(const struct fill *f);

#endif
