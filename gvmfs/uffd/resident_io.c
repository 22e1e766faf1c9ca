// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * resident_io.c - requests of FUSE for a region that the fast path serves (resident.h): reads see
 * the client's memory and change nothing; writes and punches go into it, chunk by chunk, and bring
 * each chunk in first.
 */
#include "base/mutant.h"
#include "page_run.h"
#include "resident_priv.h"

#include <assert.h>
#include <errno.h>

void resident_io_finish(struct resident *r, struct resident_io *io, int error)
{
	if (error < 0)
		resident_count(r, io_errors, 1);
	io->done(io, error);
}

/* Reads. */

void resident_read(struct resident *r, uint64_t chunk, unsigned page, uint8_t *to)
{
	r->env->read(r, to, chunk * GVM_CHUNK_BYTES + page * GVM_PAGE_BYTES, GVM_PAGE_BYTES);
}

/* Writes and holes. */

static uint32_t pages_between(uint64_t off, uint64_t end)
{
	unsigned first = off / GVM_PAGE_BYTES % GVM_CHUNK_PAGES;
	unsigned count = (unsigned)((end - 1) / GVM_PAGE_BYTES - off / GVM_PAGE_BYTES + 1);

	return page_run_mask(first, count);
}

/* Ends a chunk's eviction, if there is one, since the chunk is about to change. */
static void call_off(struct resident *r, uint64_t c)
{
	if (r->chunk[c].state == CHUNK_EVICTING && !mutant("not-called-off"))
		chunk_show(r, c, GVM_NO_PAGE);
}

/* Pages of a chunk have become holes, and count as filled, whether they were here before or not. */
static void chunk_punched(struct resident *r, uint64_t c, uint32_t pages)
{
	const struct chunk *k = &r->chunk[c];

	chunk_mark_holes(r, c, pages, true);
	chunk_fill(r, c, pages);
	/* A blocked chunk goes on waiting for room for its other pages. */
	if (k->list == LIST_BLOCKED && !mutant("punch-unblocks"))
		chunk_set_state(r, c, CHUNK_RESIDENT);
	else if (k->state == CHUNK_ABSENT)
		chunk_activate(r, c);
	/* If all of it is holes, no page-table entry is left: it can be evicted at once. */
	if ((chunk_holes(r, c) | ~chunk_pages(r, c)) == ~0u && k->list != LIST_BLOCKED &&
	    (k->state == CHUNK_RESIDENT || k->state == CHUNK_INACTIVE)) {
		chunk_set_state(r, c, CHUNK_INACTIVE);
		chunk_enlist_first(r, c, LIST_INACTIVE);
	}
	/* A faulter that waits for one of these pages now finds zeros. */
	pages_wake(r, c, pages);
}

/* Brings in the pages of which a request changes these bytes only. False: they are not all here
 * yet. */
static bool pages_are_here(struct resident *r, uint64_t off, uint64_t end)
{
	uint64_t c = off / GVM_CHUNK_BYTES;
	uint32_t pages = off < end ? pages_between(off, end) : 0;
	uint32_t lacking = pages & ~r->mark[c].filled;

	if (!lacking)
		return true;
	resident_bring(r, c, (unsigned)__builtin_ctz(lacking), ~0u);
	return !(pages & ~r->mark[c].filled);
}

/* Writes zeros to a part of a filled page, unless the page is a hole. */
static int edge_zero(struct resident *r, uint64_t off, uint64_t end)
{
	uint64_t c = off / GVM_CHUNK_BYTES;

	if (off == end || (!r->give_asked && chunk_holes(r, c) & pages_between(off, end)))
		return 0;
	return r->env->write(r, NULL, off, end - off);
}

/* Puts zero pages into holes before a write, which by itself might allocate pages beside them too. */
static int run_unhole(struct resident *r, uint64_t c, unsigned first, unsigned n, void *arg)
{
	int error = 0;

	(void)arg;
	for (unsigned p = first; p < first + n && (!error || error == -EEXIST); p++) {
		unsigned done;

		error = r->env->copy_hidden(r, c, p, 1, NULL, &done);
	}
	return error == -EEXIST ? 0 : error;
}

/* Punches out the whole pages of a range, and writes zeros to the parts of pages at both ends. 1:
 * it waits. */
static int step_zero(struct resident *r, uint64_t off, uint64_t end)
{
	uint64_t c = off / GVM_CHUNK_BYTES, entry = r->index[c];
	uint64_t first = (off + GVM_PAGE_BYTES - 1) / GVM_PAGE_BYTES * GVM_PAGE_BYTES;
	uint64_t last = end / GVM_PAGE_BYTES * GVM_PAGE_BYTES;
	int error;

	if (!resident_has(r, c) && !r->give_asked && (!entry || entry & GVM_VERSION_ZERO))
		return 0;
	if (first > last) { /* within one page */
		if (!pages_are_here(r, off, end))
			return 1;
		call_off(r, c);
		return edge_zero(r, off, end);
	}
	if (!pages_are_here(r, off, first) || !pages_are_here(r, last, end))
		return 1;
	call_off(r, c);
	error = edge_zero(r, off, first);
	if (!error)
		error = edge_zero(r, last, end);
	if (error || first == last)
		return error;
	error = r->env->punch(r, first, last - first);
	if (!error)
		chunk_punched(r, c, pages_between(first, last));
	return error;
}

static int step_write(struct resident *r, const uint8_t *data, uint64_t off, uint64_t end)
{
	uint64_t c = off / GVM_CHUNK_BYTES;
	uint32_t holes;
	int error;

	if (!pages_are_here(r, off, end))
		return 1;
	holes = chunk_holes(r, c) & pages_between(off, end);
	if (!resident_has_room(r, (unsigned)__builtin_popcount(holes))) {
		r->ios_lack_room = true;
		return 1;
	}
	call_off(r, c);
	/* They count as here before they are: a successor may find more room than it thinks, never less. */
	if (holes)
		chunk_mark_holes(r, c, holes, false);
	error = for_page_runs(r, c, holes, run_unhole, NULL);
	return error ? error : r->env->write(r, data, off, end - off);
}

/* Does the next chunk's part of a request. 1: it waits. */
static int io_step(struct resident *r, struct resident_io *io)
{
	uint64_t end = (io->off / GVM_CHUNK_BYTES + 1) * GVM_CHUNK_BYTES;
	int error;

	if (end > io->end)
		end = io->end;
	chunk_take(r, io->off / GVM_CHUNK_BYTES);
	error = io->data ? step_write(r, io->data + (io->off - io->begin), io->off, end)
			 : step_zero(r, io->off, end);
	if (!error)
		io->off = end;
	return error;
}

/* Goes on with a request, and ends it if it is done. */
static void io_continue(struct resident *r, struct resident_io *io)
{
	int error = 0;

	for (uint64_t at = io->off; io->settles && at < io->end; at = (at / GVM_CHUNK_BYTES + 1) * GVM_CHUNK_BYTES)
		chunk_take(r, at / GVM_CHUNK_BYTES);
	while (!error && !io->settles && io->off < io->end) {
		if (r->aborted || r->env->failed(r))
			error = -EIO;
		else if (r->client_gone)
			error = 1; /* it waits until the region is an ordinary file again */
		else
			error = io_step(r, io);
	}
	if (error > 0)
		return;
	TAILQ_REMOVE(&r->ios, io, entry);
	resident_io_finish(r, io, error);
}

bool resident_cancel(struct resident *r, struct resident_io *io)
{
	/* A call that waits for the client may be using its data. */
	if (r->io_now == io && !mutant("cancelled-early"))
		return false;
	if (r->io_next == io && !mutant("next-cancelled"))
		r->io_next = TAILQ_NEXT(io, entry);
	TAILQ_REMOVE(&r->ios, io, entry);
	return true;
}

static void io_begin(struct resident *r, struct resident_io *io, uint64_t off, uint64_t bytes, bool settles)
{
	io->begin = io->off = off;
	io->end = off + bytes;
	io->settles = settles;
	TAILQ_INSERT_TAIL(&r->ios, io, entry);
	resident_ios_look(r);
}

void resident_write(struct resident *r, struct resident_io *io, const void *data, uint64_t off,
		    uint64_t bytes)
{
	resident_count(r, writes, 1);
	resident_count(r, write_bytes, bytes);
	io->data = data;
	io_begin(r, io, off, bytes, false);
}

void resident_zero(struct resident *r, struct resident_io *io, uint64_t off, uint64_t bytes)
{
	resident_count(r, punched_pages, bytes / GVM_PAGE_BYTES);
	io->data = NULL;
	io_begin(r, io, off, bytes, false);
}

void resident_settle(struct resident *r, struct resident_io *io, uint64_t off, uint64_t bytes)
{
	uint64_t most = r->chunks * GVM_CHUNK_BYTES - off;

	io->data = NULL;
	io_begin(r, io, off, bytes < most ? bytes : most, true);
}

/* In the order in which they were begun. */
void resident_ios_continue(struct resident *r)
{
	uint64_t took = r->here + r->coming;

	if (!r->ios_due)
		return;
	r->ios_due = r->ios_lack_room = false;
	for (r->io_now = TAILQ_FIRST(&r->ios); r->io_now; r->io_now = r->io_next) {
		r->io_next = TAILQ_NEXT(r->io_now, entry);
		io_continue(r, r->io_now);
	}
	/* The pages that they have brought take room, and requests that lack room need chunks to be
	 * evicted. */
	if (took != r->here + r->coming || resident_lacks_room(r))
		resident_note(r);
}

void resident_ios_end(struct resident *r)
{
	struct resident_io *io;

	assert(TAILQ_EMPTY(&r->syncs) && TAILQ_EMPTY(&r->syncs_next));
	if (r->give)
		r->give->done(r->give, r->given ? 0 : RESIDENT_OVER);
	r->give = NULL;
	while ((io = TAILQ_FIRST(&r->ios))) {
		TAILQ_REMOVE(&r->ios, io, entry);
		io->done(io, RESIDENT_OVER);
	}
}

void resident_ios_fail(struct resident *r, uint64_t chunk, int error)
{
	struct resident_io *io, *next;

	for (io = TAILQ_FIRST(&r->ios); io; io = next) {
		next = TAILQ_NEXT(io, entry);
		/* (One that settles waits for no fetch, and may be of other chunks too.) */
		if (io->settles || io->off / GVM_CHUNK_BYTES != chunk)
			continue;
		TAILQ_REMOVE(&r->ios, io, entry);
		resident_io_finish(r, io, error);
	}
}
