// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * resident_give.c - gives a client the memory of its region for good (resident.h): it needs gvmfs no more.
 *
 * While that is under way the budget does not hold, so nothing is evicted, and a pass over all chunks fetches what the
 * memory lacks. What the nodes have as zeros may stay a hole: to a client that is not registered it reads as zeros, too. A
 * chunk that is on its way, or is just leaving, is for another pass. When a pass has found nothing lacking, and nothing is
 * in flight, the client is told. From then on no page leaves the memory and none is put in, whatever the client does and
 * does not answer: what it has unregistered changes without a fault, and a page that gvmfs does not know of may be its
 * own. So it can be cancelled no more, faults are left to the client, which wakes them as it unregisters, and a successor
 * tells the client once more.
 *
 * What was fetched for this is first in the active list: if the request is taken back, it goes before what was here.
 */
#include "base/mutant.h"
#include "resident_priv.h"

#include <errno.h>

#ifndef GIVE_STEPS
#define GIVE_STEPS 4096u
#endif
#define GIVE_AGAIN_NS 20000000ull

/* Whether the memory lacks what the nodes have of a chunk. */
static bool chunk_lacks(const struct resident *r, uint64_t c)
{
	return chunk_pages(r, c) & ~r->mark[c].filled && !chunk_is_zero(r, c);
}

/* False: it has to wait. */
static bool give_step(struct resident *r, uint64_t c)
{
	const struct chunk *k = &r->chunk[c];

	chunk_take(r, c);
	if (k->state != CHUNK_EVICTING && k->state != CHUNK_FILLING && k->list != LIST_BLOCKED && !chunk_lacks(r, c))
		return true;
	r->give_lacks = !mutant("given-early");
	if (k->state == CHUNK_EVICTING || k->state == CHUNK_FILLING || k->list == LIST_BLOCKED)
		return true;
	if (fetch_give_start(r, c))
		return true;
	resident_want(r);
	return false;
}

static bool is_quiet(const struct resident *r)
{
	return !r->fetches && !r->evictions && !r->zapping && !r->lists[LIST_BLOCKED].head;
}

/* The budget holds again. */
static void give_over(struct resident *r)
{
	r->give = NULL;
	r->give_at_ns = 0;
	resident_note(r);
	resident_ios_look(r);
}

/* While the message is sent another thread may have the front's role: what it says is not to be taken back by then, nor is the
 * memory to change. */
static void give_tell(struct resident *r)
{
	r->give_asked = true;
	if (r->env->give(r) == 0)
		return;
	r->give_asked = false;
	r->give_at_ns = r->env->now(r) + GIVE_AGAIN_NS;
	if (!r->give) /* its caller has left */
		give_over(r);
}

static void give_finish(struct resident *r)
{
	if (!is_quiet(r))
		return;
	if (r->give_lacks) {
		r->give_lacks = false;
		r->give_next = 0;
		r->later = true;
	} else {
		give_tell(r);
	}
}

static void give_repeat(struct resident *r)
{
	if (!r->give_again || r->give_at_ns)
		return;
	if (r->env->give(r) == 0)
		r->give_again = false;
	else
		r->give_at_ns = r->env->now(r) + GIVE_AGAIN_NS;
}

void give_continue(struct resident *r)
{
	give_repeat(r);
	if (!r->give || r->give_asked || r->give_error || r->recovering || r->sweeping || r->give_at_ns || r->short_at_ns)
		return;
	for (unsigned steps = 0; r->give_next < r->chunks; steps++) {
		if (steps == GIVE_STEPS) {
			r->later = true;
			return;
		}
		if (!give_step(r, r->give_next))
			return;
		r->give_next++;
	}
	give_finish(r);
}

/* (If the client has answered, that waits for resident_ios_end().) */
void give_check(struct resident *r)
{
	struct resident_io *io = r->give;
	int error = r->give_error;

	if (!io)
		return;
	if (!r->given && (r->aborted || r->env->failed(r)))
		error = -EIO;
	else if (!r->given && r->client_gone)
		error = -ESRCH;
	if (!error)
		return;
	give_over(r);
	resident_io_finish(r, io, error);
}

int resident_give(struct resident *r, struct resident_io *io)
{
	if (r->give || r->client_gone || r->aborted)
		return r->give ? -EBUSY : -ESRCH;
	r->give = io;
	r->give_next = 0;
	r->give_error = 0;
	r->give_lacks = false;
	resident_note(r);
	resident_ios_look(r);
	return 0;
}

bool resident_give_cancel(struct resident *r)
{
	if (r->give_asked || !r->give)
		return false;
	give_over(r);
	return true;
}

bool resident_give_leave(struct resident *r)
{
	if (!r->give_asked || !r->give)
		return false;
	r->give = NULL;
	return true;
}

void resident_give_again(struct resident *r)
{
	if (mutant("told-forgotten"))
		return;
	r->give_asked = r->give_again = true;
	r->sweeping = false;
	resident_note(r);
}

void resident_given(struct resident *r)
{
	r->given = r->detached = true;
	r->sweeping = mutant("settled-swept") && r->sweeping;
	resident_left(r);
}
