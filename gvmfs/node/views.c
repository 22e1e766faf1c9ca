// SPDX-License-Identifier: GPL-2.0-or-later
/* views.c - see views.h. */
#include "views.h"

#include "base/mutant.h"

#include <assert.h>
#include <errno.h>

#define NUMBER_MASK ((1ull << 56) - 1)
#define MEMBERS_AT  56
#define NEXT_AT	    60
#define ALL	    ((1u << VIEW_REPLICAS) - 1)

static view_word word_pack(uint64_t number, uint8_t members, uint8_t next)
{
	assert(number <= NUMBER_MASK && members && !(members & ~ALL) && !(next & ~ALL));
	return number | (uint64_t)members << MEMBERS_AT | (uint64_t)next << NEXT_AT;
}

static uint64_t word_number(view_word word)
{
	return word & NUMBER_MASK;
}

view_word view_word_make(uint64_t epoch, uint8_t members)
{
	return word_pack(epoch << VIEW_NUMBER_BITS, members, 0);
}

view_word view_word_again(uint64_t epoch, uint8_t members)
{
	return word_pack((epoch << VIEW_NUMBER_BITS) + 1, members, members);
}

uint8_t view_word_members(view_word word)
{
	return word >> MEMBERS_AT & ALL;
}

struct view view_word_next(view_word word)
{
	return (struct view){.number = word_number(word), .members = word >> NEXT_AT & ALL};
}

/* This writer has recorded no view yet. */
static bool word_is_first(view_word word)
{
	return !(word_number(word) & ((1ull << VIEW_NUMBER_BITS) - 1));
}

static void word_set(struct view_slot *v, view_word word)
{
	v->word = word;
	v->env->publish(v, word);
}

void view_begin(struct view_slot *v, const struct view_env *env, view_word word, unsigned copies, void *owner)
{
	*v = (struct view_slot){.env = env, .owner = owner, .word = word, .copies = (uint8_t)copies};
	assert(view_word_members(word));
	v->grows = view_word_next(word).members & ~view_word_members(word);
	if (mutant("view-next-believed") && view_word_next(word).members)
		word_set(v, word_pack(word_number(word), view_word_next(word).members, 0));
	if (word_is_first(word))
		v->told = view_word_members(word);
}

/* ---- events */

void view_bad(struct view_slot *v, unsigned replica, bool bad)
{
	uint8_t bit = (uint8_t)(1u << replica);

	v->bad = bad ? v->bad | bit : v->bad & (uint8_t)~bit;
	if (bad)
		v->complete &= (uint8_t)~bit;
}

void view_need(struct view_slot *v)
{
	v->needed = true;
}

void view_leave(struct view_slot *v, unsigned replica, bool leave)
{
	uint8_t bit = (uint8_t)(1u << replica), rest = view_word_members(v->word) & (uint8_t)~bit;

	v->leaving = leave ? v->leaving | bit : v->leaving & (uint8_t)~bit;
	if (leave && rest && mutant("view-leave-unrecorded"))
		word_set(v, word_pack(word_number(v->word), rest, 0));
}

void view_recorded(struct view_slot *v, unsigned replica, uint64_t number, bool active, int error)
{
	uint8_t bit = (uint8_t)(1u << replica);

	if (number != word_number(v->word) && !mutant("view-late-record"))
		return; /* the answer is about a view that was given up */
	if (active) {
		v->telling &= (uint8_t)~bit;
		v->told |= error ? 0 : bit;
	} else {
		v->asked &= (uint8_t)~bit;
		v->recorded |= error ? 0 : bit;
	}
}

void view_complete(struct view_slot *v, unsigned replica)
{
	assert(!(view_word_members(v->word) >> replica & 1));
	v->complete |= (uint8_t)(1u << replica);
}

void view_incomplete(struct view_slot *v, unsigned replica)
{
	v->complete &= (uint8_t)~(1u << replica);
}

/* ---- the turn */

/* Begins a change of the view, under a number that no replica has seen. */
static void next_begin(struct view_slot *v, uint8_t members)
{
	v->asked = v->recorded = v->telling = v->told = 0;
	v->grows |= members & ~view_word_members(v->word);
	word_set(v, word_pack(word_number(v->word) + !mutant("view-number-again"), view_word_members(v->word),
			      members));
}

/* (One that has failed would fail at once, again and again: it is asked when it is back.) */
static void next_record(struct view_slot *v)
{
	struct view next = view_word_next(v->word);

	for (unsigned r = 0; r < VIEW_REPLICAS; r++) {
		uint8_t bit = (uint8_t)(1u << r);

		if (!(next.members & bit) || (v->asked | v->recorded | v->bad) & bit)
			continue;
		v->asked |= bit;
		v->env->record(v, r, &next, false);
	}
}

/* Tells the members that do not know yet that the view is active. A bad one is told when it is back. */
static void active_tell(struct view_slot *v, uint8_t members)
{
	const struct view view = {.number = word_number(v->word), .members = members};

	for (unsigned r = 0; r < VIEW_REPLICAS; r++) {
		uint8_t bit = (uint8_t)(1u << r);

		if (!(members & bit) || (v->telling | v->told | v->bad) & bit)
			continue;
		v->telling |= bit;
		v->env->record(v, r, &view, true);
	}
}

/* Whether enough members are left without those that are to leave. */
static bool leave_may(const struct view_slot *v)
{
	unsigned left = (unsigned)__builtin_popcount(view_word_members(v->word) & (uint8_t)~v->leaving);

	return left >= (mutant("view-leave-early") ? 1u : v->copies);
}

/* The members that the view should have. A view that includes a new replica excludes none, and has to wait until all
 * members know that theirs is active. */
static uint8_t members_wanted(const struct view_slot *v)
{
	uint8_t members = view_word_members(v->word), next = view_word_next(v->word).members;
	uint8_t out = v->needed || v->complete || mutant("view-unneeded") ? v->bad : 0;
	uint8_t wanted = (uint8_t)((members | v->complete) & ~out);
	bool leaves = (leave_may(v) && !(members & v->bad)) || mutant("view-leave-alone");

	if (!(wanted & ~members))
		return leaves ? wanted & (uint8_t)~v->leaving : wanted;
	if (members & v->bad)
		return wanted & members;
	/* (If such a view is proposed already, go on with it.) */
	if (next == wanted || v->told == members)
		return wanted;
	return members;
}

void view_turn(struct view_slot *v)
{
	uint8_t members = view_word_members(v->word), next = view_word_next(v->word).members, wanted;
	bool grows;

	if (!(members & v->bad))
		v->needed = false;
	wanted = members_wanted(v);
	grows = wanted & ~members;
	/* At least one present member must stay: only members are known to have every acknowledged write. */
	if (!(wanted & members))
		return;
	if (!next && wanted == members) {
		active_tell(v, members);
		return;
	}
	if (next != wanted)
		next_begin(v, wanted);
	next_record(v);
	if (v->recorded != wanted && !mutant("view-unrecorded"))
		return;
	if (grows && !mutant("view-growth-early")) {
		active_tell(v, wanted);
		if (v->told != wanted)
			return;
	}
	v->complete &= (uint8_t)~wanted;
	v->asked = v->recorded = 0;
	v->grows = false;
	v->needed = false;
	word_set(v, word_pack(word_number(v->word), wanted, 0));
	active_tell(v, wanted);
}

/* ---- what holds */

uint8_t view_targets(const struct view_slot *v)
{
	uint8_t members = view_word_members(v->word);
	uint8_t good = members & (uint8_t)~v->bad;

	return good ? good : members;
}

bool view_may_write(const struct view_slot *v)
{
	return !v->grows || mutant("view-growth-unheld");
}

bool view_holds(const struct view_slot *v, uint8_t acked)
{
	uint8_t needed = view_word_members(v->word) | view_word_next(v->word).members;

	if (mutant("view-live-subset"))
		needed &= (uint8_t)~v->bad;
	if (mutant("view-next-only") && view_word_next(v->word).members)
		needed = view_word_next(v->word).members;
	return !(needed & ~acked);
}

bool view_is_changing(const struct view_slot *v)
{
	return view_word_next(v->word).members != 0;
}

bool view_may_grow(const struct view_slot *v)
{
	uint8_t members = view_word_members(v->word);

	return !view_is_changing(v) && !(members & v->bad) && v->told == members;
}

uint8_t view_outside(const struct view_slot *v)
{
	return view_may_grow(v) ? ALL & (uint8_t)~(view_word_members(v->word) | v->complete) : 0;
}

bool view_is_degraded(const struct view_slot *v, unsigned replicas)
{
	return (unsigned)__builtin_popcount(view_word_members(v->word)) < replicas;
}

/* ---- without the journal */

static const struct view *newer(const struct view *a, const struct view *b)
{
	return b->number > a->number ? b : a;
}

int view_choose(const struct view_seen seen[VIEW_REPLICAS], uint8_t replicas, uint8_t first, uint8_t *members)
{
	const struct view none = {.number = 0, .members = mutant("view-first-all") ? replicas : first};
	const struct view *active = &none, *proposed = &none;
	uint8_t answer = 0, have;

	for (unsigned r = 0; r < VIEW_REPLICAS; r++) {
		if (!(replicas >> r & 1) || !seen[r].answers)
			continue;
		answer |= (uint8_t)(1u << r);
		if (!(mutant("view-first-answer") && active->number))
			active = newer(active, &seen[r].active);
		proposed = newer(proposed, &seen[r].proposed);
	}
	if (mutant("view-proposed-believed"))
		active = newer(active, proposed);
	have = active->members;
	if (proposed->number > active->number && !mutant("view-proposed-unseen"))
		have &= proposed->members;
	*members = have & answer ? have & answer : active->members & answer ? active->members & answer : answer;
	if (mutant("view-any-answer") && *members)
		return 0;
	return !have || active->members & ~answer ? -EIO : 0;
}

view_word view_word_of(const struct view_seen seen[VIEW_REPLICAS], uint8_t replicas, uint8_t first, uint64_t epoch,
		       uint8_t members)
{
	bool none = members == first;

	for (unsigned r = 0; r < VIEW_REPLICAS; r++)
		none &= !(replicas >> r & 1) || (!seen[r].active.number && !seen[r].proposed.number);
	return none ? view_word_make(epoch, members) : view_word_again(epoch, members);
}
