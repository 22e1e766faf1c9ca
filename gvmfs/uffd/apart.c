// SPDX-License-Identifier: GPL-2.0-or-later
/* apart.c - see apart.h. */
#include "apart.h"

#include "base/log.h"
#include "resident.h"
#include "resident_calls.h"
#include "state/lookout.h"
#include "state/worker_state.h"
#include "uffd.h"

#include <assert.h>
#include <pthread.h>
#include <poll.h>
#include <unistd.h>

#define CALM_NS	   10000000000ull /* without a call that waited: then the front takes the region back */
#define CALM_TIMES 8u		  /* how often that may double, less one */
#define RECOVER_NS 100000ull

void region_apart(struct resident *r)
{
	struct journal_session *s = &r->w->journal->sessions[r->session];

	r->apart = true;
	if (r->reliefs < CALM_TIMES)
		r->reliefs++;
	s->server = s->caller;
	/* The region's own thread polls for its faults. */
	resident_faults_watch(r, false);
	log_warning(env_name(r), "process %d does not let a page into its memory: only this region waits",
		    r->pid);
}

static bool is_calm(const struct resident *r, uint64_t now_ns)
{
	return now_ns > r->waited_ns + (CALM_NS << (r->reliefs - 1)) && !r->client_gone;
}

/* Gives the region back to the front; false: its faults cannot be added to the front's loop. */
static bool region_give_back(struct resident *r)
{
	assert(r->apart && !r->client_gone);
	if (resident_faults_watch(r, true) < 0)
		return false;
	r->apart = false;
	resident_note(r);
	log_info(env_name(r), "process %d lets pages into its memory again", r->pid);
	return true;
}

/* Waits, without the role, until there is something to do. */
static void region_wait(struct resident *r, uint64_t due_ns)
{
	struct relief *rl = &r->w->lookout->relief;
	struct pollfd p[2] = { { .fd = r->kick_fd, .events = POLLIN },
			       { .fd = r->client_gone ? -1 : r->faults_fd, .events = POLLIN } };
	uint64_t now = gvm_now_ns(), count;
	int ms = due_ns == ~0ull ? -1 : due_ns <= now ? 0 : (int)((due_ns - now + 999999) / 1000000);

	relief_poke(rl);
	relief_unlock(rl);
	poll(p, 2, ms);
	if (p[1].revents & POLLERR) {
		uffd_set_nonblock(r->fd[SESSION_UFFD]);
		usleep(UFFD_ERROR_US);
	}
	if (p[0].revents && read(p[0].fd, &count, sizeof(count)) < 0)
		log_debug(NULL, "an eventfd is readable, but empty");
	relief_lock(rl);
	r->kicked = false;
}

static bool region_tick(struct resident *r, uint64_t now_ns, uint64_t *due)
{
	if (r->to_go)
		resident_go_now(r);
	return resident_tick(r, now_ns, due);
}

/* The thread that was relieved serves the region, and then ends; called with the role's lock. `r`
 * NULL: the region is gone. */
static _Noreturn void region_look_after(struct worker *w, unsigned session, struct resident *r)
{
	uint64_t now, due;

	pthread_setname_np(pthread_self(), "gvmfs-region");
	while (r) {
		if (!region_tick(r, gvm_now_ns(), &due))
			break;
		now = gvm_now_ns(); /* a call in the tick may have waited for long */
		if (is_calm(r, now) && region_give_back(r))
			break;
		if (r->again)
			continue;
		if (due > now + CALM_NS)
			due = now + CALM_NS;
		if (r->recovering || r->sweeping)
			due = now; /* once others have had the role */
		region_wait(r, due);
		if (!r->client_gone)
			resident_faults_read(r);
	}
	w->journal->sessions[session].server = 0;
	relief_leave(&w->lookout->relief);
}

static void region_kick(struct resident *r)
{
	uint64_t one = 1;

	if (r->kicked || r->turning)
		return; /* its thread is about to look anyway */
	r->kicked = true;
	if (write(r->kick_fd, &one, sizeof(one)) < 0)
		return; /* it is readable already */
}

/* Runs a region's tick in the front, or wakes the region's own thread. */
static void region_serve(struct worker *w, struct resident *r, uint64_t now_ns)
{
	struct relief *rl = &w->lookout->relief;
	struct residents *rs = w->residents;
	unsigned session = r->session;
	bool there;

	session_set_remove(&rs->noted, session);
	rs->due_ns[session] = LOOP_NEVER;
	if (r->apart) {
		if (r->again)
			region_kick(r);
		return;
	}
	relief_allow(rl, r);
	there = region_tick(r, now_ns, &rs->due_ns[session]);
	if (!there || !r->again)
		session_set_remove(&rs->noted, session); /* the turn has handled what it noted itself */
	if (!relief_deny(rl)) {
		rs->due_ns[session] = LOOP_NEVER; /* this thread runs the region's clock now */
		region_look_after(w, session, there ? r : NULL);
	}
}

void regions_turn(struct worker *w)
{
	struct residents *rs = w->residents;
	uint64_t now_ns = session_set_is_empty(&rs->noted) ? 0 : gvm_now_ns();

	for (unsigned s = 0; (s = session_set_next(&rs->noted, s)) < JOURNAL_SESSIONS; s++) {
		struct resident *r = rs->list[s];

		session_set_remove(&rs->noted, s);
		if (r && (r->again || rs->due_ns[s] <= now_ns))
			region_serve(w, r, now_ns);
	}
}

/* Goes on taking over what a predecessor left, in one region after the other, for about RECOVER_NS. Returns when to go
 * on; LOOP_NEVER: there was none. */
static uint64_t regions_recover(struct worker *w)
{
	struct residents *rs = w->residents;
	uint64_t now_ns = gvm_now_ns(), end_ns = now_ns + RECOVER_NS;
	bool some = false;

	for (unsigned n = 0; n < JOURNAL_SESSIONS && now_ns < end_ns; n++) {
		unsigned s = session_set_next(&rs->recovering, rs->recover_next);

		if (s == JOURNAL_SESSIONS)
			s = session_set_next(&rs->recovering, 0);
		if (s == JOURNAL_SESSIONS)
			break;
		rs->recover_next = s + 1;
		if (rs->list[s]->apart)
			continue; /* its own thread does that */
		region_serve(w, rs->list[s], now_ns);
		some = true;
		now_ns = gvm_now_ns();
	}
	return some ? now_ns : LOOP_NEVER;
}

/* When the first of all regions is due. */
static uint64_t regions_due(const struct residents *rs)
{
	uint64_t next = rs->watch_ns;

	for (unsigned s = 0; (s = session_set_next(&rs->open, s)) < JOURNAL_SESSIONS; s++)
		next = rs->due_ns[s] < next ? rs->due_ns[s] : next;
	return next;
}

uint64_t regions_tick(struct worker *w, uint64_t now_ns)
{
	struct residents *rs = w->residents;
	uint64_t next;

	relief_keep(&w->lookout->relief);
	if (rs->watch_ns <= now_ns)
		residents_faults_watch(rs);
	/* Note all of them before the first is served: this thread may be relieved while it serves. */
	residents_tell_freed(rs);
	for (unsigned s = 0; (s = session_set_next(&rs->open, s)) < JOURNAL_SESSIONS; s++)
		if (rs->due_ns[s] <= now_ns)
			session_set_add(&rs->noted, s);
	regions_turn(w);
	/* Regions that were recovered have new timers, and requests that waited for a region's end
	 * may have made other things due. */
	next = regions_recover(w);
	if (rs->ended || residents_have_freed(rs) || !session_set_is_empty(&rs->noted))
		next = now_ns;
	rs->ended = false;
	now_ns = regions_due(rs);
	return now_ns < next ? now_ns : next;
}
