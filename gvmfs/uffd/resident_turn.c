// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * resident_turn.c - the turn of resident.h: an event only changes the state of a region and notes that
 * the region has to be looked at; the turn then decides, until nothing changes any more. So no
 * decision calls another.
 */
#include "base/log.h"
#include "base/mutant.h"
#include "resident_priv.h"

#define RETRY_NS    1000000000ull
#define LOOK_NS	    5000000ull
#define GONE_SAY_NS 5000000000ull

void resident_begin(struct resident *r, uint64_t starts)
{
	static const uint8_t zeros[GVM_PAGE_BYTES];

	TAILQ_INIT(&r->ios);
	TAILQ_INIT(&r->syncs);
	TAILQ_INIT(&r->syncs_next);
	STAILQ_INIT(&r->news);
	STAILQ_INIT(&r->outcomes);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		hash_page(zeros, r->seed, &r->zero_hashes[p]);
	spread_begin(r);
	trail_begin(r);
	/* The client may still answer a zap request of a predecessor. */
	r->zap_seq = starts << 32;
	/* It may have died while it changed one more chunk. */
	if (chunk_touched(r, 0) < r->chunks && !mutant("left-uncounted"))
		r->here = r->left = r->kept->here + GVM_CHUNK_PAGES;
	r->env->mark64(r, &r->kept->here, r->here);
	r->recovering = r->sweeping = true;
	session_set_add(&r->rs->recovering, r->session);
	resident_note(r);
	/* Faults that it had read are not reported again: their faulters have to fault again. */
	if (!mutant("left-asleep"))
		r->env->wake_all(r);
}

/* The turn. */

static void news_look(struct resident *r)
{
	struct resident_fetch *f;
	struct eviction *e;

	while ((e = STAILQ_FIRST(&r->outcomes))) {
		STAILQ_REMOVE_HEAD(&r->outcomes, entry);
		sync_outcome(r, e);
		eviction_end(e);
	}
	while ((f = STAILQ_FIRST(&r->news))) {
		uint64_t c = f->chunk;
		int error;

		STAILQ_REMOVE_HEAD(&r->news, entry);
		/* Before fetch_look(): more pages may arrive while it waits in a call. */
		f->noted = mutant("news-late") && !f->over;
		error = fetch_look(f);
		if (mutant("news-late"))
			f->noted = false;
		if (error)
			resident_ios_fail(r, c, error);
	}
	if (r->zapped)
		zap_done(r);
}

static void serve(struct resident *r)
{
	faults_serve(r);
	room_look(r);
	sync_continue(r);
	rot_continue(r);
	over_look(r);
	/* Incoming pages use up room; repeat until no blocked fault can proceed. */
	if (blocked_continue(r))
		resident_note(r);
	else
		replay_continue(r);
	give_continue(r);
}

void resident_turn(struct resident *r)
{
	if (r->turning && !mutant("turn-in-turn"))
		return; /* an event within a turn: the loop below handles it */
	r->turning = true;
	while (r->again) {
		r->again = mutant("again-late");
		if (r->recovering && r->kept->putting && !mutant("left-late"))
			chunk_take(r, r->kept->putting - 1);
		news_look(r);
		if (r->memory_gone && (!r->recovering || mutant("left-undrained")))
			drain(r);
		else if (!r->client_gone && !r->aborted)
			serve(r);
		r->fault_count = 0;
		resident_ios_continue(r);
		resident_syncs_check(r);
		give_check(r);
		if (mutant("again-late"))
			r->again = false;
	}
	r->turning = false;
	if (r->later)
		resident_note(r);
	r->later = false;
}

/* The clock. */

/* Checks whether the memory of a client that has left is gone too. */
static void gone_look(struct resident *r, uint64_t now_ns)
{
	if (!r->memory_gone && !r->detached && r->env->memory_alive(r)) {
		if (now_ns > r->gone_said_ns) {
			log_error(r->env->name(r), "process %d has closed its connection, but its memory still "
				  "exists: nothing is written back before it is gone", r->pid);
			r->gone_said_ns = now_ns + 12 * GONE_SAY_NS;
		}
		r->look_at_ns = now_ns + LOOK_NS;
		return;
	}
	r->memory_gone = true;
	resident_note(r);
	r->look_at_ns = r->retry_at_ns > now_ns ? r->retry_at_ns : now_ns + RETRY_NS;
}

/* Notes the timers that are due. */
static void timers_look(struct resident *r, uint64_t now_ns)
{
	uint64_t *const due[] = { &r->retry_at_ns, &r->zap_at_ns, &r->sync_deadline_ns, &r->short_at_ns, &r->give_at_ns };

	if (r->sync_deadline_ns && r->sync_deadline_ns <= now_ns)
		r->sync_late = true;
	for (unsigned i = 0; i < sizeof(due) / sizeof(*due); i++)
		if (*due[i] && *due[i] <= now_ns) {
			*due[i] = 0;
			resident_note(r);
		}
	if (r->unmapped_ns && r->unmapped_ns <= now_ns) {
		r->unmapped_ns = 0;
		if (!r->client_gone)
			resident_abort(r, "it has unmapped a part of the region");
	}
	if (r->client_gone && r->look_at_ns <= now_ns)
		gone_look(r, now_ns);
}

/* When the next timer is due; ~0: never. */
static uint64_t timers_next(const struct resident *r)
{
	const uint64_t due[] = { r->retry_at_ns, r->zap_at_ns, r->sync_deadline_ns,
				 mutant("short-untimed") ? 0 : r->short_at_ns, r->unmapped_ns, r->give_at_ns,
				 r->client_gone ? r->look_at_ns : 0 };
	uint64_t next = ~0ull;

	for (unsigned i = 0; i < sizeof(due) / sizeof(*due); i++)
		if (due[i] && due[i] < next)
			next = due[i];
	return next;
}

bool resident_tick(struct resident *r, uint64_t now_ns, uint64_t *next)
{
	*next = ~0ull;
	if (r->turning)
		return true;
	timers_look(r, now_ns);
	resident_turn(r);
	if (r->recovering || r->sweeping) {
		resident_recover(r);
		resident_turn(r);
	}
	if (r->draining && !r->busy && !r->evictions && !r->fetches && TAILQ_EMPTY(&r->syncs) &&
	    TAILQ_EMPTY(&r->syncs_next)) {
		*next = now_ns; /* requests that waited for the end go on, and may make other things due */
		r->env->close(r);
		return false;
	}
	*next = timers_next(r);
	return true;
}

void residents_tell_freed(struct residents *rs)
{
	struct session_set wanting = rs->wanting;

	if (!residents_have_freed(rs))
		return;
	rs->freed = false;
	rs->wanting = (struct session_set){ 0 };
	for (unsigned s = 0; (s = session_set_next(&wanting, s)) < JOURNAL_SESSIONS; s++)
		if (rs->list[s])
			resident_note(rs->list[s]);
}
