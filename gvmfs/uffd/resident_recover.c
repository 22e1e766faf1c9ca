// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * resident_recover.c - takes over what a killed worker left of a region on the fast path, by the marks.
 * A page that was filled counts as filled, even if the memory lacks it. A page that was coming counts as
 * filled if the memory has it, since the client may have changed it by now. (Only of the chunk into which
 * the worker was just putting pages are there any: so the memory is hardly ever asked.) Any other page in
 * the memory is no content: it is punched out before another comes in its place, or with its chunk; where
 * nothing of a chunk was taken over, at last.
 *
 * A chunk is taken over when something is to be done with it; all others in steps, between faults.
 */
#include "base/mutant.h"
#include "resident_priv.h"

#ifndef RECOVER_STEPS
#define RECOVER_STEPS 64u /* chunks taken over at a time */
#endif
#define SWEEP_LOOKS 16u   /* how often the memory is asked at a time */
#define SWEEP_STEPS 1024u /* and chunks passed by */

/* Which of the pages the memory has. */
static uint32_t pages_present(struct resident *r, uint64_t c, uint32_t pages)
{
	uint32_t present = 0;

	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		uint64_t off = c * GVM_CHUNK_BYTES + p * GVM_PAGE_BYTES, at = off;

		if (pages >> p & 1 && r->env->data(r, SESSION_MEMORY, &at, NULL) && at == off)
			present |= 1u << p;
	}
	return present;
}

void chunk_take(struct resident *r, uint64_t c)
{
	struct resident_mark *mark = &r->mark[c];
	uint32_t filled = mark->filled;
	unsigned here;

	if (!resident_is_left(r, c))
		return;
	if (mutant("presence-trusted")) {
		filled |= pages_present(r, c, ~0u);
		r->env->mark32(r, &mark->coming, mark->coming | filled);
	}
	filled |= pages_present(r, c, mark->coming & ~filled);
	if (filled != mark->filled)
		r->env->mark32(r, &mark->filled, filled);
	if (mark->coming & ~filled)
		r->env->mark32(r, &mark->coming, mark->coming & filled);
	if (!filled)
		return;
	/* They were counted already, unless the worker died before that. */
	here = chunk_here(r, c);
	if (here > r->left) {
		r->here += here - r->left;
		r->left = here;
	}
	r->left -= here;
	r->chunk[c].whole = true; /* or not: it is not known */
	trail_note(r, c, filled);
	chunk_activate(r, c);
}

/* All is taken over: what was left is known, and none. */
static void recover_end(struct resident *r)
{
	r->recovering = false;
	r->recover_next = 0;
	r->here -= r->left;
	r->left = 0;
	r->env->mark64(r, &r->kept->here, r->here);
	resident_note(r);
	resident_ios_look(r);
}

static void recover_continue(struct resident *r)
{
	for (unsigned steps = 0;; steps++) {
		uint64_t c = r->recover_next = chunk_touched(r, r->recover_next);

		if (c >= r->chunks) {
			recover_end(r);
			return;
		}
		if (steps == RECOVER_STEPS)
			return;
		chunk_take(r, c);
		r->recover_next = c + 1;
	}
}

/* Passes by chunks of which something is here. False: there are many. */
static bool sweep_pass(struct resident *r)
{
	for (unsigned steps = 0; steps < SWEEP_STEPS; steps++, r->recover_next++)
		if (r->recover_next >= r->chunks || !resident_has(r, r->recover_next))
			return true;
	return false;
}

/* Punches out what lies in chunks of which nothing is here: it takes memory that nobody counts. */
static void sweep_continue(struct resident *r)
{
	for (unsigned looks = 0; looks < SWEEP_LOOKS && sweep_pass(r); looks++) {
		uint64_t at = r->recover_next * GVM_CHUNK_BYTES, c;

		if (r->recover_next >= r->chunks || !r->env->data(r, SESSION_MEMORY, &at, NULL) ||
		    at >= r->chunks * GVM_CHUNK_BYTES) {
			r->sweeping = false;
			resident_note(r);
			return;
		}
		c = at / GVM_CHUNK_BYTES;
		if (!resident_has(r, c)) {
			r->env->punch(r, c * GVM_CHUNK_BYTES, GVM_CHUNK_BYTES); /* or it stays, if that fails */
			c++;
		}
		r->recover_next = c;
	}
}

void resident_recover(struct resident *r)
{
	r->turning = true; /* what comes meanwhile is for the turn that follows */
	if (r->recovering)
		recover_continue(r);
	if (!r->recovering && r->sweeping)
		sweep_continue(r);
	if (resident_lacks_room(r))
		resident_note(r); /* what was taken over can make it */
	r->turning = false;
	if (!r->recovering && !r->sweeping)
		session_set_remove(&r->rs->recovering, r->session);
}
