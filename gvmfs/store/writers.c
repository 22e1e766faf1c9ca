// SPDX-License-Identifier: GPL-2.0-or-later
/* writers.c - see writers.h. */
#include "writers.h"

#define CALM_NS	     20000000ull    /* without hurry: then writers leave all to others */
#define CALM_MAX_NS  160000000ull   /* that doubles, if hurry comes again soon */
#define CALM_SLOW_NS 20000000000ull /* the same if there was nothing left for them */
#define SLOW_NS	     4000000ull	    /* without an outcome */
#define SOON	     4u		    /* times as long */

static void yield_set(struct writers *ws, enum writer_yield yield)
{
	if (ws->yield == yield)
		return;
	ws->yield = yield;
	for (unsigned i = 0; i < ws->count; i++)
		writer_yield(&ws->writer[i], yield);
}

static bool is_slow(const struct writers *ws, uint64_t now_ns)
{
	return ws->under_way && now_ns - ws->moved_ns > SLOW_NS;
}

/* What waits for a writer that gets nothing would find that out again and again. */
static void calm_learn(struct writers *ws, uint64_t now_ns)
{
	bool soon = now_ns < ws->calm_ns + SOON * ws->held_ns;

	if (is_slow(ws, now_ns)) {
		if (ws->slow_ns != ws->moved_ns && ws->held_ns < CALM_SLOW_NS)
			ws->held_ns *= 8;
		ws->slow_ns = ws->moved_ns;
	} else if (ws->yield == WRITER_IDLE && !soon) {
		ws->held_ns = CALM_NS;
	} else if (ws->yield == WRITER_IDLE && ws->held_ns < CALM_MAX_NS) {
		ws->held_ns *= 2;
	}
}

static void hurry(struct writers *ws, uint64_t now_ns)
{
	calm_learn(ws, now_ns);
	yield_set(ws, WRITER_NICE);
	ws->calm_ns = now_ns + ws->held_ns;
}

void writers_hurry(struct writers *ws)
{
	if (ws->yields && ws->may_return)
		hurry(ws, gvm_now_ns());
}

static void calm_look(struct writers *ws, uint64_t now_ns)
{
	if (!ws->yields || !ws->may_return)
		return;
	if (is_slow(ws, now_ns))
		hurry(ws, now_ns);
	else if (now_ns > ws->calm_ns)
		yield_set(ws, WRITER_IDLE);
}

int writers_init(struct writers *ws, const struct options *opts, uint64_t client)
{
	int r = flush_queue_init(&ws->queue);

	ws->count = opts->writers;
	ws->may_return = writer_may_return();
	ws->held_ns = CALM_NS;
	for (unsigned i = 0; !r && i < ws->count; i++)
		r = writer_start(&ws->writer[i], opts, client, &ws->queue);
	return r;
}

void writers_send(struct writers *ws, struct flush *f)
{
	uint64_t now_ns = gvm_now_ns();

	if (!ws->under_way++)
		ws->moved_ns = now_ns;
	if (f->resident)
		calm_look(ws, now_ns);
	else
		writers_hurry(ws);
	flush_queue_add(&ws->queue, f);
	ws->next = (ws->next + 1) % ws->count;
	writer_wake(&ws->writer[ws->next]);
}

void writers_collect(struct writers *ws, struct worker *w)
{
	struct flush *f = flush_queue_finished(&ws->queue), *next;

	if (f)
		ws->moved_ns = gvm_now_ns();
	for (; f; f = next) {
		next = f->next;
		ws->under_way--;
		f->done(w, f);
	}
}

void writers_yield(struct writers *ws, bool yield)
{
	ws->yields = yield;
	yield_set(ws, yield ? WRITER_NICE : WRITER_EQUAL);
	writers_hurry(ws);
}
