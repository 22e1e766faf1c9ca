/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * views.h - which replicas of a slot have all that was acknowledged, and when a write is.
 *
 * A slot (one of the parts that a region's chunks are dealt out to) has up to VIEW_REPLICAS replicas, each on a node
 * of its own. Its view is a number and its members: the replicas that hold every acknowledged write. A write goes to
 * all members, and is acknowledged when all of them have it. A member that fails, or is silent for too long, lacks nothing
 * as long as nothing is written, and stays. When something needs a view without it (a write that the others have), it is
 * excluded by one, which has the next number: first the journal says what is about to be, then each
 * member of the new view records it as proposed, then the journal makes it the view, and only then does a write need the
 * excluded replica no longer. The members are told afterwards that the view is active. A replica outside of the view is
 * read by nobody. It comes back (or another takes its place) by a view with it, once it was given all that the members
 * have while nothing was written.
 *
 * The journal outlives the worker. Where it is lost with its host, the replicas' records tell what was (view_choose()).
 * A proposed view says little: the host may have given it up for one with other members (A has recorded that it goes on
 * alone, and fails; B is back, and it is B that goes on alone). So the last active view that is known has to answer
 * whole: whatever came after has at least one member of it, which recorded that; and who is a member of the
 * last proposed view, too, is a member of the last active one. A member that is silent, or that began anew without its
 * memory, may have gone on alone.
 *
 * For that to be true, a view that takes a replica in must not be proposed before all members know that theirs is active,
 * and all of the new one's know that it is active before it counts: a member that thinks it is alone would be
 * believed. If such a view is given up when some know it already, no write begins before they know better.
 *
 * Pure decisions over struct view_env: gvmfs runs them, and a model checker (tests/views).
 */
#ifndef GVMFS_VIEWS_H
#define GVMFS_VIEWS_H

#include <stdbool.h>
#include <stdint.h>

#define VIEW_REPLICAS	 3u
#define VIEW_NUMBER_BITS 33u

/* Masks have bit r for the slot's replica r. */
#define VIEW_STRANGER (1u << 7) /* in what a replica says: a member that our record of the region does not name */

struct view {
	uint64_t number; /* epoch of the writer << VIEW_NUMBER_BITS, plus how many it began; 0: none was ever recorded */
	uint8_t members;
};

/*
 * The journal's word of a slot: the last number that a view was recorded under, in bits 0..55 (the writer's epoch alone:
 * none was yet), the members in 56..59, and in 60..63 those of the view that is about to be, which has that number; 0: none
 * is. The word changes by one store.
 */
typedef uint64_t view_word;

/* Of a writer that has just made the region: no view was ever recorded. */
view_word view_word_make(uint64_t epoch, uint8_t members);
/* Of one that has attached it, and was told of views, or used force: the members record it first. */
view_word view_word_again(uint64_t epoch, uint8_t members);
uint8_t view_word_members(view_word word);
/* The view that is about to be; members 0: there is none. */
struct view view_word_next(view_word word);

struct view_slot;

struct view_env {
	/* The journal has this word from here on. */
	void (*publish)(struct view_slot *v, view_word word);
	/* A replica is to record a view, as proposed or as active: view_recorded() once, not from within. */
	void (*record)(struct view_slot *v, unsigned replica, const struct view *view, bool active);
};

struct view_slot {
	const struct view_env *env;
	void *owner;
	view_word word;	  /* what the journal has */
	uint8_t bad;	  /* do not answer, or lost what they had */
	bool needed;	  /* a view without these is: view_need() */
	uint8_t leaving;  /* are to be members no more, though they answer: view_leave() */
	uint8_t complete; /* outside of the view, with all that its members have: view_complete() */
	uint8_t asked;	  /* of the next view's members: those that are about to record it */
	uint8_t recorded; /* and those that have */
	uint8_t telling;  /* of the view's members, or of the next one's: are about to record that it is active */
	uint8_t told;	  /* and those that have */
	bool grows;	  /* the view that is about to be, or one that was given up for it, takes a replica in */
};

/* A worker begins: its predecessor's change of the view goes on with the first view_turn(). */
void view_begin(struct view_slot *v, const struct view_env *env, view_word word, void *owner);

/* ---- events: they change state, view_turn() decides */

/* A replica does not answer, or has lost what it had; or it answers again, with all that it had. */
void view_bad(struct view_slot *v, unsigned replica, bool bad);
/* Something needs a view without the members that are bad now. It is over when there is one, or when none is bad. */
void view_need(struct view_slot *v);
/* It is to be a member no more, though it has everything (or that is over): it leaves when all members answer, and if
 * another is left. */
void view_leave(struct view_slot *v, unsigned replica, bool leave);
/* It has recorded a view of this number (error 0), or not. */
void view_recorded(struct view_slot *v, unsigned replica, uint64_t number, bool active, int error);
/* A replica outside of the view has everything that the members have. The caller begins no write from before it
 * looks at that until view_is_changing() is false. */
void view_complete(struct view_slot *v, unsigned replica);
/* That it is complete is not true any more, since a write must begin. */
void view_incomplete(struct view_slot *v, unsigned replica);

/* Begins what is to be done. */
void view_turn(struct view_slot *v);

/* ---- what holds */

/* Replicas to write to, and to read from: the members that answer; all members where none does. */
uint8_t view_targets(const struct view_slot *v);
/* A write may begin. */
bool view_may_write(const struct view_slot *v);
/* A write that these replicas have is acknowledged. */
bool view_holds(const struct view_slot *v, uint8_t acked);
/* A new view is about to be. */
bool view_is_changing(const struct view_slot *v);
/* A replica that is complete would be taken in: all members answer, and know that the view is active. */
bool view_may_grow(const struct view_slot *v);
/* Replicas that are not in the view, nor about to be, as each member knows: another node may have their place. */
uint8_t view_outside(const struct view_slot *v);
/* Fewer members than replicas. */
bool view_is_degraded(const struct view_slot *v, uint8_t replicas);

/* ---- without the journal */

/* What a replica says. For who wants to be the writer: once it refuses whoever wrote before. */
struct view_seen {
	bool answers; /* and is the node that was given the replica: the same incarnation */
	struct view active, proposed;
};

/*
 * Members of the last view that have all that was acknowledged, by what the slot's replicas say (bit r of `replicas`:
 * seen[r] is one). A slot of which none has recorded a view has all of them as members. 0; or -EIO where a member of the
 * last active view that is known does not answer, or is none that we know (VIEW_STRANGER): *members is then what is left by force (0: nothing), and may be old. The
 * caller takes for each chunk the newest version that a member has, and gives it to those that have an older one before it
 * writes.
 */
int view_choose(const struct view_seen seen[VIEW_REPLICAS], uint8_t replicas, uint8_t *members);
/* The word to begin with after that. */
view_word view_word_of(const struct view_seen seen[VIEW_REPLICAS], uint8_t replicas, uint64_t epoch, uint8_t members);

#endif
