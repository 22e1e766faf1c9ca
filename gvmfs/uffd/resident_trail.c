// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * resident_trail.c - what a start touches of a region of resident.h, and what has been evicted: what resident_replay.c may
 * fetch later.
 *
 * The trail: each chunk of which a fault wanted a page that was not here, in the order of its first such fault, with all of
 * its pages that faults brought. It ends after TRAIL_NS, or when it is full. Prefetched chunks count when they are used,
 * so what is replayed and used is in the next start's record too.
 */
#include "resident_priv.h"

#include <string.h>

#define TRAIL_NS 600000000000ull

void trail_begin(struct resident *r)
{
	r->trail_until_ns = r->env->now(r) + TRAIL_NS;
}

void trail_note(struct resident *r, uint64_t c, uint32_t pages)
{
	struct chunk *k = &r->chunk[c];

	if (!k->trail) {
		if (r->trail_count == r->trail_room || r->env->now(r) > r->trail_until_ns)
			return;
		k->trail = ++r->trail_count;
		r->trail[k->trail - 1] = (struct trail_step){ .chunk = (uint32_t)c };
	}
	r->trail[k->trail - 1].windows |= trail_windows(pages);
}

bool trail_is_over(const struct resident *r)
{
	return r->trail_count == r->trail_room || r->env->now(r) > r->trail_until_ns;
}

void trail_used(struct resident *r, uint64_t c)
{
	struct chunk *k = &r->chunk[c];

	if (k->replayed)
		resident_count(r, replay_used, 1);
	else
		resident_count(r, prefetch_used, 1);
	k->replayed = false;
	trail_note(r, c, k->state == CHUNK_FILLING ? k->fetch->asked : r->mark[c].filled);
}

void trail_gone(struct resident *r, uint64_t c)
{
	if (!r->gone_room || r->chunk[c].ahead || r->draining)
		return;
	r->gone[r->gone_count++ % r->gone_room] =
		(struct trail_step){ .chunk = (uint32_t)c, .windows = trail_windows(r->mark[c].filled) };
}

void resident_replay(struct resident *r, const struct trail_step *steps, unsigned count)
{
	if (count > r->replay_room)
		count = r->replay_room;
	memcpy(r->replay, steps, count * sizeof(*steps));
	r->replay_count = count;
	r->replay_next = 0;
	resident_note(r);
}

void replay_gone(struct resident *r)
{
	uint64_t most = r->gone_count < r->gone_room ? r->gone_count : r->gone_room;

	if (!r->replay_room)
		return;
	/* A list under way goes on first. */
	r->replay_count -= r->replay_next;
	memmove(r->replay, r->replay + r->replay_next, r->replay_count * sizeof(*r->replay));
	r->replay_next = 0;
	for (uint64_t n = 1; n <= most && r->replay_count < r->replay_room; n++)
		r->replay[r->replay_count++] = r->gone[(r->gone_count - n) % r->gone_room];
	r->gone_count = 0;
}

void replay_drop(struct resident *r)
{
	r->replay_count = r->replay_next = 0;
}
