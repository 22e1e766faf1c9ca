// SPDX-License-Identifier: GPL-2.0-or-later
/* chance.c - what happens to the nodes of cluster.h, and how often. (The rest of the simulator: ../resident/sim.c.) */
#include "cluster.h"

#include "../resident/nodes_chance.h"

const uint16_t nodes_often[EVENTS] = {
	[E_SERVE] = 220, [E_PIECE] = 160, [E_END] = 220, [E_RESEND] = 4, [E_START] = 60, [E_COLLECT] = 60, [E_LATE] = 2,
	[E_LOST] = 1, [E_PASS] = 60, [E_DOWN] = 2, [E_UP] = 4, [E_DEAF] = 2, [E_HEARS] = 4, [E_LOSE] = 1, [E_ROT] = 16,
	[E_TALK] = 60, [E_DRAIN] = 3,
};

const bool nodes_seal = true;

static bool full; /* nodes are, now and then */
static bool slow; /* time passes quickly, beside what happens */
static bool calm; /* little fails: copies come to move */

void nodes_mix(struct mixture *mix)
{
	static const unsigned some[] = { E_RESEND, E_PASS, E_DOWN, E_UP, E_DEAF, E_HEARS, E_LOSE, E_ROT, E_TALK, E_START, E_DRAIN };

	bool moves, single;

	mixture_vary(mix, some, sizeof(some) / sizeof(*some), 1ull << E_TALK | 1ull << E_START);
	moves = !pick(4);
	single = moves && !pick(3);
	cluster_nodes = single ? 2 + pick(3) : moves ? 3 + !pick(3) : 2 + !pick(3);
	cluster_copies = single ? 1 : moves ? 2 + pick(cluster_nodes - 2) : cluster_nodes;
	cluster_tight = single && pick(2);
	cluster_rots_all = !pick(3) && cluster_copies > 1;
	full = !pick(4);
	calm = moves && pick(4);
	slow = !pick(calm ? 8 : 3);
	cluster_adds = calm && pick(2);
	cluster_drains = calm && !cluster_adds;
	cluster_scrubs = !pick(3);
	cluster_racks = moves && cluster_nodes == 4 && (cluster_copies == 2 || cluster_adds) && pick(2);
}

/* Of the boxes few are in use: the first ones. */
static uint32_t some_box(void)
{
	return pick(pick(4) ? 8 : pick(4) ? 24 : WIRE_BOXES);
}

void nodes_choose(struct event *e)
{
	if (calm && pick(16) && (e->kind == E_DOWN || e->kind == E_DEAF || e->kind == E_LOSE || e->kind == E_ROT || e->kind == E_KILL))
		e->kind = E_PASS;
	switch (e->kind) {
	case E_SERVE:
		e->a = pick(WIRE_CONNS);
		e->b = full && !pick(20);
		break;
	case E_RESEND:
		e->a = pick(WIRE_CONNS);
		break;
	case E_PIECE:
		e->a = some_box();
		e->b = pick(2) ? ~0u : pick(~0u);
		break;
	case E_END:
		e->a = some_box();
		break;
	case E_LATE:
	case E_LOST:
		e->a = pick(WIRE_LATE);
		break;
	case E_DRAIN:
		e->a = pick(cluster.nodes);
		e->b = pick(4);
		break;
	case E_PASS: /* us */
		e->a = pick(slow || !pick(20) ? 1000000 : calm ? 100000 : 20000);
		break;
	case E_DOWN:
	case E_UP:
	case E_DEAF:
	case E_HEARS:
	case E_LOSE:
		e->a = pick(cluster.nodes);
		break;
	case E_ROT:
		e->a = pick(2) ? pick(cluster.nodes) : ROTS_EVERYWHERE + pick(2);
		e->b = e->a == ROTS_APART ? pick(W_CHUNKS) * GVM_CHUNK_PAGES + (pick(2) ? pick(GVM_CHUNK_PAGES) : pick(3) * 7) :
					    pick(W_PAGES + W_PAGES / 8);
		break;
	default:
		break;
	}
}
