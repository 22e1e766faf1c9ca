// SPDX-License-Identifier: GPL-2.0-or-later
/* fill.c - see fill.h. */
#include "fill.h"

#include "base/mutant.h"
#include "gvm_wire.h"

#include <assert.h>

enum fill_held fill_compare(uint64_t held, uint64_t entry, uint64_t first)
{
	uint64_t version = held & GVM_VERSION_MASK, known = entry & GVM_VERSION_MASK;
	bool over_zeros = !entry || entry & GVM_VERSION_ZERO;

	if (version < known)
		return FILL_DIFFERS;
	if (version == known || version >= first)
		return FILL_SAME;
	if (!over_zeros)
		return FILL_STRANGE;
	return held & GVM_VERSION_ZERO || mutant("fill-unknown-kept") ? FILL_SAME : FILL_DIFFERS;
}

uint64_t fill_version(uint64_t held, uint64_t first, bool zero)
{
	return zero && held < first ? first : held;
}

void fill_begin(struct fill *f, const struct fill_env *env, struct view_slot *view, unsigned replica, void *owner)
{
	*f = (struct fill){.env = env, .owner = owner, .view = view, .replica = replica, .state = FILL_COPIES};
	assert(!(view_word_members(view->word) >> replica & 1));
}

void fill_copied(struct fill *f, int error)
{
	f->copying = false;
	f->copied |= !error;
	if (error)
		fill_give_up(f);
}

void fill_written(struct fill *f, uint64_t chunk)
{
	if (!mutant("fill-unmarked"))
		f->env->differ(f, chunk);
}

void fill_give_up(struct fill *f)
{
	if (f->state == FILL_JOINS && !(view_word_members(f->view->word) >> f->replica & 1))
		view_incomplete(f->view, f->replica);
	if (f->state < FILL_DONE)
		f->state = FILL_FAILED;
}

/* Copies chunks that differ. False: there are none. */
static bool copies_go_on(struct fill *f)
{
	if (f->copying)
		return true;
	if (!f->env->left(f) || mutant("fill-unread"))
		return false;
	f->copying = true;
	f->env->copy(f);
	return true;
}

static void join_look(struct fill *f)
{
	uint8_t bit = (uint8_t)(1u << f->replica);

	if (view_word_members(f->view->word) & bit)
		f->state = FILL_DONE;
	else if (!((view_word_next(f->view->word).members | f->view->complete) & bit))
		f->state = FILL_FAILED;
}

void fill_turn(struct fill *f)
{
	if (f->view->bad >> f->replica & 1)
		fill_give_up(f);
	if (f->state == FILL_COPIES && !f->copying && f->env->left(f) <= (f->copied ? FILL_FEW : 0) && view_may_grow(f->view))
		f->state = FILL_HOLDS;
	if (f->state == FILL_COPIES) {
		copies_go_on(f);
	} else if (f->state == FILL_HOLDS && !f->env->writes(f) && !copies_go_on(f)) {
		view_complete(f->view, f->replica);
		f->state = FILL_JOINS;
	} else if (f->state == FILL_JOINS) {
		join_look(f);
	}
}

bool fill_holds(const struct fill *f)
{
	return (f->state == FILL_HOLDS || f->state == FILL_JOINS) && !mutant("fill-unheld");
}
