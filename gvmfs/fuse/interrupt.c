// SPDX-License-Identifier: GPL-2.0-or-later
/* interrupt.c - see interrupt.h. */
#include "interrupt.h"

#include "file.h"
#include "node/jobs.h"
#include "state/worker.h"

#include <signal.h>
#include <stdio.h>
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

/* A job that looks which callers are being killed. */
struct look {
	struct job job; /* first */
	struct worker *w;
	unsigned count;
	struct {
		int tid;
		bool killed;
	} caller[];
};

/* The text lists a process's groups before its signals: up to 65,536 groups of 11 bytes. */
#define STATUS_BYTES_MAX (1u << 20)

/* Whether SIGKILL is pending for the thread: its own, or what the kernel makes of another fatal
 * signal. */
static bool thread_is_killed(int tid)
{
	static const char *const pending[] = { "SigPnd:", "ShdPnd:" };
	char path[40], *text = malloc(STATUS_BYTES_MAX);
	unsigned long long sets = 0;
	int error;

	if (!text)
		return false; /* the next look may have memory */
	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	error = file_text(path, text, STATUS_BYTES_MAX);
	for (unsigned i = 0; !error && i < 2; i++) {
		const char *set = text_field(text, pending[i]);

		sets |= set ? strtoull(set, NULL, 16) : 0;
	}
	free(text);
	return sets >> (SIGKILL - 1) & 1;
}

static void look_work(struct job *job, struct pool *pool)
{
	struct look *look = (struct look *)job;

	(void)pool;
	for (unsigned k = 0; k < look->count; k++)
		look->caller[k].killed = thread_is_killed(look->caller[k].tid);
}

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

static void look_done(struct job *job)
{
	struct look *look = (struct look *)job;
	struct worker *w = look->w;
	struct interrupt *i;

	w->interrupts->looking = false;
	w->interrupts->look_at_ns = gvm_now_ns() + LOOK_EVERY_NS;
	for (unsigned k = 0; k < look->count; k++)
		if (look->caller[k].killed)
			mark_killed(w, look->caller[k].tid);
	while ((i = find_killed(w))) /* from the beginning each time: end() may end others */
		interrupt_end(i);
	free(look);
}

static void look_begin(struct worker *w)
{
	struct look *look;
	unsigned count = 0;

	for (struct interrupt *i = w->interrupts->first; i; i = i->next)
		count++;
	look = calloc(1, sizeof(*look) + count * sizeof(*look->caller));
	if (!look)
		return;
	look->job.work = look_work;
	look->job.done = look_done;
	look->w = w;
	for (struct interrupt *i = w->interrupts->first; i; i = i->next)
		if (i->tid > 0) /* 0: in a PID namespace that is not visible here */
			look->caller[look->count++].tid = i->tid;
	w->interrupts->looking = true;
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
