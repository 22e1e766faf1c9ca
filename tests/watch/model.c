// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * model.c - every state that a file of a page can reach which one host reads and another writes.
 *
 *	model [-m MUTANT] [-n STATES] [-t] [CASE... | long]
 *
 * From each state every event that is possible and that the case still allows is tried. Times are kept as what is
 * left of them, so that the clock may go on without end: it goes in steps of WATCH_AGE_NS, which is longer here.
 */
#include "node.h"
#include "world.h"

#include "../sim/explore.h"

#include <errno.h>
#include <xxhash.h>

static struct limits {
	uint8_t reads, attaches, stores, leaves, closes, opens, failures, breaks, timeouts, fulls, stops, kills;
} left;

static const struct watch_case {
	struct explore_case name;
	struct limits limits;
} cases[] = {
	{ { "writer", "a READ, another host's writer and its store", false }, { .reads = 1, .stores = 1 } },
	{ { "reads", "2 READs, another host's writer and its store", true }, { .reads = 2, .stores = 1 } },
	{ { "two-writers", "a READ, two writers one after the other", true },
	  { .reads = 1, .stores = 2, .leaves = 1 } },
	{ { "drops-fail", "a READ, a writer, 2 invalidations that fail or are refused", true },
	  { .reads = 1, .stores = 1, .failures = 1, .fulls = 1 } },
	{ { "breaks", "a READ, a writer, broken connections", true },
	  { .reads = 1, .stores = 1, .breaks = 2 } },
	{ { "timeouts", "a READ, a writer, a node that is late", true },
	  { .reads = 1, .stores = 1, .timeouts = 2 } },
	{ { "stops", "a READ, a writer, the worker stops for a time", false },
	  { .reads = 1, .stores = 1, .stops = 1 } },
	{ { "deaths", "a READ, a writer, the worker's death", true }, { .reads = 1, .stores = 1, .kills = 1 } },
	{ { "reopened", "2 READs, a writer, the file is closed and opened", true },
	  { .reads = 2, .stores = 1, .closes = 1, .opens = 1 } },
	{ { "ours", "a READ, a writer here, another one there", true },
	  { .reads = 1, .stores = 1, .attaches = 1 } },
	{ { "long-ours", "2 READs, writers here and there", true },
	  { .reads = 2, .stores = 2, .leaves = 1, .attaches = 1, .opens = 1 } },
	{ { "long-writers", "3 READs, two writers one after the other", true },
	  { .reads = 3, .stores = 2, .leaves = 1 } },
	{ { "everything", "2 READs, and one of everything else", true }, { 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 } },
};

static const struct explore_case *case_nth(unsigned c)
{
	return &cases[c].name;
}

/* ---- what matters of a state: no pointers, and of times and numbers only how far they are from now */

static struct {
	uint64_t words[256];
	unsigned n;
} text;

static void put(uint64_t value)
{
	assert(text.n < sizeof(text.words) / sizeof(*text.words));
	text.words[text.n++] = value;
}

static uint64_t left_of(uint64_t time_ns)
{
	return time_ns > world.now ? time_ns - world.now : 0;
}

/* How old a watch's number is: past the time that it may be relied on, that is all the same; how it compares to the
 * one that the node has is not. */
static uint64_t age_of(uint64_t number)
{
	const struct node_watch watch = node_watch(&world.node.watches, W_US);
	uint64_t age = world.now - number, most = WATCH_TRUST_NS + WATCH_AGE_NS;

	return (age < most ? age : most) << 2 | (watch.there ? 0u + (number >= watch.number) + (number > watch.number) : 3);
}

static void put_pages(void)
{
	for (uint32_t p = 0; p < W_PAGES; p++) {
		const struct cached *c = &world.page[p];

		put(!c->present ? 0 : 1 | c->kept << 1 | (c->value == world.node.value[p]) << 2 |
				      (world.node.epoch - c->epoch) << 3);
	}
	for (unsigned i = 0; i < W_READS; i++) {
		const struct reading *r = &world.reading[i];
		const struct watch *watch = world.inode.watch;

		put(!r->used ? 0 : 1 | r->fetched << 1 | r->dropped << 2 | r->page << 3 |
				   (r->serial ? 1u + (watch && r->serial == watch->serial) : 0) << 4 |
				   (uint64_t)(r->fetched && r->value == world.node.value[r->page]) << 6 |
				   (r->fetched ? world.node.epoch - r->epoch : 0) << 8);
	}
}

static void put_watch(void)
{
	const struct watch *watch = world.inode.watch;

	put(watch != NULL);
	if (!watch)
		return;
	put((uint64_t)watch->asking | watch->held << 1 | watch->all << 2 | watch->clearing << 3 |
	    watch->leaving << 4 | (watch->left != NULL) << 5 | (watch->waiter != NULL) << 6 |
	    (uint64_t)watch->ending << 8 | (uint64_t)watch->ranges << 16);
	put(left_of(watch->ask_at_ns));
	put(watch->until_ns ? 1 + left_of(watch->until_ns) : 0);
	put(watch->asking || watch->held ? age_of(watch->number) : 0);
	put(left_of(watch->due_ns));
	for (unsigned i = 0; i < watch->ranges; i++)
		put(range_pages(&watch->range[i]));
}

static void put_node(void)
{
	struct node_watch watch = node_watch(&world.node.watches, W_US);

	put(world.node.ours | world.node.other << 1 | world.other_waits << 2 | world.lapsed << 3);
	put(world.node.epoch - world.disk.last_epoch);
	put(left_of(world.node.watches.claim_until_ns) << 2 | world.node.watches.claimer);
	put(watch.there | watch.passed << 1 | left_of(watch.until_ns) << 2);
	put(watch.there ? age_of(watch.number) : 0);
}

static uint64_t state_hash(void)
{
	text.n = 0;
	put_pages();
	put_watch();
	put_node();
	for (unsigned i = 0; i < world.messages; i++) {
		const struct message *m = &world.message[i];

		put(m->kind | m->served << 2 | (m->call != NULL) << 3 | m->what.mode << 4 | (uint64_t)m->read << 8 |
		    (uint64_t)m->writer << 12 | m->detail << 13 | (uint64_t)(m->result != 0) << 14);
		put(m->kind != M_GET ? age_of(m->what.epoch) : 0);
		put(m->served ? world.node.epoch - m->epoch : 0);
	}
	put((uint64_t)world.stopped | world.opening << 1 | world.attaching << 2 | world.paused << 3 |
	    world.leaving << 4 | (world.clearing.ask != NULL) << 5 | world.full << 6 |
	    (world.disk.epoch != 0) << 7 | (uint64_t)world.clearing.pages << 8 | (uint64_t)world.disk.cache_stale << 12 |
	    (uint64_t)world.inode.watch_paused << 13 | (uint64_t)world.inode.watch_listed << 14 |
	    (uint64_t)world.opens << 16 | (uint64_t)world.opens_write << 24);
	put(world.opening ? (world.node.epoch - world.seen.epoch) << 1 | world.seen.writer : 0);
	put(world.due == ~0ull ? ~0ull : left_of(world.due));
	return XXH3_64bits(text.words, text.n * sizeof(*text.words)) ^ XXH3_64bits(&left, sizeof(left));
}

/* ---- the events */

static struct event all[64];
static unsigned all_count;

static uint8_t *limit_of(const struct event *e)
{
	switch (e->kind) {
	case E_READ: return &left.reads;
	case E_ATTACH: return &left.attaches;
	case E_STORE: return &left.stores;
	case E_LEAVE: return &left.leaves;
	case E_CLOSE: return &left.closes;
	case E_OPEN: return &left.opens;
	case E_CLEARED: return e->a ? &left.failures : NULL;
	case E_BREAK: return &left.breaks;
	case E_TIMEOUT: return &left.timeouts;
	case E_FULL: return &left.fulls;
	case E_STOP: return &left.stops;
	case E_KILL: return &left.kills;
	case E_KEEP: return &left.stores;
	default: return NULL;
	}
}

static void all_make(void)
{
	for (enum event_kind kind = 0; kind < EVENTS; kind++) {
		all[all_count++] = (struct event){ kind, 0 };
		if (kind == E_CLEARED)
			all[all_count++] = (struct event){ kind, EIO };
		if (kind == E_NODE || kind == E_ANSWER || kind == E_BREAK)
			all[all_count++] = (struct event){ kind, 1 };
	}
}

static void begin(unsigned c)
{
	left = cases[c].limits;
	world_init(true);
}

static enum explore_went go(unsigned event, unsigned *next)
{
	const struct event *e = &all[event];
	uint8_t *limit = limit_of(e);

	(void)next;
	if (limit && !*limit)
		return WENT_NOT;
	/* A second writer, who would do nothing, is none. */
	if (e->kind == E_CLAIM && !left.stores)
		return WENT_NOT;
	if (!world_event(e))
		return WENT_NOT;
	if (limit)
		--*limit;
	return WENT_ON;
}

static uint32_t pick_first(uint32_t below)
{
	static uint32_t n;

	return n++ % below;
}

static const char *finish(void)
{
	return world_finish(pick_first);
}

static void print_event(unsigned event)
{
	event_print(&all[event]);
}

int main(int argc, char **argv)
{
	struct explore x = {
		.world = &world, .world_bytes = sizeof(world), .left = &left, .left_bytes = sizeof(left),
		.cases = sizeof(cases) / sizeof(*cases), .nth = case_nth, .begin = begin, .go = go,
		.hash = state_hash, .check = world_check, .finish = finish, .print_event = print_event,
		.print_world = world_print,
	};

	all_make();
	x.events = all_count;
	return explore_main(&x, argc, argv);
}
