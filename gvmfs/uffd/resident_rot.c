// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * resident_rot.c - chunks of resident.h of which no node has a copy that is what was stored: what is here is as new, or
 * newer, and is sent as a whole, under a new version.
 *
 * Of a chunk that has some of its pages the others are fetched first: each block verifies or does not, whatever the
 * others are. If one of those does not, it is lost: what is not here cannot be written, and what is here is sent alone, as
 * it is if the chunk leaves before that is known.
 */
#include "resident_priv.h"

#define ROT_STEPS 4096u /* chunks of a turn: see resident_sync.c */

bool resident_rotten(struct resident *r, uint64_t c, bool *news)
{
	uint32_t filled = c < r->chunks ? r->mark[c].filled : 0;

	if (r->aborted || !filled || (filled != ~0u && r->chunk[c].lost))
		return false;
	*news = !r->chunk[c].rotten;
	r->chunk[c].rotten = true;
	rot_note(r, c);
	return filled == ~0u;
}

/* False: no writer has room now. */
static bool rot_step(struct resident *r, uint64_t c)
{
	struct chunk *k = &r->chunk[c];

	chunk_take(r, c);
	if (!k->rotten || k->sending || k->state == CHUNK_FILLING)
		return true; /* its end notes it */
	if (r->mark[c].filled == ~0u || k->lost)
		return eviction_rot(r, c);
	k->rotten = resident_complete(r, c); /* or else it is found again */
	return true;
}

void rot_continue(struct resident *r)
{
	if (r->rot_next == r->rot_end || r->env->now(r) < r->retry_at_ns)
		return;
	for (unsigned steps = 0; steps < ROT_STEPS; steps++, r->rot_next++)
		if (r->rot_next == r->rot_end || !rot_step(r, r->rot_next))
			return;
	r->later = true;
}
