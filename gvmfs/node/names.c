// SPDX-License-Identifier: GPL-2.0-or-later
/* names.c - see names.h. */
#include "names.h"

#include "base/log.h"
#include "jobs.h"
#include "names_apply.h"
#include "names_job.h"
#include "names_state.h"
#include "state/worker_state.h"

#include <errno.h>
#include <stdlib.h>

#define FRESH_NS      1000000000ull
#define ROUND_NS      10000000000ull /* between two rounds, with few tombstones */
#define ROUND_MANY_NS 1000000000ull  /* the same with many, or with uneven nodes */
#define ROUND_MANY    1024	     /* tombstones */
#define SAY_NS	      60000000000ull
#define SLICE_NS      50000ull /* of applying records, during which faults wait */

/* Rounds */

static void round_end(struct job *job)
{
	struct names_round_job *rj = (struct names_round_job *)job;

	rj->w->names->round = false;
	free(rj);
}

static void round_start(struct worker *w, uint64_t upto)
{
	struct names_round_job *rj = calloc(1, sizeof(*rj));

	if (!rj)
		return;
	rj->job.work = names_job_round;
	rj->job.done = round_end;
	rj->w = w;
	rj->upto = upto;
	w->names->round = true;
	w->names->round_ns = gvm_now_ns();
	jobs_submit(w->jobs, &rj->job);
}

static void say_tombstones_stay(struct worker *w, unsigned gone)
{
	uint64_t now = gvm_now_ns();

	if (w->names->said_ns && now - w->names->said_ns < SAY_NS)
		return;
	w->names->said_ns = now;
	log_warning(NULL, "the nodes remember %u removed names until every node of --nodes answers: if "
			  "a node is gone for good, take it off the list", gone);
}

/* Starts a round if one is due: to drop tombstones, or to tell a node that restarted what was forgotten. Needs all
 * nodes. */
static void round_consider(struct worker *w, const struct names_load_job *lj)
{
	uint64_t since = gvm_now_ns() - w->names->round_ns;
	struct names_due due = lj->due;

	if (!lj->known->healed) {
		/* The fence of an interrupted round may keep new names out: a round lifts it. */
		due.uneven = true;
		due.upto = w->names->clock;
	}
	if (!lj->all_answered && due.gone >= ROUND_MANY)
		say_tombstones_stay(w, due.gone);
	if (!lj->all_answered || w->names->round || (!due.gone && !due.uneven))
		return;
	if (w->names->round_ns &&
	    since < (due.gone < ROUND_MANY && !due.uneven ? ROUND_NS : ROUND_MANY_NS))
		return;
	round_start(w, due.upto);
}

/* Refreshing */

static void load_start(struct worker *w, bool once);

static void waiters_wake(struct worker *w, struct names_waiter *list, int result)
{
	while (list) {
		struct names_waiter *waiter = list;

		list = waiter->next;
		waiter->done(w, result, waiter->arg);
		free(waiter);
	}
}

/* The load has ended: the tree is up to date, or lj->job.result says why not. */
static void load_end(struct worker *w, struct names_load_job *lj)
{
	struct names_waiter *waiters = w->names->waiters;

	if (!lj->job.result) {
		if (lj->table)
			w->names->table = lj->table;
		w->names_at_ns = lj->begun_ns;
		w->names->even = lj->known->healed;
		round_consider(w, lj);
	}
	w->names->load = NULL;
	w->names->waiters = w->names->later;
	w->names->later = NULL;
	if (w->names->waiters)
		load_start(w, true);
	waiters_wake(w, waiters, lj->job.result);
	free(lj);
}

static void load_read(struct job *job)
{
	struct names_load_job *lj = (struct names_load_job *)job;
	struct worker *w = lj->w;

	names_hear(w, lj->clock);
	if (job->result < 0)
		load_end(w, lj);
	else
		names_apply_begin(&w->names->apply, lj);
}

uint64_t names_tick(struct worker *w, uint64_t now_ns)
{
	struct names_apply *apply = &w->names->apply;
	struct names_load_job *lj = apply->load;

	if (!lj)
		return LOOP_NEVER;
	if (!names_apply_some(w, apply, now_ns + SLICE_NS))
		return now_ns;
	load_end(w, lj);
	return now_ns; /* the waiters' callbacks may have made timers due */
}

/* Starts a load for w->names->waiters. */
static void load_start(struct worker *w, bool once)
{
	struct names_load_job *lj = calloc(1, sizeof(*lj));
	struct names_waiter *waiters = w->names->waiters;

	if (!lj) {
		w->names->waiters = NULL;
		waiters_wake(w, waiters, -ENOMEM);
		return;
	}
	lj->job.work = names_job_load;
	lj->job.done = load_read;
	lj->known = &w->names->known;
	lj->w = w;
	lj->once = once;
	lj->begun_ns = gvm_now_ns();
	lj->gone_count = w->inodes->gone_count;
	w->names->load = lj;
	jobs_submit(w->jobs, &lj->job);
}

void names_refresh(struct worker *w, bool once, names_done_fn *done, void *arg)
{
	struct names_load_job *load = w->names->load;
	/* A load that has just begun is as good as a new one, within the time that names may lag behind. */
	bool share = load && gvm_now_ns() - load->begun_ns < FRESH_NS;
	struct names_waiter *waiter, **list;

	if (done) {
		waiter = calloc(1, sizeof(*waiter));
		if (!waiter) {
			done(w, -ENOMEM, arg);
			return;
		}
		waiter->done = done;
		waiter->arg = arg;
		for (list = load && !share ? &w->names->later : &w->names->waiters; *list;)
			list = &(*list)->next;
		*list = waiter;
	}
	if (!load)
		load_start(w, once);
}

bool names_are_fresh(struct worker *w)
{
	return w->names_at_ns && gvm_now_ns() - w->names_at_ns < FRESH_NS;
}
