// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * resident_recover.c - what a killed worker left of a region on the fast path, out of the memory
 * itself and the marks. A page that was filled is one, also if the memory lacks it; one that was coming
 * is one if the memory has it, since the client may have changed it by then; whatever else the memory
 * has is no content, and goes.
 */
#include "resident_priv.h"
#include "uffd.h"
#include "worker.h"

#include <fcntl.h>
#include <unistd.h>

/* The pages that the memory holds, into chunk[].known for the moment. */
static void present_find(struct resident *r)
{
	int fd = r->fd[SESSION_MEMORY];
	off_t at = 0, end = (off_t)(r->chunks * GVM_CHUNK_BYTES);

	while ((at = lseek(fd, at, SEEK_DATA)) >= 0 && at < end) {
		off_t hole = lseek(fd, at, SEEK_HOLE);

		for (; at < hole && at < end; at += GVM_PAGE_BYTES)
			r->chunk[at / GVM_CHUNK_BYTES].known |=
				1u << (at / GVM_PAGE_BYTES % GVM_CHUNK_PAGES);
	}
}

static void chunk_recover(struct resident *r, uint64_t c)
{
	struct resident_mark *mark = &r->mark[c];
	uint32_t present = r->chunk[c].known, marked = mark->filled | (mark->coming & present);

	r->chunk[c].known = 0;
	r->here += chunk_here(r, c); /* by its mark, which nobody has counted yet */
	/* What stays in spite of that goes when pages come in its place. */
	pages_punch(r, c, present & ~marked);
	chunk_fill(r, c, marked);
	journal_publish32(&mark->coming, marked);
	chunk_mark_holes(r, c, marked & ~present, true);
	if (mark->filled)
		chunk_activate(r, c);
}

void resident_recover(struct resident *r)
{
	int fd = r->fd[SESSION_MARKS];
	off_t at = 0, end = (off_t)(r->chunks * sizeof(*r->mark));

	present_find(r);
	/* Only the parts of the marks that were ever written: the rest stays untouched. */
	while ((at = lseek(fd, at, SEEK_DATA)) >= 0 && at < end) {
		off_t hole = lseek(fd, at, SEEK_HOLE);

		for (at -= at % (off_t)sizeof(*r->mark); at < hole && at < end;
		     at += sizeof(*r->mark))
			chunk_recover(r, (uint64_t)at / sizeof(*r->mark));
	}
	for (uint64_t c = 0; c < r->chunks; c++)
		if (r->chunk[c].state == CHUNK_ABSENT && r->chunk[c].known)
			chunk_recover(r, c);
	/* Faults that the predecessor had taken are not told again. */
	uffd_wake(r->fd[SESSION_UFFD], r->address, r->bytes);
}
