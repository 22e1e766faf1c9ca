// SPDX-License-Identifier: GPL-2.0-or-later
/* interrupt.c - see interrupt.h. */
#include "interrupt.h"

#include "node/jobs.h"
#include "state/worker_state.h"
#include "store/pagecache.h"
#include "store/pagecache_helper.h"

#include <stddef.h>
#include <stdlib.h>

#define LOOK_EVERY_NS 100000000ull

static void interrupt_unlink(struct interrupt *i)
{
	*i->link = i->next;
	if (i->next)
		i->next->link = i->link;
	i->link = NULL;
}

static void interrupted(fuse_req_t req, void *data)
{
	struct interrupt *i = data, **first = &i->w->interrupts->first;

	(void)req; /* libfuse holds its lock: interrupts_tick() answers later */
	if (i->link)
		return;
	i->next = *first;
	if (i->next)
		i->next->link = &i->next;
	i->link = first;
	*first = i;
}

void interrupt_arm(struct interrupt *i, struct worker *w, fuse_req_t req, bool by_any,
		   void (*end)(struct interrupt *i))
{
	*i = (struct interrupt){
		.w = w,
		.req = req,
		.tid = fuse_req_ctx(req)->pid,
		.since_ns = gvm_now_ns(),
		.by_any = by_any,
		.end = end,
	};
	fuse_req_interrupt_func(req, interrupted, i);
}

void interrupt_disarm(struct interrupt *i)
{
	if (i->link)
		interrupt_unlink(i);
	if (i->req)
		fuse_req_interrupt_func(i->req, NULL, NULL);
	i->req = NULL;
}

static void interrupt_end(struct interrupt *i)
{
	interrupt_disarm(i);
	i->end(i);
}

/* A look which callers are being killed. */
struct look {
	struct pagecache_ask ask; /* first */
	struct job job;
	struct worker *w;
	unsigned count;
	int32_t tids[PAGECACHE_LOOKS_MAX];
};

/* Marks what a killed thread waits for: one request at a time. */
static void mark_killed(struct worker *w, int tid)
{
	for (struct interrupt *i = w->interrupts->first; i; i = i->next)
		i->killed |= i->tid == tid;
}

static struct interrupt *find_killed(struct worker *w)
{
	struct interrupt *i = w->interrupts->first;

	while (i && !i->killed)
		i = i->next;
	return i;
}

/* The next interrupt whose caller this round has not looked at yet. */
static struct interrupt *next_to_look_at(struct worker *w)
{
	struct interrupt *i = w->interrupts->first;

	while (i && (i->looked_at || i->tid <= 0)) /* 0: in a PID namespace that is not visible here */
		i = i->next;
	return i;
}

/* The next look is to begin with the first of them, after a while. */
static void round_over(struct worker *w)
{
	w->interrupts->look_at_ns = gvm_now_ns() + LOOK_EVERY_NS;
	for (struct interrupt *i = w->interrupts->first; i; i = i->next)
		i->looked_at = false;
}

static void look_over(struct worker *w)
{
	w->interrupts->looking = false;
	if (next_to_look_at(w))
		w->interrupts->look_at_ns = 0;
	else
		round_over(w);
}

/* `killed`: a bit for each caller; or a negative errno, for example because the look has not come to its end. */
static void look_done(struct worker *w, struct pagecache_ask *ask, int killed)
{
	struct look *look = (struct look *)ask;
	struct interrupt *i;

	for (unsigned k = 0; k < look->count; k++)
		if (killed > 0 && killed >> k & 1)
			mark_killed(w, look->tids[k]);
	while ((i = find_killed(w))) /* from the beginning each time: end() may end others */
		interrupt_end(i);
	free(look);
	look_over(w);
}

/* Without a helper a thread of the worker looks. */
static void look_alone(struct job *job, struct pool *pool)
{
	struct look *look = (struct look *)((char *)job - offsetof(struct look, job));

	(void)pool;
	job->result = helper_look(look->tids, look->count);
}

static void looked_alone(struct job *job)
{
	struct look *look = (struct look *)((char *)job - offsetof(struct look, job));

	look_done(look->w, &look->ask, job->result);
}

static void look_begin(struct worker *w)
{
	struct interrupt *i = next_to_look_at(w);
	struct look *look = i ? calloc(1, sizeof(*look)) : NULL;

	if (!i)
		round_over(w); /* those that were left have been answered meanwhile */
	if (!look)
		return;
	look->ask.done = look_done;
	look->job.work = look_alone;
	look->job.done = looked_alone;
	look->w = w;
	while (look->count < PAGECACHE_LOOKS_MAX && (i = next_to_look_at(w))) {
		i->looked_at = true;
		look->tids[look->count++] = i->tid;
	}
	w->interrupts->looking = true;
	if (pagecache_look(w, look->tids, look->count, &look->ask) < 0)
		jobs_submit_blocking(w->jobs, &look->job);
}

uint64_t interrupts_tick(struct worker *w, uint64_t now_ns)
{
	struct interrupts *all = w->interrupts;
	struct interrupt *i = all->first;
	uint64_t due = ~0ull;

	while (i) {
		if (!i->by_any) {
			i = i->next;
		} else if (now_ns >= i->since_ns + INTERRUPT_NS) {
			interrupt_end(i);
			i = all->first; /* end() may have ended others */
		} else {
			if (i->since_ns + INTERRUPT_NS < due)
				due = i->since_ns + INTERRUPT_NS;
			i = i->next;
		}
	}
	if (!all->first || all->looking)
		return due;
	if (now_ns >= all->look_at_ns) {
		look_begin(w);
		return due;
	}
	return all->look_at_ns < due ? all->look_at_ns : due;
}
