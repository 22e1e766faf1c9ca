// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * resident_sync.c - an fsync of a region of resident.h: a pass over the chunks, in their order, has
 * each chunk that is here sent as it is, pinned or not, and keeps it. (The client may change the
 * chunk meanwhile; the hashes of what was sent show that later.) The pass is over when it has come
 * to the end and the nodes have acknowledged what it sent. Fsyncs that come during a pass wait for
 * the next one.
 *
 * A chunk that comes in behind the pass does not matter: its node had the content. A chunk that a
 * writer has when the pass comes to it may have been read before the fsync: the pass waits, and
 * sends the chunk if it is still here.
 *
 * A pass over a large region takes long, and faults wait for the turn: so one turn handles
 * SYNC_STEPS chunks.
 */
#include "base/mutant.h"
#include "resident_priv.h"

#include <assert.h>
#include <errno.h>

#ifndef SYNC_STEPS
#define SYNC_STEPS 4096u
#endif

/* Sends the next chunk, if it is here. False: it has to wait, or the pass is at the end. */
static bool sync_step(struct resident *r)
{
	uint64_t c = r->sync_next = chunk_touched(r, r->sync_next);
	const struct chunk *k = &r->chunk[c];

	if (c == r->chunks)
		return false;
	if (!mutant("left-unsynced"))
		chunk_take(r, c);
	if (resident_has(r, c) && k->sync_pass != r->sync_pass) {
		if (k->sending && !mutant("synced-early"))
			return false;
		/* The pages that are being fetched come first. */
		if (k->state == CHUNK_FILLING)
			return false;
		if (!k->sending && !eviction_sync(r, c))
			return false;
	}
	r->sync_next++;
	return true;
}

void sync_continue(struct resident *r)
{
	unsigned steps = 0;

	if (!r->syncing || r->env->now(r) < r->retry_at_ns)
		return;
	while (steps < SYNC_STEPS && sync_step(r))
		steps++;
	r->later |= steps == SYNC_STEPS;
}

void sync_outcome(struct resident *r, const struct eviction *e)
{
	uint64_t c = e->flush.chunk;

	/* An outcome of an earlier pass does not count. */
	if (!r->syncing || e->sync_pass != r->sync_pass)
		return;
	assert(r->sync_sent);
	r->sync_sent--;
	if (e->flush.result >= 0)
		return;
	r->chunk[c].sync_pass = 0; /* send it again */
	if (c < r->sync_next)
		r->sync_next = c;
}

static void sync_begin(struct resident *r)
{
	TAILQ_CONCAT(&r->syncs, &r->syncs_next, entry);
	if (TAILQ_EMPTY(&r->syncs))
		return;
	if (!++r->sync_pass)
		r->sync_pass = 1; /* 0 means none */
	r->syncing = true;
	r->sync_next = r->sync_sent = 0;
	r->sync_error = 0;
	r->sync_deadline_ns = r->env->deadline(r);
	resident_note(r);
}

static bool sync_is_over(struct resident *r)
{
	if (r->aborted || r->env->failed(r) || resident_is_alone(r))
		r->sync_error = -EIO;
	else if (r->sync_late)
		r->sync_error = -ETIMEDOUT;
	return r->sync_error || (r->sync_next == r->chunks && !r->sync_sent);
}

void resident_syncs_check(struct resident *r)
{
	struct resident_io *io;

	if (r->syncing && sync_is_over(r)) {
		r->syncing = false;
		r->sync_deadline_ns = 0;
		while ((io = TAILQ_FIRST(&r->syncs))) {
			TAILQ_REMOVE(&r->syncs, io, entry);
			resident_io_finish(r, io, r->sync_error);
		}
	}
	r->sync_late = false;
	if (!r->syncing)
		sync_begin(r);
}

void resident_sync(struct resident *r, struct resident_io *io)
{
	TAILQ_INSERT_TAIL(&r->syncs_next, io, entry);
	resident_note(r);
}
