/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * views.h - which replicas of a slot have every acknowledged write, and when a write is acknowledged.
 *
 * A slot (a region's chunks are dealt out to slots) has up to VIEW_REPLICAS replicas, each on a node of its own. Its
 * view is a number and a set of members: the replicas that have every acknowledged write. A write goes to all members,
 * and is acknowledged when all of them have it. A member that fails, or is silent for too long, lacks nothing as long
 * as nothing is written, and stays. When something needs a view without it (a write that the other members have), a new
 * view with the next number excludes it. First the journal notes the next view; then each of its members records it as
 * proposed; then the journal makes it the view, and only from then on is a write acknowledged without the excluded
 * replica. Afterwards the members are told that the view is active. A replica outside of the view is never read. It
 * comes back (or another takes its place) by a view that includes it, after it was given all that the members have
 * while writes were held. One that is to move leaves by such a view: no earlier than others have all that it has.
 *
 * The journal outlives the worker. If it is lost with its host, the replicas' records tell the state (view_choose()).
 * A proposed view proves little: the host may have replaced it by one with other members (A records that it goes on
 * alone, and fails; B comes back, and it is B that goes on alone). So every member of the last known active view has to
 * answer: any later view has at least one of these members, which recorded it; and a member that is also in
 * the last proposed view is a member of the view that counts. A member that is silent, or that restarted without its
 * memory, may have gone on alone.
 *
 * For that to hold, a view that includes a new replica is not proposed before all members know that theirs is active,
 * and does not count before all of its own members know that it is active: otherwise a member that thinks it is alone
 * would be believed. If such a view is given up after some have been told, no write begins until they are told
 * otherwise.
 *
 * Pure decisions over struct view_env: run by gvmfs and by a model checker (tests/views).
 */
#ifndef GVMFS_VIEWS_H
#define GVMFS_VIEWS_H

#include <stdbool.h>
#include <stdint.h>

#define VIEW_REPLICAS	 4u /* one that moves among them */
#define VIEW_NUMBER_BITS 33u

/* Masks have bit r for the slot's replica r. */
#define VIEW_STRANGER (1u << 7) /* in a replica's answer: a member that our record of the region does not name */

struct view {
	uint64_t number; /* writer's epoch << VIEW_NUMBER_BITS, plus a count of its views; 0: none was ever recorded */
	uint8_t members;
};

/*
 * The journal's word for a slot. Bits 0..55: the last view number used (the count part is 0: this writer has recorded
 * no view yet); 56..59: the members; 60..63: the members of the next view, which has that number; 0: no change is in
 * progress. The word changes in one store.
 */
typedef uint64_t view_word;

/* For a region of which no view was ever recorded, such as a new one. */
view_word view_word_make(uint64_t epoch, uint8_t members);
/* For a writer that attached and found recorded views, or used force: the members have to record a new view first. */
view_word view_word_again(uint64_t epoch, uint8_t members);
uint8_t view_word_members(view_word word);
/* The next view; members 0: no change is in progress. */
struct view view_word_next(view_word word);

struct view_slot;

struct view_env {
	/* Stores the word in the journal. */
	void (*publish)(struct view_slot *v, view_word word);
	/* Has a replica record a view, as proposed or as active. Calls view_recorded() once, later. */
	void (*record)(struct view_slot *v, unsigned replica, const struct view *view, bool active);
};

struct view_slot {
	const struct view_env *env;
	void *owner;
	view_word word;	  /* as in the journal */
	uint8_t copies;	  /* a replica that answers leaves only if as many stay */
	/* masks of replicas, and two flags: */
	uint8_t bad;	  /* do not answer, or lost their data */
	bool needed;	  /* a view without the bad ones is needed: view_need() */
	uint8_t leaving;  /* are to leave the view, though they answer: view_leave() */
	uint8_t complete; /* outside of the view, with all that its members have: view_complete() */
	uint8_t asked;	  /* of the next view: are being asked to record it */
	uint8_t recorded; /* of the next view: have recorded it */
	uint8_t telling;  /* of the view, or of the next one: are being told that it is active */
	uint8_t told;	  /* the same: have recorded that it is active */
	bool grows;	  /* the next view, or one that was given up for it, includes a new replica */
};

/* A worker starts. `copies`: how many members there should be. The first view_turn() goes on with a change that its
 * predecessor began. */
void view_begin(struct view_slot *v, const struct view_env *env, view_word word, unsigned copies, void *owner);

/* ---- events: they change state, view_turn() decides */

/* A replica does not answer, or has lost its data (bad); or it answers again, with all that it had. */
void view_bad(struct view_slot *v, unsigned replica, bool bad);
/* A view without the members that are bad now is needed. This ends with such a view, or when no member is bad. */
void view_need(struct view_slot *v);
/* A replica is to leave the view, though it has everything (or no longer is to). It leaves when all members answer, and
 * `copies` of them are left. */
void view_leave(struct view_slot *v, unsigned replica, bool leave);
/* A replica has recorded the view of this number (error 0), or failed to. */
void view_recorded(struct view_slot *v, unsigned replica, uint64_t number, bool active, int error);
/* A replica outside of the view has everything that the members have. The caller has begun no write since before it
 * checked that, and begins none until view_is_changing() is false. */
void view_complete(struct view_slot *v, unsigned replica);
/* The replica is not complete any more, since a write has to begin. */
void view_incomplete(struct view_slot *v, unsigned replica);

/* Takes the next steps. */
void view_turn(struct view_slot *v);

/* ---- what holds */

/* Replicas to write to, and to read from: the members that are not bad; if all are bad, all members. */
uint8_t view_targets(const struct view_slot *v);
/* Whether a write may begin. */
bool view_may_write(const struct view_slot *v);
/* Whether a write that these replicas have is acknowledged. */
bool view_holds(const struct view_slot *v, uint8_t acked);
/* Whether a change of the view is in progress. */
bool view_is_changing(const struct view_slot *v);
/* Whether a complete replica would be included: no member is bad, and all know that the view is active. */
bool view_may_grow(const struct view_slot *v);
/* Replicas that are outside of the view and of any next one, as every member knows: another node may take their
 * place. */
uint8_t view_outside(const struct view_slot *v);
/* Whether the view has fewer members than there should be. */
bool view_is_degraded(const struct view_slot *v, unsigned replicas);

/* ---- without the journal */

/* A replica's answer to a mount that wants to be the writer, given once the replica refuses earlier writers. */
struct view_seen {
	bool answers; /* and is the node that the record names: the same incarnation */
	struct view active, proposed;
};

/*
 * The members of the last view that have every acknowledged write, by the answers of the slot's replicas (seen[r] is
 * one if bit r of `replicas` is set). If none has recorded a view, those in `first` are the members. 0; or -EIO: a member of
 * the last known active view does not answer, or is a node that we do not know (VIEW_STRANGER); then *members is what
 * can be used by force (0: nothing), and may be stale. The caller takes the newest version that a member has of each
 * chunk, and gives it to the members that have an older one before it writes.
 */
int view_choose(const struct view_seen seen[VIEW_REPLICAS], uint8_t replicas, uint8_t first, uint8_t *members);
/* The slot's first word after view_choose(). */
view_word view_word_of(const struct view_seen seen[VIEW_REPLICAS], uint8_t replicas, uint8_t first, uint64_t epoch,
		       uint8_t members);

#endif
