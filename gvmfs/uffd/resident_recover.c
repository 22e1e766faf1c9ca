// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * resident_recover.c - takes over what a killed worker left of a region on the fast path, by the
 * memory and the marks. A page that was filled counts as filled, even if the memory lacks it (a
 * hole). A page that was coming counts as filled if the memory has it, since the client may have
 * changed it by now. Any other page in the memory is no content, and is punched out.
 */
#include "base/mutant.h"
#include "resident_priv.h"

/* Collects the pages that the memory has in chunk[].known, for the moment, and returns how many there are. Touches no
 * other chunk: in a large region most were never used. */
static uint64_t present_find(struct resident *r)
{
	uint64_t at = 0, hole, end = r->chunks * GVM_CHUNK_BYTES, pages = 0;

	for (; at < end && r->env->data(r, SESSION_MEMORY, &at, &hole); at = hole)
		for (uint64_t p = at; p < hole && p < end; p += GVM_PAGE_BYTES, pages++)
			r->chunk[p / GVM_CHUNK_BYTES].known |=
				1u << (p / GVM_PAGE_BYTES % GVM_CHUNK_PAGES);
	return pages;
}

/* Returns how many pages the memory has of the chunk. */
static unsigned chunk_recover(struct resident *r, uint64_t c)
{
	struct resident_mark *mark = &r->mark[c];
	uint32_t present = r->chunk[c].known, marked = mark->filled | (mark->coming & present);

	if (mutant("presence-trusted"))
		marked |= present;
	r->chunk[c].known = 0;
	r->here += chunk_here(r, c); /* its marks were not counted yet */
	/* If this fails, such a page is punched out before another is put in its place. */
	pages_punch(r, c, present & ~marked);
	chunk_fill(r, c, marked);
	r->chunk[c].whole = true; /* or not: it is not known */
	r->env->mark32(r, &mark->coming, marked);
	chunk_mark_holes(r, c, marked & ~present, true);
	if (mark->filled)
		chunk_activate(r, c);
	return (unsigned)__builtin_popcount(present);
}

/* Chunks that have pages in the memory, but no marks. There are hardly ever any, and the kernel looks at each page of
 * the memory to find them, while a fault waits. */
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
	uint64_t left = present_find(r);

	for (uint64_t c = 0; (c = chunk_touched(r, c)) < r->chunks; c++)
		left -= chunk_recover(r, c);
	if (left)
		unmarked_recover(r);
	r->recovering = false;
	session_set_remove(&r->rs->recovering, r->session);
	/* Faults that the predecessor had read are not reported again: their faulters have to fault
	 * again. */
	r->env->wake_all(r);
	resident_ios_look(r);
}
