// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sim.c - cache and write-back under chance: events in any order, faults of everything around them, and workers
 * that are killed at any call.
 *
 * An episode has its own mixture of events, and ends with everything written back and compared. (Its program: ../sim/chance.h.)
 */
#include "world.h"

#include "../sim/chance.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How often each kind of event is tried, of so many. */
static const uint16_t often[EVENTS] = {
	[E_READ] = 60, [E_WRITE] = 60, [E_ZERO] = 12, [E_SYNC] = 6, [E_CUT] = 4, [E_CUTS] = 60, [E_GROW] = 30,
	[E_BEGIN] = 40, [E_NEVER] = 2,
	[E_CANCEL] = 3, [E_SERVE] = 60, [E_PIECE] = 60, [E_END] = 60, [E_RESEND] = 3, [E_START] = 50,
	[E_BASE] = 50, [E_APPLY] = 50, [E_ACK] = 50, [E_COLLECT] = 40, [E_LATE] = 2, [E_LOST] = 2, [E_NODE] = 1, [E_FAIL] = 1,
	[E_TICK] = 20, [E_KILL] = 1, [E_CLOSE] = 3, [E_ATTACH] = 4, [E_DETACH] = 4, [E_OTHER] = 4,
	[E_STORE] = 10,
};

static struct mixture mix;
static unsigned refusals; /* one of so many answers is one; 0: none */

/* Each episode is of another kind. */
static void mixture(void)
{
	static const unsigned some[] = { E_READ, E_WRITE, E_ZERO, E_SYNC, E_CUT, E_NEVER, E_CANCEL, E_RESEND,
					 E_APPLY, E_SERVE, E_NODE, E_TICK, E_KILL, E_CLOSE, E_DETACH, E_OTHER, E_FAIL };

	mixture_make(&mix, often, EVENTS, some, sizeof(some) / sizeof(*some),
		     1ull << E_APPLY | 1ull << E_SERVE | 1ull << E_READ | 1ull << E_WRITE);
	refusals = pick(3) ? 20 : 0;
}

static bool sparse; /* few chunks are used */
#define DYING_ACROSS 1u /* it has nothing of region 0 */

static bool across; /* while a node is dead, READs are of one chunk that it has and one that it has not */

static uint32_t some_inode(void)
{
	return pick(W_INODES);
}

static uint32_t range(uint32_t inode, uint32_t count_max)
{
	uint32_t chunk = sparse ? pick(2) : pick(W_CHUNKS), first = chunk * CHUNK_CELLS, count;

	switch (pick(5)) {
	case 0: /* a chunk, or what comes near to it */
		count = CHUNK_CELLS;
		first += pick(3) ? 0 : pick(CHUNK_CELLS);
		break;
	case 1: /* a page or two */
		first += pick(GVM_CHUNK_PAGES) * PAGE_CELLS;
		count = PAGE_CELLS * (1 + pick(2));
		break;
	case 2: /* anything */
		first += pick(CHUNK_CELLS);
		count = 1 + pick(2 * CHUNK_CELLS);
		break;
	case 3: /* where the last READ ended */
		first = (uint32_t)world.region[inode].follows;
		count = CHUNK_CELLS / 2;
		break;
	default: /* a cell of few */
		first += pick(4) * 9;
		count = 1 + pick(3);
		break;
	}
	if (first >= W_CELLS)
		first = 0;
	if (count > count_max)
		count = count_max;
	if (count > W_CELLS - first)
		count = W_CELLS - first;
	return inode << 28 | first << 14 | count;
}

/* Of one chunk: of so few entries only one may be left, which is enough for it. */
static uint32_t range_within(uint32_t inode)
{
	uint32_t e = range(inode, CHUNK_CELLS), first = e >> 14 & 0x3fff, count = e & 0x3fff;
	uint32_t left = CHUNK_CELLS - first % CHUNK_CELLS;

	return inode << 28 | first << 14 | (count < left ? count : left);
}

/* Of two striped regions, another for each READ: such a one holds what the live node has sent, and waits for the
 * other. */
static uint32_t range_across(uint32_t which)
{
	static const uint8_t chunks[] = { 0, 1, 4, 5, 8 };
	uint32_t inode = W_INODES - 1 - which % 2;
	uint32_t first = chunks[which / 2 % sizeof(chunks)] * CHUNK_CELLS + CHUNK_CELLS / 2;

	return inode << 28 | first << 14 | (CHUNK_CELLS / 2 + 1);
}

static struct event choose(void)
{
	static const int errors[] = { EIO, ETIMEDOUT, ENODATA };
	struct event e = { .kind = mixture_pick(&mix) };

	switch (e.kind) {
	case E_READ:
		e.a = pick(W_READS);
		e.b = range(some_inode(), CHUNK_CELLS);
		if (across && world.dead[DYING_ACROSS])
			e.b = e.a < W_READS - 1 ? range_across(e.a) : range_within(0);
		break;
	case E_WRITE:
		e.a = pick(W_WRITES);
		e.b = range(some_inode(), 2 * CHUNK_CELLS);
		break;
	case E_ZERO:
		e.a = pick(W_WRITES);
		e.b = range(some_inode(), W_CELLS);
		break;
	case E_SYNC:
		e.a = pick(W_SYNCS);
		e.b = some_inode();
		break;
	case E_CUT:
		e.a = pick(W_SYNCS);
		e.b = some_inode() << 28 | (pick(2) ? pick(W_CHUNKS) * CHUNK_CELLS : pick(W_CELLS));
		break;
	case E_CUTS:
		e.a = some_inode();
		e.b = pick(W_NODES) | (pick(8) ? 0 : 1u << 8);
		break;
	case E_GROW:
		e.a = some_inode();
		e.b = (pick(3) ? W_CELLS : 1 + pick(W_CELLS)) | (pick(6) ? 0 : 1 + pick(W_NODES)) << 16;
		break;
	case E_BEGIN:
	case E_NEVER:
	case E_CANCEL:
		e.b = pick(3);
		e.a = pick(e.b == 0 ? W_READS : e.b == 1 ? W_WRITES : W_SYNCS);
		break;
	case E_SERVE:
		e.a = pick(CACHE_ENTRIES);
		e.b = refusals && !pick(refusals) ? (uint32_t)errors[pick(3)] : 0;
		break;
	case E_PIECE:
		e.a = pick(CACHE_ENTRIES);
		e.b = pick(2) ? ~0u : pick(~0u);
		break;
	case E_END:
		e.a = pick(CACHE_ENTRIES);
		break;
	case E_RESEND:
		e.a = pick(CACHE_ENTRIES);
		e.b = pick(2);
		break;
	case E_START:
	case E_ACK:
		e.a = pick(JOURNAL_WBUFS);
		break;
	case E_BASE:
		e.a = pick(JOURNAL_WBUFS);
		e.b = refusals && !pick(refusals) ? ENOMEM : 0;
		break;
	case E_APPLY:
		e.a = pick(JOURNAL_WBUFS);
		e.b = refusals && !pick(refusals) ? pick(30) ? pick(3) ? ENOSPC : EREMCHG : EIO : 0;
		break;
	case E_COLLECT:
		e.b = world.sealed && !pick(30);
		break;
	case E_LATE:
	case E_LOST:
		e.a = pick(W_LATE);
		break;
	case E_FAIL:
		e.a = some_inode();
		e.b = pick(2) ? 0 : 1 + pick(6);
		break;
	case E_NODE:
		e.a = pick(W_NODES);
		break;
	case E_KILL:
		e.a = 1 + pick(60);
		e.b = pick(4) ? 0 : 1 + pick(60);
		break;
	case E_CLOSE:
	case E_ATTACH:
	case E_DETACH:
		e.a = some_inode();
		break;
	case E_OTHER:
		e.a = some_inode();
		e.b = !pick(20);
		break;
	case E_STORE:
		e.a = some_inode();
		e.b = pick(2) ? pick(W_CELLS) : pick(2) * CHUNK_CELLS + pick(4) * 9;
		break;
	default:
		break;
	}
	return e;
}

uint64_t sim_done[EVENTS];
const unsigned sim_kinds = EVENTS;

/* Other hosts write, and we read. */
static void beside_others(void)
{
	for (unsigned i = 0; i < W_INODES; i++) {
		const struct event detach = { E_DETACH, i, 0 }, other = { E_OTHER, i, 0 };

		if (pick(2) && world_event(&detach))
			world_event(&other);
	}
	mixture_set(&mix, E_STORE, 4 * mix.weight[E_STORE]);
}

static void never(enum event_kind kind)
{
	mixture_set(&mix, kind, 0);
}

/* To the end of the episode; across: with all that waits for it. */
static void node_dies(unsigned node)
{
	static const enum event_kind ends[] = { E_CANCEL, E_FAIL, E_DETACH, E_OTHER, E_NEVER, E_CUT };
	const struct event e = { E_NODE, node, 0 };

	if (!world.dead[node])
		world_event(&e);
	never(E_NODE);
	for (unsigned i = 0; across && i < sizeof(ends) / sizeof(*ends); i++)
		never(ends[i]);
}

#define MOVES_EVERY 40u /* steps */

/* Half of a region moves to another node, and later the other half. By no chance of its own, so that the other episodes
 * are what they are without. */
static void region_moves(unsigned n)
{
	const struct event move = { E_MOVE, n / MOVES_EVERY % W_INODES, n / MOVES_EVERY / W_INODES % 2 };

	sim_done[E_MOVE] += world_event(&move);
}

/* Of a region that is on several nodes, what is on this one moves off it: that does not wait for it any more, whatever
 * still does. */
static void part_leaves(unsigned node)
{
	for (unsigned part = 0; part < 2; part++) {
		const struct event move = { E_MOVE, W_INODES - 1, part };

		if (node_of(W_INODES - 1, part) == node)
			world_event(&move);
	}
}

const char *sim_episode(uint64_t seed, uint64_t steps, uint64_t *took)
{
	const char *wrong = NULL;
	unsigned length, dying;
	bool moving;

	length = 100 + pick(pick(8) ? 1000 : 10000);
	if (length > steps)
		length = (unsigned)steps;
	mixture();
	sparse = !pick(3);
	dying = pick(W_NODES + 1);
	across = dying == DYING_ACROSS + 1 && pick(2);
	moving = seed % 8 >= 6 && !across;
	world_init(pick(2), seed % 2); /* every other one is sealed */
	for (unsigned i = 1; across && i < W_INODES; i++)
		world.striped |= 1u << i;
	world.timeout = !pick(4);
	if (pick(2))
		world.store.wbufs.spill.pages_max = world.spill_pages = 0;
	if (!pick(3))
		beside_others();
	for (unsigned n = 0, tries = 0; n < length && tries < 100 * length && !wrong; tries++) {
		struct event e = choose();

		if (dying && n == (across ? 0 : length / 2))
			node_dies(dying - 1);
		if (!world_event(&e))
			continue;
		++*took;
		n++;
		sim_done[e.kind]++;
		wrong = world_check();
		if (!wrong && moving && n % MOVES_EVERY == 0) {
			region_moves(n);
			wrong = world_check();
		}
	}
	if (!wrong && dying && moving)
		part_leaves(dying - 1);
	return wrong ? wrong : world_finish(pick, dying);
}
