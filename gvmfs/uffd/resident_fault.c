// SPDX-License-Identifier: GPL-2.0-or-later
/* resident_fault.c - the faults of a region of resident.h: a page that is here is mapped, another
 * is fetched. */
#include "base/mutant.h"
#include "resident_priv.h"

#include <errno.h>

/* A fault in a chunk that is being fetched, on a page that has arrived or has not. */
static void fault_filling(struct resident *r, uint64_t c, unsigned page)
{
	struct chunk *k = &r->chunk[c];
	int error;

	if (chunk_holes(r, c) >> page & 1 && !resident_has_room(r, 1)) {
		/* When the fetch has ended the faulter is woken, faults again, and can wait for
		 * room then. */
		resident_count(r, room_waits, 1);
		k->fetch->waited |= 1u << page;
		return;
	}
	if (r->mark[c].filled >> page & 1) {
		chunk_mark_holes(r, c, 1u << page, false);
		error = pages_map(r, c, 1u << page);
		if (error)
			client_trouble(r, error);
		if (error == -ENOMEM)
			k->fetch->waited |= 1u << page; /* it is woken at the end of the fetch */
		else
			pages_wake(r, c, 1u << page);
		return;
	}
	if (k->fetch->asked & ~k->fetch->waited & 1u << page)
		resident_count(r, page_misses, 1);
	/* If the page was not asked for, its faulter is woken at the end of the fetch, and faults
	 * again. */
	k->fetch->waited |= 1u << page;
	if (k->fetch->ahead) {
		k->fetch->ahead = false;
		k->replayed = k->fetch->replay;
		trail_used(r, c);
	}
	if (k->fetch->asked & ~k->fetch->decoded & 1u << page)
		r->env->hurry(r, k->fetch);
}

static void fault_serve(struct resident *r, uint64_t address)
{
	uint64_t off = address - r->address, c = off / GVM_CHUNK_BYTES;
	unsigned page = off / GVM_PAGE_BYTES % GVM_CHUNK_PAGES;
	struct chunk *k;

	if (address < r->address || off >= r->bytes || r->client_gone || r->aborted)
		return;
	k = &r->chunk[c];
	resident_count(r, faults, 1);
	if (!mutant("left-served"))
		chunk_take(r, c);
	/* The chunk's state decides, not the kind of fault in the message, which may be out of
	 * date. */
	if (k->state == CHUNK_FILLING) {
		fault_filling(r, c, page);
		resident_ahead(r, c, page);
	} else if (!(r->mark[c].filled >> page & 1)) {
		resident_count(r, page_misses, 1);
		if (k->ahead) { /* with other pages than this */
			k->ahead = false;
			trail_used(r, c);
		}
		resident_miss(r, c, page);
		resident_ahead(r, c, page);
	} else if (chunk_holes(r, c) >> page & 1 && !resident_has_room(r, 1) && !mutant("hole-unasked")) {
		resident_count(r, room_waits, 1);
		chunk_block(r, c, page);
	} else {
		if (k->state == CHUNK_INACTIVE)
			resident_count(r, minor_faults, 1);
		life_earn(r, c);
		chunk_show(r, c, page);
		if (k->ahead) {
			k->ahead = false;
			trail_used(r, c);
			resident_ahead(r, c, page);
		}
	}
}

void faults_serve(struct resident *r)
{
	bool told = r->give_asked && !mutant("told-served"); /* the client wakes them */

	for (unsigned i = 0; !told && i < r->fault_count; i++)
		fault_serve(r, r->fault[i]);
	r->fault_count = 0;
}
