// SPDX-License-Identifier: GPL-2.0-or-later
/* writers.c - see writers.h. */
#include "writers.h"

#define YIELD_NICE 5

int writers_init(struct writers *ws, const struct options *opts, uint64_t client)
{
	int r = flush_queue_init(&ws->queue);

	ws->count = opts->writers;
	for (unsigned i = 0; !r && i < ws->count; i++)
		r = writer_start(&ws->writer[i], opts, client, &ws->queue);
	return r;
}

void writers_send(struct writers *ws, struct flush *f)
{
	flush_queue_add(&ws->queue, f);
	ws->next = (ws->next + 1) % ws->count;
	writer_wake(&ws->writer[ws->next]);
}

void writers_collect(struct writers *ws, struct worker *w)
{
	struct flush *f = flush_queue_finished(&ws->queue), *next;

	for (; f; f = next) {
		next = f->next;
		f->done(w, f);
	}
}

void writers_yield(struct writers *ws, bool yield)
{
	for (unsigned i = 0; i < ws->count; i++)
		writer_nice(&ws->writer[i], yield ? YIELD_NICE : 0);
}
