// SPDX-License-Identifier: GPL-2.0-or-later
/* resident_end.c - the end of a region of resident.h. When the client has left and its mapping is
 * gone, no process can change the memory any more: all of it is written back, and the region is an
 * ordinary file again. One turn handles END_STEPS chunks, since the faults of other regions wait for it. */
#include "base/log.h"
#include "resident_priv.h"

#include <errno.h>

#ifndef END_STEPS
#define END_STEPS 4096u
#endif

/* Makes a chunk INACTIVE, so that it can be evicted; if a writer or a fetch has it, that happens when it has ended. */
static void chunk_end(struct resident *r, uint64_t c)
{
	const struct chunk *k = &r->chunk[c];

	if (k->state == CHUNK_ABSENT || k->state == CHUNK_FILLING || k->sending)
		return;
	chunk_set_state(r, c, CHUNK_INACTIVE);
	chunk_enlist(r, c, LIST_INACTIVE);
}

static void drain_begin(struct resident *r)
{
	r->draining = true;
	if (r->zapping)
		zap_done(r); /* there are no page-table entries any more */
	fetches_cancel(r);
	while (r->lists[LIST_BLOCKED].head) {
		uint64_t c = r->lists[LIST_BLOCKED].head - 1;

		chunk_unlist(r, c);
		chunk_end(r, c);
	}
}

/* The next chunk of a pass that is not ABSENT; r->chunks: the pass is over, or goes on in a later turn. */
static uint64_t end_step(struct resident *r, unsigned *steps)
{
	while (r->busy && *steps < END_STEPS) {
		uint64_t c = r->end_next = chunk_touched(r, r->end_next);

		if (c == r->chunks)
			return c;
		++*steps;
		r->end_next++;
		if (r->chunk[c].state != CHUNK_ABSENT)
			return c;
	}
	r->later |= r->busy && r->end_next < r->chunks;
	return r->chunks;
}

static void drain_continue(struct resident *r)
{
	unsigned steps = 0;

	for (uint64_t c; (c = end_step(r, &steps)) < r->chunks;)
		chunk_end(r, c);
}

/* Drops what is here: the region is deleted, so no program wants it, or has failed, so no node
 * takes it. The memory itself is freed when the session ends. */
static void drop_continue(struct resident *r, bool failed)
{
	unsigned steps = 0;

	for (uint64_t c; (c = end_step(r, &steps)) < r->chunks;) {
		if (r->chunk[c].sending)
			continue;
		chunk_forget(r, c);
		r->end_lost++;
	}
	if (r->busy && r->end_next < r->chunks)
		return;
	if (r->end_lost && failed)
		log_error(r->env->name(r), "%llu chunks lost: they were on this host only",
			  (unsigned long long)r->end_lost);
	r->end_next = r->end_lost = 0; /* the next pass takes what a writer has now */
}

/* The client's memory is gone: writes back what is here, or drops it. */
void drain(struct resident *r)
{
	bool failed = r->env->failed(r), given = resident_is_alone(r), drop = failed || given || r->env->unwanted(r);

	if (!r->draining)
		drain_begin(r);
	if (drop != r->dropping)
		r->end_next = 0;
	r->dropping = drop;
	if (drop) {
		drop_continue(r, failed && !given);
		sync_continue(r);
		return;
	}
	drain_continue(r);
	while (r->lists[LIST_INACTIVE].head && r->env->now(r) >= r->retry_at_ns)
		if (!eviction_start(r, r->lists[LIST_INACTIVE].head - 1))
			break;
	sync_continue(r);
}
