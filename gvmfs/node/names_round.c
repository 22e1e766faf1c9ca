// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * names_round.c - see names_round.h.
 *
 * The order makes it safe. First a fence on every node: from then on no name born up to `upto` is made, so
 * each such name that a majority has, or will ever have, is on some node by now. Then the lists of all nodes, which
 * therefore contain all of these names. Then each node is given what it lacks. Only then may it forget tombstones:
 * from there on, a name up to `upto` that it does not have is a name that was removed.
 *
 * A round must not stay below an older fence that a node still has: the round of that fence may have been completed on
 * one node only, which then has its horizon, while other nodes may have lost the fence by restarting.
 */
#include "names_round.h"

#include "names_talk.h"

#include <errno.h>
#include <sys/random.h>

#define STEP_NS	    3000000000ull
#define ROUND_TRIES 3

static uint64_t step_deadline(void)
{
	return gvm_now_ns() + STEP_NS;
}

/* -ERESTART: a node has a later fence, which *upto now is. */
static int round_once(struct pool *pool, uint64_t *upto)
{
	struct names_talk talk;
	struct names_due due;
	int r = names_talk_init(&talk, pool);

	if (r < 0)
		return r;
	r = -EAGAIN;
	talk.upto = *upto;
	if (getrandom(&talk.round, sizeof(talk.round), GRND_NONBLOCK) < 0 || !talk.round)
		goto out;
	if (!names_talk_fence(&talk, NAMES_ALL, step_deadline()) ||
	    !names_talk_list(&talk, NAMES_ALL, step_deadline()))
		goto out;
	if (talk.fence > *upto) {
		*upto = talk.fence;
		r = -ERESTART;
		goto out;
	}
	for (unsigned i = 0; i < talk.count; i++)
		talk.peers[i].out = !pool->again[i] && !names_talk_heal(&talk, i, &talk.all, &talk.views[i]);
	names_due_find(&due, &talk.all, talk.views, talk.count);
	for (r = 0; !r && due.tables; due.tables--) {
		talk.table = due.table[due.tables - 1];
		if (!names_talk_forget(&talk, NAMES_ALL, step_deadline()))
			r = -EAGAIN;
	}
out:
	names_talk_deinit(&talk);
	return r;
}

int names_round(struct pool *pool, uint64_t upto)
{
	int r = -ERESTART;

	for (unsigned try = 0; r == -ERESTART && try < ROUND_TRIES; try++)
		r = round_once(pool, &upto);
	return r == -ERESTART ? -EAGAIN : r;
}
