// SPDX-License-Identifier: GPL-2.0-or-later
/* The model checker of tests/sim, with worlds that are numbers: a search that leaves states out does not pass for one
 * that has looked at all of them. */
#include "tests/sim/explore.h"

#include "check.h"

const char *mutant_chosen;

static uint32_t world, bad;
static uint8_t left;
static bool blind, leaks; /* a hash tells less than what a state is; an event that is not possible changes it */

#define EVENTS 2000000u

/* From 0 on, an event adds one more than its number, to less than `end`. */
static const struct {
	struct explore_case name;
	uint32_t end;
	unsigned events;
	bool once; /* and then no other follows */
} cases[] = {
	{ { "few", "100 states, in any order", false }, 100, 10, false },
	{ { "row", "a row of 10,000 states", false }, 10000, 1, false },
	{ { "deep", "a row of 200,000 states", false }, 200000, 1, false },
	{ { "many", "2,000,001 states, an event away", false }, EVENTS + 1, EVENTS, true },
};
static unsigned current;

static const struct explore_case *nth(unsigned c)
{
	return &cases[c].name;
}

static void begin(unsigned c)
{
	current = c;
	world = 0;
}

static enum explore_went go(unsigned event, unsigned *next)
{
	if (event >= cases[current].events || (cases[current].once && world)) {
		*next = EVENTS;
		return WENT_NOT;
	}
	if (world + event + 1 >= cases[current].end) {
		world -= leaks;
		return WENT_NOT;
	}
	world += event + 1;
	return WENT_ON;
}

static uint64_t hash(void)
{
	return ((blind ? world % 95 : world) + 1) * 0x9e3779b97f4a7c15ull << 8;
}

static const char *check(void)
{
	return bad && world == bad ? "it is the bad number" : NULL;
}

static const char *finish(void)
{
	return NULL;
}

static void print_event(unsigned event)
{
	(void)event;
}

static void print_world(void)
{
}

static int explore(const char *name, const char *option, const char *value)
{
	const struct explore x = {
		.world = &world, .world_bytes = sizeof(world), .left = &left, .left_bytes = sizeof(left),
		.cases = sizeof(cases) / sizeof(*cases), .events = EVENTS, .nth = nth, .begin = begin, .go = go,
		.hash = hash, .check = check, .finish = finish, .print_event = print_event, .print_world = print_world,
	};
	char *argv[] = { (char *)"explore", (char *)(option ? option : name), (char *)value, (char *)name, NULL };

	mutant_chosen = NULL;
	return explore_main(&x, option ? 4 : 2, argv);
}

static void test_whole(void)
{
	CHECK_EQ(explore("few", NULL, NULL), 0);
	CHECK_EQ(explore("few", "-n", "100"), 0);
	CHECK_EQ(explore("row", NULL, NULL), 0);
	CHECK_EQ(explore("none", NULL, NULL), 2);
}

static void test_too_deep(void)
{
	CHECK_EQ(explore("deep", NULL, NULL), 3);
	CHECK_EQ(explore("deep", "-n", "500000"), 0);
	CHECK_EQ(explore("deep", "-m", "some"), 0);
}

static void test_too_many(void)
{
	CHECK_EQ(explore("many", NULL, NULL), 3);
	CHECK_EQ(explore("many", "-n", "1000"), 0);
	CHECK_EQ(explore("many", "-m", "some"), 0);
}

static void test_wrong(void)
{
	bad = 99;
	CHECK_EQ(explore("few", NULL, NULL), 1);
	bad = 99998;
	CHECK_EQ(explore("deep", NULL, NULL), 1);
	bad = 199999; /* too far */
	CHECK_EQ(explore("deep", NULL, NULL), 3);
	bad = 1;
	CHECK_EQ(explore("many", NULL, NULL), 1);
}

static void test_blind(void)
{
	bad = 0;
	blind = true;
	CHECK_EQ(explore("few", NULL, NULL), 0); /* states are missed */
	CHECK_EQ(explore("few", "-d", "few"), 1);
	blind = false;
	CHECK_EQ(explore("few", "-d", "few"), 0);
}

static void test_leak(void)
{
	bad = 0;
	leaks = true;
	CHECK_EQ(explore("few", "-d", "few"), 1);
	leaks = false;
}

static const struct check_test tests[] = {
	{ "a-search-of-all-states-passes", test_whole },
	{ "a-way-that-is-too-long-fails-it", test_too_deep },
	{ "states-that-are-too-many-fail-it", test_too_many },
	{ "what-is-wrong-is-told-first", test_wrong },
	{ "a-hash-that-does-not-tell-what-follows-is-noticed", test_blind },
	{ "an-event-that-is-not-possible-changes-nothing", test_leak },
};

CHECK_MAIN(tests)
