// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * model.c - every state that a few nodes can reach, and what must hold in each.
 *
 *	model [-d] [-m MUTANT] [-n STATES] [CASE...]
 *
 * From each state every event that is possible is tried: each message that may arrive next, each
 * fault, eviction and discard that the case still allows, each revocation and hold that may end,
 * each step of a lease's end, each way in which a connection may lose or repeat what it carried, or
 * let a message of leases overtake what waits, a single message that is dropped, time, and a node
 * that is cut off and comes back. In every state: one writer or some readers, and nobody, a writer
 * neither, sees an old value, nor what was there before a discard that has been told to be over; nor
 * zeros for what was written after it.
 * From every state in which nothing can happen, and from one in 32 of the others, a fair run to the
 * end: every fault and discard is answered, nothing stays behind, and the directory agrees with the
 * nodes.
 *
 * The search is depth-first; states are known by 64 bits of hash. A case that is not said to be
 * bounded fails if it does not end within the bound of states: it would have proved nothing. One
 * that is said to be so visits as many as that, and says so. -n gives another bound, for all; -m
 * makes the core wrong on purpose.
 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int ivy_mutant;

/* Of states: just below half of a table of 2^23, which takes 64 MiB; and the double of it. */
#define BOUND	     4190000
#define BOUND_LARGER 8380000

static const struct world_config cases[] = {
	{.name = "second-discards",
	 .what = "3 nodes, 1 page, 2 faults, 2 discards, 1 early retry",
	 .nodes = 3,
	 .pages = 1,
	 .faults = {0, 1, 1},
	 .discards = 2,
	 .ticks = 1,
	 .fanout = 2},
	{.name = "sought-and-evicted",
	 .what = "owner lost, 3 nodes, 1 fault, 2 evictions, 1 loss, 3 steps",
	 .begin = W_OWNER_LOST,
	 .nodes = 3,
	 .pages = 1,
	 .faults = {1, 0, 0},
	 .evicts = 2,
	 .losses = 1,
	 .cuts = 1,
	 .steps = 3,
	 .fanout = 2},
	{.name = "copy-on-its-way",
	 .what = "owner lost, its copy under way, 3 nodes, 1 repeat, 3 steps",
	 .begin = W_COPY_ON_WAY,
	 .nodes = 3,
	 .pages = 1,
	 .repeats = 1,
	 .cuts = 1,
	 .steps = 3,
	 .slow = 1,
	 .fanout = 2},
	{.name = "asked-twice",
	 .what = "an old request comes again, 3 nodes, 1 cut, 7 steps",
	 .begin = W_ASKED_TWICE,
	 .nodes = 3,
	 .pages = 1,
	 .cuts = 1,
	 .steps = 7,
	 .fanout = 2},
	{.name = "reads-and-writes",
	 .what = "3 nodes, 1 page, 6 faults, hold",
	 .nodes = 3,
	 .pages = 1,
	 .faults = {2, 2, 2},
	 .hold = 1,
	 .fanout = 2},
	{.name = "evictions",
	 .what = "3 nodes, 1 page, 5 faults, 2 evictions",
	 .nodes = 3,
	 .pages = 1,
	 .faults = {1, 2, 2},
	 .evicts = 2,
	 .fanout = 2},
	{.name = "losses",
	 .what = "3 nodes, 1 page, 4 faults, 2 losses, 1 early retry, 1 eviction",
	 .nodes = 3,
	 .pages = 1,
	 .faults = {0, 2, 2},
	 .losses = 2,
	 .ticks = 1,
	 .evicts = 1,
	 .fanout = 2},
	{.name = "drops",
	 .what = "3 nodes, 1 page, 3 faults, 2 messages dropped, 1 early retry, 1 eviction",
	 .nodes = 3,
	 .pages = 1,
	 .faults = {0, 2, 1},
	 .drops = 2,
	 .ticks = 1,
	 .evicts = 1,
	 .fanout = 2},
	{.name = "dropped-discards",
	 .what = "3 nodes, 1 page, 2 faults, 1 discard, 2 messages dropped, 1 early retry",
	 .nodes = 3,
	 .pages = 1,
	 .faults = {0, 1, 1},
	 .discards = 1,
	 .drops = 2,
	 .ticks = 1,
	 .fanout = 2},
	{.name = "dropped-and-cut",
	 .what = "owner lost, 3 nodes, 1 fault, 1 eviction, 2 messages dropped, 3 steps",
	 .begin = W_OWNER_LOST,
	 .nodes = 3,
	 .pages = 1,
	 .faults = {1, 0, 0},
	 .evicts = 1,
	 .drops = 2,
	 .cuts = 1,
	 .steps = 3,
	 .fanout = 2},
	{.name = "dropped-leases",
	 .what = "2 nodes, 1 page, 2 faults, 1 eviction, 2 dropped, 9 steps, leases that end",
	 .nodes = 2,
	 .pages = 1,
	 .faults = {1, 1},
	 .evicts = 1,
	 .drops = 2,
	 .steps = 9,
	 .leases = 1,
	 .beats = 1,
	 .fanout = 2},
	{.name = "retries",
	 .what = "3 nodes, 1 page, 4 faults, 2 early retries, 1 eviction",
	 .nodes = 3,
	 .pages = 1,
	 .faults = {0, 2, 2},
	 .ticks = 2,
	 .evicts = 1,
	 .fanout = 2},
	{.name = "chain",
	 .what = "3 nodes, 1 page, fan-out 1, hold, 5 faults, 1 loss, 1 early retry",
	 .nodes = 3,
	 .pages = 1,
	 .faults = {1, 2, 2},
	 .losses = 1,
	 .ticks = 1,
	 .looks = 1,
	 .hold = 1,
	 .fanout = 1},
	{.name = "two-pages",
	 .what = "3 nodes, 2 pages with 2 homes, 4 faults, 1 eviction",
	 .nodes = 3,
	 .pages = 2,
	 .faults = {1, 2, 1},
	 .evicts = 1,
	 .hold = 1,
	 .fanout = 2},
	{.name = "discards",
	 .what = "3 nodes, 1 page, 3 faults, 2 discards, 1 eviction",
	 .nodes = 3,
	 .pages = 1,
	 .faults = {0, 2, 1},
	 .evicts = 1,
	 .discards = 2,
	 .fanout = 2},
	{.name = "lost-discards",
	 .what = "3 nodes, 1 page, 3 faults, 1 discard, 1 loss, 1 early retry",
	 .nodes = 3,
	 .pages = 1,
	 .faults = {0, 2, 1},
	 .discards = 1,
	 .losses = 1,
	 .ticks = 1,
	 .fanout = 2},
	{.name = "repeated-discards",
	 .what = "2 nodes, 1 page, 4 faults, 1 discard, 2 repeats",
	 .nodes = 2,
	 .pages = 1,
	 .faults = {2, 2},
	 .discards = 1,
	 .repeats = 2,
	 .fanout = 2},
	{.name = "lease-ends",
	 .what = "2 nodes, 1 page, 3 faults, 1 cut, 7 steps",
	 .nodes = 2,
	 .pages = 1,
	 .faults = {1, 2},
	 .looks = 1,
	 .hold = 1,
	 .cuts = 1,
	 .steps = 7,
	 .beats = 1,
	 .larger = 1,
	 .fanout = 2},
	{.name = "repeats",
	 .what = "3 nodes, 1 page, 4 faults, 2 repeats, 1 eviction",
	 .nodes = 3,
	 .pages = 1,
	 .faults = {0, 2, 2},
	 .repeats = 2,
	 .evicts = 1,
	 .fanout = 2},
	{.name = "quits",
	 .what = "2 nodes, 1 page, 3 faults, 2 evictions, 12 steps, leases that end",
	 .nodes = 2,
	 .pages = 1,
	 .faults = {1, 2},
	 .evicts = 2,
	 .steps = 12,
	 .leases = 1,
	 .beats = 1,
	 .fanout = 2},
	{.name = "overtaking",
	 .what = "2 nodes, 1 page, 3 faults, 1 eviction, 1 cut, 9 steps at any time, 1 overtaking",
	 .nodes = 2,
	 .pages = 1,
	 .faults = {1, 2},
	 .evicts = 1,
	 .cuts = 1,
	 .steps = 9,
	 .overtakes = 1,
	 .slow = 1,
	 .bounded = 1,
	 .beats = 1,
	 .fanout = 2},
	{.name = "partition",
	 .what = "3 nodes, 1 page, 3 faults, 1 cut, 9 steps",
	 .nodes = 3,
	 .pages = 1,
	 .faults = {0, 2, 1},
	 .cuts = 1,
	 .steps = 9,
	 .bounded = 1,
	 .beats = 1,
	 .fanout = 2},
	{.name = "slow-messages",
	 .what = "2 nodes, 1 page, 3 faults, 1 cut, 8 steps at any time",
	 .nodes = 2,
	 .pages = 1,
	 .faults = {1, 2},
	 .cuts = 1,
	 .steps = 8,
	 .slow = 1,
	 .bounded = 1,
	 .beats = 1,
	 .fanout = 2},
	{.name = "two-homes-and-leases",
	 .what = "2 nodes, each the home of a page, 2 faults, 1 cut, 7 steps",
	 .nodes = 2,
	 .pages = 2,
	 .faults = {1, 1},
	 .cuts = 1,
	 .steps = 7,
	 .beats = 1,
	 .fanout = 2},
	{.name = "fresh-and-cuts",
	 .what = "fresh zeros at a node, 2 nodes, 2 faults, 1 eviction, 1 cut, 7 steps",
	 .begin = W_FRESH,
	 .nodes = 2,
	 .pages = 1,
	 .faults = {1, 1},
	 .evicts = 1,
	 .cuts = 1,
	 .steps = 7,
	 .fanout = 2},
	{.name = "fresh-and-discarded",
	 .what = "fresh zeros at a node, 2 nodes, 1 fault each, 1 discard, 1 cut, 5 steps",
	 .begin = W_FRESH,
	 .nodes = 2,
	 .pages = 1,
	 .faults = {1, 1},
	 .discards = 1,
	 .cuts = 1,
	 .steps = 5,
	 .fanout = 2},
	{.name = "fresh-and-shared",
	 .what = "fresh zeros at a node, 3 nodes, 4 faults, 1 eviction, 1 loss, 1 early retry",
	 .begin = W_FRESH,
	 .nodes = 3,
	 .pages = 1,
	 .faults = {0, 2, 2},
	 .evicts = 1,
	 .losses = 1,
	 .ticks = 1,
	 .fanout = 2},
	{.name = "evictions-and-cuts",
	 .what = "an owner and a copy, 3 nodes, 1 fault, 1 eviction, 1 cut, 6 steps",
	 .begin = W_SHARED,
	 .nodes = 3,
	 .pages = 1,
	 .faults = {1, 0, 0},
	 .evicts = 1,
	 .cuts = 1,
	 .steps = 6,
	 .larger = 1,
	 .fanout = 2},
	{.name = "repeats-and-cuts",
	 .what = "2 nodes, 1 page, 2 faults, 1 repeat, 1 cut, 7 steps",
	 .nodes = 2,
	 .pages = 1,
	 .faults = {1, 1},
	 .repeats = 1,
	 .cuts = 1,
	 .steps = 7,
	 .beats = 1,
	 .fanout = 2},
#if IVY_RUN > 1
	{.name = "runs",
	 .what = "3 nodes, a run of 2 pages, asked for ahead, 4 faults, 1 eviction",
	 .nodes = 3,
	 .pages = 2,
	 .faults = {0, 2, 2},
	 .evicts = 1,
	 .ahead = 1,
	 .fanout = 2},
	{.name = "runs-and-losses",
	 .what = "2 nodes, a run of 2 pages, asked for ahead, 4 faults, 1 loss, 1 early retry",
	 .nodes = 2,
	 .pages = 2,
	 .faults = {1, 3},
	 .losses = 1,
	 .ticks = 1,
	 .ahead = 1,
	 .fanout = 2},
	{.name = "runs-and-repeats",
	 .what = "2 nodes, a run of 2 pages, asked for ahead, 4 faults, 1 repeat, 1 eviction",
	 .nodes = 2,
	 .pages = 2,
	 .faults = {1, 3},
	 .repeats = 1,
	 .evicts = 1,
	 .ahead = 1,
	 .fanout = 2},
	{.name = "runs-and-discards",
	 .what = "2 nodes, a run of 2 pages, asked for ahead, 3 faults, 1 discard, 1 early retry",
	 .nodes = 2,
	 .pages = 2,
	 .faults = {1, 2},
	 .discards = 1,
	 .ticks = 1,
	 .ahead = 1,
	 .fanout = 2},
	{.name = "runs-and-cuts",
	 .what = "2 nodes, a run of 2 pages, asked for ahead, 2 faults, 1 eviction, 1 cut, 7 steps",
	 .nodes = 2,
	 .pages = 2,
	 .faults = {1, 1},
	 .evicts = 1,
	 .cuts = 1,
	 .steps = 7,
	 .ahead = 1,
	 .fanout = 2},
#endif
#if W_NODES > 3
	{.name = "four-nodes",
	 .what = "4 nodes, 1 page, 5 faults, 1 eviction",
	 .nodes = 4,
	 .pages = 1,
	 .faults = {1, 2, 1, 1},
	 .evicts = 1,
	 .fanout = 2},
	{.name = "four-nodes-losing",
	 .what = "4 nodes, 1 page, 4 faults, 1 loss, 1 early retry",
	 .nodes = 4,
	 .pages = 1,
	 .faults = {0, 2, 1, 1},
	 .losses = 1,
	 .ticks = 1,
	 .fanout = 2},
	{.name = "four-nodes-and-leases",
	 .what = "owner lost, a copy left, 4 nodes, 1 fault, 1 eviction, 1 cut, 3 steps",
	 .begin = W_OWNER_LOST,
	 .nodes = 4,
	 .pages = 1,
	 .faults = {0, 0, 0, 1},
	 .evicts = 1,
	 .cuts = 1,
	 .steps = 3,
	 .fanout = 2},
#endif
	{.name = "fresh-and-looks",
	 .what = "3 nodes of which one only looks, 1 page, 4 faults, 1 eviction, 1 loss, 1 tick",
	 .nodes = 3,
	 .pages = 1,
	 .faults = {0, 2, 2},
	 .evicts = 1,
	 .losses = 1,
	 .ticks = 1,
	 .looks = 2,
	 .fanout = 2},
	{.name = "cut-discards",
	 .what = "2 nodes, 1 page, 2 faults, 1 discard, 1 cut, 7 steps",
	 .nodes = 2,
	 .pages = 1,
	 .faults = {1, 1},
	 .discards = 1,
	 .cuts = 1,
	 .steps = 7,
	 .looks = 1,
	 .larger = 1,
	 .fanout = 2},
};

/* ---- events ---- */

enum kind {
	E_DELIVER,
	E_REVOKED,
	E_UNHOLD,
	E_SWEPT,
	E_ENDING,
	E_FAULT,
	E_EVICT,
	E_DISCARD,
	E_LOSE,
	E_REPEAT,
	E_TICK,
	E_STEP,
	E_CUT,
	E_HEAL,
	E_OVERTAKE,
	E_DROP
};

static const char *const kind_names[] = {"deliver", "revoked", "unhold", "swept",  "ending",
					 "fault",   "evict",   "discard", "lose",  "repeat",
					 "tick",    "step",    "cut",	 "heal",  "overtake", "drop"};

struct event {
	u8 kind, a, b, c;
};

#define EVENTS_MAX 128

struct events {
	int n;
	bool must; /* one of them happens by itself, sooner or later */
	struct event e[EVENTS_MAX];
};

static void event_add(struct events *all, enum kind kind, int a, int b, int c)
{
	if (all->n < EVENTS_MAX)
		all->e[all->n++] = (struct event){(u8)kind, (u8)a, (u8)b, (u8)c};
	if (kind <= E_ENDING)
		all->must = true;
}

static void events_of_wire(struct events *all, int i, int k)
{
	const struct wire *w = &world.w[i][k];
	int n;

	if (world_may_deliver(i, k))
		event_add(all, E_DELIVER, i, k, 0);
	for (n = 1; world.overtakes && world_may_deliver(i, k) && n < w->n; n++)
		if (ivy_type_urgent(w->p[n].m.type))
			event_add(all, E_OVERTAKE, i, k, n);
	for (n = 0; world.losses && n < w->n; n++)
		event_add(all, E_LOSE, i, k, n);
	for (n = 0; world.drops && n < w->n; n++)
		event_add(all, E_DROP, i, k, n);
	for (n = 1; world.repeats && n <= w->past; n++)
		event_add(all, E_REPEAT, i, k, n);
}

static void events_of_page(struct events *all, int i, int page)
{
	const struct frame *f = &world.f[i][page];

	if (f->revoke)
		event_add(all, E_REVOKED, i, page, 0);
	if (f->armed)
		event_add(all, E_UNHOLD, i, page, 0);
	if (world.left[i] && !f->wait) {
		if (f->mapped < IVY_S)
			event_add(all, E_FAULT, i, page, 0);
		if (f->mapped < IVY_M)
			event_add(all, E_FAULT, i, page, 1);
	}
	if (world.evicts && f->resident)
		event_add(all, E_EVICT, i, page, 0);
	if (world.discards)
		event_add(all, E_DISCARD, i, page, 0);
}

static void events_find(const struct world_config *cfg, struct events *all)
{
	int i, k;

	all->n = 0;
	all->must = false;
	for (i = 0; i < cfg->nodes; i++) {
		for (k = 0; k < cfg->nodes; k++)
			events_of_wire(all, i, k);
		for (k = 0; k < cfg->pages; k++)
			events_of_page(all, i, k);
		if (world.sweep[i])
			event_add(all, E_SWEPT, i, 0, 0);
		if (world.ending[i])
			event_add(all, E_ENDING, i, 0, 0);
		if (world.ticks)
			event_add(all, E_TICK, i, 0, 0);
		if (world.cuts && !world.cut)
			event_add(all, E_CUT, i, 0, 0);
	}
	if (world.cut) {
		event_add(all, E_HEAL, 0, 0, 0);
		event_add(all, E_HEAL, 1, 0, 0);
	}
	if (world.steps && world_may_step())
		event_add(all, E_STEP, 0, 0, 0);
}

static void event_run(struct event e)
{
	switch (e.kind) {
	case E_DELIVER:
		world_deliver(e.a, e.b);
		break;
	case E_REVOKED:
		world_revoked(e.a, e.b);
		break;
	case E_UNHOLD:
		world_unhold(e.a, e.b);
		break;
	case E_SWEPT:
		world_swept(e.a);
		break;
	case E_ENDING:
		world_ending(e.a);
		break;
	case E_FAULT:
		world.left[e.a]--;
		world_fault(e.a, e.b, e.c);
		break;
	case E_EVICT:
		world.evicts--;
		world_evict(e.a, e.b);
		break;
	case E_DISCARD:
		world.discards--;
		world_discard(e.a, e.b);
		break;
	case E_LOSE:
		world_lose(e.a, e.b, e.c);
		break;
	case E_REPEAT:
		world_repeat(e.a, e.b, e.c);
		break;
	case E_TICK:
		world.ticks--;
		world_tick(e.a);
		break;
	case E_STEP:
		world.steps--;
		world_step();
		break;
	case E_CUT:
		world.cuts--;
		world_cut(e.a);
		break;
	case E_HEAL:
		world_heal(e.a);
		break;
	case E_OVERTAKE:
		world_overtake(e.a, e.b, e.c);
		break;
	case E_DROP:
		world_drop(e.a, e.b, e.c);
		break;
	}
}

/* ---- the states already seen ---- */

static u64 *seen;
static size_t seen_size, seen_n;

static void seen_begin(size_t bound)
{
	seen_size = 1024;
	while (seen_size < bound * 2)
		seen_size *= 2;
	seen = calloc(seen_size, sizeof(*seen));
	seen_n = 0;
	if (!seen)
		abort();
}

static bool seen_before(u64 hash)
{
	size_t at = hash & (seen_size - 1);

	hash |= !hash;
	for (; seen[at]; at = (at + 1) & (seen_size - 1))
		if (seen[at] == hash)
			return true;
	seen[at] = hash;
	seen_n++;
	return false;
}

/* ---- that no hash leaves out what decides ---- */

#define KEPT_EVERY 16
#define KEPT_MAX   (1u << 19)

static bool compares;
static struct kept {
	u64 hash, follows;
} kept[KEPT_MAX]; /* an open table */
static unsigned int kept_n;

static int by_value(const void *a, const void *b)
{
	const u64 *one = a, *other = b;

	return *one < *other ? -1 : *one > *other;
}

/* A digest of the hashes of the states that can follow the present one, each once. */
static u64 follows(const struct world_config *cfg)
{
	static u8 here[sizeof(world)];
	static struct events all;
	size_t bytes = world_bytes();
	u64 hashes[EVENTS_MAX], digest = 0;
	int i;

	memcpy(here, &world, bytes);
	events_find(cfg, &all);
	for (i = 0; i < all.n; i++) {
		event_run(all.e[i]);
		hashes[i] = world_hash(cfg);
		memcpy(&world, here, bytes);
	}
	qsort(hashes, (size_t)all.n, sizeof(*hashes), by_value);
	for (i = 0; i < all.n; i++)
		if (!i || hashes[i] != hashes[i - 1]) {
			digest = (digest ^ hashes[i]) * 0x9e3779b97f4a7c15ull;
			digest ^= digest >> 29;
		}
	return digest;
}

/* Whether what follows the present state is not what followed one that had the same hash. */
static bool differs(const struct world_config *cfg, u64 hash)
{
	unsigned int at = (unsigned int)(hash / KEPT_EVERY % KEPT_MAX);

	if (!compares || hash % KEPT_EVERY || !hash)
		return false;
	while (kept[at].hash && kept[at].hash != hash)
		at = (at + 1) % KEPT_MAX;
	if (kept[at].hash)
		return kept[at].follows != follows(cfg);
	if (kept_n < KEPT_MAX / 2) {
		kept[at] = (struct kept){hash, follows(cfg)};
		kept_n++;
	}
	return false;
}

/* ---- the search ---- */

#define DEPTH_MAX 400

struct level {
	void *saved;
	size_t bytes;
	struct events events;
	int next;
};

static struct level levels[DEPTH_MAX];
static const struct world_config *config;
static int depth;
static unsigned long transitions, finishes;

static void save(struct level *l)
{
	l->bytes = world_bytes();
	l->saved = realloc(l->saved, sizeof(world));
	memcpy(l->saved, &world, l->bytes);
	events_find(config, &l->events);
	l->next = 0;
}

static void restore(const struct level *l)
{
	memcpy(&world, l->saved, l->bytes);
}

static void path_print(const char *wrong)
{
	int i;

	printf("%s: %s, after %d events:\n", config->name, wrong, depth);
	for (i = 0; i < depth; i++) {
		struct event e = levels[i].events.e[levels[i].next - 1];

		printf("  %s %d %d %d", kind_names[e.kind], e.a, e.b, e.c);
		if (e.kind == E_DELIVER)
			packet_print(&((struct world *)levels[i].saved)->w[e.a][e.b].p[0]);
		printf("\n");
	}
	if (world_wrong())
		return;
	restore(&levels[depth]);
	world_trace = true;
	world_finish();
	world_trace = false;
}

/* What is wrong with the present state and with what must come of it. */
static const char *judge(u64 hash)
{
	const char *wrong = world_wrong();
	struct level *l = &levels[depth];

	if (wrong)
		return wrong;
	save(l);
	if (l->events.must && hash % 32)
		return NULL;
	finishes++;
	wrong = world_finish();
	restore(l);
	return wrong;
}

static bool explore(const struct world_config *cfg, size_t bound, const char **wrong)
{
	int deepest = 0;

	config = cfg;
	depth = 0;
	transitions = finishes = 0;
	memset(kept, 0, sizeof(kept));
	kept_n = 0;
	seen_begin(bound);
	world_init(cfg);
	seen_before(world_hash(cfg));
	*wrong = judge(0);
	while (!*wrong && depth >= 0 && seen_n < bound) {
		struct level *l = &levels[depth];
		u64 hash;

		if (l->next == l->events.n || depth == DEPTH_MAX - 1) {
			depth--;
			continue;
		}
		restore(l);
		event_run(l->events.e[l->next++]);
		transitions++;
		hash = world_hash(cfg);
		if (differs(cfg, hash))
			*wrong = "what follows a state is not told by its hash";
		if (*wrong || seen_before(hash))
			continue;
		depth++;
		if (depth > deepest)
			deepest = depth;
		*wrong = judge(hash);
	}
	return depth < 0 && deepest < DEPTH_MAX - 1;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool case_run(const struct world_config *cfg, size_t bound, bool given)
{
	double start = seconds();
	const char *wrong;
	bool whole = explore(cfg, !given && cfg->larger ? BOUND_LARGER : bound, &wrong);

	if (wrong)
		path_print(wrong);
	printf("%-18s %s: %zu states, %lu transitions, %lu fair ends, %.1f s: %s\n", cfg->name,
	       cfg->what, seen_n, transitions, finishes, seconds() - start,
	       wrong	      ? wrong
	       : whole	      ? "every interleaving"
	       : cfg->bounded ? "BOUNDED: these states, not every interleaving"
			      : "STOPPED at the bound of states");
	fflush(stdout);
	restore(&levels[0]);
	world_deinit();
	free(seen);
	return !wrong && (whole || cfg->bounded || given);
}

static bool chosen(const char *name, char **names, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return true;
	return !n;
}

int main(int argc, char **argv)
{
	size_t bound = BOUND, i;
	bool given = false;
	int status = 0, at = 1;

	for (; at < argc && argv[at][0] == '-'; at += 2) {
		if (argv[at][1] == 'd') {
			compares = true;
			at--;
			continue;
		}
		if (at + 1 == argc)
			return 2;
		if (argv[at][1] == 'm')
			ivy_mutant = atoi(argv[at + 1]);
		else
			bound = strtoul(argv[at + 1], NULL, 10);
		given |= argv[at][1] == 'n';
	}
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (!chosen(cases[i].name, argv + at, argc - at))
			continue;
		if (!case_run(&cases[i], bound, given))
			status = 1;
		if (status)
			break;
	}
	for (i = 0; i < DEPTH_MAX; i++)
		free(levels[i].saved);
	return status;
}
