// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * resident_recover.c - what a killed worker left of a region on the fast path, out of the memory
 * itself and the marks. A page that was filled is one, also if the memory lacks it; one that was coming
 * is one if the memory has it, since the client may have changed it by then; whatever else the memory
 * has is no content, and goes.
 */
#include "base/mutant.h"
#include "resident_priv.h"

/* The pages that the memory holds, into chunk[].known for the moment. Of a large region most of the rest was
 * never touched, nor is it here. */
static void present_find(struct resident *r)
{
	uint64_t at = 0, hole, end = r->chunks * GVM_CHUNK_BYTES;

	for (; at < end && r->env->data(r, SESSION_MEMORY, &at, &hole); at = hole)
		for (uint64_t p = at; p < hole && p < end; p += GVM_PAGE_BYTES)
			r->chunk[p / GVM_CHUNK_BYTES].known |=
				1u << (p / GVM_PAGE_BYTES % GVM_CHUNK_PAGES);
}

static void chunk_recover(struct resident *r, uint64_t c)
{
	struct resident_mark *mark = &r->mark[c];
	uint32_t present = r->chunk[c].known, marked = mark->filled | (mark->coming & present);

	if (mutant("presence-trusted"))
		marked |= present;
	r->chunk[c].known = 0;
	r->here += chunk_here(r, c); /* by its mark, which nobody has counted yet */
	/* What stays in spite of that goes when pages come in its place. */
	pages_punch(r, c, present & ~marked);
	chunk_fill(r, c, marked);
	r->env->mark32(r, &mark->coming, marked);
	chunk_mark_holes(r, c, marked & ~present, true);
	if (mark->filled)
		chunk_activate(r, c);
}

/* What lies there without any mark. */
static void unmarked_recover(struct resident *r)
{
	uint64_t at = 0, hole, end = r->chunks * GVM_CHUNK_BYTES;

	for (; at < end && r->env->data(r, SESSION_MEMORY, &at, &hole); at = hole)
		for (uint64_t c = at / GVM_CHUNK_BYTES; c < r->chunks && c * GVM_CHUNK_BYTES < hole; c++)
			if (r->chunk[c].state == CHUNK_ABSENT && r->chunk[c].known)
				chunk_recover(r, c);
}

void resident_recover(struct resident *r)
{
	present_find(r);
	for (uint64_t c = 0; (c = chunk_touched(r, c)) < r->chunks; c++)
		chunk_recover(r, c);
	unmarked_recover(r);
	r->recovering = false;
	session_set_remove(&r->rs->recovering, r->session);
	/* Faults that the predecessor had taken are not told again. */
	r->env->wake_all(r);
	resident_ios_look(r);
}
