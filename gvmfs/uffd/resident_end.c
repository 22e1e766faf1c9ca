// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * resident_end.c - the end of a client of resident.h, and what is due by the clock. When it has left and
 * its mapping is gone, nobody can change the memory any more: all of it is written back, and the region
 * is a file again.
 */
#include "base/log.h"
#include "resident_priv.h"

#include <errno.h>
#include <string.h>

#define RETRY_NS     1000000000ull
#define LOOK_NS	     5000000ull
#define GONE_SAY_NS  5000000000ull

void client_trouble(struct resident *r, int error)
{
	if (error == -ESRCH)
		resident_left(r);
	else if (error == -EEXIST)
		resident_abort(r, "another program puts pages into its memory");
	else
		resident_abort(r, strerror(-error));
}

void resident_abort(struct resident *r, const char *why)
{
	if (r->aborted)
		return;
	r->aborted = true;
	log_error(env_name(r), "its client, process %d, cannot go on: %s", r->pid, why);
	env_abort(r, why);
	resident_ios_fail(r, ALL_CHUNKS, -EIO);
	resident_syncs_fail(r, -EIO);
}

void resident_left(struct resident *r)
{
	if (r->client_gone)
		return;
	r->client_gone = true;
	r->look_at_ns = env_now();
	r->gone_said_ns = r->look_at_ns + GONE_SAY_NS;
	env_unwatch(r);
}

void resident_zapped(struct resident *r, uint64_t seq)
{
	if (r->zapping && seq == r->zap_seq) {
		zap_done(r);
		resident_balance(r);
	}
}

void resident_pin(struct resident *r)
{
	r->pinned = true;
	blocked_continue(r);
}

/* Everything that is here may go as it is. */
static void drain_begin(struct resident *r)
{
	r->draining = true;
	r->zapping = false;
	fetches_cancel(r);
	for (uint64_t c = 0; c < r->chunks && r->busy; c++) {
		if (r->chunk[c].list == LIST_BLOCKED)
			chunk_unlist(r, c);
		/* What a writer has comes when it is handed back. */
		if (r->chunk[c].state != CHUNK_ABSENT && !r->chunk[c].sending) {
			chunk_set_state(r, c, CHUNK_INACTIVE);
			chunk_enlist(r, c, LIST_INACTIVE);
		}
	}
}

/* Returns when to look again, 0: it is over. */
static uint64_t gone_tick(struct resident *r, uint64_t now_ns)
{
	if (!r->draining && !r->detached && env_memory_alive(r)) {
		if (now_ns > r->gone_said_ns) {
			log_error(env_name(r), "process %d has left, but its memory is still there; "
				  "nothing of it is written back before that is gone", r->pid);
			r->gone_said_ns = now_ns + 12 * GONE_SAY_NS;
		}
		return now_ns + LOOK_NS;
	}
	if (!r->draining)
		drain_begin(r);
	resident_balance(r);
	if (r->busy || r->evictions || r->fetches)
		return r->retry_at_ns > now_ns ? r->retry_at_ns : now_ns + RETRY_NS;
	return 0;
}

/* What a region on the fast path has to do by itself, and when next. */
static uint64_t serving_tick(struct resident *r, uint64_t now_ns)
{
	uint64_t *const due[] = { &r->retry_at_ns, &r->zap_at_ns };
	uint64_t next = ~0ull;
	bool now = false;

	for (unsigned i = 0; i < sizeof(due) / sizeof(*due); i++) {
		if (*due[i] > now_ns) {
			next = *due[i] < next ? *due[i] : next;
		} else if (*due[i]) {
			*due[i] = 0;
			now = true;
		}
	}
	if (now)
		resident_balance(r);
	return next;
}

/* Ends a pass of fsyncs that takes too long, also where the client has left; returns when the one
 * under way does, ~0: never. */
static uint64_t syncs_tick(struct resident *r, uint64_t now_ns)
{
	if (r->sync_deadline_ns && r->sync_deadline_ns <= now_ns) {
		resident_syncs_fail(r, -ETIMEDOUT);
		resident_balance(r);
	}
	return r->sync_deadline_ns ? r->sync_deadline_ns : ~0ull;
}

/* Means that one region gave back are what another may wait for. */
static void balance_all(struct residents *rs)
{
	rs->freed = false;
	for (unsigned i = 0; i < JOURNAL_SESSIONS; i++)
		if (rs->list[i])
			resident_balance(rs->list[i]);
}

uint64_t residents_tick(struct residents *rs, uint64_t now_ns)
{
	uint64_t next = ~0ull, due;

	if (rs->freed && rs->count > 1)
		balance_all(rs);

	for (unsigned i = 0; i < JOURNAL_SESSIONS && rs->count; i++) {
		struct resident *r = rs->list[i];

		if (!r)
			continue;
		due = syncs_tick(r, now_ns);
		next = due < next ? due : next;
		if (r->client_gone) {
			if (r->draining && !r->busy && !r->evictions && !r->fetches)
				r->look_at_ns = 0;
			if (r->look_at_ns <= now_ns)
				r->look_at_ns = gone_tick(r, now_ns);
			if (!r->look_at_ns) {
				env_close(r);
				continue;
			}
			if (r->look_at_ns < next)
				next = r->look_at_ns;
		} else {
			due = serving_tick(r, now_ns);
			next = due < next ? due : next;
		}
	}
	return next;
}
