/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fill.h - fills a replica of a slot with everything that the members of its view (views.h) have, while the slot is
 * being written to, until the replica is a member.
 *
 *	state	what it does						what comes next
 *	COPIES	copies chunks that differ; writes to the slot go on	HOLDS: few chunks are left of those that were written
 *										meanwhile, or none
 *	HOLDS	no write begins; waits for writes in flight, and	JOINS: no write is in flight, no chunk differs
 *		copies the last chunks
 *	JOINS	no write begins; the view with the replica is recorded	DONE: it is a member
 *
 * From each of them it goes to FAILED if the replica fails, a copy cannot be made, or the fill is given up (writes must
 * not be held for long): the slot goes on without the replica. A write goes to the members only; when it ends, whatever
 * its result, its chunk differs. So a copy that begins later has that write. A copy keeps the version of its source: a
 * late one replaces nothing newer.
 *
 * The replica may hold a write of an earlier writer that was never acknowledged. If the members read zeros there (the
 * chunk was never written, or is discarded), the copy is zeros in a version above all of that writer's, which removes
 * the write for good. Over other content, a copy would need a new version on all members: that chunk stays as it is
 * until it is written again.
 *
 * Pure decisions over struct fill_env: run by gvmfs and by a model checker (tests/views).
 */
#ifndef GVMFS_FILL_H
#define GVMFS_FILL_H

#include "views.h"

#ifndef FILL_FEW
#define FILL_FEW 8u /* writes are held once no more chunks than this are left */
#endif

enum fill_held { FILL_SAME, FILL_DIFFERS, FILL_STRANGE };

enum fill_state { FILL_NONE, FILL_COPIES, FILL_HOLDS, FILL_JOINS, FILL_DONE, FILL_FAILED };

struct fill;

struct fill_env {
	/* How many chunks of the slot differ on the replica, as far as is known. A chunk that is being copied counts
	 * only if a write of it has ended since that copy began. */
	uint64_t (*left)(const struct fill *f);
	/* Begins to copy some of them. Calls fill_copied() once, later. */
	void (*copy)(struct fill *f);
	/* How many writes to the slot are in flight. */
	unsigned (*writes)(const struct fill *f);
	/* Notes that a chunk of the slot differs. */
	void (*differ)(struct fill *f, uint64_t chunk);
};

struct fill {
	const struct fill_env *env;
	void *owner;
	struct view_slot *view;
	unsigned replica; /* the one that is filled; outside of the view until DONE */
	enum fill_state state;
	bool copying;
	bool copied; /* what is left is what was written meanwhile, or what a full batch left */
};

/* Compares the version that a replica holds of a chunk with the index entry (both may have GVM_VERSION_ZERO; 0: never
 * written). `first`: this writer's lowest version, which it gives to no write. A held version that is newer than the
 * entry is a write of this writer if it is at least `first`: it will be acknowledged in this version or a later one. */
enum fill_held fill_compare(uint64_t held, uint64_t entry, uint64_t first);
/* The version for a copy of a chunk that a member holds in version `held`. */
uint64_t fill_version(uint64_t held, uint64_t first, bool zero);

/* To be called once it is known which chunks differ. */
void fill_begin(struct fill *f, const struct fill_env *env, struct view_slot *view, unsigned replica, void *owner);
/* What copy() began has ended. An error: some of these chunks still differ, and the fill is given up. */
void fill_copied(struct fill *f, int error);
/* A write of a chunk of the slot has ended, whatever its result. */
void fill_written(struct fill *f, uint64_t chunk);
/* Gives the fill up: the slot goes on without the replica. */
void fill_give_up(struct fill *f);
/* Takes the next steps. To be called after each of these, after the end of a write, and after a change of the view; the
 * caller has to call view_turn() afterwards. */
void fill_turn(struct fill *f);

/* Whether writes to the slot are held: none may begin. */
bool fill_holds(const struct fill *f);

#endif
