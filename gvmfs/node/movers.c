// SPDX-License-Identifier: GPL-2.0-or-later
/* movers.c - see movers.h. */
#include "movers.h"

#include "drain.h"
#include "repair.h"
#include "replicas_state.h"
#include "state/worker_state.h"

#define LOOK_MAX 4u /* regions in one go, during which faults wait */

/* It is in w->movers from the first look at which it has a repair or a move to the first at which it has neither. */
void movers_note(struct replicas *r)
{
	struct worker *w = r->w;
	bool moves = (r->repair || r->drain) && !r->closing;

	if (moves == (r->mover_back != NULL))
		return;
	if (moves) {
		r->mover_next = w->movers;
		r->mover_back = &w->movers;
		if (w->movers)
			w->movers->mover_back = &r->mover_next;
		w->movers = r;
		return;
	}
	if (w->movers_next == r)
		w->movers_next = r->mover_next;
	if (r->mover_next)
		r->mover_next->mover_back = r->mover_back;
	*r->mover_back = r->mover_next;
	r->mover_back = NULL;
}

/* Some of those with a repair or a move, in turn. */
void movers_look(struct worker *w, uint64_t now_ns)
{
	if (!w->movers_next)
		w->movers_next = w->movers;
	for (unsigned n = 0; w->movers_next && n < LOOK_MAX; n++) {
		struct replicas *r = w->movers_next;

		w->movers_next = r->mover_next;
		if (r->repair && !r->closing)
			repair_look(r, now_ns);
		if (r->drain && !r->closing)
			drain_look(r, now_ns);
		movers_note(r);
	}
}
