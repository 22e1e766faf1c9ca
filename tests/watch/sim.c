// SPDX-License-Identifier: GPL-2.0-or-later
/* sim.c - the page cache beside another host's writer, under chance. (Its program: ../sim/chance.h.) */
#include "world.h"

#include "../sim/chance.h"

#include <errno.h>

/* How often each kind of event is tried, of so many. */
static const uint16_t often[EVENTS] = {
	[E_READ] = 60, [E_NODE] = 100, [E_ANSWER] = 100, [E_BREAK] = 2, [E_TIMEOUT] = 2, [E_CLEAR] = 80, [E_CLEARED] = 60,
	[E_FULL] = 1, [E_OPEN] = 6, [E_OPENED] = 40, [E_CLOSE] = 5, [E_ATTACH] = 4, [E_ATTACHED] = 40, [E_DETACH] = 12,
	[E_RELEASED] = 40, [E_KEEP] = 20, [E_CLAIM] = 30, [E_STORE] = 30, [E_LEAVE] = 12, [E_TICK] = 60, [E_STOP] = 2,
	[E_SLEEP] = 20, [E_GO_ON] = 15, [E_KILL] = 1,
};

static struct mixture mix;

static void mixture(void)
{
	static const unsigned some[] = { E_READ, E_BREAK, E_TIMEOUT, E_FULL, E_OPEN, E_CLOSE, E_ATTACH, E_CLAIM,
					 E_LEAVE, E_STOP, E_KILL, E_TICK, E_CLEAR, E_ANSWER };

	mixture_make(&mix, often, EVENTS, some, sizeof(some) / sizeof(*some), 1ull << E_CLEAR | 1ull << E_ANSWER);
}

static struct event choose(void)
{
	struct event e = { .kind = mixture_pick(&mix) };

	if (e.kind == E_CLEARED)
		e.a = pick(30) ? 0 : EIO;
	else
		e.a = pick(W_PAGES);
	return e;
}

uint64_t sim_done[EVENTS];
const unsigned sim_kinds = EVENTS;

const char *sim_episode(uint64_t seed, uint64_t steps, uint64_t *took)
{
	const char *wrong = NULL;
	unsigned length = 50 + pick(pick(8) ? 500 : 5000);

	(void)seed;
	if (length > steps)
		length = (unsigned)steps;
	mixture();
	world_init(pick(2));
	for (unsigned n = 0, tries = 0; n < length && tries < 100 * length && !wrong; tries++) {
		struct event e = choose();

		if (!world_event(&e))
			continue;
		++*took;
		n++;
		sim_done[e.kind]++;
		wrong = world_check();
	}
	return wrong ? wrong : world_finish(pick);
}
