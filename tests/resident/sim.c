// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sim.c - the fast path under chance: events in any order, faults of everything around it, and workers
 * that are killed at any call.
 *
 * An episode is a guest's life: it begins on an empty region, or on what an earlier guest has left, has its own
 * mixture of events, and ends with everything written back and compared. (Its program: ../sim/chance.h.)
 */
#include "world.h"

#include "nodes_chance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How often each kind of event is tried, of so many. */
static const uint16_t often[EVENTS] = {
	[E_TOUCH] = 160, [E_AGAIN] = 80, [E_FAULTS] = 80, [E_ZAP] = 20, [E_ZAPPED] = 30, [E_PIN] = 12, [E_GET] = 20,
	[E_DMA] = 12, [E_UNPIN] = 2, [E_WRITE] = 8, [E_ZERO] = 6, [E_SYNC] = 3, [E_CANCEL] = 3,
	[E_STALL] = 20, [E_BEGIN] = 30, [E_BUDGET] = 2, [E_STRAY] = 3, [E_RACE] = 1, [E_SHORT] = 2, [E_KILL] = 1, [E_TICK] = 6,
	[E_TAKE] = 10, [E_GIVE] = 10, [E_REPLAY] = 1, [E_SETTLE] = 2, [E_ALONE] = 10,
};

static struct mixture mix;

/* Each episode is of another kind. */
static void mixture(void)
{
	static const unsigned some[] = { E_PIN, E_TOUCH, E_WRITE, E_ZERO, E_SYNC, E_CANCEL, E_BUDGET, E_STRAY, E_RACE,
					 E_SHORT, E_STALL, E_KILL, E_TICK, E_TAKE, E_REPLAY, E_SETTLE, E_ZAP };
	uint16_t all[EVENTS];

	for (unsigned k = 0; k < EVENTS; k++)
		all[k] = often[k] + nodes_often[k];
	mixture_make(&mix, all, EVENTS, some, sizeof(some) / sizeof(*some), 1ull << E_ZAP | 1ull << E_TOUCH);
	nodes_mix(&mix);
}

static bool sparse; /* only few pages of a chunk are used */

static bool orderly; /* the first thread goes through all of them, and most that happens is what it does */
static uint32_t walk;

static uint32_t next_page(void)
{
	if (world.thread[0].state == T_IDLE)
		walk = (walk / GVM_CHUNK_PAGES + 1) % W_CHUNKS * GVM_CHUNK_PAGES;
	return walk + pick(2);
}

/* Few pages are used often. */
static uint32_t some_page(void)
{
	uint32_t c = pick(3) ? pick(W_CHUNKS) : pick(2);

	return c * GVM_CHUNK_PAGES + (!sparse && pick(2) ? pick(GVM_CHUNK_PAGES) : pick(3) * 7);
}

static struct event choose(void)
{
	struct event e = { .kind = mixture_pick(&mix) };

	switch (e.kind) {
	case E_TOUCH:
		e.a = orderly && pick(20) ? 0 : pick(W_THREADS);
		e.b = (orderly && !e.a ? next_page() : some_page()) * 4 + pick(3);
		break;
	case E_AGAIN:
		e.a = pick(W_THREADS);
		break;
	case E_FAULTS:
		e.a = pick(2) ? ~0u : 1u << pick(W_THREADS + W_PINS);
		break;
	case E_PIN:
		e.a = pick(W_PINS);
		e.b = some_page();
		break;
	case E_GET:
	case E_DMA:
	case E_UNPIN:
		e.a = pick(W_PINS);
		break;
	case E_WRITE:
	case E_ZERO:
		e.a = pick(W_IOS);
		if (pick(4)) /* whole pages, or most of a chunk */
			e.b = some_page() * 2 | (pick(3) ? 2 * (1 + pick(40)) : 2 * GVM_CHUNK_PAGES) << 16;
		else
			e.b = (some_page() * 2 + pick(2)) | (1 + pick(150)) << 16;
		break;
	case E_SYNC:
	case E_CANCEL:
	case E_BEGIN:
		e.a = pick(W_IOS);
		break;
	case E_BUDGET:
		e.a = pick(4) ? GVM_CHUNK_PAGES * (1 + pick(W_CHUNKS)) : 0;
		break;
	case E_STRAY:
		e.a = some_page();
		e.b = pick(2) ? 1 : 1 + pick(64);
		break;
	case E_SHORT:
		e.a = 1 + pick(4);
		e.b = pick(SHORT_WHERE);
		break;
	case E_STALL:
		e.a = 1 + pick(pick(2) ? 3 : 40);
		e.b = 1 + pick(pick(3) ? 4 : 40);
		break;
	case E_TAKE:
	case E_GIVE:
		e.a = pick(2);
		break;
	case E_SETTLE:
		e.a = pick(2);
		break;
	case E_ALONE:
		e.a = !pick(30); /* what matters comes in between */
		break;
	case E_REPLAY:
		e.a = pick(W_CHUNKS + 1) | pick(W_CHUNKS) << 8;
		e.b = pick(3) ? 1 + pick(255) : 255;
		break;
	case E_KILL:
		e.a = 1 + pick(60);
		e.b = pick(4) ? 0 : 1 + pick(60);
		break;
	default:
		nodes_choose(&e);
	}
	return e;
}

uint64_t sim_done[EVENTS];
const unsigned sim_kinds = EVENTS;

/* Now and then all of it comes to an end otherwise. */
static void rarely(unsigned n)
{
	static const struct event ends[] = { { E_LEAVE, 0, 0 }, { E_GONE, 0, 0 }, { E_PIN_ALL, 0, 0 },
					     { E_UNLINK, 0, 0 } };

	if (n > 100 && !pick(1000))
		sim_done[ends[0].kind] += world_event(&ends[0]);
	if (world.client_left && !pick(40))
		sim_done[ends[1].kind] += world_event(&ends[1]);
	if (!pick(5000))
		sim_done[ends[2].kind] += world_event(&ends[2]);
	if (!pick(10000))
		sim_done[ends[3].kind] += world_event(&ends[3]);
}

const char *sim_episode(uint64_t seed, uint64_t steps, uint64_t *took)
{
	const char *wrong = NULL;
	unsigned length;

	length = 100 + pick(pick(8) ? 1000 : 10000);
	if (length > steps)
		length = (unsigned)steps;
	mixture();
	sparse = !pick(3);
	orderly = !pick(3);
	walk = 0;
	world_pick = choose;
	/* Every other one is sealed, if any may be. */
	world_init(pick(4) ? GVM_CHUNK_PAGES * (1 + pick(orderly ? W_CHUNKS / 2 : W_CHUNKS)) : 0, nodes_seal && seed % 2);
	if (orderly || !pick(3))
		world_fill(pick(GVM_CHUNK_PAGES - 1), GVM_CHUNK_PAGES - 1);
	for (unsigned n = 0, tries = 0; n < length && tries < 100 * length && !wrong && !world.closed; tries++) {
		struct event e = choose();

		if (!world_event(&e))
			continue;
		++*took;
		n++;
		sim_done[e.kind]++;
		rarely(n);
		wrong = world_check();
	}
	world_pick = NULL;
	return wrong ? wrong : world.closed ? NULL : world_finish(pick);
}
