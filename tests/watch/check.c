// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * check.c - what must hold of the world after every event:
 *
 *	- while the worker relies on its watch, what is cached is the region's content, but for pages that are about
 *	  to go;
 *	- a page that is older than the region is about to go, or goes when the file is next opened; one that stays by
 *	  itself can only be left by a worker that was stopped for longer than the node waits for it, and then only
 *	  until the worker goes on;
 *	- what a writer of this host finds in the page cache is the region's content, and nothing takes it away.
 *
 * And at the end: whoever wants to write gets to, what its stores make old goes, and nothing waits any more.
 */
#include "world.h"

#include <stdio.h>

static bool is_old(uint32_t page)
{
	return world.page[page].present && world.page[page].value != world.node.value[page];
}

bool page_goes(uint32_t page)
{
	const struct watch *watch = world.inode.watch;

	if (world.clearing.ask && world.clearing.pages >> page & 1)
		return true;
	for (unsigned i = 0; watch && i < watch->ranges; i++)
		if (range_pages(&watch->range[i]) >> page & 1)
			return true;
	return watch && watch->all;
}

/* The worker was stopped for so long that the node went on without it: it finds out by the time. */
static bool trust_is_over(void)
{
	return world.lapsed && world.inode.watch && world.inode.watch->until_ns &&
	       (world.stopped || world.inode.watch->until_ns > world.now);
}

static const char *page_check(uint32_t page)
{
	if (!is_old(page))
		return NULL;
	if (world.disk.epoch && !world.leaving)
		return "a writer of this host has an old page";
	if (page_goes(page) || !world.opens)
		return NULL;
	if (!world.stopped && watch_trusts(&world.inode))
		return "a page is old, and the worker relies on it";
	return trust_is_over() ? NULL : "an old page stays";
}

const char *world_check(void)
{
	const char *wrong = world.wrong;

	for (uint32_t p = 0; p < W_PAGES && !wrong; p++)
		wrong = page_check(p);
	if (!wrong && world.disk.epoch && world.opens_write && world.clearing.ask)
		wrong = "pages are taken away beside a writer of this host";
	return wrong;
}

/* ---- The end */

#define STEPS 9u
#define ENOUGH 3000u

static bool one(enum event_kind kind, uint32_t a)
{
	const struct event e = { kind, a };

	return world_event(&e);
}

static bool step(unsigned which)
{
	switch (which) {
	case 0: return one(E_NODE, 0) || one(E_NODE, 1);
	case 1: return one(E_ANSWER, 0) || one(E_ANSWER, 1);
	case 2: return one(E_CLEAR, 0) || one(E_CLEAR, W_PAGES - 1);
	case 3: return one(E_CLEARED, 0);
	case 4: return one(E_OPENED, 0);
	case 5: return one(E_ATTACHED, 0);
	case 6: return one(E_RELEASED, 0);
	case 7: return one(E_GO_ON, 0);
	case 8: return one(E_DETACH, 0);
	}
	return false;
}

/* Until it is over; the other host asks again each time that the clock goes on. */
static const char *settle(uint32_t (*pick)(uint32_t below), bool (*over)(void))
{
	const char *wrong = world_check();

	for (unsigned n = 0; !wrong && n < ENOUGH; n++) {
		unsigned first = pick(STEPS), i = 0;

		if (over())
			return NULL;
		while (i < STEPS && !step((first + i) % STEPS))
			i++;
		if (i == STEPS) {
			one(E_CLAIM, 0);
			one(E_TICK, 0);
		}
		wrong = world_check();
	}
	return wrong ? wrong : "it does not come to rest";
}

static bool is_written(void)
{
	return world.node.other && !world.leaving;
}

static bool is_quiet(void)
{
	for (uint32_t p = 0; p < W_PAGES; p++)
		if (read_is_under_way(p) || (world.opens && is_old(p)))
			return false;
	return !world.clearing.ask && !world.opening && !world.attaching;
}

const char *world_finish(uint32_t (*pick)(uint32_t below))
{
	const char *wrong = settle(pick, is_written);

	for (uint32_t p = 0; p < W_PAGES && !wrong; p++) {
		one(E_STORE, p);
		wrong = world_check();
	}
	return wrong ? wrong : settle(pick, is_quiet);
}
