// SPDX-License-Identifier: GPL-2.0-or-later
/* nodes_chance.c - see nodes_chance.h: one node. */
#include "nodes_chance.h"

#include <errno.h>

const uint16_t nodes_often[EVENTS] = {
	[E_SERVE] = 60, [E_PIECE] = 60, [E_END] = 60, [E_RESEND] = 3, [E_START] = 50, [E_BASE] = 50, [E_APPLY] = 50,
	[E_ACK] = 50, [E_COLLECT] = 30, [E_LATE] = 2, [E_LOST] = 2, [E_ROT] = 4,
};

const bool nodes_seal = true;

void nodes_mix(struct mixture *mix)
{
	static const unsigned some[] = { E_RESEND, E_APPLY, E_ROT };

	mixture_vary(mix, some, sizeof(some) / sizeof(*some), 1ull << E_APPLY);
}

void nodes_choose(struct event *e)
{
	switch (e->kind) {
	case E_SERVE:
	case E_END:
	case E_RESEND:
		e->a = pick(W_FETCHES);
		break;
	case E_PIECE:
		e->a = pick(W_FETCHES);
		e->b = pick(2) ? ~0u : pick(~0u);
		break;
	case E_START:
	case E_ACK:
		e->a = pick(W_EVICTIONS);
		break;
	case E_BASE:
		e->a = pick(W_EVICTIONS);
		e->b = pick(20) ? 0 : ENOMEM;
		break;
	case E_APPLY:
		e->a = pick(W_EVICTIONS);
		e->b = pick(20) ? 0 : ENOSPC;
		break;
	case E_COLLECT:
		e->b = !pick(30);
		break;
	case E_LATE:
	case E_LOST:
		e->a = pick(W_LATE);
		break;
	case E_ROT:
		e->a = pick(W_CHUNKS);
		e->b = pick(2) ? ~0u : 1u << pick(GVM_CHUNK_PAGES);
		break;
	default:
		break;
	}
}
