// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * resident_replay.c - what chunks of resident.h are fetched since they were used before: those that an earlier start touched
 * (resident_replay()); and when the budget is raised, those that were evicted, the latest first.
 *
 * Such a chunk is fetched with the pages that were used, and waits INACTIVE and unmapped, as what is fetched ahead of a
 * reader does: so its first use is noticed, and what is never used goes first. It takes free room only, and so that nothing
 * has to go for it, not even be zapped. Once what is here has to go, for whatever reason, the rest of the list is
 * dropped: the guest has shown what it needs. Few GETs are in flight for it while any other is.
 */
#include "base/mutant.h"
#include "resident_priv.h"

#define REPLAY_STEPS 64u /* that one turn looks at */
#define ZERO_STEPS   16u /* as much as to put in a chunk of zeros takes */
#ifndef REPLAY_FETCHES
#define REPLAY_FETCHES 8u
#endif
#define REPLAY_BESIDE 2u /* beside GETs that are not for a replay */

/* Whether so many pages more leave so much of the budget free that nothing has to be zapped, or evicted. */
static bool replay_has_room(const struct resident *r, unsigned pages)
{
	if (r->local >= r->chunks * GVM_CHUNK_PAGES || r->pinned || mutant("replay-takes-room"))
		return true;
	return !resident_lacks_room(r) && r->here + r->coming + pages + 2 * resident_headroom(r) <= r->local;
}

static bool replay_may_fetch(struct resident *r, uint64_t c)
{
	bool others = r->rs->fetching > r->rs->replaying;

	if (r->replaying >= (others ? REPLAY_BESIDE : REPLAY_FETCHES))
		return false;
	if (fetch_ahead_allowed(r, c))
		return true;
	if (!r->replaying)
		resident_want(r);
	return false;
}

/* False: not now. */
static bool step_replay(struct resident *r, uint64_t c, uint32_t pages, unsigned *steps)
{
	bool zero = chunk_is_zero(r, c);

	if (zero)
		pages = ~0u;
	if (!replay_has_room(r, (unsigned)__builtin_popcount(pages)) || (!zero && !replay_may_fetch(r, c)))
		return false;
	resident_count(r, replayed, 1);
	if (zero) {
		fill_ahead_with_zeros(r, c);
		*steps += ZERO_STEPS - 1;
	} else {
		fetch_replay(r, c, pages);
	}
	return true;
}

void replay_continue(struct resident *r)
{
	unsigned steps = 0;

	while (r->replay_next < r->replay_count && !r->short_at_ns && !r->client_gone && !r->aborted && !r->give &&
	       !r->give_asked) {
		const struct trail_step *s = &r->replay[r->replay_next];
		uint64_t c = s->chunk;

		if (steps++ >= REPLAY_STEPS) {
			r->later = true;
			return;
		}
		if (c < r->chunks) {
			chunk_take(r, c);
			if (r->chunk[c].state == CHUNK_ABSENT && !r->chunk[c].list &&
			    !step_replay(r, c, trail_pages(s->windows), &steps))
				return;
		}
		r->replay_next++;
	}
}
